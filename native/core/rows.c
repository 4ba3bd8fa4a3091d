#include "core/rows.h"

#include "core/network_order.h"
#include "core/numeric.h"
#include "core/rows_node.h"
#include "core/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SCHEMA_BYTES = 64 << 20,
    MOST_FIELD_BYTES = 0x3fffffff, /* PostgreSQL's MaxAllocSize */
    LENGTH_BYTES = 4,
};

/* ---- what every value needs ---- */

enum rf_code rf_rows_data(struct rf_rows *rows, const char *format, ...) {
    char what[256];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return rf_fail(rows->err, RF_DATA, "column \"%s\" of row %" PRId64 " %s", rows->column, rows->n_before + rows->next + 1, what);
}

uint8_t *rf_rows_take(struct rf_rows *rows, size_t n_bytes) {
    char *room = rf_text_room(rows->out, n_bytes);
    if (!room) {
        rf_no_memory(rows->err);
        return NULL;
    }
    rows->out->length += n_bytes;
    return (uint8_t *)room;
}

/* The lowest bytes of `value`, in network order. */
static enum rf_code put(struct rf_rows *rows, uint64_t value, size_t n_bytes) {
    uint8_t *to = rf_rows_take(rows, n_bytes);
    if (!to) return RF_NO_MEMORY;
    rf_write_number(to, value, n_bytes);
    return RF_OK;
}

static enum rf_code put_these(struct rf_rows *rows, const uint8_t *bytes, size_t n_bytes) {
    if (n_bytes > MOST_FIELD_BYTES) return rf_rows_data(rows, "is larger than the 1 GB that PostgreSQL takes");
    uint8_t *to = rf_rows_take(rows, n_bytes);
    if (!to) return RF_NO_MEMORY;
    if (n_bytes > 0) memcpy(to, bytes, n_bytes);
    return RF_OK;
}

/* ---- values, in the binary forms of their types (core/types.h) ---- */

static enum rf_code put_bool(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    return put(rows, rf_rows_bit(node, at), 1);
}

static int64_t any_integer(const struct rf_rows_node *node, int64_t at) {
    return rf_rows_integer(node, at, node->meaning == RF_MEANS_INT);
}

static enum rf_code put_int2(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    return put(rows, (uint64_t)any_integer(node, at), 2);
}

static enum rf_code put_int4(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    return put(rows, (uint64_t)any_integer(node, at), 4);
}

static enum rf_code put_int8(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    return put(rows, (uint64_t)any_integer(node, at), 8);
}

static enum rf_code put_float4(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    float value = (float)rf_rows_float(node, at);
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put(rows, bits, 4);
}

static enum rf_code put_float8(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    double value = rf_rows_float(node, at);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return put(rows, bits, 8);
}

static enum rf_code put_numeric(struct rf_rows *rows, const struct rf_numeric *numeric) {
    uint8_t *to = rf_rows_take(rows, RF_NUMERIC_HEAD_BYTES + 2 * (size_t)numeric->n);
    if (!to) return RF_NO_MEMORY;
    rf_numeric_send(numeric, to);
    return RF_OK;
}

static enum rf_code put_decimal(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    struct rf_numeric numeric;
    RF_TRY(rf_rows_decimal(rows, node, at, &numeric));
    return put_numeric(rows, &numeric);
}

/* What no int8 holds; as a signed integer of 16 bytes it is positive. */
static enum rf_code put_uint8(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    uint8_t wide[16] = {0};
    struct rf_numeric numeric;
    memcpy(wide, rf_rows_fixed(node, at), 8);
    rf_numeric_from_integer(wide, sizeof wide, 0, &numeric);
    return put_numeric(rows, &numeric);
}

/* The scale of a numeric's modifier; see core/passthrough.c. */
static int modifier_scale(int32_t typmod) {
    int scale = (typmod - 4) & 0x7ff;
    return scale >= 1024 ? scale - 2048 : scale;
}

