/* How Snowflake is connected to: what a URI says, in the words of each channel's driver. */
#ifndef RF_CONNECT_SNOWFLAKE_H
#define RF_CONNECT_SNOWFLAKE_H

#include "core/arena.h"
#include "core/error.h"
#include "core/job.h"
#include "core/snowflake_uri.h"
#include "core/text.h"
#include "drivers/adbc.h"

enum { RF_SNOWFLAKE_OPTIONS = 20 };

/* Options of adbc-driver-snowflake, which hold secrets; *n of them. The texts are the URI's or in `arena`. A key file with a
 * passphrase is read here: RF_CONFIG when it cannot be. */
enum rf_code rf_snowflake_adbc_options(const struct rf_snowflake_uri *uri, const struct rf_job *job, struct rf_arena *arena,
                                       struct rf_adbc_option options[RF_SNOWFLAKE_OPTIONS], int *n, struct rf_error *err);

/* The connection string of Snowflake's ODBC driver, which holds secrets, but for the driver's name. A key has to be in a
 * file there: RF_CONFIG when it is not. */
enum rf_code rf_snowflake_odbc_string(const struct rf_snowflake_uri *uri, const struct rf_job *job, struct rf_text *out, struct rf_error *err);

#endif
