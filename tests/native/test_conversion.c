/* As what a column is carried where its bytes cannot pass. */
#include "core/conversion.h"

#include "core/sql.h"
#include "facts.h"
#include "units.h"

#include <string.h>

/* A table of one more column, `odd`, of which the target has its own idea; NULL: none. */
static void make_odd(struct facts *facts, const char *more, const char *identity, const char *on_target) {
    make_facts(facts, more);
    add_source_column(facts, "odd", "shop.odd", "odd", -1)->identity = identity;
    never_loaded(facts);
    if (on_target) facts->target_columns[3].identity = on_target;
    else facts->target_columns[3].refusal = "there is no type of this name on the target";
}

/* The same where the target has a table: `type` is that of its column. */
static void make_loaded(struct facts *facts, const char *more, const char *identity, const char *type) {
    make_facts(facts, more);
    add_source_column(facts, "odd", "shop.odd", "odd", -1)->identity = identity;
    add_target_column(facts, "odd", type, type, -1);
}

static enum rf_code convert(struct facts *facts) {
    return rf_convert_columns(&facts->job, &facts->source, &facts->target, &facts->err);
}

static void check_carried(struct facts *facts, const char *cast, const char *type, const char *reason) {
    assert_code(convert(facts), RF_OK, &facts->err);
    assert_string_equal(facts->source_columns[3].cast, cast);
    assert_contains(facts->source_columns[3].cast_reason, reason);
    assert_string_equal(rf_target_column(&(struct rf_plan){.source = &facts->source, .target = &facts->target}, 3)->type, type);
    assert_code(plan(facts), RF_OK, &facts->err);
    drop_facts(facts);
}

static void check_bytes(struct facts *facts) {
    assert_code(convert(facts), RF_OK, &facts->err);
    for (int i = 0; i < facts->source.n_columns; i++) assert_null(facts->source_columns[i].cast);
    assert_code(plan(facts), RF_OK, &facts->err);
    drop_facts(facts);
}

TEST(types_that_agree_pass_as_bytes) {
    static const char *const identities[] = {"inet", "enum('a','b')", "extension hstore 1.8 hstore", "row(int4, money)", "array(range(float8))"};
    for (size_t i = 0; i < N_OF(identities); i++) {
        struct facts facts;
        make_odd(&facts, "", identities[i], identities[i]);
        check_bytes(&facts);
    }
}

TEST(a_type_that_is_missing_or_another_on_the_target_goes_as_text_into_a_new_table) {
    static const struct { const char *here, *there, *reason; } types[] = {
        {"enum('a','b')", NULL, "no type of this name"},
        {"enum('a','b')", "enum('b','a')", "is another"},
        {"extension hstore 1.8 hstore", "extension hstore 1.7 hstore", "is another"},
        {"row(int4, text)", "row(int4, bytea)", "is another"},
        {"array(enum('a'))", "array(enum('a','b'))", "is another"},
    };
    for (size_t i = 0; i < N_OF(types); i++) {
        struct facts facts;
        make_odd(&facts, "", types[i].here, types[i].there);
        check_carried(&facts, "::pg_catalog.text", "text", types[i].reason);
    }
}

TEST(a_type_whose_bytes_mean_something_on_its_server_alone_goes_as_text) {
    struct facts facts;
    make_odd(&facts, "", "regclass", "regclass");
    facts.source_columns[3].refusal = "its values name objects of one server";
    check_carried(&facts, "::pg_catalog.text", "text", "objects of one server");
    make_loaded(&facts, "", "regclass", "text");
    facts.source_columns[3].refusal = "its values name objects of one server";
    check_carried(&facts, "::pg_catalog.text", "text", "objects of one server");
}

TEST(any_column_goes_as_text_that_the_job_names) {
    static const char *const identities[] = {"jsonb", "money", "_int4", "enum('a')"};
    for (size_t i = 0; i < N_OF(identities); i++) {
        struct facts facts;
        make_odd(&facts, ",\"as_text\":[\"odd\"]", identities[i], identities[i]);
        check_carried(&facts, "::pg_catalog.text", "text", "\"as_text\"");
        make_loaded(&facts, ",\"as_text\":[\"odd\"]", identities[i], "text");
        check_carried(&facts, "::pg_catalog.text", "text", "\"as_text\"");
    }
}

