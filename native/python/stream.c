/* rowferry._native.Read: rows on their way into an Arrow stream.
 *
 * The stream belongs to whoever took it: it is asked and released on any thread, with the GIL or without it, and
 * outlives the object it came from. What it waits for is done by a thread that knows no Python (drivers/read.h).
 */
#include "python/module.h"

#include "core/arrow.h"
#include "core/clock.h"
#include "core/report.h"
#include "drivers/read.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { SLICE_MS = 50, LOOK_MS = 200 };

/* ---- signals ---- */

/* Where Python runs handlers of signals; elsewhere it is left alone. */
static bool is_main_thread(void) {
    return Py_IsInitialized() && syscall(SYS_gettid) == getpid();
}

struct raised {
    PyObject *type, *value, *traceback;
};

static int raise_again(void *arg) {
    struct raised *raised = arg;
    PyErr_Restore(raised->type, raised->value, raised->traceback);
    free(raised);
    return -1;
}

/* The consumer answers a failed stream with an error of its own, in place of the one that is set. So it is set aside,
 * and raised where Python runs next. */
static void set_aside(void) {
    struct raised *raised = malloc(sizeof *raised);
    if (!raised) return;
    PyErr_Fetch(&raised->type, &raised->value, &raised->traceback);
    if (Py_AddPendingCall(raise_again, raised) != 0) (void)raise_again(raised);
}

/* ---- the stream ---- */

struct stream {
    struct rf_read *read;
    int64_t looked_ms; /* when signals were last looked for */
    char message[1600];
};

/* Cancels when a signal's handler raises. */
static void look_for_signals(struct stream *stream) {
    stream->looked_ms = rf_clock_ms();
    if (!is_main_thread()) return;
    PyGILState_STATE state = PyGILState_Ensure();
    if (PyErr_CheckSignals() != 0) {
        set_aside();
        rf_read_cancel(stream->read);
    }
    PyGILState_Release(state);
}

/* Lets the other threads of Python run, if this one keeps them from it. */
static PyThreadState *let_others_run(void) {
    if (!Py_IsInitialized() || !PyGILState_GetThisThreadState()) return NULL;
    PyGILState_STATE state = PyGILState_Ensure();
    PyGILState_Release(state);
    return state == PyGILState_LOCKED ? PyEval_SaveThread() : NULL;
}

static enum rf_code wait_for_batch(struct stream *stream, struct ArrowArray *out, struct rf_error *err) {
    PyThreadState *waiting = let_others_run();
    enum rf_code code = RF_OK;
    for (bool ready = false; code == RF_OK && !ready;) {
        code = rf_read_next(stream->read, SLICE_MS, &ready, out, err);
        if (code == RF_OK && !ready) look_for_signals(stream);
    }
    if (waiting) PyEval_RestoreThread(waiting);
    return code;
}

/* Keeps what is to be said of it, as an errno. */
static int answer(struct stream *stream, enum rf_code code, const struct rf_error *err) {
    if (code == RF_OK) return 0;
    snprintf(stream->message, sizeof stream->message, "%s%s%s", err->message, *err->hint ? "\n" : "", err->hint);
    if (code == RF_CANCELLED) return ECANCELED;
    if (code == RF_NO_MEMORY) return ENOMEM;
    return code == RF_CONFIG || code == RF_DATA ? EINVAL : EIO;
}

static int get_next(struct ArrowArrayStream *arrow, struct ArrowArray *out) {
    struct stream *stream = arrow->private_data;
    struct rf_error err;
    bool ready;
    if (rf_clock_ms() - stream->looked_ms > LOOK_MS) look_for_signals(stream);
    enum rf_code code = rf_read_next(stream->read, 0, &ready, out, &err);
    if (code == RF_OK && !ready) code = wait_for_batch(stream, out, &err);
    return answer(stream, code, &err);
}

static int get_schema(struct ArrowArrayStream *arrow, struct ArrowSchema *out) {
    struct stream *stream = arrow->private_data;
    struct rf_error err;
    return answer(stream, rf_read_schema(stream->read, out, &err), &err);
}

static const char *get_last_error(struct ArrowArrayStream *arrow) {
    const struct stream *stream = arrow->private_data;
    return *stream->message ? stream->message : NULL;
}

/* Once it returns, the session is gone. */
static void release_stream(struct ArrowArrayStream *arrow) {
    struct stream *stream = arrow->private_data;
    rf_read_stop(stream->read);
    rf_read_release(stream->read);
    free(stream);
    arrow->release = NULL;
}

/* ---- capsules: arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html ---- */

static void drop_stream(PyObject *capsule) {
    struct ArrowArrayStream *arrow = PyCapsule_GetPointer(capsule, "arrow_array_stream");
    if (arrow->release) arrow->release(arrow);
    free(arrow);
}

static void drop_schema(PyObject *capsule) {
    struct ArrowSchema *arrow = PyCapsule_GetPointer(capsule, "arrow_schema");
    if (arrow->release) arrow->release(arrow);
    free(arrow);
}

/* ---- Read ---- */

struct read_object {
    PyObject_HEAD
    struct rf_read *read;
};

static struct rf_read *read_of(PyObject *self) {
    return ((struct read_object *)self)->read;
}

