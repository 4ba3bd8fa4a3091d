#include "drivers/session_adbc.h"

#include <stdlib.h>

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

static void end_scan(void *self) {
    struct rf_session_adbc *made = self;
    rf_scan_drop(&made->scan);
}

static bool is_text(enum rf_wire wire) {
    return wire == RF_WIRE_TEXT || wire == RF_WIRE_BYTES;
}

/* What the driver gives has to be what was asked for. */
static enum rf_code check_forms(struct rf_session_adbc *made, const char *role, const struct rf_form *given, int n_columns, struct rf_error *err) {
    struct rf_form *forms = calloc((size_t)n_columns, sizeof *forms);
    enum rf_code code = forms ? rf_scan_forms(made->scan, n_columns, forms, err) : rf_no_memory(err);
    for (int i = 0; code == RF_OK && i < n_columns; i++) {
        bool fits = given[i].printed || is_text(given[i].wire) ? is_text(forms[i].wire) : forms[i].wire == given[i].wire;
        if (!fits) code = rf_fail(err, RF_INTERNAL, "target: %s: column %d of the result is not of the type asked for", role, i + 1);
    }
    free(forms);
    return code;
}

static enum rf_code scan(void *self, const char *role, struct rf_text *sql, const struct rf_form *given, int n_columns, size_t batch_bytes, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    end_scan(made);
    RF_TRY(rf_scan_start(&made->adbc, role, sql, batch_bytes, &made->scan, err));
    return check_forms(made, role, given, n_columns, err);
}

static enum rf_code next(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_session_adbc *made = self;
    return rf_scan_next(&made->scan, batch, err);
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
    end_scan(made);
    if (made->adbc.is_loaded) rf_adbc_close(&made->adbc);
}

static const struct rf_session_ops ops = {
    .open = open_session,
    .execute = execute,
    .read = read_rows,
    .scan = scan,
    .next = next,
    .end_scan = end_scan,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .stop_listening = stop_listening,
    .close = close_session,
};

struct rf_session rf_session_over_adbc(struct rf_session_adbc *made) {
    return (struct rf_session){.ops = &ops, .self = made, .channel = "adbc"};
}
