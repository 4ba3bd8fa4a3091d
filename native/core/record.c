#include "core/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_REPORT = 27 };

enum rf_code rf_record_load(const struct rf_report *report, struct rf_record *record, struct rf_error *err) {
    const struct rf_plan *plan = report->plan;
    const struct rf_job *job = plan->job;
    const struct rf_source_facts *source = plan->source;
    const struct rf_counts *counts = &report->this_try;
    const struct rf_next next = rf_report_next(report);
    const int64_t integers[RF_RECORD_INTEGERS] = {plan->load_id, job->try_number, report->increment, job->map_index, source->identity.timeline,
                                                  source->identity.table_oid, counts->read, counts->inserted, counts->updated, counts->deleted,
                                                  counts->duplicates, counts->stale, counts->bytes,
                                                  next.loads_since_audit, next.loads_since_sweep, rf_missed_in_all(report)};
    char(*n)[sizeof record->integers[0]] = record->integers;
    *record = (struct rf_record){.json = rf_report_json(report), .values = {
        job->target_label, n[0], "load", job->source_label, job->source_name, job->run_id, n[1], n[2], n[3], plan->capture,
        rf_report_completeness(report), plan->hard_deletes, next.snapshot, source->identity.system, n[4], source->identity.database, n[5],
        source->snapshot.lsn, next.fingerprint, plan->extracted_at, n[6], n[7], n[8], n[9], n[10], n[11], n[12], NULL,
        next.chosen, next.proven, next.watermark, n[13], n[14], n[15],
        next.cursor, next.doubted ? "true" : "false"}};
    for (int i = 0; i < RF_RECORD_INTEGERS; i++) snprintf(n[i], sizeof *n, "%" PRId64, integers[i]);
    record->values[RECORD_REPORT] = record->json;
    return record->json ? RF_OK : rf_no_memory(err);
}

void rf_record_reset(const struct rf_job *job, int64_t load_id, struct rf_record *record) {
    *record = (struct rf_record){.values = {job->target_label, record->integers[0], "reset", job->source_label, job->source_name, job->run_id, "1", "1", "-1"}};
    snprintf(record->integers[0], sizeof record->integers[0], "%" PRId64, load_id);
}

enum rf_code rf_record_tell(int64_t load_id, char **json, struct rf_error *err) {
    char answer[64];
    snprintf(answer, sizeof answer, "{\"load_id\":%" PRId64 "}", load_id);
    *json = strdup(answer);
    return *json ? RF_OK : rf_no_memory(err);
}

void rf_record_drop(struct rf_record *record) {
    free(record->json);
    record->json = NULL;
}
