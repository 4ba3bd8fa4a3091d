#include "fake_odbc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct fake_odbc *fake_odbc;

enum { MOST_PARAMETERS = 16 };

struct parameter {
    SQLSMALLINT c_type;
    const char *values;
    SQLLEN width;
    const SQLLEN *lengths;
};

/* An environment, a connection or a statement. */
struct handle {
    const char *rows; /* of the result, from the present row on; NULL: none */
    char made[512];   /* what "loaded" and TOKEN stand for */
    size_t column_at[64];
    int64_t n_changed;
    bool fetched;
    int column;     /* that is being read */
    size_t read;    /* of it */
    SQLULEN n_sets; /* of parameters */
    struct parameter parameters[MOST_PARAMETERS];
    int n_parameters;
    char insert[512];
    struct fake_failure said;
};

void reply(struct fake_odbc *fake, const char *part, const char *rows) {
    fake->replies[fake->n_replies++] = (struct fake_reply){.part = part, .rows = rows};
}

void reply_after(struct fake_odbc *fake, const char *after, const char *part, const char *rows) {
    fake->replies[fake->n_replies++] = (struct fake_reply){.part = part, .after = after, .rows = rows};
}

void reply_changed(struct fake_odbc *fake, const char *part, int64_t n_changed) {
    fake->replies[fake->n_replies++] = (struct fake_reply){.part = part, .n_changed = n_changed};
}

static SQLRETURN fail(struct handle *handle, struct fake_failure failure) {
    if (!failure.state) failure = (struct fake_failure){"HY000", 0, "something went wrong"};
    handle->said = failure;
    return SQL_ERROR;
}

/* Counts the call; true when it is the one that fails. */
static bool call_fails(void) {
    return atomic_fetch_add(&fake_odbc->n_calls, 1) + 1 == fake_odbc->fail_nth;
}

static void note(char *to, size_t size, const char *text, const char *end) {
    size_t used = strlen(to);
    snprintf(to + used, size - used, "%s%s", text, end);
}

/* A statement, or a call that ends or begins what statements are in, and what it was given. */
static void saw_with(const char *text, const char *given) {
    note(fake_odbc->statements, sizeof fake_odbc->statements, text, "\n");
    FILE *file = fake_odbc->seen ? fopen(fake_odbc->seen, "ae") : NULL;
    if (!file) return;
    fprintf(file, "%s%s%c", text, given, '\0');
    fclose(file);
}

static void saw(const char *text) {
    saw_with(text, "");
}

/* ---- handles ---- */

SQLRETURN SQLAllocHandle(SQLSMALLINT type, SQLHANDLE from, SQLHANDLE *out) {
    (void)type;
    struct handle *parent = from;
    if (call_fails()) return parent ? fail(parent, fake_odbc->failure) : SQL_ERROR;
    struct handle *handle = calloc(1, sizeof *handle);
    handle->n_sets = 1;
    *out = handle;
    atomic_fetch_add(&fake_odbc->n_alive, 1);
    return SQL_SUCCESS;
}

SQLRETURN SQLFreeHandle(SQLSMALLINT type, SQLHANDLE handle) {
    (void)type;
    free(handle);
    atomic_fetch_sub(&fake_odbc->n_alive, 1);
    return SQL_SUCCESS;
}

SQLRETURN SQLSetEnvAttr(SQLHENV environment, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    (void)environment, (void)attribute, (void)value, (void)length;
    return SQL_SUCCESS;
}

SQLRETURN SQLDrivers(SQLHENV environment, SQLUSMALLINT direction, SQLCHAR *name, SQLSMALLINT size, SQLSMALLINT *length, SQLCHAR *attributes,
                     SQLSMALLINT attributes_size, SQLSMALLINT *attributes_length) {
    static int at;
    (void)environment, (void)attributes, (void)attributes_size, (void)attributes_length;
    const char *names = fake_odbc->drivers ? fake_odbc->drivers : "Some Other,MariaDB Unicode";
    at = direction == SQL_FETCH_FIRST ? 0 : at + 1;
    for (int i = 0; i < at && *names; i++) {
        names += strcspn(names, ",");
        names += *names == ',';
    }
    if (!*names) return SQL_NO_DATA;
    *length = (SQLSMALLINT)snprintf((char *)name, (size_t)size, "%.*s", (int)strcspn(names, ","), names);
    return SQL_SUCCESS;
}

