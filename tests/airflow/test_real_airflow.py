"""Loads under a real scheduler, dag-processor and api-server: triggered and judged through the API.

What a task said of itself does not count here: states come from the API, rows from the databases, and
what still runs from pg_stat_activity.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from conftest import PASSWORD, World

pytestmark = pytest.mark.airflow


def eventually(true: Callable[[], object], seconds: float) -> float:
    """Wait until `true()`, at most `seconds`; how long it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"still not so after {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - started


@pytest.fixture(scope="module")
def green(world: World) -> str:
    """The run_id of a run in which all went well."""
    run_id = world.airflow.trigger("green")
    assert world.airflow.wait("green", run_id, timeout=60) == "success"
    return run_id


class Gate:
    """Keeps the first try of the DAGs `killed` and `abandoned` waiting at the source."""

    def __init__(self, uri: str) -> None:
        self._holder = psycopg.connect(uri)
        self._holder.execute("select pg_advisory_lock(42)")

    def open(self) -> None:
        self._holder.close()


@pytest.fixture
def gate(world: World) -> Iterator[Gate]:
    gate = Gate(world.shop)
    yield gate
    gate.open()


@pytest.fixture(scope="module")
def one_fails(world: World) -> str:
    """The run_id of a run in which one load of three fails at once and another takes four seconds."""
    run_id = world.airflow.trigger("one_fails")
    assert world.airflow.wait("one_fails", run_id, timeout=60) == "failed"
    return run_id


def test_a_green_run_loads_every_table_and_says_so(world: World, green: str):
    assert set(world.airflow.states("green", green).values()) == {"success"}
    told = world.airflow.xcom("green", green, "notify_outcome")
    assert told["outcome"] == "success"
    assert told["tables"] == {"public.orders": source_rows(world, "orders"), "public.users": source_rows(world, "users")}
    assert loaded_rows(world, "raw_shop.orders") == source_rows(world, "orders")
    loads = world.rows(world.warehouse, "select run_id, map_index from _rowferry.loads where target_table ~ 'raw_shop' order by 2")
    assert loads == [(f"green/load/{green}", 0), (f"green/load/{green}", 1)]


def test_mapped_instances_carry_the_names_of_their_tables(world: World, green: str):
    instances = world.airflow.task_instances("green", green)
    assert {i["rendered_map_index"] for i in instances if i["task_id"] == "load"} == {"orders", "users"}


def test_no_log_shows_a_password(world: World, green: str, one_fails: str):
    logs = list(world.airflow.home.rglob("*.log"))
    assert sum("task_id=load" in str(path) for path in logs) >= 5
    assert [path for path in logs if PASSWORD in path.read_text(errors="replace")] == []


def test_a_run_with_one_failing_load_fails_and_the_last_task_waits_for_the_others(world: World, one_fails: str):
    assert world.airflow.states("one_fails", one_fails) == {
        "load[0]": "failed",
        "load[1]": "success",
        "load[2]": "success",
        "check": "upstream_failed",
        "notify_outcome": "success",
    }
    instances = {(i["task_id"], i["map_index"]): i for i in world.airflow.task_instances("one_fails", one_fails)}
    assert instances["load", 0]["end_date"] < instances["load", 1]["end_date"]
    assert instances["notify_outcome", -1]["start_date"] >= instances["load", 1]["end_date"]
    told = world.airflow.xcom("one_fails", one_fails, "notify_outcome")
    assert (told["outcome"], told["failed"]) == ("failed", ["load[0]"])
    assert "no_such_table" in told["text"]
    assert told["tables"] == {"public.orders": source_rows(world, "orders"), "public.users": source_rows(world, "users")}


def test_a_failed_task_has_its_diagnosis_in_its_own_log_and_in_the_outcome(world: World, one_fails: str):
    log = world.airflow.logs("one_fails", one_fails, "load", map_index=0)
    told = world.airflow.xcom("one_fails", one_fails, "notify_outcome")
    line = next(line for line in log.splitlines() if "Diagnosis: " in line)
    assert f"[{told['diagnosis']['cause']}: " in line
    assert told["diagnosis"]["evidence"] == "confirmed"
    assert told["diagnosis"]["title"] in line
    assert f"cause: {told['diagnosis']['title']}" in told["text"]
    assert "Diagnosis: " not in world.airflow.logs("one_fails", one_fails, "load", map_index=1)


def test_the_outcome_reaches_slack_where_there_is_a_connection(world: World, one_fails: str):
    told = world.airflow.xcom("one_fails", one_fails, "notify_outcome")
    assert world.slack.texts.count(told["text"]) == 1
    assert f"(run {one_fails})" in told["text"]


def test_without_a_slack_connection_the_outcome_is_in_the_log(world: World, green: str):
    log = world.airflow.logs("green", green, "notify_outcome")
    assert "green succeeded" in log
    assert "no connection 'slack_default'" in log


def test_a_configuration_error_is_not_tried_again(world: World, one_fails: str):
    failed = [i for i in world.airflow.task_instances("one_fails", one_fails) if i["state"] == "failed"]
    assert [(i["try_number"], i["max_tries"]) for i in failed] == [(1, 2)]


def test_a_worker_killed_in_mid_load_leaves_nothing_half_loaded_and_its_retry_completes(world: World, gate: Gate):
    run_id = world.airflow.trigger("killed")
    os.kill(task_in_mid_load(world, "killed", run_id), signal.SIGKILL)
    world.airflow.wait_for_task("killed", run_id, "load", states=("up_for_retry", "queued", "running"), timeout=30)
    assert loaded_rows(world, "raw_killed.orders") == 0
    assert world.airflow.wait("killed", run_id, timeout=90) == "success"
    assert_the_second_try_loaded_all(world, "killed", run_id)


