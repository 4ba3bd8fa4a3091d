/* How a run finds changed rows, what that proves, and from where the next run goes on. */
#include "core/capture.h"

#include "core/timestamp.h"
#include "facts.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

/* A change of the facts. */
typedef void change(struct facts *facts);

static void replan(struct facts *facts) {
    assert_code(plan(facts), RF_OK, &facts->err);
}

/* A table captured by cursor, then changed by `apply`. */
static void plan_cursor(struct facts *facts, const char *more, change *apply) {
    make_facts(facts, more);
    with_cursor(facts);
    if (apply) apply(facts);
    replan(facts);
}

#define BY_CURSOR ",\"capture\":\"cursor\""

static void reads_by(const struct facts *facts, enum rf_reading reading, const char *capture) {
    assert_int_equal(facts->plan.reading, reading);
    assert_string_equal(facts->plan.capture, capture);
    assert_int_equal(facts->plan.full_read, reading == RF_READ_ALL);
}

static void is_time(const char *text, const char *time) {
    char expected[64];
    snprintf(expected, sizeof expected, "2026-11-22T%s+00:00", time);
    assert_non_null(text);
    assert_string_equal(text, expected);
}

/* ---- the rows of a stream ------------------------------------------------------------------------------------ */

TEST(the_rows_of_a_stream_prove_little_and_leave_nothing_to_go_on_from) {
    struct facts facts;
    make_facts(&facts, "");
    with_stream(&facts);
    replan(&facts);
    reads_by(&facts, RF_READ_GIVEN, "given");
    assert_string_equal(facts.plan.completeness, "best_effort");
    assert_string_equal(facts.plan.hard_deletes, "not_captured");
    assert_true(has_reason(&facts, "what it left out"));
    assert_true(has_reason(&facts, "the next run that reads the table itself reads everything"));
    assert_false(facts.plan.straight || facts.plan.close_absent || facts.plan.mark_gone || facts.plan.sweep || facts.plan.audit);
    const struct rf_next nothing = {0};
    assert_memory_equal(&facts.plan.next, &nothing, sizeof nothing);
    drop_facts(&facts);
}

static void masked_key(const char *before, const char *now, enum rf_mode mode, enum rf_code expected) {
    struct facts facts;
    make_facts(&facts, "");
    with_stream(&facts);
    facts.job.mode = mode;
    facts.last.fingerprint = before;
    facts.source.fingerprint = now;
    enum rf_code code = plan(&facts);
    if (code == RF_CONFIG) assert_non_null(strstr(facts.err.message, "\"id\""));
    drop_facts(&facts);
    assert_code(code, expected, &facts.err);
}

TEST(a_key_of_a_stream_stays_hidden_as_it_was) {
    static const char hashed[] = "mask \"a\" redact\nmask \"id\" hash key 0123456789ab\n", by_another[] = "mask \"id\" hash key ab0123456789\n";
    masked_key(NULL, "", RF_MODE_MERGE, RF_OK);
    masked_key(hashed, hashed, RF_MODE_MERGE, RF_OK);
    masked_key(hashed, "mask \"id\" hash key 0123456789ab\nmask \"a\" hash key 0123456789ab\n", RF_MODE_MERGE, RF_OK);
    masked_key(hashed, by_another, RF_MODE_MERGE, RF_CONFIG);
    masked_key(hashed, "", RF_MODE_MERGE, RF_CONFIG);
    masked_key("", hashed, RF_MODE_MERGE, RF_CONFIG);
    masked_key(hashed, by_another, RF_MODE_REPLACE, RF_OK);
}

TEST(a_table_that_a_stream_was_loaded_into_is_read_whole) {
    struct facts facts;
    make_facts(&facts, "");
    facts.last = (struct rf_load){.load_id = 7, .source_table = "public.orders", .extracted_at = "2026-11-22T17:00:00.000000+00:00", .target_file = "20001/20001"};
    replan(&facts);
    reads_by(&facts, RF_READ_ALL, "xmin");
    assert_true(facts.plan.reconcile && facts.plan.close_absent);
    drop_facts(&facts);
}

/* ---- what auto takes ---------------------------------------------------------------------------------------- */

/* A first load of a table that auto may capture by cursor. */
static void make_large(struct facts *facts, const char *more) {
    make_facts(facts, more);
    with_cursor(facts);
    never_loaded(facts);
    facts->source.bytes = 10737418241;
}

static void chooses(struct facts *facts, enum rf_capture capture, const char *reason) {
    replan(facts);
    assert_int_equal(facts->plan.chosen, capture);
    assert_contains(facts->plan.capture_reason, reason);
    drop_facts(facts);
}

TEST(auto_takes_the_cursor_for_a_table_beyond_the_limit_alone) {
    struct facts facts;
    make_large(&facts, "");
    chooses(&facts, RF_CAPTURE_CURSOR, "larger than xmin_max_bytes, and an index");
    make_large(&facts, "");
    facts.source.bytes = 10737418240;
    chooses(&facts, RF_CAPTURE_XMIN, "row versions prove every change");
    make_large(&facts, ",\"xmin_max_bytes\":10737418241");
    chooses(&facts, RF_CAPTURE_XMIN, "row versions prove every change");
    make_large(&facts, ",\"xmin_max_bytes\":0");
    facts.source.bytes = 0;
    chooses(&facts, RF_CAPTURE_XMIN, "row versions prove every change");
}

