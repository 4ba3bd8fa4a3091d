#include "core/settle.h"

#include "core/ground.h"
#include "core/row_stream.h"
#include "core/sql.h"
#include "core/text.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- notes ---- */

bool rf_is_note(const struct rf_line *line) {
    return rf_is_about(line, RF_NOTE_SETTLED) || rf_is_about(line, RF_NOTE_LEFT) || rf_is_about(line, RF_NOTE_AGED);
}

static bool find_note(const char *fingerprint, const char *note, struct rf_line *line) {
    while (rf_next_line(&fingerprint, line))
        if (rf_is_about(line, note)) return true;
    return false;
}

bool rf_has_note(const char *fingerprint, const char *note) {
    struct rf_line line;
    return find_note(fingerprint, note, &line);
}

/* Of the leaves that the last load had, and those that had left before, the ones that are not there now. */
static void note_left(const struct rf_plan *plan, struct rf_text *to) {
    const char *at = plan->since > 0 ? plan->last->fingerprint : NULL;
    for (struct rf_line line, same; rf_next_line(&at, &line);) {
        if (!rf_is_about(&line, "leaf") && !rf_is_about(&line, RF_NOTE_LEFT)) continue;
        unsigned long long oid = rf_line_number(&line);
        if (!rf_find_number(plan->source->fingerprint, "leaf", oid, &same)) rf_text_addf(to, RF_NOTE_LEFT " %llu\n", oid);
    }
}

/* The load record ends with them: a filter is the last line of the source's own, and has no end of its line. */
static enum rf_code note_all(struct rf_plan *plan, uint64_t aged, struct rf_arena *arena, struct rf_error *err) {
    const char *now = plan->source->fingerprint;
    struct rf_text whole = {0};
    rf_text_addf(&whole, "%s%s" RF_NOTE_SETTLED "\n", now, *now && now[strlen(now) - 1] != '\n' ? "\n" : "");
    note_left(plan, &whole);
    if (aged > 0) rf_text_addf(&whole, RF_NOTE_AGED " %" PRIu64 "\n", aged);
    return rf_arena_text(arena, &whole, &plan->next.fingerprint, err);
}

/* ---- asking the source ---- */

enum { MOST_FIELDS = 2, FIELD_BYTES = 24 };

static enum rf_code take(struct rf_source *source, char (*values)[FIELD_BYTES], int n, struct rf_error *err) {
    struct rf_row_stream stream = {.next = source->ops->next, .self = source->self};
    struct rf_field fields[MOST_FIELDS];
    RF_TRY(rf_row_stream_next(&stream, fields, n, err));
    for (int i = 0; i < n; i++) {
        if (stream.ended || !fields[i].bytes || fields[i].n_bytes >= FIELD_BYTES) return rf_row_stream_broken(err);
        memcpy(values[i], fields[i].bytes, (size_t)fields[i].n_bytes);
        values[i][fields[i].n_bytes] = 0;
    }
    RF_TRY(rf_row_stream_next(&stream, fields, n, err));
    return stream.ended ? RF_OK : rf_row_stream_broken(err);
}

/* One row of n short texts; the text of the statement goes. */
static enum rf_code ask(struct rf_source *source, struct rf_text *sql, char (*values)[FIELD_BYTES], int n, struct rf_error *err) {
    enum rf_code code = rf_text_check(sql, err);
    if (code == RF_OK) code = source->ops->read(source->self, sql->data, err);
    rf_text_free(sql);
    return code == RF_OK ? take(source, values, n, err) : code;
}

static enum rf_code look_at_rewritten(const struct rf_plan *plan, struct rf_source *source, struct rf_error *err) {
    for (int i = 0; i < plan->n_rewritten; i++) {
        struct rf_text sql = {0};
        char found[1][FIELD_BYTES];
        rf_sql_was_rewritten(plan, plan->rewritten[i], &sql);
        RF_TRY(ask(source, &sql, found, 1, err));
        if (*found[0] == 't') return rf_refuse_ground(plan, "ALTER wrote its rows anew since the last load", err);
    }
    return RF_OK;
}

/* ---- numbers that come again ---- */

/* A row keeps its 32 bits when it is frozen, and 2^32 transactions later they are those of new ones. Of rows that were there at the last load only those
 * that had then, by these bits, yet to come can lie in an interval of less than 2^31 that begins there. */
static enum rf_code check_aged(const struct rf_plan *plan, uint64_t *aged, struct rf_error *err) {
    struct rf_line note;
    bool noted = plan->since > 0 && find_note(plan->last->fingerprint, RF_NOTE_AGED, &note);
    *aged = noted ? rf_line_number(&note) : 0;
    if (!noted || plan->source->snapshot.xmin <= *aged) return RF_OK;
    return rf_refuse_ground(plan, "rows of more than 2^32 transactions ago have the numbers of those that wrote since the last load", err);
}

bool rf_needs_survey(const struct rf_plan *plan) {
    const struct rf_snapshot *snapshot = &plan->source->snapshot;
    return snapshot->xmin < snapshot->xmax || snapshot->xmax >= UINT64_C(1) << 31;
}

/* What the rows alone can tell is asked only where there can be something to tell: it takes a look at every page. */
static enum rf_code survey(const struct rf_plan *plan, struct rf_source *source, int64_t *held_back, uint64_t *aged, struct rf_error *err) {
    const struct rf_snapshot *snapshot = &plan->source->snapshot;
    bool is_near = *aged < snapshot->xmax + RF_COUNTS_ON; /* by its bits such a row looks like one that is held back */
    if (!is_near) *aged = 0;
    *held_back = 0;
    if (!rf_needs_survey(plan)) return RF_OK;
    struct rf_text sql = {0};
    char found[MOST_FIELDS][FIELD_BYTES];
    rf_sql_survey(plan, &sql);
    RF_TRY(ask(source, &sql, found, MOST_FIELDS, err));
    *held_back = strtoll(found[0], NULL, 10);
    uint64_t until = strtoull(found[1], NULL, 10);
    if (*aged == 0 && until > 0) *aged = snapshot->xmax + until;
    return RF_OK;
}

enum rf_code rf_settle(struct rf_plan *plan, struct rf_source *source, struct rf_arena *arena, struct rf_counts *counts, struct rf_error *err) {
    uint64_t aged;
    RF_TRY(check_aged(plan, &aged, err));
    RF_TRY(look_at_rewritten(plan, source, err));
    RF_TRY(survey(plan, source, &counts->held_back, &aged, err));
    return note_all(plan, aged, arena, err);
}
