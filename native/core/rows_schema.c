#include "core/rows_node.h"

#include "core/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FIELDS = 1600, DEEPEST = 32, MOST_NAME_BYTES = 63 };

/* PostgreSQL's: of modifiers, and what most of them are larger by. */
enum { MOST_PRECISION = 1000, MOST_PLACES = 6, MOST_CHARACTERS = 10485760, VARHDRSZ = 4 };

/* ---- types of PostgreSQL ---- */

/* Names in DDL are those of format_type. Source of the numbers: src/include/catalog/pg_type.dat. */
static const struct rf_rows_type TYPES[] = {
    {"bool", "boolean", "", 16, RF_WIRE_BOOL, RF_MOD_NONE},
    {"int2", "smallint", "", 21, RF_WIRE_INT2, RF_MOD_NONE},
    {"int4", "integer", "", 23, RF_WIRE_INT4, RF_MOD_NONE},
    {"int8", "bigint", "", 20, RF_WIRE_INT8, RF_MOD_NONE},
    {"float4", "real", "", 700, RF_WIRE_FLOAT4, RF_MOD_NONE},
    {"float8", "double precision", "", 701, RF_WIRE_FLOAT8, RF_MOD_NONE},
    {"numeric", "numeric", "", 1700, RF_WIRE_NUMERIC, RF_MOD_DIGITS},
    {"text", "text", "", 25, RF_WIRE_TEXT, RF_MOD_NONE},
    {"varchar", "character varying", "", 1043, RF_WIRE_TEXT, RF_MOD_LENGTH},
    {"bpchar", "character", "", 1042, RF_WIRE_TEXT, RF_MOD_LENGTH_NEEDED},
    {"bpchar", "bpchar", "", 1042, RF_WIRE_TEXT, RF_MOD_NONE},
    {"name", "name", "", 19, RF_WIRE_TEXT, RF_MOD_NONE},
    {"bytea", "bytea", "", 17, RF_WIRE_BYTES, RF_MOD_NONE},
    {"uuid", "uuid", "", 2950, RF_WIRE_UUID, RF_MOD_NONE},
    {"json", "json", "", 114, RF_WIRE_TEXT, RF_MOD_NONE},
    {"jsonb", "jsonb", "", 3802, RF_WIRE_JSONB, RF_MOD_NONE},
    {"date", "date", "", 1082, RF_WIRE_DATE, RF_MOD_NONE},
    {"time", "time", " without time zone", 1083, RF_WIRE_TIME, RF_MOD_PLACES},
    {"timestamp", "timestamp", " without time zone", 1114, RF_WIRE_TIMESTAMP, RF_MOD_PLACES},
    {"timestamptz", "timestamp", " with time zone", 1184, RF_WIRE_TIMESTAMP, RF_MOD_PLACES},
    {"interval", "interval", "", 1186, RF_WIRE_INTERVAL, RF_MOD_NONE},
};

struct declared {
    const struct rf_rows_type *type;
    int32_t typmod;
    bool is_array;
};

static const struct rf_rows_type *type_named(const char *name) {
    size_t i = 0;
    while (strcmp(TYPES[i].name, name) != 0) i++;
    return &TYPES[i];
}

static bool skip(const char **at, const char *word) {
    size_t n = strlen(word);
    if (strncmp(*at, word, n) != 0) return false;
    *at += n;
    return true;
}

static bool read_number(const char **at, long *value) {
    char *end;
    bool begins = **at == '-' || (**at >= '0' && **at <= '9');
    *value = begins ? strtol(*at, &end, 10) : 0;
    if (!begins || end == *at) return false;
    *at = end;
    return true;
}

/* Source: numeric.c, make_numeric_typmod. */
static int32_t numeric_modifier(int precision, int scale) {
    return ((precision << 16) | (scale & 0x7ff)) + VARHDRSZ;
}

/* A number from low to high, and the modifier made of it. */
static bool read_length(const char **at, int low, int high, int added, int32_t *typmod) {
    long value;
    if (!read_number(at, &value) || value < low || value > high) return false;
    *typmod = (int32_t)value + added;
    return true;
}

static bool read_digits(const char **at, int32_t *typmod) {
    long precision, scale;
    if (!read_number(at, &precision) || !skip(at, ",") || !read_number(at, &scale)) return false;
    if (precision < 1 || precision > MOST_PRECISION || scale < -MOST_PRECISION || scale > MOST_PRECISION) return false;
    *typmod = numeric_modifier((int)precision, (int)scale);
    return true;
}

