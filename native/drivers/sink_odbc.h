/* The parts of the sink for databases behind ODBC: session and control tables, lease, load. Each takes the sink as its `self`. */
#ifndef RF_SINK_ODBC_H
#define RF_SINK_ODBC_H

#include "core/record.h"
#include "drivers/drivers.h"

/* ---- control_odbc.c ---- */

enum rf_code rf_odbc_open_target(void *self, bool prepare, struct rf_error *err);
/* Connects, and makes the session one of ours. */
enum rf_code rf_odbc_connect(struct rf_sink_odbc *sink, struct rf_error *err);
/* Of a file whose lock is the lease: waits for it, opens it, and to write begins the one transaction of the load, else that which looks. */
enum rf_code rf_odbc_wait_for_file(struct rf_sink_odbc *sink, bool to_write, struct rf_error *err);
/* Makes the control tables, where they are made within a transaction. */
enum rf_code rf_odbc_create_control(struct rf_sink_odbc *sink, struct rf_error *err);
enum rf_code rf_odbc_newest_load(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err);
/* Fails with RF_FENCED when a newer record is there. */
enum rf_code rf_odbc_add_record(struct rf_sink_odbc *sink, const struct rf_record *record, struct rf_error *err);
/* Commits; when the answer is lost, finds out. */
enum rf_code rf_odbc_commit_load(void *self, struct rf_error *err);
enum rf_code rf_odbc_state(void *self, char **json, struct rf_error *err);
enum rf_code rf_odbc_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err);
enum rf_code rf_odbc_inspect(void *self, struct rf_text *json, struct rf_error *err);
void rf_odbc_close_target(void *self);

/* ---- lease_odbc.c ---- */

enum rf_code rf_odbc_take_lease(void *self, int64_t *load_id, struct rf_error *err);
/* Locks the lease's row until the transaction ends. Fails with RF_FENCED when the lease is no longer ours. */
enum rf_code rf_odbc_fence(struct rf_sink_odbc *sink, struct rf_error *err);
/* Ends the session that holds the table's lock, unless it is gone. */
enum rf_code rf_odbc_end_holder(struct rf_sink_odbc *sink, struct rf_error *err);

/* ---- all of them ---- */

/* What a template, or a maker that needs no plan, has to say. */
enum rf_code rf_odbc_ask(struct rf_sink_odbc *sink, const char *role, const char *template, struct rf_result *rows, struct rf_error *err);
enum rf_code rf_odbc_read(struct rf_sink_odbc *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err);
enum rf_code rf_odbc_execute(struct rf_sink_odbc *sink, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err);

#endif
