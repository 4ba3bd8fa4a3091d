"""What reads Arrow streams: each consumer's rows as tuples of Python's own values."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any
from uuid import UUID

import duckdb
import pandas
import polars
import pyarrow

import rowferry

Rows = list[tuple[Any, ...]]


def by_pyarrow(rows: rowferry.Rows) -> Rows:
    return [tuple(row.values()) for row in pyarrow.table(rows).to_pylist()]


def by_polars(rows: rowferry.Rows) -> Rows:
    """It has no type for a UUID, and keeps its bytes."""
    uuids = [at for at, column in enumerate(rows.columns) if column.type == "uuid"]
    found = [list(row) for row in polars.DataFrame(rows).rows()]
    for row in found:
        for at in uuids:
            row[at] = UUID(bytes=row[at]) if row[at] else None
    return [tuple(row) for row in found]


def by_duckdb(rows: rowferry.Rows) -> Rows:
    return duckdb.sql("FROM rows").fetchall()


def by_pandas(rows: rowferry.Rows) -> Rows:
    frame = pandas.DataFrame.from_arrow(rows)
    return [tuple(_plain(value) for value in row) for row in frame.itertuples(index=False, name=None)]


def first_batch_with_the_lock(rows: rowferry.Rows) -> int:
    """How many rows it has; asked for while the interpreter's lock is held, as a consumer may do.

    Structures: arrow.apache.org/docs/format/CStreamInterface.html, and CDataInterface.html for the array.
    """
    capsule = rows.__arrow_c_stream__()
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    stream = pointer_of(capsule, b"arrow_array_stream")
    array = (ctypes.c_int64 * 10)()
    get_next = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)((ctypes.c_int64 * 5).from_address(stream)[1])
    assert get_next(stream, ctypes.addressof(array)) == 0
    n_rows = array[0]
    ctypes.PYFUNCTYPE(None, ctypes.c_void_p)(array[8])(ctypes.addressof(array))
    return n_rows


def _plain(value: Any) -> Any:
    """It says NULL in several ways, and has classes of its own for lists and times."""
    if hasattr(value, "tolist") and getattr(value, "ndim", 0):
        return value.tolist()
    if pandas.isna(value):
        return None
    return value.to_pydatetime() if isinstance(value, pandas.Timestamp) else value


CONSUMERS: dict[str, Callable[[rowferry.Rows], Rows]] = {
    "pyarrow": by_pyarrow,
    "polars": by_polars,
    "duckdb": by_duckdb,
    "pandas": by_pandas,
}
