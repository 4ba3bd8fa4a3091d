"""What the command line may name: a log, dbt's artifacts, or the log folder of an Airflow run.

Airflow writes a task's log to `dag_id=…/run_id=…/task_id=…[/map_index=…]/attempt=N.log`; any part of that may be the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rowferry.diagnosis import diagnose, engine
from rowferry.diagnosis.model import INSUFFICIENT, Diagnosis

_ATTEMPT = re.compile(r"(?:attempt=)?(\d+)\.log(?:\.gz)?")
"""A try's log; before 2.3 Airflow named it by its number alone, in a folder of the task's and the run's."""
_PART = re.compile(r"(dag_id|run_id|task_id|map_index|attempt)=(.+)")


def diagnose_place(
    place: str | None, text: str | None = None, target_dir: str | None = None, run_results: str | None = None, manifest: str | None = None, **loads: Any
) -> list[Diagnosis]:
    """Diagnose what `place` names, or `text` when it is given; the others, and `target` and `tables` as `loads`, as in `diagnose`.

    Raises:
        OSError, ValueError: Nothing is there, or it cannot be read.
    """
    if text is not None or place is None:
        return diagnose(text, run_results, manifest, target_dir=target_dir, **loads)
    path = Path(place)
    if not path.is_dir():
        artifact = _artifact(path)
        return diagnose(None if artifact else path, path if artifact else run_results, manifest, target_dir=target_dir or (path.parent if artifact else None), **loads)
    if any((path / name).is_file() for name in ("run_results.json", "manifest.json", "sources.json")):
        return diagnose(None, run_results, manifest, target_dir=path, **loads)
    logs = list(_newest(path))
    if not logs:
        raise ValueError("the folder holds neither run_results.json nor a log")
    found = [d for task, log in logs for d in _of_task(task, log, run_results, manifest, target_dir, loads)]
    known = [d for d in found if d.cause != INSUFFICIENT]
    return engine.ranked(known or found)


def _artifact(path: Path) -> bool:
    """Whether the file is dbt's run_results.json, under whatever name."""
    if path.suffix != ".json":
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    return isinstance(content, dict) and "results" in content and "metadata" in content


def _newest(folder: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """Each task's log of its last try, and what its path says of the task."""
    newest: dict[Path, tuple[int, Path]] = {}
    for log in sorted([*folder.rglob("*.log"), *folder.rglob("*.log.gz")]):
        attempt = _ATTEMPT.fullmatch(log.name)
        of = log.parent if attempt else log
        number = int(attempt[1]) if attempt else 0
        if number >= newest.get(of, (-1, log))[0]:
            newest[of] = (number, log)
    for _, log in newest.values():
        parts = [found for part in _bare(log.resolve()).parts if (found := _PART.fullmatch(part))]
        yield {found[1]: found[2] for found in parts}, log


def _bare(log: Path) -> Path:
    return log.with_name(log.name.partition(".log")[0])


def _of_task(task: dict[str, str], log: Path, run_results: str | None, manifest: str | None, target_dir: str | None, loads: dict[str, Any]) -> Iterator[Diagnosis]:
    name = task.get("task_id", log.parent.parent.name if _bare(log).name.isdigit() else log.name) + (f"[{task['map_index']}]" if "map_index" in task else "")
    for found in diagnose(log, run_results, manifest, task={"try_number": task.get("attempt"), **task}, target_dir=target_dir, **loads):
        yield replace(found, captured={**found.captured, "task": name})
