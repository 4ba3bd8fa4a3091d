#include "core/report.h"

#include "core/json.h"
#include "core/mask.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const COUNT_NAMES[] = {"read", "staged", "inserted", "updated", "deleted", "stale", "duplicates", "bytes"};
static const char *const SECONDS_NAMES[] = {"wait", "read", "merge", "commit", "total"};
enum { N_COUNTS = 8, N_SECONDS = 5 };

static void add_counts(struct rf_text *to, const char *name, const struct rf_counts *counts) {
    const int64_t values[N_COUNTS] = {counts->read, counts->staged, counts->inserted, counts->updated,
                                      counts->deleted, counts->stale, counts->duplicates, counts->bytes};
    rf_json_open(to, name, '{');
    for (int i = 0; i < N_COUNTS; i++) rf_json_integer(to, COUNT_NAMES[i], values[i]);
    rf_json_close(to, '}');
}

static void add_seconds(struct rf_text *to, const struct rf_seconds *seconds) {
    const double values[N_SECONDS] = {seconds->wait, seconds->read, seconds->merge, seconds->commit, seconds->total};
    rf_json_open(to, "seconds", '{');
    for (int i = 0; i < N_SECONDS; i++) rf_json_number(to, SECONDS_NAMES[i], values[i]);
    rf_json_close(to, '}');
}

/* A key that a sweep found and the target lacks was missed by this load or an earlier one. */
static int64_t missed_here(const struct rf_report *report) {
    int64_t lacking = report->this_try.live_source - report->this_try.live_target;
    return report->this_try.missed + (lacking > 0 ? lacking : 0);
}

int64_t rf_missed_in_all(const struct rf_report *report) {
    return missed_here(report) + (report->plan->full_read ? 0 : report->plan->last->missed);
}

/* The rows that an audit finds are loaded by it; that there were some says what the cursor is worth. */
const char *rf_report_completeness(const struct rf_report *report) {
    return missed_here(report) > 0 ? "best_effort" : report->plan->completeness;
}

RF_PRINTF(2, 3)
static void add_reason(struct rf_text *list, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    rf_json_text(list, NULL, text);
}

static void add_reasons(struct rf_text *to, const struct rf_report *report) {
    const struct rf_plan *plan = report->plan;
    const struct rf_counts *counts = &report->this_try;
    rf_json_open(to, "reasons", '[');
    for (int i = 0; i < plan->n_reasons; i++) rf_json_text(to, NULL, plan->reasons[i]);
    if (counts->missed > 0)
        add_reason(to, "the audit found %" PRId64 " rows that the cursor had missed, and loaded them (%" PRId64 " since everything was last read)", counts->missed, rf_missed_in_all(report));
    if (counts->held_back > 0)
        add_reason(to, "%" PRId64 " rows are held back for the next run: a transaction that was open then wrote them, or might still have written some like them", counts->held_back);
    if (counts->live_source != counts->live_target)
        add_reason(to, "the source has %" PRId64 " keys and the target %" PRId64 " live rows: changes were missed, and the next run looks for them", counts->live_source, counts->live_target);
    rf_json_close(to, ']');
}

struct rf_next rf_report_next(const struct rf_report *report) {
    struct rf_next next = report->plan->next;
    if (report->this_try.live_source == report->this_try.live_target) return next;
    next.watermark = NULL;
    if (report->plan->reading != RF_READ_CURSOR) next.proven = NULL;
    return next;
}

static void add_window(struct rf_text *to, const struct rf_plan *plan) {
    if (plan->reading != RF_READ_WINDOW) {
        rf_json_null(to, "window");
        return;
    }
    rf_json_open(to, "window", '{');
    rf_json_text(to, "since", plan->from);
    rf_json_text(to, "until", plan->until);
    rf_json_close(to, '}');
}

