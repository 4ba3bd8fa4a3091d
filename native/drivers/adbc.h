/* A session with a database through an ADBC driver: open, execute, read, ingest, commit, cancel, diagnose.
 *
 * Called from one thread, but for rf_adbc_ingest, which may run on another while nothing else is executed, and for the
 * cancel token, which interrupts what runs from a thread of its own. Nothing is committed before rf_adbc_commit.
 */
#ifndef RF_ADBC_H
#define RF_ADBC_H

#include "core/arena.h"
#include "core/arrow.h"
#include "core/cancel.h"
#include "core/error.h"
#include "core/text.h"
#include "drivers/adbc_abi.h"
#include "drivers/result.h"

#include <stdbool.h>
#include <stdint.h>

struct rf_adbc_interrupt; /* what the cancel token holds of a session */

/* Makes an error of ours of what a driver said: `native` is the database's own number, or 0. Only fills *err. */
typedef void rf_adbc_diagnosis(const char *role, int32_t native, const char *sqlstate, const char *text, struct rf_error *err);

/* What differs between databases behind the same interface; all zero: DuckDB's ways. */
struct rf_adbc_ways {
    rf_adbc_diagnosis *diagnose;
    bool by_statement; /* a statement is cancelled by itself, and says how many rows it changed only when no result is asked for */
    bool any_types;    /* results that no cast can reach have numbers in them; what is neither a text nor a whole number reads as NULL */
};

struct rf_adbc {
    struct rf_adbc_ways ways;
    struct AdbcStatement *running; /* what the token cancels where that goes by statement; under its lock */
    struct AdbcDriver driver;
    struct AdbcDatabase database;
    struct AdbcConnection connection;
    bool is_loaded;
    bool is_open;
    struct rf_cancel *cancel;
    struct rf_cancel_slot *slot;
    struct rf_adbc_interrupt *interrupt;
    bool past_cancel; /* the commit has begun: its outcome is waited for */
};

struct rf_adbc_option {
    const char *name;
    const char *value;
};

/* Loads the driver's library, which stays in the process: it has threads and data of threads. RF_CONFIG names what is missing. */
enum rf_code rf_adbc_load(struct rf_adbc *adbc, const char *library, const char *entry, struct rf_error *err);

/* Opens the database and a session in it, whose transaction begins with the first statement. */
enum rf_code rf_adbc_open(struct rf_adbc *adbc, const struct rf_adbc_option *options, int n_options, struct rf_cancel *cancel, struct rf_error *err);

/* From here on nothing that the token says is heard: for what has to be tidied up after a cancel. */
void rf_adbc_stop_listening(struct rf_adbc *adbc);

/* Rolls back what is not committed and closes; may be called at any time, twice, and opened again after. */
void rf_adbc_close(struct rf_adbc *adbc);

/* Runs what a maker of SQL wrote, and frees the text. *n_rows, which may be NULL, is what the driver says it changed; it
 * must say so then. `role` says what the statement is for; it goes into errors in place of the text. */
enum rf_code rf_adbc_execute(struct rf_adbc *adbc, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err);

/* A result, array by array; nothing else is executed in the session until it has ended. To be ended once it was asked for. */
struct rf_adbc_result {
    struct AdbcStatement statement;
    struct ArrowArrayStream stream; /* its release is NULL when there is no result */
    const char *role;               /* borrowed */
    int64_t n_changed;              /* what the driver says; -1: nothing */
};
enum rf_code rf_adbc_ask(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct rf_adbc_result *result, struct rf_error *err);
enum rf_code rf_adbc_schema(const struct rf_adbc *adbc, struct rf_adbc_result *result, struct ArrowSchema *schema, struct rf_error *err);
/* At the end the array is empty. A result may be made while it is read: only its end says that the statement succeeded. */
enum rf_code rf_adbc_next(const struct rf_adbc *adbc, struct rf_adbc_result *result, struct ArrowArray *array, struct rf_error *err);
void rf_adbc_end(struct rf_adbc *adbc, struct rf_adbc_result *result);

/* Every column of the result must be of texts, unless the ways say otherwise; they go into `arena`. */
enum rf_code rf_adbc_read(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct rf_arena *arena, struct rf_result *rows, struct rf_error *err);

/* Runs a statement that reads the rows of the stream, takes the stream over and frees the text. How a statement names them
 * is the driver's to say. */
enum rf_code rf_adbc_ingest(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct ArrowArrayStream *stream, struct rf_error *err);

enum rf_code rf_adbc_commit(struct rf_adbc *adbc, struct rf_error *err);
enum rf_code rf_adbc_rollback(struct rf_adbc *adbc, struct rf_error *err);

/* Whether each statement commits by itself: not so after rf_adbc_open. To be turned on with nothing uncommitted. */
enum rf_code rf_adbc_set_autocommit(struct rf_adbc *adbc, bool on, struct rf_error *err);

/* Takes what a call of the driver said, and makes it an error of ours: the one place that knows what a driver's mean. */
enum rf_code rf_adbc_judge(const struct rf_adbc *adbc, const char *role, AdbcStatusCode status, struct AdbcError *said, struct rf_error *err);

/* Did the database refuse to open because another process holds it? */
bool rf_adbc_is_held(const struct rf_error *err);

#endif
