"""Operators that load tables into a warehouse and check that rows arrived."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    AirflowNotFoundException,
    BaseOperator,
)

from airflow_rowferry.hooks import KEY_OF_CONNECTION, connection_uri, mask_key
from rowferry import Job, Report
from rowferry.errors import AuthenticationError, CancelledError, ConfigurationError, RowferryError
from rowferry.terminal import proof_lines

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["LoadCheckOperator", "PostgresToWarehouseOperator"]

MAX_XCOM_BYTES = 4096
_COMPLETENESS = ("best_effort", "bounded", "proven")  # from the weakest on
_CHECKED = {"table", "rows_total", "completeness", "reasons"}  # of what a load pushes
PROGRESS_SECONDS = 10.0
_MAX_APPLICATION_BYTES = 63  # PostgreSQL cuts application_name there
_MAP_INDEX_TEMPLATE = "{{ task.table }}"


def load_run_id(dag_id: str, task_id: str, run_id: str) -> str:
    """
    Name of a run in the load records: ``daily_etl/load/scheduled__…``.

    Airflow gives every DAG of one schedule the same run_id, and a later try under one name takes the table
    over from an earlier one: the try of another DAG is none of ours.
    """
    return f"{dag_id}/{task_id}/{run_id}"


class PostgresToWarehouseOperator(BaseOperator):
    """
    Load the changed rows of one PostgreSQL table into a warehouse, once each.

    The tries of one run belong together: a retry goes on from what was committed and never loads a row
    twice. Map it over tables with ``.partial(…).expand(table=[…])``; the instances then carry the names of
    their tables. A task that is killed, marked failed or out of time ends its statements on both servers.

    With ``since`` and ``until`` a run loads a window again and leaves the watermark where it is. A backfill by
    Airflow's data interval is ``since="{{ data_interval_start }}", until="{{ data_interval_end }}"``; its DAG
    needs a timetable with intervals, such as ``CronDataIntervalTimetable``: under the plain cron schedule of
    Airflow 3 an interval begins where it ends. A bound that comes out empty (the run has no interval) and a
    window that holds no time fail the task at once; see ``window_optional``.

    Pushes a flat dict under 4 KiB: ``table``, ``target_table``, ``run_id``, ``load_id``, ``capture``,
    ``completeness``, ``hard_deletes``, ``rows_read``, ``rows_inserted``, ``rows_updated``,
    ``rows_deleted`` (of this try), ``rows_total`` (read by all tries of the run), ``extracted_at``,
    ``watermark``, ``since`` and ``until`` (of a window), ``swept``, ``held_back`` (rows without a key that
    are left for the next run, or None), ``missed`` (rows that an audit found the cursor had missed, or
    None), ``seconds`` and ``reasons``. The whole report is in the load record on the
    target.

    :param source_conn_id: connection of the source, type ``postgres``. (templated)
    :param target_conn_id: connection of the warehouse, type ``postgres``, ``duckdb`` with the path of the
        file as its host, or ``snowflake``. (templated)
    :param table: source table, ``schema.table`` or ``table`` (in ``public``). (templated)
    :param source_name: ``{source}`` in ``target_table``; by default the source's connection id. (templated)
    :param target_table: name of the target, a template of ``{source}``, ``{schema}`` and ``{table}``; by default
        ``raw_{source}.{table}``, on Snowflake ``raw.{source}.{table}``.
        (templated)
    :param keys: columns that identify a row; by default the primary key. (templated)
    :param columns: columns to load, the keys among them; by default all. (templated)
    :param as_text: columns to load as their text, whatever their type; by default none. (templated)
    :param mask: what hides a column's values, by column: ``drop``, ``redact``, ``truncate:N`` or ``hash``; by default
        nothing is hidden. (templated)
    :param mask_key_env: the worker's environment variable that holds the key of hashes.
    :param mask_key_conn_id: a connection whose password is the key, instead of ``mask_key_env``. (templated)
    :param naive_timestamps: a ``timestamp`` without time zone, in a new table: ``utc`` takes it as UTC and gives it a zone,
        ``keep`` leaves it without; ``auto`` is ``utc`` on Snowflake, else ``keep``.
    :param where: SQL condition on the rows of the source, sent as written. (templated)
    :param capture: how changed rows are found: by row version (``xmin``), by time columns (``cursor``), by
        reading everything (``full``), or as ``auto`` decides at the table's first load. (templated)
    :param cursor_columns: columns whose time says when a row changed; by default inserted_at or created_at,
        updated_at or modified_at, and deleted_at, those that are there. (templated)
    :param open_transactions: ``track``: hold the watermark back by transactions still open at the source;
        ``ignore``: only ``lookback`` protects against them.
    :param clock_margin: how far the watermark stays behind the clock, in seconds.
    :param lookback: read again this much before the watermark, in seconds.
    :param max_hold: compare row versions instead when open transactions hold the watermark back longer, in seconds.
    :param wait_for_open_transactions: how long to wait for the transactions that hold it back, in seconds.
    :param xmin_max_bytes: larger tables with an indexed cursor are captured by it under ``auto``, in bytes.
    :param audit: ``always``, ``never`` or ``every N``: that run by cursor compares row versions too, and loads
        and counts the rows that the cursor had missed. (templated)
    :param sweep: ``always``, ``never`` or ``every N``: that run compares all keys with the source's and closes
        rows that are gone. (templated)
    :param on_delete: what closes a row that is gone: ``mark`` it in ``_deleted_at``, or ``remove`` it.
    :param since: start of a window to load again, in ISO 8601, by default in UTC. (templated)
    :param until: end of the window, not in it. (templated)
    :param window_optional: when ``since`` or ``until`` comes out empty, load without that bound; without both,
        what has changed since the last load. By default such a run fails.
    :param connections: readers side by side on the source, 1 to 16, under one snapshot.
    :param mode: what the target holds: ``merge``, the current row of each key; ``append``, each version that a run saw; ``replace``, the
        table as it was last read.
    :param allow_empty: under ``replace`` a source without rows is an error; this takes it for what it says.
    :param on_schema_change: what to do when the schema has changed since the last load: a dict of kind and ``apply``,
        ``ignore`` or ``fail``, or one of these for every kind that knows it; ``rowferry drift`` lists the kinds. (templated)
    :param on_duplicate: two rows of one key in one load: ``newest`` wins, or ``fail``.
    :param batch_bytes: memory for one batch, in bytes; two batches are alive at a time.
    :param lock_timeout: how long to wait for the table, or for the file that holds it, in seconds.
    :param lease_seconds: how long a silent run keeps the table, in seconds.
    :param source_lag_wait: how long to wait for a standby that is behind the last load, in seconds.
    :param connect_timeout: for one connection, in seconds.
    :param control_schema: schema of rowferry's own tables on the target. (templated)
    :param driver: DuckDB's library, the one with Snowflake's ADBC driver, or the name or library of an ODBC driver;
        by default the one that is installed.
    :param channel: how Snowflake is reached, ``adbc`` or ``odbc``; ``auto``: over ADBC when its driver is installed, else over ODBC.
    :param spool_dir: folder of the worker for files on their way to Snowflake; by default that for temporary files.
    :param spool_file_bytes: about how large such a file becomes, compressed, in bytes.
    :param verify: compare source and target inside the run, before it commits.
    """

    template_fields: Sequence[str] = (
        "source_conn_id",
        "target_conn_id",
        "table",
        "source_name",
        "target_table",
        "keys",
        "columns",
        "as_text",
        "mask",
        "mask_key_conn_id",
        "where",
        "capture",
        "cursor_columns",
        "audit",
        "sweep",
        "on_schema_change",
        "since",
        "until",
        "control_schema",
    )
    template_fields_renderers = {
        "where": "sql",
        "keys": "json",
        "columns": "json",
        "as_text": "json",
        "cursor_columns": "json",
        "mask": "json",
        "on_schema_change": "json",
    }
    ui_color = "#d6eaf8"

    def __init__(
        self,
        *,
        source_conn_id: str,
        target_conn_id: str,
        table: str,
        source_name: str | None = None,
        target_table: str | None = None,
        keys: Sequence[str] | None = None,
        columns: Sequence[str] | None = None,
        as_text: Sequence[str] | None = None,
        mask: Mapping[str, str] | None = None,
        mask_key_env: str = "ROWFERRY_MASK_KEY",
        mask_key_conn_id: str | None = None,
        naive_timestamps: str = "auto",
        where: str | None = None,
        capture: str = "auto",
        cursor_columns: Sequence[str] | None = None,
        open_transactions: str = "track",
        clock_margin: float = 60,
        lookback: float = 0,
        max_hold: float = 3600,
        wait_for_open_transactions: float = 0,
        xmin_max_bytes: int = 10737418240,
        audit: str = "every 24",
        sweep: str = "never",
        on_delete: str = "mark",
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        window_optional: bool = False,
        connections: int = 1,
        mode: str = "merge",
        allow_empty: bool = False,
        on_schema_change: str | Mapping[str, str] | None = None,
        on_duplicate: str = "newest",
        batch_bytes: int = 1048576,
        lock_timeout: float = 60,
        lease_seconds: float = 120,
        source_lag_wait: float = 60,
        connect_timeout: int = 10,
        control_schema: str = "_rowferry",
        driver: str | None = None,
        channel: str = "auto",
        spool_dir: str | None = None,
        spool_file_bytes: int = 167772160,
        verify: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.source_conn_id = source_conn_id
        self.target_conn_id = target_conn_id
        self.table = table
        self.source_name = source_name
        self.target_table = target_table
        self.keys = keys
        self.columns = columns
        self.as_text = as_text
        self.mask = mask
        self.mask_key_env = mask_key_env
        self.mask_key_conn_id = mask_key_conn_id
        self.naive_timestamps = naive_timestamps
        self.where = where
        self.capture = capture
        self.cursor_columns = cursor_columns
        self.open_transactions = open_transactions
        self.clock_margin = clock_margin
        self.lookback = lookback
        self.max_hold = max_hold
        self.wait_for_open_transactions = wait_for_open_transactions
        self.xmin_max_bytes = xmin_max_bytes
        self.audit = audit
        self.sweep = sweep
        self.on_delete = on_delete
        self.since = since
        self.until = until
        self.window_optional = window_optional
        self.connections = connections
        self.mode = mode
        self.allow_empty = allow_empty
        self.on_schema_change = on_schema_change
        self.on_duplicate = on_duplicate
        self.batch_bytes = batch_bytes
        self.lock_timeout = lock_timeout
        self.lease_seconds = lease_seconds
        self.source_lag_wait = source_lag_wait
        self.connect_timeout = connect_timeout
        self.control_schema = control_schema
        self.driver = driver
        self.channel = channel
        self.spool_dir = spool_dir
        self.spool_file_bytes = spool_file_bytes
        self.verify = verify
        # What a template makes of them may be None too, and that is not the same as not to ask for a window.
        self._bounds = [name for name, bound in (("since", since), ("until", until)) if bound is not None]
        self._job: Job | None = None
        self._killed = False

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        # A mapped task takes this from `partial`, never from the operator's __init__.
        kwargs.setdefault("map_index_template", _MAP_INDEX_TEMPLATE)
        return super().partial(**kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        try:
            with mask_key(self.mask_key_conn_id):
                report = self._run(context)
        except RowferryError as error:
            self._log_error(error)
            if isinstance(error, ConfigurationError | AuthenticationError):
                raise AirflowFailException(_sentence(error)) from error
            raise
        except AirflowNotFoundException as error:
            raise AirflowFailException(str(error)) from error
        finally:
            self._job = None
        self._log_report(report)
        return _summary(report)

    def _run(self, context: Context) -> Report:
        job = self._make_job(context)
        self._job = job
        if self._killed:  # while the connections were resolved
            job.cancel()
        return job.run(on_progress=_ProgressLog(self.log))

    def on_kill(self) -> None:
        """Cancel the statements on both servers; ``execute`` then raises, so that no success is recorded."""
        self._killed = True
        if self._job is not None:
            self._job.cancel()

    def _make_job(self, context: Context) -> Job:
        ti = context["ti"]
        map_index = ti.map_index if ti.map_index is not None and ti.map_index >= 0 else None
        return Job(
            source=connection_uri(self.source_conn_id),
            target=connection_uri(self.target_conn_id),
            table=self.table,
            source_name=self.source_name or self.source_conn_id,
            target_table=self.target_table,
            keys=self.keys,
            columns=self.columns,
            as_text=self.as_text,
            mask=self.mask,
            mask_key_env=KEY_OF_CONNECTION if self.mask_key_conn_id else self.mask_key_env,
            naive_timestamps=self.naive_timestamps,  # type: ignore[arg-type]
            where=self.where,
            capture=self.capture,  # type: ignore[arg-type]  # the job checks it
            cursor_columns=self.cursor_columns,
            open_transactions=self.open_transactions,  # type: ignore[arg-type]
            clock_margin=self.clock_margin,
            lookback=self.lookback,
            max_hold=self.max_hold,
            wait_for_open_transactions=self.wait_for_open_transactions,
            xmin_max_bytes=self.xmin_max_bytes,
            audit=self.audit,
            sweep=self.sweep,
            on_delete=self.on_delete,  # type: ignore[arg-type]
            **_window({name: getattr(self, name) for name in self._bounds}, self.window_optional),
            connections=self.connections,
            mode=self.mode,  # type: ignore[arg-type]
            allow_empty=self.allow_empty,
            on_schema_change=self.on_schema_change,
            on_duplicate=self.on_duplicate,  # type: ignore[arg-type]
            run_id=load_run_id(ti.dag_id, ti.task_id, context["run_id"]),
            try_number=ti.try_number,
            map_index=map_index,
            application=_application(ti.dag_id, ti.task_id, map_index),
            batch_bytes=self.batch_bytes,
            lock_timeout=self.lock_timeout,
            lease_seconds=self.lease_seconds,
            source_lag_wait=self.source_lag_wait,
            connect_timeout=self.connect_timeout,
            control_schema=self.control_schema,
            driver=self.driver,
            channel=self.channel,  # type: ignore[arg-type]
            spool_dir=self.spool_dir,
            spool_file_bytes=self.spool_file_bytes,
            verify=self.verify,
        )

    def _log_error(self, error: RowferryError) -> None:
        if isinstance(error, CancelledError):
            self.log.info("%s was cancelled; nothing of this try is in the target", self.table)
            return
        self.log.error("%s: %s error: %s", self.table, error.code, error.message)
        for name in ("role", "sqlstate", "server_message", "detail", "hint"):
            if value := getattr(error, name):
                self.log.error("  %s: %s", name.replace("_", " "), value)

    def _log_report(self, report: Report) -> None:
        counts = report.this_try
        self.log.info(
            "%s -> %s: %d rows read, %d inserted, %d updated, %d deleted in %.1f s (load %d, %s)",
            report.table,
            report.target_table,
            counts.read,
            counts.inserted,
            counts.updated,
            counts.deleted,
            report.seconds["total"],
            report.load_id,
            report.completeness,
        )
        for text in (*proof_lines(report), *report.warnings):
            self.log.info("  %s", text)


class LoadCheckOperator(BaseOperator):
    """
    Fail the run when a table brought fewer rows, or proved less, than was due, naming every such table at once.

    What counts are the rows that all tries of the run read, so a retry that found nothing more to read
    is no failure. A failed check never retries: the same rows would be counted again.

    :param reports: what the load tasks pushed, usually ``load.output``. (templated)
    :param min_rows: rows due from each table.
    :param may_be_empty: tables from which none are due, as ``schema.table`` or ``table`` (in ``public``).
        (templated)
    :param min_completeness: what each load has to prove: ``proven``, ``bounded`` or ``best_effort``; by default
        anything will do.
    """

    template_fields: Sequence[str] = ("reports", "may_be_empty")
    template_fields_renderers = {"may_be_empty": "json"}
    ui_color = "#d5f5e3"

    def __init__(
        self,
        *,
        reports: Any,
        min_rows: int = 1,
        may_be_empty: Sequence[str] = (),
        min_completeness: str = _COMPLETENESS[0],
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**kwargs, "retries": 0})
        if min_completeness not in _COMPLETENESS:
            raise ValueError(f"min_completeness is {min_completeness!r}; it knows {', '.join(_COMPLETENESS)}")
        self.reports = reports
        self.min_rows = min_rows
        self.may_be_empty = may_be_empty
        self.min_completeness = min_completeness

    def execute(self, context: Context) -> dict[str, int]:
        reports = _as_list(self.reports)
        if not reports:
            raise AirflowFailException("no load has reported: is there a table to load?")
        if isinstance(self.may_be_empty, str):
            raise AirflowFailException(f"may_be_empty is {self.may_be_empty!r}; give it a list of tables")
        exempt = {name for given in self.may_be_empty for name in (given, f"public.{given}")}
        due = [report for report in reports if report["table"] not in exempt]
        short = [_shortfall(report, self.min_rows) for report in due if report["rows_total"] < self.min_rows]
        least = self.min_completeness
        weak = [_doubts(report, least) for report in reports if _is_below(report, least)]
        complaints = [*_complaint("too few rows from", short), *_complaint("less proven than due for", weak)]
        if complaints:
            raise AirflowFailException("\n".join(complaints))
        return {report["table"]: report["rows_total"] for report in reports}


class _ProgressLog:
    """Writes a line when the phase changes, and otherwise one in ten seconds at most."""

    def __init__(self, log: Any) -> None:
        self._log = log
        self._phase: str | None = None
        self._next = 0.0

    def __call__(self, progress: Mapping[str, Any]) -> None:
        now = time.monotonic()
        if progress["phase"] == self._phase and now < self._next:
            return
        self._phase, self._next = progress["phase"], now + PROGRESS_SECONDS
        self._log.info(
            "%s: %d rows, %.1f MB, %.1f s",
            progress["phase"],
            progress["rows"],
            progress["bytes"] / 1e6,
            progress["seconds"],
        )


def _application(dag_id: str, task_id: str, map_index: int | None) -> str:
    """``rowferry dag/task/map`` in 63 bytes; what has to go is the beginning, since the end tells tasks apart."""
    name = f"{dag_id}/{task_id}" + ("" if map_index is None else f"/{map_index}")
    room = _MAX_APPLICATION_BYTES - len("rowferry ")
    return f"rowferry {name if len(name) <= room else '~' + name[1 - room :]}"


def _window(bounds: Mapping[str, Any], optional: bool) -> dict[str, str]:
    """The bounds as a job takes them; raises when they make another window than was asked for."""
    times = {name: _time(name, bound) for name, bound in bounds.items()}
    given = {name: time for name, time in times.items() if time}
    if len(given) < len(times) and not optional:
        empty = " and ".join(name for name in times if name not in given)
        raise ConfigurationError(
            f"{empty} came out empty: has this run a data interval?",
            hint="start it for a date, as a backfill does; or set window_optional to load what has changed instead",
        )
    if len(given) == 2 and given["since"] >= given["until"]:
        raise ConfigurationError(
            f"no time lies between since, {given['since']}, and until, {given['until']}",
            hint="under a plain cron schedule an interval of Airflow 3 begins where it ends: give the DAG"
            " a CronDataIntervalTimetable",
        )
    return {name: time.isoformat() for name, time in given.items()}


def _time(name: str, bound: str | datetime | None) -> datetime | None:
    """What a template made of a bound; without a zone it is in UTC, as Airflow's own dates are."""
    if isinstance(bound, str):
        if bound.strip() in ("", "None"):
            return None
        try:
            bound = datetime.fromisoformat(bound.strip().replace("Z", "+00:00"))
        except ValueError:
            raise ConfigurationError(f"{name} is {bound!r}, which is no time in ISO 8601") from None
    return bound.replace(tzinfo=bound.tzinfo or timezone.utc) if bound else None


