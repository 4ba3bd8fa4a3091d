/* A key as an example in a report: (1,x), as PostgreSQL prints a row. */
#ifndef RF_KEY_TEXT_H
#define RF_KEY_TEXT_H

#include "core/copy_binary.h"
#include "core/plan.h"
#include "core/text.h"
#include "core/types.h"

/* Of a row of the plan's columns. */
void rf_key_text(const struct rf_plan *plan, const struct rf_form *forms, const struct rf_field *fields, struct rf_text *out);

#endif
