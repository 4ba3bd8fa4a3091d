/* Which files this process has open as databases.
 *
 * A lock on a file belongs to a process: a second open of the same file in one process is not refused, and closing it
 * lets go of the lock of the first. So threads queue here, on the one list that outlives a run; a child of fork() does
 * not inherit what its parent holds.
 */
#ifndef RF_FILE_REGISTRY_H
#define RF_FILE_REGISTRY_H

#include "core/error.h"

#include <stdbool.h>

struct rf_file_hold;

/* Takes the file, an absolute path, if nobody in this process has it open: *hold is NULL then. Any thread. */
enum rf_code rf_file_try(const char *path, struct rf_file_hold **hold, struct rf_error *err);
/* NULL is fine. */
void rf_file_let_go(struct rf_file_hold *hold);

#endif
