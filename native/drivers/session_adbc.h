/* A session through an ADBC driver. */
#ifndef RF_SESSION_ADBC_H
#define RF_SESSION_ADBC_H

#include "drivers/adbc.h"
#include "drivers/scan.h"
#include "drivers/session.h"

struct rf_session_adbc {
    const char *library;
    const char *entry; /* the driver's first function in it */
    const struct rf_adbc_option *options; /* of the database; may hold secrets */
    int n_options;
    struct rf_cancel *cancel;
    struct rf_adbc adbc; /* zeroed */
    struct rf_scan *scan; /* rows that are being read; NULL: none */
};

/* Borrows *made, which must outlive the session. */
struct rf_session rf_session_over_adbc(struct rf_session_adbc *made);

#endif
