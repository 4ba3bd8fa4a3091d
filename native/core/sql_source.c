#include "core/sql.h"

#include "core/sql_target.h"

#include "core/fingerprint.h"
#include "core/passthrough.h"
#include "core/sql_cursor.h"
#include "core/types.h"

#include <inttypes.h>
#include <string.h>

const char RF_SQL_BACKEND_PID[] = "SELECT pg_backend_pid()";

const char RF_SQL_WATCH_CLIENT[] = "SET client_connection_check_interval = '1s'";
const char RF_SQL_WATCH_CLIENT_LOCALLY[] =
    "SAVEPOINT rowferry; SET LOCAL client_connection_check_interval = '1s'; RELEASE SAVEPOINT rowferry";
const char RF_SQL_UNDO_WATCH[] = "ROLLBACK TO SAVEPOINT rowferry; RELEASE SAVEPOINT rowferry";

const char RF_SQL_SERVER[] =
    "SELECT current_setting('server_version_num'), pg_encoding_to_char(encoding), current_setting('lc_monetary'), oid,"
    " to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"
    " FROM pg_database WHERE datname = current_database()";

const char RF_SQL_RELATION[] =
    "SELECT c.oid, c.relkind, row_security_active(c.oid),"
    " (WITH RECURSIVE tree(oid) AS (SELECT c.oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
    "  SELECT coalesce(sum(pg_table_size(oid)), 0) FROM tree),"
    " (WITH RECURSIVE tree(oid) AS (SELECT c.oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
    "  SELECT CASE WHEN bool_or(r.reltuples < 0) THEN -1 ELSE sum(r.reltuples) END FROM tree JOIN pg_class r USING (oid)"
    "  WHERE r.relkind IN ('r', 'f')),"
    " coalesce(a.amname, ''), EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid),"
    " (SELECT coalesce(string_agg(concat_ws(' ', polname, polcmd, polpermissive, polroles, pg_get_expr(polqual, polrelid)), ', ' ORDER BY oid), '')"
    "  FROM pg_policy WHERE polrelid = c.oid), concat(c.oid, '/', pg_relation_filenode(c.oid))"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam"
    " WHERE n.nspname = $1 AND c.relname = $2";

/* A domain is carried as the type beneath it: its bytes are the same, its checks belong to the source. A default that
 * a column was added with shows in its number, which is never given out twice; NOT NULL changes no value. */
