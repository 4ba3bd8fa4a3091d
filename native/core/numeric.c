#include "core/numeric.h"

#include "core/network_order.h"

#include <string.h>

enum { BASE = 10000, BASE_DIGITS = 4, LIMBS = 8, POSITIVE = 0, NEGATIVE = 0x4000, NOT_A_NUMBER = 0xC000, PLUS_INFINITY = 0xD000, MINUS_INFINITY = 0xF000 };

static const uint32_t POWERS[] = {1, 10, 100, 1000, BASE};

static uint8_t *put_u16(uint8_t *to, unsigned value) {
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
    return to + 2;
}

/* n / 4, rounded up, also below zero. */
static int groups_of(int n) {
    return n >= 0 ? (n + BASE_DIGITS - 1) / BASE_DIGITS : -(-n / BASE_DIGITS);
}

/* ---- from an integer ---- */

/* Its magnitude in 32-bit pieces, lowest first; returns how many are in use. */
static int load_magnitude(const uint8_t *bytes, int n_bytes, uint32_t *limbs, bool *negative) {
    int n = n_bytes / 4;
    memcpy(limbs, bytes, (size_t)n_bytes);
    *negative = limbs[n - 1] >> 31;
    if (*negative) {
        uint64_t carry = 1;
        for (int i = 0; i < n; i++) {
            carry += ~limbs[i];
            limbs[i] = (uint32_t)carry;
            carry >>= 32;
        }
    }
    while (n > 0 && limbs[n - 1] == 0) n--;
    return n;
}

/* Divides, and returns the rest. */
static uint32_t divide(uint32_t *limbs, int *n, uint32_t by) {
    uint64_t rest = 0;
    for (int i = *n - 1; i >= 0; i--) {
        rest = rest << 32 | limbs[i];
        limbs[i] = (uint32_t)(rest / by);
        rest %= by;
    }
    while (*n > 0 && limbs[*n - 1] == 0) --*n;
    return (uint32_t)rest;
}

/* The lowest digit holds what of `scale` does not fill one, so that digits meet at the point. */
void rf_numeric_from_integer(const uint8_t *bytes, int n_bytes, int scale, struct rf_numeric *out) {
    uint32_t limbs[LIMBS];
    uint16_t lowest_first[RF_NUMERIC_DIGITS];
    int n_digits = 0, weight = -groups_of(scale) - 1;
    int inside = ((scale % BASE_DIGITS) + BASE_DIGITS) % BASE_DIGITS;
    *out = (struct rf_numeric){.scale = scale > 0 ? scale : 0};
    int n = load_magnitude(bytes, n_bytes, limbs, &out->negative);
    uint32_t by = inside ? POWERS[inside] : BASE, times = inside ? POWERS[BASE_DIGITS - inside] : 1;
    while (n > 0) {
        uint32_t digit = divide(limbs, &n, by) * times;
        weight++;
        if (digit || n_digits) lowest_first[n_digits++] = (uint16_t)digit;
        by = BASE;
        times = 1;
    }
    out->n = n_digits;
    out->weight = n_digits ? weight : 0;
    for (int i = 0; i < n_digits; i++) out->digits[i] = lowest_first[n_digits - 1 - i];
}

int rf_numeric_precision(const struct rf_numeric *numeric, int scale) {
    if (numeric->n == 0) return 0;
    int first = 1;
    while (first < BASE_DIGITS && numeric->digits[0] >= POWERS[first]) first++;
    return numeric->weight * BASE_DIGITS + first + scale;
}

size_t rf_numeric_send(const struct rf_numeric *numeric, uint8_t *to) {
    uint8_t *at = put_u16(to, (unsigned)numeric->n);
    at = put_u16(at, (uint16_t)numeric->weight);
    at = put_u16(at, numeric->negative ? NEGATIVE : POSITIVE);
    at = put_u16(at, (unsigned)numeric->scale);
    for (int i = 0; i < numeric->n; i++) at = put_u16(at, numeric->digits[i]);
    return (size_t)(at - to);
}

/* Takes digits at `at` while they are zeros, n at the most, in steps of `step`; returns how many. */
static int count_zeros(const uint8_t *at, int n, int step) {
    int zeros = 0;
    while (zeros < n && rf_read_2(at + zeros * step) == 0) zeros++;
    return zeros;
}

