/* Any catalog texts, names, load records and settings: a plan is refused or made, and what it says stays UTF-8 if it was. */
#include "facts.h"

#include "core/report.h"
#include "core/sql.h"
#include "units.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* The next text of the input, which ends at a zero byte; empty at the end. */
static const char *take_text(const char **at, const char *end) {
    const char *text = *at;
    *at = text < end ? text + strlen(text) + 1 : text;
    return text < end ? text : "";
}

static int32_t take_number(const char **at, const char *end) {
    return (int32_t)strtol(take_text(at, end), NULL, 10);
}

/* A text with an "x" is a yes. */
static bool take_flag(const char **at, const char *end) {
    return strchr(take_text(at, end), 'x') != NULL;
}

/* Where a fact is a time that may be missing. */
static const char *take_or_null(const char **at, const char *end) {
    const char *text = take_text(at, end);
    return *text ? text : NULL;
}

static const char *const SETTINGS[] = {
    "", ",\"capture\":\"cursor\"", ",\"capture\":\"full\"", ",\"where\":\"paid\",\"sweep\":\"always\"", ",\"capture\":\"cursor\",\"audit\":\"always\"",
    ",\"since\":\"2026-11-22\",\"until\":\"2026-11-23\"", ",\"capture\":\"cursor\",\"open_transactions\":\"ignore\",\"lookback\":86400",
    ",\"xmin_max_bytes\":0,\"connections\":4", ",\"on_delete\":\"remove\",\"sweep\":\"every 2\",\"capture\":\"xmin\""};

static const char *take_settings(const char **at, const char *end) {
    return SETTINGS[(uint32_t)take_number(at, end) % N_OF(SETTINGS)];
}

static void change_columns(struct facts *facts, const char **at, const char *end) {
    facts->source_columns[1].typmod = take_number(at, end);
    facts->target_columns[1].typmod = take_number(at, end);
    facts->source_columns[2].identity = take_text(at, end);
    facts->source_columns[2].name = facts->target_columns[2].name = take_text(at, end);
    facts->target.server.lc_monetary = "C";
}

static void change_last_load(struct rf_load *last, const char **at, const char *end) {
    last->fingerprint = take_text(at, end);
    last->snapshot = take_or_null(at, end);
    last->lsn = take_or_null(at, end);
    last->extracted_at = take_or_null(at, end);
    last->chosen = take_or_null(at, end);
    last->proven = take_or_null(at, end);
    last->watermark = take_or_null(at, end);
    last->cursor = take_or_null(at, end);
    last->doubted = take_flag(at, end);
    last->loads_since_audit = last->loads_since_sweep = take_number(at, end);
    last->missed = take_number(at, end);
}

static void change_cursor(struct facts *facts, struct rf_cursor_column *cursor, const char **at, const char *end) {
    cursor->name = take_text(at, end);
    cursor->base = take_flag(at, end) ? "timestamptz" : "timestamp";
    cursor->resolution_us = 1;
    cursor->not_null = take_flag(at, end);
    cursor->indexed = cursor->set_by_clock = take_flag(at, end);
    facts->source.cursor = cursor;
    facts->source.n_cursor = *cursor->name ? 1 : 0;
    facts->source.open = (struct rf_open_transactions_facts){
        .listed = true, .sees_all = take_flag(at, end), .has_unknown = take_flag(at, end), .listed_us = (int64_t)1e15, .oldest_us = (int64_t)1e15 - (int64_t)1000000 * take_number(at, end), .replayed_us = INT64_MAX};
}

typedef void maker(const struct rf_plan *plan, struct rf_text *out);

/* `is_for` NULL: of every plan. */
static void make(const struct rf_plan *made, maker *write, const bool *is_for) {
    struct rf_text sql = {0};
    if (is_for && !*is_for) return;
    write(made, &sql);
    if (sql.failed) abort();
    rf_text_free(&sql);
}

static void make_statements(const struct rf_plan *made) {
    static maker *const makers[] = {rf_sql_read, rf_sql_create_stage, rf_sql_merge, rf_sql_source_checksum, rf_sql_target_checksum, rf_sql_target_rows};
    for (size_t i = 0; i < N_OF(makers); i++) make(made, makers[i], NULL);
    make(made, rf_sql_close_gone, &made->mark_gone);
    make(made, rf_sql_close_absent, &made->close_absent);
    make(made, rf_sql_count_missed, &made->audit);
    maker *const sweepers[] = {rf_sql_read_keys, rf_sql_create_keys, rf_sql_write_keys, rf_sql_sweep, rf_sql_count_live};
    for (size_t i = 0; i < N_OF(sweepers); i++) make(made, sweepers[i], &made->sweep);
    char *json = rf_report_json(&(struct rf_report){.plan = made, .channel = "libpq", .this_try.missed = made->audit});
    if (!json) abort();
    free(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    struct facts facts;
    struct rf_cursor_column cursor = {0};
    char *texts = malloc(n_bytes + 1);
    memcpy(texts, data, n_bytes);
    texts[n_bytes] = '\0';
    const char *at = texts, *end = texts + n_bytes;
    make_facts(&facts, take_settings(&at, end));
    facts.source.fingerprint = take_text(&at, end);
    change_last_load(&facts.last, &at, end);
    change_columns(&facts, &at, end);
    change_cursor(&facts, &cursor, &at, end);
    bool good = true;
    for (const char *text = texts; good && text < end; text += strlen(text) + 1) good = is_utf8(text);
    if (plan(&facts) == RF_OK) {
        for (int i = 0; i < facts.plan.n_reasons; i++)
            if (good && !is_utf8(facts.plan.reasons[i])) abort();
        make_statements(&facts.plan);
    } else if (!*facts.err.message) {
        abort();
    }
    drop_facts(&facts);
    free(texts);
    return 0;
}
