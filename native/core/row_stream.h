/* One end's COPY, row by row, while it is compared. */
#ifndef RF_ROW_STREAM_H
#define RF_ROW_STREAM_H

#include "core/batch.h"
#include "core/copy_binary.h"
#include "core/error.h"

struct rf_row_stream {
    enum rf_code (*next)(void *self, struct rf_batch *batch, struct rf_error *err); /* as of a source or a sink */
    void *self;
    struct rf_copy_reader reader;
    struct rf_batch batch;
    bool ended;
};

/* The next row, borrowed until the next call, or `ended`. Whole rows come in every batch, so a row never spans two. The data's
 * own end is read past, so that the connection is ready for the next statement. */
enum rf_code rf_row_stream_next(struct rf_row_stream *stream, struct rf_field *fields, int n_fields, struct rf_error *err);

/* RF_INTERNAL: what came is no such row. */
enum rf_code rf_row_stream_broken(struct rf_error *err);

#endif
