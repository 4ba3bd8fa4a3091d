from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:
    from airflow.operators.bash import BashOperator

with DAG("unexpected_argument", schedule=None, start_date=datetime(2026, 1, 1)):
    BashOperator(task_id="run", bash_command="echo 1", retrys=3)
