"""Every row of a table in PostgreSQL beside the row of a DuckDB file, each read by a client that is not ours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import duckdb
import psycopg
from psycopg.sql import SQL, Composed, Identifier

from rowferry.demo.warehouse import file_of
from rowferry.report import Difference, Verification

__all__ = ["compare", "differences"]

FETCH_ROWS = 10_000
MAX_EXAMPLES = 20


def compare(source: str, target: str, table: str, keys: Sequence[str]) -> Verification:
    """Compare a table of the source's search path with its copy in `raw_postgres`. The source must be at rest.

    Args:
        target: URI of a DuckDB file that nobody else has open.
        keys: Columns of whole numbers that identify a row.
    """
    with psycopg.connect(source) as at_source, duckdb.connect(str(file_of(target)), read_only=True) as at_target:
        columns, query = _source_query(at_source, table, keys)
        named = ", ".join(f'"{name}"' for name in columns)
        order = ", ".join(f'"{name}"' for name in keys)
        copied = f"SELECT {named} FROM raw_postgres.{table} WHERE _deleted_at IS NULL ORDER BY {order}"
        with at_source.cursor(name="rows") as reader:
            reader.itersize = FETCH_ROWS
            reader.execute(query)
            places = [columns.index(name) for name in keys]
            return differences(reader, _fetched(at_target.execute(copied)), places)


def differences(source: Iterable[tuple], target: Iterable[tuple], keys: Sequence[int]) -> Verification:
    """Walk two tables of rows, both in the order of their keys, side by side.

    Args:
        keys: Places of the key's columns in a row.
    """
    counts: Counter[str] = Counter()
    examples = []
    for key, kind in _walk(iter(source), iter(target), keys):
        counts[kind] += 1
        if kind != "equal" and len(examples) < MAX_EXAMPLES:
            examples.append(Difference(key=f"({','.join(map(str, key))})", kind=kind))
    result = "equal" if set(counts) <= {"equal"} else "different"
    return Verification(result=result, compared=counts.total(), **counts, examples=tuple(examples), exact=True)


def _source_query(source: psycopg.Connection, table: str, keys: Sequence[str]) -> tuple[list[str], Composed]:
    """The table's columns, and what reads them in the order of the keys; JSON as its text, as a DuckDB file keeps it."""
    types = """
        select attname, format_type(atttypid, null) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped order by attnum"""
    columns = source.execute(types, (table,)).fetchall()
    values = [SQL("{}::text" if type_ == "jsonb" else "{}").format(Identifier(name)) for name, type_ in columns]
    order = SQL(", ").join(map(Identifier, keys))
    query = SQL("select {} from {} order by {}").format(SQL(", ").join(values), Identifier(table), order)
    return [name for name, _ in columns], query


def _fetched(rows: duckdb.DuckDBPyConnection) -> Iterator[tuple]:
    while some := rows.fetchmany(FETCH_ROWS):
        yield from some


def _walk(source: Iterator[tuple], target: Iterator[tuple], keys: Sequence[int]) -> Iterator[tuple[tuple, str]]:
    """Each key of either side, and what became of its row."""
    row, copy = next(source, None), next(target, None)
    while row is not None or copy is not None:
        at = row and tuple(row[place] for place in keys)
        copied_at = copy and tuple(copy[place] for place in keys)
        if copied_at is None or (at is not None and at < copied_at):
            yield at, "missing"
            row = next(source, None)
        elif at is None or copied_at < at:
            yield copied_at, "target_only"
            copy = next(target, None)
        else:
            yield at, "equal" if row == copy else "different"
            row, copy = next(source, None), next(target, None)
