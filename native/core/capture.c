#include "core/capture.h"

#include "core/ground.h"
#include "core/settle.h"
#include "core/timestamp.h"

#include <inttypes.h>
#include <string.h>

static const char *capture_name(enum rf_capture capture) {
    static const char *const names[] = {"auto", "xmin", "cursor", "full", "given"};
    return names[capture];
}

static bool kept(const struct rf_load *last, enum rf_capture capture) {
    return last->chosen && strcmp(last->chosen, capture_name(capture)) == 0;
}

bool rf_may_use_cursor(const struct rf_job *job, const struct rf_load *last) {
    if (rf_job_has_window(job)) return true;
    if (job->mode == RF_MODE_REPLACE) return false;
    return job->capture == RF_CAPTURE_CURSOR || (job->capture == RF_CAPTURE_AUTO && !kept(last, RF_CAPTURE_XMIN));
}

/* ---- what a cursor can prove ---- */

/* The column that every version of a row has from the server's clock; NULL when none is known to. */
static const struct rf_cursor_column *clocked_column(const struct rf_source_facts *source) {
    for (int i = 0; i < source->n_cursor; i++)
        if (source->cursor[i].set_by_clock && strcmp(source->cursor[i].base, "timestamptz") == 0) return &source->cursor[i];
    return NULL;
}

enum { MOST_DOUBTS = 6 };

/* Why a cursor proves less than a bound; NULL-terminated. `earlier`: what earlier loads left counts too. */
static void list_doubts(const struct rf_plan *plan, bool earlier, const char *doubts[MOST_DOUBTS + 1]) {
    const struct rf_source_facts *source = plan->source;
    const struct { bool holds; const char *doubt; } all[MOST_DOUBTS] = {
        {!clocked_column(source), "no cursor column with a time zone is known to be set to now() by row triggers on every INSERT and UPDATE"},
        {source->snapshot.in_recovery, "the source is a standby: transactions open on its primary do not show"},
        {plan->job->open_transactions == RF_OPEN_IGNORE, "open_transactions is ignore: what was open is only read again within lookback"},
        {plan->job->open_transactions == RF_OPEN_TRACK && !source->open.sees_all, "the role lacks pg_read_all_stats: since when others' transactions are open does not show"},
        {earlier && plan->last->doubted && plan->last->missed == 0, "an earlier load left to the cursor what it could not bound, and no run has compared row versions since"},
        {earlier && plan->last->missed > 0, "audits found rows that the cursor had missed"},
    };
    int n = 0;
    for (int i = 0; i < MOST_DOUBTS; i++)
        if (all[i].holds) doubts[n++] = all[i].doubt;
    doubts[n] = NULL;
}

static bool is_bounded(const struct rf_plan *plan, bool earlier) {
    const char *doubts[MOST_DOUBTS + 1];
    list_doubts(plan, earlier, doubts);
    return !doubts[0];
}

/* ---- the watermark ---- */

/* Behind the clock at least by what the coarsest column rounds to. */
static int64_t margin_us(const struct rf_plan *plan) {
    int64_t margin = (int64_t)(plan->job->clock_margin * 1e6);
    for (int i = 0; i < plan->source->n_cursor; i++)
        if (plan->source->cursor[i].resolution_us > margin) margin = plan->source->cursor[i].resolution_us;
    return margin;
}

static bool tracks(const struct rf_plan *plan) {
    return plan->job->open_transactions == RF_OPEN_TRACK;
}

/* Something is open and since when does not show: the watermark stays where it is. Without the right to see, that
 * would be for ever on a busy server; the run then proves less instead. */
static bool must_stay(const struct rf_plan *plan) {
    return tracks(plan) && plan->source->open.sees_all && plan->source->open.has_unknown;
}

static int64_t oldest_us(const struct rf_plan *plan) {
    const struct rf_open_transactions_facts *open = &plan->source->open;
    return tracks(plan) && open->oldest_us < open->listed_us ? open->oldest_us : open->listed_us;
}

/* A watermark is of certain columns: "created_at","updated_at". */
static enum rf_code name_cursor(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    struct rf_text names = {0};
    for (int i = 0; i < plan->source->n_cursor; i++) {
        rf_text_add(&names, i > 0 ? "," : "");
        rf_text_identifier(&names, plan->source->cursor[i].name);
    }
    return plan->source->n_cursor > 0 ? rf_arena_text(arena, &names, &plan->next.cursor, err) : RF_OK;
}

