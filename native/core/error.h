/* Errors of the core.
 *
 * The caller owns one struct rf_error. The function nearest to a failure fills it once; everyone above
 * only passes the code on (RF_TRY). The codes are the classes of rowferry.errors in Python.
 */
#ifndef RF_ERROR_H
#define RF_ERROR_H

#include <stdbool.h>
#include <stddef.h>

enum rf_code {
    RF_OK = 0,
    RF_CONFIG,    /* the job, or what it names, cannot work as written */
    RF_AUTH,      /* credentials refused, or a right is missing */
    RF_SOURCE,    /* the source server or the way to it failed */
    RF_TARGET,    /* the target server or the way to it failed */
    RF_BUSY,      /* another run holds the table */
    RF_DRIFT,     /* the source's schema changed in a way that needs a decision */
    RF_DATA,      /* a value or a row cannot be carried as it is */
    RF_FENCED,    /* a newer run took the table over */
    RF_CANCELLED, /* cancelled by the caller or by a signal */
    RF_INTERNAL,  /* an invariant of ours does not hold */
    RF_NO_MEMORY, /* reported to callers as internal */
};

struct rf_error {
    enum rf_code code;
    bool retryable; /* the same job may succeed later without a change */
    char sqlstate[6];
    char role[48]; /* what the failing statement was for; never its text */
    char message[1024];
    char server_message[512];
    char detail[512];
    char hint[512];
};

#if defined(__GNUC__)
#define RF_PRINTF(text_at, first) __attribute__((format(printf, text_at, first)))
#else
#define RF_PRINTF(text_at, first)
#endif

/* Fills *err (all other fields empty) and returns `code`. */
enum rf_code rf_fail(struct rf_error *err, enum rf_code code, const char *format, ...) RF_PRINTF(3, 4);

/* Adds what the user can do about it; keeps the rest of *err. Returns err->code. */
enum rf_code rf_hint(struct rf_error *err, const char *format, ...) RF_PRINTF(2, 3);

enum rf_code rf_no_memory(struct rf_error *err);

enum rf_code rf_cancelled(struct rf_error *err);

/* "configuration", "authentication", … as Python and the CLI know them. */
const char *rf_code_name(enum rf_code code);

/* Copies text into a fixed field, cut at a UTF-8 character boundary when it does not fit. NULL empties it. */
void rf_copy_text(char *to, size_t to_size, const char *from);

#define RF_TRY(call)                              \
    do {                                          \
        enum rf_code rf_try_code = (call);        \
        if (rf_try_code != RF_OK) return rf_try_code; \
    } while (0)

#endif
