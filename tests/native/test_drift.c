/* What a run does about a schema that changed: every kind under every policy, and the statements in every dialect. */
#include "core/drift.h"

#include "core/sql_alter.h"
#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int32_t NUMERIC_20_4 = ((20 << 16) | 4) + 4;

/* A change of the facts since the last load. */
typedef void change(struct facts *facts);

static void a_column_came(struct facts *facts) { add_source_column(facts, "color", "text", "text", -1); }
static void a_column_went(struct facts *facts) { add_target_column(facts, "color", "text", "text", -1)->not_null = true; }
static void a_column_has_another_name(struct facts *facts) {
    facts->source_columns[2].name = "remark";
    facts->source_columns[2].line = "column 3 remark text collation 100";
}
static void a_type_is_wider(struct facts *facts) {
    facts->source_columns[1].type = "numeric(20,4)";
    facts->source_columns[1].typmod = NUMERIC_20_4;
}
static void a_type_is_another(struct facts *facts) { facts->source_columns[1] = (struct rf_column){.name = "amount", .type = "integer", .base = "int4", .identity = "int4", .typmod = -1}; }
static void a_column_may_be_null(struct facts *facts) { facts->target_columns[2].not_null = true; }
static void the_key_is_another(struct facts *facts) {
    facts->target.key_unique = false;
    facts->target.key_name = "orders_pkey";
}
static void a_label_came(struct facts *facts) {
    add_source_column(facts, "mood", "mood", "mood", -1)->identity = "enum('sad','ok','it''s fine')";
    add_target_column(facts, "mood", "mood", "mood", -1)->identity = "enum('sad','it''s fine')";
}
static void the_target_is_gone(struct facts *facts) {
    facts->target.exists = facts->target.is_ours = facts->target.key_unique = false;
    facts->target.n_columns = facts->source.n_columns;
}
static void the_source_is_another(struct facts *facts) { facts->source.identity.table_oid = 16385; }
static void a_partition_came(struct facts *facts) { facts->source.fingerprint = DATABASE_LINE LEAF_LINE "leaf 16999 5009 heap orders_2027\n" COLUMN_LINES POLICY_LINE; }
static void a_partition_went(struct facts *facts) { facts->source.fingerprint = DATABASE_LINE COLUMN_LINES POLICY_LINE; }

static const struct {
    enum rf_drift_kind kind;
    change *apply;
    const char *message; /* of a refusal */
    const char *column, *old, *new; /* of the event */
    const char *sql;     /* under `apply` on PostgreSQL; NULL: none */
    const char *ignored; /* under `ignore`; NULL: none */
} CASES[RF_DRIFT_KINDS] = {
    {RF_COLUMN_ADDED, a_column_came, "column \"color\" (text) was added to public.orders", "color", NULL, "text", "ALTER TABLE \"raw_postgres\".\"orders\" ADD COLUMN \"color\" text", NULL},
    {RF_COLUMN_DROPPED, a_column_went, "column \"color\" (text) of raw_postgres.orders no longer comes", "color", "text", NULL, "ALTER TABLE \"raw_postgres\".\"orders\" DROP COLUMN \"color\"",
     "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"color\" DROP NOT NULL"},
    {RF_COLUMN_RENAMED, a_column_has_another_name, "column \"note\" (text) of public.orders is now \"remark\"", "remark", "note", "remark",
     "ALTER TABLE \"raw_postgres\".\"orders\" RENAME COLUMN \"note\" TO \"remark\"", NULL},
    {RF_TYPE_WIDENED, a_type_is_wider, "is of type numeric(20,4) and that of raw_postgres.orders is numeric(12,4)", "amount", "numeric(12,4)", "numeric(20,4)",
     "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"amount\" TYPE numeric(20,4) USING \"amount\"::numeric(20,4)", NULL},
    {RF_TYPE_CHANGED, a_type_is_another, "is of type integer and that of raw_postgres.orders is numeric(12,4)", "amount", "numeric(12,4)", "integer",
     "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"amount\" TYPE integer USING \"amount\"::integer", NULL},
    {RF_NULLABILITY, a_column_may_be_null, "column \"note\" of public.orders may be NULL", "note", "NOT NULL", "NULL", "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"note\" DROP NOT NULL", NULL},
    {RF_KEY_CHANGED, the_key_is_another, "no unique index over exactly the keys of the job (id)", NULL, NULL, "id",
     "ALTER TABLE \"raw_postgres\".\"orders\" DROP CONSTRAINT \"orders_pkey\", ADD PRIMARY KEY (\"id\")", NULL},
    {RF_ENUM_CHANGED, a_label_came, "enum('sad','ok','it''s fine') at the source", "mood", "enum('sad','it''s fine')", "enum('sad','ok','it''s fine')",
     "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'ok' BEFORE 'it''s fine'", NULL},
    {RF_TABLE_MISSING, the_target_is_gone, "raw_postgres.orders was loaded before, and is not there any more", NULL, NULL, NULL, NULL, NULL},
    {RF_TABLE_RECREATED, the_source_is_another, "public.orders was made anew", NULL, NULL, NULL, NULL, NULL},
    {RF_PARTITION_ATTACHED, a_partition_came, "orders_2027 was attached to public.orders", "orders_2027", NULL, NULL, NULL, NULL},
    {RF_PARTITION_DETACHED, a_partition_went, "orders was detached from public.orders", "orders", NULL, NULL, NULL, NULL},
};

