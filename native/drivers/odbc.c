#include "drivers/odbc.h"

#include "drivers/odbc_connect.h"
#include "drivers/odbc_load.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- what drivers say ---- */

/* Behind names in brackets, as drivers begin with: [unixODBC][Driver Manager]Can't open lib … */
static const char *behind_brackets(const char *text) {
    for (const char *end; *text == '[' && (end = strchr(text, ']'));) text = end + 1;
    return text + strspn(text, " ");
}

static void copy_line(char *to, size_t size, const char *from) {
    rf_copy_text(to, size, behind_brackets(from));
    for (char *p = to; *p; p++)
        if (*p == '\n' || *p == '\r') *p = ' ';
}

/* How many bytes of the secret begin `text`: all, or those before the end of a text that was cut; 0 when another byte stands there.
 * In a connection string a } may be written twice. */
static size_t stands_in(const char *text, const char *secret, bool doubled) {
    const char *at = text;
    for (; *secret && *at; secret++) {
        if (*at++ != *secret) return 0;
        if (doubled && *secret == '}' && *at && *at++ != '}') return 0;
    }
    return (size_t)(at - text);
}

static void hide_secret(const char *secret, bool doubled, char *text) {
    enum { SHORTEST = 4 };
    if (!secret || strlen(secret) < SHORTEST) return;
    for (char *at = text; *at; at++) {
        size_t length = stands_in(at, secret, doubled);
        if (length < SHORTEST) continue;
        memcpy(at, "***", 3);
        memmove(at + 3, at + length, strlen(at + length) + 1);
        at += 2;
    }
}

/* A driver may quote the connection string it was given. */
static void hide_secrets(const struct rf_odbc *odbc, char *text) {
    for (int i = 0; i < 2 * RF_ODBC_SECRETS; i++) hide_secret(odbc->uri->secrets[i / 2], i % 2 == 0, text);
}

bool rf_odbc_read_said(struct rf_odbc *odbc, int handle_type, void *handle, struct rf_odbc_said *said) {
    *said = (struct rf_odbc_said){0};
    for (SQLSMALLINT i = 1;; i++) {
        SQLCHAR state[6] = {0}, text[1024] = {0};
        SQLINTEGER native = 0;
        SQLSMALLINT length;
        SQLRETURN returned = odbc->api->SQLGetDiagRec((SQLSMALLINT)handle_type, handle, i, state, &native, text, sizeof text, &length);
        if (!SQL_SUCCEEDED(returned)) return i > 1;
        bool is_warning = strncmp((const char *)state, "01", 2) == 0;
        if (i > 1 && is_warning) continue;
        rf_copy_text(said->state, sizeof said->state, (const char *)state);
        said->native = native;
        copy_line(said->text, sizeof said->text, (const char *)text);
        hide_secrets(odbc, said->text);
        if (!is_warning) return true;
    }
}

bool rf_odbc_is_cancelled(const struct rf_odbc *odbc) {
    return odbc->cancel && !odbc->past_cancel && rf_cancel_requested(odbc->cancel);
}

static enum rf_code fail_as_said(struct rf_odbc *odbc, const char *role, int handle_type, void *handle, struct rf_error *err) {
    struct rf_odbc_said said;
    if (!rf_odbc_read_said(odbc, handle_type, handle, &said)) rf_copy_text(said.text, sizeof said.text, "the driver gave no reason");
    odbc->is_lost |= rf_odbc_says_lost(odbc->dialect, &said);
    if (rf_odbc_is_cancelled(odbc)) return rf_cancelled(err);
    rf_odbc_diagnose(odbc->dialect, role, &said, err);
    return err->code;
}

enum rf_code rf_odbc_judge(struct rf_odbc *odbc, const char *role, int returned, void *statement, struct rf_error *err) {
    if (SQL_SUCCEEDED(returned) || returned == SQL_NO_DATA) return RF_OK;
    return fail_as_said(odbc, role, SQL_HANDLE_STMT, statement, err);
}

static enum rf_code judge_connection(struct rf_odbc *odbc, const char *role, int returned, struct rf_error *err) {
    return SQL_SUCCEEDED(returned) ? RF_OK : fail_as_said(odbc, role, SQL_HANDLE_DBC, odbc->connection, err);
}

