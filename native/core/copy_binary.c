#include "core/copy_binary.h"

#include "core/network_order.h"

#include <string.h>

enum { SIGNATURE_BYTES = 11 };

const uint8_t rf_copy_header[RF_COPY_HEADER_BYTES] = {'P', 'G', 'C', 'O', 'P', 'Y', '\n', 0xFF, '\r', '\n', 0};
const uint8_t rf_copy_trailer[RF_COPY_TRAILER_BYTES] = {0xFF, 0xFF};

void rf_copy_add_number(struct rf_text *out, uint64_t value, size_t n_bytes) {
    uint8_t bytes[sizeof value];
    rf_write_number(bytes, value, n_bytes);
    rf_text_add_bytes(out, (const char *)bytes, n_bytes);
}

size_t rf_copy_header_length(const uint8_t *data, size_t n_bytes) {
    if (n_bytes < RF_COPY_HEADER_BYTES || memcmp(data, rf_copy_header, SIGNATURE_BYTES) != 0) return 0;
    size_t whole = RF_COPY_HEADER_BYTES + (size_t)rf_read_4(data + RF_COPY_HEADER_BYTES - 4);
    return n_bytes < whole ? 0 : whole;
}

static enum rf_copy_result take_header(struct rf_copy_reader *reader, const uint8_t **data, size_t *n_bytes) {
    if (*n_bytes == 0) return RF_COPY_MORE; /* *data may be NULL then */
    size_t known = *n_bytes < SIGNATURE_BYTES ? *n_bytes : SIGNATURE_BYTES;
    if (memcmp(*data, rf_copy_header, known) != 0) return RF_COPY_BROKEN;
    size_t taken = rf_copy_header_length(*data, *n_bytes);
    if (taken == 0) return RF_COPY_MORE;
    *data += taken;
    *n_bytes -= taken;
    reader->in_rows = true;
    return RF_COPY_ROW;
}

const uint8_t *rf_copy_take_field(const uint8_t *p, const uint8_t *end, struct rf_field *field, bool *broken) {
    if (end - p < 4) return NULL;
    int32_t length = (int32_t)rf_read_4(p);
    p += 4;
    *broken = length < -1;
    if (*broken) return NULL;
    *field = (struct rf_field){.bytes = length < 0 ? NULL : p, .n_bytes = length};
    if (length < 0) return p;
    return end - p < length ? NULL : p + length;
}

enum rf_copy_result rf_copy_next_row(struct rf_copy_reader *reader, const uint8_t **data, size_t *n_bytes,
                                     struct rf_field *fields, int n_fields) {
    if (reader->ended) return *n_bytes == 0 ? RF_COPY_END : RF_COPY_BROKEN;
    if (!reader->in_rows) {
        enum rf_copy_result header = take_header(reader, data, n_bytes);
        if (header != RF_COPY_ROW) return header;
    }
    if (*n_bytes < 2) return RF_COPY_MORE;
    const uint8_t *p = *data, *end = p + *n_bytes;
    int count = (int16_t)(uint16_t)((p[0] << 8) | p[1]);
    p += 2;
    if (count == -1) {
        reader->ended = true;
        *data = p;
        *n_bytes = (size_t)(end - p);
        return RF_COPY_END;
    }
    if (count != n_fields) return RF_COPY_BROKEN;
    bool broken = false;
    for (int i = 0; i < n_fields; i++) {
        p = rf_copy_take_field(p, end, &fields[i], &broken);
        if (!p) return broken ? RF_COPY_BROKEN : RF_COPY_MORE;
    }
    *data = p;
    *n_bytes = (size_t)(end - p);
    return RF_COPY_ROW;
}
