/* HMAC-SHA-256 by OpenSSL's libcrypto, on which libpq depends already, opened when a job asks for a hash and not before.
 *
 * Source: docs.openssl.org/3.0/man3/HMAC/. The key stays in the memory of the arena and goes nowhere else.
 */
#ifndef RF_HASHER_H
#define RF_HASHER_H

#include "core/arena.h"
#include "core/error.h"
#include "core/hash_rows.h"
#include "core/job.h"

/* A hasher under the key that the job's environment variable holds; in `arena`. RF_CONFIG when there is no key, it is short, or
 * the library is missing. */
enum rf_code rf_hasher_open(const struct rf_job *job, struct rf_arena *arena, const struct rf_hasher **out, struct rf_error *err);

#endif
