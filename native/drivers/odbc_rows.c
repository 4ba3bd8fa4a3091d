/* Loading rows through ODBC: an INSERT with a ? for each value, bound column by column to as many rows as the driver takes.
 *
 * Whether a driver takes several rows at a time is tried on the first two: some refuse to be told how many there are, and
 * some agree and insert one (tests/native/fake_odbc.h has both).
 */
#include "core/dialect.h"
#include "core/value_text.h"
#include "drivers/odbc.h"
#include "drivers/odbc_load.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_ROWS = 4096,
    MOST_BYTES = 8 << 20, /* of an array: half of what a MariaDB server takes in one piece unless it is told otherwise */
};

/* How the values of a column are given to the driver. */
enum form {
    AS_THEY_ARE, /* as they stand in Arrow's buffer */
    COPIED,      /* each made wider, or printed, in a buffer of ours */
    BYTES,       /* texts and bytes, each in as much room as the longest of the array */
};

struct bound {
    const struct rf_columns_field *field;
    SQLSMALLINT c_type;
    SQLSMALLINT sql_type;
    enum form form;
    size_t width; /* of a value, in bytes */
    size_t capacity;
    uint8_t *bytes;
    const struct ArrowArray *array;
};

struct append {
    struct rf_odbc *odbc;
    const char *role;
    const char *insert;
    const char *count; /* a statement that counts the table's rows */
    SQLHSTMT statement;
    struct bound *columns;
    int n_columns;
    SQLLEN *lengths; /* shape (n_columns, MOST_ROWS) */
    int most_rows;   /* of an array; 0: not tried yet */
    int64_t n_last;  /* rows of the array before */
    int64_t n_done;  /* rows before */
};

/* ---- how each type is bound ---- */

static const struct layout {
    SQLSMALLINT c_type, sql_type;
    enum form form;
    size_t width;
} LAYOUTS[] = {
    [RF_WIRE_BOOL] = {SQL_C_STINYINT, SQL_TINYINT, COPIED, 1},
    [RF_WIRE_INT2] = {SQL_C_SSHORT, SQL_SMALLINT, AS_THEY_ARE, 2},
    [RF_WIRE_INT4] = {SQL_C_SLONG, SQL_INTEGER, AS_THEY_ARE, 4},
    [RF_WIRE_INT8] = {SQL_C_SBIGINT, SQL_BIGINT, AS_THEY_ARE, 8},
    [RF_WIRE_UINT4] = {SQL_C_SBIGINT, SQL_BIGINT, COPIED, 8},
    [RF_WIRE_FLOAT4] = {SQL_C_DOUBLE, SQL_DOUBLE, COPIED, 8},
    [RF_WIRE_FLOAT8] = {SQL_C_DOUBLE, SQL_DOUBLE, COPIED, 8},
    [RF_WIRE_NUMERIC] = {SQL_C_CHAR, SQL_VARCHAR, COPIED, RF_VALUE_TEXT_BYTES},
    [RF_WIRE_TEXT] = {SQL_C_CHAR, SQL_LONGVARCHAR, BYTES, 0},
    [RF_WIRE_BYTES] = {SQL_C_BINARY, SQL_LONGVARBINARY, BYTES, 0},
    [RF_WIRE_JSONB] = {SQL_C_CHAR, SQL_LONGVARCHAR, BYTES, 0},
    [RF_WIRE_UUID] = {SQL_C_CHAR, SQL_VARCHAR, COPIED, RF_VALUE_TEXT_BYTES},
    [RF_WIRE_DATE] = {SQL_C_CHAR, SQL_VARCHAR, COPIED, RF_VALUE_TEXT_BYTES},
    [RF_WIRE_TIME] = {SQL_C_CHAR, SQL_VARCHAR, COPIED, RF_VALUE_TEXT_BYTES},
    [RF_WIRE_TIMESTAMP] = {SQL_C_CHAR, SQL_VARCHAR, COPIED, RF_VALUE_TEXT_BYTES},
};

