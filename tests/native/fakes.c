#include "fakes.h"

#include "units.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- recording and failing ---------------------------------------------------------------------------- */

static enum rf_code called(struct fakes *fakes, const char *call, struct rf_error *err) {
    size_t used = strlen(fakes->calls);
    snprintf(fakes->calls + used, sizeof fakes->calls - used, "%s%s", used ? " " : "", call);
    if (!fakes->fail_at || strcmp(fakes->fail_at, call) != 0) return RF_OK;
    int nth = fakes->fail_nth ? fakes->fail_nth : 1;
    return ++fakes->seen == nth ? rf_fail(err, fakes->fail_code, "%s was told to fail", call) : RF_OK;
}

bool was_called(const struct fakes *fakes, const char *call) {
    size_t length = strlen(call);
    for (const char *at = fakes->calls; (at = strstr(at, call)); at += length)
        if ((at == fakes->calls || at[-1] == ' ') && (at[length] == ' ' || !at[length])) return true;
    return false;
}

static void note_step(void *context, enum rf_step step, int64_t rows, int64_t bytes) {
    struct fakes *fakes = context;
    size_t used = strlen(fakes->steps);
    snprintf(fakes->steps + used, sizeof fakes->steps - used, "[%s]", rf_step_name(step));
    assert_true(rows >= 0 && bytes >= 0);
}

/* ---- streams -------------------------------------------------------------------------------------------- */

struct fake_stream *add_stream(struct fake_end *end) {
    assert_true(end->n_streams < MOST_STREAMS);
    struct fake_stream *stream = &end->streams[end->n_streams++];
    memset(stream, 0, sizeof *stream);
    return stream;
}

static void add_bytes(struct fake_stream *stream, const void *bytes, size_t n_bytes) {
    assert_true(stream->n_bytes + n_bytes <= STREAM_BYTES);
    if (n_bytes > 0) memcpy(stream->bytes + stream->n_bytes, bytes, n_bytes);
    stream->n_bytes += n_bytes;
}

static void add_integer(struct fake_stream *stream, uint32_t value, int n_bytes) {
    for (int shift = 8 * (n_bytes - 1); shift >= 0; shift -= 8) add_bytes(stream, &(uint8_t){(uint8_t)(value >> shift)}, 1);
}

void begin_copy(struct fake_stream *stream) {
    add_bytes(stream, "PGCOPY\n\377\r\n\0", 11);
    add_integer(stream, 0, 4);
    add_integer(stream, 0, 4);
}

void add_row(struct fake_stream *stream, int n_fields) {
    add_integer(stream, (uint32_t)n_fields, 2);
}

void add_field(struct fake_stream *stream, const void *bytes, int32_t n_bytes) {
    add_integer(stream, (uint32_t)n_bytes, 4);
    if (n_bytes > 0) add_bytes(stream, bytes, (size_t)n_bytes);
}

void add_csv(struct fake_stream *stream, const char *rows) {
    add_bytes(stream, rows, strlen(rows));
}

void end_piece(struct fake_stream *stream) {
    assert_true(stream->n_pieces < MOST_PIECES);
    stream->ends[stream->n_pieces++] = stream->n_bytes;
}

void end_copy(struct fake_stream *stream, int64_t rows) {
    add_integer(stream, 0xFFFF, 2);
    end_piece(stream);
    stream->rows = rows;
}

void add_checksum(struct fake_end *end, const char *rows, const char *sum) {
    struct fake_stream *stream = add_stream(end);
    begin_copy(stream);
    add_row(stream, 2);
    add_field(stream, rows, (int32_t)strlen(rows));
    add_field(stream, sum, (int32_t)strlen(sum));
    end_copy(stream, 1);
}

void add_hash(struct fake_stream *stream, const char *key, const char *hash, bool pending) {
    add_row(stream, 3);
    add_field(stream, key, (int32_t)strlen(key));
    add_field(stream, hash, (int32_t)strlen(hash));
    add_field(stream, &(uint8_t){pending}, 1);
}

void prepare_equal_checksums(struct fakes *fakes) {
    add_checksum(&fakes->source, "3", "12345");
    add_checksum(&fakes->sink, "3", "12345");
}

static void start_stream(struct fake_end *end, const char *sql) {
    assert_true(end->n_reads < end->n_streams);
    assert_non_null(sql);
    assert_contains(sql, end->csv ? " TO STDOUT (FORMAT csv)" : " TO STDOUT (FORMAT binary)");
    snprintf(end->sql[end->n_reads++], sizeof end->sql[0], "%s", sql);
}

