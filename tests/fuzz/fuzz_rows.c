/* Any schema with any arrays, broken ones too: what is written is COPY BINARY of as many rows as were told, and JSON inside of it is JSON. */
#include "core/copy_binary.h"
#include "core/rows.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

enum { MOST_COLUMNS = 4, MOST_DEPTH = 4, MOST_MADE = 16384, DATA_BYTES = 24, MOST_BUFFERS = 5 };

static void is_true(bool holds) {
    if (!holds) abort();
}

/* ---- what the bytes say ---- */

struct input {
    const uint8_t *at, *end;
};

static int next_byte(struct input *input) {
    return input->at < input->end ? *input->at++ : 0;
}

static void *taken[MOST_MADE];
static int n_taken;

/* Memory of exactly that size, so that the sanitizer sees a byte read too far; zeros. */
static void *take(size_t n_bytes) {
    is_true(n_taken < MOST_MADE);
    void *made = calloc(1, n_bytes);
    is_true(made || n_bytes == 0);
    return taken[n_taken++] = made;
}

static uint8_t *filled(struct input *input, size_t n_bytes) {
    uint8_t *made = take(n_bytes);
    for (size_t i = 0; i < n_bytes; i++) made[i] = (uint8_t)next_byte(input);
    return made;
}

/* Small numbers most of the time, so that some are right; behind 255 one of any size. */
static int64_t next_number(struct input *input, int width) {
    uint64_t value = (uint64_t)next_byte(input);
    if (value < 255) return (int8_t)value;
    for (int i = 0; i < width; i++) value = value << 8 | (uint64_t)next_byte(input);
    return (int64_t)value;
}

static uint8_t *numbers(struct input *input, int64_t n, int width) {
    uint8_t *made = take((size_t)(n * width));
    for (int64_t i = 0; i < n; i++) {
        int64_t value = next_number(input, width);
        memcpy(made + i * width, &value, (size_t)width);
    }
    return made;
}

/* ---- schemas and arrays made of it ---- */

enum shape { NULLS, FIXED, NUMBERS, BYTES, VIEWS, LIST, LIST_VIEW, LIST_FIXED, STRUCT, MAP, RUNS, DICTIONARY };

static const struct kind { const char *format; enum shape shape; int bits; } KINDS[] = {
    {"n", NULLS, 0}, {"b", FIXED, 1}, {"c", NUMBERS, 8}, {"C", NUMBERS, 8}, {"s", NUMBERS, 16}, {"S", NUMBERS, 16}, {"i", NUMBERS, 32}, {"I", NUMBERS, 32},
    {"l", NUMBERS, 64}, {"L", NUMBERS, 64}, {"e", FIXED, 16}, {"f", FIXED, 32}, {"g", FIXED, 64}, {"d:9,2,32", FIXED, 32}, {"d:18,-3,64", NUMBERS, 64}, {"d:38,7", FIXED, 128},
    {"d:76,80,256", FIXED, 256}, {"u", BYTES, 32}, {"U", BYTES, 64}, {"vu", VIEWS, 128}, {"z", BYTES, 32}, {"Z", BYTES, 64}, {"vz", VIEWS, 128}, {"w:3", FIXED, 24}, {"w:16", FIXED, 128},
    {"w:0", FIXED, 0}, {"tdD", NUMBERS, 32}, {"tdm", NUMBERS, 64}, {"tts", NUMBERS, 32}, {"ttm", NUMBERS, 32}, {"ttu", NUMBERS, 64}, {"ttn", NUMBERS, 64}, {"tss:", NUMBERS, 64},
    {"tsm:", NUMBERS, 64}, {"tsu:UTC", NUMBERS, 64}, {"tsn:", NUMBERS, 64}, {"tDs", NUMBERS, 64}, {"tDn", NUMBERS, 64}, {"tiM", NUMBERS, 32}, {"tiD", FIXED, 64}, {"tin", FIXED, 128},
    {"+l", LIST, 32}, {"+L", LIST, 64}, {"+vl", LIST_VIEW, 32}, {"+vL", LIST_VIEW, 64}, {"+w:2", LIST_FIXED, 0}, {"+s", STRUCT, 0}, {"+m", MAP, 32}, {"+r", RUNS, 0},
    {"c", DICTIONARY, 8}, {"S", DICTIONARY, 16}, {"i", DICTIONARY, 32}, {"L", DICTIONARY, 64}, {"?", NULLS, 0},
};

enum { N_KINDS = sizeof KINDS / sizeof KINDS[0], N_SCALARS = 41 };

static const char *const TYPES[] = {"numeric", "numeric(12,2)", "numeric(50,-2)", "uuid", "jsonb", "json", "bigint", "text[]", "numeric[]", "character varying(3)",
                                    "timestamp(3) without time zone", "time(0) without time zone", "inet", "double precision"};
static const char *const EXTENSIONS[] = {"arrow.json", "arrow.uuid", "arrow.bool8"};

