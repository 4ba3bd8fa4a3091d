"""When that last came which a sensor waited for: stand-ins for the sensors and for Airflow's answers, files that are there."""

from __future__ import annotations

import os
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout
from airflow.sdk.execution_time import task_runner

from airflow_rowferry import diagnosis, waiting
from airflow_rowferry.waiting import last_came
from rowferry import Job
from rowferry.demo.servers import Server

NEW_YEAR = datetime(2026, 1, 1, tzinfo=timezone.utc)


def write(path: Path, at: datetime = NEW_YEAR) -> None:
    path.write_text("1")
    os.utime(path, (at.timestamp(), at.timestamp()))


def test_a_file_that_did_not_come_is_told_with_the_newest_of_its_kind(tmp_path):
    def told(name: str) -> str:
        return last_came(SimpleNamespace(filepath=name, path=str(tmp_path / name)))[0]

    assert told("none/orders.csv") == f"there is not even the folder {tmp_path}/none on this machine"
    assert told("orders.csv") == f"{tmp_path} holds no *.csv at all"
    write(tmp_path / "old.csv", datetime(2025, 1, 1, tzinfo=timezone.utc))
    write(tmp_path / "new.csv")
    write(tmp_path / "newer.json", datetime(2026, 2, 1, tzinfo=timezone.utc))
    assert told("orders.csv") == f"the newest *.csv in {tmp_path} is new.csv, of 2026-01-01 00:00:00 UTC"
    assert told("n*.csv").startswith(f"{tmp_path}/new.csv is there now, of 2026-01-01 00:00:00 UTC: it came too late")


class Supervisor:
    """Answers like Airflow 3's supervisor, by the class of the message and whether it names a logical date."""

    def __init__(self, **answers: Any) -> None:
        self._answers = answers

    def send(self, message: Any) -> Any:
        name = "run" if type(message).__name__ == "GetPreviousDagRun" else "dated" if message.logical_date else "undated"
        assert (message.dag_id, message.state) == ("ledger", "success")
        key = "dag_run" if name == "run" else "task_instance"
        return SimpleNamespace(**{key: self._answers.get(name)})


def ended(run_id: str, day: int, logical_date: datetime | None = None) -> SimpleNamespace:
    return SimpleNamespace(run_id=run_id, logical_date=logical_date, end_date=NEW_YEAR.replace(day=day))


@pytest.mark.parametrize(
    ("tasks", "answers", "said"),
    [
        (["close"], {}, "the task close of DAG ledger never succeeded, as far as Airflow tells"),
        (
            ["close"],
            {"dated": ended("scheduled__1", 2, NEW_YEAR), "undated": ended("manual__1", 1)},
            "the last success of the task close of DAG ledger: run scheduled__1 for the logical date 2026-01-01T00:00:00+00:00 ended at 2026-01-02 00:00:00 UTC",
        ),
        (
            ["close"],
            {"dated": ended("scheduled__1", 2, NEW_YEAR), "undated": ended("manual__1", 3)},
            "the last success of the task close of DAG ledger: run manual__1, which has no logical date, ended at 2026-01-03 00:00:00 UTC",
        ),
        (None, {"run": ended("scheduled__1", 2, NEW_YEAR)}, "the last success of a run of DAG ledger: run scheduled__1 for the logical date"),
    ],
)
def test_another_dag_that_did_not_come_is_told_with_its_last_success(monkeypatch, tasks, answers, said):
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(**answers), raising=False)
    sensor = SimpleNamespace(external_dag_id="ledger", external_task_ids=tasks)
    (told,) = last_came(sensor)
    assert told.startswith(said)
    ti = SimpleNamespace(dag_id="daily", run_id="manual__1", task_id="wait", map_index=-1, try_number=1, task=sensor)
    found = diagnosis.of_failure(ti, AirflowSensorTimeout("Sensor has timed out; run duration of 3.02 seconds exceeds the specified timeout of 3.0."))
    assert found[0].cause == "sensor_timeout"
    assert told in found[0].notes


def test_an_airflow_that_does_not_answer_leaves_the_rest_of_the_diagnosis(monkeypatch):
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", None, raising=False)
    ti = SimpleNamespace(
        dag_id="daily", run_id="manual__1", task_id="wait", map_index=-1, try_number=1, task=SimpleNamespace(external_dag_id="ledger")
    )
    found = diagnosis.of_failure(ti, AirflowSensorTimeout("Sensor has timed out; run duration of 3.02 seconds exceeds the specified timeout of 3.0."))
    assert found[0].cause == "sensor_timeout"
    assert any("could not be found out" in note for note in found[0].notes)


def test_rows_that_did_not_come_are_told_with_the_last_load_of_their_table(pg18: Server, monkeypatch):
    source, target = pg18.create_database("waiting_source"), pg18.create_database("waiting_target")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("create table users (id int primary key); insert into users values (1), (2); create table other (id int primary key)")
    for table in ("users", "users", "other"):
        Job(source=source, target=target, table=table).run()
    with psycopg.connect(target) as connection:
        first, second = (
            at for (at,) in connection.execute("select committed_at from _rowferry.loads where target_table = 'raw_postgres.users' order by load_id")
        )
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", target.replace("postgresql://", "postgres://"))

    def told(sql: str) -> list[str]:
        return last_came(SimpleNamespace(conn_id="warehouse", sql=sql))

    assert told("select 1") == told("select count(*) from raw_postgres.users_old") == []
    assert told('select count(*) from "raw_postgres"."users" where day = current_date') == [
        f"the last of 2 loads of raw_postgres.users was at {second.isoformat()}; rows last came at {first.isoformat()}: 2"
    ]
    assert told("select 1 from raw_postgres.other")[0].endswith("none of them brought rows")
    monkeypatch.setattr(waiting, "_NEWEST_LOADS", 1)
    assert told("select 1 from raw_postgres.users") == [
        f"the last of at least 1 loads of raw_postgres.users was at {second.isoformat()}; none of the newest 1 brought rows"
    ]


def test_an_operator_that_is_no_sensor_waited_for_nothing():
    assert last_came(SimpleNamespace(task_id="load")) == []
