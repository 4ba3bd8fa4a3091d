/* A private folder for files on their way, which is gone with the run that made it.
 *
 * Its name carries when and by which process it was made; a lock on it (flock) says that its process is alive, in whatever
 * container that is: of a run that died the lock is free, and the next run on that machine removes what it left.
 */
#ifndef RF_SPOOL_FOLDER_H
#define RF_SPOOL_FOLDER_H

#include "core/error.h"

#include <stdbool.h>

enum { RF_SPOOL_PATH_BYTES = 1024 };

struct rf_spool_folder {
    char path[RF_SPOOL_PATH_BYTES]; /* "" when there is none */
    int lock;                       /* the folder, opened and locked */
};

/* Removes what dead runs of the same user left in `parent`, and makes a folder there, 0700. `parent` NULL: TMPDIR, else /tmp.
 * RF_CONFIG when no folder can be made there. */
enum rf_code rf_spool_folder_make(const char *parent, struct rf_spool_folder *folder, struct rf_error *err);

/* Removes it with the files in it; may be called twice, also when none was made but the memory is zeroed. */
void rf_spool_folder_remove(struct rf_spool_folder *folder);

#endif
