/* Sessions with Snowflake and the load records there: connecting, reading, adding one, committing.
 *
 * Statements commit by themselves until the load's transaction begins, and all DDL comes before it: in one it would commit
 * what is open.
 */
#include "core/clock.h"
#include "core/json.h"
#include "core/sql_snowflake.h"
#include "drivers/diagnose_snowflake.h"
#include "drivers/doubt.h"
#include "drivers/sink_snowflake.h"
#include "drivers/target.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCKED_PAUSE_MS = 500, CONTROL_TABLES = 2 };

/* ---- sessions ---- */

const char *rf_snowflake_channel(const struct rf_job *job) {
    return job->channel == RF_CHANNEL_ODBC || (job->channel == RF_CHANNEL_AUTO && !job->driver) ? "odbc" : "adbc";
}

static enum rf_code make_over_adbc(struct rf_sink_snowflake *sink, struct rf_error *err) {
    int n = 0;
    if (!sink->job->driver) {
        rf_fail(err, RF_CONFIG, "the target is Snowflake, and the job does not say where the library of adbc-driver-snowflake is");
        return rf_hint(err, "pip install 'rowferry[snowflake]'; or name the library in \"driver\".");
    }
    RF_TRY(rf_snowflake_adbc_options(&sink->uri, sink->job, sink->arena, sink->options, &n, err));
    sink->over_adbc = (struct rf_session_adbc){.library = sink->job->driver, .entry = "AdbcDriverSnowflakeInit", .options = sink->options, .n_options = n, .cancel = sink->cancel};
    sink->over_adbc.adbc.ways = (struct rf_adbc_ways){.diagnose = rf_snowflake_diagnose, .by_statement = true, .any_types = true};
    sink->session = rf_session_over_adbc(&sink->over_adbc);
    return RF_OK;
}

static enum rf_code make_over_odbc(struct rf_sink_snowflake *sink, struct rf_error *err) {
    RF_TRY(rf_snowflake_odbc_uri(&sink->uri, sink->job, sink->arena, &sink->odbc_uri, err));
    sink->over_odbc = (struct rf_odbc){.uri = &sink->odbc_uri, .driver = sink->job->driver, .connect_timeout_s = sink->job->connect_timeout, .cancel = sink->cancel};
    sink->session = rf_session_over_odbc(&sink->over_odbc);
    return RF_OK;
}

/* Who left the choice to us learns of both. */
static enum rf_code name_both(const struct rf_sink_snowflake *sink, struct rf_error *err) {
    if (!sink->over_odbc.is_missing || sink->job->channel != RF_CHANNEL_AUTO) return err->code;
    struct rf_error odbc = *err;
    rf_fail(err, RF_CONFIG, "Snowflake is reached by its ADBC driver or by its ODBC driver, and neither is here: adbc-driver-snowflake is not installed, and %s", odbc.message);
    return rf_hint(err, "pip install 'rowferry[snowflake]' brings the first. For the second: %s", odbc.hint);
}

static enum rf_code open_session(struct rf_sink_snowflake *sink, struct rf_error *err) {
    struct rf_text settings = {0}, number = {0};
    struct rf_result rows;
    RF_TRY(sink->session.ops->open(sink->session.self, err));
    rf_snowflake_session(sink->job, &settings);
    RF_TRY(sink->session.ops->execute(sink->session.self, "set up the session", &settings, NULL, err));
    rf_text_add(&number, RF_SNOWFLAKE_SESSION);
    RF_TRY(sink->session.ops->read(sink->session.self, "number the session", &number, sink->arena, &rows, err));
    sink->session_id = rf_result_cell(&rows, 0, 0);
    return RF_OK;
}

