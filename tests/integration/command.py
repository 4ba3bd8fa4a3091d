"""The command line as a process of its own, on servers the fixtures start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psycopg

COMMAND = [sys.executable, "-m", "rowferry"]
SECONDS = 120


@dataclass(frozen=True)
class Pair:
    """Two empty databases."""

    source: str
    target: str

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "ROWFERRY_SOURCE": self.source, "ROWFERRY_TARGET": self.target}

    def run(self, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """`rowferry args…`, to its end."""
        env = {**self.environment, **environment}
        return subprocess.run([*COMMAND, *args], env=env, capture_output=True, text=True, timeout=SECONDS)

    def start(self, *args: str) -> subprocess.Popen[str]:
        """`rowferry args…`, still running."""
        pipe = subprocess.PIPE
        return subprocess.Popen([*COMMAND, *args], env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def json(self, *args: str) -> dict[str, Any]:
        """The one object that a command printed; its failure is the test's."""
        done = self.run(*args, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def sql(uri: str, text: str) -> list[tuple[Any, ...]]:
    """Execute in a transaction of its own; rows if there are any."""
    with psycopg.connect(uri, autocommit=True) as connection:
        cursor = connection.execute(text)
        return cursor.fetchall() if cursor.description else []


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.05)


def sessions(uri: str) -> list[tuple[Any, ...]]:
    """What sessions of rowferry are doing in this database."""
    ours = "datname = current_database() AND application_name LIKE 'rowferry%'"
    return sql(uri, f"SELECT state, query FROM pg_stat_activity WHERE {ours}")