TEST(a_key_that_goes_as_text_is_a_text_in_the_stages_too) {
    struct facts facts;
    make_odd(&facts, ",\"as_text\":[\"id\"]", "int4", "int4");
    facts.source.key_proven = false;
    assert_code(convert(&facts), RF_OK, &facts.err);
    assert_code(plan(&facts), RF_OK, &facts.err);
    struct rf_text stage = {0}, keys = {0}, read = {0};
    rf_sql_create_stage(&facts.plan, &stage);
    rf_sql_create_keys(&facts.plan, &keys);
    rf_sql_read_keys(&facts.plan, &read);
    assert_contains(whole(&stage), "(\"id\" text, ");
    assert_contains(whole(&keys), "(\"id\" text)");
    assert_contains(whole(&read), "SELECT \"id\"::pg_catalog.text AS \"id\" FROM");
    rf_text_free(&stage);
    rf_text_free(&keys);
    rf_text_free(&read);
    drop_facts(&facts);
}

TEST(a_text_that_is_there_takes_what_may_once_have_had_no_type) {
    static const char *const identities[] = {"enum('a','b')", "extension hstore 1.8 hstore", "row(int4)", "array(enum('a'))", "range(float8)"};
    for (size_t i = 0; i < N_OF(identities); i++) {
        struct facts facts;
        make_loaded(&facts, "", identities[i], "text");
        check_carried(&facts, "::pg_catalog.text", "text", "has a text for it");
    }
}

static void check_refused(struct facts *facts, enum rf_code code, const char *message, const char *hint) {
    enum rf_code converted = convert(facts);
    assert_code(converted == RF_OK ? plan(facts) : converted, code, &facts->err);
    assert_contains(facts->err.message, message);
    assert_contains(facts->err.hint, hint);
    drop_facts(facts);
}

TEST(a_text_that_is_there_takes_no_built_in_type_unasked) {
    static const char *const identities[] = {"int4", "jsonb", "_int4", "money"};
    for (size_t i = 0; i < N_OF(identities); i++) {
        struct facts facts;
        make_loaded(&facts, "", identities[i], "text");
        check_refused(&facts, RF_DRIFT, "\"odd\" of public.orders is of type shop.odd and that of raw_postgres.orders is text", "\"as_text\"");
    }
}

TEST(a_column_that_is_there_and_no_text_takes_no_text) {
    struct facts facts;
    make_loaded(&facts, ",\"as_text\":[\"odd\"]", "jsonb", "jsonb");
    check_refused(&facts, RF_DRIFT, "carried as text (\"as_text\" names it), and that of raw_postgres.orders is jsonb", "ALTER the target's column to text");
    make_loaded(&facts, "", "regclass", "regclass");
    facts.source_columns[3].refusal = "its values name objects of one server";
    check_refused(&facts, RF_DRIFT, "objects of one server", "\"columns\"");
}

TEST(a_shorter_text_that_is_there_is_widened_for_a_text) {
    struct facts facts;
    make_loaded(&facts, ",\"as_text\":[\"odd\"]", "jsonb", "varchar");
    facts.target_columns[facts.target.n_columns - 1].typmod = 24;
    assert_code(convert(&facts), RF_OK, &facts.err);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.events[0].kind, RF_TYPE_WIDENED);
    assert_string_equal(facts.plan.events[0].new, "text");
    drop_facts(&facts);
}

#define UTC ",\"naive_timestamps\":\"utc\""

/* A timestamp(3) without zone. */
static void make_naive(struct facts *facts, const char *more, const char *there, int32_t typmod) {
    make_facts(facts, more);
    *add_source_column(facts, "odd", "timestamp(3) without time zone", "timestamp", 3) = (struct rf_column){
        .name = "odd", .type = "timestamp(3) without time zone", .base = "timestamp", .identity = "timestamp", .typmod = 3};
    if (!there) never_loaded(facts);
    else add_target_column(facts, "odd", strcmp(there, "timestamptz") == 0 ? "timestamp with time zone" : there, there, typmod);
}

TEST(a_timestamp_without_zone_that_is_taken_as_utc_passes_as_bytes_into_one_with_a_zone) {
    struct facts facts;
    make_naive(&facts, UTC, NULL, -1);
    check_carried(&facts, "::pg_catalog.timestamptz", "timestamp with time zone", "\"naive_timestamps\" takes it as UTC");
    make_naive(&facts, UTC, "timestamptz", -1);
    assert_code(convert(&facts), RF_OK, &facts.err);
    assert_code(plan(&facts), RF_OK, &facts.err);
    facts.plan.full_read = true;
    struct rf_text read = {0}, stage = {0}, checksum = {0};
    rf_sql_read(&facts.plan, &read);
    rf_sql_create_stage(&facts.plan, &stage);
    rf_sql_source_checksum(&facts.plan, &checksum);
    assert_null(strstr(whole(&read), "timestamptz"));
    assert_contains(whole(&stage), "\"odd\" timestamp with time zone");
    assert_contains(whole(&checksum), "\"odd\"::pg_catalog.timestamptz");
    facts.source.sends_csv = true;
    read.length = 0;
    rf_sql_read(&facts.plan, &read);
    assert_contains(whole(&read), "\"odd\"::pg_catalog.timestamptz AS \"odd\"");
    rf_text_free(&read);
    rf_text_free(&stage);
    rf_text_free(&checksum);
    drop_facts(&facts);
}

