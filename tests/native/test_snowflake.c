/* Snowflake without Snowflake: what a URI says to each driver, how names fold, what its errors mean, and every statement,
 * word for word. */
#include "core/merge.h"
#include "core/record.h"
#include "core/snowflake_names.h"
#include "core/snowflake_uri.h"
#include "core/sql_snowflake.h"
#include "drivers/connect_snowflake.h"
#include "drivers/diagnose_snowflake.h"

#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- names ---- */

static void is_called(const char *name, const char *expected) {
    struct rf_text text = {0};
    rf_snowflake_identifier(&text, name);
    assert_string_equal(whole(&text), expected);
    rf_text_free(&text);
}

TEST(a_plain_name_stands_in_capitals_and_any_other_as_it_is) {
    is_called("orders", "\"ORDERS\"");
    is_called("_load_id2$", "\"_LOAD_ID2$\"");
    is_called("Order", "\"Order\"");
    is_called("2nd", "\"2nd\"");
    is_called("order no", "\"order no\"");
    is_called("say \"x\"", "\"say \"\"x\"\"\"");
    is_called("größe", "\"größe\"");
}

TEST(names_are_the_same_where_snowflake_reads_them_as_one) {
    assert_true(rf_snowflake_same("orders", "ORDERS"));
    assert_true(rf_snowflake_same("orders", "orders"));
    assert_false(rf_snowflake_same("orders", "Orders"));
    assert_false(rf_snowflake_same("orders", "orders2"));
    assert_true(rf_snowflake_is("orders", "ORDERS"));
    assert_false(rf_snowflake_is("orders", "orders"));
    assert_true(rf_snowflake_is("Order no", "Order no"));
    char plain[] = "ORDERS_2", mixed[] = "Orders";
    rf_snowflake_unfold(plain);
    rf_snowflake_unfold(mixed);
    assert_string_equal(plain, "orders_2");
    assert_string_equal(mixed, "Orders");
}

TEST(a_name_is_looked_for_as_the_catalogs_hold_it) {
    struct rf_text text = {0};
    rf_snowflake_name_literal(&text, "orders");
    rf_text_add(&text, " ");
    rf_snowflake_name_literal(&text, "it's a \\");
    assert_string_equal(whole(&text), "'ORDERS' 'it''s a \\\\'");
    rf_text_free(&text);
}

/* ---- the URI ---- */

struct reading {
    struct rf_arena arena;
    struct rf_snowflake_uri uri;
    struct rf_job job;
    struct rf_error err;
};

static enum rf_code read_uri(struct reading *reading, const char *uri) {
    memset(reading, 0, sizeof *reading);
    rf_arena_init(&reading->arena, 1 << 20);
    reading->job.connect_timeout = 10;
    return rf_snowflake_uri_read(uri, &reading->arena, &reading->uri, &reading->err);
}

TEST(a_uri_says_who_connects_where) {
    struct reading r;
    assert_code(read_uri(&r, "snowflake://lo%40der:p%2Fw@org-acc/RAW/public?warehouse=W%20H&role=R&host=127.0.0.1&port=80&protocol=http"), RF_OK, &r.err);
    assert_string_equal(r.uri.user, "lo@der");
    assert_string_equal(r.uri.password, "p/w");
    assert_string_equal(r.uri.account, "org-acc");
    assert_string_equal(r.uri.database, "RAW");
    assert_string_equal(r.uri.schema, "public");
    assert_string_equal(r.uri.warehouse, "W H");
    assert_string_equal(r.uri.authenticator, "snowflake");
    assert_string_equal(r.uri.port, "80");
    rf_arena_free(&r.arena);
}

TEST(the_secret_tells_how_to_sign_in) {
    struct reading r;
    assert_code(read_uri(&r, "snowflake://u@a/db?token=abc"), RF_OK, &r.err);
    assert_string_equal(r.uri.authenticator, "oauth");
    rf_arena_free(&r.arena);
    assert_code(read_uri(&r, "snowflake://u@a?private_key_file=/k.p8&authenticator=SNOWFLAKE_JWT"), RF_OK, &r.err);
    assert_string_equal(r.uri.authenticator, "snowflake_jwt");
    assert_null(r.uri.database);
    rf_arena_free(&r.arena);
}