const char RF_SQL_COLUMNS[] =
    "SELECT a.attname, pg_catalog.format_type(b.oid, b.typmod), b.typname, b.oid, b.typmod, a.attnotnull,"
    " concat_ws(' ', 'column', a.attnum, quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),"
    "  'collation', a.attcollation,"
    "  CASE WHEN a.attgenerated <> '' THEN 'generated ' || quote_nullable(pg_get_expr(d.adbin, d.adrelid)) END), a.attgenerated <> ''"
    " FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " CROSS JOIN LATERAL (WITH RECURSIVE base(oid, typmod, typname, typtype, typbasetype, typtypmod) AS ("
    "   SELECT t.oid, a.atttypmod, t.typname, t.typtype, t.typbasetype, t.typtypmod FROM pg_type t WHERE t.oid = a.atttypid"
    "   UNION ALL SELECT t.oid, CASE WHEN b.typtypmod <> -1 THEN b.typtypmod ELSE b.typmod END, t.typname, t.typtype, t.typbasetype, t.typtypmod"
    "   FROM base b JOIN pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd')"
    "  SELECT oid, typmod, typname FROM base WHERE typtype <> 'd') b"
    " WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/* kind: b built-in, e enum, x of an extension, a array, d domain, c composite, r range, u anything else. */
const char RF_SQL_TYPES[] =
    "WITH RECURSIVE reached(oid) AS (SELECT unnest($1::oid[]) UNION SELECT x.oid FROM reached JOIN pg_type y USING (oid)"
    " CROSS JOIN LATERAL (SELECT y.typelem WHERE y.typelem <> 0 AND y.typcategory = 'A'"
    "  UNION ALL SELECT y.typbasetype WHERE y.typbasetype <> 0"
    "  UNION ALL SELECT f.atttypid FROM pg_attribute f WHERE y.typtype = 'c' AND f.attrelid = y.typrelid AND f.attnum > 0 AND NOT f.attisdropped"
    "  UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = y.oid) x(oid))"
    " SELECT t.oid, CASE WHEN n.nspname = 'pg_catalog' THEN 'b' WHEN e.extname IS NOT NULL THEN 'x' WHEN t.typelem <> 0 AND t.typcategory = 'A' THEN 'a'"
    "  WHEN t.typtype IN ('e', 'd', 'c', 'r') THEN t.typtype::text ELSE 'u' END,"
    " t.typname, concat(e.extname, ' ', e.extversion), t.typelem, t.typbasetype, t.typtypmod,"
    " CASE t.typtype WHEN 'r' THEN (SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid)::text"
    "  WHEN 'e' THEN (SELECT string_agg(quote_literal(l.enumlabel), ',' ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid)"
    "  WHEN 'c' THEN (SELECT string_agg(concat(f.atttypid, ':', f.atttypmod), ',' ORDER BY f.attnum) FROM pg_attribute f WHERE f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped) END,"
    " t.typsend <> 0 AND t.typreceive <> 0,"
    " CASE t.typtype WHEN 'e' THEN (SELECT string_agg(l.oid || ' ' || quote_literal(l.enumlabel), ', ' ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = t.oid)"
    "  WHEN 'c' THEN (SELECT string_agg(f.attnum::text, ', ' ORDER BY f.attnum) FROM pg_attribute f WHERE f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped) END"
    " FROM reached JOIN pg_type t USING (oid) JOIN pg_namespace n ON n.oid = t.typnamespace"
    " LEFT JOIN pg_depend p ON p.classid = 'pg_type'::regclass AND p.objid = t.oid AND p.deptype = 'e'"
    " LEFT JOIN pg_extension e ON e.oid = p.refobjid AND p.refclassid = 'pg_extension'::regclass";

const char RF_SQL_UNIQUE_KEYS[] =
    "SELECT i.indexrelid, i.indisprimary, a.attnotnull, a.attname, (SELECT relname FROM pg_class WHERE oid = i.indexrelid)"
    " FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(attnum, n)"
    " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
    " WHERE i.indrelid = $1 AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
    " ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid, k.n";

const char RF_SQL_TYPE_OIDS[] =
    "SELECT coalesce(to_regtype(name)::oid, 0) FROM unnest($1::text[]) WITH ORDINALITY w(name, n) ORDER BY n";

/* SET LOCAL only: behind a pooler the session is someone else's next. None of it takes a snapshot, so the table
 * can still be locked first. Compiling catalog queries to machine code took 20 times as long as running them. Waits are bounded by lock_timeout alone: a long read is not an error. */
void rf_sql_source_settings(const struct rf_job *job, int server_version, struct rf_text *out) {
    rf_text_add(out, "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = 'postgres';"
                     " SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL statement_timeout = 0;"
                     " SET LOCAL idle_in_transaction_session_timeout = 0; SET LOCAL max_parallel_workers_per_gather = 0; SET LOCAL jit = off; ");
    rf_sql_lock_timeout(job->lock_timeout, out);
    if (server_version >= 170000) rf_text_add(out, "; SET LOCAL transaction_timeout = 0");
}

const char RF_SQL_BARE_PATH[] = "SET LOCAL search_path = pg_catalog";

const char RF_SQL_BEGIN_READ[] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

#define READER_CLASS "1919907686"

const char RF_SQL_SNAPSHOT[] =
    "SELECT pg_current_snapshot(), pg_is_in_recovery(),"
    " to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"'),"
    " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END, current_database(),"
    " pg_try_advisory_xact_lock_shared(" READER_CLASS ", 1)";

/* ---- open transactions ---- */

/* Outside the transaction the role's own search path holds. What is called by exactly its types, or by its full name,
 * is not found elsewhere before pg_catalog: so the casts. */
#define MICROS(time) "(extract(epoch FROM " time ")::numeric * 1000000::numeric)::bigint"

/* The message's arrival is before anything the listing sees. */
const char RF_SQL_LIST_LOCKS[] =
    "SELECT " MICROS("statement_timestamp()") ","
    " coalesce(pg_catalog.array_agg(pid) FILTER (WHERE locktype = 'virtualxid' AND mode = 'ExclusiveLock'), '{}'),"
    " coalesce(pg_catalog.array_agg(pid) FILTER (WHERE locktype = 'advisory' AND mode = 'ShareLock' AND granted AND classid = '" READER_CLASS "' AND objid = '1' AND objsubid = 2), '{}'),"
    " pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'),"
    " CASE WHEN pg_is_in_recovery() THEN coalesce(" MICROS("pg_last_xact_replay_timestamp()") ", 0) END FROM pg_locks";

const char RF_SQL_LIST_PREPARED[] = "SELECT gid, owner FROM pg_prepared_xacts WHERE database = current_database() ORDER BY prepared";

/* What a session that is not idle does began no later than its message arrived: now() is that of the message, also
 * in a later transaction of one message. A session that shows neither time may be open since ever. An idle one has
 * ended what the listing of locks saw, and the snapshot shows it, or prepared it, and the last listing does. */
const char RF_SQL_LIST_SESSIONS[] =
    "SELECT pid, usename, application_name, " MICROS("least(xact_start, query_start)") ","
    " extract(epoch FROM clock_timestamp() - least(xact_start, query_start)) FROM pg_stat_activity"
    " WHERE datname = current_database() AND usesysid IS NOT NULL AND pid <> pg_backend_pid() AND NOT pid = ANY($2::int[])"
    " AND state IS DISTINCT FROM 'idle' AND (backend_type = 'client backend' OR backend_type IS NULL OR pid = ANY($1::int[]))"
    " ORDER BY 4 NULLS FIRST, pid";

/* ---- cursor columns ---- */

/* A time without zone is that of some session's zone, twelve hours behind UTC at the most. */
const char RF_SQL_CURSOR_COLUMNS[] =
    "SELECT a.attname, t.typname, CASE WHEN t.typname = 'date' THEN 86400000000 WHEN t.typname = 'timestamp' THEN 43200000000 WHEN a.atttypmod < 0 THEN 1 ELSE power(10, 6 - a.atttypmod)::bigint END,"
    " a.attnotnull, " RF_INDEXED ", " RF_SET_BY_CLOCK("$1::oid")
    " FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = $1 AND a.attnum > 0 AND NOT a.attisdropped"
    " AND t.typnamespace = 'pg_catalog'::regnamespace AND t.typname IN ('timestamptz', 'timestamp', 'date') ORDER BY a.attnum";

/* Whatever touches a trigger writes its row anew: to disable it too, and to attach a leaf. */
const char RF_SQL_TRIGGERS[] =
    "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
    " SELECT concat('triggers ', c.oid, ' ', md5(string_agg(concat_ws(' ', g.oid, g.xmin, p.oid, p.xmin), ',' ORDER BY g.oid)))"
    " FROM tree JOIN pg_class c USING (oid) JOIN pg_trigger g ON g.tgrelid = c.oid JOIN pg_proc p ON p.oid = g.tgfoid"
    " WHERE c.relkind <> 'p' AND g.tgtype & 3 = 3 GROUP BY c.oid ORDER BY c.oid";

const char RF_SQL_READ_TIME[] = "SELECT " MICROS("$1::timestamptz");

const char RF_SQL_LSN[] =
    "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_insert_lsn() END";

/* The background writer flushes what an asynchronous commit or an abort wrote within three of its delays.
 * Source: postgresql.org/docs/current/wal-async-commit.html. */
const char RF_SQL_IS_DURABLE[] =
    "SELECT pg_current_wal_flush_lsn() >= $1::pg_lsn"
    " OR $2::float8 > 3000::float8 * extract(epoch FROM current_setting('wal_writer_delay')::interval)::float8";

/* The control file names the old timeline until the next checkpoint, for minutes on a standby that follows a
 * promoted one. On a primary the name of the segment being written is right at once. On a standby it is the receiver
 * that knows: it is told to change when all of the old timeline has been replayed; only pg_read_all_stats may ask it.
 * For others there is what the pages on disk say, up to where they have come. */
const char RF_SQL_IDENTITY[] =
    "SELECT s.system_identifier, CASE WHEN pg_is_in_recovery()"
    " THEN greatest(c.timeline_id, r.min_recovery_end_timeline, w.received_tli)"
    " ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int END,"
    " CASE WHEN pg_is_in_recovery() AND w.received_tli IS NULL THEN r.min_recovery_end_lsn END"
    " FROM pg_control_system() s, pg_control_checkpoint() c, pg_control_recovery() r LEFT JOIN pg_stat_wal_receiver w ON true";

/* Only a transaction that has an xid keeps the snapshot's xmin where it is: a reader whose own snapshot is as
 * old is innocent. A prepared one has no process. */
const char RF_SQL_HOLDER[] =
    "SELECT pid, usename, application_name, extract(epoch FROM clock_timestamp() - xact_start)"
    " FROM pg_stat_activity WHERE backend_xid::text = $1 UNION ALL"
    " SELECT 0, owner, concat('prepared transaction ', gid), extract(epoch FROM clock_timestamp() - prepared)"
    " FROM pg_prepared_xacts WHERE transaction::text = $1";

/* Only leaves hold rows. pg_inherits covers partitions and plain inheritance; the root counts as a leaf of itself. */
const char RF_SQL_LEAVES[] =
    "WITH RECURSIVE tree(oid) AS (SELECT $1::oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
    " SELECT concat_ws(' ', 'leaf', c.oid, pg_relation_filenode(c.oid), a.amname, c.oid::regclass), c.relpersistence, coalesce(a.amname, ''),"
    " n.nspname, c.relname, coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int, has_table_privilege(c.oid, 'SELECT')"
    " FROM tree JOIN pg_class c USING (oid) JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_am a ON a.oid = c.relam"
    " WHERE c.relkind <> 'p' ORDER BY c.oid";

/* PostgreSQL takes 0 for no limit; a job that says 0 does not want to wait at all. */
int64_t rf_lock_timeout_ms(double seconds) {
    return seconds * 1000 < 1 ? 1 : (int64_t)(seconds * 1000);
}

void rf_sql_lock_timeout(double seconds, struct rf_text *out) {
    rf_text_addf(out, "SET LOCAL lock_timeout = %" PRId64, rf_lock_timeout_ms(seconds));
}

void rf_sql_lock_source(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "LOCK TABLE ");
    rf_text_qualified(out, job->source_schema, job->source_table);
    rf_text_add(out, " IN ACCESS SHARE MODE");
}

void rf_sql_lock_source_now(const struct rf_job *job, struct rf_text *out) {
    rf_sql_lock_source(job, out);
    rf_text_add(out, " NOWAIT");
}

#define WHERE_I_AM "concat_ws(' ', extract(epoch FROM pg_postmaster_start_time()), pg_current_snapshot())"

const char RF_SQL_EXPORT_SNAPSHOT[] = "SELECT pg_export_snapshot(), " WHERE_I_AM;

const char RF_SQL_IS_TOGETHER[] = "SELECT $1 = " WHERE_I_AM;

void rf_sql_take_over_snapshot(const char *name, struct rf_text *out) {
    rf_text_add(out, "SET TRANSACTION SNAPSHOT ");
    rf_text_literal(out, name);
}

/* The filter stands in round brackets where rows are read. What closes those, to go on with an OR or a UNION,
 * cannot also close the square ones here. It is planned and not executed. */
void rf_sql_check_filter(const struct rf_job *job, struct rf_text *out) {
    rf_text_add(out, "EXPLAIN SELECT FROM ");
    rf_text_qualified(out, job->source_schema, job->source_table);
    rf_text_addf(out, " WHERE (ARRAY[\n%s\n]::bool[])[1]", job->where);
}

/* ---- reading ---- */

/* What a column holds, or hides. Brackets, since a cast may follow. */
static void add_stored(const struct rf_column *column, struct rf_text *out) {
    if (column->masked) rf_text_addf(out, "(%s)", column->masked);
    else rf_text_identifier(out, column->name);
}

/* NULL when it changes nothing of what is sent. */
static const char *cast_sent(const struct rf_plan *plan, const struct rf_column *column) {
    return rf_sends_csv(plan) || rf_casts_bytes(column) ? column->cast : NULL;
}

/* A column as it is sent, under its own name. */
static void add_column(const struct rf_plan *plan, const struct rf_column *column, struct rf_text *out) {
    const char *cast = cast_sent(plan, column);
    if (column->through) rf_text_addf(out, "%s(", column->through);
    add_stored(column, out);
    if (cast) rf_text_add(out, cast);
    if (column->through) rf_text_add(out, ")");
    if (!cast && !column->through && !column->masked) return;
    rf_text_add(out, " AS ");
    rf_text_identifier(out, column->name);
}

/* The form of the rows: a target that loads files is sent texts. */
static const char *format_of(const struct rf_plan *plan) {
    return rf_sends_csv(plan) ? ") TO STDOUT (FORMAT csv)" : ") TO STDOUT (FORMAT binary)";
}

static void add_columns(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        add_column(plan, &plan->source->columns[i], out);
    }
}

