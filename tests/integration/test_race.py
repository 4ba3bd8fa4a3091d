"""Ten writers race incremental runs: nothing that was committed is ever skipped, whatever was in flight."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
import pytest
from route import AT_THE_GATE, GATE, Route, started, until
from timed import clock, reader, watermark
from writers import TABLE, race

from rowferry import Report
from rowferry.demo.servers import Server

RUNS = 50
SEED = 20261122
CURSOR = {"capture": "cursor", "audit": "never", "clock_margin": 0.15}
"""The margin is for messages on their way. It is far shorter than these writers keep a transaction open."""


@pytest.fixture
def events(route: Route) -> Route:
    route.at_source.execute(TABLE)
    return route


def _versions(session: psycopg.Connection, table: str) -> dict[int, int]:
    return dict(session.execute(f"SELECT id, version FROM {table}").fetchall())


def _at_least(left: dict[int, int], right: dict[int, int]) -> bool:
    return all(left.get(row, -1) >= version for row, version in right.items())


def test_ten_writers_race_incremental_runs_and_nothing_is_lost(events: Route) -> None:
    """Three oracles: `verify` inside each run, the versions seen before and after it, and equality at the end."""
    reports = []

    def one_run() -> None:
        committed_before = _versions(events.at_source, "events")
        reports.append(events.run("events", verify=True))
        loaded = _versions(events.at_target, "raw_postgres.events")
        assert _at_least(loaded, committed_before), "a committed row is missing, or an old version of it is there"
        assert _at_least(_versions(events.at_source, "events"), loaded), "the target holds what was never committed"

    race(events.source, SEED, RUNS, one_run)
    reports.append(events.run("events", verify=True))
    events.assert_equal("events")
    _judge(reports)


def _judge(reports: list) -> None:
    """The runs were incremental, they carried rows, and a holder was open and named."""
    assert [r.first_load for r in reports] == [True] + [False] * RUNS
    assert not any(r.reconciled for r in reports)
    assert {r.completeness for r in reports} == {"proven"}
    assert all(r.verification.result == "equal" and r.verification.exact for r in reports)
    assert sum(r.this_try.read > 0 for r in reports) > RUNS / 2
    names = {r.watermark_held_by["application"] for r in reports if r.watermark_held_by}
    assert any("writer" in name for name in names), names


# ---- by cursor -------------------------------------------------------------------------------------------


def _race_by_cursor(events: Route, **settings: Any) -> list[Report]:
    """Each run's promise is held against what the source shows before the next: below its watermark nothing is missing."""
    reports = [events.run("events", **CURSOR, **settings)]

    def one_run() -> None:
        _assert_promise_is_kept(events, watermark(reports[-1]))
        open_before = _open_transactions(events)
        reports.append(events.run("events", **CURSOR, **settings))
        still_open = [began for pid, began in _open_transactions(events).items() if open_before.get(pid) == began]
        assert all(watermark(reports[-1]) <= began for began in still_open), "the watermark has passed a transaction that is open"

    race(events.source, SEED, RUNS, one_run)
    _assert_promise_is_kept(events, watermark(reports[-1]))
    reports.append(events.run("events", **CURSOR, **settings))
    return reports


def _assert_promise_is_kept(events: Route, moment: datetime) -> None:
    below = dict(events.at_source.execute("SELECT id, version FROM events WHERE updated_at < %s", [moment]).fetchall())
    assert _at_least(_versions(events.at_target, "raw_postgres.events"), below), "a row was missed, and no later run would look for it"


def _open_transactions(events: Route) -> dict[int, datetime]:
    writing = "SELECT pid, xact_start FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'writer%' AND state = 'idle in transaction'"
    return dict(events.at_source.execute(writing).fetchall())


@pytest.mark.parametrize("time", ["now()", "clock_timestamp()"])
def test_ten_writers_race_runs_by_cursor_and_nothing_is_lost(route: Route, time: str) -> None:
    route.at_source.execute(TABLE.replace("now()", time))
    with reader(route, sees=True) as settings:
        reports = _race_by_cursor(route, verify=True, **settings)
    route.assert_equal("events")
    assert {(r.capture, r.completeness) for r in reports[1:]} == {("cursor", "bounded")}, reports[-1].reasons
    assert not any(r.reconciled for r in reports)
    marks = [watermark(r) for r in reports]
    assert marks == sorted(marks) and len(set(marks)) > RUNS / 5
    assert sum(r.this_try.read > 0 for r in reports) > RUNS / 2
    names = {r.watermark_held_by["application"] for r in reports if r.watermark_held_by}
    assert any("writer" in name for name in names) and any("prepared" in name for name in names), names


