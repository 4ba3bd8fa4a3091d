#include "core/columns.h"

#include "core/network_order.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    ALIGNMENT = 64,     /* what Arrow recommends of buffers */
    FEWEST_ROWS = 64,   /* room of a new batch */
    MOST_IDLE = 2,      /* batches that wait to be filled again: one is read while the next is made */
    MOST_BUFFERS = 3,
    GROUP_DIGITS = 4,   /* of a numeric: its digits come to the base of 10,000 */
};

__extension__ typedef unsigned __int128 uint128;

struct buffer {
    uint8_t *bytes; /* 64-byte aligned */
    size_t capacity;
};

/* One Arrow array in the making. */
struct builder {
    enum rf_wire wire;
    int wire_bytes; /* of each value as it comes; 0: they differ */
    int value_bits; /* of each value in `values`; 0: they differ, and offsets say where each ends */
    int64_t length;
    int64_t room; /* values there is memory for, validity and offsets included */
    int64_t null_count;
    struct buffer validity; /* written from the first NULL on */
    struct buffer offsets;
    struct buffer values;
    struct builder *element;
    uint64_t *n_bits; /* of the batch, what differs from row to row */
    const struct rf_columns_field *field; /* of an element, that of its column */
    int scale;
    uint128 limits[GROUP_DIGITS + 1]; /* 10^(precision - i): what has more passes 10^precision with i more digits */
    struct ArrowArray array;
    const void *buffers[MOST_BUFFERS];
    struct ArrowArray *children[1];
};

struct batch {
    struct pool *pool;
    atomic_int n_held; /* arrays that were handed out and not released */
    int64_t rows;
    int64_t room;
    uint64_t n_bits;
    uint64_t row_bits; /* of what each row takes */
    int n_columns;
    int n_builders;
    struct builder *builders; /* the columns', then those of their elements */
    struct ArrowArray **children;
    const void *no_validity[1];
};

/* Outlives the columns for as long as batches are out. */
struct pool {
    pthread_mutex_t mutex;
    int n_holders; /* the columns, and each batch that is not idle */
    bool closed;   /* nobody will fill a batch again */
    int n_idle;
    struct batch *idle[MOST_IDLE];
};

struct rf_columns {
    const struct rf_columns_field *fields;
    int n_fields;
    struct pool *pool;
    struct batch *batch; /* never NULL */
};

/* ---- buffers -------------------------------------------------------------------------------------------------------- */

