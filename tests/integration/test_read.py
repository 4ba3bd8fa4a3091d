"""Rows in memory: each consumer of Arrow streams sees what PostgreSQL holds, as of one snapshot."""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pyarrow
import pytest
from consumers import CONSUMERS, Rows
from psycopg.types.json import set_json_loads
from rights import LOADER, READER, as_role
from route import Route, until
from test_connections import TABLES

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server

SMALLEST = 65536  # of batch_bytes
VALUES = """
CREATE TABLE things (id bigint PRIMARY KEY, small smallint, whole int, amount numeric(12,2), tiny numeric(38,38), ratio float8, part float4,
  flag boolean, note text, code char(4), word varchar(9), doc json, tree jsonb, blob bytea, ref uuid, day date, hour time, at timestamptz,
  plain timestamp, days date[], words text[]);
INSERT INTO things VALUES
  (9223372036854775807, -32768, -2147483648, -9999999999.99, 0.00000000000000000000000000000000000001, 1e308, 1.5, true, E'tab\\tnewline\\n😀',
   'ab', '', '{"b": 1,  "a": 2}', '{"b": 1.50, "a": null}', '\\x00ff', 'ffffffff-0000-0000-0000-000000000001', '9999-12-31', '23:59:59.999999',
   '2026-11-23 01:02:03.000001+05', '1969-12-31 23:59:59.999999', '{0001-01-01,1970-01-01}', '{"",a}'),
  (-1, 0, 0, 0, -0.5, '-0', -0.25, false, '', '', 'é', '[]', 'null', '', '00000000-0000-0000-0000-000000000000', '0001-01-01', '00:00',
   '0001-01-01 00:00:00+00', '9999-12-31 23:59:59.999999', '{}', '{}');
INSERT INTO things (id) VALUES (0);
"""


def reading(route: Route, table: str, **settings: Any) -> rowferry.Rows:
    """As a role that may do no more than the README says."""
    return rowferry.read(as_role(route.source, READER), table, **settings)


def held(route: Route, table: str) -> Rows:
    with psycopg.connect(route.source) as session:
        set_json_loads(lambda text: text if isinstance(text, str) else text.decode(), session)
        return session.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()


def sessions(route: Route) -> int:
    ours = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rowferry'"
    return route.at_source.execute(ours).fetchone()[0]


@pytest.mark.parametrize("consumer", CONSUMERS.values(), ids=CONSUMERS)
def test_each_consumer_sees_the_values_that_postgresql_holds(route: Route, consumer: Callable[[rowferry.Rows], Rows]) -> None:
    route.at_source.execute(VALUES)
    assert sorted(consumer(reading(route, "things"))) == held(route, "things")


@pytest.mark.parametrize("consumer", CONSUMERS.values(), ids=CONSUMERS)
def test_a_table_without_rows_is_a_table_with_columns(route: Route, consumer: Callable[[rowferry.Rows], Rows]) -> None:
    route.at_source.execute("CREATE TABLE things (id int, note text[])")
    rows = reading(route, "things")
    assert [(column.name, column.type, column.nullable) for column in rows.columns] == [("id", "integer", True), ("note", "text[]", True)]
    assert consumer(rows) == []
    assert pyarrow.table(reading(route, "things")).schema == pyarrow.schema([("id", pyarrow.int32()), ("note", pyarrow.list_(pyarrow.string()))])


@pytest.mark.parametrize("consumer", CONSUMERS.values(), ids=CONSUMERS)
def test_a_value_much_larger_than_a_batch_arrives_whole(route: Route, consumer: Callable[[rowferry.Rows], Rows]) -> None:
    route.at_source.execute("CREATE TABLE things (id int PRIMARY KEY, note text); INSERT INTO things VALUES (1, 'a'), (2, repeat('x', 59999999) || 'y'), (3, NULL)")
    (_, (_, whole), _) = rows = sorted(consumer(reading(route, "things", batch_bytes=SMALLEST)), key=lambda row: row[0])
    assert len(whole) == 60_000_000 and whole.endswith("xy") and rows[2] == (3, None)


def test_infinity_is_the_last_time_and_the_last_day(route: Route) -> None:
    route.at_source.execute("CREATE TABLE ends AS SELECT d::timestamptz AS at, d::timestamp AS plain, d::date AS day FROM unnest('{infinity,-infinity}'::text[]) d")
    table = pyarrow.table(reading(route, "ends"))
    numbers = [column.cast(width).to_pylist() for column, width in zip(table.columns, (pyarrow.int64(), pyarrow.int64(), pyarrow.int32()), strict=True)]
    assert numbers == [[2**63 - 1, 1 - 2**63]] * 2 + [[2**31 - 1, 1 - 2**31]]


