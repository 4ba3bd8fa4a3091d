"""A job: one table, from a source into a target, and what the core makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, TypedDict

from rowferry import _native, errors, uri
from rowferry.report import LoadRecord, Plan, Report, Verification

__all__ = ["Job", "OnProgress", "Progress", "run", "verify"]

Verb = Literal["run", "plan", "verify", "state", "reset", "inspect", "discard"]


class Progress(TypedDict):
    """Where a run is, at most every 0.25 s and once at its end.

    Keys:
        phase: Name of the step.
        rows: Rows read so far.
        bytes: Bytes read so far.
        seconds: Since the start.
    """

    phase: str
    rows: int
    bytes: int
    seconds: float


OnProgress = Callable[[Progress], object]


class Call:
    """A job as the core holds it: settings that were found valid, and a cancel that lasts.

    Unlike `Job` it may lack a source, a target or a table, for the verbs that need less.
    """

    __slots__ = ("_job", "_uris")

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._uris = tuple(settings.get(name) for name in ("source", "target"))
        try:
            self._job = _native.Job(document(settings))
        except _native.Error as error:
            raise errors.from_native(error, *self._uris) from None

    def execute(self, verb: Verb, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """The core's answer to `verb`; raises one of `rowferry.errors`."""
        try:
            return json.loads(self._job.execute(verb, on_progress))  # type: ignore[arg-type]
        except _native.Error as error:
            raise errors.from_native(error, *self._uris) from None

    def load(self, stream: object, on_progress: OnProgress | None = None) -> dict[str, Any]:
        """The report of loading what `stream` brings, as the core takes it; raises one of `rowferry.errors`."""
        try:
            return json.loads(self._job.load(stream, on_progress))  # type: ignore[arg-type]
        except _native.Error as error:
            raise errors.from_native(error, *self._uris) from None

    def cancel(self) -> None:
        self._job.cancel()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Job:
    """One table to carry from PostgreSQL into a warehouse.

    A job is validated where it is made, without connecting. It may be run several times, by one thread at
    a time; `cancel` may be called from any thread and lasts: a cancelled job never runs again.

    Attributes:
        source: `postgresql://user@host:port/database`, or libpq's `key=value` pairs. A password may stand in
            it, in a service file, in `~/.pgpass` or in the environment, and is never shown.
        target: The same for the warehouse; or `duckdb:///directory/file.duckdb`, with `?memory_limit=2GB` and
            `&threads=4` as it needs, through the package `duckdb` (`pip install 'rowferry[duckdb]'`);
            `snowflake://user@account/database?warehouse=…&role=…`, through adbc-driver-snowflake
            (`pip install 'rowferry[snowflake]'`) or Snowflake's ODBC driver, with a password, `private_key_file=…` (and `private_key_file_pwd=…`),
            `private_key=…` (PEM) or `token=…`; or, through unixODBC, `mariadb://user:password@host/database`,
            `sqlite:///directory/file.sqlite`, or `odbc:` and a connection string.
        driver: DuckDB's library, the one with Snowflake's ADBC driver, or the name or library of an ODBC driver; None:
            the one that is installed.
        channel: How Snowflake is reached; `auto`: over ADBC when adbc-driver-snowflake is installed or `driver` names its
            library, else over ODBC when a Snowflake driver is registered.
        spool_dir: Folder for files on their way to Snowflake, with room for two; None: the system's for temporary files.
        spool_file_bytes: About how large such a file becomes, compressed, in bytes.
        table: Source table, `schema.table` or `table` (in `public`); odd names in double quotes.
        source_name: `{source}` in `target_table`.
        target_table: Target's name, `schema.table` or, on Snowflake, `database.schema.table`; a template of `{source}`,
            `{schema}` and `{table}`. None: `raw_{source}.{table}`, on Snowflake `raw.{source}.{table}`.
        keys: Columns that identify a row, at least one; None: the primary key.
        columns: Columns to carry, the keys among them; None: all.
        as_text: Columns to carry as their text, whatever their type; None: none.
        mask: What hides a column's values, by column: `drop` leaves it out, `redact` puts `***` in place of a text and
            NULL in place of anything else, `truncate:N` keeps the first N characters of its text, and `hash` sends the
            HMAC-SHA-256 of its text as 64 hexadecimal digits. None: nothing is hidden. A key column may only be hashed.
        mask_key_env: The environment variable that holds the key of hashes, at least 16 bytes.
        naive_timestamps: A `timestamp` without time zone, in a new table: taken as UTC, it becomes one with a zone (`utc`), or it
            stays without (`keep`); `auto`: `utc` on Snowflake, else `keep`. A column that is there without a zone stays so.
        where: SQL condition on rows of the source; None: all rows. It is sent as written.
        capture: How changed rows are found: by row version (`xmin`), by time columns (`cursor`), by reading
            everything (`full`), or as `auto` decides at the table's first load.
        cursor_columns: Columns whose time says when a row changed; None: inserted_at or created_at, updated_at or
            modified_at, and deleted_at, those that are there.
        open_transactions: `track`: hold the watermark back by transactions still open at the source; `ignore`:
            only `lookback` protects against them.
        clock_margin: How far the watermark stays behind the clock for what clocks and messages take, in seconds.
        lookback: Read again this much before the watermark, in seconds.
        max_hold: Compare row versions instead when open transactions hold the watermark back longer, in seconds.
        wait_for_open_transactions: How long to wait for the transactions that hold the watermark back, in seconds.
        xmin_max_bytes: Larger tables with an indexed cursor are captured by `cursor` under `auto`, in bytes.
        audit: `always`, `never` or `every N`: that run by cursor compares row versions too, loads the rows that
            the cursor had missed, and counts them.
        sweep: `always`, `never` or `every N`: that run compares all keys with the source's and closes rows that
            are gone.
        on_delete: What closes a row that is gone: `mark` it in `_deleted_at`, or `remove` it.
        since: Start of a window to load again, ISO 8601: only rows whose cursor lies in it are read, and the
            watermark stays where it is. None: no start.
        until: End of the window, not in it. None: no end.
        connections: Readers side by side on the source, 1 to 16, under one snapshot.
        mode: What the target holds. `merge`: the current row of each key; `append`: each version of a row that a run saw,
            by `_source_xid`, and nothing is ever changed there; `replace`: the table as it was last read, for which no key
            is needed.
        allow_empty: Under `replace` a source without rows is an error; this takes it for what it says.
        on_schema_change: What to do when the schema has changed since the last load: kind → `apply`, `ignore` or `fail`, or one of
            these for every kind that knows it; `rowferry drift` lists the kinds. None: each kind's default.
        on_duplicate: Two rows of one key in one load: `newest` wins, or `fail`.
        run_id: Names the run; the tries of one run share it. None: a new one.
        try_number: Of this run, from 1; a later try takes the table over from an earlier one.
        map_index: Recorded only.
        application: `application_name` of the sessions on both servers.
        batch_bytes: Memory for one batch, in bytes, at least 65536; two batches are alive at a time.
        lock_timeout: How long to wait for the table, in seconds.
        lease_seconds: How long a silent run keeps the table, in seconds.
        source_lag_wait: How long to wait for a standby that is behind the last load, in seconds.
        connect_timeout: For one connection, in seconds.
        control_schema: Schema of rowferry's own tables on the target.
        verify: Compare source and target inside the run, before it commits.
    Raises:
        ConfigurationError: A setting is missing, unknown, of another type or out of range.
    """

    source: str
    target: str
    table: str
    driver: str | None = None
    channel: Literal["auto", "adbc", "odbc"] = "auto"
    spool_dir: str | None = None
    spool_file_bytes: int = 167772160
    source_name: str = "postgres"
    target_table: str | None = None
    keys: Sequence[str] | None = None
    columns: Sequence[str] | None = None
    as_text: Sequence[str] | None = None
    mask: Mapping[str, str] | None = field(default=None, hash=False)
    mask_key_env: str = "ROWFERRY_MASK_KEY"
    naive_timestamps: Literal["auto", "utc", "keep"] = "auto"
    where: str | None = None
    capture: Literal["auto", "xmin", "cursor", "full"] = "auto"
    cursor_columns: Sequence[str] | None = None
    open_transactions: Literal["track", "ignore"] = "track"
    clock_margin: float = 60
    lookback: float = 0
    max_hold: float = 3600
    wait_for_open_transactions: float = 0
    xmin_max_bytes: int = 10737418240
    audit: str = "every 24"
    sweep: str = "never"
    on_delete: Literal["mark", "remove"] = "mark"
    since: str | None = None
    until: str | None = None
    connections: int = 1
    mode: Literal["merge", "append", "replace"] = "merge"
    allow_empty: bool = False
    on_schema_change: str | Mapping[str, str] | None = field(default=None, hash=False)
    on_duplicate: Literal["newest", "fail"] = "newest"
    run_id: str | None = None
    try_number: int = 1
    map_index: int | None = None
    application: str = "rowferry"
    batch_bytes: int = 1048576
    lock_timeout: float = 60
    lease_seconds: float = 120
    source_lag_wait: float = 60
    connect_timeout: int = 10
    control_schema: str = "_rowferry"
    verify: bool = False
    _call: Call = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        for name in ("keys", "columns", "as_text", "cursor_columns"):
            value = getattr(self, name)
            if isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
        if isinstance(self.mask, Mapping):
            object.__setattr__(self, "mask", dict(self.mask))
        object.__setattr__(self, "_call", Call(self.to_dict()))

    @classmethod
    def settings(cls) -> tuple[str, ...]:
        """The names of all settings."""
        return tuple(f.name for f in fields(cls) if f.init)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Job:
        """A job from its settings, as they stand in a job document."""
        for name in values:
            if name not in cls.settings():
                raise errors.ConfigurationError(unknown(name, cls.settings()))
        for name in ("source", "target", "table"):
            if values.get(name) is None:
                raise errors.ConfigurationError(f"{name} is missing")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """The job document: plain values, passwords included."""
        values = {name: getattr(self, name) for name in self.settings()}
        return {n: list(v) if isinstance(v, tuple) else dict(v) if isinstance(v, Mapping) else v for n, v in values.items()}

    def run(self, on_progress: OnProgress | None = None) -> Report:
        """Carry the rows changed since the last load, and commit them with their load record.

        A signal, an exception of `on_progress` or `cancel` stops the statements on both servers within a
        second; nothing of the load is then in the target, and an error is raised.
        """
        return Report.from_dict(self._call.execute("run", on_progress))

    def plan(self) -> Plan:
        """What `run` would send now, without sending it. Reads the catalogs of both servers."""
        return Plan.from_dict(self._call.execute("plan"))

    def state(self, *, newest: int | None = None) -> list[LoadRecord]:
        """The loads of the target table, newest first; the newest is its state.

        Args:
            newest: Of them this many, at least one; the others are not read.  [all]
        """
        call = self._call if newest is None else Call({**self.to_dict(), "newest": newest})
        loads = call.execute("state")["loads"]
        return [LoadRecord.from_dict(load) for load in loads]

    def reset(self) -> int:
        """Forget what was loaded, so that the next run reads the whole table. Returns the new load id."""
        return int(self._call.execute("reset")["load_id"])

    def cancel(self) -> None:
        """End a run that is under way, and every later one, with `CancelledError`. From any thread."""
        self._call.cancel()

    def __repr__(self) -> str:
        shown = {n: v for n, v in self.to_dict().items() if v is not None}
        shown.update(source=uri.hide(self.source), target=uri.hide(self.target))
        return f"Job({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Job.from_dict, (self.to_dict(),)


