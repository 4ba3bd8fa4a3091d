/* What the catalogs say of a cursor column, asked by a run and by `rowferry doctor` alike: in both, `a` is the
 * column's row of pg_attribute. */
#ifndef RF_SQL_CURSOR_H
#define RF_SQL_CURSOR_H

/* A trigger counts when it fires for every row, before it is written, in every session, and assigns a clock without
 * asking anything first; it counts for nothing when another may assign the column something else. Every leaf has its
 * own triggers: partitions have copies of their table's, and each can be disabled. What a subscription writes fires
 * none of them. */
#define RF_FIRES(event) "g.tgenabled IN ('O', 'A') AND g.tgtype & 3 = 3 AND g.tgtype & " event " = " event
#define RF_ASSIGNS "('\\mnew\\.\"?' || regexp_replace(a.attname, '([^a-zA-Z0-9_])', '\\\\\\1', 'g') || '\"?\\s*:?="
#define RF_CLOCK "\\s*(pg_catalog\\.)?((now|(clock|statement|transaction)_timestamp)\\(\\)|current_timestamp)\\s*;"
#define RF_IN_CLOCK(event) \
    "(SELECT coalesce(bool_or(g.tgqual IS NULL AND g.tgattr::text = '' AND g.body !~* '\\m(if|case|exception)\\M|return\\s+(null|old)' AND g.body ~* " RF_ASSIGNS RF_CLOCK "')), false)" \
    " AND NOT coalesce(bool_or(g.body ~* " RF_ASSIGNS "(?!" RF_CLOCK ")') OR g.body ~* '\\mnew\\M\\s*:?=|\\minto\\s+(strict\\s+)?new\\M'), false)" \
    " FROM triggers g WHERE g.tgrelid = leaf.oid AND " RF_FIRES(event) ")"

/* Do row triggers set the column to the server's clock on every INSERT and UPDATE of `table`, an oid? */
#define RF_SET_BY_CLOCK(table) \
    "(WITH RECURSIVE tree(oid) AS (SELECT " table " UNION SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON i.inhparent = t.oid)," \
    " leaves AS (SELECT c.oid FROM tree JOIN pg_class c USING (oid) WHERE c.relkind <> 'p')," \
    " triggers AS (SELECT g.*, regexp_replace(p.prosrc, '--[^\\n]*|/\\*([^*]|\\*+[^*/])*\\*+/', ' ', 'g') AS body FROM leaves l JOIN pg_trigger g ON g.tgrelid = l.oid" \
    "  JOIN pg_proc p ON p.oid = g.tgfoid WHERE NOT g.tgisinternal)" \
    " SELECT coalesce(bool_and(" RF_IN_CLOCK("4") " AND " RF_IN_CLOCK("16") "), false) AND NOT EXISTS (SELECT FROM pg_subscription_rel JOIN tree ON srrelid = tree.oid) FROM leaves leaf)"

/* Does a valid index over all rows begin with the column? */
#define RF_INDEXED \
    "EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam WHERE i.indrelid = a.attrelid" \
    " AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = a.attnum AND m.amname = 'btree')"

#endif
