/* Runs one job, and dies, stops or lacks something at a step of it.
 *
 *   run_job JOB                  to its end
 *   run_job JOB kill STEP NTH    SIGKILL when the step is announced for the NTH time
 *   run_job JOB stop STEP NTH    SIGSTOP then; SIGCONT lets it go on
 *   run_job JOB fail CALL NTH    the NTH call of that kind goes wrong, as nth_call.c lists them; says on standard
 *                                error whether the run came to it
 *
 * JOB is a file that holds a job; one without a source loads the stream of made_stream.h. STEP a name as `rowferry._native.steps()` lists them. Prints the report, or the
 * error with exit code 1.
 */
#include "core/cancel.h"
#include "core/report.h"
#include "drivers/verbs.h"

#include "made_stream.h"
#include "nth_call.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fault {
    int number; /* of the signal; 0 for none */
    const char *step;
    long times; /* until it strikes */
};

static void strike(void *context, enum rf_step step, int64_t rows, int64_t bytes) {
    struct fault *fault = context;
    (void)rows, (void)bytes;
    if (fault->number && strcmp(rf_step_name(step), fault->step) == 0 && --fault->times == 0) raise(fault->number);
}

static char *read_text(const char *path) {
    enum { MOST_BYTES = 65536 };
    char *text = calloc(1, MOST_BYTES);
    FILE *file = text ? fopen(path, "r") : NULL;
    if (!file || fread(text, 1, MOST_BYTES - 1, file) == 0) exit(2);
    fclose(file);
    return text;
}

static enum rf_code run(const char *job, struct rf_cancel *cancel, struct rf_observer observer, char **json, struct rf_error *error) {
    struct ArrowArrayStream stream;
    if (strstr(job, "\"source\":")) return rf_execute(RF_RUN, job, cancel, observer, json, error);
    make_stream(&stream);
    return rf_load_stream(job, &stream, cancel, observer, json, error);
}

int main(int argc, char **argv) {
    if (argc != 2 && argc != 5) return 2;
    bool fails = argc == 5 && strcmp(argv[2], "fail") == 0;
    struct fault fault = {0};
    if (argc == 5 && !fails) fault = (struct fault){strcmp(argv[2], "kill") == 0 ? SIGKILL : SIGSTOP, argv[3], strtol(argv[4], NULL, 10)};
    char *job = read_text(argv[1]), *json = NULL;
    struct rf_cancel *cancel = rf_cancel_new();
    struct rf_error error;
    struct rf_observer observer = {.on_step = strike, .context = &fault};
    if (fails && !nth_call_arm(argv[3], strtol(argv[4], NULL, 10))) return 2;
    enum rf_code code = run(job, cancel, observer, &json, &error);
    if (fails) fputs(nth_call_struck() ? "struck" : "spared", stderr);
    if (code != RF_OK) json = rf_error_json(&error);
    puts(json ? json : "");
    free(json);
    free(job);
    rf_cancel_release(cancel);
    return code != RF_OK;
}
