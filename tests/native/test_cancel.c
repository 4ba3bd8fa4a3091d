/* Cancelling from another thread: who is asked, how often, and when what they were given is freed. */
#include "core/cancel.h"
#include "core/clock.h"

#include "units.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

/* Stands for a connection; lives until the token drops it. */
struct connection {
    atomic_int *asked;
    atomic_int *dropped;
    atomic_bool *may_answer; /* NULL: answers at once */
};

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void pause_ms(int ms) {
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* Waits until `value` reaches `least`; two seconds mean that it never will. */
static bool reaches(atomic_int *value, int least) {
    for (int i = 0; i < 400 && atomic_load(value) < least; i++) pause_ms(5);
    return atomic_load(value) >= least;
}

static void ask(void *arg) {
    struct connection *connection = arg;
    atomic_fetch_add(connection->asked, 1);
    while (connection->may_answer && !atomic_load(connection->may_answer)) pause_ms(5);
}

static void drop(void *arg) {
    struct connection *connection = arg;
    atomic_fetch_add(connection->dropped, 1);
    free(connection);
}

static struct rf_cancel_slot *try_to_connect(struct rf_cancel *cancel, atomic_int *asked, atomic_int *dropped, atomic_bool *may_answer) {
    struct connection *connection = malloc(sizeof *connection);
    *connection = (struct connection){.asked = asked, .dropped = dropped, .may_answer = may_answer};
    return rf_cancel_register(cancel, ask, drop, connection);
}

static struct rf_cancel_slot *connect_to(struct rf_cancel *cancel, atomic_int *asked, atomic_int *dropped, atomic_bool *may_answer) {
    return needed(try_to_connect(cancel, asked, dropped, may_answer));
}

/* How long so many pauses took in all, in ms. */
static int64_t take_pauses(struct rf_cancel *cancel, int n, int timeout_ms) {
    int64_t started = rf_clock_ms();
    for (int i = 0; i < n; i++) rf_cancel_pause(cancel, timeout_ms);
    return rf_clock_ms() - started;
}

TEST(tries_behind_a_cancel_have_a_pause_between_them) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    assert_true(take_pauses(cancel, 1, 50) >= 50);
    rf_cancel_request(cancel);
    assert_true(take_pauses(cancel, 3, 1000) >= 3 * 1000 / RF_TRIES_BEHIND_CANCEL - 3);
    assert_true(take_pauses(cancel, 1, 2) >= 2);
    rf_cancel_release(cancel);
}

TEST(a_request_is_seen_and_stays) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    assert_false(rf_cancel_requested(cancel));
    rf_cancel_request(cancel);
    rf_cancel_request(cancel);
    assert_true(rf_cancel_requested(cancel));
    rf_cancel_release(cancel);
}

TEST(a_busy_connection_is_asked_again_until_it_stops) {
    atomic_int asked = 0, dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *slot = connect_to(cancel, &asked, &dropped, NULL);
    rf_cancel_set_busy(slot, true);
    rf_cancel_request(cancel);
    assert_true(reaches(&asked, 2));
    assert_int_equal(dropped, 0);
    rf_cancel_unregister(cancel, slot);
    assert_true(reaches(&dropped, 1));
    rf_cancel_release(cancel);
}

TEST(an_idle_connection_is_not_asked_but_one_that_gets_busy_is) {
    atomic_int asked = 0, dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *slot = connect_to(cancel, &asked, &dropped, NULL);
    rf_cancel_request(cancel);
    pause_ms(50);
    assert_int_equal(asked, 0);
    rf_cancel_set_busy(slot, true);
    assert_true(reaches(&asked, 1));
    rf_cancel_unregister(cancel, slot);
    assert_true(reaches(&dropped, 1));
    rf_cancel_release(cancel);
}

