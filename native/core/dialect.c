#include "core/dialect.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define FLAG(condition) "CASE WHEN " condition " THEN 'true' ELSE 'false' END"

#define MARIADB_LOCK "CONCAT('rowferry ', MD5({label}))"
#define MARIADB_TABLE "information_schema.tables WHERE table_schema = {schema} AND table_name = {table}"

#define POSTGRES_LOCK "hashtextextended('rowferry lease ' || {label}, 0)"
#define POSTGRES_TABLE "pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {schema} AND c.relname = {table}"

/* The driver does not see into a cast, and prints a double with all of its digits. */
static const struct rf_asked MARIADB_ASKED[] = {{"longtext", "%s"}, {"longblob", "%s"}, {"var", "%s"}, {"char", "%s"}, {"", "CAST(%s AS CHAR)"}};

/* As bytes: of a text the driver would give what is in front of a NUL. A value may be held as what its column does not say, and
 * then is told apart from all that was loaded. Printed with 17 digits, one double in some hundreds is read back as its neighbour. */
#define HELD_AS(class, shown) "CASE typeof(%s) WHEN '" class "' THEN " shown " WHEN 'null' THEN NULL ELSE CAST(char(0) || 'held as ' || typeof(%s) || ': ' || %s AS BLOB) END"
static const struct rf_asked SQLITE_ASKED[] = {
    {"TEXT", HELD_AS("text", "CAST(%s AS BLOB)")}, {"BLOB", HELD_AS("blob", "%s")}, {"DOUBLE", HELD_AS("real", "printf('%!.20g', %s)")},
    {"", HELD_AS("integer", "CAST(%s AS TEXT)")}};

static const struct rf_asked POSTGRES_ASKED[] = {{"", "CAST(%s AS text)"}};

