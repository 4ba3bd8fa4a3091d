#include "drivers/catalog_postgres.h"

#include "core/sql.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- fields of results ---- */

enum rf_code rf_pg_text(const PGresult *result, int row, int field, struct rf_arena *arena, const char **out, struct rf_error *err) {
    *out = NULL;
    if (PQgetisnull(result, row, field)) return RF_OK;
    *out = rf_arena_copy(arena, PQgetvalue(result, row, field));
    return *out ? RF_OK : rf_no_memory(err);
}

int64_t rf_pg_integer(const PGresult *result, int row, int field) {
    return PQgetisnull(result, row, field) ? 0 : strtoll(PQgetvalue(result, row, field), NULL, 10);
}

bool rf_pg_flag(const PGresult *result, int row, int field) {
    return PQgetvalue(result, row, field)[0] == 't';
}

/* ---- server and relation ---- */

enum rf_code rf_pg_execute_about(struct rf_pg *pg, const char *role, const char *sql, int64_t oid, PGresult **result, struct rf_error *err) {
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, oid);
    const char *params[] = {text};
    return rf_pg_execute(pg, role, sql, 1, params, result, err);
}

enum rf_code rf_pg_server(struct rf_pg *pg, struct rf_arena *arena, struct rf_server *server, int64_t *database, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(pg, "read server facts", RF_SQL_SERVER, 0, NULL, &result, err));
    server->version = (int)rf_pg_integer(result, 0, 0);
    server->utf8 = strcmp(PQgetvalue(result, 0, 1), "UTF8") == 0;
    if (database) *database = rf_pg_integer(result, 0, 3);
    enum rf_code code = rf_pg_text(result, 0, 1, arena, &server->encoding, err);
    if (code == RF_OK) code = rf_pg_text(result, 0, 2, arena, &server->lc_monetary, err);
    if (code == RF_OK) code = rf_pg_text(result, 0, 4, arena, &server->clock, err);
    PQclear(result);
    return code;
}

enum rf_code rf_pg_relation(struct rf_pg *pg, const char *schema, const char *name, struct rf_arena *arena,
                            struct rf_relation *relation, struct rf_error *err) {
    const char *params[] = {schema, name};
    PGresult *result = NULL;
    *relation = (struct rf_relation){0};
    RF_TRY(rf_pg_execute(pg, "read table facts", RF_SQL_RELATION, 2, params, &result, err));
    enum rf_code code = RF_OK;
    if (PQntuples(result) == 1) {
        relation->oid = rf_pg_integer(result, 0, 0);
        relation->kind = PQgetvalue(result, 0, 1)[0];
        relation->row_security = rf_pg_flag(result, 0, 2);
        relation->bytes = rf_pg_integer(result, 0, 3);
        relation->rows = PQgetisnull(result, 0, 4) ? -1 : strtod(PQgetvalue(result, 0, 4), NULL);
        relation->has_children = rf_pg_flag(result, 0, 6);
        code = rf_pg_text(result, 0, 5, arena, &relation->access_method, err);
        if (code == RF_OK) code = rf_pg_text(result, 0, 7, arena, &relation->policies, err);
        if (code == RF_OK) code = rf_pg_text(result, 0, 8, arena, &relation->file, err);
    }
    PQclear(result);
    return code;
}

/* ---- what a type's bytes mean ---- */

/* Positions of the fields of RF_SQL_TYPES. */
enum { T_OID, T_KIND, T_NAME, T_EXTENSION, T_ELEMENT, T_BASE, T_TYPMOD, T_INSIDE, T_SENDABLE, T_LABELS, DEEPEST = 16 };

static int find_type(const PGresult *types, int64_t oid) {
    for (int row = 0; row < PQntuples(types); row++)
        if (rf_pg_integer(types, row, T_OID) == oid) return row;
    return -1;
}

/* Types of pg_catalog whose bytes name objects or transactions of one server. An oid is a number like any other. */
static bool is_server_bound(const char *name) {
    static const char *const bound[] = {"xid", "xid8", "cid", "tid", "pg_snapshot", "txid_snapshot", "aclitem", "refcursor"};
    for (size_t i = 0; i < sizeof bound / sizeof bound[0]; i++)
        if (strcmp(bound[i], name) == 0 || (name[0] == '_' && strcmp(bound[i], name + 1) == 0)) return true;
    return strncmp(name, "reg", 3) == 0 || strncmp(name, "_reg", 4) == 0;
}