/* ---- interrupting ---- */

struct rf_odbc_interrupt {
    pthread_mutex_t mutex;
    const struct rf_odbc_api *api;
    void *statement; /* that may be running; NULL: none */
};

static void ask_to_cancel(void *arg) {
    struct rf_odbc_interrupt *interrupt = arg;
    pthread_mutex_lock(&interrupt->mutex);
    if (interrupt->statement) (void)interrupt->api->SQLCancel(interrupt->statement);
    pthread_mutex_unlock(&interrupt->mutex);
}

static void drop_interrupt(void *arg) {
    struct rf_odbc_interrupt *interrupt = arg;
    pthread_mutex_destroy(&interrupt->mutex);
    free(interrupt);
}

static enum rf_code watch_cancel(struct rf_odbc *odbc, struct rf_error *err) {
    if (!odbc->cancel) return RF_OK;
    struct rf_odbc_interrupt *interrupt = calloc(1, sizeof *interrupt);
    if (!interrupt) return rf_no_memory(err);
    pthread_mutex_init(&interrupt->mutex, NULL);
    interrupt->api = odbc->api;
    odbc->slot = rf_cancel_register(odbc->cancel, ask_to_cancel, drop_interrupt, interrupt);
    if (!odbc->slot) return rf_no_memory(err);
    odbc->interrupt = interrupt;
    return RF_OK;
}

/* A statement is freed only while nobody asks it to stop. */
void rf_odbc_watch(struct rf_odbc *odbc, void *statement) {
    if (!odbc->interrupt) return;
    pthread_mutex_lock(&odbc->interrupt->mutex);
    odbc->interrupt->statement = statement;
    pthread_mutex_unlock(&odbc->interrupt->mutex);
}

static void unwatch_cancel(struct rf_odbc *odbc) {
    if (!odbc->interrupt) return;
    rf_odbc_watch(odbc, NULL);
    rf_cancel_unregister(odbc->cancel, odbc->slot);
    odbc->interrupt = NULL;
    odbc->slot = NULL;
}

static void stop_listening(void *self) {
    struct rf_odbc *odbc = self;
    unwatch_cancel(odbc);
    odbc->cancel = NULL;
}

void rf_odbc_set_busy(struct rf_odbc *odbc, bool busy) {
    rf_cancel_set_busy(odbc->slot, busy);
}

/* ---- connecting ---- */

static bool has_word(const char *name, const char *word) {
    for (; *name; name++)
        if (strncasecmp(name, word, strlen(word)) == 0) return true;
    return false;
}

/* The words by which a driver's name shows what it is for, the better one first, and where it comes from. */
static const struct { const char *words[2]; const char *database; const char *install; } DRIVERS[RF_DIALECTS] = {
    [RF_DIALECT_MARIADB] = {{"mariadb", "mysql"}, "MariaDB", "On Debian or Ubuntu: apt-get install odbc-mariadb"},
    [RF_DIALECT_SQLITE] = {{"sqlite3", "sqlite"}, "SQLite", "On Debian or Ubuntu: apt-get install libsqliteodbc"},
    [RF_DIALECT_SNOWFLAKE] = {{"snowflakedsii", "snowflake"}, "Snowflake", "Install Snowflake's ODBC driver (docs.snowflake.com/en/developer-guide/odbc/odbc-linux)"},
};

enum { NAME_BYTES = 256 };

static bool find_driver(struct rf_odbc *odbc, const char *word, char name[NAME_BYTES]) {
    SQLSMALLINT length, ignored;
    SQLCHAR attributes[1024];
    for (SQLUSMALLINT direction = SQL_FETCH_FIRST;; direction = SQL_FETCH_NEXT) {
        SQLRETURN returned = odbc->api->SQLDrivers(odbc->environment, direction, (SQLCHAR *)name, NAME_BYTES, &length, attributes, sizeof attributes, &ignored);
        if (!SQL_SUCCEEDED(returned)) return false;
        if (has_word(name, word)) return true;
    }
}

