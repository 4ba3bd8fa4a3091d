#include "core/mask.h"

#include <stdio.h>
#include <string.h>

enum { MOST_CHARACTERS = 1000000, CHECK_BYTES = 6 };

bool rf_mask_read(const char *word, struct rf_mask *mask) {
    static const struct { const char *word; enum rf_mask_kind kind; } words[] = {
        {"drop", RF_MASK_DROP}, {"redact", RF_MASK_REDACT}, {"hash", RF_MASK_HASH}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(word, words[i].word) != 0) continue;
        mask->kind = words[i].kind;
        return true;
    }
    int n_characters = 0, length = 0;
    if (sscanf(word, "truncate:%7d%n", &n_characters, &length) != 1 || word[length]) return false;
    if (strspn(word + strlen("truncate:"), "0123456789") != strlen(word + strlen("truncate:"))) return false;
    mask->kind = RF_MASK_TRUNCATE;
    mask->n_characters = n_characters;
    return n_characters >= 1 && n_characters <= MOST_CHARACTERS;
}

void rf_mask_write(const struct rf_mask *mask, struct rf_text *out) {
    switch (mask->kind) {
    case RF_MASK_DROP: rf_text_add(out, "drop"); break;
    case RF_MASK_REDACT: rf_text_add(out, "redact"); break;
    case RF_MASK_HASH: rf_text_add(out, "hash"); break;
    case RF_MASK_TRUNCATE: rf_text_addf(out, "truncate:%d", mask->n_characters); break;
    }
}

const struct rf_mask *rf_mask_of(const struct rf_job *job, const char *column) {
    for (int i = 0; i < job->mask.n; i++)
        if (strcmp(job->mask.masks[i].column, column) == 0) return &job->mask.masks[i];
    return NULL;
}

bool rf_job_hashes(const struct rf_job *job) {
    for (int i = 0; i < job->mask.n; i++)
        if (job->mask.masks[i].kind == RF_MASK_HASH) return true;
    return false;
}

/* ---- what is sent ---- */

static bool is_text(const struct rf_column *column) {
    static const char *const types[] = {"text", "varchar", "bpchar"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (column->identity && !column->refusal && strcmp(column->identity, types[i]) == 0) return true;
    return false;
}

/* Names are qualified: when rows are read, the search path is the role's own. */
static void add_expression(const struct rf_column *column, const struct rf_mask *mask, struct rf_text *out) {
    bool hides = mask->kind == RF_MASK_REDACT;
    rf_text_add(out, mask->kind == RF_MASK_TRUNCATE ? "pg_catalog.left(" : "");
    rf_text_add(out, !hides ? "" : is_text(column) ? "CASE WHEN " : "CASE WHEN false THEN ");
    rf_text_identifier(out, column->name);
    if (hides) rf_text_add(out, is_text(column) ? " IS NOT NULL THEN '" RF_REDACTED "'::pg_catalog.text END" : " END");
    else rf_text_add(out, "::pg_catalog.text");
    if (mask->kind == RF_MASK_TRUNCATE) rf_text_addf(out, ", %d)", mask->n_characters);
}

/* A redacted column that is no text is always NULL, and keeps its type; any other arrives as a text. */
static void set_type(struct rf_column *column, const struct rf_mask *mask) {
    column->hashed = mask->kind == RF_MASK_HASH;
    if (mask->kind == RF_MASK_REDACT && !is_text(column)) {
        column->not_null = false;
        return;
    }
    column->type = column->base = column->identity = "text";
    column->typmod = -1;
    column->refusal = NULL;
}

static enum rf_code mask_column(struct rf_column *column, const struct rf_mask *mask, struct rf_arena *arena, struct rf_error *err) {
    struct rf_text expression = {0};
    add_expression(column, mask, &expression);
    RF_TRY(rf_arena_text(arena, &expression, &column->masked, err));
    set_type(column, mask);
    return RF_OK;
}

static enum rf_code check_names(const struct rf_job *job, const struct rf_source_facts *facts, struct rf_error *err) {
    for (int i = 0; i < job->mask.n; i++) {
        const char *name = job->mask.masks[i].column;
        if (rf_find_column(facts->columns, facts->n_columns, name) >= 0) continue;
        rf_fail(err, RF_CONFIG, "\"mask\" of the job names the column \"%s\", which is not read from %s", name, job->source_label);
        return rf_hint(err, "Check the spelling; capital letters count. A mask that misses its column would hide nothing.");
    }
    return RF_OK;
}

enum rf_code rf_mask_columns(const struct rf_job *job, struct rf_source_facts *facts, struct rf_arena *arena, struct rf_error *err) {
    int kept = 0;
    RF_TRY(check_names(job, facts, err));
    for (int i = 0; i < facts->n_columns; i++) {
        const struct rf_mask *mask = rf_mask_of(job, facts->columns[i].name);
        if (mask && mask->kind == RF_MASK_DROP) continue;
        facts->columns[kept] = facts->columns[i];
        if (mask) RF_TRY(mask_column(&facts->columns[kept], mask, arena, err));
        kept++;
    }
    facts->n_columns = kept;
    return kept > 0 ? RF_OK : rf_fail(err, RF_CONFIG, "\"mask\" of the job drops every column of %s", job->source_label);
}

bool rf_mask_leaves_null(const struct rf_mask *mask, const struct rf_column *sent) {
    return mask->kind == RF_MASK_REDACT && !is_text(sent);
}

enum rf_code rf_mask_check_key(const struct rf_job *job, const char *column, struct rf_error *err) {
    const struct rf_mask *mask = rf_mask_of(job, column);
    if (!mask || mask->kind == RF_MASK_HASH) return RF_OK;
    rf_fail(err, RF_CONFIG, "\"mask\" of the job hides the key column \"%s\" of %s: rows could not be told apart", column, job->source_label);
    return rf_hint(err, "Mask it by \"hash\", which keeps keys apart, or name other columns in \"keys\".");
}

/* ---- the fingerprint ---- */

static enum rf_code add_check(const struct rf_hasher *hasher, struct rf_text *out, struct rf_error *err) {
    static const char constant[] = "rowferry: is it the same key?";
    uint8_t hash[RF_HASH_BYTES];
    if (!hasher || !hasher->hash(hasher->self, (const uint8_t *)constant, sizeof constant - 1, hash)) return rf_fail(err, RF_INTERNAL, "the key of \"mask\" could not be used");
    rf_text_add(out, " key ");
    for (int i = 0; i < CHECK_BYTES; i++) rf_text_addf(out, "%02x", hash[i]);
    return RF_OK;
}

void rf_mask_begin_line(const char *column, struct rf_text *out) {
    rf_text_add(out, "mask ");
    rf_text_identifier(out, column);
    rf_text_add(out, " ");
}

enum rf_code rf_mask_fingerprint(const struct rf_job *job, const struct rf_hasher *hasher, struct rf_text *out, struct rf_error *err) {
    for (int i = 0; i < job->mask.n; i++) {
        const struct rf_mask *mask = &job->mask.masks[i];
        rf_mask_begin_line(mask->column, out);
        rf_mask_write(mask, out);
        if (mask->kind == RF_MASK_HASH) RF_TRY(add_check(hasher, out, err));
        rf_text_add(out, "\n");
    }
    return RF_OK;
}
