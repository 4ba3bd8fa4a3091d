"""Keys compared: rows that the source no longer has are closed, those it has are not, as of the run's own snapshot."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from route import AT_THE_GATE, GATE, Route, started, until, waits_for
from timed import CURSOR, ITEMS, ROWS, captures, nowhere, unseen

from rowferry import Report
from rowferry.demo.servers import Server
from rowferry.errors import ConfigurationError

MOST_BYTES = 48 << 20
"""Of a whole process that sweeps, Python included."""


@pytest.fixture
def items(route: Route) -> Route:
    route.at_source.execute(ITEMS)
    return route


def swept(route: Route, table: str = "items", **settings: Any) -> Report:
    report = route.run(table, **{"capture": "xmin", "sweep": "always", **settings})
    assert report.swept and report.hard_deletes == "captured"
    assert report.live == {"source": report.live["source"], "target": report.live["source"]}
    return report


def closed(route: Route, table: str = "items", key: str = "id") -> list[str]:
    found = f"SELECT ROW({key})::text FROM raw_postgres.{table} WHERE _deleted_at IS NOT NULL ORDER BY 1"
    return [text for (text,) in route.at_target.execute(found)]


# ---- what is gone ----------------------------------------------------------------------------------------


@captures
def test_rows_that_were_deleted_are_closed_and_no_other_row_is_touched(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    before = items.at_target.execute("SELECT id, _load_id, _extracted_at FROM raw_postgres.items WHERE id > 30 ORDER BY id").fetchall()
    items.at_source.execute("DELETE FROM items WHERE id <= 30")
    report = swept(items, **capture)
    assert (report.this_try.read, report.this_try.deleted) == (0, 30)
    assert report.live == {"source": ROWS - 30, "target": ROWS - 30}
    assert items.at_target.execute("SELECT id, _load_id, _extracted_at FROM raw_postgres.items WHERE id > 30 ORDER BY id").fetchall() == before
    stamps = items.at_target.execute("SELECT DISTINCT _load_id, _deleted_at = _extracted_at FROM raw_postgres.items WHERE id <= 30").fetchall()
    assert stamps == [(report.load_id, True)], "models must see that these rows changed"
    items.assert_equal("items")


@captures
def test_without_a_sweep_deleted_rows_stay_and_the_report_says_so(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    items.at_source.execute("DELETE FROM items WHERE id = 1")
    report = items.run("items", **capture)
    assert (report.swept, report.live, report.hard_deletes, report.this_try.deleted) == (False, None, "not_captured", 0)
    assert any("delete" in reason for reason in report.reasons)
    assert swept(items, **capture).this_try.deleted == 1


@captures
def test_the_old_key_of_a_row_whose_key_was_changed_is_closed(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    items.at_source.execute("UPDATE items SET id = id + 1000 WHERE id <= 5")
    report = swept(items, **capture)
    assert (report.this_try.inserted, report.this_try.deleted) == (5, 5)
    items.assert_equal("items")


@captures
def test_a_row_that_was_deleted_and_inserted_again_is_open_again(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    items.at_source.execute("DELETE FROM items WHERE id = 7")
    swept(items, **capture)
    assert closed(items) == ["(7)"]
    items.at_source.execute("INSERT INTO items VALUES (7, 'back')")
    assert items.run("items", **capture).this_try.updated >= 1
    assert closed(items) == []
    items.at_source.execute("DELETE FROM items WHERE id = 8; INSERT INTO items VALUES (8, 'between two runs')")
    assert swept(items, **capture).this_try.deleted == 0
    items.assert_equal("items")


def test_a_source_that_was_emptied_closes_every_row(items: Route) -> None:
    items.run("items")
    items.at_source.execute("DELETE FROM items")
    assert swept(items).this_try.deleted == ROWS
    assert swept(items).this_try.deleted == 0, "a closed row is not closed again"
    items.assert_equal("items")


@captures
def test_rows_that_are_gone_are_removed_where_the_job_says_so(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    items.at_source.execute("DELETE FROM items WHERE id <= 10")
    report = swept(items, **capture, on_delete="remove")
    assert report.this_try.deleted == 10
    assert items.at_target.execute("SELECT count(*) FROM raw_postgres.items").fetchone() == (ROWS - 10,)
    items.assert_equal("items")


def test_a_full_read_removes_rows_too_where_the_job_says_so(items: Route) -> None:
    items.run("items")
    items.at_source.execute("DELETE FROM items WHERE id <= 10")
    assert items.run("items", capture="full", on_delete="remove").this_try.deleted == 10
    assert items.at_target.execute("SELECT count(*) FROM raw_postgres.items").fetchone() == (ROWS - 10,)


@captures
def test_rows_that_no_longer_pass_the_filter_are_closed_though_nothing_wrote_them(items: Route, capture: dict[str, Any]) -> None:
    """A filter may draw on other tables; only a look at all keys shows what left it."""
    items.at_source.execute("CREATE TABLE hidden (id int); INSERT INTO hidden VALUES (1)")
    where = "id NOT IN (SELECT h.id FROM hidden h) AND id <> 50"
    items.run("items", where=where, **capture)
    items.at_source.execute("INSERT INTO hidden VALUES (2), (3); DELETE FROM items WHERE id = 4")
    report = swept(items, where=where, **capture)
    assert report.this_try.deleted == 3
    assert closed(items) == ["(2)", "(3)", "(4)"]
    assert report.live == {"source": ROWS - 5, "target": ROWS - 5}
    items.assert_equal("items", where=where)


# ---- keys ------------------------------------------------------------------------------------------------

KEYS = {
    "text": ("text", "'a b'", "'a  b'", "'A b'"),
    "uuid": ("uuid", "'00000000-0000-0000-0000-000000000001'", "'00000000-0000-0000-0000-000000000002'", "'00000000-0000-0000-0000-00000000000a'"),
    "numeric": ("numeric", "1.0", "2.5", "'NaN'"),
    "numeric(12,4)": ("numeric(12,4)", "1.0", "2.5", "-3"),
    "bytea": ("bytea", "'\\x00'", "'\\x0000'", "''"),
    "char(5)": ("char(5)", "'a'", "'b'", "''"),
    "timestamptz": ("timestamptz", "'2026-01-01'", "'infinity'", "'4713-01-01 BC'"),
    "citext": ("citext", "'Abc'", "'abd'", "''"),
    "float8": ("float8", "0.1", "'NaN'", "'-infinity'"),
}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_keys_of_every_type_find_their_rows(route: Route, key: tuple[str, str, str, str]) -> None:
    type_name, *values = key
    if type_name == "citext":
        for session in (route.at_source, route.at_target):
            session.execute("CREATE EXTENSION citext")
    route.at_source.execute(f"CREATE TABLE items (id {type_name} PRIMARY KEY, name text)")
    for value in values:
        route.at_source.execute(f"INSERT INTO items VALUES ({value}, 'x')")
    route.run("items")
    assert swept(route).this_try.deleted == 0
    route.at_source.execute(f"DELETE FROM items WHERE id = {values[1]}")
    assert swept(route).this_try.deleted == 1
    route.assert_equal("items")


def test_a_composite_key_is_gone_when_any_of_its_columns_differs(route: Route) -> None:
    route.at_source.execute(
        'CREATE TABLE items ("Order" int, line text, name text, PRIMARY KEY ("Order", line));'
        " INSERT INTO items SELECT n / 3, n % 3, 'x' FROM generate_series(0, 29) AS n"
    )
    route.run("items")
    route.at_source.execute("DELETE FROM items WHERE \"Order\" = 2 AND line = '1'; UPDATE items SET line = 'moved' WHERE \"Order\" = 3 AND line = '0'")
    assert swept(route).this_try.deleted == 2
    assert closed(route, key='"Order", line') == ["(2,1)", "(3,0)"]
    route.assert_equal("items")


@pytest.mark.parametrize(("type_name", "before", "after"), [("numeric", "1.0", "1.00"), ("citext", "'Abc'", "'ABC'"), ("float8", "0", "'-0'")])
def test_a_key_that_is_written_otherwise_and_equal_is_not_gone(route: Route, type_name: str, before: str, after: str) -> None:
    if type_name == "citext":
        for session in (route.at_source, route.at_target):
            session.execute("CREATE EXTENSION citext")
    route.at_source.execute(f"{ITEMS}; TRUNCATE items; ALTER TABLE items ALTER id TYPE {type_name} USING id::text::{type_name}")
    unseen(route.at_source, f"INSERT INTO items VALUES ({before}, 'x', '2026-01-01', '2026-01-01')")
    route.run("items", **CURSOR)
    unseen(route.at_source, f"UPDATE items SET id = {after}")
    report = swept(route, **CURSOR)
    assert (report.this_try.read, report.this_try.deleted) == (0, 0), "the cursor does not see this update, and the sweep must not close the row"
    route.at_source.execute(f"DELETE FROM items; INSERT INTO items VALUES ({after}, 'y')")
    assert swept(route, **CURSOR).this_try.deleted == 0
    route.assert_equal("items")


def test_a_key_that_the_source_holds_twice_is_one_key(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int NOT NULL, name text); INSERT INTO items SELECT n % 10, 'x' FROM generate_series(0, 19) AS n")
    route.run("items", keys=["id"])
    route.at_source.execute("DELETE FROM items WHERE id = 3")
    report = swept(route, keys=["id"])
    assert (report.this_try.deleted, report.live) == (1, {"source": 9, "target": 9})


def test_partitions_that_are_detached_take_their_rows_along(route: Route) -> None:
    route.at_source.execute(
        "CREATE TABLE items (id int, region int, PRIMARY KEY (id, region)) PARTITION BY LIST (region);"
        " CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1); CREATE TABLE items_2 PARTITION OF items FOR VALUES IN (2);"
        " INSERT INTO items SELECT n, 1 + n % 2 FROM generate_series(1, 100) AS n"
    )
    route.run("items")
    route.at_source.execute("ALTER TABLE items DETACH PARTITION items_2")
    assert swept(route).this_try.deleted == 50
    route.assert_equal("items")


# ---- when ------------------------------------------------------------------------------------------------


@captures
def test_every_nth_load_sweeps_and_a_run_that_failed_is_no_load(items: Route, capture: dict[str, Any]) -> None:
    settings = {**capture, "sweep": "every 3"}
    done = [items.run("items", **settings).swept]
    for n in range(9):
        items.at_source.execute("DELETE FROM items WHERE id = %s", [n + 1])
        if n % 2:
            items.refused(ConfigurationError, "items", **{**settings, "where": "no_such_column"})
        done.append(items.run("items", **settings).swept)
    places = [n for n, was in enumerate(done) if was]
    assert [b - a for a, b in zip(places, places[1:], strict=False)] == [3] * (len(places) - 1), done
    assert len(places) >= 3, done


def test_the_first_load_needs_no_sweep_to_hold_what_the_source_holds(items: Route) -> None:
    report = items.run("items", sweep="always")
    assert (report.hard_deletes, report.this_try.deleted) == ("captured", 0)
    items.assert_equal("items")


@pytest.mark.parametrize("value", ["every 0", "every", "every -1", "every 2 loads", "sometimes", "", 3, True])
def test_a_sweep_that_cannot_be_read_is_a_configuration_error_naming_it(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="sweep"):
        nowhere(sweep=value)


def test_a_way_to_delete_that_is_unknown_is_a_configuration_error_naming_it() -> None:
    with pytest.raises(ConfigurationError, match="on_delete"):
        nowhere(on_delete="hide")


# ---- at the run's own snapshot ---------------------------------------------------------------------------


@captures
def test_a_sweep_sees_what_the_run_sees_and_not_what_came_later(items: Route, capture: dict[str, Any]) -> None:
    """While the run stands in the middle of its read, rows come, go, and come back."""
    settings = {**capture, "where": AT_THE_GATE, "sweep": "always"}
    items.run("items", **settings)
    items.at_source.execute("DELETE FROM items WHERE id IN (1, 2); UPDATE items SET name = 'read' WHERE id = 50")
    with psycopg.connect(items.source, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [GATE])
        run = started(lambda: items.run("items", **settings))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=run)
        items.at_source.execute("DELETE FROM items WHERE id = 3; INSERT INTO items VALUES (1, 'came back'), (1000, 'new')")
        other.execute("SELECT pg_advisory_unlock(%s)", [GATE])
        report = run.result()
    assert closed(items) == ["(1)", "(2)"], "row 1 was away at the snapshot, row 3 was still there"
    assert report.live == {"source": ROWS - 2, "target": ROWS - 2}
    swept(items, **settings)
    assert closed(items) == ["(2)", "(3)"]
    items.assert_equal("items")


def test_rows_of_a_newer_load_are_left_alone_and_the_report_says_that_the_sides_differ(items: Route) -> None:
    items.run("items")
    items.at_target.execute("UPDATE raw_postgres.items SET _load_id = 1000 WHERE id = 1")
    items.at_source.execute("DELETE FROM items WHERE id IN (1, 2)")
    report = items.run("items", sweep="always")
    assert closed(items) == ["(2)"]
    assert report.live == {"source": ROWS - 2, "target": ROWS - 1}
    assert any(str(ROWS - 1) in text for text in (*report.reasons, *report.warnings)), report


def test_a_swept_run_is_equal_in_every_key_when_it_is_verified(items: Route) -> None:
    items.run("items")
    items.at_source.execute("DELETE FROM items WHERE id % 3 = 0; UPDATE items SET id = -id WHERE id % 3 = 1")
    verification = swept(items, verify=True).verification
    assert (verification.result, verification.target_only) == ("equal", 0)


# ---- memory ----------------------------------------------------------------------------------------------


def test_a_sweep_of_a_million_keys_takes_no_more_memory_than_any_run(pg18: Server, route_on: Callable[..., Route]) -> None:
    route = route_on(pg18)
    route.at_source.execute("CREATE UNLOGGED TABLE keys (id bigint PRIMARY KEY); INSERT INTO keys SELECT generate_series(1, 1000000)")
    route.run("keys")
    route.at_source.execute("DELETE FROM keys WHERE id % 1000 = 0")
    peak = "print([l for l in open('/proc/self/status') if l.startswith('VmHWM')][0].split()[1])"
    code = f"import rowferry; r = rowferry.run({route.job('keys', sweep='always').to_dict()!r}); print(r.this_try.deleted); {peak}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    deleted, kilobytes = map(int, done.stdout.split())
    assert deleted == 1000
    assert kilobytes * 1024 < MOST_BYTES