TEST(a_timestamp_without_zone_stays_where_the_column_or_the_job_has_none) {
    struct facts facts;
    make_naive(&facts, UTC, "timestamp", 3);
    check_bytes(&facts);
    make_naive(&facts, "", NULL, -1);
    facts.target_columns[3] = facts.source_columns[3];
    check_bytes(&facts);
}

TEST(a_column_with_a_zone_takes_no_timestamp_without_one_unless_the_job_says_it_is_utc) {
    struct facts facts;
    make_naive(&facts, "", "timestamptz", -1);
    check_refused(&facts, RF_DRIFT, "timestamp(3) without time zone and that of raw_postgres.orders is timestamp with time zone", "\"naive_timestamps\": \"utc\"");
    make_naive(&facts, UTC ",\"on_schema_change\":\"fail\"", "timestamptz", 0); /* it would round */
    check_refused(&facts, RF_DRIFT, "carried as timestamp with time zone (\"naive_timestamps\" takes it as UTC)", "to timestamp with time zone");
    make_naive(&facts, UTC, "text", -1);
    check_refused(&facts, RF_DRIFT, "timestamp(3) without time zone and that of raw_postgres.orders is text", "\"as_text\"");
}

TEST(another_version_of_an_extension_is_drift_where_the_column_is_of_its_type) {
    struct facts facts;
    make_loaded(&facts, "", "extension hstore 1.8 hstore", "shop.odd");
    facts.target_columns[facts.target.n_columns - 1].identity = "extension hstore 1.7 hstore";
    check_refused(&facts, RF_DRIFT, "is extension hstore 1.8 hstore at the source and extension hstore 1.7 hstore at the target", "the same");
}

TEST(money_of_another_locale_goes_as_its_number) {
    static const struct { const char *identity, *cast, *type; } types[] = {
        {"money", "::pg_catalog.numeric", "numeric"},
        {"_money", "::pg_catalog.numeric[]", "numeric[]"},
        {"row(int4, money)", "::pg_catalog.text", "text"},
    };
    for (size_t i = 0; i < N_OF(types); i++) {
        struct facts facts;
        make_odd(&facts, "", types[i].identity, types[i].identity);
        facts.target.server.lc_monetary = "de_DE.UTF-8";
        check_carried(&facts, types[i].cast, types[i].type, "lc_monetary");
    }
    struct facts facts;
    make_loaded(&facts, "", "money", "numeric");
    check_carried(&facts, "::pg_catalog.numeric", "numeric", "has a number for it");
    make_loaded(&facts, "", "money", "numeric");
    facts.target_columns[facts.target.n_columns - 1].typmod = ((12 << 16) | 1) + 4;
    check_refused(&facts, RF_DRIFT, "is of type shop.odd and that of raw_postgres.orders is numeric", "");
    make_loaded(&facts, "", "money", "money");
    facts.target.server.lc_monetary = "de_DE.UTF-8";
    check_refused(&facts, RF_CONFIG, "lc_monetary is \"de_DE.UTF-8\" there", "ALTER its column to numeric");
}

TEST(what_an_extension_sends_goes_as_text_unless_both_ends_are_in_utf8) {
    static const char *const encodings[][2] = {{"UTF8", "LATIN1"}, {"LATIN1", "UTF8"}, {"LATIN1", "LATIN1"}};
    for (size_t i = 0; i < N_OF(encodings); i++) {
        for (int turn = 0; turn < 2; turn++) {
            struct facts facts;
            const char *identity = turn ? "array(extension hstore 1.8 hstore)" : "enum('extension')";
            make_odd(&facts, "", identity, identity);
            facts.source.server = (struct rf_server){.utf8 = i == 0, .encoding = encodings[i][0], .lc_monetary = "C"};
            facts.target.server = (struct rf_server){.utf8 = i == 1, .encoding = encodings[i][1], .lc_monetary = "C"};
            if (turn) check_carried(&facts, "::pg_catalog.text", "text", "encoding");
            else check_bytes(&facts);
        }
    }
    struct facts facts;
    make_loaded(&facts, "", "extension hstore 1.8 hstore", "hstore");
    facts.source.server = (struct rf_server){.encoding = "LATIN1", .lc_monetary = "C"};
    check_refused(&facts, RF_DRIFT, "made for one encoding), and that of raw_postgres.orders is hstore", "to text");
}

TEST(as_text_names_columns_that_are_read) {
    struct facts facts;
    make_odd(&facts, ",\"as_text\":[\"Odd\"]", "int4", "int4");
    check_refused(&facts, RF_CONFIG, "no column \"Odd\", which \"as_text\" of the job names", "capital letters");
}

