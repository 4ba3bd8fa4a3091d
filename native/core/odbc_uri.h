/* Which database behind ODBC a target names: mysql://user@host/db, sqlite:///path, or odbc: and a connection string. */
#ifndef RF_ODBC_URI_H
#define RF_ODBC_URI_H

#include "core/arena.h"
#include "core/error.h"
#include "core/schema.h"
#include "core/text.h"

#include <stdbool.h>

enum { RF_ODBC_SECRETS = 4 };

struct rf_odbc_uri {
    const char *pairs;  /* of the connection string, each with its semicolon; may hold secrets */
    const char *secrets[RF_ODBC_SECRETS]; /* the passwords in them, those that are not NULL */
    const char *path;   /* of a SQLite file, absolute; else NULL */
    enum rf_dialect dialect; /* what the scheme promises; RF_DIALECTS: the driver is to say it */
    bool names_driver;  /* the string has a DRIVER or a DSN of its own */
};

bool rf_is_odbc(const char *uri);

/* Appends name=value; in braces, within which a } is written twice, where one of the signs `special` is in the value. */
void rf_odbc_add_pair(struct rf_text *pairs, const char *name, const char *value, const char *special);

/* The texts of *out live in `arena`. RF_CONFIG says what is wrong, without a word of the URI but an option's name. */
enum rf_code rf_odbc_uri_read(const char *uri, struct rf_arena *arena, struct rf_odbc_uri *out, struct rf_error *err);

#endif
