/* A load record: one row of the control table `loads`, as texts, in the order of its columns.
 *
 * target_table, load_id, kind, source_table, source_name, run_id, try_number, increment, map_index, capture, completeness,
 * hard_deletes, snapshot, source_system, source_timeline, source_database, source_table_oid, source_lsn, fingerprint,
 * extracted_at, rows_read, rows_inserted, rows_updated, rows_deleted, rows_duplicate, rows_stale, bytes_read, report, chosen,
 * proven_snapshot, watermark, loads_since_audit, loads_since_sweep, rows_missed, cursor_columns, doubted. The target adds
 * the time of the commit and which file holds the table.
 */
#ifndef RF_RECORD_H
#define RF_RECORD_H

#include "core/error.h"
#include "core/report.h"

enum { RF_RECORD_VALUES = 36, RF_RECORD_INTEGERS = 16 };

struct rf_record {
    const char *values[RF_RECORD_VALUES]; /* NULL for SQL NULL; borrow from the report, the plan and what follows */
    char integers[RF_RECORD_INTEGERS][24];
    char *json;
};

/* Of a load. To be emptied with rf_record_drop, also after a failure. The record may not be moved. */
enum rf_code rf_record_load(const struct rf_report *report, struct rf_record *record, struct rf_error *err);
/* Of a reset. */
void rf_record_reset(const struct rf_job *job, int64_t load_id, struct rf_record *record);
/* What the one who asked for a reset is told of it; freed by the caller. */
enum rf_code rf_record_tell(int64_t load_id, char **json, struct rf_error *err);
void rf_record_drop(struct rf_record *record);

#endif
