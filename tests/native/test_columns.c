/* COPY BINARY fields into Arrow arrays: each form, what is refused, and who owns what was taken out. */
#include "core/columns.h"

#include "units.h"

#include <pthread.h>
#include <string.h>

#define NUMERIC(precision, scale) ((((precision) << 16) | ((scale)&0x7ff)) + 4)

/* A field of these bytes; lives as long as the block it stands in. */
#define SENT(...) {.bytes = (const uint8_t[]){__VA_ARGS__}, .n_bytes = sizeof((const uint8_t[]){__VA_ARGS__})}
#define NOTHING {.bytes = NULL, .n_bytes = -1}
#define TEXT(text) {.bytes = (const uint8_t *)(text), .n_bytes = sizeof(text) - 1}
#define BE2(n) (uint8_t)((uint64_t)(n) >> 8), (uint8_t)(n)
#define BE4(n) BE2((uint64_t)(n) >> 16), BE2(n)
#define BE8(n) BE4((uint64_t)(n) >> 32), BE4(n)

/* What the source sends of a column. */
struct sent {
    const char *name, *identity;
    int32_t typmod;
    bool not_null;
};

enum { MOST_COLUMNS = 8 };

struct table {
    struct rf_arena arena;
    struct rf_columns_field fields[MOST_COLUMNS];
    int n_columns;
    struct rf_columns *columns;
    struct rf_error err;
};

static void open_table(struct table *table, const struct sent *sent, int n) {
    *table = (struct table){.n_columns = n};
    rf_arena_init(&table->arena, 1 << 20);
    for (int i = 0; i < n; i++) {
        struct rf_columns_field *field = &table->fields[i];
        *field = (struct rf_columns_field){.name = sent[i].name, .not_null = sent[i].not_null, .declared = sent[i].identity};
        assert_code(rf_type_resolve(sent[i].identity, sent[i].typmod, false, &table->arena, &field->type, &table->err), RF_OK, &table->err);
    }
    assert_code(rf_columns_new(table->fields, n, &table->columns, &table->err), RF_OK, &table->err);
}

static void open_one(struct table *table, const char *identity, int32_t typmod) {
    open_table(table, &(struct sent){.name = "c", .identity = identity, .typmod = typmod}, 1);
}

static void close_table(struct table *table) {
    rf_columns_free(table->columns);
    rf_arena_free(&table->arena);
}

static void append(struct table *table, const struct rf_field *row) {
    assert_code(rf_columns_append(table->columns, row, &table->err), RF_OK, &table->err);
}

static void append_one(struct table *table, struct rf_field field) {
    append(table, &field);
}

static struct ArrowArray take(struct table *table) {
    struct ArrowArray array;
    assert_code(rf_columns_take(table->columns, &array, &table->err), RF_OK, &table->err);
    return array;
}

static void release(struct ArrowArray *array) {
    array->release(array);
    assert_null(array->release);
}

static const void *values_of(const struct ArrowArray *array) {
    return array->buffers[array->n_buffers - 1];
}

static int32_t offset_of(const struct ArrowArray *array, int64_t at) {
    return ((const int32_t *)array->buffers[1])[at];
}

static bool bit_of(const void *bits, int64_t at) {
    return ((const uint8_t *)bits)[at / 8] >> (at % 8) & 1;
}

static bool is_valid(const struct ArrowArray *array, int64_t at) {
    return !array->buffers[0] || bit_of(array->buffers[0], at);
}

static void check_text(const struct ArrowArray *array, int64_t at, const char *expected) {
    const char *bytes = array->buffers[2];
    int32_t begin = offset_of(array, at), n = offset_of(array, at + 1) - begin;
    assert_int_equal(n, strlen(expected));
    assert_memory_equal(bytes + begin, expected, (size_t)n);
}

/* ---- values -------------------------------------------------------------------------------------------------------- */

struct value {
    const char *identity;
    struct rf_field sent;
    size_t n_bytes; /* of the value in Arrow */
    const void *arrow;
};

#define ARROW(type, value) sizeof(type), &(const type){value}
#define EPOCH_US INT64_C(946684800000000)

/* The value stands between others, so that it is seen to lie in its own place. */
static void check_value(const struct value *value) {
    struct table table;
    open_one(&table, value->identity, -1);
    append_one(&table, (struct rf_field)NOTHING);
    append_one(&table, value->sent);
    append_one(&table, (struct rf_field)NOTHING);
    struct ArrowArray array = take(&table);
    const struct ArrowArray *column = array.children[0];
    if (memcmp((const char *)values_of(column) + value->n_bytes, value->arrow, value->n_bytes) != 0) fail_msg("a value of %s", value->identity);
    assert_true(!is_valid(column, 0) && is_valid(column, 1) && !is_valid(column, 2));
    assert_int_equal(column->null_count, 2);
    release(&array);
    close_table(&table);
}

TEST(values_of_one_length_stand_in_native_order) {
    const struct value values[] = {
        {"int2", SENT(BE2(-32768)), ARROW(int16_t, INT16_MIN)},
        {"int2", SENT(0x12, 0x34), ARROW(int16_t, 0x1234)},
        {"int4", SENT(BE4(-2)), ARROW(int32_t, -2)},
        {"int4", SENT(0x12, 0x34, 0x56, 0x78), ARROW(int32_t, 0x12345678)},
        {"int8", SENT(BE8(INT64_MIN)), ARROW(int64_t, INT64_MIN)},
        {"int8", SENT(0x12, 0x34, 0x56, 0x78, 0x9A, 0xBC, 0xDE, 0xF0), ARROW(int64_t, 0x123456789ABCDEF0)},
        {"oid", SENT(BE4(4294967295)), ARROW(uint32_t, 4294967295)},
        {"float4", SENT(0x3F, 0xC0, 0, 0), ARROW(float, 1.5f)},
        {"float8", SENT(0xC0, 0x04, 0, 0, 0, 0, 0, 0), ARROW(double, -2.5)},
        {"uuid", SENT(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16), 16, "\1\2\3\4\5\6\7\10\11\12\13\14\15\16\17\20"},
    };
    for (size_t i = 0; i < N_OF(values); i++) check_value(&values[i]);
}