static void add_identity(const PGresult *types, int64_t oid, int depth, struct rf_text *out, const char **refusal);

/* The identities of a list of types, "23:-1,1700:786440": oid and modifier, which a receiving server rounds by; or oid alone. */
static void add_fields(const PGresult *types, const char *oids, int depth, struct rf_text *out, const char **refusal) {
    for (const char *at = oids; *at;) {
        char *end;
        int64_t oid = strtoll(at, &end, 10);
        add_identity(types, oid, depth + 1, out, refusal);
        if (*end == ':') {
            long typmod = strtol(end + 1, &end, 10);
            if (typmod != -1) rf_text_addf(out, "(%ld)", typmod);
        }
        at = *end ? end + 1 : end;
        if (*at) rf_text_add(out, ", ");
    }
}

static void add_identity(const PGresult *types, int64_t oid, int depth, struct rf_text *out, const char **refusal) {
    int row = find_type(types, oid);
    if (row < 0 || depth > DEEPEST) {
        *refusal = "its type could not be read from the catalogs";
        return;
    }
    const char *name = PQgetvalue(types, row, T_NAME), *inside = PQgetvalue(types, row, T_INSIDE);
    if (!rf_pg_flag(types, row, T_SENDABLE)) *refusal = "its type has no binary form";
    switch (PQgetvalue(types, row, T_KIND)[0]) {
    case 'b':
        if (is_server_bound(name)) *refusal = "its values name objects of one server";
        rf_text_add(out, name);
        break;
    case 'x': rf_text_addf(out, "extension %s %s", PQgetvalue(types, row, T_EXTENSION), name); break;
    case 'e': rf_text_addf(out, "enum(%s)", inside); break;
    case 'r':
    case 'c':
        rf_text_add(out, PQgetvalue(types, row, T_KIND)[0] == 'r' ? "range(" : "row(");
        add_fields(types, inside, depth, out, refusal);
        rf_text_add(out, ")");
        break;
    case 'a':
        rf_text_add(out, "array(");
        add_identity(types, rf_pg_integer(types, row, T_ELEMENT), depth + 1, out, refusal);
        rf_text_add(out, ")");
        break;
    case 'd':
        rf_text_addf(out, "domain(%" PRId64 " ", rf_pg_integer(types, row, T_TYPMOD));
        add_identity(types, rf_pg_integer(types, row, T_BASE), depth + 1, out, refusal);
        rf_text_add(out, ")");
        break;
    default: *refusal = "its type belongs to no extension and cannot be compared between servers";
    }
}

static enum rf_code set_identity(const PGresult *types, int64_t oid, struct rf_arena *arena, struct rf_column *column, struct rf_error *err) {
    struct rf_text identity = {0};
    add_identity(types, oid, 0, &identity, &column->refusal);
    return rf_arena_text(arena, &identity, &column->identity, err);
}

static enum rf_code read_types(struct rf_pg *pg, struct rf_text *oids, PGresult **types, struct rf_error *err) {
    rf_text_add(oids, "}");
    enum rf_code code = rf_text_check(oids, err);
    const char *params[] = {oids->data};
    if (code == RF_OK) code = rf_pg_execute(pg, "read types", RF_SQL_TYPES, 1, params, types, err);
    rf_text_free(oids);
    return code;
}

static void add_oid(struct rf_text *oids, int64_t oid) {
    rf_text_addf(oids, "%s%" PRId64, oids->length == 0 ? "{" : ",", oid);
}

/* ---- columns ---- */

/* Positions of the fields of RF_SQL_COLUMNS. */
enum { C_NAME, C_TYPE, C_BASE, C_OID, C_TYPMOD, C_NOT_NULL, C_LINE, C_GENERATED };

static enum rf_code fill_column(const PGresult *rows, int i, const PGresult *types, struct rf_arena *arena,
                                struct rf_column *column, struct rf_error *err) {
    RF_TRY(rf_pg_text(rows, i, C_NAME, arena, &column->name, err));
    RF_TRY(rf_pg_text(rows, i, C_TYPE, arena, &column->type, err));
    RF_TRY(rf_pg_text(rows, i, C_BASE, arena, &column->base, err));
    column->typmod = (int32_t)rf_pg_integer(rows, i, C_TYPMOD);
    column->not_null = rf_pg_flag(rows, i, C_NOT_NULL);
    column->generated = rf_pg_flag(rows, i, C_GENERATED);
    return set_identity(types, rf_pg_integer(rows, i, C_OID), arena, column, err);
}

