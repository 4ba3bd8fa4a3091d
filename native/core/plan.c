#include "core/plan.h"

#include "core/capture.h"
#include "core/drift.h"
#include "core/parts.h"
#include "core/timestamp.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const METADATA[] = {"_extracted_at", "_load_id", "_deleted_at"};
static const char SOURCE_XID[] = "_source_xid"; /* that of tables of versions too */

bool rf_read_snapshot(const char *text, uint64_t *xmin, uint64_t *xmax) {
    return text && sscanf(text, "%" SCNu64 ":%" SCNu64 ":", xmin, xmax) == 2;
}

bool rf_read_lsn(const char *text, uint64_t *bytes) {
    unsigned int high, low;
    if (!text || sscanf(text, "%X/%X", &high, &low) != 2) return false;
    *bytes = (uint64_t)high << 32 | low;
    return true;
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

enum rf_code rf_plan_reason(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err, const char *format, ...) {
    if (plan->n_reasons == RF_MOST_REASONS) return RF_OK;
    va_list args;
    va_start(args, format);
    enum rf_code code = keep_text(arena, &plan->reasons[plan->n_reasons], err, format, args);
    va_end(args);
    if (code == RF_OK) plan->n_reasons++;
    return code;
}

/* ---- the time of extraction ---- */

/* max(source clock at the snapshot, last load's + 1 µs): a clock stepped back never takes it back. A stream has no
 * clock; the target's is asked before its first row. */
static enum rf_code set_extracted_at(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    int64_t now, before;
    bool given = plan->job->capture == RF_CAPTURE_GIVEN;
    const char *clock = given ? plan->target->server.clock : plan->source->snapshot.clock;
    if (!rf_read_timestamp(clock, &now))
        return rf_fail(err, RF_INTERNAL, "the %s's clock, \"%s\", cannot be read", given ? "target" : "source", clock ? clock : "");
    if (rf_read_timestamp(plan->last->extracted_at, &before) && now <= before) now = before + 1;
    char text[RF_TIMESTAMP_BYTES];
    rf_write_timestamp(text, now);
    plan->extracted_at = rf_arena_copy(arena, text);
    return plan->extracted_at ? RF_OK : rf_no_memory(err);
}

/* ---- whether the target takes it ---- */

const struct rf_column *rf_target_column(const struct rf_plan *plan, int i) {
    int at = rf_find_column(plan->target->columns, plan->target->n_columns, plan->source->columns[i].name);
    return at < 0 ? NULL : &plan->target->columns[at];
}

enum rf_fit rf_fit(const struct rf_plan *plan, int i) {
    const struct rf_column *from = &plan->source->columns[i], *to = rf_target_column(plan, i);
    return plan->job->capture == RF_CAPTURE_GIVEN ? rf_fit_given(from, to) : rf_fit_column(from, to);
}

bool rf_is_key(const struct rf_source_facts *source, int i) {
    for (int k = 0; k < source->n_keys; k++)
        if (source->keys[k] == i) return true;
    return false;
}

bool rf_keeps_versions(const struct rf_plan *plan) {
    return plan->job->mode == RF_MODE_APPEND;
}

bool rf_settles(const struct rf_plan *plan) {
    return rf_keeps_versions(plan) && plan->source->n_keys == 0 && plan->job->capture != RF_CAPTURE_GIVEN;
}

bool rf_must_be_empty(const struct rf_plan *plan) {
    return rf_settles(plan) && !plan->first_load && plan->since == 0;
}

bool rf_orders_by_cursor(const struct rf_plan *plan) {
    return plan->dedupe && plan->source->n_cursor > 0 && !rf_keeps_versions(plan);
}

bool rf_sends_csv(const struct rf_plan *plan) {
    return plan->source->sends_csv;
}

/* Frames do not say which of their columns have no NULL: what a stream brings the target itself judges, row by row. */
bool rf_may_be_null(const struct rf_plan *plan, int i) {
    return !plan->source->columns[i].not_null && !rf_is_key(plan->source, i) && plan->job->capture != RF_CAPTURE_GIVEN;
}

/* A table that is there was altered to fit, or refused, by now. */
static enum rf_code check_columns(const struct rf_plan *plan, struct rf_error *err) {
    for (int i = 0; i < plan->source->n_columns; i++)
        if (rf_fit(plan, i) == RF_FITS_NOT) return rf_refuse_column(plan, &plan->source->columns[i], rf_target_column(plan, i), err);
    return RF_OK;
}

bool rf_is_metadata(const char *name) {
    for (size_t i = 0; i < sizeof METADATA / sizeof METADATA[0]; i++)
        if (strcmp(METADATA[i], name) == 0) return true;
    return strcmp(SOURCE_XID, name) == 0;
}

bool rf_has_metadata(const struct rf_target_facts *target) {
    for (size_t i = 0; i < sizeof METADATA / sizeof METADATA[0]; i++)
        if (rf_find_column(target->columns, target->n_columns, METADATA[i]) < 0) return false;
    return true;
}

static enum rf_code check_reserved_names(const struct rf_plan *plan, struct rf_error *err) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        const char *name = plan->source->columns[i].name;
        if (!rf_is_metadata(name) && strncmp(name, "_rowferry_", 10) != 0) continue;
        rf_fail(err, RF_CONFIG, "column \"%s\" of %s has a name that rowferry uses itself", name, plan->job->source_label);
        return rf_hint(err, "Leave it out with \"columns\".");
    }
    return RF_OK;
}