def _sentence(error: RowferryError) -> str:
    hint = f" ({error.hint})" if error.hint else ""
    return f"{error.code}: {error.message}{hint}"


def _summary(report: Report) -> dict[str, Any]:
    """The report as a flat dict that stays under 4 KiB; what has to go are reasons, last first."""
    summary: dict[str, Any] = {
        "table": report.table,
        "target_table": report.target_table,
        "run_id": report.run_id,
        "load_id": report.load_id,
        "capture": report.capture,
        "completeness": report.completeness,
        "hard_deletes": report.hard_deletes,
        "rows_read": report.this_try.read,
        "rows_inserted": report.this_try.inserted,
        "rows_updated": report.this_try.updated,
        "rows_deleted": report.this_try.deleted,
        "rows_total": report.run_total.read,
        "extracted_at": report.extracted_at,
        "watermark": report.watermark,
        "since": report.window["since"] if report.window else None,
        "until": report.window["until"] if report.window else None,
        "swept": report.swept,
        "held_back": report.held_back,
        "missed": report.audit["missed"] if report.audit else None,
        "seconds": report.seconds["total"],
        "reasons": list(report.reasons),
    }
    while summary["reasons"] and len(json.dumps(summary)) >= MAX_XCOM_BYTES:
        summary["reasons"].pop()
    return summary


