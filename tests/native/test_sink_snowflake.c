/* The Snowflake sink, its control tables and its lease on a driver that answers what the test says, under a whole run. */
#include "drivers/drivers.h"
#include "fake_adbc.h"
#include "fakes.h"
#include "units.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NEWEST                                                                                                        \
    "7|false|public.orders|70001|1|shop|16384|1000:1000:|0/1000|" FINGERPRINT                                        \
    "|xmin|1000:1000:|5 rows, load 7|0|0|0|~|false|~|2026-11-22T17:00:00.000000+00:00"
#define TARGET "\"RAW\".\"POSTGRES\".\"ORDERS\""
#define LEASES "\"RAW\".\"_ROWFERRY\".\"LEASES\""
#define LOADS "\"RAW\".\"_ROWFERRY\".\"LOADS\""
#define RECORD "INSERT INTO \"RAW\".\"_ROWFERRY\".\"LOADS\""
#define TAKE "MERGE INTO \"RAW\".\"_ROWFERRY\".\"LEASES\""

/* In place of the core's, which opens a library. */
enum rf_code rf_adbc_load(struct rf_adbc *adbc, const char *library, const char *entry, struct rf_error *err) {
    (void)library;
    (void)err;
    assert_string_equal(entry, "AdbcDriverSnowflakeInit");
    fill_fake_driver(&adbc->driver);
    adbc->is_loaded = true;
    return RF_OK;
}

/* ---- what the account says ---------------------------------------------------------------------------------- */

/* The lease's row as it stands; there is one account at a time, as there is one driver. */
static struct account {
    char lease[256];          /* load_id, token, run_id, try, application, session; "" where there is none */
    const char *keeps_it;     /* a holder who is not put out */
    int n_counts;             /* of the target's rows */
    const char *counts[2];    /* before the merge, and behind it */
    bool forgets;             /* a commit whose answer was lost is not found */
} account;

static const char *take_lease(const char *sql) {
    char token[40] = "";
    const char *at = strstr(sql, "' AS token");
    assert_non_null(at);
    if (account.keeps_it) return NULL;
    for (const char *from = at - 32; from < at; from++) strncat(token, from, 1);
    snprintf(account.lease, sizeof account.lease, "8|%s|run 1|1|rowferry|77", token);
    return NULL;
}

static const char *read_lease(const char *sql) {
    (void)sql;
    return account.keeps_it ? account.keeps_it : account.lease;
}

static const char *count_target(const char *sql) {
    (void)sql;
    return account.counts[account.n_counts++ > 0];
}

static const char *find_load(const char *sql) {
    (void)sql;
    return fake_adbc->committed && !account.forgets ? "true" : "false";
}

