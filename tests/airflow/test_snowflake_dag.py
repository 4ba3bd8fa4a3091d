"""The example DAG for Snowflake: parsed, planned and run, against an emulator of Snowflake."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterator

import pytest
from account import PASSWORD, Emulator, connect
from stand_ins import context

import rowferry
from airflow_rowferry.hooks import connection_uri
from airflow_rowferry.operators import PostgresToWarehouseOperator
from rowferry.demo import shop
from rowferry.demo.airflow import airflow_connection
from rowferry.demo.servers import Server

ORDERS = 200


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    made = Emulator()
    extra = {"account": "emulated", "warehouse": "W", "role": "R", "database": "RAW", "host": "127.0.0.1", "port": made.port, "protocol": "http"}
    monkeypatch.setenv("AIRFLOW_CONN_SNOWFLAKE", json.dumps({"conn_type": "snowflake", "login": "loader", "password": PASSWORD, "extra": extra}))
    yield made
    made.close()


def test_the_example_dag_loads_every_table_of_the_shop(
    emulator: Emulator, pg18: Server, database: Callable[[Server], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = database(pg18)
    rows = shop.create(source, orders=ORDERS)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", airflow_connection(source))
    dag = importlib.import_module("airflow_rowferry.example_dags.daily_etl_snowflake").check.dag
    assert {"load", "check"} <= set(dag.task_ids)
    plan = rowferry.Job(source=source, target=connection_uri("snowflake"), table="orders").plan()
    assert plan.first_load and any("MERGE INTO \"RAW\".\"POSTGRES\".\"ORDERS\"" in statement.sql for statement in plan.statements)
    for index, table in enumerate(shop.KEYS):
        task = PostgresToWarehouseOperator(
            task_id="load", source_conn_id="shop", target_conn_id="snowflake", source_name="postgres", table=table
        )
        pushed = task.execute(context(map_index=index))
        assert (pushed["rows_inserted"], pushed["target_table"]) == (rows[table], f"raw.postgres.{table}")
    with connect(emulator.uri) as session:
        assert session.cursor().execute("SELECT count(*) FROM raw.postgres.orders").fetchall() == [(rows["orders"],)]
