#include "drivers/ingest.h"

#include "core/copy_binary.h"
#include "core/queue.h"
#include "core/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct rf_ingest {
    struct rf_ingest_end end;
    const struct rf_columns_field *fields;
    int n_fields;
    size_t batch_bytes;
    struct rf_copy_reader reader;
    struct rf_field *row; /* shape (n_fields,) */
    struct rf_columns *columns;
    struct rf_queue *queue;
    struct ArrowArrayStream stream;
    pthread_t thread;
    bool running;
    enum rf_code code; /* what the database's side came to; to be read once the thread has ended */
    struct rf_error error;
};

/* ---- the database's side ---- */

static int give_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    const struct rf_ingest *ingest = stream->private_data;
    struct rf_error ignored;
    return rf_columns_schema(ingest->fields, ingest->n_fields, out, &ignored) == RF_OK ? 0 : ENOMEM;
}

static int give_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    const struct rf_ingest *ingest = stream->private_data;
    return rf_queue_pop(ingest->queue, out) ? 0 : ECANCELED;
}

static const char *give_reason(struct ArrowArrayStream *stream) {
    (void)stream;
    return "the rows ended early";
}

/* The ingest outlives the stream and is freed by its owner. */
static void release_stream(struct ArrowArrayStream *stream) {
    stream->release = NULL;
}

/* A database that stops taking rows wakes the thread that decodes them. */
static void *load(void *arg) {
    struct rf_ingest *ingest = arg;
    ingest->code = ingest->end.load(ingest->end.self, &ingest->stream, &ingest->error);
    rf_queue_give_up(ingest->queue);
    return NULL;
}

/* ---- starting and stopping ---- */

enum rf_code rf_ingest_start(const struct rf_ingest_end *end, const struct rf_columns_field *fields, int n_fields,
                             size_t batch_bytes, struct rf_ingest **out, struct rf_error *err) {
    struct rf_ingest *ingest = calloc(1, sizeof *ingest);
    if (!ingest) return rf_no_memory(err);
    *ingest = (struct rf_ingest){.end = *end, .fields = fields, .n_fields = n_fields, .batch_bytes = batch_bytes};
    ingest->stream = (struct ArrowArrayStream){.get_schema = give_schema, .get_next = give_next, .get_last_error = give_reason,
                                               .release = release_stream, .private_data = ingest};
    ingest->row = calloc((size_t)n_fields + 1, sizeof *ingest->row);
    ingest->queue = rf_queue_new(end->bytes_ahead);
    enum rf_code code = ingest->row && ingest->queue ? rf_columns_new(fields, n_fields, &ingest->columns, err) : rf_no_memory(err);
    if (code == RF_OK) ingest->running = rf_thread_start(load, ingest, &ingest->thread) == 0;
    if (code == RF_OK && !ingest->running) code = rf_fail(err, RF_INTERNAL, "the system gave no thread");
    if (code == RF_OK) *out = ingest;
    else rf_ingest_drop(ingest);
    return code;
}

static void join(struct rf_ingest *ingest) {
    if (ingest->running) pthread_join(ingest->thread, NULL);
    ingest->running = false;
}

void rf_ingest_drop(struct rf_ingest *ingest) {
    if (!ingest) return;
    if (ingest->queue) rf_queue_give_up(ingest->queue);
    join(ingest);
    if (ingest->columns) rf_columns_free(ingest->columns);
    rf_queue_free(ingest->queue);
    free(ingest->row);
    free(ingest);
}

/* ---- the decoding side ---- */

/* The queue takes no more: the other side has failed, or the run was cancelled. */
static enum rf_code tell_why(struct rf_ingest *ingest, struct rf_error *err) {
    rf_queue_give_up(ingest->queue);
    join(ingest);
    if (rf_cancel_requested(ingest->end.cancel)) return rf_cancelled(err);
    if (ingest->code == RF_OK) return rf_fail(err, RF_INTERNAL, "the target took no more rows before their end");
    *err = ingest->error;
    return ingest->code;
}

static enum rf_code hand_on(struct rf_ingest *ingest, struct rf_error *err) {
    struct ArrowArray array = {0};
    if (rf_columns_rows(ingest->columns) == 0) return RF_OK;
    size_t n_bytes = rf_columns_bytes(ingest->columns);
    RF_TRY(rf_columns_take(ingest->columns, &array, err));
    if (rf_queue_push(ingest->queue, &array, n_bytes, ingest->end.cancel)) return RF_OK;
    array.release(&array);
    return tell_why(ingest, err);
}

static bool is_full(const struct rf_ingest *ingest) {
    return rf_columns_rows(ingest->columns) == ingest->end.most_rows || rf_columns_bytes(ingest->columns) >= ingest->batch_bytes;
}

enum rf_code rf_ingest_write(struct rf_ingest *ingest, const struct rf_batch *batch, struct rf_error *err) {
    const uint8_t *data = batch->bytes;
    size_t n_bytes = batch->n_bytes;
    for (;;) {
        enum rf_copy_result result = rf_copy_next_row(&ingest->reader, &data, &n_bytes, ingest->row, ingest->n_fields);
        if (result == RF_COPY_BROKEN || (result == RF_COPY_MORE && n_bytes > 0)) return rf_fail(err, RF_INTERNAL, "the source sent rows that are not COPY BINARY");
        if (result != RF_COPY_ROW) return RF_OK;
        RF_TRY(rf_columns_append(ingest->columns, ingest->row, err));
        if (is_full(ingest)) RF_TRY(hand_on(ingest, err));
    }
}

enum rf_code rf_ingest_end(struct rf_ingest *ingest, struct rf_error *err) {
    enum rf_code code = hand_on(ingest, err);
    if (code == RF_OK) rf_queue_end(ingest->queue);
    if (code == RF_OK) join(ingest);
    if (code == RF_OK && ingest->code != RF_OK) {
        *err = ingest->error;
        code = ingest->code;
    }
    rf_ingest_drop(ingest);
    return code;
}