TEST(a_uri_that_cannot_work_is_refused_without_a_word_of_its_secrets) {
    static const char *const uris[] = {
        "snowflake:u:geheim@a/db", "snowflake://u:geheim", "snowflake://:geheim@a", "snowflake://u:geheim@", "snowflake://u:ge@heim@a", "snowflake://u:geheim@a/d/s/x",
        "snowflake://u@a/db", "snowflake://u:geheim%2@a", "snowflake://u:geheim@a?nonsense=geheim", "snowflake://u:geheim@a?authenticator=externalbrowser",
        "snowflake://u:geheim@a?authenticator=oauth", "snowflake://u@a?private_key=geheim", "snowflake://u:geheim@a?port=geheim", "snowflake://u:geheim@a?protocol=ftp",
        "snowflake://u@a?private_key=-----BEGIN%20geheim&private_key_file=/k", "snowflake://u:geheim@a%3BServer=b/db", "snowflake://u:geheim@a%2Fb", "snowflake://u:geheim@a:443"};
    for (size_t i = 0; i < N_OF(uris); i++) {
        struct reading r;
        if (read_uri(&r, uris[i]) != RF_CONFIG) fail_msg("not refused: %s", uris[i]);
        assert_lacks(r.err.message, "geheim");
        assert_lacks(r.err.hint, "geheim");
        rf_arena_free(&r.arena);
    }
}

static const char *option(const struct rf_adbc_option *options, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(options[i].name, name) == 0) return options[i].value;
    return "(none)";
}

TEST(the_adbc_driver_is_told_what_the_uri_says) {
    struct reading r;
    struct rf_adbc_option options[RF_SNOWFLAKE_OPTIONS];
    int n;
    assert_code(read_uri(&r, "snowflake://u:pw@a/db?warehouse=w&role=r"), RF_OK, &r.err);
    assert_code(rf_snowflake_adbc_options(&r.uri, &r.job, &r.arena, options, &n, &r.err), RF_OK, &r.err);
    assert_string_equal(option(options, n, "username"), "u");
    assert_string_equal(option(options, n, "password"), "pw");
    assert_string_equal(option(options, n, "adbc.snowflake.sql.account"), "a");
    assert_string_equal(option(options, n, "adbc.snowflake.sql.db"), "db");
    assert_string_equal(option(options, n, "adbc.snowflake.sql.schema"), "(none)");
    assert_string_equal(option(options, n, "adbc.snowflake.sql.auth_type"), "auth_snowflake");
    assert_string_equal(option(options, n, "adbc.snowflake.sql.client_option.login_timeout"), "10s");
    rf_arena_free(&r.arena);
}

TEST(a_key_with_a_passphrase_is_read_from_its_file) {
    struct reading r;
    struct rf_adbc_option options[RF_SNOWFLAKE_OPTIONS];
    int n;
    char path[] = "/tmp/rowferry-key-XXXXXX", uri[256];
    int fd = mkstemp(path);
    assert_true(fd >= 0 && write(fd, "-----BEGIN ENCRYPTED", 20) == 20);
    close(fd);
    snprintf(uri, sizeof uri, "snowflake://u@a?private_key_file_pwd=pp&private_key_file=%s", path);
    assert_code(read_uri(&r, uri), RF_OK, &r.err);
    enum rf_code code = rf_snowflake_adbc_options(&r.uri, &r.job, &r.arena, options, &n, &r.err);
    unlink(path);
    assert_code(code, RF_OK, &r.err);
    assert_string_equal(option(options, n, "adbc.snowflake.sql.client_option.jwt_private_key_pkcs8_value"), "-----BEGIN ENCRYPTED");
    assert_string_equal(option(options, n, "adbc.snowflake.sql.client_option.jwt_private_key_pkcs8_password"), "pp");
    assert_string_equal(option(options, n, "adbc.snowflake.sql.client_option.jwt_private_key"), "(none)");
    assert_code(rf_snowflake_adbc_options(&r.uri, &r.job, &r.arena, options, &n, &r.err), RF_CONFIG, &r.err);
    assert_contains(r.err.message, path);
    rf_arena_free(&r.arena);
}

static void odbc_is_told(const char *uri, const char *part) {
    struct reading r;
    struct rf_odbc_uri odbc;
    assert_code(read_uri(&r, uri), RF_OK, &r.err);
    assert_code(rf_snowflake_odbc_uri(&r.uri, &r.job, &r.arena, &odbc, &r.err), RF_OK, &r.err);
    assert_contains(odbc.pairs, part);
    assert_contains(odbc.pairs, "LOGIN_TIMEOUT=10;NoExecuteInSQLPrepare=true;");
    rf_arena_free(&r.arena);
}

