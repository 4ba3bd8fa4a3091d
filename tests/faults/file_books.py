"""The books of a DuckDB file: the same load records and rows, read while no run has it open."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from hashlib import md5
from pathlib import Path
from typing import Any

import duckdb
from books import TARGET, Books
from journal import TABLE

LISTED = "SELECT count(*) FROM duckdb_tables() WHERE schema_name || '.' || table_name = '{}'"
ROWS = f"SELECT id, version, note, updated_at, _deleted_at IS NOT NULL FROM {TARGET}"
RECORDS = f"SELECT * FROM _rowferry.loads WHERE target_table = '{TARGET}' AND load_id > ? ORDER BY load_id"


@dataclass
class FileBooks(Books):
    """`target` is the file's path; nothing of it is kept open between two calls."""

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with self._opened() as session:
            return session.execute(statement).fetchall()

    def has_target(self) -> bool:
        return self._has(TARGET)

    def left_over(self) -> list[str]:
        """Nothing that counts: a log, or the beginning of a file, is the next run's to read or to remove."""
        return []

    def close(self) -> None:
        pass

    def _opened(self) -> duckdb.DuckDBPyConnection:
        """For reading only: what a run left for the next one to put right stays so."""
        session = duckdb.connect(self.target, read_only=True)
        session.execute("SET timezone = 'UTC'")
        return session

    def _has(self, table: str) -> bool:
        return Path(self.target).exists() and self.execute(LISTED.format(table)) == [(1,)]

    def _new_loads(self) -> list[dict[str, Any]]:
        if not self._has("_rowferry.loads"):
            return []
        with self._opened() as session:
            found = session.execute(RECORDS, [self.newest])
            names = [column[0] for column in found.description or []]
            loads = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
        return [load | {"report": json.loads(load["report"])} for load in loads]

    def _rows_there(self) -> list[tuple[int, int, str, bool]]:
        rows = self.execute(ROWS) if self.has_target() else []
        return [(key, version, digest(key, version, note, at), closed) for key, version, note, at, closed in rows]


def digest(key: int, version: int, note: str, at: datetime) -> str:
    """As PostgreSQL's md5(ROW(id, version, note, updated_at)::text) in UTC, for notes that need no quotes."""
    at = at.astimezone(timezone.utc)
    fraction = f".{at.microsecond:06}".rstrip("0") if at.microsecond else ""
    return md5(f'({key},{version},{note},"{at:%Y-%m-%d %H:%M:%S}{fraction}+00")'.encode()).hexdigest()