TEST(a_float_keeps_its_bits_also_where_it_is_no_number) {
    const struct value values[] = {
        {"float4", SENT(0x7F, 0x80, 0, 0), ARROW(uint32_t, 0x7F800000)},
        {"float8", SENT(0x7F, 0xF8, 0, 0, 0, 0, 0, 1), ARROW(uint64_t, 0x7FF8000000000001)},
        {"float8", SENT(0x80, 0, 0, 0, 0, 0, 0, 0), ARROW(uint64_t, 0x8000000000000000)},
    };
    for (size_t i = 0; i < N_OF(values); i++) check_value(&values[i]);
}

TEST(times_count_from_1970_and_infinities_stand_at_the_ends) {
    const struct value values[] = {
        {"date", SENT(BE4(0)), ARROW(int32_t, 10957)},
        {"date", SENT(BE4(-10957)), ARROW(int32_t, 0)},
        {"date", SENT(BE4(-2451545)), ARROW(int32_t, -2440588)}, /* 4714-11-24 BC, the first day */
        {"date", SENT(BE4(2145031948)), ARROW(int32_t, 2145042905)}, /* 5874897-12-31, the last */
        {"date", SENT(BE4(INT32_MAX)), ARROW(int32_t, INT32_MAX)},
        {"date", SENT(BE4(INT32_MIN)), ARROW(int32_t, -INT32_MAX)},
        {"date", SENT(BE4(INT32_MAX - 10958)), ARROW(int32_t, INT32_MAX - 1)},
        {"time", SENT(BE8(0)), ARROW(int64_t, 0)},
        {"time", SENT(BE8(INT64_C(86400000000))), ARROW(int64_t, INT64_C(86400000000))}, /* 24:00 */
        {"timestamp", SENT(BE8(1)), ARROW(int64_t, EPOCH_US + 1)},
        {"timestamptz", SENT(BE8(-EPOCH_US)), ARROW(int64_t, 0)},
        {"timestamptz", SENT(BE8(INT64_MAX)), ARROW(int64_t, INT64_MAX)},
        {"timestamptz", SENT(BE8(INT64_MIN)), ARROW(int64_t, -INT64_MAX)},
        {"timestamp", SENT(BE8(INT64_C(-211813488000000000))), ARROW(int64_t, INT64_C(-211813488000000000) + EPOCH_US)},
        {"timestamp", SENT(BE8(INT64_MAX - EPOCH_US - 1)), ARROW(int64_t, INT64_MAX - 1)},
    };
    for (size_t i = 0; i < N_OF(values); i++) check_value(&values[i]);
}

struct arrow_interval { int32_t months, days; int64_t ns; };

TEST(an_interval_is_months_days_and_nanoseconds) {
    const struct { struct rf_field sent; struct arrow_interval arrow; } cases[] = {
        {SENT(BE8(3), BE4(2), BE4(1)), {1, 2, 3000}},
        {SENT(BE8(-3), BE4(-2), BE4(-1)), {-1, -2, -3000}},
        {SENT(BE8(INT64_MAX / 1000), BE4(INT32_MAX), BE4(INT32_MAX)), {INT32_MAX, INT32_MAX, INT64_MAX / 1000 * 1000}},
        {SENT(BE8(INT64_MIN / 1000), BE4(INT32_MIN), BE4(INT32_MIN)), {INT32_MIN, INT32_MIN, INT64_MIN / 1000 * 1000}},
    };
    for (size_t i = 0; i < N_OF(cases); i++) check_value(&(struct value){"interval", cases[i].sent, 16, &cases[i].arrow});
}

TEST(a_bool_is_a_bit_in_its_place) {
    struct table table;
    open_one(&table, "bool", -1);
    for (int i = 0; i < 200; i++) append_one(&table, (struct rf_field)SENT(i % 3 == 0));
    struct ArrowArray array = take(&table);
    for (int i = 0; i < 200; i++) assert_int_equal(bit_of(values_of(array.children[0]), i), i % 3 == 0);
    release(&array);
    close_table(&table);
}

TEST(texts_stand_one_after_the_other_and_empty_is_not_null) {
    static const char *const identities[] = {"text", "varchar", "bpchar", "name", "bytea", "json", "enum('a')", "inet"};
    for (size_t i = 0; i < N_OF(identities); i++) {
        struct table table;
        open_one(&table, identities[i], -1);
        append_one(&table, (struct rf_field)TEXT("eins"));
        append_one(&table, (struct rf_field)TEXT(""));
        append_one(&table, (struct rf_field)NOTHING);
        append_one(&table, (struct rf_field)TEXT("漢🦀\n"));
        struct ArrowArray array = take(&table);
        check_text(array.children[0], 0, "eins");
        check_text(array.children[0], 1, "");
        assert_true(is_valid(array.children[0], 1) && !is_valid(array.children[0], 2));
        check_text(array.children[0], 2, "");
        check_text(array.children[0], 3, "漢🦀\n");
        release(&array);
        close_table(&table);
    }
}

TEST(jsonb_loses_its_version) {
    struct table table;
    open_one(&table, "jsonb", -1);
    append_one(&table, (struct rf_field)TEXT("\1{\"a\": 10.680}"));
    struct ArrowArray array = take(&table);
    check_text(array.children[0], 0, "{\"a\": 10.680}");
    release(&array);
    close_table(&table);
}

/* ---- decimals ------------------------------------------------------------------------------------------------------ */

struct number {
    int precision, scale;
    struct rf_field sent;
    const char *units; /* in units of 10^-scale, NULL when it is refused */
};