static void next_piece(struct fake_end *end, struct rf_batch *batch) {
    assert_true(end->n_reads > 0);
    struct fake_stream *stream = &end->streams[end->n_reads - 1];
    if (stream->at == stream->n_pieces) {
        *batch = (struct rf_batch){.n_rows = stream->rows};
        return;
    }
    size_t from = stream->at ? stream->ends[stream->at - 1] : 0;
    *batch = (struct rf_batch){.bytes = stream->bytes + from, .n_bytes = stream->ends[stream->at] - from, .n_rows = 1};
    stream->at++;
}

/* ---- the source -------------------------------------------------------------------------------------------- */

static enum rf_code open_source(void *self, struct rf_error *err) {
    return called(self, "source.open", err);
}

static enum rf_code take_snapshot(void *self, const struct rf_load *last, struct rf_source_facts *facts, struct rf_error *err) {
    struct fakes *fakes = self;
    assert_int_equal(last->load_id, fakes->facts.last.load_id);
    *facts = fakes->facts.source;
    if (was_called(fakes, "source.snapshot") && fakes->later_fingerprint) facts->fingerprint = fakes->later_fingerprint;
    return called(fakes, "source.snapshot", err);
}

static enum rf_code read_source(void *self, const char *sql, struct rf_error *err) {
    struct fakes *fakes = self;
    RF_TRY(called(fakes, "source.read", err));
    assert_int_equal(sql == NULL, fakes->facts.job.capture == RF_CAPTURE_GIVEN);
    if (sql) start_stream(&fakes->source, sql);
    else fakes->source.n_reads++;
    return RF_OK;
}

static enum rf_code next_of_source(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct fakes *fakes = self;
    RF_TRY(called(fakes, "source.next", err));
    next_piece(&fakes->source, batch);
    return RF_OK;
}

static void close_source(void *self) {
    struct fakes *fakes = self;
    struct rf_error ignored;
    (void)called(fakes, "source.close", &ignored);
    fakes->source.n_closes++;
}

static const struct rf_source_ops SOURCE = {
    .open = open_source, .snapshot = take_snapshot, .read = read_source, .next = next_of_source, .close = close_source};

/* ---- the sink ------------------------------------------------------------------------------------------------ */

static enum rf_code open_sink(void *self, bool prepare, struct rf_error *err) {
    struct fakes *fakes = self;
    fakes->prepared = prepare;
    return called(fakes, "sink.open", err);
}

static enum rf_code lease(void *self, int64_t *load_id, struct rf_error *err) {
    *load_id = 8;
    return called(self, "sink.lease", err);
}

static enum rf_code newest(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err) {
    struct fakes *fakes = self;
    *last = fakes->facts.last;
    *total = fakes->before;
    return called(fakes, "sink.newest", err);
}

static enum rf_code describe(void *self, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err) {
    struct fakes *fakes = self;
    assert_int_equal(source->n_columns, fakes->facts.source.n_columns);
    *facts = fakes->facts.target;
    return called(fakes, "sink.describe", err);
}

static enum rf_code begin(void *self, const struct rf_plan *plan_made, struct rf_error *err) {
    assert_int_equal(plan_made->load_id, 8);
    return called(self, "sink.begin", err);
}

static enum rf_code write_piece(void *self, const struct rf_batch *batch, struct rf_error *err) {
    assert_true(batch->n_bytes > 0);
    return called(self, "sink.write", err);
}

static enum rf_code keys(void *self, struct rf_error *err) {
    struct fakes *fakes = self;
    assert_int_equal(fakes->source.n_reads, 1); /* the rows were read, and no key yet */
    return called(self, "sink.keys", err);
}

static enum rf_code merge(void *self, const struct rf_plan *plan_made, struct rf_counts *counts, struct rf_error *err) {
    struct fakes *fakes = self;
    const struct rf_counts *merged = &fakes->merged;
    assert_non_null(plan_made);
    counts->staged = merged->staged;
    counts->inserted = merged->inserted;
    counts->updated = merged->updated;
    counts->deleted = merged->deleted;
    counts->stale = merged->stale;
    counts->duplicates = merged->duplicates;
    counts->gone = merged->gone;
    counts->missed = merged->missed;
    counts->keys_staged = merged->keys_staged;
    counts->live_source = merged->live_source;
    counts->live_target = merged->live_target;
    return called(fakes, "sink.merge", err);
}