static void answer_all(struct fake_adbc *adbc, bool loaded_before, bool with_keys) {
    account = (struct account){.counts = {loaded_before ? "5|0" : "0|0", loaded_before ? "6|3" : "3|3"}};
    answer_changed(adbc, RECORD, 1);
    answer_by(adbc, TAKE, take_lease);
    answer_changed(adbc, "UPDATE " LEASES, 1);
    answer(adbc, "CURRENT_SESSION()", "77");
    answer(adbc, "CURRENT_TRANSACTION()", "900");
    answer(adbc, "SYSTEM$ABORT", "done");
    answer(adbc, "INFORMATION_SCHEMA.SCHEMATA", loaded_before ? "true|true|true" : "false|false|false");
    answer_by(adbc, "SELECT load_id::VARCHAR, token", read_lease);
    answer(adbc, "n.kind = 'reset'", loaded_before ? NEWEST : "");
    answer(adbc, "SUM(rows_read)", "0|0|0|0|0|0|0|0");
    answer(adbc, "CURRENT_VERSION()", loaded_before ? "2026-11-22T18:00:00.000000+00:00|8.40.1|BASE TABLE" : "2026-11-22T18:00:00.000000+00:00|8.40.1|~");
    answer(adbc, "INFORMATION_SCHEMA.COLUMNS",
           "ID|NUMBER(19,0)|true;AMOUNT|NUMBER(12,4)|false;NOTE|VARCHAR|false;_EXTRACTED_AT|TIMESTAMP_TZ|true;_LOAD_ID|NUMBER(19,0)|true;_DELETED_AT|TIMESTAMP_TZ|false");
    answer(adbc, "SHOW PRIMARY KEYS", "t|d|s|o|ID");
    answer(adbc, "(COUNT(*) = 1)", NULL);
    adbc->answers[adbc->n_answers - 1].tell = find_load;
    answer(adbc, "' rows, load '", "5 rows, load 7");
    answer(adbc, "PUT 'file://", "");
    answer(adbc, "COPY INTO \"ROWFERRY_STAGE_8\"", "rowferry_files_8/rows/rows_0001.csv.zst|LOADED|3|3");
    answer(adbc, "COPY INTO \"ROWFERRY_KEYS_8\"", "keys_0001.csv.zst|LOADED|6|6");
    answer(adbc, "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_STAGE_8\"", "3");
    answer(adbc, "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_KEYS_8\"", "6");
    answer(adbc, "::VARCHAR, (SELECT COUNT(*) FROM " TARGET " WHERE \"_DELETED_AT\" IS NULL", "6|6");
    answer_by(adbc, "SELECT (SELECT COUNT(*) FROM " TARGET, count_target);
    answer_changed(adbc, "MERGE INTO " TARGET, 3);
    if (!with_keys) return;
    /* Closing comes as a MERGE too, of the keys that are gone. */
    memmove(adbc->answers + 1, adbc->answers, (size_t)adbc->n_answers * sizeof *adbc->answers);
    adbc->answers[0] = (struct fake_answer){.part = "MERGE INTO " TARGET " t USING (SELECT t.", .n_changed = 0};
    adbc->n_answers++;
}

static void change_answer(struct fake_adbc *adbc, const char *part, const char *rows) {
    bool found = false;
    for (int i = 0; i < adbc->n_answers; i++) {
        if (strcmp(adbc->answers[i].part, part) != 0) continue;
        adbc->answers[i].rows = rows;
        found = true;
    }
    assert_true(found);
}

static void change_count(struct fake_adbc *adbc, const char *part, int64_t n_changed) {
    for (int i = 0; i < adbc->n_answers; i++)
        if (strcmp(adbc->answers[i].part, part) == 0) adbc->answers[i].n_changed = n_changed;
}

/* ---- the world ---------------------------------------------------------------------------------------------- */

struct world {
    struct fakes fakes;
    struct fake_adbc adbc;
    union rf_sink_memory sink;
    struct rf_cancel *cancel;
};

static void set_target(struct rf_job *job) {
    job->target = "snowflake://u:geheim@a/raw";
    job->target_database = "raw";
    job->target_schema = "postgres";
    job->target_label = "raw.postgres.orders";
}

/* The world has to lie where it is made: its parts point at each other. */
static void make_world(struct world *world, bool loaded_before, const char *more) {
    char settings[256];
    bool with_keys = strstr(more, "sweep") != NULL;
    memset(world, 0, sizeof *world);
    fake_adbc = &world->adbc;
    snprintf(settings, sizeof settings, ",\"driver\":\"fake\",\"lock_timeout\":0%s", more);
    make_fakes(&world->fakes, settings);
    if (!loaded_before) never_loaded(&world->fakes.facts);
    set_target(&world->fakes.facts.job);
    world->fakes.source.csv = true;
    world->fakes.source.n_streams = 0;
    struct fake_stream *rows = add_stream(&world->fakes.source);
    add_csv(rows, "1,,note\n2,,\"a\nb\"");
    end_piece(rows);
    add_csv(rows, "\n3,1.0000,\"\"\n");
    end_piece(rows);
    rows->rows = 3;
    struct fake_stream *keys = with_keys ? add_stream(&world->fakes.source) : NULL;
    if (keys) add_csv(keys, "1\n2\n3\n4\n5\n6\n");
    if (keys) end_piece(keys);
    if (keys) keys->rows = 6;
    answer_all(&world->adbc, loaded_before, with_keys);
    take_sink(&world->fakes, &world->sink, &world->cancel);
}

