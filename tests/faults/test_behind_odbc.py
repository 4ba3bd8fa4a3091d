"""A COMMIT that goes unanswered and a lease that runs out, on MariaDB and in a SQLite file, as on PostgreSQL."""

from __future__ import annotations

import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
from cutting_proxy import Cut, CuttingProxy
from mariadb_server import MariaDb, start_mariadb
from runs import Pair, Settings, sessions, sql, start, wait_until

import rowferry
from rowferry import _native
from rowferry.demo.servers import Server
from rowferry.errors import TableBusyError, TargetError

STEPS = _native.steps()
LEASED = [step for step in STEPS[STEPS.index("newest load") : STEPS.index("commit") + 1] if step != "verify"]
LOADERS = "SELECT id, info FROM information_schema.processlist WHERE user = 'loader'"


@dataclass(frozen=True)
class IntoMariadb(Pair):
    """As `Pair`, and the target is all of a MariaDB server."""

    server: MariaDb

    def at_target(self, text: str) -> list[tuple[Any, ...]]:
        return self.server.admin(text)

    def source_rows(self, table: str) -> Any:
        return sql(self.source, f"SELECT id, n, note FROM {table} ORDER BY id")

    def target_rows(self, table: str) -> Any:
        if not self._has("raw_postgres", table):
            return None
        return self.at_target(f"SELECT id, n, note FROM raw_postgres.{table} WHERE _deleted_at IS NULL ORDER BY id")

    def loads(self, table: str) -> list[dict[str, Any]]:
        if not self._has("_rowferry", "loads"):
            return []
        with self.server.connect(cursorclass=pymysql.cursors.DictCursor) as session, session.cursor() as cursor:
            cursor.execute("SELECT * FROM _rowferry.loads WHERE target_table = %s ORDER BY load_id", [f"raw_postgres.{table}"])
            return list(cursor.fetchall())

    def check_nothing_is_left(self) -> None:
        """A temporary table and a named lock go with their session."""
        wait_until(lambda: not sessions(self.source) and not self.at_target(LOADERS), "every session has ended")

    def _has(self, schema: str, table: str) -> bool:
        found = f"SELECT 1 FROM information_schema.tables WHERE table_schema = '{schema}' AND table_name = '{table}'"
        return self.at_target(found) != []


@pytest.fixture
def into(pg18: Server, mariadb: MariaDb, database: Callable[[Server], str], program: Path, tmp_path: Path) -> IntoMariadb:
    mariadb.admin("DROP SCHEMA IF EXISTS raw_postgres", "DROP SCHEMA IF EXISTS _rowferry")
    return IntoMariadb(18, database(pg18), mariadb.uri(), program, tmp_path, mariadb)


def make(pair: Pair, table: str, first: bool) -> int:
    """A table that is to be loaded for the first time, or one that has changed since. Returns how many loads there are."""
    pair.make_table(table)
    if not first:
        pair.run(table)
        pair.change(table)
    return int(not first)


def check_success(pair: Pair, table: str, report: rowferry.Report, n_loads: int) -> None:
    loads = pair.loads(table)
    assert [load["load_id"] for load in loads][n_loads - 1 :] == [report.load_id]
    pair.check_books(table)
    pair.check_nothing_is_left()


def check_retry(pair: Pair, job: Settings, before: int) -> None:
    """The try that failed loaded nothing, and the next one loads once."""
    assert len(pair.loads("orders")) == before
    report = rowferry.run(job | {"try_number": 2})
    assert report.increment == 1 and report.this_try == report.run_total
    check_success(pair, "orders", report, before + 1)


# ---- COMMIT ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [True, False], ids=["first load", "merge"])
def test_a_commit_that_never_reached_the_server_is_an_error_and_the_retry_loads_once(into: IntoMariadb, first: bool) -> None:
    before = make(into, "orders", first)
    job = into.job("orders", run_id="night")
    with CuttingProxy(into.target, Cut.BEFORE) as proxy, pytest.raises(TargetError) as caught:
        rowferry.run(job | {"target": proxy.uri})
    assert proxy.cut_done.is_set() and caught.value.retryable
    check_retry(into, job, before)


@pytest.mark.parametrize("first", [True, False], ids=["first load", "merge"])
def test_a_commit_whose_answer_is_lost_is_a_success_with_one_record(into: IntoMariadb, first: bool) -> None:
    before = make(into, "orders", first)
    with CuttingProxy(into.target, Cut.AFTER) as proxy:
        report = rowferry.run(into.job("orders", target=proxy.uri))
        assert proxy.cut_done.is_set()
    check_success(into, "orders", report, before + 1)


def test_a_commit_that_is_still_on_its_way_when_its_client_is_cut_off_is_waited_for(into: IntoMariadb) -> None:
    make(into, "orders", first=False)
    with CuttingProxy(into.target, Cut.LATE) as proxy:
        run = start(into.job("orders", target=proxy.uri))
        asks = f"{LOADERS} AND info LIKE '%leases%FOR UPDATE'"
        wait_until(lambda: into.at_target(asks), "the run waits for its own earlier session")
        proxy.release.set()
        report = run.result(30)
    check_success(into, "orders", report, 2)


