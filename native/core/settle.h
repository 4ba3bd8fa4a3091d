/* Rows without a key, of which each version is appended once: by the run in whose interval its transaction lies (rf_settles of core/plan.h).
 *
 * Which of them are new nothing but their transactions tells. So a run says which it leaves for the next, and looks, before it reads, for what
 * would make old rows look like new ones. The next load finds that in lines of their own behind those of the fingerprint.
 */
#ifndef RF_SETTLE_H
#define RF_SETTLE_H

#include "core/arena.h"
#include "core/fingerprint.h"
#include "core/plan.h"
#include "core/source.h"

#include <stdbool.h>

#define RF_NOTE_SETTLED "settled" /* this load went by intervals */
#define RF_NOTE_LEFT "left"       /* "left <oid>": of a leaf that is detached; its rows were read */
#define RF_NOTE_AGED "aged"       /* "aged <xid8>": from this transaction on a row of more than 2^31 before looks like a new one */

enum { RF_COUNTS_ON = 1 << 20 }; /* transactions, at most, that the server counts while a run looks */

bool rf_is_note(const struct rf_line *line);

/* Has the fingerprint, which may be NULL, such a note? */
bool rf_has_note(const char *fingerprint, const char *note);

/* May there be rows to hold back, or whose numbers come again? Only then they are looked at. */
bool rf_needs_survey(const struct rf_plan *plan);

/* Under the source's snapshot, before anything is read: counts->held_back, and plan->next.fingerprint with its notes. RF_CONFIG, naming why and
 * the ways out, when rows of before may look like new ones. */
enum rf_code rf_settle(struct rf_plan *plan, struct rf_source *source, struct rf_arena *arena, struct rf_counts *counts, struct rf_error *err);

#endif
