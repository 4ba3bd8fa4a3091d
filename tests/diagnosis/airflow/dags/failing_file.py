"""By itself, since an error about this DAG is written into the log of every task whose DAG is in the same file."""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

with DAG("no_template_file", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=timezone.utc), catchup=False):
    SQLExecuteQueryOperator(task_id="query", conn_id="warehouse", sql="queries/orders.sql")
