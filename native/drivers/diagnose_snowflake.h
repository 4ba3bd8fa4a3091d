/* What Snowflake's errors mean here: one table, by Snowflake's own numbers, for both channels.
 *
 * Over ADBC its messages read "000625 (57014): Statement …", behind the name of the driver; over ODBC the number comes beside
 * the message, which is given the same form. What is the ODBC driver's own reads "(45) Error loading private key file: …".
 * Numbers: docs.snowflake.com and the public source of its connectors.
 */
#ifndef RF_DIAGNOSE_SNOWFLAKE_H
#define RF_DIAGNOSE_SNOWFLAKE_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Snowflake's number of an error; 0 where it is not Snowflake's. `native`: what the driver gives as one, or 0. */
int32_t rf_snowflake_number(int32_t native, const char *text);

/* Fills *err; `sqlstate` may be "". As rf_adbc_diagnosis. */
void rf_snowflake_diagnose(const char *role, int32_t native, const char *sqlstate, const char *text, struct rf_error *err);

/* Did the statement wait for somebody's lock in vain, or find too many waiting? Nothing of it was done: it may be sent again. */
bool rf_snowflake_is_locked(const struct rf_error *err);

/* Has the session's token expired? A new session has to be opened. */
bool rf_snowflake_is_expired(const struct rf_error *err);

/* Did Snowflake itself answer? Else what the statement came to is not known. */
bool rf_snowflake_answered(const struct rf_error *err);

#endif
