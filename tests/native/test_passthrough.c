/* Which bytes may be handed on unread. */
#include "core/passthrough.h"

#include "facts.h"
#include "units.h"

#include <string.h>

/* As PostgreSQL codes them: numeric.c, make_numeric_typmod; varchar's is the length and a header of four bytes. */
#define NUMERIC(precision, scale) ((((precision) << 16) | ((scale)&0x7ff)) + 4)
#define LENGTH(n) ((n) + 4)

struct pair {
    const char *from;
    int32_t from_typmod;
    const char *to;
    int32_t to_typmod;
    enum rf_fit fit;
};

static struct rf_column column_of(const char *base, int32_t typmod) {
    return (struct rf_column){.name = "c", .type = base, .base = base, .identity = base, .typmod = typmod};
}

typedef enum rf_fit fit_rule(const struct rf_column *from, const struct rf_column *to);

static void check_pairs_by(fit_rule *rule, const struct pair *pairs, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const struct pair *pair = &pairs[i];
        struct rf_column from = column_of(pair->from, pair->from_typmod), to = column_of(pair->to, pair->to_typmod);
        enum rf_fit fit = rule(&from, &to);
        if (fit != pair->fit) fail_msg("%s (%d) into %s (%d): %u", pair->from, pair->from_typmod, pair->to, pair->to_typmod, fit);
    }
}

static void check_pairs(const struct pair *pairs, size_t n) {
    check_pairs_by(rf_fit_column, pairs, n);
}

TEST(a_type_fits_itself_under_the_same_modifier) {
    static const struct pair pairs[] = {
        {"int8", -1, "int8", -1, RF_FITS},
        {"numeric", NUMERIC(12, 4), "numeric", NUMERIC(12, 4), RF_FITS},
        {"bpchar", LENGTH(3), "bpchar", LENGTH(3), RF_FITS},
        {"interval", 7, "interval", 7, RF_FITS},
        {"bit", 5, "bit", 5, RF_FITS},
        {"_numeric", NUMERIC(12, 4), "_numeric", NUMERIC(12, 4), RF_FITS},
    };
    check_pairs(pairs, N_OF(pairs));
}

TEST(a_numeric_fits_only_where_no_digit_can_be_lost) {
    static const struct pair pairs[] = {
        {"numeric", NUMERIC(12, 4), "numeric", NUMERIC(12, 2), RF_FITS_NOT},  /* would round */
        {"numeric", NUMERIC(12, 4), "numeric", NUMERIC(12, 6), RF_FITS_NOT},  /* leaves six digits before the point, not eight */
        {"numeric", NUMERIC(12, 4), "numeric", NUMERIC(14, 6), RF_FITS},
        {"numeric", NUMERIC(12, 4), "numeric", NUMERIC(13, 4), RF_FITS},
        {"numeric", NUMERIC(12, 4), "numeric", NUMERIC(11, 4), RF_FITS_NOT},
        {"numeric", NUMERIC(12, 4), "numeric", -1, RF_FITS},
        {"numeric", -1, "numeric", NUMERIC(1000, 500), RF_FITS_NOT},
        {"numeric", NUMERIC(3, -2), "numeric", NUMERIC(5, 0), RF_FITS},       /* scales below zero: since PostgreSQL 15 */
        {"numeric", NUMERIC(3, -2), "numeric", NUMERIC(4, 0), RF_FITS_NOT},
        {"numeric", NUMERIC(3, 0), "numeric", NUMERIC(3, -2), RF_FITS_NOT},
        {"numeric", NUMERIC(3, 5), "numeric", NUMERIC(3, 5), RF_FITS},
        {"_numeric", NUMERIC(12, 4), "_numeric", NUMERIC(12, 2), RF_FITS_NOT},
        {"_numeric", NUMERIC(12, 4), "_numeric", -1, RF_FITS},
    };
    check_pairs(pairs, N_OF(pairs));
}

