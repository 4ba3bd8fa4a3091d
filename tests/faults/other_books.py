"""The books of targets that are no PostgreSQL: the same load records and rows, read in other ways."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from hashlib import md5
from pathlib import Path
from typing import Any

import duckdb
from books import RECORDS, TARGET, Books
from mariadb_server import MariaDb

ROWS = f"SELECT id, version, note, updated_at, _deleted_at IS NOT NULL FROM {TARGET}"
LISTED = "SELECT table_schema, table_name FROM information_schema.tables"


class OtherBooks(Books):
    """Those whose rows come as values, of which the digest is made here."""

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        return self._ask(statement)[1]

    def has_target(self) -> bool:
        return self._has(*TARGET.split("."))

    def left_over(self) -> list[str]:
        """Of a file nothing counts: a log, or the beginning of a file, is the next run's to read or to remove."""
        return []

    def close(self) -> None:
        pass

    def _ask(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """The names of what a statement gives, and its rows."""
        raise NotImplementedError

    def _has(self, schema: str, table: str) -> bool:
        return (schema, table) in self.execute(LISTED)

    def _new_loads(self) -> list[dict[str, Any]]:
        if not self._has("_rowferry", "loads"):
            return []
        names, rows = self._ask(RECORDS.replace("%s", f"'{TARGET}'", 1).replace("%s", str(self.newest)))
        loads = [dict(zip(names, row, strict=True)) for row in rows]
        return [load | {"report": json.loads(load["report"])} for load in loads]

    def _rows_there(self) -> list[tuple[int, int, str, bool]]:
        rows = self.execute(ROWS) if self.has_target() else []
        return [(key, version, digest(key, version, note, at), bool(closed)) for key, version, note, at, closed in rows]


class DuckdbBooks(OtherBooks):
    """`target` is the file's path; nothing of it is kept open between two calls."""

    def _ask(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """For reading only: what a run left for the next one to put right stays so."""
        if not Path(self.target).exists():
            return [], []
        with duckdb.connect(self.target, read_only=True) as session:
            session.execute("SET timezone = 'UTC'")
            found = session.execute(statement)
            return [column[0] for column in found.description or []], found.fetchall()


class SqliteBooks(OtherBooks):
    """As of a DuckDB file. What a killed run left there is rolled back by whoever reads next: here or in a run."""

    def _ask(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        if not Path(self.target).exists():
            return [], []
        named = re.sub(r"(?<!')\b(raw_postgres|_rowferry)\.(\w+)", r'"\1.\2"', statement)
        with closing(sqlite3.connect(self.target)) as session:
            found = session.execute(named)
            return [column[0] for column in found.description], found.fetchall()

    def _has(self, schema: str, table: str) -> bool:
        return (f"{schema}.{table}",) in self.execute("SELECT name FROM sqlite_master")


class MariadbBooks(OtherBooks):
    """Of a whole server."""

    server: MariaDb

    def left_over(self) -> list[str]:
        sessions = self.execute("SELECT id, info FROM information_schema.processlist WHERE user = 'loader'")
        return [f"session: {number} {statement}" for number, statement in sessions]

    def _ask(self, statement: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        with self.server.connect() as session, session.cursor() as cursor:
            cursor.execute(statement)
            return [column[0] for column in cursor.description or ()], list(cursor.fetchall())


def digest(key: int, version: int, note: str, at: datetime | str) -> str:
    """As PostgreSQL's md5(ROW(id, version, note, updated_at)::text) in UTC, for notes that need no quotes."""
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    at = at.astimezone(UTC) if at.tzinfo else at
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return md5(f'({key},{version},{note},"{at:%Y-%m-%d %H:%M:%S}{fraction}+00")'.encode()).hexdigest()
