/* Arrow columns as producers hand them over, and the bytes that PostgreSQL receives. */
#include "core/columns.h"
#include "core/copy_binary.h"
#include "core/rows.h"

#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- making columns ---- */

enum { MOST_CHILDREN = 4, MOST_BUFFERS = 5, MOST_COLUMNS = 40 };

/* A field and an array of it. Buffers and children are the test's own. */
struct column {
    struct ArrowSchema schema;
    struct ArrowArray array;
    const void *buffers[MOST_BUFFERS];
    struct ArrowSchema *child_schemas[MOST_CHILDREN];
    struct ArrowArray *child_arrays[MOST_CHILDREN];
    char metadata[256];
};

static struct column made[MOST_COLUMNS];
static int n_made;

#define COLUMN(format, length, ...) make_column((format), (length), (const void *const[]){__VA_ARGS__}, sizeof((const void *const[]){__VA_ARGS__}) / sizeof(void *))

/* `buffers`: the bitmap first. */
static struct column *make_column(const char *format, int64_t length, const void *const *buffers, size_t n_buffers) {
    struct column *column = &made[n_made++ % MOST_COLUMNS];
    memset(column, 0, sizeof *column);
    memcpy(column->buffers, buffers, n_buffers * sizeof *buffers);
    column->schema = (struct ArrowSchema){.format = format, .name = "x", .flags = ARROW_FLAG_NULLABLE, .children = column->child_schemas};
    column->array = (struct ArrowArray){.length = length, .null_count = -1, .n_buffers = (int64_t)n_buffers, .buffers = column->buffers, .children = column->child_arrays};
    return column;
}

static struct column *with_child(struct column *column, struct column *child) {
    column->child_schemas[column->schema.n_children++] = &child->schema;
    column->child_arrays[column->array.n_children++] = &child->array;
    return column;
}

static struct column *with_dictionary(struct column *column, struct column *values) {
    column->schema.dictionary = &values->schema;
    column->array.dictionary = &values->array;
    return column;
}

static struct column *named(struct column *column, const char *name) {
    column->schema.name = name;
    return column;
}

static struct column *slice(struct column *column, int64_t offset, int64_t length) {
    column->array.offset = offset;
    column->array.length = length;
    return column;
}

static char *add_counted(char *to, const char *text) {
    int32_t n = (int32_t)strlen(text);
    memcpy(to, &n, sizeof n);
    memcpy(to + sizeof n, text, (size_t)n);
    return to + sizeof n + n;
}

static struct column *with_metadata(struct column *column, const char *key, const char *value) {
    int32_t n = 2;
    memcpy(column->metadata, &n, sizeof n);
    char *at = add_counted(add_counted(column->metadata + sizeof n, "of the producer"), "its own");
    add_counted(add_counted(at, key), value);
    column->schema.metadata = column->metadata;
    return column;
}

static struct column *declared(struct column *column, const char *type) {
    return with_metadata(column, "rowferry.type", type);
}

static struct column *extension(struct column *column, const char *name) {
    return with_metadata(column, "ARROW:extension:name", name);
}

static struct column *table_of(struct column *column) {
    return with_child(named(COLUMN("+s", column->array.length, NULL), ""), column);
}

/* ---- writing them ---- */

static struct rf_error err;
static bool takes_any;

/* Writes the batch to the end in pieces of n_bytes. */
static enum rf_code write_table(const struct column *table, size_t n_bytes, struct rf_text *out) {
    struct rf_rows *rows;
    int64_t n_rows = 0;
    enum rf_code code = rf_rows_new(&table->schema, &rows, &err);
    if (code != RF_OK) return code;
    if (takes_any) rf_rows_take_any(rows);
    code = rf_rows_begin(rows, &table->array, &err);
    do {
        if (code == RF_OK) code = rf_rows_write(rows, n_bytes, out, &n_rows, &err);
    } while (code == RF_OK && n_rows > 0);
    rf_rows_free(rows);
    if (code == RF_OK) code = rf_text_check(out, &err);
    return code;
}

static size_t from_hex(const char *hex, uint8_t *out) {
    size_t n = 0;
    for (; *hex; hex++) {
        if (*hex == ' ') continue;
        char two[3] = {hex[0], hex[1], '\0'};
        out[n++] = (uint8_t)strtoul(two, NULL, 16);
        hex++;
    }
    return n;
}

static void check_field(const struct rf_field *field, const char *hex, const char *text, int row) {
    uint8_t expected[512];
    const uint8_t *bytes = text ? (const uint8_t *)text : expected;
    int32_t n = hex ? (int32_t)from_hex(hex, expected) : text ? (int32_t)strlen(text) : -1;
    bool same = field->n_bytes == n && (n <= 0 || memcmp(field->bytes, bytes, (size_t)n) == 0);
    if (same) return;
    print_error("row %d: %d bytes where %s%s was expected:", row, (int)field->n_bytes, hex ? hex : "", text ? text : "");
    for (int32_t i = 0; i < field->n_bytes; i++) print_error(text ? "%c" : " %02x", field->bytes[i]);
    print_error("\n");
    fail();
}

#define assert_hex(column, ...) check_fields((column), true, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))
#define assert_text(column, ...) check_fields((column), false, (const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* The column's values, NULL for a NULL. */
static void check_fields(struct column *column, bool hex, const char *const *expected, size_t n) {
    struct rf_text out = {0};
    struct rf_copy_reader reader = {.in_rows = true};
    enum rf_code code = write_table(table_of(column), 1, &out);
    if (code != RF_OK) rf_text_free(&out);
    assert_code(code, RF_OK, &err);
    const uint8_t *at = (const uint8_t *)out.data;
    size_t left = out.length;
    for (size_t i = 0; i < n; i++) {
        struct rf_field field;
        assert_int_equal(rf_copy_next_row(&reader, &at, &left, &field, 1), RF_COPY_ROW);
        check_field(&field, hex ? expected[i] : NULL, hex ? NULL : expected[i], (int)i + 1);
    }
    assert_int_equal(left, 0);
    rf_text_free(&out);
}

static void refuses(struct column *column, enum rf_code expected, const char *why) {
    struct rf_text out = {0};
    enum rf_code code = write_table(table_of(column), 1, &out);
    rf_text_free(&out);
    assert_code(code, expected, &err);
    assert_contains(err.message, why);
}

#define I32(...) ((const int32_t[]){__VA_ARGS__})
#define I64(...) ((const int64_t[]){__VA_ARGS__})
#define U8(...) ((const uint8_t[]){__VA_ARGS__})

/* ---- numbers ---- */

TEST(integers_become_the_smallest_type_that_holds_them_all) {
    assert_hex(COLUMN("c", 3, NULL, ((const int8_t[]){1, -1, -128})), "0001", "ffff", "ff80");
    assert_hex(COLUMN("C", 1, NULL, U8(255)), "00ff");
    assert_hex(COLUMN("s", 1, NULL, ((const int16_t[]){-2})), "fffe");
    assert_hex(COLUMN("S", 1, NULL, ((const uint16_t[]){65535})), "0000ffff");
    assert_hex(COLUMN("i", 2, NULL, I32(INT32_MIN, 7)), "80000000", "00000007");
    assert_hex(COLUMN("I", 1, NULL, ((const uint32_t[]){UINT32_MAX})), "00000000ffffffff");
    assert_hex(COLUMN("l", 1, NULL, I64(INT64_MIN)), "8000000000000000");
    assert_hex(COLUMN("L", 2, NULL, ((const uint64_t[]){UINT64_MAX, 0})), "0005 0004 0000 0000 0734 1a58 02e1 03bb 064f", "0000 0000 0000 0000");
}

TEST(floats_keep_every_bit_and_half_floats_become_floats) {
    assert_hex(COLUMN("f", 2, NULL, ((const float[]){1.5f, -0.0f})), "3fc00000", "80000000");
    assert_hex(COLUMN("g", 1, NULL, ((const double[]){0.1})), "3fb999999999999a");
    assert_hex(COLUMN("g", 1, NULL, ((const uint64_t[]){0x7ff0000000000000})), "7ff0000000000000");
    assert_hex(COLUMN("e", 6, NULL, ((const uint16_t[]){0x3c00, 0xc000, 0x7bff, 0x0001, 0x7c00, 0x8000})), "3f800000", "c0000000", "477fe000", "33800000", "7f800000",
               "80000000");
    assert_hex(declared(COLUMN("f", 1, NULL, ((const float[]){0.5f})), "double precision"), "3fe0000000000000");
}

