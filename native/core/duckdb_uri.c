#include "core/duckdb_uri.h"

#include "core/uri.h"

#include <string.h>

static const char SCHEME[] = "duckdb:";

bool rf_is_duckdb(const char *uri) {
    return strncmp(uri, SCHEME, strlen(SCHEME)) == 0;
}

static enum rf_code wrong(struct rf_error *err, const char *what) {
    rf_fail(err, RF_CONFIG, "\"target\" of the job %s", what);
    return rf_hint(err, "Write duckdb:///directory/file.duckdb: three slashes and the whole path, as several machines or folders may run the job.");
}

static enum rf_code decode(const char *text, size_t n_bytes, struct rf_arena *arena, const char **out, struct rf_error *err) {
    bool malformed;
    *out = rf_uri_decode(text, n_bytes, arena, &malformed);
    if (malformed) return wrong(err, "has a % without two hexadecimal digits in its path: write it as %25");
    return *out ? RF_OK : rf_no_memory(err);
}

static enum rf_code read_option(const char *text, size_t n_bytes, struct rf_arena *arena, struct rf_duckdb_uri *out, struct rf_error *err) {
    const struct { const char *name; const char **value; } known[] = {{"memory_limit=", &out->memory_limit}, {"threads=", &out->threads}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t length = strlen(known[i].name);
        if (n_bytes > length && strncmp(text, known[i].name, length) == 0) return decode(text + length, n_bytes - length, arena, known[i].value, err);
    }
    rf_fail(err, RF_CONFIG, "\"target\" of the job has an option that is not known, or empty: %.*s", (int)strcspn(text, "=&"), text);
    return rf_hint(err, "There are memory_limit, as in \"?memory_limit=2GB\", and threads.");
}

enum rf_code rf_duckdb_uri_read(const char *uri, struct rf_arena *arena, struct rf_duckdb_uri *out, struct rf_error *err) {
    *out = (struct rf_duckdb_uri){0};
    const char *path = uri + strlen(SCHEME);
    if (strncmp(path, "///", 3) != 0) return wrong(err, "does not name a file of this machine");
    path += 2;
    size_t length = strcspn(path, "?");
    if (path[length - 1] == '/') return wrong(err, "names a directory");
    RF_TRY(decode(path, length, arena, &out->path, err));
    for (const char *at = path + length; *at;) {
        at++;
        size_t n_bytes = strcspn(at, "&");
        RF_TRY(read_option(at, n_bytes, arena, out, err));
        at += n_bytes;
    }
    return RF_OK;
}