/* The lines of the fingerprint that a source tells of its columns. */
static void lay_lines(struct facts *facts) {
    static const char *const lines[] = {"column 1 id bigint collation 0", "column 2 amount numeric(12,4) collation 0", "column 3 note text collation 100"};
    for (int i = 0; i < 3; i++) facts->source_columns[i].line = lines[i];
}

static enum rf_code plan_under(struct facts *facts, int i, const char *policy) {
    char setting[128];
    snprintf(setting, sizeof setting, ",\"on_schema_change\":{\"%s\":\"%s\"}", rf_drift_rows[CASES[i].kind].name, policy);
    make_facts(facts, setting);
    lay_lines(facts);
    CASES[i].apply(facts);
    return plan(facts);
}

static bool same(const char *a, const char *b) {
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void check_alteration(const struct rf_plan *plan, const char *sql) {
    struct rf_text text = {0};
    assert_int_equal(plan->n_alterations, sql ? 1 : 0);
    if (!sql) return;
    rf_sql_alter(plan, 0, &text);
    assert_string_equal(whole(&text), sql);
    rf_text_free(&text);
}

static void check_event(const struct rf_plan *plan, int i, enum rf_policy policy) {
    assert_int_equal(plan->n_events, 1);
    const struct rf_drift_event *event = &plan->events[0];
    assert_int_equal(event->kind, CASES[i].kind);
    assert_int_equal(event->policy, policy);
    if (!same(event->column, CASES[i].column) || !same(event->old, CASES[i].old) || !same(event->new, CASES[i].new))
        fail_msg("%s: %s from %s to %s", rf_drift_rows[event->kind].name, event->column, event->old, event->new);
}

TEST(what_fails_names_column_old_new_and_the_setting_that_accepts_it) {
    for (int i = 0; i < RF_DRIFT_KINDS; i++) {
        struct facts facts;
        char setting[64];
        snprintf(setting, sizeof setting, "on_schema_change={\"%s\": \"apply\"}", rf_drift_rows[CASES[i].kind].name);
        assert_code(plan_under(&facts, i, "fail"), RF_DRIFT, &facts.err);
        assert_contains(facts.err.message, CASES[i].message);
        assert_contains(facts.err.hint, setting);
        assert_false(facts.err.retryable);
        drop_facts(&facts);
    }
}

TEST(what_is_applied_is_told_and_altered_and_then_fits) {
    for (int i = 0; i < RF_DRIFT_KINDS; i++) {
        struct facts facts;
        assert_code(plan_under(&facts, i, "apply"), RF_OK, &facts.err);
        check_event(&facts.plan, i, RF_POLICY_APPLY);
        check_alteration(&facts.plan, CASES[i].sql);
        for (int k = 0; k < facts.source.n_columns; k++) assert_int_not_equal(rf_fit(&facts.plan, k), RF_FITS_NOT);
        assert_true(facts.plan.target->key_unique || CASES[i].kind == RF_TABLE_MISSING);
        drop_facts(&facts);
    }
}

TEST(without_a_word_of_the_job_the_usual_policy_of_a_kind_holds) {
    for (int i = 0; i < RF_DRIFT_KINDS; i++) {
        struct facts facts;
        enum rf_policy usual = rf_drift_rows[CASES[i].kind].usual;
        assert_code(plan_under(&facts, i, rf_policy_name(usual)), usual == RF_POLICY_FAIL ? RF_DRIFT : RF_OK, &facts.err);
        drop_facts(&facts);
        make_facts(&facts, "");
        lay_lines(&facts);
        CASES[i].apply(&facts);
        assert_code(plan(&facts), usual == RF_POLICY_FAIL ? RF_DRIFT : RF_OK, &facts.err);
        if (usual != RF_POLICY_FAIL) check_event(&facts.plan, i, usual);
        drop_facts(&facts);
    }
}

TEST(a_dropped_column_that_is_ignored_stays_and_may_be_null) {
    struct facts facts;
    assert_code(plan_under(&facts, RF_COLUMN_DROPPED, "ignore"), RF_OK, &facts.err);
    check_event(&facts.plan, RF_COLUMN_DROPPED, RF_POLICY_IGNORE);
    check_alteration(&facts.plan, CASES[RF_COLUMN_DROPPED].ignored);
    assert_int_equal(facts.plan.n_dropped, 1);
    assert_string_equal(facts.plan.dropped[0], "color");
    drop_facts(&facts);
}

TEST(nothing_is_altered_where_nothing_changed) {
    struct facts facts;
    make_facts(&facts, ",\"on_schema_change\":\"apply\"");
    lay_lines(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_events, 0);
    assert_int_equal(facts.plan.n_alterations, 0);
    assert_false(facts.plan.reconcile);
    drop_facts(&facts);
}

/* ---- what is read ---- */

TEST(a_column_that_comes_into_the_target_is_read_whole_whatever_the_fingerprint_says) {
    struct facts facts;
    assert_code(plan_under(&facts, RF_COLUMN_ADDED, "apply"), RF_OK, &facts.err);
    assert_true(facts.plan.full_read && facts.plan.reconcile);
    drop_facts(&facts);
}

/* An interrupted run may have renamed it already: then the name of before is not there, and the line of the fingerprint asks for all rows. */
TEST(what_an_interrupted_run_altered_is_no_drift_any_more) {
    struct facts facts;
    make_facts(&facts, "");
    lay_lines(&facts);
    a_column_has_another_name(&facts);
    facts.source.fingerprint = DATABASE_LINE LEAF_LINE "column 1 id bigint collation 0\ncolumn 2 amount numeric(12,4) collation 0\ncolumn 3 remark text collation 100\n" POLICY_LINE;
    facts.target_columns[2].name = "remark";
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_events, 0);
    assert_true(facts.plan.full_read);
    drop_facts(&facts);
}

