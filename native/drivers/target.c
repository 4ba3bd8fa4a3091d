#include "drivers/target.h"

#include "core/types.h"

#include <stdio.h>
#include <string.h>

/* ---- the target as it stands ---- */

static enum rf_code copy_type(const struct rf_type *type, enum rf_dialect dialect, struct rf_arena *arena, const char **out, struct rf_error *err) {
    struct rf_text text = {0};
    rf_type_on(type, dialect, &text);
    return rf_arena_text(arena, &text, out, err);
}

enum rf_code rf_target_types(const struct rf_job *job, struct rf_source_facts *source, const struct rf_target_facts *there,
                             struct rf_arena *arena, struct rf_columns_field **fields, struct rf_error *err) {
    RF_TRY(rf_types_of(job, source, there, arena, fields, err));
    for (int i = 0; i < source->n_columns; i++) {
        (*fields)[i].not_null = false; /* of a row that left the filter nothing but the key is sent */
        RF_TRY(copy_type(&(*fields)[i].type, there->dialect, arena, &source->columns[i].arrives_as, err));
    }
    return RF_OK;
}

static enum rf_code make_columns(struct rf_arena *arena, int n, struct rf_target_facts *facts, struct rf_error *err) {
    facts->n_columns = n;
    facts->columns = rf_arena_take(arena, (size_t)(n + 1) * sizeof *facts->columns);
    return facts->columns ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_target_twins(const struct rf_source_facts *source, struct rf_arena *arena, struct rf_target_facts *facts, struct rf_error *err) {
    RF_TRY(make_columns(arena, source->n_columns, facts, err));
    for (int i = 0; i < source->n_columns; i++) {
        const char *type = source->columns[i].arrives_as;
        facts->columns[i] = (struct rf_column){.name = source->columns[i].name, .type = type, .base = type, .identity = type, .typmod = -1, .not_null = source->columns[i].not_null};
    }
    return RF_OK;
}

enum rf_code rf_target_columns(const struct rf_result *rows, struct rf_arena *arena, struct rf_target_facts *facts, struct rf_error *err) {
    RF_TRY(make_columns(arena, rows->n_rows, facts, err));
    for (int i = 0; i < rows->n_rows; i++) {
        const char *type = rf_result_cell(rows, i, 1);
        facts->columns[i] = (struct rf_column){.name = rf_result_cell(rows, i, 0), .type = type, .base = type, .identity = type, .typmod = -1,
                                               .not_null = rf_result_flag(rows, i, 2), .generated = rf_result_flag(rows, i, 3)};
    }
    return RF_OK;
}

void rf_target_take_nulls(struct rf_source_facts *source, const struct rf_target_facts *facts) {
    for (int i = 0; i < source->n_columns; i++) {
        struct rf_column *column = &source->columns[i];
        int at = column->always_null ? rf_find_column(facts->columns, facts->n_columns, column->name) : -1;
        if (at < 0) continue;
        column->arrives_as = facts->columns[at].type;
        column->read_by = NULL;
    }
}

/* NULL conflicts with nothing. */
static bool may_be_null(const struct rf_target_facts *facts, const char *name) {
    int at = rf_find_column(facts->columns, facts->n_columns, name);
    return at < 0 || !facts->columns[at].not_null;
}

static bool is_same(const struct rf_result *rows, int a, int b) {
    return strcmp(rf_result_cell(rows, a, 0), rf_result_cell(rows, b, 0)) == 0;
}

bool rf_target_is_of_key(const struct rf_job *job, const struct rf_source_facts *source, const char *name) {
    if (job->mode == RF_MODE_APPEND && strcmp(name, "_load_id") == 0) return true;
    return rf_is_key(source, rf_find_column(source->columns, source->n_columns, name));
}

int rf_target_key_columns(const struct rf_job *job, const struct rf_source_facts *source) {
    return source->n_keys + (job->mode == RF_MODE_APPEND);
}

bool rf_target_has_key(const struct rf_job *job, const struct rf_result *rows, const struct rf_source_facts *source, const struct rf_target_facts *facts) {
    for (int from = 0, to; from < rows->n_rows; from = to) {
        bool matches = true;
        for (to = from; to < rows->n_rows && is_same(rows, to, from); to++)
            matches &= rf_target_is_of_key(job, source, rf_result_cell(rows, to, 1)) && !may_be_null(facts, rf_result_cell(rows, to, 1));
        if (matches && to - from == rf_target_key_columns(job, source)) return true;
    }
    return false;
}

int rf_target_version(const char *said) {
    int major = 0, minor = 0, patch = 0;
    const char *digits = said ? said + (*said == 'v') : "";
    return sscanf(digits, "%d.%d.%d", &major, &minor, &patch) >= 2 ? major * 10000 + minor * 100 + patch : 0;
}

/* ---- the fields of a row ---- */

static enum rf_code add_field(struct rf_arena *arena, struct rf_columns_field *fields, int *n, const char *name, const char *type, struct rf_error *err) {
    fields[*n] = (struct rf_columns_field){.name = name};
    return rf_type_resolve(type, -1, false, arena, &fields[(*n)++].type, err);
}

/* A place, six bytes, is kept as bytes, which are ordered as places are. */
enum rf_code rf_target_row_fields(const struct rf_plan *plan, const struct rf_columns_field *columns, struct rf_arena *arena,
                                  struct rf_columns_field **out, int *n, struct rf_error *err) {
    enum { MOST_MORE = 5 };
    struct rf_columns_field *fields = rf_arena_take(arena, (size_t)(plan->source->n_columns + MOST_MORE) * sizeof *fields);
    if (!fields) return rf_no_memory(err);
    *out = fields;
    *n = plan->source->n_columns;
    for (int i = 0; i < *n; i++) fields[i] = columns[i];
    bool versions = plan->dedupe && plan->reading != RF_READ_GIVEN;
    if (versions) RF_TRY(add_field(arena, fields, n, "_rowferry_age", "int4", err));
    if (versions) RF_TRY(add_field(arena, fields, n, "_rowferry_place", "bytea", err));
    if (plan->audit) RF_TRY(add_field(arena, fields, n, "_rowferry_late", "bool", err));
    if (rf_keeps_versions(plan)) RF_TRY(add_field(arena, fields, n, "_rowferry_xid", "int8", err));
    if (plan->mark_gone) RF_TRY(add_field(arena, fields, n, "_rowferry_gone", "bool", err));
    return RF_OK;
}

enum rf_code rf_target_key_fields(const struct rf_plan *plan, const struct rf_columns_field *columns, struct rf_arena *arena,
                                  struct rf_columns_field **out, int *n, struct rf_error *err) {
    const struct rf_source_facts *source = plan->source;
    struct rf_columns_field *fields = rf_arena_take(arena, (size_t)(source->n_keys + 1) * sizeof *fields);
    if (!fields) return rf_no_memory(err);
    for (int k = 0; k < source->n_keys; k++) fields[k] = columns[source->keys[k]];
    *out = fields;
    *n = source->n_keys;
    return RF_OK;
}

/* ---- comparing ---- */

static bool is_float(enum rf_wire wire) {
    return wire == RF_WIRE_FLOAT4 || wire == RF_WIRE_FLOAT8;
}

/* What a value of Snowflake's keeps of JSON is what it says. An array goes there as JSON too. */
static bool is_json_there(const struct rf_column *column) {
    return strcmp(column->arrives_as, "VARIANT") == 0 || strcmp(column->arrives_as, "ARRAY") == 0;
}

static struct rf_form form_given(const struct rf_form *sent, bool has_doubles) {
    struct rf_form given = *sent;
    switch (sent->wire) {
    case RF_WIRE_TEXT:
    case RF_WIRE_BYTES: break;
    case RF_WIRE_JSONB:
    case RF_WIRE_UUID: given.wire = RF_WIRE_TEXT; break;
    case RF_WIRE_FLOAT4:
    case RF_WIRE_FLOAT8:
        given.printed = !has_doubles;
        if (has_doubles) given.wire = RF_WIRE_FLOAT8;
        break;
    default: given.printed = true;
    }
    return given;
}

/* What is compared as its text says a double where it is one there, and else is just that text. */
static void set_compared_as(struct rf_form *sent) {
    bool is_number = is_float(sent->wire);
    sent->wire = is_number ? RF_WIRE_FLOAT8 : RF_WIRE_TEXT;
    sent->printed = is_number;
}

/* None of these dialects keeps the sign of a zero. */
enum rf_code rf_target_compared(const struct rf_plan *plan, const struct rf_columns_field *columns, bool has_doubles, struct rf_arena *arena,
                                struct rf_compared *compared, struct rf_error *err) {
    int n = plan->source->n_columns;
    bool in_snowflake = plan->target->dialect == RF_DIALECT_SNOWFLAKE;
    struct rf_form *sent = rf_forms_of(columns, n, arena), *given = rf_arena_take(arena, (size_t)n * sizeof *given);
    if (!sent || !given) return rf_no_memory(err);
    for (int i = 0; i < n; i++) {
        const struct rf_column *column = &plan->source->columns[i];
        sent[i].json = in_snowflake && is_json_there(column);
        if (column->through) sent[i].wire = RF_WIRE_TEXT;
        sent[i].unsigned_zero = is_float(sent[i].wire);
        if (column->compared_as) set_compared_as(&sent[i]);
        given[i] = form_given(&sent[i], has_doubles);
    }
    *compared = (struct rf_compared){.sent = sent, .given = given};
    return RF_OK;
}

/* ---- load records ---- */

void rf_target_fill_load(const struct rf_result *rows, struct rf_load *load) {
    if (rows->n_rows != 1) return;
    *load = (struct rf_load){
        .load_id = rf_result_integer(rows, 0, 0), .is_reset = rf_result_flag(rows, 0, 1), .source_table = rf_result_cell(rows, 0, 2),
        .identity = {.system = rf_result_cell(rows, 0, 3), .timeline = (int)rf_result_integer(rows, 0, 4), .database = rf_result_cell(rows, 0, 5),
                     .table_oid = rf_result_integer(rows, 0, 6)},
        .snapshot = rf_result_cell(rows, 0, 7), .lsn = rf_result_cell(rows, 0, 8), .fingerprint = rf_result_cell(rows, 0, 9),
        .chosen = rf_result_cell(rows, 0, 10), .proven = rf_result_cell(rows, 0, 11), .target_file = rf_result_cell(rows, 0, 12),
        .loads_since_audit = rf_result_integer(rows, 0, 13), .loads_since_sweep = rf_result_integer(rows, 0, 14), .missed = rf_result_integer(rows, 0, 15),
        .cursor = rf_result_cell(rows, 0, 16), .doubted = rf_result_flag(rows, 0, 17), .watermark = rf_result_cell(rows, 0, 18),
        .extracted_at = rf_result_cell(rows, 0, 19), .mode = rf_result_cell(rows, 0, 20)};
}

void rf_target_fill_total(const struct rf_result *rows, struct rf_run_total *total) {
    total->loads = rf_result_integer(rows, 0, 0);
    total->counts = (struct rf_counts){
        .read = rf_result_integer(rows, 0, 1), .staged = rf_result_integer(rows, 0, 1), .inserted = rf_result_integer(rows, 0, 2),
        .updated = rf_result_integer(rows, 0, 3), .deleted = rf_result_integer(rows, 0, 4), .duplicates = rf_result_integer(rows, 0, 5),
        .stale = rf_result_integer(rows, 0, 6), .bytes = rf_result_integer(rows, 0, 7)};
}
