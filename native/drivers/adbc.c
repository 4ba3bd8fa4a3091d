#include "drivers/adbc.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

/* What a message of DuckDB's begins with, where that is no matter "", what else it says, and what it means here. Its status codes hardly differ. */
static const struct meaning {
    const char *begins;
    const char *says;
    enum rf_code code;
    const char *hint;
} MEANINGS[] = {
    {"", "No space left on device", RF_TARGET, "The target's disk is full: nothing was committed. Make room where the file is."},
    {"INTERRUPT Error", "", RF_CANCELLED, NULL},
    {"Constraint Error", "", RF_DATA, NULL},
    {"Conversion Error", "", RF_DATA, NULL},
    {"Out of Range Error", "", RF_DATA, NULL},
    {"Invalid Input Error", "", RF_DATA, NULL},
    {"Catalog Error", "", RF_CONFIG, "DuckDB tells names that differ in capital letters alone not apart."},
    {"Dependency Error", "", RF_CONFIG, NULL},
    {"Permission Error", "", RF_AUTH, NULL},
    {"Out of Memory Error", "", RF_TARGET, "Give it more: \"?memory_limit=4GB\" behind the path of the target."},
    {"IO Error", "not a valid DuckDB database", RF_CONFIG, NULL},
    {"IO Error", "", RF_TARGET, NULL},
    {"FATAL Error", "", RF_TARGET, NULL},
    {"TransactionContext Error", "constraint violation", RF_DATA, NULL},
    {"TransactionContext Error", "", RF_TARGET, NULL},
    {"Binder Error", "", RF_INTERNAL, NULL},
    {"Parser Error", "", RF_INTERNAL, NULL},
    {"INTERNAL Error", "", RF_INTERNAL, NULL},
};

static enum rf_code code_of_status(AdbcStatusCode status) {
    if (status == ADBC_STATUS_CANCELLED) return RF_CANCELLED;
    return status == ADBC_STATUS_UNAUTHENTICATED || status == ADBC_STATUS_UNAUTHORIZED ? RF_AUTH : RF_TARGET;
}

static const struct meaning *meaning_of(const char *text) {
    for (size_t i = 0; i < sizeof MEANINGS / sizeof MEANINGS[0]; i++)
        if (strncmp(text, MEANINGS[i].begins, strlen(MEANINGS[i].begins)) == 0 && strstr(text, MEANINGS[i].says)) return &MEANINGS[i];
    return NULL;
}

/* Behind the first line DuckDB points into the statement. */
static void copy_first_line(char *to, size_t size, const char *from) {
    char line[1024];
    rf_copy_text(line, sizeof line, from);
    line[strcspn(line, "\n")] = '\0';
    rf_copy_text(to, size, line);
}

static bool is_cancelled(const struct rf_adbc *adbc) {
    return adbc->cancel && !adbc->past_cancel && rf_cancel_requested(adbc->cancel);
}

static enum rf_code fail_with_text(const struct rf_adbc *adbc, const char *role, enum rf_code code, const char *text, struct rf_error *err) {
    if (is_cancelled(adbc)) return rf_cancelled(err);
    char line[sizeof err->server_message];
    if (!text || !*text) text = "the driver gave no reason";
    if (adbc->ways.diagnose) {
        adbc->ways.diagnose(role, 0, "", text, err);
        return err->code;
    }
    copy_first_line(line, sizeof line, text);
    const struct meaning *meaning = meaning_of(line);
    rf_fail(err, meaning ? meaning->code : code, "target: %s: %s", role, line);
    rf_copy_text(err->role, sizeof err->role, role);
    rf_copy_text(err->server_message, sizeof err->server_message, line);
    return meaning && meaning->hint ? rf_hint(err, "%s", meaning->hint) : err->code;
}

static enum rf_code fail_with_number(const struct rf_adbc *adbc, const char *role, const struct AdbcError *said, struct rf_error *err) {
    char line[sizeof err->message], state[sizeof err->sqlstate];
    if (is_cancelled(adbc)) return rf_cancelled(err);
    snprintf(state, sizeof state, "%.5s", said->sqlstate);
    rf_copy_text(line, sizeof line, said->message && *said->message ? said->message : "the driver gave no reason");
    adbc->ways.diagnose(role, said->vendor_code, state, line, err);
    return err->code;
}

