/* The DuckDB sink on a driver that answers what the test says, under a whole run. */
#include "core/queue.h"
#include "drivers/drivers.h"
#include "drivers/duckdb.h"
#include "fake_adbc.h"
#include "fakes.h"
#include "units.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A file that is there; the driver opens none. */
#define HERE "/proc/version" /* there, and open in no process */
#define NEWEST                                                                                                        \
    "7|false|public.orders|70001|1|shop|16384|1000:1000:|0/1000|" FINGERPRINT                                        \
    "|xmin|1000:1000:|3 rows, load 7|0|0|0|~|false|~|2026-11-22T17:00:00.000000+00:00"

/* In place of the core's, which opens a library. */
enum rf_code rf_duckdb_load(struct rf_adbc *adbc, const char *library, struct rf_error *err) {
    (void)library;
    (void)err;
    fill_fake_driver(&adbc->driver);
    adbc->is_loaded = true;
    return RF_OK;
}

struct world {
    struct fakes fakes;
    struct fake_adbc adbc;
    union rf_sink_memory sink;
    struct rf_cancel *cancel;
};

static void add_source_rows(struct fake_end *source, int n) {
    struct fake_stream *stream = add_stream(source);
    begin_copy(stream);
    for (int i = 0; i < n; i++) {
        add_row(stream, 3);
        add_field(stream, &(uint8_t[8]){0, 0, 0, 0, 0, 0, 0, (uint8_t)i}, 8);
        add_field(stream, NULL, -1);
        add_field(stream, "note", 4);
        if (i == 0) end_piece(stream);
    }
    end_copy(stream, n);
}

static void answer_all(struct fake_adbc *adbc, bool loaded_before) {
    answer(adbc, "coalesce(max(load_id), 0)", "8");
    answer(adbc, "n.kind = 'reset'", loaded_before ? NEWEST : "");
    answer(adbc, "sum(rows_read)", "0|0|0|0|0|0|0|0");
    answer(adbc, "typeof(", "BIGINT|DECIMAL(12,4)|VARCHAR");
    answer(adbc, "version()", loaded_before ? "2026-11-22T18:00:00.000000+00:00|v2.0.0|true|false" : "2026-11-22T18:00:00.000000+00:00|v2.0.0|false|false");
    answer(adbc, "FROM duckdb_columns", "id|BIGINT|true;amount|DECIMAL(12,4)|false;note|VARCHAR|false;_extracted_at|T|true;_load_id|BIGINT|true;_deleted_at|T|false");
    answer(adbc, "FROM duckdb_constraints", "0|id");
    answer(adbc, "(count(*) = 1)", "true");
    answer_changed(adbc, "INSERT INTO \"_rowferry\"", 1);
    answer(adbc, "' rows, load '", "3 rows, load 7");
    answer_changed(adbc, "DELETE FROM \"raw", 2);
    answer_changed(adbc, "INSERT INTO \"raw", 3);
    answer(adbc, "WHERE \"_load_id\" = 8", "3");
    answer(adbc, "(\"_load_id\" < 8) IS NOT TRUE", "0");
    answer(adbc, "SELECT count(*)::VARCHAR", "loaded");
}

/* The world has to lie where it is made: its parts point at each other. */
static void make_world(struct world *world, bool loaded_before) {
    memset(world, 0, sizeof *world);
    fake_adbc = &world->adbc;
    make_fakes(&world->fakes, ",\"driver\":\"fake\",\"lock_timeout\":0");
    if (!loaded_before) never_loaded(&world->fakes.facts);
    world->fakes.facts.job.target = "duckdb://" HERE;
    world->fakes.source.n_streams = 0;
    add_source_rows(&world->fakes.source, 3);
    answer_all(&world->adbc, loaded_before);
    take_sink(&world->fakes, &world->sink, &world->cancel);
}

static enum rf_code run(struct world *world) {
    enum rf_code code = rf_transfer(&world->fakes.run, &world->fakes.facts.err);
    assert_always(atomic_load(&world->adbc.n_alive) == 0);
    assert_always(world->sink.duckdb.hold == NULL && world->sink.duckdb.ingest == NULL);
    return code;
}

static void drop_world(struct world *world) {
    rf_cancel_release(world->cancel);
    drop_fakes(&world->fakes);
}

/* ---- loads -------------------------------------------------------------------------------------------------- */

