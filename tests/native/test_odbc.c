/* The sink behind ODBC on a driver that answers what the test says, under a whole run; and the session under it. */
#include "core/queue.h"
#include "core/value_text.h"
#include "drivers/drivers.h"
#include "drivers/sink_odbc.h"
#include "fake_odbc.h"
#include "fakes.h"
#include "units.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TARGET "mariadb://loader:s3cr%7Det@127.0.0.1:3307/shop"
#define NEWEST                                                                                                        \
    "7|false|public.orders|70001|1|shop|16384|1000:1000:|0/1000|" FINGERPRINT                                        \
    "|xmin|1000:1000:|made then, holds rows|0|0|0|~|false|~|2026-11-22T17:00:00.000000+00:00"

/* In place of the core's, which opens a library. */
enum rf_code rf_odbc_load(struct rf_odbc_api *api, struct rf_error *err) {
    (void)err;
    fill_fake_odbc(api);
    return RF_OK;
}

struct world {
    struct fakes fakes;
    struct fake_odbc odbc;
    union rf_sink_memory sink;
    struct rf_cancel *cancel;
};

/* (0, NULL, note), (1, NULL, note), … of which the first comes apart. */
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

#define TEXT_TYPE "longtext COLLATE utf8mb4_nopad_bin"

static void reply_all(struct fake_odbc *odbc, bool loaded_before) {
    reply(odbc, "GET_LOCK", "true");
    reply(odbc, "information_schema.schemata", "true");
    reply(odbc, "'leases' THEN 1 END", "1|1");
    reply(odbc, "SELECT load_id, pid", "8|33|run 1|1|test");
    reply(odbc, "FOR UPDATE SKIP LOCKED", "");
    reply(odbc, "FOR UPDATE", "8");
    reply(odbc, "n.kind = 'reset'", loaded_before ? NEWEST : "");
    reply(odbc, "sum(rows_read)", "0|0|0|0|0|0|0|0");
    reply(odbc, "VERSION()", loaded_before ? "2026-11-22T18:00:00.000000+00:00|10.11.4-MariaDB|true|false" : "2026-11-22T18:00:00.000000+00:00|10.11.4-MariaDB|false|false");
    reply(odbc, "FROM information_schema.columns",
          "id|bigint(20)|true|false;amount|decimal(12,4)|false|false;note|" TEXT_TYPE "|false|false;"
          "_extracted_at|datetime(6)|true|false;_load_id|bigint(20)|true|false;_deleted_at|datetime(6)|false|false");
    reply(odbc, "FROM information_schema.statistics", "PRIMARY|id");
    reply_changed(odbc, "INSERT INTO \"_rowferry\".\"loads\"", 1);
    reply(odbc, "SELECT (SELECT CONCAT('made '", "made then, holds rows");
    reply(odbc, "AND load_id = 8", "1");
    reply_changed(odbc, "UPDATE \"_rowferry\".\"leases\"", 1);
    reply_changed(odbc, "UPDATE", 2);
    reply_changed(odbc, "INSERT INTO \"raw", 5); /* as MariaDB counts rows that it passes over */
    reply(odbc, "t.\"_load_id\" = 8", "3");
    reply(odbc, "t.\"_load_id\" > 8", "0");
    reply(odbc, "SELECT count(*)", "loaded");
}

/* The world has to lie where it is made: its parts point at each other. */
static void make_world_of(struct world *world, bool loaded_before, const char *more) {
    memset(world, 0, sizeof *world);
    fake_odbc = &world->odbc;
    make_fakes(&world->fakes, more);
    if (!loaded_before) never_loaded(&world->fakes.facts);
    world->fakes.facts.job.target = TARGET;
    world->fakes.source.n_streams = 0;
    add_source_rows(&world->fakes.source, 3);
    reply_all(&world->odbc, loaded_before);
    take_sink(&world->fakes, &world->sink, &world->cancel);
}

static void make_world(struct world *world, bool loaded_before) {
    make_world_of(world, loaded_before, ",\"lock_timeout\":0");
}

static enum rf_code run(struct world *world) {
    enum rf_code code = rf_transfer(&world->fakes.run, &world->fakes.facts.err);
    assert_always(atomic_load(&world->odbc.n_alive) == 0);
    assert_always(world->sink.odbc.keeper == NULL && world->sink.odbc.ingest == NULL);
    return code;
}

static void drop_world(struct world *world) {
    rf_cancel_release(world->cancel);
    drop_fakes(&world->fakes);
}

/* ---- loads -------------------------------------------------------------------------------------------------- */

