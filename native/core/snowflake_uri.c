#include "core/snowflake_uri.h"

#include "core/uri.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

static const char SCHEME[] = "snowflake:";

static const struct parameter {
    const char *name;
    size_t offset; /* in struct rf_snowflake_uri */
} PARAMETERS[] = {
    {"warehouse", offsetof(struct rf_snowflake_uri, warehouse)},
    {"role", offsetof(struct rf_snowflake_uri, role)},
    {"authenticator", offsetof(struct rf_snowflake_uri, authenticator)},
    {"token", offsetof(struct rf_snowflake_uri, token)},
    {"private_key_file", offsetof(struct rf_snowflake_uri, private_key_file)},
    {"private_key_file_pwd", offsetof(struct rf_snowflake_uri, private_key_file_pwd)},
    {"private_key", offsetof(struct rf_snowflake_uri, private_key)},
    {"host", offsetof(struct rf_snowflake_uri, host)},
    {"port", offsetof(struct rf_snowflake_uri, port)},
    {"protocol", offsetof(struct rf_snowflake_uri, protocol)},
};

bool rf_is_snowflake(const char *uri) {
    return strncmp(uri, SCHEME, strlen(SCHEME)) == 0;
}

static enum rf_code wrong(struct rf_error *err, const char *what) {
    rf_fail(err, RF_CONFIG, "\"target\" of the job %s", what);
    return rf_hint(err, "Write snowflake://user@account/database?warehouse=…&role=…, with odd characters as %%XX.");
}

/* A part of the URI with its %XX undone; an empty one is left out. */
static enum rf_code take(const char *text, size_t n_bytes, struct rf_arena *arena, const char **out, struct rf_error *err) {
    if (n_bytes == 0) return RF_OK;
    bool malformed;
    *out = rf_uri_decode(text, n_bytes, arena, &malformed);
    if (malformed) return wrong(err, "has a % without two hexadecimal digits: write it as %25");
    return *out ? RF_OK : rf_no_memory(err);
}

static enum rf_code take_parameter(const char *text, size_t n_bytes, struct rf_arena *arena, struct rf_snowflake_uri *out, struct rf_error *err) {
    const char *equals = memchr(text, '=', n_bytes);
    size_t length = equals ? (size_t)(equals - text) : n_bytes;
    for (size_t i = 0; equals && i < sizeof PARAMETERS / sizeof PARAMETERS[0]; i++) {
        if (strlen(PARAMETERS[i].name) != length || strncmp(PARAMETERS[i].name, text, length) != 0) continue;
        const char **field = (const char **)(void *)((char *)out + PARAMETERS[i].offset);
        return take(equals + 1, n_bytes - length - 1, arena, field, err);
    }
    rf_fail(err, RF_CONFIG, "\"target\" of the job has a parameter that is not known: %.*s", (int)(length < 64 ? length : 64), text);
    return rf_hint(err, "There are warehouse, role, authenticator, token, private_key_file, private_key_file_pwd, private_key, host, port and protocol.");
}

/* database, then schema */
static enum rf_code take_path(const char *path, size_t n_bytes, struct rf_arena *arena, struct rf_snowflake_uri *out, struct rf_error *err) {
    const char *slash = memchr(path, '/', n_bytes);
    size_t length = slash ? (size_t)(slash - path) : n_bytes;
    RF_TRY(take(path, length, arena, &out->database, err));
    if (!slash) return RF_OK;
    size_t rest = n_bytes - length - 1;
    if (memchr(slash + 1, '/', rest)) return wrong(err, "has more than a database and a schema behind the account");
    return take(slash + 1, rest, arena, &out->schema, err);
}