TEST(a_first_load_goes_straight_in_and_gets_its_key_after) {
    static struct world world;
    make_world(&world, false);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.adbc.committed);
    assert_int_equal(world.adbc.n_loaded, 3);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 3);
    assert_contains(world.adbc.options, " memory_limit=");
    assert_contains(world.adbc.statements, "CREATE TABLE \"raw_postgres\".\"orders\" (\"id\" BIGINT NOT NULL, \"amount\" DECIMAL(12,4), \"note\" VARCHAR, \"_extracted_at\" TIMESTAMPTZ NOT NULL,");
    assert_contains(world.adbc.statements, "ADD PRIMARY KEY (\"id\")");
    assert_lacks(world.adbc.statements, "DELETE");
    drop_world(&world);
}

TEST(a_later_load_goes_by_a_stage_and_writes_its_record_in_the_same_transaction) {
    static struct world world;
    make_world(&world, true);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.adbc.committed);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 1);
    assert_int_equal(world.fakes.run.report.this_try.updated, 2);
    assert_contains(world.adbc.statements, "CREATE TEMPORARY TABLE \"rowferry_stage_8\"");
    assert_contains(world.adbc.statements, "'raw_postgres.orders', '8', 'load', 'public.orders', 'postgres', 'run 1', '1', '1', NULL, 'xmin', 'proven'");
    assert_lacks(world.adbc.statements, "COMMIT");
    drop_world(&world);
}

TEST(keys_are_looked_for_only_where_a_row_may_be_newer) {
    static struct world world;
    for (int newer = 0; newer < 2; newer++) {
        make_world(&world, true);
        for (int i = 0; newer && i < world.adbc.n_answers; i++)
            if (strstr(world.adbc.answers[i].part, "IS NOT TRUE")) world.adbc.answers[i].rows = "1";
        assert_code(run(&world), RF_OK, &world.fakes.facts.err);
        const char *guard = "s WHERE NOT EXISTS (SELECT 1 FROM \"raw_postgres\".\"orders\" t WHERE t.\"id\" = s.\"id\")";
        if (newer) assert_contains(world.adbc.statements, guard);
        else assert_lacks(world.adbc.statements, guard);
        drop_world(&world);
    }
}

TEST(whichever_call_of_the_driver_fails_nothing_is_committed_or_left) {
    for (int loaded_before = 0; loaded_before < 2; loaded_before++) {
        bool failed = true;
        for (int nth = 1; failed && !memory_is_scarce; nth++) {
            static struct world world;
            make_world(&world, loaded_before);
            world.adbc.fail_nth = nth;
            enum rf_code code = run(&world);
            failed = code != RF_OK;
            assert_always(failed || world.adbc.committed);
            if (failed) assert_contains(world.fakes.facts.err.message, "target: ");
            drop_world(&world);
        }
    }
}

TEST(a_count_that_the_tables_do_not_bear_out_is_never_committed) {
    static struct world world;
    for (int64_t lie = -1; lie < 2; lie += 2) {
        make_world(&world, false);
        world.adbc.lie = lie;
        assert_code(run(&world), RF_TARGET, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.message, "the source sent 3 rows");
        assert_false(world.adbc.committed);
        drop_world(&world);
    }
    make_world(&world, true);
    for (int i = 0; i < world.adbc.n_answers; i++)
        if (strcmp(world.adbc.answers[i].part, "DELETE FROM \"raw") == 0) world.adbc.answers[i].n_changed = 4;
    assert_code(run(&world), RF_INTERNAL, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "updated 4 and inserted -1");
    assert_false(world.adbc.committed);
    drop_world(&world);
}

TEST(a_statement_without_a_count_is_not_taken_for_done) {
    static struct world world;
    make_world(&world, true);
    for (int i = 0; i < world.adbc.n_answers; i++)
        if (strcmp(world.adbc.answers[i].part, "DELETE FROM \"raw") == 0) world.adbc.answers[i].n_changed = -1;
    assert_code(run(&world), RF_INTERNAL, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "did not say how many rows");
    drop_world(&world);
}

TEST(a_database_that_stops_taking_rows_ends_the_run_with_its_reason) {
    static struct world world;
    make_world(&world, false);
    world.adbc.take_at_most = 1;
    assert_code(run(&world), RF_DATA, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "no more of these");
    assert_false(world.adbc.committed);
    drop_world(&world);
}

TEST(a_result_that_is_not_of_texts_is_refused) {
    static struct world world;
    make_world(&world, false);
    world.adbc.format = "l";
    assert_code(run(&world), RF_INTERNAL, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "not of texts");
    drop_world(&world);
}