def test_without_the_right_to_see_other_sessions_every_run_of_the_race_says_best_effort(events: Route) -> None:
    reports = []
    with reader(events, sees=False) as settings:
        race(events.source, SEED, RUNS, lambda: reports.append(events.run("events", **CURSOR, **settings)))
        assert {(r.capture, r.completeness) for r in reports[1:]} == {("cursor", "best_effort")}
        assert all(any("pg_read_all_stats" in reason for reason in r.reasons) for r in reports[1:])
        report = events.run("events", **{**CURSOR, "audit": "always"}, **settings)
    assert report.completeness == "best_effort" and report.audit["missed"] >= 0
    events.assert_equal("events")


def test_a_cursor_that_ignores_open_transactions_loses_rows_to_the_same_writers_and_an_audit_finds_them(events: Route) -> None:
    """It is the tracking that protects, not the margin."""
    settings = {**CURSOR, "open_transactions": "ignore"}
    race(events.source, SEED, RUNS, lambda: events.run("events", **settings))
    report = events.run("events", **{**settings, "audit": "always"})
    assert report.audit["missed"] > 0 and report.completeness == "best_effort"
    events.assert_equal("events")


READERS = 20


def test_twenty_readers_of_one_database_do_not_hold_each_others_watermark(route: Route) -> None:
    """All stand in the middle of their read when one more begins, and then go on together."""
    settings = {**CURSOR, "where": AT_THE_GATE}
    tables = [f"t{n}" for n in range(READERS + 1)]
    for table in tables:
        route.at_source.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, updated_at timestamptz); INSERT INTO {table} VALUES (1, now())")
    with contextlib.ExitStack() as stack, psycopg.connect(route.source, autocommit=True) as gate:
        roles = stack.enter_context(reader(route, sees=True))
        gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        runs = [started(lambda table=table: route.run(table, **{**settings, **roles})) for table in tables[:READERS]]
        standing = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND mode = 'ShareLock' AND objid = %s"
        until(lambda: gate.execute(standing, [GATE]).fetchone()[0] == READERS)
        before = clock(gate)
        report = route.run(tables[READERS], **{**CURSOR, "clock_margin": 0, **roles})
        gate.execute("SELECT pg_advisory_unlock(%s)", [GATE])
        for run in runs:
            run.result()
    assert watermark(report) >= before and report.watermark_held_by is None


# ---- controls --------------------------------------------------------------------------------------------


def test_the_same_writers_make_a_copy_by_updated_at_lose_rows(events: Route) -> None:
    """Without this the race proves nothing: these writers do catch a cursor out."""
    events.at_source.execute("CREATE TABLE copied (LIKE events INCLUDING ALL)")
    copy = (
        "INSERT INTO copied SELECT * FROM events"
        " WHERE updated_at > (SELECT coalesce(max(updated_at), '-infinity') FROM copied)"
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, writer = excluded.writer,"
        " note = excluded.note, updated_at = excluded.updated_at"
    )
    race(events.source, SEED, RUNS, lambda: events.at_source.execute(copy))
    events.at_source.execute(copy)
    lost = events.at_source.execute("SELECT count(*) FROM (SELECT * FROM events EXCEPT SELECT * FROM copied) r").fetchone()
    assert lost[0] > 0


def test_the_report_names_the_session_that_holds_the_watermark_back(events: Route) -> None:
    with (
        psycopg.connect(events.source, application_name="a mere reader") as reader,
        psycopg.connect(events.source, application_name="month end") as holder,
    ):
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT now()")
        holder.execute("UPDATE events SET version = 1 WHERE id = 1")
        reader.execute("SELECT count(*) FROM events")
        held_by = events.run("events").watermark_held_by
        assert held_by is not None
        assert (held_by["pid"], held_by["application"]) == (holder.info.backend_pid, "month end")
        assert held_by["user"] == "postgres" and held_by["seconds"] >= 0


def test_the_report_names_the_prepared_transaction_that_holds_the_watermark_back(events: Route) -> None:
    for statement in ("BEGIN", "UPDATE events SET version = 1 WHERE id = 1", "PREPARE TRANSACTION 'forgotten'"):
        events.at_source.execute(statement)
    try:
        held_by = events.run("events").watermark_held_by
    finally:
        events.at_source.execute("COMMIT PREPARED 'forgotten'")
    assert held_by is not None
    assert "forgotten" in held_by["application"]
    assert held_by["user"] == "postgres"


def test_a_transaction_of_another_database_holds_the_watermark_back_and_loses_nothing(
    events: Route, servers: Server, database: Callable[[Server], str]
) -> None:
    """The counter is the server's: what one database keeps open, all of them wait for."""
    events.run("events")
    with psycopg.connect(database(servers)) as elsewhere:
        elsewhere.execute("CREATE TABLE t ()")
        for version in (1, 2):
            events.at_source.execute(f"UPDATE events SET version = {version} WHERE id <= 3")
            report = events.run("events", verify=True)
            assert report.watermark_held_by["pid"] == elsewhere.info.backend_pid
    events.assert_equal("events")
