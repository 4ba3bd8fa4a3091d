"""The DAGs of test_real_airflow: loads that go well, fail, hang, or are killed."""

from __future__ import annotations

from datetime import timedelta

from airflow.providers.common.compat.sdk import DAG

from airflow_rowferry.notifier import notify_outcome
from airflow_rowferry.operators import LoadCheckOperator, PostgresToWarehouseOperator

CONNECTIONS = {"source_conn_id": "shop", "target_conn_id": "warehouse"}
MINUTES_LONG = "pg_sleep(0.5) is not null"  # for each row


def load(task_id: str = "load", **arguments: object) -> PostgresToWarehouseOperator:
    return PostgresToWarehouseOperator(task_id=task_id, **{**CONNECTIONS, **arguments})


with DAG("green", schedule=None):
    loads = PostgresToWarehouseOperator.partial(task_id="load", **CONNECTIONS).expand(table=["orders", "users"])
    check = LoadCheckOperator(task_id="check", reports=loads.output)
    loads >> check >> notify_outcome()

with DAG("one_fails", schedule=None):
    loads = PostgresToWarehouseOperator.partial(task_id="load", source_name="fails", retries=2, **CONNECTIONS).expand_kwargs(
        [
            {"table": "no_such_table"},
            {"table": "orders", "where": "id > 40 or pg_sleep(0.1) is not null"},  # 4 s
            {"table": "users"},
        ]
    )
    check = LoadCheckOperator(task_id="check", reports=loads.output)
    loads >> check >> notify_outcome(slack_webhook_conn_id="slack_alerts")

# In these, the first try waits for the test at a row by which most others have arrived; there are fewer users than that.
FIRST_TRY_WAITS = {
    "where": "{{ 'id <> 1900 or pg_advisory_lock_shared(42) is not null' if ti.try_number == 1 else 'true' }}",
    "lock_timeout": 600,
    "batch_bytes": 65536,
    "retries": 1,
    "retry_delay": timedelta(seconds=1),
}

with DAG("killed", schedule=None):
    load(table="orders", target_table="raw_killed.orders", **FIRST_TRY_WAITS)

with DAG("abandoned", schedule=None):
    load(table="orders", target_table="raw_abandoned.orders", **FIRST_TRY_WAITS)

with DAG("restarted", schedule=None):
    loads = PostgresToWarehouseOperator.partial(task_id="load", source_name="restarted", **CONNECTIONS, **FIRST_TRY_WAITS)
    loads.expand(table=["orders", "users"]) >> notify_outcome()

with DAG("out_of_time_at_the_source", schedule=None):
    load(
        table="orders",
        target_table="raw_source_hangs.orders",
        where=MINUTES_LONG,
        execution_timeout=timedelta(seconds=5),
    )

with DAG("out_of_time_at_the_target", schedule=None):
    load(table="users", target_table="raw_target_hangs.users", execution_timeout=timedelta(seconds=5))

with DAG("marked_failed", schedule=None):
    load(table="orders", target_table="raw_marked.orders", where=MINUTES_LONG, retries=2) >> notify_outcome()
