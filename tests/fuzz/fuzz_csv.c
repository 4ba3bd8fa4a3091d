/* Any bytes as CSV: read in one piece or cut anywhere, the rows and their ends are the same, and those of a plain automaton. */
#include "core/csv.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

/* Byte by byte, as the format says. */
static int64_t count_plainly(const uint8_t *bytes, size_t n_bytes, size_t *end) {
    bool quoted = false;
    int64_t n_rows = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        quoted ^= bytes[i] == '"';
        if (quoted || bytes[i] != '\n') continue;
        n_rows++;
        *end = i + 1;
    }
    return n_rows;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    if (n_bytes == 0) return 0;
    const uint8_t *bytes = data + 1;
    size_t whole = n_bytes - 1, cut = whole ? data[0] % whole : 0, plain_end = 0;
    struct rf_csv one = {0}, two = {0};
    int64_t in_one = 0, in_two = 0;
    size_t end = rf_csv_scan(&one, bytes, whole, &in_one);
    size_t first = rf_csv_scan(&two, bytes, cut, &in_two);
    size_t second = rf_csv_scan(&two, bytes + cut, whole - cut, &in_two);
    if (in_one != count_plainly(bytes, whole, &plain_end) || end != plain_end) abort();
    if (in_two != in_one || (second ? cut + second : first) != end) abort();
    if (rf_csv_is_whole(&one) != rf_csv_is_whole(&two)) abort();
    return 0;
}
