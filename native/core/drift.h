/* What changed between the last load and this one, and what the run does about it. Pure: facts in, events and statements out.
 *
 * A column is compared with the target as it stands, so that what an interrupted run has altered already is no drift any more;
 * names and files of the source with the fingerprint of the last committed load record, so that what a failed run saw is seen
 * again. What the target takes as it stands (varchar(20) for varchar(10), where both are VARCHAR there) is no drift.
 */
#ifndef RF_DRIFT_H
#define RF_DRIFT_H

#include "core/plan.h"

/* Takes columns out of *source that the target lacks and that the job wants ignored; their lines leave the fingerprint, so
 * that the run that takes them in reads them whole. *any says whether there were some: then the target is to be described again. */
enum rf_code rf_leave_out(const struct rf_job *job, const struct rf_load *last, const struct rf_target_facts *target, struct rf_source_facts *source,
                          struct rf_arena *arena, bool *any, struct rf_error *err);

/* Makes *before the source with the columns of its key under the names that they had at the last load, by which the target's key is still
 * known. *any says whether one has another name now. */
enum rf_code rf_keys_as_before(const struct rf_load *last, const struct rf_target_facts *target, const struct rf_source_facts *source, struct rf_arena *arena,
                               struct rf_source_facts *before, bool *any, struct rf_error *err);

/* Of a plan whose target is found: fills events, alterations and `dropped`, and makes plan->target the table as it will be.
 * RF_DRIFT where a policy is `fail`, or the target cannot follow: column, old, new, and the setting that would accept it. */
enum rf_code rf_decide_drift(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err);

/* Adds an event that needs no statement. RF_DRIFT when its policy is `fail`. */
enum rf_code rf_note_drift(struct rf_plan *plan, enum rf_drift_kind kind, const char *what, const char *old, const char *new, struct rf_error *err);

/* Is it the same table of the same database as at the last load? Then numbers of columns and partitions mean the same. */
bool rf_same_table(const struct rf_source_facts *source, const struct rf_load *last);

/* Can the labels of the enum `to` be made those of `from` by adding some, or by renaming some? */
bool rf_labels_follow(const char *from, const char *to);

/* Refuses a column of the source that does not fit its target column. */
enum rf_code rf_refuse_column(const struct rf_plan *plan, const struct rf_column *from, const struct rf_column *to, struct rf_error *err);

#endif
