#include "core/timestamp.h"

#include <stdio.h>
#include <time.h>

bool rf_read_timestamp(const char *text, int64_t *micros) {
    struct tm tm = {0};
    int fraction;
    if (!text || sscanf(text, "%5d-%2d-%2dT%2d:%2d:%2d.%6d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &fraction) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *micros = (int64_t)timegm(&tm) * 1000000 + fraction;
    return true;
}

void rf_write_timestamp(char *to, int64_t micros) {
    int64_t fraction = micros % 1000000;
    if (fraction < 0) fraction += 1000000;
    time_t seconds = (time_t)((micros - fraction) / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    snprintf(to, RF_TIMESTAMP_BYTES, "%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour,
             tm.tm_min, tm.tm_sec, (int)fraction);
}
