/* Rows of a stream as a server would have sent them: texts as PostgreSQL prints them, JSON of arrays, CSV. */
#include "core/cast_rows.h"

#include "core/numeric.h"
#include "units.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* ---- a row that is made by hand ----------------------------------------------------------------------------- */

static void add_number(struct rf_text *out, uint64_t number, int n_bytes) {
    for (int shift = 8 * (n_bytes - 1); shift >= 0; shift -= 8) rf_text_add_bytes(out, &(char){(char)(number >> shift)}, 1);
}

static void add_field(struct rf_text *out, const char *bytes, size_t n_bytes) {
    add_number(out, bytes ? n_bytes : UINT32_MAX, 4);
    if (bytes && n_bytes > 0) rf_text_add_bytes(out, bytes, n_bytes);
}

#define FIELD(text) {text, sizeof(text) - 1}

struct value {
    const char *bytes; /* NULL for NULL */
    size_t n_bytes;
};

/* An array of one dimension. */
static void add_array(struct rf_text *out, const struct value *elements, int n) {
    struct rf_text array = {0};
    add_number(&array, n > 0, 4);
    add_number(&array, 0, 4);
    add_number(&array, 0, 4);
    if (n > 0) add_number(&array, (uint64_t)n, 4);
    if (n > 0) add_number(&array, 1, 4);
    for (int i = 0; i < n; i++) add_field(&array, elements[i].bytes, elements[i].n_bytes);
    out->failed |= array.failed;
    if (!array.failed) add_field(out, array.data, array.length);
    rf_text_free(&array);
}

/* ---- casting it --------------------------------------------------------------------------------------------- */

static struct casts {
    struct rf_arena arena;
    struct rf_column columns[2];
    struct rf_cast_from from[2];
    struct rf_source_facts facts;
    struct rf_casting casting;
    struct rf_text rows, out;
    struct rf_error err;
} it;

static void begin(const char *identity, enum rf_wire wire, enum rf_wire element) {
    memset(&it, 0, sizeof it);
    rf_arena_init(&it.arena, 1 << 16);
    it.columns[0] = (struct rf_column){.name = "value", .identity = identity};
    it.from[0] = (struct rf_cast_from){.form = {.wire = wire, .element = element}};
    it.facts = (struct rf_source_facts){.columns = it.columns, .n_columns = 1, .sends_csv = true};
    assert_code(rf_casting_begin(&it.facts, it.from, 1, &it.arena, &it.casting, &it.err), RF_OK, &it.err);
}

static enum rf_code cast(void) {
    enum rf_code code = it.rows.failed ? rf_no_memory(&it.err) : rf_cast_rows(&it.casting, (const uint8_t *)it.rows.data, it.rows.length, &it.out, &it.err);
    it.rows.length = 0;
    return code;
}

static void end(void) {
    rf_casting_end(&it.casting);
    rf_text_free(&it.rows);
    rf_text_free(&it.out);
    rf_arena_free(&it.arena);
}

/* The column as CSV, of one row, in quotes and with the row's number behind it. */
static void becomes(const char *identity, enum rf_wire wire, const char *bytes, size_t n_bytes, const char *expected) {
    char line[512];
    begin(identity, wire, wire);
    add_number(&it.rows, 1, 2);
    add_field(&it.rows, bytes, n_bytes);
    enum rf_code code = cast();
    snprintf(line, sizeof line, "\"%s\",1\n", expected);
    if (code == RF_OK) assert_string_equal(it.out.data, line);
    end();
    assert_code(code, RF_OK, &it.err);
}

#define BECOMES(identity, wire, bytes, expected) becomes(identity, wire, bytes, sizeof(bytes) - 1, expected)

