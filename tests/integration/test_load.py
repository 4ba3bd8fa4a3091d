"""Any Arrow stream is merged with the guarantees of a table: every value as the producer said, once, or nothing."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import signal
import subprocess
import sys
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from route import Route, until
from warehouse import Warehouse

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server

UTC = dt.timezone.utc
SMALLEST = 65536  # the least batch_bytes


@pytest.fixture
def warehouse(servers: Server, database: Callable[[Server], str]) -> Iterator[Warehouse]:
    made = Warehouse(database(servers))
    yield made
    made.close()


@pytest.fixture(scope="module", params=(15, 18), ids=lambda version: f"pg{version}")
def shared(request: pytest.FixtureRequest) -> Iterator[Warehouse]:
    """One database for all types: each has a table of its own."""
    server: Server = request.getfixturevalue(f"pg{request.param}")
    made = Warehouse(server.create_database("load_types"))
    yield made
    made.close()
    server.admin("DROP DATABASE load_types WITH (FORCE)")


def table(**columns: Any) -> pa.Table:
    """Rows that are numbered from 1 on in `id`, with these columns."""
    rows = len(next(iter(columns.values())))
    return pa.table({"id": pa.array(range(1, rows + 1), pa.int32()), **columns})


# ---- every type -----------------------------------------------------------------------------------------------------

DECLARED = {b"ARROW:extension:name": b"arrow.json", b"ARROW:extension:metadata": b""}
SPAN = pa.MonthDayNano([14, -3, 1_500_000_000])
# What the producer said; the type of a new table; the values as the server prints them.
TYPES: dict[str, tuple[pa.Array, str, list[str | None]]] = {
    "bool": (pa.array([True, False, None]), "boolean", ["true", "false", None]),
    "int8": (pa.array([-128, 127], pa.int8()), "smallint", ["-128", "127"]),
    "int16": (pa.array([-32768, 32767], pa.int16()), "smallint", ["-32768", "32767"]),
    "int32": (pa.array([-(2**31), 2**31 - 1], pa.int32()), "integer", ["-2147483648", "2147483647"]),
    "int64": (pa.array([-(2**63), 2**63 - 1], pa.int64()), "bigint", ["-9223372036854775808", "9223372036854775807"]),
    "uint8": (pa.array([0, 255], pa.uint8()), "smallint", ["0", "255"]),
    "uint16": (pa.array([0, 65535], pa.uint16()), "integer", ["0", "65535"]),
    "uint32": (pa.array([0, 2**32 - 1], pa.uint32()), "bigint", ["0", "4294967295"]),
    "uint64": (pa.array([0, 2**64 - 1], pa.uint64()), "numeric(20,0)", ["0", "18446744073709551615"]),
    "half": (pa.array([1.5, float("inf"), float("nan")], pa.float16()), "real", ["1.5", "Infinity", "NaN"]),
    "float": (pa.array([0.1, -0.0, float("-inf")], pa.float32()), "real", ["0.1", "-0", "-Infinity"]),
    "double": (pa.array([0.1 + 0.2, 5e-324, float("nan")]), "double precision", ["0.30000000000000004", "5e-324", "NaN"]),
    "decimal32": (pa.array([Decimal("-1.20")], pa.decimal32(5, 2)), "numeric(5,2)", ["-1.20"]),
    "decimal64": (pa.array([Decimal("12345678.1234")], pa.decimal64(12, 4)), "numeric(12,4)", ["12345678.1234"]),
    "decimal128": (pa.array([Decimal("1.00"), Decimal("-0.01"), None], pa.decimal128(12, 2)), "numeric(12,2)", ["1.00", "-0.01", None]),
    "decimal256": (pa.array([Decimal(10**75)], pa.decimal256(76, 0)), "numeric(76,0)", [str(10**75)]),
    "string": (pa.array(["", " ", "tab\t and 名 \U0001f600", None]), "text", ["", " ", "tab\t and 名 \U0001f600", None]),
    "large string": (pa.array(["", "x" * 70000], pa.large_string()), "text", ["", "x" * 70000]),
    "string view": (pa.array(["short", "longer than twelve bytes", ""], pa.string_view()), "text", ["short", "longer than twelve bytes", ""]),
    "binary": (pa.array([b"", b"\x00\xff", None]), "bytea", ["\\x", "\\x00ff", None]),
    "large binary": (pa.array([b"\x00\xff"], pa.large_binary()), "bytea", ["\\x00ff"]),
    "binary view": (pa.array([b"", b"0123456789abcdef"], pa.binary_view()), "bytea", ["\\x", "\\x" + b"0123456789abcdef".hex()]),
    "fixed binary": (pa.array([b"abc", b"\x00\x00\x00"], pa.binary(3)), "bytea", ["\\x616263", "\\x000000"]),
    "uuid": (
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([uuid.UUID(int=0).bytes, uuid.UUID(int=2**128 - 1).bytes], pa.binary(16))),
        "uuid",
        ["00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"],
    ),
    "json": (
        pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"b": 1.10, "a": [null]}', "null", None])),
        "jsonb",
        ['{"a": [null], "b": 1.10}', "null", None],
    ),
    "date32": (pa.array([dt.date(1, 1, 1), dt.date(9999, 12, 31)]), "date", ["0001-01-01", "9999-12-31"]),
    "date64": (pa.array([dt.date(2024, 2, 29)], pa.date64()), "date", ["2024-02-29"]),
    "date at the ends": (pa.array([2**31 - 1, -(2**31) + 1], pa.int32()).view(pa.date32()), "date", ["infinity", "-infinity"]),
    "time32[s]": (pa.array([dt.time(23, 59, 59)], pa.time32("s")), "time without time zone", ["23:59:59"]),
    "time32[ms]": (pa.array([dt.time(1, 2, 3, 4000)], pa.time32("ms")), "time without time zone", ["01:02:03.004"]),
    "time64[us]": (pa.array([dt.time(23, 59, 59, 999999)]), "time without time zone", ["23:59:59.999999"]),
    "time64[ns]": (pa.array([1_000], pa.time64("ns")), "time without time zone", ["00:00:00.000001"]),
    "timestamp[s]": (pa.array([0], pa.timestamp("s")), "timestamp without time zone", ["1970-01-01 00:00:00"]),
    "timestamp[ms]": (pa.array([-1], pa.timestamp("ms")), "timestamp without time zone", ["1969-12-31 23:59:59.999"]),
    "timestamp[us]": (pa.array([dt.datetime(1, 1, 1)], pa.timestamp("us")), "timestamp without time zone", ["0001-01-01 00:00:00"]),
    "timestamp[ns]": (pa.array([1_000], pa.timestamp("ns")), "timestamp without time zone", ["1970-01-01 00:00:00.000001"]),
    "timestamp with zone": (
        pa.array([dt.datetime(2026, 3, 29, 0, 30, tzinfo=UTC)], pa.timestamp("us", "Europe/Paris")),
        "timestamp with time zone",
        ["2026-03-29 00:30:00+00"],
    ),
    "timestamps at the ends": (
        pa.array([2**63 - 1, -(2**63) + 1], pa.timestamp("us", "UTC")),
        "timestamp with time zone",
        ["infinity", "-infinity"],
    ),
    "duration[s]": (pa.array([-90061], pa.duration("s")), "interval", ["-25:01:01"]),
    "duration[us]": (pa.array([dt.timedelta(microseconds=1)]), "interval", ["00:00:00.000001"]),
    "month_day_nano": (pa.array([SPAN]), "interval", ["1 year 2 mons -3 days +00:00:01.5"]),
    "list": (pa.array([[1, None, 3], [], None], pa.list_(pa.int32())), "integer[]", ["{1,NULL,3}", "{}", None]),
    "large list": (pa.array([["a", ""], ["NULL"]], pa.large_list(pa.string())), "text[]", ['{a,""}', '{"NULL"}']),
    "list view": (pa.array([[1.5], []], pa.list_view(pa.float64())), "double precision[]", ["{1.5}", "{}"]),
    "fixed list": (pa.array([[True, False], None], pa.list_(pa.bool_(), 2)), "boolean[]", ["{t,f}", None]),
    "list of decimals": (pa.array([[Decimal("1.50")]], pa.list_(pa.decimal128(5, 2))), "numeric(5,2)[]", ["{1.50}"]),
    "struct": (pa.array([{"a": 1, "b": None}, None], pa.struct({"a": pa.int64(), "b": pa.string()})), "jsonb", ['{"a": 1, "b": null}', None]),
    "map": (pa.array([[("x", 1), ("y", None)], []], pa.map_(pa.string(), pa.int32())), "jsonb", ['{"x": 1, "y": null}', "{}"]),
    "list of lists": (pa.array([[[1], [2, 3]]]), "jsonb", ["[[1], [2, 3]]"]),
    "list of structs": (pa.array([[{"a": 1}]]), "jsonb", ['[{"a": 1}]']),
    "dictionary": (pa.array(["red", None, "red"]).dictionary_encode(), "text", ["red", None, "red"]),
    "run-end": (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([7, None])), "bigint", ["7", "7", None]),
    "null": (pa.nulls(2), "text", [None, None]),
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_arrow_arrives_as_its_producer_said(shared: Warehouse, name: str) -> None:
    values, ddl, printed = TYPES[name]
    for by in ("inserted", "updated"):
        counts = shared.load(table(value=values), f'"{name}"').this_try
        assert counts.read == counts.staged == getattr(counts, by) == len(printed)
        assert shared.types(f'"{name}"')["value"] == ddl
        assert [text for (text,) in shared.rows(f'"{name}"', "value::text")] == printed


def test_values_of_a_slice_are_those_of_the_slice(warehouse: Warehouse) -> None:
    whole = table(
        n=pa.array([1, None, 3, 4, 5]), flag=pa.array([True, False, None, True, False]), text=pa.array(["a", "b", "", None, "e"]),
        list=pa.array([[1], [2, 2], None, [4], []]), colour=pa.array(["r", "g", "r", None, "b"]).dictionary_encode(),
        inside=pa.array([{"a": i} for i in range(5)]),
    )  # fmt: skip
    warehouse.load(whole.slice(2, 2))
    assert warehouse.rows(columns="id, n, flag, text, list, colour, inside") == [(3, 3, None, "", None, "r", {"a": 2}), (4, 4, True, None, [4], None, {"a": 3})]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (pa.array(["a\0b"]), "U+0000"),
        (pa.array([b"\xff"]).view(pa.string()), "UTF-8"),
        (pa.array([1], pa.timestamp("ns")), "nano"),
        (pa.array([2**62], pa.timestamp("s")), "a time that PostgreSQL does not have"),
    ],
    ids=["NUL", "no UTF-8", "nanoseconds", "out of range"],
)
def test_a_value_that_postgresql_cannot_hold_is_named_with_column_and_row(warehouse: Warehouse, value: pa.Array, said: str) -> None:
    good = pa.nulls(1, value.type)
    error = warehouse.refused(errors.DataError, table(value=pa.chunked_array([good, value])))
    assert "value" in error.message and "row 2" in error.message and said in error.message


# ---- values drawn at random -----------------------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
MOMENTS = st.datetimes(dt.datetime(1, 1, 2), dt.datetime(9999, 12, 30))
DRAWN: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "i": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "f": (pa.float64(), st.floats(allow_nan=False)),
    "d": (pa.decimal128(38, 10), st.decimals(-(10**28) + 1, 10**28 - 1, places=10)),
    "t": (pa.string(), TEXTS),
    "b": (pa.binary(), st.binary()),
    "o": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.dates()),
    "clock": (pa.time64("us"), st.times()),
    "naive": (pa.timestamp("us"), MOMENTS),
    "aware": (pa.timestamp("us", "UTC"), MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))),
    "texts": (pa.list_(pa.string()), st.lists(st.none() | TEXTS)),
    "document": (pa.struct({"a": pa.int64(), "b": pa.string()}), st.fixed_dictionaries({"a": st.integers(-(2**63), 2**63 - 1), "b": TEXTS})),
}
SCHEMA = pa.schema([pa.field("id", pa.int32()), *(pa.field(name, kind) for name, (kind, _) in DRAWN.items())])
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in DRAWN.items()}), min_size=1, max_size=20)


def test_drawn_values_come_back_as_they_were_sent(warehouse: Warehouse) -> None:
    @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(ROWS)
    def holds(rows: list[dict[str, Any]]) -> None:
        sent = [{"id": i, **row} for i, row in enumerate(rows)]
        load_id = warehouse.load(pa.Table.from_pylist(sent, SCHEMA)).load_id
        got = warehouse.query(f"SELECT {', '.join(SCHEMA.names)} FROM raw_stream.things WHERE _load_id = {load_id} ORDER BY id")
        assert [dict(zip(SCHEMA.names, row, strict=True)) for row in got] == sent

    holds()


# ---- keys and NULL ---------------------------------------------------------------------------------------------------


def test_keys_and_not_null_are_kept(warehouse: Warehouse) -> None:
    schema = pa.schema([pa.field("a", pa.int32()), pa.field("b", pa.string()), pa.field("c", pa.int64(), nullable=False), pa.field("d", pa.int64())])
    warehouse.load(pa.table([[1], ["x"], [1], [None]], schema=schema), keys=["b", "a"])
    assert warehouse.types() == {"a": "integer NOT NULL", "b": "text NOT NULL", "c": "bigint NOT NULL", "d": "bigint"}
    assert warehouse.query("SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = 'raw_stream.things'::regclass") == [("PRIMARY KEY (b, a)",)]


def test_a_key_that_is_null_is_refused(warehouse: Warehouse) -> None:
    error = warehouse.refused(errors.DataError, pa.table({"id": pa.array([1, None])}))
    assert 'column "id" of row 2 is NULL, and it is part of the key' in error.message


def test_a_null_is_refused_where_the_table_that_is_there_has_none(warehouse: Warehouse) -> None:
    schema = pa.schema([pa.field("id", pa.int32()), pa.field("n", pa.int64(), nullable=False)])
    warehouse.load(pa.table([[1], [1]], schema=schema))
    warehouse.load(table(n=[2]))
    assert warehouse.rows(columns="id, n") == [(1, 2)]
    error = warehouse.refused(errors.DataError, table(n=pa.array([None], pa.int64())))
    assert error.sqlstate == "23502"


def test_an_empty_text_is_not_null(warehouse: Warehouse) -> None:
    warehouse.load(table(text=["", None], bytes=[b"", None], list=pa.array([[], None], pa.list_(pa.string()))))
    assert warehouse.rows(columns="text, bytes, list") == [("", b"", []), (None, None, None)]


def test_of_rows_that_share_a_key_the_later_one_wins_and_the_others_are_counted(warehouse: Warehouse) -> None:
    """Widths differ, so that free space in earlier pages of the stage would tempt."""
    rows = 30_000
    n = list(range(rows))
    stream = pa.table({"id": [i % 1000 for i in n], "n": n, "pad": ["x" * (i * 7919 % 900) for i in n]})
    report = warehouse.load(stream, batch_bytes=SMALLEST)
    assert (report.this_try.read, report.this_try.staged, report.this_try.inserted, report.this_try.duplicates) == (rows, rows, 1000, rows - 1000)
    assert warehouse.rows(columns="id, n") == [(i, rows - 1000 + i) for i in range(1000)]
    again = warehouse.load(stream, batch_bytes=SMALLEST).this_try
    assert (again.inserted, again.updated, again.duplicates) == (0, 1000, rows - 1000)


def test_keys_that_repeat_can_be_refused(warehouse: Warehouse) -> None:
    error = warehouse.refused(errors.DataError, pa.table({"id": [1, 2, 1], "n": [1, 2, 3]}), on_duplicate="fail")
    assert "(1)" in error.message and "(2)" not in error.message
    warehouse.load(pa.table({"id": [1, 2], "n": [1, 2]}), on_duplicate="fail")


# ---- how it comes ----------------------------------------------------------------------------------------------------


def test_many_small_batches_and_one_big_one_are_the_same(warehouse: Warehouse) -> None:
    rows = 100_000
    big = pa.table({"id": range(rows), "text": [f"row {i}" for i in range(rows)]})
    for name, stream in {"big": big, "small": iter(big.to_batches(max_chunksize=7)), "reader": big.to_reader(max_chunksize=1000)}.items():
        counts = warehouse.load(stream, name).this_try
        assert (counts.read, counts.staged, counts.inserted) == (rows, rows, rows)
    digests = {warehouse.query(f"SELECT md5(string_agg(id || text, ',' ORDER BY id)) FROM raw_stream.{name}")[0][0] for name in ("big", "small", "reader")}
    assert len(digests) == 1
    assert warehouse.rows("big", "count(*), count(DISTINCT text), max(text)", "1") == [(rows, rows, "row 99999")]


def test_an_empty_stream_makes_the_table_and_a_record(warehouse: Warehouse) -> None:
    empty = table(text=["a"]).slice(0, 0)
    for stream, more in ((empty, {}), (iter([]), {"schema": empty.schema}), (iter([empty, empty]), {})):
        report = warehouse.load(stream, **more)
        assert report.this_try == report.run_total and report.this_try.read == 0
    assert warehouse.types() == {"id": "integer NOT NULL", "text": "text"}
    assert warehouse.query("SELECT count(*) FROM _rowferry.loads") == [(3,)]


def test_an_iterable_may_hold_whatever_is_a_batch_or_a_stream(warehouse: Warehouse) -> None:
    def batches() -> Iterator[Any]:
        yield table(n=[1]).to_batches()[0]
        yield pa.table({"id": pa.array([2, 3], pa.int32()), "n": [2, 3]})
        yield pa.table({"id": pa.array([4], pa.int32()), "n": [4]}).to_reader()
        yield pa.StructArray.from_arrays([pa.array([5], pa.int32()), pa.array([5])], ["id", "n"])

    warehouse.load(batches())
    assert warehouse.rows(columns="n") == [(1,), (2,), (3,), (4,), (5,)]


LOAD_AND_LET_RUN = """
import sys, threading, pyarrow, rowferry

