#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void rf_copy_text(char *to, size_t to_size, const char *from) {
    size_t length = from ? strlen(from) : 0;
    if (length >= to_size) {
        length = to_size - 1;
        while (length > 0 && ((unsigned char)from[length] & 0xC0) == 0x80) length--;
    }
    if (length > 0) memcpy(to, from, length);
    to[length] = '\0';
}

/* A class is retryable when waiting, another try or another server state can make the same job succeed. */
static bool retryable_class(enum rf_code code) {
    return code == RF_SOURCE || code == RF_TARGET || code == RF_BUSY || code == RF_FENCED || code == RF_NO_MEMORY;
}

enum rf_code rf_fail(struct rf_error *err, enum rf_code code, const char *format, ...) {
    memset(err, 0, sizeof *err);
    err->code = code;
    err->retryable = retryable_class(code);
    char message[2 * sizeof err->message];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    rf_copy_text(err->message, sizeof err->message, message);
    return code;
}

enum rf_code rf_hint(struct rf_error *err, const char *format, ...) {
    char hint[2 * sizeof err->hint];
    va_list args;
    va_start(args, format);
    vsnprintf(hint, sizeof hint, format, args);
    va_end(args);
    rf_copy_text(err->hint, sizeof err->hint, hint);
    return err->code;
}

enum rf_code rf_no_memory(struct rf_error *err) {
    return rf_fail(err, RF_NO_MEMORY, "out of memory");
}

enum rf_code rf_cancelled(struct rf_error *err) {
    return rf_fail(err, RF_CANCELLED, "the run was cancelled");
}

const char *rf_code_name(enum rf_code code) {
    switch (code) {
    case RF_OK: return "ok";
    case RF_CONFIG: return "configuration";
    case RF_AUTH: return "authentication";
    case RF_SOURCE: return "source";
    case RF_TARGET: return "target";
    case RF_BUSY: return "busy";
    case RF_DRIFT: return "drift";
    case RF_DATA: return "data";
    case RF_FENCED: return "fenced";
    case RF_CANCELLED: return "cancelled";
    case RF_INTERNAL:
    case RF_NO_MEMORY: return "internal";
    }
    return "internal";
}
