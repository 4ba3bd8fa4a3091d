#include "core/field_text.h"

#include "core/json.h"
#include "core/network_order.h"
#include "core/numeric.h"
#include "core/print.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- values by themselves ---- */

static void add_hex(const struct rf_field *field, struct rf_text *out) {
    static const char digits[] = "0123456789abcdef";
    size_t n = 2 * (size_t)field->n_bytes;
    rf_text_add(out, "\\x");
    char *to = rf_text_room(out, n);
    if (!to) return;
    for (size_t i = 0; i < n; i++) to[i] = digits[field->bytes[i / 2] >> (i % 2 ? 0 : 4) & 15];
    to[n] = '\0';
    out->length += n;
}

static void add_float(double value, bool narrow, struct rf_text *out) {
    char text[RF_PRINT_BYTES];
    if (isfinite(value)) rf_print_float(value, narrow, text);
    else strcpy(text, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    rf_text_add(out, text);
}

/* How times are written: what stands between date and time, and behind a time in UTC. */
struct style {
    char between;
    const char *zone;
};

static const struct style PRINTED = {' ', "+00"}, IN_JSON = {'T', "+00:00"};

static void add_fixed(const char *identity, enum rf_wire wire, const uint8_t *bytes, struct style style, struct rf_text *out) {
    char text[RF_PRINT_BYTES] = "";
    const char *zone = strstr(identity, "timestamptz") ? style.zone : "";
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
    case RF_WIRE_TIMESTAMP: rf_print_timestamp((int64_t)rf_read_8(bytes), style.between, zone, text); break;
    case RF_WIRE_INTERVAL: rf_print_interval((int64_t)rf_read_8(bytes), (int32_t)rf_read_4(bytes + 8), (int32_t)rf_read_4(bytes + 12), text); break;
    default: break;
    }
    rf_text_add(out, text);
}

/* Of values that are all as long; 0 of others. */
static int32_t length_of(enum rf_wire wire) {
    static const int32_t lengths[] = {
        [RF_WIRE_BOOL] = 1, [RF_WIRE_INT2] = 2, [RF_WIRE_INT4] = 4, [RF_WIRE_INT8] = 8, [RF_WIRE_UINT4] = 4, [RF_WIRE_FLOAT4] = 4, [RF_WIRE_FLOAT8] = 8,
        [RF_WIRE_UUID] = RF_UUID_BYTES, [RF_WIRE_DATE] = 4, [RF_WIRE_TIME] = 8, [RF_WIRE_TIMESTAMP] = 8, [RF_WIRE_INTERVAL] = 16, [RF_WIRE_ARRAY] = 0};
    return lengths[wire];
}

static void add_value(const char *identity, enum rf_wire wire, const struct rf_field *field, struct style style, struct rf_text *out) {
    bool is_jsonb = wire == RF_WIRE_JSONB && field->n_bytes > 0;
    if (wire == RF_WIRE_TEXT || is_jsonb) rf_text_add_bytes(out, (const char *)field->bytes + is_jsonb, (size_t)field->n_bytes - is_jsonb);
    else if (length_of(wire) > 0 && length_of(wire) == field->n_bytes) add_fixed(identity, wire, field->bytes, style, out);
    else if (wire != RF_WIRE_NUMERIC || !rf_numeric_text(field->bytes, (size_t)field->n_bytes, out)) add_hex(field, out);
}

/* ---- arrays ---- */

/* Source: array_send of PostgreSQL's src/backend/utils/adt/arrayfuncs.c. */
bool rf_field_elements(const struct rf_field *array, struct rf_elements *out) {
    enum { HEAD = 12, DIMENSION = 8 };
    *out = (struct rf_elements){0};
    if (array->n_bytes < HEAD) return false;
    uint32_t n_dimensions = rf_read_4(array->bytes);
    if (n_dimensions == 0) return true;
    if (n_dimensions > 1 || array->n_bytes < HEAD + DIMENSION) return false;
    *out = (struct rf_elements){.at = array->bytes + HEAD + DIMENSION, .end = array->bytes + array->n_bytes, .left = (int32_t)rf_read_4(array->bytes + HEAD)};
    return true;
}

