/* The ADBC driver for DuckDB on a library that keeps no rows, through the sessions that the sink has. */
#include "core/sql_duckdb.h"
#include "drivers/duckdb.h"
#include "fake_duckdb.h"
#include "text_arrays.h"
#include "units.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define LIBRARY "libduckdb.so"
#define INSERT "INSERT INTO \"t\" SELECT * FROM " RF_DUCKDB_ROWS "()"

/* In place of the core's, which opens a library. */
enum rf_code rf_duckdb_find(const char *library, struct rf_duckdb_api *api, void **handle, struct rf_error *err) {
    static char one, another;
    if (strcmp(library, "absent") == 0) return rf_fail(err, RF_CONFIG, "there is no such library");
    *handle = strcmp(library, LIBRARY) == 0 ? &one : &another;
    memset(api, 0, sizeof *api);
    if (*handle == &one) fill_fake_duckdb(api);
    return RF_OK;
}

struct world {
    struct fake_duckdb fake;
    struct rf_adbc adbc;
    struct rf_cancel *cancel;
    struct rf_arena arena;
    struct rf_result rows;
    struct rf_error err;
};

static void make_world(struct world *world) {
    memset(world, 0, sizeof *world);
    make_fake_duckdb(&world->fake);
    rf_arena_init(&world->arena, 65536);
    world->cancel = needed(rf_cancel_new());
    assert_code(rf_duckdb_load(&world->adbc, LIBRARY, &world->err), RF_OK, &world->err);
}

static enum rf_code open_session(struct world *world) {
    const struct rf_adbc_option options[] = {{"path", "/there/t.duckdb"}, {"memory_limit", "1GB"}, {"threads", "3"}};
    return rf_adbc_open(&world->adbc, options, (int)N_OF(options), world->cancel, &world->err);
}

static void make_open_world(struct world *world) {
    make_world(world);
    assert_code(open_session(world), RF_OK, &world->err);
}

/* Nothing of the session is left, and what failed in it had a reason. */
static void close_session(struct world *world) {
    rf_adbc_close(&world->adbc);
    assert_always(!strstr(world->err.message, "gave no reason"));
    assert_always(atomic_load(&world->fake.n_alive) == 0);
    assert_always(atomic_load(&world->fake.n_misused) == 0);
}

static void drop_world(struct world *world) {
    close_session(world);
    rf_cancel_release(world->cancel);
    rf_arena_free(&world->arena);
}

static struct rf_text text_of(const char *sql) {
    struct rf_text text = {0};
    rf_text_add(&text, sql);
    return text;
}

static enum rf_code execute(struct world *world, const char *sql, int64_t *n_changed) {
    struct rf_text text = text_of(sql);
    return rf_adbc_execute(&world->adbc, "execute", &text, n_changed, &world->err);
}

static enum rf_code read_rows(struct world *world, const char *sql) {
    struct rf_text text = text_of(sql);
    return rf_adbc_read(&world->adbc, "read", &text, &world->arena, &world->rows, &world->err);
}

/* ---- rows to be taken: arrays of two each, which begin with their numbers ------------------------------------- */

struct given {
    int n_arrays;
    int empty; /* the array that has no rows, from 0; -1: none */
    int fails; /* the array that there is an error in place of; -1: none */
    atomic_int n_asked;
};

static int give_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    (void)stream;
    if (fake_duckdb_fails()) return EIO;
    make_text_schema("0|x", "u", out);
    return 0;
}

/* Threads ask for arrays all at once, and again when there are no more. */
static int give_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct given *given = stream->private_data;
    char rows[32];
    int i = atomic_fetch_add(&given->n_asked, 1);
    *out = (struct ArrowArray){0};
    if (fake_duckdb_fails() || i == given->fails) return EIO;
    snprintf(rows, sizeof rows, "%d|x;%d|y", 2 * i, 2 * i + 1);
    if (i < given->n_arrays) make_text_array(i == given->empty ? "" : rows, &fake_duckdb->n_alive, out);
    return 0;
}

static const char *give_reason(struct ArrowArrayStream *stream) {
    (void)stream;
    return "Conversion Error: these are no rows";
}

static void release_stream(struct ArrowArrayStream *stream) {
    atomic_fetch_sub(&fake_duckdb->n_alive, 1);
    stream->release = NULL;
}

