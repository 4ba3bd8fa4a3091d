#include "core/plan.h"

#include "core/passthrough.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const METADATA[] = {"_extracted_at", "_load_id", "_deleted_at"};

bool rf_read_snapshot(const char *text, uint64_t *xmin, uint64_t *xmax) {
    return text && sscanf(text, "%" SCNu64 ":%" SCNu64 ":", xmin, xmax) == 2;
}

bool rf_read_lsn(const char *text, uint64_t *bytes) {
    unsigned int high, low;
    if (!text || sscanf(text, "%X/%X", &high, &low) != 2) return false;
    *bytes = (uint64_t)high << 32 | low;
    return true;
}

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

/* ---- reasons ---- */

static enum rf_code keep_text(struct rf_arena *arena, const char **out, struct rf_error *err, const char *format,
                              va_list args) {
    char whole[1024], text[512];
    vsnprintf(whole, sizeof whole, format, args);
    rf_copy_text(text, sizeof text, whole);
    *out = rf_arena_copy(arena, text);
    return *out ? RF_OK : rf_no_memory(err);
}

RF_PRINTF(4, 5)
static enum rf_code add_reason(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err, const char *format, ...) {
    if (plan->n_reasons == RF_MOST_REASONS) return RF_OK;
    va_list args;
    va_start(args, format);
    enum rf_code code = keep_text(arena, &plan->reasons[plan->n_reasons], err, format, args);
    va_end(args);
    if (code == RF_OK) plan->n_reasons++;
    return code;
}

/* ---- the time of extraction ---- */

static bool read_micros(const char *text, int64_t *micros) {
    struct tm tm = {0};
    int fraction;
    if (!text || sscanf(text, "%d-%d-%dT%d:%d:%d.%6d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min,
                        &tm.tm_sec, &fraction) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *micros = (int64_t)timegm(&tm) * 1000000 + fraction;
    return true;
}

/* max(source clock at the snapshot, last load's + 1 µs): a clock stepped back never takes it back. */
static enum rf_code set_extracted_at(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    int64_t now, before;
    if (!read_micros(plan->source->snapshot.clock, &now))
        return rf_fail(err, RF_INTERNAL, "the source's clock, \"%s\", cannot be read", plan->source->snapshot.clock);
    if (read_micros(plan->last->extracted_at, &before) && now <= before) now = before + 1;
    time_t seconds = (time_t)(now / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    char text[64];
    snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
             tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(now % 1000000));
    plan->extracted_at = rf_arena_copy(arena, text);
    return plan->extracted_at ? RF_OK : rf_no_memory(err);
}

/* ---- fingerprints ---- */

static bool has_line(const char *text, const char *line, size_t length) {
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        if (n == length && memcmp(at, line, n) == 0) return true;
        at += n + (at[n] == '\n');
    }
    return false;
}

/* How much of a line a reason quotes: whole characters, since the report is read as UTF-8. */
static size_t quoted_bytes(const char *line, size_t n) {
    enum { MOST = 200 };
    if (n <= MOST) return n;
    n = MOST;
    while (n > 0 && ((unsigned char)line[n] & 0xC0) == 0x80) n--;
    return n;
}

/* A reason for each line of `from` that `other` lacks. */
static enum rf_code add_missing_lines(struct rf_plan *plan, const char *from, const char *other, const char *what,
                                      struct rf_arena *arena, struct rf_error *err) {
    for (const char *at = from; *at;) {
        size_t n = strcspn(at, "\n");
        if (!has_line(other, at, n)) {
            plan->reconcile = true;
            if (plan->n_reasons < RF_MOST_CHANGES) RF_TRY(add_reason(plan, arena, err, "%s since the last load: %.*s", what, (int)quoted_bytes(at, n), at));
        }
        at += n + (at[n] == '\n');
    }
    return RF_OK;
}

/* ---- how much to read ---- */

/* Each reason why the last snapshot says nothing about what changed since. */
static enum rf_code find_broken_ground(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const struct rf_identity *now = &plan->source->identity, *then = &plan->last->identity;
    const struct rf_snapshot *snapshot = &plan->source->snapshot;
    struct { bool broken; const char *reason; } grounds[] = {
        {!same_text(now->system, then->system), "the source is another server than at the last load (system identifier)"},
        {now->timeline != then->timeline, "the source is on another timeline than at the last load: it failed over or was restored"},
        {!same_text(now->database, then->database), "the source is another database than at the last load"},
        {now->table_oid != then->table_oid, "the source table was re-created since the last load"},
        {snapshot->xmin < plan->since, "the source's transaction counter is behind the last load: it was restored"},
        {log_is_behind(plan->source, plan->last), "the source's log is behind the last load: it was restored"},
        {snapshot->xmax >= plan->since + (UINT64_C(1) << 31), "more than 2^31 transactions since the last load: row versions can no longer be compared"},
    };
    for (size_t i = 0; i < sizeof grounds / sizeof grounds[0]; i++) {
        if (!grounds[i].broken) continue;
        plan->reconcile = true;
        RF_TRY(add_reason(plan, arena, err, "%s", grounds[i].reason));
    }
    const char *before = plan->last->fingerprint ? plan->last->fingerprint : "";
    RF_TRY(add_missing_lines(plan, plan->source->fingerprint, before, "new", arena, err));
    return add_missing_lines(plan, before, plan->source->fingerprint, "gone", arena, err);
}

