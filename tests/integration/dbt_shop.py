"""A copy of the dbt project on hand-made raw tables, in PostgreSQL or DuckDB, for the tests beside this file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg
from dbt.cli.main import dbtRunner

from rowferry.demo.warehouse import DbtProject, Node, dbt_environment, read_results

RAW_TABLES = """
create schema raw_postgres;
create table raw_postgres.orders (
    id bigint, user_id bigint, status text, currency text, total_amount double precision, note text, payload json,
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    _extracted_at timestamptz not null, _load_id bigint, _deleted_at timestamptz);
create table raw_postgres.users (
    id bigint, email text, full_name text, country text, settings json,
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    _extracted_at timestamptz not null, _load_id bigint, _deleted_at timestamptz);
create table raw_postgres.products (
    id bigint, sku text, name text, category text, price double precision, attributes json,
    created_at timestamp, updated_at timestamp, deleted_at timestamp,
    _extracted_at timestamptz not null, _load_id bigint, _deleted_at timestamptz);
create table raw_postgres.payments (
    id bigint, order_id bigint, method text, status text, currency text, amount double precision,
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    _extracted_at timestamptz not null, _load_id bigint, _deleted_at timestamptz);
create table raw_postgres.order_items (
    order_id bigint, line_number integer, product_id bigint, quantity integer, unit_price double precision,
    created_at timestamptz, updated_at timestamptz, deleted_at timestamptz,
    _extracted_at timestamptz not null, _load_id bigint, _deleted_at timestamptz);
"""


class Shop:
    """Raw tables and the dbt project on them; sessions live in a zone far from UTC.

    dbt runs inside this process, where starting it again costs a second instead of five.
    """

    raw_tables = RAW_TABLES

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.project = DbtProject(folder=folder, environment=environment)
        self.execute(self.raw_tables)

    def execute(self, statements: str) -> None:
        raise NotImplementedError

    def rows(self, query: str) -> list[tuple]:
        raise NotImplementedError

    def dbt(self, *arguments: str) -> dict[str, Node]:
        """What became of each node of a command, by name; a failed test is in there, an error raises."""
        self.project.results.unlink(missing_ok=True)
        with _environment(self.project.settings()):
            done = dbtRunner().invoke(["--quiet", *arguments])
        if done.exception is not None:
            raise done.exception
        nodes = {node.name: node for node in read_results(self.project.results)}
        errors = [node for node in nodes.values() if node.status == "error"]
        assert not errors, errors
        return nodes


class PostgresShop(Shop):
    def __init__(self, folder: Path, uri: str) -> None:
        self.uri = uri
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(
                "do $$ begin execute format('alter database %I set timezone = %L', current_database(), 'America/New_York'); end $$"
            )
        super().__init__(folder, dbt_environment(uri))

    def execute(self, statements: str) -> None:
        with psycopg.connect(self.uri, autocommit=True) as connection:
            connection.execute(statements.encode())

    def rows(self, query: str) -> list[tuple]:
        with psycopg.connect(self.uri) as connection:
            return connection.execute(query.encode()).fetchall()


class DuckShop(Shop):
    def __init__(self, folder: Path) -> None:
        self.file = folder / "warehouse.duckdb"
        super().__init__(
            folder, {"ROWFERRY_DBT_TARGET": "duckdb", "ROWFERRY_DBT_DUCKDB": str(self.file), "TZ": "America/New_York"}
        )

    def execute(self, statements: str) -> None:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute(statements)

    def rows(self, query: str) -> list[tuple]:
        with duckdb.connect(str(self.file)) as connection:
            connection.execute("set timezone = 'America/New_York'")
            return connection.execute(query).fetchall()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
