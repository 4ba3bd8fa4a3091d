/* What a run decided to do, before it does it. Pure: facts in, decisions out. */
#ifndef RF_PLAN_H
#define RF_PLAN_H

#include "core/arena.h"
#include "core/drift_kinds.h"
#include "core/error.h"
#include "core/job.h"
#include "core/passthrough.h"
#include "core/schema.h"
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

enum { RF_MOST_REASONS = 24, RF_MOST_CHANGES = 12 }; /* changes of the fingerprint leave room for what limits the proof */

/* From where the next run goes on; what a load record keeps. NULL where the next run cannot build on it. */
struct rf_next {
    const char *chosen; /* the capture that auto keeps to: "xmin", "cursor" or "full" */
    const char *snapshot;
    const char *proven;
    const char *watermark;
    const char *cursor; /* its columns */
    bool doubted;
    const char *fingerprint;
    int64_t loads_since_audit;
    int64_t loads_since_sweep;
};

/* How a run reads: one of these decides which rows are sent. */
enum rf_reading {
    RF_READ_ALL,
    RF_READ_VERSIONS, /* row versions newer than `since` */
    RF_READ_CURSOR,   /* a cursor column at or after `from`, or no time in any of them */
    RF_READ_WINDOW,   /* a cursor column in [from, until) */
    RF_READ_GIVEN,    /* what a stream brings, in its order; no statement asks for it */
};

/* One of the statements that together read the table: pages of a leaf. */
struct rf_part {
    int leaf;
    int64_t from_page;
    int64_t to_page; /* not in the part; 0 for no end */
};

struct rf_plan {
    const struct rf_job *job;
    const struct rf_source_facts *source;
    const struct rf_target_facts *target; /* as it will be after the alterations */
    const struct rf_load *last;
    int64_t load_id;
    const char *extracted_at; /* ISO 8601 in UTC, never before that of the last load */
    enum rf_capture chosen;   /* what was asked for, or what auto took: xmin, cursor or full; or given */
    const char *capture;      /* what this run does: "xmin", "cursor", "full" or "given" */
    const char *capture_reason;
    enum rf_reading reading;
    bool full_read;     /* RF_READ_ALL */
    bool reconcile;     /* a full read that the capture did not ask for; reasons[] says why */
    uint64_t since;     /* of RF_READ_VERSIONS: the xmin of the last proven snapshot */
    uint64_t as_of;     /* the xmin of the snapshot whose rows the target holds */
    const char *from;   /* ISO 8601 in UTC; NULL: no bound */
    const char *until;
    const char **rewritten; /* where rows settle: oids of leaves whose file is another one, shape (n_rewritten,) */
    int n_rewritten;
    bool compares_load; /* where rows settle, while a run verifies itself: what it read with what it appended */
    const char **new_leaves; /* oids of leaves attached since the last load: read whole, shape (n_new_leaves,) */
    int n_new_leaves;
    struct rf_part *parts; /* for readers side by side; none: one statement reads all, shape (n_parts,) */
    int n_parts;
    bool triggers_changed; /* those that set a cursor column may have been off since the last load */
    bool audit;         /* rows come with whether the cursor would have brought them */
    bool sweep;         /* all keys are read, and rows whose key is not among them closed */
    bool first_load;    /* the target does not exist yet */
    bool straight;      /* into the new table itself, key afterwards; else by a stage and a merge */
    bool dedupe;        /* a batch may hold a key more than once */
    bool mark_gone;     /* changed rows that fail the filter come as keys only, to be closed */
    bool close_absent;  /* target rows that a full read did not bring are closed */
    const char *completeness;
    const char *hard_deletes;
    struct rf_holder held_by; /* who keeps the next run from starting later */
    struct rf_next next;
    const char *reasons[RF_MOST_REASONS];
    int n_reasons;
    const char **dropped; /* target columns that the source no longer has */
    int n_dropped;
    struct rf_drift_event *events; /* shape (n_events,); no more than most_events */
    int n_events;
    int most_events;
    struct rf_alteration *alterations; /* of the target, in the order in which they are made, shape (n_alterations,) */
    int n_alterations;
    bool altered_whole; /* a column or key came in: rows of earlier loads say nothing about it */
};

/* Fails with RF_CONFIG or RF_DRIFT, naming the column and the fix. All texts of *plan live in `arena`. */
enum rf_code rf_plan_make(const struct rf_job *job, const struct rf_source_facts *source,
                          const struct rf_target_facts *target, const struct rf_load *last, int64_t load_id,
                          struct rf_arena *arena, struct rf_plan *plan, struct rf_error *err);

/* All rows, to be read into memory: a plan without a target, of which nothing but the reading is decided. */
enum rf_code rf_plan_read(const struct rf_job *job, const struct rf_source_facts *source, struct rf_arena *arena,
                          struct rf_plan *plan, struct rf_error *err);

/* The target column of the source column i; NULL when the target lacks it. */
const struct rf_column *rf_target_column(const struct rf_plan *plan, int i);

/* Whether the source column i fits its target column. */
enum rf_fit rf_fit(const struct rf_plan *plan, int i);

/* Is it one of the columns that every load fills? */
bool rf_is_metadata(const char *name);

/* Does the table carry the columns that every load fills: _extracted_at, _load_id and _deleted_at? */
bool rf_has_metadata(const struct rf_target_facts *target);

/* Does the target hold each version of a row? Each of its rows then has `_source_xid`: the transaction that wrote it, from the source's
 * counter of 64 bits; 0 where that is too long ago to be told. */
bool rf_keeps_versions(const struct rf_plan *plan);

/* Is each row version appended by the one run in whose interval its transaction lies? So where no key tells what is there: a run takes the
 * versions written by transactions from the last snapshot's xmin on and before its own's, all of which have ended. */
bool rf_settles(const struct rf_plan *plan);

/* Of such a plan: does no load say which of the target's rows were read? Then it may have none. */
bool rf_must_be_empty(const struct rf_plan *plan);

/* Does the source send CSV, for a target that loads files? Else COPY BINARY. */
bool rf_sends_csv(const struct rf_plan *plan);

/* May the source send a NULL in column i? */
bool rf_may_be_null(const struct rf_plan *plan, int i);

/* Is the later of two rows of one key told by the cursor first? Not where versions are kept, which go by their transactions. */
bool rf_orders_by_cursor(const struct rf_plan *plan);

/* Is the source column i part of the key? */
bool rf_is_key(const struct rf_source_facts *source, int i);

/* Adds to reasons[]; those beyond RF_MOST_REASONS are left out. */
RF_PRINTF(4, 5)
enum rf_code rf_plan_reason(struct rf_plan *plan, struct rf_arena *arena, struct rf_error *err, const char *format, ...);

/* "1234:1240:1236" → xmin and xmax. False when it is not a snapshot. */
bool rf_read_snapshot(const char *text, uint64_t *xmin, uint64_t *xmax);

/* "16/B374D848" → byte position in the log. False when it is not an LSN. */
bool rf_read_lsn(const char *text, uint64_t *bytes);

#endif
