#include "facts.h"

#include "core/timestamp.h"
#include "units.h"

#include <stdio.h>
#include <string.h>

static struct rf_column column(const char *name, const char *type, const char *base, int32_t typmod) {
    return (struct rf_column){.name = name, .type = type, .base = base, .identity = base, .typmod = typmod};
}

struct rf_column *add_source_column(struct facts *facts, const char *name, const char *type, const char *base, int32_t typmod) {
    struct rf_column *added = &facts->source_columns[facts->source.n_columns++];
    *added = column(name, type, base, typmod);
    return added;
}

struct rf_column *add_target_column(struct facts *facts, const char *name, const char *type, const char *base, int32_t typmod) {
    struct rf_column *added = &facts->target_columns[facts->target.n_columns++];
    *added = column(name, type, base, typmod);
    return added;
}

/* Twelve digits, four of them behind the point. */
static const int32_t NUMERIC_12_4 = ((12 << 16) | 4) + 4;

static void make_source(struct facts *facts) {
    facts->source = (struct rf_source_facts){
        .server = {.version = 180000, .utf8 = true, .lc_monetary = "C"},
        .identity = {.system = "70001", .timeline = 1, .timeline_bytes = UINT64_MAX, .database = "shop", .table_oid = 16384},
        .snapshot = {.text = "1200:1210:1205", .xmin = 1200, .xmax = 1210, .lsn = "0/2000", .lsn_bytes = 0x2000, .clock = "2026-11-22T18:00:00.000000+00:00"},
        .schema = facts->job.source_schema,
        .name = facts->job.source_table,
        .columns = facts->source_columns,
        .keys = facts->keys,
        .n_keys = 1,
        .key_proven = true,
        .one_heap = true,
        .bytes = 8192,
        .rows_estimate = 3,
        .fingerprint = FINGERPRINT};
    add_source_column(facts, "id", "bigint", "int8", -1)->not_null = true;
    add_source_column(facts, "amount", "numeric(12,4)", "numeric", NUMERIC_12_4);
    add_source_column(facts, "note", "text", "text", -1);
}

static void make_target(struct facts *facts) {
    facts->target = (struct rf_target_facts){
        .server = {.version = 180000, .utf8 = true, .lc_monetary = "C"}, .exists = true, .is_ours = true, .key_unique = true, .file = "20001/20001", .columns = facts->target_columns};
    add_target_column(facts, "id", "bigint", "int8", -1)->not_null = true;
    add_target_column(facts, "amount", "numeric(12,4)", "numeric", NUMERIC_12_4);
    add_target_column(facts, "note", "text", "text", -1);
    add_target_column(facts, "_extracted_at", "timestamp with time zone", "timestamptz", -1)->not_null = true;
    add_target_column(facts, "_load_id", "bigint", "int8", -1)->not_null = true;
    add_target_column(facts, "_deleted_at", "timestamp with time zone", "timestamptz", -1);
}

void make_facts(struct facts *facts, const char *more) {
    memset(facts, 0, sizeof *facts);
    rf_arena_init(&facts->arena, 1 << 20);
    struct rf_text json = {0};
    const char *table = strstr(more, "\"table\":") ? "" : ",\"table\":\"orders\""; /* no key comes twice */
    rf_text_addf(&json, "{\"source\":\"postgresql://s/shop\",\"target\":\"postgresql://t/warehouse\",\"run_id\":\"run 1\"%s%s}", table, more);
    assert_code(rf_job_parse(whole(&json), &facts->arena, &facts->job, &facts->err), RF_OK, &facts->err);
    rf_text_free(&json);
    make_source(facts);
    make_target(facts);
    facts->last = (struct rf_load){
        .load_id = 7, .source_table = "public.orders", .identity = facts->source.identity, .chosen = "xmin", .snapshot = "1000:1000:", .proven = "1000:1000:", .lsn = "0/1000",
        .fingerprint = facts->source.fingerprint, .extracted_at = "2026-11-22T17:00:00.000000+00:00", .target_file = "20001/20001"};
}

void drop_facts(struct facts *facts) {
    rf_arena_free(&facts->arena);
}

void never_loaded(struct facts *facts) {
    facts->last = (struct rf_load){0};
    facts->target.file = NULL;
    facts->target.exists = facts->target.is_ours = facts->target.key_unique = false;
    facts->target.n_columns = facts->source.n_columns;
    memcpy(facts->target_columns, facts->source_columns, sizeof facts->source_columns);
}

void without_proven_key(struct facts *facts) {
    facts->source.key_proven = false;
}

void with_stream(struct facts *facts) {
    facts->job.capture = RF_CAPTURE_GIVEN;
    facts->source.identity = (struct rf_identity){0};
    facts->source.snapshot = (struct rf_snapshot){0};
    facts->source.key_proven = facts->source.one_heap = false;
    facts->source.fingerprint = "";
    facts->target.server.clock = "2026-11-22T18:00:00.000000+00:00";
}

int64_t at(const char *time) {
    char text[64];
    int64_t micros = 0;
    snprintf(text, sizeof text, "2026-11-22T%s+00:00", time);
    assert_true(rf_read_timestamp(text, &micros));
    return micros;
}

void with_cursor(struct facts *facts) {
    const struct rf_cursor_column column = {.base = "timestamptz", .resolution_us = 1, .not_null = true, .indexed = true, .set_by_clock = true};
    facts->source.cursor = facts->cursor;
    facts->source.n_cursor = 2;
    facts->cursor[0] = facts->cursor[1] = column;
    facts->cursor[0].name = "created_at";
    facts->cursor[1].name = "updated_at";
    facts->source.open = (struct rf_open_transactions_facts){
        .listed = true, .sees_all = true, .listed_us = at("18:00:00.000000"), .oldest_us = at("18:00:00.000000"), .replayed_us = INT64_MAX};
    facts->last.chosen = "cursor";
    facts->last.cursor = "\"created_at\",\"updated_at\"";
    facts->last.snapshot = "1100:1100:";
    facts->last.watermark = "2026-11-22T17:00:00.000000+00:00";
}

enum rf_code plan(struct facts *facts) {
    return rf_plan_make(&facts->job, &facts->source, &facts->target, &facts->last, 8, &facts->arena, &facts->plan, &facts->err);
}

bool has_reason(const struct facts *facts, const char *part) {
    for (int i = 0; i < facts->plan.n_reasons; i++)
        if (strstr(facts->plan.reasons[i], part)) return true;
    return false;
}
