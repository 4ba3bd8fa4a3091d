"""Every type of the one table arrives in each database behind ODBC with every edge value as it was, or stops the run by name."""

from __future__ import annotations

import re
import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conformance import driver_library
from edges import EXTENSIONS, OWN, all_types, lay, row_of
from forms import TABLE
from mariadb_server import MariaDb
from route import Route

import rowferry
from rowferry.demo.servers import Server
from rowferry.errors import DataError

TEXT = "{0}::text"
PADDED = "CASE WHEN {0} IS NOT NULL THEN format('%s', {0}) END"  # a cast to text drops the spaces
TO_SECONDS = "YYYY-MM-DD HH24:MI:SS.US"
IN_FULL = {
    "bool": "CASE WHEN {0} THEN '1' WHEN NOT {0} THEN '0' END",
    "float4": "{0}::float8",
    "float8": "{0}",
    "money": "{0}::numeric::text",
    "bpchar": PADDED,
    "bytea": "encode({0}, 'hex')",
    "time": "to_char({0}, 'HH24:MI:SS.US')",
    "timestamp": f"to_char({{0}}, '{TO_SECONDS}')",
    "timestamptz": f"to_char({{0}} AT TIME ZONE 'UTC', '{TO_SECONDS}')",
}
"""How the source prints what a target without types of PostgreSQL's holds."""

NO_TIMES = ["'infinity'", "'-infinity'"]
NO_DATES = [*NO_TIMES, "'0044-03-15 BC'", "'4713-11-24 BC'", "'5874897-12-31'", "'12026-11-23'"]
NO_TIMESTAMPS = [*NO_TIMES, "'4713-11-24 00:00:00 BC'", "'12026-01-01 00:00:00'", "'294246-12-31 23:59:59.999999'", "'294276-12-31 23:59:59.999999'"]
NO_INSTANTS = [*NO_TIMES, "'4713-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'"]
STOPS = {"date": NO_DATES, "timestamp": NO_TIMESTAMPS, "timestamptz": NO_INSTANTS, "numeric(12,4)": ["'NaN'"], "real": ["'NaN'"], "double precision": ["'NaN'"]}
NO_INFINITY = dict.fromkeys(("real", "double precision"), ["'NaN'", "'Infinity'", "'-Infinity'"])


class Target:
    """A database behind ODBC.

    Attributes:
        column: Of `rowferry types`.
        stops: Values that it has no form for.
    """

    column: str
    uri: str
    stops: dict[str, list[str]]

    def read(self, column: str, row: str) -> list[Any]:
        """The column's values in order, in the form of `IN_FULL`."""
        raise NotImplementedError

    def types(self) -> dict[str, str]:
        raise NotImplementedError

    def meant(self, row: str) -> str:
        """How the source prints them."""
        return IN_FULL.get(row, TEXT)


class InMariadb(Target):
    column = "mariadb"
    stops = STOPS | NO_INFINITY

    def __init__(self, server: MariaDb, route: Route, folder: Path) -> None:
        server.admin("DROP SCHEMA IF EXISTS raw_postgres", "DROP SCHEMA IF EXISTS _rowferry")
        self._server, self.uri = server, server.uri()

    def read(self, column: str, row: str) -> list[Any]:
        shown = column if row.startswith("float") else f"lower(hex({column}))" if row == "bytea" else f"CAST({column} AS CHAR)"
        return [value for (value,) in self._server.admin(f"SELECT {shown} FROM raw_postgres.items WHERE _deleted_at IS NULL ORDER BY id")]

    def types(self) -> dict[str, str]:
        return dict(self._server.admin("SELECT column_name, CONCAT(column_type, IFNULL(CONCAT(' COLLATE ', collation_name), '')) FROM information_schema.columns WHERE table_schema = 'raw_postgres'"))


class InSqlite(Target):
    column = "sqlite"
    stops = STOPS

    def __init__(self, server: MariaDb, route: Route, folder: Path) -> None:
        self._path = folder / "w.sqlite"
        self.uri = f"sqlite://{self._path}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path)) as session:
            return session.execute(sql).fetchall()

    def read(self, column: str, row: str) -> list[Any]:
        shown = column if row.startswith("float") else f"CASE WHEN {column} IS NOT NULL THEN lower(hex({column})) END" if row == "bytea" else f"CAST({column} AS TEXT)"
        found = [value for (value,) in self.query(f'SELECT {shown} FROM "raw_postgres.items" WHERE _deleted_at IS NULL ORDER BY id')]
        if row == "timestamptz":
            assert all(value is None or value.endswith("+00:00") for value in found)
            return [value and value.removesuffix("+00:00") for value in found]
        return found

    def types(self) -> dict[str, str]:
        return dict(self.query("SELECT name, type FROM pragma_table_info('raw_postgres.items')"))


class InPsqlodbc(Target):
    column = "psqlodbc"
    stops: dict[str, list[str]] = {}

    def __init__(self, server: MariaDb, route: Route, folder: Path) -> None:
        made = psycopg.conninfo.conninfo_to_dict(route.target)
        self._uri = route.target
        self.uri = f"odbc:Driver={driver_library('psqlodbcw.so')};Server={made['host']};Port={made['port']};Database={made['dbname']};UID={made['user']}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._uri, autocommit=True) as session:
            session.execute("SET timezone = 'UTC'")
            return session.execute(sql).fetchall()

    def read(self, column: str, row: str) -> list[Any]:
        return [value for (value,) in self.query(f"SELECT {self.meant(row).format(column)} FROM raw_postgres.items WHERE _deleted_at IS NULL ORDER BY id")]

    def types(self) -> dict[str, str]:
        return dict(self.query("SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'raw_postgres.items'::regclass AND attnum > 0"))

    def meant(self, row: str) -> str:
        return PADDED if row == "bpchar" else "{0}::numeric::text" if row == "money" else TEXT


