/* DuckDB as an ADBC driver of our own, over the C interface that DuckDB's library has beside its ADBC driver.
 *
 * DuckDB's driver appends the rows of a stream on the thread that calls it. Here a statement that selects from
 * RF_DUCKDB_ROWS (core/sql_duckdb.h) reads the stream that is bound to it, and all threads of DuckDB take its arrays, one each at a time:
 * get_next is called on several at once, and again after the end. An array has at most RF_DUCKDB_VECTOR rows.
 */
#ifndef RF_DUCKDB_H
#define RF_DUCKDB_H

#include "drivers/adbc.h"

enum { RF_DUCKDB_VECTOR = 2048 };

/* Makes *adbc one of DuckDB's, whose library stays in the process. RF_CONFIG when it cannot be loaded, lacks what is called
 * here, or is another than the one that this process has loaded before. */
enum rf_code rf_duckdb_load(struct rf_adbc *adbc, const char *library, struct rf_error *err);

#endif