static void add_checks(struct rf_text *to, const struct rf_report *report) {
    const struct rf_counts *counts = &report->this_try;
    rf_json_flag(to, "swept", report->plan->sweep);
    if (report->plan->sweep) {
        rf_json_open(to, "live", '{');
        rf_json_integer(to, "source", counts->live_source);
        rf_json_integer(to, "target", counts->live_target);
        rf_json_close(to, '}');
    } else {
        rf_json_null(to, "live");
    }
    if (report->plan->audit) {
        rf_json_open(to, "audit", '{');
        rf_json_integer(to, "missed", counts->missed);
        rf_json_close(to, '}');
    } else {
        rf_json_null(to, "audit");
    }
}

static void add_holder(struct rf_text *to, const struct rf_holder *holder) {
    if (!holder->known) {
        rf_json_null(to, "watermark_held_by");
        return;
    }
    rf_json_open(to, "watermark_held_by", '{');
    rf_json_integer(to, "pid", holder->pid);
    rf_json_text(to, "user", holder->user);
    rf_json_text(to, "application", holder->application);
    rf_json_number(to, "seconds", holder->seconds);
    rf_json_close(to, '}');
}

/* A stream tells nothing of where it comes from. */
static void add_source(struct rf_text *to, const struct rf_plan *plan) {
    const struct rf_source_facts *source = plan->source;
    if (plan->reading == RF_READ_GIVEN) {
        rf_json_null(to, "source");
        return;
    }
    rf_json_open(to, "source", '{');
    rf_json_integer(to, "server_version", source->server.version);
    rf_json_text(to, "system", source->identity.system);
    rf_json_integer(to, "timeline", source->identity.timeline);
    rf_json_text(to, "database", source->identity.database);
    rf_json_flag(to, "in_recovery", source->snapshot.in_recovery);
    rf_json_close(to, '}');
}

static void add_drift(struct rf_text *to, const struct rf_plan *plan) {
    rf_json_open(to, "drift", '[');
    for (int i = 0; i < plan->n_events; i++) {
        const struct rf_drift_event *event = &plan->events[i];
        rf_json_open(to, NULL, '{');
        rf_json_text(to, "kind", rf_drift_rows[event->kind].name);
        rf_json_text(to, "column", event->column);
        rf_json_text(to, "old", event->old);
        rf_json_text(to, "new", event->new);
        rf_json_text(to, "policy", rf_policy_name(event->policy));
        rf_json_text(to, "done", rf_drift_rows[event->kind].done[event->policy]);
        rf_json_close(to, '}');
    }
    rf_json_close(to, ']');
}

/* "::pg_catalog.numeric::pg_catalog.text" → text */
static const char *last_type(const char *cast) {
    const char *name = cast;
    for (const char *p = cast; (p = strstr(p, "::pg_catalog.")); ) name = p += strlen("::pg_catalog.");
    return name;
}

static void add_conversions(struct rf_text *to, const struct rf_source_facts *source) {
    rf_json_open(to, "conversions", '[');
    for (int i = 0; i < source->n_columns; i++) {
        const struct rf_column *column = &source->columns[i];
        if (!column->cast) continue;
        rf_json_open(to, NULL, '{');
        rf_json_text(to, "column", column->name);
        rf_json_text(to, "type", column->type);
        rf_json_text(to, "carried_as", last_type(column->cast));
        rf_json_text(to, "reason", column->cast_reason);
        rf_json_close(to, '}');
    }
    rf_json_close(to, ']');
}

/* What the job hides, and never a key. */
static void add_masks(struct rf_text *to, const struct rf_job *job) {
    rf_json_open(to, "masks", '[');
    for (int i = 0; i < job->mask.n; i++) {
        struct rf_text word = {0};
        rf_mask_write(&job->mask.masks[i], &word);
        to->failed |= word.failed;
        rf_json_open(to, NULL, '{');
        rf_json_text(to, "column", job->mask.masks[i].column);
        rf_json_text(to, "mask", word.data);
        rf_json_close(to, '}');
        rf_text_free(&word);
    }
    rf_json_close(to, ']');
}

