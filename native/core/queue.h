/* A queue of Arrow arrays, bounded by their bytes, between one thread that makes them and others that take them.
 *
 * What is in it belongs to it. Either side may end it: the maker when there is no more, anybody when there is no point.
 */
#ifndef RF_QUEUE_H
#define RF_QUEUE_H

#include "core/arrow.h"
#include "core/cancel.h"
#include "core/error.h"

#include <stdbool.h>
#include <stddef.h>

struct rf_queue;

enum { RF_QUEUE_FEWEST = 2, RF_QUEUE_MOST = 128 };

/* Takes arrays of up to `most_bytes` in all, though RF_QUEUE_FEWEST of any size and no more than RF_QUEUE_MOST. NULL when memory is short. */
struct rf_queue *rf_queue_new(size_t most_bytes);
/* Nobody may wait in it any more. Releases what is left. */
void rf_queue_free(struct rf_queue *queue);

/* Moves *array, of n_bytes, in after waiting for room. False when the queue was given up or `cancel` was requested: *array stays the caller's. */
bool rf_queue_push(struct rf_queue *queue, struct ArrowArray *array, size_t n_bytes, struct rf_cancel *cancel);

/* No more will come; what is there may still be taken. */
void rf_queue_end(struct rf_queue *queue);

/* Wakes both sides for good: from here on nothing goes in and nothing comes out. */
void rf_queue_give_up(struct rf_queue *queue);

/* Waits for the next array and moves it out; at the end *array is empty. False when the queue was given up. */
bool rf_queue_pop(struct rf_queue *queue, struct ArrowArray *array);

#endif