TEST(values_are_printed_as_postgresql_prints_them) {
    BECOMES("bool", RF_WIRE_BOOL, "\1", "t");
    BECOMES("int2", RF_WIRE_INT2, "\x80\0", "-32768");
    BECOMES("int4", RF_WIRE_INT4, "\x7f\xff\xff\xff", "2147483647");
    BECOMES("int8", RF_WIRE_INT8, "\x80\0\0\0\0\0\0\0", "-9223372036854775808");
    BECOMES("float4", RF_WIRE_FLOAT4, "\x3d\xcc\xcc\xcd", "0.1");
    BECOMES("float8", RF_WIRE_FLOAT8, "\0\0\0\0\0\0\0\1", "5e-324");
    BECOMES("float8", RF_WIRE_FLOAT8, "\x43\x40\0\0\0\0\0\0", "9.007199254740992e+15");
    BECOMES("float8", RF_WIRE_FLOAT8, "\x42\xe6\xbc\xc4\x1e\x90\0\0", "200000000000000");
    BECOMES("float4", RF_WIRE_FLOAT4, "\x4b\x80\0\0", "1.6777216e+07");
    BECOMES("float4", RF_WIRE_FLOAT4, "\x49\x74\x24\0", "1e+06");
    BECOMES("float8", RF_WIRE_FLOAT8, "\x7f\xf0\0\0\0\0\0\0", "Infinity");
    BECOMES("bytea", RF_WIRE_BYTES, "\0\xff\\", "\\x00ff5c");
    BECOMES("bytea", RF_WIRE_BYTES, "", "\\x");
    BECOMES("jsonb", RF_WIRE_JSONB, "\1[1]", "[1]");
    BECOMES("text", RF_WIRE_TEXT, "", "");
    BECOMES("text", RF_WIRE_TEXT, "a\n,\"\"b\\", "a\n,\"\"\"\"b\\");
    BECOMES("date", RF_WIRE_DATE, "\0\0\0\0", "2000-01-01");
    BECOMES("timestamp", RF_WIRE_TIMESTAMP, "\0\0\0\0\0\0\0\1", "2000-01-01 00:00:00.000001");
    BECOMES("timestamptz", RF_WIRE_TIMESTAMP, "\0\0\0\0\0\0\0\1", "2000-01-01 00:00:00.000001+00");
    BECOMES("timestamptz", RF_WIRE_TIMESTAMP, "\x7f\xff\xff\xff\xff\xff\xff\xff", "infinity");
    BECOMES("int4", RF_WIRE_INT4, "\0\0", "\\x0000"); /* no value of its form */
}

TEST(intervals_are_printed_in_the_style_of_postgresql) {
    BECOMES("interval", RF_WIRE_INTERVAL, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "00:00:00");
    BECOMES("interval", RF_WIRE_INTERVAL, "\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\xe", "1 year 2 mons 1 day");
    BECOMES("interval", RF_WIRE_INTERVAL, "\0\0\0\0\0\x16\xe3\x60\xff\xff\xff\xfd\0\0\0\xd", "1 year 1 mon -3 days +00:00:01.5");
    BECOMES("interval", RF_WIRE_INTERVAL, "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0", "-00:00:00.000001");
    BECOMES("interval", RF_WIRE_INTERVAL, "\0\0\0\0\0\0\0\0\0\0\0\1\xff\xff\xff\xff", "-1 mons +1 day");
}

TEST(numerics_are_printed_whole_however_long_they_are) {
    static const char *const texts[] = {"0", "0.00", "-1", "1.10", "10000", "99990000.0001", "0.00000001", "-0.5", "NaN", "Infinity", "-Infinity",
                                        "12345678901234567890123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890.09"};
    for (size_t i = 0; i < N_OF(texts); i++) {
        struct rf_text binary = {0};
        int32_t finest;
        assert_true(rf_numeric_from_text(texts[i], strlen(texts[i]), &binary, &finest));
        bool made = !binary.failed;
        if (made) becomes("numeric", RF_WIRE_NUMERIC, binary.data, binary.length, texts[i]);
        rf_text_free(&binary);
        needed(made ? (void *)&binary : NULL);
    }
    BECOMES("numeric", RF_WIRE_NUMERIC, "\0\1", "\\x0001");
}

static void array_becomes(const char *identity, enum rf_wire element, bool json, const char *cast_to, const struct value *elements, int n, const char *expected) {
    char line[512];
    begin(identity, RF_WIRE_ARRAY, element);
    it.columns[0].through = json ? "pg_catalog.array_to_json" : NULL;
    it.columns[0].cast = cast_to;
    add_number(&it.rows, 1, 2);
    add_array(&it.rows, elements, n);
    enum rf_code code = cast();
    snprintf(line, sizeof line, "\"%s\",1\n", expected);
    if (code == RF_OK) assert_string_equal(it.out.data, line);
    end();
    assert_code(code, RF_OK, &it.err);
}

