"""A DAG file."""

from airflow.providers.common.compat.sdk import Variable

BUCKET = Variable.get("export_bucket")
