/* What has to be done with a stage, and in which order: the same for every target that is reached by SQL. */
#ifndef RF_MERGE_H
#define RF_MERGE_H

#include "core/error.h"
#include "core/plan.h"
#include "core/sql.h"

#include <stdint.h>

/* How a target executes a statement; `role` says in errors what it is for. */
struct rf_merge_ops {
    /* One row of one number, or of two when `second` is not NULL. */
    enum rf_code (*count)(void *self, const char *role, rf_statement_maker *make, int64_t *first, int64_t *second, struct rf_error *err);
    /* *n_rows is how many rows it changed. */
    enum rf_code (*change)(void *self, const char *role, rf_statement_maker *make, int64_t *n_rows, struct rf_error *err);
    /* One text, in the run's arena; NULL for SQL NULL. */
    enum rf_code (*text)(void *self, const char *role, rf_statement_maker *make, const char **text, struct rf_error *err);
    /* Brings the rows of the stage into the target: counts->inserted and updated. */
    enum rf_code (*merge)(void *self, struct rf_counts *counts, struct rf_error *err);
};

/* What differs between kinds of targets: the statements that look into a stage or close rows of the target, in the forms of its dialect (see sql.h
 * for each), and the listing of all that is sent to it. */
struct rf_listing;
struct rf_stage_makers {
    rf_statement_maker *count_stage, *duplicate_keys, *count_missed, *count_stale, *close_gone, *close_absent, *sweep, *count_live;
    rf_statement_maker *delete_all, *insert_all; /* of mode replace */
    rf_statement_maker *append, *count_known, *has_rows; /* of mode append */
    rf_statement_maker *count_appended;          /* → rows that carry this load; NULL as the next */
    rf_statement_maker *count_target;            /* → rows of the target, those that carry this load; NULL where a statement's own count is true */
    void (*list)(const struct rf_plan *plan, struct rf_listing *listing); /* core/listing.h */
};
const struct rf_stage_makers *rf_stage_makers(const struct rf_plan *plan);

/* Merges the stage, of which counts->staged is known, and closes what is gone. Fills all counts below it. */
enum rf_code rf_merge_stage(const struct rf_plan *plan, const struct rf_merge_ops *ops, void *self, struct rf_counts *counts, struct rf_error *err);

#endif
