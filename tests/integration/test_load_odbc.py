"""An Arrow stream into databases behind ODBC: every value as its producer said, once, or nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from conformance import driver_library
from mariadb_server import MariaDb
from test_load import SMALLEST, TYPES, table

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server

# As the table of types has them where a target has no type of its own.
TEXTS = {"json": ['{"b": 1.10, "a": [null]}', "null", None], "struct": ['{"a":1,"b":null}', None], "map": ['{"x":1,"y":null}', "{}"]} | {
    "list of lists": ["[[1],[2,3]]"],
    "list of structs": ['[{"a":1}]'],
}
BYTES = {"binary": ["", "00ff", None], "large binary": ["00ff"], "binary view": ["", b"0123456789abcdef".hex()], "fixed binary": ["616263", "000000"]}
# Neither has NaN, an infinite time, or a day before the first year.
STOPS = {"half", "double", "date at the ends", "timestamps at the ends"}


class Target:
    """A database behind ODBC.

    Attributes:
        printed: Values in the form in which `rows` gives them, where it is not PostgreSQL's.
        stops: Names of types whose values of the tests stop the load.
    """

    uri: str
    printed: dict[str, list[str | None]]
    stops: set[str]

    def load(self, stream: Any, name: str = "things", **settings: Any) -> rowferry.Report:
        return rowferry.load(stream, **{"target": self.uri, "table": name, "keys": ["id"], "lock_timeout": 5, **settings})

    def rows(self, column: str, name: str = "things") -> list[str | None]:
        """The column as texts, and bytes as hexadecimal digits, in the order of the key."""
        raise NotImplementedError

    def tables(self) -> list[str]:
        """Those of streams that hold a row."""
        raise NotImplementedError


class InPostgres(Target):
    printed: dict[str, list[str | None]] = {}
    stops: set[str] = set()

    def __init__(self, uri: str) -> None:
        made = psycopg.conninfo.conninfo_to_dict(uri)
        self._uri = uri
        self.uri = f"odbc:Driver={driver_library('psqlodbcw.so')};Server={made['host']};Port={made['port']};Database={made['dbname']};UID={made['user']}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._uri, autocommit=True) as session:
            session.execute("SET timezone = 'UTC'")
            return session.execute(sql).fetchall()

    def rows(self, column: str, name: str = "things") -> list[str | None]:
        return [text for (text,) in self.query(f'SELECT "{column}"::text FROM raw_stream."{name}" ORDER BY id')]

    def tables(self) -> list[str]:
        names = [name for (name,) in self.query("SELECT tablename FROM pg_tables WHERE schemaname = 'raw_stream' ORDER BY 1")]
        return [name for name in names if self.query(f'SELECT 1 FROM raw_stream."{name}" LIMIT 1')]

    def types(self, name: str) -> dict[str, str]:
        return dict(self.query(f"SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'raw_stream.\"{name}\"'::regclass AND attnum > 0"))


class InMariadb(Target):
    printed = TEXTS | BYTES | {"bool": ["1", "0", None], "float": ["0.1", "0", "-inf"]}
    stops = STOPS | {"float"}

    def __init__(self, server: MariaDb) -> None:
        server.admin("DROP SCHEMA IF EXISTS raw_stream", "DROP SCHEMA IF EXISTS _rowferry")
        self._server, self.uri = server, server.uri()

    def rows(self, column: str, name: str = "things") -> list[str | None]:
        shown = f'CASE WHEN COLLATION("{column}") = \'binary\' AND "{column}" IS NOT NULL THEN LOWER(HEX("{column}")) ELSE CAST("{column}" AS CHAR) END'
        if not name.startswith(tuple(BYTES)):
            shown = f'CAST("{column}" AS CHAR)'
        return [text for (text,) in self._server.admin(f'SELECT {shown} FROM raw_stream."{name}" ORDER BY id')]

    def tables(self) -> list[str]:
        names = [name for (name,) in self._server.admin("SELECT table_name FROM information_schema.tables WHERE table_schema = 'raw_stream' ORDER BY 1")]
        return [name for name in names if self._server.admin(f'SELECT 1 FROM raw_stream."{name}" LIMIT 1')]


class InSqlite(Target):
    printed = TEXTS | BYTES | {"bool": ["1", "0", None], "float": ["0.100000001490116", "0.0", "-Inf"]}
    stops = STOPS

    def __init__(self, path: Path) -> None:
        self._path = path
        self.uri = f"sqlite://{path}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self._path)) as session:
            return session.execute(sql).fetchall()

    def rows(self, column: str, name: str = "things") -> list[str | None]:
        shown = f'CASE typeof("{column}") WHEN \'blob\' THEN lower(hex("{column}")) ELSE CAST("{column}" AS TEXT) END'
        return [text for (text,) in self.query(f'SELECT {shown} FROM "raw_stream.{name}" ORDER BY id')]

    def tables(self) -> list[str]:
        if not self._path.exists():
            return []
        names = [name for (name,) in self.query("SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'raw_stream.%' ORDER BY 1")]
        return [name.removeprefix("raw_stream.") for name in names if self.query(f'SELECT 1 FROM "{name}" LIMIT 1')]


@pytest.fixture(params=["psqlodbc", "mariadb", "sqlite"])
def target(request: pytest.FixtureRequest, pg18: Server, database: Callable[[Server], str], tmp_path: Path) -> Target:
    if request.param == "psqlodbc":
        return InPostgres(database(pg18))
    return InMariadb(request.getfixturevalue("mariadb")) if request.param == "mariadb" else InSqlite(tmp_path / "w.sqlite")


@pytest.fixture
def postgres(pg18: Server, database: Callable[[Server], str]) -> InPostgres:
    return InPostgres(database(pg18))


def refused(target: Target, error: type[errors.RowferryError], stream: Any, **settings: Any) -> errors.RowferryError:
    """Load it, see it refused with just this class, and see that it left no row."""
    held = target.tables()
    before = {name: target.rows("id", name) for name in held}
    with pytest.raises(errors.RowferryError) as caught:
        target.load(stream, **settings)
    assert type(caught.value) is error, caught.value.to_dict()
    assert {name: target.rows("id", name) for name in target.tables()} == before
    return caught.value


# ---- values ------------------------------------------------------------------------------------------------------------


def without_padding(text: str | None) -> str | None:
    """A time as PostgreSQL prints it: six digits stand behind the point elsewhere, and no offset."""
    if not text or len(text) < 8 or text[-7:-6] != "." or ":" not in text:
        return text
    return text.rstrip("0").rstrip(".")


def test_every_type_of_arrow_arrives_as_its_producer_said(target: Target) -> None:
    for name, (values, ddl, printed) in TYPES.items():
        if name in target.stops:
            assert "as_text" in str(refused(target, errors.DataError, table(value=values), name=name).hint)
            name, ddl, settings = f"{name} as text", "text", {"as_text": ["value"]}
        else:
            printed, settings = target.printed.get(name, printed), {}
        for by in ("inserted", "updated"):
            counts = target.load(table(value=values), name, **settings).this_try
            assert counts.read == counts.staged == getattr(counts, by) == len(printed)
            arrived = target.rows("value", name)
            if not isinstance(target, InPostgres):
                arrived = [without_padding(text and text.removesuffix("+00:00")) for text in arrived]
                printed = [text and text.removesuffix("+00") for text in printed]
            assert arrived == printed, name
        if isinstance(target, InPostgres):
            assert target.types(name)["value"] == ("numeric" if name == "decimal256" else ddl)


def test_an_empty_text_is_not_null_and_every_odd_sign_arrives(target: Target) -> None:
    odd = [None, "", '"', "''", "?", "{", "}", "%s", "\\", "\\N", "a\nb\r\nc", " padded ", "007", "NULL", "\t", "\U0001f490 \u00e9", "x" * 100_000]
    target.load(table(text=odd, list=pa.array([[text, None] for text in odd])))
    assert target.rows("text") == odd
    read = target.rows("list")
    assert read[:4] == ["{NULL,NULL}", '{"",NULL}', '{"\\"",NULL}', "{'',NULL}"]
    assert read[8:10] == ['{"\\\\",NULL}', '{"\\\\N",NULL}'] and read[13] == '{"NULL",NULL}'


# ---- once, or nothing -----------------------------------------------------------------------------------------------------


def test_of_rows_that_share_a_key_the_later_one_wins(target: Target) -> None:
    stream = pa.table({"id": [i % 100 for i in range(3000)], "n": range(3000), "span": pa.array(range(3000), pa.duration("s"))})
    for by in ("inserted", "updated"):
        counts = target.load((batch for batch in stream.to_batches(max_chunksize=70)), batch_bytes=SMALLEST).this_try
        assert (counts.read, counts.duplicates, getattr(counts, by)) == (3000, 2900, 100)
        assert target.rows("n") == [str(2900 + i) for i in range(100)]
    assert target.rows("span")[-1] == "00:49:59"


def test_a_retry_of_the_same_run_adds_no_row_and_sums_up(target: Target) -> None:
    target.load(table(n=[1, 2]), run_id="night")
    report = target.load(table(n=[1, 2, 3]), run_id="night", try_number=2)
    assert (report.increment, report.this_try.inserted, report.this_try.updated, report.run_total.inserted) == (2, 1, 2, 3)
    assert target.rows("n") == ["1", "2", "3"]


def halfway(raised: BaseException) -> Iterator[Any]:
    """Enough rows for several batches to be with the database, then an exception."""
    for first in range(1, 4000, 200):
        yield pa.record_batch({"id": pa.array(range(first, first + 200), pa.int32()), "text": ["x" * 1000] * 200, "list": [[first]] * 200})
    raise raised


def test_a_stream_that_fails_half_way_leaves_nothing_and_its_exception_is_the_cause(target: Target) -> None:
    boom = KeyError("boom")
    assert refused(target, errors.SourceError, halfway(boom), batch_bytes=SMALLEST).__cause__ is boom
    target.load(table(text=["before"], list=[[1]]))
    assert refused(target, errors.SourceError, halfway(boom), batch_bytes=SMALLEST).__cause__ is boom
    assert target.rows("text") == ["before"]


def test_a_key_that_is_null_is_refused(target: Target) -> None:
    error = refused(target, errors.DataError, pa.table({"id": pa.array([5, None], pa.int32()), "n": [1, 2]}))
    assert 'column "id" of row 2 is NULL, and it is part of the key' in error.message


def test_a_column_without_a_value_or_a_type_fits_whatever_is_there(target: Target) -> None:
    target.load(table(n=pa.array([1, 2], pa.int32()), raw=[b"a", b"b"], list=[[1], [2]]))
    target.load(table(n=pa.nulls(1), raw=pa.nulls(1), list=pa.nulls(1)))
    assert (target.rows("n"), target.rows("list")) == ([None, "2"], [None, "{2}"])


# ---- a table of PostgreSQL's that is there ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "later",
    [table(n=pa.array([1], pa.int64())), table(n=pa.array(["1"])), table(n=pa.array([1], pa.int32()), more=["x"])],
    ids=["wider", "another type", "one more"],
)
def test_a_column_that_the_table_cannot_take_is_drift(postgres: InPostgres, later: pa.Table) -> None:
    postgres.load(table(n=pa.array([1], pa.int32())))
    assert "ALTER TABLE" in str(refused(postgres, errors.SchemaDriftError, later, on_schema_change="fail").hint)


def test_a_text_is_no_uuid_or_document_where_nobody_casts_it(postgres: InPostgres) -> None:
    postgres.load(table(value=TYPES["uuid"][0], document=TYPES["json"][0].slice(0, 2)))
    refused(postgres, errors.SchemaDriftError, table(value=["00000000-0000-0000-0000-000000000000"], document=["{}"]))


def test_numbers_of_any_length_arrive_whole(postgres: InPostgres) -> None:
    long = ["0", "-0.000000000000000000001", "9" * 60 + "." + "1234567890" * 20, "1" + "0" * 500, "NaN", "-Infinity", "10000.00001", "-1"]
    declared = pa.schema([pa.field("id", pa.int32()), pa.field("value", pa.string(), metadata={"rowferry.type": "numeric"})])
    postgres.load(pa.table([pa.array(range(len(long)), pa.int32()), pa.array(long)], schema=declared))
    assert postgres.rows("value") == long
    assert postgres.query("SELECT sum(value) FROM raw_stream.things WHERE id IN (0, 7)") == [(Decimal(-1),)]
