#include "core/key_text.h"

#include "core/network_order.h"
#include "core/numeric.h"
#include "core/print.h"
#include "core/value_read.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- values ---- */

static void add_hex(const struct rf_field *field, struct rf_text *out) {
    rf_text_add(out, "\\x");
    for (int32_t i = 0; i < field->n_bytes; i++) rf_text_addf(out, "%02x", field->bytes[i]);
}

static void add_float(double value, bool narrow, struct rf_text *out) {
    char text[RF_PRINT_BYTES];
    if (isfinite(value)) rf_print_float(value, narrow, text);
    else strcpy(text, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    rf_text_add(out, text);
}

static void add_numeric(const struct rf_field *field, struct rf_text *out) {
    struct rf_numeric numeric;
    if (rf_numeric_read(field->bytes, (size_t)field->n_bytes, &numeric)) rf_numeric_print(&numeric, out);
    else add_hex(field, out);
}

static void add_fixed(const struct rf_column *column, enum rf_wire wire, const uint8_t *bytes, struct rf_text *out) {
    char text[RF_PRINT_BYTES] = "";
    bool has_zone = strcmp(column->identity, "timestamptz") == 0;
    switch (wire) {
    case RF_WIRE_BOOL: rf_text_add(out, *bytes ? "t" : "f"); break;
    case RF_WIRE_INT2: rf_text_addf(out, "%d", (int16_t)rf_read_2(bytes)); break;
    case RF_WIRE_INT4: rf_text_addf(out, "%" PRId32, (int32_t)rf_read_4(bytes)); break;
    case RF_WIRE_INT8: rf_text_addf(out, "%" PRId64, (int64_t)rf_read_8(bytes)); break;
    case RF_WIRE_UINT4: rf_text_addf(out, "%" PRIu32, rf_read_4(bytes)); break;
    case RF_WIRE_FLOAT4: add_float((double)rf_read_float(bytes), true, out); break;
    case RF_WIRE_FLOAT8: add_float(rf_read_double(bytes), false, out); break;
    case RF_WIRE_UUID: rf_print_uuid(bytes, text); break;
    case RF_WIRE_DATE: rf_print_date((int32_t)rf_read_4(bytes), text); break;
    case RF_WIRE_TIME: rf_print_time((int64_t)rf_read_8(bytes), text); break;
    case RF_WIRE_TIMESTAMP: rf_print_timestamp((int64_t)rf_read_8(bytes), ' ', has_zone ? "+00" : "", text); break;
    default: break;
    }
    rf_text_add(out, text);
}

/* Of values that are all as long; 0 of others. */
static int32_t length_of(enum rf_wire wire) {
    static const int32_t lengths[] = {
        [RF_WIRE_BOOL] = 1, [RF_WIRE_INT2] = 2, [RF_WIRE_INT4] = 4, [RF_WIRE_INT8] = 8, [RF_WIRE_UINT4] = 4, [RF_WIRE_FLOAT4] = 4,
        [RF_WIRE_FLOAT8] = 8, [RF_WIRE_UUID] = RF_UUID_BYTES, [RF_WIRE_DATE] = 4, [RF_WIRE_TIME] = 8, [RF_WIRE_TIMESTAMP] = 8, [RF_WIRE_ARRAY] = 0};
    return lengths[wire];
}

/* Intervals and arrays, which are no keys where this is needed, are shown as bytes. */
static void add_known(const struct rf_column *column, enum rf_wire wire, const struct rf_field *field, struct rf_text *out) {
    bool is_jsonb = wire == RF_WIRE_JSONB && field->n_bytes > 0;
    if (wire == RF_WIRE_TEXT || is_jsonb) rf_text_add_bytes(out, (const char *)field->bytes + is_jsonb, (size_t)field->n_bytes - is_jsonb);
    else if (wire == RF_WIRE_NUMERIC) add_numeric(field, out);
    else if (length_of(wire) > 0 && length_of(wire) == field->n_bytes) add_fixed(column, wire, field->bytes, out);
    else add_hex(field, out);
}

/* What a database prints and is none of its type is shown as it is. */
static void add_value(const struct rf_column *column, const struct rf_form *form, const struct rf_field *field, struct rf_text *out) {
    uint8_t bytes[RF_VALUE_BYTES];
    struct rf_form read_form;
    struct rf_field read;
    bool is_read = rf_value_read(form, field, bytes, &read_form, &read);
    add_known(column, is_read ? read_form.wire : RF_WIRE_TEXT, &read, out);
}

/* ---- rows ---- */

/* Source: record_out of PostgreSQL's src/backend/utils/adt/rowtypes.c. */
static void add_quoted(const struct rf_text *value, struct rf_text *out) {
    const char *text = value->data ? value->data : "";
    if (*text && !strpbrk(text, "\"\\(), \t\n\v\f\r")) {
        rf_text_add(out, text);
        return;
    }
    rf_text_add(out, "\"");
    for (; *text; text++) rf_text_addf(out, *text == '"' || *text == '\\' ? "%c%c" : "%c", *text, *text);
    rf_text_add(out, "\"");
}

void rf_key_text(const struct rf_plan *plan, const struct rf_form *forms, const struct rf_field *fields, struct rf_text *out) {
    for (int k = 0; k < plan->source->n_keys; k++) {
        int i = plan->source->keys[k];
        struct rf_text value = {0};
        rf_text_add(out, k > 0 ? "," : "(");
        if (fields[i].bytes) {
            add_value(&plan->source->columns[i], &forms[i], &fields[i], &value);
            if (value.failed) out->failed = true;
            add_quoted(&value, out);
        }
        rf_text_free(&value);
    }
    rf_text_add(out, ")");
}
