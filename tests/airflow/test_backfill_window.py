"""The example of a backfill as its tasks run it: real rowferry, real servers, and the context of a run instead of one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from jinja2 import UndefinedError
from psycopg.conninfo import conninfo_to_dict

import rowferry
from airflow_rowferry.example_dags.backfill_window import TABLES, dag
from rowferry.demo.servers import Server

DAY = datetime(2026, 1, 2, tzinfo=timezone.utc)
RAW = "raw_postgres.orders"


class Shop:
    """A source with one order a day, all loaded into a warehouse."""

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target
        self.at(source, "create table orders (id int primary key, note text, created_at timestamptz)")
        noon = "'2026-01-01 12:00+00'::timestamptz + (n - 1) * '1 day'::interval"
        self.at(source, f"insert into orders select n, 'old', {noon} from generate_series(1, 3) n")
        self.run()

    def at(self, uri: str, statement: str) -> list[tuple]:
        with psycopg.connect(uri, autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def run(self, **settings: Any) -> rowferry.Report:
        return rowferry.run({"source": self.source, "target": self.target, "table": "orders", **settings})

    def loaded(self) -> list[tuple]:
        return self.at(self.target, f"select id, note from {RAW} where _deleted_at is null order by id")

    def spoil(self) -> None:
        """Leave rows in the warehouse as if they had been loaded wrongly."""
        self.at(self.target, f"update {RAW} set note = 'wrong', _load_id = 0")


@pytest.fixture
def shop(pg18: Server, database: Callable[[Server], str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    made = Shop(database(pg18), database(pg18))
    for conn_id, uri in (("shop", made.source), ("warehouse", made.target)):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", connection(uri))
    return made


def connection(uri: str) -> str:
    parts = conninfo_to_dict(uri)
    known = {"host": parts["host"], "port": int(parts["port"]), "login": parts["user"], "schema": parts["dbname"]}
    return json.dumps({"conn_type": "postgres", **known})


def run_task(**interval: datetime | None) -> dict[str, Any]:
    """Do what a worker does for the orders of one run: render the templates, then execute."""
    ti = SimpleNamespace(dag_id=dag.dag_id, task_id="load", map_index=TABLES.index("orders"), try_number=1)
    run = {"dag": dag, "dag_run": SimpleNamespace(conf={}), "run_id": f"backfill__{interval}"}
    context = {"ti": ti, "task": dag.get_task("load"), **run, **interval}
    context["task"].render_template_fields(context)
    return context["task"].execute(context)


def test_a_run_loads_the_rows_of_its_interval_again_and_leaves_the_watermark_and_all_others(shop: Shop):
    shop.spoil()
    pushed = run_task(data_interval_start=DAY, data_interval_end=DAY + timedelta(days=1))
    assert shop.loaded() == [(1, "wrong"), (2, "old"), (3, "wrong")]
    assert (pushed["rows_read"], pushed["rows_updated"]) == (1, 1)
    assert (pushed["since"][:10], pushed["until"][:10]) == ("2026-01-02", "2026-01-03")
    shop.at(shop.source, "insert into orders values (4, 'new', '2026-01-02 13:00+00')")
    assert shop.run().this_try.inserted == 1


def test_days_side_by_side_meet_no_row_twice_and_leave_none_out(shop: Shop):
    shop.spoil()
    days = [DAY + timedelta(days=n) for n in (-1, 0, 1)]
    read = [run_task(data_interval_start=day, data_interval_end=day + timedelta(days=1))["rows_read"] for day in days]
    assert read == [1, 1, 1]
    assert {note for _, note in shop.loaded()} == {"old"}


def test_a_run_without_an_interval_fails_and_loads_nothing(shop: Shop):
    shop.spoil()
    with pytest.raises(UndefinedError, match="data_interval_start"):
        run_task()
    with pytest.raises(AirflowFailException, match="since and until came out empty"):
        run_task(data_interval_start=None, data_interval_end=None)
    with pytest.raises(AirflowFailException, match="CronDataIntervalTimetable"):
        run_task(data_interval_start=DAY, data_interval_end=DAY)
    assert {note for _, note in shop.loaded()} == {"wrong"}


def test_the_dag_gives_its_runs_intervals_of_a_day():
    interval = dag.timetable.infer_manual_data_interval(run_after=DAY + timedelta(hours=5))
    assert (interval.start, interval.end) == (DAY - timedelta(days=1), DAY)
