#include "core/key_text.h"

#include "core/field_text.h"
#include "core/value_read.h"

#include <string.h>

/* What a database prints and is none of its type is shown as it is. */
static void add_value(const struct rf_column *column, const struct rf_form *form, const struct rf_field *field, struct rf_text *out) {
    uint8_t bytes[RF_VALUE_BYTES];
    struct rf_form shown;
    struct rf_field read;
    if (!rf_value_read(form, field, bytes, &shown, &read)) shown = (struct rf_form){.wire = RF_WIRE_TEXT};
    rf_field_text(column->identity, shown, &read, out);
}

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

/* Where no key names a row, all of it does. */
static int key_column(const struct rf_source_facts *source, int k) {
    return source->n_keys > 0 ? source->keys[k] : k;
}

void rf_key_text(const struct rf_plan *plan, const struct rf_form *forms, const struct rf_field *fields, struct rf_text *out) {
    const struct rf_source_facts *source = plan->source;
    int n = source->n_keys > 0 ? source->n_keys : source->n_columns;
    for (int k = 0; k < n; k++) {
        int i = key_column(source, k);
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
