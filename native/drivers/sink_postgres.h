/* The parts of the PostgreSQL sink: control tables, lease, load. Each takes the sink as its `self`. */
#ifndef RF_SINK_POSTGRES_H
#define RF_SINK_POSTGRES_H

#include "core/record.h"
#include "drivers/drivers.h"

#include <stddef.h>
#include <stdint.h>

/* ---- control_postgres.c ---- */

enum rf_code rf_postgres_connect_target(struct rf_sink_postgres *sink, struct rf_error *err);
/* Of the present transaction; 0 for no limit. */
enum rf_code rf_postgres_limit_idling(struct rf_sink_postgres *sink, double seconds, struct rf_error *err);
enum rf_code rf_postgres_open_target(void *self, bool prepare, struct rf_error *err);
enum rf_code rf_postgres_newest_load(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err);
/* Fails with RF_FENCED when a newer record is there. */
enum rf_code rf_postgres_insert_record(struct rf_sink_postgres *sink, const struct rf_record *record, struct rf_error *err);
/* Closing the session rolls an open load back and lets go of the lease's lock. */
enum rf_code rf_postgres_state(void *self, char **json, struct rf_error *err);
enum rf_code rf_postgres_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err);
enum rf_code rf_postgres_inspect(void *self, struct rf_text *json, struct rf_error *err);
void rf_postgres_close_target(void *self);

/* ---- lease_postgres.c ---- */

enum rf_code rf_postgres_take_lease(void *self, int64_t *load_id, struct rf_error *err);
/* Locks the lease's row, once the rows are staged and before any row of the target is touched: two merges that
 * locked it later could deadlock on rows. Fails with RF_FENCED when the lease is no longer ours. */
enum rf_code rf_postgres_fence(struct rf_sink_postgres *sink, struct rf_error *err);
enum rf_code rf_postgres_end_backend(struct rf_sink_postgres *sink, const char *pid, const char *backend_start, struct rf_error *err);

/* An integer as a parameter's text. */
void rf_integer_text(char *to, size_t size, int64_t value);

#endif
