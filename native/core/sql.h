/* Every SQL text of rowferry is made here. Pure: no connection, no clock.
 *
 * Texts with decisions in them are functions of the plan and append to a struct rf_text. Fixed texts take
 * their values as parameters ($1, $2, …), listed in the comment. The source's texts are PostgreSQL's; the
 * target's are in the dialect of the plan's target; what DuckDB needs in a form of its own is in sql_duckdb.h.
 */
#ifndef RF_SQL_H
#define RF_SQL_H

#include "core/plan.h"
#include "core/text.h"

/* What makes a statement of a plan. */
typedef void rf_statement_maker(const struct rf_plan *plan, struct rf_text *out);

/* ---- both sides (catalogs) ---- */

/* Have the server look whether its client is still there while it works. Systems that cannot see a client go
 * refuse it with 22023; the local form then leaves a transaction to undo. None of it takes a snapshot. */
extern const char RF_SQL_WATCH_CLIENT[];
extern const char RF_SQL_WATCH_CLIENT_LOCALLY[];
extern const char RF_SQL_UNDO_WATCH[];

/* → the process that serves this session; behind a pooler not the one the session began with */
extern const char RF_SQL_BACKEND_PID[];

/* $1 schema, $2 table → oid, relkind, row_security_active, table_size (pg_total_relation_size of the tree),
 * reltuples, relation's access method, has children, policies, oid/file */
extern const char RF_SQL_RELATION[];
/* $1 oid → name, type with typmod, base name, type oid, typmod, not null, fingerprint line, generated; domains unwrapped */
extern const char RF_SQL_COLUMNS[];
/* $1 oid[] → every type reachable: oid, identity head, element, base, fields text, refusal */
extern const char RF_SQL_TYPES[];
/* $1 oid → index oid, is primary, column is not null, column name, index name: a row per column of each usable unique
 * index, primary keys first */
extern const char RF_SQL_UNIQUE_KEYS[];
/* $1 names of types, as format_type prints them → their oids here, 0 for those that are missing */
extern const char RF_SQL_TYPE_OIDS[];
/* → server_version_num, server encoding, lc_monetary, oid of the database, clock */
extern const char RF_SQL_SERVER[];

/* ---- source ---- */

/* Keeps out functions that others may have put where the role's own path finds them first; takes no snapshot. Behind it
 * catalog names are printed with their schemas. */
extern const char RF_SQL_BARE_PATH[];
extern const char RF_SQL_BEGIN_READ[];
/* Settings of a transaction that only reads, sent first in it. */
void rf_sql_source_settings(const struct rf_job *job, int server_version, struct rf_text *out);
/* → how far the log has come: written on a primary, replayed on a standby */
extern const char RF_SQL_LSN[];
/* $1 lsn, $2 milliseconds since it was read → would everything that had ended by then survive a crash of the source */
extern const char RF_SQL_IS_DURABLE[];
/* → listed at, pids of sessions in a transaction, pids of readers like ours, does the role see others' times,
 * time of the last replayed transaction. Times are microseconds since 1970. To be sent first and outside a
 * transaction, as the next two. */
extern const char RF_SQL_LIST_LOCKS[];
/* → name and owner of each prepared transaction of this database */
extern const char RF_SQL_LIST_PREPARED[];
/* $1 pids in a transaction, $2 pids to leave out → pid, user, application, since when, seconds: oldest first,
 * unknown times before all */
