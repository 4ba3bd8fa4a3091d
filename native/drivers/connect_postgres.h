/* Connecting to PostgreSQL: to which host, how safely, and what a refusal means.
 *
 * What the URI, a service file and the environment say is libpq's to read. We go through hosts and addresses
 * ourselves, so that each has its own time and a silent one does not stop the next. A host of another machine must
 * prove by TLS who it is (sslmode=verify-full) unless an sslmode is said; sockets and loopback stay as libpq has them.
 */
#ifndef RF_CONNECT_POSTGRES_H
#define RF_CONNECT_POSTGRES_H

#include "core/cancel.h"
#include "drivers/diagnose_postgres.h"

#include <libpq-fe.h>

struct rf_connecting {
    enum rf_side side;
    const char *uri; /* or key=value pairs */
    const char *application;
    int timeout_s; /* for each address of each host */
    struct rf_cancel *cancel;
};

/* *conn is the caller's to PQfinish, and NULL unless RF_OK. Fails with RF_AUTH, RF_CONFIG or the side's class; never
 * shows the URI. Answers a cancel within 100 ms, except while a name is looked up. */
enum rf_code rf_pg_connect(const struct rf_connecting *how, PGconn **conn, struct rf_error *err);

#endif
