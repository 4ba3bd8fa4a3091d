"""From a PostgreSQL database into a DuckDB file: jobs, and what both sides hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest

import rowferry
from rowferry import errors

ITEMS = (
    "CREATE TABLE items (id int8 PRIMARY KEY, n numeric(12,2), note text NOT NULL, created_at timestamptz NOT NULL DEFAULT now(),"
    " updated_at timestamptz NOT NULL DEFAULT now())"
)
ROWS = 5000
"""More than one array of rows."""


class Into:
    """A source and a file.

    Attributes:
        source: URI of the source.
        path: The file; not there before the first load.
        at_source: Session of the superuser there, in autocommit.
    """

    def __init__(self, source: str, path: Path) -> None:
        self.source, self.path = source, path
        self.at_source = psycopg.connect(source, autocommit=True)

    def close(self) -> None:
        self.at_source.close()

    def settings(self, table: str = "items", **settings: Any) -> dict[str, Any]:
        return {"source": self.source, "target": f"duckdb://{self.path}", "table": table, **settings}

    def job(self, table: str = "items", **settings: Any) -> rowferry.Job:
        return rowferry.Job(**self.settings(table, **settings))

    def run(self, table: str = "items", **settings: Any) -> rowferry.Report:
        return self.job(table, **settings).run()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.path), read_only=True) as session:
            return session.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        """What somebody else does to the file."""
        with duckdb.connect(str(self.path)) as session:
            session.execute(sql)

    def make_items(self, rows: int = ROWS) -> None:
        self.at_source.execute(ITEMS)
        self.at_source.execute(f"INSERT INTO items SELECT i, i / 7.0, 'note ' || i FROM generate_series(1, {rows}) i")

    def source_rows(self, columns: str = "id, n, note", table: str = "items", where: str = "true") -> list[tuple[Any, ...]]:
        return self.at_source.execute(f"SELECT {columns} FROM {table} WHERE {where} ORDER BY 1").fetchall()

    def target_rows(self, columns: str = "id, n, note", table: str = "raw_postgres.items") -> list[tuple[Any, ...]]:
        return self.query(f"SELECT {columns} FROM {table} WHERE _deleted_at IS NULL ORDER BY 1")

    def assert_equal(self, where: str = "true") -> None:
        assert self.target_rows() == self.source_rows(where=where)

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every table of the file with its rows; none when there is no file."""
        if not self.path.exists():
            return {}
        tables = self.query("SELECT format('\"{}\".\"{}\"', schema_name, table_name) FROM duckdb_tables() ORDER BY 1")
        return {name: sorted(self.query(f"SELECT t::VARCHAR FROM {name} t")) for (name,) in tables}

    def refused(self, error: type[errors.RowferryError], table: str = "items", **settings: Any) -> errors.RowferryError:
        """Run it, see it refused with just this class, and see that it left the file as it was."""
        before = self.everything()
        with pytest.raises(errors.RowferryError) as caught:
            self.run(table, **settings)
        assert type(caught.value) is error, caught.value.to_dict()
        assert self.everything() == before
        return caught.value
