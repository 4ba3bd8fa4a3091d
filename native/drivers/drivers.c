#include "drivers/drivers.h"

#include <string.h>

static bool is_postgres(const char *uri) {
    bool has_scheme = strncmp(uri + strcspn(uri, "=: "), "://", 3) == 0; /* key=value text may hold one in a password */
    return !has_scheme || strncmp(uri, "postgresql://", 13) == 0 || strncmp(uri, "postgres://", 11) == 0;
}

/* Only the scheme is shown: what follows may hold a password. */
static enum rf_code unknown_scheme(const char *key, const char *uri, struct rf_error *err) {
    size_t length = strcspn(uri, ":");
    rf_fail(err, RF_CONFIG, "\"%s\" of the job has the scheme \"%.*s\", which this release does not know", key, (int)(length > 32 ? 32 : length), uri);
    return rf_hint(err, "It knows postgresql://.");
}

enum rf_code rf_source_for(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena,
                           struct rf_source_postgres *memory, struct rf_source *source, struct rf_error *err) {
    if (!is_postgres(job->source)) return unknown_scheme("source", job->source, err);
    *memory = (struct rf_source_postgres){.job = job, .cancel = cancel, .arena = arena};
    *source = (struct rf_source){.ops = &rf_source_postgres_ops, .self = memory};
    return RF_OK;
}

enum rf_code rf_sink_for(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena,
                         struct rf_sink_postgres *memory, struct rf_sink *sink, struct rf_error *err) {
    if (!is_postgres(job->target)) return unknown_scheme("target", job->target, err);
    *memory = (struct rf_sink_postgres){.job = job, .cancel = cancel, .arena = arena};
    *sink = (struct rf_sink){.ops = &rf_sink_postgres_ops, .self = memory, .channel = "libpq"};
    return RF_OK;
}