TEST(a_text_fits_only_where_no_character_can_be_lost) {
    static const struct pair pairs[] = {
        {"varchar", LENGTH(10), "varchar", LENGTH(3), RF_FITS_NOT}, /* would drop spaces */
        {"varchar", LENGTH(10), "varchar", LENGTH(11), RF_FITS},
        {"varchar", LENGTH(10), "varchar", -1, RF_FITS},
        {"varchar", -1, "varchar", LENGTH(10), RF_FITS_NOT},
        {"varchar", LENGTH(10), "text", -1, RF_FITS_WIDER},
        {"varchar", -1, "text", -1, RF_FITS_WIDER},
        {"text", -1, "varchar", -1, RF_FITS_NOT},
        {"bpchar", LENGTH(3), "bpchar", LENGTH(5), RF_FITS_NOT},   /* would pad */
        {"bpchar", LENGTH(3), "bpchar", -1, RF_FITS_NOT},
        {"bpchar", LENGTH(3), "text", -1, RF_FITS_NOT},
        {"varbit", 5, "varbit", 6, RF_FITS},
        {"varbit", 5, "varbit", 4, RF_FITS_NOT},
        {"bit", 5, "bit", 6, RF_FITS_NOT},
        {"bit", 5, "bit", -1, RF_FITS_NOT},
    };
    check_pairs(pairs, N_OF(pairs));
}

TEST(a_time_fits_only_where_no_fraction_can_be_lost) {
    static const char *const types[] = {"timestamp", "timestamptz", "time", "timetz"};
    for (size_t i = 0; i < N_OF(types); i++) {
        const struct pair pairs[] = {
            {types[i], -1, types[i], 0, RF_FITS_NOT}, /* would round up */
            {types[i], -1, types[i], 3, RF_FITS_NOT}, {types[i], -1, types[i], 6, RF_FITS},
            {types[i], 3, types[i], 0, RF_FITS_NOT},  {types[i], 3, types[i], 4, RF_FITS},
            {types[i], 3, types[i], -1, RF_FITS},     {types[i], 6, types[i], -1, RF_FITS},
        };
        check_pairs(pairs, N_OF(pairs));
    }
    static const struct pair others[] = {
        {"timestamp", -1, "timestamptz", -1, RF_FITS_NOT}, {"timestamptz", -1, "timestamp", -1, RF_FITS_NOT},
        {"interval", 7, "interval", -1, RF_FITS},          {"interval", -1, "interval", 7, RF_FITS_NOT},
        {"date", -1, "timestamp", -1, RF_FITS_NOT},
    };
    check_pairs(others, N_OF(others));
}

TEST(another_type_fits_only_where_the_merge_widens_without_loss) {
    static const struct pair pairs[] = {
        {"int2", -1, "int4", -1, RF_FITS_WIDER},     {"int2", -1, "int8", -1, RF_FITS_WIDER},   {"int4", -1, "int8", -1, RF_FITS_WIDER},
        {"int8", -1, "numeric", -1, RF_FITS_WIDER},  {"float4", -1, "float8", -1, RF_FITS_WIDER},
        {"int8", -1, "int4", -1, RF_FITS_NOT},       {"int4", -1, "int2", -1, RF_FITS_NOT},     {"float8", -1, "float4", -1, RF_FITS_NOT},
        {"int8", -1, "float8", -1, RF_FITS_NOT},     {"numeric", -1, "int8", -1, RF_FITS_NOT},  {"int8", -1, "numeric", NUMERIC(5, 0), RF_FITS_NOT},
        {"int8", -1, "timestamptz", -1, RF_FITS_NOT}, /* the same eight bytes mean something else */
        {"float8", -1, "int8", -1, RF_FITS_NOT},     {"json", -1, "jsonb", -1, RF_FITS_NOT},    {"text", -1, "bytea", -1, RF_FITS_NOT},
        {"_int4", -1, "_int8", -1, RF_FITS_NOT},
    };
    check_pairs(pairs, N_OF(pairs));
}

static enum rf_fit fit_of(const char *from_base, const char *from_identity, const char *to_base, const char *to_identity) {
    struct rf_column from = column_of(from_base, -1), to = column_of(to_base, -1);
    from.identity = from_identity;
    to.identity = to_identity;
    return rf_fit_column(&from, &to);
}

