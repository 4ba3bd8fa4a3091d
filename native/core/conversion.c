#include "core/conversion.h"

#include "core/drift.h"
#include "core/passthrough.h"
#include "core/types.h"

#include <string.h>

/* What a column is cast to: as SQL, as DDL and in the catalog's word. */
struct conversion {
    const char *cast;
    const char *type;
    const char *base;
};

static const struct conversion AS_TEXT = {"::pg_catalog.text", "text", "text"};
static const struct conversion IN_UTC = {RF_AS_UTC, "timestamp with time zone", "timestamptz"};
static const struct conversion MONEY[] = {{"::pg_catalog.numeric", "numeric", "numeric"}, {"::pg_catalog.numeric[]", "numeric[]", "_numeric"}};

static bool is(const struct rf_column *column, const char *identity) {
    return !column->refusal && column->typmod == -1 && strcmp(column->identity, identity) == 0;
}

const char *rf_conversion_type(const struct rf_column *from) {
    const struct conversion *const all[] = {&IN_UTC, &MONEY[0], &MONEY[1]};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(from->cast, all[i]->cast) == 0) return all[i]->type;
    return AS_TEXT.type;
}

static bool is_in_utc(const struct rf_column *column) {
    return !column->refusal && strcmp(column->identity, IN_UTC.base) == 0;
}

bool rf_conversion_fits(const struct rf_column *from, const struct rf_column *to) {
    if (strcmp(from->cast, AS_TEXT.cast) == 0) return is(to, AS_TEXT.base);
    if (strcmp(from->cast, IN_UTC.cast) == 0) return is_in_utc(to) && rf_typmod_fits(from, to);
    for (size_t i = 0; i < sizeof MONEY / sizeof MONEY[0]; i++)
        if (strcmp(from->cast, MONEY[i].cast) == 0) return is(to, MONEY[i].base);
    return false;
}

/* NULL when it is neither money nor an array of it: money within another type has no number. */
static const struct conversion *as_number(const struct rf_column *from) {
    if (strcmp(from->identity, "money") == 0) return &MONEY[0];
    return strcmp(from->identity, "_money") == 0 ? &MONEY[1] : NULL;
}

/* Built-in types are the same on every server, and are the only ones whose identity is a bare name. */
static bool is_built_in(const struct rf_column *column) {
    return !column->refusal && !strpbrk(column->identity, "( ");
}

/* An extension may send lengths as they are before the server converts the text behind them; hstore does. */
static bool may_send_lengths(const struct rf_source_facts *source, const struct rf_target_facts *target, const struct rf_column *column) {
    bool converts = !source->server.utf8 || !target->server.utf8;
    return converts && strstr(column->identity, "extension ");
}

/* Why the bytes of `from` cannot pass into a column of the type of this name there; NULL when they can. */
static const char *why_not_bytes(const struct rf_source_facts *source, const struct rf_target_facts *target,
                                 const struct rf_column *from, const struct rf_column *to) {
    if (to->refusal) return to->refusal;
    if (strcmp(from->identity, to->identity) != 0) return "the type of this name on the target is another";
    if (rf_names_money(from->identity) && strcmp(source->server.lc_monetary, target->server.lc_monetary) != 0)
        return "its money means something else on the target: lc_monetary differs";
    return NULL;
}

/* A column that is there as another type stays so. */
static bool takes_as_utc(const struct rf_job *job, const struct rf_target_facts *target, const struct rf_column *from, const struct rf_column *to) {
    bool is_naive = strcmp(from->identity, "timestamp") == 0;
    return is_naive && rf_takes_naive_as_utc(job, RF_DIALECT_POSTGRES) && (!target->exists || !to || is_in_utc(to));
}

static const struct conversion *conversion_of(const struct rf_column *from, bool chosen) {
    if (strcmp(from->cast_reason, RF_TAKEN_AS_UTC) == 0) return &IN_UTC;
    return chosen || !as_number(from) ? &AS_TEXT : as_number(from);
}

/* A text that is there was made because the type could not pass, or by as_text; only the first needs no word of the job. */
static const char *why_as_it_stands(const struct rf_column *from, const struct rf_column *to) {
    if (is(to, AS_TEXT.base) && !is_built_in(from)) return "the target has a text for it";
    if (as_number(from) && is(to, as_number(from)->base)) return "the target has a number for it";
    return NULL;
}

/* `to` is NULL where a table that is there lacks the column. */
static void convert(const struct rf_job *job, const struct rf_source_facts *source, const struct rf_target_facts *target,
                    struct rf_column *from, struct rf_column *to) {
    bool chosen = rf_names_have(&job->as_text, from->name);
    if (chosen) from->cast_reason = RF_AS_TEXT_NAMES_IT;
    else if (from->refusal) from->cast_reason = from->refusal;
    else if (takes_as_utc(job, target, from, to)) from->cast_reason = RF_TAKEN_AS_UTC;
    else if (may_send_lengths(source, target, from)) from->cast_reason = "the bytes of its extension are made for one encoding";
    else if (!to) return;
    else if (target->exists) from->cast_reason = why_as_it_stands(from, to);
    else from->cast_reason = why_not_bytes(source, target, from, to);
    if (!from->cast_reason) return;
    const struct conversion *conversion = conversion_of(from, chosen);
    from->cast = conversion->cast;
    if (!to || target->exists) return;
    to->type = conversion->type;
    to->base = to->identity = conversion->base;
    to->typmod = -1;
    to->refusal = NULL;
}

static bool fits(const struct rf_job *job, const struct rf_column *from, const struct rf_column *to) {
    return (job->capture == RF_CAPTURE_GIVEN ? rf_fit_given(from, to) : rf_fit_column(from, to)) != RF_FITS_NOT;
}

/* An enum that is to take the labels of the source goes on taking its bytes. */
static bool will_take_labels(const struct rf_job *job, const struct rf_column *from, const struct rf_column *to) {
    return !from->cast && !from->refusal && !to->refusal && job->on_schema_change.of[RF_ENUM_CHANGED] == RF_POLICY_APPLY && rf_labels_follow(from->identity, to->identity);
}

/* What a table that is there lacks, or would have to be altered for, comes as into a new one. */
static void convert_into_existing(const struct rf_job *job, const struct rf_source_facts *source, const struct rf_target_facts *target, struct rf_column *from, struct rf_column *to,
                                  struct rf_column *twin) {
    struct rf_target_facts made_anew = *target;
    made_anew.exists = false;
    convert(job, source, target, from, to);
    if (!twin || (to && (fits(job, from, to) || will_take_labels(job, from, to)))) return;
    from->cast = from->cast_reason = NULL;
    convert(job, source, &made_anew, from, twin);
}

enum rf_code rf_convert_columns(const struct rf_job *job, struct rf_source_facts *source, struct rf_target_facts *target, struct rf_error *err) {
    RF_TRY(rf_check_as_text(job, source, err));
    for (int i = 0; i < source->n_columns; i++) {
        int at = rf_find_column(target->columns, target->n_columns, source->columns[i].name);
        struct rf_column *from = &source->columns[i], *to = at < 0 ? NULL : &target->columns[at];
        from->cast = from->cast_reason = NULL;
        if (target->exists) convert_into_existing(job, source, target, from, to, target->twins ? &target->twins[i] : NULL);
        else convert(job, source, target, from, to);
    }
    return RF_OK;
}
