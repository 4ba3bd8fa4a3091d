from airflow.providers.common.compat.sdk import DAG, DummyOperator  # noqa: F401
