/* Reading a PostgreSQL table under one snapshot.
 *
 * Order matters: lock, then snapshot, then catalogs, then rows. A snapshot taken before the lock would see an
 * empty table after another session's TRUNCATE or rewriting ALTER. Everything before the lock is only a plan.
 */
#include "core/capture.h"
#include "core/clock.h"
#include "core/ground.h"
#include "core/mask.h"
#include "core/sql.h"
#include "core/timestamp.h"
#include "drivers/catalog_postgres.h"
#include "drivers/drivers.h"
#include "drivers/open_transactions_postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAG_POLL_MS = 200, DURABLE_POLL_MS = 20 };

static enum rf_code open_source(void *self, struct rf_error *err) {
    struct rf_source_postgres *source = self;
    const struct rf_job *job = source->job;
    return rf_pg_open_in_time(&source->pg, RF_SIDE_SOURCE, job->source, job->application, job->connect_timeout, job->lock_timeout, source->cancel, err);
}

static void close_source(void *self) {
    struct rf_source_postgres *source = self;
    rf_readers_close(&source->readers);
    rf_pg_close(&source->pg);
}

/* ---- the window ---- */

static enum rf_code read_time(struct rf_source_postgres *source, const char *key, const char *text, const char **out, struct rf_error *err) {
    if (!text) return RF_OK;
    const char *params[] = {text};
    PGresult *result = NULL;
    enum rf_code code = rf_pg_execute(&source->pg, "read a time of the job", RF_SQL_READ_TIME, 1, params, &result, err);
    char time[RF_TIMESTAMP_BYTES] = "";
    if (code == RF_OK) rf_write_timestamp(time, rf_pg_integer(result, 0, 0));
    PQclear(result);
    if (code != RF_OK && code != RF_DATA && code != RF_CONFIG) return code;
    if (code != RF_OK || strlen(time) != strlen("2026-11-22T18:00:00.000000+00:00")) {
        rf_fail(err, RF_CONFIG, "\"%s\" of the job, \"%s\", is not a time of the years 0001 to 9999", key, text);
        return rf_hint(err, "Write ISO 8601, as in 2026-11-22T00:00:00+00:00; without an offset it is UTC.");
    }
    *out = rf_arena_copy(source->arena, time);
    return *out ? RF_OK : rf_no_memory(err);
}

static enum rf_code read_window(struct rf_source_postgres *source, struct rf_source_facts *facts, struct rf_error *err) {
    const struct rf_job *job = source->job;
    RF_TRY(read_time(source, "since", job->since, &facts->since, err));
    RF_TRY(read_time(source, "until", job->until, &facts->until, err));
    if (!facts->since || !facts->until || strcmp(facts->since, facts->until) < 0) return RF_OK;
    rf_fail(err, RF_CONFIG, "\"since\" of the job, %s, is not before \"until\", %s", facts->since, facts->until);
    return rf_hint(err, "A window holds the times from since on and before until.");
}

/* ---- lock and snapshot ---- */

static enum rf_code lock_table(struct rf_source_postgres *source, struct rf_error *err) {
    const struct rf_job *job = source->job;
    struct rf_text settings = {0}, lock = {0};
    RF_TRY(rf_pg_execute(&source->pg, "begin", RF_SQL_BEGIN_READ, 0, NULL, NULL, err));
    rf_sql_source_settings(job, source->pg.version, &settings);
    RF_TRY(rf_pg_execute_script(&source->pg, "set up the transaction", &settings, err));
    RF_TRY(rf_pg_watch_client(&source->pg, err));
    RF_TRY(rf_pg_execute(&source->pg, "set the search path", RF_SQL_BARE_PATH, 0, NULL, NULL, err));
    rf_sql_lock_source(job, &lock);
    enum rf_code code = rf_pg_execute_text(&source->pg, "lock the table", &lock, 0, NULL, NULL, err);
    if (code == RF_CONFIG && (strcmp(err->sqlstate, "42P01") == 0 || strcmp(err->sqlstate, "3F000") == 0))
        rf_hint(err, "The source has no table %s; check its schema, its spelling and the database of the connection.", job->source_label);
    if (code == RF_CONFIG && strcmp(err->sqlstate, "42809") == 0)
        rf_hint(err, "Name a table: only its rows have versions by which changes can be proven.");
    return code;
}

