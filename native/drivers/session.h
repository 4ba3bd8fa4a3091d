/* A session with a target that is reached in SQL and answers in texts, whichever channel leads to it: what a sink sends is
 * the same over ODBC and over ADBC.
 *
 * Called from one thread at a time; `append` may run on another thread while nothing else is executed. Every operation but
 * `close` looks at the cancel token the session was made with, whose own thread interrupts what runs: RF_CANCELLED then, but
 * not once a commit has begun, whose outcome is waited for. The channel fills errors and keeps secrets out of them. `role`
 * says what a statement is for, and goes into errors in place of its text.
 */
#ifndef RF_SESSION_H
#define RF_SESSION_H

#include "core/arena.h"
#include "core/batch.h"
#include "core/cancel.h"
#include "core/columns.h"
#include "core/error.h"
#include "core/text.h"
#include "drivers/result.h"

#include <stdbool.h>
#include <stdint.h>

struct rf_session_ops {
    /* Loads what the channel needs and connects. RF_CONFIG names what is missing and how to get it. */
    enum rf_code (*open)(void *self, struct rf_error *err);
    /* Runs what a maker of SQL wrote, and frees the text. *n_rows, which may be NULL, is what the driver says it changed; it
     * must say so then. Commits by itself, unless `begin` came before. */
    enum rf_code (*execute)(void *self, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err);
    /* The same for a statement with a small result, which has no columns when the driver gives none. Over ADBC each of its columns must be a text: cast the others. */
    enum rf_code (*read)(void *self, const char *role, struct rf_text *sql, struct rf_arena *arena, struct rf_result *rows, struct rf_error *err);
    /* Runs `insert`, whose ? stand for the values of a row, for each row that the stream brings; takes the stream over and
     * frees the texts. `count` counts the rows of the table, which holds none: what a driver says of its rows proves nothing,
     * and the whole has to be counted after. NULL on a channel whose rows come another way. */
    enum rf_code (*append)(void *self, const char *role, struct rf_text *insert, struct rf_text *count, const struct rf_columns_field *fields,
                           int n_fields, struct ArrowArrayStream *stream, struct rf_error *err);
    /* Asks for rows, and frees the text. What the bytes of each column are, shape (n_columns,), must be one of three: a text, or any
     * form that is printed; bytes; a double. Until the rows have ended nothing else may be executed. */
    enum rf_code (*scan)(void *self, const char *role, struct rf_text *sql, const struct rf_form *given, int n_columns, size_t batch_bytes, struct rf_error *err);
    /* About batch_bytes of whole rows as COPY BINARY, borrowed until the next call; n_bytes is 0 at their end. */
    enum rf_code (*next)(void *self, struct rf_batch *batch, struct rf_error *err);
    /* Ends the rows, if there are any; so does `close`. */
    void (*end_scan)(void *self);
    /* From here on nothing is committed before `commit`. */
    enum rf_code (*begin)(void *self, struct rf_error *err);
    /* Any failure but RF_CANCELLED leaves in doubt whether the transaction was committed. Once it was, statements commit by
     * themselves again. */
    enum rf_code (*commit)(void *self, struct rf_error *err);
    /* RF_OK, too, where there is nothing to roll back. */
    enum rf_code (*rollback)(void *self, struct rf_error *err);
    /* From here on nothing that the token says is heard, in sessions that are opened after either: for what is found out or
     * tidied up behind a cancel. */
    void (*stop_listening)(void *self);
    /* Rolls back what is not committed and disconnects; may be called at any time, twice, and opened again after. */
    void (*close)(void *self);
};

struct rf_session {
    const struct rf_session_ops *ops;
    void *self;
    const char *channel; /* as reports tell it: "odbc", "adbc" */
};

#endif