worked = threading.Event()

def batches():
    yield pyarrow.record_batch({"id": [1]})
    threading.Thread(target=worked.set).start()
    worked.wait()
    yield pyarrow.record_batch({"id": [2]})

print(rowferry.load(batches(), target=sys.argv[1], table="things", keys=["id"]).this_try.read)
"""


def test_the_waiting_thread_lets_others_run(warehouse: Warehouse) -> None:
    """In a process of its own, which would not end: nobody but the waiting thread could give the interpreter's lock away."""
    command = [sys.executable, "-c", LOAD_AND_LET_RUN, warehouse.uri]
    assert subprocess.run(command, capture_output=True, text=True, timeout=60).stdout == "2\n"


def test_streams_are_loaded_side_by_side(warehouse: Warehouse) -> None:
    together = threading.Barrier(3)
    outcomes: dict[int, int] = {}

    def batches(number: int) -> Iterator[Any]:
        together.wait(60)
        for i in range(50):
            yield pa.record_batch({"id": [i, 1000 + i], "who": [number, number]})

    def load(number: int) -> None:
        outcomes[number] = warehouse.load(batches(number), f"thing_{number}").this_try.inserted

    threads = [threading.Thread(target=load, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert outcomes == {0: 100, 1: 100, 2: 100}


# ---- what ends it ------------------------------------------------------------------------------------------------------


def halfway(raised: BaseException) -> Iterator[Any]:
    """Enough rows for several batches to be on the server, then an exception."""
    yield table(text=["x" * 1000] * 500).to_batches()[0]
    raise raised


def test_a_stream_that_fails_half_way_leaves_nothing_and_its_exception_is_the_cause(warehouse: Warehouse) -> None:
    boom = KeyError("boom")
    error = warehouse.refused(errors.SourceError, halfway(boom), batch_bytes=SMALLEST)
    assert error.__cause__ is boom
    assert "behind row 500" in error.message and "KeyError: 'boom'" in error.message
    assert error.retryable
    warehouse.load(table(text=["before"]))
    assert warehouse.refused(errors.SourceError, halfway(boom), batch_bytes=SMALLEST).__cause__ is boom
    assert warehouse.rows(columns="text") == [("before",)]


def test_what_another_library_says_of_a_failed_stream_is_told(warehouse: Warehouse) -> None:
    first = table(text=["a"])
    reader = pa.RecordBatchReader.from_batches(first.schema, (batch for batch in halfway(ValueError("the API is down"))))
    error = warehouse.refused(errors.SourceError, reader)
    assert "the API is down" in error.message


def test_batches_of_another_schema_are_refused(warehouse: Warehouse) -> None:
    error = warehouse.refused(errors.SourceError, iter([table(n=[1]), table(n=["a"])]))
    assert '"n" of Arrow type u and not "n" of type l' in error.message
    error = warehouse.refused(errors.SourceError, iter([table(n=[1]), table(n=[1], m=[1])]))
    assert "3 columns and not 2" in error.message


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ([], "has no batch"),
        ([{"id": 1}], "item 1 of the stream is a dict"),
        (5, "is a int"),
        ({"id": [1]}, "is a dict"),
        (pa.array([1, 2]), "has no columns"),
        (pa.table({"id": [1], "": [1]}), "no name"),
        (pa.table([[1], [1]], names=["id", "id"]), '"id"'),
        (pa.table({"key": [1]}), 'no column "id"'),
        (pa.table({"id": [1], "x" * 64: [1]}), "63 bytes"),
        (pa.table({"id": [1], "_load_id": [1]}), "rowferry uses itself"),
        (pa.table({"id": [1], "union": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}), "union"),
    ],
    ids=["empty", "dicts", "number", "dict", "no columns", "no name", "one name twice", "no key", "long name", "reserved name", "no type"],
)
def test_what_cannot_be_loaded_is_refused_with_its_reason(warehouse: Warehouse, stream: Any, said: str) -> None:
    error = warehouse.refused(errors.ConfigurationError, stream)
    assert said in error.message
    assert not error.retryable