/* user:password@account */
static enum rf_code take_who(const char *text, size_t n_bytes, struct rf_arena *arena, struct rf_snowflake_uri *out, struct rf_error *err) {
    const char *at = memchr(text, '@', n_bytes);
    if (!at) return wrong(err, "does not say who connects");
    size_t length = (size_t)(at - text), rest = n_bytes - length - 1;
    const char *colon = memchr(text, ':', length);
    size_t user = colon ? (size_t)(colon - text) : length;
    if (user == 0 || rest == 0) return wrong(err, "does not say who connects to which account");
    if (memchr(at + 1, '@', rest)) return wrong(err, "has an @ in its user or password: write it as %40");
    RF_TRY(take(text, user, arena, &out->user, err));
    if (colon) RF_TRY(take(colon + 1, length - user - 1, arena, &out->password, err));
    return take(at + 1, rest, arena, &out->account, err);
}

static enum rf_code set_authenticator(struct rf_arena *arena, struct rf_snowflake_uri *out, struct rf_error *err) {
    bool has_key = out->private_key || out->private_key_file;
    const char *told = out->authenticator ? out->authenticator : has_key ? "snowflake_jwt" : out->token ? "oauth" : "snowflake";
    char *name = rf_arena_copy(arena, told);
    if (!name) return rf_no_memory(err);
    for (char *p = name; *p; p++) *p = (char)tolower((unsigned char)*p);
    out->authenticator = name;
    if (strcmp(name, "snowflake") == 0) return out->password ? RF_OK : wrong(err, "has no password, no private key and no token");
    if (strcmp(name, "oauth") == 0) return out->token ? RF_OK : wrong(err, "has no token, and its authenticator is oauth");
    if (strcmp(name, "snowflake_jwt") == 0) return has_key ? RF_OK : wrong(err, "has no private key, and its authenticator is snowflake_jwt");
    rf_fail(err, RF_CONFIG, "\"target\" of the job has an authenticator that this release does not know");
    return rf_hint(err, "It knows snowflake (a password), snowflake_jwt (a key pair) and oauth (a token): what a task without a person at it can use.");
}

static bool is_one_of(const char *text, const char *a, const char *b) {
    return !text || strcmp(text, a) == 0 || strcmp(text, b) == 0;
}

/* It becomes a part of a host's name and of a connection string. */
static bool is_account(const char *text) {
    for (; *text; text++)
        if (!isalnum((unsigned char)*text) && !strchr("._-", *text)) return false;
    return true;
}

static enum rf_code check(const struct rf_snowflake_uri *uri, struct rf_error *err) {
    if (!is_account(uri->account)) return wrong(err, "has an account with something else in it than letters, digits, dots, hyphens and underscores");
    if (uri->private_key && uri->private_key_file) return wrong(err, "has a private key and a file with one");
    if (uri->private_key && !strstr(uri->private_key, "-----BEGIN ")) return wrong(err, "has a private key that is no PEM text, from -----BEGIN on");
    if (uri->port && strspn(uri->port, "0123456789") != strlen(uri->port)) return wrong(err, "has a port that is no number");
    return is_one_of(uri->protocol, "http", "https") ? RF_OK : wrong(err, "has a protocol that is neither http nor https");
}

enum rf_code rf_snowflake_uri_read(const char *uri, struct rf_arena *arena, struct rf_snowflake_uri *out, struct rf_error *err) {
    *out = (struct rf_snowflake_uri){0};
    const char *at = uri + strlen(SCHEME);
    if (strncmp(at, "//", 2) != 0) return wrong(err, "does not name an account");
    at += 2;
    size_t who = strcspn(at, "/?");
    RF_TRY(take_who(at, who, arena, out, err));
    at += who;
    if (*at == '/') {
        size_t path = strcspn(at + 1, "?");
        RF_TRY(take_path(at + 1, path, arena, out, err));
        at += 1 + path;
    }
    while (*at) {
        at++;
        size_t n_bytes = strcspn(at, "&");
        if (n_bytes > 0) RF_TRY(take_parameter(at, n_bytes, arena, out, err));
        at += n_bytes;
    }
    RF_TRY(check(out, err));
    return set_authenticator(arena, out, err);
}
