#include "core/value_text.h"

#include <stdio.h>
#include <string.h>

__extension__ typedef unsigned __int128 uint128;

/* Digits come from the last one on. */
static int print_decimal(const uint8_t *bytes, int scale, char *to) {
    char digits[RF_VALUE_TEXT_BYTES], *first = digits + sizeof digits;
    uint128 units;
    memcpy(&units, bytes, sizeof units);
    bool negative = units >> 127;
    if (negative) units = -units;
    for (int i = 0; i <= scale || units > 0; i++, units /= 10) {
        if (i == scale && scale > 0) *--first = '.';
        *--first = (char)('0' + (int)(units % 10));
    }
    if (negative) *--first = '-';
    int length = (int)(digits + sizeof digits - first);
    memcpy(to, first, (size_t)length);
    return length;
}

static int print_uuid(const uint8_t *bytes, char *to) {
    static const char hex[] = "0123456789abcdef";
    char *at = to;
    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) *at++ = '-';
        *at++ = hex[bytes[i] >> 4];
        *at++ = hex[bytes[i] & 15];
    }
    return (int)(at - to);
}

/* Of the proleptic Gregorian calendar, whose 400 years have 146,097 days; counted from March, so that a leap day is the last. */
static int print_day(int64_t days, char *to) {
    enum { LAST_DAY = 2932896, FIRST_DAY = -719162, FROM_MARCH_OF_YEAR_0 = 719468 };
    if (days > LAST_DAY || days < FIRST_DAY) return -1;
    int64_t all = days + FROM_MARCH_OF_YEAR_0, era = all / 146097, of_era = all % 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), month = (5 * of_year + 2) / 153;
    int day = (int)(of_year - (153 * month + 2) / 5 + 1), m = (int)(month < 10 ? month + 3 : month - 9);
    return snprintf(to, RF_VALUE_TEXT_BYTES, "%04d-%02d-%02d", (int)(year + era * 400 + (m <= 2)), m, day);
}

#define DAY_US INT64_C(86400000000)

static int print_time(int64_t us, char *to) {
    int64_t seconds = us / 1000000;
    return snprintf(to, RF_VALUE_TEXT_BYTES / 2, "%02d:%02d:%02d.%06d", (int)(seconds / 3600), (int)(seconds / 60 % 60), (int)(seconds % 60), (int)(us % 1000000));
}

static int print_timestamp(int64_t us, const char *zone, char *to) {
    int64_t days = us / DAY_US - (us % DAY_US < 0);
    int length = print_day(days, to);
    if (length < 0) return -1;
    to[length++] = ' ';
    length += print_time(us - days * DAY_US, to + length);
    strcpy(to + length, zone);
    return length + (int)strlen(zone);
}

int rf_value_text(const struct rf_type *type, const struct ArrowArray *array, int64_t row, const char *zone, char to[RF_VALUE_TEXT_BYTES]) {
    const uint8_t *values = array->buffers[1];
    int64_t at = array->offset + row, number = 0;
    int32_t days;
    switch (type->wire) {
    case RF_WIRE_NUMERIC: return print_decimal(values + at * 16, type->scale, to);
    case RF_WIRE_UUID: return print_uuid(values + at * 16, to);
    case RF_WIRE_DATE: memcpy(&days, values + at * 4, sizeof days); return print_day(days, to);
    default: break;
    }
    memcpy(&number, values + at * 8, sizeof number);
    if (type->wire == RF_WIRE_TIME) return print_time(number, to);
    return print_timestamp(number, strcmp(type->format, "tsu:UTC") == 0 ? zone : "", to);
}
