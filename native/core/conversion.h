/* As what a column is carried between PostgreSQL servers where its bytes cannot pass (core/passthrough.h).
 *
 * The source casts it: to its text, or money to its number; a new table gets a column of that type. A table that is
 * there decides by its own columns: a text takes what only a text can carry, and no value is turned back.
 */
#ifndef RF_CONVERSION_H
#define RF_CONVERSION_H

#include "core/error.h"
#include "core/job.h"
#include "core/schema.h"

#include <stdbool.h>

/* Sets `cast` and `cast_reason` of the source's columns, and the types of a table that is still to be made. RF_CONFIG when
 * "as_text" of the job cannot be followed. */
enum rf_code rf_convert_columns(const struct rf_job *job, struct rf_source_facts *source, struct rf_target_facts *target, struct rf_error *err);

/* The type that the cast of `from` gives, as DDL writes it. */
const char *rf_conversion_type(const struct rf_column *from);

/* Is `to` of just that type, as far as it holds all values? */
bool rf_conversion_fits(const struct rf_column *from, const struct rf_column *to);

#endif
