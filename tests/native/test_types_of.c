/* How the columns of a table are sent to a target that reads what the bytes hold. */
#include "core/columns.h"

#include "facts.h"
#include "units.h"

#include <string.h>

static enum rf_code types_of(struct facts *facts, struct rf_columns_field **fields) {
    return rf_types_of(&facts->job, &facts->source, RF_DIALECT_DUCKDB, &facts->arena, fields, &facts->err);
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
        cmocka_unit_test(a_table_without_columns_has_no_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