TEST(user_types_fit_by_what_is_inside_and_never_by_name) {
    assert_int_equal(fit_of("mood", "enum('sad','ok')", "mood", "enum('sad','ok')"), RF_FITS);
    assert_int_equal(fit_of("mood", "enum('sad','ok')", "feeling", "enum('sad','ok')"), RF_FITS);
    assert_int_equal(fit_of("mood", "enum('sad','ok')", "mood", "enum('ok','sad')"), RF_FITS_NOT);
    assert_int_equal(fit_of("mood", "enum('sad','ok')", "mood", "enum('sad','ok','glad')"), RF_FITS_NOT);
    assert_int_equal(fit_of("_mood", "array(enum('sad'))", "_mood", "array(enum('sad'))"), RF_FITS);
    assert_int_equal(fit_of("_mood", "array(enum('sad'))", "_mood", "array(enum('ok'))"), RF_FITS_NOT);
    assert_int_equal(fit_of("hstore", "extension hstore 1.8 hstore", "hstore", "extension hstore 1.7 hstore"), RF_FITS_NOT);
}

TEST(a_user_type_named_like_a_built_in_one_is_not_widened) {
    assert_int_equal(fit_of("int4", "enum('1','2')", "int8", "int8"), RF_FITS_NOT);
    assert_int_equal(fit_of("int4", "int4", "int8", "enum('1','2')"), RF_FITS_NOT);
}

TEST(a_refusal_on_either_side_wins) {
    struct rf_column from = column_of("regclass", -1), to = from;
    from.refusal = "its values name objects of one server";
    assert_int_equal(rf_fit_column(&from, &to), RF_FITS_NOT);
    assert_int_equal(rf_fit_column(&to, &from), RF_FITS_NOT);
}

TEST(a_database_whose_encoding_says_nothing_of_characters_is_refused) {
    static const char *const unknown[] = {"SQL_ASCII", "MULE_INTERNAL"}, *const known[] = {"LATIN1", "EUC_JP", "WIN1252"};
    struct facts facts;
    make_facts(&facts, "");
    assert_code(rf_fit_servers(&facts.source, &facts.target, &facts.err), RF_OK, &facts.err);
    for (size_t i = 0; i < N_OF(unknown); i++) {
        facts.source.server = (struct rf_server){.encoding = unknown[i], .lc_monetary = "C"};
        assert_code(rf_fit_servers(&facts.source, &facts.target, &facts.err), RF_CONFIG, &facts.err);
        assert_contains(facts.err.message, "the source database is encoded in");
        assert_contains(facts.err.message, unknown[i]);
        facts.source.server.utf8 = true;
        facts.target.server = (struct rf_server){.encoding = unknown[i], .lc_monetary = "C"};
        assert_code(plan(&facts), RF_CONFIG, &facts.err);
        assert_contains(facts.err.message, "the target database is encoded in");
        facts.target.server.utf8 = true;
    }
    for (size_t i = 0; i < N_OF(known); i++) {
        facts.source.server = (struct rf_server){.encoding = known[i], .lc_monetary = "C"};
        assert_code(rf_fit_servers(&facts.source, &facts.target, &facts.err), RF_OK, &facts.err);
    }
    drop_facts(&facts);
}

static enum rf_code fit_with_money(const char *identity, const char *target_locale, struct rf_error *err) {
    struct facts facts;
    make_facts(&facts, "");
    add_source_column(&facts, "price", "money", "money", -1)->identity = identity;
    facts.target.server.lc_monetary = target_locale;
    enum rf_code code = rf_fit_servers(&facts.source, &facts.target, err);
    drop_facts(&facts);
    return code;
}

TEST(money_needs_the_same_locale_on_both_sides_wherever_it_is_inside) {
    static const char *const identities[] = {"money", "_money", "row(int4, money)", "array(row(money))", "range(money)", "domain(-1 money)"};
    struct rf_error err;
    for (size_t i = 0; i < N_OF(identities); i++) {
        assert_code(fit_with_money(identities[i], "de_DE.UTF-8", &err), RF_CONFIG, &err);
        assert_contains(err.message, "lc_monetary is \"de_DE.UTF-8\" there and \"C\" at the source");
        assert_code(fit_with_money(identities[i], "C", &err), RF_OK, &err);
    }
}

