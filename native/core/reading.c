#include "core/reading.h"

#include "core/copy_binary.h"
#include "core/plan.h"
#include "core/sql.h"
#include "core/types.h"

#include <inttypes.h>

struct reading {
    const struct rf_job *job;
    const struct rf_source *source;
    const struct rf_taker *taker;
    size_t batch_bytes;
    struct rf_source_facts facts;
    struct rf_plan plan;
    struct rf_columns_field *fields; /* shape (facts.n_columns,), as the next */
    struct rf_field *row;
    struct rf_copy_reader copy;
    struct rf_columns *columns;
    int64_t n_rows; /* so far */
};

static enum rf_code describe(struct reading *reading, struct rf_arena *arena, struct rf_error *err) {
    static const struct rf_load never = {0};
    const struct rf_source *source = reading->source;
    RF_TRY(source->ops->open(source->self, err));
    RF_TRY(source->ops->snapshot(source->self, &never, &reading->facts, err));
    RF_TRY(rf_types_of(reading->job, &reading->facts, NULL, arena, &reading->fields, err));
    reading->row = rf_arena_take(arena, (size_t)reading->facts.n_columns * sizeof *reading->row);
    if (!reading->row) return rf_no_memory(err);
    RF_TRY(rf_columns_new(reading->fields, reading->facts.n_columns, &reading->columns, err));
    RF_TRY(rf_plan_read(reading->job, &reading->facts, arena, &reading->plan, err));
    return reading->taker->describe(reading->taker->self, reading->fields, reading->facts.n_columns, err);
}

static enum rf_code start(struct reading *reading, struct rf_error *err) {
    const struct rf_source *source = reading->source;
    int n_readers;
    if (reading->plan.n_parts > 0) return source->ops->read_parts(source->self, &reading->plan, &n_readers, err);
    struct rf_text sql = {0};
    rf_sql_read(&reading->plan, &sql);
    enum rf_code code = rf_text_check(&sql, err);
    if (code == RF_OK) code = source->ops->read(source->self, sql.data, err);
    rf_text_free(&sql);
    return code;
}

static enum rf_code hand_over(struct reading *reading, struct rf_error *err) {
    struct ArrowArray batch;
    RF_TRY(rf_columns_take(reading->columns, &batch, err));
    enum rf_code code = reading->taker->take(reading->taker->self, &batch, err);
    if (code != RF_OK) batch.release(&batch);
    return code;
}

static enum rf_code append(struct reading *reading, struct rf_error *err) {
    reading->n_rows++;
    RF_TRY(rf_columns_append(reading->columns, reading->row, err));
    return rf_columns_bytes(reading->columns) >= reading->batch_bytes ? hand_over(reading, err) : RF_OK;
}

static enum rf_code decode(struct reading *reading, const struct rf_batch *batch, struct rf_error *err) {
    const uint8_t *data = batch->bytes;
    size_t n_bytes = batch->n_bytes;
    enum rf_copy_result result;
    while ((result = rf_copy_next_row(&reading->copy, &data, &n_bytes, reading->row, reading->facts.n_columns)) == RF_COPY_ROW)
        RF_TRY(append(reading, err));
    bool between_rows = n_bytes == 0 && result != RF_COPY_BROKEN;
    return between_rows ? RF_OK : rf_fail(err, RF_INTERNAL, "%s came as rows that are not COPY BINARY", reading->job->source_label);
}

static enum rf_code read_rows(struct reading *reading, struct rf_error *err) {
    const struct rf_source *source = reading->source;
    struct rf_batch batch;
    for (;;) {
        RF_TRY(source->ops->next(source->self, &batch, err));
        if (batch.n_bytes == 0) break;
        RF_TRY(decode(reading, &batch, err));
    }
    source->ops->close(source->self);
    if (batch.n_rows != reading->n_rows)
        return rf_fail(err, RF_SOURCE, "the source says that it sent %" PRId64 " rows of %s, and %" PRId64 " arrived", batch.n_rows, reading->job->source_label, reading->n_rows);
    return rf_columns_rows(reading->columns) > 0 ? hand_over(reading, err) : RF_OK;
}

enum rf_code rf_read_table(const struct rf_job *job, const struct rf_source *source, size_t batch_bytes, const struct rf_taker *taker,
                           struct rf_arena *arena, struct rf_error *err) {
    struct reading reading = {.job = job, .source = source, .taker = taker, .batch_bytes = batch_bytes};
    enum rf_code code = describe(&reading, arena, err);
    if (code == RF_OK) code = start(&reading, err);
    if (code == RF_OK) code = read_rows(&reading, err);
    source->ops->close(source->self);
    rf_columns_free(reading.columns);
    return code;
}