TEST(auto_takes_no_cursor_of_which_a_column_has_no_index) {
    for (int i = 0; i < 2; i++) {
        struct facts facts;
        make_large(&facts, "");
        facts.cursor[i].indexed = false;
        chooses(&facts, RF_CAPTURE_XMIN, "without an index");
    }
    struct facts facts;
    make_large(&facts, "");
    facts.source.n_cursor = 0;
    chooses(&facts, RF_CAPTURE_XMIN, "without an index");
}

static void no_clock(struct facts *facts) { facts->cursor[0].set_by_clock = facts->cursor[1].set_by_clock = false; }
static void no_zone(struct facts *facts) { facts->cursor[0].base = facts->cursor[1].base = "timestamp"; }
static void is_standby(struct facts *facts) { facts->source.snapshot.in_recovery = true; }
static void is_blind(struct facts *facts) { facts->source.open.sees_all = false; }
static void was_doubted(struct facts *facts) { facts->last.doubted = true; }
static void has_missed(struct facts *facts) { facts->last.missed = 1; }
static void is_ignoring(struct facts *facts) { facts->job.open_transactions = RF_OPEN_IGNORE; }

TEST(auto_takes_no_cursor_that_would_only_be_best_effort) {
    change *const doubts[] = {no_clock, no_zone, is_standby, is_blind, is_ignoring};
    for (size_t i = 0; i < N_OF(doubts); i++) {
        struct facts facts;
        make_large(&facts, "");
        doubts[i](&facts);
        chooses(&facts, RF_CAPTURE_XMIN, "only be best_effort");
    }
}

TEST(auto_keeps_what_it_took_however_the_table_grows_or_shrinks) {
    struct facts facts;
    make_facts(&facts, "");
    with_cursor(&facts);
    facts.last.chosen = "xmin";
    facts.source.bytes = INT64_MAX;
    chooses(&facts, RF_CAPTURE_XMIN, "kept");
    make_facts(&facts, "");
    with_cursor(&facts);
    facts.source.bytes = 0;
    no_clock(&facts);
    facts.cursor[0].indexed = false;
    chooses(&facts, RF_CAPTURE_CURSOR, "kept");
}

TEST(auto_compares_row_versions_while_the_cursor_it_kept_would_only_be_best_effort) {
    change *const doubts[] = {no_clock, no_zone, is_standby, is_blind, is_ignoring, was_doubted, has_missed};
    for (size_t i = 0; i < N_OF(doubts); i++) {
        struct facts facts;
        plan_cursor(&facts, "", doubts[i]);
        reads_by(&facts, RF_READ_VERSIONS, "xmin");
        assert_string_equal(facts.plan.next.chosen, "cursor");
        assert_string_equal(facts.plan.completeness, "proven");
        drop_facts(&facts);
    }
    struct facts facts;
    plan_cursor(&facts, "", NULL);
    reads_by(&facts, RF_READ_CURSOR, "cursor");
    drop_facts(&facts);
}

TEST(auto_chooses_anew_where_nothing_was_kept) {
    static const char *const chosen[] = {NULL, "full", ""};
    for (size_t i = 0; i < N_OF(chosen); i++) {
        struct facts facts;
        make_facts(&facts, "");
        with_cursor(&facts);
        facts.last.chosen = chosen[i];
        chooses(&facts, RF_CAPTURE_XMIN, "row versions prove every change");
    }
}

TEST(auto_leaves_a_cursor_whose_columns_are_gone) {
    struct facts facts;
    make_facts(&facts, "");
    with_cursor(&facts);
    facts.source.n_cursor = 0;
    replan(&facts);
    reads_by(&facts, RF_READ_VERSIONS, "xmin");
    assert_string_equal(facts.plan.next.chosen, "xmin");
    assert_null(facts.plan.next.watermark);
    drop_facts(&facts);
}

TEST(a_cursor_that_the_table_has_not_is_refused_and_a_way_named) {
    static const char *const jobs[] = {BY_CURSOR, ",\"since\":\"2026-11-01\"", BY_CURSOR ",\"until\":\"2026-11-01\""};
    for (size_t i = 0; i < N_OF(jobs); i++) {
        struct facts facts;
        make_facts(&facts, jobs[i]);
        assert_code(plan(&facts), RF_CONFIG, &facts.err);
        assert_contains(facts.err.message, "public.orders has no cursor column");
        assert_contains(facts.err.hint, "\"cursor_columns\"");
        drop_facts(&facts);
    }
}

TEST(only_a_run_that_may_use_the_cursor_asks_for_its_facts) {
    static const struct { const char *job, *chosen; bool asks; } cases[] = {
        {"", NULL, true}, {"", "xmin", false}, {"", "cursor", true}, {"", "full", true}, {BY_CURSOR, "xmin", true}, {",\"capture\":\"xmin\"", NULL, false},
        {",\"capture\":\"full\"", NULL, false}, {",\"since\":\"2026-11-01\"", "xmin", true}, {",\"until\":\"2026-11-01\"", "xmin", true}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        make_facts(&facts, cases[i].job);
        facts.last.chosen = cases[i].chosen;
        if (rf_may_use_cursor(&facts.job, &facts.last) != cases[i].asks) fail_msg("case %zu", i);
        drop_facts(&facts);
    }
}

/* ---- what a cursor proves -------------------------------------------------------------------------------------- */

TEST(a_cursor_in_no_doubt_is_bounded_by_its_margin) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, NULL);
    reads_by(&facts, RF_READ_CURSOR, "cursor");
    assert_string_equal(facts.plan.completeness, "bounded");
    assert_string_equal(facts.plan.hard_deletes, "not_captured");
    assert_true(has_reason(&facts, "bounded by 60 s"));
    assert_true(has_reason(&facts, "do not show hard deletes"));
    assert_false(facts.plan.next.doubted);
    drop_facts(&facts);
    plan_cursor(&facts, BY_CURSOR ",\"clock_margin\":2.5", NULL);
    assert_true(has_reason(&facts, "bounded by 2.5 s"));
    drop_facts(&facts);
}