static enum rf_code fill_snapshot(const PGresult *result, struct rf_arena *arena, struct rf_source_facts *facts, struct rf_error *err) {
    struct rf_snapshot *snapshot = &facts->snapshot;
    RF_TRY(rf_pg_text(result, 0, 0, arena, &snapshot->text, err));
    snapshot->in_recovery = rf_pg_flag(result, 0, 1);
    RF_TRY(rf_pg_text(result, 0, 2, arena, &snapshot->clock, err));
    RF_TRY(rf_pg_text(result, 0, 3, arena, &snapshot->lsn, err));
    RF_TRY(rf_pg_text(result, 0, 4, arena, &facts->identity.database, err));
    if (!rf_read_snapshot(snapshot->text, &snapshot->xmin, &snapshot->xmax) || !rf_read_lsn(snapshot->lsn, &snapshot->lsn_bytes))
        return rf_fail(err, RF_INTERNAL, "the source's snapshot cannot be read");
    return RF_OK;
}

static enum rf_code take_snapshot(struct rf_source_postgres *source, struct rf_source_facts *facts, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&source->pg, "take the snapshot", RF_SQL_SNAPSHOT, 0, NULL, &result, err));
    enum rf_code code = fill_snapshot(result, source->arena, facts, err);
    PQclear(result);
    return code;
}

static enum rf_code identify(struct rf_source_postgres *source, struct rf_source_facts *facts, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&source->pg, "identify the server", RF_SQL_IDENTITY, 0, NULL, &result, err));
    enum rf_code code = rf_pg_text(result, 0, 0, source->arena, &facts->identity.system, err);
    facts->identity.timeline = (int)rf_pg_integer(result, 0, 1);
    facts->identity.timeline_bytes = UINT64_MAX;
    if (code == RF_OK && !PQgetisnull(result, 0, 2) && !rf_read_lsn(PQgetvalue(result, 0, 2), &facts->identity.timeline_bytes))
        code = rf_fail(err, RF_INTERNAL, "the source's log position cannot be read");
    PQclear(result);
    return code;
}

/* Without pg_read_all_stats the holder's columns may be hidden; then nobody is named. */
static enum rf_code find_holder(struct rf_source_postgres *source, struct rf_source_facts *facts, struct rf_error *err) {
    if (facts->snapshot.xmin == facts->snapshot.xmax) return RF_OK;
    char xmin[24];
    snprintf(xmin, sizeof xmin, "%" PRIu32, (uint32_t)facts->snapshot.xmin);
    const char *params[] = {xmin};
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&source->pg, "find the oldest transaction", RF_SQL_HOLDER, 1, params, &result, err));
    enum rf_code code = RF_OK;
    if (PQntuples(result) == 1) {
        facts->held_by.known = true;
        facts->held_by.pid = (int)rf_pg_integer(result, 0, 0);
        facts->held_by.seconds = strtod(PQgetvalue(result, 0, 3), NULL);
        code = rf_pg_text(result, 0, 1, source->arena, &facts->held_by.user, err);
        if (code == RF_OK) code = rf_pg_text(result, 0, 2, source->arena, &facts->held_by.application, err);
    }
    PQclear(result);
    return code;
}

/* ---- introspection ---- */

static enum rf_code check_relation(const struct rf_source_postgres *source, const struct rf_relation *relation, struct rf_error *err) {
    const char *label = source->job->source_label, *what;
    switch (relation->kind) {
    case 'r':
    case 'p': return RF_OK;
    case 'v': what = "a view"; break;
    case 'm': what = "a materialized view"; break;
    case 'f': what = "a foreign table"; break;
    default: what = "not a table";
    }
    rf_fail(err, RF_CONFIG, "%s is %s: it has no row versions by which changes can be proven", label, what);
    return rf_hint(err, "Name the table that it reads.");
}

