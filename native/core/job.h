/* A job: what to carry from where to where, read from JSON.
 *
 * The keys, their types, defaults and meanings stand in one table in job.c, from which the JSON Schema of
 * `rowferry spec job` is printed too. Unknown keys are errors.
 */
#ifndef RF_JOB_H
#define RF_JOB_H

#include "core/arena.h"
#include "core/drift_kinds.h"
#include "core/error.h"

#include <stdbool.h>
#include <stdint.h>

/* GIVEN is no choice of a job: it is how the rows of a stream come, which nobody has to find. */
enum rf_capture { RF_CAPTURE_AUTO, RF_CAPTURE_XMIN, RF_CAPTURE_CURSOR, RF_CAPTURE_FULL, RF_CAPTURE_GIVEN };
enum rf_mode { RF_MODE_MERGE, RF_MODE_APPEND, RF_MODE_REPLACE };
enum rf_on_duplicate { RF_DUPLICATE_NEWEST, RF_DUPLICATE_FAIL };
enum rf_on_delete { RF_DELETE_MARK, RF_DELETE_REMOVE };
/* What a timestamp without zone of the source becomes: one in UTC, or one without zone; auto: what is usual on the target. */
enum rf_naive { RF_NAIVE_AUTO, RF_NAIVE_UTC, RF_NAIVE_KEEP };

enum rf_channel { RF_CHANNEL_AUTO, RF_CHANNEL_ADBC, RF_CHANNEL_ODBC };
enum rf_open_transactions { RF_OPEN_TRACK, RF_OPEN_IGNORE };

struct rf_names {
    const char **names; /* NULL when the job does not say */
    int n;
};

enum rf_mask_kind { RF_MASK_DROP, RF_MASK_REDACT, RF_MASK_TRUNCATE, RF_MASK_HASH };

/* What hides a column's values. */
struct rf_mask {
    const char *column;
    enum rf_mask_kind kind;
    int n_characters; /* that truncating leaves */
};

#define RF_REDACTED "***" /* in place of a text */

struct rf_masks {
    struct rf_mask *masks; /* NULL when the job does not say */
    int n;
};

struct rf_job {
    const char *source; /* URI; NULL for verbs that need none */
    const char *target;
    const char *driver; /* the library that knows the target; NULL where none is loaded */
    enum rf_channel channel; /* of a target that two lead to */
    const char *spool_dir;   /* NULL: the system's folder for temporary files */
    int64_t spool_file_bytes;
    const char *source_name;
    const char *table; /* as written */
    const char *source_schema;
    const char *source_table;
    const char *source_label; /* schema.table, quoted only where needed: how messages and records name it */
    const char *target_database; /* of a target whose names have three parts; else NULL */
    const char *target_schema;
    const char *target_table;
    const char *target_label;
    struct rf_names keys;
    struct rf_names columns;
    struct rf_names as_text;
    struct rf_masks mask;
    const char *mask_key_env; /* the environment variable that holds the key of hashes */
    enum rf_naive naive_timestamps;
    const char *where;
    enum rf_capture capture;
    struct rf_names cursor_columns;
    enum rf_open_transactions open_transactions;
    double clock_margin; /* seconds, as the next three */
    double lookback;
    double max_hold;
    double wait_for_open_transactions;
    int64_t xmin_max_bytes;
    int audit; /* every so many loads; 0 = never */
    int sweep;
    enum rf_on_delete on_delete;
    struct rf_policies on_schema_change;
    const char *since; /* NULL, or as the job says; the source understands it */
    const char *until;
    int connections;
    enum rf_mode mode;
    bool allow_empty;
    enum rf_on_duplicate on_duplicate;
    const char *run_id;
    int try_number;
    int map_index; /* -1 when not mapped */
    const char *application;
    int64_t batch_bytes;
    double lock_timeout; /* seconds, as the next three */
    double lease_seconds;
    double source_lag_wait;
    int connect_timeout;
    const char *control_schema;
    bool verify;
    int newest; /* of `state`: load records of each table, the newest; 0: all */
    const char *of_tables; /* the first key it has that says how a table is read; NULL when it has none */
};

/* Parses and validates. All texts of *job live in `arena`. Fails with RF_CONFIG, naming the key. */
enum rf_code rf_job_parse(const char *json, struct rf_arena *arena, struct rf_job *job, struct rf_error *err);

/* Fails with RF_CONFIG when the verb needs a key that the job lacks. */
enum rf_code rf_job_require(const struct rf_job *job, bool source, bool target, bool table, struct rf_error *err);

/* Makes it a job whose rows a stream brings. Fails with RF_CONFIG when it lacks what such a job needs, or has a key that
 * says how a table is read. */
enum rf_code rf_job_take_stream(struct rf_job *job, struct rf_error *err);

/* Splits `a.b`, `"A".b` or `b` into schema (default "public") and name. Fails with RF_CONFIG. */
enum rf_code rf_split_name(const char *text, const char *key, struct rf_arena *arena, const char **schema,
                           const char **name, struct rf_error *err);

/* The JSON Schema (draft 2020-12) of a job, to be freed with free(); NULL when memory is short. */
char *rf_job_schema(void);

bool rf_names_have(const struct rf_names *names, const char *name);

/* A job without a target is read into memory: what it takes to load once is not asked for. */
bool rf_job_only_reads(const struct rf_job *job);

/* "merge", "append" or "replace". */
const char *rf_mode_name(enum rf_mode mode);

/* Does the job read only a window of the table? */
bool rf_job_has_window(const struct rf_job *job);

#endif