TEST(each_doubt_makes_a_cursor_best_effort_and_is_said) {
    static const struct { change *apply; const char *reason; } doubts[] = {
        {no_clock, "no cursor column with a time zone is known to be set"},
        {no_zone, "no cursor column with a time zone is known to be set"},
        {is_standby, "the source is a standby"},
        {is_ignoring, "open_transactions is ignore"},
        {is_blind, "the role lacks pg_read_all_stats"},
        {was_doubted, "an earlier load left to the cursor what it could not bound"},
        {has_missed, "audits found rows that the cursor had missed"},
    };
    for (size_t i = 0; i < N_OF(doubts); i++) {
        struct facts facts;
        plan_cursor(&facts, BY_CURSOR, doubts[i].apply);
        assert_string_equal(facts.plan.capture, "cursor");
        if (strcmp(facts.plan.completeness, "best_effort") != 0 || !has_reason(&facts, doubts[i].reason)) fail_msg("no \"%s\"", doubts[i].reason);
        assert_false(has_reason(&facts, "bounded by"));
        assert_true(facts.plan.next.doubted);
        drop_facts(&facts);
    }
}

static void has_every_doubt(struct facts *facts) {
    no_clock(facts);
    is_standby(facts);
    is_blind(facts);
    has_missed(facts);
    was_doubted(facts);
    facts->source.row_security = true;
}

TEST(all_doubts_are_said_together) {
    static const char *const reasons[] = {"row triggers", "standby", "pg_read_all_stats", "audits found", "row security hides", "the filter is judged", "hard deletes"};
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR ",\"where\":\"paid\"", has_every_doubt);
    for (size_t i = 0; i < N_OF(reasons); i++)
        if (!has_reason(&facts, reasons[i])) fail_msg("no \"%s\"", reasons[i]);
    drop_facts(&facts);
}

TEST(a_blind_role_is_no_doubt_where_open_transactions_are_not_asked_for) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR ",\"open_transactions\":\"ignore\"", is_blind);
    assert_false(has_reason(&facts, "pg_read_all_stats"));
    drop_facts(&facts);
}

static void one_has_clock(struct facts *facts) { facts->cursor[0].set_by_clock = false; }
static void clock_is_on_the_one_without_zone(struct facts *facts) {
    facts->cursor[0].set_by_clock = false;
    facts->cursor[1].base = "timestamp";
}

TEST(one_column_from_the_clock_is_enough_if_it_has_a_zone) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, one_has_clock);
    assert_string_equal(facts.plan.completeness, "bounded");
    drop_facts(&facts);
    plan_cursor(&facts, BY_CURSOR, clock_is_on_the_one_without_zone);
    assert_string_equal(facts.plan.completeness, "best_effort");
    drop_facts(&facts);
}

TEST(a_run_by_row_versions_proves_everything_whatever_the_cursor_is_worth) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR ",\"audit\":\"always\"", no_clock);
    assert_string_equal(facts.plan.completeness, "proven");
    drop_facts(&facts);
}

/* The watermark that it leaves is another matter. */
TEST(a_watermark_that_was_set_blindly_is_in_doubt_for_the_next_run_too) {
    change *const doubts[] = {no_clock, is_standby, is_ignoring, is_blind};
    for (size_t i = 0; i < N_OF(doubts); i++) {
        struct facts facts;
        plan_cursor(&facts, BY_CURSOR ",\"audit\":\"always\"", doubts[i]);
        assert_true(facts.plan.next.doubted);
        drop_facts(&facts);
    }
}

TEST(comparing_row_versions_ends_the_doubts_of_earlier_loads) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR ",\"audit\":\"always\"", was_doubted);
    assert_false(facts.plan.next.doubted);
    drop_facts(&facts);
    plan_cursor(&facts, BY_CURSOR, was_doubted);
    assert_true(facts.plan.next.doubted);
    drop_facts(&facts);
}

static void rows_are_hidden(struct facts *facts) { facts->source.row_security = true; }

TEST(row_security_lowers_a_bounded_run) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, rows_are_hidden);
    assert_string_equal(facts.plan.completeness, "best_effort");
    drop_facts(&facts);
}

/* ---- the watermark ----------------------------------------------------------------------------------------------- */

static void leaves_watermark(const char *more, change *apply, const char *time) {
    struct facts facts;
    plan_cursor(&facts, more, apply);
    if (time) is_time(facts.plan.next.watermark, time);
    else assert_null(facts.plan.next.watermark);
    drop_facts(&facts);
}

static void one_is_open(struct facts *facts) { facts->source.open.oldest_us = at("17:50:00.000001"); }
static void one_began_after_the_listing(struct facts *facts) { facts->source.open.oldest_us = at("18:00:01.000000"); }
static void one_is_unknown(struct facts *facts) { facts->source.open.has_unknown = true; }
static void is_unknown_and_blind(struct facts *facts) { one_is_unknown(facts); is_blind(facts); one_is_open(facts); }
static void replay_is_behind(struct facts *facts) { facts->source.open.replayed_us = at("17:40:00.000000"); }
static void replay_is_behind_less_than_a_transaction(struct facts *facts) { replay_is_behind(facts); facts->source.open.oldest_us = at("17:39:00.000000"); }
static void nothing_was_ever_replayed(struct facts *facts) { facts->source.open.replayed_us = 0; }
static void whole_seconds(struct facts *facts) { facts->cursor[1].resolution_us = 1000000; }
static void whole_days(struct facts *facts) { facts->cursor[0].resolution_us = INT64_C(86400000000); }
static void nothing_was_listed(struct facts *facts) { facts->source.open = (struct rf_open_transactions_facts){0}; }
static void other_columns(struct facts *facts) { facts->last.cursor = "\"created_at\""; }
static void unknown_and_other_columns(struct facts *facts) { one_is_unknown(facts); other_columns(facts); }

