"""Load records of tables that fell silent, and of such that did not: what of_records says of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_rowferry.silence import hidden, of_records

NOW = datetime(2026, 3, 31, 4, tzinfo=timezone.utc)
DAY = timedelta(days=1)


def records(rows: Sequence[int], *, ago: Sequence[timedelta] | None = None, table: str = "raw.orders", **other: Any) -> list[dict[str, Any]]:
    """A table's loads, the newest first: what each brought, and how long ago it was, by default daily and two hours ago."""
    times = ago or [n * DAY + timedelta(hours=2) for n in range(len(rows))]
    common = {"kind": "load", "target_table": table, "source_table": f"public.{table.partition('.')[2]}", "report": {"window": None}, **other}
    return [{**common, "rows_read": n, "committed_at": (NOW - t).isoformat()} for n, t in zip(rows, times, strict=True)]


def days(*n: float) -> list[timedelta]:
    return [DAY * each for each in n]


@pytest.mark.parametrize(
    ("loads", "said"),
    [
        (records([900, 1100, 1000, 900]), None),
        (records([0, 1100, 1000, 900]), "brought no rows, where the 3 before brought 1,000 in the middle"),
        (records([0, 1100, 1000]), None),  # too little is known
        (records([0, 0, 0, 0, 5]), None),  # it usually has none
        (records([5, 5, 5, 5], ago=days(6, 7, 8, 9)), "6.0 days ago, where one came every 24.0 hours in the middle and at most 24.0 hours passed"),
        (records([5, 5, 5, 5], ago=days(2.5, 3, 4, 5)), None),  # under three times the usual
        (records([5, 5, 5, 5, 5], ago=days(6, 7, 14, 15, 16)), None),  # seven days without a load have been seen before
        (records([5] * 4, ago=[timedelta(minutes=n) for n in (50, 51, 52, 53)]), None),  # started by hand, one after another
        (records([0] * 6 + [5, 0, 5, 5]), "no load brought rows since 2026-03-25 02:00 UTC, 6.1 days ago, though all 10 were well"),
        (records([0, 0, 5, 0, 5, 0, 0, 5]), None),
        (records([0, 1100, 1000, 900], kind="reset"), None),
        (records([0, 1100, 1000, 900], report={"window": {"since": "2026-01-01"}}), None),
        ([{**record, "committed_at": "yesterday"} for record in records([0, 1100, 1000, 900])], None),
    ],
)
def test_a_table_that_fell_silent_is_told_from_its_load_records(loads, said):
    told = of_records(loads, NOW)
    assert len(told) == (said is not None)
    if said is not None:
        assert told[0].startswith("raw.orders: ")
        assert said in told[0]
        assert "Hypothesis: " in told[0]


def test_each_table_is_judged_by_itself_and_none_is_told_of_twice():
    loads = [*records([0, 9, 9, 9]), *records([9, 9, 9, 9], table="raw.users"), *records([0, 9, 9, 9], table="raw.payments")]
    assert [text.partition(":")[0] for text in of_records(loads, NOW)] == ["raw.orders", "raw.payments"]
    assert [text.partition(":")[0] for text in of_records(loads, NOW, besides=["public.orders"])] == ["raw.payments"]


def test_a_success_over_failed_tasks_is_told_and_a_teardown_by_the_right_remedy():
    assert hidden("failed", ["load"], "notify") == hidden("success", [], "notify") == []
    load, drop = hidden("success", ["load", "drop"], "notify", teardowns=["drop"])
    assert load.startswith("load failed") and "let notify or a check depend on it" in load
    assert drop.startswith("drop failed") and "on_failure_fail_dagrun=True" in drop