/* Whatever comes: sessions, statements, results, threads, files and their folder are gone, and the lease with its token. */
static enum rf_code run(struct world *world) {
    enum rf_code code = rf_transfer(&world->fakes.run, &world->fakes.facts.err);
    const struct rf_sink_snowflake *sink = &world->sink.snowflake;
    assert_always(atomic_load(&world->adbc.n_alive) == 0);
    assert_always(sink->spool == NULL && sink->keeper == NULL && sink->folder.path[0] == '\0');
    return code;
}

static void drop_world(struct world *world) {
    rf_cancel_release(world->cancel);
    drop_fakes(&world->fakes);
}

/* In a run that is short of memory again and again the first case of several has to do. */
static size_t at_most(size_t n) {
    return memory_is_scarce ? 1 : n;
}

/* Each of the parts, in this order. */
static void come_in_order(const char *statements, const char *const *parts, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const char *found = strstr(statements, parts[i]);
        if (!found) fail_msg("no \"%s\" behind the others in: %s", parts[i], statements);
        statements = found + strlen(parts[i]);
    }
}

static void nothing_is_committed(const struct world *world) {
    assert_false(world->adbc.committed);
    assert_lacks(world->adbc.statements, "(commit)");
}

/* ---- loads -------------------------------------------------------------------------------------------------- */

TEST(a_first_load_makes_all_tables_before_its_transaction_which_holds_merge_and_record) {
    static const char *const order[] = {
        "(autocommit)", "ALTER SESSION SET", "CURRENT_SESSION()", "INFORMATION_SCHEMA.SCHEMATA", "CREATE SCHEMA IF NOT EXISTS \"RAW\".\"_ROWFERRY\"",
        "CREATE SCHEMA IF NOT EXISTS \"RAW\".\"POSTGRES\"", "CREATE TABLE IF NOT EXISTS " LOADS, "CREATE TABLE IF NOT EXISTS " LEASES, TAKE,
        "CREATE TABLE IF NOT EXISTS " TARGET, "USE SCHEMA", "CREATE TEMPORARY TABLE \"ROWFERRY_STAGE_8\"", "CREATE TEMPORARY STAGE", "PUT 'file://", "COPY INTO",
        "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_STAGE_8\"", "(begin)", "SELECT (SELECT COUNT(*) FROM " TARGET, "MERGE INTO " TARGET, "CURRENT_TRANSACTION()",
        "SELECT (SELECT COUNT(*) FROM " TARGET, RECORD, "(commit)", "(autocommit)", "SET token = NULL"};
    static struct world world;
    make_world(&world, false, "");
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    come_in_order(world.adbc.statements, order, N_OF(order));
    assert_int_equal(world.fakes.run.report.this_try.inserted, 3);
    assert_true(world.adbc.committed);
    const char *begun = strstr(world.adbc.statements, "(begin)"), *ended = strstr(world.adbc.statements, "(commit)");
    assert_true(begun && ended);
    for (const char *ddl = begun; (ddl = strstr(ddl, "CREATE ")); ddl++) assert_true(ddl > ended);
    drop_world(&world);
}

TEST(a_later_load_makes_no_table_but_its_stage_and_counts_what_it_changed) {
    static struct world world;
    make_world(&world, true, "");
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    assert_int_equal(world.fakes.run.report.this_try.inserted, 1);
    assert_int_equal(world.fakes.run.report.this_try.updated, 2);
    assert_lacks(world.adbc.statements, "CREATE SCHEMA");
    assert_lacks(world.adbc.statements, "CREATE TABLE");
    assert_lacks(world.adbc.statements, "geheim");
    drop_world(&world);
}

TEST(keys_of_a_sweep_come_in_files_of_their_own_before_the_transaction) {
    static const char *const order[] = {"CREATE TEMPORARY TABLE \"ROWFERRY_KEYS_8\"", "/rows_0001.csv.zst' @rowferry_files_8/rows ", "COPY INTO \"ROWFERRY_STAGE_8\"",
                                        "/keys_0001.csv.zst' @rowferry_files_8/keys ", "COPY INTO \"ROWFERRY_KEYS_8\"", "(begin)", "MERGE INTO " TARGET,
                                        "MERGE INTO " TARGET " t USING (SELECT t.", RECORD, "(commit)"};
    static struct world world;
    make_world(&world, true, ",\"sweep\":\"always\"");
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    come_in_order(world.adbc.statements, order, N_OF(order));
    assert_int_equal(world.fakes.run.report.this_try.keys_staged, 6);
    drop_world(&world);
}