TEST(a_first_load_goes_straight_in_with_its_metadata) {
    static struct world world;
    make_world(&world, false);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.odbc.committed);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 3);
    assert_contains(world.odbc.statements, "CREATE TABLE \"raw_postgres\".\"orders\" (\"id\" bigint(20) NOT NULL, \"amount\" decimal(12,4), \"note\" " TEXT_TYPE);
    assert_contains(world.odbc.statements, "INSERT INTO \"raw_postgres\".\"orders\" VALUES (?, ?, ?, TIMESTAMP'");
    assert_string_equal(world.odbc.rows, "0|~|note|;1|~|note|;2|~|note|;");
    drop_world(&world);
}

TEST(a_later_load_goes_by_a_stage_and_counts_what_the_tables_hold) {
    static struct world world;
    make_world(&world, true);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.odbc.committed);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 1);
    assert_int_equal(world.fakes.run.report.this_try.updated, 2);
    assert_contains(world.odbc.statements, "CREATE TEMPORARY TABLE \"_rowferry\".\"rowferry_stage_8\"");
    drop_world(&world);
}

TEST(an_empty_table_that_a_first_load_left_is_made_anew) {
    static struct world world;
    make_world(&world, true);
    never_loaded(&world.fakes.facts);
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "n.kind = 'reset'") == 0) world.odbc.replies[i].rows = "";
    world.odbc.replies[0] = (struct fake_reply){.part = "LIMIT 1) r", .rows = "0"};
    reply(&world.odbc, "GET_LOCK", "true");
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_contains(world.odbc.statements, "DROP TABLE \"raw_postgres\".\"orders\"\nCREATE TABLE \"raw_postgres\".\"orders\"");
    drop_world(&world);
}

TEST(what_commits_by_itself_comes_before_the_transaction) {
    static struct world world;
    make_world(&world, true);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    const char *fence = strstr(world.odbc.statements, "load_id = 8 FOR UPDATE");
    assert_non_null(fence);
    assert_null(strstr(fence, "CREATE"));
    assert_true(strstr(world.odbc.statements, "UPDATE \"_rowferry\".\"rowferry_stage_8\"") > fence);
    drop_world(&world);
}

TEST(whichever_call_of_the_driver_fails_nothing_is_committed_or_left) {
    for (int loaded_before = 0; loaded_before < 2; loaded_before++) {
        bool reached = true;
        for (int nth = 1; reached && !memory_is_scarce; nth++) {
            static struct world world;
            make_world(&world, loaded_before);
            world.odbc.fail_nth = nth;
            enum rf_code code = run(&world);
            reached = atomic_load(&world.odbc.n_calls) >= nth;
            assert_always((code == RF_OK) == world.odbc.committed);
            drop_world(&world);
        }
    }
}

TEST(a_count_that_the_tables_do_not_bear_out_is_never_committed) {
    static struct world world;
    for (int64_t lie = -1; lie < 2; lie += 2) {
        make_world(&world, false);
        world.fakes.source.n_streams = 0;
        add_source_rows(&world.fakes.source, 1); /* no array to be tried on two */
        world.odbc.lie = lie;
        assert_code(run(&world), RF_TARGET, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.message, "the source sent 1 rows");
        assert_false(world.odbc.committed);
        drop_world(&world);
    }
    make_world(&world, true);
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "t.\"_load_id\" = 8") == 0) world.odbc.replies[i].rows = "2";
    assert_code(run(&world), RF_TARGET, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "3 rows were staged");
    assert_false(world.odbc.committed);
    drop_world(&world);
}

TEST(a_lease_that_was_taken_over_commits_nothing) {
    static struct world world;
    make_world(&world, true);
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "FOR UPDATE") == 0) world.odbc.replies[i].rows = "";
    assert_code(run(&world), RF_FENCED, &world.fakes.facts.err);
    assert_false(world.odbc.committed);
    drop_world(&world);
}

TEST(a_record_that_is_not_taken_commits_nothing) {
    static struct world world;
    make_world(&world, true);
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "INSERT INTO \"_rowferry\".\"loads\"") == 0) world.odbc.replies[i].n_changed = 0;
    world.odbc.no_data = true;
    assert_code(run(&world), RF_FENCED, &world.fakes.facts.err);
    assert_false(world.odbc.committed);
    drop_world(&world);
}

TEST(a_statement_without_a_count_is_not_taken_for_done) {
    static struct world world;
    make_world(&world, true);
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "UPDATE") == 0) world.odbc.replies[i].n_changed = -1;
    assert_code(run(&world), RF_INTERNAL, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "did not say how many rows");
    drop_world(&world);
}

TEST(a_table_that_another_run_holds_is_waited_for_and_its_holder_named) {
    static struct world world;
    make_world(&world, true);
    world.odbc.replies[0].rows = "false";
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "SELECT load_id, pid") == 0) world.odbc.replies[i].rows = "7|33|the other|1|someone";
    assert_code(run(&world), RF_BUSY, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "held by run \"the other\", try 1 (someone, session 33");
    assert_lacks(world.odbc.statements, "KILL");
    drop_world(&world);
}

/* ---- arrays ------------------------------------------------------------------------------------------------- */

