#include "drivers/duckdb.h"

#include "core/sql_duckdb.h"
#include "core/text.h"
#include "drivers/duckdb_abi.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The library's functions: what DuckDB calls back gets nothing that would lead to a table of a session's own. Written once. */
static struct rf_duckdb_api api;

struct database {
    duckdb_config config;
    duckdb_database handle;
    char *path;
};

/* The stream that a statement reads, as DuckDB's threads share it. */
struct rows {
    struct ArrowArrayStream stream; /* its release is NULL when there is none */
    duckdb_schema schema;
    duckdb_chunk first; /* taken ahead: its columns say the types; NULL once a thread has it */
    struct ArrowArray of_first; /* what it refers to */
    pthread_mutex_t mutex; /* for whoever takes from here while a statement runs */
};

/* What one thread has taken and not given on: the rows of a row group. */
struct group {
    duckdb_chunk first; /* before the arrays; or NULL */
    struct ArrowArray arrays[RF_DUCKDB_GROUP / RF_DUCKDB_VECTOR];
    int n, next;
};

struct session {
    duckdb_connection handle;
    bool by_hand; /* nothing is committed but by `commit` */
    bool in_transaction;
    struct rows rows;
};

struct statement {
    struct session *session;
    char *sql;
    duckdb_prepared prepared;
};

struct result {
    duckdb_result handle;
    duckdb_options options;
    char reason[512];
};

/* ---- errors ---- */

static char NO_MEMORY[] = "Out of Memory Error: this process got no more";

static void release_error(struct AdbcError *error) {
    if (error->message != NO_MEMORY) free(error->message);
    *error = (struct AdbcError){0};
}

static AdbcStatusCode no_memory(struct AdbcError *error) {
    error->message = NO_MEMORY;
    error->release = release_error;
    return ADBC_STATUS_IO;
}

/* There is a message in any case. */
static AdbcStatusCode refuse(struct AdbcError *error, const char *message) {
    char *copy = strdup(message && *message ? message : "DuckDB gave no reason");
    if (!copy) return no_memory(error);
    error->message = copy;
    error->release = release_error;
    return ADBC_STATUS_IO;
}

/* Ends what DuckDB said, if it said anything. */
static AdbcStatusCode judge(duckdb_said said, struct AdbcError *error) {
    if (!said) return ADBC_STATUS_OK;
    (void)refuse(error, api.error_data_message(said));
    api.destroy_error_data(&said);
    return ADBC_STATUS_IO;
}

/* ---- databases ---- */

static AdbcStatusCode new_database(struct AdbcDatabase *database, struct AdbcError *error) {
    struct database *made = calloc(1, sizeof *made);
    database->private_data = made;
    return made && api.create_config(&made->config) == DUCKDB_OK ? ADBC_STATUS_OK : no_memory(error);
}

static AdbcStatusCode set_database(struct AdbcDatabase *database, const char *name, const char *value, struct AdbcError *error) {
    struct database *made = database->private_data;
    struct rf_text message = {0};
    if (strcmp(name, "path") == 0) {
        made->path = strdup(value);
        return made->path ? ADBC_STATUS_OK : no_memory(error);
    }
    if (api.set_config(made->config, name, value) == DUCKDB_OK) return ADBC_STATUS_OK;
    rf_text_addf(&message, "Invalid Input Error: \"%s\" is no value of %s", value, name);
    AdbcStatusCode status = message.failed ? no_memory(error) : refuse(error, message.data);
    rf_text_free(&message);
    return status;
}

static AdbcStatusCode init_database(struct AdbcDatabase *database, struct AdbcError *error) {
    struct database *made = database->private_data;
    char *reason = NULL;
    if (api.open_ext(made->path, &made->handle, made->config, &reason) == DUCKDB_OK) return ADBC_STATUS_OK;
    (void)refuse(error, reason);
    if (reason) api.free(reason);
    return ADBC_STATUS_IO;
}

static AdbcStatusCode release_database(struct AdbcDatabase *database, struct AdbcError *error) {
    struct database *made = database->private_data;
    (void)error;
    if (made->handle) api.close(&made->handle);
    if (made->config) api.destroy_config(&made->config);
    free(made->path);
    free(made);
    database->private_data = NULL;
    return ADBC_STATUS_OK;
}

/* ---- rows that DuckDB takes ---- */

