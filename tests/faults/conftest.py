"""The program that dies at a step, and two empty databases for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program import compile_nth_write, compile_run_job
from runs import Pair, forget_connections

from rowferry.demo.servers import Server


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`run_job`, compiled from the core as it is now; `nth_write.so` is beside it."""
    folder = tmp_path_factory.mktemp("faults")
    compile_nth_write(folder)
    return compile_run_job(folder)


@pytest.fixture(autouse=True)
def _connections() -> Iterator[None]:
    """A database of the next test may have the same name."""
    yield
    forget_connections()


@pytest.fixture
def pair(servers: Server, database: Callable[[Server], str], program: Path, tmp_path: Path) -> Pair:
    """Two empty databases on a server of each version in turn."""
    return Pair(servers.version, database(servers), database(servers), program, tmp_path)