def test_a_list_keeps_its_nulls(route: Route) -> None:
    route.at_source.execute("CREATE TABLE lists AS SELECT 1 AS id, '{1,NULL,3}'::int[] AS a UNION ALL SELECT 2, NULL UNION ALL SELECT 3, '{NULL}'")
    assert sorted(CONSUMERS["pyarrow"](reading(route, "lists")), key=lambda row: row[0]) == [(1, [1, None, 3]), (2, None), (3, [None])]


def test_what_arrow_cannot_hold_is_named_and_can_be_had_as_text(route: Route) -> None:
    route.at_source.execute("CREATE TABLE odd AS SELECT 1 AS id, 'NaN'::numeric(9,2) AS amount, '{{1,2},{3,4}}'::int[] AS square")
    with pytest.raises(errors.DataError, match="amount"), reading(route, "odd") as rows:
        pyarrow.table(rows)
    with pytest.raises(errors.DataError, match="square"), reading(route, "odd", as_text=["amount"]) as rows:
        pyarrow.table(rows)
    assert CONSUMERS["pyarrow"](reading(route, "odd", as_text=("amount", "square"))) == [(1, "NaN", "{{1,2},{3,4}}")]


def test_types_that_only_postgresql_has_come_as_their_text(route: Route) -> None:
    route.at_source.execute("CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN positive AS int CHECK (VALUE > 0)")
    route.at_source.execute(
        "CREATE TABLE special (free numeric, net inet, span int4range, mood mood, counted positive, cash money, kind regtype, twice numeric GENERATED ALWAYS AS (free * 2) STORED);"
        " INSERT INTO special VALUES (1.2300, '10.0.0.0/8', '[1,5)', 'ok', 7, 12.5, 'text')"
    )
    assert CONSUMERS["pyarrow"](reading(route, "special")) == [("1.2300", "10.0.0.0/8", "[1,5)", "ok", 7, "12.50", "text", "2.4600")]


def test_columns_and_rows_are_those_asked_for(route: Route) -> None:
    route.at_source.execute("CREATE TABLE \"Odd \"\"name\" (id int, note text, \"A b\" int); INSERT INTO \"Odd \"\"name\" VALUES (1, 'a', 10), (2, 'b', 20)")
    rows = reading(route, '"Odd ""name"', columns=["A b", "id"], where="id > 1 -- and no more")
    assert repr(rows) == "Rows(A b integer, id integer)"
    assert pyarrow.table(rows).to_pylist() == [{"A b": 20, "id": 2}]


def test_the_schema_says_of_which_type_each_column_is_at_the_source(route: Route) -> None:
    route.at_source.execute(VALUES)
    rows = reading(route, "things")
    schema = pyarrow.schema(rows)
    assert schema.equals(pyarrow.table(rows).schema, check_metadata=True)
    assert schema.names == [column.name for column in rows.columns]
    assert [field.metadata[b"rowferry.type"].decode() for field in schema] == [column.type for column in rows.columns]
    assert [field.nullable for field in schema] == [column.nullable for column in rows.columns] == [False] + [True] * 20


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_several_readers_bring_each_row_once(route: Route, table: str) -> None:
    route.at_source.execute(table)
    several = reading(route, "items", connections=4, batch_bytes=SMALLEST)
    until(lambda: sessions(route) == 4)
    rows = pyarrow.table(several).to_pylist()
    assert sorted(f"({row['id']},{row['region']},{row['name']})" for row in rows) == route.source_rows("items")


@pytest.mark.parametrize("connections", [1, 3])
def test_rows_are_those_of_the_moment_at_which_reading_began(route: Route, connections: int) -> None:
    route.at_source.execute(TABLES["one table"])
    before = route.source_rows("items", "id")
    rows = reading(route, "items", columns=["id"], connections=connections)
    route.at_source.execute("UPDATE items SET id = id + 100000; DELETE FROM items WHERE id % 2 = 0; INSERT INTO items VALUES (-1, 1, 'new')")
    assert sorted(f"({row['id']})" for row in pyarrow.table(rows).to_pylist()) == before


def test_a_batch_is_as_large_as_asked_for(route: Route) -> None:
    route.at_source.execute("CREATE TABLE things AS SELECT n::bigint AS id, repeat('x', 100) AS note FROM generate_series(1, 20000) n")
    for batch_bytes in (SMALLEST, 500_000):
        *full, last = [batch.nbytes for batch in pyarrow.RecordBatchReader.from_stream(reading(route, "things", batch_bytes=batch_bytes))]
        assert all(batch_bytes * 0.9 < n_bytes < batch_bytes * 1.1 for n_bytes in full), full
        assert 0 < last < batch_bytes * 1.1 and sum(full) + last > 20000 * 108