/* ---- counts ------------------------------------------------------------------------------------------------- */

TEST(files_that_were_not_loaded_as_they_were_sent_end_the_run_before_any_transaction) {
    static const struct { const char *loaded; enum rf_code code; const char *said; } cases[] = {
        {"rows_0001.csv.zst|LOADED|3|2", RF_TARGET, "3 rows were sent for raw.postgres.orders in the file rows_0001.csv.zst, and Snowflake loaded 2 of them (LOADED)"},
        {"rows_0001.csv.zst|LOADED|3|4", RF_TARGET, "Snowflake loaded 4 of them"},
        {"rows_0001.csv.zst|PARTIALLY_LOADED|3|3", RF_TARGET, "(PARTIALLY_LOADED)"},
        {"rows_0001.csv.zst|~|~|~", RF_TARGET, "the file is not there"},
        {"rows_0002.csv.zst|LOADED|3|3", RF_TARGET, "the file is not there"},
        {"other_rows_0001.csv.zst|LOADED|3|3", RF_TARGET, "the file is not there"},
        {"Copy executed with 0 files processed.", RF_TARGET, "the file is not there"},
        {"", RF_TARGET, "the file is not there"},
        {"rows_0001.csv.zst|LOADED|3|3;rows_0002.csv.zst|LOADED|3|3", RF_INTERNAL, "Snowflake loaded 2 files for raw.postgres.orders, and 1 were sent"},
    };
    for (size_t i = 0; i < at_most(N_OF(cases)); i++) {
        static struct world world;
        make_world(&world, true, "");
        change_answer(&world.adbc, "COPY INTO \"ROWFERRY_STAGE_8\"", cases[i].loaded);
        assert_code(run(&world), cases[i].code, &world.fakes.facts.err);
        assert_contains(world.fakes.facts.err.message, cases[i].said);
        nothing_is_committed(&world);
        assert_lacks(world.adbc.statements, "(begin)");
        drop_world(&world);
    }
}

TEST(rows_that_the_tables_do_not_bear_out_are_never_committed) {
    static const struct { const char *staged, *before, *after; int64_t merged; enum rf_code code; } cases[] = {
        {"2", "5|0", "6|3", 3, RF_TARGET},    /* the stage holds fewer than were sent */
        {"3", "5|0", "6|3", 4, RF_INTERNAL},  /* the statement says more than the table */
        {"3", "5|0", "6|2", 3, RF_INTERNAL},  /* and less */
        {"3", "5|1", "6|3", 3, RF_INTERNAL},  /* somebody used this load's number */
        {"3", "7|0", "6|3", 3, RF_INTERNAL},  /* rows went */
        {"3", "5|0", "6|2", 2, RF_TARGET},    /* one row of the stage went nowhere */
        {"3", "5|0", "6|3", -1, RF_INTERNAL}, /* the driver does not say */
    };
    for (size_t i = 0; i < at_most(N_OF(cases)); i++) {
        static struct world world;
        make_world(&world, true, "");
        change_answer(&world.adbc, "SELECT COUNT(*)::VARCHAR FROM \"ROWFERRY_STAGE_8\"", cases[i].staged);
        account.counts[0] = cases[i].before;
        account.counts[1] = cases[i].after;
        change_count(&world.adbc, "MERGE INTO " TARGET, cases[i].merged);
        answer(&world.adbc, "_LOAD_ID\" > 8", "0");
        assert_code(run(&world), cases[i].code, &world.fakes.facts.err);
        nothing_is_committed(&world);
        assert_true(world.adbc.rolled_back);
        drop_world(&world);
    }
}

/* ---- the lease ---------------------------------------------------------------------------------------------- */

