/* Any catalog texts, names and type modifiers: a plan is refused or made, and what it says stays UTF-8 if it was. */
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

static int32_t take_typmod(const char **at, const char *end) {
    const char *text = take_text(at, end);
    return (int32_t)strtol(text, NULL, 10);
}

static void change(struct facts *facts, const char *at, const char *end) {
    facts->source.fingerprint = take_text(&at, end);
    facts->last.fingerprint = take_text(&at, end);
    facts->last.snapshot = take_text(&at, end);
    facts->last.lsn = take_text(&at, end);
    facts->last.extracted_at = take_text(&at, end);
    facts->source_columns[1].typmod = take_typmod(&at, end);
    facts->target_columns[1].typmod = take_typmod(&at, end);
    facts->source_columns[2].identity = take_text(&at, end);
    facts->source_columns[2].name = facts->target_columns[2].name = take_text(&at, end);
    facts->target.server.lc_monetary = "C";
}

static void make_statements(const struct rf_plan *made) {
    static void (*const makers[])(const struct rf_plan *, struct rf_text *) = {rf_sql_read, rf_sql_create_stage, rf_sql_merge, rf_sql_source_checksum, rf_sql_target_rows};
    for (size_t i = 0; i < N_OF(makers); i++) {
        struct rf_text sql = {0};
        makers[i](made, &sql);
        rf_text_free(&sql);
    }
    free(rf_report_json(&(struct rf_report){.plan = made, .channel = "libpq"}));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    struct facts facts;
    char *texts = malloc(n_bytes + 1);
    memcpy(texts, data, n_bytes);
    texts[n_bytes] = '\0';
    make_facts(&facts, "");
    change(&facts, texts, texts + n_bytes);
    bool good = is_utf8(facts.source.fingerprint) && is_utf8(facts.last.fingerprint);
    if (plan(&facts) == RF_OK) {
        for (int i = 0; i < facts.plan.n_reasons; i++)
            if (good && !is_utf8(facts.plan.reasons[i])) abort();
        make_statements(&facts.plan);
    }
    drop_facts(&facts);
    free(texts);
    return 0;
}
