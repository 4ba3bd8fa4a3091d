/* Connecting through ODBC, bounded in time and open to a cancel, whatever the driver makes of its login timeout. */
#ifndef RF_ODBC_CONNECT_H
#define RF_ODBC_CONNECT_H

#include "drivers/odbc.h"

/* Has the driver connect odbc->connection by `string`, which is freed; *returned is what SQLDriverConnect gave.
 *
 * Errors: RF_TARGET (no answer within connect_timeout_s), RF_CANCELLED, RF_NO_MEMORY. Behind the first two *odbc has no
 * handles any more: the driver that still waits has them.
 */
enum rf_code rf_odbc_connect_in_time(struct rf_odbc *odbc, struct rf_text *string, int *returned, struct rf_error *err);

#endif
