/* snowflake://user:password@account/database/schema?warehouse=…&role=…: who connects where, and by what right.
 *
 * The parameters are called as in Snowflake's own Python connector: warehouse, role, authenticator, token, private_key_file,
 * private_key_file_pwd, private_key (the PEM text itself). host, port and protocol lead to something that speaks as
 * Snowflake does, an emulator or a proxy. Odd characters are written as %XX.
 */
#ifndef RF_SNOWFLAKE_URI_H
#define RF_SNOWFLAKE_URI_H

#include "core/arena.h"
#include "core/error.h"

#include <stdbool.h>

struct rf_snowflake_uri { /* each NULL when the URI does not say */
    const char *user;
    const char *password;
    const char *account;
    const char *database;
    const char *schema;
    const char *warehouse;
    const char *role;
    const char *authenticator; /* "snowflake", "oauth" or "snowflake_jwt", in small letters; what is told by the secret is filled in */
    const char *token;
    const char *private_key_file;
    const char *private_key; /* PEM */
    const char *private_key_file_pwd;
    const char *host;
    const char *port;
    const char *protocol; /* "http" or "https" */
};

bool rf_is_snowflake(const char *uri);

/* The texts of *out live in `arena`. RF_CONFIG says what is wrong, without a word of the URI but a parameter's name. */
enum rf_code rf_snowflake_uri_read(const char *uri, struct rf_arena *arena, struct rf_snowflake_uri *out, struct rf_error *err);

#endif