enum rf_code rf_adbc_judge(const struct rf_adbc *adbc, const char *role, AdbcStatusCode status, struct AdbcError *said, struct rf_error *err) {
    enum rf_code code = RF_OK;
    if (status != ADBC_STATUS_OK && adbc->ways.diagnose) code = fail_with_number(adbc, role, said, err);
    else if (status != ADBC_STATUS_OK) code = fail_with_text(adbc, role, code_of_status(status), said->message, err);
    if (said->release) said->release(said);
    *said = (struct AdbcError){0};
    return code;
}

bool rf_adbc_is_held(const struct rf_error *err) {
    return strstr(err->server_message, "Could not set lock on file") != NULL;
}

/* ---- interrupting ---- */

struct rf_adbc_interrupt {
    pthread_mutex_t mutex;
    struct rf_adbc *adbc; /* NULL once the session is closed */
};

static void ask_to_cancel(void *arg) {
    struct rf_adbc_interrupt *interrupt = arg;
    struct AdbcError said = {0};
    pthread_mutex_lock(&interrupt->mutex);
    struct rf_adbc *adbc = interrupt->adbc;
    if (adbc && adbc->running) (void)adbc->driver.StatementCancel(adbc->running, &said);
    else if (adbc && !adbc->ways.by_statement) (void)adbc->driver.ConnectionCancel(&adbc->connection, &said);
    pthread_mutex_unlock(&interrupt->mutex);
    if (said.release) said.release(&said);
}

static void drop_interrupt(void *arg) {
    struct rf_adbc_interrupt *interrupt = arg;
    pthread_mutex_destroy(&interrupt->mutex);
    free(interrupt);
}

static enum rf_code watch_cancel(struct rf_adbc *adbc, struct rf_error *err) {
    if (!adbc->cancel) return RF_OK;
    struct rf_adbc_interrupt *interrupt = calloc(1, sizeof *interrupt);
    if (!interrupt) return rf_no_memory(err);
    pthread_mutex_init(&interrupt->mutex, NULL);
    interrupt->adbc = adbc;
    adbc->slot = rf_cancel_register(adbc->cancel, ask_to_cancel, drop_interrupt, interrupt);
    if (!adbc->slot) return rf_no_memory(err);
    adbc->interrupt = interrupt;
    return RF_OK;
}

/* From here on nobody interrupts the session any more. */
static void unwatch_cancel(struct rf_adbc *adbc) {
    if (!adbc->interrupt) return;
    pthread_mutex_lock(&adbc->interrupt->mutex);
    adbc->interrupt->adbc = NULL;
    pthread_mutex_unlock(&adbc->interrupt->mutex);
    rf_cancel_unregister(adbc->cancel, adbc->slot);
    adbc->interrupt = NULL;
    adbc->slot = NULL;
}

void rf_adbc_stop_listening(struct rf_adbc *adbc) {
    unwatch_cancel(adbc);
    adbc->cancel = NULL;
}

/* The token may be about to cancel the statement. */
static void set_running(struct rf_adbc *adbc, struct AdbcStatement *statement) {
    if (!adbc->ways.by_statement || !adbc->interrupt) return;
    pthread_mutex_lock(&adbc->interrupt->mutex);
    adbc->running = statement;
    pthread_mutex_unlock(&adbc->interrupt->mutex);
}

/* ---- opening and closing ---- */

static enum rf_code open_database(struct rf_adbc *adbc, const struct rf_adbc_option *options, int n_options, struct rf_error *err) {
    struct AdbcError said = {0};
    const struct AdbcDriver *driver = &adbc->driver;
    RF_TRY(rf_adbc_judge(adbc, "open", driver->DatabaseNew(&adbc->database, &said), &said, err));
    for (int i = 0; i < n_options; i++)
        RF_TRY(rf_adbc_judge(adbc, "open", driver->DatabaseSetOption(&adbc->database, options[i].name, options[i].value, &said), &said, err));
    return rf_adbc_judge(adbc, "open", driver->DatabaseInit(&adbc->database, &said), &said, err);
}

