"""The guard under which Airflow runs: nothing it started may outlive it, or whoever started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rowferry.demo import guard

GUARD = [sys.executable, "-I", guard.__file__]

# A child that ignores SIGTERM, in a session of its own, whose parent is gone: what a plain kill leaves behind.
STUBBORN = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
os.wait()
time.sleep(600)
"""


def started(path: Path) -> int:
    """The pid that the child has written into `path`."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.01)
    raise AssertionError("the child did not start")


def is_gone(pid: int, seconds: float = 5) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not Path(f"/proc/{pid}").exists():
            return True
        time.sleep(0.01)
    return False


def test_closing_its_input_ends_the_command_and_every_orphan(tmp_path: Path):
    process = subprocess.Popen([*GUARD, sys.executable, "-c", STUBBORN, str(tmp_path / "pid")], stdin=subprocess.PIPE)
    pid = started(tmp_path / "pid")
    process.communicate()
    assert not Path(f"/proc/{pid}").exists()


def test_nothing_outlives_a_killed_parent(tmp_path: Path):
    script = f"""
import subprocess, sys, time
subprocess.Popen({[*GUARD, sys.executable, "-c", STUBBORN, str(tmp_path / "pid")]!r}, stdin=subprocess.PIPE)
time.sleep(600)
"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    pid = started(tmp_path / "pid")
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    assert is_gone(pid)


@pytest.mark.parametrize(("script", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_a_command_that_ends_by_itself_passes_on_its_status(script: str, status: int):
    process = subprocess.Popen([*GUARD, sys.executable, "-c", script], stdin=subprocess.PIPE)
    assert process.wait(timeout=10) == status
    process.communicate()
