#include "core/sql_alter.h"

#include "core/snowflake_names.h"
#include "core/sql_snowflake.h"
#include "core/sql_target.h"

#include <stdlib.h>
#include <string.h>

/* How a dialect changes a column's type. */
enum typing { NO_TYPING, TYPING_USING, TYPING_PLAIN, TYPING_SET_DATA, TYPING_MODIFY };

static const struct facts {
    const char *name;
    enum typing typing;
    bool digits_only; /* a type may only get more digits before the point */
    bool drops_not_null;
    bool replaces_key;
    bool has_enums;
} FACTS[RF_DIALECTS] = {
    [RF_DIALECT_POSTGRES] = {"PostgreSQL", TYPING_USING, false, true, true, true},
    [RF_DIALECT_DUCKDB] = {"DuckDB", TYPING_PLAIN, false, true, false, true},
    [RF_DIALECT_MARIADB] = {"MariaDB", TYPING_MODIFY, false, true, true, false},
    [RF_DIALECT_SQLITE] = {"SQLite", NO_TYPING, false, false, false, false},
    [RF_DIALECT_PSQLODBC] = {"PostgreSQL", TYPING_USING, false, true, true, false},
    [RF_DIALECT_SNOWFLAKE] = {"Snowflake", TYPING_SET_DATA, true, true, false, false},
};

const char *rf_alter_dialect(enum rf_dialect dialect) {
    return FACTS[dialect].name;
}

/* "NUMBER(12,2)" → 2; -1 of any other type. docs.snowflake.com/en/sql-reference/sql/alter-table-column: a scale stays. */
static int scale_of_number(const char *type) {
    const char *comma = strncmp(type, "NUMBER(", 7) == 0 ? strchr(type, ',') : NULL;
    return comma ? atoi(comma + 1) : -1;
}

static bool gains_digits(const char *old_type, const char *new_type) {
    int scale = scale_of_number(old_type);
    return scale >= 0 && scale == scale_of_number(new_type) && atoi(new_type + strlen("NUMBER(")) >= atoi(old_type + strlen("NUMBER("));
}

bool rf_can_alter(enum rf_dialect dialect, enum rf_alter what, const char *old_type, const char *new_type) {
    const struct facts *facts = &FACTS[dialect];
    switch (what) {
    case RF_CHANGE_TYPE: return facts->typing != NO_TYPING && (!facts->digits_only || gains_digits(old_type, new_type));
    case RF_DROP_NOT_NULL: return facts->drops_not_null;
    case RF_REPLACE_KEY: return facts->replaces_key;
    case RF_ADD_LABEL:
    case RF_RENAME_LABEL: return facts->has_enums;
    case RF_ADD_COLUMN:
    case RF_DROP_COLUMN:
    case RF_RENAME_COLUMN: break;
    }
    return true;
}

bool rf_alter_keeps_keys(enum rf_dialect dialect) {
    return dialect == RF_DIALECT_DUCKDB;
}

bool rf_alter_is_needless(enum rf_dialect dialect, const char *old_type, const char *new_type) {
    return dialect == RF_DIALECT_SQLITE && strstr(old_type, "INT") && strstr(new_type, "INT");
}

enum rf_alter_when rf_alter_when(const struct rf_plan *plan, int i) {
    enum rf_alter what = plan->alterations[i].what;
    if (plan->target->dialect != RF_DIALECT_POSTGRES) return RF_ALTER_BEFORE_MERGE;
    if (what == RF_ADD_LABEL) return RF_ALTER_BEFORE_BEGIN;
    return what == RF_RENAME_LABEL ? RF_ALTER_BEFORE_ROWS : RF_ALTER_BEFORE_MERGE;
}

/* ---- the statements ---- */

static bool is_snowflake(const struct rf_plan *plan) {
    return plan->target->dialect == RF_DIALECT_SNOWFLAKE;
}

static void add_name(const struct rf_plan *plan, const char *name, struct rf_text *out) {
    if (is_snowflake(plan)) rf_snowflake_identifier(out, name);
    else rf_text_identifier(out, name);
}

static void add_table(const struct rf_plan *plan, struct rf_text *out) {
    if (is_snowflake(plan)) rf_snowflake_add_target(plan, out);
    else rf_sql_add_target(plan, out);
}

/* ALTER TABLE <table> <words> <column> */
static void add_alter(const struct rf_plan *plan, const char *words, const char *column, struct rf_text *out) {
    rf_text_add(out, "ALTER TABLE ");
    add_table(plan, out);
    rf_text_addf(out, " %s ", words);
    add_name(plan, column, out);
}

