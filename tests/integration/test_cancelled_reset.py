"""A reset that is cancelled says what became of it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from rowferry import _native
from rowferry.demo.servers import Server, start_postgres

CONTROL = "CREATE TABLE items (id bigint PRIMARY KEY)"
WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
GIVEN_UP_WITHIN = 2  # seconds; a cancelled verb that cannot have committed leaves its server after less than one
RESETS = "SELECT count(*) FROM _rowferry.loads WHERE kind = 'reset'"


@pytest.fixture
def server() -> Iterator[Server]:
    with start_postgres(18) as started:
        yield started


def job(uri: str) -> str:
    return json.dumps({"source": uri, "target": uri, "table": "items"})


def reset_until_commit(uri: str, outcome: dict[str, str]) -> tuple[_native.Job, threading.Thread, int]:
    """A reset on a thread of its own; back when its backend waits for a standby that will never answer."""
    running = _native.Job(job(uri))

    def run() -> None:
        try:
            outcome["done"] = running.execute("reset")
        except _native.Error as error:
            outcome["failed"] = error.args[0]

    thread = threading.Thread(target=run)
    thread.start()
    with psycopg.connect(uri, autocommit=True) as session:
        until = time.monotonic() + 60
        while not (waiting := session.execute(WAITING).fetchone()):
            assert thread.is_alive() and time.monotonic() < until, outcome
            time.sleep(0.02)
    return running, thread, waiting[0]


def test_a_reset_cancelled_while_its_commit_is_on_its_way_is_told_as_done(server: Server) -> None:
    uri = server.create_database("shop")
    outcome: dict[str, str] = {}
    with psycopg.connect(uri, autocommit=True) as session:
        session.execute(CONTROL)
        _native.Job(job(uri)).execute("run")
        # Only what writes a reset waits: what is before it, the lease among it, does not.
        session.execute("ALTER DATABASE shop SET synchronous_commit = local")
    with psycopg.connect(uri, autocommit=True) as session:
        session.execute(
            "CREATE FUNCTION wait_for_standby() RETURNS trigger LANGUAGE plpgsql AS"
            " $$BEGIN SET LOCAL synchronous_commit = on; RETURN new; END$$"
        )
        session.execute("CREATE TRIGGER wait BEFORE INSERT ON _rowferry.loads FOR EACH ROW EXECUTE FUNCTION wait_for_standby()")
        session.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        session.execute("SELECT pg_reload_conf()")
    running, thread, backend = reset_until_commit(uri, outcome)
    os.kill(backend, signal.SIGSTOP)
    try:
        running.cancel()
        thread.join(GIVEN_UP_WITHIN)
    finally:
        os.kill(backend, signal.SIGCONT)
    thread.join(60)
    with psycopg.connect(uri, autocommit=True) as session:
        assert session.execute(RESETS).fetchone() == (1,)
    assert "load_id" in json.loads(outcome.get("done", "{}")), outcome