bool rf_verification_failed(const struct rf_verification *verification) {
    return verification->different > 0 || verification->missing > 0 ||
           (verification->target_only_is_error && verification->target_only > 0);
}

static void add_verification(struct rf_text *to, const char *name, const struct rf_verification *verification) {
    rf_json_open(to, name, '{');
    rf_json_text(to, "result", rf_verification_failed(verification) ? "different" : "equal");
    rf_json_flag(to, "exact", verification->exact);
    const struct { const char *name; int64_t value; } counts[] = {
        {"compared", verification->compared}, {"equal", verification->equal}, {"pending", verification->pending},
        {"target_only", verification->target_only}, {"different", verification->different}, {"missing", verification->missing}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) rf_json_integer(to, counts[i].name, counts[i].value);
    rf_json_text(to, "checksum", verification->checksum);
    rf_json_open(to, "examples", '[');
    for (int i = 0; i < verification->n_examples; i++) {
        rf_json_open(to, NULL, '{');
        rf_json_text(to, "key", verification->examples[i].key);
        rf_json_text(to, "kind", verification->examples[i].kind);
        rf_json_close(to, '}');
    }
    rf_json_close(to, ']');
    rf_json_open(to, "reasons", '[');
    if (verification->reason) rf_json_text(to, NULL, verification->reason);
    rf_json_close(to, ']');
    rf_json_close(to, '}');
}

char *rf_verification_json(const struct rf_verification *verification) {
    struct rf_text json = {0};
    add_verification(&json, NULL, verification);
    return rf_json_take(&json);
}

static void add_run(struct rf_text *root, const struct rf_report *report) {
    const struct rf_plan *plan = report->plan;
    const struct rf_job *job = plan->job;
    rf_json_integer(root, "version", 1);
    rf_json_text(root, "run_id", job->run_id);
    rf_json_integer(root, "try_number", job->try_number);
    rf_json_integer(root, "increment", report->increment);
    rf_json_integer(root, "load_id", plan->load_id);
    rf_json_text(root, "table", job->source_label);
    rf_json_text(root, "target_table", job->target_label);
    rf_json_text(root, "source_name", job->source_name);
}

static void add_proof(struct rf_text *root, const struct rf_report *report) {
    const struct rf_plan *plan = report->plan;
    rf_json_text(root, "capture", plan->capture);
    rf_json_text(root, "capture_reason", plan->capture_reason);
    rf_json_flag(root, "first_load", plan->first_load);
    rf_json_flag(root, "reconciled", plan->reconcile);
    rf_json_text(root, "mode", rf_mode_name(plan->job->mode));
    rf_json_text(root, "completeness", rf_report_completeness(report));
    rf_json_text(root, "hard_deletes", plan->hard_deletes);
    add_reasons(root, report);
    rf_json_text(root, "extracted_at", plan->extracted_at);
    rf_json_text(root, "snapshot", plan->source->snapshot.text);
    rf_json_text(root, "lsn", plan->source->snapshot.lsn);
    rf_json_text(root, "watermark", rf_report_next(report).watermark);
    add_holder(root, &plan->held_by);
    if (rf_settles(plan)) rf_json_integer(root, "held_back", report->this_try.held_back);
    else rf_json_null(root, "held_back");
    add_window(root, plan);
    add_checks(root, report);
    rf_json_integer(root, "connections", report->connections);
}

char *rf_report_json(const struct rf_report *report) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    add_run(&json, report);
    add_proof(&json, report);
    add_counts(&json, "this_try", &report->this_try);
    add_counts(&json, "run_total", &report->run_total);
    add_seconds(&json, &report->seconds);
    add_source(&json, report->plan);
    rf_json_open(&json, "target", '{');
    rf_json_integer(&json, "server_version", report->plan->target->server.version);
    rf_json_text(&json, "channel", report->channel);
    rf_json_close(&json, '}');
    if (report->verification.done) add_verification(&json, "verification", &report->verification);
    else rf_json_null(&json, "verification");
    add_drift(&json, report->plan);
    add_conversions(&json, report->plan->source);
    add_masks(&json, report->plan->job);
    rf_json_open(&json, "warnings", '[');
    rf_json_close(&json, ']');
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}