enum rf_code rf_snowflake_connect(struct rf_sink_snowflake *sink, struct rf_error *err) {
    bool is_odbc = strcmp(rf_snowflake_channel(sink->job), "odbc") == 0;
    RF_TRY(rf_snowflake_uri_read(sink->job->target, sink->arena, &sink->uri, err));
    RF_TRY(is_odbc ? make_over_odbc(sink, err) : make_over_adbc(sink, err));
    enum rf_code code = open_session(sink, err);
    return code == RF_CONFIG ? name_both(sink, err) : code;
}

/* ---- statements ---- */

static enum rf_code copy_sql(const struct rf_text *sql, struct rf_text *copy, struct rf_error *err) {
    RF_TRY(rf_text_check(sql, err));
    rf_text_add(copy, sql->data);
    return rf_text_check(copy, err);
}

/* What a statement may be sent again for; then it has been waited for. */
static bool may_be_repeated(struct rf_sink_snowflake *sink, double started, bool *renewed, struct rf_error *err) {
    if (rf_cancel_requested(sink->cancel)) return false;
    if (rf_snowflake_is_expired(err) && !sink->has_temporary && !*renewed) {
        struct rf_error why;
        *renewed = true;
        sink->session.ops->close(sink->session.self);
        if (open_session(sink, &why) == RF_OK) return true;
        *err = why;
        return false;
    }
    if (!rf_snowflake_is_locked(err) || rf_clock_seconds() - started >= sink->job->lock_timeout) return false;
    rf_cancel_wait(sink->cancel, LOCKED_PAUSE_MS);
    return true;
}

typedef enum rf_code once(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, void *out, struct rf_error *err);

static enum rf_code repeat(struct rf_sink_snowflake *sink, once *send, const char *role, struct rf_text *sql, void *out, struct rf_error *err) {
    double started = rf_clock_seconds();
    bool renewed = false;
    enum rf_code code;
    do {
        struct rf_text copy = {0};
        code = copy_sql(sql, &copy, err);
        if (code == RF_OK) code = send(sink, role, &copy, out, err);
        else rf_text_free(&copy);
    } while (code != RF_OK && may_be_repeated(sink, started, &renewed, err));
    rf_text_free(sql);
    return code == RF_OK ? RF_OK : err->code;
}

static enum rf_code execute_once(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, void *out, struct rf_error *err) {
    return sink->session.ops->execute(sink->session.self, role, sql, out, err);
}

static enum rf_code read_once(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, void *out, struct rf_error *err) {
    return sink->session.ops->read(sink->session.self, role, sql, sink->arena, out, err);
}

enum rf_code rf_snowflake_execute(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err) {
    return repeat(sink, execute_once, role, sql, n_rows, err);
}

enum rf_code rf_snowflake_ask(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err) {
    return repeat(sink, read_once, role, sql, rows, err);
}

enum rf_code rf_snowflake_read(struct rf_sink_snowflake *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err) {
    RF_TRY(rf_snowflake_ask(sink, role, sql, rows, err));
    return rf_result_require(rows, role, err);
}

/* ---- control tables ---- */

static enum rf_code create_schema(struct rf_sink_snowflake *sink, const char *schema, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_snowflake_create_schema(sink->job, schema, &sql);
    return rf_snowflake_execute(sink, "create a schema", &sql, NULL, err);
}

/* What is there is not created again: that would ask for rights that loading does not need. */
static enum rf_code prepare_control(struct rf_sink_snowflake *sink, const struct rf_result *found, struct rf_error *err) {
    struct rf_text loads = {0}, leases = {0};
    if (!rf_result_flag(found, 0, 0)) RF_TRY(create_schema(sink, sink->job->control_schema, err));
    if (!rf_result_flag(found, 0, 2)) RF_TRY(create_schema(sink, sink->job->target_schema, err));
    if (sink->has_control) return RF_OK;
    rf_snowflake_create_loads(sink->job, &loads);
    RF_TRY(rf_snowflake_execute(sink, "create the control tables", &loads, NULL, err));
    rf_snowflake_create_leases(sink->job, &leases);
    RF_TRY(rf_snowflake_execute(sink, "create the control tables", &leases, NULL, err));
    sink->has_control = true;
    return RF_OK;
}

