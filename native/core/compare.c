#include "core/compare.h"

#include "core/compare_rows.h"
#include "core/hash_rows.h"
#include "core/row_stream.h"
#include "core/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One end, at a row. */
struct stream {
    struct rf_row_stream rows;
    struct rf_field fields[3]; /* key, hash, pending */
};

enum { CHECKSUM_FIELDS = 2, ROW_FIELDS = 3 };

static struct stream stream_of(enum rf_code (*next)(void *self, struct rf_batch *batch, struct rf_error *err), void *self) {
    return (struct stream){.rows = {.next = next, .self = self}};
}

/* The statements sent never give a NULL. */
static enum rf_code advance(struct stream *stream, int n_fields, struct rf_error *err) {
    RF_TRY(rf_row_stream_next(&stream->rows, stream->fields, n_fields, err));
    for (int i = 0; i < n_fields && !stream->rows.ended; i++)
        if (!stream->fields[i].bytes) return rf_row_stream_broken(err);
    return RF_OK;
}

struct checksum {
    int64_t rows;
    char sum[24];
};

static enum rf_code take_checksum(struct stream *stream, struct checksum *checksum, struct rf_error *err) {
    RF_TRY(advance(stream, CHECKSUM_FIELDS, err));
    if (stream->rows.ended || stream->fields[1].n_bytes >= (int32_t)sizeof checksum->sum || stream->fields[0].n_bytes >= 24)
        return rf_fail(err, RF_INTERNAL, "a server sent no checksum");
    char rows[24] = {0};
    memcpy(rows, stream->fields[0].bytes, (size_t)stream->fields[0].n_bytes);
    memcpy(checksum->sum, stream->fields[1].bytes, (size_t)stream->fields[1].n_bytes);
    checksum->rows = strtoll(rows, NULL, 10);
    return advance(stream, CHECKSUM_FIELDS, err);
}

static enum rf_code start(enum rf_code (*read)(void *self, const char *sql, struct rf_error *err), void *self,
                          struct rf_text *sql, struct rf_error *err) {
    enum rf_code code = rf_text_check(sql, err);
    if (code == RF_OK) code = read(self, sql->data, err);
    rf_text_free(sql);
    return code;
}

static enum rf_code compare_checksums(const struct rf_plan *plan, struct rf_source *source, struct rf_sink *sink,
                                      bool *same, struct checksum *checksum, struct rf_error *err) {
    struct checksum theirs = {0};
    struct rf_text sql = {0}, target_sql = {0};
    /* The target first: from then on its open transaction may be idle for as long as the source takes. */
    rf_sql_target_checksum(plan, &target_sql);
    RF_TRY(start(sink->ops->read, sink->self, &target_sql, err));
    rf_sql_source_checksum(plan, &sql);
    RF_TRY(start(source->ops->read, source->self, &sql, err));
    struct stream left = stream_of(source->ops->next, source->self);
    struct stream right = stream_of(sink->ops->next, sink->self);
    RF_TRY(take_checksum(&left, checksum, err));
    RF_TRY(take_checksum(&right, &theirs, err));
    *same = checksum->rows == theirs.rows && strcmp(checksum->sum, theirs.sum) == 0;
    return RF_OK;
}

static int compare_fields(const struct rf_field *a, const struct rf_field *b) {
    size_t n = (size_t)(a->n_bytes < b->n_bytes ? a->n_bytes : b->n_bytes);
    int order = memcmp(a->bytes, b->bytes, n);
    return order != 0 ? order : (a->n_bytes > b->n_bytes) - (a->n_bytes < b->n_bytes);
}

static enum rf_code note(struct rf_verification *verification, const char *kind, const struct rf_field *key,
                         struct rf_arena *arena, struct rf_error *err) {
    return rf_note_example(verification, kind, (const char *)key->bytes, (size_t)key->n_bytes, arena, err);
}

static bool is_pending(const struct stream *left) {
    return left->fields[2].n_bytes == 1 && left->fields[2].bytes[0];
}

