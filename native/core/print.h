/* Single values as PostgreSQL prints them, in UTC. Numerics are printed by numeric.h. */
#ifndef RF_PRINT_H
#define RF_PRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    RF_UUID_BYTES = 16,
    RF_UUID_TEXT_BYTES = 36, /* without a NUL */
    RF_PRINT_BYTES = 112,    /* of each text below, the NUL included */
};

void rf_print_uuid(const uint8_t *uuid, char *to);

/* With the fewest digits that are read back as the same number; `narrow`: as a float of 4 bytes. Not of NaN and infinities. */
void rf_print_float(double value, bool narrow, char *to);

/* Back from a text: 1.5, 1e-45, Infinity, nan. False when it is none. */
bool rf_parse_float(const char *text, size_t n_bytes, bool narrow, double *value);

/* `from` days since 2000-01-01; "infinity" at the ends of an int32, " BC" behind what is before the year 1. */
void rf_print_date(int32_t days, char *to);

/* Microseconds since midnight: 23:59:59.5 */
void rf_print_time(int64_t micros, char *to);

/* .5, without zeros at its end; nothing for 0. */
void rf_print_fraction(int micros, char to[8]);

/* Microseconds since 2000-01-01; "infinity" at the ends of an int64. Between date and time stands `between`, behind it `zone`. */
void rf_print_timestamp(int64_t micros, char between, const char *zone, char *to);

/* 1 year 2 mons -3 days +00:00:01.5 */
void rf_print_interval(int64_t micros, int32_t days, int32_t months, char *to);

#endif
