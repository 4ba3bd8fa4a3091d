/* A run from start to end: lease → snapshot → read and write → merge → record → commit. */
#ifndef RF_TRANSFER_H
#define RF_TRANSFER_H

#include "core/arena.h"
#include "core/error.h"
#include "core/job.h"
#include "core/report.h"
#include "core/sink.h"
#include "core/source.h"

#include <stdint.h>

/* Each is announced before it is taken. Tests kill the process at every one of them. */
enum rf_step {
    RF_STEP_OPEN_TARGET,
    RF_STEP_LEASE,
    RF_STEP_NEWEST,
    RF_STEP_OPEN_SOURCE,
    RF_STEP_SNAPSHOT,
    RF_STEP_DESCRIBE,
    RF_STEP_BEGIN,
    RF_STEP_READ,
    RF_STEP_WRITE,
    RF_STEP_WRITTEN,
    RF_STEP_KEYS,
    RF_STEP_MERGE,
    RF_STEP_VERIFY,
    RF_STEP_RECORD,
    RF_STEP_COMMIT,
    RF_STEP_COMMITTED,
    RF_STEP_CLOSE,
    RF_STEPS, /* how many there are */
};

const char *rf_step_name(enum rf_step step);

/* Called on the core's thread; must be quick. */
struct rf_observer {
    void (*on_step)(void *context, enum rf_step step, int64_t rows, int64_t bytes);
    void *context;
};

struct rf_run {
    const struct rf_job *job;
    struct rf_source source;
    struct rf_sink sink;
    struct rf_observer observer;
    struct rf_arena *arena; /* takes every text of *report and *plan */
    struct rf_plan plan;
    struct rf_source_facts source_facts;
    struct rf_target_facts target_facts;
    struct rf_load last;
    struct rf_report report;
    char *report_json; /* after a run that succeeded; to be freed with free() */
};

/* Runs the job. On RF_OK the load is committed and run->report_json tells what it did. Both ends are closed in any case. */
enum rf_code rf_transfer(struct rf_run *run, struct rf_error *err);

/* Looks at both sides and decides, without writing anything. */
enum rf_code rf_transfer_plan(struct rf_run *run, char **json, struct rf_error *err);

/* Compares the target, as of its newest load, with the source now. */
enum rf_code rf_transfer_verify(struct rf_run *run, char **json, struct rf_error *err);

#endif
