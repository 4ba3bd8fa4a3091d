from airflow.providers.common.compat.sdk import DAG

with DAG("syntax", schedule=None) as dag
    pass
