/* A table that is read into Arrow batches by a thread of its own: what stands behind rowferry.read.
 *
 * The thread connects, locks, takes the snapshot, and then reads ahead by one batch. It takes no signal and knows no
 * Python. Every function here may be called on any thread; those that wait do so for `timeout_ms` at most. After a
 * fork the child has no such thread: there, waiting fails with RF_CONFIG and the rest does nothing.
 */
#ifndef RF_DRIVERS_READ_H
#define RF_DRIVERS_READ_H

#include "core/arrow.h"
#include "core/error.h"

#include <stdbool.h>

struct rf_read;

/* Parses the job, which has no target, and starts. One holder. */
enum rf_code rf_read_start(const char *job_json, struct rf_read **out, struct rf_error *err);
struct rf_read *rf_read_hold(struct rf_read *read);
/* What was taken out stays valid. */
void rf_read_release(struct rf_read *read);

/* Waits until the columns are known: *ready. Fails with what ended the reading before. */
enum rf_code rf_read_described(struct rf_read *read, int timeout_ms, bool *ready, struct rf_error *err);
/* Both once they are known. */
enum rf_code rf_read_schema(struct rf_read *read, struct ArrowSchema *out, struct rf_error *err);
/* {"columns": [{"name", "type", "arrow", "nullable"}, …]}, freed by the caller; NULL when memory is short. */
char *rf_read_json(struct rf_read *read);

/* Waits for the next batch: *ready, and at the end of the rows out->release is NULL. Fails with what ended the reading,
 * behind the batches that came before it; after rf_read_cancel with RF_CANCELLED at once. */
enum rf_code rf_read_next(struct rf_read *read, int timeout_ms, bool *ready, struct ArrowArray *out, struct rf_error *err);

/* Gives up what was not taken yet, here and on the server. */
void rf_read_cancel(struct rf_read *read);
/* The same, and waits until the session is gone; less when it does not go (a name that is being resolved). */
void rf_read_stop(struct rf_read *read);

/* Whether the reading has ended, and in that case how: *err when it failed. */
bool rf_read_ended(struct rf_read *read, struct rf_error *err);

#endif
