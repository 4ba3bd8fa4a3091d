"""The example DAG into one DuckDB file, under a real Airflow: its tasks come to the file at the same time, wait for it, and none fails."""

from __future__ import annotations

import pytest
from conftest import World
from file_holder import held

import rowferry
from rowferry.demo import shop
from rowferry.demo.warehouse import file_of, query

pytestmark = [pytest.mark.airflow, pytest.mark.slow]

DAG = "daily_etl_into_a_file"


@pytest.fixture(scope="module")
def first(world: World) -> str:
    """The run_id of the first run; until all of its loads have come to the file, another process has it open."""
    with held(file_of(world.file)):
        run_id = world.airflow.trigger(DAG)
        for index in range(len(shop.KEYS)):
            world.airflow.wait_for_task(DAG, run_id, "load", states=("running",), timeout=60, map_index=index)
    world.airflow.wait(DAG, run_id, timeout=240)
    return run_id


def test_mapped_loads_and_the_tasks_of_dbt_wait_for_the_file_and_none_is_tried_twice(world: World, first: str):
    tasks = world.airflow.task_instances(DAG, first)
    assert {task["state"] for task in tasks} == {"success"}, world.airflow.states(DAG, first)
    assert {task["try_number"] for task in tasks} == {1}
    assert [task["task_id"] for task in tasks].count("load") == len(shop.KEYS)
    assert any(ran_together(one, other) for one in tasks for other in tasks if one["task_id"] < other["task_id"])


def test_the_file_holds_what_the_source_does_and_dbt_has_built_its_models_there(world: World, first: str):
    for table in shop.KEYS:
        verified = rowferry.verify({"source": world.shop, "target": world.file, "table": table})
        assert verified and verified.compared > 0
    assert query(world.file, "select count(*) from analytics.stg_postgres__orders") == [(orders(world),)]
    assert query(world.file, "select count(*) > 0 from analytics.orders_daily") == [(True,)]


def test_a_run_that_finds_nothing_new_fails_its_check_builds_nothing_and_says_so(world: World, first: str):
    run_id = world.airflow.trigger(DAG)
    assert world.airflow.wait(DAG, run_id, timeout=120) == "failed"
    states = world.airflow.states(DAG, run_id)
    assert (states["check"], states["notify_outcome"]) == ("failed", "success")
    assert {state for task, state in states.items() if task.startswith("dbt.")} == {"upstream_failed"}
    for run, outcome, read in ((first, "success", orders(world)), (run_id, "failed", 0)):
        told = world.airflow.xcom(DAG, run, "notify_outcome")
        assert (told["outcome"], told["tables"]["public.orders"]) == (outcome, read)
        assert told["text"] in world.slack.texts
    assert told["failed"] == ["check"] and "public.orders: 0 rows" in told["text"]


def orders(world: World) -> int:
    return world.rows(world.shop, "select count(*) from orders")[0][0]


def ran_together(one: dict, other: dict) -> bool:
    return all(task["task_id"].startswith("dbt.") for task in (one, other)) and (
        one["start_date"] < other["end_date"] and other["start_date"] < one["end_date"]
    )
