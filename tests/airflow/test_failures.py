"""What a real Airflow is told of failures that no exception explains: a dbt node inside Cosmos, a dead process, a sensor that waited in vain."""

from __future__ import annotations

import os
from datetime import datetime

import pytest
from conftest import World

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module", autouse=True)
def dying(world: World) -> str:
    """The run_id of a run whose workers die; a heartbeat counts as lost after 20 s, in which the other tests run."""
    return world.airflow.trigger("workers_die")


def test_a_cosmos_task_has_the_node_and_the_root_cause_of_its_failure_in_its_own_log(world: World):
    run_id = world.airflow.trigger("broken_model")
    assert world.airflow.wait("broken_model", run_id, timeout=90) == "failed"
    log = world.airflow.logs("broken_model", run_id, "dbt.averages_run")
    told = world.airflow.xcom("broken_model", run_id, "notify_outcome")
    line = next(line for line in log.splitlines() if "Diagnosis: " in line)
    assert "[division_by_zero: confirmed" in line
    assert "orders" in line  # the denominator, which only the compiled SQL has
    assert "failed: model.small.averages" in log
    assert "nullif(orders, 0)" in log.lower()  # the change of the model's file
    assert (told["diagnosis"]["cause"], told["diagnosis"]["node"]) == ("division_by_zero", "model.small.averages")
    assert told["diagnosis"]["diff"].startswith("--- a/models/averages.sql")


def test_a_sensor_that_waited_in_vain_says_when_that_last_came(world: World):
    came = world.airflow.trigger("comes_once")
    assert world.airflow.wait("comes_once", came, timeout=60) == "success"
    ended = next(i["end_date"] for i in world.airflow.task_instances("comes_once", came) if i["task_id"] == "check")
    folder = world.folder / "exports"
    folder.mkdir()
    (folder / "orders_of_yesterday.csv").write_text("1")
    os.utime(folder / "orders_of_yesterday.csv", (1767225600, 1767225600))

    run_id = world.airflow.trigger("waits_in_vain")
    assert world.airflow.wait("waits_in_vain", run_id, timeout=60) == "failed"
    of_dag, of_file = (world.airflow.logs("waits_in_vain", run_id, task_id) for task_id in ("for_a_dag", "for_a_file"))
    assert "[sensor_timeout: confirmed" in of_dag
    assert f"the last success of the task check of DAG comes_once: run {came}" in of_dag
    assert f"ended at {datetime.fromisoformat(ended):%Y-%m-%d %H:%M:%S} UTC" in of_dag
    assert f"the newest *.csv in {folder} is orders_of_yesterday.csv, of 2026-01-01 00:00:00 UTC" in of_file


def test_the_outcome_explains_tasks_whose_process_was_killed_or_whose_heartbeat_was_lost(world: World, dying: str):
    assert world.airflow.wait("workers_die", dying, timeout=90) == "failed"
    told = world.airflow.xcom("workers_die", dying, "notify_outcome")
    assert sorted(told["failed"]) == ["killed", "lost"]
    assert told["not_run"] == {"after": ["killed", "lost"]}
    assert "Not run, because killed, lost failed: after" in told["text"]
    causes = dict(zip([line.partition(":")[0][2:] for line in told["text"].splitlines() if line.startswith("✗")], _causes(told["text"]), strict=True))
    assert "Something killed the process; most likely memory ran out (hypothesis" in causes["killed"]
    assert "(hypothesis" in causes["lost"]
    assert "no heartbeat" in causes["lost"] or "stopped reporting" in causes["lost"]


def _causes(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("   cause: ")]