static enum rf_code decide_capture(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    uint64_t xmax;
    bool has_snapshot = plan->last->load_id > 0 && !plan->last->is_reset && rf_read_snapshot(plan->last->snapshot, &plan->since, &xmax);
    if (plan->job->capture == RF_CAPTURE_FULL) {
        plan->capture = "full";
        plan->capture_reason = "asked for: every row is read, and rows that are gone are closed";
        plan->full_read = true;
        return RF_OK;
    }
    plan->capture = "xmin";
    plan->capture_reason = plan->job->capture == RF_CAPTURE_XMIN ? "asked for"
                           : "auto: row versions prove every change, need no cursor column and only the right to SELECT";
    if (!has_snapshot || plan->first_load) {
        plan->full_read = true;
        if (plan->last->is_reset) RF_TRY(add_reason(plan, arena, err, "the state was reset: everything is read"));
        else if (plan->last->load_id > 0 && plan->first_load) RF_TRY(add_reason(plan, arena, err, "the target table is missing though it was loaded before: everything is read"));
        plan->reconcile = plan->last->load_id > 0;
        return RF_OK;
    }
    RF_TRY(find_broken_ground(plan, arena, err));
    if (plan->job->where && !plan->source->key_proven) {
        plan->reconcile = true;
        RF_TRY(add_reason(plan, arena, err, "a key that may repeat does not show which of its rows left the filter: everything is read"));
    }
    plan->full_read = plan->reconcile;
    return RF_OK;
}

static enum rf_code state_proof(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->completeness = "proven";
    plan->hard_deletes = plan->full_read ? "captured" : "not_captured";
    if (plan->source->row_security) {
        plan->completeness = "best_effort";
        RF_TRY(add_reason(plan, arena, err, "row security hides rows of the source from this role; a change of what it hides is not seen"));
    }
    if (plan->full_read) return RF_OK;
    if (plan->job->where) RF_TRY(add_reason(plan, arena, err, "the filter is judged when a row changes; what it draws from the time or from other tables is not judged again"));
    return add_reason(plan, arena, err, "row versions do not show hard deletes; a run with capture full closes deleted rows");
}

/* ---- whether the target takes it ---- */

static const struct rf_column *find_column(const struct rf_column *columns, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(columns[i].name, name) == 0) return &columns[i];
    return NULL;
}

const struct rf_column *rf_target_column(const struct rf_plan *plan, int i) {
    return find_column(plan->target->columns, plan->target->n_columns, plan->source->columns[i].name);
}

static enum rf_code refuse_column(const struct rf_plan *plan, const struct rf_column *from, const struct rf_column *to,
                                  struct rf_error *err) {
    const char *label = plan->job->source_label;
    if (from->refusal) {
        rf_fail(err, RF_CONFIG, "column \"%s\" of %s is of type %s, which cannot be carried: %s", from->name, label, from->type, from->refusal);
        return rf_hint(err, "Leave it out with \"columns\", or give the source a view column of another type.");
    }
    if (to->refusal) {
        rf_fail(err, RF_CONFIG, "column \"%s\" of %s is of type %s, and the target's %s cannot take it: %s", from->name, label, from->type, to->type, to->refusal);
        return rf_hint(err, "Create the same type on the target, or leave the column out with \"columns\".");
    }
    enum rf_code code = plan->target->exists ? RF_DRIFT : RF_CONFIG;
    if (strcmp(from->type, to->type) == 0) {
        rf_fail(err, code, "column \"%s\" of %s is of type %s, which is %s at the source and %s at the target", from->name, label, from->type, from->identity, to->identity);
        return rf_hint(err, "Make the type of the target the same, or leave the column out with \"columns\".");
    }
    rf_fail(err, code, "column \"%s\" of %s is of type %s and that of %s is %s: the value would have to be converted",
            from->name, label, from->type, plan->job->target_label, to->type);
    return rf_hint(err, "ALTER the target's column to %s, or leave it out with \"columns\". This release does not convert types.", from->type);
}

bool rf_is_key(const struct rf_source_facts *source, int i) {
    for (int k = 0; k < source->n_keys; k++)
        if (source->keys[k] == i) return true;
    return false;
}

