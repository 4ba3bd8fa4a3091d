"""The warehouse side of the demo, PostgreSQL or a DuckDB file: what it holds, a copy of the shipped dbt project, and dbt run on it."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote

import duckdb
import psycopg
from psycopg.conninfo import conninfo_to_dict

from rowferry.uri import is_duckdb

from .servers import clean_environment

__all__ = [
    "DbtError",
    "DbtProject",
    "Node",
    "dbt_environment",
    "file_of",
    "full_refresh",
    "query",
    "read_results",
    "shipped_project",
]


class DbtError(RuntimeError):
    """dbt ended with an error; the message holds the last lines it printed."""


@dataclass(frozen=True, kw_only=True)
class Node:
    """What became of one model, test or snapshot of a dbt command.

    Attributes:
        name: `orders_daily`, or a test's name.
        kind: model, test, snapshot.
        status: success, pass, warn, fail, error or skipped.
        failures: Rows that a test found; None for others.
        seconds: Time it took.
        message: dbt's own words.
    """

    name: str
    kind: str
    status: str
    failures: int | None
    seconds: float
    message: str | None


@dataclass(frozen=True, kw_only=True)
class DbtProject:
    """A copy of the shipped project: dbt writes nothing into the original.

    Attributes:
        folder: Holds the copy, dbt_shop/, and dbt_logs/.
        environment: What profiles.yml reads, see `dbt_environment`.
    """

    folder: Path
    environment: Mapping[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        keep_out = shutil.ignore_patterns("target", "logs", "__pycache__")
        shutil.copytree(shipped_project(), self.path, ignore=keep_out, dirs_exist_ok=True)

    @property
    def path(self) -> Path:
        return self.folder / "dbt_shop"

    @property
    def manifest(self) -> Path:
        """What Cosmos reads; `parse` writes it."""
        return self.path / "target" / "manifest.json"

    @property
    def results(self) -> Path:
        """What the last command left, if it had nodes."""
        return self.manifest.with_name("run_results.json")

    def settings(self) -> dict[str, str]:
        """Variables under which any dbt command works on this copy."""
        return {
            **self.environment,
            "DBT_PROJECT_DIR": str(self.path),
            "DBT_PROFILES_DIR": str(self.path),
            "DBT_TARGET_PATH": str(self.manifest.parent),
            "DBT_LOG_PATH": str(self.folder / "dbt_logs"),
        }

    def parse(self) -> Path:
        """Write the manifest, without a warehouse at hand, and return its path."""
        self.dbt("parse")
        return self.manifest

    def dbt(self, *arguments: str) -> list[Node]:
        """Run a dbt command.

        Returns:
            What became of each node, for a command that has nodes.

        Raises:
            DbtError: dbt, or a test of severity error, failed.
        """
        self.results.unlink(missing_ok=True)
        command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", *arguments]
        environment = clean_environment(self.settings())
        done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
            raise DbtError(f"dbt {' '.join(arguments)} failed:\n{tail}")
        return read_results(self.results)


def read_results(path: Path) -> list[Node]:
    """The nodes of a run_results.json; none where the file is missing."""
    if not path.exists():
        return []
    results = json.loads(path.read_text())["results"]
    return [
        Node(
            name=result["unique_id"].split(".")[2],
            kind=result["unique_id"].split(".")[0],
            status=result["status"],
            failures=result.get("failures"),
            seconds=result["execution_time"],
            message=result.get("message"),
        )
        for result in results
    ]


def shipped_project() -> Path:
    """The dbt project inside the installed airflow_rowferry, found without importing it or Airflow."""
    found = importlib.util.find_spec("airflow_rowferry")
    if found is None or not found.submodule_search_locations:
        raise ModuleNotFoundError("airflow_rowferry is not installed")
    return Path(next(iter(found.submodule_search_locations))) / "example_dags" / "dbt_shop"


def dbt_environment(uri: str, *, schema: str = "analytics") -> dict[str, str]:
    """Variables that point the project's profile at a warehouse."""
    if is_duckdb(uri):
        file = str(file_of(uri))
        return {"ROWFERRY_DBT_TARGET": "duckdb", "ROWFERRY_DBT_DUCKDB": file, "ROWFERRY_DBT_SCHEMA": schema}
    parts = conninfo_to_dict(uri)
    return {
        "ROWFERRY_DBT_TARGET": "postgres",
        "ROWFERRY_DBT_HOST": str(parts.get("host", "localhost")),
        "ROWFERRY_DBT_PORT": str(parts.get("port", 5432)),
        "ROWFERRY_DBT_USER": str(parts.get("user", "postgres")),
        "ROWFERRY_DBT_PASSWORD": str(parts.get("password", "")),
        "ROWFERRY_DBT_DBNAME": str(parts.get("dbname", "postgres")),
        "ROWFERRY_DBT_SCHEMA": schema,
    }


def file_of(uri: str) -> Path:
    """The file of a duckdb:///path."""
    return Path(unquote(uri.removeprefix("duckdb://").partition("?")[0]))


def query(uri: str, sql: str) -> list[tuple]:
    """Ask the warehouse. A file is closed again at once: a load or dbt wants it alone."""
    if not is_duckdb(uri):
        with psycopg.connect(uri) as connection:
            return connection.execute(sql.encode()).fetchall()
    with duckdb.connect(str(file_of(uri)), read_only=True) as connection:
        connection.execute("SET timezone = 'UTC'")
        return connection.execute(sql).fetchall()


def full_refresh(project: DbtProject, uri: str, *, schema: str = "analytics") -> tuple[int, list[Node]]:
    """Build orders_daily anew and run every test of the project.

    Returns:
        Days of the mart that the full refresh changed, added or removed, and what became of each node.

    Raises:
        DbtError: The model or a test failed.
    """
    columns = "order_date, order_count, unique_customers, revenue_cents, avg_order_value_cents"
    mart = f'select {columns} from "{schema}".orders_daily'
    before = query(uri, mart)
    nodes = project.dbt("build", "--full-refresh", "--select", "orders_daily", "resource_type:test")
    after = query(uri, mart)
    return len({day for day, *_ in set(before) ^ set(after)}), nodes
