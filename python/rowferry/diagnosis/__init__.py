"""Why a run failed: from a log, dbt's artifacts and what Airflow knows of a task, to causes and fixes.

Nothing leaves the machine, but for a target that the caller names and that is asked for its load records, and nothing that is printed holds a value or a secret.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rowferry.diagnosis import engine
from rowferry.diagnosis.dbt_results import findings, of_another_run, stale
from rowferry.diagnosis.decode import text_of
from rowferry.diagnosis.enrich import detect, enrich
from rowferry.diagnosis.model import INSUFFICIENT, Context, Diagnosis, Line
from rowferry.diagnosis.privacy import private

__all__ = ["INSUFFICIENT", "Context", "Diagnosis", "Line", "diagnose"]

Json = Mapping[str, Any] | str | Path | None


def diagnose(
    log: str | Path | None = None,
    run_results: Json = None,
    manifest: Json = None,
    task: Mapping[str, Any] | None = None,
    target_dir: str | Path | None = None,
    *,
    target: str | Mapping[str, Any] | None = None,
    tables: Sequence[str] = (),
) -> list[Diagnosis]:
    """Say why something failed, the likeliest root cause first.

    Args:
        log: A log's text, or the path of its file.
        run_results: dbt's run_results.json, parsed or its path.  [in target_dir]
        manifest: dbt's manifest.json, parsed or its path.  [in target_dir]
        task: What Airflow knows of the failed task; see `Context.task`.
        target_dir: dbt's target directory, inside its project.
        target: A warehouse that rowferry loads, as its URI or the settings of a job: it is asked which loads met a change
            of a table that explains the failure. Nothing else leaves this machine.
        tables: Tables of the source to ask about.  [all that the target knows]
    Returns:
        The diagnoses; none when nothing failed. When something failed and nothing says why, or when what was
        given is no log at all, one whose cause is `insufficient_evidence`.
    Raises:
        OSError, ValueError: A file cannot be read, or is no JSON.
        RowferryError: `target` cannot be reached or read.
    """
    folder = Path(target_dir) if target_dir is not None else None
    results, nodes = (_json(given, folder, name) for given, name in ((run_results, "run_results.json"), (manifest, "manifest.json")))
    text = _text(log, task)
    read = engine.read_log(text) if text is not None else None
    context = Context(lines=read.lines if read else (), run_results=results, manifest=nodes, target_dir=folder, task=task or {})

    told = engine.causes(read) if read else []
    known = any(diagnosis.cause != INSUFFICIENT for diagnosis in told)
    ran = [] if known and text and of_another_run(results, text) else findings(results)
    found = engine.merge([*told, *ran, *stale(_json(None, folder, "sources.json"), results)])
    explained = any(diagnosis.cause != INSUFFICIENT for diagnosis in found)
    found = engine.ranked([*found, *detect(context, found)])
    found = [diagnosis for diagnosis in found if diagnosis.cause != INSUFFICIENT or (explained and diagnosis.node)] or found
    if not found:
        nothing = engine.undiagnosed(read) if read else None if results or task else engine.insufficient()
        found = [nothing] if nothing else []
    deep = [enrich(_named(diagnosis, context), context) for diagnosis in found]
    if target is not None:
        from rowferry.diagnosis.loads import read_loads, with_loads

        loads = read_loads(target, tables)
        deep = [with_loads(diagnosis, loads) for diagnosis in deep]
    return [private(diagnosis) for diagnosis in deep]


def _text(log: str | Path | None, task: Mapping[str, Any] | None) -> str | None:
    if isinstance(log, Path):
        return text_of(log.read_bytes())
    error = (task or {}).get("error")
    if log is not None or error is None:
        return log
    if not isinstance(error, BaseException):
        return str(error)
    import traceback

    return "".join(traceback.format_exception(error))


def _json(given: Json, target: Path | None, name: str) -> Mapping[str, Any]:
    if isinstance(given, Mapping):
        return given
    path = Path(given) if given is not None else target / name if target else None
    if path is None or (given is None and not path.is_file()):
        return {}
    return json.loads(path.read_text(encoding="utf-8"))


def _named(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The diagnosis with its node's unique_id, where the manifest knows it."""
    from dataclasses import replace

    node = context.dbt_node(diagnosis.node)
    if node is None or "unique_id" not in node:
        return diagnosis
    path = {"path": node["original_file_path"]} if "original_file_path" in node else {}
    return replace(diagnosis, node=node["unique_id"], captured={**diagnosis.captured, **path})
