"""What a run may build on: a log that is on disk, keys that are keys, records that a reset leaves standing."""

from __future__ import annotations

import psycopg
import pytest

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server, start_postgres


@pytest.fixture(scope="module")
def slow_to_flush():
    """A server that commits without waiting for its log, and writes the log a second later."""
    with start_postgres(18, settings={"synchronous_commit": "off", "wal_writer_delay": "1s"}) as server:
        yield server


def log_is_flushed(server: Server, lsn: str) -> bool:
    return server.admin(f"SELECT pg_current_wal_flush_lsn() >= '{lsn}'::pg_lsn")[0][0]


def test_a_run_ends_only_when_what_its_snapshot_saw_is_on_disk(slow_to_flush: Server):
    source, target = slow_to_flush.create_database("source"), slow_to_flush.create_database("target")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY)")
        job = rowferry.Job(source=source, target=target, table="items")
        rowferry.run(job)
        for i in range(3):
            connection.execute("INSERT INTO items VALUES (%s)", (i,))
            with connection.transaction(force_rollback=True):
                connection.execute("INSERT INTO items VALUES (1000)")
            report = rowferry.run(job)
            assert report.this_try.read >= 1
            assert log_is_flushed(slow_to_flush, report.lsn)


def test_a_unique_index_over_a_key_that_may_be_null_is_no_key(route):
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, region int)")
    route.at_source.execute("INSERT INTO items VALUES (1, NULL)")
    route.run("items")
    route.at_target.execute("CREATE UNIQUE INDEX ON raw_postgres.items (id, region)")
    error = route.refused(errors.SchemaDriftError, "items", keys=["id", "region"])
    assert "NOT NULL" in error.message


def test_a_reset_keeps_what_tells_a_lagging_standby(route):
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY)")
    first = route.run("items")
    route.job("items").reset()
    newest = route.at_target.execute("SELECT kind, source_lsn FROM _rowferry.loads ORDER BY load_id DESC LIMIT 1").fetchone()
    assert newest == ("reset", None)
    again = route.run("items")
    assert again.reconciled and again.extracted_at > first.extracted_at
    assert not any("another" in reason for reason in again.reasons)
