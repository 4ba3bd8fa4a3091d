"""Runs that die, stop and wait at a chosen step, and what shows of them on both servers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

import rowferry
from rowferry.demo.servers import Server

SECONDS = 60
BATCH_BYTES = 65536  # the smallest: a few hundred rows make several batches
HOLD = 7  # an advisory lock of the target: a COMMIT in `slow_commits` waits for it
GATE = 42  # an advisory lock of the source: while a test holds it, filtered reads stand still
Settings = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A source and a target database on servers of one version, and the program that runs jobs between them."""

    version: int
    source: str
    target: str
    program: Path
    folder: Path

    def job(self, table: str, **settings: Any) -> Settings:
        return {"source": self.source, "target": self.target, "table": table, "batch_bytes": BATCH_BYTES, **settings}

    def run(self, table: str, **settings: Any) -> rowferry.Report:
        return rowferry.run(self.job(table, **settings))

    @contextmanager
    def started(self, job: Settings, *fault: object) -> Iterator[Process]:
        """The job in a process of its own; `fault` is none, or kill or stop, step and time."""
        path = self.folder / f"job{time.monotonic_ns()}.json"
        path.write_text(json.dumps(job))
        process = Process(subprocess.Popen([self.program, path, *map(str, fault)], stdout=subprocess.PIPE, text=True))
        try:
            yield process
        finally:
            process.end()

    def make_table(self, table: str, rows: int = 2000, key: str = "PRIMARY KEY") -> None:
        sql(self.source, f"CREATE TABLE {table} (id int {key}, n int NOT NULL, note text)")
        sql(self.source, f"INSERT INTO {table} SELECT g, g, repeat(chr(97 + g % 26), 70) FROM generate_series(1, {rows}) g")

    def change(self, table: str, deletes: bool = False) -> None:
        """Changes and adds enough rows for several batches."""
        sql(self.source, f"UPDATE {table} SET n = n + 1 WHERE id % 4 <> 0")
        sql(self.source, f"INSERT INTO {table} SELECT 10000 + g, g, repeat('new', 25) FROM generate_series(1, 500) g")
        if deletes:
            sql(self.source, f"DELETE FROM {table} WHERE id % 10 = 0")

    def source_rows(self, table: str) -> Any:
        """What the source holds, as a number of rows and a digest."""
        return digest(self.source, table)

    def at_target(self, text: str) -> list[tuple[Any, ...]]:
        return sql(self.target, text)

    def target_rows(self, table: str) -> Any:
        """The same of the target's rows that are not closed; None when there is no table."""
        if self.at_target(f"SELECT to_regclass('raw_postgres.{table}')") == [(None,)]:
            return None
        return digest(self.target, f"raw_postgres.{table} WHERE _deleted_at IS NULL")

    def loads(self, table: str) -> list[dict[str, Any]]:
        """The table's load records, oldest first."""
        if self.at_target("SELECT to_regclass('_rowferry.loads')") == [(None,)]:
            return []
        with connection_to(self.target).cursor(row_factory=dict_row) as cursor:
            records = "SELECT * FROM _rowferry.loads WHERE target_table = %s ORDER BY load_id"
            return cursor.execute(records, [f"raw_postgres.{table}"]).fetchall()

    def check_books(self, table: str) -> None:
        """The target equals the source, and the load records tell how it came about."""
        assert self.target_rows(table) == self.source_rows(table)
        loads = self.loads(table)
        for load in loads:
            parts = ("rows_inserted", "rows_updated", "rows_duplicate", "rows_stale")
            assert load["rows_read"] == sum(load[part] for part in parts), load
        for column in ("committed_at", "extracted_at"):
            times = [load[column] for load in loads]
            assert times == sorted(set(times)), f"{column} does not rise with load_id"
        stamps = [load_id for (load_id,) in self.at_target(f"SELECT _load_id FROM raw_postgres.{table}")]
        assert len(stamps) == sum(load["rows_inserted"] for load in loads)
        assert set(stamps) <= {load["load_id"] for load in loads}

    def check_nothing_is_left(self) -> None:
        """No session, no temporary table and no lock of a run outlives it."""
        wait_until(lambda: not sessions(self.source) and not sessions(self.target), "every session has ended")
        temporary = "SELECT count(*) FROM pg_class WHERE relpersistence = 't'"
        advisory = "SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database"
        advisory += " WHERE locktype = 'advisory' AND datname = current_database()"
        assert sql(self.target, temporary) == sql(self.target, advisory) == [(0,)]