static void add_source(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_qualified(out, plan->source->schema, plan->source->name);
}

/* The table, or the leaf of a part; of that no more than its own rows. */
static void add_relation(const struct rf_plan *plan, const struct rf_part *part, struct rf_text *out) {
    if (!part) {
        add_source(plan, out);
        return;
    }
    const struct rf_leaf *leaf = &plan->source->leaves[part->leaf];
    rf_text_add(out, "ONLY ");
    rf_text_qualified(out, leaf->schema, leaf->name);
}

static void add_pages(const struct rf_part *part, const char *word, struct rf_text *out) {
    rf_text_addf(out, "%sctid >= '(%" PRId64 ",0)'::tid", word, part->from_page);
    if (part->to_page) rf_text_addf(out, " AND ctid < '(%" PRId64 ",0)'::tid", part->to_page);
}

/* Row versions written since the last snapshot: those not frozen out of sight and no older than its xmin.
 * The casts go through the counter modulo 2^32, as age() does. Most rows fail the first comparison, and its
 * right side is a subquery so that it is evaluated once, not once a row. */
static void add_changed_since(uint64_t since, struct rf_text *out) {
    rf_text_addf(out, "(pg_catalog.age(xmin) <= (SELECT pg_catalog.age('%" PRIu32 "'::xid)) AND pg_catalog.age(xmin) >= 0)", (uint32_t)since);
}

