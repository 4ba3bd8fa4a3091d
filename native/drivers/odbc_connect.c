#include "drivers/odbc_connect.h"

#include "core/clock.h"
#include "core/thread.h"
#include "drivers/odbc_load.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* The driver's own login timeout comes first where it holds: its words are the better ones. */
enum { POLL_MS = 100, GRACE_MS = 2000 };

/* MariaDB's driver takes the login timeout for the TCP connection alone, and waits without an end for a server that says nothing
 * on it. So the driver connects on a thread of its own, which owns the handles from the moment that nobody waits for it. */
struct attempt {
    pthread_mutex_t mutex; /* guards the last three */
    pthread_cond_t changed;
    struct rf_odbc_api *api;
    void *environment;
    void *connection;
    struct rf_text string;
    bool has_ended;
    bool is_left; /* nobody waits for it */
    SQLRETURN returned;
};

static void free_attempt(struct attempt *attempt) {
    pthread_cond_destroy(&attempt->changed);
    pthread_mutex_destroy(&attempt->mutex);
    rf_text_free(&attempt->string);
    free(attempt);
}

static void *connect_driver(void *arg) {
    struct attempt *attempt = arg;
    SQLSMALLINT ignored;
    SQLRETURN returned = attempt->api->SQLDriverConnect(attempt->connection, NULL, (SQLCHAR *)attempt->string.data, SQL_NTS, NULL, 0, &ignored, SQL_DRIVER_NOPROMPT);
    pthread_mutex_lock(&attempt->mutex);
    attempt->returned = returned;
    attempt->has_ended = true;
    bool is_left = attempt->is_left;
    pthread_cond_signal(&attempt->changed);
    pthread_mutex_unlock(&attempt->mutex);
    if (!is_left) return NULL; /* who waits frees it */
    if (SQL_SUCCEEDED(returned)) (void)attempt->api->SQLDisconnect(attempt->connection);
    rf_odbc_free_handles(attempt->api, attempt->environment, attempt->connection);
    free_attempt(attempt);
    return NULL;
}

/* True once the driver has ended; false leaves the attempt to it. */
static bool wait_for_driver(const struct rf_odbc *odbc, struct attempt *attempt) {
    int64_t deadline = rf_clock_ms() + (int64_t)odbc->connect_timeout_s * 1000 + GRACE_MS;
    pthread_mutex_lock(&attempt->mutex);
    while (!attempt->has_ended && rf_clock_ms() < deadline && !rf_odbc_is_cancelled(odbc)) {
        struct timespec until = rf_clock_after(POLL_MS);
        (void)pthread_cond_timedwait(&attempt->changed, &attempt->mutex, &until);
    }
    bool has_ended = attempt->has_ended;
    attempt->is_left = !has_ended;
    pthread_mutex_unlock(&attempt->mutex);
    return has_ended;
}

static enum rf_code fail_unanswered(const struct rf_odbc *odbc, struct rf_error *err) {
    if (rf_odbc_is_cancelled(odbc)) return rf_cancelled(err);
    struct rf_odbc_said said = {.state = "HYT00"};
    snprintf(said.text, sizeof said.text, "no answer within %d s", odbc->connect_timeout_s);
    rf_odbc_diagnose(odbc->dialect, "connect", &said, err);
    return rf_hint(err, "Check host, port and firewall of the target, or raise connect_timeout.");
}

enum rf_code rf_odbc_connect_in_time(struct rf_odbc *odbc, struct rf_text *string, int *returned, struct rf_error *err) {
    pthread_t thread;
    struct attempt *attempt = calloc(1, sizeof *attempt);
    if (!attempt) {
        rf_text_free(string);
        return rf_no_memory(err);
    }
    *attempt = (struct attempt){.api = odbc->api, .environment = odbc->environment, .connection = odbc->connection, .string = *string};
    *string = (struct rf_text){0};
    pthread_mutex_init(&attempt->mutex, NULL);
    rf_clock_condition(&attempt->changed);
    if (rf_thread_start(connect_driver, attempt, &thread) != 0) {
        free_attempt(attempt);
        return rf_no_memory(err);
    }
    if (!wait_for_driver(odbc, attempt)) {
        pthread_detach(thread);
        odbc->api = NULL;
        odbc->environment = odbc->connection = NULL;
        odbc->is_lost = true;
        return fail_unanswered(odbc, err);
    }
    pthread_join(thread, NULL);
    *returned = attempt->returned;
    free_attempt(attempt);
    return RF_OK;
}
