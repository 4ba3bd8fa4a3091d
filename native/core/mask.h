/* Masked columns: what leaves the source in their place.
 *
 * drop, redact and truncate are done by the source's own SELECT, so that the value never leaves the server; of a stream they are
 * done to its rows (core/cast_rows.h). Of a hash the source sends the value's text, and the core sends its HMAC-SHA-256 on
 * (core/hash_rows.h). A masked column is a column like any other to everything that comes after: its facts say what arrives.
 */
#ifndef RF_MASK_H
#define RF_MASK_H

#include "core/error.h"
#include "core/hash_rows.h"
#include "core/job.h"
#include "core/schema.h"
#include "core/text.h"

/* Reads "drop", "redact", "truncate:N" or "hash" into *mask. False when it is none of them. */
bool rf_mask_read(const char *word, struct rf_mask *mask);

/* Writes it as a job does. */
void rf_mask_write(const struct rf_mask *mask, struct rf_text *out);

/* The mask of the column; NULL when it has none. */
const struct rf_mask *rf_mask_of(const struct rf_job *job, const char *column);

/* Does the job ask for a hash? */
bool rf_job_hashes(const struct rf_job *job);

/* Masks the selected columns of the facts: leaves those out that are dropped, and sets what the others are sent as. Texts go into
 * `arena`. RF_CONFIG names a masked column that is not read. */
enum rf_code rf_mask_columns(const struct rf_job *job, struct rf_source_facts *facts, struct rf_arena *arena, struct rf_error *err);

/* Of a column as it is sent: does the mask leave no value but NULL? */
bool rf_mask_leaves_null(const struct rf_mask *mask, const struct rf_column *sent);

/* RF_CONFIG when the key column is masked by anything but a hash, which keeps rows apart. */
enum rf_code rf_mask_check_key(const struct rf_job *job, const char *column, struct rf_error *err);

/* Adds what the column's line of a fingerprint begins with. */
void rf_mask_begin_line(const char *column, struct rf_text *out);

/* Adds a line per mask to a fingerprint. Those of hashes hold a check value of the key, by which another key is seen and
 * from which none can be found. `hasher` may be NULL where nothing is hashed. */
enum rf_code rf_mask_fingerprint(const struct rf_job *job, const struct rf_hasher *hasher, struct rf_text *out, struct rf_error *err);

#endif
