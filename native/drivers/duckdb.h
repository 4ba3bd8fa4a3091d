/* DuckDB as an ADBC driver of our own, over the C interface that DuckDB's library has beside its ADBC driver.
 *
 * DuckDB's driver appends the rows of a stream on the thread that calls it. Here a statement that selects from
 * RF_DUCKDB_ROWS (core/sql_duckdb.h) reads the stream that is bound to it, whose arrays have at most RF_DUCKDB_VECTOR rows. Up to
 * RF_DUCKDB_TAKERS threads of DuckDB take them, each as many at once as make a row group: what one of them writes are whole row
 * groups then, of rows that follow each other, and only the last is in part. get_next is called on one of them at a time, and again
 * after the end.
 */
#ifndef RF_DUCKDB_H
#define RF_DUCKDB_H

#include "drivers/adbc.h"

/* One connection to a source brings no more rows than so many threads can compress. */
enum { RF_DUCKDB_VECTOR = 2048, RF_DUCKDB_GROUP = 122880, RF_DUCKDB_TAKERS = 4 };

/* Makes *adbc one of DuckDB's, whose library stays in the process. RF_CONFIG when it cannot be loaded, lacks what is called
 * here, or is another than the one that this process has loaded before. */
enum rf_code rf_duckdb_load(struct rf_adbc *adbc, const char *library, struct rf_error *err);

#endif
