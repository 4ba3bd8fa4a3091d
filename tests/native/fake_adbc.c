#include "fake_adbc.h"

#include "text_arrays.h"
#include "units.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fake_adbc *fake_adbc;

void answer(struct fake_adbc *fake, const char *part, const char *rows) {
    assert_true(fake->n_answers < MOST_ANSWERS);
    fake->answers[fake->n_answers++] = (struct fake_answer){.part = part, .rows = rows, .n_changed = -1};
}

void answer_by(struct fake_adbc *fake, const char *part, const char *(*tell)(const char *sql)) {
    assert_true(fake->n_answers < MOST_ANSWERS);
    fake->answers[fake->n_answers++] = (struct fake_answer){.part = part, .tell = tell, .n_changed = 1};
}

void answer_changed(struct fake_adbc *fake, const char *part, int64_t n_changed) {
    assert_true(fake->n_answers < MOST_ANSWERS);
    fake->answers[fake->n_answers++] = (struct fake_answer){.part = part, .n_changed = n_changed};
}

/* ---- failing --------------------------------------------------------------------------------------------- */

static void release_error(struct AdbcError *error) {
    free(error->message);
    error->release = NULL;
    atomic_fetch_sub(&fake_adbc->n_alive, 1);
}

static AdbcStatusCode refuse(struct AdbcError *error, const char *message) {
    assert_non_null(error);
    error->message = strdup(message);
    error->release = release_error;
    atomic_fetch_add(&fake_adbc->n_alive, 1);
    return 9;
}

static AdbcStatusCode called(struct AdbcError *error) {
    bool fails = atomic_fetch_add(&fake_adbc->n_calls, 1) + 1 == fake_adbc->fail_nth;
    return fails ? refuse(error, fake_adbc->fail_message ? fake_adbc->fail_message : "it was told to fail\nhere") : ADBC_STATUS_OK;
}

static void note(const char *statement) {
    size_t used = strlen(fake_adbc->statements);
    snprintf(fake_adbc->statements + used, STATEMENTS_BYTES - used, "%s\n", statement);
}

/* ---- databases, sessions, statements ------------------------------------------------------------------------ */

struct fake_statement {
    char sql[8192];
    struct ArrowArrayStream stream;
};

static AdbcStatusCode make(void **data, size_t n_bytes, struct AdbcError *error) {
    AdbcStatusCode status = called(error);
    if (status != ADBC_STATUS_OK) return status;
    *data = calloc(1, n_bytes);
    atomic_fetch_add(&fake_adbc->n_alive, 1);
    return ADBC_STATUS_OK;
}

static AdbcStatusCode drop(void **data) {
    free(*data);
    *data = NULL;
    atomic_fetch_sub(&fake_adbc->n_alive, 1);
    return ADBC_STATUS_OK;
}

static AdbcStatusCode new_database(struct AdbcDatabase *database, struct AdbcError *error) {
    return make(&database->private_data, 1, error);
}

static AdbcStatusCode set_database(struct AdbcDatabase *database, const char *name, const char *value, struct AdbcError *error) {
    size_t used = strlen(fake_adbc->options);
    assert_non_null(database->private_data);
    snprintf(fake_adbc->options + used, sizeof fake_adbc->options - used, "%s=%s ", name, value);
    return called(error);
}

static AdbcStatusCode init_database(struct AdbcDatabase *database, struct AdbcError *error) {
    assert_non_null(database->private_data);
    return called(error);
}

static AdbcStatusCode release_database(struct AdbcDatabase *database, struct AdbcError *error) {
    (void)error;
    return drop(&database->private_data);
}

static AdbcStatusCode new_connection(struct AdbcConnection *connection, struct AdbcError *error) {
    return make(&connection->private_data, 1, error);
}

static AdbcStatusCode init_connection(struct AdbcConnection *connection, struct AdbcDatabase *database, struct AdbcError *error) {
    assert_true(connection->private_data && database->private_data);
    fake_adbc->autocommits = false;
    return called(error);
}

