#include "core/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 16 * 1024, ALIGNMENT = 16 };

struct rf_arena_block {
    alignas(ALIGNMENT) struct rf_arena_block *older;
    size_t used;
    size_t size;
    alignas(ALIGNMENT) unsigned char bytes[];
};

void rf_arena_init(struct rf_arena *arena, size_t limit_bytes) {
    *arena = (struct rf_arena){.limit_bytes = limit_bytes};
}

void rf_arena_free(struct rf_arena *arena) {
    struct rf_arena_block *block = arena->newest;
    while (block) {
        struct rf_arena_block *older = block->older;
        free(block);
        block = older;
    }
    arena->newest = NULL;
    arena->taken_bytes = 0;
}

static struct rf_arena_block *add_block(struct rf_arena *arena, size_t n_bytes) {
    size_t size = n_bytes > BLOCK_BYTES ? n_bytes : BLOCK_BYTES;
    if (arena->taken_bytes + size > arena->limit_bytes) return NULL;
    struct rf_arena_block *block = calloc(1, sizeof *block + size);
    if (!block) return NULL;
    block->size = size;
    block->older = arena->newest;
    arena->newest = block;
    arena->taken_bytes += size;
    return block;
}

void *rf_arena_take(struct rf_arena *arena, size_t n_bytes) {
    if (n_bytes > arena->limit_bytes) return NULL;
    size_t rounded = (n_bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    struct rf_arena_block *block = arena->newest;
    if (!block || block->size - block->used < rounded) block = add_block(arena, rounded);
    if (!block) return NULL;
    void *out = block->bytes + block->used;
    block->used += rounded;
    return out;
}

char *rf_arena_copy(struct rf_arena *arena, const char *text) {
    if (!text) return NULL;
    size_t n_bytes = strlen(text) + 1;
    char *copy = rf_arena_take(arena, n_bytes);
    if (copy) memcpy(copy, text, n_bytes);
    return copy;
}

enum rf_code rf_arena_text(struct rf_arena *arena, struct rf_text *text, const char **out, struct rf_error *err) {
    enum rf_code code = rf_text_check(text, err);
    if (code == RF_OK && !(*out = rf_arena_copy(arena, text->data ? text->data : ""))) code = rf_no_memory(err);
    rf_text_free(text);
    return code;
}