#define POSITIVE 0
#define NEGATIVE 0x4000
/* groups, weight, sign, digits behind the point */
#define HEAD(n, weight, sign, scale) BE2(n), BE2(weight), BE2(sign), BE2(scale)
#define NINES BE2(9999), BE2(9999), BE2(9999), BE2(9999), BE2(9999), BE2(9999), BE2(9999), BE2(9999), BE2(9999)
#define NINES_36 "999999999999999999999999999999999999"

static void print_units(const void *value, char *out) {
    __extension__ __int128 n;
    __extension__ unsigned __int128 size;
    char digits[64], *at = digits + sizeof digits - 1;
    memcpy(&n, value, sizeof n);
    memcpy(&size, value, sizeof size);
    if (n < 0) size = -size;
    *at = '\0';
    do *--at = (char)('0' + (int)(size % 10));
    while ((size /= 10) > 0);
    if (n < 0) *--at = '-';
    strcpy(out, at);
}

static void check_number(const struct number *number) {
    struct table table;
    open_one(&table, "numeric", NUMERIC(number->precision, number->scale));
    enum rf_code code = rf_columns_append(table.columns, &number->sent, &table.err);
    assert_code(code, number->units ? RF_OK : RF_DATA, &table.err);
    if (number->units) {
        struct ArrowArray array = take(&table);
        char units[64];
        print_units(values_of(array.children[0]), units);
        assert_string_equal(units, number->units);
        release(&array);
    } else {
        assert_contains(table.err.message, "column \"c\" holds a number");
        assert_contains(table.err.hint, "as_text");
    }
    close_table(&table);
}

TEST(a_numeric_becomes_a_decimal_of_its_scale) {
    const struct number numbers[] = {
        {12, 2, SENT(HEAD(0, 0, POSITIVE, 2)), "0"},
        {12, 2, SENT(HEAD(0, 0, NEGATIVE, 2)), "0"},
        {12, 2, SENT(HEAD(1, 0, POSITIVE, 2), BE2(1)), "100"},
        {12, 2, SENT(HEAD(1, 0, NEGATIVE, 2), BE2(1)), "-100"},
        {12, 2, SENT(HEAD(3, 1, POSITIVE, 2), BE2(1), BE2(2345), BE2(6700)), "1234567"},
        {7, 2, SENT(HEAD(3, 1, POSITIVE, 2), BE2(1), BE2(2345), BE2(6700)), "1234567"},
        {12, 2, SENT(HEAD(1, -1, POSITIVE, 2), BE2(100)), "1"},          /* 0.01 */
        {12, 2, SENT(HEAD(1, 1, POSITIVE, 2), BE2(7)), "7000000"},       /* 70000, whose zeros are not sent */
        {12, 2, SENT(HEAD(1, 2, POSITIVE, 2), BE2(99)), "990000000000"},
        {20, 10, SENT(HEAD(1, -3, POSITIVE, 10), BE2(1200)), "12"},      /* 0.0000000012 */
        {20, 8, SENT(HEAD(2, -1, POSITIVE, 8), BE2(1234), BE2(5678)), "12345678"},
        {3, 3, SENT(HEAD(1, -1, NEGATIVE, 3), BE2(9990)), "-999"},
        {1, 0, SENT(HEAD(1, 0, POSITIVE, 0), BE2(9)), "9"},
        {38, 0, SENT(HEAD(10, 9, POSITIVE, 0), BE2(99), NINES), "99" NINES_36},
        {38, 0, SENT(HEAD(10, 9, NEGATIVE, 0), BE2(99), NINES), "-99" NINES_36},
        {38, 38, SENT(HEAD(10, -1, POSITIVE, 38), NINES, BE2(9900)), NINES_36 "99"},
        {38, 19, SENT(HEAD(1, 4, POSITIVE, 19), BE2(1)), "100000000000000000000000000000000000"}, /* 1e16 */
        {12, 2, SENT(HEAD(2, 0, POSITIVE, 2), BE2(5), BE2(0)), "500"},
    };
    for (size_t i = 0; i < N_OF(numbers); i++) check_number(&numbers[i]);
}

