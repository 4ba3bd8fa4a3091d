"""The dbt project of these tests as a task group of Cosmos, for the DAGs here and those of other_dags."""

from __future__ import annotations

import os
from typing import Any

from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import LoadMode, TestBehavior

from airflow_rowferry.dbt import PROFILE_MAPPINGS

_PROJECT = os.environ["ROWFERRY_TEST_DBT_PROJECT"]


def small_dbt(schema: str, execution: ExecutionConfig, **more: Any) -> DbtTaskGroup:
    """The models without their tests, into a schema of the connection `warehouse`; `more` are arguments of DbtTaskGroup."""
    return DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(dbt_project_path=_PROJECT, manifest_path=f"{_PROJECT}/target/manifest.json"),
        profile_config=ProfileConfig(
            profile_name="small",
            target_name="dev",
            profile_mapping=PROFILE_MAPPINGS["postgres"](conn_id="warehouse", profile_args={"schema": schema, "threads": 1}),
        ),
        execution_config=execution,
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, test_behavior=TestBehavior.NONE),
        **more,
    )
