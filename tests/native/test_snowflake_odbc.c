/* Loading into Snowflake over ODBC, under a whole run, on a driver that answers what the test says: a script, no Snowflake. */
#include "core/snowflake_uri.h"
#include "drivers/drivers.h"
#include "fake_odbc.h"
#include "fakes.h"
#include "units.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TARGET "snowflake://loader:s3cr%7Det@org-acc/RAW?warehouse=W&role=R"
#define TABLE "\"RAW\".\"POSTGRES\".\"ORDERS\""
#define NEWEST                                                                                                        \
    "7|false|public.orders|70001|1|shop|16384|1000:1000:|0/1000|" FINGERPRINT                                        \
    "|xmin|1000:1000:|9 rows, load 7|0|0|0|~|false|~|2026-11-22T17:00:00.000000+00:00"
#define COLUMNS                                                                                                       \
    "ID|NUMBER(19,0)|true;AMOUNT|NUMBER(12,4)|false;NOTE|VARCHAR|false;_EXTRACTED_AT|TIMESTAMP_TZ|true;"              \
    "_LOAD_ID|NUMBER(19,0)|true;_DELETED_AT|TIMESTAMP_TZ|false"

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

static char spool[] = "/tmp/rowferry-test-XXXXXX"; /* a folder for the files of all tests, empty between them */

static void add_source_rows(struct fake_end *source) {
    struct fake_stream *stream = add_stream(source);
    source->csv = true;
    add_csv(stream, "0,1.5,note\n1,,\"a\nb\"\n2,,\n");
    end_piece(stream);
    stream->rows = 3;
}

/* Of three rows two are there already, if any are. */
static void reply_all(struct fake_odbc *odbc, bool loaded_before) {
    reply_after(odbc, "MERGE INTO " TABLE, "WHERE \"_LOAD_ID\" = 8)", loaded_before ? "10|3" : "3|3");
    reply(odbc, "WHERE \"_LOAD_ID\" = 8)", loaded_before ? "9|0" : "0|0");
    reply_after(odbc, "' AS token", "SELECT load_id::VARCHAR, token", "8|TOKEN|run 1|1|test|77");
    reply(odbc, "CURRENT_SESSION()", "77");
    reply(odbc, "INFORMATION_SCHEMA.SCHEMATA", "true|true|true");
    reply(odbc, "SELECT n.load_id", loaded_before ? NEWEST : "");
    reply(odbc, "SUM(rows_read)", "0|0|0|0|0|0|0|0");
    reply(odbc, "CURRENT_VERSION(), (SELECT MAX", loaded_before ? "2026-11-22T18:00:00.000000+00:00|9.4.1|BASE TABLE" : "2026-11-22T18:00:00.000000+00:00|9.4.1|~");
    reply(odbc, "SELECT COLUMN_NAME", COLUMNS);
    reply(odbc, "SHOW PRIMARY KEYS", "now|RAW|POSTGRES|ORDERS|ID|1|k");
    reply(odbc, "INSERT INTO \"RAW\".\"_ROWFERRY\".\"LOADS\"", NULL);
    odbc->replies[odbc->n_replies - 1].n_changed = 1;
    reply(odbc, "' rows, load '", "9 rows, load 7");
    reply(odbc, "PUT 'file://", "rows_0001.csv.zst|rows_0001.csv.zst|40|40|ZSTD|ZSTD|UPLOADED|~");
    reply(odbc, "COPY INTO", "rowferry_files_8/rows/rows_0001.csv.zst|LOADED|3|3|1|0|~|~|~|~");
    reply(odbc, "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_STAGE_8\"", "3");
    reply_changed(odbc, "MERGE INTO " TABLE, 3);
    reply(odbc, "CURRENT_TRANSACTION()", "4711");
    reply(odbc, "SYSTEM$ABORT_TRANSACTION", "ended");
    reply(odbc, "SELECT (COUNT(*) = 1)", "true");
}

static void replace(struct fake_odbc *odbc, const char *part, const char *rows, int64_t n_changed) {
    for (int i = 0; i < odbc->n_replies; i++)
        if (strcmp(odbc->replies[i].part, part) == 0) odbc->replies[i] = (struct fake_reply){.part = part, .rows = rows, .n_changed = n_changed};
}

static void reach_snowflake(struct rf_job *job) {
    job->target = TARGET;
    job->channel = RF_CHANNEL_ODBC;
    job->target_database = "raw";
    job->target_schema = "postgres";
    job->target_label = "raw.postgres.orders";
    job->spool_dir = spool;
}

