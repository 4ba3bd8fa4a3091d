/* A session with a database behind ODBC and the load records in it: opening, creating, reading, adding, committing. */
#include "core/clock.h"
#include "core/json.h"
#include "core/sql_plain.h"
#include "drivers/doubt.h"
#include "drivers/lease_keeper.h"
#include "drivers/sink_odbc.h"
#include "drivers/target.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POLL_MS = 100, BOOTSTRAP_TRIES = 5 };

/* ---- statements ---- */

enum rf_code rf_odbc_execute(struct rf_sink_odbc *sink, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err) {
    return sink->session.ops->execute(sink->session.self, role, sql, n_rows, err);
}

enum rf_code rf_odbc_read(struct rf_sink_odbc *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err) {
    RF_TRY(sink->session.ops->read(sink->session.self, role, sql, sink->arena, rows, err));
    return rf_result_require(rows, role, err);
}

enum rf_code rf_odbc_ask(struct rf_sink_odbc *sink, const char *role, const char *template, struct rf_result *rows, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_dialect_fill(sink->row, template, sink->job, &sql);
    return rf_odbc_read(sink, role, &sql, rows, err);
}

/* ---- connecting ---- */

/* Statements parted by semicolons. */
static enum rf_code execute_all(struct rf_sink_odbc *sink, const char *role, const char *template, struct rf_error *err) {
    struct rf_text all = {0};
    rf_dialect_fill(sink->row, template, sink->job, &all);
    enum rf_code code = rf_text_check(&all, err);
    for (char *at = all.data, *rest = NULL; code == RF_OK && at; at = rest) {
        struct rf_text one = {0};
        rest = strchr(at, ';');
        if (rest) *rest++ = '\0';
        rf_text_add(&one, at);
        code = rf_odbc_execute(sink, role, &one, NULL, err);
    }
    rf_text_free(&all);
    return code;
}

static enum rf_code check_version(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_result rows;
    RF_TRY(rf_odbc_ask(sink, "ask for the version", sink->row->find, &rows, err));
    if (rf_target_version(rf_result_cell(&rows, 0, 1)) >= sink->row->oldest) return RF_OK;
    rf_fail(err, RF_CONFIG, "the target is %.40s of a version, or a make, that this release does not load into", sink->odbc.dbms);
    return rf_hint(err, "It loads into %s of version %d.%d or newer.", sink->row->name, sink->row->oldest / 10000, sink->row->oldest / 100 % 100);
}

enum rf_code rf_odbc_connect(struct rf_sink_odbc *sink, struct rf_error *err) {
    RF_TRY(sink->session.ops->open(sink->session.self, err));
    sink->row = rf_dialect_row(sink->odbc.dialect);
    if (sink->row->file_is_lease && !sink->uri.path) {
        rf_fail(err, RF_CONFIG, "the target is a SQLite file that is named in a connection string");
        return rf_hint(err, "Write sqlite:///directory/file.sqlite: what two runs wait for is the file.");
    }
    RF_TRY(check_version(sink, err)); /* before a setting that an older one, or MySQL, does not know */
    return execute_all(sink, "set up the session", sink->row->begin_session, err);
}

/* ---- looking ---- */

static enum rf_code look_for_control(struct rf_sink_odbc *sink, struct rf_error *err) {
    struct rf_result rows;
    RF_TRY(rf_odbc_ask(sink, "look for the control tables", sink->row->control_exists, &rows, err));
    sink->has_control = rf_result_integer(&rows, 0, 0) > 0 && rf_result_integer(&rows, 0, 1) > 0;
    return RF_OK;
}

/* Looking without writing: one state for the newest record and the rows. */
static enum rf_code look(struct rf_sink_odbc *sink, struct rf_error *err) {
    RF_TRY(execute_all(sink, "begin", sink->row->begin_looking, err));
    return look_for_control(sink, err);
}

/* ---- a file ---- */

static enum rf_code busy(const struct rf_sink_odbc *sink, const char *said, struct rf_error *err) {
    char why[256];
    rf_copy_text(why, sizeof why, *said ? said : "another session of this process has it open");
    rf_fail(err, RF_BUSY, "%s was not free within %g s: %s", sink->uri.path, sink->job->lock_timeout, why);
    return rf_hint(err, "Only one process at a time may write to a SQLite file. Wait for that one, or raise lock_timeout.");
}

