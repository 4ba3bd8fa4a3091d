/* Which transactions are open at a source, and since when: what a cursor's watermark may not pass. */
#ifndef RF_OPEN_TRANSACTIONS_POSTGRES_H
#define RF_OPEN_TRANSACTIONS_POSTGRES_H

#include "core/arena.h"
#include "core/schema.h"
#include "drivers/postgres.h"

/* Lists what is open, outside a transaction and before the snapshot is taken. While something that was open at the
 * first listing still is, lists again, for up to wait_seconds. Texts live in `arena`. */
enum rf_code rf_pg_list_open_transactions(struct rf_pg *pg, double wait_seconds, struct rf_arena *arena,
                                          struct rf_open_transactions_facts *open, struct rf_error *err);

#endif