def test_a_stream_is_loaded_once(warehouse: Warehouse) -> None:
    class Once:
        capsule = table(n=[1]).__arrow_c_stream__()

        def __arrow_c_stream__(self, requested_schema: object = None) -> object:
            return self.capsule

    warehouse.load(Once())
    with pytest.raises(ValueError, match="used before"):
        warehouse.load(Once())


def test_a_setting_that_says_how_a_table_is_read_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(TypeError, match="sweep"):
        warehouse.load(table(n=[1]), sweep="always")
    with pytest.raises(errors.ConfigurationError, match="keys"):
        warehouse.load(table(n=[1]), keys=None)
    with pytest.raises(errors.ConfigurationError, match="on_duplicate"):
        warehouse.load(table(n=[1]), on_duplicate="oldest")


class Stop(Exception):
    """What a caller raises to end a load."""


def endless(text: Callable[[], str] = lambda: "x" * 1000) -> Iterator[Any]:
    for i in range(10**9):
        yield pa.record_batch({"id": pa.array([i], pa.int32()), "text": [text()]})


def test_a_load_that_is_stopped_half_way_leaves_nothing(warehouse: Warehouse) -> None:
    def stop(progress: rowferry.job.Progress) -> None:
        if progress["rows"] > 0 or progress["bytes"] > 0:
            raise Stop

    before = warehouse.everything()
    with pytest.raises(Stop):
        warehouse.load(endless(), batch_bytes=SMALLEST, on_progress=stop)
    until(lambda: warehouse.sessions() == 0)
    assert warehouse.everything() == before
    assert warehouse.load(table(text=["a"])).this_try.inserted == 1


