"""The DAGs of test_failures: each fails in a way that has to be explained by more than an exception."""

from __future__ import annotations

import os
import signal

from airflow.providers.common.compat.sdk import DAG, task
from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
from airflow.providers.standard.sensors.filesystem import FileSensor
from cosmos import ExecutionConfig
from cosmos.constants import InvocationMode
from small_dbt import small_dbt

from airflow_rowferry.notifier import notify_outcome

with DAG("broken_model", schedule=None):
    small_dbt("broken_model", ExecutionConfig(invocation_mode=InvocationMode.SUBPROCESS))
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