enum rf_code rf_adbc_set_autocommit(struct rf_adbc *adbc, bool on, struct rf_error *err) {
    struct AdbcError said = {0};
    AdbcStatusCode status = adbc->driver.ConnectionSetOption(&adbc->connection, "adbc.connection.autocommit", on ? "true" : "false", &said);
    return rf_adbc_judge(adbc, on ? "end the transaction" : "begin", status, &said, err);
}

static enum rf_code open_session(struct rf_adbc *adbc, struct rf_error *err) {
    struct AdbcError said = {0};
    const struct AdbcDriver *driver = &adbc->driver;
    RF_TRY(rf_adbc_judge(adbc, "connect", driver->ConnectionNew(&adbc->connection, &said), &said, err));
    RF_TRY(rf_adbc_judge(adbc, "connect", driver->ConnectionInit(&adbc->connection, &adbc->database, &said), &said, err));
    return rf_adbc_set_autocommit(adbc, false, err);
}

enum rf_code rf_adbc_open(struct rf_adbc *adbc, const struct rf_adbc_option *options, int n_options, struct rf_cancel *cancel, struct rf_error *err) {
    adbc->cancel = cancel;
    adbc->past_cancel = false;
    enum rf_code code = open_database(adbc, options, n_options, err);
    if (code == RF_OK) code = open_session(adbc, err);
    adbc->is_open = code == RF_OK;
    if (code == RF_OK) code = watch_cancel(adbc, err);
    if (code != RF_OK) rf_adbc_close(adbc);
    return code;
}

static void forget(struct AdbcError *said) {
    if (said->release) said->release(said);
    *said = (struct AdbcError){0};
}

void rf_adbc_close(struct rf_adbc *adbc) {
    struct AdbcError said = {0};
    unwatch_cancel(adbc);
    if (adbc->is_open) (void)adbc->driver.ConnectionRollback(&adbc->connection, &said);
    forget(&said);
    if (adbc->connection.private_data) (void)adbc->driver.ConnectionRelease(&adbc->connection, &said);
    forget(&said);
    if (adbc->database.private_data) (void)adbc->driver.DatabaseRelease(&adbc->database, &said);
    forget(&said);
    adbc->connection = (struct AdbcConnection){0};
    adbc->database = (struct AdbcDatabase){0};
    adbc->is_open = false;
}

/* ---- executing ---- */

static enum rf_code begin_statement(struct rf_adbc *adbc, struct AdbcStatement *statement, const char *role, struct rf_error *err) {
    struct AdbcError said = {0};
    *statement = (struct AdbcStatement){0};
    if (is_cancelled(adbc)) return rf_cancelled(err);
    if (!adbc->is_open) return rf_fail(err, RF_TARGET, "target: %s: the session is closed", role);
    return rf_adbc_judge(adbc, role, adbc->driver.StatementNew(&adbc->connection, statement, &said), &said, err);
}

static void end_statement(struct rf_adbc *adbc, struct AdbcStatement *statement) {
    struct AdbcError said = {0};
    set_running(adbc, NULL);
    if (statement->private_data) (void)adbc->driver.StatementRelease(statement, &said);
    forget(&said);
}

static enum rf_code set_and_run(struct rf_adbc *adbc, const char *sql, bool wants_rows, struct rf_adbc_result *result, struct rf_error *err) {
    struct AdbcError said = {0};
    RF_TRY(rf_adbc_judge(adbc, result->role, adbc->driver.StatementSetSqlQuery(&result->statement, sql, &said), &said, err));
    set_running(adbc, &result->statement);
    rf_cancel_set_busy(adbc->slot, true);
    AdbcStatusCode status = adbc->driver.StatementExecuteQuery(&result->statement, wants_rows ? &result->stream : NULL, &result->n_changed, &said);
    rf_cancel_set_busy(adbc->slot, false);
    return rf_adbc_judge(adbc, result->role, status, &said, err);
}

static enum rf_code bind(struct rf_adbc *adbc, struct ArrowArrayStream *rows, struct rf_adbc_result *result, struct rf_error *err) {
    struct AdbcError said = {0};
    return rf_adbc_judge(adbc, result->role, adbc->driver.StatementBindStream(&result->statement, rows, &said), &said, err);
}