def test_a_signal_stops_a_stream_that_does_not_answer(warehouse: Warehouse) -> None:
    """It is left behind, and once it goes on the load ends by itself: nothing is committed."""
    answer, asked = threading.Event(), threading.Event()

    def silent() -> Iterator[Any]:
        yield pa.record_batch({"id": [1]})
        asked.set()
        answer.wait(60)
        yield pa.record_batch({"id": [2]})

    def interrupt() -> None:
        assert asked.wait(60)
        os.kill(os.getpid(), signal.SIGUSR1)

    def raise_stop(number: int, frame: object) -> None:
        raise Stop

    before = signal.signal(signal.SIGUSR1, raise_stop)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(Stop):
            warehouse.load(silent())
    finally:
        signal.signal(signal.SIGUSR1, before)
    answer.set()
    until(lambda: warehouse.sessions() == 0)
    assert warehouse.everything() == {}


@pytest.mark.parametrize("way", ["loaded", "no key", "bad value", "stream fails", "stopped", "no server"])
def test_whatever_comes_the_stream_is_let_go_of(warehouse: Warehouse, way: str) -> None:
    class Held:
        """Something that a generator holds on to."""

    def batches(held: Held) -> Iterator[Any]:
        for i in range(10**9 if way == "stopped" else 20):
            yield pa.record_batch({"id": [2 * i, 2 * i + 1], "text": ["good", "\0" if way == "bad value" else "good"]})
        if way == "stream fails":
            raise KeyError(held)

    def progress(told: object) -> None:
        if way == "stopped":
            raise Stop

    held = Held()
    gone = weakref.ref(held)
    more: dict[str, Any] = {"keys": ["other"]} if way == "no key" else {}
    if way == "no server":
        more = {"target": "postgresql://127.0.0.1:1/none", "connect_timeout": 1}
    gc.collect()
    before = pa.total_allocated_bytes()
    stream = batches(held)
    del held
    try:
        warehouse.load(stream, on_progress=progress, **more)
    except (errors.RowferryError, Stop) as error:
        del error
    del stream
    until(lambda: warehouse.sessions() == 0)
    gc.collect()
    assert gone() is None
    assert pa.total_allocated_bytes() == before


