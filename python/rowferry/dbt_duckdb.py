"""A plugin of dbt-duckdb, with which dbt waits for its file as loads do; by itself it fails when another process has it open.

In the profile of a DuckDB target:

    plugins:
      - module: rowferry.dbt_duckdb
        config: {lock_timeout: 600}     # seconds to wait
"""

from __future__ import annotations

import time
from typing import Any

import duckdb
from dbt.adapters.duckdb.plugins import BasePlugin

__all__ = ["LOCK_TIMEOUT_S", "Plugin"]

LOCK_TIMEOUT_S = 600.0
_POLL_S = 0.1


class Plugin(BasePlugin):
    """Made by dbt-duckdb; where there are several plugins it comes last, as it needs the connection's final configuration."""

    def initialize(self, plugin_config: dict[str, Any]) -> None:
        self._lock_timeout_s = float(plugin_config.get("lock_timeout", LOCK_TIMEOUT_S))
        self._held: duckdb.DuckDBPyConnection | None = None

    def update_connection_config(self, creds: Any, config: dict[str, Any]) -> None:
        # dbt connects next, in the same process and with the same configuration: no other can come in between.
        self._held = _opened(creds.path, config, self._lock_timeout_s)

    def configure_connection(self, conn: duckdb.DuckDBPyConnection) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


def _opened(path: str, config: dict[str, Any], lock_timeout_s: float) -> duckdb.DuckDBPyConnection:
    """The file, once no other process has it open.

    Raises:
        duckdb.IOException: Another had it all the time, or the file cannot be opened at all.
    """
    deadline = time.monotonic() + lock_timeout_s
    while True:
        try:
            return duckdb.connect(path, config=config)
        except duckdb.IOException as error:
            if "Could not set lock" not in str(error):
                raise
            if time.monotonic() >= deadline:
                raise duckdb.IOException(f"{path} was not free within {lock_timeout_s:g} s: {error}") from error
        time.sleep(_POLL_S)