TEST(a_numeric_that_its_type_cannot_hold_is_refused) {
    const struct number numbers[] = {
        {12, 2, SENT(HEAD(1, 3, POSITIVE, 2), BE2(1)), NULL},
        {7, 2, SENT(HEAD(2, 1, POSITIVE, 2), BE2(10), BE2(1)), NULL},
        {1, 0, SENT(HEAD(1, 0, POSITIVE, 0), BE2(10)), NULL},
        {12, 2, SENT(HEAD(1, -1, POSITIVE, 2), BE2(10)), NULL},  /* 0.001 */
        {12, 2, SENT(HEAD(1, -2, POSITIVE, 2), BE2(1)), NULL},
        {12, 2, SENT(HEAD(1, 0, POSITIVE, 3), BE2(1)), NULL},    /* 1.000 */
        {38, 0, SENT(HEAD(10, 9, POSITIVE, 0), BE2(100), NINES), NULL},
        {38, 0, SENT(HEAD(1, 32767, POSITIVE, 0), BE2(1)), NULL},
        {38, 0, SENT(HEAD(20, 19, POSITIVE, 0), NINES, NINES, BE2(1), BE2(1)), NULL},
        {38, 0, SENT(HEAD(10, 9, POSITIVE, 0), BE2(340), BE2(2823), BE2(6692), BE2(938), BE2(4634), BE2(6337), BE2(4607), BE2(4317), BE2(6821), BE2(1456)), NULL}, /* 2^128 */
        {38, 0, SENT(HEAD(1, -32768, POSITIVE, 0), BE2(1)), NULL},
        {12, 2, SENT(HEAD(1, 0, POSITIVE, 2), BE2(10000)), NULL},
        {12, 2, SENT(HEAD(1, 0, POSITIVE, 2), BE2(65535)), NULL},
        {12, 2, SENT(HEAD(2, 0, POSITIVE, 2), BE2(1)), NULL},
        {12, 2, SENT(HEAD(0, 0, POSITIVE, 2), BE2(1)), NULL},
        {12, 2, SENT(BE2(0), BE2(0), BE2(0), 0), NULL},
        {12, 2, SENT(HEAD(0, 0, 0x1234, 2)), NULL},
    };
    for (size_t i = 0; i < N_OF(numbers); i++) check_number(&numbers[i]);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------ */

struct refusal {
    const char *identity;
    struct rf_field sent;
    const char *says;
};

static void check_refusal(const struct refusal *refusal, int32_t typmod) {
    struct table table;
    open_one(&table, refusal->identity, typmod);
    assert_code(rf_columns_append(table.columns, &refusal->sent, &table.err), RF_DATA, &table.err);
    assert_contains(table.err.message, "column \"c\"");
    assert_contains(table.err.message, refusal->says);
    assert_contains(table.err.hint, "as_text");
    assert_int_equal(rf_columns_rows(table.columns), 0);
    assert_int_equal(rf_columns_bytes(table.columns), 0);
    close_table(&table);
}

TEST(what_no_decimal_can_hold_is_named) {
    const struct refusal refusals[] = {
        {"numeric", SENT(HEAD(0, 0, 0xC000, 0)), "NaN"},
        {"numeric", SENT(HEAD(0, 0, 0xD000, 0)), "infinity"},
        {"numeric", SENT(HEAD(0, 0, 0xF000, 0)), "infinity"},
        {"_numeric", SENT(BE4(1), BE4(0), BE4(1700), BE4(1), BE4(1), BE4(8), HEAD(0, 0, 0xC000, 0)), "NaN"},
    };
    for (size_t i = 0; i < N_OF(refusals); i++) check_refusal(&refusals[i], NUMERIC(12, 2));
}

TEST(a_time_that_arrow_cannot_name_is_refused) {
    const struct refusal refusals[] = {
        {"date", SENT(BE4(INT32_MAX - 10957)), "a date"},
        {"date", SENT(BE4(INT32_MAX - 1)), "a date"},
        {"timestamp", SENT(BE8(INT64_MAX - EPOCH_US)), "294246"},
        {"timestamptz", SENT(BE8(INT64_MAX - 1)), "294246"},
        {"time", SENT(BE8(INT64_C(86400000001))), "a time of day"},
        {"time", SENT(BE8(-1)), "a time of day"},
        {"interval", SENT(BE8(INT64_MAX), BE4(INT32_MAX), BE4(INT32_MAX)), "infinite"},
        {"interval", SENT(BE8(INT64_MIN), BE4(INT32_MIN), BE4(INT32_MIN)), "infinite"},
        {"interval", SENT(BE8(INT64_MAX / 1000 + 1), BE4(0), BE4(0)), "nanoseconds"},
        {"interval", SENT(BE8(INT64_MIN / 1000 - 1), BE4(0), BE4(0)), "nanoseconds"},
    };
    for (size_t i = 0; i < N_OF(refusals); i++) check_refusal(&refusals[i], -1);
}

TEST(a_value_of_another_length_than_its_types_is_refused) {
    static const struct { const char *identity; int n_bytes; } lengths[] = {
        {"bool", 1}, {"int2", 2}, {"int4", 4}, {"oid", 4}, {"float4", 4}, {"date", 4}, {"int8", 8}, {"float8", 8}, {"time", 8},
        {"timestamp", 8}, {"timestamptz", 8}, {"uuid", 16}, {"interval", 16}};
    static const uint8_t zeros[17];
    for (size_t i = 0; i < N_OF(lengths); i++)
        for (int n = 0; n <= 17; n++)
            if (n != lengths[i].n_bytes) check_refusal(&(struct refusal){lengths[i].identity, {zeros, n}, "bytes"}, -1);
}

TEST(jsonb_of_another_version_is_refused) {
    const struct refusal refusals[] = {{"jsonb", TEXT("\2{}"), "version"}, {"jsonb", TEXT("{}"), "version"}, {"jsonb", TEXT(""), "version"}};
    for (size_t i = 0; i < N_OF(refusals); i++) check_refusal(&refusals[i], -1);
}

TEST(a_column_that_is_not_null_holds_no_null) {
    struct table table;
    open_table(&table, &(struct sent){"c", "int4", -1, true}, 1);
    assert_code(rf_columns_append(table.columns, &(struct rf_field)NOTHING, &table.err), RF_DATA, &table.err);
    assert_contains(table.err.message, "column \"c\" is NOT NULL");
    close_table(&table);
}

/* The bytes are not there: the length alone is too much, before any of it is read. */
TEST(a_column_beyond_what_offsets_can_say_is_refused_and_the_rows_before_it_are_kept) {
    struct table table;
    open_one(&table, "text", -1);
    append_one(&table, (struct rf_field)TEXT("a"));
    struct rf_field huge = {.bytes = (const uint8_t *)"b", .n_bytes = INT32_MAX};
    assert_code(rf_columns_append(table.columns, &huge, &table.err), RF_DATA, &table.err);
    assert_contains(table.err.message, "column \"c\" would hold more than 2147483647 bytes");
    assert_contains(table.err.hint, "batch_bytes");
    struct ArrowArray array = take(&table);
    assert_int_equal(array.length, 1);
    release(&array);
    close_table(&table);
}

/* ---- arrays --------------------------------------------------------------------------------------------------------- */

#define ONE_DIMENSION(n) BE4(1), BE4(0), BE4(23), BE4(n), BE4(1)
#define MINUS_ONE BE4(0xFFFFFFFF)

TEST(an_array_is_a_list_with_its_nulls) {
    struct table table;
    open_one(&table, "_int4", -1);
    append_one(&table, (struct rf_field)SENT(ONE_DIMENSION(3), BE4(4), BE4(7), MINUS_ONE, BE4(4), BE4(-9)));
    append_one(&table, (struct rf_field)SENT(BE4(0), BE4(0), BE4(23)));
    append_one(&table, (struct rf_field)NOTHING);
    append_one(&table, (struct rf_field)SENT(ONE_DIMENSION(1), BE4(4), BE4(5)));
    struct ArrowArray array = take(&table);
    const struct ArrowArray *list = array.children[0], *element = list->children[0];
    const int32_t ends[] = {0, 3, 3, 3, 4}, elements[] = {7, 0, -9, 5};
    assert_memory_equal(list->buffers[1], ends, sizeof ends);
    assert_int_equal(list->n_buffers, 2);
    assert_int_equal(list->null_count, 1);
    assert_true(is_valid(list, 1) && !is_valid(list, 2));
    assert_int_equal(element->length, 4);
    assert_int_equal(element->null_count, 1);
    assert_false(is_valid(element, 1));
    assert_memory_equal(values_of(element), elements, sizeof elements);
    release(&array);
    close_table(&table);
}

/* The second takes more than twice the room that there is, though it is shorter than that. */
TEST(arrays_grow_past_the_room_there_is) {
    static const int32_t lengths[] = {60, 100, 300, 1};
    uint8_t bytes[20 + 8 * 300];
    struct table table;
    open_one(&table, "_int4", -1);
    for (size_t row = 0; row < N_OF(lengths); row++) {
        memcpy(bytes, (const uint8_t[]){ONE_DIMENSION(lengths[row])}, 20);
        for (int i = 0; i < lengths[row]; i++) memcpy(bytes + 20 + 8 * i, (const uint8_t[]){BE4(4), BE4(i)}, 8);
        append_one(&table, (struct rf_field){bytes, 20 + 8 * lengths[row]});
    }
    struct ArrowArray array = take(&table);
    const struct ArrowArray *list = array.children[0];
    const int32_t *elements = values_of(list->children[0]);
    for (size_t row = 0; row < N_OF(lengths); row++)
        for (int i = 0; i < lengths[row]; i++) assert_int_equal(elements[offset_of(list, (int64_t)row) + i], i);
    release(&array);
    close_table(&table);
}

TEST(elements_go_by_their_own_type) {
    struct table table;
    open_one(&table, "_numeric", NUMERIC(12, 2));
    append_one(&table, (struct rf_field)SENT(ONE_DIMENSION(1), BE4(10), HEAD(1, 0, NEGATIVE, 2), BE2(5)));
    struct ArrowArray array = take(&table);
    char units[64];
    print_units(values_of(array.children[0]->children[0]), units);
    assert_string_equal(units, "-500");
    release(&array);
    close_table(&table);
    open_one(&table, "array(enum('a','bc'))", -1);
    append_one(&table, (struct rf_field)SENT(ONE_DIMENSION(2), BE4(2), 'b', 'c', BE4(1), 'a'));
    array = take(&table);
    check_text(array.children[0]->children[0], 0, "bc");
    check_text(array.children[0]->children[0], 1, "a");
    release(&array);
    close_table(&table);
}

TEST(an_array_that_no_list_can_hold_is_refused) {
    const struct refusal refusals[] = {
        {"_int4", SENT(BE4(2), BE4(0), BE4(23), BE4(1), BE4(1), BE4(1), BE4(1), BE4(4), BE4(7)), "dimension"},
        {"_int4", SENT(BE4(-1), BE4(0), BE4(23)), "dimension"},
        {"_int4", SENT(BE4(1), BE4(0), BE4(23), BE4(1), BE4(0), BE4(4), BE4(7)), "begin at 1"},
        {"_int4", SENT(BE4(1), BE4(0), BE4(23), BE4(1), BE4(2), BE4(4), BE4(7)), "begin at 1"},
    };
    for (size_t i = 0; i < N_OF(refusals); i++) check_refusal(&refusals[i], -1);
}

TEST(an_array_that_lies_about_its_bytes_is_refused) {
    const struct refusal refusals[] = {
        {"_int4", SENT(ONE_DIMENSION(2), BE4(4), BE4(7)), "cut short"},
        {"_int4", SENT(ONE_DIMENSION(2), BE4(4), BE4(7), BE4(4), 0, 0, 0), "cut short"},
        {"_int4", SENT(ONE_DIMENSION(1), BE4(-2), BE4(7)), "cut short"},
        {"_int4", SENT(ONE_DIMENSION(1), BE4(INT32_MAX), BE4(7)), "cut short"},
        {"_int4", SENT(ONE_DIMENSION(-1)), "cut short"},
        {"_int4", SENT(ONE_DIMENSION(INT32_MAX)), "cut short"},
        {"_int4", SENT(ONE_DIMENSION(1), BE4(3), 0, 0, 7), "3 bytes"},
        {"_int4", SENT(ONE_DIMENSION(1), BE4(4), BE4(7), 0), "more bytes"},
        {"_int4", SENT(BE4(0), BE4(0), BE4(23), 0), "more bytes"},
        {"_int4", SENT(BE4(1), BE4(0), BE4(23), BE4(1)), "cut short"},
        {"_int4", TEXT(""), "cut short"},
    };
    for (size_t i = 0; i < N_OF(refusals); i++) check_refusal(&refusals[i], -1);
}

/* ---- rows ------------------------------------------------------------------------------------------------------------ */

TEST(a_batch_without_nulls_has_no_validity) {
    struct table table;
    open_one(&table, "int4", -1);
    for (int i = 0; i < 100; i++) append_one(&table, (struct rf_field)SENT(BE4(i)));
    struct ArrowArray array = take(&table);
    assert_null(array.children[0]->buffers[0]);
    assert_int_equal(array.children[0]->null_count, 0);
    release(&array);
    close_table(&table);
}

TEST(validity_is_right_wherever_the_first_null_stands) {
    for (int first = 0; first < 140; first += 3) {
        struct table table;
        open_one(&table, "int2", -1);
        for (int i = 0; i < 200; i++) {
            bool none = i == first || (i > first && i % 5 == 0);
            append_one(&table, none ? (struct rf_field)NOTHING : (struct rf_field)SENT(BE2(i)));
        }
        struct ArrowArray array = take(&table);
        const struct ArrowArray *column = array.children[0];
        for (int i = 0; i < 200; i++) {
            bool none = i == first || (i > first && i % 5 == 0);
            assert_int_equal(is_valid(column, i), !none);
            assert_int_equal(((const int16_t *)values_of(column))[i], none ? 0 : i);
        }
        release(&array);
        close_table(&table);
    }
}

static const struct sent EACH_KIND[] = {{"a", "bool", -1, false},  {"b", "int8", -1, false},    {"c", "text", -1, false},
                                        {"d", "_text", -1, false}, {"e", "_bool", -1, false}, {"f", "numeric", NUMERIC(5, 1), false}};

/* Fills in all that a row which fails at its last column must take back; the fields live in the caller's block. */
#define ROW_OF_EACH_KIND(last) {SENT(1), NOTHING, TEXT("word"), SENT(ONE_DIMENSION(2), MINUS_ONE, BE4(1), 'x'), SENT(ONE_DIMENSION(1), BE4(1), 1), last}

static void check_row_of_each_kind(const struct ArrowArray *array, int64_t at) {
    assert_true(bit_of(values_of(array->children[0]), at));
    assert_false(is_valid(array->children[1], at));
    check_text(array->children[2], at, "word");
    const struct ArrowArray *texts = array->children[3], *bools = array->children[4];
    assert_int_equal(offset_of(texts, at), 2 * at);
    assert_int_equal(offset_of(texts, at + 1), 2 * (at + 1));
    assert_false(is_valid(texts->children[0], 2 * at));
    check_text(texts->children[0], 2 * at + 1, "x");
    assert_int_equal(offset_of(bools, at + 1), at + 1);
    assert_true(bit_of(values_of(bools->children[0]), at));
}

TEST(nothing_is_kept_of_a_row_that_fails) {
    struct table table;
    open_table(&table, EACH_KIND, N_OF(EACH_KIND));
    const struct rf_field good[] = ROW_OF_EACH_KIND(SENT(HEAD(1, 0, POSITIVE, 1), BE2(3)));
    const struct rf_field bad[] = ROW_OF_EACH_KIND(SENT(HEAD(0, 0, 0xC000, 0)));
    const struct rf_field other[] = {SENT(0), SENT(BE8(1)), NOTHING, NOTHING, SENT(ONE_DIMENSION(2), BE4(1), 0, BE4(2)), NOTHING};
    for (int i = 0; i < 70; i++) {
        append(&table, good);
        size_t n_bytes = rf_columns_bytes(table.columns);
        assert_int_equal(rf_columns_append(table.columns, bad, &table.err), RF_DATA);
        assert_int_equal(rf_columns_append(table.columns, other, &table.err), RF_DATA);
        assert_int_equal(rf_columns_bytes(table.columns), n_bytes);
        assert_int_equal(rf_columns_rows(table.columns), i + 1);
    }
    struct ArrowArray array = take(&table);
    for (int i = 0; i < 70; i++) check_row_of_each_kind(&array, i);
    assert_int_equal(array.children[1]->null_count, 70);
    assert_int_equal(array.children[2]->null_count, 0);
    assert_null(array.children[2]->buffers[0]);
    assert_int_equal(array.children[3]->children[0]->length, 140);
    assert_int_equal(array.children[3]->children[0]->null_count, 70);
    assert_int_equal(array.children[4]->children[0]->length, 70);
    assert_int_equal(array.children[5]->null_count, 0);
    release(&array);
    close_table(&table);
}

TEST(rows_without_columns_are_counted) {
    struct table table;
    open_table(&table, NULL, 0);
    for (int i = 0; i < 100; i++) append(&table, NULL);
    struct ArrowArray array = take(&table);
    assert_int_equal(array.length, 100);
    assert_int_equal(array.n_children, 0);
    release(&array);
    assert_int_equal(rf_columns_rows(table.columns), 0);
    close_table(&table);
}

TEST(no_rows_are_a_batch_too) {
    struct table table;
    open_table(&table, EACH_KIND, N_OF(EACH_KIND));
    struct ArrowArray array = take(&table);
    assert_int_equal(array.length, 0);
    assert_int_equal(array.n_buffers, 1);
    assert_null(array.buffers[0]);
    for (int i = 0; i < array.n_children; i++) assert_non_null(values_of(array.children[i]));
    assert_int_equal(offset_of(array.children[2], 0), 0);
    release(&array);
    close_table(&table);
}

TEST(bytes_are_counted_as_they_are_appended) {
    struct table table;
    const struct sent sent[] = {{"a", "int4", -1, false}, {"b", "text", -1, false}, {"c", "_int2", -1, false}};
    open_table(&table, sent, N_OF(sent));
    const struct rf_field row[] = {SENT(BE4(1)), TEXT("12345"), SENT(ONE_DIMENSION(2), BE4(2), BE2(1), BE4(2), BE2(2))};
    for (int i = 0; i < 8; i++) append(&table, row);
    /* values and offsets, and a bit for each of five values */
    assert_int_equal(rf_columns_bytes(table.columns), 8 * (4 + 4 + 5 + 4 + 2 * 2) + 5);
    struct ArrowArray array = take(&table);
    assert_int_equal(rf_columns_bytes(table.columns), 0);
    release(&array);
    close_table(&table);
}

TEST(buffers_are_aligned_to_64_bytes) {
    struct table table;
    open_table(&table, EACH_KIND, N_OF(EACH_KIND));
    const struct rf_field row[] = ROW_OF_EACH_KIND(NOTHING);
    for (int i = 0; i < 300; i++) append(&table, row);
    struct ArrowArray array = take(&table);
    for (int i = 0; i < array.n_children; i++)
        for (int k = 0; k < array.children[i]->n_buffers; k++) assert_int_equal((uintptr_t)array.children[i]->buffers[k] % 64, 0);
    release(&array);
    close_table(&table);
}

/* ---- who owns what was taken ---------------------------------------------------------------------------------------- */

static struct ArrowArray take_one_text(struct table *table, const char *text) {
    append_one(table, (struct rf_field){(const uint8_t *)text, (int32_t)strlen(text)});
    return take(table);
}

TEST(arrays_that_are_out_keep_their_rows_whatever_comes_after) {
    struct table table;
    open_one(&table, "text", -1);
    struct ArrowArray one = take_one_text(&table, "one"), two = take_one_text(&table, "two"), three = take_one_text(&table, "three");
    check_text(one.children[0], 0, "one");
    release(&two);
    struct ArrowArray four = take_one_text(&table, "four");
    rf_columns_free(table.columns);
    rf_arena_free(&table.arena);
    check_text(one.children[0], 0, "one");
    check_text(three.children[0], 0, "three");
    release(&three);
    check_text(four.children[0], 0, "four");
    release(&one);
    release(&four);
}

TEST(a_batch_that_came_back_is_filled_again) {
    struct table table;
    open_one(&table, "text", -1);
    const void *buffers[2];
    for (int i = 0; i < 6; i++) {
        struct ArrowArray array = take_one_text(&table, "word");
        check_text(array.children[0], 0, "word");
        if (i < 2) buffers[i] = values_of(array.children[0]);
        else assert_ptr_equal(values_of(array.children[0]), buffers[i % 2]);
        release(&array);
    }
    close_table(&table);
}

TEST(a_batch_that_came_back_shows_nothing_of_its_last_rows) {
    struct table table;
    open_table(&table, EACH_KIND, N_OF(EACH_KIND));
    const struct rf_field full[] = ROW_OF_EACH_KIND(NOTHING);
    const struct rf_field bare[] = {SENT(0), SENT(BE8(1)), TEXT(""), SENT(BE4(0), BE4(0), BE4(25)), SENT(BE4(0), BE4(0), BE4(16)), SENT(HEAD(0, 0, POSITIVE, 1))};
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 100; i++) append(&table, round % 2 ? bare : full);
        struct ArrowArray array = take(&table);
        assert_int_equal(rf_columns_bytes(table.columns), 0);
        for (int i = 0; i < array.n_children; i++)
            assert_int_equal(array.children[i]->null_count, round % 2 == 0 && (i == 1 || i == 5) ? 100 : 0);
        assert_int_equal(array.children[3]->children[0]->length, round % 2 ? 0 : 200);
        assert_int_equal(array.children[3]->children[0]->null_count, round % 2 ? 0 : 100);
        release(&array);
    }
    close_table(&table);
}