/* The world has to lie where it is made: its parts point at each other. */
static void make_world(struct world *world, bool loaded_before) {
    memset(world, 0, sizeof *world);
    fake_odbc = &world->odbc;
    world->odbc.dbms = "Snowflake";
    world->odbc.drivers = "MariaDB Unicode,ODBC Driver for Snowflake by others,SnowflakeDSIIDriver";
    make_fakes(&world->fakes, ",\"lock_timeout\":0");
    if (!loaded_before) never_loaded(&world->fakes.facts);
    reach_snowflake(&world->fakes.facts.job);
    world->fakes.source.n_streams = 0;
    add_source_rows(&world->fakes.source);
    reply_all(&world->odbc, loaded_before);
    take_sink(&world->fakes, &world->sink, &world->cancel);
}

/* However it ends, no handle, thread, file or open transaction is left. */
static enum rf_code run(struct world *world) {
    enum rf_code code = rf_transfer(&world->fakes.run, &world->fakes.facts.err);
    assert_always(atomic_load(&world->odbc.n_alive) == 0);
    assert_always(world->sink.snowflake.keeper == NULL && world->sink.snowflake.spool == NULL);
    assert_always(!world->odbc.in_transaction || world->odbc.rolled_back || world->odbc.committed);
    assert_always(rmdir(spool) == 0 && mkdir(spool, 0700) == 0);
    return code;
}

static void drop_world(struct world *world) {
    rf_cancel_release(world->cancel);
    drop_fakes(&world->fakes);
}

static void fails(struct world *world, enum rf_code expected, const char *message) {
    assert_code(run(world), expected, &world->fakes.facts.err);
    assert_contains(world->fakes.facts.err.message, message);
    assert_always(!world->odbc.committed);
    drop_world(world);
}

static const char *behind(const char *text, const char *part) {
    const char *found = text ? strstr(text, part) : NULL;
    if (!found) fail_msg("not there, or not in this order: %s", part);
    return found;
}

/* ---- loads -------------------------------------------------------------------------------------------------- */

TEST(a_load_goes_by_files_and_a_stage_and_its_transaction_holds_merge_and_record_alone) {
    static const char *const order[] = {
        "CREATE TABLE IF NOT EXISTS " TABLE, "CREATE TEMPORARY TABLE \"ROWFERRY_STAGE_8\"", "CREATE TEMPORARY STAGE rowferry_files_8", "PUT 'file://", "COPY INTO",
        "(autocommit off)\n", "MERGE INTO " TABLE, "CURRENT_TRANSACTION()", "INSERT INTO \"RAW\".\"_ROWFERRY\".\"LOADS\"", "(commit)\n", "(autocommit on)\n",
        "SET token = NULL", "(disconnect)\n"};
    static struct world world;
    make_world(&world, false);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.odbc.committed);
    const char *at = world.odbc.statements;
    for (size_t i = 0; i < N_OF(order); i++) at = behind(at, order[i]);
    assert_int_equal(world.odbc.n_executes, 0);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 3);
    assert_string_equal(world.fakes.run.report.channel, "odbc");
    drop_world(&world);
}

TEST(a_later_load_counts_what_the_table_holds) {
    static struct world world;
    make_world(&world, true);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_true(world.odbc.committed);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 1);
    assert_int_equal(world.fakes.run.report.this_try.updated, 2);
    assert_lacks(world.odbc.statements, "CREATE TABLE");
    drop_world(&world);
}

TEST(whichever_call_of_the_driver_fails_nothing_is_committed_or_left) {
    bool reached = true;
    for (int nth = 1; reached && !memory_is_scarce; nth++) {
        static struct world world;
        make_world(&world, false);
        world.odbc.fail_nth = nth;
        enum rf_code code = run(&world);
        reached = atomic_load(&world.odbc.n_calls) >= nth;
        assert_always((code == RF_OK) == world.odbc.committed);
        drop_world(&world);
    }
}

/* ---- counts that are not borne out --------------------------------------------------------------------------- */

TEST(a_file_that_was_not_sent_is_named_though_the_statement_succeeds) {
    static struct world world;
    make_world(&world, false);
    replace(&world.odbc, "PUT 'file://", "rows_0001.csv.zst|rows_0001.csv.zst|40|0|ZSTD|ZSTD|ERROR|403 Forbidden", 0);
    fails(&world, RF_TARGET, "the file rows_0001.csv.zst of raw.postgres.orders was not sent to Snowflake: ERROR 403 Forbidden");
}

