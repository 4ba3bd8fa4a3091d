/* Memory that lives as long as one run: names, types, SQL texts, facts.
 *
 * Blocks are chained and freed together. A limit bounds the whole, so that a hostile catalog cannot grow
 * a worker without end. Rows never pass through an arena.
 */
#ifndef RF_ARENA_H
#define RF_ARENA_H

#include "core/error.h"
#include "core/text.h"

#include <stddef.h>

struct rf_arena_block;

struct rf_arena {
    struct rf_arena_block *newest;
    size_t taken_bytes;
    size_t limit_bytes;
};

void rf_arena_init(struct rf_arena *arena, size_t limit_bytes);
void rf_arena_free(struct rf_arena *arena);

/* Takes n_bytes, 16-byte aligned and zeroed, until rf_arena_free. NULL when the limit or memory is reached. */
void *rf_arena_take(struct rf_arena *arena, size_t n_bytes);

/* A copy of `text` in the arena; NULL stays NULL, and NULL on exhaustion. */
char *rf_arena_copy(struct rf_arena *arena, const char *text);

/* Moves a text that was written into the arena, as "" when nothing was; it is freed. RF_NO_MEMORY when it failed or does not fit. */
enum rf_code rf_arena_text(struct rf_arena *arena, struct rf_text *text, const char **out, struct rf_error *err);

#endif