static enum rf_code check_columns(const struct rf_plan *plan, struct rf_error *err) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        const struct rf_column *from = &plan->source->columns[i];
        const struct rf_column *to = rf_target_column(plan, i);
        if (!to) {
            rf_fail(err, RF_DRIFT, "column \"%s\" (%s) was added to %s and is not in %s", from->name, from->type, plan->job->source_label, plan->job->target_label);
            return rf_hint(err, "ALTER TABLE %s ADD COLUMN \"%s\" %s, or name the columns to carry in \"columns\".", plan->job->target_label, from->name, from->type);
        }
        if (rf_fit_column(from, to) == RF_FITS_NOT) return refuse_column(plan, from, to, err);
        if (plan->target->exists && to->not_null && !from->not_null && !rf_is_key(plan->source, i)) {
            rf_fail(err, RF_DRIFT, "column \"%s\" of %s may be NULL, that of %s may not", from->name, plan->job->source_label, plan->job->target_label);
            return rf_hint(err, "ALTER TABLE %s ALTER COLUMN \"%s\" DROP NOT NULL.", plan->job->target_label, from->name);
        }
    }
    return RF_OK;
}

static bool is_metadata(const char *name) {
    for (size_t i = 0; i < sizeof METADATA / sizeof METADATA[0]; i++)
        if (strcmp(METADATA[i], name) == 0) return true;
    return false;
}

/* A column that the source lost stays and is NULL from now on; one that may not be NULL stops the run. */
static enum rf_code note_dropped(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->dropped = rf_arena_take(arena, (size_t)(plan->target->n_columns + 1) * sizeof *plan->dropped);
    if (!plan->dropped) return rf_no_memory(err);
    for (int i = 0; i < plan->target->n_columns; i++) {
        const struct rf_column *column = &plan->target->columns[i];
        if (is_metadata(column->name) || column->generated || find_column(plan->source->columns, plan->source->n_columns, column->name)) continue;
        if (column->not_null) {
            rf_fail(err, RF_DRIFT, "column \"%s\" of %s may not be NULL and no longer comes from %s", column->name, plan->job->target_label, plan->job->source_label);
            return rf_hint(err, "ALTER TABLE %s ALTER COLUMN \"%s\" DROP NOT NULL, or drop the column there too.", plan->job->target_label, column->name);
        }
        plan->dropped[plan->n_dropped++] = column->name;
    }
    return RF_OK;
}

static enum rf_code check_reserved_names(const struct rf_plan *plan, struct rf_error *err) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        const char *name = plan->source->columns[i].name;
        if (!is_metadata(name) && strncmp(name, "_rowferry_", 10) != 0) continue;
        rf_fail(err, RF_CONFIG, "column \"%s\" of %s has a name that rowferry uses itself", name, plan->job->source_label);
        return rf_hint(err, "Leave it out with \"columns\".");
    }
    return RF_OK;
}

static enum rf_code check_existing(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    const char *label = plan->job->target_label;
    if (!plan->target->is_ours) {
        rf_fail(err, RF_CONFIG, "%s exists and was not made by rowferry: it has no _extracted_at, _load_id and _deleted_at", label);
        return rf_hint(err, "Choose another target_table, or drop the table.");
    }
    if (plan->last->load_id > 0 && plan->last->source_table && strcmp(plan->last->source_table, plan->job->source_label) != 0) {
        rf_fail(err, RF_CONFIG, "%s is loaded from %s, and this job would load it from %s", label, plan->last->source_table, plan->job->source_label);
        return rf_hint(err, "Give each source table a target of its own: target_table may use {schema}.");
    }
    if (!plan->target->key_unique) {
        rf_fail(err, plan->last->load_id > 0 ? RF_DRIFT : RF_CONFIG, "%s has no unique index over exactly the keys of the job, all of them NOT NULL", label);
        return rf_hint(err, "The keys changed, or the index was dropped: create the unique index, or load into another target_table.");
    }
    return note_dropped(plan, arena, err);
}

static enum rf_code check_target(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    RF_TRY(rf_fit_servers(plan->source, plan->target, err));
    RF_TRY(check_reserved_names(plan, err));
    if (plan->target->exists) RF_TRY(check_existing(plan, arena, err));
    return check_columns(plan, err);
}

enum rf_code rf_plan_make(const struct rf_job *job, const struct rf_source_facts *source,
                          const struct rf_target_facts *target, const struct rf_load *last, int64_t load_id,
                          struct rf_arena *arena, struct rf_plan *plan, struct rf_error *err) {
    *plan = (struct rf_plan){.job = job, .source = source, .target = target, .last = last, .load_id = load_id};
    plan->first_load = !target->exists;
    RF_TRY(check_target(plan, arena, err));
    RF_TRY(set_extracted_at(plan, arena, err));
    RF_TRY(decide_capture(plan, arena, err));
    plan->straight = plan->first_load && source->key_proven;
    plan->dedupe = !source->key_proven;
    plan->mark_gone = !plan->full_read && job->where;
    plan->close_absent = plan->full_read && !plan->first_load;
    return state_proof(plan, arena, err);
}
