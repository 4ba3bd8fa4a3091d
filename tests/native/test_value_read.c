/* Texts that databases print, read back as values; JSON by what it says. */
#include "core/json_hash.h"
#include "core/key_text.h"
#include "core/row_hash.h"
#include "core/value_read.h"

#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

/* Of a printed value the bytes as hexadecimal digits, behind the letter of its form; "-" when the text says none. */
static const char *read_text(enum rf_wire wire, const char *text) {
    static char shown[2 * RF_VALUE_BYTES + 8];
    static const char *const names[] = {[RF_WIRE_BOOL] = "bool ", [RF_WIRE_INT8] = "int8 ", [RF_WIRE_FLOAT4] = "float4 ", [RF_WIRE_FLOAT8] = "float8 "};
    const struct rf_form form = {.wire = wire, .printed = true};
    const struct rf_field field = {.bytes = (const uint8_t *)text, .n_bytes = (int32_t)strlen(text)};
    uint8_t bytes[RF_VALUE_BYTES];
    struct rf_form read_form;
    struct rf_field read;
    if (!rf_value_read(&form, &field, bytes, &read_form, &read)) return "-";
    assert_false(read_form.printed);
    bool is_named = (size_t)read_form.wire < N_OF(names) && names[read_form.wire];
    int used = snprintf(shown, sizeof shown, "%s", is_named ? names[read_form.wire] : "");
    for (int i = 0; i < read.n_bytes; i++) used += snprintf(shown + used, sizeof shown - (size_t)used, "%02x", read.bytes[i]);
    return shown;
}

TEST(whole_numbers_are_read_to_their_ends_and_nothing_beside_them) {
    assert_string_equal(read_text(RF_WIRE_INT2, "-5"), "int8 fffffffffffffffb");
    assert_string_equal(read_text(RF_WIRE_INT8, "-9223372036854775808"), "int8 8000000000000000");
    assert_string_equal(read_text(RF_WIRE_UINT4, "4294967295"), "int8 00000000ffffffff");
    static const char *const none[] = {"", "-", "9223372036854775808", "1.0", " 1", "1 ", "1e2", "five", "+1"};
    for (size_t i = 0; i < N_OF(none); i++) assert_string_equal(read_text(RF_WIRE_INT4, none[i]), "-");
}

TEST(a_flag_is_a_word_or_a_number_and_2_is_no_flag) {
    assert_string_equal(read_text(RF_WIRE_BOOL, "true"), "bool 01");
    assert_string_equal(read_text(RF_WIRE_BOOL, "0"), "bool 00");
    assert_string_equal(read_text(RF_WIRE_BOOL, "2"), "int8 0000000000000002");
    assert_string_equal(read_text(RF_WIRE_BOOL, "truely"), "-");
}

TEST(a_float_is_read_exactly_and_a_narrow_one_is_shown_as_one) {
    assert_string_equal(read_text(RF_WIRE_FLOAT8, "0.30000000000000004"), "float8 3fd3333333333334");
    assert_string_equal(read_text(RF_WIRE_FLOAT8, "-Inf"), "float8 fff0000000000000");
    assert_string_equal(read_text(RF_WIRE_FLOAT8, "4.9406564584124654418e-324"), "float8 0000000000000001");
    assert_string_equal(read_text(RF_WIRE_FLOAT4, "0.10000000149011612"), "float4 3dcccccd");
    assert_string_equal(read_text(RF_WIRE_FLOAT4, "0.1"), "float8 3fb999999999999a");
    static const char *const none[] = {"", " 1", "1 ", "1,5", "one", "1.5.5"};
    for (size_t i = 0; i < N_OF(none); i++) assert_string_equal(read_text(RF_WIRE_FLOAT8, none[i]), "-");
}

