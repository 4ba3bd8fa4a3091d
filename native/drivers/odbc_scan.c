/* The rows of a query through ODBC as COPY BINARY, while they are read: a value's bytes as the database gives them, a double as
 * PostgreSQL sends it. */
#include "core/copy_binary.h"
#include "core/network_order.h"
#include "drivers/odbc.h"
#include "drivers/odbc_load.h"

#include <stdlib.h>
#include <string.h>

enum { LENGTH_BYTES = 4 };

struct rf_odbc_scan {
    const char *role;
    void *statement;
    SQLSMALLINT *c_types; /* of each column, shape (n_columns,) */
    int n_columns;
    size_t batch_bytes;
    bool begun;
    struct rf_text piece;
};

/* ---- rows ---- */

static enum rf_code add_double(struct rf_odbc *odbc, int column, bool *is_null, struct rf_error *err) {
    struct rf_odbc_scan *scan = odbc->scan;
    double value = 0;
    uint64_t bits;
    SQLLEN length = 0;
    SQLRETURN returned = odbc->api->SQLGetData(scan->statement, (SQLUSMALLINT)(column + 1), SQL_C_DOUBLE, &value, sizeof value, &length);
    RF_TRY(rf_odbc_judge(odbc, scan->role, returned, scan->statement, err));
    *is_null = length == SQL_NULL_DATA;
    if (*is_null) return RF_OK;
    memcpy(&bits, &value, sizeof bits);
    rf_copy_add_number(&scan->piece, bits, sizeof bits);
    return RF_OK;
}

static enum rf_code add_value(struct rf_odbc *odbc, int column, struct rf_error *err) {
    struct rf_odbc_scan *scan = odbc->scan;
    struct rf_text *piece = &scan->piece;
    size_t begin = piece->length;
    bool is_null = false;
    rf_copy_add_number(piece, 0, LENGTH_BYTES);
    RF_TRY(rf_text_check(piece, err));
    if (scan->c_types[column] == SQL_C_DOUBLE) RF_TRY(add_double(odbc, column, &is_null, err));
    else RF_TRY(rf_odbc_read_value(odbc, scan->statement, scan->role, column + 1, scan->c_types[column], piece, &is_null, err));
    size_t n_bytes = piece->length - begin - LENGTH_BYTES;
    if (n_bytes > INT32_MAX) return rf_fail(err, RF_DATA, "target: %s: a value is larger than any of PostgreSQL's", scan->role);
    rf_write_number((uint8_t *)piece->data + begin, is_null ? UINT32_MAX : n_bytes, LENGTH_BYTES);
    return RF_OK;
}

static enum rf_code add_row(struct rf_odbc *odbc, bool *got, struct rf_error *err) {
    struct rf_odbc_scan *scan = odbc->scan;
    RF_TRY(rf_odbc_fetch(odbc, scan->statement, scan->role, got, err));
    if (!*got) return RF_OK;
    rf_copy_add_number(&scan->piece, (uint64_t)scan->n_columns, 2);
    for (int i = 0; i < scan->n_columns; i++) RF_TRY(add_value(odbc, i, err));
    return rf_text_check(&scan->piece, err);
}

/* ---- all of them ---- */

/* A text may hold a NUL where it is read as bytes. psqlODBC, whose texts never do, puts one in the place of the last byte of a
 * long value that is read so. */
static SQLSMALLINT c_type_of(const struct rf_odbc *odbc, const struct rf_form *form) {
    if (form->wire == RF_WIRE_FLOAT8 && !form->printed) return SQL_C_DOUBLE;
    bool keeps_bytes = odbc->dialect == RF_DIALECT_MARIADB || odbc->dialect == RF_DIALECT_SQLITE || form->wire == RF_WIRE_BYTES;
    return keeps_bytes ? SQL_C_BINARY : SQL_C_CHAR;
}

static enum rf_code check_columns(struct rf_odbc *odbc, struct rf_error *err) {
    struct rf_odbc_scan *scan = odbc->scan;
    SQLSMALLINT n = 0;
    RF_TRY(rf_odbc_judge(odbc, scan->role, odbc->api->SQLNumResultCols(scan->statement, &n), scan->statement, err));
    return n == scan->n_columns ? RF_OK : rf_fail(err, RF_INTERNAL, "target: %s: the result does not have the columns asked for", scan->role);
}

static enum rf_code start(struct rf_odbc *odbc, const struct rf_text *sql, const struct rf_form *given, struct rf_error *err) {
    struct rf_odbc_scan *scan = odbc->scan;
    scan->c_types = calloc((size_t)scan->n_columns, sizeof *scan->c_types);
    if (!scan->c_types) return rf_no_memory(err);
    for (int i = 0; i < scan->n_columns; i++) scan->c_types[i] = c_type_of(odbc, &given[i]);
    RF_TRY(rf_text_check(sql, err));
    RF_TRY(rf_odbc_begin_statement(odbc, scan->role, &scan->statement, err));
    RF_TRY(rf_odbc_run(odbc, scan->statement, scan->role, sql, err));
    return check_columns(odbc, err);
}

enum rf_code rf_odbc_scan(void *self, const char *role, struct rf_text *sql, const struct rf_form *given, int n_columns, size_t batch_bytes, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    rf_odbc_end_scan(odbc);
    odbc->scan = calloc(1, sizeof *odbc->scan);
    enum rf_code code = odbc->scan ? RF_OK : rf_no_memory(err);
    if (code == RF_OK) {
        *odbc->scan = (struct rf_odbc_scan){.role = role, .n_columns = n_columns, .batch_bytes = batch_bytes};
        code = start(odbc, sql, given, err);
    }
    if (code != RF_OK) rf_odbc_end_scan(odbc);
    rf_text_free(sql);
    return code;
}

enum rf_code rf_odbc_next(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_odbc *odbc = self;
    struct rf_odbc_scan *scan = odbc->scan;
    *batch = (struct rf_batch){0};
    if (!scan) return RF_OK;
    if (odbc->cancel && rf_cancel_requested(odbc->cancel)) return rf_cancelled(err);
    scan->piece.length = 0;
    if (!scan->begun) rf_text_add_bytes(&scan->piece, (const char *)rf_copy_header, RF_COPY_HEADER_BYTES);
    scan->begun = true;
    for (bool got = true; got && (batch->n_rows == 0 || scan->piece.length < scan->batch_bytes); batch->n_rows += got) RF_TRY(add_row(odbc, &got, err));
    if (batch->n_rows == 0) {
        rf_odbc_end_scan(odbc);
        return RF_OK;
    }
    batch->bytes = (const uint8_t *)scan->piece.data;
    batch->n_bytes = scan->piece.length;
    return RF_OK;
}

void rf_odbc_end_scan(void *self) {
    struct rf_odbc *odbc = self;
    struct rf_odbc_scan *scan = odbc->scan;
    if (!scan) return;
    rf_odbc_end_statement(odbc, scan->statement);
    free(scan->c_types);
    rf_text_free(&scan->piece);
    free(scan);
    odbc->scan = NULL;
}
