/* What of the last load a run may build on: what each changed fact asks for. */
#include "core/ground.h"

#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

/* A change of the facts since the last load. */
typedef void change(struct facts *facts);

static void plan_after(struct facts *facts, change *apply) {
    make_facts(facts, "");
    apply(facts);
    assert_code(plan(facts), RF_OK, &facts->err);
}

/* ---- who and where the source is -------------------------------------------------------------------------- */

static void another_system(struct facts *facts) { facts->source.identity.system = "70002"; }
static void system_was_not_recorded(struct facts *facts) { facts->last.identity.system = NULL; }
static void another_timeline(struct facts *facts) { facts->source.identity.timeline = 2; }
static void another_database(struct facts *facts) { facts->source.identity.database = "shop2"; }
static void another_table(struct facts *facts) { facts->source.identity.table_oid = 16385; }
static void counter_fell_back(struct facts *facts) { facts->source.snapshot.xmin = 999; }
static void counter_ran_away(struct facts *facts) { facts->source.snapshot.xmax = 1000 + (UINT64_C(1) << 31); }
static void log_fell_back(struct facts *facts) { facts->last.lsn = "0/2001"; }
static void target_was_emptied(struct facts *facts) { facts->target.file = "20001/20002"; }
static void target_was_made_anew(struct facts *facts) { facts->target.file = "20002/20002"; }
static void target_has_no_file(struct facts *facts) { facts->target.file = NULL; }
static void no_fingerprint(struct facts *facts) { facts->last.fingerprint = NULL; }
static void empty_fingerprint(struct facts *facts) { facts->last.fingerprint = ""; }

TEST(broken_ground_is_read_whole_and_said) {
    static const struct { change *apply; const char *reason; } cases[] = {
        {another_system, "another server"},
        {system_was_not_recorded, "another server"},
        {another_timeline, "another timeline"},
        {another_database, "another database"},
        {another_table, "the source table was re-created"},
        {counter_fell_back, "transaction counter is behind"},
        {counter_ran_away, "more than 2^31 transactions"},
        {log_fell_back, "log is behind the last load"},
        {target_was_emptied, "the target table was re-created, emptied or rewritten"},
        {target_was_made_anew, "the target table was re-created, emptied or rewritten"},
        {target_has_no_file, "the target table was re-created, emptied or rewritten"},
        {no_fingerprint, "new since the last load: leaf"},
        {empty_fingerprint, "new since the last load: leaf"},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        plan_after(&facts, cases[i].apply);
        if (!facts.plan.full_read || !facts.plan.reconcile || !has_reason(&facts, cases[i].reason))
            fail_msg("case %zu is not read whole for \"%s\"", i, cases[i].reason);
        assert_true(facts.plan.close_absent);
        assert_false(facts.plan.sweep);
        assert_string_equal(facts.plan.completeness, "proven");
        assert_string_equal(facts.plan.hard_deletes, "captured");
        drop_facts(&facts);
    }
}

static void counter_nearly_ran_away(struct facts *facts) { facts->source.snapshot.xmax = 999 + (UINT64_C(1) << 31); }
static void counter_stood_still(struct facts *facts) { facts->source.snapshot.xmin = 1000; }
static void log_stood_still(struct facts *facts) { facts->last.lsn = "0/2000"; }
static void target_file_was_not_recorded(struct facts *facts) { facts->last.target_file = NULL; }
static void log_was_not_recorded(struct facts *facts) { facts->last.lsn = NULL; }

TEST(ground_at_the_edge_still_holds) {
    change *const edges[] = {counter_nearly_ran_away, counter_stood_still, log_stood_still, target_file_was_not_recorded, log_was_not_recorded};
    for (size_t i = 0; i < N_OF(edges); i++) {
        struct facts facts;
        plan_after(&facts, edges[i]);
        if (facts.plan.full_read) fail_msg("edge %zu is read whole", i);
        drop_facts(&facts);
    }
}

