#include "core/transfer.h"

#include "core/clock.h"
#include "core/compare.h"
#include "core/drift.h"
#include "core/hash_rows.h"
#include "core/ground.h"
#include "core/listing.h"
#include "core/settle.h"
#include "core/sql.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *rf_step_name(enum rf_step step) {
    static const char *const names[RF_STEPS] = {
        "open target", "lease", "newest load", "open source", "snapshot", "describe target", "begin", "read",
        "write", "written", "keys", "merge", "verify", "record", "commit", "committed", "close"};
    return step < RF_STEPS ? names[step] : "unknown";
}

static void announce(const struct rf_run *run, enum rf_step step) {
    if (run->observer.on_step)
        run->observer.on_step(run->observer.context, step, run->report.this_try.read, run->report.this_try.bytes);
}

/* ---- reading and writing ---- */

static enum rf_code start_reading(struct rf_run *run, rf_statement_maker *make, struct rf_error *err) {
    struct rf_text sql = {0};
    make(&run->plan, &sql);
    enum rf_code code = rf_text_check(&sql, err);
    if (code == RF_OK) code = run->source.ops->read(run->source.self, sql.data, err);
    rf_text_free(&sql);
    return code;
}

static enum rf_code carry_hashed(struct rf_run *run, struct rf_hashed_source *hashed, int64_t *n_sent, struct rf_error *err) {
    struct rf_counts *counts = &run->report.this_try;
    for (;;) {
        struct rf_batch batch;
        RF_TRY(rf_hashed_next(hashed, &batch, err));
        if (batch.n_bytes == 0) {
            *n_sent = batch.n_rows;
            return RF_OK;
        }
        announce(run, RF_STEP_WRITE);
        RF_TRY(run->sink.ops->write(run->sink.self, &batch, err));
        *n_sent += batch.n_rows;
        counts->bytes += (int64_t)batch.n_bytes;
    }
}

/* Carries what the source sends until its end, hashed where columns say so; *n_sent is the source's own count. */
static enum rf_code carry(struct rf_run *run, bool keys_only, int64_t *n_sent, struct rf_error *err) {
    struct rf_hashed_source hashed;
    rf_hashed_begin(&hashed, &run->source, &run->source_facts, keys_only, rf_sends_csv(&run->plan));
    enum rf_code code = carry_hashed(run, &hashed, n_sent, err);
    rf_hashed_end(&hashed);
    return code;
}

static enum rf_code carry_rows(struct rf_run *run, struct rf_error *err) {
    announce(run, RF_STEP_READ);
    if (run->plan.n_parts > 0) RF_TRY(run->source.ops->read_parts(run->source.self, &run->plan, &run->report.connections, err));
    else if (run->plan.reading == RF_READ_GIVEN) RF_TRY(run->source.ops->read(run->source.self, NULL, err));
    else RF_TRY(start_reading(run, rf_sql_read, err));
    RF_TRY(carry(run, false, &run->report.this_try.read, err));
    announce(run, RF_STEP_WRITTEN);
    if (!run->plan.sweep) return RF_OK;
    announce(run, RF_STEP_KEYS);
    RF_TRY(run->sink.ops->keys(run->sink.self, err));
    RF_TRY(start_reading(run, rf_sql_read_keys, err));
    return carry(run, true, &run->report.this_try.keys_read, err);
}

/* Every row sent is exactly one of inserted, updated, duplicate, gone or stale. A trigger or rule on the
 * target that swallows rows raises no error; only this sum shows it. A stale row means that a newer load is in. */
