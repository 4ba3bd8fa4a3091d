#include "drivers/read.h"

#include "core/cancel.h"
#include "core/clock.h"
#include "core/job.h"
#include "core/json.h"
#include "core/reading.h"
#include "core/thread.h"
#include "drivers/drivers.h"
#include "drivers/rights.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ARENA_BYTES = 64 * 1024 * 1024,
    PIECE_BYTES = 65536, /* what is decoded at a time, while the server goes on sending */
    GIVE_UP_MS = 900,
};

struct rf_read {
    pthread_mutex_t mutex; /* guards what follows up to `error` */
    pthread_cond_t changed;
    int holders;
    bool described;
    bool ended;
    struct ArrowArray ahead; /* read and not yet taken; its release is NULL when there is none */
    enum rf_code code;       /* once it has ended, as `error` */
    struct rf_error error;
    pid_t pid;
    struct rf_cancel *cancel;
    size_t batch_bytes;
    struct rf_arena arena; /* the thread's alone; once described, so is all of its content */
    struct rf_job job;
    struct rf_source_postgres postgres;
    struct rf_source source;
    const struct rf_columns_field *fields; /* once described, shape (n_fields,) */
    int n_fields;
};

static bool is_here(const struct rf_read *read) {
    return read->pid == getpid();
}

static enum rf_code fail_elsewhere(struct rf_error *err) {
    rf_fail(err, RF_CONFIG, "the rows are being read by another process, of which this one is a fork");
    return rf_hint(err, "Call rowferry.read in the process that uses the rows.");
}

/* ---- the thread that reads ---- */

static enum rf_code note_columns(void *self, const struct rf_columns_field *fields, int n_fields, struct rf_error *err) {
    struct rf_read *read = self;
    (void)err;
    pthread_mutex_lock(&read->mutex);
    read->fields = fields;
    read->n_fields = n_fields;
    read->described = true;
    pthread_cond_broadcast(&read->changed);
    pthread_mutex_unlock(&read->mutex);
    return RF_OK;
}

/* Waits for the batch before to be taken: no more than one is read ahead. */
static enum rf_code put_ahead(void *self, struct ArrowArray *batch, struct rf_error *err) {
    struct rf_read *read = self;
    pthread_mutex_lock(&read->mutex);
    while (read->ahead.release && !rf_cancel_requested(read->cancel)) pthread_cond_wait(&read->changed, &read->mutex);
    bool room = !read->ahead.release;
    if (room) read->ahead = *batch;
    pthread_cond_broadcast(&read->changed);
    pthread_mutex_unlock(&read->mutex);
    return room ? RF_OK : rf_fail(err, RF_CANCELLED, "reading was cancelled");
}

static void *read_all(void *arg) {
    struct rf_read *read = arg;
    struct rf_error error = {0};
    const struct rf_taker taker = {.describe = note_columns, .take = put_ahead, .self = read};
    enum rf_code code = rf_read_table(&read->job, &read->source, read->batch_bytes, &taker, &read->arena, &error);
    if (code == RF_AUTH) rf_hint_at_right(&read->job, &error);
    pthread_mutex_lock(&read->mutex);
    read->code = code;
    read->error = error;
    read->ended = true;
    pthread_cond_broadcast(&read->changed);
    pthread_mutex_unlock(&read->mutex);
    rf_read_release(read);
    return NULL;
}

/* ---- beginning and ending ---- */

static void drop(struct rf_read *read) {
    if (read->ahead.release) read->ahead.release(&read->ahead);
    rf_cancel_release(read->cancel);
    rf_arena_free(&read->arena);
    pthread_cond_destroy(&read->changed);
    pthread_mutex_destroy(&read->mutex);
    free(read);
}

struct rf_read *rf_read_hold(struct rf_read *read) {
    if (!is_here(read)) return read;
    pthread_mutex_lock(&read->mutex);
    read->holders++;
    pthread_mutex_unlock(&read->mutex);
    return read;
}

/* In a fork its memory stays: the session and the thread that it speaks of are not there. */
void rf_read_release(struct rf_read *read) {
    if (!read || !is_here(read)) return;
    pthread_mutex_lock(&read->mutex);
    bool last = --read->holders == 0;
    pthread_mutex_unlock(&read->mutex);
    if (last) drop(read);
}

/* Everything is read, no key is asked for, and the source hands over pieces of its own size. */
static enum rf_code prepare(struct rf_read *read, const char *job_json, struct rf_error *err) {
    struct rf_job *job = &read->job;
    RF_TRY(rf_job_parse(job_json, &read->arena, job, err));
    RF_TRY(rf_job_require(job, true, false, true, err));
    job->target = NULL;
    job->capture = RF_CAPTURE_FULL;
    read->batch_bytes = (size_t)job->batch_bytes;
    job->batch_bytes = PIECE_BYTES;
    read->cancel = rf_cancel_new();
    if (!read->cancel) return rf_no_memory(err);
    return rf_source_for(job, read->cancel, &read->arena, &read->postgres, &read->source, err);
}