TEST(a_lease_that_another_run_holds_is_busy_and_names_its_holder) {
    static struct world world;
    make_world(&world, true, "");
    account.keeps_it = "7|0123|night|2|dag/task|78";
    assert_code(run(&world), RF_BUSY, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "raw.postgres.orders is held by run \"night\", try 2 (dag/task, session 78 of the target), and was not free within 0 s");
    nothing_is_committed(&world);
    assert_lacks(world.adbc.statements, "CREATE");
    drop_world(&world);
}

TEST(a_holder_that_is_put_out_has_its_session_ended_and_who_gave_the_lease_back_has_not) {
    static const struct { const char *before; bool ended; } cases[] = {
        {"7|0123|run 0|1|rowferry|76", true}, {"7|~|run 0|1|rowferry|76", false}, {"7|0123|run 1|1|rowferry|77", false}, {"7|0123|run 1|1|rowferry|~", false}, {"", false}};
    for (size_t i = 0; i < at_most(N_OF(cases)); i++) {
        static struct world world;
        make_world(&world, true, "");
        snprintf(account.lease, sizeof account.lease, "%s", cases[i].before);
        assert_code(run(&world), RF_OK, &world.fakes.facts.err);
        if (cases[i].ended) assert_contains(world.adbc.statements, "SELECT SYSTEM$ABORT_SESSION(76)");
        else assert_lacks(world.adbc.statements, "ABORT_SESSION");
        drop_world(&world);
    }
}

TEST(a_lease_that_is_no_longer_ours_at_the_record_commits_nothing) {
    static struct world world;
    make_world(&world, true, "");
    change_count(&world.adbc, RECORD, 0);
    assert_code(run(&world), RF_FENCED, &world.fakes.facts.err);
    assert_contains(world.fakes.facts.err.message, "a newer run took raw.postgres.orders over");
    nothing_is_committed(&world);
    assert_true(world.adbc.rolled_back);
    drop_world(&world);
}

TEST(a_lease_without_a_number_is_none) {
    static struct world world;
    make_world(&world, true, "");
    for (int i = 0; i < world.adbc.n_answers; i++)
        if (world.adbc.answers[i].tell == take_lease) world.adbc.answers[i].tell = NULL;
    assert_code(run(&world), RF_BUSY, &world.fakes.facts.err); /* nobody took it */
    assert_contains(world.fakes.facts.err.message, "held by run \"unknown\"");
    drop_world(&world);
}

/* ---- commits ------------------------------------------------------------------------------------------------ */

/* How many calls of the driver a run makes up to its commit and with it. */
static int calls_to_commit(bool loaded_before) {
    static struct world world;
    make_world(&world, loaded_before, "");
    assert_code(run(&world), RF_OK, &world.fakes.facts.err);
    int n_calls = world.adbc.n_calls_to_commit;
    drop_world(&world);
    return n_calls;
}

TEST(a_commit_whose_answer_is_lost_is_looked_up_behind_the_end_of_its_transaction) {
    static const char *const order[] = {RECORD, "(roll back)", "(autocommit)", "ALTER SESSION SET", "SELECT SYSTEM$ABORT_TRANSACTION(900)", "(COUNT(*) = 1)"};
    if (memory_is_scarce) return; /* a look-up that fails is tried again for half a minute */
    int nth = calls_to_commit(true);
    for (int lost = 0; lost < 2; lost++) {
        static struct world world;
        make_world(&world, true, "");
        world.adbc.fail_nth = nth;
        world.adbc.loses_answers = true;
        account.forgets = lost;
        assert_code(run(&world), lost ? RF_TARGET : RF_OK, &world.fakes.facts.err);
        come_in_order(world.adbc.statements, order, N_OF(order));
        if (lost) assert_contains(world.fakes.facts.err.message, "target: commit: ");
        drop_world(&world);
    }
}

TEST(a_commit_that_snowflake_refused_is_not_looked_up) {
    int nth = calls_to_commit(true);
    static struct world world;
    make_world(&world, true, "");
    world.adbc.fail_nth = nth;
    world.adbc.fail_message = "000625 (57014): Statement 'x' has locked table 'y' in transaction 1";
    assert_code(run(&world), RF_BUSY, &world.fakes.facts.err);
    assert_lacks(world.adbc.statements, "ABORT_TRANSACTION");
    nothing_is_committed(&world);
    drop_world(&world);
}