TEST(a_driver_that_takes_arrays_gets_all_rows_after_the_first_two_at_once) {
    static struct world world;
    make_world(&world, false);
    world.fakes.source.n_streams = 0;
    add_source_rows(&world.fakes.source, 50);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_executes, 2);
    assert_int_equal(world.odbc.most_rows, 48);
    assert_contains(world.odbc.rows, "48|~|note|;49|~|note|;");
    drop_world(&world);
}

TEST(a_driver_that_refuses_arrays_gets_row_after_row) {
    static struct world world;
    make_world(&world, false);
    world.odbc.refuses_arrays = true;
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_executes, 3);
    assert_string_equal(world.odbc.rows, "0|~|note|;1|~|note|;2|~|note|;");
    drop_world(&world);
}

TEST(a_driver_that_agrees_to_an_array_and_takes_its_first_row_is_found_out) {
    static struct world world;
    make_world(&world, false);
    world.odbc.takes_first = true;
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_executes, 3);
    assert_string_equal(world.odbc.rows, "0|~|note|;1|~|note|;2|~|note|;");
    assert_int_equal(world.fakes.run.report.this_try.inserted, 3);
    drop_world(&world);
}

TEST(a_value_that_was_cut_stops_the_run_though_the_driver_only_warns) {
    static struct world world;
    make_world(&world, false);
    world.odbc.truncates = true;
    assert_code(run(&world), RF_DATA, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "a value would be changed");
    assert_false(world.odbc.committed);
    drop_world(&world);
}

TEST(rows_that_the_database_refuses_end_the_run_with_its_reason) {
    static struct world world;
    make_world(&world, false);
    world.odbc.fail_part = "(rows)";
    world.odbc.failure = (struct fake_failure){"22001", 1406, "Data too long for column 'note' at row 1"};
    assert_code(run(&world), RF_DATA, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "target: load rows: Data too long");
    assert_false(world.fakes.facts.err.retryable);
    assert_false(world.odbc.committed);
    drop_world(&world);
}

/* ---- commit ------------------------------------------------------------------------------------------------- */

TEST(a_commit_whose_answer_is_lost_is_looked_up_behind_the_lock_of_its_transaction) {
    static struct world world;
    make_world(&world, true);
    world.odbc.loses_commit = world.odbc.commits_anyway = true;
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_connects, 2);
    const char *record = strstr(world.odbc.statements, "INSERT INTO \"_rowferry\".\"loads\"");
    const char *lock = strstr(record, "FOR UPDATE"), *found = lock ? strstr(lock, "AND load_id = 8") : NULL;
    assert_non_null(found);
    drop_world(&world);
}

TEST(a_cancel_while_the_commit_is_under_way_comes_too_late_and_its_outcome_is_found_out) {
    static struct world world;
    make_world(&world, true);
    world.odbc.loses_commit = world.odbc.commits_anyway = true;
    world.odbc.cancel_at_commit = world.cancel;
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_connects, 2);
    drop_world(&world);
}

static int n_commits;

static enum rf_code commit_into_a_busy_file(void *self, struct rf_error *err) {
    (void)self;
    n_commits++;
    return rf_fail(err, RF_BUSY, "database is locked");
}

static enum rf_code open_short_of_memory(void *self, struct rf_error *err) {
    (void)self;
    return rf_no_memory(err);
}

static void do_nothing(void *self) {
    (void)self;
}

/* Without a pause it would be thousands. */
TEST(behind_a_cancel_a_commit_into_a_busy_file_is_tried_again_with_a_pause) {
    static const struct rf_session_ops busy = {.open = open_short_of_memory, .commit = commit_into_a_busy_file, .stop_listening = do_nothing, .close = do_nothing};
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_job job = {.lock_timeout = 0.1, .target_label = "raw.orders"};
    struct rf_sink_odbc sink = {.job = &job, .row = rf_dialect_row(RF_DIALECT_SQLITE), .cancel = cancel, .session = {.ops = &busy}, .odbc = {.past_cancel = true}};
    struct rf_error err;
    n_commits = 0;
    rf_cancel_request(cancel);
    assert_int_equal(rf_odbc_commit_load(&sink, &err), RF_BUSY);
    assert_in_range(n_commits, 2, 5);
    rf_cancel_release(cancel);
}

TEST(a_commit_that_is_lost_with_its_answer_is_a_failure_that_may_be_tried_again) {
    static struct world world;
    make_world(&world, true);
    world.odbc.loses_commit = true;
    /* found before the commit, where the record was just inserted, and not after */
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "AND load_id = 8") == 0) world.odbc.replies[i].rows = "0";
    assert_code(run(&world), RF_INTERNAL, &world.fakes.facts.err);
    assert_false(world.odbc.committed);
    drop_world(&world);
}

