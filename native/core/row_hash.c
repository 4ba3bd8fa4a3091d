#include "core/row_hash.h"

#include "core/json_hash.h"
#include "core/network_order.h"
#include "core/numeric.h"
#include "core/print.h"
#include "core/siphash.h"
#include "core/value_read.h"

#include <math.h>
#include <string.h>

/* What stands before a value, in place of a length. */
static const uint64_t NOTHING = UINT64_MAX, WHOLE_NUMBER = UINT64_MAX - 1, DIGITS = UINT64_MAX - 2, FLOAT = UINT64_MAX - 3, ARRAY = UINT64_MAX - 4,
                      JSON = UINT64_MAX - 5, UNREAD = UINT64_MAX - 6;

static const uint64_t KEY_0 = 0x726f776665727279, KEY_1 = 0x616c6c206f662069;

static void add_bytes(struct rf_siphash *hash, const uint8_t *bytes, size_t n_bytes) {
    rf_siphash_add(hash, n_bytes);
    for (; n_bytes >= 8; bytes += 8, n_bytes -= 8) rf_siphash_add(hash, rf_read_8(bytes));
    uint64_t rest = 0;
    for (size_t i = 0; i < n_bytes; i++) rest = rest << 8 | bytes[i];
    if (n_bytes > 0) rf_siphash_add(hash, rest);
}

/* ---- numbers ---- */

static void add_whole(struct rf_siphash *hash, int64_t value) {
    rf_siphash_add(hash, WHOLE_NUMBER);
    rf_siphash_add(hash, (uint64_t)value);
}

static bool add_integer(struct rf_siphash *hash, const struct rf_field *field, bool is_signed) {
    switch (field->n_bytes) {
    case 1: add_whole(hash, field->bytes[0]); return true;
    case 2: add_whole(hash, (int16_t)rf_read_2(field->bytes)); return true;
    case 4: add_whole(hash, is_signed ? (int32_t)rf_read_4(field->bytes) : (int64_t)rf_read_4(field->bytes)); return true;
    case 8: add_whole(hash, (int64_t)rf_read_8(field->bytes)); return true;
    default: return false;
    }
}

/* A NaN is one value, whatever its bits. */
static bool add_float(struct rf_siphash *hash, const struct rf_form *form, const struct rf_field *field) {
    double value;
    if (field->n_bytes == 4) value = (double)rf_read_float(field->bytes);
    else if (field->n_bytes == 8) value = rf_read_double(field->bytes);
    else return false;
    if (form->unsigned_zero && value == 0) value = 0;
    uint64_t bits = 0x7ff8000000000000;
    if (!isnan(value)) memcpy(&bits, &value, sizeof bits);
    rf_siphash_add(hash, FLOAT);
    rf_siphash_add(hash, bits);
    return true;
}

/* False when the number has places, or is too large. */
static bool to_whole(const struct rf_numeric *numeric, int64_t *value) {
    *value = 0;
    if (numeric->n > numeric->weight + 1) return numeric->n == 0;
    for (int i = 0; i <= numeric->weight; i++) {
        int64_t digit = i < numeric->n ? numeric->digits[i] : 0;
        if (__builtin_mul_overflow(*value, 10000, value)) return false;
        if (__builtin_add_overflow(*value, numeric->negative ? -digit : digit, value)) return false;
    }
    return true;
}

static bool add_numeric(struct rf_siphash *hash, const struct rf_field *field) {
    struct rf_numeric numeric;
    int64_t value;
    if (!rf_numeric_read(field->bytes, (size_t)field->n_bytes, &numeric)) return false;
    if (to_whole(&numeric, &value)) {
        add_whole(hash, value);
        return true;
    }
    rf_siphash_add(hash, DIGITS);
    rf_siphash_add(hash, (uint64_t)numeric.n << 32 | (uint64_t)numeric.negative << 16 | (uint16_t)numeric.weight);
    for (int i = 0; i < numeric.n; i++) rf_siphash_add(hash, numeric.digits[i]);
    return true;
}

/* ---- values ---- */

static bool add_uuid(struct rf_siphash *hash, const struct rf_field *field) {
    char text[RF_PRINT_BYTES];
    if (field->n_bytes != RF_UUID_BYTES) return false;
    rf_print_uuid(field->bytes, text);
    add_bytes(hash, (const uint8_t *)text, RF_UUID_TEXT_BYTES);
    return true;
}