# ---- the target that is there --------------------------------------------------------------------------------------------


def make(warehouse: Warehouse, **types: str) -> None:
    """A table as rowferry would have made it, of types that no stream has by itself."""
    warehouse.load(pa.table({"id": pa.array([0], pa.int32())}))
    for name, ddl in types.items():
        warehouse.session.execute(f"ALTER TABLE raw_stream.things ADD {name} {ddl}")


CASTS = {
    "int8 into int4": (pa.array([2**31 - 1]), "integer", "2147483647", pa.array([2**31])),
    "int8 into int2": (pa.array([-5]), "smallint", "-5", pa.array([40000])),
    "int8 into numeric": (pa.array([99]), "numeric(4,2)", "99.00", pa.array([100])),
    "uint64 into int8": (pa.array([2**63 - 1], pa.uint64()), "bigint", str(2**63 - 1), pa.array([2**63], pa.uint64())),
    "text into uuid": (pa.array(["A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"]), "uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", pa.array(["none"])),
    "text into jsonb": (pa.array(['{"a": 1.10}']), "jsonb", '{"a": 1.10}', pa.array(["{"])),
    "text into json": (pa.array(['{"b":1,"a":1}']), "json", '{"b":1,"a":1}', pa.array(["{"])),
    "text into an enum": (pa.array(["sad"]), "mood", "sad", pa.array(["angry"])),
    "nothing into a time": (pa.nulls(1), "timestamptz", None, None),
}