TEST(a_transaction_that_the_server_ended_for_another_is_tried_again_with_the_same_stage) {
    static struct world world;
    make_world(&world, true);
    world.odbc.fail_part = "UPDATE \"_rowferry\".\"rowferry_stage_8\"";
    world.odbc.fail_times = 2;
    world.odbc.failure = (struct fake_failure){"40001", 1213, "Deadlock found when trying to get lock; try restarting transaction"};
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.odbc.rolled_back && world.odbc.committed);
    assert_int_equal(world.fakes.run.report.this_try.updated, 2);
    drop_world(&world);
}

TEST(a_merge_that_fails_for_another_reason_is_not_tried_again) {
    static struct world world;
    make_world(&world, true);
    world.odbc.fail_part = "UPDATE \"_rowferry\".\"rowferry_stage_8\"";
    world.odbc.failure = (struct fake_failure){"22003", 1264, "Out of range value for column 'amount' at row 1"};
    assert_code(run(&world), RF_DATA, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.hint, "as_text");
    assert_false(world.odbc.committed);
    drop_world(&world);
}

/* ---- cancelling --------------------------------------------------------------------------------------------- */

static void *cancel_once_waiting(void *arg) {
    struct world *world = arg;
    while (!atomic_load(&world->odbc.is_waiting)) sched_yield();
    rf_cancel_request(world->cancel);
    return NULL;
}

static void check_cancelled(const char *wait_part) {
    static struct world world;
    pthread_t thread;
    make_world(&world, true);
    world.odbc.wait_part = wait_part;
    assert_int_equal(pthread_create(&thread, NULL, cancel_once_waiting, &world), 0);
    enum rf_code code = rf_transfer(&world.fakes.run, &world.fakes.facts.err);
    atomic_store(&world.odbc.is_waiting, true); /* a run that was short of memory never waited */
    pthread_join(thread, NULL);
    assert_always(atomic_load(&world.odbc.n_alive) == 0 && !world.odbc.committed);
    assert_code(code, RF_CANCELLED, &world.fakes.facts.err);
    drop_world(&world);
}

TEST(a_statement_that_runs_is_interrupted) {
    check_cancelled("UPDATE \"_rowferry\".\"rowferry_stage_8\"");
}

TEST(rows_that_are_being_taken_are_interrupted) {
    check_cancelled("INSERT INTO \"_rowferry\".\"rowferry_stage_8\"");
}

/* ---- comparing ---------------------------------------------------------------------------------------------- */

static char page[16384];

/* As the target gives rows from `from` to before `to`, in a place of its own behind those of before. */
static const char *print_rows(size_t *used, int from, int to) {
    const char *begin = page + *used;
    for (int i = from; i < to; i++) *used += (size_t)snprintf(page + *used, sizeof page - *used, "%s%d|~|note", i > from ? ";" : "", i);
    *used += 1;
    page[*used - 1] = '\0';
    return begin;
}

/* A run into an existing table that compares: the source sends its rows once for the load, and for each pass over it. */
static void make_comparing_world(struct world *world, int n_rows, const char *first_page, const char *second_page) {
    make_world_of(world, true, ",\"verify\":true,\"lock_timeout\":0");
    world->fakes.source.n_streams = 0;
    add_source_rows(&world->fakes.source, 3);
    add_source_rows(&world->fakes.source, n_rows);
    add_source_rows(&world->fakes.source, n_rows);
    memmove(world->odbc.replies + 2, world->odbc.replies, (size_t)world->odbc.n_replies * sizeof *world->odbc.replies);
    world->odbc.n_replies += 2;
    world->odbc.replies[0] = (struct fake_reply){.part = "AND (\"id\" > @rowferry_key_0) ORDER BY \"id\" LIMIT 256 OFFSET 0", .rows = second_page};
    world->odbc.replies[1] = (struct fake_reply){.part = "SELECT CAST(\"id\" AS CHAR), CAST(\"amount\" AS CHAR), \"note\" FROM \"raw_postgres\".\"orders\""
                                                         " WHERE \"_deleted_at\" IS NULL ORDER BY \"id\" LIMIT 256 OFFSET 0", .rows = first_page};
}

TEST(a_run_compares_what_its_transaction_holds_and_commits_what_is_equal) {
    static struct world world;
    make_comparing_world(&world, 3, "2|~|note;0|~|note;1|~|note", NULL);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.odbc.committed && world.fakes.run.report.verification.exact);
    assert_int_equal(world.fakes.run.report.verification.equal, 3);
    const char *wait = strstr(world.odbc.statements, "idle_transaction_timeout = 0\n"), *limit = strstr(world.odbc.statements, "idle_transaction_timeout = 120\nINSERT INTO \"_rowferry\".\"loads\"");
    assert_true(wait && limit && wait < limit);
    drop_world(&world);
}

