/* What Snowflake's errors mean here: one table, by Snowflake's own numbers, for both channels.
 *
 * Its messages read "000625 (57014): Statement …", behind the name of the driver. Numbers: docs.snowflake.com and the
 * public source of its connectors.
 */
#ifndef RF_DIAGNOSE_SNOWFLAKE_H
#define RF_DIAGNOSE_SNOWFLAKE_H

#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

/* Fills *err. `native` 0: the number is read from the text; `sqlstate` may be "". As rf_adbc_diagnosis. */
void rf_snowflake_diagnose(const char *role, int32_t native, const char *sqlstate, const char *text, struct rf_error *err);

/* Did the statement wait for somebody's lock in vain, or find too many waiting? Nothing of it was done: it may be sent again. */
bool rf_snowflake_is_locked(const struct rf_error *err);

/* Has the session's token expired? A new session has to be opened. */
bool rf_snowflake_is_expired(const struct rf_error *err);

/* Did Snowflake itself answer? Else what the statement came to is not known. */
bool rf_snowflake_answered(const struct rf_error *err);

#endif
