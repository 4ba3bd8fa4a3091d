/* Texts that grow, what is quoted in them, the memory of a run, and the errors it ends with. */
#include "core/arena.h"
#include "core/text.h"

#include "units.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "core/report.h"

/* ---- quoting --------------------------------------------------------------------------------------------- */

typedef void quoter(struct rf_text *text, const char *value);

static void check_quoting(quoter *quote, const char *value, const char *expected) {
    struct rf_text text = {0};
    quote(&text, value);
    assert_string_equal(whole(&text), expected);
    assert_int_equal(text.length, strlen(expected));
    rf_text_free(&text);
}

TEST(an_identifier_is_always_quoted_and_its_quotes_are_doubled) {
    check_quoting(rf_text_identifier, "orders", "\"orders\"");
    check_quoting(rf_text_identifier, "a\"b", "\"a\"\"b\"");
    check_quoting(rf_text_identifier, "\"", "\"\"\"\"");
    check_quoting(rf_text_identifier, "x\"; DROP TABLE y; --", "\"x\"\"; DROP TABLE y; --\"");
    check_quoting(rf_text_identifier, "Größe 漢字 🦀", "\"Größe 漢字 🦀\"");
    check_quoting(rf_text_identifier, "back\\slash 'n quote", "\"back\\slash 'n quote\"");
    check_quoting(rf_text_identifier, "", "\"\"");
}

TEST(a_qualified_name_quotes_each_part_by_itself) {
    struct rf_text text = {0};
    rf_text_qualified(&text, "a.b", "c\"d");
    assert_string_equal(whole(&text), "\"a.b\".\"c\"\"d\"");
    rf_text_free(&text);
}

TEST(a_literal_reads_the_same_under_both_settings_of_conforming_strings) {
    check_quoting(rf_text_literal, "plain", "'plain'");
    check_quoting(rf_text_literal, "it's", "'it''s'");
    check_quoting(rf_text_literal, "a\\b", "E'a\\\\b'");
    check_quoting(rf_text_literal, "\\'", "E'\\\\'''");
    check_quoting(rf_text_literal, "\\", "E'\\\\'");
    check_quoting(rf_text_literal, "'; DROP TABLE y; --", "'''; DROP TABLE y; --'");
    check_quoting(rf_text_literal, "漢字", "'漢字'");
    check_quoting(rf_text_literal, "", "''");
    check_quoting(rf_text_literal, NULL, "NULL");
}

/* ---- growing ------------------------------------------------------------------------------------------------ */

TEST(a_text_grows_as_it_is_added_to) {
    struct rf_text text = {0};
    for (int i = 0; i < 10000; i++) rf_text_addf(&text, "%d,", i % 10);
    assert_int_equal(strlen(whole(&text)), 20000);
    assert_memory_equal(whole(&text), "0,1,2,3,4,5,6,7,8,9,0,", 22);
    struct rf_error err;
    assert_code(rf_text_check(&text, &err), RF_OK, &err);
    rf_text_free(&text);
    assert_null(text.data);
}

TEST(adding_nothing_leaves_an_empty_text) {
    struct rf_text text = {0};
    rf_text_add(&text, "");
    assert_string_equal(whole(&text), "");
    rf_text_free(&text);
    rf_text_free(&text);
}

TEST(a_text_that_ran_out_of_memory_says_so_at_the_end) {
    struct rf_text text = {.failed = true};
    struct rf_error err;
    rf_text_add(&text, "more");
    rf_text_addf(&text, "%s", "more");
    assert_null(text.data);
    assert_code(rf_text_check(&text, &err), RF_NO_MEMORY, &err);
    assert_true(err.retryable);
}

/* ---- the memory of a run --------------------------------------------------------------------------------------- */

