"""A real Airflow of our own, for the demo and the tests: api-server, scheduler and dag-processor.

They run as processes with the LocalExecutor in a short temporary AIRFLOW_HOME, on free ports of
127.0.0.1, in an environment in which nothing of the user's own Airflow shows. What is asked of them
goes through the public REST API, as any user's client would.

    server.create_database("airflow")
    with Airflow(server.uri("airflow"), dags="dags", connections={"shop": server.uri("shop")}) as airflow:
        run_id = airflow.trigger("daily_etl")
        state = airflow.wait("daily_etl", run_id, timeout=120)
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rowferry.demo.servers import clean_environment, free_port
from rowferry.demo.warehouse import file_of
from rowferry.uri import is_duckdb

__all__ = ["Airflow", "AirflowError", "airflow_connection"]

FINISHED = ("success", "failed")
START_TIMEOUT_S = 120.0
_GUARD = Path(__file__).with_name("guard.py")
_POLL_S = 0.2
_REQUEST_TIMEOUT_S = 30.0
# Airflow asks at once for what it would otherwise ask for every few seconds: runs here last seconds, not hours.
_QUICK = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "15",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "20",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
}
_QUIET = {
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",  # runs start when they are triggered, never by the clock
    "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
    "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
}


class AirflowError(RuntimeError):
    """A component did not start, or the API refused a request; the message says which and why."""


class Airflow:
    """A running Airflow. Making one starts it; `stop` or the end of a `with` block ends it.

    Nothing outlives the process that made it, however that process ends. One thread at a time may use it.

    Args:
        metadata_uri: An empty `postgresql://` database for Airflow's own tables.
        dags: Folder of the DAG files.
        connections: Airflow connections by id, as URIs; visible to DAGs and tasks, not to anyone else.
        environment: Variables for every component, over all others.
        home: AIRFLOW_HOME; by default a temporary folder that `stop` removes.
    Attributes:
        url: Of the user interface and the API, without a trailing slash. Everybody on this machine is admin there.
        home: AIRFLOW_HOME, where `api-server.log`, `scheduler.log`, `dag-processor.log` and the tasks' logs are.
        start_seconds: From the first step until all components reported healthy, in seconds.
    Raises:
        AirflowError: A component did not become healthy.
    """

    def __init__(
        self,
        metadata_uri: str,
        *,
        dags: str | os.PathLike[str],
        connections: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        home: str | os.PathLike[str] | None = None,
    ) -> None:
        started = time.monotonic()
        self.home = Path(home) if home else Path(tempfile.mkdtemp(prefix="rf-af", dir="/tmp"))
        self._disposable = home is None
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._environment = self._make_environment(metadata_uri, Path(dags), connections or {}, environment or {})
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self._migrate()
            self._start("api-server", "--host", "127.0.0.1", "--port", str(port))
            self._start_scheduler()
            self._start("dag-processor")
            self._wait_until_healthy()
        except BaseException:
            self.stop(keep=True)
            raise
        self.start_seconds = time.monotonic() - started

    def __enter__(self) -> Airflow:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def stop(self, *, keep: bool = False) -> None:
        """End every process and, unless `keep`, remove a temporary AIRFLOW_HOME. May be called twice."""
        self._disposable = self._disposable and not keep
        processes, self._processes = self._processes, {}
        for process in processes.values():
            process.stdin.close()  # type: ignore[union-attr]  # the guard takes it from here
        for process in processes.values():
            process.wait()
        if self._disposable:
            shutil.rmtree(self.home, ignore_errors=True)

    def restart_scheduler(self) -> None:
        """End the scheduler with every task it runs, as when its container goes, and start another."""
        process = self._processes.pop("scheduler")
        process.stdin.close()  # type: ignore[union-attr]
        process.wait()
        self._start_scheduler()

    def trigger(self, dag_id: str, run_id: str | None = None, conf: Mapping[str, Any] | None = None) -> str:
        """Start a run of a DAG, waiting until the DAG has been parsed, and return its run_id."""
        self._wait_for_dag(dag_id)
        body = {"dag_run_id": run_id, "conf": dict(conf or {}), "logical_date": None}
        return self._post(f"dags/{dag_id}/dagRuns", {k: v for k, v in body.items() if k != "dag_run_id" or v})["dag_run_id"]

    def wait(self, dag_id: str, run_id: str, timeout: float) -> str:
        """Wait until a run has ended, at most `timeout` seconds; returns `success` or `failed`."""
        for _ in _until(timeout, lambda: f"{dag_id} {run_id} still runs: {self._unfinished(dag_id, run_id)}"):
            self._check_alive()
            state = self.dag_run(dag_id, run_id)["state"]
            if state in FINISHED:
                return state
        raise AssertionError("unreachable")

    def wait_for_task(
        self, dag_id: str, run_id: str, task_id: str, *, states: tuple[str, ...], timeout: float, map_index: int = -1
    ) -> dict[str, Any]:
        """Wait until a task instance is in one of `states`, and return it."""
        for _ in _until(timeout, lambda: f"{task_id} is not {' or '.join(states)}: {self._unfinished(dag_id, run_id)}"):
            self._check_alive()
            for instance in self.task_instances(dag_id, run_id):
                if (instance["task_id"], instance["map_index"]) == (task_id, map_index) and instance["state"] in states:
                    return instance
        raise AssertionError("unreachable")

    def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        """A run as the API shows it."""
        return self._get(f"dags/{dag_id}/dagRuns/{_quoted(run_id)}")

    def task_instances(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        """All task instances of a run, mapped ones included, as the API shows them."""
        path = f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances"
        found: list[dict[str, Any]] = []
        while True:
            page = self._get(f"{path}?limit=100&offset={len(found)}")
            found += page["task_instances"]
            if len(found) >= page["total_entries"] or not page["task_instances"]:
                return found

    def states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        """State by task, `task_id` or `task_id[map_index]`."""
        return {_name(instance): instance["state"] for instance in self.task_instances(dag_id, run_id)}

    def mark_failed(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> None:
        """What the user's button does: set the instance failed; a running one is then ended by its worker."""
        index = "" if map_index < 0 else f"/{map_index}"
        self._call("PATCH", f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}{index}", {"new_state": "failed"})

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, key: str = "return_value") -> Any:
        """The value that a task instance pushed.

        Raises:
            AirflowError: It pushed none.
        """
        path = f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/xcomEntries/{key}"
        return self._get(f"{path}?map_index={map_index}&deserialize=true")["value"]

    def logs(self, dag_id: str, run_id: str, task_id: str, *, map_index: int = -1, try_number: int = 1) -> str:
        """A try's log, one event a line, its time (ISO 8601, UTC) first."""
        path = f"dags/{dag_id}/dagRuns/{_quoted(run_id)}/taskInstances/{task_id}/logs/{try_number}"
        content = self._get(f"{path}?map_index={map_index}")["content"]
        return "\n".join(line if isinstance(line, str) else _log_line(line) for line in content)

    def _migrate(self) -> None:
        done = self._spawn("db", ["db", "migrate"])
        status = done.wait()
        done.stdin.close()  # type: ignore[union-attr]
        if status != 0:
            raise AirflowError(f"airflow db migrate failed:\n{self._log_tail('db')}")

    def _start_scheduler(self) -> None:
        # The log server would be one more process and port; the api-server reads the same files.
        self._start("scheduler", "--skip-serve-logs")

    def _start(self, component: str, *arguments: str) -> None:
        self._processes[component] = self._spawn(component, [component, *arguments])

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        with open(self.home / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-I", str(_GUARD), sys.executable, "-m", "airflow", *arguments],
                env=self._environment,
                cwd=self.home,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end Airflow in our own time
            )

    def _wait_until_healthy(self) -> None:
        for _ in _until(START_TIMEOUT_S, lambda: f"Airflow in {self.home} is not healthy: {self._health()}"):
            self._check_alive()
            health = self._health()
            parts = ("metadatabase", "scheduler", "dag_processor")
            if all((health.get(part) or {}).get("status") == "healthy" for part in parts):
                return

    def _health(self) -> dict[str, Any]:
        try:
            return self._get("monitor/health")
        except (AirflowError, OSError):
            return {}

    def _check_alive(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise AirflowError(f"{name} ended with status {process.returncode}:\n{self._log_tail(name)}")

    def _wait_for_dag(self, dag_id: str) -> None:
        for _ in _until(START_TIMEOUT_S, lambda: f"no DAG {dag_id} in {self._environment['AIRFLOW__CORE__DAGS_FOLDER']}"):
            self._check_alive()
            if broken := self._get("importErrors")["import_errors"]:
                raise AirflowError(f"{broken[0]['filename']} cannot be imported:\n{broken[0]['stack_trace']}")
            with contextlib.suppress(AirflowError):
                self._get(f"dags/{dag_id}")
                return

    def _unfinished(self, dag_id: str, run_id: str) -> str:
        states = self.states(dag_id, run_id)
        return ", ".join(f"{name} {state}" for name, state in states.items() if state not in FINISHED)

    def _get(self, path: str) -> Any:
        return self._call("GET", path)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.url}/api/v2/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Accept": "application/json"},
        )
        try:
            with _direct.open(request, timeout=_REQUEST_TIMEOUT_S) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            raise AirflowError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None

    def _log_tail(self, name: str, n_lines: int = 30) -> str:
        lines = (self.home / f"{name}.log").read_text(errors="replace").splitlines()
        return "\n".join(lines[-n_lines:])

    def _make_environment(
        self, metadata_uri: str, dags: Path, connections: Mapping[str, str], extra: Mapping[str, str]
    ) -> dict[str, str]:
        ours = {
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(dags.absolute()),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": "",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _sqlalchemy(metadata_uri),
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            # Not served here; free all the same, so that a component that does serve them meets nobody.
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_SERVER_PORT": str(free_port()),
            "AIRFLOW__COSMOS__CACHE_DIR": str(self.home / "cosmos"),  # by default one folder for all, in /tmp
            "PYTHONDONTWRITEBYTECODE": "",  # compiling Airflow anew in each process doubles the time to start
            **_QUIET,
            **_QUICK,
            **{f"AIRFLOW_CONN_{name.upper()}": airflow_connection(uri) for name, uri in connections.items()},
        }
        return clean_environment({**ours, **extra})