/* By the names of docs.snowflake.com/en/developer-guide/odbc/odbc-parameters. */
TEST(the_odbc_driver_is_told_the_same_in_its_own_words) {
    odbc_is_told("snowflake://u:p%7Dw%3B@org-a/db/s?warehouse=w&role=r",
                 "Server=org-a.snowflakecomputing.com;Account=org-a;UID=u;AUTHENTICATOR=snowflake;PWD={p}}w;};Database=db;Schema=s;Warehouse=w;Role=r;");
    odbc_is_told("snowflake://u:a%3Db%21%40@h?host=h.example&port=443", "Server=h.example;Port=443;Account=h;UID=u;AUTHENTICATOR=snowflake;PWD=a=b!@;");
    odbc_is_told("snowflake://u@a?token=t0", "AUTHENTICATOR=oauth;TOKEN=t0;");
    odbc_is_told("snowflake://u@a?private_key_file=/k.p8&private_key_file_pwd=pp", "AUTHENTICATOR=snowflake_jwt;PRIV_KEY_FILE=/k.p8;PRIV_KEY_FILE_PWD=pp;");
    odbc_is_told("snowflake://u@a?private_key=-----BEGIN%20X&private_key_file_pwd=pp", "AUTHENTICATOR=snowflake_jwt;PRIV_KEY_BASE64=LS0tLS1CRUdJTiBY;PRIV_KEY_PWD=pp;");
    odbc_is_told("snowflake://u@a?private_key=-----BEGIN%20", "PRIV_KEY_BASE64=LS0tLS1CRUdJTiA=;");
    odbc_is_told("snowflake://u@a?private_key=-----BEGIN%20XYZ%C3%BC", "PRIV_KEY_BASE64=LS0tLS1CRUdJTiBYWVrDvA==;");
}

TEST(every_secret_of_the_odbc_string_is_known_as_one) {
    struct reading r;
    struct rf_odbc_uri odbc;
    assert_code(read_uri(&r, "snowflake://u:pw@a?private_key=-----BEGIN%20X&private_key_file_pwd=pp&token=t0"), RF_OK, &r.err);
    assert_code(rf_snowflake_odbc_uri(&r.uri, &r.job, &r.arena, &odbc, &r.err), RF_OK, &r.err);
    assert_string_equal(odbc.secrets[0], "pw");
    assert_string_equal(odbc.secrets[1], "t0");
    assert_string_equal(odbc.secrets[2], "LS0tLS1CRUdJTiBY");
    assert_string_equal(odbc.secrets[3], "pp");
    rf_arena_free(&r.arena);
    assert_code(read_uri(&r, "snowflake://u:pw@a?protocol=http"), RF_OK, &r.err);
    assert_code(rf_snowflake_odbc_uri(&r.uri, &r.job, &r.arena, &odbc, &r.err), RF_CONFIG, &r.err);
    rf_arena_free(&r.arena);
}

/* ---- errors ---- */

TEST(an_error_means_what_its_number_says_wherever_it_stands) {
    static const struct { const char *text; int32_t native; enum rf_code code; bool retryable; const char *state; } cases[] = {
        {"[Snowflake] 000625 (57014): 000625 (57014): Statement '1' has locked table 'T'", 625, RF_BUSY, true, "57014"},
        {"000606 (57P03): No active warehouse selected in the current session.", 0, RF_TARGET, true, "57P03"},
        {"[Snowflake] 390114 (08001): Authentication token has expired.", 390114, RF_TARGET, true, "08001"},
        {"002003 (42S02): SQL compilation error:\nObject 'X' does not exist or not authorized.", 0, RF_CONFIG, false, "42S02"},
        {"100038 (22018): Numeric value 'NaN' is not recognized", 0, RF_DATA, false, "22018"},
        {"100035 (22007): Timestamp 'infinity' is not recognized", 0, RF_DATA, false, "22007"},
        {"003001 (42501): SQL access control error:\nInsufficient privileges", 0, RF_AUTH, false, "42501"},
        {"390100 (08004): Incorrect username or password was specified.", 0, RF_AUTH, false, "08004"},
        {"123456 (99999): never heard of", 0, RF_TARGET, true, "99999"},
        {"[Snowflake] Post \"https://x\": dial tcp: connect: connection refused", 0, RF_TARGET, true, ""},
        {"[Snowflake] failed to parse private key", 0, RF_AUTH, false, ""},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct rf_error err = {0};
        rf_snowflake_diagnose("merge", cases[i].native, "", cases[i].text, &err);
        if (err.code != cases[i].code || err.retryable != cases[i].retryable) fail_msg("%s: %s", cases[i].text, rf_code_name(err.code));
        assert_string_equal(err.sqlstate, cases[i].state);
        assert_contains(err.message, "target: merge: ");
        assert_lacks(err.message, "\n");
    }
}

