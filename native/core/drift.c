#include "core/drift.h"

#include "core/conversion.h"
#include "core/fingerprint.h"
#include "core/passthrough.h"
#include "core/sql_alter.h"
#include "core/types.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- refusing ---- */

/* What would accept it: the setting, where the target can follow at all, or what somebody does by hand. */
static enum rf_code hint_at_setting(enum rf_drift_kind kind, const char *by_hand, struct rf_error *err) {
    const struct rf_drift_row *row = &rf_drift_rows[kind];
    return rf_hint(err, "Set on_schema_change={\"%s\": \"apply\"} to %s%s%s", row->name, row->done[RF_POLICY_FAIL], by_hand ? ". Or: " : ".", by_hand ? by_hand : "");
}

/* Puts the setting before what the hint says already. */
static enum rf_code add_setting(enum rf_drift_kind kind, struct rf_error *err) {
    char by_hand[sizeof err->hint];
    rf_copy_text(by_hand, sizeof by_hand, err->hint);
    return hint_at_setting(kind, by_hand, err);
}

/* A time without a zone, which the job keeps so, and a column with one. */
static bool lacks_zone(const struct rf_plan *plan, const struct rf_column *from, const struct rf_column *to) {
    bool has_zone = strstr(to->type, "with time zone") || strstr(to->type, "WITH TIME ZONE") || strcmp(to->type, "TIMESTAMP_TZ") == 0;
    return has_zone && strcmp(from->identity, "timestamp") == 0 && !rf_takes_naive_as_utc(plan->job, plan->target->dialect);
}

#define NAIVE_HINT "If its times are in UTC, say so: \"naive_timestamps\": \"utc\" of the job. Else leave it out with \"columns\"."

enum rf_code rf_refuse_column(const struct rf_plan *plan, const struct rf_column *from, const struct rf_column *to, struct rf_error *err) {
    const char *label = plan->job->source_label;
    if (from->arrives_as) {
        rf_fail(err, RF_DRIFT, "column \"%s\" of %s is of type %s, which is %s in %s, and the column there is %s", from->name, label, from->type, from->arrives_as,
                plan->job->target_label, to->type);
        if (lacks_zone(plan, from, to)) return rf_hint(err, NAIVE_HINT);
        return rf_hint(err, "ALTER TABLE %s ALTER COLUMN \"%s\" TYPE %s, or leave it out with \"columns\".", plan->job->target_label, from->name, from->arrives_as);
    }
    bool is_namesake = strcmp(from->type, to->type) == 0 && strcmp(from->identity, to->identity) != 0; /* under one name another type */
    if (from->cast && !is_namesake) {
        rf_fail(err, RF_DRIFT, "column \"%s\" of %s is of type %s, which is carried as %s (%s), and that of %s is %s",
                from->name, label, from->type, rf_conversion_type(from), from->cast_reason, plan->job->target_label, to->type);
        return rf_hint(err, "ALTER the target's column to %s, or leave it out with \"columns\".", rf_conversion_type(from));
    }
    if (from->refusal) {
        rf_fail(err, RF_CONFIG, "column \"%s\" of %s is of type %s, which cannot be carried: %s", from->name, label, from->type, from->refusal);
        return rf_hint(err, "Leave it out with \"columns\".");
    }
    if (to->refusal) {
        rf_fail(err, RF_CONFIG, "column \"%s\" of %s is of type %s, and the target's %s cannot take it: %s", from->name, label, from->type, to->type, to->refusal);
        return rf_hint(err, "Create the same type on the target, or leave the column out with \"columns\".");
    }
    enum rf_code code = plan->target->exists ? RF_DRIFT : RF_CONFIG;
    if (strcmp(from->type, to->type) == 0) {
        rf_fail(err, code, "column \"%s\" of %s is of type %s, which is %s at the source and %s at the target", from->name, label, from->type, from->identity, to->identity);
        return rf_hint(err, "Make the type of the target the same, or leave the column out with \"columns\".");
    }
    rf_fail(err, code, "column \"%s\" of %s is of type %s and that of %s is %s: the value would have to be converted",
            from->name, label, from->type, plan->job->target_label, to->type);
    if (lacks_zone(plan, from, to)) return rf_hint(err, NAIVE_HINT);
    return rf_hint(err, "ALTER the target's column to %s, or leave it out with \"columns\"; a text takes any type that \"as_text\" names.", from->type);
}

