"""What a target holds in the modes that do not merge: `replace`, a copy of what was last read, and `append`, each version that a run saw.

The same sentences for each sink of `conformance.py`; what is about concurrency, for PostgreSQL.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from between import Between
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
    assert "no primary key" in pair.refused(errors.ConfigurationError, mode="merge").message
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


# ---- append without a key ---------------------------------------------------------------------------------

EVENTS = 40
EVENT_TABLE = f"CREATE TABLE {{t}} (n int8, note text); INSERT INTO {{t}} SELECT i % 7, 'note' FROM generate_series(1, {EVENTS}) i"


@pytest.fixture
def events(pair: Pair) -> Pair:
    """Rows that repeat, and nothing that tells one from another."""
    pair.write(EVENT_TABLE)
    return pair


def _append(pair: Pair, **settings: Any) -> tuple[int, int | None]:
    """How many rows a run appended, each as the source had it, and how many it left for the next."""
    report = pair.run(mode="append", verify=True, **settings)
    found, moved = report.verification, report.this_try
    assert found.result == "equal" and found.compared == moved.read == moved.inserted, report.to_dict()
    assert (report.capture, report.completeness, report.hard_deletes) == ("xmin", "proven", "not_captured")
    return moved.inserted, report.held_back


def test_of_rows_without_a_key_each_version_is_appended_once_and_what_was_open_is_held_back(events: Pair) -> None:
    assert _append(events) == (EVENTS, 0)
    with psycopg.connect(events.source) as older:
        older.execute(f"INSERT INTO {events.table} VALUES (1, 'older')")
        events.write("INSERT INTO {t} VALUES (1, 'twice'), (1, 'twice')")
        assert _append(events) == (0, 2), "their transaction began after one that is open"
        older.commit()
    assert _append(events) == (3, 0)
    assert _append(events) == (0, 0)
    events.write("UPDATE {t} SET note = 'changed' WHERE note = 'older'; DELETE FROM {t} WHERE note = 'twice'; INSERT INTO {t} SELECT n, 'young' FROM {t} LIMIT 3")
    assert _append(events) == (4, 0)
    assert events.rows("note, count(*)", "note <> 'note' GROUP BY note") == [("changed", 1), ("older", 1), ("twice", 2), ("young", 3)]
    assert events.rows("count(*), count(_deleted_at)", "_source_xid > 0") == [(EVENTS + 7, 0)]
    events.write("INSERT INTO {t} VALUES (9, 'since')")
    later = rowferry.verify(events.job(mode="append"))
    assert (later.result, later.equal, later.target_only, later.pending) == ("equal", EVENTS + 4, 3, 1)
    events.change("DELETE FROM {t} WHERE note = 'young'")
    assert rowferry.verify(events.job(mode="append")).missing == 3


def test_an_open_transaction_at_the_first_load_leaves_what_it_wrote_to_the_next(events: Pair) -> None:
    with psycopg.connect(events.source) as older:
        older.execute(f"INSERT INTO {events.table} VALUES (1, 'older')")
        events.write("INSERT INTO {t} VALUES (1, 'younger')")
        assert _append(events, where="n < 100") == (EVENTS, 1)
        older.commit()
    assert _append(events, where="n < 100") == (2, 0)
    assert events.rows("note, count(*)", "note <> 'note' GROUP BY note") == [("older", 1), ("younger", 1)]


def test_what_would_read_rows_without_a_key_again_is_refused_and_what_would_not_goes_on(events: Pair) -> None:
    def refused(cause: str, **settings: Any) -> None:
        caught = events.refused(errors.ConfigurationError, mode="append", **settings)
        assert cause in caught.message and caught.hint and not caught.retryable, caught.to_dict()

    refused("capture full would append every row again", capture="full")
    refused("a sweep cannot tell", sweep="always")
    assert _append(events) == (EVENTS, 0)
    refused("filter n < 5", where="n < 5")
    refused("new since the last load: mask", mask={"note": "redact"})
    events.job(mode="append").reset()
    refused("the state was reset, and the table has rows")
    events.change("DELETE FROM {t}")
    assert _append(events) == (EVENTS, 0)
    events.write("ALTER TABLE {t} ADD COLUMN added int DEFAULT 3; INSERT INTO {t} (n, note) VALUES (1, 'with')")
    assert _append(events) == (1, 0)
    assert events.rows("added, count(*)", "note IN ('note', 'with') GROUP BY added ORDER BY 2 --")[::-1] == [(None, EVENTS), (3, 1)]


REWRITINGS = {
    "ALTER TABLE {t} ALTER n TYPE numeric": True,
    "ALTER TABLE {t} ALTER n TYPE int": True,
    "ALTER TABLE {t} ADD COLUMN drawn float DEFAULT random()": True,
    "ALTER TABLE {t} SET UNLOGGED": True,
    "ALTER TABLE {t} ALTER note TYPE varchar": False,
    "VACUUM (FULL, FREEZE) {t}": False,
    "CREATE INDEX {t}_n ON {t} (n); CLUSTER {t} USING {t}_n": False,
    "TRUNCATE {t}": False,
    "TRUNCATE {t}; ANALYZE {t}": False,
    "DELETE FROM {t}": False,
}


@only_postgres
@pytest.mark.parametrize("server", ["pg15", "pg18"])
def test_of_what_rewrites_a_table_only_what_writes_its_rows_anew_stops_a_run(server: str, sink: Sink, request: pytest.FixtureRequest) -> None:
    with source_database(request.getfixturevalue(server), "rewritten", "SET timezone = 'UTC'") as source:
        for number, (statement, stops) in enumerate(REWRITINGS.items()):
            pair = Pair(sink, *source, f"rewritten_{server}_{number}")
            pair.write(EVENT_TABLE)
            assert _append(pair) == (EVENTS, 0)
            for part in statement.split("; "):
                pair.write(part)
            pair.write("INSERT INTO {t} (n, note) VALUES (1, 'afterwards')")
            changed = {"on_schema_change": {"type_changed": "apply"}}
            if stops:
                cause = "unlogged" if "UNLOGGED" in statement else "ALTER wrote its rows anew"
                assert cause in pair.refused(errors.ConfigurationError, mode="append", **changed).message, statement
            else:
                assert _append(pair, **changed) == (1, 0), statement


@only_postgres
def test_a_partition_without_a_key_is_read_whole_once_and_not_when_it_comes_back(pair: Pair) -> None:
    pair.write("CREATE TABLE {t} (n int, note text) PARTITION BY RANGE (n); CREATE TABLE {t}_a PARTITION OF {t} FOR VALUES FROM (0) TO (10); CREATE TABLE {t}_b (n int, note text)")
    pair.write("INSERT INTO {t}_a SELECT i, 'a' FROM generate_series(0, 9) i; INSERT INTO {t}_b SELECT i, 'b' FROM generate_series(10, 19) i")
    assert _append(pair) == (10, 0)
    pair.write("ALTER TABLE {t} ATTACH PARTITION {t}_b FOR VALUES FROM (10) TO (20); INSERT INTO {t} VALUES (10, 'c')")
    assert _append(pair, connections=2) == (11, 0)
    pair.write("UPDATE {t} SET n = 5 WHERE note = 'c'")
    assert _append(pair) == (1, 0), "it went over into the other partition, as a new version"
    pair.write("ALTER TABLE {t} DETACH PARTITION {t}_b")
    assert _append(pair) == (0, 0)
    assert _append(pair) == (0, 0)
    pair.write("ALTER TABLE {t} ATTACH PARTITION {t}_b FOR VALUES FROM (10) TO (20)")
    assert "attached again" in pair.refused(errors.ConfigurationError, mode="append").message


@only_postgres
def test_a_partition_that_is_attached_while_a_run_begins_is_the_next_runs(pair: Pair) -> None:
    pair.write("CREATE TABLE {t} (n int) PARTITION BY RANGE (n); CREATE TABLE {t}_a PARTITION OF {t} FOR VALUES FROM (0) TO (10); CREATE TABLE {t}_b (n int)")
    assert _append(pair) == (0, 0)
    pair.write("INSERT INTO {t}_b VALUES (11), (12)")
    with Between(pair.source, "_rowferry_xid", lambda: pair.write("ALTER TABLE {t} ATTACH PARTITION {t}_b FOR VALUES FROM (10) TO (20)")) as way:
        assert pair.run(mode="append", source=way.uri).this_try.inserted == 0
    assert _append(pair) == (2, 0)
    assert pair.rows("n") == [(11,), (12,)]


@only_postgres
def test_a_table_that_lost_its_key_or_was_made_anew_is_not_appended_to(items: Pair) -> None:
    items.run(mode="append")
    items.write("ALTER TABLE {t} DROP CONSTRAINT {t}_pkey")
    assert "went by a key" in items.refused(errors.ConfigurationError, mode="append").message
    items.write("CREATE TABLE {t}_event (n int)")
    event = Pair(items.sink, items.source, items.at_source, f"{items.table}_event")
    event.run(mode="append")
    event.write("DROP TABLE {t}; CREATE TABLE {t} (n int)")
    assert "re-created" in event.refused(errors.ConfigurationError, mode="append").message
    event.change("DROP TABLE {t}")
    event.write("INSERT INTO {t} VALUES (1)")
    assert _append(event) == (1, 0)
    event.write("ALTER TABLE {t} ADD PRIMARY KEY (n)")
    assert event.refused(errors.SchemaDriftError, mode="append").hint


@only_files_and_postgres
def test_no_row_without_a_key_is_there_twice_whatever_step_a_run_dies_at(events: Pair, program: Path, tmp_path: Path) -> None:
    events.run(mode="append", lease_seconds=1)
    for number, step in enumerate(("write", "written", "merge", "record", "commit", "committed")):
        events.write(f"INSERT INTO {{t}} SELECT {number}, repeat('killed ', 2000) FROM generate_series(1, 20)")
        events.killed(program, tmp_path, step, mode="append", run_id=step)
        report = events.run(mode="append", run_id=step, try_number=2, verify=True)
        assert report.run_total.inserted == 20
        assert events.rows("count(*)", f"n = {number} AND note <> 'note'") == [(20,)]
    assert events.rows("count(*)") == [(EVENTS + 6 * 20,)]


def _write_events(source: str, table: str, writer: int) -> None:
    """Transactions that overlap those of other writers in every order, since each writer has two sessions that take turns."""
    draw = random.Random(writer)
    with psycopg.connect(source) as one, psycopg.connect(source) as other:
        for number in range(150):
            session = draw.choice((one, other))
            first = writer * 10_000 + number * 10
            with session.cursor() as cursor:
                cursor.execute(f"INSERT INTO {table} SELECT i, 0 FROM generate_series({first}, {first + 9}) i")
                if draw.random() < 0.3:
                    cursor.execute(f"SAVEPOINT s; UPDATE {table} SET version = version + 1 WHERE id = {first}; RELEASE s")
            if draw.random() < 0.7:
                session.commit()
            elif draw.random() < 0.1:
                session.rollback()


@only_postgres
def test_whatever_is_in_flight_each_row_that_stays_is_appended_once(pair: Pair) -> None:
    pair.write("CREATE TABLE {t} (id int8, version int)")
    reports = []
    with ThreadPoolExecutor() as pool:
        writers = [pool.submit(_write_events, pair.source, pair.table, n) for n in range(5)]
        while not all(writer.done() for writer in writers):
            reports.append(pair.run(mode="append"))
    for writer in writers:
        writer.result()
    assert sum(report.held_back for report in reports) > 0, "nothing was ever in flight"
    reports.append(pair.run(mode="append", verify=True))
    assert reports[-1].held_back == 0
    there, source = pair.rows("id, version", "true"), pair.source_rows("id, version")
    assert sorted(there) == sorted(source), "none is missing, none is there twice"
    assert sum(report.this_try.inserted for report in reports) == len(there)
    assert rowferry.verify(pair.job(mode="append")).result == "equal"


def _history(pair: Pair, columns: str, where: str) -> list[tuple[Any, ...]]:
    """Versions of rows, in the order of their keys and loads."""
    return pair.sink.query(f"SELECT {columns} FROM raw_postgres.{pair.table} WHERE {where} ORDER BY id, _load_id")


def _sees(reader: psycopg.Connection, n: int) -> bool:
    return reader.execute("SELECT count(*) FROM seen").fetchone() == (n,)


def _waits_to_record(session: psycopg.Connection) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '_rowferry.loads'::regclass"
    return session.execute(waiting).fetchone() == (1,)
