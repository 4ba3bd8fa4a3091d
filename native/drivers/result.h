/* A small result of a statement: rows of texts, whatever the database it came from. */
#ifndef RF_RESULT_H
#define RF_RESULT_H

#include "core/arena.h"
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

/* In an arena. */
struct rf_result {
    const char **cells; /* shape (n_rows, n_columns); NULL for SQL NULL */
    int n_rows;
    int n_columns;
    int room; /* rows that fit without moving */
};

/* Makes room for more rows, all of them NULL. Fails with RF_INTERNAL when there are more than anything asked for can have. */
enum rf_code rf_result_reserve(struct rf_result *result, int64_t n_more, struct rf_arena *arena, struct rf_error *err);

/* RF_INTERNAL when the statement gave no result at all. */
enum rf_code rf_result_require(const struct rf_result *result, const char *role, struct rf_error *err);

/* NULL where there is none. */
const char *rf_result_cell(const struct rf_result *result, int row, int column);
int64_t rf_result_integer(const struct rf_result *result, int row, int column); /* 0 for NULL */
bool rf_result_flag(const struct rf_result *result, int row, int column);       /* "true" */

#endif
