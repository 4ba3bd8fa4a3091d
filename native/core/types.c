#include "core/types.h"

#include "core/columns.h"
#include "core/json.h"
#include "core/passthrough.h"

#include <stdio.h>
#include <string.h>

/* Arrow's and DuckDB's decimals of 128 bits hold so many digits. */
enum { MOST_DIGITS = 38 };

/* Of Snowflake's at most so many may be behind the point. */
enum { MOST_SCALE_ON_SNOWFLAKE = 37 };

/* What it is on a target. */
struct there {
    const char *type;  /* as the target's catalog prints it; * stands for a decimal's digits or an enum's labels */
    bool as_text;      /* sent as its text, whatever the bytes could say */
    const char *read_by; /* as of struct rf_column */
    const char *note;    /* what does not arrive there as it was; of MariaDB and SQLite alone, the others' stand beside the row */
};

struct rf_type_row {
    const char *name;   /* pg_catalog's; what is in brackets stands for a class of types */
    enum rf_wire wire;  /* of the value as it is sent, after the cast */
    const char *cast;   /* the types it is cast to, one after the other; "" for none */
    const char *format; /* Arrow's; a decimal's digits are added */
    const char *extension;
    struct there on[RF_DIALECTS];
    const char *postgres; /* what it is on another PostgreSQL; NULL: the same, in the same bytes */
    const char *note; /* what a reader of columns should know; NULL when nothing changes */
    const char *snowflake_note;
};

/* Rows that have no name of PostgreSQL's. */
#define BOUNDED_NUMERIC "numeric(p,s)"
#define ENUM "(enum)"
#define NAIVE "timestamp"
#define NAIVE_AS_UTC "timestamp, taken as UTC"
#define OTHER "(any other)"

#define SAME "the same"

/* Keeps every character, and keeps apart what differs in case or in a space behind it. */
#define MARIADB_TEXT "longtext COLLATE utf8mb4_nopad_bin"

/* Of texts in files. Snowflake reads no "Infinity", but "Inf": docs.snowflake.com/en/sql-reference/data-types-numeric. */
#define READ_FLOAT "TO_DOUBLE(REPLACE(%s, 'inity'))"
#define READ_BYTES "TO_BINARY(SUBSTR(%s, 3), 'HEX')"
#define READ_JSON "PARSE_JSON(%s)"
#define READ_ARRAY "PARSE_JSON(%s)::ARRAY"

/* On Snowflake what the note before says. */
#define SAME_NOTE ""

#define AS_IS(type) {type, false, NULL, NULL}
#define AS_TEXT(type) {type, true, NULL, NULL}
#define READ(type, function) {type, false, function, NULL}
#define NOTED(type, note) {type, false, NULL, note}

#define SOME_YEARS "infinity, and years before 1 or after 9999, stop the run: name the column in as_text"
#define NO_ZONE "no type has a zone: as timestamp"
#define SOME_FLOATS "−0 becomes 0; NaN, and in MariaDB an infinity, stop the run: name the column in as_text"

/* Through psqlODBC every value goes as its text, and the server reads what a server printed; a cast would take the spaces
 * that pad a text. */
#define ON(duckdb, mariadb, sqlite, psqlodbc, snowflake) \
    {[RF_DIALECT_DUCKDB] = duckdb, [RF_DIALECT_MARIADB] = mariadb, [RF_DIALECT_SQLITE] = sqlite, [RF_DIALECT_PSQLODBC] = psqlodbc, [RF_DIALECT_SNOWFLAKE] = snowflake}