TEST(more_batches_come_back_than_are_kept) {
    struct table table;
    struct ArrowArray arrays[6];
    open_one(&table, "text", -1);
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < N_OF(arrays); i++) arrays[i] = take_one_text(&table, "word");
        for (size_t i = 0; i < N_OF(arrays); i++) check_text(arrays[i].children[0], 0, "word");
        for (size_t i = 0; i < N_OF(arrays); i++) release(&arrays[i]);
    }
    close_table(&table);
}

static struct ArrowArray move_out(struct ArrowArray *child) {
    struct ArrowArray moved = *child;
    child->release = NULL;
    return moved;
}

TEST(a_child_that_was_moved_out_outlives_its_parent_and_the_columns) {
    struct table table;
    open_table(&table, EACH_KIND, N_OF(EACH_KIND));
    const struct rf_field row[] = ROW_OF_EACH_KIND(NOTHING);
    append(&table, row);
    struct ArrowArray array = take(&table);
    struct ArrowArray text = move_out(array.children[2]), list = move_out(array.children[3]);
    release(&array);
    append(&table, row);
    struct ArrowArray next = take(&table);
    close_table(&table);
    check_text(&text, 0, "word");
    struct ArrowArray element = move_out(list.children[0]);
    release(&list);
    release(&text);
    check_text(&element, 1, "x");
    release(&next);
    release(&element);
}

