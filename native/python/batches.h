/* What Python gives to be loaded, as an Arrow stream that any thread may read. */
#ifndef RF_BATCHES_H
#define RF_BATCHES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core/arrow.h"

/* `given`: a capsule "arrow_array_stream", whose stream is moved out of it; or an iterator, whose items are such capsules,
 * pairs of capsules ("arrow_schema", "arrow_array"), or, first, a capsule "arrow_schema" alone. All batches have the schema
 * of the first. Called with the interpreter's lock; the stream takes it by itself where it needs it. The schema that it
 * gives may be used no longer than the stream. 0, or -1 with an exception. */
int rf_stream_of(PyObject *given, struct ArrowArrayStream *out);

#endif
