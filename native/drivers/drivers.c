#include "drivers/drivers.h"

#include "core/mask.h"
#include "drivers/hasher.h"

#include <ctype.h>
#include <string.h>

static bool is_postgres(const char *uri) {
    bool has_scheme = strncmp(uri + strcspn(uri, "=: "), "://", 3) == 0; /* key=value text may hold one in a password */
    return !has_scheme || strncmp(uri, "postgresql://", 13) == 0 || strncmp(uri, "postgres://", 11) == 0;
}

/* How long a scheme is that has the form of one (RFC 3986, section 3.1); else 0. */
static int scheme_length(const char *uri) {
    enum { LONGEST = 32 };
    int length = 0;
    if (!isalpha((unsigned char)*uri)) return 0;
    while (isalnum((unsigned char)uri[length]) || (uri[length] && strchr("+-.", uri[length]))) length++;
    return uri[length] == ':' && length <= LONGEST ? length : 0;
}

/* Only the scheme is shown: what follows may hold a password, and so may what is none. */
static enum rf_code unknown_scheme(const char *key, const char *uri, struct rf_error *err) {
    int length = scheme_length(uri);
    if (length > 0) rf_fail(err, RF_CONFIG, "\"%s\" of the job has the scheme \"%.*s\", which this release does not know", key, length, uri);
    else rf_fail(err, RF_CONFIG, "\"%s\" of the job is not a connection URI", key);
    return rf_hint(err, "It knows postgresql:// and, as targets, duckdb:///, snowflake://, mariadb://, sqlite:/// and odbc:.");
}

enum rf_code rf_source_for(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena,
                           struct rf_source_postgres *memory, struct rf_source *source, struct rf_error *err) {
    if (!is_postgres(job->source)) return unknown_scheme("source", job->source, err);
    *memory = (struct rf_source_postgres){.job = job, .cancel = cancel, .arena = arena};
    if (rf_job_hashes(job)) RF_TRY(rf_hasher_open(job, arena, &memory->hasher, err));
    *source = (struct rf_source){.ops = &rf_source_postgres_ops, .self = memory, .hasher = memory->hasher};
    return RF_OK;
}

enum rf_code rf_sink_for(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena,
                         union rf_sink_memory *memory, struct rf_sink *sink, struct rf_error *err) {
    if (rf_is_duckdb(job->target)) {
        memory->duckdb = (struct rf_sink_duckdb){.job = job, .cancel = cancel, .arena = arena};
        *sink = (struct rf_sink){.ops = &rf_sink_duckdb_ops, .self = &memory->duckdb, .channel = "adbc"};
        return RF_OK;
    }
    if (rf_is_snowflake(job->target)) {
        memory->snowflake = (struct rf_sink_snowflake){.job = job, .cancel = cancel, .arena = arena};
        *sink = (struct rf_sink){.ops = &rf_sink_snowflake_ops, .self = &memory->snowflake, .channel = rf_snowflake_channel(job)};
        return RF_OK;
    }
    if (rf_is_odbc(job->target)) {
        memory->odbc = (struct rf_sink_odbc){.job = job, .cancel = cancel, .arena = arena};
        *sink = (struct rf_sink){.ops = &rf_sink_odbc_ops, .self = &memory->odbc, .channel = "odbc"};
        return RF_OK;
    }
    if (!is_postgres(job->target)) return unknown_scheme("target", job->target, err);
    memory->postgres = (struct rf_sink_postgres){.job = job, .cancel = cancel, .arena = arena};
    *sink = (struct rf_sink){.ops = &rf_sink_postgres_ops, .self = &memory->postgres, .channel = "libpq"};
    return RF_OK;
}
