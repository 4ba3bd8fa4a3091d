"""How a scheduler of Airflow 2.11 is told where all is that it needs, for the tests and for what provokes logs."""

from __future__ import annotations

import os
from pathlib import Path


def settings_of_airflow_2(home: Path, dags: Path, metadata: str, scripts: Path) -> dict[str, str]:
    """Environment variables.

    Args:
        home: AIRFLOW_HOME.
        dags: The folder of the DAGs, which run as soon as they are there.
        metadata: URI of its database, of PostgreSQL.
        scripts: The `bin` of the environment in which it is installed.
    """
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__COSMOS__ENABLE_DATASET_ALIAS": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{metadata.partition('://')[2]}",
        "AIRFLOW__SCHEDULER__USE_JOB_SCHEDULE": "False",
        "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
    }
