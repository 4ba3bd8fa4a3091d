/* The sources and sinks there are, by the scheme of their URI. */
#ifndef RF_DRIVERS_H
#define RF_DRIVERS_H

#include "core/arena.h"
#include "core/cancel.h"
#include "core/columns.h"
#include "core/dialect.h"
#include "core/duckdb_uri.h"
#include "core/error.h"
#include "core/job.h"
#include "core/sink.h"
#include "core/source.h"
#include "core/transfer.h"
#include "core/snowflake_uri.h"
#include "drivers/adbc.h"
#include "drivers/connect_snowflake.h"
#include "drivers/file_registry.h"
#include "drivers/ingest.h"
#include "drivers/odbc.h"
#include "drivers/postgres.h"
#include "drivers/readers_postgres.h"
#include "drivers/scan.h"
#include "drivers/session_adbc.h"
#include "drivers/spool.h"

struct rf_source_postgres {
    const struct rf_job *job;
    struct rf_cancel *cancel;
    struct rf_arena *arena;
    struct rf_pg pg;
    const struct rf_hasher *hasher; /* NULL when no column is hashed */
    struct rf_snapshot snapshot; /* under which rows are read */
    double snapshot_seconds;     /* when it was taken, by rf_clock_seconds */
    struct rf_readers readers;
};

struct rf_lease_keeper; /* renews the lease of a long load, on a connection of its own */

struct rf_sink_postgres {
    const struct rf_job *job;
    struct rf_cancel *cancel;
    struct rf_arena *arena;
    struct rf_pg pg;
    const struct rf_plan *plan;
    int64_t load_id;
    const char *pid; /* of our session, as the lease records it */
    const char *backend_start;
    int64_t rows_staged; /* before keys followed */
    bool keys_follow;
    bool has_control; /* the control tables exist */
    struct rf_lease_keeper *keeper;
};

struct rf_sink_duckdb {
    const struct rf_job *job;
    struct rf_cancel *cancel;
    struct rf_arena *arena;
    struct rf_duckdb_uri uri;
    struct rf_adbc adbc;
    struct rf_file_hold *hold; /* of the file, within this process */
    const struct rf_plan *plan;
    int64_t load_id;
    struct rf_columns_field *fields; /* of the source's columns */
    struct rf_ingest *ingest;        /* rows or keys that are being loaded */
    struct rf_scan *scan;            /* rows that are being compared */
    int64_t rows_staged;
    bool keys_follow;
    bool has_control; /* the control table exists */
};

struct rf_sink_snowflake {
    const struct rf_job *job;
    struct rf_cancel *cancel;
    struct rf_arena *arena;
    struct rf_snowflake_uri uri;
    struct rf_adbc_option options[RF_SNOWFLAKE_OPTIONS];
    struct rf_session_adbc over_adbc;
    struct rf_odbc_uri odbc_uri;
    struct rf_odbc over_odbc;
    struct rf_session session; /* over one of the two */
    const struct rf_plan *plan;
    int64_t load_id;
    char token[33];          /* what our taking of the lease is told by; "" before and after */
    const char *session_id;  /* Snowflake's number of our session */
    const char *transaction; /* its number of the load's transaction; NULL before */
    int64_t newest_load_id;  /* of the newest load record when it was read; 0: there was none */
    struct rf_columns_field *fields; /* of the source's columns */
    struct rf_lease_keeper *keeper;
    struct rf_spool_folder folder;
    struct rf_spool *spool;  /* of rows, or of keys once these follow */
    const char *into;        /* the folder that its files are sent into */
    int64_t rows_staged;
    bool keys_follow;
    bool has_control;        /* the control tables exist */
    bool has_temporary;      /* temporary tables and files exist, which go with the session */
};

/* The target's rows, while they are read in pages. */
struct rf_odbc_pages {
    const struct rf_form *given; /* what their bytes are; NULL when none are being read */
    int64_t n;                   /* pages that were passed */
    int64_t n_rows;              /* of the present one so far */
};

struct rf_sink_odbc {
    const struct rf_job *job;
    struct rf_cancel *cancel;
    struct rf_arena *arena;
    struct rf_odbc_uri uri;
    struct rf_odbc odbc;
    struct rf_session session; /* over it */
    const struct rf_dialect_row *row; /* of the open session's database */
    struct rf_file_hold *hold; /* of a file, within this process */
    const struct rf_plan *plan;
    int64_t load_id;
    struct rf_columns_field *fields; /* of the source's columns */
    struct rf_columns_field *staged; /* of what is being loaded, shape (n_staged,) */
    int n_staged;
    struct rf_ingest *ingest; /* rows or keys that are being loaded */
    int64_t rows_staged;
    bool keys_follow;
    bool has_control; /* the control tables exist */
    bool has_loads;   /* and hold a record of the target */
    bool has_remains; /* the target is an empty table that a first load left, and is made anew */
    struct rf_odbc_pages pages;
    struct rf_lease_keeper *keeper;
};

/* Room for whichever it is. */
union rf_sink_memory {
    struct rf_sink_snowflake snowflake;
    struct rf_sink_postgres postgres;
    struct rf_sink_duckdb duckdb;
    struct rf_sink_odbc odbc;
};

/* Names the driver that a URI asks for, or fails with RF_CONFIG listing those there are. */
enum rf_code rf_source_for(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena,
                           struct rf_source_postgres *memory, struct rf_source *source, struct rf_error *err);
enum rf_code rf_sink_for(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena,
                         union rf_sink_memory *memory, struct rf_sink *sink, struct rf_error *err);

/* The channel by which a job reaches Snowflake: "adbc" or "odbc". Under `auto` it is ADBC, where its library is known: it comes
 * with pip, and is what can be tried without an account. */
const char *rf_snowflake_channel(const struct rf_job *job);

extern const struct rf_source_ops rf_source_postgres_ops;
extern const struct rf_sink_ops rf_sink_postgres_ops;
extern const struct rf_sink_ops rf_sink_duckdb_ops;
extern const struct rf_sink_ops rf_sink_snowflake_ops;
extern const struct rf_sink_ops rf_sink_odbc_ops;

/* Facts of a source for `rowferry doctor`, an object. */
enum rf_code rf_postgres_inspect_source(const struct rf_job *job, struct rf_cancel *cancel, struct rf_text *out, struct rf_error *err);

#endif