static const struct rf_type_row TYPES[] = {
    {"bool", RF_WIRE_BOOL, "", "b", NULL,
     ON(AS_IS("BOOLEAN"), AS_IS("tinyint(1)"), AS_IS("BOOLEAN"), AS_TEXT("boolean"), AS_IS("BOOLEAN")), NULL, NULL, NULL},
    {"int2", RF_WIRE_INT2, "", "s", NULL,
     ON(AS_IS("SMALLINT"), AS_IS("smallint(6)"), AS_IS("SMALLINT"), AS_TEXT("smallint"), AS_IS("NUMBER(5,0)")), NULL, NULL, NULL},
    {"int4", RF_WIRE_INT4, "", "i", NULL,
     ON(AS_IS("INTEGER"), AS_IS("int(11)"), AS_IS("INTEGER"), AS_TEXT("integer"), AS_IS("NUMBER(10,0)")), NULL, NULL, NULL},
    {"int8", RF_WIRE_INT8, "", "l", NULL,
     ON(AS_IS("BIGINT"), AS_IS("bigint(20)"), AS_IS("BIGINT"), AS_TEXT("bigint"), AS_IS("NUMBER(19,0)")), NULL, NULL, NULL},
    {"oid", RF_WIRE_UINT4, "", "I", NULL,
     ON(AS_IS("UINTEGER"), AS_IS("int(10) unsigned"), AS_IS("BIGINT"), AS_TEXT("bigint"), AS_IS("NUMBER(10,0)")), NULL, "the number alone: it names an object of the source", SAME_NOTE},
    {"float4", RF_WIRE_FLOAT4, "", "f", NULL,
     ON(AS_IS("FLOAT"), NOTED("double", SOME_FLOATS), NOTED("DOUBLE", SOME_FLOATS), AS_TEXT("real"), READ("FLOAT", READ_FLOAT)), NULL, NULL, "the number as PostgreSQL prints it: 0.1 stays 0.1"},
    {"float8", RF_WIRE_FLOAT8, "", "g", NULL,
     ON(AS_IS("DOUBLE"), NOTED("double", SOME_FLOATS), NOTED("DOUBLE", SOME_FLOATS), AS_TEXT("double precision"), READ("FLOAT", READ_FLOAT)), NULL, NULL, NULL},
    {BOUNDED_NUMERIC, RF_WIRE_NUMERIC, "", "d", NULL,
     ON(AS_IS("DECIMAL(*)"), AS_IS("decimal(*)"), AS_IS("TEXT"), AS_TEXT("numeric(*)"), AS_IS("NUMBER(*)")), NULL, "of at most 38 digits, none of them before the unit; NaN stops the run: name the column in as_text", "of 38 digits at most, 37 of them behind the point, else VARCHAR; NaN stops the run: name the column in as_text"},
    {"numeric", RF_WIRE_TEXT, "text", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_TEXT(MARIADB_TEXT), AS_TEXT("TEXT"), AS_TEXT("numeric"), AS_IS("VARCHAR")), NULL, "its digits as text: without a bound it fits no decimal", SAME_NOTE},
    {"money", RF_WIRE_TEXT, "numeric text", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_TEXT(MARIADB_TEXT), AS_TEXT("TEXT"), AS_TEXT("numeric"), AS_IS("VARCHAR")), "the same; numeric where lc_monetary differs", "its number as text, without the currency", SAME_NOTE},
    {"text", RF_WIRE_TEXT, "", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_IS(MARIADB_TEXT), AS_IS("TEXT"), AS_IS("text"), AS_IS("VARCHAR")), NULL, NULL, NULL},
    {"varchar", RF_WIRE_TEXT, "", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_IS(MARIADB_TEXT), AS_IS("TEXT"), AS_IS("text"), AS_IS("VARCHAR")), NULL, NULL, NULL},
    {"bpchar", RF_WIRE_TEXT, "", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_IS(MARIADB_TEXT), AS_IS("TEXT"), AS_IS("text"), AS_IS("VARCHAR")), NULL, "with the spaces that pad it", SAME_NOTE},
    {"name", RF_WIRE_TEXT, "", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_IS(MARIADB_TEXT), AS_IS("TEXT"), AS_IS("text"), AS_IS("VARCHAR")), NULL, NULL, NULL},
    {"bytea", RF_WIRE_BYTES, "", "z", NULL,
     ON(AS_IS("BLOB"), AS_IS("longblob"), AS_IS("BLOB"), AS_TEXT("bytea"), READ("BINARY", READ_BYTES)), NULL, NULL, "sent as hexadecimal digits"},
    {"uuid", RF_WIRE_UUID, "", "w:16", "arrow.uuid",
     ON(AS_IS("UUID"), AS_IS("char(36) COLLATE ascii_bin"), AS_IS("TEXT"), AS_TEXT("uuid"), AS_IS("VARCHAR")), NULL, NULL, "its text"},
    {"json", RF_WIRE_TEXT, "", "u", "arrow.json",
     ON(AS_IS("JSON"), AS_IS(MARIADB_TEXT), AS_IS("TEXT"), AS_TEXT("json"), READ("VARIANT", READ_JSON)), NULL, "the text as it was written", "numbers of more than 38 digits and zeros behind the point are lost in a VARIANT, and a key that comes twice stops the run: as_text keeps the text"},
    {"jsonb", RF_WIRE_JSONB, "", "u", "arrow.json",
     ON(AS_IS("JSON"), AS_IS(MARIADB_TEXT), AS_IS("TEXT"), AS_TEXT("jsonb"), READ("VARIANT", READ_JSON)), NULL, "the text that PostgreSQL prints", "numbers of more than 38 digits and zeros behind the point are lost in a VARIANT: as_text keeps the text"},
    {"date", RF_WIRE_DATE, "", "tdD", NULL,
     ON(AS_IS("DATE"), NOTED("date", SOME_YEARS), NOTED("TEXT", SOME_YEARS), AS_TEXT("date"), AS_IS("DATE")), NULL, "infinity is the last day that Arrow can name, -infinity the first but one", SOME_YEARS},
    {"time", RF_WIRE_TIME, "", "ttu", NULL,
     ON(AS_IS("TIME"), AS_IS("time(6)"), AS_IS("TEXT"), AS_TEXT("time without time zone"), AS_IS("TIME")), NULL, "24:00 is 86,400,000,000 µs, which some readers of Arrow do not expect", "24:00 stops the run: name the column in as_text"},
    {"timetz", RF_WIRE_TEXT, "text", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_TEXT(MARIADB_TEXT), AS_TEXT("TEXT"), AS_TEXT("time with time zone"), AS_IS("VARCHAR")), NULL, NULL, "its text"},
    {NAIVE, RF_WIRE_TIMESTAMP, "", "tsu:", NULL,
     ON(AS_IS("TIMESTAMP"), NOTED("datetime(6)", SOME_YEARS), NOTED("TEXT", SOME_YEARS), AS_TEXT("timestamp without time zone"), AS_IS("TIMESTAMP_NTZ")), NULL, "infinity is the last time that Arrow can name, -infinity the first but one; years after 294246 stop the run", "as it is, in no zone; infinity and years as for date"},
    {NAIVE_AS_UTC, RF_WIRE_TIMESTAMP, "timestamptz", "tsu:UTC", NULL,
     ON(AS_IS("TIMESTAMPTZ"), NOTED("datetime(6)", NO_ZONE), NOTED("TEXT", NO_ZONE), AS_TEXT("timestamp with time zone"), AS_IS("TIMESTAMP_TZ")), "timestamp with time zone", "where naive_timestamps says so; as timestamptz", "where naive_timestamps says so, which is the default; as timestamptz"},
    {"timestamptz", RF_WIRE_TIMESTAMP, "", "tsu:UTC", NULL,
     ON(AS_IS("TIMESTAMPTZ"), NOTED("datetime(6)", SOME_YEARS), NOTED("TEXT", SOME_YEARS), AS_TEXT("timestamp with time zone"), AS_IS("TIMESTAMP_TZ")), NULL, "in UTC; infinity and years as for timestamp", "in UTC, whose offset 0 it has; infinity and years as for date"},
    {"interval", RF_WIRE_INTERVAL, "", "tin", NULL,
     ON(AS_IS("INTERVAL"), AS_TEXT(MARIADB_TEXT), AS_TEXT("TEXT"), AS_TEXT("interval"), AS_IS("VARCHAR")), NULL, "infinity, and more than 292 years of hours, stop the run", "its text"},
    {ENUM, RF_WIRE_TEXT, "", "u", NULL,
     ON(AS_IS("ENUM(*)"), AS_IS(MARIADB_TEXT), AS_IS("TEXT"), AS_TEXT("text"), AS_IS("VARCHAR")), "the same; text where the target has none of its name and labels", "a text in Arrow", "its label"},
    {OTHER, RF_WIRE_TEXT, "text", "u", NULL,
     ON(AS_IS("VARCHAR"), AS_TEXT(MARIADB_TEXT), AS_TEXT("TEXT"), AS_TEXT("text"), AS_IS("VARCHAR")), "the same; text where the target has no type that reads its bytes, and for reg…, xid and their like", "its text: bit, inet, xml, ranges, composite and geometric types, types of extensions, names of objects", SAME_NOTE},
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