TEST(rows_are_read_page_by_page_each_behind_the_key_of_the_one_before) {
    static struct world world;
    size_t used = 0;
    const char *first = print_rows(&used, 0, 256), *second = print_rows(&used, 256, 260);
    make_comparing_world(&world, 3, first, second);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err); /* by row versions no delete is seen */
    assert_int_equal(world.fakes.run.report.verification.equal, 3);
    assert_int_equal(world.fakes.run.report.verification.target_only, 257);
    assert_contains(world.odbc.statements, "SELECT \"id\" INTO @rowferry_key_0 FROM \"raw_postgres\".\"orders\" WHERE \"_deleted_at\" IS NULL ORDER BY \"id\" LIMIT 1 OFFSET 255\n");
    drop_world(&world);
}

TEST(a_difference_is_named_and_commits_nothing) {
    static const struct { const char *held, *message; } cases[] = {
        {"0|~|note;1|~|Note;2|~|note", "1 rows differ, 0 are missing, 0 are only in the target; first key (1)"},
        {"0|~|note;1|0.0001|note;2|~|note", "1 rows differ, 0 are missing, 0 are only in the target; first key (1)"},
        {"0|~|note;2|~|note", "0 rows differ, 1 are missing, 0 are only in the target; first key (1)"},
        {"0|~|note;one|~|note;2|~|note", "0 rows differ, 1 are missing, 1 are only in the target; first key (1)"},
    };
    for (size_t i = 0; i < (memory_is_scarce ? 1 : N_OF(cases)); i++) {
        static struct world world;
        make_comparing_world(&world, 3, cases[i].held, NULL);
        assert_code(run(&world), RF_DATA, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.message, cases[i].message);
        assert_false(world.odbc.committed);
        drop_world(&world);
    }
}

TEST(whichever_call_fails_while_rows_are_compared_nothing_is_committed_or_left) {
    bool failed = true;
    for (int nth = 1; failed && !memory_is_scarce; nth++) {
        static struct world world;
        assert_true(nth < 1000);
        make_comparing_world(&world, 3, "0|~|note;1|~|note;2|~|note", NULL);
        world.odbc.fail_nth = nth;
        failed = run(&world) != RF_OK;
        assert_always(failed != world.odbc.committed || world.odbc.n_connects > 1);
        drop_world(&world);
    }
}

TEST(a_value_of_several_pieces_is_compared_to_its_last_byte) {
    static char held[12000];
    static struct world world;
    static uint8_t note[10001];
    memset(note, 'x', sizeof note);
    int used = snprintf(held, sizeof held, "0|~|%.*s", (int)sizeof note, (const char *)note);
    for (int damaged = 0; damaged < (memory_is_scarce ? 1 : 2); damaged++) {
        make_comparing_world(&world, 3, held, NULL);
        world.fakes.source.n_streams = 0;
        add_source_rows(&world.fakes.source, 3);
        for (int pass = 0; pass < 2; pass++) {
            struct fake_stream *stream = add_stream(&world.fakes.source);
            begin_copy(stream);
            add_row(stream, 3);
            add_field(stream, (uint8_t[8]){0}, 8);
            add_field(stream, NULL, -1);
            add_field(stream, note, sizeof note);
            end_copy(stream, 1);
        }
        held[used - 1] = damaged ? 'y' : 'x';
        assert_code(run(&world), damaged ? RF_DATA : RF_OK, &world.fakes.facts.err);
        drop_world(&world);
    }
}

TEST(verifying_later_sees_one_state_and_writes_nothing) {
    static struct world world;
    char *json = NULL;
    make_comparing_world(&world, 3, "0|~|note;1|~|note;2|~|note", NULL);
    memmove(world.fakes.source.streams, world.fakes.source.streams + 1, 2 * sizeof *world.fakes.source.streams);
    enum rf_code code = rf_transfer_verify(&world.fakes.run, &json, &world.fakes.facts.err);
    assert_always(atomic_load(&world.odbc.n_alive) == 0);
    assert_code(code, RF_OK, &world.fakes.facts.err);
    assert_contains(json, "\"equal\":3");
    const char *begun = strstr(world.odbc.statements, "START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT\n"), *newest = strstr(world.odbc.statements, "n.kind = 'reset'");
    const char *limit = strstr(world.odbc.statements, "wait_timeout = 120\n"), *slow = strstr(world.odbc.statements, "wait_timeout = 31536000\n");
    assert_true(begun && newest && begun < newest);
    assert_true(limit && slow && limit < slow && slow < begun);
    const char *idle = strstr(slow, "idle_transaction_timeout = 0\n");
    assert_true(idle && idle < begun);
    assert_lacks(world.odbc.statements, "UPDATE");
    assert_lacks(world.odbc.statements, "INSERT");
    free(json);
    drop_world(&world);
}

/* ---- connecting --------------------------------------------------------------------------------------------- */