static const struct rf_dialect_row ROWS[RF_DIALECTS] = {
    [RF_DIALECT_MARIADB] = {
        .name = "MariaDB", .oldest = 100600,
        .has_schemas = true,
        .hex = {"_utf8mb4 X'", "'"},
        .time = {"TIMESTAMP'", "'"}, .time_digits = 26,
        .text = "longtext", .name_text = "varchar(512)", .bytes = "varbinary(32)", .json = "longtext", .instant = "datetime(6)", .flag = "tinyint(1)",
        .table_end = " ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_nopad_bin",
        .now = "UTC_TIMESTAMP(6)",
        .later = {"UTC_TIMESTAMP(6) + INTERVAL ", " SECOND"},
        .iso = {"DATE_FORMAT(", ", '%Y-%m-%dT%H:%i:%s.%f+00:00')"},
        .listed = {"GROUP_CONCAT(", " SEPARATOR ', ')"},
        .as_text = "CHAR",
        .differs = {"NOT (", ")"}, .differs_between = " <=> ",
        .mode = "JSON_VALUE(n.report, '$.mode')",
        .ddl_commits = true, .enter = "USE ", .update_joins = true, .index_in_create = true,
        /* Quotes as in the standard, nothing rounded or cut, and each statement sees what is committed when it begins. */
        .begin_session = "SET SESSION sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,NO_AUTO_VALUE_ON_ZERO';"
                         "SET SESSION time_zone = '+00:00';SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED;SET SESSION max_statement_time = 0;"
                         "SET SESSION innodb_lock_wait_timeout = {lock};SET SESSION lock_wait_timeout = {lock};SET SESSION idle_transaction_timeout = {lease};"
                         "SET SESSION wait_timeout = {lease};SET SESSION idle_readonly_transaction_timeout = 0;SET SESSION idle_write_transaction_timeout = 0;"
                         "SET SESSION group_concat_max_len = 65536",
        .lock = "SELECT " FLAG("GET_LOCK(" MARIADB_LOCK ", 0) = 1"),
        /* Until then nothing shows that a process stands still which has the lock; from then on a source may be slow. */
        .once_named = "SET SESSION wait_timeout = 31536000",
        .holder = "SELECT IS_USED_LOCK(" MARIADB_LOCK ")",
        .end_session = {"KILL CONNECTION ", ""},
        .session = "CONNECTION_ID(), NULL",
        /* Without a limit of its own a transaction has that of the session. */
        .begin_looking = "SET SESSION wait_timeout = 31536000;SET SESSION idle_transaction_timeout = 0;SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;START TRANSACTION READ ONLY, WITH CONSISTENT SNAPSHOT",
        .idle_limit = {"SET SESSION idle_transaction_timeout = ", ""},
        .asked = MARIADB_ASKED, .paging = RF_PAGES_BY_KEY,
        .account = "SELECT CURRENT_USER(), VERSION(), " FLAG("@@read_only = 1"),
        .schema_exists = "SELECT " FLAG("COUNT(*) > 0") " FROM information_schema.schemata WHERE schema_name = {schema}",
        .control_exists = "SELECT COUNT(CASE WHEN table_name = 'loads' THEN 1 END), COUNT(CASE WHEN table_name = 'leases' THEN 1 END)"
                          " FROM information_schema.tables WHERE table_schema = {control}",
        .find = "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%f+00:00'), CASE WHEN VERSION() LIKE '%MariaDB%' THEN VERSION() ELSE '0.0' END,"
                " (SELECT " FLAG("COUNT(*) > 0") " FROM " MARIADB_TABLE " AND table_type = 'BASE TABLE'),"
                " (SELECT " FLAG("COUNT(*) > 0") " FROM " MARIADB_TABLE " AND table_type <> 'BASE TABLE')",
        .columns = "SELECT column_name, CONCAT(column_type, CASE WHEN collation_name IS NULL THEN '' ELSE CONCAT(' COLLATE ', collation_name) END),"
                   " " FLAG("is_nullable = 'NO'") ", " FLAG("is_generated = 'ALWAYS'")
                   " FROM information_schema.columns WHERE table_schema = {schema} AND table_name = {table} ORDER BY ordinal_position",
        .unique_keys = "SELECT index_name, column_name FROM information_schema.statistics"
                       " WHERE table_schema = {schema} AND table_name = {table} AND non_unique = 0 AND sub_part IS NULL ORDER BY index_name",
        /* Emptying a table makes it anew. Its time is whole seconds, so that it is also said whether there is anything in it. */
        .file = "(SELECT CONCAT('made ', create_time, CASE WHEN EXISTS (SELECT 1 FROM {target}) THEN ', holds rows' ELSE ', empty' END) FROM " MARIADB_TABLE ")",
    },
    [RF_DIALECT_SQLITE] = {
        .name = "SQLite", .oldest = 33500,
        .temporary = "temp",
        .hex = {"CAST(X'", "' AS TEXT)"},
        .time = {"'", "'"}, .time_digits = 32, .one_at_a_time = true,
        .text = "TEXT", .name_text = "TEXT", .bytes = "BLOB", .json = "TEXT", .instant = "TEXT", .flag = "BOOLEAN",
        .table_end = "",
        .now = "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000+00:00'",
        .iso = {"replace(", ", ' ', 'T')"},
        .listed = {"group_concat(", ", ', ')"},
        .as_text = "TEXT",
        .differs = {"", ""}, .differs_between = " IS NOT ",
        .mode = "json_extract(n.report, '$.mode')",
        .index_after = true,
        .file_is_lease = true,
        .arrival = "rowid",
        .begin_session = "PRAGMA synchronous = FULL",
        .begin_looking = "BEGIN",
        .asked = SQLITE_ASKED, .paging = RF_PAGES_NONE,
        .account = "SELECT '', sqlite_version(), 'false'",
        .control_exists = "SELECT COUNT(CASE WHEN name = {control} || '.loads' THEN 1 END), 1 FROM sqlite_master WHERE type = 'table'",
        .find = "SELECT replace(strftime('%Y-%m-%d %H:%M:%f', 'now'), ' ', 'T') || '000+00:00', sqlite_version(),"
                " (SELECT " FLAG("COUNT(*) > 0") " FROM sqlite_master WHERE name = {name} AND type = 'table'),"
                " (SELECT " FLAG("COUNT(*) > 0") " FROM sqlite_master WHERE name = {name} AND type <> 'table')",
        .columns = "SELECT name, type, " FLAG("\"notnull\"") ", " FLAG("hidden IN (2, 3)") " FROM pragma_table_xinfo({name}) WHERE hidden <> 1 ORDER BY cid",
        .unique_keys = "SELECT '', name FROM pragma_table_xinfo({name}) WHERE pk > 0 UNION ALL SELECT * FROM (SELECT l.name, i.name"
                       " FROM pragma_index_list({name}) l JOIN pragma_index_info(l.name) i WHERE l.\"unique\" AND NOT l.partial ORDER BY 1)",
        .file = "(SELECT COUNT(*) || ' rows, load ' || coalesce(max(\"_load_id\"), 0) FROM {target})",
    },
    [RF_DIALECT_PSQLODBC] = {
        .name = "PostgreSQL", .oldest = 120000,
        .has_schemas = true,
        .temporary = "pg_temp",
        .hex = {"convert_from(decode('", "', 'hex'), 'UTF8')"},
        .time = {"CAST('", "' AS timestamptz)"}, .time_digits = 32,
        .casts = true,
        .text = "text", .name_text = "text", .bytes = "bytea", .json = "jsonb", .instant = "timestamp with time zone", .flag = "boolean",
        .table_end = "",
        .now = "clock_timestamp()",
        .later = {"clock_timestamp() + make_interval(secs => ", ")"},
        .iso = {"to_char((", ") AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"')"},
        .listed = {"string_agg(", ", ', ')"},
        .as_text = "text",
        .differs = {"", ""}, .differs_between = " IS DISTINCT FROM ",
        .mode = "n.report ->> 'mode'",
        .arrival = "ctid",
        .begin_session = "SET search_path = pg_catalog;SET timezone = 'UTC';SET datestyle = 'ISO, YMD';SET intervalstyle = 'postgres';SET extra_float_digits = 1;"
                         "SET bytea_output = 'hex';SET statement_timeout = 0;SET default_transaction_isolation = 'read committed';SET standard_conforming_strings = on;"
                         "SET lock_timeout = '{lock}s';SET idle_in_transaction_session_timeout = '{lease}s'",
        .lock = "SELECT " FLAG("pg_try_advisory_lock(" POSTGRES_LOCK ")"),
        .holder = "SELECT pid FROM pg_locks, (SELECT " POSTGRES_LOCK " AS k) l WHERE locktype = 'advisory' AND granted AND objsubid = 1"
                  " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                  " AND classid::bigint = (k >> 32) & 4294967295 AND objid::bigint = k & 4294967295",
        .end_session = {"SELECT pg_terminate_backend(", ")"},
        .session = "pg_backend_pid(), (SELECT backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid())",
        .begin_looking = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;SET LOCAL idle_in_transaction_session_timeout = 0",
        .idle_limit = {"SET LOCAL idle_in_transaction_session_timeout = '", "s'"},
        .asked = POSTGRES_ASKED, .paging = RF_PAGES_CURSOR,
        .account = "SELECT current_user, current_setting('server_version'), " FLAG("pg_is_in_recovery()"),
        .schema_exists = "SELECT " FLAG("COUNT(*) > 0") " FROM pg_namespace WHERE nspname = {schema}",
        .control_exists = "SELECT COUNT(CASE WHEN c.relname = 'loads' THEN 1 END), COUNT(CASE WHEN c.relname = 'leases' THEN 1 END)"
                          " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = {control}",
        .find = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"+00:00\"'), current_setting('server_version'),"
                " (SELECT " FLAG("COUNT(*) > 0") " FROM " POSTGRES_TABLE " AND c.relkind IN ('r', 'p')),"
                " (SELECT " FLAG("COUNT(*) > 0") " FROM " POSTGRES_TABLE " AND c.relkind NOT IN ('r', 'p'))",
        .columns = "SELECT a.attname, format_type(a.atttypid, a.atttypmod), " FLAG("a.attnotnull") ", " FLAG("a.attgenerated <> ''")
                   " FROM pg_attribute a WHERE a.attrelid = (SELECT c.oid FROM " POSTGRES_TABLE ") AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
        .unique_keys = "SELECT i.indexrelid, a.attname, CASE WHEN i.indisprimary THEN (SELECT relname FROM pg_class WHERE oid = i.indexrelid) END FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])"
                       " WHERE i.indrelid = (SELECT c.oid FROM " POSTGRES_TABLE ") AND i.indisunique AND i.indisvalid AND i.indpred IS NULL"
                       " AND i.indexprs IS NULL ORDER BY 1",
        .file = "(SELECT concat(c.oid, '/', pg_relation_filenode(c.oid)) FROM " POSTGRES_TABLE ")",
    },
};

const struct rf_dialect_row *rf_dialect_row(enum rf_dialect dialect) {
    return dialect < RF_DIALECTS && ROWS[dialect].name ? &ROWS[dialect] : NULL;
}

/* ---- names and values ---- */

void rf_dialect_around(struct rf_around around, const char *inside, struct rf_text *out) {
    rf_text_add(out, around.before);
    rf_text_add(out, inside);
    rf_text_add(out, around.after);
}

void rf_add_asked(const struct rf_asked *asked, const char *type, struct rf_text *name, struct rf_text *out) {
    while (strncmp(type, asked->type, strlen(asked->type)) != 0) asked++;
    if (!name->failed) rf_text_fill(out, asked->template, name->data);
    out->failed |= name->failed;
    rf_text_free(name);
}

/* Signs that mean nothing beyond themselves to any driver or database. Bytes of UTF-8 do not either. */
static bool is_plain(const char *text) {
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p < ' ' || strchr("'\"\\?{}%", *p)) return false;
    return true;
}