/* What stands in the brackets of a type, as its modifier. */
static bool read_modifier(const struct rf_rows_type *type, const char **at, int32_t *typmod) {
    *typmod = -1;
    if (!skip(at, "(")) return type->mod != RF_MOD_LENGTH_NEEDED;
    switch (type->mod) {
    case RF_MOD_LENGTH:
    case RF_MOD_LENGTH_NEEDED: return read_length(at, 1, MOST_CHARACTERS, VARHDRSZ, typmod) && skip(at, ")");
    case RF_MOD_PLACES: return read_length(at, 0, MOST_PLACES, 0, typmod) && skip(at, ")");
    case RF_MOD_DIGITS: return read_digits(at, typmod) && skip(at, ")");
    default: return false;
    }
}

/* A type as format_type writes it: numeric(12,2), timestamp(3) with time zone, text[]. */
static bool read_declared(const char *ddl, struct declared *out) {
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++) {
        const char *at = ddl;
        *out = (struct declared){.type = &TYPES[i]};
        if (!skip(&at, TYPES[i].before) || !read_modifier(&TYPES[i], &at, &out->typmod) || !skip(&at, TYPES[i].behind)) continue;
        out->is_array = skip(&at, "[]");
        if (!*at) return true;
    }
    return false;
}

/* ---- formats of Arrow ---- */

static const int64_t S = 1, MS = 1000, US = 1000000, NS = 1000000000;

struct format {
    const char *text; /* up to its colon, where it has one */
    enum rf_layout layout;
    enum rf_meaning meaning;
    int width;
    const int64_t *per_second;
};

static const struct format FORMATS[] = {
    {"n", RF_LAYOUT_NULLS, RF_MEANS_NOTHING, 0, NULL},
    {"b", RF_LAYOUT_BITS, RF_MEANS_BOOL, 0, NULL},
    {"c", RF_LAYOUT_FIXED, RF_MEANS_INT, 1, NULL},
    {"C", RF_LAYOUT_FIXED, RF_MEANS_UINT, 1, NULL},
    {"s", RF_LAYOUT_FIXED, RF_MEANS_INT, 2, NULL},
    {"S", RF_LAYOUT_FIXED, RF_MEANS_UINT, 2, NULL},
    {"i", RF_LAYOUT_FIXED, RF_MEANS_INT, 4, NULL},
    {"I", RF_LAYOUT_FIXED, RF_MEANS_UINT, 4, NULL},
    {"l", RF_LAYOUT_FIXED, RF_MEANS_INT, 8, NULL},
    {"L", RF_LAYOUT_FIXED, RF_MEANS_UINT, 8, NULL},
    {"e", RF_LAYOUT_FIXED, RF_MEANS_FLOAT, 2, NULL},
    {"f", RF_LAYOUT_FIXED, RF_MEANS_FLOAT, 4, NULL},
    {"g", RF_LAYOUT_FIXED, RF_MEANS_FLOAT, 8, NULL},
    {"d:", RF_LAYOUT_FIXED, RF_MEANS_DECIMAL, 16, NULL},
    {"u", RF_LAYOUT_OFFSETS32, RF_MEANS_TEXT, 0, NULL},
    {"U", RF_LAYOUT_OFFSETS64, RF_MEANS_TEXT, 0, NULL},
    {"vu", RF_LAYOUT_VIEWS, RF_MEANS_TEXT, 0, NULL},
    {"z", RF_LAYOUT_OFFSETS32, RF_MEANS_BYTES, 0, NULL},
    {"Z", RF_LAYOUT_OFFSETS64, RF_MEANS_BYTES, 0, NULL},
    {"vz", RF_LAYOUT_VIEWS, RF_MEANS_BYTES, 0, NULL},
    {"w:", RF_LAYOUT_FIXED, RF_MEANS_BYTES, 0, NULL},
    {"tdD", RF_LAYOUT_FIXED, RF_MEANS_DATE, 4, NULL},
    {"tdm", RF_LAYOUT_FIXED, RF_MEANS_DATE, 8, NULL},
    {"tts", RF_LAYOUT_FIXED, RF_MEANS_TIME, 4, &S},
    {"ttm", RF_LAYOUT_FIXED, RF_MEANS_TIME, 4, &MS},
    {"ttu", RF_LAYOUT_FIXED, RF_MEANS_TIME, 8, &US},
    {"ttn", RF_LAYOUT_FIXED, RF_MEANS_TIME, 8, &NS},
    {"tss:", RF_LAYOUT_FIXED, RF_MEANS_TIMESTAMP, 8, &S},
    {"tsm:", RF_LAYOUT_FIXED, RF_MEANS_TIMESTAMP, 8, &MS},
    {"tsu:", RF_LAYOUT_FIXED, RF_MEANS_TIMESTAMP, 8, &US},
    {"tsn:", RF_LAYOUT_FIXED, RF_MEANS_TIMESTAMP, 8, &NS},
    {"tDs", RF_LAYOUT_FIXED, RF_MEANS_DURATION, 8, &S},
    {"tDm", RF_LAYOUT_FIXED, RF_MEANS_DURATION, 8, &MS},
    {"tDu", RF_LAYOUT_FIXED, RF_MEANS_DURATION, 8, &US},
    {"tDn", RF_LAYOUT_FIXED, RF_MEANS_DURATION, 8, &NS},
    {"tiM", RF_LAYOUT_FIXED, RF_MEANS_MONTHS, 4, NULL},
    {"tiD", RF_LAYOUT_FIXED, RF_MEANS_DAY_TIME, 8, NULL},
    {"tin", RF_LAYOUT_FIXED, RF_MEANS_MONTH_DAY_NANO, 16, &NS},
    {"+l", RF_LAYOUT_LIST32, RF_MEANS_LIST, 0, NULL},
    {"+L", RF_LAYOUT_LIST64, RF_MEANS_LIST, 0, NULL},
    {"+vl", RF_LAYOUT_LIST_VIEW32, RF_MEANS_LIST, 0, NULL},
    {"+vL", RF_LAYOUT_LIST_VIEW64, RF_MEANS_LIST, 0, NULL},
    {"+w:", RF_LAYOUT_LIST_FIXED, RF_MEANS_LIST, 0, NULL},
    {"+s", RF_LAYOUT_STRUCT, RF_MEANS_STRUCT, 0, NULL},
    {"+m", RF_LAYOUT_LIST32, RF_MEANS_MAP, 0, NULL},
    {"+r", RF_LAYOUT_RUNS, RF_MEANS_NOTHING, 0, NULL},
};

