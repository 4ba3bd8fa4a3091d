#include "core/print.h"
#include "core/rows_node.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rf_rows_key {
    size_t offset; /* in rows->out */
    size_t n_bytes;
    const char *at; /* when the buffer grows no more */
};

static enum rf_code add(struct rf_rows *rows, const char *bytes, size_t n_bytes) {
    uint8_t *to = rf_rows_take(rows, n_bytes);
    if (!to) return RF_NO_MEMORY;
    if (n_bytes > 0) memcpy(to, bytes, n_bytes);
    return RF_OK;
}

static enum rf_code add_word(struct rf_rows *rows, const char *word) {
    return add(rows, word, strlen(word));
}

/* The value, or null where there is none. */
static enum rf_code add_element(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    RF_TRY(rf_rows_find(rows, &node, &at));
    return node ? rf_rows_json_value(rows, node, at) : add_word(rows, "null");
}

/* ---- texts ---- */

static enum rf_code add_escape(struct rf_rows *rows, uint8_t byte) {
    char escape[8];
    if (byte == '"' || byte == '\\') snprintf(escape, sizeof escape, "\\%c", byte);
    else snprintf(escape, sizeof escape, "\\u%04x", byte);
    return add_word(rows, escape);
}

static enum rf_code add_quoted(struct rf_rows *rows, const uint8_t *bytes, size_t n_bytes) {
    size_t done = 0;
    RF_TRY(add_word(rows, "\""));
    for (size_t i = 0; i < n_bytes; i++) {
        if (bytes[i] >= 0x20 && bytes[i] != '"' && bytes[i] != '\\') continue;
        RF_TRY(add(rows, (const char *)bytes + done, i - done));
        RF_TRY(add_escape(rows, bytes[i]));
        done = i + 1;
    }
    if (n_bytes > done) RF_TRY(add(rows, (const char *)bytes + done, n_bytes - done));
    return add_word(rows, "\"");
}

static enum rf_code add_printed(struct rf_rows *rows, const char *text) {
    return add_quoted(rows, (const uint8_t *)text, strlen(text));
}

static enum rf_code add_text(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    const uint8_t *bytes;
    size_t n_bytes;
    RF_TRY(rf_rows_text(rows, node, at, &bytes, &n_bytes));
    return add_quoted(rows, bytes, n_bytes);
}

/* Text that cannot reach out of the place where it is put: brackets are closed within, no comma or colon stands outside
 * of them. That it is JSON is the server's to say. */
static bool keeps_its_place(const uint8_t *bytes, size_t n_bytes) {
    bool quoted = false, blank = true;
    size_t depth = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        uint8_t c = bytes[i];
        blank &= c == ' ' || c == '\t' || c == '\n' || c == '\r';
        if (quoted && c == '\\') i++;
        else if (c == '"') quoted = !quoted;
        if (quoted) continue;
        if (c == '{' || c == '[') depth++;
        if ((c == '}' || c == ']' || c == ',' || c == ':') && depth == 0) return false;
        if (c == '}' || c == ']') depth--;
    }
    return !quoted && !blank && depth == 0;
}

static enum rf_code add_json(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    const uint8_t *bytes;
    size_t n_bytes;
    RF_TRY(rf_rows_text(rows, node, at, &bytes, &n_bytes));
    if (!keeps_its_place(bytes, n_bytes)) return rf_rows_data(rows, "holds an arrow.json value that is no JSON");
    return add(rows, (const char *)bytes, n_bytes);
}

static enum rf_code add_uuid(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[RF_PRINT_BYTES];
    rf_print_uuid(rf_rows_fixed(node, at), text);
    return add_printed(rows, text);
}

/* ---- numbers ---- */

static enum rf_code add_integer(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[24];
    bool is_signed = node->meaning == RF_MEANS_INT;
    int64_t value = rf_rows_integer(node, at, is_signed);
    if (is_signed) snprintf(text, sizeof text, "%" PRId64, value);
    else snprintf(text, sizeof text, "%" PRIu64, (uint64_t)value);
    return add_word(rows, text);
}

static enum rf_code add_float(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[RF_PRINT_BYTES];
    double value = rf_rows_float(node, at);
    if (!isfinite(value)) return rf_rows_data(rows, "holds NaN or an infinity, which JSON does not have");
    rf_print_float(value, node->width < 8, text);
    return add_word(rows, text);
}

static enum rf_code add_decimal(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    struct rf_numeric numeric;
    RF_TRY(rf_rows_decimal(rows, node, at, &numeric));
    rf_numeric_print(&numeric, rows->out);
    return rf_text_check(rows->out, rows->err);
}

/* ---- times, as PostgreSQL puts them into JSON: ISO 8601, with BC behind it ---- */

static enum rf_code add_date(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[RF_PRINT_BYTES];
    int32_t days;
    RF_TRY(rf_rows_date(rows, node, at, &days));
    rf_print_date(days, text);
    return add_printed(rows, text);
}

static enum rf_code add_time(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[RF_PRINT_BYTES];
    int64_t micros;
    RF_TRY(rf_rows_time(rows, node, at, &micros));
    rf_print_time(micros, text);
    return add_printed(rows, text);
}

static enum rf_code add_timestamp(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[RF_PRINT_BYTES];
    int64_t micros;
    RF_TRY(rf_rows_timestamp(rows, node, at, &micros));
    rf_print_timestamp(micros, 'T', node->meaning == RF_MEANS_TIMESTAMPTZ ? "+00:00" : "", text);
    return add_printed(rows, text);
}

