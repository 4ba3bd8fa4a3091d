/* The file of a DuckDB target and the load records in it: waiting for it, reading them, adding one.
 *
 * The lock on the file is the lease: whoever has the file open to write is alone in it, in whatever process, until it closes
 * the file or dies. So there is no table of leases, and a load that was not committed leaves no trace.
 */
#include "core/clock.h"
#include "core/json.h"
#include "core/sql_duckdb.h"
#include "core/timestamp.h"
#include "drivers/doubt.h"
#include "drivers/duckdb.h"
#include "drivers/sink_adbc.h"
#include "drivers/target.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { POLL_MS = 100 };

/* DuckDB's own default is most of the machine. 10^7 rows of 14 columns came to 1.25 GB under this limit, and to 0.65 GB under
 * one of 512 MB in no more time; what must fit is the index of the key, which is held in memory. */
static const char MEMORY_LIMIT[] = "2GB";

/* ---- opening ---- */

static enum rf_code load_driver(struct rf_sink_duckdb *sink, struct rf_error *err) {
    RF_TRY(rf_duckdb_uri_read(sink->job->target, sink->arena, &sink->uri, err));
    if (sink->job->driver) return rf_duckdb_load(&sink->adbc, sink->job->driver, err);
    rf_fail(err, RF_CONFIG, "the target is a DuckDB file, and the job does not say where DuckDB's library is");
    return rf_hint(err, "pip install 'rowferry[duckdb]'; or name the library in \"driver\".");
}

/* To give a new file its name when it is whole: of one whose making was interrupted DuckDB would say ever after that it
 * cannot be read. Another process may be first. */
static enum rf_code name_file(const char *made, const char *path, struct rf_error *err) {
    bool named = link(made, path) == 0 || errno == EEXIST;
    int why = errno;
    unlink(made);
    return named ? RF_OK : rf_fail(err, RF_TARGET, "%s cannot be made: %s", path, strerror(why));
}

static enum rf_code make_file(struct rf_sink_duckdb *sink, struct rf_error *err) {
    struct rf_text made = {0};
    rf_text_addf(&made, "%s.new%ld", sink->uri.path, (long)getpid());
    enum rf_code code = rf_text_check(&made, err);
    if (code == RF_OK) {
        struct rf_adbc_option path = {"path", made.data};
        unlink(made.data); /* of a process of that number which was killed */
        code = rf_adbc_open(&sink->adbc, &path, 1, sink->cancel, err);
        rf_adbc_close(&sink->adbc);
    }
    if (code == RF_OK) code = name_file(made.data, sink->uri.path, err);
    rf_text_free(&made);
    return code;
}

/* A file that is not there is looked at as an empty database, and not made. */
static enum rf_code open_file(struct rf_sink_duckdb *sink, bool to_write, struct rf_error *err) {
    bool missing = access(sink->uri.path, F_OK) != 0;
    if (missing && to_write) RF_TRY(make_file(sink, err));
    struct rf_adbc_option options[6] = {
        {"path", missing && !to_write ? ":memory:" : sink->uri.path},
        {"memory_limit", sink->uri.memory_limit ? sink->uri.memory_limit : MEMORY_LIMIT},
        {"preserve_insertion_order", "false"},  /* or one thread would take all rows */
        {"write_buffer_row_group_count", "1"}, /* of five that wait to be compressed, the last ones wait for one thread at the end */
    };
    int n = 4;
    if (!to_write && !missing) options[n++] = (struct rf_adbc_option){"access_mode", "read_only"};
    if (sink->uri.threads) options[n++] = (struct rf_adbc_option){"threads", sink->uri.threads};
    RF_TRY(rf_adbc_open(&sink->adbc, options, n, sink->cancel, err));
    struct rf_text zone = {0};
    rf_text_add(&zone, RF_DUCKDB_SET_ZONE);
    return rf_adbc_execute(&sink->adbc, "set the time zone", &zone, NULL, err);
}

static enum rf_code busy(const struct rf_sink_duckdb *sink, const char *holder, struct rf_error *err) {
    char by[512];
    rf_copy_text(by, sizeof by, *holder ? holder : "another session of this process");
    rf_fail(err, RF_BUSY, "%s was not free within %g s: %s", sink->uri.path, sink->job->lock_timeout, by);
    return rf_hint(err, "Only one process at a time may have a DuckDB file open to write. Wait for that one, close it, or raise lock_timeout.");
}