static int read_init(PyObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"job_json", NULL};
    struct read_object *object = (struct read_object *)self;
    const char *json;
    struct rf_error error;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "s", names, &json)) return -1;
    if (object->read) {
        PyErr_SetString(PyExc_TypeError, "a Read is made once");
        return -1;
    }
    if (rf_read_start(json, &object->read, &error) == RF_OK) return 0;
    rf_python_raise(self, &error);
    return -1;
}

static void read_dealloc(PyObject *self) {
    PyTypeObject *type = Py_TYPE(self);
    rf_read_release(read_of(self));
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static bool is_made(PyObject *self) {
    if (read_of(self)) return true;
    PyErr_SetString(PyExc_RuntimeError, "the Read was not initialised");
    return false;
}

static void stop(struct rf_read *read) {
    Py_BEGIN_ALLOW_THREADS
    rf_read_stop(read);
    Py_END_ALLOW_THREADS
}

static PyObject *stop_and_raise(struct rf_read *read) {
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    stop(read);
    PyErr_Restore(type, value, traceback);
    return NULL;
}

static PyObject *read_open(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    struct rf_error error;
    enum rf_code code = RF_OK;
    if (!is_made(self)) return NULL;
    for (bool ready = false; code == RF_OK && !ready;) {
        Py_BEGIN_ALLOW_THREADS
        code = rf_read_described(read_of(self), SLICE_MS, &ready, &error);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() != 0) return stop_and_raise(read_of(self));
    }
    if (code != RF_OK) {
        rf_python_raise(self, &error);
        return NULL;
    }
    char *json = rf_read_json(read_of(self));
    if (!json) return PyErr_NoMemory();
    PyObject *text = rf_python_text(json);
    free(json);
    return text;
}

static PyObject *read_stream(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    if (!is_made(self)) return NULL;
    struct ArrowArrayStream *arrow = malloc(sizeof *arrow);
    struct stream *stream = calloc(1, sizeof *stream);
    PyObject *capsule = arrow && stream ? PyCapsule_New(arrow, "arrow_array_stream", drop_stream) : PyErr_NoMemory();
    if (!capsule) {
        free(arrow);
        free(stream);
        return NULL;
    }
    stream->read = rf_read_hold(read_of(self));
    *arrow = (struct ArrowArrayStream){.get_schema = get_schema, .get_next = get_next, .get_last_error = get_last_error,
                                       .release = release_stream, .private_data = stream};
    return capsule;
}

static PyObject *read_schema(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    struct rf_error error;
    if (!is_made(self)) return NULL;
    struct ArrowSchema *arrow = malloc(sizeof *arrow);
    if (!arrow) return PyErr_NoMemory();
    if (rf_read_schema(read_of(self), arrow, &error) != RF_OK) {
        free(arrow);
        rf_python_raise(self, &error);
        return NULL;
    }
    PyObject *capsule = PyCapsule_New(arrow, "arrow_schema", drop_schema);
    if (capsule) return capsule;
    arrow->release(arrow);
    free(arrow);
    return NULL;
}

static PyObject *read_cancel(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    if (!is_made(self)) return NULL;
    rf_read_cancel(read_of(self));
    Py_RETURN_NONE;
}

static PyObject *read_close(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    if (!is_made(self)) return NULL;
    stop(read_of(self));
    Py_RETURN_NONE;
}

static PyObject *read_ended(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    struct rf_error error;
    if (!is_made(self)) return NULL;
    return PyBool_FromLong(rf_read_ended(read_of(self), &error));
}

static PyObject *read_error(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    struct rf_error error;
    if (!is_made(self)) return NULL;
    if (!rf_read_ended(read_of(self), &error) || error.code == RF_OK) Py_RETURN_NONE;
    char *json = rf_error_json(&error);
    if (!json) return PyErr_NoMemory();
    PyObject *text = rf_python_text(json);
    free(json);
    return text;
}

static PyMethodDef read_methods[] = {
    {"open", read_open, METH_NOARGS, "open() -> str\n--\n\nWait until the columns are known; return them as JSON."},
    {"stream", read_stream, METH_NOARGS, "stream() -> capsule\n--\n\nThe rows, as an ArrowArrayStream; after open()."},
    {"schema", read_schema, METH_NOARGS, "schema() -> capsule\n--\n\nTheir ArrowSchema; after open()."},
    {"cancel", read_cancel, METH_NOARGS, "cancel()\n--\n\nGive up what was not taken yet; from any thread."},
    {"close", read_close, METH_NOARGS, "close()\n--\n\nThe same, and wait until the session is gone."},
    {"ended", read_ended, METH_NOARGS, "ended() -> bool\n--\n\nWhether nothing more is read."},
    {"error", read_error, METH_NOARGS, "error() -> str | None\n--\n\nWhat ended the reading before its last row, as JSON."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot read_slots[] = {
    {Py_tp_doc, "Read(job_json)\n--\n\nA table that is being read into Arrow batches."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, read_init},
    {Py_tp_dealloc, read_dealloc},
    {Py_tp_methods, read_methods},
    {0, NULL},
};

PyType_Spec rf_python_read = {
    .name = "rowferry._native.Read",
    .basicsize = sizeof(struct read_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = read_slots,
};
