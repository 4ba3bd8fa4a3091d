#include "drivers/spool.h"

#include "core/clock.h"
#include "core/csv.h"
#include "core/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* The level is that of zstd's own default, and so are two threads of it what it takes to keep up with a server. */
enum { LEVEL = 3, WORKERS = 2, SLICE_MS = 100, MOST_FILES = 9999 };

struct rf_spool {
    struct rf_spool_settings settings;
    struct rf_csv csv;
    ZSTD_CCtx *zstd;
    uint8_t *out; /* what the compressor gave, not yet written */
    int fd;       /* of the file being written; -1 for none */
    struct rf_spool_file *files; /* the last one is being written while fd is open */
    int n_files;
    int room;
    int64_t n_held; /* what the compressor took since it last gave something */
    pthread_t thread;
    bool running;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t changed;
    struct rf_spool_file handed; /* to be sent */
    bool has_file;
    bool ended;
    enum rf_code code; /* what the sending came to */
    struct rf_error error;
};

/* ---- sending ---- */

static bool path_of(const struct rf_spool *spool, const struct rf_spool_file *file, char *path, size_t size) {
    int length = snprintf(path, size, "%s/%s", spool->settings.folder->path, file->name);
    return length > 0 && (size_t)length < size;
}

/* What is on disk is what was written, or somebody else cut it. */
static enum rf_code check_size(const char *path, const struct rf_spool_file *file, struct rf_error *err) {
    struct stat facts;
    if (stat(path, &facts) != 0) return rf_fail(err, RF_INTERNAL, "the file %s, which was on its way to the target, is gone: %s", path, strerror(errno));
    if (facts.st_size == file->n_bytes) return RF_OK;
    return rf_fail(err, RF_INTERNAL, "the file %s has %" PRId64 " bytes, and %" PRId64 " were written into it", path, (int64_t)facts.st_size, file->n_bytes);
}

/* Looked at on both sides of the sending: not every reader of zstd refuses a frame whose end is gone. */
static enum rf_code send_file(const struct rf_spool *spool, const struct rf_spool_file *file, struct rf_error *err) {
    char path[RF_SPOOL_PATH_BYTES + sizeof file->name];
    if (!path_of(spool, file, path, sizeof path)) return rf_fail(err, RF_INTERNAL, "the path of a file on its way is too long");
    enum rf_code code = check_size(path, file, err);
    if (code == RF_OK) code = spool->settings.send(spool->settings.self, path, file, err);
    if (code == RF_OK) code = check_size(path, file, err);
    (void)unlink(path);
    return code;
}

static void *send_files(void *arg) {
    struct rf_spool *spool = arg;
    pthread_mutex_lock(&spool->mutex);
    for (;;) {
        while (!spool->has_file && !spool->ended) pthread_cond_wait(&spool->changed, &spool->mutex);
        if (!spool->has_file) break;
        struct rf_spool_file file = spool->handed;
        struct rf_error error = {0};
        pthread_mutex_unlock(&spool->mutex);
        enum rf_code code = send_file(spool, &file, &error);
        pthread_mutex_lock(&spool->mutex);
        spool->has_file = false;
        if (spool->code == RF_OK && code != RF_OK) {
            spool->code = code;
            spool->error = error;
        }
        pthread_cond_broadcast(&spool->changed);
    }
    pthread_mutex_unlock(&spool->mutex);
    return NULL;
}

/* A cancel is heard within a slice of time: its own condition is another one. */
static enum rf_code wait_until_sent(struct rf_spool *spool, struct rf_error *err) {
    while (spool->has_file && !rf_cancel_requested(spool->settings.cancel)) {
        struct timespec until = rf_clock_after(SLICE_MS);
        pthread_cond_timedwait(&spool->changed, &spool->mutex, &until);
    }
    if (spool->code != RF_OK) *err = spool->error;
    else if (spool->has_file) return rf_cancelled(err);
    return spool->code;
}

static enum rf_code hand_on(struct rf_spool *spool, const struct rf_spool_file *file, struct rf_error *err) {
    pthread_mutex_lock(&spool->mutex);
    enum rf_code code = wait_until_sent(spool, err);
    if (code == RF_OK && file) {
        spool->handed = *file;
        spool->has_file = true;
        pthread_cond_broadcast(&spool->changed);
    }
    pthread_mutex_unlock(&spool->mutex);
    return code;
}

/* ---- writing ---- */

static enum rf_code fail_to_write(const struct rf_spool *spool, struct rf_error *err) {
    int why = errno;
    rf_fail(err, RF_TARGET, "a file in %s cannot be written: %s", spool->settings.folder->path, strerror(why));
    err->retryable = true;
    return rf_hint(err, "Files on their way to the target need room for two of them; \"spool_dir\" names another folder.");
}