char *rf_plan_json(const struct rf_plan *plan, const struct rf_statement *statements, int n_statements) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    rf_json_text(&json, "table", plan->job->source_label);
    rf_json_text(&json, "target_table", plan->job->target_label);
    rf_json_text(&json, "capture", plan->capture);
    rf_json_text(&json, "capture_reason", plan->capture_reason);
    rf_json_flag(&json, "first_load", plan->first_load);
    rf_json_flag(&json, "full_read", plan->full_read);
    rf_json_text(&json, "mode", rf_mode_name(plan->job->mode));
    rf_json_flag(&json, "sweep", plan->sweep);
    rf_json_text(&json, "completeness", plan->completeness);
    rf_json_text(&json, "hard_deletes", plan->hard_deletes);
    rf_json_text(&json, "watermark", plan->next.watermark);
    add_holder(&json, &plan->held_by);
    add_window(&json, plan);
    rf_json_open(&json, "estimate", '{');
    if (plan->source->rows_estimate >= 0) rf_json_number(&json, "rows", plan->source->rows_estimate);
    else rf_json_null(&json, "rows");
    rf_json_integer(&json, "bytes", plan->source->bytes);
    rf_json_close(&json, '}');
    rf_json_open(&json, "statements", '[');
    for (int i = 0; i < n_statements; i++) {
        rf_json_open(&json, NULL, '{');
        rf_json_text(&json, "server", statements[i].server);
        rf_json_text(&json, "role", statements[i].role);
        rf_json_text(&json, "sql", statements[i].sql);
        rf_json_close(&json, '}');
    }
    rf_json_close(&json, ']');
    const struct rf_report nothing_done = {.plan = plan};
    add_reasons(&json, &nothing_done);
    add_drift(&json, plan);
    add_conversions(&json, plan->source);
    add_masks(&json, plan->job);
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}

char *rf_error_json(const struct rf_error *err) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    const struct { const char *name, *value; } texts[] = {
        {"code", rf_code_name(err->code)}, {"message", err->message}, {"sqlstate", err->sqlstate},
        {"server_message", err->server_message}, {"detail", err->detail}, {"hint", err->hint}, {"role", err->role}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) rf_json_text(&json, texts[i].name, *texts[i].value ? texts[i].value : NULL);
    rf_json_flag(&json, "retryable", err->retryable);
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}

/* ---- the published schema ---- */

struct property {
    const char *name;
    const char *type; /* JSON types parted by '|' */
    const char *meaning;
};