TEST(what_snowflake_answered_is_told_from_what_never_reached_it) {
    struct rf_error err;
    rf_snowflake_diagnose("commit", 625, "57014", "000625 (57014): x", &err);
    assert_true(rf_snowflake_is_locked(&err) && rf_snowflake_answered(&err) && !rf_snowflake_is_expired(&err));
    rf_snowflake_diagnose("commit", 390114, "08001", "390114 (08001): x", &err);
    assert_true(rf_snowflake_is_expired(&err) && !rf_snowflake_answered(&err));
    rf_snowflake_diagnose("commit", 0, "", "EOF", &err);
    assert_false(rf_snowflake_answered(&err));
}

TEST(a_number_beside_the_message_is_one_in_it_unless_it_is_the_odbc_drivers_own) {
    struct rf_error err;
    rf_snowflake_diagnose("commit", 625, "57014", "Statement '1' has locked table 'T'", &err);
    assert_string_equal(err.server_message, "000625 (57014): Statement '1' has locked table 'T'");
    assert_true(rf_snowflake_is_locked(&err) && rf_snowflake_answered(&err));
    rf_snowflake_diagnose("commit", 625, "57014", "(625) Statement '1' has locked table 'T'", &err);
    assert_true(rf_snowflake_is_locked(&err));
    rf_snowflake_diagnose("commit", 4, "HY000", "(4) REST request for URL https://x failed: CURLerror", &err);
    assert_int_equal(err.code, RF_TARGET);
    assert_false(rf_snowflake_answered(&err));
    rf_snowflake_diagnose("commit", 2013, "08S01", "Lost connection to server during query", &err);
    assert_false(rf_snowflake_answered(&err));
    rf_snowflake_diagnose("connect", 11560, "HY000", "(11560) Unable to establish connection", &err);
    assert_false(rf_snowflake_answered(&err));
    rf_snowflake_diagnose("connect", 45, "HY000", "(45) Error loading private key file: /k", &err);
    assert_int_equal(err.code, RF_AUTH);
}

/* ---- the job ---- */

static void goes_to(const char *more, const char *label) {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error err;
    char json[512];
    rf_arena_init(&arena, 1 << 20);
    snprintf(json, sizeof json, "{\"source\":\"postgresql://s\",\"target\":\"snowflake://u:p@a/db\",\"table\":\"orders\"%s}", more);
    assert_code(rf_job_parse(json, &arena, &job, &err), RF_OK, &err);
    assert_string_equal(job.target_label, label);
    rf_arena_free(&arena);
}

TEST(a_target_has_three_names_in_the_form_that_needs_no_quotes) {
    goes_to("", "raw.postgres.orders");
    goes_to(",\"target_table\":\"RAW.{source}.{table}\"", "raw.postgres.orders");
    goes_to(",\"target_table\":\"{source}.{table}\"", "db.postgres.orders");
    goes_to(",\"target_table\":\"Raw.x.{table}\"", "\"Raw\".x.orders");
}

/* ---- the statements ---- */

static void as_snowflake(struct facts *facts) {
    static const char *const types[] = {"NUMBER(19,0)", "NUMBER(12,4)", "VARCHAR"};
    facts->job.target_database = "raw";
    facts->job.target_schema = "postgres";
    facts->job.target_label = "raw.postgres.orders";
    facts->target.dialect = RF_DIALECT_SNOWFLAKE;
    facts->source.sends_csv = true;
    for (int i = 0; i < 3; i++) {
        facts->source_columns[i].arrives_as = types[i];
        facts->target_columns[i].type = types[i];
    }
}

static void make_load(struct facts *facts, const char *more, bool first) {
    make_facts(facts, more);
    if (first) never_loaded(facts);
    as_snowflake(facts);
}

static void plan_load(struct facts *facts) {
    assert_code(plan(facts), RF_OK, &facts->err);
}

static void makes(struct facts *facts, rf_statement_maker *make, const char *expected) {
    struct rf_text sql = {0};
    make(&facts->plan, &sql);
    assert_string_equal(whole(&sql), expected);
    rf_text_free(&sql);
}

