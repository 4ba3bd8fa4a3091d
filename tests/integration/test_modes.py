"""What a target holds in the modes that do not merge: `replace`, a copy of what was last read, and `append`, each version that a run saw.

The same sentences for each sink of `conformance.py`; what is about concurrency, for PostgreSQL.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from conformance import ROWS, SINKS, TOUCH, Duckdb, Pair, Postgres, Sink, sinks, source_database
from program import compile_library
from route import started, until

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server

numbers = itertools.count(1)
only_postgres = pytest.mark.parametrize("sink", [Postgres], indirect=True, ids=["postgres"])
only_files_and_postgres = pytest.mark.parametrize("sink", [Postgres, Duckdb], indirect=True, ids=["postgres", "duckdb"])


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_library(tmp_path_factory.mktemp("program"))


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    with source_database(pg18, "modes", TOUCH, "SET timezone = 'UTC'") as made:
        yield made


sink = sinks(*SINKS)


@pytest.fixture
def pair(source: tuple[str, psycopg.Connection], sink: Sink) -> Pair:
    """A table's name that nobody has used, on both sides."""
    return Pair(sink, *source, f"modes_{next(numbers)}")


@pytest.fixture
def items(pair: Pair) -> Pair:
    pair.make_items()
    return pair


# ---- replace ---------------------------------------------------------------------------------------------


def test_a_copy_is_the_table_as_it_was_last_read_and_every_row_is_counted(items: Pair) -> None:
    first = items.run(mode="replace", verify=True)
    assert (first.mode, first.capture, first.completeness, first.hard_deletes) == ("replace", "full", "proven", "captured")
    items.write("DELETE FROM {t} WHERE id <= 50; UPDATE {t} SET n = NULL WHERE id = 60; INSERT INTO {t} (id, note) VALUES (1000, 'new')")
    second = items.run(mode="replace", verify=True)
    moved = second.this_try
    assert (moved.read, moved.inserted, moved.updated, moved.deleted) == (ROWS - 49, ROWS - 49, 0, ROWS)
    assert second.verification.result == "equal" and second.verification.exact
    items.assert_equal()
    assert items.rows("DISTINCT _load_id, _deleted_at", "true") == [(second.load_id, None)]
    assert rowferry.verify(items.job(mode="replace")).result == "equal"


def test_a_copy_needs_no_key_and_holds_each_row_as_often_as_the_source(pair: Pair) -> None:
    pair.write("CREATE TABLE {t} (n numeric(12,2), note text); INSERT INTO {t} VALUES (1, 'twice'), (1, 'twice'), (2, NULL)")
    for mode in ("merge", "append"):
        assert "no primary key" in pair.refused(errors.ConfigurationError, mode=mode).message
    for _ in range(2):
        report = pair.run(mode="replace", verify=True)
        assert (report.this_try.inserted, report.this_try.duplicates, report.verification.compared) == (3, 0, 3)
    pair.change("DELETE FROM {t} WHERE note IS NULL")
    pair.write("INSERT INTO {t} VALUES (1, 'twice')")
    found = rowferry.verify(pair.job(mode="replace"))
    assert (found.result, found.missing, found.target_only, found.equal) == ("different", 2, 0, 2)


def test_an_empty_source_is_refused_before_anything_is_changed_unless_it_may_be(items: Pair) -> None:
    items.run(mode="replace")
    items.write("TRUNCATE {t}")
    refused = items.refused(errors.DataError, mode="replace")
    assert "has no rows" in refused.message and "allow_empty" in str(refused.hint)
    assert items.run(mode="replace", allow_empty=True, verify=True).this_try.deleted == ROWS
    assert items.rows() == []
    items.write("DROP TABLE {t}")
    assert "does not exist" in items.refused(errors.ConfigurationError, mode="replace", allow_empty=True).message


def test_a_mode_is_changed_by_a_reset_and_not_by_chance(items: Pair) -> None:
    items.run()
    refused = items.refused(errors.ConfigurationError, mode="replace")
    assert "in mode merge" in refused.message and "state reset" in str(refused.hint)
    items.job(mode="replace").reset()
    assert items.run(mode="replace").this_try.deleted == ROWS
    assert items.run(mode="replace").reconciled is False
    assert "in mode replace" in items.refused(errors.ConfigurationError, mode="merge").message