static enum rf_code no_mapping(const struct rf_rows_node *node, const char *format, struct rf_error *err) {
    rf_fail(err, RF_CONFIG, "column \"%s\" has the Arrow format \"%.40s\", for which PostgreSQL has no type here", node->name, format);
    return rf_hint(err, "Cast it to another type before it is loaded, or leave it out.");
}

static const struct format *find_format(const char *text) {
    for (size_t i = 0; i < sizeof FORMATS / sizeof FORMATS[0]; i++) {
        size_t n = strlen(FORMATS[i].text);
        bool goes_on = FORMATS[i].text[n - 1] == ':';
        if (strncmp(text, FORMATS[i].text, n) == 0 && (goes_on || !text[n])) return &FORMATS[i];
    }
    return NULL;
}

/* "12,2" or "12,2,256" */
static bool read_decimal(const char *at, struct rf_rows_node *node) {
    long precision, scale, bits = 128;
    if (!read_number(&at, &precision) || !skip(&at, ",") || !read_number(&at, &scale)) return false;
    if (skip(&at, ",") && !read_number(&at, &bits)) return false;
    if (*at || (bits != 32 && bits != 64 && bits != 128 && bits != 256)) return false;
    if (precision < 1 || precision > 76 || scale < -500 || scale > 500) return false;
    node->precision = (int)precision;
    node->scale = (int)scale;
    node->width = (int)(bits / 8);
    return true;
}

static bool read_width(const char *at, struct rf_rows_node *node) {
    long width;
    if (!read_number(&at, &width) || *at || width < 0 || width > INT32_MAX) return false;
    node->width = (int)width;
    return true;
}

