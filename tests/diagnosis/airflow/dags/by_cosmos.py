"""dbt nodes that fail, as Cosmos task groups in each of its ways to run dbt; `WAYS` has a division by zero that another model needs, `MORE` the rest."""

from __future__ import annotations

import os
from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG
from cosmos import DbtTaskGroup, ExecutionConfig, ProfileConfig, ProjectConfig, RenderConfig
from cosmos.constants import ExecutionMode, InvocationMode, LoadMode, TestBehavior
from cosmos.profiles import PostgresUserPasswordProfileMapping

try:
    from airflow.sdk import get_parsing_context
except ImportError:  # Airflow 2
    from airflow.utils.dag_parsing_context import get_parsing_context

PROJECT = os.environ["DIAGNOSIS_DBT_PROJECT"]
DBT_ELSEWHERE = os.environ["DIAGNOSIS_DBT"]  # of an environment without Airflow
WAYS = {
    "cosmos_in_the_process": (ExecutionMode.LOCAL, InvocationMode.DBT_RUNNER),
    "cosmos_in_a_subprocess": (ExecutionMode.LOCAL, InvocationMode.SUBPROCESS),
    "cosmos_watched": (ExecutionMode.WATCHER, InvocationMode.DBT_RUNNER),
    "cosmos_watched_in_a_subprocess": (ExecutionMode.WATCHER, InvocationMode.SUBPROCESS),
}
LOCAL, WATCHED = WAYS["cosmos_in_the_process"], WAYS["cosmos_watched"]
MORE = {
    # A test that fails, a relation that is missing, and a model that is well.
    "cosmos_more_in_the_process": {"way": LOCAL},
    "cosmos_more_elsewhere": {"way": WAYS["cosmos_in_a_subprocess"], "dbt": DBT_ELSEWHERE},
    "cosmos_more_watched": {"way": WATCHED},
    "cosmos_more_watched_elsewhere": {"way": WAYS["cosmos_watched_in_a_subprocess"], "dbt": DBT_ELSEWHERE},
    "cosmos_more_built": {"way": LOCAL, "tests": TestBehavior.BUILD},
    # Nothing that dbt would say of a node: there is no server, or no dbt.
    "cosmos_no_server": {"way": LOCAL, "select": "numbers", "conn_id": "nowhere"},
    "cosmos_no_server_watched": {"way": WATCHED, "select": "numbers", "conn_id": "nowhere"},
    "cosmos_no_dbt": {"way": WAYS["cosmos_in_a_subprocess"], "select": "numbers", "dbt": "/opt/dbt/bin/dbt"},
    "cosmos_well": {"way": LOCAL, "select": "numbers"},
    "cosmos_well_watched": {"way": WATCHED, "select": "numbers"},
}


def group(schema: str, *, way, dbt=None, tests=TestBehavior.AFTER_EACH, conn_id="warehouse", select="tag:more", exclude=()) -> None:
    execution, invocation = way
    DbtTaskGroup(
        group_id="dbt",
        project_config=ProjectConfig(dbt_project_path=PROJECT, manifest_path=f"{PROJECT}/target/manifest.json"),
        profile_config=ProfileConfig(
            profile_name="small",
            target_name="dev",
            profile_mapping=PostgresUserPasswordProfileMapping(conn_id=conn_id, profile_args={"schema": schema}),
        ),
        execution_config=ExecutionConfig(execution_mode=execution, invocation_mode=invocation, **({"dbt_executable_path": dbt} if dbt else {})),
        render_config=RenderConfig(load_method=LoadMode.DBT_MANIFEST, test_behavior=tests, select=[select] if select else [], exclude=list(exclude)),
        operator_args={"deferrable": False} if execution is ExecutionMode.WATCHER else {},  # there is no triggerer
        default_args={"retries": 0},
    )


PAST = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc), "catchup": False}
ASKED_FOR = get_parsing_context().dag_id  # a task's process needs no other, and would tell of each in its log
for dag_id, execution_way in WAYS.items():
    if ASKED_FOR not in (None, dag_id):
        continue
    with DAG(dag_id, **PAST) as globals()[dag_id]:
        group(dag_id, way=execution_way, select=None, exclude=["tag:more"])
for dag_id, arguments in MORE.items():
    if ASKED_FOR not in (None, dag_id):
        continue
    with DAG(dag_id, **PAST) as globals()[dag_id]:
        group(dag_id, **arguments)
