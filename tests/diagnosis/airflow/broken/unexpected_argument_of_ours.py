from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_rowferry.operators import PostgresToWarehouseOperator

with DAG("unexpected_argument_of_ours", schedule=None, start_date=datetime(2026, 1, 1)):
    PostgresToWarehouseOperator(
        task_id="load", source_conn_id="shop", target_conn_id="warehouse", table="orders", cursor_colums=["updated_at"]
    )