def test_a_commit_that_does_not_come_is_ended_and_the_retry_loads_once(into: IntoMariadb) -> None:
    make(into, "orders", first=False)
    job = into.job("orders", run_id="night", lock_timeout=1)
    with CuttingProxy(into.target, Cut.LATE) as proxy:
        with pytest.raises(TargetError):
            start(job | {"target": proxy.uri}).result(60)
        check_retry(into, job, 1)


def test_a_server_that_crashes_before_the_commit_is_asked_once_it_is_back(into: IntoMariadb) -> None:
    with start_mariadb() as server:
        server.admin("SET GLOBAL innodb_flush_log_at_trx_commit = 1")  # so that the first load survives
        pair = IntoMariadb(18, into.source, server.uri(), into.program, into.folder, server)
        make(pair, "orders", first=False)
        job = pair.job("orders", run_id="night")
        with CuttingProxy(pair.target, Cut.LATE) as proxy:
            run = start(job | {"target": proxy.uri})
            assert proxy.cut_done.wait(30)
            server.restart()
            with pytest.raises(TargetError):
                run.result(60)
        check_retry(pair, job, 1)


# ---- leases ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["merge", "commit"])
def test_a_run_that_was_killed_behind_a_dead_line_is_replaced_once_its_lease_has_run_out(into: IntoMariadb, step: str) -> None:
    """The server goes on thinking that its client is there."""
    make(into, "orders", first=False)
    with CuttingProxy(into.target, Cut.NEVER) as proxy:
        with into.started(into.job("orders", target=proxy.uri, lease_seconds=6), "kill", step, 1) as process:
            process.wait_for_kill()
        with pytest.raises(TableBusyError):
            into.run("orders", lock_timeout=0.2)
        report = into.run("orders", lease_seconds=6)
    assert report.load_id == 3
    check_success(into, "orders", report, 2)


@pytest.mark.parametrize("first", [True, False], ids=["first load", "merge"])
def test_a_run_stopped_for_longer_than_its_lease_is_replaced_and_commits_nothing_when_it_goes_on(into: IntoMariadb, first: bool) -> None:
    steps = {step: f"{step.replace(' ', '_')}_step" for step in LEASED if step != "keys" or not first}
    with ExitStack() as stack:
        stopped = {}
        for step, table in steps.items():
            make(into, table, first)
            job = into.job(table, run_id="night", lease_seconds=3, sweep="always" if step == "keys" else "never")
            stopped[step] = stack.enter_context(into.started(job, "stop", step, 1))
        for process in stopped.values():
            process.wait_for_stop()
        for step, table in steps.items():
            assert into.run(table, run_id="morning").load_id == 3 - first, step
        after = {step: into.at_target(f"SELECT * FROM raw_postgres.{table} ORDER BY id") for step, table in steps.items()}
        for process in stopped.values():
            process.go_on()
        for step, process in stopped.items():
            assert process.wait()["code"] in ("fenced", "target"), step
    for step, table in steps.items():
        assert [load["run_id"] for load in into.loads(table)][not first :] == ["morning"], step
        assert into.at_target(f"SELECT * FROM raw_postgres.{table} ORDER BY id") == after[step], step
        into.check_books(table)
    into.check_nothing_is_left()


# ---- a file ------------------------------------------------------------------------------------------------


@pytest.fixture
def file_job(pg18: Server, database: Callable[[Server], str], program: Path, tmp_path: Path) -> Iterator[Pair]:
    yield Pair(18, database(pg18), f"sqlite://{tmp_path}/warehouse.sqlite", program, tmp_path)


def told(pair: Pair) -> list[tuple[Any, ...]]:
    """The load records, oldest first."""
    with closing(sqlite3.connect(pair.folder / "warehouse.sqlite")) as session:
        return session.execute('SELECT load_id, run_id, rows_read FROM "_rowferry.loads" ORDER BY load_id').fetchall()


@pytest.mark.parametrize("end", [signal.SIGCONT, signal.SIGKILL], ids=["goes on", "is killed"])
def test_a_run_that_stands_still_keeps_its_file_until_it_goes_on_or_dies(file_job: Pair, end: signal.Signals) -> None:
    """No lease of a file runs out: nobody else can write there while its holder lives."""
    make(file_job, "orders", first=False)
    with file_job.started(file_job.job("orders", run_id="night", lease_seconds=1), "stop", "merge", 1) as process:
        process.wait_for_stop()
        with pytest.raises(TableBusyError):
            file_job.run("orders", lock_timeout=2)
        process.popen.send_signal(end)
        process.popen.wait(60)
    report = file_job.run("orders", run_id="morning")
    went_on = [(2, "night", 2000)] if end is signal.SIGCONT else []
    rows = 0 if went_on else 2000
    assert told(file_job)[1:] == [*went_on, (2 + len(went_on), "morning", rows)]
    assert report.this_try.read == rows
