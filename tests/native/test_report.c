/* The JSON of a run, beside the schema that is published for it. */
#include "core/report.h"

#include "facts.h"
#include "units.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static cJSON *parsed(char *text) {
    cJSON *json = needed(cJSON_Parse(needed(text)));
    free(text);
    return json;
}

static const cJSON *member(const cJSON *object, const char *name) {
    const cJSON *found = cJSON_GetObjectItemCaseSensitive(object, name);
    if (!found) fail_msg("there is no \"%s\"", name);
    return found;
}

/* A report in which nothing that may be missing is missing. */
static void make_report(struct facts *facts, struct rf_report *report) {
    make_facts(facts, "");
    add_target_column(facts, "color", "text", "text", -1);
    facts->source.held_by = (struct rf_holder){.known = true, .pid = 77, .user = "app", .application = "psql \"x\"", .seconds = 1.5};
    assert_code(plan(facts), RF_OK, &facts->err);
    *report = (struct rf_report){
        .plan = &facts->plan, .channel = "libpq", .increment = 2, .this_try = {.read = 3, .staged = 3, .inserted = 1, .updated = 2, .bytes = 17},
        .run_total = {.read = 13, .staged = 13, .inserted = 7, .updated = 6, .bytes = 1017}, .seconds = {.wait = 0.25, .total = 1.5},
        .verification = {.done = true, .exact = true, .compared = 3, .equal = 3, .checksum = "18446744073709551615"}};
}

static bool is_of_type(const cJSON *value, const char *type) {
    if (strcmp(type, "integer") == 0) return cJSON_IsNumber(value) && value->valuedouble == (double)(int64_t)value->valuedouble;
    if (strcmp(type, "number") == 0) return cJSON_IsNumber(value);
    if (strcmp(type, "string") == 0) return cJSON_IsString(value);
    if (strcmp(type, "boolean") == 0) return cJSON_IsBool(value);
    if (strcmp(type, "array") == 0) return cJSON_IsArray(value);
    if (strcmp(type, "object") == 0) return cJSON_IsObject(value);
    return strcmp(type, "null") == 0 && cJSON_IsNull(value);
}

static bool is_of_some_type(const cJSON *value, const cJSON *types) {
    if (cJSON_IsString(types)) return is_of_type(value, types->valuestring);
    const cJSON *type;
    cJSON_ArrayForEach(type, types)
        if (is_of_type(value, type->valuestring)) return true;
    return false;
}

/* Every property of the schema is there, of its type, and nothing else is. */
static void obeys(const cJSON *object, const cJSON *schema) {
    const cJSON *properties = member(schema, "properties"), *property;
    assert_int_equal(cJSON_GetArraySize(object), cJSON_GetArraySize(properties));
    assert_int_equal(cJSON_GetArraySize(member(schema, "required")), cJSON_GetArraySize(properties));
    cJSON_ArrayForEach(property, properties) {
        const cJSON *value = member(object, property->string);
        if (!is_of_some_type(value, member(property, "type"))) fail_msg("\"%s\" is not of its type", property->string);
        if (cJSON_GetObjectItemCaseSensitive(property, "properties")) obeys(value, property);
    }
}

TEST(a_report_obeys_its_published_schema) {
    struct facts facts;
    struct rf_report report;
    make_report(&facts, &report);
    cJSON *schema = parsed(rf_report_schema()), *full = parsed(rf_report_json(&report));
    obeys(full, schema);
    report.verification.done = false;
    facts.plan.held_by.known = false;
    cJSON *bare = parsed(rf_report_json(&report));
    obeys(bare, schema);
    assert_true(cJSON_IsNull(member(bare, "verification")) && cJSON_IsNull(member(bare, "watermark_held_by")));
    cJSON_Delete(schema);
    cJSON_Delete(full);
    cJSON_Delete(bare);
    drop_facts(&facts);
}