static enum rf_code no_column(const struct rf_source_postgres *source, const char *key, const char *name, struct rf_error *err) {
    rf_fail(err, RF_CONFIG, "%s has no column \"%s\", which \"%s\" of the job names", source->job->source_label, name, key);
    return rf_hint(err, "Check the spelling; capital letters count.");
}

/* Keeps the job's columns, in its order, and the fingerprint lines of them alone. */
static enum rf_code select_columns(const struct rf_source_postgres *source, const struct rf_column *all, const char **lines, int n_all,
                                   struct rf_source_facts *facts, struct rf_text *fingerprint, struct rf_error *err) {
    const struct rf_names *wanted = &source->job->columns;
    int n = wanted->names ? wanted->n : n_all;
    facts->columns = rf_arena_take(source->arena, (size_t)(n + 1) * sizeof *facts->columns);
    if (!facts->columns) return rf_no_memory(err);
    for (int i = 0; i < n; i++) {
        int at = wanted->names ? rf_find_column(all, n_all, wanted->names[i]) : i;
        if (at < 0) return no_column(source, "columns", wanted->names[i], err);
        facts->columns[i] = all[at];
        facts->columns[i].line = lines[at];
        rf_text_addf(fingerprint, "%s\n", lines[at]);
    }
    facts->n_columns = n;
    return n > 0 ? RF_OK : rf_fail(err, RF_CONFIG, "%s has no columns", source->job->source_label);
}

/* ---- the cursor ---- */

static const struct rf_cursor_column *find_cursor_column(const struct rf_cursor_column *columns, int n, const char *name) {
    for (int i = 0; i < n; i++)
        if (strcmp(columns[i].name, name) == 0) return &columns[i];
    return NULL;
}

static void add_cursor_column(struct rf_source_facts *facts, const struct rf_cursor_column *column) {
    facts->cursor[facts->n_cursor] = *column;
    facts->cursor[facts->n_cursor++].says_deleted = strcmp(column->name, "deleted_at") == 0;
}

/* The first of each pair that is there. deleted_at alone says nothing about changes. */
static void find_cursor_by_convention(const struct rf_cursor_column *all, int n, struct rf_source_facts *facts) {
    static const char *const names[][2] = {{"inserted_at", "created_at"}, {"updated_at", "modified_at"}, {"deleted_at", NULL}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct rf_cursor_column *column = find_cursor_column(all, n, names[i][0]);
        if (!column && names[i][1]) column = find_cursor_column(all, n, names[i][1]);
        if (column) add_cursor_column(facts, column);
    }
    if (facts->n_cursor == 1 && facts->cursor[0].says_deleted) facts->n_cursor = 0;
}

static enum rf_code find_cursor_by_name(const struct rf_source_postgres *source, const struct rf_cursor_column *all, int n,
                                        struct rf_source_facts *facts, struct rf_error *err) {
    const struct rf_names *wanted = &source->job->cursor_columns;
    for (int i = 0; i < wanted->n; i++) {
        const struct rf_cursor_column *column = find_cursor_column(all, n, wanted->names[i]);
        if (!column) {
            rf_fail(err, RF_CONFIG, "%s has no column \"%s\" of type timestamptz, timestamp or date, which \"cursor_columns\" names", source->job->source_label, wanted->names[i]);
            return rf_hint(err, "A cursor is a time; other columns do not show when a row changed. Capture xmin needs no cursor column.");
        }
        add_cursor_column(facts, column);
    }
    if (facts->n_cursor == 1) facts->cursor[0].says_deleted = false;
    return RF_OK;
}

static enum rf_code read_cursor(struct rf_source_postgres *source, const struct rf_relation *relation, struct rf_source_facts *facts,
                                struct rf_error *err) {
    struct rf_cursor_column *all;
    int n;
    RF_TRY(rf_pg_cursor_columns(&source->pg, relation->oid, source->arena, &all, &n, err));
    int most = source->job->cursor_columns.names ? source->job->cursor_columns.n : 3;
    facts->cursor = rf_arena_take(source->arena, (size_t)most * sizeof *facts->cursor);
    if (!facts->cursor) return rf_no_memory(err);
    if (source->job->cursor_columns.names) return find_cursor_by_name(source, all, n, facts, err);
    find_cursor_by_convention(all, n, facts);
    return RF_OK;
}

