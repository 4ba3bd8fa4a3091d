"""dbt's plugin on a real file that other processes have open, or want to open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from rowferry import dbt_duckdb

HOLDER = "import sys, duckdb; session = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"
Holder = subprocess.Popen[str]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


@pytest.fixture
def hold(path: Path) -> Iterator[Callable[[], Holder]]:
    """Has another process open the file, until its standard input is closed."""
    holders: list[Holder] = []

    def start() -> Holder:
        command = [sys.executable, "-c", HOLDER, str(path)]
        holders.append(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return holders[-1]

    yield start
    for holder in holders:
        holder.communicate()


def plugin(**config: Any) -> dbt_duckdb.Plugin:
    return dbt_duckdb.Plugin(name="rowferry", plugin_config=config)


def test_dbt_waits_until_another_process_closes_the_file(path: Path, hold: Callable[[], Holder], monkeypatch: pytest.MonkeyPatch) -> None:
    holder = hold()
    assert holder.stdin and holder.stdout and holder.stdout.readline() == "held\n"
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        holder.communicate()

    monkeypatch.setattr(dbt_duckdb.time, "sleep", wait)
    plugin().update_connection_config(SimpleNamespace(path=str(path)), {})
    assert len(waited) == 1


def test_dbt_gives_up_after_its_lock_timeout_and_names_who_has_the_file(path: Path, hold: Callable[[], Holder]) -> None:
    holder = hold()
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(duckdb.IOException, match=rf"not free within 0\.2 s: .*{holder.pid}"):
        plugin(lock_timeout=0.2).update_connection_config(SimpleNamespace(path=str(path)), {})


def test_no_other_process_comes_in_before_dbt_connects(path: Path, hold: Callable[[], Holder]) -> None:
    waits = plugin()
    config = {"threads": 1}
    waits.update_connection_config(SimpleNamespace(path=str(path)), config)
    assert "Could not set lock" in hold().communicate()[1]
    connection = duckdb.connect(str(path), config=config)
    waits.configure_connection(connection)
    assert "Could not set lock" in hold().communicate()[1]
    connection.close()
    assert hold().communicate()[0] == "held\n"


def test_what_is_no_file_of_duckdb_fails_at_once(path: Path) -> None:
    path.mkdir()
    with pytest.raises(duckdb.IOException):
        plugin().update_connection_config(SimpleNamespace(path=str(path)), {})
