/* A stream as a source: its rows as COPY BINARY, and what it handed over let go of once, however it ends. */
#include "drivers/source_stream.h"

#include "core/copy_binary.h"
#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- a stream that counts what is given and let go of ---- */

enum { MOST_ROWS = 20000 };

struct fake {
    int n_batches;
    int n_rows;        /* of each batch */
    int fails_at;      /* which call of get_next fails, from 1 on; 0: none */
    bool schema_fails;
    bool lacks_column; /* the batches have one column less than the schema says */
    const char *said;
    int asked, given, arrays_released, schemas_given, schemas_released, streams_released;
    int64_t values[MOST_ROWS];
    const void *buffers[2];
    struct ArrowArray columns[2];
    struct ArrowArray *children[2];
    struct ArrowSchema fields[2];
    struct ArrowSchema *field_list[2];
};

static struct fake fake;

static void release_array(struct ArrowArray *array) {
    fake.arrays_released++;
    array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema) {
    fake.schemas_released++;
    schema->release = NULL;
}

static void release_stream(struct ArrowArrayStream *stream) {
    fake.streams_released++;
    stream->release = NULL;
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    (void)stream;
    return fake.said;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    (void)stream;
    if (fake.schema_fails) return EIO;
    fake.schemas_given++;
    fake.fields[0] = (struct ArrowSchema){.format = "l", .name = "id"};
    fake.fields[1] = (struct ArrowSchema){.format = "n", .name = "nothing", .flags = ARROW_FLAG_NULLABLE};
    for (int i = 0; i < 2; i++) fake.field_list[i] = &fake.fields[i];
    *out = (struct ArrowSchema){.format = "+s", .n_children = 2, .children = fake.field_list, .release = release_schema};
    return 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    static const void *no_validity[1];
    (void)stream;
    if (++fake.asked == fake.fails_at) return EIO;
    *out = (struct ArrowArray){0};
    if (fake.given == fake.n_batches) return 0;
    for (int i = 0; i < fake.n_rows; i++) fake.values[i] = (int64_t)fake.given * fake.n_rows + i;
    fake.given++;
    fake.buffers[1] = fake.values;
    fake.columns[0] = (struct ArrowArray){.length = fake.n_rows, .n_buffers = 2, .buffers = fake.buffers};
    fake.columns[1] = (struct ArrowArray){.length = fake.n_rows, .null_count = fake.n_rows};
    for (int i = 0; i < 2; i++) fake.children[i] = &fake.columns[i];
    *out = (struct ArrowArray){.length = fake.n_rows, .n_buffers = 1, .buffers = no_validity, .n_children = fake.lacks_column ? 1 : 2, .children = fake.children, .release = release_array};
    return 0;
}

/* ---- reading it ---- */

static struct read {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_cancel *cancel;
    struct ArrowArrayStream stream;
    struct rf_source_stream source;
    struct rf_source_facts facts;
    struct rf_error err;
    int64_t rows_seen; /* decoded from the bytes */
    int64_t told;      /* at the end, by the source */
    int pieces;
    size_t largest;
} it;

static void begin(struct fake made, const char *key) {
    char json[256];
    fake = made;
    memset(&it, 0, sizeof it);
    rf_arena_init(&it.arena, 1 << 20);
    snprintf(json, sizeof json, "{\"target\":\"postgresql://t\",\"table\":\"o\",\"run_id\":\"r\",\"batch_bytes\":65536,\"keys\":[\"%s\"]}", key);
    it.cancel = needed(rf_cancel_new());
    it.stream = (struct ArrowArrayStream){.get_schema = get_schema, .get_next = get_next, .get_last_error = get_last_error, .release = release_stream};
    assert_code(rf_job_parse(json, &it.arena, &it.job, &it.err), RF_OK, &it.err);
    it.source = (struct rf_source_stream){.job = &it.job, .cancel = it.cancel, .arena = &it.arena, .stream = &it.stream};
}

/* The rows of a piece, which is cut between rows. */
static enum rf_code count_rows(struct rf_copy_reader *reader, const struct rf_batch *batch) {
    const uint8_t *at = batch->bytes;
    size_t left = batch->n_bytes;
    struct rf_field fields[2];
    while (left > 0) {
        enum rf_copy_result result = rf_copy_next_row(reader, &at, &left, fields, 2);
        if (result == RF_COPY_END) break;
        assert_int_equal(result, RF_COPY_ROW);
        assert_int_equal(fields[0].n_bytes, 8);
        assert_int_equal(fields[0].bytes[6] << 8 | fields[0].bytes[7], it.rows_seen & 0xFFFF);
        assert_null(fields[1].bytes);
        it.rows_seen++;
    }
    return RF_OK;
}

static enum rf_code read_all(void) {
    const struct rf_source_ops *ops = &rf_source_stream_ops;
    const struct rf_load last = {0};
    struct rf_copy_reader reader = {0};
    RF_TRY(ops->open(&it.source, &it.err));
    RF_TRY(ops->snapshot(&it.source, &last, &it.facts, &it.err));
    RF_TRY(ops->read(&it.source, NULL, &it.err));
    for (;;) {
        struct rf_batch batch;
        RF_TRY(ops->next(&it.source, &batch, &it.err));
        it.told = batch.n_rows;
        if (batch.n_bytes == 0) break;
        RF_TRY(count_rows(&reader, &batch));
        it.pieces++;
        if (batch.n_bytes > it.largest) it.largest = batch.n_bytes;
    }
    assert_true(reader.ended);
    return RF_OK;
}

