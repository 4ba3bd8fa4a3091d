"""The program that dies at a step, and two empty databases for it."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable, Iterator
from glob import glob
from pathlib import Path

import pytest
from runs import Pair, forget_connections

from rowferry.demo.servers import Server

ROOT = Path(__file__).resolve().parent.parent.parent
# As in the Makefile.
FLAGS = (
    "-std=c11 -O1 -g -pthread -fvisibility=hidden -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes"
    " -Wmissing-prototypes -Werror -D_DEFAULT_SOURCE=1 -Inative"
)
LIBRARIES = ("libpq", "libcjson")


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run_job`, compiled from the core as it is now."""
    made = tmp_path_factory.mktemp("faults") / "run_job"
    sources = [*glob("native/core/*.c", root_dir=ROOT), *glob("native/drivers/*.c", root_dir=ROOT), *glob("tests/faults/*.c", root_dir=ROOT)]
    includes, libraries = (
        shlex.split(subprocess.check_output(["pkg-config", flag, *LIBRARIES], text=True)) for flag in ("--cflags", "--libs")
    )
    subprocess.run(["cc", *FLAGS.split(), *includes, *sources, "-o", made, *libraries, "-ldl", "-lm"], cwd=ROOT, check=True)
    return made


@pytest.fixture(autouse=True)
def _connections() -> Iterator[None]:
    """A database of the next test may have the same name."""
    yield
    forget_connections()


@pytest.fixture
def pair(servers: Server, database: Callable[[Server], str], program: Path, tmp_path: Path) -> Pair:
    """Two empty databases on a server of each version in turn."""
    return Pair(servers.version, database(servers), database(servers), program, tmp_path)
