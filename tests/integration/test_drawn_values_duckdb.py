"""Rows of drawn values over the columns of the table of types: from the source into a DuckDB file, and compared value by value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from edges import OWN
from forms import held, told
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

import rowferry
from rowferry.demo.servers import Server

TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
WHOLE = st.integers
DRAWN: dict[str, st.SearchStrategy[Any]] = {
    "boolean": st.booleans(),
    "smallint": WHOLE(-(2**15), 2**15 - 1),
    "integer": WHOLE(-(2**31), 2**31 - 1),
    "bigint": WHOLE(-(2**63), 2**63 - 1),
    "oid": WHOLE(0, 2**32 - 1),
    "real": st.floats(width=32).map(repr),
    "double precision": st.floats().map(repr),
    "numeric(12,2)": st.decimals(-(10**9), 10**9, places=2),
    "numeric(38,10)": st.decimals(-(10**27), 10**27, places=10),
    "numeric": st.decimals(allow_nan=False, allow_infinity=False).map(str),
    "text": TEXTS,
    "varchar(20)": TEXTS,
    "bytea": st.binary(max_size=20),
    "uuid": st.uuids().map(str),
    "json": st.recursive(st.none() | st.booleans() | WHOLE(-(10**6), 10**6), lambda inner: st.lists(inner, max_size=3), max_leaves=4).map(Jsonb),
    "date": WHOLE(-2400000, 100000000).map(lambda days: ("date", days)),
    "time": WHOLE(0, 86400 * 10**6).map(lambda micros: ("time", micros)),
    "timestamp": WHOLE(-(2**57), 2**62).map(lambda micros: ("timestamp", micros)),
    "timestamptz": WHOLE(-(2**57), 2**62).map(lambda micros: ("timestamptz", micros)),
    "interval": st.tuples(WHOLE(-1000000, 1000000), WHOLE(-1000000, 1000000), WHOLE(-(10**15), 10**15)).map(lambda parts: ("interval", *parts)),
    "mood": st.sampled_from(["sad", "it's ok", "", "名"]),
    "integer[]": st.lists(st.none() | WHOLE(-(2**31), 2**31 - 1), max_size=5),
    "text[]": st.lists(st.none() | TEXTS, max_size=4),
}
COLUMNS = {f"c{n}": name for n, name in enumerate(DRAWN)}
MADE = {
    "date": "date '2000-01-01' + %s::int",
    "time": "time '00:00' + %s * interval '1 microsecond'",
    "timestamp": "timestamp '2000-01-01' + %s * interval '1 microsecond'",
    "timestamptz": "timestamptz '2000-01-01 00:00+00' + %s * interval '1 microsecond'",
    "interval": "make_interval(months => %s, days => %s) + %s * interval '1 microsecond'",
}


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    uri = pg18.create_database("drawn")
    with psycopg.connect(uri, autocommit=True) as session:
        session.execute(OWN.encode())
        session.execute("SET timezone = 'UTC'")
        listed = ", ".join(f"{column} {name}" for column, name in COLUMNS.items())
        session.execute(f"CREATE TABLE items (id int PRIMARY KEY, {listed})")
        yield uri, session
    pg18.admin("DROP DATABASE drawn WITH (FORCE)")


def insert(session: psycopg.Connection, number: int, row: tuple[Any, ...]) -> None:
    terms, values = [], []
    for value, name in zip(row, DRAWN, strict=True):
        made = isinstance(value, tuple)
        terms.append(MADE[value[0]] if made else f"%s::{name}")
        values += value[1:] if made else [value]
    session.execute(f"INSERT INTO items VALUES ({number}, {', '.join(terms)})", values)


@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(rows=st.lists(st.tuples(*(st.none() | values for values in DRAWN.values())), min_size=1, max_size=30))
def test_drawn_rows_arrive_in_duckdb_value_by_value(source: tuple[str, psycopg.Connection], tmp_path: Path, rows: list[tuple[Any, ...]]) -> None:
    path = tmp_path / "w.duckdb"
    uri, at_source = source
    at_source.execute("TRUNCATE items")
    for number, row in enumerate(rows):
        insert(at_source, number, row)
    report = rowferry.run({"source": uri, "target": f"duckdb://{path}", "table": "items", "capture": "full", "verify": True})
    assert report.verification is not None and report.verification.equal == len(rows)
    with duckdb.connect(str(path), read_only=True) as session:
        session.execute("SET timezone = 'UTC'; SET arrow_lossless_conversion = true")
        table = session.sql("SELECT * FROM raw_postgres.items WHERE _deleted_at IS NULL ORDER BY id").to_arrow_table()
    for column, name in COLUMNS.items():
        kind = "varchar" if name.startswith("varchar") else name
        assert told(table[column].combine_chunks(), kind) == held(at_source, column, kind), (column, name)