static const struct property PROPERTIES[] = {
    {"version", "integer", "of this document: 1"},
    {"run_id", "string", "the run this load belongs to"},
    {"try_number", "integer", "the try of the run that did it"},
    {"increment", "integer", "1 for the first load of a run, more when a retry added to it"},
    {"load_id", "integer", "rises with every load of the target table; never given out twice"},
    {"table", "string", "source table, or what the job calls the stream"},
    {"target_table", "string", "target table"},
    {"source_name", "string", "as in the job"},
    {"capture", "string", "how changes were found: xmin, cursor or full; or given: the rows came from a stream"},
    {"capture_reason", "string", "why this capture"},
    {"first_load", "boolean", "the target table was created by this load"},
    {"reconciled", "boolean", "everything was read though the capture is incremental; reasons say why"},
    {"mode", "string", "merge, append or replace"},
    {"completeness", "string", "proven, bounded or best_effort"},
    {"hard_deletes", "string", "captured or not_captured"},
    {"reasons", "array", "what limits the proof, and why"},
    {"extracted_at", "string", "time of the source's snapshot, or of a stream the target's clock before its first row, UTC; rises with every load"},
    {"snapshot", "string|null", "the source's snapshot, xmin:xmax:in progress; null of a stream"},
    {"lsn", "string|null", "the source's log position just after the snapshot; null of a stream"},
    {"watermark", "string|null", "the time from which the next run by cursor reads; null when there is none"},
    {"watermark_held_by", "object|null", "the session that keeps the next run from starting later: pid, user, application, seconds"},
    {"held_back", "integer|null", "of mode append without a key: rows left for the next run, since a transaction was open; else null"},
    {"window", "object|null", "of a backfill: since and until; UTC, null where open"},
    {"swept", "boolean", "all keys were compared, and rows that the source no longer has closed"},
    {"live", "object|null", "of a sweep: keys at the source, live rows of the target"},
    {"audit", "object|null", "of a run by cursor that compared row versions too: missed, the rows that the cursor had missed"},
    {"connections", "integer", "readers on the source"},
    {"this_try", "object", "rows read, staged, inserted, updated, deleted, stale, duplicates; bytes"},
    {"run_total", "object", "the same over all loads of the run_id; of the last load alone for full and replace"},
    {"seconds", "object", "wait, read, merge, commit, total"},
    {"source", "object|null", "server_version, system, timeline, database, in_recovery; null of a stream"},
    {"target", "object", "server_version, channel"},
    {"verification", "object|null", "of a run with verify: what the comparison before the commit found"},
    {"drift", "array", "changes of the schema that this load met: kind, column or partition (null of a whole table), old, new, policy, and what was done"},
    {"conversions", "array", "columns whose values came in another form: column, type at the source, carried_as, reason (null where the table of types says it)"},
    {"masks", "array", "columns whose values were hidden: column, mask"},
    {"warnings", "array", "texts"},
};

static void add_types(struct rf_text *to, const char *types) {
    char first[32];
    size_t length = strcspn(types, "|");
    rf_copy_text(first, length + 1 < sizeof first ? length + 1 : sizeof first, types);
    if (!types[length]) {
        rf_json_text(to, "type", first);
        return;
    }
    rf_json_open(to, "type", '[');
    rf_json_text(to, NULL, first);
    rf_json_text(to, NULL, types + length + 1);
    rf_json_close(to, ']');
}

static void add_members(struct rf_text *to, const char *const *names, int n, const char *type) {
    rf_json_open(to, "required", '[');
    for (int i = 0; i < n; i++) rf_json_text(to, NULL, names[i]);
    rf_json_close(to, ']');
    rf_json_open(to, "properties", '{');
    for (int i = 0; i < n; i++) {
        rf_json_open(to, names[i], '{');
        rf_json_text(to, "type", type);
        rf_json_close(to, '}');
    }
    rf_json_close(to, '}');
}

static void add_property(struct rf_text *to, const struct property *property) {
    bool counts = strcmp(property->name, "this_try") == 0 || strcmp(property->name, "run_total") == 0;
    rf_json_open(to, property->name, '{');
    rf_json_text(to, "description", property->meaning);
    add_types(to, property->type);
    if (counts) add_members(to, COUNT_NAMES, N_COUNTS, "integer");
    if (strcmp(property->name, "seconds") == 0) add_members(to, SECONDS_NAMES, N_SECONDS, "number");
    rf_json_close(to, '}');
}

char *rf_report_schema(void) {
    enum { N_PROPERTIES = sizeof PROPERTIES / sizeof PROPERTIES[0] };
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    rf_json_text(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    rf_json_text(&json, "title", "rowferry report");
    rf_json_text(&json, "type", "object");
    rf_json_open(&json, "required", '[');
    for (int i = 0; i < N_PROPERTIES; i++) rf_json_text(&json, NULL, PROPERTIES[i].name);
    rf_json_close(&json, ']');
    rf_json_flag(&json, "additionalProperties", false);
    rf_json_open(&json, "properties", '{');
    for (int i = 0; i < N_PROPERTIES; i++) add_property(&json, &PROPERTIES[i]);
    rf_json_close(&json, '}');
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}
