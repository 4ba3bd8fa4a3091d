/* COPY BINARY rows into Arrow columns: pure, no socket.
 *
 * A struct rf_columns collects the rows of one batch and hands them out as one Arrow struct array, whose buffers it
 * owns no longer. Batches that come back from a consumer are used again, so that a steady reader allocates nothing.
 * Meaning of the buffers: arrow.apache.org/docs/format/Columnar.html; of the bytes that come: enum rf_wire.
 */
#ifndef RF_COLUMNS_H
#define RF_COLUMNS_H

#include "core/arrow.h"
#include "core/copy_binary.h"
#include "core/error.h"
#include "core/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One column of what is read. */
struct rf_columns_field {
    const char *name;
    bool not_null;
    const char *declared; /* the source's type as DDL, kept in the field's metadata as "rowferry.type"; NULL for none */
    struct rf_type type;
};

struct rf_columns;

/* `fields` must outlive the columns; arrays and schemas made from them need them no longer. Fails only when memory is
 * short. One thread at a time. */
enum rf_code rf_columns_new(const struct rf_columns_field *fields, int n_fields, struct rf_columns **out, struct rf_error *err);

/* Appends a row; the fields, shape (n_fields,), are those that rf_copy_next_row gives. RF_DATA names the column and says
 * what it holds that Arrow cannot (NaN in a decimal, an array of two dimensions), or that the batch is full: a column
 * takes 2^31 - 1 bytes of text. After any failure nothing of the row is kept, and the rows before it are. */
enum rf_code rf_columns_append(struct rf_columns *columns, const struct rf_field *fields, struct rf_error *err);

int64_t rf_columns_rows(const struct rf_columns *columns);

/* What the rows take as Arrow buffers, in bytes, as if each column had a NULL; 0 without columns. Cheap enough to be asked after each row. */
size_t rf_columns_bytes(const struct rf_columns *columns);

/* Moves the rows out; the columns are empty then and may be filled again. Fails when memory is short, and keeps the rows.
 * The array, and any child that was moved out of it, may be released in any order, on any thread, at any time. */
enum rf_code rf_columns_take(struct rf_columns *columns, struct ArrowArray *out, struct rf_error *err);

/* Arrays that were taken out stay valid. NULL is no columns. */
void rf_columns_free(struct rf_columns *columns);

/* The struct schema of the fields. *out owns all of its memory. */
enum rf_code rf_columns_schema(const struct rf_columns_field *fields, int n_fields, struct ArrowSchema *out, struct rf_error *err);

#endif
