#include "core/types.h"

#include "core/columns.h"
#include "core/json.h"
#include "core/passthrough.h"

#include <stdio.h>
#include <string.h>

/* Arrow's and DuckDB's decimals of 128 bits hold so many digits, and Snowflake's, there at most 37 of them behind the point. */
enum { MOST_DIGITS = 38, MOST_SCALE_ON_SNOWFLAKE = 37 };

struct rf_type_row {
    const char *name;   /* pg_catalog's; what is in brackets stands for a class of types */
    enum rf_wire wire;  /* of the value as it is sent, after the cast */
    const char *cast;   /* the types it is cast to, one after the other; "" for none */
    const char *format; /* Arrow's; a decimal's digits are added */
    const char *extension;
    const char *duckdb;
    const char *snowflake;
    const char *read_by;  /* as of struct rf_column, on Snowflake */
    const char *postgres; /* what it is on another PostgreSQL; NULL: the same, in the same bytes */
    const char *note; /* what a reader of columns should know; NULL when nothing changes */
    const char *snowflake_note;
};

/* Rows that have no name of PostgreSQL's. */
#define BOUNDED_NUMERIC "numeric(p,s)"
#define ENUM "(enum)"
#define OTHER "(any other)"

#define SAME "the same"

/* On Snowflake what the note before says. */
#define SAME_NOTE ""

/* Snowflake reads no "Infinity", but "Inf". Source: docs.snowflake.com/en/sql-reference/data-types-numeric. */
#define READ_FLOAT "TO_DOUBLE(REPLACE(%s, 'inity'))"
#define READ_JSON "PARSE_JSON(%s)"
#define READ_ARRAY "PARSE_JSON(%s)::ARRAY"

