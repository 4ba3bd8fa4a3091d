"""Load past days of a shop again, each run the rows of its own data interval.

    airflow dags unpause backfill_window
    airflow backfill create --dag-id backfill_window --from-date 2026-01-01 --to-date 2026-01-31

For days that were loaded wrongly, or not at all: the source was repaired, a filter was too narrow, a new
column was filled. The nightly loads of other DAGs go on: a window leaves their watermark where it is and
never overwrites a newer row. Needs the connections `shop` and `warehouse` of type `postgres`.
"""

from __future__ import annotations

from datetime import datetime, timezone

from airflow.providers.common.compat.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from airflow_rowferry.operators import PostgresToWarehouseOperator

TABLES = ["orders", "order_items", "payments"]

# [START howto_dag_backfill_window]
with DAG(
    "backfill_window",
    schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),  # under "@daily" Airflow 3 gives empty intervals
    start_date=datetime(2026, 1, 1, tzinfo=timezone.utc),
    catchup=False,
    max_active_runs=1,
    tags=["etl", "backfill"],
    doc_md=__doc__,
) as dag:
    # [START howto_operator_postgres_to_warehouse_window]
    PostgresToWarehouseOperator.partial(
        task_id="load",
        source_conn_id="shop",
        target_conn_id="warehouse",
        source_name="postgres",
        since="{{ data_interval_start }}",
        until="{{ data_interval_end }}",
    ).expand(table=TABLES)
    # [END howto_operator_postgres_to_warehouse_window]
# [END howto_dag_backfill_window]
