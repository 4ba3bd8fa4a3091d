/* Rows into compressed files, of which one is sent while the next is written; on real files. */
#include "drivers/spool.h"

#include "units.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zstd.h>

enum { BYTES = 1 << 20 };

/* What arrives, and how the one who takes it behaves. */
struct taker {
    struct rf_spool_folder folder;
    char got[BYTES];
    size_t n_got;
    int n_files;
    int64_t n_rows;
    mode_t mode;
    const char *wait_for; /* a file that has to be there before the first is taken */
    const char *unlinked; /* one that somebody removes then */
    bool cuts;              /* the end of each file, once it has read it */
    const char *lengthened; /* or makes as long as BYTES */
    char *packed;           /* where the last file is kept as it came; NULL: nowhere */
    size_t n_packed;
    int fail_at;          /* the file that is refused; 0 for none */
    struct rf_cancel *cancel;
    bool cancels; /* and waits until it was heard */
    _Atomic bool heard;
};

static bool comes(const struct rf_spool_folder *folder, const char *name) {
    for (int tries = 0; tries < 5000; tries++) {
        if (faccessat(folder->lock, name, F_OK, 0) == 0) return true;
        usleep(1000);
    }
    return false;
}

static enum rf_code take(void *self, const char *path, const struct rf_spool_file *file, struct rf_error *err) {
    struct taker *taker = self;
    static char packed[BYTES];
    struct stat facts;
    taker->n_files++;
    if (taker->fail_at == taker->n_files) return rf_fail(err, RF_AUTH, "no right to put %s", file->name);
    if (taker->wait_for && taker->n_files == 1 && !comes(&taker->folder, taker->wait_for)) return rf_fail(err, RF_INTERNAL, "nothing was written meanwhile");
    if (taker->unlinked && taker->n_files == 1) unlinkat(taker->folder.lock, taker->unlinked, 0);
    if (taker->lengthened && taker->n_files == 1) {
        int other = openat(taker->folder.lock, taker->lengthened, O_WRONLY);
        if (other < 0 || ftruncate(other, BYTES) != 0 || close(other) != 0) return rf_fail(err, RF_INTERNAL, "it cannot be made longer");
    }
    if (taker->cancels) {
        rf_cancel_request(taker->cancel);
        while (!taker->heard) usleep(1000);
    }
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &facts) != 0) return rf_fail(err, RF_INTERNAL, "no file");
    taker->mode = facts.st_mode & 0777;
    ssize_t n = read(fd, packed, sizeof packed);
    close(fd);
    if (taker->cuts && truncate(path, n - 1) != 0) return rf_fail(err, RF_INTERNAL, "it cannot be cut");
    if (taker->packed && n > 0) memcpy(taker->packed, packed, taker->n_packed = (size_t)n);
    size_t n_bytes = ZSTD_decompress(taker->got + taker->n_got, BYTES - taker->n_got, packed, (size_t)n);
    if (ZSTD_isError(n_bytes) || n != file->n_bytes) return rf_fail(err, RF_INTERNAL, "torn");
    taker->n_got += n_bytes;
    taker->n_rows += file->n_rows;
    if (n_bytes == 0 || taker->got[taker->n_got - 1] != '\n') return rf_fail(err, RF_INTERNAL, "not cut behind a row");
    return RF_OK;
}

struct spooling {
    struct taker taker;
    struct rf_spool *spool;
    struct rf_error err;
};

static struct spooling *start(int64_t file_bytes) {
    static struct spooling spooling;
    memset(&spooling, 0, sizeof spooling);
    assert_code(rf_spool_folder_make(NULL, &spooling.taker.folder, &spooling.err), RF_OK, &spooling.err);
    spooling.taker.cancel = rf_cancel_new();
    struct rf_spool_settings settings = {.folder = &spooling.taker.folder, .prefix = "rows", .file_bytes = file_bytes, .send = take,
                                         .self = &spooling.taker, .cancel = spooling.taker.cancel};
    enum rf_code code = spooling.taker.cancel ? rf_spool_start(&settings, &spooling.spool, &spooling.err) : rf_no_memory(&spooling.err);
    if (code != RF_OK) rf_spool_folder_remove(&spooling.taker.folder);
    if (code != RF_OK) rf_cancel_release(spooling.taker.cancel);
    needed(code == RF_OK ? spooling.spool : NULL);
    return &spooling;
}