TEST(the_watermark_stays_behind_the_listing_by_the_margin) {
    leaves_watermark(BY_CURSOR, NULL, "17:59:00.000000");
    leaves_watermark(BY_CURSOR ",\"clock_margin\":0", NULL, "17:59:59.999999"); /* a column's own resolution is the least */
    leaves_watermark(BY_CURSOR ",\"clock_margin\":0.5", NULL, "17:59:59.500000");
}

TEST(the_oldest_open_transaction_holds_the_watermark_back) {
    leaves_watermark(BY_CURSOR, one_is_open, "17:49:00.000001");
    leaves_watermark(BY_CURSOR, one_began_after_the_listing, "17:59:00.000000");
}

TEST(open_transactions_that_are_to_be_ignored_hold_nothing_back) {
    leaves_watermark(BY_CURSOR ",\"open_transactions\":\"ignore\"", one_is_open, "17:59:00.000000");
    leaves_watermark(BY_CURSOR ",\"open_transactions\":\"ignore\"", one_is_unknown, "17:59:00.000000");
}

TEST(a_transaction_open_since_an_unknown_time_keeps_the_watermark_where_it_is) {
    leaves_watermark(BY_CURSOR ",\"max_hold\":3600", one_is_unknown, "17:00:00.000000");
    leaves_watermark(BY_CURSOR, unknown_and_other_columns, NULL);
}

TEST(what_a_blind_role_cannot_see_holds_nothing_back_but_what_it_sees_does) {
    leaves_watermark(BY_CURSOR, is_unknown_and_blind, "17:49:00.000001");
}

TEST(on_a_standby_the_watermark_stays_behind_what_was_replayed) {
    leaves_watermark(BY_CURSOR, replay_is_behind, "17:39:00.000000");
    leaves_watermark(BY_CURSOR, replay_is_behind_less_than_a_transaction, "17:38:00.000000");
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, nothing_was_ever_replayed);
    assert_string_equal(facts.plan.next.watermark, "1969-12-31T23:59:00.000000+00:00");
    drop_facts(&facts);
}

TEST(the_margin_is_at_least_what_the_coarsest_column_rounds_to) {
    leaves_watermark(BY_CURSOR ",\"clock_margin\":0", whole_seconds, "17:59:59.000000");
    leaves_watermark(BY_CURSOR, whole_seconds, "17:59:00.000000");
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, whole_days);
    assert_string_equal(facts.plan.next.watermark, "2026-11-21T18:00:00.000000+00:00");
    assert_true(has_reason(&facts, "bounded by 86400 s"));
    drop_facts(&facts);
}

TEST(there_is_no_watermark_without_a_listing_or_a_column) {
    struct facts facts;
    make_facts(&facts, "");
    replan(&facts);
    assert_null(facts.plan.next.watermark);
    assert_null(facts.plan.next.cursor);
    drop_facts(&facts);
    make_facts(&facts, ",\"capture\":\"xmin\"");
    with_cursor(&facts);
    nothing_was_listed(&facts);
    replan(&facts);
    assert_null(facts.plan.next.watermark);
    drop_facts(&facts);
}

TEST(a_watermark_is_recorded_with_the_columns_it_is_of) {
    struct facts facts;
    make_facts(&facts, BY_CURSOR);
    with_cursor(&facts);
    facts.cursor[1].name = "odd \"one\", two";
    replan(&facts);
    assert_string_equal(facts.plan.next.cursor, "\"created_at\",\"odd \"\"one\"\", two\"");
    drop_facts(&facts);
}

/* ---- what a run by cursor reads ------------------------------------------------------------------------------------- */

TEST(a_run_by_cursor_reads_from_the_last_watermark_less_the_lookback) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, NULL);
    is_time(facts.plan.from, "17:00:00.000000");
    assert_null(facts.plan.until);
    assert_int_equal(facts.plan.as_of, 1100);
    drop_facts(&facts);
    plan_cursor(&facts, BY_CURSOR ",\"lookback\":90.5", NULL);
    is_time(facts.plan.from, "16:58:29.500000");
    is_time(facts.plan.next.watermark, "17:59:00.000000");
    drop_facts(&facts);
}

static void no_watermark(struct facts *facts) { facts->last.watermark = NULL; }
static void no_columns_recorded(struct facts *facts) { facts->last.cursor = NULL; }
static void strange_watermark(struct facts *facts) { facts->last.watermark = "infinity"; }
static void clock_fell_back(struct facts *facts) { facts->source.open.listed_us = facts->source.open.oldest_us = at("16:59:59.999999"); }
static void held_too_long(struct facts *facts) { facts->source.open.oldest_us = at("16:59:59.999999"); }
static void unknown_for_too_long(struct facts *facts) { one_is_unknown(facts); facts->source.open.listed_us = facts->source.open.oldest_us = at("18:00:00.000001"); }
static void audit_is_due(struct facts *facts) { facts->last.loads_since_audit = 23; }
static void file_changed(struct facts *facts) { facts->source.fingerprint = DATABASE_LINE "leaf 16384 5002 heap orders\n" COLUMN_LINES POLICY_LINE; }
static void triggers_changed(struct facts *facts) { facts->source.fingerprint = FINGERPRINT "triggers 16384 aa\n"; }

