#include "core/csv.h"

#include <string.h>

/* What lies between two quotes, of which only line feeds outside of them count. */
static size_t scan_plain(const uint8_t *bytes, size_t n_bytes, int64_t *n_rows) {
    size_t end = 0;
    for (const uint8_t *at = bytes, *stop = bytes + n_bytes; (at = memchr(at, '\n', (size_t)(stop - at)));) {
        end = (size_t)(++at - bytes);
        ++*n_rows;
    }
    return end;
}

size_t rf_csv_scan(struct rf_csv *csv, const uint8_t *bytes, size_t n_bytes, int64_t *n_rows) {
    size_t end = 0;
    for (size_t at = 0; at < n_bytes;) {
        const uint8_t *quote = memchr(bytes + at, '"', n_bytes - at);
        size_t length = quote ? (size_t)(quote - bytes) - at : n_bytes - at;
        size_t plain = csv->quoted ? 0 : scan_plain(bytes + at, length, n_rows);
        if (plain > 0) end = at + plain;
        at += length;
        if (!quote) break;
        csv->quoted = !csv->quoted;
        at++;
    }
    if (n_bytes > 0) csv->inside = end < n_bytes;
    return end;
}

bool rf_csv_is_whole(const struct rf_csv *csv) {
    return !csv->quoted && !csv->inside;
}
