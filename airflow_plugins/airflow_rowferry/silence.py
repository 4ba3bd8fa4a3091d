"""What a run does not say by failing: rows that stopped coming, times that stand still, failures that no leaf tells.

Guesses from what earlier runs of the DAG brought. They go into the message of the last task and change no run's outcome;
what has to fail a run is listed for `LoadCheckOperator`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Any

__all__ = ["doubts", "hidden", "remember"]

History = Mapping[str, Mapping[str, Any]]
"""By table: `rows` of its last runs, the newest last; its `watermark`; `still`: for how many runs that has not moved."""

REMEMBERED_RUNS = 10
_FEWEST_RUNS = 3
_MOST_TABLES = 100  # the history is an XCom


def doubts(reports: Iterable[Mapping[str, Any]], history: History) -> list[str]:
    """Sentences about tables that did not behave as they did, each one a hypothesis."""
    return [text for report in reports if _counts(report) for text in _of_table(report, history.get(report["table"], {}))]


def remember(reports: Iterable[Mapping[str, Any]], history: History) -> dict[str, dict[str, Any]]:
    """The history with this run in it."""
    kept = {table: dict(known) for table, known in history.items()}
    for report in reports:
        if _counts(report):
            known = kept.pop(report["table"], {})
            kept[report["table"]] = {
                "rows": [*known.get("rows", ()), report["rows_total"]][-REMEMBERED_RUNS:],
                "watermark": report.get("watermark"),
                "still": _still(report, known),
            }
    return dict(list(kept.items())[-_MOST_TABLES:])


def hidden(outcome: str, failed: Sequence[str], said_by: str) -> list[str]:
    """A run that succeeded although tasks failed."""
    if outcome != "success" or not failed:
        return []
    names = ", ".join(failed[:5]) + (", …" if len(failed) > 5 else "")
    return [f"{names} failed and the run is a success all the same: its leaves went well. If that is not meant, let {said_by} or a check depend on it."]


def _of_table(report: Mapping[str, Any], known: Mapping[str, Any]) -> list[str]:
    rows = known.get("rows", [])
    usual = median(rows) if rows else 0
    said = []
    if report["rows_total"] == 0 and len(rows) >= _FEWEST_RUNS and usual > 0:
        said.append(
            f"{report['table']}: no rows, where the last {len(rows)} runs brought {usual:,.0f} in the middle."
            " Hypothesis: its writer at the source stopped, or the connection leads to another database than before."
        )
    still = _still(report, known)
    if still >= _FEWEST_RUNS and any(rows):
        said.append(
            f"{report['table']}: nothing newer than {report['watermark']} came in {still + 1} runs, all of them green."
            " Hypothesis: its writer stopped, or no longer sets the column that tells what changed."
        )
    return said


def _still(report: Mapping[str, Any], known: Mapping[str, Any]) -> int:
    stands = report.get("watermark") is not None and report.get("watermark") == known.get("watermark") and report["rows_total"] == 0
    return known.get("still", 0) + 1 if stands else 0


def _counts(report: Mapping[str, Any]) -> bool:
    """Whether a load tells what is usual: a window loaded again does not."""
    return not report.get("since") and not report.get("until")
