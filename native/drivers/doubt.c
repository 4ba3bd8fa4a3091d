#include "drivers/doubt.h"

#include <inttypes.h>

enum { TRIES = RF_TRIES_BEHIND_CANCEL, PAUSE_MS = 1000 };

enum rf_code rf_resolve_doubt(const struct rf_doubt *doubt, struct rf_error *err) {
    enum rf_outcome outcome = RF_ASK_AGAIN;
    for (int tries = 0; outcome == RF_ASK_AGAIN && tries < TRIES; tries++) {
        if (tries > 0) rf_cancel_pause(doubt->cancel, PAUSE_MS);
        outcome = doubt->ask(doubt->self);
    }
    if (outcome == RF_COMMITTED) return RF_OK;
    if (outcome != RF_NOT_COMMITTED) rf_hint(err, "Whether load %" PRId64 " of %s was committed could not be found out; the next try looks first.", doubt->load_id, doubt->label);
    return err->code;
}