#define EXTRACTED "'2026-11-22T18:00:00.000000+00:00'::TIMESTAMP_TZ"
#define TARGET "\"RAW\".\"POSTGRES\".\"ORDERS\""

TEST(rows_come_as_csv_and_never_straight_into_the_table) {
    struct facts facts;
    make_load(&facts, "", true);
    plan_load(&facts);
    assert_false(facts.plan.straight);
    makes(&facts, rf_sql_read, "COPY \"public\".\"orders\" (\"id\", \"amount\", \"note\") TO STDOUT (FORMAT csv)");
    drop_facts(&facts);
    make_load(&facts, "", true);
    facts.source_columns[2].through = "pg_catalog.array_to_json";
    facts.source.key_proven = false;
    plan_load(&facts);
    makes(&facts, rf_sql_read, "COPY (SELECT \"id\", \"amount\", pg_catalog.array_to_json(\"note\") AS \"note\", pg_catalog.age(xmin) AS \"_rowferry_age\","
                               " pg_catalog.encode(pg_catalog.tidsend(ctid), 'hex') AS \"_rowferry_place\" FROM \"public\".\"orders\") TO STDOUT (FORMAT csv)");
    makes(&facts, rf_sql_read_keys, "COPY (SELECT \"id\" FROM \"public\".\"orders\") TO STDOUT (FORMAT csv)");
    drop_facts(&facts);
}

TEST(a_session_reads_times_in_utc_and_carries_its_run_as_a_tag) {
    struct facts facts;
    struct rf_text sql = {0};
    make_load(&facts, ",\"application\":\"it's me\",\"lock_timeout\":5", false);
    rf_snowflake_session(&facts.job, &sql);
    assert_string_equal(whole(&sql), "ALTER SESSION SET TIMEZONE = 'UTC', TIMESTAMP_INPUT_FORMAT = 'AUTO', DATE_INPUT_FORMAT = 'AUTO', TIME_INPUT_FORMAT = 'AUTO',"
                                     " BINARY_INPUT_FORMAT = 'HEX', QUOTED_IDENTIFIERS_IGNORE_CASE = FALSE, ERROR_ON_NONDETERMINISTIC_MERGE = TRUE,"
                                     " ABORT_DETACHED_QUERY = TRUE, LOCK_TIMEOUT = 6, QUERY_TAG = 'it''s me; run run 1'");
    rf_text_free(&sql);
    drop_facts(&facts);
}

TEST(the_lease_is_taken_from_nobody_who_lives_and_by_its_token) {
    struct facts facts;
    struct rf_text take = {0}, renew = {0}, back = {0};
    make_load(&facts, "", false);
    rf_snowflake_take_lease(&facts.job, "t0", "77", &take);
    assert_contains(whole(&take), "MERGE INTO \"RAW\".\"_ROWFERRY\".\"LEASES\" t USING (SELECT 'raw.postgres.orders' AS target_table, 't0' AS token, 'run 1' AS run_id, 1 AS try_number, NULL AS map_index,");
    assert_contains(take.data, "ON t.target_table = s.target_table WHEN MATCHED AND (t.token IS NULL OR t.expires_at < SYSDATE() OR (t.run_id = 'run 1' AND t.try_number < 1)) THEN UPDATE SET load_id = s.load_id,");
    rf_snowflake_renew_lease(&facts.job, "t0", &renew);
    assert_string_equal(whole(&renew), "UPDATE \"RAW\".\"_ROWFERRY\".\"LEASES\" SET expires_at = DATEADD(MILLISECOND, 120000, SYSDATE()) WHERE target_table = 'raw.postgres.orders' AND token = 't0'");
    rf_snowflake_give_back(&facts.job, "t0", &back);
    assert_string_equal(whole(&back), "UPDATE \"RAW\".\"_ROWFERRY\".\"LEASES\" SET token = NULL WHERE target_table = 'raw.postgres.orders' AND token = 't0'");
    rf_text_free(&take);
    rf_text_free(&renew);
    rf_text_free(&back);
    drop_facts(&facts);
}

