/* How the columns of a table are sent to a target that reads what the bytes hold. */
#include "core/columns.h"

#include "facts.h"
#include "units.h"

#include <string.h>

static enum rf_code types_of(struct facts *facts, struct rf_columns_field **fields) {
    const struct rf_target_facts there = {.dialect = RF_DIALECT_DUCKDB};
    return rf_types_of(&facts->job, &facts->source, &there, &facts->arena, fields, &facts->err);
}

TEST(every_column_says_as_what_it_arrives) {
    struct facts facts;
    struct rf_columns_field *fields = NULL;
    make_facts(&facts, "");
    add_source_column(&facts, "place", "inet", "inet", -1);
    assert_code(types_of(&facts, &fields), RF_OK, &facts.err);
    assert_string_equal(fields[0].name, "id");
    assert_string_equal(fields[0].declared, "bigint");
    assert_string_equal(fields[0].type.format, "l");
    assert_true(fields[0].not_null && !fields[1].not_null);
    assert_string_equal(fields[1].type.format, "d:12,4");
    assert_null(facts.source.columns[1].cast);
    assert_string_equal(fields[3].type.format, "u");
    assert_string_equal(facts.source.columns[3].cast, "::pg_catalog.text");
    assert_null(facts.source.columns[3].cast_reason); /* the table of types says it */
    drop_facts(&facts);
}

TEST(a_column_named_in_as_text_is_sent_as_its_text) {
    struct facts facts;
    struct rf_columns_field *fields = NULL;
    make_facts(&facts, ",\"as_text\":[\"amount\",\"tags\"]");
    add_source_column(&facts, "tags", "integer[]", "_int4", -1);
    assert_code(types_of(&facts, &fields), RF_OK, &facts.err);
    for (int i = 1; i < 4; i += 2) {
        assert_string_equal(facts.source.columns[i].cast, "::pg_catalog.text");
        assert_string_equal(facts.source.columns[i].cast_reason, "\"as_text\" names it");
        assert_string_equal(fields[i].type.format, "u");
        assert_int_equal(fields[i].type.wire, RF_WIRE_TEXT);
    }
    assert_string_equal(fields[3].declared, "integer[]");
    drop_facts(&facts);
}

TEST(a_column_in_as_text_that_is_not_read_stops_the_run) {
    struct facts facts;
    struct rf_columns_field *fields = NULL;
    make_facts(&facts, ",\"as_text\":[\"amount\",\"Note\"]");
    assert_code(types_of(&facts, &fields), RF_CONFIG, &facts.err);
    assert_contains(facts.err.message, "\"Note\"");
    assert_contains(facts.err.message, "\"as_text\"");
    assert_contains(facts.err.message, "public.orders");
    drop_facts(&facts);
}

TEST(texts_without_a_known_encoding_stop_the_run) {
    struct facts facts;
    struct rf_columns_field *fields = NULL;
    make_facts(&facts, "");
    facts.source.server = (struct rf_server){.encoding = "SQL_ASCII"};
    assert_code(types_of(&facts, &fields), RF_CONFIG, &facts.err);
    assert_contains(facts.err.message, "the source database is encoded in SQL_ASCII");
    facts.source.server.encoding = "LATIN1";
    assert_code(types_of(&facts, &fields), RF_OK, &facts.err);
    drop_facts(&facts);
}

/* Of a source with a timestamp without zone, into a target that has a column of this type for it; NULL: none. */
static void check_naive(const char *more, enum rf_dialect dialect, const char *there, const char *cast, const char *type) {
    struct facts facts;
    struct rf_columns_field *fields = NULL;
    struct rf_text text = {0};
    struct rf_column column = {.name = "moment", .type = there};
    const struct rf_target_facts target = {.dialect = dialect, .columns = &column, .n_columns = there != NULL};
    make_facts(&facts, more);
    struct rf_column *moment = add_source_column(&facts, "moment", "timestamp without time zone", "timestamp", -1);
    assert_code(rf_types_of(&facts.job, &facts.source, &target, &facts.arena, &fields, &facts.err), RF_OK, &facts.err);
    rf_type_on(&fields[3].type, dialect, &text);
    assert_string_equal(whole(&text), type);
    assert_string_equal(moment->cast ? moment->cast : "", cast);
    bool in_utc = strstr(cast, RF_AS_UTC) != NULL;
    assert_int_equal(moment->cast_reason && strcmp(moment->cast_reason, RF_TAKEN_AS_UTC) == 0, in_utc);
    assert_string_equal(moment->identity, in_utc ? "timestamptz" : "timestamp");
    rf_text_free(&text);
    drop_facts(&facts);
}

