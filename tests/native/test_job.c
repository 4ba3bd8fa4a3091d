/* A job is read from JSON, whole or not at all. */
#include "core/job.h"

#include "units.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct parsed {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error err;
};

static enum rf_code parse(struct parsed *parsed, const char *json) {
    memset(parsed, 0, sizeof *parsed);
    rf_arena_init(&parsed->arena, 1 << 20);
    return rf_job_parse(json, &parsed->arena, &parsed->job, &parsed->err);
}

static void drop(struct parsed *parsed) {
    rf_arena_free(&parsed->arena);
}

/* The job with these further keys is refused, and the message contains `part`. */
static void refuses(const char *json, const char *part) {
    struct parsed parsed;
    if (parse(&parsed, json) != RF_CONFIG) fail_msg("not refused: %s", json);
    assert_contains(parsed.err.message, part);
    assert_false(parsed.err.retryable);
    assert_true(is_utf8(parsed.err.message));
    drop(&parsed);
}

static void accepts(struct parsed *parsed, const char *json) {
    assert_code(parse(parsed, json), RF_OK, &parsed->err);
}

/* cJSON ends a text at such a character: a filter would lose its second half without a word. */
TEST(a_text_with_the_character_nul_is_refused) {
    refuses("{\"where\":\"id > 1\\u0000 AND paid\"}", "NUL");
    refuses("{\"where\":\"a\\\\\\u0000\"}", "NUL");
}

TEST(a_backslash_before_the_letters_of_the_character_nul_is_a_text_like_others) {
    struct parsed parsed;
    accepts(&parsed, "{\"where\":\"a\\\\u0000\"}");
    assert_string_equal(parsed.job.where, "a\\u0000");
    drop(&parsed);
}

TEST(a_control_schema_that_a_server_would_cut_is_refused) {
    refuses("{\"control_schema\":\"_234567890123456789012345678901234567890123456789012345678901234\"}", "63 bytes");
}

/* ---- defaults ------------------------------------------------------------------------------------------------- */

TEST(what_a_job_does_not_say_has_its_default) {
    struct parsed parsed;
    accepts(&parsed, "{\"source\":\"postgresql://s\",\"target\":\"postgresql://t\",\"table\":\"orders\"}");
    const struct rf_job *job = &parsed.job;
    assert_string_equal(job->source_name, "postgres");
    assert_string_equal(job->source_label, "public.orders");
    assert_string_equal(job->target_label, "raw_postgres.orders");
    assert_null(job->keys.names);
    assert_null(job->columns.names);
    assert_null(job->where);
    assert_int_equal(job->capture, RF_CAPTURE_AUTO);
    assert_int_equal(job->on_duplicate, RF_DUPLICATE_NEWEST);
    assert_int_equal(job->try_number, 1);
    assert_int_equal(job->map_index, -1);
    assert_string_equal(job->application, "rowferry");
    assert_int_equal(job->batch_bytes, 1048576);
    assert_true(job->lock_timeout == 60 && job->lease_seconds == 120 && job->source_lag_wait == 60);
    assert_int_equal(job->connect_timeout, 10);
    assert_string_equal(job->control_schema, "_rowferry");
    assert_false(job->verify);
    drop(&parsed);
}

TEST(a_null_means_the_default) {
    struct parsed parsed;
    accepts(&parsed, "{\"source\":null,\"target\":null,\"table\":null,\"keys\":null,\"columns\":null,\"where\":null,\"run_id\":null,\"map_index\":null}");
    assert_null(parsed.job.source);
    assert_null(parsed.job.table);
    assert_null(parsed.job.keys.names);
    assert_int_equal(parsed.job.map_index, -1);
    assert_non_null(parsed.job.run_id);
    drop(&parsed);
}

TEST(every_key_is_taken_as_written) {
    struct parsed parsed;
    accepts(&parsed, "{\"source\":\"s\",\"target\":\"t\",\"source_name\":\"shop\",\"table\":\"sales.orders\",\"target_table\":\"r_{source}_{schema}.x_{table}\","
                     "\"keys\":[\"b\",\"a\"],\"columns\":[\"a\",\"b\",\"c\"],\"where\":\"a > 1\",\"capture\":\"full\",\"mode\":\"merge\",\"on_duplicate\":\"fail\","
                     "\"run_id\":\"r\",\"try_number\":3,\"map_index\":7,\"application\":\"app\",\"batch_bytes\":65536,\"lock_timeout\":0.5,\"lease_seconds\":30,"
                     "\"source_lag_wait\":0,\"connect_timeout\":2,\"control_schema\":\"ctl\",\"verify\":true}");
    const struct rf_job *job = &parsed.job;
    assert_string_equal(job->target_label, "r_shop_sales.x_orders");
    assert_int_equal(job->keys.n, 2);
    assert_string_equal(job->keys.names[0], "b");
    assert_int_equal(job->columns.n, 3);
    assert_string_equal(job->columns.names[2], "c");
    assert_string_equal(job->where, "a > 1");
    assert_int_equal(job->capture, RF_CAPTURE_FULL);
    assert_int_equal(job->on_duplicate, RF_DUPLICATE_FAIL);
    assert_int_equal(job->try_number, 3);
    assert_int_equal(job->map_index, 7);
    assert_int_equal(job->batch_bytes, 65536);
    assert_true(job->lock_timeout == 0.5 && job->lease_seconds == 30 && job->source_lag_wait == 0);
    assert_string_equal(job->control_schema, "ctl");
    assert_true(job->verify);
    drop(&parsed);
}

