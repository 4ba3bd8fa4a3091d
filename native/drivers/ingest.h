/* COPY BINARY rows into a table of a database that takes columns: one thread decodes, another has the database take them. */
#ifndef RF_INGEST_H
#define RF_INGEST_H

#include "core/batch.h"
#include "core/cancel.h"
#include "core/columns.h"
#include "core/error.h"

#include <stddef.h>

struct rf_ingest;

/* Who takes the rows. */
struct rf_ingest_end {
    /* Has the database take all that the stream brings; runs on a thread of the ingest's. Takes the stream over. */
    enum rf_code (*load)(void *self, struct ArrowArrayStream *stream, struct rf_error *err);
    void *self;
    struct rf_cancel *cancel;
    int64_t most_rows; /* of an array; 0: as many as batch_bytes allow */
    size_t bytes_ahead; /* that may wait for the database; two arrays may in any case */
};

/* Begins to load. Until the end or the drop nothing else may be executed in the session. `fields` must outlive the ingest. */
enum rf_code rf_ingest_start(const struct rf_ingest_end *end, const struct rf_columns_field *fields, int n_fields,
                             size_t batch_bytes, struct rf_ingest **out, struct rf_error *err);

/* Decodes the rows and hands them on, waiting when the database is slower. */
enum rf_code rf_ingest_write(struct rf_ingest *ingest, const struct rf_batch *batch, struct rf_error *err);

/* Hands the rest on and waits until the database has taken it; frees the ingest in any case. */
enum rf_code rf_ingest_end(struct rf_ingest *ingest, struct rf_error *err);

/* Stops and frees it; what was loaded is for the transaction to undo. NULL is fine. */
void rf_ingest_drop(struct rf_ingest *ingest);

#endif
