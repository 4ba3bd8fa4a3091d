"""Loading what is not a table: a frame, an API's answers, a tap's records.

The stream is read through the Arrow C interface, so that no library is needed here that the caller does not use:
arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from rowferry import errors
from rowferry.job import Call, OnProgress
from rowferry.report import Report

__all__ = ["load"]


def load(
    stream: Any,
    *,
    target: str,
    table: str,
    keys: Sequence[str] | None = None,
    schema: Any = None,
    source_name: str = "stream",
    target_table: str | None = None,
    as_text: Sequence[str] | None = None,
    mask: Mapping[str, str] | None = None,
    mask_key_env: str = "ROWFERRY_MASK_KEY",
    naive_timestamps: Literal["auto", "utc", "keep"] = "auto",
    mode: Literal["merge", "replace"] = "merge",
    allow_empty: bool = False,
    on_schema_change: str | Mapping[str, str] | None = None,
    on_duplicate: Literal["newest", "fail"] = "newest",
    run_id: str | None = None,
    try_number: int = 1,
    map_index: int | None = None,
    application: str = "rowferry",
    batch_bytes: int = 1048576,
    lock_timeout: float = 60,
    lease_seconds: float = 120,
    connect_timeout: int = 10,
    control_schema: str = "_rowferry",
    driver: str | None = None,
    channel: Literal["auto", "adbc", "odbc"] = "auto",
    spool_dir: str | None = None,
    spool_file_bytes: int = 167772160,
    on_progress: OnProgress | None = None,
) -> Report:
    """Merge the rows of `stream` into a table of the target, and commit them with their load record.

    As `Job.run` does for a table: one lease, one transaction, one row per key. A row whose key is there is
    overwritten, one that the stream does not bring stays; loading the same rows again changes no value. Nothing of
    the load is there after an error, whether of a server, of a value or of the stream itself. A signal of the
    calling thread, or an exception of `on_progress`, stops it within a second.

    A stream is taken as what is true now: nothing in it says whether it is older than what the target holds. What it
    left out cannot be known, so its reports are `best_effort`. `_extracted_at` is the target's clock before the
    first row, and never before that of the table's last load.

    Args:
        stream: Anything with `__arrow_c_stream__` or `__arrow_c_array__` (a pyarrow table, batch or reader, a polars or
            pandas frame, a relation of DuckDB's, `rowferry.read(…)`), or an iterable of such batches, all of one
            schema. It is consumed on another thread than the caller's, batch by batch, in about `batch_bytes` of memory
            beside the batch itself.
        target: Warehouse to load into, as in `Job`, and so are the settings below that are not explained here.
        table: What to call the rows, `schema.table` or `table`: the `{schema}` and `{table}` of `target_table`. A
            target that was loaded from another table is refused.
        keys: Columns that identify a row, shape (n_keys,), at least one; none of them is ever NULL. Under `replace` they may
            be None: then every row is kept.
        schema: Of an iterable that may turn out to be empty: anything with `__arrow_c_schema__`.
        as_text: Columns to carry as the texts that PostgreSQL prints, whatever their type; None: none.
        mask: What hides a column's values before anything leaves the process, by column: `drop`, `redact`, `truncate:N` or `hash`, as of
            `rowferry.Job`; None: nothing is hidden. Rows that earlier loads brought stay as they are.
        mask_key_env: The environment variable that holds the key of hashes. Where a key column is hashed, another key is refused.
        mode: `merge`, or `replace`: the stream's rows come in the place of all that the target holds, in one transaction.
        allow_empty: Under `replace` a stream without rows is an error; this takes it for what it says.
        on_schema_change: As in `Job`, of columns that the stream has and the target lacks, or the other way round, and of types. In a
            column that is added rows of earlier loads are NULL.
        on_duplicate: Two rows of one key in one load: the later one wins (`newest`), or `fail`.
        run_id: Names the run; what is loaded again under it adds to its `run_total`.
    Raises:
        ConfigurationError: A setting, a column's type or what is given as a stream cannot work.
        SchemaDriftError: The columns do not fit those of the table that is there.
        DataError: A value that PostgreSQL or the target cannot hold, or keys that repeat under `on_duplicate="fail"`.
        SourceError: The stream failed; caused by (`__cause__`) what an iterable raised.
        RowferryError: Any other of `rowferry.errors`.
    """
    settings = {name: value for name, value in locals().items() if name not in ("stream", "schema", "on_progress")}
    call = Call({**settings, "keys": _names(keys), "as_text": _names(as_text), "mask": dict(mask) if mask else None})
    batches = None if hasattr(stream, "__arrow_c_stream__") else _Batches(_batches_of(stream), schema)
    try:
        return Report.from_dict(call.load(stream.__arrow_c_stream__() if batches is None else batches, on_progress))
    except errors.RowferryError as error:
        if batches and batches.refusal:
            raise batches.refusal from None
        raise error from (batches and batches.raised)


def _names(names: Any) -> Any:
    """Lists become JSON as they are; what is none is the core's to refuse."""
    return list(names) if isinstance(names, Sequence) and not isinstance(names, str) else names


def _batches_of(stream: Any) -> Iterable[Any]:
    if hasattr(stream, "__arrow_c_array__"):
        return (stream,)
    if isinstance(stream, Iterable) and not isinstance(stream, str | bytes | dict):
        return stream
    raise errors.ConfigurationError(f"the stream is a {type(stream).__name__}, which is no Arrow stream and no iterable of batches", hint=_HINT)


_HINT = "Give what has __arrow_c_stream__ or __arrow_c_array__, as pyarrow.Table.from_pylist(rows) makes it of dicts."


class _Batches(Iterator[Any]):
    """The batches of an iterable as the core takes them: capsules.

    Attributes:
        raised: What the iterable or one of its batches raised, or None.
        refusal: What is wrong with what the iterable gave, or None.
    """

    def __init__(self, batches: Iterable[Any], schema: Any) -> None:
        self._capsules = self._all_capsules(batches, schema)
        self.raised: BaseException | None = None
        self.refusal: errors.ConfigurationError | None = None

    def __next__(self) -> Any:
        try:
            return next(self._capsules)
        except StopIteration:
            raise
        except BaseException as error:
            self.raised = error
            raise

    def _all_capsules(self, batches: Iterable[Any], schema: Any) -> Iterator[Any]:
        number = 0
        if schema is not None:
            yield schema.__arrow_c_schema__()
        for number, batch in enumerate(batches, 1):
            if hasattr(batch, "__arrow_c_array__"):
                yield batch.__arrow_c_array__()
            elif hasattr(batch, "__arrow_c_stream__"):
                yield batch.__arrow_c_stream__()
            else:
                self._refuse(f"item {number} of the stream is a {type(batch).__name__} and no Arrow batch", _HINT)
        if number == 0 and schema is None:
            self._refuse("the iterable has no batch, so that its columns are not known", "Give the schema too: schema=….")

    def _refuse(self, message: str, hint: str) -> None:
        self.refusal = errors.ConfigurationError(message, hint=hint)
        raise self.refusal
