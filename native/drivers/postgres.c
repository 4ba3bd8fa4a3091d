#include "drivers/postgres.h"

#include "core/clock.h"
#include "core/copy_binary.h"
#include "core/sql.h"
#include "drivers/connect_postgres.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum { SLICE_MS = 100, GIVE_UP_MS = 700 };

static bool is_cancelled(const struct rf_pg *pg) {
    return !pg->past_cancel && rf_cancel_requested(pg->cancel);
}

static enum rf_code fail_with_result(const struct rf_pg *pg, const char *role, const PGresult *result, struct rf_error *err) {
    if (is_cancelled(pg)) return rf_cancelled(err);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    /* A COMMIT that waits is asked to stop as well; its answer tells that it did, and rolled back. */
    if (state && strcmp(state, "57014") == 0 && rf_cancel_requested(pg->cancel)) return rf_cancelled(err);
    char text[512];
    rf_pg_copy_line(text, sizeof text, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    if (!*text) rf_pg_copy_line(text, sizeof text, PQerrorMessage(pg->conn));
    rf_fail(err, RF_INTERNAL, "%s: %s: %s", rf_pg_side_name(pg->side), role, *text ? text : "the server gave no reason");
    rf_pg_diagnose(pg->side, state, err);
    rf_copy_text(err->sqlstate, sizeof err->sqlstate, state);
    rf_copy_text(err->role, sizeof err->role, role);
    rf_copy_text(err->server_message, sizeof err->server_message, text);
    rf_pg_copy_line(err->detail, sizeof err->detail, PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    if (hint && !*err->hint) rf_pg_copy_line(err->hint, sizeof err->hint, hint);
    return err->code;
}

static enum rf_code fail_with_connection(const struct rf_pg *pg, const char *role, struct rf_error *err) {
    if (is_cancelled(pg)) return rf_cancelled(err);
    char text[512];
    rf_pg_copy_line(text, sizeof text, pg->conn ? PQerrorMessage(pg->conn) : "the session is closed");
    rf_fail(err, rf_pg_side_code(pg->side), "%s: %s: the connection failed: %s", rf_pg_side_name(pg->side), role, text);
    rf_copy_text(err->role, sizeof err->role, role);
    rf_copy_text(err->server_message, sizeof err->server_message, text);
    return err->code;
}

bool rf_pg_is_lost(const struct rf_pg *pg) {
    return !pg->conn || PQstatus(pg->conn) == CONNECTION_BAD;
}

/* ---- waiting ---- */

/* After a cancel the server has GIVE_UP_MS to answer. */
static enum rf_code heed_cancel(struct rf_pg *pg, struct rf_error *err) {
    if (!is_cancelled(pg)) return RF_OK;
    if (!pg->cancel_seen_ms) pg->cancel_seen_ms = rf_clock_ms();
    return rf_clock_ms() - pg->cancel_seen_ms > GIVE_UP_MS ? rf_cancelled(err) : RF_OK;
}

/* Waits for the socket, or a slice of time. */
static enum rf_code wait_slice(struct rf_pg *pg, short events, struct rf_error *err) {
    RF_TRY(heed_cancel(pg, err));
    struct pollfd socket = {.fd = PQsocket(pg->conn), .events = events};
    if (socket.fd < 0) return fail_with_connection(pg, "wait", err);
    if (poll(&socket, 1, SLICE_MS) < 0 && errno != EINTR) return rf_fail(err, RF_INTERNAL, "poll failed: %s", strerror(errno));
    return RF_OK;
}

static enum rf_code flush(struct rf_pg *pg, const char *role, struct rf_error *err) {
    int left;
    while ((left = PQflush(pg->conn)) == 1) {
        RF_TRY(wait_slice(pg, POLLIN | POLLOUT, err));
        if (!PQconsumeInput(pg->conn)) return fail_with_connection(pg, role, err);
    }
    return left == 0 ? RF_OK : fail_with_connection(pg, role, err);
}

static enum rf_code wait_for_result(struct rf_pg *pg, const char *role, struct rf_error *err) {
    while (PQisBusy(pg->conn)) {
        RF_TRY(wait_slice(pg, POLLIN, err));
        if (!PQconsumeInput(pg->conn)) return fail_with_connection(pg, role, err);
    }
    return RF_OK;
}

/* ---- opening and closing ---- */

static void ask_to_cancel(void *arg) {
    char text[256];
    (void)PQcancel(arg, text, sizeof text);
}

static void drop_cancel(void *arg) {
    PQfreeCancel(arg);
}

static enum rf_code set_up(struct rf_pg *pg, struct rf_error *err) {
    if (PQsetnonblocking(pg->conn, 1) != 0) return fail_with_connection(pg, "connect", err);
    pg->version = PQserverVersion(pg->conn);
    if (pg->version < 130000) return rf_fail(err, RF_CONFIG, "the %s is PostgreSQL %d; rowferry needs 13 or later", rf_pg_side_name(pg->side), pg->version / 10000);
    PGcancel *handle = PQgetCancel(pg->conn);
    if (!handle) return rf_no_memory(err);
    pg->slot = rf_cancel_register(pg->cancel, ask_to_cancel, drop_cancel, handle);
    return pg->slot ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_pg_open(struct rf_pg *pg, enum rf_side side, const char *uri, const char *application, int timeout_s,
                        struct rf_cancel *cancel, struct rf_error *err) {
    *pg = (struct rf_pg){.side = side, .cancel = cancel};
    const struct rf_connecting how = {.side = side, .uri = uri, .application = application, .timeout_s = timeout_s, .cancel = cancel};
    enum rf_code code = rf_pg_connect(&how, &pg->conn, err);
    if (code == RF_OK) code = set_up(pg, err);
    if (code != RF_OK) rf_pg_close(pg);
    return code;
}

enum rf_code rf_pg_open_in_time(struct rf_pg *pg, enum rf_side side, const char *uri, const char *application, int timeout_s,
                                double wait_seconds, struct rf_cancel *cancel, struct rf_error *err) {
    enum { POLL_MS = 250 };
    for (double waited = 0;; waited += POLL_MS / 1000.0) {
        enum rf_code code = rf_pg_open(pg, side, uri, application, timeout_s, cancel, err);
        if (code == RF_OK || strcmp(err->sqlstate, "53300") != 0 || waited >= wait_seconds) return code;
        rf_cancel_wait(cancel, POLL_MS);
    }
}

void rf_pg_close(struct rf_pg *pg) {
    if (pg->row) PQfreemem(pg->row);
    free(pg->buffer);
    pg->row = NULL;
    pg->buffer = NULL;
    rf_cancel_unregister(pg->cancel, pg->slot);
    pg->slot = NULL;
    if (pg->conn) PQfinish(pg->conn);
    pg->conn = NULL;
}

/* ---- executing ---- */

static bool succeeded(const PGresult *result) {
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_COPY_OUT || status == PGRES_COPY_IN;
}

static bool starts_copy(const PGresult *result) {
    return PQresultStatus(result) == PGRES_COPY_OUT || PQresultStatus(result) == PGRES_COPY_IN;
}

/* Takes all results of what was sent; keeps the first failure, else the last result. */
static enum rf_code take_results(struct rf_pg *pg, const char *role, PGresult **kept, struct rf_error *err) {
    *kept = NULL;
    for (;;) {
        RF_TRY(wait_for_result(pg, role, err));
        PGresult *result = PQgetResult(pg->conn);
        if (!result) break;
        if (*kept && !succeeded(*kept)) {
            PQclear(result);
            continue;
        }
        PQclear(*kept);
        *kept = result;
        if (starts_copy(result)) break;
    }
    if (!*kept) return fail_with_connection(pg, role, err);
    return succeeded(*kept) ? RF_OK : fail_with_result(pg, role, *kept, err);
}

static enum rf_code finish(struct rf_pg *pg, const char *role, int sent, PGresult **result, struct rf_error *err) {
    PGresult *kept = NULL;
    enum rf_code code = sent ? flush(pg, role, err) : fail_with_connection(pg, role, err);
    if (code == RF_OK) code = take_results(pg, role, &kept, err);
    rf_cancel_set_busy(pg->slot, code == RF_OK && kept && starts_copy(kept));
    if (result && code == RF_OK) *result = kept;
    else PQclear(kept);
    return code;
}

static enum rf_code begin_statement(struct rf_pg *pg, const char *role, struct rf_error *err) {
    if (!pg->conn) return fail_with_connection(pg, role, err);
    if (is_cancelled(pg)) return rf_cancelled(err);
    rf_cancel_set_busy(pg->slot, true);
    return RF_OK;
}

enum rf_code rf_pg_execute(struct rf_pg *pg, const char *role, const char *sql, int n_params, const char *const *params,
                           PGresult **result, struct rf_error *err) {
    RF_TRY(begin_statement(pg, role, err));
    int sent = PQsendQueryParams(pg->conn, sql, n_params, NULL, params, NULL, NULL, 0);
    return finish(pg, role, sent, result, err);
}

enum rf_code rf_pg_execute_text(struct rf_pg *pg, const char *role, struct rf_text *sql, int n_params,
                                const char *const *params, PGresult **result, struct rf_error *err) {
    enum rf_code code = rf_text_check(sql, err);
    if (code == RF_OK) code = rf_pg_execute(pg, role, sql->data, n_params, params, result, err);
    rf_text_free(sql);
    return code;
}

enum rf_code rf_pg_execute_script(struct rf_pg *pg, const char *role, struct rf_text *sql, struct rf_error *err) {
    enum rf_code code = rf_text_check(sql, err);
    if (code == RF_OK) code = begin_statement(pg, role, err);
    if (code == RF_OK) code = finish(pg, role, PQsendQuery(pg->conn, sql->data), NULL, err);
    rf_text_free(sql);
    return code;
}

enum rf_code rf_pg_watch_client(struct rf_pg *pg, struct rf_error *err) {
    if (pg->version < 140000) return RF_OK;
    bool inside = PQtransactionStatus(pg->conn) == PQTRANS_INTRANS;
    struct rf_text watch = {0}, undo = {0};
    rf_text_add(&watch, inside ? RF_SQL_WATCH_CLIENT_LOCALLY : RF_SQL_WATCH_CLIENT);
    enum rf_code code = rf_pg_execute_script(pg, "watch the client", &watch, err);
    if (code == RF_OK || strcmp(err->sqlstate, "22023") != 0) return code;
    if (inside) rf_text_add(&undo, RF_SQL_UNDO_WATCH);
    return inside ? rf_pg_execute_script(pg, "do without a watch", &undo, err) : RF_OK;
}

/* ---- copying out ---- */

static enum rf_code make_buffer(struct rf_pg *pg, size_t batch_bytes, struct rf_error *err) {
    pg->buffer_used = 0;
    pg->buffer_rows = 0;
    if (pg->buffer_bytes != batch_bytes || !pg->buffer) {
        free(pg->buffer);
        pg->buffer = malloc(batch_bytes);
        pg->buffer_bytes = batch_bytes;
    }
    return pg->buffer ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_pg_copy_send(struct rf_pg *pg, const char *sql, size_t batch_bytes, struct rf_error *err) {
    RF_TRY(make_buffer(pg, batch_bytes, err));
    RF_TRY(begin_statement(pg, "read", err));
    if (!PQsendQueryParams(pg->conn, sql, 0, NULL, NULL, NULL, NULL, 0)) return fail_with_connection(pg, "read", err);
    pg->copy_starting = true;
    pg->copy_ended = pg->begun = false;
    return flush(pg, "read", err);
}

/* A server tells that a COPY begins only along with its first rows. */
static enum rf_code start_copy(struct rf_pg *pg, bool *dry, struct rf_error *err) {
    if (!PQconsumeInput(pg->conn)) return fail_with_connection(pg, "read", err);
    *dry = PQisBusy(pg->conn);
    if (*dry) return RF_OK;
    PGresult *result = NULL;
    enum rf_code code = take_results(pg, "read", &result, err);
    pg->copy_starting = false;
    if (code != RF_OK) rf_cancel_set_busy(pg->slot, false);
    PQclear(result);
    return code;
}

enum rf_code rf_pg_copy_out(struct rf_pg *pg, const char *sql, size_t batch_bytes, struct rf_error *err) {
    RF_TRY(rf_pg_copy_send(pg, sql, batch_bytes, err));
    for (;;) {
        bool dry;
        RF_TRY(start_copy(pg, &dry, err));
        if (!dry) return RF_OK;
        RF_TRY(wait_slice(pg, POLLIN, err));
    }
}

static void drop_row(struct rf_pg *pg) {
    if (pg->row) PQfreemem(pg->row);
    pg->row = NULL;
    pg->row_bytes = pg->row_at = 0;
    pg->row_lent = false;
}

static enum rf_code end_copy_out(struct rf_pg *pg, struct rf_batch *batch, struct rf_error *err) {
    PGresult *result = NULL;
    enum rf_code code = take_results(pg, "read", &result, err);
    rf_cancel_set_busy(pg->slot, false);
    *batch = (struct rf_batch){0};
    if (code == RF_OK) batch->n_rows = strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return code;
}

/* Leaves out what is no row of a bare COPY. */
static enum rf_code strip(struct rf_pg *pg, int *got, struct rf_error *err) {
    const uint8_t *bytes = (const uint8_t *)pg->row;
    if (!pg->begun) pg->row_at = rf_copy_header_length(bytes, pg->row_bytes);
    if (!pg->begun && pg->row_at == 0) return rf_fail(err, RF_INTERNAL, "a server sent rows that are not COPY BINARY");
    pg->begun = true;
    pg->row_bytes -= pg->row_at;
    bool ends = pg->row_bytes == RF_COPY_TRAILER_BYTES && memcmp(bytes + pg->row_at, rf_copy_trailer, RF_COPY_TRAILER_BYTES) == 0;
    *got = ends ? 0 : (int)pg->row_bytes;
    if (*got == 0) drop_row(pg);
    return RF_OK;
}

/* Takes the next message. *got is 0 when there is none yet, -1 at the end. */
static enum rf_code take_row(struct rf_pg *pg, int *got, struct rf_error *err) {
    if (pg->row) {
        *got = (int)pg->row_bytes;
        return RF_OK;
    }
    do {
        *got = pg->copy_ended ? -1 : PQgetCopyData(pg->conn, &pg->row, 1);
        pg->copy_ended = *got == -1;
        if (*got == -2) return fail_with_connection(pg, "read", err);
        pg->row_bytes = *got > 0 ? (size_t)*got : 0;
        if (*got <= 0 || !pg->bare) return RF_OK;
        RF_TRY(strip(pg, got, err));
    } while (*got == 0);
    return RF_OK;
}

/* Collects rows until the buffer is full, the data ends, or nothing more is there: then *dry is set. */
static enum rf_code collect(struct rf_pg *pg, bool *dry, struct rf_error *err) {
    for (*dry = false;;) {
        int got;
        RF_TRY(take_row(pg, &got, err));
        if (got == 0) {
            if (!PQconsumeInput(pg->conn)) return fail_with_connection(pg, "read", err);
            RF_TRY(take_row(pg, &got, err));
        }
        *dry = got == 0;
        if (got <= 0 || pg->buffer_used + pg->row_bytes > pg->buffer_bytes) return RF_OK;
        memcpy(pg->buffer + pg->buffer_used, pg->row + pg->row_at, pg->row_bytes);
        pg->buffer_used += pg->row_bytes;
        pg->buffer_rows++;
        drop_row(pg);
    }
}

enum rf_code rf_pg_copy_try(struct rf_pg *pg, struct rf_batch *batch, bool *dry, struct rf_error *err) {
    *dry = false;
    if (pg->row_lent) drop_row(pg);
    if (pg->copy_starting) RF_TRY(start_copy(pg, dry, err));
    if (*dry) return RF_OK;
    RF_TRY(collect(pg, dry, err));
    if (pg->buffer_used == 0 && pg->copy_ended) return end_copy_out(pg, batch, err);
    if (*dry && pg->buffer_used <= pg->buffer_bytes / 2) return RF_OK;
    *dry = false; /* enough to write while more arrives */
    bool alone = pg->row_lent = pg->buffer_used == 0;
    if (alone) *batch = (struct rf_batch){.bytes = (const uint8_t *)pg->row + pg->row_at, .n_bytes = pg->row_bytes, .n_rows = 1};
    else *batch = (struct rf_batch){.bytes = pg->buffer, .n_bytes = pg->buffer_used, .n_rows = pg->buffer_rows};
    pg->buffer_used = 0;
    pg->buffer_rows = 0;
    return RF_OK;
}

enum rf_code rf_pg_copy_next(struct rf_pg *pg, struct rf_batch *batch, struct rf_error *err) {
    for (;;) {
        bool dry;
        RF_TRY(rf_pg_copy_try(pg, batch, &dry, err));
        if (!dry) return RF_OK;
        RF_TRY(wait_slice(pg, POLLIN, err));
    }
}

enum rf_code rf_pg_wait_any(struct rf_pg *const *sessions, int n, struct rf_error *err) {
    struct pollfd sockets[RF_MOST_SESSIONS];
    for (int i = 0; i < n; i++) {
        RF_TRY(heed_cancel(sessions[i], err));
        sockets[i] = (struct pollfd){.fd = PQsocket(sessions[i]->conn), .events = POLLIN};
        if (sockets[i].fd < 0) return fail_with_connection(sessions[i], "wait", err);
    }
    if (poll(sockets, (nfds_t)n, SLICE_MS) < 0 && errno != EINTR) return rf_fail(err, RF_INTERNAL, "poll failed: %s", strerror(errno));
    return RF_OK;
}

/* ---- copying in ---- */

enum rf_code rf_pg_copy_in(struct rf_pg *pg, const char *role, struct rf_text *sql, struct rf_error *err) {
    return rf_pg_execute_text(pg, role, sql, 0, NULL, NULL, err);
}

/* A server that gave up says so while it is still being sent rows. */
static enum rf_code fail_copy_in(struct rf_pg *pg, struct rf_error *err) {
    PGresult *result = NULL;
    enum rf_code code = take_results(pg, "load rows", &result, err);
    PQclear(result);
    return code == RF_OK ? fail_with_connection(pg, "load rows", err) : code;
}

/* libpq's output buffer grows without limit: it is emptied before the next piece. */
enum rf_code rf_pg_copy_write(struct rf_pg *pg, const struct rf_batch *batch, struct rf_error *err) {
    if (is_cancelled(pg)) return rf_cancelled(err);
    enum { PIECE_BYTES = 65536 };
    for (size_t at = 0; at < batch->n_bytes; at += PIECE_BYTES) {
        size_t n = batch->n_bytes - at < PIECE_BYTES ? batch->n_bytes - at : PIECE_BYTES;
        if (PQputCopyData(pg->conn, (const char *)batch->bytes + at, (int)n) != 1) return fail_copy_in(pg, err);
        RF_TRY(flush(pg, "load rows", err));
    }
    return RF_OK;
}

enum rf_code rf_pg_copy_end(struct rf_pg *pg, int64_t *n_rows, struct rf_error *err) {
    if (PQputCopyEnd(pg->conn, NULL) != 1) return fail_copy_in(pg, err);
    RF_TRY(flush(pg, "load rows", err));
    PGresult *result = NULL;
    enum rf_code code = take_results(pg, "load rows", &result, err);
    rf_cancel_set_busy(pg->slot, false);
    if (code == RF_OK) *n_rows = strtoll(PQcmdTuples(result), NULL, 10);
    PQclear(result);
    return code;
}