static bool grow(struct buffer *buffer, size_t needed) {
    if (needed <= buffer->capacity) return true;
    size_t doubled = 2 * buffer->capacity;
    size_t capacity = ((needed > doubled ? needed : doubled) + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    uint8_t *bytes = aligned_alloc(ALIGNMENT, capacity);
    if (!bytes) return false;
    if (buffer->capacity > 0) memcpy(bytes, buffer->bytes, buffer->capacity);
    free(buffer->bytes);
    *buffer = (struct buffer){.bytes = bytes, .capacity = capacity};
    return true;
}

static size_t bytes_of(uint64_t n_bits) {
    return (size_t)((n_bits + 7) / 8);
}

/* Bits behind `at` may be anything. */
static inline void put_bit(uint8_t *bits, int64_t at, bool on) {
    unsigned before = at & 7 ? bits[at >> 3] & ((1u << (at & 7)) - 1) : 0;
    bits[at >> 3] = (uint8_t)(before | (unsigned)on << (at & 7));
}

/* ---- builders ------------------------------------------------------------------------------------------------------- */

/* Of values that are all as long, how long they come and how many bits they take as Arrow. */
static void lay_out(struct builder *builder) {
    static const struct { int wire_bytes, value_bits; } lengths[] = {
        [RF_WIRE_BOOL] = {1, 1},       [RF_WIRE_INT2] = {2, 16},    [RF_WIRE_INT4] = {4, 32},   [RF_WIRE_INT8] = {8, 64},
        [RF_WIRE_UINT4] = {4, 32},     [RF_WIRE_FLOAT4] = {4, 32},  [RF_WIRE_FLOAT8] = {8, 64}, [RF_WIRE_NUMERIC] = {0, 128},
        [RF_WIRE_UUID] = {16, 128},    [RF_WIRE_DATE] = {4, 32},    [RF_WIRE_TIME] = {8, 64},   [RF_WIRE_TIMESTAMP] = {8, 64},
        [RF_WIRE_INTERVAL] = {16, 128}, [RF_WIRE_ARRAY] = {0, 0},
    };
    builder->wire_bytes = lengths[builder->wire].wire_bytes;
    builder->value_bits = lengths[builder->wire].value_bits;
}

static void set_limits(struct builder *builder, const struct rf_type *type) {
    builder->scale = type->scale;
    builder->limits[0] = 1;
    for (int i = 0; i < type->precision; i++) builder->limits[0] *= 10;
    for (int i = 1; i <= GROUP_DIGITS; i++) builder->limits[i] = builder->limits[i - 1] / 10;
}

/* Makes room for `n` values in all. */
static bool reserve(struct builder *builder, int64_t n) {
    if (n <= builder->room) return true;
    bool grown = builder->value_bits > 0 ? grow(&builder->values, bytes_of((uint64_t)n * (uint64_t)builder->value_bits))
                                         : grow(&builder->offsets, ((size_t)n + 1) * sizeof(int32_t));
    if (!grown || (builder->null_count > 0 && !grow(&builder->validity, bytes_of((uint64_t)n)))) return false;
    builder->room = n;
    return true;
}

static inline int32_t end_of(const struct builder *builder, int64_t length) {
    int32_t end;
    memcpy(&end, builder->offsets.bytes + (size_t)length * sizeof end, sizeof end);
    return end;
}

/* Where the value ends that is being appended. */
static inline void put_end(struct builder *builder, int64_t end) {
    int32_t narrow = (int32_t)end;
    memcpy(builder->offsets.bytes + ((size_t)builder->length + 1) * sizeof narrow, &narrow, sizeof narrow);
}

static bool start(struct builder *builder, const struct rf_columns_field *field, const struct rf_type *type, uint64_t *n_bits) {
    *builder = (struct builder){.wire = type->wire, .field = field, .n_bits = n_bits};
    lay_out(builder);
    if (type->wire == RF_WIRE_NUMERIC) set_limits(builder, type);
    bool is_bytes = builder->value_bits == 0 && !type->element;
    if (!reserve(builder, FEWEST_ROWS) || (is_bytes && !grow(&builder->values, 1))) return false;
    if (builder->value_bits == 0) memset(builder->offsets.bytes, 0, sizeof(int32_t));
    return true;
}

static bool is_null(const struct builder *builder, int64_t at) {
    return builder->null_count > 0 && !(builder->validity.bytes[at >> 3] >> (at & 7) & 1);
}

static void truncate_to(struct builder *builder, int64_t length) {
    while (builder->length > length) builder->null_count -= is_null(builder, --builder->length);
    if (builder->element) truncate_to(builder->element, end_of(builder, length));
}

/* ---- batches, of which a few are kept ------------------------------------------------------------------------------ */

static void free_batch(struct batch *batch) {
    for (int i = 0; batch->builders && i < batch->n_builders; i++) {
        free(batch->builders[i].validity.bytes);
        free(batch->builders[i].offsets.bytes);
        free(batch->builders[i].values.bytes);
    }
    free(batch->builders);
    free(batch->children);
    free(batch);
}

static bool start_all(struct batch *batch, const struct rf_columns_field *fields) {
    struct builder *element = batch->builders + batch->n_columns;
    for (int i = 0; i < batch->n_columns; i++) {
        struct builder *builder = &batch->builders[i];
        const struct rf_type *type = &fields[i].type;
        if (!start(builder, &fields[i], type, &batch->n_bits)) return false;
        batch->row_bits += 1 + (uint64_t)(type->element || builder->value_bits == 0 ? 32 : builder->value_bits);
        if (!type->element) continue;
        if (!start(element, &fields[i], type->element, &batch->n_bits)) return false;
        builder->element = element++;
    }
    return true;
}

static struct batch *new_batch(struct rf_columns *columns) {
    struct batch *batch = calloc(1, sizeof *batch);
    if (!batch) return NULL;
    batch->n_columns = batch->n_builders = columns->n_fields;
    for (int i = 0; i < columns->n_fields; i++) batch->n_builders += columns->fields[i].type.element != NULL;
    batch->builders = calloc((size_t)batch->n_builders + 1, sizeof *batch->builders);
    batch->children = calloc((size_t)batch->n_columns + 1, sizeof *batch->children);
    if (!batch->builders || !batch->children || !start_all(batch, columns->fields)) {
        free_batch(batch);
        return NULL;
    }
    batch->room = FEWEST_ROWS;
    batch->pool = columns->pool;
    return batch;
}

/* Room for as much as `like` holds and some more: a consumer that keeps every batch would have each grow anew. What is not
 * filled costs no memory. */
static bool make_room(struct batch *batch, const struct batch *like) {
    for (int i = 0; i < batch->n_builders; i++) {
        struct builder *builder = &batch->builders[i];
        const struct builder *model = &like->builders[i];
        if (!reserve(builder, model->length + model->length / 8)) return false;
        if (builder->value_bits > 0 || builder->element) continue;
        size_t n_bytes = (size_t)end_of(model, model->length);
        if (!grow(&builder->values, n_bytes + n_bytes / 8)) return false;
    }
    return true;
}

static void empty(struct batch *batch) {
    for (int i = 0; i < batch->n_builders; i++) batch->builders[i].length = batch->builders[i].null_count = 0;
    batch->rows = 0;
    batch->n_bits = 0;
}

static struct batch *take_idle(struct pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    struct batch *batch = pool->n_idle > 0 ? pool->idle[--pool->n_idle] : NULL;
    if (batch) pool->n_holders++;
    pthread_mutex_unlock(&pool->mutex);
    return batch;
}

static void free_pool(struct pool *pool) {
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static void give_back(struct batch *batch) {
    struct pool *pool = batch->pool;
    empty(batch);
    pthread_mutex_lock(&pool->mutex);
    bool kept = !pool->closed && pool->n_idle < MOST_IDLE;
    if (kept) pool->idle[pool->n_idle++] = batch;
    bool last = --pool->n_holders == 0;
    pthread_mutex_unlock(&pool->mutex);
    if (!kept) free_batch(batch);
    if (last) free_pool(pool);
}

static struct batch *next_batch(struct rf_columns *columns) {
    struct batch *batch = take_idle(columns->pool);
    if (batch) return batch;
    batch = new_batch(columns);
    if (!batch) return NULL;
    if (columns->batch && !make_room(batch, columns->batch)) {
        free_batch(batch);
        return NULL;
    }
    pthread_mutex_lock(&columns->pool->mutex);
    columns->pool->n_holders++;
    pthread_mutex_unlock(&columns->pool->mutex);
    return batch;
}

enum rf_code rf_columns_new(const struct rf_columns_field *fields, int n_fields, struct rf_columns **out, struct rf_error *err) {
    struct rf_columns *columns = calloc(1, sizeof *columns);
    struct pool *pool = calloc(1, sizeof *pool);
    if (!columns || !pool) {
        free(columns);
        free(pool);
        return rf_no_memory(err);
    }
    pthread_mutex_init(&pool->mutex, NULL);
    pool->n_holders = 1;
    *columns = (struct rf_columns){.fields = fields, .n_fields = n_fields, .pool = pool};
    columns->batch = next_batch(columns);
    if (!columns->batch) {
        rf_columns_free(columns);
        return rf_no_memory(err);
    }
    *out = columns;
    return RF_OK;
}

void rf_columns_free(struct rf_columns *columns) {
    if (!columns) return;
    struct pool *pool = columns->pool;
    if (columns->batch) give_back(columns->batch);
    pthread_mutex_lock(&pool->mutex);
    pool->closed = true;
    while (pool->n_idle > 0) free_batch(pool->idle[--pool->n_idle]);
    bool last = --pool->n_holders == 0;
    pthread_mutex_unlock(&pool->mutex);
    if (last) free_pool(pool);
    free(columns);
}

/* ---- values that cannot be carried ---------------------------------------------------------------------------------- */

#define AS_TEXT "name the column in as_text: its values then come as the texts that PostgreSQL prints"

static enum rf_code refuse(const struct builder *builder, const char *what, struct rf_error *err) {
    rf_fail(err, RF_DATA, "column \"%s\" holds %s", builder->field->name, what);
    return rf_hint(err, AS_TEXT);
}

static enum rf_code refuse_length(const struct builder *builder, int32_t n_bytes, struct rf_error *err) {
    rf_fail(err, RF_DATA, "column \"%s\" came with a value of %d bytes, where its type has %d", builder->field->name, (int)n_bytes,
            builder->wire_bytes);
    return rf_hint(err, AS_TEXT);
}

static enum rf_code refuse_more(const struct builder *builder, struct rf_error *err) {
    rf_fail(err, RF_DATA, "column \"%s\" would hold more than %d %s in one batch", builder->field->name, (int)INT32_MAX,
            builder->element ? "elements" : "bytes");
    return rf_hint(err, "lower batch_bytes, so that fewer rows make a batch");
}

/* ---- values, in the order of enum rf_wire ---------------------------------------------------------------------------- */

static inline void put_2(struct builder *builder, uint16_t value) {
    memcpy(builder->values.bytes + (size_t)builder->length * sizeof value, &value, sizeof value);
}

static inline void put_4(struct builder *builder, uint32_t value) {
    memcpy(builder->values.bytes + (size_t)builder->length * sizeof value, &value, sizeof value);
}

static inline void put_8(struct builder *builder, uint64_t value) {
    memcpy(builder->values.bytes + (size_t)builder->length * sizeof value, &value, sizeof value);
}

static inline void put_16(struct builder *builder, const void *value) {
    memcpy(builder->values.bytes + (size_t)builder->length * 16, value, 16);
}

/* Source: numeric.c, numeric_send. */
enum { NUMERIC_HEADER_BYTES = 8, GROUP = 10000, NUMERIC_NEGATIVE = 0x4000, NUMERIC_NAN = 0xC000, NUMERIC_INFINITY = 0xD000, NUMERIC_MINUS_INFINITY = 0xF000 };

static enum rf_code refuse_sign(const struct builder *builder, unsigned sign, struct rf_error *err) {
    return refuse(builder, sign == NUMERIC_NAN ? "NaN, which no decimal can"
                         : sign == NUMERIC_INFINITY || sign == NUMERIC_MINUS_INFINITY ? "an infinity, which no decimal can"
                         : "a number of a sign that is not known", err);
}

static const char BEYOND_DECIMAL[] = "a number beyond the digits that its type declares";

/* The digits at `p` as a number of units of 10^-scale. NULL, or what is wrong with them. */
static const char *read_digits(const struct builder *builder, const uint8_t *p, int n_groups, int weight, uint128 *out) {
    static const unsigned POWERS[] = {1, 10, 100, 1000, 10000};
    uint128 units = 0;
    int places = GROUP_DIGITS * (weight + 1) + builder->scale; /* from the next group's first digit to the last unit */
    for (int i = 0; i < n_groups; i++, p += 2) {
        unsigned group = rf_read_2(p);
        if (group >= GROUP) return "a number whose digits cannot be read";
        int taken = places >= GROUP_DIGITS ? GROUP_DIGITS : places > 0 ? places : 0;
        unsigned cut = POWERS[GROUP_DIGITS - taken];
        if (group % cut != 0 || units > builder->limits[taken]) return BEYOND_DECIMAL;
        units = units * POWERS[taken] + group / cut;
        places -= taken;
    }
    for (; places > 0 && units > 0; places--) {
        if (units > builder->limits[1]) return BEYOND_DECIMAL;
        units *= 10;
    }
    *out = units;
    return units < builder->limits[0] ? NULL : BEYOND_DECIMAL;
}

static enum rf_code put_numeric(struct builder *builder, const struct rf_field *field, struct rf_error *err) {
    const uint8_t *p = field->bytes;
    if (field->n_bytes < NUMERIC_HEADER_BYTES) return refuse(builder, "a number that is cut short", err);
    int n_groups = rf_read_2(p), weight = (int16_t)rf_read_2(p + 2);
    unsigned sign = rf_read_2(p + 4), scale = rf_read_2(p + 6);
    if (sign != 0 && sign != NUMERIC_NEGATIVE) return refuse_sign(builder, sign, err);
    if (field->n_bytes != NUMERIC_HEADER_BYTES + 2 * n_groups) return refuse(builder, "a number that is cut short", err);
    if (scale > (unsigned)builder->scale) return refuse(builder, BEYOND_DECIMAL, err);
    uint128 units = 0;
    const char *wrong = read_digits(builder, p + NUMERIC_HEADER_BYTES, n_groups, weight, &units);
    if (wrong) return refuse(builder, wrong, err);
    if (sign == NUMERIC_NEGATIVE) units = -units;
    put_16(builder, &units);
    return RF_OK;
}

static enum rf_code put_bytes(struct builder *builder, const uint8_t *bytes, int32_t n_bytes, struct rf_error *err) {
    int64_t begin = end_of(builder, builder->length), end = begin + n_bytes;
    if (end > INT32_MAX) return refuse_more(builder, err);
    if ((size_t)end > builder->values.capacity && !grow(&builder->values, (size_t)end)) return rf_no_memory(err);
    if (n_bytes > 0) memcpy(builder->values.bytes + begin, bytes, (size_t)n_bytes);
    put_end(builder, end);
    *builder->n_bits += 8 * (uint64_t)n_bytes;
    return RF_OK;
}

enum { JSONB_VERSION = 1 };

static enum rf_code put_jsonb(struct builder *builder, const struct rf_field *field, struct rf_error *err) {
    if (field->n_bytes < 1 || field->bytes[0] != JSONB_VERSION) return refuse(builder, "jsonb of a version that is not known", err);
    return put_bytes(builder, field->bytes + 1, field->n_bytes - 1, err);
}

/* From 1970-01-01, where Arrow's times begin, to 2000-01-01, where PostgreSQL's do. */
#define EPOCH_DAYS 10957
#define EPOCH_US (EPOCH_DAYS * INT64_C(86400000000))

/* Infinity stays the last number; -infinity is the last but one at the other end, as DuckDB has it. */
static enum rf_code put_date(struct builder *builder, int32_t days, struct rf_error *err) {
    bool is_infinite = days == INT32_MAX || days == INT32_MIN;
    if (!is_infinite && days >= INT32_MAX - EPOCH_DAYS) return refuse(builder, "a date beyond the last that Arrow can name", err);
    put_4(builder, (uint32_t)(!is_infinite ? days + EPOCH_DAYS : days > 0 ? INT32_MAX : -INT32_MAX));
    return RF_OK;
}

static enum rf_code put_timestamp(struct builder *builder, int64_t us, struct rf_error *err) {
    bool is_infinite = us == INT64_MAX || us == INT64_MIN;
    if (!is_infinite && us >= INT64_MAX - EPOCH_US) return refuse(builder, "a time after the year 294246, which Arrow cannot name", err);
    put_8(builder, (uint64_t)(!is_infinite ? us + EPOCH_US : us > 0 ? INT64_MAX : -INT64_MAX));
    return RF_OK;
}

static enum rf_code put_time(struct builder *builder, uint64_t us, struct rf_error *err) {
    if (us > UINT64_C(86400000000)) return refuse(builder, "a time of day that is none", err);
    put_8(builder, us);
    return RF_OK;
}

static bool is_infinite_interval(int64_t us, int32_t days, int32_t months) {
    return (us == INT64_MAX && days == INT32_MAX && months == INT32_MAX) || (us == INT64_MIN && days == INT32_MIN && months == INT32_MIN);
}

/* Arrow: months, days, nanoseconds. */
static enum rf_code put_interval(struct builder *builder, const uint8_t *p, struct rf_error *err) {
    int64_t us = (int64_t)rf_read_8(p);
    struct { int32_t months, days; int64_t ns; } value = {.months = (int32_t)rf_read_4(p + 12), .days = (int32_t)rf_read_4(p + 8)};
    if (is_infinite_interval(us, value.days, value.months)) return refuse(builder, "an infinite interval, which Arrow cannot", err);
    if (us > INT64_MAX / 1000 || us < INT64_MIN / 1000) return refuse(builder, "an interval of more hours than Arrow has nanoseconds for", err);
    value.ns = us * 1000;
    put_16(builder, &value);
    return RF_OK;
}

static enum rf_code put(struct builder *builder, const struct rf_field *field, struct rf_error *err);

/* Source: arrayfuncs.c, array_send. */
enum { ARRAY_HEADER_BYTES = 12, DIMENSION_BYTES = 8 };

/* NULL, or what is wrong; an array of no dimension has no elements. */
static const char *read_dimensions(const struct rf_field *field, int32_t *n_elements, int32_t *n_taken) {
    const uint8_t *p = field->bytes;
    if (field->n_bytes < ARRAY_HEADER_BYTES) return "an array that is cut short";
    uint32_t dimensions = rf_read_4(p);
    *n_elements = 0;
    *n_taken = ARRAY_HEADER_BYTES;
    if (dimensions == 0) return NULL;
    if (dimensions > 1) return "an array of more than one dimension, which Arrow cannot";
    if (field->n_bytes < ARRAY_HEADER_BYTES + DIMENSION_BYTES) return "an array that is cut short";
    *n_elements = (int32_t)rf_read_4(p + ARRAY_HEADER_BYTES);
    *n_taken = ARRAY_HEADER_BYTES + DIMENSION_BYTES;
    if (rf_read_4(p + ARRAY_HEADER_BYTES + 4) != 1) return "an array that does not begin at 1, as all of Arrow's do";
    bool fits = *n_elements >= 0 && *n_elements <= (field->n_bytes - *n_taken) / 4; /* each has its length in 4 bytes */
    return fits ? NULL : "an array that is cut short";
}

/* Elements are counted, not rows: room may be short in the middle of a batch. */
static enum rf_code reserve_elements(struct builder *element, int32_t n, struct rf_error *err) {
    int64_t needed = element->length + n;
    if (needed <= element->room) return RF_OK;
    return reserve(element, needed > 2 * element->room ? needed : 2 * element->room) ? RF_OK : rf_no_memory(err);
}

static enum rf_code put_array(struct builder *builder, const struct rf_field *field, struct rf_error *err) {
    struct builder *element = builder->element;
    int32_t n, taken;
    const char *wrong = read_dimensions(field, &n, &taken);
    if (wrong) return refuse(builder, wrong, err);
    if (element->length + n > INT32_MAX) return refuse_more(builder, err);
    RF_TRY(reserve_elements(element, n, err));
    const uint8_t *p = field->bytes + taken, *end = field->bytes + field->n_bytes;
    for (int32_t i = 0; i < n; i++) {
        if (end - p < 4) return refuse(builder, "an array that is cut short", err);
        int32_t length = (int32_t)rf_read_4(p);
        p += 4;
        if (length < -1 || length > end - p) return refuse(builder, "an array that is cut short", err);
        RF_TRY(put(element, &(struct rf_field){.bytes = length < 0 ? NULL : p, .n_bytes = length}, err));
        if (length > 0) p += length;
    }
    if (p != end) return refuse(builder, "an array with more bytes than elements", err);
    put_end(builder, element->length);
    *builder->n_bits += (uint64_t)n * (1 + (uint64_t)(element->value_bits ? element->value_bits : 32));
    return RF_OK;
}

static enum rf_code put_value(struct builder *builder, const struct rf_field *field, struct rf_error *err) {
    const uint8_t *p = field->bytes;
    if (builder->wire_bytes != 0 && field->n_bytes != builder->wire_bytes) return refuse_length(builder, field->n_bytes, err);
    switch (builder->wire) {
    case RF_WIRE_BOOL: put_bit(builder->values.bytes, builder->length, p[0] != 0); return RF_OK;
    case RF_WIRE_INT2: put_2(builder, rf_read_2(p)); return RF_OK;
    case RF_WIRE_INT4:
    case RF_WIRE_UINT4:
    case RF_WIRE_FLOAT4: put_4(builder, rf_read_4(p)); return RF_OK;
    case RF_WIRE_INT8:
    case RF_WIRE_FLOAT8: put_8(builder, rf_read_8(p)); return RF_OK;
    case RF_WIRE_NUMERIC: return put_numeric(builder, field, err);
    case RF_WIRE_TEXT:
    case RF_WIRE_BYTES: return put_bytes(builder, p, field->n_bytes, err);
    case RF_WIRE_JSONB: return put_jsonb(builder, field, err);
    case RF_WIRE_UUID: put_16(builder, p); return RF_OK;
    case RF_WIRE_DATE: return put_date(builder, (int32_t)rf_read_4(p), err);
    case RF_WIRE_TIME: return put_time(builder, rf_read_8(p), err);
    case RF_WIRE_TIMESTAMP: return put_timestamp(builder, (int64_t)rf_read_8(p), err);
    case RF_WIRE_INTERVAL: return put_interval(builder, p, err);
    case RF_WIRE_ARRAY: return put_array(builder, field, err);
    }
    return rf_fail(err, RF_INTERNAL, "a value of column \"%s\" has no known form", builder->field->name);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

/* All that came so far is valid. */
static bool start_validity(struct builder *builder) {
    if (!grow(&builder->validity, bytes_of((uint64_t)builder->room))) return false;
    memset(builder->validity.bytes, 0xFF, bytes_of((uint64_t)builder->length));
    return true;
}

/* What stands for a NULL among the values is 0, not what was there before. */
static void put_nothing(struct builder *builder) {
    if (builder->value_bits == 0) put_end(builder, end_of(builder, builder->length));
    else if (builder->value_bits == 1) put_bit(builder->values.bytes, builder->length, false);
    else memset(builder->values.bytes + (size_t)builder->length * (size_t)builder->value_bits / 8, 0, (size_t)builder->value_bits / 8);
}

static enum rf_code put_null(struct builder *builder, struct rf_error *err) {
    if (builder->null_count == 0 && !start_validity(builder)) return rf_no_memory(err);
    put_nothing(builder);
    put_bit(builder->validity.bytes, builder->length, false);
    builder->null_count++;
    builder->length++;
    return RF_OK;
}

static inline enum rf_code put(struct builder *builder, const struct rf_field *field, struct rf_error *err) {
    if (!field->bytes) return put_null(builder, err);
    RF_TRY(put_value(builder, field, err));
    if (builder->null_count > 0) put_bit(builder->validity.bytes, builder->length, true);
    builder->length++;
    return RF_OK;
}

static enum rf_code add_room(struct batch *batch, struct rf_error *err) {
    int64_t room = 2 * batch->room;
    for (int i = 0; i < batch->n_columns; i++)
        if (!reserve(&batch->builders[i], room)) return rf_no_memory(err);
    batch->room = room;
    return RF_OK;
}

/* A NULL that was let in before the column was declared so stands there all the same, where a reader relies on it. */
static enum rf_code put_column(struct builder *builder, const struct rf_field *field, struct rf_error *err) {
    if (field->bytes || !builder->field->not_null) return put(builder, field, err);
    rf_fail(err, RF_DATA, "column \"%s\" is NOT NULL and holds a NULL", builder->field->name);
    return rf_hint(err, "validate the constraint on the source, or drop it");
}

enum rf_code rf_columns_append(struct rf_columns *columns, const struct rf_field *fields, struct rf_error *err) {
    struct batch *batch = columns->batch;
    uint64_t n_bits = batch->n_bits;
    enum rf_code code = batch->rows == batch->room ? add_room(batch, err) : RF_OK;
    for (int i = 0; code == RF_OK && i < batch->n_columns; i++) code = put_column(&batch->builders[i], &fields[i], err);
    if (code == RF_OK) {
        batch->rows++;
        return RF_OK;
    }
    for (int i = 0; i < batch->n_columns; i++) truncate_to(&batch->builders[i], batch->rows);
    batch->n_bits = n_bits;
    return code;
}

int64_t rf_columns_rows(const struct rf_columns *columns) {
    return columns->batch->rows;
}

size_t rf_columns_bytes(const struct rf_columns *columns) {
    const struct batch *batch = columns->batch;
    return bytes_of((uint64_t)batch->rows * batch->row_bits + batch->n_bits);
}

/* ---- handing out ------------------------------------------------------------------------------------------------------ */

/* A child may have been moved out: it then holds the batch by itself. */
static void release_array(struct ArrowArray *array) {
    struct batch *batch = array->private_data;
    for (int64_t i = 0; i < array->n_children; i++)
        if (array->children[i]->release) array->children[i]->release(array->children[i]);
    array->release = NULL; /* before the batch goes: the array may be in it */
    if (atomic_fetch_sub(&batch->n_held, 1) == 1) give_back(batch);
}

static void export_builder(struct builder *builder, struct batch *batch) {
    bool has_offsets = builder->value_bits == 0;
    int n = 0;
    builder->buffers[n++] = builder->null_count > 0 ? builder->validity.bytes : NULL;
    if (has_offsets) builder->buffers[n++] = builder->offsets.bytes;
    if (!builder->element) builder->buffers[n++] = builder->values.bytes;
    else builder->children[0] = &builder->element->array;
    builder->array = (struct ArrowArray){
        .length = builder->length, .null_count = builder->null_count, .n_buffers = n, .n_children = builder->element != NULL,
        .buffers = builder->buffers, .children = builder->element ? builder->children : NULL, .release = release_array, .private_data = batch};
}

enum rf_code rf_columns_take(struct rf_columns *columns, struct ArrowArray *out, struct rf_error *err) {
    struct batch *next = next_batch(columns), *batch = columns->batch;
    if (!next) return rf_no_memory(err);
    for (int i = 0; i < batch->n_builders; i++) export_builder(&batch->builders[i], batch);
    for (int i = 0; i < batch->n_columns; i++) batch->children[i] = &batch->builders[i].array;
    atomic_store(&batch->n_held, 1 + batch->n_builders);
    *out = (struct ArrowArray){
        .length = batch->rows, .n_buffers = 1, .n_children = batch->n_columns, .buffers = batch->no_validity,
        .children = batch->children, .release = release_array, .private_data = batch};
    columns->batch = next;
    return RF_OK;
}
