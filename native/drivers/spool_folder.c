#include "drivers/spool_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char PREFIX[] = "rowferry-spool-";

/* There are no folders in it. What cannot be removed stays for another run. */
static void empty(int folder) {
    int again = dup(folder);
    DIR *files = again < 0 ? NULL : fdopendir(again);
    if (!files) {
        if (again >= 0) close(again);
        return;
    }
    for (struct dirent *file; (file = readdir(files));)
        if (strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0) (void)unlinkat(folder, file->d_name, 0);
    closedir(files);
}

/* -1 when somebody else has it. */
static int lock_folder(int parent, const char *name) {
    int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0 && flock(folder, LOCK_EX | LOCK_NB) == 0) return folder;
    if (folder >= 0) close(folder);
    return -1;
}

static void remove_if_dead(int parent, const char *name) {
    struct stat facts;
    if (fstatat(parent, name, &facts, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(facts.st_mode) || facts.st_uid != geteuid()) return;
    int folder = lock_folder(parent, name);
    if (folder < 0) return;
    empty(folder);
    (void)unlinkat(parent, name, AT_REMOVEDIR);
    close(folder);
}

static void sweep(const char *path) {
    DIR *parent = opendir(path);
    if (!parent) return;
    for (struct dirent *entry; (entry = readdir(parent));)
        if (strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0) remove_if_dead(dirfd(parent), entry->d_name);
    closedir(parent);
}

/* Another run may take a folder for one of the dead, between its making and its locking: then there is none to lock, or it is gone. */
static bool lock_own(struct rf_spool_folder *folder) {
    struct stat facts;
    folder->lock = lock_folder(AT_FDCWD, folder->path);
    if (folder->lock < 0) return false;
    if (fstat(folder->lock, &facts) == 0 && facts.st_nlink > 0) return true;
    close(folder->lock);
    return false;
}

static bool name_folder(const char *parent, struct rf_spool_folder *folder) {
    struct tm now;
    time_t clock = time(NULL);
    char stamp[32];
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%S", gmtime_r(&clock, &now));
    int length = snprintf(folder->path, sizeof folder->path, "%s/%s%s-%ld-XXXXXX", parent, PREFIX, stamp, (long)getpid());
    return length > 0 && (size_t)length < sizeof folder->path;
}

/* It stands in a statement later, between quotes. */
static bool is_plain(const char *path) {
    return *path == '/' && !strpbrk(path, "'\\\n\r");
}

enum rf_code rf_spool_folder_make(const char *parent, struct rf_spool_folder *folder, struct rf_error *err) {
    enum { TRIES = 20 };
    *folder = (struct rf_spool_folder){0};
    if (!parent) parent = getenv("TMPDIR");
    if (!parent || !*parent) parent = "/tmp";
    if (!is_plain(parent)) {
        rf_fail(err, RF_CONFIG, "the folder for files on their way is not a whole path without quotes: %s", parent);
        return rf_hint(err, "Name another one in \"spool_dir\".");
    }
    sweep(parent);
    for (int tries = 0; tries < TRIES; tries++) {
        bool named = name_folder(parent, folder);
        if (named && mkdtemp(folder->path) && lock_own(folder)) return RF_OK;
        if (!named) errno = ENAMETOOLONG;
        if (errno != ENOENT && errno != EWOULDBLOCK) break;
    }
    int why = errno;
    folder->path[0] = '\0';
    rf_fail(err, RF_CONFIG, "no folder for files on their way can be made in %s: %s", parent, strerror(why));
    return rf_hint(err, "Name one in \"spool_dir\" that this user may write in, with room for two files.");
}

void rf_spool_folder_remove(struct rf_spool_folder *folder) {
    if (!folder->path[0]) return;
    empty(folder->lock);
    (void)rmdir(folder->path);
    close(folder->lock);
    folder->path[0] = '\0';
}