TEST(a_column_that_is_added_later_is_told_with_the_type_it_would_have) {
    struct facts facts;
    make_facts(&facts, ",\"on_schema_change\":\"fail\",\"as_text\":[\"odd\"]");
    add_source_column(&facts, "odd", "integer", "int4", -1);
    check_refused(&facts, RF_DRIFT, "column \"odd\" (integer) was added", "ADD COLUMN \"odd\" text");
    make_facts(&facts, ",\"on_schema_change\":\"fail\"");
    add_source_column(&facts, "odd", "mood", "mood", -1)->identity = "enum('a')";
    check_refused(&facts, RF_DRIFT, "column \"odd\" (mood) was added", "ADD COLUMN \"odd\" mood");
}

/* ---- comparing ---- */

TEST(a_converted_column_is_compared_as_what_it_was_sent_as) {
    struct facts facts;
    make_odd(&facts, ",\"as_text\":[\"odd\",\"amount\"]", "jsonb", "jsonb");
    assert_code(convert(&facts), RF_OK, &facts.err);
    assert_code(plan(&facts), RF_OK, &facts.err);
    struct rf_text source = {0}, target = {0};
    rf_sql_source_checksum(&facts.plan, &source);
    rf_sql_target_checksum(&facts.plan, &target);
    assert_contains(whole(&source), "ROW(\"id\", \"amount\"::pg_catalog.text, \"note\", \"odd\"::pg_catalog.text)::text");
    assert_contains(whole(&target), "ROW(\"id\", \"amount\", \"note\", \"odd\")::text");
    rf_text_free(&source);
    rf_text_free(&target);
    drop_facts(&facts);
}

TEST(rows_are_hashed_and_ordered_by_their_bytes_in_utf8) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source.server.utf8 = false;
    facts.source.server.encoding = "LATIN2";
    assert_code(plan(&facts), RF_OK, &facts.err);
    struct rf_text checksum = {0}, rows = {0}, theirs = {0};
    rf_sql_source_checksum(&facts.plan, &checksum);
    rf_sql_source_rows(&facts.plan, 0, &rows);
    rf_sql_target_rows(&facts.plan, &theirs);
    assert_contains(whole(&checksum), "md5(pg_catalog.convert_to(ROW(\"id\", \"amount\", \"note\")::text, 'UTF8'))");
    assert_contains(whole(&rows), "md5(pg_catalog.convert_to(ROW(");
    assert_contains(whole(&rows), "ORDER BY pg_catalog.convert_to(k, 'UTF8'), h");
    assert_lacks(whole(&theirs), "convert_to");
    assert_contains(whole(&theirs), "ORDER BY k, h");
    rf_text_free(&checksum);
    rf_text_free(&rows);
    rf_text_free(&theirs);
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timestamp_without_zone_that_is_taken_as_utc_passes_as_bytes_into_one_with_a_zone),
        cmocka_unit_test(a_timestamp_without_zone_stays_where_the_column_or_the_job_has_none),
        cmocka_unit_test(a_column_with_a_zone_takes_no_timestamp_without_one_unless_the_job_says_it_is_utc),
        cmocka_unit_test(types_that_agree_pass_as_bytes),
        cmocka_unit_test(a_type_that_is_missing_or_another_on_the_target_goes_as_text_into_a_new_table),
        cmocka_unit_test(a_type_whose_bytes_mean_something_on_its_server_alone_goes_as_text),
        cmocka_unit_test(any_column_goes_as_text_that_the_job_names),
        cmocka_unit_test(a_key_that_goes_as_text_is_a_text_in_the_stages_too),
        cmocka_unit_test(a_text_that_is_there_takes_what_may_once_have_had_no_type),
        cmocka_unit_test(a_text_that_is_there_takes_no_built_in_type_unasked),
        cmocka_unit_test(a_column_that_is_there_and_no_text_takes_no_text),
        cmocka_unit_test(a_shorter_text_that_is_there_is_widened_for_a_text),
        cmocka_unit_test(another_version_of_an_extension_is_drift_where_the_column_is_of_its_type),
        cmocka_unit_test(money_of_another_locale_goes_as_its_number),
        cmocka_unit_test(what_an_extension_sends_goes_as_text_unless_both_ends_are_in_utf8),
        cmocka_unit_test(as_text_names_columns_that_are_read),
        cmocka_unit_test(a_column_that_is_added_later_is_told_with_the_type_it_would_have),
        cmocka_unit_test(a_converted_column_is_compared_as_what_it_was_sent_as),
        cmocka_unit_test(rows_are_hashed_and_ordered_by_their_bytes_in_utf8),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