/* At the end the array is empty. One without rows is passed over: DuckDB would take its chunk for the end. */
static AdbcStatusCode next_array(struct rows *rows, struct ArrowArray *array, struct AdbcError *error) {
    *array = (struct ArrowArray){0};
    do {
        if (array->release) array->release(array);
        if (rows->stream.get_next(&rows->stream, array) != 0) return refuse(error, rows->stream.get_last_error(&rows->stream));
    } while (array->release && array->length == 0);
    return ADBC_STATUS_OK;
}

static void keep(struct ArrowArray *array) {
    array->release = NULL;
}

static void let_go(struct ArrowArray *array) {
    if (array->release) array->release(array);
    array->release = NULL;
}

/* The chunk refers to what the array holds, which stays ours: DuckDB gives the whole to its first column alone, and does not say
 * that it keeps it where it copies that one. */
static AdbcStatusCode make_chunk(struct session *session, const struct ArrowArray *array, duckdb_chunk *chunk, struct AdbcError *error) {
    struct ArrowArray lent = *array;
    lent.release = keep;
    return judge(api.data_chunk_from_arrow(session->handle, &lent, session->rows.schema, chunk), error);
}

static AdbcStatusCode begin_rows(struct session *session, struct ArrowArrayStream *stream, struct AdbcError *error) {
    struct rows *rows = &session->rows;
    struct ArrowSchema schema = {0};
    rows->stream = *stream;
    stream->release = NULL;
    if (rows->stream.get_schema(&rows->stream, &schema) != 0) return refuse(error, rows->stream.get_last_error(&rows->stream));
    AdbcStatusCode status = judge(api.schema_from_arrow(session->handle, &schema, &rows->schema), error);
    if (schema.release) schema.release(&schema);
    if (status == ADBC_STATUS_OK) status = next_array(rows, &rows->of_first, error);
    return status == ADBC_STATUS_OK && rows->of_first.release ? make_chunk(session, &rows->of_first, &rows->first, error) : status;
}

static void end_rows(struct session *session) {
    struct rows *rows = &session->rows;
    if (rows->first) api.destroy_data_chunk(&rows->first);
    let_go(&rows->of_first);
    if (rows->schema) api.destroy_arrow_converted_schema(&rows->schema);
    if (rows->stream.release) rows->stream.release(&rows->stream);
    rows->first = NULL;
    rows->schema = NULL;
    rows->stream.release = NULL;
}

/* A statement takes them by position: their names are for errors. */
static void bind_rows(duckdb_info info) {
    struct session *session = api.bind_get_extra_info(info);
    duckdb_chunk first = session->rows.first;
    if (!first) api.bind_set_error(info, "no rows are bound to this statement");
    for (uint64_t i = 0; first && i < api.data_chunk_get_column_count(first); i++) {
        char name[24];
        duckdb_type type = api.vector_get_column_type(api.data_chunk_get_vector(first, i));
        snprintf(name, sizeof name, "column %d", (int)i + 1);
        api.bind_add_result_column(info, name, type);
        api.destroy_logical_type(&type);
    }
}

static void limit_threads(duckdb_info info) {
    api.init_set_max_threads(info, RF_DUCKDB_TAKERS);
}

static void drop_group(void *made) {
    struct group *group = made;
    if (group->first) api.destroy_data_chunk(&group->first);
    for (int i = 0; i < group->n; i++) let_go(&group->arrays[i]);
    free(group);
}

static void begin_thread(duckdb_info info) {
    struct group *group = calloc(1, sizeof *group);
    if (group) api.init_set_init_data(info, group, drop_group);
    else api.init_set_error(info, "Out of Memory Error: this process got no more");
}

/* At least what the values take; texts and bytes have three buffers, of which the second says where each begins. */
static size_t bytes_of(const struct ArrowArray *array) {
    enum { FIXED = 16 };
    size_t n_bytes = (size_t)array->length * FIXED;
    const int32_t *begins = array->n_buffers == 3 ? array->buffers[1] : NULL;
    if (begins) n_bytes += (size_t)(begins[array->offset + array->length] - begins[array->offset]);
    for (int64_t i = 0; i < array->n_children; i++) n_bytes += bytes_of(array->children[i]);
    return n_bytes;
}

