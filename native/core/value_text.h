/* Values of Arrow arrays as texts, for databases that are told them so. */
#ifndef RF_VALUE_TEXT_H
#define RF_VALUE_TEXT_H

#include "core/arrow.h"
#include "core/types.h"

#include <stdbool.h>
#include <stdint.h>

enum { RF_VALUE_TEXT_BYTES = 48 };

/* Prints a value that is not NULL: -12.50, 2026-01-31, 24:00:00.000000, 2026-01-31 18:00:00.000000, to which `zone` is added
 * where the type is of times in UTC. Returns its length, or -1 for a day or time outside of the years 1 to 9999, for which there is no such text. */
int rf_value_text(const struct rf_type *type, const struct ArrowArray *array, int64_t row, const char *zone, char to[RF_VALUE_TEXT_BYTES]);

#endif