TEST(rows_that_are_no_copy_binary_are_refused) {
    static struct world world;
    make_world(&world, false);
    world.fakes.source.streams[0].bytes[20]++;
    assert_code(run(&world), RF_INTERNAL, &world.fakes.facts.err);
    assert_false(world.adbc.committed);
    drop_world(&world);
}

/* ---- comparing ---------------------------------------------------------------------------------------------- */

static void add_texts(struct fake_end *source) {
    struct fake_stream *stream = add_stream(source);
    begin_copy(stream);
    for (int i = 0; i < 3; i++) {
        add_row(stream, 3);
        add_field(stream, &(char){(char)('a' + i)}, 1);
        add_field(stream, i > 0 ? "" : NULL, i > 0 ? 0 : -1);
        add_field(stream, "note", 4);
    }
    end_copy(stream, 3);
}

static void change_answer(struct fake_adbc *adbc, const char *part, const char *rows) {
    for (int i = 0; i < adbc->n_answers; i++)
        if (strcmp(adbc->answers[i].part, part) == 0) adbc->answers[i].rows = rows;
}

/* A table of texts, which is compared before the commit: the driver knows no others. */
static void make_world_of_texts(struct world *world, const char *held) {
    make_world(world, true);
    struct facts *facts = &world->fakes.facts;
    for (int i = 0; i < 3; i++) facts->source_columns[i].identity = facts->source_columns[i].base = facts->source_columns[i].type = "text";
    facts->job.verify = true;
    world->fakes.source.n_streams = 0;
    for (int i = 0; i < 3; i++) add_texts(&world->fakes.source);
    change_answer(&world->adbc, "typeof(", "VARCHAR|VARCHAR|VARCHAR");
    change_answer(&world->adbc, "FROM duckdb_columns", "id|VARCHAR|true;amount|VARCHAR|false;note|VARCHAR|false;_extracted_at|T|true;_load_id|BIGINT|true;_deleted_at|T|false");
    answer(&world->adbc, "SELECT \"id\", \"amount\", \"note\" FROM \"raw_postgres\".\"orders\" WHERE \"_deleted_at\" IS NULL", held);
}

TEST(a_run_compares_what_the_transaction_holds_and_commits_what_is_equal) {
    static struct world world;
    make_world_of_texts(&world, "c||note;a|~|note;b||note");
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.adbc.committed && world.fakes.run.report.verification.exact);
    assert_int_equal(world.fakes.run.report.verification.equal, 3);
    assert_int_equal(world.fakes.source.n_reads, 2);
    drop_world(&world);
}

TEST(a_run_that_finds_a_difference_commits_nothing_and_names_a_key) {
    static const char *const held[] = {"a||note;b||note;c||note", "a|~|note;b||note", "a|~|note;b||note;d||note", "A|~|note;b||note;c||note"};
    for (size_t i = 0; i < N_OF(held); i++) {
        static struct world world;
        make_world_of_texts(&world, held[i]);
        assert_code(run(&world), RF_DATA, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.message, i == 0 || i == 3 ? "first key (a)" : "first key (c)");
        assert_false(world.adbc.committed);
        drop_world(&world);
    }
}

TEST(whichever_call_fails_while_rows_are_compared_nothing_is_committed_or_left) {
    bool failed = true;
    for (int nth = 1; failed && !memory_is_scarce; nth++) {
        static struct world world;
        assert_true(nth < 1000);
        make_world_of_texts(&world, "a|~|note;b||note;c||note");
        world.adbc.fail_nth = nth;
        failed = run(&world) != RF_OK;
        assert_always(failed != world.adbc.committed);
        drop_world(&world);
    }
}

/* ---- errors ------------------------------------------------------------------------------------------------- */