static enum rf_code put_number_text(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    const uint8_t *bytes;
    size_t n_bytes;
    int32_t finest;
    RF_TRY(rf_rows_bytes(rows, node, at, &bytes, &n_bytes));
    if (!rf_numeric_from_text((const char *)bytes, n_bytes, rows->out, &finest)) return rf_rows_data(rows, "is declared numeric and is no number");
    if (node->typmod >= 0 && finest > modifier_scale(node->typmod)) return rf_rows_data(rows, "has more decimal places than its type, %s", node->type->name);
    return rf_text_check(rows->out, rows->err);
}

static enum rf_code put_bytes(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    const uint8_t *bytes;
    size_t n_bytes;
    RF_TRY(rf_rows_bytes(rows, node, at, &bytes, &n_bytes));
    return put_these(rows, bytes, n_bytes);
}

static enum rf_code put_text(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    const uint8_t *bytes;
    size_t n_bytes;
    RF_TRY(rf_rows_text(rows, node, at, &bytes, &n_bytes));
    int32_t most = node->typmod - 4; /* varchar(n) would lose spaces without an error */
    if (most >= 0 && n_bytes > (size_t)most && rf_utf8_characters(bytes, n_bytes) > (size_t)most)
        return rf_rows_data(rows, "is longer than the %d characters of its type", (int)most);
    return put_these(rows, bytes, n_bytes);
}

static enum rf_code put_version(struct rf_rows *rows) {
    return put(rows, 1, 1);
}

static enum rf_code put_jsonb_text(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    RF_TRY(put_version(rows));
    return put_text(rows, node, at);
}

static enum rf_code put_json(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    return rf_rows_json_value(rows, node, at);
}

static enum rf_code put_jsonb(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    RF_TRY(put_version(rows));
    return rf_rows_json_value(rows, node, at);
}

