"""Runs that read a standby: behind, ahead, promoted in the middle, cancelled by its replay.

A standby that lags has a later clock and older rows. Nothing here waits for a lag to happen: replay is paused or the
standby is cut off from the log, and a run that must stand still meanwhile waits at a gate, an advisory lock.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import pytest
from route import AT_THE_GATE, GATE, Route, started, until, waits_for
from standby import PRIMARY, catch_up, follow, pause, promote, replayed, resume, start_standby
from writers import TABLE as EVENTS
from writers import race

import rowferry
from rowferry.demo.servers import Server, start_postgres
from rowferry.errors import ConfigurationError, SourceError

ITEMS = """
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO items SELECT n, 'first' FROM generate_series(1, 100) AS n;
GRANT SELECT ON items TO reader;
"""
# Stands in the place of PostgreSQL's own in one database. The statement that takes the snapshot calls it after the
# snapshot and before the log position.
TRAP = f"""
ALTER FUNCTION pg_catalog.to_char(timestamp, text) RENAME TO to_char_of_postgresql;
CREATE FUNCTION pg_catalog.to_char(timestamp, text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({GATE});
    RETURN to_char_of_postgresql($1, $2);
END $$;
"""

RACES = 36
SEED = 20261122


@dataclass(frozen=True)
class Pair:
    """A primary with its standby, and a server of the same version for targets."""

    primary: Server
    standby: Server
    target: Server


@pytest.fixture(scope="module", params=(15, 18), ids=lambda version: f"pg{version}")
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """Shared: a test leaves the standby streaming. Its replay waits for readers; a test of conflicts changes that."""
    target = request.getfixturevalue(f"pg{request.param}")
    patient = {"max_standby_streaming_delay": -1}
    with start_postgres(request.param, settings=PRIMARY) as primary:
        primary.admin("CREATE ROLE reader LOGIN")
        primary.admin("CREATE ROLE watcher LOGIN IN ROLE reader, pg_read_all_stats")
        with start_standby(primary, patient) as standby:
            yield Pair(primary, standby, target)


class Ways(Route):
    """A table with two ways to read it, from the primary and from a standby, into one target."""

    def __init__(self, pair: Pair, source: str, target: str) -> None:
        super().__init__(source, target)
        self.primary, self.standby = pair.primary, pair.standby

    def at(self, server: Server, user: str | None = None) -> str:
        """URI of the source's database at a server."""
        return server.uri(self.source.rpartition("/")[2], user)

    def from_primary(self, **settings: Any) -> rowferry.Report:
        return self.run("items", **settings)

    def from_standby(self, **settings: Any) -> rowferry.Report:
        return self.run("items", **{"source": self.at(self.standby), **settings})

    def rename(self, name: str, where: str = "id <= 10") -> None:
        self.at_source.execute(f"UPDATE items SET name = '{name}' WHERE {where}")

    def catch_up(self) -> None:
        catch_up(self.primary, self.standby)

    def assert_equals(self, server: Server, table: str = "items", columns: str = "id, name") -> None:
        """The target holds what the server shows now, to the letter."""
        with psycopg.connect(self.at(server)) as session:
            shown = sorted(row[0] for row in session.execute(f"SELECT r::text FROM (SELECT {columns} FROM {table}) r"))
        assert self.target_rows(f"raw_postgres.{table}", columns) == shown


@pytest.fixture
def ways(pair: Pair, database: Callable[[Server], str]) -> Iterator[Ways]:
    """`items` at the primary and its standby, not loaded yet."""
    ways = Ways(pair, database(pair.primary), database(pair.target))
    try:
        ways.at_source.execute(ITEMS)
        ways.catch_up()
        yield ways
    finally:
        resume(pair.standby)
        for (name,) in ways.at_source.execute("SELECT gid FROM pg_prepared_xacts WHERE database = current_database()").fetchall():
            ways.at_source.execute(f"ROLLBACK PREPARED '{name}'")
        ways.close()


@contextlib.contextmanager
def gate(uri: str) -> Iterator[psycopg.Connection]:
    """A closed gate in a database; it opens with `pg_advisory_unlock_all`, or at the end."""
    with psycopg.connect(uri, autocommit=True) as keeper:
        keeper.execute("SELECT pg_advisory_lock(%s)", [GATE])
        yield keeper


def stands_at(keeper: psycopg.Connection) -> bool:
    return waits_for(keeper, "advisory", "ShareLock")


# ---- reading one -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["reader", "watcher"])
@pytest.mark.parametrize("capture", ["xmin", "full"])
def test_runs_from_a_standby_equal_it_and_need_only_select(ways: Ways, capture: str, user: str) -> None:
    """One who may read the statistics as well is shown each time that no failover came between."""
    settings = {"source": ways.at(ways.standby, user), "capture": capture, "verify": True}
    for name in ("first", "second", "third"):
        ways.rename(name)
        ways.at_source.execute("INSERT INTO items SELECT max(id) + 1, 'new' FROM items")
        ways.catch_up()
        report = ways.from_standby(**settings)
        assert report.source["in_recovery"] and report.source["timeline"] == 1
        assert report.verification.exact and not report.reconciled
        assert report.completeness == "proven" or (capture, user) == ("xmin", "reader") and says_unsure(report)
        assert (report.this_try.read == 11) == (capture == "xmin" and not report.first_load)
        ways.assert_equals(ways.standby)


def says_unsure(report: rowferry.Report) -> bool:
    return report.completeness == "best_effort" and any("pg_read_all_stats" in reason for reason in report.reasons)


def test_a_table_that_no_standby_has_is_refused(ways: Ways) -> None:
    ways.at_source.execute("CREATE UNLOGGED TABLE notes (id int PRIMARY KEY)")
    ways.catch_up()
    assert "UNLOGGED" in ways.refused(ConfigurationError, "notes", source=ways.at(ways.standby)).message


def test_what_is_open_at_the_primary_during_a_run_from_its_standby_is_read_once_it_commits(ways: Ways) -> None:
    """A standby knows no sessions of the primary, and of a transaction with many parts not each."""
    for statement in ("BEGIN", "UPDATE items SET name = 'prepared' WHERE id = 1", "PREPARE TRANSACTION 'standby'"):
        ways.at_source.execute(statement)
    with psycopg.connect(ways.source) as writer, psycopg.connect(ways.source) as later:
        parts = "".join(f"SAVEPOINT s; UPDATE items SET name = 'part {n}' WHERE id = {n}; RELEASE s;" for n in range(2, 90))
        writer.execute(parts)
        later.execute("UPDATE items SET name = 'later' WHERE id = 95")
        ways.rename("committed", "id > 95")
        ways.catch_up()
        ways.from_standby(verify=True)
        writer.commit()
        later.commit()
    ways.rename("committed again", "id > 98")
    ways.catch_up()
    report = ways.from_standby(verify=True)
    assert not report.reconciled and report.this_try.updated < 99
    ways.assert_equals(ways.primary)
    ways.at_source.execute("COMMIT PREPARED 'standby'")
    ways.catch_up()
    ways.from_standby(verify=True)
    ways.assert_equals(ways.primary)


def test_writers_at_the_primary_race_runs_from_both_and_nothing_is_lost(ways: Ways) -> None:
    """Most runs read the standby however far it has come, each sixth the primary; `verify` compares inside each."""
    ways.at_source.execute(EVENTS)
    ways.catch_up()
    reports = []

    def one_run() -> None:
        server = ways.primary if len(reports) % 6 == 5 else ways.standby
        with psycopg.connect(ways.at(server), autocommit=True) as session:
            committed_before = dict(session.execute("SELECT id, version FROM events"))
        reports.append(ways.run("events", source=ways.at(server), verify=True))
        loaded = dict(ways.at_target.execute("SELECT id, version FROM raw_postgres.events"))
        assert all(loaded.get(row, -1) >= version for row, version in committed_before.items())

    race(ways.source, SEED, RACES, one_run)
    ways.catch_up()
    ways.run("events", source=ways.at(ways.standby), verify=True)
    ways.assert_equal("events")
    assert not any(report.reconciled for report in reports)
    assert sum(report.source["in_recovery"] for report in reports) == RACES * 5 // 6
    assert sum(report.this_try.read > 0 for report in reports) > RACES / 2


def waits_for_replay(standby: Server) -> bool:
    """Whether a run has looked at the standby, found it behind, and let its snapshot go."""
    return bool(standby.admin("SELECT pid FROM pg_stat_activity WHERE state = 'idle' AND query = 'ROLLBACK'"))


def test_several_readers_of_a_standby_share_one_snapshot_of_it(ways: Ways) -> None:
    """What is replayed after the first of them took it is in nobody's part."""
    ways.at_source.execute(TRAP)
    ways.at_source.execute("INSERT INTO items SELECT n, repeat('x', 1000) FROM generate_series(1000, 10000) AS n")
    ways.catch_up()
    settings = {"connections": 2, "verify": True}
    with gate(ways.at(ways.standby)) as keeper:
        run = started(lambda: ways.from_standby(**settings))
        until(lambda: stands_at(keeper), unless=run)
        ways.rename("later", "true")
        ways.catch_up()
    report = run.result()
    assert (report.connections, report.verification.exact) == (2, True)
    assert ways.at_target.execute("SELECT count(*) FROM raw_postgres.items WHERE name = 'later'").fetchone() == (0,)
    ways.from_standby(**settings)
    ways.assert_equals(ways.primary)


class Fork:
    """An address that leads to one server first, and to another once it is opened.

    Attributes:
        port: Where it listens.
        arrived: Set when somebody waits to be led to the other server.
    """

    def __init__(self, first: Server, then: Server) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.arrived, self._opened = threading.Event(), threading.Event()
        threading.Thread(target=self._lead, args=(first, then), daemon=True).start()

    def open(self) -> None:
        self._opened.set()

    def _lead(self, first: Server, then: Server) -> None:
        for server in itertools.chain([first], itertools.repeat(then)):
            ours = self._socket.accept()[0]
            if server is then:
                self.arrived.set()
                self._opened.wait()
            theirs = socket.create_connection(("127.0.0.1", server.port))
            for way in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._carry, args=way, daemon=True).start()

    @staticmethod
    def _carry(here: socket.socket, there: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := here.recv(65536):
                there.sendall(piece)
            there.shutdown(socket.SHUT_WR)


def test_a_reader_that_comes_to_another_server_than_its_leader_is_done_without(ways: Ways) -> None:
    """Even where a snapshot of the leader's name is found: names are made of the numbers of sessions."""
    ways.at_source.execute("INSERT INTO items SELECT n, repeat('x', 1000) FROM generate_series(1000, 10000) AS n")
    ways.catch_up()
    pause(ways.standby)
    ways.rename("later", "true")
    fork = Fork(ways.standby, ways.primary)
    source = ways.at(ways.standby).replace(f":{ways.standby.port}/", f":{fork.port}/")
    run = started(lambda: ways.from_standby(source=source, connections=2))
    until(fork.arrived.is_set, unless=run)
    with psycopg.connect(ways.source) as elsewhere:
        (exported,) = (ways.standby._data / "pg_snapshots").iterdir()
        elsewhere.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        (name,) = elsewhere.execute("SELECT pg_export_snapshot()").fetchone()
        (ways.primary._data / "pg_snapshots" / name).rename(ways.primary._data / "pg_snapshots" / exported.name)
        fork.open()
        report = run.result()
        (ways.primary._data / "pg_snapshots" / exported.name).rename(ways.primary._data / "pg_snapshots" / name)
    assert report.connections == 1
    ways.assert_equals(ways.standby)


# ---- one that lags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", ["xmin", "full"])
def test_a_standby_behind_the_last_load_fails_the_run_and_never_puts_older_rows_over_newer(ways: Ways, capture: str) -> None:
    ways.from_primary(capture=capture)
    pause(ways.standby)
    ways.rename("newer")
    ways.from_primary(capture=capture)
    error = ways.refused(SourceError, "items", source=ways.at(ways.standby), capture=capture, source_lag_wait=0.3)
    assert error.retryable and "lags" in error.message and "source_lag_wait" in error.hint
    resume(ways.standby)
    report = ways.from_standby(capture=capture, verify=True)
    assert not report.reconciled
    ways.assert_equals(ways.primary)


def test_a_run_that_waits_for_a_standby_goes_on_by_itself_once_the_standby_has_come_far_enough(ways: Ways) -> None:
    ways.from_primary()
    pause(ways.standby)
    ways.rename("newer")
    ways.from_primary()
    ways.rename("newest", "id = 1")
    run = started(lambda: ways.from_standby(source_lag_wait=600, verify=True))
    until(lambda: waits_for_replay(ways.standby), unless=run)
    resume(ways.standby)
    assert not run.result().reconciled
    ways.catch_up()
    ways.from_standby()
    ways.assert_equals(ways.primary)


def test_a_primary_ahead_of_a_load_from_its_standby_is_read_from_where_the_standby_was(ways: Ways) -> None:
    pause(ways.standby)
    ways.rename("while it was paused")
    ways.from_standby()
    ways.rename("later", "id <= 5")
    report = ways.from_primary(verify=True)
    assert (report.reconciled, report.this_try.updated) == (False, 10)
    ways.assert_equals(ways.primary)


def test_a_standby_that_catches_up_between_its_position_and_its_snapshot_is_looked_at_again(ways: Ways) -> None:
    """The snapshot is taken behind the last load, and by the end of that statement the position is past it."""
    ways.at_source.execute(TRAP)
    ways.from_primary()
    ways.catch_up()
    pause(ways.standby)
    ways.rename("newer")
    loaded = ways.from_primary()
    with gate(ways.at(ways.standby)) as keeper:
        run = started(lambda: ways.from_standby(verify=True))
        until(lambda: stands_at(keeper), unless=run)
        resume(ways.standby)
        until(lambda: replayed(ways.standby, loaded.lsn), unless=run)
    assert not run.result().reconciled
    ways.assert_equals(ways.primary)


def test_a_standby_of_a_quiet_primary_that_closed_its_log_segment_does_not_seem_to_lag(ways: Ways) -> None:
    """The primary then names the place of the next record, behind a page's header, and its standby the page's start."""

    def loaded_at_the_header() -> bool:
        ways.rename("something to close")
        ways.at_source.execute("SELECT pg_switch_wal()")
        return ways.from_primary().lsn.endswith("000028")

    until(loaded_at_the_header)
    flushed = ways.primary.admin("SELECT pg_current_wal_flush_lsn()")[0][0]
    until(lambda: replayed(ways.standby, str(flushed)))
    assert not ways.from_standby(source_lag_wait=0, verify=True).reconciled


# ---- by cursor ---------------------------------------------------------------------------------------------

NOTES = """
CREATE TABLE notes (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL);
CREATE INDEX ON notes (updated_at);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION touch();
INSERT INTO notes SELECT n, 'first' FROM generate_series(1, 20) AS n;
"""


class Notes:
    """Runs of `notes` by cursor without any margin, from the standby unless told otherwise."""

    def __init__(self, ways: Ways) -> None:
        self.ways = ways
        ways.at_source.execute(NOTES)
        ways.catch_up()

    def run(self, **settings: Any) -> rowferry.Report:
        cursor = {"source": self.ways.at(self.ways.standby), "capture": "cursor", "clock_margin": 0, "audit": "never"}
        return self.ways.run("notes", **{**cursor, **settings})

    def rename(self, name: str, row: int, session: psycopg.Connection | None = None) -> None:
        (session or self.ways.at_source).execute("UPDATE notes SET name = %s WHERE id = %s", (name, row))

    def assert_equals(self, server: Server) -> None:
        self.ways.assert_equals(server, "notes", "id, name, updated_at")


@pytest.fixture
def notes(ways: Ways) -> Notes:
    return Notes(ways)


def test_a_cursor_on_a_standby_is_best_effort_and_says_why(notes: Notes) -> None:
    assert notes.run(source=notes.ways.source).completeness == "proven"
    assert notes.run(source=notes.ways.source).completeness == "bounded"
    report = notes.run()
    assert (report.capture, report.completeness) == ("cursor", "best_effort")
    assert any("standby" in reason for reason in report.reasons)


def test_by_default_a_large_table_is_compared_by_row_versions_on_a_standby(notes: Notes) -> None:
    settings = {"capture": "auto", "xmin_max_bytes": 0}
    for _ in range(2):
        report = notes.run(**settings, target_table="from_standby.notes")
    assert (report.capture, report.completeness) == ("xmin", "proven")
    for _ in range(2):
        report = notes.run(**settings, source=notes.ways.source, target_table="from_primary.notes")
    assert (report.capture, report.completeness) == ("cursor", "bounded")
    # What the standby's run left to the cursor bounds nothing: the primary's next run still compares row versions.
    for server, capture in ((notes.ways.standby, "xmin"), (notes.ways.primary, "xmin"), (notes.ways.primary, "cursor")):
        notes.rename("where it is kept", 1)
        notes.ways.catch_up()
        assert notes.run(**settings, source=notes.ways.at(server), target_table="from_primary.notes").capture == capture


def test_the_watermark_of_a_lagging_standby_stays_at_what_it_has_replayed_and_its_later_clock_loses_nothing(notes: Notes) -> None:
    notes.run()
    pause(notes.ways.standby)
    for row in range(1, 6):
        notes.rename("committed while replay was paused", row)
    (replayed_until,) = notes.ways.standby.admin("SELECT pg_last_xact_replay_timestamp()")[0]
    assert datetime.fromisoformat(notes.run().watermark) <= replayed_until
    resume(notes.ways.standby)
    notes.ways.catch_up()
    report = notes.run()
    assert report.capture == "cursor" and report.this_try.updated >= 5
    notes.assert_equals(notes.ways.primary)


def test_what_a_cursor_on_a_standby_misses_an_audit_loads_and_counts(notes: Notes) -> None:
    """A transaction that is open at the primary shows nowhere on the standby; later ones take the watermark past it."""
    notes.run()
    with psycopg.connect(notes.ways.source) as writer:
        notes.rename("began early", 1, writer)
        notes.rename("began later", 2)
        notes.ways.catch_up()
        notes.run()
    notes.ways.catch_up()
    report = notes.run()
    assert (report.capture, report.completeness, report.this_try.updated) == ("cursor", "best_effort", 0)
    report = notes.run(audit="always", verify=True)
    assert (report.audit["missed"], report.completeness) == (1, "best_effort")
    notes.assert_equals(notes.ways.primary)


# ---- one whose replay needs what is being read -------------------------------------------------------------


@pytest.fixture
def impatient(ways: Ways) -> Iterator[Ways]:
    """A standby whose replay waits for nobody."""
    ways.standby.admin("ALTER SYSTEM SET max_standby_streaming_delay = 0")
    ways.standby._reload()
    yield ways
    ways.standby.admin("ALTER SYSTEM RESET max_standby_streaming_delay")
    ways.standby._reload()


@pytest.mark.parametrize("ends", ["DELETE FROM items WHERE id > 90; VACUUM items", "TRUNCATE items"])
def test_a_read_that_replay_cancels_loads_nothing_and_can_be_tried_again(impatient: Ways, ends: str) -> None:
    ways = impatient
    ways.from_standby()
    ways.rename("second")
    ways.catch_up()
    with gate(ways.at(ways.standby)) as keeper:
        before = ways.everything_loaded()
        run = started(lambda: ways.from_standby(where=AT_THE_GATE, capture="full"))
        until(lambda: stands_at(keeper), unless=run)
        for statement in ends.split("; "):
            ways.at_source.execute(statement)
        with pytest.raises(SourceError, match="conflict with recovery") as caught:
            run.result()
        assert caught.value.retryable and caught.value.sqlstate == "40001"
        assert "hot_standby_feedback" in caught.value.hint and "primary" in caught.value.hint
        assert ways.everything_loaded() == before
    ways.catch_up()
    ways.from_standby(where=AT_THE_GATE, capture="full", verify=True)
    ways.assert_equals(ways.primary)


def test_a_session_that_replay_ends_between_two_statements_loads_nothing_and_can_be_tried_again(impatient: Ways) -> None:
    """The run merges into a locked table meanwhile, with its snapshot held for the comparison after that."""
    ways = impatient
    ways.from_standby()
    ways.rename("second")
    ways.catch_up()
    before = ways.everything_loaded()
    with psycopg.connect(ways.target) as holder:
        holder.execute("SELECT FROM raw_postgres.items FOR UPDATE")
        run = started(lambda: ways.from_standby(verify=True))
        until(lambda: waits_for(ways.at_target, "transactionid", "ShareLock") or _waits(ways), unless=run)
        ways.at_source.execute("DELETE FROM items WHERE id > 90")
        ways.at_source.execute("VACUUM items")
        ways.catch_up()
    with pytest.raises(SourceError) as caught:
        run.result()
    assert caught.value.retryable
    assert ways.everything_loaded() == before
    ways.from_standby(capture="full", verify=True)
    ways.assert_equals(ways.primary)


def _waits(ways: Ways) -> bool:
    waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return ways.at_target.execute(waiting).fetchone() is not None


# ---- failover ----------------------------------------------------------------------------------------------


@pytest.fixture
def heir(pair: Pair, ways: Ways) -> Iterator[Server]:
    """Another standby of the same primary, which has all there is; a test promotes it."""
    with start_standby(pair.primary) as heir:
        catch_up(pair.primary, heir)
        yield heir


def lose_some(ways: Ways, *servers: Server) -> None:
    """Let the primary go on alone; what is loaded from it then, no other server will ever have."""
    for server in servers:
        follow(server, None)
    for n in range(1, 21):
        ways.rename("lost", f"id = {n}")
    ways.at_source.execute("INSERT INTO items SELECT n, 'lost' FROM generate_series(200, 220) AS n")


def write_on(ways: Ways, server: Server) -> None:
    """Write at the new primary until its transaction counter and its log are past what was lost: numbers are used again."""
    with psycopg.connect(ways.at(server), autocommit=True) as session:
        for n in range(41, 81):
            session.execute(f"UPDATE items SET name = 'after the failover' WHERE id = {n}")
        session.execute("SELECT pg_logical_emit_message(true, '', repeat('x', 1000000))")


def assert_failed_over(report: rowferry.Report) -> None:
    assert report.reconciled and any("timeline" in reason for reason in report.reasons), report.reasons


@contextlib.contextmanager
def without_checkpoints(server: Server) -> Iterator[None]:
    """The control file stays as it is: the process that writes it stands still."""
    (pid,) = server.admin("SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'")[0]
    os.kill(int(pid), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(int(pid), signal.SIGCONT)


def test_after_a_failover_the_target_equals_the_new_primary_also_in_what_was_lost(ways: Ways, heir: Server) -> None:
    ways.from_primary()
    lose_some(ways, heir)
    ways.from_primary()
    with without_checkpoints(heir):
        promote(heir)
        write_on(ways, heir)
        assert heir.admin("SELECT timeline_id FROM pg_control_checkpoint()") == [(1,)]
        report = ways.run("items", source=ways.at(heir), verify=True)
    assert_failed_over(report)
    assert (report.source["timeline"], report.source["in_recovery"]) == (2, False)
    assert report.this_try.deleted == 21
    ways.assert_equals(heir)


def test_a_primary_that_was_left_behind_and_the_new_one_each_reconcile(ways: Ways, heir: Server) -> None:
    """Both go on under one name: none of them is taken for the other's future."""
    ways.from_primary()
    lose_some(ways, heir)
    promote(heir)
    write_on(ways, heir)
    for server in (heir, ways.primary, heir):
        ways.rename("diverged", "id = 90")
        assert_failed_over(ways.run("items", source=ways.at(server), verify=True))
        ways.assert_equals(server)
    assert not ways.run("items", source=ways.at(heir)).reconciled


def test_a_standby_that_follows_the_new_primary_is_known_to_be_on_its_timeline(ways: Ways, heir: Server) -> None:
    """Its control file names the old timeline for minutes, while numbers of lost transactions are used again."""
    unprivileged = "raw_unprivileged.items"
    with start_standby(ways.primary) as other:
        ways.from_primary()
        catch_up(ways.primary, other)
        lose_some(ways, heir, other)
        ways.from_primary()
        ways.from_primary(target_table=unprivileged)
        promote(heir)
        write_on(ways, heir)
        follow(other, heir)
        catch_up(heir, other)
        assert other.admin("SELECT timeline_id FROM pg_control_checkpoint()") == [(1,)]
        report = ways.run("items", source=ways.at(other), verify=True)
        assert_failed_over(report)
        assert (report.source["timeline"], report.source["in_recovery"]) == (2, True)
        ways.assert_equals(heir)
        report = ways.run("items", source=ways.at(other, "reader"), target_table=unprivileged)
        assert report.reconciled or says_unsure(report)


def test_a_run_that_waits_for_a_standby_reconciles_when_that_is_promoted_instead(ways: Ways, heir: Server) -> None:
    ways.from_primary()
    lose_some(ways, heir)
    ways.from_primary()
    pause(heir)
    run = started(lambda: ways.run("items", source=ways.at(heir), source_lag_wait=600, verify=True))
    until(lambda: waits_for_replay(heir), unless=run)
    promote(heir)
    assert_failed_over(run.result())
    ways.assert_equals(heir)


@pytest.mark.parametrize("moment", ["before the snapshot", "in the snapshot", "in the middle of the read"])
def test_a_promotion_during_a_run_loses_nothing_then_or_later(ways: Ways, heir: Server, moment: str) -> None:
    if moment == "in the snapshot":
        ways.at_source.execute(TRAP)
    ways.from_primary()
    ways.rename("not loaded yet", "id BETWEEN 30 AND 60")
    with psycopg.connect(ways.source) as open_at_the_primary:
        open_at_the_primary.execute("UPDATE items SET name = 'never committed' WHERE id = 25")
        if moment == "before the snapshot":
            open_at_the_primary.execute("LOCK TABLE items")
        catch_up(ways.primary, heir)
        follow(heir, None)
        _promote_during(ways, heir, moment)
        open_at_the_primary.rollback()
    write_on(ways, heir)
    later = ways.run("items", source=ways.at(heir), verify=True)
    ways.assert_equals(heir)
    assert later.source["timeline"] == 2


def _promote_during(ways: Ways, heir: Server, moment: str) -> None:
    where = AT_THE_GATE if moment == "in the middle of the read" else None
    with gate(ways.at(heir)) as keeper:
        run = started(lambda: ways.run("items", source=ways.at(heir), where=where))
        until(lambda: stands_at(keeper) or waits_for(keeper, "relation", "AccessShareLock"), unless=run)
        promote(heir)
    run.result()


def test_a_standby_made_from_an_old_backup_is_waited_for(ways: Ways, heir: Server) -> None:
    """The same system and timeline, and a log that is behind: it will get there, so its older rows are not taken."""
    follow(heir, None)
    ways.rename("after the backup")
    ways.from_primary()
    error = ways.refused(SourceError, "items", source=ways.at(heir), source_lag_wait=0)
    assert error.retryable and "lags" in error.message
    follow(heir, ways.primary)
    report = ways.run("items", source=ways.at(heir), source_lag_wait=600, verify=True)
    assert not report.reconciled
    ways.assert_equals(ways.primary)
