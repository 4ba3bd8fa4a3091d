/* Rows on their way, of which some fields are hashed: COPY BINARY or CSV in, the same out. Pure, no socket.
 *
 * A field's text becomes its HMAC-SHA-256 (RFC 2104, FIPS 180-4) under the job's key, as 64 hexadecimal digits in lower case. NULL
 * stays NULL; an empty text is hashed like any other. Pieces may be cut anywhere; what comes out is cut where they are, but that of
 * a field that is hashed nothing comes out before it ends.
 */
#ifndef RF_HASH_ROWS_H
#define RF_HASH_ROWS_H

#include "core/batch.h"
#include "core/error.h"
#include "core/schema.h"
#include "core/source.h"
#include "core/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RF_HASH_BYTES = 32 };

/* HMAC-SHA-256 under one key; the library that does it is the driver's affair. False when it fails. */
struct rf_hasher {
    bool (*hash)(void *self, const uint8_t *bytes, size_t n_bytes, uint8_t out[RF_HASH_BYTES]);
    void *self;
};

/* Where in a row, or before and after all rows, the next byte stands. */
enum rf_hash_place { RF_PLACE_HEADER, RF_PLACE_COUNT, RF_PLACE_LENGTH, RF_PLACE_PASSED, RF_PLACE_HASHED, RF_PLACE_TRAILER };

struct rf_hash_rows {
    const struct rf_hasher *hasher;
    const struct rf_source_facts *facts;
    bool keys_only; /* the rows hold the key columns, else all columns and what the statement adds behind them */
    bool csv;
    enum rf_hash_place place; /* of COPY BINARY */
    int field;                /* which one of the row */
    int n_fields;
    size_t left;          /* bytes of a field, or of the header's extension, that are still to come */
    uint8_t number[19];   /* what has come of a number, or of the header */
    size_t n_number;
    bool quoted;          /* of CSV: inside quotes */
    bool had_quotes;      /* the field had some, and is not NULL */
    struct rf_text value; /* what has come of a field that is hashed */
    struct rf_text out;
};

/* Does any column of the facts need it? */
bool rf_facts_hash(const struct rf_source_facts *facts);

/* To be ended with rf_hash_rows_end, which may be called twice. Borrows both. */
void rf_hash_rows_begin(struct rf_hash_rows *rows, const struct rf_hasher *hasher, const struct rf_source_facts *facts, bool keys_only, bool csv);
void rf_hash_rows_end(struct rf_hash_rows *rows);

/* Takes a piece; what it gives is in rows->out, which the next call empties. RF_INTERNAL when it is no such row. */
enum rf_code rf_hash_rows_take(struct rf_hash_rows *rows, const uint8_t *bytes, size_t n_bytes, struct rf_error *err);

/* Is nothing cut off? Asked when the data ended. */
bool rf_hash_rows_whole(const struct rf_hash_rows *rows);

/* A source's rows, hashed where its columns say so; where none does, as they come. */
struct rf_hashed_source {
    const struct rf_source *source;
    struct rf_hash_rows rows;
};

/* For one statement, before its first row: the keys alone or all columns, as CSV or COPY BINARY. */
void rf_hashed_begin(struct rf_hashed_source *hashed, const struct rf_source *source, const struct rf_source_facts *facts, bool keys_only, bool csv);
void rf_hashed_end(struct rf_hashed_source *hashed);

/* As `next` of a source; `self` is the struct rf_hashed_source. */
enum rf_code rf_hashed_next(void *self, struct rf_batch *batch, struct rf_error *err);

#endif