def test_a_try_whose_worker_died_goes_on_and_writes_nothing_after_its_retry(world: World, gate: Gate):
    run_id = world.airflow.trigger("abandoned")
    task = task_in_mid_load(world, "abandoned", run_id)
    os.kill(parent(task), signal.SIGKILL)
    assert world.airflow.wait("abandoned", run_id, timeout=120) == "success"
    assert_the_second_try_loaded_all(world, "abandoned", run_id)
    gate.open()
    eventually(lambda: world.sessions("abandoned") == {}, 20)
    assert_the_second_try_loaded_all(world, "abandoned", run_id)
    with contextlib.suppress(ProcessLookupError):
        os.kill(task, signal.SIGKILL)  # it may wait for its worker for ever


def test_a_scheduler_that_is_restarted_inside_an_expand_loses_no_table_and_loads_none_twice(world: World, gate: Gate):
    run_id = world.airflow.trigger("restarted")
    task_in_mid_load(world, "restarted", run_id, map_index=0)
    world.airflow.wait_for_task("restarted", run_id, "load", states=("success",), timeout=30, map_index=1)
    world.airflow.restart_scheduler()
    assert loaded_rows(world, "raw_restarted.orders") == 0
    gate.open()
    assert world.airflow.wait("restarted", run_id, timeout=120) == "success"
    loads = "select map_index, rows_inserted from _rowferry.loads where target_table ~ 'raw_restarted' order by 1"
    assert world.rows(world.warehouse, loads) == [(0, source_rows(world, "orders")), (1, source_rows(world, "users"))]
    told = world.airflow.xcom("restarted", run_id, "notify_outcome")
    assert told["tables"] == {"public.orders": source_rows(world, "orders"), "public.users": source_rows(world, "users")}


def test_execution_timeout_cancels_the_statement_at_the_source(world: World):
    run_id = world.airflow.trigger("out_of_time_at_the_source")
    eventually(lambda: world.sessions("out_of_time_at_the_source").get("af_shop") == "active", 30)
    assert world.airflow.wait("out_of_time_at_the_source", run_id, timeout=30) == "failed"
    assert world.sessions("out_of_time_at_the_source") == {}
    log = world.airflow.logs("out_of_time_at_the_source", run_id, "load")
    assert logged_at(log, "AirflowTaskTimeout") - logged_at(log, "Process timed out") < timedelta(seconds=1)
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
    log = world.airflow.logs(dag_id, run_id, "load")
    assert logged_at(log, "AirflowTaskTimeout") - logged_at(log, "Process timed out") < timedelta(seconds=1)


def test_marking_a_task_failed_ends_its_statements_on_both_servers(world: World):
    run_id = world.airflow.trigger("marked_failed")
    eventually(lambda: world.sessions("marked_failed").get("af_shop") == "active", 30)
    assert set(world.sessions("marked_failed")) == {"af_shop", "af_warehouse"}
    world.airflow.mark_failed("marked_failed", run_id, "load")
    eventually(lambda: world.sessions("marked_failed") == {}, 10)  # a worker hears of it with its next heartbeat
    assert world.airflow.wait("marked_failed", run_id, timeout=30) == "failed"
    assert world.airflow.states("marked_failed", run_id) == {"load": "failed", "notify_outcome": "success"}
    assert world.airflow.xcom("marked_failed", run_id, "notify_outcome")["outcome"] == "failed"
    log = world.airflow.logs("marked_failed", run_id, "load")
    assert logged_at(log, "orders was cancelled") - logged_at(log, "Terminating process") < timedelta(seconds=1)
    assert loaded_rows(world, "raw_marked.orders") == 0


def task_in_mid_load(world: World, dag_id: str, run_id: str, map_index: int = -1) -> int:
    """Wait until rows of a load have arrived at the target; the pid of the task's process."""
    task = world.airflow.wait_for_task(dag_id, run_id, "load", states=("running",), timeout=30, map_index=map_index)
    arrived = (
        "select 1 from pg_stat_progress_copy join pg_stat_activity using (pid)"
        f" where tuples_processed > 0 and application_name like 'rowferry {dag_id}/%' and command = 'COPY FROM'"
    )
    eventually(lambda: world.rows(world.warehouse, arrived), 20)
    return task["pid"]


def assert_the_second_try_loaded_all(world: World, dag_id: str, run_id: str) -> None:
    assert world.airflow.task_instances(dag_id, run_id)[0]["try_number"] == 2
    n_orders = source_rows(world, "orders")
    assert loaded_rows(world, f"raw_{dag_id}.orders") == n_orders
    query = f"select run_id, try_number, rows_inserted from _rowferry.loads where target_table = 'raw_{dag_id}.orders'"
    assert world.rows(world.warehouse, query) == [(f"{dag_id}/load/{run_id}", 2, n_orders)]


def logged_at(log: str, text: str) -> datetime:
    """When the first line with `text` was written."""
    line = next(line for line in log.splitlines() if text in line)
    return datetime.fromisoformat(line.split()[0])


def parent(pid: int) -> int:
    # proc(5): the fields after the name, which stands in parentheses, are state and parent.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])


def source_rows(world: World, table: str) -> int:
    return world.rows(world.shop, f"select count(*) from {table}")[0][0]


def loaded_rows(world: World, table: str) -> int:
    """Rows in a target table; 0 where there is no such table yet."""
    if world.rows(world.warehouse, f"select to_regclass('{table}') is null") == [(True,)]:
        return 0
    return world.rows(world.warehouse, f"select count(*) from {table}")[0][0]