/* On lines of its own: a filter that ends in a comment must not swallow the bracket. */
static void add_filter(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_addf(out, "(\n%s\n)", plan->job->where);
}

/* A literal of the column's own type, so that its index serves. A date holds a whole day: one that begins before
 * `from` may end after it. */
static void add_time(const struct rf_cursor_column *column, const char *time, bool lower, struct rf_text *out) {
    bool day = lower && strcmp(column->base, "date") == 0, zone = strcmp(column->base, "timestamptz") == 0;
    rf_text_addf(out, "'%.*s'::%s", day ? 10 : zone ? 32 : 26, time, day ? "date" : zone ? "timestamptz" : "timestamp");
}

static void add_cursor_range(const struct rf_cursor_column *column, const char *from, const char *until, struct rf_text *out) {
    rf_text_add(out, "(");
    rf_text_identifier(out, column->name);
    if (from) {
        rf_text_add(out, " >= ");
        add_time(column, from, true, out);
    }
    if (from && until) {
        rf_text_add(out, " AND ");
        rf_text_identifier(out, column->name);
    }
    if (until) {
        rf_text_add(out, " < ");
        add_time(column, until, false, out);
    }
    rf_text_add(out, ")");
}

/* A row without any time may have changed: it is read by every run. One that always has a time needs no such test. */
static void add_timeless(const struct rf_source_facts *source, struct rf_text *out) {
    for (int i = 0; i < source->n_cursor; i++)
        if (source->cursor[i].not_null) return;
    const char *word = " OR (";
    for (int i = 0; i < source->n_cursor; i++) {
        if (source->cursor[i].says_deleted) continue;
        rf_text_add(out, word);
        rf_text_identifier(out, source->cursor[i].name);
        rf_text_add(out, " IS NULL");
        word = " AND ";
    }
    rf_text_add(out, ")");
}

