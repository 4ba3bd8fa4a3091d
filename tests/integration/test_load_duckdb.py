"""An Arrow stream into a DuckDB file: every value as its producer said, once, or the file as it was."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from route import until
from test_load import SMALLEST, TYPES, Stop, endless, table

import rowferry
from rowferry import errors


class File:
    """A DuckDB file that streams are loaded into, not there before the first.

    Attributes:
        path: Of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, stream: Any, name: str = "items", **settings: Any) -> rowferry.Report:
        return rowferry.load(stream, **{"target": f"duckdb://{self.path}", "table": name, "keys": ["id"], **settings})

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path), read_only=True) as session:
            session.execute("SET timezone = 'UTC'")
            return session.execute(sql).fetchall()

    def rows(self, columns: str = "*", name: str = "items") -> list[tuple[Any, ...]]:
        return self.query(f'SELECT {columns} FROM raw_stream."{name}" WHERE _deleted_at IS NULL ORDER BY id')

    def everything(self) -> Any:
        """The rows of all tables; None when there is no file."""
        if not self.path.exists():
            return None
        tables = self.query("SELECT format('\"{}\".\"{}\"', schema_name, table_name) FROM duckdb_tables() ORDER BY 1")
        return {name: sorted(self.query(f"SELECT t::VARCHAR FROM {name} t")) for (name,) in tables}

    def is_open(self) -> bool:
        return any(link.is_symlink() and str(link.readlink()) == str(self.path) for link in Path("/proc/self/fd").iterdir())

    def refused(self, error: type[errors.RowferryError], stream: Any, **settings: Any) -> errors.RowferryError:
        """Load it, see it refused with just this class, and see that it left no row."""
        before = self.everything()
        with pytest.raises(errors.RowferryError) as caught:
            self.load(stream, **settings)
        assert type(caught.value) is error, caught.value.to_dict()
        assert not self.is_open()
        assert self.everything() == before or (before is None and self.everything() == {})
        return caught.value


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "w.duckdb")


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> File:
    """One file for all types: each has a table of its own."""
    return File(tmp_path_factory.mktemp("load") / "w.duckdb")


# ---- values ------------------------------------------------------------------------------------------------------------

# Where DuckDB prints another text than PostgreSQL, and where it keeps the one that was sent.
PRINTED: dict[str, list[str | None]] = {
    "half": ["1.5", "inf", "nan"],
    "float": ["0.1", "-0.0", "-inf"],
    "double": ["0.30000000000000004", "5e-324", "nan"],
    "binary": ["", "\\x00\\xFF", None],
    "large binary": ["\\x00\\xFF"],
    "binary view": ["", "0123456789abcdef"],
    "fixed binary": ["abc", "\\x00\\x00\\x00"],
    "json": ['{"b": 1.10, "a": [null]}', "null", None],
    "month_day_nano": ["1 year 2 months -3 days 00:00:01.5"],
    "list": ["[1, NULL, 3]", "[]", None],
    "large list": ["[a, '']", "['NULL']"],
    "list view": ["[1.5]", "[]"],
    "fixed list": ["[true, false]", None],
    "list of decimals": ["[1.50]"],
    "struct": ['{"a":1,"b":null}', None],
    "map": ['{"x":1,"y":null}', "{}"],
    "list of lists": ["[[1],[2,3]]"],
    "list of structs": ['[{"a":1}]'],
}
KINDS = {
    "boolean": "BOOLEAN",
    "smallint": "SMALLINT",
    "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT",
    "double precision": "DOUBLE",
    "text": "VARCHAR",
    "bytea": "BLOB",
    "uuid": "UUID",
    "jsonb": "JSON",
    "date": "DATE",
    "time without time zone": "TIME",
    "timestamp without time zone": "TIMESTAMP",
    "timestamp with time zone": "TIMESTAMP WITH TIME ZONE",
    "interval": "INTERVAL",
}


