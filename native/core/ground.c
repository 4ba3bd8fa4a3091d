#include "core/ground.h"

#include "core/drift.h"
#include "core/fingerprint.h"
#include "core/mask.h"
#include "core/settle.h"

#include <stdio.h>
#include <string.h>

static bool same_text(const char *a, const char *b) {
    return a && b && strcmp(a, b) == 0;
}

static bool same_history(const struct rf_identity *a, const struct rf_identity *b) {
    return same_text(a->system, b->system) && a->timeline == b->timeline;
}

/* Where the log of the last load's source ended. After a segment was closed, a primary names the place of the next
 * record, behind the header of its page (24 bytes, 40 in a segment's first page), and a standby that has replayed all
 * there is names the page's start. No record ends so early in a page that it began in. */
static bool read_end_of_log(const struct rf_load *last, uint64_t *bytes) {
    enum { PAGE = 8192, HEADER = 24, LONG_HEADER = 40 };
    if (!rf_read_lsn(last->lsn, bytes)) return false;
    uint64_t in_page = *bytes % PAGE;
    if (in_page == HEADER || in_page == LONG_HEADER) *bytes -= in_page;
    return true;
}

static bool log_is_behind(const struct rf_source_facts *source, const struct rf_load *last) {
    uint64_t then;
    return same_history(&source->identity, &last->identity) && read_end_of_log(last, &then) &&
           source->snapshot.lsn_bytes < then;
}

bool rf_source_is_behind(const struct rf_source_facts *source, const struct rf_load *last) {
    /* Until a standby has replayed a promotion it names the timeline before; timelines only rise. */
    uint64_t then;
    return source->snapshot.in_recovery && same_text(source->identity.system, last->identity.system) &&
           source->identity.timeline <= last->identity.timeline && read_end_of_log(last, &then) && source->snapshot.lsn_bytes < then;
}

bool rf_timeline_is_unsure(const struct rf_source_facts *source, const struct rf_load *last) {
    uint64_t then;
    return same_history(&source->identity, &last->identity) && read_end_of_log(last, &then) && source->identity.timeline_bytes < then;
}

/* How much of a line a reason quotes: whole characters, since the report is read as UTF-8. */
static int quoted_bytes(const struct rf_line *line) {
    enum { MOST = 200 };
    size_t n = line->n_bytes;
    if (n <= MOST) return (int)n;
    n = MOST;
    while (n > 0 && ((unsigned char)line->text[n] & 0xC0) == 0x80) n--;
    return (int)n;
}

/* ---- what a changed line asks for ---- */

static enum rf_code say(struct rf_plan *plan, const char *what, const struct rf_line *line, struct rf_arena *arena, struct rf_error *err) {
    if (plan->n_reasons >= RF_MOST_CHANGES) return RF_OK;
    return rf_plan_reason(plan, arena, err, "%s since the last load: %.*s", what, quoted_bytes(line), line->text);
}

enum rf_code rf_refuse_ground(const struct rf_plan *plan, const char *why, struct rf_error *err) {
    rf_fail(err, RF_CONFIG, "%s has no key, and which of its rows %s has already cannot be told any more: %s", plan->job->source_label, plan->job->target_label, why);
    return rf_hint(err, "Load it into another target_table; or rename or drop %s and run `rowferry state reset`: the next load begins with all rows. Mode replace needs no key.", plan->job->target_label);
}

static enum rf_code refuse_line(const struct rf_plan *plan, const char *what, const struct rf_line *line, struct rf_error *err) {
    char why[512];
    snprintf(why, sizeof why, "%s since the last load: %.*s", what, quoted_bytes(line), line->text);
    return rf_refuse_ground(plan, why, err);
}

/* What a column or label is from now on changes no row version; the rows of before stay as they were read. */
static enum rf_code read_all(struct rf_plan *plan, const char *what, const struct rf_line *line, struct rf_arena *arena, struct rf_error *err) {
    bool bearable = rf_is_about(line, "column") || rf_is_about(line, "labels");
    if (rf_settles(plan)) return bearable ? say(plan, what, line, arena, err) : refuse_line(plan, what, line, err);
    plan->reconcile = true;
    return say(plan, what, line, arena, err);
}

static enum rf_code sweep(struct rf_plan *plan, const char *what, const struct rf_line *line, struct rf_arena *arena, struct rf_error *err) {
    plan->sweep = !rf_settles(plan);
    return say(plan, what, line, arena, err);
}

/* A table made anew brings its one leaf, and is told as such. */
static enum rf_code note_leaf(struct rf_plan *plan, enum rf_drift_kind kind, const struct rf_line *line, struct rf_arena *arena, struct rf_error *err) {
    enum { BEFORE_NAME = 4 };
    size_t at = rf_words(line, BEFORE_NAME);
    char *name = rf_arena_take(arena, line->n_bytes - at + 1);
    if (!name) return rf_no_memory(err);
    if (at < line->n_bytes) memcpy(name, line->text + at + 1, line->n_bytes - at - 1);
    return rf_note_drift(plan, kind, name, NULL, NULL, err);
}