static enum rf_code fill_columns(const PGresult *rows, const PGresult *types, struct rf_arena *arena, struct rf_column **columns,
                                 const char ***lines, struct rf_error *err) {
    size_t n = (size_t)PQntuples(rows);
    *columns = rf_arena_take(arena, (n + 1) * sizeof **columns);
    if (lines) *lines = rf_arena_take(arena, (n + 1) * sizeof **lines);
    if (!*columns || (lines && !*lines)) return rf_no_memory(err);
    for (int i = 0; i < (int)n; i++) {
        RF_TRY(fill_column(rows, i, types, arena, &(*columns)[i], err));
        if (lines) RF_TRY(rf_pg_text(rows, i, C_LINE, arena, &(*lines)[i], err));
    }
    return RF_OK;
}

static void add_labels(const PGresult *types, struct rf_text *labels) {
    for (int row = 0; row < PQntuples(types); row++)
        if (!PQgetisnull(types, row, T_LABELS))
            rf_text_addf(labels, "labels of %s: %s\n", PQgetvalue(types, row, T_NAME), PQgetvalue(types, row, T_LABELS));
}

enum rf_code rf_pg_columns(struct rf_pg *pg, int64_t oid, struct rf_arena *arena, struct rf_column **columns, int *n,
                           const char ***lines, struct rf_text *labels, struct rf_error *err) {
    PGresult *rows = NULL, *types = NULL;
    RF_TRY(rf_pg_execute_about(pg, "read columns", RF_SQL_COLUMNS, oid, &rows, err));
    *n = PQntuples(rows);
    struct rf_text oids = {0};
    for (int i = 0; i < *n; i++) add_oid(&oids, rf_pg_integer(rows, i, C_OID));
    if (*n == 0) rf_text_add(&oids, "{");
    enum rf_code code = read_types(pg, &oids, &types, err);
    if (code == RF_OK) code = fill_columns(rows, types, arena, columns, lines, err);
    if (code == RF_OK && labels) add_labels(types, labels);
    PQclear(rows);
    PQclear(types);
    return code;
}

/* ---- twins of types ---- */

/* The name without its modifier: to_regtype before 16 takes none. */
static void add_bare_type(struct rf_text *list, const char *type) {
    struct rf_text bare = {0};
    const char *open = strchr(type, '('), *close = open ? strchr(open, ')') : NULL;
    bool quoted = strchr(type, '"') != NULL;
    if (open && close && !quoted) {
        rf_text_add_bytes(&bare, type, (size_t)(open - type));
        rf_text_add(&bare, close + 1);
    } else {
        rf_text_add(&bare, type);
    }
    rf_text_add(list, list->length == 0 ? "{\"" : ",\"");
    for (const char *p = bare.data; p && *p; p++) {
        if (*p == '"' || *p == '\\') rf_text_add(list, "\\");
        rf_text_add_bytes(list, p, 1);
    }
    rf_text_add(list, "\"");
    if (bare.failed) list->failed = true;
    rf_text_free(&bare);
}

static enum rf_code fill_twins(const struct rf_column *wanted, int n, const PGresult *oids, const PGresult *types,
                               struct rf_arena *arena, struct rf_column *twins, struct rf_error *err) {
    for (int i = 0; i < n; i++) {
        twins[i] = wanted[i];
        twins[i].refusal = NULL;
        int64_t oid = rf_pg_integer(oids, i, 0);
        if (oid == 0) {
            twins[i].identity = "";
            twins[i].refusal = "there is no type of this name on the target";
            continue;
        }
        RF_TRY(set_identity(types, oid, arena, &twins[i], err));
    }
    return RF_OK;
}