TEST(the_counter_is_compared_with_the_newest_load_and_not_with_the_last_comparison_of_versions) {
    struct facts facts;
    make_facts(&facts, "");
    with_cursor(&facts); /* the newest at 1100, the comparison at 1000 */
    facts.source.snapshot.xmin = 1099;
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_true(facts.plan.full_read);
    facts.source.snapshot.xmin = 1100;
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_false(facts.plan.full_read);
    drop_facts(&facts);
}

TEST(every_broken_ground_is_said_and_not_the_first_alone) {
    struct facts facts;
    make_facts(&facts, "");
    another_system(&facts);
    target_was_emptied(&facts);
    facts.source.fingerprint = FINGERPRINT "filter paid\n";
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_true(has_reason(&facts, "another server") && has_reason(&facts, "emptied") && has_reason(&facts, "filter paid"));
    drop_facts(&facts);
}

/* ---- lines of the fingerprint ------------------------------------------------------------------------------- */

enum { NOTHING = 0, ALL = 1, SWEEP = 2, LEAF = 4, TRIGGERS = 8 };

struct line_case {
    const char *before, *now;
    int asks; /* NOTHING, or what of the others */
    const char *reason;
};

static int asked(const struct rf_plan *made) {
    return (made->reconcile ? ALL : 0) | (made->sweep ? SWEEP : 0) | (made->n_new_leaves > 0 ? LEAF : 0) | (made->triggers_changed ? TRIGGERS : 0);
}

static void judge(const struct line_case *line) {
    struct facts facts;
    make_facts(&facts, "");
    facts.last.fingerprint = line->before;
    facts.source.fingerprint = line->now;
    assert_code(plan(&facts), RF_OK, &facts.err);
    bool said = line->reason ? has_reason(&facts, line->reason) : !has_reason(&facts, "since the last load");
    if (asked(&facts.plan) != line->asks || !said)
        fail_msg("asks for %d, \"%s\"; from\n%sto\n%s", asked(&facts.plan), facts.plan.n_reasons ? facts.plan.reasons[0] : "", line->before, line->now);
    assert_int_equal(facts.plan.full_read, line->asks == ALL);
    drop_facts(&facts);
}

static void judge_all(const struct line_case *lines, size_t n) {
    for (size_t i = 0; i < n; i++) judge(&lines[i]);
}

#define BUT_LEAF DATABASE_LINE COLUMN_LINES POLICY_LINE
#define OTHER_LEAF "leaf 16390 5003 heap orders_2027\n"

TEST(a_leaf_whose_file_changed_asks_for_a_sweep) {
    static const struct line_case lines[] = {
        {FINGERPRINT, BUT_LEAF "leaf 16384 5002 heap orders\n", SWEEP, "rewritten or emptied since the last load: leaf 16384 5002 heap orders"},
        {FINGERPRINT, BUT_LEAF "leaf 16384 50010 heap orders\n", SWEEP, "rewritten or emptied"},
        {FINGERPRINT, BUT_LEAF "leaf 16384 5001 columnar orders\n", SWEEP, "rewritten or emptied"},
        {FINGERPRINT, BUT_LEAF "leaf 16384 5002 heap orders_old\n", SWEEP, "rewritten or emptied"},
    };
    judge_all(lines, N_OF(lines));
}

TEST(a_leaf_that_was_attached_is_read_whole_and_nothing_else) {
    static const struct line_case lines[] = {
        {FINGERPRINT, FINGERPRINT OTHER_LEAF, LEAF, "attached since the last load: leaf 16390 5003 heap orders_2027"},
        {FINGERPRINT, FINGERPRINT "leaf 1638 5001 heap orders\n", LEAF, "attached"},   /* not the 16384 that is there */
        {FINGERPRINT, FINGERPRINT "leaf 163840 5001 heap orders\n", LEAF, "attached"}, /* nor longer than it */
    };
    judge_all(lines, N_OF(lines));
}

TEST(a_leaf_that_was_detached_asks_for_a_sweep) {
    static const struct line_case lines[] = {{FINGERPRINT OTHER_LEAF, FINGERPRINT, SWEEP, "detached since the last load: leaf 16390 5003 heap orders_2027"}};
    judge_all(lines, N_OF(lines));
}

