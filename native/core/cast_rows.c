#include "core/cast_rows.h"

#include "core/field_text.h"
#include "core/mask.h"
#include "core/utf8.h"

#include <inttypes.h>
#include <string.h>

enum { MOST_FIELD_BYTES = 0x3fffffff, TEXT_OID = 25 };

bool rf_rows_are_cast(const struct rf_source_facts *facts) {
    bool any = facts->sends_csv;
    for (int i = 0; i < facts->n_columns; i++) any |= rf_casts_bytes(&facts->columns[i]) || facts->columns[i].through || facts->columns[i].masked;
    return any;
}

enum rf_code rf_casting_begin(const struct rf_source_facts *facts, const struct rf_cast_from *from, int n_fields, struct rf_arena *arena,
                              struct rf_casting *casting, struct rf_error *err) {
    *casting = (struct rf_casting){.facts = facts, .from = from, .n_fields = n_fields, .fields = rf_arena_take(arena, (size_t)n_fields * sizeof *casting->fields)};
    return casting->fields ? RF_OK : rf_no_memory(err);
}

void rf_casting_end(struct rf_casting *casting) {
    rf_text_free(&casting->value);
}

/* NULL where a mask leaves nothing of the value. */
static const struct rf_field *field_of(const struct rf_casting *casting, int i) {
    const struct rf_cast_from *from = &casting->from[i];
    const struct rf_field *field = &casting->fields[from->field];
    bool is_null = !field->bytes || (from->mask && rf_mask_leaves_null(from->mask, &casting->facts->columns[i]));
    return is_null ? NULL : field;
}

/* A cast of bool is the only one that prints otherwise than the type does. */
static void print_cast(const struct rf_cast_from *from, const char *identity, const struct rf_field *field, struct rf_text *out) {
    if (from->form.wire == RF_WIRE_BOOL) rf_text_add(out, *field->bytes ? "true" : "false");
    else rf_field_text(identity, from->form, field, out);
}

static void print_masked(const struct rf_cast_from *from, const struct rf_field *field, struct rf_text *out) {
    if (from->mask->kind == RF_MASK_REDACT) rf_text_add(out, RF_REDACTED);
    else print_cast(from, from->identity, field, out);
    if (from->mask->kind == RF_MASK_TRUNCATE && !out->failed) out->length = rf_utf8_prefix((const uint8_t *)out->data, out->length, from->mask->n_characters);
}

/* The only function that values are sent through is array_to_json. */
static void print_value(struct rf_casting *casting, int i, const struct rf_field *field) {
    const struct rf_column *column = &casting->facts->columns[i];
    const struct rf_cast_from *from = &casting->from[i];
    casting->value.length = 0;
    if (from->mask) print_masked(from, field, &casting->value);
    else if (column->through) rf_field_json(column->identity, from->form, column->cast != NULL, field, &casting->value);
    else if (column->cast) print_cast(from, column->identity, field, &casting->value);
    else rf_field_text(column->identity, from->form, field, &casting->value);
}

/* ---- CSV, of which NULL is nothing at all ---- */

static void add_quoted(const struct rf_text *value, struct rf_text *out) {
    const char *at = value->data, *end = value->data + value->length, *quote;
    rf_text_add(out, "\"");
    for (; at < end && (quote = memchr(at, '"', (size_t)(end - at))); at = quote + 1) {
        rf_text_add_bytes(out, at, (size_t)(quote + 1 - at));
        rf_text_add(out, "\"");
    }
    if (at < end) rf_text_add_bytes(out, at, (size_t)(end - at));
    rf_text_add(out, "\"");
}

static void add_csv(struct rf_casting *casting, struct rf_text *out) {
    for (int i = 0; i < casting->facts->n_columns; i++) {
        const struct rf_field *field = field_of(casting, i);
        if (field) print_value(casting, i, field);
        if (field) add_quoted(&casting->value, out);
        rf_text_add(out, ",");
    }
    rf_text_addf(out, "%" PRId64 "\n", casting->n_rows);
}

/* ---- COPY BINARY ---- */

static void add_field(const void *bytes, size_t n_bytes, struct rf_text *out) {
    rf_copy_add_number(out, (uint32_t)n_bytes, 4);
    if (n_bytes > 0) rf_text_add_bytes(out, bytes, n_bytes);
}

/* An array of its elements' texts. */
static void print_elements(struct rf_casting *casting, int i, const struct rf_field *field) {
    const struct rf_form form = {.wire = casting->from[i].form.element};
    struct rf_elements elements;
    struct rf_field element;
    struct rf_text text = {0}, *out = &casting->value;
    out->length = 0;
    if (!rf_field_elements(field, &elements)) elements.left = 0;
    rf_copy_add_number(out, elements.left > 0, 4);
    rf_copy_add_number(out, 1, 4);
    rf_copy_add_number(out, TEXT_OID, 4);
    if (elements.left > 0) rf_copy_add_number(out, (uint32_t)elements.left, 4);
    if (elements.left > 0) rf_copy_add_number(out, 1, 4);
    while (rf_next_element(&elements, &element)) {
        text.length = 0;
        if (element.bytes) rf_field_text(casting->facts->columns[i].identity, form, &element, &text);
        if (element.bytes) add_field(text.data, text.length, out);
        else rf_copy_add_number(out, UINT32_MAX, 4);
    }
    out->failed |= text.failed;
    rf_text_free(&text);
}

static enum rf_code add_binary(struct rf_casting *casting, struct rf_text *out, struct rf_error *err) {
    rf_copy_add_number(out, (uint32_t)casting->facts->n_columns, 2);
    for (int i = 0; i < casting->facts->n_columns; i++) {
        const struct rf_field *field = field_of(casting, i);
        const struct rf_column *column = &casting->facts->columns[i];
        bool casts = casting->from[i].mask || rf_casts_bytes(column);
        if (!field) rf_copy_add_number(out, UINT32_MAX, 4);
        else if (!casts) add_field(field->bytes, (size_t)field->n_bytes, out);
        if (!field || !casts) continue;
        if (column->cast && strchr(column->cast, '[')) print_elements(casting, i, field);
        else print_value(casting, i, field);
        if (casting->value.length > MOST_FIELD_BYTES)
            return rf_fail(err, RF_DATA, "column \"%s\" of row %" PRId64 " is, as its text, larger than 1 GB", column->name, casting->n_rows);
        add_field(casting->value.data, casting->value.length, out);
    }
    return RF_OK;
}

enum rf_code rf_cast_rows(struct rf_casting *casting, const uint8_t *rows, size_t n_bytes, struct rf_text *out, struct rf_error *err) {
    struct rf_copy_reader reader = {.in_rows = true};
    while (n_bytes > 0) {
        if (rf_copy_next_row(&reader, &rows, &n_bytes, casting->fields, casting->n_fields) != RF_COPY_ROW)
            return rf_fail(err, RF_INTERNAL, "rows to be cast are not COPY BINARY");
        casting->n_rows++;
        if (casting->facts->sends_csv) add_csv(casting, out);
        else RF_TRY(add_binary(casting, out, err));
        RF_TRY(rf_text_check(&casting->value, err));
        RF_TRY(rf_text_check(out, err));
    }
    return RF_OK;
}
