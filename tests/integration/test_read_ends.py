"""However a read ends, its consumer is told and nothing of it stays at the source."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars
import psycopg
import pyarrow
import pytest
from consumers import first_batch_with_the_lock
from route import AT_THE_GATE, GATE, Route, started, until, waits_for
from test_read import SMALLEST, reading, sessions

import rowferry
from rowferry import errors

ROWS = 20_000
AFTER_SOME = f"id <= {ROWS // 2} OR (SELECT true FROM pg_advisory_xact_lock_shared(id - id + {GATE}))"
"""A filter whose read stands at the gate in the middle of the table."""
FAILS = f"1 / (id - {ROWS // 2}) IS NOT NULL"
"""A filter that fails in the middle of the table."""


@pytest.fixture
def route(route: Route) -> Route:
    """Of pages enough for two readers, and of three batches at the least."""
    route.at_source.execute(f"CREATE TABLE things WITH (fillfactor = 10) AS SELECT n AS id, repeat('x', 100) AS note FROM generate_series(1, {ROWS}) n")
    return route


def batches(rows: rowferry.Rows) -> Iterator[pyarrow.RecordBatch]:
    return iter(pyarrow.RecordBatchReader.from_stream(rows))


def things(route: Route, **settings: Any) -> rowferry.Rows:
    return reading(route, "things", batch_bytes=SMALLEST, **settings)


def stands_at_the_gate(route: Route) -> bool:
    return waits_for(route.at_source, "advisory", "ShareLock")


@contextmanager
def gate(route: Route) -> Iterator[None]:
    with psycopg.connect(route.source, autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(%s)", [GATE])
        yield


def nobody_is_left(route: Route) -> None:
    until(lambda: sessions(route) == 0)
    assert route.at_source.execute("SELECT count(*) FROM pg_locks WHERE relation = 'things'::regclass").fetchone() == (0,)


# ---- the consumer has enough ----


def test_the_source_is_let_go_once_the_last_row_was_read(route: Route) -> None:
    """Two batches, of which the consumer has taken none."""
    rows = reading(route, "things", batch_bytes=1_500_000)
    nobody_is_left(route)
    assert len(list(batches(rows))) == 2 and rows.error is None


def test_a_consumer_that_stops_early_leaves_no_session(route: Route) -> None:
    stream = batches(things(route, connections=2))
    assert next(stream).num_rows < ROWS and sessions(route) == 2
    del stream
    nobody_is_left(route)


def test_rows_that_nobody_takes_are_given_up(route: Route) -> None:
    rows = things(route)
    assert sessions(route) == 1
    del rows
    nobody_is_left(route)
    things(route).__arrow_c_stream__()  # a capsule that is dropped
    nobody_is_left(route)


def test_a_batch_outlives_its_stream(route: Route) -> None:
    rows = things(route)
    stream = batches(rows)
    first, second = next(stream), next(stream)
    rows.close()
    with pytest.raises(OSError, match="cancelled"):
        next(stream)
    del stream, rows
    assert [first["id"][0].as_py(), second["id"][-1].as_py()] == [1, first.num_rows + second.num_rows]


def test_a_stream_passes_from_thread_to_thread(route: Route) -> None:
    stream = batches(things(route))
    found = [next(stream).num_rows]
    while found[-1]:
        found.append(started(lambda: next(stream, pyarrow.record_batch({"id": []})).num_rows).result())
    assert sum(found) == ROWS
    nobody_is_left(route)
    stream = batches(things(route))
    next(stream)
    kept = [stream]
    del stream
    thread = threading.Thread(target=kept.clear)
    thread.start()
    thread.join()
    nobody_is_left(route)


# ---- it is cancelled ----


@pytest.mark.parametrize("where", [AT_THE_GATE, AFTER_SOME], ids=["before the first row", "among them"])
def test_close_ends_a_consumer_that_waits_on_another_thread(route: Route, where: str) -> None:
    with gate(route):
        rows = things(route, where=where)
        consumer = started(lambda: pyarrow.table(rows))
        until(lambda: stands_at_the_gate(route), unless=consumer)
        rows.close()
        nobody_is_left(route)
        with pytest.raises(OSError, match="cancelled"):
            consumer.result()
    assert type(rows.error) is errors.CancelledError
    rows.close()


def test_a_consumer_that_waits_keeps_no_other_thread_waiting(route: Route) -> None:
    """It asks with the interpreter's lock held; the thread that opens the gate needs that lock."""
    with gate(route):
        rows = things(route, where=AT_THE_GATE)
        consumer = started(lambda: first_batch_with_the_lock(rows))
        until(lambda: stands_at_the_gate(route), unless=consumer)
    assert 0 < consumer.result() < ROWS
    rows.close()


def test_a_wait_for_the_lock_of_the_table_has_an_end(route: Route) -> None:
    with psycopg.connect(route.source) as other:
        other.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(errors.TableBusyError):
            things(route, lock_timeout=0.1)
    nobody_is_left(route)


# ---- it fails ----


@pytest.mark.parametrize("connections", [1, 2])
def test_a_failure_reaches_the_consumer_with_its_hint(route: Route, connections: int) -> None:
    rows = things(route, where=FAILS, connections=connections)
    with pytest.raises(pyarrow.ArrowInvalid, match="division by zero\nCheck the filter"):
        pyarrow.table(rows)
    assert type(rows.error) is errors.DataError and rows.error.sqlstate == "22012"
    nobody_is_left(route)


@pytest.mark.parametrize("consumer", [pyarrow.table, polars.DataFrame], ids=["pyarrow", "polars"])
def test_a_with_block_raises_the_failure_itself(route: Route, consumer: Any) -> None:
    with pytest.raises(errors.DataError) as caught, things(route, where=FAILS) as rows:
        consumer(rows)
    assert caught.value.__cause__ is not None
    with pytest.raises(ZeroDivisionError), things(route) as rows:
        1 / 0
    nobody_is_left(route)