static void add_cursor(const struct rf_plan *plan, struct rf_text *out) {
    const struct rf_source_facts *source = plan->source;
    rf_text_add(out, "(");
    for (int i = 0; i < source->n_cursor; i++) {
        if (i > 0) rf_text_add(out, " OR ");
        add_cursor_range(&source->cursor[i], plan->from, plan->until, out);
    }
    if (plan->reading != RF_READ_WINDOW) add_timeless(source, out);
    rf_text_add(out, ")");
}

/* Rows of a leaf that was attached have no new version. */
static void add_new_leaves(const struct rf_plan *plan, struct rf_text *out) {
    for (int i = 0; i < plan->n_new_leaves; i++) rf_text_addf(out, "%s'%s'::oid", i == 0 ? " OR tableoid IN (" : ", ", plan->new_leaves[i]);
    if (plan->n_new_leaves > 0) rf_text_add(out, ")");
}

/* Written by a transaction that was open at the snapshot, or began after one that was. */
static void add_held_back(const struct rf_plan *plan, struct rf_text *out) {
    add_changed_since(plan->source->snapshot.xmin, out);
}

/* A leaf that is attached after the catalogs were read, which waits for no reader, is the next run's, which reads it whole. */
static void add_known_leaves(const struct rf_plan *plan, struct rf_text *out) {
    const char *before = " AND tableoid IN (", *at = plan->source->one_heap ? NULL : plan->source->fingerprint;
    for (struct rf_line line; rf_next_line(&at, &line);) {
        if (!rf_is_about(&line, "leaf")) continue;
        rf_text_addf(out, "%s'%llu'::oid", before, rf_line_number(&line));
        before = ", ";
    }
    rf_text_add(out, *before == ',' ? ")" : "");
}

/* Of these rows each is read by one run alone, whatever it is read with: by its 32 bits it lies in one interval. */
static void add_settled(const struct rf_plan *plan, struct rf_text *out) {
    if (plan->since > 0) {
        rf_text_add(out, "(");
        add_changed_since(plan->since, out);
        add_new_leaves(plan, out);
        rf_text_add(out, ") AND ");
    }
    rf_text_add(out, "NOT ");
    add_held_back(plan, out);
    add_known_leaves(plan, out);
}

static void add_changed(const struct rf_plan *plan, struct rf_text *out) {
    if (rf_settles(plan)) {
        add_settled(plan, out);
        return;
    }
    rf_text_add(out, "(");
    if (plan->reading == RF_READ_VERSIONS) add_changed_since(plan->since, out);
    else add_cursor(plan, out);
    add_new_leaves(plan, out);
    rf_text_add(out, ")");
}

static void add_conditions(const struct rf_plan *plan, const struct rf_part *part, bool filter, struct rf_text *out) {
    const char *word = " WHERE ";
    if (part) {
        add_pages(part, word, out);
        word = " AND ";
    }
    if (!plan->full_read) {
        rf_text_add(out, word);
        add_changed(plan, out);
        word = " AND ";
    }
    if (filter && plan->job->where) {
        rf_text_add(out, word);
        add_filter(plan, out);
    }
}

/* The transaction that wrote the row, in 64 bits: as far behind the snapshot's end as its 32 bits are. A row of more than 2^31 transactions
 * ago would come out in the future, and one of permanent numbers anywhere: 0 stands for them. After 2^32 transactions one may come out as recent as
 * another was; it is told by its values then. */
static void add_xid(const struct rf_plan *plan, struct rf_text *out) {
    uint64_t end = plan->source->snapshot.xmax;
    rf_text_addf(out, ", CASE WHEN pg_catalog.age(xmin) BETWEEN 0 AND 2147483646 THEN greatest(%" PRIu64 "::bigint - pg_catalog.age(xmin)::bigint"
                      " + (SELECT pg_catalog.age('%" PRIu32 "'::xid)), 0) ELSE 0 END AS \"_rowferry_xid\"",
                 end, (uint32_t)end);
}