static enum rf_code read_format(const char *text, struct rf_rows_node *node, struct rf_error *err) {
    const struct format *format = text ? find_format(text) : NULL;
    if (!format) return no_mapping(node, text ? text : "", err);
    node->layout = format->layout;
    node->meaning = format->meaning;
    node->width = format->width;
    node->per_second = format->per_second ? *format->per_second : 0;
    const char *rest = text + strlen(format->text);
    bool has_width = strcmp(format->text, "w:") == 0 || strcmp(format->text, "+w:") == 0;
    if (has_width && !read_width(rest, node)) return no_mapping(node, text, err);
    if (node->meaning == RF_MEANS_DECIMAL && !read_decimal(rest, node)) return no_mapping(node, text, err);
    if (node->meaning == RF_MEANS_TIMESTAMP && *rest) node->meaning = RF_MEANS_TIMESTAMPTZ;
    return RF_OK;
}

/* ---- metadata ---- */

static int32_t take_length(const char **at) {
    int32_t length;
    memcpy(&length, *at, sizeof length);
    *at += sizeof length;
    return length;
}

/* Copies the value of `key`; empty when there is none, or one too long for what we look for. */
static void find_metadata(const char *metadata, const char *key, char *out, size_t size) {
    *out = '\0';
    if (!metadata) return;
    for (int32_t left = take_length(&metadata); left > 0; left--) {
        int32_t n_key = take_length(&metadata);
        if (n_key < 0) return;
        bool found = (size_t)n_key == strlen(key) && memcmp(metadata, key, (size_t)n_key) == 0;
        metadata += n_key;
        int32_t n_value = take_length(&metadata);
        if (n_value < 0) return;
        if (found && (size_t)n_value < size) {
            memcpy(out, metadata, (size_t)n_value);
            out[n_value] = '\0';
        }
        metadata += n_value;
    }
}

/* What stands under dictionaries and runs. */
static struct rf_rows_node *plain_node(struct rf_rows_node *node) {
    while (node->layout == RF_LAYOUT_DICTIONARY || node->layout == RF_LAYOUT_RUNS)
        node = &node->children[node->layout == RF_LAYOUT_RUNS];
    return node;
}

static void apply_extension(const struct ArrowSchema *schema, struct rf_rows_node *node) {
    char name[16];
    struct rf_rows_node *plain = plain_node(node);
    find_metadata(schema->metadata, "ARROW:extension:name", name, sizeof name);
    if (strcmp(name, "arrow.json") == 0 && plain->meaning == RF_MEANS_TEXT) plain->meaning = RF_MEANS_JSON;
    bool is_uuid = plain->meaning == RF_MEANS_BYTES && plain->layout == RF_LAYOUT_FIXED && plain->width == 16;
    if (strcmp(name, "arrow.uuid") == 0 && is_uuid) plain->meaning = RF_MEANS_UUID;
}

/* ---- the tree ---- */

static enum rf_code read_node(const struct ArrowSchema *schema, const char *name, int depth, struct rf_arena *arena, struct rf_rows_node *node,
                              struct rf_error *err);

static enum rf_code read_name(const char *name, struct rf_arena *arena, struct rf_rows_node *node, struct rf_error *err) {
    if (!name) name = "";
    if (rf_utf8_good((const uint8_t *)name, strlen(name)) != strlen(name)) return rf_fail(err, RF_CONFIG, "a field's name is no UTF-8");
    node->name = rf_arena_copy(arena, name);
    return node->name ? RF_OK : rf_no_memory(err);
}

static bool has_children(const struct rf_rows_node *node, int64_t n) {
    switch (node->layout) {
    case RF_LAYOUT_LIST32:
    case RF_LAYOUT_LIST64:
    case RF_LAYOUT_LIST_FIXED:
    case RF_LAYOUT_LIST_VIEW32:
    case RF_LAYOUT_LIST_VIEW64: return n == 1;
    case RF_LAYOUT_RUNS: return n == 2;
    case RF_LAYOUT_STRUCT: return n >= 0 && n <= MOST_FIELDS;
    default: return n == 0;
    }
}

/* Members of an object and columns of a table are told apart by their names. */
static enum rf_code check_names(const struct rf_rows_node *node, struct rf_error *err) {
    for (int i = 0; i < node->n_children && node->layout == RF_LAYOUT_STRUCT; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(node->children[i].name, node->children[j].name) == 0)
                return rf_fail(err, RF_CONFIG, "there are two fields with the name \"%s\"", node->children[i].name);
    return RF_OK;
}

