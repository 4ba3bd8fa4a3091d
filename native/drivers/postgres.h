/* A PostgreSQL session: connect, execute, copy, wait, cancel, diagnose.
 *
 * All waiting goes through one loop that looks at the job's cancel token every 100 ms. A cancelled statement
 * gets 700 ms to end on its server; then the session is given up, and closing its socket ends it there.
 */
#ifndef RF_POSTGRES_H
#define RF_POSTGRES_H

#include "core/batch.h"
#include "core/cancel.h"
#include "core/error.h"
#include "core/text.h"
#include "drivers/diagnose_postgres.h"

#include <libpq-fe.h>

#include <stdbool.h>
#include <stdint.h>

enum { RF_MOST_SESSIONS = 16 }; /* that one can wait for together */

struct rf_pg {
    PGconn *conn; /* NULL when closed */
    enum rf_side side;
    int version; /* server_version_num */
    struct rf_cancel *cancel;
    struct rf_cancel_slot *slot;
    bool past_cancel;       /* COMMIT was sent: its outcome is waited for */
    int64_t cancel_seen_ms; /* when this session first saw the cancel; 0 before */
    bool copy_starting;     /* of COPY OUT: sent, and not yet answered */
    bool copy_ended;        /* of COPY OUT: the last row was read */
    char *row;              /* of COPY OUT: read but not yet handed over */
    size_t row_bytes;
    size_t row_at;          /* its first byte to hand over */
    bool row_lent; /* it was handed over by itself, being longer than the buffer */
    bool bare;     /* header and trailer are left out, for one stream of several COPYs */
    bool begun;    /* of a bare COPY: the header was left out */
    uint8_t *buffer; /* of COPY OUT */
    size_t buffer_bytes;
    size_t buffer_used;
    int64_t buffer_rows;
};

/* Connects, as connect_postgres.h says. */
enum rf_code rf_pg_open(struct rf_pg *pg, enum rf_side side, const char *uri, const char *application, int timeout_s,
                        struct rf_cancel *cancel, struct rf_error *err);

/* The same, and while the server has no connection free, again for up to wait_seconds. */
enum rf_code rf_pg_open_in_time(struct rf_pg *pg, enum rf_side side, const char *uri, const char *application, int timeout_s,
                                double wait_seconds, struct rf_cancel *cancel, struct rf_error *err);

/* Closes the session; may be called at any time, twice. */
void rf_pg_close(struct rf_pg *pg);

/* Runs one statement with text parameters. *result (to be cleared by the caller) may be NULL when it is of no
 * interest. `role` says what the statement is for; it goes into errors in place of the text. */
enum rf_code rf_pg_execute(struct rf_pg *pg, const char *role, const char *sql, int n_params, const char *const *params,
                           PGresult **result, struct rf_error *err);

/* Runs what a maker of core/sql.h wrote, and frees the text. */
enum rf_code rf_pg_execute_text(struct rf_pg *pg, const char *role, struct rf_text *sql, int n_params,
                                const char *const *params, PGresult **result, struct rf_error *err);

/* Has the server look each second whether we are still there while it works for us, in the present transaction
 * alone when there is one. Servers before 14, and systems that cannot see a client go, do without. */
enum rf_code rf_pg_watch_client(struct rf_pg *pg, struct rf_error *err);

/* Several statements in one message, without parameters; stops at the first failure. */
enum rf_code rf_pg_execute_script(struct rf_pg *pg, const char *role, struct rf_text *sql, struct rf_error *err);

/* COPY … TO STDOUT: start, then batches of whole rows of at most batch_bytes (a longer row comes alone). At the
 * end n_bytes is 0 and n_rows the server's own count. */
enum rf_code rf_pg_copy_out(struct rf_pg *pg, const char *sql, size_t batch_bytes, struct rf_error *err);
enum rf_code rf_pg_copy_next(struct rf_pg *pg, struct rf_batch *batch, struct rf_error *err);
/* The start and the next batch without waiting: *dry is set when there is nothing to hand over yet. */
enum rf_code rf_pg_copy_send(struct rf_pg *pg, const char *sql, size_t batch_bytes, struct rf_error *err);
enum rf_code rf_pg_copy_try(struct rf_pg *pg, struct rf_batch *batch, bool *dry, struct rf_error *err);
/* Waits until one of the sessions has something to read, or a slice of time. */
enum rf_code rf_pg_wait_any(struct rf_pg *const *sessions, int n, struct rf_error *err);

/* COPY … FROM STDIN: start, write, end. *n_rows is the server's own count. */
enum rf_code rf_pg_copy_in(struct rf_pg *pg, const char *role, struct rf_text *sql, struct rf_error *err);
enum rf_code rf_pg_copy_write(struct rf_pg *pg, const struct rf_batch *batch, struct rf_error *err);
enum rf_code rf_pg_copy_end(struct rf_pg *pg, int64_t *n_rows, struct rf_error *err);

/* True when the session is gone, so that what it was doing is unknown. */
bool rf_pg_is_lost(const struct rf_pg *pg);

#endif