/* ---- names ---- */

TEST(a_column_of_another_number_is_not_renamed_but_dropped_and_added) {
    struct facts facts;
    make_facts(&facts, "");
    lay_lines(&facts);
    a_column_has_another_name(&facts);
    facts.source_columns[2].line = "column 4 remark text collation 100";
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_events, 2);
    assert_int_equal(facts.plan.events[0].kind, RF_COLUMN_DROPPED);
    assert_int_equal(facts.plan.events[1].kind, RF_COLUMN_ADDED);
    drop_facts(&facts);
}

TEST(numbers_of_columns_mean_nothing_in_another_table) {
    struct facts facts;
    make_facts(&facts, "");
    lay_lines(&facts);
    a_column_has_another_name(&facts);
    the_source_is_another(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.events[0].kind, RF_COLUMN_DROPPED);
    drop_facts(&facts);
}

TEST(a_name_in_quotes_is_read_whole) {
    struct facts facts;
    make_facts(&facts, "");
    lay_lines(&facts);
    facts.last.fingerprint = "column 3 \"my \"\"old\"\" note\" text collation 100\n";
    facts.target_columns[2].name = "my \"old\" note";
    assert_code(plan(&facts), RF_DRIFT, &facts.err);
    assert_contains(facts.err.message, "column \"my \"old\" note\" (text) of public.orders is now \"note\"");
    drop_facts(&facts);
}

TEST(a_key_that_has_another_name_is_asked_for_under_the_one_of_before) {
    struct facts facts;
    struct rf_source_facts before;
    bool any;
    make_facts(&facts, ",\"on_schema_change\":\"apply\"");
    lay_lines(&facts);
    facts.source_columns[0].name = "number";
    assert_code(rf_keys_as_before(&facts.last, &facts.target, &facts.source, &facts.arena, &before, &any, &facts.err), RF_OK, &facts.err);
    assert_true(any);
    assert_string_equal(before.columns[0].name, "id");
    assert_string_equal(facts.source.columns[0].name, "number");
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.alterations[0].what, RF_RENAME_COLUMN);
    drop_facts(&facts);
}