static enum rf_code read_children(const struct ArrowSchema *schema, int depth, struct rf_arena *arena, struct rf_rows_node *node, struct rf_error *err) {
    bool is_dictionary = node->layout == RF_LAYOUT_DICTIONARY;
    node->n_children = is_dictionary ? 1 : (int)schema->n_children;
    node->children = rf_arena_take(arena, (size_t)node->n_children * sizeof *node->children);
    if (!node->children) return rf_no_memory(err);
    for (int i = 0; i < node->n_children; i++) {
        const struct ArrowSchema *child = is_dictionary ? schema->dictionary : schema->children ? schema->children[i] : NULL;
        if (!child) return rf_fail(err, RF_CONFIG, "the Arrow schema of \"%s\" is broken: a child is missing", node->name);
        const char *name = node->layout == RF_LAYOUT_STRUCT ? child->name : node->name; /* "item" would say nothing in an error */
        RF_TRY(read_node(child, name, depth + 1, arena, &node->children[i], err));
    }
    return check_names(node, err);
}

/* Of the parts that only some layouts have. */
static enum rf_code check_parts(const struct rf_rows_node *node, const char *format, struct rf_error *err) {
    const struct rf_rows_node *child = node->children;
    if (node->layout == RF_LAYOUT_RUNS && (child->layout != RF_LAYOUT_FIXED || child->meaning != RF_MEANS_INT))
        return no_mapping(node, format, err);
    if (node->meaning == RF_MEANS_MAP && (child->layout != RF_LAYOUT_STRUCT || child->n_children != 2))
        return no_mapping(node, format, err);
    return RF_OK;
}

static enum rf_code read_node(const struct ArrowSchema *schema, const char *name, int depth, struct rf_arena *arena, struct rf_rows_node *node,
                              struct rf_error *err) {
    *node = (struct rf_rows_node){.typmod = -1, .not_null = !(schema->flags & ARROW_FLAG_NULLABLE)};
    RF_TRY(read_name(name, arena, node, err));
    if (depth > DEEPEST) return rf_fail(err, RF_CONFIG, "\"%s\" lies more than %d fields deep", node->name, DEEPEST);
    RF_TRY(read_format(schema->format, node, err));
    if (schema->dictionary) {
        if (node->layout != RF_LAYOUT_FIXED || (node->meaning != RF_MEANS_INT && node->meaning != RF_MEANS_UINT)) return no_mapping(node, schema->format, err);
        node->layout = RF_LAYOUT_DICTIONARY;
        node->is_signed = node->meaning == RF_MEANS_INT;
    }
    if (!has_children(node, schema->n_children))
        return rf_fail(err, RF_CONFIG, "the Arrow schema of \"%s\" is broken: \"%.40s\" with %lld children", node->name, schema->format, (long long)schema->n_children);
    RF_TRY(read_children(schema, depth, arena, node, err));
    RF_TRY(check_parts(node, schema->format, err));
    apply_extension(schema, node);
    return RF_OK;
}

/* ---- a type of PostgreSQL for it ---- */

static bool is_nested(const struct rf_rows_node *plain) {
    return plain->meaning == RF_MEANS_LIST || plain->meaning == RF_MEANS_STRUCT || plain->meaning == RF_MEANS_MAP;
}

static bool is_array(const struct rf_rows_node *plain) {
    return plain->meaning == RF_MEANS_LIST && !is_nested(plain_node(&plain->children[0]));
}

static const char *integer_name(int n_bytes) {
    return n_bytes <= 2 ? "int2" : n_bytes == 4 ? "int4" : "int8";
}

static const char *natural_name(const struct rf_rows_node *plain) {
    switch (plain->meaning) {
    case RF_MEANS_NOTHING:
    case RF_MEANS_TEXT: return "text";
    case RF_MEANS_BOOL: return "bool";
    case RF_MEANS_INT: return integer_name(plain->width);
    case RF_MEANS_UINT: return plain->width == 8 ? "numeric" : integer_name(plain->width * 2);
    case RF_MEANS_FLOAT: return plain->width == 8 ? "float8" : "float4";
    case RF_MEANS_DECIMAL: return "numeric";
    case RF_MEANS_BYTES: return "bytea";
    case RF_MEANS_UUID: return "uuid";
    case RF_MEANS_DATE: return "date";
    case RF_MEANS_TIME: return "time";
    case RF_MEANS_TIMESTAMP: return "timestamp";
    case RF_MEANS_TIMESTAMPTZ: return "timestamptz";
    case RF_MEANS_DURATION:
    case RF_MEANS_MONTHS:
    case RF_MEANS_DAY_TIME:
    case RF_MEANS_MONTH_DAY_NANO: return "interval";
    default: return "jsonb";
    }
}

