/* Pieces of the target's statements that all dialects share. */
#ifndef RF_SQL_TARGET_H
#define RF_SQL_TARGET_H

#include "core/plan.h"
#include "core/sql.h"
#include "core/text.h"

#include <inttypes.h>

/* Names of the temporary tables, of the load's number. */
#define RF_STAGE "rowferry_stage_%" PRId64
#define RF_KEY_STAGE "rowferry_keys_%" PRId64

/* The tables of a load: the target, the stage of its rows, the stage of all keys of the source. */
void rf_sql_add_target(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_add_stage(const struct rf_plan *plan, struct rf_text *out);
void rf_sql_add_key_stage(const struct rf_plan *plan, struct rf_text *out);

/* "a", "b" — or with a prefix: t."a", t."b" */
void rf_sql_add_columns(const struct rf_plan *plan, const char *prefix, struct rf_text *out);
void rf_sql_add_keys(const struct rf_plan *plan, struct rf_text *out);
/* Before it what is given, unless the table has no key: a copy may do without. */
void rf_sql_add_primary_key(const struct rf_plan *plan, const char *before, struct rf_text *out);
/* t."k" = s."k" for each column of the key */
void rf_sql_add_key_match(const struct rf_plan *plan, struct rf_text *out);
/* Behind the target's name: the rows that are not closed, of versions the newest ones; the table is then called t. */
void rf_sql_add_live_condition(const struct rf_plan *plan, struct rf_text *out);
/* AND the key of t is in no row of that stage. */
void rf_sql_add_unless_in(const struct rf_plan *plan, rf_statement_maker *stage, struct rf_text *out);
/* Where the target keeps versions: AND t is the newest of its key. */
void rf_sql_add_newest_version(const struct rf_plan *plan, struct rf_text *out);
/* Is the staged row `s` the newest version of its key, `t`? The transaction tells, and the values where none can, which `differ` asks: in what was
 * rewritten by an ALTER, read anew after a restore, or filled in without a new version. A full read may follow any of these. */
void rf_sql_add_is_known(const struct rf_plan *plan, rf_statement_maker *differ, struct rf_text *out);
/* The load records to list: `loads` names those to choose from, and is freed; the condition, behind `word`, leaves the newest of each table. */
void rf_sql_add_listed_loads(const struct rf_job *job, struct rf_text *loads, const char *word, struct rf_text *out);
/* The rows of the stage to merge, one for each key; with "_rowferry_xid" where the target keeps versions. */
void rf_sql_add_live_rows(const struct rf_plan *plan, struct rf_text *out);

#endif
