/* What sinks have in common whose rows are decoded and go by the table of types (core/types.h): the target as plain facts,
 * the fields of a row as it is sent, a load record as it is read. Texts borrow from the arena or the result. */
#ifndef RF_TARGET_H
#define RF_TARGET_H

#include "core/columns.h"
#include "core/plan.h"
#include "core/report.h"
#include "core/sink.h"
#include "drivers/result.h"

/* Decides as what each column of the source is sent, and sets its arrives_as to the type of the target. */
enum rf_code rf_target_types(const struct rf_job *job, struct rf_source_facts *source, const struct rf_target_facts *there,
                             struct rf_arena *arena, struct rf_columns_field **fields, struct rf_error *err);

/* Of a table that is still to be made. */
enum rf_code rf_target_twins(const struct rf_source_facts *source, struct rf_arena *arena, struct rf_target_facts *facts, struct rf_error *err);

/* Of one that is there: a row per column of name, type, may not be NULL, and, if there is a fourth, is computed. */
enum rf_code rf_target_columns(const struct rf_result *rows, struct rf_arena *arena, struct rf_target_facts *facts, struct rf_error *err);

/* What a database says of its version as PostgreSQL numbers its own: "10.11.19-MariaDB" is 101119, "v2.0.1" 20001; 0 when it is none. */
int rf_target_version(const char *said);

/* A column of a stream that has neither a value nor a type takes the type of the column that is there. */
void rf_target_take_nulls(struct rf_source_facts *source, const struct rf_target_facts *facts);

/* The columns of the target's key: the job's, and the load's number where versions are kept. */
bool rf_target_is_of_key(const struct rf_job *job, const struct rf_source_facts *source, const char *name);
int rf_target_key_columns(const struct rf_job *job, const struct rf_source_facts *source);

/* Is one of the unique keys, of which each column is a row of (key, column), that of the job, and none of its columns NULL? */
bool rf_target_has_key(const struct rf_job *job, const struct rf_result *rows, const struct rf_source_facts *source, const struct rf_target_facts *facts);

/* The fields of a row in the order in which the source sends them (rf_sql_read), made from those of its columns; of a key
 * (rf_sql_read_keys). In `arena`. */
enum rf_code rf_target_row_fields(const struct rf_plan *plan, const struct rf_columns_field *columns, struct rf_arena *arena,
                                  struct rf_columns_field **out, int *n, struct rf_error *err);
enum rf_code rf_target_key_fields(const struct rf_plan *plan, const struct rf_columns_field *columns, struct rf_arena *arena,
                                  struct rf_columns_field **out, int *n, struct rf_error *err);

/* For comparing: what the source sends of each column, and what the target gives of it when it prints all but texts, bytes and,
 * with `has_doubles`, floats. In `arena`. */
enum rf_code rf_target_compared(const struct rf_plan *plan, const struct rf_columns_field *columns, bool has_doubles, struct rf_arena *arena,
                                struct rf_compared *compared, struct rf_error *err);

/* From what rf_sql_newest_load, or its like of a dialect, gives; none when there is no row. */
void rf_target_fill_load(const struct rf_result *rows, struct rf_load *load);
void rf_target_fill_total(const struct rf_result *rows, struct rf_run_total *total);

#endif
