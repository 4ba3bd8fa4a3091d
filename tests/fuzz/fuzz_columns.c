/* Any bytes as fields of any two types: a row that is taken reads back from Arrow as it came, one that is not leaves no trace. */
#include "core/columns.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { COLUMNS = 2, MOST_ROWS = 400, MOST_OUT = 4 };

#define NUMERIC(precision, scale) ((((precision) << 16) | (scale)) + 4)

static const struct { const char *identity; int32_t typmod; } TYPES[] = {
    {"bool", -1}, {"int2", -1}, {"int4", -1}, {"int8", -1}, {"oid", -1}, {"float4", -1}, {"float8", -1}, {"numeric", NUMERIC(12, 2)},
    {"numeric", NUMERIC(38, 10)}, {"numeric", NUMERIC(38, 38)}, {"numeric", NUMERIC(1, 0)}, {"text", -1}, {"bytea", -1}, {"jsonb", -1},
    {"uuid", -1}, {"date", -1}, {"time", -1}, {"timestamp", -1}, {"timestamptz", -1}, {"interval", -1}, {"enum('a')", -1}, {"inet", -1},
    {"_bool", -1}, {"_int2", -1}, {"_int8", -1}, {"_text", -1}, {"_jsonb", -1}, {"_numeric", NUMERIC(5, 1)}, {"_uuid", -1}, {"_timestamptz", -1},
};

enum { N_TYPES = sizeof TYPES / sizeof TYPES[0] };

static void is_true(bool holds) {
    if (!holds) abort();
}

/* ---- what came in ----------------------------------------------------------------------------------------------------- */

static struct rf_field rows[MOST_ROWS][COLUMNS]; /* those that were taken, since the last batch */
static int64_t n_rows;

struct input {
    const uint8_t *at, *end;
};

static int next_byte(struct input *input) {
    return input->at < input->end ? *input->at++ : 0;
}

/* A length in a byte, then so many bytes, in memory of exactly that size; 255 is NULL. */
static struct rf_field next_field(struct input *input) {
    int length = next_byte(input);
    if (length == 255) return (struct rf_field){.bytes = NULL, .n_bytes = -1};
    if (length > input->end - input->at) length = (int)(input->end - input->at);
    uint8_t *bytes = malloc(length > 0 ? (size_t)length : 1);
    is_true(bytes != NULL);
    if (length > 0) memcpy(bytes, input->at, (size_t)length);
    input->at += length;
    return (struct rf_field){.bytes = bytes, .n_bytes = length};
}

static void free_row(struct rf_field *row) {
    for (int i = 0; i < COLUMNS; i++) free((void *)row[i].bytes);
}

static void forget_rows(void) {
    while (n_rows > 0) free_row(rows[--n_rows]);
}

