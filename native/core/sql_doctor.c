#include "core/sql.h"
#include "core/sql_cursor.h"

/* The server answers in JSON: a fact is named once, here, and read once, in Python. */

#define CONVENTION \
    "CASE WHEN a.attname IN ('inserted_at', 'created_at') THEN 'inserted_at'" \
    " WHEN a.attname IN ('updated_at', 'modified_at') THEN 'updated_at' WHEN a.attname = 'deleted_at' THEN 'deleted_at' END"

static const char CHOSEN[] =
    "WITH chosen AS ("
    " SELECT c.oid, n.nspname, c.relname, c.relkind, c.reltuples, pg_table_size(c.oid) AS bytes,"
    "  (WITH RECURSIVE tree(oid) AS (SELECT c.oid UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)"
    "   SELECT json_build_object('n', count(*) - 1, 'bytes', sum(pg_table_size(tree.oid)), 'rows', sum(greatest(r.reltuples, 0)) FILTER (WHERE r.relkind = 'r'))"
    "   FROM tree JOIN pg_class r USING (oid)) AS tree"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    " WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'"
    "  AND ($2::text IS NULL OR (n.nspname = $1 AND c.relname = $2)) AND ($2 IS NOT NULL OR c.relkind IN ('r', 'p'))"
    " ORDER BY 6 DESC LIMIT 200)";

static const char SERVER[] =
    " SELECT json_build_object('server', json_build_object('version', current_setting('server_version_num')::int,"
    "   'in_recovery', pg_is_in_recovery(), 'system', (SELECT system_identifier::text FROM pg_control_system()),"
    "   'max_connections', current_setting('max_connections')::int,"
    "   'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'), 'current_user', current_user,"
    "   'is_superuser', current_setting('is_superuser') = 'on', 'pg_read_all_stats', pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')),"
    " 'oldest', (SELECT to_json(o) FROM ("
    "   SELECT pid, usename AS \"user\", application_name AS application, state, extract(epoch FROM clock_timestamp() - xact_start) AS seconds,"
    "    greatest(age(backend_xmin), age(backend_xid)) AS held_xmin_age, 'session' AS kind FROM pg_stat_activity"
    "    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()"
    "   UNION ALL SELECT NULL, owner, gid, 'prepared', extract(epoch FROM clock_timestamp() - prepared), age(transaction), 'prepared' FROM pg_prepared_xacts"
    "   UNION ALL SELECT active_pid, NULL, slot_name, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL, greatest(age(xmin), age(catalog_xmin)), 'slot'"
    "    FROM pg_replication_slots WHERE xmin IS NOT NULL"
    "   ORDER BY held_xmin_age DESC NULLS LAST LIMIT 1) o),";

static const char TABLES[] =
    " 'tables', (SELECT coalesce(json_agg(json_build_object("
    "   'table', quote_ident(t.nspname) || '.' || quote_ident(t.relname),"
    "   'kind', CASE t.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'foreign table' END,"
    "   'bytes', (t.tree->>'bytes')::bigint, 'rows_estimate', CASE WHEN t.relkind = 'p' THEN (t.tree->>'rows')::float8 ELSE t.reltuples END,"
    "   'keys', coalesce(k.names, '[]'), 'key_source', coalesce(k.origin, 'none'),"
    "   'select', has_table_privilege(t.oid, 'SELECT'), 'row_security', row_security_active(t.oid), 'partitions', (t.tree->>'n')::int,"
    "   'columns', (SELECT json_agg(json_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod), 'not_null', a.attnotnull,"
    "     'default', pg_get_expr(d.adbin, d.adrelid),"
    "     'indexed', " RF_INDEXED ", 'by_clock', " CONVENTION " IS NOT NULL AND " RF_SET_BY_CLOCK("t.oid") ","
    "     'role', " CONVENTION ", 'passes', y.typsend <> 0 AND y.typreceive <> 0 AND NOT (y.typnamespace = 'pg_catalog'::regnamespace"
    "      AND (y.typname LIKE 'reg%' OR y.typname IN ('oid', 'xid', 'xid8', 'cid', 'tid', 'oidvector', 'pg_snapshot', 'txid_snapshot', 'aclitem', 'refcursor'))))"
    "     ORDER BY a.attnum) FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid"
    "     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    "     WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped),";

static const char TRIGGERS[] =
    "   'triggers', (SELECT coalesce(json_agg(json_build_object('name', g.tgname, 'when', CASE WHEN g.tgtype & 2 = 2 THEN 'before' ELSE 'after' END,"
    "     'events', concat_ws(',', CASE WHEN g.tgtype & 4 = 4 THEN 'insert' END, CASE WHEN g.tgtype & 16 = 16 THEN 'update' END, CASE WHEN g.tgtype & 8 = 8 THEN 'delete' END),"
    "     'enabled', g.tgenabled <> 'D', 'for_each_row', g.tgtype & 1 = 1,"
    "     'function_sets', (SELECT coalesce(json_agg(a.attname), '[]') FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped"
    "       AND p.prosrc ~* ('new\\.\"?' || regexp_replace(a.attname, '([^a-zA-Z0-9_])', '\\\\\\1', 'g') || '\"?\\s*:?='))) ORDER BY g.tgname), '[]')"
    "     FROM pg_trigger g JOIN pg_proc p ON p.oid = g.tgfoid WHERE g.tgrelid = t.oid AND NOT g.tgisinternal)"
    "   ) ORDER BY t.bytes DESC), '[]') FROM chosen t LEFT JOIN LATERAL ("
    "    SELECT json_agg(a.attname ORDER BY x.n) AS names, CASE WHEN i.indisprimary THEN 'primary key' ELSE 'unique' END AS origin"
    "    FROM pg_index i CROSS JOIN LATERAL unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY x(attnum, n)"
    "    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = x.attnum"
    "    WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL"
    "    GROUP BY i.indexrelid, i.indisprimary HAVING bool_and(a.attnotnull) ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1) k ON true))";

void rf_sql_inspect(struct rf_text *out) {
    const char *const parts[] = {CHOSEN, SERVER, TABLES, TRIGGERS};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) rf_text_add(out, parts[i]);
}

const char RF_SQL_INSPECT_TARGET[] =
    "SELECT json_build_object('version', current_setting('server_version_num')::int, 'current_user', current_user,"
    " 'can_create_schema', has_database_privilege(current_database(), 'CREATE'), 'can_create_temp', has_database_privilege(current_database(), 'TEMP'),"
    " 'read_only', pg_is_in_recovery(), 'control_schema_exists', n.oid IS NOT NULL,"
    " 'control_tables', (SELECT count(*) FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname IN ('loads', 'leases')),"
    " 'loads', (SELECT greatest(c.reltuples, 0)::bigint FROM pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'loads'),"
    " 'server_encoding', pg_encoding_to_char((SELECT encoding FROM pg_database WHERE datname = current_database())))"
    " FROM (SELECT $1::text AS name) w LEFT JOIN pg_namespace n ON n.nspname = w.name";
