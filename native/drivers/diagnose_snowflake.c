#include "drivers/diagnose_snowflake.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOCKED = 625, EXPIRED = 390114 };

static const struct meaning {
    int32_t number;
    enum rf_code code;
    bool retryable;
    const char *hint;
} MEANINGS[] = {
    {604, RF_TARGET, true, "Somebody cancelled the statement."},
    {606, RF_TARGET, true, "Name a warehouse: ?warehouse=… in the URI; GRANT USAGE ON WAREHOUSE … TO ROLE …; one that is suspended and has no AUTO_RESUME needs ALTER WAREHOUSE … RESUME."},
    {607, RF_TARGET, true, "The warehouse is suspended: ALTER WAREHOUSE … RESUME, or SET AUTO_RESUME = TRUE."},
    {LOCKED, RF_BUSY, true, "Another transaction holds the table, or too many wait for it: run fewer loads of one table side by side, or raise lock_timeout."},
    {630, RF_TARGET, true, "Raise STATEMENT_TIMEOUT_IN_SECONDS of the user, the account or the warehouse."},
    {904, RF_DRIFT, false, "A column is not there any more, or is called otherwise: rowferry's names are Snowflake's unquoted ones."},
    {1003, RF_INTERNAL, false, NULL},
    {2002, RF_TARGET, true, NULL},
    {2003, RF_CONFIG, false, "It does not exist, or this role may not see it: create the database, and GRANT USAGE ON DATABASE … TO ROLE …."},
    {2043, RF_CONFIG, false, "It does not exist, or this role may not do this with it: check database, schema, role and their grants."},
    {3001, RF_AUTH, false, "The role lacks a right: the README lists the least grants."},
    {3540, RF_AUTH, false, "The role lacks a right: the README lists the least grants."},
    {100035, RF_DATA, false, "A time that Snowflake has no room for: years from 1 to 9999, no infinity. as_text carries the column as its text."},
    {100037, RF_DATA, false, NULL},
    {100038, RF_DATA, false, "A number that Snowflake has no room for, as NaN in a NUMBER. as_text carries the column as its text."},
    {100039, RF_DATA, false, "The target's column is narrower than the value."},
    {100040, RF_DATA, false, "A date that Snowflake has no room for: years from 1 to 9999, no infinity. as_text carries the column as its text."},
    {100046, RF_DATA, false, "The target's column is narrower than the value."},
    {100069, RF_DATA, false, "A text that is no JSON to Snowflake, as one whose object has a key twice. as_text carries the column as its text."},
    {100072, RF_DATA, false, "The target's column may not be NULL."},
    {100078, RF_DATA, false, "The target's column is shorter than the text: ALTER TABLE … ALTER COLUMN … SET DATA TYPE VARCHAR."},
    {100080, RF_INTERNAL, false, NULL},
    {100090, RF_DATA, false, "The target holds a key more than once; it was not loaded by rowferry alone."},
    {250001, RF_TARGET, true, NULL},
    {261004, RF_TARGET, true, NULL},
    {390100, RF_AUTH, false, "User or password is wrong."},
    {390101, RF_AUTH, false, "The user is locked, or disabled."},
    {390111, RF_TARGET, true, NULL},
    {EXPIRED, RF_TARGET, true, "The session's token has expired; the next try signs in anew. A key pair needs no person at it."},
    {390144, RF_AUTH, false, "The token of the key pair was refused: is the public key the user's (DESC USER … shows RSA_PUBLIC_KEY_FP), and the machine's clock right?"},
    {390189, RF_AUTH, false, "The role does not exist, or is not granted to the user: ?role=… in the URI."},
    {390201, RF_CONFIG, false, "The database or schema of the URI does not exist, or this role may not see it."},
    {390303, RF_AUTH, false, "The OAuth token was refused."},
    {390318, RF_AUTH, false, "The OAuth access token has expired: it has to be a fresh one."},
    {390422, RF_AUTH, false, "A network policy keeps this machine out."},
};

