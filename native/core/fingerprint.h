/* A fingerprint: what of a table no row version shows when it changes, a fact a line. It is kept as text, in the load record.
 *
 * A line's first word says of what it is, and most go on with the thing's number or name and with how it is:
 *
 *   database <oid>                                 triggers <leaf> <hash>
 *   leaf <oid> <file> <access method> <name>       row security off|<policies>
 *   unlogged <schema>.<name>                       filter <condition>
 *   column <number> <name> <how it is>             settled, left <oid>, aged <xid8>: notes (core/settle.h)
 *   mask "<column>" <how>                          labels <how an enum's are>
 *
 * drivers/source_postgres.c and core/mask.c make the source's, of which the filter comes last and has no end of its line. A line is borrowed
 * from its text. A text may be NULL, which has no lines.
 */
#ifndef RF_FINGERPRINT_H
#define RF_FINGERPRINT_H

#include "core/arena.h"

#include <stdbool.h>
#include <stddef.h>

/* One line, without its end, and not terminated. */
struct rf_line {
    const char *text;
    size_t n_bytes;
};

/* The next line of the text at *at, which moves behind it. */
bool rf_next_line(const char **at, struct rf_line *line);

size_t rf_count_lines(const char *fingerprint);

/* How long the first n words of the line are. */
size_t rf_words(const struct rf_line *line, int n);

/* Is it the line's first word? */
bool rf_is_about(const struct rf_line *line, const char *word);

bool rf_begins(const struct rf_line *line, const char *text);

bool rf_same_line(const struct rf_line *a, const struct rf_line *b);

/* Are the first n words of both the same? */
bool rf_same_words(const struct rf_line *a, const struct rf_line *b, int n);

/* The number behind the first word. */
unsigned long long rf_line_number(const struct rf_line *line);

/* The name behind the number in a line "column <number> <name> …", without its quotes; NULL when the arena is full. */
char *rf_line_name(const struct rf_line *line, struct rf_arena *arena);

/* The first line that begins with the word, and the number. */
bool rf_find_number(const char *fingerprint, const char *word, unsigned long long number, struct rf_line *found);

bool rf_has_line(const char *fingerprint, const struct rf_line *line);

/* Takes out the first such line that has an end; `line` may be several. */
void rf_remove_line(char *fingerprint, const char *line);

#endif
