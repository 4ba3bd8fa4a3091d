/* Module rowferry._native, limited API of 3.10: jobs.
 *
 * A job runs on a thread of its own with every signal blocked. The calling thread waits without the GIL in
 * slices, so that signal handlers run, and cancels when one of them raises. No lock is held meanwhile: a handler
 * may call Job.cancel() on the same job.
 */
#include "python/module.h"

#include "core/arena.h"
#include "core/clock.h"
#include "core/job.h"
#include "core/report.h"
#include "core/thread.h"
#include "core/types.h"
#include "drivers/source_stream.h"
#include "drivers/verbs.h"
#include "python/batches.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifndef RF_VERSION
#define RF_VERSION "0"
#endif

enum { SLICE_MS = 50, PROGRESS_MS = 250, GIVE_UP_MS = 900, CHECK_ARENA_BYTES = 1024 * 1024 };

struct module_state {
    PyObject *error;
};

/* ---- one execution, shared by the calling thread and the core's ---- */

struct execution {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int holders;
    bool done;
    enum rf_verb verb;
    bool loads;                     /* what the stream brings, in place of the verb */
    struct ArrowArrayStream stream; /* released by whoever loads it; here, when nobody came to that */
    char *job_json;
    struct rf_cancel *cancel;
    char *json;
    enum rf_code code;
    struct rf_error error;
    atomic_int step;
    atomic_bool may_commit; /* the step of the commit was announced */
    atomic_llong rows;
    atomic_llong bytes;
};

static void release_execution(struct execution *execution) {
    pthread_mutex_lock(&execution->mutex);
    bool last = --execution->holders == 0;
    pthread_mutex_unlock(&execution->mutex);
    if (!last) return;
    rf_release_stream(&execution->stream);
    rf_cancel_release(execution->cancel);
    pthread_cond_destroy(&execution->changed);
    pthread_mutex_destroy(&execution->mutex);
    free(execution->job_json);
    free(execution->json);
    free(execution);
}

static struct execution *new_execution(enum rf_verb verb, const char *job_json, struct rf_cancel *cancel) {
    struct execution *execution = calloc(1, sizeof *execution);
    if (!execution) return NULL;
    execution->job_json = strdup(job_json);
    if (!execution->job_json) {
        free(execution);
        return NULL;
    }
    pthread_mutex_init(&execution->mutex, NULL);
    rf_clock_condition(&execution->changed);
    execution->holders = 1;
    execution->verb = verb;
    execution->cancel = rf_cancel_hold(cancel);
    return execution;
}

static void note_step(void *context, enum rf_step step, int64_t rows, int64_t bytes) {
    struct execution *execution = context;
    if (step == RF_STEP_COMMIT) atomic_store(&execution->may_commit, true);
    atomic_store(&execution->step, (int)step);
    atomic_store(&execution->rows, (long long)rows);
    atomic_store(&execution->bytes, (long long)bytes);
}

static enum rf_code do_job(struct execution *execution) {
    struct rf_observer observer = {.on_step = note_step, .context = execution};
    if (execution->loads)
        return rf_load_stream(execution->job_json, &execution->stream, execution->cancel, observer, &execution->json, &execution->error);
    return rf_execute(execution->verb, execution->job_json, execution->cancel, observer, &execution->json, &execution->error);
}

static void *run_core(void *arg) {
    struct execution *execution = arg;
    enum rf_code code = do_job(execution);
    pthread_mutex_lock(&execution->mutex);
    execution->code = code;
    execution->done = true;
    pthread_cond_broadcast(&execution->changed);
    pthread_mutex_unlock(&execution->mutex);
    release_execution(execution);
    return NULL;
}

static int start_core(struct execution *execution) {
    execution->holders++;
    int failed = rf_thread_start(run_core, execution, NULL);
    if (failed) execution->holders--;
    return failed;
}

/* True when the core has ended within the slice. */
static bool wait_slice(struct execution *execution) {
    struct timespec until = rf_clock_after(SLICE_MS);
    pthread_mutex_lock(&execution->mutex);
    if (!execution->done) pthread_cond_timedwait(&execution->changed, &execution->mutex, &until);
    bool done = execution->done;
    pthread_mutex_unlock(&execution->mutex);
    return done;
}

/* ---- errors and progress ---- */