TEST(messages_become_the_errors_they_mean) {
    const struct { const char *message; enum rf_code code; const char *hint; } cases[] = {
        {"Constraint Error: duplicate key", RF_DATA, ""},
        {"Conversion Error: could not", RF_DATA, ""},
        {"Out of Memory Error: failed to allocate", RF_TARGET, "memory_limit"},
        {"IO Error: disk full", RF_TARGET, ""},
        {"Failed to execute query \"COMMIT\": TransactionContext Error: Could not write all bytes: No space left on device", RF_TARGET, "disk is full"},
        {"IO Error: The file exists, but it is not a valid DuckDB database file!", RF_CONFIG, ""},
        {"Catalog Error: exists", RF_CONFIG, "capital letters"},
        {"Permission Error: no", RF_AUTH, ""},
        {"Binder Error: no", RF_INTERNAL, ""},
        {"something else", RF_TARGET, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        static struct world world;
        make_world(&world, false);
        world.adbc.fail_nth = 12;
        world.adbc.fail_message = cases[i].message;
        assert_code(run(&world), cases[i].code, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.hint, cases[i].hint);
        drop_world(&world);
    }
}

TEST(a_file_that_is_held_is_busy_and_names_its_holder) {
    static struct world world;
    make_world(&world, false);
    world.adbc.fail_nth = 4; /* new, two options, init */
    world.adbc.fail_message = "IO Error: Could not set lock on file \"x\": Conflicting lock is held in /bin/python (PID 4711).";
    assert_code(run(&world), RF_BUSY, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, " was not free within 0 s: Conflicting lock is held in /bin/python (PID 4711)");
    assert_true(world.fakes.facts.err.retryable);
    drop_world(&world);
}

TEST(a_job_without_a_driver_says_what_to_install) {
    static struct world world;
    make_world(&world, false);
    world.fakes.facts.job.driver = NULL;
    assert_code(run(&world), RF_CONFIG, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.hint, "rowferry[duckdb]");
    drop_world(&world);
}

TEST(only_the_file_itself_says_what_became_of_a_commit_that_failed) {
    static struct world world;
    make_world(&world, true);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    int n_calls = atomic_load(&world.adbc.n_calls); /* the commit was the last */
    drop_world(&world);
    const struct { const char *control, *found; enum rf_code code; } cases[] = {{"true", "true", RF_OK}, {"true", "false", RF_TARGET}, {"false", "true", RF_TARGET}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        make_world(&world, true);
        world.adbc.fail_nth = n_calls;
        world.adbc.later[0] = (struct fake_answer){.part = "FROM duckdb_tables", .rows = cases[i].control};
        world.adbc.later[1] = (struct fake_answer){.part = "load_id = 8", .rows = cases[i].found};
        assert_code(run(&world), cases[i].code, &world.fakes.facts.err);
        drop_world(&world);
    }
}

/* ---- cancelling --------------------------------------------------------------------------------------------- */

static void *cancel_once_it_waits(void *arg) {
    struct world *world = arg;
    const struct timespec moment = {.tv_nsec = 1000000};
    while (!atomic_load(&world->adbc.is_waiting)) nanosleep(&moment, NULL);
    rf_cancel_request(world->cancel);
    return NULL;
}

TEST(a_cancel_interrupts_what_the_database_does) {
    static struct world world;
    pthread_t thread;
    make_world(&world, false);
    world.adbc.waits = true;
    assert_int_equal(pthread_create(&thread, NULL, cancel_once_it_waits, &world), 0);
    enum rf_code code = run(&world);
    atomic_store(&world.adbc.is_waiting, true);
    pthread_join(thread, NULL);
    assert_code(code, RF_CANCELLED, &world.fakes.facts.err);
    assert_false(world.adbc.committed);
    drop_world(&world);
}

/* ---- the queue ---------------------------------------------------------------------------------------------- */

static void release_counted(struct ArrowArray *array) {
    ++*(int *)array->private_data;
    array->release = NULL;
}

static struct ArrowArray numbered(int64_t length, int *released) {
    return (struct ArrowArray){.length = length, .release = release_counted, .private_data = released};
}

TEST(what_is_in_a_queue_comes_out_in_order_and_then_its_end) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_queue *queue = needed(rf_queue_new(0));
    int released = 0;
    struct ArrowArray one = numbered(1, &released), two = numbered(2, &released), out;
    assert_true(rf_queue_push(queue, &one, 1, cancel) && !one.release);
    assert_true(rf_queue_push(queue, &two, 1, cancel));
    rf_queue_end(queue);
    assert_true(rf_queue_pop(queue, &out) && out.length == 1);
    out.release(&out);
    assert_true(rf_queue_pop(queue, &out) && out.length == 2);
    out.release(&out);
    assert_true(rf_queue_pop(queue, &out) && !out.release);
    rf_queue_free(queue);
    rf_cancel_release(cancel);
    assert_int_equal(released, 2);
}