static enum rf_code refuse_whole(const struct rf_plan *plan, enum rf_drift_kind kind, const char *what, struct rf_error *err) {
    const char *source = plan->job->source_label, *target = plan->job->target_label;
    if (kind == RF_TABLE_MISSING) rf_fail(err, RF_DRIFT, "%s was loaded before, and is not there any more", target);
    else if (kind == RF_TABLE_RECREATED) rf_fail(err, RF_DRIFT, "%s was made anew since the last load of %s", source, target);
    else rf_fail(err, RF_DRIFT, "%s was %s %s since the last load of %s", what, kind == RF_PARTITION_ATTACHED ? "attached to" : "detached from", source, target);
    return hint_at_setting(kind, NULL, err);
}

/* ---- events ---- */

static enum rf_policy policy_of(const struct rf_plan *plan, enum rf_drift_kind kind) {
    return plan->job->on_schema_change.of[kind];
}

static void add_event(struct rf_plan *plan, enum rf_drift_kind kind, const char *what, const char *old, const char *new) {
    if (plan->n_events == plan->most_events) return;
    plan->events[plan->n_events++] = (struct rf_drift_event){.kind = kind, .policy = policy_of(plan, kind), .column = what, .old = old, .new = new};
}

enum rf_code rf_note_drift(struct rf_plan *plan, enum rf_drift_kind kind, const char *what, const char *old, const char *new, struct rf_error *err) {
    if (policy_of(plan, kind) == RF_POLICY_FAIL) return refuse_whole(plan, kind, what, err);
    add_event(plan, kind, what, old, new);
    return RF_OK;
}

static void alter(struct rf_plan *plan, struct rf_alteration alteration) {
    plan->alterations[plan->n_alterations++] = alteration;
}

/* ---- names at the last load ---- */

static bool same_text(const char *a, const char *b) {
    return a && b && strcmp(a, b) == 0;
}

bool rf_same_table(const struct rf_source_facts *source, const struct rf_load *last) {
    const struct rf_identity *now = &source->identity, *then = &last->identity;
    return same_text(now->system, then->system) && same_text(now->database, then->database) && now->table_oid == then->table_oid;
}

/* What the column was called at the last load, of which its number says that it is the same; NULL when that does not show. */
static const char *name_before(const struct rf_column *column, const struct rf_source_facts *source, const struct rf_load *last, struct rf_arena *arena) {
    if (!column->line || !rf_same_table(source, last)) return NULL;
    const struct rf_line now = {.text = column->line, .n_bytes = strlen(column->line)};
    struct rf_line then;
    return rf_find_number(last->fingerprint, "column", rf_line_number(&now), &then) ? rf_line_name(&then, arena) : NULL;
}

/* The place in the target of the column under the name that it had; -1 when it was not renamed. */
static int find_renamed(const struct rf_column *column, const struct rf_source_facts *source, const struct rf_target_facts *target, const struct rf_load *last,
                        struct rf_arena *arena) {
    if (rf_find_column(target->columns, target->n_columns, column->name) >= 0) return -1;
    const char *before = name_before(column, source, last, arena);
    if (!before || rf_find_column(source->columns, source->n_columns, before) >= 0) return -1;
    return rf_find_column(target->columns, target->n_columns, before);
}

/* ---- columns of a key that have another name ---- */

enum rf_code rf_keys_as_before(const struct rf_load *last, const struct rf_target_facts *target, const struct rf_source_facts *source, struct rf_arena *arena,
                               struct rf_source_facts *before, bool *any, struct rf_error *err) {
    *any = false;
    if (!target->exists || !target->is_ours) return RF_OK;
    *before = *source;
    before->columns = rf_arena_take(arena, (size_t)source->n_columns * sizeof *before->columns);
    if (!before->columns) return rf_no_memory(err);
    memcpy(before->columns, source->columns, (size_t)source->n_columns * sizeof *before->columns);
    for (int k = 0; k < source->n_keys; k++) {
        int i = source->keys[k], at = find_renamed(&source->columns[i], source, target, last, arena);
        if (at < 0) continue;
        before->columns[i].name = target->columns[at].name;
        *any = true;
    }
    return RF_OK;
}

/* ---- columns that are left out ---- */

static bool is_left_out(const struct rf_source_facts *source, int i, const struct rf_target_facts *target, const struct rf_load *last, struct rf_arena *arena) {
    const struct rf_column *column = &source->columns[i];
    return rf_find_column(target->columns, target->n_columns, column->name) < 0 && !rf_is_key(source, i) && find_renamed(column, source, target, last, arena) < 0;
}