TEST(booleans_are_bits_at_any_offset) {
    assert_hex(slice(COLUMN("b", 0, U8(0xfb, 0xff), U8(0x80, 0x03)), 1, 3), "00", NULL, "00");
    assert_hex(slice(COLUMN("b", 0, NULL, U8(0x80, 0x01)), 7, 3), "01", "01", "00");
}

TEST(decimals_keep_every_digit_and_their_scale) {
    assert_hex(COLUMN("d:12,2", 4, NULL, I64(123450, 0, -1, -1, 0, 0, 5, 0)), "0002 0000 0000 0002 04d2 1388", "0001 ffff 4000 0002 0064", "0000 0000 0000 0002", "0001 ffff 0000 0002 01f4");
    assert_hex(COLUMN("d:9,0,32", 2, NULL, I32(10000, -999999999)), "0001 0001 0000 0000 0001", "0003 0002 4000 0000 0009 270f 270f");
    assert_hex(COLUMN("d:18,5,64", 1, NULL, I64(123456789)), "0003 0000 0000 0005 04d2 162e 2328");
    assert_hex(COLUMN("d:5,-3", 1, NULL, I64(12345, 0)), "0002 0001 0000 0000 04d2 1388");
    assert_hex(COLUMN("d:5,-4", 1, NULL, I64(-12, -1)), "0001 0001 4000 0000 000c");
    assert_hex(COLUMN("d:3,6", 1, NULL, I64(120, 0)), "0002 ffff 0000 0006 0001 07d0");
}

TEST(decimals_of_all_widths_have_their_ends) {
    uint8_t widest[32], least[32];
    memset(widest, 0, sizeof widest);
    from_hex("ffffffff3f228a097ac4865aa84c3b4b", widest);
    memset(least, 0xff, sizeof least);
    from_hex("01000000c0dd75f6853b79a557b3c4b4", least);
    assert_hex(COLUMN("d:38,0", 1, NULL, widest), "000a 0009 0000 0000 0063 270f 270f 270f 270f 270f 270f 270f 270f 270f");
    assert_hex(COLUMN("d:38,0", 1, NULL, least), "000a 0009 4000 0000 0063 270f 270f 270f 270f 270f 270f 270f 270f 270f");
    assert_hex(COLUMN("d:38,38,256", 1, NULL, widest), "000a ffff 0000 0026 270f 270f 270f 270f 270f 270f 270f 270f 270f 26ac");
    assert_hex(COLUMN("d:76,0,256", 1, NULL, least), "000a 0009 4000 0000 0063 270f 270f 270f 270f 270f 270f 270f 270f 270f");
}

TEST(a_decimal_of_more_digits_than_its_type_is_refused) {
    refuses(COLUMN("d:5,2", 1, NULL, I64(100000, 0)), RF_DATA, "more than the 5 digits");
    refuses(COLUMN("d:5,-2", 1, NULL, I64(-100000, -1)), RF_DATA, "more than the 5 digits");
    assert_hex(COLUMN("d:5,2", 1, NULL, I64(99999, 0)), "0002 0000 0000 0002 03e7 26ac");
}

static struct column *texts(const char *format, const char *all, const int32_t *offsets, int n) {
    return COLUMN(format, n, NULL, offsets, all);
}

TEST(the_text_of_a_number_becomes_a_numeric_where_that_is_declared) {
    static const struct { const char *text, *bytes; } numbers[] = {
        {"NaN", "0000 0000 c000 0000"}, {"Infinity", "0000 0000 d000 0000"}, {"-Infinity", "0000 0000 f000 0000"},
        {"-0.50", "0001 ffff 4000 0002 1388"},
        {"+12345.67800", "0003 0001 0000 0005 0001 0929 1a7c"},
        {"0001.0", "0001 0000 0000 0001 0001"},
        {"-0.0000", "0000 0000 0000 0004"},
        {"100000000.00000001", "0005 0002 0000 0008 0001 0000 0000 0000 0001"},
        {".5", "0001 ffff 0000 0001 1388"},
        {"1.", "0001 0000 0000 0000 0001"},
    };
    for (size_t i = 0; i < N_OF(numbers); i++)
        assert_hex(declared(texts("u", numbers[i].text, I32(0, (int32_t)strlen(numbers[i].text)), 1), "numeric"), numbers[i].bytes);
}

TEST(what_is_no_number_or_too_fine_for_the_declared_numeric_is_refused) {
    static const char *const wrong[] = {"", "-", ".", "1e5", "0x1", " 1", "1 ", "1.2.3", "nan"};
    for (size_t i = 0; i < N_OF(wrong); i++)
        refuses(declared(texts("u", wrong[i], I32(0, (int32_t)strlen(wrong[i])), 1), "numeric"), RF_DATA, "no number");
    refuses(declared(texts("u", "1.2345", I32(0, 6), 1), "numeric(50,3)"), RF_DATA, "more decimal places");
    refuses(declared(texts("u", "1250", I32(0, 4), 1), "numeric(50,-2)"), RF_DATA, "more decimal places");
    assert_hex(declared(texts("u", "1.2340", I32(0, 6), 1), "numeric(50,3)"), "0002 0000 0000 0004 0001 0924");
    assert_hex(declared(texts("u", "1200", I32(0, 4), 1), "numeric(50,-2)"), "0001 0000 0000 0000 04b0");
}

/* ---- texts and bytes ---- */

TEST(texts_of_every_layout_come_out_as_they_are) {
    static const char all[] = "abc\xc3\xa4\xf0\x9f\x98\x80";
    assert_text(slice(COLUMN("u", 0, U8(0xfd), I32(0, 1, 1, 3, 9), all), 0, 4), "a", NULL, "bc", "\xc3\xa4\xf0\x9f\x98\x80");
    assert_text(slice(COLUMN("U", 0, NULL, I64(0, 1, 1, 3, 9), all), 1, 3), "", "bc", "\xc3\xa4\xf0\x9f\x98\x80");
    assert_text(COLUMN("z", 1, NULL, I32(0, 2), "\xff\xfe"), "\xff\xfe");
    assert_text(COLUMN("Z", 1, NULL, I64(0, 2), "\xff\xfe"), "\xff\xfe");
    assert_hex(slice(COLUMN("w:2", 0, NULL, "\x01\x02\x00\x04"), 1, 1), "0004");
    assert_text(COLUMN("u", 2, NULL, I32(0, 0, 0), NULL), "", "");
    assert_text(COLUMN("n", 2, NULL), NULL, NULL);
}

static void set_view(uint8_t *view, int32_t length, int32_t buffer, int32_t offset) {
    memcpy(view, &length, 4);
    memcpy(view + 4, "prefix", 4);
    memcpy(view + 8, &buffer, 4);
    memcpy(view + 12, &offset, 4);
}

TEST(views_are_read_where_they_lie) {
    uint8_t views[48] = {12, 0, 0, 0, 't', 'w', 'e', 'l', 'v', 'e', ' ', 'b', 'y', 't', 'e', 's'};
    static const char first[] = "unused", second[] = "..one of thirteen";
    set_view(views + 16, 15, 1, 2);
    struct column *column = COLUMN("vu", 3, NULL, views, first, second, I64(6, 17));
    assert_text(column, "twelve bytes", "one of thirteen", "");
    assert_text(slice(COLUMN("vz", 0, U8(2), views, first, second, I64(6, 17)), 0, 2), NULL, "one of thirteen");
    assert_text(slice(COLUMN("vu", 0, NULL, views, NULL), 0, 1), "twelve bytes");
}

TEST(a_view_beyond_its_buffers_is_refused) {
    static const int32_t wrong[][3] = {{16, 1, 2}, {15, 2, 0}, {15, -1, 0}, {15, 1, -1}, {-1, 1, 0}, {INT32_MAX, 1, INT32_MAX}};
    for (size_t i = 0; i < N_OF(wrong); i++) {
        uint8_t views[16];
        set_view(views, wrong[i][0], wrong[i][1], wrong[i][2]);
        refuses(COLUMN("vu", 1, NULL, views, "unused", "..one of thirteen", I64(6, 17)), RF_DATA, "view");
    }
}

