/* Which PostgreSQL type becomes what: the one table of types, printed by `rowferry types`.
 *
 * Between two PostgreSQL servers bytes pass as they are (core/passthrough.h); everywhere else a value goes by this
 * table: the source sends it in a form whose bytes we know how to read, it stands in an Arrow column, and the
 * target has a type for it. A type without a row of its own is sent as its text.
 */
#ifndef RF_TYPES_H
#define RF_TYPES_H

#include "core/arena.h"
#include "core/error.h"
#include "core/job.h"
#include "core/schema.h"
#include "core/text.h"

#include <stdbool.h>
#include <stdint.h>

/* The binary form in which a value arrives, as the type's send function writes it (src/backend/utils/adt). */
enum rf_wire {
    RF_WIRE_BOOL,      /* 1 byte */
    RF_WIRE_INT2,      /* network order, as all below */
    RF_WIRE_INT4,
    RF_WIRE_INT8,
    RF_WIRE_UINT4,     /* oid */
    RF_WIRE_FLOAT4,    /* IEEE 754 */
    RF_WIRE_FLOAT8,
    RF_WIRE_NUMERIC,   /* int16 digits, weight, sign, scale; then digits to the base of 10,000 */
    RF_WIRE_TEXT,      /* UTF-8 */
    RF_WIRE_BYTES,
    RF_WIRE_JSONB,     /* version 1, then text */
    RF_WIRE_UUID,      /* 16 bytes */
    RF_WIRE_DATE,      /* int32 days since 2000-01-01; INT32_MAX and INT32_MIN are infinity and -infinity */
    RF_WIRE_TIME,      /* int64 microseconds since midnight, 24:00 included */
    RF_WIRE_TIMESTAMP, /* int64 microseconds since 2000-01-01 (UTC with zone); INT64_MAX and INT64_MIN are the infinities */
    RF_WIRE_INTERVAL,  /* int64 microseconds, int32 days, int32 months; all three at their ends (17+) are the infinities */
    RF_WIRE_ARRAY,     /* int32 dimensions, int32 has NULLs, int32 oid; per dimension int32 length, int32 lower bound; values */
};

/* What the bytes of a column are: as PostgreSQL sends the wire, unless more is said. */
struct rf_form {
    enum rf_wire wire;
    enum rf_wire element;  /* of RF_WIRE_ARRAY */
    bool printed;          /* the text that a database prints of such a value (core/value_read.h) */
    bool unsigned_zero;    /* of floats: -0 is 0, since the target keeps no sign of it */
    bool json;             /* of texts and jsonb: what the JSON says counts, and not how it is written */
};

struct rf_type_row;

/* A column as it is carried. Made by rf_type_resolve, in its arena. */
struct rf_type {
    const struct rf_type_row *row; /* of an array, that of its elements */
    enum rf_wire wire;
    int precision; /* of RF_WIRE_NUMERIC: digits in all, 1 to 38, and behind the point, 0 to precision */
    int scale;
    const char *format;           /* Arrow's: "l", "d:12,2", "tsu:UTC", "+l" */
    const char *extension;        /* Arrow's canonical extension type ("arrow.uuid"), or NULL */
    const struct rf_type *element; /* of RF_WIRE_ARRAY */
    bool is_list;                  /* an array that is sent as its text */
    const char *cast;              /* as of struct rf_column: "::pg_catalog.text[]", or NULL */
    const char *labels;            /* of an enum, as literals: 'a','b'; else NULL */
};

/* `identity` and `typmod` as of struct rf_column; `as_text`: the job wants its text. Never refuses a type. */
enum rf_code rf_type_resolve(const char *identity, int32_t typmod, bool as_text, struct rf_arena *arena,
                             struct rf_type *type, struct rf_error *err);

/* A `cast_reason` of struct rf_column. */
#define RF_AS_TEXT_NAMES_IT "\"as_text\" names it"

/* How a timestamp without zone is sent that is taken for one in UTC, and the `cast_reason`. Its bytes are the same, its text is another. */
#define RF_AS_UTC "::pg_catalog.timestamptz"
#define RF_TAKEN_AS_UTC "\"naive_timestamps\" takes it as UTC"

/* Is a timestamp without zone taken for one in UTC where the job makes a column for it? */
bool rf_takes_naive_as_utc(const struct rf_job *job, enum rf_dialect dialect);

/* Does the cast of a column change its binary form? */
bool rf_casts_bytes(const struct rf_column *column);

/* RF_CONFIG when "as_text" of the job names a column that is not read. */
enum rf_code rf_check_as_text(const struct rf_job *job, const struct rf_source_facts *facts, struct rf_error *err);

struct rf_columns_field;

/* For a target that reads what the bytes hold: sets each column's cast, and says as what it arrives, shape
 * (facts->n_columns,), in `arena`. A column that is `there` without a zone stays so. RF_CONFIG as rf_check_as_text, and when texts of the source have no known encoding. */
enum rf_code rf_types_of(const struct rf_job *job, struct rf_source_facts *facts, const struct rf_target_facts *there, struct rf_arena *arena,
                         struct rf_columns_field **fields, struct rf_error *err);

/* The forms of what the source sends, shape (n_fields,), in `arena`; NULL when memory is short. */
struct rf_form *rf_forms_of(const struct rf_columns_field *fields, int n_fields, struct rf_arena *arena);

/* Writes the type of the target's column: "DECIMAL(12,2)", "UUID", "ENUM('a','b')", "BIGINT[]". */
void rf_type_on(const struct rf_type *type, enum rf_dialect dialect, struct rf_text *out);

/* Sets how a column is sent to Snowflake, in texts, and read there; and how it is compared with what it became. */
void rf_type_sent_to_snowflake(const struct rf_type *type, struct rf_column *column);

/* The whole table as JSON, {"types": [{"postgres", "sent_as", "arrow", "duckdb", "mariadb", …, "to_postgres", "note"}, …]}, to be freed with free(); NULL when
 * memory is short. */
char *rf_types_json(void);

#endif