/* The latest time of the row's cursor columns as bytes that are ordered as times are: those before 2000 are sent as negative numbers, so
 * the sign is turned round. A row without any is as old as -infinity. */
static void add_time_bytes(const struct rf_source_facts *source, struct rf_text *out) {
    struct rf_text sent = {0};
    rf_text_add(&sent, "pg_catalog.timestamptz_send(greatest(");
    for (int i = 0; i < source->n_cursor; i++) {
        rf_text_add(&sent, i > 0 ? ", " : "");
        rf_text_identifier(&sent, source->cursor[i].name);
        rf_text_add(&sent, "::pg_catalog.timestamptz");
    }
    rf_text_add(&sent, "))");
    const char *time = sent.data ? sent.data : "";
    rf_text_addf(out, "coalesce(pg_catalog.set_bit(%s, 7, 1 - pg_catalog.get_bit(%s, 7)), pg_catalog.int8send(0))", time, time);
    out->failed |= sent.failed;
    rf_text_free(&sent);
}

/* The same after the version's age and its place: what was written later has a smaller age. */
static void add_place_by_cursor(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, rf_sends_csv(plan) ? "pg_catalog.encode(" : "");
    add_time_bytes(plan->source, out);
    rf_text_add(out, " || pg_catalog.int4send(2147483647 - pg_catalog.age(xmin)) || pg_catalog.tidsend(ctid)");
    rf_text_add(out, rf_sends_csv(plan) ? ", 'hex')" : "");
}

/* Which of two rows of one key is newer: the one whose cursor is later; then the version written later; within one transaction, the
 * later place. A table without cursor columns has versions alone. And whether a run by cursor would have left the row out. */
static void add_version(const struct rf_plan *plan, struct rf_text *out) {
    /* The text of a place is not ordered as places are; its bytes in hexadecimal digits are. */
    const char *place = rf_sends_csv(plan) ? "pg_catalog.encode(pg_catalog.tidsend(ctid), 'hex')" : "ctid";
    bool by_cursor = rf_orders_by_cursor(plan);
    if (plan->dedupe) rf_text_add(out, by_cursor ? ", 0 AS \"_rowferry_age\", " : ", pg_catalog.age(xmin) AS \"_rowferry_age\", ");
    if (plan->dedupe && by_cursor) add_place_by_cursor(plan, out);
    else if (plan->dedupe) rf_text_add(out, place);
    if (plan->dedupe) rf_text_add(out, " AS \"_rowferry_place\"");
    if (plan->audit) {
        rf_text_add(out, ", (");
        add_cursor(plan, out);
        add_new_leaves(plan, out);
        rf_text_add(out, ") IS NOT TRUE AS \"_rowferry_late\"");
    }
    if (rf_keeps_versions(plan)) add_xid(plan, out);
}

/* Of a changed row that fails the filter nothing but its key leaves the source. */
static void add_marked_select(const struct rf_plan *plan, const struct rf_part *part, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        if (!rf_is_key(plan->source, i)) rf_text_add(out, "CASE WHEN \"_rowferry_kept\" THEN ");
        rf_text_identifier(out, plan->source->columns[i].name);
        if (!rf_is_key(plan->source, i)) rf_text_add(out, " END");
    }
    if (plan->dedupe) rf_text_add(out, ", \"_rowferry_age\", \"_rowferry_place\"");
    if (plan->audit) rf_text_add(out, ", \"_rowferry_late\"");
    if (rf_keeps_versions(plan)) rf_text_add(out, ", \"_rowferry_xid\"");
    rf_text_add(out, ", NOT \"_rowferry_kept\" FROM (SELECT ");
    add_columns(plan, out);
    add_version(plan, out);
    rf_text_add(out, ", ");
    add_filter(plan, out);
    rf_text_add(out, " IS TRUE AS \"_rowferry_kept\" FROM ");
    add_relation(plan, part, out);
    add_conditions(plan, part, false, out);
    rf_text_add(out, ") changed");
}

static void add_plain_select(const struct rf_plan *plan, const struct rf_part *part, struct rf_text *out) {
    rf_text_add(out, "SELECT ");
    add_columns(plan, out);
    add_version(plan, out);
    rf_text_add(out, " FROM ");
    add_relation(plan, part, out);
    add_conditions(plan, part, true, out);
}

static bool has_computed(const struct rf_plan *plan) {
    for (int i = 0; i < plan->source->n_columns; i++) {
        const struct rf_column *column = &plan->source->columns[i];
        if (column->generated || column->through || column->masked || cast_sent(plan, column)) return true;
    }
    return false;
}