@pytest.fixture
def servers(pg18: Server) -> Server:
    """What differs between versions of the source shows in `test_types`."""
    return pg18


@pytest.fixture(params=[InMariadb, InSqlite, InPsqlodbc], ids=lambda target: target.column)
def target(request: pytest.FixtureRequest, route: Route, tmp_path: Path) -> Iterator[Target]:
    route.at_source.execute(OWN.encode())
    route.at_source.execute(EXTENSIONS)
    route.at_source.execute("SET timezone = 'UTC'")
    yield request.param(request.getfixturevalue("mariadb") if request.param is InMariadb else None, route, tmp_path)


def run(target: Target, route: Route, **settings: Any) -> rowferry.Report:
    return rowferry.Job(source=route.source, target=target.uri, table="items", **settings).run()


def _exactly(value: Any) -> Any:
    return struct.pack("<d", value) if isinstance(value, float) else value


def _without_sign_of_zero(value: Any) -> Any:
    return 0.0 if value == 0 else value


def _assert_equal(target: Target, route: Route, columns: dict[str, str]) -> None:
    for column, name in columns.items():
        row = row_of(name.removesuffix("[]")) if not name.endswith("[]") else "(array)"
        told = target.read(column, row)
        meant = "{0}::numeric[]::text" if name == "money[]" else target.meant(row)
        held = [value for (value,) in route.at_source.execute(f"SELECT {meant.format(column)} FROM items ORDER BY id")]
        if target.column != "psqlodbc" and row.startswith("float"):
            told, held = list(map(_without_sign_of_zero, told)), list(map(_without_sign_of_zero, held))
        assert list(map(_exactly, told)) == list(map(_exactly, held)), (column, name)


def test_every_type_arrives_value_by_value(target: Target, route: Route) -> None:
    columns = lay(route.at_source, {name: [value for value in values if value not in target.stops.get(name, ())] for name, values in all_types().items()})
    run(target, route)
    _assert_equal(target, route, columns)
    route.at_source.execute("UPDATE items SET id = id + 5000")
    report = run(target, route, capture="full")
    assert report.this_try.inserted == report.this_try.read == report.this_try.deleted > 0
    _assert_equal(target, route, columns)


def test_the_types_are_those_of_the_table(target: Target, route: Route) -> None:
    decided: dict[str, str] = {row["postgres"]: row[target.column] for row in TABLE}
    columns = lay(route.at_source, all_types())
    run(target, route, where="id < 0")
    there = target.types()
    for column, name in columns.items():
        row = row_of(name.removesuffix("[]"))
        wanted = decided[row] + "[]" if name.endswith("[]") and target.column == "psqlodbc" else decided["(array)"] if name.endswith("[]") else decided[row]
        found = there[column]
        assert re.sub(r"\([\d,]+\)", "", found) == re.sub(r"\([\d,ps]+\)", "", wanted), (name, found)


@pytest.mark.parametrize(("chosen", "type_name", "value"), [(kind, name, value) for kind in (InMariadb, InSqlite) for name, values in kind.stops.items() for value in values[:2]])
def test_a_value_that_has_no_form_there_stops_the_run_by_name(
    chosen: Callable[..., Target], type_name: str, value: str, route: Route, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    route.at_source.execute("SET timezone = 'UTC'")
    target = chosen(request.getfixturevalue("mariadb"), route, tmp_path)
    lay(route.at_source, {type_name: [value]})
    with pytest.raises(DataError, match='"c0"') as caught:
        run(target, route)
    assert "as_text" in str(caught.value.hint)
    assert run(target, route, as_text=["c0"]).this_try.inserted == 2


KEYS = ["'a'", "'A'", "'a '", "'ä'", "'a' || chr(776)", "''", "chr(128674)", "repeat('x', 768)"]


def test_texts_that_differ_in_anything_are_keys_of_their_own(target: Target, route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id text PRIMARY KEY, n int)")
    route.at_source.execute(f"INSERT INTO items VALUES {', '.join(f'({key}, {n})' for n, key in enumerate(KEYS))}".encode())
    assert run(target, route).this_try.inserted == len(KEYS)
    route.at_source.execute("UPDATE items SET n = n + 1 WHERE id IN ('A', '')")
    assert run(target, route).this_try.updated == 2
    _assert_equal(target, route, {"n": "integer"})


def test_the_empty_text_is_not_null_and_null_not_the_empty_text(target: Target, route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v text, b bytea); INSERT INTO items VALUES (1, '', ''), (2, NULL, NULL)")
    run(target, route)
    assert target.read("v", "text") == ["", None]
    assert target.read("b IS NULL", "int4") in (["0", "1"], ["false", "true"])


def test_a_value_longer_than_any_buffer_arrives_whole(target: Target, route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v text, b bytea)")
    route.at_source.execute("INSERT INTO items SELECT i, repeat('名', 1000000) || i, decode(repeat('00ff', 1000000), 'hex') FROM generate_series(1, 3) i".encode())
    run(target, route, batch_bytes=65536)
    assert [value[-1] for value in target.read("v", "text")] == ["1", "2", "3"] and {len(value) for value in target.read("v", "text")} == {1000001}
    assert {value.removeprefix("\\x") for value in target.read("b", "bytea")} == {"00ff" * 1000000}