TEST(a_queue_that_was_given_up_takes_and_gives_nothing_and_releases_what_it_holds) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_queue *queue = needed(rf_queue_new(0));
    int released = 0;
    struct ArrowArray one = numbered(1, &released), two = numbered(2, &released), out;
    assert_true(rf_queue_push(queue, &one, 1, cancel));
    rf_queue_give_up(queue);
    assert_false(rf_queue_push(queue, &two, 1, cancel));
    assert_non_null(two.release);
    assert_false(rf_queue_pop(queue, &out));
    rf_queue_free(queue);
    assert_int_equal(released, 1);
    rf_cancel_release(cancel);
}

static void *push_three(void *arg) {
    void **both = arg;
    int *released = both[2];
    for (int64_t i = 1; i <= 3; i++) {
        struct ArrowArray array = numbered(i, released);
        if (!rf_queue_push(both[0], &array, 1, both[1])) array.release(&array);
    }
    return NULL;
}

TEST(a_full_queue_makes_its_writer_wait_until_there_is_room_or_a_cancel) {
    for (int cancels = 0; cancels < 2; cancels++) {
        struct rf_cancel *cancel = needed(rf_cancel_new());
        struct rf_queue *queue = needed(rf_queue_new(0));
        int released = 0;
        void *both[] = {queue, cancel, &released};
        pthread_t thread;
        struct ArrowArray out = {0};
        assert_int_equal(pthread_create(&thread, NULL, push_three, both), 0);
        if (cancels) rf_cancel_request(cancel);
        for (int64_t i = 1; !cancels && i <= 3; i++) {
            assert_true(rf_queue_pop(queue, &out) && out.length == i);
            out.release(&out);
        }
        pthread_join(thread, NULL);
        rf_queue_free(queue);
        rf_cancel_release(cancel);
        assert_int_equal(released, 3);
    }
}

enum { PUSHED = 3 * RF_QUEUE_MOST };

struct filler {
    struct rf_queue *queue;
    struct rf_cancel *cancel;
    size_t n_bytes; /* of each array */
    int released;
    atomic_int n_pushed;
};

static void *fill(void *arg) {
    struct filler *filler = arg;
    for (int64_t i = 1; i <= PUSHED; i++) {
        struct ArrowArray array = numbered(i, &filler->released);
        if (!rf_queue_push(filler->queue, &array, filler->n_bytes, filler->cancel)) array.release(&array);
        atomic_fetch_add(&filler->n_pushed, 1);
    }
    return NULL;
}

/* Takes each array out once as many as are allowed are in, and counts the times that there were more. */
static int times_too_many(struct filler *filler, int allowed) {
    struct ArrowArray out = {0};
    int too_many = 0;
    for (int i = 0; i < PUSHED; i++) {
        int full = i + allowed < PUSHED ? i + allowed : PUSHED;
        while (atomic_load(&filler->n_pushed) < full) sched_yield();
        too_many += atomic_load(&filler->n_pushed) > full;
        assert_always(rf_queue_pop(filler->queue, &out) && out.length == i + 1);
        out.release(&out);
    }
    return too_many;
}

TEST(a_queue_holds_arrays_up_to_its_bytes_but_two_of_any_size_and_no_more_than_it_has_places_for) {
    static const struct { size_t most_bytes, n_bytes; int allowed; } cases[] = {
        {0, 1, RF_QUEUE_FEWEST}, {10, 100, RF_QUEUE_FEWEST}, {10, 3, 3}, {10, 2, 5}, {SIZE_MAX, 1, RF_QUEUE_MOST}, {SIZE_MAX, SIZE_MAX / 4, 4},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct filler filler = {.queue = needed(rf_queue_new(cases[i].most_bytes)), .cancel = needed(rf_cancel_new()), .n_bytes = cases[i].n_bytes};
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, fill, &filler), 0);
        int too_many = times_too_many(&filler, cases[i].allowed);
        pthread_join(thread, NULL);
        rf_queue_free(filler.queue);
        rf_cancel_release(filler.cancel);
        assert_int_equal(filler.released, PUSHED);
        assert_int_equal(too_many, 0);
    }
}

/* ---- the file ----------------------------------------------------------------------------------------------- */

