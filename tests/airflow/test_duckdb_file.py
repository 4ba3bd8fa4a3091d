"""Mapped tasks whose warehouse is one DuckDB file: real operators and connections, and the context of a run instead of one."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from file_holder import held, let_go
from stand_ins import context

import rowferry
from airflow_rowferry.operators import PostgresToWarehouseOperator
from rowferry.demo import shop
from rowferry.demo.airflow import airflow_connection
from rowferry.demo.servers import Server
from rowferry.demo.warehouse import DbtProject, dbt_environment, file_of, full_refresh, query
from rowferry.errors import TableBusyError

TABLES = [f"table_{n}" for n in range(4)]
ROWS = 100


@pytest.fixture
def uri(pg18: Server, database: Callable[[Server], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Of the file of the connection `warehouse`, which is not there yet; `shop` has TABLES of ROWS rows."""
    source, file = database(pg18), f"duckdb://{tmp_path}/warehouse.duckdb"
    with psycopg.connect(source) as at_source:
        for table in TABLES:
            at_source.execute(f"create table {table} (id int primary key)")
            at_source.execute(f"insert into {table} select generate_series(1, {ROWS})")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", airflow_connection(source))
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", airflow_connection(file))
    return file


def load(table: str, **settings: Any) -> dict[str, Any]:
    """What a worker does for one mapped task."""
    task = PostgresToWarehouseOperator(
        task_id="load", source_conn_id="shop", target_conn_id="warehouse", table=table, **settings
    )
    return task.execute(context(map_index=TABLES.index(table)))


def test_mapped_tasks_queue_on_one_file_and_each_brings_its_table(uri: str):
    with held(file_of(uri)) as holder, ThreadPoolExecutor(len(TABLES)) as pool:
        with pytest.raises(TableBusyError, match=str(holder.pid)):
            load(TABLES[0], lock_timeout=0.1)
        waiting = [pool.submit(load, table) for table in TABLES]
        let_go(holder)
        pushed = [task.result(60) for task in waiting]
    assert [load["rows_inserted"] for load in pushed] == [ROWS] * len(TABLES)
    assert [query(uri, f"select count(*) from raw_shop.{table}") for table in TABLES] == [[(ROWS,)]] * len(TABLES)


def test_a_file_is_no_source(uri: str):
    task = PostgresToWarehouseOperator(
        task_id="load", source_conn_id="warehouse", target_conn_id="warehouse", table=TABLES[0]
    )
    with pytest.raises(AirflowFailException, match="source.*duckdb"):
        task.execute(context())


@pytest.mark.slow
def test_the_dbt_of_the_example_dag_builds_the_models_in_the_file(
    pg18: Server, database: Callable[[Server], str], uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    source = database(pg18)
    rows = shop.create(source, orders=1000)
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", airflow_connection(source))
    project = DbtProject(folder=tmp_path, environment=dbt_environment(uri))
    project.parse()
    profile = profile_of_example_dag(project, monkeypatch)
    for index, table in enumerate(shop.KEYS):
        task = PostgresToWarehouseOperator(
            task_id="load", source_conn_id="shop", target_conn_id="warehouse", source_name="postgres", table=table, verify=True
        )
        assert task.execute(context(map_index=index))["rows_inserted"] == rows[table]
    (tmp_path / "profiles.yml").write_text(profile)
    nodes = project.dbt("build", "--profiles-dir", str(tmp_path))
    assert {node.status for node in nodes} <= {"success", "pass", "warn"}
    assert all(rowferry.verify({"source": source, "target": uri, "table": table}) for table in shop.KEYS)
    assert full_refresh(project, uri)[0] == 0


def profile_of_example_dag(project: DbtProject, monkeypatch: pytest.MonkeyPatch) -> str:
    """Import `daily_etl` as for a file, and get the profile that its dbt tasks are given."""
    monkeypatch.setenv("ROWFERRY_DBT_PROJECT", str(project.path))
    monkeypatch.setenv("ROWFERRY_DBT_TARGET", "duckdb")
    name = "airflow_rowferry.example_dags.daily_etl"
    monkeypatch.delitem(sys.modules, name, raising=False)
    dag = importlib.import_module(name).dbt.dag
    monkeypatch.delitem(sys.modules, name)
    task = next(task for task in dag.tasks if task.task_id.startswith("dbt."))
    return task.profile_config.profile_mapping.get_profile_file_contents("shop", "duckdb")