PyObject *rf_python_text(const char *json) {
    return PyUnicode_DecodeUTF8(json, (Py_ssize_t)strlen(json), "replace");
}

void rf_python_raise(PyObject *self, const struct rf_error *error) {
    const struct module_state *state = PyType_GetModuleState(Py_TYPE(self));
    char *json = rf_error_json(error);
    if (!json) {
        PyErr_NoMemory();
        return;
    }
    PyObject *text = rf_python_text(json);
    if (text) PyErr_SetObject(state ? state->error : PyExc_SystemError, text);
    Py_XDECREF(text);
    free(json);
}

static int call_progress(struct execution *execution, PyObject *on_progress, double started) {
    int step = atomic_load(&execution->step);
    PyObject *progress = Py_BuildValue("{s:s,s:L,s:L,s:d}", "phase", rf_step_name((enum rf_step)step), "rows", atomic_load(&execution->rows),
                                       "bytes", atomic_load(&execution->bytes), "seconds", rf_clock_seconds() - started);
    if (!progress) return -1;
    PyObject *answer = PyObject_CallFunctionObjArgs(on_progress, progress, NULL);
    Py_DECREF(progress);
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

/* Once COMMIT may be on its way its outcome is waited for, closing included; before that a cancelled core may be
 * left behind: it looks at the cancel after it announced the step, and cannot commit any more. */
static bool may_be_left(struct execution *execution) {
    return !atomic_load(&execution->may_commit);
}

/* What a callback raises once the outcome is there does not change it. */
static int tell_progress(struct execution *execution, PyObject *on_progress, double started, bool done) {
    if (call_progress(execution, on_progress, started) == 0) return 0;
    if (!done || execution->code != RF_OK) return -1;
    PyErr_WriteUnraisable(on_progress);
    return 0;
}

enum waited { WAITED_DONE, WAITED_RAISED, WAITED_ENOUGH };

/* Waits for the core; WAITED_RAISED with an exception set when a signal handler or the callback raised,
 * WAITED_ENOUGH when a cancelled core does not end (it may be resolving a name, which nothing interrupts). */
static enum waited wait_for_core(struct execution *execution, PyObject *on_progress) {
    double started = rf_clock_seconds(), told = started, asked = 0;
    for (;;) {
        bool done;
        Py_BEGIN_ALLOW_THREADS
        done = wait_slice(execution);
        Py_END_ALLOW_THREADS
        if (PyErr_CheckSignals() != 0) return WAITED_RAISED;
        if (on_progress && (done || (rf_clock_seconds() - told) * 1000 >= PROGRESS_MS)) {
            told = rf_clock_seconds();
            if (tell_progress(execution, on_progress, started, done) != 0) return WAITED_RAISED;
        }
        if (done) return WAITED_DONE;
        if (!rf_cancel_requested(execution->cancel)) continue;
        if (asked == 0) asked = rf_clock_seconds();
        if (may_be_left(execution) && (rf_clock_seconds() - asked) * 1000 > GIVE_UP_MS) return WAITED_ENOUGH;
    }
}

/* ---- Job ---- */

struct job_object {
    PyObject_HEAD
    char *json;
    struct rf_cancel *cancel;
};

static int check_job(PyObject *self, const char *json) {
    struct rf_arena arena;
    struct rf_job job;
    struct rf_error error;
    rf_arena_init(&arena, CHECK_ARENA_BYTES);
    enum rf_code code = rf_job_parse(json, &arena, &job, &error);
    rf_arena_free(&arena);
    if (code == RF_OK) return 0;
    rf_python_raise(self, &error);
    return -1;
}

static int job_init(PyObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"job_json", NULL};
    struct job_object *job = (struct job_object *)self;
    const char *json;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "s", names, &json)) return -1;
    if (job->json) {
        PyErr_SetString(PyExc_TypeError, "a Job is made once");
        return -1;
    }
    if (check_job(self, json) != 0) return -1;
    job->json = strdup(json);
    job->cancel = rf_cancel_new();
    if (job->json && job->cancel) return 0;
    PyErr_NoMemory();
    return -1;
}

static void job_dealloc(PyObject *self) {
    struct job_object *job = (struct job_object *)self;
    PyTypeObject *type = Py_TYPE(self);
    free(job->json);
    rf_cancel_release(job->cancel);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    release(self);
    Py_DECREF(type);
}

