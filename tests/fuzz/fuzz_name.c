/* Any names, template and value: what is quoted or expanded reads back as the one name or literal that was meant. */
#include "core/job.h"
#include "core/json.h"
#include "core/text.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes);

static void is_true(bool holds) {
    if (!holds) abort();
}

/* ---- reading as the server's scanner does ------------------------------------------------------------------------- */

/* Takes "…" into `out`; the rest of the text, or NULL when it is no quoted identifier. */
static const char *read_identifier(const char *text, char *out) {
    if (*text++ != '"') return NULL;
    for (; *text; *out++ = *text++) {
        if (*text != '"') continue;
        if (text[1] != '"') break;
        text++;
    }
    *out = '\0';
    return *text == '"' ? text + 1 : NULL;
}

/* Takes '…' or E'…' into `out`. A backslash outside of E'…' is itself or an escape, as the server is set up. */
static const char *read_literal(const char *text, bool conforming, char *out) {
    bool escapes = *text == 'E';
    if (escapes) text++;
    if (*text++ != '\'') return NULL;
    for (; *text; *out++ = *text++) {
        if (*text == '\\' && (escapes || !conforming)) text++;
        else if (*text == '\'' && text[1] == '\'') text++;
        else if (*text == '\'') break;
    }
    *out = '\0';
    return *text == '\'' ? text + 1 : NULL;
}

/* ---- quoting ----------------------------------------------------------------------------------------------------- */

static void check_quoting(const char *schema, const char *name) {
    struct rf_text text = {0};
    char *out = malloc(strlen(schema) + strlen(name) + 1);
    rf_text_qualified(&text, schema, name);
    const char *at = read_identifier(text.data, out);
    is_true(at && *at == '.' && strcmp(out, schema) == 0);
    at = read_identifier(at + 1, out);
    is_true(at && !*at && strcmp(out, name) == 0);
    rf_text_free(&text);
    rf_text_literal(&text, name);
    for (int conforming = 0; conforming < 2; conforming++) {
        at = read_literal(text.data, conforming, out);
        is_true(at && !*at && strcmp(out, name) == 0);
    }
    rf_text_free(&text);
    free(out);
}

/* ---- naming the target ----------------------------------------------------------------------------------------------- */

/* What the template says, by plain replacement; its one dot parts schema and table before values come in. */
static void add_expanded(struct rf_text *out, const char *template, const struct rf_job *job, char dot) {
    const struct { const char *mark, *value; } marks[] = {
        {"{source}", job->source_name}, {"{schema}", job->source_schema}, {"{table}", job->source_table}};
    while (*template) {
        size_t taken = 0;
        for (size_t i = 0; i < sizeof marks / sizeof marks[0] && !taken; i++) {
            if (strncmp(template, marks[i].mark, strlen(marks[i].mark)) != 0) continue;
            rf_text_add(out, marks[i].value);
            taken = strlen(marks[i].mark);
        }
        if (!taken) rf_text_add_bytes(out, *template == '.' ? &dot : template, 1);
        template += taken ? taken : 1;
    }
}

static void check_target(const struct rf_job *job, const char *template, struct rf_arena *arena) {
    const char *schema, *name;
    struct rf_error err;
    struct rf_text expected = {0};
    is_true(rf_split_name(job->target_label, "target_table", arena, &schema, &name, &err) == RF_OK);
    is_true(strcmp(schema, job->target_schema) == 0 && strcmp(name, job->target_table) == 0);
    is_true(*schema && *name && strlen(schema) < 64 && strlen(name) < 64);
    add_expanded(&expected, template, job, '\1'); /* no name has this byte */
    const char *parted = expected.data ? strchr(expected.data, '\1') : NULL;
    is_true(parted && strncmp(expected.data, schema, (size_t)(parted - expected.data)) == 0 && strcmp(parted + 1, name) == 0);
    rf_text_free(&expected);
}

static char *job_of(const char *schema, const char *table, const char *source_name, const char *template) {
    struct rf_text name = {0}, json = {0};
    rf_text_qualified(&name, schema, table);
    rf_json_open(&json, NULL, '{');
    rf_json_text(&json, "table", name.data);
    rf_json_text(&json, "source_name", source_name);
    rf_json_text(&json, "target_table", template);
    rf_json_close(&json, '}');
    rf_text_free(&name);
    return rf_json_take(&json);
}

static void check_job(const char *schema, const char *table, const char *source_name, const char *template) {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error err;
    char *json = job_of(schema, table, source_name, template);
    rf_arena_init(&arena, 1 << 20);
    if (rf_job_parse(json, &arena, &job, &err) == RF_OK) {
        is_true(strcmp(job.source_schema, schema) == 0 && strcmp(job.source_table, table) == 0);
        check_target(&job, template, &arena);
    } else {
        is_true(*err.message);
    }
    rf_arena_free(&arena);
    free(json);
}

/* The input is texts, each of which ends at a zero byte. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n_bytes) {
    enum { N_TEXTS = 4 };
    const char *given[N_TEXTS] = {"", "", "", ""};
    char *all = malloc(n_bytes + 1);
    memcpy(all, data, n_bytes);
    all[n_bytes] = '\0';
    const char *at = all;
    for (int i = 0; i < N_TEXTS && at < all + n_bytes; i++, at += strlen(at) + 1) given[i] = at;
    check_quoting(given[0], given[1]);
    if (!memchr(all, '\1', n_bytes)) check_job(given[0], given[1], given[2], given[3]);
    free(all);
    return 0;
}
