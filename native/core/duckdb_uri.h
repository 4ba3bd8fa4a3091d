/* duckdb:///directory/file.duckdb?memory_limit=2GB&threads=4: which file, and what it may take of the machine. */
#ifndef RF_DUCKDB_URI_H
#define RF_DUCKDB_URI_H

#include "core/arena.h"
#include "core/error.h"

#include <stdbool.h>

struct rf_duckdb_uri {
    const char *path;         /* absolute */
    const char *memory_limit; /* as DuckDB reads it; NULL when the URI does not say */
    const char *threads;
};

bool rf_is_duckdb(const char *uri);

/* The texts of *out live in `arena`. RF_CONFIG says what is wrong, without a word of the URI but an option's name. */
enum rf_code rf_duckdb_uri_read(const char *uri, struct rf_arena *arena, struct rf_duckdb_uri *out, struct rf_error *err);

#endif
