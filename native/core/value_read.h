/* Texts that databases print of values, back in the binary forms of PostgreSQL: the other way of core/value_text.h. */
#ifndef RF_VALUE_READ_H
#define RF_VALUE_READ_H

#include "core/copy_binary.h"
#include "core/types.h"

#include <stdbool.h>
#include <stdint.h>

enum { RF_VALUE_BYTES = 64 };

/* Reads what a form that is `printed` says, into `bytes`: an integer of any width (true and false too), 12.50, 1e-45, 2026-01-31,
 * 24:00:00.000000, 2026-01-31 18:00:00.000000, behind whose second there are up to nine places, and +00:00 or nothing behind
 * them. *read_form is a form of the same family. False when the text says no such value; texts, bytes, uuid and jsonb stay
 * as they are. Fields that are NULL, and forms that are not printed, are given back. */
bool rf_value_read(const struct rf_form *form, const struct rf_field *text, uint8_t bytes[RF_VALUE_BYTES], struct rf_form *read_form,
                   struct rf_field *read);

#endif
