/* What the files of the extension module share. */
#ifndef RF_PYTHON_MODULE_H
#define RF_PYTHON_MODULE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "core/error.h"

/* Slots of types and modules keep functions in void pointers; POSIX allows what ISO C does not. */
#pragma GCC diagnostic ignored "-Wpedantic"

/* A str; a server may answer in another encoding before a session has one. */
PyObject *rf_python_text(const char *text);

/* Sets the module's Error; `self` is an object of one of the module's types. */
void rf_python_raise(PyObject *self, const struct rf_error *error);

/* rowferry._native.Read */
extern PyType_Spec rf_python_read;

#endif
