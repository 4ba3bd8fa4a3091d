"""What a mask hides is nowhere outside of the source, and everything else stays as it was."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow
import pytest
from conformance import SINKS, WIDE, Duckdb, Pair, Postgres, Sink, source_database
from masks import KEY, digest
from route import described

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server

CLEAR = "Clara Nowhere"
"""A value that may be seen at the source alone."""
MASKS = {"name": "hash", "note": "redact", "born": "redact", "mail": "truncate:3", "secret": "drop"}
numbers = itertools.count(1)


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWFERRY_MASK_KEY", KEY)


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    with source_database(pg18, "masks") as made:
        yield made


@pytest.fixture(scope="module")
def postgres(pg18: Server, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Sink]:
    sink = Postgres(pg18, tmp_path_factory.mktemp("postgres"), request.getfixturevalue)
    yield sink
    sink.close()


@pytest.fixture
def people(source: tuple[str, psycopg.Connection], postgres: Sink) -> Pair:
    return table_of(source, postgres)


def table_of(source: tuple[str, psycopg.Connection], sink: Sink) -> Pair:
    """Three people, of whom one is nobody."""
    pair = Pair(sink, *source, f"people_{next(numbers)}")
    pair.write("CREATE TABLE {t} (id int PRIMARY KEY, name text, note varchar(5), born date NOT NULL, mail text, secret text, n numeric(9,2))")
    for row in ((1, CLEAR, "clear", "1980-02-29", "clara@x", CLEAR, 1), (2, "", "", "1990-01-01", "", "", 2), (3, None, None, "2000-01-01", None, None, None)):
        pair.at_source.execute(f"INSERT INTO {pair.table} VALUES (%s, %s, %s, %s, %s, %s, %s)", row)
    return pair


def test_a_hash_is_of_the_text_that_postgresql_prints_whatever_the_type_and_capture(people: Pair) -> None:
    columns = {"flag": ("boolean", "true", "true"), "at": ("timestamptz", "2026-01-01 02:00:00+02", "2026-01-01 00:00:00+00"), "amount": ("numeric", "1.50", "1.50"),
               "doc": ("jsonb", '{"b": 1,"a":2}', '{"a": 2, "b": 1}'), "list": ("int[]", "{1, 2}", "{1,2}"), "kind": ("regclass", "pg_class", "pg_class")}
    people.write("ALTER TABLE {t} " + ", ".join(f"ADD {name} {kind}" for name, (kind, _, _) in columns.items()))
    people.write("UPDATE {t} SET " + ", ".join(f"{name} = '{value}'" for name, (_, value, _) in columns.items()))
    people.run(mask=dict.fromkeys(columns, "hash"), connections=2, capture="full", verify=True)
    assert people.rows(", ".join(columns), "id = 1") == [tuple(digest(text) for _, _, text in columns.values())]


def test_a_filter_may_use_what_is_hidden_and_a_row_that_leaves_it_is_told_by_its_hash(people: Pair) -> None:
    settings = {"mask": {"id": "hash", "name": "redact"}, "where": f"name = '{CLEAR}' OR id = 3"}
    people.run(**settings)
    people.write("UPDATE {t} SET name = 'gone' WHERE id = 1")
    assert people.run(**settings, verify=True).this_try.deleted == 1
    assert people.rows("id, name") == [(digest("3"), None)]


def test_another_mask_or_another_key_reads_everything_again(people: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    people.run(mask={"mail": "hash"})
    assert people.run(mask={"mail": "hash"}).this_try.read == 0
    assert people.run(mask={"mail": "truncate:2"}, verify=True).reconciled
    people.run(mask={"mail": "hash"})
    monkeypatch.setenv("ROWFERRY_MASK_KEY", "another key 0123456789")
    report = people.run(mask={"mail": "hash"}, verify=True)
    assert report.reconciled and any("mask" in reason for reason in report.reasons)
    assert people.rows("mail", "id = 1") == [(digest("clara@x", "another key 0123456789"),)]
    people.run(verify=True)
    assert people.rows("mail", "id = 1") == [("clara@x",)]


def test_rows_in_memory_are_masked_alike(people: Pair) -> None:
    rows = pyarrow.table(rowferry.read(people.source, people.table, mask=MASKS, batch_bytes=65536)).to_pydict()
    assert sorted(rows["id"]) == [1, 2, 3] and "secret" not in rows
    assert {id: (name, born, mail) for id, name, born, mail in zip(rows["id"], rows["name"], rows["born"], rows["mail"], strict=True)} == {
        1: (digest(CLEAR), None, "cla"), 2: (digest(""), None, ""), 3: (None, None, None)}


def test_the_clear_value_and_the_key_are_nowhere_but_at_the_source(pg15: Server, source: tuple[str, psycopg.Connection], tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The target is another server than the source, and writes down every statement that it is sent."""
    texts: list[bytes] = []
    for chosen in (Postgres, Duckdb):
        sink = chosen(pg15, tmp_path, request.getfixturevalue)
        sink.change("ALTER DATABASE " + sink.uri.rsplit("/", 1)[-1].partition("?")[0] + " SET log_statement = 'all'") if chosen is Postgres else None
        people = table_of(source, sink)
        logged = pg15.log_path.stat().st_size if pg15.log_path.exists() else 0
        for settings in ({}, {"capture": "full", "sweep": "always"}):
            report = people.run(mask=MASKS, verify=True, **settings)
            texts.append(repr(report).encode())
        texts.append(repr(people.job(mask=MASKS).plan()).encode() + repr(people.job(mask=MASKS)).encode())
        texts.append(repr([record.record for record in people.job(mask=MASKS).state()]).encode())
        assert digest(CLEAR) in repr(people.everything())
        if chosen is Postgres:
            texts.append(pg15.log_path.read_bytes()[logged:])
            assert b"COPY" in texts[-1]
        else:
            texts.append((tmp_path / "sink.duckdb").read_bytes())
        texts.append(repr(people.everything()).encode())
        sink.close()
    for text in texts:
        assert CLEAR.encode() not in text and KEY.encode() not in text


