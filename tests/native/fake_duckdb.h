/* DuckDB's C interface without a database: it answers statements by what they contain, has several threads take the rows that
 * are bound to one, and fails where it is told to. */
#ifndef FAKE_DUCKDB_H
#define FAKE_DUCKDB_H

#include "drivers/duckdb_abi.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { MOST_TAKEN = 256 };

/* What a statement that contains `part` gives: rows of texts as in text_arrays.h, a chunk each, or so many changed rows. */
struct fake_duckdb_answer {
    const char *part;
    const char *rows; /* NULL: no result */
    uint64_t n_changed;
};

struct fake_duckdb {
    struct fake_duckdb_answer answers[4]; /* the first that fits is given; none: no rows, and none changed */
    int fail_nth;                         /* the how manieth call fails of those that can, from 1; 0: none */
    const char *fail_sql;                 /* a statement that contains it fails too; NULL: none */
    atomic_int n_calls;                   /* that can fail */
    int give_at_most;                     /* chunks of a result, before it breaks off; 0: all */
    int take_at_most;                     /* chunks that are bound, before the statement fails; 0: all */
    int n_threads;                        /* that take the rows, all of them at once */
    bool waits;                           /* a statement waits until it is interrupted */
    sem_t is_waiting;
    sem_t interrupted;
    unsigned n_threads_ran;       /* for the newest statement that took rows */
    atomic_int taken[MOST_TAKEN]; /* how often the row that begins with this number was taken */
    atomic_int n_taken;
    atomic_int n_chunks_taken;
    atomic_int n_alive;   /* of everything that is made here, or by the test */
    atomic_int n_misused; /* calls that DuckDB does not allow. An assertion of cmocka's ends only a test's own thread */
    char options[256];    /* "name=value " each */
    char statements[4096]; /* that were run, a line each */
};

/* There is one at a time: the functions know no more. */
extern struct fake_duckdb *fake_duckdb;

void make_fake_duckdb(struct fake_duckdb *fake);
void fill_fake_duckdb(struct rf_duckdb_api *api);

/* Counts a call that can fail. Is it to? */
bool fake_duckdb_fails(void);

#endif
