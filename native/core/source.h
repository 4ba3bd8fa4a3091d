/* What the transfer needs of a source: six operations, called from one thread, in this order. */
#ifndef RF_SOURCE_H
#define RF_SOURCE_H

#include "core/batch.h"
#include "core/error.h"
#include "core/plan.h"
#include "core/schema.h"

struct rf_hasher; /* core/hash_rows.h */

struct rf_source_ops {
    /* Connects. */
    enum rf_code (*open)(void *self, struct rf_error *err);
    /* Locks the table, takes the snapshot under which everything later is read, then reads the catalogs.
     * A standby that is behind `last` is waited for. *facts borrows the run's arena. */
    enum rf_code (*snapshot)(void *self, const struct rf_load *last, struct rf_source_facts *facts, struct rf_error *err);
    /* Starts a COPY … TO STDOUT (FORMAT binary) under the snapshot; of rows that are given `sql` is NULL. */
    enum rf_code (*read)(void *self, const char *sql, struct rf_error *err);
    /* The same by the parts of the plan, in any order, with as many readers side by side as can be had: *n_readers. */
    enum rf_code (*read_parts)(void *self, const struct rf_plan *plan, int *n_readers, struct rf_error *err);
    /* The next piece of it. At the end n_bytes is 0 and n_rows what the server says it sent. */
    enum rf_code (*next)(void *self, struct rf_batch *batch, struct rf_error *err);
    /* Ends the snapshot and the connection; may be called at any time, twice, and never fails. */
    void (*close)(void *self);
};

struct rf_source {
    const struct rf_source_ops *ops;
    void *self;
    const struct rf_hasher *hasher; /* of columns that are hashed; NULL where there are none */
};

#endif
