/* Finding out whether a load was committed to whose COMMIT no answer came. */
#ifndef RF_DOUBT_H
#define RF_DOUBT_H

#include "core/cancel.h"
#include "core/error.h"

#include <stdint.h>

enum rf_outcome {
    RF_COMMITTED,
    RF_NOT_COMMITTED,
    RF_ASK_AGAIN, /* no answer yet */
    RF_UNKNOWN,   /* nor will there be one */
};

struct rf_doubt {
    struct rf_cancel *cancel;
    const char *label; /* of the target */
    int64_t load_id;
    /* Closes the session, opens another, waits for the earlier one to have ended or ends it, and looks the load's record up. */
    enum rf_outcome (*ask)(void *self);
    void *self;
};

/* Asks until it is answered, thirty times at most, a second apart, or less once a cancel is requested (core/cancel.h). RF_OK when the load is
 * committed; else *err, the lost commit's, stays, with a hint in it when nothing could be found out. */
enum rf_code rf_resolve_doubt(const struct rf_doubt *doubt, struct rf_error *err);

#endif
