#include "text_arrays.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int count(const char *text, char c) {
    int n = 1;
    for (; *text; text++) n += *text == c;
    return n;
}

int n_text_columns(const char *rows) {
    char first[4096];
    snprintf(first, sizeof first, "%s", rows);
    first[strcspn(first, ";")] = '\0';
    return count(first, '|');
}

static void release_column_schema(struct ArrowSchema *schema) {
    schema->release = NULL;
}

static void release_schema(struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++) free(schema->children[i]);
    free(schema->children);
    schema->release = NULL;
}

static const char *const NAMES[] = {"c0", "c1", "c2", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11", "c12", "c13", "c14", "c15", "c16", "c17", "c18", "c19"};

void make_text_schema(const char *rows, const char *format, struct ArrowSchema *out) {
    *out = (struct ArrowSchema){.format = "+s", .n_children = n_text_columns(rows), .release = release_schema};
    out->children = calloc((size_t)out->n_children, sizeof *out->children);
    for (int64_t i = 0; i < out->n_children; i++) {
        out->children[i] = calloc(1, sizeof **out->children);
        *out->children[i] = (struct ArrowSchema){.format = format, .name = NAMES[i], .flags = ARROW_FLAG_NULLABLE, .release = release_column_schema};
    }
}

static void release_array(struct ArrowArray *array) {
    for (int64_t i = 0; i < array->n_children; i++) {
        for (int b = 0; b < 3; b++) free((void *)(uintptr_t)array->children[i]->buffers[b]);
        free(array->children[i]->buffers);
        free(array->children[i]);
    }
    free(array->children);
    free(array->buffers);
    array->release = NULL;
    atomic_fetch_sub((atomic_int *)array->private_data, 1);
}

static struct ArrowArray *new_column(int64_t n_rows, size_t n_bytes) {
    struct ArrowArray *column = calloc(1, sizeof *column);
    column->length = n_rows;
    column->null_count = -1;
    column->n_buffers = 3;
    column->buffers = calloc(3, sizeof *column->buffers);
    column->buffers[0] = calloc((size_t)n_rows / 8 + 1, 1);
    column->buffers[1] = calloc((size_t)n_rows + 1, sizeof(int32_t));
    column->buffers[2] = calloc(n_bytes + 1, 1);
    return column;
}

static void set_cell(struct ArrowArray *column, int64_t row, const char *text, size_t n_bytes) {
    int32_t *offsets = (int32_t *)(uintptr_t)column->buffers[1];
    char *data = (char *)(uintptr_t)column->buffers[2];
    bool is_null = n_bytes == 1 && *text == '~';
    if (!is_null) ((uint8_t *)(uintptr_t)column->buffers[0])[row / 8] |= (uint8_t)(1 << row % 8);
    if (!is_null) memcpy(data + offsets[row], text, n_bytes);
    offsets[row + 1] = offsets[row] + (is_null ? 0 : (int32_t)n_bytes);
}

void make_text_array(const char *rows, atomic_int *n_alive, struct ArrowArray *array) {
    int n = n_text_columns(rows);
    *array = (struct ArrowArray){.length = *rows ? count(rows, ';') : 0, .n_buffers = 1, .n_children = n, .release = release_array, .private_data = n_alive};
    array->buffers = calloc(1, sizeof *array->buffers); /* no bitmap: no row is NULL */
    array->children = calloc((size_t)n, sizeof *array->children);
    for (int i = 0; i < n; i++) array->children[i] = new_column(array->length, strlen(rows));
    for (int64_t row = 0; row < array->length; row++)
        for (int i = 0; i < n; i++) {
            size_t length = strcspn(rows, "|;");
            set_cell(array->children[i], row, rows, length);
            rows += length + (rows[length] != '\0');
        }
    atomic_fetch_add(n_alive, 1);
}