TEST(a_file_is_held_once_in_a_process_by_whatever_name) {
    struct rf_file_hold *first = NULL, *second = NULL, *third = NULL;
    struct rf_error err;
    assert_code(rf_file_try("/tmp/../tmp/rowferry_unit.duckdb", &first, &err), RF_OK, &err);
    bool was_taken = first != NULL;
    enum rf_code code = rf_file_try("/tmp/rowferry_unit.duckdb", &second, &err);
    rf_file_let_go(first);
    assert_code(code, RF_OK, &err);
    assert_true(was_taken && !second);
    assert_code(rf_file_try("/tmp/rowferry_unit.duckdb", &third, &err), RF_OK, &err);
    assert_non_null(third);
    rf_file_let_go(third);
}

TEST(a_file_that_somebody_else_here_has_open_is_not_taken) {
    struct rf_file_hold *hold = NULL;
    struct rf_error err;
    int fd = open(HERE, O_RDONLY);
    assert_true(fd >= 0);
    enum rf_code code = rf_file_try(HERE, &hold, &err);
    close(fd);
    assert_code(code, RF_OK, &err);
    assert_null(hold);
    assert_code(rf_file_try(HERE, &hold, &err), RF_OK, &err);
    assert_non_null(hold);
    rf_file_let_go(hold);
}

TEST(a_path_is_read_from_its_uri) {
    struct rf_arena arena;
    struct rf_duckdb_uri uri;
    struct rf_error err;
    rf_arena_init(&arena, 65536);
    assert_code(rf_duckdb_uri_read("duckdb:///a%20b/c%25.duckdb?memory_limit=2GB&threads=4", &arena, &uri, &err), RF_OK, &err);
    assert_string_equal(uri.path, "/a b/c%.duckdb");
    assert_string_equal(uri.memory_limit, "2GB");
    assert_string_equal(uri.threads, "4");
    const char *wrong[] = {"duckdb:", "duckdb:x", "duckdb://", "duckdb:///", "duckdb:///a/", "duckdb:///a%", "duckdb:///a%0", "duckdb:///a%00", "duckdb:///a?", "duckdb:///a?x=1", "duckdb:///a?threads="};
    for (size_t i = 0; i < N_OF(wrong); i++) {
        enum rf_code code = rf_duckdb_uri_read(wrong[i], &arena, &uri, &err);
        assert_always(code == RF_CONFIG || code == RF_NO_MEMORY);
    }
    rf_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_load_goes_straight_in_and_gets_its_key_after),
        cmocka_unit_test(a_later_load_goes_by_a_stage_and_writes_its_record_in_the_same_transaction),
        cmocka_unit_test(keys_are_looked_for_only_where_a_row_may_be_newer),
        cmocka_unit_test(whichever_call_of_the_driver_fails_nothing_is_committed_or_left),
        cmocka_unit_test(a_count_that_the_tables_do_not_bear_out_is_never_committed),
        cmocka_unit_test(a_statement_without_a_count_is_not_taken_for_done),
        cmocka_unit_test(a_database_that_stops_taking_rows_ends_the_run_with_its_reason),
        cmocka_unit_test(a_result_that_is_not_of_texts_is_refused),
        cmocka_unit_test(rows_that_are_no_copy_binary_are_refused),
        cmocka_unit_test(a_run_compares_what_the_transaction_holds_and_commits_what_is_equal),
        cmocka_unit_test(a_run_that_finds_a_difference_commits_nothing_and_names_a_key),
        cmocka_unit_test(whichever_call_fails_while_rows_are_compared_nothing_is_committed_or_left),
        cmocka_unit_test(messages_become_the_errors_they_mean),
        cmocka_unit_test(a_file_that_is_held_is_busy_and_names_its_holder),
        cmocka_unit_test(a_job_without_a_driver_says_what_to_install),
        cmocka_unit_test(only_the_file_itself_says_what_became_of_a_commit_that_failed),
        cmocka_unit_test(a_cancel_interrupts_what_the_database_does),
        cmocka_unit_test(what_is_in_a_queue_comes_out_in_order_and_then_its_end),
        cmocka_unit_test(a_queue_that_was_given_up_takes_and_gives_nothing_and_releases_what_it_holds),
        cmocka_unit_test(a_queue_holds_arrays_up_to_its_bytes_but_two_of_any_size_and_no_more_than_it_has_places_for),
        cmocka_unit_test(a_full_queue_makes_its_writer_wait_until_there_is_room_or_a_cancel),
        cmocka_unit_test(a_file_is_held_once_in_a_process_by_whatever_name),
        cmocka_unit_test(a_file_that_somebody_else_here_has_open_is_not_taken),
        cmocka_unit_test(a_path_is_read_from_its_uri),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