/* ---- columns, leaves and keys ---- */

static enum rf_code read_columns(struct rf_source_postgres *source, const struct rf_relation *relation, struct rf_source_facts *facts,
                                 struct rf_text *fingerprint, struct rf_error *err) {
    struct rf_column *all;
    const char **lines;
    int n;
    struct rf_text labels = {0};
    enum rf_code code = rf_pg_columns(&source->pg, relation->oid, source->arena, &all, &n, &lines, &labels, err);
    if (code == RF_OK) code = select_columns(source, all, lines, n, facts, fingerprint, err);
    if (code == RF_OK) code = rf_mask_columns(source->job, facts, source->arena, err);
    if (code == RF_OK) code = rf_mask_fingerprint(source->job, source->hasher, fingerprint, err);
    if (labels.data) rf_text_add(fingerprint, labels.data);
    if (labels.failed) fingerprint->failed = true;
    rf_text_free(&labels);
    return code;
}

/* A leaf must be a heap, and a standby must have its rows. */
static enum rf_code check_leaf(const struct rf_source_postgres *source, const struct rf_source_facts *facts, const PGresult *leaves, int row,
                               struct rf_error *err) {
    const char *label = source->job->source_label, *leaf = PQgetvalue(leaves, row, 0);
    if (facts->snapshot.in_recovery && *PQgetvalue(leaves, row, 1) == 'u') {
        rf_fail(err, RF_CONFIG, "%s stores rows that never come to a standby: a table of it is UNLOGGED (%s)", label, leaf);
        return rf_hint(err, "Read the primary, or ALTER TABLE … SET LOGGED there.");
    }
    if (strcmp(PQgetvalue(leaves, row, 2), "heap") == 0) return RF_OK;
    rf_fail(err, RF_CONFIG, "%s stores rows elsewhere than in heap tables (%s): their versions cannot be compared", label, leaf);
    return rf_hint(err, "Name its other partitions one by one.");
}

static enum rf_code fill_leaf(const struct rf_source_postgres *source, const PGresult *leaves, int row, struct rf_leaf *leaf, struct rf_error *err) {
    RF_TRY(rf_pg_text(leaves, row, 3, source->arena, &leaf->schema, err));
    RF_TRY(rf_pg_text(leaves, row, 4, source->arena, &leaf->name, err));
    leaf->pages = rf_pg_integer(leaves, row, 5);
    leaf->readable = rf_pg_flag(leaves, row, 6);
    return RF_OK;
}

/* The files of the leaves, which hold the rows, are part of the fingerprint. */
static enum rf_code read_leaves(struct rf_source_postgres *source, const struct rf_relation *relation, struct rf_source_facts *facts,
                                struct rf_text *fingerprint, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute_about(&source->pg, "read partitions", RF_SQL_LEAVES, relation->oid, &result, err));
    enum rf_code code = RF_OK;
    facts->n_leaves = PQntuples(result);
    facts->leaves = rf_arena_take(source->arena, (size_t)(facts->n_leaves + 1) * sizeof *facts->leaves);
    if (!facts->leaves) code = rf_no_memory(err);
    for (int row = 0; row < facts->n_leaves && code == RF_OK; row++) {
        rf_text_addf(fingerprint, "%s\n", PQgetvalue(result, row, 0));
        if (*PQgetvalue(result, row, 1) == 'u') rf_text_addf(fingerprint, "unlogged %s.%s\n", PQgetvalue(result, row, 3), PQgetvalue(result, row, 4));
        code = check_leaf(source, facts, result, row, err);
        if (code == RF_OK) code = fill_leaf(source, result, row, &facts->leaves[row], err);
    }
    PQclear(result);
    return code;
}

static enum rf_code read_triggers(struct rf_source_postgres *source, const struct rf_relation *relation, struct rf_text *fingerprint,
                                  struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute_about(&source->pg, "read triggers", RF_SQL_TRIGGERS, relation->oid, &result, err));
    for (int row = 0; row < PQntuples(result); row++) rf_text_addf(fingerprint, "%s\n", PQgetvalue(result, row, 0));
    PQclear(result);
    return RF_OK;
}

