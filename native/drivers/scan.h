/* The rows of a query behind ADBC as COPY BINARY, while they are read: for comparing, so whatever the database holds is given. */
#ifndef RF_SCAN_H
#define RF_SCAN_H

#include "core/batch.h"
#include "core/error.h"
#include "core/text.h"
#include "core/types.h"
#include "drivers/adbc.h"

#include <stddef.h>

struct rf_scan;

/* Sends the query, and frees its text. Until the drop nothing else may be executed in the session. */
enum rf_code rf_scan_start(struct rf_adbc *adbc, const char *role, struct rf_text *sql, size_t batch_bytes, struct rf_scan **out, struct rf_error *err);

/* What the bytes of the columns are, shape (n_columns,); RF_INTERNAL when it has another number of them. */
enum rf_code rf_scan_forms(const struct rf_scan *scan, int n_columns, struct rf_form *forms, struct rf_error *err);

/* About batch_bytes of whole rows, borrowed until the next call; n_bytes is 0 at the end, which drops the scan. NULL has no rows. */
enum rf_code rf_scan_next(struct rf_scan **scan, struct rf_batch *batch, struct rf_error *err);

/* Leaves NULL behind, which is fine. */
void rf_scan_drop(struct rf_scan **scan);

#endif
