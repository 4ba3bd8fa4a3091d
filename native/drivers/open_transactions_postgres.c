/* Locks, sessions, prepared transactions: the three listings come in this order, each a statement of its own. What
 * began after the first is younger than the listing; what was open at it is still listed by a later one, as a session
 * or prepared, or has ended, and then the snapshot that follows shows it.
 */
#include "drivers/open_transactions_postgres.h"

#include "core/sql.h"
#include "drivers/catalog_postgres.h"

#include <stdlib.h>

enum { POLL_MS = 100 };

/* Positions of the fields of RF_SQL_LIST_LOCKS and RF_SQL_LIST_SESSIONS. */
enum { L_LISTED, L_OPEN, L_READERS, L_SEES_ALL, L_REPLAYED };
enum { S_PID, S_USER, S_APPLICATION, S_SINCE, S_SECONDS };

static enum rf_code hold(struct rf_open_transactions_facts *open, int pid, const char *user, const char *application, double seconds,
                         struct rf_arena *arena, struct rf_error *err) {
    open->holder = (struct rf_holder){.known = true, .pid = pid, .seconds = seconds};
    open->holder.user = rf_arena_copy(arena, user);
    open->holder.application = rf_arena_copy(arena, application);
    return open->holder.user && open->holder.application ? RF_OK : rf_no_memory(err);
}

/* When a prepared transaction began is written nowhere. */
static enum rf_code list_prepared(struct rf_pg *pg, struct rf_arena *arena, struct rf_open_transactions_facts *open, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(pg, "list prepared transactions", RF_SQL_LIST_PREPARED, 0, NULL, &result, err));
    enum rf_code code = RF_OK;
    if (PQntuples(result) > 0) {
        char name[256];
        open->has_unknown = true;
        snprintf(name, sizeof name, "prepared transaction %s", PQgetvalue(result, 0, 0));
        code = hold(open, 0, PQgetvalue(result, 0, 1), name, 0, arena, err);
    }
    PQclear(result);
    return code;
}

static enum rf_code list_sessions(struct rf_pg *pg, const PGresult *locks, struct rf_arena *arena, struct rf_open_transactions_facts *open,
                                  struct rf_error *err) {
    const char *params[] = {PQgetvalue(locks, 0, L_OPEN), PQgetvalue(locks, 0, L_READERS)};
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(pg, "list sessions", RF_SQL_LIST_SESSIONS, 2, params, &result, err));
    enum rf_code code = RF_OK;
    for (int row = 0; row < PQntuples(result) && code == RF_OK; row++) {
        bool unknown = PQgetisnull(result, row, S_SINCE);
        int64_t since = rf_pg_integer(result, row, S_SINCE);
        open->has_unknown |= unknown;
        if (!unknown && since >= open->oldest_us) continue;
        if (!unknown) open->oldest_us = since;
        if (!open->holder.known)
            code = hold(open, (int)rf_pg_integer(result, row, S_PID), PQgetvalue(result, row, S_USER), PQgetvalue(result, row, S_APPLICATION),
                        strtod(PQgetvalue(result, row, S_SECONDS), NULL), arena, err);
    }
    PQclear(result);
    return code;
}

static enum rf_code list_once(struct rf_pg *pg, struct rf_arena *arena, struct rf_open_transactions_facts *open, struct rf_error *err) {
    PGresult *locks = NULL;
    RF_TRY(rf_pg_execute(pg, "list open transactions", RF_SQL_LIST_LOCKS, 0, NULL, &locks, err));
    int64_t listed = rf_pg_integer(locks, 0, L_LISTED);
    *open = (struct rf_open_transactions_facts){.listed = true, .listed_us = listed, .oldest_us = listed, .sees_all = rf_pg_flag(locks, 0, L_SEES_ALL)};
    open->replayed_us = PQgetisnull(locks, 0, L_REPLAYED) ? INT64_MAX : rf_pg_integer(locks, 0, L_REPLAYED);
    enum rf_code code = list_sessions(pg, locks, arena, open, err);
    PQclear(locks);
    return code == RF_OK ? list_prepared(pg, arena, open, err) : code;
}

enum rf_code rf_pg_list_open_transactions(struct rf_pg *pg, double wait_seconds, struct rf_arena *arena,
                                          struct rf_open_transactions_facts *open, struct rf_error *err) {
    RF_TRY(list_once(pg, arena, open, err));
    int64_t first_us = open->listed_us;
    for (double waited = 0; waited < wait_seconds && (open->has_unknown || open->oldest_us < first_us); waited += POLL_MS / 1000.0) {
        rf_cancel_wait(pg->cancel, POLL_MS);
        RF_TRY(list_once(pg, arena, open, err));
    }
    return RF_OK;
}