enum rf_code rf_pg_twins(struct rf_pg *pg, const struct rf_column *wanted, int n, struct rf_arena *arena,
                         struct rf_column **twins, struct rf_error *err) {
    struct rf_text names = {0}, list = {0};
    for (int i = 0; i < n; i++) add_bare_type(&names, wanted[i].type);
    rf_text_add(&names, n == 0 ? "{}" : "}");
    const char *params[] = {names.data};
    PGresult *oids = NULL, *types = NULL;
    enum rf_code code = rf_text_check(&names, err);
    if (code == RF_OK) code = rf_pg_execute(pg, "find types", RF_SQL_TYPE_OIDS, 1, params, &oids, err);
    rf_text_free(&names);
    RF_TRY(code);
    for (int i = 0; i < n; i++) add_oid(&list, rf_pg_integer(oids, i, 0));
    if (n == 0) rf_text_add(&list, "{");
    code = read_types(pg, &list, &types, err);
    *twins = rf_arena_take(arena, (size_t)(n + 1) * sizeof **twins);
    if (code == RF_OK && !*twins) code = rf_no_memory(err);
    if (code == RF_OK) code = fill_twins(wanted, n, oids, types, arena, *twins, err);
    PQclear(oids);
    PQclear(types);
    return code;
}

/* ---- cursor columns ---- */

/* Positions of the fields of RF_SQL_CURSOR_COLUMNS. */
enum { U_NAME, U_BASE, U_RESOLUTION, U_NOT_NULL, U_INDEXED, U_BY_CLOCK };

static enum rf_code fill_cursor_column(const PGresult *rows, int i, struct rf_arena *arena, struct rf_cursor_column *column, struct rf_error *err) {
    RF_TRY(rf_pg_text(rows, i, U_NAME, arena, &column->name, err));
    RF_TRY(rf_pg_text(rows, i, U_BASE, arena, &column->base, err));
    column->resolution_us = rf_pg_integer(rows, i, U_RESOLUTION);
    column->not_null = rf_pg_flag(rows, i, U_NOT_NULL);
    column->indexed = rf_pg_flag(rows, i, U_INDEXED);
    column->set_by_clock = rf_pg_flag(rows, i, U_BY_CLOCK);
    return RF_OK;
}

enum rf_code rf_pg_cursor_columns(struct rf_pg *pg, int64_t oid, struct rf_arena *arena, struct rf_cursor_column **columns, int *n,
                                  struct rf_error *err) {
    PGresult *rows = NULL;
    RF_TRY(rf_pg_execute_about(pg, "read cursor columns", RF_SQL_CURSOR_COLUMNS, oid, &rows, err));
    *n = PQntuples(rows);
    *columns = rf_arena_take(arena, (size_t)(*n + 1) * sizeof **columns);
    enum rf_code code = *columns ? RF_OK : rf_no_memory(err);
    for (int i = 0; i < *n && code == RF_OK; i++) code = fill_cursor_column(rows, i, arena, &(*columns)[i], err);
    PQclear(rows);
    return code;
}

/* ---- keys ---- */

/* One row a column, in the order of indexes and of their columns. */
static enum rf_code fill_keys(const PGresult *rows, struct rf_arena *arena, struct rf_unique_key **keys, int *n, struct rf_error *err) {
    int total = PQntuples(rows);
    *keys = rf_arena_take(arena, (size_t)(total + 1) * sizeof **keys);
    const char **names = rf_arena_take(arena, (size_t)(total + 1) * sizeof *names);
    if (!*keys || !names) return rf_no_memory(err);
    *n = 0;
    for (int row = 0; row < total; row++) {
        bool first = row == 0 || strcmp(PQgetvalue(rows, row, 0), PQgetvalue(rows, row - 1, 0)) != 0;
        if (first) (*keys)[(*n)++] = (struct rf_unique_key){.primary = rf_pg_flag(rows, row, 1), .not_null = true, .names = names + row};
        struct rf_unique_key *key = &(*keys)[*n - 1];
        key->not_null &= rf_pg_flag(rows, row, 2);
        RF_TRY(rf_pg_text(rows, row, 3, arena, &key->names[key->n++], err));
        if (first) RF_TRY(rf_pg_text(rows, row, 4, arena, &key->name, err));
    }
    return RF_OK;
}

enum rf_code rf_pg_unique_keys(struct rf_pg *pg, int64_t oid, struct rf_arena *arena, struct rf_unique_key **keys, int *n,
                               struct rf_error *err) {
    PGresult *rows = NULL;
    RF_TRY(rf_pg_execute_about(pg, "read keys", RF_SQL_UNIQUE_KEYS, oid, &rows, err));
    enum rf_code code = fill_keys(rows, arena, keys, n, err);
    PQclear(rows);
    return code;
}
