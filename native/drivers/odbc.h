/* A session with a database through unixODBC and its driver: open, execute, read, load rows, commit, cancel, diagnose.
 *
 * Called from one thread at a time, but for the cancel token, which interrupts what runs from a thread of its own. Texts go
 * both ways as UTF-8. What a driver says is judged in one place, and no password leaves it.
 */
#ifndef RF_ODBC_H
#define RF_ODBC_H

#include "core/odbc_uri.h"
#include "drivers/diagnose_odbc.h"
#include "drivers/session.h"

#include <stdbool.h>

struct rf_odbc_api;
struct rf_odbc_interrupt; /* what the cancel token holds of a session */
struct rf_odbc_scan;      /* rows that are being read */

struct rf_odbc {
    const struct rf_odbc_uri *uri;
    const char *driver; /* a registered driver's name, or the path of its library; NULL: found by the dialect */
    int connect_timeout_s;
    size_t batch_bytes; /* of memory for rows that are bound at a time */
    struct rf_cancel *cancel;

    struct rf_odbc_api *api; /* NULL until it is needed; freed by `close` */
    void *environment;
    void *connection;
    bool is_open;
    bool is_missing;         /* there is no driver manager, or it knows no driver for the database */
    enum rf_dialect dialect; /* of the open session */
    char dbms[64];           /* the database by its own name */
    bool by_statement;       /* transactions begin and end by statements of ours */
    bool in_transaction;
    bool is_lost;            /* the session has ended by itself */
    bool past_cancel;        /* from a commit's beginning to the next transaction: its outcome is waited for, in new sessions too */
    struct rf_cancel_slot *slot;
    struct rf_odbc_interrupt *interrupt;
    struct rf_odbc_scan *scan; /* NULL: none */
};

/* Borrows *odbc, whose first part is filled and the rest zeroed, and which must outlive the session. */
struct rf_session rf_session_over_odbc(struct rf_odbc *odbc);

/* ---- between odbc.c, odbc_connect.c, odbc_rows.c and odbc_scan.c ---- */

/* Asked to stop, and not past the point where the outcome is waited for. */
bool rf_odbc_is_cancelled(const struct rf_odbc *odbc);

/* Of a connection that is closed; each but the table of functions may be NULL. */
void rf_odbc_free_handles(struct rf_odbc_api *api, void *environment, void *connection);

/* Makes a statement, which the cancel token interrupts while it is busy. */
enum rf_code rf_odbc_begin_statement(struct rf_odbc *odbc, const char *role, void **statement, struct rf_error *err);
void rf_odbc_end_statement(struct rf_odbc *odbc, void *statement);
/* The token is to interrupt this one again, after another that ended. */
void rf_odbc_watch(struct rf_odbc *odbc, void *statement);
void rf_odbc_set_busy(struct rf_odbc *odbc, bool busy);

/* Makes what a call of `statement` returned an error of ours. SQL_NO_DATA is none. */
enum rf_code rf_odbc_judge(struct rf_odbc *odbc, const char *role, int returned, void *statement, struct rf_error *err);

/* What was said of the newest call, the first error before any warning. False when nothing was. */
bool rf_odbc_read_said(struct rf_odbc *odbc, int handle_type, void *handle, struct rf_odbc_said *said);

enum rf_code rf_odbc_append(void *self, const char *role, struct rf_text *insert, struct rf_text *count, const struct rf_columns_field *fields, int n_fields,
                            struct ArrowArrayStream *stream, struct rf_error *err);

enum rf_code rf_odbc_run(struct rf_odbc *odbc, void *statement, const char *role, const struct rf_text *sql, struct rf_error *err);
/* The next row of a result; *got is false behind the last. */
enum rf_code rf_odbc_fetch(struct rf_odbc *odbc, void *statement, const char *role, bool *got, struct rf_error *err);
/* Appends a value of the row, of any length, as SQL_C_CHAR or SQL_C_BINARY. */
enum rf_code rf_odbc_read_value(struct rf_odbc *odbc, void *statement, const char *role, int column, int c_type, struct rf_text *value, bool *is_null,
                                struct rf_error *err);

enum rf_code rf_odbc_scan(void *self, const char *role, struct rf_text *sql, const struct rf_form *given, int n_columns, size_t batch_bytes, struct rf_error *err);
enum rf_code rf_odbc_next(void *self, struct rf_batch *batch, struct rf_error *err);
void rf_odbc_end_scan(void *self);

#endif
