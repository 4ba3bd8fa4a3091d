/* Reading COPY BINARY from bytes that may end, or lie, anywhere. */
#include "core/copy_binary.h"

#include "units.h"

#include <stdlib.h>
#include <string.h>

#define HEADER 'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xFF, '\r', '\n', 0, 0, 0, 0, 0, 0, 0, 0, 0
#define ROW_OF_THREE 0, 3, 0, 0, 0, 3, 'a', 'b', 'c', 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 2, 'd', 'e'
#define TRAILER 0xFF, 0xFF
enum { HEADER_BYTES = 19, ROW_BYTES = 19, FIELDS = 3 };

static const uint8_t ONE_ROW[] = {HEADER, ROW_OF_THREE, TRAILER};

struct reading {
    struct rf_copy_reader reader;
    struct rf_field fields[FIELDS];
    const uint8_t *data;
    size_t n_bytes;
};

static enum rf_copy_result next_row(struct reading *reading) {
    return rf_copy_next_row(&reading->reader, &reading->data, &reading->n_bytes, reading->fields, FIELDS);
}

TEST(a_row_gives_its_fields_and_null_where_there_is_none) {
    struct reading reading = {.data = ONE_ROW, .n_bytes = sizeof ONE_ROW};
    assert_int_equal(next_row(&reading), RF_COPY_ROW);
    assert_int_equal(reading.fields[0].n_bytes, 3);
    assert_memory_equal(reading.fields[0].bytes, "abc", 3);
    assert_null(reading.fields[1].bytes);
    assert_int_equal(reading.fields[1].n_bytes, -1);
    assert_memory_equal(reading.fields[2].bytes, "de", 2);
    assert_int_equal(next_row(&reading), RF_COPY_END);
    assert_int_equal(reading.n_bytes, 0);
    assert_int_equal(next_row(&reading), RF_COPY_END);
}

TEST(an_empty_field_is_not_null) {
    static const uint8_t bytes[] = {HEADER, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, TRAILER};
    struct reading reading = {.data = bytes, .n_bytes = sizeof bytes};
    assert_int_equal(next_row(&reading), RF_COPY_ROW);
    assert_non_null(reading.fields[0].bytes);
    assert_int_equal(reading.fields[0].n_bytes, 0);
}

TEST(a_table_without_rows_ends_at_once) {
    static const uint8_t bytes[] = {HEADER, TRAILER};
    struct reading reading = {.data = bytes, .n_bytes = sizeof bytes};
    assert_int_equal(next_row(&reading), RF_COPY_END);
}

TEST(an_extension_of_the_header_is_skipped) {
    static const uint8_t bytes[] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xFF, '\r', '\n', 0, 0, 0, 0, 0, 0, 0, 0, 5, 'e', 'x', 't', 'r', 'a', ROW_OF_THREE, TRAILER};
    struct reading reading = {.data = bytes, .n_bytes = sizeof bytes};
    assert_int_equal(next_row(&reading), RF_COPY_ROW);
    assert_memory_equal(reading.fields[0].bytes, "abc", 3);
    for (size_t n = 0; n < HEADER_BYTES + 5; n++) {
        struct reading cut = {.data = bytes, .n_bytes = n};
        assert_int_equal(next_row(&cut), RF_COPY_MORE);
    }
}

TEST(nothing_at_all_means_more) {
    struct reading reading = {0};
    assert_int_equal(next_row(&reading), RF_COPY_MORE);
}

/* Each prefix lives in memory of exactly its size, so that the sanitizer sees a byte read too far. */
TEST(bytes_cut_anywhere_mean_more_and_nothing_is_taken_of_a_row) {
    for (size_t n = 0; n < HEADER_BYTES + ROW_BYTES; n++) {
        uint8_t *copy = malloc(n ? n : 1);
        memcpy(copy, ONE_ROW, n);
        struct reading reading = {.data = copy, .n_bytes = n};
        assert_int_equal(next_row(&reading), RF_COPY_MORE);
        size_t taken = n >= HEADER_BYTES ? HEADER_BYTES : 0;
        assert_ptr_equal(reading.data, copy + taken);
        assert_int_equal(reading.n_bytes, n - taken);
        free(copy);
    }
}