TEST(a_driver_is_found_by_its_name_and_told_what_the_uri_says) {
    static struct world world;
    make_world(&world, true);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_string_equal(world.odbc.connection_string,
                        "DRIVER={MariaDB Unicode};UID=loader;PWD={s3cr}}et};SERVER=127.0.0.1;PORT=3307;DATABASE=shop;CHARSET=utf8mb4;TCPIP=1;");
    drop_world(&world);
}

TEST(without_a_driver_the_error_names_the_package) {
    static struct world world;
    make_world(&world, true);
    world.odbc.drivers = "Some Other";
    assert_code(run(&world), RF_CONFIG, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.hint, "apt-get install odbc-mariadb");
    drop_world(&world);
}

TEST(a_driver_that_cannot_be_loaded_is_named_with_what_it_lacks) {
    static struct world world;
    make_world(&world, true);
    world.odbc.fail_part = "(connect)";
    world.odbc.failure = (struct fake_failure){"01000", 0, "Can't open lib '/no/such/libdriver.so' : file not found"};
    assert_code(run(&world), RF_CONFIG, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "/no/such/libdriver.so cannot be loaded");
    assert_contains(world.fakes.facts.err.hint, "ldd");
    drop_world(&world);
}

TEST(a_database_of_another_make_is_refused_by_name) {
    static struct world world;
    make_world(&world, true);
    world.odbc.dbms = "Oracle";
    assert_code(run(&world), RF_CONFIG, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "\"Oracle\"");
    drop_world(&world);
    make_world(&world, true);
    for (int i = 0; i < world.odbc.n_replies; i++)
        if (strcmp(world.odbc.replies[i].part, "VERSION()") == 0) world.odbc.replies[i].rows = "2026-11-22T18:00:00.000000+00:00|0.0|false|false";
    assert_code(run(&world), RF_CONFIG, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.hint, "MariaDB of version 10.6 or newer");
    drop_world(&world);
}

TEST(a_password_that_a_driver_quotes_is_hidden) {
    static struct world world;
    make_world(&world, true);
    world.odbc.fail_part = "(connect)";
    world.odbc.failure = (struct fake_failure){"28000", 1045, "Access denied, s3cr}et is wrong, and so is s3cr}et"};
    assert_code(run(&world), RF_AUTH, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "Access denied, *** is wrong, and so is ***");
    assert_lacks(world.fakes.facts.err.server_message, "s3cr");
    drop_world(&world);
}

TEST(a_password_is_hidden_also_as_a_connection_string_writes_it_and_where_the_text_is_cut) {
    static struct world world;
    static const char *const ends[] = {"PWD={s3cr}}et};", "PWD=s3cr", "PWD={s3cr}", "PWD={s3cr}}", "PWD={s3cr}}e", "PWD=s3cr}e"};
    for (size_t i = 0; i < (memory_is_scarce ? 1 : N_OF(ends)); i++) {
        char said[64];
        snprintf(said, sizeof said, "cannot connect by %s", ends[i]);
        make_world(&world, true);
        world.odbc.fail_part = "(connect)";
        world.odbc.failure = (struct fake_failure){"08001", 0, said};
        assert_code(run(&world), RF_TARGET, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.server_message, "cannot connect by PWD=");
        assert_contains(world.fakes.facts.err.server_message, "***");
        assert_lacks(world.fakes.facts.err.server_message, "s3cr");
        assert_lacks(world.fakes.facts.err.message, "s3cr");
        drop_world(&world);
    }
}

TEST(a_long_answer_is_read_in_pieces) {
    static struct world world;
    static char rows[10100], newest[10400];
    memset(rows, 'x', 10000);
    snprintf(newest, sizeof newest, "7|false|public.orders|70001|1|shop|16384|1000:1000:|0/1000|%s|xmin|1000:1000:|f|0|0|0|~|false|~|~", rows);
    for (int spares = 0; spares < (memory_is_scarce ? 1 : 2); spares++) {
        make_world(&world, true);
        world.odbc.spares = spares;
        for (int i = 0; i < world.odbc.n_replies; i++)
            if (strcmp(world.odbc.replies[i].part, "n.kind = 'reset'") == 0) world.odbc.replies[i].rows = newest;
        struct rf_load last;
        struct rf_run_total total;
        struct rf_error *err = &world.fakes.facts.err;
        struct rf_sink *sink = &world.fakes.run.sink;
        enum rf_code code = sink->ops->open(sink->self, false, err);
        if (code == RF_OK) code = sink->ops->newest(sink->self, &last, &total, err);
        sink->ops->close(sink->self);
        assert_code(code, RF_OK, err);
        assert_string_equal(last.fingerprint, rows);
        drop_world(&world);
    }
}

/* ---- URIs --------------------------------------------------------------------------------------------------- */

