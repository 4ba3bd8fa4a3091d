"""The usual incremental copy, `updated_at > max(updated_at)`, run beside rowferry to count what it loses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg.sql import SQL, Composed, Identifier

__all__ = ["NaiveCopy"]


@dataclass(frozen=True, kw_only=True)
class NaiveCopy:
    """Copies of tables kept by their updated_at alone.

    It is no straw man: the first run copies everything, later ones upsert by the primary key in one transaction.

    Attributes:
        source: URI of the database to copy from.
        target: URI of the database to copy into.
        keys: Tables of the source's search path with their key columns.
        schema: Schema of the copies.
    """

    source: str
    target: str
    keys: Mapping[str, Sequence[str]]
    schema: str = field(default="naive")

    def run(self) -> dict[str, int]:
        """Copy what is new by updated_at. Returns rows read by table."""
        with _session(self.source) as source, _session(self.target) as target:
            target.execute(SQL("create schema if not exists {}").format(Identifier(self.schema)))
            return {table: self._copy(source, target, table) for table in self.keys}

    def lost(self) -> dict[str, int]:
        """Rows by table that the copy lacks or has in an older state. The source must be at rest."""
        with _session(self.source) as source, _session(self.target) as target:
            return {table: self._compare(source, target, table) for table in self.keys}

    def _copy(self, source: psycopg.Connection, target: psycopg.Connection, table: str) -> int:
        columns = _columns(source, table)
        copy = Identifier(self.schema, table)
        [(there,)] = target.execute("select to_regclass(%s)", (f"{self.schema}.{table}",))
        if there is None:
            definition = SQL(", ").join(SQL("{} " + type_).format(Identifier(name)) for name, type_ in columns.items())
            target.execute(
                SQL("create table {} ({}, primary key ({}))").format(copy, definition, _names(self.keys[table]))
            )
        query = SQL("select {} from {}").format(_names(columns), Identifier(table))
        [(watermark,)] = target.execute(SQL("select max(updated_at) from {}").format(copy))
        if watermark is not None:
            query += SQL(" where updated_at > {}").format(watermark)
        target.execute(SQL("create temporary table naive_stage (like {}) on commit drop").format(copy))
        _pipe(source, query, target, SQL("naive_stage"))
        rows = target.execute(self._upsert(table, columns)).rowcount
        target.commit()
        return rows

    def _upsert(self, table: str, columns: Iterable[str]) -> Composed:
        updates = SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(name)) for name in columns)
        return SQL("insert into {} ({}) select {} from naive_stage on conflict ({}) do update set {}").format(
            Identifier(self.schema, table), _names(columns), _names(columns), _names(self.keys[table]), updates
        )

    def _compare(self, source: psycopg.Connection, target: psycopg.Connection, table: str) -> int:
        """Rows of the source whose key and content the copy does not have."""
        hashed = SQL("select md5(row({})::text) as row_hash from {}")
        names = _names(_columns(source, table))
        target.execute("create temporary table naive_source (row_hash text) on commit drop")
        _pipe(source, hashed.format(names, Identifier(table)), target, SQL("naive_source"))
        copied = hashed.format(names, Identifier(self.schema, table))
        [(count,)] = target.execute(
            SQL("select count(*) from (select row_hash from naive_source except all ({})) as lost").format(copied)
        )
        target.rollback()
        return count


def _session(uri: str) -> psycopg.Connection:
    connection = psycopg.connect(uri)
    connection.execute("set time zone 'UTC'")
    connection.commit()
    return connection


def _columns(source: psycopg.Connection, table: str) -> dict[str, str]:
    """Column names of a table with their types, in order."""
    query = """
        select attname, format_type(atttypid, atttypmod) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum"""
    return dict(source.execute(query, (table,)).fetchall())


def _names(columns: Iterable[str]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))


def _pipe(source: psycopg.Connection, query: Composed, target: psycopg.Connection, table: SQL) -> None:
    """Send a query's rows into a table of another server."""
    with source.cursor() as reader, target.cursor() as writer:
        with (
            reader.copy(SQL("copy ({}) to stdout (format binary)").format(query)) as rows,
            writer.copy(SQL("copy {} from stdin (format binary)").format(table)) as sink,
        ):
            for chunk in rows:
                sink.write(chunk)
    source.rollback()