static enum rf_code choose_driver(struct rf_odbc *odbc, char name[NAME_BYTES], struct rf_error *err) {
    enum rf_dialect dialect = odbc->uri->dialect;
    if (odbc->driver) {
        if (strlen(odbc->driver) >= NAME_BYTES || strpbrk(odbc->driver, "{};")) return rf_fail(err, RF_CONFIG, "\"driver\" of the job is no name or path of an ODBC driver");
        strcpy(name, odbc->driver);
        return RF_OK;
    }
    for (size_t i = 0; i < 2; i++)
        if (find_driver(odbc, DRIVERS[dialect].words[i], name)) return RF_OK;
    odbc->is_missing = true;
    rf_fail(err, RF_CONFIG, "no ODBC driver for %s is registered on this machine", DRIVERS[dialect].database);
    return rf_hint(err, "%s; or name the driver, or the path of its library, in \"driver\".", DRIVERS[dialect].install);
}

static enum rf_code make_string(struct rf_odbc *odbc, struct rf_text *string, struct rf_error *err) {
    char name[NAME_BYTES];
    if (!odbc->uri->names_driver) {
        RF_TRY(choose_driver(odbc, name, err));
        rf_text_addf(string, "DRIVER={%s};", name);
    }
    rf_text_add(string, odbc->uri->pairs);
    return rf_text_check(string, err);
}

/* "Can't open lib '/x/libdriver.so' : file not found" is said as well of a library that the driver itself needs. */
static enum rf_code explain_missing(const char *text, struct rf_error *err) {
    char path[512];
    const char *said = strstr(text, "lib '"), *from = said ? said + strlen("lib ") : NULL, *to = from ? strchr(from + 1, '\'') : NULL;
    if (!to || (size_t)(to - from) > sizeof path) return err->code;
    memcpy(path, from + 1, (size_t)(to - from) - 1);
    path[to - from - 1] = '\0';
    void *library = dlopen(path, RTLD_LAZY | RTLD_LOCAL);
    const char *why = library ? NULL : dlerror();
    if (library) dlclose(library);
    rf_fail(err, RF_CONFIG, "the ODBC driver %s cannot be loaded: %s", path, why ? why : "the driver manager does not find it");
    return rf_hint(err, "Install the driver's package, or the one of the library that is named; `ldd %s` lists what is missing.", path);
}

static enum rf_code connect_driver(struct rf_odbc *odbc, struct rf_text *string, struct rf_error *err) {
    int returned;
    (void)odbc->api->SQLSetConnectAttr(odbc->connection, SQL_ATTR_LOGIN_TIMEOUT, (SQLPOINTER)(SQLULEN)odbc->connect_timeout_s, 0);
    RF_TRY(rf_odbc_connect_in_time(odbc, string, &returned, err));
    enum rf_code code = judge_connection(odbc, "connect", returned, err);
    odbc->is_open = code == RF_OK;
    return code != RF_OK && strstr(err->server_message, "Can't open lib") ? explain_missing(err->server_message, err) : code;
}

/* Into Snowflake go files, and into no other database behind ODBC: its URI has a scheme of its own. */
static enum rf_code check_scheme(const struct rf_odbc *odbc, struct rf_error *err) {
    bool is_snowflake = odbc->dialect == RF_DIALECT_SNOWFLAKE;
    if (is_snowflake == (odbc->uri->dialect == RF_DIALECT_SNOWFLAKE)) return RF_OK;
    if (!is_snowflake) return rf_fail(err, RF_CONFIG, "the target is Snowflake, and the ODBC driver is one for \"%.40s\"", odbc->dbms);
    rf_fail(err, RF_CONFIG, "the target is Snowflake, and named by a connection string of ODBC");
    return rf_hint(err, "Write snowflake://user@account/database?warehouse=…&role=…, and \"channel\": \"odbc\".");
}

/* Which dialect a database speaks shows in the name it gives itself. */
static enum rf_code recognise(struct rf_odbc *odbc, struct rf_error *err) {
    static const struct { const char *word; enum rf_dialect dialect; } known[] = {
        {"mariadb", RF_DIALECT_MARIADB}, {"mysql", RF_DIALECT_MARIADB}, {"sqlite", RF_DIALECT_SQLITE},
        {"postgresql", RF_DIALECT_PSQLODBC}, {"snowflake", RF_DIALECT_SNOWFLAKE}};
    SQLSMALLINT length;
    SQLRETURN returned = odbc->api->SQLGetInfo(odbc->connection, SQL_DBMS_NAME, odbc->dbms, sizeof odbc->dbms, &length);
    RF_TRY(judge_connection(odbc, "ask for the database's name", returned, err));
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!has_word(odbc->dbms, known[i].word)) continue;
        odbc->dialect = known[i].dialect;
        odbc->by_statement = odbc->dialect == RF_DIALECT_SQLITE;
        return check_scheme(odbc, err);
    }
    rf_fail(err, RF_CONFIG, "the target is \"%.40s\", a database whose SQL this release does not speak", odbc->dbms);
    return rf_hint(err, "Over ODBC it knows MariaDB, SQLite and PostgreSQL.");
}

