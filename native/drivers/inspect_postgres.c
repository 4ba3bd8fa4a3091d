/* Facts for `rowferry doctor`: read-only, in one transaction, nothing needed on the source but to look. */
#include "core/sql.h"
#include "drivers/sink_postgres.h"

static enum rf_code look(struct rf_pg *pg, const char *role, const char *sql, int n, const char *const *params, struct rf_text *out, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(pg, role, sql, n, params, &result, err));
    rf_text_add(out, PQgetvalue(result, 0, 0));
    PQclear(result);
    return RF_OK;
}

enum rf_code rf_postgres_inspect_source(const struct rf_job *job, struct rf_cancel *cancel, struct rf_text *out, struct rf_error *err) {
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
enum rf_code rf_postgres_inspect(void *self, struct rf_text *json, struct rf_error *err) {
    struct rf_sink_postgres *sink = self;
    const struct rf_job *job = sink->job;
    const char *params[] = {job->control_schema};
    RF_TRY(rf_pg_open(&sink->pg, RF_SIDE_TARGET, job->target, job->application, job->connect_timeout, sink->cancel, err));
    RF_TRY(rf_pg_execute(&sink->pg, "begin", RF_SQL_BEGIN_READ, 0, NULL, NULL, err));
    RF_TRY(rf_pg_execute(&sink->pg, "set the search path", RF_SQL_BARE_PATH, 0, NULL, NULL, err));
    return look(&sink->pg, "inspect the target", RF_SQL_INSPECT_TARGET, 1, params, json, err);
}