TEST(a_leaf_that_took_the_place_of_another_is_both_attached_and_detached) {
    static const struct line_case lines[] = {{FINGERPRINT, BUT_LEAF OTHER_LEAF, SWEEP | LEAF, "detached since the last load: leaf 16384"}};
    judge_all(lines, N_OF(lines));
}

TEST(a_leaf_under_another_name_is_the_same) {
    static const struct line_case lines[] = {
        {FINGERPRINT, BUT_LEAF "leaf 16384 5001 heap orders_old\n", NOTHING, NULL},
        {FINGERPRINT, BUT_LEAF "leaf 16384 5001 heap \"odd  name\"\n", NOTHING, NULL},
    };
    judge_all(lines, N_OF(lines));
}

TEST(each_attached_leaf_is_named_by_its_oid) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source.fingerprint = "leaf 16391 1 heap a\n" FINGERPRINT "leaf 4294967295 2 heap b\n";
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_new_leaves, 2);
    assert_string_equal(facts.plan.new_leaves[0], "16391");
    assert_string_equal(facts.plan.new_leaves[1], "4294967295");
    drop_facts(&facts);
}

TEST(more_attached_leaves_than_reasons_are_all_read) {
    char lines[8192] = FINGERPRINT;
    size_t used = strlen(lines);
    for (int i = 0; i < 100; i++) used += (size_t)snprintf(lines + used, sizeof lines - used, "leaf %d 1 heap x\n", 20000 + i);
    struct facts facts;
    make_facts(&facts, "");
    facts.source.fingerprint = lines;
    assert_code(plan(&facts), RF_OK, &facts.err);
    assert_int_equal(facts.plan.n_new_leaves, 100);
    assert_string_equal(facts.plan.new_leaves[99], "20099");
    assert_false(facts.plan.full_read);
    drop_facts(&facts);
}

TEST(a_new_column_or_one_of_another_type_is_read_whole) {
    static const struct line_case lines[] = {
        {FINGERPRINT, FINGERPRINT "column 4 color text collation 100\n", ALL, "new since the last load: column 4 color"},
        {FINGERPRINT, DATABASE_LINE LEAF_LINE "column 1 id bigint collation 0\ncolumn 2 amount numeric(14,4) collation 0\n" NOTE_LINE POLICY_LINE, ALL, "column 2 amount numeric(14,4)"},
        {FINGERPRINT, DATABASE_LINE LEAF_LINE "column 1 id bigint collation 0\ncolumn 4 amount numeric(12,4) collation 0\n" NOTE_LINE POLICY_LINE, ALL, "column 4 amount"},
        {FINGERPRINT, FINGERPRINT "column 4 twice bigint collation 0 generated '(id * 2)'\n", ALL, "generated"},
        {FINGERPRINT "column 4 twice bigint collation 0 generated '(id * 2)'\n", FINGERPRINT "column 4 twice bigint collation 0\n", ALL, "new since the last load: column 4 twice"},
    };
    judge_all(lines, N_OF(lines));
}

TEST(a_column_that_was_dropped_asks_for_nothing) {
    static const struct line_case lines[] = {{FINGERPRINT "column 4 color text collation 100\n", FINGERPRINT, NOTHING, NULL}};
    judge_all(lines, N_OF(lines));
}

TEST(labels_that_are_new_or_changed_are_read_whole_and_those_that_are_gone_ask_for_nothing) {
    static const struct line_case lines[] = {
        {FINGERPRINT, FINGERPRINT "labels of mood: 5 'sad'\n", ALL, "new since the last load: labels of mood: 5 'sad'"},
        {FINGERPRINT "labels of mood: 5 'sad'\n", FINGERPRINT "labels of mood: 5 'blue'\n", ALL, "labels of mood: 5 'blue'"},
        {FINGERPRINT "labels of mood: 5 'sad'\n", FINGERPRINT "labels of mood: 5 'sad', 6 'glad'\n", ALL, "6 'glad'"},
        {FINGERPRINT "labels of mood: 5 'sad'\n", FINGERPRINT, NOTHING, NULL},
    };
    judge_all(lines, N_OF(lines));
}

