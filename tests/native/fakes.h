/* A source and a sink that keep no rows: they record every call, in order, and fail where they are told to.
 *
 * The source hands out prepared pieces of bytes, a stream per `read`; the sink has streams of its own, for
 * comparing. What the merge counts is what the test says.
 */
#ifndef FAKES_H
#define FAKES_H

#include "core/transfer.h"
#include "drivers/drivers.h"
#include "facts.h"

enum { MOST_STREAMS = 4, MOST_PIECES = 8, STREAM_BYTES = 12288 };

/* The answer to one COPY … TO STDOUT. */
struct fake_stream {
    uint8_t bytes[STREAM_BYTES];
    size_t n_bytes;
    size_t ends[MOST_PIECES]; /* where each piece ends */
    int n_pieces;
    int64_t rows;
    int at; /* the next piece */
};

struct fake_end {
    struct fake_stream streams[MOST_STREAMS];
    int n_streams; /* prepared */
    int n_reads;
    char sql[MOST_STREAMS][2048]; /* of each read */
    int n_closes;
    bool csv; /* in place of COPY BINARY */
};

struct fakes {
    struct facts facts;
    struct fake_end source;
    struct fake_end sink;
    struct rf_run_total before; /* what the run_id loaded earlier */
    struct rf_counts merged;    /* what the merge reports */
    char calls[2048];           /* "sink.open sink.lease …" */
    char steps[2048];           /* announced, each in brackets */
    const char *fail_at;        /* the call that fails: "sink.merge" */
    const char *later_fingerprint; /* what a second look at the source's catalogs finds; NULL: the same */
    int fail_nth;               /* the how manieth such call, from 1; 0 = the first */
    enum rf_code fail_code;
    int seen;
    struct rf_compared compared; /* of a sink that gives its rows */
    bool prepared; /* sink.open was allowed to create */
    bool committed;
    char *record; /* JSON of the load record */
    struct rf_run run;
};

/* Fakes of a table that was loaded before: three rows come in two pieces, two are updated, one is inserted. */
void make_fakes(struct fakes *fakes, const char *more);
void drop_fakes(struct fakes *fakes);

/* Puts the sink of the job's target in place of the fake one, with a token of its own; the caller releases that. */
void take_sink(struct fakes *fakes, union rf_sink_memory *memory, struct rf_cancel **cancel);

/* The source answers a sweep with `n` keys, and the target takes them. To be called before what is compared is prepared. */
void prepare_keys(struct fakes *fakes, int64_t n);

/* Lets the fakes answer a comparison: equal checksums. */
void prepare_equal_checksums(struct fakes *fakes);

/* Makes the sink one that gives its rows: a stream for each time they are read. */
void give_rows(struct fakes *fakes, const struct rf_form *sent, const struct rf_form *given);

/* Rows of a COPY BINARY stream, cut into pieces where the test wants it. */
struct fake_stream *add_stream(struct fake_end *end);
void begin_copy(struct fake_stream *stream);
void add_row(struct fake_stream *stream, int n_fields);
void add_field(struct fake_stream *stream, const void *bytes, int32_t n_bytes); /* -1: NULL */
void add_csv(struct fake_stream *stream, const char *rows);
void end_piece(struct fake_stream *stream);
void end_copy(struct fake_stream *stream, int64_t rows);

/* (rows, checksum) as both ends answer it. */
void add_checksum(struct fake_end *end, const char *rows, const char *sum);
/* (key, hash, is pending) */
void add_hash(struct fake_stream *stream, const char *key, const char *hash, bool pending);

bool was_called(const struct fakes *fakes, const char *call);

#endif
