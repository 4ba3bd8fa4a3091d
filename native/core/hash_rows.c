#include "core/hash_rows.h"

#include "core/copy_binary.h"
#include "core/network_order.h"

#include <string.h>

enum { HEX_DIGITS = 2 * RF_HASH_BYTES, COUNT_BYTES = 2, LENGTH_BYTES = 4 };

bool rf_facts_hash(const struct rf_source_facts *facts) {
    for (int i = 0; i < facts->n_columns; i++)
        if (facts->columns[i].hashed) return true;
    return false;
}

void rf_hash_rows_begin(struct rf_hash_rows *rows, const struct rf_hasher *hasher, const struct rf_source_facts *facts, bool keys_only, bool csv) {
    *rows = (struct rf_hash_rows){.hasher = hasher, .facts = facts, .keys_only = keys_only, .csv = csv};
}

void rf_hash_rows_end(struct rf_hash_rows *rows) {
    rf_text_free(&rows->value);
    rf_text_free(&rows->out);
}

static enum rf_code broken(struct rf_error *err) {
    return rf_fail(err, RF_INTERNAL, "the source sent rows that cannot be masked");
}

/* What the statement adds behind the columns is never hashed. */
static bool is_hashed(const struct rf_hash_rows *rows) {
    const struct rf_source_facts *facts = rows->facts;
    int n = rows->keys_only ? facts->n_keys : facts->n_columns;
    if (rows->field >= n) return false;
    return facts->columns[rows->keys_only ? facts->keys[rows->field] : rows->field].hashed;
}

static void pass(struct rf_hash_rows *rows, const uint8_t *bytes, size_t n_bytes) {
    if (n_bytes > 0) rf_text_add_bytes(&rows->out, (const char *)bytes, n_bytes);
}

static enum rf_code add_hash(struct rf_hash_rows *rows, struct rf_error *err) {
    static const char digits[] = "0123456789abcdef";
    uint8_t hash[RF_HASH_BYTES];
    char hex[HEX_DIGITS];
    RF_TRY(rf_text_check(&rows->value, err));
    const uint8_t *bytes = rows->value.length > 0 ? (const uint8_t *)rows->value.data : (const uint8_t *)"";
    if (!rows->hasher->hash(rows->hasher->self, bytes, rows->value.length, hash)) return rf_fail(err, RF_INTERNAL, "the library of \"mask\" could not hash a value");
    for (int i = 0; i < RF_HASH_BYTES; i++) {
        hex[2 * i] = digits[hash[i] >> 4];
        hex[2 * i + 1] = digits[hash[i] & 15];
    }
    rf_text_add_bytes(&rows->out, hex, sizeof hex);
    rows->value.length = 0;
    return RF_OK;
}

/* ---- COPY BINARY ---- */

/* Collects a number of n_bytes; NULL while some are still to come. */
static const uint8_t *take_number(struct rf_hash_rows *rows, size_t n_bytes, const uint8_t **at, const uint8_t *end) {
    while (rows->n_number < n_bytes && *at < end) rows->number[rows->n_number++] = *(*at)++;
    if (rows->n_number < n_bytes) return NULL;
    rows->n_number = 0;
    return rows->number;
}

static void next_field(struct rf_hash_rows *rows) {
    rows->field++;
    rows->place = rows->field < rows->n_fields ? RF_PLACE_LENGTH : RF_PLACE_COUNT;
}

/* Its extension, if it has one, is passed like a field before the first row. */
static enum rf_code take_header(struct rf_hash_rows *rows, const uint8_t **at, const uint8_t *end, struct rf_error *err) {
    const uint8_t *header = take_number(rows, RF_COPY_HEADER_BYTES, at, end);
    if (!header) return RF_OK;
    if (memcmp(header, rf_copy_header, 11) != 0) return broken(err);
    pass(rows, header, RF_COPY_HEADER_BYTES);
    rows->left = rf_read_4(header + RF_COPY_HEADER_BYTES - LENGTH_BYTES);
    rows->place = rows->left > 0 ? RF_PLACE_PASSED : RF_PLACE_COUNT;
    return RF_OK;
}

static enum rf_code take_count(struct rf_hash_rows *rows, const uint8_t **at, const uint8_t *end, struct rf_error *err) {
    const uint8_t *number = take_number(rows, COUNT_BYTES, at, end);
    if (!number) return RF_OK;
    pass(rows, number, COUNT_BYTES);
    rows->n_fields = number[0] << 8 | number[1];
    rows->field = 0;
    if (rows->n_fields == 0xffff) rows->place = RF_PLACE_TRAILER;
    else if (rows->n_fields == 0 || rows->n_fields > 0x7fff) return broken(err);
    else rows->place = RF_PLACE_LENGTH;
    return RF_OK;
}

/* -1 is NULL. Of a field that is hashed the length is known beforehand. */
static enum rf_code take_length(struct rf_hash_rows *rows, const uint8_t **at, const uint8_t *end, struct rf_error *err) {
    const uint8_t *number = take_number(rows, LENGTH_BYTES, at, end);
    if (!number) return RF_OK;
    int32_t length = (int32_t)rf_read_4(number);
    if (length < -1) return broken(err);
    bool hashes = length >= 0 && is_hashed(rows);
    if (hashes) rf_copy_add_number(&rows->out, HEX_DIGITS, LENGTH_BYTES);
    else pass(rows, number, LENGTH_BYTES);
    rows->left = length > 0 ? (size_t)length : 0;
    rows->place = hashes ? RF_PLACE_HASHED : RF_PLACE_PASSED;
    if (rows->left > 0) return RF_OK;
    if (hashes) RF_TRY(add_hash(rows, err));
    next_field(rows);
    return RF_OK;
}

