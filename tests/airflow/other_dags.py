"""The DAGs of other_airflows, for Airflow 2.11 and 3: a task that fails, one whose listener fails too, and dbt watched by Cosmos."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG, task
from cosmos import ExecutionConfig
from cosmos.constants import ExecutionMode, InvocationMode
from small_dbt import small_dbt

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
    watched = ExecutionConfig(execution_mode=ExecutionMode.WATCHER, invocation_mode=InvocationMode.DBT_RUNNER)
    there_is_no_triggerer = {"deferrable": False, "poke_interval": 1}
    small_dbt("watched", watched, operator_args=there_is_no_triggerer, default_args={"retries": 0})