static enum rf_code allocate(struct rf_odbc *odbc, struct rf_error *err) {
    odbc->api = calloc(1, sizeof *odbc->api);
    if (!odbc->api) return rf_no_memory(err);
    odbc->is_missing = rf_odbc_load(odbc->api, err) != RF_OK;
    if (odbc->is_missing) return err->code;
    if (!SQL_SUCCEEDED(odbc->api->SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &odbc->environment))) return rf_no_memory(err);
    (void)odbc->api->SQLSetEnvAttr(odbc->environment, SQL_ATTR_ODBC_VERSION, (SQLPOINTER)SQL_OV_ODBC3, 0);
    if (!SQL_SUCCEEDED(odbc->api->SQLAllocHandle(SQL_HANDLE_DBC, odbc->environment, &odbc->connection))) return rf_no_memory(err);
    return RF_OK;
}

void rf_odbc_free_handles(struct rf_odbc_api *api, void *environment, void *connection) {
    if (connection) (void)api->SQLFreeHandle(SQL_HANDLE_DBC, connection);
    if (environment) (void)api->SQLFreeHandle(SQL_HANDLE_ENV, environment);
    free(api);
}

static void close_session(void *self) {
    struct rf_odbc *odbc = self;
    rf_odbc_end_scan(odbc);
    unwatch_cancel(odbc);
    if (!odbc->api) return;
    if (odbc->is_open) {
        if (odbc->in_transaction) (void)odbc->api->SQLEndTran(SQL_HANDLE_DBC, odbc->connection, SQL_ROLLBACK);
        (void)odbc->api->SQLDisconnect(odbc->connection);
    }
    rf_odbc_free_handles(odbc->api, odbc->environment, odbc->connection);
    odbc->api = NULL;
    odbc->environment = odbc->connection = NULL;
    odbc->is_open = odbc->in_transaction = false;
}

static enum rf_code open_steps(struct rf_odbc *odbc, struct rf_error *err) {
    struct rf_text string = {0};
    RF_TRY(allocate(odbc, err));
    enum rf_code code = make_string(odbc, &string, err);
    if (code == RF_OK) code = connect_driver(odbc, &string, err);
    rf_text_free(&string);
    if (code == RF_OK) code = recognise(odbc, err);
    return code == RF_OK ? watch_cancel(odbc, err) : code;
}

static enum rf_code open_session(void *self, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    close_session(odbc);
    odbc->is_lost = false;
    odbc->dialect = odbc->uri->dialect;
    if (rf_odbc_is_cancelled(odbc)) return rf_cancelled(err);
    enum rf_code code = open_steps(odbc, err);
    if (code != RF_OK) close_session(odbc);
    return code;
}

/* ---- executing ---- */

enum rf_code rf_odbc_begin_statement(struct rf_odbc *odbc, const char *role, void **statement, struct rf_error *err) {
    *statement = NULL;
    if (rf_odbc_is_cancelled(odbc)) return rf_cancelled(err);
    if (!odbc->is_open) return rf_fail(err, RF_TARGET, "target: %s: the session is closed", role);
    RF_TRY(judge_connection(odbc, role, odbc->api->SQLAllocHandle(SQL_HANDLE_STMT, odbc->connection, statement), err));
    rf_odbc_watch(odbc, *statement);
    return RF_OK;
}

void rf_odbc_end_statement(struct rf_odbc *odbc, void *statement) {
    if (!statement) return;
    rf_odbc_set_busy(odbc, false);
    rf_odbc_watch(odbc, NULL);
    (void)odbc->api->SQLFreeHandle(SQL_HANDLE_STMT, statement);
}

