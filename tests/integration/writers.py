"""Ten writers who commit in every way that makes a cursor lose rows, paced by runs instead of by a clock.

Each owns the rows `id % 10 = number`, so that no writer waits for another; those with short transactions also
share the rows 1 to 5. A writer who keeps a transaction open does so until some runs have passed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import psycopg

TABLE = """
CREATE TABLE events (
    id bigint PRIMARY KEY,
    version int NOT NULL,
    writer text NOT NULL,
    note text,
    updated_at timestamptz NOT NULL
);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON events FOR EACH ROW EXECUTE FUNCTION touch();
CREATE INDEX ON events (updated_at);
INSERT INTO events SELECT n, 0, 'nobody', 'from the start', now() FROM generate_series(1, 200) AS n;
"""

SHARED_ROWS = 5
SUBTRANSACTIONS = 70
"""More than the 64 that a backend keeps in shared memory."""

GATE = 1
"""Advisory lock that is open for a moment after each run."""


class Stopped(Exception):
    """The test is over; roll back and leave."""


class Runs:
    """Counts runs and commits, and lets one side wait for the other's."""

    def __init__(self, writers: int) -> None:
        self._changed = threading.Condition()
        self._writers = writers
        self._runs = self._commits = self._waiting = 0
        self._over = False
        self.failure: BaseException | None = None

    def a_run_has_ended(self) -> None:
        with self._changed:
            self._runs += 1
            self._commits = 0
            self._changed.notify_all()

    def a_commit_is_done(self) -> None:
        with self._changed:
            self._commits += 1
            self._changed.notify_all()

    def stop(self, failure: BaseException | None = None) -> None:
        with self._changed:
            self._over = True
            self.failure = self.failure or failure
            self._changed.notify_all()

    def wait_for_runs(self, n: int) -> None:
        """Return when `n` more runs have ended. Raises `Stopped`."""
        with self._changed:
            wanted = self._runs + n
            self._waiting += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._over or self._runs >= wanted)
            self._waiting -= 1
            if self._over:
                raise Stopped

    def wait_for_commits(self, n: int) -> None:
        """Return when `n` transactions have committed since the last run, or the writers wait for the next one.

        Two of them may be waiting at the gate instead.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._over or self._commits >= n or self._waiting >= self._writers - 2
            )
        if self.failure:
            raise self.failure


class Writer(threading.Thread):
    """One session that writes in its own way until it is stopped, and then leaves nothing open."""

    def __init__(self, uri: str, runs: Runs, number: int, way: str, seed: int) -> None:
        super().__init__(name=f"writer {number}, {way}", daemon=True)
        self._uri, self._runs, self._number = uri, runs, number
        self._chance = random.Random(f"{seed} {number}")
        self._way: Callable[[], None] = getattr(self, f"_{way}")
        self._next_row = 1000 + number
        self._prepared = 0

    def run(self) -> None:
        try:
            with psycopg.connect(self._uri, autocommit=True, application_name=self.name) as self._session:
                while True:
                    self._way()
                    self._runs.a_commit_is_done()
        except Stopped:
            pass
        except BaseException as error:
            self._runs.stop(error)

    # ---- ways -----------------------------------------------------------------------------------------

    def _short(self) -> None:
        for _ in range(self._chance.randint(1, 8)):
            self._do("BEGIN", self._write(), self._shared(), "COMMIT")
            self._runs.a_commit_is_done()
        self._runs.wait_for_runs(1)

    def _long(self) -> None:
        self._do("BEGIN", self._write(), self._write())
        self._wait(self._chance.randint(2, 6))
        self._do(self._write(), "COMMIT")

    def _savepoints(self) -> None:
        self._do("BEGIN", "SAVEPOINT a", self._write(), "ROLLBACK TO a", self._write(), "SAVEPOINT b", self._write())
        self._wait(1)
        self._do(self._write(), "RELEASE b", "SAVEPOINT c", self._write(), "ROLLBACK TO c", "COMMIT")

    def _subtransactions(self) -> None:
        inner = [s for n in range(SUBTRANSACTIONS) for s in (f"SAVEPOINT s{n}", self._write(), f"RELEASE s{n}")]
        self._do("BEGIN", "; ".join(inner))
        self._wait(1)
        self._do(self._write(), "COMMIT")

    def _prepare(self) -> None:
        self._prepared += 1
        name = f"{self._number}/{self._prepared}"
        self._do("BEGIN", self._write(), self._write(), f"PREPARE TRANSACTION '{name}'")
        try:
            self._wait(1)
        finally:
            self._do(f"{self._chance.choice(['COMMIT', 'COMMIT', 'ROLLBACK'])} PREPARED '{name}'")
        self._runs.wait_for_runs(1)  # a run without a prepared transaction: those keep a watermark where it is

    def _idle(self) -> None:
        self._do("BEGIN", "SELECT 1")
        self._wait(1)
        self._do(self._write(), "COMMIT")

    def _message(self) -> None:
        """The second transaction begins after the gate has opened, and its now() is the arrival of the message."""
        gate = f"SELECT pg_advisory_xact_lock_shared({GATE})"
        self._do("; ".join(["BEGIN", self._write(), gate, "COMMIT", "BEGIN", self._write(), self._write(), "COMMIT"]))
        self._runs.wait_for_runs(1)

    def _chain(self) -> None:
        """After COMMIT AND CHAIN, now() stays where it was until the next message."""
        self._do("BEGIN", self._write(), "COMMIT AND CHAIN", self._write())
        self._wait(1)
        self._do(self._write(), "COMMIT AND CHAIN", self._write(), "COMMIT")

    def _mixed(self) -> None:
        ways = [self._short, self._long, self._savepoints, self._idle, self._message, self._chain, self._prepare]
        self._chance.choice(ways)()

    # ---- steps ----------------------------------------------------------------------------------------

    def _do(self, *statements: str) -> None:
        for statement in statements:
            self._session.execute(statement)

    def _wait(self, runs: int) -> None:
        """With the transaction open; when the test ends meanwhile, roll back or commit."""
        try:
            self._runs.wait_for_runs(runs)
        except Stopped:
            if self._session.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
                self._do(self._chance.choice(["ROLLBACK", "COMMIT"]))
            raise

    def _write(self) -> str:
        """An insert of a row of our own, or an update of one."""
        if self._chance.random() < 0.5:
            self._next_row += 10
            return f"INSERT INTO events (id, version, writer) VALUES ({self._next_row}, 0, '{self.name}')"
        row = self._chance.randrange(1000 + self._number, self._next_row + 10, 10)
        return f"UPDATE events SET version = version + 1, note = md5(random()::text) WHERE id = {row}"

    def _shared(self) -> str:
        row = self._chance.randint(1, SHARED_ROWS)
        return f"UPDATE events SET version = version + 1, writer = '{self.name}' WHERE id = {row}"


WAYS = ("short", "short", "long", "savepoints", "subtransactions", "prepare", "idle", "message", "chain", "mixed")


def race(uri: str, seed: int, n_runs: int, one_run: Callable[[], None]) -> None:
    """Call `one_run` `n_runs` times while the ten write, and return when all of them have left."""
    runs = Runs(len(WAYS))
    writers = [Writer(uri, runs, number, way, seed) for number, way in enumerate(WAYS)]
    with psycopg.connect(uri, autocommit=True) as gate:
        gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        for writer in writers:
            writer.start()
        try:
            for _ in range(n_runs):
                runs.wait_for_commits(3)
                one_run()
                runs.a_run_has_ended()
                gate.execute("SELECT pg_advisory_unlock(%s)", [GATE])
                gate.execute("SELECT pg_advisory_lock(%s)", [GATE])
        finally:
            runs.stop()
            gate.execute("SELECT pg_advisory_unlock_all()")
            for writer in writers:
                writer.join()
    if runs.failure:
        raise runs.failure
