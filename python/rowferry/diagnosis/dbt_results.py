"""dbt's run_results.json: the message of each failed node is a log of its own; and sources.json, what `dbt source freshness` found.

Formats: schemas.getdbt.com/dbt/run-results/v6.json and schemas.getdbt.com/dbt/sources/v3.json.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from rowferry.diagnosis import engine
from rowferry.diagnosis.model import Diagnosis, Line
from rowferry.diagnosis.rules import named_rule

_FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
_SELECTING = frozenset({"build", "run", "test", "seed", "snapshot"})
"""Commands that were meant to do something."""


def findings(run_results: Mapping[str, Any]) -> list[Diagnosis]:
    """The diagnoses of the nodes that failed; those that were skipped stand under the first."""
    results = run_results.get("results", ())
    if not results and (run_results.get("args") or {}).get("which") in _SELECTING:
        return [_nothing_selected(run_results["args"])]
    found = [d for result in results if result.get("status") in _FAILED for d in _of(result)]
    skipped = [(None, f"{result['unique_id']} was skipped") for result in results if result.get("status") == "skipped"]
    return engine.attach(engine.merge(found), skipped)


def of_another_run(run_results: Mapping[str, Any], log: str) -> bool:
    """Whether the log names no node that failed here: dbt that ends before its first node leaves the run_results.json of the run before."""
    failed = [str(result.get("unique_id")).split(".") for result in run_results.get("results", ()) if result.get("status") in _FAILED]
    return bool(failed) and not any(parts[min(2, len(parts) - 1)] in log for parts in failed)


def _of(result: Mapping[str, Any]) -> Iterator[Diagnosis]:
    if "max_loaded_at" in result:
        yield _too_old(result)
        return
    node, message = result.get("unique_id"), str(result.get("message") or result.get("error") or "")
    found = engine.causes(engine.read_log("Error:\n" + message))
    if not found:
        found = [engine.insufficient([Line(0, line.strip()) for line in message.splitlines()[: engine.MOST_LINES]])]
    for diagnosis in found:
        yield replace(diagnosis, node=node, lines=tuple(Line(0, line.text) for line in diagnosis.lines))


def _nothing_selected(args: Mapping[str, Any]) -> Diagnosis:
    selected = args.get("select") or args.get("selector") or ()
    said = " ".join([args["which"], *([selected] if isinstance(selected, str) else selected)])
    return named_rule("dbt_nothing_selected").diagnosis({"selector": said}, [Line(0, f"run_results.json has no result of dbt {said}")])


def stale(sources: Mapping[str, Any], run_results: Mapping[str, Any]) -> list[Diagnosis]:
    """The sources that are too old, if no other command of dbt ran since that was found."""
    found_at, ran_at = (artifact.get("metadata", {}).get("generated_at", "") for artifact in (sources, run_results))
    if found_at < ran_at:
        return []
    return findings(sources)


def _too_old(result: Mapping[str, Any]) -> Diagnosis:
    source = ".".join(result["unique_id"].split(".")[-2:])
    line = Line(0, f"{source}: newest row of {result['max_loaded_at']}, looked at {result.get('snapshotted_at')}")
    return named_rule("dbt_source_stale").diagnosis({"source": source}, [line])
