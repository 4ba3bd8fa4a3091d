#include "nth_call.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* glibc's own names for what is replaced below; it sends every call of its libraries to the replacements.
 * Source: gnu.org/software/libc/manual, "Replacing malloc". */
void *__libc_malloc(size_t n_bytes);
void *__libc_calloc(size_t n, size_t n_bytes);
void *__libc_realloc(void *old, size_t n_bytes);

#define EXPORTED __attribute__((visibility("default")))

enum call { NONE, MALLOC, RECV_SHORT, RECV_EINTR, RECV_RESET, RECV_KILL, SEND_SHORT, SEND_EINTR, SEND_RESET, SEND_KILL, POLL_EINTR, CALLS };

static _Atomic enum call armed;
static atomic_long left;
static atomic_bool struck;

static bool strikes(enum call call) {
    if (atomic_load(&armed) != call || atomic_fetch_sub(&left, 1) != 1) return false;
    atomic_store(&struck, true);
    return true;
}

bool nth_call_arm(const char *kind, long nth) {
    static const char *const names[CALLS] = {"",          "malloc",     "recv short", "recv EINTR", "recv reset", "recv kill",
                                             "send short", "send EINTR", "send reset", "send kill",  "poll EINTR"};
    for (int call = 1; call < CALLS; call++) {
        if (strcmp(names[call], kind) != 0) continue;
        atomic_store(&left, nth);
        atomic_store(&armed, (enum call)call);
        return true;
    }
    return false;
}

bool nth_call_struck(void) {
    atomic_store(&armed, NONE);
    return atomic_load(&struck);
}

/* ---- memory ---- */

static bool is_refused(void) {
    if (!strikes(MALLOC)) return false;
    errno = ENOMEM;
    return true;
}

EXPORTED void *malloc(size_t n_bytes);
EXPORTED void *calloc(size_t n, size_t n_bytes);
EXPORTED void *realloc(void *old, size_t n_bytes);

void *malloc(size_t n_bytes) {
    return is_refused() ? NULL : __libc_malloc(n_bytes);
}

void *calloc(size_t n, size_t n_bytes) {
    return is_refused() ? NULL : __libc_calloc(n, n_bytes);
}

void *realloc(void *old, size_t n_bytes) {
    return is_refused() ? NULL : __libc_realloc(old, n_bytes);
}

/* ---- the socket ---- */

static ssize_t fail_with(int error) {
    errno = error;
    return -1;
}

/* Both directions end, as they do when the other side has sent a reset. */
static ssize_t reset(int fd) {
    shutdown(fd, SHUT_RDWR);
    return fail_with(ECONNRESET);
}

EXPORTED ssize_t recv(int fd, void *to, size_t n_bytes, int flags) {
    if (strikes(RECV_SHORT)) n_bytes = n_bytes > 0;
    if (strikes(RECV_EINTR)) return fail_with(EINTR);
    if (strikes(RECV_RESET)) return reset(fd);
    if (strikes(RECV_KILL)) raise(SIGKILL);
    return syscall(SYS_recvfrom, fd, to, n_bytes, flags, NULL, NULL);
}

EXPORTED ssize_t send(int fd, const void *from, size_t n_bytes, int flags) {
    if (strikes(SEND_SHORT)) n_bytes = n_bytes > 0;
    if (strikes(SEND_EINTR)) return fail_with(EINTR);
    if (strikes(SEND_RESET)) return reset(fd);
    if (strikes(SEND_KILL)) raise(SIGKILL);
    return syscall(SYS_sendto, fd, from, n_bytes, flags, NULL, 0);
}

EXPORTED int poll(struct pollfd *fds, nfds_t n, int timeout_ms) {
    if (strikes(POLL_EINTR)) return (int)fail_with(EINTR);
    struct timespec time = {.tv_sec = timeout_ms / 1000, .tv_nsec = timeout_ms % 1000 * 1000000L};
    return (int)syscall(SYS_ppoll, fds, n, timeout_ms < 0 ? NULL : &time, NULL, 0);
}
