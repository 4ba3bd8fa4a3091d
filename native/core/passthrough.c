#include "core/passthrough.h"

#include "core/conversion.h"

#include <string.h>

static bool is(const struct rf_column *column, const char *base) {
    return strcmp(column->base, base) == 0;
}

/* A typmod of numeric, time and their like is the length plus the four bytes of a varlena header.
 * Source: numeric.c, make_numeric_typmod: ((precision << 16) | (scale & 0x7ff)) + VARHDRSZ. */
static int numeric_scale(int32_t typmod) {
    int scale = (typmod - 4) & 0x7ff;
    return scale >= 1024 ? scale - 2048 : scale;
}

static int numeric_precision(int32_t typmod) {
    return ((typmod - 4) >> 16) & 0xffff;
}

static bool numeric_is_wider(int32_t from, int32_t to) {
    return numeric_scale(to) >= numeric_scale(from) &&
           numeric_precision(to) - numeric_scale(to) >= numeric_precision(from) - numeric_scale(from);
}

bool rf_typmod_fits(const struct rf_column *from, const struct rf_column *to) {
    if (to->typmod == from->typmod) return true;
    if (to->typmod == -1) return !is(to, "bpchar") && !is(to, "bit"); /* bare char means char(1) in DDL */
    if (is(to, "timestamp") || is(to, "timestamptz") || is(to, "time") || is(to, "timetz"))
        return to->typmod >= (from->typmod == -1 ? 6 : from->typmod);
    if (from->typmod == -1) return false;
    if (is(to, "varchar") || is(to, "varbit")) return to->typmod > from->typmod;
    if (is(to, "numeric")) return numeric_is_wider(from->typmod, to->typmod);
    return false;
}

/* Assignments between different built-in types that keep every value. By identity: a user's type may be called int4. */
static bool widens(const struct rf_column *from, const struct rf_column *to) {
    static const struct { const char *from, *to; } pairs[] = {
        {"int2", "int4"}, {"int2", "int8"}, {"int4", "int8"}, {"int2", "numeric"}, {"int4", "numeric"},
        {"int8", "numeric"}, {"float4", "float8"}, {"varchar", "text"},
    };
    if (to->typmod != -1) return false;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (strcmp(from->identity, pairs[i].from) == 0 && strcmp(to->identity, pairs[i].to) == 0) return true;
    return false;
}

enum rf_fit rf_fit_column(const struct rf_column *from, const struct rf_column *to) {
    if (from->arrives_as) return strcmp(from->arrives_as, to->type) == 0 ? RF_FITS : RF_FITS_NOT;
    if (from->cast) return rf_conversion_fits(from, to) ? RF_FITS : RF_FITS_NOT;
    if (from->refusal || to->refusal) return RF_FITS_NOT;
    if (strcmp(from->identity, to->identity) == 0) return rf_typmod_fits(from, to) ? RF_FITS : RF_FITS_NOT;
    return widens(from, to) ? RF_FITS_WIDER : RF_FITS_NOT;
}

static bool is_integer(const char *identity) {
    return strcmp(identity, "int2") == 0 || strcmp(identity, "int4") == 0 || strcmp(identity, "int8") == 0;
}

/* No digit behind the point: what is too large is refused, and nothing rounded. */
static bool is_whole_number(const struct rf_column *column) {
    bool numeric = strcmp(column->identity, "numeric") == 0;
    return is_integer(column->identity) || (numeric && column->typmod != -1 && numeric_scale(column->typmod) == 0);
}

static bool takes_whole_numbers(const struct rf_column *column) {
    bool numeric = strcmp(column->identity, "numeric") == 0;
    return is_integer(column->identity) || (numeric && (column->typmod == -1 || numeric_scale(column->typmod) >= 0));
}

/* Types that read a text or refuse it, and keep what they read. */
static bool reads_text(const struct rf_column *column) {
    static const char *const types[] = {"uuid", "json", "jsonb"};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(column->identity, types[i]) == 0) return true;
    return strncmp(column->identity, "enum(", 5) == 0;
}

enum rf_fit rf_fit_given(const struct rf_column *from, const struct rf_column *to) {
    enum rf_fit fit = rf_fit_column(from, to);
    if (fit != RF_FITS_NOT || from->refusal || to->refusal) return fit;
    if (from->arrives_as) return from->always_null ? RF_FITS_WIDER : RF_FITS_NOT;
    bool is_text = strcmp(from->identity, "text") == 0;
    bool casts = from->always_null || (is_whole_number(from) && takes_whole_numbers(to)) || (is_text && reads_text(to));
    return casts ? RF_FITS_WIDER : RF_FITS_NOT;
}

/* The word stands alone, or behind the _ of an array, and outside of quotes: there it is a label of an enum. */
bool rf_names_money(const char *identity) {
    const char *word = "money";
    bool quoted = false;
    for (const char *p = identity; *p; p++) {
        quoted ^= *p == '\'';
        if (quoted || strncmp(p, word, strlen(word)) != 0) continue;
        if ((p == identity || strchr(" (_", p[-1])) && strchr("), ", p[strlen(word)])) return true;
    }
    return false;
}

static bool carries_money(const struct rf_source_facts *source) {
    for (int i = 0; i < source->n_columns; i++)
        if (!source->columns[i].cast && rf_names_money(source->columns[i].identity)) return true;
    return false;
}

/* SQL_ASCII means any bytes, and nothing converts MULE_INTERNAL. All others have a conversion to and from UTF8. */
static bool has_known_encoding(const struct rf_server *server) {
    if (server->utf8) return true;
    return server->encoding && strcmp(server->encoding, "SQL_ASCII") != 0 && strcmp(server->encoding, "MULE_INTERNAL") != 0;
}

enum rf_code rf_check_encoding(const struct rf_server *server, const char *side, struct rf_error *err) {
    if (has_known_encoding(server)) return RF_OK;
    rf_fail(err, RF_CONFIG, "the %s database is encoded in %s: which characters its bytes are cannot be told", side, server->encoding);
    return rf_hint(err, "Use a database of another encoding, UTF8 if it can be chosen.");
}

enum rf_code rf_fit_servers(const struct rf_source_facts *source, const struct rf_target_facts *target,
                            struct rf_error *err) {
    RF_TRY(rf_check_encoding(&source->server, "source", err));
    RF_TRY(rf_check_encoding(&target->server, "target", err));
    if (carries_money(source) && strcmp(source->server.lc_monetary, target->server.lc_monetary) != 0) {
        rf_fail(err, RF_CONFIG, "a money column means something else on the target: lc_monetary is \"%s\" there and \"%s\" at the source",
                target->server.lc_monetary, source->server.lc_monetary);
        return rf_hint(err, "ALTER DATABASE … SET lc_monetary on the target, ALTER its column to numeric, or leave the column out with \"columns\".");
    }
    return RF_OK;
}