static enum rf_code add_interval(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[RF_PRINT_BYTES], fraction[8];
    struct rf_rows_interval interval;
    RF_TRY(rf_rows_span(rows, node, at, &interval));
    int64_t seconds = interval.micros / 1000000;
    rf_print_fraction(abs((int)(interval.micros % 1000000)), fraction);
    snprintf(text, sizeof text, "\"P%dM%dDT%s%" PRId64 "%sS\"", (int)interval.months, (int)interval.days, interval.micros < 0 ? "-" : "",
             seconds < 0 ? -seconds : seconds, fraction);
    return add_word(rows, text);
}

/* ---- lists, structs, maps ---- */

static enum rf_code add_list(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    int64_t begin, end;
    RF_TRY(rf_rows_range(rows, node, at, &begin, &end));
    RF_TRY(add_word(rows, "["));
    for (int64_t i = begin; i < end; i++) {
        if (i > begin) RF_TRY(add_word(rows, ","));
        RF_TRY(add_element(rows, &node->children[0], i));
    }
    return add_word(rows, "]");
}

static enum rf_code add_struct(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    RF_TRY(add_word(rows, "{"));
    for (int i = 0; i < node->n_children; i++) {
        struct rf_rows_node *child = &node->children[i];
        if (i > 0) RF_TRY(add_word(rows, ","));
        RF_TRY(add_quoted(rows, (const uint8_t *)child->name, strlen(child->name)));
        RF_TRY(add_word(rows, ":"));
        RF_TRY(add_element(rows, child, at));
    }
    return add_word(rows, "}");
}

static enum rf_code note_key(struct rf_rows *rows, size_t offset) {
    if (rows->n_keys == rows->keys_capacity) {
        size_t capacity = rows->keys_capacity ? 2 * rows->keys_capacity : 64;
        struct rf_rows_key *keys = realloc(rows->keys, capacity * sizeof *keys);
        if (!keys) return rf_no_memory(rows->err);
        rows->keys = keys;
        rows->keys_capacity = capacity;
    }
    rows->keys[rows->n_keys++] = (struct rf_rows_key){.offset = offset, .n_bytes = rows->out->length - offset};
    return RF_OK;
}

/* Every key of an object is a text: others are put in quotes. */
static enum rf_code add_key(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    RF_TRY(rf_rows_find(rows, &node, &at));
    if (!node) return rf_rows_data(rows, "holds a map with a key that is NULL");
    size_t begin = rows->out->length;
    bool bare = node->meaning >= RF_MEANS_BOOL && node->meaning <= RF_MEANS_DECIMAL;
    if (bare) RF_TRY(add_word(rows, "\""));
    RF_TRY(rf_rows_json_value(rows, node, at));
    if (bare) RF_TRY(add_word(rows, "\""));
    return note_key(rows, begin);
}

static int compare_keys(const void *left, const void *right) {
    const struct rf_rows_key *a = left, *b = right;
    if (a->n_bytes != b->n_bytes) return a->n_bytes < b->n_bytes ? -1 : 1;
    return memcmp(a->at, b->at, a->n_bytes);
}

/* Of two members with one name jsonb keeps the last and says nothing. */
static enum rf_code check_keys(struct rf_rows *rows, size_t first) {
    size_t n = rows->n_keys - first;
    rows->n_keys = first;
    if (n < 2) return RF_OK;
    struct rf_rows_key *keys = rows->keys + first;
    for (size_t i = 0; i < n; i++) keys[i].at = rows->out->data + keys[i].offset;
    qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 1; i < n; i++)
        if (compare_keys(&keys[i - 1], &keys[i]) == 0) return rf_rows_data(rows, "holds a map that has a key twice");
    return RF_OK;
}

static enum rf_code add_map(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    int64_t begin, end;
    size_t first_key = rows->n_keys;
    RF_TRY(rf_rows_range(rows, node, at, &begin, &end));
    RF_TRY(add_word(rows, "{"));
    for (int64_t i = begin; i < end; i++) {
        struct rf_rows_node *entry = &node->children[0];
        int64_t inside = i;
        RF_TRY(rf_rows_find(rows, &entry, &inside));
        if (!entry) return rf_rows_data(rows, "holds a map with an entry that is NULL");
        if (i > begin) RF_TRY(add_word(rows, ","));
        RF_TRY(add_key(rows, &entry->children[0], inside));
        RF_TRY(add_word(rows, ":"));
        RF_TRY(add_element(rows, &entry->children[1], inside));
    }
    RF_TRY(add_word(rows, "}"));
    return check_keys(rows, first_key);
}

enum rf_code rf_rows_json_value(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    switch (node->meaning) {
    case RF_MEANS_BOOL: return add_word(rows, rf_rows_bit(node, at) ? "true" : "false");
    case RF_MEANS_INT:
    case RF_MEANS_UINT: return add_integer(rows, node, at);
    case RF_MEANS_FLOAT: return add_float(rows, node, at);
    case RF_MEANS_DECIMAL: return add_decimal(rows, node, at);
    case RF_MEANS_TEXT: return add_text(rows, node, at);
    case RF_MEANS_JSON: return add_json(rows, node, at);
    case RF_MEANS_UUID: return add_uuid(rows, node, at);
    case RF_MEANS_DATE: return add_date(rows, node, at);
    case RF_MEANS_TIME: return add_time(rows, node, at);
    case RF_MEANS_TIMESTAMP:
    case RF_MEANS_TIMESTAMPTZ: return add_timestamp(rows, node, at);
    case RF_MEANS_DURATION:
    case RF_MEANS_MONTHS:
    case RF_MEANS_DAY_TIME:
    case RF_MEANS_MONTH_DAY_NANO: return add_interval(rows, node, at);
    case RF_MEANS_LIST: return add_list(rows, node, at);
    case RF_MEANS_STRUCT: return add_struct(rows, node, at);
    case RF_MEANS_MAP: return add_map(rows, node, at);
    default: return add_word(rows, "null");
    }
}
