/* An unanswered COMMIT: how often it is asked after, what ends that, what comes back. */
#include "drivers/doubt.h"

#include "units.h"

#include <string.h>

/* Answers in turn, the last one for ever. */
struct witness {
    const enum rf_outcome *outcomes;
    int n_outcomes, n_asked;
};

static enum rf_outcome ask(void *self) {
    struct witness *witness = self;
    int at = witness->n_asked++;
    return witness->outcomes[at < witness->n_outcomes ? at : witness->n_outcomes - 1];
}

/* A cancel is requested already, so that thirty pauses take a second. */
static enum rf_code resolve(struct witness *witness, struct rf_error *err) {
    struct rf_cancel *cancel = needed(rf_cancel_new());
    const struct rf_doubt doubt = {.cancel = cancel, .label = "raw.orders", .load_id = 8, .ask = ask, .self = witness};
    rf_cancel_request(cancel);
    rf_fail(err, RF_TARGET, "the answer to COMMIT was lost");
    enum rf_code code = rf_resolve_doubt(&doubt, err);
    rf_cancel_release(cancel);
    return code;
}

static void ends(const enum rf_outcome *outcomes, int n_outcomes, enum rf_code expected, int n_asked, bool is_known) {
    struct witness witness = {.outcomes = outcomes, .n_outcomes = n_outcomes};
    struct rf_error err;
    enum rf_code code = resolve(&witness, &err);
    assert_int_equal(code, expected);
    assert_int_equal(witness.n_asked, n_asked);
    if (code == RF_OK) return;
    assert_string_equal(err.message, "the answer to COMMIT was lost");
    if (is_known) assert_string_equal(err.hint, "");
    else assert_contains(err.hint, "load 8 of raw.orders was committed could not be found out");
}

TEST(what_is_recorded_was_committed_however_late_that_shows) {
    ends((enum rf_outcome[]){RF_COMMITTED}, 1, RF_OK, 1, true);
    ends((enum rf_outcome[]){RF_ASK_AGAIN, RF_ASK_AGAIN, RF_COMMITTED}, 3, RF_OK, 3, true);
}

TEST(what_is_not_recorded_fails_as_the_commit_did) {
    ends((enum rf_outcome[]){RF_ASK_AGAIN, RF_NOT_COMMITTED, RF_COMMITTED}, 3, RF_TARGET, 2, true);
}

TEST(what_nobody_will_answer_is_asked_no_more_and_said_to_be_unknown) {
    ends((enum rf_outcome[]){RF_UNKNOWN, RF_COMMITTED}, 2, RF_TARGET, 1, false);
}

TEST(what_is_never_answered_is_asked_thirty_times_and_said_to_be_unknown) {
    ends((enum rf_outcome[]){RF_ASK_AGAIN}, 1, RF_TARGET, 30, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_recorded_was_committed_however_late_that_shows),
        cmocka_unit_test(what_is_not_recorded_fails_as_the_commit_did),
        cmocka_unit_test(what_nobody_will_answer_is_asked_no_more_and_said_to_be_unknown),
        cmocka_unit_test(what_is_never_answered_is_asked_thirty_times_and_said_to_be_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
