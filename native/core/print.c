#include "core/print.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void rf_print_uuid(const uint8_t *u, char *to) {
    snprintf(to, RF_PRINT_BYTES, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2], u[3], u[4], u[5], u[6],
             u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
}

/* The point is a comma, or more than one byte, where the program's locale says so. */
static void use_point(char *text) {
    size_t n = strspn(text, "-0123456789"), n_point = strcspn(text + n, "e0123456789");
    if (n_point == 0) return;
    text[n] = '.';
    memmove(text + n + 1, text + n + n_point, strlen(text + n + n_point) + 1);
}

void rf_print_float(double value, bool narrow, char *to) {
    bool same = false, is_subnormal = fabs(value) < (narrow ? (double)FLT_MIN : DBL_MIN), is_large = fabs(value) >= (narrow ? 1e6 : 1e15);
    const int least = narrow ? 6 : 15; /* digits that PostgreSQL writes without an exponent */
    for (int digits = is_subnormal ? 1 : least; !same; digits++) {
        if (is_large && digits > least) snprintf(to, RF_PRINT_BYTES, "%.*e", digits - 1, value);
        else snprintf(to, RF_PRINT_BYTES, "%.*g", digits, value);
        same = digits >= 17 || (narrow ? (double)strtof(to, NULL) : strtod(to, NULL)) == value;
    }
    use_point(to);
}

bool rf_parse_float(const char *text, size_t n_bytes, bool narrow, double *value) {
    char copy[RF_PRINT_BYTES];
    const char *sign = localeconv()->decimal_point;
    size_t whole = 0, n_sign = strlen(sign);
    while (whole < n_bytes && text[whole] != '.') whole++;
    if (n_bytes == 0 || n_bytes + n_sign >= sizeof copy || memchr(text, '\0', n_bytes) || *text == ' ') return false;
    bool has_point = whole < n_bytes;
    size_t rest = n_bytes - whole - has_point;
    memcpy(copy, text, whole);
    if (has_point) memcpy(copy + whole, sign, n_sign);
    else n_sign = 0;
    memcpy(copy + whole + n_sign, text + n_bytes - rest, rest);
    copy[whole + n_sign + rest] = '\0';
    char *end;
    *value = narrow ? (double)strtof(copy, &end) : strtod(copy, &end);
    return *end == '\0';
}

/* ---- times ---- */

enum { DATE_BYTES = 32, TIME_BYTES = 48 };

static const char *infinity(bool positive) {
    return positive ? "infinity" : "-infinity";
}

/* A year of 365.2425 days, counted from March on so that its last day is the one that comes and goes. */
static void print_day(int64_t days, char *to, bool *is_bc) {
    int64_t since = days + 10957 + 719468; /* 0000-03-01 */
    int64_t era = (since >= 0 ? since : since - 146096) / 146097, day = since - era * 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t of_year = day - (365 * year + year / 4 - year / 100);
    int64_t month = (5 * of_year + 2) / 153, of_month = of_year - (153 * month + 2) / 5 + 1;
    month += month < 10 ? 3 : -9;
    year += era * 400 + (month <= 2);
    *is_bc = year <= 0;
    snprintf(to, DATE_BYTES, "%04" PRId64 "-%02d-%02d", *is_bc ? 1 - year : year, (int)month, (int)of_month);
}

void rf_print_date(int32_t days, char *to) {
    char day[DATE_BYTES];
    bool is_bc;
    if (days == INT32_MAX || days == INT32_MIN) {
        strcpy(to, infinity(days > 0));
        return;
    }
    print_day(days, day, &is_bc);
    snprintf(to, RF_PRINT_BYTES, "%s%s", day, is_bc ? " BC" : "");
}

void rf_print_fraction(int micros, char to[8]) {
    int n = micros ? snprintf(to, 8, ".%06d", micros % 1000000) : 0;
    while (n > 0 && to[n - 1] == '0') n--;
    to[n] = '\0';
}

void rf_print_time(int64_t micros, char *to) {
    char fraction[8];
    int64_t seconds = micros / 1000000;
    rf_print_fraction((int)(micros % 1000000), fraction);
    snprintf(to, TIME_BYTES, "%02" PRId64 ":%02" PRId64 ":%02" PRId64 "%s", seconds / 3600, seconds / 60 % 60, seconds % 60, fraction);
}

void rf_print_timestamp(int64_t micros, char between, const char *zone, char *to) {
    const int64_t day_us = 86400000000;
    char date[DATE_BYTES], time[TIME_BYTES];
    bool is_bc;
    if (micros == INT64_MAX || micros == INT64_MIN) {
        strcpy(to, infinity(micros > 0));
        return;
    }
    int64_t of_day = micros % day_us;
    if (of_day < 0) of_day += day_us;
    print_day((micros - of_day) / day_us, date, &is_bc);
    rf_print_time(of_day, time);
    snprintf(to, RF_PRINT_BYTES, "%s%c%s%s%s", date, between, time, zone, is_bc ? " BC" : "");
}

/* ---- intervals ---- */

static void add_part(int value, const char *unit, bool *is_first, bool *is_before, char *to) {
    if (value == 0) return;
    size_t used = strlen(to);
    snprintf(to + used, RF_PRINT_BYTES - used, "%s%s%d %s%s", *is_first ? "" : " ", *is_before && value > 0 ? "+" : "", value, unit, value != 1 ? "s" : "");
    *is_before = value < 0;
    *is_first = false;
}

/* Source: EncodeInterval of PostgreSQL's src/backend/utils/adt/datetime.c, INTSTYLE_POSTGRES. */
void rf_print_interval(int64_t micros, int32_t days, int32_t months, char *to) {
    char fraction[8];
    bool is_first = true, is_before = false;
    to[0] = '\0';
    add_part(months / 12, "year", &is_first, &is_before, to);
    add_part(months % 12, "mon", &is_first, &is_before, to);
    add_part(days, "day", &is_first, &is_before, to);
    if (micros == 0 && !is_first) return;
    int64_t seconds = micros / 1000000;
    rf_print_fraction(abs((int)(micros % 1000000)), fraction);
    if (seconds < 0) seconds = -seconds;
    size_t used = strlen(to);
    snprintf(to + used, RF_PRINT_BYTES - used, "%s%s%02" PRId64 ":%02" PRId64 ":%02" PRId64 "%s", is_first ? "" : " ", micros < 0 ? "-" : is_before ? "+" : "",
             seconds / 3600, seconds / 60 % 60, seconds % 60, fraction);
}
