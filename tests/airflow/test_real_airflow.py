"""Loads under a real scheduler, dag-processor and api-server: triggered and judged through the API.

What a task said of itself does not count here: states come from the API, rows from the databases, and
what still runs from pg_stat_activity.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

import psycopg
import pytest
from conftest import ORDERS, PASSWORD, World

pytestmark = pytest.mark.airflow


def eventually(true: Callable[[], object], seconds: float) -> float:
    """Wait until `true()`, at most `seconds`; how long it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"still not so after {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - started


def test_a_green_run_loads_every_table_and_says_so(world: World):
    run_id = world.airflow.trigger("green")
    assert world.airflow.wait("green", run_id, timeout=60) == "success"
    assert set(world.airflow.states("green", run_id).values()) == {"success"}
    told = world.airflow.xcom("green", run_id, "notify_outcome")
    assert told["outcome"] == "success"
    assert told["tables"]["public.orders"] == ORDERS
    assert world.rows(world.warehouse, "select count(*) from raw_shop.orders") == [(ORDERS,)]
    loads = world.rows(world.warehouse, "select run_id, map_index from _rowferry.loads where target_table ~ 'raw_shop' order by 2")
    assert loads == [(run_id, 0), (run_id, 1)]


def test_mapped_instances_carry_the_names_of_their_tables(world: World):
    run_id = world.airflow.trigger("green")
    world.airflow.wait("green", run_id, timeout=60)
    instances = world.airflow.task_instances("green", run_id)
    assert {i["rendered_map_index"] for i in instances if i["task_id"] == "load"} == {"orders", "users"}


def test_no_log_shows_a_password(world: World):
    run_id = world.airflow.trigger("green")
    world.airflow.wait("green", run_id, timeout=60)
    logs = [path for path in world.airflow.home.rglob("*.log")]
    assert any("task_id=load" in str(path) for path in logs)
    assert [path for path in logs if PASSWORD in path.read_text(errors="replace")] == []


def test_a_run_with_one_failing_load_fails_and_the_last_task_waits_for_the_others(world: World):
    run_id = world.airflow.trigger("one_fails")
    assert world.airflow.wait("one_fails", run_id, timeout=60) == "failed"
    states = world.airflow.states("one_fails", run_id)
    assert states == {
        "load[0]": "failed",
        "load[1]": "success",
        "load[2]": "success",
        "check": "upstream_failed",
        "notify_outcome": "success",
    }
    instances = {(i["task_id"], i["map_index"]): i for i in world.airflow.task_instances("one_fails", run_id)}
    assert instances["load", 0]["end_date"] < instances["load", 1]["end_date"]
    assert instances["notify_outcome", -1]["start_date"] >= instances["load", 1]["end_date"]
    told = world.airflow.xcom("one_fails", run_id, "notify_outcome")
    assert (told["outcome"], told["failed"]) == ("failed", ["load[0]"])
    assert "no_such_table" in told["text"]
    assert told["tables"] == {"public.orders": ORDERS, "public.users": ORDERS // 5}


def test_a_configuration_error_is_not_tried_again(world: World):
    run_id = world.airflow.trigger("one_fails")
    world.airflow.wait("one_fails", run_id, timeout=60)
    failed = [i for i in world.airflow.task_instances("one_fails", run_id) if i["state"] == "failed"]
    assert [i["try_number"] for i in failed] == [1]


def test_a_worker_killed_in_mid_load_leaves_nothing_half_loaded_and_its_retry_completes(world: World):
    run_id = world.airflow.trigger("killed")
    task = world.airflow.wait_for_task("killed", run_id, "load", states=("running",), timeout=30)
    eventually(lambda: world.sessions("killed").get("af_shop") == "active", 20)
    os.kill(task["pid"], signal.SIGKILL)
    world.airflow.wait_for_task("killed", run_id, "load", states=("up_for_retry", "queued", "running"), timeout=30)
    assert loaded_rows(world, "raw_killed.orders") == 0

    assert world.airflow.wait("killed", run_id, timeout=90) == "success"
    assert world.airflow.task_instances("killed", run_id)[0]["try_number"] == 2
    assert loaded_rows(world, "raw_killed.orders") == ORDERS
    records = world.rows(
        world.warehouse, "select run_id, try_number, rows_inserted from _rowferry.loads where target_table = 'raw_killed.orders'"
    )
    assert records == [(run_id, 2, ORDERS)]


def test_execution_timeout_cancels_the_statement_at_the_source(world: World):
    run_id = world.airflow.trigger("out_of_time_at_the_source")
    eventually(lambda: world.sessions("out_of_time_at_the_source").get("af_shop") == "active", 30)
    assert world.airflow.wait("out_of_time_at_the_source", run_id, timeout=30) == "failed"
    assert world.sessions("out_of_time_at_the_source") == {}
    task = world.airflow.task_instances("out_of_time_at_the_source", run_id)[0]
    assert task["duration"] < 5 + 3
    assert "AirflowTaskTimeout" in world.airflow.logs("out_of_time_at_the_source", run_id, "load")
    assert loaded_rows(world, "raw_source_hangs.orders") == 0


def test_execution_timeout_cancels_the_statement_that_waits_at_the_target(world: World):
    dag_id, table = "out_of_time_at_the_target", "raw_target_hangs.users"
    assert world.airflow.wait(dag_id, world.airflow.trigger(dag_id), timeout=60) == "success"
    world.rows(world.shop, "update users set full_name = full_name where id = 1 returning id")
    with psycopg.connect(world.warehouse) as somebody:
        somebody.execute(f"lock table {table} in access exclusive mode")
        run_id = world.airflow.trigger(dag_id)
        eventually(lambda: world.sessions(dag_id).get("af_warehouse") == "active", 30)
        assert world.airflow.wait(dag_id, run_id, timeout=30) == "failed"
        assert world.sessions(dag_id) == {}
    assert world.airflow.task_instances(dag_id, run_id)[0]["duration"] < 5 + 3


def test_marking_a_task_failed_ends_its_statements_on_both_servers(world: World):
    run_id = world.airflow.trigger("marked_failed")
    eventually(lambda: world.sessions("marked_failed").get("af_shop") == "active", 30)
    assert set(world.sessions("marked_failed")) == {"af_shop", "af_warehouse"}
    world.airflow.mark_failed("marked_failed", run_id, "load")
    # The worker hears of it with its next heartbeat, a second apart here; then the job has a second.
    eventually(lambda: world.sessions("marked_failed") == {}, 4)
    assert world.airflow.wait("marked_failed", run_id, timeout=30) == "failed"
    assert world.airflow.states("marked_failed", run_id) == {"load": "failed", "notify_outcome": "success"}
    assert world.airflow.xcom("marked_failed", run_id, "notify_outcome")["outcome"] == "failed"
    assert loaded_rows(world, "raw_marked.orders") == 0


def loaded_rows(world: World, table: str) -> int:
    """Rows in a target table; 0 where there is no such table yet."""
    if world.rows(world.warehouse, f"select to_regclass('{table}') is null") == [(True,)]:
        return 0
    return world.rows(world.warehouse, f"select count(*) from {table}")[0][0]
