/* An Arrow stream as a source: what another library holds in memory or makes as it goes, turned into COPY BINARY, or into what
 * the target has its columns cast to.
 *
 * The stream's own functions are called on the thread of the core, which holds no lock of an interpreter then.
 */
#ifndef RF_SOURCE_STREAM_H
#define RF_SOURCE_STREAM_H

#include "core/arena.h"
#include "core/arrow.h"
#include "core/cancel.h"
#include "core/cast_rows.h"
#include "core/hash_rows.h"
#include "core/job.h"
#include "core/rows.h"
#include "core/source.h"
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

struct rf_source_stream {
    const struct rf_job *job;
    struct rf_cancel *cancel;
    struct rf_arena *arena;
    const struct rf_hasher *hasher; /* of columns that are hashed; NULL where there are none */
    struct ArrowArrayStream *stream; /* the caller's memory; what it holds is released by close */
    struct rf_rows *rows;
    struct ArrowArray array; /* the batch that is being written; empty between two */
    const struct rf_source_facts *facts;
    const struct rf_column *fields; /* of the stream, before masks and what the job leaves out, shape (n_fields,) */
    int n_fields;
    struct rf_casting casting;
    struct rf_text uncast; /* rows before their casts; empty where there are none */
    struct rf_text out;
    bool casts;
    int64_t n_rows; /* written so far */
    bool begun;
    bool ended;
};

extern const struct rf_source_ops rf_source_stream_ops;

/* Releases what the stream holds and empties it; nothing when it is empty. */
void rf_release_stream(struct ArrowArrayStream *stream);

#endif