/* Until the group is whole, or large, or the rows have ended; other threads wait for their turn. */
static AdbcStatusCode fill_group(struct rows *rows, struct group *group, struct AdbcError *error) {
    enum { MOST = sizeof group->arrays / sizeof group->arrays[0], MOST_BYTES = 64 * 1024 * 1024 };
    group->n = group->next = 0;
    group->first = rows->first;
    rows->first = NULL;
    size_t n_bytes = 0;
    while (group->n + (group->first != NULL) < MOST && n_bytes < MOST_BYTES) {
        struct ArrowArray *array = &group->arrays[group->n];
        AdbcStatusCode status = next_array(rows, array, error);
        if (status != ADBC_STATUS_OK || !array->release) return status;
        n_bytes += bytes_of(array);
        group->n++;
    }
    return ADBC_STATUS_OK;
}

/* *chunk NULL: there are no more rows. Who asks has done with the chunk before. */
static AdbcStatusCode next_chunk(struct session *session, struct group *group, duckdb_chunk *chunk, struct AdbcError *error) {
    AdbcStatusCode status = ADBC_STATUS_OK;
    if (group->next > 0) let_go(&group->arrays[group->next - 1]);
    if (group->next == group->n) {
        pthread_mutex_lock(&session->rows.mutex);
        status = fill_group(&session->rows, group, error);
        pthread_mutex_unlock(&session->rows.mutex);
    }
    if (status != ADBC_STATUS_OK) return status;
    *chunk = group->first;
    group->first = NULL;
    return *chunk || group->next == group->n ? ADBC_STATUS_OK : make_chunk(session, &group->arrays[group->next++], chunk, error);
}

static void hand_over(duckdb_chunk from, duckdb_chunk to) {
    for (uint64_t i = 0; i < api.data_chunk_get_column_count(from); i++)
        api.vector_reference_vector(api.data_chunk_get_vector(to, i), api.data_chunk_get_vector(from, i));
    api.data_chunk_set_size(to, api.data_chunk_get_size(from));
}

/* A chunk without rows ends the thread's part. */
static void give_rows(duckdb_info info, duckdb_chunk out) {
    struct AdbcError error = {0};
    duckdb_chunk chunk = NULL;
    AdbcStatusCode status = next_chunk(api.function_get_extra_info(info), api.function_get_local_init_data(info), &chunk, &error);
    if (status != ADBC_STATUS_OK) {
        api.function_set_error(info, error.message);
        error.release(&error);
    } else if (!chunk) {
        api.data_chunk_set_size(out, 0);
    } else {
        hand_over(chunk, out);
        api.destroy_data_chunk(&chunk);
    }
}

static AdbcStatusCode register_rows(struct session *session, struct AdbcError *error) {
    duckdb_function function = api.create_table_function();
    if (!function) return no_memory(error);
    api.table_function_set_name(function, RF_DUCKDB_ROWS);
    api.table_function_set_extra_info(function, session, NULL);
    api.table_function_set_bind(function, bind_rows);
    api.table_function_set_init(function, limit_threads);
    api.table_function_set_local_init(function, begin_thread);
    api.table_function_set_function(function, give_rows);
    int status = api.register_table_function(session->handle, function);
    api.destroy_table_function(&function);
    return status == DUCKDB_OK ? ADBC_STATUS_OK : refuse(error, "INTERNAL Error: DuckDB does not take a table function");
}

/* ---- sessions ---- */

static AdbcStatusCode new_session(struct AdbcConnection *connection, struct AdbcError *error) {
    struct session *made = calloc(1, sizeof *made);
    connection->private_data = made;
    if (!made) return no_memory(error);
    pthread_mutex_init(&made->rows.mutex, NULL);
    return ADBC_STATUS_OK;
}

static AdbcStatusCode init_session(struct AdbcConnection *connection, struct AdbcDatabase *database, struct AdbcError *error) {
    struct session *session = connection->private_data;
    const struct database *made = database->private_data;
    if (api.connect(made->handle, &session->handle) != DUCKDB_OK) return no_memory(error);
    return register_rows(session, error);
}

static AdbcStatusCode release_session(struct AdbcConnection *connection, struct AdbcError *error) {
    struct session *session = connection->private_data;
    (void)error;
    if (session->handle) api.disconnect(&session->handle);
    pthread_mutex_destroy(&session->rows.mutex);
    free(session);
    connection->private_data = NULL;
    return ADBC_STATUS_OK;
}

static AdbcStatusCode interrupt_session(struct AdbcConnection *connection, struct AdbcError *error) {
    const struct session *session = connection->private_data;
    (void)error;
    api.interrupt(session->handle);
    return ADBC_STATUS_OK;
}

/* ---- statements ---- */

