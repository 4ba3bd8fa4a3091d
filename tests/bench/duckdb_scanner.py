"""DuckDB's own way from PostgreSQL into a file: `duckdb_scanner.py install|first|bare|changed URI FILE WATERMARK`.

It runs in an environment of its own, whose DuckDB has the scanner. What a careful person types: the types and the key that
the source has, one transaction; of the changed rows a DELETE and an INSERT, which take DuckDB a third of what MERGE takes.
"""

from __future__ import annotations

import sys

import duckdb
from duckdb_extensions import import_extension

COLUMNS = "id,user_id,status,currency,total_amount,qty,discount,note,payload,is_gift,inserted_at,updated_at,deleted_at,ref"
TABLE = (
    "CREATE TABLE orders (id BIGINT NOT NULL, user_id BIGINT NOT NULL, status VARCHAR NOT NULL, currency VARCHAR, total_amount DECIMAL(12,2),"
    " qty INTEGER, discount DOUBLE, note VARCHAR, payload JSON, is_gift BOOLEAN, inserted_at TIMESTAMPTZ NOT NULL, updated_at TIMESTAMPTZ NOT NULL,"
    " deleted_at TIMESTAMPTZ, ref UUID"
)


def statements(how: str, watermark: str) -> list[str]:
    read = f"SELECT {COLUMNS} FROM shop.public.orders"
    if how == "changed":
        return [
            f"CREATE TEMP TABLE changed AS {read} WHERE updated_at > '{watermark}'",
            "DELETE FROM orders USING changed WHERE orders.id = changed.id",
            "INSERT INTO orders SELECT * FROM changed",
        ]
    return [TABLE + (", PRIMARY KEY (id))" if how == "first" else ")"), f"INSERT INTO orders {read}"]


def main() -> None:
    how, source, path, watermark = sys.argv[1:]
    with duckdb.connect(path, config={"extension_directory": f"{sys.prefix}/extensions"}) as session:
        if how == "install":
            import_extension("postgres_scanner", con=session)
            return
        session.execute("LOAD postgres_scanner")
        session.execute(f"ATTACH '{source}' AS shop (TYPE postgres, READ_ONLY)")
        session.execute("BEGIN")
        for statement in statements(how, watermark):
            session.execute(statement)
        session.execute("COMMIT")


if __name__ == "__main__":
    main()
