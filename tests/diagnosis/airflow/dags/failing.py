"""DAGs that fail, each in one way, under Airflow 2.11 and 3.x; the name of a DAG is the name of its log.

`provoke.py` runs them. Connections: `warehouse` and `crowded` lead to PostgreSQL servers (the second has few places),
`nowhere` to a port where nobody listens.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime, timedelta, timezone

from airflow.providers.common.compat.sdk import DAG, AirflowFailException, BaseHook, BaseOperator, Variable, task

try:
    from airflow.providers.standard.operators.bash import BashOperator
    from airflow.providers.standard.operators.python import PythonOperator
    from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
    from airflow.providers.standard.sensors.external_task import ExternalTaskSensor
    from airflow.providers.standard.sensors.filesystem import FileSensor
    from airflow.providers.standard.sensors.python import PythonSensor
except ImportError:  # Airflow 2
    from airflow.operators.bash import BashOperator
    from airflow.operators.python import PythonOperator
    from airflow.operators.trigger_dagrun import TriggerDagRunOperator
    from airflow.sensors.external_task import ExternalTaskSensor
    from airflow.sensors.filesystem import FileSensor
    from airflow.sensors.python import PythonSensor

from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

PAST = {"schedule": None, "start_date": datetime(2026, 1, 1, tzinfo=timezone.utc), "catchup": False}


class Order:
    def __init__(self) -> None:
        self.id = 7


with DAG("xcom_of_a_class", **PAST):

    @task
    def extract() -> Order:
        return Order()

    extract()

with DAG("xcom_of_a_generator", **PAST):

    @task
    def batches():
        return (n for n in range(10))

    batches()

with DAG("xcom_of_a_connection", **PAST):

    @task
    def connect():
        import psycopg2

        return psycopg2.connect(BaseHook.get_connection("warehouse").get_uri().replace("postgres://", "postgresql://"))

    connect()

with DAG("xcom_nested", **PAST):

    @task
    def summary():
        return {"table": "orders", "newest": [Order()]}

    summary()

with DAG("json_dumps_of_a_datetime", **PAST):

    @task
    def write():
        import json

        return json.dumps({"at": datetime(2026, 1, 2)})

    write()

with DAG("mapped_over_a_number", **PAST):

    @task
    def count():
        return 3

    @task
    def load(n):
        return n

    load.expand(n=count())

with DAG("mapped_over_nothing_pushed", **PAST):

    @task
    def tables():
        return None

    @task
    def load(table):
        return table

    load.expand(table=tables())

with DAG("mapped_over_too_many", **PAST):

    @task
    def keys():
        return list(range(2000))

    @task
    def load(key):
        return key

    load.expand(key=keys())

with DAG("sensor_of_a_file", **PAST):
    FileSensor(task_id="wait_for_export", filepath="/data/exports/orders.csv", fs_conn_id="files", poke_interval=1, timeout=3)

with DAG("sensor_in_python", **PAST):
    PythonSensor(task_id="wait_for_partition", python_callable=lambda: False, poke_interval=1, timeout=3)

with DAG("sensor_rescheduled", **PAST):
    PythonSensor(task_id="wait_for_partition", python_callable=lambda: False, poke_interval=1, timeout=3, mode="reschedule")

with DAG("sensor_of_another_dag", **PAST):
    ExternalTaskSensor(
        task_id="wait_for_finance", external_dag_id="ledger", external_task_id="close_books", poke_interval=1, timeout=3
    )

with DAG("ledger", **PAST):

    @task
    def close_books():
        raise ValueError("the books do not balance: 17 cents are missing")

    close_books()

with DAG("upstream", **PAST):

    @task
    def extract():
        raise FileNotFoundError("/data/exports/orders.csv")

    @task
    def transform(): ...

    @task
    def publish(): ...

    extract() >> transform() >> publish()

with DAG("leaf_hides_it", **PAST):

    @task
    def extract():
        raise ConnectionError("the API answered 503")

    @task(trigger_rule="all_done")
    def notify(): ...

    extract() >> notify()

with DAG("no_connection", **PAST):
    SQLExecuteQueryOperator(task_id="query", conn_id="warehause", sql="select 1")

with DAG("no_connection_for_a_hook", **PAST):

    @task
    def read():
        return BaseHook.get_connection("crm_api").host

    read()

with DAG("no_variable", **PAST):

    @task
    def read():
        return Variable.get("export_bucket")

    read()

with DAG("no_variable_in_a_template", **PAST):
    BashOperator(task_id="copy", bash_command="ls {{ var.value.export_bucket }}")

with DAG("template_is_undefined", **PAST):
    BashOperator(task_id="run", bash_command="echo {{ params.table.name }} {{ dag_run.confg.table }}")

with DAG("no_logical_date", **PAST):
    BashOperator(task_id="run", bash_command="echo {{ ds }} {{ data_interval_start }}")

with DAG("template_with_a_bad_brace", **PAST):
    BashOperator(task_id="run", bash_command="echo {{ ds }")

with DAG("refused", **PAST):
    SQLExecuteQueryOperator(task_id="query", conn_id="nowhere", sql="select 1")

with DAG("wrong_password", **PAST):
    SQLExecuteQueryOperator(task_id="query", conn_id="stranger", sql="select 1")

with DAG("missing_table", **PAST):
    SQLExecuteQueryOperator(task_id="query", conn_id="warehouse", sql="select * from raw.orders")

with DAG("crowd", **PAST):

    @task
    def hold(n):
        import psycopg2

        uri = BaseHook.get_connection("crowded").get_uri().replace("postgres://", "postgresql://")
        held = [psycopg2.connect(uri) for _ in range(5)]
        time.sleep(10)
        return len(held)

    hold.expand(n=list(range(6)))

with DAG("unexpected_argument_in_a_task", **PAST):

    def copy(table, *, batch_size=10):
        return table

    PythonOperator(task_id="load", python_callable=lambda: copy("orders", batchsize=5))

with DAG("module_missing", **PAST):

    @task
    def convert():
        import polarz  # noqa: F401

    convert()

with DAG("killed_by_the_kernel", **PAST):

    @task
    def aggregate():
        os.kill(os.getpid(), signal.SIGKILL)

    aggregate()

with DAG("killed_in_a_shell", **PAST):
    BashOperator(task_id="sort", bash_command="kill -9 $$")

with DAG("memory_error", **PAST):

    @task
    def read_all():
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (2_000_000_000, 2_000_000_000))
        return len(bytearray(8_000_000_000))

    read_all()

with DAG("supervisor_gone", **PAST):

    @task
    def load():
        time.sleep(1)
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(20)

    load()

with DAG("out_of_time", **PAST):
    PythonOperator(task_id="slow", python_callable=lambda: time.sleep(60), execution_timeout=timedelta(seconds=2))

with DAG("shell_out_of_time", **PAST):
    BashOperator(task_id="slow", bash_command="sleep 60", execution_timeout=timedelta(seconds=2))

with DAG("run_out_of_time", **PAST, dagrun_timeout=timedelta(seconds=4)):
    PythonOperator(task_id="slow", python_callable=lambda: time.sleep(60))

with DAG("shell_fails", **PAST):
    BashOperator(task_id="run", bash_command="python3 -c 'import sys; sys.exit(3)'")

with DAG("shell_has_no_such_command", **PAST):
    BashOperator(task_id="run", bash_command="dbtt run")

with DAG("disk_is_full", **PAST):
    BashOperator(task_id="write", bash_command="head -c 5000 /dev/zero > /dev/full")

with DAG("branch_to_nowhere", **PAST):

    @task.branch
    def choose():
        return "load_full"

    @task
    def load_increment(): ...

    choose() >> load_increment()

with DAG("triggers_no_dag", **PAST):
    TriggerDagRunOperator(task_id="start_marts", trigger_dag_id="martz")

with DAG("given_up_on_purpose", **PAST):

    @task(retries=2)
    def check():
        raise AirflowFailException("orders: 0 rows, at least 1 due")

    check()

with DAG("pool_is_full", **PAST):

    @task(pool="one_slot")
    def load(n):
        time.sleep(3)

    load.expand(n=[1, 2, 3])

with DAG("pool_is_too_small", **PAST):

    @task(pool="one_slot", pool_slots=4)
    def load(): ...

    load()

with DAG("no_such_pool", **PAST):

    @task(pool="snowflake_pool")
    def load(): ...

    load()

with DAG("logical_date_is_none", **PAST):

    @task
    def wants_an_interval(data_interval_start=None, logical_date=None):
        return logical_date.isoformat()

    wants_an_interval()


class Greedy(BaseOperator):
    def execute(self, context):
        return context["ti"].xcom_pull(task_ids="nobody")["rows"]


with DAG("xcom_that_nobody_pushed", **PAST):
    Greedy(task_id="sum")

# A run has no task whose start_date is ahead of it from the first; so the run is made before that date moves.
MOVES = datetime.fromisoformat(os.environ.get("DIAGNOSIS_START", "2026-01-01T00:00:00+00:00"))

with DAG("starts_in_the_future", schedule=None, start_date=MOVES, catchup=False):

    @task
    def never(): ...

    PythonOperator(task_id="before", python_callable=lambda: time.sleep(600)) >> never()