struct consumer {
    pthread_t thread;
    struct ArrowArray array;
};

static void *consume(void *arg) {
    struct consumer *consumer = arg;
    struct ArrowArray child = move_out(consumer->array.children[0]);
    consumer->array.release(&consumer->array);
    child.release(&child);
    return NULL;
}

TEST(batches_come_back_from_any_thread_also_when_nobody_fills_them_any_more) {
    enum { CONSUMERS = 4, ROUNDS = 6 };
    struct table table;
    struct consumer consumers[CONSUMERS];
    open_table(&table, EACH_KIND, N_OF(EACH_KIND));
    const struct rf_field row[] = ROW_OF_EACH_KIND(NOTHING);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CONSUMERS; i++) {
            for (int k = 0; k < 80; k++) append(&table, row);
            consumers[i].array = take(&table);
        }
        for (int i = 0; i < CONSUMERS; i++) assert_int_equal(pthread_create(&consumers[i].thread, NULL, consume, &consumers[i]), 0);
        if (round == ROUNDS - 1) close_table(&table);
        for (int i = 0; i < CONSUMERS; i++) pthread_join(consumers[i].thread, NULL);
    }
}

/* ---- the schema ------------------------------------------------------------------------------------------------------ */

static void check_metadata(const char *metadata, const char *const *pairs, int32_t n) {
    int32_t number;
    memcpy(&number, metadata, 4);
    assert_int_equal(number, n);
    metadata += 4;
    for (int32_t i = 0; i < 2 * n; i++) {
        memcpy(&number, metadata, 4);
        assert_int_equal(number, strlen(pairs[i]));
        assert_memory_equal(metadata + 4, pairs[i], (size_t)number);
        metadata += 4 + number;
    }
}