enum rf_code rf_snowflake_open_target(void *self, bool prepare, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    struct rf_result found;
    RF_TRY(rf_snowflake_connect(sink, err));
    rf_snowflake_schemas(sink->job, &sql);
    RF_TRY(rf_snowflake_read(sink, "look for the control tables", &sql, &found, err));
    sink->has_control = rf_result_flag(&found, 0, 1);
    return prepare ? prepare_control(sink, &found, err) : RF_OK;
}

void rf_snowflake_close_target(void *self) {
    struct rf_sink_snowflake *sink = self;
    rf_spool_drop(sink->spool);
    sink->spool = NULL;
    rf_spool_folder_remove(&sink->folder);
    rf_snowflake_release(sink);
    if (sink->session.ops) sink->session.ops->close(sink->session.self);
}

/* ---- state ---- */

enum rf_code rf_snowflake_newest(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text newest = {0}, run = {0};
    struct rf_result rows;
    *last = (struct rf_load){0};
    *total = (struct rf_run_total){0};
    if (!sink->has_control) return RF_OK;
    rf_snowflake_newest_load(sink->job, &newest);
    RF_TRY(rf_snowflake_read(sink, "read the newest load record", &newest, &rows, err));
    rf_target_fill_load(&rows, last);
    sink->newest_load_id = last->load_id;
    if (!sink->job->source_label) return RF_OK;
    rf_snowflake_run_total(sink->job, &run);
    RF_TRY(rf_snowflake_read(sink, "read the run's earlier loads", &run, &rows, err));
    rf_target_fill_total(&rows, total);
    return RF_OK;
}

enum rf_code rf_snowflake_add_record(struct rf_sink_snowflake *sink, const struct rf_record *record, struct rf_error *err) {
    int64_t n_rows = 0;
    struct rf_text sql = {0};
    rf_snowflake_insert_load(sink->job, record, sink->token, &sql);
    RF_TRY(rf_snowflake_execute(sink, "insert the load record", &sql, &n_rows, err));
    if (n_rows == 1) return RF_OK;
    return rf_fail(err, RF_FENCED, "a newer run took %s over, or a newer load of it is recorded; this one commits nothing", sink->job->target_label);
}

/* ---- commit ---- */

/* The old transaction may still be committing: it is ended first, and what is then recorded is what was committed. One that
 * has ended cannot be ended, which is no failure. */
static enum rf_code look_up(struct rf_sink_snowflake *sink, bool *found, struct rf_error *err) {
    struct rf_text abort = {0}, find = {0};
    struct rf_result rows;
    struct rf_error ignored;
    RF_TRY(open_session(sink, err));
    if (sink->transaction) rf_snowflake_abort(sink->transaction, &abort);
    if (sink->transaction) (void)sink->session.ops->read(sink->session.self, "end the earlier transaction", &abort, sink->arena, &rows, &ignored);
    rf_snowflake_find_load(sink->job, sink->load_id, &find);
    RF_TRY(rf_snowflake_read(sink, "look the load up", &find, &rows, err));
    *found = rf_result_flag(&rows, 0, 0);
    return RF_OK;
}

static enum rf_outcome ask(void *self) {
    struct rf_sink_snowflake *sink = self;
    struct rf_error why;
    bool found = false;
    sink->session.ops->close(sink->session.self);
    enum rf_code code = look_up(sink, &found, &why);
    if (code == RF_OK) return found ? RF_COMMITTED : RF_NOT_COMMITTED;
    return code == RF_AUTH || code == RF_CONFIG || code == RF_NO_MEMORY ? RF_UNKNOWN : RF_ASK_AGAIN;
}

static enum rf_code resolve_doubt(struct rf_sink_snowflake *sink, struct rf_error *err) {
    const struct rf_doubt doubt = {.cancel = sink->cancel, .label = sink->job->target_label, .load_id = sink->load_id, .ask = ask, .self = sink};
    sink->session.ops->stop_listening(sink->session.self); /* what was committed is found out, also behind a cancel */
    return rf_resolve_doubt(&doubt, err);
}

