#include "core/report.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const COUNT_NAMES[] = {"read", "staged", "inserted", "updated", "deleted", "stale", "duplicates", "bytes"};
static const char *const SECONDS_NAMES[] = {"wait", "read", "merge", "commit", "total"};
enum { N_COUNTS = 8, N_SECONDS = 5 };

/* As digits: cJSON's numbers are doubles, printed with fifteen of them. */
static void add_integer(cJSON *to, const char *name, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    cJSON_AddRawToObject(to, name, digits);
}

static void add_text(cJSON *to, const char *name, const char *value) {
    if (value) cJSON_AddStringToObject(to, name, value);
    else cJSON_AddNullToObject(to, name);
}

static char *print_and_delete(cJSON *root) {
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

static void add_counts(cJSON *to, const char *name, const struct rf_counts *counts) {
    const int64_t values[N_COUNTS] = {counts->read, counts->staged, counts->inserted, counts->updated,
                                      counts->deleted, counts->stale, counts->duplicates, counts->bytes};
    cJSON *object = cJSON_AddObjectToObject(to, name);
    for (int i = 0; i < N_COUNTS; i++) add_integer(object, COUNT_NAMES[i], values[i]);
}

static void add_seconds(cJSON *to, const struct rf_seconds *seconds) {
    const double values[N_SECONDS] = {seconds->wait, seconds->read, seconds->merge, seconds->commit, seconds->total};
    cJSON *object = cJSON_AddObjectToObject(to, "seconds");
    for (int i = 0; i < N_SECONDS; i++) cJSON_AddNumberToObject(object, SECONDS_NAMES[i], (double)(int64_t)(values[i] * 1e6) / 1e6);
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
static void add_reason(cJSON *list, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cJSON_AddItemToArray(list, cJSON_CreateString(text));
}

static void add_reasons(cJSON *to, const struct rf_report *report) {
    const struct rf_plan *plan = report->plan;
    const struct rf_counts *counts = &report->this_try;
    cJSON *list = cJSON_AddArrayToObject(to, "reasons");
    for (int i = 0; i < plan->n_reasons; i++) cJSON_AddItemToArray(list, cJSON_CreateString(plan->reasons[i]));
    if (counts->missed > 0)
        add_reason(list, "the audit found %" PRId64 " rows that the cursor had missed, and loaded them (%" PRId64 " since everything was last read)", counts->missed, rf_missed_in_all(report));
    if (counts->live_source != counts->live_target)
        add_reason(list, "the source has %" PRId64 " keys and the target %" PRId64 " live rows: changes were missed, and the next run looks for them", counts->live_source, counts->live_target);
}

struct rf_next rf_report_next(const struct rf_report *report) {
    struct rf_next next = report->plan->next;
    if (report->this_try.live_source == report->this_try.live_target) return next;
    next.watermark = NULL;
    if (report->plan->reading != RF_READ_CURSOR) next.proven = NULL;
    return next;
}

static void add_window(cJSON *to, const struct rf_plan *plan) {
    if (plan->reading != RF_READ_WINDOW) {
        cJSON_AddNullToObject(to, "window");
        return;
    }
    cJSON *window = cJSON_AddObjectToObject(to, "window");
    add_text(window, "since", plan->from);
    add_text(window, "until", plan->until);
}

static void add_checks(cJSON *to, const struct rf_report *report) {
    const struct rf_counts *counts = &report->this_try;
    cJSON_AddBoolToObject(to, "swept", report->plan->sweep);
    if (report->plan->sweep) {
        cJSON *live = cJSON_AddObjectToObject(to, "live");
        add_integer(live, "source", counts->live_source);
        add_integer(live, "target", counts->live_target);
    } else {
        cJSON_AddNullToObject(to, "live");
    }
    if (report->plan->audit) add_integer(cJSON_AddObjectToObject(to, "audit"), "missed", counts->missed);
    else cJSON_AddNullToObject(to, "audit");
}

static void add_holder(cJSON *to, const struct rf_holder *holder) {
    if (!holder->known) {
        cJSON_AddNullToObject(to, "watermark_held_by");
        return;
    }
    cJSON *object = cJSON_AddObjectToObject(to, "watermark_held_by");
    add_integer(object, "pid", holder->pid);
    add_text(object, "user", holder->user);
    add_text(object, "application", holder->application);
    cJSON_AddNumberToObject(object, "seconds", holder->seconds);
}

static void add_source(cJSON *to, const struct rf_source_facts *source) {
    cJSON *object = cJSON_AddObjectToObject(to, "source");
    add_integer(object, "server_version", source->server.version);
    add_text(object, "system", source->identity.system);
    add_integer(object, "timeline", source->identity.timeline);
    add_text(object, "database", source->identity.database);
    cJSON_AddBoolToObject(object, "in_recovery", source->snapshot.in_recovery);
}

static void add_drift(cJSON *to, const struct rf_plan *plan) {
    cJSON *list = cJSON_AddArrayToObject(to, "drift");
    for (int i = 0; i < plan->n_dropped; i++) {
        cJSON *event = cJSON_CreateObject();
        add_text(event, "kind", "column_dropped");
        add_text(event, "column", plan->dropped[i]);
        add_text(event, "policy", "ignore");
        cJSON_AddItemToArray(list, event);
    }
}

bool rf_verification_failed(const struct rf_verification *verification) {
    return verification->different > 0 || verification->missing > 0 ||
           (verification->target_only_is_error && verification->target_only > 0);
}

static cJSON *verification_object(const struct rf_verification *verification) {
    cJSON *object = cJSON_CreateObject();
    add_text(object, "result", rf_verification_failed(verification) ? "different" : "equal");
    cJSON_AddBoolToObject(object, "exact", verification->exact);
    const struct { const char *name; int64_t value; } counts[] = {
        {"compared", verification->compared}, {"equal", verification->equal}, {"pending", verification->pending},
        {"target_only", verification->target_only}, {"different", verification->different}, {"missing", verification->missing}};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) add_integer(object, counts[i].name, counts[i].value);
    add_text(object, "checksum", verification->checksum);
    cJSON *examples = cJSON_AddArrayToObject(object, "examples");
    for (int i = 0; i < verification->n_examples; i++) {
        cJSON *example = cJSON_CreateObject();
        add_text(example, "key", verification->examples[i].key);
        add_text(example, "kind", verification->examples[i].kind);
        cJSON_AddItemToArray(examples, example);
    }
    cJSON *reasons = cJSON_AddArrayToObject(object, "reasons");
    if (verification->reason) cJSON_AddItemToArray(reasons, cJSON_CreateString(verification->reason));
    return object;
}

char *rf_verification_json(const struct rf_verification *verification) {
    return print_and_delete(verification_object(verification));
}

static void add_run(cJSON *root, const struct rf_report *report) {
    const struct rf_plan *plan = report->plan;
    const struct rf_job *job = plan->job;
    add_integer(root, "version", 1);
    add_text(root, "run_id", job->run_id);
    add_integer(root, "try_number", job->try_number);
    add_integer(root, "increment", report->increment);
    add_integer(root, "load_id", plan->load_id);
    add_text(root, "table", job->source_label);
    add_text(root, "target_table", job->target_label);
    add_text(root, "source_name", job->source_name);
}

static void add_proof(cJSON *root, const struct rf_report *report) {
    const struct rf_plan *plan = report->plan;
    add_text(root, "capture", plan->capture);
    add_text(root, "capture_reason", plan->capture_reason);
    cJSON_AddBoolToObject(root, "first_load", plan->first_load);
    cJSON_AddBoolToObject(root, "reconciled", plan->reconcile);
    add_text(root, "mode", "merge");
    add_text(root, "completeness", rf_report_completeness(report));
    add_text(root, "hard_deletes", plan->hard_deletes);
    add_reasons(root, report);
    add_text(root, "extracted_at", plan->extracted_at);
    add_text(root, "snapshot", plan->source->snapshot.text);
    add_text(root, "lsn", plan->source->snapshot.lsn);
    add_text(root, "watermark", rf_report_next(report).watermark);
    add_holder(root, &plan->held_by);
    add_window(root, plan);
    add_checks(root, report);
    add_integer(root, "connections", report->connections);
}

char *rf_report_json(const struct rf_report *report) {
    cJSON *root = cJSON_CreateObject();
    add_run(root, report);
    add_proof(root, report);
    add_counts(root, "this_try", &report->this_try);
    add_counts(root, "run_total", &report->run_total);
    add_seconds(root, &report->seconds);
    add_source(root, report->plan->source);
    cJSON *target = cJSON_AddObjectToObject(root, "target");
    add_integer(target, "server_version", report->plan->target->server.version);
    add_text(target, "channel", report->channel);
    if (report->verification.done) cJSON_AddItemToObject(root, "verification", verification_object(&report->verification));
    else cJSON_AddNullToObject(root, "verification");
    add_drift(root, report->plan);
    cJSON_AddArrayToObject(root, "warnings");
    return print_and_delete(root);
}

char *rf_plan_json(const struct rf_plan *plan, const struct rf_statement *statements, int n_statements) {
    cJSON *root = cJSON_CreateObject();
    add_text(root, "table", plan->job->source_label);
    add_text(root, "target_table", plan->job->target_label);
    add_text(root, "capture", plan->capture);
    add_text(root, "capture_reason", plan->capture_reason);
    cJSON_AddBoolToObject(root, "first_load", plan->first_load);
    cJSON_AddBoolToObject(root, "full_read", plan->full_read);
    cJSON_AddBoolToObject(root, "sweep", plan->sweep);
    add_text(root, "completeness", plan->completeness);
    add_text(root, "hard_deletes", plan->hard_deletes);
    add_text(root, "watermark", plan->next.watermark);
    add_holder(root, &plan->held_by);
    add_window(root, plan);
    cJSON *estimate = cJSON_AddObjectToObject(root, "estimate");
    if (plan->source->rows_estimate >= 0) cJSON_AddNumberToObject(estimate, "rows", plan->source->rows_estimate);
    else cJSON_AddNullToObject(estimate, "rows");
    add_integer(estimate, "bytes", plan->source->bytes);
    cJSON *list = cJSON_AddArrayToObject(root, "statements");
    for (int i = 0; i < n_statements; i++) {
        cJSON *statement = cJSON_CreateObject();
        add_text(statement, "server", statements[i].server);
        add_text(statement, "role", statements[i].role);
        add_text(statement, "sql", statements[i].sql);
        cJSON_AddItemToArray(list, statement);
    }
    const struct rf_report nothing_done = {.plan = plan};
    add_reasons(root, &nothing_done);
    add_drift(root, plan);
    return print_and_delete(root);
}

char *rf_error_json(const struct rf_error *err) {
    cJSON *root = cJSON_CreateObject();
    const struct { const char *name, *value; } texts[] = {
        {"code", rf_code_name(err->code)}, {"message", err->message}, {"sqlstate", err->sqlstate},
        {"server_message", err->server_message}, {"detail", err->detail}, {"hint", err->hint}, {"role", err->role}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) add_text(root, texts[i].name, *texts[i].value ? texts[i].value : NULL);
    cJSON_AddBoolToObject(root, "retryable", err->retryable);
    return print_and_delete(root);
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
    {"table", "string", "source table"},
    {"target_table", "string", "target table"},
    {"source_name", "string", "as in the job"},
    {"capture", "string", "how changes were found: xmin or full"},
    {"capture_reason", "string", "why this capture"},
    {"first_load", "boolean", "the target table was created by this load"},
    {"reconciled", "boolean", "everything was read though the capture is incremental; reasons say why"},
    {"mode", "string", "merge"},
    {"completeness", "string", "proven, bounded or best_effort"},
    {"hard_deletes", "string", "captured or not_captured"},
    {"reasons", "array", "what limits the proof, and why"},
    {"extracted_at", "string", "time of the source's snapshot, UTC; rises with every load"},
    {"snapshot", "string", "the source's snapshot, xmin:xmax:in progress"},
    {"lsn", "string", "the source's log position just after the snapshot"},
    {"watermark", "string|null", "the time from which the next run by cursor reads; null when there is none"},
    {"watermark_held_by", "object|null", "the session that keeps the next run from starting later: pid, user, application, seconds"},
    {"window", "object|null", "of a backfill: since and until; UTC, null where open"},
    {"swept", "boolean", "all keys were compared, and rows that the source no longer has closed"},
    {"live", "object|null", "of a sweep: keys at the source, live rows of the target"},
    {"audit", "object|null", "of a run by cursor that compared row versions too: missed, the rows that the cursor had missed"},
    {"connections", "integer", "readers on the source"},
    {"this_try", "object", "rows read, staged, inserted, updated, deleted, stale, duplicates; bytes"},
    {"run_total", "object", "the same over all loads of the run_id; of the last load alone for full"},
    {"seconds", "object", "wait, read, merge, commit, total"},
    {"source", "object", "server_version, system, timeline, database, in_recovery"},
    {"target", "object", "server_version, channel"},
    {"verification", "object|null", "of a run with verify: what the comparison before the commit found"},
    {"drift", "array", "changes of the source's schema that this load met, with the policy applied"},
    {"warnings", "array", "texts"},
};

static void add_types(cJSON *to, const char *types) {
    char words[32];
    rf_copy_text(words, sizeof words, types);
    char *bar = strchr(words, '|');
    if (!bar) {
        cJSON_AddStringToObject(to, "type", words);
        return;
    }
    *bar = '\0';
    const char *both[] = {words, bar + 1};
    cJSON_AddItemToObject(to, "type", cJSON_CreateStringArray(both, 2));
}

static void add_members(cJSON *to, const char *const *names, int n, const char *type) {
    cJSON_AddItemToObject(to, "required", cJSON_CreateStringArray(names, n));
    cJSON *properties = cJSON_AddObjectToObject(to, "properties");
    for (int i = 0; i < n; i++) cJSON_AddStringToObject(cJSON_AddObjectToObject(properties, names[i]), "type", type);
}

char *rf_report_schema(void) {
    cJSON *root = cJSON_CreateObject();
    add_text(root, "$schema", "https://json-schema.org/draft/2020-12/schema");
    add_text(root, "title", "rowferry report");
    add_text(root, "type", "object");
    cJSON *required = cJSON_AddArrayToObject(root, "required");
    cJSON_AddFalseToObject(root, "additionalProperties");
    cJSON *properties = cJSON_AddObjectToObject(root, "properties");
    for (size_t i = 0; i < sizeof PROPERTIES / sizeof PROPERTIES[0]; i++) {
        const struct property *property = &PROPERTIES[i];
        cJSON_AddItemToArray(required, cJSON_CreateString(property->name));
        cJSON *object = cJSON_AddObjectToObject(properties, property->name);
        add_text(object, "description", property->meaning);
        add_types(object, property->type);
        bool counts = strcmp(property->name, "this_try") == 0 || strcmp(property->name, "run_total") == 0;
        if (counts) add_members(object, COUNT_NAMES, N_COUNTS, "integer");
        if (strcmp(property->name, "seconds") == 0) add_members(object, SECONDS_NAMES, N_SECONDS, "number");
    }
    return print_and_delete(root);
}