TEST(both_ends_of_a_run_are_asked) {
    atomic_int source = 0, target = 0, dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *one = connect_to(cancel, &source, &dropped, NULL), *other = connect_to(cancel, &target, &dropped, NULL);
    rf_cancel_set_busy(one, true);
    rf_cancel_set_busy(other, true);
    rf_cancel_request(cancel);
    assert_true(reaches(&source, 1));
    assert_true(reaches(&target, 1));
    rf_cancel_unregister(cancel, one);
    rf_cancel_unregister(cancel, other);
    assert_true(reaches(&dropped, 2));
    rf_cancel_release(cancel);
}

TEST(a_request_before_any_connection_is_still_there_when_one_registers) {
    atomic_int asked = 0, dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    rf_cancel_request(cancel);
    struct rf_cancel_slot *slot = connect_to(cancel, &asked, &dropped, NULL);
    assert_non_null(slot);
    assert_true(rf_cancel_requested(cancel));
    rf_cancel_unregister(cancel, slot);
    assert_int_equal(dropped, 1);
    rf_cancel_release(cancel);
}

TEST(nobody_is_asked_without_a_request) {
    atomic_int asked = 0, dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *slot = connect_to(cancel, &asked, &dropped, NULL);
    rf_cancel_set_busy(slot, true);
    pause_ms(20);
    rf_cancel_unregister(cancel, slot);
    assert_int_equal(asked, 0);
    assert_int_equal(dropped, 1);
    rf_cancel_release(cancel);
}

/* The server is slow to answer the request while the run already closes its connection. */
TEST(a_connection_closed_while_it_is_asked_is_freed_after_the_answer) {
    atomic_int asked = 0, dropped = 0;
    atomic_bool may_answer = false;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *slot = connect_to(cancel, &asked, &dropped, &may_answer);
    rf_cancel_set_busy(slot, true);
    rf_cancel_request(cancel);
    assert_true(reaches(&asked, 1));
    double before = seconds();
    rf_cancel_unregister(cancel, slot);
    rf_cancel_release(cancel);
    assert_true(seconds() - before < 1);
    assert_int_equal(dropped, 0);
    atomic_store(&may_answer, true);
    assert_true(reaches(&dropped, 1));
    assert_int_equal(asked, 1);
    pause_ms(20); /* lets the asking thread give its hold back before the process ends */
}

/* A connection that answers nothing until it may, and the test's own that does. */
TEST(a_server_that_does_not_answer_delays_no_other) {
    atomic_int silent = 0, lively = 0, dropped = 0;
    atomic_bool may_answer = false;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *slots[] = {
        connect_to(cancel, &lively, &dropped, NULL),
        connect_to(cancel, &silent, &dropped, &may_answer),
        connect_to(cancel, &lively, &dropped, NULL),
    };
    for (size_t i = 0; i < N_OF(slots); i++) rf_cancel_set_busy(slots[i], true);
    rf_cancel_request(cancel);
    assert_true(reaches(&silent, 1));
    assert_true(reaches(&lively, 4)); /* both, and both again */
    assert_int_equal(silent, 1);
    for (size_t i = 0; i < N_OF(slots); i++) rf_cancel_unregister(cancel, slots[i]);
    assert_true(reaches(&dropped, 2));
    atomic_store(&may_answer, true);
    assert_true(reaches(&dropped, 3));
    rf_cancel_release(cancel);
}

TEST(every_connection_is_asked_however_many_there_are) {
    enum { MANY = 40 };
    atomic_int asked[MANY] = {0}, dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct rf_cancel_slot *slots[MANY];
    for (int i = 0; i < MANY; i++) {
        slots[i] = connect_to(cancel, &asked[i], &dropped, NULL);
        rf_cancel_set_busy(slots[i], true);
    }
    rf_cancel_request(cancel);
    for (int i = 0; i < MANY; i++) assert_true(reaches(&asked[i], 1));
    for (int i = 0; i < MANY; i++) rf_cancel_unregister(cancel, slots[i]);
    assert_true(reaches(&dropped, MANY));
    rf_cancel_release(cancel);
}

