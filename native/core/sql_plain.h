/* The statements of targets that are told them in plain SQL, each a text without parameters: over ODBC, or any session of
 * texts. What differs between the databases is a row of dialect.h.
 *
 * Every result is of texts and whole numbers; what is a flag is 'true' or 'false'.
 */
#ifndef RF_SQL_PLAIN_H
#define RF_SQL_PLAIN_H

#include "core/dialect.h"
#include "core/plan.h"
#include "core/record.h"
#include "core/text.h"

#include <stdint.h>

/* ---- control tables ---- */

void rf_plain_create_schema(const char *schema, struct rf_text *out);
enum { RF_PLAIN_CONTROL_TABLES = 2 };
void rf_plain_create_control(const struct rf_dialect_row *row, const struct rf_job *job, int table, struct rf_text *out);
/* The lease's row, by the session that holds the table's lock: the first changes it, the second makes it where there is none.
 * Load ids never fall back, not even when the leases were emptied by hand. */
void rf_plain_take_lease(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);
void rf_plain_make_lease(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);
/* → load_id, pid, run_id, try, application */
void rf_plain_read_lease(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);
/* → a row when it has expired, and nobody has locked it as one does who commits */
void rf_plain_has_expired(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);
void rf_plain_renew_lease(const struct rf_dialect_row *row, const struct rf_job *job, int64_t load_id, struct rf_text *out);
/* → a row when the lease is ours, locked until the transaction ends */
void rf_plain_fence(const struct rf_dialect_row *row, const struct rf_job *job, int64_t load_id, struct rf_text *out);
/* → one more than the newest, where no lease is kept */
void rf_plain_next_load_id(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);
/* → the newest load record, in the order of rf_sql_newest_load */
void rf_plain_newest_load(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);
/* → number of loads, sums of the counts */
void rf_plain_run_total(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);
/* Inserts one row, or none when a newer load is there. */
void rf_plain_insert_load(const struct rf_dialect_row *row, const struct rf_job *job, const struct rf_record *record, struct rf_text *out);
/* → number of records of that load */
void rf_plain_find_load(const struct rf_dialect_row *row, const struct rf_job *job, int64_t load_id, struct rf_text *out);
/* → the load records, newest first, of each table the newest job->newest, in the order of rf_plain_loads_columns */
void rf_plain_list_loads(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);

/* The columns of `loads`. */
enum rf_load_kind { RF_LOAD_TEXT, RF_LOAD_INTEGER, RF_LOAD_TIME, RF_LOAD_FLAG, RF_LOAD_JSON };
enum { RF_LOAD_COLUMNS = RF_RECORD_VALUES + 2 };
struct rf_load_column {
    const char *name;
    enum rf_load_kind kind;
};
extern const struct rf_load_column rf_load_columns[RF_LOAD_COLUMNS];

/* ---- the target as it stands ---- */

/* → which table it is */
void rf_plain_file(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);

/* → 1 when it has rows, else 0 */
void rf_plain_count_some(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out);

/* ---- the load ---- */

void rf_plain_drop_target(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_create_target(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_create_stage(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_create_keys(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_index_keys(const struct rf_plan *plan, struct rf_text *out);
/* Of a row, with a ? for each value: into the stage, or straight into the table. */
void rf_plain_insert_row(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_insert_key(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the stage, or of a straight load; of the stage of keys */
void rf_plain_count_rows(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_count_keys(const struct rf_plan *plan, struct rf_text *out);
/* The merge: rows that are there, then those that are not. */
void rf_plain_update(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_insert(const struct rf_plan *plan, struct rf_text *out);
/* Of mode append: rows of the stage that are no newest version of their key yet. → how many are */
void rf_plain_append(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_count_known(const struct rf_plan *plan, struct rf_text *out);
/* Of mode replace, into a target that was emptied. */
void rf_plain_insert_all(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the target, those that carry this load */
void rf_plain_count_target(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the stage that the target holds with this load's number */
void rf_plain_count_merged(const struct rf_plan *plan, struct rf_text *out);

/* What rf_merge_stage sends; see sql.h for each. */
void rf_plain_count_stage(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_duplicate_keys(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_count_missed(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_count_stale(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_close_gone(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_close_absent(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_sweep(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_count_live(const struct rf_plan *plan, struct rf_text *out);

/* ---- comparing ---- */

/* Seconds that an open transaction may idle. */
void rf_plain_idle_limit(const struct rf_dialect_row *row, double seconds, struct rf_text *out);

/* The rows that are not closed, page by page. A text that stays empty is not sent: what comes before the first page; a page;
 * what comes between it and the next; what comes after the last, which has fewer rows than the others. */
enum { RF_PLAIN_PAGE_ROWS = 256 };
enum rf_paging rf_plain_paging(const struct rf_plan *plan);
void rf_plain_open_rows(const struct rf_plan *plan, struct rf_text *out);
void rf_plain_page(const struct rf_plan *plan, bool is_first, struct rf_text *out);
void rf_plain_pass_page(const struct rf_plan *plan, bool is_first, struct rf_text *out);
void rf_plain_close_rows(const struct rf_plan *plan, struct rf_text *out);

#endif
