#include "drivers/file_registry.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct rf_file_hold {
    struct rf_file_hold *next;
    pid_t pid;
    char path[]; /* without links */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct rf_file_hold *holds;

/* A file that is not there yet is named by its directory. NULL with errno set when that is not there either. */
static char *without_links(const char *path) {
    char *whole = realpath(path, NULL);
    if (whole) return whole;
    const char *name = strrchr(path, '/');
    char *directory = strndup(path, (size_t)(name - path) + 1);
    char *real = directory ? realpath(directory, NULL) : NULL;
    whole = real ? malloc(strlen(real) + strlen(name) + 1) : NULL;
    if (whole) sprintf(whole, "%s%s", real, name);
    if (!directory || (real && !whole)) errno = ENOMEM;
    int why = errno;
    free(directory);
    free(real);
    errno = why;
    return whole;
}

static enum rf_code refuse_path(const char *path, struct rf_error *err) {
    if (errno == ENOMEM) return rf_no_memory(err);
    rf_fail(err, RF_CONFIG, "the directory of %s is not there, or cannot be read", path);
    return rf_hint(err, "The target names a file by its whole path: duckdb:///directory/file.duckdb.");
}

/* Someone else in this process, as a session of Python's own, may have it open. Where the system does not list open
 * files nobody is seen. */
static bool is_open_here(const char *path) {
    struct stat file, other;
    DIR *list = stat(path, &file) == 0 ? opendir("/proc/self/fd") : NULL;
    bool found = false;
    for (const struct dirent *entry; list && !found && (entry = readdir(list));) {
        char name[64];
        snprintf(name, sizeof name, "/proc/self/fd/%.32s", entry->d_name);
        found = *entry->d_name != '.' && stat(name, &other) == 0 && other.st_dev == file.st_dev && other.st_ino == file.st_ino;
    }
    if (list) closedir(list);
    return found;
}

static bool is_held(const char *path, pid_t pid) {
    for (const struct rf_file_hold *hold = holds; hold; hold = hold->next)
        if (hold->pid == pid && strcmp(hold->path, path) == 0) return true;
    return false;
}

static struct rf_file_hold *new_hold(const char *path) {
    struct rf_file_hold *hold = malloc(sizeof *hold + strlen(path) + 1);
    if (!hold) return NULL;
    hold->pid = getpid();
    strcpy(hold->path, path);
    return hold;
}

enum rf_code rf_file_try(const char *path, struct rf_file_hold **hold, struct rf_error *err) {
    *hold = NULL;
    char *whole = without_links(path);
    if (!whole) return refuse_path(path, err);
    struct rf_file_hold *made = new_hold(whole);
    pthread_mutex_lock(&mutex);
    if (made && !is_held(whole, made->pid) && !is_open_here(whole)) {
        made->next = holds;
        *hold = holds = made;
    }
    pthread_mutex_unlock(&mutex);
    free(whole);
    if (!made) return rf_no_memory(err);
    if (!*hold) free(made);
    return RF_OK;
}

void rf_file_let_go(struct rf_file_hold *hold) {
    if (!hold) return;
    pthread_mutex_lock(&mutex);
    for (struct rf_file_hold **at = &holds; *at; at = &(*at)->next) {
        if (*at != hold) continue;
        *at = hold->next;
        break;
    }
    pthread_mutex_unlock(&mutex);
    free(hold);
}
