from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:
    from airflow.operators.empty import EmptyOperator

with DAG("task_id_twice", schedule=None, start_date=datetime(2026, 1, 1)):
    EmptyOperator(task_id="load")
    EmptyOperator(task_id="load")
