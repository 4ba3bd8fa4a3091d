from airflow.providers.common.compat.sdk import DAG

try:
    from airflow.providers.standard.operators.empty import EmptyOperator
except ImportError:
    from airflow.operators.empty import EmptyOperator

with DAG("no_start_date", schedule="@daily"):
    EmptyOperator(task_id="load")
