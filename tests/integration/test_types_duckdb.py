"""Every type of the one table arrives in a DuckDB file with every edge value as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pytest
from edges import EXTENSIONS, OWN, all_types, lay, row_of
from forms import STOPS, TABLE, carried, held, told
from rights import READER, as_role
from route import Route

import rowferry
from rowferry.errors import DataError


class File:
    """A DuckDB file as target of a route's source."""

    def __init__(self, route: Route, path: Path) -> None:
        self.route, self.path = route, path

    def run(self, **settings: Any) -> rowferry.Report:
        return rowferry.Job(source=as_role(self.route.source, READER), target=f"duckdb://{self.path}", table="items", **settings).run()

    def table(self) -> pyarrow.Table:
        """As Arrow, which says every value to the last bit."""
        with duckdb.connect(str(self.path), read_only=True) as session:
            session.execute("SET timezone = 'UTC'; SET arrow_lossless_conversion = true")
            return session.sql("SELECT * FROM raw_postgres.items WHERE _deleted_at IS NULL ORDER BY id").to_arrow_table()

    def types(self) -> dict[str, str]:
        with duckdb.connect(str(self.path), read_only=True) as session:
            return dict(session.execute("SELECT column_name, column_type FROM (DESCRIBE raw_postgres.items)").fetchall())


@pytest.fixture
def file(route: Route, tmp_path: Path) -> File:
    route.at_source.execute(OWN.encode())
    route.at_source.execute(EXTENSIONS)
    route.at_source.execute("SET timezone = 'UTC'")
    return File(route, tmp_path / "w.duckdb")


def _assert_equal(file: File, columns: dict[str, str]) -> None:
    table = file.table()
    for column, name in columns.items():
        assert told(table[column].combine_chunks(), name) == held(file.route.at_source, column, name), (column, name)


def test_every_type_arrives_in_duckdb_value_by_value(file: File) -> None:
    columns = lay(file.route.at_source, carried())
    file.run(verify=True)
    _assert_equal(file, columns)
    file.route.at_source.execute("UPDATE items SET id = id + 5000")
    report = file.run(capture="full", verify=True)
    assert report.this_try.inserted == report.this_try.read == report.this_try.deleted > 0
    _assert_equal(file, columns)


def test_the_types_in_duckdb_are_those_of_the_table(file: File) -> None:
    decided = {row["postgres"]: row["duckdb"] for row in TABLE}
    columns = lay(file.route.at_source, all_types())
    file.run(where="id < 0")
    there = file.types()
    for column, name in columns.items():
        wanted = decided[row_of(name.removesuffix("[]"))].partition("(")[0]
        found = there[column].replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
        assert found.partition("(")[0].removesuffix("[]") == wanted and found.endswith("[]") == name.endswith("[]"), (name, found)


def test_every_type_arrives_in_duckdb_as_its_text(file: File) -> None:
    columns = lay(file.route.at_source, all_types())
    report = file.run(as_text=list(columns))
    assert {conversion.column for conversion in report.conversions} == set(columns)
    table = file.table()
    for column, name in columns.items():
        texts = [text for (text,) in file.route.at_source.execute(f"SELECT {column}::text FROM items ORDER BY id")]
        assert table[column].to_pylist() == texts, (column, name)


@pytest.mark.parametrize(("type_name", "value"), [(name, value) for name, values in STOPS.items() for value in values])
def test_a_value_that_a_column_cannot_hold_stops_the_run_by_name(file: File, type_name: str, value: str) -> None:
    lay(file.route.at_source, {type_name: [value]})
    with pytest.raises(DataError, match='"c0"') as caught:
        file.run()
    assert "as_text" in caught.value.hint
    assert file.run(as_text=["c0"]).this_try.inserted == 2


def test_a_timestamp_that_is_taken_as_utc_gets_a_zone_and_one_that_is_there_keeps_none(file: File) -> None:
    utc = {"naive_timestamps": "utc", "verify": True}
    values = ("infinity", "-infinity", "4713-11-24 00:00:00 BC", "2026-11-22 01:02:03.456")
    file.route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c0 timestamp, c1 timestamp[])")
    for value in values:
        file.route.at_source.execute("INSERT INTO items SELECT count(*), %s, ARRAY[%s::timestamp] FROM items", (value, value))
    assert [c.column for c in file.run(**utc).conversions] == ["c0"]
    assert file.types()["c0"] == "TIMESTAMP WITH TIME ZONE" and file.types()["c1"] == "TIMESTAMP[]"
    file.path.unlink()
    assert not file.run(verify=True).conversions
    assert not file.run(capture="full", **utc).conversions and file.types()["c0"] == "TIMESTAMP"


# ---- what others get wrong -------------------------------------------------------------------------------------


def _query(file: File, columns: str, values: str, query: str) -> list[tuple[Any, ...]]:
    file.route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, {columns}); INSERT INTO items VALUES {values}")
    file.run()
    with duckdb.connect(str(file.path), read_only=True) as session:
        session.execute("SET timezone = 'UTC'")
        return session.execute(f"SELECT {query} FROM raw_postgres.items ORDER BY id").fetchall()


MISTAKES: dict[str, tuple[str, str, str, list[tuple[Any, ...]]]] = {
    "the empty text is not NULL": ("v text, b bytea", "(1, '', ''), (2, NULL, NULL)", "v IS NULL, b IS NULL", [(False, False), (True, True)]),
    "a uuid is a uuid": ("v uuid", "(1, '01234567-89ab-cdef-0123-456789abcdef')", "typeof(v), v::VARCHAR", [("UUID", "01234567-89ab-cdef-0123-456789abcdef")]),
    "a numeric keeps its width": ("v numeric(12,2)", "(1, 0.10)", "typeof(v), v::VARCHAR", [("DECIMAL(12,2)", "0.10")]),
    "a double is a double": ("v float8", "(1, 0.1::float8 + 0.2::float8)", "typeof(v), v", [("DOUBLE", 0.1 + 0.2)]),
    "a time keeps its zone": ("v timestamptz", "(1, '2026-11-23 01:00:00+05:30')", "typeof(v), v::VARCHAR", [("TIMESTAMP WITH TIME ZONE", "2026-11-22 19:30:00+00")]),
    "the JSON null is a value": ("v jsonb", "(1, 'null'), (2, NULL)", "typeof(v), v::VARCHAR", [("JSON", "null"), ("JSON", None)]),
    "a number in JSON keeps its scale": ("v jsonb", """(1, '{"n": 10.680}')""", "v::VARCHAR", [('{"n": 10.680}',)]),
}


@pytest.mark.parametrize(("columns", "values", "query", "held_there"), MISTAKES.values(), ids=MISTAKES)
def test_in_duckdb(file: File, columns: str, values: str, query: str, held_there: list[tuple[Any, ...]]) -> None:
    assert _query(file, columns, values, query) == held_there


def test_not_null_and_the_key_are_kept_in_duckdb(file: File) -> None:
    file.route.at_source.execute("CREATE TABLE items (b int, a text, v text NOT NULL, w text, PRIMARY KEY (a, b)); INSERT INTO items VALUES (1, 'x', 'y', NULL)")
    file.run()
    with duckdb.connect(str(file.path), read_only=True) as session:
        found = session.execute("SELECT constraint_type, constraint_column_names FROM duckdb_constraints() WHERE table_name = 'items' AND schema_name = 'raw_postgres'").fetchall()
    kept = {(kind, tuple(names)) for kind, names in found}
    assert ("PRIMARY KEY", ("a", "b")) in kept and ("NOT NULL", ("v",)) in kept and ("NOT NULL", ("w",)) not in kept
