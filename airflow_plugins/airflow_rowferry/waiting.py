"""When that last came which a sensor waited for: another DAG's run, a file, or rows of a table that rowferry loads.

The sensor's own process asks, Airflow or the disk or the target's load records.

Sensors are known by their attributes, so that a subclass is one too, and nothing of their providers is imported here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from glob import iglob
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from airflow_rowferry.hooks import connection_uri
from rowferry.job import Call

__all__ = ["last_came"]

_MOST_TASKS = 5
_MOST_FILES = 10_000
_CONNECT_S = 5
_NEWEST_LOADS = 50  # of each table


def last_came(sensor: Any) -> list[str]:
    """Sentences about what `sensor` waited for; none where that cannot be known. What fails on the way is raised."""
    if getattr(sensor, "external_dag_id", None):
        return list(_of_dag(sensor))
    if getattr(sensor, "filepath", None):
        return [_of_file(sensor)]
    if isinstance(getattr(sensor, "sql", None), str) and getattr(sensor, "conn_id", None):
        return list(_of_tables(sensor.sql, sensor.conn_id))
    return []


def _of_dag(sensor: Any) -> Iterator[str]:
    dag_id, group = str(sensor.external_dag_id), getattr(sensor, "external_task_group_id", None)
    for task_id in list(getattr(sensor, "external_task_ids", None) or [None])[:_MOST_TASKS]:
        found = _last_success(dag_id, task_id)
        what = f"the task {task_id} of DAG {dag_id}" if task_id else f"a run of DAG {dag_id}"
        if found is None:
            yield f"{what} never succeeded, as far as Airflow tells"
        else:
            of = f" for the logical date {found.logical_date.isoformat()}" if found.logical_date else ", which has no logical date,"
            yield f"the last success of {what}: run {found.run_id}{of} ended at {_time(found.end_date)}"
    if group:
        yield f"it waited for the task group {group} of that DAG"


def _last_success(dag_id: str, task_id: str | None) -> Any:
    """The run or task instance that ended last of those that succeeded; has `run_id`, `logical_date`, `end_date`."""
    try:
        from airflow.sdk import TaskInstanceState
        from airflow.sdk.execution_time import comms, task_runner
    except ImportError:
        return _last_in_the_database(dag_id, task_id)
    now = datetime.now(timezone.utc)
    asked: list[Any] = [comms.GetPreviousDagRun(dag_id=dag_id, logical_date=now, state="success")]
    if task_id is not None:  # without a date one of the runs that have none, if there are such
        asked = [comms.GetPreviousTI(dag_id=dag_id, task_id=task_id, logical_date=date, state=TaskInstanceState.SUCCESS) for date in (now, None)]
    answers = [task_runner.SUPERVISOR_COMMS.send(message) for message in asked]
    return _latest(getattr(answer, "dag_run", None) or getattr(answer, "task_instance", None) for answer in answers)


def _last_in_the_database(dag_id: str, task_id: str | None) -> Any:
    """The same for Airflow 2, whose tasks have the database."""
    from types import SimpleNamespace

    from airflow.models import DagRun, TaskInstance
    from airflow.utils.session import create_session

    with create_session() as session:
        model: Any = DagRun if task_id is None else TaskInstance
        names = {"dag_id": dag_id, "state": "success", **({} if task_id is None else {"task_id": task_id})}
        found = session.query(model).filter_by(**names).order_by(model.end_date.desc()).first()
        return found and SimpleNamespace(run_id=found.run_id, logical_date=found.execution_date, end_date=found.end_date)


def _latest(found: Iterable[Any]) -> Any:
    ended = [one for one in found if one is not None and one.end_date]
    return max(ended, key=lambda one: one.end_date, default=None)


def _of_file(sensor: Any) -> str:
    path = Path(str(getattr(sensor, "path", None) or sensor.filepath))
    found = list(islice(iglob(str(path), recursive=bool(getattr(sensor, "recursive", False))), _MOST_FILES))
    if found:
        newest = max(found, key=os.path.getmtime)
        return f"{newest} is there now, of {_time(_changed(newest))}: it came too late, or is an empty folder"
    folder = path.parent
    if not folder.is_dir():
        return f"there is not even the folder {folder} on this machine"
    with os.scandir(folder) as entries:
        beside = [entry for entry in islice(entries, _MOST_FILES) if entry.is_file() and entry.name.endswith(path.suffix)]
    kind = f"*{path.suffix} " if path.suffix else ""
    if not beside:
        return f"{folder} holds no {kind or 'file '}at all".replace("  ", " ")
    last = max(beside, key=lambda entry: entry.stat().st_mtime)
    return f"the newest {kind}in {folder} is {last.name}, of {_time(_changed(last.path))}"


def _of_tables(sql: str, conn_id: str) -> Iterator[str]:
    """The newest load of each table in `sql` that has load records at that connection."""
    loads = Call({"target": connection_uri(conn_id), "connect_timeout": _CONNECT_S, "newest": _NEWEST_LOADS}).execute("state")["loads"]
    text = sql.replace('"', "")
    for table, records in groupby((load for load in loads if load["kind"] == "load"), key=lambda load: str(load["target_table"])):
        if not re.search(rf"(?<![\w.]){re.escape(table)}(?!\w)", text, re.IGNORECASE):
            continue
        newest, *before = records  # newest first
        n = 1 + len(before)
        with_rows = next((load for load in (newest, *before) if load["rows_read"]), None)
        last = f"none of {'them' if n < _NEWEST_LOADS else f'the newest {n:,}'} brought rows" if with_rows is None else f"rows last came at {with_rows['committed_at']}: {with_rows['rows_read']:,}"
        of = f"{n:,}" if n < _NEWEST_LOADS else f"at least {n:,}"
        yield f"the last of {of} loads of {table} was at {newest['committed_at']}; {last}"


def _changed(path: str) -> datetime:
    return datetime.fromtimestamp(os.path.getmtime(path), timezone.utc)


def _time(at: datetime | None) -> str:
    return "an unknown time" if at is None else at.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
