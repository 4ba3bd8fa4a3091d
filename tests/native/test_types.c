/* Types of PostgreSQL, as they are carried: every row of the table, typmods, arrays, enums, what is named in as_text. */
#include "core/types.h"

#include "units.h"

#include <stdlib.h>
#include <string.h>

/* Source: numeric.c, make_numeric_typmod; the scale is signed. */
#define NUMERIC(precision, scale) ((((precision) << 16) | ((scale)&0x7ff)) + 4)
#define LENGTH(n) ((n) + 4)

#define TO_TEXT "::pg_catalog.text"

struct expected {
    const char *identity;
    int32_t typmod;
    enum rf_wire wire;
    const char *cast, *format, *extension, *duckdb;
};

static const char *none(const char *text) {
    return text ? text : "(none)";
}

static void check_type(const struct expected *expected, bool as_text) {
    struct rf_arena arena;
    struct rf_type type;
    struct rf_error err;
    struct rf_text duckdb = {0};
    rf_arena_init(&arena, 1 << 16);
    assert_code(rf_type_resolve(expected->identity, expected->typmod, as_text, &arena, &type, &err), RF_OK, &err);
    rf_type_on(&type, RF_DIALECT_DUCKDB, &duckdb);
    if (type.wire != expected->wire) fail_msg("%s comes in form %u", expected->identity, (unsigned)type.wire);
    assert_string_equal(none(type.cast), none(expected->cast));
    assert_string_equal(type.format, expected->format);
    assert_string_equal(none(type.extension), none(expected->extension));
    assert_string_equal(whole(&duckdb), expected->duckdb);
    assert_int_equal(type.element != NULL, type.wire == RF_WIRE_ARRAY);
    rf_text_free(&duckdb);
    rf_arena_free(&arena);
}

static void check_types(const struct expected *expected, size_t n) {
    for (size_t i = 0; i < n; i++) check_type(&expected[i], false);
}

TEST(each_type_of_the_table_goes_by_its_row) {
    static const struct expected types[] = {
        {"bool", -1, RF_WIRE_BOOL, NULL, "b", NULL, "BOOLEAN"},
        {"int2", -1, RF_WIRE_INT2, NULL, "s", NULL, "SMALLINT"},
        {"int4", -1, RF_WIRE_INT4, NULL, "i", NULL, "INTEGER"},
        {"int8", -1, RF_WIRE_INT8, NULL, "l", NULL, "BIGINT"},
        {"oid", -1, RF_WIRE_UINT4, NULL, "I", NULL, "UINTEGER"},
        {"float4", -1, RF_WIRE_FLOAT4, NULL, "f", NULL, "FLOAT"},
        {"float8", -1, RF_WIRE_FLOAT8, NULL, "g", NULL, "DOUBLE"},
        {"numeric", NUMERIC(12, 2), RF_WIRE_NUMERIC, NULL, "d:12,2", NULL, "DECIMAL(12,2)"},
        {"numeric", -1, RF_WIRE_TEXT, TO_TEXT, "u", NULL, "VARCHAR"},
        {"money", -1, RF_WIRE_TEXT, "::pg_catalog.numeric" TO_TEXT, "u", NULL, "VARCHAR"},
        {"text", -1, RF_WIRE_TEXT, NULL, "u", NULL, "VARCHAR"},
        {"varchar", LENGTH(20), RF_WIRE_TEXT, NULL, "u", NULL, "VARCHAR"},
        {"bpchar", LENGTH(3), RF_WIRE_TEXT, NULL, "u", NULL, "VARCHAR"},
        {"name", -1, RF_WIRE_TEXT, NULL, "u", NULL, "VARCHAR"},
        {"bytea", -1, RF_WIRE_BYTES, NULL, "z", NULL, "BLOB"},
        {"uuid", -1, RF_WIRE_UUID, NULL, "w:16", "arrow.uuid", "UUID"},
        {"json", -1, RF_WIRE_TEXT, NULL, "u", "arrow.json", "JSON"},
        {"jsonb", -1, RF_WIRE_JSONB, NULL, "u", "arrow.json", "JSON"},
        {"date", -1, RF_WIRE_DATE, NULL, "tdD", NULL, "DATE"},
        {"time", 3, RF_WIRE_TIME, NULL, "ttu", NULL, "TIME"},
        {"timetz", -1, RF_WIRE_TEXT, TO_TEXT, "u", NULL, "VARCHAR"},
        {"timestamp", -1, RF_WIRE_TIMESTAMP, NULL, "tsu:", NULL, "TIMESTAMP"},
        {"timestamptz", 0, RF_WIRE_TIMESTAMP, NULL, "tsu:UTC", NULL, "TIMESTAMPTZ"},
        {"interval", -1, RF_WIRE_INTERVAL, NULL, "tin", NULL, "INTERVAL"},
        {"enum('a','b')", -1, RF_WIRE_TEXT, NULL, "u", NULL, "ENUM('a','b')"},
    };
    check_types(types, N_OF(types));
}