@pytest.mark.parametrize("name", TYPES)
def test_every_type_of_arrow_arrives_as_its_producer_said(shared: File, name: str) -> None:
    values, ddl, printed = TYPES[name]
    for by in ("inserted", "updated"):
        counts = shared.load(table(value=values), name).this_try
        assert counts.read == counts.staged == getattr(counts, by) == len(printed)
        assert [text for (text,) in shared.rows("value::VARCHAR", name)] == PRINTED.get(name, printed)
    kind = ddl.removesuffix("[]")
    wanted = "VARCHAR" if name == "decimal256" else kind.replace("numeric", "DECIMAL") if "numeric" in kind else KINDS[kind]
    assert shared.rows("typeof(value)", name)[0] == (wanted + "[]" * ddl.endswith("[]"),)


def test_a_decimal_that_duckdb_has_no_type_for_arrives_as_its_text_in_lists_too(file: File) -> None:
    wide = pa.decimal256(50, 2)
    value = Decimal("-123456789012345678901234567890123456789012345678.90")
    file.load(table(one=pa.array([value, None], wide), many=pa.array([[value, None, Decimal(0)], []], pa.list_(wide))))
    assert file.rows("one, many, typeof(many)") == [(str(value), [str(value), None, "0.00"], "VARCHAR[]"), (None, [], "VARCHAR[]")]


def test_a_column_that_as_text_names_arrives_as_postgresql_prints_it(file: File) -> None:
    span = pa.array([pa.MonthDayNano([14, -3, 1_500_000_000]), None])
    file.load(table(span=span, flag=[True, None], list=pa.array([["a", None, 'b"'], []])), as_text=["span", "flag", "list"])
    assert file.rows("span, flag, list") == [("1 year 2 mons -3 days +00:00:01.5", "true", '{a,NULL,"b\\""}'), (None, None, "{}")]


def test_an_empty_text_is_not_null(file: File) -> None:
    file.load(table(text=["", None], raw=[b"", None]))
    assert file.rows("text, raw") == [("", b""), (None, None)]


@pytest.mark.parametrize("value", ["a\0b", "broken \udcff"])
def test_a_text_that_no_database_here_holds_is_named_with_column_and_row(file: File, value: str) -> None:
    raw = pa.array([b"good", value.encode("utf-8", "surrogateescape")])
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    assert 'column "text" of row 2' in file.refused(errors.DataError, table(text=text)).message


# ---- keys -----------------------------------------------------------------------------------------------------------------


def test_keys_and_not_null_are_kept(file: File) -> None:
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("part", pa.string()), pa.field("n", pa.int32(), nullable=False), pa.field("m", pa.int32())])
    file.load(pa.table([[1], ["a"], [2], [None]], schema=schema), keys=["part", "id"])
    found = {(kind, tuple(names)) for kind, names in file.query("SELECT constraint_type, constraint_column_names FROM duckdb_constraints() WHERE table_name = 'items'")}
    assert ("PRIMARY KEY", ("part", "id")) in found and ("NOT NULL", ("n",)) in found and ("NOT NULL", ("m",)) not in found


def test_a_key_that_is_null_is_refused(file: File) -> None:
    file.load(table(n=[1]))
    assert "id" in file.refused(errors.DataError, pa.table({"id": pa.array([5, None], pa.int32()), "n": [1, 2]})).message


def test_of_rows_that_share_a_key_the_later_one_wins_whatever_its_values(file: File) -> None:
    rows = pa.table({"id": [1, 2, 1, 1, 2], "n": [1, 2, 3, None, -0.0], "l": [[1], None, [2], [], [None]]})
    for _ in range(2):
        counts = file.load(batch for batch in rows.to_batches(max_chunksize=2)).this_try
        assert (counts.read, counts.duplicates, counts.inserted + counts.updated) == (5, 3, 2)
        assert file.rows("id, n, signbit(n), l") == [(1, None, None, []), (2, 0.0, True, [None])]


def test_the_later_row_wins_however_many_threads_could_take_them(file: File) -> None:
    n = 20_000
    rows = pa.table({"id": pa.array([i % 7 for i in range(n)], pa.int32()), "n": list(range(n)), "pad": ["x" * 1000] * n})
    file.load(rows, batch_bytes=SMALLEST)
    assert file.rows("id, n") == [(key, max(range(key, n, 7))) for key in range(7)]