#define UTC ",\"naive_timestamps\":\"utc\""
#define KEEP ",\"naive_timestamps\":\"keep\""

TEST(a_timestamp_without_zone_becomes_one_in_utc_where_the_job_or_the_target_says_so) {
    check_naive("", RF_DIALECT_SNOWFLAKE, NULL, RF_AS_UTC, "TIMESTAMP_TZ");
    check_naive(KEEP, RF_DIALECT_SNOWFLAKE, NULL, "", "TIMESTAMP_NTZ");
    check_naive("", RF_DIALECT_DUCKDB, NULL, "", "TIMESTAMP");
    check_naive(UTC, RF_DIALECT_DUCKDB, NULL, RF_AS_UTC, "TIMESTAMPTZ");
    check_naive("", RF_DIALECT_PSQLODBC, NULL, "::pg_catalog.text", "timestamp without time zone");
    check_naive(UTC, RF_DIALECT_PSQLODBC, NULL, RF_AS_UTC "::pg_catalog.text", "timestamp with time zone");
}

TEST(where_no_type_has_a_zone_it_stays_as_it_is) {
    check_naive(UTC, RF_DIALECT_MARIADB, NULL, "", "datetime(6)");
    check_naive(UTC, RF_DIALECT_SQLITE, NULL, "", "TEXT");
}

TEST(a_column_that_is_there_without_a_zone_stays_so) {
    check_naive("", RF_DIALECT_SNOWFLAKE, "TIMESTAMP_NTZ", "", "TIMESTAMP_NTZ");
    check_naive(UTC, RF_DIALECT_SNOWFLAKE, "TIMESTAMP_NTZ", "", "TIMESTAMP_NTZ");
    check_naive("", RF_DIALECT_SNOWFLAKE, "TIMESTAMP_TZ", RF_AS_UTC, "TIMESTAMP_TZ");
    check_naive(UTC, RF_DIALECT_DUCKDB, "TIMESTAMP", "", "TIMESTAMP");
    check_naive(UTC, RF_DIALECT_DUCKDB, "TIMESTAMP WITH TIME ZONE", RF_AS_UTC, "TIMESTAMPTZ");
    check_naive(UTC, RF_DIALECT_PSQLODBC, "timestamp without time zone", "::pg_catalog.text", "timestamp without time zone");
    check_naive(",\"as_text\":[\"moment\"]", RF_DIALECT_SNOWFLAKE, NULL, "::pg_catalog.text", "VARCHAR");
}

TEST(a_table_without_columns_has_no_types) {
    struct facts facts;
    struct rf_columns_field *fields = NULL;
    make_facts(&facts, "");
    facts.source.n_columns = 0;
    assert_code(types_of(&facts, &fields), RF_OK, &facts.err);
    assert_true(fields != NULL);
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_column_says_as_what_it_arrives),
        cmocka_unit_test(a_column_named_in_as_text_is_sent_as_its_text),
        cmocka_unit_test(a_column_in_as_text_that_is_not_read_stops_the_run),
        cmocka_unit_test(texts_without_a_known_encoding_stop_the_run),
        cmocka_unit_test(a_timestamp_without_zone_becomes_one_in_utc_where_the_job_or_the_target_says_so),
        cmocka_unit_test(where_no_type_has_a_zone_it_stays_as_it_is),
        cmocka_unit_test(a_column_that_is_there_without_a_zone_stays_so),
        cmocka_unit_test(a_table_without_columns_has_no_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
