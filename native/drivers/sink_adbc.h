/* The parts of the DuckDB sink: the file and its records, the load. Each takes the sink as its `self`. */
#ifndef RF_SINK_ADBC_H
#define RF_SINK_ADBC_H

#include "core/record.h"
#include "drivers/drivers.h"

/* ---- control_duckdb.c ---- */

/* With `prepare` only sees to the driver: the file is waited for, and held from, when the lease is taken. */
enum rf_code rf_duckdb_open_target(void *self, bool prepare, struct rf_error *err);
enum rf_code rf_duckdb_take_lease(void *self, int64_t *load_id, struct rf_error *err);
enum rf_code rf_duckdb_newest(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err);
/* Fails with RF_FENCED when a newer record is there. */
enum rf_code rf_duckdb_add_record(struct rf_sink_duckdb *sink, const struct rf_record *record, struct rf_error *err);
/* Commits; when the database cannot say whether it did, opens it again and looks. */
enum rf_code rf_duckdb_commit(void *self, struct rf_error *err);
enum rf_code rf_duckdb_state(void *self, char **json, struct rf_error *err);
enum rf_code rf_duckdb_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err);
enum rf_code rf_duckdb_inspect(void *self, struct rf_text *json, struct rf_error *err);
void rf_duckdb_close_target(void *self);

/* A result of any types, as texts. */
enum rf_code rf_duckdb_read_texts(struct rf_sink_duckdb *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err);

#endif
