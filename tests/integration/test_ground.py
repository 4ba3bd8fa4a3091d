"""What a run may build on: a log that is on disk, keys that are keys, records that a reset leaves standing."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable

import psycopg
import pytest
from route import Route

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server, free_port, new_server, start_postgres


@pytest.fixture(scope="module")
def slow_to_flush():
    """A server that commits without waiting for its log, and writes the log a second later."""
    with start_postgres(18, settings={"synchronous_commit": "off", "wal_writer_delay": "1s"}) as server:
        yield server


def log_is_flushed(server: Server, lsn: str) -> bool:
    return server.admin(f"SELECT pg_current_wal_flush_lsn() >= '{lsn}'::pg_lsn")[0][0]


def test_a_run_ends_only_when_what_its_snapshot_saw_is_on_disk(slow_to_flush: Server, pg18: Server, database: Callable[[Server], str]):
    source, target = slow_to_flush.create_database("source"), database(pg18)  # whose commits write no log of the source's
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


def test_a_load_that_is_reported_is_on_disk_whatever_the_target_does_by_default(slow_to_flush: Server, pg18: Server, database: Callable[[Server], str]):
    source, target = database(pg18), slow_to_flush.create_database("target")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("CREATE TABLE items (id int PRIMARY KEY)")
        for i in range(3):
            connection.execute("INSERT INTO items VALUES (%s)", (i,))
            report = rowferry.run({"source": source, "target": target, "table": "items"})
            os.kill(slow_to_flush.pid, signal.SIGQUIT)  # no session is told, nothing more is written
            slow_to_flush.restart()
            assert slow_to_flush.admin("SELECT max(load_id) FROM _rowferry.loads", dbname="target") == [(report.load_id,)]


def test_a_unique_index_over_a_key_that_may_be_null_is_no_key(route):
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, region int)")
    route.at_source.execute("INSERT INTO items VALUES (1, NULL)")
    route.run("items")
    route.at_target.execute("CREATE UNIQUE INDEX ON raw_postgres.items (id, region)")
    error = route.refused(errors.SchemaDriftError, "items", keys=["id", "region"])
    assert "NOT NULL" in error.message


@pytest.mark.parametrize(
    "harm",
    [
        "TRUNCATE raw_postgres.items",
        "ALTER TABLE raw_postgres.items RENAME TO kept; CREATE TABLE raw_postgres.items (LIKE raw_postgres.kept INCLUDING ALL);"
        " INSERT INTO raw_postgres.items SELECT * FROM raw_postgres.kept WHERE id < 3;"
        " ALTER TABLE raw_postgres.items OWNER TO ferry_loader",
    ],
    ids=["emptied", "put back from an older copy"],
)
@pytest.mark.parametrize("capture", ["xmin", "cursor"])
def test_a_target_that_someone_emptied_or_replaced_is_loaded_whole_again(route, harm: str, capture: str):
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, updated_at timestamptz DEFAULT now())")
    route.at_source.execute("INSERT INTO items SELECT generate_series(1, 5)")
    route.run("items", capture=capture)
    route.at_target.execute(harm)
    report = route.run("items", capture=capture)
    assert report.reconciled and any("target table was re-created" in reason for reason in report.reasons)
    route.assert_equal("items")
    assert not route.run("items", capture=capture).reconciled


def test_a_reset_keeps_what_tells_a_lagging_standby(route):
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY)")
    first = route.run("items")
    route.job("items").reset()
    newest = route.at_target.execute("SELECT kind, source_lsn FROM _rowferry.loads ORDER BY load_id DESC LIMIT 1").fetchone()
    assert newest == ("reset", None)
    again = route.run("items")
    assert again.reconciled and again.extracted_at > first.extracted_at
    assert not any("another" in reason for reason in again.reasons)


# ---- the same source, put up again ---------------------------------------------------------------------------

ITEMS = "CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT n, 'old' FROM generate_series(1, 80) AS n"


def do(server: Server, tool: str, *options: str) -> None:
    """Run one of the server's own programs, as the owner of its data."""
    ended = subprocess.run([str(server._binaries / tool), *options], **server._as_owner(), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_database_restored_from_a_dump_is_reconciled(servers: Server, route: Route):
    """What was written after the dump is gone, and nothing in the restored rows shows it."""
    name, dump = route.source.rpartition("/")[2], f"{servers.socket_dir}/dump"
    route.at_source.execute(ITEMS)
    do(servers, "pg_dump", "--file", dump, route.source)
    route.at_source.execute("UPDATE items SET name = 'new' WHERE id > 40; INSERT INTO items VALUES (100, 'new')")
    route.run("items")
    route.at_source.close()
    servers.admin(f"DROP DATABASE {name}")
    servers.create_database(name)
    do(servers, "psql", "--quiet", "--file", dump, route.source)
    report = route.run("items", verify=True)
    assert report.reconciled and any("re-created" in reason for reason in report.reasons)
    assert (report.this_try.deleted, report.this_try.updated) == (1, 80)
    route.at_source = psycopg.connect(route.source, autocommit=True)
    route.assert_equal("items")


def test_a_server_after_pg_upgrade_is_reconciled(pg15: Server, pg18: Server, route_on: Callable[..., Route]):
    """It keeps the oids, the files, the rows' versions and the counter: only the system identifier is new."""
    target = route_on(pg18)
    with start_postgres(15) as old, new_server(18) as new:
        old.admin(ITEMS)
        target.run("items", source=old.uri())
        old.admin("UPDATE items SET name = 'new' WHERE id > 40")
        upgrade(old, new)
        report = target.run("items", source=new.uri(), verify=True)
        assert report.reconciled and any("another server" in reason for reason in report.reasons)
        assert not any("re-created" in reason or "another database" in reason for reason in report.reasons)
        new.admin("UPDATE items SET name = 'newer' WHERE id > 60")
        report = target.run("items", source=new.uri(), verify=True)
        assert not report.reconciled and report.this_try.updated == 20


def upgrade(old: Server, new: Server) -> None:
    """Checksums are on by default in the new version, and pg_upgrade wants both alike."""
    old._shut_down()
    do(old, "pg_checksums", "--enable", "--no-sync", "--pgdata", str(old._data))
    new._initdb()
    new._configure({})
    places = ["-b", str(old._binaries), "-B", str(new._binaries), "-d", str(old._data), "-D", str(new._data), "-s", new.socket_dir]
    do(new, "pg_upgrade", *places, "-p", str(free_port()), "-P", str(free_port()), "-U", "postgres", "--no-sync")
    new._start_on_free_port()