static void end(struct spooling *spooling) {
    rf_spool_drop(spooling->spool);
    rf_spool_folder_remove(&spooling->taker.folder);
    rf_cancel_release(spooling->taker.cancel);
}

/* Rows of which nothing repeats, each with a line feed in quotes: about as long compressed as they are. */
static size_t make_rows(char *text, int n_rows) {
    size_t length = 0;
    uint64_t noise = 88172645463325252u;
    for (int i = 0; i < n_rows; i++) {
        length += (size_t)sprintf(text + length, "%d,\"", i);
        for (int j = 0; j < 100; j++) {
            noise ^= noise << 13, noise ^= noise >> 7, noise ^= noise << 17;
            text[length++] = (char)('#' + noise % 90);
        }
        length += (size_t)sprintf(text + length, "\n\"\n");
    }
    return length;
}

static enum rf_code write_in_pieces(struct spooling *spooling, const char *text, size_t length, size_t piece) {
    for (size_t at = 0; at < length; at += piece)
        RF_TRY(rf_spool_write(spooling->spool, (const uint8_t *)text + at, length - at < piece ? length - at : piece, &spooling->err));
    return RF_OK;
}

static char text[BYTES];

/* The end, and what is checked after the spool is gone. */
static enum rf_code finish(struct spooling *spooling, int *n_files, int64_t *n_rows) {
    const struct rf_spool_file *files = NULL;
    *n_rows = 0;
    enum rf_code code = rf_spool_end(spooling->spool, &files, n_files, &spooling->err);
    for (int i = 0; code == RF_OK && i < *n_files; i++) *n_rows += files[i].n_rows;
    return code;
}

TEST(files_are_cut_between_rows_and_hold_every_byte) {
    size_t length = make_rows(text, 6000);
    struct spooling *spooling = start(65536);
    int n_files = 0;
    int64_t n_rows = 0;
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    struct taker taker = spooling->taker;
    end(spooling);
    assert_code(code, RF_OK, &spooling->err);
    assert_true(n_files > 1);
    assert_int_equal(n_files, taker.n_files);
    assert_int_equal(n_rows, 6000);
    assert_int_equal(taker.n_rows, 6000);
    assert_int_equal(taker.n_got, length);
    assert_memory_equal(taker.got, text, length);
    assert_int_equal(taker.mode, 0600);
}

TEST(no_rows_make_no_file) {
    struct spooling *spooling = start(65536);
    int n_files = -1;
    int64_t n_rows;
    enum rf_code code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_OK, &spooling->err);
    assert_int_equal(n_files, 0);
    assert_int_equal(spooling->taker.n_files, 0);
}

TEST(one_file_is_sent_while_the_next_is_written) {
    size_t length = make_rows(text, 6000);
    struct spooling *spooling = start(65536);
    int n_files = 0;
    int64_t n_rows = 0;
    spooling->taker.wait_for = "rows_0002.csv.zst";
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_OK, &spooling->err);
    assert_int_equal(n_rows, 6000);
}

TEST(a_file_that_is_gone_before_it_is_sent_is_told) {
    size_t length = make_rows(text, 6000);
    struct spooling *spooling = start(65536);
    int n_files = 0;
    int64_t n_rows = 0;
    spooling->taker.wait_for = spooling->taker.unlinked = "rows_0002.csv.zst";
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_INTERNAL, &spooling->err);
    assert_contains(spooling->err.message, "rows_0002.csv.zst");
    assert_contains(spooling->err.message, "is gone");
}

/* What the writer goes on writing it writes where it was: only the length tells. */
TEST(a_file_that_somebody_else_wrote_into_is_not_sent) {
    size_t length = make_rows(text, 6000);
    struct spooling *spooling = start(65536);
    int n_files = 0;
    int64_t n_rows = 0;
    spooling->taker.wait_for = spooling->taker.lengthened = "rows_0002.csv.zst";
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_INTERNAL, &spooling->err);
    assert_contains(spooling->err.message, "rows_0002.csv.zst has 1048576 bytes, and ");
    assert_int_equal(spooling->taker.n_files, 1);
}