def run(job: Job | Mapping[str, Any], on_progress: OnProgress | None = None) -> Report:
    """Run `job`, given as a `Job` or as its settings; see `Job.run`."""
    return _job(job).run(on_progress)


def verify(job: Job | Mapping[str, Any]) -> Verification:
    """Compare the target, as of its newest load, with the source. Changes nothing on either side."""
    return Verification.from_dict(_job(job)._call.execute("verify"))


def unknown(name: str, known: Sequence[str]) -> str:
    """The message for a key that nobody knows."""
    near = get_close_matches(name, known, n=1)
    return f"unknown key {name!r}" + (f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}")


def document(settings: Mapping[str, Any]) -> str:
    """The job document for the core: connection strings that can be handed to libpq, and the library a target needs."""
    for name in ("source", "target"):
        value = settings.get(name)
        wrong = uri.problem(value) if isinstance(value, str) else None
        if wrong:
            raise errors.ConfigurationError(f"{name} {wrong}")
    given = {name: value for name, value in settings.items() if value is not None}
    driver = uri.driver(given["target"]) if isinstance(given.get("target"), str) else None
    if driver and not (uri.is_snowflake(given["target"]) and given.get("channel") == "odbc"):
        given.setdefault("driver", driver)
    for name, value in given.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise errors.ConfigurationError(f"{name} cannot be written as JSON: {error}") from None
    return json.dumps(given)


def _job(job: Job | Mapping[str, Any]) -> Job:
    return job if isinstance(job, Job) else Job.from_dict(job)
