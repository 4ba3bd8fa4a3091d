/* Facts for `rowferry doctor`: read-only, in one transaction, nothing needed on the source but to look. */
#include "core/sql.h"
#include "drivers/drivers.h"

#include <stdlib.h>
#include <string.h>

static enum rf_code look(struct rf_pg *pg, const char *role, const char *sql, int n, const char *const *params, struct rf_text *out, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(pg, role, sql, n, params, &result, err));
    rf_text_add(out, PQgetvalue(result, 0, 0));
    PQclear(result);
    return RF_OK;
}

static enum rf_code look_at_source(const struct rf_job *job, struct rf_cancel *cancel, struct rf_text *out, struct rf_error *err) {
    struct rf_pg pg;
    RF_TRY(rf_pg_open(&pg, RF_SIDE_SOURCE, job->source, job->application, job->connect_timeout, cancel, err));
    struct rf_text settings = {0}, sql = {0};
    enum rf_code code = rf_pg_execute(&pg, "begin", RF_SQL_BEGIN_READ, 0, NULL, NULL, err);
    if (code == RF_OK) rf_sql_source_settings(job, pg.version, &settings);
    if (code == RF_OK) code = rf_pg_execute_script(&pg, "set up the transaction", &settings, err);
    if (code == RF_OK) code = rf_pg_watch_client(&pg, err);
    if (code == RF_OK) code = rf_pg_execute(&pg, "set the search path", RF_SQL_BARE_PATH, 0, NULL, NULL, err);
    const char *params[] = {job->source_schema, job->source_table};
    rf_sql_inspect(&sql);
    if (code == RF_OK) code = rf_text_check(&sql, err);
    if (code == RF_OK) code = look(&pg, "inspect the source", sql.data, 2, params, out, err);
    rf_text_free(&sql);
    rf_pg_close(&pg);
    return code;
}

/* The records are counted only where they can be read: a look at a stranger's schema is no error. */
static enum rf_code look_at_target(const struct rf_job *job, struct rf_cancel *cancel, struct rf_text *out, struct rf_error *err) {
    struct rf_pg pg;
    RF_TRY(rf_pg_open(&pg, RF_SIDE_TARGET, job->target, job->application, job->connect_timeout, cancel, err));
    const char *params[] = {job->control_schema};
    enum rf_code code = rf_pg_execute(&pg, "begin", RF_SQL_BEGIN_READ, 0, NULL, NULL, err);
    if (code == RF_OK) code = rf_pg_execute(&pg, "set the search path", RF_SQL_BARE_PATH, 0, NULL, NULL, err);
    if (code == RF_OK) code = look(&pg, "inspect the target", RF_SQL_INSPECT_TARGET, 1, params, out, err);
    rf_pg_close(&pg);
    return code;
}

enum rf_code rf_postgres_inspect(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena, char **json, struct rf_error *err) {
    struct rf_text out = {0};
    enum rf_code code = look_at_source(job, cancel, &out, err);
    if (code == RF_OK) {
        out.length--; /* the closing brace: the target is one more member */
        rf_text_add(&out, ", \"target\": ");
        if (job->target && rf_is_odbc(job->target)) code = rf_odbc_inspect(job, cancel, arena, &out, err);
        else if (job->target && rf_is_snowflake(job->target)) code = rf_snowflake_inspect(job, cancel, arena, &out, err);
        else if (job->target) code = look_at_target(job, cancel, &out, err);
        else rf_text_add(&out, "null");
        rf_text_add(&out, "}");
    }
    if (code == RF_OK) code = rf_text_check(&out, err);
    if (code == RF_OK && !(*json = strdup(out.data))) code = rf_no_memory(err);
    rf_text_free(&out);
    return code;
}