static int hex_digit(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* 8-4-4-4-12 digits, as everybody writes it; PostgreSQL would read others too. */
static enum rf_code put_uuid_text(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    const uint8_t *bytes;
    size_t n_bytes;
    uint8_t uuid[16];
    RF_TRY(rf_rows_bytes(rows, node, at, &bytes, &n_bytes));
    bool good = n_bytes == 36;
    for (size_t i = 0, n = 0; good && i < 36; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        int digit = dash ? -1 : hex_digit(bytes[i]);
        good = dash ? bytes[i] == '-' : digit >= 0;
        if (dash || !good) continue;
        uuid[n / 2] = (uint8_t)(n % 2 ? uuid[n / 2] | digit : digit << 4);
        n++;
    }
    return good ? put_these(rows, uuid, sizeof uuid) : rf_rows_data(rows, "is declared uuid and is none");
}

static enum rf_code put_date(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    int32_t days;
    RF_TRY(rf_rows_date(rows, node, at, &days));
    return put(rows, (uint32_t)days, 4);
}

static enum rf_code put_time(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    int64_t micros;
    RF_TRY(rf_rows_time(rows, node, at, &micros));
    return put(rows, (uint64_t)micros, 8);
}

static enum rf_code put_timestamp(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    int64_t micros;
    RF_TRY(rf_rows_timestamp(rows, node, at, &micros));
    return put(rows, (uint64_t)micros, 8);
}

static enum rf_code put_interval(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    struct rf_rows_interval interval;
    RF_TRY(rf_rows_span(rows, node, at, &interval));
    RF_TRY(put(rows, (uint64_t)interval.micros, 8));
    RF_TRY(put(rows, (uint32_t)interval.days, 4));
    return put(rows, (uint32_t)interval.months, 4);
}

/* A length of -1 and nothing for NULL, else the length and the value. */
static enum rf_code put_field(struct rf_rows *rows, struct rf_rows_node *node, int64_t at, bool *is_null) {
    struct rf_rows_node *plain = node;
    size_t begin = rows->out->length;
    uint8_t *length = rf_rows_take(rows, LENGTH_BYTES);
    if (!length) return RF_NO_MEMORY;
    RF_TRY(rf_rows_find(rows, &plain, &at));
    *is_null = !plain;
    if (!plain) {
        rf_write_number(length, UINT32_MAX, 4);
        return RF_OK;
    }
    RF_TRY(plain->put(rows, plain, at));
    size_t n_bytes = rows->out->length - begin - LENGTH_BYTES;
    if (n_bytes > MOST_FIELD_BYTES) return rf_rows_data(rows, "is larger than the 1 GB that PostgreSQL takes");
    rf_write_number((uint8_t *)rows->out->data + begin, n_bytes, 4);
    return RF_OK;
}

/* Of one dimension, or of none when it is empty. */
static enum rf_code put_array(struct rf_rows *rows, struct rf_rows_node *node, int64_t at) {
    int64_t i, end;
    size_t begin = rows->out->length;
    bool has_null = false;
    RF_TRY(rf_rows_range(rows, node, at, &i, &end));
    if (end - i > MOST_FIELD_BYTES / LENGTH_BYTES) return rf_rows_data(rows, "has more elements than a PostgreSQL array");
    RF_TRY(put(rows, end > i, 4));
    RF_TRY(put(rows, 0, 4));
    RF_TRY(put(rows, node->type->oid, 4));
    if (end == i) return RF_OK;
    RF_TRY(put(rows, (uint64_t)(end - i), 4));
    RF_TRY(put(rows, 1, 4));
    for (; i < end; i++) {
        bool is_null;
        RF_TRY(put_field(rows, &node->children[0], i, &is_null));
        has_null |= is_null;
    }
    rf_write_number((uint8_t *)rows->out->data + begin + 4, has_null, 4);
    return RF_OK;
}

static bool is_nested(enum rf_meaning meaning) {
    return meaning == RF_MEANS_LIST || meaning == RF_MEANS_STRUCT || meaning == RF_MEANS_MAP;
}

static rf_rows_put *integer_put(enum rf_wire wire) {
    return wire == RF_WIRE_INT2 ? put_int2 : wire == RF_WIRE_INT4 ? put_int4 : wire == RF_WIRE_INT8 ? put_int8 : NULL;
}

static rf_rows_put *text_put(enum rf_wire wire) {
    switch (wire) {
    case RF_WIRE_TEXT: return put_text;
    case RF_WIRE_JSONB: return put_jsonb_text;
    case RF_WIRE_NUMERIC: return put_number_text;
    case RF_WIRE_UUID: return put_uuid_text;
    default: return NULL;
    }
}

rf_rows_put *rf_rows_find_put(enum rf_wire wire, const struct rf_rows_node *plain) {
    if (is_nested(plain->meaning))
        return wire == RF_WIRE_JSONB ? put_jsonb : wire == RF_WIRE_TEXT ? put_json : wire == RF_WIRE_ARRAY ? put_array : NULL;
    switch (plain->meaning) {
    case RF_MEANS_NOTHING: return put_text;
    case RF_MEANS_BOOL: return wire == RF_WIRE_BOOL ? put_bool : NULL;
    case RF_MEANS_UINT:
        if (plain->width == 8) return wire == RF_WIRE_NUMERIC ? put_uint8 : NULL;
        return integer_put(wire);
    case RF_MEANS_INT: return integer_put(wire);
    case RF_MEANS_FLOAT: return wire == RF_WIRE_FLOAT4 ? put_float4 : wire == RF_WIRE_FLOAT8 ? put_float8 : NULL;
    case RF_MEANS_DECIMAL: return wire == RF_WIRE_NUMERIC ? put_decimal : NULL;
    case RF_MEANS_TEXT:
    case RF_MEANS_JSON: return text_put(wire);
    case RF_MEANS_BYTES:
    case RF_MEANS_UUID:
        return wire == RF_WIRE_BYTES || (wire == RF_WIRE_UUID && plain->layout == RF_LAYOUT_FIXED && plain->width == 16) ? put_bytes : NULL;
    case RF_MEANS_DATE: return wire == RF_WIRE_DATE ? put_date : NULL;
    case RF_MEANS_TIME: return wire == RF_WIRE_TIME ? put_time : NULL;
    case RF_MEANS_TIMESTAMP:
    case RF_MEANS_TIMESTAMPTZ: return wire == RF_WIRE_TIMESTAMP ? put_timestamp : NULL;
    default: return wire == RF_WIRE_INTERVAL ? put_interval : NULL;
    }
}

/* ---- a stream, batch after batch ---- */

enum rf_code rf_rows_new(const struct ArrowSchema *schema, struct rf_rows **out, struct rf_error *err) {
    struct rf_rows *rows = calloc(1, sizeof *rows);
    *out = NULL;
    if (!rows) return rf_no_memory(err);
    rf_arena_init(&rows->arena, MOST_SCHEMA_BYTES);
    enum rf_code code = rf_rows_parse(schema, &rows->arena, &rows->root, err);
    if (code != RF_OK) {
        rf_rows_free(rows);
        return code;
    }
    *out = rows;
    return RF_OK;
}

void rf_rows_free(struct rf_rows *rows) {
    if (!rows) return;
    rf_arena_free(&rows->arena);
    free(rows->keys);
    free(rows);
}

void rf_rows_take_any(struct rf_rows *rows) {
    rows->takes_any = true;
}

void rf_rows_require(struct rf_rows *rows, int column) {
    rows->root.children[column].is_key = true;
}

int rf_rows_width(const struct rf_rows *rows) {
    return rows->root.n_children;
}

struct rf_form rf_rows_form(const struct rf_rows *rows, int column) {
    const struct rf_rows_node *node = &rows->root.children[column];
    return (struct rf_form){.wire = node->is_array ? RF_WIRE_ARRAY : node->type->wire, .element = node->type->wire};
}

enum rf_code rf_rows_begin(struct rf_rows *rows, const struct ArrowArray *array, struct rf_error *err) {
    if (rows->root.array) rows->n_before += rows->root.array->length;
    rows->root.array = NULL;
    rows->next = 0;
    enum rf_code code = rf_rows_bind(&rows->root, array, err);
    if (code != RF_OK) rows->root.array = NULL;
    return code;
}

static enum rf_code put_row(struct rf_rows *rows) {
    struct rf_rows_node *root = &rows->root;
    int64_t at = rows->next;
    rows->column = root->n_children ? root->children[0].name : "";
    rows->n_keys = 0;
    RF_TRY(rf_rows_find(rows, &root, &at));
    if (!root) return rf_fail(rows->err, RF_DATA, "row %" PRId64 " is NULL as a whole", rows->n_before + rows->next + 1);
    RF_TRY(put(rows, (uint64_t)root->n_children, 2));
    for (int i = 0; i < root->n_children; i++) {
        bool is_null;
        rows->column = root->children[i].name;
        RF_TRY(put_field(rows, &root->children[i], at, &is_null));
        if (is_null && root->children[i].is_key) return rf_rows_data(rows, "is NULL, and it is part of the key");
        if (is_null && root->children[i].not_null) return rf_rows_data(rows, "is NULL, and its schema says that it never is");
    }
    return RF_OK;
}

enum rf_code rf_rows_write(struct rf_rows *rows, size_t n_bytes, struct rf_text *out, int64_t *n_rows, struct rf_error *err) {
    int64_t first = rows->next, n = rows->root.array ? rows->root.array->length : 0;
    size_t begin = out->length;
    enum rf_code code = RF_OK;
    rows->out = out;
    rows->err = err;
    while (code == RF_OK && rows->next < n && (rows->next == first || out->length - begin < n_bytes)) {
        size_t row = out->length;
        code = put_row(rows);
        if (code == RF_OK) rows->next++;
        else out->length = row;
    }
    if (out->data) out->data[out->length] = '\0';
    *n_rows = rows->next - first;
    return code;
}
