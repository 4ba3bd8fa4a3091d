#include "core/json_hash.h"

#include "core/print.h"
#include "core/siphash.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_DEPTH = 1000, MOST_DIGITS = 38 };

static const uint64_t KEY_0 = 0x4a534f4e2e736179, KEY_1 = 0x7468652073616d65;

/* What stands before a value. */
enum kind { KIND_NULL = 1, KIND_FALSE, KIND_TRUE, KIND_NUMBER, KIND_STRING, KIND_LIST, KIND_OBJECT, KIND_MEMBER };

struct reader {
    const char *at;
    const char *end;
    int depth;
};

static bool take_value(struct reader *reader, uint64_t *hash);

static void skip_blanks(struct reader *reader) {
    while (reader->at < reader->end && strchr(" \t\n\r", *reader->at) && *reader->at) reader->at++;
}

static bool take(struct reader *reader, char sign) {
    skip_blanks(reader);
    if (reader->at == reader->end || *reader->at != sign) return false;
    reader->at++;
    return true;
}

static bool begins(const struct reader *reader, const char *word) {
    return (size_t)(reader->end - reader->at) >= strlen(word) && memcmp(reader->at, word, strlen(word)) == 0;
}

/* ---- bytes ---- */

/* Bytes that come one by one, eight of them a word. */
struct bytes {
    struct rf_siphash hash;
    uint64_t word;
    uint64_t n;
};

static struct bytes bytes_of(enum kind kind) {
    struct bytes bytes = {0};
    rf_siphash_begin(&bytes.hash, KEY_0, KEY_1);
    rf_siphash_add(&bytes.hash, kind);
    return bytes;
}

static void add_byte(struct bytes *bytes, unsigned byte) {
    bytes->word = bytes->word << 8 | (byte & 0xff);
    if (++bytes->n % 8 == 0) rf_siphash_add(&bytes->hash, bytes->word);
}

static uint64_t end_bytes(struct bytes *bytes) {
    rf_siphash_add(&bytes->hash, bytes->word);
    rf_siphash_add(&bytes->hash, bytes->n);
    return rf_siphash_end(&bytes->hash);
}

/* ---- strings ---- */

static bool take_four(struct reader *reader, unsigned *unit) {
    *unit = 0;
    if (reader->end - reader->at < 4) return false;
    for (int i = 0; i < 4; i++, reader->at++) {
        char c = *reader->at;
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (digit < 0) return false;
        *unit = *unit << 4 | (unsigned)digit;
    }
    return true;
}

static void add_character(struct bytes *bytes, unsigned character) {
    if (character < 0x80) {
        add_byte(bytes, character);
        return;
    }
    int more = character < 0x800 ? 1 : character < 0x10000 ? 2 : 3;
    static const unsigned heads[] = {0, 0xc0, 0xe0, 0xf0};
    add_byte(bytes, heads[more] | character >> 6 * more);
    while (more-- > 0) add_byte(bytes, 0x80 | (character >> 6 * more & 0x3f));
}

/* Behind \u; a pair of surrogates is one character. */
static bool take_unit(struct reader *reader, struct bytes *bytes) {
    unsigned unit, low;
    if (!take_four(reader, &unit)) return false;
    if (unit >= 0xd800 && unit < 0xdc00 && begins(reader, "\\u")) {
        reader->at += 2;
        if (!take_four(reader, &low) || low < 0xdc00 || low > 0xdfff) return false;
        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    add_character(bytes, unit);
    return true;
}

static bool take_escape(struct reader *reader, struct bytes *bytes) {
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end) return false;
    char name = *reader->at++;
    const char *found = name ? strchr(names, name) : NULL;
    if (name == 'u') return take_unit(reader, bytes);
    if (found) add_byte(bytes, (unsigned char)meant[found - names]);
    return found;
}

static bool take_string(struct reader *reader, uint64_t *hash) {
    struct bytes bytes = bytes_of(KIND_STRING);
    if (!take(reader, '"')) return false;
    for (;;) {
        if (reader->at == reader->end) return false;
        unsigned char c = (unsigned char)*reader->at++;
        if (c == '"') break;
        if (c != '\\') add_byte(&bytes, c);
        else if (!take_escape(reader, &bytes)) return false;
    }
    *hash = end_bytes(&bytes);
    return true;
}

/* ---- numbers ---- */

/* Digits without zeros at either end, the last of them worth 10^exponent. */
struct number {
    const char *from;
    const char *to; /* there may be a point among them */
    int n_digits;
    int n_places;  /* digits that it takes when it is written without an exponent */
    long exponent;
    bool negative;
};

static bool is_digit(const char *at) {
    return *at >= '0' && *at <= '9';
}

