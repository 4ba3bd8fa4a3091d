#include "core/drift_kinds.h"

#include "core/json.h"
#include "core/text.h"

#include <string.h>

#define APPLY RF_POLICY_APPLY
#define IGNORE RF_POLICY_IGNORE
#define FAIL RF_POLICY_FAIL
#define READ_WHOLE "every row is read"

const struct rf_drift_row rf_drift_rows[RF_DRIFT_KINDS] = {
    [RF_COLUMN_ADDED] = {"column_added", "the source has a column that the target lacks", APPLY,
                         {"added to the target, and " READ_WHOLE, "left out", "add it"}},
    [RF_COLUMN_DROPPED] = {"column_dropped", "the target has a column that no longer comes", IGNORE,
                           {"dropped from the target", "stays in the target, NULL from now on", "drop it there too"}},
    [RF_COLUMN_RENAMED] = {"column_renamed", "a column of the source has another name", FAIL,
                           {"renamed in the target, and " READ_WHOLE, NULL, "rename it there too"}},
    [RF_TYPE_WIDENED] = {"type_widened", "a type that holds every value of the one before", APPLY,
                         {"the target's column takes the wider type", NULL, "widen it there too"}},
    [RF_TYPE_CHANGED] = {"type_changed", "any other type", FAIL,
                         {"the target's column takes the new type, into which its server casts what is there", NULL, "change it there too"}},
    [RF_NULLABILITY] = {"nullability", "a column may be NULL that may not be in the target", FAIL,
                        {"it may be NULL in the target too", NULL, "let it be NULL there too"}},
    [RF_KEY_CHANGED] = {"key_changed", "other columns identify a row", FAIL,
                        {"the target's primary key is replaced, and " READ_WHOLE, NULL, "replace the target's primary key"}},
    [RF_ENUM_CHANGED] = {"enum_changed", "labels were added or renamed", FAIL,
                         {"the target's enum takes the labels, and " READ_WHOLE, NULL, "change the target's enum"}},
    [RF_TABLE_MISSING] = {"table_missing", "the target was loaded, and is not there", APPLY,
                          {"made anew, and " READ_WHOLE, NULL, "make it anew"}},
    [RF_TABLE_RECREATED] = {"table_recreated", "the source is another table of the same name", APPLY,
                            {READ_WHOLE ", and rows that are gone are closed", NULL, "read every row"}},
    [RF_PARTITION_ATTACHED] = {"partition_attached", "a partition or child came in", APPLY,
                               {"its rows are read", NULL, "read its rows"}},
    [RF_PARTITION_DETACHED] = {"partition_detached", "a partition or child left", APPLY,
                               {"its rows are closed", NULL, "close its rows"}},
};

static const char *const POLICIES[RF_POLICIES_KNOWN] = {[APPLY] = "apply", [IGNORE] = "ignore", [FAIL] = "fail"};

const char *rf_policy_name(enum rf_policy policy) {
    return POLICIES[policy];
}

bool rf_policy_read(const char *name, enum rf_policy *policy) {
    for (int i = 0; i < RF_POLICIES_KNOWN; i++) {
        *policy = (enum rf_policy)i;
        if (strcmp(POLICIES[i], name) == 0) return true;
    }
    return false;
}

enum rf_drift_kind rf_drift_kind_read(const char *name) {
    int i = 0;
    while (i < RF_DRIFT_KINDS && strcmp(rf_drift_rows[i].name, name) != 0) i++;
    return (enum rf_drift_kind)i;
}

struct rf_policies rf_policies_usual(void) {
    struct rf_policies policies;
    for (int i = 0; i < RF_DRIFT_KINDS; i++) policies.of[i] = rf_drift_rows[i].usual;
    return policies;
}

static void add_row(const struct rf_drift_row *row, struct rf_text *to) {
    rf_json_open(to, NULL, '{');
    rf_json_text(to, "kind", row->name);
    rf_json_text(to, "meaning", row->meaning);
    rf_json_open(to, "policies", '[');
    for (int i = 0; i < RF_POLICIES_KNOWN; i++)
        if (row->done[i]) rf_json_text(to, NULL, POLICIES[i]);
    rf_json_close(to, ']');
    rf_json_text(to, "default", POLICIES[row->usual]);
    rf_json_text(to, "apply", row->done[APPLY]);
    rf_json_text(to, "ignore", row->done[IGNORE]);
    rf_json_close(to, '}');
}

char *rf_drift_json(void) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    rf_json_open(&json, "kinds", '[');
    for (int i = 0; i < RF_DRIFT_KINDS; i++) add_row(&rf_drift_rows[i], &json);
    rf_json_close(&json, ']');
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}