TEST(a_file_that_is_cut_while_it_is_sent_is_told) {
    size_t length = make_rows(text, 500);
    struct spooling *spooling = start(BYTES);
    int n_files = 0;
    int64_t n_rows = 0;
    spooling->taker.cuts = true;
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_INTERNAL, &spooling->err);
    assert_contains(spooling->err.message, "were written into it");
}

TEST(a_file_of_somebody_else_is_never_taken_for_ours) {
    size_t length = make_rows(text, 6000);
    struct spooling *spooling = start(65536);
    int n_files = 0;
    int64_t n_rows = 0;
    int other = openat(spooling->taker.folder.lock, "rows_0002.csv.zst", O_CREAT | O_WRONLY, 0600);
    assert_true(other >= 0 && write(other, "theirs", 6) == 6 && close(other) == 0);
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_TARGET, &spooling->err);
    assert_contains(spooling->err.message, "File exists");
    assert_true(spooling->taker.n_files <= 1);
}

/* Wherever it is cut, and whichever byte is another, between our look at its length and its reading. */
TEST(a_torn_file_is_none_to_whoever_reads_it) {
    static char packed[BYTES], rows[BYTES];
    size_t length = make_rows(text, 500), n_torn = 0;
    struct spooling *spooling = start(BYTES);
    int n_files = 0;
    int64_t n_rows = 0;
    spooling->taker.packed = packed;
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    size_t n_packed = spooling->taker.n_packed;
    end(spooling);
    assert_code(code, RF_OK, &spooling->err);
    assert_true(n_packed > 10000 && ZSTD_decompress(rows, BYTES, packed, n_packed) == length);
    for (size_t cut = 1; cut < n_packed; cut += memory_is_scarce ? n_packed : 97, n_torn++) assert_true(ZSTD_isError(ZSTD_decompress(rows, BYTES, packed, cut)));
    for (size_t at = 0; at < n_packed; at += memory_is_scarce ? n_packed : 101, n_torn++) {
        packed[at] = (char)(packed[at] ^ 0x10);
        size_t n_bytes = ZSTD_decompress(rows, BYTES, packed, n_packed);
        assert_true(ZSTD_isError(n_bytes) || (n_bytes == length && memcmp(rows, text, length) == 0)); /* a bit of the head may mean nothing */
        packed[at] = (char)(packed[at] ^ 0x10);
    }
    assert_true(n_torn > 0);
}

TEST(a_file_that_is_refused_ends_the_rows_with_its_own_error) {
    size_t length = make_rows(text, 6000);
    struct spooling *spooling = start(65536);
    int n_files = 0;
    int64_t n_rows = 0;
    spooling->taker.fail_at = 2;
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_AUTH, &spooling->err);
    assert_contains(spooling->err.message, "no right to put rows_0002.csv.zst");
}

TEST(a_cancel_is_heard_while_a_file_is_being_sent) {
    size_t length = make_rows(text, 6000);
    struct spooling *spooling = start(65536);
    spooling->taker.cancels = true;
    enum rf_code code = write_in_pieces(spooling, text, length, 4099);
    spooling->taker.heard = true;
    end(spooling);
    assert_code(code, RF_CANCELLED, &spooling->err);
}

TEST(rows_that_end_inside_of_one_are_refused) {
    struct spooling *spooling = start(65536);
    int n_files = 0;
    int64_t n_rows = 0;
    enum rf_code code = write_in_pieces(spooling, "1,\"a\n", 5, 5);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    end(spooling);
    assert_code(code, RF_INTERNAL, &spooling->err);
    assert_contains(spooling->err.message, "end inside of one");
}

TEST(a_file_that_cannot_be_written_names_the_folder_and_the_setting) {
    size_t length = make_rows(text, 6000);
    struct rlimit before, small = {4096, RLIM_INFINITY};
    struct spooling *spooling = start(BYTES);
    int n_files = 0;
    int64_t n_rows = 0;
    getrlimit(RLIMIT_FSIZE, &before);
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    enum rf_code code = write_in_pieces(spooling, text, length, 65536);
    if (code == RF_OK) code = finish(spooling, &n_files, &n_rows);
    setrlimit(RLIMIT_FSIZE, &before);
    end(spooling);
    assert_code(code, RF_TARGET, &spooling->err);
    assert_true(spooling->err.retryable);
    assert_contains(spooling->err.message, "/rowferry-spool-");
    assert_contains(spooling->err.hint, "spool_dir");
}