TEST(a_file_of_which_fewer_rows_or_none_were_loaded_is_named) {
    static const struct { const char *rows, *message; } answers[] = {
        {"x/rows_0001.csv.zst|PARTIALLY_LOADED|3|2", "3 rows were sent for raw.postgres.orders in the file rows_0001.csv.zst, and Snowflake loaded 2 of them (PARTIALLY_LOADED)"},
        {"x/rows_0001.csv.zst|LOADED|3|2", "Snowflake loaded 2 of them (LOADED)"},
        {"Copy executed with 0 files processed.", "the file is not there"},
        {"x/rows_0001.csv.zst|LOADED|3|3;x/rows_0002.csv.zst|LOADED|1|1", "Snowflake loaded 2 files for raw.postgres.orders, and 1 were sent"},
    };
    for (size_t i = 0; i < N_OF(answers); i++) {
        static struct world world;
        make_world(&world, false);
        replace(&world.odbc, "COPY INTO", answers[i].rows, 0);
        assert_code(run(&world), i == 3 ? RF_INTERNAL : RF_TARGET, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.message, answers[i].message);
        assert_always(!world.odbc.committed);
        drop_world(&world);
    }
}

TEST(a_driver_that_keeps_the_answer_about_files_to_itself_is_held_to_what_the_stage_holds) {
    static struct world world;
    make_world(&world, false);
    replace(&world.odbc, "COPY INTO", NULL, 3);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 3);
    drop_world(&world);
    make_world(&world, false);
    replace(&world.odbc, "COPY INTO", NULL, 3);
    replace(&world.odbc, "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_STAGE_8\"", "2", 0);
    fails(&world, RF_TARGET, "the source sent 3 rows");
    make_world(&world, false);
    replace(&world.odbc, "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_STAGE_8\"", NULL, 3);
    fails(&world, RF_INTERNAL, "there is no result");
}

TEST(a_stage_that_holds_other_rows_than_were_sent_commits_nothing) {
    static struct world world;
    make_world(&world, false);
    replace(&world.odbc, "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_STAGE_8\"", "4", 0);
    fails(&world, RF_TARGET, "the source sent 3 rows");
}

TEST(a_merge_that_counts_otherwise_than_the_table_commits_nothing) {
    static struct world world;
    make_world(&world, false);
    replace(&world.odbc, "MERGE INTO " TABLE, NULL, 2);
    fails(&world, RF_INTERNAL, "Snowflake says it merged 2 rows");
    make_world(&world, false);
    replace(&world.odbc, "MERGE INTO " TABLE, NULL, -1);
    fails(&world, RF_INTERNAL, "did not say how many rows");
}

TEST(a_record_that_is_not_taken_commits_nothing) {
    static struct world world;
    make_world(&world, false);
    replace(&world.odbc, "INSERT INTO \"RAW\".\"_ROWFERRY\".\"LOADS\"", NULL, 0);
    world.odbc.no_data = true;
    fails(&world, RF_FENCED, "commits nothing");
}

/* ---- errors ------------------------------------------------------------------------------------------------- */

TEST(an_error_means_what_its_number_says_as_over_adbc) {
    static struct world world;
    make_world(&world, false);
    world.odbc.fail_part = "MERGE INTO " TABLE;
    world.odbc.failure = (struct fake_failure){"22018", 100038, "Numeric value 'NaN' is not recognized"};
    assert_code(run(&world), RF_DATA, &world.fakes.facts.err);
    assert_string_equal(world.fakes.facts.err.message, "target: merge: 100038 (22018): Numeric value 'NaN' is not recognized");
    assert_contains(world.fakes.facts.err.hint, "as_text");
    assert_true(world.odbc.rolled_back && !world.odbc.committed);
    drop_world(&world);
}

TEST(a_lock_that_somebody_holds_is_waited_for) {
    static struct world world;
    make_world(&world, false);
    world.fakes.facts.job.lock_timeout = 20;
    world.odbc.fail_part = "MERGE INTO " TABLE;
    world.odbc.fail_times = 1;
    world.odbc.failure = (struct fake_failure){"57014", 625, "Statement '1' has locked table 'T' in transaction 2 and this lock has not yet been released."};
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    drop_world(&world);
}

TEST(a_token_that_expires_before_the_load_is_renewed_and_within_it_never) {
    static const struct fake_failure expired = {"08001", 390114, "Authentication token has expired.  The user must authenticate again."};
    static struct world world;
    make_world(&world, false);
    world.odbc.fail_part = "' AS token";
    world.odbc.fail_times = 1;
    world.odbc.failure = expired;
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_connects, 2);
    drop_world(&world);
    make_world(&world, false);
    world.odbc.fail_part = "MERGE INTO " TABLE;
    world.odbc.fail_times = 1;
    world.odbc.failure = expired;
    assert_code(run(&world), RF_TARGET, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "390114 (08001)");
    assert_true(world.fakes.facts.err.retryable && !world.odbc.committed);
    assert_int_equal(world.odbc.n_connects, 1);
    drop_world(&world);
}

