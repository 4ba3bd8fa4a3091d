/* Which right a refused statement lacks. */
#ifndef RF_DRIVERS_RIGHTS_H
#define RF_DRIVERS_RIGHTS_H

#include "core/error.h"
#include "core/job.h"

/* Makes the hint of an error with SQLSTATE 42501 name what to grant; leaves any other error alone. The server's
 * message names the object but not the right, and is in the server's language. */
void rf_hint_at_right(const struct rf_job *job, struct rf_error *err);

#endif
