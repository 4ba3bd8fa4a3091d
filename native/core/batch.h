/* What a source hands over at a time: encoded rows, passed through untouched. */
#ifndef RF_BATCH_H
#define RF_BATCH_H

#include <stddef.h>
#include <stdint.h>

struct rf_batch {
    const uint8_t *bytes; /* borrowed until the giver's next call; COPY BINARY, cut between rows */
    size_t n_bytes;       /* 0 at the end of the data */
    int64_t n_rows;       /* about as many rows as the piece holds; exact at the end, for the whole */
};

#endif