static AdbcStatusCode set_connection(struct AdbcConnection *connection, const char *name, const char *value, struct AdbcError *error) {
    assert_non_null(connection->private_data);
    assert_string_equal(name, "adbc.connection.autocommit");
    if (strcmp(value, fake_adbc->autocommits ? "false" : "true") == 0) note(fake_adbc->autocommits ? "(begin)" : "(autocommit)");
    fake_adbc->autocommits = strcmp(value, "true") == 0;
    return called(error);
}

static AdbcStatusCode release_connection(struct AdbcConnection *connection, struct AdbcError *error) {
    (void)error;
    return drop(&connection->private_data);
}

static AdbcStatusCode commit(struct AdbcConnection *connection, struct AdbcError *error) {
    assert_non_null(connection->private_data);
    AdbcStatusCode status = called(error);
    fake_adbc->n_calls_to_commit = atomic_load(&fake_adbc->n_calls);
    if (status == ADBC_STATUS_OK || fake_adbc->loses_answers) fake_adbc->committed = true;
    if (status == ADBC_STATUS_OK) note("(commit)");
    return status;
}

static AdbcStatusCode rollback(struct AdbcConnection *connection, struct AdbcError *error) {
    (void)error;
    assert_non_null(connection->private_data);
    fake_adbc->rolled_back = true;
    note("(roll back)");
    return ADBC_STATUS_OK;
}

static AdbcStatusCode interrupt(struct AdbcConnection *connection, struct AdbcError *error) {
    (void)error;
    assert_non_null(connection->private_data);
    atomic_store(&fake_adbc->is_interrupted, true);
    return ADBC_STATUS_OK;
}

static AdbcStatusCode new_statement(struct AdbcConnection *connection, struct AdbcStatement *statement, struct AdbcError *error) {
    assert_non_null(connection->private_data);
    return make(&statement->private_data, sizeof(struct fake_statement), error);
}

static AdbcStatusCode release_statement(struct AdbcStatement *statement, struct AdbcError *error) {
    struct fake_statement *fake = statement->private_data;
    (void)error;
    if (fake->stream.release) fake->stream.release(&fake->stream);
    return drop(&statement->private_data);
}

static AdbcStatusCode set_sql(struct AdbcStatement *statement, const char *sql, struct AdbcError *error) {
    struct fake_statement *fake = statement->private_data;
    snprintf(fake->sql, sizeof fake->sql, "%s", sql);
    note(sql);
    return called(error);
}

static AdbcStatusCode bind_stream(struct AdbcStatement *statement, struct ArrowArrayStream *stream, struct AdbcError *error) {
    struct fake_statement *fake = statement->private_data;
    AdbcStatusCode status = called(error);
    if (status != ADBC_STATUS_OK) return status;
    fake->stream = *stream;
    stream->release = NULL;
    return ADBC_STATUS_OK;
}

/* ---- results ------------------------------------------------------------------------------------------------ */

/* One array of all rows. */
struct fake_result {
    const char *rows;
    bool given;
};

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    const struct fake_result *result = stream->private_data;
    struct AdbcError error = {0};
    if (called(&error) != ADBC_STATUS_OK) {
        error.release(&error);
        return EIO;
    }
    make_text_schema(result->rows, fake_adbc->format ? fake_adbc->format : "u", out);
    return 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct fake_result *result = stream->private_data;
    struct AdbcError error = {0};
    *out = (struct ArrowArray){0};
    if (called(&error) != ADBC_STATUS_OK) {
        error.release(&error);
        return EIO;
    }
    if (!result->given) make_text_array(result->rows, &fake_adbc->n_alive, out);
    result->given = true;
    return 0;
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    (void)stream;
    return "the result broke off";
}

static void release_result(struct ArrowArrayStream *stream) {
    free(stream->private_data);
    stream->release = NULL;
    atomic_fetch_sub(&fake_adbc->n_alive, 1);
}

