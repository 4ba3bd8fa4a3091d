"""Every type of the one table arrives in Arrow with every edge value as it was, or stops the run by name."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow
import pytest
from edges import EXTENSIONS, OWN, all_types, lay, row_of
from forms import STOPS, TABLE, carried, held, told
from rights import LOADER, READER, as_role
from route import Route

import rowferry
from rowferry.demo.servers import Server
from rowferry.errors import DataError


def _read(route: Route, **settings: Any) -> pyarrow.Table:
    return pyarrow.table(rowferry.read(as_role(route.source, READER), "items", **settings))


def _ready(route: Route) -> None:
    route.at_source.execute(OWN.encode())
    route.at_source.execute(EXTENSIONS)
    route.at_source.execute("SET timezone = 'UTC'")


def test_every_type_arrives_in_arrow_value_by_value(route: Route) -> None:
    _ready(route)
    columns = lay(route.at_source, carried())
    table = _read(route).sort_by("id")
    for column, name in columns.items():
        assert told(table[column].combine_chunks(), name) == held(route.at_source, column, name), (column, name)


def test_every_type_arrives_in_arrow_as_its_text(route: Route) -> None:
    _ready(route)
    columns = lay(route.at_source, all_types())
    table = _read(route, as_text=list(columns)).sort_by("id")
    for column, name in columns.items():
        texts = [text for (text,) in route.at_source.execute(f"SELECT {column}::text FROM items ORDER BY id")]
        assert table[column].to_pylist() == texts, (column, name)


@pytest.mark.parametrize(("type_name", "value"), [(name, value) for name, values in STOPS.items() for value in values])
def test_a_value_that_arrow_cannot_hold_stops_the_run_by_name(route: Route, type_name: str, value: str) -> None:
    columns = lay(route.at_source, {type_name: [value]})
    with pytest.raises(DataError, match='"c0"') as caught, rowferry.read(as_role(route.source, READER), "items") as rows:
        pyarrow.table(rows)
    assert "as_text" in caught.value.hint
    assert _read(route, as_text=list(columns))["c0"].to_pylist()[0]


def test_an_infinite_interval_stops_the_run_by_name(route_on: Callable[..., Route], pg18: Server) -> None:
    test_a_value_that_arrow_cannot_hold_stops_the_run_by_name(route_on(pg18), "interval", "'-infinity'")


def test_the_types_in_arrow_are_those_of_the_table(route: Route) -> None:
    _ready(route)
    decided = {row["postgres"]: row["arrow"] for row in TABLE}
    lay(route.at_source, all_types())
    with rowferry.read(as_role(route.source, READER), "items") as rows:
        for column, name in zip(rows.columns[1:], all_types(), strict=True):
            form = decided[row_of(name)].partition(" ")[0]
            assert column.arrow.partition(":")[0] == form.partition(":")[0], (name, column.arrow, form)


# ---- and back ----------------------------------------------------------------------------------------------------

# They come back as what stood in Arrow, a text or a number: nothing says how PostgreSQL would read it.
AS_THEY_STOOD = ("money", "timetz", "(enum)", "(any other)", "oid")


def _text_of(column: str, type_name: str) -> str:
    """The text of what the source sends, as SQL."""
    (sent_as,) = (row["sent_as"] for row in TABLE if row["postgres"] == row_of(type_name.removesuffix("[]")))
    array = "[]" if type_name.endswith("[]") else ""
    return column + "".join(f"::{name}{array}" for name in sent_as.split()) + "::text"


def _types(session: psycopg.Connection, table: str) -> dict[str, str]:
    named = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
    return dict(session.execute(named, [table]).fetchall())


def test_what_was_read_into_arrow_is_loaded_again_value_by_value(route: Route) -> None:
    _ready(route)
    route.at_target.execute("SET timezone = 'UTC'")
    columns = lay(route.at_source, carried())
    report = rowferry.load(_read(route), target=as_role(route.target, LOADER), table="items", keys=["id"])
    assert report.this_try.inserted == report.this_try.read > 1
    there, here = _types(route.at_target, "raw_stream.items"), _types(route.at_source, "items")
    for column, name in columns.items():
        source = route.at_source.execute(f"SELECT {_text_of(column, name)}, num_nulls({column}) FROM items ORDER BY id").fetchall()
        assert route.at_target.execute(f"SELECT {column}::text, num_nulls({column}) FROM raw_stream.items ORDER BY id").fetchall() == source, (column, name)
        kept = row_of(name.removesuffix("[]")) not in AS_THEY_STOOD and not name.startswith("interval ")
        assert not kept or there[column] == here[column], name


# ---- what others get wrong -------------------------------------------------------------------------------------


def _one(route: Route, type_name: str, value: str) -> tuple[Any, pyarrow.DataType]:
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, v {type_name}); INSERT INTO items VALUES (1, {value})".encode())
    column = _read(route)["v"]
    return column.to_pylist()[0], column.type


def test_the_empty_text_is_not_null_and_null_is_not_the_empty_text(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v text); INSERT INTO items VALUES (1, ''), (2, NULL)")
    assert _read(route).sort_by("id")["v"].to_pylist() == ["", None]


def test_a_uuid_is_sixteen_bytes_of_the_type_uuid(route: Route) -> None:
    value, kind = _one(route, "uuid", "'01234567-89ab-cdef-0123-456789abcdef'")
    assert kind == pyarrow.uuid() and str(value) == "01234567-89ab-cdef-0123-456789abcdef"


def test_a_numeric_keeps_its_digits_and_its_width(route: Route) -> None:
    assert _one(route, "numeric(12,2)", "0.10") == (Decimal("0.10"), pyarrow.decimal128(12, 2))


def test_a_double_is_read_as_a_double(route: Route) -> None:
    assert _one(route, "float8", "0.1::float8 + 0.2::float8") == (0.1 + 0.2, pyarrow.float64())


def test_a_time_with_zone_keeps_its_zone(route: Route) -> None:
    value, kind = _one(route, "timestamptz", "'2026-11-23 01:00:00+05:30'")
    assert kind == pyarrow.timestamp("us", tz="UTC") and value.isoformat() == "2026-11-22T19:30:00+00:00"


def test_the_absence_of_json_is_null_and_the_json_null_is_a_value(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v jsonb); INSERT INTO items VALUES (1, 'null'), (2, NULL)")
    column = _read(route).sort_by("id")["v"]
    assert column.null_count == 1 and column.combine_chunks().storage.to_pylist() == ["null", None]


def test_a_number_in_jsonb_keeps_its_scale(route: Route) -> None:
    route.at_source.execute("""CREATE TABLE items (id int PRIMARY KEY, v jsonb); INSERT INTO items VALUES (1, '{"n": 10.680}')""")
    assert _read(route)["v"].combine_chunks().storage.to_pylist() == ['{"n": 10.680}']


def test_not_null_is_kept(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v text NOT NULL, w text)")
    assert [field.nullable for field in _read(route).schema] == [False, False, True]
