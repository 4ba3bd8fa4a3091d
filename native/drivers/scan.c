#include "drivers/scan.h"

#include "core/copy_binary.h"
#include "core/rows.h"

#include <stdlib.h>

struct rf_scan {
    struct rf_adbc *adbc;
    struct rf_adbc_result result;
    size_t batch_bytes;
    struct rf_rows *rows;
    struct ArrowArray array; /* being written */
    bool begun;
    struct rf_text piece;
};

static enum rf_code understand(struct rf_scan *scan, struct rf_error *err) {
    struct ArrowSchema schema = {0};
    RF_TRY(rf_adbc_schema(scan->adbc, &scan->result, &schema, err));
    enum rf_code code = rf_rows_new(&schema, &scan->rows, err);
    if (schema.release) schema.release(&schema);
    if (code == RF_OK) rf_rows_take_any(scan->rows);
    return code;
}

enum rf_code rf_scan_start(struct rf_adbc *adbc, const char *role, struct rf_text *sql, size_t batch_bytes, struct rf_scan **out, struct rf_error *err) {
    struct rf_scan *scan = calloc(1, sizeof *scan);
    if (!scan) {
        rf_text_free(sql);
        return rf_no_memory(err);
    }
    scan->adbc = adbc;
    scan->batch_bytes = batch_bytes;
    enum rf_code code = rf_adbc_ask(adbc, role, sql, &scan->result, err);
    if (code == RF_OK) code = understand(scan, err);
    if (code == RF_OK) *out = scan;
    else rf_scan_drop(&scan);
    return code;
}

enum rf_code rf_scan_forms(const struct rf_scan *scan, int n_columns, struct rf_form *forms, struct rf_error *err) {
    if (rf_rows_width(scan->rows) != n_columns) return rf_fail(err, RF_INTERNAL, "target: %s: the result does not have the columns asked for", scan->result.role);
    for (int i = 0; i < n_columns; i++) forms[i] = rf_rows_form(scan->rows, i);
    return RF_OK;
}

static void let_go(struct rf_scan *scan) {
    if (scan->array.release) scan->array.release(&scan->array);
    scan->array.release = NULL;
}

/* An array that has no more rows gives way to the next one. */
static enum rf_code fill(struct rf_scan *scan, int64_t *n_rows, struct rf_error *err) {
    for (;;) {
        if (scan->array.release) RF_TRY(rf_rows_write(scan->rows, scan->batch_bytes, &scan->piece, n_rows, err));
        if (*n_rows > 0) return RF_OK;
        let_go(scan);
        RF_TRY(rf_adbc_next(scan->adbc, &scan->result, &scan->array, err));
        if (!scan->array.release) return RF_OK;
        RF_TRY(rf_rows_begin(scan->rows, &scan->array, err));
    }
}

static enum rf_code next(struct rf_scan *scan, struct rf_batch *batch, struct rf_error *err) {
    int64_t n_rows = 0;
    scan->piece.length = 0;
    if (!scan->begun) rf_text_add_bytes(&scan->piece, (const char *)rf_copy_header, RF_COPY_HEADER_BYTES);
    scan->begun = true;
    RF_TRY(fill(scan, &n_rows, err));
    RF_TRY(rf_text_check(&scan->piece, err));
    *batch = (struct rf_batch){.bytes = (const uint8_t *)scan->piece.data, .n_bytes = n_rows > 0 ? scan->piece.length : 0, .n_rows = n_rows};
    return RF_OK;
}

enum rf_code rf_scan_next(struct rf_scan **scan, struct rf_batch *batch, struct rf_error *err) {
    *batch = (struct rf_batch){0};
    if (!*scan) return RF_OK;
    RF_TRY(next(*scan, batch, err));
    if (batch->n_bytes == 0) rf_scan_drop(scan); /* makes way for other statements */
    return RF_OK;
}

void rf_scan_drop(struct rf_scan **scan) {
    struct rf_scan *gone = *scan;
    *scan = NULL;
    if (!gone) return;
    let_go(gone);
    rf_rows_free(gone->rows);
    rf_adbc_end(gone->adbc, &gone->result);
    rf_text_free(&gone->piece);
    free(gone);
}
