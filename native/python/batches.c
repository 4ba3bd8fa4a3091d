#include "python/batches.h"

#include "core/error.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char SCHEMA[] = "arrow_schema", ARRAY[] = "arrow_array", STREAM[] = "arrow_array_stream";

/* An iterator of Python's, read as a stream. */
struct batches {
    PyObject *iterator;
    struct ArrowSchema schema;     /* of the first batch; empty before it */
    struct ArrowArray array;       /* the batch to give out next, or empty */
    struct ArrowArrayStream inner; /* an item that is a stream itself, or empty */
    char error[1024];
};

/* ---- taking out of capsules ---- */

/* Moving leaves the capsule with an empty structure, which its destructor passes over. */
#define MOVE_OUT_OF(type)                                                              \
    static int take_##type(PyObject *capsule, const char *name, struct type *out) {   \
        struct type *held = PyCapsule_GetPointer(capsule, name);                       \
        if (!held) return -1;                                                          \
        if (!held->release) {                                                          \
            PyErr_Format(PyExc_ValueError, "the capsule \"%s\" was used before", name); \
            return -1;                                                                 \
        }                                                                              \
        *out = *held;                                                                  \
        held->release = NULL;                                                          \
        return 0;                                                                      \
    }
MOVE_OUT_OF(ArrowSchema)
MOVE_OUT_OF(ArrowArray)
MOVE_OUT_OF(ArrowArrayStream)

#define EMPTY(type, held)                            \
    do {                                             \
        if ((held)->release) (held)->release((held)); \
        *(held) = (struct type){0};                  \
    } while (0)

/* ---- one schema for all ---- */

static bool same_text(const char *a, const char *b) {
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Alike in what the buffers of an array mean, and in names. */
static bool same_schema(const struct ArrowSchema *a, const struct ArrowSchema *b) {
    if (!same_text(a->format, b->format) || !same_text(a->name, b->name) || a->n_children != b->n_children || !a->dictionary != !b->dictionary) return false;
    for (int64_t i = 0; i < a->n_children; i++)
        if (!same_schema(a->children[i], b->children[i])) return false;
    return !a->dictionary || same_schema(a->dictionary, b->dictionary);
}

static int refuse_schema(const struct ArrowSchema *first, const struct ArrowSchema *schema) {
    for (int64_t i = 0; i < first->n_children && i < schema->n_children; i++)
        if (!same_schema(first->children[i], schema->children[i])) {
            const struct ArrowSchema *was = first->children[i], *is = schema->children[i];
            PyErr_Format(PyExc_ValueError, "a batch has another schema than the first: its column %lld is \"%s\" of Arrow type %s and not \"%s\" of type %s",
                         (long long)i + 1, is->name ? is->name : "", is->format, was->name ? was->name : "", was->format);
            return -1;
        }
    PyErr_Format(PyExc_ValueError, "a batch has another schema than the first: %lld columns and not %lld", (long long)schema->n_children, (long long)first->n_children);
    return -1;
}

/* Takes `schema` over. */
static int adopt_schema(struct batches *batches, struct ArrowSchema *schema) {
    if (!batches->schema.release) {
        batches->schema = *schema;
        return 0;
    }
    int result = same_schema(&batches->schema, schema) ? 0 : refuse_schema(&batches->schema, schema);
    EMPTY(ArrowSchema, schema);
    return result;
}

/* ---- items, under the interpreter's lock ---- */

static int take_pair(struct batches *batches, PyObject *item) {
    struct ArrowSchema schema;
    if (take_ArrowSchema(PyTuple_GetItem(item, 0), SCHEMA, &schema) != 0 || adopt_schema(batches, &schema) != 0) return -1;
    return take_ArrowArray(PyTuple_GetItem(item, 1), ARRAY, &batches->array);
}

static int take_stream(struct batches *batches, PyObject *item) {
    struct ArrowSchema schema = {0};
    if (take_ArrowArrayStream(item, STREAM, &batches->inner) != 0) return -1;
    int failed = batches->inner.get_schema(&batches->inner, &schema);
    if (failed == 0) return adopt_schema(batches, &schema);
    const char *said = batches->inner.get_last_error(&batches->inner);
    PyErr_SetString(PyExc_ValueError, said ? said : "a batch gives no schema");
    return -1;
}

static int take_item(struct batches *batches, PyObject *item) {
    struct ArrowSchema schema;
    if (PyCapsule_IsValid(item, STREAM)) return take_stream(batches, item);
    if (PyCapsule_IsValid(item, SCHEMA)) return take_ArrowSchema(item, SCHEMA, &schema) == 0 ? adopt_schema(batches, &schema) : -1;
    if (PyTuple_Check(item) && PyTuple_Size(item) == 2) return take_pair(batches, item);
    PyErr_SetString(PyExc_TypeError, "an item is neither a capsule of Arrow's nor a pair of them");
    return -1;
}

/* As a traceback ends: the exception's type and its text. */
static void keep_exception(struct batches *batches) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *name = PyObject_GetAttrString(type, "__name__");
    PyObject *text = name ? PyUnicode_FromFormat("%U: %S", name, value) : NULL;
    PyObject *bytes = text ? PyUnicode_AsEncodedString(text, "utf-8", "replace") : NULL;
    const char *said = bytes ? PyBytes_AsString(bytes) : NULL;
    rf_copy_text(batches->error, sizeof batches->error, said ? said : "an exception that cannot be printed");
    Py_XDECREF(bytes);
    Py_XDECREF(text);
    Py_XDECREF(name);
    PyErr_Clear();
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
}

