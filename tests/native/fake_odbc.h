/* An ODBC driver, with its manager, that keeps no rows: it answers statements by what they contain, counts the rows it is
 * given, and fails, lies or waits where it is told to. Its functions have the names of the real ones. */
#ifndef FAKE_ODBC_H
#define FAKE_ODBC_H

#include "core/cancel.h"
#include "drivers/odbc_load.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { FAKE_ANSWERS = 48, FAKE_STATEMENTS_BYTES = 65536, FAKE_ROWS_BYTES = 8192 };

/* What a statement that contains `part` gives: rows of texts, "a|b;c|d" with ~ for NULL, or so many changed rows. "loaded"
 * is the number of rows that were taken, TOKEN in it what a statement before called "token". */
struct fake_reply {
    const char *part;
    const char *after; /* given only once a statement that contains this was seen; NULL: always */
    const char *rows; /* NULL: no result */
    int64_t n_changed;
};

/* What a call or a statement fails with. */
struct fake_failure {
    const char *state;
    int native;
    const char *text;
};

struct fake_odbc {
    struct fake_reply replies[FAKE_ANSWERS]; /* the first that fits is given; none: no rows, and one changed */
    int n_replies;
    const char *dbms;    /* NULL: "MariaDB" */
    const char *drivers; /* the names registered, parted by commas; NULL: "Some Other,MariaDB Unicode" */
    int fail_nth;        /* the how manieth call fails, from 1; 0: none */
    const char *fail_part; /* statements that contain it fail … */
    int fail_times;        /* … so many times; 0: for ever */
    struct fake_failure failure;
    bool refuses_arrays;  /* does not take PARAMSET_SIZE */
    bool takes_first;     /* takes it, says that all went well, and inserts the first row */
    bool spares;          /* of a text that does not fit, gives less than there is room for */
    bool truncates;       /* says in a warning that a value was cut */
    bool no_data;         /* a statement that changes nothing returns SQL_NO_DATA */
    int64_t lie;          /* added to "loaded" */
    const char *wait_part; /* a statement that contains it runs until it is cancelled */
    bool loses_commit;    /* the commit's answer is lost, as `failure` says, … */
    bool commits_anyway;  /* … and it was committed or not */
    struct rf_cancel *cancel_at_commit; /* requested while the commit is under way; NULL: none */
    atomic_int n_calls;
    atomic_bool is_waiting;
    atomic_bool is_interrupted;
    bool committed;
    bool rolled_back;
    bool in_transaction;
    int n_connects;
    int64_t n_loaded;
    int n_executes;     /* of prepared statements */
    int64_t most_rows;  /* of one of them */
    atomic_int n_alive; /* handles */
    char connection_string[512];
    const char *seen;   /* a file that gets all of `statements` as they come, each with a NUL behind it; NULL: none */
    char token[64];
    char rows[FAKE_ROWS_BYTES]; /* those that were bound, "1|~|note;", as long as there is room */
    char statements[FAKE_STATEMENTS_BYTES]; /* all of them, a line each; between them (connect), (autocommit off), (commit), (rollback) … */
};

/* There is one at a time: a driver's functions know no more. */
extern struct fake_odbc *fake_odbc;

void fill_fake_odbc(struct rf_odbc_api *api);
void reply(struct fake_odbc *fake, const char *part, const char *rows);
void reply_after(struct fake_odbc *fake, const char *after, const char *part, const char *rows);
void reply_changed(struct fake_odbc *fake, const char *part, int64_t n_changed);

#endif