/* The keys of the job, or else the primary key, or else a unique index over NOT NULL columns. */
static const struct rf_unique_key *choose_key(const struct rf_unique_key *keys, int n) {
    for (int i = 0; i < n; i++)
        if (keys[i].primary || keys[i].not_null) return &keys[i];
    return NULL;
}

static bool key_covers(const struct rf_unique_key *key, const char *const *names, int n) {
    for (int i = 0; i < key->n; i++) {
        bool found = false;
        for (int j = 0; j < n && !found; j++) found = strcmp(key->names[i], names[j]) == 0;
        if (!found) return false;
    }
    return key->not_null;
}

static enum rf_code set_keys(const struct rf_source_postgres *source, const char *const *names, int n, struct rf_source_facts *facts,
                             struct rf_error *err) {
    facts->keys = rf_arena_take(source->arena, (size_t)n * sizeof *facts->keys);
    if (!facts->keys) return rf_no_memory(err);
    for (int i = 0; i < n; i++) {
        RF_TRY(rf_mask_check_key(source->job, names[i], err));
        facts->keys[i] = rf_find_column(facts->columns, facts->n_columns, names[i]);
        if (facts->keys[i] < 0 && source->job->columns.names) {
            rf_fail(err, RF_CONFIG, "the key column \"%s\" of %s is not among \"columns\" of the job", names[i], source->job->source_label);
            return rf_hint(err, "Add it to \"columns\".");
        }
        if (facts->keys[i] < 0) return no_column(source, "keys", names[i], err);
    }
    facts->n_keys = n;
    return RF_OK;
}

static enum rf_code read_keys(struct rf_source_postgres *source, const struct rf_relation *relation, struct rf_source_facts *facts,
                              struct rf_error *err) {
    const struct rf_names *wanted = &source->job->keys;
    struct rf_unique_key *keys;
    int n;
    RF_TRY(rf_pg_unique_keys(&source->pg, relation->oid, source->arena, &keys, &n, err));
    const struct rf_unique_key *found = choose_key(keys, n);
    const char *const *names = wanted->names ? wanted->names : found ? found->names : NULL;
    int n_names = wanted->names ? wanted->n : found ? found->n : 0;
    if (!names && source->job->mode != RF_MODE_MERGE) return RF_OK; /* a copy needs none, nor what each run reads once */
    if (!names) {
        rf_fail(err, RF_CONFIG, "%s has no primary key and no unique index over NOT NULL columns", source->job->source_label);
        return rf_hint(err, "Name the columns that identify a row in \"keys\".");
    }
    RF_TRY(set_keys(source, names, n_names, facts, err));
    /* An index of an inheritance parent says nothing about its children; one of a partitioned table covers its leaves. */
    bool whole_tree = relation->kind == 'p' || !relation->has_children;
    for (int i = 0; i < n && whole_tree; i++) facts->key_proven |= key_covers(&keys[i], names, n_names);
    return RF_OK;
}

static enum rf_code introspect(struct rf_source_postgres *source, const struct rf_load *last, struct rf_source_facts *facts,
                               struct rf_text *fingerprint, struct rf_error *err) {
    const struct rf_job *job = source->job;
    struct rf_relation relation;
    facts->schema = job->source_schema;
    facts->name = job->source_table;
    int64_t database;
    RF_TRY(rf_pg_server(&source->pg, source->arena, &facts->server, &database, err));
    /* A copy of a database by template keeps every name, oid and file but the database's own oid. */
    rf_text_addf(fingerprint, "database %" PRId64 "\n", database);
    RF_TRY(rf_pg_relation(&source->pg, job->source_schema, job->source_table, source->arena, &relation, err));
    RF_TRY(check_relation(source, &relation, err));
    facts->identity.table_oid = relation.oid;
    facts->bytes = relation.bytes;
    facts->rows_estimate = relation.rows;
    facts->row_security = relation.row_security;
    facts->one_heap = relation.kind == 'r' && !relation.has_children;
    RF_TRY(read_leaves(source, &relation, facts, fingerprint, err));
    RF_TRY(read_columns(source, &relation, facts, fingerprint, err));
    if (!rf_job_only_reads(job)) RF_TRY(read_keys(source, &relation, facts, err));
    if (rf_may_use_cursor(job, last)) {
        RF_TRY(read_cursor(source, &relation, facts, err));
        RF_TRY(read_triggers(source, &relation, fingerprint, err));
    } else if (!rf_job_only_reads(job) && !facts->key_proven) {
        RF_TRY(read_cursor(source, &relation, facts, err)); /* of rows of one key it says which is the newest */
    }
    rf_text_addf(fingerprint, "row security %s\n", relation.row_security ? relation.policies : "off");
    if (job->where) rf_text_addf(fingerprint, "filter %s\n", job->where);
    return rf_text_check(fingerprint, err);
}

