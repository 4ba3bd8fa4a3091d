"""Signals, terminals and memory: how the process behaves from outside."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from command import COMMAND, Pair, sessions, sql, wait_until

import rowferry
from rowferry.demo.servers import Server
from rowferry.errors import CancelledError

FOREVER = "pg_sleep(600) IS NOT NULL"
MOST_MEGABYTES = 48


@pytest.fixture
def pair(servers: Server, pg18: Server, database) -> Pair:
    made = Pair(source=database(servers), target=database(pg18))
    for table in ("orders", "users"):
        sql(made.source, f"CREATE TABLE {table} (id int PRIMARY KEY, name text)")
        sql(made.source, f"INSERT INTO {table} SELECT n, 'n' || n FROM generate_series(1, 100) AS n")
    return made


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_every_table_within_two_seconds_and_their_statements_at_the_source(
    pair: Pair, number: signal.Signals, code: int
) -> None:
    process = pair.start("run", "--table", "orders", "--table", "users", "--jobs", "2", "--where", FOREVER)
    wait_until(lambda: sum("pg_sleep" in query for _, query in sessions(pair.source)) == 2, "both tables are read")
    process.send_signal(number)
    sent = time.monotonic()
    _, told = process.communicate(timeout=30)
    assert process.returncode == code, told
    assert time.monotonic() - sent < 2
    assert "Traceback" not in told
    wait_until(lambda: not sessions(pair.source) and not sessions(pair.target), "no session is left", seconds=2)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_statement_that_waits_at_the_target(pair: Pair, number: signal.Signals, code: int) -> None:
    pair.json("run", "--table", "orders")
    sql(pair.source, "UPDATE orders SET name = 'new'")
    with psycopg.connect(pair.target) as blocker:
        blocker.execute("LOCK TABLE raw_postgres.orders IN ACCESS EXCLUSIVE MODE")
        process = pair.start("run", "--table", "orders", "--lock-timeout", "500")
        wait_until(lambda: _waits(pair.target), "the run waits for the lock")
        process.send_signal(number)
        sent = time.monotonic()
        assert process.wait(30) == code
        assert time.monotonic() - sent < 2
        wait_until(lambda: not sessions(pair.source) and not sessions(pair.target), "no session is left", seconds=2)


def test_a_run_that_was_interrupted_leaves_nothing_and_the_next_one_completes(pair: Pair) -> None:
    process = pair.start("run", "--table", "orders", "--where", FOREVER)
    wait_until(lambda: any("pg_sleep" in query for _, query in sessions(pair.source)), "the table is read")
    process.send_signal(signal.SIGINT)
    process.wait(30)
    process.communicate()
    assert pair.json("run", "--table", "orders")["this_try"]["inserted"] == 100


@pytest.mark.parametrize("waits_at", ["source", "target"])
def test_cancel_from_another_thread_ends_the_run_and_its_statements(pair: Pair, waits_at: str) -> None:
    uris = {"source": pair.source, "target": pair.target}
    rowferry.run({**uris, "table": "orders"})
    sql(pair.source, "UPDATE orders SET name = 'new'")
    with psycopg.connect(pair.target) as blocker:
        if waits_at == "target":
            blocker.execute("LOCK TABLE raw_postgres.orders IN ACCESS EXCLUSIVE MODE")
        job = rowferry.Job(**uris, table="orders", where=FOREVER if waits_at == "source" else None)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(job.run)
            wait_until(lambda: _waits(uris[waits_at]), "the run waits")
            job.cancel()
            sent = time.monotonic()
            with pytest.raises(CancelledError):
                running.result(30)
            assert time.monotonic() - sent < 2
        wait_until(lambda: not sessions(pair.source) and not sessions(pair.target), "no session is left", seconds=2)


def test_an_exception_of_on_progress_cancels_the_run_and_comes_out_of_it(pair: Pair) -> None:
    def give_up(_: object) -> None:
        raise ZeroDivisionError("enough")

    with pytest.raises(ZeroDivisionError, match="enough"):
        rowferry.run({"source": pair.source, "target": pair.target, "table": "orders", "where": FOREVER}, give_up)
    wait_until(lambda: not sessions(pair.source) and not sessions(pair.target), "no session is left", seconds=2)


def test_an_interrupt_reaches_a_run_inside_a_program_as_keyboard_interrupt(pair: Pair) -> None:
    code = f"""
import os, rowferry
try:
    rowferry.run(dict(source={pair.source!r}, target={pair.target!r}, table="orders", where={FOREVER!r}))
except KeyboardInterrupt:
    print("interrupted")
"""
    process = subprocess.Popen([sys.executable, "-c", code], env=pair.environment, stdout=subprocess.PIPE, text=True)
    wait_until(lambda: any("pg_sleep" in query for _, query in sessions(pair.source)), "the table is read")
    process.send_signal(signal.SIGINT)
    sent = time.monotonic()
    assert process.communicate(timeout=30)[0] == "interrupted\n"
    assert time.monotonic() - sent < 2
    wait_until(lambda: not sessions(pair.source) and not sessions(pair.target), "no session is left", seconds=2)


def test_bars_are_drawn_on_a_terminal_and_results_still_go_to_standard_output(pair: Pair) -> None:
    master, slave = pty.openpty()
    command = [*COMMAND, "run", "--table", "orders", "--where", "pg_sleep(0.01) IS NOT NULL"]
    env = {**pair.environment, "TERM": "xterm"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=slave, text=True)
    os.close(slave)
    drawn = _read_all(master)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "public.orders" in drawn or "orders" in drawn
    assert "\x1b[" in drawn
    assert out.startswith("public.orders -> raw_postgres.orders: 100 rows")


def test_a_reader_that_goes_away_is_no_error_of_ours(pair: Pair) -> None:
    command = f"{' '.join(COMMAND)} spec job | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stderr


def test_a_run_stays_under_48_mb_with_python_included(pair: Pair) -> None:
    sql(pair.source, "CREATE TABLE wide (id int PRIMARY KEY, text text)")
    sql(pair.source, "INSERT INTO wide SELECT n, repeat(md5(n::text), 8) FROM generate_series(1, 200000) AS n")
    peak = "print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1])"
    code = f"from rowferry import cli; assert cli.main(['run', '--table', 'wide', '--json']) == 0; {peak}"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=pair.environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.splitlines()[-1]) / 1024 < MOST_MEGABYTES


def _waits(uri: str) -> bool:
    """Whether a session of ours waits for a lock, or sleeps."""
    ours = "datname = current_database() AND application_name LIKE 'rowferry%'"
    return bool(sql(uri, f"SELECT 1 FROM pg_stat_activity WHERE {ours} AND wait_event IN ('relation', 'PgSleep')"))


def _read_all(fd: int) -> str:
    """Everything until the other side of the terminal is closed."""
    found = b""
    try:
        while piece := os.read(fd, 65536):
            found += piece
    except OSError:
        pass
    os.close(fd)
    return found.decode(errors="replace")
