/* Any text as a connection: it is refused without showing the password in it. Nothing is looked up or connected to. */
#include "core/report.h"
#include "drivers/drivers.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static const char SECRET[] = "Qz7secret";

/* ---- a network in which there is nobody: libpq's calls come here ----------------------------------------------------- */

__attribute__((visibility("default"))) int getaddrinfo(const char *restrict name, const char *restrict service, const struct addrinfo *restrict hints, struct addrinfo **restrict out) {
    (void)name, (void)service, (void)hints;
    *out = NULL;
    return EAI_NONAME;
}

__attribute__((visibility("default"))) int socket(int domain, int type, int protocol) {
    (void)domain, (void)type, (void)protocol;
    errno = EACCES;
    return -1;
}

/* ---- what may be shown -------------------------------------------------------------------------------------------------- */

static bool holds_secret(const char *text) {
    return text && strstr(text, SECRET);
}

/* The word that says which kind of server: RFC 3986, section 3.1. */
static bool is_in_scheme(const char *uri) {
    size_t length = strspn(uri, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    const char *at = strstr(uri, SECRET);
    return isalpha((unsigned char)*uri) && strncmp(uri + length, "://", 3) == 0 && at && at < uri + length;
}

/* In a text that libpq understands, only what it takes for the password is secret; in any other, all of it. */
static bool is_secret_in(const char *uri) {
    if (is_in_scheme(uri)) return false;
    PQconninfoOption *options = PQconninfoParse(uri, NULL);
    bool elsewhere = false;
    for (PQconninfoOption *option = options; option && option->keyword; option++)
        elsewhere |= strcmp(option->keyword, "password") != 0 && strcmp(option->keyword, "sslpassword") != 0 && holds_secret(option->val);
    PQconninfoFree(options);
    return holds_secret(uri) && !elsewhere;
}

/* The input with the secret in the place of each byte 1. */
static char *make_uri(const uint8_t *data, size_t n_bytes) {
    struct rf_text uri = {0};
    rf_text_add(&uri, "");
    for (size_t i = 0; i < n_bytes && data[i]; i++) {
        if (data[i] == 1) rf_text_add(&uri, SECRET);
        else rf_text_add_bytes(&uri, (const char *)&data[i], 1);
    }
    return uri.data;
}

static void refuse(const char *uri) {
    struct rf_error err = {0};
    struct rf_source source;
    struct rf_source_postgres memory;
    struct rf_arena arena;
    struct rf_cancel *cancel = rf_cancel_new();
    const struct rf_job job = {.source = uri, .application = "fuzz", .connect_timeout = 1};
    rf_arena_init(&arena, 1 << 20);
    enum rf_code code = rf_source_for(&job, cancel, &arena, &memory, &source, &err);
    if (code == RF_OK) {
        code = source.ops->open(source.self, &err);
        source.ops->close(source.self);
    }
    if (code == RF_OK || !*err.message) abort();
    char *shown = rf_error_json(&err);
    if (is_secret_in(uri) && holds_secret(shown)) abort();
    free(shown);
    rf_cancel_release(cancel);
    rf_arena_free(&arena);
}

static enum rf_code read_odbc(const char *uri, struct rf_arena *arena, struct rf_error *err) {
    struct rf_odbc_uri read;
    enum rf_code code = rf_odbc_uri_read(uri, arena, &read, err);
    if (code == RF_OK && !read.pairs) abort();
    return code;
}

static enum rf_code read_snowflake(const char *uri, struct rf_arena *arena, struct rf_error *err) {
    struct rf_snowflake_uri read;
    enum rf_code code = rf_snowflake_uri_read(uri, arena, &read, err);
    if (code == RF_OK && (!read.user || !read.account || !read.authenticator)) abort();
    return code;
}

/* Of a target; what is wrong with it names an option and nothing else. */
static void read_target(const char *uri) {
    struct rf_error err = {0};
    struct rf_arena arena;
    if (!rf_is_odbc(uri) && !rf_is_snowflake(uri)) return;
    rf_arena_init(&arena, 1 << 20);
    enum rf_code code = rf_is_odbc(uri) ? read_odbc(uri, &arena, &err) : read_snowflake(uri, &arena, &err);
    if (code != RF_OK && holds_secret(err.message) && !strstr(err.message, "not known: ")) abort();
    rf_arena_free(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    char *uri = make_uri(data, n_bytes);
    if (*uri) refuse(uri);
    read_target(uri);
    free(uri);
    return 0;
}