TEST(a_label_that_says_money_is_no_money) {
    static const char *const identities[] = {"enum('money','card')", "enum('money_order')", "enum('it''s money','x')", "enum('pocket money, cash')", "extension shop 1.0 moneybag"};
    struct rf_error err;
    for (size_t i = 0; i < N_OF(identities); i++) assert_code(fit_with_money(identities[i], "de_DE.UTF-8", &err), RF_OK, &err);
}

TEST(a_column_of_a_stream_goes_where_a_cast_keeps_every_value_or_fails) {
    static const struct pair pairs[] = {
        {"int8", -1, "int2", -1, RF_FITS_WIDER},
        {"int8", -1, "int8", -1, RF_FITS},
        {"int8", -1, "numeric", NUMERIC(12, 2), RF_FITS_WIDER},
        {"int8", -1, "numeric", NUMERIC(12, -2), RF_FITS_NOT}, /* would round */
        {"int8", -1, "float8", -1, RF_FITS_NOT},
        {"numeric", NUMERIC(20, 0), "int8", -1, RF_FITS_WIDER},
        {"numeric", NUMERIC(20, 0), "numeric", NUMERIC(10, 0), RF_FITS_WIDER},
        {"numeric", NUMERIC(12, 2), "int8", -1, RF_FITS_NOT},
        {"numeric", -1, "int8", -1, RF_FITS_NOT},
        {"numeric", NUMERIC(12, 4), "numeric", NUMERIC(12, 2), RF_FITS_NOT},
        {"float8", -1, "float4", -1, RF_FITS_NOT},
        {"float8", -1, "int8", -1, RF_FITS_NOT},
        {"text", -1, "uuid", -1, RF_FITS_WIDER},
        {"text", -1, "json", -1, RF_FITS_WIDER},
        {"text", -1, "jsonb", -1, RF_FITS_WIDER},
        {"text", -1, "enum('a','b')", -1, RF_FITS_WIDER},
        {"text", -1, "varchar", LENGTH(5), RF_FITS_NOT}, /* would cut */
        {"text", -1, "timestamptz", -1, RF_FITS_NOT},
        {"jsonb", -1, "json", -1, RF_FITS_NOT},
        {"timestamp", -1, "timestamptz", -1, RF_FITS_NOT},
    };
    check_pairs_by(rf_fit_given, pairs, N_OF(pairs));
    struct rf_column from = column_of("int8", -1), to = column_of("int4", -1);
    assert_int_equal(rf_fit_column(&from, &to), RF_FITS_NOT);
    to.refusal = "its type has no binary form";
    assert_int_equal(rf_fit_given(&from, &to), RF_FITS_NOT);
}

TEST(a_column_that_is_always_null_fits_any_type) {
    struct rf_column from = column_of("text", -1), to = column_of("timestamptz", -1);
    from.always_null = true;
    assert_int_equal(rf_fit_given(&from, &to), RF_FITS_WIDER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_fits_itself_under_the_same_modifier),
        cmocka_unit_test(a_numeric_fits_only_where_no_digit_can_be_lost),
        cmocka_unit_test(a_text_fits_only_where_no_character_can_be_lost),
        cmocka_unit_test(a_time_fits_only_where_no_fraction_can_be_lost),
        cmocka_unit_test(another_type_fits_only_where_the_merge_widens_without_loss),
        cmocka_unit_test(user_types_fit_by_what_is_inside_and_never_by_name),
        cmocka_unit_test(a_user_type_named_like_a_built_in_one_is_not_widened),
        cmocka_unit_test(a_refusal_on_either_side_wins),
        cmocka_unit_test(a_column_of_a_stream_goes_where_a_cast_keeps_every_value_or_fails),
        cmocka_unit_test(a_column_that_is_always_null_fits_any_type),
        cmocka_unit_test(a_database_whose_encoding_says_nothing_of_characters_is_refused),
        cmocka_unit_test(money_needs_the_same_locale_on_both_sides_wherever_it_is_inside),
        cmocka_unit_test(a_label_that_says_money_is_no_money),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
