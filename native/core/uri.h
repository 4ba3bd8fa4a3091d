/* What the URIs of targets have in common. */
#ifndef RF_URI_H
#define RF_URI_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>

/* n_bytes of `text` with its %XX undone, in `arena`. NULL when memory is short; *malformed when a % comes without two
 * hexadecimal digits, or stands for a NUL. */
const char *rf_uri_decode(const char *text, size_t n_bytes, struct rf_arena *arena, bool *malformed);

#endif