TEST(a_type_without_a_row_is_sent_as_its_text) {
    static const char *const identities[] = {"bit", "varbit", "inet", "cidr", "macaddr", "xml", "tsvector", "int4range", "int4multirange",
                                             "point", "char", "regclass", "public.hstore@1.8", "composite(int4,text)", "", "numeric(p,s)x"};
    for (size_t i = 0; i < N_OF(identities); i++)
        check_type(&(struct expected){identities[i], -1, RF_WIRE_TEXT, TO_TEXT, "u", NULL, "VARCHAR"}, false);
}

/* What becomes of it on Snowflake, and how it is sent and read there. */
static void is_on_snowflake(const char *identity, int32_t typmod, bool as_text, const char *snowflake, const char *through, const char *read_by) {
    struct rf_arena arena;
    struct rf_type type;
    struct rf_error err;
    struct rf_text text = {0};
    struct rf_column column = {0};
    rf_arena_init(&arena, 1 << 16);
    assert_code(rf_type_resolve(identity, typmod, as_text, &arena, &type, &err), RF_OK, &err);
    rf_type_on(&type, RF_DIALECT_SNOWFLAKE, &text);
    rf_type_sent_to_snowflake(&type, &column);
    assert_string_equal(whole(&text), snowflake);
    assert_string_equal(none(column.through), none(through));
    assert_string_equal(none(column.read_by), none(read_by));
    rf_text_free(&text);
    rf_arena_free(&arena);
}

TEST(each_type_has_one_on_snowflake_and_a_way_to_be_read_there) {
    static const struct { const char *identity; int32_t typmod; const char *snowflake, *through, *read_by; } types[] = {
        {"bool", -1, "BOOLEAN", NULL, NULL}, {"int2", -1, "NUMBER(5,0)", NULL, NULL}, {"int4", -1, "NUMBER(10,0)", NULL, NULL},
        {"int8", -1, "NUMBER(19,0)", NULL, NULL}, {"oid", -1, "NUMBER(10,0)", NULL, NULL},
        {"float4", -1, "FLOAT", NULL, "TO_DOUBLE(REPLACE(%s, 'inity'))"}, {"float8", -1, "FLOAT", NULL, "TO_DOUBLE(REPLACE(%s, 'inity'))"},
        {"numeric", NUMERIC(38, 37), "NUMBER(38,37)", NULL, NULL}, {"numeric", NUMERIC(38, 38), "VARCHAR", NULL, NULL}, {"numeric", -1, "VARCHAR", NULL, NULL},
        {"text", -1, "VARCHAR", NULL, NULL}, {"bytea", -1, "BINARY", NULL, "TO_BINARY(SUBSTR(%s, 3), 'HEX')"}, {"uuid", -1, "VARCHAR", NULL, NULL},
        {"jsonb", -1, "VARIANT", NULL, "PARSE_JSON(%s)"}, {"json", -1, "VARIANT", NULL, "PARSE_JSON(%s)"}, {"date", -1, "DATE", NULL, NULL},
        {"time", -1, "TIME", NULL, NULL}, {"timetz", -1, "VARCHAR", NULL, NULL}, {"timestamp", -1, "TIMESTAMP_NTZ", NULL, NULL},
        {"timestamptz", -1, "TIMESTAMP_TZ", NULL, NULL}, {"interval", -1, "VARCHAR", NULL, NULL}, {"enum('a')", -1, "VARCHAR", NULL, NULL},
        {"inet", -1, "VARCHAR", NULL, NULL}, {"_int4", -1, "ARRAY", "pg_catalog.array_to_json", "PARSE_JSON(%s)::ARRAY"},
        {"_numeric", NUMERIC(38, 38), "ARRAY", "pg_catalog.array_to_json", "PARSE_JSON(%s)::ARRAY"},
    };
    for (size_t i = 0; i < N_OF(types); i++)
        is_on_snowflake(types[i].identity, types[i].typmod, false, types[i].snowflake, types[i].through, types[i].read_by);
    is_on_snowflake("_jsonb", -1, true, "VARCHAR", NULL, NULL);
    is_on_snowflake("jsonb", -1, true, "VARCHAR", NULL, NULL);
}

