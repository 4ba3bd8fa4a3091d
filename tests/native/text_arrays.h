/* Rows of texts as Arrow, as the fakes of databases answer with them: "a|b;c|d", with ~ for NULL. */
#ifndef TEXT_ARRAYS_H
#define TEXT_ARRAYS_H

#include "core/arrow.h"

#include <stdatomic.h>

int n_text_columns(const char *rows);

/* Columns of `format`, which the rows need not be of. */
void make_text_schema(const char *rows, const char *format, struct ArrowSchema *out);

/* Is counted in *n_alive until it is released. */
void make_text_array(const char *rows, atomic_int *n_alive, struct ArrowArray *array);

#endif