TEST(a_run_without_a_name_gets_one_of_its_own) {
    struct parsed one, other;
    accepts(&one, "{}");
    accepts(&other, "{}");
    assert_memory_equal(one.job.run_id, "manual__", 8);
    assert_int_equal(strlen(one.job.run_id), 40);
    assert_string_not_equal(one.job.run_id, other.job.run_id);
    drop(&one);
    drop(&other);
}

/* ---- refusals --------------------------------------------------------------------------------------------------- */

TEST(what_is_no_json_object_is_refused) {
    static const char *const texts[] = {"", "{", "nonsense", "{} {}", "{\"source\":}", "{\"source\":\"s\",}", "{\"a\":1"};
    for (size_t i = 0; i < N_OF(texts); i++) refuses(texts[i], "not valid JSON");
    static const char *const others[] = {"[]", "\"text\"", "1", "null", "true"};
    for (size_t i = 0; i < N_OF(others); i++) refuses(others[i], "a job is a JSON object");
}

TEST(an_unknown_key_is_named_with_the_nearest_known_one) {
    static const struct { const char *written, *nearest; } cases[] = {
        {"tabel", "table"}, {"key", "keys"}, {"colums", "columns"}, {"verfiy", "verify"}, {"Table", "table"},
        {"lock_timout", "lock_timeout"}, {"runid", "run_id"}, {"batchbytes", "batch_bytes"}, {"on_duplicates", "on_duplicate"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct parsed parsed;
        char json[64], hint[64];
        snprintf(json, sizeof json, "{\"%s\":1}", cases[i].written);
        assert_code(parse(&parsed, json), RF_CONFIG, &parsed.err);
        assert_contains(parsed.err.message, cases[i].written);
        snprintf(hint, sizeof hint, "Did you mean \"%s\"?", cases[i].nearest);
        assert_contains(parsed.err.hint, hint);
        drop(&parsed);
    }
}

TEST(a_key_of_any_length_is_refused_without_harm) {
    char json[4096] = "{\"";
    for (size_t i = 0; i < 1000; i++) memcpy(json + 2 + 3 * i, "\xE2\x82\xAC", 4);
    memcpy(json + strlen(json), "\":1}", 5);
    refuses(json, "unknown key");
    refuses("{\"\":1}", "unknown key \"\"");
}

TEST(a_value_of_another_type_is_refused_naming_the_key) {
    static const char *const texts[] = {"source", "target", "driver", "channel", "spool_dir", "spool_file_bytes", "source_name", "table", "target_table", "where", "run_id", "application", "control_schema",
                                        "capture", "mode", "on_duplicate", "open_transactions", "audit", "sweep", "on_delete", "since", "until"};
    static const char *const not_texts[] = {"1", "true", "[]", "{}"};
    static const char *const numbers[] = {"try_number", "map_index", "batch_bytes", "lock_timeout", "lease_seconds", "source_lag_wait", "connect_timeout",
                                          "clock_margin", "lookback", "max_hold", "wait_for_open_transactions", "xmin_max_bytes", "connections"};
    static const char *const not_numbers[] = {"\"1\"", "true", "[]", "{}"};
    char json[128];
    for (size_t k = 0; k < N_OF(texts); k++)
        for (size_t v = 0; v < N_OF(not_texts); v++) {
            snprintf(json, sizeof json, "{\"%s\":%s}", texts[k], not_texts[v]);
            refuses(json, texts[k]);
        }
    for (size_t k = 0; k < N_OF(numbers); k++)
        for (size_t v = 0; v < N_OF(not_numbers); v++) {
            snprintf(json, sizeof json, "{\"%s\":%s}", numbers[k], not_numbers[v]);
            refuses(json, numbers[k]);
        }
    refuses("{\"verify\":1}", "\"verify\" of the job must be true or false");
    refuses("{\"allow_empty\":\"yes\"}", "\"allow_empty\" of the job must be true or false");
    refuses("{\"keys\":\"id\"}", "\"keys\" of the job must be a list of column names");
    refuses("{\"columns\":{\"a\":1}}", "\"columns\"");
}

TEST(a_null_is_refused_where_it_means_nothing) {
    static const char *const keys[] = {"source_name", "channel", "spool_file_bytes", "capture", "mode", "on_duplicate", "try_number", "application", "batch_bytes",
                                       "lock_timeout", "lease_seconds", "source_lag_wait", "connect_timeout", "control_schema", "verify", "allow_empty",
                                       "open_transactions", "clock_margin", "lookback", "max_hold", "wait_for_open_transactions", "xmin_max_bytes",
                                       "audit", "sweep", "on_delete", "connections"};
    char json[64];
    for (size_t i = 0; i < N_OF(keys); i++) {
        snprintf(json, sizeof json, "{\"%s\":null}", keys[i]);
        refuses(json, keys[i]);
    }
}

TEST(an_empty_text_is_refused) {
    static const char *const keys[] = {"source", "target", "source_name", "table", "target_table", "where", "run_id", "application", "control_schema", "since", "until"};
    char json[64];
    for (size_t i = 0; i < N_OF(keys); i++) {
        snprintf(json, sizeof json, "{\"%s\":\"\"}", keys[i]);
        refuses(json, keys[i]);
    }
}

TEST(a_number_out_of_bounds_is_refused_and_one_at_the_bound_is_taken) {
    static const struct { const char *key, *below, *least, *most, *above; } cases[] = {
        {"try_number", "0", "1", "1000000000", "1000000001"}, {"map_index", "-2", "-1", "1000000000", "1e10"},
        {"batch_bytes", "65535", "65536", "1073741824", "1073741825"}, {"lock_timeout", "-0.001", "0", "86400", "86400.5"},
        {"lease_seconds", "0.9", "1", "86400", "1e300"}, {"source_lag_wait", "-1", "0", "86400", "1e999"}, {"connect_timeout", "0", "1", "3600", "3601"},
        {"clock_margin", "-1", "0", "86400", "86401"}, {"lookback", "-0.5", "0", "31622400", "31622401"}, {"max_hold", "-1", "0", "31622400", "31622401"},
        {"wait_for_open_transactions", "-1", "0", "86400", "86401"}, {"xmin_max_bytes", "-1", "0", "9007199254740992", "9007199254740994"},
        {"connections", "0", "1", "16", "17"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        const char *const values[] = {cases[i].below, cases[i].above, cases[i].least, cases[i].most};
        for (size_t v = 0; v < N_OF(values); v++) {
            char json[64];
            snprintf(json, sizeof json, "{\"%s\":%s}", cases[i].key, values[v]);
            if (v < 2) {
                refuses(json, cases[i].key);
                continue;
            }
            struct parsed parsed;
            accepts(&parsed, json);
            drop(&parsed);
        }
    }
}

TEST(a_number_must_be_whole_where_halves_mean_nothing) {
    refuses("{\"try_number\":1.5}", "\"try_number\" of the job must be a whole number");
    refuses("{\"batch_bytes\":65536.25}", "whole number");
    refuses("{\"connect_timeout\":2.5}", "whole number");
    refuses("{\"connections\":1.5}", "whole number");
    refuses("{\"xmin_max_bytes\":0.5}", "whole number");
}

TEST(an_unknown_choice_is_refused_with_those_there_are) {
    refuses("{\"capture\":\"log\"}", "\"capture\" of the job is \"log\"; this release knows: auto xmin cursor full");
    refuses("{\"capture\":\"auto xmin\"}", "this release knows");
    refuses("{\"capture\":\"aut\"}", "this release knows");
    refuses("{\"capture\":\"\"}", "this release knows");
    refuses("{\"mode\":\"upsert\"}", "this release knows: merge append replace");
    refuses("{\"on_duplicate\":\"oldest\"}", "newest fail");
    refuses("{\"open_transactions\":\"wait\"}", "track ignore");
    refuses("{\"on_delete\":\"drop\"}", "mark remove");
}

TEST(a_setting_that_its_mode_leaves_no_room_for_is_refused) {
    refuses("{\"mode\":\"replace\",\"since\":\"2026-01-01\"}", "mode replace makes the target what was read");
    refuses("{\"mode\":\"replace\",\"capture\":\"xmin\"}", "mode replace reads the whole table");
    refuses("{\"mode\":\"replace\",\"capture\":\"cursor\"}", "mode replace reads the whole table");
    refuses("{\"mode\":\"append\",\"on_delete\":\"remove\"}", "mode append removes nothing");
    refuses("{\"allow_empty\":true}", "the mode is merge");
    refuses("{\"mode\":\"append\",\"allow_empty\":true}", "the mode is append");
}

/* JSON lets a name come twice, and readers differ in which they believe. */
TEST(a_key_that_comes_twice_is_refused_by_name) {
    refuses("{\"keys\":[\"a\"],\"table\":\"t\",\"keys\":[\"b\"]}", "\"keys\" twice");
    refuses("{\"where\":null,\"where\":\"paid\"}", "\"where\" twice");
}

TEST(a_list_of_columns_holds_each_name_once) {
    refuses("{\"keys\":[]}", "\"keys\" of the job must be a list of 1 to 1664 column names");
    refuses("{\"keys\":[\"\"]}", "list of column names");
    refuses("{\"keys\":[\"a\",1]}", "list of column names");
    refuses("{\"cursor_columns\":[]}", "\"cursor_columns\" of the job must be a list of 1 to 1664 column names");
    refuses("{\"cursor_columns\":[\"a\",\"a\"]}", "names the column \"a\" twice");
    refuses("{\"cursor_columns\":\"a\"}", "\"cursor_columns\" of the job must be a list of column names");
    refuses("{\"as_text\":[]}", "\"as_text\" of the job must be a list of 1 to 1664 column names");
    refuses("{\"columns\":[\"a\",\"b\",\"a\"]}", "\"columns\" of the job names the column \"a\" twice");
    refuses("{\"columns\":[\"a\"],\"keys\":[\"a\",\"b\"]}", "the key column \"b\" is not among \"columns\"");
    char *long_list = malloc(1700 * 8);
    size_t used = (size_t)sprintf(long_list, "{\"keys\":[");
    for (int i = 0; i < 1665; i++) used += (size_t)sprintf(long_list + used, "%s\"%d\"", i ? "," : "", i);
    sprintf(long_list + used, "]}");
    refuses(long_list, "1 to 1664");
    free(long_list);
}

/* ---- captures ----------------------------------------------------------------------------------------------------- */

TEST(the_settings_of_captures_have_their_defaults) {
    struct parsed parsed;
    accepts(&parsed, "{}");
    const struct rf_job *job = &parsed.job;
    assert_null(job->cursor_columns.names);
    assert_int_equal(job->open_transactions, RF_OPEN_TRACK);
    assert_true(job->clock_margin == 60 && job->lookback == 0 && job->max_hold == 3600 && job->wait_for_open_transactions == 0);
    assert_int_equal(job->xmin_max_bytes, 10737418240);
    assert_int_equal(job->audit, 24);
    assert_int_equal(job->sweep, 0);
    assert_int_equal(job->on_delete, RF_DELETE_MARK);
    assert_null(job->since);
    assert_null(job->until);
    assert_int_equal(job->connections, 1);
    assert_false(rf_job_has_window(job));
    drop(&parsed);
}

TEST(every_setting_of_a_capture_is_taken_as_written) {
    struct parsed parsed;
    accepts(&parsed, "{\"capture\":\"cursor\",\"cursor_columns\":[\"seen\",\"made\"],\"open_transactions\":\"ignore\",\"clock_margin\":1.5,\"lookback\":2.5,"
                     "\"max_hold\":3.5,\"wait_for_open_transactions\":4.5,\"xmin_max_bytes\":9007199254740992,\"audit\":\"never\",\"sweep\":\"every 7\","
                     "\"on_delete\":\"remove\",\"since\":\"2026-11-01\",\"until\":\"2026-12-01T00:00:00Z\",\"connections\":16}");
    const struct rf_job *job = &parsed.job;
    assert_int_equal(job->capture, RF_CAPTURE_CURSOR);
    assert_int_equal(job->cursor_columns.n, 2);
    assert_string_equal(job->cursor_columns.names[1], "made");
    assert_int_equal(job->open_transactions, RF_OPEN_IGNORE);
    assert_true(job->clock_margin == 1.5 && job->lookback == 2.5 && job->max_hold == 3.5 && job->wait_for_open_transactions == 4.5);
    assert_int_equal(job->xmin_max_bytes, 9007199254740992);
    assert_int_equal(job->audit, 0);
    assert_int_equal(job->sweep, 7);
    assert_int_equal(job->on_delete, RF_DELETE_REMOVE);
    assert_string_equal(job->since, "2026-11-01");
    assert_string_equal(job->until, "2026-12-01T00:00:00Z");
    assert_int_equal(job->connections, 16);
    assert_true(rf_job_has_window(job));
    drop(&parsed);
}

TEST(a_schedule_is_always_never_or_every_n) {
    static const struct { const char *text; int every; } schedules[] = {{"always", 1}, {"never", 0}, {"every 1", 1}, {"every 24", 24}, {"every 999999", 999999}};
    static const char *const keys[] = {"audit", "sweep"};
    char json[64];
    for (size_t k = 0; k < N_OF(keys); k++) {
        for (size_t i = 0; i < N_OF(schedules); i++) {
            struct parsed parsed;
            snprintf(json, sizeof json, "{\"%s\":\"%s\"}", keys[k], schedules[i].text);
            accepts(&parsed, json);
            assert_int_equal(k == 0 ? parsed.job.audit : parsed.job.sweep, schedules[i].every);
            drop(&parsed);
        }
    }
}

TEST(any_other_schedule_is_refused_with_those_there_are) {
    static const char *const texts[] = {"", "every", "every ", "every 0", "every 01", "every -1", "every +1", "every  2", "every 2 ", "every 2x", "every 2.5",
                                        "every 1000000", "every 99999999999999999999", "Always", "always ", "sometimes", "2"};
    char json[64];
    for (size_t i = 0; i < N_OF(texts); i++) {
        snprintf(json, sizeof json, "{\"sweep\":\"%s\"}", texts[i]);
        refuses(json, "\"sweep\" of the job is");
        snprintf(json, sizeof json, "{\"audit\":\"%s\"}", texts[i]);
        refuses(json, "write \"always\", \"never\" or \"every N\"");
    }
}

TEST(a_window_goes_with_a_cursor_alone) {
    refuses("{\"since\":\"2026-11-01\",\"capture\":\"full\"}", "\"capture\" is full");
    refuses("{\"until\":\"2026-11-01\",\"capture\":\"xmin\"}", "\"capture\" is xmin");
    refuses("{\"until\":\"2026-11-01\",\"verify\":true}", "\"verify\" compares whole tables");
    static const char *const jobs[] = {"{\"since\":\"2026-11-01\"}", "{\"until\":\"2026-11-01\"}", "{\"since\":\"2026-11-01\",\"capture\":\"cursor\"}"};
    for (size_t i = 0; i < N_OF(jobs); i++) {
        struct parsed parsed;
        accepts(&parsed, jobs[i]);
        assert_true(rf_job_has_window(&parsed.job));
        drop(&parsed);
    }
}

TEST(the_end_of_a_window_has_the_form_of_iso_8601) {
    static const char *const good[] = {"2026-11-01", "2026-11-01T00:00", "2026-11-01 00:00:00", "2026-11-01T00:00:00.123456", "2026-11-01T00:00Z",
                                       "2026-11-01T00:00:00+02", "2026-11-01T00:00:00.5-02:30", "0001-01-01", "9999-12-31T23:59:59.999999+00:00"};
    static const char *const bad[] = {"now", "today", "yesterday", "infinity", "-infinity", "epoch", "2026", "2026-11", "2026-11-1", "2026-11-011", "26-11-01", "01/11/2026",
                                      "2026-11-01Z", "2026-11-01T", "2026-11-01T00", "2026-11-01T00:0", "2026-11-01x00:00", "2026-11-01T00:00z", "2026-11-01T00:00ZZ",
                                      "2026-11-01T00:00+", "2026-11-01T00:00+x", "2026-11-01T00:00 Europe/Berlin", "2026-11-01T00:00:00 BC", "1763769600", " 2026-11-01", "2026-11-01 "};
    static const char *const keys[] = {"since", "until"};
    char json[96];
    for (size_t k = 0; k < N_OF(keys); k++) {
        for (size_t i = 0; i < N_OF(good); i++) {
            struct parsed parsed;
            snprintf(json, sizeof json, "{\"%s\":\"%s\"}", keys[k], good[i]);
            accepts(&parsed, json);
            drop(&parsed);
        }
        for (size_t i = 0; i < N_OF(bad); i++) {
            snprintf(json, sizeof json, "{\"%s\":\"%s\"}", keys[k], bad[i]);
            refuses(json, "is not a time");
        }
    }
}

/* ---- names of tables ----------------------------------------------------------------------------------------------- */

#define SIXTY_THREE "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk"

static void splits(const char *text, const char *schema, const char *name) {
    struct rf_arena arena;
    struct rf_error err = {0};
    const char *got_schema = NULL, *got_name = NULL;
    rf_arena_init(&arena, 1 << 20);
    assert_code(rf_split_name(text, "table", &arena, &got_schema, &got_name, &err), RF_OK, &err);
    assert_string_equal(got_schema, schema);
    assert_string_equal(got_name, name);
    rf_arena_free(&arena);
}

TEST(a_table_name_is_read_as_sql_quotes_it) {
    splits("orders", "public", "orders");
    splits("sales.orders", "sales", "orders");
    splits("Orders", "public", "Orders");
    splits("\"a.b\".\"c\"\"d\"", "a.b", "c\"d");
    splits("\"Ü ber\".x", "Ü ber", "x");
    splits("sales.\"or.ders\"", "sales", "or.ders");
    splits(SIXTY_THREE, "public", SIXTY_THREE);
    splits("\"" SIXTY_THREE "\"." SIXTY_THREE, SIXTY_THREE, SIXTY_THREE);
}

TEST(what_is_no_table_name_is_refused) {
    static const char *const texts[] = {"a.b.c", ".a", "a.", ".", "\"", "\"a", "\"a\"b", "a\"b", "\"\"", "a.\"\"", "\"a\".\"b", SIXTY_THREE "l", "s." SIXTY_THREE "l"};
    for (size_t i = 0; i < N_OF(texts); i++) {
        struct rf_arena arena;
        struct rf_error err = {0};
        const char *schema = NULL, *name = NULL;
        rf_arena_init(&arena, 1 << 20);
        if (rf_split_name(texts[i], "table", &arena, &schema, &name, &err) != RF_CONFIG) fail_msg("taken as a name: %s", texts[i]);
        assert_contains(err.message, "is not a table name");
        rf_arena_free(&arena);
    }
}

static void labels(const char *table, const char *target_table, const char *source_label, const char *target_label) {
    struct parsed parsed;
    cJSON *job = needed(cJSON_CreateObject());
    needed(cJSON_AddStringToObject(job, "table", table));
    if (target_table) needed(cJSON_AddStringToObject(job, "target_table", target_table));
    char *json = needed(cJSON_PrintUnformatted(job));
    accepts(&parsed, json);
    assert_string_equal(parsed.job.source_label, source_label);
    assert_string_equal(parsed.job.target_label, target_label);
    cJSON_free(json);
    cJSON_Delete(job);
    drop(&parsed);
}

TEST(a_label_is_quoted_only_where_it_must_be) {
    labels("sales.orders_2", NULL, "sales.orders_2", "raw_postgres.orders_2");
    labels("Sales.orders", NULL, "\"Sales\".orders", "raw_postgres.orders");
    labels("\"a.b\".\"c\"\"d\"", NULL, "\"a.b\".\"c\"\"d\"", "raw_postgres.\"c\"\"d\"");
    labels("2orders", NULL, "public.\"2orders\"", "raw_postgres.\"2orders\"");
    labels("sales.orders", "{schema}.{table}", "sales.orders", "sales.orders");
    labels("sales.orders", "lake.{source}_{schema}_{table}_{table}", "sales.orders", "lake.postgres_sales_orders_orders");
}

TEST(a_dot_inside_a_name_does_not_split_the_target) {
    struct parsed parsed;
    accepts(&parsed, "{\"table\":\"\\\"a.b\\\".\\\"c.d\\\"\",\"target_table\":\"x_{schema}.{table}\"}");
    assert_string_equal(parsed.job.target_schema, "x_a.b");
    assert_string_equal(parsed.job.target_table, "c.d");
    drop(&parsed);
}

TEST(a_template_of_another_form_is_refused) {
    static const char *const templates[] = {"orders", "a.b.c", "\\\"a\\\".b", ".b", "a."};
    char json[128];
    for (size_t i = 0; i < N_OF(templates); i++) {
        snprintf(json, sizeof json, "{\"table\":\"orders\",\"target_table\":\"%s\"}", templates[i]);
        refuses(json, "target_table");
    }
    static const char *const placeholders[] = {"a.{tabel}", "a.{table", "{}.b", "a.{Table}", "{source.table}", "a.{table }"};
    for (size_t i = 0; i < N_OF(placeholders); i++) {
        snprintf(json, sizeof json, "{\"table\":\"orders\",\"target_table\":\"%s\"}", placeholders[i]);
        refuses(json, "target_table");
    }
}

TEST(a_target_name_longer_than_an_identifier_is_refused) {
    refuses("{\"table\":\"" SIXTY_THREE "\",\"target_table\":\"raw.x{table}\"}", "longer than 63 bytes");
    refuses("{\"table\":\"orders\",\"source_name\":\"" SIXTY_THREE "\"}", "longer than 63 bytes");
    struct parsed parsed;
    accepts(&parsed, "{\"table\":\"" SIXTY_THREE "\"}");
    drop(&parsed);
}

TEST(a_verb_says_which_key_it_lacks) {
    struct parsed parsed;
    accepts(&parsed, "{}");
    assert_code(rf_job_require(&parsed.job, true, false, false, &parsed.err), RF_CONFIG, &parsed.err);
    assert_contains(parsed.err.message, "lacks \"source\"");
    assert_code(rf_job_require(&parsed.job, false, true, false, &parsed.err), RF_CONFIG, &parsed.err);
    assert_contains(parsed.err.message, "lacks \"target\"");
    assert_code(rf_job_require(&parsed.job, false, false, true, &parsed.err), RF_CONFIG, &parsed.err);
    assert_contains(parsed.err.message, "lacks \"table\"");
    assert_code(rf_job_require(&parsed.job, false, false, false, &parsed.err), RF_OK, &parsed.err);
    drop(&parsed);
}

TEST(a_job_of_a_stream_has_keys_and_nothing_that_says_how_a_table_is_read) {
    static const struct { const char *json, *part; } wrong[] = {
        {"{\"target\":\"postgresql://t\",\"table\":\"o\",\"keys\":[\"id\"],\"source\":\"postgresql://s\"}", "\"source\" of the job says how a table is read"},
        {"{\"target\":\"postgresql://t\",\"table\":\"o\",\"keys\":[\"id\"],\"sweep\":\"always\",\"where\":\"a\"}", "\"sweep\" of the job says how a table is read"},
        {"{\"target\":\"postgresql://t\",\"table\":\"o\"}", "lacks \"keys\""},
        {"{\"target\":\"postgresql://t\",\"keys\":[\"id\"]}", "lacks \"table\""},
        {"{\"table\":\"o\",\"keys\":[\"id\"]}", "lacks \"target\""},
    };
    struct parsed parsed;
    for (size_t i = 0; i < N_OF(wrong); i++) {
        accepts(&parsed, wrong[i].json);
        assert_code(rf_job_take_stream(&parsed.job, &parsed.err), RF_CONFIG, &parsed.err);
        assert_contains(parsed.err.message, wrong[i].part);
        drop(&parsed);
    }
    accepts(&parsed, "{\"target\":\"postgresql://t\",\"table\":\"o\",\"keys\":[\"id\"],\"on_duplicate\":\"fail\",\"batch_bytes\":65536,\"where\":null}");
    assert_code(rf_job_take_stream(&parsed.job, &parsed.err), RF_OK, &parsed.err);
    assert_int_equal(parsed.job.capture, RF_CAPTURE_GIVEN);
    drop(&parsed);
}

TEST(a_job_that_fills_its_memory_is_refused) {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error err = {0};
    rf_arena_init(&arena, 64);
    assert_code(rf_job_parse("{}", &arena, &job, &err), RF_NO_MEMORY, &err);
    assert_string_equal(rf_code_name(err.code), "internal");
    rf_arena_free(&arena);
}

/* ---- on_schema_change --------------------------------------------------------------------------------------------------- */

TEST(policies_are_those_of_the_kinds_named_and_the_usual_ones_of_all_others) {
    struct parsed parsed;
    accepts(&parsed, "{\"on_schema_change\":{\"type_changed\":\"apply\",\"column_added\":\"ignore\"}}");
    const struct rf_policies policies = parsed.job.on_schema_change, usual = rf_policies_usual();
    for (int kind = 0; kind < RF_DRIFT_KINDS; kind++) {
        enum rf_policy expected = kind == RF_TYPE_CHANGED ? RF_POLICY_APPLY : kind == RF_COLUMN_ADDED ? RF_POLICY_IGNORE : usual.of[kind];
        assert_int_equal(policies.of[kind], expected);
    }
    drop(&parsed);
}

TEST(one_policy_is_that_of_every_kind_which_knows_it) {
    for (int policy = 0; policy < RF_POLICIES_KNOWN; policy++) {
        char json[64];
        struct parsed parsed;
        snprintf(json, sizeof json, "{\"on_schema_change\":\"%s\"}", rf_policy_name((enum rf_policy)policy));
        accepts(&parsed, json);
        for (int kind = 0; kind < RF_DRIFT_KINDS; kind++)
            assert_int_equal(parsed.job.on_schema_change.of[kind], rf_drift_rows[kind].done[policy] ? policy : (int)rf_drift_rows[kind].usual);
        drop(&parsed);
    }
}

TEST(a_policy_that_there_is_not_or_that_its_kind_does_not_know_is_refused) {
    refuses("{\"on_schema_change\":\"drop\"}", "apply, ignore or fail");
    refuses("{\"on_schema_change\":{\"type_changed\":\"ignore\"}}", "type_changed; it knows: apply fail");
    refuses("{\"on_schema_change\":{\"column_added\":\"drop\"}}", "column_added; it knows: apply ignore fail");
    refuses("{\"on_schema_change\":{\"column_gone\":\"fail\"}}", "column_gone");
    refuses("{\"on_schema_change\":{\"column_added\":true}}", "an object whose values are policies");
    refuses("{\"on_schema_change\":[\"fail\"]}", "a policy, or an object");
}

/* ---- the published schema ---------------------------------------------------------------------------------------------- */

static const char *const ALL_KEYS[] = {
    "source", "target", "driver", "channel", "spool_dir", "spool_file_bytes", "source_name", "table", "target_table", "keys", "columns", "as_text", "mask", "mask_key_env", "naive_timestamps", "where", "capture", "cursor_columns", "open_transactions", "clock_margin",
    "lookback", "max_hold", "wait_for_open_transactions", "xmin_max_bytes", "audit", "sweep", "on_delete", "since", "until", "connections", "mode", "allow_empty", "on_schema_change", "on_duplicate", "run_id", "try_number",
    "map_index", "application", "batch_bytes", "lock_timeout", "lease_seconds", "source_lag_wait", "connect_timeout", "control_schema", "verify"};

TEST(the_schema_lists_every_key_with_type_meaning_and_default) {
    char *text = needed(rf_job_schema());
    cJSON *schema = needed(cJSON_Parse(text));
    assert_non_null(schema);
    const cJSON *properties = cJSON_GetObjectItemCaseSensitive(schema, "properties");
    assert_int_equal(cJSON_GetArraySize(properties), N_OF(ALL_KEYS));
    for (size_t i = 0; i < N_OF(ALL_KEYS); i++) {
        const cJSON *property = cJSON_GetObjectItemCaseSensitive(properties, ALL_KEYS[i]);
        if (!property) fail_msg("the schema lacks %s", ALL_KEYS[i]);
        assert_true(cJSON_HasObjectItem(property, "type"));
        assert_true(cJSON_HasObjectItem(property, "description"));
        assert_true(cJSON_HasObjectItem(property, "default"));
    }
    assert_true(cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(schema, "additionalProperties")));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(schema, "required")), 3);
    const cJSON *capture = cJSON_GetObjectItemCaseSensitive(properties, "capture");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(capture, "enum")), 4);
    cJSON_Delete(schema);
    free(text);
}