/* One that is not there is looked at as an empty database, and not made. */
static enum rf_code open_file(struct rf_sink_odbc *sink, bool to_write, struct rf_error *err) {
    if (!to_write && access(sink->uri.path, F_OK) != 0) sink->uri.pairs = "DATABASE=:memory:;";
    return rf_odbc_connect(sink, err);
}

/* Takes the file if nobody else writes to it. To look it is read here already: who writes may keep readers out too. */
static enum rf_code try_file(struct rf_sink_odbc *sink, bool to_write, bool *got, struct rf_error *err) {
    *got = false;
    *err = (struct rf_error){0};
    if (!sink->hold) RF_TRY(rf_file_try(sink->uri.path, &sink->hold, err));
    if (!sink->hold) return RF_OK;
    enum rf_code code = sink->odbc.is_open ? RF_OK : open_file(sink, to_write, err);
    bool is_set_up = code == RF_OK;
    if (is_set_up) code = to_write ? sink->session.ops->begin(sink->session.self, err) : look(sink, err);
    *got = code == RF_OK;
    if (code != RF_BUSY) return code;
    if (!is_set_up || !to_write) sink->session.ops->close(sink->session.self); /* the next try begins anew */
    return RF_OK;
}

enum rf_code rf_odbc_wait_for_file(struct rf_sink_odbc *sink, bool to_write, struct rf_error *err) {
    double started = rf_clock_seconds();
    for (;;) {
        bool got;
        RF_TRY(try_file(sink, to_write, &got, err));
        if (got) return RF_OK;
        if (rf_cancel_requested(sink->cancel)) return rf_cancelled(err);
        if (rf_clock_seconds() - started >= sink->job->lock_timeout) return busy(sink, err->server_message, err);
        rf_cancel_wait(sink->cancel, POLL_MS);
    }
}

/* ---- control tables ---- */

/* The right to create is needed only where something is to be created. */
static enum rf_code see_to_schema(struct rf_sink_odbc *sink, const char *schema, struct rf_error *err) {
    struct rf_result rows;
    struct rf_job of_schema = *sink->job;
    struct rf_text find = {0}, create = {0};
    of_schema.target_schema = schema;
    rf_dialect_fill(sink->row, sink->row->schema_exists, &of_schema, &find);
    RF_TRY(rf_odbc_read(sink, "look for a schema", &find, &rows, err));
    if (rf_result_flag(&rows, 0, 0)) return RF_OK;
    rf_plain_create_schema(schema, &create);
    return rf_odbc_execute(sink, "create a schema", &create, NULL, err);
}

enum rf_code rf_odbc_create_control(struct rf_sink_odbc *sink, struct rf_error *err) {
    RF_TRY(look_for_control(sink, err));
    for (int table = 0; table < RF_PLAIN_CONTROL_TABLES && !sink->has_control; table++) {
        struct rf_text sql = {0};
        rf_plain_create_control(sink->row, sink->job, table, &sql);
        RF_TRY(rf_odbc_execute(sink, "create the control tables", &sql, NULL, err));
    }
    sink->has_control = true;
    return RF_OK;
}

static enum rf_code create_missing(struct rf_sink_odbc *sink, struct rf_error *err) {
    RF_TRY(see_to_schema(sink, sink->job->control_schema, err));
    if (sink->job->target_schema) RF_TRY(see_to_schema(sink, sink->job->target_schema, err));
    return rf_odbc_create_control(sink, err);
}

/* Someone else may create the same at this moment: what failed for that is there at the next look. */
static enum rf_code bootstrap(struct rf_sink_odbc *sink, struct rf_error *err) {
    for (int tries = 0;; tries++) {
        enum rf_code code = create_missing(sink, err);
        if (code == RF_OK || code == RF_AUTH || code == RF_CANCELLED || code == RF_NO_MEMORY || tries == BOOTSTRAP_TRIES) return code;
        rf_cancel_wait(sink->cancel, POLL_MS);
    }
}

static enum rf_code make_session(struct rf_sink_odbc *sink, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    RF_TRY(rf_odbc_uri_read(job->target, sink->arena, &sink->uri, err));
    sink->odbc = (struct rf_odbc){.uri = &sink->uri, .driver = job->driver, .connect_timeout_s = job->connect_timeout,
                                  .batch_bytes = (size_t)job->batch_bytes, .cancel = sink->cancel};
    sink->session = rf_session_over_odbc(&sink->odbc);
    return RF_OK;
}

/* A file is waited for, and held from, when the lease is taken. */
enum rf_code rf_odbc_open_target(void *self, bool prepare, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    RF_TRY(make_session(sink, err));
    if (sink->uri.path) return prepare ? RF_OK : rf_odbc_wait_for_file(sink, false, err);
    RF_TRY(rf_odbc_connect(sink, err));
    return prepare ? bootstrap(sink, err) : look(sink, err);
}

