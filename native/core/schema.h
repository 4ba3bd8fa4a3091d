/* Facts about tables on both sides, as read from the catalogs. All memory belongs to the run's arena. */
#ifndef RF_SCHEMA_H
#define RF_SCHEMA_H

#include <stdbool.h>
#include <stdint.h>

struct rf_column {
    const char *name;
    const char *type;     /* as DDL on the target writes it, typmod included; domains are unwrapped */
    const char *base;     /* the same without typmod, in the catalog's words: "numeric", "varchar" */
    const char *identity; /* what the binary form means; equal text on two servers = interchangeable bytes */
    const char *refusal;  /* why the bytes cannot be passed on; NULL when they can */
    const char *cast;     /* "::pg_catalog.text": what the source sends it as; NULL: as it is */
    const char *cast_reason; /* why it is not sent as it is; NULL where the table of types alone says so */
    const char *through;  /* of a source that is asked in SQL: the function that the value, cast, is sent through; or NULL */
    const char *masked;   /* what a source that is asked in SQL sends in place of the column; NULL when nothing hides it */
    const char *compared_as; /* of a value that goes as text there: what the source sends it as to be compared, in place of `cast`; or NULL */
    const char *arrives_as; /* the type of a target that goes by the table of types; NULL where bytes pass unread */
    const char *read_by;    /* how such a target reads the text that it is sent: "PARSE_JSON(%s)"; NULL: as its type reads texts */
    int32_t typmod;       /* -1 when the type carries none */
    bool not_null;
    bool always_null; /* of a stream that knows no type for it, because it has no value */
    bool hashed;    /* what it sends is hashed before it goes on (core/hash_rows.h) */
    bool generated; /* computed by the server; COPY of the table itself refuses it */
    const char *line; /* of a source: its line of the fingerprint, "column <number> <name> …"; else NULL */
};

/* The column's place; -1 when there is none of that name. */
int rf_find_column(const struct rf_column *columns, int n, const char *name);

/* Who keeps the oldest transaction open. */
struct rf_holder {
    bool known; /* false when nobody does, or nobody we may see */
    int pid;    /* 0 for a prepared transaction, which outlives its session */
    const char *user;
    const char *application;
    double seconds;
};

/* A column whose time says when its row changed. */
struct rf_cursor_column {
    const char *name;
    const char *base;   /* "timestamptz", "timestamp" or "date" */
    int64_t resolution_us; /* by how much a time in it may lie before the clock's */
    bool not_null;
    bool indexed;       /* a valid index over all rows begins with it */
    bool set_by_clock;  /* row triggers set it to the server's clock on every INSERT and UPDATE */
    bool says_deleted;  /* deleted_at: to be NULL is its rule */
};

/* What was open at the source just before the snapshot. Times are microseconds since 1970, by the source's clock. */
struct rf_open_transactions_facts {
    bool listed;
    bool sees_all;    /* the role may see since when transactions of others are open */
    bool has_unknown; /* something is open, and since when does not show: a watermark may not move */
    int64_t listed_us;
    int64_t oldest_us;   /* start of the oldest open transaction; listed_us when none is open */
    int64_t replayed_us; /* of a standby: what its last replayed transaction had as time; INT64_MAX on a primary */
    struct rf_holder holder;
};

/* Where a watermark comes from: it means nothing on another server, timeline, database or table. */
struct rf_identity {
    const char *system; /* pg_control_system().system_identifier */
    int timeline;
    uint64_t timeline_bytes; /* up to where in the log it is known to be that one; UINT64_MAX: everywhere */
    const char *database;
    int64_t table_oid;
};

struct rf_server {
    int version; /* server_version_num */
    bool utf8;
    const char *encoding; /* its name; may be NULL where utf8 is set */
    const char *lc_monetary;
    const char *clock; /* when it was asked for these; ISO 8601 in UTC with microseconds */
};

struct rf_snapshot {
    const char *text; /* xmin:xmax:in-progress list, as pg_current_snapshot prints it */
    uint64_t xmin;
    uint64_t xmax;
    const char *lsn;
    uint64_t lsn_bytes; /* how far the log had come before the snapshot: what tells a lagging standby */
    const char *clock; /* the source's clock, ISO 8601 in UTC with microseconds */
    bool in_recovery;
};

/* A table that holds rows: the source itself, its partitions, or what inherits from it. */
struct rf_leaf {
    const char *schema;
    const char *name;
    int64_t pages;
    bool readable; /* the role may SELECT from it by its own name */
};