static void move_keys(struct rf_source_facts *source, int removed) {
    for (int k = 0; k < source->n_keys; k++) source->keys[k] -= source->keys[k] > removed;
}

static void take_out(struct rf_source_facts *source, int i, char *fingerprint) {
    struct rf_column *column = &source->columns[i];
    source->left_out[source->n_left_out++] = *column;
    if (column->line) rf_remove_line(fingerprint, column->line);
    memmove(column, column + 1, (size_t)(source->n_columns - i - 1) * sizeof *column);
    source->n_columns--;
    move_keys(source, i);
}

enum rf_code rf_leave_out(const struct rf_job *job, const struct rf_load *last, const struct rf_target_facts *target, struct rf_source_facts *source,
                          struct rf_arena *arena, bool *any, struct rf_error *err) {
    *any = false;
    if (!target->exists || !target->is_ours || job->on_schema_change.of[RF_COLUMN_ADDED] != RF_POLICY_IGNORE) return RF_OK;
    source->left_out = rf_arena_take(arena, (size_t)(source->n_columns + 1) * sizeof *source->left_out);
    char *fingerprint = rf_arena_copy(arena, source->fingerprint);
    if (!source->left_out || !fingerprint) return rf_no_memory(err);
    for (int i = source->n_columns - 1; i >= 0; i--)
        if (is_left_out(source, i, target, last, arena)) take_out(source, i, fingerprint);
    source->fingerprint = fingerprint;
    *any = source->n_left_out > 0;
    return RF_OK;
}

static void note_left_out(struct rf_plan *plan) {
    for (int i = plan->source->n_left_out - 1; i >= 0; i--) add_event(plan, RF_COLUMN_ADDED, plan->source->left_out[i].name, NULL, plan->source->left_out[i].type);
}

/* ---- types ---- */

/* Numbers of each row hold those of the rows before it; of targets whose types are texts alone. */
static const char *const WIDER[][3] = {
    {"SMALLINT", "INTEGER", "BIGINT"}, {"FLOAT", "DOUBLE", NULL}, {"smallint(6)", "int(11)", "bigint(20)"}, {"smallint", "integer", "bigint"}, {"real", "double precision", NULL},
};

static int place_in(const char *const ladder[3], const char *type) {
    for (int i = 0; i < 3; i++)
        if (same_text(ladder[i], type)) return i;
    return -1;
}

/* "DECIMAL(12,2)" → its digits before and behind the point, and how long the name is; false of other types. */
static bool read_decimal(const char *type, size_t *n_name, int *whole, int *scale) {
    int precision, n = 0;
    *n_name = strcspn(type, "(");
    if (sscanf(type + *n_name, "(%d,%d)%n", &precision, scale, &n) != 2 || n == 0 || type[*n_name + (size_t)n]) return false;
    *whole = precision - *scale;
    return true;
}

static bool decimal_is_wider(const char *old, const char *new) {
    size_t n_old, n_new;
    int whole_old, whole_new, scale_old, scale_new;
    if (!read_decimal(old, &n_old, &whole_old, &scale_old)) return false;
    if (strncmp(old, "numeric(", 8) == 0 && strcmp(new, "numeric") == 0) return true;
    return read_decimal(new, &n_new, &whole_new, &scale_new) && n_old == n_new && strncmp(old, new, n_old) == 0 && whole_new >= whole_old && scale_new >= scale_old;
}

static bool text_is_wider(const char *old, const char *new) {
    for (size_t i = 0; i < sizeof WIDER / sizeof WIDER[0]; i++) {
        int was = place_in(WIDER[i], old), is = place_in(WIDER[i], new);
        if (was >= 0 && is > was) return true;
    }
    return decimal_is_wider(old, new);
}

/* Between PostgreSQL's own types the rule is that by which a wider column takes what comes. */
static bool is_wider(const struct rf_column *from, const struct rf_column *old, const struct rf_column *new) {
    return from->arrives_as ? text_is_wider(old->type, new->type) : rf_fit_column(old, new) != RF_FITS_NOT;
}