TEST(the_schema_names_types_and_says_what_they_were) {
    const struct sent sent[] = {{"id", "int8", -1, true}, {"ref", "uuid", -1, false}, {"refs", "_uuid", -1, false}};
    const char *const id[] = {"rowferry.type", "int8"};
    const char *const ref[] = {"ARROW:extension:name", "arrow.uuid", "ARROW:extension:metadata", "", "rowferry.type", "uuid"};
    const char *const refs[] = {"rowferry.type", "_uuid"};
    struct table table;
    struct ArrowSchema schema;
    open_table(&table, sent, N_OF(sent));
    assert_code(rf_columns_schema(table.fields, table.n_columns, &schema, &table.err), RF_OK, &table.err);
    close_table(&table);
    assert_string_equal(schema.format, "+s");
    assert_int_equal(schema.n_children, 3);
    assert_string_equal(schema.children[0]->name, "id");
    assert_string_equal(schema.children[0]->format, "l");
    assert_int_equal(schema.children[0]->flags, 0);
    assert_int_equal(schema.children[1]->flags, ARROW_FLAG_NULLABLE);
    assert_string_equal(schema.children[2]->format, "+l");
    assert_string_equal(schema.children[2]->children[0]->format, "w:16");
    check_metadata(schema.children[0]->metadata, id, 1);
    check_metadata(schema.children[1]->metadata, ref, 3);
    check_metadata(schema.children[2]->metadata, refs, 1);
    check_metadata(schema.children[2]->children[0]->metadata, ref, 2);
    schema.release(&schema);
    assert_null(schema.release);
}