static enum rf_code take_oid(const struct rf_line *line, struct rf_arena *arena, const char **out, struct rf_error *err) {
    char *oid = rf_arena_take(arena, 24);
    if (!oid) return rf_no_memory(err);
    snprintf(oid, 24, "%llu", rf_line_number(line));
    *out = oid;
    return RF_OK;
}

/* "leaf <oid> <file> <access method> <name>": an attached leaf brings rows without a new version. Of one that left and comes back they are there. */
static enum rf_code add_leaf(struct rf_plan *plan, const struct rf_line *line, const char *before, struct rf_arena *arena, struct rf_error *err) {
    struct rf_line was;
    RF_TRY(take_oid(line, arena, &plan->new_leaves[plan->n_new_leaves++], err));
    if (rf_settles(plan) && rf_find_number(before, RF_NOTE_LEFT, rf_line_number(line), &was)) return refuse_line(plan, "attached again", line, err);
    if (rf_same_table(plan->source, plan->last)) RF_TRY(note_leaf(plan, RF_PARTITION_ATTACHED, line, arena, err));
    return say(plan, "attached", line, arena, err);
}

/* The file of a leaf changes with TRUNCATE and with whatever rewrites the table. Rows that came in afterwards, or
 * were rewritten by ALTER, have new versions; rows that are gone show in nothing but the keys. */
static enum rf_code judge_new_leaf(struct rf_plan *plan, const struct rf_line *line, const char *before, struct rf_arena *arena, struct rf_error *err) {
    enum { WITH_FILE = 4 };
    struct rf_line was;
    if (!rf_find_number(before, "leaf", rf_line_number(line), &was)) return add_leaf(plan, line, before, arena, err);
    if (rf_same_words(&was, line, WITH_FILE)) return RF_OK;
    if (rf_settles(plan)) RF_TRY(take_oid(line, arena, &plan->rewritten[plan->n_rewritten++], err));
    return sweep(plan, "rewritten or emptied", line, arena, err);
}

/* "triggers <leaf> <hash>": those that set a cursor column were perhaps off for a while. A new leaf is read whole. */
static void judge_new_triggers(struct rf_plan *plan, const struct rf_line *line, const char *before) {
    struct rf_line was;
    plan->triggers_changed |= rf_find_number(before, "leaf", rf_line_number(line), &was);
}

static enum rf_code judge_new(struct rf_plan *plan, const struct rf_line *line, const char *before, struct rf_arena *arena, struct rf_error *err) {
    if (rf_is_about(line, "leaf") && *before) return judge_new_leaf(plan, line, before, arena, err);
    if (rf_is_about(line, "triggers")) {
        judge_new_triggers(plan, line, before);
        return RF_OK;
    }
    if (rf_is_about(line, "unlogged") && !rf_settles(plan)) return RF_OK;
    return read_all(plan, "new", line, arena, err);
}

/* A column that was dropped leaves nothing to read, and an enum's labels go with its column; triggers that are gone
 * set no cursor. A line that was only replaced was judged as a new one. Whether a table is logged shows in its file as well, but where rows settle: the
 * rewriting leaves no other trace there. */
static enum rf_code judge_gone(struct rf_plan *plan, const struct rf_line *line, const char *now, struct rf_arena *arena, struct rf_error *err) {
    struct rf_line is;
    if (rf_is_about(line, "column") || rf_is_about(line, "labels") || rf_is_about(line, "triggers")) return RF_OK;
    if (rf_is_note(line) || (rf_is_about(line, "unlogged") && !rf_settles(plan))) return RF_OK;
    if (!rf_is_about(line, "leaf")) return read_all(plan, "gone", line, arena, err);
    if (rf_find_number(now, "leaf", rf_line_number(line), &is)) return RF_OK;
    if (rf_same_table(plan->source, plan->last)) RF_TRY(note_leaf(plan, RF_PARTITION_DETACHED, line, arena, err));
    return sweep(plan, "detached", line, arena, err);
}

static enum rf_code compare_fingerprints(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const char *now = plan->source->fingerprint, *before = plan->last->fingerprint ? plan->last->fingerprint : "";
    struct rf_line line;
    plan->new_leaves = rf_arena_take(arena, (rf_count_lines(now) + 1) * sizeof *plan->new_leaves);
    plan->rewritten = rf_arena_take(arena, (rf_count_lines(now) + 1) * sizeof *plan->rewritten);
    if (!plan->new_leaves || !plan->rewritten) return rf_no_memory(err);
    for (const char *at = now; rf_next_line(&at, &line);)
        if (!rf_has_line(before, &line)) RF_TRY(judge_new(plan, &line, before, arena, err));
    for (const char *at = before; rf_next_line(&at, &line);)
        if (!rf_has_line(now, &line)) RF_TRY(judge_gone(plan, &line, now, arena, err));
    return RF_OK;
}

