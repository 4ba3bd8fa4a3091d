/* What a row says, as numbers of 64 bits.
 *
 * Two values have one hash when they are the same value, in whichever form of their family they are written: an integer of
 * any width or a numeric without places, a numeric with zeros behind it, a float4 or the float8 of its value, jsonb or its
 * text, a uuid or its text, and each of them as a database prints it where its form says so. All else is told apart: -0 from 0,
 * NULL from an empty text, an array from one that counts from 0; unless the form says what does not count.
 */
#ifndef RF_ROW_HASH_H
#define RF_ROW_HASH_H

#include "core/copy_binary.h"
#include "core/types.h"

#include <stdint.h>

struct rf_row_hash {
    uint64_t key;
    uint64_t row;
};

/* `keys`, shape (n_keys,), are positions in `fields`. Bytes that are none of their form are hashed as they are. */
void rf_hash_row(const struct rf_form *forms, const struct rf_field *fields, int n_fields, const int *keys, int n_keys, struct rf_row_hash *out);

#endif