static enum rf_code ingest(struct world *world, const char *sql, struct given *given) {
    struct ArrowArrayStream stream = {.get_schema = give_schema, .get_next = give_next, .get_last_error = give_reason, .release = release_stream, .private_data = given};
    struct rf_text text = text_of(sql);
    atomic_fetch_add(&world->fake.n_alive, 1);
    return rf_adbc_ingest(&world->adbc, "load rows", &text, &stream, &world->err);
}

/* ---- the library -------------------------------------------------------------------------------------------- */

TEST(a_process_has_one_duckdb) {
    static struct world world;
    make_world(&world);
    struct rf_adbc other = {0};
    assert_code(rf_duckdb_load(&other, "another", &world.err), RF_CONFIG, &world.err);
    assert_contains(world.err.message, "another is another DuckDB than the one");
    assert_false(other.is_loaded);
    assert_code(rf_duckdb_load(&other, "absent", &world.err), RF_CONFIG, &world.err);
    assert_code(rf_duckdb_load(&other, LIBRARY, &world.err), RF_OK, &world.err);
    assert_true(other.is_loaded);
    assert_code(open_session(&world), RF_OK, &world.err);
    drop_world(&world);
}

/* ---- opening ------------------------------------------------------------------------------------------------ */

TEST(options_are_set_before_the_file_is_opened) {
    static struct world world;
    make_open_world(&world);
    assert_string_equal(world.fake.options, "memory_limit=1GB threads=3 ");
    assert_string_equal(world.fake.statements, "");
    drop_world(&world);
}

TEST(an_option_that_is_refused_is_named_with_its_value_in_whole_characters) {
    static struct world world;
    char value[401];
    for (int i = 0; i < 400; i += 2) memcpy(value + i, "\303\244", 3);
    for (int cut = 0; cut < 2; cut++) {
        make_world(&world);
        world.fake.fail_nth = 2;
        const struct rf_adbc_option option = {"memory_limit", cut ? value : "much"};
        assert_code(rf_adbc_open(&world.adbc, &option, 1, world.cancel, &world.err), RF_DATA, &world.err);
        assert_contains(world.err.message, cut ? "\"\303\244" : "\"much\" is no value of memory_limit");
        assert_true(is_utf8(world.err.message));
        drop_world(&world);
    }
}

TEST(a_file_that_cannot_be_opened_gives_its_reason) {
    static struct world world;
    make_world(&world);
    world.fake.fail_nth = 4; /* a configuration, two options, the file */
    enum rf_code code = open_session(&world);
    drop_world(&world);
    assert_code(code, RF_TARGET, &world.err);
    assert_contains(world.err.message, "open: it was told to fail");
}

/* ---- statements --------------------------------------------------------------------------------------------- */

TEST(a_statement_says_how_many_rows_it_changed) {
    static struct world world;
    int64_t n_changed = -1;
    make_open_world(&world);
    world.fake.answers[0] = (struct fake_duckdb_answer){.part = "DELETE", .n_changed = 7};
    assert_code(execute(&world, "DELETE FROM t", &n_changed), RF_OK, &world.err);
    assert_int_equal(n_changed, 7);
    assert_code(execute(&world, "CREATE TABLE t", &n_changed), RF_OK, &world.err);
    assert_int_equal(n_changed, 0);
    drop_world(&world);
}

TEST(a_query_is_read_chunk_by_chunk) {
    static struct world world;
    make_open_world(&world);
    world.fake.answers[0] = (struct fake_duckdb_answer){.part = "FROM t", .rows = "a|b;~|d;e|f"};
    assert_code(read_rows(&world, "SELECT x, y FROM t"), RF_OK, &world.err);
    assert_int_equal(world.rows.n_rows, 3);
    assert_int_equal(world.rows.n_columns, 2);
    assert_string_equal(rf_result_cell(&world.rows, 0, 1), "b");
    assert_null(rf_result_cell(&world.rows, 1, 0));
    assert_string_equal(rf_result_cell(&world.rows, 2, 0), "e");
    assert_code(read_rows(&world, "SELECT x FROM nothing"), RF_OK, &world.err);
    assert_int_equal(world.rows.n_rows, 0);
    drop_world(&world);
}