void rf_dialect_literal(const struct rf_dialect_row *row, const char *text, struct rf_text *out) {
    if (!text) {
        rf_text_add(out, "NULL");
        return;
    }
    if (is_plain(text)) {
        rf_dialect_around((struct rf_around){"'", "'"}, text, out);
        return;
    }
    rf_text_add(out, row->hex.before);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) rf_text_addf(out, "%02x", *p);
    rf_text_add(out, row->hex.after);
}

void rf_dialect_time(const struct rf_dialect_row *row, const char *iso, struct rf_text *out) {
    enum { LONGEST = 64, TIME_AT = 10 };
    char text[LONGEST];
    if (!iso) {
        rf_text_add(out, "NULL");
        return;
    }
    rf_copy_text(text, sizeof text, iso);
    if (strlen(text) > TIME_AT) text[TIME_AT] = ' ';
    text[row->time_digits] = '\0';
    rf_dialect_around(row->time, text, out);
}

void rf_dialect_table(const struct rf_dialect_row *row, const char *schema, const char *table, struct rf_text *out) {
    struct rf_text name = {0};
    if (row->has_schemas) {
        rf_text_qualified(out, schema, table);
        return;
    }
    rf_text_addf(&name, "%s.%s", schema, table);
    if (!name.failed) rf_text_identifier(out, name.data);
    out->failed |= name.failed;
    rf_text_free(&name);
}

