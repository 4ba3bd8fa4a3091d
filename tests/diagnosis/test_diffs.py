"""Every diff that is proposed for a log of the corpus, or for a held-out one, is applied; its model then runs and gives the right rows.

A diff takes the dbt project behind the log: those of servers/ and of held_out.jsonl stand in dbt_projects.py, that of airflow/ in airflow/dbt.
Those that can run side by side share a folder, so that dbt runs a few times and not once a log.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from dbt_projects import HELD_OUT, SERVERS, write

from rowferry import diagnose
from rowferry.demo.servers import Server
from rowferry.diagnosis.enrich import ENRICHERS

HERE = Path(__file__).parent
NARROW, WIDE = 'run --vars {"wide":false}', 'run --vars {"wide":true}'
RUNS = {  # in the folders that several logs share; in the last run all fails that is to be mended
    "airflow": ("run",),
    "clinic": (f"{NARROW} --exclude p", f"{WIDE} --exclude p"),  # p imports pandas, for seconds, and no diff is for Python
    "shop": (NARROW, WIDE),
    "shop_pg": ("run --target pg", "run --target pg"),
}
ROWS: dict[tuple[str, str], list[dict[str, object]]] = {  # of each model that a diff is proposed for, by its folder and name
    ("airflow", "averages"): [{"day": 1, "average_cents": None}],
    ("clinic", "avg_wait"): [{"wait": 20.0}],
    ("clinic", "c"): [{"id": 1}],
    ("clinic", "i"): [{"id": 1, "minutes": 20}, {"id": 1, "minutes": None}],
    ("clinic_noref", "x"): [{"id": 1, "minutes": 20}],
    ("shop", "totals"): [{"order_id": 1, "total_amount": 10}],
    ("shop", "widened"): [{"order_id": 1, "total": 2}, {"order_id": 1, "total": None}],
    ("shop_pg", "averages"): [{"order_id": 1, "mean_total": None}],
    ("shop_ref_not_found", "totals"): [{"order_id": 1, "total": 10, "items": 0, "status": "new"}],
}
POSTGRES = {"airflow": "dwh", "shop_pg": "dwh"}  # the schemas there; of the others a DuckDB file has the rows
AIRFLOW = {str(path.relative_to(HERE / "airflow/dbt")): path.read_text() for path in (HERE / "airflow/dbt").rglob("*.*")} | {
    "profiles.yml": "small: {{outputs: {{dev: {{type: postgres, host: 127.0.0.1, port: {port}, user: {user}, password: '', dbname: {dbname}, schema: dwh}}}}, target: dev}}"
}
HELD = {log["name"]: log["log"] for log in map(json.loads, (HERE / "held_out.jsonl").read_text(encoding="utf-8").splitlines())}

Dbt = Callable[[Path, str], str]
Results = dict[str, dict[str, str]]
"""Entries of run_results.json by the names of their models."""


@dataclass
class Folder:
    """A dbt project, or several in one.

    Attributes:
        logs: Of the project, by name.
        diffs: Proposed for each log, by model; `without_log` those of dbt's artifacts alone.
        before, after: The results of the last run that failed, and of the one with the diffs applied.
    """

    path: Path
    runs: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)
    logs: dict[str, str] = field(default_factory=dict)
    diffs: dict[str, dict[str, str]] = field(default_factory=dict)
    without_log: dict[str, str] = field(default_factory=dict)
    before: Results = field(default_factory=dict)
    after: Results = field(default_factory=dict)

    def add(self, name: str, log: str, files: dict[str, str]) -> None:
        self.logs[name] = log
        for file, text in files.items():
            assert self.files.setdefault(file, text) == text, f"{name} has another {file} than the logs it shares a folder with"

    @property
    def target(self) -> Path:
        return self.path / "target"

    @property
    def mended(self) -> set[str]:
        return {model for found in self.diffs.values() for model in found}

    def artifact(self, name: str) -> dict[str, Any]:
        path = self.target / f"{name}.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def results(self) -> Results:
        return {result["unique_id"].split(".")[2]: result for result in self.artifact("run_results").get("results", ())}


def _leading_to_diffs(folder: str, prefix: str) -> dict[str, str]:
    """The logs of a folder of the corpus with a cause that enrich.py adds to, which is the only way to a diff; test_corpus finds no other cause in them."""
    expected = json.loads((HERE / folder / "expected.json").read_text())
    causes = {name: causes if isinstance(causes, list) else [causes] for name, causes in expected.items() if name.startswith(prefix)}
    return {name: (HERE / folder / f"{name}.log").read_text() for name, found in causes.items() if ENRICHERS.keys() & set(found)}


def _folders(root: Path) -> dict[str, Folder]:
    folders: dict[str, Folder] = {}

    def add(shared: str, name: str, log: str, files: dict[str, str]) -> None:
        alone = "Encountered an error" in log  # before dbt ran anything: it would run nothing of the others either
        folder = name if alone else shared
        folders.setdefault(folder, Folder(root / folder, ("run",) if alone else RUNS[shared])).add(name, log, files)

    for name, log in _leading_to_diffs("servers", "dbt_").items():
        project = SERVERS[name]
        add("shop_pg" if "--target pg" in project.commands[-1] else "shop", name.replace("dbt", "shop"), log, project.files)
    for name, files in HELD_OUT.items():
        add("clinic", name.replace("dbt", "clinic"), HELD[name], files)
    for version in ("two", "three"):
        for name, log in _leading_to_diffs(f"airflow/{version}", "cosmos_").items():
            add("airflow", f"{version}/{name}", log, AIRFLOW)
    return folders


@contextmanager
def _dbt() -> Iterator[Dbt]:
    with subprocess.Popen([sys.executable, HERE / "dbt_projects.py"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None

        def run(folder: Path, command: str) -> str:
            print(json.dumps([str(folder), *command.split()]), file=process.stdin, flush=True)
            return json.loads(process.stdout.readline())

        yield run


def _proposed(log: str | None, folder: Folder, **given: Any) -> dict[str, str]:
    return {str(found.node).split(".")[-1]: found.diff for found in diagnose(log, target_dir=folder.target, **given) if found.diff}


def _mend(folder: Folder, dbt: Dbt) -> None:
    """What is proposed for each log alone, without the failures of those it shares the folder with, is applied."""
    given = {"run_results": {}, "manifest": folder.artifact("manifest")}
    folder.diffs = {name: found for name, log in folder.logs.items() if (found := _proposed(log, folder, **given))}
    folder.without_log = _proposed(None, folder)
    for diff in dict.fromkeys(diff for found in folder.diffs.values() for diff in found.values()):
        subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=folder.path, input=diff.encode(), stdout=subprocess.DEVNULL, check=True)
    if folder.mended:
        dbt(folder.path, f"{folder.runs[-1]} --select {' '.join(f'+{model}+' for model in sorted(folder.mended))}")
        folder.after = folder.results()


@pytest.fixture(scope="module")
def folders(pg18: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Folder]]:
    """Each folder, run until it fails, mended and run again."""
    found = _folders(tmp_path_factory.mktemp("diffs"))
    databases = {name: pg18.create_database(f"diffs_{os.getpid()}_{name}") for name in POSTGRES}
    with _dbt() as dbt:
        for name, folder in found.items():
            write(folder.files, folder.path, databases.get(name, pg18.uri()))
            for command in folder.runs if name in RUNS else ():
                dbt(folder.path, command)
            folder.before = folder.results()
            _mend(folder, dbt)
    yield found
    for name in databases:
        pg18.admin(f'drop database "diffs_{os.getpid()}_{name}" with (force)')


def _rows(folder: Folder, name: str, model: str, server: Server) -> list[dict[str, object]]:
    if name in POSTGRES:
        connection, table = psycopg.connect(server.uri(f"diffs_{os.getpid()}_{name}")), f"{POSTGRES[name]}.{model}"
    else:
        connection, table = duckdb.connect(next(folder.path.glob("*.duckdb"))), model
    with connection:
        cursor = connection.execute(f"select * from {table}")
        columns = [column[0] for column in cursor.description]
        return sorted((dict(zip(columns, row, strict=True)) for row in cursor.fetchall()), key=repr)


def test_each_diff_that_is_proposed_is_one_of_those_applied_below(folders: dict[str, Folder]) -> None:
    assert {(name, model) for name, folder in folders.items() for model in folder.mended} == set(ROWS)
    assert set(RUNS) < set(folders)


def test_each_held_out_log_about_a_project_has_one() -> None:
    """None is proposed without; a log of dbt names the file."""
    about_files = {name for name, log in HELD.items() if "dbt" in log and any("path" in found.captured and found.cause in ENRICHERS for found in diagnose(log))}
    assert about_files <= set(HELD_OUT)


@pytest.mark.parametrize(("name", "model"), ROWS)
def test_the_diff_applies_and_the_model_then_runs(folders: dict[str, Folder], pg18: Server, name: str, model: str) -> None:
    folder = folders[name]
    assert (folder.before[model]["status"] if name in RUNS else "error") == "error"
    assert folder.after[model]["status"] == "success"
    assert _rows(folder, name, model, pg18) == ROWS[name, model]


def test_what_waited_for_a_mended_model_runs_too(folders: dict[str, Folder]) -> None:
    for name in ("airflow", "shop_pg"):
        assert (folders[name].before["report"]["status"], folders[name].after["report"]["status"]) == ("skipped", "success")


def test_dbt_s_artifacts_without_a_log_give_the_same_diffs(folders: dict[str, Folder]) -> None:
    for folder in map(folders.get, RUNS):
        assert folder and folder.without_log == {model: diff for found in folder.diffs.values() for model, diff in found.items()}


def test_the_projects_fail_as_the_logs_say(folders: dict[str, Folder]) -> None:
    for name in RUNS:
        folder = folders[name]
        for log, found in folder.diffs.items():
            for model in found:
                assert [line for line in folder.before[model]["message"].splitlines() if line.strip() not in folder.logs[log]] == []