TEST(all_ddl_of_a_load_word_for_word) {
    struct facts facts;
    make_load(&facts, ",\"sweep\":\"always\"", true);
    facts.source_columns[2].read_by = "PARSE_JSON(%s)";
    plan_load(&facts);
    makes(&facts, rf_snowflake_create_target, "CREATE TABLE IF NOT EXISTS " TARGET " (\"ID\" NUMBER(19,0) NOT NULL, \"AMOUNT\" NUMBER(12,4), \"NOTE\" VARCHAR,"
                                              " \"_EXTRACTED_AT\" TIMESTAMP_TZ NOT NULL, \"_LOAD_ID\" NUMBER(19,0) NOT NULL, \"_DELETED_AT\" TIMESTAMP_TZ, PRIMARY KEY (\"ID\"))");
    makes(&facts, rf_snowflake_create_stage, "CREATE TEMPORARY TABLE \"ROWFERRY_STAGE_8\" (\"ID\" NUMBER(19,0), \"AMOUNT\" NUMBER(12,4), \"NOTE\" VARCHAR)");
    makes(&facts, rf_snowflake_create_keys, "CREATE TEMPORARY TABLE \"ROWFERRY_KEYS_8\" (\"ID\" NUMBER(19,0))");
    makes(&facts, rf_snowflake_create_files, "CREATE TEMPORARY STAGE rowferry_files_8");
    drop_facts(&facts);
}

#define FORMAT                                                                                                                                              \
    " FILE_FORMAT = (TYPE = CSV COMPRESSION = ZSTD RECORD_DELIMITER = '\\n' FIELD_DELIMITER = ',' FIELD_OPTIONALLY_ENCLOSED_BY = '\"' ESCAPE = NONE"           \
    " ESCAPE_UNENCLOSED_FIELD = NONE NULL_IF = () EMPTY_FIELD_AS_NULL = TRUE TRIM_SPACE = FALSE SKIP_BLANK_LINES = FALSE"                                      \
    " ERROR_ON_COLUMN_COUNT_MISMATCH = TRUE REPLACE_INVALID_CHARACTERS = FALSE BINARY_FORMAT = HEX ENCODING = 'UTF8') ON_ERROR = ABORT_STATEMENT"

TEST(files_are_sent_and_loaded_word_for_word) {
    struct facts facts;
    struct rf_text put = {0};
    make_load(&facts, "", false);
    plan_load(&facts);
    rf_snowflake_put(&facts.plan, "/tmp/s/rows_0001.csv.zst", "rows", &put);
    assert_string_equal(whole(&put), "PUT 'file:///tmp/s/rows_0001.csv.zst' @rowferry_files_8/rows SOURCE_COMPRESSION = ZSTD AUTO_COMPRESS = FALSE OVERWRITE = TRUE");
    rf_text_free(&put);
    makes(&facts, rf_snowflake_copy_rows, "COPY INTO \"ROWFERRY_STAGE_8\" FROM @rowferry_files_8/rows/" FORMAT);
    makes(&facts, rf_snowflake_copy_keys, "COPY INTO \"ROWFERRY_KEYS_8\" FROM @rowferry_files_8/keys/" FORMAT);
    drop_facts(&facts);
}

TEST(the_merge_lists_its_columns_guards_newer_rows_and_takes_the_newest_of_a_key) {
    struct facts facts;
    make_load(&facts, "", false);
    plan_load(&facts);
    makes(&facts, rf_snowflake_merge, "MERGE INTO " TARGET " t USING (SELECT \"ID\", \"AMOUNT\", \"NOTE\" FROM \"ROWFERRY_STAGE_8\") s ON t.\"ID\" = s.\"ID\""
                                      " WHEN MATCHED AND t.\"_LOAD_ID\" < 8 THEN UPDATE SET \"AMOUNT\" = s.\"AMOUNT\", \"NOTE\" = s.\"NOTE\","
                                      " \"_EXTRACTED_AT\" = " EXTRACTED ", \"_LOAD_ID\" = 8, \"_DELETED_AT\" = NULL WHEN NOT MATCHED THEN INSERT"
                                      " (\"ID\", \"AMOUNT\", \"NOTE\", \"_EXTRACTED_AT\", \"_LOAD_ID\") VALUES (s.\"ID\", s.\"AMOUNT\", s.\"NOTE\", " EXTRACTED ", 8)");
    drop_facts(&facts);
    make_load(&facts, ",\"keys\":[\"id\"]", false);
    without_proven_key(&facts);
    facts.source_columns[2].read_by = "PARSE_JSON(%s)";
    plan_load(&facts);
    struct rf_text sql = {0};
    rf_snowflake_merge(&facts.plan, &sql);
    assert_contains(whole(&sql), "USING (SELECT \"ID\", \"AMOUNT\", PARSE_JSON(\"NOTE\") AS \"NOTE\" FROM \"ROWFERRY_STAGE_8\" QUALIFY ROW_NUMBER() OVER"
                                 " (PARTITION BY \"ID\" ORDER BY \"_ROWFERRY_AGE\", \"_ROWFERRY_PLACE\" DESC) = 1) s ON");
    rf_text_free(&sql);
    drop_facts(&facts);
}