def test_rows_are_taken_once(route: Route) -> None:
    route.at_source.execute("CREATE TABLE things AS SELECT 1 AS id")
    rows = reading(route, "things")
    assert pyarrow.table(rows).num_rows == 1
    with pytest.raises(errors.ConfigurationError, match="taken before") as caught:
        pyarrow.table(rows)
    assert "again" in (caught.value.hint or "") and rows.error is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"table": "nowhere"}, "public.nowhere"),
        ({"table": "a.b.c"}, "table name"),
        ({"table": "seen"}, "a view"),
        ({"columns": ["nope"]}, "nope"),
        ({"columns": []}, "columns"),
        ({"columns": "id"}, "columns"),
        ({"as_text": ["nope"]}, "nope"),
        ({"as_text": "id"}, "as_text"),
        ({"where": "nope = 1"}, "nope"),
        ({"where": "true) OR (true"}, "filter|syntax"),
        ({"batch_bytes": 1}, "batch_bytes"),
        ({"connections": 17}, "connections"),
        ({"source": "mysql://host/shop"}, "mysql"),
        ({"source": "postgresql://u:a b@host/shop"}, "space"),
    ],
    ids=str,
)
def test_bad_input_is_refused_before_anything_is_read(route: Route, settings: dict[str, Any], says: str) -> None:
    route.at_source.execute("CREATE TABLE things AS SELECT 1 AS id; CREATE VIEW seen AS TABLE things")
    with pytest.raises(errors.ConfigurationError, match=says):
        rowferry.read(**{"source": route.source, "table": "things", **settings})


def test_a_role_without_the_right_is_told_what_to_grant(route: Route) -> None:
    route.at_source.execute(f"CREATE TABLE things AS SELECT 1 AS id; REVOKE ALL ON things FROM {READER}")
    with pytest.raises(errors.AuthenticationError) as caught:
        reading(route, "things")
    assert "GRANT" in (caught.value.hint or "")


def test_a_table_without_a_key_is_read_too(route: Route) -> None:
    route.at_source.execute("CREATE TABLE things AS SELECT n % 2 AS id FROM generate_series(1, 4) n")
    assert sorted(CONSUMERS["pyarrow"](reading(route, "things"))) == [(0,), (0,), (1,), (1,)]


def test_what_is_read_is_loaded_as_it_was_and_into_the_same_types(route: Route) -> None:
    route.at_source.execute(VALUES)
    rowferry.load(reading(route, "things", connections=2), target=as_role(route.target, LOADER), table="things", keys=["id"])
    route.assert_equal("things", "raw_stream.things")
    types = "SELECT attname, format_type(atttypid, atttypmod), attnotnull FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND attname NOT LIKE '\\_%%' ORDER BY 1"
    assert route.at_target.execute(types, ["raw_stream.things"]).fetchall() == route.at_source.execute(types, ["things"]).fetchall()


PEAK = """
import resource, sys, pyarrow, rowferry
rows = 0
for batch in pyarrow.RecordBatchReader.from_stream(rowferry.read(sys.argv[1], "things", where=sys.argv[2], batch_bytes=1 << 20)):
    rows += batch.num_rows
print(rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_memory_follows_the_size_of_a_batch_and_not_of_the_table(pg18: Server, database: Callable[[Server], str]) -> None:
    """A consumer that drops each batch: twenty times the rows take no more."""
    uri = database(pg18)
    with psycopg.connect(uri) as session:
        session.execute("CREATE TABLE things AS SELECT n::bigint AS id, repeat(chr(97 + n % 26), 60 + n % 80) AS note, now() AS at FROM generate_series(1, 2000000) n")
    peaks = {}
    for rows in (100_000, 2_000_000):
        command = [sys.executable, "-c", PEAK, uri, f"id <= {rows}"]
        read, peaks[rows] = map(int, subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split())
        assert read == rows
    assert peaks[2_000_000] < peaks[100_000] * 1.1, peaks


def test_times_of_any_zone_are_told_in_utc(route: Route) -> None:
    route.at_source.execute("CREATE TABLE things AS SELECT '2026-07-01 12:00+02'::timestamptz AS at")
    route.at_source.execute(f"ALTER ROLE {READER} SET timezone = 'Asia/Kathmandu'")
    try:
        assert CONSUMERS["pyarrow"](reading(route, "things")) == [(datetime.datetime(2026, 7, 1, 10, tzinfo=datetime.timezone.utc),)]
    finally:
        route.at_source.execute(f"ALTER ROLE {READER} RESET timezone")
