"""The demo, stage by stage: a shop, four nightly runs of `daily_etl` with changes between them, the last of its schema, and the proof."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
from rich.console import Console

from rowferry.demo import shop, tables, warehouse
from rowferry.demo.airflow import Airflow
from rowferry.demo.naive import NaiveCopy
from rowferry.demo.servers import Server, start_postgres
from rowferry.job import Job, verify
from rowferry.report import Report

__all__ = ["TARGETS", "DemoError", "Walkthrough"]

TARGETS = ("postgres", "duckdb")

DAG = "daily_etl"
RUN_TIMEOUT_S = 600


class DemoError(RuntimeError):
    """A run failed, or source and target are not what they should be."""


class Walkthrough:
    """The whole demo in one folder; `run` goes through it and ends everything it started.

    Args:
        folder: Short and empty; servers, AIRFLOW_HOME, logs and the copy of the dbt project go in.
        console: Where to tell the story.
        orders: Size of the shop, see `shop.create`.
        target: Kind of the warehouse, one of `TARGETS`.
    """

    def __init__(self, folder: Path, console: Console, *, orders: int, target: str = TARGETS[0]) -> None:
        self._folder = folder
        self._console = console
        self._orders = orders
        self._kind = target
        self._seconds: list[tuple[str, float]] = []

    def run(self) -> None:
        """Raises `DemoError` when anything differs from the source."""
        with contextlib.ExitStack() as stack:
            with self._stage(f"PostgreSQL 18: source, {_WAREHOUSES[self._kind]}, Airflow's metadata"):
                server = stack.enter_context(start_postgres(18, folder=self._folder / "pg"))
                self._make_databases(server)
                metadata = server.create_database("airflow")
            with self._stage(f"a shop of {self._orders:,} orders, and dbt's manifest"):
                self._make_shop_and_manifest()
            with self._stage("Airflow: api-server, scheduler, dag-processor"):
                self._airflow = stack.enter_context(self._start_airflow(metadata))
            self._console.print(f"   its pages, while this runs: {self._airflow.url}")
            self._go_through_the_days()
            self._prove()
        tables.stages(self._console, self._seconds)

    def _make_databases(self, server: Server) -> None:
        self._source = server.create_database("shop")
        if self._kind == "duckdb":
            self._target, beside = f"duckdb://{self._folder}/warehouse.duckdb", server.create_database("naive")
            self._console.print("   The naive copy is written for PostgreSQL: here it goes into a database of its own.")
        else:
            self._target = beside = server.create_database("warehouse")
        self._naive = NaiveCopy(source=self._source, target=beside, keys=shop.KEYS)

    def _make_shop_and_manifest(self) -> None:
        with ThreadPoolExecutor(2) as pool:
            rows = pool.submit(shop.create, self._source, orders=self._orders)
            self._project = pool.submit(self._parse).result()
            self._console.print("   " + ", ".join(f"{n:,} {table}" for table, n in rows.result().items()))

    def _parse(self) -> warehouse.DbtProject:
        project = warehouse.DbtProject(folder=self._folder, environment=warehouse.dbt_environment(self._target))
        project.parse()
        return project

    def _start_airflow(self, metadata: str) -> Airflow:
        dags, home = self._folder / "dags", self._folder / "airflow"
        home.mkdir()
        dags.mkdir()
        shutil.copy(_example_dags() / f"{DAG}.py", dags)
        return Airflow(
            metadata,
            dags=dags,
            home=home,
            # Cosmos asks a connection for a password, though these servers trust who is on this machine.
            connections={"shop": self._source, "warehouse": self._target.replace("postgres@", "postgres:demo@", 1)},
            environment={
                "ROWFERRY_DBT_PROJECT": str(self._project.path),
                "ROWFERRY_DBT_TARGET": self._kind,
                "ROWFERRY_RETRY_DELAY": "5",
            },
        )

    def _go_through_the_days(self) -> None:
        self._day("first")
        with shop.open_late_transaction(self._source) as late:
            with self._stage("the shop changes; one transaction began before the second run and is still open"):
                shop.change(self._source, 2)
            self._day("second")
            late.commit()
        with self._stage("that transaction commits, and the shop changes again"):
            shop.change(self._source, 3)
        self._day("third")
        with self._stage("what the naive copy lost"):
            tables.lost(self._console, self._naive.lost())
        with self._stage("the shop's developers add a column with a default, and drop another"):
            shop.change(self._source, 4)
            shop.drift(self._source)
        self._day("fourth")

    def _day(self, name: str) -> None:
        """A run of the DAG, and the naive copy at the same time of the shop's life."""
        with self._stage(f"{name} run of {DAG}"):
            run_id = self._airflow.trigger(DAG, run_id=f"demo_{name}")
            state = self._airflow.wait(DAG, run_id, timeout=RUN_TIMEOUT_S)
            tasks = self._airflow.task_instances(DAG, run_id)
            tables.run(self._console, state, tasks)
            if state != "success":
                raise DemoError(f"the {name} run of {DAG} failed\n{self._failures(run_id)}")
        reports = self._reports(run_id)
        tables.loads(self._console, reports)
        tables.drift(self._console, reports)
        with self._stage(f"the naive copy beside the {name} run: updated_at > max(updated_at)"):
            try:
                self._naive.run()
            except psycopg.Error as error:
                self._console.print(f"   it stops: {error.diag.message_primary}", markup=False)

    def _reports(self, run_id: str) -> list[Report]:
        """Reports of a run's loads, the newest of each table, from the load records."""
        query = f"""
            select distinct on (target_table) cast(report as text) from _rowferry.loads
            where run_id = '{DAG}/load/{run_id}' and kind = 'load' order by target_table, load_id desc"""
        return [Report.from_dict(json.loads(report)) for (report,) in self._rows(query)]

    def _failures(self, run_id: str) -> str:
        """What notify_outcome said of the run, then what dbt said in each of its tasks that failed."""
        found = [_excerpt(self._airflow.logs(DAG, run_id, "notify_outcome"), rf"{DAG} FAILED.*?(?= {{\"|$)")]
        for task in self._airflow.task_instances(DAG, run_id):
            if task["state"] == "failed" and task["task_id"].startswith("dbt."):
                log = self._airflow.logs(DAG, run_id, task["task_id"], try_number=task["try_number"])
                found.append(_excerpt(log, r"Completed with.*?Done\."))
        return "\n\n".join(part for part in found if part)

    def _prove(self) -> None:
        with self._stage("dbt: every test, and orders_daily against a full refresh"):
            changed_days, nodes = warehouse.full_refresh(self._project, self._target)
            days = self._rows("select count(*) from analytics.orders_daily")[0][0]
            tables.dbt(self._console, nodes, days, changed_days)
        tables.history(self._console, self._rows(_VERSIONS)[0], self._rows(_EXAMPLE_USER))
        with self._stage("verify: every row of every table, source against target"):
            verified = {table: verify(Job(source=self._source, target=self._target, table=table)) for table in shop.KEYS}
            tables.verified(self._console, verified)
        wrong = [table for table, verification in verified.items() if not verification]
        if wrong:
            raise DemoError(f"source and target differ in {', '.join(wrong)}")
        if changed_days:
            raise DemoError(f"a full refresh changed {changed_days} days of orders_daily")

    def _rows(self, query: str) -> list[tuple]:
        return warehouse.query(self._target, query)

    @contextlib.contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        """Times a stage under its heading."""
        self._console.print(f"\n[bold]{name}[/bold]")
        started = time.monotonic()
        yield
        self._seconds.append((name, time.monotonic() - started))
        self._console.print(f"   [dim]{self._seconds[-1][1]:.1f} s[/dim]")


_WAREHOUSES = {"postgres": "warehouse", "duckdb": "a DuckDB file as the warehouse"}
_VERSIONS = "select count(*), count(distinct user_id) from analytics.users_history"
_EXAMPLE_USER = """
    select user_id, full_name, country, valid_from, valid_to, is_current
    from analytics.users_history
    where user_id = (
        select user_id from analytics.users_history group by user_id order by count(*) desc, user_id limit 1
    )
    order by valid_from"""


def _example_dags() -> Path:
    return warehouse.shipped_project().parent


def _excerpt(log: str, pattern: str) -> str:
    """The part of a task's log that matches, without colours, times and fields; nothing when none does."""
    match = re.search(pattern, log, re.DOTALL)
    lines = match.group().splitlines() if match else []
    bare = (re.sub(r"\x1b\[\d*m|^(\S+Z )?info |\d\d:\d\d:\d\d  | \{\".*", "", line) for line in lines)
    return "\n".join(line for line in bare if line.strip())