/* ---- commit ------------------------------------------------------------------------------------------------- */

static const struct fake_failure LOST = {"HY000", 4, "(4) REST request for URL https://org-acc.snowflakecomputing.com/queries failed: CURLerror (curl_easy_perform() failed)"};

TEST(a_commit_whose_answer_is_lost_is_looked_up_behind_the_end_of_its_transaction) {
    static struct world world;
    make_world(&world, false);
    world.odbc.loses_commit = world.odbc.commits_anyway = true;
    world.odbc.failure = LOST;
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_connects, 2);
    const char *lost = behind(world.odbc.statements, "(commit)\n");
    behind(behind(behind(lost, "(connect)\n"), "SYSTEM$ABORT_TRANSACTION(4711)"), "SELECT (COUNT(*) = 1)");
    assert_null(strstr(lost + 1, "MERGE INTO " TABLE));
    drop_world(&world);
}

TEST(a_cancel_while_the_commit_is_under_way_comes_too_late_and_its_outcome_is_found_out) {
    static struct world world;
    make_world(&world, false);
    world.odbc.loses_commit = world.odbc.commits_anyway = true;
    world.odbc.failure = LOST;
    world.odbc.cancel_at_commit = world.cancel;
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_connects, 2);
    drop_world(&world);
}

TEST(a_commit_that_is_lost_with_its_answer_is_a_failure_that_may_be_tried_again) {
    static struct world world;
    make_world(&world, false);
    world.odbc.loses_commit = true;
    world.odbc.failure = LOST;
    replace(&world.odbc, "SELECT (COUNT(*) = 1)", "false", 0);
    assert_code(run(&world), RF_TARGET, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "CURLerror");
    assert_true(world.fakes.facts.err.retryable && !world.odbc.committed);
    drop_world(&world);
}

TEST(a_commit_that_snowflake_refuses_leaves_no_doubt) {
    static struct world world;
    make_world(&world, false);
    world.odbc.loses_commit = true;
    world.odbc.failure = (struct fake_failure){"57014", 604, "SQL execution canceled"};
    assert_code(run(&world), RF_TARGET, &world.fakes.facts.err);
    assert_int_equal(world.odbc.n_connects, 1);
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
    make_world(&world, false);
    world.odbc.wait_part = wait_part;
    assert_int_equal(pthread_create(&thread, NULL, cancel_once_waiting, &world), 0);
    enum rf_code code = run(&world);
    atomic_store(&world.odbc.is_waiting, true); /* a run that was short of memory never waited */
    pthread_join(thread, NULL);
    assert_always(!world.odbc.committed);
    assert_code(code, RF_CANCELLED, &world.fakes.facts.err);
    assert_contains(world.odbc.statements, "SET token = NULL"); /* the lease is given back behind the cancel */
    drop_world(&world);
}

TEST(a_merge_that_runs_is_interrupted_and_the_lease_given_back) {
    check_cancelled("MERGE INTO " TABLE);
}

TEST(a_file_that_is_being_sent_is_interrupted) {
    check_cancelled("PUT 'file://");
}

/* ---- connecting --------------------------------------------------------------------------------------------- */

TEST(snowflakes_own_driver_is_preferred_and_told_what_the_uri_says) {
    static struct world world;
    make_world(&world, true);
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_string_equal(world.odbc.connection_string,
                        "DRIVER={SnowflakeDSIIDriver};Server=org-acc.snowflakecomputing.com;Account=org-acc;UID=loader;AUTHENTICATOR=snowflake;PWD={s3cr}}et};"
                        "Database=RAW;Warehouse=W;Role=R;LOGIN_TIMEOUT=10;NoExecuteInSQLPrepare=true;CLIENT_SESSION_KEEP_ALIVE=true;");
    drop_world(&world);
}

TEST(without_a_registered_driver_the_error_names_what_brings_one_and_under_auto_both) {
    static struct world world;
    make_world(&world, true);
    world.odbc.drivers = "MariaDB Unicode";
    assert_code(run(&world), RF_CONFIG, &world.fakes.facts.err);
    assert_string_equal(world.fakes.facts.err.message, "no ODBC driver for Snowflake is registered on this machine");
    assert_contains(world.fakes.facts.err.hint, "docs.snowflake.com");
    drop_world(&world);
    make_world(&world, true);
    world.odbc.drivers = "MariaDB Unicode";
    world.fakes.facts.job.channel = RF_CHANNEL_AUTO;
    assert_code(run(&world), RF_CONFIG, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "adbc-driver-snowflake is not installed, and no ODBC driver for Snowflake is registered");
    assert_contains(world.fakes.facts.err.hint, "pip install 'rowferry[snowflake]'");
    assert_contains(world.fakes.facts.err.hint, "docs.snowflake.com");
    drop_world(&world);
}

