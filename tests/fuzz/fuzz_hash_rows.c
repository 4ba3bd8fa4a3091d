/* Rows that are hashed on their way: whatever comes, cut anywhere, gives the same as when it comes at once. The first byte says
 * whether it is CSV and where it is cut. */
#include "core/hash_rows.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fill(void *self, const uint8_t *bytes, size_t n_bytes, uint8_t out[RF_HASH_BYTES]) {
    (void)self;
    memset(out, n_bytes > 0 ? bytes[0] ^ bytes[n_bytes - 1] : 0, RF_HASH_BYTES);
    out[0] = (uint8_t)n_bytes;
    return true;
}

static enum rf_code run(const struct rf_source_facts *facts, bool csv, const uint8_t *data, size_t size, size_t piece, struct rf_text *all, bool *is_whole) {
    static const struct rf_hasher hasher = {.hash = fill};
    struct rf_hash_rows rows;
    struct rf_error err;
    enum rf_code code = RF_OK;
    rf_hash_rows_begin(&rows, &hasher, facts, false, csv);
    for (size_t at = 0; at < size && code == RF_OK; at += piece) {
        code = rf_hash_rows_take(&rows, data + at, size - at < piece ? size - at : piece, &err);
        if (code == RF_OK && rows.out.length > 0) rf_text_add_bytes(all, rows.out.data, rows.out.length);
    }
    *is_whole = rf_hash_rows_whole(&rows);
    rf_hash_rows_end(&rows);
    return code;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct rf_column columns[] = {{.name = "a", .hashed = true}, {.name = "b"}, {.name = "c", .hashed = true}};
    const struct rf_source_facts facts = {.columns = columns, .n_columns = 3};
    if (size < 2) return 0;
    bool csv = data[0] & 1, once_whole, cut_whole;
    struct rf_text once = {0}, cut = {0};
    enum rf_code at_once = run(&facts, csv, data + 1, size - 1, size - 1, &once, &once_whole);
    enum rf_code in_pieces = run(&facts, csv, data + 1, size - 1, (size_t)(data[0] >> 1) + 1, &cut, &cut_whole);
    if (at_once != in_pieces) abort();
    bool same = once.length == cut.length && (once.length == 0 || memcmp(once.data, cut.data, once.length) == 0);
    if (at_once == RF_OK && (!same || once_whole != cut_whole)) abort();
    rf_text_free(&once);
    rf_text_free(&cut);
    return 0;
}