/* A row whose type there is a text may still be sent in bytes. An array prints its elements itself, but for money. */
static enum rf_code send_as_text(struct rf_type *type, struct rf_arena *arena, struct rf_error *err) {
    static const char cast[] = "::pg_catalog.text", of_array[] = "::pg_catalog.text[]";
    char text[96] = "";
    if (type->cast) snprintf(text, sizeof text, "%s", type->cast);
    char *end = type->element ? strstr(text, of_array) : strstr(text, cast);
    strcpy(end ? end : text + strlen(text), cast);
    if (type->element) *type = (struct rf_type){.row = type->row, .precision = type->element->precision, .scale = type->element->scale, .is_list = true};
    type->wire = RF_WIRE_TEXT;
    type->format = "u";
    type->extension = NULL;
    type->cast = rf_arena_copy(arena, text);
    return type->cast ? RF_OK : rf_no_memory(err);
}

bool rf_casts_bytes(const struct rf_column *column) {
    return column->cast && strcmp(column->cast, RF_AS_UTC) != 0;
}

bool rf_takes_naive_as_utc(const struct rf_job *job, enum rf_dialect dialect) {
    return job->naive_timestamps == RF_NAIVE_UTC || (job->naive_timestamps == RF_NAIVE_AUTO && dialect == RF_DIALECT_SNOWFLAKE);
}

