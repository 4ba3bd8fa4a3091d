"""Reads public.orders and drops each batch: `drop_batches.py URI READERS [WHERE]`. No library that reads Arrow is loaded.

The structures are those of arrow.apache.org/docs/format/CDataInterface.html and CStreamInterface.html.
"""

from __future__ import annotations

import ctypes
import sys

import rowferry

RELEASE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
GET_NEXT = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)


class Array(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_int64),
        ("numbers", ctypes.c_int64 * 4),
        ("pointers", ctypes.c_void_p * 3),
        ("release", RELEASE),
        ("private_data", ctypes.c_void_p),
    )


class Stream(ctypes.Structure):
    _fields_ = (
        ("get_schema", ctypes.c_void_p),
        ("get_next", GET_NEXT),
        ("get_last_error", ctypes.c_void_p),
        ("release", RELEASE),
        ("private_data", ctypes.c_void_p),
    )


def main() -> None:
    pointer_of = ctypes.pythonapi.PyCapsule_GetPointer
    pointer_of.restype, pointer_of.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    rows = rowferry.read(sys.argv[1], "public.orders", connections=int(sys.argv[2]), where=sys.argv[3] if len(sys.argv) > 3 else None)
    capsule = rows.__arrow_c_stream__()
    at = pointer_of(capsule, b"arrow_array_stream")
    stream, batch, n_rows = Stream.from_address(at), Array(), 0
    while stream.get_next(at, ctypes.addressof(batch)) == 0 and batch.release:
        n_rows += batch.length
        batch.release(ctypes.addressof(batch))
    if rows.error is not None:
        raise rows.error
    print(n_rows)


if __name__ == "__main__":
    main()