extern const char RF_SQL_LIST_SESSIONS[];
/* $1 oid → of each column that holds a time: name, base type, resolution, not null, indexed, set by the clock */
extern const char RF_SQL_CURSOR_COLUMNS[];
/* $1 oid → of each leaf that has triggers on its rows: fingerprint line */
extern const char RF_SQL_TRIGGERS[];
/* $1 text → the time it names, microseconds since 1970 */
extern const char RF_SQL_READ_TIME[];
/* → snapshot, in recovery, clock, lsn, database; marks the transaction as one that only reads */
extern const char RF_SQL_SNAPSHOT[];
/* $1 snapshot's xmin as xid → pid, user, application, seconds of who holds it back */
extern const char RF_SQL_HOLDER[];
/* → system identifier, timeline */
extern const char RF_SQL_IDENTITY[];
/* $1 oid → of each leaf, in order of oid: line of the fingerprint, persistence, access method, schema, name, pages, may it be read */
extern const char RF_SQL_LEAVES[];
void rf_sql_lock_source(const struct rf_job *job, struct rf_text *out);
/* Fails unless the job's filter is one whole expression. */
void rf_sql_check_filter(const struct rf_job *job, struct rf_text *out);
/* A job's seconds as lock_timeout takes them, in milliseconds. */
int64_t rf_lock_timeout_ms(double seconds);
/* Of the present transaction. */
void rf_sql_lock_timeout(double seconds, struct rf_text *out);
void rf_sql_read(const struct rf_plan *plan, struct rf_text *out);
/* One of plan->parts of the same rows. */
void rf_sql_read_part(const struct rf_plan *plan, int part, struct rf_text *out);
/* Makes the reader's transaction see what the leader's snapshot of this name sees; to be sent before any query. */
void rf_sql_take_over_snapshot(const char *name, struct rf_text *out);
/* → name under which other sessions may take the present snapshot over */
extern const char RF_SQL_EXPORT_SNAPSHOT[];
/* what was exported with it → whether this session is at the same server, under the same snapshot */
extern const char RF_SQL_IS_TOGETHER[];
/* As rf_sql_lock_source, without waiting. */
void rf_sql_lock_source_now(const struct rf_job *job, struct rf_text *out);
/* The keys of all rows, whatever the capture reads. */
void rf_sql_read_keys(const struct rf_plan *plan, struct rf_text *out);

/* COPY BINARY of one row of texts, of the rows that pass the filter: how many are held back; how many transactions after the snapshot's
 * xmax the 32 bits of one come again that was written more than 2^31 ago, the soonest; 0: there is none. */
void rf_sql_survey(const struct rf_plan *plan, struct rf_text *out);
/* COPY BINARY of one text, true or false: may ALTER have written the leaf's rows anew since the last load? It would have left none of before,
 * and new facts about columns. Neither VACUUM FULL, CLUSTER nor TRUNCATE does. */
void rf_sql_was_rewritten(const struct rf_plan *plan, const char *oid, struct rf_text *out);

/* ---- target: control tables ---- */

void rf_sql_target_session(const struct rf_job *job, int server_version, struct rf_text *out);
/* → are schema, loads and leases there */
void rf_sql_control_exists(const struct rf_job *job, struct rf_text *out);
void rf_sql_create_control(const struct rf_job *job, struct rf_text *out);
/* $1 text → nothing; held until the transaction ends */
extern const char RF_SQL_LOCK_NAME[];
/* $1 text → is a schema of this name there */
extern const char RF_SQL_SCHEMA_EXISTS[];
void rf_sql_create_schema(const char *schema, struct rf_text *out);
/* $1 target, $2 run, $3 try, $4 map index, $5 application, $6 seconds → load_id, pid, backend_start; no row: another holds it */
void rf_sql_take_lease(const struct rf_job *job, struct rf_text *out);
/* $1 target → run_id, try, application, pid, backend_start, expired. While the holder merges and commits it
 * cannot renew its lease, whose row it has locked: then the lease does not expire. */
