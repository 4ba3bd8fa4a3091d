/* Arrow columns, of whichever producer, into COPY BINARY rows: pure, no socket. */
#ifndef RF_ROWS_H
#define RF_ROWS_H

#include "core/arena.h"
#include "core/arrow.h"
#include "core/error.h"
#include "core/schema.h"
#include "core/text.h"
#include "core/types.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The PostgreSQL columns that hold a stream of this schema, shape (n_columns,), in the schema's order, in `arena`: name,
 * type, base, identity, typmod, not_null and always_null are set, the identity as the catalogs of a server give it. A field's metadata
 * "rowferry.type" names its type as DDL ("numeric(12,2)", "text[]"); it is ignored where values of the field's Arrow type
 * cannot be written as that. RF_CONFIG names the column and says what to do when an Arrow type has no PostgreSQL type. */
enum rf_code rf_rows_columns(const struct ArrowSchema *schema, struct rf_arena *arena, struct rf_column **columns, int *n_columns,
                             struct rf_error *err);

struct rf_rows;

/* Understands the schema once; *out keeps nothing of it. To be freed with rf_rows_free. */
enum rf_code rf_rows_new(const struct ArrowSchema *schema, struct rf_rows **out, struct rf_error *err);
void rf_rows_free(struct rf_rows *rows);

/* From here on whatever a database holds is written, for comparing: a text with a NUL, a time that PostgreSQL does not have.
 * Such a value equals none that PostgreSQL can send. */
void rf_rows_take_any(struct rf_rows *rows);

/* From here on a NULL in this column is RF_DATA: it is part of the key. */
void rf_rows_require(struct rf_rows *rows, int column);

/* How many columns the rows have, and what the bytes of one of them are. */
int rf_rows_width(const struct rf_rows *rows);
struct rf_form rf_rows_form(const struct rf_rows *rows, int column);

/* Begins a batch: a struct array of the schema, borrowed until the last of its rows was written. Numbers of children and
 * buffers and lengths are checked here; offsets, indices and views when a value is read by them. RF_DATA when it is broken. */
enum rf_code rf_rows_begin(struct rf_rows *rows, const struct ArrowArray *array, struct rf_error *err);

/* Appends whole rows to `out`, at least one, until it was given n_bytes or the batch ends; *n_rows is how many were written,
 * 0 at the end. No header and no trailer. RF_DATA names column and row (counted over the whole stream, from 1) of a value
 * that PostgreSQL cannot hold: a NUL in a text, bytes that are no UTF-8, nanoseconds, a time beyond its range; the
 * rows before it are written then. */
enum rf_code rf_rows_write(struct rf_rows *rows, size_t n_bytes, struct rf_text *out, int64_t *n_rows, struct rf_error *err);

#endif
