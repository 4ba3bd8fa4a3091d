"""What Airflow's plugin manager loads in each of its processes (entry point `airflow.plugins`): the listener."""

from __future__ import annotations

from airflow.providers.common.compat.sdk import AirflowPlugin

from airflow_rowferry import listener


class RowferryPlugin(AirflowPlugin):
    name = "rowferry"
    listeners = [listener]