enum rf_code rf_odbc_run(struct rf_odbc *odbc, void *statement, const char *role, const struct rf_text *sql, struct rf_error *err) {
    rf_odbc_set_busy(odbc, true);
    SQLRETURN returned = odbc->api->SQLExecDirect(statement, (SQLCHAR *)sql->data, SQL_NTS);
    rf_odbc_set_busy(odbc, false);
    return rf_odbc_judge(odbc, role, returned, statement, err);
}

/* A statement that changed nothing may have no count. */
static enum rf_code read_count(struct rf_odbc *odbc, void *statement, const char *role, int64_t *n_rows, struct rf_error *err) {
    SQLLEN count = 0;
    RF_TRY(rf_odbc_judge(odbc, role, odbc->api->SQLRowCount(statement, &count), statement, err));
    if (count < 0) return rf_fail(err, RF_INTERNAL, "target: %s: the driver did not say how many rows it changed", role);
    *n_rows = count;
    return RF_OK;
}

static enum rf_code execute(void *self, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    void *statement = NULL;
    enum rf_code code = rf_text_check(sql, err);
    if (code == RF_OK) code = rf_odbc_begin_statement(odbc, role, &statement, err);
    if (code == RF_OK) code = rf_odbc_run(odbc, statement, role, sql, err);
    if (code == RF_OK && n_rows) code = read_count(odbc, statement, role, n_rows, err);
    rf_odbc_end_statement(odbc, statement);
    rf_text_free(sql);
    return code;
}

/* ---- reading ---- */

enum { PIECE_BYTES = 4096 };

/* A value longer than a piece comes in several, each of a text with its terminating NUL; *is_null instead of any. The first says how
 * long the rest is. */
enum rf_code rf_odbc_read_value(struct rf_odbc *odbc, void *statement, const char *role, int column, int c_type, struct rf_text *value, bool *is_null,
                                struct rf_error *err) {
    SQLLEN end = c_type == SQL_C_CHAR;
    for (SQLLEN size = PIECE_BYTES;;) {
        SQLLEN left = 0;
        char *room = rf_text_room(value, (size_t)size);
        if (!room) return rf_no_memory(err);
        SQLRETURN returned = odbc->api->SQLGetData(statement, (SQLUSMALLINT)column, (SQLSMALLINT)c_type, room, size, &left);
        if (returned == SQL_NO_DATA) return RF_OK; /* behind the last piece */
        RF_TRY(rf_odbc_judge(odbc, role, returned, statement, err));
        *is_null = left == SQL_NULL_DATA;
        if (*is_null) return RF_OK;
        bool more = left == SQL_NO_TOTAL || left > size - end;
        /* Of a text a driver may give less than there is room for, so as not to cut a character. */
        SQLLEN got = !more ? left : end ? (SQLLEN)strnlen(room, (size_t)(size - end)) : size;
        value->length += (size_t)got;
        if (!more) return RF_OK;
        if (left != SQL_NO_TOTAL) size = left - got + end;
    }
}

static enum rf_code read_cell(struct rf_odbc *odbc, void *statement, const char *role, int column, struct rf_arena *arena, const char **cell, struct rf_error *err) {
    struct rf_text value = {0};
    bool is_null = false;
    enum rf_code code = rf_odbc_read_value(odbc, statement, role, column, SQL_C_CHAR, &value, &is_null, err);
    char *copy = code == RF_OK && !is_null ? rf_arena_take(arena, value.length + 1) : NULL;
    if (copy && value.length > 0) memcpy(copy, value.data, value.length);
    rf_text_free(&value);
    *cell = copy;
    return code == RF_OK && !is_null && !copy ? rf_no_memory(err) : code;
}

enum rf_code rf_odbc_fetch(struct rf_odbc *odbc, void *statement, const char *role, bool *got, struct rf_error *err) {
    rf_odbc_set_busy(odbc, true);
    SQLRETURN returned = odbc->api->SQLFetch(statement);
    rf_odbc_set_busy(odbc, false);
    *got = SQL_SUCCEEDED(returned);
    return rf_odbc_judge(odbc, role, returned, statement, err);
}

