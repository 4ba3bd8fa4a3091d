"""The example DAG as a user runs it: loads, check, dbt and outcome under a real Airflow."""

from __future__ import annotations

import pytest
from conftest import ORDERS, World

from rowferry.demo import shop
from rowferry.demo.warehouse import full_refresh

pytestmark = [pytest.mark.airflow, pytest.mark.slow]


def test_the_whole_example_dag_runs_and_so_does_the_next_day(world: World):
    first = run(world)
    assert first["tables"]["public.orders"] == ORDERS
    shop.change(world.shop, 1)
    second = run(world)
    assert 0 < second["tables"]["public.orders"] < ORDERS
    assert same_orders(world)
    assert full_refresh(world.dbt, world.warehouse)[0] == 0


def run(world: World) -> dict:
    run_id = world.airflow.trigger("daily_etl")
    state = world.airflow.wait("daily_etl", run_id, timeout=240)
    states = world.airflow.states("daily_etl", run_id)
    assert state == "success", states
    assert set(states.values()) == {"success"}
    assert sum(task.startswith("dbt.") for task in states) > 8
    told = world.airflow.xcom("daily_etl", run_id, "notify_outcome")
    assert told["outcome"] == "success"
    assert told["text"] in world.slack.texts
    return told


def same_orders(world: World) -> bool:
    """Whether the raw table holds what the source does."""
    columns = "id, status, total_amount, updated_at, deleted_at"
    source = world.rows(world.shop, f"select {columns} from orders order by id")
    return source == world.rows(world.warehouse, f"select {columns} from raw_postgres.orders order by id")