/* Where no type has a zone the two rows say the same. */
static bool is_taken_as_utc(const struct rf_job *job, const struct rf_column *column, const struct rf_target_facts *there) {
    if (!there || strcmp(column->identity, NAIVE) != 0 || !rf_takes_naive_as_utc(job, there->dialect)) return false;
    const char *kept = find_row(NAIVE)->on[there->dialect].type, *in_utc = find_row(NAIVE_AS_UTC)->on[there->dialect].type;
    int at = rf_find_column(there->columns, there->n_columns, column->name);
    return strcmp(kept, in_utc) != 0 && (at < 0 || strcmp(there->columns[at].type, kept) != 0);
}

/* rf_type_resolve for a target of this dialect, which may take as its text what it has no type for. RF_DIALECTS: for Arrow alone. */
static enum rf_code type_for(const char *identity, int32_t typmod, bool as_text, enum rf_dialect dialect, struct rf_arena *arena,
                             struct rf_type *type, struct rf_error *err) {
    RF_TRY(rf_type_resolve(identity, typmod, as_text, arena, type, err));
    bool has_lists = dialect == RF_DIALECTS || dialect == RF_DIALECT_DUCKDB || dialect == RF_DIALECT_SNOWFLAKE;
    bool goes_as_text = dialect != RF_DIALECTS && type->row->on[dialect].as_text;
    return goes_as_text || (type->element && !has_lists) ? send_as_text(type, arena, err) : RF_OK;
}

static enum rf_code type_of_column(const struct rf_job *job, struct rf_column *column, const struct rf_target_facts *there, struct rf_arena *arena,
                                   struct rf_type *type, struct rf_error *err) {
    bool as_text = rf_names_have(&job->as_text, column->name), in_utc = !as_text && is_taken_as_utc(job, column, there);
    if (in_utc) column->identity = "timestamptz";
    if (as_text) column->cast_reason = RF_AS_TEXT_NAMES_IT;
    else if (in_utc) column->cast_reason = RF_TAKEN_AS_UTC;
    RF_TRY(type_for(in_utc ? NAIVE_AS_UTC : column->identity, column->typmod, as_text, there ? there->dialect : RF_DIALECTS, arena, type, err));
    column->cast = type->cast;
    return RF_OK;
}

enum rf_code rf_types_of(const struct rf_job *job, struct rf_source_facts *facts, const struct rf_target_facts *there, struct rf_arena *arena,
                         struct rf_columns_field **fields, struct rf_error *err) {
    RF_TRY(rf_check_encoding(&facts->server, "source", err));
    RF_TRY(rf_check_as_text(job, facts, err));
    *fields = rf_arena_take(arena, (size_t)(facts->n_columns + 1) * sizeof **fields);
    if (!*fields) return rf_no_memory(err);
    for (int i = 0; i < facts->n_columns; i++) {
        struct rf_column *column = &facts->columns[i];
        struct rf_columns_field *field = &(*fields)[i];
        *field = (struct rf_columns_field){.name = column->name, .not_null = column->not_null, .declared = column->type};
        RF_TRY(type_of_column(job, column, there, arena, &field->type, err));
    }
    return RF_OK;
}

struct rf_form *rf_forms_of(const struct rf_columns_field *fields, int n_fields, struct rf_arena *arena) {
    struct rf_form *forms = rf_arena_take(arena, (size_t)n_fields * sizeof *forms);
    for (int i = 0; forms && i < n_fields; i++) {
        const struct rf_type *type = &fields[i].type;
        forms[i] = (struct rf_form){.wire = type->wire, .element = type->element ? type->element->wire : type->wire};
    }
    return forms;
}

/* ---- on a target ---- */

