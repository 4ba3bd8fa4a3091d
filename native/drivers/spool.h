/* Rows on their way to a target that loads files: CSV as the source sends it, compressed as it comes, cut between rows into
 * files, each of which is sent by a thread of its own while the next is being written.
 *
 * Two files are there at a time: one that is written, one that is sent; a file that was sent is removed. They are readable
 * by their user only. Format: a zstd frame with a checksum (RFC 8878); a file that has another length before or after it was sent
 * than what was written into it ends the rows.
 */
#ifndef RF_SPOOL_H
#define RF_SPOOL_H

#include "core/cancel.h"
#include "core/error.h"
#include "drivers/spool_folder.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rf_spool;

struct rf_spool_file {
    char name[32]; /* "rows_0001.csv.zst", within the folder */
    int64_t n_rows;
    int64_t n_bytes; /* compressed */
};

struct rf_spool_settings {
    const struct rf_spool_folder *folder; /* outlives the spool */
    const char *prefix;                   /* of the files' names */
    int64_t file_bytes;                   /* compressed, about: a file ends with the row that reaches it */
    /* Sends one file; on a thread of the spool's, one at a time. */
    enum rf_code (*send)(void *self, const char *path, const struct rf_spool_file *file, struct rf_error *err);
    void *self;
    struct rf_cancel *cancel;
};

enum rf_code rf_spool_start(const struct rf_spool_settings *settings, struct rf_spool **out, struct rf_error *err);

/* Takes CSV, cut anywhere; waits while a file is full and the one before it is not sent yet. */
enum rf_code rf_spool_write(struct rf_spool *spool, const uint8_t *bytes, size_t n_bytes, struct rf_error *err);

/* Ends the last file and waits until it is sent. *files, shape (n_files,), is the spool's. RF_INTERNAL when the rows end inside of one. */
enum rf_code rf_spool_end(struct rf_spool *spool, const struct rf_spool_file **files, int *n_files, struct rf_error *err);

/* Waits for a file that is being sent and frees the spool. NULL is fine. */
void rf_spool_drop(struct rf_spool *spool);

#endif