TEST(a_report_says_what_was_done_and_what_it_proves) {
    struct facts facts;
    struct rf_report report;
    make_report(&facts, &report);
    cJSON *json = parsed(rf_report_json(&report));
    assert_string_equal(member(json, "run_id")->valuestring, "run 1");
    assert_string_equal(member(json, "target_table")->valuestring, "raw_postgres.orders");
    assert_int_equal(member(json, "load_id")->valueint, 8);
    assert_int_equal(member(member(json, "this_try"), "updated")->valueint, 2);
    assert_int_equal(member(member(json, "run_total"), "bytes")->valueint, 1017);
    assert_int_equal(member(member(json, "watermark_held_by"), "pid")->valueint, 77);
    assert_true(member(member(json, "seconds"), "wait")->valuedouble == 0.25);
    assert_string_equal(member(member(json, "verification"), "checksum")->valuestring, "18446744073709551615");
    const cJSON *drift = cJSON_GetArrayItem(member(json, "drift"), 0);
    assert_string_equal(member(drift, "kind")->valuestring, "column_dropped");
    assert_string_equal(member(drift, "column")->valuestring, "color");
    cJSON_Delete(json);
    drop_facts(&facts);
}

TEST(a_report_says_which_columns_came_in_another_form) {
    struct facts facts;
    struct rf_report report;
    make_report(&facts, &report);
    facts.source_columns[1].cast = "::pg_catalog.numeric::pg_catalog.text[]";
    facts.source_columns[2].cast = "::pg_catalog.text";
    facts.source_columns[2].cast_reason = "\"as_text\" names it";
    cJSON *json = parsed(rf_report_json(&report)), *schema = parsed(rf_report_schema()), *planned = parsed(rf_plan_json(&facts.plan, NULL, 0));
    obeys(json, schema);
    const cJSON *conversions = member(json, "conversions");
    assert_int_equal(cJSON_GetArraySize(conversions), 2);
    assert_string_equal(member(conversions->child, "carried_as")->valuestring, "text[]");
    assert_true(cJSON_IsNull(member(conversions->child, "reason")));
    assert_string_equal(member(conversions->child->next, "column")->valuestring, "note");
    assert_string_equal(member(conversions->child->next, "type")->valuestring, "text");
    assert_string_equal(member(conversions->child->next, "reason")->valuestring, "\"as_text\" names it");
    assert_int_equal(cJSON_GetArraySize(member(planned, "conversions")), 2);
    cJSON_Delete(json);
    cJSON_Delete(schema);
    cJSON_Delete(planned);
    drop_facts(&facts);
}

/* ---- cursors, windows, sweeps and audits --------------------------------------------------------------------------- */

static void is_json(const struct rf_report *report, const char *part) {
    char *text = needed(rf_report_json(report));
    assert_contains(text, part);
    cJSON *json = parsed(text), *schema = parsed(rf_report_schema());
    obeys(json, schema);
    cJSON_Delete(json);
    cJSON_Delete(schema);
}

static void make_cursor_report(struct facts *facts, const char *more, struct rf_report *report) {
    make_facts(facts, more);
    with_cursor(facts);
    facts->source.since = "2026-11-01T00:00:00.000000+00:00";
    assert_code(plan(facts), RF_OK, &facts->err);
    *report = (struct rf_report){.plan = &facts->plan, .channel = "libpq", .connections = 4};
}

TEST(a_run_by_cursor_says_from_where_the_next_one_reads) {
    struct facts facts;
    struct rf_report report;
    make_cursor_report(&facts, ",\"capture\":\"cursor\"", &report);
    is_json(&report, "\"watermark\":\"2026-11-22T17:59:00.000000+00:00\"");
    is_json(&report, "\"held_back\":null,\"window\":null,\"swept\":false,\"live\":null,\"audit\":null,\"connections\":4");
    is_json(&report, "\"completeness\":\"bounded\"");
    drop_facts(&facts);
}

TEST(a_window_is_told_with_null_where_it_is_open) {
    struct facts facts;
    struct rf_report report;
    make_cursor_report(&facts, ",\"since\":\"2026-11-01\"", &report);
    is_json(&report, "\"window\":{\"since\":\"2026-11-01T00:00:00.000000+00:00\",\"until\":null}");
    is_json(&report, "\"watermark\":\"2026-11-22T17:00:00.000000+00:00\""); /* where it was */
    drop_facts(&facts);
}