static const struct rf_type_row TYPES[] = {
    {"bool", RF_WIRE_BOOL, "", "b", NULL, "BOOLEAN", "BOOLEAN", NULL, NULL, NULL, NULL},
    {"int2", RF_WIRE_INT2, "", "s", NULL, "SMALLINT", "NUMBER(5,0)", NULL, NULL, NULL, NULL},
    {"int4", RF_WIRE_INT4, "", "i", NULL, "INTEGER", "NUMBER(10,0)", NULL, NULL, NULL, NULL},
    {"int8", RF_WIRE_INT8, "", "l", NULL, "BIGINT", "NUMBER(19,0)", NULL, NULL, NULL, NULL},
    {"oid", RF_WIRE_UINT4, "", "I", NULL, "UINTEGER", "NUMBER(10,0)", NULL, NULL, "the number alone: it names an object of the source", SAME_NOTE},
    {"float4", RF_WIRE_FLOAT4, "", "f", NULL, "FLOAT", "FLOAT", READ_FLOAT, NULL, NULL, "the number as PostgreSQL prints it: 0.1 stays 0.1"},
    {"float8", RF_WIRE_FLOAT8, "", "g", NULL, "DOUBLE", "FLOAT", READ_FLOAT, NULL, NULL, NULL},
    {BOUNDED_NUMERIC, RF_WIRE_NUMERIC, "", "d", NULL, "DECIMAL", "NUMBER", NULL, NULL, "of at most 38 digits, none of them before the unit; NaN stops the run: name the column in as_text", "of 38 digits at most, 37 of them behind the point, else VARCHAR; NaN stops the run: name the column in as_text"},
    {"numeric", RF_WIRE_TEXT, "text", "u", NULL, "VARCHAR", "VARCHAR", NULL, NULL, "its digits as text: without a bound it fits no decimal", SAME_NOTE},
    {"money", RF_WIRE_TEXT, "numeric text", "u", NULL, "VARCHAR", "VARCHAR", NULL, "the same; numeric where lc_monetary differs", "its number as text, without the currency", SAME_NOTE},
    {"text", RF_WIRE_TEXT, "", "u", NULL, "VARCHAR", "VARCHAR", NULL, NULL, NULL, NULL},
    {"varchar", RF_WIRE_TEXT, "", "u", NULL, "VARCHAR", "VARCHAR", NULL, NULL, NULL, NULL},
    {"bpchar", RF_WIRE_TEXT, "", "u", NULL, "VARCHAR", "VARCHAR", NULL, NULL, "with the spaces that pad it", SAME_NOTE},
    {"name", RF_WIRE_TEXT, "", "u", NULL, "VARCHAR", "VARCHAR", NULL, NULL, NULL, NULL},
    {"bytea", RF_WIRE_BYTES, "", "z", NULL, "BLOB", "BINARY", "TO_BINARY(SUBSTR(%s, 3), 'HEX')", NULL, NULL, "sent as hexadecimal digits"},
    {"uuid", RF_WIRE_UUID, "", "w:16", "arrow.uuid", "UUID", "VARCHAR", NULL, NULL, NULL, "its text"},
    {"json", RF_WIRE_TEXT, "", "u", "arrow.json", "JSON", "VARIANT", READ_JSON, NULL, "the text as it was written", "numbers of more than 38 digits and zeros behind the point are lost in a VARIANT, and a key that comes twice stops the run: as_text keeps the text"},
    {"jsonb", RF_WIRE_JSONB, "", "u", "arrow.json", "JSON", "VARIANT", READ_JSON, NULL, "the text that PostgreSQL prints", "numbers of more than 38 digits and zeros behind the point are lost in a VARIANT: as_text keeps the text"},
    {"date", RF_WIRE_DATE, "", "tdD", NULL, "DATE", "DATE", NULL, NULL, "infinity is the last day that Arrow can name, -infinity the first but one", "infinity, and years before 1 or after 9999, stop the run: name the column in as_text"},
    {"time", RF_WIRE_TIME, "", "ttu", NULL, "TIME", "TIME", NULL, NULL, "24:00 is 86,400,000,000 µs, which some readers of Arrow do not expect", "24:00 stops the run: name the column in as_text"},
    {"timetz", RF_WIRE_TEXT, "text", "u", NULL, "VARCHAR", "VARCHAR", NULL, NULL, NULL, "its text"},
    {"timestamp", RF_WIRE_TIMESTAMP, "", "tsu:", NULL, "TIMESTAMP", "TIMESTAMP_NTZ", NULL, NULL, "infinity is the last time that Arrow can name, -infinity the first but one; years after 294246 stop the run", "as it is, in no zone; infinity and years as for date"},
    {"timestamptz", RF_WIRE_TIMESTAMP, "", "tsu:UTC", NULL, "TIMESTAMPTZ", "TIMESTAMP_TZ", NULL, NULL, "in UTC; infinity and years as for timestamp", "in UTC, whose offset 0 it has; infinity and years as for date"},
    {"interval", RF_WIRE_INTERVAL, "", "tin", NULL, "INTERVAL", "VARCHAR", NULL, NULL, "infinity, and more than 292 years of hours, stop the run", "its text"},
    {ENUM, RF_WIRE_TEXT, "", "u", NULL, "ENUM", "VARCHAR", NULL, "the same; text where the target has none of its name and labels", "a text in Arrow", "its label"},
    {OTHER, RF_WIRE_TEXT, "text", "u", NULL, "VARCHAR", "VARCHAR", NULL, "the same; text where the target has no type that reads its bytes, and for reg…, xid and their like", "its text: bit, inet, xml, ranges, composite and geometric types, types of extensions, names of objects", SAME_NOTE},
};

enum { N_TYPES = sizeof TYPES / sizeof TYPES[0] };

static const struct rf_type_row *find_row(const char *name) {
    for (int i = 0; i < N_TYPES; i++)
        if (strcmp(TYPES[i].name, name) == 0) return &TYPES[i];
    return &TYPES[N_TYPES - 1];
}

/* ---- from a column of the catalogs ---- */

/* Source: numeric.c, make_numeric_typmod: ((precision << 16) | (scale & 0x7ff)) + VARHDRSZ; scale is signed in 11 bits. */
static bool has_decimal(int32_t typmod, int *precision, int *scale) {
    if (typmod < 4) return false;
    *precision = ((typmod - 4) >> 16) & 0xffff;
    *scale = (typmod - 4) & 0x7ff;
    return *precision <= MOST_DIGITS && *scale <= *precision; /* a scale below zero reads as one above 1,023 here */
}

/* array(X) → X, in brackets of its own; _x → x. NULL when it is no array. */
static const char *element_of(const char *identity, struct rf_arena *arena) {
    if (identity[0] == '_') return rf_arena_copy(arena, identity + 1);
    if (strncmp(identity, "array(", 6) != 0) return NULL;
    char *element = rf_arena_copy(arena, identity + 6);
    if (element) element[strlen(element) - 1] = '\0';
    return element;
}

static bool is_array(const char *identity) {
    return identity[0] == '_' || strncmp(identity, "array(", 6) == 0;
}

