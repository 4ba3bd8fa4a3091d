"""dbt's run_results.json: the message of each failed node is a log of its own.

Format: schemas.getdbt.com/dbt/run-results/v6.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rowferry.diagnosis import engine
from rowferry.diagnosis.model import Diagnosis, Line

_FAILED = frozenset({"error", "fail", "runtime error", "partial success"})


def findings(run_results: Mapping[str, Any]) -> list[Diagnosis]:
    """The diagnoses of the nodes that failed; those that were skipped stand under the first."""
    results = run_results.get("results", ())
    found = [d for result in results if result.get("status") in _FAILED for d in _of(result)]
    skipped = [(None, f"{result['unique_id']} was skipped") for result in results if result.get("status") == "skipped"]
    return engine.attach(engine.merge(found), skipped)


def _of(result: Mapping[str, Any]) -> Iterator[Diagnosis]:
    node, message = result.get("unique_id"), str(result.get("message") or "")
    found = engine.causes(engine.read_log("Error:\n" + message))
    if not found:
        found = [engine.insufficient([Line(0, line.strip()) for line in message.splitlines()[: engine.MOST_LINES]])]
    for diagnosis in found:
        yield replace(diagnosis, node=node, lines=tuple(Line(0, line.text) for line in diagnosis.lines))