# Straight to 127.0.0.1, whatever proxy the environment names.
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _until(seconds: float, complaint: Callable[[], str]) -> Iterator[None]:
    """Yields every 0.2 s until `seconds` are over, then raises an AirflowError with the complaint."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(_POLL_S)
    raise AirflowError(f"{complaint()} (after {seconds:.0f} s)")


def _quoted(text: str) -> str:
    return urllib.parse.quote(text, safe="")


def _name(instance: Mapping[str, Any]) -> str:
    index = instance["map_index"]
    return instance["task_id"] if index < 0 else f"{instance['task_id']}[{index}]"


def _log_line(event: Mapping[str, Any]) -> str:
    """The event's time, level and text, then its other fields."""
    head = [str(event[key]) for key in ("timestamp", "level", "event") if event.get(key)]
    fields = {key: value for key, value in event.items() if key not in ("timestamp", "level", "event", "logger")}
    return " ".join([*head, json.dumps(fields)] if fields else head)


def _sqlalchemy(uri: str) -> str:
    return "postgresql+psycopg2://" + uri.partition("://")[2]


def airflow_connection(uri: str) -> str:
    """A job's URI as Airflow writes it: for a server both put host, user and parameters in the same places."""
    if is_duckdb(uri):
        return "duckdb://" + _quoted(str(file_of(uri)))
    return "postgres://" + uri.partition("://")[2] if uri.startswith("postgresql://") else uri