def test_keys_that_repeat_can_be_refused(file: File) -> None:
    error = file.refused(errors.DataError, table(n=[1, 2]).set_column(0, "id", [[7, 7]]), on_duplicate="fail")
    assert "1 rows" in error.message and "repeat a key: (7" in error.message


def test_a_row_that_the_stream_does_not_bring_stays(file: File) -> None:
    file.load(table(n=[1, 2, 3]))
    counts = file.load(pa.table({"id": pa.array([2, 9], pa.int32()), "n": [20, 90]})).this_try
    assert (counts.inserted, counts.updated, counts.deleted) == (1, 1, 0)
    assert file.rows("id, n") == [(1, 1), (2, 20), (3, 3), (9, 90)]


# ---- streams --------------------------------------------------------------------------------------------------------------


def test_many_small_batches_and_one_big_one_are_the_same(file: File) -> None:
    rows = table(n=list(range(10000)), text=[f"text {n}" for n in range(10000)])
    file.load(rows, "one")
    file.load((batch for batch in rows.to_batches(max_chunksize=7)), "many", batch_bytes=SMALLEST)
    assert file.rows("id, n, text", "one") == file.rows("id, n, text", "many") == [tuple(row.values()) for row in rows.to_pylist()]


def test_an_empty_stream_makes_the_table_and_a_record(file: File) -> None:
    report = file.load(table(n=pa.array([], pa.int32())))
    assert report.first_load and report.this_try.read == 0 and file.rows() == []
    assert file.query("SELECT count(*) FROM _rowferry.loads") == [(1,)]


def test_a_retry_of_the_same_run_adds_no_row_and_sums_up(file: File) -> None:
    file.load(table(n=[1, 2]), run_id="night")
    report = file.load(table(n=[1, 2, 3]), run_id="night", try_number=2)
    assert (report.increment, report.this_try.inserted, report.this_try.updated, report.run_total.inserted) == (2, 1, 2, 3)
    assert file.rows("n") == [(1,), (2,), (3,)]


def halfway(raised: BaseException) -> Iterator[Any]:
    """Enough rows for several batches to be with the database, then an exception."""
    for first in range(1, 20000, 500):
        yield pa.record_batch({"id": pa.array(range(first, first + 500), pa.int32()), "text": ["x" * 1000] * 500})
    raise raised


def test_a_stream_that_fails_half_way_leaves_nothing_and_its_exception_is_the_cause(file: File) -> None:
    boom = KeyError("boom")
    assert file.refused(errors.SourceError, halfway(boom), batch_bytes=SMALLEST).__cause__ is boom
    file.load(table(text=["before"]))
    assert file.refused(errors.SourceError, halfway(boom), batch_bytes=SMALLEST).__cause__ is boom
    assert file.rows("text") == [("before",)]


@pytest.mark.parametrize("first", [True, False], ids=["first load", "later load"])
def test_a_load_that_is_stopped_half_way_leaves_nothing(file: File, first: bool) -> None:
    def stop(progress: rowferry.job.Progress) -> None:
        if progress["bytes"] > 2**20:
            raise Stop

    if not first:
        file.load(table(text=["before"]))
    before = file.everything()
    with pytest.raises(Stop):
        file.load(endless(), batch_bytes=SMALLEST, on_progress=stop)
    until(lambda: not file.is_open())
    assert file.everything() == (before or {})
    assert file.load(table(text=["a", "b"])).this_try.inserted == (2 if first else 1)


def test_streams_queue_for_one_file(file: File) -> None:
    threads = [threading.Thread(target=file.load, args=(table(n=[n]), f"t{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert [file.rows("n", f"t{n}") for n in range(4)] == [[(n,)] for n in range(4)]


@pytest.mark.parametrize(
    "later",
    [
        table(n=pa.array([1], pa.int64())),
        table(n=pa.array([1], pa.int32()), more=["x"]),
        table(n=pa.array(["1"])),
    ],
    ids=["wider", "one more", "another type"],
)
def test_a_column_that_the_table_cannot_take_is_drift(file: File, later: pa.Table) -> None:
    file.load(table(n=pa.array([1], pa.int32())))
    assert "ALTER TABLE" in str(file.refused(errors.SchemaDriftError, later, on_schema_change="fail").hint)