/* Everything that was handed over is let go of, and nothing twice. */
static void end(void) {
    rf_source_stream_ops.close(&it.source);
    rf_source_stream_ops.close(&it.source);
    rf_cancel_release(it.cancel);
    rf_arena_free(&it.arena);
    assert_always(fake.streams_released == 1);
    assert_always(fake.arrays_released == fake.given);
    assert_always(fake.schemas_released == fake.schemas_given);
}

static void reads(struct fake made, int64_t rows) {
    begin(made, "id");
    enum rf_code code = read_all();
    end();
    assert_code(code, RF_OK, &it.err);
    assert_int_equal(it.rows_seen, rows);
    assert_int_equal(it.told, rows);
}

static void fails(struct fake made, const char *key, enum rf_code expected, const char *message) {
    begin(made, key);
    enum rf_code code = read_all();
    end();
    assert_code(code, expected, &it.err);
    assert_contains(it.err.message, message);
}

TEST(small_batches_are_joined) {
    reads((struct fake){.n_batches = 300, .n_rows = 3}, 900);
    assert_int_equal(it.pieces, 1);
}

TEST(a_large_batch_is_cut_to_about_the_bytes_of_a_batch) {
    reads((struct fake){.n_batches = 2, .n_rows = MOST_ROWS}, 2 * MOST_ROWS);
    assert_true(it.pieces > 10);
    assert_true(it.largest >= 65536 && it.largest < 65536 + 256);
}

TEST(no_batch_and_empty_batches_are_a_copy_without_rows) {
    reads((struct fake){.n_batches = 0}, 0);
    reads((struct fake){.n_batches = 3, .n_rows = 0}, 0);
}

TEST(what_a_stream_is_becomes_the_facts_of_a_source) {
    begin((struct fake){.n_batches = 1, .n_rows = 1}, "id");
    enum rf_code code = read_all();
    struct rf_source_facts *facts = &it.facts;
    if (code == RF_OK) {
        assert_int_equal(facts->n_columns, 2);
        assert_string_equal(facts->columns[0].type, "bigint");
        assert_true(facts->columns[0].not_null && !facts->columns[1].not_null);
        assert_true(facts->columns[1].always_null && !facts->columns[0].always_null);
        assert_int_equal(facts->n_keys, 1);
        assert_int_equal(facts->keys[0], 0);
        assert_false(facts->key_proven);
        assert_null(facts->snapshot.text);
        assert_null(facts->identity.system);
    }
    end();
    assert_code(code, RF_OK, &it.err);
}

TEST(a_stream_that_fails_says_why_and_behind_which_row) {
    fails((struct fake){.schema_fails = true, .said = "no schema today"}, "id", RF_SOURCE, "behind row 0: no schema today");
    fails((struct fake){.n_batches = 9, .n_rows = 10, .fails_at = 1, .said = "boom"}, "id", RF_SOURCE, "behind row 0: boom");
    fails((struct fake){.n_batches = 9, .n_rows = 10, .fails_at = 3}, "id", RF_SOURCE, "behind row 20 and says no more than error 5");
    assert_true(it.err.retryable);
}

TEST(what_does_not_fit_is_refused) {
    fails((struct fake){.n_batches = 1, .n_rows = 1}, "key", RF_CONFIG, "no column \"key\"");
    fails((struct fake){.n_batches = 1, .n_rows = 1, .lacks_column = true}, "id", RF_DATA, "");
}

TEST(a_cancelled_run_asks_for_no_more) {
    begin((struct fake){.n_batches = 1000, .n_rows = 10}, "id");
    rf_cancel_request(it.cancel);
    enum rf_code code = read_all();
    end();
    assert_code(code, RF_CANCELLED, &it.err);
    assert_int_equal(fake.asked, 0);
    begin((struct fake){.schema_fails = true, .said = "interrupted"}, "id");
    rf_cancel_request(it.cancel);
    code = read_all();
    end();
    assert_code(code, RF_CANCELLED, &it.err);
}

TEST(a_stream_that_was_never_read_is_let_go_of_too) {
    begin((struct fake){.n_batches = 1, .n_rows = 1}, "id");
    end();
    begin((struct fake){.n_batches = 1, .n_rows = 1}, "id");
    rf_source_stream_ops.close(&it.source);
    enum rf_code code = read_all();
    end();
    assert_code(code, RF_CONFIG, &it.err);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_batches_are_joined),
        cmocka_unit_test(a_large_batch_is_cut_to_about_the_bytes_of_a_batch),
        cmocka_unit_test(no_batch_and_empty_batches_are_a_copy_without_rows),
        cmocka_unit_test(what_a_stream_is_becomes_the_facts_of_a_source),
        cmocka_unit_test(a_stream_that_fails_says_why_and_behind_which_row),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(a_cancelled_run_asks_for_no_more),
        cmocka_unit_test(a_stream_that_was_never_read_is_let_go_of_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
