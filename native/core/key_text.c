#include "core/key_text.h"

#include "core/field_text.h"

#include <string.h>

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
            rf_field_text(plan->source->columns[i].identity, forms[i], &fields[i], &value);
            if (value.failed) out->failed = true;
            add_quoted(&value, out);
        }
        rf_text_free(&value);
    }
    rf_text_add(out, ")");
}