/* The column as a new table would have it. */
static struct rf_column as_new(const struct rf_plan *plan, int i) {
    struct rf_column column = plan->source->columns[i];
    if (column.arrives_as) {
        column.type = column.base = column.identity = column.arrives_as;
        column.typmod = -1;
    } else if (plan->target->twins) {
        column = plan->target->twins[i];
    } else if (column.cast) {
        column.type = column.base = column.identity = rf_conversion_type(&column);
        column.typmod = -1;
    }
    column.refusal = NULL;
    column.name = plan->source->columns[i].name;
    column.cast = column.arrives_as = column.line = NULL;
    column.not_null = column.generated = false;
    return column;
}

/* ---- labels ---- */

enum { MOST_LABELS = 512 };

struct labels {
    const char *at[MOST_LABELS]; /* behind the opening quote */
    size_t n_bytes[MOST_LABELS];
    int n;
};

static bool is_enum(const char *type) {
    return strncmp(type, "enum(", 5) == 0 || strncmp(type, "ENUM(", 5) == 0;
}

/* The type by which the target knows what comes. */
static const char *arriving_type(const struct rf_column *from) {
    return from->arrives_as ? from->arrives_as : from->identity;
}

/* 'a', 'it''s' → a, it''s. False when it is no list of labels, or a longer one. */
static bool read_labels(const char *type, struct labels *labels) {
    labels->n = 0;
    if (!is_enum(type)) return false;
    for (const char *at = type; (at = strchr(at, '\''));) {
        const char *end = ++at;
        while (*end && (*end != '\'' || end[1] == '\'')) end += *end == '\'' ? 2 : 1;
        if (!*end || labels->n == MOST_LABELS) return false;
        labels->at[labels->n] = at;
        labels->n_bytes[labels->n++] = (size_t)(end - at);
        at = end + 1;
    }
    return labels->n > 0;
}

static bool is_label(const struct labels *a, int i, const struct labels *b, int j) {
    return a->n_bytes[i] == b->n_bytes[j] && memcmp(a->at[i], b->at[j], a->n_bytes[i]) == 0;
}

static int find_label(const struct labels *in, const struct labels *of, int i) {
    for (int j = 0; j < in->n; j++)
        if (is_label(in, j, of, i)) return j;
    return -1;
}

/* Are all of `some` among `all`, in their order? */
static bool are_among(const struct labels *some, const struct labels *all) {
    int j = 0;
    for (int i = 0; i < some->n; i++, j++) {
        while (j < all->n && !is_label(some, i, all, j)) j++;
        if (j == all->n) return false;
    }
    return true;
}

/* One for one, in their places, and none to what another was. */
static bool are_renamed(const struct labels *now, const struct labels *before) {
    bool good = now->n == before->n;
    for (int i = 0; good && i < now->n; i++) good = is_label(now, i, before, i) || (find_label(before, now, i) < 0 && find_label(now, before, i) < 0);
    return good;
}

bool rf_labels_follow(const char *from, const char *to) {
    struct labels now, before;
    return read_labels(from, &now) && read_labels(to, &before) && (are_among(&before, &now) || are_renamed(&now, &before));
}

/* The label itself, its quotes no longer doubled. */
static enum rf_code take_label(const struct labels *labels, int i, struct rf_arena *arena, const char **out, struct rf_error *err) {
    char *label = rf_arena_take(arena, labels->n_bytes[i] + 1);
    if (!label) return rf_no_memory(err);
    *out = label;
    for (size_t k = 0; k < labels->n_bytes[i]; k++) {
        *label++ = labels->at[i][k];
        k += labels->at[i][k] == '\'';
    }
    return RF_OK;
}

static enum rf_code add_labels(struct rf_plan *plan, const struct rf_column *to, const struct labels *now, const struct labels *before, struct rf_arena *arena, struct rf_error *err) {
    for (int i = 0; i < now->n; i++) {
        struct rf_alteration added = {.what = RF_ADD_LABEL, .column = to->name, .type = to->type};
        if (find_label(before, now, i) >= 0) continue;
        RF_TRY(take_label(now, i, arena, &added.to, err));
        for (int j = i + 1; j < now->n && !added.from; j++)
            if (find_label(before, now, j) >= 0) RF_TRY(take_label(now, j, arena, &added.from, err));
        alter(plan, added);
    }
    return RF_OK;
}

static enum rf_code rename_labels(struct rf_plan *plan, const struct rf_column *to, const struct labels *now, const struct labels *before, struct rf_arena *arena, struct rf_error *err) {
    for (int i = 0; i < now->n; i++) {
        struct rf_alteration renamed = {.what = RF_RENAME_LABEL, .column = to->name, .type = to->type};
        if (is_label(now, i, before, i)) continue;
        RF_TRY(take_label(before, i, arena, &renamed.from, err));
        RF_TRY(take_label(now, i, arena, &renamed.to, err));
        alter(plan, renamed);
    }
    return RF_OK;
}

