"""Another process that has a DuckDB file open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CODE = "import sys, duckdb; session = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
Holder = subprocess.Popen[str]


@contextmanager
def held(path: Path) -> Iterator[Holder]:
    """Open from here to the end of the block, or until `let_go`."""
    with subprocess.Popen([sys.executable, "-c", CODE, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout and holder.stdout.readline() == "held\n"
        yield holder
        let_go(holder)


def let_go(holder: Holder) -> None:
    assert holder.stdin
    holder.stdin.close()
    holder.wait()


def can_open(path: Path) -> bool:
    """Whether another process gets the file now."""
    done = subprocess.run([sys.executable, "-c", CODE, str(path)], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or "Could not set lock" in done.stderr, done.stderr
    return done.returncode == 0