TEST(a_text_that_postgres_cannot_hold_is_refused) {
    static const char *const wrong[] = {"plain and \xff", "\xc3", "\xc0\x80", "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\x80", "12345678\xc3z"};
    for (size_t i = 0; i < N_OF(wrong); i++)
        refuses(COLUMN("u", 1, NULL, I32(0, (int32_t)strlen(wrong[i])), wrong[i]), RF_DATA, "no UTF-8");
    refuses(COLUMN("u", 1, NULL, I32(0, 9), "12345678\0"), RF_DATA, "U+0000 at byte 8");
    refuses(COLUMN("u", 1, NULL, I32(0, 9), "1\0" "2345678"), RF_DATA, "U+0000 at byte 1");
}

TEST(a_declared_length_is_counted_in_characters) {
    assert_text(declared(COLUMN("u", 1, NULL, I32(0, 4), "\xc3\xa4\xc3\xa4"), "character varying(2)"), "\xc3\xa4\xc3\xa4");
    refuses(declared(COLUMN("u", 1, NULL, I32(0, 3), "ab "), "character varying(2)"), RF_DATA, "longer than the 2 characters");
    refuses(declared(COLUMN("u", 1, NULL, I32(0, 3), "abc"), "character(2)"), RF_DATA, "longer than the 2 characters");
}

TEST(uuids_and_json_have_their_binary_forms) {
    assert_text(extension(COLUMN("w:16", 1, NULL, "0123456789abcdef"), "arrow.uuid"), "0123456789abcdef");
    assert_hex(declared(texts("u", "00112233-4455-6677-8899-AabbccddeEff", I32(0, 36), 1), "uuid"), "00112233445566778899aabbccddeeff");
    refuses(declared(texts("u", "00112233-4455-6677-8899-Aabbccddeefg", I32(0, 36), 1), "uuid"), RF_DATA, "declared uuid");
    refuses(declared(texts("u", "001122334455-6677-8899-Aabbccddeeffa", I32(0, 36), 1), "uuid"), RF_DATA, "declared uuid");
    assert_text(extension(COLUMN("u", 1, NULL, I32(0, 2), "{}"), "arrow.json"), "\x01{}");
    assert_text(declared(COLUMN("u", 1, NULL, I32(0, 2), "{}"), "jsonb"), "\x01{}");
    assert_text(declared(COLUMN("u", 1, NULL, I32(0, 2), "{}"), "json"), "{}");
}

/* ---- times ---- */

TEST(dates_count_from_2000_and_have_infinities) {
    assert_hex(COLUMN("tdD", 5, NULL, I32(0, 10957, INT32_MAX, -INT32_MAX, INT32_MIN)), "ffffd533", "00000000", "7fffffff", "80000000", "80000000");
    assert_hex(COLUMN("tdm", 1, NULL, I64(86400000)), "ffffd534");
    assert_hex(COLUMN("tdD", 2, NULL, I32(-2440588, 2145042905)), "ffda97a7", "7fda970c");
    refuses(COLUMN("tdD", 1, NULL, I32(-2440589)), RF_DATA, "PostgreSQL does not have");
    refuses(COLUMN("tdD", 1, NULL, I32(2145042906)), RF_DATA, "PostgreSQL does not have");
    refuses(COLUMN("tdm", 1, NULL, I64(1)), RF_DATA, "time of day");
    refuses(COLUMN("tdm", 1, NULL, I64(INT64_MAX / 86400000 * 86400000)), RF_DATA, "PostgreSQL does not have");
}

TEST(times_of_day_go_from_0_to_24_hours) {
    assert_hex(COLUMN("tts", 2, NULL, I32(1, 86400)), "00000000000f4240", "000000141dd76000");
    assert_hex(COLUMN("ttm", 1, NULL, I32(1)), "00000000000003e8");
    assert_hex(COLUMN("ttu", 1, NULL, I64(86400000000)), "000000141dd76000");
    assert_hex(COLUMN("ttn", 1, NULL, I64(1000)), "0000000000000001");
    refuses(COLUMN("ttn", 1, NULL, I64(1)), RF_DATA, "nanoseconds");
    refuses(COLUMN("tts", 1, NULL, I32(86401)), RF_DATA, "between 0:00 and 24:00");
    refuses(COLUMN("ttu", 1, NULL, I64(-1)), RF_DATA, "between 0:00 and 24:00");
    refuses(declared(COLUMN("ttu", 1, NULL, I64(1)), "time(5) without time zone"), RF_DATA, "5 decimal places");
}

TEST(timestamps_of_every_unit_are_shifted_to_2000) {
    assert_hex(COLUMN("tss:", 2, NULL, I64(946684801, -1)), "00000000000f4240", "fffca2fec4b8ddc0");
    assert_hex(COLUMN("tsm:", 1, NULL, I64(946684800001)), "00000000000003e8");
    assert_hex(COLUMN("tsu:Europe/Berlin", 1, NULL, I64(946684800000001)), "0000000000000001");
    assert_hex(COLUMN("tsn:", 2, NULL, I64(946684800000001000, -9223372036854775000)), "0000000000000001", "ffdbde631ee4cc09");
    assert_hex(COLUMN("tsu:", 3, NULL, I64(INT64_MAX, -INT64_MAX, INT64_MIN)), "7fffffffffffffff", "8000000000000000", "8000000000000000");
    assert_hex(declared(COLUMN("tsu:", 1, NULL, I64(946684800001000)), "timestamp(3) without time zone"), "00000000000003e8");
}

TEST(a_timestamp_that_postgres_does_not_have_is_refused) {
    refuses(COLUMN("tsn:", 1, NULL, I64(1)), RF_DATA, "nanoseconds");
    refuses(COLUMN("tsu:", 1, NULL, I64(-210866803200000001)), RF_DATA, "PostgreSQL does not have");
    assert_hex(COLUMN("tsu:", 1, NULL, I64(-210866803200000000)), "fd0f7cc1411fa000");
    refuses(COLUMN("tss:", 1, NULL, I64(9224318016000)), RF_DATA, "PostgreSQL does not have");
    assert_hex(COLUMN("tss:", 1, NULL, I64(9224318015999)), "7fffff5bb3a35dc0");
    refuses(COLUMN("tss:", 1, NULL, I64(-INT64_MAX + 1)), RF_DATA, "PostgreSQL does not have");
    refuses(COLUMN("tsm:", 1, NULL, I64(INT64_MAX - 1)), RF_DATA, "PostgreSQL does not have");
    refuses(declared(COLUMN("tsu:", 1, NULL, I64(946684800000001)), "timestamp(3) without time zone"), RF_DATA, "3 decimal places");
}

/* For comparing: such a value must equal none that PostgreSQL sends. */
TEST(what_postgres_does_not_have_is_written_as_something_else_where_any_value_is_taken) {
    takes_any = true;
    assert_hex(COLUMN("u", 1, NULL, I32(0, 2), "a\0"), "6100");
    assert_hex(COLUMN("u", 1, NULL, I32(0, 1), "\xff"), "ff");
    assert_hex(COLUMN("tdD", 4, NULL, I32(-2440588, -2440589, INT32_MAX, -INT32_MAX + 1)), "ffda97a7", "ffda97a6", "7fffffff", "7fffd535");
    assert_hex(COLUMN("tsu:", 3, NULL, I64(-210866803200000000, -210866803200000001, -INT64_MAX + 1)), "fd0f7cc1411fa000", "fd0f7cc1411f9fff", "8000000000000002");
    takes_any = false;
}

TEST(rows_say_what_the_bytes_of_a_column_are) {
    struct rf_rows *rows;
    struct column *list = with_child(COLUMN("+l", 0, NULL, NULL), COLUMN("g", 0, NULL, NULL));
    struct column *table = with_child(with_child(named(COLUMN("+s", 0, NULL), ""), named(list, "a")), named(COLUMN("I", 0, NULL, NULL), "b"));
    assert_code(rf_rows_new(&table->schema, &rows, &err), RF_OK, &err);
    struct rf_form array = rf_rows_form(rows, 0), number = rf_rows_form(rows, 1);
    int width = rf_rows_width(rows);
    rf_rows_free(rows);
    assert_int_equal(width, 2);
    assert_true(array.wire == RF_WIRE_ARRAY && array.element == RF_WIRE_FLOAT8 && number.wire == RF_WIRE_INT8);
}

