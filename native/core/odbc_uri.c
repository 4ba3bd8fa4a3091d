#include "core/odbc_uri.h"

#include "core/uri.h"

#include <string.h>
#include <strings.h>

/* A connection string in the making. */
struct reading {
    struct rf_arena *arena;
    struct rf_odbc_uri *out;
    struct rf_text pairs;
};

static const struct scheme {
    const char *begins;
    enum rf_dialect dialect;
} SCHEMES[] = {
    {"mysql:", RF_DIALECT_MARIADB},
    {"mariadb:", RF_DIALECT_MARIADB},
    {"sqlite:", RF_DIALECT_SQLITE},
    {"odbc:", RF_DIALECTS},
};

static const struct scheme *scheme_of(const char *uri) {
    for (size_t i = 0; i < sizeof SCHEMES / sizeof SCHEMES[0]; i++)
        if (strncmp(uri, SCHEMES[i].begins, strlen(SCHEMES[i].begins)) == 0) return &SCHEMES[i];
    return NULL;
}

bool rf_is_odbc(const char *uri) {
    return scheme_of(uri) != NULL;
}

static enum rf_code wrong(struct rf_error *err, const char *what, const char *hint) {
    rf_fail(err, RF_CONFIG, "\"target\" of the job %s", what);
    return rf_hint(err, "%s", hint);
}

static enum rf_code decode(struct reading *reading, const char *text, size_t n_bytes, const char **out, struct rf_error *err) {
    bool malformed;
    *out = rf_uri_decode(text, n_bytes, reading->arena, &malformed);
    if (malformed) return wrong(err, "has a % without two hexadecimal digits", "Write a % as %25.");
    return *out ? RF_OK : rf_no_memory(err);
}

void rf_odbc_add_pair(struct rf_text *pairs, const char *name, const char *value, const char *special) {
    bool plain = strcspn(value, special) == strlen(value);
    rf_text_addf(pairs, plain ? "%s=" : "%s={", name);
    for (const char *p = value; *p; p++) {
        if (*p == '}') rf_text_add(pairs, "}");
        rf_text_add_bytes(pairs, p, 1);
    }
    rf_text_add(pairs, plain ? ";" : "};");
}

/* Where a driver might take a sign of the value for the end of it. */
static void add_pair(struct reading *reading, const char *name, const char *value) {
    rf_odbc_add_pair(&reading->pairs, name, value, ";{}[](),?*=!@ ");
}

/* ---- MariaDB ---- */

static const char MARIADB_FORM[] = "Write mariadb://user:password@host:3306/database, with %XX for what is special in a URI.";