TEST(what_the_cursor_cannot_show_is_found_by_row_versions) {
    static const struct { change *apply; const char *reason; bool audited; } cases[] = {
        {no_watermark, "there is no watermark of these cursor columns yet", false},
        {no_columns_recorded, "there is no watermark of these cursor columns yet", false},
        {other_columns, "there is no watermark of these cursor columns yet", false},
        {strange_watermark, "there is no watermark of these cursor columns yet", false},
        {clock_fell_back, "clock is behind the watermark", true},
        {held_too_long, "longer than max_hold", true},
        {unknown_for_too_long, "longer than max_hold", true},
        {audit_is_due, "audit: this run compares row versions", true},
        {file_changed, "a file of the table changed", false},
        {triggers_changed, "triggers of the table changed", false},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        plan_cursor(&facts, BY_CURSOR, cases[i].apply);
        if (facts.plan.reading != RF_READ_VERSIONS || !has_reason(&facts, cases[i].reason)) fail_msg("no versions for \"%s\"", cases[i].reason);
        if (facts.plan.audit != cases[i].audited) fail_msg("audited or not for \"%s\"", cases[i].reason);
        assert_string_equal(facts.plan.capture, "xmin");
        assert_string_equal(facts.plan.completeness, "proven");
        assert_int_equal(facts.plan.since, 1000);
        assert_string_equal(facts.plan.next.chosen, "cursor");
        drop_facts(&facts);
    }
}

static void clock_stood_still(struct facts *facts) { facts->source.open.listed_us = facts->source.open.oldest_us = at("17:00:00.000000"); }
static void held_just_long_enough(struct facts *facts) { facts->source.open.oldest_us = at("17:00:00.000000"); }
static void audit_is_nearly_due(struct facts *facts) { facts->last.loads_since_audit = 22; }

TEST(at_the_edge_the_cursor_still_shows_it) {
    change *const edges[] = {clock_stood_still, held_just_long_enough, one_is_unknown, audit_is_nearly_due};
    for (size_t i = 0; i < N_OF(edges); i++) {
        struct facts facts;
        plan_cursor(&facts, BY_CURSOR, edges[i]);
        if (facts.plan.reading != RF_READ_CURSOR) fail_msg("edge %zu", i);
        assert_false(facts.plan.audit);
        drop_facts(&facts);
    }
}

TEST(triggers_concern_the_cursor_alone) {
    struct facts facts;
    make_facts(&facts, ",\"capture\":\"xmin\"");
    triggers_changed(&facts);
    replan(&facts);
    assert_int_equal(facts.plan.n_reasons, 1);
    drop_facts(&facts);
}

static void audits(const char *schedule, int64_t since, bool expected) {
    struct facts facts;
    char more[64];
    snprintf(more, sizeof more, BY_CURSOR ",\"audit\":\"%s\"", schedule);
    make_facts(&facts, more);
    with_cursor(&facts);
    facts.last.loads_since_audit = since;
    replan(&facts);
    if (facts.plan.audit != expected) fail_msg("%s after %d loads", schedule, (int)since);
    assert_int_equal(facts.plan.next.loads_since_audit, expected ? 0 : since + 1);
    drop_facts(&facts);
}

TEST(an_audit_is_due_at_every_nth_load) {
    audits("always", 0, true);
    audits("every 1", 0, true);
    audits("every 2", 0, false);
    audits("every 2", 1, true);
    audits("every 2", 7, true); /* the schedule was longer before */
    audits("never", 1000000, false);
}

static void sweeps(const char *more, const char *schedule, int64_t since, bool expected) {
    struct facts facts;
    char job[128];
    snprintf(job, sizeof job, "%s,\"sweep\":\"%s\"", more, schedule);
    make_facts(&facts, job);
    with_cursor(&facts);
    facts.last.loads_since_sweep = since;
    replan(&facts);
    if (facts.plan.sweep != expected) fail_msg("%s after %d loads", job, (int)since);
    assert_int_equal(facts.plan.next.loads_since_sweep, expected ? 0 : since + 1);
    assert_string_equal(facts.plan.hard_deletes, expected ? "captured" : "not_captured");
    assert_int_equal(has_reason(&facts, "do not show hard deletes"), !expected);
    drop_facts(&facts);
}

TEST(a_sweep_is_due_at_every_nth_load_and_captures_deletes) {
    static const char *const captures[] = {BY_CURSOR, ",\"capture\":\"xmin\""};
    for (size_t i = 0; i < N_OF(captures); i++) {
        sweeps(captures[i], "always", 0, true);
        sweeps(captures[i], "every 3", 1, false);
        sweeps(captures[i], "every 3", 2, true);
        sweeps(captures[i], "every 3", 9, true);
        sweeps(captures[i], "never", 1000000, false);
    }
}

TEST(a_sweep_that_is_due_compares_no_row_versions) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR ",\"sweep\":\"always\"", NULL);
    reads_by(&facts, RF_READ_CURSOR, "cursor");
    assert_true(facts.plan.sweep);
    drop_facts(&facts);
}

TEST(a_full_read_needs_no_sweep_and_counts_as_one) {
    struct facts facts;
    make_facts(&facts, ",\"capture\":\"full\",\"sweep\":\"always\"");
    facts.last.loads_since_sweep = 5;
    replan(&facts);
    assert_false(facts.plan.sweep);
    assert_int_equal(facts.plan.next.loads_since_sweep, 0);
    assert_string_equal(facts.plan.hard_deletes, "captured");
    drop_facts(&facts);
}