/* Takes the file if nobody has it open. */
static enum rf_code try_file(struct rf_sink_duckdb *sink, bool to_write, bool *got, struct rf_error *err) {
    *got = false;
    *err = (struct rf_error){0};
    if (!sink->hold) RF_TRY(rf_file_try(sink->uri.path, &sink->hold, err));
    if (!sink->hold) return RF_OK;
    enum rf_code code = open_file(sink, to_write, err);
    *got = code == RF_OK;
    return code != RF_OK && rf_adbc_is_held(err) ? RF_OK : code;
}

static enum rf_code wait_for_file(struct rf_sink_duckdb *sink, bool to_write, struct rf_error *err) {
    double started = rf_clock_seconds();
    for (;;) {
        bool got;
        RF_TRY(try_file(sink, to_write, &got, err));
        if (got) return RF_OK;
        if (rf_cancel_requested(sink->cancel)) return rf_cancelled(err);
        if (rf_clock_seconds() - started >= sink->job->lock_timeout) {
            const char *holder = strstr(err->server_message, "Conflicting lock");
            return busy(sink, holder ? holder : err->server_message, err);
        }
        rf_cancel_wait(sink->cancel, POLL_MS);
    }
}

enum rf_code rf_duckdb_read_texts(struct rf_sink_duckdb *sink, const char *role, struct rf_text *sql, struct rf_result *rows, struct rf_error *err) {
    struct rf_text texts = {0};
    rf_text_add(&texts, "SELECT COLUMNS(*)::VARCHAR FROM (");
    rf_text_add(&texts, sql->data ? sql->data : "");
    rf_text_add(&texts, ")");
    texts.failed |= sql->failed;
    rf_text_free(sql);
    return rf_adbc_read(&sink->adbc, role, &texts, sink->arena, rows, err);
}

static enum rf_code look_for_control(struct rf_sink_duckdb *sink, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    rf_duckdb_control_exists(sink->job, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "look for the control tables", &sql, sink->arena, &rows, err));
    sink->has_control = rf_result_flag(&rows, 0, 0);
    return RF_OK;
}

enum rf_code rf_duckdb_open_target(void *self, bool prepare, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    RF_TRY(load_driver(sink, err));
    if (prepare) return RF_OK;
    RF_TRY(wait_for_file(sink, false, err));
    return look_for_control(sink, err);
}

void rf_duckdb_close_target(void *self) {
    struct rf_sink_duckdb *sink = self;
    rf_ingest_drop(sink->ingest);
    sink->ingest = NULL;
    rf_scan_drop(&sink->scan);
    if (sink->adbc.is_loaded) rf_adbc_close(&sink->adbc);
    rf_file_let_go(sink->hold);
    sink->hold = NULL;
}

/* ---- the lease ---- */

static enum rf_code create_control(struct rf_sink_duckdb *sink, struct rf_error *err) {
    const struct rf_job *job = sink->job;
    struct rf_text schema = {0}, target = {0}, table = {0};
    rf_duckdb_create_schema(job->control_schema, &schema);
    RF_TRY(rf_adbc_execute(&sink->adbc, "create a schema", &schema, NULL, err));
    rf_duckdb_create_schema(job->target_schema, &target);
    RF_TRY(rf_adbc_execute(&sink->adbc, "create a schema", &target, NULL, err));
    rf_duckdb_create_control(job, &table);
    RF_TRY(rf_adbc_execute(&sink->adbc, "create the control tables", &table, NULL, err));
    sink->has_control = true;
    return RF_OK;
}

enum rf_code rf_duckdb_take_lease(void *self, int64_t *load_id, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    RF_TRY(wait_for_file(sink, true, err));
    RF_TRY(create_control(sink, err));
    rf_duckdb_next_load_id(sink->job, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "give out the load id", &sql, sink->arena, &rows, err));
    *load_id = sink->load_id = rf_result_integer(&rows, 0, 0);
    return sink->load_id > 0 ? RF_OK : rf_fail(err, RF_INTERNAL, "the target gave no load id");
}

/* ---- state ---- */

