from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from odbc_libraries import build_scripted
from program import compile_library
from route import Route

from rowferry.demo.servers import Server


@pytest.fixture
def route_on(database: Callable[[Server], str]) -> Iterator[Callable[..., Route]]:
    """Call it with the source's server, and the target's if that is another, for a `Route` of new databases."""
    made: list[Route] = []

    def create(source: Server, target: Server | None = None) -> Route:
        made.append(Route(database(source), database(target or source)))
        return made[-1]

    yield create
    for route in made:
        route.close()


@pytest.fixture
def route(servers: Server, route_on: Callable[..., Route]) -> Route:
    return route_on(servers)


@pytest.fixture(scope="session")
def scripted_odbc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library of an ODBC driver that does as a script says."""
    return build_scripted(tmp_path_factory.mktemp("scripted"))


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core as a library that dies at a step of a run; compiled once for all files of a worker."""
    return compile_library(tmp_path_factory.mktemp("program"))
