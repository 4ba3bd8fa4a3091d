#include "units.h"

#include <stdio.h>
#include <string.h>

void check_code(enum rf_code actual, enum rf_code expected, const struct rf_error *err, const char *file, int line) {
    if (actual == expected) return;
    print_error("%s where %s was expected: %s\n", rf_code_name(actual), rf_code_name(expected), actual == RF_OK ? "" : err->message);
    _fail(file, line);
}

void check_contains(const char *text, const char *part, bool expected, const char *file, int line) {
    if (text && (strstr(text, part) != NULL) == expected) return;
    print_error("%s \"%s\" in: %s\n", expected ? "no" : "unexpected", part, text ? text : "(null)");
    _fail(file, line);
}

bool needed_in_vain;

void *check_needed(void *pointer, const char *what, const char *file, int line) {
    if (pointer) return pointer;
    needed_in_vain = true;
    print_error("there was no memory for %s\n", what);
    _fail(file, line);
    return NULL;
}

bool always_failed;
bool memory_is_scarce;

void check_always(bool holds, const char *what, const char *file, int line) {
    if (holds) return;
    always_failed = true;
    print_error("%s\n", what);
    _fail(file, line);
}

const char *whole(const struct rf_text *text) {
    return needed(text->failed ? NULL : text->data);
}

/* How many bytes the character that begins with `first` has; 0 when none begins so. */
static int character_bytes(unsigned char first) {
    if (first < 0x80) return 1;
    if (first >= 0xC2 && first < 0xE0) return 2;
    if (first >= 0xE0 && first < 0xF0) return 3;
    return first >= 0xF0 && first < 0xF5 ? 4 : 0;
}

bool is_utf8(const char *text) {
    while (*text) {
        int n = character_bytes((unsigned char)*text++);
        if (n == 0) return false;
        for (; n > 1; n--)
            if (((unsigned char)*text++ & 0xC0) != 0x80) return false;
    }
    return true;
}
