#include "core/rows_node.h"

#include "core/utf8.h"

#include <math.h>
#include <string.h>

/* ---- checking an array ---- */

static enum rf_code broken(const struct rf_rows_node *node, const char *what, struct rf_error *err) {
    return rf_fail(err, RF_DATA, "the Arrow array of \"%s\" is broken: %s", node->name, what);
}

static bool has_offsets(const struct rf_rows_node *node) {
    return node->layout == RF_LAYOUT_OFFSETS32 || node->layout == RF_LAYOUT_OFFSETS64;
}

static int buffers_needed(enum rf_layout layout) {
    switch (layout) {
    case RF_LAYOUT_NULLS:
    case RF_LAYOUT_RUNS: return 0;
    case RF_LAYOUT_STRUCT:
    case RF_LAYOUT_LIST_FIXED: return 1;
    case RF_LAYOUT_BITS:
    case RF_LAYOUT_FIXED:
    case RF_LAYOUT_DICTIONARY:
    case RF_LAYOUT_LIST32:
    case RF_LAYOUT_LIST64: return 2;
    case RF_LAYOUT_OFFSETS32:
    case RF_LAYOUT_OFFSETS64:
    case RF_LAYOUT_VIEWS:
    case RF_LAYOUT_LIST_VIEW32:
    case RF_LAYOUT_LIST_VIEW64: return 3;
    }
    return 0;
}

static int64_t offset_at(const struct rf_rows_node *node, const void *buffer, int64_t at) {
    if (node->layout == RF_LAYOUT_OFFSETS64 || node->layout == RF_LAYOUT_LIST64 || node->layout == RF_LAYOUT_LIST_VIEW64) {
        int64_t wide;
        memcpy(&wide, (const uint8_t *)buffer + at * 8, sizeof wide);
        return wide;
    }
    int32_t narrow;
    memcpy(&narrow, (const uint8_t *)buffer + at * 4, sizeof narrow);
    return narrow;
}

static enum rf_code check_buffers(struct rf_rows_node *node, const struct ArrowArray *array, struct rf_error *err) {
    int needed = buffers_needed(node->layout);
    if (array->n_buffers < needed || (needed && !array->buffers)) return broken(node, "buffers are missing", err);
    node->valid = needed ? array->buffers[0] : NULL;
    if (array->null_count > 0 && needed && !node->valid) return broken(node, "it has NULLs, and no bitmap that says where", err);
    if (array->length == 0) return RF_OK;
    bool has_width = node->layout != RF_LAYOUT_FIXED || node->width > 0;
    if (needed >= 2 && has_width && !array->buffers[1]) return broken(node, "a buffer is missing", err);
    bool is_list_view = node->layout == RF_LAYOUT_LIST_VIEW32 || node->layout == RF_LAYOUT_LIST_VIEW64;
    if (is_list_view && !array->buffers[2]) return broken(node, "a buffer is missing", err);
    if (node->layout == RF_LAYOUT_VIEWS && array->n_buffers > 3 && !array->buffers[array->n_buffers - 1])
        return broken(node, "the lengths of its buffers are missing", err);
    if (!has_offsets(node)) return RF_OK;
    node->limit = offset_at(node, array->buffers[1], array->offset + array->length);
    return node->limit > 0 && !array->buffers[2] ? broken(node, "a buffer is missing", err) : RF_OK;
}

static enum rf_code check_lengths(const struct rf_rows_node *node, const struct ArrowArray *array, struct rf_error *err) {
    int64_t n = array->offset + array->length;
    for (int i = 0; i < node->n_children && node->layout == RF_LAYOUT_STRUCT; i++)
        if (array->children[i]->length < n) return broken(&node->children[i], "it is shorter than the struct that it is in", err);
    if (node->layout == RF_LAYOUT_LIST_FIXED && node->width > 0 && array->children[0]->length / node->width < n)
        return broken(node, "it has fewer elements than its lists need", err);
    if (node->layout == RF_LAYOUT_RUNS && array->children[1]->length < array->children[0]->length)
        return broken(node, "it has fewer values than runs", err);
    return RF_OK;
}

static enum rf_code bind_children(struct rf_rows_node *node, const struct ArrowArray *array, struct rf_error *err) {
    if (node->layout == RF_LAYOUT_DICTIONARY) {
        if (!array->dictionary) return broken(node, "its dictionary is missing", err);
        return rf_rows_bind(&node->children[0], array->dictionary, err);
    }
    if (array->n_children != node->n_children || (node->n_children && !array->children))
        return broken(node, "it has another number of children than its schema", err);
    for (int i = 0; i < node->n_children; i++) {
        if (!array->children[i]) return broken(node, "a child is missing", err);
        RF_TRY(rf_rows_bind(&node->children[i], array->children[i], err));
    }
    return check_lengths(node, array, err);
}