/* The watermark of the last load, when it is of the same columns. */
static bool read_watermark(const struct rf_plan *plan, int64_t *watermark) {
    const char *then = plan->last->cursor, *now = plan->next.cursor;
    return then && now && strcmp(then, now) == 0 && rf_read_timestamp(plan->last->watermark, watermark);
}

/* The least time that a row committed after this snapshot can have, the margin taken off. */
static enum rf_code set_watermark(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const struct rf_open_transactions_facts *open = &plan->source->open;
    if (!open->listed || plan->source->n_cursor == 0) return RF_OK;
    int64_t before;
    if (must_stay(plan)) {
        plan->next.watermark = read_watermark(plan, &before) ? plan->last->watermark : NULL;
        return RF_OK;
    }
    int64_t least = oldest_us(plan) < open->replayed_us ? oldest_us(plan) : open->replayed_us;
    char text[RF_TIMESTAMP_BYTES];
    rf_write_timestamp(text, least - margin_us(plan));
    plan->next.watermark = rf_arena_copy(arena, text);
    return plan->next.watermark ? RF_OK : rf_no_memory(err);
}

/* ---- choosing ---- */

static bool all_indexed(const struct rf_source_facts *source) {
    bool indexed = source->n_cursor > 0;
    for (int i = 0; i < source->n_cursor; i++) indexed &= source->cursor[i].indexed;
    return indexed;
}

/* A default never takes what proves less than a bound. */
static void choose_automatically(struct rf_plan *plan) {
    const struct rf_source_facts *source = plan->source;
    plan->chosen = RF_CAPTURE_XMIN;
    if (kept(plan->last, RF_CAPTURE_XMIN)) {
        plan->capture_reason = "auto: kept as the table's first load took it; row versions prove every change";
    } else if (kept(plan->last, RF_CAPTURE_CURSOR) && source->n_cursor > 0) {
        plan->chosen = RF_CAPTURE_CURSOR;
        plan->capture_reason = "auto: kept as the table's first load took it; the table is large and its cursor indexed";
    } else if (source->bytes <= plan->job->xmin_max_bytes) {
        plan->capture_reason = "auto: row versions prove every change, need no cursor column and only the right to SELECT";
    } else if (!all_indexed(source)) {
        plan->capture_reason = "auto: the table is larger than xmin_max_bytes, but a cursor without an index would scan it too";
    } else if (!is_bounded(plan, true)) {
        plan->capture_reason = "auto: the table is larger than xmin_max_bytes, but its cursor would only be best_effort";
    } else {
        plan->chosen = RF_CAPTURE_CURSOR;
        plan->capture_reason = "auto: the table is larger than xmin_max_bytes, and an index on its cursor spares the scan";
    }
}

static enum rf_code no_cursor(const struct rf_plan *plan, struct rf_error *err) {
    rf_fail(err, RF_CONFIG, "%s has no cursor column: none of inserted_at, created_at, updated_at and modified_at is a timestamp or date", plan->job->source_label);
    return rf_hint(err, "Name columns in \"cursor_columns\", or use capture xmin, which needs none.");
}