TEST(a_registered_driver_that_cannot_be_loaded_is_named_with_what_it_lacks) {
    static struct world world;
    make_world(&world, true);
    world.fakes.facts.job.channel = RF_CHANNEL_AUTO;
    world.odbc.fail_part = "(connect)";
    world.odbc.failure = (struct fake_failure){"01000", 0, "Can't open lib '/no/such/libSnowflake.so' : file not found"};
    fails(&world, RF_CONFIG, "the ODBC driver /no/such/libSnowflake.so cannot be loaded");
}

TEST(a_driver_of_another_database_is_refused) {
    static struct world world;
    make_world(&world, true);
    world.odbc.dbms = "MariaDB";
    fails(&world, RF_CONFIG, "the target is Snowflake, and the ODBC driver is one for \"MariaDB\"");
    make_world(&world, true);
    world.fakes.facts.job.target = "odbc:DSN=snow";
    rf_sink_for(&world.fakes.facts.job, world.cancel, &world.fakes.facts.arena, &world.sink, &world.fakes.run.sink, &world.fakes.facts.err);
    assert_code(rf_transfer(&world.fakes.run, &world.fakes.facts.err), RF_CONFIG, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.hint, "snowflake://");
    drop_world(&world);
}

TEST(a_key_that_the_driver_cannot_read_is_a_matter_of_signing_in) {
    static struct world world;
    make_world(&world, true);
    world.odbc.fail_part = "(connect)";
    world.odbc.failure = (struct fake_failure){"HY000", 45, "(45) Error loading private key file: PWD={s3cr}et}"};
    assert_code(run(&world), RF_AUTH, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "(45) Error loading private key file: PWD={***}");
    assert_lacks(world.fakes.facts.err.server_message, "s3cr");
    drop_world(&world);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_goes_by_files_and_a_stage_and_its_transaction_holds_merge_and_record_alone),
        cmocka_unit_test(a_later_load_counts_what_the_table_holds),
        cmocka_unit_test(whichever_call_of_the_driver_fails_nothing_is_committed_or_left),
        cmocka_unit_test(a_file_that_was_not_sent_is_named_though_the_statement_succeeds),
        cmocka_unit_test(a_file_of_which_fewer_rows_or_none_were_loaded_is_named),
        cmocka_unit_test(a_driver_that_keeps_the_answer_about_files_to_itself_is_held_to_what_the_stage_holds),
        cmocka_unit_test(a_stage_that_holds_other_rows_than_were_sent_commits_nothing),
        cmocka_unit_test(a_merge_that_counts_otherwise_than_the_table_commits_nothing),
        cmocka_unit_test(a_record_that_is_not_taken_commits_nothing),
        cmocka_unit_test(an_error_means_what_its_number_says_as_over_adbc),
        cmocka_unit_test(a_lock_that_somebody_holds_is_waited_for),
        cmocka_unit_test(a_token_that_expires_before_the_load_is_renewed_and_within_it_never),
        cmocka_unit_test(a_commit_whose_answer_is_lost_is_looked_up_behind_the_end_of_its_transaction),
        cmocka_unit_test(a_cancel_while_the_commit_is_under_way_comes_too_late_and_its_outcome_is_found_out),
        cmocka_unit_test(a_commit_that_is_lost_with_its_answer_is_a_failure_that_may_be_tried_again),
        cmocka_unit_test(a_commit_that_snowflake_refuses_leaves_no_doubt),
        cmocka_unit_test(a_merge_that_runs_is_interrupted_and_the_lease_given_back),
        cmocka_unit_test(a_file_that_is_being_sent_is_interrupted),
        cmocka_unit_test(snowflakes_own_driver_is_preferred_and_told_what_the_uri_says),
        cmocka_unit_test(without_a_registered_driver_the_error_names_what_brings_one_and_under_auto_both),
        cmocka_unit_test(a_registered_driver_that_cannot_be_loaded_is_named_with_what_it_lacks),
        cmocka_unit_test(a_driver_of_another_database_is_refused),
        cmocka_unit_test(a_key_that_the_driver_cannot_read_is_a_matter_of_signing_in),
    };
    if (!mkdtemp(spool)) return 1;
    int n_failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(spool);
    return n_failed;
}