TEST(a_result_that_breaks_off_is_no_end_of_it) {
    static struct world world;
    make_open_world(&world);
    world.fake.answers[0] = (struct fake_duckdb_answer){.part = "FROM t", .rows = "a;b;c"};
    world.fake.give_at_most = 2;
    assert_code(read_rows(&world, "SELECT x FROM t"), RF_TARGET, &world.err);
    assert_contains(world.err.message, "IO Error: the result broke off");
    assert_code(execute(&world, "SELECT x FROM t", NULL), RF_TARGET, &world.err);
    drop_world(&world);
}

TEST(a_statement_that_fails_gives_the_first_line_of_its_reason) {
    static struct world world;
    make_open_world(&world);
    world.fake.fail_sql = "t";
    assert_code(execute(&world, "DELETE FROM t", NULL), RF_TARGET, &world.err);
    assert_string_equal(world.err.server_message, "it was told to fail");
    assert_code(read_rows(&world, "SELECT 1 FROM t"), RF_TARGET, &world.err);
    assert_string_equal(world.err.server_message, "it was told to fail");
    drop_world(&world);
}

/* ---- transactions ------------------------------------------------------------------------------------------- */

TEST(a_transaction_begins_with_its_first_statement_and_ends_once) {
    static struct world world;
    make_open_world(&world);
    assert_code(rf_adbc_rollback(&world.adbc, &world.err), RF_OK, &world.err);
    assert_string_equal(world.fake.statements, "");
    assert_code(execute(&world, "CREATE TABLE t", NULL), RF_OK, &world.err);
    assert_code(execute(&world, "DELETE FROM t", NULL), RF_OK, &world.err);
    assert_code(rf_adbc_rollback(&world.adbc, &world.err), RF_OK, &world.err);
    assert_code(rf_adbc_rollback(&world.adbc, &world.err), RF_OK, &world.err);
    assert_code(execute(&world, "DROP TABLE t", NULL), RF_OK, &world.err);
    assert_code(rf_adbc_commit(&world.adbc, &world.err), RF_OK, &world.err);
    assert_code(rf_adbc_commit(&world.adbc, &world.err), RF_OK, &world.err);
    assert_string_equal(world.fake.statements, "BEGIN\nCREATE TABLE t\nDELETE FROM t\nROLLBACK\nBEGIN\nDROP TABLE t\nCOMMIT\n");
    drop_world(&world);
}

TEST(a_session_that_is_closed_rolls_back_what_it_has_begun) {
    static struct world world;
    make_open_world(&world);
    assert_code(execute(&world, "DELETE FROM t", NULL), RF_OK, &world.err);
    close_session(&world);
    assert_string_equal(world.fake.statements, "BEGIN\nDELETE FROM t\nROLLBACK\n");
    drop_world(&world);
}

TEST(a_commit_that_failed_is_neither_repeated_nor_rolled_back) {
    static struct world world;
    make_open_world(&world);
    world.fake.fail_sql = "COMMIT";
    assert_code(execute(&world, "DELETE FROM t", NULL), RF_OK, &world.err);
    assert_code(rf_adbc_commit(&world.adbc, &world.err), RF_TARGET, &world.err);
    assert_contains(world.err.message, "commit: it was told to fail");
    assert_code(rf_adbc_commit(&world.adbc, &world.err), RF_OK, &world.err);
    close_session(&world);
    assert_string_equal(world.fake.statements, "BEGIN\nDELETE FROM t\nCOMMIT\n");
    drop_world(&world);
}

TEST(a_transaction_that_cannot_begin_runs_nothing) {
    static struct world world;
    make_open_world(&world);
    world.fake.fail_sql = "BEGIN";
    assert_code(execute(&world, "DELETE FROM t", NULL), RF_TARGET, &world.err);
    close_session(&world);
    assert_string_equal(world.fake.statements, "BEGIN\n");
    drop_world(&world);
}

TEST(a_session_that_commits_by_itself_begins_nothing) {
    static struct world world;
    make_open_world(&world);
    assert_code(rf_adbc_set_autocommit(&world.adbc, true, &world.err), RF_OK, &world.err);
    assert_code(execute(&world, "DELETE FROM t", NULL), RF_OK, &world.err);
    assert_string_equal(world.fake.statements, "DELETE FROM t\n");
    drop_world(&world);
}

/* ---- taking rows -------------------------------------------------------------------------------------------- */

