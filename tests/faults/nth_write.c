/* Preloaded into a process: kills it in the middle of the nth change to a DuckDB or SQLite file or its log, NTH_WRITE in
 * the environment; the bytes of a write are half there by then. */

#include <dlfcn.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

EXPORTED ssize_t write(int fd, const void *from, size_t n_bytes);
EXPORTED ssize_t pwrite(int fd, const void *from, size_t n_bytes, off_t at);
EXPORTED ssize_t pwrite64(int fd, const void *from, size_t n_bytes, off_t at);
EXPORTED int fdatasync(int fd);
EXPORTED int ftruncate(int fd, off_t length);
EXPORTED int ftruncate64(int fd, off_t length);
EXPORTED int unlink(const char *path);
EXPORTED int rename(const char *from, const char *to);

static atomic_long n_done;

static bool is_nth(void) {
    const char *nth = getenv("NTH_WRITE");
    return nth && atomic_fetch_add(&n_done, 1) + 1 == strtol(nth, NULL, 10);
}

static bool is_of_target(const char *path) {
    return strstr(path, ".duckdb") || strstr(path, ".sqlite");
}

static bool strikes(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return false;
    path[length] = '\0';
    return is_of_target(path) && is_nth();
}

static void die(void) {
    raise(SIGKILL);
}

ssize_t write(int fd, const void *from, size_t n_bytes) {
    bool struck = strikes(fd);
    if (struck) (void)syscall(SYS_write, fd, from, n_bytes / 2);
    if (struck) die();
    return syscall(SYS_write, fd, from, n_bytes);
}

ssize_t pwrite(int fd, const void *from, size_t n_bytes, off_t at) {
    bool struck = strikes(fd);
    if (struck) (void)syscall(SYS_pwrite64, fd, from, n_bytes / 2, at);
    if (struck) die();
    return syscall(SYS_pwrite64, fd, from, n_bytes, at);
}

ssize_t pwrite64(int fd, const void *from, size_t n_bytes, off_t at) {
    return pwrite(fd, from, n_bytes, at);
}

int fdatasync(int fd) {
    if (strikes(fd)) die();
    return (int)syscall(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t length) {
    if (strikes(fd)) die();
    return (int)syscall(SYS_ftruncate, fd, length);
}

int ftruncate64(int fd, off_t length) {
    return ftruncate(fd, length);
}

int unlink(const char *path) {
    if (is_of_target(path) && is_nth()) die();
    return (int)syscall(SYS_unlink, path);
}

int rename(const char *from, const char *to) {
    if (is_of_target(to) && is_nth()) die();
    return (int)syscall(SYS_rename, from, to);
}