static enum rf_code record(void *self, const struct rf_report *report, struct rf_error *err) {
    struct fakes *fakes = self;
    RF_TRY(called(fakes, "sink.record", err));
    free(fakes->record);
    fakes->record = rf_report_json(report);
    return fakes->record ? RF_OK : rf_no_memory(err);
}

static enum rf_code commit(void *self, struct rf_error *err) {
    struct fakes *fakes = self;
    RF_TRY(called(fakes, "sink.commit", err));
    assert_non_null(fakes->record);
    fakes->committed = true;
    return RF_OK;
}

static enum rf_code read_sink(void *self, const char *sql, struct rf_error *err) {
    struct fakes *fakes = self;
    RF_TRY(called(fakes, "sink.read", err));
    start_stream(&fakes->sink, sql);
    return RF_OK;
}

static enum rf_code read_rows_of_sink(void *self, const struct rf_plan *plan_made, struct rf_compared *compared, struct rf_error *err) {
    struct fakes *fakes = self;
    RF_TRY(called(fakes, "sink.read_rows", err));
    assert_true(fakes->sink.n_reads < fakes->sink.n_streams);
    assert_int_equal(plan_made->source->n_columns, fakes->facts.source.n_columns);
    fakes->sink.n_reads++;
    *compared = fakes->compared;
    return RF_OK;
}

static enum rf_code next_of_sink(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct fakes *fakes = self;
    RF_TRY(called(fakes, "sink.next", err));
    next_piece(&fakes->sink, batch);
    return RF_OK;
}

static void close_sink(void *self) {
    struct fakes *fakes = self;
    struct rf_error ignored;
    (void)called(fakes, "sink.close", &ignored);
    fakes->sink.n_closes++;
}

#define ALL_BUT_READING                                                                                                  \
    .open = open_sink, .lease = lease, .newest = newest, .describe = describe, .begin = begin, .write = write_piece, \
    .keys = keys, .merge = merge, .record = record, .commit = commit, .next = next_of_sink, .close = close_sink

static const struct rf_sink_ops SINK = {ALL_BUT_READING, .read = read_sink};
static const struct rf_sink_ops SINK_OF_ROWS = {ALL_BUT_READING, .read_rows = read_rows_of_sink};

void give_rows(struct fakes *fakes, const struct rf_form *sent, const struct rf_form *given) {
    fakes->compared = (struct rf_compared){.sent = sent, .given = given};
    fakes->run.sink.ops = &SINK_OF_ROWS;
}

/* ---- a run ------------------------------------------------------------------------------------------------------ */

static void add_rows(struct fake_stream *stream) {
    add_bytes(stream, "first row", 9);
    end_piece(stream);
    add_bytes(stream, "two more", 8);
    end_piece(stream);
    stream->rows = 3;
}

void prepare_keys(struct fakes *fakes, int64_t n) {
    struct fake_stream *stream = add_stream(&fakes->source);
    add_bytes(stream, "all keys", 8);
    end_piece(stream);
    stream->rows = n;
    fakes->merged.keys_staged = fakes->merged.live_source = fakes->merged.live_target = n;
}

void make_fakes(struct fakes *fakes, const char *more) {
    memset(fakes, 0, sizeof *fakes);
    make_facts(&fakes->facts, more);
    add_rows(add_stream(&fakes->source));
    fakes->merged = (struct rf_counts){.staged = 3, .inserted = 1, .updated = 2};
    fakes->run = (struct rf_run){
        .job = &fakes->facts.job, .source = {.ops = &SOURCE, .self = fakes}, .sink = {.ops = &SINK, .self = fakes, .channel = "fake"},
        .observer = {.on_step = note_step, .context = fakes}, .arena = &fakes->facts.arena};
}

void take_sink(struct fakes *fakes, union rf_sink_memory *memory, struct rf_cancel **cancel) {
    struct rf_error *err = &fakes->facts.err;
    *cancel = rf_cancel_new();
    enum rf_code code = *cancel ? rf_sink_for(&fakes->facts.job, *cancel, &fakes->facts.arena, memory, &fakes->run.sink, err) : rf_no_memory(err);
    assert_code(code, RF_OK, err);
}

void drop_fakes(struct fakes *fakes) {
    free(fakes->record);
    free(fakes->run.report_json);
    drop_facts(&fakes->facts);
}