enum rf_code rf_read_start(const char *job_json, struct rf_read **out, struct rf_error *err) {
    struct rf_read *read = calloc(1, sizeof *read);
    if (!read) return rf_no_memory(err);
    pthread_mutex_init(&read->mutex, NULL);
    rf_clock_condition(&read->changed);
    rf_arena_init(&read->arena, ARENA_BYTES);
    read->pid = getpid();
    enum rf_code code = prepare(read, job_json, err);
    read->holders = 2;
    if (code == RF_OK && rf_thread_start(read_all, read, NULL) != 0) code = rf_fail(err, RF_INTERNAL, "the system gave no thread");
    if (code == RF_OK) *out = read;
    else drop(read);
    return code;
}

void rf_read_cancel(struct rf_read *read) {
    if (!is_here(read)) return;
    rf_cancel_request(read->cancel);
    pthread_mutex_lock(&read->mutex);
    pthread_cond_broadcast(&read->changed);
    pthread_mutex_unlock(&read->mutex);
}

void rf_read_stop(struct rf_read *read) {
    if (!is_here(read)) return;
    rf_read_cancel(read);
    struct timespec until = rf_clock_after(GIVE_UP_MS);
    pthread_mutex_lock(&read->mutex);
    while (!read->ended)
        if (pthread_cond_timedwait(&read->changed, &read->mutex, &until) != 0) break;
    pthread_mutex_unlock(&read->mutex);
}

/* ---- taking: the caller of those that are static holds the mutex ---- */

/* A cancel counts as long as there is something left to read or to take. */
static bool was_cancelled(const struct rf_read *read) {
    if (read->ended && read->code != RF_OK) return read->code == RF_CANCELLED;
    return rf_cancel_requested(read->cancel) && (!read->ended || read->ahead.release);
}

static bool is_over(const struct rf_read *read) {
    return read->ended || was_cancelled(read);
}

/* RF_OK when all was read. */
static enum rf_code outcome(const struct rf_read *read, struct rf_error *err) {
    if (was_cancelled(read)) return rf_fail(err, RF_CANCELLED, "reading was cancelled");
    if (read->code != RF_OK) *err = read->error;
    return read->code;
}

static void wait_while(struct rf_read *read, bool (*missing)(const struct rf_read *read), int timeout_ms) {
    struct timespec until = rf_clock_after(timeout_ms);
    while (missing(read))
        if (pthread_cond_timedwait(&read->changed, &read->mutex, &until) != 0) return;
}

static bool lacks_columns(const struct rf_read *read) {
    return !read->described && !is_over(read);
}

enum rf_code rf_read_described(struct rf_read *read, int timeout_ms, bool *ready, struct rf_error *err) {
    if (!is_here(read)) return fail_elsewhere(err);
    pthread_mutex_lock(&read->mutex);
    wait_while(read, lacks_columns, timeout_ms);
    *ready = read->described;
    enum rf_code code = !read->described && is_over(read) ? outcome(read, err) : RF_OK;
    pthread_mutex_unlock(&read->mutex);
    return code;
}

static bool lacks_batch(const struct rf_read *read) {
    return !read->ahead.release && !is_over(read);
}

static enum rf_code take(struct rf_read *read, bool *ready, struct ArrowArray *out, struct rf_error *err) {
    *ready = !lacks_batch(read);
    if (was_cancelled(read)) return outcome(read, err);
    if (!read->ahead.release) return read->ended ? outcome(read, err) : RF_OK;
    *out = read->ahead;
    read->ahead.release = NULL;
    pthread_cond_broadcast(&read->changed);
    return RF_OK;
}

enum rf_code rf_read_next(struct rf_read *read, int timeout_ms, bool *ready, struct ArrowArray *out, struct rf_error *err) {
    if (!is_here(read)) return fail_elsewhere(err);
    out->release = NULL;
    pthread_mutex_lock(&read->mutex);
    wait_while(read, lacks_batch, timeout_ms);
    enum rf_code code = take(read, ready, out, err);
    pthread_mutex_unlock(&read->mutex);
    return code;
}

bool rf_read_ended(struct rf_read *read, struct rf_error *err) {
    *err = (struct rf_error){0};
    if (!is_here(read)) return fail_elsewhere(err) != RF_OK;
    pthread_mutex_lock(&read->mutex);
    bool over = is_over(read);
    if (over) (void)outcome(read, err);
    pthread_mutex_unlock(&read->mutex);
    return over;
}

/* ---- what is known of the columns ---- */

enum rf_code rf_read_schema(struct rf_read *read, struct ArrowSchema *out, struct rf_error *err) {
    return rf_columns_schema(read->fields, read->n_fields, out, err);
}

char *rf_read_json(struct rf_read *read) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    rf_json_open(&json, "columns", '[');
    for (int i = 0; i < read->n_fields; i++) {
        const struct rf_columns_field *field = &read->fields[i];
        rf_json_open(&json, NULL, '{');
        rf_json_text(&json, "name", field->name);
        rf_json_text(&json, "type", field->declared);
        rf_json_text(&json, "arrow", field->type.format);
        rf_json_flag(&json, "nullable", !field->not_null);
        rf_json_close(&json, '}');
    }
    rf_json_close(&json, ']');
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}
