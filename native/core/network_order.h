/* Integers as they come: highest byte first, wherever they lie. */
#ifndef RF_NETWORK_ORDER_H
#define RF_NETWORK_ORDER_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t rf_read_2(const uint8_t *p) {
    uint16_t n;
    memcpy(&n, p, sizeof n);
    return be16toh(n);
}

static inline uint32_t rf_read_4(const uint8_t *p) {
    uint32_t n;
    memcpy(&n, p, sizeof n);
    return be32toh(n);
}

static inline uint64_t rf_read_8(const uint8_t *p) {
    uint64_t n;
    memcpy(&n, p, sizeof n);
    return be64toh(n);
}

/* Source: IEEE 754, as float4send and float8send of PostgreSQL write it. */
static inline float rf_read_float(const uint8_t *p) {
    uint32_t bits = rf_read_4(p);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline double rf_read_double(const uint8_t *p) {
    uint64_t bits = rf_read_8(p);
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The lowest n_bytes of `value`, at most 8. */
static inline void rf_write_number(uint8_t *to, uint64_t value, size_t n_bytes) {
    uint64_t swapped = htobe64(value << (64 - 8 * n_bytes));
    memcpy(to, &swapped, n_bytes);
}

#endif
