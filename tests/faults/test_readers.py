"""Readers side by side: one snapshot, one lock, and what happens when a reader cannot start, or ends."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest
from runs import Pair, connection_to, forget_connections, sessions, shut_gate, sql, stands_at_gate, start, through_gate, wait_until

import rowferry
from rowferry import errors

READERS = 3
PAGES = 1600  # a row fills a page; the core cuts into parts of 512 at least


def fill(uri: str, table: str, first: int, last: int) -> None:
    sql(uri, f"INSERT INTO {table} SELECT g, g, repeat(chr(97 + g % 26), 7000) FROM generate_series({first}, {last}) g")


@pytest.fixture
def wide(pair: Pair) -> Pair:
    """A table `orders` that is cut into three parts."""
    sql(pair.source, "CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL, note text); ALTER TABLE orders ALTER note SET STORAGE PLAIN")
    fill(pair.source, "orders", 1, PAGES)
    return pair


def name_of(uri: str) -> str:
    return uri.rpartition("/")[2]


def run(pair: Pair, table: str = "orders", **settings: Any) -> rowferry.Report:
    return pair.run(table, **{"connections": READERS, "verify": True, **settings})


def partitioned(pair: Pair) -> None:
    sql(pair.source, "CREATE TABLE orders (id int, n int NOT NULL, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id)")
    for part, (first, last) in enumerate(((0, 800), (800, 801), (801, 9000))):
        sql(pair.source, f"CREATE TABLE orders_{part} PARTITION OF orders FOR VALUES FROM ({first}) TO ({last})")
        sql(pair.source, f"ALTER TABLE orders_{part} ALTER note SET STORAGE PLAIN")
    fill(pair.source, "orders", 1, PAGES)


def test_changes_and_rows_that_left_the_filter_come_from_all_parts(wide: Pair) -> None:
    run(wide, where="orders.n > 0")
    sql(wide.source, "UPDATE orders SET n = -n WHERE id % 5 = 0")
    report = run(wide, where="orders.n > 0")
    assert (report.connections, report.this_try.read, report.this_try.deleted) == (READERS, PAGES // 5, PAGES // 5)


def test_a_row_that_is_longer_than_a_batch_passes(wide: Pair) -> None:
    sql(wide.source, "ALTER TABLE orders ALTER note SET STORAGE EXTENDED")
    sql(wide.source, "UPDATE orders SET note = repeat('long', 100000) WHERE id IN (3, 1500)")
    run(wide)
    wide.check_books("orders")


def test_readers_see_what_the_leader_saw_whatever_is_written_meanwhile(wide: Pair) -> None:
    with shut_gate(wide.source):
        # Every reader stands at a row of its own part; what is written now is in none of them.
        running = start({**wide.job("orders", connections=READERS), "where": through_gate("id NOT IN (1, 700, 1400)")})
        wait_until(lambda: len(sessions(wide.source, "wait_event = 'advisory'")) == READERS, "all readers stand at the gate")
        sql(wide.source, "UPDATE orders SET n = 0 WHERE id IN (2, 701, 1401, 1599)")
        fill(wide.source, "orders", PAGES + 1, PAGES + 50)
    report = running.result(60)
    assert (report.connections, report.this_try.read) == (READERS, PAGES)
    assert sql(wide.target, "SELECT count(*) FROM raw_postgres.orders WHERE n = 0") == [(0,)]


def test_a_leader_that_is_ended_ends_the_run_and_nothing_is_loaded(wide: Pair) -> None:
    first = "SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'rowferry%' AND datname = current_database() ORDER BY backend_start LIMIT 1"
    with shut_gate(wide.source):
        running = start({**wide.job("orders", connections=READERS), "where": through_gate()})
        wait_until(lambda: len(sessions(wide.source, "wait_event = 'advisory'")) == READERS, "all readers stand at the gate")
        sql(wide.source, f"SELECT pg_terminate_backend(pid) FROM ({first}) p")
    with pytest.raises(errors.SourceError) as caught:
        running.result(60)
    assert caught.value.retryable
    assert wide.loads("orders") == []
    wide.check_nothing_is_left()
    run(wide)
    wide.check_books("orders")


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_server_without_a_free_connection_is_waited_for(pair: Pair, side: str) -> None:
    pair.make_table("orders")
    role = f"crowded_{side}"
    admin = getattr(pair, side)
    sql(admin, f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 0; GRANT ALL ON DATABASE {name_of(admin)} TO {role}")
    sql(admin, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}")
    try:
        uri = admin.replace("postgres@", f"{role}@")
        with pytest.raises(errors.SourceError if side == "source" else errors.TargetError) as caught:
            pair.run("orders", **{side: uri}, lock_timeout=0)
        assert (caught.value.sqlstate, caught.value.retryable) == ("53300", True)
        running = start({**pair.job("orders"), side: uri})
        if side == "source":
            wait_until(lambda: sessions(pair.target), "the run has come to the target, and asks the source")
        sql(admin, f"ALTER ROLE {role} CONNECTION LIMIT -1")
        assert running.result(60).this_try.read == 2000
        pair.check_books("orders")
    finally:
        forget_connections()
        sql(admin, f"DROP SCHEMA IF EXISTS raw_postgres, _rowferry CASCADE; DROP OWNED BY {role}; DROP ROLE {role}")


def test_readers_do_not_wait_behind_who_waits_for_the_leader(wide: Pair) -> None:
    with wide.started(wide.job("orders", connections=READERS), "stop", "read", 1) as process:
        process.wait_for_stop()
        with closing(psycopg.connect(wide.source, autocommit=True)) as altering:
            waiting = "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pid = %s)"
            altering.pgconn.send_query(b"ALTER TABLE orders ADD COLUMN late int DEFAULT 5")
            wait_until(lambda: connection_to(wide.source).execute(waiting, [altering.info.backend_pid]).fetchone()[0], "ALTER waits for the leader")
            process.go_on()
            report = process.wait()
    assert (report["connections"], report["this_try"]["read"]) == (1, PAGES)


def test_partitions_that_the_role_may_not_name_are_read_through_their_table(pair: Pair) -> None:
    partitioned(pair)
    sql(pair.source, "CREATE ROLE rootonly LOGIN; GRANT SELECT ON orders TO rootonly")
    try:
        assert run(pair, source=pair.source.replace("postgres@", "rootonly@")).connections == 1
        pair.check_books("orders")
    finally:
        sql(pair.source, "DROP OWNED BY rootonly; DROP ROLE rootonly")


def test_policies_of_a_table_are_not_passed_by_through_its_partitions(pair: Pair) -> None:
    partitioned(pair)
    sql(pair.source, "CREATE ROLE hidden LOGIN; GRANT SELECT ON orders, orders_0, orders_1, orders_2 TO hidden;"
        " ALTER TABLE orders ENABLE ROW LEVEL SECURITY; CREATE POLICY even ON orders USING (id % 2 = 0)")
    try:
        report = run(pair, source=pair.source.replace("postgres@", "hidden@"))
        assert (report.connections, report.this_try.read) == (1, PAGES // 2)
    finally:
        sql(pair.source, "DROP OWNED BY hidden; DROP ROLE hidden")


def test_a_cancelled_run_ends_all_its_readers(wide: Pair) -> None:
    with shut_gate(wide.source):
        job = rowferry.Job(**wide.job("orders", connections=READERS, where=through_gate()))
        running = start(job)
        wait_until(lambda: len(sessions(wide.source, "wait_event = 'advisory'")) == READERS, "all readers stand at the gate")
        job.cancel()
        with pytest.raises(errors.CancelledError):
            running.result(60)
        wait_until(lambda: not stands_at_gate(wide.source), "no reader is left at the gate")
    wide.check_nothing_is_left()

