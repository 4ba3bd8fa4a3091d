#include "core/job.h"

#include "core/json.h"
#include "core/mask.h"
#include "core/snowflake_names.h"
#include "core/snowflake_uri.h"
#include "core/text.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum kind { TEXT, NAMES, NUMBER, INTEGER, BYTES, FLAG, CHOICE, SCHEDULE, POLICIES, MASKS };

/* One row per key of a job: everything that parsing, validating and the published schema know about it. */
struct key {
    const char *name;
    enum kind kind;
    size_t offset;           /* of the field in struct rf_job */
    const char *default_text; /* of TEXT, CHOICE and SCHEDULE; NULL = null */
    double default_number;
    double least;
    double most;
    const char *choices; /* of CHOICE: words parted by spaces, in the order of the enum */
    bool nullable;
    const char *meaning; /* for the published schema; NULL: asked of `state` alone, and no setting of a job */
};

#define AT(field) offsetof(struct rf_job, field)

static const struct key KEYS[] = {
    {"source", TEXT, AT(source), NULL, 0, 0, 0, NULL, true, "PostgreSQL to read from: postgresql:// URI or libpq key=value text"},
    {"target", TEXT, AT(target), NULL, 0, 0, 0, NULL, true, "warehouse to load into: postgresql:// URI, libpq key=value text, duckdb:///path, snowflake://user@account/database?warehouse=…&role=…, mariadb:// URI, sqlite:///path, or odbc: and a connection string"},
    {"driver", TEXT, AT(driver), NULL, 0, 0, 0, NULL, true, "DuckDB's library, or that with the ADBC driver of a snowflake:// target, where Python finds those of the packages duckdb and adbc-driver-snowflake; or name or library of the ODBC driver of a mariadb:// or sqlite:/// target, where the registered one is found"},
    {"channel", CHOICE, AT(channel), "auto", 0, 0, 0, "auto adbc odbc", false, "how a snowflake:// target is reached: by its ADBC or its ODBC driver; auto: by ADBC when its driver is installed, else by ODBC"},
    {"spool_dir", TEXT, AT(spool_dir), NULL, 0, 0, 0, NULL, true, "folder for files on their way to a snowflake:// target, with room for two; null: that of the system for temporary files"},
    {"spool_file_bytes", BYTES, AT(spool_file_bytes), NULL, 167772160, 65536, 1073741824, NULL, false, "about how large such a file becomes, compressed, in bytes"},
    {"source_name", TEXT, AT(source_name), "postgres", 0, 0, 0, NULL, false, "{source} of the target_table template"},
    {"table", TEXT, AT(table), NULL, 0, 0, 0, NULL, true, "source table, schema.table or table (public); odd names in double quotes"},
    {"target_table", TEXT, AT(target_table), NULL, 0, 0, 0, NULL, true, "template of the target table, schema.table, on Snowflake also database.schema.table; knows {source}, {schema} and {table}; null: raw_{source}.{table}, on Snowflake raw.{source}.{table}"},
    {"keys", NAMES, AT(keys), NULL, 0, 0, 0, NULL, true, "columns that identify a row; null: the primary key"},
    {"columns", NAMES, AT(columns), NULL, 0, 0, 0, NULL, true, "columns to carry; null: all"},
    {"as_text", NAMES, AT(as_text), NULL, 0, 0, 0, NULL, true, "columns to carry as their text, whatever their type; null: none"},
    {"mask", MASKS, AT(mask), NULL, 0, 0, 0, NULL, true, "what hides a column's values, by column: drop, redact, truncate:N (to its first N characters) or hash (HMAC-SHA-256 under the key of mask_key_env); null: nothing is hidden"},
    {"mask_key_env", TEXT, AT(mask_key_env), "ROWFERRY_MASK_KEY", 0, 0, 0, NULL, false, "environment variable that holds the key of hashes, at least 16 bytes"},
    {"naive_timestamps", CHOICE, AT(naive_timestamps), "auto", 0, 0, 0, "auto utc keep", false, "a timestamp without time zone, in a new table: becomes one with a zone, in UTC, or stays without; auto: utc on Snowflake, else keep. A column that is there without a zone stays so"},
    {"where", TEXT, AT(where), NULL, 0, 0, 0, NULL, true, "row filter, an SQL condition on the source's columns; the one place that takes SQL"},
    {"capture", CHOICE, AT(capture), "auto", 0, 0, 0, "auto xmin cursor full", false, "how changed rows are found"},
    {"cursor_columns", NAMES, AT(cursor_columns), NULL, 0, 0, 0, NULL, true, "columns whose time says when a row changed; null: inserted_at or created_at, updated_at or modified_at, deleted_at"},
    {"open_transactions", CHOICE, AT(open_transactions), "track", 0, 0, 0, "track ignore", false, "cursor: hold the watermark back by transactions that are open, or let only lookback protect it"},
    {"clock_margin", NUMBER, AT(clock_margin), NULL, 60, 0, 86400, NULL, false, "cursor: seconds by which the watermark stays behind the source's clock"},
    {"lookback", NUMBER, AT(lookback), NULL, 0, 0, 31622400, NULL, false, "cursor: seconds before the watermark that are read again"},
    {"max_hold", NUMBER, AT(max_hold), NULL, 3600, 0, 31622400, NULL, false, "cursor: seconds a transaction may hold the watermark back before a run compares row versions instead"},
    {"wait_for_open_transactions", NUMBER, AT(wait_for_open_transactions), NULL, 0, 0, 86400, NULL, false, "cursor: seconds to wait for transactions that hold the watermark back"},
    {"xmin_max_bytes", BYTES, AT(xmin_max_bytes), NULL, 10737418240, 0, 9007199254740992, NULL, false, "auto: a larger table with an indexed cursor that proves bounded is captured by cursor"},
    {"audit", SCHEDULE, AT(audit), "every 24", 0, 0, 0, NULL, false, "cursor: which loads compare row versions too and count what the cursor had missed: always, never, every N"},
    {"sweep", SCHEDULE, AT(sweep), "never", 0, 0, 0, NULL, false, "which loads compare all keys and close rows that the source no longer has: always, never, every N"},
    {"on_delete", CHOICE, AT(on_delete), "mark", 0, 0, 0, "mark remove", false, "a row that is gone at the source: set its _deleted_at, or remove it"},
    {"since", TEXT, AT(since), NULL, 0, 0, 0, NULL, true, "window of a backfill: only rows whose cursor is at or after this time, ISO 8601"},
    {"until", TEXT, AT(until), NULL, 0, 0, 0, NULL, true, "window of a backfill: only rows whose cursor is before this time, ISO 8601"},
    {"connections", INTEGER, AT(connections), NULL, 1, 1, 16, NULL, false, "readers side by side on the source, each on a range of pages of one snapshot"},
    {"mode", CHOICE, AT(mode), "merge", 0, 0, 0, "merge append replace", false, "what the target holds: merge = the current row of each key; append = each version that a run saw; replace = the table as it was last read"},
    {"allow_empty", FLAG, AT(allow_empty), NULL, 0, 0, 0, NULL, false, "replace: take a source without rows for what it says, and empty the target"},
    {"on_schema_change", POLICIES, AT(on_schema_change), NULL, 0, 0, 0, NULL, true, "what to do when the schema has changed since the last load: an object of kind → policy, or one policy for every kind that knows it; `rowferry drift` lists them; null: each kind's default"},
    {"on_duplicate", CHOICE, AT(on_duplicate), "newest", 0, 0, 0, "newest fail", false, "several rows of one key in a batch: keep the newest, or fail"},
    {"run_id", TEXT, AT(run_id), NULL, 0, 0, 0, NULL, true, "name of the run; a retry under the same name adds to it; null: a new one"},
    {"try_number", INTEGER, AT(try_number), NULL, 1, 1, 1e9, NULL, false, "a later try of a run takes the table over from an earlier one"},
    {"map_index", INTEGER, AT(map_index), NULL, -1, -1, 1e9, NULL, true, "index of a mapped task; only recorded"},
    {"application", TEXT, AT(application), "rowferry", 0, 0, 0, NULL, false, "application_name of the sessions"},
    {"batch_bytes", BYTES, AT(batch_bytes), NULL, 1048576, 65536, 1073741824, NULL, false, "memory for one batch, in bytes"},
    {"lock_timeout", NUMBER, AT(lock_timeout), NULL, 60, 0, 86400, NULL, false, "seconds to wait for the table while another run holds it, and for a server that has no connection free"},
    {"lease_seconds", NUMBER, AT(lease_seconds), NULL, 120, 1, 86400, NULL, false, "seconds without a sign of life after which another run may take the table over"},
    {"source_lag_wait", NUMBER, AT(source_lag_wait), NULL, 60, 0, 86400, NULL, false, "seconds to wait for a standby that is behind the last load"},
    {"connect_timeout", INTEGER, AT(connect_timeout), NULL, 10, 1, 3600, NULL, false, "seconds to wait for a connection"},
    {"control_schema", TEXT, AT(control_schema), "_rowferry", 0, 0, 0, NULL, false, "schema of the control tables on the target"},
    {"verify", FLAG, AT(verify), NULL, 0, 0, 0, NULL, false, "compare source and target exactly before the commit"},
    {"newest", INTEGER, AT(newest), NULL, 0, 0, 1e9, NULL, true, NULL},
};
enum { N_KEYS = (int)(sizeof KEYS / sizeof KEYS[0]), MOST_NAMES = 1664, IDENTIFIER_BYTES = 63 };

