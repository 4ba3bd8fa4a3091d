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
    char text[40];
    const uint8_t *u = rf_rows_fixed(node, at);
    snprintf(text, sizeof text, "\"%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x\"", u[0], u[1], u[2], u[3], u[4], u[5], u[6],
             u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    return add_word(rows, text);
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

/* The point is a comma, or more than one byte, where the program's locale says so. */
static void use_point(char *text) {
    size_t n = strspn(text, "-0123456789"), n_point = strcspn(text + n, "e0123456789");
    if (n_point == 0) return;
    text[n] = '.';
    memmove(text + n + 1, text + n + n_point, strlen(text + n + n_point) + 1);
}

/* With the fewest digits that are read back as the same number. */
static enum rf_code add_float(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[40];
    double value = rf_rows_float(node, at);
    bool is_narrow = node->width < 8, same = false;
    if (!isfinite(value)) return rf_rows_data(rows, "holds NaN or an infinity, which JSON does not have");
    for (int digits = is_narrow ? 6 : 15; !same; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        same = digits >= 17 || (is_narrow ? (double)strtof(text, NULL) : strtod(text, NULL)) == value;
    }
    use_point(text);
    return add_word(rows, text);
}

static enum rf_code add_decimal(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    struct rf_numeric numeric;
    RF_TRY(rf_rows_decimal(rows, node, at, &numeric));
    rf_numeric_print(&numeric, rows->out);
    return rf_text_check(rows->out, rows->err);
}

/* ---- times, as PostgreSQL puts them into JSON: ISO 8601, with BC behind it ---- */

enum { TIME_BYTES = 96 };

/* A year of 365.2425 days, counted from March on so that its last day is the one that comes and goes. */
static void print_date(int64_t days, char *to, bool *is_bc) {
    int64_t since = days + 10957 + 719468; /* 0000-03-01 */
    int64_t era = (since >= 0 ? since : since - 146096) / 146097, day = since - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153, of_month = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    year += era * 400 + (month <= 2);
    *is_bc = year <= 0;
    snprintf(to, TIME_BYTES, "%04" PRId64 "-%02" PRId64 "-%02" PRId64, *is_bc ? 1 - year : year, month, of_month);
}

/* .5, without zeros at its end; nothing for 0. */
static void print_fraction(int micros, char to[8]) {
    int n = micros ? snprintf(to, 8, ".%06d", micros % 1000000) : 0;
    while (n > 0 && to[n - 1] == '0') n--;
    to[n] = '\0';
}

static void print_time(int64_t micros, char *to) {
    char fraction[8];
    int64_t seconds = micros / 1000000;
    print_fraction((int)(micros % 1000000), fraction);
    snprintf(to, TIME_BYTES, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 "%s", seconds / 3600, seconds / 60 % 60, seconds % 60, fraction);
}

static enum rf_code add_date(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[TIME_BYTES], quoted[TIME_BYTES + 8];
    bool is_bc;
    int32_t days;
    RF_TRY(rf_rows_date(rows, node, at, &days));
    if (days == INT32_MAX || days == INT32_MIN) return add_word(rows, days > 0 ? "\"infinity\"" : "\"-infinity\"");
    print_date(days, text, &is_bc);
    snprintf(quoted, sizeof quoted, "\"%s%s\"", text, is_bc ? " BC" : "");
    return add_word(rows, quoted);
}

static enum rf_code add_time(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[TIME_BYTES], quoted[TIME_BYTES + 8];
    int64_t micros;
    RF_TRY(rf_rows_time(rows, node, at, &micros));
    print_time(micros, text);
    snprintf(quoted, sizeof quoted, "\"%s\"", text);
    return add_word(rows, quoted);
}

static enum rf_code add_timestamp(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    const int64_t day_us = 86400000000;
    char date[TIME_BYTES], time[TIME_BYTES], quoted[2 * TIME_BYTES + 16];
    bool is_bc;
    int64_t micros;
    RF_TRY(rf_rows_timestamp(rows, node, at, &micros));
    if (micros == INT64_MAX || micros == INT64_MIN) return add_word(rows, micros > 0 ? "\"infinity\"" : "\"-infinity\"");
    int64_t of_day = micros % day_us;
    if (of_day < 0) of_day += day_us;
    print_date((micros - of_day) / day_us, date, &is_bc);
    print_time(of_day, time);
    snprintf(quoted, sizeof quoted, "\"%sT%s%s%s\"", date, time, node->meaning == RF_MEANS_TIMESTAMPTZ ? "+00:00" : "", is_bc ? " BC" : "");
    return add_word(rows, quoted);
}

/* As of ISO 8601, each part with a sign of its own: P1M-2DT3.5S. */
static enum rf_code add_interval(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at) {
    char text[TIME_BYTES], fraction[8];
    struct rf_rows_interval interval;
    RF_TRY(rf_rows_span(rows, node, at, &interval));
    int64_t seconds = interval.micros / 1000000;
    print_fraction(abs((int)(interval.micros % 1000000)), fraction);
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