TEST(arrays_are_printed_as_postgresql_prints_them) {
    static const struct value texts[] = {FIELD("a"), FIELD(""), {NULL, 0}, FIELD("null"), FIELD("b,c"), FIELD("\"\\"), FIELD("{}"), FIELD(" x")};
    static const struct value numbers[] = {FIELD("\0\0\0\1"), {NULL, 0}, FIELD("\xff\xff\xff\xff")};
    static const struct value flags[] = {FIELD("\1"), FIELD("\0")};
    array_becomes("_text", RF_WIRE_TEXT, false, NULL, texts, 8, "{a,\"\"\"\",NULL,\"\"null\"\",\"\"b,c\"\",\"\"\\\"\"\\\\\"\",\"\"{}\"\",\"\" x\"\"}");
    array_becomes("_int4", RF_WIRE_INT4, false, NULL, numbers, 3, "{1,NULL,-1}");
    array_becomes("_bool", RF_WIRE_BOOL, false, "::pg_catalog.text", flags, 2, "{t,f}");
    array_becomes("_bool", RF_WIRE_BOOL, false, NULL, NULL, 0, "{}");
}

TEST(arrays_become_json_of_their_elements_kinds) {
    static const struct value texts[] = {FIELD("a\"\\\n"), FIELD(""), {NULL, 0}, FIELD("1")};
    static const struct value numbers[] = {FIELD("\0\0\0\1"), {NULL, 0}};
    static const struct value flags[] = {FIELD("\1"), FIELD("\0")};
    static const struct value floats[] = {FIELD("\x3f\xe0\0\0\0\0\0\0"), FIELD("\x7f\xf8\0\0\0\0\0\0"), FIELD("\xff\xf0\0\0\0\0\0\0")};
    static const struct value documents[] = {FIELD("\1{\"a\": 1}"), FIELD("\1null")};
    static const struct value moments[] = {FIELD("\0\0\0\0\0\0\0\0")};
    array_becomes("_text", RF_WIRE_TEXT, true, NULL, texts, 4, "[\"\"a\\\"\"\\\\\\u000a\"\",\"\"\"\",null,\"\"1\"\"]");
    array_becomes("_int4", RF_WIRE_INT4, true, NULL, numbers, 2, "[1,null]");
    array_becomes("_int4", RF_WIRE_INT4, true, "::pg_catalog.text[]", numbers, 2, "[\"\"1\"\",null]");
    array_becomes("_bool", RF_WIRE_BOOL, true, NULL, flags, 2, "[true,false]");
    array_becomes("_float8", RF_WIRE_FLOAT8, true, NULL, floats, 3, "[0.5,\"\"NaN\"\",\"\"-Infinity\"\"]");
    array_becomes("_jsonb", RF_WIRE_JSONB, true, NULL, documents, 2, "[{\"\"a\"\": 1},null]");
    array_becomes("_json", RF_WIRE_TEXT, true, NULL, &(struct value){"[1]", 3}, 1, "[[1]]");
    array_becomes("_timestamptz", RF_WIRE_TIMESTAMP, true, NULL, moments, 1, "[\"\"2000-01-01T00:00:00+00:00\"\"]");
    array_becomes("_timestamptz", RF_WIRE_TIMESTAMP, true, "::pg_catalog.text[]", moments, 1, "[\"\"2000-01-01 00:00:00+00\"\"]");
    array_becomes("_int4", RF_WIRE_INT4, true, NULL, NULL, 0, "[]");
}

TEST(rows_of_csv_carry_their_number_and_null_is_nothing) {
    begin("text", RF_WIRE_TEXT, RF_WIRE_TEXT);
    for (int i = 0; i < 2; i++) {
        add_number(&it.rows, 1, 2);
        add_field(&it.rows, i ? "" : NULL, 0);
    }
    enum rf_code code = cast();
    add_number(&it.rows, 1, 2);
    add_field(&it.rows, "x", 1);
    if (code == RF_OK) code = cast();
    if (code == RF_OK) assert_string_equal(it.out.data, ",1\n\"\",2\n\"x\",3\n");
    end();
    assert_code(code, RF_OK, &it.err);
}