/* Positions are multiplied by up to 32 bytes. */
enum rf_code rf_rows_bind(struct rf_rows_node *node, const struct ArrowArray *array, struct rf_error *err) {
    const int64_t most = INT64_MAX / 64;
    if (array->length < 0 || array->offset < 0 || array->length > most || array->offset > most || array->null_count < -1)
        return broken(node, "its length or offset cannot be", err);
    node->array = array;
    node->run = 0;
    node->limit = 0;
    RF_TRY(check_buffers(node, array, err));
    return bind_children(node, array, err);
}

/* ---- finding a value ---- */

static bool is_set(const uint8_t *bits, int64_t at) {
    return bits[at >> 3] >> (at & 7) & 1;
}

static int64_t load_integer(const uint8_t *from, int width, bool is_signed) {
    int8_t i8;
    int16_t i16;
    int32_t i32;
    int64_t i64;
    switch (width) {
    case 1: memcpy(&i8, from, sizeof i8); return is_signed ? i8 : (uint8_t)i8;
    case 2: memcpy(&i16, from, sizeof i16); return is_signed ? i16 : (uint16_t)i16;
    case 4: memcpy(&i32, from, sizeof i32); return is_signed ? i32 : (int64_t)(uint32_t)i32;
    default: memcpy(&i64, from, sizeof i64); return i64;
    }
}

static int64_t run_end(const struct rf_rows_node *ends, int64_t run) {
    return rf_rows_integer(ends, ends->array->offset + run, true);
}

/* The first run that ends behind `at`; a reader goes forward, so mostly it is the last one or the next. */
static enum rf_code find_run(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    const struct rf_rows_node *ends = &node->children[0];
    int64_t low = 0, n = ends->array->length, high = n;
    bool is_near = node->run < n && (node->run == 0 || run_end(ends, node->run - 1) <= at);
    if (is_near) low = node->run;
    while (is_near && low < n && low < node->run + 2 && run_end(ends, low) <= at) low++;
    if (is_near && low < n && run_end(ends, low) > at) high = low;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (run_end(ends, middle) <= at) low = middle + 1;
        else high = middle;
    }
    if (low >= n || (low > 0 && run_end(ends, low - 1) > at)) return rf_rows_data(rows, "lies in no run of its run-end encoded array");
    node->run = low;
    return RF_OK;
}

enum rf_code rf_rows_find(struct rf_rows *rows, struct rf_rows_node **node, int64_t *at) {
    for (;;) {
        struct rf_rows_node *here = *node;
        int64_t i = *at + here->array->offset;
        bool is_null = here->layout == RF_LAYOUT_NULLS || (here->valid && !is_set(here->valid, i));
        *at = i;
        if (is_null) *node = NULL;
        if (is_null || (here->layout != RF_LAYOUT_DICTIONARY && here->layout != RF_LAYOUT_RUNS)) return RF_OK;
        if (here->layout == RF_LAYOUT_RUNS) {
            RF_TRY(find_run(rows, here, i));
            *at = here->run;
            *node = &here->children[1];
            continue;
        }
        *at = load_integer((const uint8_t *)here->array->buffers[1] + i * here->width, here->width, here->is_signed);
        *node = &here->children[0];
        if (*at < 0 || *at >= (*node)->array->length) return rf_rows_data(rows, "names an entry that its dictionary does not have");
    }
}

/* ---- reading it ---- */

bool rf_rows_bit(const struct rf_rows_node *node, int64_t at) {
    return is_set(node->array->buffers[1], at);
}

const uint8_t *rf_rows_fixed(const struct rf_rows_node *node, int64_t at) {
    return (const uint8_t *)node->array->buffers[1] + at * node->width;
}

int64_t rf_rows_integer(const struct rf_rows_node *node, int64_t at, bool is_signed) {
    return load_integer(rf_rows_fixed(node, at), node->width, is_signed);
}

/* IEEE 754 with 5 bits of exponent and 10 of fraction; every one of them is a float too. */
static double half_float(unsigned bits) {
    int exponent = (int)(bits >> 10 & 31);
    double fraction = bits & 1023;
    double size = exponent == 31 ? (fraction > 0 ? (double)NAN : (double)INFINITY)
                : exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25);
    return bits >> 15 ? -size : size;
}