static void cancel_and_wait(struct execution *execution) {
    double asked = rf_clock_seconds();
    rf_cancel_request(execution->cancel);
    while (!wait_slice(execution))
        if (may_be_left(execution) && (rf_clock_seconds() - asked) * 1000 > GIVE_UP_MS) return;
}

/* Waits for what was started and turns it into a text or an exception. */
static PyObject *take_outcome(PyObject *self, struct execution *execution, PyObject *on_progress) {
    struct rf_error cancelled;
    switch (wait_for_core(execution, on_progress)) {
    case WAITED_RAISED: {
        PyObject *type, *value, *traceback;
        PyErr_Fetch(&type, &value, &traceback);
        Py_BEGIN_ALLOW_THREADS
        cancel_and_wait(execution);
        Py_END_ALLOW_THREADS
        PyErr_Restore(type, value, traceback);
        return NULL;
    }
    case WAITED_ENOUGH:
        rf_cancelled(&cancelled);
        rf_python_raise(self, &cancelled);
        return NULL;
    case WAITED_DONE: break;
    }
    if (execution->code == RF_OK) return rf_python_text(execution->json);
    rf_python_raise(self, &execution->error);
    return NULL;
}

static PyObject *see_through(PyObject *self, struct execution *execution, PyObject *on_progress) {
    PyObject *outcome = NULL;
    if (start_core(execution) != 0) PyErr_SetString(PyExc_RuntimeError, "the system gave no thread");
    else outcome = take_outcome(self, execution, on_progress == Py_None ? NULL : on_progress);
    release_execution(execution);
    return outcome;
}

static PyObject *job_execute(PyObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"verb", "on_progress", NULL};
    struct job_object *job = (struct job_object *)self;
    const char *verb_name;
    PyObject *on_progress = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "s|O", names, &verb_name, &on_progress)) return NULL;
    enum rf_verb verb = rf_verb_named(verb_name);
    if (verb == RF_VERBS) return PyErr_Format(PyExc_ValueError, "unknown verb: %s", verb_name);
    if (!job->json) return PyErr_Format(PyExc_RuntimeError, "the Job was not initialised");
    struct execution *execution = new_execution(verb, job->json, job->cancel);
    return execution ? see_through(self, execution, on_progress) : PyErr_NoMemory();
}

static PyObject *job_load(PyObject *self, PyObject *args, PyObject *keywords) {
    static char *names[] = {"stream", "on_progress", NULL};
    struct job_object *job = (struct job_object *)self;
    PyObject *stream, *on_progress = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|O", names, &stream, &on_progress)) return NULL;
    if (!job->json) return PyErr_Format(PyExc_RuntimeError, "the Job was not initialised");
    struct execution *execution = new_execution(RF_RUN, job->json, job->cancel);
    if (!execution) return PyErr_NoMemory();
    execution->loads = true;
    if (rf_stream_of(stream, &execution->stream) == 0) return see_through(self, execution, on_progress);
    release_execution(execution);
    return NULL;
}

static PyObject *job_cancel(PyObject *self, PyObject *Py_UNUSED(ignored)) {
    struct job_object *job = (struct job_object *)self;
    if (job->cancel) rf_cancel_request(job->cancel);
    Py_RETURN_NONE;
}