static void give_result(struct ArrowArrayStream *stream, const char *rows) {
    struct fake_result *result = calloc(1, sizeof *result);
    result->rows = rows;
    *stream = (struct ArrowArrayStream){.get_schema = get_schema, .get_next = get_next, .get_last_error = get_last_error, .release = release_result, .private_data = result};
    atomic_fetch_add(&fake_adbc->n_alive, 1);
}

/* ---- executing ---------------------------------------------------------------------------------------------- */

static void wait_for_interrupt(void) {
    const struct timespec moment = {.tv_nsec = 1000000};
    atomic_store(&fake_adbc->is_waiting, true);
    while (!atomic_load(&fake_adbc->is_interrupted)) nanosleep(&moment, NULL);
}

static AdbcStatusCode ingest(struct fake_statement *fake, struct AdbcError *error) {
    struct ArrowSchema schema = {0};
    if (fake->stream.get_schema(&fake->stream, &schema) != 0) return refuse(error, "there is no schema");
    schema.release(&schema);
    if (fake_adbc->waits) wait_for_interrupt();
    if (fake_adbc->waits) return refuse(error, "INTERRUPT Error: Interrupted!");
    fake_adbc->n_loaded = 0;
    for (int64_t n = 1;; n++) {
        struct ArrowArray array = {0};
        if (fake->stream.get_next(&fake->stream, &array) != 0) return refuse(error, fake->stream.get_last_error(&fake->stream));
        if (!array.release) return ADBC_STATUS_OK;
        fake_adbc->n_loaded += array.length;
        array.release(&array);
        if (n == fake_adbc->take_at_most) return refuse(error, "Constraint Error: no more of these");
    }
}

static const struct fake_answer *find_answer(const char *sql) {
    bool failed = fake_adbc->fail_nth > 0 && atomic_load(&fake_adbc->n_calls) > fake_adbc->fail_nth;
    for (int i = 0; failed && i < 2; i++)
        if (fake_adbc->later[i].part && strstr(sql, fake_adbc->later[i].part)) return &fake_adbc->later[i];
    for (int i = 0; i < fake_adbc->n_answers; i++)
        if (strstr(sql, fake_adbc->answers[i].part)) return &fake_adbc->answers[i];
    return NULL;
}

static AdbcStatusCode execute(struct AdbcStatement *statement, struct ArrowArrayStream *stream, int64_t *n_changed, struct AdbcError *error) {
    static _Thread_local char loaded[32];
    struct fake_statement *fake = statement->private_data;
    AdbcStatusCode status = called(error);
    if (status != ADBC_STATUS_OK) return status;
    if (fake_adbc->fail_part && strstr(fake->sql, fake_adbc->fail_part)) {
        fake_adbc->fail_part = NULL;
        return refuse(error, fake_adbc->fail_message);
    }
    if (fake->stream.release) return ingest(fake, error);
    const struct fake_answer *found = find_answer(fake->sql);
    *n_changed = found ? found->n_changed : 1;
    const char *rows = !found ? NULL : found->tell ? found->tell(fake->sql) : found->rows;
    if (!rows) return ADBC_STATUS_OK;
    snprintf(loaded, sizeof loaded, "%lld", (long long)(fake_adbc->n_loaded + fake_adbc->lie));
    give_result(stream, strcmp(rows, "loaded") == 0 ? loaded : rows);
    return ADBC_STATUS_OK;
}

void fill_fake_driver(struct AdbcDriver *driver) {
    *driver = (struct AdbcDriver){
        .DatabaseNew = new_database, .DatabaseSetOption = set_database, .DatabaseInit = init_database, .DatabaseRelease = release_database,
        .ConnectionNew = new_connection, .ConnectionInit = init_connection, .ConnectionSetOption = set_connection, .ConnectionRelease = release_connection,
        .ConnectionCommit = commit, .ConnectionRollback = rollback, .ConnectionCancel = interrupt,
        .StatementNew = new_statement, .StatementRelease = release_statement, .StatementSetSqlQuery = set_sql,
        .StatementBindStream = bind_stream, .StatementExecuteQuery = execute};
}