static void check_taken_once(const struct world *world, int n_rows, int without) {
    for (int i = 0; i < n_rows; i++) assert_int_equal(atomic_load(&world->fake.taken[i]), i / 2 == without ? 0 : 1);
}

TEST(all_threads_take_rows_and_each_row_is_taken_once) {
    for (int n_threads = 1; n_threads <= 3; n_threads++)
        for (int n_arrays = 1; n_arrays <= 31; n_arrays += 15) {
            static struct world world;
            struct given given = {.n_arrays = n_arrays, .empty = -1, .fails = -1};
            make_open_world(&world);
            world.fake.n_threads = n_threads;
            assert_code(ingest(&world, INSERT, &given), RF_OK, &world.err);
            check_taken_once(&world, 2 * n_arrays, -1);
            assert_int_equal(atomic_load(&world.fake.n_taken), 2 * n_arrays);
            assert_int_equal(world.fake.n_threads_ran, n_threads);
            assert_string_equal(world.fake.statements, "BEGIN\n" INSERT "\n");
            drop_world(&world);
        }
}

TEST(an_array_without_rows_is_no_end_of_them) {
    for (int empty = 0; empty < 4; empty++) {
        static struct world world;
        struct given given = {.n_arrays = 4, .empty = empty, .fails = -1};
        make_open_world(&world);
        assert_code(ingest(&world, INSERT, &given), RF_OK, &world.err);
        check_taken_once(&world, 8, empty);
        drop_world(&world);
    }
}

TEST(a_stream_without_rows_runs_no_statement) {
    static struct world world;
    struct given given = {.n_arrays = 0, .empty = -1, .fails = -1};
    make_open_world(&world);
    assert_code(ingest(&world, INSERT, &given), RF_OK, &world.err);
    given = (struct given){.n_arrays = 1, .empty = 0, .fails = -1};
    assert_code(ingest(&world, INSERT, &given), RF_OK, &world.err);
    assert_string_equal(world.fake.statements, "");
    drop_world(&world);
}

TEST(rows_can_be_taken_again_in_the_same_session) {
    static struct world world;
    make_open_world(&world);
    for (int i = 0; i < 2; i++) {
        struct given given = {.n_arrays = 5, .empty = -1, .fails = -1};
        assert_code(ingest(&world, INSERT, &given), RF_OK, &world.err);
    }
    assert_int_equal(atomic_load(&world.fake.n_taken), 20);
    drop_world(&world);
}

TEST(a_stream_that_fails_gives_its_reason) {
    for (int fails = 0; fails < 5; fails += 2) {
        static struct world world;
        struct given given = {.n_arrays = 9, .empty = -1, .fails = fails};
        make_open_world(&world);
        world.fake.n_threads = 3;
        enum rf_code code = ingest(&world, INSERT, &given);
        close_session(&world);
        assert_code(code, RF_DATA, &world.err);
        assert_contains(world.err.message, "Conversion Error: these are no rows");
        assert_string_equal(world.fake.statements, fails == 0 ? "" : "BEGIN\n" INSERT "\nROLLBACK\n");
        drop_world(&world);
    }
}

TEST(a_statement_that_fails_leaves_the_rest_of_the_rows) {
    static struct world world;
    struct given given = {.n_arrays = 200, .empty = -1, .fails = -1};
    make_open_world(&world);
    world.fake.n_threads = 2;
    world.fake.take_at_most = 3;
    assert_code(ingest(&world, INSERT, &given), RF_DATA, &world.err);
    assert_contains(world.err.message, "no more of these");
    assert_true(atomic_load(&given.n_asked) <= 2 * RF_DUCKDB_GROUP / RF_DUCKDB_VECTOR);
    drop_world(&world);
}

TEST(a_statement_without_rows_bound_to_it_is_an_error) {
    static struct world world;
    struct given given = {.n_arrays = 3, .empty = -1, .fails = -1};
    make_open_world(&world);
    assert_code(execute(&world, INSERT, NULL), RF_TARGET, &world.err);
    assert_contains(world.err.message, "no rows are bound");
    assert_code(ingest(&world, INSERT, &given), RF_OK, &world.err);
    assert_code(execute(&world, INSERT, NULL), RF_TARGET, &world.err); /* they were the other's */
    drop_world(&world);
}

/* ---- cancelling --------------------------------------------------------------------------------------------- */