static AdbcStatusCode new_statement(struct AdbcConnection *connection, struct AdbcStatement *statement, struct AdbcError *error) {
    struct statement *made = calloc(1, sizeof *made);
    statement->private_data = made;
    if (!made) return no_memory(error);
    made->session = connection->private_data;
    return ADBC_STATUS_OK;
}

static AdbcStatusCode release_statement(struct AdbcStatement *statement, struct AdbcError *error) {
    struct statement *made = statement->private_data;
    (void)error;
    if (made->prepared) api.destroy_prepare(&made->prepared);
    end_rows(made->session);
    free(made->sql);
    free(made);
    statement->private_data = NULL;
    return ADBC_STATUS_OK;
}

static AdbcStatusCode set_sql(struct AdbcStatement *statement, const char *sql, struct AdbcError *error) {
    struct statement *made = statement->private_data;
    free(made->sql);
    made->sql = strdup(sql);
    return made->sql ? ADBC_STATUS_OK : no_memory(error);
}

static AdbcStatusCode bind_stream(struct AdbcStatement *statement, struct ArrowArrayStream *stream, struct AdbcError *error) {
    struct statement *made = statement->private_data;
    return begin_rows(made->session, stream, error);
}

/* ---- results ---- */

static void name_columns(struct result *result, uint64_t n, duckdb_type *types, const char **names) {
    for (uint64_t i = 0; i < n; i++) {
        types[i] = api.column_logical_type(&result->handle, i);
        names[i] = api.column_name(&result->handle, i);
    }
}

static int keep_reason(struct result *result, struct AdbcError *error) {
    rf_copy_text(result->reason, sizeof result->reason, error->message);
    error->release(error);
    return EIO;
}

static int give_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    struct result *result = stream->private_data;
    struct AdbcError error = {0};
    uint64_t n = api.column_count(&result->handle);
    duckdb_type *types = calloc((size_t)n + 1, sizeof *types);
    const char **names = calloc((size_t)n + 1, sizeof *names);
    bool made = types && names;
    if (made) name_columns(result, n, types, names);
    AdbcStatusCode status = made ? judge(api.to_arrow_schema(result->options, types, names, n, out), &error) : no_memory(&error);
    for (uint64_t i = 0; made && i < n; i++) api.destroy_logical_type(&types[i]);
    free(types);
    free(names);
    return status == ADBC_STATUS_OK ? 0 : keep_reason(result, &error);
}

/* A result that is made while it is read says only now that it could not be. */
static int end_of_result(struct result *result) {
    const char *reason = api.result_error(&result->handle);
    if (!reason || !*reason) return 0;
    rf_copy_text(result->reason, sizeof result->reason, reason);
    return EIO;
}

static int give_array(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct result *result = stream->private_data;
    struct AdbcError error = {0};
    *out = (struct ArrowArray){0};
    duckdb_chunk chunk = api.fetch_chunk(result->handle);
    if (!chunk) return end_of_result(result);
    AdbcStatusCode status = judge(api.data_chunk_to_arrow(result->options, chunk, out), &error);
    api.destroy_data_chunk(&chunk);
    return status == ADBC_STATUS_OK ? 0 : keep_reason(result, &error);
}

static const char *give_reason(struct ArrowArrayStream *stream) {
    const struct result *result = stream->private_data;
    return result->reason;
}

static void release_result(struct ArrowArrayStream *stream) {
    struct result *result = stream->private_data;
    api.destroy_arrow_options(&result->options);
    api.destroy_result(&result->handle);
    free(result);
    stream->release = NULL;
}

static AdbcStatusCode give_result(duckdb_result *handle, struct ArrowArrayStream *stream, struct AdbcError *error) {
    struct result *result = calloc(1, sizeof *result);
    if (!result) {
        api.destroy_result(handle);
        return no_memory(error);
    }
    result->handle = *handle;
    result->options = api.result_get_arrow_options(&result->handle);
    *stream = (struct ArrowArrayStream){.get_schema = give_schema, .get_next = give_array, .get_last_error = give_reason,
                                        .release = release_result, .private_data = result};
    return ADBC_STATUS_OK;
}

/* ---- transactions ---- */

static AdbcStatusCode run(struct session *session, const char *sql, struct AdbcError *error) {
    duckdb_result result = {0};
    int status = api.query(session->handle, sql, &result);
    if (status != DUCKDB_OK) (void)refuse(error, api.result_error(&result));
    api.destroy_result(&result);
    return status == DUCKDB_OK ? ADBC_STATUS_OK : ADBC_STATUS_IO;
}

