"""What the warehouse's connection becomes for dbt under Cosmos."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException
from cosmos.profiles import DuckDBUserPasswordProfileMapping, PostgresUserPasswordProfileMapping

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

__all__ = ["PROFILE_MAPPINGS"]


class _OfItsType:
    """
    A profile mapping that takes a connection of its own type only.

    Cosmos takes any: out of the host of a server it makes the name of a new, empty DuckDB file.
    """

    airflow_connection_type: str
    dbt_profile_type: str
    conn_id: str

    @property
    def conn(self) -> Connection:
        conn: Connection = super().conn  # type: ignore[misc]
        if conn.conn_type != self.airflow_connection_type:
            raise AirflowFailException(
                f"connection {self.conn_id!r} is of type {conn.conn_type!r} and dbt's target is {self.dbt_profile_type!r}:"
                f" ROWFERRY_DBT_TARGET has to name the kind of warehouse that {self.conn_id!r} leads to"
            )
        return conn


class _PostgresMapping(_OfItsType, PostgresUserPasswordProfileMapping):
    pass


class _DuckDBMapping(_OfItsType, DuckDBUserPasswordProfileMapping):
    """
    dbt waits for the file as loads do, and a division by zero is an error, as it is in other warehouses.

    By itself dbt fails when another process has the file open, and DuckDB makes such a division infinity.
    """

    @property
    def profile(self) -> dict[str, Any]:
        profile: dict[str, Any] = super().profile
        return {
            **profile,
            "settings": {"ieee_floating_point_ops": False, **profile.get("settings", {})},
            "plugins": [*profile.get("plugins", []), {"module": "rowferry.dbt_duckdb"}],
        }


PROFILE_MAPPINGS: dict[str, Any] = {"postgres": _PostgresMapping, "duckdb": _DuckDBMapping}
"""For each target of the dbt project the Cosmos class that makes its profile."""
