"""What a try of a run finds that earlier tries left."""

from __future__ import annotations

import pytest
from runs import Pair, sql

import rowferry
from rowferry.errors import SchemaDriftError

COUNTS = ("read", "staged", "inserted", "updated", "deleted", "stale", "duplicates", "bytes")


@pytest.fixture
def orders(pair: Pair) -> Pair:
    pair.make_table("orders")
    return pair


def test_a_try_after_the_commit_adds_an_increment_and_tells_the_runs_total(orders: Pair) -> None:
    job = orders.job("orders", run_id="night")
    first = rowferry.run(job)
    orders.change("orders")
    second = rowferry.run(job | {"try_number": 2})
    assert (first.increment, second.increment) == (1, 2)
    assert (second.this_try.inserted, second.this_try.updated) == (500, 1500)
    for part in COUNTS:
        assert getattr(second.run_total, part) == getattr(first.this_try, part) + getattr(second.this_try, part)
    assert [load["increment"] for load in orders.loads("orders")] == [1, 2]
    orders.check_books("orders")


def test_a_try_after_the_commit_of_a_full_read_tells_the_last_read_as_total(orders: Pair) -> None:
    job = orders.job("orders", run_id="night", capture="full")
    rowferry.run(job)
    second = rowferry.run(job | {"try_number": 2})
    assert second.increment == 2
    assert second.run_total == second.this_try
    assert second.run_total.read == 2000


def test_another_run_does_not_count_towards_the_total(orders: Pair) -> None:
    orders.run("orders", run_id="night")
    orders.change("orders")
    report = orders.run("orders", run_id="morning")
    assert report.increment == 1
    assert report.run_total == report.this_try


def test_a_run_that_changes_nothing_records_what_it_proved(orders: Pair) -> None:
    orders.run("orders")
    report = orders.run("orders")
    assert all(getattr(report.this_try, part) == 0 for part in COUNTS if part != "bytes")
    first, second = orders.loads("orders")
    assert second["completeness"] == "proven" and second["rows_read"] == 0
    assert second["snapshot"] and second["extracted_at"] > first["extracted_at"]
    orders.check_books("orders")


def test_a_retry_after_a_refusal_sees_the_same_drift(orders: Pair) -> None:
    orders.run("orders")
    sql(orders.source, "ALTER TABLE orders ADD COLUMN extra int DEFAULT 7")
    refusals = []
    for number in (1, 2):
        with pytest.raises(SchemaDriftError) as caught:
            orders.run("orders", run_id="night", try_number=number, on_schema_change="fail")
        refusals.append(str(caught.value))
    assert "extra" in refusals[0] and refusals[0] == refusals[1]
    assert len(orders.loads("orders")) == 1
    sql(orders.target, "ALTER TABLE raw_postgres.orders ADD COLUMN extra int")
    orders.run("orders", run_id="night", try_number=3, verify=True)
    assert sql(orders.target, "SELECT DISTINCT extra FROM raw_postgres.orders") == [(7,)]
    orders.check_books("orders")


def test_a_retry_after_a_crash_still_reads_everything_because_of_what_wrote_no_row_version(orders: Pair) -> None:
    orders.run("orders")
    sql(orders.source, "ALTER TABLE orders DROP COLUMN note; ALTER TABLE orders ADD COLUMN note text DEFAULT 'again'")
    job = orders.job("orders", run_id="night")
    with orders.started(job, "kill", "commit", 1) as process:
        process.wait_for_kill()
    report = rowferry.run(job | {"try_number": 2})
    assert report.reconciled and report.this_try.updated == 2000
    orders.check_books("orders")