static enum rf_code set_up(struct append *append, const struct rf_columns_field *fields, int n_fields, struct rf_error *err) {
    append->columns = calloc((size_t)n_fields, sizeof *append->columns);
    append->lengths = malloc((size_t)n_fields * MOST_ROWS * sizeof *append->lengths);
    if (!append->columns || !append->lengths) return rf_no_memory(err);
    append->n_columns = n_fields;
    append->most_rows = rf_dialect_row(append->odbc->dialect)->one_at_a_time;
    for (int i = 0; i < n_fields; i++) {
        if ((size_t)fields[i].type.wire >= sizeof LAYOUTS / sizeof LAYOUTS[0]) return rf_fail(err, RF_INTERNAL, "column \"%s\" cannot be bound", fields[i].name);
        const struct layout *layout = &LAYOUTS[fields[i].type.wire];
        append->columns[i] = (struct bound){.field = &fields[i], .c_type = layout->c_type, .sql_type = layout->sql_type, .form = layout->form, .width = layout->width};
    }
    return RF_OK;
}

static void clean_up(struct append *append) {
    rf_odbc_end_statement(append->odbc, append->statement);
    for (int i = 0; i < append->n_columns; i++) free(append->columns[i].bytes);
    free(append->columns);
    free(append->lengths);
}

/* ---- values ---- */

static bool has_value(const struct ArrowArray *array, int64_t row) {
    const uint8_t *valid = array->buffers[0];
    int64_t at = array->offset + row;
    return !valid || (valid[at / 8] >> (at % 8) & 1);
}

static const uint8_t *bytes_at(const struct ArrowArray *array, int64_t row, size_t *n_bytes) {
    const int32_t *offsets = (const int32_t *)array->buffers[1] + array->offset + row;
    *n_bytes = (size_t)(offsets[1] - offsets[0]);
    return (const uint8_t *)array->buffers[2] + offsets[0];
}

static enum rf_code refuse(const struct bound *bound, const char *what, struct rf_error *err) {
    rf_fail(err, RF_DATA, "column \"%s\" holds %s, which the target has no value for", bound->field->name, what);
    return rf_hint(err, "Name the column in \"as_text\": its values then come as the texts that PostgreSQL prints.");
}

/* MariaDB has neither, and SQLite takes NaN for NULL. */
static enum rf_code put_float(const struct append *append, const struct bound *bound, double value, uint8_t *to, struct rf_error *err) {
    if (isnan(value)) return refuse(bound, "NaN", err);
    if (isinf(value) && append->odbc->dialect != RF_DIALECT_SQLITE) return refuse(bound, "an infinity", err);
    memcpy(to, &value, sizeof value);
    return RF_OK;
}

/* SQLite's own functions understand a time by the offset that it ends with; MariaDB's type has none. */
static enum rf_code put_printed(const struct append *append, const struct bound *bound, int64_t row, uint8_t *to, SQLLEN *length, struct rf_error *err) {
    int n_bytes = rf_value_text(&bound->field->type, bound->array, row, append->odbc->dialect == RF_DIALECT_SQLITE ? "+00:00" : "", (char *)to);
    if (n_bytes < 0) return refuse(bound, "a time outside of the years 1 to 9999, or an infinity", err);
    *length = n_bytes;
    return RF_OK;
}

static enum rf_code put_copied(const struct append *append, const struct bound *bound, int64_t row, uint8_t *to, SQLLEN *length, struct rf_error *err) {
    const uint8_t *values = bound->array->buffers[1];
    int64_t at = bound->array->offset + row, number;
    uint32_t whole;
    float single;
    double twice;
    *length = (SQLLEN)bound->width;
    switch (bound->field->type.wire) {
    case RF_WIRE_BOOL: *to = values[at / 8] >> (at % 8) & 1; return RF_OK;
    case RF_WIRE_UINT4:
        memcpy(&whole, values + at * 4, sizeof whole);
        number = whole;
        memcpy(to, &number, sizeof number);
        return RF_OK;
    case RF_WIRE_FLOAT4: memcpy(&single, values + at * 4, sizeof single); return put_float(append, bound, (double)single, to, err);
    case RF_WIRE_FLOAT8: memcpy(&twice, values + at * 8, sizeof twice); return put_float(append, bound, twice, to, err);
    default: return put_printed(append, bound, row, to, length, err);
    }
}

