/* The lease of a table in Snowflake: a row for each target, which its holder renews; one that was given up expires.
 *
 * Its statements are short and commit by themselves: what waits for a lock there waits for one of these.
 */
#include "core/sql_snowflake.h"
#include "drivers/diagnose_snowflake.h"
#include "drivers/lease_keeper.h"
#include "drivers/sink_snowflake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { LEASE_POLL_MS = 1000, KEEPER_ARENA_BYTES = 1 << 20 };

static enum rf_code make_token(struct rf_sink_snowflake *sink, struct rf_error *err) {
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return rf_fail(err, RF_INTERNAL, "the system gave no random bytes for a lease");
    for (size_t i = 0; i < sizeof random; i++) snprintf(sink->token + 2 * i, 3, "%02x", random[i]);
    return RF_OK;
}

enum { LEASE_LOAD, LEASE_TOKEN, LEASE_RUN, LEASE_TRY, LEASE_APPLICATION, LEASE_SESSION };

static enum rf_code read_lease(struct rf_sink_snowflake *sink, struct rf_result *lease, struct rf_error *err) {
    struct rf_text sql = {0};
    rf_snowflake_read_lease(sink->job, &sql);
    return rf_snowflake_read(sink, "read the lease", &sql, lease, err);
}

static enum rf_code try_lease(struct rf_sink_snowflake *sink, struct rf_result *lease, bool *got, struct rf_error *err) {
    struct rf_text take = {0};
    rf_snowflake_take_lease(sink->job, sink->token, sink->session_id, &take);
    RF_TRY(rf_snowflake_execute(sink, "take the lease", &take, NULL, err));
    RF_TRY(read_lease(sink, lease, err));
    const char *token = rf_result_cell(lease, 0, LEASE_TOKEN);
    *got = token && strcmp(token, sink->token) == 0;
    return RF_OK;
}

static const char *known(const struct rf_result *lease, int column) {
    const char *text = rf_result_cell(lease, 0, column);
    return text && *text ? text : "unknown";
}

static enum rf_code busy(const struct rf_sink_snowflake *sink, const struct rf_result *lease, struct rf_error *err) {
    rf_fail(err, RF_BUSY, "%s is held by run \"%s\", try %s (%s, session %s of the target), and was not free within %g s", sink->job->target_label,
            known(lease, LEASE_RUN), known(lease, LEASE_TRY), known(lease, LEASE_APPLICATION), known(lease, LEASE_SESSION), sink->job->lock_timeout);
    return rf_hint(err, "Wait for that run, or raise lock_timeout; of a run that died the lease is free %g s after its last sign of life.", sink->job->lease_seconds);
}

/* Of a holder that was given up: it may still be at work. Not every role may do so, and the fence holds without it. */
static void end_holder(struct rf_sink_snowflake *sink, const char *session) {
    struct rf_text sql = {0};
    struct rf_result rows;
    struct rf_error ignored;
    if (!session || (sink->session_id && strcmp(session, sink->session_id) == 0)) return;
    rf_snowflake_end_session(session, &sql);
    (void)sink->session.ops->read(sink->session.self, "end the session of the lease's holder", &sql, sink->arena, &rows, &ignored);
}

static enum rf_code wait_for_lease(struct rf_sink_snowflake *sink, struct rf_result *lease, struct rf_error *err) {
    struct rf_result before;
    RF_TRY(read_lease(sink, &before, err));
    for (double waited = 0;; waited += LEASE_POLL_MS / 1000.0) {
        bool got;
        RF_TRY(try_lease(sink, lease, &got, err));
        if (got && rf_result_cell(&before, 0, LEASE_TOKEN)) end_holder(sink, rf_result_cell(&before, 0, LEASE_SESSION));
        if (got) return RF_OK;
        if (waited >= sink->job->lock_timeout) return busy(sink, lease, err);
        rf_cancel_wait(sink->cancel, LEASE_POLL_MS);
        before = *lease;
    }
}

/* ---- keeping it ---- */

/* On a session of its own, which is opened when the time has come. */
struct renewal {
    struct rf_sink_snowflake sink; /* the session alone */
    struct rf_arena arena;
};

static void close_renewal(struct renewal *renewal) {
    if (renewal->sink.session.ops) renewal->sink.session.ops->close(renewal->sink.session.self);
    renewal->sink.session.ops = NULL;
    rf_arena_free(&renewal->arena);
}

static enum rf_code renew(void *self, struct rf_cancel *stop, struct rf_error *err) {
    struct renewal *renewal = self;
    struct rf_text sql = {0};
    renewal->sink.cancel = stop;
    enum rf_code code = renewal->sink.session.ops ? RF_OK : rf_snowflake_connect(&renewal->sink, err);
    if (code == RF_OK) rf_snowflake_renew_lease(renewal->sink.job, renewal->sink.token, &sql);
    if (code == RF_OK) code = rf_snowflake_execute(&renewal->sink, "renew the lease", &sql, NULL, err);
    if (code == RF_OK) return RF_OK;
    close_renewal(renewal);
    rf_arena_init(&renewal->arena, KEEPER_ARENA_BYTES); /* the next session takes all of its own anew */
    return code;
}

static void drop_renewal(void *self) {
    struct renewal *renewal = self;
    close_renewal(renewal);
    free(renewal);
}

static enum rf_code keep_lease(struct rf_sink_snowflake *sink, struct rf_error *err) {
    struct renewal *renewal = calloc(1, sizeof *renewal);
    if (!renewal) return rf_no_memory(err);
    rf_arena_init(&renewal->arena, KEEPER_ARENA_BYTES);
    renewal->sink = (struct rf_sink_snowflake){.job = sink->job, .arena = &renewal->arena};
    memcpy(renewal->sink.token, sink->token, sizeof sink->token);
    return rf_lease_keeper_start(sink->job->lease_seconds, &(struct rf_lease_renewal){.renew = renew, .drop = drop_renewal, .self = renewal}, &sink->keeper, err);
}

/* ---- taking it and giving it back ---- */

enum rf_code rf_snowflake_acquire(void *self, int64_t *load_id, struct rf_error *err) {
    struct rf_sink_snowflake *sink = self;
    struct rf_result lease;
    RF_TRY(make_token(sink, err));
    RF_TRY(wait_for_lease(sink, &lease, err));
    *load_id = sink->load_id = rf_result_integer(&lease, 0, LEASE_LOAD);
    if (sink->load_id <= 0) return rf_fail(err, RF_INTERNAL, "the target gave no load id");
    return keep_lease(sink, err);
}

/* Also behind a cancel, which has ended what ran: the next run need not wait until the lease expires. */
void rf_snowflake_release(struct rf_sink_snowflake *sink) {
    struct rf_text sql = {0};
    struct rf_error ignored;
    rf_lease_keeper_stop(sink->keeper);
    sink->keeper = NULL;
    if (!*sink->token) return;
    sink->session.ops->stop_listening(sink->session.self);
    sink->session.ops->end_scan(sink->session.self); /* a comparison may have ended midway */
    (void)sink->session.ops->rollback(sink->session.self, &ignored);
    rf_snowflake_give_back(sink->job, sink->token, &sql);
    (void)sink->session.ops->execute(sink->session.self, "give the lease back", &sql, NULL, &ignored);
    *sink->token = '\0';
}