TEST(rows_are_asked_for_as_texts_but_for_bytes_and_doubles) {
    static const char *const types[] = {"TIMESTAMP_TZ", "TIMESTAMP_NTZ", "TIME", "DATE", "VARIANT", "ARRAY", "FLOAT", "BINARY", "BOOLEAN"};
    struct facts facts;
    make_load(&facts, "", true);
    for (size_t i = 0; i < N_OF(types); i++) add_source_column(&facts, (const char *[]){"tz", "ntz", "t", "d", "v", "a", "f", "b", "o"}[i], "x", "x", -1)->arrives_as = types[i];
    facts.source_columns[2].compared_as = "::pg_catalog.text";
    facts.plan = (struct rf_plan){.job = &facts.job, .source = &facts.source, .target = &facts.target};
    makes(&facts, rf_snowflake_values,
          "SELECT \"ID\"::VARCHAR, \"AMOUNT\"::VARCHAR, \"NOTE\", TO_CHAR(CONVERT_TIMEZONE('UTC', \"TZ\"), 'YYYY-MM-DD HH24:MI:SS.FF9'), TO_CHAR(\"NTZ\", 'YYYY-MM-DD HH24:MI:SS.FF9'),"
          " TO_CHAR(\"T\", 'HH24:MI:SS.FF9'), TO_CHAR(\"D\", 'YYYY-MM-DD'), TO_JSON(\"V\"), TO_JSON(\"A\"), \"F\", \"B\", \"O\"::VARCHAR FROM " TARGET " WHERE \"_DELETED_AT\" IS NULL");
    facts.source.n_columns = 3;
    struct rf_text sql = {0};
    rf_sql_source_values(&facts.plan, 0, &sql);
    assert_string_equal(whole(&sql), "COPY (SELECT \"id\", \"amount\", \"note\"::pg_catalog.text AS \"note\" FROM \"public\".\"orders\") TO STDOUT (FORMAT binary)");
    rf_text_free(&sql);
    drop_facts(&facts);
}

TEST(gone_absent_and_swept_rows_are_closed_or_removed_word_for_word) {
    struct facts facts;
    make_load(&facts, ",\"where\":\"paid\",\"sweep\":\"always\"", false);
    plan_load(&facts);
    const struct rf_stage_makers *makers = rf_stage_makers(&facts.plan);
    makes(&facts, makers->close_gone, "MERGE INTO " TARGET " t USING (SELECT DISTINCT \"ID\" FROM \"ROWFERRY_STAGE_8\" WHERE \"_ROWFERRY_GONE\") s ON t.\"ID\" = s.\"ID\""
                                      " WHEN MATCHED AND t.\"_LOAD_ID\" < 8 AND t.\"_DELETED_AT\" IS NULL THEN UPDATE SET \"_DELETED_AT\" = " EXTRACTED
                                      ", \"_EXTRACTED_AT\" = " EXTRACTED ", \"_LOAD_ID\" = 8");
    makes(&facts, makers->close_absent, "UPDATE " TARGET " SET \"_DELETED_AT\" = " EXTRACTED ", \"_EXTRACTED_AT\" = " EXTRACTED ", \"_LOAD_ID\" = 8"
                                        " WHERE \"_LOAD_ID\" < 8 AND \"_DELETED_AT\" IS NULL");
    makes(&facts, makers->count_stage, "SELECT (SELECT COUNT(*) FROM \"ROWFERRY_STAGE_8\" WHERE \"_ROWFERRY_GONE\")::VARCHAR, ((SELECT COUNT(*) FROM \"ROWFERRY_STAGE_8\""
                                       " WHERE NOT \"_ROWFERRY_GONE\") - (SELECT COUNT(*) FROM (SELECT DISTINCT \"ID\" FROM \"ROWFERRY_STAGE_8\" WHERE NOT \"_ROWFERRY_GONE\") k))::VARCHAR");
    makes(&facts, makers->count_live, "SELECT (SELECT COUNT(*) FROM (SELECT \"ID\" FROM \"ROWFERRY_KEYS_8\") k)::VARCHAR, (SELECT COUNT(*) FROM " TARGET " WHERE \"_DELETED_AT\" IS NULL)::VARCHAR");
    drop_facts(&facts);
    make_load(&facts, ",\"on_delete\":\"remove\",\"sweep\":\"always\"", false);
    plan_load(&facts);
    makes(&facts, makers->sweep, "MERGE INTO " TARGET " t USING (SELECT t.\"ID\" FROM " TARGET " t WHERE t.\"_LOAD_ID\" < 8 AND NOT EXISTS (SELECT 1 FROM (SELECT \"ID\" FROM \"ROWFERRY_KEYS_8\") s"
                                 " WHERE t.\"ID\" = s.\"ID\")) s ON t.\"ID\" = s.\"ID\" WHEN MATCHED AND t.\"_LOAD_ID\" < 8 THEN DELETE");
    makes(&facts, makers->close_absent, "DELETE FROM " TARGET " WHERE \"_LOAD_ID\" < 8");
    drop_facts(&facts);
}