static enum rf_code put(const struct append *append, const struct bound *bound, int64_t row, uint8_t *to, SQLLEN *length, struct rf_error *err) {
    size_t n_bytes = bound->width;
    if (!has_value(bound->array, row)) {
        *length = SQL_NULL_DATA;
        return RF_OK;
    }
    if (bound->form == COPIED) return put_copied(append, bound, row, to, length, err);
    if (bound->form == BYTES) {
        const uint8_t *from = bytes_at(bound->array, row, &n_bytes);
        if (n_bytes > 0) memcpy(to, from, n_bytes);
    }
    *length = (SQLLEN)n_bytes;
    return RF_OK;
}

/* ---- arrays of rows ---- */

static bool grow(struct bound *bound, size_t needed) {
    if (needed <= bound->capacity) return true;
    uint8_t *bytes = realloc(bound->bytes, needed + needed / 4);
    if (!bytes) return false;
    bound->bytes = bytes;
    bound->capacity = needed + needed / 4;
    return true;
}

/* Of a value whose length differs from row to row; 0 of all others. */
static size_t length_of(const struct bound *bound, int64_t row) {
    size_t n_bytes = 0;
    if (bound->form == BYTES && has_value(bound->array, row)) (void)bytes_at(bound->array, row, &n_bytes);
    return n_bytes;
}

/* What a row takes in an array that has room for this one too. */
static size_t row_bytes(const struct append *append, int64_t row) {
    size_t sum = 0;
    for (int i = 0; i < append->n_columns; i++) {
        size_t width = append->columns[i].width, n_bytes = length_of(&append->columns[i], row);
        sum += sizeof(SQLLEN) + (n_bytes > width ? n_bytes : width);
    }
    return sum;
}

static void widen(struct append *append, int64_t row) {
    for (int i = 0; i < append->n_columns; i++) {
        size_t n_bytes = length_of(&append->columns[i], row);
        if (n_bytes > append->columns[i].width) append->columns[i].width = n_bytes;
    }
}

/* How many rows from `from` on make an array; sets how wide its texts are. One always fits. */
static int64_t measure(struct append *append, int64_t from, int64_t end) {
    size_t most = append->odbc->batch_bytes < MOST_BYTES ? append->odbc->batch_bytes : MOST_BYTES;
    int64_t n_rows = 0, at_most = append->most_rows ? append->most_rows : 2;
    for (int i = 0; i < append->n_columns; i++)
        if (append->columns[i].form == BYTES) append->columns[i].width = 1;
    for (; from + n_rows < end && n_rows < at_most; n_rows++) {
        if (n_rows > 0 && row_bytes(append, from + n_rows) * (size_t)(n_rows + 1) > most) break;
        widen(append, from + n_rows);
    }
    return n_rows;
}

/* A single value is bound where it lies: it may be as long as memory. */
static enum rf_code fill(struct append *append, int i, int64_t from, int64_t n_rows, const void **at, struct rf_error *err) {
    struct bound *bound = &append->columns[i];
    SQLLEN *lengths = append->lengths + (size_t)i * MOST_ROWS;
    size_t n_bytes;
    if (bound->form == BYTES && n_rows == 1) {
        *at = bytes_at(bound->array, from, &n_bytes);
        *lengths = has_value(bound->array, from) ? (SQLLEN)n_bytes : SQL_NULL_DATA;
        return RF_OK;
    }
    bool direct = bound->form == AS_THEY_ARE;
    if (!direct && !grow(bound, bound->width * (size_t)n_rows)) return rf_no_memory(err);
    *at = direct ? (const uint8_t *)bound->array->buffers[1] + (size_t)(bound->array->offset + from) * bound->width : bound->bytes;
    for (int64_t row = 0; row < n_rows; row++)
        RF_TRY(put(append, bound, from + row, direct ? NULL : bound->bytes + (size_t)row * bound->width, &lengths[row], err));
    return RF_OK;
}