/* What has no meaning where no key tells one row from another. */
static enum rf_code check_settled(const struct rf_plan *plan, struct rf_error *err) {
    const struct rf_job *job = plan->job;
    bool by_versions = job->capture == RF_CAPTURE_AUTO || job->capture == RF_CAPTURE_XMIN;
    const struct { bool asked; const char *what; } cases[] = {
        {!by_versions, job->capture == RF_CAPTURE_FULL ? "capture full would append every row again" : "capture cursor may read a row twice"},
        {rf_job_has_window(job), "a window would append again what was loaded before"},
        {job->sweep > 0, "a sweep cannot tell which row is gone"},
        {job->on_duplicate == RF_DUPLICATE_FAIL, "on_duplicate cannot tell which rows repeat"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (!cases[i].asked) continue;
        rf_fail(err, RF_CONFIG, "%s has no primary key and no unique index over NOT NULL columns: in mode append %s", job->source_label, cases[i].what);
        return rf_hint(err, "Name the columns that identify a row in \"keys\"; or leave the setting out: by xmin each version of a row is appended once.");
    }
    return RF_OK;
}

static enum rf_code choose(struct rf_plan *plan, struct rf_error *err) {
    if (rf_settles(plan)) {
        RF_TRY(check_settled(plan, err));
        plan->chosen = RF_CAPTURE_XMIN;
        plan->capture_reason = "mode append without a key: each row version is read by the one run before which its transaction had ended";
        return RF_OK;
    }
    plan->chosen = plan->job->capture;
    plan->capture_reason = "asked for";
    if (plan->job->mode == RF_MODE_REPLACE) {
        plan->chosen = RF_CAPTURE_FULL;
        plan->capture_reason = "mode replace: every row is read, and the target becomes what was read";
        return RF_OK;
    }
    if (plan->chosen == RF_CAPTURE_AUTO) choose_automatically(plan);
    if (rf_job_has_window(plan->job)) plan->capture_reason = "asked for: the rows whose cursor lies in the window";
    if (plan->chosen == RF_CAPTURE_FULL) plan->capture_reason = "asked for: every row is read, and rows that are gone are closed";
    bool needs_cursor = plan->chosen == RF_CAPTURE_CURSOR || rf_job_has_window(plan->job);
    return needs_cursor && plan->source->n_cursor == 0 ? no_cursor(plan, err) : RF_OK;
}

/* ---- how much to read ---- */

static void read_all(struct rf_plan *plan) {
    plan->reading = RF_READ_ALL;
    plan->full_read = true;
    plan->sweep = plan->audit = false;
}

/* Row versions are compared modulo 2^32: an older snapshot says nothing. */
static enum rf_code read_versions(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->reading = RF_READ_VERSIONS;
    if (plan->source->snapshot.xmax < plan->since + (UINT64_C(1) << 31)) return RF_OK;
    plan->reconcile = true;
    read_all(plan);
    return rf_plan_reason(plan, arena, err, "more than 2^31 transactions since the last load that compared row versions: they can no longer be compared");
}

static bool audit_is_due(const struct rf_plan *plan) {
    return plan->job->audit > 0 && plan->last->loads_since_audit + 1 >= plan->job->audit;
}

/* Why a run whose capture is the cursor compares row versions instead; NULL when it does not. */
static const char *why_versions(const struct rf_plan *plan) {
    int64_t watermark;
    const struct rf_open_transactions_facts *open = &plan->source->open;
    if (plan->sweep) return "a file of the table changed: this run compares row versions";
    if (plan->triggers_changed) return "triggers of the table changed: this run compares row versions";
    if (plan->job->capture == RF_CAPTURE_AUTO && !is_bounded(plan, true)) return "auto: the cursor would only be best_effort: this run compares row versions";
    if (!read_watermark(plan, &watermark)) return "there is no watermark of these cursor columns yet: this run compares row versions and sets one";
    if (open->listed_us < watermark) return "the source's clock is behind the watermark: this run compares row versions";
    int64_t held_since = must_stay(plan) ? watermark : oldest_us(plan);
    if ((double)(open->listed_us - held_since) > plan->job->max_hold * 1e6)
        return "an open transaction holds the watermark back for longer than max_hold: this run compares row versions";
    return audit_is_due(plan) ? "audit: this run compares row versions and counts what the cursor had missed" : NULL;
}

/* The watermark less what is to be read again. */
static enum rf_code set_from(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    int64_t watermark;
    char text[RF_TIMESTAMP_BYTES];
    if (!read_watermark(plan, &watermark)) return RF_OK;
    rf_write_timestamp(text, watermark - (int64_t)(plan->job->lookback * 1e6));
    plan->from = rf_arena_copy(arena, text);
    return plan->from ? RF_OK : rf_no_memory(err);
}

static enum rf_code read_by_cursor(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const char *why = why_versions(plan);
    RF_TRY(set_from(plan, arena, err));
    plan->reading = RF_READ_CURSOR;
    if (!why) return RF_OK;
    plan->audit = plan->from && !plan->sweep && !plan->triggers_changed; /* what those two hide is not the cursor's to find */
    RF_TRY(rf_plan_reason(plan, arena, err, "%s", why));
    return read_versions(plan, arena, err);
}

static enum rf_code explain_missing_base(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    if (plan->last->load_id == 0) return RF_OK;
    plan->reconcile = true;
    if (plan->last->is_reset) return rf_plan_reason(plan, arena, err, "the state was reset: everything is read");
    if (plan->first_load) return rf_plan_reason(plan, arena, err, "the target table is missing though it was loaded before: everything is read");
    return rf_plan_reason(plan, arena, err, "no earlier load says up to where the table was read: everything is read");
}

/* False when nothing tells what was read before. */
static bool find_base(struct rf_plan *plan) {
    uint64_t xmax;
    bool loaded = plan->last->load_id > 0 && !plan->last->is_reset && !plan->first_load;
    return loaded && rf_read_snapshot(plan->last->snapshot, &plan->as_of, &xmax) && rf_read_snapshot(plan->last->proven, &plan->since, &xmax);
}

/* A window says nothing about the rest of the table: the next run goes on from where the last one stood, or, when
 * that ground is broken, reads everything. */
static enum rf_code read_window(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->reading = RF_READ_WINDOW;
    plan->from = plan->source->since;
    plan->until = plan->source->until;
    bool stands = find_base(plan);
    if (stands) {
        RF_TRY(rf_find_ground(plan, arena, err));
        stands = !plan->reconcile && !plan->sweep && plan->n_new_leaves == 0;
    }
    plan->reconcile = plan->sweep = false;
    plan->n_new_leaves = 0;
    if (stands)
        plan->next = (struct rf_next){.chosen = plan->last->chosen, .snapshot = plan->last->snapshot, .proven = plan->last->proven, .watermark = plan->last->watermark, .cursor = plan->last->cursor, .doubted = plan->last->doubted,
                                      .fingerprint = plan->last->fingerprint, .loads_since_audit = plan->last->loads_since_audit,
                                      .loads_since_sweep = plan->last->loads_since_sweep};
    return RF_OK;
}

/* Numbers of transactions are compared modulo 2^32; what can no longer be compared cannot be told from what is there either. */
static enum rf_code read_settled(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->reading = RF_READ_VERSIONS;
    if (!find_base(plan)) {
        plan->since = plan->as_of = 0;
        return plan->first_load ? explain_missing_base(plan, arena, err) : RF_OK;
    }
    RF_TRY(rf_find_ground(plan, arena, err));
    if (plan->source->snapshot.xmax < plan->since + (UINT64_C(1) << 31) - RF_COUNTS_ON) return RF_OK;
    return rf_refuse_ground(plan, "more than 2^31 transactions passed since the last load: row versions can no longer be compared", err);
}

static enum rf_code read_changes(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    if (!find_base(plan)) {
        read_all(plan);
        return explain_missing_base(plan, arena, err);
    }
    RF_TRY(rf_find_ground(plan, arena, err));
    if (plan->job->where && !plan->source->key_proven) {
        plan->reconcile = true;
        RF_TRY(rf_plan_reason(plan, arena, err, "a key that may repeat does not show which of its rows left the filter: everything is read"));
    }
    if (plan->reconcile) read_all(plan);
    else RF_TRY(plan->chosen == RF_CAPTURE_CURSOR ? read_by_cursor(plan, arena, err) : read_versions(plan, arena, err));
    return RF_OK;
}

static enum rf_code read_whole(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    read_all(plan);
    return rf_note_tables(plan, arena, err);
}

static void schedule_sweep(struct rf_plan *plan) {
    bool due = plan->job->sweep > 0 && plan->last->loads_since_sweep + 1 >= plan->job->sweep;
    plan->sweep = !plan->full_read && (plan->sweep || due);
}

/* The next run goes on from this snapshot. What it can prove goes back to the last comparison of row versions. */
static enum rf_code set_next(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const struct rf_load *last = plan->last;
    struct rf_next *next = &plan->next;
    bool by_cursor = plan->reading == RF_READ_CURSOR;
    next->chosen = capture_name(plan->chosen);
    next->snapshot = plan->source->snapshot.text;
    next->proven = by_cursor ? last->proven : next->snapshot;
    next->fingerprint = plan->source->fingerprint;
    next->doubted = !is_bounded(plan, by_cursor); /* a watermark that was set blindly bounds nothing later either */
    if (by_cursor) next->loads_since_audit = last->loads_since_audit + 1;
    if (!plan->full_read && !plan->sweep) next->loads_since_sweep = last->loads_since_sweep + 1;
    return set_watermark(plan, arena, err);
}

/* Who keeps the next run from starting later. */
static void set_holder(struct rf_plan *plan) {
    bool by_cursor = plan->chosen == RF_CAPTURE_CURSOR && plan->source->open.listed;
    plan->held_by = by_cursor ? plan->source->open.holder : plan->source->held_by;
    if (by_cursor && !tracks(plan)) plan->held_by = (struct rf_holder){0};
}

/* There is nothing to find, and nothing that a later run could go on from; but for the masks, which the fingerprint of a stream holds alone. */
static enum rf_code take_given(struct rf_plan *plan, struct rf_error *err) {
    plan->chosen = RF_CAPTURE_GIVEN;
    plan->capture = capture_name(plan->chosen);
    plan->capture_reason = "the rows of a stream";
    plan->reading = RF_READ_GIVEN;
    if (plan->job->mask.n > 0) plan->next.fingerprint = plan->source->fingerprint;
    return rf_check_masked_key(plan, err);
}

enum rf_code rf_choose_capture(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    static const char *const done[] = {"full", "xmin", "cursor", "cursor"};
    if (plan->job->capture == RF_CAPTURE_GIVEN) return take_given(plan, err);
    RF_TRY(choose(plan, err));
    RF_TRY(name_cursor(plan, arena, err));
    if (rf_job_has_window(plan->job)) {
        RF_TRY(read_window(plan, arena, err));
    } else {
        if (plan->chosen == RF_CAPTURE_FULL) RF_TRY(read_whole(plan, arena, err));
        else if (rf_settles(plan)) RF_TRY(read_settled(plan, arena, err));
        else RF_TRY(read_changes(plan, arena, err));
        schedule_sweep(plan);
        RF_TRY(set_next(plan, arena, err));
    }
    plan->capture = plan->reading == RF_READ_ALL ? capture_name(plan->chosen) : done[plan->reading];
    set_holder(plan);
    return RF_OK;
}

/* ---- what is proven ---- */

static enum rf_code prove_cursor(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const char *doubts[MOST_DOUBTS + 1];
    list_doubts(plan, true, doubts);
    plan->completeness = doubts[0] ? "best_effort" : "bounded";
    for (int i = 0; doubts[i]; i++) RF_TRY(rf_plan_reason(plan, arena, err, "%s", doubts[i]));
    if (doubts[0]) return RF_OK;
    return rf_plan_reason(plan, arena, err, "bounded by %.6g s: a clock that is set back further, a message that takes longer to be executed, or a session that bypasses triggers is not covered", (double)margin_us(plan) / 1e6);
}

static enum rf_code prove_window(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->completeness = "best_effort";
    plan->hard_deletes = "not_captured";
    RF_TRY(rf_plan_reason(plan, arena, err, "only rows whose cursor lies in the window were read; the watermark stays where it was"));
    if (plan->next.snapshot) return RF_OK;
    return rf_plan_reason(plan, arena, err, "the next run without a window reads everything");
}

static enum rf_code prove_given(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->completeness = "best_effort";
    plan->hard_deletes = "not_captured";
    RF_TRY(rf_plan_reason(plan, arena, err, "the rows came from a stream: what it left out, and which rows are gone, cannot be known"));
    return plan->last->snapshot ? rf_plan_reason(plan, arena, err, "the next run that reads the table itself reads everything") : RF_OK;
}

enum rf_code rf_state_proof(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    if (plan->reading == RF_READ_GIVEN) return prove_given(plan, arena, err);
    if (plan->reading == RF_READ_WINDOW) return prove_window(plan, arena, err);
    plan->completeness = "proven";
    plan->hard_deletes = plan->full_read || plan->sweep ? "captured" : "not_captured";
    if (plan->reading == RF_READ_CURSOR) RF_TRY(prove_cursor(plan, arena, err));
    if (plan->source->row_security) {
        plan->completeness = "best_effort";
        RF_TRY(rf_plan_reason(plan, arena, err, "row security hides rows of the source from this role; a change of what it hides is not seen"));
    }
    if (plan->full_read) return RF_OK;
    if (rf_timeline_is_unsure(plan->source, plan->last)) {
        plan->completeness = "best_effort";
        RF_TRY(rf_plan_reason(plan, arena, err, "the standby does not show this role whether it followed a failover since the last load; pg_read_all_stats would"));
    }
    if (plan->job->where) RF_TRY(rf_plan_reason(plan, arena, err, "the filter is judged when a row changes; what it draws from the time or from other tables is not judged again"));
    if (plan->sweep || rf_settles(plan)) return RF_OK;
    return rf_plan_reason(plan, arena, err, "row versions and cursors do not show hard deletes; a run with sweep, or with capture full, closes deleted rows");
}
