"""Ten writers race incremental runs: nothing that was committed is ever skipped, whatever was in flight."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from route import Route
from writers import TABLE, race

from rowferry.demo.servers import Server

RUNS = 50
SEED = 20261122


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
