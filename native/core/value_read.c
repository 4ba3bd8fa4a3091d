#include "core/value_read.h"

#include "core/network_order.h"
#include "core/numeric.h"
#include "core/print.h"

#include <limits.h>
#include <string.h>

/* What is left of a text. */
struct reader {
    const char *at;
    const char *end;
};

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* So many digits, no more and no fewer. */
static bool take_digits(struct reader *reader, int n, int *value) {
    *value = 0;
    if (reader->end - reader->at < n) return false;
    for (; n > 0; n--, reader->at++) {
        if (!is_digit(*reader->at)) return false;
        *value = 10 * *value + (*reader->at - '0');
    }
    return true;
}

static bool take_sign(struct reader *reader, const char *sign) {
    size_t n_bytes = strlen(sign);
    if ((size_t)(reader->end - reader->at) < n_bytes || memcmp(reader->at, sign, n_bytes) != 0) return false;
    reader->at += n_bytes;
    return true;
}

/* ---- times ---- */

static bool is_leap(int year) {
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static bool is_day(int year, int month, int day) {
    static const int lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month >= 1 && month <= 12 && day >= 1 && day <= lengths[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 2000-01-01, of a year that is counted from March on. */
static int32_t days_to(int year, int month, int day) {
    enum { MARCH_OF_YEAR_0_TO_2000 = 730425 };
    int years = year - (month <= 2), months = month + (month > 2 ? -3 : 9);
    return 365 * years + years / 4 - years / 100 + years / 400 + (153 * months + 2) / 5 + day - 1 - MARCH_OF_YEAR_0_TO_2000;
}

static bool take_date(struct reader *reader, int32_t *days) {
    int year, month, day;
    if (!take_digits(reader, 4, &year) || !take_sign(reader, "-") || !take_digits(reader, 2, &month) || !take_sign(reader, "-")) return false;
    if (!take_digits(reader, 2, &day) || year < 1 || !is_day(year, month, day)) return false;
    *days = days_to(year, month, day);
    return true;
}

/* Places behind the sixth must be zeros: PostgreSQL has none. */
static bool take_fraction(struct reader *reader, int64_t *micros) {
    int n = 0;
    if (!take_sign(reader, ".")) return true;
    int64_t worth = 100000;
    for (; reader->at < reader->end && is_digit(*reader->at) && n < 9; reader->at++, n++, worth /= 10) {
        if (worth == 0 && *reader->at != '0') return false;
        *micros += worth * (*reader->at - '0');
    }
    return n > 0;
}

static bool take_time(struct reader *reader, int64_t *micros) {
    int hours, minutes, seconds;
    if (!take_digits(reader, 2, &hours) || !take_sign(reader, ":") || !take_digits(reader, 2, &minutes) || !take_sign(reader, ":")) return false;
    if (!take_digits(reader, 2, &seconds) || hours > 24 || minutes > 59 || seconds > 59) return false;
    *micros = (hours * INT64_C(3600) + minutes * 60 + seconds) * 1000000;
    return take_fraction(reader, micros) && *micros <= INT64_C(86400000000);
}

static bool take_timestamp(struct reader *reader, int64_t *micros) {
    int32_t days;
    int64_t of_day;
    if (!take_date(reader, &days) || !take_sign(reader, " ") || !take_time(reader, &of_day) || of_day == INT64_C(86400000000)) return false;
    (void)take_sign(reader, "+00:00");
    *micros = days * INT64_C(86400000000) + of_day;
    return true;
}

/* ---- numbers ---- */

static bool take_integer(struct reader *reader, int64_t *value) {
    bool negative = take_sign(reader, "-"), has_digits = reader->at < reader->end;
    *value = 0;
    for (; reader->at < reader->end; reader->at++) {
        if (!is_digit(*reader->at) || __builtin_mul_overflow(*value, 10, value)) return false;
        int digit = *reader->at - '0';
        if (__builtin_add_overflow(*value, negative ? -digit : digit, value)) return false;
    }
    return has_digits;
}

static bool take_word(struct reader *reader, int64_t *value) {
    *value = take_sign(reader, "true");
    return *value || take_sign(reader, "false");
}

static void put(struct rf_field *read, uint8_t *bytes, int n_bytes, uint64_t value) {
    rf_write_number(bytes, value, (size_t)n_bytes);
    *read = (struct rf_field){.bytes = bytes, .n_bytes = n_bytes};
}

static bool read_integer(struct reader *reader, uint8_t *bytes, struct rf_form *form, struct rf_field *read) {
    int64_t value;
    bool is_flag = form->wire == RF_WIRE_BOOL;
    if (!(is_flag && take_word(reader, &value)) && !take_integer(reader, &value)) return false;
    if (!is_flag || value < 0 || value > 1) form->wire = RF_WIRE_INT8;
    put(read, bytes, form->wire == RF_WIRE_INT8 ? 8 : 1, (uint64_t)value);
    return true;
}

/* A float4 that was widened is shown as one again, where it is one. */
static bool read_float(struct reader *reader, uint8_t *bytes, struct rf_form *form, struct rf_field *read) {
    double value;
    uint32_t half;
    uint64_t whole;
    if (!rf_parse_float(reader->at, (size_t)(reader->end - reader->at), false, &value)) return false;
    reader->at = reader->end;
    float narrow = (float)value;
    memcpy(&half, &narrow, sizeof half);
    memcpy(&whole, &value, sizeof whole);
    bool is_narrow = form->wire == RF_WIRE_FLOAT4 && (double)narrow == value;
    form->wire = is_narrow ? RF_WIRE_FLOAT4 : RF_WIRE_FLOAT8;
    put(read, bytes, is_narrow ? 4 : 8, is_narrow ? half : whole);
    return true;
}

static bool read_numeric(struct reader *reader, uint8_t *bytes, struct rf_field *read) {
    struct rf_numeric numeric;
    if (!rf_numeric_parse(reader->at, (size_t)(reader->end - reader->at), &numeric)) return false;
    reader->at = reader->end;
    *read = (struct rf_field){.bytes = bytes, .n_bytes = (int32_t)rf_numeric_send(&numeric, bytes)};
    return true;
}

/* ---- values ---- */

static bool read_as(struct reader *reader, uint8_t *bytes, struct rf_form *form, struct rf_field *read) {
    int64_t number;
    int32_t days;
    switch (form->wire) {
    case RF_WIRE_BOOL:
    case RF_WIRE_INT2:
    case RF_WIRE_INT4:
    case RF_WIRE_INT8:
    case RF_WIRE_UINT4: return read_integer(reader, bytes, form, read);
    case RF_WIRE_FLOAT4:
    case RF_WIRE_FLOAT8: return read_float(reader, bytes, form, read);
    case RF_WIRE_NUMERIC: return read_numeric(reader, bytes, read);
    case RF_WIRE_DATE:
        if (!take_date(reader, &days)) return false;
        put(read, bytes, 4, (uint32_t)days);
        return true;
    case RF_WIRE_TIME:
    case RF_WIRE_TIMESTAMP:
        if (!(form->wire == RF_WIRE_TIME ? take_time : take_timestamp)(reader, &number)) return false;
        put(read, bytes, 8, (uint64_t)number);
        return true;
    default: reader->at = reader->end; return true;
    }
}

bool rf_value_read(const struct rf_form *form, const struct rf_field *text, uint8_t bytes[RF_VALUE_BYTES], struct rf_form *read_form,
                   struct rf_field *read) {
    *read_form = *form;
    *read = *text;
    if (!form->printed || !text->bytes) return true;
    const char *at = (const char *)text->bytes;
    struct reader reader = {.at = at, .end = at + text->n_bytes};
    struct rf_field found = *text;
    struct rf_form known = *form;
    known.printed = false;
    if (!read_as(&reader, bytes, &known, &found) || reader.at != reader.end) return false;
    *read_form = known;
    *read = found;
    return true;
}
