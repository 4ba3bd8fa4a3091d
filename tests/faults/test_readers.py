"""Readers side by side: one snapshot, one lock, and what happens when a reader cannot start, or ends."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import psycopg
import pytest
from runs import Pair, connection_to, sessions, shut_gate, sql, stands_at_gate, start, through_gate, wait_until

import rowferry
from rowferry import errors

READERS = 3
PAGES = 1600  # a row fills a page; the core cuts into parts of 512 at least


def fill(uri: str, table: str, first: int, last: int) -> None:
    sql(uri, f"INSERT INTO {table} SELECT g, g, repeat(chr(97 + g % 26), 7000) FROM generate_series({first}, {last}) g")


@pytest.fixture
def wide(pair: Pair) -> Pair:
    """A table `orders` that is cut into three parts."""
    sql(pair.source, "CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL, note text STORAGE PLAIN)" if pair.version >= 16 else
        "CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL, note text); ALTER TABLE orders ALTER note SET STORAGE PLAIN")
    fill(pair.source, "orders", 1, PAGES)
    return pair


def run(pair: Pair, table: str = "orders", **settings: Any) -> rowferry.Report:
    return pair.run(table, **{"connections": READERS, "verify": True, **settings})


def partitioned(pair: Pair) -> None:
    sql(pair.source, "CREATE TABLE orders (id int, n int NOT NULL, note text, PRIMARY KEY (id)) PARTITION BY RANGE (id)")
    for part, (first, last) in enumerate(((0, 800), (800, 801), (801, 9000))):
        sql(pair.source, f"CREATE TABLE orders_{part} PARTITION OF orders FOR VALUES FROM ({first}) TO ({last})")
        sql(pair.source, f"ALTER TABLE orders_{part} ALTER note SET STORAGE PLAIN")
    fill(pair.source, "orders", 1, PAGES)


def inherited(pair: Pair) -> None:
    sql(pair.source, "CREATE TABLE orders (id int PRIMARY KEY, n int NOT NULL, note text)")
    sql(pair.source, "CREATE TABLE orders_old (PRIMARY KEY (id)) INHERITS (orders)")
    for table, first, last in (("orders", 1, 700), ("orders_old", 701, PAGES)):
        sql(pair.source, f"ALTER TABLE ONLY {table} ALTER note SET STORAGE PLAIN")
        fill(pair.source, table, first, last)


@pytest.mark.parametrize(("make", "leaves"), [(partitioned, 3), (inherited, 2)])
def test_the_leaves_of_a_table_are_read_each_once(pair: Pair, make: Any, leaves: int) -> None:
    make(pair)
    first = run(pair, keys=["id"])
    assert (first.connections, first.this_try.read) == (leaves, PAGES)
    sql(pair.source, "UPDATE orders SET n = -n WHERE id % 3 = 0")
    changed = run(pair, keys=["id"])
    assert (changed.connections, changed.this_try.read) == (READERS, PAGES // 3)
    pair.check_books("orders")


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


@pytest.mark.parametrize("ends", ["leader", "other"])
def test_a_reader_that_is_ended_ends_the_run_and_nothing_is_loaded(wide: Pair, ends: str) -> None:
    with shut_gate(wide.source):
        running = start({**wide.job("orders", connections=READERS), "where": through_gate()})
        wait_until(lambda: len(sessions(wide.source, "wait_event = 'advisory'")) == READERS, "all readers stand at the gate")
        sql(wide.source, f"SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'rowferry%'"
            f" AND datname = current_database() ORDER BY backend_start {'ASC' if ends == 'leader' else 'DESC'} LIMIT 1) p")
    with pytest.raises(errors.SourceError) as caught:
        running.result(60)
    assert caught.value.retryable
    assert wide.loads("orders") == []
    wide.check_nothing_is_left()
    run(wide)
    wide.check_books("orders")


def test_who_may_not_open_more_sessions_reads_with_those_there_are(wide: Pair) -> None:
    sql(wide.source, "CREATE ROLE narrow LOGIN CONNECTION LIMIT 2; GRANT SELECT ON orders TO narrow")
    try:
        report = run(wide, source=wide.source.replace("postgres@", "narrow@"))
        assert report.connections == 2
        wide.check_books("orders")
    finally:
        sql(wide.source, "DROP OWNED BY narrow; DROP ROLE narrow")


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