TEST(a_filter_or_policy_that_is_new_changed_or_gone_is_read_whole) {
    static const struct line_case lines[] = {
        {FINGERPRINT, FINGERPRINT "filter paid\n", ALL, "new since the last load: filter paid"},
        {FINGERPRINT "filter paid\n", FINGERPRINT "filter not paid\n", ALL, "new since the last load: filter not paid"},
        {FINGERPRINT "filter paid\n", FINGERPRINT, ALL, "gone since the last load: filter paid"},
        {FINGERPRINT, DATABASE_LINE LEAF_LINE COLUMN_LINES "row security mine r t {0} (id > 1)\n", ALL, "row security mine"},
        {DATABASE_LINE LEAF_LINE COLUMN_LINES "row security mine r t {0} (id > 1)\n", FINGERPRINT, ALL, "gone since the last load: row security mine"},
    };
    judge_all(lines, N_OF(lines));
}

TEST(a_database_under_another_oid_is_read_whole) {
    static const struct line_case lines[] = {
        {FINGERPRINT, "database 6\n" LEAF_LINE COLUMN_LINES POLICY_LINE, ALL, "new since the last load: database 6"},
        {LEAF_LINE COLUMN_LINES POLICY_LINE, FINGERPRINT, ALL, "new since the last load: database 5"},
        {FINGERPRINT, LEAF_LINE COLUMN_LINES POLICY_LINE, ALL, "gone since the last load: database 5"},
    };
    judge_all(lines, N_OF(lines));
}

TEST(triggers_that_are_new_or_touched_are_told_and_those_of_a_new_leaf_or_gone_are_not) {
    static const struct line_case lines[] = {
        {FINGERPRINT, FINGERPRINT "triggers 16384 aa\n", TRIGGERS, NULL},
        {FINGERPRINT "triggers 16384 aa\n", FINGERPRINT "triggers 16384 ab\n", TRIGGERS, NULL},
        {FINGERPRINT "triggers 16384 aa\n", FINGERPRINT "triggers 16384 aa\n", NOTHING, NULL},
        {FINGERPRINT "triggers 16384 aa\n", FINGERPRINT, NOTHING, NULL},
        {FINGERPRINT, FINGERPRINT OTHER_LEAF "triggers 16390 aa\n", LEAF, "attached"},
    };
    judge_all(lines, N_OF(lines));
}

TEST(a_line_is_compared_to_its_end) {
    static const struct line_case lines[] = {
        {FINGERPRINT "kind one\n", FINGERPRINT "kind one more\n", ALL, "new since the last load: kind one more"},
        {FINGERPRINT "kind one more\n", FINGERPRINT "kind one\n", ALL, "gone since the last load: kind one more"},
        {FINGERPRINT "kind one", FINGERPRINT "kind one\n", NOTHING, NULL}, /* the last need not be ended */
    };
    judge_all(lines, N_OF(lines));
}

TEST(the_order_of_lines_means_nothing) {
    static const struct line_case lines[] = {{FINGERPRINT, POLICY_LINE COLUMN_LINES LEAF_LINE DATABASE_LINE, NOTHING, NULL}};
    judge_all(lines, N_OF(lines));
}

/* ---- standbys ---------------------------------------------------------------------------------------------------- */

/* make_facts leaves the source at 0/2000, the start of a page. */
TEST(a_standby_at_the_start_of_a_page_has_all_that_stands_before_that_page) {
    static const struct { const char *lsn; bool behind; } positions[] = {
        {"0/2018", false}, {"0/2028", false}, {"0/2001", true}, {"0/2017", true}, {"0/2020", true}, {"0/2030", true}, {"0/4018", true}, {"0/4028", true}};
    struct facts facts;
    make_facts(&facts, "");
    facts.source.snapshot.in_recovery = true;
    for (size_t i = 0; i < N_OF(positions); i++) {
        facts.last.lsn = positions[i].lsn;
        assert_int_equal(rf_source_is_behind(&facts.source, &facts.last), positions[i].behind);
    }
    drop_facts(&facts);
}