/* A job of nothing but the schema's defaults: what the schema says and what the parser takes agree. */
static void add_copy(cJSON *to, const char *name, const cJSON *value) {
    cJSON *copy = needed(cJSON_Duplicate(value, 1));
    bool added = cJSON_AddItemToObject(to, name, copy);
    if (!added) cJSON_Delete(copy);
    needed(added ? to : NULL);
}

TEST(how_many_load_records_state_reads_is_no_setting_of_a_job) {
    struct parsed parsed;
    accepts(&parsed, "{\"target\":\"postgresql://t\",\"newest\":50}");
    assert_int_equal(parsed.job.newest, 50);
    drop(&parsed);
    accepts(&parsed, "{\"target\":\"postgresql://t\",\"newest\":null}");
    assert_int_equal(parsed.job.newest, 0);
    drop(&parsed);
    refuses("{\"target\":\"postgresql://t\",\"newest\":-1}", "newest");
}

TEST(the_defaults_of_the_schema_are_taken_by_the_parser) {
    char *text = needed(rf_job_schema());
    cJSON *schema = needed(cJSON_Parse(text)), *job = needed(cJSON_CreateObject());
    const cJSON *property;
    cJSON_ArrayForEach(property, cJSON_GetObjectItemCaseSensitive(schema, "properties"))
        add_copy(job, property->string, cJSON_GetObjectItemCaseSensitive(property, "default"));
    char *json = needed(cJSON_PrintUnformatted(job));
    struct parsed parsed;
    accepts(&parsed, json);
    assert_int_equal(parsed.job.batch_bytes, 1048576);
    drop(&parsed);
    cJSON_free(json);
    cJSON_Delete(job);
    cJSON_Delete(schema);
    free(text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_with_the_character_nul_is_refused),
        cmocka_unit_test(a_backslash_before_the_letters_of_the_character_nul_is_a_text_like_others),
        cmocka_unit_test(a_control_schema_that_a_server_would_cut_is_refused),
        cmocka_unit_test(what_a_job_does_not_say_has_its_default),
        cmocka_unit_test(a_null_means_the_default),
        cmocka_unit_test(every_key_is_taken_as_written),
        cmocka_unit_test(a_run_without_a_name_gets_one_of_its_own),
        cmocka_unit_test(what_is_no_json_object_is_refused),
        cmocka_unit_test(an_unknown_key_is_named_with_the_nearest_known_one),
        cmocka_unit_test(a_key_of_any_length_is_refused_without_harm),
        cmocka_unit_test(a_value_of_another_type_is_refused_naming_the_key),
        cmocka_unit_test(a_null_is_refused_where_it_means_nothing),
        cmocka_unit_test(an_empty_text_is_refused),
        cmocka_unit_test(a_number_out_of_bounds_is_refused_and_one_at_the_bound_is_taken),
        cmocka_unit_test(a_number_must_be_whole_where_halves_mean_nothing),
        cmocka_unit_test(an_unknown_choice_is_refused_with_those_there_are),
        cmocka_unit_test(a_setting_that_its_mode_leaves_no_room_for_is_refused),
        cmocka_unit_test(a_key_that_comes_twice_is_refused_by_name),
        cmocka_unit_test(a_list_of_columns_holds_each_name_once),
        cmocka_unit_test(a_table_name_is_read_as_sql_quotes_it),
        cmocka_unit_test(what_is_no_table_name_is_refused),
        cmocka_unit_test(a_label_is_quoted_only_where_it_must_be),
        cmocka_unit_test(a_dot_inside_a_name_does_not_split_the_target),
        cmocka_unit_test(a_template_of_another_form_is_refused),
        cmocka_unit_test(a_target_name_longer_than_an_identifier_is_refused),
        cmocka_unit_test(a_verb_says_which_key_it_lacks),
        cmocka_unit_test(a_job_of_a_stream_has_keys_and_nothing_that_says_how_a_table_is_read),
        cmocka_unit_test(a_job_that_fills_its_memory_is_refused),
        cmocka_unit_test(policies_are_those_of_the_kinds_named_and_the_usual_ones_of_all_others),
        cmocka_unit_test(one_policy_is_that_of_every_kind_which_knows_it),
        cmocka_unit_test(a_policy_that_there_is_not_or_that_its_kind_does_not_know_is_refused),
        cmocka_unit_test(the_schema_lists_every_key_with_type_meaning_and_default),
        cmocka_unit_test(how_many_load_records_state_reads_is_no_setting_of_a_job),
        cmocka_unit_test(the_defaults_of_the_schema_are_taken_by_the_parser),
        cmocka_unit_test(the_settings_of_captures_have_their_defaults),
        cmocka_unit_test(every_setting_of_a_capture_is_taken_as_written),
        cmocka_unit_test(a_schedule_is_always_never_or_every_n),
        cmocka_unit_test(any_other_schedule_is_refused_with_those_there_are),
        cmocka_unit_test(a_window_goes_with_a_cursor_alone),
        cmocka_unit_test(the_end_of_a_window_has_the_form_of_iso_8601),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
