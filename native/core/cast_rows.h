/* Rows of a source that is no server, as a server would have sent them: the casts and functions that the facts name for its
 * columns are done here, and CSV is made of them where the target wants it. Pure, no socket. */
#ifndef RF_CAST_ROWS_H
#define RF_CAST_ROWS_H

#include "core/arena.h"
#include "core/copy_binary.h"
#include "core/schema.h"
#include "core/text.h"
#include "core/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rf_casting {
    const struct rf_source_facts *facts;
    const struct rf_form *forms; /* of the values before, shape (facts->n_columns,) */
    struct rf_field *fields;     /* of a row, the same shape */
    struct rf_text value;        /* the one that is being printed */
    int64_t n_rows;              /* so far */
};

/* Do the rows have to be cast for the target that has described itself? */
bool rf_rows_are_cast(const struct rf_source_facts *facts);

/* `facts` and `forms` outlive the casting, whose fields are in `arena`. To be ended with rf_casting_end. */
enum rf_code rf_casting_begin(const struct rf_source_facts *facts, const struct rf_form *forms, struct rf_arena *arena, struct rf_casting *casting, struct rf_error *err);
void rf_casting_end(struct rf_casting *casting);

/* Appends whole rows of COPY BINARY, without header and trailer, to `out` as COPY BINARY or as CSV. In CSV a row ends with its number, from 1,
 * since rows of files have no order. RF_DATA names a column whose text is longer than a field may be. */
enum rf_code rf_cast_rows(struct rf_casting *casting, const uint8_t *rows, size_t n_bytes, struct rf_text *out, struct rf_error *err);

#endif