static void add_type_change(const struct rf_plan *plan, const struct rf_alteration *to, struct rf_text *out) {
    enum typing typing = FACTS[plan->target->dialect].typing;
    if (typing == TYPING_MODIFY) {
        add_alter(plan, "MODIFY COLUMN", to->column, out);
        rf_text_addf(out, " %s%s", to->type, to->not_null ? " NOT NULL" : "");
        return;
    }
    add_alter(plan, "ALTER COLUMN", to->column, out);
    rf_text_addf(out, typing == TYPING_SET_DATA ? " SET DATA TYPE %s" : " TYPE %s", to->type);
    if (typing != TYPING_USING) return;
    rf_text_add(out, " USING ");
    add_name(plan, to->column, out);
    rf_text_addf(out, "::%s", to->type);
}

static void add_not_null_drop(const struct rf_plan *plan, const struct rf_alteration *of, struct rf_text *out) {
    if (FACTS[plan->target->dialect].typing == TYPING_MODIFY) {
        add_type_change(plan, of, out);
        return;
    }
    add_alter(plan, "ALTER COLUMN", of->column, out);
    rf_text_add(out, " DROP NOT NULL");
}

static void add_label(const struct rf_alteration *added, struct rf_text *out) {
    rf_text_addf(out, "ALTER TYPE %s ADD VALUE IF NOT EXISTS ", added->type);
    rf_text_literal(out, added->to);
    if (!added->from) return;
    rf_text_add(out, " BEFORE ");
    rf_text_literal(out, added->from);
}

/* Of an enum that is only written out the values are texts meanwhile: in one transaction DuckDB alters no rows that it has updated. */
static void rename_label(const struct rf_plan *plan, const struct rf_alteration *renamed, struct rf_text *out) {
    bool named = plan->target->dialect == RF_DIALECT_POSTGRES;
    if (named) {
        rf_text_addf(out, "ALTER TYPE %s RENAME VALUE ", renamed->type);
        rf_text_literal(out, renamed->from);
        rf_text_add(out, " TO ");
        rf_text_literal(out, renamed->to);
        return;
    }
    add_alter(plan, "ALTER COLUMN", renamed->column, out);
    rf_text_add(out, " TYPE VARCHAR USING CASE ");
    add_name(plan, renamed->column, out);
    rf_text_add(out, "::VARCHAR WHEN ");
    rf_text_literal(out, renamed->from);
    rf_text_add(out, " THEN ");
    rf_text_literal(out, renamed->to);
    rf_text_add(out, " ELSE ");
    add_name(plan, renamed->column, out);
    rf_text_add(out, "::VARCHAR END");
}

static void replace_key(const struct rf_plan *plan, struct rf_text *out) {
    rf_text_add(out, "ALTER TABLE ");
    add_table(plan, out);
    if (plan->target->dialect == RF_DIALECT_MARIADB) {
        rf_text_add(out, " DROP PRIMARY KEY,");
    } else if (plan->target->key_name) {
        rf_text_add(out, " DROP CONSTRAINT ");
        rf_text_identifier(out, plan->target->key_name);
        rf_text_add(out, ",");
    }
    rf_text_add(out, " ADD PRIMARY KEY (");
    rf_sql_add_keys(plan, out);
    rf_text_add(out, ")");
}

void rf_sql_alter(const struct rf_plan *plan, int i, struct rf_text *out) {
    const struct rf_alteration *it = &plan->alterations[i];
    switch (it->what) {
    case RF_ADD_COLUMN:
        add_alter(plan, "ADD COLUMN", it->column, out);
        rf_text_addf(out, " %s", it->type);
        break;
    case RF_DROP_COLUMN: add_alter(plan, "DROP COLUMN", it->column, out); break;
    case RF_RENAME_COLUMN:
        add_alter(plan, "RENAME COLUMN", it->column, out);
        rf_text_add(out, " TO ");
        add_name(plan, it->to, out);
        break;
    case RF_CHANGE_TYPE: add_type_change(plan, it, out); break;
    case RF_DROP_NOT_NULL: add_not_null_drop(plan, it, out); break;
    case RF_ADD_LABEL: add_label(it, out); break;
    case RF_RENAME_LABEL: rename_label(plan, it, out); break;
    case RF_REPLACE_KEY: replace_key(plan, out); break;
    }
}

/* PostgreSQL alters no column that a view reads (0A000, or 2BP01 where it goes), and staging models of dbt are views. */
static enum rf_code explain(struct rf_error *err) {
    if (strcmp(err->sqlstate, "0A000") != 0 && strcmp(err->sqlstate, "2BP01") != 0) return err->code;
    err->code = RF_DRIFT;
    err->retryable = false;
    return rf_hint(err, "Something reads the column, such as a view that dbt made: drop it, run again, and let dbt make it anew.");
}

enum rf_code rf_alter_target(const struct rf_plan *plan, enum rf_alter_when when, rf_alter_executor *execute, void *self, struct rf_error *err) {
    for (int i = 0; i < plan->n_alterations; i++) {
        struct rf_text sql = {0};
        if (rf_alter_when(plan, i) != when) continue;
        rf_sql_alter(plan, i, &sql);
        if (execute(self, "alter the target table", &sql, err) != RF_OK) return explain(err);
    }
    return RF_OK;
}
