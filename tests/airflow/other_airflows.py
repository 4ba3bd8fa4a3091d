"""The listener in an Airflow 2.11 and an Airflow 3, with dbt watched by Cosmos: what it writes into a failed task's log, and that its own failure is none.

`make soak` runs these; `make test` has no time to install another Airflow. By hand: `python -m pytest tests/airflow/other_airflows.py`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from airflow_2 import settings_of_airflow_2
from conftest import parsing

import rowferry.demo.airflow
from rowferry.demo.airflow import FINISHED, Airflow, airflow_connection
from rowferry.demo.servers import Server, clean_environment

ROOT = Path(__file__).parents[2]
GUARD = Path(rowferry.demo.airflow.__file__).with_name("guard.py")
UV = Path(sys.executable).with_name("uv")
RUN_S = 300
START_S = 180

TRIGGER = "import sys; from airflow.api.client.local_client import Client; Client(None, None).trigger_dag(sys.argv[1], run_id=sys.argv[2])"


class Airflow2:
    """A scheduler of 2.11 in an environment of its own, without a web server: states come from its database, logs from its folder."""

    def __init__(self, metadata: str, scripts: Path, environment: dict[str, str], home: Path) -> None:
        self.metadata, self.scripts, self.environment, self.home = metadata, scripts, environment, home

    def trigger(self, dag_id: str) -> str:
        self._until(START_S, lambda: self._ask("select 1 from serialized_dag where dag_id = %s", dag_id))
        self.call("python", "-c", TRIGGER, dag_id, f"manual__{dag_id}")
        return f"manual__{dag_id}"

    def wait(self, dag_id: str, run_id: str, timeout: float) -> str:
        query = "select state from dag_run where dag_id = %s and run_id = %s and state = any(%s)"
        return self._until(timeout, lambda: self._ask(query, dag_id, run_id, list(FINISHED)))[0][0]

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, object]]:
        query = "select task_id, state, try_number, end_date from task_instance where dag_id = %s and run_id = %s"
        return [dict(zip(("task_id", "state", "try_number", "end_date"), row, strict=True)) for row in self._ask(query, dag_id, run_id)]

    def logs(self, dag_id: str, run_id: str, task_id: str, *, try_number: int = 1) -> str:
        return (self.home / f"logs/dag_id={dag_id}/run_id={run_id}/task_id={task_id}/attempt={try_number}.log").read_text()

    def call(self, script: str, *arguments: str) -> None:
        done = subprocess.run([self.scripts / script, *arguments], env=self.environment, cwd=self.home, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def _ask(self, query: str, *values: object) -> list[tuple]:
        with psycopg.connect(self.metadata) as connection:
            return connection.execute(query, values).fetchall()

    def _until(self, seconds: float, asked) -> list[tuple]:
        deadline = time.monotonic() + seconds
        while not (found := asked()):
            assert time.monotonic() < deadline, f"not within {seconds} s: {(self.home / 'scheduler.log').read_text()[-4000:]}"
            time.sleep(0.5)
        return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("others")
    (folder / "dags").mkdir()
    here = Path(__file__).parent
    for name in ("other_dags.py", "dags/small_dbt.py"):
        shutil.copy(here / name, folder / "dags")
    return folder


@pytest.fixture(scope="module", params=["2.11", "3"])
def airflow(request: pytest.FixtureRequest, folder: Path, pg18: Server) -> Iterator[Airflow | Airflow2]:
    name = f"others_{request.param[0]}"
    project, parsed = parsing(folder / name)
    warehouse = pg18.create_database(name).replace("postgres@", "postgres:none@")  # Cosmos wants a password, PostgreSQL here none
    assert parsed.wait() == 0
    environment = {"ROWFERRY_TEST_DBT_PROJECT": str(project)}
    metadata = pg18.create_database(f"{name}_metadata")
    if request.param == "3":
        with Airflow(metadata, dags=folder / "dags", connections={"warehouse": warehouse}, environment=environment) as airflow:
            yield airflow
    else:
        with airflow_2(metadata, folder, {**environment, "AIRFLOW_CONN_WAREHOUSE": airflow_connection(warehouse)}) as airflow:
            yield airflow


@contextmanager
def airflow_2(metadata: str, folder: Path, environment: dict[str, str]) -> Iterator[Airflow2]:
    scripts, home = environment_of_2(folder / "venv"), folder / "home"
    home.mkdir()
    environment = clean_environment(
        {
            **environment,
            **settings_of_airflow_2(home, folder / "dags", metadata, scripts),
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "120",
            "AIRFLOW__COSMOS__CACHE_DIR": str(home / "cosmos"),
        }
    )
    airflow = Airflow2(metadata, scripts, environment, home)
    airflow.call("airflow", "db", "migrate")
    with open(home / "scheduler.log", "ab") as log:
        command = [sys.executable, "-I", GUARD, scripts / "airflow", "scheduler", "--skip-serve-logs"]
        scheduler = subprocess.Popen(command, env=environment, cwd=home, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
    try:
        yield airflow
    finally:
        scheduler.stdin.close()  # the guard ends it, as it would if we died
        scheduler.wait()


def environment_of_2(venv: Path) -> Path:
    """Where its commands are. What is installed of this checkout here is so there too."""
    if sys.version_info >= (3, 13):
        pytest.skip("Airflow 2.11 knows no Python newer than 3.12")
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, venv], check=True)
    subprocess.run([UV, "pip", "install", "--quiet", "--python", venv / "bin/python", "--requirement", ROOT / ".ci/pins/airflow-2.11.txt"], check=True)
    here, there = Path(sysconfig.get_path("purelib")), next(venv.glob("lib/python*/site-packages"))
    for ours in here.glob("*rowferry*"):
        shutil.copytree(ours, there / ours.name) if ours.is_dir() else shutil.copy(ours, there)
    return venv / "bin"


def test_a_failed_task_has_its_diagnosis_in_its_own_log(airflow):
    run_id = airflow.trigger("fails")
    assert airflow.wait("fails", run_id, timeout=RUN_S) == "failed"
    log = airflow.logs("fails", run_id, "load")
    line = next(line for line in log.splitlines() if "Diagnosis: " in line)
    assert "json cannot write an object of type Order" in line and ": confirmed, " in line
    assert "  fix: " in log
    assert log.count("Diagnosis: ") == 1


def test_a_listener_that_raises_changes_nothing_of_the_tasks_failure(airflow):
    dag_id = "fails_with_its_listener"
    run_id = airflow.trigger(dag_id)
    assert airflow.wait(dag_id, run_id, timeout=RUN_S) == "failed"
    (load,) = airflow.task_instances(dag_id, run_id)
    assert (load["state"], load["try_number"]) == ("failed", 2)
    assert load["end_date"] is not None
    for n in (1, 2):
        log = airflow.logs(dag_id, run_id, "load", try_number=n)
        assert log.count("the listener raises now") == 1
        assert "Object of type Order is not JSON serializable" in log
        assert "Diagnosis: " not in log
        assert "no memory for this" not in log  # nor does Airflow have to deal with it


def test_a_model_that_cosmos_watches_has_the_diagnosis_in_the_log_of_its_own_task(airflow):
    run_id = airflow.trigger("watched")
    assert airflow.wait("watched", run_id, timeout=RUN_S) == "failed"
    states = {instance["task_id"]: instance["state"] for instance in airflow.task_instances("watched", run_id)}
    assert states["dbt.averages_run"] == "failed", json.dumps(states)
    log = airflow.logs("watched", run_id, "dbt.averages_run")
    line = next(line for line in log.splitlines() if "Diagnosis: " in line)
    assert "[division_by_zero: confirmed" in line
    assert "averages" in log[log.index("Diagnosis: ") :]