/* Of two columns one is cast and the other is handed on. */
static void stays_binary(const char *cast_to, enum rf_wire wire, const char *expected, size_t n_bytes) {
    static const struct value numbers[] = {FIELD("\0\0\0\7"), {NULL, 0}};
    begin(wire == RF_WIRE_ARRAY ? "_int4" : "bool", wire, RF_WIRE_INT4);
    rf_casting_end(&it.casting);
    it.columns[0].cast = cast_to;
    it.columns[1] = (struct rf_column){.name = "other", .identity = "int4"};
    it.from[1] = (struct rf_cast_from){.field = 1, .form = {.wire = RF_WIRE_INT4}};
    it.facts.n_columns = 2;
    it.facts.sends_csv = false;
    assert_true(rf_rows_are_cast(&it.facts));
    enum rf_code code = rf_casting_begin(&it.facts, it.from, 2, &it.arena, &it.casting, &it.err);
    add_number(&it.rows, 2, 2);
    if (wire == RF_WIRE_ARRAY) add_array(&it.rows, numbers, 2);
    else add_field(&it.rows, "\1", 1);
    add_field(&it.rows, "\0\0\0\1", 4);
    if (code == RF_OK) code = cast();
    if (code == RF_OK) assert_int_equal(it.out.length, n_bytes);
    if (code == RF_OK) assert_memory_equal(it.out.data, expected, n_bytes);
    end();
    assert_code(code, RF_OK, &it.err);
}

TEST(rows_of_copy_binary_are_changed_where_a_column_is_cast) {
    static const char text[] = "\0\2\0\0\0\4true\0\0\0\4\0\0\0\1";
    static const char list[] = "\0\2\0\0\0\10{7,NULL}\0\0\0\4\0\0\0\1";
    static const char texts[] = "\0\2\0\0\0\x1d\0\0\0\1\0\0\0\1\0\0\0\x19\0\0\0\2\0\0\0\1\0\0\0\1" "7\xff\xff\xff\xff\0\0\0\4\0\0\0\1";
    stays_binary("::pg_catalog.text", RF_WIRE_BOOL, text, sizeof text - 1);
    stays_binary("::pg_catalog.text", RF_WIRE_ARRAY, list, sizeof list - 1);
    stays_binary("::pg_catalog.text[]", RF_WIRE_ARRAY, texts, sizeof texts - 1);
}

TEST(a_timestamp_that_is_taken_as_utc_keeps_its_bytes_and_is_printed_with_its_zone) {
    begin("timestamptz", RF_WIRE_TIMESTAMP, RF_WIRE_TIMESTAMP);
    it.columns[0].cast = "::pg_catalog.timestamptz";
    add_number(&it.rows, 1, 2);
    add_field(&it.rows, "\0\0\0\0\0\0\0\1", 8);
    enum rf_code code = cast();
    if (code == RF_OK) assert_string_equal(it.out.data, "\"2000-01-01 00:00:00.000001+00\",1\n");
    it.facts.sends_csv = false;
    assert_false(rf_rows_are_cast(&it.facts));
    it.out.length = 0;
    add_number(&it.rows, 1, 2);
    add_field(&it.rows, "\0\0\0\0\0\0\0\1", 8);
    if (code == RF_OK) code = cast();
    if (code == RF_OK) assert_memory_equal(it.out.data, "\0\1\0\0\0\10\0\0\0\0\0\0\0\1", it.out.length);
    end();
    assert_code(code, RF_OK, &it.err);
}

TEST(what_needs_no_cast_is_not_cast_and_what_is_no_row_is_refused) {
    begin("text", RF_WIRE_TEXT, RF_WIRE_TEXT);
    it.facts.sends_csv = false;
    assert_false(rf_rows_are_cast(&it.facts));
    it.columns[0].through = "pg_catalog.array_to_json";
    assert_true(rf_rows_are_cast(&it.facts));
    add_number(&it.rows, 7, 2);
    enum rf_code code = cast();
    end();
    if (code != RF_NO_MEMORY) assert_code(code, RF_INTERNAL, &it.err);
}

/* ---- masked ---- */