enum rf_code rf_snowflake_commit(void *self, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    enum rf_code code = sink->session.ops->commit(sink->session.self, err);
    if (code == RF_OK || code == RF_CANCELLED || rf_snowflake_answered(err)) return code; /* a refusal leaves no doubt */
    return resolve_doubt(sink, err);
}

/* ---- without a run ---- */

enum rf_code rf_snowflake_inspect(void *self, struct rf_text *json, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    RF_TRY(rf_snowflake_open_target(sink, false, err));
    rf_text_add(&sql, RF_SNOWFLAKE_ACCOUNT);
    RF_TRY(rf_snowflake_read(sink, "ask for the account", &sql, &rows, err));
    rf_json_open(json, NULL, '{');
    rf_json_text(json, "channel", sink->session.channel);
    rf_json_text(json, "database", "Snowflake");
    rf_json_text(json, "current_user", rf_result_cell(&rows, 0, 0));
    rf_json_text(json, "version", rf_result_cell(&rows, 0, 1));
    rf_json_text(json, "role", rf_result_cell(&rows, 0, 2));
    rf_json_flag(json, "read_only", false);
    rf_json_integer(json, "control_tables", sink->has_control ? CONTROL_TABLES : 0);
    rf_json_close(json, '}');
    return RF_OK;
}

static enum rf_code join_loads(const struct rf_result *rows, char **json, struct rf_error *err) {
    struct rf_text text = {0};
    rf_text_add(&text, "{\"loads\":[");
    for (int i = 0; i < rows->n_rows; i++) {
        if (i > 0) rf_text_add(&text, ",");
        rf_text_add(&text, rf_result_cell(rows, i, 0));
    }
    rf_text_add(&text, "]}");
    enum rf_code code = rf_text_check(&text, err);
    if (code != RF_OK) rf_text_free(&text);
    *json = text.data;
    return code;
}

enum rf_code rf_snowflake_state(void *self, char **json, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows = {0};
    RF_TRY(rf_snowflake_open_target(sink, false, err));
    if (sink->has_control) rf_snowflake_list_loads(sink->job, &sql);
    if (sink->has_control) RF_TRY(rf_snowflake_read(sink, "list the load records", &sql, &rows, err));
    return join_loads(&rows, json, err);
}

enum rf_code rf_snowflake_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    int64_t load_id;
    struct rf_record record;
    RF_TRY(rf_snowflake_open_target(sink, true, err));
    RF_TRY(rf_snowflake_acquire(sink, &load_id, err));
    rf_record_reset(sink->job, load_id, &record);
    RF_TRY(sink->session.ops->begin(sink->session.self, err));
    RF_TRY(rf_snowflake_add_record(sink, &record, err));
    RF_TRY(rf_record_tell(load_id, json, err));
    if (observer.on_step) observer.on_step(observer.context, RF_STEP_COMMIT, 0, 0);
    return rf_snowflake_commit(sink, err);
}

enum rf_code rf_snowflake_discard(void *self, char **json, struct rf_error *err) {
    static const char own[] = "rowferry_selftest_";
    struct rf_sink_snowflake *sink = self;
    const struct rf_job *job = sink->job;
    struct rf_text sql = {0};
    if (strncmp(job->target_schema, own, strlen(own)) != 0 || strcmp(job->target_schema, job->control_schema) != 0)
        return rf_fail(err, RF_CONFIG, "the schema of %s is not that of a self-test", job->target_label);
    RF_TRY(rf_snowflake_connect(sink, err));
    rf_snowflake_drop_schema(job, job->target_schema, &sql);
    RF_TRY(rf_snowflake_execute(sink, "drop the self-test's schema", &sql, NULL, err));
    *json = strdup("{}");
    return *json ? RF_OK : rf_no_memory(err);
}
