/* Linked into every unit program of build/torture: each test runs again and again, with the first allocation of the
 * core failing, then the second, until none fails any more; once failing alone, once with all that follow it.
 *
 * The core's objects allocate through the scarce_… functions below (the Makefile renames the symbols), cJSON
 * through its hooks; what a test allocates for itself never fails. A run is good when the test holds, or when it
 * ended early after the lack was told: the core made an error, or the test met a NULL through `needed`. Anything
 * else is a finding: a crash, a leak, a run that does not end, an assertion that fails though nobody was told.
 */
#include "units.h"

#include <cjson/cJSON.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BLOCKS = 16384, MOST_ALLOCATIONS = 20000, SECONDS_PER_TEST = 300, THREADS_END_MS = 2000 };

static atomic_int granted; /* allocations until one fails */
static atomic_bool denied; /* one failed */
static bool for_good;      /* after it, all of them fail */
static atomic_bool told;   /* an error was made after it */

/* ---- the core's blocks ------------------------------------------------------------------------------------------ */

struct block {
    void *at; /* NULL: free place; see `nowhere` */
    size_t n_bytes;
    bool is_held; /* something that lives points to it */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks; /* hashed by address; outside of what is searched for pointers */
static struct block *noted[MOST_BLOCKS / 2]; /* the places taken since the run's start */
static int n_noted;
static char nowhere[1];      /* `at` of a block that was freed */

/* Where `at` stands, or would stand. */
static struct block *place_of(const void *at) {
    size_t i = (uintptr_t)at / 16 * 2654435761u % MOST_BLOCKS;
    while (blocks[i].at && blocks[i].at != at) i = (i + 1) % MOST_BLOCKS;
    return &blocks[i];
}

static void *note(void *at, size_t n_bytes) {
    if (!at) return NULL;
    pthread_mutex_lock(&mutex);
    if (n_noted >= MOST_BLOCKS / 2) abort();
    struct block *block = place_of(at);
    if (!block->at) noted[n_noted++] = block;
    *block = (struct block){.at = at, .n_bytes = n_bytes};
    pthread_mutex_unlock(&mutex);
    return at;
}

static void forget(const void *at) {
    if (!at) return;
    pthread_mutex_lock(&mutex);
    struct block *block = place_of(at);
    if (block->at) block->at = nowhere;
    pthread_mutex_unlock(&mutex);
}

static bool is_granted(void) {
    if (atomic_fetch_sub(&granted, 1) > 0) return true;
    return atomic_exchange(&denied, true) && !for_good;
}

void *scarce_malloc(size_t n_bytes);
void *scarce_malloc(size_t n_bytes) {
    return is_granted() ? note(malloc(n_bytes), n_bytes) : NULL;
}

void *scarce_calloc(size_t n, size_t n_bytes);
void *scarce_calloc(size_t n, size_t n_bytes) {
    return is_granted() ? note(calloc(n, n_bytes), n * n_bytes) : NULL;
}

void *scarce_realloc(void *old, size_t n_bytes);
void *scarce_realloc(void *old, size_t n_bytes) {
    if (!is_granted()) return NULL;
    forget(old);
    return note(realloc(old, n_bytes), n_bytes);
}

void *scarce_aligned_alloc(size_t alignment, size_t n_bytes);
void *scarce_aligned_alloc(size_t alignment, size_t n_bytes) {
    return is_granted() ? note(aligned_alloc(alignment, n_bytes), n_bytes) : NULL;
}

char *scarce_strndup(const char *text, size_t n_bytes);
char *scarce_strndup(const char *text, size_t n_bytes) {
    return is_granted() ? note(strndup(text, n_bytes), strnlen(text, n_bytes) + 1) : NULL;
}

char *scarce_strdup(const char *text);
char *scarce_strdup(const char *text) {
    return scarce_strndup(text, strlen(text));
}

/* A test may free what the core made. */
void __real_free(void *at);
void __wrap_free(void *at);
void __wrap_free(void *at) {
    forget(at);
    __real_free(at);
}

/* ---- leaks: blocks that neither the test's frames and variables nor other held blocks point to -------------------- */

static const char *frames_end; /* of the stack, above all frames of a test */

/* Marks the blocks that [from, end) points to, and those that these point to. */
__attribute__((no_sanitize("address", "undefined"))) static void hold_from(const char *from, const char *end) {
    for (const char *at = (const char *)((uintptr_t)from & ~(sizeof(void *) - 1)); at + sizeof(void *) <= end; at += sizeof(void *)) {
        struct block *block = place_of(*(void *const *)at);
        if (!block->at || block->at == nowhere || block->is_held) continue;
        block->is_held = true;
        hold_from(block->at, (const char *)block->at + block->n_bytes);
    }
}

static int count_lost(bool frames_live) {
    extern const char __data_start[], _end[];
    int n = 0;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < n_noted; i++) noted[i]->is_held = false;
    hold_from(__data_start, _end);
    if (frames_live) hold_from(__builtin_frame_address(0), frames_end);
    for (int i = 0; i < n_noted; i++) n += noted[i]->at != nowhere && !noted[i]->is_held;
    pthread_mutex_unlock(&mutex);
    return n;
}

/* A thread of the core that is about to end still holds what it works on. */
static bool has_leaks(bool frames_live) {
    for (int ms = 0; ms < THREADS_END_MS && count_lost(frames_live) > 0; ms++) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return count_lost(frames_live) > 0;
}

