#include "core/plan.h"

#include "core/capture.h"
#include "core/conversion.h"
#include "core/parts.h"
#include "core/timestamp.h"
#include "core/types.h"

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

/* A time without a zone, which the job keeps so, and a column with one. */
static bool lacks_zone(const struct rf_plan *plan, const struct rf_column *from, const struct rf_column *to) {
    bool has_zone = strstr(to->type, "with time zone") || strstr(to->type, "WITH TIME ZONE") || strcmp(to->type, "TIMESTAMP_TZ") == 0;
    return has_zone && strcmp(from->identity, "timestamp") == 0 && !rf_takes_naive_as_utc(plan->job, plan->target->dialect);
}

#define NAIVE_HINT "If its times are in UTC, say so: \"naive_timestamps\": \"utc\" of the job. Else leave it out with \"columns\"."

static enum rf_code refuse_column(const struct rf_plan *plan, const struct rf_column *from, const struct rf_column *to,
                                  struct rf_error *err) {
    const char *label = plan->job->source_label;
    if (from->arrives_as) {
        rf_fail(err, RF_DRIFT, "column \"%s\" of %s is of type %s, which is %s in %s, and the column there is %s", from->name, label, from->type, from->arrives_as,
                plan->job->target_label, to->type);
        if (lacks_zone(plan, from, to)) return rf_hint(err, NAIVE_HINT);
        return rf_hint(err, "ALTER TABLE %s ALTER COLUMN \"%s\" TYPE %s, or leave it out with \"columns\".", plan->job->target_label, from->name, from->arrives_as);
    }
    if (from->cast) {
        rf_fail(err, RF_DRIFT, "column \"%s\" of %s is of type %s, which is carried as %s (%s), and that of %s is %s",
                from->name, label, from->type, rf_conversion_type(from), from->cast_reason, plan->job->target_label, to->type);
        return rf_hint(err, "ALTER the target's column to %s, or leave it out with \"columns\".", rf_conversion_type(from));
    }
    if (from->refusal) {
        rf_fail(err, RF_CONFIG, "column \"%s\" of %s is of type %s, which cannot be carried: %s", from->name, label, from->type, from->refusal);
        return rf_hint(err, "Leave it out with \"columns\".");
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
    if (lacks_zone(plan, from, to)) return rf_hint(err, NAIVE_HINT);
    return rf_hint(err, "ALTER the target's column to %s, or leave it out with \"columns\"; a text takes any type that \"as_text\" names.", from->type);
}

bool rf_is_key(const struct rf_source_facts *source, int i) {
    for (int k = 0; k < source->n_keys; k++)
        if (source->keys[k] == i) return true;
    return false;
}

bool rf_keeps_versions(const struct rf_plan *plan) {
    return plan->job->mode == RF_MODE_APPEND;
}

bool rf_sends_csv(const struct rf_plan *plan) {
    return plan->source->sends_csv;
}

/* Frames do not say which of their columns have no NULL: what a stream brings the target itself judges, row by row. */
static bool may_be_null(const struct rf_plan *plan, int i) {
    return !plan->source->columns[i].not_null && !rf_is_key(plan->source, i) && plan->job->capture != RF_CAPTURE_GIVEN;
}

static enum rf_code check_columns(const struct rf_plan *plan, struct rf_error *err) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        const struct rf_column *from = &plan->source->columns[i];
        const struct rf_column *to = rf_target_column(plan, i);
        if (!to) {
            rf_fail(err, RF_DRIFT, "column \"%s\" (%s) was added to %s and is not in %s", from->name, from->type, plan->job->source_label, plan->job->target_label);
            const char *type = from->arrives_as ? from->arrives_as : from->cast ? rf_conversion_type(from) : from->type;
            return rf_hint(err, "ALTER TABLE %s ADD COLUMN \"%s\" %s, or name the columns to carry in \"columns\".", plan->job->target_label, from->name, type);
        }
        if (rf_fit(plan, i) == RF_FITS_NOT) return refuse_column(plan, from, to, err);
        if (plan->target->exists && to->not_null && may_be_null(plan, i)) {
            rf_fail(err, RF_DRIFT, "column \"%s\" of %s may be NULL, that of %s may not", from->name, plan->job->source_label, plan->job->target_label);
            return rf_hint(err, "ALTER TABLE %s ALTER COLUMN \"%s\" DROP NOT NULL.", plan->job->target_label, from->name);
        }
    }
    return RF_OK;
}

static bool is_metadata(const char *name) {
    for (size_t i = 0; i < sizeof METADATA / sizeof METADATA[0]; i++)
        if (strcmp(METADATA[i], name) == 0) return true;
    return strcmp(SOURCE_XID, name) == 0;
}

bool rf_has_metadata(const struct rf_target_facts *target) {
    for (size_t i = 0; i < sizeof METADATA / sizeof METADATA[0]; i++)
        if (rf_find_column(target->columns, target->n_columns, METADATA[i]) < 0) return false;
    return true;
}

/* A column that the source lost stays and is NULL from now on; one that may not be NULL stops the run. */
static enum rf_code note_dropped(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    plan->dropped = rf_arena_take(arena, (size_t)(plan->target->n_columns + 1) * sizeof *plan->dropped);
    if (!plan->dropped) return rf_no_memory(err);
    for (int i = 0; i < plan->target->n_columns; i++) {
        const struct rf_column *column = &plan->target->columns[i];
        if (is_metadata(column->name) || column->generated || rf_find_column(plan->source->columns, plan->source->n_columns, column->name) >= 0) continue;
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
    RF_TRY(check_mode(plan, err));
    if (plan->job->mode == RF_MODE_REPLACE) return note_dropped(plan, arena, err);
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