/* ---- failures at every call --------------------------------------------------------------------------------- */

/* Fails each call of a run in turn, with the message; a run is then whole, or nothing of it is there. Returns how many runs ended well. */
static int fail_everywhere(bool loaded_before, const char *more, const char *message, int *n_runs) {
    enum { MOST_CALLS = 1000 };
    int n_good = 0, n_calls = MOST_CALLS;
    for (int nth = 0; nth <= n_calls; nth++) {
        static struct world world;
        make_world(&world, loaded_before, more);
        world.adbc.fail_nth = nth;
        world.adbc.fail_message = message;
        enum rf_code code = run(&world);
        assert_always((code == RF_OK) == world.adbc.committed);
        if (code != RF_OK) assert_contains(world.fakes.facts.err.message, "target");
        if (nth == 0) n_calls = atomic_load(&world.adbc.n_calls);
        if (nth == 0) assert_code(code, RF_OK, &world.fakes.facts.err);
        n_good += nth > 0 && code == RF_OK;
        drop_world(&world);
    }
    *n_runs = n_calls;
    return n_good;
}

TEST(whichever_call_of_the_driver_fails_nothing_is_committed_or_left) {
    int n_runs;
    if (memory_is_scarce) return;
    for (int loaded_before = 0; loaded_before < 2; loaded_before++) {
        int n_good = fail_everywhere(loaded_before, "", NULL, &n_runs);
        assert_true(n_runs > 60 && n_good < 10); /* what comes behind the commit, and is tried for others' sake */
    }
    assert_true(fail_everywhere(true, ",\"sweep\":\"always\"", NULL, &n_runs) < 10);
}

#define EXPIRED "390114 (08001): Authentication token has expired."

TEST(a_token_that_expires_is_renewed_until_something_goes_with_the_session) {
    static const struct { const char *part; bool renewed; } cases[] = {
        {"INFORMATION_SCHEMA.SCHEMATA", true}, {TAKE, true}, {"n.kind = 'reset'", true}, {"USE SCHEMA", true}, {"CREATE TEMPORARY STAGE", false}, {"PUT 'file", false},
        {"COPY INTO", false}, {"MERGE INTO " TARGET, false}, {RECORD, false}};
    for (size_t i = 0; i < at_most(N_OF(cases)); i++) {
        static struct world world;
        make_world(&world, true, "");
        world.adbc.fail_part = cases[i].part;
        world.adbc.fail_message = EXPIRED;
        assert_code(run(&world), cases[i].renewed ? RF_OK : RF_TARGET, &world.fakes.facts.err);
        const char *again = strstr(strstr(world.adbc.statements, "ALTER SESSION SET") + 1, "ALTER SESSION SET");
        assert_true((again != NULL) == cases[i].renewed);
        assert_true(world.adbc.committed == cases[i].renewed);
        if (!cases[i].renewed) assert_true(world.fakes.facts.err.retryable);
        drop_world(&world);
    }
}

TEST(whichever_call_finds_the_token_expired_a_run_is_whole_or_nothing_of_it_is_there) {
    int n_runs;
    if (memory_is_scarce) return;
    assert_true(fail_everywhere(true, "", EXPIRED, &n_runs) > 10);
}

TEST(short_of_memory_a_run_is_whole_or_nothing_of_it_is_there) {
    for (int loaded_before = 0; loaded_before < 2; loaded_before++) {
        static struct world world;
        make_world(&world, loaded_before, "");
        enum rf_code code = run(&world);
        assert_always((code == RF_OK) == world.adbc.committed);
        drop_world(&world);
        assert_code(code, RF_OK, &world.fakes.facts.err);
    }
}

/* ---- verbs without a run ------------------------------------------------------------------------------------ */

static enum rf_code reset(struct world *world, char **json) {
    const struct rf_sink *sink = &world->fakes.run.sink;
    const struct rf_observer nobody = {0};
    *json = NULL;
    enum rf_code code = sink->ops->reset(sink->self, nobody, json, &world->fakes.facts.err);
    sink->ops->close(sink->self);
    assert_always(atomic_load(&world->adbc.n_alive) == 0);
    return code;
}

