#include "core/compare_rows.h"

#include "core/hash_rows.h"
#include "core/key_text.h"
#include "core/row_hash.h"
#include "core/row_stream.h"
#include "core/sql.h"
#include "core/tally.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* 16 MB of buckets, and up to 72 MB of rows. */
enum { BUCKET_BITS = 20, SLOT_BITS = 22 };

struct comparison {
    const struct rf_plan *plan;
    struct rf_source *source;
    struct rf_sink *sink;
    uint64_t since;
    struct rf_arena *arena;
    struct rf_verification *verification;
    struct rf_compared compared;
    struct rf_tally *tally;
    struct rf_field *fields; /* of the row at hand: its columns, and whether it is pending */
};

/* What is done with a row. */
typedef enum rf_code visitor(struct comparison *comparison, const struct rf_row_hash *hash, struct rf_error *err);

static enum rf_code visit(struct comparison *comparison, struct rf_row_stream *rows, const struct rf_form *forms, int n_fields, visitor *take,
                          struct rf_error *err) {
    const struct rf_source_facts *source = comparison->plan->source;
    for (;;) {
        struct rf_row_hash hash;
        RF_TRY(rf_row_stream_next(rows, comparison->fields, n_fields, err));
        if (rows->ended) return RF_OK;
        rf_hash_row(forms, comparison->fields, source->n_columns, source->keys, source->n_keys, &hash);
        if (source->n_keys == 0) hash.key = hash.row; /* no key names the row: all of it does */
        RF_TRY(take(comparison, &hash, err));
    }
}

static enum rf_code visit_source(struct comparison *comparison, uint64_t since, visitor *take, struct rf_error *err) {
    struct rf_source *source = comparison->source;
    struct rf_text sql = {0};
    bool hashes_rows = comparison->sink->ops->read != NULL; /* and gives them as texts */
    if (hashes_rows) rf_sql_source_texts(comparison->plan, since, &sql);
    else rf_sql_source_values(comparison->plan, since, &sql);
    enum rf_code code = rf_text_check(&sql, err);
    if (code == RF_OK) code = source->ops->read(source->self, sql.data, err);
    rf_text_free(&sql);
    RF_TRY(code);
    struct rf_hashed_source hashed;
    rf_hashed_begin(&hashed, source, comparison->plan->source, false, false);
    struct rf_row_stream rows = {.next = rf_hashed_next, .self = &hashed};
    code = visit(comparison, &rows, comparison->compared.sent, comparison->plan->source->n_columns + (since != 0), take, err);
    rf_hashed_end(&hashed);
    return code;
}

static enum rf_code visit_target(struct comparison *comparison, visitor *take, struct rf_error *err) {
    struct rf_sink *sink = comparison->sink;
    RF_TRY(sink->ops->read_rows(sink->self, comparison->plan, &comparison->compared, err));
    struct rf_row_stream rows = {.next = sink->ops->next, .self = sink->self};
    return visit(comparison, &rows, comparison->compared.given, comparison->plan->source->n_columns, take, err);
}

/* ---- what is done with rows ---- */

static enum rf_code count_target(struct comparison *comparison, const struct rf_row_hash *hash, struct rf_error *err) {
    (void)err;
    rf_tally_count(comparison->tally, RF_TALLY_TARGET, hash);
    return RF_OK;
}

static enum rf_code count_source(struct comparison *comparison, const struct rf_row_hash *hash, struct rf_error *err) {
    (void)err;
    rf_tally_count(comparison->tally, RF_TALLY_SOURCE, hash);
    return RF_OK;
}

static enum rf_code keep_target(struct comparison *comparison, const struct rf_row_hash *hash, struct rf_error *err) {
    (void)err;
    rf_tally_keep(comparison->tally, hash);
    return RF_OK;
}

static bool has_room(const struct comparison *comparison) {
    return comparison->verification->n_examples < RF_MOST_EXAMPLES;
}

