/* What two sides hold, by hashes of their rows, in memory that does not grow with them.
 *
 * All rows are counted into buckets by their keys. A bucket in which both sides count as many rows and their hashes have one sum
 * is equal. Of the others the target's rows are kept, as many buckets at a time as there is room for, and the source's are
 * held against them.
 */
#ifndef RF_TALLY_H
#define RF_TALLY_H

#include "core/error.h"
#include "core/row_hash.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rf_tally_side { RF_TALLY_SOURCE, RF_TALLY_TARGET };

/* The numbers of rf_verification. */
struct rf_tally_counts {
    int64_t equal;
    int64_t pending;
    int64_t target_only;
    int64_t different;
    int64_t missing;
};

struct rf_tally;

/* 2^bits buckets of 16 bytes; a group keeps up to 2^most_slots_bits rows less a quarter, of 17 bytes each, and at least one bucket. */
enum rf_code rf_tally_new(int bits, int most_slots_bits, struct rf_tally **out, struct rf_error *err);
void rf_tally_free(struct rf_tally *tally);

/* The target is to hold each row as often as the source, and not one of those of a key. */
void rf_tally_count_each(struct rf_tally *tally);

/* First every row of both sides, in any order. */
void rf_tally_count(struct rf_tally *tally, enum rf_tally_side side, const struct rf_row_hash *hash);

/* The sum of the source's hashes, modulo 2^64. */
uint64_t rf_tally_checksum(const struct rf_tally *tally);

/* Then groups, until *more is false; the first call says whether there is a difference at all. Rows of equal buckets are
 * counted as equal. */
enum rf_code rf_tally_next_group(struct rf_tally *tally, bool *more, struct rf_error *err);

/* Of each group all rows of the target again, then all of the source. Rows of other groups are passed over. False: the target has
 * no row of this key, and it is counted as missing, or as pending. */
void rf_tally_keep(struct rf_tally *tally, const struct rf_row_hash *hash);
bool rf_tally_meet(struct rf_tally *tally, const struct rf_row_hash *hash, bool pending);

/* Then the group's rows are counted. */
void rf_tally_end_group(struct rf_tally *tally);

/* And until the next group begins: what became of a row of the target, "different" or "target_only"; NULL: neither. */
const char *rf_tally_verdict(const struct rf_tally *tally, const struct rf_row_hash *hash);

const struct rf_tally_counts *rf_tally_counts(const struct rf_tally *tally);

#endif