/* By what is written, not by what a name resolves to. */
static bool is_local(const char *host) {
    return strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

/* Who answers must be known before a password is sent. */
static enum rf_code add_tls(struct reading *reading, const char *mode, const char *host, struct rf_error *err) {
    if (!mode) mode = is_local(host) ? "prefer" : "verify-full";
    if (strcmp(mode, "verify-full") == 0) rf_text_add(&reading->pairs, "FORCETLS=1;SSLVERIFY=1;");
    else if (strcmp(mode, "require") == 0) rf_text_add(&reading->pairs, "FORCETLS=1;");
    else if (strcmp(mode, "prefer") != 0 && strcmp(mode, "disable") != 0)
        return wrong(err, "has an sslmode that is not known", "There are verify-full, require, prefer and disable.");
    return RF_OK;
}

static enum rf_code read_options(struct reading *reading, const char *at, const char *host, struct rf_error *err) {
    const char *mode = NULL, *authority = NULL, *socket = NULL;
    const struct { const char *name; const char **value; } known[] = {{"sslmode=", &mode}, {"sslrootcert=", &authority}, {"socket=", &socket}};
    while (*at) {
        size_t n_bytes = strcspn(++at, "&"), i = 0, n_known = sizeof known / sizeof known[0];
        while (i < n_known && strncmp(at, known[i].name, strlen(known[i].name)) != 0) i++;
        if (i == n_known) {
            rf_fail(err, RF_CONFIG, "\"target\" of the job has an option that is not known: %.*s", (int)strcspn(at, "=&"), at);
            return rf_hint(err, "There are sslmode, sslrootcert and socket.");
        }
        size_t length = strlen(known[i].name);
        RF_TRY(decode(reading, at + length, n_bytes - length, known[i].value, err));
        at += n_bytes;
    }
    if (authority) add_pair(reading, "SSLCA", authority);
    if (socket) add_pair(reading, "SOCKET", socket);
    else rf_text_add(&reading->pairs, "TCPIP=1;"); /* a client of this family takes localhost for a socket */
    return add_tls(reading, mode, socket ? "localhost" : host, err);
}

/* user:password */
static enum rf_code read_user(struct reading *reading, const char *at, size_t n_bytes, struct rf_error *err) {
    const char *user, *colon = memchr(at, ':', n_bytes);
    size_t length = colon ? (size_t)(colon - at) : n_bytes;
    RF_TRY(decode(reading, at, length, &user, err));
    add_pair(reading, "UID", user);
    if (!colon) return RF_OK;
    RF_TRY(decode(reading, colon + 1, n_bytes - length - 1, &reading->out->secrets[0], err));
    add_pair(reading, "PWD", reading->out->secrets[0]);
    return RF_OK;
}

/* host:port or [::1]:port */
static enum rf_code read_host(struct reading *reading, const char *at, size_t n_bytes, const char **host, struct rf_error *err) {
    bool bracketed = n_bytes > 0 && *at == '[';
    const char *end = bracketed ? memchr(at, ']', n_bytes) : memchr(at, ':', n_bytes);
    if (bracketed && !end) return wrong(err, "has a [ without its ]", MARIADB_FORM);
    const char *from = at + bracketed, *rest = end ? end + bracketed : at + n_bytes;
    RF_TRY(decode(reading, from, (size_t)((end ? end : at + n_bytes) - from), host, err));
    if (!**host) *host = "localhost";
    add_pair(reading, "SERVER", *host);
    size_t left = n_bytes - (size_t)(rest - at);
    if (left == 0) return RF_OK;
    if (*rest != ':' || left == 1 || strspn(rest + 1, "0123456789") < left - 1) return wrong(err, "has a port that is no number", MARIADB_FORM);
    rf_text_addf(&reading->pairs, "PORT=%.*s;", (int)left - 1, rest + 1);
    return RF_OK;
}

static enum rf_code read_mariadb(struct reading *reading, const char *at, struct rf_error *err) {
    const char *host, *database;
    if (strncmp(at, "//", 2) != 0) return wrong(err, "is no URI of a MariaDB server", MARIADB_FORM);
    at += 2;
    size_t authority = strcspn(at, "/?");
    const char *sign = memchr(at, '@', authority), *path = at + authority;
    size_t user = sign ? (size_t)(sign - at) : 0;
    if (sign) RF_TRY(read_user(reading, at, user, err));
    at += user + (sign != NULL);
    RF_TRY(read_host(reading, at, (size_t)(path - at), &host, err));
    if (*path == '/') path++;
    size_t length = strcspn(path, "?");
    RF_TRY(decode(reading, path, length, &database, err));
    if (*database) add_pair(reading, "DATABASE", database);
    rf_text_add(&reading->pairs, "CHARSET=utf8mb4;");
    return read_options(reading, path + length, host, err);
}

/* ---- SQLite ---- */

static const char SQLITE_FORM[] = "Write sqlite:///directory/file.sqlite: three slashes and the whole path.";

static enum rf_code read_sqlite(struct reading *reading, const char *at, struct rf_error *err) {
    if (strncmp(at, "///", 3) != 0) return wrong(err, "does not name a file of this machine", SQLITE_FORM);
    if (strchr(at, '?')) return wrong(err, "has an option, and there is none for a SQLite file", SQLITE_FORM);
    at += 2;
    if (at[strlen(at) - 1] == '/') return wrong(err, "names a directory", SQLITE_FORM);
    RF_TRY(decode(reading, at, strlen(at), &reading->out->path, err));
    if (strpbrk(reading->out->path, ";{}")) return wrong(err, "has a ; or a brace in its path, which a connection string cannot hold", SQLITE_FORM);
    /* The file is waited for here, where a cancel is heard; a result is given row by row, and not held in memory. */
    rf_text_addf(&reading->pairs, "DATABASE=%s;TIMEOUT=1;STEPAPI=1;", reading->out->path);
    return RF_OK;
}

/* ---- a connection string as it is ---- */

/* The value that begins here ends before the semicolon that is in no braces. */
static size_t value_length(const char *value) {
    if (*value != '{') return strcspn(value, ";");
    size_t i = 1;
    while (value[i] && !(value[i] == '}' && value[i + 1] != '}')) i += value[i] == '}' ? 2 : 1;
    return i + strcspn(value + i, ";");
}

static bool is_name(const char *text, size_t n_bytes, const char *name) {
    while (n_bytes > 0 && text[n_bytes - 1] == ' ') n_bytes--;
    return n_bytes == strlen(name) && strncasecmp(text, name, n_bytes) == 0;
}

static enum rf_code copy_secret(struct reading *reading, const char *value, size_t n_bytes, struct rf_error *err) {
    bool braced = n_bytes >= 2 && *value == '{';
    char *secret = rf_arena_take(reading->arena, n_bytes + 1), *to = secret;
    if (!secret) return rf_no_memory(err);
    for (const char *p = value + braced; p < value + n_bytes - braced; p++) {
        *to++ = *p;
        if (braced && p[0] == '}' && p[1] == '}') p++;
    }
    reading->out->secrets[0] = secret;
    return RF_OK;
}

static enum rf_code read_string(struct reading *reading, const char *at, struct rf_error *err) {
    static const char form[] = "Write odbc:Driver=MariaDB Unicode;Server=…;UID=…;PWD=…, or odbc:DSN=… with a name of odbc.ini.";
    rf_text_add(&reading->pairs, at);
    while (*(at += strspn(at, "; "))) {
        const char *equals = strchr(at, '=');
        if (!equals || strcspn(at, ";") < (size_t)(equals - at)) return wrong(err, "is no connection string of ODBC", form);
        const char *value = equals + 1 + strspn(equals + 1, " ");
        size_t name = (size_t)(equals - at), length = value_length(value);
        reading->out->names_driver |= is_name(at, name, "DRIVER") || is_name(at, name, "DSN");
        if (is_name(at, name, "PWD") || is_name(at, name, "PASSWORD")) RF_TRY(copy_secret(reading, value, length, err));
        at = value + length;
    }
    rf_text_add(&reading->pairs, ";");
    return reading->out->names_driver ? RF_OK : wrong(err, "names neither a DRIVER nor a DSN", form);
}

enum rf_code rf_odbc_uri_read(const char *uri, struct rf_arena *arena, struct rf_odbc_uri *out, struct rf_error *err) {
    const struct scheme *scheme = scheme_of(uri);
    const char *rest = uri + strlen(scheme->begins);
    struct reading reading = {.arena = arena, .out = out};
    *out = (struct rf_odbc_uri){.dialect = scheme->dialect};
    enum rf_code code = scheme->dialect == RF_DIALECT_MARIADB ? read_mariadb(&reading, rest, err)
                        : scheme->dialect == RF_DIALECT_SQLITE ? read_sqlite(&reading, rest, err) : read_string(&reading, rest, err);
    if (code == RF_OK) return rf_arena_text(arena, &reading.pairs, &out->pairs, err);
    rf_text_free(&reading.pairs);
    return code;
}
