"""Several readers of one table see it at one moment, and bring each row once."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from between import Between
from route import GATE, Route, started, until
from timed import CURSOR, reader

from rowferry.errors import SourceError

READERS = {"connections": 4}

WIDE = "id int, region int, name text, PRIMARY KEY (id, region)"
ROWS = "SELECT n, 1 + n % 2, repeat(chr(97 + n % 26), 300) FROM generate_series(1, 6000) AS n"
"""Two rows a page, as the tables below are filled: enough pages for several ranges, and room for rows to move into."""
PLAIN = f"CREATE TABLE items ({WIDE}) WITH (fillfactor = 10); INSERT INTO items {ROWS}"
PARTED = f"""
CREATE TABLE items ({WIDE}) PARTITION BY LIST (region);
CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1) WITH (fillfactor = 10);
CREATE TABLE items_2 PARTITION OF items FOR VALUES IN (2) WITH (fillfactor = 10);
CREATE TABLE items_3 PARTITION OF items FOR VALUES IN (3);
INSERT INTO items {ROWS};
"""
INHERITED = f"""
CREATE TABLE items ({WIDE}) WITH (fillfactor = 10);
CREATE TABLE items_2 (PRIMARY KEY (id, region)) INHERITS (items) WITH (fillfactor = 10);
INSERT INTO items {ROWS};
INSERT INTO items_2 SELECT id + 100000, region, name FROM ONLY items;
"""
TABLES = {"one table": PLAIN, "partitions": PARTED, "children": INHERITED}


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_several_readers_bring_what_one_brings(route: Route, table: str) -> None:
    route.at_source.execute(table)
    settings: dict[str, Any] = {**READERS, "keys": ["id", "region"], "verify": True}
    report = route.run("items", **settings)
    assert report.connections > 1 and report.this_try.read == len(route.source_rows("items"))
    route.assert_equal("items")
    route.at_source.execute("UPDATE items SET name = 'changed' WHERE id % 100 = 0; DELETE FROM items WHERE id % 100 = 1; INSERT INTO items VALUES (-1, 1, 'new')")
    report = route.run("items", **settings, sweep="always")
    assert report.connections > 1 and report.swept
    route.assert_equal("items")
    assert route.run("items", **settings, capture="full").connections > 1
    route.assert_equal("items")


def test_rows_that_move_before_the_other_readers_come_are_seen_where_they_were(route: Route) -> None:
    """Every row changes its page once the leader has its snapshot: under a snapshot of its own it would miss some and bring some twice."""
    route.at_source.execute(PLAIN)
    before = route.source_rows("items")
    moves = "UPDATE items SET name = name || '.'; INSERT INTO items SELECT n, 1, 'new' FROM generate_series(10001, 11000) AS n; DELETE FROM items WHERE id % 3 = 0"
    with Between(route.source, "pg_export_snapshot", lambda: route.at_source.execute(moves)) as way:
        report = route.run("items", source=way.uri, **READERS)
    assert report.connections > 1 and report.this_try.duplicates == 0
    assert route.target_rows("raw_postgres.items", route.columns("items")) == before
    route.run("items", **READERS, sweep="always", verify=True)
    route.assert_equal("items")


def test_a_key_that_repeats_across_ranges_is_one_row(route: Route) -> None:
    route.at_source.execute(PLAIN.replace(", PRIMARY KEY (id, region)", ""))
    route.at_source.execute("INSERT INTO items SELECT id, region, 'later' FROM items WHERE id <= 10")
    report = route.run("items", **READERS, keys=["id"])
    assert (report.this_try.read, report.this_try.duplicates) == (6010, 10) and report.connections > 1
    assert route.at_target.execute("SELECT count(*) FROM raw_postgres.items WHERE name = 'later'").fetchone() == (10,)


def test_a_role_that_may_connect_once_reads_alone(route: Route) -> None:
    route.at_source.execute(PLAIN)
    with reader(route, sees=False) as settings:
        role = psycopg.conninfo.conninfo_to_dict(settings["source"])["user"]
        route.at_source.execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")
        assert route.run("items", **READERS, **settings).connections == 1
    route.assert_equal("items")


def test_what_an_index_finds_and_what_is_small_is_read_by_one(route: Route) -> None:
    route.at_source.execute(f"{PLAIN}; ALTER TABLE items ADD updated_at timestamptz; CREATE TABLE few (id int PRIMARY KEY); INSERT INTO few SELECT generate_series(1, 100)")
    assert route.run("few", **READERS).connections == 1
    route.run("items", **CURSOR, **READERS)
    assert route.run("items", **CURSOR, **READERS).connections == 1


def test_a_reader_that_is_ended_ends_the_run_and_nothing_is_loaded(route: Route) -> None:
    """The rows at the gate lie in a range that is not the leader's."""
    route.at_source.execute(PLAIN)
    where = f"id NOT BETWEEN 2100 AND 2200 OR (SELECT true FROM pg_advisory_xact_lock_shared(id - id + {GATE}))"
    standing = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND wait_event = 'advisory'"
    with psycopg.connect(route.source, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        run = started(lambda: route.run("items", **READERS, where=where))
        until(lambda: gate.execute(standing).fetchone() is not None, unless=run)
        gate.execute(f"SELECT pg_terminate_backend(pid) FROM ({standing}) s")
        with pytest.raises(SourceError) as caught:
            run.result()
        assert caught.value.retryable and route.loads() == 0
    route.run("items", **READERS, where=where)
    route.assert_equal("items")
