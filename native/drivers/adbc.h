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

#include <stdbool.h>
#include <stdint.h>

struct rf_adbc_interrupt; /* what the cancel token holds of a session */

struct rf_adbc {
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
void rf_adbc_end(const struct rf_adbc *adbc, struct rf_adbc_result *result);

/* A small result, all of texts, in `arena`. */
struct rf_adbc_rows {
    const char **cells; /* shape (n_rows, n_columns); NULL for SQL NULL */
    int n_rows;
    int n_columns;
};
enum rf_code rf_adbc_read(struct rf_adbc *adbc, const char *role, struct rf_text *sql, struct rf_arena *arena, struct rf_adbc_rows *rows, struct rf_error *err);
const char *rf_adbc_cell(const struct rf_adbc_rows *rows, int row, int column);
int64_t rf_adbc_integer(const struct rf_adbc_rows *rows, int row, int column); /* 0 for NULL */
bool rf_adbc_flag(const struct rf_adbc_rows *rows, int row, int column);

/* Appends what the stream gives to a table, by position; takes the stream over. `schema` NULL: a temporary table. */
enum rf_code rf_adbc_ingest(struct rf_adbc *adbc, const char *schema, const char *table, struct ArrowArrayStream *stream, struct rf_error *err);

enum rf_code rf_adbc_commit(struct rf_adbc *adbc, struct rf_error *err);

/* Takes what a call of the driver said, and makes it an error of ours: the one place that knows what a driver's mean. */
enum rf_code rf_adbc_judge(const struct rf_adbc *adbc, const char *role, AdbcStatusCode status, struct AdbcError *said, struct rf_error *err);

/* Did the database refuse to open because another process holds it? */
bool rf_adbc_is_held(const struct rf_error *err);

#endif