/* ---- the folder ---- */

static bool is_there(const char *path) {
    return access(path, F_OK) == 0;
}

TEST(a_folder_is_private_and_goes_with_its_files) {
    struct rf_spool_folder folder;
    struct rf_error err;
    struct stat facts;
    assert_code(rf_spool_folder_make(NULL, &folder, &err), RF_OK, &err);
    char path[RF_SPOOL_PATH_BYTES];
    strcpy(path, folder.path);
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_mode & 0777, 0700);
    close(openat(folder.lock, "left", O_CREAT | O_WRONLY, 0600));
    rf_spool_folder_remove(&folder);
    rf_spool_folder_remove(&folder);
    assert_false(is_there(path));
}

/* A run that ends without a word: only its folder stays. */
static void die_in(const char *parent, char path[RF_SPOOL_PATH_BYTES]) {
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct rf_spool_folder folder;
        struct rf_error err;
        if (rf_spool_folder_make(parent, &folder, &err) != RF_OK) _exit(1);
        close(openat(folder.lock, "rows_0001.csv.zst", O_CREAT | O_WRONLY, 0600));
        _exit(write(ends[1], folder.path, sizeof folder.path) == (ssize_t)sizeof folder.path ? 0 : 1);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], path, RF_SPOOL_PATH_BYTES);
    close(ends[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(n, RF_SPOOL_PATH_BYTES);
}

TEST(what_a_dead_run_left_is_removed_and_a_living_one_keeps_its_folder) {
    char parent[] = "/tmp/rowferry-test-XXXXXX", dead[RF_SPOOL_PATH_BYTES], other[64];
    struct rf_spool_folder living, new;
    struct rf_error err;
    assert_non_null(mkdtemp(parent));
    snprintf(other, sizeof other, "%s/mine", parent);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_code(rf_spool_folder_make(parent, &living, &err), RF_OK, &err);
    die_in(parent, dead);
    bool was_there = is_there(dead);
    assert_code(rf_spool_folder_make(parent, &new, &err), RF_OK, &err);
    bool stayed = is_there(dead), lives = is_there(living.path), others = is_there(other);
    rf_spool_folder_remove(&new);
    rf_spool_folder_remove(&living);
    rmdir(other);
    assert_int_equal(rmdir(parent), 0);
    assert_true(was_there);
    assert_false(stayed);
    assert_true(lives);
    assert_true(others);
}

TEST(a_folder_that_cannot_be_made_is_told_with_the_setting) {
    struct rf_spool_folder folder;
    struct rf_error err;
    assert_code(rf_spool_folder_make("/nowhere/at all", &folder, &err), RF_CONFIG, &err);
    assert_contains(err.message, "/nowhere/at all");
    assert_contains(err.hint, "spool_dir");
    assert_code(rf_spool_folder_make("/tmp/it's", &folder, &err), RF_CONFIG, &err);
    assert_code(rf_spool_folder_make("tmp", &folder, &err), RF_CONFIG, &err);
    rf_spool_folder_remove(&folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_cut_between_rows_and_hold_every_byte),
        cmocka_unit_test(no_rows_make_no_file),
        cmocka_unit_test(one_file_is_sent_while_the_next_is_written),
        cmocka_unit_test(a_file_that_is_gone_before_it_is_sent_is_told),
        cmocka_unit_test(a_file_that_somebody_else_wrote_into_is_not_sent),
        cmocka_unit_test(a_file_that_is_cut_while_it_is_sent_is_told),
        cmocka_unit_test(a_file_of_somebody_else_is_never_taken_for_ours),
        cmocka_unit_test(a_torn_file_is_none_to_whoever_reads_it),
        cmocka_unit_test(a_file_that_is_refused_ends_the_rows_with_its_own_error),
        cmocka_unit_test(a_cancel_is_heard_while_a_file_is_being_sent),
        cmocka_unit_test(rows_that_end_inside_of_one_are_refused),
        cmocka_unit_test(a_file_that_cannot_be_written_names_the_folder_and_the_setting),
        cmocka_unit_test(a_folder_is_private_and_goes_with_its_files),
        cmocka_unit_test(what_a_dead_run_left_is_removed_and_a_living_one_keeps_its_folder),
        cmocka_unit_test(a_folder_that_cannot_be_made_is_told_with_the_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
