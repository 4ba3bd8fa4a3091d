/* The driver of tests/native/fake_odbc.c as one that unixODBC loads: what it is to do comes from the environment, as its process
 * starts. SCRIPTED_ODBC holds lines:
 *
 *   dbms NAME                                the database by its own name
 *   reply PART=ROWS, changed PART=N          what a statement gives that contains PART, as fake_odbc.h has it
 *   after SEEN: PART=ROWS                    the same, once a statement that contains SEEN has come
 *   wait PART                                runs until it is cancelled
 *   fail PART=STATE,NATIVE,TEXT, once …      fails, for ever or the first time
 *   lose before=STATE,NATIVE,TEXT, after=…   the commit's answer, before or after it was done
 *   takes first, refuses arrays              how it lies about arrays of parameters
 *
 * Each statement, and in brackets each call around them, goes into the file SCRIPTED_ODBC_SEEN, each with a NUL behind it. */
#include "fake_odbc.h"

#include <stdlib.h>
#include <string.h>

static struct fake_odbc script;

/* The manager asks a driver for diagnostics only where it has this one too. */
SQLRETURN SQLGetDiagField(SQLSMALLINT type, SQLHANDLE from, SQLSMALLINT record, SQLSMALLINT which, SQLPOINTER value, SQLSMALLINT size, SQLSMALLINT *length) {
    (void)type, (void)from, (void)record, (void)which, (void)value, (void)size, (void)length;
    return SQL_NO_DATA;
}

/* Ends the text at `end` and returns what follows. */
static char *cut(char *text, const char *end) {
    char *at = strstr(text, end);
    if (!at) abort();
    *at = '\0';
    return at + strlen(end);
}

static void read_failure(char *text) {
    char *native = cut(text, ","), *said = cut(native, ",");
    script.failure = (struct fake_failure){text, atoi(native), said};
}

static void read_fault(const char *word, char *part, char *failure) {
    read_failure(failure);
    if (strcmp(word, "lose") == 0) {
        script.loses_commit = true;
        script.commits_anyway = strcmp(part, "after") == 0;
        return;
    }
    script.fail_part = part;
    script.fail_times = strcmp(word, "once") == 0;
}

static void read_line(char *line) {
    const char *word = line;
    char *rest = cut(line, " ");
    if (strcmp(word, "dbms") == 0) script.dbms = rest;
    else if (strcmp(word, "wait") == 0) script.wait_part = rest;
    else if (strcmp(word, "takes") == 0) script.takes_first = true;
    else if (strcmp(word, "refuses") == 0) script.refuses_arrays = true;
    else if (strcmp(word, "after") == 0) {
        char *part = cut(rest, ": ");
        reply_after(&script, rest, part, cut(part, "="));
    } else if (strcmp(word, "reply") == 0) reply(&script, rest, cut(rest, "="));
    else if (strcmp(word, "changed") == 0) reply_changed(&script, rest, atoi(cut(rest, "=")));
    else read_fault(word, rest, cut(rest, "="));
}

__attribute__((constructor)) static void read_script(void) {
    const char *given = getenv("SCRIPTED_ODBC");
    char *lines = strdup(given ? given : ""); /* replies point into it for as long as the process lives */
    fake_odbc = &script;
    script.seen = getenv("SCRIPTED_ODBC_SEEN");
    for (char *rest = NULL, *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) read_line(line);
}
