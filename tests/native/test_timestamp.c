/* Times as texts. */
#include "core/timestamp.h"

#include "units.h"

#include <string.h>

static const int64_t SECOND = 1000000, DAY = INT64_C(86400) * 1000000;

static const struct { const char *text; int64_t micros; } TIMES[] = {
    {"1970-01-01T00:00:00.000000+00:00", 0},
    {"1970-01-01T00:00:00.000001+00:00", 1},
    {"1969-12-31T23:59:59.999999+00:00", -1},
    {"1969-12-31T23:59:59.000000+00:00", -1000000},
    {"1970-01-02T00:00:00.000000+00:00", INT64_C(86400000000)},
    {"2000-02-29T12:34:56.789012+00:00", INT64_C(951827696789012)},
    {"1900-03-01T00:00:00.000000+00:00", INT64_C(-2203891200000000)},
    {"2038-01-19T03:14:08.000000+00:00", INT64_C(2147483648000000)},
    {"0001-01-01T00:00:00.000000+00:00", INT64_C(-62135596800000000)},
    {"9999-12-31T23:59:59.999999+00:00", INT64_C(253402300799999999)},
};

TEST(a_time_is_written_as_it_is_read) {
    for (size_t i = 0; i < N_OF(TIMES); i++) {
        char text[RF_TIMESTAMP_BYTES];
        int64_t micros = 0;
        rf_write_timestamp(text, TIMES[i].micros);
        assert_string_equal(text, TIMES[i].text);
        assert_true(rf_read_timestamp(TIMES[i].text, &micros));
        assert_int_equal(micros, TIMES[i].micros);
    }
}

TEST(every_microsecond_and_day_around_1970_comes_back) {
    static const int64_t steps[] = {1, 999999, 86400000000};
    for (size_t s = 0; s < N_OF(steps); s++) {
        for (int64_t n = -1000; n <= 1000; n++) {
            char text[RF_TIMESTAMP_BYTES];
            int64_t back = 0;
            rf_write_timestamp(text, n * steps[s]);
            assert_int_equal(strlen(text), 32);
            assert_true(rf_read_timestamp(text, &back));
            assert_int_equal(back, n * steps[s]);
        }
    }
}

TEST(texts_are_in_the_order_of_their_times) {
    char before[RF_TIMESTAMP_BYTES], after[RF_TIMESTAMP_BYTES];
    for (int64_t n = -500; n < 500; n++) {
        rf_write_timestamp(before, n * (DAY - SECOND) - 1);
        rf_write_timestamp(after, n * (DAY - SECOND));
        assert_true(strcmp(before, after) < 0);
    }
}

TEST(what_has_another_form_is_no_time) {
    static const char *const texts[] = {NULL, "", "infinity", "-infinity", "2026-11-22", "2026-11-22T18:00:00", "2026-11-22T18:00:00+00:00",
                                        "2026-11-22 18:00:00.000000+00:00", "T18:00:00.000000", "2026-11-22T18:00.000000", "2026-11-22T18:00:00.x",
                                        "10002026-11-22T18:00:00.000000", "2026-2147483648-22T18:00:00.000000", "2026-11-22T18:00:2147483647.000000"};
    for (size_t i = 0; i < N_OF(texts); i++) {
        int64_t micros = 42;
        if (rf_read_timestamp(texts[i], &micros)) fail_msg("taken for a time: %s", texts[i]);
        assert_int_equal(micros, 42);
    }
}

TEST(an_offset_is_not_looked_at) {
    int64_t with = 0, without = 1;
    assert_true(rf_read_timestamp("2026-11-22T18:00:00.000000+05:00", &with));
    assert_true(rf_read_timestamp("2026-11-22T18:00:00.000000", &without));
    assert_int_equal(with, without);
}

TEST(a_time_beyond_the_year_9999_fits_its_buffer) {
    char text[RF_TIMESTAMP_BYTES];
    rf_write_timestamp(text, INT64_MAX);
    assert_string_equal(text, "294247-01-10T04:00:54.775807+00:00");
    rf_write_timestamp(text, INT64_MIN + SECOND);
    assert_true(strlen(text) < sizeof text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_time_is_written_as_it_is_read),
        cmocka_unit_test(every_microsecond_and_day_around_1970_comes_back),
        cmocka_unit_test(texts_are_in_the_order_of_their_times),
        cmocka_unit_test(what_has_another_form_is_no_time),
        cmocka_unit_test(an_offset_is_not_looked_at),
        cmocka_unit_test(a_time_beyond_the_year_9999_fits_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
