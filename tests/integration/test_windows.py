"""A window of time read once more: its rows, no others, and the runs before and after it lose nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from route import AT_THE_GATE, GATE, Route, described, started, until, waits_for
from timed import CURSOR, ITEMS, ROWS, captures, unseen, watermark

from rowferry.errors import ConfigurationError, RowferryError

WINDOW = {"since": "2026-01-10T00:00:00Z", "until": "2026-01-20T00:00:00Z"}
INSIDE = "updated_at >= '2026-01-10' AND updated_at < '2026-01-20'"
"""As the rows of ITEMS have it: row 9 stands exactly on the first moment, row 19 on the one after the last."""


@pytest.fixture
def items(route: Route) -> Route:
    route.at_source.execute(ITEMS)
    return route


def names(route: Route, where: str) -> set[str]:
    return {name for (name,) in route.at_target.execute(f"SELECT name FROM raw_postgres.items WHERE {where}")}


def state(route: Route, table: str = "items") -> dict[str, Any]:
    """What the next run builds on."""
    record = route.job(table).state()[0].record
    return {name: record[name] for name in ("snapshot", "watermark", "fingerprint")}


# ---- what is read ----------------------------------------------------------------------------------------


@captures
def test_only_rows_of_the_window_are_read(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    unseen(items.at_source, "UPDATE items SET name = 'again'")
    report = items.run("items", **WINDOW)
    assert report.this_try.read == 10
    assert names(items, INSIDE) == {"again"}
    assert "again" not in names(items, f"NOT ({INSIDE})")


@pytest.mark.parametrize(
    ("window", "condition"),
    [
        ({"since": WINDOW["since"]}, "updated_at >= '2026-01-10'"),
        ({"until": WINDOW["until"]}, "updated_at < '2026-01-20' OR inserted_at < '2026-01-20'"),
        ({"since": "2026-01-10T02:00:00+02:00", "until": "2026-01-19T19:00:00-05:00"}, INSIDE),
        ({"since": "2026-01-10", "until": "2026-01-20"}, INSIDE),
    ],
    ids=["open to the end", "open to the start", "in other zones", "dates"],
)
def test_a_window_may_be_open_and_in_any_zone(items: Route, window: dict[str, str], condition: str) -> None:
    items.run("items")
    unseen(items.at_source, "UPDATE items SET name = 'again'")
    assert items.run("items", **window).this_try.read == len(items.source_rows("items", where=condition))
    assert names(items, condition) == {"again"}


def test_any_of_the_columns_may_lie_in_the_window_and_a_row_without_a_time_lies_in_none(route: Route) -> None:
    route.at_source.execute(
        "CREATE TABLE items (id int PRIMARY KEY, name text, created_at timestamptz, modified_at timestamptz, deleted_at timestamptz);"
        " INSERT INTO items VALUES (1, 'a', '2026-01-12', NULL, NULL), (2, 'a', '2025-01-01', '2026-01-12', NULL),"
        " (3, 'a', '2025-01-01', '2025-01-01', '2026-01-12'), (4, 'a', '2025-01-01', NULL, '2027-01-01'), (5, 'a', NULL, NULL, NULL)"
    )
    route.run("items")
    route.at_source.execute("UPDATE items SET name = 'again'")
    assert route.run("items", **WINDOW).this_try.read == 3
    assert route.at_target.execute("SELECT id FROM raw_postgres.items WHERE name = 'again' ORDER BY id").fetchall() == [(1,), (2,), (3,)]


def test_a_window_keeps_to_the_filter(items: Route) -> None:
    items.run("items", where="id <= 15")
    unseen(items.at_source, "UPDATE items SET name = 'again'")
    items.run("items", where="id <= 15", **WINDOW)
    assert items.at_target.execute("SELECT id FROM raw_postgres.items WHERE name = 'again' ORDER BY id").fetchall() == [(n,) for n in range(9, 16)]


# ---- what it leaves as it was ----------------------------------------------------------------------------


@captures
def test_a_window_leaves_watermark_snapshot_and_fingerprint_where_they_were(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    before = state(items)
    items.at_source.execute("UPDATE items SET name = 'new' WHERE id <= 5; ALTER TABLE items ALTER name SET DEFAULT 'x'")
    report = items.run("items", **WINDOW)
    assert state(items) == before
    assert set(report.window) == {"since", "until"}
    assert items.loads() == 2, "it is a load, and recorded as one"


@captures
def test_a_window_between_two_runs_loses_nothing_of_either(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    items.at_source.execute("UPDATE items SET name = 'before' WHERE id <= 5; INSERT INTO items VALUES (1000, 'before')")
    items.run("items", **WINDOW)
    items.at_source.execute("UPDATE items SET name = 'after' WHERE id BETWEEN 4 AND 8; INSERT INTO items VALUES (1001, 'after')")
    report = items.run("items", verify=True, **capture)
    assert not report.reconciled
    items.assert_equal("items")


def test_a_window_over_the_present_does_not_move_the_watermark_either(items: Route) -> None:
    """Its end lies in the future, and rows of the past come after it: they must still be read."""
    first = items.run("items", **CURSOR)
    with psycopg.connect(items.source) as writer:
        writer.execute("UPDATE items SET name = 'late' WHERE id = 1")
        window = items.run("items", since="2026-05-01", until="2099-01-01")
        writer.commit()
    assert watermark(window) == watermark(first)
    assert watermark(items.run("items", **CURSOR)) > watermark(first)
    items.assert_equal("items")


@captures
def test_a_change_of_the_table_is_still_seen_by_the_run_after_a_window(items: Route, capture: dict[str, Any]) -> None:
    """ALTER writes no row that lies in the window; were its fingerprint kept, nobody would read the others."""
    items.run("items", **capture)
    items.at_source.execute("ALTER TABLE items DROP name; ALTER TABLE items ADD name text NOT NULL DEFAULT 'filled in'")
    assert items.run("items", **WINDOW).this_try.read == 10
    assert items.run("items", **capture).this_try.read == ROWS
    items.assert_equal("items")


@captures
def test_rows_outside_the_window_are_not_closed_and_those_deleted_inside_are_left_to_a_sweep(items: Route, capture: dict[str, Any]) -> None:
    items.run("items", **capture)
    items.at_source.execute("DELETE FROM items WHERE id IN (1, 12)")
    report = items.run("items", **WINDOW)
    assert (report.this_try.deleted, report.hard_deletes, report.swept) == (0, "not_captured", False)
    assert items.run("items", capture="xmin", sweep="always").this_try.deleted == 2
    items.assert_equal("items")


@captures
def test_a_window_as_the_very_first_load_is_no_ground_for_the_next_run(items: Route, capture: dict[str, Any]) -> None:
    first = items.run("items", **WINDOW)
    assert (first.first_load, first.this_try.inserted) == (True, 10)
    assert first.completeness != "proven" or first.reasons, "a window is not the table"
    for _ in range(2):
        assert items.run("items", **WINDOW).this_try.read == 10
    report = items.run("items", verify=True, **capture)
    assert report.this_try.read == ROWS
    items.assert_equal("items")


def test_a_window_after_a_reset_does_not_undo_the_reset(items: Route) -> None:
    items.run("items")
    items.at_target.execute("UPDATE raw_postgres.items SET name = 'damaged' WHERE id = 77")
    items.job("items").reset()
    items.run("items", **WINDOW)
    assert items.run("items").this_try.read == ROWS
    items.assert_equal("items")


@captures
def test_a_window_that_waits_for_another_run_brings_what_is_there_when_its_turn_comes(items: Route, capture: dict[str, Any]) -> None:
    """Older never overwrites newer: the order of loads is that of their snapshots."""
    settings = {**capture, "where": AT_THE_GATE}
    items.run("items", **settings)
    items.at_source.execute("UPDATE items SET name = 'first' WHERE id <= 15")
    with psycopg.connect(items.source, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [GATE])
        window = started(lambda: items.run("items", where=AT_THE_GATE, **WINDOW))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=window)
        unseen(items.at_source, "UPDATE items SET name = 'second' WHERE id IN (12, 30)")
        items.at_source.execute("UPDATE items SET name = 'third' WHERE id = 13")
        run = started(lambda: items.run("items", **settings))
        other.execute("SELECT pg_advisory_unlock(%s)", [GATE])
        assert window.result().load_id < run.result().load_id
    assert names(items, "id = 13") == {"third"}
    items.run("items", where=AT_THE_GATE, capture="full")
    items.assert_equal("items")


def test_rows_of_a_newer_load_are_never_overwritten(items: Route) -> None:
    items.run("items")
    items.at_target.execute("UPDATE raw_postgres.items SET _load_id = 1000, name = 'newer' WHERE id = 12")
    with pytest.raises(RowferryError):
        items.run("items", **WINDOW)
    assert names(items, "id = 12") == {"newer"}


# ---- what is refused -------------------------------------------------------------------------------------


NO_MOMENTS = (
    "yesterday", "now", "now()", "epoch", "infinity", "", "2026-13-01", "2026-02-30", "2026-01-01T25:00:00Z", "2026-01-01T00:00:00+99:00",
    "Jan 5 2026", "01/02/2026", "2026-01-01T00:00:00 Europe/Paris", "2026-01-01T00:00:00Z'; --", "0044-03-15 BC", 5, True,
)


@pytest.mark.parametrize("key", ["since", "until"])
def test_a_moment_that_cannot_be_read_is_a_configuration_error_naming_its_key(items: Route, key: str) -> None:
    for value in NO_MOMENTS:
        with pytest.raises(ConfigurationError, match=key):
            pytest.fail(f"{value!r} was taken: {items.run('items', **{key: value})}")
    assert items.loads() == 0


@pytest.mark.parametrize(
    ("since", "end"),
    [
        ("2026-01-10T00:00:00Z", "2026-01-10T00:00:00Z"),
        ("2026-01-10T00:00:00Z", "2026-01-09T23:59:59.999999Z"),
        ("2026-01-10T01:00:00+02:00", "2026-01-09T23:00:00Z"),
        ("2026-01-10T00:00:00-05:00", "2026-01-10T04:00:00Z"),
    ],
    ids=["the same", "a microsecond before", "the same in another zone", "later by its digits only"],
)
def test_a_window_that_ends_before_it_begins_is_refused(items: Route, since: str, end: str) -> None:
    error = items.refused(ConfigurationError, "items", since=since, until=end)
    assert "since" in str(error) and "until" in str(error)


@pytest.mark.parametrize("capture", ["full", "xmin"])
def test_a_window_of_a_capture_that_knows_no_times_is_refused(items: Route, capture: str) -> None:
    assert "capture" in str(items.refused(ConfigurationError, "items", capture=capture, **WINDOW))


def test_a_window_of_a_table_without_times_is_refused(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, name text)")
    route.run("items")
    assert "cursor_columns" in described(route.refused(ConfigurationError, "items", **WINDOW))


def test_a_window_does_not_sweep_and_says_what_it_has_read(items: Route) -> None:
    items.run("items")
    items.at_source.execute("DELETE FROM items WHERE id IN (1, 12)")
    report = items.run("items", **WINDOW, sweep="always")
    assert (report.swept, report.this_try.deleted) == (False, 0)
    assert any("window" in reason for reason in report.reasons)