static void *field(struct rf_job *job, const struct key *key) {
    return (char *)job + key->offset;
}

/* ---- names of keys ---- */

static int least_of(int a, int b, int c) {
    int least = a < b ? a : b;
    return least < c ? least : c;
}

/* Levenshtein distance of two short words; anything longer than a key counts as far away. */
static int distance(const char *a, const char *b) {
    enum { LONGEST = 32 };
    size_t n = strlen(a), m = strlen(b);
    if (n >= LONGEST || m >= LONGEST) return LONGEST;
    int row[LONGEST];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int above = row[j];
            row[j] = least_of(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[m];
}

static const struct key *find_key(const char *name) {
    for (int i = 0; i < N_KEYS; i++)
        if (strcmp(KEYS[i].name, name) == 0) return &KEYS[i];
    return NULL;
}

/* The others say how a table is read. */
static bool is_of_streams(const char *name) {
    static const char *const names[] = {"target", "driver", "channel", "spool_dir", "spool_file_bytes", "source_name", "table", "target_table", "keys", "as_text", "mask", "mask_key_env", "naive_timestamps", "mode", "allow_empty", "on_schema_change", "on_duplicate", "run_id", "try_number",
                                        "map_index", "application", "batch_bytes", "lock_timeout", "lease_seconds", "connect_timeout", "control_schema"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

static enum rf_code unknown_key(const char *name, struct rf_error *err) {
    const struct key *nearest = &KEYS[0];
    for (int i = 1; i < N_KEYS; i++)
        if (KEYS[i].meaning && distance(name, KEYS[i].name) < distance(name, nearest->name)) nearest = &KEYS[i];
    rf_fail(err, RF_CONFIG, "the job has an unknown key \"%s\"", name);
    return rf_hint(err, "Did you mean \"%s\"? `rowferry spec job` lists every key.", nearest->name);
}

/* ---- values ---- */

static enum rf_code wrong_type(const struct key *key, const char *expected, struct rf_error *err) {
    return rf_fail(err, RF_CONFIG, "\"%s\" of the job must be %s", key->name, expected);
}

static enum rf_code set_text(struct rf_job *job, const struct key *key, const char *value, struct rf_arena *arena,
                             struct rf_error *err) {
    if (value && !*value) return wrong_type(key, "a text that is not empty", err);
    const char *copy = rf_arena_copy(arena, value);
    if (value && !copy) return rf_no_memory(err);
    memcpy(field(job, key), &copy, sizeof copy);
    return RF_OK;
}

static enum rf_code set_names(struct rf_job *job, const struct key *key, const cJSON *list, struct rf_arena *arena,
                              struct rf_error *err) {
    int n = cJSON_GetArraySize(list);
    if (n < 1 || n > MOST_NAMES) return wrong_type(key, "a list of 1 to 1664 column names, or null", err);
    struct rf_names names = {.names = rf_arena_take(arena, (size_t)n * sizeof(char *))};
    if (!names.names) return rf_no_memory(err);
    const cJSON *item;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsString(item) || !*item->valuestring) return wrong_type(key, "a list of column names", err);
        for (int i = 0; i < names.n; i++)
            if (strcmp(names.names[i], item->valuestring) == 0)
                return rf_fail(err, RF_CONFIG, "\"%s\" of the job names the column \"%s\" twice", key->name, item->valuestring);
        names.names[names.n] = rf_arena_copy(arena, item->valuestring);
        if (!names.names[names.n++]) return rf_no_memory(err);
    }
    memcpy(field(job, key), &names, sizeof names);
    return RF_OK;
}

static enum rf_code set_mask(struct rf_mask *mask, const struct key *key, const cJSON *item, struct rf_arena *arena, struct rf_error *err) {
    if (!cJSON_IsString(item) || !*item->string) return wrong_type(key, "an object of column names and masks, or null", err);
    if (!rf_mask_read(item->valuestring, mask)) {
        rf_fail(err, RF_CONFIG, "\"%s\" of the job hides the column \"%s\" by \"%s\", which is no mask", key->name, item->string, item->valuestring);
        return rf_hint(err, "Write \"drop\", \"redact\", \"truncate:N\" (the first N characters, from 1 to 1000000) or \"hash\".");
    }
    mask->column = rf_arena_copy(arena, item->string);
    return mask->column ? RF_OK : rf_no_memory(err);
}

static enum rf_code set_masks(struct rf_job *job, const struct key *key, const cJSON *object, struct rf_arena *arena, struct rf_error *err) {
    int n = cJSON_GetArraySize(object);
    if (n < 1 || n > MOST_NAMES) return wrong_type(key, "an object of 1 to 1664 column names and masks, or null", err);
    job->mask.masks = rf_arena_take(arena, (size_t)n * sizeof *job->mask.masks);
    if (!job->mask.masks) return rf_no_memory(err);
    const cJSON *item;
    cJSON_ArrayForEach(item, object) {
        if (rf_mask_of(job, item->string)) return rf_fail(err, RF_CONFIG, "\"%s\" of the job names the column \"%s\" twice", key->name, item->string);
        RF_TRY(set_mask(&job->mask.masks[job->mask.n], key, item, arena, err));
        job->mask.n++;
    }
    return RF_OK;
}

static enum rf_code set_number(struct rf_job *job, const struct key *key, double value, struct rf_error *err) {
    if (!(value >= key->least && value <= key->most))
        return rf_fail(err, RF_CONFIG, "\"%s\" of the job is %g; it must be from %.0f to %.0f", key->name, value, key->least, key->most);
    if (key->kind == NUMBER) {
        memcpy(field(job, key), &value, sizeof value);
        return RF_OK;
    }
    if (floor(value) != value) return wrong_type(key, "a whole number", err);
    int64_t wide = (int64_t)value;
    int narrow = (int)wide;
    if (key->kind == BYTES) memcpy(field(job, key), &wide, sizeof wide);
    else memcpy(field(job, key), &narrow, sizeof narrow);
    return RF_OK;
}

/* "never" is 0, "always" 1, "every N" N. */
static enum rf_code set_schedule(struct rf_job *job, const struct key *key, const char *value, struct rf_error *err) {
    int every = strcmp(value, "always") == 0, length = 0;
    bool good = every || strcmp(value, "never") == 0;
    if (strncmp(value, "every ", 6) == 0 && value[6] >= '1' && value[6] <= '9')
        good = sscanf(value, "every %6d%n", &every, &length) == 1 && every > 0 && !value[length];
    if (!good) return rf_fail(err, RF_CONFIG, "\"%s\" of the job is \"%s\"; write \"always\", \"never\" or \"every N\" (loads)", key->name, value);
    memcpy(field(job, key), &every, sizeof every);
    return RF_OK;
}

static enum rf_code set_flag(struct rf_job *job, const struct key *key, bool value) {
    memcpy(field(job, key), &value, sizeof value);
    return RF_OK;
}

static enum rf_code set_choice(struct rf_job *job, const struct key *key, const char *value, struct rf_error *err) {
    const char *word = key->choices;
    for (int i = 0; *word; i++) {
        size_t length = strcspn(word, " ");
        if (strlen(value) == length && strncmp(word, value, length) == 0) {
            memcpy(field(job, key), &i, sizeof i);
            return RF_OK;
        }
        word += length;
        word += strspn(word, " ");
    }
    return rf_fail(err, RF_CONFIG, "\"%s\" of the job is \"%s\"; this release knows: %s", key->name, value, key->choices);
}

static enum rf_code set_policy(struct rf_policies *policies, const char *kind_name, const char *name, struct rf_error *err) {
    enum rf_drift_kind kind = rf_drift_kind_read(kind_name);
    enum rf_policy policy;
    if (kind == RF_DRIFT_KINDS) {
        rf_fail(err, RF_CONFIG, "\"on_schema_change\" of the job names the kind \"%s\", which there is not", kind_name);
        return rf_hint(err, "`rowferry drift` lists the kinds and the policies that each knows.");
    }
    if (!rf_policy_read(name, &policy) || !rf_drift_rows[kind].done[policy]) {
        bool may_be_ignored = rf_drift_rows[kind].done[RF_POLICY_IGNORE] != NULL;
        return rf_fail(err, RF_CONFIG, "\"on_schema_change\" of the job says \"%s\" for %s; it knows: apply%s fail", name, kind_name, may_be_ignored ? " ignore" : "");
    }
    policies->of[kind] = policy;
    return RF_OK;
}

static enum rf_code set_all_policies(struct rf_policies *policies, const char *name, struct rf_error *err) {
    enum rf_policy policy;
    if (!rf_policy_read(name, &policy)) return rf_fail(err, RF_CONFIG, "\"on_schema_change\" of the job is \"%s\"; write apply, ignore or fail, or an object of kind and policy", name);
    for (int kind = 0; kind < RF_DRIFT_KINDS; kind++)
        if (rf_drift_rows[kind].done[policy]) policies->of[kind] = policy;
    return RF_OK;
}

static enum rf_code set_policies(struct rf_job *job, const struct key *key, const cJSON *value, struct rf_error *err) {
    struct rf_policies policies = rf_policies_usual();
    const cJSON *item;
    if (cJSON_IsString(value)) RF_TRY(set_all_policies(&policies, value->valuestring, err));
    else if (!cJSON_IsObject(value) && !cJSON_IsNull(value)) return wrong_type(key, "a policy, or an object of kind and policy, or null", err);
    cJSON_ArrayForEach(item, value) {
        if (!cJSON_IsString(item)) return wrong_type(key, "an object whose values are policies", err);
        RF_TRY(set_policy(&policies, item->string, item->valuestring, err));
    }
    memcpy(field(job, key), &policies, sizeof policies);
    return RF_OK;
}

static enum rf_code set_default(struct rf_job *job, const struct key *key, struct rf_arena *arena, struct rf_error *err) {
    switch (key->kind) {
    case TEXT: return set_text(job, key, key->default_text, arena, err);
    case CHOICE: return set_choice(job, key, key->default_text, err);
    case SCHEDULE: return set_schedule(job, key, key->default_text, err);
    case NUMBER:
    case INTEGER:
    case BYTES: return set_number(job, key, key->default_number, err);
    case POLICIES: job->on_schema_change = rf_policies_usual(); return RF_OK;
    case NAMES:
    case MASKS:
    case FLAG: return RF_OK;
    }
    return RF_OK;
}

static enum rf_code set_value(struct rf_job *job, const struct key *key, const cJSON *value, struct rf_arena *arena,
                              struct rf_error *err) {
    if (cJSON_IsNull(value) && key->nullable) return set_default(job, key, arena, err);
    switch (key->kind) {
    case TEXT:
        if (!cJSON_IsString(value)) return wrong_type(key, key->nullable ? "a text or null" : "a text", err);
        return set_text(job, key, value->valuestring, arena, err);
    case CHOICE:
        if (!cJSON_IsString(value)) return wrong_type(key, "a text", err);
        return set_choice(job, key, value->valuestring, err);
    case SCHEDULE:
        if (!cJSON_IsString(value)) return wrong_type(key, "a text", err);
        return set_schedule(job, key, value->valuestring, err);
    case POLICIES: return set_policies(job, key, value, err);
    case NAMES:
        if (!cJSON_IsArray(value)) return wrong_type(key, "a list of column names, or null", err);
        return set_names(job, key, value, arena, err);
    case MASKS:
        if (!cJSON_IsObject(value)) return wrong_type(key, "an object of column names and masks, or null", err);
        return set_masks(job, key, value, arena, err);
    case NUMBER:
    case INTEGER:
    case BYTES:
        if (!cJSON_IsNumber(value)) return wrong_type(key, "a number", err);
        return set_number(job, key, value->valuedouble, err);
    case FLAG:
        if (!cJSON_IsBool(value)) return wrong_type(key, "true or false", err);
        return set_flag(job, key, cJSON_IsTrue(value));
    }
    return RF_OK;
}

/* ---- table names ---- */

/* Does the target fold names, and have three parts in them? */
static bool names_fold(const struct rf_job *job) {
    return job->target && rf_is_snowflake(job->target);
}

/* Takes one part of a dotted name into `out` and moves *at behind it. */
static bool take_part(const char **at, char *out, size_t out_size) {
    size_t n = 0;
    const char *p = *at;
    bool quoted = *p == '"';
    if (quoted) p++;
    while (*p && (quoted || *p != '.')) {
        if (*p == '"') {
            if (!quoted) return false;
            if (p[1] != '"') break;
            p++;
        }
        if (n + 1 >= out_size) return false;
        out[n++] = *p++;
    }
    if (quoted && *p++ != '"') return false;
    out[n] = '\0';
    *at = p;
    return n > 0;
}

enum rf_code rf_split_name(const char *text, const char *key, struct rf_arena *arena, const char **schema,
                           const char **name, struct rf_error *err) {
    char first[IDENTIFIER_BYTES + 1], second[IDENTIFIER_BYTES + 1];
    const char *at = text;
    bool good = take_part(&at, first, sizeof first);
    bool two = good && *at == '.';
    if (two) {
        at++;
        good = take_part(&at, second, sizeof second);
    }
    if (!good || *at) {
        rf_fail(err, RF_CONFIG, "\"%s\" of the job, \"%s\", is not a table name", key, text);
        return rf_hint(err, "Write schema.table or table; put a part with odd characters in double quotes. A part has at most 63 bytes.");
    }
    *schema = rf_arena_copy(arena, two ? first : "public");
    *name = rf_arena_copy(arena, two ? second : first);
    return *schema && *name ? RF_OK : rf_no_memory(err);
}

static bool is_plain(const char *name) {
    if (!islower((unsigned char)*name) && *name != '_') return false;
    for (const char *p = name; *p; p++)
        if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_') return false;
    return true;
}

static void add_label_part(struct rf_text *label, const char *name) {
    if (is_plain(name)) rf_text_add(label, name);
    else rf_text_identifier(label, name);
}

/* `database` may be NULL. */
static enum rf_code make_label(const char *database, const char *schema, const char *name, struct rf_arena *arena, const char **out,
                               struct rf_error *err) {
    struct rf_text label = {0};
    if (database) add_label_part(&label, database);
    if (database) rf_text_add(&label, ".");
    add_label_part(&label, schema);
    rf_text_add(&label, ".");
    add_label_part(&label, name);
    return rf_arena_text(arena, &label, out, err);
}

/* A placeholder's value inside a template, quoted where a bare word would split or end the name. */
static enum rf_code expand_template(const struct rf_job *job, const char *template, struct rf_text *out, struct rf_error *err) {
    const struct { const char *mark, *value; } marks[] = {
        {"{source}", job->source_name}, {"{schema}", job->source_schema}, {"{table}", job->source_table}};
    for (const char *p = template; *p;) {
        if (*p != '{') {
            rf_text_add_bytes(out, p++, 1);
            continue;
        }
        const char *value = NULL;
        size_t length = strcspn(p, "}") + 1;
        for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
            if (strncmp(p, marks[i].mark, length) == 0 && strlen(marks[i].mark) == length) value = marks[i].value;
        if (!value) return rf_fail(err, RF_CONFIG, "\"target_table\" of the job, \"%s\", has an unknown placeholder; it knows {source}, {schema} and {table}", template);
        rf_text_add(out, value);
        p += length;
    }
    return rf_text_check(out, err);
}

/* One part of the template, expanded. */
static enum rf_code name_part(const struct rf_job *job, const char *template, struct rf_arena *arena, const char **out, struct rf_error *err) {
    struct rf_text name = {0};
    char *copy = NULL;
    enum rf_code code = expand_template(job, template, &name, err);
    if (code == RF_OK && (name.length == 0 || name.length > IDENTIFIER_BYTES)) {
        rf_fail(err, RF_CONFIG, "\"target_table\" of the job, \"%s\", gives a name that is empty or longer than 63 bytes", job->target_table);
        code = rf_hint(err, "Set target_table, or a shorter source_name.");
    }
    if (code == RF_OK && !(copy = rf_arena_copy(arena, name.data))) code = rf_no_memory(err);
    if (code == RF_OK && names_fold(job)) rf_snowflake_unfold(copy);
    *out = copy;
    rf_text_free(&name);
    return code;
}

static enum rf_code not_a_template(const struct rf_job *job, struct rf_error *err) {
    bool three = names_fold(job);
    rf_fail(err, RF_CONFIG, "\"target_table\" of the job, \"%s\", is not of the form %sschema.table", job->target_table, three ? "database.schema.table or " : "");
    return rf_hint(err, three ? "Write no quotes, as in raw.{source}.{table}; names are quoted for you." : "Write one dot and no quotes, as in raw_{source}.{table}; names are quoted for you.");
}

/* A table of Snowflake's is in the database that the URI names, unless its own name says another. */
static enum rf_code take_database(struct rf_job *job, struct rf_arena *arena, struct rf_error *err) {
    struct rf_snowflake_uri uri;
    if (!names_fold(job) || job->target_database) return RF_OK;
    RF_TRY(rf_snowflake_uri_read(job->target, arena, &uri, err));
    if (!uri.database) {
        rf_fail(err, RF_CONFIG, "neither \"target\" nor \"target_table\" of the job names a database");
        return rf_hint(err, "Write snowflake://user@account/database, or database.schema.table.");
    }
    char *database = rf_arena_copy(arena, uri.database);
    if (!database) return rf_no_memory(err);
    rf_snowflake_unfold(database);
    job->target_database = database;
    return RF_OK;
}

/* Splits the template at its own dots first, so that a dot or quote inside a value stays part of the name. */
static enum rf_code name_target(struct rf_job *job, struct rf_arena *arena, struct rf_error *err) {
    char *parts[3] = {rf_arena_copy(arena, job->target_table)};
    int n = 1, most = names_fold(job) ? 3 : 2;
    if (!parts[0]) return rf_no_memory(err);
    for (char *dot = parts[0]; (dot = strchr(dot, '.'));) {
        if (n == most) return not_a_template(job, err);
        *dot++ = '\0';
        parts[n++] = dot;
    }
    if (n < 2 || strchr(job->target_table, '"')) return not_a_template(job, err);
    if (n == 3) RF_TRY(name_part(job, parts[0], arena, &job->target_database, err));
    RF_TRY(name_part(job, parts[n - 2], arena, &job->target_schema, err));
    RF_TRY(name_part(job, parts[n - 1], arena, &job->target_table, err));
    RF_TRY(take_database(job, arena, err));
    return make_label(job->target_database, job->target_schema, job->target_table, arena, &job->target_label, err);
}

static enum rf_code name_tables(struct rf_job *job, struct rf_arena *arena, struct rf_error *err) {
    if (!job->table) return take_database(job, arena, err);
    RF_TRY(rf_split_name(job->table, "table", arena, &job->source_schema, &job->source_table, err));
    RF_TRY(make_label(NULL, job->source_schema, job->source_table, arena, &job->source_label, err));
    return name_target(job, arena, err);
}

/* A run without a name gets one that no other run has. */
static enum rf_code name_run(struct rf_job *job, struct rf_arena *arena, struct rf_error *err) {
    if (job->run_id) return RF_OK;
    unsigned char random[16];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return rf_fail(err, RF_INTERNAL, "the system gave no random bytes for a run_id");
    char name[] = "manual__00000000000000000000000000000000";
    for (size_t i = 0; i < sizeof random; i++) snprintf(name + 8 + 2 * i, 3, "%02x", random[i]);
    job->run_id = rf_arena_copy(arena, name);
    return job->run_id ? RF_OK : rf_no_memory(err);
}

bool rf_names_have(const struct rf_names *names, const char *name) {
    for (int i = 0; i < names->n; i++)
        if (strcmp(names->names[i], name) == 0) return true;
    return false;
}

static enum rf_code check_keys_selected(const struct rf_job *job, struct rf_error *err) {
    if (!job->columns.names) return RF_OK;
    for (int i = 0; i < job->keys.n; i++) {
        if (rf_names_have(&job->columns, job->keys.names[i])) continue;
        rf_fail(err, RF_CONFIG, "the key column \"%s\" is not among \"columns\" of the job", job->keys.names[i]);
        return rf_hint(err, "Add it to \"columns\".");
    }
    return RF_OK;
}

bool rf_job_only_reads(const struct rf_job *job) {
    return !job->target;
}

const char *rf_mode_name(enum rf_mode mode) {
    static const char *const names[] = {"merge", "append", "replace"};
    return names[mode];
}

bool rf_job_has_window(const struct rf_job *job) {
    return job->since || job->until;
}

/* Moves *at behind what has the form, in which # stands for a digit. */
static bool take_form(const char **at, const char *form) {
    for (; *form; form++, (*at)++)
        if (*form == '#' ? !isdigit((unsigned char)**at) : **at != *form) return false;
    return true;
}

/* The form of ISO 8601, with or without time and offset. The values are the source's to judge. Other words that a
 * server takes for times, as now and infinity, would move a window silently. */
static bool looks_like_time(const char *text) {
    const char *p = text;
    if (!take_form(&p, "####-##-##")) return false;
    if (!*p) return true;
    if (*p != 'T' && *p != ' ') return false;
    p++;
    if (!take_form(&p, "##:##")) return false;
    p += strspn(p, ":0123456789.");
    if (*p == 'Z') return !p[1];
    if (*p != '+' && *p != '-') return !*p;
    return isdigit((unsigned char)p[1]) && !p[1 + strspn(p + 1, ":0123456789")];
}

static enum rf_code check_time(const char *key, const char *text, struct rf_error *err) {
    if (!text || looks_like_time(text)) return RF_OK;
    rf_fail(err, RF_CONFIG, "\"%s\" of the job, \"%s\", is not a time", key, text);
    return rf_hint(err, "Write ISO 8601, as in 2026-11-22T00:00:00+00:00; without an offset it is UTC.");
}

static enum rf_code check_window(const struct rf_job *job, struct rf_error *err) {
    if (!rf_job_has_window(job)) return RF_OK;
    RF_TRY(check_time("since", job->since, err));
    RF_TRY(check_time("until", job->until, err));
    if (job->capture == RF_CAPTURE_FULL || job->capture == RF_CAPTURE_XMIN) {
        rf_fail(err, RF_CONFIG, "\"since\" and \"until\" of the job choose rows by their cursor, and \"capture\" is %s", job->capture == RF_CAPTURE_FULL ? "full" : "xmin");
        return rf_hint(err, "Leave \"capture\" at auto or cursor for a backfill.");
    }
    if (!job->verify) return RF_OK;
    rf_fail(err, RF_CONFIG, "\"verify\" compares whole tables, and the job reads only a window of one");
    return rf_hint(err, "Run `rowferry verify` after the backfill.");
}

/* What a mode leaves no room for. */
static enum rf_code check_mode(const struct rf_job *job, struct rf_error *err) {
    if (job->mode == RF_MODE_REPLACE && rf_job_has_window(job)) {
        rf_fail(err, RF_CONFIG, "\"since\" and \"until\" of the job read a window, and mode replace makes the target what was read");
        return rf_hint(err, "Leave them out: every run in this mode reads the whole table.");
    }
    if (job->mode == RF_MODE_REPLACE && (job->capture == RF_CAPTURE_XMIN || job->capture == RF_CAPTURE_CURSOR)) {
        rf_fail(err, RF_CONFIG, "\"capture\" of the job finds changed rows, and mode replace reads the whole table");
        return rf_hint(err, "Leave \"capture\" at auto or full.");
    }
    if (job->mode != RF_MODE_REPLACE && job->allow_empty) {
        rf_fail(err, RF_CONFIG, "\"allow_empty\" of the job is of mode replace, and the mode is %s", rf_mode_name(job->mode));
        return rf_hint(err, "In no other mode does a source without rows remove any.");
    }
    if (job->mode == RF_MODE_APPEND && job->on_delete == RF_DELETE_REMOVE) {
        rf_fail(err, RF_CONFIG, "\"on_delete\" of the job is remove, and mode append removes nothing");
        return rf_hint(err, "Leave it at mark: a row that is gone gets a last version, with _deleted_at.");
    }
    return RF_OK;
}

/* ---- the whole ---- */

static enum rf_code fill(const cJSON *root, struct rf_arena *arena, struct rf_job *job, struct rf_error *err) {
    if (!cJSON_IsObject(root)) return rf_fail(err, RF_CONFIG, "a job is a JSON object");
    *job = (struct rf_job){0};
    for (int i = 0; i < N_KEYS; i++) RF_TRY(set_default(job, &KEYS[i], arena, err));
    bool is_set[N_KEYS] = {false};
    const cJSON *value;
    cJSON_ArrayForEach(value, root) {
        const struct key *key = find_key(value->string);
        if (!key) return unknown_key(value->string, err);
        if (is_set[key - KEYS]) return rf_fail(err, RF_CONFIG, "the job has the key \"%s\" twice", key->name);
        is_set[key - KEYS] = true;
        if (!job->of_tables && !cJSON_IsNull(value) && !is_of_streams(key->name)) job->of_tables = key->name;
        RF_TRY(set_value(job, key, value, arena, err));
    }
    if (strlen(job->control_schema) > IDENTIFIER_BYTES) return rf_fail(err, RF_CONFIG, "\"control_schema\" of the job is longer than 63 bytes");
    RF_TRY(check_keys_selected(job, err));
    RF_TRY(check_window(job, err));
    RF_TRY(check_mode(job, err));
    RF_TRY(name_run(job, arena, err));
    if (!job->target_table) job->target_table = names_fold(job) ? "raw.{source}.{table}" : "raw_{source}.{table}";
    return name_tables(job, arena, err);
}

/* \u0000, unless its backslash is itself escaped. */
static bool holds_nul(const char *json) {
    for (const char *p = strchr(json, '\\'); p && p[1]; p = strchr(p + 2, '\\'))
        if (strncmp(p, "\\u0000", 6) == 0) return true;
    return false;
}

enum rf_code rf_job_parse(const char *json, struct rf_arena *arena, struct rf_job *job, struct rf_error *err) {
    if (holds_nul(json)) return rf_fail(err, RF_CONFIG, "a text of the job holds the character NUL (\\u0000), which would cut it short");
    const char *end = NULL;
    cJSON *root = cJSON_ParseWithOpts(json, &end, 1);
    if (!root) return rf_fail(err, RF_CONFIG, "the job is not valid JSON, from byte %td on", end ? end - json : (ptrdiff_t)0);
    enum rf_code code = fill(root, arena, job, err);
    cJSON_Delete(root);
    return code;
}

enum rf_code rf_job_require(const struct rf_job *job, bool source, bool target, bool table, struct rf_error *err) {
    if (source && !job->source) return rf_fail(err, RF_CONFIG, "the job lacks \"source\"");
    if (target && !job->target) return rf_fail(err, RF_CONFIG, "the job lacks \"target\"");
    if (table && !job->table) return rf_fail(err, RF_CONFIG, "the job lacks \"table\"");
    return RF_OK;
}

enum rf_code rf_job_take_stream(struct rf_job *job, struct rf_error *err) {
    if (job->of_tables) return rf_fail(err, RF_CONFIG, "\"%s\" of the job says how a table is read, and the rows come from a stream", job->of_tables);
    RF_TRY(rf_job_require(job, false, true, true, err));
    if (job->mode == RF_MODE_APPEND) {
        rf_fail(err, RF_CONFIG, "mode append keeps the versions of a table's rows, and the rows of a stream have none");
        return rf_hint(err, "Load it in mode merge, with a column in \"keys\" that tells each event from the others: a stream that is loaded again then changes nothing. Or in mode replace.");
    }
    if (!job->keys.names && job->mode != RF_MODE_REPLACE) {
        rf_fail(err, RF_CONFIG, "the job lacks \"keys\": a stream has no primary key");
        return rf_hint(err, "Name the columns that identify a row.");
    }
    job->capture = RF_CAPTURE_GIVEN;
    return RF_OK;
}

/* ---- the published schema ---- */

static void add_choices(struct rf_text *to, const char *choices) {
    rf_json_open(to, "enum", '[');
    while (*choices) {
        char word[32];
        size_t length = strcspn(choices, " ");
        rf_copy_text(word, length + 1 < sizeof word ? length + 1 : sizeof word, choices);
        rf_json_text(to, NULL, word);
        choices += length;
        choices += strspn(choices, " ");
    }
    rf_json_close(to, ']');
}

static void add_type(struct rf_text *to, const struct key *key) {
    static const char *const types[] = {"string", "array", "number", "integer", "integer", "boolean", "string", "string", "string", "object"};
    if (!key->nullable) {
        rf_json_text(to, "type", types[key->kind]);
        return;
    }
    rf_json_open(to, "type", '[');
    rf_json_text(to, NULL, types[key->kind]);
    if (key->kind == POLICIES) rf_json_text(to, NULL, "object");
    rf_json_text(to, NULL, "null");
    rf_json_close(to, ']');
}

static void add_default(struct rf_text *to, const struct key *key) {
    if (key->kind == FLAG) rf_json_flag(to, "default", false);
    else if (key->default_text) rf_json_text(to, "default", key->default_text);
    else if (key->nullable) rf_json_null(to, "default");
    else rf_json_number(to, "default", key->default_number);
}

/* Of a text the words, of an object its members: each constrains values of its own type alone. */
static void add_policies(struct rf_text *to) {
    rf_json_text(to, "pattern", "^(apply|ignore|fail)$");
    rf_json_flag(to, "additionalProperties", false);
    rf_json_open(to, "properties", '{');
    for (int kind = 0; kind < RF_DRIFT_KINDS; kind++) {
        rf_json_open(to, rf_drift_rows[kind].name, '{');
        rf_json_text(to, "description", rf_drift_rows[kind].meaning);
        add_choices(to, rf_drift_rows[kind].done[RF_POLICY_IGNORE] ? "apply ignore fail" : "apply fail");
        rf_json_text(to, "default", rf_policy_name(rf_drift_rows[kind].usual));
        rf_json_close(to, '}');
    }
    rf_json_close(to, '}');
}

static void add_property(struct rf_text *to, const struct key *key) {
    rf_json_open(to, key->name, '{');
    rf_json_text(to, "description", key->meaning);
    add_type(to, key);
    if (key->kind == NAMES) {
        rf_json_open(to, "items", '{');
        rf_json_text(to, "type", "string");
        rf_json_close(to, '}');
        rf_json_integer(to, "minItems", 1);
    }
    if (key->kind == MASKS) {
        rf_json_open(to, "additionalProperties", '{');
        rf_json_text(to, "type", "string");
        rf_json_text(to, "pattern", "^(drop|redact|hash|truncate:[1-9][0-9]{0,6})$");
        rf_json_close(to, '}');
        rf_json_integer(to, "minProperties", 1);
    }
    if (key->kind == CHOICE) add_choices(to, key->choices);
    if (key->kind == POLICIES) add_policies(to);
    if (key->kind == SCHEDULE) rf_json_text(to, "pattern", "^(always|never|every [1-9][0-9]{0,5})$");
    if (key->kind == NUMBER || key->kind == INTEGER || key->kind == BYTES) {
        rf_json_number(to, "minimum", key->least);
        rf_json_number(to, "maximum", key->most);
    }
    add_default(to, key);
    rf_json_close(to, '}');
}

char *rf_job_schema(void) {
    struct rf_text json = {0};
    rf_json_open(&json, NULL, '{');
    rf_json_text(&json, "$schema", "https://json-schema.org/draft/2020-12/schema");
    rf_json_text(&json, "title", "rowferry job");
    rf_json_text(&json, "type", "object");
    rf_json_open(&json, "required", '[');
    rf_json_text(&json, NULL, "source");
    rf_json_text(&json, NULL, "target");
    rf_json_text(&json, NULL, "table");
    rf_json_close(&json, ']');
    rf_json_flag(&json, "additionalProperties", false);
    rf_json_open(&json, "properties", '{');
    for (int i = 0; i < N_KEYS; i++)
        if (KEYS[i].meaning) add_property(&json, &KEYS[i]);
    rf_json_close(&json, '}');
    rf_json_close(&json, '}');
    return rf_json_take(&json);
}