TEST(unregistering_nothing_does_nothing) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    rf_cancel_unregister(cancel, NULL);
    rf_cancel_set_busy(NULL, true);
    rf_cancel_release(cancel);
    rf_cancel_release(NULL);
}

TEST(a_token_lives_as_long_as_its_last_holder) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    assert_ptr_equal(rf_cancel_hold(cancel), cancel);
    rf_cancel_release(cancel);
    rf_cancel_request(cancel);
    assert_true(rf_cancel_requested(cancel));
    rf_cancel_release(cancel);
}

static void *request_soon(void *arg) {
    pause_ms(30);
    rf_cancel_request(arg);
    return NULL;
}

TEST(a_wait_ends_with_its_time_or_with_a_request) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    double before = seconds();
    rf_cancel_wait(cancel, 30);
    double waited = seconds() - before;
    assert_true(waited >= 0.029 && waited < 2);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, request_soon, cancel), 0);
    before = seconds();
    rf_cancel_wait(cancel, 60000);
    assert_true(seconds() - before < 2);
    pthread_join(thread, NULL);
    before = seconds();
    rf_cancel_wait(cancel, 60000);
    assert_true(seconds() - before < 1);
    rf_cancel_release(cancel);
}

struct session {
    struct rf_cancel *cancel;
    atomic_int *asked, *dropped;
};

/* A test ends on its own thread alone, so a lack of memory is passed over here. */
static void *come_and_go(void *arg) {
    enum { TIMES = 200 };
    struct session *session = arg;
    for (int i = 0; i < TIMES; i++) {
        struct rf_cancel_slot *slot = try_to_connect(session->cancel, session->asked, session->dropped, NULL);
        rf_cancel_set_busy(slot, true);
        if (rf_cancel_requested(session->cancel)) rf_cancel_wait(session->cancel, 1000);
        rf_cancel_set_busy(slot, i % 2 == 0);
        rf_cancel_unregister(session->cancel, slot);
    }
    rf_cancel_release(session->cancel);
    return NULL;
}

/* For the thread sanitizer: nothing but the token orders these threads. */
TEST(connections_come_and_go_on_threads_of_their_own_while_one_cancels) {
    enum { N_THREADS = 4, CONNECTIONS = N_THREADS * 200 };
    atomic_int asked = 0, dropped = 0;
    struct rf_cancel *cancel = needed(rf_cancel_new());
    struct session session = {.cancel = cancel, .asked = &asked, .dropped = &dropped};
    pthread_t threads[N_THREADS];
    for (int i = 0; i < N_THREADS; i++) {
        rf_cancel_hold(cancel);
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &session), 0);
    }
    for (int i = 0; i < 3; i++) rf_cancel_request(cancel);
    for (int i = 0; i < N_THREADS; i++) pthread_join(threads[i], NULL);
    rf_cancel_release(cancel);
    assert_true(reaches(&dropped, CONNECTIONS));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tries_behind_a_cancel_have_a_pause_between_them),
        cmocka_unit_test(a_request_is_seen_and_stays),
        cmocka_unit_test(a_busy_connection_is_asked_again_until_it_stops),
        cmocka_unit_test(an_idle_connection_is_not_asked_but_one_that_gets_busy_is),
        cmocka_unit_test(both_ends_of_a_run_are_asked),
        cmocka_unit_test(a_request_before_any_connection_is_still_there_when_one_registers),
        cmocka_unit_test(nobody_is_asked_without_a_request),
        cmocka_unit_test(a_connection_closed_while_it_is_asked_is_freed_after_the_answer),
        cmocka_unit_test(a_server_that_does_not_answer_delays_no_other),
        cmocka_unit_test(every_connection_is_asked_however_many_there_are),
        cmocka_unit_test(unregistering_nothing_does_nothing),
        cmocka_unit_test(a_token_lives_as_long_as_its_last_holder),
        cmocka_unit_test(a_wait_ends_with_its_time_or_with_a_request),
        cmocka_unit_test(connections_come_and_go_on_threads_of_their_own_while_one_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
