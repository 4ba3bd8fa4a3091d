/* Runs jobs on threads of their own against real servers while another thread cancels and watches them; made for the
 * thread sanitizer, which ends it with exit code 66 when two threads meet without order.
 *
 *   race <job JSON> <rounds>
 */
#include "drivers/verbs.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N_JOBS = 2 };

struct watched {
    const char *job;
    struct rf_cancel *cancel;
    atomic_int step;
    atomic_llong rows;
    atomic_bool ended;
    enum rf_code code;
    struct rf_error error;
};

static void note_step(void *context, enum rf_step step, int64_t rows, int64_t bytes) {
    struct watched *watched = context;
    (void)bytes;
    atomic_store(&watched->step, (int)step);
    atomic_store(&watched->rows, (long long)rows);
}

static void *run(void *arg) {
    struct watched *watched = arg;
    char *json = NULL;
    watched->code = rf_execute(RF_RUN, watched->job, watched->cancel, (struct rf_observer){.on_step = note_step, .context = watched}, &json, &watched->error);
    free(json);
    atomic_store(&watched->ended, true);
    return NULL;
}

static void pause_ms(int ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

/* Cancels the job once it comes to the step of this round, from this thread. A step that it does not come to ends
 * with the run. */
static void cancel_at(struct watched *watched, int step) {
    while (!atomic_load(&watched->ended) && atomic_load(&watched->step) < step) pause_ms(1);
    rf_cancel_request(watched->cancel);
}

static int play(const char *job, int round) {
    struct watched jobs[N_JOBS];
    pthread_t threads[N_JOBS];
    int n_bad = 0;
    memset(jobs, 0, sizeof jobs);
    for (int i = 0; i < N_JOBS; i++) {
        jobs[i].job = job;
        jobs[i].cancel = rf_cancel_new();
        if (pthread_create(&threads[i], NULL, run, &jobs[i]) != 0) abort();
    }
    if (round < RF_STEP_CLOSE) cancel_at(&jobs[round % N_JOBS], round);
    for (int i = 0; i < N_JOBS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < N_JOBS; i++) {
        bool good = jobs[i].code == RF_OK || jobs[i].code == RF_BUSY || (jobs[i].code == RF_CANCELLED && rf_cancel_requested(jobs[i].cancel));
        if (!good) fprintf(stderr, "round %d: %s: %s\n", round, rf_code_name(jobs[i].code), jobs[i].error.message);
        n_bad += !good;
        rf_cancel_release(jobs[i].cancel);
    }
    return n_bad;
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    int n_bad = 0;
    for (int round = 0; round < atoi(argv[2]); round++) n_bad += play(argv[1], round);
    printf("%d outcomes that may not be\n", n_bad);
    return n_bad ? 1 : 0;
}
