"""Twenty tables that meet an empty target at the same moment."""

from __future__ import annotations

import threading

import psycopg
import pytest
from runs import Pair, sessions, sql, start, wait_until

import rowferry

N_TABLES = 20
TABLES = [f"t{n}" for n in range(N_TABLES)]


@pytest.mark.parametrize("target_table", ["raw_{source}.{table}", "{table}.rows"], ids=["one schema", "a schema each"])
def test_twenty_tables_bootstrap_one_empty_target_at_once(pair: Pair, target_table: str) -> None:
    for table in TABLES:
        pair.make_table(table, rows=10)
    assert all(report.this_try.inserted == 10 for report in load_at_once(pair, target_table))
    assert sql(pair.target, "SELECT count(*), count(DISTINCT target_table) FROM _rowferry.loads") == [(N_TABLES, N_TABLES)]
    assert all(report.this_try.read == 0 for report in load_at_once(pair, target_table))
    pair.check_nothing_is_left()


def test_twenty_runs_of_one_table_bootstrap_one_empty_target_at_once(pair: Pair) -> None:
    pair.make_table("orders")
    start_together = threading.Barrier(N_TABLES)
    runs = [start(pair.job("orders"), start_together) for _ in range(N_TABLES)]
    assert sorted(run.result(60).load_id for run in runs) == list(range(1, N_TABLES + 1))
    pair.check_books("orders")


@pytest.mark.parametrize(
    "statement",
    ["CREATE SCHEMA _rowferry", "CREATE SCHEMA raw_postgres"],
)
def test_a_schema_that_somebody_else_is_just_creating_is_used(pair: Pair, statement: str) -> None:
    pair.make_table("orders")
    with psycopg.connect(pair.target) as somebody:
        somebody.execute(statement)
        run = start(pair.job("orders"))
        wait_until(lambda: sessions(pair.target, "wait_event_type = 'Lock'"), "the run meets the other's schema")
    assert run.result(60).load_id == 1
    pair.check_books("orders")


def load_at_once(pair: Pair, target_table: str) -> list[rowferry.Report]:
    start_together = threading.Barrier(N_TABLES)
    runs = [start(pair.job(table, target_table=target_table), start_together) for table in TABLES]
    return [run.result(60) for run in runs]
