"""Runs, cancels, lease keepers and readers side by side under the thread sanitizer, on real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from rowferry.demo.servers import Server

ROOT = Path(__file__).resolve().parents[2]
BUILD = "build/threads"
RACE, READ_RACE, EXTENSION = f"{BUILD}/tests/threads/race", f"{BUILD}/tests/threads/read_race", f"{BUILD}/_native.abi3.so"
EVERY_STEP = 18  # rounds: one for each step at which a run is cancelled, and some in which none is
ROWS = 5000


@pytest.fixture(scope="module", autouse=True)
def built() -> None:
    """Under `make test` they are; by hand, after a change, they are made again."""
    subprocess.run(["flock", ".ci/.lock", "make", "--no-print-directory", RACE, READ_RACE, EXTENSION], cwd=ROOT, check=True)


@pytest.fixture
def job(servers: Server, database: Callable[[Server], str]) -> dict[str, object]:
    """One that reads everything each time, and whose lease is so short that it is renewed meanwhile."""
    source, target = database(servers), database(servers)
    with psycopg.connect(source) as session:
        session.execute("CREATE TABLE items (id bigint PRIMARY KEY, note text)")
        session.execute("INSERT INTO items SELECT n, repeat('x', 100) FROM generate_series(1, %s) n", [ROWS])
    job = {"source": source, "target": target, "table": "items", "capture": "full"}
    return job | {"lease_seconds": 1, "lock_timeout": 60, "batch_bytes": 65536}


def run(*command: str, environment: dict[str, str] | None = None) -> None:
    """Runs it where a program's memory stands still, which the sanitizer of gcc 12 needs on newer kernels."""
    still = ("setarch", "--addr-no-randomize")
    if subprocess.run([*still, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0:
        command = (*still, *command)
    environment = os.environ | (environment or {})
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=environment, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("connections", [1, 3], ids=["one reader", "three readers"])
def test_threads_of_a_run_meet_in_order_wherever_it_is_cancelled(job: dict[str, object], connections: int) -> None:
    run(RACE, json.dumps(job | {"connections": connections}), str(EVERY_STEP))


@pytest.mark.parametrize("connections", [1, 3], ids=["one reader", "three readers"])
def test_threads_of_a_read_meet_in_order_wherever_it_is_cancelled(job: dict[str, object], connections: int) -> None:
    """Some ten batches: the last rounds are not cancelled."""
    settings = {name: job[name] for name in ("source", "table", "batch_bytes")}
    run(READ_RACE, json.dumps(settings | {"connections": connections}), str(EVERY_STEP))


def test_threads_of_the_extension_meet_in_order_with_those_of_python(job: dict[str, object]) -> None:
    asked = subprocess.run(["gcc", "-print-file-name=libtsan.so"], capture_output=True, text=True, check=True)
    sanitizer = os.path.realpath(asked.stdout.strip())
    run(sys.executable, "-E", "tests/threads/jobs.py", BUILD, json.dumps(job), environment={"LD_PRELOAD": sanitizer})