static void a_leaf_was_attached(struct facts *facts) { facts->source.fingerprint = FINGERPRINT "leaf 16390 1 heap new\n"; }

TEST(an_attached_leaf_is_read_beside_what_the_cursor_shows) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, a_leaf_was_attached);
    reads_by(&facts, RF_READ_CURSOR, "cursor");
    assert_int_equal(facts.plan.n_new_leaves, 1);
    drop_facts(&facts);
}

TEST(a_key_that_may_repeat_does_not_show_what_left_the_filter) {
    for (int proven = 0; proven < 2; proven++) {
        for (int filter = 0; filter < 2; filter++) {
            struct facts facts;
            make_facts(&facts, filter ? BY_CURSOR ",\"where\":\"paid\"" : BY_CURSOR);
            with_cursor(&facts);
            facts.source.key_proven = proven;
            replan(&facts);
            assert_int_equal(facts.plan.full_read, filter && !proven);
            assert_int_equal(has_reason(&facts, "a key that may repeat"), filter && !proven);
            drop_facts(&facts);
        }
    }
}

/* ---- how far back row versions reach ------------------------------------------------------------------------------------ */

static void versions_ran_away(struct facts *facts) { facts->source.snapshot.xmax = 1000 + (UINT64_C(1) << 31); }
static void versions_nearly_ran_away(struct facts *facts) { facts->source.snapshot.xmax = 999 + (UINT64_C(1) << 31); }

TEST(row_versions_are_compared_back_to_the_last_comparison_and_not_to_the_newest_load) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR ",\"audit\":\"always\"", versions_nearly_ran_away);
    reads_by(&facts, RF_READ_VERSIONS, "xmin");
    assert_int_equal(facts.plan.since, 1000);
    assert_int_equal(facts.plan.as_of, 1100);
    drop_facts(&facts);
    plan_cursor(&facts, BY_CURSOR ",\"audit\":\"always\"", versions_ran_away);
    reads_by(&facts, RF_READ_ALL, "cursor");
    assert_true(facts.plan.reconcile && has_reason(&facts, "more than 2^31 transactions"));
    assert_false(facts.plan.audit);
    drop_facts(&facts);
}

TEST(a_run_by_cursor_needs_no_row_versions_however_old_they_are) {
    struct facts facts;
    plan_cursor(&facts, BY_CURSOR, versions_ran_away);
    reads_by(&facts, RF_READ_CURSOR, "cursor");
    drop_facts(&facts);
}

/* ---- a missing base ----------------------------------------------------------------------------------------------------- */

static void was_reset(struct facts *facts) { facts->last.is_reset = true; }
static void no_snapshot(struct facts *facts) { facts->last.snapshot = NULL; }
static void no_proven_snapshot(struct facts *facts) { facts->last.proven = NULL; }
static void strange_snapshot(struct facts *facts) { facts->last.snapshot = "none"; }
static void target_is_missing(struct facts *facts) {
    struct rf_load last = facts->last;
    never_loaded(facts);
    facts->last = last;
}

TEST(without_a_base_everything_is_read_and_said) {
    static const struct { change *apply; const char *reason; } cases[] = {
        {was_reset, "the state was reset"},
        {no_snapshot, "no earlier load says up to where"},
        {no_proven_snapshot, "no earlier load says up to where"},
        {strange_snapshot, "no earlier load says up to where"},
        {target_is_missing, "the target table is missing though it was loaded before"},
    };
    static const char *const captures[] = {BY_CURSOR, ",\"capture\":\"xmin\""};
    for (size_t c = 0; c < N_OF(captures); c++) {
        for (size_t i = 0; i < N_OF(cases); i++) {
            struct facts facts;
            plan_cursor(&facts, captures[c], cases[i].apply);
            assert_int_equal(facts.plan.reading, RF_READ_ALL);
            assert_true(facts.plan.reconcile);
            if (!has_reason(&facts, cases[i].reason)) fail_msg("no \"%s\"", cases[i].reason);
            assert_string_equal(facts.plan.completeness, "proven");
            assert_string_equal(facts.plan.hard_deletes, "captured");
            drop_facts(&facts);
        }
    }
}

TEST(a_first_load_reads_everything_and_is_no_reconcile) {
    struct facts facts;
    make_facts(&facts, BY_CURSOR);
    with_cursor(&facts);
    never_loaded(&facts);
    replan(&facts);
    reads_by(&facts, RF_READ_ALL, "cursor");
    assert_false(facts.plan.reconcile);
    is_time(facts.plan.next.watermark, "17:59:00.000000");
    drop_facts(&facts);
}

/* ---- windows ---------------------------------------------------------------------------------------------------------------- */

#define WINDOW ",\"since\":\"2026-11-01\",\"until\":\"2026-11-02\""

static void plan_window(struct facts *facts, const char *more, change *apply) {
    make_facts(facts, more);
    with_cursor(facts);
    facts->last.doubted = true;
    facts->last.loads_since_audit = 3;
    facts->last.loads_since_sweep = 4;
    facts->source.open = (struct rf_open_transactions_facts){0}; /* a window lists none */
    if (facts->job.since) facts->source.since = "2026-11-01T00:00:00.000000+00:00";
    if (facts->job.until) facts->source.until = "2026-11-02T00:00:00.000000+00:00";
    if (apply) apply(facts);
    replan(facts);
}