/* ---- numeric -------------------------------------------------------------------------------------------------------- */

TEST(a_numeric_of_at_most_38_digits_is_a_decimal) {
    static const struct expected types[] = {
        {"numeric", NUMERIC(1, 0), RF_WIRE_NUMERIC, NULL, "d:1,0", NULL, "DECIMAL(1,0)"},
        {"numeric", NUMERIC(1, 1), RF_WIRE_NUMERIC, NULL, "d:1,1", NULL, "DECIMAL(1,1)"},
        {"numeric", NUMERIC(38, 0), RF_WIRE_NUMERIC, NULL, "d:38,0", NULL, "DECIMAL(38,0)"},
        {"numeric", NUMERIC(38, 38), RF_WIRE_NUMERIC, NULL, "d:38,38", NULL, "DECIMAL(38,38)"},
    };
    check_types(types, N_OF(types));
}

TEST(a_numeric_that_no_decimal_holds_is_sent_as_its_text) {
    static const int32_t typmods[] = {-1, NUMERIC(39, 0), NUMERIC(39, 38), NUMERIC(1000, 0), NUMERIC(1000, 1000), NUMERIC(3, 4),
                                      NUMERIC(3, 1000), NUMERIC(5, -1), NUMERIC(38, -1), NUMERIC(2, -1000), 0, 3};
    for (size_t i = 0; i < N_OF(typmods); i++)
        check_type(&(struct expected){"numeric", typmods[i], RF_WIRE_TEXT, TO_TEXT, "u", NULL, "VARCHAR"}, false);
}

TEST(a_decimal_knows_its_digits) {
    struct rf_arena arena;
    struct rf_type type;
    struct rf_error err;
    rf_arena_init(&arena, 1 << 16);
    assert_code(rf_type_resolve("numeric", NUMERIC(20, 7), false, &arena, &type, &err), RF_OK, &err);
    assert_int_equal(type.precision, 20);
    assert_int_equal(type.scale, 7);
    rf_arena_free(&arena);
}

/* ---- arrays and enums ------------------------------------------------------------------------------------------------ */

TEST(an_array_is_a_list_of_what_its_elements_are) {
    static const struct expected types[] = {
        {"_int8", -1, RF_WIRE_ARRAY, NULL, "+l", NULL, "BIGINT[]"},
        {"_uuid", -1, RF_WIRE_ARRAY, NULL, "+l", NULL, "UUID[]"},
        {"_jsonb", -1, RF_WIRE_ARRAY, NULL, "+l", NULL, "JSON[]"},
        {"_numeric", NUMERIC(12, 2), RF_WIRE_ARRAY, NULL, "+l", NULL, "DECIMAL(12,2)[]"},
        {"_numeric", -1, RF_WIRE_ARRAY, TO_TEXT "[]", "+l", NULL, "VARCHAR[]"},
        {"_numeric", NUMERIC(5, -1), RF_WIRE_ARRAY, TO_TEXT "[]", "+l", NULL, "VARCHAR[]"},
        {"_money", -1, RF_WIRE_ARRAY, "::pg_catalog.numeric[]" TO_TEXT "[]", "+l", NULL, "VARCHAR[]"},
        {"_inet", -1, RF_WIRE_ARRAY, TO_TEXT "[]", "+l", NULL, "VARCHAR[]"},
        {"array(enum('a','b'))", -1, RF_WIRE_ARRAY, NULL, "+l", NULL, "ENUM('a','b')[]"},
        {"array(public.hstore@1.8)", -1, RF_WIRE_ARRAY, TO_TEXT "[]", "+l", NULL, "VARCHAR[]"},
    };
    check_types(types, N_OF(types));
}

TEST(elements_have_a_type_of_their_own) {
    struct rf_arena arena;
    struct rf_type type;
    struct rf_error err;
    rf_arena_init(&arena, 1 << 16);
    assert_code(rf_type_resolve("_numeric", NUMERIC(12, 2), false, &arena, &type, &err), RF_OK, &err);
    assert_int_equal(type.element->wire, RF_WIRE_NUMERIC);
    assert_int_equal(type.element->precision, 12);
    assert_int_equal(type.element->scale, 2);
    assert_string_equal(type.element->format, "d:12,2");
    assert_code(rf_type_resolve("_uuid", -1, false, &arena, &type, &err), RF_OK, &err);
    assert_string_equal(type.element->extension, "arrow.uuid");
    assert_null(type.extension);
    rf_arena_free(&arena);
}

