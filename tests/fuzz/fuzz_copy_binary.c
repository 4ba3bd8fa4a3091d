/* Any bytes as COPY BINARY: read in one piece or cut anywhere, the rows are the same. */
#include "core/copy_binary.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { FIELDS = 2 };

struct outcome {
    enum rf_copy_result last;
    size_t rows;
    size_t field_bytes;
    size_t left;
};

/* Reads rows until there are no more; `outcome` sums up what was seen. */
static void read_rows(struct rf_copy_reader *reader, const uint8_t **data, size_t *n_bytes, struct outcome *outcome) {
    struct rf_field fields[FIELDS];
    while ((outcome->last = rf_copy_next_row(reader, data, n_bytes, fields, FIELDS)) == RF_COPY_ROW) {
        outcome->rows++;
        for (int i = 0; i < FIELDS; i++)
            for (int32_t at = 0; at < fields[i].n_bytes; at++) outcome->field_bytes += fields[i].bytes[at];
    }
    outcome->left = *n_bytes;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    if (n_bytes == 0) return 0;
    size_t whole = n_bytes - 1, cut = whole ? data[0] % whole : 0;
    const uint8_t *at = data + 1, *piece = data + 1;
    struct rf_copy_reader reader = {0}, in_pieces = {0};
    struct outcome one = {0}, two = {0};
    size_t left = whole, first = cut;
    read_rows(&reader, &at, &left, &one);
    read_rows(&in_pieces, &piece, &first, &two);
    if (two.last == RF_COPY_MORE) {
        first += whole - cut;
        read_rows(&in_pieces, &piece, &first, &two);
        if (memcmp(&one, &two, sizeof one) != 0) abort();
    }
    return 0;
}
