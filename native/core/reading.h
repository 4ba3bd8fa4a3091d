/* A table into Arrow batches, without a target: lock → snapshot → types → rows. */
#ifndef RF_READING_H
#define RF_READING_H

#include "core/arena.h"
#include "core/columns.h"
#include "core/error.h"
#include "core/job.h"
#include "core/source.h"

/* Who takes what is read. Both are called on the thread that reads; what they return other than RF_OK ends it. */
struct rf_taker {
    /* Before the first batch: what the columns are, shape (n_fields,), in the reading's arena. */
    enum rf_code (*describe)(void *self, const struct rf_columns_field *fields, int n_fields, struct rf_error *err);
    /* Moves the batch out, or leaves it with its giver when it fails. It has at least one row. */
    enum rf_code (*take)(void *self, struct ArrowArray *batch, struct rf_error *err);
    void *self;
};

/* Reads all rows of the job, in batches of about `batch_bytes` of Arrow buffers. The source is closed as soon as its
 * last row was read, and in any case. */
enum rf_code rf_read_table(const struct rf_job *job, const struct rf_source *source, size_t batch_bytes, const struct rf_taker *taker,
                           struct rf_arena *arena, struct rf_error *err);

#endif