TEST(labels_of_an_enum_stay_the_literals_that_they_are) {
    static const struct expected types[] = {
        {"enum('it''s','a)b','','c,d')", -1, RF_WIRE_TEXT, NULL, "u", NULL, "ENUM('it''s','a)b','','c,d')"},
        {"array(enum(')','('))", -1, RF_WIRE_ARRAY, NULL, "+l", NULL, "ENUM(')','(')[]"},
    };
    check_types(types, N_OF(types));
}

/* ---- as_text ---------------------------------------------------------------------------------------------------------- */

TEST(whatever_is_named_in_as_text_is_sent_as_its_text) {
    static const struct { const char *identity; int32_t typmod; } types[] = {
        {"int8", -1}, {"numeric", NUMERIC(12, 2)}, {"numeric", -1}, {"money", -1}, {"uuid", -1}, {"jsonb", -1}, {"interval", -1},
        {"enum('a')", -1}, {"_int4", -1}, {"_numeric", NUMERIC(12, 2)}, {"array(enum('a'))", -1}, {"text", -1}, {"inet", -1}};
    for (size_t i = 0; i < N_OF(types); i++)
        check_type(&(struct expected){types[i].identity, types[i].typmod, RF_WIRE_TEXT, TO_TEXT, "u", NULL, "VARCHAR"}, true);
}

/* ---- memory, and the table as it is printed ----------------------------------------------------------------------------- */

TEST(a_type_that_finds_no_memory_says_so) {
    static const char *const identities[] = {"numeric", "money", "inet", "_int4", "enum('a','b')", "array(enum('a','b'))", "_money"};
    for (size_t i = 0; i < N_OF(identities); i++) {
        struct rf_arena arena;
        struct rf_type type;
        struct rf_error err;
        rf_arena_init(&arena, 0);
        assert_code(rf_type_resolve(identities[i], i == 0 ? NUMERIC(12, 2) : -1, false, &arena, &type, &err), RF_NO_MEMORY, &err);
        rf_arena_free(&arena);
    }
}

TEST(the_table_is_printed_whole) {
    char *json = needed(rf_types_json());
    assert_contains(json, "{\"types\":");
    static const char *const names[] = {"bool", "int2", "int4", "int8", "oid", "float4", "float8", "numeric(p,s)", "numeric", "money", "text", "varchar",
                                        "bpchar", "name", "bytea", "uuid", "json", "jsonb", "date", "time", "timetz", "timestamp", "timestamp, taken as UTC", "timestamptz",
                                        "interval", "(enum)", "(array)", "(any other)"};
    const char *at = json;
    int n = 0;
    for (size_t i = 0; i < N_OF(names); i++) {
        struct rf_text entry = {0};
        rf_text_addf(&entry, "\"%s\"", names[i]);
        at = strstr(at, whole(&entry));
        if (!at) fail_msg("no %s, or not in its place", names[i]);
        rf_text_free(&entry);
    }
    for (at = json; (at = strstr(at, "\"postgres\":")); at++) n++;
    assert_int_equal(n, N_OF(names));
    assert_contains(json, "d:p,s");
    assert_contains(json, "DECIMAL(p,s)");
    assert_contains(json, "w:16 (arrow.uuid)");
    assert_contains(json, "ENUM(labels)");
    free(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_of_the_table_goes_by_its_row),
        cmocka_unit_test(each_type_has_one_on_snowflake_and_a_way_to_be_read_there),
        cmocka_unit_test(a_type_without_a_row_is_sent_as_its_text),
        cmocka_unit_test(a_numeric_of_at_most_38_digits_is_a_decimal),
        cmocka_unit_test(a_numeric_that_no_decimal_holds_is_sent_as_its_text),
        cmocka_unit_test(a_decimal_knows_its_digits),
        cmocka_unit_test(an_array_is_a_list_of_what_its_elements_are),
        cmocka_unit_test(elements_have_a_type_of_their_own),
        cmocka_unit_test(labels_of_an_enum_stay_the_literals_that_they_are),
        cmocka_unit_test(whatever_is_named_in_as_text_is_sent_as_its_text),
        cmocka_unit_test(a_type_that_finds_no_memory_says_so),
        cmocka_unit_test(the_table_is_printed_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