/* For elements "::pg_catalog.text[]", for money two casts. NULL for none. */
static enum rf_code make_cast(const char *types, bool of_array, struct rf_arena *arena, const char **out, struct rf_error *err) {
    char text[64] = "";
    *out = NULL;
    if (!*types) return RF_OK;
    for (const char *at = types; *at;) {
        int length = (int)strcspn(at, " ");
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "::pg_catalog.%.*s%s", length, at, of_array ? "[]" : "");
        at += length;
        if (*at) at++;
    }
    *out = rf_arena_copy(arena, text);
    return *out ? RF_OK : rf_no_memory(err);
}

static enum rf_code make_format(struct rf_type *type, struct rf_arena *arena, struct rf_error *err) {
    type->format = type->row->format;
    type->extension = type->row->extension;
    if (type->wire != RF_WIRE_NUMERIC) return RF_OK;
    char text[16];
    snprintf(text, sizeof text, "d:%d,%d", type->precision, type->scale);
    type->format = rf_arena_copy(arena, text);
    return type->format ? RF_OK : rf_no_memory(err);
}

/* enum('a','b') → 'a','b' */
static enum rf_code take_labels(const char *identity, struct rf_arena *arena, const char **out, struct rf_error *err) {
    char *labels = rf_arena_copy(arena, identity + strlen("enum("));
    if (!labels) return rf_no_memory(err);
    labels[strlen(labels) - 1] = '\0';
    *out = labels;
    return RF_OK;
}

static enum rf_code resolve_value(const char *identity, int32_t typmod, bool as_text, bool of_array, struct rf_arena *arena,
                                  struct rf_type *type, struct rf_error *err) {
    bool is_enum = strncmp(identity, "enum(", 5) == 0;
    const char *name = is_enum ? ENUM : identity;
    if (strcmp(identity, "numeric") == 0 && has_decimal(typmod, &type->precision, &type->scale)) name = BOUNDED_NUMERIC;
    type->row = find_row(as_text ? OTHER : name);
    type->wire = type->row->wire;
    if (is_enum && !as_text) RF_TRY(take_labels(identity, arena, &type->labels, err));
    RF_TRY(make_format(type, arena, err));
    return make_cast(type->row->cast, of_array, arena, &type->cast, err);
}

static enum rf_code resolve_array(const char *identity, int32_t typmod, struct rf_arena *arena, struct rf_type *type, struct rf_error *err) {
    const char *inside = element_of(identity, arena);
    struct rf_type *element = rf_arena_take(arena, sizeof *element);
    if (!inside || !element) return rf_no_memory(err);
    RF_TRY(resolve_value(inside, typmod, false, true, arena, element, err));
    *type = (struct rf_type){.row = element->row, .wire = RF_WIRE_ARRAY, .format = "+l", .element = element, .cast = element->cast};
    return RF_OK;
}

enum rf_code rf_type_resolve(const char *identity, int32_t typmod, bool as_text, struct rf_arena *arena,
                             struct rf_type *type, struct rf_error *err) {
    *type = (struct rf_type){0};
    if (is_array(identity) && !as_text) return resolve_array(identity, typmod, arena, type, err);
    return resolve_value(identity, typmod, as_text, false, arena, type, err);
}

/* ---- of a table ---- */

enum rf_code rf_check_as_text(const struct rf_job *job, const struct rf_source_facts *facts, struct rf_error *err) {
    for (int i = 0; i < job->as_text.n; i++) {
        if (rf_find_column(facts->columns, facts->n_columns, job->as_text.names[i]) >= 0) continue;
        rf_fail(err, RF_CONFIG, "no column \"%s\", which \"as_text\" of the job names, is read from %s", job->as_text.names[i], job->source_label);
        return rf_hint(err, "Check the spelling, capital letters count; and \"columns\", if the job names those that are read.");
    }
    return RF_OK;
}

enum rf_code rf_types_of(const struct rf_job *job, struct rf_source_facts *facts, struct rf_arena *arena,
                         struct rf_columns_field **fields, struct rf_error *err) {
    RF_TRY(rf_check_encoding(&facts->server, "source", err));
    RF_TRY(rf_check_as_text(job, facts, err));
    *fields = rf_arena_take(arena, (size_t)(facts->n_columns + 1) * sizeof **fields);
    if (!*fields) return rf_no_memory(err);
    for (int i = 0; i < facts->n_columns; i++) {
        struct rf_column *column = &facts->columns[i];
        struct rf_columns_field *field = &(*fields)[i];
        bool as_text = rf_names_have(&job->as_text, column->name);
        *field = (struct rf_columns_field){.name = column->name, .not_null = column->not_null, .declared = column->type};
        RF_TRY(rf_type_resolve(column->identity, column->typmod, as_text, arena, &field->type, err));
        column->cast = field->type.cast;
        if (as_text) column->cast_reason = RF_AS_TEXT_NAMES_IT;
    }
    return RF_OK;
}