SQLRETURN SQLDriverConnect(SQLHDBC connection, SQLHWND window, SQLCHAR *in, SQLSMALLINT length, SQLCHAR *out, SQLSMALLINT out_size,
                           SQLSMALLINT *out_length, SQLUSMALLINT completion) {
    (void)window, (void)length, (void)out, (void)out_size, (void)out_length, (void)completion;
    snprintf(fake_odbc->connection_string, sizeof fake_odbc->connection_string, "%s", (const char *)in);
    fake_odbc->n_connects++;
    saw_with("(connect)", (const char *)in);
    if (call_fails()) return fail(connection, fake_odbc->failure);
    if (fake_odbc->fail_part && strcmp(fake_odbc->fail_part, "(connect)") == 0) return fail(connection, fake_odbc->failure);
    return SQL_SUCCESS;
}

SQLRETURN SQLDisconnect(SQLHDBC connection) {
    (void)connection;
    saw("(disconnect)");
    return SQL_SUCCESS;
}

SQLRETURN SQLGetInfo(SQLHDBC connection, SQLUSMALLINT what, SQLPOINTER value, SQLSMALLINT size, SQLSMALLINT *length) {
    (void)what;
    if (call_fails()) return fail(connection, fake_odbc->failure);
    *length = (SQLSMALLINT)snprintf(value, (size_t)size, "%s", fake_odbc->dbms ? fake_odbc->dbms : "MariaDB");
    return SQL_SUCCESS;
}

SQLRETURN SQLGetDiagRec(SQLSMALLINT type, SQLHANDLE from, SQLSMALLINT record, SQLCHAR *state, SQLINTEGER *native, SQLCHAR *text, SQLSMALLINT size,
                        SQLSMALLINT *length) {
    const struct handle *handle = from;
    (void)type;
    if (record > 1 || !handle || !handle->said.state) return SQL_NO_DATA;
    strcpy((char *)state, handle->said.state);
    *native = handle->said.native;
    *length = (SQLSMALLINT)snprintf((char *)text, (size_t)size, "[fake][driver]%s", handle->said.text);
    return SQL_SUCCESS;
}

/* ---- transactions ---- */

SQLRETURN SQLSetConnectAttr(SQLHDBC connection, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    (void)length;
    if (attribute != SQL_ATTR_AUTOCOMMIT) return SQL_SUCCESS;
    if (call_fails()) return fail(connection, fake_odbc->failure);
    fake_odbc->in_transaction = (SQLULEN)value == SQL_AUTOCOMMIT_OFF;
    saw(fake_odbc->in_transaction ? "(autocommit off)" : "(autocommit on)");
    return SQL_SUCCESS;
}

SQLRETURN SQLEndTran(SQLSMALLINT type, SQLHANDLE connection, SQLSMALLINT how) {
    (void)type;
    saw(how == SQL_ROLLBACK ? "(rollback)" : "(commit)");
    if (how == SQL_ROLLBACK) {
        fake_odbc->rolled_back = true;
        return SQL_SUCCESS;
    }
    if (fake_odbc->cancel_at_commit) rf_cancel_request(fake_odbc->cancel_at_commit);
    if (call_fails()) fake_odbc->loses_commit = fake_odbc->commits_anyway = true;
    if (fake_odbc->loses_commit) {
        fake_odbc->loses_commit = false;
        fake_odbc->committed = fake_odbc->commits_anyway;
        return fail(connection, fake_odbc->failure.state ? fake_odbc->failure : (struct fake_failure){"08S01", 2013, "Lost connection to server during query"});
    }
    fake_odbc->committed = true;
    return SQL_SUCCESS;
}

/* ---- statements ---- */

static SQLRETURN wait_for_cancel(struct handle *handle) {
    atomic_store(&fake_odbc->is_waiting, true);
    while (!atomic_load(&fake_odbc->is_interrupted)) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return fail(handle, (struct fake_failure){"HY008", 0, "Operation canceled"});
}

static bool statement_fails(const char *sql) {
    if (!fake_odbc->fail_part || !strstr(sql, fake_odbc->fail_part)) return false;
    if (fake_odbc->fail_times > 0 && --fake_odbc->fail_times == 0) fake_odbc->fail_part = NULL;
    return true;
}

static void set_rows(struct handle *handle, const char *rows) {
    const char *token = rows ? strstr(rows, "TOKEN") : NULL;
    if (token) snprintf(handle->made, sizeof handle->made, "%.*s%s%s", (int)(token - rows), rows, fake_odbc->token, token + strlen("TOKEN"));
    else snprintf(handle->made, sizeof handle->made, "%lld", (long long)(fake_odbc->n_loaded + fake_odbc->lie));
    handle->rows = rows && (token || strcmp(rows, "loaded") == 0) ? handle->made : rows;
}