TEST(a_standby_behind_the_last_load_of_its_own_history_is_recognised) {
    struct facts facts;
    make_facts(&facts, "");
    facts.source.snapshot.in_recovery = true;
    assert_false(rf_source_is_behind(&facts.source, &facts.last));
    facts.last.lsn = "0/2000";
    assert_false(rf_source_is_behind(&facts.source, &facts.last));
    facts.last.lsn = "0/2001";
    assert_true(rf_source_is_behind(&facts.source, &facts.last));
    facts.source.snapshot.in_recovery = false; /* a primary that was put back never catches up */
    assert_false(rf_source_is_behind(&facts.source, &facts.last));
    facts.source.snapshot.in_recovery = true;
    facts.last.identity.timeline = facts.source.identity.timeline + 1; /* it has not replayed the promotion yet */
    assert_true(rf_source_is_behind(&facts.source, &facts.last));
    facts.source.identity.timeline = facts.last.identity.timeline + 1; /* another history: everything is read */
    assert_false(rf_source_is_behind(&facts.source, &facts.last));
    facts.last = (struct rf_load){0};
    assert_false(rf_source_is_behind(&facts.source, &facts.last));
    drop_facts(&facts);
}

static void standby_known_before_the_last_load(struct facts *facts) {
    facts->source.snapshot.in_recovery = true;
    facts->last.lsn = "0/1000";
    facts->source.identity.timeline_bytes = 0xfff;
}

static void standby_known_at_the_last_load(struct facts *facts) {
    standby_known_before_the_last_load(facts);
    facts->source.identity.timeline_bytes = 0x1000;
}

TEST(a_standby_that_may_have_followed_a_failover_since_the_last_load_proves_nothing) {
    struct facts facts;
    plan_after(&facts, standby_known_before_the_last_load);
    assert_string_equal(facts.plan.completeness, "best_effort");
    assert_true(has_reason(&facts, "failover") && !facts.plan.reconcile);
    drop_facts(&facts);
    plan_after(&facts, standby_known_at_the_last_load);
    assert_string_equal(facts.plan.completeness, "proven");
    drop_facts(&facts);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_ground_is_read_whole_and_said),
        cmocka_unit_test(ground_at_the_edge_still_holds),
        cmocka_unit_test(the_counter_is_compared_with_the_newest_load_and_not_with_the_last_comparison_of_versions),
        cmocka_unit_test(every_broken_ground_is_said_and_not_the_first_alone),
        cmocka_unit_test(a_leaf_whose_file_changed_asks_for_a_sweep),
        cmocka_unit_test(a_leaf_that_was_attached_is_read_whole_and_nothing_else),
        cmocka_unit_test(a_leaf_that_was_detached_asks_for_a_sweep),
        cmocka_unit_test(a_leaf_that_took_the_place_of_another_is_both_attached_and_detached),
        cmocka_unit_test(a_leaf_under_another_name_is_the_same),
        cmocka_unit_test(each_attached_leaf_is_named_by_its_oid),
        cmocka_unit_test(more_attached_leaves_than_reasons_are_all_read),
        cmocka_unit_test(a_new_column_or_one_of_another_type_is_read_whole),
        cmocka_unit_test(a_column_that_was_dropped_asks_for_nothing),
        cmocka_unit_test(labels_that_are_new_or_changed_are_read_whole_and_those_that_are_gone_ask_for_nothing),
        cmocka_unit_test(a_filter_or_policy_that_is_new_changed_or_gone_is_read_whole),
        cmocka_unit_test(a_database_under_another_oid_is_read_whole),
        cmocka_unit_test(triggers_that_are_new_or_touched_are_told_and_those_of_a_new_leaf_or_gone_are_not),
        cmocka_unit_test(a_line_is_compared_to_its_end),
        cmocka_unit_test(the_order_of_lines_means_nothing),
        cmocka_unit_test(a_standby_at_the_start_of_a_page_has_all_that_stands_before_that_page),
        cmocka_unit_test(a_standby_behind_the_last_load_of_its_own_history_is_recognised),
        cmocka_unit_test(a_standby_that_may_have_followed_a_failover_since_the_last_load_proves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
