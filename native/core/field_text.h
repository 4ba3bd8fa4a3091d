/* Fields of COPY BINARY as PostgreSQL prints them: what a server would have sent, had it been asked for texts. */
#ifndef RF_FIELD_TEXT_H
#define RF_FIELD_TEXT_H

#include "core/copy_binary.h"
#include "core/text.h"
#include "core/types.h"

#include <stdbool.h>

/* Appends what the type's output function prints, in UTC and with ISO dates. `identity` is that of the column (core/schema.h). What is no
 * value of its form, or an array of more than one dimension, is shown as its bytes. */
void rf_field_text(const char *identity, struct rf_form form, const struct rf_field *field, struct rf_text *out);

/* Appends what array_to_json makes of an array to `out`, which is empty; `as_texts`: of its elements, cast to text. */
void rf_field_json(const char *identity, struct rf_form form, bool as_texts, const struct rf_field *field, struct rf_text *out);

/* The elements of an array of one dimension, in order. */
struct rf_elements {
    const uint8_t *at;
    const uint8_t *end;
    int32_t left;
};

/* False when it is broken or has more dimensions than one. */
bool rf_field_elements(const struct rf_field *array, struct rf_elements *out);
/* The next one; false behind the last. */
bool rf_next_element(struct rf_elements *elements, struct rf_field *element);

#endif