static bool trusts_json; /* no text that says to be JSON lies in what we build */

static char *add_counted(char *to, const char *text) {
    int32_t n = (int32_t)strlen(text);
    memcpy(to, &n, sizeof n);
    memcpy(to + sizeof n, text, (size_t)n);
    return to + sizeof n + n;
}

static const char *make_metadata(struct input *input) {
    int choice = next_byte(input) % 32, n_types = sizeof TYPES / sizeof TYPES[0], n_extensions = sizeof EXTENSIONS / sizeof EXTENSIONS[0];
    if (choice >= n_types + n_extensions) return NULL;
    bool is_type = choice < n_types;
    char *metadata = take(96);
    int32_t one = 1;
    memcpy(metadata, &one, sizeof one);
    add_counted(add_counted(metadata + sizeof one, is_type ? "rowferry.type" : "ARROW:extension:name"), is_type ? TYPES[choice] : EXTENSIONS[choice - n_types]);
    if (choice == n_types) trusts_json = false;
    return metadata;
}

struct made {
    struct ArrowSchema schema;
    struct ArrowArray array;
    const void *buffers[MOST_BUFFERS];
    struct ArrowSchema *schemas[MOST_COLUMNS];
    struct ArrowArray *arrays[MOST_COLUMNS];
};

static struct made *make(struct input *input, const struct kind *kind, const char *name, int depth, int64_t n_needed);

static const struct kind *next_kind(struct input *input, int depth) {
    int choice = next_byte(input) % N_KINDS;
    return &KINDS[depth < MOST_DEPTH ? choice : choice % N_SCALARS];
}

static const struct kind *kind_of(const char *format) {
    int i = 0;
    while (strcmp(KINDS[i].format, format) != 0) i++;
    return &KINDS[i];
}

static void add_child(struct made *made, struct made *child) {
    made->schemas[made->schema.n_children++] = &child->schema;
    made->arrays[made->array.n_children++] = &child->array;
}

static void add_buffer(struct made *made, const void *buffer) {
    made->buffers[made->array.n_buffers++] = buffer;
}

/* The last offset must be one that the bytes have: how many there are is all that a reader has to believe. */
static void add_offsets(struct input *input, struct made *made, int64_t n, int width, int64_t most) {
    uint8_t *offsets = numbers(input, n + 1, width), *last = offsets + n * width;
    int64_t value = next_byte(input) % (most + 1);
    memcpy(last, &value, (size_t)width);
    add_buffer(made, offsets);
}

static void add_views(struct input *input, struct made *made, int64_t n) {
    uint8_t *views = take((size_t)n * 16);
    for (int64_t i = 0; i < n; i++) {
        int32_t length = next_byte(input) % 32 - 1;
        int32_t where[2] = {(int32_t)(next_number(input, 4)), (int32_t)next_number(input, 4)};
        memcpy(views + i * 16, &length, 4);
        memcpy(views + i * 16 + 8, where, sizeof where);
        for (int32_t k = 0; k < length && length <= 12; k++) views[i * 16 + 4 + k] = (uint8_t)next_byte(input);
    }
    int64_t *sizes = take(sizeof *sizes);
    *sizes = DATA_BYTES;
    add_buffer(made, views);
    add_buffer(made, filled(input, DATA_BYTES));
    add_buffer(made, sizes);
}

static void add_children(struct input *input, const struct kind *kind, struct made *made, int depth, int64_t n) {
    static const char *const names[] = {"a", "b", "c", "b"};
    if (kind->shape == STRUCT) {
        for (int i = next_byte(input) % MOST_COLUMNS; i >= 0; i--) add_child(made, make(input, next_kind(input, depth), names[i], depth, n));
    } else if (kind->shape == RUNS) {
        static const char *const ends[] = {"s", "i", "l", "u"};
        add_child(made, make(input, kind_of(ends[next_byte(input) % 4]), "run_ends", depth, 3));
        add_child(made, make(input, next_kind(input, depth), "values", depth, 5));
    } else if (kind->shape == MAP) {
        add_child(made, make(input, kind_of("+s"), "entries", depth, 4));
    } else if (kind->shape == DICTIONARY) {
        struct made *values = make(input, next_kind(input, depth), NULL, depth, 3);
        made->schema.dictionary = &values->schema;
        made->array.dictionary = &values->array;
    } else if (kind->shape == LIST || kind->shape == LIST_VIEW || kind->shape == LIST_FIXED) {
        add_child(made, make(input, next_kind(input, depth), "item", depth, kind->shape == LIST_FIXED ? 2 * n : 4));
    }
}

