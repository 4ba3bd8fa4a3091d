#include "core/queue.h"

#include "core/clock.h"

#include <pthread.h>
#include <stdlib.h>

enum { SLICE_MS = 100 };

struct entry {
    struct ArrowArray array;
    size_t n_bytes;
};

struct rf_queue {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct entry entries[RF_QUEUE_MOST]; /* a ring */
    int first;
    int n;
    size_t n_bytes; /* of all that are in */
    size_t most_bytes;
    bool ended;
    bool given_up;
};

struct rf_queue *rf_queue_new(size_t most_bytes) {
    struct rf_queue *queue = calloc(1, sizeof *queue);
    if (!queue) return NULL;
    queue->most_bytes = most_bytes;
    pthread_mutex_init(&queue->mutex, NULL);
    rf_clock_condition(&queue->changed);
    return queue;
}

/* The caller holds the mutex, or is alone. */
static struct ArrowArray take_first(struct rf_queue *queue) {
    const struct entry *entry = &queue->entries[queue->first];
    queue->first = (queue->first + 1) % RF_QUEUE_MOST;
    queue->n--;
    queue->n_bytes -= entry->n_bytes;
    return entry->array;
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

static bool has_room(const struct rf_queue *queue, size_t n_bytes) {
    if (queue->n < RF_QUEUE_FEWEST) return true;
    return queue->n < RF_QUEUE_MOST && queue->n_bytes <= queue->most_bytes && n_bytes <= queue->most_bytes - queue->n_bytes;
}

/* A cancel is heard within a slice of time: its own condition is another one. */
static void wait_for_room(struct rf_queue *queue, size_t n_bytes, struct rf_cancel *cancel) {
    while (!has_room(queue, n_bytes) && !queue->given_up && !rf_cancel_requested(cancel)) {
        struct timespec until = rf_clock_after(SLICE_MS);
        pthread_cond_timedwait(&queue->changed, &queue->mutex, &until);
    }
}

bool rf_queue_push(struct rf_queue *queue, struct ArrowArray *array, size_t n_bytes, struct rf_cancel *cancel) {
    pthread_mutex_lock(&queue->mutex);
    wait_for_room(queue, n_bytes, cancel);
    bool taken = has_room(queue, n_bytes) && !queue->given_up && !rf_cancel_requested(cancel);
    if (taken) {
        queue->entries[(queue->first + queue->n++) % RF_QUEUE_MOST] = (struct entry){.array = *array, .n_bytes = n_bytes};
        queue->n_bytes += n_bytes;
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
