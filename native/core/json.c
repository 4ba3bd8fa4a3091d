#include "core/json.h"

#include <inttypes.h>
#include <math.h>

static void add_quoted(struct rf_text *json, const char *value) {
    rf_text_add(json, "\"");
    for (const char *p = value; *p; p++) {
        unsigned char byte = (unsigned char)*p;
        if (byte < 0x20) rf_text_addf(json, "\\u%04x", byte);
        else if (byte == '"' || byte == '\\') rf_text_addf(json, "\\%c", byte);
        else rf_text_add_bytes(json, p, 1);
    }
    rf_text_add(json, "\"");
}

/* What stands before a value: a comma unless it is the first, and its name. */
static void begin_value(struct rf_text *json, const char *name) {
    char before = json->length > 0 ? json->data[json->length - 1] : '[';
    if (before != '{' && before != '[') rf_text_add(json, ",");
    if (!name) return;
    add_quoted(json, name);
    rf_text_add(json, ":");
}

void rf_json_open(struct rf_text *json, const char *name, char bracket) {
    begin_value(json, name);
    rf_text_add_bytes(json, &bracket, 1);
}

void rf_json_close(struct rf_text *json, char bracket) {
    rf_text_add_bytes(json, &bracket, 1);
}

void rf_json_text(struct rf_text *json, const char *name, const char *value) {
    begin_value(json, name);
    if (value) add_quoted(json, value);
    else rf_text_add(json, "null");
}

void rf_json_integer(struct rf_text *json, const char *name, int64_t value) {
    begin_value(json, name);
    rf_text_addf(json, "%" PRId64, value);
}

/* Not by %f: a program with a German locale would write a comma. */
void rf_json_number(struct rf_text *json, const char *name, double value) {
    double whole = trunc(value);
    long long millionths = llround(fabs(value - whole) * 1e6);
    if (millionths == 1000000) {
        whole += value < 0 ? -1 : 1;
        millionths = 0;
    }
    begin_value(json, name);
    rf_text_addf(json, "%s%.0f", value < 0 && whole == 0 && millionths ? "-" : "", whole + 0.0);
    if (!millionths) return;
    int digits = 6;
    for (; millionths % 10 == 0; digits--) millionths /= 10;
    rf_text_addf(json, ".%0*lld", digits, millionths);
}

void rf_json_flag(struct rf_text *json, const char *name, bool value) {
    begin_value(json, name);
    rf_text_add(json, value ? "true" : "false");
}

void rf_json_whole(struct rf_text *json, const char *name, const char *value) {
    begin_value(json, name);
    rf_text_add(json, value);
}

void rf_json_null(struct rf_text *json, const char *name) {
    rf_json_text(json, name, NULL);
}

char *rf_json_take(struct rf_text *json) {
    char *text = json->failed ? NULL : json->data;
    if (text) *json = (struct rf_text){0};
    else rf_text_free(json);
    return text;
}
