/* Which database behind ODBC a target names: mysql://user@host/db, sqlite:///path, or odbc: and a connection string. */
#ifndef RF_ODBC_URI_H
#define RF_ODBC_URI_H

#include "core/arena.h"
#include "core/error.h"
#include "core/schema.h"

#include <stdbool.h>

struct rf_odbc_uri {
    const char *pairs;  /* of the connection string, each with its semicolon; may hold a secret */
    const char *secret; /* the password in them; NULL when there is none */
    const char *path;   /* of a SQLite file, absolute; else NULL */
    enum rf_dialect dialect; /* what the scheme promises; RF_DIALECTS: the driver is to say it */
    bool names_driver;  /* the string has a DRIVER or a DSN of its own */
};

bool rf_is_odbc(const char *uri);

/* The texts of *out live in `arena`. RF_CONFIG says what is wrong, without a word of the URI but an option's name. */
enum rf_code rf_odbc_uri_read(const char *uri, struct rf_arena *arena, struct rf_odbc_uri *out, struct rf_error *err);

#endif
