#include "drivers/verbs.h"

#include "core/arena.h"
#include "core/job.h"
#include "core/mask.h"
#include "core/report.h"
#include "drivers/drivers.h"
#include "drivers/hasher.h"
#include "drivers/rights.h"
#include "drivers/source_stream.h"

#include <stdlib.h>
#include <string.h>

enum { ARENA_BYTES = 64 * 1024 * 1024 };

enum rf_verb rf_verb_named(const char *name) {
    static const char *const names[RF_VERBS] = {"run", "plan", "verify", "state", "reset", "inspect", "discard"};
    int verb = 0;
    while (verb < RF_VERBS && strcmp(names[verb], name) != 0) verb++;
    return (enum rf_verb)verb;
}

static enum rf_code run_and_report(struct rf_run *run, char **json, struct rf_error *err) {
    RF_TRY(rf_transfer(run, err));
    *json = run->report_json;
    return RF_OK;
}

static enum rf_code move_rows(enum rf_verb verb, struct rf_job *job, struct rf_cancel *cancel, struct rf_observer observer,
                              struct rf_arena *arena, char **json, struct rf_error *err) {
    struct rf_source_postgres source;
    union rf_sink_memory sink;
    struct rf_run run = {.job = job, .observer = observer, .arena = arena};
    RF_TRY(rf_job_require(job, true, true, true, err));
    RF_TRY(rf_source_for(job, cancel, arena, &source, &run.source, err));
    RF_TRY(rf_sink_for(job, cancel, arena, &sink, &run.sink, err));
    if (verb == RF_PLAN) return rf_transfer_plan(&run, json, err);
    if (verb == RF_RUN) return run_and_report(&run, json, err);
    /* What is pending shows in the row versions, however the load was captured, and anywhere in the table. */
    job->capture = RF_CAPTURE_XMIN;
    job->since = job->until = NULL;
    return rf_transfer_verify(&run, json, err);
}

static enum rf_code ask(enum rf_verb verb, const struct rf_sink *sink, struct rf_observer observer, char **json, struct rf_error *err) {
    if (verb == RF_STATE) return sink->ops->state(sink->self, json, err);
    if (verb == RF_RESET) return sink->ops->reset(sink->self, observer, json, err);
    if (sink->ops->discard) return sink->ops->discard(sink->self, json, err);
    return rf_fail(err, RF_CONFIG, "only the schema of a self-test on Snowflake is discarded");
}

static enum rf_code ask_target(enum rf_verb verb, const struct rf_job *job, struct rf_cancel *cancel, struct rf_observer observer,
                               struct rf_arena *arena, char **json, struct rf_error *err) {
    union rf_sink_memory memory;
    struct rf_sink sink;
    RF_TRY(rf_sink_for(job, cancel, arena, &memory, &sink, err));
    enum rf_code code = ask(verb, &sink, observer, json, err);
    sink.ops->close(sink.self);
    if (code == RF_OK) return RF_OK;
    free(*json);
    *json = NULL;
    return code;
}

static enum rf_code inspect_target(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena, struct rf_text *out, struct rf_error *err) {
    union rf_sink_memory memory;
    struct rf_sink sink;
    struct rf_text facts = {0};
    RF_TRY(rf_sink_for(job, cancel, arena, &memory, &sink, err));
    enum rf_code code = sink.ops->inspect(sink.self, &facts, err);
    sink.ops->close(sink.self);
    if (code == RF_OK) code = rf_text_check(&facts, err);
    if (code == RF_OK) rf_text_add(out, facts.data);
    rf_text_free(&facts);
    return code;
}

/* The facts of the source, and those of the target as one more member. */
static enum rf_code inspect(const struct rf_job *job, struct rf_cancel *cancel, struct rf_arena *arena, char **json, struct rf_error *err) {
    struct rf_text out = {0};
    enum rf_code code = rf_postgres_inspect_source(job, cancel, &out, err);
    if (code == RF_OK) code = rf_text_check(&out, err);
    if (code == RF_OK) {
        out.length--; /* the closing brace */
        rf_text_add(&out, ", \"target\": ");
        if (job->target) code = inspect_target(job, cancel, arena, &out, err);
        else rf_text_add(&out, "null");
        rf_text_add(&out, "}");
    }
    if (code == RF_OK) code = rf_text_check(&out, err);
    if (code == RF_OK && !(*json = strdup(out.data))) code = rf_no_memory(err);
    rf_text_free(&out);
    return code;
}

static enum rf_code dispatch(enum rf_verb verb, struct rf_job *job, struct rf_cancel *cancel, struct rf_observer observer,
                             struct rf_arena *arena, char **json, struct rf_error *err) {
    switch (verb) {
    case RF_RUN:
    case RF_PLAN:
    case RF_VERIFY: return move_rows(verb, job, cancel, observer, arena, json, err);
    case RF_STATE:
        RF_TRY(rf_job_require(job, false, true, false, err));
        return ask_target(verb, job, cancel, observer, arena, json, err);
    case RF_RESET:
    case RF_DISCARD:
        RF_TRY(rf_job_require(job, false, true, true, err));
        return ask_target(verb, job, cancel, observer, arena, json, err);
    case RF_INSPECT:
        RF_TRY(rf_job_require(job, true, false, false, err));
        return inspect(job, cancel, arena, json, err);
    case RF_VERBS: break;
    }
    return rf_fail(err, RF_INTERNAL, "unknown verb");
}

enum rf_code rf_execute(enum rf_verb verb, const char *job_json, struct rf_cancel *cancel, struct rf_observer observer,
                        char **json, struct rf_error *err) {
    struct rf_arena arena;
    struct rf_job job;
    rf_arena_init(&arena, ARENA_BYTES);
    *json = NULL;
    enum rf_code code = rf_job_parse(job_json, &arena, &job, err);
    if (code == RF_OK) code = dispatch(verb, &job, cancel, observer, &arena, json, err);
    if (code == RF_AUTH) rf_hint_at_right(&job, err);
    rf_arena_free(&arena);
    return code;
}

static enum rf_code load_stream(struct rf_job *job, struct ArrowArrayStream *stream, struct rf_cancel *cancel, struct rf_observer observer,
                                struct rf_arena *arena, char **json, struct rf_error *err) {
    struct rf_source_stream source = {.job = job, .cancel = cancel, .arena = arena, .stream = stream};
    union rf_sink_memory sink;
    struct rf_run run = {.job = job, .observer = observer, .arena = arena, .source = {.ops = &rf_source_stream_ops, .self = &source}};
    RF_TRY(rf_job_take_stream(job, err));
    if (rf_job_hashes(job)) RF_TRY(rf_hasher_open(job, arena, &source.hasher, err));
    run.source.hasher = source.hasher;
    RF_TRY(rf_sink_for(job, cancel, arena, &sink, &run.sink, err));
    return run_and_report(&run, json, err);
}

enum rf_code rf_load_stream(const char *job_json, struct ArrowArrayStream *stream, struct rf_cancel *cancel, struct rf_observer observer,
                            char **json, struct rf_error *err) {
    struct rf_arena arena;
    struct rf_job job;
    rf_arena_init(&arena, ARENA_BYTES);
    *json = NULL;
    enum rf_code code = rf_job_parse(job_json, &arena, &job, err);
    if (code == RF_OK) code = load_stream(&job, stream, cancel, observer, &arena, json, err);
    if (code == RF_AUTH) rf_hint_at_right(&job, err);
    rf_release_stream(stream);
    rf_arena_free(&arena);
    return code;
}
