/* Which values have one hash, in which forms, and which never do. */
#include "core/row_hash.h"
#include "core/siphash.h"

#include "units.h"

#include <string.h>

/* A value: its form, and bytes that a string literal gives. */
struct value {
    enum rf_wire wire;
    enum rf_wire element;
    const char *bytes; /* NULL: NULL */
    int32_t n_bytes;
};

#define VALUE(form, literal) (struct value){.wire = RF_WIRE_##form, .bytes = (literal), .n_bytes = sizeof(literal) - 1}
#define LIST(of, literal) (struct value){.wire = RF_WIRE_ARRAY, .element = RF_WIRE_##of, .bytes = (literal), .n_bytes = sizeof(literal) - 1}
#define NULL_OF(form) (struct value){.wire = RF_WIRE_##form, .n_bytes = -1}

static struct rf_row_hash hash_of(const struct value *values, int n, int key) {
    struct rf_form forms[4];
    struct rf_field fields[4];
    struct rf_row_hash hash;
    for (int i = 0; i < n; i++) {
        forms[i] = (struct rf_form){.wire = values[i].wire, .element = values[i].element};
        fields[i] = (struct rf_field){.bytes = (const uint8_t *)values[i].bytes, .n_bytes = values[i].n_bytes};
    }
    rf_hash_row(forms, fields, n, &key, 1, &hash);
    return hash;
}

static bool same(struct value a, struct value b) {
    return hash_of(&a, 1, 0).row == hash_of(&b, 1, 0).row;
}

/* The example of the paper's appendix A: the bytes 0 to 14, with their number behind them. */
TEST(the_hash_is_siphash_2_4) {
    struct rf_siphash hash;
    rf_siphash_begin(&hash, 0x0706050403020100, 0x0f0e0d0c0b0a0908);
    rf_siphash_add(&hash, 0x0706050403020100);
    rf_siphash_add(&hash, 0x0f0e0d0c0b0a0908);
    assert_true(rf_siphash_end(&hash) == 0xa129ca6149be45e5);
}

TEST(a_number_is_the_same_in_every_width_and_form) {
    const struct value seven[] = {
        VALUE(INT2, "\0\7"), VALUE(INT4, "\0\0\0\7"), VALUE(INT8, "\0\0\0\0\0\0\0\7"), VALUE(UINT4, "\0\0\0\7"), VALUE(NUMERIC, "\0\1\0\0\0\0\0\0\0\7"),
        VALUE(NUMERIC, "\0\1\0\0\0\0\0\4\0\7"), VALUE(NUMERIC, "\0\3\0\1\0\0\0\4\0\0\0\7\0\0")};
    for (size_t i = 1; i < N_OF(seven); i++) assert_true(same(seven[0], seven[i]));
    assert_true(same(VALUE(INT2, "\xff\xfe"), VALUE(INT8, "\xff\xff\xff\xff\xff\xff\xff\xfe")));
    assert_true(same(VALUE(INT2, "\xff\xfe"), VALUE(NUMERIC, "\0\1\0\0\x40\0\0\0\0\2")));
    assert_true(same(VALUE(INT8, "\x80\0\0\0\0\0\0\0"), VALUE(NUMERIC, "\0\5\0\4\x40\0\0\0\3\x9a\x0d\x2c\1\x70\x15\x65\x16\xb0")));
    assert_true(same(VALUE(INT2, "\0\0"), VALUE(NUMERIC, "\0\0\0\0\0\0\0\2")));
    assert_true(same(VALUE(INT4, "\0\1\x86\xa0"), VALUE(NUMERIC, "\0\1\0\1\0\0\0\0\0\x0a")));
    assert_true(same(VALUE(UINT4, "\xff\xff\xff\xff"), VALUE(INT8, "\0\0\0\0\xff\xff\xff\xff")));
    assert_true(same(VALUE(BOOL, "\1"), VALUE(INT2, "\0\1")));
}

