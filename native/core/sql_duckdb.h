/* The statements that DuckDB needs in a form of its own; the others are those of sql.h, in its dialect.
 *
 * A driver gives no parameters with them: values stand in the text, quoted by text.h. Every result is of texts.
 */
#ifndef RF_SQL_DUCKDB_H
#define RF_SQL_DUCKDB_H

#include "core/plan.h"
#include "core/record.h"
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- control tables ---- */

/* Times are read and printed in UTC. */
extern const char RF_DUCKDB_SET_ZONE[];
/* → version, and what it may take of the machine: memory, threads; no file is looked at */
extern const char RF_DUCKDB_LIBRARY[];
void rf_duckdb_create_schema(const char *schema, struct rf_text *out);
/* → is the table of load records there */
void rf_duckdb_control_exists(const struct rf_job *job, struct rf_text *out);
void rf_duckdb_create_control(const struct rf_job *job, struct rf_text *out);
/* → one more than the newest */
void rf_duckdb_next_load_id(const struct rf_job *job, struct rf_text *out);
/* → the newest load record, in the order of rf_sql_newest_load */
void rf_duckdb_newest_load(const struct rf_job *job, struct rf_text *out);
/* → number of loads, sums of the counts */
void rf_duckdb_run_total(const struct rf_job *job, struct rf_text *out);
/* Inserts one row, or none when a newer load is there. `committed_at`: ISO 8601 in UTC. */
void rf_duckdb_insert_load(const struct rf_job *job, const struct rf_record *record, const char *committed_at, struct rf_text *out);
/* → is that load recorded */
void rf_duckdb_find_load(const struct rf_job *job, int64_t load_id, struct rf_text *out);
/* → JSON list of load records, newest first, of each table the newest job->newest */
void rf_duckdb_list_loads(const struct rf_job *job, struct rf_text *out);

/* ---- the target as it stands ---- */

/* → each column's arrives_as as DuckDB itself prints it, in one row */
void rf_duckdb_print_types(const struct rf_column *columns, int n_columns, struct rf_text *out);
/* → the clock, DuckDB's version, is the target a table, is it a view, does a foreign key name it */
void rf_duckdb_find_target(const struct rf_job *job, struct rf_text *out);
/* → name, type, may not be NULL; a row per column */
void rf_duckdb_columns(const struct rf_job *job, struct rf_text *out);
/* → number of the constraint, its column; a row per column of each primary key and unique constraint */
void rf_duckdb_unique_keys(const struct rf_job *job, struct rf_text *out);
/* → what tells that nobody else emptied, replaced or put the table back: rows and newest load */
void rf_duckdb_file(const struct rf_job *job, struct rf_text *out);

/* ---- the load ---- */

/* The rows that are sent, as a statement names them: a table function without parameters. */
#define RF_DUCKDB_ROWS "rowferry_rows"

/* With it one thread inserts, in the order of the rows. */
void rf_duckdb_keep_order(bool kept, struct rf_text *out);
void rf_duckdb_create_target(const struct rf_plan *plan, struct rf_text *out);
/* Straight into the table or into the stage; into the stage of keys. */
void rf_duckdb_take_rows(const struct rf_plan *plan, struct rf_text *out);
void rf_duckdb_take_keys(const struct rf_plan *plan, struct rf_text *out);
/* After a straight load. */
void rf_duckdb_add_key(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the new table; of the stage; of the stage of keys */
void rf_duckdb_count_target(const struct rf_plan *plan, struct rf_text *out);
void rf_duckdb_count_stage(const struct rf_plan *plan, struct rf_text *out);
void rf_duckdb_count_keys(const struct rf_plan *plan, struct rf_text *out);
/* The merge: rows that are there, changed in their place or taken out to come back with the new ones, then those that are not there.
 * Once all that are there are taken out none needs to be looked for, unless the target has newer ones, which stay. */
bool rf_duckdb_merges_by_delete(const struct rf_plan *plan);
void rf_duckdb_delete(const struct rf_plan *plan, struct rf_text *out);
void rf_duckdb_update(const struct rf_plan *plan, struct rf_text *out);
/* → rows that are not older than this load */
void rf_duckdb_count_newer(const struct rf_plan *plan, struct rf_text *out);
void rf_duckdb_insert(const struct rf_plan *plan, struct rf_text *out);
void rf_duckdb_insert_absent(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the target, those that carry this load */
void rf_duckdb_count_loaded(const struct rf_plan *plan, struct rf_text *out);
/* → rows that carry this load */
void rf_duckdb_count_merged(const struct rf_plan *plan, struct rf_text *out);

#endif