/* Digits before and behind the point that hold every value; a scale below zero or above the precision is for servers from 15 on. */
static void decimal_digits(const struct rf_rows_node *plain, int *whole, int *fraction) {
    bool is_decimal = plain->meaning == RF_MEANS_DECIMAL;
    *whole = is_decimal ? plain->precision - plain->scale : 20;
    if (*whole < 0) *whole = 0;
    *fraction = is_decimal && plain->scale > 0 ? plain->scale : 0;
}

static struct declared natural_type(const struct rf_rows_node *plain) {
    struct declared natural = {.type = type_named(natural_name(plain)), .typmod = -1};
    int whole, fraction;
    if (natural.type->wire != RF_WIRE_NUMERIC) return natural;
    decimal_digits(plain, &whole, &fraction);
    natural.typmod = numeric_modifier(whole + fraction, fraction);
    return natural;
}

static bool integer_fits(const struct declared *declared, const struct rf_rows_node *plain) {
    int room = declared->type->wire == RF_WIRE_INT2 ? 2 : declared->type->wire == RF_WIRE_INT4 ? 4 : 8;
    return plain->meaning == RF_MEANS_INT ? plain->width <= room : plain->width < room || declared->type->wire == RF_WIRE_NUMERIC;
}

static bool numeric_fits(const struct declared *declared, const struct rf_rows_node *plain) {
    int whole, fraction;
    if (declared->typmod == -1) return true;
    decimal_digits(plain, &whole, &fraction);
    int scale = (declared->typmod - 4) & 0x7ff, precision = (declared->typmod - 4) >> 16 & 0xffff;
    return scale <= MOST_PRECISION && scale >= fraction && precision - scale >= whole;
}

/* Can every value be written as the declared type, or is it told when one cannot? */
static bool fits(const struct declared *declared, const struct rf_rows_node *plain) {
    if (!rf_rows_find_put(declared->type->wire, plain)) return false;
    bool is_json = strncmp(declared->type->name, "json", 4) == 0;
    bool has_zone = strcmp(declared->type->name, "timestamptz") == 0;
    switch (plain->meaning) {
    case RF_MEANS_NOTHING: return true;
    case RF_MEANS_INT: return integer_fits(declared, plain);
    case RF_MEANS_UINT: return integer_fits(declared, plain) && (plain->width < 8 || numeric_fits(declared, plain));
    case RF_MEANS_DECIMAL: return numeric_fits(declared, plain);
    case RF_MEANS_FLOAT: return plain->width < 8 || declared->type->wire == RF_WIRE_FLOAT8;
    case RF_MEANS_TIMESTAMP: return !has_zone;
    case RF_MEANS_TIMESTAMPTZ: return has_zone;
    case RF_MEANS_LIST:
    case RF_MEANS_STRUCT:
    case RF_MEANS_MAP: return is_json;
    default: return true;
    }
}

static bool is_key(const struct rf_rows_node *plain) {
    return plain->meaning != RF_MEANS_NOTHING && plain->meaning != RF_MEANS_JSON && !is_nested(plain);
}

/* JSON has no form for bytes, and any that we chose would be read back as text. */
static enum rf_code check_json(struct rf_rows_node *node, const char *column, struct rf_error *err) {
    struct rf_rows_node *plain = plain_node(node);
    if (plain->meaning == RF_MEANS_BYTES) {
        rf_fail(err, RF_CONFIG, "column \"%s\" has binary values inside of lists, structs or maps, which become jsonb, and JSON has none", column);
        return rf_hint(err, "Encode them as text before they are loaded, or leave the column out.");
    }
    if (plain->meaning == RF_MEANS_MAP && !is_key(plain_node(&plain->children[0].children[0])))
        return rf_fail(err, RF_CONFIG, "column \"%s\" has a map whose keys are no texts, numbers or times", column);
    for (int i = 0; i < plain->n_children; i++) RF_TRY(check_json(&plain->children[i], column, err));
    return RF_OK;
}

/* What is written by itself: a column, or the elements of its array. */
static void write_as(struct rf_rows_node *node, const struct declared *declared) {
    struct rf_rows_node *plain = plain_node(node);
    for (struct rf_rows_node *at = node;; at = &at->children[at->layout == RF_LAYOUT_RUNS]) {
        at->type = declared->type;
        at->typmod = declared->typmod;
        at->is_array = declared->is_array;
        if (at == plain) break;
    }
    plain->put = rf_rows_find_put(declared->is_array ? RF_WIRE_ARRAY : declared->type->wire, plain);
}

