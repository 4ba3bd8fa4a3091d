"""An Arrow stream into Snowflake's dialect, against the emulator: every value as its producer said, once, or nothing.

What is of Snowflake alone stands in `test_snowflake.py`; `../faults/emulator.py` lists where the emulator is otherwise.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars
import pyarrow as pa
import pytest
import sqlglot
from account import Emulator, connect
from test_load import SMALLEST, TYPES, Stop, endless, table
from test_load_examples import TAP

import rowferry
from rowferry import errors

numbers = itertools.count(1)


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    made = Emulator()
    yield made
    made.close()


class Account:
    """A table of an account for each test, not there before the first load.

    Attributes:
        name: Of the table.
        spool: Folder for files on their way.
        session: Of the test's own.
    """

    def __init__(self, emulator: Emulator, spool: Path) -> None:
        self.emulator, self.spool, self.name = emulator, spool, f"things_{next(numbers)}"
        self.session = connect(emulator.uri)

    def close(self) -> None:
        self.emulator.fault()
        self.session.close()

    def load(self, stream: Any, **settings: Any) -> rowferry.Report:
        given = {"target": self.emulator.uri, "table": self.name, "keys": ["id"], "spool_dir": str(self.spool), "lock_timeout": 5}
        return rowferry.load(stream, **{**given, **settings})

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self.session.cursor().execute(sql).fetchall()

    def rows(self, columns: str = "*") -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM raw.stream.{self.name} WHERE _deleted_at IS NULL ORDER BY id")

    def types(self) -> dict[str, str]:
        shown = "CASE data_type WHEN 'NUMBER' THEN 'NUMBER(' || numeric_precision || ',' || numeric_scale || ')' ELSE data_type END"
        listed = f"SELECT column_name, {shown} FROM raw.information_schema.columns WHERE table_name = '{self.name.upper()}'"
        return {name.lower(): kind for name, kind in self.query(listed)}

    def everything(self) -> list[tuple[Any, ...]]:
        """The rows of the table, and its load records."""
        there = self.query(f"SELECT table_name FROM raw.information_schema.tables WHERE table_name = '{self.name.upper()}'")
        rows = self.rows("TO_JSON(OBJECT_CONSTRUCT(*))::VARCHAR") if there else []
        control = self.query("SELECT table_name FROM raw.information_schema.tables WHERE table_name = 'LOADS'")
        return rows + (self.query(f"SELECT load_id FROM raw._rowferry.loads WHERE target_table = 'raw.stream.{self.name}'") if control else [])

    def refused(self, error: type[errors.RowferryError], stream: Any, **settings: Any) -> errors.RowferryError:
        """Load it, see it refused with just this class, and see that it left no row and no file."""
        before = self.everything()
        with pytest.raises(errors.RowferryError) as caught:
            self.load(stream, **settings)
        assert type(caught.value) is error, caught.value.to_dict()
        assert self.everything() == before and list(self.spool.iterdir()) == []
        return caught.value


@pytest.fixture
def account(emulator: Emulator, tmp_path: Path) -> Iterator[Account]:
    made = Account(emulator, tmp_path)
    emulator.statements()
    yield made
    made.close()


# ---- values ------------------------------------------------------------------------------------------------------------

# Where the emulator prints another text than PostgreSQL, and where the table of types has another form.
PRINTED: dict[str, list[str | None]] = {
    "half": ["1.5", "inf", "nan"],
    "float": ["0.1", "-0.0", "-inf"],
    "double": ["0.30000000000000004", "5e-324", "nan"],
    "binary": ["", "\\x00\\xFF", None],
    "large binary": ["\\x00\\xFF"],
    "binary view": ["", "0123456789abcdef"],
    "fixed binary": ["abc", "\\x00\\x00\\x00"],
    "json": ['{"b":1.1,"a":[null]}', "null", None],
    "list": ["[1,null,3]", "[]", None],
    "large list": ['["a",""]', '["NULL"]'],
    "list view": ["[1.5]", "[]"],
    "fixed list": ["[true,false]", None],
    "list of decimals": ["[1.5]"],
    "struct": ['{"a":1,"b":null}', None],
    "map": ['{"x":1,"y":null}', "{}"],
    "list of lists": ["[[1],[2,3]]"],
    "list of structs": ['[{"a":1}]'],
}
KINDS = {
    "boolean": "BOOLEAN",
    "smallint": "NUMBER(5,0)",
    "integer": "NUMBER(10,0)",
    "bigint": "NUMBER(19,0)",
    "real": "FLOAT",
    "double precision": "FLOAT",
    "numeric(76,0)": "TEXT",
    "text": "TEXT",
    "bytea": "BINARY",
    "uuid": "TEXT",
    "jsonb": "VARIANT",
    "date": "DATE",
    "time without time zone": "TIME",
    "timestamp without time zone": "TIMESTAMP_TZ",
    "timestamp with time zone": "TIMESTAMP_TZ",
    "interval": "TEXT",
}


def in_utc(name: str, text: str | None) -> str | None:
    """What is printed of a time without zone that was taken as UTC."""
    return f"{text}+00" if text and TYPES[name][1] == "timestamp without time zone" else text


@pytest.mark.parametrize("length", sorted({len(printed) for _, _, printed in TYPES.values()}))
def test_every_type_of_arrow_arrives_as_its_producer_said(account: Account, length: int) -> None:
    """Those with as many values are columns of one table."""
    names = [name for name, (_, _, printed) in TYPES.items() if len(printed) == length]
    columns = ", ".join(f'"{name}"::VARCHAR' for name in names)
    for by in ("inserted", "updated"):
        counts = account.load(table(**{name: TYPES[name][0] for name in names})).this_try
        assert counts.read == counts.staged == getattr(counts, by) == length
        arrived = dict(zip(names, map(list, zip(*account.rows(columns.upper()), strict=True)), strict=True))
        assert arrived == {name: PRINTED.get(name, [in_utc(name, text) for text in TYPES[name][2]]) for name in names}
    declared = {name: TYPES[name][1] for name in names}
    kinds = {name: KINDS.get(ddl, ddl.replace("numeric", "NUMBER")) for name, ddl in declared.items()}
    wanted = {name: "VARIANT" if declared[name].endswith("[]") else kind for name, kind in kinds.items()}  # an ARRAY is a VARIANT to the emulator
    assert account.types().items() >= wanted.items()


def test_lists_are_made_as_arrays_and_read_as_such(account: Account) -> None:
    account.load(table(list=pa.array([[1]])))
    made = next(sql for sql in account.emulator.statements() if sql.startswith("CREATE TABLE") and account.name.upper() in sql)
    assert '"LIST" ARRAY' in made and '"ID" NUMBER(10,0) NOT NULL' in made


def test_what_stands_in_a_list_is_json_of_its_kind(account: Account) -> None:
    moment = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
    lists = {
        "moments": pa.array([[moment, None]], pa.list_(pa.timestamp("us", "UTC"))),
        "bytes": pa.array([[b"\x00\\", b""]]),
        "floats": pa.array([[0.5, float("nan"), float("-inf")]]),
        "wide": pa.array([[Decimal(10**50)]], pa.list_(pa.decimal256(60, 0))),
        "texts": pa.array([["a\n\"\\", "{}", "\u00e9\U0001f600"]]),
        "documents": pa.ListArray.from_arrays([0, 2], pa.ExtensionArray.from_storage(pa.json_(), pa.array(['{"a":1}', "[]"]))),
    }
    account.load(table(**lists))
    read = account.rows(", ".join(f"{name}::VARCHAR" for name in lists))[0]
    assert dict(zip(lists, map(json.loads, read), strict=True)) == {
        "moments": ["2026-03-29T00:30:00+00:00", None],
        "bytes": ["\\x005c", "\\x"],
        "floats": [0.5, "NaN", "-Infinity"],
        "wide": [str(10**50)],
        "texts": ["a\n\"\\", "{}", "\u00e9\U0001f600"],
        "documents": [{"a": 1}, []],
    }


def test_null_and_empty_and_every_odd_sign_arrive_as_they_are(account: Account) -> None:
    odd = [None, "", '"', "''", ",", "\\", "\\N", "\\n", "a\nb\r\nc", " padded ", "007", "NULL", "\t", "\U0001f490 \u00e9", '","', '""', "x" * 100_000]
    account.load(table(text=odd, raw=[None if text is None else text.encode() for text in odd]), batch_bytes=SMALLEST)
    assert account.rows("text, raw") == [(text, None if text is None else text.encode()) for text in odd]


def test_what_snowflake_has_no_room_for_goes_as_text(account: Account) -> None:
    declared = pa.field("value", pa.string(), metadata={"rowferry.type": "numeric(5,2)"})
    odd = pa.table([pa.array([1], pa.int32()), pa.array(["NaN"])], schema=pa.schema([pa.field("id", pa.int32()), declared]))
    error = account.refused(errors.DataError, odd)
    assert "100038" in error.message and "as_text" in str(error.hint)
    account.query(f"DROP TABLE raw.stream.{account.name}")
    account.load(odd, as_text=["value"])
    assert account.rows("value") == [("NaN",)]


@pytest.mark.parametrize("value", ["a\0b", "broken \udcff"])
def test_a_text_that_no_database_here_holds_is_named_with_column_and_row(account: Account, value: str) -> None:
    raw = pa.array([b"good", value.encode("utf-8", "surrogateescape")])
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    assert 'column "text" of row 2' in account.refused(errors.DataError, table(text=text)).message


# ---- keys -----------------------------------------------------------------------------------------------------------------


def test_of_rows_that_share_a_key_the_later_one_wins_in_whichever_file_it_comes(account: Account) -> None:
    rows = 30_000
    stream = pa.table({"id": [i % 1000 for i in range(rows)], "n": range(rows), "pad": [os.urandom(20) for _ in range(rows)]})
    for by in ("inserted", "updated"):
        counts = account.load((batch for batch in stream.to_batches(max_chunksize=700)), batch_bytes=SMALLEST, spool_file_bytes=SMALLEST).this_try
        assert (counts.read, counts.staged, counts.duplicates, getattr(counts, by)) == (rows, rows, rows - 1000, 1000)
        assert account.rows("id, n") == [(i, rows - 1000 + i) for i in range(1000)]
    sent = [sql for sql in account.emulator.statements() if sql.startswith("PUT")]
    assert len(sent) > 4 and list(account.spool.iterdir()) == []


def test_keys_that_repeat_can_be_refused(account: Account) -> None:
    error = account.refused(errors.DataError, table(n=[1, 2]).set_column(0, "id", [[7, 7]]), on_duplicate="fail")
    assert "1 rows" in error.message and "repeat a key: (7" in error.message


def test_a_key_that_is_null_is_refused(account: Account) -> None:
    account.load(table(n=[1]))
    error = account.refused(errors.DataError, pa.table({"id": pa.array([5, None], pa.int32()), "n": [1, 2]}))
    assert 'column "id" of row 2 is NULL' in error.message


def test_a_null_is_refused_where_the_table_that_is_there_has_none(account: Account) -> None:
    account.load(pa.table([[1], [1]], schema=pa.schema([pa.field("id", pa.int32()), pa.field("n", pa.int64(), nullable=False)])))
    account.load(table(n=[2]))
    error = account.refused(errors.DataError, table(n=pa.array([None], pa.int64())))
    assert "100072" in error.message and "column: N" in error.message


def test_a_row_that_the_stream_does_not_bring_stays(account: Account) -> None:
    account.load(table(n=[1, 2, 3]))
    counts = account.load(pa.table({"id": pa.array([2, 9], pa.int32()), "n": [20, 90]})).this_try
    assert (counts.inserted, counts.updated, counts.deleted) == (1, 1, 0)
    assert account.rows("id, n") == [(1, 1), (2, 20), (3, 3), (9, 90)]


def test_names_that_snowflake_cannot_tell_apart_are_refused(account: Account) -> None:
    assert '"note" and "NOTE"' in account.refused(errors.ConfigurationError, table(note=["a"], NOTE=["b"])).message


# ---- streams --------------------------------------------------------------------------------------------------------------


def test_a_frame_a_reader_and_a_generator_of_batches_are_the_same(account: Account) -> None:
    rows = table(n=range(5000), text=[f"text {n}" for n in range(5000)])
    made = {"frame": polars.DataFrame(rows), "reader": rows.to_reader(max_chunksize=999), "batches": (batch for batch in rows.to_batches(max_chunksize=7))}
    for number, stream in enumerate(made.values()):
        counts = account.load(stream, batch_bytes=SMALLEST).this_try
        assert (counts.read, counts.inserted, counts.updated) == (5000, 5000 * (number == 0), 5000 * (number > 0))
        assert account.rows("id, n, text") == [tuple(row.values()) for row in rows.to_pylist()]


def test_a_singer_tap_is_loaded_as_the_readme_says(account: Account, tmp_path: Path) -> None:
    users = {"id": {"type": "integer"}, "name": {"type": ["null", "string"]}, "at": {"type": "string", "format": "date-time"}}
    users |= {"balance": {"type": ["null", "number"]}, "more": {"type": ["null", "object"]}}
    when = "2026-11-22T18:00:00+00:00"
    messages = [
        {"type": "SCHEMA", "stream": account.name, "schema": {"properties": users}, "key_properties": ["id"]},
        {"type": "RECORD", "stream": account.name, "record": {"id": 1, "name": "Ada", "at": when, "balance": 1.10, "more": {"a": [1]}}},
        {"type": "RECORD", "stream": account.name, "record": {"id": 2, "name": "", "at": when}},
        {"type": "STATE", "value": {"users": 2}},
        {"type": "RECORD", "stream": account.name, "record": {"id": 2, "name": "Grace", "at": when, "balance": None, "more": None}},
    ]
    script = tmp_path / "load_tap.py"
    script.write_text(TAP)
    environment = {**os.environ, "WAREHOUSE": account.emulator.uri}
    done = subprocess.run([sys.executable, script], input="\n".join(map(json.dumps, messages)), env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, '{"users": 2}\n'), done.stderr
    at = "2026-11-22 18:00:00"
    printed = "id, name, TO_CHAR(CONVERT_TIMEZONE('UTC', \"AT\"), 'YYYY-MM-DD HH24:MI:SS'), balance, more::VARCHAR"
    loaded = account.query(f"SELECT {printed} FROM raw.tap.{account.name} ORDER BY id")
    assert loaded == [(1, "Ada", at, Decimal("1.100000000"), '{"a":[1]}'), (2, "Grace", at, None, None)]


def test_an_empty_stream_makes_the_table_and_a_record_and_sends_no_file(account: Account) -> None:
    report = account.load(table(n=pa.array([], pa.int32())))
    assert report.first_load and report.this_try.read == 0 and account.rows() == []
    assert account.everything() == [(report.load_id,)]
    assert not [sql for sql in account.emulator.statements() if sql.startswith(("PUT", "COPY"))]


def test_a_retry_of_the_same_run_adds_no_row_and_sums_up(account: Account) -> None:
    account.load(table(n=[1, 2]), run_id="night")
    report = account.load(table(n=[1, 2, 3]), run_id="night", try_number=2)
    assert (report.increment, report.this_try.inserted, report.this_try.updated, report.run_total.inserted) == (2, 1, 2, 3)
    assert account.rows("n") == [(1,), (2,), (3,)]


def incompressible() -> str:
    return os.urandom(200).hex()


def halfway(raised: BaseException) -> Iterator[Any]:
    """Enough rows for several files to be sent, then an exception."""
    for first in range(1, 20000, 500):
        yield pa.record_batch({"id": pa.array(range(first, first + 500), pa.int32()), "text": [incompressible() for _ in range(500)]})
    raise raised


def test_a_stream_that_fails_half_way_leaves_nothing_and_its_exception_is_the_cause(account: Account) -> None:
    boom = KeyError("boom")
    few = {"batch_bytes": SMALLEST, "spool_file_bytes": SMALLEST}
    assert account.refused(errors.SourceError, halfway(boom), **few).__cause__ is boom
    assert [sql for sql in account.emulator.statements() if sql.startswith("PUT")]
    account.load(table(text=["before"]))
    assert account.refused(errors.SourceError, halfway(boom), **few).__cause__ is boom
    assert account.rows("text") == [("before",)]


def test_a_load_that_is_stopped_half_way_leaves_nothing(account: Account) -> None:
    def stop(progress: rowferry.job.Progress) -> None:
        if progress["bytes"] > 2**20:
            raise Stop

    account.load(table(text=["before"]))
    before = account.everything()
    with pytest.raises(Stop):
        account.load(endless(incompressible), batch_bytes=SMALLEST, spool_file_bytes=SMALLEST, on_progress=stop)
    assert account.everything() == before and list(account.spool.iterdir()) == []
    assert account.load(table(text=["a", "b"]), lease_seconds=600).this_try.inserted == 1


def test_a_commit_whose_answer_is_lost_is_found_and_one_that_never_came_loads_nothing(account: Account) -> None:
    account.load(table(n=[1]))
    account.emulator.fault({"match": "^COMMIT$", "after": 1, "lose": "after"})
    assert account.load(table(n=[2])).this_try.updated == 1
    account.emulator.fault({"match": "^COMMIT$", "after": 1, "lose": "before"})
    assert account.refused(errors.TargetError, table(n=[3]), run_id="night").retryable
    account.emulator.fault()
    assert account.load(table(n=[3]), run_id="night", try_number=2).this_try.updated == 1
    assert account.rows("n") == [(3,)]


# ---- a table that is there ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "later",
    [table(n=pa.array([1], pa.int64())), table(n=pa.array([1], pa.int32()), more=["x"]), table(n=pa.array(["1"]))],
    ids=["wider", "one more", "another type"],
)
def test_a_column_that_the_table_cannot_take_is_drift(account: Account, later: pa.Table) -> None:
    account.load(table(n=pa.array([1], pa.int32())))
    hint = str(account.refused(errors.SchemaDriftError, later, on_schema_change="fail").hint)
    assert "ALTER TABLE" in hint or "Snowflake cannot change" in hint


def test_a_column_without_a_value_or_a_type_fits_whatever_is_there(account: Account) -> None:
    account.load(table(n=pa.array([1, 2], pa.int32()), raw=[b"a", b"b"], document=[{"a": 1}, None]))
    account.load(table(n=pa.nulls(1), raw=pa.nulls(1), document=pa.nulls(1)))
    assert account.rows("n, raw, document::VARCHAR") == [(None, None, None), (2, b"b", None)]


def test_every_statement_of_a_stream_is_one_to_a_parser_of_snowflakes_dialect(account: Account) -> None:
    for _ in range(2):
        account.load(table(n=[1.5], list=pa.array([[1]]), raw=[b""]))
    sent = account.emulator.statements()
    assert len(sent) > 20
    for sql in sent:
        sqlglot.parse_one(sql, dialect="snowflake", error_level=sqlglot.ErrorLevel.RAISE)
