/* Databases whose SQL is told them in plain statements: what differs between them, as data.
 *
 * A template is SQL in which {schema}, {table}, {name} and {control} stand for names of the job as literals ({name}: schema
 * and table as one), {label} for the target's as records keep it, and {target} for the table itself. Each of its columns is
 * a text, a whole number, or 'true' and 'false'. What is between `before` and `after` is an expression.
 */
#ifndef RF_DIALECT_H
#define RF_DIALECT_H

#include "core/job.h"
#include "core/schema.h"
#include "core/text.h"

#include <stdbool.h>

struct rf_around {
    const char *before;
    const char *after;
};

/* How the value of a column is asked for, as a text or as bytes. */
struct rf_asked {
    const char *type;     /* what the column's begins with; "" any other */
    const char *template; /* the name stands in each %s */
};

/* Writes how the value of a column is asked for: the first that fits what `type` begins with. Takes the name's text over. */
void rf_add_asked(const struct rf_asked *asked, const char *type, struct rf_text *name, struct rf_text *out);

/* How the rows of a table are asked for, of which a driver may keep all in memory that one statement gives. */
enum rf_paging {
    RF_PAGES_NONE,   /* by one statement: the driver gives row by row */
    RF_PAGES_CURSOR, /* from a cursor of the server's */
    RF_PAGES_BY_KEY, /* behind the key of the page before, which the server keeps in variables */
};

struct rf_dialect_row {
    const char *name; /* of the database, for people */
    int oldest;       /* version that will do: 10.7 → 100700 */

    /* names and values */
    bool has_schemas;           /* else schema and table are one name with a point in it */
    const char *temporary;      /* the schema of temporary tables; NULL: the control schema */
    struct rf_around hex;       /* of the hexadecimal digits of a text's UTF-8: that text */
    struct rf_around time;      /* of a literal: a time. Its form: */
    int time_digits;            /* how much of 2026-01-31 18:00:00.000000+00:00 it takes */
    bool one_at_a_time;         /* its driver gives every value of an array the length of the first */
    bool casts;                 /* a ? takes the type it is cast to, since each value is bound as a text */

    /* types of the control tables and the metadata */
    const char *text, *name_text, *bytes, *json, *instant, *flag; /* name_text: of a key */
    const char *table_end;      /* behind the ) of each CREATE TABLE */

    /* expressions */
    const char *now;            /* the clock, as a time */
    struct rf_around later;     /* of a number of seconds: so much after now */
    struct rf_around iso;       /* of a time: 2026-01-31T18:00:00.000000+00:00 */
    struct rf_around listed;    /* of a text: all of a group, with commas */
    const char *as_text;        /* the type of a CAST that makes a text */
    struct rf_around differs;   /* of two values with `differs_between`: NULL is a value like others */
    const char *differs_between;

    const char *mode;           /* of the newest load, `n`: the mode that its report tells */

    /* statements */
    bool ddl_commits;           /* CREATE ends a transaction: it comes before */
    const char *enter;          /* comes before a schema that the session has to be in for what follows; NULL: in none */
    bool update_joins;          /* UPDATE t JOIN s ON … SET; else UPDATE t SET … FROM s WHERE */
    bool index_in_create;       /* where keys are looked up in a stage it needs an index, made with it */
    bool index_after;           /* or once it is full */
    bool file_is_lease;         /* whoever has begun a transaction is alone in the file */
    const char *arrival;        /* rises with the rows of a stage; NULL: a column of its own counts them */
    const char *begin_session;  /* settings, parted by semicolons; {lock} and {lease} are the job's times in whole seconds */
    const char *lock;           /* → is the table's lock ours now: it goes with the session */
    const char *once_named;     /* a setting of a session that holds that lock and says so in the lease's row; NULL: none */
    const char *holder;         /* → pid of the session that holds it, or nothing */
    struct rf_around end_session; /* of a pid */
    const char *session;        /* of the lease's row: pid, backend_start */
    const char *begin_looking;  /* begins a transaction that sees one state of all tables and may idle; as begin_session */
    struct rf_around idle_limit; /* of whole seconds: how long an open transaction may idle, 0 for ever; NULL where nothing ends it */

    /* comparing */
    const struct rf_asked *asked; /* the first that fits a column's type */
    enum rf_paging paging;

    /* catalogs */
    const char *account;        /* → user, version as it is, is nothing written here */
    const char *schema_exists;  /* → does {schema} exist; NULL where there are none */
    const char *control_exists; /* → are there `loads`, `leases` */
    const char *find;           /* → the clock in ISO 8601, version as a number, is the target a table, is it something else */
    const char *columns;        /* → name, type, may not be NULL, is computed; in order */
    const char *unique_keys;    /* → constraint, column; those of one constraint together; from PostgreSQL the name too, of a primary key */
    const char *file;           /* an expression: which table this is, and that nobody emptied or replaced it */
};

/* NULL for a database that is reached otherwise. */
const struct rf_dialect_row *rf_dialect_row(enum rf_dialect dialect);

/* Appends a template, filled in. */
void rf_dialect_fill(const struct rf_dialect_row *row, const char *template, const struct rf_job *job, struct rf_text *out);

/* 'text', or in hexadecimal digits when it holds a sign that drivers and databases may read in a way of their own. */
void rf_dialect_literal(const struct rf_dialect_row *row, const char *text, struct rf_text *out);
/* A time that is given in ISO 8601 and UTC; NULL for none. */
void rf_dialect_time(const struct rf_dialect_row *row, const char *iso, struct rf_text *out);
void rf_dialect_table(const struct rf_dialect_row *row, const char *schema, const char *table, struct rf_text *out);
void rf_dialect_around(struct rf_around around, const char *inside, struct rf_text *out);

#endif
