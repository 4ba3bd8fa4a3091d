/* Comparing a target with its source: two streams of (key, hash of the row), merged in the order of keys; or, of a target that
 * hashes no rows, as compare_rows.h says. Memory does not grow with the tables. */
#ifndef RF_COMPARE_H
#define RF_COMPARE_H

#include "core/arena.h"
#include "core/error.h"
#include "core/report.h"
#include "core/sink.h"
#include "core/source.h"

#include <stddef.h>
#include <stdint.h>

/* `since`: source rows written at or after this xmin are pending when they differ; 0 when none may. Both ends
 * must be inside a transaction. Fills *verification but for exact, reason and target_only_is_error. */
enum rf_code rf_compare(const struct rf_plan *plan, struct rf_source *source, struct rf_sink *sink, uint64_t since,
                        struct rf_arena *arena, struct rf_verification *verification, struct rf_error *err);

/* Keeps an example, as long as there is room for one. */
enum rf_code rf_note_example(struct rf_verification *verification, const char *kind, const char *key, size_t n_bytes, struct rf_arena *arena,
                             struct rf_error *err);

#endif