TEST(a_load_record_goes_in_once_for_a_lease_that_is_still_ours) {
    struct facts facts;
    struct rf_record record;
    struct rf_text sql = {0};
    make_load(&facts, "", false);
    rf_record_reset(&facts.job, 9, &record);
    rf_snowflake_insert_load(&facts.job, &record, "token", &sql);
    assert_contains(whole(&sql), "INSERT INTO \"RAW\".\"_ROWFERRY\".\"LOADS\" SELECT 'raw.postgres.orders', '9', 'reset', 'public.orders', 'postgres', 'run 1', '1', '1', NULL, ");
    assert_contains(sql.data, "SYSDATE()::TIMESTAMP_TZ, NULL WHERE NOT EXISTS (SELECT 1 FROM \"RAW\".\"_ROWFERRY\".\"LOADS\" WHERE target_table = 'raw.postgres.orders' AND load_id >= 9)"
                              " AND 'token' = (SELECT token FROM \"RAW\".\"_ROWFERRY\".\"LEASES\" WHERE target_table = 'raw.postgres.orders' ORDER BY load_id DESC, token DESC NULLS LAST LIMIT 1)");
    rf_text_free(&sql);
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_name_stands_in_capitals_and_any_other_as_it_is),
        cmocka_unit_test(names_are_the_same_where_snowflake_reads_them_as_one),
        cmocka_unit_test(a_name_is_looked_for_as_the_catalogs_hold_it),
        cmocka_unit_test(a_uri_says_who_connects_where),
        cmocka_unit_test(the_secret_tells_how_to_sign_in),
        cmocka_unit_test(a_uri_that_cannot_work_is_refused_without_a_word_of_its_secrets),
        cmocka_unit_test(the_adbc_driver_is_told_what_the_uri_says),
        cmocka_unit_test(a_key_with_a_passphrase_is_read_from_its_file),
        cmocka_unit_test(the_odbc_driver_is_told_the_same_in_its_own_words),
        cmocka_unit_test(every_secret_of_the_odbc_string_is_known_as_one),
        cmocka_unit_test(an_error_means_what_its_number_says_wherever_it_stands),
        cmocka_unit_test(what_snowflake_answered_is_told_from_what_never_reached_it),
        cmocka_unit_test(a_number_beside_the_message_is_one_in_it_unless_it_is_the_odbc_drivers_own),
        cmocka_unit_test(a_target_has_three_names_in_the_form_that_needs_no_quotes),
        cmocka_unit_test(rows_come_as_csv_and_never_straight_into_the_table),
        cmocka_unit_test(a_session_reads_times_in_utc_and_carries_its_run_as_a_tag),
        cmocka_unit_test(the_lease_is_taken_from_nobody_who_lives_and_by_its_token),
        cmocka_unit_test(all_ddl_of_a_load_word_for_word),
        cmocka_unit_test(files_are_sent_and_loaded_word_for_word),
        cmocka_unit_test(the_merge_lists_its_columns_guards_newer_rows_and_takes_the_newest_of_a_key),
        cmocka_unit_test(rows_are_asked_for_as_texts_but_for_bytes_and_doubles),
        cmocka_unit_test(gone_absent_and_swept_rows_are_closed_or_removed_word_for_word),
        cmocka_unit_test(a_load_record_goes_in_once_for_a_lease_that_is_still_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