/* Rows of one mode mean something else in another. A reset says that whoever asked for it knows. */
static enum rf_code check_mode(const struct rf_plan *plan, struct rf_error *err) {
    const char *label = plan->job->target_label, *mode = rf_mode_name(plan->job->mode);
    bool has_versions = rf_find_column(plan->target->columns, plan->target->n_columns, SOURCE_XID) >= 0;
    bool keeps = plan->job->mode == RF_MODE_APPEND;
    if (plan->last->mode && strcmp(plan->last->mode, mode) != 0) {
        rf_fail(err, RF_CONFIG, "%s was loaded in mode %s, and this job loads it in mode %s", label, plan->last->mode, mode);
        bool same_form = keeps == has_versions;
        return rf_hint(err, same_form ? "`rowferry state reset` lets the next run take it over in the new mode; or choose another target_table."
                                      : "Choose another target_table; or run `rowferry state reset` and drop the table, whose columns are of the old mode.");
    }
    if (keeps == has_versions) return RF_OK;
    rf_fail(err, RF_CONFIG, keeps ? "%s has no column _source_xid: it was not made in mode %s" : "%s holds versions of rows, by its column _source_xid, and this job loads it in mode %s", label, mode);
    return rf_hint(err, "Choose another target_table, or drop the table.");
}

static enum rf_code check_existing(const struct rf_plan *plan, struct rf_error *err) {
    const char *label = plan->job->target_label;
    if (!plan->target->is_ours) {
        rf_fail(err, RF_CONFIG, "%s exists and was not made by rowferry: it has no _extracted_at, _load_id and _deleted_at", label);
        return rf_hint(err, "Choose another target_table, or drop the table.");
    }
    if (plan->last->load_id > 0 && plan->last->source_table && strcmp(plan->last->source_table, plan->job->source_label) != 0) {
        rf_fail(err, RF_CONFIG, "%s is loaded from %s, and this job would load it from %s", label, plan->last->source_table, plan->job->source_label);
        return rf_hint(err, "Give each source table a target of its own: target_table may use {schema}.");
    }
    return check_mode(plan, err);
}

static enum rf_code check_target(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    RF_TRY(rf_fit_servers(plan->source, plan->target, err));
    RF_TRY(check_reserved_names(plan, err));
    if (plan->target->exists) RF_TRY(check_existing(plan, err));
    RF_TRY(rf_decide_drift(plan, arena, err));
    return check_columns(plan, err);
}

enum rf_code rf_plan_make(const struct rf_job *job, const struct rf_source_facts *source,
                          const struct rf_target_facts *target, const struct rf_load *last, int64_t load_id,
                          struct rf_arena *arena, struct rf_plan *plan, struct rf_error *err) {
    *plan = (struct rf_plan){.job = job, .source = source, .target = target, .last = last, .load_id = load_id};
    plan->first_load = !target->exists;
    RF_TRY(check_target(plan, arena, err));
    RF_TRY(set_extracted_at(plan, arena, err));
    RF_TRY(rf_choose_capture(plan, arena, err));
    plan->straight = plan->first_load && (source->key_proven || source->n_keys == 0) && !rf_sends_csv(plan); /* files go into a stage */
    plan->dedupe = !source->key_proven && source->n_keys > 0;
    plan->mark_gone = !plan->full_read && !plan->first_load && source->key_proven && job->where;
    plan->close_absent = plan->full_read && !plan->first_load && job->mode != RF_MODE_REPLACE;
    RF_TRY(rf_cut_parts(plan, arena, err));
    if (rf_keeps_versions(plan)) RF_TRY(rf_plan_reason(plan, arena, err, "the target holds the versions of a row that runs saw; one that came and went between two runs is not among them"));
    return rf_state_proof(plan, arena, err);
}

enum rf_code rf_plan_read(const struct rf_job *job, const struct rf_source_facts *source, struct rf_arena *arena,
                          struct rf_plan *plan, struct rf_error *err) {
    *plan = (struct rf_plan){.job = job, .source = source, .reading = RF_READ_ALL, .full_read = true};
    return rf_cut_parts(plan, arena, err);
}
