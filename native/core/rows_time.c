#include "core/rows_node.h"

#include <string.h>

static const int64_t SECOND_US = 1000000, DAY_US = 86400000000, DAY_MS = 86400000;

/* From 1970 to 2000. */
enum { EPOCH_DAYS = 10957, EPOCH_SECONDS = EPOCH_DAYS * 86400 };

/* PostgreSQL's ends: 4714-11-24 BC is the first day; the others are the first that are too late.
 * Source: src/include/datatype/timestamp.h, MIN_TIMESTAMP, END_TIMESTAMP, DATETIME_MIN_JULIAN and DATE_END_JULIAN. */
static const int64_t FIRST_DAY = -2451545, END_DAY = 2145031949;
static const int64_t FIRST_TIMESTAMP = -211813488000000000, END_TIMESTAMP = 9223371331200000000;

static enum rf_code out_of_range(struct rf_rows *rows, int64_t value) {
    if (rows->takes_any) return RF_OK;
    return rf_rows_data(rows, "is a time that PostgreSQL does not have: %lld", (long long)value);
}

/* Microseconds, exactly. */
static enum rf_code to_micros(struct rf_rows *rows, const struct rf_rows_node *node, int64_t value, int64_t *micros) {
    if (node->per_second <= SECOND_US) {
        if (__builtin_mul_overflow(value, SECOND_US / node->per_second, micros)) return out_of_range(rows, value);
        return RF_OK;
    }
    if (value % 1000) return rf_rows_data(rows, "has nanoseconds, and PostgreSQL counts in microseconds: %lld", (long long)value);
    *micros = value / 1000;
    return RF_OK;
}

/* A type of fewer decimal places would be rounded by the server. */
static enum rf_code check_places(struct rf_rows *rows, const struct rf_rows_node *node, int64_t micros) {
    static const int64_t steps[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    if (!node->type || node->typmod < 0 || node->typmod > 6 || micros % steps[node->typmod] == 0) return RF_OK;
    return rf_rows_data(rows, "has more than the %d decimal places of its type", (int)node->typmod);
}

enum rf_code rf_rows_date(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int32_t *days) {
    int64_t value = rf_rows_integer(node, at, true), day = value;
    *days = value > 0 ? INT32_MAX : INT32_MIN;
    if (node->width == 4 && (value == INT32_MAX || value <= -INT32_MAX)) return RF_OK;
    if (node->width == 8) {
        if (value % DAY_MS) return rf_rows_data(rows, "is a date with a time of day: %lld ms", (long long)value);
        day = value / DAY_MS;
    }
    *days = (int32_t)(uint32_t)(day - EPOCH_DAYS); /* what wraps around comes to lie behind the last day */
    return day < FIRST_DAY + EPOCH_DAYS || day >= END_DAY + EPOCH_DAYS ? out_of_range(rows, value) : RF_OK;
}

enum rf_code rf_rows_time(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int64_t *micros) {
    int64_t value = rf_rows_integer(node, at, true);
    RF_TRY(to_micros(rows, node, value, micros));
    if (*micros < 0 || *micros > DAY_US) return rf_rows_data(rows, "is no time between 0:00 and 24:00: %lld", (long long)value);
    return check_places(rows, node, *micros);
}

enum rf_code rf_rows_timestamp(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int64_t *micros) {
    int64_t value = rf_rows_integer(node, at, true), shifted;
    *micros = value > 0 ? INT64_MAX : INT64_MIN;
    if (value == INT64_MAX || value <= -INT64_MAX) return RF_OK;
    if (node->per_second > SECOND_US) {
        RF_TRY(to_micros(rows, node, value, &shifted));
        *micros = shifted - EPOCH_SECONDS * SECOND_US;
    } else { /* shifted first: the last years are only in reach of 64 bits when they are counted from 2000 */
        *micros = value; /* of what is out of reach: no time either */
        if (__builtin_sub_overflow(value, EPOCH_SECONDS * node->per_second, &shifted)) return out_of_range(rows, value);
        RF_TRY(to_micros(rows, node, shifted, micros));
    }
    if (*micros < FIRST_TIMESTAMP || *micros >= END_TIMESTAMP) return out_of_range(rows, value);
    return check_places(rows, node, *micros);
}

enum rf_code rf_rows_span(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, struct rf_rows_interval *interval) {
    const uint8_t *from = rf_rows_fixed(node, at);
    int32_t first, second;
    int64_t nanos;
    *interval = (struct rf_rows_interval){0};
    if (node->meaning == RF_MEANS_DURATION) return to_micros(rows, node, rf_rows_integer(node, at, true), &interval->micros);
    memcpy(&first, from, sizeof first);
    interval->months = first;
    if (node->meaning == RF_MEANS_MONTHS) return RF_OK;
    memcpy(&second, from + 4, sizeof second);
    if (node->meaning == RF_MEANS_DAY_TIME) {
        *interval = (struct rf_rows_interval){.days = first, .micros = (int64_t)second * 1000};
        return RF_OK;
    }
    interval->days = second;
    memcpy(&nanos, from + 8, sizeof nanos);
    return to_micros(rows, node, nanos, &interval->micros);
}