/* A filter of several lines stays one line of the fingerprint. */
static void join_lines(char *filter) {
    for (char *p = filter; p && *p; p++)
        if (*p == '\n' || *p == '\r') *p = ' ';
}

/* Catalog names are printed with their schemas only while the search path is bare; the filter is the user's
 * text and gets the user's path back. */
static enum rf_code read_catalogs(struct rf_source_postgres *source, const struct rf_load *last, struct rf_source_facts *facts, struct rf_error *err) {
    struct rf_text fingerprint = {0};
    enum rf_code code = introspect(source, last, facts, &fingerprint, err);
    if (code == RF_OK) {
        char *copy = rf_arena_copy(source->arena, fingerprint.data);
        facts->fingerprint = copy;
        if (!copy) code = rf_no_memory(err);
        else if (source->job->where) join_lines(strstr(copy, "\nfilter ") + 1);
    }
    rf_text_free(&fingerprint);
    RF_TRY(code);
    return rf_pg_execute(&source->pg, "reset the search path", "SET LOCAL search_path = DEFAULT", 0, NULL, NULL, err);
}

static enum rf_code hint_at_filter(const struct rf_source_postgres *source, enum rf_code code, struct rf_error *err) {
    if ((code == RF_CONFIG || code == RF_DATA) && source->job->where)
        rf_hint(err, "Check the filter in \"where\": it is a condition on the columns of %s.", source->job->source_label);
    return code;
}

static enum rf_code check_filter(struct rf_source_postgres *source, struct rf_error *err) {
    if (!source->job->where) return RF_OK;
    struct rf_text sql = {0};
    rf_sql_check_filter(source->job, &sql);
    enum rf_code code = rf_pg_execute_text(&source->pg, "check the filter", &sql, 0, NULL, NULL, err);
    if (code != RF_OK && strcmp(err->sqlstate, "08P01") == 0) { /* a parameter like $1, for which there is no value */
        code = err->code = RF_CONFIG;
        err->retryable = false;
    }
    return hint_at_filter(source, code, err);
}

/* ---- the operation ---- */

/* How far a standby has come is read before the snapshot: read after it, it could pass the last load while the
 * snapshot has not. */
static enum rf_code read_lsn(struct rf_source_postgres *source, uint64_t *bytes, struct rf_error *err) {
    PGresult *result = NULL;
    RF_TRY(rf_pg_execute(&source->pg, "read the log position", RF_SQL_LSN, 0, NULL, &result, err));
    bool good = rf_read_lsn(PQgetvalue(result, 0, 0), bytes);
    PQclear(result);
    return good ? RF_OK : rf_fail(err, RF_INTERNAL, "the source's log position cannot be read");
}

static enum rf_code lock_and_look(struct rf_source_postgres *source, const struct rf_load *last, struct rf_source_facts *facts, struct rf_error *err) {
    uint64_t before;
    const struct rf_job *job = source->job;
    *facts = (struct rf_source_facts){0};
    RF_TRY(read_lsn(source, &before, err));
    bool list = rf_may_use_cursor(job, last) && !rf_job_has_window(job);
    if (list) RF_TRY(rf_pg_list_open_transactions(&source->pg, job->wait_for_open_transactions, source->arena, &facts->open, err));
    RF_TRY(lock_table(source, err));
    RF_TRY(take_snapshot(source, facts, err));
    facts->snapshot.lsn_bytes = before;
    return identify(source, facts, err);
}