static enum rf_code check_counts(const struct rf_run *run, struct rf_error *err) {
    const struct rf_counts *counts = &run->report.this_try;
    if (counts->staged != counts->read)
        return rf_fail(err, RF_TARGET, "the source sent %" PRId64 " rows and %s took %" PRId64, counts->read, run->job->target_label, counts->staged);
    if (counts->keys_staged != counts->keys_read)
        return rf_fail(err, RF_TARGET, "the source sent %" PRId64 " keys and %s took %" PRId64, counts->keys_read, run->job->target_label, counts->keys_staged);
    if (counts->stale > 0 && run->last.load_id == 0) {
        rf_fail(err, RF_CONFIG, "%s was loaded under other load records than those of the control schema %s", run->job->target_label, run->job->control_schema);
        return rf_hint(err, "Set control_schema to that of the earlier loads, or drop the table to load it anew.");
    }
    if (counts->stale > 0)
        return rf_fail(err, RF_FENCED, "%" PRId64 " rows of %s are already there from a newer load", counts->stale, run->job->target_label);
    int64_t merged = counts->inserted + counts->updated + counts->duplicates + counts->gone;
    if (merged == counts->staged) return RF_OK;
    rf_fail(err, RF_TARGET, "%" PRId64 " rows were staged for %s and %" PRId64 " arrived", counts->staged, run->job->target_label, merged);
    err->retryable = false;
    return rf_hint(err, "A trigger, rule or row security on the target drops rows. Nothing was committed.");
}

/* A source that was emptied by mistake would empty the target too, and nobody would see it before the reports do. */
static enum rf_code check_not_empty(const struct rf_run *run, struct rf_error *err) {
    if (run->job->mode != RF_MODE_REPLACE || run->report.this_try.read > 0 || run->job->allow_empty) return RF_OK;
    rf_fail(err, RF_DATA, "%s has no rows, and mode replace would empty %s", run->job->source_label, run->job->target_label);
    return rf_hint(err, "Nothing was changed. Set allow_empty if the table may be empty.");
}

/* ---- verifying ---- */

/* A partition attached meanwhile shows in the later statements of a snapshot that is older: attaching waits for no reader. */
static bool source_was_altered(struct rf_run *run) {
    struct rf_source_facts now;
    struct rf_error ignored;
    run->source.ops->close(run->source.self);
    return run->source.ops->open(run->source.self, &ignored) == RF_OK &&
           run->source.ops->snapshot(run->source.self, &run->last, &now, &ignored) == RF_OK &&
           strcmp(now.fingerprint, run->source_facts.fingerprint) != 0;
}

static enum rf_code fail_verification(struct rf_run *run, struct rf_error *err) {
    const struct rf_verification *verification = &run->report.verification;
    if (source_was_altered(run)) {
        rf_fail(err, RF_SOURCE, "%s was altered while it was read, and cannot be compared with %s", run->job->source_label, run->job->target_label);
        return rf_hint(err, "Nothing was committed; run it again.");
    }
    rf_fail(err, RF_DATA, "%s does not equal its source: %" PRId64 " rows differ, %" PRId64 " are missing, %" PRId64 " are only in the target; first key %s",
            run->job->target_label, verification->different, verification->missing, verification->target_only,
            verification->n_examples ? verification->examples[0].key : "unknown");
    return rf_hint(err, "Nothing was committed. `rowferry state reset` makes the next run read everything.");
}

static enum rf_code verify_before_commit(struct rf_run *run, struct rf_error *err) {
    struct rf_verification *verification = &run->report.verification;
    announce(run, RF_STEP_VERIFY);
    run->plan.compares_load = rf_settles(&run->plan);
    RF_TRY(rf_compare(&run->plan, &run->source, &run->sink, 0, run->arena, verification, err));
    verification->exact = true;
    bool saw_deletes = run->plan.full_read || run->plan.sweep || run->plan.compares_load;
    verification->target_only_is_error = saw_deletes;
    if (!saw_deletes && verification->target_only > 0)
        verification->reason = "keys that only the target has were deleted at the source; this capture does not see deletes";
    return rf_verification_failed(verification) ? fail_verification(run, err) : RF_OK;
}

/* ---- a run ---- */

static void add_run_total(struct rf_run *run, const struct rf_run_total *before) {
    struct rf_counts *total = &run->report.run_total;
    *total = run->report.this_try;
    run->report.increment = before->loads + 1;
    if (run->job->capture == RF_CAPTURE_FULL || run->job->mode == RF_MODE_REPLACE) return;
    total->read += before->counts.read;
    total->staged += before->counts.staged;
    total->inserted += before->counts.inserted;
    total->updated += before->counts.updated;
    total->deleted += before->counts.deleted;
    total->stale += before->counts.stale;
    total->duplicates += before->counts.duplicates;
    total->bytes += before->counts.bytes;
}

