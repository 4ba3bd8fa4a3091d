"""Why a task failed, from what its own process can see: the exception, the end of its log, the dbt files of its operator.

Of a task whose process was killed there is its log, where that lies on this machine, and its state: :func:`of_instance`.

Nothing here may harm the task: both never raise, read at most `_MAX_LOG_BYTES` of a log, and give up after `TIMEOUT_S` seconds.
Airflow is asked for one thing only, and by the failed task itself: when that last came which a sensor waited for.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import conf

from airflow_rowferry import waiting

if TYPE_CHECKING:
    from rowferry.diagnosis import Diagnosis

__all__ = ["as_dict", "is_on", "lines_of", "of_failure", "of_instance"]

TIMEOUT_S = 10.0
_MAX_LOG_BYTES = 262_144
_MAX_TRACE_CHARS = 65_536
_MAX_MANIFEST_BYTES = 64 << 20
_MAX_TOLD = 3
_MAX_LINES = 5
_MAX_TEXT = 400
_MAX_DIFF = 2000
_MAX_TRIES = 100
_log = logging.getLogger(__name__)
_last: tuple[Any, Any, list[Diagnosis]] | None = None  # the callback and the listener ask for the same failure


def is_on() -> bool:
    """Whether failures are diagnosed: option `diagnose` of the section `rowferry`, AIRFLOW__ROWFERRY__DIAGNOSE in the environment."""
    return bool(conf.getboolean("rowferry", "diagnose", fallback=True))


def of_failure(ti: Any, error: BaseException | str | None) -> list[Diagnosis]:
    """The likeliest causes of a task's failure, the first one the root; none when it is switched off or cannot be done in time."""
    global _last
    try:
        if not is_on():
            return []
        if _last is None or _last[0] is not error or _last[1] != _key(ti):
            _last = error, _key(ti), _in_time(lambda: _diagnose(ti, error))
        return _last[2]
    except Exception:  # a failure to explain a failure is no failure of the task
        _log.debug("the failure could not be diagnosed", exc_info=True)
        return []


def of_instance(dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> list[Diagnosis]:
    """The same of a task instance that failed and left nothing: from the log of its last try, or from that state alone."""
    try:
        if not is_on():
            return []
        facts = {"dag_id": dag_id, "run_id": run_id, "task_id": task_id, "map_index": map_index}
        return _in_time(lambda: _diagnose_left(facts))
    except Exception:
        _log.debug("a failure could not be diagnosed", exc_info=True)
        return []


def lines_of(found: Sequence[Diagnosis]) -> list[str]:
    """The diagnoses as lines for a log."""
    lines: list[str] = []
    for n, diagnosis in enumerate(found[:_MAX_TOLD]):
        certainty = f"{diagnosis.evidence}, {diagnosis.confidence:.0%}{', may pass by itself' if diagnosis.transient else ''}"
        lines.append(f"{'Diagnosis' if n == 0 else 'Besides'}: {_cut(diagnosis.title)} [{diagnosis.cause}: {certainty}]")
        if diagnosis.node:
            lines.append(f"  failed: {_cut(diagnosis.node)}")
        lines += [f"  rests on: {_cut(line.text)}" for line in diagnosis.lines[:_MAX_LINES]]
        lines += [f"  {_cut(note)}" for note in diagnosis.notes[:_MAX_LINES]]
        if diagnosis.fix:
            lines.append(f"  fix: {_cut(diagnosis.fix, 2 * _MAX_TEXT)}")
        if diagnosis.diff:
            lines += [f"  {line}" for line in diagnosis.diff[:_MAX_DIFF].splitlines()]
        if diagnosis.consequences:
            lines.append(f"  failed because of it: {_cut(', '.join(diagnosis.consequences))}")
    return lines


def as_dict(diagnosis: Diagnosis) -> dict[str, Any]:
    """What an XCom keeps of a diagnosis, under 4 KiB."""
    return {
        "cause": diagnosis.cause,
        "title": _cut(diagnosis.title),
        "evidence": diagnosis.evidence,
        "confidence": diagnosis.confidence,
        "transient": diagnosis.transient,
        "node": diagnosis.node and _cut(diagnosis.node),
        "fix": _cut(diagnosis.fix, 2 * _MAX_TEXT),
        "diff": diagnosis.diff if diagnosis.diff and len(diagnosis.diff) <= _MAX_DIFF // 2 else None,
    }


def _in_time(diagnose: Callable[[], Iterable[Diagnosis]]) -> list[Diagnosis]:
    found: list[Diagnosis] = []

    def work() -> None:
        try:
            found.extend(diagnose())
        except Exception:
            _log.debug("the failure could not be diagnosed", exc_info=True)

    # A thread can be left behind; what it would find after that is of no use.
    thread = threading.Thread(target=work, name="rowferry-diagnosis", daemon=True)
    thread.start()
    thread.join(TIMEOUT_S)
    return list(found)


def _diagnose(ti: Any, error: Any) -> Iterable[Diagnosis]:
    from rowferry.diagnosis import diagnose  # late: only a task that failed needs it

    log = _own_log(ti)
    return diagnose(log="\n".join([log, *_trace(error, log)]), task=_facts(ti, error), **_dbt_files(getattr(ti, "task", None), log))


def _diagnose_left(facts: Mapping[str, Any]) -> Iterable[Diagnosis]:
    from rowferry.diagnosis import diagnose

    log, tries = "", 0
    while tries < _MAX_TRIES and (text := _own_log(SimpleNamespace(**facts, try_number=tries + 1))):
        log, tries = text, tries + 1
    return diagnose(log=log or None, task={**facts, "try_number": tries or None, "state": "failed", "error": None})


def _key(ti: Any) -> tuple[Any, ...]:
    return tuple(getattr(ti, name, None) for name in ("dag_id", "run_id", "task_id", "map_index", "try_number"))


def _facts(ti: Any, error: Any) -> dict[str, Any]:
    """What the task's process knows of the task; values of its arguments stay here."""
    task = getattr(ti, "task", None)
    names = ("dag_id", "task_id", "run_id", "map_index", "try_number")
    return {
        **{name: getattr(ti, name, None) for name in names},
        "operator": type(task).__name__ if task is not None else None,
        "operator_class": f"{type(task).__module__}.{type(task).__qualname__}" if task is not None else None,
        "upstream": sorted(getattr(task, "upstream_task_ids", ()) or ()),
        "pool": getattr(task, "pool", None),
        "error": None if error is None else f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error),
        "last_came": _last_came(task, error),
    }