/* ---- on a target ---- */

void rf_type_on_duckdb(const struct rf_type *type, struct rf_text *out) {
    if (type->element) {
        rf_type_on_duckdb(type->element, out);
        rf_text_add(out, "[]");
        return;
    }
    rf_text_add(out, type->row->duckdb);
    if (type->wire == RF_WIRE_NUMERIC) rf_text_addf(out, "(%d,%d)", type->precision, type->scale);
    if (!type->labels) return;
    rf_text_add(out, "(");
    rf_text_add(out, type->labels);
    rf_text_add(out, ")");
}

static bool fits_snowflake(const struct rf_type *type) {
    return type->wire != RF_WIRE_NUMERIC || type->scale <= MOST_SCALE_ON_SNOWFLAKE;
}

void rf_type_on_snowflake(const struct rf_type *type, struct rf_text *out) {
    rf_text_add(out, type->element ? "ARRAY" : fits_snowflake(type) ? type->row->snowflake : "VARCHAR");
    if (type->wire == RF_WIRE_NUMERIC && fits_snowflake(type)) rf_text_addf(out, "(%d,%d)", type->precision, type->scale);
}

/* Arrays go as JSON: what they print as otherwise only PostgreSQL reads. */
void rf_type_sent_to_snowflake(const struct rf_type *type, struct rf_column *column) {
    column->through = type->element ? "pg_catalog.array_to_json" : NULL;
    column->read_by = type->element ? READ_ARRAY : type->row->read_by;
}

static void add_row(struct rf_text *json, const struct rf_type_row *row) {
    bool decimal = row->wire == RF_WIRE_NUMERIC;
    char arrow[64], duckdb[32], snowflake[32];
    snprintf(arrow, sizeof arrow, "%s%s%s%s%s", row->format, decimal ? ":p,s" : "", row->extension ? " (" : "",
             row->extension ? row->extension : "", row->extension ? ")" : "");
    snprintf(duckdb, sizeof duckdb, "%s%s", row->duckdb, decimal ? "(p,s)" : strcmp(row->name, ENUM) == 0 ? "(labels)" : "");
    snprintf(snowflake, sizeof snowflake, "%s%s", row->snowflake, decimal ? "(p,s)" : "");
    rf_json_open(json, NULL, '{');
    rf_json_text(json, "postgres", row->name);
    rf_json_text(json, "sent_as", row->cast);
    rf_json_text(json, "arrow", arrow);
    rf_json_text(json, "duckdb", duckdb);
    rf_json_text(json, "snowflake", snowflake);
    rf_json_text(json, "to_postgres", row->postgres ? row->postgres : SAME);
    rf_json_text(json, "note", row->note);
    rf_json_text(json, "snowflake_note", row->snowflake_note && !*row->snowflake_note ? row->note : row->snowflake_note);
    rf_json_close(json, '}');
}

/* The rule for arrays is not a row: it goes through the row of the elements. */
static void add_array_row(struct rf_text *json) {
    rf_json_open(json, NULL, '{');
    rf_json_text(json, "postgres", "(array)");
    rf_json_text(json, "sent_as", "");
    rf_json_text(json, "arrow", "+l of its elements' type");
    rf_json_text(json, "duckdb", "its elements' type[]");
    rf_json_text(json, "snowflake", "ARRAY");
    rf_json_text(json, "to_postgres", "the same; as its elements where they are sent otherwise");
    rf_json_text(json, "note", "of one dimension that begins at 1; another array stops the run: name the column in as_text");
    rf_json_text(json, "snowflake_note", "as PostgreSQL writes it in JSON, of any dimensions, without their bounds; elements that go as text elsewhere are texts here too");
    rf_json_close(json, '}');
}

char *rf_types_json(void) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    rf_json_open(&json, "types", '[');
    for (int i = 0; i < N_TYPES - 1; i++) add_row(&json, &TYPES[i]);
    add_array_row(&json);
    add_row(&json, &TYPES[N_TYPES - 1]);
    rf_json_close(&json, ']');
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}
