/* PostgreSQL's numeric in binary form, made exactly.
 *
 * Digits to the base of 10,000, the first of them worth 10,000^weight; none are zero at either end.
 * Source: numeric_send and numeric_recv of PostgreSQL's src/backend/utils/adt/numeric.c.
 */
#ifndef RF_NUMERIC_H
#define RF_NUMERIC_H

#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RF_NUMERIC_DIGITS = 22,           /* 256 bits have 77 decimal digits, which may straddle */
    RF_NUMERIC_MOST_SCALE = 16383,    /* PostgreSQL's ends: digits behind the point, and before it */
    RF_NUMERIC_MOST_WHOLE = 131072,
    RF_NUMERIC_HEAD_BYTES = 8,
};

struct rf_numeric {
    int n; /* 0 is zero */
    int weight;
    int scale; /* decimal digits behind the point, also where they are zero */
    bool negative;
    uint16_t digits[RF_NUMERIC_DIGITS];
};

/* A signed integer of 4, 8, 16 or 32 bytes in this machine's (little-endian) order, times 10^-scale. */
void rf_numeric_from_integer(const uint8_t *bytes, int n_bytes, int scale, struct rf_numeric *out);

/* How many decimal digits the integer has, whose value is `numeric` times 10^scale. */
int rf_numeric_precision(const struct rf_numeric *numeric, int scale);

/* The binary form, of RF_NUMERIC_HEAD_BYTES and 2 for each digit; returns how many bytes it wrote. */
size_t rf_numeric_send(const struct rf_numeric *numeric, uint8_t *to);

/* Back from the binary form, whatever zeros it has at its ends. False when it is NaN, infinite, longer than this struct, or
 * broken. */
bool rf_numeric_read(const uint8_t *bytes, size_t n_bytes, struct rf_numeric *out);

/* Back from a text of the form [-+]12[.50]. False when it is none, or longer than this struct. */
bool rf_numeric_parse(const char *text, size_t n_bytes, struct rf_numeric *out);

/* The binary form as numeric_out prints it, however long it is: -12.50, NaN. False when it is broken. */
bool rf_numeric_text(const uint8_t *bytes, size_t n_bytes, struct rf_text *out);

/* With every digit, as JSON and PostgreSQL read it: -12.50 */
void rf_numeric_print(const struct rf_numeric *numeric, struct rf_text *out);

/* Text of the form [-+]12[.50], NaN, Infinity or -Infinity, as PostgreSQL prints a numeric, made binary behind `out`.
 * *finest is the last decimal place that is not zero, counted behind the point; INT32_MIN when there is none.
 * False when it is no number, or too long for PostgreSQL; `out` is unchanged then. */
bool rf_numeric_from_text(const char *text, size_t n_bytes, struct rf_text *out, int32_t *finest);

#endif