/* All source rows of the target's key: the target holds one of them where the key is not unique. Without a key it holds each. */
static enum rf_code compare_key(bool has_key, struct stream *left, const struct stream *right, struct rf_verification *verification,
                                struct rf_arena *arena, struct rf_error *err) {
    bool equal = false, pending = false, more = true;
    while (more && !left->rows.ended && compare_fields(&left->fields[0], &right->fields[0]) == 0) {
        equal |= compare_fields(&left->fields[1], &right->fields[1]) == 0;
        pending |= is_pending(left);
        more = has_key;
        RF_TRY(advance(left, ROW_FIELDS, err));
    }
    verification->equal += equal;
    verification->pending += !equal && pending;
    if (equal || pending) return RF_OK;
    verification->different++;
    return note(verification, "different", &right->fields[0], arena, err);
}

static enum rf_code compare_streams(bool has_key, struct stream *left, struct stream *right, struct rf_verification *verification,
                                    struct rf_arena *arena, struct rf_error *err) {
    RF_TRY(advance(left, ROW_FIELDS, err));
    RF_TRY(advance(right, ROW_FIELDS, err));
    while (!left->rows.ended || !right->rows.ended) {
        int order = left->rows.ended ? 1 : right->rows.ended ? -1 : compare_fields(&left->fields[0], &right->fields[0]);
        verification->compared++;
        if (order == 0) {
            RF_TRY(compare_key(has_key, left, right, verification, arena, err));
            RF_TRY(advance(right, ROW_FIELDS, err));
        } else if (order > 0) {
            verification->target_only++;
            RF_TRY(note(verification, "target_only", &right->fields[0], arena, err));
            RF_TRY(advance(right, ROW_FIELDS, err));
        } else {
            verification->pending += is_pending(left);
            verification->missing += !is_pending(left);
            if (!is_pending(left)) RF_TRY(note(verification, "missing", &left->fields[0], arena, err));
            RF_TRY(advance(left, ROW_FIELDS, err));
        }
    }
    return RF_OK;
}

enum rf_code rf_note_example(struct rf_verification *verification, const char *kind, const char *key, size_t n_bytes, struct rf_arena *arena,
                             struct rf_error *err) {
    if (verification->n_examples == RF_MOST_EXAMPLES) return RF_OK;
    char *text = rf_arena_take(arena, n_bytes + 1);
    if (!text) return rf_no_memory(err);
    memcpy(text, key, n_bytes);
    verification->examples[verification->n_examples++] = (struct rf_example){.kind = kind, .key = text};
    return RF_OK;
}

enum rf_code rf_compare(const struct rf_plan *plan, struct rf_source *source, struct rf_sink *sink, uint64_t since,
                        struct rf_arena *arena, struct rf_verification *verification, struct rf_error *err) {
    *verification = (struct rf_verification){.done = true};
    /* A server cannot hash what is hashed here: then rows are read from the one that else hashes its rows, too. */
    bool by_rows = !sink->ops->read || rf_facts_hash(plan->source);
    if (by_rows) return rf_compare_rows(plan, source, sink, since, arena, verification, err);
    bool same = false;
    struct checksum checksum = {0};
    RF_TRY(compare_checksums(plan, source, sink, &same, &checksum, err));
    if (same) {
        verification->compared = verification->equal = checksum.rows;
        verification->checksum = rf_arena_copy(arena, checksum.sum);
        return verification->checksum ? RF_OK : rf_no_memory(err);
    }
    struct rf_text source_sql = {0}, target_sql = {0};
    rf_sql_source_rows(plan, since, &source_sql);
    RF_TRY(start(source->ops->read, source->self, &source_sql, err));
    rf_sql_target_rows(plan, &target_sql);
    RF_TRY(start(sink->ops->read, sink->self, &target_sql, err));
    struct stream left = stream_of(source->ops->next, source->self);
    struct stream right = stream_of(sink->ops->next, sink->self);
    return compare_streams(plan->source->n_keys > 0, &left, &right, verification, arena, err);
}
