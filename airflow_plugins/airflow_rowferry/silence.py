"""What a run does not say by failing: rows that stopped coming, times that stand still, failures that no leaf tells.

Guesses from what earlier runs of the DAG brought, and from the load records that a target keeps of all that was ever loaded there.
They go into the message of the last task and change no run's outcome; what has to fail a run is listed for `LoadCheckOperator`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from statistics import median, median_high
from typing import Any, NamedTuple

__all__ = ["doubts", "hidden", "of_records", "remember"]

History = Mapping[str, Mapping[str, Any]]
"""By table: `rows` of its last runs, the newest last; its `watermark`; `still`: for how many runs that has not moved."""

REMEMBERED_RUNS = 10
NEWEST_RECORDS = 50
"""Of each table, enough to judge it by: resets among them and windows loaded again do not count."""
_FEWEST_RUNS = 3
_MOST_TABLES = 100  # the history is an XCom
_SHORTEST = timedelta(hours=1)  # that a table's silence has to last; loads are often started by hand one after another


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


def hidden(outcome: str, failed: Sequence[str], said_by: str, teardowns: Sequence[str] = ()) -> list[str]:
    """A run that succeeded although tasks failed: such whose failure no leaf shares, and teardowns, which do not count."""
    if outcome != "success":
        return []
    others = [name for name in failed if name not in teardowns]
    left_out = [name for name in failed if name in teardowns]
    told = []
    if others:
        told.append(f"{_names(others)} failed and the run is a success all the same: its leaves went well. If that is not meant, let {said_by} or a check depend on it.")
    if left_out:
        told.append(f"{_names(left_out)} failed and the run is a success all the same: a teardown does not count. If that is not meant, give it on_failure_fail_dagrun=True.")
    return told


def of_records(records: Iterable[Mapping[str, Any]], now: datetime, besides: Iterable[str] = ()) -> list[str]:
    """Sentences about tables whose newest load brought nothing where there usually is much, or whose loads no longer come.

    Args:
        records: Of a target's control table, as `rowferry.LoadRecord.record`, those of a table together, the newest first.
        now: With a time zone.
        besides: Tables at the source that are told of already.
    """
    known, told = set(besides), []
    for table, group in groupby(records, key=lambda record: record["target_table"]):
        loads = [load for record in group if (load := _load(record)) is not None]
        if loads and loads[0].source not in known and (text := _of_loads(table, loads[: REMEMBERED_RUNS + 1], now)):
            told.append(text)
    return told


class _Load(NamedTuple):
    source: str
    rows: int
    at: datetime


def _load(record: Mapping[str, Any]) -> _Load | None:
    report = record.get("report")
    if record.get("kind") != "load" or (isinstance(report, Mapping) and report.get("window")):
        return None
    try:
        at = datetime.fromisoformat(str(record["committed_at"]))
    except ValueError:
        return None
    return _Load(str(record.get("source_table")), int(record.get("rows_read") or 0), at) if at.tzinfo else None


def _of_loads(table: str, loads: Sequence[_Load], now: datetime) -> str | None:
    """What is unusual about the newest of a table's loads, or about its age."""
    newest, before = loads[0], loads[1:]
    if len(before) < _FEWEST_RUNS:
        return None
    since, usual = now - newest.at, [one.at - other.at for one, other in pairwise(loads)]
    if since > max(*usual, 3 * median_high(usual), _SHORTEST):
        return (
            f"{table}: its newest load is of {newest.at:%Y-%m-%d %H:%M %Z}, {_long(since)} ago, where one came every {_long(median_high(usual))} in the middle and at most"
            f" {_long(max(usual))} passed. Hypothesis: what loads it is paused, or no longer has it in its list."
        )
    rows = [load.rows for load in before]
    if newest.rows == 0 and median(rows) > 0:
        return (
            f"{table}: its newest load ({newest.at:%Y-%m-%d %H:%M %Z}) brought no rows, where the {len(rows)} before brought {median(rows):,.0f} in the middle."
            " Hypothesis: its writer at the source stopped, or the connection leads to another database than before."
        )
    with_rows = [load.at for load in loads if load.rows]
    gaps = [one - other for one, other in pairwise(with_rows)]
    if len(gaps) >= _FEWEST_RUNS - 1 and now - with_rows[0] > max(*gaps, 3 * median_high(gaps), _SHORTEST):
        return (
            f"{table}: no load brought rows since {with_rows[0]:%Y-%m-%d %H:%M %Z}, {_long(now - with_rows[0])} ago, though all {len(loads)} were well; before that at most"
            f" {_long(max(gaps))} passed. Hypothesis: its writer at the source stopped."
        )
    return None


def _long(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours / 24:,.1f} days" if hours >= 48 else f"{hours:,.1f} hours" if hours >= 1 else f"{hours * 60:,.0f} minutes"


def _names(failed: Sequence[str]) -> str:
    return ", ".join(failed[:5]) + (", …" if len(failed) > 5 else "")


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