static enum rf_code bind(struct append *append, int64_t from, int64_t n_rows, struct rf_error *err) {
    const struct rf_odbc_api *api = append->odbc->api;
    for (int i = 0; i < append->n_columns; i++) {
        const struct bound *bound = &append->columns[i];
        const void *at = NULL;
        RF_TRY(fill(append, i, from, n_rows, &at, err));
        SQLRETURN returned = api->SQLBindParameter(append->statement, (SQLUSMALLINT)(i + 1), SQL_PARAM_INPUT, bound->c_type, bound->sql_type,
                                                   bound->width, 0, (SQLPOINTER)(uintptr_t)at, (SQLLEN)bound->width, append->lengths + (size_t)i * MOST_ROWS);
        RF_TRY(rf_odbc_judge(append->odbc, append->role, returned, append->statement, err));
    }
    return RF_OK;
}

/* A value that was cut is said in a warning. */
static enum rf_code check_warning(struct append *append, struct rf_error *err) {
    struct rf_odbc_said said;
    if (!rf_odbc_read_said(append->odbc, SQL_HANDLE_STMT, append->statement, &said)) return RF_OK;
    if (strcmp(said.state, "01004") != 0 && strncmp(said.state, "22", 2) != 0) return RF_OK;
    rf_fail(err, RF_DATA, "target: %s: a value would be changed: %s", append->role, said.text);
    rf_copy_text(err->role, sizeof err->role, append->role);
    rf_copy_text(err->sqlstate, sizeof err->sqlstate, said.state);
    return err->code;
}

static enum rf_code execute(struct append *append, int64_t from, int64_t n_rows, struct rf_error *err) {
    RF_TRY(bind(append, from, n_rows, err));
    if (rf_cancel_requested(append->odbc->cancel)) return rf_cancelled(err);
    rf_odbc_set_busy(append->odbc, true);
    SQLRETURN returned = append->odbc->api->SQLExecute(append->statement);
    rf_odbc_set_busy(append->odbc, false);
    RF_TRY(rf_odbc_judge(append->odbc, append->role, returned, append->statement, err));
    return returned == SQL_SUCCESS_WITH_INFO ? check_warning(append, err) : RF_OK;
}

static enum rf_code prepare(struct append *append, struct rf_error *err) {
    SQLRETURN returned = append->odbc->api->SQLPrepare(append->statement, (SQLCHAR *)(uintptr_t)append->insert, SQL_NTS);
    return rf_odbc_judge(append->odbc, append->role, returned, append->statement, err);
}

static bool set_array(struct append *append, int64_t n_rows) {
    return SQL_SUCCEEDED(append->odbc->api->SQLSetStmtAttr(append->statement, SQL_ATTR_PARAMSET_SIZE, (SQLPOINTER)(SQLULEN)n_rows, 0));
}

static enum rf_code fetch_count(struct append *append, SQLHSTMT counting, int64_t *n_rows, struct rf_error *err) {
    static const char role[] = "count what was loaded";
    const struct rf_odbc_api *api = append->odbc->api;
    SQLLEN length;
    RF_TRY(rf_odbc_judge(append->odbc, role, api->SQLExecDirect(counting, (SQLCHAR *)(uintptr_t)append->count, SQL_NTS), counting, err));
    RF_TRY(rf_odbc_judge(append->odbc, role, api->SQLFetch(counting), counting, err));
    return rf_odbc_judge(append->odbc, role, api->SQLGetData(counting, 1, SQL_C_SBIGINT, n_rows, sizeof *n_rows, &length), counting, err);
}