TEST(durations_and_intervals_keep_months_days_and_microseconds_apart) {
    assert_hex(COLUMN("tDs", 1, NULL, I64(-1)), "fffffffffff0bdc0 00000000 00000000");
    assert_hex(COLUMN("tDn", 1, NULL, I64(2000)), "0000000000000002 00000000 00000000");
    assert_hex(COLUMN("tiM", 1, NULL, I32(14)), "0000000000000000 00000000 0000000e");
    assert_hex(COLUMN("tiD", 1, NULL, I32(3, -4)), "fffffffffffff060 00000003 00000000");
    assert_hex(COLUMN("tin", 1, NULL, I32(1, -2, 3000, 0)), "0000000000000003 fffffffe 00000001");
    refuses(COLUMN("tin", 1, NULL, I32(1, 2, 3, 0)), RF_DATA, "nanoseconds");
    refuses(COLUMN("tDs", 1, NULL, I64(INT64_MAX / 2)), RF_DATA, "PostgreSQL does not have");
}

/* ---- indirections ---- */

TEST(a_dictionary_gives_its_values_whatever_its_indices_are) {
    struct column *colours = COLUMN("u", 3, U8(3), I32(0, 3, 7, 7), "redblue");
    assert_text(with_dictionary(COLUMN("c", 4, U8(0xfb), U8(1, 0, 9, 2)), colours), "blue", "red", NULL, NULL);
    assert_text(with_dictionary(slice(COLUMN("L", 0, NULL, I64(9, 1, 0)), 1, 2), colours), "blue", "red");
    assert_text(with_dictionary(COLUMN("S", 1, NULL, ((const uint16_t[]){1})), slice(COLUMN("U", 0, NULL, I64(0, 3, 7, 8), "redbluex"), 1, 2)), "x");
    assert_text(extension(with_dictionary(COLUMN("i", 1, NULL, I32(0)), COLUMN("u", 1, NULL, I32(0, 1), "1")), "arrow.json"), "\x01" "1");
    refuses(with_dictionary(COLUMN("c", 1, NULL, U8(3)), colours), RF_DATA, "names an entry");
    refuses(with_dictionary(COLUMN("c", 1, NULL, U8(0xff)), colours), RF_DATA, "names an entry");
    refuses(with_dictionary(COLUMN("L", 1, NULL, I64(-1)), colours), RF_DATA, "names an entry");
}

static struct column *runs(struct column *ends, struct column *values, int64_t offset, int64_t length) {
    struct column *column = make_column("+r", length, (const void *const[]){NULL}, 0);
    return with_child(with_child(slice(column, offset, length), ends), values);
}

TEST(runs_give_their_value_for_every_row) {
    struct column *values = COLUMN("i", 3, U8(5), I32(7, 8, 9));
    assert_hex(runs(COLUMN("s", 3, NULL, ((const int16_t[]){2, 3, 5})), values, 0, 5), "00000007", "00000007", NULL, "00000009", "00000009");
    assert_hex(runs(COLUMN("l", 3, NULL, I64(2, 3, 5)), values, 1, 3), "00000007", NULL, "00000009");
    assert_hex(runs(slice(COLUMN("i", 0, NULL, I32(1, 2, 9)), 1, 2), slice(COLUMN("i", 0, NULL, I32(7, 8, 9)), 1, 2), 0, 3), "00000008", "00000008", "00000009");
    refuses(runs(COLUMN("i", 3, NULL, I32(2, 3, 5)), values, 1, 5), RF_DATA, "lies in no run");
    refuses(runs(COLUMN("i", 4, NULL, I32(2, 3, 5, 6)), values, 0, 6), RF_DATA, "fewer values than runs");
}

/* Rows of a list read the runs in any order. */
TEST(runs_are_found_forwards_and_backwards) {
    struct column *ends = COLUMN("i", 5, NULL, I32(1, 2, 3, 4, 5)), *values = COLUMN("s", 5, NULL, ((const int16_t[]){1, 2, 3, 4, 5}));
    struct column *list = with_child(COLUMN("+vl", 3, NULL, I32(4, 0, 1), I32(1, 1, 3)), runs(ends, values, 0, 5));
    assert_hex(list, "00000001 00000000 00000015 00000001 00000001 00000002 0005", "00000001 00000000 00000015 00000001 00000001 00000002 0001",
               "00000001 00000000 00000015 00000003 00000001 00000002 0002 00000002 0003 00000002 0004");
}

/* ---- lists ---- */

#define ONE_TO_TWO "00000001 00000000 00000017 00000002 00000001 00000004 00000001 00000004 00000002"
#define NO_ELEMENT "00000000 00000000 00000017"
#define THREE_AND_NULL "00000001 00000001 00000017 00000002 00000001 00000004 00000003 ffffffff"

static struct column *four(void) {
    static const uint8_t valid[] = {7};
    static const int32_t values[] = {1, 2, 3, 4};
    return COLUMN("i", 4, valid, values);
}

TEST(lists_of_every_layout_become_arrays) {
    assert_hex(with_child(COLUMN("+l", 4, U8(0xb), I32(0, 2, 2, 2, 4)), four()), ONE_TO_TWO, NO_ELEMENT, NULL, THREE_AND_NULL);
    assert_hex(with_child(slice(COLUMN("+L", 0, NULL, I64(0, 2, 2, 4)), 1, 2), four()), NO_ELEMENT, THREE_AND_NULL);
    assert_hex(with_child(slice(COLUMN("+w:2", 0, NULL), 1, 1), four()), THREE_AND_NULL);
    assert_hex(with_child(COLUMN("+vl", 3, NULL, I32(2, 4, 0), I32(2, 0, 2)), four()), THREE_AND_NULL, NO_ELEMENT, ONE_TO_TWO);
    assert_hex(with_child(COLUMN("+vL", 1, NULL, I64(2), I64(2)), four()), THREE_AND_NULL);
    assert_hex(with_child(COLUMN("+l", 1, NULL, I32(0, 2)), slice(COLUMN("i", 0, NULL, I32(9, 1, 2)), 1, 2)), ONE_TO_TWO);
    assert_hex(with_child(COLUMN("+l", 1, NULL, I32(0, 1)), extension(COLUMN("u", 1, NULL, I32(0, 1), "1"), "arrow.json")), "00000001 00000000 00000eda 00000001 00000001 00000002 0131");
    assert_hex(with_child(COLUMN("+l", 1, NULL, I32(0, 1)), COLUMN("n", 1, NULL)), "00000001 00000001 00000019 00000001 00000001 ffffffff");
}

TEST(a_list_beyond_its_elements_is_refused) {
    refuses(with_child(COLUMN("+vL", 1, NULL, I64(3), I64(INT64_MAX)), four()), RF_DATA, "broken offsets");
    refuses(with_child(COLUMN("+l", 1, NULL, I32(0, 5)), four()), RF_DATA, "broken offsets");
    refuses(with_child(COLUMN("+l", 1, NULL, I32(-1, 2)), four()), RF_DATA, "broken offsets");
    refuses(with_child(COLUMN("+l", 1, NULL, I32(3, 2)), four()), RF_DATA, "broken offsets");
    refuses(with_child(COLUMN("+L", 1, NULL, I64(0, INT64_MAX)), four()), RF_DATA, "broken offsets");
    refuses(with_child(COLUMN("+vl", 1, NULL, I32(3), I32(2)), four()), RF_DATA, "broken offsets");
    refuses(with_child(COLUMN("+vl", 1, NULL, I32(3), I32(-1)), four()), RF_DATA, "broken offsets");
    refuses(with_child(COLUMN("+w:3", 2, NULL), four()), RF_DATA, "fewer elements");
}

TEST(offsets_out_of_order_are_refused) {
    refuses(COLUMN("u", 2, NULL, I32(0, 3, 2), "abc"), RF_DATA, "broken offsets");
    refuses(COLUMN("u", 1, NULL, I32(-1, 3), "abc"), RF_DATA, "broken offsets");
    refuses(COLUMN("U", 3, NULL, I64(0, INT64_MAX, 2, 3), "abc"), RF_DATA, "broken offsets");
}

