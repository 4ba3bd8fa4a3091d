#include "drivers/session_adbc.h"

static enum rf_code open_session(void *self, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    if (!made->adbc.is_loaded) RF_TRY(rf_adbc_load(&made->adbc, made->library, made->entry, err));
    RF_TRY(rf_adbc_open(&made->adbc, made->options, made->n_options, made->cancel, err));
    return rf_adbc_set_autocommit(&made->adbc, true, err);
}

static enum rf_code execute(void *self, const char *role, struct rf_text *sql, int64_t *n_rows, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    return rf_adbc_execute(&made->adbc, role, sql, n_rows, err);
}

static enum rf_code read_rows(void *self, const char *role, struct rf_text *sql, struct rf_arena *arena, struct rf_result *rows, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    return rf_adbc_read(&made->adbc, role, sql, arena, rows, err);
}

static enum rf_code begin(void *self, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    return rf_adbc_set_autocommit(&made->adbc, false, err);
}

static enum rf_code commit(void *self, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    struct rf_error ignored; /* it is committed, whatever comes after */
    RF_TRY(rf_adbc_commit(&made->adbc, err));
    (void)rf_adbc_set_autocommit(&made->adbc, true, &ignored);
    return RF_OK;
}

static enum rf_code rollback(void *self, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    if (!made->adbc.is_open) return RF_OK;
    RF_TRY(rf_adbc_rollback(&made->adbc, err));
    return rf_adbc_set_autocommit(&made->adbc, true, err);
}

static void stop_listening(void *self) {
    struct rf_session_adbc *made = self;
    rf_adbc_stop_listening(&made->adbc);
    made->cancel = NULL;
}

static void close_session(void *self) {
    struct rf_session_adbc *made = self;
    if (made->adbc.is_loaded) rf_adbc_close(&made->adbc);
}

static const struct rf_session_ops ops = {
    .open = open_session,
    .execute = execute,
    .read = read_rows,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .stop_listening = stop_listening,
    .close = close_session,
};

struct rf_session rf_session_over_adbc(struct rf_session_adbc *made) {
    return (struct rf_session){.ops = &ops, .self = made, .channel = "adbc"};
}