static enum rf_code write_all(struct rf_spool *spool, const uint8_t *bytes, size_t n_bytes, struct rf_error *err) {
    while (n_bytes > 0) {
        ssize_t n = write(spool->fd, bytes, n_bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_to_write(spool, err);
        bytes += n;
        n_bytes -= (size_t)n;
        spool->files[spool->n_files - 1].n_bytes += n;
        spool->n_held = 0;
    }
    return RF_OK;
}

static enum rf_code compress(struct rf_spool *spool, const uint8_t *bytes, size_t n_bytes, ZSTD_EndDirective what, struct rf_error *err) {
    ZSTD_inBuffer in = {bytes, n_bytes, 0};
    spool->n_held += (int64_t)n_bytes;
    for (;;) {
        ZSTD_outBuffer out = {spool->out, ZSTD_CStreamOutSize(), 0};
        size_t left = ZSTD_compressStream2(spool->zstd, &out, &in, what);
        if (ZSTD_isError(left)) return rf_fail(err, RF_INTERNAL, "rows cannot be compressed: %s", ZSTD_getErrorName(left));
        RF_TRY(write_all(spool, spool->out, out.pos, err));
        if (what == ZSTD_e_end ? left == 0 : in.pos == in.size) return RF_OK;
    }
}

static enum rf_code make_room(struct rf_spool *spool, struct rf_error *err) {
    if (spool->n_files < spool->room) return RF_OK;
    int room = spool->room ? 2 * spool->room : 16;
    struct rf_spool_file *files = realloc(spool->files, (size_t)room * sizeof *files);
    if (!files) return rf_no_memory(err);
    spool->files = files;
    spool->room = room;
    return RF_OK;
}

static enum rf_code begin_file(struct rf_spool *spool, struct rf_error *err) {
    RF_TRY(make_room(spool, err));
    if (spool->n_files == MOST_FILES) return rf_fail(err, RF_CONFIG, "the rows would take more than %d files; raise \"spool_file_bytes\"", MOST_FILES);
    struct rf_spool_file *file = &spool->files[spool->n_files];
    *file = (struct rf_spool_file){0};
    snprintf(file->name, sizeof file->name, "%s_%04d.csv.zst", spool->settings.prefix, spool->n_files + 1);
    spool->fd = openat(spool->settings.folder->lock, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (spool->fd < 0) return fail_to_write(spool, err);
    spool->n_files++;
    return RF_OK;
}

static enum rf_code end_file(struct rf_spool *spool, struct rf_error *err) {
    RF_TRY(compress(spool, NULL, 0, ZSTD_e_end, err));
    int failed = close(spool->fd);
    spool->fd = -1;
    if (failed) return fail_to_write(spool, err);
    return hand_on(spool, &spool->files[spool->n_files - 1], err);
}

/* What the compressor holds, some megabytes, counts as a quarter of itself. */
static bool is_full(const struct rf_spool *spool) {
    enum { USUAL_RATIO = 4 };
    return spool->files[spool->n_files - 1].n_bytes + spool->n_held / USUAL_RATIO >= spool->settings.file_bytes;
}

enum rf_code rf_spool_write(struct rf_spool *spool, const uint8_t *bytes, size_t n_bytes, struct rf_error *err) {
    int64_t n_rows = 0;
    size_t rows_end = rf_csv_scan(&spool->csv, bytes, n_bytes, &n_rows);
    if (n_bytes > 0 && spool->fd < 0) RF_TRY(begin_file(spool, err));
    RF_TRY(compress(spool, bytes, rows_end, ZSTD_e_continue, err));
    if (n_rows > 0) spool->files[spool->n_files - 1].n_rows += n_rows;
    if (rows_end > 0 && is_full(spool)) RF_TRY(end_file(spool, err));
    if (rows_end == n_bytes) return RF_OK;
    if (spool->fd < 0) RF_TRY(begin_file(spool, err));
    return compress(spool, bytes + rows_end, n_bytes - rows_end, ZSTD_e_continue, err);
}

enum rf_code rf_spool_end(struct rf_spool *spool, const struct rf_spool_file **files, int *n_files, struct rf_error *err) {
    if (!rf_csv_is_whole(&spool->csv)) return rf_fail(err, RF_INTERNAL, "the source's rows end inside of one");
    if (spool->fd >= 0) RF_TRY(end_file(spool, err));
    RF_TRY(hand_on(spool, NULL, err));
    *files = spool->files;
    *n_files = spool->n_files;
    return RF_OK;
}

/* ---- life ---- */

static enum rf_code set_up(struct rf_spool *spool, struct rf_error *err) {
    spool->zstd = ZSTD_createCCtx();
    spool->out = malloc(ZSTD_CStreamOutSize());
    if (!spool->zstd || !spool->out) return rf_no_memory(err);
    ZSTD_CCtx_setParameter(spool->zstd, ZSTD_c_compressionLevel, LEVEL);
    ZSTD_CCtx_setParameter(spool->zstd, ZSTD_c_checksumFlag, 1);
    ZSTD_CCtx_setParameter(spool->zstd, ZSTD_c_nbWorkers, WORKERS); /* a library without threads takes none, and works on ours */
    if (rf_thread_start(send_files, spool, &spool->thread) != 0) return rf_no_memory(err);
    spool->running = true;
    return RF_OK;
}

enum rf_code rf_spool_start(const struct rf_spool_settings *settings, struct rf_spool **out, struct rf_error *err) {
    struct rf_spool *spool = calloc(1, sizeof *spool);
    if (!spool) return rf_no_memory(err);
    spool->settings = *settings;
    spool->fd = -1;
    pthread_mutex_init(&spool->mutex, NULL);
    rf_clock_condition(&spool->changed);
    *out = spool;
    enum rf_code code = set_up(spool, err);
    if (code == RF_OK) return RF_OK;
    rf_spool_drop(spool);
    *out = NULL;
    return code;
}

static void stop(struct rf_spool *spool) {
    pthread_mutex_lock(&spool->mutex);
    spool->ended = true;
    pthread_cond_broadcast(&spool->changed);
    pthread_mutex_unlock(&spool->mutex);
    pthread_join(spool->thread, NULL);
}

void rf_spool_drop(struct rf_spool *spool) {
    if (!spool) return;
    if (spool->running) stop(spool);
    if (spool->fd >= 0) close(spool->fd);
    ZSTD_freeCCtx(spool->zstd);
    pthread_cond_destroy(&spool->changed);
    pthread_mutex_destroy(&spool->mutex);
    free(spool->files);
    free(spool->out);
    free(spool);
}
