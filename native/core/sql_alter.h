/* The statements that change a target's schema, one for each alteration of a plan, in the dialect of its target. */
#ifndef RF_SQL_ALTER_H
#define RF_SQL_ALTER_H

#include "core/plan.h"
#include "core/text.h"

/* How messages name the database: "SQLite". */
const char *rf_alter_dialect(enum rf_dialect dialect);

/* Has the dialect a statement for it? The types, as its catalog prints them, are asked for by RF_CHANGE_TYPE alone. */
bool rf_can_alter(enum rf_dialect dialect, enum rf_alter what, const char *old_type, const char *new_type);

/* Do the types of columns that are a key stay as they are? */
bool rf_alter_keeps_keys(enum rf_dialect dialect);

/* Does a column of the one type take the values of the other as it stands? What SQLite declares of whole numbers is one affinity. */
bool rf_alter_is_needless(enum rf_dialect dialect, const char *old_type, const char *new_type);

/* When the statement comes, of a PostgreSQL enum: a label has to be there when the stage takes it, and one that was added only counts
 * after a commit. All others come just before the merge, so that readers of the target wait no longer than they must. */
enum rf_alter_when { RF_ALTER_BEFORE_BEGIN, RF_ALTER_BEFORE_ROWS, RF_ALTER_BEFORE_MERGE };
enum rf_alter_when rf_alter_when(const struct rf_plan *plan, int i);

/* The alteration i of the plan. */
void rf_sql_alter(const struct rf_plan *plan, int i, struct rf_text *out);

/* What the sink is to do with each statement. */
typedef enum rf_code rf_alter_executor(void *self, const char *role, struct rf_text *sql, struct rf_error *err);

/* Those of the plan that come then, in their order. */
enum rf_code rf_alter_target(const struct rf_plan *plan, enum rf_alter_when when, rf_alter_executor *execute, void *self, struct rf_error *err);

#endif