/* COPY of a table skips the executor; anything but all stored columns of all rows of one heap needs a query. */
static bool copies_table(const struct rf_plan *plan) {
    return !has_computed(plan) && plan->full_read && plan->source->one_heap && !plan->job->where && !plan->dedupe && !rf_keeps_versions(plan) && !plan->source->row_security;
}

static void add_query(const struct rf_plan *plan, const struct rf_part *part, struct rf_text *out) {
    rf_text_add(out, "COPY (");
    if (plan->mark_gone) add_marked_select(plan, part, out);
    else add_plain_select(plan, part, out);
    rf_text_add(out, format_of(plan));
}

void rf_sql_read(const struct rf_plan *plan, struct rf_text *out) {
    if (!copies_table(plan)) {
        add_query(plan, NULL, out);
        return;
    }
    rf_text_add(out, "COPY ");
    add_source(plan, out);
    rf_text_add(out, " (");
    add_columns(plan, out);
    rf_text_add(out, format_of(plan));
}

void rf_sql_read_part(const struct rf_plan *plan, int part, struct rf_text *out) {
    add_query(plan, &plan->parts[part], out);
}

/* Without a filter of changes: a key that is not sent is gone. */
void rf_sql_read_keys(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "COPY (SELECT ");
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        add_column(plan, &plan->source->columns[plan->source->keys[k]], out);
    }
    rf_text_add(out, " FROM ");
    add_source(plan, out);
    if (plan->job->where) {
        rf_text_add(out, " WHERE ");
        add_filter(plan, out);
    }
    rf_text_add(out, format_of(plan));
}

/* ---- settling ---- */

void rf_sql_survey(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "COPY (SELECT (count(*) FILTER (WHERE ");
    add_held_back(plan, out);
    rf_text_addf(out, "))::text, coalesce(min(-pg_catalog.age(xmin)::bigint) FILTER (WHERE pg_catalog.age(xmin) < 0)"
                      " + (SELECT pg_catalog.age('%" PRIu32 "'::xid)), 0)::text FROM ", (uint32_t)plan->source->snapshot.xmax);
    add_source(plan, out);
    if (plan->job->where) {
        rf_text_add(out, " WHERE ");
        add_filter(plan, out);
    }
    rf_text_add(out, ") TO STDOUT (FORMAT binary)");
}

static void add_rows_of_leaf(const struct rf_plan *plan, const char *oid, struct rf_text *out) {
    rf_text_add(out, "EXISTS (SELECT FROM ");
    add_source(plan, out);
    rf_text_addf(out, " WHERE tableoid = '%s'::oid", oid);
}

void rf_sql_was_rewritten(const struct rf_plan *plan, const char *oid, struct rf_text *out) {
    rf_text_add(out, "COPY (SELECT (");
    add_rows_of_leaf(plan, oid, out);
    rf_text_add(out, ") AND NOT ");
    add_rows_of_leaf(plan, oid, out);
    rf_text_add(out, " AND NOT ");
    add_changed_since(plan->since, out);
    rf_text_addf(out, ") AND EXISTS (SELECT FROM pg_catalog.pg_attribute WHERE attrelid = '%s'::oid AND ", oid);
    add_changed_since(plan->since, out);
    rf_text_add(out, "))::text) TO STDOUT (FORMAT binary)");
}

/* ---- comparing ---- */

/* Where the target is wider the same value prints otherwise: 1.5 as numeric(12,4) and (14,6), 0.1 as float4 and
 * float8. The source's is printed as the target's. */
static bool prints_otherwise(const struct rf_column *from, const struct rf_column *to) {
    bool wider_numeric = strcmp(from->base, "numeric") == 0 && from->typmod != to->typmod && to->typmod != -1;
    return wider_numeric || rf_fit_column(from, to) == RF_FITS_WIDER;
}

static void add_value(const struct rf_plan *plan, int i, bool target, struct rf_text *out) {
    const struct rf_column *from = &plan->source->columns[i], *to = rf_target_column(plan, i);
    if (target) {
        rf_text_identifier(out, from->name);
        return;
    }
    add_stored(from, out);
    if (from->cast) rf_text_add(out, from->cast);
    else if (prints_otherwise(from, to)) rf_text_addf(out, "::%s", to->type);
}

/* One text form of a row on both sides. */
static void add_row_text(const struct rf_plan *plan, bool target, struct rf_text *out) {
    rf_text_add(out, "ROW(");
    for (int i = 0; i < plan->source->n_columns; i++) {
        if (i > 0) rf_text_add(out, ", ");
        add_value(plan, i, target, out);
    }
    rf_text_add(out, ")::text");
}

/* Where no key names a row, all of it does. */
static void add_key_text(const struct rf_plan *plan, bool target, struct rf_text *out) {
    if (plan->source->n_keys == 0) {
        add_row_text(plan, target, out);
        return;
    }
    rf_text_add(out, "ROW(");
    for (int k = 0; k < plan->source->n_keys; k++) {
        if (k > 0) rf_text_add(out, ", ");
        add_value(plan, plan->source->keys[k], target, out);
    }
    rf_text_add(out, ")::text");
}