TEST(a_reset_adds_its_record_under_a_lease_and_in_one_transaction) {
    static const char *const order[] = {TAKE, "(begin)", RECORD, "(commit)", "SET token = NULL"};
    static struct world world;
    char *json;
    make_world(&world, true, "");
    assert_code(reset(&world, &json), RF_OK, &world.fakes.facts.err);
    assert_string_equal(needed(json), "{\"load_id\":8}");
    free(json);
    come_in_order(world.adbc.statements, order, N_OF(order));
    int n_calls = atomic_load(&world.adbc.n_calls);
    drop_world(&world);
    for (int nth = 1; nth <= n_calls && !memory_is_scarce; nth++) {
        make_world(&world, true, "");
        world.adbc.fail_nth = nth;
        enum rf_code code = reset(&world, &json);
        assert_int_equal(code == RF_OK, world.adbc.committed);
        free(json);
        drop_world(&world);
    }
}

TEST(load_records_are_listed_as_they_are_and_where_there_are_no_tables_there_are_none) {
    static const struct { const char *there, *json; } cases[] = {
        {"true|true|true", "{\"loads\":[{\"load_id\":8},{\"load_id\":7}]}"}, {"true|false|true", "{\"loads\":[]}"}};
    for (size_t i = 0; i < at_most(N_OF(cases)); i++) {
        static struct world world;
        char *json = NULL;
        make_world(&world, true, "");
        change_answer(&world.adbc, "INFORMATION_SCHEMA.SCHEMATA", cases[i].there);
        answer(&world.adbc, "OBJECT_CONSTRUCT_KEEP_NULL", "{\"load_id\":8};{\"load_id\":7}");
        const struct rf_sink *sink = &world.fakes.run.sink;
        enum rf_code code = sink->ops->state(sink->self, &json, &world.fakes.facts.err);
        sink->ops->close(sink->self);
        assert_always(atomic_load(&world.adbc.n_alive) == 0);
        if (code == RF_OK) assert_string_equal(json, cases[i].json);
        free(json);
        drop_world(&world);
        assert_code(code, RF_OK, &world.fakes.facts.err);
        assert_lacks(world.adbc.statements, "LEASES\" ");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_first_load_makes_all_tables_before_its_transaction_which_holds_merge_and_record),
        cmocka_unit_test(a_later_load_makes_no_table_but_its_stage_and_counts_what_it_changed),
        cmocka_unit_test(keys_of_a_sweep_come_in_files_of_their_own_before_the_transaction),
        cmocka_unit_test(files_that_were_not_loaded_as_they_were_sent_end_the_run_before_any_transaction),
        cmocka_unit_test(rows_that_the_tables_do_not_bear_out_are_never_committed),
        cmocka_unit_test(a_lease_that_another_run_holds_is_busy_and_names_its_holder),
        cmocka_unit_test(a_holder_that_is_put_out_has_its_session_ended_and_who_gave_the_lease_back_has_not),
        cmocka_unit_test(a_lease_that_is_no_longer_ours_at_the_record_commits_nothing),
        cmocka_unit_test(a_lease_without_a_number_is_none),
        cmocka_unit_test(a_commit_whose_answer_is_lost_is_looked_up_behind_the_end_of_its_transaction),
        cmocka_unit_test(a_commit_that_snowflake_refused_is_not_looked_up),
        cmocka_unit_test(whichever_call_of_the_driver_fails_nothing_is_committed_or_left),
        cmocka_unit_test(a_token_that_expires_is_renewed_until_something_goes_with_the_session),
        cmocka_unit_test(whichever_call_finds_the_token_expired_a_run_is_whole_or_nothing_of_it_is_there),
        cmocka_unit_test(short_of_memory_a_run_is_whole_or_nothing_of_it_is_there),
        cmocka_unit_test(a_reset_adds_its_record_under_a_lease_and_in_one_transaction),
        cmocka_unit_test(load_records_are_listed_as_they_are_and_where_there_are_no_tables_there_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
