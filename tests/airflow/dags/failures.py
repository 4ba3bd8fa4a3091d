"""The DAGs of test_failures: each fails in a way that has to be explained by more than an exception."""

from __future__ import annotations

import os
import signal

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import InvocationMode, LoadMode, TestBehavior

from airflow_rowferry.dbt import PROFILE_MAPPINGS
from airflow_rowferry.notifier import notify_outcome

DBT_PROJECT = os.environ["ROWFERRY_TEST_DBT_PROJECT"]

with DAG("broken_model", schedule=None):
    DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(dbt_project_path=DBT_PROJECT, manifest_path=f"{DBT_PROJECT}/target/manifest.json"),
        profile_config=ProfileConfig(
            profile_name="small",
            target_name="dev",
            profile_mapping=PROFILE_MAPPINGS["postgres"](conn_id="warehouse", profile_args={"schema": "broken_model", "threads": 1}),
        ),
        execution_config=ExecutionConfig(invocation_mode=InvocationMode.SUBPROCESS),
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, test_behavior=TestBehavior.NONE),
    )
    notify_outcome()

with DAG("workers_die", schedule=None):

    @task
    def killed():
        print("reading rows")
        os.kill(os.getpid(), signal.SIGKILL)

    @task
    def lost():
        os.kill(os.getppid(), signal.SIGKILL)  # who sends the heartbeats
        os._exit(0)

    @task
    def after(): ...

    [killed(), lost()] >> after()
    notify_outcome()

with DAG("comes_once", schedule=None):

    @task
    def check(): ...

    check()

WAITS = {"poke_interval": 0.5, "timeout": 1}

with DAG("waits_in_vain", schedule=None):
    ExternalTaskSensor(task_id="for_a_dag", external_dag_id="comes_once", external_task_id="check", **WAITS)
    FileSensor(task_id="for_a_file", fs_conn_id="files", filepath="exports/orders.csv", **WAITS)
    notify_outcome()