static void add_side(const struct rf_plan *plan, bool target, struct rf_text *out) {
    rf_text_add(out, " FROM ");
    if (target) {
        rf_text_qualified(out, plan->job->target_schema, plan->job->target_table);
        rf_sql_add_live_condition(plan, out);
        return;
    }
    add_source(plan, out);
    if (plan->compares_load) {
        add_conditions(plan, NULL, true, out);
        return;
    }
    if (!plan->job->where) return;
    rf_text_add(out, " WHERE ");
    add_filter(plan, out);
}

/* A text's bytes as they are in UTF8: a server hashes and orders those of its own encoding. */
static void add_utf8(const struct rf_plan *plan, bool target, void (*add)(const struct rf_plan *plan, bool target, struct rf_text *out),
                     struct rf_text *out) {
    bool convert = !(target ? plan->target->server.utf8 : plan->source->server.utf8);
    rf_text_add(out, convert ? "pg_catalog.convert_to(" : "");
    add(plan, target, out);
    rf_text_add(out, convert ? ", 'UTF8')" : "");
}

static void add_checksum(const struct rf_plan *plan, bool target, struct rf_text *out) {
    rf_text_add(out, "COPY (SELECT count(*)::text, mod(coalesce(sum(('x' || substr(md5(");
    add_utf8(plan, target, add_row_text, out);
    rf_text_add(out, "), 1, 16))::bit(64)::bigint::numeric + 18446744073709551616), 0), 18446744073709551616)::text");
    add_side(plan, target, out);
    rf_text_add(out, ") TO STDOUT (FORMAT binary)");
}

static void add_pending(const struct rf_plan *plan, uint64_t since, struct rf_text *out) {
    rf_text_add(out, "(");
    if (since) add_changed_since(since, out);
    else rf_text_add(out, "false");
    if (since) add_new_leaves(plan, out);
    rf_text_add(out, ")");
}

/* The key's bytes order both streams alike, whatever collation either server has. */
static void add_rows(const struct rf_plan *plan, bool target, uint64_t since, struct rf_text *out) {
    rf_text_add(out, "COPY (SELECT k, decode(h, 'hex'), p FROM (SELECT ");
    add_key_text(plan, target, out);
    rf_text_add(out, " COLLATE \"C\" AS k, md5(");
    add_utf8(plan, target, add_row_text, out);
    rf_text_add(out, ") AS h, ");
    add_pending(plan, since, out);
    rf_text_add(out, " AS p");
    add_side(plan, target, out);
    bool utf8 = target ? plan->target->server.utf8 : plan->source->server.utf8;
    rf_text_addf(out, ") r ORDER BY %s, h) TO STDOUT (FORMAT binary)", utf8 ? "k" : "pg_catalog.convert_to(k, 'UTF8')");
}

void rf_sql_source_checksum(const struct rf_plan *plan, struct rf_text *out) {
    add_checksum(plan, false, out);
}

void rf_sql_target_checksum(const struct rf_plan *plan, struct rf_text *out) {
    add_checksum(plan, true, out);
}

void rf_sql_source_rows(const struct rf_plan *plan, uint64_t since, struct rf_text *out) {
    add_rows(plan, false, since, out);
}

void rf_sql_target_rows(const struct rf_plan *plan, struct rf_text *out) {
    add_rows(plan, true, 0, out);
}

static void add_texts(const struct rf_plan *plan, bool target, uint64_t since, struct rf_text *out) {
    rf_text_add(out, "COPY (SELECT ");
    for (int i = 0; i < plan->source->n_columns; i++) {
        rf_text_add(out, i > 0 ? ", (" : "(");
        add_value(plan, i, target, out);
        rf_text_add(out, ")::pg_catalog.text");
    }
    if (since) {
        rf_text_add(out, ", ");
        add_pending(plan, since, out);
    }
    add_side(plan, target, out);
    rf_text_add(out, ") TO STDOUT (FORMAT binary)");
}

void rf_sql_source_texts(const struct rf_plan *plan, uint64_t since, struct rf_text *out) {
    add_texts(plan, false, since, out);
}

void rf_sql_target_texts(const struct rf_plan *plan, struct rf_text *out) {
    add_texts(plan, true, 0, out);
}

void rf_sql_source_values(const struct rf_plan *plan, uint64_t since, struct rf_text *out) {
    rf_text_add(out, "COPY (SELECT ");
    for (int i = 0; i < plan->source->n_columns; i++) {
        struct rf_column column = plan->source->columns[i];
        if (column.compared_as) column.cast = column.compared_as;
        rf_text_add(out, i > 0 ? ", " : "");
        add_column(plan, &column, out);
    }
    if (since) {
        rf_text_add(out, ", ");
        add_pending(plan, since, out);
    }
    add_side(plan, false, out);
    rf_text_add(out, ") TO STDOUT (FORMAT binary)");
}
