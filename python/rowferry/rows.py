"""Rows of a table in memory, for whoever reads Arrow: pyarrow, polars, duckdb, pandas.

They go from the core to the consumer through the Arrow C stream interface, by pointers; Python sees none of them.

Source: arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
"""

from __future__ import annotations

import atexit
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from rowferry import _native, errors
from rowferry.job import document

__all__ = ["Column", "Rows", "read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of what is read.

    Attributes:
        name: As at the source.
        type: PostgreSQL's type, as DDL writes it.
        arrow: Arrow's type, as a format string of its C data interface.
        nullable: Whether it may hold NULL.
    """

    name: str
    type: str
    arrow: str
    nullable: bool


class Rows:
    """The rows of a table, as of one snapshot, for one consumer; made by `read`.

    A thread of the core reads ahead of the consumer by one batch. The session at the source, with its snapshot and its
    lock, lasts until the last row was read, an error, the consumer dropping its stream, `close`, or the end of
    the process.

    As a context manager it closes on the way out. An error of the consumer that tells of a failure here is
    then replaced by the failure itself, one of `rowferry.errors`.

    Attributes:
        columns: What is read, in order.
    """

    __slots__ = ("_read", "_source", "_taken", "columns")

    def __init__(self, settings: dict[str, Any]) -> None:
        self._source = settings["source"]
        self._taken = True  # until there is something to take
        try:
            self._read = _native.Read(document(settings))
            _keep(self._read)
            columns = json.loads(self._read.open())["columns"]
        except _native.Error as error:
            raise errors.from_native(error, self._source) from None
        self.columns = tuple(Column(**column) for column in columns)
        self._taken = False

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """The rows, once. They come in types of their own, whatever is requested, as the interface allows.

        Raises:
            ConfigurationError: They were taken before.
        """
        if self._taken:
            raise errors.ConfigurationError("these rows were taken before", hint="They pass once: call rowferry.read again, or keep them in a table.")
        self._taken = True
        return self._read.stream()

    def __arrow_c_schema__(self) -> object:
        """Their schema, as often as you like."""
        return self._read.schema()

    @property
    def error(self) -> errors.RowferryError | None:
        """What ended the reading before the consumer had the last row; None while nothing did."""
        text = self._read.error()
        return errors.from_native(_native.Error(text), self._source) if text else None

    def close(self) -> None:
        """Give up what was not taken yet, here and at the source. From any thread, and from handlers of signals.

        A consumer that waits for rows is answered with an error. Batches that it has stay valid.
        """
        self._read.close()

    def __enter__(self) -> Rows:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        failure = self.error
        self.close()
        if failure is not None and isinstance(error, Exception) and failure.message in str(error):
            raise failure from error

    def __del__(self) -> None:
        if not self._taken:
            self._read.cancel()

    def __repr__(self) -> str:
        return f"Rows({', '.join(f'{column.name} {column.type}' for column in self.columns)})"


def read(
    source: str,
    table: str,
    *,
    columns: Sequence[str] | None = None,
    where: str | None = None,
    as_text: Sequence[str] = (),
    mask: Mapping[str, str] | None = None,
    mask_key_env: str = "ROWFERRY_MASK_KEY",
    batch_bytes: int = 4194304,
    connections: int = 1,
    connect_timeout: int = 10,
    lock_timeout: float = 60,
) -> Rows:
    """Read a table of PostgreSQL into memory, under one snapshot.

    >>> import pyarrow, rowferry
    >>> pyarrow.table(rowferry.read("postgresql:///shop", "orders", columns=["id", "total_amount"]))

    Returns once the table is locked (in the mode that keeps only ALTER and its kind away) and its columns are known.
    `rowferry types` says what becomes of each type.

    Args:
        source: `postgresql://user@host:port/database`, or libpq's `key=value` pairs.
        table: `schema.table` or `table` (in `public`); odd names in double quotes.
        columns: Columns to read, in this order; None: all.
        where: SQL condition on rows; None: all rows. It is sent as written.
        as_text: Columns to read as their text, whatever their type: for values that Arrow cannot hold.
        mask: What hides a column's values, by column: `drop`, `redact`, `truncate:N` or `hash`, as of `rowferry.Job`.
        mask_key_env: The environment variable that holds the key of hashes.
        batch_bytes: Memory for one batch, in bytes, at least 65536; two batches are alive at a time, beside those that
            the consumer keeps.
        connections: Readers side by side on the source, 1 to 16, under one snapshot; rows come in no order then.
        connect_timeout: For one connection, in seconds.
        lock_timeout: How long to wait for the table's lock and for a server that has no connection free, in seconds.
    Raises:
        ConfigurationError: A setting, the table or a column cannot be as written.
        RowferryError: Any other of `rowferry.errors`; what fails later reaches the consumer as an error of its own
            kind, with the same message, and stands in `Rows.error`.
    """
    return Rows(
        {
            "source": source,
            "table": table,
            "columns": columns,
            "where": where,
            "as_text": as_text or None,
            "mask": dict(mask) if mask else None,
            "mask_key_env": mask_key_env,
            "batch_bytes": batch_bytes,
            "connections": connections,
            "connect_timeout": connect_timeout,
            "lock_timeout": lock_timeout,
        }
    )


# ---- the end of the process: what still reads has to be told, for its consumer may never let go ----

_reads: set[_native.Read] = set()


def _keep(read: _native.Read) -> None:
    _reads.difference_update([other for other in list(_reads) if other.ended()])
    _reads.add(read)


@atexit.register
def _end_all() -> None:
    for read in list(_reads):
        read.cancel()
    for read in list(_reads):
        read.close()