TEST(a_window_is_read_between_its_ends_and_proves_nothing_else) {
    struct facts facts;
    plan_window(&facts, WINDOW, NULL);
    reads_by(&facts, RF_READ_WINDOW, "cursor");
    assert_string_equal(facts.plan.from, "2026-11-01T00:00:00.000000+00:00");
    assert_string_equal(facts.plan.until, "2026-11-02T00:00:00.000000+00:00");
    assert_string_equal(facts.plan.completeness, "best_effort");
    assert_string_equal(facts.plan.hard_deletes, "not_captured");
    assert_contains(facts.plan.capture_reason, "whose cursor lies in the window");
    assert_true(has_reason(&facts, "only rows whose cursor lies in the window were read"));
    assert_false(has_reason(&facts, "the next run without a window reads everything"));
    assert_false(facts.plan.close_absent || facts.plan.sweep || facts.plan.audit || facts.plan.reconcile);
    drop_facts(&facts);
}

TEST(a_window_may_be_open_at_either_end) {
    struct facts facts;
    plan_window(&facts, ",\"since\":\"2026-11-01\"", NULL);
    assert_non_null(facts.plan.from);
    assert_null(facts.plan.until);
    drop_facts(&facts);
    plan_window(&facts, ",\"until\":\"2026-11-02\"", NULL);
    reads_by(&facts, RF_READ_WINDOW, "cursor");
    assert_null(facts.plan.from);
    assert_non_null(facts.plan.until);
    drop_facts(&facts);
}

/* What the last load left, to the last field. */
TEST(after_a_window_the_next_run_goes_on_from_where_the_last_one_stood) {
    struct facts facts;
    plan_window(&facts, WINDOW, NULL);
    const struct rf_next *next = &facts.plan.next;
    const struct rf_load *last = &facts.last;
    assert_string_equal(next->chosen, last->chosen);
    assert_string_equal(next->snapshot, "1100:1100:");
    assert_string_equal(next->proven, "1000:1000:");
    assert_string_equal(next->watermark, last->watermark);
    assert_string_equal(next->cursor, last->cursor);
    assert_string_equal(next->fingerprint, last->fingerprint);
    assert_true(next->doubted);
    assert_int_equal(next->loads_since_audit, 3);
    assert_int_equal(next->loads_since_sweep, 4);
    drop_facts(&facts);
}

static void another_system(struct facts *facts) { facts->source.identity.system = "70002"; }
static void a_column_was_added(struct facts *facts) { facts->source.fingerprint = FINGERPRINT "column 4 x\n"; }
static void never_was_loaded(struct facts *facts) { never_loaded(facts); }

TEST(a_window_on_broken_ground_leaves_nothing_to_go_on_from) {
    static const struct { change *apply; } cases[] = {{another_system}, {file_changed}, {a_leaf_was_attached}, {a_column_was_added}, {was_reset},
                                                      {no_snapshot}, {no_proven_snapshot}, {target_is_missing}, {never_was_loaded}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        plan_window(&facts, WINDOW, cases[i].apply);
        const struct rf_next *next = &facts.plan.next;
        if (next->snapshot || next->proven || next->watermark || next->fingerprint) fail_msg("case %zu", i);
        assert_int_equal(facts.plan.reading, RF_READ_WINDOW);
        assert_false(facts.plan.reconcile || facts.plan.sweep || facts.plan.n_new_leaves > 0);
        assert_true(has_reason(&facts, "the next run without a window reads everything"));
        drop_facts(&facts);
    }
}

TEST(a_window_takes_no_part_in_sweeps_and_audits) {
    struct facts facts;
    plan_window(&facts, WINDOW ",\"sweep\":\"always\",\"audit\":\"always\"", NULL);
    assert_false(facts.plan.sweep || facts.plan.audit);
    drop_facts(&facts);
}

/* ---- from where the next run goes on -------------------------------------------------------------------------------------------- */

static void full_was_asked(struct facts *facts) { facts->job.capture = RF_CAPTURE_FULL; }
static void versions_were_asked(struct facts *facts) { facts->job.capture = RF_CAPTURE_XMIN; }

TEST(each_reading_says_from_where_the_next_one_goes_on) {
    static const struct { change *apply; const char *chosen, *proven; int64_t loads_since_audit, loads_since_sweep; } cases[] = {
        {NULL, "cursor", "1000:1000:", 1, 1},
        {audit_is_due, "cursor", "1200:1210:1205", 0, 1},
        {versions_were_asked, "xmin", "1200:1210:1205", 0, 1},
        {full_was_asked, "full", "1200:1210:1205", 0, 0},
        {was_reset, "cursor", "1200:1210:1205", 0, 0},
    };
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct facts facts;
        plan_cursor(&facts, BY_CURSOR, cases[i].apply);
        const struct rf_next *next = &facts.plan.next;
        assert_string_equal(next->chosen, cases[i].chosen);
        assert_string_equal(next->snapshot, "1200:1210:1205");
        assert_string_equal(next->proven, cases[i].proven);
        assert_string_equal(next->fingerprint, FINGERPRINT);
        assert_int_equal(next->loads_since_audit, cases[i].loads_since_audit);
        assert_int_equal(next->loads_since_sweep, cases[i].loads_since_sweep);
        drop_facts(&facts);
    }
}

/* ---- who holds the next run back ------------------------------------------------------------------------------------------------ */