static int32_t read_int(const uint8_t *p) {
    return (int32_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static void reverse(const uint8_t *from, size_t n_bytes, uint8_t *to) {
    for (size_t i = 0; i < n_bytes; i++) to[i] = from[n_bytes - 1 - i];
}

static int64_t read_long(const uint8_t *p) {
    int64_t n;
    reverse(p, sizeof n, (uint8_t *)&n);
    return n;
}

/* ---- Arrow, read by its rules ------------------------------------------------------------------------------------------- */

static const uint8_t *values_of(const struct ArrowArray *array) {
    return array->buffers[array->n_buffers - 1];
}

static bool bit_of(const void *bits, int64_t at) {
    return ((const uint8_t *)bits)[at / 8] >> (at % 8) & 1;
}

static int32_t offset_of(const struct ArrowArray *array, int64_t at) {
    return ((const int32_t *)array->buffers[1])[at];
}

static int64_t width_bits(enum rf_wire wire) {
    switch (wire) {
    case RF_WIRE_BOOL: return 1;
    case RF_WIRE_INT2: return 16;
    case RF_WIRE_INT4:
    case RF_WIRE_UINT4:
    case RF_WIRE_FLOAT4:
    case RF_WIRE_DATE: return 32;
    case RF_WIRE_INT8:
    case RF_WIRE_FLOAT8:
    case RF_WIRE_TIME:
    case RF_WIRE_TIMESTAMP: return 64;
    case RF_WIRE_NUMERIC:
    case RF_WIRE_UUID:
    case RF_WIRE_INTERVAL: return 128;
    case RF_WIRE_TEXT:
    case RF_WIRE_BYTES:
    case RF_WIRE_JSONB:
    case RF_WIRE_ARRAY: return 0;
    }
    return 0;
}

/* Lengths, numbers of buffers, alignment, offsets, the count of NULLs. Returns how many bits it stands for. */
static uint64_t check_array(const struct ArrowArray *array, const struct rf_type *type, int64_t length) {
    int64_t width = width_bits(type->wire), n_null = 0;
    is_true(array->length == length && array->offset == 0 && !array->dictionary && array->release);
    is_true(array->n_buffers == (width || type->element ? 2 : 3) && array->n_children == (type->element != NULL));
    for (int64_t i = 0; i < array->n_buffers; i++) is_true((array->buffers[i] || i == 0) && (uintptr_t)array->buffers[i] % 64 == 0);
    is_true((array->buffers[0] == NULL) == (array->null_count == 0));
    for (int64_t i = 0; array->buffers[0] && i < length; i++) n_null += !bit_of(array->buffers[0], i);
    is_true(n_null == array->null_count);
    if (width) return (uint64_t)(length * (1 + width));
    is_true(offset_of(array, 0) == 0);
    for (int64_t i = 0; i < length; i++) is_true(offset_of(array, i) <= offset_of(array, i + 1));
    int32_t end = offset_of(array, length);
    uint64_t within = type->element ? check_array(array->children[0], type->element, end) : 8 * (uint64_t)end;
    return (uint64_t)(length * 33) + within;
}

/* ---- what came out is what came in ---------------------------------------------------------------------------------------- */

static void check_same(const uint8_t *value, const uint8_t *sent, size_t n_bytes) {
    uint8_t native[16];
    reverse(sent, n_bytes, native);
    is_true(memcmp(value, native, n_bytes) == 0);
}

static void check_time(const uint8_t *value, const struct rf_field *sent, int64_t epoch) {
    int64_t out, in = read_long(sent->bytes);
    memcpy(&out, value, sizeof out);
    if (in == INT64_MAX) is_true(out == INT64_MAX);
    else if (in == INT64_MIN) is_true(out == -INT64_MAX);
    else is_true(out > -INT64_MAX && out < INT64_MAX && out - epoch == in);
}

static void check_date(const uint8_t *value, const struct rf_field *sent) {
    int32_t out, in = read_int(sent->bytes);
    memcpy(&out, value, sizeof out);
    if (in == INT32_MAX) is_true(out == INT32_MAX);
    else if (in == INT32_MIN) is_true(out == -INT32_MAX);
    else is_true(out > -INT32_MAX && out < INT32_MAX && out - 10957 == in);
}

static void check_interval(const uint8_t *value, const struct rf_field *sent) {
    int64_t ns;
    memcpy(&ns, value + 8, sizeof ns);
    check_same(value, sent->bytes + 12, 4);
    check_same(value + 4, sent->bytes + 8, 4);
    is_true(ns % 1000 == 0 && ns / 1000 == read_long(sent->bytes));
}

/* The decimal's digit for 10^power, of what was sent. */
static int sent_digit(const struct rf_field *sent, int power) {
    int weight = (int16_t)(sent->bytes[2] << 8 | sent->bytes[3]), n_groups = (sent->n_bytes - 8) / 2;
    int group = weight - (power >= 0 ? power / 4 : -((3 - power) / 4));
    if (group < 0 || group >= n_groups) return 0;
    int digits = sent->bytes[8 + 2 * group] << 8 | sent->bytes[9 + 2 * group];
    for (int place = (power % 4 + 4) % 4; place > 0; place--) digits /= 10;
    return digits % 10;
}

/* Digit by digit, from the last unit on; there is none behind precision, nor before the last unit. */
static void check_decimal(const uint8_t *value, const struct rf_field *sent, const struct rf_type *type) {
    __extension__ __int128 signed_units;
    __extension__ unsigned __int128 units;
    memcpy(&signed_units, value, sizeof signed_units);
    memcpy(&units, value, sizeof units);
    if (signed_units < 0) units = -units;
    is_true(signed_units == 0 || (signed_units < 0) == (sent->bytes[4] == 0x40));
    for (int i = -44; i < type->precision + 8; i++) {
        int digit = i < 0 ? 0 : (int)(units % 10);
        is_true(sent_digit(sent, i - type->scale) == digit);
        if (i >= 0) units /= 10;
    }
    is_true(units == 0);
}

static void check_text(const struct ArrowArray *array, int64_t at, const uint8_t *bytes, int32_t n_bytes) {
    int32_t begin = offset_of(array, at);
    is_true(offset_of(array, at + 1) - begin == n_bytes);
    is_true(n_bytes == 0 || memcmp(values_of(array) + begin, bytes, (size_t)n_bytes) == 0);
}

static void check_value(const struct ArrowArray *array, int64_t at, const struct rf_type *type, const struct rf_field *sent);

static void check_list(const struct ArrowArray *array, int64_t at, const struct rf_type *type, const struct rf_field *sent) {
    int32_t begin = offset_of(array, at), n = offset_of(array, at + 1) - begin;
    is_true(n == (read_int(sent->bytes) == 0 ? 0 : read_int(sent->bytes + 12)));
    const uint8_t *p = sent->bytes + 20;
    for (int32_t i = 0; i < n; i++) {
        struct rf_field element = {.bytes = p + 4, .n_bytes = read_int(p)};
        p += 4 + (element.n_bytes > 0 ? element.n_bytes : 0);
        if (element.n_bytes < 0) element.bytes = NULL;
        check_value(array->children[0], begin + i, type->element, &element);
    }
}

static void check_value(const struct ArrowArray *array, int64_t at, const struct rf_type *type, const struct rf_field *sent) {
    bool is_valid = !array->buffers[0] || bit_of(array->buffers[0], at);
    is_true(is_valid == (sent->bytes != NULL));
    if (!is_valid) return;
    size_t width = (size_t)width_bits(type->wire) / 8;
    const uint8_t *value = values_of(array) + (size_t)at * width;
    switch (type->wire) {
    case RF_WIRE_BOOL: is_true(bit_of(values_of(array), at) == (sent->bytes[0] != 0)); break;
    case RF_WIRE_INT2:
    case RF_WIRE_INT4:
    case RF_WIRE_INT8:
    case RF_WIRE_UINT4:
    case RF_WIRE_FLOAT4:
    case RF_WIRE_FLOAT8:
    case RF_WIRE_TIME: check_same(value, sent->bytes, width); break;
    case RF_WIRE_UUID: is_true(memcmp(value, sent->bytes, width) == 0); break;
    case RF_WIRE_NUMERIC: check_decimal(value, sent, type); break;
    case RF_WIRE_TEXT:
    case RF_WIRE_BYTES: check_text(array, at, sent->bytes, sent->n_bytes); break;
    case RF_WIRE_JSONB: check_text(array, at, sent->bytes + 1, sent->n_bytes - 1); break;
    case RF_WIRE_DATE: check_date(value, sent); break;
    case RF_WIRE_TIMESTAMP: check_time(value, sent, INT64_C(946684800000000)); break;
    case RF_WIRE_INTERVAL: check_interval(value, sent); break;
    case RF_WIRE_ARRAY: check_list(array, at, type, sent); break;
    }
}

/* ---- batches ---------------------------------------------------------------------------------------------------------------- */

static struct ArrowArray out[MOST_OUT]; /* handed out, and released later in another order */

static void release(struct ArrowArray *array) {
    if (array->release) array->release(array);
}

static void take_batch(struct rf_columns *columns, const struct rf_columns_field *fields, int place) {
    struct ArrowArray array;
    struct rf_error err;
    uint64_t n_bits = 0;
    size_t n_bytes = rf_columns_bytes(columns);
    is_true(rf_columns_rows(columns) == n_rows);
    is_true(rf_columns_take(columns, &array, &err) == RF_OK);
    is_true(array.length == n_rows && array.n_children == COLUMNS && array.n_buffers == 1 && !array.buffers[0]);
    for (int i = 0; i < COLUMNS; i++) {
        n_bits += check_array(array.children[i], &fields[i].type, n_rows);
        for (int64_t at = 0; at < n_rows; at++) check_value(array.children[i], at, &fields[i].type, &rows[at][i]);
    }
    is_true(n_bytes == (n_bits + 7) / 8);
    is_true(rf_columns_rows(columns) == 0 && rf_columns_bytes(columns) == 0);
    forget_rows();
    release(&out[place]);
    out[place] = array;
}

static void append_row(struct rf_columns *columns, struct input *input) {
    struct rf_error err;
    size_t n_bytes = rf_columns_bytes(columns);
    struct rf_field *row = rows[n_rows];
    for (int i = 0; i < COLUMNS; i++) row[i] = next_field(input);
    enum rf_code code = rf_columns_append(columns, row, &err);
    if (code == RF_OK) {
        n_rows++;
        return;
    }
    is_true(code == RF_DATA && strstr(err.message, "column \"") && *err.hint);
    is_true(rf_columns_rows(columns) == n_rows && rf_columns_bytes(columns) == n_bytes);
    free_row(row);
}

/* The input: the types of both columns, after how many rows batches end, then rows. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    struct input input = {.at = data, .end = data + n_bytes};
    struct rf_columns_field fields[COLUMNS];
    struct rf_columns *columns;
    struct rf_arena arena;
    struct rf_error err;
    rf_arena_init(&arena, 1 << 16);
    for (int i = 0; i < COLUMNS; i++) {
        int type = next_byte(&input) % N_TYPES;
        fields[i] = (struct rf_columns_field){.name = "c"};
        is_true(rf_type_resolve(TYPES[type].identity, TYPES[type].typmod, false, &arena, &fields[i].type, &err) == RF_OK);
    }
    is_true(rf_columns_new(fields, COLUMNS, &columns, &err) == RF_OK);
    int rows_per_batch = next_byte(&input), n_taken = 0;
    while (input.at < input.end) {
        append_row(columns, &input);
        if (n_rows == MOST_ROWS || n_rows > rows_per_batch) take_batch(columns, fields, n_taken++ * 3 % MOST_OUT);
    }
    take_batch(columns, fields, n_taken % MOST_OUT);
    rf_columns_free(columns);
    rf_arena_free(&arena);
    for (int i = 0; i < MOST_OUT; i++) release(&out[i]);
    return 0;
}
