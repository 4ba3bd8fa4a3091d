"""One dbt model fails, and another needs it: as Cosmos task groups in each of its ways to run dbt."""

from __future__ import annotations

import os
from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
from cosmos.profiles import PostgresUserPasswordProfileMapping

PROJECT = os.environ["DIAGNOSIS_DBT_PROJECT"]
WAYS = {
    "cosmos_in_the_process": (ExecutionMode.LOCAL, InvocationMode.DBT_RUNNER),
    "cosmos_in_a_subprocess": (ExecutionMode.LOCAL, InvocationMode.SUBPROCESS),
    "cosmos_watched": (ExecutionMode.WATCHER, InvocationMode.DBT_RUNNER),
    "cosmos_watched_in_a_subprocess": (ExecutionMode.WATCHER, InvocationMode.SUBPROCESS),
}

for dag_id, (execution, invocation) in WAYS.items():
    with DAG(dag_id, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False) as globals()[dag_id]:
        DbtTaskGroup(
            group_id="dbt",
            project_config=ProjectConfig(dbt_project_path=PROJECT, manifest_path=f"{PROJECT}/target/manifest.json"),
            profile_config=ProfileConfig(
                profile_name="small",
                target_name="dev",
                profile_mapping=PostgresUserPasswordProfileMapping(conn_id="warehouse", profile_args={"schema": dag_id}),
            ),
            execution_config=ExecutionConfig(execution_mode=execution, invocation_mode=invocation),
            render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, test_behavior=TestBehavior.AFTER_EACH),
            operator_args={"deferrable": False} if execution is ExecutionMode.WATCHER else {},  # there is no triggerer
            default_args={"retries": 0},
        )
