/* Rows of a source that is no server, as a server would have sent them: the masks of the job, and the casts and functions that the
 * facts name for its columns, are done here, and CSV is made of them where the target wants it. Pure, no socket. */
#ifndef RF_CAST_ROWS_H
#define RF_CAST_ROWS_H

#include "core/arena.h"
#include "core/copy_binary.h"
#include "core/job.h"
#include "core/schema.h"
#include "core/text.h"
#include "core/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a column was before it was masked and cast. */
struct rf_cast_from {
    int field; /* its place in a row that comes */
    struct rf_form form;
    const char *identity;       /* of a masked column: as what its value is printed */
    const struct rf_mask *mask; /* or NULL */
};

struct rf_casting {
    const struct rf_source_facts *facts;
    const struct rf_cast_from *from; /* shape (facts->n_columns,) */
    int n_fields;
    struct rf_field *fields; /* of a row that comes, shape (n_fields,) */
    struct rf_text value;    /* the one that is being printed */
    int64_t n_rows;          /* so far */
};

/* Do the rows have to be cast, for a mask or for the target that has described itself? */
bool rf_rows_are_cast(const struct rf_source_facts *facts);

/* Rows of n_fields come. `facts` and `from` outlive the casting, whose fields are in `arena`. To be ended with rf_casting_end. */
enum rf_code rf_casting_begin(const struct rf_source_facts *facts, const struct rf_cast_from *from, int n_fields, struct rf_arena *arena,
                              struct rf_casting *casting, struct rf_error *err);
void rf_casting_end(struct rf_casting *casting);

/* Appends whole rows of COPY BINARY, without header and trailer, to `out` as COPY BINARY or as CSV. In CSV a row ends with its number, from 1,
 * since rows of files have no order. RF_DATA names a column whose text is longer than a field may be. */
enum rf_code rf_cast_rows(struct rf_casting *casting, const uint8_t *rows, size_t n_bytes, struct rf_text *out, struct rf_error *err);

#endif
