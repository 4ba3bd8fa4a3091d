/* Comparing a target that hashes no rows itself: its rows are read, as the source's are, and both hashed here.
 *
 * Each side is read twice where something differs, and the target a third time to name what; more often only where more rows
 * differ than there is memory for (core/tally.h). Under 100 MB, however large the tables are.
 */
#ifndef RF_COMPARE_ROWS_H
#define RF_COMPARE_ROWS_H

#include "core/compare.h"

/* As rf_compare. */
enum rf_code rf_compare_rows(const struct rf_plan *plan, struct rf_source *source, struct rf_sink *sink, uint64_t since,
                             struct rf_arena *arena, struct rf_verification *verification, struct rf_error *err);

#endif
