/* May the bytes of COPY BINARY be handed on unread?
 *
 * Types agree when their identities are the same text: pg_catalog types by name, types of an extension by
 * extension, version and name, enums by labels, arrays, ranges, composites by what is inside. OIDs never
 * count. The type modifier must be the same or wider by a listed rule: a receiving server rounds and cuts
 * without an error. Texts pass between encodings: both sessions speak UTF8, and so do the bytes of COPY BINARY. What
 * cannot pass is converted at the source (core/conversion.h).
 */
#ifndef RF_PASSTHROUGH_H
#define RF_PASSTHROUGH_H

#include "core/error.h"
#include "core/schema.h"

#include <stdbool.h>

enum rf_fit {
    RF_FITS,        /* the stage takes the target's own type */
    RF_FITS_WIDER,  /* the stage takes the source's type; the merge casts without loss, or fails */
    RF_FITS_NOT,
};

/* Does `to`, of the same type, hold every value of `from` by its length, digits or places? */
bool rf_typmod_fits(const struct rf_column *from, const struct rf_column *to);

enum rf_fit rf_fit_column(const struct rf_column *from, const struct rf_column *to);

/* The same for a column of a stream, whose types others chose: it also goes where the merge's cast fails on every value
 * that would change. */
enum rf_fit rf_fit_given(const struct rf_column *from, const struct rf_column *to);

/* Is money inside? */
bool rf_names_money(const char *identity);

/* RF_CONFIG when it cannot be told which characters the bytes of the database are; `side` as "source". */
enum rf_code rf_check_encoding(const struct rf_server *server, const char *side, struct rf_error *err);

/* RF_CONFIG when a database has no known encoding, or the locale that money is read by differs. */
enum rf_code rf_fit_servers(const struct rf_source_facts *source, const struct rf_target_facts *target,
                            struct rf_error *err);

#endif