/* ---- JSON ---- */

static struct column *json_of(struct column *value) {
    return with_child(COLUMN("+s", value->array.length, NULL), named(value, "v"));
}

TEST(a_struct_becomes_an_object_that_keeps_every_value) {
    assert_text(json_of(COLUMN("l", 2, U8(1), I64(INT64_MIN, 1))), "\x01{\"v\":-9223372036854775808}", "\x01{\"v\":null}");
    assert_text(json_of(COLUMN("L", 1, NULL, I64(-1))), "\x01{\"v\":18446744073709551615}");
    assert_text(json_of(COLUMN("b", 2, NULL, U8(1))), "\x01{\"v\":true}", "\x01{\"v\":false}");
    assert_text(json_of(COLUMN("d:12,2", 3, NULL, I64(-1250, -1, 0, 0, 7, 0))), "\x01{\"v\":-12.50}", "\x01{\"v\":0.00}", "\x01{\"v\":0.07}");
    assert_text(json_of(COLUMN("d:9,-3", 1, NULL, I64(123456, 0))), "\x01{\"v\":123456000}");
    assert_text(json_of(COLUMN("d:9,9", 1, NULL, I64(123456, 0))), "\x01{\"v\":0.000123456}");
    assert_text(json_of(COLUMN("u", 1, NULL, I32(0, 8), "\"\\\n\x1f\xc3\xa4/.")), "\x01{\"v\":\"\\\"\\\\\\u000a\\u001f\xc3\xa4/.\"}");
    assert_text(json_of(extension(COLUMN("w:16", 1, NULL, "0123456789abcdef"), "arrow.uuid")), "\x01{\"v\":\"30313233-3435-3637-3839-616263646566\"}");
    assert_text(json_of(COLUMN("n", 1, NULL)), "\x01{\"v\":null}");
    assert_text(declared(json_of(COLUMN("n", 1, NULL)), "json"), "{\"v\":null}");
}

TEST(floats_in_json_have_as_many_digits_as_they_need) {
    assert_text(json_of(COLUMN("g", 5, NULL, ((const double[]){0.1, 1.0 / 3, 1e300, -2, 5e-324}))), "\x01{\"v\":0.1}", "\x01{\"v\":0.3333333333333333}", "\x01{\"v\":1e+300}",
                "\x01{\"v\":-2}", "\x01{\"v\":5e-324}");
    assert_text(json_of(COLUMN("f", 2, NULL, ((const float[]){0.1f, 16777216.0f}))), "\x01{\"v\":0.1}", "\x01{\"v\":1.6777216e+07}");
    refuses(json_of(COLUMN("e", 1, NULL, ((const uint16_t[]){0x7c00}))), RF_DATA, "which JSON does not have");
    refuses(json_of(COLUMN("g", 1, NULL, ((const uint64_t[]){0x7ff8000000000000}))), RF_DATA, "which JSON does not have");
}

TEST(times_in_json_are_those_that_postgres_prints) {
    assert_text(json_of(COLUMN("tdD", 6, NULL, I32(0, 19782, 19783, -719162, -719163, INT32_MAX))), "\x01{\"v\":\"1970-01-01\"}", "\x01{\"v\":\"2024-02-29\"}", "\x01{\"v\":\"2024-03-01\"}",
                "\x01{\"v\":\"0001-01-01\"}", "\x01{\"v\":\"0001-12-31 BC\"}", "\x01{\"v\":\"infinity\"}");
    assert_text(json_of(COLUMN("tdD", 1, NULL, I32(-2440588))), "\x01{\"v\":\"4714-11-24 BC\"}");
    assert_text(json_of(COLUMN("tsu:UTC", 2, NULL, I64(-1, 0))), "\x01{\"v\":\"1969-12-31T23:59:59.999999+00:00\"}", "\x01{\"v\":\"1970-01-01T00:00:00+00:00\"}");
    assert_text(json_of(COLUMN("tsm:", 1, NULL, I64(1500))), "\x01{\"v\":\"1970-01-01T00:00:01.5\"}");
    assert_text(json_of(COLUMN("tts", 1, NULL, I32(86400))), "\x01{\"v\":\"24:00:00\"}");
    assert_text(json_of(COLUMN("tin", 1, NULL, I32(1, -2, -500000000, -1))), "\x01{\"v\":\"P1M-2DT-0.5S\"}");
    refuses(json_of(COLUMN("tsn:", 1, NULL, I64(1))), RF_DATA, "nanoseconds");
}

TEST(json_inside_of_json_stays_what_it_is_and_where_it_is) {
    assert_text(json_of(extension(COLUMN("u", 1, NULL, I32(0, 13), "{\"a\":[1,\"}\"]}"), "arrow.json")), "\x01{\"v\":{\"a\":[1,\"}\"]}}");
}

TEST(json_that_would_leave_its_place_is_refused) {
    static const char *const wrong[] = {"1,\"w\":2", "}", "]", "{", " ", "", "\"", "1:2", "}{", "\"\\\""};
    for (size_t i = 0; i < N_OF(wrong); i++)
        refuses(json_of(extension(COLUMN("u", 1, NULL, I32(0, (int32_t)strlen(wrong[i])), wrong[i]), "arrow.json")), RF_DATA, "no JSON");
}

static struct column *map_of(struct column *keys, struct column *values, const int32_t *offsets) {
    struct column *entries = with_child(with_child(COLUMN("+s", keys->array.length, NULL), named(keys, "key")), named(values, "value"));
    return with_child(COLUMN("+m", 1, NULL, offsets), entries);
}

TEST(a_map_becomes_an_object_of_its_keys) {
    assert_text(map_of(COLUMN("u", 0, NULL, NULL, NULL), COLUMN("i", 0, NULL, NULL), I32(0, 0)), "\x01{}");
    assert_text(map_of(COLUMN("u", 2, NULL, I32(0, 1, 3), "abb"), COLUMN("i", 2, U8(1), I32(1, 2)), I32(0, 2)), "\x01{\"a\":1,\"bb\":null}");
    assert_text(map_of(COLUMN("i", 2, NULL, I32(-1, 2)), COLUMN("i", 2, NULL, I32(1, 2)), I32(0, 2)), "\x01{\"-1\":1,\"2\":2}");
    assert_text(map_of(COLUMN("tdD", 1, NULL, I32(0)), COLUMN("i", 1, NULL, I32(1)), I32(0, 1)), "\x01{\"1970-01-01\":1}");
    refuses(map_of(COLUMN("i", 2, NULL, I32(2, 2)), COLUMN("i", 2, NULL, I32(1, 2)), I32(0, 2)), RF_DATA, "a key twice");
    refuses(map_of(COLUMN("i", 1, U8(0), I32(2)), COLUMN("i", 1, NULL, I32(1)), I32(0, 1)), RF_DATA, "a key that is NULL");
}

TEST(lists_of_lists_and_of_structs_become_json) {
    struct column *inner = with_child(COLUMN("+l", 2, U8(1), I32(0, 2, 2)), four());
    assert_text(with_child(COLUMN("+l", 2, NULL, I32(0, 2, 2)), inner), "\x01[[1,2],null]", "\x01[]");
    assert_text(with_child(COLUMN("+l", 1, NULL, I32(2, 4)), with_child(COLUMN("+s", 4, U8(4), NULL), named(four(), "v"))), "\x01[{\"v\":3},null]");
    assert_text(slice(with_child(COLUMN("+s", 0, NULL), named(four(), "v")), 2, 1), "\x01{\"v\":3}");
}

/* ---- types ---- */

static void has_type(struct column *column, const char *type, const char *base, int32_t typmod) {
    struct rf_arena arena;
    struct rf_column *columns;
    int n_columns;
    rf_arena_init(&arena, 1 << 20);
    enum rf_code code = rf_rows_columns(&table_of(column)->schema, &arena, &columns, &n_columns, &err);
    bool good = code == RF_OK && n_columns == 1 && strcmp(columns->type, type) == 0 && strcmp(columns->base, base) == 0 && strcmp(columns->identity, base) == 0 &&
                columns->typmod == typmod && strcmp(columns->name, "x") == 0 && !columns->not_null;
    if (code == RF_OK && !good) print_error("%s, %s, %d where %s, %s, %d was expected\n", columns->type, columns->identity, (int)columns->typmod, type, base, (int)typmod);
    rf_arena_free(&arena);
    assert_code(code, RF_OK, &err);
    assert_true(good);
}