struct rf_source_facts {
    struct rf_server server;
    struct rf_identity identity;
    struct rf_snapshot snapshot;
    struct rf_holder held_by;
    const char *schema;
    const char *name;
    struct rf_column *columns; /* the selected ones, in the order of the job or of the table */
    int n_columns;
    int *keys; /* positions in columns, shape (n_keys,) */
    int n_keys;
    bool key_proven;    /* a valid unique constraint over NOT NULL columns covers the whole tree */
    struct rf_cursor_column *cursor; /* the job's, or those found by their names; shape (n_cursor,) */
    int n_cursor;
    struct rf_open_transactions_facts open;
    const char *since; /* of the job's window, as the source understood it; ISO 8601 in UTC, or NULL */
    const char *until;
    struct rf_leaf *leaves; /* shape (n_leaves,) */
    int n_leaves;
    bool sends_csv;     /* set by a target that loads files; else the source sends COPY BINARY */
    bool one_heap;      /* an ordinary table without children: COPY reads it directly */
    bool row_security;  /* policies hide rows from this role */
    int64_t bytes;
    double rows_estimate; /* -1 when the planner knows nothing */
    const char *fingerprint; /* lines, each a fact whose change xmin cannot show; compared in ground.c */
    struct rf_column *left_out; /* columns that the target lacks and the job wants ignored, shape (n_left_out,) */
    int n_left_out;
};

/* Whose SQL the target speaks. */
enum rf_dialect {
    RF_DIALECT_POSTGRES, /* by libpq */
    RF_DIALECT_DUCKDB,
    RF_DIALECT_MARIADB, /* by ODBC, as the next two */
    RF_DIALECT_SQLITE,
    RF_DIALECT_PSQLODBC, /* PostgreSQL whose bytes cannot be reached */
    RF_DIALECT_SNOWFLAKE,
    RF_DIALECTS, /* how many there are */
};

struct rf_target_facts {
    enum rf_dialect dialect;
    struct rf_server server;
    bool exists;
    bool is_ours;    /* carries _extracted_at, _load_id and _deleted_at */
    bool key_unique; /* a unique index on exactly the job's keys */
    bool is_referenced; /* of DuckDB: some table has a foreign key to one of that name */
    const char *file; /* which table this is, and which file holds it: changes when it is re-created or emptied by TRUNCATE */
    struct rf_column *columns; /* as they stand; before the first load: the twins of the source's types */
    int n_columns;
    struct rf_column *twins; /* of a PostgreSQL table that is there: each column of the source as a new table would have it, shape (source's n_columns,); NULL where none was asked for */
    const char *key_name;    /* of the constraint that is its primary key; NULL where the statements need none, or there is none */
};

/* The newest load record of a table; load_id 0 when there is none. */
struct rf_load {
    int64_t load_id;
    bool is_reset; /* `state reset`: the next run reads everything */
    const char *source_table;
    const char *mode; /* NULL after a reset */
    struct rf_identity identity;
    const char *chosen;    /* the capture that was asked for or that auto took: "xmin", "cursor" or "full" */
    const char *snapshot;  /* as of which the target holds the source */
    const char *proven;    /* the last snapshot up to which row versions were compared: that of the newest load by xmin or full */
    const char *watermark; /* up to which the cursor has read; ISO 8601 in UTC */
    const char *lsn;
    const char *fingerprint;
    const char *extracted_at;
    const char *target_file;
    int64_t loads_since_audit; /* loads by cursor alone since row versions were last compared */
    int64_t loads_since_sweep; /* loads since deletes were last looked for */
    const char *cursor;        /* the columns that the watermark is of, as one text */
    bool doubted;              /* a load by cursor since then was best_effort */
    int64_t missed;            /* rows that audits found the cursor had missed, since everything was last read */
};

struct rf_counts {
    int64_t read; /* rows the source sent */
    int64_t staged;
    int64_t inserted;
    int64_t updated;
    int64_t deleted; /* closed: absent at the source, or fallen out of the filter */
    int64_t stale;
    int64_t duplicates;
    int64_t missed;      /* of an audit: rows that the cursor had missed */
    int64_t keys_read;   /* of a sweep: keys that the source sent, and those that the target took */
    int64_t keys_staged;
    int64_t live_source; /* of a sweep: keys at the source, and rows that the target then holds */
    int64_t live_target;
    int64_t gone; /* rows sent only to say that they left the filter */
    int64_t held_back; /* of settled rows (core/settle.h): those that the next run takes */
    int64_t bytes;
};

#endif