/* One column under a mask, as CSV or COPY BINARY; the type of the column is what rf_mask_columns has made of it. */
static void hides(struct rf_mask mask, const char *identity, const char *masked_identity, enum rf_wire wire, const char *bytes, size_t n_bytes, bool csv,
                  const char *expected, size_t expected_bytes) {
    begin(masked_identity, wire, wire);
    it.columns[0].masked = "something";
    it.from[0].mask = &mask;
    it.from[0].identity = identity;
    it.facts.sends_csv = csv;
    assert_true(rf_rows_are_cast(&it.facts));
    add_number(&it.rows, 1, 2);
    if (bytes) add_field(&it.rows, bytes, n_bytes);
    else add_number(&it.rows, UINT32_MAX, 4);
    enum rf_code code = cast();
    if (code == RF_OK) assert_int_equal(it.out.length, expected_bytes);
    if (code == RF_OK) assert_memory_equal(it.out.data, expected, expected_bytes);
    end();
    assert_code(code, RF_OK, &it.err);
}

#define HIDES(mask, identity, masked, wire, bytes, csv, expected) hides(mask, identity, masked, wire, bytes, sizeof(bytes) - 1, csv, expected, sizeof(expected) - 1)

TEST(a_mask_hides_before_anything_is_cast_and_null_stays_null) {
    static const struct rf_mask redact = {.kind = RF_MASK_REDACT}, hash = {.kind = RF_MASK_HASH}, two = {.kind = RF_MASK_TRUNCATE, .n_characters = 2};
    HIDES(redact, "text", "text", RF_WIRE_TEXT, "clear", true, "\"***\",1\n");
    HIDES(redact, "text", "text", RF_WIRE_TEXT, "", false, "\0\1\0\0\0\3***");
    HIDES(redact, "int4", "int4", RF_WIRE_INT4, "\0\0\0\7", true, ",1\n");
    HIDES(redact, "int4", "int4", RF_WIRE_INT4, "\0\0\0\7", false, "\0\1\xff\xff\xff\xff");
    HIDES(two, "text", "text", RF_WIRE_TEXT, "\xc3\xa9t\xc3\xa9", true, "\"\xc3\xa9t\",1\n");
    HIDES(two, "text", "text", RF_WIRE_TEXT, "x", false, "\0\1\0\0\0\1x");
    HIDES(two, "int4", "text", RF_WIRE_INT4, "\0\0\1\0", false, "\0\1\0\0\0\2" "25");
    HIDES(two, "bool", "text", RF_WIRE_BOOL, "\0", true, "\"fa\",1\n");
    HIDES(hash, "bool", "text", RF_WIRE_BOOL, "\1", false, "\0\1\0\0\0\4true");
    hides(redact, "text", "text", RF_WIRE_TEXT, NULL, 0, true, ",1\n", 3);
    hides(two, "text", "text", RF_WIRE_TEXT, NULL, 0, false, "\0\1\xff\xff\xff\xff", 6);
}

TEST(a_field_that_is_dropped_is_passed_over) {
    begin("int4", RF_WIRE_INT4, RF_WIRE_INT4);
    it.from[0].field = 1;
    it.facts.sends_csv = false;
    enum rf_code code = rf_casting_begin(&it.facts, it.from, 2, &it.arena, &it.casting, &it.err);
    add_number(&it.rows, 2, 2);
    add_field(&it.rows, "clear", 5);
    add_field(&it.rows, "\0\0\0\7", 4);
    if (code == RF_OK) code = cast();
    if (code == RF_OK) assert_int_equal(it.out.length, 10);
    if (code == RF_OK) assert_memory_equal(it.out.data, "\0\1\0\0\0\4\0\0\0\7", 10);
    end();
    assert_code(code, RF_OK, &it.err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_printed_as_postgresql_prints_them),
        cmocka_unit_test(intervals_are_printed_in_the_style_of_postgresql),
        cmocka_unit_test(numerics_are_printed_whole_however_long_they_are),
        cmocka_unit_test(arrays_are_printed_as_postgresql_prints_them),
        cmocka_unit_test(arrays_become_json_of_their_elements_kinds),
        cmocka_unit_test(rows_of_csv_carry_their_number_and_null_is_nothing),
        cmocka_unit_test(rows_of_copy_binary_are_changed_where_a_column_is_cast),
        cmocka_unit_test(a_timestamp_that_is_taken_as_utc_keeps_its_bytes_and_is_printed_with_its_zone),
        cmocka_unit_test(what_needs_no_cast_is_not_cast_and_what_is_no_row_is_refused),
        cmocka_unit_test(a_mask_hides_before_anything_is_cast_and_null_stays_null),
        cmocka_unit_test(a_field_that_is_dropped_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
