"""The DAGs of other_airflows, for Airflow 2.11 and 3: a task that fails, one whose listener fails too, and dbt watched by Cosmos."""

from __future__ import annotations

import logging
import os
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG, task
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior

from airflow_rowferry.dbt import PROFILE_MAPPINGS

DBT_PROJECT = os.environ["ROWFERRY_TEST_DBT_PROJECT"]
NEVER = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc), "catchup": False}

with DAG("fails", **NEVER):

    @task(retries=0)
    def load():
        raise TypeError("Object of type Order is not JSON serializable")

    load()

with DAG("fails_with_its_listener", **NEVER):

    @task(task_id="load", retries=1, retry_delay=timedelta(seconds=1))
    def load_and_break_the_listener():
        from airflow_rowferry import diagnosis

        def broken(*arguments):
            logging.getLogger("airflow.task.rowferry").error("the listener raises now")
            raise OSError("no memory for this")

        diagnosis.of_failure = broken
        raise TypeError("Object of type Order is not JSON serializable")

    load_and_break_the_listener()

with DAG("watched", **NEVER):
    DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(dbt_project_path=DBT_PROJECT, manifest_path=f"{DBT_PROJECT}/target/manifest.json"),
        profile_config=ProfileConfig(
            profile_name="small",
            target_name="dev",
            profile_mapping=PROFILE_MAPPINGS["postgres"](conn_id="warehouse", profile_args={"schema": "watched", "threads": 1}),
        ),
        execution_config=ExecutionConfig(execution_mode=ExecutionMode.WATCHER, invocation_mode=InvocationMode.DBT_RUNNER),
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, test_behavior=TestBehavior.NONE),
        operator_args={"deferrable": False, "poke_interval": 1},  # there is no triggerer
        default_args={"retries": 0},
    )
