#include "drivers/postgres.h"

#include "core/copy_binary.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLICE_MS = 100, GIVE_UP_MS = 700 };

static int64_t now_ms(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static enum rf_code side_code(const struct rf_pg *pg) {
    return pg->side == RF_SIDE_SOURCE ? RF_SOURCE : RF_TARGET;
}

static const char *side_name(const struct rf_pg *pg) {
    return pg->side == RF_SIDE_SOURCE ? "source" : "target";
}

/* ---- diagnosing ---- */

/* What a SQLSTATE means to the user of a job. The first row that begins the state wins; RF_OK stands for the
 * side's own class. Source of the states: postgresql.org/docs/current/errcodes-appendix.html. */
static const struct {
    const char *state;
    enum rf_code code;
    bool retryable;
    const char *hint;
} STATES[] = {
    {"28", RF_AUTH, false, "Check user and password of the connection, and pg_hba.conf of the server."},
    {"42501", RF_AUTH, false, "Grant the role what it lacks: SELECT on the source table; CREATE on the target's database or schemas."},
    {"3D000", RF_CONFIG, false, "Check the database name of the connection."},
    {"3F000", RF_CONFIG, false, "Check the schema's name."},
    {"55P03", RF_BUSY, true, "Another session holds a lock on the table; raise lock_timeout or run at another time."},
    {"57P03", RF_OK, true, "The server is starting up or shutting down."},
    {"40001", RF_OK, true, "On a standby: replay needed what was being read. Set hot_standby_feedback = on there, raise max_standby_streaming_delay, or read the primary."},
    {"53300", RF_OK, true, "The server has no free connection: run fewer tasks at once (an Airflow pool), or raise max_connections."},
    {"53100", RF_OK, true, "The server's disk is full."},
    {"25006", RF_CONFIG, false, "The server accepts no writes: it is a standby, or read-only by default."},
    {"0A000", RF_CONFIG, false, NULL},
    {"42", RF_CONFIG, false, NULL},
    {"54000", RF_DATA, false, NULL},
    {"54011", RF_CONFIG, false, "The target has three columns of its own: name at most 1597 in \"columns\"."},
    {"54", RF_CONFIG, false, NULL},
    {"23502", RF_DATA, false, "A key, or another column that may not be NULL, is NULL in a row of the source: choose other \"keys\", or a filter that leaves such rows out."},
    {"22", RF_DATA, false, NULL},
    {"23", RF_DATA, false, NULL},
};

static void diagnose_state(const struct rf_pg *pg, const char *state, struct rf_error *err) {
    err->code = side_code(pg);
    err->retryable = true;
    for (size_t i = 0; state && i < sizeof STATES / sizeof STATES[0]; i++) {
        if (strncmp(state, STATES[i].state, strlen(STATES[i].state)) != 0) continue;
        if (STATES[i].code != RF_OK) err->code = STATES[i].code;
        err->retryable = STATES[i].retryable;
        if (STATES[i].hint) rf_copy_text(err->hint, sizeof err->hint, STATES[i].hint);
        return;
    }
}

/* libpq's own texts end in a line feed and may have several lines. */
static void copy_line(char *to, size_t to_size, const char *from) {
    rf_copy_text(to, to_size, from);
    for (char *p = to; *p; p++)
        if (*p == '\n') *p = ' ';
    for (size_t n = strlen(to); n > 0 && to[n - 1] == ' '; n--) to[n - 1] = '\0';
}

static enum rf_code cancelled(struct rf_error *err) {
    return rf_fail(err, RF_CANCELLED, "the run was cancelled");
}

static bool is_cancelled(const struct rf_pg *pg) {
    return !pg->past_cancel && rf_cancel_requested(pg->cancel);
}

static enum rf_code fail_with_result(const struct rf_pg *pg, const char *role, const PGresult *result, struct rf_error *err) {
    if (is_cancelled(pg)) return cancelled(err);
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    /* A COMMIT that waits is asked to stop as well; its answer tells that it did, and rolled back. */
    if (state && strcmp(state, "57014") == 0 && rf_cancel_requested(pg->cancel)) return cancelled(err);
    char text[512];
    copy_line(text, sizeof text, PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
    if (!*text) copy_line(text, sizeof text, PQerrorMessage(pg->conn));
    rf_fail(err, RF_INTERNAL, "%s: %s: %s", side_name(pg), role, *text ? text : "the server gave no reason");
    diagnose_state(pg, state, err);
    rf_copy_text(err->sqlstate, sizeof err->sqlstate, state);
    rf_copy_text(err->role, sizeof err->role, role);
    rf_copy_text(err->server_message, sizeof err->server_message, text);
    copy_line(err->detail, sizeof err->detail, PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL));
    const char *hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
    if (hint && !*err->hint) copy_line(err->hint, sizeof err->hint, hint);
    return err->code;
}

static enum rf_code fail_with_connection(const struct rf_pg *pg, const char *role, struct rf_error *err) {
    if (is_cancelled(pg)) return cancelled(err);
    char text[512];
    copy_line(text, sizeof text, pg->conn ? PQerrorMessage(pg->conn) : "the session is closed");
    rf_fail(err, side_code(pg), "%s: %s: the connection failed: %s", side_name(pg), role, text);
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
    if (!pg->cancel_seen_ms) pg->cancel_seen_ms = now_ms();
    return now_ms() - pg->cancel_seen_ms > GIVE_UP_MS ? cancelled(err) : RF_OK;
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

/* ---- connecting ---- */

static void ask_to_cancel(void *arg) {
    char text[256];
    (void)PQcancel(arg, text, sizeof text);
}

static void drop_cancel(void *arg) {
    PQfreeCancel(arg);
}

/* The parser's message may quote the URI, and with it a password. */
static enum rf_code check_uri(const struct rf_pg *pg, const char *uri, struct rf_error *err) {
    char *ignored = NULL;
    PQconninfoOption *options = PQconninfoParse(uri, &ignored);
    if (ignored) PQfreemem(ignored);
    if (options) {
        PQconninfoFree(options);
        return RF_OK;
    }
    rf_fail(err, RF_CONFIG, "the %s is not a connection URI of PostgreSQL", side_name(pg));
    return rf_hint(err, "Write postgresql://user@host:5432/database; encode odd characters of a password as %%XX.");
}

static PGconn *start_connecting(const char *uri, const char *application) {
    const char *keys[] = {"dbname", "application_name", "client_encoding", "keepalives_idle", "keepalives_interval",
                          "keepalives_count", "tcp_user_timeout", NULL};
    const char *values[] = {uri, application, "UTF8", "30", "10", "3", "60000", NULL};
    return PQconnectStartParams(keys, values, 1);
}

static enum rf_code refuse_connection(const struct rf_pg *pg, struct rf_error *err) {
    if (is_cancelled(pg)) return cancelled(err);
    char text[512];
    copy_line(text, sizeof text, PQerrorMessage(pg->conn));
    /* libpq hands on no SQLSTATE for a refused connection; the server's words are those of its source. */
    static const struct { const char *words; const char *state; } refusals[] = {
        {"password authentication failed", "28P01"}, {"no password supplied", "28P01"}, {"authentication failed", "28000"},
        {"no pg_hba.conf entry", "28000"}, {"role \"", "28000"}, {"is not permitted to log in", "28000"},
        {"permission denied for database", "42501"}, {"database \"", "3D000"}, {"too many clients", "53300"},
        {"remaining connection slots", "53300"}, {"the database system is", "57P03"},
        {"could not translate host name", "08001"},
    };
    const char *state = "08006";
    for (size_t i = sizeof refusals / sizeof refusals[0]; i-- > 0;)
        if (strstr(text, refusals[i].words)) state = refusals[i].state;
    rf_fail(err, side_code(pg), "%s: cannot connect: %s", side_name(pg), text);
    diagnose_state(pg, state, err);
    rf_copy_text(err->sqlstate, sizeof err->sqlstate, state);
    rf_copy_text(err->role, sizeof err->role, "connect");
    rf_copy_text(err->server_message, sizeof err->server_message, text);
    if (!*err->hint) rf_hint(err, "Check host and port of the %s, and that the server is reachable from here.", side_name(pg));
    return err->code;
}

static enum rf_code finish_connecting(struct rf_pg *pg, int timeout_s, struct rf_error *err) {
    int64_t deadline = now_ms() + (int64_t)timeout_s * 1000;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;
    while (status != PGRES_POLLING_OK) {
        if (status == PGRES_POLLING_FAILED) return refuse_connection(pg, err);
        if (is_cancelled(pg)) return cancelled(err);
        if (now_ms() > deadline) {
            rf_fail(err, side_code(pg), "%s: no connection within %d s", side_name(pg), timeout_s);
            return rf_hint(err, "Check host, port and firewall of the %s, or raise connect_timeout.", side_name(pg));
        }
        struct pollfd socket = {.fd = PQsocket(pg->conn), .events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT};
        int ready = poll(&socket, 1, SLICE_MS);
        if (ready > 0) status = PQconnectPoll(pg->conn);
    }
    return RF_OK;
}

static enum rf_code set_up(struct rf_pg *pg, struct rf_error *err) {
    if (PQsetnonblocking(pg->conn, 1) != 0) return fail_with_connection(pg, "connect", err);
    pg->version = PQserverVersion(pg->conn);
    if (pg->version < 130000) return rf_fail(err, RF_CONFIG, "the %s is PostgreSQL %d; rowferry needs 13 or later", side_name(pg), pg->version / 10000);
    PGcancel *handle = PQgetCancel(pg->conn);
    if (!handle) return rf_no_memory(err);
    pg->slot = rf_cancel_register(pg->cancel, ask_to_cancel, drop_cancel, handle);
    return pg->slot ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_pg_open(struct rf_pg *pg, enum rf_side side, const char *uri, const char *application, int timeout_s,
                        struct rf_cancel *cancel, struct rf_error *err) {
    *pg = (struct rf_pg){.side = side, .cancel = cancel};
    if (is_cancelled(pg)) return cancelled(err);
    RF_TRY(check_uri(pg, uri, err));
    pg->conn = start_connecting(uri, application);
    if (!pg->conn) return rf_no_memory(err);
    enum rf_code code = PQstatus(pg->conn) == CONNECTION_BAD ? refuse_connection(pg, err) : finish_connecting(pg, timeout_s, err);
    if (code == RF_OK) code = set_up(pg, err);
    if (code != RF_OK) rf_pg_close(pg);
    return code;
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
    if (is_cancelled(pg)) return cancelled(err);
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

/* ---- copying out ---- */

enum rf_code rf_pg_copy_out(struct rf_pg *pg, const char *role, const char *sql, size_t batch_bytes, struct rf_error *err) {
    RF_TRY(rf_pg_execute(pg, role, sql, 0, NULL, NULL, err));
    pg->copy_ended = pg->begun = false;
    pg->buffer_used = 0;
    pg->buffer_rows = 0;
    if (pg->buffer_bytes != batch_bytes || !pg->buffer) {
        free(pg->buffer);
        pg->buffer = malloc(batch_bytes);
        pg->buffer_bytes = batch_bytes;
    }
    return pg->buffer ? RF_OK : rf_no_memory(err);
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
    if (pg->row_lent) drop_row(pg);
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
    if (is_cancelled(pg)) return cancelled(err);
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
