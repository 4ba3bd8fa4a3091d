"""What Airflow's provider manager asks of a package (entry point `apache_airflow_provider`)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The package's metadata, in the form of Airflow's provider.yaml schema."""
    return {
        "package-name": "rowferry",
        "name": "rowferry",
        "description": "Changed rows from PostgreSQL into a warehouse, once each, and provably.",
        "versions": [version("rowferry")],
        "integrations": [
            {
                "integration-name": "rowferry",
                "tags": ["software"],
            }
        ],
        "operators": [
            {
                "integration-name": "rowferry",
                "python-modules": ["airflow_rowferry.operators", "airflow_rowferry.notifier"],
            }
        ],
        "hooks": [{"integration-name": "rowferry", "python-modules": ["airflow_rowferry.hooks"]}],
    }
