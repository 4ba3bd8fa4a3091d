/* Times as texts, in ISO 8601 and UTC with microseconds: 2026-11-22T18:00:00.000000+00:00. */
#ifndef RF_TIMESTAMP_H
#define RF_TIMESTAMP_H

#include <stdbool.h>
#include <stdint.h>

enum { RF_TIMESTAMP_BYTES = 64 };

/* Microseconds since 1970. False when the text is not of the form above, its offset apart, which is taken for UTC. */
bool rf_read_timestamp(const char *text, int64_t *micros);

/* Writes up to RF_TIMESTAMP_BYTES. */
void rf_write_timestamp(char *to, int64_t micros);

#endif