static void add_values(struct input *input, const struct kind *kind, struct made *made, int64_t n) {
    int width = kind->bits / 8;
    switch (kind->shape) {
    case FIXED: add_buffer(made, filled(input, (size_t)(n * kind->bits + 7) / 8)); break;
    case NUMBERS:
    case DICTIONARY: add_buffer(made, numbers(input, n, width)); break;
    case BYTES:
        add_offsets(input, made, n, width, DATA_BYTES);
        add_buffer(made, filled(input, DATA_BYTES));
        break;
    case VIEWS: add_views(input, made, n); break;
    case LIST:
    case MAP: add_buffer(made, numbers(input, n + 1, width)); break;
    case LIST_VIEW:
        add_buffer(made, numbers(input, n, width));
        add_buffer(made, numbers(input, n, width));
        break;
    default: break;
    }
}

/* Of the shapes that producers have, and now and then of none. */
static struct made *make(struct input *input, const struct kind *kind, const char *name, int depth, int64_t n_needed) {
    struct made *made = take(sizeof *made);
    int how = next_byte(input);
    int64_t offset = how & 3, n = n_needed + (how >> 2 & 1);
    if (n < offset) n = offset;
    made->schema = (struct ArrowSchema){.format = kind->format, .name = name, .metadata = make_metadata(input), .flags = how & 8 ? 0 : ARROW_FLAG_NULLABLE, .children = made->schemas};
    made->array = (struct ArrowArray){.length = n - offset, .offset = offset, .null_count = how & 16 ? 1 : -1, .buffers = made->buffers, .children = made->arrays};
    if (kind->shape != NULLS && kind->shape != RUNS) add_buffer(made, how & 32 ? filled(input, (size_t)(n + 7) / 8) : NULL);
    add_values(input, kind, made, n);
    add_children(input, kind, made, depth + 1, n);
    if (how >= 0xF8) made->array.n_buffers -= made->array.n_buffers > 0;
    if (how >= 0xFC) made->array.n_children -= made->array.n_children > 0;
    if (how == 0xFF) made->array.length = -1;
    return made;
}

/* ---- what was written ---- */

static void check_json(const struct rf_column *column, const struct rf_field *field) {
    if (!field->bytes || strcmp(column->identity, "jsonb") != 0) return;
    is_true(field->n_bytes > 1 && field->bytes[0] == 1);
    const char *end, *text = (const char *)field->bytes + 1;
    size_t n = (size_t)field->n_bytes - 1;
    cJSON *json = cJSON_ParseWithLengthOpts(text, n, &end, false);
    is_true(json != NULL && end == text + n);
    cJSON_Delete(json);
}

static void check_rows(const struct rf_text *out, const struct rf_column *columns, int n_columns, int64_t n_rows, bool has_json_texts) {
    struct rf_copy_reader reader = {.in_rows = true};
    struct rf_field fields[MOST_COLUMNS];
    const uint8_t *at = (const uint8_t *)out->data;
    size_t left = out->length;
    for (; n_rows > 0; n_rows--) {
        is_true(rf_copy_next_row(&reader, &at, &left, fields, n_columns) == RF_COPY_ROW);
        for (int i = 0; i < n_columns && !has_json_texts; i++) check_json(&columns[i], &fields[i]);
    }
    is_true(left == 0);
}

static void write_all(struct rf_rows *rows, const struct ArrowArray *array, size_t n_bytes, struct rf_text *out, int64_t *n_written) {
    struct rf_error err = {0};
    int64_t n_rows = 0;
    enum rf_code code = rf_rows_begin(rows, array, &err);
    is_true(code == RF_OK || code == RF_DATA);
    do {
        n_rows = 0;
        if (code == RF_OK) code = rf_rows_write(rows, n_bytes, out, &n_rows, &err);
        is_true(code == RF_OK || (code == RF_DATA && *err.message));
        *n_written += n_rows;
    } while (code == RF_OK && n_rows > 0);
    if (code == RF_OK) is_true(*n_written == array->length);
}

static bool declares_json(const struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++)
        if (schema->children[i]->metadata) return true;
    return false;
}

static void write_made(const struct made *made, size_t n_bytes) {
    struct rf_arena arena;
    struct rf_column *columns;
    struct rf_rows *rows;
    struct rf_error err = {0};
    struct rf_text out = {0};
    int n_columns;
    int64_t n_rows = 0;
    rf_arena_init(&arena, 16 << 20);
    enum rf_code code = rf_rows_columns(&made->schema, &arena, &columns, &n_columns, &err);
    is_true(rf_rows_new(&made->schema, &rows, &err) == code && (code == RF_OK || code == RF_CONFIG));
    if (code == RF_OK) {
        write_all(rows, &made->array, n_bytes, &out, &n_rows);
        check_rows(&out, columns, n_columns, n_rows, !trusts_json || declares_json(&made->schema));
    }
    rf_rows_free(rows);
    rf_text_free(&out);
    rf_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    struct input input = {data, data + n_bytes};
    trusts_json = true;
    size_t enough = (size_t)next_byte(&input);
    int64_t n_rows = next_byte(&input) % 8;
    write_made(make(&input, kind_of("+s"), NULL, 0, n_rows), enough);
    while (n_taken > 0) free(taken[--n_taken]);
    return 0;
}