def _as_list(reports: Any) -> list[Mapping[str, Any]]:
    """One report, or those of a mapped task, which come one by one from the metadata database."""
    if reports is None:
        return []
    if isinstance(reports, Mapping):
        reports = [reports]
    if not isinstance(reports, Iterable):
        raise AirflowFailException(f"reports is {type(reports).__name__}; give it the output of load tasks")
    found = [report for report in reports if report is not None]
    for report in found:
        if not isinstance(report, Mapping) or not report.keys() >= _CHECKED:
            raise AirflowFailException(f"reports has {str(report)[:80]!r}, which no load pushed; give it the output of load tasks")
    return found


def _complaint(what: str, failures: Sequence[str]) -> Iterator[str]:
    if failures:
        yield f"{what} {'1 table' if len(failures) == 1 else f'{len(failures)} tables'}:"
        yield from failures


def _is_below(report: Mapping[str, Any], least: str) -> bool:
    return _COMPLETENESS.index(report["completeness"]) < _COMPLETENESS.index(least)


def _doubts(report: Mapping[str, Any], least: str) -> str:
    return f"  {report['table']}: {report['completeness']}, at least {least} due. {'; '.join(report['reasons'])}"


def _shortfall(report: Mapping[str, Any], min_rows: int) -> str:
    rows, table = report["rows_total"], report["table"]
    return f"  {table}: {rows} rows, at least {min_rows} due. {_possible_issue(rows)}"


def _possible_issue(rows: int) -> str:
    if rows:
        return "Possible source issue: a writer at the source stopped early, or the row filter is too narrow."
    return (
        "Possible source issue: nothing was written there since the last load (has its writer stopped?),"
        " the table was emptied, or the row filter matches nothing. If that is fine, list it in may_be_empty."
    )
