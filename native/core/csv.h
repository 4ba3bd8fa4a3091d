/* Where the rows of COPY … (FORMAT csv) end: pure, no socket, no file.
 *
 * A row ends at a line feed outside of double quotes; a quote inside of a value is doubled, so that each one turns the
 * state round. Source of the format: postgresql.org/docs/current/sql-copy.html, "CSV Format".
 */
#ifndef RF_CSV_H
#define RF_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where the bytes read so far have left off; zeroed before the first. */
struct rf_csv {
    bool quoted; /* inside of quotes */
    bool inside; /* behind the last row's end something follows */
};

/* Reads on. Adds the rows that end in `bytes` to *n_rows; returns how many bytes there are up to the last of these ends,
 * 0 when no row ends. */
size_t rf_csv_scan(struct rf_csv *csv, const uint8_t *bytes, size_t n_bytes, int64_t *n_rows);

/* Did the bytes read so far end with a row? */
bool rf_csv_is_whole(const struct rf_csv *csv);

#endif