double rf_rows_float(const struct rf_rows_node *node, int64_t at) {
    const uint8_t *from = rf_rows_fixed(node, at);
    if (node->width == 2) return half_float((unsigned)load_integer(from, 2, false));
    double wide;
    float narrow;
    if (node->width == 8) {
        memcpy(&wide, from, sizeof wide);
        return wide;
    }
    memcpy(&narrow, from, sizeof narrow);
    return (double)narrow;
}

/* Source: arrow.apache.org/docs/format/Columnar.html, "Variable-size Binary View Layout": a length, then up to 12 bytes, or
 * the first 4 of them, a buffer and an offset. */
static enum rf_code read_view(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, const uint8_t **bytes, size_t *n_bytes) {
    const struct ArrowArray *array = node->array;
    const uint8_t *view = (const uint8_t *)array->buffers[1] + at * 16;
    int32_t length, buffer, offset;
    int64_t size;
    memcpy(&length, view, 4);
    *bytes = view + 4;
    *n_bytes = (size_t)length;
    if (length >= 0 && length <= 12) return RF_OK;
    memcpy(&buffer, view + 8, 4);
    memcpy(&offset, view + 12, 4);
    if (length < 0 || buffer < 0 || buffer >= array->n_buffers - 3 || offset < 0) return rf_rows_data(rows, "has a broken view");
    memcpy(&size, (const uint8_t *)array->buffers[array->n_buffers - 1] + (size_t)buffer * 8, 8);
    if ((int64_t)offset + length > size || !array->buffers[2 + buffer]) return rf_rows_data(rows, "has a view beyond its buffer");
    *bytes = (const uint8_t *)array->buffers[2 + buffer] + offset;
    return RF_OK;
}

static enum rf_code broken_offsets(struct rf_rows *rows) {
    return rf_rows_data(rows, "has broken offsets");
}

enum rf_code rf_rows_bytes(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, const uint8_t **bytes, size_t *n_bytes) {
    if (node->layout == RF_LAYOUT_VIEWS) return read_view(rows, node, at, bytes, n_bytes);
    if (node->layout == RF_LAYOUT_FIXED) {
        *bytes = rf_rows_fixed(node, at);
        *n_bytes = (size_t)node->width;
        return RF_OK;
    }
    int64_t begin = offset_at(node, node->array->buffers[1], at), end = offset_at(node, node->array->buffers[1], at + 1);
    if (begin < 0 || begin > end || end > node->limit) return broken_offsets(rows);
    *bytes = node->array->buffers[2];
    if (*bytes) *bytes += begin;
    *n_bytes = (size_t)(end - begin);
    return RF_OK;
}

enum rf_code rf_rows_text(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, const uint8_t **bytes, size_t *n_bytes) {
    RF_TRY(rf_rows_bytes(rows, node, at, bytes, n_bytes));
    if (rows->takes_any) return RF_OK;
    size_t good = rf_utf8_good(*bytes, *n_bytes);
    if (good == *n_bytes) return RF_OK;
    if ((*bytes)[good] == 0) return rf_rows_data(rows, "holds the character U+0000 at byte %zu, which PostgreSQL's text cannot", good);
    return rf_rows_data(rows, "is no UTF-8 from byte %zu on", good);
}

enum rf_code rf_rows_range(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int64_t *begin, int64_t *end) {
    const void *const *buffers = node->array->buffers;
    int64_t n = node->array->children[0]->length;
    if (node->layout == RF_LAYOUT_LIST_FIXED) {
        *begin = at * node->width;
        *end = *begin + node->width;
        return RF_OK;
    }
    *begin = offset_at(node, buffers[1], at);
    bool is_view = node->layout == RF_LAYOUT_LIST_VIEW32 || node->layout == RF_LAYOUT_LIST_VIEW64;
    int64_t length = is_view ? offset_at(node, buffers[2], at) : 0;
    if (*begin < 0 || *begin > n || length < 0 || length > n) return broken_offsets(rows);
    *end = is_view ? *begin + length : offset_at(node, buffers[1], at + 1);
    return *end < *begin || *end > n ? broken_offsets(rows) : RF_OK;
}

enum rf_code rf_rows_decimal(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, struct rf_numeric *numeric) {
    rf_numeric_from_integer(rf_rows_fixed(node, at), node->width, node->scale, numeric);
    if (rf_numeric_precision(numeric, node->scale) <= node->precision) return RF_OK;
    return rf_rows_data(rows, "has more than the %d digits of its type", node->precision);
}