TEST(a_connection_is_read_from_its_uri) {
    static const struct { const char *uri, *pairs; } forms[] = {
        {"mysql://h", "SERVER=h;CHARSET=utf8mb4;TCPIP=1;FORCETLS=1;SSLVERIFY=1;"},
        {"mariadb://u@localhost/db?sslmode=require", "UID=u;SERVER=localhost;DATABASE=db;CHARSET=utf8mb4;TCPIP=1;FORCETLS=1;"},
        {"mariadb://[::1]:3307", "SERVER=::1;PORT=3307;CHARSET=utf8mb4;TCPIP=1;"},
        {"mariadb://u@/db?socket=/run/m.sock", "UID=u;SERVER=localhost;DATABASE=db;CHARSET=utf8mb4;SOCKET=/run/m.sock;"},
        {"mariadb://u:a%7Bb@h?sslrootcert=%2Fca.pem", "UID=u;PWD={a{b};SERVER=h;CHARSET=utf8mb4;SSLCA=/ca.pem;TCPIP=1;FORCETLS=1;SSLVERIFY=1;"},
        {"mariadb://h?sslmode=disable", "SERVER=h;CHARSET=utf8mb4;TCPIP=1;"},
        {"sqlite:///tmp/a%20b.sqlite", "DATABASE=/tmp/a b.sqlite;TIMEOUT=1;STEPAPI=1;"},
        {"odbc:DSN=warehouse;UID=u", "DSN=warehouse;UID=u;"},
        {"odbc:driver = {A; B};pwd={x;y}}z}", "driver = {A; B};pwd={x;y}}z};"},
    };
    for (size_t i = 0; i < N_OF(forms); i++) {
        struct rf_arena arena;
        struct rf_odbc_uri uri;
        struct rf_error err;
        rf_arena_init(&arena, 1 << 16);
        assert_true(rf_is_odbc(forms[i].uri));
        assert_code(rf_odbc_uri_read(forms[i].uri, &arena, &uri, &err), RF_OK, &err);
        assert_string_equal(uri.pairs, forms[i].pairs);
        if (strstr(forms[i].uri, "pwd=")) assert_string_equal(uri.secrets[0], "x;y}z");
        rf_arena_free(&arena);
    }
}

TEST(a_uri_that_is_none_is_refused_without_a_word_of_it) {
    static const char *const wrong[] = {"mysql:h",          "mariadb://h:port",       "mariadb://[::1",  "mariadb://u:p4ss%zz@h", "mariadb://h?sslmode=maybe",
                                        "mariadb://h?x=1",  "sqlite://h/x",           "sqlite:///dir/",  "sqlite:///f?mode=ro",   "sqlite:///a;b",
                                        "odbc:",            "odbc:p4ss",              "odbc:UID=u",      "odbc:DSN=a;p4ss"};
    for (size_t i = 0; i < N_OF(wrong); i++) {
        struct rf_arena arena;
        struct rf_odbc_uri uri;
        struct rf_error err;
        rf_arena_init(&arena, 1 << 16);
        enum rf_code code = rf_odbc_uri_read(wrong[i], &arena, &uri, &err);
        if (code != RF_CONFIG && code != RF_NO_MEMORY) fail_msg("%s was taken", wrong[i]);
        assert_lacks(err.message, "p4ss");
        rf_arena_free(&arena);
    }
}

/* ---- values ------------------------------------------------------------------------------------------------- */

static void check_text(enum rf_wire wire, int scale, const void *value, const char *expected) {
    char text[RF_VALUE_TEXT_BYTES + 1] = "";
    const struct rf_type type = {.wire = wire, .scale = scale, .format = "tsu:UTC"};
    const struct ArrowArray array = {.length = 1, .buffers = (const void *[]){NULL, value}};
    int length = rf_value_text(&type, &array, 0, "+00:00", text);
    if (!expected) {
        assert_int_equal(length, -1);
        return;
    }
    assert_int_equal(length, (int)strlen(expected));
    assert_memory_equal(text, expected, strlen(expected));
}

