/* The outcome of a run, and its JSON.
 *
 * The fields, their types and meanings of the JSON stand in one table in report.c, from which the JSON
 * Schema of `rowferry spec report` is printed too.
 */
#ifndef RF_REPORT_H
#define RF_REPORT_H

#include "core/error.h"
#include "core/plan.h"
#include "core/schema.h"

#include <stdbool.h>
#include <stdint.h>

enum { RF_MOST_EXAMPLES = 20 };

/* What the loads of one run_id did before this try. */
struct rf_run_total {
    int64_t loads;
    struct rf_counts counts;
};

struct rf_seconds {
    double wait; /* for the lease */
    double read; /* from the source's snapshot to the last row written */
    double merge;
    double commit;
    double total;
};

struct rf_example {
    const char *kind; /* "different", "missing" or "target_only" */
    const char *key;  /* the key's columns as a row text: (1,x) */
};

struct rf_verification {
    bool done;
    bool exact; /* compared at one snapshot, before the commit */
    int64_t compared;
    int64_t equal;
    int64_t pending; /* touched at the source since the load */
    int64_t target_only;
    int64_t different;
    int64_t missing;
    bool target_only_is_error;
    const char *checksum; /* decimal, when both sides have the same; NULL otherwise */
    const char *reason;   /* NULL, or why less is compared than asked */
    struct rf_example examples[RF_MOST_EXAMPLES];
    int n_examples;
};

struct rf_report {
    const struct rf_plan *plan;
    const char *channel;
    int connections; /* readers on the source */
    int64_t increment; /* 1 for the first load of a run_id */
    struct rf_counts this_try;
    struct rf_counts run_total;
    struct rf_seconds seconds;
    struct rf_verification verification;
};

/* What the plan proves, less what an audit found in this very run. */
const char *rf_report_completeness(const struct rf_report *report);
/* From where the next run goes on. When keys are missing in the target it compares row versions, and when this
 * one did that, it reads everything. */
struct rf_next rf_report_next(const struct rf_report *report);
/* Rows that audits and sweeps found missed, since everything was last read. */
int64_t rf_missed_in_all(const struct rf_report *report);

bool rf_verification_failed(const struct rf_verification *verification);

/* Texts to be freed with free(); NULL when memory is short. */
char *rf_report_json(const struct rf_report *report);
char *rf_verification_json(const struct rf_verification *verification);
char *rf_report_schema(void);

/* Statements of a plan, in the order in which a run sends them. */
struct rf_statement {
    const char *server; /* "source" or "target" */
    const char *role;
    const char *sql;
};
char *rf_plan_json(const struct rf_plan *plan, const struct rf_statement *statements, int n_statements);

/* The JSON of an error, as Python receives it. */
char *rf_error_json(const struct rf_error *err);

#endif