TEST(numbers_that_differ_never_look_alike) {
    const struct value numbers[] = {
        VALUE(INT2, "\0\0"), VALUE(INT2, "\0\1"), VALUE(INT2, "\1\0"), VALUE(INT2, "\xff\xff"), VALUE(UINT4, "\xff\xff\xff\xff"),
        VALUE(NUMERIC, "\0\1\xff\xff\0\0\0\1\3\xe8"), VALUE(NUMERIC, "\0\1\xff\xff\x40\0\0\1\3\xe8"), VALUE(NUMERIC, "\0\1\xff\xff\0\0\0\4\0\1"),
        VALUE(NUMERIC, "\0\1\xff\xfe\0\0\0\4\0\1"), VALUE(NUMERIC, "\0\2\0\0\0\0\0\4\0\1\0\1"), VALUE(NUMERIC, "\0\1\0\5\0\0\0\0\0\1"),
        VALUE(NUMERIC, "\0\1\0\6\0\0\0\0\0\1"), VALUE(NUMERIC, "\0\0\0\0\xc0\0\0\0"), VALUE(NUMERIC, "\0\0\0\0\xd0\0\0\0"), NULL_OF(INT8)};
    for (size_t i = 0; i < N_OF(numbers); i++)
        for (size_t j = 0; j < i; j++) assert_false(same(numbers[i], numbers[j]));
}

TEST(a_number_beyond_64_bits_is_told_by_its_digits) {
    const struct value nines = VALUE(NUMERIC, "\0\5\0\4\0\0\0\0\x27\x0f\x27\x0f\x27\x0f\x27\x0f\x27\x0f"), one_less = VALUE(NUMERIC, "\0\5\0\4\0\0\0\0\x27\x0f\x27\x0f\x27\x0f\x27\x0f\x27\x0e");
    assert_true(same(nines, VALUE(NUMERIC, "\0\6\0\4\0\0\0\4\x27\x0f\x27\x0f\x27\x0f\x27\x0f\x27\x0f\0\0")));
    assert_false(same(nines, one_less));
    assert_false(same(VALUE(INT8, "\x7f\xff\xff\xff\xff\xff\xff\xff"), VALUE(NUMERIC, "\0\5\0\4\0\0\0\0\3\x9a\x0d\x2c\1\x70\x15\x65\x16\xb0")));
}

TEST(a_float_is_that_of_its_value_and_minus_0_is_another) {
    assert_true(same(VALUE(FLOAT4, "\x3f\0\0\0"), VALUE(FLOAT8, "\x3f\xe0\0\0\0\0\0\0")));
    assert_true(same(VALUE(FLOAT4, "\x7f\xc0\0\0"), VALUE(FLOAT8, "\xff\xf8\0\0\0\0\0\1")));
    assert_false(same(VALUE(FLOAT4, "\0\0\0\0"), VALUE(FLOAT4, "\x80\0\0\0")));
    assert_false(same(VALUE(FLOAT8, "\x7f\xf0\0\0\0\0\0\0"), VALUE(FLOAT8, "\xff\xf0\0\0\0\0\0\0")));
    assert_false(same(VALUE(FLOAT8, "\x7f\xf0\0\0\0\0\0\0"), VALUE(FLOAT8, "\x7f\xf8\0\0\0\0\0\0")));
    assert_false(same(VALUE(FLOAT8, "\0\0\0\0\0\0\0\7"), VALUE(INT8, "\0\0\0\0\0\0\0\7")));
}