enum rf_code rf_duckdb_newest(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text newest = {0}, run = {0};
    struct rf_result rows;
    *last = (struct rf_load){0};
    *total = (struct rf_run_total){0};
    if (!sink->has_control) return RF_OK;
    rf_duckdb_newest_load(sink->job, &newest);
    RF_TRY(rf_adbc_read(&sink->adbc, "read the newest load record", &newest, sink->arena, &rows, err));
    rf_target_fill_load(&rows, last);
    if (!sink->job->source_label) return RF_OK;
    rf_duckdb_run_total(sink->job, &run);
    RF_TRY(rf_adbc_read(&sink->adbc, "read the run's earlier loads", &run, sink->arena, &rows, err));
    rf_target_fill_total(&rows, total);
    return RF_OK;
}

static void print_now(char text[RF_TIMESTAMP_BYTES]) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    rf_write_timestamp(text, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
}

enum rf_code rf_duckdb_add_record(struct rf_sink_duckdb *sink, const struct rf_record *record, struct rf_error *err) {
    char now[RF_TIMESTAMP_BYTES];
    int64_t n_rows = 0;
    struct rf_text sql = {0}, find = {0};
    struct rf_result rows;
    print_now(now);
    rf_duckdb_insert_load(sink->job, record, now, &sql);
    RF_TRY(rf_adbc_execute(&sink->adbc, "insert the load record", &sql, &n_rows, err));
    if (n_rows != 1) return rf_fail(err, RF_FENCED, "a newer load of %s is recorded; this one commits nothing", sink->job->target_label);
    rf_duckdb_find_load(sink->job, sink->load_id, &find);
    RF_TRY(rf_adbc_read(&sink->adbc, "look at the load record", &find, sink->arena, &rows, err));
    return rf_result_flag(&rows, 0, 0) ? RF_OK : rf_fail(err, RF_INTERNAL, "the target took the load record and does not have it");
}

/* ---- commit ---- */

static enum rf_code look_up(struct rf_sink_duckdb *sink, bool *found, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    struct rf_cancel *cancel = sink->cancel;
    sink->cancel = NULL; /* the outcome is waited for, also behind a cancel */
    enum rf_code code = open_file(sink, false, err);
    sink->cancel = cancel;
    RF_TRY(code);
    RF_TRY(look_for_control(sink, err));
    if (!sink->has_control) return RF_OK;
    rf_duckdb_find_load(sink->job, sink->load_id, &sql);
    RF_TRY(rf_adbc_read(&sink->adbc, "look the load up", &sql, sink->arena, &rows, err));
    *found = rf_result_flag(&rows, 0, 0);
    return RF_OK;
}

static enum rf_outcome ask(void *self) {
    struct rf_sink_duckdb *sink = self;
    struct rf_error why;
    bool found = false;
    rf_adbc_close(&sink->adbc);
    enum rf_code code = look_up(sink, &found, &why);
    if (code == RF_OK) return found ? RF_COMMITTED : RF_NOT_COMMITTED;
    return rf_adbc_is_held(&why) ? RF_ASK_AGAIN : RF_UNKNOWN;
}

/* A commit that fails while it writes may have been written: what the file says when it is opened again is what holds.
 * This process holds the file all the while. */
static enum rf_code resolve_doubt(struct rf_sink_duckdb *sink, struct rf_error *err) {
    const struct rf_doubt doubt = {.cancel = sink->cancel, .label = sink->job->target_label, .load_id = sink->load_id, .ask = ask, .self = sink};
    return rf_resolve_doubt(&doubt, err);
}

enum rf_code rf_duckdb_commit(void *self, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    enum rf_code code = rf_adbc_commit(&sink->adbc, err);
    return code == RF_OK || !sink->adbc.past_cancel ? code : resolve_doubt(sink, err);
}

/* ---- without a run ---- */