def test_a_stream_replaces_what_is_there(pair: Pair) -> None:
    def load(rows: list[int], **settings: Any) -> rowferry.Report:
        given = {"target_table": "raw_postgres.{table}", "mode": "replace", **pair.sink.settings, **settings}
        return rowferry.load(pa.table({"n": pa.array(rows, pa.int64())}), target=pair.sink.uri, table=pair.table, **given)

    load([1, 1, 2])
    assert load([2, 3]).this_try.deleted == 3
    assert pair.rows("n") == [(2,), (3,)]
    with pytest.raises(errors.DataError, match="no rows"):
        load([])
    load([], allow_empty=True)
    assert pair.rows("n") == []


@only_postgres
def test_readers_of_a_copy_see_the_old_rows_until_the_new_ones_are_committed_and_grants_and_views_stay(items: Pair) -> None:
    items.run(mode="replace")
    items.change("CREATE VIEW seen AS SELECT id FROM {t}; GRANT SELECT ON {t} TO pg_monitor")
    items.write("DELETE FROM {t} WHERE id > 10")
    with psycopg.connect(items.sink.uri, autocommit=True) as reader, psycopg.connect(items.sink.uri) as gate:
        reader.execute("SET lock_timeout = '10s'")
        gate.execute("SELECT FROM _rowferry.loads; LOCK TABLE _rowferry.loads IN SHARE MODE")  # the load record waits, behind both statements
        running = started(lambda: items.run(mode="replace"))
        until(lambda: _sees(reader, ROWS) and _waits_to_record(reader), unless=running)
        assert _sees(reader, ROWS)
        gate.rollback()
        assert running.result().this_try.deleted == ROWS
        assert _sees(reader, 10)
    assert items.sink.query(f"SELECT has_table_privilege('pg_monitor', 'raw_postgres.{items.table}', 'SELECT')") == [(True,)]


# ---- append ----------------------------------------------------------------------------------------------


def test_each_version_that_a_run_saw_is_there_once_and_the_newest_ones_equal_the_source(items: Pair) -> None:
    def load(**settings: Any) -> rowferry.Report:
        report = items.run(mode="append", verify=True, **settings)
        assert report.mode == "append" and report.verification.result == "equal", report.verification
        return report

    first = load()
    assert first.this_try.inserted == ROWS and items.rows("count(*)", "_source_xid > 0") == [(ROWS,)]
    assert load().this_try.inserted == 0
    items.write("CREATE TABLE {t}_first AS TABLE {t}")
    items.write("UPDATE {t} SET note = 'second' WHERE id = 1; DELETE FROM {t} WHERE id = 2; INSERT INTO {t} (id, note) VALUES (1000, 'new')")
    second = load(sweep="always")
    assert (second.this_try.inserted, second.this_try.deleted, second.hard_deletes) == (2, 1, "captured")
    items.write("UPDATE {t} SET note = note WHERE id BETWEEN 10 AND 12; UPDATE {t} SET note = 'third' WHERE id = 4")
    as_first = "DELETE FROM {t} WHERE id IN (1, 2, 3); INSERT INTO {t} SELECT * FROM {t}_first WHERE id IN (1, 2, 3)"
    items.write(f"ALTER TABLE {{t}} DISABLE TRIGGER touch; {as_first}; ALTER TABLE {{t}} ENABLE TRIGGER touch")
    third = load(sweep="always")
    assert (third.this_try.inserted, third.this_try.deleted) == (6, 0), "3 is equal to its newest version, 1 and 2 only to an earlier one"
    assert third.this_try.read == third.this_try.inserted + third.this_try.duplicates
    a, b, c = first.load_id, second.load_id, third.load_id
    assert _history(items, "id, note, _load_id, _deleted_at IS NOT NULL", "id IN (1, 2, 3, 1000)") == [
        (1, "note 1", a, False), (1, "second", b, False), (1, "note 1", c, False),
        (2, "note 2", a, False), (2, "note 2", b, True), (2, "note 2", c, False),
        (3, "note 3", a, False), (1000, "new", b, False),
    ]  # fmt: skip
    assert rowferry.verify(items.job(mode="append")).result == "equal"
    items.change("DELETE FROM {t} WHERE id = 1000")
    assert rowferry.verify(items.job(mode="append")).missing == 1


