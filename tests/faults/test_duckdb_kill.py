"""A run into a DuckDB file that is killed at any change it makes to the file or its log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from program import compile_nth_write

import rowferry
from rowferry.demo.servers import Server

ROWS = 4000
CODE = "import json, sys, rowferry; rowferry.run(json.loads(sys.argv[1]))"
State = dict[str, list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def nth_write(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_nth_write(tmp_path_factory.mktemp("nth_write"))


def state(path: Path) -> State:
    """The rows of the table, which may not be there, and the load records."""
    with duckdb.connect(str(path)) as session:
        tables = {name for (name,) in session.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        rows = "SELECT id, note, _load_id, _deleted_at IS NULL FROM raw_postgres.items ORDER BY id"
        loads = "SELECT load_id, rows_inserted, rows_updated FROM _rowferry.loads ORDER BY load_id"
        wanted = {"items": rows, "loads": loads}
        return {name: session.execute(sql).fetchall() for name, sql in wanted.items() if name in tables}


@pytest.mark.slow
def test_a_run_killed_at_any_change_of_the_file_leaves_it_as_before_or_as_after(
    servers: Server, database: Callable[[Server], str], tmp_path: Path, nth_write: Path
) -> None:
    source = database(servers)
    with psycopg.connect(source, autocommit=True) as at_source:
        at_source.execute("CREATE TABLE items (id int PRIMARY KEY, note text)")
        at_source.execute(f"INSERT INTO items SELECT i, repeat(md5(i::text), 3) FROM generate_series(1, {ROWS}) i")
        for load in ("first", "later"):
            folder = tmp_path / load
            folder.mkdir()
            before = tmp_path / "before.duckdb"
            if load == "later":
                rowferry.run({"source": source, "target": f"duckdb://{before}", "table": "items"})
                at_source.execute("UPDATE items SET note = 'new' WHERE id % 2 = 0; DELETE FROM items WHERE id = 7")
            outcomes = killed_at_each(folder, before, nth_write, {"source": source, "table": "items"})
            assert outcomes == {"before", "after"}, f"{load}: no kill came before, or none after, the commit"


def killed_at_each(folder: Path, before: Path, library: Path, job: dict[str, Any]) -> set[str]:
    """Kills runs from copies of `before` at their first change, then their second, until one ends; what the kills left."""
    outcomes: set[str] = set()
    start = state(before) if before.exists() else {}
    for nth in range(1, 500):
        path = folder / f"{nth}.duckdb"
        if before.exists():
            path.write_bytes(before.read_bytes())
        job["target"] = f"duckdb://{path}"
        environment = {**os.environ, "LD_PRELOAD": str(library), "NTH_WRITE": str(nth)}
        done = subprocess.run([sys.executable, "-c", CODE, json.dumps(job)], env=environment, check=False, capture_output=True, text=True)
        if done.returncode == 0:
            return outcomes
        assert done.returncode == -signal.SIGKILL, done.stderr
        left = state(path)
        committed = len(left.get("loads", [])) > len(start.get("loads", []))
        outcomes.add("after" if committed else "before")
        if not committed:
            assert left == start
        report = rowferry.run(job)
        assert report.load_id == len(start.get("loads", [])) + 1 + committed
        check_equal(job["source"], path)
        path.unlink()
    raise AssertionError("the runs never end")


def check_equal(source: str, path: Path) -> None:
    with psycopg.connect(source) as at_source:
        wanted = at_source.execute("SELECT id, note FROM items ORDER BY id").fetchall()
    live = [(key, note) for key, note, _, is_live in state(path)["items"] if is_live and key != 7]
    assert live == [row for row in wanted if row[0] != 7]
