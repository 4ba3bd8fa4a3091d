/* Renews the lease of a load that lasts longer than a third of it, so that others see a sign of life.
 *
 * A short load never needs it: the thread sleeps, and opens a connection of its own only when the time comes.
 * During the merge the lease's row is locked by the load itself; a renewal then fails and is tried again, and
 * others take the lock for the sign of life.
 */
#ifndef RF_LEASE_KEEPER_H
#define RF_LEASE_KEEPER_H

#include "core/cancel.h"
#include "core/error.h"
#include "core/job.h"

#include <stdint.h>

struct rf_lease_keeper;

enum rf_code rf_lease_keeper_start(const struct rf_job *job, int64_t load_id, struct rf_lease_keeper **keeper, struct rf_error *err);

/* Ends the thread and waits for it. NULL is allowed. */
void rf_lease_keeper_stop(struct rf_lease_keeper *keeper);

#endif
