/* An ADBC driver that keeps no rows: it answers statements by what they contain, counts the rows it is given, and fails
 * where it is told to. */
#ifndef FAKE_ADBC_H
#define FAKE_ADBC_H

#include "drivers/adbc.h"

#include <stdatomic.h>

enum { MOST_ANSWERS = 32, STATEMENTS_BYTES = 65536 };

/* What a statement that contains `part` gives: rows of texts, "a|b;c|d" with ~ for NULL, or so many changed rows. */
struct fake_answer {
    const char *part;
    const char *rows; /* NULL: no result */
    int64_t n_changed;
    const char *(*tell)(const char *sql); /* NULL; or what gives the rows, in static memory, or no result */
};

struct fake_adbc {
    struct fake_answer answers[MOST_ANSWERS]; /* the first that fits is given; none: no rows, and one changed */
    int n_answers;
    struct fake_answer later[2]; /* come before the others once a call has failed */
    int fail_nth;             /* the how manieth call fails, from 1; 0: none */
    const char *fail_part;    /* the first statement that contains it fails; NULL: none */
    const char *fail_message; /* NULL: a text without a meaning */
    atomic_int n_calls;
    int64_t lie;              /* added to the count of rows loaded */
    int64_t take_at_most;     /* arrays, before the ingest fails; 0: all */
    const char *format;       /* of results; NULL: "u" */
    bool waits;               /* an ingest waits until it is interrupted */
    atomic_bool is_waiting;
    atomic_bool is_interrupted;
    int n_calls_to_commit;    /* up to the newest and with it */
    bool loses_answers;       /* a commit that fails was done */
    bool autocommits; /* a session does, from when it is told so */
    bool committed;
    bool rolled_back;
    int64_t n_loaded; /* by the newest ingest */
    atomic_int n_alive; /* databases, sessions, statements, results, errors */
    char options[512];
    char statements[STATEMENTS_BYTES]; /* all of them, a line each; and where a transaction begins and ends: (begin), (commit), (roll back) */
};

/* There is one at a time: a driver's functions know no more. */
extern struct fake_adbc *fake_adbc;

void fill_fake_driver(struct AdbcDriver *driver);
void answer(struct fake_adbc *fake, const char *part, const char *rows);
void answer_by(struct fake_adbc *fake, const char *part, const char *(*tell)(const char *sql));
void answer_changed(struct fake_adbc *fake, const char *part, int64_t n_changed);

#endif
