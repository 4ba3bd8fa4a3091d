/* What an ODBC driver's diagnostics mean, in one table. */
#ifndef RF_DIAGNOSE_ODBC_H
#define RF_DIAGNOSE_ODBC_H

#include "core/error.h"
#include "core/schema.h"

#include <stdbool.h>

/* What a driver or the driver manager said of a call. */
struct rf_odbc_said {
    char state[6];
    int native;     /* the database's own number */
    char text[512]; /* one line, without the brackets that drivers begin with */
};

/* Fills *err; `dialect` is RF_DIALECTS while it is not known. Snowflake's own errors mean what they mean over ADBC
 * (diagnose_snowflake.h). */
void rf_odbc_diagnose(enum rf_dialect dialect, const char *role, const struct rf_odbc_said *said, struct rf_error *err);

/* Has the session ended, or could it not be had? */
bool rf_odbc_says_lost(enum rf_dialect dialect, const struct rf_odbc_said *said);

#endif
