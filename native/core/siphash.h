/* SipHash-2-4 over whole words: a hash of 64 bits in which no input is known to be weak.
 *
 * Whoever feeds it says in the words themselves how long what they hold is. Source: Aumasson and Bernstein, "SipHash: a
 * fast short-input PRF", 2012, section 2; the key is fixed, so that a sum of hashes can be told again.
 */
#ifndef RF_SIPHASH_H
#define RF_SIPHASH_H

#include <stdint.h>

struct rf_siphash {
    uint64_t v[4];
};

static inline uint64_t rf_rotated(uint64_t word, int bits) {
    return word << bits | word >> (64 - bits);
}

static inline void rf_siphash_round(struct rf_siphash *hash) {
    uint64_t *v = hash->v;
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rf_rotated(v[1], 13) ^ v[0];
    v[3] = rf_rotated(v[3], 16) ^ v[2];
    v[0] = rf_rotated(v[0], 32);
    v[2] += v[1];
    v[0] += v[3];
    v[1] = rf_rotated(v[1], 17) ^ v[2];
    v[3] = rf_rotated(v[3], 21) ^ v[0];
    v[2] = rf_rotated(v[2], 32);
}

static inline void rf_siphash_begin(struct rf_siphash *hash, uint64_t key0, uint64_t key1) {
    hash->v[0] = key0 ^ 0x736f6d6570736575;
    hash->v[1] = key1 ^ 0x646f72616e646f6d;
    hash->v[2] = key0 ^ 0x6c7967656e657261;
    hash->v[3] = key1 ^ 0x7465646279746573;
}

static inline void rf_siphash_add(struct rf_siphash *hash, uint64_t word) {
    hash->v[3] ^= word;
    rf_siphash_round(hash);
    rf_siphash_round(hash);
    hash->v[0] ^= word;
}

static inline uint64_t rf_siphash_end(struct rf_siphash *hash) {
    hash->v[2] ^= 0xff;
    for (int i = 0; i < 4; i++) rf_siphash_round(hash);
    return hash->v[0] ^ hash->v[1] ^ hash->v[2] ^ hash->v[3];
}

#endif
