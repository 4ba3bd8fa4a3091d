/* Writes public.orders into the files that Snowflake is sent, and drops each: `make_files URI`. What is left out is the sending. */
#include "drivers/postgres.h"
#include "drivers/spool.h"

#include <stdio.h>

enum { BATCH_BYTES = 1 << 20, FILE_BYTES = 160 << 20 };

static enum rf_code drop(void *self, const char *path, const struct rf_spool_file *file, struct rf_error *err) {
    (void)self;
    (void)path;
    (void)err;
    printf("%s: %lld rows, %lld bytes\n", file->name, (long long)file->n_rows, (long long)file->n_bytes);
    return RF_OK;
}

static enum rf_code carry(struct rf_pg *pg, struct rf_spool *spool, struct rf_error *err) {
    const struct rf_spool_file *files;
    int n_files;
    RF_TRY(rf_pg_copy_out(pg, "COPY public.orders TO STDOUT (FORMAT csv)", BATCH_BYTES, err));
    for (struct rf_batch batch = {.n_bytes = 1}; batch.n_bytes > 0;) {
        RF_TRY(rf_pg_copy_next(pg, &batch, err));
        RF_TRY(rf_spool_write(spool, batch.bytes, batch.n_bytes, err));
    }
    return rf_spool_end(spool, &files, &n_files, err);
}

static enum rf_code make_files(const char *uri, struct rf_cancel *cancel, struct rf_error *err) {
    struct rf_pg pg = {0};
    struct rf_spool_folder folder;
    struct rf_spool *spool = NULL;
    RF_TRY(rf_spool_folder_make(NULL, &folder, err));
    const struct rf_spool_settings settings = {.folder = &folder, .prefix = "rows", .file_bytes = FILE_BYTES, .send = drop, .cancel = cancel};
    enum rf_code code = rf_pg_open(&pg, RF_SIDE_SOURCE, uri, "bench", 10, cancel, err);
    if (code == RF_OK) code = rf_spool_start(&settings, &spool, err);
    if (code == RF_OK) code = carry(&pg, spool, err);
    rf_spool_drop(spool);
    rf_pg_close(&pg);
    rf_spool_folder_remove(&folder);
    return code;
}

int main(int argc, char **argv) {
    struct rf_error err = {0};
    struct rf_cancel *cancel = rf_cancel_new();
    enum rf_code code = argc == 2 && cancel ? make_files(argv[1], cancel, &err) : rf_fail(&err, RF_CONFIG, "make_files URI");
    rf_cancel_release(cancel);
    if (code != RF_OK) fprintf(stderr, "%s\n", err.message);
    return code != RF_OK;
}
