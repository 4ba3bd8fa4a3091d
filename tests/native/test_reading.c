/* A table into Arrow batches, on a source that says what the test wants. */
#include "core/reading.h"
#include "fakes.h"
#include "units.h"

#include <string.h>

enum { MOST_BATCHES = 8, ANY_SIZE = 1 << 20 };

/* Takes batches, and notes what was so when each came. */
struct taker {
    struct fakes *fakes;
    int n_fields;
    char first_format[8];
    struct ArrowArray batches[MOST_BATCHES];
    bool source_was_closed[MOST_BATCHES];
    int n;
    int most; /* after which it takes no more */
};

static enum rf_code note_columns(void *self, const struct rf_columns_field *fields, int n_fields, struct rf_error *err) {
    struct taker *taker = self;
    (void)err;
    taker->n_fields = n_fields;
    rf_copy_text(taker->first_format, sizeof taker->first_format, fields[0].type.format);
    return RF_OK;
}

static enum rf_code keep_batch(void *self, struct ArrowArray *batch, struct rf_error *err) {
    struct taker *taker = self;
    if (taker->n == taker->most) return rf_fail(err, RF_CANCELLED, "enough");
    taker->source_was_closed[taker->n] = taker->fakes->source.n_closes > 0;
    taker->batches[taker->n++] = *batch;
    return RF_OK;
}

static int64_t rows_of(const struct taker *taker) {
    int64_t rows = 0;
    for (int i = 0; i < taker->n; i++) rows += taker->batches[i].length;
    return rows;
}

/* Three rows of (id, NULL, note) in two pieces. */
static void begin(struct fakes *fakes, struct taker *taker, const char *more) {
    static const uint8_t id[8] = {0, 0, 0, 0, 0, 0, 0, 7};
    make_fakes(fakes, more);
    fakes->facts.last = (struct rf_load){0};
    *taker = (struct taker){.fakes = fakes, .most = MOST_BATCHES};
    fakes->source.n_streams = 0;
    struct fake_stream *stream = add_stream(&fakes->source);
    begin_copy(stream);
    for (int row = 0; row < 3; row++) {
        add_row(stream, 3);
        add_field(stream, id, sizeof id);
        add_field(stream, NULL, -1);
        add_field(stream, "a note", 6);
        if (row == 0) end_piece(stream);
    }
}

static enum rf_code read_table(struct fakes *fakes, struct taker *taker, size_t batch_bytes) {
    const struct rf_taker to = {.describe = note_columns, .take = keep_batch, .self = taker};
    return rf_read_table(&fakes->facts.job, &fakes->run.source, batch_bytes, &to, &fakes->facts.arena, &fakes->facts.err);
}

static void end(struct fakes *fakes, struct taker *taker) {
    for (int i = 0; i < taker->n; i++) taker->batches[i].release(&taker->batches[i]);
    drop_fakes(fakes);
}

TEST(a_batch_ends_with_the_row_that_fills_it) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, "");
    end_copy(&fakes.source.streams[0], 3);
    assert_code(read_table(&fakes, &taker, 1), RF_OK, &fakes.facts.err);
    assert_int_equal(taker.n, 3);
    assert_int_equal(taker.batches[0].length, 1);
    end(&fakes, &taker);
}

TEST(rows_that_fill_no_batch_come_at_the_end) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, "");
    end_copy(&fakes.source.streams[0], 3);
    assert_code(read_table(&fakes, &taker, ANY_SIZE), RF_OK, &fakes.facts.err);
    assert_int_equal(taker.n, 1);
    assert_int_equal(rows_of(&taker), 3);
    assert_int_equal(taker.n_fields, 3);
    assert_string_equal(taker.first_format, "l");
    end(&fakes, &taker);
}

TEST(the_source_is_let_go_before_its_last_rows_are_handed_over) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, "");
    end_copy(&fakes.source.streams[0], 3);
    assert_code(read_table(&fakes, &taker, ANY_SIZE), RF_OK, &fakes.facts.err);
    assert_true(taker.source_was_closed[0]);
    end(&fakes, &taker);
}