/* `rows` that the statement reads; NULL: none. */
static enum rf_code ask(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct ArrowArrayStream *rows, bool wants_rows,
                        struct rf_adbc_result *result, struct rf_error *err) {
    *result = (struct rf_adbc_result){.role = role, .n_changed = -1};
    enum rf_code code = rf_text_check(sql, err);
    if (code == RF_OK) code = begin_statement(adbc, &result->statement, role, err);
    if (code == RF_OK && rows) code = bind(adbc, rows, result, err);
    if (code == RF_OK) code = set_and_run(adbc, sql->data, wants_rows, result, err);
    rf_text_free(sql);
    return code;
}

enum rf_code rf_adbc_ask(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct rf_adbc_result *result, struct rf_error *err) {
    return ask(adbc, role, sql, NULL, true, result, err);
}

static enum rf_code fail_in_stream(const struct rf_adbc *adbc, struct rf_adbc_result *result, struct rf_error *err) {
    return fail_with_text(adbc, result->role, RF_TARGET, result->stream.get_last_error(&result->stream), err);
}

enum rf_code rf_adbc_schema(const struct rf_adbc *adbc, struct rf_adbc_result *result, struct ArrowSchema *schema, struct rf_error *err) {
    if (!result->stream.release) return rf_fail(err, RF_INTERNAL, "target: %s: there is no result", result->role);
    return result->stream.get_schema(&result->stream, schema) == 0 ? RF_OK : fail_in_stream(adbc, result, err);
}

enum rf_code rf_adbc_next(const struct rf_adbc *adbc, struct rf_adbc_result *result, struct ArrowArray *array, struct rf_error *err) {
    *array = (struct ArrowArray){0};
    if (is_cancelled(adbc)) return rf_cancelled(err);
    rf_cancel_set_busy(adbc->slot, true);
    int failed = result->stream.get_next(&result->stream, array);
    rf_cancel_set_busy(adbc->slot, false);
    return failed ? fail_in_stream(adbc, result, err) : RF_OK;
}

void rf_adbc_end(struct rf_adbc *adbc, struct rf_adbc_result *result) {
    if (result->stream.release) result->stream.release(&result->stream);
    end_statement(adbc, &result->statement);
}

/* What to do with each piece of a result. */
typedef enum rf_code piece_taker(void *context, const struct ArrowArray *array, struct rf_error *err);

static enum rf_code drain(struct rf_adbc *adbc, struct rf_adbc_result *result, piece_taker *take, void *context, struct rf_error *err) {
    for (;;) {
        struct ArrowArray array;
        RF_TRY(rf_adbc_next(adbc, result, &array, err));
        if (!array.release) return RF_OK;
        enum rf_code code = take ? take(context, &array, err) : RF_OK;
        array.release(&array);
        RF_TRY(code);
    }
}

enum rf_code rf_adbc_execute(struct rf_adbc *adbc, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err) {
    struct rf_adbc_result result;
    enum rf_code code = ask(adbc, role, sql, NULL, !adbc->ways.by_statement, &result, err);
    if (code == RF_OK && result.stream.release) code = drain(adbc, &result, NULL, NULL, err);
    rf_adbc_end(adbc, &result);
    if (code == RF_OK && n_rows && result.n_changed < 0) return rf_fail(err, RF_INTERNAL, "target: %s: the driver did not say how many rows it changed", role);
    if (code == RF_OK && n_rows) *n_rows = result.n_changed;
    return code;
}

/* ---- reading ---- */

struct reading {
    struct rf_arena *arena;
    struct rf_result *rows;
    char *kinds; /* of the columns: the letter of their format, shape (n_columns,) */
};

static bool has_value(const struct ArrowArray *column, int64_t row) {
    const uint8_t *valid = column->buffers[0];
    int64_t at = column->offset + row;
    return !valid || (valid[at / 8] >> (at % 8) & 1);
}

/* A whole number of 64 or 128 bits, of which nothing here needs more than 64. */
static const char *copy_number(const struct ArrowArray *column, char kind, int64_t row, struct rf_arena *arena) {
    const int64_t *words = column->buffers[1];
    int64_t at = column->offset + row;
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, words[kind == 'd' ? 2 * at : at]);
    return rf_arena_copy(arena, text);
}

