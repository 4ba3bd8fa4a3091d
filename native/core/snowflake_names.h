/* Names as Snowflake folds them: one that needs no quotes is the same in capitals and in small letters, and stands in its
 * catalogs in capitals. So a plain name of PostgreSQL's, orders, is ORDERS there, and any other is kept as it is.
 *
 * Source: docs.snowflake.com/en/sql-reference/identifiers-syntax, "Unquoted identifiers".
 */
#ifndef RF_SNOWFLAKE_NAMES_H
#define RF_SNOWFLAKE_NAMES_H

#include "core/text.h"

#include <stdbool.h>

/* The name as it stands in Snowflake's catalogs, quoted: orders → "ORDERS", "Order no" → "Order no". */
void rf_snowflake_identifier(struct rf_text *text, const char *name);

/* The same as a text to compare with what the catalogs hold: 'ORDERS'. */
void rf_snowflake_name_literal(struct rf_text *text, const char *name);

/* Do both stand for the same name there? */
bool rf_snowflake_same(const char *a, const char *b);

/* Is it what the catalogs have as this name? */
bool rf_snowflake_is(const char *name, const char *in_catalog);

/* Turns what needs no quotes, ORDERS, into small letters, in place: the one form by which a job names it. */
void rf_snowflake_unfold(char *name);

#endif
