/* A table that was loaded before, as catalogs and load record would tell it; a test changes what it is about.
 *
 * public.orders (id int8 key, amount numeric(12,4), note text) on one heap goes to raw_postgres.orders, whose
 * newest load, 7, was read at snapshot 1000:1000:.
 */
#ifndef FACTS_H
#define FACTS_H

#include "core/plan.h"

enum { MOST_COLUMNS = 40, MOST_CURSORS = 4 };

/* The table's lines of a fingerprint: each a fact whose change row versions do not show. */
#define DATABASE_LINE "database 5\n"
#define LEAF_LINE "leaf 16384 5001 heap orders\n"
#define COLUMN_LINES "column 1 id bigint collation 0\ncolumn 2 amount numeric(12,4) collation 0\n" NOTE_LINE
#define NOTE_LINE "column 3 note text collation 100\n"
#define POLICY_LINE "row security off\n"
#define FINGERPRINT DATABASE_LINE LEAF_LINE COLUMN_LINES POLICY_LINE

struct facts {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_source_facts source;
    struct rf_target_facts target;
    struct rf_load last;
    struct rf_plan plan;
    struct rf_error err;
    struct rf_column source_columns[MOST_COLUMNS];
    struct rf_column target_columns[MOST_COLUMNS];
    struct rf_cursor_column cursor[MOST_CURSORS];
    int keys[MOST_COLUMNS];
};

/* `more` is JSON after the required keys: ",\"where\":\"paid\"", or "". To be undone with drop_facts. */
void make_facts(struct facts *facts, const char *more);
void drop_facts(struct facts *facts);

/* As if the table had never been loaded. */
void never_loaded(struct facts *facts);

/* As if a key could repeat in a batch. */
void without_proven_key(struct facts *facts);

/* As if a stream brought the rows; the target's clock says 18:00. */
void with_stream(struct facts *facts);

/* As if it was captured by cursor, which bounds what it may miss: created_at and updated_at, always there, indexed and
 * set by the clock. Row versions were last compared at 1000:1000:, the newest load was at 1100:1100: and left the
 * watermark 17:00. Nothing was open when transactions were listed, at 18:00. */
void with_cursor(struct facts *facts);

/* Microseconds since 1970 of a time of that day: "17:59:00.000000". */
int64_t at(const char *time);

/* Adds a column to one side; the identity is the base type's name. */
struct rf_column *add_source_column(struct facts *facts, const char *name, const char *type, const char *base, int32_t typmod);
struct rf_column *add_target_column(struct facts *facts, const char *name, const char *type, const char *base, int32_t typmod);

/* Plans load 8 of the facts. */
enum rf_code plan(struct facts *facts);

/* True when one of the plan's reasons contains `part`. */
bool has_reason(const struct facts *facts, const char *part);

#endif