/* ---- left out ---- */

TEST(a_column_that_is_left_out_leaves_the_fingerprint_and_the_keys_where_they_are) {
    struct facts facts;
    bool any;
    make_facts(&facts, ",\"on_schema_change\":{\"column_added\":\"ignore\"}");
    lay_lines(&facts);
    facts.source.fingerprint = DATABASE_LINE LEAF_LINE "column 4 color text collation 100\n" COLUMN_LINES POLICY_LINE;
    memmove(facts.source_columns + 1, facts.source_columns, 3 * sizeof *facts.source_columns);
    facts.source_columns[0] = (struct rf_column){.name = "color", .type = "text", .base = "text", .identity = "text", .typmod = -1, .line = "column 4 color text collation 100"};
    facts.source.n_columns = 4;
    facts.keys[0] = 1;
    assert_code(rf_leave_out(&facts.job, &facts.last, &facts.target, &facts.source, &facts.arena, &any, &facts.err), RF_OK, &facts.err);
    assert_true(any);
    assert_int_equal(facts.source.n_columns, 3);
    assert_int_equal(facts.keys[0], 0);
    assert_string_equal(facts.source.fingerprint, FINGERPRINT);
    assert_code(plan(&facts), RF_OK, &facts.err);
    check_event(&facts.plan, RF_COLUMN_ADDED, RF_POLICY_IGNORE);
    assert_int_equal(facts.plan.n_alterations, 0);
    assert_false(facts.plan.reconcile);
    drop_facts(&facts);
}

TEST(nothing_is_left_out_unasked_nor_what_has_another_name_nor_a_key) {
    static const char *const jobs[] = {"", ",\"on_schema_change\":{\"column_added\":\"ignore\"}", ",\"on_schema_change\":{\"column_added\":\"ignore\"}"};
    for (int i = 0; i < 3; i++) {
        struct facts facts;
        bool any = true;
        make_facts(&facts, jobs[i]);
        lay_lines(&facts);
        if (i == 0) a_column_came(&facts);
        if (i == 1) a_column_has_another_name(&facts);
        if (i == 2) facts.source_columns[0].name = "number", facts.last.fingerprint = NULL;
        assert_code(rf_leave_out(&facts.job, &facts.last, &facts.target, &facts.source, &facts.arena, &any, &facts.err), RF_OK, &facts.err);
        assert_false(any);
        drop_facts(&facts);
    }
}

/* ---- labels ---- */

TEST(labels_follow_when_some_were_added_or_renamed_in_their_places) {
    static const struct { const char *now, *before; bool follow; } cases[] = {
        {"enum('a','b')", "enum('a')", true}, {"enum('a','b')", "enum('b')", true}, {"enum('a','x','b')", "ENUM('a', 'b')", true},
        {"enum('a','c')", "enum('a','b')", true}, {"enum('it''s')", "enum('its')", true}, {"enum('b','a')", "enum('a','b')", false},
        {"enum('a')", "enum('a','b')", false}, {"enum('c','a')", "enum('a','b')", false}, {"text", "enum('a')", false}, {"enum('a')", "text", false}};
    for (size_t i = 0; i < N_OF(cases); i++)
        if (rf_labels_follow(cases[i].now, cases[i].before) != cases[i].follow) fail_msg("from %s to %s", cases[i].before, cases[i].now);
}

TEST(labels_are_renamed_one_by_one_before_the_rows_come) {
    struct facts facts;
    make_facts(&facts, ",\"on_schema_change\":\"apply\"");
    add_source_column(&facts, "mood", "mood", "mood", -1)->identity = "enum('blue','fine')";
    add_target_column(&facts, "mood", "mood", "mood", -1)->identity = "enum('sad','ok')";
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_alterations, 2);
    assert_int_equal(rf_alter_when(&facts.plan, 1), RF_ALTER_BEFORE_ROWS);
    struct rf_text text = {0};
    rf_sql_alter(&facts.plan, 1, &text);
    assert_string_equal(whole(&text), "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'");
    rf_text_free(&text);
    drop_facts(&facts);
}