static const struct meaning *meaning_of(int32_t number) {
    for (size_t i = 0; i < sizeof MEANINGS / sizeof MEANINGS[0]; i++)
        if (MEANINGS[i].number == number) return &MEANINGS[i];
    return NULL;
}

/* The first "NNNNNN (SSSSS)" of a text. */
static const char *find_number(const char *text) {
    for (const char *p = text; *p; p++) {
        int digits = 0;
        while (isdigit((unsigned char)p[digits])) digits++;
        if (digits == 6 && strncmp(p + 6, " (", 2) == 0 && strlen(p) >= 14 && p[13] == ')') return p;
        if (digits > 0) p += digits - 1;
    }
    return NULL;
}

/* "(45) Error loading …": the driver counts its own errors, and beside them the number means no error of Snowflake's unless
 * the table has it. */
static bool is_drivers_own(int32_t native, const char *text) {
    return *text == '(' && strtol(text + 1, NULL, 10) == native && !meaning_of(native);
}

int32_t rf_snowflake_number(int32_t native, const char *text) {
    const char *found = find_number(text);
    if (found) return (int32_t)strtol(found, NULL, 10);
    return native > 0 && !is_drivers_own(native, text) ? native : 0;
}

/* What has no number of Snowflake's did not reach it, or the answer did not reach us. */
static enum rf_code code_without_number(const char *text) {
    bool refused = strstr(text, "private key") || strstr(text, "Private key") || strstr(text, "jwt") || strstr(text, "JWT");
    return refused ? RF_AUTH : RF_TARGET;
}

/* In one line, from Snowflake's number on, which comes twice when a driver puts it before the message, and beside it from
 * another driver. */
static void tidy(int32_t number, const char *sqlstate, const char *text, char *line, size_t size) {
    enum { PREFIX = 16 }; /* "000625 (57014): " */
    char beside[PREFIX + 1] = "";
    const char *found = find_number(text);
    if (found && strlen(found) > 2 * PREFIX && strncmp(found, found + PREFIX, PREFIX) == 0) found += PREFIX;
    if (!found && number > 0 && number < 1000000 && strlen(sqlstate) == 5) snprintf(beside, sizeof beside, "%06" PRId32 " (%s): ", number, sqlstate);
    rf_copy_text(line, size, beside);
    rf_copy_text(line + strlen(line), size - strlen(line), found ? found : text);
    for (char *p = line; *p; p++)
        if (*p == '\n' || *p == '\r') *p = ' ';
}

void rf_snowflake_diagnose(const char *role, int32_t native, const char *sqlstate, const char *text, struct rf_error *err) {
    char line[sizeof err->server_message];
    const char *found = find_number(text);
    int32_t number = rf_snowflake_number(native, text);
    const struct meaning *meaning = meaning_of(number);
    tidy(number, sqlstate, text, line, sizeof line);
    rf_fail(err, meaning ? meaning->code : number ? RF_TARGET : code_without_number(text), "target: %s: %s", role, line);
    rf_copy_text(err->role, sizeof err->role, role);
    rf_copy_text(err->server_message, sizeof err->server_message, line);
    if (*sqlstate || !found) rf_copy_text(err->sqlstate, sizeof err->sqlstate, sqlstate);
    else snprintf(err->sqlstate, sizeof err->sqlstate, "%.5s", found + 8);
    if (meaning) err->retryable = meaning->retryable;
    if (meaning && meaning->hint) rf_hint(err, "%s", meaning->hint);
}

static int32_t number_of(const struct rf_error *err) {
    const char *found = find_number(err->server_message);
    return found ? (int32_t)strtol(found, NULL, 10) : 0;
}

bool rf_snowflake_is_locked(const struct rf_error *err) {
    return number_of(err) == LOCKED;
}

bool rf_snowflake_is_expired(const struct rf_error *err) {
    return number_of(err) == EXPIRED;
}

bool rf_snowflake_answered(const struct rf_error *err) {
    enum { CONNECTORS = 250000 /* and above: numbers of connectors and of signing in */ };
    int32_t number = number_of(err);
    return number != 0 && number < CONNECTORS && strncmp(err->sqlstate, "08", 2) != 0 /* a connection that failed */;
}