void rf_odbc_close_target(void *self) {
    struct rf_sink_odbc *sink = self;
    rf_ingest_drop(sink->ingest);
    sink->ingest = NULL;
    rf_lease_keeper_stop(sink->keeper);
    sink->keeper = NULL;
    if (sink->session.ops) sink->session.ops->close(sink->session.self);
    rf_file_let_go(sink->hold);
    sink->hold = NULL;
}

/* ---- state ---- */

enum rf_code rf_odbc_newest_load(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_text newest = {0}, run = {0};
    struct rf_result rows;
    *last = (struct rf_load){0};
    *total = (struct rf_run_total){0};
    if (!sink->has_control) return RF_OK;
    rf_plain_newest_load(sink->row, sink->job, &newest);
    RF_TRY(rf_odbc_read(sink, "read the newest load record", &newest, &rows, err));
    rf_target_fill_load(&rows, last);
    sink->has_loads = last->load_id > 0;
    if (!sink->job->source_label) return RF_OK;
    rf_plain_run_total(sink->row, sink->job, &run);
    RF_TRY(rf_odbc_read(sink, "read the run's earlier loads", &run, &rows, err));
    rf_target_fill_total(&rows, total);
    return RF_OK;
}

static enum rf_code find_load(struct rf_sink_odbc *sink, bool *found, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    rf_plain_find_load(sink->row, sink->job, sink->load_id, &sql);
    RF_TRY(rf_odbc_read(sink, "look the load up", &sql, &rows, err));
    *found = rf_result_integer(&rows, 0, 0) == 1;
    return RF_OK;
}

enum rf_code rf_odbc_add_record(struct rf_sink_odbc *sink, const struct rf_record *record, struct rf_error *err) {
    int64_t n_rows = 0;
    bool found = false;
    struct rf_text sql = {0};
    rf_plain_insert_load(sink->row, sink->job, record, &sql);
    RF_TRY(rf_odbc_execute(sink, "insert the load record", &sql, &n_rows, err));
    if (n_rows != 1) return rf_fail(err, RF_FENCED, "a newer load of %s is recorded; this one commits nothing", sink->job->target_label);
    RF_TRY(find_load(sink, &found, err));
    return found ? RF_OK : rf_fail(err, RF_INTERNAL, "the target took the load record and does not have it");
}

/* ---- commit ---- */

/* The old session may still be committing: it holds the lease's row until it has ended, so that row is locked first. */
static enum rf_code look_up(struct rf_sink_odbc *sink, bool *found, struct rf_error *err) {
    RF_TRY(rf_odbc_connect(sink, err));
    if (sink->row->file_is_lease) {
        RF_TRY(look_for_control(sink, err));
        return sink->has_control ? find_load(sink, found, err) : RF_OK;
    }
    struct rf_text lock = {0};
    struct rf_result rows;
    RF_TRY(sink->session.ops->begin(sink->session.self, err));
    rf_plain_fence(sink->row, sink->job, sink->load_id, &lock);
    RF_TRY(rf_odbc_read(sink, "wait for the earlier session", &lock, &rows, err));
    RF_TRY(find_load(sink, found, err));
    return sink->session.ops->rollback(sink->session.self, err);
}

static enum rf_outcome ask(void *self) {
    struct rf_sink_odbc *sink = self;
    struct rf_error ignored;
    bool found = false;
    sink->session.ops->close(sink->session.self);
    enum rf_code code = look_up(sink, &found, &ignored);
    if (code == RF_OK) return found ? RF_COMMITTED : RF_NOT_COMMITTED;
    if (code == RF_BUSY && !sink->row->file_is_lease) (void)rf_odbc_end_holder(sink, &ignored);
    return code == RF_NO_MEMORY ? RF_UNKNOWN : RF_ASK_AGAIN;
}

static enum rf_code resolve_doubt(struct rf_sink_odbc *sink, struct rf_error *err) {
    const struct rf_doubt doubt = {.cancel = sink->cancel, .label = sink->job->target_label, .load_id = sink->load_id, .ask = ask, .self = sink};
    sink->session.ops->stop_listening(sink->session.self); /* what was committed is found out, also behind a cancel */
    return rf_resolve_doubt(&doubt, err);
}

/* Readers of a SQLite file hold a commit up, and the transaction stays as it was. Behind a cancel they are waited for no longer
 * than a second. */