@pytest.mark.parametrize("name", CASTS)
def test_a_value_goes_into_a_narrower_column_whole_or_the_load_fails(warehouse: Warehouse, name: str) -> None:
    good, ddl, printed, bad = CASTS[name]
    warehouse.session.execute("CREATE TYPE mood AS ENUM ('sad', 'glad')")
    make(warehouse, value=ddl)
    warehouse.load(table(value=good))
    assert warehouse.rows(columns="value::text", order="id")[1:] == [(printed,)]
    if bad is not None:
        assert warehouse.refused(errors.DataError, table(value=bad)).sqlstate


@pytest.mark.parametrize(
    ("value", "ddl"),
    [
        (pa.array(["abc"]), "varchar(2)"),
        (pa.array([0.1]), "real"),
        (pa.array([1.0]), "bigint"),
        (pa.array([Decimal("1.234")]), "numeric(4,2)"),
        (pa.array([dt.datetime(2026, 1, 1)]), "timestamptz"),
        (pa.array([dt.datetime(2026, 1, 1, 1)]), "date"),
        (pa.array([1]), "text"),
        (pa.array(["1"]), "integer"),
    ],
    ids=lambda value: str(getattr(value, "type", value)),
)
def test_a_column_that_could_change_a_value_is_drift(warehouse: Warehouse, value: pa.Array, ddl: str) -> None:
    make(warehouse, value=ddl)
    error = warehouse.refused(errors.SchemaDriftError, table(value=value), on_schema_change="fail")
    assert '"value"' in error.message and error.hint


