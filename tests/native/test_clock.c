/* Durations and deadlines: the clock goes forward, and a wait by it ends in time. */
#include "core/clock.h"

#include "units.h"

#include <errno.h>

TEST(the_clock_never_goes_back_and_its_two_forms_agree) {
    double seconds = rf_clock_seconds();
    int64_t ms = rf_clock_ms();
    for (int i = 0; i < 1000; i++) {
        assert_true(rf_clock_seconds() >= seconds && rf_clock_ms() >= ms);
        seconds = rf_clock_seconds();
        ms = rf_clock_ms();
    }
    assert_true((double)ms / 1000 - seconds < 60 && seconds - (double)ms / 1000 < 60);
}

static double from_now(struct timespec when) {
    return (double)when.tv_sec + (double)when.tv_nsec / 1e9 - rf_clock_seconds();
}

TEST(a_deadline_is_a_time_of_whole_seconds_and_less_than_a_second) {
    static const int spans[] = {0, 1, 50, 999, 1000, 1001, 60999, 86400000};
    for (size_t i = 0; i < N_OF(spans); i++) {
        struct timespec when = rf_clock_after(spans[i]);
        assert_true(when.tv_nsec >= 0 && when.tv_nsec < 1000000000L);
        assert_true(from_now(when) <= spans[i] / 1000.0 && from_now(when) > spans[i] / 1000.0 - 60);
    }
}

TEST(a_wait_on_a_condition_ends_at_its_deadline_and_not_before) {
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    rf_clock_condition(&condition);
    struct timespec until = rf_clock_after(20);
    pthread_mutex_lock(&mutex);
    int outcome = 0;
    while (outcome == 0) outcome = pthread_cond_timedwait(&condition, &mutex, &until);
    pthread_mutex_unlock(&mutex);
    assert_int_equal(outcome, ETIMEDOUT);
    assert_true(from_now(until) <= 0);
    pthread_cond_destroy(&condition);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_never_goes_back_and_its_two_forms_agree),
        cmocka_unit_test(a_deadline_is_a_time_of_whole_seconds_and_less_than_a_second),
        cmocka_unit_test(a_wait_on_a_condition_ends_at_its_deadline_and_not_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