static int held_by(const char *more, change *apply) {
    struct facts facts;
    make_facts(&facts, more);
    with_cursor(&facts);
    facts.source.held_by = (struct rf_holder){.known = true, .pid = 11};
    facts.source.open.holder = (struct rf_holder){.known = true, .pid = 22};
    if (apply) apply(&facts);
    replan(&facts);
    int pid = facts.plan.held_by.known ? facts.plan.held_by.pid : 0;
    drop_facts(&facts);
    return pid;
}

TEST(the_holder_is_that_of_the_snapshot_or_that_of_the_watermark) {
    assert_int_equal(held_by(",\"capture\":\"xmin\"", NULL), 11);
    assert_int_equal(held_by(BY_CURSOR, NULL), 22);
    assert_int_equal(held_by(BY_CURSOR ",\"open_transactions\":\"ignore\"", NULL), 0);
    assert_int_equal(held_by(WINDOW, nothing_was_listed), 11);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_rows_of_a_stream_prove_little_and_leave_nothing_to_go_on_from),
        cmocka_unit_test(a_key_of_a_stream_stays_hidden_as_it_was),
        cmocka_unit_test(a_table_that_a_stream_was_loaded_into_is_read_whole),
        cmocka_unit_test(auto_takes_the_cursor_for_a_table_beyond_the_limit_alone),
        cmocka_unit_test(auto_takes_no_cursor_of_which_a_column_has_no_index),
        cmocka_unit_test(auto_takes_no_cursor_that_would_only_be_best_effort),
        cmocka_unit_test(auto_keeps_what_it_took_however_the_table_grows_or_shrinks),
        cmocka_unit_test(auto_compares_row_versions_while_the_cursor_it_kept_would_only_be_best_effort),
        cmocka_unit_test(auto_chooses_anew_where_nothing_was_kept),
        cmocka_unit_test(auto_leaves_a_cursor_whose_columns_are_gone),
        cmocka_unit_test(a_cursor_that_the_table_has_not_is_refused_and_a_way_named),
        cmocka_unit_test(only_a_run_that_may_use_the_cursor_asks_for_its_facts),
        cmocka_unit_test(a_cursor_in_no_doubt_is_bounded_by_its_margin),
        cmocka_unit_test(each_doubt_makes_a_cursor_best_effort_and_is_said),
        cmocka_unit_test(all_doubts_are_said_together),
        cmocka_unit_test(a_blind_role_is_no_doubt_where_open_transactions_are_not_asked_for),
        cmocka_unit_test(one_column_from_the_clock_is_enough_if_it_has_a_zone),
        cmocka_unit_test(a_run_by_row_versions_proves_everything_whatever_the_cursor_is_worth),
        cmocka_unit_test(a_watermark_that_was_set_blindly_is_in_doubt_for_the_next_run_too),
        cmocka_unit_test(comparing_row_versions_ends_the_doubts_of_earlier_loads),
        cmocka_unit_test(row_security_lowers_a_bounded_run),
        cmocka_unit_test(the_watermark_stays_behind_the_listing_by_the_margin),
        cmocka_unit_test(the_oldest_open_transaction_holds_the_watermark_back),
        cmocka_unit_test(open_transactions_that_are_to_be_ignored_hold_nothing_back),
        cmocka_unit_test(a_transaction_open_since_an_unknown_time_keeps_the_watermark_where_it_is),
        cmocka_unit_test(what_a_blind_role_cannot_see_holds_nothing_back_but_what_it_sees_does),
        cmocka_unit_test(on_a_standby_the_watermark_stays_behind_what_was_replayed),
        cmocka_unit_test(the_margin_is_at_least_what_the_coarsest_column_rounds_to),
        cmocka_unit_test(there_is_no_watermark_without_a_listing_or_a_column),
        cmocka_unit_test(a_watermark_is_recorded_with_the_columns_it_is_of),
        cmocka_unit_test(a_run_by_cursor_reads_from_the_last_watermark_less_the_lookback),
        cmocka_unit_test(what_the_cursor_cannot_show_is_found_by_row_versions),
        cmocka_unit_test(at_the_edge_the_cursor_still_shows_it),
        cmocka_unit_test(triggers_concern_the_cursor_alone),
        cmocka_unit_test(an_audit_is_due_at_every_nth_load),
        cmocka_unit_test(a_sweep_is_due_at_every_nth_load_and_captures_deletes),
        cmocka_unit_test(a_sweep_that_is_due_compares_no_row_versions),
        cmocka_unit_test(a_full_read_needs_no_sweep_and_counts_as_one),
        cmocka_unit_test(an_attached_leaf_is_read_beside_what_the_cursor_shows),
        cmocka_unit_test(a_key_that_may_repeat_does_not_show_what_left_the_filter),
        cmocka_unit_test(row_versions_are_compared_back_to_the_last_comparison_and_not_to_the_newest_load),
        cmocka_unit_test(a_run_by_cursor_needs_no_row_versions_however_old_they_are),
        cmocka_unit_test(without_a_base_everything_is_read_and_said),
        cmocka_unit_test(a_first_load_reads_everything_and_is_no_reconcile),
        cmocka_unit_test(a_window_is_read_between_its_ends_and_proves_nothing_else),
        cmocka_unit_test(a_window_may_be_open_at_either_end),
        cmocka_unit_test(after_a_window_the_next_run_goes_on_from_where_the_last_one_stood),
        cmocka_unit_test(a_window_on_broken_ground_leaves_nothing_to_go_on_from),
        cmocka_unit_test(a_window_takes_no_part_in_sweeps_and_audits),
        cmocka_unit_test(each_reading_says_from_where_the_next_one_goes_on),
        cmocka_unit_test(the_holder_is_that_of_the_snapshot_or_that_of_the_watermark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