TEST(a_numeric_is_its_digits) {
    assert_string_equal(read_text(RF_WIRE_NUMERIC, "-12.50"), "000200004000000200" "0c1388");
    assert_string_equal(read_text(RF_WIRE_NUMERIC, "0.00"), "0000000000000002");
    assert_string_equal(read_text(RF_WIRE_NUMERIC, "00010000"), "00010001000000000001");
    assert_string_equal(read_text(RF_WIRE_NUMERIC, "NaN"), "-");
    assert_string_equal(read_text(RF_WIRE_NUMERIC, "1e5"), "-");
    static char long_one[200];
    memset(long_one, '9', sizeof long_one - 1);
    assert_string_equal(read_text(RF_WIRE_NUMERIC, long_one), "-");
}

TEST(days_and_times_are_read_and_what_is_none_is_not) {
    assert_string_equal(read_text(RF_WIRE_DATE, "2000-01-01"), "00000000");
    assert_string_equal(read_text(RF_WIRE_DATE, "1999-12-31"), "ffffffff");
    assert_string_equal(read_text(RF_WIRE_DATE, "0001-01-01"), "fff4dbf9");
    assert_string_equal(read_text(RF_WIRE_DATE, "9999-12-31"), "002c95d3");
    assert_string_equal(read_text(RF_WIRE_DATE, "2024-02-29"), "00002279");
    assert_string_equal(read_text(RF_WIRE_TIME, "24:00:00.000000"), "000000141dd76000");
    assert_string_equal(read_text(RF_WIRE_TIME, "00:00:00"), "0000000000000000");
    assert_string_equal(read_text(RF_WIRE_TIME, "00:00:00.000001000"), "0000000000000001");
    assert_string_equal(read_text(RF_WIRE_TIMESTAMP, "1999-12-31 23:59:59.999999"), "ffffffffffffffff");
    assert_string_equal(read_text(RF_WIRE_TIMESTAMP, "2000-01-01 00:00:00.5+00:00"), "000000000007a120");
    static const char *const days[] = {"2023-02-29", "1900-02-29", "2026-13-01", "2026-00-01", "2026-01-00", "0000-01-01", "2026-1-1", "2026-01-01 ", "infinity"};
    for (size_t i = 0; i < N_OF(days); i++) assert_string_equal(read_text(RF_WIRE_DATE, days[i]), "-");
    static const char *const times[] = {"24:00:00.000001", "25:00:00", "-24:00:00", "12:60:00", "12:00:60", "12:00", "12:00:00.", "12:00:00.0000001"};
    for (size_t i = 0; i < N_OF(times); i++) assert_string_equal(read_text(RF_WIRE_TIME, times[i]), "-");
    static const char *const stamps[] = {"2026-01-01", "2026-01-01T00:00:00", "2026-01-01 24:00:00", "2026-01-01 00:00:00+01:00", "2026-01-01 00:00:00 "};
    for (size_t i = 0; i < N_OF(stamps); i++) assert_string_equal(read_text(RF_WIRE_TIMESTAMP, stamps[i]), "-");
}

static uint64_t row_hash(struct rf_form form, const char *bytes, int32_t n_bytes) {
    const struct rf_field field = {.bytes = (const uint8_t *)bytes, .n_bytes = n_bytes};
    struct rf_row_hash hash;
    int key = 0;
    rf_hash_row(&form, &field, 1, &key, 1, &hash);
    return hash.row;
}

#define HASH(form, literal) row_hash((struct rf_form)form, literal, sizeof(literal) - 1)
#define PRINTED(w) {.wire = RF_WIRE_##w, .printed = true}
#define SENT(w) {.wire = RF_WIRE_##w}