static enum rf_code look_at_source(struct rf_run *run, struct rf_error *err) {
    announce(run, RF_STEP_OPEN_SOURCE);
    RF_TRY(run->source.ops->open(run->source.self, err));
    announce(run, RF_STEP_SNAPSHOT);
    return run->source.ops->snapshot(run->source.self, &run->last, &run->source_facts, err);
}

/* A key whose columns are renamed is the same key: the target is asked for it under the names of before. */
static enum rf_code describe_again(struct rf_run *run, struct rf_source_facts *before, bool renamed, struct rf_error *err) {
    struct rf_target_facts then = {0};
    if (renamed) RF_TRY(run->sink.ops->describe(run->sink.self, before, &then, err));
    RF_TRY(run->sink.ops->describe(run->sink.self, &run->source_facts, &run->target_facts, err));
    run->target_facts.key_unique |= then.key_unique;
    return RF_OK;
}

static enum rf_code decide(struct rf_run *run, int64_t load_id, struct rf_error *err) {
    announce(run, RF_STEP_DESCRIBE);
    struct rf_source_facts before;
    bool left_out, renamed;
    RF_TRY(run->sink.ops->describe(run->sink.self, &run->source_facts, &run->target_facts, err));
    RF_TRY(rf_leave_out(run->job, &run->last, &run->target_facts, &run->source_facts, run->arena, &left_out, err));
    RF_TRY(rf_keys_as_before(&run->last, &run->target_facts, &run->source_facts, run->arena, &before, &renamed, err));
    if (left_out || renamed) RF_TRY(describe_again(run, &before, renamed, err));
    RF_TRY(rf_plan_make(run->job, &run->source_facts, &run->target_facts, &run->last, load_id, run->arena, &run->plan, err));
    run->report.plan = &run->plan;
    run->report.channel = run->sink.channel;
    run->report.connections = 1;
    return RF_OK;
}

static enum rf_code load(struct rf_run *run, struct rf_error *err) {
    const struct rf_sink *sink = &run->sink;
    struct rf_seconds *seconds = &run->report.seconds;
    double started = rf_clock_seconds();
    if (rf_settles(&run->plan)) RF_TRY(rf_settle(&run->plan, &run->source, run->arena, &run->report.this_try, err));
    announce(run, RF_STEP_BEGIN);
    RF_TRY(sink->ops->begin(sink->self, &run->plan, err));
    RF_TRY(carry_rows(run, err));
    if (!run->job->verify) run->source.ops->close(run->source.self); /* holds the snapshot no longer than needed */
    seconds->read = rf_clock_seconds() - started;
    RF_TRY(check_not_empty(run, err));
    announce(run, RF_STEP_MERGE);
    RF_TRY(sink->ops->merge(sink->self, &run->plan, &run->report.this_try, err));
    RF_TRY(check_counts(run, err));
    seconds->merge = rf_clock_seconds() - started - seconds->read;
    return run->job->verify ? verify_before_commit(run, err) : RF_OK;
}

/* What is committed is never reported as failed: short of memory, the report of before has to do. */
static void complete_report(struct rf_run *run) {
    char *json = rf_report_json(&run->report);
    if (!json) return;
    free(run->report_json);
    run->report_json = json;
}

static enum rf_code commit(struct rf_run *run, double started, struct rf_error *err) {
    double merged = rf_clock_seconds();
    run->report.seconds.total = merged - started;
    announce(run, RF_STEP_RECORD);
    RF_TRY(run->sink.ops->record(run->sink.self, &run->report, err));
    run->report_json = rf_report_json(&run->report);
    if (!run->report_json) return rf_no_memory(err);
    announce(run, RF_STEP_COMMIT);
    RF_TRY(run->sink.ops->commit(run->sink.self, err));
    run->report.seconds.commit = rf_clock_seconds() - merged;
    run->report.seconds.total = rf_clock_seconds() - started;
    announce(run, RF_STEP_COMMITTED);
    complete_report(run);
    return RF_OK;
}