/* A type with a name takes the labels itself. One that is only written out is written anew, while the values are texts. */
static enum rf_code follow_labels(struct rf_plan *plan, const struct rf_column *from, struct rf_column *to, struct rf_arena *arena, struct rf_error *err) {
    struct labels now, before;
    bool is_named = !from->arrives_as;
    if (!read_labels(arriving_type(from), &now) || !read_labels(to->identity, &before)) return rf_refuse_column(plan, from, to, err);
    bool are_added = are_among(&before, &now);
    if (is_named) {
        to->identity = from->identity;
        return are_added ? add_labels(plan, to, &now, &before, arena, err) : rename_labels(plan, to, &now, &before, arena, err);
    }
    if (!are_added) RF_TRY(rename_labels(plan, to, &now, &before, arena, err));
    alter(plan, (struct rf_alteration){.what = RF_CHANGE_TYPE, .column = to->name, .type = from->arrives_as});
    to->type = to->base = to->identity = from->arrives_as;
    return RF_OK;
}

/* How many statements that may take. */
static size_t count_labels(const struct rf_column *from) {
    struct labels now;
    return read_labels(arriving_type(from), &now) ? (size_t)now.n + 1 : 0;
}

/* ---- columns that are there ---- */

static enum rf_drift_kind kind_of_change(const struct rf_column *from, const struct rf_column *old, const struct rf_column *new) {
    if (is_enum(arriving_type(from)) && is_enum(old->identity)) return RF_ENUM_CHANGED;
    return is_wider(from, old, new) ? RF_TYPE_WIDENED : RF_TYPE_CHANGED;
}

static enum rf_code cannot_follow(const struct rf_plan *plan, const struct rf_column *to, const char *what, struct rf_error *err) {
    if (rf_is_key(plan->source, rf_find_column(plan->source->columns, plan->source->n_columns, to->name))) {
        rf_hint(err, "%s %s: load into another target_table, or drop %s, which the next run makes anew.", rf_alter_dialect(plan->target->dialect), what, plan->job->target_label);
        return err->code;
    }
    rf_hint(err, "%s %s: drop the column \"%s\" of %s, which the next run adds again with all its values, or leave it out with \"columns\".", rf_alter_dialect(plan->target->dialect), what, to->name,
            plan->job->target_label);
    return err->code;
}

static enum rf_code change_type(struct rf_plan *plan, int i, struct rf_column *to, struct rf_arena *arena, struct rf_error *err) {
    const struct rf_column *from = &plan->source->columns[i];
    const struct rf_column new = as_new(plan, i);
    enum rf_drift_kind kind = kind_of_change(from, to, &new);
    enum rf_alter what = kind == RF_ENUM_CHANGED ? RF_ADD_LABEL : RF_CHANGE_TYPE;
    if (kind == RF_TYPE_WIDENED && rf_alter_is_needless(plan->target->dialect, to->type, new.type)) {
        to->type = to->base = to->identity = new.type;
        return RF_OK;
    }
    bool follows = kind != RF_ENUM_CHANGED || rf_labels_follow(arriving_type(from), to->identity);
    bool can = follows && rf_can_alter(plan->target->dialect, what, to->type, new.type) && !(rf_is_key(plan->source, i) && rf_alter_keeps_keys(plan->target->dialect));
    if (policy_of(plan, kind) == RF_POLICY_FAIL || !can) {
        rf_refuse_column(plan, from, to, err);
        if (!can && lacks_zone(plan, from, to)) return err->code; /* a setting takes it as it is */
        if (follows && !can) return cannot_follow(plan, to, "cannot change the column so", err);
        return follows && err->code == RF_DRIFT ? add_setting(kind, err) : err->code;
    }
    add_event(plan, kind, from->name, kind == RF_ENUM_CHANGED ? to->identity : to->type, kind == RF_ENUM_CHANGED && !from->arrives_as ? from->identity : new.type);
    if (kind == RF_ENUM_CHANGED) return follow_labels(plan, from, to, arena, err);
    alter(plan, (struct rf_alteration){.what = RF_CHANGE_TYPE, .column = to->name, .type = new.type, .not_null = to->not_null});
    to->type = new.type;
    to->base = new.base;
    to->identity = new.identity;
    to->typmod = new.typmod;
    to->refusal = NULL;
    return RF_OK;
}

