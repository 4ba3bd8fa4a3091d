/* Any text as a job: it is refused naming what is wrong, or its names survive being written and read again. */
#include "core/job.h"

#include "core/report.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void check_label(const char *label, const char *schema, const char *name, struct rf_arena *arena) {
    const char *schema_again, *name_again;
    struct rf_error err;
    if (rf_split_name(label, "table", arena, &schema_again, &name_again, &err) != RF_OK) abort();
    if (strcmp(schema, schema_again) != 0 || strcmp(name, name_again) != 0) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error err;
    char *json = malloc(n_bytes + 1);
    memcpy(json, data, n_bytes);
    json[n_bytes] = '\0';
    rf_arena_init(&arena, 1 << 20);
    if (rf_job_parse(json, &arena, &job, &err) != RF_OK) {
        if (!*err.message) abort();
        free(rf_error_json(&err));
    } else if (job.table) {
        check_label(job.source_label, job.source_schema, job.source_table, &arena);
        check_label(job.target_label, job.target_schema, job.target_table, &arena);
    }
    rf_arena_free(&arena);
    free(json);
    return 0;
}
