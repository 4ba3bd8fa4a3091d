/* Reading PostgreSQL's catalogs, the same on a source and on a target. */
#ifndef RF_CATALOG_POSTGRES_H
#define RF_CATALOG_POSTGRES_H

#include "core/arena.h"
#include "core/schema.h"
#include "core/text.h"
#include "drivers/postgres.h"

#include <stdbool.h>
#include <stdint.h>

struct rf_relation {
    int64_t oid; /* 0 when there is no such relation */
    char kind;   /* pg_class.relkind */
    bool row_security;
    int64_t bytes;
    double rows;
    const char *access_method;
    bool has_children;
    const char *file;     /* oid and file number */
    const char *policies; /* all of them, as one text; empty when there is none */
};

/* A unique index over plain columns. */
struct rf_unique_key {
    const char *name; /* of the index, and of the constraint that has it */
    bool primary;
    bool not_null;
    const char **names;
    int n;
};

/* *database, when not NULL, takes the database's oid. */
enum rf_code rf_pg_server(struct rf_pg *pg, struct rf_arena *arena, struct rf_server *server, int64_t *database, struct rf_error *err);
enum rf_code rf_pg_relation(struct rf_pg *pg, const char *schema, const char *name, struct rf_arena *arena,
                            struct rf_relation *relation, struct rf_error *err);
/* Runs a statement whose only parameter is a relation's oid. */
enum rf_code rf_pg_execute_about(struct rf_pg *pg, const char *role, const char *sql, int64_t oid, PGresult **result, struct rf_error *err);
/* All columns, each with the identity of its type. `lines`, when not NULL, takes a fingerprint line a column, in
 * the same order; `labels` the lines of enum types. */
enum rf_code rf_pg_columns(struct rf_pg *pg, int64_t oid, struct rf_arena *arena, struct rf_column **columns, int *n,
                           const char ***lines, struct rf_text *labels, struct rf_error *err);
/* Every column that holds a time, as a cursor may use it. */
enum rf_code rf_pg_cursor_columns(struct rf_pg *pg, int64_t oid, struct rf_arena *arena, struct rf_cursor_column **columns, int *n,
                                  struct rf_error *err);
enum rf_code rf_pg_unique_keys(struct rf_pg *pg, int64_t oid, struct rf_arena *arena, struct rf_unique_key **keys, int *n,
                               struct rf_error *err);

/* The types of `wanted` as this server knows them by name: column i of *twins has the name of wanted[i], and a
 * refusal when the type is missing here. */
enum rf_code rf_pg_twins(struct rf_pg *pg, const struct rf_column *wanted, int n, struct rf_arena *arena,
                         struct rf_column **twins, struct rf_error *err);

/* The field as a text in the arena; NULL for SQL NULL. */
enum rf_code rf_pg_text(const PGresult *result, int row, int field, struct rf_arena *arena, const char **out, struct rf_error *err);
int64_t rf_pg_integer(const PGresult *result, int row, int field);
bool rf_pg_flag(const PGresult *result, int row, int field);

#endif