TEST(a_printed_value_has_the_hash_of_the_one_that_was_sent) {
    assert_true(HASH(PRINTED(INT8), "7") == HASH(SENT(INT2), "\0\7"));
    assert_true(HASH(PRINTED(BOOL), "true") == HASH(SENT(BOOL), "\1"));
    assert_true(HASH(PRINTED(NUMERIC), "7.00") == HASH(SENT(INT2), "\0\7"));
    assert_true(HASH(PRINTED(DATE), "2000-01-02") == HASH(SENT(DATE), "\0\0\0\1"));
    assert_true(HASH(PRINTED(TIMESTAMP), "2000-01-01 00:00:00.000001") == HASH(SENT(TIMESTAMP), "\0\0\0\0\0\0\0\1"));
    assert_true(HASH(PRINTED(FLOAT4), "1.5") == HASH(SENT(FLOAT8), "\x3f\xf8\0\0\0\0\0\0"));
    assert_true(row_hash((struct rf_form)PRINTED(INT8), NULL, -1) == row_hash((struct rf_form)SENT(INT8), NULL, -1));
}

/* A text that says no value must not be one by the bytes it is made of. */
TEST(what_is_no_such_value_equals_none_that_is) {
    assert_false(HASH(PRINTED(INT2), "ab") == HASH(SENT(INT2), "ab"));
    assert_false(HASH(PRINTED(DATE), "abcd") == HASH(SENT(DATE), "abcd"));
    assert_false(HASH(PRINTED(INT2), "") == row_hash((struct rf_form)SENT(INT2), NULL, -1));
    assert_false(HASH(PRINTED(INT2), "five") == HASH(PRINTED(INT2), "six"));
}

TEST(a_zero_has_a_sign_unless_the_form_says_that_none_is_kept) {
    const struct rf_form unsigned_zero = {.wire = RF_WIRE_FLOAT8, .unsigned_zero = true};
    assert_false(HASH(PRINTED(FLOAT8), "-0") == HASH(PRINTED(FLOAT8), "0"));
    assert_true(row_hash(unsigned_zero, "\x80\0\0\0\0\0\0\0", 8) == row_hash(unsigned_zero, "\0\0\0\0\0\0\0\0", 8));
    assert_false(row_hash(unsigned_zero, "\x80\0\0\0\0\0\0\1", 8) == row_hash(unsigned_zero, "\0\0\0\0\0\0\0\1", 8));
}

/* ---- JSON ---- */

static bool say_the_same(const char *a, const char *b) {
    uint64_t one, other;
    assert_true(rf_hash_json(a, strlen(a), &one));
    assert_true(rf_hash_json(b, strlen(b), &other));
    return one == other;
}

TEST(json_is_what_it_says) {
    static const char *const same[][2] = {
        {"{\"a\": 1, \"b\": [true, null]}", " {\"b\":[true,null],\"a\":1} "}, {"1.50", "1.5"}, {"100", "1e2"}, {"-0", "0.00"}, {"0.001", "1E-3"}, {"10", "1.0e+1"},
        {"\"\\u00e9\\n\\/\"", "\"\xc3\xa9\\u000a/\""}, {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""}, {"[]", "[ ]"}, {"{}", "{\n}"},
        {"123456789012345678901234567890123456789012", "1.2345678901234568e41"}, {"0.1234567890123456789012345678901234567890", "0.12345678901234568"}};
    for (size_t i = 0; i < N_OF(same); i++) assert_true(say_the_same(same[i][0], same[i][1]));
}

TEST(json_that_differs_in_anything_it_says_is_told_apart) {
    static const char *const differ[][2] = {
        {"{\"a\": 1}", "{\"a\": \"1\"}"}, {"{\"a\": 1}", "{\"b\": 1}"}, {"[1, 2]", "[2, 1]"}, {"[[1], 2]", "[1, [2]]"}, {"[]", "{}"}, {"null", "false"}, {"1", "-1"},
        {"\"\"", "null"}, {"\"a\"", "\"a\\u0000\""}, {"{\"a\": 1}", "{\"a\": 1, \"a\": 1}"}, {"{\"a\": 1, \"b\": 2}", "{\"a\": 2, \"b\": 1}"}, {"1", "10"}, {"0.1", "0.01"},
        {"12345678901234567890123456789012345678", "12345678901234567890123456789012345679"}, {"[1]", "[1, null]"}};
    for (size_t i = 0; i < N_OF(differ); i++) assert_false(say_the_same(differ[i][0], differ[i][1]));
}

