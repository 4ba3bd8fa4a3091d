"""The demo's own parts: its shop in a DuckDB file, and a target it does not know."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg

import rowferry
from rowferry.demo import shop
from rowferry.demo.servers import Server

ROOT = Path(__file__).resolve().parents[2]


def test_a_shop_in_a_duckdb_file_is_equal_until_one_value_of_it_is_not(
    pg18: Server, database: Callable[[Server], str], tmp_path: Path
) -> None:
    source, file = database(pg18), tmp_path / "warehouse.duckdb"
    target = f"duckdb://{file}"
    rows = shop.create(source, orders=1000)
    for table in shop.KEYS:
        rowferry.run(rowferry.Job(source=source, target=target, table=table))
        verified = rowferry.verify({"source": source, "target": target, "table": table})
        assert (verified.result, verified.compared, verified.equal) == ("equal", rows[table], rows[table])
    with duckdb.connect(str(file)) as session:
        session.execute("update raw_postgres.orders set payload = '{}' where id = 7")
        session.execute("update raw_postgres.orders set _deleted_at = now() where id = 8")
    with psycopg.connect(source) as session:
        session.execute("delete from orders where id = 9")
    found = rowferry.verify({"source": source, "target": target, "table": "orders"})
    assert {example.key: example.kind for example in found.examples} == {
        "(7)": "different",
        "(8)": "missing",
        "(9)": "target_only",
    }
    assert not found and found.compared == rows["orders"]


def test_a_demo_of_an_unknown_target_says_which_there_are() -> None:
    command = ["make", "--no-print-directory", "-o", "build", "demo", "TARGET=snowflake"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert "invalid choice: 'snowflake'" in done.stderr and "postgres" in done.stderr and "duckdb" in done.stderr
