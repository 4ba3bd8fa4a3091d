#include "core/snowflake_names.h"

#include <string.h>

static bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}

static bool is_upper(char c) {
    return c >= 'A' && c <= 'Z';
}

/* Nothing but letters of the one kind, digits, _ and $, and no digit or $ first. */
static bool is_plain(const char *name, bool (*is_letter)(char c)) {
    for (const char *p = name; *p; p++) {
        bool later = p > name && ((*p >= '0' && *p <= '9') || *p == '$');
        if (!is_letter(*p) && *p != '_' && !later) return false;
    }
    return *name;
}

static char folded(char c, bool folds) {
    return folds && is_lower(c) ? (char)(c - 'a' + 'A') : c;
}

/* Between quotes of the one kind; what is in `doubled` comes twice inside of them. */
static void add_folded(struct rf_text *text, const char *name, const char *quote, const char *doubled) {
    bool folds = is_plain(name, is_lower);
    rf_text_add(text, quote);
    for (const char *p = name; *p; p++) {
        char c = folded(*p, folds);
        if (strchr(doubled, c)) rf_text_add_bytes(text, &c, 1);
        rf_text_add_bytes(text, &c, 1);
    }
    rf_text_add(text, quote);
}

void rf_snowflake_identifier(struct rf_text *text, const char *name) {
    add_folded(text, name, "\"", "\"");
}

void rf_snowflake_name_literal(struct rf_text *text, const char *name) {
    add_folded(text, name, "'", "'\\");
}

bool rf_snowflake_same(const char *a, const char *b) {
    bool a_folds = is_plain(a, is_lower), b_folds = is_plain(b, is_lower);
    while (*a && folded(*a, a_folds) == folded(*b, b_folds)) a++, b++;
    return !*a && !*b;
}

bool rf_snowflake_is(const char *name, const char *in_catalog) {
    bool folds = is_plain(name, is_lower);
    while (*name && folded(*name, folds) == *in_catalog) name++, in_catalog++;
    return !*name && !*in_catalog;
}

void rf_snowflake_unfold(char *name) {
    if (!is_plain(name, is_upper)) return;
    for (char *p = name; *p; p++)
        if (is_upper(*p)) *p = (char)(*p - 'A' + 'a');
}
