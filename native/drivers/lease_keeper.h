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

struct rf_lease_keeper;

/* How a lease is renewed: on the keeper's thread alone. */
struct rf_lease_renewal {
    /* Connects when there is no connection, and renews. `stop` ends it early. */
    enum rf_code (*renew)(void *self, struct rf_cancel *stop, struct rf_error *err);
    /* Disconnects and frees `self`. */
    void (*drop)(void *self);
    void *self;
};

/* Takes the renewal over, also when it fails. */
enum rf_code rf_lease_keeper_start(double lease_seconds, const struct rf_lease_renewal *renewal, struct rf_lease_keeper **keeper, struct rf_error *err);

/* Ends the thread and waits for it. NULL is allowed. */
void rf_lease_keeper_stop(struct rf_lease_keeper *keeper);

#endif
