/* COPY … (FORMAT binary): pure, no socket.
 *
 * Source of the format: postgresql.org/docs/current/sql-copy.html, "Binary Format": an 11-byte signature,
 * flags, the length of a header extension; then per row a 16-bit field count and per field a 32-bit length
 * (-1 for NULL) and the bytes; a field count of -1 ends the data. All integers in network order.
 */
#ifndef RF_COPY_BINARY_H
#define RF_COPY_BINARY_H

#include "core/error.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rf_field {
    const uint8_t *bytes; /* NULL for SQL NULL; borrowed from the data given in */
    int32_t n_bytes;
};

struct rf_copy_reader {
    bool in_rows; /* the header was read */
    bool ended;   /* the trailer was read */
};

enum rf_copy_result { RF_COPY_ROW, RF_COPY_MORE, RF_COPY_END, RF_COPY_BROKEN };

/* Takes one row of exactly n_fields from *data and moves *data and *n_bytes behind it. RF_COPY_MORE when the
 * bytes end inside a row (nothing is taken then), RF_COPY_BROKEN when they are no COPY BINARY of n_fields. */
enum rf_copy_result rf_copy_next_row(struct rf_copy_reader *reader, const uint8_t **data, size_t *n_bytes,
                                     struct rf_field *fields, int n_fields);

/* Takes one field at `p`, as they stand in rows and in arrays, and returns where it ends; NULL when the bytes end inside it, or
 * its length cannot be, which sets *broken. */
const uint8_t *rf_copy_take_field(const uint8_t *p, const uint8_t *end, struct rf_field *field, bool *broken);

/* What stands before the first row and after the last, as this program writes them. */
enum { RF_COPY_HEADER_BYTES = 19, RF_COPY_TRAILER_BYTES = 2 };
extern const uint8_t rf_copy_header[RF_COPY_HEADER_BYTES];
extern const uint8_t rf_copy_trailer[RF_COPY_TRAILER_BYTES];

/* Appends the lowest n_bytes of a number, as rows have them. */
void rf_copy_add_number(struct rf_text *out, uint64_t value, size_t n_bytes);

/* How many bytes the header takes of `data`; 0 when there is none, or not all of it. */
size_t rf_copy_header_length(const uint8_t *data, size_t n_bytes);

#endif
