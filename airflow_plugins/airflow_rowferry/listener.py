"""Writes why a task failed into that task's own log, for any operator; see `plugin.py`, which Airflow loads.

Airflow 3 calls it in the task's process, after the callbacks. Airflow 2 calls it there too, in the middle of
writing down that the task failed: an exception would lose that.
"""

from __future__ import annotations

import logging
from typing import Any

from airflow.providers.common.compat.sdk import hookimpl

_log = logging.getLogger("airflow.task.rowferry")  # in Airflow 2 only loggers below `airflow.task` write to a task's log


@hookimpl
def on_task_instance_failed(previous_state: Any, task_instance: Any, error: Any) -> None:
    """A try failed, whether or not another follows. Airflow 2 would also give its database session."""
    try:
        from airflow_rowferry import diagnosis

        for line in diagnosis.lines_of(diagnosis.of_failure(task_instance, error)):
            _log.error("%s", line)
    except Exception:  # of ours; the task's own failure is being recorded right now
        _log.debug("the failure could not be diagnosed", exc_info=True)