@pytest.mark.parametrize(
    ("settings", "parts"),
    [
        ({"mask": {"nmae": "hash"}}, ('"nmae"',)),
        ({"mask": {"id": "redact"}}, ('"id"', "key")),
        ({"mask": {"id": "drop"}}, ('"id"', "key")),
        ({"mask": {"id": "truncate:3"}}, ('"id"', "key")),
        ({"mask": {"name": "hash"}, "mask_key_env": "NOT_SET_HERE"}, ("NOT_SET_HERE",)),
        ({"mask": {"name": "hash"}, "mask_key_env": "SHORT_KEY"}, ("SHORT_KEY", "16 bytes")),
    ],
)
def test_a_mask_that_cannot_be_is_refused_by_name(people: Pair, monkeypatch: pytest.MonkeyPatch, settings: dict[str, object], parts: tuple[str, ...]) -> None:
    monkeypatch.setenv("SHORT_KEY", "hunter2")
    error = people.refused(errors.ConfigurationError, **settings)
    assert all(part in str(error) for part in parts) and error.hint
    assert "hunter2" not in described(error)


def test_a_plan_shows_what_is_masked_and_how(people: Pair) -> None:
    plan = people.job(mask=MASKS).plan()
    assert {mask.column: mask.mask for mask in plan.masks} == MASKS
    read = next(statement.sql for statement in plan.statements if statement.role == "read")
    assert '"secret"' not in read and "pg_catalog.left" in read


# ---- streams ----


def loaded(sink: Sink, rows: pyarrow.Table, table: str, **settings: object) -> rowferry.Report:
    return rowferry.load(rows, target=sink.uri, table=table, source_name="postgres", **{**sink.settings, "keys": ["id"], **settings})


STREAM = {"id": [1, 2, 3], "name": [CLEAR, "", None], "note": ["clear", "", None], "born": [7, 8, None], "mail": ["clara@x", "", None], "secret": [CLEAR, "", None], "n": [1.5, 2.0, None]}


@pytest.fixture(params=SINKS if WIDE else (Postgres, Duckdb), ids=lambda sink: sink.__name__)
def sink(request: pytest.FixtureRequest, pg15: Server, tmp_path: Path) -> Iterator[Sink]:
    """Not on the server of `postgres`: a server has one database for sinks at a time."""
    made = request.param(pg15, tmp_path, request.getfixturevalue)
    yield made
    made.close()


def test_a_stream_is_masked_before_anything_leaves_the_process(sink: Sink) -> None:
    table = f"stream_{next(numbers)}"
    report = loaded(sink, pyarrow.table(STREAM), table, mask=MASKS | {"n": "hash"})
    assert {mask.column: mask.mask for mask in report.masks} == MASKS | {"n": "hash"}
    assert sink.query(f"SELECT id, name, note, born, mail, n FROM raw_postgres.{table} ORDER BY id") == [
        (1, digest(CLEAR), "***", None, "cla", digest("1.5")), (2, digest(""), "***", None, "", digest("2")), (3, None, None, None, None, None)]
    assert "secret" not in sink.columns(table)


def test_a_hashed_key_of_a_stream_finds_its_row_again_and_another_key_is_refused(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    table, mask = f"stream_{next(numbers)}", {"name": "hash", "secret": "drop"}
    rows = pyarrow.table({"secret": [CLEAR], "name": [CLEAR], "n": [1]})
    loaded(sink, rows, table, keys=["name"], mask=mask)
    report = loaded(sink, rows.set_column(2, "n", [[2]]), table, keys=["name"], mask=mask)
    assert (report.this_try.inserted, report.this_try.updated) == (0, 1)
    monkeypatch.setenv("ROWFERRY_MASK_KEY", "another key 0123456789")
    for other in (mask, {"secret": "drop"}):
        with pytest.raises(errors.ConfigurationError, match='key column "name"') as refused:
            loaded(sink, rows, table, keys=["name"], mask=other)
        assert refused.value.hint
    assert sink.query(f"SELECT name, n FROM raw_postgres.{table}") == [(digest(CLEAR), 2)]


@pytest.mark.parametrize("mask", [{"id": "redact"}, {"id": "drop"}, {"nmae": "hash"}], ids=str)
def test_a_mask_of_a_stream_that_cannot_be_is_refused_by_name(postgres: Sink, mask: dict[str, str]) -> None:
    with pytest.raises(errors.ConfigurationError, match=next(iter(mask))) as refused:
        loaded(postgres, pyarrow.table(STREAM), f"stream_{next(numbers)}", mask=mask)
    assert refused.value.hint
