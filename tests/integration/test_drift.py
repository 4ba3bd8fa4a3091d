"""A source whose schema changes between two runs: what each target does about it under each policy.

The load of the changed table equals it, or is refused before anything is loaded; either way the change is told. What happens without a
word of the job in the many ways a table can change, and that nothing is missed, is the matter of `test_changes`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conformance import SINKS, Duckdb, Mariadb, Pair, Postgres, Psqlodbc, Sink, Snowflake, Sqlite, sinks, source_database

import rowferry
from rowferry.demo.servers import Server
from rowferry.errors import SchemaDriftError

numbers = itertools.count(1)
KEPT = "id, price, note"


sink = sinks(*SINKS)


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    with source_database(pg18, "drifting") as made:
        yield made


@pytest.fixture
def items(source: tuple[str, psycopg.Connection], sink: Sink) -> Pair:
    """Twenty rows that are loaded, of which one was then closed."""
    pair = Pair(sink, *source, f"d{next(numbers)}")
    pair.write("CREATE TABLE {t} (id int PRIMARY KEY, price numeric(12,2), note text NOT NULL); INSERT INTO {t} SELECT i, i / 4.0, 'note ' || i FROM generate_series(1, 20) i")
    pair.run()
    pair.write("DELETE FROM {t} WHERE id = 20")
    pair.run(sweep="always")
    return pair


def told(report: Any) -> list[tuple[str, str | None, str | None, str]]:
    return [(event.kind, event.column, event.new, event.policy) for event in report.drift]


def no_drift(pair: Pair, columns: str, **settings: Any) -> None:
    """The next run meets none, and both sides are equal."""
    report = pair.run(verify=True, **settings)
    assert report.drift == ()
    pair.assert_equal(columns)


def test_a_column_that_is_added_arrives_with_the_values_of_all_rows(items: Pair) -> None:
    """Also those that its default gave, which is dropped at once, as Django does, and left no row version."""
    items.write("ALTER TABLE {t} ADD stock int DEFAULT 7 NOT NULL; ALTER TABLE {t} ALTER stock DROP DEFAULT; ALTER TABLE {t} ADD later text")
    planned = items.job().plan()
    assert [s.sql for s in planned.statements if s.role == "alter table"] and planned.drift
    report = items.run(verify=True)
    assert planned.drift == report.drift
    assert [(kind, column, policy) for kind, column, _, policy in told(report)] == [("column_added", "stock", "apply"), ("column_added", "later", "apply")]
    items.assert_equal(KEPT + ", stock, later")
    assert items.rows("stock", where="_deleted_at IS NOT NULL") == [(None,)]
    record = items.job().state()[0].record["report"]
    assert "column_added" in str(record)
    no_drift(items, KEPT + ", stock, later")


def test_a_column_that_a_view_reads_is_not_altered_and_the_error_says_what_to_do(items: Pair) -> None:
    if not isinstance(items.sink, (Postgres, Psqlodbc)):
        pytest.skip("views of other targets do not hold what they read")
    view = f"read_{items.table}"
    items.change(f"CREATE VIEW raw_postgres.{view} AS SELECT id, price FROM {{t}}")
    items.write("ALTER TABLE {t} ALTER price TYPE numeric(20,2)")
    refused = items.refused(SchemaDriftError)
    assert view in str(refused.detail or refused.server_message) and "drop it, run again" in str(refused.hint)
    items.change(f"DROP VIEW raw_postgres.{view}")
    assert told(items.run(verify=True)) == [("type_widened", "price", "numeric(20,2)", "apply")]


def test_a_column_that_is_ignored_is_left_out_until_it_is_wanted_and_then_read_whole(items: Pair) -> None:
    items.write("ALTER TABLE {t} ADD stock int DEFAULT 7")
    for _ in range(2):
        report = items.run(verify=True, on_schema_change={"column_added": "ignore"})
        assert told(report) == [("column_added", "stock", "integer", "ignore")]
        assert "stock" not in items.sink.columns(items.table)
    assert not report.reconciled
    assert items.run(verify=True).reconciled
    no_drift(items, KEPT + ", stock")


def test_a_dropped_column_stays_or_goes(items: Pair) -> None:
    items.write("ALTER TABLE {t} DROP price; UPDATE {t} SET note = 'later' WHERE id < 4")
    assert told(items.run(verify=True)) == [("column_dropped", "price", None, "ignore")]
    assert [row[1] for row in items.rows("id, price", where="id < 5")] == [None, None, None, items.rows("price", where="id = 4")[0][0]]
    assert told(items.run(on_schema_change="apply")) == [("column_dropped", "price", None, "apply")]
    assert "price" not in items.sink.columns(items.table)
    no_drift(items, "id, note")


def test_a_dropped_column_before_the_key_goes_where_the_server_can(source: tuple[str, psycopg.Connection], sink: Sink) -> None:
    sink.needs("drop a column before the key")
    pair = Pair(sink, *source, f"d{next(numbers)}")
    pair.write("CREATE TABLE {t} (price int, id int PRIMARY KEY, note text); INSERT INTO {t} VALUES (1, 1, 'a')")
    pair.run()
    pair.write("ALTER TABLE {t} DROP price")
    if isinstance(sink, Duckdb):
        assert '{"column_dropped": "ignore"}' in pair.refused(SchemaDriftError, on_schema_change="apply").hint
        pair.run(verify=True)
    else:
        pair.run(verify=True, on_schema_change="apply")
        assert "price" not in pair.sink.columns(pair.table)
    pair.assert_equal("id, note")


def test_a_renamed_column_is_refused_or_renamed(items: Pair) -> None:
    items.write("ALTER TABLE {t} RENAME price TO amount; UPDATE {t} SET amount = 99 WHERE id = 1")
    error = items.refused(SchemaDriftError)
    assert all(word in error.message for word in ('"price"', '"amount"')) and '{"column_renamed": "apply"}' in error.hint
    report = items.run(verify=True, on_schema_change={"column_renamed": "apply"})
    assert told(report) == [("column_renamed", "amount", "amount", "apply")]
    assert "price" not in items.sink.columns(items.table)
    assert items.rows("amount", where="_deleted_at IS NOT NULL")
    no_drift(items, "id, amount, note")


@pytest.mark.parametrize("mode", ["merge", "append"])
def test_a_column_of_the_key_that_is_renamed_is_renamed_there_and_the_key_stays(source: tuple[str, psycopg.Connection], sink: Sink, mode: str) -> None:
    pair = Pair(sink, *source, f"d{next(numbers)}")
    pair.write("CREATE TABLE {t} (id int, part int, note text, PRIMARY KEY (id, part)); INSERT INTO {t} VALUES (1, 1, 'a'), (1, 2, 'b')")
    pair.run(mode=mode)
    pair.write("ALTER TABLE {t} RENAME id TO number; UPDATE {t} SET note = 'later' WHERE part = 1; INSERT INTO {t} VALUES (2, 1, 'c')")
    assert '{"column_renamed": "apply"}' in pair.refused(SchemaDriftError, mode=mode).hint
    report = pair.run(verify=True, mode=mode, on_schema_change={"column_renamed": "apply"})
    assert told(report) == [("column_renamed", "number", "number", "apply")]
    assert (report.this_try.inserted, report.this_try.updated) == ((2, 0) if mode == "append" else (1, 2))
    pair.write("UPDATE {t} SET note = 'last' WHERE number = 2")
    report = pair.run(verify=True, mode=mode)
    assert (report.drift, report.this_try.read) == ((), 1)
    assert len(pair.rows("number")) == (5 if mode == "append" else 3)


def test_a_type_that_is_widened_is_widened_there(items: Pair) -> None:
    items.write("ALTER TABLE {t} ALTER price TYPE numeric(20,2); UPDATE {t} SET price = 123456789012345678.25 WHERE id = 1")
    if not isinstance(items.sink, Sqlite):  # there both are texts
        assert '{"type_widened": "apply"}' in items.refused(SchemaDriftError, on_schema_change="fail").hint
        assert [kind for kind, *_ in told(items.run(verify=True))] == ["type_widened"]
    no_drift(items, KEPT)


def test_an_integer_that_is_widened_is_widened_there(items: Pair) -> None:
    items.sink.needs("another type of a key")
    items.write("ALTER TABLE {t} ALTER id TYPE bigint; INSERT INTO {t} VALUES (12345678901, 1, 'large')")
    if isinstance(items.sink, Duckdb):
        assert "DuckDB cannot change the column so: load into another target_table" in items.refused(SchemaDriftError).hint
        return
    items.run(verify=True)
    no_drift(items, KEPT)


def test_another_type_is_refused_or_taken_where_the_server_can(items: Pair) -> None:
    items.write("ALTER TABLE {t} ALTER price TYPE text USING price || ' each'")
    if isinstance(items.sink, Sqlite):
        return
    error = items.refused(SchemaDriftError)
    assert '"price"' in error.message
    if isinstance(items.sink, Snowflake):
        assert "Snowflake cannot change" in error.hint and "on_schema_change" not in error.hint
        assert items.refused(SchemaDriftError, on_schema_change="apply").hint == error.hint
        items.change("ALTER TABLE {t} DROP COLUMN price")
    else:
        assert '{"type_changed": "apply"}' in error.hint
    assert len(items.run(verify=True, on_schema_change="apply").drift) == 1
    no_drift(items, KEPT)


def test_a_column_that_may_be_null_now_is_refused_or_may_be_so_there(items: Pair) -> None:
    items.write("ALTER TABLE {t} ALTER note DROP NOT NULL; UPDATE {t} SET note = NULL WHERE id = 1")
    error = items.refused(SchemaDriftError)
    assert '"note"' in error.message
    if isinstance(items.sink, Sqlite):
        assert "SQLite cannot take NOT NULL" in items.refused(SchemaDriftError, on_schema_change="apply").hint
        items.change("ALTER TABLE {t} DROP COLUMN note")
        items.run(verify=True)
    else:
        assert '{"nullability": "apply"}' in error.hint
        assert told(items.run(verify=True, on_schema_change={"nullability": "apply"})) == [("nullability", "note", "NULL", "apply")]
    no_drift(items, KEPT)


def test_a_dropped_column_that_was_never_null_stays_and_may_be(items: Pair) -> None:
    items.write("ALTER TABLE {t} DROP note; INSERT INTO {t} VALUES (21, 1)")
    if isinstance(items.sink, Sqlite):
        assert '{"column_dropped": "apply"}' in items.refused(SchemaDriftError).hint
        items.run(verify=True, on_schema_change="apply")
    else:
        items.run(verify=True)
        assert items.rows("note", where="id = 21") == [(None,)]
    items.assert_equal("id, price")


def test_another_key_is_refused_or_taken_where_it_can_be_enforced(items: Pair) -> None:
    items.write("ALTER TABLE {t} ALTER price SET NOT NULL; ALTER TABLE {t} DROP CONSTRAINT {t}_pkey; ALTER TABLE {t} ADD PRIMARY KEY (price)")
    error = items.refused(SchemaDriftError)
    if not isinstance(items.sink, Postgres | Mariadb):
        assert "no primary key is replaced: drop" in items.refused(SchemaDriftError, on_schema_change="apply").hint
        items.change("DROP TABLE {t}")
        items.run(verify=True)
        no_drift(items, KEPT)
        return
    assert '{"key_changed": "apply"}' in error.hint
    items.write("UPDATE {t} SET price = 77 WHERE id = 3; INSERT INTO {t} VALUES (5, 78, 'the same id')")
    assert told(items.run(verify=True, on_schema_change={"key_changed": "apply"})) == [("key_changed", None, "price", "apply")]
    no_drift(items, KEPT)


def test_labels_are_added_and_renamed(items: Pair) -> None:
    name = f"mood_{items.table}"
    items.write(f"CREATE TYPE {name} AS ENUM ('sad', 'it''s ok'); ALTER TABLE {{t}} ADD mood {name} DEFAULT 'sad'")
    is_named = isinstance(items.sink, Postgres) and not isinstance(items.sink, Psqlodbc)
    if is_named:
        items.change(f"CREATE TYPE public.{name} AS ENUM ('sad', 'it''s ok')")
    items.run()
    items.write("DELETE FROM {t} WHERE id = 19")
    items.write(f"ALTER TYPE {name} ADD VALUE 'new' BEFORE 'it''s ok'")
    items.write("UPDATE {t} SET mood = 'new' WHERE id = 1")
    has_labels = is_named or isinstance(items.sink, Duckdb)
    if has_labels:
        assert '{"enum_changed": "apply"}' in items.refused(SchemaDriftError).hint
    assert [kind for kind, *_ in told(items.run(verify=True, on_schema_change="apply"))] == ["enum_changed"] * has_labels
    items.assert_equal("id, mood::text" if is_named else "id, mood")
    items.write(f"ALTER TYPE {name} RENAME VALUE 'sad' TO 'blue'")
    assert [kind for kind, *_ in told(items.run(verify=True, on_schema_change="apply"))] == ["enum_changed"] * has_labels
    items.assert_equal("id, mood::text" if is_named else "id, mood")
    if has_labels:
        assert items.rows("mood::text", where="_deleted_at IS NOT NULL AND id = 19") == [("blue",)]


def test_a_table_that_is_missing_or_another_is_read_whole_unless_it_is_refused(items: Pair) -> None:
    items.write("DROP TABLE {t}; CREATE TABLE {t} (id int PRIMARY KEY, price numeric(12,2), note text NOT NULL); INSERT INTO {t} VALUES (1, 2, 'anew')")
    assert '{"table_recreated": "apply"}' in items.refused(SchemaDriftError, on_schema_change="fail").hint
    assert told(items.run(verify=True)) == [("table_recreated", None, None, "apply")]
    items.assert_equal(KEPT)
    items.change("DROP TABLE {t}")
    assert '{"table_missing": "apply"}' in items.refused(SchemaDriftError, on_schema_change="fail").hint
    assert told(items.run(verify=True)) == [("table_missing", None, None, "apply")]
    no_drift(items, KEPT)


@pytest.mark.parametrize("step", ["merge", "record"])
def test_a_run_that_is_killed_while_it_alters_is_ended_by_the_next(items: Pair, step: str, program: Path, tmp_path: Path) -> None:
    """Where a statement that alters commits by itself, the column is there already when the next run looks, and is read whole all the same."""
    if not isinstance(items.sink, Postgres | Mariadb):
        pytest.skip("one whose statements commit by themselves, one where they do not")
    items.write("ALTER TABLE {t} ADD stock int DEFAULT 7; ALTER TABLE {t} ALTER price TYPE numeric(20,2); UPDATE {t} SET price = 123456789012345678.25 WHERE id = 1")
    items.killed(program, tmp_path, step)
    commits = isinstance(items.sink, Mariadb) and step == "record"
    assert ("stock" in items.sink.columns(items.table)) == commits
    assert len(items.run(verify=True).drift) == (0 if commits else 2)
    no_drift(items, KEPT + ", stock")


def test_a_diagnosis_names_the_load_that_met_the_change_behind_a_missing_column(items: Pair) -> None:
    """Only when a target is named; a column that nobody changed is not put down to it."""
    items.write("ALTER TABLE {t} ADD cost int")
    report = items.run()
    items.run()
    log = 'psycopg2.errors.UndefinedColumn: column "c.Cost" does not exist'
    settings = {"target": items.sink.uri, **items.sink.settings}
    (found,) = rowferry.diagnose(log, target=settings, tables=[items.table])
    assert [note for note in found.notes if f"load {report.load_id} of " in note and "met column_added of cost" in note]
    assert rowferry.diagnose(log)[0].notes == ()
    (other,) = rowferry.diagnose(log.replace("Cost", "weight"), target=settings, tables=[items.table])
    assert [note for note in other.notes if note.startswith(f"not known to be the reason: load {report.load_id} of ")]
    (busy,) = rowferry.diagnose("psycopg2.errors.DeadlockDetected: deadlock detected", target=settings, tables=[items.table])
    assert busy.notes == ()