def _last_came(task: Any, error: Any) -> list[str]:
    if "Timeout" not in type(error).__name__:
        return []
    try:
        return waiting.last_came(task)
    except Exception as unknown:  # of Airflow, or of the disk: the rest of the diagnosis stands
        return [f"when that last came could not be found out: {type(unknown).__name__}"]


def _trace(error: Any, log: str) -> Iterator[str]:
    """The exception with its causes, unless the log ends with it already."""
    if isinstance(error, str):
        yield error
    elif isinstance(error, BaseException):
        last = traceback.format_exception_only(type(error), error)[0].strip().splitlines()
        if last and last[0] not in log:
            yield "".join(traceback.format_exception(type(error), error, error.__traceback__))[-_MAX_TRACE_CHARS:]


def _own_log(ti: Any) -> str:
    """The end of the try's log file, where it lies on this machine."""
    try:
        path = Path(conf.get("logging", "base_log_folder")) / _log_name(ti)
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _MAX_LOG_BYTES))
            text = file.read(_MAX_LOG_BYTES).decode(errors="replace")
    except (OSError, ValueError, KeyError, AttributeError):
        return ""
    return text if size <= _MAX_LOG_BYTES else text.partition("\n")[2]


def _log_name(ti: Any) -> str:
    from jinja2.sandbox import SandboxedEnvironment

    template = SandboxedEnvironment().from_string(conf.get("logging", "log_filename_template"))
    return template.render(ti=ti, try_number=ti.try_number)


def _dbt_files(task: Any, log: str) -> dict[str, Any]:
    """The manifest of a Cosmos task, and what dbt compiled of the node that failed: its own target folder is gone by now."""
    project = getattr(task, "project_dir", None)
    if not project or not hasattr(task, "compiled_sql"):
        return {}
    manifest = _manifest(Path(project), getattr(task, "manifest_filepath", None))
    results = [
        {"unique_id": unique_id, "status": "error", "message": None, "failures": None, "compiled_code": compiled}
        for path, compiled in _compiled(str(task.compiled_sql or ""))
        for unique_id, node in manifest.get("nodes", {}).items()
        if node.get("original_file_path") and path.endswith(node["original_file_path"]) and _is_named(node, log)
    ]
    return {"manifest": manifest, "run_results": {"results": results} if results else {}}


def _manifest(project: Path, given: Any) -> Mapping[str, Any]:
    for path in (Path(str(given)) if given else None, project / "target" / "manifest.json"):
        try:
            if path and path.stat().st_size <= _MAX_MANIFEST_BYTES:
                return dict(json.loads(path.read_text()))
        except (OSError, ValueError):
            continue
    return {}


_COMPILED = re.compile(r"^-- (\S+\.(?:sql|py))$", re.MULTILINE)


def _compiled(text: str) -> Iterator[tuple[str, str]]:
    """What Cosmos keeps of a target folder: `-- path` and then the file, one after another."""
    pieces = _COMPILED.split(text)
    yield from zip(pieces[1::2], pieces[2::2], strict=True)


def _is_named(node: Mapping[str, Any], log: str) -> bool:
    return f"in {node.get('resource_type')} {node.get('name')} " in log


def _cut(text: str, n_chars: int = _MAX_TEXT) -> str:
    return text if len(text) <= n_chars else text[: n_chars - 1] + "…"