static enum rf_code let_be_null(struct rf_plan *plan, struct rf_column *to, struct rf_error *err) {
    const char *target = plan->job->target_label;
    bool can = rf_can_alter(plan->target->dialect, RF_DROP_NOT_NULL, to->type, to->type);
    if (policy_of(plan, RF_NULLABILITY) == RF_POLICY_FAIL || !can) {
        rf_fail(err, RF_DRIFT, "column \"%s\" of %s may be NULL, that of %s may not", to->name, plan->job->source_label, target);
        if (!can) return cannot_follow(plan, to, "cannot take NOT NULL from a column", err);
        rf_hint(err, "ALTER TABLE %s ALTER COLUMN \"%s\" DROP NOT NULL.", target, to->name);
        return add_setting(RF_NULLABILITY, err);
    }
    add_event(plan, RF_NULLABILITY, to->name, "NOT NULL", "NULL");
    alter(plan, (struct rf_alteration){.what = RF_DROP_NOT_NULL, .column = to->name, .type = to->type});
    to->not_null = false;
    return RF_OK;
}

/* ---- columns that came, went, or have another name ---- */

static enum rf_code rename_column(struct rf_plan *plan, int i, struct rf_column *to, struct rf_error *err) {
    const struct rf_column *from = &plan->source->columns[i];
    const char *target = plan->job->target_label;
    if (policy_of(plan, RF_COLUMN_RENAMED) == RF_POLICY_FAIL) {
        rf_fail(err, RF_DRIFT, "column \"%s\" (%s) of %s is now \"%s\", and in %s it is \"%s\"", to->name, from->type, plan->job->source_label, from->name, target, to->name);
        rf_hint(err, "ALTER TABLE %s RENAME COLUMN \"%s\" TO \"%s\".", target, to->name, from->name);
        return add_setting(RF_COLUMN_RENAMED, err);
    }
    add_event(plan, RF_COLUMN_RENAMED, from->name, to->name, from->name);
    alter(plan, (struct rf_alteration){.what = RF_RENAME_COLUMN, .column = to->name, .to = from->name});
    to->name = from->name;
    plan->altered_whole = true;
    return RF_OK;
}

static enum rf_code add_column(struct rf_plan *plan, int i, struct rf_target_facts *after, struct rf_error *err) {
    const struct rf_column *from = &plan->source->columns[i];
    const struct rf_column new = as_new(plan, i);
    if (policy_of(plan, RF_COLUMN_ADDED) == RF_POLICY_FAIL) {
        rf_fail(err, RF_DRIFT, "column \"%s\" (%s) was added to %s and is not in %s", from->name, from->type, plan->job->source_label, plan->job->target_label);
        rf_hint(err, "ALTER TABLE %s ADD COLUMN \"%s\" %s, or name the columns to carry in \"columns\".", plan->job->target_label, from->name, new.type);
        return add_setting(RF_COLUMN_ADDED, err);
    }
    add_event(plan, RF_COLUMN_ADDED, from->name, NULL, new.type);
    alter(plan, (struct rf_alteration){.what = RF_ADD_COLUMN, .column = from->name, .type = new.type});
    after->columns[after->n_columns++] = new;
    plan->altered_whole = true;
    return RF_OK;
}

static enum rf_code refuse_dropped(const struct rf_plan *plan, const struct rf_column *column, struct rf_error *err) {
    const char *target = plan->job->target_label;
    bool only_null = policy_of(plan, RF_COLUMN_DROPPED) == RF_POLICY_IGNORE;
    rf_fail(err, RF_DRIFT, "column \"%s\" (%s) of %s %sno longer comes from %s", column->name, column->type, target, only_null ? "may not be NULL and " : "", plan->job->source_label);
    if (only_null) rf_hint(err, "%s cannot take NOT NULL from a column: drop the one of %s.", rf_alter_dialect(plan->target->dialect), target);
    else rf_hint(err, "ALTER TABLE %s DROP COLUMN \"%s\".", target, column->name);
    return add_setting(RF_COLUMN_DROPPED, err);
}

/* Does a column of the target's key come after the one at this place? */
static bool stands_before_key(const struct rf_plan *plan, const struct rf_target_facts *after, int at) {
    for (int i = at + 1; i < after->n_columns; i++) {
        const char *name = after->columns[i].name;
        int from = rf_find_column(plan->source->columns, plan->source->n_columns, name);
        if ((from >= 0 && rf_is_key(plan->source, from)) || (rf_keeps_versions(plan) && strcmp(name, "_load_id") == 0)) return true;
    }
    return false;
}

