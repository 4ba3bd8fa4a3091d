/* Cancelling a run from another thread.
 *
 * A token is shared by the calling thread and the core's thread and counts its holders. Each connection
 * registers how to ask its server to stop. Asking may block (libpq's PQcancel opens a connection of its
 * own), so each connection has a thread for it, which asks again every 250 ms while a statement is under way: a
 * request that lands between two statements is lost. The token knows no database library.
 */
#ifndef RF_CANCEL_H
#define RF_CANCEL_H

#include "core/error.h"

#include <stdbool.h>

struct rf_cancel;
struct rf_cancel_slot;

/* One holder. NULL when memory is short. */
struct rf_cancel *rf_cancel_new(void);
/* One holder more; returns the token. */
struct rf_cancel *rf_cancel_hold(struct rf_cancel *cancel);
void rf_cancel_release(struct rf_cancel *cancel);

/* Any thread. The first call starts to ask the servers of all connections registered by then; a later one begins
 * no statement. Later calls change nothing. */
void rf_cancel_request(struct rf_cancel *cancel);
bool rf_cancel_requested(struct rf_cancel *cancel);

/* Registers a connection. `ask` runs on a thread of its own with `arg`, which `drop` frees once neither
 * side needs it. Returns NULL when memory is short; `arg` is then dropped. */
struct rf_cancel_slot *rf_cancel_register(struct rf_cancel *cancel, void (*ask)(void *arg),
                                          void (*drop)(void *arg), void *arg);
/* Only a busy connection is asked to stop. Any thread. */
void rf_cancel_set_busy(struct rf_cancel_slot *slot, bool busy);
void rf_cancel_unregister(struct rf_cancel *cancel, struct rf_cancel_slot *slot);

/* Waits up to timeout_ms, less when a cancel is requested. */
void rf_cancel_wait(struct rf_cancel *cancel, int timeout_ms);

/* Between tries that go on behind a cancel, since their outcome has to be known: of so many tries then at most all take a
 * second, and no pause is left out. */
enum { RF_TRIES_BEHIND_CANCEL = 30 };
void rf_cancel_pause(struct rf_cancel *cancel, int timeout_ms);

#endif
