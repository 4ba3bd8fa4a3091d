"""A run that is told to stop while it waits, wherever it waits."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from runs import SECONDS, Pair, Settings, held, sessions, slow_commits, wait_until

import rowferry
from rowferry.errors import CancelledError

ATTEMPTS = 3  # a machine that is busy elsewhere may cost one of them its second
WAYS = {"SIGINT": "KeyboardInterrupt", "SIGTERM": "Terminated", "cancel": "CancelledError"}


@dataclass(frozen=True)
class Waiting:
    """A job that waits, and how that shows."""

    job: Settings
    shows: Callable[[], object]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("place", ["lease", "source_lock", "source_statement", "row_lock", "commit"])
def test_a_run_ends_within_a_second_of_being_told_and_so_do_its_statements(pair: Pair, place: str, way: str) -> None:
    check_a_cancel(pair, PLACES[place], way)


@pytest.mark.parametrize("end", ["source", "target"])
@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_waits_for_a_server_that_says_nothing_ends_within_a_second(pair: Pair, end: str, way: str) -> None:
    check_a_cancel(pair, lambda pair: waiting_for_an_answer(pair, end), way)


def test_a_job_that_was_cancelled_before_it_runs_never_runs(pair: Pair) -> None:
    pair.make_table("orders")
    job = rowferry.Job.from_dict(pair.job("orders"))
    job.cancel()
    for _ in range(2):
        with pytest.raises(CancelledError):
            job.run()
    assert pair.target_rows("orders") is None
    pair.run("orders")
    pair.check_books("orders")


def check_a_cancel(pair: Pair, wait: Callable[[Pair], object], way: str) -> None:
    pair.make_table("orders")
    pair.run("orders")
    pair.change("orders")
    before = pair.target_rows("orders")
    took = []
    while len(took) < ATTEMPTS and not (took and took[-1] <= 1):
        with wait(pair) as waiting:  # type: ignore[attr-defined]
            took.append(cancel(pair, waiting, way))
        assert len(pair.loads("orders")) == 1
        assert pair.target_rows("orders") == before
    assert took[-1] <= 1, f"seconds of each attempt: {took}"
    pair.run("orders")
    pair.check_books("orders")
    pair.check_nothing_is_left()


def cancel(pair: Pair, waiting: Waiting, way: str) -> float:
    """Seconds until the run had raised and no statement of it was left on either server."""
    with started(pair, waiting.job) as process:
        wait_until(waiting.shows, "the run waits")
        asked = time.monotonic()
        if way == "cancel":
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            process.send_signal(getattr(signal, way))
        active = "state = 'active' AND application_name = 'rowferry python'"
        wait_until(lambda: not sessions(pair.source, active) and not sessions(pair.target, active), "the statements end")
        silent = time.monotonic()
        outcome = json.loads(process.communicate(timeout=SECONDS)[0])
    assert outcome["raised"] == WAYS[way]
    return max(silent, outcome["at"]) - asked


@contextmanager
def started(pair: Pair, job: Settings) -> Iterator[subprocess.Popen[str]]:
    path = pair.folder / "python.json"
    path.write_text(json.dumps(job | {"application": "rowferry python"}))
    environment = os.environ | {"PYTHONPATH": str(Path(rowferry.__file__).parent.parent)}
    command = [sys.executable, Path(__file__).with_name("run_python.py"), path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def waiting_for_lease(pair: Pair) -> Iterator[Waiting]:
    with pair.started(pair.job("orders", application="rowferry holder"), "stop", "newest load", 1) as holder:
        holder.wait_for_stop()
        asks = "application_name = 'rowferry python' AND (query LIKE '%leases%' OR query LIKE '%lease %')"
        yield Waiting(pair.job("orders"), lambda: sessions(pair.target, asks))
    wait_until(lambda: not sessions(pair.target), "the holder is gone")


@contextmanager
def waiting_for_source_lock(pair: Pair) -> Iterator[Waiting]:
    with held(pair.source, "LOCK TABLE orders IN ACCESS EXCLUSIVE MODE"):
        yield Waiting(pair.job("orders"), lambda: sessions(pair.source, "wait_event_type = 'Lock'"))


@contextmanager
def waiting_for_source_statement(pair: Pair) -> Iterator[Waiting]:
    job = pair.job("orders", where="pg_sleep(600) IS NOT NULL")
    yield Waiting(job, lambda: sessions(pair.source, "wait_event = 'PgSleep'"))


@contextmanager
def waiting_for_row_lock(pair: Pair) -> Iterator[Waiting]:
    with held(pair.target, "SELECT 1 FROM raw_postgres.orders WHERE id = 1 FOR UPDATE"):
        yield Waiting(pair.job("orders"), lambda: sessions(pair.target, "wait_event_type = 'Lock' AND query LIKE '%merged%'"))


@contextmanager
def waiting_in_commit(pair: Pair) -> Iterator[Waiting]:
    with slow_commits(pair):
        yield Waiting(pair.job("orders"), lambda: sessions(pair.target, "wait_event = 'advisory'"))


@contextmanager
def waiting_for_an_answer(pair: Pair, end: str) -> Iterator[Waiting]:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(SECONDS)
        uri = f"postgresql://postgres@127.0.0.1:{silent.getsockname()[1]}/postgres"
        accepted: list[object] = []  # kept open
        yield Waiting(pair.job("orders", connect_timeout=600) | {end: uri}, lambda: accepted.append(silent.accept()) or accepted)


PLACES = {
    "lease": waiting_for_lease,
    "source_lock": waiting_for_source_lock,
    "source_statement": waiting_for_source_statement,
    "row_lock": waiting_for_row_lock,
    "commit": waiting_in_commit,
}