static bool read_number(const char *at, const char *end, struct number *out) {
    const char *point = NULL, *first = NULL, *last = NULL, *digits;
    *out = (struct number){.negative = at < end && *at == '-'};
    digits = at += out->negative;
    for (; at < end && (is_digit(at) || (*at == '.' && !point)); at++) {
        if (*at == '.') point = at;
        else if (*at != '0') last = at;
        if (!first && is_digit(at) && *at != '0') first = at;
    }
    const char *behind = at;
    if (behind == digits) return false;
    if (at < end && (*at == 'e' || *at == 'E')) {
        char *stop, text[16] = "";
        size_t n_bytes = (size_t)(end - ++at);
        if (n_bytes == 0 || n_bytes >= sizeof text) return false;
        memcpy(text, at, n_bytes);
        out->exponent = strtol(text, &stop, 10);
        at += stop - text;
    }
    if (at != end) return false;
    if (!first) {
        *out = (struct number){0};
        return true;
    }
    out->from = first;
    out->to = last + 1;
    if (!point) point = behind;
    out->exponent += last < point ? point - 1 - last : point - last;
    out->n_digits = (int)(out->to - first - (first < point && point < last));
    out->n_places = out->exponent > 0 ? (int)(out->n_digits + out->exponent) : out->n_digits > -out->exponent ? out->n_digits : (int)-out->exponent;
    return true;
}

static uint64_t hash_number(const struct number *number) {
    struct bytes bytes = bytes_of(KIND_NUMBER);
    add_byte(&bytes, number->negative);
    for (const char *at = number->from; at < number->to; at++)
        if (is_digit(at)) add_byte(&bytes, (unsigned char)*at);
    rf_siphash_add(&bytes.hash, (uint64_t)number->exponent);
    return end_bytes(&bytes);
}

static bool take_number(struct reader *reader, uint64_t *hash) {
    const char *from = reader->at;
    char text[RF_PRINT_BYTES];
    struct number number;
    double value;
    while (reader->at < reader->end && *reader->at && strchr("+-.0123456789eE", *reader->at)) reader->at++;
    if (!read_number(from, reader->at, &number)) return false;
    if (number.n_places > MOST_DIGITS && rf_parse_float(from, (size_t)(reader->at - from), false, &value) && value - value == 0) {
        rf_print_float(value, false, text);
        if (!read_number(text, text + strlen(text), &number)) return false;
    }
    *hash = hash_number(&number);
    return true;
}

/* ---- lists and objects ---- */

/* The order of members does not count: their hashes are summed. */
static bool take_members(struct reader *reader, uint64_t *hash) {
    uint64_t sum = 0, n = 0;
    if (!take(reader, '}'))
        do {
            struct rf_siphash member;
            uint64_t name, value;
            rf_siphash_begin(&member, KEY_0, KEY_1);
            if (!take_string(reader, &name) || !take(reader, ':') || !take_value(reader, &value)) return false;
            rf_siphash_add(&member, KIND_MEMBER);
            rf_siphash_add(&member, name);
            rf_siphash_add(&member, value);
            sum += rf_siphash_end(&member);
            n++;
        } while (take(reader, ','));
    struct bytes bytes = bytes_of(KIND_OBJECT);
    rf_siphash_add(&bytes.hash, sum);
    rf_siphash_add(&bytes.hash, n);
    *hash = end_bytes(&bytes);
    return n == 0 || take(reader, '}');
}

static bool take_elements(struct reader *reader, uint64_t *hash) {
    uint64_t n = 0;
    struct bytes bytes = bytes_of(KIND_LIST);
    if (!take(reader, ']'))
        do {
            uint64_t value;
            if (!take_value(reader, &value)) return false;
            rf_siphash_add(&bytes.hash, value);
            n++;
        } while (take(reader, ','));
    rf_siphash_add(&bytes.hash, n);
    *hash = end_bytes(&bytes);
    return n == 0 || take(reader, ']');
}

static bool take_word(struct reader *reader, uint64_t *hash) {
    static const struct { const char *word; enum kind kind; } words[] = {{"null", KIND_NULL}, {"true", KIND_TRUE}, {"false", KIND_FALSE}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!begins(reader, words[i].word)) continue;
        struct bytes bytes = bytes_of(words[i].kind);
        reader->at += strlen(words[i].word);
        *hash = end_bytes(&bytes);
        return true;
    }
    return false;
}

static bool take_any(struct reader *reader, uint64_t *hash) {
    skip_blanks(reader);
    if (reader->at == reader->end) return false;
    if (*reader->at == '"') return take_string(reader, hash);
    if (take(reader, '{')) return take_members(reader, hash);
    if (take(reader, '[')) return take_elements(reader, hash);
    return take_word(reader, hash) || take_number(reader, hash);
}

static bool take_value(struct reader *reader, uint64_t *hash) {
    if (++reader->depth > MOST_DEPTH) return false;
    bool good = take_any(reader, hash);
    reader->depth--;
    return good;
}

bool rf_hash_json(const char *text, size_t n_bytes, uint64_t *hash) {
    struct reader reader = {.at = text, .end = text + n_bytes};
    if (!take_value(&reader, hash)) return false;
    skip_blanks(&reader);
    return reader.at == reader.end;
}
