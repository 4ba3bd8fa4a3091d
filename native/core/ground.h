/* What a run may build on: whether the last load still says something about the source and the target as they are.
 *
 * Row versions and cursors show changed rows, and nothing else: another server, a partition that was attached, a
 * column that was added with a default, a table that was emptied. Each such fact is compared with the last load's.
 */
#ifndef RF_GROUND_H
#define RF_GROUND_H

#include "core/plan.h"

/* Sets plan->reconcile where everything must be read again, plan->sweep where rows may be gone, and
 * plan->new_leaves; adds a reason for each. And plan->triggers_changed, which only a cursor asks about. Where rows settle (rf_settles) nothing
 * may be read again: RF_CONFIG in place of what would ask for it, and plan->rewritten, which core/settle.c looks into. */
enum rf_code rf_find_ground(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err);

/* RF_CONFIG when the key of the rows there is hidden in another way than in those of a stream, each of which would come a second time. */
enum rf_code rf_check_masked_key(const struct rf_plan *plan, struct rf_error *err);

/* Of rows without a key: why this run cannot go on from the last one. Nothing is loaded then. */
enum rf_code rf_refuse_ground(const struct rf_plan *plan, const char *why, struct rf_error *err);

/* True when a standby is behind the last load of the same system. */
bool rf_source_is_behind(const struct rf_source_facts *source, const struct rf_load *last);

/* True when a standby does not show whether it changed its timeline before the last load's place in the log. */
bool rf_timeline_is_unsure(const struct rf_source_facts *source, const struct rf_load *last);

/* For a run that reads everything anyway: tells whether the source is another table, and which partitions came and left. RF_DRIFT when a
 * policy refuses one. */
enum rf_code rf_note_tables(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err);

#endif