/* `inside` stands in place of the * of a type. */
static void add_type(const char *type, const char *inside, struct rf_text *out) {
    const char *star = strchr(type, '*');
    rf_text_add_bytes(out, type, star ? (size_t)(star - type) : strlen(type));
    if (!star) return;
    rf_text_add(out, inside);
    rf_text_add(out, star + 1);
}

/* Arrays go as JSON: what they print as otherwise only PostgreSQL reads. What is there is what the text said, and not what the
 * bytes say, of a float4 (0.1, and not the float nearest to it) and of an interval. */
void rf_type_sent_to_snowflake(const struct rf_type *type, struct rf_column *column) {
    column->compared_as = type->wire == RF_WIRE_FLOAT4 || type->wire == RF_WIRE_INTERVAL ? "::pg_catalog.text" : NULL;
    column->through = type->element ? "pg_catalog.array_to_json" : NULL;
    column->read_by = type->element ? READ_ARRAY : type->row->on[RF_DIALECT_SNOWFLAKE].read_by;
}

void rf_type_on(const struct rf_type *type, enum rf_dialect dialect, struct rf_text *out) {
    bool too_fine = type->wire == RF_WIRE_NUMERIC && type->scale > MOST_SCALE_ON_SNOWFLAKE;
    if (dialect == RF_DIALECT_SNOWFLAKE && (type->element || too_fine)) {
        rf_text_add(out, type->element ? "ARRAY" : "VARCHAR");
        return;
    }
    bool has_lists = dialect == RF_DIALECT_DUCKDB || dialect == RF_DIALECT_PSQLODBC;
    bool is_list = type->element || type->is_list;
    const struct rf_type *value = type->element ? type->element : type;
    const struct there *there = &(is_list && !has_lists ? &TYPES[N_TYPES - 1] : value->row)->on[dialect];
    char digits[24];
    snprintf(digits, sizeof digits, "%d,%d", value->precision, value->scale);
    add_type(there->type, value->labels ? value->labels : digits, out);
    if (is_list && has_lists) rf_text_add(out, "[]");
}

/* The targets there are, by what `rowferry types --target` calls them. */
static const struct { enum rf_dialect dialect; const char *name; } TARGETS[] = {
    {RF_DIALECT_DUCKDB, "duckdb"}, {RF_DIALECT_MARIADB, "mariadb"}, {RF_DIALECT_SQLITE, "sqlite"}, {RF_DIALECT_PSQLODBC, "psqlodbc"}, {RF_DIALECT_SNOWFLAKE, "snowflake"},
};

static void add_targets(struct rf_text *json, const struct rf_type_row *row) {
    for (size_t i = 0; i < sizeof TARGETS / sizeof TARGETS[0]; i++) {
        struct rf_text type = {0};
        add_type(row->on[TARGETS[i].dialect].type, row->wire == RF_WIRE_NUMERIC ? "p,s" : "labels", &type);
        json->failed |= type.failed;
        rf_json_text(json, TARGETS[i].name, type.data);
        rf_text_free(&type);
    }
}

static void add_row(struct rf_text *json, const struct rf_type_row *row) {
    char arrow[64];
    snprintf(arrow, sizeof arrow, "%s%s%s%s%s", row->format, row->wire == RF_WIRE_NUMERIC ? ":p,s" : "", row->extension ? " (" : "",
             row->extension ? row->extension : "", row->extension ? ")" : "");
    rf_json_open(json, NULL, '{');
    rf_json_text(json, "postgres", row->name);
    rf_json_text(json, "sent_as", row->cast);
    rf_json_text(json, "arrow", arrow);
    add_targets(json, row);
    rf_json_text(json, "to_postgres", row->postgres ? row->postgres : SAME);
    rf_json_text(json, "note", row->note);
    rf_json_text(json, "mariadb_note", row->on[RF_DIALECT_MARIADB].note);
    rf_json_text(json, "sqlite_note", row->on[RF_DIALECT_SQLITE].note);
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
    rf_json_text(json, "mariadb", MARIADB_TEXT);
    rf_json_text(json, "sqlite", "TEXT");
    rf_json_text(json, "psqlodbc", "its elements' type[]");
    rf_json_text(json, "snowflake", "ARRAY");
    rf_json_text(json, "to_postgres", "the same; as its elements where they are sent otherwise");
    rf_json_text(json, "note", "of one dimension that begins at 1; another array stops the run: name the column in as_text");
    rf_json_text(json, "mariadb_note", "as PostgreSQL prints it");
    rf_json_text(json, "sqlite_note", "as PostgreSQL prints it");
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