static enum rf_code refuse_to_drop(const struct rf_plan *plan, const struct rf_column *column, struct rf_error *err) {
    rf_fail(err, RF_DRIFT, "column \"%s\" (%s) of %s no longer comes from %s, and cannot be dropped there", column->name, column->type, plan->job->target_label, plan->job->source_label);
    return rf_hint(err, "%s drops no column that stands before one of the key: set on_schema_change={\"column_dropped\": \"ignore\"}, by which it stays, NULL from now on.",
                   rf_alter_dialect(plan->target->dialect));
}

/* What stays is NULL from now on, and so has to be allowed to be. */
static enum rf_code drop_column(struct rf_plan *plan, int at, struct rf_target_facts *after, struct rf_error *err) {
    struct rf_column *column = &after->columns[at];
    enum rf_policy policy = policy_of(plan, RF_COLUMN_DROPPED);
    bool must_alter = policy == RF_POLICY_IGNORE && column->not_null;
    if (policy == RF_POLICY_FAIL || (must_alter && !rf_can_alter(plan->target->dialect, RF_DROP_NOT_NULL, column->type, column->type))) return refuse_dropped(plan, column, err);
    if (policy == RF_POLICY_APPLY && rf_alter_keeps_keys(plan->target->dialect) && stands_before_key(plan, after, at)) return refuse_to_drop(plan, column, err);
    add_event(plan, RF_COLUMN_DROPPED, column->name, column->type, NULL);
    if (policy == RF_POLICY_APPLY) {
        alter(plan, (struct rf_alteration){.what = RF_DROP_COLUMN, .column = column->name});
        memmove(column, column + 1, (size_t)(after->n_columns - at - 1) * sizeof *column);
        after->n_columns--;
        return RF_OK;
    }
    if (must_alter) alter(plan, (struct rf_alteration){.what = RF_DROP_NOT_NULL, .column = column->name, .type = column->type});
    column->not_null = false;
    plan->dropped[plan->n_dropped++] = column->name;
    return RF_OK;
}

/* ---- the key ---- */

static enum rf_code name_keys(const struct rf_plan *plan, struct rf_arena *arena, const char **out, struct rf_error *err) {
    struct rf_text names = {0};
    for (int k = 0; k < plan->source->n_keys; k++) rf_text_addf(&names, "%s%s", k > 0 ? ", " : "", plan->source->columns[plan->source->keys[k]].name);
    return rf_arena_text(arena, &names, out, err);
}

/* Of columns that hold values already; a server that enforces no key would take the same row twice. */
static bool can_replace_key(const struct rf_plan *plan) {
    bool can = plan->last->load_id > 0 && plan->job->mode == RF_MODE_MERGE && plan->job->capture != RF_CAPTURE_GIVEN && rf_can_alter(plan->target->dialect, RF_REPLACE_KEY, NULL, NULL);
    for (int k = 0; k < plan->source->n_keys; k++)
        can &= rf_find_column(plan->target->columns, plan->target->n_columns, plan->source->columns[plan->source->keys[k]].name) >= 0;
    return can;
}

static enum rf_code replace_key(struct rf_plan *plan, struct rf_target_facts *after, struct rf_arena *arena, struct rf_error *err) {
    const char *keys = NULL;
    bool can = can_replace_key(plan);
    RF_TRY(name_keys(plan, arena, &keys, err));
    if (policy_of(plan, RF_KEY_CHANGED) == RF_POLICY_FAIL || !can) {
        rf_fail(err, plan->last->load_id > 0 ? RF_DRIFT : RF_CONFIG, "%s has no unique index over exactly the keys of the job (%s), all of them NOT NULL", plan->job->target_label, keys);
        const char *dialect = rf_alter_dialect(plan->target->dialect), *target = plan->job->target_label;
        if (rf_can_alter(plan->target->dialect, RF_REPLACE_KEY, NULL, NULL)) rf_hint(err, "The keys changed, or the index was dropped: create the unique index, or load into another target_table.");
        else rf_hint(err, "The keys changed, or the index was dropped, and in %s no primary key is replaced: drop %s, which the next run makes anew, or load into another target_table.", dialect, target);
        return can ? add_setting(RF_KEY_CHANGED, err) : err->code;
    }
    add_event(plan, RF_KEY_CHANGED, NULL, NULL, keys);
    alter(plan, (struct rf_alteration){.what = RF_REPLACE_KEY});
    for (int k = 0; k < plan->source->n_keys; k++)
        after->columns[rf_find_column(after->columns, after->n_columns, plan->source->columns[plan->source->keys[k]].name)].not_null = true;
    after->key_unique = true;
    plan->altered_whole = true;
    return RF_OK;
}

