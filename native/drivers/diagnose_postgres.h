/* What a failure of PostgreSQL, or of the way to it, means to the user of a job. */
#ifndef RF_DIAGNOSE_POSTGRES_H
#define RF_DIAGNOSE_POSTGRES_H

#include "core/error.h"

enum rf_side { RF_SIDE_SOURCE, RF_SIDE_TARGET };

/* "source" or "target" */
const char *rf_pg_side_name(enum rf_side side);
/* RF_SOURCE or RF_TARGET */
enum rf_code rf_pg_side_code(enum rf_side side);

/* Fills class, retryable and, when there is one, the hint of *err by a SQLSTATE; NULL when none is known. */
void rf_pg_diagnose(enum rf_side side, const char *state, struct rf_error *err);

/* Copies libpq's text, which may have several lines and ends in a line feed, as one line. */
void rf_pg_copy_line(char *to, size_t to_size, const char *from);

#endif
