"""dbt's plugin on a real file that other processes have open, or want to open."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest
from file_holder import can_open, held, let_go

from rowferry import dbt_duckdb


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "warehouse.duckdb"


def opens(path: Path, options: dict[str, Any] | None = None, **config: Any) -> dbt_duckdb.Plugin:
    """A plugin that was told that dbt connects next."""
    plugin = dbt_duckdb.Plugin(name="rowferry", plugin_config=config)
    plugin.update_connection_config(SimpleNamespace(path=str(path)), options or {})
    return plugin


def test_dbt_waits_until_another_process_closes_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    with held(path) as holder:

        def wait(seconds: float) -> None:
            waited.append(seconds)
            let_go(holder)

        monkeypatch.setattr(dbt_duckdb.time, "sleep", wait)
        opens(path)
    assert len(waited) == 1


def test_dbt_gives_up_after_its_lock_timeout_and_names_who_has_the_file(path: Path) -> None:
    with held(path) as holder, pytest.raises(duckdb.IOException, match=rf"not free within 0\.2 s: .*{holder.pid}"):
        opens(path, lock_timeout=0.2)


def test_no_other_process_comes_in_before_dbt_connects(path: Path) -> None:
    options = {"threads": 1}
    plugin = opens(path, options)
    assert not can_open(path)
    connection = duckdb.connect(str(path), config=options)
    plugin.configure_connection(connection)
    assert not can_open(path)
    connection.close()
    assert can_open(path)


def test_what_is_no_file_of_duckdb_fails_at_once(path: Path) -> None:
    path.mkdir()
    with pytest.raises(duckdb.IOException):
        opens(path)