void rf_sql_read_holder(const struct rf_job *job, struct rf_text *out);
/* $1 pid, $2 backend_start → was it ended */
extern const char RF_SQL_END_BACKEND[];
/* How long the present transaction may be idle before the server ends it; 0 for ever. */
void rf_sql_idle_limit(double seconds, struct rf_text *out);
/* $1 target, $2 load_id, $3 seconds → one row when renewed */
void rf_sql_renew_lease(const struct rf_job *job, struct rf_text *out);
/* $1 target, $2 load_id → one row when the lease is ours, locked until the transaction ends */
void rf_sql_fence(const struct rf_job *job, struct rf_text *out);
/* $1 target → the newest load record, in the order of struct rf_load */
void rf_sql_newest_load(const struct rf_job *job, struct rf_text *out);
/* $1 target, $2 source table, $3 run_id → number of loads, sums of the counts */
void rf_sql_run_total(const struct rf_job *job, struct rf_text *out);
/* The values of a struct rf_record; inserts one row, or none when a newer load is there */
void rf_sql_insert_load(const struct rf_job *job, struct rf_text *out);
/* $1 target, $2 load_id → one row when that load committed */
void rf_sql_find_load(const struct rf_job *job, struct rf_text *out);
/* $1 target or NULL for all → JSON list of load records, newest first, of each table the newest job->newest */
void rf_sql_list_loads(const struct rf_job *job, struct rf_text *out);

/* ---- target: the load ---- */

void rf_sql_create_target(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_seal_target(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_create_stage(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_write(const struct rf_plan *plan, struct rf_text *out);
/* → inserted, updated */
void rf_sql_merge(const struct rf_plan *plan, struct rf_text *out);
/* Of mode append: rows of the stage that are no newest version of their key yet. → how many are */
void rf_sql_append(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_count_known(const struct rf_plan *plan, struct rf_text *out);
/* → does the target hold a row, 0 or 1 */
void rf_sql_has_rows(const struct rf_plan *plan, struct rf_text *out);
/* Of mode replace: what was there goes, and the stage comes in its place. */
void rf_sql_delete_all(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_insert_all(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the stage that are gone, duplicates among the others */
void rf_sql_count_stage(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the stage that the target holds from a newer load */
void rf_sql_count_stale(const struct rf_plan *plan, struct rf_text *out);
/* → up to five keys that the stage holds more than once */
void rf_sql_duplicate_keys(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_close_gone(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_close_absent(const struct rf_plan *plan, struct rf_text *out);
/* → rows of the stage that the cursor would not have brought and the target does not hold as they are */
void rf_sql_count_missed(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_create_keys(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_write_keys(const struct rf_plan *plan, struct rf_text *out);
/* Closes rows of earlier loads whose key the source no longer has. */
void rf_sql_sweep(const struct rf_plan *plan, struct rf_text *out);
/* → distinct keys the source sent, rows that are live in the target */
void rf_sql_count_live(const struct rf_plan *plan, struct rf_text *out);

/* ---- comparing ---- */

/* COPY BINARY of one row of texts: number of rows, checksum: the sum modulo 2^64 of the first 8 bytes of md5 over each row's text */
void rf_sql_source_checksum(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_target_checksum(const struct rf_plan *plan, struct rf_text *out);
/* COPY BINARY of (key text, md5 of the row, is pending), in the order of the key's bytes. `since` 0: nothing is pending. */
void rf_sql_source_rows(const struct rf_plan *plan, uint64_t since, struct rf_text *out);
void rf_sql_target_rows(const struct rf_plan *plan, struct rf_text *out);
/* COPY BINARY of all rows that pass the filter, in any order: the columns as they are sent, and unless `since` is 0, is pending */
void rf_sql_source_values(const struct rf_plan *plan, uint64_t since, struct rf_text *out);
/* The same as the texts that are compared, and those of the target's rows that are not closed, of a server that hashes rows. */
void rf_sql_source_texts(const struct rf_plan *plan, uint64_t since, struct rf_text *out);
void rf_sql_target_texts(const struct rf_plan *plan, struct rf_text *out);
/* → the columns of the rows that are not closed, in any order */
void rf_sql_target_values(const struct rf_plan *plan, struct rf_text *out);

/* ---- doctor ---- */

/* $1 schema or NULL for all, $2 table or NULL → JSON of rowferry doctor's facts about the source */
void rf_sql_inspect(struct rf_text *out);
/* $1 control schema → JSON of the facts about a target */
extern const char RF_SQL_INSPECT_TARGET[];

#endif