enum rf_code rf_duckdb_state(void *self, char **json, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    struct rf_text sql = {0};
    struct rf_result rows;
    const char *found = "{\"loads\":[]}";
    RF_TRY(rf_duckdb_open_target(sink, false, err));
    if (sink->has_control) {
        rf_duckdb_list_loads(sink->job, &sql);
        RF_TRY(rf_adbc_read(&sink->adbc, "list the load records", &sql, sink->arena, &rows, err));
        if (rf_result_cell(&rows, 0, 0)) found = rf_result_cell(&rows, 0, 0);
    }
    *json = strdup(found);
    return *json ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_duckdb_reset(void *self, struct rf_observer observer, char **json, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    int64_t load_id;
    struct rf_record record;
    RF_TRY(rf_duckdb_open_target(sink, true, err));
    RF_TRY(rf_duckdb_take_lease(sink, &load_id, err));
    rf_record_reset(sink->job, load_id, &record);
    RF_TRY(rf_duckdb_add_record(sink, &record, err));
    RF_TRY(rf_record_tell(load_id, json, err));
    if (observer.on_step) observer.on_step(observer.context, RF_STEP_COMMIT, 0, 0);
    return rf_duckdb_commit(sink, err);
}

/* ---- doctor ---- */

/* Opens the file as a later run would, but to read, and without waiting for it. What is said of one that cannot be opened is a fact;
 * whose it is, the lock's holder says. */
static enum rf_code look_at_file(struct rf_sink_duckdb *sink, struct rf_text *json, struct rf_error *err) {
    bool got = false;
    enum rf_code code = try_file(sink, false, &got, err);
    if (code == RF_CANCELLED || code == RF_NO_MEMORY) return code;
    const char *held = strstr(err->server_message, "Conflicting lock"), *said = *err->server_message ? err->server_message : err->message;
    if (got) RF_TRY(look_for_control(sink, err));
    if (got) rf_json_flag(json, "control_tables", sink->has_control);
    else rf_json_null(json, "control_tables");
    if (code == RF_OK && !got) rf_json_text(json, "held_by", held ? held : "another session of this process");
    else rf_json_null(json, "held_by");
    if (code != RF_OK) rf_json_text(json, "refused", said);
    else rf_json_null(json, "refused");
    return RF_OK;
}

/* Of DuckDB itself, of which no file is needed to ask. */
static enum rf_code look_at_library(struct rf_sink_duckdb *sink, struct rf_text *json, struct rf_error *err) {
    struct rf_text sql = {0};
    struct rf_result rows;
    const char *path = sink->uri.path;
    sink->uri.path = ":memory:";
    enum rf_code code = open_file(sink, false, err);
    sink->uri.path = path;
    rf_text_add(&sql, RF_DUCKDB_LIBRARY);
    if (code == RF_OK) code = rf_adbc_read(&sink->adbc, "ask for the version", &sql, sink->arena, &rows, err);
    else rf_text_free(&sql);
    rf_adbc_close(&sink->adbc);
    if (code != RF_OK) return code;
    rf_json_text(json, "version", rf_result_cell(&rows, 0, 0));
    rf_json_text(json, "memory_limit", rf_result_cell(&rows, 0, 1));
    rf_json_text(json, "threads", rf_result_cell(&rows, 0, 2));
    return RF_OK;
}

static void look_at_folder(const char *path, struct rf_text *json) {
    char folder[PATH_MAX];
    struct stat file;
    struct statvfs disk;
    rf_copy_text(folder, sizeof folder, path);
    *(strrchr(folder, '/') + (strrchr(folder, '/') == folder)) = '\0';
    bool exists = stat(path, &file) == 0, shows = statvfs(folder, &disk) == 0;
    rf_json_text(json, "path", path);
    rf_json_flag(json, "exists", exists);
    rf_json_integer(json, "bytes", exists ? (int64_t)file.st_size : 0);
    rf_json_flag(json, "writable", access(folder, W_OK | X_OK) == 0 && (!exists || access(path, R_OK | W_OK) == 0));
    if (shows) rf_json_integer(json, "free_bytes", (int64_t)(disk.f_bavail * disk.f_frsize));
    else rf_json_null(json, "free_bytes");
}

enum rf_code rf_duckdb_inspect(void *self, struct rf_text *json, struct rf_error *err) {
    struct rf_sink_duckdb *sink = self;
    RF_TRY(load_driver(sink, err));
    rf_json_open(json, NULL, '{');
    rf_json_text(json, "channel", "adbc");
    rf_json_text(json, "database", "DuckDB");
    look_at_folder(sink->uri.path, json);
    RF_TRY(look_at_library(sink, json, err));
    RF_TRY(look_at_file(sink, json, err));
    rf_json_close(json, '}');
    return RF_OK;
}