TEST(rows_that_an_audit_found_lower_what_is_proven_and_are_added_up) {
    struct facts facts;
    struct rf_report report;
    make_cursor_report(&facts, ",\"capture\":\"cursor\",\"audit\":\"always\"", &report);
    is_json(&report, "\"audit\":{\"missed\":0}");
    assert_string_equal(rf_report_completeness(&report), "proven");
    assert_int_equal(rf_missed_in_all(&report), 0);
    facts.last.missed = 4;
    assert_string_equal(rf_report_completeness(&report), "proven");
    report.this_try.missed = 3;
    is_json(&report, "\"audit\":{\"missed\":3}");
    is_json(&report, "\"completeness\":\"best_effort\"");
    is_json(&report, "the audit found 3 rows that the cursor had missed, and loaded them (7 since everything was last read)");
    assert_int_equal(rf_missed_in_all(&report), 7);
    facts.plan.full_read = true;
    assert_int_equal(rf_missed_in_all(&report), 3);
    drop_facts(&facts);
}

TEST(keys_that_a_sweep_finds_missing_lower_what_is_proven_and_are_looked_for) {
    struct facts facts;
    struct rf_report report;
    make_cursor_report(&facts, ",\"capture\":\"cursor\",\"sweep\":\"always\"", &report);
    report.this_try.live_source = report.this_try.live_target = 9;
    is_json(&report, "\"swept\":true,\"live\":{\"source\":9,\"target\":9}");
    assert_string_equal(rf_report_completeness(&report), "bounded");
    assert_non_null(rf_report_next(&report).watermark);
    report.this_try.live_target = 7;
    is_json(&report, "the source has 9 keys and the target 7 live rows: changes were missed");
    is_json(&report, "\"completeness\":\"best_effort\"");
    is_json(&report, "\"watermark\":null");
    assert_int_equal(rf_missed_in_all(&report), 2);
    struct rf_next next = rf_report_next(&report);
    assert_null(next.watermark); /* the next run compares row versions */
    assert_string_equal(next.proven, "1000:1000:");
    facts.plan.reading = RF_READ_VERSIONS; /* and when this one did that, it reads everything */
    assert_null(rf_report_next(&report).proven);
    drop_facts(&facts);
}

TEST(a_count_keeps_every_digit) {
    struct facts facts;
    struct rf_report report;
    make_report(&facts, &report);
    report.this_try.read = INT64_MAX;
    char *text = needed(rf_report_json(&report));
    assert_contains(text, "\"read\":9223372036854775807,");
    free(text);
    drop_facts(&facts);
}

TEST(a_verification_fails_for_what_is_different_or_missing) {
    assert_false(rf_verification_failed(&(struct rf_verification){.equal = 5, .pending = 5, .target_only = 5}));
    assert_true(rf_verification_failed(&(struct rf_verification){.different = 1}));
    assert_true(rf_verification_failed(&(struct rf_verification){.missing = 1}));
    assert_true(rf_verification_failed(&(struct rf_verification){.target_only = 1, .target_only_is_error = true}));
}

TEST(a_verification_names_its_examples_and_why_less_was_compared) {
    struct rf_verification found = {.compared = 2, .different = 1, .target_only = 1, .reason = "why", .n_examples = 2,
                                    .examples = {{.kind = "different", .key = "(\"a\"\"b\")"}, {.kind = "target_only", .key = "(2)"}}};
    cJSON *json = parsed(rf_verification_json(&found));
    assert_string_equal(member(json, "result")->valuestring, "different");
    assert_true(cJSON_IsNull(member(json, "checksum")));
    assert_int_equal(cJSON_GetArraySize(member(json, "examples")), 2);
    assert_string_equal(member(cJSON_GetArrayItem(member(json, "examples"), 0), "key")->valuestring, "(\"a\"\"b\")");
    assert_string_equal(cJSON_GetArrayItem(member(json, "reasons"), 0)->valuestring, "why");
    cJSON_Delete(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_obeys_its_published_schema),
        cmocka_unit_test(a_report_says_what_was_done_and_what_it_proves),
        cmocka_unit_test(a_report_says_which_columns_came_in_another_form),
        cmocka_unit_test(a_count_keeps_every_digit),
        cmocka_unit_test(a_verification_fails_for_what_is_different_or_missing),
        cmocka_unit_test(a_verification_names_its_examples_and_why_less_was_compared),
        cmocka_unit_test(a_run_by_cursor_says_from_where_the_next_one_reads),
        cmocka_unit_test(a_window_is_told_with_null_where_it_is_open),
        cmocka_unit_test(rows_that_an_audit_found_lower_what_is_proven_and_are_added_up),
        cmocka_unit_test(keys_that_a_sweep_finds_missing_lower_what_is_proven_and_are_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
