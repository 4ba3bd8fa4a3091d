"""Runs, cancels, lease keepers and readers side by side under the thread sanitizer, on real servers."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from rowferry.demo.servers import Server

ROOT = Path(__file__).resolve().parents[2]
RACE = "build/threads/tests/threads/race"
EVERY_STEP = 18  # rounds: one for each step at which a run is cancelled, and some in which none is
ROWS = 5000


@pytest.fixture(scope="module")
def race() -> Path:
    subprocess.run(["flock", ".ci/.lock", "make", "--no-print-directory", RACE], cwd=ROOT, check=True)
    return ROOT / RACE


def fill(uri: str) -> None:
    with psycopg.connect(uri) as session:
        session.execute("CREATE TABLE items (id bigint PRIMARY KEY, note text)")
        session.execute("INSERT INTO items SELECT n, repeat('x', 100) FROM generate_series(1, %s) n", [ROWS])


@pytest.mark.parametrize("connections", [1, 3], ids=["one reader", "three readers"])
def test_threads_of_a_run_meet_in_order_wherever_it_is_cancelled(
    race: Path, servers: Server, database: Callable[[Server], str], connections: int
) -> None:
    source, target = database(servers), database(servers)
    fill(source)
    # The least lease makes the keeper renew while the run is under way; every run reads everything.
    job = {"source": source, "target": target, "table": "items", "capture": "full", "connections": connections}
    job |= {"lease_seconds": 1, "lock_timeout": 60, "batch_bytes": 65536}
    command = ["setarch", "--addr-no-randomize", str(race), json.dumps(job), str(EVERY_STEP)]
    if subprocess.run([*command[:2], "true"], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        command = command[2:]
    options = os.environ | {"TSAN_OPTIONS": "second_deadlock_stack=1"}
    done = subprocess.run(command, capture_output=True, text=True, env=options, timeout=500, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