static enum rf_code choose_type(const struct ArrowSchema *schema, struct rf_rows_node *node, struct rf_error *err) {
    char ddl[96];
    struct declared declared;
    struct rf_rows_node *plain = plain_node(node);
    struct rf_rows_node *value = is_array(plain) ? plain_node(&plain->children[0]) : plain;
    find_metadata(schema->metadata, "rowferry.type", ddl, sizeof ddl);
    bool is_declared = *ddl && read_declared(ddl, &declared);
    bool as_json = is_declared && !declared.is_array && is_nested(plain) && fits(&declared, plain);
    if (!as_json && (!is_declared || declared.is_array != (value != plain) || !fits(&declared, value))) {
        declared = natural_type(value);
        declared.is_array = value != plain;
    }
    if (!declared.is_array && is_nested(plain)) RF_TRY(check_json(node, node->name, err));
    write_as(node, &declared);
    if (!declared.is_array) return RF_OK;
    declared.is_array = false;
    write_as(&plain->children[0], &declared);
    return RF_OK;
}

static enum rf_code check_column(const struct rf_rows_node *node, struct rf_error *err) {
    if (!*node->name) return rf_fail(err, RF_CONFIG, "a column of the stream has no name");
    if (strlen(node->name) <= MOST_NAME_BYTES) return RF_OK;
    return rf_fail(err, RF_CONFIG, "the column name \"%s\" is longer than PostgreSQL's %d bytes", node->name, MOST_NAME_BYTES);
}

enum rf_code rf_rows_parse(const struct ArrowSchema *schema, struct rf_arena *arena, struct rf_rows_node *root, struct rf_error *err) {
    RF_TRY(read_node(schema, NULL, 0, arena, root, err));
    if (root->layout != RF_LAYOUT_STRUCT) return rf_fail(err, RF_CONFIG, "the Arrow stream has no columns: its format is \"%.40s\"", schema->format);
    for (int i = 0; i < root->n_children; i++) {
        RF_TRY(check_column(&root->children[i], err));
        RF_TRY(choose_type(schema->children[i], &root->children[i], err));
    }
    return RF_OK;
}

/* ---- as columns of a table ---- */

static enum rf_code name_type(const struct rf_rows_node *node, struct rf_arena *arena, struct rf_column *column, struct rf_error *err) {
    const struct rf_rows_type *type = node->type;
    char ddl[96], modifier[24] = "", name[24];
    int scale = (node->typmod - 4) & 0x7ff;
    if (node->typmod >= 0 && type->mod == RF_MOD_DIGITS)
        snprintf(modifier, sizeof modifier, "(%d,%d)", (int)((node->typmod - 4) >> 16 & 0xffff), scale < 1024 ? scale : scale - 2048);
    else if (node->typmod >= 0) snprintf(modifier, sizeof modifier, "(%d)", (int)(type->mod == RF_MOD_PLACES ? node->typmod : node->typmod - 4));
    snprintf(ddl, sizeof ddl, "%s%s%s%s", type->before, modifier, type->behind, node->is_array ? "[]" : "");
    snprintf(name, sizeof name, "%s%s", node->is_array ? "_" : "", type->name);
    column->type = rf_arena_copy(arena, ddl);
    column->base = column->identity = rf_arena_copy(arena, name);
    return column->type && column->base ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_rows_columns(const struct ArrowSchema *schema, struct rf_arena *arena, struct rf_column **columns, int *n_columns,
                             struct rf_error *err) {
    struct rf_rows_node root;
    RF_TRY(rf_rows_parse(schema, arena, &root, err));
    struct rf_column *made = rf_arena_take(arena, (size_t)root.n_children * sizeof *made);
    if (!made) return rf_no_memory(err);
    for (int i = 0; i < root.n_children; i++) {
        struct rf_rows_node *node = &root.children[i];
        bool always_null = plain_node(node)->meaning == RF_MEANS_NOTHING;
        made[i] = (struct rf_column){.name = node->name, .typmod = node->typmod, .not_null = node->not_null, .always_null = always_null};
        RF_TRY(name_type(node, arena, &made[i], err));
    }
    *columns = made;
    *n_columns = root.n_children;
    return RF_OK;
}
