/* Renews the lease of a load that lasts longer than a third of it, so that others see a sign of life.
 *
 * A short load never needs it: the thread sleeps, and opens a connection of its own only when the time comes. A renewal that
 * fails is tried again: what decides is the fence at the commit, not the keeper.
 */
#ifndef RF_LEASE_KEEPER_H
#define RF_LEASE_KEEPER_H

#include "core/cancel.h"
#include "core/error.h"

struct rf_lease_keeper;

/* How a lease is renewed; all on the keeper's thread. `self` is dropped when the keeper ends, or is not started. */
struct rf_lease_ops {
    /* Connects if it has to. `stop` is requested when the keeper has to end. */
    enum rf_code (*renew)(void *self, struct rf_cancel *stop, struct rf_error *err);
    void (*drop)(void *self);
};

/* `self` NULL: there was no memory for it. */
enum rf_code rf_lease_keeper_start(const struct rf_lease_ops *ops, void *self, double lease_seconds, struct rf_lease_keeper **keeper, struct rf_error *err);

/* Ends the thread and waits for it. NULL is allowed. */
void rf_lease_keeper_stop(struct rf_lease_keeper *keeper);

#endif