def test_keys_that_are_cast_are_one_key_where_the_target_says_so(warehouse: Warehouse) -> None:
    key = str(uuid.UUID(int=0xABCDEF))
    warehouse.load(pa.table({"id": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([bytes(16)], pa.binary(16))), "n": [0]}))
    stream = pa.table({"id": [key, key.upper(), str(uuid.UUID(int=0))], "n": [1, 2, 3]})
    counts = warehouse.load(stream).this_try
    assert (counts.inserted, counts.updated, counts.duplicates) == (1, 1, 1)
    assert warehouse.rows(columns="n") == [(3,), (2,)]
    assert key in warehouse.refused(errors.DataError, stream, on_duplicate="fail").message


def test_a_column_that_is_new_is_added_unless_that_is_refused_and_one_that_is_gone_becomes_null(warehouse: Warehouse) -> None:
    warehouse.load(table(a=[1], b=[2]))
    assert '"c"' in warehouse.refused(errors.SchemaDriftError, table(a=[1], b=[2], c=[3]), on_schema_change="fail").message
    assert [event.column for event in warehouse.load(table(a=[1], b=[2], c=[3])).drift] == ["c"]
    report = warehouse.load(table(a=[5], c=[4]))
    assert [event.column for event in report.drift] == ["b"]
    assert warehouse.rows(columns="a, b, c") == [(5, None, 4)]