enum rf_code rf_odbc_commit_load(void *self, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    double started = rf_clock_seconds();
    for (int behind_cancel = 0;; behind_cancel += rf_cancel_requested(sink->cancel)) {
        enum rf_code code = sink->session.ops->commit(sink->session.self, err);
        if (code == RF_OK || !sink->odbc.past_cancel) return code;
        bool waits = code == RF_BUSY && sink->row->file_is_lease && rf_clock_seconds() - started < sink->job->lock_timeout;
        if (!waits || behind_cancel == RF_TRIES_BEHIND_CANCEL) return resolve_doubt(sink, err);
        rf_cancel_pause(sink->cancel, POLL_MS);
    }
}

/* ---- without a run ---- */

static void add_field(struct rf_text *json, const struct rf_load_column *column, const char *value) {
    if (!value) rf_json_null(json, column->name);
    else if (column->kind == RF_LOAD_INTEGER) rf_json_integer(json, column->name, strtoll(value, NULL, 10));
    else if (column->kind == RF_LOAD_FLAG) rf_json_flag(json, column->name, strcmp(value, "true") == 0);
    else if (column->kind == RF_LOAD_JSON) rf_json_whole(json, column->name, value);
    else rf_json_text(json, column->name, value);
}

static void add_loads(struct rf_text *json, const struct rf_result *rows) {
    rf_json_open(json, NULL, '{');
    rf_json_open(json, "loads", '[');
    for (int i = 0; i < rows->n_rows; i++) {
        rf_json_open(json, NULL, '{');
        for (int column = 0; column < RF_LOAD_COLUMNS; column++) add_field(json, &rf_load_columns[column], rf_result_cell(rows, i, column));
        rf_json_close(json, '}');
    }
    rf_json_close(json, ']');
    rf_json_close(json, '}');
}

enum rf_code rf_odbc_state(void *self, char **out, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_text sql = {0}, json = {0};
    struct rf_result rows = {0};
    RF_TRY(rf_odbc_open_target(sink, false, err));
    if (sink->has_control) {
        rf_plain_list_loads(sink->row, sink->job, &sql);
        RF_TRY(rf_odbc_read(sink, "list the load records", &sql, &rows, err));
    }
    add_loads(&json, &rows);
    *out = rf_json_take(&json);
    return *out ? RF_OK : rf_no_memory(err);
}

/* An insert commits by itself where no transaction is open: from here on its outcome is waited for. */
static enum rf_code commit_reset(struct rf_sink_odbc *sink, struct rf_observer observer, const struct rf_record *record, struct rf_error *err) {
    bool in_file = sink->row->file_is_lease;
    if (in_file) RF_TRY(rf_odbc_add_record(sink, record, err));
    if (observer.on_step) observer.on_step(observer.context, RF_STEP_COMMIT, 0, 0);
    if (in_file) return rf_odbc_commit_load(sink, err);
    if (rf_cancel_requested(sink->cancel)) return rf_fail(err, RF_CANCELLED, "the reset was cancelled");
    sink->odbc.past_cancel = true;
    return rf_odbc_add_record(sink, record, err);
}

enum rf_code rf_odbc_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    int64_t load_id;
    struct rf_record record;
    RF_TRY(rf_odbc_open_target(sink, true, err));
    RF_TRY(rf_odbc_take_lease(sink, &load_id, err));
    rf_record_reset(sink->job, load_id, &record);
    RF_TRY(rf_record_tell(load_id, json, err));
    return commit_reset(sink, observer, &record, err);
}

/* ---- doctor ---- */

enum rf_code rf_odbc_inspect(void *self, struct rf_text *json, struct rf_error *err) {
    struct rf_sink_odbc *sink = self;
    struct rf_result rows;
    RF_TRY(rf_odbc_open_target(sink, false, err));
    RF_TRY(rf_odbc_ask(sink, "ask for the account", sink->row->account, &rows, err));
    rf_json_open(json, NULL, '{');
    rf_json_text(json, "channel", "odbc");
    rf_json_text(json, "database", sink->row->name);
    rf_json_text(json, "current_user", rf_result_cell(&rows, 0, 0));
    rf_json_text(json, "version", rf_result_cell(&rows, 0, 1));
    rf_json_flag(json, "read_only", rf_result_flag(&rows, 0, 2));
    rf_json_integer(json, "control_tables", sink->has_control ? RF_PLAIN_CONTROL_TABLES : 0);
    rf_json_close(json, '}');
    return RF_OK;
}