TEST(jsonb_is_its_text_and_a_uuid_too) {
    assert_true(same(VALUE(JSONB, "\1{\"a\": 1}"), VALUE(TEXT, "{\"a\": 1}")));
    assert_true(same(VALUE(UUID, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01\x23\x45\x67\x89\xab\xcd\xef"), VALUE(TEXT, "01234567-89ab-cdef-0123-456789abcdef")));
    assert_false(same(VALUE(JSONB, "\1{\"a\": 1}"), VALUE(JSONB, "\1{\"a\": 2}")));
}

TEST(texts_are_told_apart_by_every_byte_and_by_their_length) {
    const struct value texts[] = {NULL_OF(TEXT), VALUE(TEXT, ""), VALUE(TEXT, "\0"), VALUE(TEXT, "a"), VALUE(TEXT, "a\0"), VALUE(TEXT, "a "), VALUE(TEXT, "12345678"),
                                  VALUE(TEXT, "12345678\0"), VALUE(TEXT, "123456789"), VALUE(TEXT, "92345671"), VALUE(TEXT, "1234567812345678")};
    for (size_t i = 0; i < N_OF(texts); i++)
        for (size_t j = 0; j < i; j++) assert_false(same(texts[i], texts[j]));
}

#define HEAD "\0\0\0\1\0\0\0\0\0\0\0\x17"
#define TWO "\0\0\0\2\0\0\0\1"

TEST(an_array_is_its_elements_whatever_number_its_type_has) {
    const struct value array = LIST(INT4, HEAD TWO "\0\0\0\4\0\0\0\5\xff\xff\xff\xff");
    assert_true(same(array, LIST(INT8, "\0\0\0\1\0\0\0\1\0\0\0\x14" TWO "\0\0\0\x08\0\0\0\0\0\0\0\5\xff\xff\xff\xff")));
    assert_true(same(LIST(INT4, "\0\0\0\0\0\0\0\0\0\0\0\x17"), LIST(TEXT, "\0\0\0\0\0\0\0\1\0\0\0\x19")));
    const struct value others[] = {
        array, NULL_OF(ARRAY), LIST(INT4, "\0\0\0\0\0\0\0\0\0\0\0\x17"), LIST(INT4, HEAD TWO "\xff\xff\xff\xff\0\0\0\4\0\0\0\5"),
        LIST(INT4, HEAD "\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\5"), LIST(INT4, HEAD "\0\0\0\2\0\0\0\0\0\0\0\4\0\0\0\5\xff\xff\xff\xff"),
        LIST(TEXT, HEAD TWO "\0\0\0\1" "a" "\0\0\0\1" "b"), LIST(TEXT, HEAD TWO "\0\0\0\2" "ab" "\0\0\0\0")};
    for (size_t i = 0; i < N_OF(others); i++)
        for (size_t j = 0; j < i; j++) assert_false(same(others[i], others[j]));
}

TEST(bytes_that_are_not_of_their_form_are_hashed_as_they_are) {
    const struct value broken[] = {
        VALUE(INT4, "\0\0\1"), VALUE(FLOAT8, "\0\5"), VALUE(NUMERIC, "\0\2\0\0\0\0\0\0\0\1"), VALUE(NUMERIC, "\0\1\0\0\0\0\0\0\x27\x10"), VALUE(UUID, "short"), VALUE(JSONB, ""), VALUE(JSONB, "\2{}"),
        LIST(INT4, "\0\0"), LIST(INT4, HEAD), LIST(INT4, HEAD TWO "\0\0\0\x09\0"), LIST(INT4, HEAD TWO "\xff\xff\xff\xfe"), LIST(INT4, "\xff\0\0\1\0\0\0\0\0\0\0\x17")};
    for (size_t i = 0; i < N_OF(broken); i++) {
        assert_true(same(broken[i], broken[i]));
        for (size_t j = 0; j < i; j++) assert_false(same(broken[i], broken[j]));
    }
}

TEST(a_row_is_its_values_in_their_order_and_a_key_its_own) {
    const struct value one[] = {VALUE(TEXT, "ab"), VALUE(TEXT, "c"), NULL_OF(TEXT)}, other[] = {VALUE(TEXT, "a"), VALUE(TEXT, "bc"), NULL_OF(TEXT)},
                       moved[] = {VALUE(TEXT, "ab"), NULL_OF(TEXT), VALUE(TEXT, "c")};
    struct rf_row_hash first = hash_of(one, 3, 0), second = hash_of(other, 3, 0), third = hash_of(moved, 3, 0), by_other_key = hash_of(one, 3, 1);
    assert_true(first.row != second.row && first.row != third.row && second.row != third.row);
    assert_true(first.key == third.key && first.key != second.key);
    assert_true(by_other_key.row == first.row && by_other_key.key != first.key);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_siphash_2_4),
        cmocka_unit_test(a_number_is_the_same_in_every_width_and_form),
        cmocka_unit_test(numbers_that_differ_never_look_alike),
        cmocka_unit_test(a_number_beyond_64_bits_is_told_by_its_digits),
        cmocka_unit_test(a_float_is_that_of_its_value_and_minus_0_is_another),
        cmocka_unit_test(jsonb_is_its_text_and_a_uuid_too),
        cmocka_unit_test(texts_are_told_apart_by_every_byte_and_by_their_length),
        cmocka_unit_test(an_array_is_its_elements_whatever_number_its_type_has),
        cmocka_unit_test(bytes_that_are_not_of_their_form_are_hashed_as_they_are),
        cmocka_unit_test(a_row_is_its_values_in_their_order_and_a_key_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
