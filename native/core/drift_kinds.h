/* What may happen to a schema between two runs, and what a job wants done then.
 *
 * One table in drift_kinds.c says which policies each kind knows, which one holds without a word of the job, and what then
 * happens. From it come the checks of the setting "on_schema_change", its published schema, the texts of refusals, the
 * `done` of events, and what `rowferry drift` prints.
 */
#ifndef RF_DRIFT_KINDS_H
#define RF_DRIFT_KINDS_H

#include <stdbool.h>

enum rf_drift_kind {
    RF_COLUMN_ADDED,
    RF_COLUMN_DROPPED,
    RF_COLUMN_RENAMED, /* another name under the same number */
    RF_TYPE_WIDENED,
    RF_TYPE_CHANGED,
    RF_NULLABILITY,
    RF_KEY_CHANGED,
    RF_ENUM_CHANGED,
    RF_TABLE_MISSING, /* on the target, though it was loaded */
    RF_TABLE_RECREATED, /* at the source */
    RF_PARTITION_ATTACHED,
    RF_PARTITION_DETACHED,
    RF_DRIFT_KINDS, /* how many there are */
};

enum rf_policy { RF_POLICY_APPLY, RF_POLICY_IGNORE, RF_POLICY_FAIL, RF_POLICIES_KNOWN };

struct rf_policies {
    enum rf_policy of[RF_DRIFT_KINDS];
};

struct rf_drift_row {
    const char *name;    /* as jobs and reports write it */
    const char *meaning;
    enum rf_policy usual;
    const char *done[RF_POLICIES_KNOWN]; /* what is done under each policy; NULL where the kind does not know it; of `fail`: what a refusal's hint promises of `apply` */
};

extern const struct rf_drift_row rf_drift_rows[RF_DRIFT_KINDS];

/* "apply", "ignore" or "fail". */
const char *rf_policy_name(enum rf_policy policy);

/* False when it is no policy. */
bool rf_policy_read(const char *name, enum rf_policy *policy);

/* RF_DRIFT_KINDS when it is no kind. */
enum rf_drift_kind rf_drift_kind_read(const char *name);

/* Those that hold without a word of the job. */
struct rf_policies rf_policies_usual(void);

/* The whole table as JSON, {"kinds": [{"kind", "meaning", "policies", "default", "apply", "ignore"}, …]}, to be freed with free(); NULL when
 * memory is short. */
char *rf_drift_json(void);

/* ---- what a run met, and what it does about it ---- */

struct rf_drift_event {
    enum rf_drift_kind kind;
    enum rf_policy policy;
    const char *column; /* or a partition; NULL of a whole table */
    const char *old;    /* name or type; NULL where there was none */
    const char *new;
};

enum rf_alter {
    RF_ADD_COLUMN,
    RF_DROP_COLUMN,
    RF_RENAME_COLUMN,
    RF_CHANGE_TYPE,
    RF_DROP_NOT_NULL,
    RF_ADD_LABEL,
    RF_RENAME_LABEL,
    RF_REPLACE_KEY,
};

/* One statement that changes the target's schema (core/sql_alter.h). */
struct rf_alteration {
    enum rf_alter what;
    const char *column; /* as it is named when the statement comes to it */
    const char *type;   /* of it, or of the enum; as it becomes, or stays */
    const char *from;   /* label; of one that is added: the one before which it comes, or NULL */
    const char *to;     /* name or label */
    bool not_null;      /* of RF_CHANGE_TYPE: it stays so */
};

#endif