TEST(labels_of_a_type_that_is_only_written_out_are_renamed_while_they_are_texts) {
    struct facts facts;
    make_facts(&facts, ",\"on_schema_change\":\"apply\"");
    facts.target.dialect = RF_DIALECT_DUCKDB;
    for (int i = 0; i < 3; i++) facts.source_columns[i].arrives_as = facts.target_columns[i].type;
    add_source_column(&facts, "mood", "mood", "mood", -1)->arrives_as = "ENUM('blue', 'ok')";
    add_target_column(&facts, "mood", "ENUM('sad', 'ok')", "ENUM('sad', 'ok')", -1);
    assert_code(plan(&facts), RF_OK, &facts.err);
    static const char *const expected[] = {"ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"mood\" TYPE VARCHAR USING CASE \"mood\"::VARCHAR WHEN 'sad' THEN 'blue' ELSE \"mood\"::VARCHAR END",
                                           "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"mood\" TYPE ENUM('blue', 'ok')"};
    assert_int_equal(facts.plan.n_alterations, N_OF(expected));
    for (int i = 0; i < (int)N_OF(expected); i++) {
        struct rf_text text = {0};
        rf_sql_alter(&facts.plan, i, &text);
        assert_string_equal(whole(&text), expected[i]);
        rf_text_free(&text);
    }
    drop_facts(&facts);
}

/* ---- targets that go by the table of types ---- */

/* One column of the target, and what comes for it. */
static enum rf_code plan_type(struct facts *facts, enum rf_dialect dialect, const char *there, const char *arrives_as) {
    make_facts(facts, dialect == RF_DIALECT_SNOWFLAKE ? ",\"target_table\":\"raw_postgres.orders\"" : "");
    facts->job.target_database = "raw";
    facts->target.dialect = dialect;
    for (int i = 0; i < 3; i++) facts->source_columns[i].arrives_as = facts->target_columns[i].type;
    facts->source_columns[1].arrives_as = arrives_as;
    facts->target_columns[1].type = facts->target_columns[1].base = facts->target_columns[1].identity = there;
    return plan(facts);
}

TEST(a_type_is_widened_by_the_listed_rules_alone) {
    static const struct { enum rf_dialect dialect; const char *there, *arrives_as, *sql; } cases[] = {
        {RF_DIALECT_DUCKDB, "INTEGER", "BIGINT", "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"amount\" TYPE BIGINT"},
        {RF_DIALECT_DUCKDB, "FLOAT", "DOUBLE", "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"amount\" TYPE DOUBLE"},
        {RF_DIALECT_DUCKDB, "DECIMAL(12,2)", "DECIMAL(14,4)", "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"amount\" TYPE DECIMAL(14,4)"},
        {RF_DIALECT_MARIADB, "smallint(6)", "bigint(20)", "ALTER TABLE \"raw_postgres\".\"orders\" MODIFY COLUMN \"amount\" bigint(20)"},
        {RF_DIALECT_MARIADB, "decimal(12,2)", "decimal(20,2)", "ALTER TABLE \"raw_postgres\".\"orders\" MODIFY COLUMN \"amount\" decimal(20,2)"},
        {RF_DIALECT_PSQLODBC, "integer", "bigint", "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"amount\" TYPE bigint USING \"amount\"::bigint"},
        {RF_DIALECT_PSQLODBC, "numeric(12,2)", "numeric", "ALTER TABLE \"raw_postgres\".\"orders\" ALTER COLUMN \"amount\" TYPE numeric USING \"amount\"::numeric"},
        {RF_DIALECT_SNOWFLAKE, "NUMBER(12,2)", "NUMBER(20,2)", "ALTER TABLE \"RAW\".\"RAW_POSTGRES\".\"ORDERS\" ALTER COLUMN \"AMOUNT\" SET DATA TYPE NUMBER(20,2)"},
        {RF_DIALECT_SQLITE, "INTEGER", "BIGINT", NULL}, /* one affinity */
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        assert_code(plan_type(&facts, cases[i].dialect, cases[i].there, cases[i].arrives_as), RF_OK, &facts.err);
        check_alteration(&facts.plan, cases[i].sql);
        if (cases[i].sql) assert_int_equal(facts.plan.events[0].kind, RF_TYPE_WIDENED);
        assert_int_equal(rf_fit(&facts.plan, 1), RF_FITS);
        drop_facts(&facts);
    }
}