def test_a_column_that_is_new_may_be_left_out_wherever_it_stands(warehouse: Warehouse) -> None:
    warehouse.load(table(b=["x"], a=[1]), keys=["a"])
    report = warehouse.load(table(new=[7], b=["y"], other=["z"], a=[1]), keys=["a"], on_schema_change={"column_added": "ignore"})
    assert [event.column for event in report.drift] == ["new", "other"]
    assert warehouse.rows(columns="b, a") == [("y", 1)]


def test_a_table_that_rowferry_did_not_make_is_left_alone(warehouse: Warehouse) -> None:
    warehouse.load(table(a=[1]), "other")
    warehouse.session.execute("CREATE TABLE raw_stream.things (id int PRIMARY KEY, a bigint)")
    assert "was not made by rowferry" in warehouse.refused(errors.ConfigurationError, table(a=[1])).message


def test_a_target_of_another_name_is_refused_both_ways(route: Route) -> None:
    route.at_source.execute("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE items (id int PRIMARY KEY)")
    target = {"target": route.job("orders").target, "target_table": "raw_postgres.things", "keys": ["id"]}
    things = pa.table({"id": pa.array([1], pa.int32())})
    route.run("orders", target_table="raw_postgres.things")
    before = route.everything_loaded()
    with pytest.raises(errors.ConfigurationError, match=r"is loaded from public\.orders, and this job would load it from public\.things"):
        rowferry.load(things, table="things", **target)
    assert route.everything_loaded() == before
    rowferry.load(things, table="events", **target | {"target_table": "raw_postgres.events"})
    assert "is loaded from public.events" in route.refused(errors.ConfigurationError, "orders", target_table="raw_postgres.events").message


def test_after_a_stream_the_table_itself_is_read_whole(route: Route) -> None:
    route.at_source.execute("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1), (2)")
    route.run("orders")
    report = rowferry.load(pa.table({"id": pa.array([2, 3], pa.int32())}), target=route.job("orders").target, table="orders", keys=["id"], source_name="postgres")
    assert "the next run that reads the table itself reads everything" in report.reasons
    report = route.run("orders", verify=True)
    assert report.reconciled and report.this_try.deleted == 1
    route.assert_equal("orders")


# ---- the record ------------------------------------------------------------------------------------------------------------


def test_the_report_claims_no_more_than_a_stream_can_prove(warehouse: Warehouse) -> None:
    report = warehouse.load(table(a=[1]), run_id="night")
    assert (report.capture, report.completeness, report.hard_deletes) == ("given", "best_effort", "not_captured")
    assert any("cannot be known" in reason for reason in report.reasons)
    assert report.source is report.snapshot is report.lsn is report.watermark is report.verification is None
    identity = "source_system, source_database, source_lsn, snapshot, proven_snapshot, watermark, fingerprint, chosen"
    assert warehouse.query(f"SELECT {identity} FROM _rowferry.loads") == [(None,) * 8]
    [(record,)] = warehouse.query("SELECT report FROM _rowferry.loads")
    assert set(record) == set(json.loads(rowferry.spec("report"))["required"])


def test_the_time_of_extraction_is_the_targets_clock_before_the_first_row(warehouse: Warehouse) -> None:
    def clock() -> dt.datetime:
        return warehouse.query("SELECT clock_timestamp()")[0][0]

    asked: list[dt.datetime] = []

    def batches() -> Iterator[Any]:
        yield table(a=[1])
        asked.append(clock())
        yield table(a=[2])

    before = clock()
    warehouse.load(batches())
    [(extracted,)] = warehouse.rows(columns="_extracted_at")
    assert before < extracted < asked[0]
    warehouse.session.execute("UPDATE _rowferry.loads SET extracted_at = '2999-01-01 00:00:00+00'")
    warehouse.load(table(a=[3]))
    assert warehouse.rows(columns="_extracted_at") == [(dt.datetime(2999, 1, 1, 0, 0, 0, 1, tzinfo=UTC),)]


def test_a_retry_of_the_same_run_adds_no_row_and_sums_up(warehouse: Warehouse) -> None:
    stream = table(a=[1, 2, 3])
    first = warehouse.load(stream, run_id="night")
    again = warehouse.load(stream, run_id="night", try_number=2)
    assert (again.increment, again.this_try.inserted, again.this_try.updated) == (2, 0, 3)
    assert (again.run_total.read, again.run_total.inserted, again.run_total.updated) == (6, 3, 3)
    assert again.load_id > first.load_id
    assert warehouse.rows(columns="id, a") == [(1, 1), (2, 2), (3, 3)]