static enum rf_code read_all(struct rf_odbc *odbc, void *statement, const char *role, struct rf_arena *arena, struct rf_result *rows, struct rf_error *err) {
    SQLSMALLINT n_columns = 0;
    RF_TRY(rf_odbc_judge(odbc, role, odbc->api->SQLNumResultCols(statement, &n_columns), statement, err));
    rows->n_columns = n_columns;
    if (n_columns == 0) return RF_OK;
    for (;; rows->n_rows++) {
        bool got;
        RF_TRY(rf_odbc_fetch(odbc, statement, role, &got, err));
        if (!got) return RF_OK;
        RF_TRY(rf_result_reserve(rows, 1, arena, err));
        for (int i = 0; i < n_columns; i++)
            RF_TRY(read_cell(odbc, statement, role, i + 1, arena, &rows->cells[rows->n_rows * n_columns + i], err));
    }
}

static enum rf_code read_rows(void *self, const char *role, struct rf_text *sql, struct rf_arena *arena, struct rf_result *rows, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    void *statement = NULL;
    *rows = (struct rf_result){0};
    enum rf_code code = rf_text_check(sql, err);
    if (code == RF_OK) code = rf_odbc_begin_statement(odbc, role, &statement, err);
    if (code == RF_OK) code = rf_odbc_run(odbc, statement, role, sql, err);
    if (code == RF_OK) code = read_all(odbc, statement, role, arena, rows, err);
    rf_odbc_end_statement(odbc, statement);
    rf_text_free(sql);
    return code;
}

/* ---- transactions ---- */

static enum rf_code run_fixed(struct rf_odbc *odbc, const char *role, const char *statement, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_text_add(&sql, statement);
    return execute(odbc, role, &sql, NULL, err);
}

static enum rf_code set_autocommit(struct rf_odbc *odbc, const char *role, bool on, struct rf_error *err) {
    SQLPOINTER value = (SQLPOINTER)(SQLULEN)(on ? SQL_AUTOCOMMIT_ON : SQL_AUTOCOMMIT_OFF);
    return judge_connection(odbc, role, odbc->api->SQLSetConnectAttr(odbc->connection, SQL_ATTR_AUTOCOMMIT, value, SQL_IS_UINTEGER), err);
}

/* SQLite takes its lock at the beginning, so that no other can be between reading and writing. */
static enum rf_code begin(void *self, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    odbc->past_cancel = false;
    if (rf_odbc_is_cancelled(odbc)) return rf_cancelled(err);
    if (!odbc->is_open) return rf_fail(err, RF_TARGET, "target: begin: the session is closed");
    RF_TRY(odbc->by_statement ? run_fixed(odbc, "begin", "BEGIN IMMEDIATE", err) : set_autocommit(odbc, "begin", false, err));
    odbc->in_transaction = true;
    return RF_OK;
}

static enum rf_code end(struct rf_odbc *odbc, const char *role, bool commits, struct rf_error *err) {
    if (odbc->by_statement) RF_TRY(run_fixed(odbc, role, commits ? "COMMIT" : "ROLLBACK", err));
    else RF_TRY(judge_connection(odbc, role, odbc->api->SQLEndTran(SQL_HANDLE_DBC, odbc->connection, commits ? SQL_COMMIT : SQL_ROLLBACK), err));
    struct rf_error ignored; /* what was to be ended has ended */
    odbc->in_transaction = false;
    if (!odbc->by_statement) (void)set_autocommit(odbc, role, true, &ignored);
    return RF_OK;
}

static enum rf_code commit(void *self, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    if (rf_odbc_is_cancelled(odbc)) return rf_cancelled(err);
    if (!odbc->is_open) return rf_fail(err, RF_TARGET, "target: commit: the session is closed");
    odbc->past_cancel = true;
    return end(odbc, "commit", true, err);
}

static enum rf_code rollback(void *self, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    return odbc->in_transaction ? end(odbc, "roll back", false, err) : RF_OK;
}

static const struct rf_session_ops ops = {
    .open = open_session,
    .execute = execute,
    .read = read_rows,
    .append = rf_odbc_append,
    .scan = rf_odbc_scan,
    .next = rf_odbc_next,
    .end_scan = rf_odbc_end_scan,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .stop_listening = stop_listening,
    .close = close_session,
};

struct rf_session rf_session_over_odbc(struct rf_odbc *odbc) {
    return (struct rf_session){.ops = &ops, .self = odbc, .channel = "odbc"};
}