TEST(reading_goes_on_where_more_bytes_arrive) {
    for (size_t cut = 0; cut <= HEADER_BYTES + ROW_BYTES; cut++) {
        struct reading reading = {.data = ONE_ROW, .n_bytes = cut};
        enum rf_copy_result result = next_row(&reading);
        reading.n_bytes += sizeof ONE_ROW - cut;
        if (result == RF_COPY_MORE) result = next_row(&reading);
        assert_int_equal(result, RF_COPY_ROW);
        assert_int_equal(next_row(&reading), RF_COPY_END);
    }
}

static void is_broken(const uint8_t *bytes, size_t n_bytes) {
    uint8_t *copy = malloc(n_bytes);
    memcpy(copy, bytes, n_bytes);
    struct reading reading = {.data = copy, .n_bytes = n_bytes};
    assert_int_equal(next_row(&reading), RF_COPY_BROKEN);
    free(copy);
}

TEST(another_signature_is_broken_from_its_first_wrong_byte_on) {
    for (size_t wrong = 0; wrong < 11; wrong++) {
        uint8_t bytes[sizeof ONE_ROW];
        memcpy(bytes, ONE_ROW, sizeof bytes);
        bytes[wrong] ^= 0x20;
        is_broken(bytes, wrong + 1);
        is_broken(bytes, sizeof bytes);
    }
}

TEST(a_row_of_another_number_of_fields_is_broken) {
    static const uint8_t counts[][2] = {{0, 0}, {0, 2}, {0, 4}, {0x7F, 0xFF}, {0xFF, 0xFE}, {0x80, 0}, {3, 0}};
    for (size_t i = 0; i < N_OF(counts); i++) {
        uint8_t bytes[sizeof ONE_ROW];
        memcpy(bytes, ONE_ROW, sizeof bytes);
        memcpy(bytes + HEADER_BYTES, counts[i], 2);
        is_broken(bytes, sizeof bytes);
        is_broken(bytes, HEADER_BYTES + 2);
    }
}

TEST(a_length_below_null_is_broken) {
    static const uint8_t lengths[][4] = {{0xFF, 0xFF, 0xFF, 0xFE}, {0x80, 0, 0, 0}, {0xFF, 0, 0, 0}};
    for (size_t i = 0; i < N_OF(lengths); i++) {
        uint8_t bytes[sizeof ONE_ROW];
        memcpy(bytes, ONE_ROW, sizeof bytes);
        memcpy(bytes + HEADER_BYTES + 2, lengths[i], 4);
        is_broken(bytes, HEADER_BYTES + 6);
        is_broken(bytes, sizeof bytes);
    }
}

TEST(a_length_beyond_the_bytes_waits_for_more_of_them) {
    uint8_t bytes[sizeof ONE_ROW];
    memcpy(bytes, ONE_ROW, sizeof bytes);
    memcpy(bytes + HEADER_BYTES + 2, (const uint8_t[]){0x7F, 0xFF, 0xFF, 0xFF}, 4);
    struct reading reading = {.data = bytes, .n_bytes = sizeof bytes};
    assert_int_equal(next_row(&reading), RF_COPY_MORE);
}

TEST(bytes_behind_the_end_are_broken) {
    static const uint8_t bytes[] = {HEADER, TRAILER, 0};
    struct reading reading = {.data = bytes, .n_bytes = sizeof bytes};
    assert_int_equal(next_row(&reading), RF_COPY_END);
    assert_int_equal(reading.n_bytes, 1);
    assert_int_equal(next_row(&reading), RF_COPY_BROKEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_gives_its_fields_and_null_where_there_is_none),
        cmocka_unit_test(an_empty_field_is_not_null),
        cmocka_unit_test(a_table_without_rows_ends_at_once),
        cmocka_unit_test(an_extension_of_the_header_is_skipped),
        cmocka_unit_test(nothing_at_all_means_more),
        cmocka_unit_test(bytes_cut_anywhere_mean_more_and_nothing_is_taken_of_a_row),
        cmocka_unit_test(reading_goes_on_where_more_bytes_arrive),
        cmocka_unit_test(another_signature_is_broken_from_its_first_wrong_byte_on),
        cmocka_unit_test(a_row_of_another_number_of_fields_is_broken),
        cmocka_unit_test(a_length_below_null_is_broken),
        cmocka_unit_test(a_length_beyond_the_bytes_waits_for_more_of_them),
        cmocka_unit_test(bytes_behind_the_end_are_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