static AdbcStatusCode set_session(struct AdbcConnection *connection, const char *name, const char *value, struct AdbcError *error) {
    struct session *session = connection->private_data;
    if (strcmp(name, "adbc.connection.autocommit") != 0) return refuse(error, "Invalid Input Error: there is no such option");
    session->by_hand = strcmp(value, "false") == 0;
    return ADBC_STATUS_OK;
}

static AdbcStatusCode begin(struct session *session, struct AdbcError *error) {
    if (!session->by_hand || session->in_transaction) return ADBC_STATUS_OK;
    AdbcStatusCode status = run(session, "BEGIN", error);
    session->in_transaction = status == ADBC_STATUS_OK;
    return status;
}

/* Whether or not it succeeds, the transaction is over. */
static AdbcStatusCode end(struct AdbcConnection *connection, const char *sql, struct AdbcError *error) {
    struct session *session = connection->private_data;
    bool was_open = session->in_transaction;
    session->in_transaction = false;
    return was_open ? run(session, sql, error) : ADBC_STATUS_OK;
}

static AdbcStatusCode commit(struct AdbcConnection *connection, struct AdbcError *error) {
    return end(connection, "COMMIT", error);
}

static AdbcStatusCode rollback(struct AdbcConnection *connection, struct AdbcError *error) {
    return end(connection, "ROLLBACK", error);
}

/* ---- executing ---- */

/* What a SELECT finds is made while it is read, whatever it comes to; other statements have done all that they do. */
static AdbcStatusCode run_prepared(const struct statement *made, struct ArrowArrayStream *stream, int64_t *n_changed, struct AdbcError *error) {
    duckdb_result result = {0};
    bool gives = stream && api.prepared_statement_type(made->prepared) == DUCKDB_STATEMENT_SELECT;
    int status = gives ? api.execute_prepared_streaming(made->prepared, &result) : api.execute_prepared(made->prepared, &result);
    if (status == DUCKDB_OK && gives) return give_result(&result, stream, error);
    if (status == DUCKDB_OK && n_changed) *n_changed = (int64_t)api.rows_changed(&result);
    if (status != DUCKDB_OK) (void)refuse(error, api.result_error(&result));
    api.destroy_result(&result);
    return status == DUCKDB_OK ? ADBC_STATUS_OK : ADBC_STATUS_IO;
}

static AdbcStatusCode execute(struct AdbcStatement *statement, struct ArrowArrayStream *stream, int64_t *n_changed, struct AdbcError *error) {
    struct statement *made = statement->private_data;
    struct session *session = made->session;
    if (n_changed) *n_changed = 0;
    if (session->rows.stream.release && !session->rows.first) return ADBC_STATUS_OK; /* it brings no rows */
    AdbcStatusCode status = begin(session, error);
    if (status != ADBC_STATUS_OK) return status;
    if (api.prepare(session->handle, made->sql, &made->prepared) != DUCKDB_OK) return refuse(error, api.prepare_error(made->prepared));
    return run_prepared(made, stream, n_changed, error);
}

/* ---- loading ---- */

static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;
static void *loaded; /* the library; under the mutex */

static enum rf_code load(const char *library, struct rf_error *err) {
    struct rf_duckdb_api found;
    void *handle;
    RF_TRY(rf_duckdb_find(library, &found, &handle, err));
    if (loaded && handle != loaded) return rf_fail(err, RF_CONFIG, "%s is another DuckDB than the one this process has loaded", library);
    if (!loaded) api = found;
    loaded = handle;
    return RF_OK;
}

enum rf_code rf_duckdb_load(struct rf_adbc *adbc, const char *library, struct rf_error *err) {
    pthread_mutex_lock(&loading);
    enum rf_code code = load(library, err);
    pthread_mutex_unlock(&loading);
    adbc->driver = (struct AdbcDriver){
        .DatabaseNew = new_database, .DatabaseSetOption = set_database, .DatabaseInit = init_database, .DatabaseRelease = release_database,
        .ConnectionNew = new_session, .ConnectionInit = init_session, .ConnectionSetOption = set_session, .ConnectionRelease = release_session,
        .ConnectionCommit = commit, .ConnectionRollback = rollback, .ConnectionCancel = interrupt_session,
        .StatementNew = new_statement, .StatementRelease = release_statement, .StatementSetSqlQuery = set_sql,
        .StatementBindStream = bind_stream, .StatementExecuteQuery = execute};
    adbc->is_loaded = code == RF_OK;
    return code;
}
