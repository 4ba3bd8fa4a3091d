from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:
    from airflow.operators.empty import EmptyOperator

with DAG("cycle", schedule=None, start_date=datetime(2026, 1, 1)):
    extract, load, check = (EmptyOperator(task_id=name) for name in ("extract", "load", "check"))
    extract >> load >> check >> extract
