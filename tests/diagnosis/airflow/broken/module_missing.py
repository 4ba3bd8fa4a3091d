"""A DAG file."""

from airflow.providers.gogle.cloud.operators.bigquery import BigQueryInsertJobOperator  # noqa: F401