TEST(a_table_without_rows_has_columns_and_no_batch) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, "");
    memset(&fakes.source.streams[0], 0, sizeof fakes.source.streams[0]);
    begin_copy(&fakes.source.streams[0]);
    end_copy(&fakes.source.streams[0], 0);
    assert_code(read_table(&fakes, &taker, 1), RF_OK, &fakes.facts.err);
    assert_int_equal(taker.n, 0);
    assert_int_equal(taker.n_fields, 3);
    end(&fakes, &taker);
}

TEST(rows_that_went_missing_are_a_failure) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, "");
    end_copy(&fakes.source.streams[0], 4);
    assert_code(read_table(&fakes, &taker, ANY_SIZE), RF_SOURCE, &fakes.facts.err);
    assert_contains(fakes.facts.err.message, "4 rows");
    assert_int_equal(taker.n, 0);
    end(&fakes, &taker);
}

TEST(rows_that_are_cut_short_are_a_failure) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, "");
    fakes.source.streams[0].n_bytes -= 2;
    end_piece(&fakes.source.streams[0]);
    assert_code(read_table(&fakes, &taker, 1), RF_INTERNAL, &fakes.facts.err);
    assert_int_equal(fakes.source.n_closes, 1);
    end(&fakes, &taker);
}

TEST(whoever_takes_no_more_ends_it) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, "");
    end_copy(&fakes.source.streams[0], 3);
    taker.most = 1;
    assert_code(read_table(&fakes, &taker, 1), RF_CANCELLED, &fakes.facts.err);
    assert_int_equal(taker.n, 1);
    assert_int_equal(fakes.source.n_closes, 1);
    end(&fakes, &taker);
}

TEST(a_source_that_fails_at_any_step_is_closed) {
    static const char *const steps[] = {"source.open", "source.snapshot", "source.read", "source.next"};
    for (size_t i = 0; i < N_OF(steps); i++) {
        struct fakes fakes;
        struct taker taker;
        begin(&fakes, &taker, "");
        end_copy(&fakes.source.streams[0], 3);
        fakes.fail_at = steps[i];
        fakes.fail_code = RF_BUSY;
        assert_code(read_table(&fakes, &taker, 1), RF_BUSY, &fakes.facts.err);
        assert_int_equal(fakes.source.n_closes, 1);
        end(&fakes, &taker);
    }
}

TEST(a_column_that_cannot_be_as_text_is_named_before_anything_is_read) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, ",\"as_text\":[\"nowhere\"]");
    assert_code(read_table(&fakes, &taker, 1), RF_CONFIG, &fakes.facts.err);
    assert_contains(fakes.facts.err.message, "nowhere");
    assert_false(was_called(&fakes, "source.read"));
    end(&fakes, &taker);
}

TEST(what_is_read_as_text_is_sent_as_text) {
    struct fakes fakes;
    struct taker taker;
    begin(&fakes, &taker, ",\"as_text\":[\"amount\"],\"where\":\"id > 0\"");
    end_copy(&fakes.source.streams[0], 3);
    assert_code(read_table(&fakes, &taker, 1), RF_OK, &fakes.facts.err);
    assert_string_equal(fakes.source.sql[0], "COPY (SELECT \"id\", \"amount\"::pg_catalog.text AS \"amount\", \"note\" FROM \"public\".\"orders\""
                                             " WHERE (\nid > 0\n)) TO STDOUT (FORMAT binary)");
    end(&fakes, &taker);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_ends_with_the_row_that_fills_it),
        cmocka_unit_test(rows_that_fill_no_batch_come_at_the_end),
        cmocka_unit_test(the_source_is_let_go_before_its_last_rows_are_handed_over),
        cmocka_unit_test(a_table_without_rows_has_columns_and_no_batch),
        cmocka_unit_test(rows_that_went_missing_are_a_failure),
        cmocka_unit_test(rows_that_are_cut_short_are_a_failure),
        cmocka_unit_test(whoever_takes_no_more_ends_it),
        cmocka_unit_test(a_source_that_fails_at_any_step_is_closed),
        cmocka_unit_test(a_column_that_cannot_be_as_text_is_named_before_anything_is_read),
        cmocka_unit_test(what_is_read_as_text_is_sent_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
