/* What a run decided to do, before it does it. Pure: facts in, decisions out. */
#ifndef RF_PLAN_H
#define RF_PLAN_H

#include "core/arena.h"
#include "core/error.h"
#include "core/job.h"
#include "core/schema.h"
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

enum { RF_MOST_REASONS = 16, RF_MOST_CHANGES = 12 }; /* changes of the fingerprint leave room for what limits the proof */

struct rf_plan {
    const struct rf_job *job;
    const struct rf_source_facts *source;
    const struct rf_target_facts *target;
    const struct rf_load *last;
    int64_t load_id;
    const char *extracted_at; /* ISO 8601 in UTC, never before that of the last load */
    const char *capture;      /* "xmin" or "full" */
    const char *capture_reason;
    bool full_read;     /* every row, not only those changed since the last load's snapshot */
    bool reconcile;     /* a full read that the capture did not ask for; reasons[] says why */
    uint64_t since;     /* when not full_read: the last snapshot's xmin */
    bool first_load;    /* the target does not exist yet */
    bool straight;      /* into the new table itself, key afterwards; else by a stage and a merge */
    bool dedupe;        /* a batch may hold a key more than once */
    bool mark_gone;     /* changed rows that fail the filter come as keys only, to be closed */
    bool close_absent;  /* target rows that a full read did not bring are closed */
    const char *completeness;
    const char *hard_deletes;
    const char *reasons[RF_MOST_REASONS];
    int n_reasons;
    const char **dropped; /* target columns that the source no longer has */
    int n_dropped;
};

/* Fails with RF_CONFIG or RF_DRIFT, naming the column and the fix. All texts of *plan live in `arena`. */
enum rf_code rf_plan_make(const struct rf_job *job, const struct rf_source_facts *source,
                          const struct rf_target_facts *target, const struct rf_load *last, int64_t load_id,
                          struct rf_arena *arena, struct rf_plan *plan, struct rf_error *err);

/* The target column of the source column i; NULL when the target lacks it. */
const struct rf_column *rf_target_column(const struct rf_plan *plan, int i);

/* Is the source column i part of the key? */
bool rf_is_key(const struct rf_source_facts *source, int i);

/* "1234:1240:1236" → xmin and xmax. False when it is not a snapshot. */
bool rf_read_snapshot(const char *text, uint64_t *xmin, uint64_t *xmax);

/* "16/B374D848" → byte position in the log. False when it is not an LSN. */
bool rf_read_lsn(const char *text, uint64_t *bytes);

/* True when a standby is behind the last load of the same system. */
bool rf_source_is_behind(const struct rf_source_facts *source, const struct rf_load *last);

#endif
