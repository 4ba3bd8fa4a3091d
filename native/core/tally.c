#include "core/tally.h"

#include <stdlib.h>
#include <string.h>

struct bucket {
    uint64_t sum; /* of the source's hashes, less the target's; modulo 2^64 */
    uint32_t rows[2];
};

/* What was found out about a row of the target. One that equals a source row of its key is equal, whatever others there are. */
enum { KEPT = 1, MET = 2, EQUAL = 4, PENDING = 8 };

struct rf_tally {
    int bits;
    size_t n_buckets;
    struct bucket *buckets;
    uint64_t checksum;
    bool counted; /* the equal buckets */
    bool counts_each;
    size_t from;  /* the group's buckets; `until` is not in it */
    size_t until;
    size_t most_slots;
    size_t n_slots; /* a power of two */
    size_t room;
    struct rf_row_hash *slots;
    uint8_t *states; /* 0: the slot is empty */
    struct rf_tally_counts counts;
};

enum rf_code rf_tally_new(int bits, int most_slots_bits, struct rf_tally **out, struct rf_error *err) {
    struct rf_tally *tally = calloc(1, sizeof *tally);
    *out = tally;
    if (!tally) return rf_no_memory(err);
    tally->bits = bits;
    tally->n_buckets = (size_t)1 << bits;
    tally->most_slots = (size_t)1 << most_slots_bits;
    tally->buckets = calloc(tally->n_buckets, sizeof *tally->buckets);
    return tally->buckets ? RF_OK : rf_no_memory(err);
}

void rf_tally_free(struct rf_tally *tally) {
    if (!tally) return;
    free(tally->buckets);
    free(tally->slots);
    free(tally->states);
    free(tally);
}

/* ---- buckets ---- */

/* The highest bits; the lowest are for the slots. */
static size_t bucket_of(const struct rf_tally *tally, const struct rf_row_hash *hash) {
    return (size_t)(hash->key >> (64 - tally->bits));
}

static bool is_equal(const struct bucket *bucket) {
    return bucket->sum == 0 && bucket->rows[RF_TALLY_SOURCE] == bucket->rows[RF_TALLY_TARGET];
}

void rf_tally_count_each(struct rf_tally *tally) {
    tally->counts_each = true;
}

void rf_tally_count(struct rf_tally *tally, enum rf_tally_side side, const struct rf_row_hash *hash) {
    struct bucket *bucket = &tally->buckets[bucket_of(tally, hash)];
    bucket->rows[side]++;
    if (side == RF_TALLY_TARGET) {
        bucket->sum -= hash->row;
        return;
    }
    bucket->sum += hash->row;
    tally->checksum += hash->row;
}

uint64_t rf_tally_checksum(const struct rf_tally *tally) {
    return tally->checksum;
}

static void count_equal_buckets(struct rf_tally *tally) {
    for (size_t i = 0; i < tally->n_buckets; i++)
        if (is_equal(&tally->buckets[i])) tally->counts.equal += tally->buckets[i].rows[RF_TALLY_SOURCE];
    tally->counted = true;
}

/* ---- groups ---- */

static size_t room_of(size_t n_slots) {
    return n_slots - n_slots / 4;
}

/* Takes buckets from `from` on while their rows fit, one in any case; returns how many rows. */
static size_t choose_buckets(struct rf_tally *tally) {
    size_t n = 0, most = room_of(tally->most_slots);
    for (; tally->until < tally->n_buckets; tally->until++) {
        const struct bucket *bucket = &tally->buckets[tally->until];
        size_t more = is_equal(bucket) ? 0 : bucket->rows[RF_TALLY_TARGET];
        if (n > 0 && n + more > most) break;
        n += more;
    }
    return n;
}