static struct column *of(const char *format) {
    return COLUMN(format, 0, NULL, NULL, NULL);
}

TEST(every_arrow_type_has_a_type_of_postgres) {
    static const struct { const char *format, *type, *base; int32_t typmod; } types[] = {
        {"b", "boolean", "bool", -1}, {"c", "smallint", "int2", -1}, {"C", "smallint", "int2", -1}, {"s", "smallint", "int2", -1}, {"S", "integer", "int4", -1},
        {"i", "integer", "int4", -1}, {"I", "bigint", "int8", -1}, {"l", "bigint", "int8", -1}, {"L", "numeric(20,0)", "numeric", (20 << 16) + 4},
        {"e", "real", "float4", -1}, {"f", "real", "float4", -1}, {"g", "double precision", "float8", -1}, {"d:12,2", "numeric(12,2)", "numeric", (12 << 16 | 2) + 4},
        {"d:9,-3,32", "numeric(12,0)", "numeric", (12 << 16) + 4}, {"d:3,6,256", "numeric(6,6)", "numeric", (6 << 16 | 6) + 4}, {"u", "text", "text", -1}, {"U", "text", "text", -1},
        {"vu", "text", "text", -1}, {"z", "bytea", "bytea", -1}, {"Z", "bytea", "bytea", -1}, {"vz", "bytea", "bytea", -1}, {"w:3", "bytea", "bytea", -1}, {"w:16", "bytea", "bytea", -1},
        {"tdD", "date", "date", -1}, {"tdm", "date", "date", -1}, {"ttm", "time without time zone", "time", -1}, {"ttn", "time without time zone", "time", -1},
        {"tsn:", "timestamp without time zone", "timestamp", -1}, {"tsu:+02:00", "timestamp with time zone", "timestamptz", -1}, {"tDm", "interval", "interval", -1},
        {"tiM", "interval", "interval", -1}, {"tiD", "interval", "interval", -1}, {"tin", "interval", "interval", -1}, {"n", "text", "text", -1},
    };
    for (size_t i = 0; i < N_OF(types); i++) {
        has_type(of(types[i].format), types[i].type, types[i].base, types[i].typmod);
        char array[48], base[24];
        snprintf(array, sizeof array, "%s[]", types[i].type);
        snprintf(base, sizeof base, "_%s", types[i].base);
        has_type(with_child(of("+l"), of(types[i].format)), array, base, types[i].typmod);
        has_type(with_dictionary(of("i"), of(types[i].format)), types[i].type, types[i].base, types[i].typmod);
    }
    has_type(with_child(of("+s"), of("u")), "jsonb", "jsonb", -1);
    has_type(with_child(of("+l"), with_child(of("+l"), of("u"))), "jsonb", "jsonb", -1);
    has_type(extension(of("vu"), "arrow.json"), "jsonb", "jsonb", -1);
    has_type(extension(of("w:16"), "arrow.uuid"), "uuid", "uuid", -1);
    has_type(extension(of("w:15"), "arrow.uuid"), "bytea", "bytea", -1);
    has_type(with_child(of("+L"), extension(of("w:16"), "arrow.uuid")), "uuid[]", "_uuid", -1);
}

TEST(a_declared_type_is_taken_where_the_values_fit_it) {
    static const struct { const char *format, *declared, *type, *base; int32_t typmod; } types[] = {
        {"i", "bigint", "bigint", "int8", -1}, {"l", "integer", "bigint", "int8", -1}, {"I", "integer", "bigint", "int8", -1}, {"S", "bigint", "bigint", "int8", -1},
        {"L", "numeric(30,2)", "numeric(30,2)", "numeric", (30 << 16 | 2) + 4}, {"L", "numeric(20,2)", "numeric(20,0)", "numeric", (20 << 16) + 4},
        {"d:12,2", "numeric(14,3)", "numeric(14,3)", "numeric", (14 << 16 | 3) + 4}, {"d:12,2", "numeric(12,3)", "numeric(12,2)", "numeric", (12 << 16 | 2) + 4},
        {"d:12,2", "numeric(20,1)", "numeric(12,2)", "numeric", (12 << 16 | 2) + 4}, {"d:12,2", "numeric", "numeric", "numeric", -1},
        {"d:12,2", "numeric(20,-2)", "numeric(12,2)", "numeric", (12 << 16 | 2) + 4}, {"u", "numeric(40,-2)", "numeric(40,-2)", "numeric", (40 << 16 | 0x7fe) + 4},
        {"f", "double precision", "double precision", "float8", -1}, {"g", "real", "double precision", "float8", -1}, {"U", "character varying(20)", "character varying(20)", "varchar", 24},
        {"u", "character varying", "character varying", "varchar", -1}, {"u", "character(5)", "character(5)", "bpchar", 9}, {"u", "character", "text", "text", -1}, {"u", "bpchar", "bpchar", "bpchar", -1},
        {"u", "name", "name", "name", -1}, {"u", "inet", "text", "text", -1}, {"u", "text[]", "text", "text", -1}, {"u", "text; DROP TABLE x", "text", "text", -1}, {"u", "uuid", "uuid", "uuid", -1},
        {"w:16", "uuid", "uuid", "uuid", -1}, {"z", "uuid", "bytea", "bytea", -1}, {"u", "jsonb", "jsonb", "jsonb", -1}, {"vu", "json", "json", "json", -1}, {"u", "bytea", "text", "text", -1},
        {"tsu:UTC", "timestamp(3) with time zone", "timestamp(3) with time zone", "timestamptz", 3}, {"tsu:", "timestamp with time zone", "timestamp without time zone", "timestamp", -1},
        {"tsu:", "timestamp(7) without time zone", "timestamp without time zone", "timestamp", -1}, {"ttu", "time(0) without time zone", "time(0) without time zone", "time", 0},
        {"u", "character varying(99999999999999999999)", "text", "text", -1}, {"u", "numeric(99999999999,2)", "text", "text", -1}, {"n", "integer", "integer", "int4", -1},
        {"u", "interval", "text", "text", -1}, {"tin", "interval", "interval", "interval", -1}, {"u", "numeric(12)", "text", "text", -1}, {"i", "date", "integer", "int4", -1},
    };
    for (size_t i = 0; i < N_OF(types); i++) has_type(declared(of(types[i].format), types[i].declared), types[i].type, types[i].base, types[i].typmod);
    has_type(declared(with_child(of("+l"), of("u")), "character varying(3)[]"), "character varying(3)[]", "_varchar", 7);
    has_type(declared(with_child(of("+l"), of("u")), "numeric[]"), "numeric[]", "_numeric", -1);
    has_type(declared(with_child(of("+l"), of("u")), "integer[]"), "text[]", "_text", -1);
    has_type(declared(with_child(of("+l"), of("u")), "jsonb"), "jsonb", "jsonb", -1);
    has_type(declared(with_child(of("+s"), of("u")), "json"), "json", "json", -1);
    has_type(declared(with_child(of("+s"), of("u")), "text"), "jsonb", "jsonb", -1);
}

static void misfits(struct column *column, const char *why) {
    refuses(column, RF_CONFIG, why);
}