static enum rf_code count_rows(struct append *append, int64_t *n_rows, struct rf_error *err) {
    SQLHSTMT counting = NULL;
    *n_rows = -1;
    RF_TRY(rf_odbc_begin_statement(append->odbc, "count what was loaded", &counting, err));
    enum rf_code code = fetch_count(append, counting, n_rows, err);
    rf_odbc_end_statement(append->odbc, counting);
    rf_odbc_watch(append->odbc, append->statement);
    return code;
}

/* Two rows into a table that holds none: what it then holds says what the driver does with arrays. */
static enum rf_code try_array(struct append *append, int64_t from, int64_t *n_rows, struct rf_error *err) {
    int64_t there = 0;
    append->most_rows = 1;
    if (!set_array(append, 2)) {
        if (!set_array(append, 1)) return rf_fail(err, RF_TARGET, "target: %s: the driver takes no parameters", append->role);
        *n_rows = 1;
        return execute(append, from, 1, err);
    }
    RF_TRY(execute(append, from, 2, err));
    RF_TRY(count_rows(append, &there, err));
    *n_rows = there - append->n_done;
    if (*n_rows != 1 && *n_rows != 2) return rf_fail(err, RF_TARGET, "target: %s: of 2 rows %d arrived", append->role, (int)*n_rows);
    if (*n_rows == 2) append->most_rows = MOST_ROWS;
    return RF_OK;
}

/* Behind a single row MariaDB's driver (3.1.15) sends its own pointers for an array's values, unless it prepares the statement anew. */
static enum rf_code append_rows(struct append *append, int64_t from, int64_t end, int64_t *n_rows, struct rf_error *err) {
    *n_rows = measure(append, from, end);
    if (append->n_last == 1 && *n_rows > 1) RF_TRY(prepare(append, err));
    append->n_last = *n_rows;
    if (append->most_rows == 0 && *n_rows == 2) return try_array(append, from, n_rows, err);
    if (!set_array(append, *n_rows)) return rf_odbc_judge(append->odbc, append->role, SQL_ERROR, append->statement, err);
    return execute(append, from, *n_rows, err);
}

static enum rf_code append_batch(struct append *append, const struct ArrowArray *batch, struct rf_error *err) {
    if (batch->n_children != append->n_columns) return rf_fail(err, RF_INTERNAL, "rows do not have the columns of their schema");
    for (int i = 0; i < append->n_columns; i++) append->columns[i].array = batch->children[i];
    for (int64_t at = 0, n_rows; at < batch->length; at += n_rows) {
        RF_TRY(append_rows(append, at, batch->length, &n_rows, err));
        append->n_done += n_rows;
    }
    return RF_OK;
}

static enum rf_code append_stream(struct append *append, struct ArrowArrayStream *stream, struct rf_error *err) {
    for (;;) {
        struct ArrowArray batch = {0};
        if (stream->get_next(stream, &batch) != 0) return rf_fail(err, RF_INTERNAL, "target: %s: %s", append->role, stream->get_last_error(stream));
        if (!batch.release) return RF_OK;
        enum rf_code code = append_batch(append, &batch, err);
        batch.release(&batch);
        RF_TRY(code);
    }
}

enum rf_code rf_odbc_append(void *self, const char *role, struct rf_text *insert, struct rf_text *count, const struct rf_columns_field *fields, int n_fields,
                            struct ArrowArrayStream *stream, struct rf_error *err) {
    struct append append = {.odbc = self, .role = role, .insert = insert->data, .count = count->data};
    enum rf_code code = insert->failed || count->failed ? rf_no_memory(err) : set_up(&append, fields, n_fields, err);
    if (code == RF_OK) code = rf_odbc_begin_statement(append.odbc, role, &append.statement, err);
    if (code == RF_OK) code = prepare(&append, err);
    if (code == RF_OK) code = append_stream(&append, stream, err);
    clean_up(&append);
    rf_text_free(insert);
    rf_text_free(count);
    if (stream->release) stream->release(stream);
    return code;
}
