"""The last task of a DAG: where it stands, and that it says what really happened."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowNotFoundException
from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook
from airflow.providers.standard.operators.empty import EmptyOperator
from stand_ins import TaskInstanceStandIn

from airflow_rowferry.notifier import ERROR_KEY, notify_outcome, record_error
from airflow_rowferry.operators import LoadCheckOperator, PostgresToWarehouseOperator


def make_dag() -> DAG:
    with DAG("daily", schedule=None) as dag:
        load = PostgresToWarehouseOperator.partial(task_id="load", source_conn_id="a", target_conn_id="b").expand(
            table=["orders", "users"]
        )
        check = LoadCheckOperator(task_id="check", reports=load.output)
        load >> check >> EmptyOperator(task_id="dbt")
        [load, check] >> notify_outcome(slack_webhook_conn_id="slack_alerts", task_id="notify")
    return dag


@pytest.fixture
def slack(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    sent: list[str] = []
    monkeypatch.setattr(SlackWebhookHook, "send", lambda self, text: sent.append(text))
    return sent


def tell(states: dict[str, str | None], xcoms: dict[tuple[str, int, str], Any] | None = None) -> dict[str, Any]:
    dag = make_dag()
    ti = TaskInstanceStandIn({"notify": "running", **states}, xcoms or {})
    return dag.get_task("notify").execute({"ti": ti, "dag": dag, "run_id": "manual__1"})


def loaded(table: str, rows: int) -> dict[str, Any]:
    return {
        "table": f"public.{table}",
        "rows_total": rows,
        "rows_inserted": rows,
        "rows_updated": 0,
        "rows_deleted": 0,
        "completeness": "proven",
    }


BOTH = {
    ("load", 0, "return_value"): loaded("orders", 200_000),
    ("load", 1, "return_value"): loaded("users", 5),
}


def test_it_is_a_teardown_with_every_task_directly_upstream():
    notify = make_dag().get_task("notify")
    assert notify.is_teardown
    assert notify.upstream_task_ids == {"load", "check", "dbt"}


def test_every_task_before_it_keeps_its_error_and_its_own_callbacks():
    seen: list[Any] = []
    with DAG("daily", schedule=None) as dag:
        EmptyOperator(task_id="one", on_failure_callback=seen.append)
        notify_outcome()
    assert dag.get_task("one").on_failure_callback == [seen.append, record_error]


def test_a_run_in_which_all_went_well_succeeded(slack):
    told = tell({"load_0": "success", "load_1": "success", "check": "success", "dbt": "success"}, BOTH)
    assert (told["outcome"], told["rows_total"], told["failed"]) == ("success", 200_005, [])
    assert told["tables"] == {"public.orders": 200_000, "public.users": 5}
    assert "daily succeeded: 200,005 rows from 2 tables" in slack[0]
    assert "public.orders: 200,000 rows" in slack[0]
    assert "FAILED" not in slack[0]


def test_rows_that_a_cursor_had_missed_are_told(slack):
    states = {"load_0": "success", "load_1": "success", "check": "success", "dbt": "success"}
    tell(states, {**BOTH, ("load", 1, "return_value"): {**loaded("users", 5), "completeness": "best_effort", "missed": 3}})
    assert "best_effort; 3 of them the cursor had missed" in slack[0]
    assert slack[0].count("missed") == 1


def test_a_run_with_one_failed_load_failed_and_the_error_is_told(slack):
    states = {"load_0": "success", "load_1": "failed", "check": "upstream_failed", "dbt": "upstream_failed"}
    told = tell(states, {**BOTH, ("load", 1, ERROR_KEY): "source: the server closed the connection"})
    assert (told["outcome"], told["failed"]) == ("failed", ["load[1]"])
    assert told["tables"] == {"public.orders": 200_000}
    assert "daily FAILED" in slack[0]
    assert "load[1]: source: the server closed the connection" in slack[0]
    assert "something before it failed: 2" in slack[0]


def test_a_task_that_was_killed_left_no_error_and_that_is_told(slack):
    tell({"load_0": "success", "load_1": "success", "check": "failed", "dbt": "upstream_failed"}, BOTH)
    assert "check: it left no error" in slack[0]


def test_a_failure_that_does_not_fail_the_run_is_told_but_the_run_succeeded(slack):
    told = tell({"load_0": "failed", "load_1": "success", "check": "success", "dbt": "success"}, BOTH)
    assert (told["outcome"], told["failed"]) == ("success", ["load[0]"])
    assert "daily succeeded" in slack[0]


def test_a_skipped_task_does_not_fail_the_run(slack):
    told = tell({"load_0": "success", "load_1": "success", "check": "success", "dbt": "skipped"}, BOTH)
    assert told["outcome"] == "success"


def test_a_task_that_still_runs_leaves_the_outcome_open(slack):
    told = tell({"load_0": "success", "load_1": "success", "check": "success", "dbt": "running"}, BOTH)
    assert told["outcome"] == "running"


def test_a_hundred_failures_make_a_short_message(slack):
    told = tell({**{f"load_{n}": "failed" for n in range(100)}, "check": "upstream_failed", "dbt": "upstream_failed"})
    assert len(told["failed"]) == 100
    assert "and 90 more" in slack[0]


def test_without_a_slack_connection_the_log_has_it_all(monkeypatch, capsys):
    def missing(self: Any, text: str) -> None:
        raise AirflowNotFoundException("no such connection")

    monkeypatch.setattr(SlackWebhookHook, "send", missing)
    tell({"load_0": "success", "load_1": "success", "check": "success", "dbt": "success"}, BOTH)
    log = capsys.readouterr().out
    assert "daily succeeded" in log
    assert "no connection 'slack_alerts'" in log


def test_a_slack_that_does_not_answer_fails_the_task_so_that_it_is_tried_again(monkeypatch):
    def refused(self: Any, text: str) -> None:
        raise ConnectionError("refused")

    monkeypatch.setattr(SlackWebhookHook, "send", refused)
    with pytest.raises(ConnectionError):
        tell({"load_0": "success"})


def test_a_recorded_error_is_short_and_never_empty():
    pushed: list[str] = []

    class Instance:
        def xcom_push(self, *, key: str, value: str) -> None:
            pushed.append(value)

    for error in (ValueError("x" * 5000), TimeoutError(), None):
        record_error({"exception": error, "ti": Instance()})
    assert [len(text) for text in pushed] == [1000, len("TimeoutError")]