bool rf_numeric_read(const uint8_t *bytes, size_t n_bytes, struct rf_numeric *out) {
    if (n_bytes < RF_NUMERIC_HEAD_BYTES) return false;
    int n = rf_read_2(bytes), weight = (int16_t)rf_read_2(bytes + 2);
    unsigned sign = rf_read_2(bytes + 4), scale = rf_read_2(bytes + 6);
    if ((sign != POSITIVE && sign != NEGATIVE) || n_bytes != RF_NUMERIC_HEAD_BYTES + 2 * (size_t)n) return false;
    const uint8_t *digits = bytes + RF_NUMERIC_HEAD_BYTES;
    int before = count_zeros(digits, n, 2);
    n -= before;
    digits += 2 * before;
    if (n > 0) n -= count_zeros(digits + 2 * (n - 1), n, -2);
    if (n > RF_NUMERIC_DIGITS || scale > RF_NUMERIC_MOST_SCALE) return false;
    *out = (struct rf_numeric){.n = n, .weight = n ? weight - before : 0, .scale = (int)scale, .negative = n && sign == NEGATIVE};
    for (int i = 0; i < n; i++) {
        out->digits[i] = rf_read_2(digits + 2 * i);
        if (out->digits[i] >= BASE) return false;
    }
    return true;
}

/* ---- as text ---- */

static const struct { const char *text; unsigned sign; } SPECIALS[] = {{"NaN", NOT_A_NUMBER}, {"Infinity", PLUS_INFINITY}, {"-Infinity", MINUS_INFINITY}};

static bool print_special(unsigned sign, struct rf_text *out) {
    for (size_t i = 0; i < sizeof SPECIALS / sizeof SPECIALS[0]; i++) {
        if (SPECIALS[i].sign != sign) continue;
        rf_text_add(out, SPECIALS[i].text);
        return true;
    }
    return false;
}

/* The digit worth 10,000^weight of n digits at `digits`, the first of them worth 10,000^first. */
static unsigned digit_of(const uint8_t *digits, int n, int first, int weight) {
    int i = first - weight;
    return i >= 0 && i < n ? rf_read_2(digits + 2 * i) : 0;
}

bool rf_numeric_text(const uint8_t *bytes, size_t n_bytes, struct rf_text *out) {
    if (n_bytes < RF_NUMERIC_HEAD_BYTES) return false;
    int n = rf_read_2(bytes), first = (int16_t)rf_read_2(bytes + 2), weight = n && first > 0 ? first : 0;
    unsigned sign = rf_read_2(bytes + 4);
    if (print_special(sign, out)) return true;
    if ((sign != POSITIVE && sign != NEGATIVE) || n_bytes != RF_NUMERIC_HEAD_BYTES + 2 * (size_t)n) return false;
    const uint8_t *digits = bytes + RF_NUMERIC_HEAD_BYTES;
    if (sign == NEGATIVE) rf_text_add(out, "-");
    rf_text_addf(out, "%u", digit_of(digits, n, first, weight));
    while (--weight >= 0) rf_text_addf(out, "%04u", digit_of(digits, n, first, weight));
    int scale = rf_read_2(bytes + 6);
    if (scale > 0) rf_text_add(out, ".");
    for (int left = scale; left > 0; left -= BASE_DIGITS, weight--) {
        char four[8];
        unsigned digit = digit_of(digits, n, first, weight);
        for (int i = BASE_DIGITS - 1; i >= 0; i--, digit /= 10) four[i] = (char)('0' + digit % 10);
        rf_text_add_bytes(out, four, left < BASE_DIGITS ? (size_t)left : BASE_DIGITS);
    }
    return true;
}

void rf_numeric_print(const struct rf_numeric *numeric, struct rf_text *out) {
    uint8_t bytes[RF_NUMERIC_HEAD_BYTES + 2 * RF_NUMERIC_DIGITS];
    (void)rf_numeric_text(bytes, rf_numeric_send(numeric, bytes), out);
}

/* ---- from text ---- */

struct decimal {
    const char *whole; /* without zeros in front */
    int n_whole;
    const char *fraction;
    int n_fraction;
    bool negative;
};

static int count_digits(const char *at, const char *end) {
    const char *p = at;
    while (p < end && *p >= '0' && *p <= '9' && p - at <= RF_NUMERIC_MOST_WHOLE) p++;
    return (int)(p - at);
}

