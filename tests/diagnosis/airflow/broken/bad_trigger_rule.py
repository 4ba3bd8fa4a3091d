from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:
    from airflow.operators.empty import EmptyOperator

with DAG("bad_trigger_rule", schedule=None, start_date=datetime(2026, 1, 1)):
    EmptyOperator(task_id="load", trigger_rule="all_sucess")