bool rf_next_element(struct rf_elements *elements, struct rf_field *element) {
    bool broken = false;
    if (elements->left <= 0) return false;
    elements->at = rf_copy_take_field(elements->at, elements->end, element, &broken);
    elements->left = elements->at ? elements->left - 1 : 0;
    return elements->at != NULL;
}

/* Source: array_out of the same file. */
static void add_element(const struct rf_text *value, struct rf_text *out) {
    const char *text = value->data ? value->data : "";
    if (*text && strcasecmp(text, "NULL") != 0 && !strpbrk(text, "\"\\{}, \t\n\v\f\r")) {
        rf_text_add(out, text);
        return;
    }
    rf_text_add(out, "\"");
    for (size_t n; *text; text += n) {
        n = strcspn(text, "\"\\");
        if (n == 0) rf_text_add(out, "\\");
        if (n == 0) n = 1;
        rf_text_add_bytes(out, text, n);
    }
    rf_text_add(out, "\"");
}

static void add_array(const char *identity, enum rf_wire wire, struct rf_elements elements, struct rf_text *out) {
    struct rf_text value = {0};
    struct rf_field element;
    rf_text_add(out, "{");
    for (bool first = true; rf_next_element(&elements, &element); first = false) {
        if (!first) rf_text_add(out, ",");
        value.length = 0;
        rf_text_add(&value, "");
        if (element.bytes) add_value(identity, wire, &element, PRINTED, &value);
        if (element.bytes) add_element(&value, out);
        else rf_text_add(out, "NULL");
    }
    rf_text_add(out, "}");
    out->failed |= value.failed;
    rf_text_free(&value);
}

void rf_field_text(const char *identity, struct rf_form form, const struct rf_field *field, struct rf_text *out) {
    struct rf_elements elements;
    if (form.wire == RF_WIRE_ARRAY && rf_field_elements(field, &elements)) add_array(identity, form.element, elements, out);
    else add_value(identity, form.wire, field, PRINTED, out);
}

/* ---- JSON ---- */

/* Numbers that JSON has and JSON itself stand as they are. Source: datum_to_json of src/backend/utils/adt/json.c. */
static bool is_bare(const char *identity, enum rf_wire wire, const char *text) {
    switch (wire) {
    case RF_WIRE_INT2:
    case RF_WIRE_INT4:
    case RF_WIRE_INT8:
    case RF_WIRE_UINT4:
    case RF_WIRE_JSONB: return true;
    case RF_WIRE_FLOAT4:
    case RF_WIRE_FLOAT8:
    case RF_WIRE_NUMERIC: return strpbrk(text, "NI") == NULL;
    case RF_WIRE_TEXT: return strcmp(identity, "_json") == 0;
    default: return false;
    }
}

static void add_json(const char *identity, enum rf_wire wire, bool as_text, const struct rf_field *field, struct rf_text *out) {
    struct rf_text value = {0};
    rf_text_add(&value, "");
    add_value(identity, wire, field, as_text ? PRINTED : IN_JSON, &value);
    if (value.failed) out->failed = true;
    else if (as_text || (wire != RF_WIRE_BOOL && !is_bare(identity, wire, value.data))) rf_json_text(out, NULL, value.data);
    else if (wire == RF_WIRE_BOOL) rf_json_flag(out, NULL, *value.data == 't');
    else rf_json_whole(out, NULL, value.data);
    rf_text_free(&value);
}

void rf_field_json(const char *identity, struct rf_form form, bool as_texts, const struct rf_field *field, struct rf_text *out) {
    struct rf_elements elements;
    struct rf_field element;
    if (!rf_field_elements(field, &elements)) {
        add_json("", RF_WIRE_BYTES, true, field, out);
        return;
    }
    rf_json_open(out, NULL, '[');
    while (rf_next_element(&elements, &element)) {
        if (element.bytes) add_json(identity, form.element, as_texts, &element, out);
        else rf_json_null(out, NULL);
    }
    rf_json_close(out, ']');
}
