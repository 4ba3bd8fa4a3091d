/* What the transfer needs of a sink. Called from one thread.
 *
 * open → lease → newest → describe → begin → write … → (keys → write …) → merge → record → commit → close. From `begin` to
 * `commit` everything is one transaction of the target: an error, close, or the end of the process in
 * between leaves nothing behind. Where DDL commits by itself the transaction begins with `merge`; what came before is
 * temporary, but for a new table, which then is there without rows.
 */
#ifndef RF_SINK_H
#define RF_SINK_H

#include "core/batch.h"
#include "core/error.h"
#include "core/plan.h"
#include "core/report.h"
#include "core/schema.h"
#include "core/text.h"
#include "core/types.h"

#include <stdbool.h>
#include <stdint.h>

struct rf_observer; /* core/transfer.h */

/* What the bytes of each column are, shape (plan->source->n_columns,): as the source sends it, and as `next` gives it. Both of one
 * family (core/row_hash.h); in the run's arena. */
struct rf_compared {
    const struct rf_form *sent;
    const struct rf_form *given;
};

struct rf_sink_ops {
    /* Connects; with `prepare` also creates what control tables and schemas are missing. */
    enum rf_code (*open)(void *self, bool prepare, struct rf_error *err);
    /* Takes the table's lease and gives out the load id: after this, older runs of the table can no longer commit. */
    enum rf_code (*lease)(void *self, int64_t *load_id, struct rf_error *err);
    /* The newest load record of the table, and what this run_id has loaded before. */
    enum rf_code (*newest)(void *self, struct rf_load *last, struct rf_run_total *total, struct rf_error *err);
    /* The target table as it stands, or the twins of the source's types; decides as what the source sends each column. */
    enum rf_code (*describe)(void *self, struct rf_source_facts *source, struct rf_target_facts *facts, struct rf_error *err);
    /* Opens the load's transaction, creates table or stage, and waits for rows. */
    enum rf_code (*begin)(void *self, const struct rf_plan *plan, struct rf_error *err);
    enum rf_code (*write)(void *self, const struct rf_batch *batch, struct rf_error *err);
    /* Ends the rows; what is written from here on are the keys of all rows of the source, for a sweep. */
    enum rf_code (*keys)(void *self, struct rf_error *err);
    /* Ends what was written and merges it. Fills staged and all counts below it. */
    enum rf_code (*merge)(void *self, const struct rf_plan *plan, struct rf_counts *counts, struct rf_error *err);
    /* Inserts the load record, for a lease that is still ours. */
    enum rf_code (*record)(void *self, const struct rf_report *report, struct rf_error *err);
    /* Commits; when the answer is lost, finds out. RF_OK means committed. */
    enum rf_code (*commit)(void *self, struct rf_error *err);
    /* For comparing, in the present transaction. A server that hashes its rows itself is asked by COPY … TO STDOUT (FORMAT binary), or,
     * where columns are hashed on the way to it, for the texts of its rows.
     * Any other gives the rows that are not closed, in any order, the plan's columns in its order. */
    enum rf_code (*read)(void *self, const char *sql, struct rf_error *err); /* NULL: any other */
    enum rf_code (*read_rows)(void *self, const struct rf_plan *plan, struct rf_compared *compared, struct rf_error *err); 
    /* Of either the next piece, COPY BINARY; n_bytes is 0 at the end. */
    enum rf_code (*next)(void *self, struct rf_batch *batch, struct rf_error *err);
    /* Without a run, each on a sink that is not open, and closed afterwards; *json is the caller's to free, whatever comes back: the
     * load records, newest first, of each table as many as the job asks for; a record by which the next run reads all; */
    enum rf_code (*state)(void *self, char **json, struct rf_error *err);
    enum rf_code (*reset)(void *self, struct rf_observer observer, char **json, struct rf_error *err);
    /* facts for `rowferry doctor`, an object, of a target that is only looked at. */
    enum rf_code (*inspect)(void *self, struct rf_text *json, struct rf_error *err);
    /* Drops the schema of a self-test, which holds target and control tables both; RF_CONFIG when it is any other. NULL: there are none. */
    enum rf_code (*discard)(void *self, char **json, struct rf_error *err);
    /* Rolls back what is not committed, gives the lease back, disconnects. May be called at any time, twice. */
    void (*close)(void *self);
};

struct rf_sink {
    const struct rf_sink_ops *ops;
    void *self;
    const char *channel; /* how the target is reached: "libpq" */
};

#endif
