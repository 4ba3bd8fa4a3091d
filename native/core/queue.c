#include "core/queue.h"

#include "core/clock.h"

#include <pthread.h>
#include <stdlib.h>

enum { SLICE_MS = 100 };

struct rf_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct ArrowArray arrays[RF_QUEUE_ARRAYS]; /* a ring */
    int first;
    int n;
    bool ended;
    bool given_up;
};

struct rf_queue *rf_queue_new(void) {
    struct rf_queue *queue = calloc(1, sizeof *queue);
    if (!queue) return NULL;
    pthread_mutex_init(&queue->mutex, NULL);
    rf_clock_condition(&queue->changed);
    return queue;
}

/* The caller holds the mutex, or is alone. */
static struct ArrowArray take_first(struct rf_queue *queue) {
    struct ArrowArray array = queue->arrays[queue->first];
    queue->first = (queue->first + 1) % RF_QUEUE_ARRAYS;
    queue->n--;
    return array;
}

void rf_queue_free(struct rf_queue *queue) {
    if (!queue) return;
    while (queue->n > 0) {
        struct ArrowArray array = take_first(queue);
        array.release(&array);
    }
    pthread_cond_destroy(&queue->changed);
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

/* A cancel is heard within a slice of time: its own condition is another one. */
static void wait_for_room(struct rf_queue *queue, struct rf_cancel *cancel) {
    while (queue->n == RF_QUEUE_ARRAYS && !queue->given_up && !rf_cancel_requested(cancel)) {
        struct timespec until = rf_clock_after(SLICE_MS);
        pthread_cond_timedwait(&queue->changed, &queue->mutex, &until);
    }
}

bool rf_queue_push(struct rf_queue *queue, struct ArrowArray *array, struct rf_cancel *cancel) {
    pthread_mutex_lock(&queue->mutex);
    wait_for_room(queue, cancel);
    bool taken = queue->n < RF_QUEUE_ARRAYS && !queue->given_up && !rf_cancel_requested(cancel);
    if (taken) {
        queue->arrays[(queue->first + queue->n++) % RF_QUEUE_ARRAYS] = *array;
        array->release = NULL;
    }
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
    return taken;
}

static void set(struct rf_queue *queue, bool *flag) {
    pthread_mutex_lock(&queue->mutex);
    *flag = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
}

void rf_queue_end(struct rf_queue *queue) {
    set(queue, &queue->ended);
}

void rf_queue_give_up(struct rf_queue *queue) {
    set(queue, &queue->given_up);
}

bool rf_queue_pop(struct rf_queue *queue, struct ArrowArray *array) {
    *array = (struct ArrowArray){0};
    pthread_mutex_lock(&queue->mutex);
    while (queue->n == 0 && !queue->ended && !queue->given_up) pthread_cond_wait(&queue->changed, &queue->mutex);
    bool whole = !queue->given_up;
    if (whole && queue->n > 0) *array = take_first(queue);
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->mutex);
    return whole;
}
