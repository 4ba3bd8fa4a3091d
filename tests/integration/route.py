"""From one database into another: jobs, what both sides hold, and two sessions to change them with."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import psycopg
import pytest
from psycopg.types.json import set_json_loads
from rights import LOADER, READER, as_role, let_loader_in, let_reader_in

import rowferry
from rowferry import errors

PATIENCE_S = 60.0
"""How long a condition may take to come true before the test gives up; no test is decided by it."""

GATE = 7
"""An advisory lock of the source: while a test holds it, a read filtered by AT_THE_GATE stands still."""
AT_THE_GATE = f"(SELECT true FROM pg_advisory_xact_lock_shared({GATE}))"


class Route:
    """A source and a target database.

    Its jobs connect as roles that may do no more than the README's section "Rights" says.

    Attributes:
        source: URI of the source, for the superuser; `target` likewise.
        at_source: Session of the superuser there, in autocommit; `at_target` likewise.
    """

    def __init__(self, source: str, target: str) -> None:
        self.source, self.target = source, target
        self.at_source = psycopg.connect(source, autocommit=True)
        self.at_target = psycopg.connect(target, autocommit=True)
        set_json_loads(lambda text: text, self.at_target)
        let_reader_in(self.at_source)
        let_loader_in(self.at_target)

    def close(self) -> None:
        self.at_source.close()
        self.at_target.close()

    def job(self, table: str, **settings: Any) -> rowferry.Job:
        roles = {"source": as_role(self.source, READER), "target": as_role(self.target, LOADER)}
        return rowferry.Job(**{**roles, "table": table, **settings})

    def run(self, table: str, **settings: Any) -> rowferry.Report:
        return self.job(table, **settings).run()

    def refused(self, error: type[errors.RowferryError], table: str, **settings: Any) -> errors.RowferryError:
        """Run it, see it refused with just this class, and see that it left the target as it was."""
        before = self.everything_loaded()
        with pytest.raises(errors.RowferryError) as caught:
            self.run(table, **settings)
        assert type(caught.value) is error, described(caught.value)
        assert self.everything_loaded() == before
        return caught.value

    def everything_loaded(self) -> dict[str, list[Any]]:
        """Every raw table of the target with its rows, and the load records if there is one."""
        tables = self.at_target.execute(
            "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables"
            " WHERE schemaname LIKE 'raw%' OR tablename = 'loads' ORDER BY 1"
        ).fetchall()
        rows = {name: _texts(self.at_target, f"SELECT t::text FROM {name} t") for (name,) in tables}
        return {name: texts for name, texts in rows.items() if texts or not name.endswith(".loads")}

    def source_rows(self, table: str, columns: str = "*", where: str = "true") -> list[str]:
        return _texts(self.at_source, f"SELECT r::text FROM (SELECT {columns} FROM {table} WHERE {where}) r")

    def target_rows(self, table: str, columns: str) -> list[str]:
        return _texts(self.at_target, f"SELECT r::text FROM (SELECT {columns} FROM {table} WHERE _deleted_at IS NULL) r")

    def assert_equal(self, table: str, target: str | None = None, where: str = "true") -> None:
        """Every row of the source that passes `where`, and no other, is in the target, to the letter."""
        columns = self.columns(table)
        assert self.target_rows(target or f"raw_postgres.{table}", columns) == self.source_rows(table, columns, where)

    def columns(self, table: str) -> str:
        """All columns of a source table, as a list for SELECT."""
        listed = "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute"
        cursor = self.at_source.execute(f"{listed} WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped", [table])
        return cursor.fetchone()[0]

    def loads(self) -> int:
        (there,) = self.at_target.execute("SELECT to_regclass('_rowferry.loads') IS NOT NULL").fetchone()
        return self.at_target.execute("SELECT count(*) FROM _rowferry.loads").fetchone()[0] if there else 0


def _texts(session: psycopg.Connection, query: str) -> list[str]:
    return sorted(row[0] for row in session.execute(query))


def described(error: errors.RowferryError) -> str:
    """All that a user may get to see of an error."""
    return "\n".join([repr(error), str(error), *(f"{name}: {value}" for name, value in error.to_dict().items())])


def started(work: Callable[[], Any]) -> Future[Any]:
    """The future result of `work`, which has a thread of its own."""
    future: Future[Any] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=do, daemon=True).start()
    return future


def until(condition: Callable[[], bool], *, unless: Future[Any] | None = None) -> None:
    """Return once `condition` holds; what `unless` raises in the meantime is raised here."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        if unless is not None and unless.done():
            unless.result()
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)


def until_all_have_ended(session: psycopg.Connection) -> None:
    """Return once no transaction with an xid is open on the session's server, in whatever database.

    What a snapshot behind this sees is older than all that is still to end, so that `verify` takes none of it for `pending`. A session
    that a killed program leaves may end a little later than the test that killed it.
    """
    ended = "SELECT pg_snapshot_xmin(s) = pg_snapshot_xmax(s) FROM pg_current_snapshot() s"
    until(lambda: session.execute(ended).fetchone() == (True,))


def waits_for(session: psycopg.Connection, kind: str, mode: str) -> bool:
    """Whether some session of this database waits for a lock, such as (`relation`, `AccessShareLock`)."""
    waiting = (
        "SELECT FROM pg_locks WHERE NOT granted AND locktype = %s AND mode = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
    )
    return session.execute(waiting, [kind, mode]).fetchone() is not None