TEST(what_has_no_type_of_postgres_is_refused_by_name) {
    static const char *const formats[] = {"", "x", "ii", "+ud:0,1", "+us:0,1", "d:", "d:12", "d:0,0", "d:77,0,256", "d:12,2,100", "d:12,2x", "w:", "w:-1", "w:99999999999", "ts", "tsu", "tdx"};
    for (size_t i = 0; i < N_OF(formats); i++) misfits(of(formats[i]), "column \"x\" has the Arrow format");
    misfits(with_dictionary(of("u"), of("u")), "column \"x\" has the Arrow format");
    misfits(with_child(of("+l"), named(of("+ud:0"), "item")), "column \"x\" has the Arrow format");
    misfits(of(NULL), "column \"x\" has the Arrow format");
    misfits(of("+l"), "with 0 children");
    misfits(with_child(of("i"), of("i")), "with 1 children");
    misfits(with_child(of("+m"), of("u")), "\"+m\"");
    misfits(with_child(with_child(of("+r"), of("u")), of("u")), "\"+r\"");
    misfits(with_child(of("+s"), of("z")), "JSON has none");
    misfits(with_child(of("+l"), with_child(of("+l"), with_dictionary(of("i"), of("z")))), "JSON has none");
    misfits(map_of(extension(of("u"), "arrow.json"), of("u"), NULL), "whose keys");
    misfits(with_child(with_child(of("+s"), of("u")), of("u")), "two fields with the name \"x\"");
    misfits(named(of("i"), ""), "has no name");
    misfits(named(of("i"), NULL), "has no name");
    misfits(named(of("i"), "\xff"), "no UTF-8");
    misfits(named(of("i"), "0123456789012345678901234567890123456789012345678901234567890123"), "longer than");
}

TEST(a_schema_without_an_end_is_refused) {
    struct column *list = of("+l");
    misfits(with_child(list, list), "fields deep");
}

TEST(a_field_that_is_never_null_says_so_and_is_held_to_it) {
    struct column *column = COLUMN("i", 1, U8(0), I32(1));
    column->schema.flags = 0;
    refuses(column, RF_DATA, "column \"x\" of row 1 is NULL");
    struct rf_arena arena;
    struct rf_column *columns;
    int n_columns;
    rf_arena_init(&arena, 1 << 20);
    enum rf_code code = rf_rows_columns(&table_of(column)->schema, &arena, &columns, &n_columns, &err);
    bool not_null = code == RF_OK && columns->not_null;
    rf_arena_free(&arena);
    assert_code(code, RF_OK, &err);
    assert_true(not_null);
}

/* ---- arrays that are not of their schema ---- */

TEST(an_array_that_is_not_of_its_schema_is_refused_before_a_row_is_read) {
    struct column *column = COLUMN("i", 1, NULL, I32(1));
    column->array.n_buffers = 1;
    refuses(column, RF_DATA, "buffers are missing");
    refuses(COLUMN("i", 1, NULL, NULL), RF_DATA, "a buffer is missing");
    refuses(COLUMN("u", 1, NULL, I32(0, 1), NULL), RF_DATA, "a buffer is missing");
    refuses(slice(COLUMN("i", 0, NULL, I32(1)), -1, 1), RF_DATA, "cannot be");
    refuses(slice(COLUMN("i", 0, NULL, I32(1)), INT64_MAX, 1), RF_DATA, "cannot be");
    column = COLUMN("i", 1, NULL, I32(1));
    column->array.null_count = 1;
    refuses(column, RF_DATA, "no bitmap");
    column = with_child(COLUMN("+l", 1, NULL, I32(0, 1)), four());
    column->array.n_children = 0;
    refuses(column, RF_DATA, "number of children");
    refuses(with_child(COLUMN("+l", 1, NULL, I32(0, 1)), named(COLUMN("i", 1, NULL, NULL), "item")), RF_DATA, "the Arrow array of \"x\"");
    column = with_dictionary(COLUMN("i", 1, NULL, I32(0)), four());
    column->array.dictionary = NULL;
    refuses(column, RF_DATA, "dictionary is missing");
    column = with_child(COLUMN("+s", 5, NULL), four());
    refuses(column, RF_DATA, "shorter than the struct");
}

TEST(a_row_that_is_null_as_a_whole_is_refused) {
    struct rf_text out = {0};
    struct column *table = table_of(four());
    table->buffers[0] = U8(0xd);
    enum rf_code code = write_table(table, 1 << 20, &out);
    rf_text_free(&out);
    assert_code(code, RF_DATA, &err);
    assert_contains(err.message, "row 2 is NULL");
}

/* ---- streams ---- */

TEST(rows_are_counted_over_all_batches_and_those_before_a_bad_one_are_written) {
    struct column *good = table_of(COLUMN("u", 2, NULL, I32(0, 1, 2), "ab")), *bad = table_of(COLUMN("u", 2, NULL, I32(0, 1, 2), "a\xff"));
    struct rf_rows *rows;
    struct rf_text out = {0};
    int64_t n_rows = 0;
    enum rf_code code = rf_rows_new(&good->schema, &rows, &err), last = code;
    if (code == RF_OK) code = rf_rows_begin(rows, &good->array, &err);
    if (code == RF_OK) code = rf_rows_write(rows, 1 << 20, &out, &n_rows, &err);
    if (code == RF_OK) code = rf_rows_begin(rows, &bad->array, &err);
    if (code == RF_OK) last = rf_rows_write(rows, 1 << 20, &out, &n_rows, &err);
    size_t length = out.length;
    rf_text_free(&out);
    rf_rows_free(rows);
    assert_code(code, RF_OK, &err);
    assert_code(last, RF_DATA, &err);
    assert_contains(err.message, "column \"x\" of row 4 is no UTF-8");
    assert_int_equal(n_rows, 1);
    assert_int_equal(length, 3 * 7);
}

TEST(writing_stops_when_enough_is_written_and_goes_on_there) {
    struct column *table = table_of(COLUMN("i", 3, NULL, I32(1, 2, 3)));
    struct rf_rows *rows;
    struct rf_text out = {0};
    int64_t counts[4] = {-1, -1, -1, -1};
    enum rf_code code = rf_rows_new(&table->schema, &rows, &err);
    if (code == RF_OK) code = rf_rows_begin(rows, &table->array, &err);
    size_t enough[] = {11, 0, 100, 100};
    for (size_t i = 0; i < N_OF(counts) && code == RF_OK; i++) code = rf_rows_write(rows, enough[i], &out, &counts[i], &err);
    size_t length = out.length;
    rf_text_free(&out);
    rf_rows_free(rows);
    assert_code(code, RF_OK, &err);
    assert_int_equal(length, 30);
    assert_int_equal(counts[0], 2);
    assert_int_equal(counts[1], 1);
    assert_int_equal(counts[2], 0);
    assert_int_equal(counts[3], 0);
}

TEST(a_stream_that_is_no_struct_has_no_columns) {
    struct rf_rows *rows;
    assert_code(rf_rows_new(&of("i")->schema, &rows, &err), RF_CONFIG, &err);
    assert_null(rows);
    assert_contains(err.message, "no columns");
}

/* ---- there and back ---- */

/* A value in its binary form, the type that it has at a source, and the same as DDL. */
static const struct sample { const char *identity; int32_t typmod; const char *declared, *hex; } SAMPLES[] = {
    {"bool", -1, "boolean", "01"},
    {"int2", -1, "smallint", "8000"},
    {"int4", -1, "integer", "7fffffff"},
    {"int8", -1, "bigint", "8000000000000000"},
    {"float4", -1, "real", "7fc00000"},
    {"float8", -1, "double precision", "8000000000000000"},
    {"numeric", (12 << 16 | 2) + 4, "numeric(12,2)", "0003 0001 4000 0002 0001 0002 0064"},
    {"numeric", (38 << 16 | 38) + 4, "numeric(38,38)", "0001 fff7 0000 0026 0064"},
    {"numeric", (5 << 16) + 4, "numeric(5,0)", "0000 0000 0000 0000"},
    {"text", -1, "text", "c3a4"},
    {"varchar", 24, "character varying(20)", "61"},
    {"bpchar", 9, "character(5)", "6120202020"},
    {"name", -1, "name", "61"},
    {"bytea", -1, "bytea", "00ff"},
    {"uuid", -1, "uuid", "00112233445566778899aabbccddeeff"},
    {"json", -1, "json", "7b207d"},
    {"jsonb", -1, "jsonb", "015b315d"},
    {"date", -1, "date", "ffda97a7"},
    {"date", -1, "date", "7fffffff"},
    {"date", -1, "date", "80000000"},
    {"time", -1, "time without time zone", "000000141dd76000"},
    {"time", 3, "time(3) without time zone", "00000000000003e8"},
    {"timestamp", -1, "timestamp without time zone", "fd0f7cc1411fa000"},
    {"timestamp", -1, "timestamp without time zone", "7fffffffffffffff"},
    {"timestamptz", 0, "timestamp(0) with time zone", "8000000000000000"},
    {"timestamptz", -1, "timestamp with time zone", "ffffffffffffffff"},
    {"interval", -1, "interval", "fffffffffffffffe 00000003 fffffffb"},
    {"_int4", -1, "integer[]", "00000001 00000001 00000017 00000002 00000001 ffffffff 00000004 00000007"},
    {"_bool", -1, "boolean[]", "00000001 00000000 00000010 00000002 00000001 00000001 01 00000001 00"},
    {"_text", -1, "text[]", "00000000 00000000 00000019"},
    {"_varchar", 7, "character varying(3)[]", "00000001 00000000 00000413 00000001 00000001 00000000"},
    {"_numeric", (12 << 16 | 2) + 4, "numeric(12,2)[]", "00000001 00000000 000006a4 00000001 00000001 0000000a 0001 ffff 4000 0002 1388"},
    {"_uuid", -1, "uuid[]", "00000001 00000000 00000b86 00000001 00000001 00000010 00112233445566778899aabbccddeeff"},
    {"_jsonb", -1, "jsonb[]", "00000001 00000000 00000eda 00000001 00000001 00000002 0131"},
    {"_timestamptz", -1, "timestamp with time zone[]", "00000001 00000000 000004a0 00000001 00000001 00000008 7fffffffffffffff"},
    {"_interval", -1, "interval[]", "00000001 00000000 000004a2 00000001 00000001 00000010 0000000000000001 00000002 00000003"},
};

