/* What a text of JSON says, as a number of 64 bits.
 *
 * Two texts have one hash when they say the same: blanks, the order of an object's members and escapes in strings do not count, nor
 * do zeros behind a point, or how a number is written (1e2 and 100). A number of more than 38 digits counts as the
 * double nearest to it, which is what Snowflake keeps of one (docs.snowflake.com/en/sql-reference/data-types-semistructured).
 */
#ifndef RF_JSON_HASH_H
#define RF_JSON_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* False when the text is no JSON, or nested more than 1,000 deep. */
bool rf_hash_json(const char *text, size_t n_bytes, uint64_t *hash);

#endif
