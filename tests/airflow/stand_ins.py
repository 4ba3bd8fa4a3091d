"""What the unit tests of the operators use instead of a core, a server and a scheduler."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

from rowferry import Report


def report(table: str = "public.orders", *, read: int = 10, total: int | None = None, **other: Any) -> Report:
    """What a job that read `read` rows hands back, all tries of its run `total`."""
    counts = {"read": read, "staged": read, "inserted": read}
    values = {
        "version": 1,
        "run_id": "manual__1",
        "try_number": 1,
        "increment": 1,
        "load_id": 7,
        "table": table,
        "target_table": f"raw_{table}",
        "source_name": "shop",
        "capture": "xmin",
        "capture_reason": "a heap table",
        "first_load": True,
        "reconciled": False,
        "mode": "merge",
        "completeness": "proven",
        "hard_deletes": "not_captured",
        "reasons": ["hard deletes are not looked for"],
        "extracted_at": "2026-11-22T18:00:00.000000+00:00",
        "snapshot": "700:700:",
        "lsn": "0/1",
        "watermark_held_by": None,
        "this_try": counts,
        "run_total": {**counts, "read": read if total is None else total},
        "seconds": {"wait": 0.0, "read": 0.2, "merge": 0.1, "commit": 0.0, "total": 0.4},
        "source": {},
        "target": {},
    }
    return Report.from_dict({**values, **other})


class JobStandIn:
    """Takes the place of `rowferry.Job`: keeps its settings and does in `run` what the test says."""

    made: list[JobStandIn] = []

    def __init__(self, run: Callable[[JobStandIn, Any], Report], settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.cancelled = False
        self._run = run
        JobStandIn.made.append(self)

    def run(self, on_progress: Any = None) -> Report:
        return self._run(self, on_progress)

    def cancel(self) -> None:
        self.cancelled = True


def context(*, task_id: str = "load", map_index: int | None = -1, try_number: int = 1) -> dict[str, Any]:
    ti = SimpleNamespace(dag_id="daily", task_id=task_id, map_index=map_index, try_number=try_number, run_id="manual__1")
    return {"run_id": "manual__1", "ti": ti}


class TaskInstanceStandIn:
    """The task instance of `notify_outcome`: states and XComs of its run."""

    dag_id, run_id = "daily", "manual__1"

    def __init__(self, states: Mapping[str, str | None], xcoms: Mapping[tuple[str, int, str], Any] = {}) -> None:
        self._states, self._xcoms = states, xcoms
        self.pushed: dict[str, Any] = {}

    def get_task_states(self, *, dag_id: str, run_ids: list[str]) -> dict[str, dict[str, str | None]]:
        assert (dag_id, run_ids) == ("daily", ["manual__1"])
        return {"manual__1": dict(self._states)}

    def xcom_pull(self, *, task_ids: str, map_indexes: int = -1, key: str = "return_value", include_prior_dates: bool = False) -> Any:
        return self._xcoms.get((task_ids, map_indexes, key))

    def xcom_push(self, *, key: str, value: Any) -> None:
        self.pushed[key] = value
