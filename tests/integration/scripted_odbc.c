/* The driver of tests/native/fake_odbc.c as one that unixODBC loads: what it is to do comes from the environment, as its process
 * starts. SCRIPTED_ODBC holds lines: "reply PART=ROWS", "wait PART", "fail PART=STATE,NATIVE,TEXT". */
#include "fake_odbc.h"

#include <stdlib.h>
#include <string.h>

static struct fake_odbc script;

/* The manager asks a driver for diagnostics only where it has this one too. */
SQLRETURN SQLGetDiagField(SQLSMALLINT type, SQLHANDLE from, SQLSMALLINT record, SQLSMALLINT which, SQLPOINTER value, SQLSMALLINT size, SQLSMALLINT *length) {
    (void)type, (void)from, (void)record, (void)which, (void)value, (void)size, (void)length;
    return SQL_NO_DATA;
}

static void read_failure(char *text) {
    char *native = strchr(text, ','), *said = native ? strchr(native + 1, ',') : NULL;
    if (!said) abort();
    *native++ = *said++ = '\0';
    script.failure = (struct fake_failure){text, atoi(native), said};
}

static void read_line(char *line) {
    char *word = line, *part = strchr(line, ' '), *value = strchr(line, '=');
    if (!part) abort();
    *part++ = '\0';
    if (strcmp(word, "wait") == 0) {
        script.wait_part = part;
        return;
    }
    if (!value) abort();
    *value++ = '\0';
    if (strcmp(word, "reply") == 0) {
        reply(&script, part, value);
    } else {
        script.fail_part = part;
        read_failure(value);
    }
}

__attribute__((constructor)) static void read_script(void) {
    const char *given = getenv("SCRIPTED_ODBC");
    char *lines = strdup(given ? given : ""); /* replies point into it for as long as the process lives */
    fake_odbc = &script;
    for (char *rest = NULL, *line = strtok_r(lines, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) read_line(line);
}