static const char *copy_text(const struct ArrowArray *column, int64_t row, struct rf_arena *arena) {
    const int32_t *offsets = (const int32_t *)column->buffers[1] + column->offset + row;
    size_t n_bytes = (size_t)(offsets[1] - offsets[0]);
    char *text = rf_arena_take(arena, n_bytes + 1);
    if (text && n_bytes > 0) memcpy(text, (const char *)column->buffers[2] + offsets[0], n_bytes);
    return text;
}

static enum rf_code take_texts(void *context, const struct ArrowArray *array, struct rf_error *err) {
    struct reading *reading = context;
    struct rf_result *rows = reading->rows;
    if (array->n_children != rows->n_columns) return rf_fail(err, RF_INTERNAL, "a result does not have the columns of its schema");
    RF_TRY(rf_result_reserve(rows, array->length, reading->arena, err));
    for (int64_t row = 0; row < array->length; row++, rows->n_rows++)
        for (int i = 0; i < rows->n_columns; i++) {
            const char **cell = &rows->cells[rows->n_rows * rows->n_columns + i];
            char kind = reading->kinds[i];
            if (!has_value(array->children[i], row) || !strchr("uld", kind)) continue;
            *cell = kind == 'u' ? copy_text(array->children[i], row, reading->arena) : copy_number(array->children[i], kind, row, reading->arena);
            if (!*cell) return rf_no_memory(err);
        }
    return RF_OK;
}

/* Every result asked for is of texts, where that can be asked for. */
static enum rf_code check_schema(struct rf_adbc *adbc, struct rf_adbc_result *result, struct reading *reading, struct rf_error *err) {
    struct ArrowSchema schema = {0};
    RF_TRY(rf_adbc_schema(adbc, result, &schema, err));
    bool texts = true;
    reading->rows->n_columns = (int)schema.n_children;
    reading->kinds = rf_arena_take(reading->arena, (size_t)schema.n_children + 1);
    for (int64_t i = 0; reading->kinds && i < schema.n_children; i++) {
        const char *format = schema.children[i]->format;
        bool known = strcmp(format, "u") == 0 || strcmp(format, "l") == 0 || (strncmp(format, "d:", 2) == 0 && strcmp(strchr(format, ','), ",0") == 0);
        reading->kinds[i] = known ? *format : '-';
        texts &= *format == 'u';
    }
    if (schema.release) schema.release(&schema);
    if (!reading->kinds) return rf_no_memory(err);
    return texts || adbc->ways.any_types ? RF_OK : rf_fail(err, RF_INTERNAL, "target: %s: the result is not of texts", result->role);
}

enum rf_code rf_adbc_read(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct rf_arena *arena, struct rf_result *rows, struct rf_error *err) {
    struct rf_adbc_result result;
    *rows = (struct rf_result){0};
    struct reading reading = {.arena = arena, .rows = rows};
    enum rf_code code = rf_adbc_ask(adbc, role, sql, &result, err);
    if (code == RF_OK) code = check_schema(adbc, &result, &reading, err);
    if (code == RF_OK) code = drain(adbc, &result, take_texts, &reading, err);
    rf_adbc_end(adbc, &result);
    return code;
}

/* ---- ingesting ---- */

enum rf_code rf_adbc_ingest(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct ArrowArrayStream *stream, struct rf_error *err) {
    struct rf_adbc_result result;
    enum rf_code code = ask(adbc, role, sql, stream, false, &result, err);
    rf_adbc_end(adbc, &result);
    if (stream->release) stream->release(stream);
    return code;
}

enum rf_code rf_adbc_commit(struct rf_adbc *adbc, struct rf_error *err) {
    struct AdbcError said = {0};
    if (is_cancelled(adbc)) return rf_cancelled(err);
    adbc->past_cancel = true;
    return rf_adbc_judge(adbc, "commit", adbc->driver.ConnectionCommit(&adbc->connection, &said), &said, err);
}

enum rf_code rf_adbc_rollback(struct rf_adbc *adbc, struct rf_error *err) {
    struct AdbcError said = {0};
    return rf_adbc_judge(adbc, "roll back", adbc->driver.ConnectionRollback(&adbc->connection, &said), &said, err);
}
