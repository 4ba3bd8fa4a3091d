/* The statements for Snowflake. Names are folded as it folds them (snowflake_names.h), values stand in the text, and what
 * is read comes as texts: both channels send the same.
 *
 * DDL commits what is open, so all of it comes before the load's transaction. Reference: docs.snowflake.com/en/sql-reference.
 */
#ifndef RF_SQL_SNOWFLAKE_H
#define RF_SQL_SNOWFLAKE_H

#include "core/merge.h"
#include "core/plan.h"
#include "core/record.h"
#include "core/text.h"

#include <stdint.h>

/* ---- sessions and control tables ---- */

/* Times in UTC, no name folded otherwise, nobody's queries after our death, and a tag by which its queries are found. */
void rf_snowflake_session(const struct rf_job *job, struct rf_text *out);
/* → number of the session */
extern const char RF_SNOWFLAKE_SESSION[];
/* → user, version, role; NULL where there is none */
extern const char RF_SNOWFLAKE_ACCOUNT[];
/* → are the control schema, its tables (two) and the target's schema there */
void rf_snowflake_schemas(const struct rf_job *job, struct rf_text *out);
void rf_snowflake_create_schema(const struct rf_job *job, const char *schema, struct rf_text *out);
void rf_snowflake_drop_schema(const struct rf_job *job, const char *schema, struct rf_text *out);
void rf_snowflake_create_loads(const struct rf_job *job, struct rf_text *out);
void rf_snowflake_create_leases(const struct rf_job *job, struct rf_text *out);

/* ---- the lease: a row for each target, changed by short statements of their own and never within a load's transaction ---- */

/* Takes the lease if nobody holds it: it was given back, has expired, or an earlier try of this run holds it. `token` is
 * what tells this taking from any other; `session` may be NULL. */
void rf_snowflake_take_lease(const struct rf_job *job, const char *token, const char *session, struct rf_text *out);
/* → load_id, token, run_id, try_number, application, session */
void rf_snowflake_read_lease(const struct rf_job *job, struct rf_text *out);
void rf_snowflake_renew_lease(const struct rf_job *job, const char *token, struct rf_text *out);
void rf_snowflake_give_back(const struct rf_job *job, const char *token, struct rf_text *out);
/* Ends the session of a holder that was given up: its user may do so, or who may manage the account's. */
void rf_snowflake_end_session(const char *session, struct rf_text *out);

/* ---- load records ---- */

/* → the newest load record, in the order of rf_sql_newest_load */
void rf_snowflake_newest_load(const struct rf_job *job, struct rf_text *out);
/* → number of loads, sums of the counts */
void rf_snowflake_run_total(const struct rf_job *job, struct rf_text *out);
/* Inserts one row, or none when a newer load is there or the lease is another's. */
void rf_snowflake_insert_load(const struct rf_job *job, const struct rf_record *record, const char *token, struct rf_text *out);
/* → is that load recorded */
void rf_snowflake_find_load(const struct rf_job *job, int64_t load_id, struct rf_text *out);
/* → a JSON object for each load record, newest first, of each table the newest job->newest */
void rf_snowflake_list_loads(const struct rf_job *job, struct rf_text *out);
/* → number of the present transaction */
extern const char RF_SNOWFLAKE_TRANSACTION[];
/* Ends a transaction that nobody hears of any more. */
void rf_snowflake_abort(const char *transaction, struct rf_text *out);

/* ---- the target as it stands ---- */

/* → the clock, Snowflake's version, kind of the table as its catalog says, NULL when there is none */
void rf_snowflake_find_target(const struct rf_job *job, struct rf_text *out);
/* → name, type, may not be NULL; a row per column */
void rf_snowflake_columns(const struct rf_job *job, struct rf_text *out);
/* → what SHOW PRIMARY KEYS says, a row per column of the key; the fifth is its name */
enum { RF_SNOWFLAKE_KEY_COLUMN = 4 };
void rf_snowflake_key(const struct rf_job *job, struct rf_text *out);
/* → what tells that nobody else emptied, replaced or put the table back: rows and newest load */
void rf_snowflake_file(const struct rf_job *job, struct rf_text *out);

/* ---- the load ---- */

/* Temporary tables and files are in the target's schema, where their names have to stand alone. */
void rf_snowflake_use_schema(const struct rf_job *job, struct rf_text *out);
/* The target's name, in three parts. */
void rf_snowflake_add_target(const struct rf_plan *plan, struct rf_text *out);
void rf_snowflake_create_target(const struct rf_plan *plan, struct rf_text *out);
void rf_snowflake_create_stage(const struct rf_plan *plan, struct rf_text *out);
void rf_snowflake_create_keys(const struct rf_plan *plan, struct rf_text *out);
void rf_snowflake_create_files(const struct rf_plan *plan, struct rf_text *out);
/* Sends a file of this machine, a whole path without quotes, into a folder of the stage of files: "rows" or "keys".
 * → per file: source, target, their sizes and compressions, status, message as PUT says */
enum { RF_SNOWFLAKE_SENT_STATUS = 6, RF_SNOWFLAKE_SENT_MESSAGE = 7 };
void rf_snowflake_put(const struct rf_plan *plan, const char *path, const char *folder, struct rf_text *out);
/* → per file: name, status, rows in it, rows loaded, … as COPY INTO says */
enum { RF_SNOWFLAKE_FILE = 0, RF_SNOWFLAKE_STATUS = 1, RF_SNOWFLAKE_LOADED = 3 };
void rf_snowflake_copy_rows(const struct rf_plan *plan, struct rf_text *out);
void rf_snowflake_copy_keys(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the stage; of the stage of keys */
void rf_snowflake_count_rows(const struct rf_plan *plan, struct rf_text *out);
void rf_snowflake_count_keys(const struct rf_plan *plan, struct rf_text *out);
void rf_snowflake_merge(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the target, and those that carry this load */
void rf_snowflake_count_target(const struct rf_plan *plan, struct rf_text *out);

/* → the columns of the rows that are not closed, in any order: bytes and doubles as they are, all else as texts. Times have nine
 * places, JSON is as Snowflake writes it. */
void rf_snowflake_values(const struct rf_plan *plan, struct rf_text *out);

/* What is done with a stage, in Snowflake's words. */
extern const struct rf_stage_makers rf_snowflake_makers;

#endif