TEST(memory_of_a_run_is_aligned_zeroed_and_apart) {
    struct rf_arena arena;
    rf_arena_init(&arena, 1 << 20);
    unsigned char *last = NULL;
    for (size_t n = 1; n < 400; n++) {
        unsigned char *taken = needed(rf_arena_take(&arena, n));
        assert_int_equal((uintptr_t)taken % 16, 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(taken[i], 0);
        memset(taken, 0xAA, n);
        assert_ptr_not_equal(taken, last);
        last = taken;
    }
    rf_arena_free(&arena);
    assert_int_equal(arena.taken_bytes, 0);
}

TEST(memory_of_a_run_ends_at_its_limit) {
    struct rf_arena arena;
    rf_arena_init(&arena, 100000);
    assert_null(rf_arena_take(&arena, 100001));
    assert_null(rf_arena_take(&arena, SIZE_MAX));
    needed(rf_arena_take(&arena, 50000));
    assert_null(rf_arena_take(&arena, 60000));
    while (rf_arena_take(&arena, 16)) assert_true(arena.taken_bytes <= 100000);
    needed(arena.taken_bytes > 99000 ? &arena : NULL); /* it ended at its limit */
    assert_null(rf_arena_copy(&arena, "text"));
    rf_arena_free(&arena);
}

TEST(a_copy_is_the_text_and_of_nothing_nothing) {
    struct rf_arena arena;
    rf_arena_init(&arena, 1 << 20);
    char original[] = "text";
    char *copy = needed(rf_arena_copy(&arena, original));
    original[0] = 'n';
    assert_string_equal(copy, "text");
    assert_string_equal(needed(rf_arena_copy(&arena, "")), "");
    assert_null(rf_arena_copy(&arena, NULL));
    rf_arena_free(&arena);
    rf_arena_free(&arena);
}

/* ---- errors -------------------------------------------------------------------------------------------------------- */

TEST(an_error_that_does_not_fit_is_cut_between_characters) {
    for (size_t size = 1; size < 12; size++) {
        char text[12];
        memset(text, 'x', sizeof text);
        rf_copy_text(text, size, "aß漢🦀");
        assert_true(strlen(text) < size);
        assert_true(is_utf8(text));
        assert_memory_equal(text, "aß漢🦀", strlen(text));
    }
    char long_text[5000];
    struct rf_error err;
    for (int shift = 0; shift < 4; shift++) {
        memset(long_text, 'x', sizeof long_text);
        for (size_t i = (size_t)shift; i + 4 < sizeof long_text; i += 4) memcpy(long_text + i, "🦀", 4);
        long_text[sizeof long_text - 4] = '\0';
        rf_fail(&err, RF_DATA, "%s", long_text);
        rf_hint(&err, "%s", long_text);
        assert_true(is_utf8(err.message) && is_utf8(err.hint));
        assert_true(strlen(err.message) > 1000 && strlen(err.hint) > 500);
    }
}

TEST(an_empty_field_of_an_error_is_cleared) {
    char text[4] = "old";
    rf_copy_text(text, sizeof text, NULL);
    assert_string_equal(text, "");
}

TEST(failing_forgets_an_earlier_error_whole) {
    struct rf_error err;
    memset(&err, 'x', sizeof err);
    assert_int_equal(rf_fail(&err, RF_BUSY, "held by %d", 7), RF_BUSY);
    assert_string_equal(err.message, "held by 7");
    assert_string_equal(err.hint, "");
    assert_string_equal(err.detail, "");
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(rf_hint(&err, "wait"), RF_BUSY);
    assert_string_equal(err.message, "held by 7");
}

TEST(only_what_may_pass_by_itself_is_worth_a_retry) {
    static const bool retryable[] = {[RF_SOURCE] = true, [RF_TARGET] = true, [RF_BUSY] = true, [RF_FENCED] = true, [RF_NO_MEMORY] = true};
    struct rf_error err;
    for (int code = RF_CONFIG; code <= RF_NO_MEMORY; code++) {
        rf_fail(&err, (enum rf_code)code, "x");
        assert_int_equal(err.retryable, retryable[code]);
    }
}

TEST(an_error_is_told_in_json_with_null_for_what_is_not_known) {
    struct rf_error err;
    rf_fail(&err, RF_DATA, "a \"quoted\"\nmessage");
    rf_copy_text(err.sqlstate, sizeof err.sqlstate, "23505");
    char *text = needed(rf_error_json(&err));
    cJSON *json = needed(cJSON_Parse(text));
    assert_string_equal(cJSON_GetObjectItem(json, "code")->valuestring, "data");
    assert_string_equal(cJSON_GetObjectItem(json, "message")->valuestring, "a \"quoted\"\nmessage");
    assert_string_equal(cJSON_GetObjectItem(json, "sqlstate")->valuestring, "23505");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "hint")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(json, "retryable")));
    assert_int_equal(cJSON_GetArraySize(json), 8);
    cJSON_Delete(json);
    free(text);
}

TEST(every_code_has_a_name_that_python_knows) {
    static const char *const names[] = {"ok", "configuration", "authentication", "source", "target", "busy", "drift", "data", "fenced", "cancelled", "internal", "internal"};
    for (int code = RF_OK; code <= RF_NO_MEMORY; code++) assert_string_equal(rf_code_name((enum rf_code)code), names[code]);
}

TEST(where_a_backslash_always_escapes_it_is_doubled_as_a_quote_is) {
    struct rf_text text = {0};
    rf_text_escaped_literal(&text, "it's a \\N");
    rf_text_add(&text, " ");
    rf_text_escaped_literal(&text, NULL);
    assert_string_equal(whole(&text), "'it''s a \\\\N' NULL");
    rf_text_free(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_a_backslash_always_escapes_it_is_doubled_as_a_quote_is),
        cmocka_unit_test(an_identifier_is_always_quoted_and_its_quotes_are_doubled),
        cmocka_unit_test(a_qualified_name_quotes_each_part_by_itself),
        cmocka_unit_test(a_literal_reads_the_same_under_both_settings_of_conforming_strings),
        cmocka_unit_test(a_text_grows_as_it_is_added_to),
        cmocka_unit_test(adding_nothing_leaves_an_empty_text),
        cmocka_unit_test(a_text_that_ran_out_of_memory_says_so_at_the_end),
        cmocka_unit_test(memory_of_a_run_is_aligned_zeroed_and_apart),
        cmocka_unit_test(memory_of_a_run_ends_at_its_limit),
        cmocka_unit_test(a_copy_is_the_text_and_of_nothing_nothing),
        cmocka_unit_test(an_error_that_does_not_fit_is_cut_between_characters),
        cmocka_unit_test(an_empty_field_of_an_error_is_cleared),
        cmocka_unit_test(failing_forgets_an_earlier_error_whole),
        cmocka_unit_test(only_what_may_pass_by_itself_is_worth_a_retry),
        cmocka_unit_test(an_error_is_told_in_json_with_null_for_what_is_not_known),
        cmocka_unit_test(every_code_has_a_name_that_python_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
