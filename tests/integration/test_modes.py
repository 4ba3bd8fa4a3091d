"""What a target holds in the modes that do not merge: `replace`, a copy of what was last read, and `append`, each version that a run saw.

The same sentences for each sink of `conformance.py`; what is about concurrency, for PostgreSQL.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from conformance import ROWS, SINKS, TOUCH, Pair, Postgres, Sink
from route import started, until

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server

numbers = itertools.count(1)
only_postgres = pytest.mark.parametrize("sink", [Postgres], indirect=True, ids=["postgres"])


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    """A database for all tests, and a session there: every test has a table of its own."""
    uri = pg18.create_database("modes")
    with psycopg.connect(uri, autocommit=True) as session:
        session.execute(TOUCH)
        session.execute("SET timezone = 'UTC'")
        yield uri, session
    pg18.admin("DROP DATABASE modes WITH (FORCE)")


@pytest.fixture(scope="module", params=SINKS, ids=lambda sink: sink.name)
def sink(request: pytest.FixtureRequest, pg18: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    made = request.param(pg18, tmp_path_factory.mktemp("sink"), request.getfixturevalue)
    yield made
    made.close()


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
        gate.execute("SELECT FROM _rowferry.loads; LOCK TABLE _rowferry.loads IN SHARE MODE")  # the load record waits, behind both statements
        running = started(lambda: items.run(mode="replace"))
        until(lambda: _sees(reader, ROWS) and _waits_to_record(reader), unless=running)
        assert _sees(reader, ROWS)
        gate.rollback()
        assert running.result().this_try.deleted == ROWS
        assert _sees(reader, 10)
    assert items.sink.query(f"SELECT has_table_privilege('pg_monitor', 'raw_postgres.{items.table}', 'SELECT')") == [(True,)]


def _sees(reader: psycopg.Connection, n: int) -> bool:
    return reader.execute("SELECT count(*) FROM seen").fetchone() == (n,)


def _waits_to_record(session: psycopg.Connection) -> bool:
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '_rowferry.loads'::regclass"
    return session.execute(waiting).fetchone() == (1,)
