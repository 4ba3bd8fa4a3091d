"""Load a shop every night, check that rows came, build the models, say how it ended.

Needs the connections `shop` (the source, of type `postgres`) and `warehouse` (of type `postgres`, or
`duckdb` for a file), and the manifest of the dbt project, made by `dbt parse`. With a connection `slack_alerts` (type `slackwebhook`) the outcome
goes to Slack, without one to the log of the last task.

Where this file's own settings do not fit: ROWFERRY_DBT_TARGET=duckdb says that `warehouse` is a DuckDB
file; ROWFERRY_DBT_PROJECT names another copy of the project,
ROWFERRY_DBT_MANIFEST another manifest than its target/manifest.json, ROWFERRY_RETRY_DELAY the seconds
between tries.
"""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path

from airflow.providers.common.compat.sdk import DAG
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import InvocationMode, LoadMode, TestBehavior

from airflow_rowferry.dbt import PROFILE_MAPPINGS
from airflow_rowferry.notifier import notify_outcome
from airflow_rowferry.operators import LoadCheckOperator, PostgresToWarehouseOperator
from airflow_rowferry.settings import choice, existing, seconds

TABLES = ["orders", "order_items", "users", "products", "payments"]
DBT_PROJECT = existing(
    "ROWFERRY_DBT_PROJECT", default=Path(__file__).with_name("dbt_shop"), remedy="copy the dbt project there"
)
DBT_MANIFEST = existing(
    "ROWFERRY_DBT_MANIFEST",
    default=DBT_PROJECT / "target" / "manifest.json",
    remedy="run `dbt parse --profiles-dir . --target-path target` in the dbt project",
)
DBT_TARGET = choice("ROWFERRY_DBT_TARGET", PROFILE_MAPPINGS, default="postgres")
RETRY_DELAY = seconds("ROWFERRY_RETRY_DELAY", default=300)

# [START howto_dag_daily_etl]
with DAG(
    "daily_etl",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": RETRY_DELAY},
    tags=["etl", "daily"],
    doc_md=__doc__,
):
    # [START howto_operator_postgres_to_warehouse]
    load = PostgresToWarehouseOperator.partial(
        task_id="load",
        source_conn_id="shop",
        target_conn_id="warehouse",
        source_name="postgres",
        lock_timeout=600,  # for a DuckDB file too: one task at a time has it open, the others wait
    ).expand(table=TABLES)
    # [END howto_operator_postgres_to_warehouse]

    # [START howto_operator_load_check]
    check = LoadCheckOperator(task_id="check", reports=load.output, may_be_empty=["payments"])
    # [END howto_operator_load_check]

    # [START howto_dbt_task_group]
    dbt = DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(
            dbt_project_path=DBT_PROJECT,
            manifest_path=DBT_MANIFEST,  # read by every task that parses this file; dbt ls would take seconds
        ),
        profile_config=ProfileConfig(
            profile_name="shop",
            target_name=DBT_TARGET,
            profile_mapping=PROFILE_MAPPINGS[DBT_TARGET](
                conn_id="warehouse", profile_args={"schema": "analytics", "threads": 1}
            ),
        ),
        execution_config=ExecutionConfig(invocation_mode=InvocationMode.SUBPROCESS),  # which on_kill can end
        render_config=RenderConfig(
            load_method=LoadMode.DBT_MANIFEST,
            test_behavior=TestBehavior.BUILD,  # a model and its tests are one task, so a bad model stops what follows
            should_detach_multiple_parents_tests=True,
        ),
    )
    # [END howto_dbt_task_group]

    load >> check >> dbt

    # [START howto_notify_outcome]
    [load, check, dbt] >> notify_outcome(slack_webhook_conn_id="slack_alerts")
    # [END howto_notify_outcome]
# [END howto_dag_daily_etl]
