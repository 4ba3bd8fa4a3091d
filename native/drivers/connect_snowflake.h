/* How Snowflake is connected to: what a URI says, in the words of each channel's driver. */
#ifndef RF_CONNECT_SNOWFLAKE_H
#define RF_CONNECT_SNOWFLAKE_H

#include "core/arena.h"
#include "core/error.h"
#include "core/job.h"
#include "core/odbc_uri.h"
#include "core/snowflake_uri.h"
#include "drivers/adbc.h"

enum { RF_SNOWFLAKE_OPTIONS = 20 };

/* Options of adbc-driver-snowflake, which hold secrets; *n of them. The texts are the URI's or in `arena`. A key file with a
 * passphrase is read here: RF_CONFIG when it cannot be. */
enum rf_code rf_snowflake_adbc_options(const struct rf_snowflake_uri *uri, const struct rf_job *job, struct rf_arena *arena,
                                       struct rf_adbc_option options[RF_SNOWFLAKE_OPTIONS], int *n, struct rf_error *err);

/* The connection string of Snowflake's ODBC driver, but for the driver's name, with its secrets; in `arena`. A private key that
 * the URI itself holds needs a driver from 3.11 on. RF_CONFIG when the URI asks for http, which that driver does not speak. */
enum rf_code rf_snowflake_odbc_uri(const struct rf_snowflake_uri *uri, const struct rf_job *job, struct rf_arena *arena, struct rf_odbc_uri *out, struct rf_error *err);

#endif
