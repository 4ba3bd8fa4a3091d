/* Reads a table while another thread cancels it after so many batches, each of which is released on a thread of its own;
 * made for the thread sanitizer, as race.c.
 *
 *   read_race <job JSON> <rounds>
 */
#include "drivers/read.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_BATCHES = 64, SLICE_MS = 50 };

struct reading {
    struct rf_read *read;
    atomic_int n_taken;
    int cancel_after; /* batches */
    struct ArrowArray batches[MOST_BATCHES];
    pthread_t threads[MOST_BATCHES];
    int64_t rows;
};

static void *cancel_late(void *arg) {
    struct reading *reading = arg;
    struct rf_error err;
    while (atomic_load(&reading->n_taken) < reading->cancel_after && !rf_read_ended(reading->read, &err))
        nanosleep(&(struct timespec){.tv_nsec = 1000000L}, NULL);
    rf_read_stop(reading->read);
    rf_read_release(reading->read);
    return NULL;
}

static void *let_go(void *arg) {
    struct ArrowArray *batch = arg;
    batch->release(batch);
    return NULL;
}

static void start(pthread_t *thread, void *(*run)(void *), void *arg) {
    if (pthread_create(thread, NULL, run, arg) != 0) abort();
}

/* RF_OK at the end of the rows. */
static enum rf_code take_all(struct reading *reading, struct rf_error *err) {
    for (;;) {
        int n = atomic_load(&reading->n_taken);
        bool ready = false;
        enum rf_code code = rf_read_next(reading->read, SLICE_MS, &ready, &reading->batches[n], err);
        if (code != RF_OK) return code;
        if (!ready) continue;
        if (!reading->batches[n].release) return RF_OK;
        reading->rows += reading->batches[n].length;
        start(&reading->threads[n], let_go, &reading->batches[n]);
        atomic_store(&reading->n_taken, n + 1);
        if (n + 1 == MOST_BATCHES) abort();
    }
}

static int play(const char *job, int round) {
    struct reading *reading = calloc(1, sizeof *reading);
    struct rf_error err;
    pthread_t canceller;
    if (!reading || rf_read_start(job, &reading->read, &err) != RF_OK) abort();
    reading->cancel_after = round;
    rf_read_hold(reading->read);
    start(&canceller, cancel_late, reading);
    enum rf_code code = take_all(reading, &err);
    rf_read_release(reading->read);
    pthread_join(canceller, NULL);
    for (int i = 0; i < atomic_load(&reading->n_taken); i++) pthread_join(reading->threads[i], NULL);
    bool good = code == RF_CANCELLED || (code == RF_OK && reading->rows > 0);
    if (!good) fprintf(stderr, "round %d: %s: %s\n", round, rf_code_name(code), code == RF_OK ? "no row" : err.message);
    else printf("%s ", rf_code_name(code));
    free(reading);
    return !good;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int n_bad = 0;
    for (int round = 0; round < atoi(argv[2]); round++) n_bad += play(argv[1], round);
    printf("%d outcomes that may not be\n", n_bad);
    return n_bad ? 1 : 0;
}
