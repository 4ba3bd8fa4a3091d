#include "drivers/rights.h"

#include "core/snowflake_uri.h"

#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* On what a statement needs a right: the database, the schemas of the columns' types, or a schema and tables in it. */
enum object { DATABASE, TYPES, SOURCE, TARGET, CONTROL };

/* The first row that fits the side and the statement's role. The whole of it is the README's section "Rights". */
static const struct need {
    const char *side;
    const char *word; /* of the role */
    enum object object;
    const char *on_object;
    const char *on_tables;
    const char *remark;
} NEEDS[] = {
    {"source", "connect", DATABASE, "CONNECT", NULL, ""},
    {"source", "lock the table", SOURCE, "USAGE", "SELECT", " SELECT on columns alone is not enough: LOCK TABLE asks for a right on the table."},
    {"source", "", SOURCE, "USAGE", "SELECT", " What a filter uses beside that table has to be granted too."},
    {"target", "connect", DATABASE, "CONNECT", NULL, ""},
    {"target", "create a schema", DATABASE, "CREATE", NULL, " Or create the schemas with AUTHORIZATION for that role."},
    {"target", "find types", TYPES, "USAGE", NULL, ""},
    {"target", "create the stage", DATABASE, "TEMPORARY", NULL, ""},
    {"target", "create the control", CONTROL, "USAGE, CREATE", NULL, ""},
    {"target", "create the target", TARGET, "USAGE, CREATE", NULL, ""},
    {"target", "comparing", TARGET, "USAGE", "SELECT", ""},
    {"target", "lease", CONTROL, "USAGE", "SELECT, INSERT, UPDATE", ""},
    {"target", "insert the load record", CONTROL, "USAGE", "SELECT, INSERT, UPDATE", ""},
    {"target", "load record", CONTROL, "USAGE", "SELECT", " To load, INSERT and UPDATE too."},
    {"target", "earlier", CONTROL, "USAGE", "SELECT", " To load, INSERT and UPDATE too."},
    {"target", "", TARGET, "USAGE", "SELECT, INSERT, UPDATE", " Where rows are removed, DELETE too."},
};

static const struct need *find_need(const struct rf_error *err) {
    for (size_t i = 0; i < sizeof NEEDS / sizeof NEEDS[0]; i++)
        if (strncmp(err->message, NEEDS[i].side, strlen(NEEDS[i].side)) == 0 && strstr(err->role, NEEDS[i].word)) return &NEEDS[i];
    return NULL;
}

static const char *schema_of(const struct rf_job *job, enum object object) {
    switch (object) {
    case SOURCE: return job->source_schema;
    case TARGET: return job->target_schema;
    case CONTROL: return job->control_schema;
    case DATABASE:
    case TYPES: break;
    }
    return NULL;
}

static void add_grants(const struct rf_job *job, const struct need *need, struct rf_text *out) {
    const char *schema = schema_of(job, need->object);
    rf_text_addf(out, "GRANT %s ON %s", need->on_object, schema ? "SCHEMA " : need->object == DATABASE ? "the DATABASE" : "the SCHEMA of the columns' types");
    if (schema) rf_text_identifier(out, schema);
    if (!need->on_tables) return;
    rf_text_addf(out, ", and %s ON ", need->on_tables);
    if (need->object == CONTROL) rf_text_add(out, "ALL TABLES in it");
    else rf_text_add(out, need->object == SOURCE ? job->source_label : job->target_label);
}

void rf_hint_at_right(const struct rf_job *job, struct rf_error *err) {
    const struct need *need = strcmp(err->sqlstate, "42501") == 0 ? find_need(err) : NULL;
    if (need && job->target && rf_is_snowflake(job->target) && strcmp(need->side, "target") == 0) return; /* its grants are others */
    if (!need || (need->object > TYPES && !schema_of(job, need->object))) return;
    struct rf_text grants = {0};
    add_grants(job, need, &grants);
    if (!grants.failed) rf_hint(err, "%s, to the role of the %s's connection.%s", grants.data, need->side, need->remark);
    rf_text_free(&grants);
}
