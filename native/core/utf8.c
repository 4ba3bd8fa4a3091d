#include "core/utf8.h"

#include <stdbool.h>
#include <string.h>

/* Eight bytes, each of 1 to 127. */
static bool is_plain(const uint8_t *p) {
    uint64_t word, high = 0x8080808080808080u;
    memcpy(&word, p, sizeof word);
    return !((word | (word - 0x0101010101010101u)) & high);
}

static bool continues(const uint8_t *p, size_t n) {
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xC0) != 0x80) return false;
    return true;
}

/* Of the character that begins at `p`; 0 for NUL and for what is cut, overlong, a surrogate or beyond U+10FFFF. */
static size_t character_bytes(const uint8_t *p, size_t left) {
    uint8_t first = p[0];
    if (first < 0x80) return first ? 1 : 0;
    size_t n = first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3 : first >= 0xF0 && first < 0xF5 ? 4 : 0;
    if (n == 0 || n > left || !continues(p, n)) return 0;
    if ((first == 0xE0 && p[1] < 0xA0) || (first == 0xED && p[1] >= 0xA0)) return 0;
    if ((first == 0xF0 && p[1] < 0x90) || (first == 0xF4 && p[1] >= 0x90)) return 0;
    return n;
}

size_t rf_utf8_good(const uint8_t *bytes, size_t n_bytes) {
    size_t at = 0;
    while (at < n_bytes) {
        if (n_bytes - at >= 8 && is_plain(bytes + at)) {
            at += 8;
            continue;
        }
        size_t n = character_bytes(bytes + at, n_bytes - at);
        if (n == 0) return at;
        at += n;
    }
    return at;
}

size_t rf_utf8_characters(const uint8_t *bytes, size_t n_bytes) {
    size_t n = 0;
    for (size_t i = 0; i < n_bytes; i++) n += (bytes[i] & 0xC0) != 0x80;
    return n;
}

size_t rf_utf8_prefix(const uint8_t *bytes, size_t n_bytes, int n) {
    size_t at = 0;
    for (; at < n_bytes; at++)
        if ((bytes[at] & 0xC0) != 0x80 && n-- == 0) break;
    return at;
}
