"""Load a shop into Snowflake every night, check that rows came, say how it ended.

Needs the connections `shop` (the source, of type `postgres`) and `snowflake` (of type `snowflake`), and
`pip install 'rowferry[snowflake]'`. Tables go to `raw.postgres`, by Snowflake's rules for names: a model reads
`select order_id from raw.postgres.orders`. With a connection `slack_alerts` (type `slackwebhook`) the outcome goes
to Slack, without one to the log of the last task.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG

from airflow_rowferry.notifier import notify_outcome
from airflow_rowferry.operators import LoadCheckOperator, PostgresToWarehouseOperator

TABLES = ["orders", "order_items", "users", "products", "payments"]

# [START howto_dag_daily_etl_snowflake]
with DAG(
    "daily_etl_snowflake",
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=5)},
    tags=["etl", "daily", "snowflake"],
    doc_md=__doc__,
):
    load = PostgresToWarehouseOperator.partial(
        task_id="load",
        source_conn_id="shop",
        target_conn_id="snowflake",
        source_name="postgres",  # and so raw.postgres.orders
    ).expand(table=TABLES)

    check = LoadCheckOperator(task_id="check", reports=load.output, may_be_empty=["payments"])

    load >> check
    [load, check] >> notify_outcome(slack_webhook_conn_id="slack_alerts")
# [END howto_dag_daily_etl_snowflake]
