"""Make the logs of this folder: run every DAG of `dags/` and parse every file of `broken/` under a real Airflow.

    python tests/diagnosis/airflow/provoke.py 3 OUT                    Airflow of this environment
    python tests/diagnosis/airflow/provoke.py 2 OUT --airflow2 VENV    Airflow 2.11 and what DAGs need, in an environment of its own

`--dbt` names the dbt of an environment of its own, for the DAGs that run one from elsewhere.

What is written to OUT: `DAG.TASK[.MAP].log` for each task and `….TRY.log` for later tries, `DAG.states.log` as the command line shows
a run, `scheduler.NAME.log` for what the scheduler said of one of them, and `import.NAME.log` for each broken file. Folders, hosts and
ports are those of no machine. `three/` and `two/` hold what is kept of two such runs, with what it has to be diagnosed as.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from rowferry.demo.airflow import Airflow, AirflowError
from rowferry.demo.servers import Server, clean_environment, start_postgres

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent.parent))

from airflow_2 import settings_of_airflow_2  # noqa: E402

SECONDS = 420  # that a run may take, all running at once
RUN_ID = "manual__1"
STUCK = ("pool_is_too_small", "no_such_pool", "starts_in_the_future")
EXCERPTS = {  # of the scheduler's log, which tells of all DAGs at once
    "no_such_pool": "snowflake_pool",
    "pool_is_full": "^(?!.*pool_is_too_small).*(?:one_slot|pool_is_full)",
    "pool_is_too_small": "pool_is_too_small",
    "run_out_of_time": "run_out_of_time",
    "supervisor_gone": "supervisor_gone|without a? ?heartbeat",
    "well_maps": r"well_maps\b",
}
_DAG_ID = re.compile(r"""(?:DAG\(|^    ")"?(\w+)"[,:]""", re.M)
SLOW = "slow_to_import"  # of the files in `broken/`
IMPORT_S = 3  # that it may take
MOVED = {"DIAGNOSIS_START": "2099-01-01T00:00:00+00:00", "AIRFLOW__CORE__MIN_SERIALIZED_DAG_UPDATE_INTERVAL": "0"}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("version", type=int, choices=(2, 3))
    arguments.add_argument("out", type=Path)
    arguments.add_argument("--airflow2", type=Path)
    arguments.add_argument("--dbt", type=Path, default=Path(sys.prefix) / "bin" / "dbt")
    arguments.add_argument("--only", nargs="*")
    given = arguments.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rf-diag", dir="/tmp"))
    (folder / "home").mkdir()
    try:
        with start_postgres() as warehouse, start_postgres(settings={"max_connections": 12}) as crowded:
            environment = {**make_environment(folder, warehouse, crowded), "DIAGNOSIS_DBT": str(given.dbt.absolute())}
            if given.version == 3:
                with_airflow_3(folder, warehouse, environment, given.out, given.only)
            else:
                with_airflow_2(folder, warehouse, environment, given.out, given.only, given.airflow2 / "bin")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_environment(folder: Path, warehouse: Server, crowded: Server) -> dict[str, str]:
    """Connections and settings of the DAGs; the dbt project is copied and parsed."""
    project = shutil.copytree(HERE / "dbt", folder / "small", ignore=shutil.ignore_patterns("target", "logs"))
    (project / "profiles.yml").write_text(
        "small: {target: dev, outputs: {dev: {type: postgres, host: 127.0.0.1, port: 1, user: u, password: p, dbname: d, schema: s}}}\n"
    )
    parse = ["dbt", "parse", "--project-dir", project, "--profiles-dir", project, "--target-path", project / "target"]
    subprocess.run(parse, check=True, env=clean_environment(), cwd=project, stdout=subprocess.DEVNULL)
    warehouse.admin("create role stranger login password 'right'")
    warehouse.require_password("stranger")
    at = f"127.0.0.1:{warehouse.port}/postgres"
    return {
        "AIRFLOW_CONN_WAREHOUSE": f"postgres://postgres:none@{at}",
        "AIRFLOW_CONN_STRANGER": f"postgres://stranger:wrong@{at}",
        "AIRFLOW_CONN_CROWDED": f"postgres://postgres:none@127.0.0.1:{crowded.port}/postgres",
        "AIRFLOW_CONN_NOWHERE": "postgres://postgres:none@127.0.0.1:1/postgres",
        "AIRFLOW_CONN_FILES": json.dumps({"conn_type": "fs", "extra": {"path": "/"}}),
        "DIAGNOSIS_DBT_PROJECT": str(project),
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "60",
        "AIRFLOW__ROWFERRY__DIAGNOSE": "False",  # the logs are to be diagnosed, and not to hold a diagnosis
    }


def dag_ids(only: list[str] | None) -> list[str]:
    found = [name for path in sorted((HERE / "dags").glob("*.py")) for name in _DAG_ID.findall(path.read_text())]
    return [name for name in found if not only or name in only]


def with_airflow_3(folder: Path, server: Server, environment: Mapping[str, str], out: Path, only: list[str] | None) -> None:
    metadata = server.create_database("metadata")
    with Airflow(metadata, dags=HERE / "dags", environment=environment, home=folder / "home") as airflow:
        airflow._start("triggerer", "--skip-serve-logs")  # Cosmos watches there
        airflow._post("pools", {"name": "one_slot", "slots": 1, "description": "", "include_deferred": False})
        ran = dag_ids(only)
        for dag_id in ran:
            start(airflow, dag_id)
        wait([(dag_id, lambda d=dag_id: airflow.dag_run(d, RUN_ID)["state"]) for dag_id in ran if dag_id not in STUCK])

        def command(*words: str, **more: str) -> str:
            return run([sys.executable, "-m", "airflow", *words], {**airflow._environment, **more})

        keep(folder, airflow.home, out, command, ran)
        if not only:
            keep_broken(folder, out, [sys.executable, "-m", "airflow"], airflow._environment)
        if not only or SLOW in only:
            keep_slow(folder, out, [sys.executable, "-m", "airflow"], airflow._environment)


def start(airflow: Airflow, dag_id: str) -> None:
    for _ in range(5):
        try:
            if dag_id == "starts_in_the_future":  # a run without a date is never before one
                airflow._wait_for_dag(dag_id)
                airflow._post(f"dags/{dag_id}/dagRuns", {"dag_run_id": RUN_ID, "logical_date": "2026-01-02T00:00:00Z"})
            else:
                airflow.trigger(dag_id, RUN_ID)
        except TimeoutError:  # of a busy machine
            continue
        except AirflowError as error:
            if ": 409 " not in str(error):
                raise
        return


def with_airflow_2(folder: Path, server: Server, given: Mapping[str, str], out: Path, only: list[str] | None, scripts: Path) -> None:
    """The scheduler of 2.11 parses and runs; there is no web server."""
    home = folder / "home"
    metadata = server.create_database("metadata2")
    environment = clean_environment(
        {
            **given,
            **settings_of_airflow_2(home, HERE / "dags", metadata, scripts),
            "AIRFLOW__CORE__PARALLELISM": "8",
            "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
            "AIRFLOW__SCHEDULER__SCHEDULER_ZOMBIE_TASK_THRESHOLD": "12",
            "AIRFLOW__SCHEDULER__ZOMBIE_DETECTION_INTERVAL": "4",
            "AIRFLOW__SCHEDULER__LOCAL_TASK_JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__SCHEDULER__JOB_HEARTBEAT_SEC": "2",
            "AIRFLOW__METRICS__TIMER_UNIT_CONSISTENCY": "True",
            "PYTHONWARNINGS": "ignore",
        }
    )

    def command(*words: str, **more: str) -> str:
        return run([str(scripts / "airflow"), *words], {**environment, **more})

    command("db", "migrate")
    command("pools", "set", "one_slot", "1", "-")
    ran = dag_ids(only)
    with open(home / "scheduler.log", "ab") as log:
        scheduler = subprocess.Popen([scripts / "airflow", "scheduler"], env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        until(120, lambda: all(dag_id in command("dags", "list") for dag_id in ran[-1:]))
        time.sleep(5)  # for the files that are parsed after the first
        trigger = f"import sys\nfrom airflow.api.client.local_client import Client\nfor d in sys.argv[1:]: Client(None, None).trigger_dag(d, run_id={RUN_ID!r})"
        run([str(scripts / "python"), "-c", trigger, *ran], environment)
        state = (
            "import json\nfrom airflow.models import DagRun\nfrom airflow.utils.session import create_session\n"
            "with create_session() as s: print('STATES', json.dumps({r.dag_id: r.state for r in s.query(DagRun)}))"
        )

        def states() -> dict[str, str]:
            return json.loads(run([str(scripts / "python"), "-c", state], environment).rpartition("STATES ")[2])

        until(SECONDS + 60, lambda: all(s in ("success", "failed") for d, s in states().items() if d not in STUCK))
        keep(folder, home, out, command, ran)
    finally:
        os.killpg(scheduler.pid, 15)
        scheduler.wait()
    if not only:
        keep_broken(folder, out, [str(scripts / "airflow")], environment)
    if not only or SLOW in only:
        keep_slow(folder, out, [str(scripts / "airflow")], environment)


def wait(runs: list[tuple[str, object]]) -> None:
    for dag_id, state in runs:
        until(SECONDS, lambda state=state: state() in ("success", "failed"), dag_id)


def until(seconds: float, true: object, what: str = "") -> None:
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            print(f"given up: {what}", file=sys.stderr)
            return
        time.sleep(1)


def run(words: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(words, env=dict(environment), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def keep(folder: Path, home: Path, out: Path, command: object, ran: list[str]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for path, name in task_logs(home / "logs"):
        write(out / name, path.read_text(errors="replace"), folder)
    scheduler = (home / "scheduler.log").read_text(errors="replace").splitlines()
    for name, pattern in EXCERPTS.items():
        found = [line for line in scheduler if re.search(pattern, line)]
        write(out / f"scheduler.{name}.log", "\n".join([*found[:60], ""]), folder)
    for dag_id in ("upstream", "cosmos_in_a_subprocess", "leaf_hides_it", "pool_is_full"):
        if dag_id in ran:
            write(out / f"{dag_id}.states.log", command("tasks", "states-for-dag-run", dag_id, RUN_ID, "-o", "plain"), folder)
    for dag_id, task_id in (("upstream", "publish"), ("no_such_pool", "load"), ("starts_in_the_future", "never"), ("pool_is_too_small", "load")):
        if dag_id in ran:
            moved = MOVED if dag_id == "starts_in_the_future" else {}
            if moved:
                command("dags", "reserialize", **moved)
            write(out / f"{dag_id}.failed_deps.log", command("tasks", "failed-deps", dag_id, task_id, RUN_ID, **moved), folder)


def task_logs(logs: Path) -> Iterator[tuple[Path, str]]:
    for path in sorted(logs.glob("dag_id=*/run_id=*/**/attempt=*.log")):
        parts = dict(part.partition("=")[::2] for part in path.relative_to(logs).with_suffix("").parts)
        index = f".{parts['map_index']}" if "map_index" in parts else ""
        again = f".{parts['attempt']}" if parts["attempt"] != "1" else ""
        yield path, f"{parts['dag_id']}.{parts['task_id']}{index}{again}.log"


def keep_broken(folder: Path, out: Path, airflow: list[str], environment: Mapping[str, str]) -> None:
    """What the page shows of DAG files that cannot be imported."""
    files = HERE / "broken"
    told = run([*airflow, "dags", "list-import-errors", "-o", "json"], {**environment, "AIRFLOW__CORE__DAGS_FOLDER": str(files)})
    for error in json.loads(told[told.index("[{") :]):
        name = Path(error["filepath"]).stem
        write(out / f"import.{name}.log", f"Broken DAG: [{error['filepath']}]\n{error['error']}\n", folder)


def keep_slow(folder: Path, out: Path, airflow: list[str], given: Mapping[str, str]) -> None:
    """A file that takes too long, for the time-out of its import and for that of the process that parses it."""
    dags = folder / SLOW
    dags.mkdir()
    shutil.copy(HERE / "broken" / f"{SLOW}.py", dags)
    environment = {**given, "AIRFLOW__CORE__DAGS_FOLDER": str(dags), "AIRFLOW__SCHEDULER__STANDALONE_DAG_PROCESSOR": "True"}
    settings = {
        "import": {"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": str(IMPORT_S)},
        "processor": {f"AIRFLOW__{section}__DAG_FILE_PROCESSOR_TIMEOUT": str(IMPORT_S) for section in ("CORE", "DAG_PROCESSOR")},
    }
    for name, timeout in settings.items():
        logs = folder / f"{SLOW}_{name}"
        places = {
            "AIRFLOW__LOGGING__DAG_PROCESSOR_CHILD_PROCESS_LOG_DIRECTORY": str(logs),
            "AIRFLOW__SCHEDULER__CHILD_PROCESS_LOG_DIRECTORY": str(logs),  # Airflow 2
            "AIRFLOW__LOGGING__DAG_PROCESSOR_MANAGER_LOG_LOCATION": str(logs / "manager.log"),  # likewise
        }
        said = run([*airflow, "dag-processor", "--num-runs", "1"], {**environment, **timeout, **places})
        write(out / f"dag_processor.{SLOW}_{name}.log", said.replace(str(dags), "/opt/airflow/dags"), folder)
        if (logs / "manager.log").is_file():
            write(out / f"dag_manager.{SLOW}_{name}.log", (logs / "manager.log").read_text().replace(str(dags), "/opt/airflow/dags"), folder)
        for path in logs.rglob(f"{SLOW}.py.log"):
            if not path.parent.is_symlink() and path.stat().st_size:
                write(out / f"dag_file.{SLOW}_{name}.log", path.read_text().replace(str(dags), "/opt/airflow/dags"), folder)


def write(path: Path, text: str, folder: Path) -> None:
    path.write_text(normalised(text, folder))


def normalised(text: str, folder: Path) -> str:
    """Without this machine's folders, name, ports and times of day that would differ at each run."""
    for place, name in (
        (str(folder / "home"), "/opt/airflow"),
        (str(HERE / "dags"), "/opt/airflow/dags"),
        (str(HERE / "broken"), "/opt/airflow/dags"),
        (str(folder), "/opt"),
        (sys.prefix, "/usr/local"),
        (os.path.dirname(os.__file__), "/usr/lib/python3.11"),
        (socket.gethostname(), "worker-1"),
    ):
        text = text.replace(place, name)
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"(?<=port )\d{5}\b|(?<=127\.0\.0\.1:)\d{5}\b", "5432", text)
    return re.sub(r"/tmp/[\w.-]*?(?=/|\s|$)", "/tmp/x", text)


if __name__ == "__main__":
    main()
