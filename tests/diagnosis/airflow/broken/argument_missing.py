from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

try:
    from airflow.providers.standard.operators.python import PythonOperator
except ImportError:
    from airflow.operators.python import PythonOperator

with DAG("argument_missing", schedule=None, start_date=datetime(2026, 1, 1)):
    PythonOperator(task_id="run")