static enum rf_code make_slots(struct rf_tally *tally, size_t n_rows, struct rf_error *err) {
    enum { FEWEST = 16 };
    tally->n_slots = FEWEST;
    while (room_of(tally->n_slots) < n_rows) tally->n_slots *= 2;
    free(tally->slots);
    free(tally->states);
    tally->slots = malloc(tally->n_slots * sizeof *tally->slots);
    tally->states = calloc(tally->n_slots, 1);
    tally->room = room_of(tally->n_slots);
    return tally->slots && tally->states ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_tally_next_group(struct rf_tally *tally, bool *more, struct rf_error *err) {
    if (!tally->counted) count_equal_buckets(tally);
    tally->from = tally->until;
    while (tally->from < tally->n_buckets && is_equal(&tally->buckets[tally->from])) tally->from++;
    tally->until = tally->from;
    *more = tally->from < tally->n_buckets;
    return *more ? make_slots(tally, choose_buckets(tally), err) : RF_OK;
}

static bool is_in_group(const struct rf_tally *tally, const struct rf_row_hash *hash) {
    size_t at = bucket_of(tally, hash);
    return at >= tally->from && at < tally->until && !is_equal(&tally->buckets[at]);
}

/* The first slot of this key at or behind `at`, or the empty one where the search ends. */
static size_t find_slot(const struct rf_tally *tally, uint64_t key, size_t at) {
    size_t mask = tally->n_slots - 1;
    for (at &= mask; tally->states[at] && tally->slots[at].key != key;) at = (at + 1) & mask;
    return at;
}

/* A side that gives more rows than it did when they were counted is not under one snapshot; the last are then taken as missing. */
void rf_tally_keep(struct rf_tally *tally, const struct rf_row_hash *hash) {
    if (tally->room == 0 || !is_in_group(tally, hash)) return;
    size_t at = (size_t)hash->key, mask = tally->n_slots - 1;
    for (at &= mask; tally->states[at];) at = (at + 1) & mask;
    tally->slots[at] = *hash;
    tally->states[at] = KEPT;
    tally->room--;
}

bool rf_tally_meet(struct rf_tally *tally, const struct rf_row_hash *hash, bool pending) {
    if (!is_in_group(tally, hash)) return true;
    bool met = false, is_equal = false; /* to one row of the target: another one of the same is not the source's */
    for (size_t at = find_slot(tally, hash->key, (size_t)hash->key); tally->states[at]; at = find_slot(tally, hash->key, at + 1)) {
        met = true;
        tally->states[at] |= MET;
        bool takes = !is_equal && tally->slots[at].row == hash->row && !(tally->states[at] & EQUAL);
        if (takes) tally->states[at] |= EQUAL;
        else if (pending) tally->states[at] |= PENDING;
        is_equal |= takes;
    }
    if (tally->counts_each) met = is_equal;
    if (!met && pending) tally->counts.pending++;
    if (!met && !pending) tally->counts.missing++;
    return met || pending;
}

static const char *verdict(uint8_t state) {
    if (state & (EQUAL | PENDING)) return NULL;
    return state & MET ? "different" : "target_only";
}

void rf_tally_end_group(struct rf_tally *tally) {
    struct rf_tally_counts *counts = &tally->counts;
    for (size_t at = 0; at < tally->n_slots; at++) {
        uint8_t state = tally->states[at];
        if (!state) continue;
        counts->equal += (state & EQUAL) != 0;
        counts->pending += (state & (EQUAL | PENDING)) == PENDING;
        counts->different += (state & (MET | EQUAL | PENDING)) == MET;
        counts->target_only += (state & MET) == 0;
    }
}

const char *rf_tally_verdict(const struct rf_tally *tally, const struct rf_row_hash *hash) {
    if (!is_in_group(tally, hash)) return NULL;
    size_t at = find_slot(tally, hash->key, (size_t)hash->key);
    while (tally->states[at] && (tally->slots[at].row != hash->row || !verdict(tally->states[at]))) at = find_slot(tally, hash->key, at + 1);
    return tally->states[at] ? verdict(tally->states[at]) : NULL;
}

const struct rf_tally_counts *rf_tally_counts(const struct rf_tally *tally) {
    return &tally->counts;
}