static bool add_jsonb(struct rf_siphash *hash, const struct rf_field *field) {
    if (field->n_bytes < 1 || field->bytes[0] != 1) return false;
    add_bytes(hash, field->bytes + 1, (size_t)field->n_bytes - 1);
    return true;
}

static bool add_json(struct rf_siphash *hash, const struct rf_form *form, const struct rf_field *field) {
    uint64_t said;
    bool has_version = form->wire == RF_WIRE_JSONB && field->n_bytes > 0 && field->bytes[0] == 1;
    if (!rf_hash_json((const char *)field->bytes + has_version, (size_t)field->n_bytes - has_version, &said)) return false;
    rf_siphash_add(hash, JSON);
    rf_siphash_add(hash, said);
    return true;
}

static void add_value(struct rf_siphash *hash, const struct rf_form *form, const struct rf_field *field);

/* Of its head the number of dimensions counts, and their lengths and first indices; not whether there may be NULLs, nor
 * what number the type has there. */
static bool add_array(struct rf_siphash *hash, const struct rf_form *form, const struct rf_field *field) {
    enum { HEAD_BYTES = 12, DIMENSION_BYTES = 8, MOST_DIMENSIONS = 6 };
    const struct rf_form element = {.wire = form->element};
    const uint8_t *at = field->bytes, *end = at + field->n_bytes;
    uint32_t n = field->n_bytes >= HEAD_BYTES ? rf_read_4(at) : UINT32_MAX;
    if (n > MOST_DIMENSIONS || end - at < (ptrdiff_t)(HEAD_BYTES + n * DIMENSION_BYTES)) return false;
    rf_siphash_add(hash, ARRAY);
    rf_siphash_add(hash, n);
    for (at += HEAD_BYTES; n > 0; n--, at += DIMENSION_BYTES) rf_siphash_add(hash, rf_read_8(at));
    while (at && at < end) {
        bool broken;
        struct rf_field value;
        at = rf_copy_take_field(at, end, &value, &broken);
        if (at) add_value(hash, &element, &value);
    }
    return at;
}

static bool add_as(struct rf_siphash *hash, const struct rf_form *form, const struct rf_field *field) {
    switch (form->wire) {
    case RF_WIRE_BOOL:
    case RF_WIRE_INT2:
    case RF_WIRE_INT4:
    case RF_WIRE_INT8: return add_integer(hash, field, true);
    case RF_WIRE_UINT4: return add_integer(hash, field, false);
    case RF_WIRE_FLOAT4:
    case RF_WIRE_FLOAT8: return add_float(hash, form, field);
    case RF_WIRE_NUMERIC: return add_numeric(hash, field);
    case RF_WIRE_UUID: return add_uuid(hash, field);
    case RF_WIRE_JSONB: return add_jsonb(hash, field);
    case RF_WIRE_ARRAY: return add_array(hash, form, field);
    default: return false;
    }
}

static void add_value(struct rf_siphash *hash, const struct rf_form *form, const struct rf_field *field) {
    uint8_t bytes[RF_VALUE_BYTES];
    struct rf_form read_form;
    struct rf_field read;
    bool is_read = rf_value_read(form, field, bytes, &read_form, &read);
    if (!is_read) rf_siphash_add(hash, UNREAD);
    if (!field->bytes) rf_siphash_add(hash, NOTHING);
    else if (form->json ? !add_json(hash, form, field) : !is_read || !add_as(hash, &read_form, &read)) add_bytes(hash, read.bytes, (size_t)read.n_bytes);
}

void rf_hash_row(const struct rf_form *forms, const struct rf_field *fields, int n_fields, const int *keys, int n_keys, struct rf_row_hash *out) {
    struct rf_siphash key, row;
    rf_siphash_begin(&key, KEY_0, KEY_1);
    rf_siphash_begin(&row, KEY_0, KEY_1);
    for (int k = 0; k < n_keys; k++) add_value(&key, &forms[keys[k]], &fields[keys[k]]);
    for (int i = 0; i < n_fields; i++) add_value(&row, &forms[i], &fields[i]);
    out->key = rf_siphash_end(&key);
    out->row = rf_siphash_end(&row);
}