/* A standby that is behind the last load has rows older than those already there: it is waited for, never reconciled. */
static enum rf_code snapshot_source(void *self, const struct rf_load *last, struct rf_source_facts *facts, struct rf_error *err) {
    struct rf_source_postgres *source = self;
    double waited = 0;
    RF_TRY(lock_and_look(source, last, facts, err));
    while (rf_source_is_behind(facts, last)) {
        if (waited >= source->job->source_lag_wait) {
            rf_fail(err, RF_SOURCE, "the source is at %s and the last load of %s was read at %s: it is a standby that lags behind", facts->snapshot.lsn, source->job->source_label, last->lsn);
            return rf_hint(err, "Wait for the standby, raise source_lag_wait, or read the primary.");
        }
        RF_TRY(rf_pg_execute(&source->pg, "end", "ROLLBACK", 0, NULL, NULL, err));
        rf_cancel_wait(source->cancel, LAG_POLL_MS);
        waited += LAG_POLL_MS / 1000.0;
        RF_TRY(lock_and_look(source, last, facts, err));
    }
    source->snapshot = facts->snapshot;
    source->snapshot_seconds = rf_clock_seconds();
    RF_TRY(read_window(source, facts, err));
    RF_TRY(find_holder(source, facts, err));
    RF_TRY(read_catalogs(source, last, facts, err));
    return check_filter(source, err);
}

static enum rf_code read_source(void *self, const char *sql, struct rf_error *err) {
    struct rf_source_postgres *source = self;
    return hint_at_filter(source, rf_pg_copy_out(&source->pg, sql, (size_t)source->job->batch_bytes, err), err);
}

static enum rf_code read_parts_of_source(void *self, const struct rf_plan *plan, int *n_readers, struct rf_error *err) {
    struct rf_source_postgres *source = self;
    RF_TRY(hint_at_filter(source, rf_readers_start(&source->readers, &source->pg, source->job, plan, err), err));
    *n_readers = source->readers.n;
    return RF_OK;
}

/* A transaction that the snapshot saw ended but whose end is not on disk is undone by a crash, and its id is given
 * out again: the next run would take the new transaction's rows for read. So the rows count as read only when
 * nothing before the snapshot can be lost. A standby replays what its primary has flushed. On rows in memory no
 * run builds. */
static enum rf_code wait_until_durable(struct rf_source_postgres *source, struct rf_error *err) {
    char elapsed[32];
    const char *params[] = {source->snapshot.lsn, elapsed};
    for (bool durable = source->snapshot.in_recovery || rf_job_only_reads(source->job); !durable;) {
        PGresult *result = NULL;
        snprintf(elapsed, sizeof elapsed, "%" PRId64, (int64_t)((rf_clock_seconds() - source->snapshot_seconds) * 1000));
        RF_TRY(rf_pg_execute(&source->pg, "wait for the log", RF_SQL_IS_DURABLE, 2, params, &result, err));
        durable = rf_pg_flag(result, 0, 0);
        PQclear(result);
        if (!durable) rf_cancel_wait(source->cancel, DURABLE_POLL_MS);
    }
    return RF_OK;
}

static enum rf_code next_batch(void *self, struct rf_batch *batch, struct rf_error *err) {
    struct rf_source_postgres *source = self;
    bool side_by_side = source->readers.stage != RF_READERS_IDLE;
    enum rf_code code = side_by_side ? rf_readers_next(&source->readers, batch, err) : rf_pg_copy_next(&source->pg, batch, err);
    RF_TRY(hint_at_filter(source, code, err));
    return batch->n_bytes == 0 ? wait_until_durable(source, err) : RF_OK;
}

const struct rf_source_ops rf_source_postgres_ops = {
    .open = open_source,
    .snapshot = snapshot_source,
    .read = read_source,
    .read_parts = read_parts_of_source,
    .next = next_batch,
    .close = close_source,
};