static enum rf_code note(struct comparison *comparison, const char *kind, const struct rf_form *forms, struct rf_error *err) {
    struct rf_text key = {0};
    rf_key_text(comparison->plan, forms, comparison->fields, &key);
    enum rf_code code = rf_text_check(&key, err);
    if (code == RF_OK) code = rf_note_example(comparison->verification, kind, key.data, key.length, comparison->arena, err);
    rf_text_free(&key);
    return code;
}

static enum rf_code meet_source(struct comparison *comparison, const struct rf_row_hash *hash, struct rf_error *err) {
    const struct rf_field *flag = &comparison->fields[comparison->plan->source->n_columns];
    bool pending = comparison->since && flag->n_bytes == 1 && flag->bytes[0];
    if (rf_tally_meet(comparison->tally, hash, pending) || !has_room(comparison)) return RF_OK;
    return note(comparison, "missing", comparison->compared.sent, err);
}

static enum rf_code name_target(struct comparison *comparison, const struct rf_row_hash *hash, struct rf_error *err) {
    const char *verdict = has_room(comparison) ? rf_tally_verdict(comparison->tally, hash) : NULL;
    return verdict ? note(comparison, verdict, comparison->compared.given, err) : RF_OK;
}

/* ---- all of them ---- */

static enum rf_code compare_group(struct comparison *comparison, struct rf_error *err) {
    const struct rf_tally_counts *counts = rf_tally_counts(comparison->tally);
    int64_t named = counts->different + counts->target_only;
    RF_TRY(visit_target(comparison, keep_target, err));
    RF_TRY(visit_source(comparison, comparison->since, meet_source, err));
    rf_tally_end_group(comparison->tally);
    bool has_more = counts->different + counts->target_only > named;
    return has_more && has_room(comparison) ? visit_target(comparison, name_target, err) : RF_OK;
}

static void take_counts(const struct rf_tally_counts *counts, struct rf_verification *verification) {
    verification->equal = counts->equal;
    verification->pending = counts->pending;
    verification->target_only = counts->target_only;
    verification->different = counts->different;
    verification->missing = counts->missing;
    verification->compared = counts->equal + counts->pending + counts->target_only + counts->different + counts->missing;
}

static enum rf_code take_checksum(const struct comparison *comparison, struct rf_error *err) {
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, rf_tally_checksum(comparison->tally));
    comparison->verification->checksum = rf_arena_copy(comparison->arena, text);
    return comparison->verification->checksum ? RF_OK : rf_no_memory(err);
}

static enum rf_code compare(struct comparison *comparison, struct rf_error *err) {
    bool differs = false, more;
    RF_TRY(visit_target(comparison, count_target, err));
    RF_TRY(visit_source(comparison, 0, count_source, err));
    RF_TRY(rf_tally_next_group(comparison->tally, &more, err));
    for (differs = more; more;) {
        RF_TRY(compare_group(comparison, err));
        RF_TRY(rf_tally_next_group(comparison->tally, &more, err));
    }
    take_counts(rf_tally_counts(comparison->tally), comparison->verification);
    return differs ? RF_OK : take_checksum(comparison, err);
}

enum rf_code rf_compare_rows(const struct rf_plan *plan, struct rf_source *source, struct rf_sink *sink, uint64_t since,
                             struct rf_arena *arena, struct rf_verification *verification, struct rf_error *err) {
    struct comparison comparison = {.plan = plan, .source = source, .sink = sink, .since = since, .arena = arena, .verification = verification};
    comparison.fields = calloc((size_t)plan->source->n_columns + 1, sizeof *comparison.fields);
    enum rf_code code = comparison.fields ? rf_tally_new(BUCKET_BITS, SLOT_BITS, &comparison.tally, err) : rf_no_memory(err);
    if (code == RF_OK && plan->source->n_keys == 0) rf_tally_count_each(comparison.tally);
    if (code == RF_OK) code = compare(&comparison, err);
    rf_tally_free(comparison.tally);
    free(comparison.fields);
    return code;
}