/* … 'abc' AS token … */
static void keep_token(const char *sql) {
    const char *end = strstr(sql, "' AS token"), *from = end;
    while (from && from > sql && from[-1] != '\'') from--;
    if (end) snprintf(fake_odbc->token, sizeof fake_odbc->token, "%.*s", (int)(end - from), from);
}

static bool fits(const struct fake_reply *reply, const char *sql) {
    return strstr(sql, reply->part) && (!reply->after || strstr(fake_odbc->statements, reply->after));
}

SQLRETURN SQLExecDirect(SQLHSTMT statement, SQLCHAR *text, SQLINTEGER length) {
    struct handle *handle = statement;
    const char *sql = (const char *)text;
    (void)length;
    saw(sql);
    keep_token(sql);
    if (call_fails() || statement_fails(sql)) return fail(handle, fake_odbc->failure);
    if (fake_odbc->wait_part && strstr(sql, fake_odbc->wait_part)) return wait_for_cancel(handle);
    handle->n_changed = 1;
    handle->rows = "";
    for (int i = 0; i < fake_odbc->n_replies; i++) {
        const struct fake_reply *given = &fake_odbc->replies[i];
        if (!fits(given, sql)) continue;
        set_rows(handle, given->rows);
        handle->n_changed = given->n_changed;
        break;
    }
    return fake_odbc->no_data && handle->n_changed == 0 && !handle->rows ? SQL_NO_DATA : SQL_SUCCESS;
}

SQLRETURN SQLRowCount(SQLHSTMT statement, SQLLEN *count) {
    struct handle *handle = statement;
    if (call_fails()) return fail(handle, fake_odbc->failure);
    *count = handle->n_changed;
    return SQL_SUCCESS;
}

SQLRETURN SQLNumResultCols(SQLHSTMT statement, SQLSMALLINT *n) {
    struct handle *handle = statement;
    if (call_fails()) return fail(handle, fake_odbc->failure);
    *n = 0;
    if (!handle->rows) return SQL_SUCCESS;
    *n = 1;
    for (const char *p = handle->rows; *p && *p != ';'; p++) *n = (SQLSMALLINT)(*n + (*p == '|'));
    return SQL_SUCCESS;
}

SQLRETURN SQLFetch(SQLHSTMT statement) {
    struct handle *handle = statement;
    if (call_fails()) return fail(handle, fake_odbc->failure);
    if (handle->fetched) {
        handle->rows += strcspn(handle->rows, ";");
        if (*handle->rows) handle->rows++;
    }
    handle->fetched = true;
    handle->column = 0;
    return *handle->rows ? SQL_SUCCESS : SQL_NO_DATA;
}

/* In pieces, as long as the buffer, texts with a NUL behind each; numbers as numbers. */
SQLRETURN SQLGetData(SQLHSTMT statement, SQLUSMALLINT column, SQLSMALLINT type, SQLPOINTER to, SQLLEN size, SQLLEN *length) {
    struct handle *handle = statement;
    if (call_fails()) return fail(handle, fake_odbc->failure);
    const char *at = handle->rows;
    for (int i = 1; i < column; i++) at += strcspn(at, "|;") + 1;
    size_t n_bytes = strcspn(at, "|;");
    if (handle->column != column) handle->read = 0;
    handle->column = column;
    if (n_bytes == 1 && *at == '~') {
        *length = SQL_NULL_DATA;
        return SQL_SUCCESS;
    }
    if (type == SQL_C_SBIGINT) {
        *(int64_t *)to = strtoll(at, NULL, 10);
        return SQL_SUCCESS;
    }
    if (type == SQL_C_DOUBLE) {
        *(double *)to = strtod(at, NULL);
        return SQL_SUCCESS;
    }
    bool is_text = type == SQL_C_CHAR;
    size_t left = n_bytes - handle->read, room = (size_t)size - is_text;
    if (fake_odbc->spares && is_text && left > room && room > 2) room -= 2;
    size_t fits = left < room ? left : room;
    *length = (SQLLEN)left;
    memcpy(to, at + handle->read, fits);
    if (is_text) ((char *)to)[fits] = '\0';
    handle->read += fits;
    return fits < left ? SQL_SUCCESS_WITH_INFO : SQL_SUCCESS;
}

SQLRETURN SQLCancel(SQLHSTMT statement) {
    (void)statement; /* and nothing is noted: it comes from another thread */
    atomic_store(&fake_odbc->is_interrupted, true);
    return SQL_SUCCESS;
}

/* ---- parameters ---- */

