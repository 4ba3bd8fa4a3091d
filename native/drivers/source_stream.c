#include "drivers/source_stream.h"

#include "core/copy_binary.h"
#include "core/mask.h"

#include <inttypes.h>
#include <string.h>

/* ---- what is held ---- */

void rf_release_stream(struct ArrowArrayStream *stream) {
    if (stream->release) stream->release(stream);
    stream->release = NULL;
}

static void release_array(struct ArrowArray *array) {
    if (array->release) array->release(array);
    *array = (struct ArrowArray){0};
}

static void close_stream(void *self) {
    struct rf_source_stream *source = self;
    release_array(&source->array);
    rf_rows_free(source->rows);
    source->rows = NULL;
    rf_casting_end(&source->casting);
    rf_text_free(&source->uncast);
    rf_text_free(&source->out);
    rf_release_stream(source->stream);
}

static enum rf_code open_stream(void *self, struct rf_error *err) {
    struct rf_source_stream *source = self;
    return source->stream->release ? RF_OK : rf_fail(err, RF_CONFIG, "the stream was read before");
}

/* A stream that fails because the run is being cancelled is not at fault. */
static enum rf_code fail_with_stream(struct rf_source_stream *source, int number, struct rf_error *err) {
    if (rf_cancel_requested(source->cancel)) return rf_cancelled(err);
    const char *said = source->stream->get_last_error ? source->stream->get_last_error(source->stream) : NULL;
    if (said && *said) return rf_fail(err, RF_SOURCE, "the stream failed behind row %" PRId64 ": %s", source->n_rows, said);
    return rf_fail(err, RF_SOURCE, "the stream failed behind row %" PRId64 " and says no more than error %d", source->n_rows, number);
}

/* ---- what it will bring ---- */

/* Keeps what the fields are: masks change columns, and columns may be left out. */
static enum rf_code keep_fields(struct rf_source_stream *source, const struct rf_source_facts *facts, struct rf_error *err) {
    struct rf_column *fields = rf_arena_take(source->arena, (size_t)facts->n_columns * sizeof *fields);
    if (!fields) return rf_no_memory(err);
    memcpy(fields, facts->columns, (size_t)facts->n_columns * sizeof *fields);
    source->fields = fields;
    source->n_fields = facts->n_columns;
    return RF_OK;
}

static int find_field(const struct rf_source_stream *source, const char *name) {
    return rf_find_column(source->fields, source->n_fields, name);
}

static enum rf_code set_keys(struct rf_source_stream *source, struct rf_source_facts *facts, struct rf_error *err) {
    const struct rf_names *wanted = &source->job->keys;
    if (wanted->n == 0) return RF_OK;
    facts->keys = rf_arena_take(source->arena, (size_t)wanted->n * sizeof *facts->keys);
    if (!facts->keys) return rf_no_memory(err);
    for (int k = 0; k < wanted->n; k++) {
        facts->keys[k] = rf_find_column(facts->columns, facts->n_columns, wanted->names[k]);
        RF_TRY(rf_mask_check_key(source->job, wanted->names[k], err));
        if (facts->keys[k] >= 0) {
            rf_rows_require(source->rows, find_field(source, wanted->names[k]));
            continue;
        }
        rf_fail(err, RF_CONFIG, "the stream has no column \"%s\", which \"keys\" of the job names", wanted->names[k]);
        return rf_hint(err, "Check the spelling; capital letters count.");
    }
    facts->n_keys = wanted->n;
    return RF_OK;
}

static enum rf_code set_fingerprint(struct rf_source_stream *source, struct rf_source_facts *facts, struct rf_error *err) {
    struct rf_text fingerprint = {0};
    enum rf_code code = rf_mask_fingerprint(source->job, source->hasher, &fingerprint, err);
    if (code == RF_OK) return rf_arena_text(source->arena, &fingerprint, &facts->fingerprint, err);
    rf_text_free(&fingerprint);
    return code;
}

static enum rf_code understand(struct rf_source_stream *source, const struct ArrowSchema *schema, struct rf_source_facts *facts, struct rf_error *err) {
    RF_TRY(rf_rows_columns(schema, source->arena, &facts->columns, &facts->n_columns, err));
    if (facts->n_columns == 0) return rf_fail(err, RF_CONFIG, "the stream has no columns");
    for (int i = 0; i < facts->n_columns; i++) facts->columns[i].always_null = strcmp(schema->children[i]->format, "n") == 0;
    RF_TRY(rf_rows_new(schema, &source->rows, err));
    RF_TRY(keep_fields(source, facts, err));
    RF_TRY(rf_mask_columns(source->job, facts, source->arena, err));
    RF_TRY(set_fingerprint(source, facts, err));
    return set_keys(source, facts, err);
}