/* ---- the whole ---- */

static enum rf_code make_room(struct rf_plan *plan, struct rf_arena *arena, struct rf_target_facts **after, struct rf_error *err) {
    const struct rf_source_facts *source = plan->source;
    size_t n_columns = (size_t)(source->n_columns + plan->target->n_columns), n_events = 2 * n_columns + (size_t)source->n_left_out + 2, n_labels = 0;
    for (int i = 0; i < source->n_columns; i++) n_labels += count_labels(&source->columns[i]);
    n_events += rf_count_lines(source->fingerprint) + rf_count_lines(plan->last->fingerprint);
    plan->events = rf_arena_take(arena, n_events * sizeof *plan->events);
    plan->alterations = rf_arena_take(arena, (2 * n_columns + n_labels + 1) * sizeof *plan->alterations);
    plan->dropped = rf_arena_take(arena, (size_t)(plan->target->n_columns + 1) * sizeof *plan->dropped);
    *after = rf_arena_take(arena, sizeof **after);
    if (!plan->events || !plan->alterations || !plan->dropped || !*after) return rf_no_memory(err);
    plan->most_events = (int)n_events;
    **after = *plan->target;
    (*after)->columns = rf_arena_take(arena, (n_columns + 1) * sizeof *(*after)->columns);
    if (!(*after)->columns) return rf_no_memory(err);
    if (plan->target->n_columns > 0) memcpy((*after)->columns, plan->target->columns, (size_t)plan->target->n_columns * sizeof *(*after)->columns);
    return RF_OK;
}

static enum rf_code follow_names(struct rf_plan *plan, struct rf_target_facts *after, struct rf_arena *arena, struct rf_error *err) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        int at = find_renamed(&plan->source->columns[i], plan->source, plan->target, plan->last, arena);
        if (at >= 0) RF_TRY(rename_column(plan, i, &after->columns[at], err));
    }
    for (int at = 0; at < after->n_columns;) {
        const struct rf_column *column = &after->columns[at];
        int n = after->n_columns;
        bool stays = rf_is_metadata(column->name) || column->generated || rf_find_column(plan->source->columns, plan->source->n_columns, column->name) >= 0;
        if (!stays) RF_TRY(drop_column(plan, at, after, err));
        at += after->n_columns == n;
    }
    return RF_OK;
}

static enum rf_code follow_columns(struct rf_plan *plan, struct rf_target_facts *after, struct rf_arena *arena, struct rf_error *err) {
    note_left_out(plan);
    for (int i = 0; i < plan->source->n_columns; i++) {
        const struct rf_column *from = &plan->source->columns[i];
        int at = rf_find_column(after->columns, after->n_columns, from->name);
        if (at < 0) {
            RF_TRY(add_column(plan, i, after, err));
            continue;
        }
        struct rf_column *to = &after->columns[at];
        bool given = plan->job->capture == RF_CAPTURE_GIVEN;
        if ((given ? rf_fit_given(from, to) : rf_fit_column(from, to)) == RF_FITS_NOT) RF_TRY(change_type(plan, i, to, arena, err));
        if (to->not_null && rf_may_be_null(plan, i)) RF_TRY(let_be_null(plan, to, err));
    }
    return RF_OK;
}

enum rf_code rf_decide_drift(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err) {
    struct rf_target_facts *after;
    RF_TRY(make_room(plan, arena, &after, err));
    if (!plan->target->exists) return plan->last->load_id > 0 && !plan->last->is_reset ? rf_note_drift(plan, RF_TABLE_MISSING, NULL, NULL, NULL, err) : RF_OK;
    RF_TRY(follow_names(plan, after, arena, err));
    RF_TRY(follow_columns(plan, after, arena, err));
    if (!plan->target->key_unique && plan->job->mode != RF_MODE_REPLACE && plan->source->n_keys > 0) RF_TRY(replace_key(plan, after, arena, err));
    plan->target = after;
    return RF_OK;
}