static PyMethodDef job_methods[] = {
    {"execute", (PyCFunction)(void (*)(void))job_execute, METH_VARARGS | METH_KEYWORDS,
     "execute(verb, on_progress=None) -> str\n--\n\nDo run, plan, verify, state, reset or inspect; return its outcome as JSON."},
    {"load", (PyCFunction)(void (*)(void))job_load, METH_VARARGS | METH_KEYWORDS,
     "load(stream, on_progress=None) -> str\n--\n\nMerge what a stream brings into the target; return the report as JSON."},
    {"cancel", job_cancel, METH_NOARGS, "cancel()\n--\n\nEnd what runs, here and on the servers; from any thread, and for good."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot job_slots[] = {
    {Py_tp_doc, "Job(job_json)\n--\n\nA validated job."},
    {Py_tp_new, PyType_GenericNew},
    {Py_tp_init, job_init},
    {Py_tp_dealloc, job_dealloc},
    {Py_tp_methods, job_methods},
    {0, NULL},
};

static PyType_Spec job_spec = {
    .name = "rowferry._native.Job",
    .basicsize = sizeof(struct job_object),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = job_slots,
};

/* ---- module ---- */

static PyObject *spec(PyObject *Py_UNUSED(module), PyObject *kind) {
    PyObject *bytes = PyUnicode_AsUTF8String(kind);
    if (!bytes) return NULL;
    const char *name = PyBytes_AsString(bytes);
    char *json = NULL;
    bool known = true;
    if (strcmp(name, "job") == 0) json = rf_job_schema();
    else if (strcmp(name, "report") == 0) json = rf_report_schema();
    else known = false;
    Py_DECREF(bytes);
    if (!known) return PyErr_Format(PyExc_ValueError, "there is a spec of job and of report");
    if (!json) return PyErr_NoMemory();
    PyObject *text = PyUnicode_FromString(json);
    free(json);
    return text;
}

static PyObject *type_table(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored)) {
    char *json = rf_types_json();
    if (!json) return PyErr_NoMemory();
    PyObject *text = PyUnicode_FromString(json);
    free(json);
    return text;
}

static PyObject *drift_table(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored)) {
    char *json = rf_drift_json();
    if (!json) return PyErr_NoMemory();
    PyObject *text = PyUnicode_FromString(json);
    free(json);
    return text;
}

static PyObject *steps(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(ignored)) {
    PyObject *names = PyTuple_New(RF_STEPS);
    for (int step = 0; names && step < RF_STEPS; step++) {
        PyObject *name = PyUnicode_FromString(rf_step_name((enum rf_step)step));
        if (!name || PyTuple_SetItem(names, step, name) != 0) Py_CLEAR(names);
    }
    return names;
}

static PyMethodDef module_methods[] = {
    {"spec", spec, METH_O, "spec(kind) -> str\n--\n\nThe JSON Schema of \"job\" or \"report\"."},
    {"type_table", type_table, METH_NOARGS, "type_table() -> str\n--\n\nWhat becomes of every type on each target, as JSON."},
    {"drift_table", drift_table, METH_NOARGS, "drift_table() -> str\n--\n\nWhat may happen to a schema, and what each policy does then, as JSON."},
    {"steps", steps, METH_NOARGS, "steps() -> tuple[str, ...]\n--\n\nThe steps of a run, in order, as progress names them."},
    {NULL, NULL, 0, NULL},
};

static int add_error(PyObject *module, struct module_state *state) {
    state->error = PyErr_NewExceptionWithDoc("rowferry._native.Error", "args[0] is a JSON object: code, message, sqlstate, …", NULL, NULL);
    if (!state->error) return -1;
    Py_INCREF(state->error);
    if (PyModule_AddObject(module, "Error", state->error) == 0) return 0;
    Py_DECREF(state->error);
    return -1;
}

static int add_type(PyObject *module, const char *name, PyType_Spec *spec_of_type) {
    PyObject *type = PyType_FromModuleAndSpec(module, spec_of_type, NULL);
    if (!type) return -1;
    if (PyModule_AddObject(module, name, type) == 0) return 0;
    Py_DECREF(type);
    return -1;
}

static int module_exec(PyObject *module) {
    struct module_state *state = PyModule_GetState(module);
    if (add_error(module, state) != 0) return -1;
    if (add_type(module, "Job", &job_spec) != 0 || add_type(module, "Read", &rf_python_read) != 0) return -1;
    return PyModule_AddStringConstant(module, "__version__", RF_VERSION);
}

static int module_traverse(PyObject *module, visitproc visit, void *arg) {
    struct module_state *state = PyModule_GetState(module);
    if (state) Py_VISIT(state->error);
    return 0;
}

static int module_clear(PyObject *module) {
    struct module_state *state = PyModule_GetState(module);
    if (state) Py_CLEAR(state->error);
    return 0;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)module_exec},
    {0, NULL},
};

static struct PyModuleDef module_definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "rowferry._native",
    .m_doc = "The C core of rowferry.",
    .m_size = sizeof(struct module_state),
    .m_methods = module_methods,
    .m_slots = module_slots,
    .m_traverse = module_traverse,
    .m_clear = module_clear,
};

PyMODINIT_FUNC PyInit__native(void);

PyMODINIT_FUNC PyInit__native(void) {
    return PyModuleDef_Init(&module_definition);
}
