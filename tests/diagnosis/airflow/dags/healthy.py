"""DAGs that are well, with what a careless reader would take for a failure."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG, Variable, task

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.empty import EmptyOperator
    from airflow.providers.standard.sensors.python import PythonSensor
except ImportError:  # Airflow 2
    from airflow.operators.bash import BashOperator
    from airflow.operators.empty import EmptyOperator
    from airflow.sensors.python import PythonSensor

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

PAST = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc), "catchup": False}
log = logging.getLogger(__name__)

with DAG("well_counts_errors", **PAST):

    @task
    def count():
        log.info("0 errors, 0 failed, 0 rows with division by zero")
        log.warning("column 'error_code' does not exist in 0 of 12 files")
        return {"errors": 0, "failed": 0}

    count()

with DAG("well_in_a_shell", **PAST):
    BashOperator(task_id="run", bash_command="echo 'Completed successfully'; echo 'PASS=12 WARN=0 ERROR=0 SKIP=0' >&2")

with DAG("well_in_sql", **PAST):
    SQLExecuteQueryOperator(task_id="query", conn_id="warehouse", sql="select count(*) as failed from pg_class where relname = 'error'")

with DAG("well_skips", **PAST):

    @task.short_circuit
    def is_due():
        return False

    is_due() >> EmptyOperator(task_id="load")

with DAG("well_branches", **PAST):

    @task.branch
    def choose():
        return "increment"

    choose() >> [EmptyOperator(task_id="increment"), EmptyOperator(task_id="full")]

with DAG("well_waits", **PAST):
    PythonSensor(task_id="wait", python_callable=lambda: True, poke_interval=1, timeout=30)

with DAG("well_maps", **PAST):

    @task
    def tables():
        return ["orders", "order_errors"]

    @task
    def load(table):
        log.info("loaded %s", table)
        return 3

    load.expand(table=tables())

with DAG("well_catches", **PAST):

    @task
    def careful():
        try:
            return 1 / 0
        except ZeroDivisionError:
            log.info("nothing was sold, so there is no average")
            return None

    careful()

with DAG("well_has_a_default", **PAST):

    @task
    def read():
        return Variable.get("page_size", 100)

    read()

with DAG("well_after_a_retry", **PAST):

    @task(retries=1, retry_delay=timedelta(seconds=1))
    def flaky(ti=None):
        if ti.try_number == 1:
            raise ConnectionError("the API answered 503")
        return "ok"

    flaky()
