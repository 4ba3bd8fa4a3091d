#include "core/uri.h"

#include <string.h>

static int digit_of(char c) {
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

const char *rf_uri_decode(const char *text, size_t n_bytes, struct rf_arena *arena, bool *malformed) {
    char *decoded = rf_arena_take(arena, n_bytes + 1), *to = decoded;
    *malformed = false;
    if (!decoded) return NULL;
    for (size_t i = 0; i < n_bytes; i++) {
        int high = text[i] == '%' && i + 2 < n_bytes ? digit_of(text[i + 1]) : -1, low = high < 0 ? -1 : digit_of(text[i + 2]);
        *malformed |= text[i] == '%' && (low < 0 || high + low == 0);
        *to++ = text[i] == '%' ? (char)(high * 16 + low) : text[i];
        if (text[i] == '%') i += 2;
    }
    return decoded;
}