/* ---- what tells of the lack: ld hands us the calls of these two --------------------------------------------------- */

enum rf_code __real_rf_fail(struct rf_error *err, enum rf_code code, const char *format, ...);
enum rf_code __wrap_rf_fail(struct rf_error *err, enum rf_code code, const char *format, ...);
enum rf_code __wrap_rf_fail(struct rf_error *err, enum rf_code code, const char *format, ...) {
    char message[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (denied) told = true;
    return __real_rf_fail(err, code, "%s", message);
}

enum rf_code __real_rf_no_memory(struct rf_error *err);
enum rf_code __wrap_rf_no_memory(struct rf_error *err);
enum rf_code __wrap_rf_no_memory(struct rf_error *err) {
    if (denied) told = true;
    return __real_rf_no_memory(err);
}

/* ---- the runs of one test, in a process of its own ------------------------------------------------------------------ */

struct progress { /* shared with the parent, which tells how far a process came that died */
    int allocation;
    bool finished;
    const char *finding;
};

static struct progress *progress;
static jmp_buf ended_early;

/* Every assertion of cmocka that does not hold comes here, in its place. */
__attribute__((visibility("default"))) void _fail(const char *const file, const int line) {
    fprintf(stderr, "%s:%d: does not hold\n", file, line);
    if (always_failed || !denied || !(told || needed_in_vain)) progress->finding = always_failed ? "what always holds does not" : "it fails, and nobody was told of the lack";
    else if (has_leaks(true)) progress->finding = "memory leaks from the call that failed";
    longjmp(ended_early, 1);
}

static void start_run(int allocation) {
    pthread_mutex_lock(&mutex);
    while (n_noted > 0) *noted[--n_noted] = (struct block){0}; /* not freed: a thread may be at work on one */
    pthread_mutex_unlock(&mutex);
    denied = told = needed_in_vain = always_failed = false;
    progress->allocation = allocation;
    if (ftruncate(STDOUT_FILENO, 0) == 0) lseek(STDOUT_FILENO, 0, SEEK_SET);
    granted = allocation;
}

static __attribute__((noinline)) void play(CMUnitTestFunction test) {
    void *state = NULL;
    frames_end = __builtin_frame_address(0);
    test(&state);
}

static _Noreturn void run_short_of_each(CMUnitTestFunction test) {
    alarm(SECONDS_PER_TEST);
    cJSON_InitHooks(&(cJSON_Hooks){.malloc_fn = scarce_malloc, .free_fn = __wrap_free});
    do {
        start_run(progress->allocation + 1);
        if (setjmp(ended_early) == 0) {
            play(test);
            if (has_leaks(false)) progress->finding = "memory leaks";
        }
        granted = INT32_MAX;
        fflush(NULL);
    } while (denied && !progress->finding && progress->allocation < MOST_ALLOCATIONS);
    progress->finished = true;
    _exit(0);
}

/* ---- all tests ------------------------------------------------------------------------------------------------------ */

static void print_all(FILE *output) {
    rewind(output);
    for (int c; (c = getc(output)) != EOF;) putchar(c);
}

/* How many allocations failed in turn; -1 at the first finding. */
static int torture(CMUnitTestFunction test, FILE *output) {
    int status = 0;
    *progress = (struct progress){.allocation = -1};
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(fileno(output), STDOUT_FILENO);
        dup2(fileno(output), STDERR_FILENO);
        run_short_of_each(test);
    }
    if (child < 0 || waitpid(child, &status, 0) != child) progress->finding = "no process could be had";
    else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) progress->finding = "it does not end";
    else if (!progress->finished) progress->finding = "it crashes";
    if (!progress->finding) return progress->allocation;
    print_all(output);
    printf("%s, with allocation %d%s failing\n", progress->finding, progress->allocation + 1, for_good ? " and all after it" : "");
    return -1;
}

static int torture_both_ways(CMUnitTestFunction test, FILE *output) {
    for_good = false;
    int alone = torture(test, output);
    for_good = true;
    int together = alone < 0 ? -1 : torture(test, output);
    return together < 0 ? -1 : alone + together;
}

int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n_tests, CMFixtureFunction set_up, CMFixtureFunction tear_down);
int __wrap__cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t n_tests, CMFixtureFunction set_up, CMFixtureFunction tear_down) {
    int n_failed = 0, n_runs = 0;
    FILE *output = tmpfile();
    memory_is_scarce = true;
    progress = mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    blocks = calloc(MOST_BLOCKS, sizeof *blocks);
    if (!output || progress == MAP_FAILED || !blocks || set_up || tear_down) abort(); /* no program has fixtures so far */
    for (size_t i = 0; i < n_tests; i++) {
        printf("[ RUN      ] %s\n", tests[i].name);
        int runs = torture_both_ways(tests[i].test_func, output);
        printf("[  %s ] %s\n", runs < 0 ? "FAILED " : "     OK", tests[i].name);
        n_failed += runs < 0;
        n_runs += runs < 0 ? 0 : runs;
    }
    printf("[==========] %s: %zu tests, %d runs short of memory, %d tests failed\n", group, n_tests, n_runs, n_failed);
    free(blocks);
    fclose(output);
    return n_failed;
}
