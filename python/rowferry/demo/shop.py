"""A shop in PostgreSQL for the demo and the tests: users, products, orders, order_items, payments."""

from __future__ import annotations

from importlib import resources
from types import TracebackType
from typing import Any

import psycopg

__all__ = ["KEYS", "LateTransaction", "change", "create", "drift", "open_late_transaction"]

KEYS: dict[str, tuple[str, ...]] = {
    "users": ("id",),
    "products": ("id",),
    "orders": ("id",),
    "order_items": ("order_id", "line_number"),
    "payments": ("id",),
}
"""Each table of the shop with its primary key."""


def create(uri: str, *, orders: int = 200_000, seed: float = 0.42) -> dict[str, int]:
    """Make the shop's tables in the database `uri`, in a few seconds.

    Args:
        uri: An empty database.
        orders: Rows of orders, at least 1000; users are a fifth of them, order_items about 2.5 times as many.
        seed: For setseed(), within [-1, 1]. Equal seeds give equal rows, but for times, which end at now().

    Returns:
        Rows by table.
    """
    with _connect(uri) as connection:
        connection.execute("select setseed(%s), set_config('shop.orders', %s, true)", (seed, str(orders)))
        connection.execute(_script("shop.sql"))
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("vacuum analyze")
        return {table: _count(connection, table) for table in KEYS}


def change(uri: str, round: int) -> None:
    """Let a day pass: updates, inserts, soft deletes, and orders of 3 and 30 days ago that arrive only now.

    Args:
        uri: The shop's database.
        round: Picks the rows; another number changes other ones.
    """
    with _connect(uri) as connection:
        connection.execute("select setseed(%s), set_config('shop.round', %s, true)", (round % 100 / 100, str(round)))
        connection.execute(_script("shop_change.sql"))


def drift(uri: str) -> None:
    """Let its developers alter its tables: a column of orders comes with a default for rows that are there, one of users goes."""
    with _connect(uri) as connection:
        connection.execute(_script("shop_drift.sql"))


class LateTransaction:
    """A transaction over some orders that stays open until `commit()`; leaving it as a context rolls it back."""

    def __init__(self, uri: str) -> None:
        self._connection = _connect(uri, application_name="slow checkout")
        self._connection.execute(_script("shop_late.sql"))

    def commit(self) -> None:
        self._connection.commit()
        self._connection.close()

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> LateTransaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_late_transaction(uri: str) -> LateTransaction:
    """Begin a transaction that writes orders now and is committed by the caller, after a run has passed over it."""
    return LateTransaction(uri)


def _connect(uri: str, **settings: Any) -> psycopg.Connection:
    connection = psycopg.connect(uri, **settings)
    connection.execute("set time zone 'UTC'; set max_parallel_workers_per_gather = 0; set synchronous_commit = off")
    return connection


def _script(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


def _count(connection: psycopg.Connection, table: str) -> int:
    query = psycopg.sql.SQL("select count(*) from {}").format(psycopg.sql.Identifier(table))
    [(n_rows,)] = connection.execute(query)
    return n_rows
