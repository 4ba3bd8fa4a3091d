#include "drivers/result.h"

#include <stdlib.h>
#include <string.h>

enum rf_code rf_result_reserve(struct rf_result *result, int64_t n_more, struct rf_arena *arena, struct rf_error *err) {
    enum { MOST_ROWS = 1 << 20 };
    if (n_more > MOST_ROWS - result->n_rows) return rf_fail(err, RF_INTERNAL, "a result has more rows than anything asked for can have");
    if (result->n_rows + (int)n_more <= result->room) return RF_OK;
    int room = 2 * (result->n_rows + (int)n_more);
    const char **cells = rf_arena_take(arena, (size_t)room * (size_t)(result->n_columns + 1) * sizeof *cells);
    if (!cells) return rf_no_memory(err);
    if (result->n_rows > 0) memcpy(cells, result->cells, (size_t)result->n_rows * (size_t)result->n_columns * sizeof *cells);
    result->cells = cells;
    result->room = room;
    return RF_OK;
}

enum rf_code rf_result_require(const struct rf_result *result, const char *role, struct rf_error *err) {
    return result->n_columns > 0 ? RF_OK : rf_fail(err, RF_INTERNAL, "target: %s: there is no result", role);
}

const char *rf_result_cell(const struct rf_result *result, int row, int column) {
    return row < result->n_rows && column < result->n_columns ? result->cells[row * result->n_columns + column] : NULL;
}

int64_t rf_result_integer(const struct rf_result *result, int row, int column) {
    const char *text = rf_result_cell(result, row, column);
    return text ? strtoll(text, NULL, 10) : 0;
}

bool rf_result_flag(const struct rf_result *result, int row, int column) {
    const char *text = rf_result_cell(result, row, column);
    return text && strcmp(text, "true") == 0;
}