/* ---- templates ---- */

static void add_name(const struct rf_dialect_row *row, const struct rf_job *job, struct rf_text *out) {
    struct rf_text name = {0};
    if (!job->target_schema || !job->target_table) {
        rf_dialect_literal(row, NULL, out);
        return;
    }
    rf_text_addf(&name, "%s.%s", job->target_schema, job->target_table);
    if (!name.failed) rf_dialect_literal(row, name.data, out);
    out->failed |= name.failed;
    rf_text_free(&name);
}

/* A wait in whole seconds, at least one: some databases take a smaller number for ever. */
static void add_seconds(double seconds, struct rf_text *out) {
    rf_text_addf(out, "%" PRId64, (int64_t)ceil(seconds > 1 ? seconds : 1));
}

static void add_filling(const struct rf_dialect_row *row, const char *word, size_t length, const struct rf_job *job, struct rf_text *out) {
    const struct { const char *word, *literal; } literals[] = {
        {"schema", job->target_schema}, {"table", job->target_table}, {"control", job->control_schema}, {"label", job->target_label}};
    for (size_t i = 0; i < sizeof literals / sizeof literals[0]; i++)
        if (strncmp(word, literals[i].word, length) == 0) rf_dialect_literal(row, literals[i].literal, out);
    if (strncmp(word, "name", length) == 0) add_name(row, job, out);
    if (strncmp(word, "target", length) == 0 && job->target_schema) rf_dialect_table(row, job->target_schema, job->target_table, out);
    if (strncmp(word, "lock", length) == 0) add_seconds(job->lock_timeout, out);
    if (strncmp(word, "lease", length) == 0) add_seconds(job->lease_seconds, out);
}

void rf_dialect_fill(const struct rf_dialect_row *row, const char *template, const struct rf_job *job, struct rf_text *out) {
    for (const char *at = template; *at;) {
        size_t length = strcspn(at, "{");
        rf_text_add_bytes(out, at, length);
        at += length;
        if (!*at) return;
        length = strcspn(++at, "}");
        add_filling(row, at, length, job, out);
        at += length + 1;
    }
}
