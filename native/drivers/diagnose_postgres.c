#include "drivers/diagnose_postgres.h"

#include <string.h>

enum rf_code rf_pg_side_code(enum rf_side side) {
    return side == RF_SIDE_SOURCE ? RF_SOURCE : RF_TARGET;
}

const char *rf_pg_side_name(enum rf_side side) {
    return side == RF_SIDE_SOURCE ? "source" : "target";
}

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
    {"25006", RF_OK, true, "The server accepts no writes: it is a standby, or read-only by default. With several hosts, target_session_attrs=read-write finds the one that does."},
    {"0A000", RF_CONFIG, false, NULL},
    {"42", RF_CONFIG, false, NULL},
    {"54000", RF_DATA, false, NULL},
    {"54011", RF_CONFIG, false, "The target has three columns of its own: name at most 1597 in \"columns\"."},
    {"54", RF_CONFIG, false, NULL},
    {"23502", RF_DATA, false, "A key, or another column that may not be NULL, is NULL in a row of the source: choose other \"keys\", or a filter that leaves such rows out."},
    {"22P05", RF_DATA, false, "The encoding of the database lacks a character: use a database in UTF8 as target, or leave such rows out with \"where\"."},
    {"22", RF_DATA, false, NULL},
    {"23", RF_DATA, false, NULL},
};

void rf_pg_diagnose(enum rf_side side, const char *state, struct rf_error *err) {
    err->code = rf_pg_side_code(side);
    err->retryable = true;
    /* Read-only by our own word: a filter that writes, or that would leave it to write. */
    if (side == RF_SIDE_SOURCE && state && (strcmp(state, "25006") == 0 || strcmp(state, "25001") == 0)) state = "42";
    for (size_t i = 0; state && i < sizeof STATES / sizeof STATES[0]; i++) {
        if (strncmp(state, STATES[i].state, strlen(STATES[i].state)) != 0) continue;
        if (STATES[i].code != RF_OK) err->code = STATES[i].code;
        err->retryable = STATES[i].retryable;
        if (STATES[i].hint) rf_copy_text(err->hint, sizeof err->hint, STATES[i].hint);
        return;
    }
}

void rf_pg_copy_line(char *to, size_t to_size, const char *from) {
    rf_copy_text(to, to_size, from);
    for (char *p = to; *p; p++)
        if (*p == '\n') *p = ' ';
    for (size_t n = strlen(to); n > 0 && to[n - 1] == ' '; n--) to[n - 1] = '\0';
}