static void *cancel_once_it_waits(void *arg) {
    struct world *world = arg;
    while (sem_wait(&world->fake.is_waiting) != 0) continue;
    rf_cancel_request(world->cancel);
    return NULL;
}

TEST(a_cancel_interrupts_what_runs) {
    static struct world world;
    pthread_t thread;
    make_open_world(&world);
    world.fake.waits = true;
    assert_int_equal(pthread_create(&thread, NULL, cancel_once_it_waits, &world), 0);
    struct given given = {.n_arrays = 3, .empty = -1, .fails = -1};
    enum rf_code code = ingest(&world, INSERT, &given);
    sem_post(&world.fake.is_waiting);
    pthread_join(thread, NULL);
    drop_world(&world);
    assert_code(code, RF_CANCELLED, &world.err);
}

/* ---- whatever fails ----------------------------------------------------------------------------------------- */

/* A session with everything in it. */
static enum rf_code live(struct world *world) {
    struct given given = {.n_arrays = 4, .empty = -1, .fails = -1};
    RF_TRY(open_session(world));
    RF_TRY(execute(world, "CREATE TABLE t", NULL));
    RF_TRY(ingest(world, INSERT, &given));
    RF_TRY(read_rows(world, "SELECT x FROM t"));
    return rf_adbc_commit(&world->adbc, &world->err);
}

TEST(whichever_call_fails_is_told_and_leaves_nothing) {
    bool failed = true;
    int nth = 1;
    for (; failed && !memory_is_scarce; nth++) {
        static struct world world;
        assert_true(nth < 1000);
        make_world(&world);
        world.fake.fail_nth = nth;
        world.fake.n_threads = 2;
        world.fake.answers[0] = (struct fake_duckdb_answer){.part = "SELECT x", .rows = "a;b"};
        failed = live(&world) != RF_OK;
        assert_true(failed == (nth <= atomic_load(&world.fake.n_calls)));
        if (failed) assert_contains(world.err.message, "target: ");
        drop_world(&world);
    }
    assert_true(nth > 30 || memory_is_scarce);
}

TEST(a_session_leaves_nothing_and_says_why_when_memory_is_short) {
    static struct world world;
    make_world(&world);
    world.fake.n_threads = 2;
    world.fake.answers[0] = (struct fake_duckdb_answer){.part = "SELECT x", .rows = "a;b"};
    enum rf_code code = live(&world);
    drop_world(&world);
    assert_code(code, RF_OK, &world.err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_process_has_one_duckdb),
        cmocka_unit_test(options_are_set_before_the_file_is_opened),
        cmocka_unit_test(an_option_that_is_refused_is_named_with_its_value_in_whole_characters),
        cmocka_unit_test(a_file_that_cannot_be_opened_gives_its_reason),
        cmocka_unit_test(a_statement_says_how_many_rows_it_changed),
        cmocka_unit_test(a_query_is_read_chunk_by_chunk),
        cmocka_unit_test(a_result_that_breaks_off_is_no_end_of_it),
        cmocka_unit_test(a_statement_that_fails_gives_the_first_line_of_its_reason),
        cmocka_unit_test(a_transaction_begins_with_its_first_statement_and_ends_once),
        cmocka_unit_test(a_session_that_is_closed_rolls_back_what_it_has_begun),
        cmocka_unit_test(a_commit_that_failed_is_neither_repeated_nor_rolled_back),
        cmocka_unit_test(a_transaction_that_cannot_begin_runs_nothing),
        cmocka_unit_test(a_session_that_commits_by_itself_begins_nothing),
        cmocka_unit_test(all_threads_take_rows_and_each_row_is_taken_once),
        cmocka_unit_test(an_array_without_rows_is_no_end_of_them),
        cmocka_unit_test(a_stream_without_rows_runs_no_statement),
        cmocka_unit_test(rows_can_be_taken_again_in_the_same_session),
        cmocka_unit_test(a_stream_that_fails_gives_its_reason),
        cmocka_unit_test(a_statement_that_fails_leaves_the_rest_of_the_rows),
        cmocka_unit_test(a_statement_without_rows_bound_to_it_is_an_error),
        cmocka_unit_test(a_cancel_interrupts_what_runs),
        cmocka_unit_test(whichever_call_fails_is_told_and_leaves_nothing),
        cmocka_unit_test(a_session_leaves_nothing_and_says_why_when_memory_is_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
