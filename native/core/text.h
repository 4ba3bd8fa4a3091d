/* A growing text, used for SQL and messages.
 *
 * Appending never fails visibly: running out of memory sets `failed` and is asked for once, at the end.
 * Identifiers and literals are always quoted here and nowhere else.
 */
#ifndef RF_TEXT_H
#define RF_TEXT_H

#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

struct rf_text {
    char *data; /* NUL-terminated once anything was added; NULL before */
    size_t length;
    size_t capacity;
    bool failed;
};

void rf_text_free(struct rf_text *text);
void rf_text_add(struct rf_text *text, const char *more);
void rf_text_add_bytes(struct rf_text *text, const char *bytes, size_t n_bytes);
void rf_text_addf(struct rf_text *text, const char *format, ...) RF_PRINTF(2, 3);

/* Where n_bytes more may be written; whoever does adds them to `length`. NULL, and `failed`, when memory is short. */
char *rf_text_room(struct rf_text *text, size_t n_bytes);

/* A template, in each %s of which `inside` stands. */
void rf_text_fill(struct rf_text *text, const char *template, const char *inside);

/* "name" with inner double quotes doubled. */
void rf_text_identifier(struct rf_text *text, const char *name);

/* "schema"."name" */
void rf_text_qualified(struct rf_text *text, const char *schema, const char *name);

/* 'value' with inner quotes doubled; E'…' when it holds a backslash, so that both settings of
 * standard_conforming_strings read the same. NULL becomes the keyword NULL. */
void rf_text_literal(struct rf_text *text, const char *value);

/* The same where a backslash escapes in every literal: 'value' with inner quotes and backslashes doubled. */
void rf_text_escaped_literal(struct rf_text *text, const char *value);

/* RF_NO_MEMORY when any append failed. */
enum rf_code rf_text_check(const struct rf_text *text, struct rf_error *err);

#endif
