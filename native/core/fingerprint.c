#include "core/fingerprint.h"

#include <stdlib.h>
#include <string.h>

bool rf_next_line(const char **at, struct rf_line *line) {
    if (!*at || !**at) return false;
    *line = (struct rf_line){.text = *at, .n_bytes = strcspn(*at, "\n")};
    *at += line->n_bytes + ((*at)[line->n_bytes] == '\n');
    return true;
}

size_t rf_count_lines(const char *fingerprint) {
    struct rf_line line;
    size_t n = 0;
    while (rf_next_line(&fingerprint, &line)) n++;
    return n;
}

/* ---- one line ---- */

size_t rf_words(const struct rf_line *line, int n) {
    size_t at = 0;
    while (at < line->n_bytes && (line->text[at] != ' ' || --n > 0)) at++;
    return at;
}

static bool is_same(const char *a, size_t n_a, const char *b, size_t n_b) {
    return n_a == n_b && memcmp(a, b, n_a) == 0;
}

bool rf_is_about(const struct rf_line *line, const char *word) {
    return is_same(line->text, rf_words(line, 1), word, strlen(word));
}

bool rf_begins(const struct rf_line *line, const char *text) {
    size_t n_bytes = strlen(text);
    return line->n_bytes >= n_bytes && memcmp(line->text, text, n_bytes) == 0;
}

bool rf_same_line(const struct rf_line *a, const struct rf_line *b) {
    return is_same(a->text, a->n_bytes, b->text, b->n_bytes);
}

bool rf_same_words(const struct rf_line *a, const struct rf_line *b, int n) {
    return is_same(a->text, rf_words(a, n), b->text, rf_words(b, n));
}

unsigned long long rf_line_number(const struct rf_line *line) {
    size_t at = rf_words(line, 1);
    return at < line->n_bytes ? strtoull(line->text + at + 1, NULL, 10) : 0;
}

char *rf_line_name(const struct rf_line *line, struct rf_arena *arena) {
    const char *at = line->text + rf_words(line, 2), *end = line->text + line->n_bytes;
    char *name = rf_arena_take(arena, line->n_bytes + 1);
    size_t n = 0;
    if (!name) return NULL;
    at += at < end;
    bool quoted = at < end && *at == '"';
    for (at += quoted; at < end && (quoted || *at != ' '); at++) {
        if (quoted && *at == '"' && *++at != '"') break;
        name[n++] = *at;
    }
    return name;
}

/* ---- among others ---- */

bool rf_find_number(const char *fingerprint, const char *word, unsigned long long number, struct rf_line *found) {
    while (rf_next_line(&fingerprint, found))
        if (rf_is_about(found, word) && rf_line_number(found) == number) return true;
    return false;
}

bool rf_has_line(const char *fingerprint, const struct rf_line *line) {
    struct rf_line other;
    while (rf_next_line(&fingerprint, &other))
        if (rf_same_line(&other, line)) return true;
    return false;
}

void rf_remove_line(char *fingerprint, const char *line) {
    const char *next = fingerprint;
    size_t n_bytes = strlen(line);
    for (struct rf_line found; rf_next_line(&next, &found);) {
        char *at = fingerprint + (found.text - fingerprint);
        if (strncmp(at, line, n_bytes) != 0 || at[n_bytes] != '\n') continue;
        memmove(at, at + n_bytes + 1, strlen(at + n_bytes + 1) + 1);
        return;
    }
}