TEST(a_field_without_a_declared_type_has_no_metadata) {
    struct table table;
    struct ArrowSchema schema;
    open_one(&table, "int8", -1);
    table.fields[0].declared = NULL;
    assert_code(rf_columns_schema(table.fields, 1, &schema, &table.err), RF_OK, &table.err);
    assert_null(schema.children[0]->metadata);
    schema.release(&schema);
    close_table(&table);
}

TEST(a_child_of_the_schema_that_was_moved_out_outlives_it) {
    struct table table;
    struct ArrowSchema schema;
    open_one(&table, "_uuid", -1);
    assert_code(rf_columns_schema(table.fields, 1, &schema, &table.err), RF_OK, &table.err);
    struct ArrowSchema list = *schema.children[0];
    schema.children[0]->release = NULL;
    schema.release(&schema);
    struct ArrowSchema element = *list.children[0];
    list.children[0]->release = NULL;
    list.release(&list);
    assert_string_equal(element.format, "w:16");
    element.release(&element);
    close_table(&table);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_one_length_stand_in_native_order),
        cmocka_unit_test(a_float_keeps_its_bits_also_where_it_is_no_number),
        cmocka_unit_test(times_count_from_1970_and_infinities_stand_at_the_ends),
        cmocka_unit_test(an_interval_is_months_days_and_nanoseconds),
        cmocka_unit_test(a_bool_is_a_bit_in_its_place),
        cmocka_unit_test(texts_stand_one_after_the_other_and_empty_is_not_null),
        cmocka_unit_test(jsonb_loses_its_version),
        cmocka_unit_test(a_numeric_becomes_a_decimal_of_its_scale),
        cmocka_unit_test(a_numeric_that_its_type_cannot_hold_is_refused),
        cmocka_unit_test(what_no_decimal_can_hold_is_named),
        cmocka_unit_test(a_time_that_arrow_cannot_name_is_refused),
        cmocka_unit_test(a_value_of_another_length_than_its_types_is_refused),
        cmocka_unit_test(jsonb_of_another_version_is_refused),
        cmocka_unit_test(a_column_that_is_not_null_holds_no_null),
        cmocka_unit_test(a_column_beyond_what_offsets_can_say_is_refused_and_the_rows_before_it_are_kept),
        cmocka_unit_test(an_array_is_a_list_with_its_nulls),
        cmocka_unit_test(arrays_grow_past_the_room_there_is),
        cmocka_unit_test(elements_go_by_their_own_type),
        cmocka_unit_test(an_array_that_no_list_can_hold_is_refused),
        cmocka_unit_test(an_array_that_lies_about_its_bytes_is_refused),
        cmocka_unit_test(a_batch_without_nulls_has_no_validity),
        cmocka_unit_test(validity_is_right_wherever_the_first_null_stands),
        cmocka_unit_test(nothing_is_kept_of_a_row_that_fails),
        cmocka_unit_test(rows_without_columns_are_counted),
        cmocka_unit_test(no_rows_are_a_batch_too),
        cmocka_unit_test(bytes_are_counted_as_they_are_appended),
        cmocka_unit_test(buffers_are_aligned_to_64_bytes),
        cmocka_unit_test(arrays_that_are_out_keep_their_rows_whatever_comes_after),
        cmocka_unit_test(a_batch_that_came_back_is_filled_again),
        cmocka_unit_test(a_batch_that_came_back_shows_nothing_of_its_last_rows),
        cmocka_unit_test(more_batches_come_back_than_are_kept),
        cmocka_unit_test(a_child_that_was_moved_out_outlives_its_parent_and_the_columns),
        cmocka_unit_test(batches_come_back_from_any_thread_also_when_nobody_fills_them_any_more),
        cmocka_unit_test(the_schema_names_types_and_says_what_they_were),
        cmocka_unit_test(a_field_without_a_declared_type_has_no_metadata),
        cmocka_unit_test(a_child_of_the_schema_that_was_moved_out_outlives_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
