/* What can be done with a job: one function for Python, the command line and the C tests. */
#ifndef RF_VERBS_H
#define RF_VERBS_H

#include "core/arrow.h"
#include "core/cancel.h"
#include "core/error.h"
#include "core/transfer.h"

#include <stdbool.h>

enum rf_verb { RF_RUN, RF_PLAN, RF_VERIFY, RF_STATE, RF_RESET, RF_INSPECT, RF_DISCARD, RF_VERBS };

/* RF_VERBS when there is no verb of this name. */
enum rf_verb rf_verb_named(const char *name);

/* Parses the job and does it. On RF_OK *json is the outcome, freed by the caller. Blocks; cancelled through `cancel`. */
enum rf_code rf_execute(enum rf_verb verb, const char *job_json, struct rf_cancel *cancel, struct rf_observer observer,
                        char **json, struct rf_error *err);

/* The same for loading what a stream brings. Takes over what the stream holds and releases it, whatever comes; its functions
 * are called on this thread. */
enum rf_code rf_load_stream(const char *job_json, struct ArrowArrayStream *stream, struct rf_cancel *cancel, struct rf_observer observer,
                            char **json, struct rf_error *err);

#endif
