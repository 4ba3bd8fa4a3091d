/* How a field of an Arrow schema lies in memory, what it means and how it is written: understood once, bound to each
 * batch. Shared by rows.c and the rows_*.c; nobody else includes it.
 *
 * Nothing of an array is believed that the interface lets us check: numbers of buffers and children and lengths when it
 * is bound, offsets and indices when a value is read. How long a buffer is it does not say.
 */
#ifndef RF_ROWS_NODE_H
#define RF_ROWS_NODE_H

#include "core/arena.h"
#include "core/arrow.h"
#include "core/error.h"
#include "core/numeric.h"
#include "core/rows.h"
#include "core/text.h"
#include "core/types.h"

#include <stdbool.h>
#include <stdint.h>

/* Where the bytes are. Source: arrow.apache.org/docs/format/Columnar.html. */
enum rf_layout {
    RF_LAYOUT_NULLS,
    RF_LAYOUT_BITS,
    RF_LAYOUT_FIXED,       /* `width` bytes each */
    RF_LAYOUT_OFFSETS32,
    RF_LAYOUT_OFFSETS64,
    RF_LAYOUT_VIEWS,
    RF_LAYOUT_LIST32,      /* a map too */
    RF_LAYOUT_LIST64,
    RF_LAYOUT_LIST_FIXED,  /* `width` elements each */
    RF_LAYOUT_LIST_VIEW32,
    RF_LAYOUT_LIST_VIEW64,
    RF_LAYOUT_STRUCT,
    RF_LAYOUT_DICTIONARY,  /* indices of `width` bytes; children[0] are the values */
    RF_LAYOUT_RUNS,        /* children: where runs end, values */
};

enum rf_meaning {
    RF_MEANS_NOTHING,
    RF_MEANS_BOOL,
    RF_MEANS_INT,
    RF_MEANS_UINT,
    RF_MEANS_FLOAT,
    RF_MEANS_DECIMAL,
    RF_MEANS_TEXT,
    RF_MEANS_JSON,
    RF_MEANS_BYTES,
    RF_MEANS_UUID,
    RF_MEANS_DATE,
    RF_MEANS_TIME,
    RF_MEANS_TIMESTAMP,
    RF_MEANS_TIMESTAMPTZ,
    RF_MEANS_DURATION,
    RF_MEANS_MONTHS,
    RF_MEANS_DAY_TIME,
    RF_MEANS_MONTH_DAY_NANO,
    RF_MEANS_LIST,
    RF_MEANS_STRUCT,
    RF_MEANS_MAP,
};

/* A type of PostgreSQL's that columns are made of; rows_schema.c has the table. */
struct rf_rows_type {
    const char *name;   /* pg_type's */
    const char *before; /* as DDL: before a modifier, and behind it */
    const char *behind;
    uint32_t oid;
    enum rf_wire wire;
    enum { RF_MOD_NONE, RF_MOD_LENGTH, RF_MOD_LENGTH_NEEDED, RF_MOD_PLACES, RF_MOD_DIGITS } mod;
};

struct rf_rows_node;

/* Writes the value at `at`, which is not NULL, behind rows->out, without its length. */
typedef enum rf_code rf_rows_put(struct rf_rows *rows, struct rf_rows_node *node, int64_t at);

struct rf_rows_node {
    const char *name;
    bool not_null;
    bool is_key;
    enum rf_layout layout;
    enum rf_meaning meaning;
    int width;
    bool is_signed;     /* of a dictionary's indices */
    int64_t per_second; /* of times */
    int precision;      /* of decimals */
    int scale;
    struct rf_rows_node *children;
    int n_children;

    /* Set where a value is written by itself: in a column, in an array. Of what is inside of JSON there is none. */
    const struct rf_rows_type *type;
    int32_t typmod;
    bool is_array; /* of `type` */
    rf_rows_put *put;

    /* Of the batch. */
    const struct ArrowArray *array;
    const uint8_t *valid; /* bits, or NULL */
    int64_t limit;        /* of offsets: where the last value ends */
    int64_t run;          /* of runs: the one that was read last */
};

struct rf_rows {
    struct rf_arena arena;
    struct rf_rows_node root;
    int64_t n_before; /* rows of earlier batches */
    int64_t next;
    const char *column; /* being written */
    bool takes_any;
    struct rf_text *out;
    struct rf_error *err;
    struct rf_rows_key *keys; /* of maps being written, see rows_json.c */
    size_t n_keys;
    size_t keys_capacity;
};

/* ---- rows_schema.c ---- */

enum rf_code rf_rows_parse(const struct ArrowSchema *schema, struct rf_arena *arena, struct rf_rows_node *root, struct rf_error *err);

/* ---- rows.c ---- */

/* How a value of this meaning is written as a type of this binary form; NULL when it is not. */
rf_rows_put *rf_rows_find_put(enum rf_wire wire, const struct rf_rows_node *plain);

/* RF_DATA about the value being written: column "x", row 7 … */
enum rf_code rf_rows_data(struct rf_rows *rows, const char *format, ...) RF_PRINTF(2, 3);

/* n_bytes behind rows->out, already counted; NULL when memory is short, which rows->err says. */
uint8_t *rf_rows_take(struct rf_rows *rows, size_t n_bytes);

/* ---- rows_array.c ---- */

/* Checks an array against its node, and all within. */
enum rf_code rf_rows_bind(struct rf_rows_node *node, const struct ArrowArray *array, struct rf_error *err);

/* Follows dictionaries and runs to the value at *at of *node: both are changed to where it lies, *at then counts from the
 * beginning of its buffers. *node is NULL for a NULL. */
enum rf_code rf_rows_find(struct rf_rows *rows, struct rf_rows_node **node, int64_t *at);

/* The rest reads at positions that rf_rows_find gave. */
bool rf_rows_bit(const struct rf_rows_node *node, int64_t at);
const uint8_t *rf_rows_fixed(const struct rf_rows_node *node, int64_t at);
int64_t rf_rows_integer(const struct rf_rows_node *node, int64_t at, bool is_signed);
double rf_rows_float(const struct rf_rows_node *node, int64_t at);
enum rf_code rf_rows_bytes(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, const uint8_t **bytes, size_t *n_bytes);
/* The same, of good UTF-8 without a NUL. */
enum rf_code rf_rows_text(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, const uint8_t **bytes, size_t *n_bytes);
/* The elements of a list: from *begin to before *end of its child. */
enum rf_code rf_rows_range(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int64_t *begin, int64_t *end);

/* A decimal of no more digits than its type says. */
enum rf_code rf_rows_decimal(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, struct rf_numeric *numeric);

/* ---- rows_time.c: as PostgreSQL counts, from 2000 on ---- */

struct rf_rows_interval {
    int64_t micros;
    int32_t days;
    int32_t months;
};

enum rf_code rf_rows_date(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int32_t *days);
enum rf_code rf_rows_time(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int64_t *micros);
enum rf_code rf_rows_timestamp(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, int64_t *micros);
enum rf_code rf_rows_span(struct rf_rows *rows, const struct rf_rows_node *node, int64_t at, struct rf_rows_interval *interval);

/* ---- rows_json.c ---- */

/* The value that rf_rows_find gave, as JSON. */
enum rf_code rf_rows_json_value(struct rf_rows *rows, struct rf_rows_node *node, int64_t at);

#endif
