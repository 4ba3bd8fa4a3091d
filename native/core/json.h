/* Writing JSON, in order, into one text: memory that runs short is told once, by rf_json_take.
 *
 * `name` is that of a member of an object; NULL in an array and for the outermost value.
 */
#ifndef RF_JSON_H
#define RF_JSON_H

#include "core/text.h"

#include <stdint.h>

/* '{' or '[', to be closed with '}' or ']'. */
void rf_json_open(struct rf_text *json, const char *name, char bracket);
void rf_json_close(struct rf_text *json, char bracket);

/* NULL is written as null. Bytes from 0x80 on are handed on as they are. */
void rf_json_text(struct rf_text *json, const char *name, const char *value);
/* Every digit of it. */
void rf_json_integer(struct rf_text *json, const char *name, int64_t value);
/* To the millionth; finite. */
void rf_json_number(struct rf_text *json, const char *name, double value);
void rf_json_flag(struct rf_text *json, const char *name, bool value);
/* A text that is JSON already. */
void rf_json_whole(struct rf_text *json, const char *name, const char *value);
void rf_json_null(struct rf_text *json, const char *name);

/* The whole, to be freed with free(), and *json is empty again; NULL when memory was short for any part of it. */
char *rf_json_take(struct rf_text *json);

#endif
