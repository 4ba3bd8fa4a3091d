#include "made_stream.h"

#include <stddef.h>

enum { BATCHES = 20, ROWS = 500, COLUMNS = 2 };

/* One batch is alive at a time. */
struct made {
    int64_t values[COLUMNS][ROWS];
    const void *no_validity[1];
    const void *buffers[COLUMNS][2];
    struct ArrowArray columns[COLUMNS];
    struct ArrowArray *children[COLUMNS];
    struct ArrowSchema fields[COLUMNS];
    struct ArrowSchema *field_list[COLUMNS];
    int given;
};

static void release_array(struct ArrowArray *array) {
    array->release = NULL;
}

static void release_schema(struct ArrowSchema *schema) {
    schema->release = NULL;
}

static void release_stream(struct ArrowArrayStream *stream) {
    stream->release = NULL;
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    (void)stream;
    return NULL;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    static const char *const names[COLUMNS] = {"id", "n"};
    struct made *made = stream->private_data;
    for (int i = 0; i < COLUMNS; i++) {
        made->fields[i] = (struct ArrowSchema){.format = "l", .name = names[i], .release = release_schema};
        made->field_list[i] = &made->fields[i];
    }
    *out = (struct ArrowSchema){.format = "+s", .name = "", .n_children = COLUMNS, .children = made->field_list, .release = release_schema};
    return 0;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct made *made = stream->private_data;
    *out = (struct ArrowArray){0};
    if (made->given == BATCHES) return 0;
    for (int row = 0; row < ROWS; row++) {
        made->values[0][row] = (int64_t)made->given * ROWS + row + 1;
        made->values[1][row] = 7 * made->values[0][row];
    }
    for (int i = 0; i < COLUMNS; i++) {
        made->buffers[i][1] = made->values[i];
        made->columns[i] = (struct ArrowArray){.length = ROWS, .n_buffers = 2, .buffers = made->buffers[i], .release = release_array};
        made->children[i] = &made->columns[i];
    }
    *out = (struct ArrowArray){.length = ROWS, .n_buffers = 1, .buffers = made->no_validity, .n_children = COLUMNS, .children = made->children, .release = release_array};
    made->given++;
    return 0;
}

void make_stream(struct ArrowArrayStream *out) {
    static struct made made;
    *out = (struct ArrowArrayStream){.get_schema = get_schema, .get_next = get_next, .get_last_error = get_last_error, .release = release_stream, .private_data = &made};
}