static enum rf_code take_field(struct rf_hash_rows *rows, const uint8_t **at, const uint8_t *end, struct rf_error *err) {
    size_t n = (size_t)(end - *at) < rows->left ? (size_t)(end - *at) : rows->left;
    bool hashes = rows->place == RF_PLACE_HASHED;
    if (hashes) rf_text_add_bytes(&rows->value, (const char *)*at, n);
    else pass(rows, *at, n);
    *at += n;
    rows->left -= n;
    if (rows->left > 0) return RF_OK;
    if (hashes) RF_TRY(add_hash(rows, err));
    next_field(rows);
    return RF_OK;
}

static enum rf_code take_binary(struct rf_hash_rows *rows, const uint8_t *at, const uint8_t *end, struct rf_error *err) {
    while (at < end) {
        switch (rows->place) {
        case RF_PLACE_HEADER: RF_TRY(take_header(rows, &at, end, err)); break;
        case RF_PLACE_COUNT: RF_TRY(take_count(rows, &at, end, err)); break;
        case RF_PLACE_LENGTH: RF_TRY(take_length(rows, &at, end, err)); break;
        case RF_PLACE_PASSED:
        case RF_PLACE_HASHED: RF_TRY(take_field(rows, &at, end, err)); break;
        case RF_PLACE_TRAILER: return broken(err);
        }
    }
    return RF_OK;
}

/* ---- CSV, of which NULL is nothing at all and "" an empty text ---- */

static enum rf_code end_csv_field(struct rf_hash_rows *rows, bool ends_row, struct rf_error *err) {
    bool is_null = rows->value.length == 0 && !rows->had_quotes;
    if (is_hashed(rows) && !is_null) RF_TRY(add_hash(rows, err));
    rf_text_add(&rows->out, ends_row ? "\n" : ",");
    rows->field = ends_row ? 0 : rows->field + 1;
    rows->had_quotes = false;
    return RF_OK;
}

/* Two quotes inside of quotes are one of the value: the first seems to end them, the second to open them again. */
static void take_quote(struct rf_hash_rows *rows, bool hashes) {
    bool again = !rows->quoted && rows->had_quotes;
    if (hashes && again) rf_text_add(&rows->value, "\"");
    if (!hashes) rf_text_add(&rows->out, "\"");
    rows->quoted = !rows->quoted;
    rows->had_quotes = true;
}

static enum rf_code take_csv(struct rf_hash_rows *rows, const uint8_t *at, const uint8_t *end, struct rf_error *err) {
    while (at < end) {
        const uint8_t *from = at;
        bool hashes = is_hashed(rows);
        if (rows->quoted) at = memchr(at, '"', (size_t)(end - at));
        else while (at < end && *at != '"' && *at != ',' && *at != '\n') at++;
        if (!at) at = end;
        if (at > from) rf_text_add_bytes(hashes ? &rows->value : &rows->out, (const char *)from, (size_t)(at - from));
        if (at == end) return RF_OK;
        if (*at == '"') take_quote(rows, hashes);
        else RF_TRY(end_csv_field(rows, *at == '\n', err));
        at++;
    }
    return RF_OK;
}

/* ---- a piece ---- */

enum rf_code rf_hash_rows_take(struct rf_hash_rows *rows, const uint8_t *bytes, size_t n_bytes, struct rf_error *err) {
    rows->out.length = 0;
    if (n_bytes == 0) return RF_OK;
    RF_TRY(rows->csv ? take_csv(rows, bytes, bytes + n_bytes, err) : take_binary(rows, bytes, bytes + n_bytes, err));
    return rf_text_check(&rows->out, err);
}

bool rf_hash_rows_whole(const struct rf_hash_rows *rows) {
    if (rows->csv) return !rows->quoted && rows->field == 0 && rows->value.length == 0;
    bool begins = rows->place == RF_PLACE_HEADER && rows->n_number == 0; /* of a source that sent nothing */
    return rows->place == RF_PLACE_TRAILER || begins;
}

/* ---- a source's rows ---- */

void rf_hashed_begin(struct rf_hashed_source *hashed, const struct rf_source *source, const struct rf_source_facts *facts, bool keys_only, bool csv) {
    *hashed = (struct rf_hashed_source){.source = source};
    if (rf_facts_hash(facts)) rf_hash_rows_begin(&hashed->rows, source->hasher, facts, keys_only, csv);
}

void rf_hashed_end(struct rf_hashed_source *hashed) {
    rf_hash_rows_end(&hashed->rows);
}

/* A piece of which nothing comes out is no end of the data. */
enum rf_code rf_hashed_next(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_hashed_source *hashed = self;
    for (;;) {
        RF_TRY(hashed->source->ops->next(hashed->source->self, batch, err));
        if (!hashed->rows.facts) return RF_OK;
        if (batch->n_bytes == 0) return rf_hash_rows_whole(&hashed->rows) ? RF_OK : broken(err);
        RF_TRY(rf_hash_rows_take(&hashed->rows, batch->bytes, batch->n_bytes, err));
        batch->bytes = (const uint8_t *)hashed->rows.out.data;
        batch->n_bytes = hashed->rows.out.length;
        if (batch->n_bytes > 0) return RF_OK;
    }
}