TEST(any_other_type_is_refused_and_the_setting_named_only_where_the_server_can_change_it) {
    static const struct { enum rf_dialect dialect; const char *there, *arrives_as; bool can; } cases[] = {
        {RF_DIALECT_DUCKDB, "BIGINT", "INTEGER", true}, {RF_DIALECT_DUCKDB, "DECIMAL(14,4)", "DECIMAL(14,2)", true}, {RF_DIALECT_DUCKDB, "DECIMAL(12,2)", "DECIMAL(12,4)", true},
        {RF_DIALECT_MARIADB, "bigint(20)", "longtext", true}, {RF_DIALECT_PSQLODBC, "numeric", "numeric(12,2)", true}, {RF_DIALECT_SNOWFLAKE, "NUMBER(12,2)", "NUMBER(14,4)", false},
        {RF_DIALECT_SNOWFLAKE, "NUMBER(12,2)", "VARCHAR", false}, {RF_DIALECT_SQLITE, "TEXT", "BIGINT", false}, {RF_DIALECT_SQLITE, "DOUBLE", "TEXT", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        assert_code(plan_type(&facts, cases[i].dialect, cases[i].there, cases[i].arrives_as), RF_DRIFT, &facts.err);
        assert_contains(facts.err.message, cases[i].there);
        if (cases[i].can) assert_contains(facts.err.hint, "on_schema_change={\"type_changed\": \"apply\"}");
        else assert_contains(facts.err.hint, "cannot change the column so: drop the column \"amount\"");
        drop_facts(&facts);
    }
}

/* ---- a stream ---- */

TEST(a_stream_adds_its_columns_too_and_nothing_is_read_for_them) {
    struct facts facts;
    make_facts(&facts, "");
    with_stream(&facts);
    a_column_came(&facts);
    assert_code(plan(&facts), RF_OK, &facts.err);
    check_event(&facts.plan, RF_COLUMN_ADDED, RF_POLICY_APPLY);
    assert_int_equal(facts.plan.reading, RF_READ_GIVEN);
    drop_facts(&facts);
}

/* ---- the table of kinds ---- */

TEST(every_kind_knows_apply_and_fail_and_its_usual_policy) {
    for (int i = 0; i < RF_DRIFT_KINDS; i++) {
        const struct rf_drift_row *row = &rf_drift_rows[i];
        assert_true(row->name && row->meaning && row->done[RF_POLICY_APPLY] && row->done[RF_POLICY_FAIL] && row->done[row->usual]);
        assert_int_equal(rf_drift_kind_read(row->name), i);
        assert_int_equal(CASES[i].kind, i);
    }
    char *json = needed(rf_drift_json());
    assert_contains(json, "{\"kind\":\"type_widened\",");
    free(json);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_fails_names_column_old_new_and_the_setting_that_accepts_it),
        cmocka_unit_test(what_is_applied_is_told_and_altered_and_then_fits),
        cmocka_unit_test(without_a_word_of_the_job_the_usual_policy_of_a_kind_holds),
        cmocka_unit_test(a_dropped_column_that_is_ignored_stays_and_may_be_null),
        cmocka_unit_test(nothing_is_altered_where_nothing_changed),
        cmocka_unit_test(a_column_that_comes_into_the_target_is_read_whole_whatever_the_fingerprint_says),
        cmocka_unit_test(what_an_interrupted_run_altered_is_no_drift_any_more),
        cmocka_unit_test(a_column_of_another_number_is_not_renamed_but_dropped_and_added),
        cmocka_unit_test(numbers_of_columns_mean_nothing_in_another_table),
        cmocka_unit_test(a_name_in_quotes_is_read_whole),
        cmocka_unit_test(a_key_that_has_another_name_is_asked_for_under_the_one_of_before),
        cmocka_unit_test(a_column_that_is_left_out_leaves_the_fingerprint_and_the_keys_where_they_are),
        cmocka_unit_test(nothing_is_left_out_unasked_nor_what_has_another_name_nor_a_key),
        cmocka_unit_test(labels_follow_when_some_were_added_or_renamed_in_their_places),
        cmocka_unit_test(labels_are_renamed_one_by_one_before_the_rows_come),
        cmocka_unit_test(labels_of_a_type_that_is_only_written_out_are_renamed_while_they_are_texts),
        cmocka_unit_test(a_type_is_widened_by_the_listed_rules_alone),
        cmocka_unit_test(any_other_type_is_refused_and_the_setting_named_only_where_the_server_can_change_it),
        cmocka_unit_test(a_stream_adds_its_columns_too_and_nothing_is_read_for_them),
        cmocka_unit_test(every_kind_knows_apply_and_fail_and_its_usual_policy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