def test_a_session_that_is_ended_ends_the_read_and_no_row_is_made_up(route: Route) -> None:
    with gate(route):
        rows = things(route, where=AFTER_SOME)
        stream = batches(rows)
        next(stream)
        until(lambda: stands_at_the_gate(route))
        route.at_source.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
        with pytest.raises(OSError, match="source"):
            list(stream)
    assert type(rows.error) is errors.SourceError and rows.error.retryable


# ---- the process ends, is signalled, or forks ----


SIGNALLED = """
import signal, sys
import polars, pyarrow, rowferry
source, way, where = sys.argv[1:]
consume = polars.DataFrame if way == "polars" else pyarrow.table

class Stopped(BaseException):
    pass

def stop(*_):
    if way == "close in a handler":
        rows.close()
    else:
        raise Stopped

signal.signal(signal.SIGTERM, stop)
try:
    rows = rowferry.read(source, "things", where=where, batch_bytes=65536)
    print("read", flush=True)
    if way == "with":
        with rows:
            consume(rows)
    try:
        consume(rows)
    except Exception:  # the consumer's word for it
        pass
    print(type(rows.error).__name__, flush=True)
except (KeyboardInterrupt, Stopped) as error:
    print(type(error).__name__, flush=True)
"""


@contextmanager
def program(text: str, route: Route, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", text, route.source, *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def sleeps(process: subprocess.Popen[str]) -> bool:
    """Whether its main thread waits for something: the third field of proc_pid_stat(5)."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


def outcome(process: subprocess.Popen[str]) -> tuple[list[str], str, int]:
    output, complaints = process.communicate(timeout=60)
    return output.split("\n")[:-1], complaints, process.returncode


@pytest.mark.parametrize(
    ("way", "number", "told"),
    [
        ("pyarrow", signal.SIGINT, "KeyboardInterrupt"),
        ("polars", signal.SIGINT, "KeyboardInterrupt"),
        ("with", signal.SIGINT, "KeyboardInterrupt"),
        ("pyarrow", signal.SIGTERM, "Stopped"),
        ("close in a handler", signal.SIGTERM, "CancelledError"),
    ],
)
def test_a_signal_ends_a_consumer_that_waits_and_its_exception_is_kept(route: Route, way: str, number: int, told: str) -> None:
    with gate(route), program(SIGNALLED, route, way, AFTER_SOME) as process:
        assert process.stdout is not None and process.stdout.readline() == "read\n"
        until(lambda: stands_at_the_gate(route) and sleeps(process))
        process.send_signal(number)
        nobody_is_left(route)
        assert outcome(process) == ([told], "", 0)


def test_ctrl_c_ends_the_wait_for_the_table(route: Route) -> None:
    with psycopg.connect(route.source) as other, program(SIGNALLED, route, "pyarrow", "true") as process:
        other.execute("LOCK TABLE things IN ACCESS EXCLUSIVE MODE")
        until(lambda: waits_for(route.at_source, "relation", "AccessShareLock"))
        process.send_signal(signal.SIGINT)
        assert outcome(process) == (["KeyboardInterrupt"], "", 0)
        until(lambda: sessions(route) == 0)


UNFINISHED = """
import atexit, sys
atexit.register(lambda: print("cancelled" in (core.error() or "")))  # called last
import pyarrow, rowferry
source, way, where = sys.argv[1:]
rows = rowferry.read(source, "things", where=where, batch_bytes=65536)
core = rows._read
if way != "never consumed":
    stream = iter(pyarrow.RecordBatchReader.from_stream(rows))
    next(stream)
if way == "half consumed, rows dropped":
    del rows
"""


@pytest.mark.parametrize("way", ["never consumed", "half consumed", "half consumed, rows dropped"])
@pytest.mark.parametrize("where", ["true", AFTER_SOME], ids=["rows come", "the server waits"])
def test_a_process_may_end_with_rows_left(route: Route, way: str, where: str) -> None:
    with gate(route), program(UNFINISHED, route, way, where) as process:
        assert outcome(process) == (["True"], "", 0)
        nobody_is_left(route)


UNFINISHED_ON_A_THREAD = """
import signal, sys, threading
import polars, pyarrow, rowferry
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
source, way, where = sys.argv[1:]
rows = rowferry.read(source, "things", where=where, batch_bytes=65536)
consume = polars.DataFrame if way == "polars" else pyarrow.table
threading.Thread(target=lambda: consume(rows), daemon=True).start()
signal.sigwait([signal.SIGUSR1])
"""


@pytest.mark.parametrize("consumer", ["pyarrow", "polars"])
def test_a_process_may_end_while_a_thread_of_it_waits_for_rows(route: Route, consumer: str) -> None:
    with gate(route), program(UNFINISHED_ON_A_THREAD, route, consumer, AFTER_SOME) as process:
        until(lambda: stands_at_the_gate(route))
        process.send_signal(signal.SIGUSR1)
        _, complaints, code = outcome(process)
        nobody_is_left(route)
    assert code == 0, complaints


def test_a_fork_is_told_that_the_rows_are_not_its_own_and_takes_nothing_away(route: Route) -> None:
    rows = things(route)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # the end of a child that waits for ever
        try:
            pyarrow.table(rows)
        except pyarrow.ArrowInvalid as error:
            os.write(writer, str(error).encode())
        rows.close()
        del rows
        os._exit(0)
    os.close(writer)
    with open(reader) as told:
        assert "another process" in told.read()
    os.waitpid(child, 0)
    assert pyarrow.table(rows).num_rows == ROWS
    nobody_is_left(route)
