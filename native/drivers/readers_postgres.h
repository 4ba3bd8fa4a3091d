/* Readers side by side: sessions under the snapshot of a leader, which each read one part of a table after another.
 *
 * The leader holds the table's lock and is the first reader. All is done on one thread: whoever has rows hands them
 * over, and what comes out is one stream, of COPY BINARY or of CSV.
 */
#ifndef RF_READERS_POSTGRES_H
#define RF_READERS_POSTGRES_H

#include "core/plan.h"
#include "drivers/postgres.h"

struct rf_readers {
    const struct rf_job *job;
    const struct rf_plan *plan;
    struct rf_pg others[RF_MOST_SESSIONS - 1];
    struct rf_pg *sessions[RF_MOST_SESSIONS]; /* the leader, then the others */
    bool reading[RF_MOST_SESSIONS];
    int n;
    int turn;      /* who is asked first */
    int next_part;
    int64_t rows;  /* of the parts that ended */
    enum { RF_READERS_IDLE, RF_READERS_HEADER, RF_READERS_ROWS, RF_READERS_TRAILER } stage;
};

/* Opens what readers it can: one that gets no connection or not the table's lock at once is done without, for the
 * leader can read all parts. */
enum rf_code rf_readers_start(struct rf_readers *readers, struct rf_pg *leader, const struct rf_job *job, const struct rf_plan *plan,
                              struct rf_error *err);

/* As struct rf_source_ops.next. Once the data has ended the stage is RF_READERS_IDLE again. */
enum rf_code rf_readers_next(struct rf_readers *readers, struct rf_batch *batch, struct rf_error *err);

/* Closes all sessions but the leader's; may be called at any time, twice. */
void rf_readers_close(struct rf_readers *readers);

#endif