static enum rf_code note_new_table(struct rf_plan *plan, struct rf_error *err) {
    const struct rf_identity *now = &plan->source->identity, *then = &plan->last->identity;
    bool is_new = same_text(now->system, then->system) && same_text(now->database, then->database) && now->table_oid != then->table_oid;
    return is_new ? rf_note_drift(plan, RF_TABLE_RECREATED, NULL, NULL, NULL, err) : RF_OK;
}

/* Those leaves of one fingerprint that the other has not, whatever their files. */
static enum rf_code note_leaves(struct rf_plan *plan, enum rf_drift_kind kind, const char *of, const char *other, struct rf_arena *arena, struct rf_error *err) {
    struct rf_line line, same;
    while (rf_next_line(&of, &line))
        if (rf_is_about(&line, "leaf") && !rf_find_number(other, "leaf", rf_line_number(&line), &same)) RF_TRY(note_leaf(plan, kind, &line, arena, err));
    return RF_OK;
}

/* ---- the whole ---- */

enum rf_code rf_note_tables(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const char *now = plan->source->fingerprint, *before = plan->last->fingerprint;
    if (plan->last->load_id == 0 || plan->last->is_reset || plan->first_load) return RF_OK;
    RF_TRY(note_new_table(plan, err));
    if (!before || !*before || !rf_same_table(plan->source, plan->last)) return RF_OK;
    RF_TRY(note_leaves(plan, RF_PARTITION_ATTACHED, now, before, arena, err));
    return note_leaves(plan, RF_PARTITION_DETACHED, before, now, arena, err);
}

enum rf_code rf_find_ground(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const struct rf_identity *now = &plan->source->identity, *then = &plan->last->identity;
    const struct rf_snapshot *snapshot = &plan->source->snapshot;
    bool settles = rf_settles(plan);
    if (settles && !rf_has_note(plan->last->fingerprint, RF_NOTE_SETTLED)) return rf_refuse_ground(plan, "the last load went by a key that the table, or the job, no longer has", err);
    bool same_target = !plan->last->target_file || same_text(plan->last->target_file, plan->target->file);
    const struct { bool broken; const char *reason, *bearable; } grounds[] = {
        {!same_text(now->system, then->system), "the source is another server than at the last load (system identifier)", NULL},
        {now->timeline != then->timeline, "the source is on another timeline than at the last load: it failed over or was restored", NULL},
        {!same_text(now->database, then->database), "the source is another database than at the last load", NULL},
        {now->table_oid != then->table_oid, "the source table was re-created since the last load", NULL},
        {snapshot->xmin < plan->as_of, "the source's transaction counter is behind the last load: it was restored", NULL},
        {log_is_behind(plan->source, plan->last), "the source's log is behind the last load: it was restored", NULL},
        {!same_target, "the target table was re-created, emptied or rewritten since the last load",
         "the target table was re-created, emptied or rewritten since the last load: rows of earlier loads do not come again"},
        {plan->altered_whole, "the target's columns or key are altered by this load", "the target's columns are altered by this load: rows of earlier loads do not come again"},
    };
    RF_TRY(note_new_table(plan, err));
    for (size_t i = 0; i < sizeof grounds / sizeof grounds[0]; i++) {
        if (!grounds[i].broken) continue;
        if (settles && !grounds[i].bearable) return rf_refuse_ground(plan, grounds[i].reason, err);
        plan->reconcile |= !settles;
        RF_TRY(rf_plan_reason(plan, arena, err, "%s", settles ? grounds[i].bearable : grounds[i].reason));
    }
    return compare_fingerprints(plan, arena, err);
}

/* ---- the mask of a stream's key ---- */

/* The line of a fingerprint that says what hides the column; empty when nothing does. */
static struct rf_line mask_line(const char *fingerprint, const char *begin) {
    struct rf_line line;
    while (rf_next_line(&fingerprint, &line))
        if (rf_begins(&line, begin)) return line;
    return (struct rf_line){.text = ""};
}

static enum rf_code check_masked_key(const struct rf_plan *plan, const char *column, struct rf_text *begin, struct rf_error *err) {
    rf_mask_begin_line(column, begin);
    RF_TRY(rf_text_check(begin, err));
    struct rf_line now = mask_line(plan->source->fingerprint, begin->data), before = mask_line(plan->last->fingerprint, begin->data);
    if (rf_same_line(&now, &before)) return RF_OK;
    rf_fail(err, RF_CONFIG, "the key column \"%s\" is hidden in another way, or by another key, than at the last load into %s, so that rows would be there twice",
            column, plan->job->target_label);
    return rf_hint(err, "Use the mask and the key of before, or drop the table: a load makes it anew.");
}

enum rf_code rf_check_masked_key(const struct rf_plan *plan, struct rf_error *err) {
    enum rf_code code = RF_OK;
    bool follows = plan->last->load_id > 0 && !plan->last->is_reset && plan->target->exists && plan->job->mode != RF_MODE_REPLACE;
    for (int k = 0; code == RF_OK && follows && k < plan->source->n_keys; k++) {
        struct rf_text begin = {0};
        code = check_masked_key(plan, plan->source->columns[plan->source->keys[k]].name, &begin, err);
        rf_text_free(&begin);
    }
    return code;
}
