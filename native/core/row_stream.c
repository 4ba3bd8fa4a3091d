#include "core/row_stream.h"

enum rf_code rf_row_stream_broken(struct rf_error *err) {
    return rf_fail(err, RF_INTERNAL, "a server sent rows that are not COPY BINARY");
}

enum rf_code rf_row_stream_next(struct rf_row_stream *stream, struct rf_field *fields, int n_fields, struct rf_error *err) {
    while (!stream->ended) {
        enum rf_copy_result result = rf_copy_next_row(&stream->reader, &stream->batch.bytes, &stream->batch.n_bytes, fields, n_fields);
        if (result == RF_COPY_ROW) return RF_OK;
        if (result == RF_COPY_BROKEN || stream->batch.n_bytes > 0) return rf_row_stream_broken(err);
        RF_TRY(stream->next(stream->self, &stream->batch, err));
        stream->ended = stream->batch.n_bytes == 0;
    }
    return RF_OK;
}