TEST(what_is_no_json_is_told) {
    static const char *const none[] = {"", " ", "{", "[1", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a: 1}", "nul", "1 2", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\ud800\\u0041\"", "-", "1e", "1.2.3", "+1e99999999999999999999", "]"};
    for (size_t i = 0; i < N_OF(none); i++) {
        uint64_t hash;
        if (rf_hash_json(none[i], strlen(none[i]), &hash)) fail_msg("%s is taken for JSON", none[i]);
    }
    static char deep[2200];
    uint64_t hash;
    memset(deep, '[', 1100);
    memset(deep + 1100, ']', 1100);
    assert_false(rf_hash_json(deep, sizeof deep, &hash));
    assert_true(rf_hash_json(deep + 200, 1800, &hash));
}

TEST(jsonb_has_the_hash_of_a_text_that_says_the_same) {
    const struct rf_form jsonb = {.wire = RF_WIRE_JSONB, .json = true}, text = {.wire = RF_WIRE_TEXT, .json = true};
    assert_true(row_hash(jsonb, "\1{\"a\": 1.0}", 11) == row_hash(text, "{\"a\":1}", 7));
    assert_false(row_hash(jsonb, "\1{\"a\": 1.5}", 11) == row_hash(text, "{\"a\":1}", 7));
    assert_false(row_hash(text, "{", 1) == row_hash(text, "[", 1));
}

/* ---- keys ---- */

TEST(a_key_that_was_printed_reads_as_one_that_was_sent) {
    struct facts facts;
    struct rf_text out = {0};
    make_facts(&facts, "");
    facts.plan.source = &facts.source;
    facts.source.n_keys = 3;
    facts.keys[1] = 1;
    facts.keys[2] = 2;
    facts.source_columns[2].identity = "timestamptz";
    const struct rf_form forms[] = {PRINTED(BOOL), PRINTED(FLOAT4), PRINTED(TIMESTAMP)};
    const struct rf_field fields[] = {{(const uint8_t *)"1", 1}, {(const uint8_t *)"0.10000000149011612", 19}, {(const uint8_t *)"2026-11-22 01:02:03.500000", 26}};
    rf_key_text(&facts.plan, forms, fields, &out);
    assert_string_equal(whole(&out), "(t,0.1,\"2026-11-22 01:02:03.5+00\")");
    rf_text_free(&out);
    const struct rf_field broken[] = {{(const uint8_t *)"held", 4}, {(const uint8_t *)"1.5", 3}, {NULL, -1}};
    rf_key_text(&facts.plan, forms, broken, &out);
    assert_string_equal(whole(&out), "(held,1.5,)");
    rf_text_free(&out);
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_numbers_are_read_to_their_ends_and_nothing_beside_them),
        cmocka_unit_test(a_flag_is_a_word_or_a_number_and_2_is_no_flag),
        cmocka_unit_test(a_float_is_read_exactly_and_a_narrow_one_is_shown_as_one),
        cmocka_unit_test(a_numeric_is_its_digits),
        cmocka_unit_test(days_and_times_are_read_and_what_is_none_is_not),
        cmocka_unit_test(a_printed_value_has_the_hash_of_the_one_that_was_sent),
        cmocka_unit_test(what_is_no_such_value_equals_none_that_is),
        cmocka_unit_test(a_zero_has_a_sign_unless_the_form_says_that_none_is_kept),
        cmocka_unit_test(json_is_what_it_says),
        cmocka_unit_test(json_that_differs_in_anything_it_says_is_told_apart),
        cmocka_unit_test(what_is_no_json_is_told),
        cmocka_unit_test(jsonb_has_the_hash_of_a_text_that_says_the_same),
        cmocka_unit_test(a_key_that_was_printed_reads_as_one_that_was_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
