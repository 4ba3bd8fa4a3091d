/* The Arrow C data and stream interfaces: three structures that libraries hand to each other in one process.
 *
 * The layout is fixed for good. Source: arrow.apache.org/docs/format/CDataInterface.html and CStreamInterface.html;
 * meaning of the buffers: arrow.apache.org/docs/format/Columnar.html. Whoever holds a structure calls its `release`
 * once; a structure whose `release` is NULL is empty. Copying a structure and emptying the original moves it.
 */
#ifndef RF_ARROW_H
#define RF_ARROW_H

#include <stdint.h>

/* Other headers in one compilation may have declared them too. */
#ifndef ARROW_C_DATA_INTERFACE
#define ARROW_C_DATA_INTERFACE

#define ARROW_FLAG_DICTIONARY_ORDERED 1
#define ARROW_FLAG_NULLABLE 2
#define ARROW_FLAG_MAP_KEYS_SORTED 4

struct ArrowSchema {
    const char *format;
    const char *name;
    const char *metadata; /* int32 count, then per pair: int32 length, key, int32 length, value; native byte order */
    int64_t flags;
    int64_t n_children;
    struct ArrowSchema **children;
    struct ArrowSchema *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length;
    int64_t null_count; /* -1: not counted */
    int64_t offset;
    int64_t n_buffers;
    int64_t n_children;
    const void **buffers;
    struct ArrowArray **children;
    struct ArrowArray *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

#endif

#ifndef ARROW_C_STREAM_INTERFACE
#define ARROW_C_STREAM_INTERFACE

/* Both calls return 0 or an errno; at the end of the data get_next gives an empty array. */
struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *out);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *out);
    const char *(*get_last_error)(struct ArrowArrayStream *); /* valid until the next call */
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

#endif

#endif
