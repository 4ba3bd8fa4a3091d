#include "drivers/connect_snowflake.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SQL_OPTION "adbc.snowflake.sql."
#define CLIENT_OPTION SQL_OPTION "client_option."

enum { MOST_KEY_BYTES = 65536 };

/* ---- ADBC ---- */

static enum rf_code read_key(const char *path, struct rf_arena *arena, const char **out, struct rf_error *err) {
    char *text = rf_arena_take(arena, MOST_KEY_BYTES + 1);
    if (!text) return rf_no_memory(err);
    FILE *file = fopen(path, "rbe");
    int why = errno;
    size_t n_bytes = file ? fread(text, 1, MOST_KEY_BYTES, file) : 0;
    if (file) fclose(file);
    if (!file) return rf_fail(err, RF_CONFIG, "the file with the private key of the target, %s, cannot be read: %s", path, strerror(why));
    text[n_bytes] = '\0';
    *out = text;
    return RF_OK;
}

static void add(struct rf_adbc_option *options, int *n, const char *name, const char *value) {
    if (value) options[(*n)++] = (struct rf_adbc_option){name, value};
}

static const char *auth_type(const struct rf_snowflake_uri *uri) {
    if (strcmp(uri->authenticator, "oauth") == 0) return "auth_oauth";
    return strcmp(uri->authenticator, "snowflake_jwt") == 0 ? "auth_jwt" : "auth_snowflake";
}

static enum rf_code add_key(const struct rf_snowflake_uri *uri, struct rf_arena *arena, struct rf_adbc_option *options, int *n, struct rf_error *err) {
    const char *pem = uri->private_key;
    if (uri->private_key_file && !uri->private_key_file_pwd) add(options, n, CLIENT_OPTION "jwt_private_key", uri->private_key_file);
    if (uri->private_key_file && uri->private_key_file_pwd) RF_TRY(read_key(uri->private_key_file, arena, &pem, err));
    add(options, n, CLIENT_OPTION "jwt_private_key_pkcs8_password", uri->private_key_file_pwd);
    add(options, n, CLIENT_OPTION "jwt_private_key_pkcs8_value", pem);
    return RF_OK;
}

enum rf_code rf_snowflake_adbc_options(const struct rf_snowflake_uri *uri, const struct rf_job *job, struct rf_arena *arena,
                                       struct rf_adbc_option options[RF_SNOWFLAKE_OPTIONS], int *n, struct rf_error *err) {
    char timeout[24];
    snprintf(timeout, sizeof timeout, "%ds", job->connect_timeout);
    const char *seconds = rf_arena_copy(arena, timeout);
    if (!seconds) return rf_no_memory(err);
    *n = 0;
    add(options, n, "username", uri->user);
    add(options, n, "password", uri->password);
    add(options, n, SQL_OPTION "account", uri->account);
    add(options, n, SQL_OPTION "db", uri->database);
    add(options, n, SQL_OPTION "schema", uri->schema);
    add(options, n, SQL_OPTION "warehouse", uri->warehouse);
    add(options, n, SQL_OPTION "role", uri->role);
    add(options, n, SQL_OPTION "uri.host", uri->host);
    add(options, n, SQL_OPTION "uri.port", uri->port);
    add(options, n, SQL_OPTION "uri.protocol", uri->protocol);
    add(options, n, SQL_OPTION "auth_type", auth_type(uri));
    add(options, n, CLIENT_OPTION "auth_token", uri->token);
    add(options, n, CLIENT_OPTION "login_timeout", seconds);
    add(options, n, CLIENT_OPTION "keep_session_alive", "true");
    return add_key(uri, arena, options, n, err);
}

/* ---- ODBC ---- */

/* Its driver splits the string at semicolons; an = or @ within a value is no end of it. */
static void add_attribute(struct rf_text *out, const char *name, const char *value) {
    if (value) rf_odbc_add_pair(out, name, value, ";{} ");
}

/* In the alphabet of RFC 4648, section 4. */
static enum rf_code encode_key(const char *pem, struct rf_arena *arena, const char **out, struct rf_error *err) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n_bytes = strlen(pem);
    char *text = rf_arena_take(arena, (n_bytes + 2) / 3 * 4 + 1), *to = text;
    if (!text) return rf_no_memory(err);
    for (size_t i = 0; i < n_bytes; i += 3) {
        size_t left = n_bytes - i;
        unsigned word = (unsigned)(unsigned char)pem[i] << 16;
        if (left > 1) word |= (unsigned)(unsigned char)pem[i + 1] << 8;
        if (left > 2) word |= (unsigned char)pem[i + 2];
        *to++ = alphabet[word >> 18];
        *to++ = alphabet[word >> 12 & 63];
        *to++ = left > 1 ? alphabet[word >> 6 & 63] : '=';
        *to++ = left > 2 ? alphabet[word & 63] : '=';
    }
    *to = '\0';
    *out = text;
    return RF_OK;
}

/* Each way to sign in by the names that the driver's documentation has for it: "ODBC configuration and connection parameters". */
static void add_secrets(const struct rf_snowflake_uri *uri, const char *key, struct rf_text *out) {
    add_attribute(out, "AUTHENTICATOR", uri->authenticator);
    add_attribute(out, "PWD", uri->password);
    add_attribute(out, "TOKEN", uri->token);
    add_attribute(out, "PRIV_KEY_FILE", uri->private_key_file);
    add_attribute(out, "PRIV_KEY_BASE64", key);
    add_attribute(out, key ? "PRIV_KEY_PWD" : "PRIV_KEY_FILE_PWD", uri->private_key_file_pwd);
}

static void add_pairs(const struct rf_snowflake_uri *uri, const struct rf_job *job, const char *key, struct rf_text *out) {
    if (uri->host) add_attribute(out, "Server", uri->host);
    else rf_text_addf(out, "Server=%s.snowflakecomputing.com;", uri->account);
    add_attribute(out, "Port", uri->port);
    add_attribute(out, "Account", uri->account);
    add_attribute(out, "UID", uri->user);
    add_secrets(uri, key, out);
    add_attribute(out, "Database", uri->database);
    add_attribute(out, "Schema", uri->schema);
    add_attribute(out, "Warehouse", uri->warehouse);
    add_attribute(out, "Role", uri->role);
    rf_text_addf(out, "LOGIN_TIMEOUT=%d;NoExecuteInSQLPrepare=true;CLIENT_SESSION_KEEP_ALIVE=true;", job->connect_timeout);
}

enum rf_code rf_snowflake_odbc_uri(const struct rf_snowflake_uri *uri, const struct rf_job *job, struct rf_arena *arena, struct rf_odbc_uri *out, struct rf_error *err) {
    const char *key = NULL;
    struct rf_text pairs = {0};
    if (uri->protocol && strcmp(uri->protocol, "https") != 0) {
        rf_fail(err, RF_CONFIG, "Snowflake's ODBC driver speaks https, and the target's URI asks for http");
        return rf_hint(err, "Leave protocol out of the URI, or take the channel adbc.");
    }
    if (uri->private_key) RF_TRY(encode_key(uri->private_key, arena, &key, err));
    add_pairs(uri, job, key, &pairs);
    *out = (struct rf_odbc_uri){.secrets = {uri->password, uri->token, key, uri->private_key_file_pwd}, .dialect = RF_DIALECT_SNOWFLAKE};
    return rf_arena_text(arena, &pairs, &out->pairs, err);
}
