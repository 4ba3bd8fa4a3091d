/* The statements of a run, as `rowferry plan` prints them: pure, nothing is sent. */
#ifndef RF_LISTING_H
#define RF_LISTING_H

#include "core/arena.h"
#include "core/plan.h"

/* The plan as JSON with its statements, in the order in which a run sends them; *json is the caller's to free. RF_NO_MEMORY. */
enum rf_code rf_list_statements(const struct rf_plan *plan, struct rf_arena *arena, char **json, struct rf_error *err);

/* What is sent to each kind of target, for its rf_stage_makers (core/merge.h). */
struct rf_listing;
void rf_list_postgres(const struct rf_plan *plan, struct rf_listing *listing);
void rf_list_duckdb(const struct rf_plan *plan, struct rf_listing *listing);
void rf_list_snowflake(const struct rf_plan *plan, struct rf_listing *listing);
void rf_list_plain(const struct rf_plan *plan, struct rf_listing *listing);

#endif