@dataclass
class Process:
    """A run in a process of its own."""

    popen: subprocess.Popen[str]

    def end(self) -> None:
        if self.popen.poll() is None:
            self.popen.kill()
            self.popen.communicate()

    def wait(self) -> dict[str, Any]:
        """The report or the error, once the process has ended by itself."""
        printed, _ = self.popen.communicate(timeout=SECONDS)
        return json.loads(printed)

    def wait_for_kill(self) -> None:
        self.popen.communicate(timeout=SECONDS)
        assert self.popen.returncode == -signal.SIGKILL, "the step was never announced"

    def wait_for_stop(self) -> None:
        wait_until(lambda: self.is_stopped() or self.popen.poll() is not None, "the process stops")
        assert self.popen.poll() is None, "the step was never announced"

    def is_stopped(self) -> bool:
        stat = Path(f"/proc/{self.popen.pid}/stat").read_text()
        return stat.rpartition(")")[2].split()[0] == "T"

    def go_on(self) -> None:
        os.kill(self.popen.pid, signal.SIGCONT)


_connections: dict[str, psycopg.Connection[Any]] = {}


def connection_to(uri: str) -> psycopg.Connection[Any]:
    """A session of the test's own, kept for the next statement: polling must not start a backend each time."""
    if uri not in _connections or _connections[uri].closed:
        _connections[uri] = psycopg.connect(uri, autocommit=True)
    return _connections[uri]


def forget_connections() -> None:
    while _connections:
        _connections.popitem()[1].close()


def sql(uri: str, text: str) -> list[tuple[Any, ...]]:
    """Execute in a transaction of its own; rows if there are any."""
    cursor = connection_to(uri).execute(text)
    return cursor.fetchall() if cursor.description else []


def start(job: Settings | rowferry.Job, together: threading.Barrier | None = None) -> Future[rowferry.Report]:
    """The job on a thread of its own; with `together` not before as many are ready."""
    outcome: Future[rowferry.Report] = Future()

    def work() -> None:
        try:
            if together:
                together.wait(SECONDS)
            outcome.set_result(job.run() if isinstance(job, rowferry.Job) else rowferry.run(job))
        except BaseException as error:
            outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return outcome


def crash(server: Server) -> None:
    """Immediate shutdown: no session is told, nothing is flushed. `restart` starts the server again."""
    os.kill(server.pid, signal.SIGQUIT)
    forget_connections()


def digest(uri: str, rows: str) -> Any:
    row = "concat_ws(' ', id, n, note)"
    return sql(uri, f"SELECT count(*), md5(string_agg({row}, ',' ORDER BY id)) FROM {rows}")


def sessions(uri: str, condition: str = "true") -> list[tuple[Any, ...]]:
    """Sessions of runs in this database."""
    ours = "datname = current_database() AND application_name LIKE 'rowferry%'"
    return sql(uri, f"SELECT pid, state, wait_event, query FROM pg_stat_activity WHERE {ours} AND {condition}")


def wait_until(condition: Callable[[], object], what: str, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.02)


@contextmanager
def held(uri: str, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """A transaction that has executed `statement` and stays open until the end of the block."""
    with closing(psycopg.connect(uri)) as connection:
        connection.execute(statement)
        yield connection


def shut_gate(uri: str) -> Any:
    """Holds the gate, so that a read filtered by `through_gate` stands still when it comes to it."""
    return held(uri, f"SELECT pg_advisory_xact_lock({GATE})")


def through_gate(condition: str = "false") -> str:
    """A filter that all rows pass; those for which `condition` is false wait at the gate first."""
    return f"({condition}) OR pg_advisory_xact_lock_shared({GATE}) IS NOT NULL"


def stands_at_gate(uri: str, application: str = "rowferry%") -> bool:
    return bool(sessions(uri, f"wait_event = 'advisory' AND application_name LIKE '{application}'"))

@contextmanager
def slow_commits(pair: Pair) -> Iterator[Callable[[], None]]:
    """Lets no load of the table commit before the end of the block, or before what it yields is called."""
    name = "raw_postgres.orders"
    sql(
        pair.target,
        f"CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS"
        f" 'BEGIN PERFORM pg_advisory_xact_lock_shared({HOLD}); RETURN NULL; END';"
        f" CREATE CONSTRAINT TRIGGER hold AFTER INSERT OR UPDATE ON {name} DEFERRABLE INITIALLY DEFERRED"
        f" FOR EACH ROW EXECUTE FUNCTION hold()",
    )
    with psycopg.connect(pair.target, autocommit=True) as holder:
        holder.execute(f"SELECT pg_advisory_lock({HOLD})")
        yield lambda: holder.close()
    sql(pair.target, "DROP FUNCTION hold CASCADE")