/* There is no server behind it that could be identified, and no snapshot that a later run could go on from. */
static enum rf_code describe_stream(void *self, const struct rf_load *last, struct rf_source_facts *facts, struct rf_error *err) {
    struct rf_source_stream *source = self;
    struct ArrowSchema schema = {0};
    (void)last;
    *facts = (struct rf_source_facts){
        .server = {.utf8 = true, .lc_monetary = ""}, .schema = source->job->source_schema, .name = source->job->source_table, .rows_estimate = -1, .fingerprint = ""};
    source->facts = facts;
    int failed = source->stream->get_schema(source->stream, &schema);
    if (failed) return fail_with_stream(source, failed, err);
    enum rf_code code = understand(source, &schema, facts, err);
    if (schema.release) schema.release(&schema);
    return code;
}

/* ---- its rows ---- */

static enum rf_code begin_casting(struct rf_source_stream *source, struct rf_error *err) {
    const struct rf_source_facts *facts = source->facts;
    struct rf_cast_from *from = rf_arena_take(source->arena, (size_t)facts->n_columns * sizeof *from);
    if (!from) return rf_no_memory(err);
    for (int i = 0; i < facts->n_columns; i++) {
        int field = find_field(source, facts->columns[i].name);
        from[i] = (struct rf_cast_from){
            .field = field, .form = rf_rows_form(source->rows, field), .identity = source->fields[field].identity, .mask = rf_mask_of(source->job, facts->columns[i].name)};
    }
    return rf_casting_begin(facts, from, source->n_fields, source->arena, &source->casting, err);
}

static enum rf_code read_stream(void *self, const char *sql, struct rf_error *err) {
    struct rf_source_stream *source = self;
    if (sql) return rf_fail(err, RF_INTERNAL, "a stream is asked by no statement");
    source->casts = rf_rows_are_cast(source->facts) || source->n_fields > source->facts->n_columns;
    if (source->casts) RF_TRY(begin_casting(source, err));
    if (!source->facts->sends_csv) rf_text_add_bytes(&source->out, (const char *)rf_copy_header, sizeof rf_copy_header);
    return RF_OK;
}

static enum rf_code read_parts_of_stream(void *self, const struct rf_plan *plan, int *n_readers, struct rf_error *err) {
    (void)self, (void)plan, (void)n_readers;
    return rf_fail(err, RF_INTERNAL, "a stream is not read by parts");
}

static enum rf_code next_array(struct rf_source_stream *source, struct rf_error *err) {
    int failed = source->stream->get_next(source->stream, &source->array);
    if (failed) {
        source->array = (struct ArrowArray){0};
        return fail_with_stream(source, failed, err);
    }
    if (source->array.release) return rf_rows_begin(source->rows, &source->array, err);
    source->ended = true;
    if (!source->facts->sends_csv) rf_text_add_bytes(&source->out, (const char *)rf_copy_trailer, sizeof rf_copy_trailer);
    return RF_OK;
}

static enum rf_code write_rows(struct rf_source_stream *source, size_t n_bytes, int64_t *n_rows, struct rf_error *err) {
    if (!source->casts) return rf_rows_write(source->rows, n_bytes, &source->out, n_rows, err);
    source->uncast.length = 0;
    RF_TRY(rf_rows_write(source->rows, n_bytes, &source->uncast, n_rows, err));
    return rf_cast_rows(&source->casting, (const uint8_t *)source->uncast.data, source->uncast.length, &source->out, err);
}

/* Some rows of the batch in hand, or the next batch. */
static enum rf_code add_rows(struct rf_source_stream *source, size_t n_bytes, struct rf_error *err) {
    int64_t n_rows = 0;
    if (rf_cancel_requested(source->cancel)) return rf_cancelled(err);
    if (!source->array.release) return next_array(source, err);
    RF_TRY(write_rows(source, n_bytes, &n_rows, err));
    source->n_rows += n_rows;
    if (n_rows == 0) release_array(&source->array);
    return RF_OK;
}

/* Small batches are joined and large ones cut, to about the job's batch_bytes. */
static enum rf_code next_piece(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_source_stream *source = self;
    size_t enough = (size_t)source->job->batch_bytes;
    int64_t before = source->n_rows;
    if (source->begun) source->out.length = 0;
    source->begun = true;
    while (!source->ended && source->out.length < enough) RF_TRY(add_rows(source, enough - source->out.length, err));
    RF_TRY(rf_text_check(&source->out, err));
    bool at_end = source->out.length == 0;
    *batch = (struct rf_batch){.bytes = (const uint8_t *)source->out.data, .n_bytes = source->out.length, .n_rows = at_end ? source->n_rows : source->n_rows - before};
    return RF_OK;
}

const struct rf_source_ops rf_source_stream_ops = {
    .open = open_stream,
    .snapshot = describe_stream,
    .read = read_stream,
    .read_parts = read_parts_of_stream,
    .next = next_piece,
    .close = close_stream,
};
