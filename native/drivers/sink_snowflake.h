/* The parts of the Snowflake sink: the session and the control tables, the lease, the load. Each takes the sink as its `self`. */
#ifndef RF_SINK_SNOWFLAKE_H
#define RF_SINK_SNOWFLAKE_H

#include "core/record.h"
#include "drivers/drivers.h"

/* ---- control_snowflake.c ---- */

/* Connects over the job's channel. RF_CONFIG names what it needs, under `auto` for either. */
enum rf_code rf_snowflake_connect(struct rf_sink_snowflake *sink, struct rf_error *err);
/* Connects; with `prepare` creates what schemas and control tables are missing. */
enum rf_code rf_snowflake_open_target(void *self, bool prepare, struct rf_error *err);
enum rf_code rf_snowflake_newest(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err);
/* Fails with RF_FENCED when a newer record is there or the lease is another's. */
enum rf_code rf_snowflake_add_record(struct rf_sink_snowflake *sink, const struct rf_record *record, struct rf_error *err);
/* Commits; when the answer is lost, ends the transaction and looks. */
enum rf_code rf_snowflake_commit(void *self, struct rf_error *err);
enum rf_code rf_snowflake_state(void *self, char **json, struct rf_error *err);
enum rf_code rf_snowflake_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err);
enum rf_code rf_snowflake_inspect(void *self, struct rf_text *json, struct rf_error *err);
enum rf_code rf_snowflake_discard(void *self, char **json, struct rf_error *err);
void rf_snowflake_close_target(void *self);

/* Executes and frees the text. What somebody's lock keeps from being done is tried again, for up to lock_timeout; a session whose
 * token has expired is opened anew, as long as nothing goes with it. */
enum rf_code rf_snowflake_execute(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err);
enum rf_code rf_snowflake_read(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err);
/* The same of a statement whose result a driver may keep to itself: it has no columns then. */
enum rf_code rf_snowflake_ask(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err);

/* ---- lease_snowflake.c ---- */

enum rf_code rf_snowflake_acquire(void *self, int64_t *load_id, struct rf_error *err);
/* Gives it back, if it can be; may be called at any time, twice. */
void rf_snowflake_release(struct rf_sink_snowflake *sink);

#endif
