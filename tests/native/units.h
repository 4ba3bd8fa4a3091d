/* What every test here starts from: cmocka, and assertions that print the error they met. */
#ifndef UNITS_H
#define UNITS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/text.h"

/* A test: its name is a sentence that says what holds. */
#define TEST(name) static void name(void **state __attribute__((unused)))

#define N_OF(array) (sizeof(array) / sizeof *(array))

/* The call came back with `expected`; `err` is printed when it did not. */
#define assert_code(call, expected, err) check_code((call), (expected), (err), __FILE__, __LINE__)
void check_code(enum rf_code actual, enum rf_code expected, const struct rf_error *err, const char *file, int line);

#define assert_contains(text, part) check_contains((text), (part), true, __FILE__, __LINE__)
#define assert_lacks(text, part) check_contains((text), (part), false, __FILE__, __LINE__)
void check_contains(const char *text, const char *part, bool expected, const char *file, int line);

/* A pointer that is NULL only when memory is short: the test ends here then, and `needed_in_vain` says why. */
#define needed(pointer) check_needed((pointer), #pointer, __FILE__, __LINE__)
void *check_needed(void *pointer, const char *what, const char *file, int line);
extern bool needed_in_vain;

/* Holds even in a run that is short of memory and said so; there, other assertions end the test as `needed` does. */
#define assert_always(condition) check_always((condition), #condition, __FILE__, __LINE__)
void check_always(bool holds, const char *what, const char *file, int line);
extern bool always_failed;

/* In a run that is short of memory: a test that tries many failures of another kind tries none there. */
extern bool memory_is_scarce;

/* The text, needed whole. */
const char *whole(const struct rf_text *text);

/* Whole characters only, none overlong or cut. */
bool is_utf8(const char *text);

#endif