def test_versions_come_by_every_capture_and_filter_and_of_a_key_that_repeats_the_newest(items: Pair) -> None:
    items.run(mode="append", capture="full", where="n IS NOT NULL", keys=["note"])
    items.write("UPDATE {t} SET n = NULL WHERE id = 5; DELETE FROM {t} WHERE id = 6; INSERT INTO {t} (id, n, note) VALUES (1000, 1, 'note 8'); UPDATE {t} SET day = NULL WHERE id = 9")
    report = items.run(mode="append", capture="full", where="n IS NOT NULL", keys=["note"], verify=True)
    assert (report.this_try.inserted, report.this_try.deleted) == (2, 2)
    assert report.this_try.read == report.this_try.inserted + report.this_try.duplicates
    assert items.rows("id", "note = 'note 8'") == [(8,), (1000,)]

    items.write("CREATE TABLE {t}_by AS TABLE {t}; ALTER TABLE {t}_by ADD PRIMARY KEY (id); CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON {t}_by FOR EACH ROW EXECUTE FUNCTION touch()")
    by = Pair(items.sink, items.source, items.at_source, f"{items.table}_by")
    settings: dict[str, Any] = {"mode": "append", "capture": "cursor", "clock_margin": 0, "where": "n IS NOT NULL"}
    by.run(**settings)
    by.write("UPDATE {t} SET n = NULL WHERE id = 20; UPDATE {t} SET note = 'changed' WHERE id = 21")
    assert (by.run(**settings).this_try.deleted, by.rows("count(*)", "id = 21")) == (1, [(2,)])
    by.write_unseen("UPDATE {t} SET note = 'unseen' WHERE id = 22")
    audited = by.run(**settings, audit="always", verify=True)
    assert audited.audit == {"missed": 1} and audited.this_try.inserted == 1


@only_postgres
def test_versions_are_kept_under_other_settings_only_where_they_mean_something(items: Pair) -> None:
    assert "removes nothing" in items.refused(errors.ConfigurationError, mode="append", on_delete="remove").message
    items.run()
    items.job().reset()
    assert "_source_xid" in items.refused(errors.ConfigurationError, mode="append").message


@only_postgres
def test_a_hot_row_is_not_starved_and_a_change_by_an_older_transaction_is_the_newest_version(items: Pair) -> None:
    items.run(mode="append")
    for turn in range(3):
        with psycopg.connect(items.source) as older, psycopg.connect(items.source) as younger:
            older.execute(f"UPDATE {items.table} SET note = 'first of {turn}' WHERE id = 1")
            younger.execute(f"UPDATE {items.table} SET note = 'younger {turn}' WHERE id = 2")
            younger.commit()
            assert items.run(mode="append").this_try.inserted == 1, "what is committed is loaded, whatever is still open"
            older.execute(f"UPDATE {items.table} SET note = 'older {turn}' WHERE id = 2")
            older.commit()
        assert items.run(mode="append", verify=True).this_try.inserted == 2
    found = _history(items, "note", "id = 2")
    assert found == [(note,) for note in ("note 2", *itertools.chain.from_iterable((f"younger {n}", f"older {n}") for n in range(3)))]
    xids = [xid for (xid,) in _history(items, "_source_xid", "id = 2")]
    assert xids != sorted(xids), "the older transaction wrote later"
    assert items.rows("count(*)", "id = 2")[0] == items.rows("count(DISTINCT _source_xid)", "id = 2")[0]
    written = items.source_rows("xmin::text::int8 + (pg_current_xact_id()::text::int8 >> 32 << 32)", "id = 2")
    assert xids[-1:] == [xid for (xid,) in written]


@only_files_and_postgres
def test_no_version_is_there_twice_whatever_step_a_run_dies_at(items: Pair, program: Path, tmp_path: Path) -> None:
    items.run(mode="append", lease_seconds=1)
    for number, step in enumerate(("written", "merge", "record", "commit", "committed")):
        items.write(f"UPDATE {{t}} SET note = 'version {number}' WHERE id <= 20; DELETE FROM {{t}} WHERE id = {ROWS - number}")
        items.killed(program, tmp_path, step, mode="append", run_id=step, sweep="always")
        report = items.run(mode="append", run_id=step, try_number=2, sweep="always", verify=True)
        assert report.run_total.inserted == 20 and report.run_total.deleted == 1
    versions = [("note " + str(i), *(f"version {n}" for n in range(5))) for i in range(1, 21)]
    assert [tuple(note for (note,) in _history(items, "note", f"id = {i}")) for i in range(1, 21)] == versions
    assert items.rows("count(*)", "_deleted_at IS NOT NULL") == [(5,)]


def _history(pair: Pair, columns: str, where: str) -> list[tuple[Any, ...]]:
    """Versions of rows, in the order of their keys and loads."""
    return pair.sink.query(f"SELECT {columns} FROM raw_postgres.{pair.table} WHERE {where} ORDER BY id, _load_id")


def _sees(reader: psycopg.Connection, n: int) -> bool:
    return reader.execute("SELECT count(*) FROM seen").fetchone() == (n,)


def _waits_to_record(session: psycopg.Connection) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '_rowferry.loads'::regclass"
    return session.execute(waiting).fetchone() == (1,)