/* Into a column, with a NULL before and behind it. */
static enum rf_code read_sample(const struct rf_columns_field *field, const struct rf_field *value, struct ArrowSchema *schema, struct ArrowArray *array) {
    struct rf_columns *columns;
    struct rf_field null = {.n_bytes = -1};
    enum rf_code code = rf_columns_new(field, 1, &columns, &err);
    if (code != RF_OK) return code;
    if (code == RF_OK) code = rf_columns_append(columns, &null, &err);
    if (code == RF_OK) code = rf_columns_append(columns, value, &err);
    if (code == RF_OK) code = rf_columns_append(columns, &null, &err);
    if (code == RF_OK) code = rf_columns_schema(field, 1, schema, &err);
    if (code == RF_OK) code = rf_columns_take(columns, array, &err);
    rf_columns_free(columns);
    return code;
}

/* The column of a target for what was read, and its rows. */
static enum rf_code write_sample(const struct ArrowSchema *schema, const struct ArrowArray *array, struct rf_arena *arena, struct rf_column *column, struct rf_text *out) {
    struct column table = {.schema = *schema, .array = *array};
    struct rf_column *columns;
    int n_columns;
    enum rf_code code = rf_rows_columns(schema, arena, &columns, &n_columns, &err);
    if (code == RF_OK) *column = *columns;
    return code == RF_OK ? write_table(&table, 1 << 20, out) : code;
}

static void comes_back(const struct sample *sample, struct rf_arena *arena) {
    uint8_t bytes[128], expected[160] = "\0\1\xff\xff\xff\xff\0\1";
    struct rf_field value = {.bytes = bytes, .n_bytes = (int32_t)from_hex(sample->hex, bytes)};
    struct rf_columns_field field = {.name = "x", .declared = sample->declared};
    struct ArrowSchema schema = {0};
    struct ArrowArray array = {0};
    struct rf_column column = {0};
    struct rf_text out = {0};
    enum rf_code code = rf_type_resolve(sample->identity, sample->typmod, false, arena, &field.type, &err);
    if (code == RF_OK) code = read_sample(&field, &value, &schema, &array);
    if (code == RF_OK) code = write_sample(&schema, &array, arena, &column, &out);
    if (array.release) array.release(&array);
    if (schema.release) schema.release(&schema);
    size_t n = (size_t)value.n_bytes;
    expected[11] = (uint8_t)n;
    memcpy(expected + 12, bytes, n);
    memcpy(expected + 12 + n, expected, 6);
    bool same = code == RF_OK && out.length == n + 18 && memcmp(out.data, expected, n + 18) == 0;
    rf_text_free(&out);
    assert_code(code, RF_OK, &err);
    if (!same) print_error("%s %s comes back otherwise\n", sample->declared, sample->hex);
    assert_true(same);
    assert_string_equal(column.type, sample->declared);
    assert_string_equal(column.identity, sample->identity);
    assert_int_equal(column.typmod, sample->typmod);
}

TEST(what_was_read_into_columns_is_written_with_the_same_bytes_and_types) {
    struct rf_arena arena;
    rf_arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < N_OF(SAMPLES); i++) comes_back(&SAMPLES[i], &arena);
    rf_arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_become_the_smallest_type_that_holds_them_all),
        cmocka_unit_test(floats_keep_every_bit_and_half_floats_become_floats),
        cmocka_unit_test(booleans_are_bits_at_any_offset),
        cmocka_unit_test(decimals_keep_every_digit_and_their_scale),
        cmocka_unit_test(decimals_of_all_widths_have_their_ends),
        cmocka_unit_test(a_decimal_of_more_digits_than_its_type_is_refused),
        cmocka_unit_test(the_text_of_a_number_becomes_a_numeric_where_that_is_declared),
        cmocka_unit_test(what_is_no_number_or_too_fine_for_the_declared_numeric_is_refused),
        cmocka_unit_test(texts_of_every_layout_come_out_as_they_are),
        cmocka_unit_test(views_are_read_where_they_lie),
        cmocka_unit_test(a_view_beyond_its_buffers_is_refused),
        cmocka_unit_test(a_text_that_postgres_cannot_hold_is_refused),
        cmocka_unit_test(a_declared_length_is_counted_in_characters),
        cmocka_unit_test(uuids_and_json_have_their_binary_forms),
        cmocka_unit_test(dates_count_from_2000_and_have_infinities),
        cmocka_unit_test(times_of_day_go_from_0_to_24_hours),
        cmocka_unit_test(what_postgres_does_not_have_is_written_as_something_else_where_any_value_is_taken),
        cmocka_unit_test(rows_say_what_the_bytes_of_a_column_are),
        cmocka_unit_test(timestamps_of_every_unit_are_shifted_to_2000),
        cmocka_unit_test(a_timestamp_that_postgres_does_not_have_is_refused),
        cmocka_unit_test(durations_and_intervals_keep_months_days_and_microseconds_apart),
        cmocka_unit_test(a_dictionary_gives_its_values_whatever_its_indices_are),
        cmocka_unit_test(runs_give_their_value_for_every_row),
        cmocka_unit_test(runs_are_found_forwards_and_backwards),
        cmocka_unit_test(lists_of_every_layout_become_arrays),
        cmocka_unit_test(a_list_beyond_its_elements_is_refused),
        cmocka_unit_test(offsets_out_of_order_are_refused),
        cmocka_unit_test(a_struct_becomes_an_object_that_keeps_every_value),
        cmocka_unit_test(floats_in_json_have_as_many_digits_as_they_need),
        cmocka_unit_test(times_in_json_are_those_that_postgres_prints),
        cmocka_unit_test(json_inside_of_json_stays_what_it_is_and_where_it_is),
        cmocka_unit_test(json_that_would_leave_its_place_is_refused),
        cmocka_unit_test(a_map_becomes_an_object_of_its_keys),
        cmocka_unit_test(lists_of_lists_and_of_structs_become_json),
        cmocka_unit_test(every_arrow_type_has_a_type_of_postgres),
        cmocka_unit_test(a_declared_type_is_taken_where_the_values_fit_it),
        cmocka_unit_test(what_has_no_type_of_postgres_is_refused_by_name),
        cmocka_unit_test(a_schema_without_an_end_is_refused),
        cmocka_unit_test(a_field_that_is_never_null_says_so_and_is_held_to_it),
        cmocka_unit_test(an_array_that_is_not_of_its_schema_is_refused_before_a_row_is_read),
        cmocka_unit_test(a_row_that_is_null_as_a_whole_is_refused),
        cmocka_unit_test(rows_are_counted_over_all_batches_and_those_before_a_bad_one_are_written),
        cmocka_unit_test(writing_stops_when_enough_is_written_and_goes_on_there),
        cmocka_unit_test(a_stream_that_is_no_struct_has_no_columns),
        cmocka_unit_test(what_was_read_into_columns_is_written_with_the_same_bytes_and_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