TEST(values_are_printed_to_their_last_digit) {
    static const struct { int64_t low, high; int scale; const char *text; } decimals[] = {
        {0, 0, 0, "0"}, {0, 0, 2, "0.00"}, {-5, -1, 2, "-0.05"}, {1234, 0, 2, "12.34"}, {-1, -1, 0, "-1"},
        {INT64_C(687399551400673279), INT64_C(5421010862427522170), 0, "99999999999999999999999999999999999999"},
    };
    for (size_t i = 0; i < N_OF(decimals); i++) check_text(RF_WIRE_NUMERIC, decimals[i].scale, (const int64_t[]){decimals[i].low, decimals[i].high}, decimals[i].text);
    check_text(RF_WIRE_UUID, 0, "\x01\x23\x45\x67\x89\xab\xcd\xef\x00\xff\x10\x20\x30\x40\x50\x60", "01234567-89ab-cdef-00ff-102030405060");
    check_text(RF_WIRE_DATE, 0, (const int32_t[]){0}, "1970-01-01");
    check_text(RF_WIRE_DATE, 0, (const int32_t[]){19782}, "2024-02-29");
    check_text(RF_WIRE_DATE, 0, (const int32_t[]){-719162}, "0001-01-01");
    check_text(RF_WIRE_DATE, 0, (const int32_t[]){2932896}, "9999-12-31");
    check_text(RF_WIRE_DATE, 0, (const int32_t[]){-719163}, NULL);
    check_text(RF_WIRE_DATE, 0, (const int32_t[]){INT32_MAX}, NULL);
    check_text(RF_WIRE_TIME, 0, (const int64_t[]){INT64_C(86400000000)}, "24:00:00.000000");
    check_text(RF_WIRE_TIMESTAMP, 0, (const int64_t[]){-1}, "1969-12-31 23:59:59.999999+00:00");
    check_text(RF_WIRE_TIMESTAMP, 0, (const int64_t[]){INT64_C(253402300799999999)}, "9999-12-31 23:59:59.999999+00:00");
    check_text(RF_WIRE_TIMESTAMP, 0, (const int64_t[]){INT64_C(253402300800000000)}, NULL);
    check_text(RF_WIRE_TIMESTAMP, 0, (const int64_t[]){-INT64_MAX}, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_load_goes_straight_in_with_its_metadata),
        cmocka_unit_test(a_later_load_goes_by_a_stage_and_counts_what_the_tables_hold),
        cmocka_unit_test(an_empty_table_that_a_first_load_left_is_made_anew),
        cmocka_unit_test(what_commits_by_itself_comes_before_the_transaction),
        cmocka_unit_test(whichever_call_of_the_driver_fails_nothing_is_committed_or_left),
        cmocka_unit_test(a_count_that_the_tables_do_not_bear_out_is_never_committed),
        cmocka_unit_test(a_lease_that_was_taken_over_commits_nothing),
        cmocka_unit_test(a_record_that_is_not_taken_commits_nothing),
        cmocka_unit_test(a_statement_without_a_count_is_not_taken_for_done),
        cmocka_unit_test(a_table_that_another_run_holds_is_waited_for_and_its_holder_named),
        cmocka_unit_test(a_driver_that_takes_arrays_gets_all_rows_after_the_first_two_at_once),
        cmocka_unit_test(a_driver_that_refuses_arrays_gets_row_after_row),
        cmocka_unit_test(a_driver_that_agrees_to_an_array_and_takes_its_first_row_is_found_out),
        cmocka_unit_test(a_value_that_was_cut_stops_the_run_though_the_driver_only_warns),
        cmocka_unit_test(rows_that_the_database_refuses_end_the_run_with_its_reason),
        cmocka_unit_test(a_commit_whose_answer_is_lost_is_looked_up_behind_the_lock_of_its_transaction),
        cmocka_unit_test(a_cancel_while_the_commit_is_under_way_comes_too_late_and_its_outcome_is_found_out),
        cmocka_unit_test(behind_a_cancel_a_commit_into_a_busy_file_is_tried_again_with_a_pause),
        cmocka_unit_test(a_commit_that_is_lost_with_its_answer_is_a_failure_that_may_be_tried_again),
        cmocka_unit_test(a_transaction_that_the_server_ended_for_another_is_tried_again_with_the_same_stage),
        cmocka_unit_test(a_merge_that_fails_for_another_reason_is_not_tried_again),
        cmocka_unit_test(a_statement_that_runs_is_interrupted),
        cmocka_unit_test(rows_that_are_being_taken_are_interrupted),
        cmocka_unit_test(a_run_compares_what_its_transaction_holds_and_commits_what_is_equal),
        cmocka_unit_test(rows_are_read_page_by_page_each_behind_the_key_of_the_one_before),
        cmocka_unit_test(a_difference_is_named_and_commits_nothing),
        cmocka_unit_test(whichever_call_fails_while_rows_are_compared_nothing_is_committed_or_left),
        cmocka_unit_test(a_value_of_several_pieces_is_compared_to_its_last_byte),
        cmocka_unit_test(verifying_later_sees_one_state_and_writes_nothing),
        cmocka_unit_test(a_driver_is_found_by_its_name_and_told_what_the_uri_says),
        cmocka_unit_test(without_a_driver_the_error_names_the_package),
        cmocka_unit_test(a_driver_that_cannot_be_loaded_is_named_with_what_it_lacks),
        cmocka_unit_test(a_database_of_another_make_is_refused_by_name),
        cmocka_unit_test(a_password_that_a_driver_quotes_is_hidden),
        cmocka_unit_test(a_password_is_hidden_also_as_a_connection_string_writes_it_and_where_the_text_is_cut),
        cmocka_unit_test(a_long_answer_is_read_in_pieces),
        cmocka_unit_test(a_connection_is_read_from_its_uri),
        cmocka_unit_test(a_uri_that_is_none_is_refused_without_a_word_of_it),
        cmocka_unit_test(values_are_printed_to_their_last_digit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
