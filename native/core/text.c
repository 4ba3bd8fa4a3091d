#include "core/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct rf_text *text, size_t more) {
    if (text->failed) return false;
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) return true;
    size_t capacity = text->capacity ? text->capacity : 256;
    while (capacity < needed) capacity *= 2;
    char *data = realloc(text->data, capacity);
    if (!data) {
        text->failed = true;
        return false;
    }
    text->data = data;
    text->capacity = capacity;
    return true;
}

void rf_text_free(struct rf_text *text) {
    free(text->data);
    *text = (struct rf_text){0};
}

char *rf_text_room(struct rf_text *text, size_t n_bytes) {
    return reserve(text, n_bytes) ? text->data + text->length : NULL;
}

void rf_text_add_bytes(struct rf_text *text, const char *bytes, size_t n_bytes) {
    if (!reserve(text, n_bytes)) return;
    memcpy(text->data + text->length, bytes, n_bytes);
    text->length += n_bytes;
    text->data[text->length] = '\0';
}

void rf_text_add(struct rf_text *text, const char *more) {
    rf_text_add_bytes(text, more, strlen(more));
}

void rf_text_addf(struct rf_text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length >= 0 && reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->length, (size_t)length + 1, format, again);
        text->length += (size_t)length;
    }
    va_end(again);
}

static void add_doubling(struct rf_text *text, const char *value, char quote, bool backslashes) {
    for (const char *p = value; *p; p++) {
        if (*p == quote || (backslashes && *p == '\\')) rf_text_add_bytes(text, p, 1);
        rf_text_add_bytes(text, p, 1);
    }
}

void rf_text_fill(struct rf_text *text, const char *template, const char *inside) {
    for (const char *place; (place = strstr(template, "%s")); template = place + 2) {
        rf_text_add_bytes(text, template, (size_t)(place - template));
        rf_text_add(text, inside);
    }
    rf_text_add(text, template);
}

void rf_text_identifier(struct rf_text *text, const char *name) {
    rf_text_add(text, "\"");
    add_doubling(text, name, '"', false);
    rf_text_add(text, "\"");
}

void rf_text_qualified(struct rf_text *text, const char *schema, const char *name) {
    rf_text_identifier(text, schema);
    rf_text_add(text, ".");
    rf_text_identifier(text, name);
}

void rf_text_literal(struct rf_text *text, const char *value) {
    if (!value) {
        rf_text_add(text, "NULL");
        return;
    }
    bool backslashes = strchr(value, '\\') != NULL;
    rf_text_add(text, backslashes ? "E'" : "'");
    add_doubling(text, value, '\'', backslashes);
    rf_text_add(text, "'");
}

void rf_text_escaped_literal(struct rf_text *text, const char *value) {
    if (!value) {
        rf_text_add(text, "NULL");
        return;
    }
    rf_text_add(text, "'");
    add_doubling(text, value, '\'', true);
    rf_text_add(text, "'");
}

enum rf_code rf_text_check(const struct rf_text *text, struct rf_error *err) {
    return text->failed ? rf_no_memory(err) : RF_OK;
}