/* Takes the next item; *ended when there is none. 0 or an errno. */
static int advance(struct batches *batches, bool *ended) {
    PyGILState_STATE state = PyGILState_Ensure();
    PyObject *item = PyIter_Next(batches->iterator);
    *ended = !item && !PyErr_Occurred();
    bool failed = !*ended && (!item || take_item(batches, item) != 0);
    if (failed) keep_exception(batches);
    Py_XDECREF(item);
    PyGILState_Release(state);
    return failed ? EIO : 0;
}

/* ---- the stream ---- */

static void release_nothing(struct ArrowSchema *schema) {
    schema->release = NULL;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    struct batches *batches = stream->private_data;
    bool ended = false;
    while (!ended && !batches->schema.release) {
        int failed = advance(batches, &ended);
        if (failed) return failed;
    }
    if (ended) {
        rf_copy_text(batches->error, sizeof batches->error, "it gave no batch, so that its columns are not known");
        return EINVAL;
    }
    *out = batches->schema;
    out->release = release_nothing;
    return 0;
}

/* The next batch of an item that is a stream; *out stays empty at its end. */
static int next_of_inner(struct batches *batches, struct ArrowArray *out) {
    int failed = batches->inner.get_next(&batches->inner, out);
    if (failed) {
        const char *said = batches->inner.get_last_error(&batches->inner);
        rf_copy_text(batches->error, sizeof batches->error, said ? said : "a batch failed");
    }
    if (failed || !out->release) EMPTY(ArrowArrayStream, &batches->inner);
    return failed;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct batches *batches = stream->private_data;
    for (;;) {
        *out = batches->array;
        batches->array = (struct ArrowArray){0};
        if (out->release) return 0;
        int failed = 0;
        bool ended = false;
        if (batches->inner.release) failed = next_of_inner(batches, out);
        else failed = advance(batches, &ended);
        if (failed || ended || out->release) return failed;
    }
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    struct batches *batches = stream->private_data;
    return *batches->error ? batches->error : NULL;
}

static void release(struct ArrowArrayStream *stream) {
    struct batches *batches = stream->private_data;
    EMPTY(ArrowArray, &batches->array);
    EMPTY(ArrowArrayStream, &batches->inner);
    EMPTY(ArrowSchema, &batches->schema);
    PyGILState_STATE state = PyGILState_Ensure();
    Py_DECREF(batches->iterator);
    PyGILState_Release(state);
    free(batches);
    stream->release = NULL;
}

int rf_stream_of(PyObject *given, struct ArrowArrayStream *out) {
    if (PyCapsule_IsValid(given, STREAM)) return take_ArrowArrayStream(given, STREAM, out);
    if (!PyIter_Check(given)) {
        PyErr_SetString(PyExc_TypeError, "what is given is neither an Arrow stream nor an iterator");
        return -1;
    }
    struct batches *batches = calloc(1, sizeof *batches);
    if (!batches) {
        PyErr_NoMemory();
        return -1;
    }
    Py_INCREF(given);
    batches->iterator = given;
    *out = (struct ArrowArrayStream){.get_schema = get_schema, .get_next = get_next, .get_last_error = get_last_error, .release = release, .private_data = batches};
    return 0;
}
