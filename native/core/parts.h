/* Cutting a table into ranges of pages, for readers side by side under one snapshot. */
#ifndef RF_PARTS_H
#define RF_PARTS_H

#include "core/plan.h"

/* Fills plan->parts when the job asks for several connections and the table can be cut; none otherwise. */
enum rf_code rf_cut_parts(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err);

#endif
