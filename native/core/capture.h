/* How a run finds changed rows, what that proves, and from where the next run goes on. */
#ifndef RF_CAPTURE_H
#define RF_CAPTURE_H

#include "core/plan.h"

/* Fills what a plan says about reading. Fails with RF_CONFIG when the job asks for a cursor that the table has not. */
enum rf_code rf_choose_capture(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err);

/* Fills completeness, hard_deletes and reasons, once it is decided what is read. */
enum rf_code rf_state_proof(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err);

/* Does a run of this job need the cursor's columns and a listing of open transactions? */
bool rf_may_use_cursor(const struct rf_job *job, const struct rf_load *last);

#endif