static bool read_decimal(const char *at, const char *end, struct decimal *out) {
    *out = (struct decimal){.negative = at < end && *at == '-'};
    if (at < end && (*at == '-' || *at == '+')) at++;
    const char *begin = at;
    while (at < end && *at == '0') at++;
    out->whole = at;
    out->n_whole = count_digits(at, end);
    at += out->n_whole;
    bool has_digits = at > begin;
    if (at < end && *at == '.') {
        out->fraction = ++at;
        out->n_fraction = count_digits(at, end);
        at += out->n_fraction;
        has_digits |= out->n_fraction > 0;
    }
    return has_digits && at == end && out->n_whole <= RF_NUMERIC_MOST_WHOLE && out->n_fraction <= RF_NUMERIC_MOST_SCALE;
}

/* The decimal digit worth 10^-place. */
static unsigned digit_at(const struct decimal *decimal, int place) {
    if (place > 0) return place <= decimal->n_fraction ? (unsigned)(decimal->fraction[place - 1] - '0') : 0;
    return -place < decimal->n_whole ? (unsigned)(decimal->whole[decimal->n_whole - 1 + place] - '0') : 0;
}

static unsigned group_at(const struct decimal *decimal, int weight) {
    unsigned group = 0;
    for (int place = -weight * BASE_DIGITS - (BASE_DIGITS - 1), i = 0; i < BASE_DIGITS; i++) group = group * 10 + digit_at(decimal, place + i);
    return group;
}

static int32_t finest_place(const struct decimal *decimal) {
    for (int place = decimal->n_fraction; place > -decimal->n_whole; place--)
        if (digit_at(decimal, place)) return place;
    return INT32_MIN;
}

static bool add_special(const char *text, size_t n_bytes, struct rf_text *out) {
    for (size_t i = 0; i < sizeof SPECIALS / sizeof SPECIALS[0]; i++) {
        if (strlen(SPECIALS[i].text) != n_bytes || memcmp(SPECIALS[i].text, text, n_bytes) != 0) continue;
        uint8_t bytes[RF_NUMERIC_HEAD_BYTES] = {0};
        put_u16(bytes + 4, SPECIALS[i].sign);
        rf_text_add_bytes(out, (const char *)bytes, sizeof bytes);
        return true;
    }
    return false;
}

/* How many digits to the base of 10,000 it has, and what the first of them is worth. */
static int measure(const struct decimal *decimal, int *weight) {
    bool is_zero = finest_place(decimal) == INT32_MIN;
    int last = -groups_of(decimal->n_fraction);
    *weight = groups_of(decimal->n_whole) - 1;
    while (!is_zero && group_at(decimal, *weight) == 0) --*weight;
    while (!is_zero && group_at(decimal, last) == 0) last++;
    return is_zero ? 0 : *weight - last + 1;
}

bool rf_numeric_parse(const char *text, size_t n_bytes, struct rf_numeric *out) {
    struct decimal decimal;
    int weight;
    if (!read_decimal(text, text + n_bytes, &decimal)) return false;
    int n = measure(&decimal, &weight);
    if (n > RF_NUMERIC_DIGITS) return false;
    *out = (struct rf_numeric){.n = n, .weight = n ? weight : 0, .scale = decimal.n_fraction, .negative = n && decimal.negative};
    for (int i = 0; i < n; i++) out->digits[i] = (uint16_t)group_at(&decimal, weight - i);
    return true;
}

bool rf_numeric_from_text(const char *text, size_t n_bytes, struct rf_text *out, int32_t *finest) {
    struct decimal decimal;
    int weight;
    *finest = INT32_MIN;
    if (n_bytes > 0 && add_special(text, n_bytes, out)) return true;
    if (!read_decimal(text, text + n_bytes, &decimal)) return false;
    *finest = finest_place(&decimal);
    size_t n = (size_t)measure(&decimal, &weight);
    bool is_zero = n == 0;
    uint8_t *to = (uint8_t *)rf_text_room(out, RF_NUMERIC_HEAD_BYTES + 2 * n);
    if (!to) return true; /* `out` says so */
    to = put_u16(to, (unsigned)n);
    to = put_u16(to, is_zero ? 0 : (uint16_t)weight);
    to = put_u16(to, decimal.negative && !is_zero ? NEGATIVE : POSITIVE);
    to = put_u16(to, (unsigned)decimal.n_fraction);
    for (; n > 0; n--, weight--) to = put_u16(to, group_at(&decimal, weight));
    out->length += (size_t)(to - (uint8_t *)(out->data + out->length));
    return true;
}