SQLRETURN SQLPrepare(SQLHSTMT statement, SQLCHAR *text, SQLINTEGER length) {
    struct handle *handle = statement;
    (void)length;
    saw((const char *)text);
    if (strcmp(handle->insert, (const char *)text) != 0) fake_odbc->n_loaded = 0;
    snprintf(handle->insert, sizeof handle->insert, "%s", (const char *)text);
    return call_fails() || statement_fails((const char *)text) ? fail(handle, fake_odbc->failure) : SQL_SUCCESS;
}

SQLRETURN SQLSetStmtAttr(SQLHSTMT statement, SQLINTEGER attribute, SQLPOINTER value, SQLINTEGER length) {
    struct handle *handle = statement;
    (void)length;
    if (call_fails()) return fail(handle, fake_odbc->failure);
    if (attribute == SQL_ATTR_PARAM_STATUS_PTR) saw("(row status)");
    if (attribute != SQL_ATTR_PARAMSET_SIZE) return SQL_SUCCESS;
    if (fake_odbc->refuses_arrays && (SQLULEN)value > 1) return fail(handle, (struct fake_failure){"HYC00", 0, "Optional feature not implemented"});
    handle->n_sets = (SQLULEN)value;
    return SQL_SUCCESS;
}

SQLRETURN SQLBindParameter(SQLHSTMT statement, SQLUSMALLINT number, SQLSMALLINT direction, SQLSMALLINT c_type, SQLSMALLINT sql_type, SQLULEN size,
                           SQLSMALLINT digits, SQLPOINTER values, SQLLEN width, SQLLEN *lengths) {
    struct handle *handle = statement;
    (void)direction, (void)sql_type, (void)size, (void)digits;
    if (call_fails()) return fail(handle, fake_odbc->failure);
    handle->parameters[number - 1] = (struct parameter){.c_type = c_type, .values = values, .width = width, .lengths = lengths};
    if (number > handle->n_parameters) handle->n_parameters = number;
    return SQL_SUCCESS;
}

static void note_value(const struct parameter *parameter, SQLULEN row) {
    char text[128];
    const char *at = parameter->values + row * (SQLULEN)parameter->width;
    SQLLEN length = parameter->lengths[row];
    if (length == SQL_NULL_DATA) snprintf(text, sizeof text, "~");
    else if (parameter->c_type == SQL_C_SBIGINT) snprintf(text, sizeof text, "%lld", (long long)*(const int64_t *)at);
    else if (parameter->c_type == SQL_C_SLONG) snprintf(text, sizeof text, "%d", *(const int32_t *)at);
    else if (parameter->c_type == SQL_C_SSHORT) snprintf(text, sizeof text, "%d", *(const int16_t *)at);
    else if (parameter->c_type == SQL_C_STINYINT) snprintf(text, sizeof text, "%d", *at);
    else if (parameter->c_type == SQL_C_DOUBLE) snprintf(text, sizeof text, "%.17g", *(const double *)at);
    else snprintf(text, sizeof text, "%.*s", (int)(length < 100 ? length : 100), at);
    note(fake_odbc->rows, sizeof fake_odbc->rows, text, "|");
}

/* What is bound is read to its last byte. */
static void take_rows(struct handle *handle, SQLULEN n_rows) {
    for (SQLULEN row = 0; row < n_rows; row++) {
        for (int i = 0; i < handle->n_parameters; i++) note_value(&handle->parameters[i], row);
        note(fake_odbc->rows, sizeof fake_odbc->rows, "", ";");
    }
    fake_odbc->n_loaded += (int64_t)n_rows;
}

SQLRETURN SQLExecute(SQLHSTMT statement) {
    struct handle *handle = statement;
    fake_odbc->n_executes++;
    if ((int64_t)handle->n_sets > fake_odbc->most_rows) fake_odbc->most_rows = (int64_t)handle->n_sets;
    if (call_fails() || (fake_odbc->fail_part && strcmp(fake_odbc->fail_part, "(rows)") == 0)) return fail(handle, fake_odbc->failure);
    if (fake_odbc->wait_part && strstr(handle->insert, fake_odbc->wait_part)) return wait_for_cancel(handle);
    take_rows(handle, fake_odbc->takes_first ? 1 : handle->n_sets);
    if (!fake_odbc->truncates) return SQL_SUCCESS;
    handle->said = (struct fake_failure){"01004", 0, "String data, right truncated"};
    return SQL_SUCCESS_WITH_INFO;
}

void fill_fake_odbc(struct rf_odbc_api *api) {
#define FILL(name, parameters) api->name = name;
    RF_ODBC_FUNCTIONS(FILL)
#undef FILL
}
