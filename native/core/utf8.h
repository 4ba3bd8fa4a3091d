/* Is it a text that PostgreSQL holds? */
#ifndef RF_UTF8_H
#define RF_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* How many of the bytes come before the first that is NUL or not of a whole UTF-8 character: n_bytes when all are good. */
size_t rf_utf8_good(const uint8_t *bytes, size_t n_bytes);

/* Characters in good bytes. */
size_t rf_utf8_characters(const uint8_t *bytes, size_t n_bytes);

/* Bytes of the first n characters of good bytes: n_bytes when there are no more. */
size_t rf_utf8_prefix(const uint8_t *bytes, size_t n_bytes, int n);

#endif