static enum rf_code take_all_steps(struct rf_run *run, struct rf_error *err) {
    double started = rf_clock_seconds();
    int64_t load_id = 0;
    struct rf_run_total before = {0};
    announce(run, RF_STEP_OPEN_TARGET);
    RF_TRY(run->sink.ops->open(run->sink.self, true, err));
    announce(run, RF_STEP_LEASE);
    double waiting = rf_clock_seconds();
    RF_TRY(run->sink.ops->lease(run->sink.self, &load_id, err));
    run->report.seconds.wait = rf_clock_seconds() - waiting;
    announce(run, RF_STEP_NEWEST);
    RF_TRY(run->sink.ops->newest(run->sink.self, &run->last, &before, err));
    RF_TRY(look_at_source(run, err));
    RF_TRY(decide(run, load_id, err));
    RF_TRY(load(run, err));
    add_run_total(run, &before);
    return commit(run, started, err);
}

static void close_both(struct rf_run *run) {
    announce(run, RF_STEP_CLOSE);
    run->source.ops->close(run->source.self);
    run->sink.ops->close(run->sink.self);
}

enum rf_code rf_transfer(struct rf_run *run, struct rf_error *err) {
    enum rf_code code = take_all_steps(run, err);
    close_both(run);
    if (code == RF_OK) return RF_OK;
    free(run->report_json);
    run->report_json = NULL;
    return code;
}

/* ---- looking without writing ---- */

static enum rf_code look_at_both(struct rf_run *run, struct rf_error *err) {
    struct rf_run_total before = {0};
    announce(run, RF_STEP_OPEN_TARGET);
    RF_TRY(run->sink.ops->open(run->sink.self, false, err));
    RF_TRY(run->sink.ops->newest(run->sink.self, &run->last, &before, err));
    RF_TRY(look_at_source(run, err));
    return decide(run, run->last.load_id + 1, err);
}

enum rf_code rf_transfer_plan(struct rf_run *run, char **json, struct rf_error *err) {
    enum rf_code code = look_at_both(run, err);
    if (code == RF_OK) code = rf_list_statements(&run->plan, run->arena, json, err);
    close_both(run);
    return code;
}

static enum rf_code verify_later(struct rf_run *run, char **json, struct rf_error *err) {
    if (rf_job_has_window(run->job)) return rf_fail(err, RF_CONFIG, "verifying compares whole tables, and the job reads only a window of one");
    RF_TRY(look_at_both(run, err));
    if (!run->target_facts.exists) return rf_fail(err, RF_CONFIG, "%s does not exist: there is nothing to verify", run->job->target_label);
    if (run->plan.n_alterations > 0) {
        rf_fail(err, RF_DRIFT, "the schema of %s has changed since the last load of %s, which does not follow it yet", run->job->source_label, run->job->target_label);
        return rf_hint(err, "Run it first; `rowferry plan` shows what it would change.");
    }
    if (rf_must_be_empty(&run->plan)) return rf_refuse_ground(&run->plan, "no load is recorded", err);
    struct rf_verification *verification = &run->report.verification;
    uint64_t since = run->plan.full_read ? 0 : run->plan.as_of;
    announce(run, RF_STEP_VERIFY);
    RF_TRY(rf_compare(&run->plan, &run->source, &run->sink, since, run->arena, verification, err));
    if (run->plan.full_read)
        verification->reason = run->last.load_id ? "what changed at the source since the load cannot be told: it is compared as it is now"
                                                 : "no load is recorded: the source is compared as it is now";
    else if (rf_settles(&run->plan)) verification->reason = "versions whose rows changed or went since they were appended are only in the target; what its columns then lacked, or the source has changed without a new version, differs";
    else if (verification->target_only > 0) verification->reason = "keys that only the target has were deleted at the source";
    *json = rf_verification_json(verification);
    return *json ? RF_OK : rf_no_memory(err);
}

enum rf_code rf_transfer_verify(struct rf_run *run, char **json, struct rf_error *err) {
    enum rf_code code = verify_later(run, json, err);
    close_both(run);
    return code;
}
