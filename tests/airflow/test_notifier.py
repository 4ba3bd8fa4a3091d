"""The last task of a DAG: where it stands, and that it says what really happened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowNotFoundException
from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook
from airflow.providers.standard.operators.empty import EmptyOperator
from stand_ins import TaskInstanceStandIn

from airflow_rowferry import diagnosis
from airflow_rowferry.notifier import DIAGNOSIS_KEY, ERROR_KEY, HISTORY_KEY, notify_outcome, record_error
from airflow_rowferry.operators import LoadCheckOperator, PostgresToWarehouseOperator
from rowferry import Job
from rowferry.demo.servers import Server


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
    assert told["not_run"] == {"check": ["load[1]"], "dbt": ["load[1]"]}
    assert "Not run, because load[1] failed: check, dbt" in slack[0]


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


def recorded(error: BaseException | None) -> dict[str, Any]:
    """What `record_error` pushes, by key."""
    ti = TaskInstanceStandIn({})
    record_error({"exception": error, "ti": ti})
    return ti.pushed


def test_a_recorded_error_is_short_and_never_empty():
    errors = [recorded(error).get(ERROR_KEY) for error in (ValueError("x" * 5000), TimeoutError(), None)]
    assert [error and len(error) for error in errors] == [1000, len("TimeoutError"), None]


def test_a_task_that_fails_keeps_its_diagnosis_beside_its_error():
    kept = recorded(TypeError("Object of type Order is not JSON serializable"))[DIAGNOSIS_KEY]
    assert (kept["cause"], kept["evidence"]) == ("not_json_serializable", "confirmed")


DIVISION = {
    "cause": "division_by_zero",
    "title": "A denominator is zero",
    "evidence": "confirmed",
    "confidence": 0.95,
    "transient": False,
    "node": "model.shop.averages",
    "fix": "Guard the division.",
    "diff": "--- a/models/averages.sql\n+++ b/models/averages.sql",
}
UNKNOWN = {**DIVISION, "cause": "insufficient_evidence", "evidence": "insufficient", "confidence": 0.0, "title": "?", "diff": None}


def test_the_outcome_carries_the_diagnosis_of_the_root_failure_first(slack):
    states = {"load_0": "failed", "load_1": "failed", "check": "failed", "dbt": "upstream_failed"}
    kept = {("load", 0): UNKNOWN, ("load", 1): DIVISION, ("check", -1): DIVISION}
    told = tell(states, {(*who, DIAGNOSIS_KEY): diagnosis for who, diagnosis in kept.items()})
    assert told["diagnosis"]["cause"] == "division_by_zero"
    lines = slack[0].splitlines()
    assert lines[1].startswith("✗ load[1]")
    assert lines[2] == "   cause: A denominator is zero (confirmed; failed: model.shop.averages)"
    assert lines[3:6] == ["   fix: Guard the division.", "   --- a/models/averages.sql", "   +++ b/models/averages.sql"]
    assert "cause: the same as of load[1]" in slack[0]
    assert "cause: ?" not in slack[0]


def test_a_run_that_succeeds_over_a_failed_task_says_so(slack):
    told = tell({"load_0": "failed", "load_1": "success", "check": "success", "dbt": "success"}, BOTH)
    assert "load[0] failed and the run is a success all the same" in told["doubts"][0]
    assert f"? {told['doubts'][0]}" in slack[0]


def history(*rows: int, watermark: str | None = None, still: int = 0) -> dict[tuple[str, int, str], Any]:
    return {("notify", -1, HISTORY_KEY): {"public.users": {"rows": list(rows), "watermark": watermark, "still": still}}}


ALL_WELL = {"load_0": "success", "load_1": "success", "check": "success", "dbt": "success"}


def with_users(rows: int, **other: Any) -> dict[tuple[str, int, str], Any]:
    return {**BOTH, ("load", 1, "return_value"): {**loaded("users", rows), **other}}


@pytest.mark.parametrize(
    ("before", "now", "doubted"),
    [
        ((900, 1100, 1000), 0, True),
        ((900, 1100, 1000), 1, False),  # few is no heuristic of ours
        ((900, 1100), 0, False),  # too little is known
        ((0, 0, 0, 5), 0, False),  # it usually has none
    ],
)
def test_no_rows_where_there_usually_are_many_is_doubted_and_the_run_still_succeeded(slack, before, now, doubted):
    told = tell(ALL_WELL, {**with_users(now), **history(*before)})
    assert told["outcome"] == "success"
    assert [text.partition(" in the middle")[0] for text in told["doubts"]] == (
        ["public.users: no rows, where the last 3 runs brought 1,000"] if doubted else []
    )


def test_a_time_that_stands_still_while_runs_are_green_is_doubted(slack):
    at = "2026-11-20T00:00:00+00:00"
    now = with_users(0, watermark=at)
    assert tell(ALL_WELL, {**now, **history(7, 0, watermark=at, still=1)})["doubts"] == []
    assert "nothing newer than 2026-11-20" in tell(ALL_WELL, {**now, **history(7, 0, 0, watermark=at, still=2)})["doubts"][0]
    assert tell(ALL_WELL, {**with_users(3, watermark="2026-11-21"), **history(7, 0, 0, watermark=at, still=2)})["doubts"] == []


def test_a_window_that_is_loaded_again_tells_nothing_of_what_is_usual(slack):
    dag, ti = make_dag(), TaskInstanceStandIn(ALL_WELL, {**with_users(0, since="2026-01-01"), **history(900, 1100, 1000)})
    assert dag.get_task("notify").execute({"ti": ti, "dag": dag, "run_id": "manual__1"})["doubts"] == []
    assert ti.pushed[HISTORY_KEY]["public.users"]["rows"] == [900, 1100, 1000]
    assert ti.pushed[HISTORY_KEY]["public.orders"]["rows"] == [200_000]


def test_an_outcome_is_told_also_where_earlier_runs_cannot_be_read(slack):
    dag, ti = make_dag(), TaskInstanceStandIn(ALL_WELL, BOTH)
    ti.xcom_push = None
    assert dag.get_task("notify").execute({"ti": ti, "dag": dag, "run_id": "manual__1"})["outcome"] == "success"


def write_log(folder: Path, text: str, try_number: int = 1) -> None:
    path = folder / "dag_id=daily" / "run_id=manual__1" / "task_id=check" / f"attempt={try_number}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


KILLED = {"load_0": "success", "load_1": "success", "check": "failed", "dbt": "upstream_failed"}


@pytest.mark.parametrize(
    ("logs", "cause", "said"),
    [
        ([], "worker_died", "only its state is known"),
        (['{"level":"info","event":"reading rows"}'], "worker_died", "reading rows"),
        (['{"level":"info","event":"reading rows"}\n{"level":"critical","event":"Process terminated by signal.","signal":-9,"signal_name":"SIGKILL"}'], "killed", "SIGKILL"),
        (['{"level":"error","event":"deadlock detected"}', '{"level":"info","event":"second try"}'], "worker_died", "second try"),
    ],
)
def test_a_task_that_died_is_diagnosed_from_the_log_of_its_last_try_or_from_its_state(tmp_path, monkeypatch, slack, logs, cause, said):
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    for n, text in enumerate(logs, 1):
        write_log(tmp_path, text, n)
    told = tell(KILLED, BOTH)
    assert (told["diagnosis"]["cause"], told["diagnosis"]["evidence"]) == (cause, "hypothesis")
    assert "(hypothesis" in next(line for line in slack[0].splitlines() if line.startswith("   cause: "))
    found = diagnosis.of_instance("daily", "manual__1", "check")[0]
    assert said in " ".join([*found.notes, *(line.text for line in found.lines)])
    monkeypatch.setenv("AIRFLOW__ROWFERRY__DIAGNOSE", "False")
    assert tell(KILLED, BOTH)["diagnosis"] is None


def test_what_did_not_run_names_the_failures_before_it_and_not_those_beside_it(slack):
    with DAG("daily", schedule=None) as dag:
        one, two, three, four = (EmptyOperator(task_id=name) for name in ("one", "two", "three", "four"))
        one >> two >> three
        four >> EmptyOperator(task_id="five")
        notify_outcome(task_id="notify")
    states = {"one": "failed", "two": "upstream_failed", "three": "upstream_failed", "four": "failed", "five": "upstream_failed", "notify": "running"}
    told = dag.get_task("notify").execute({"ti": TaskInstanceStandIn(states), "dag": dag, "run_id": "manual__1"})
    assert told["not_run"] == {"two": ["one"], "three": ["one"], "five": ["four"]}
    assert "Not run, because one failed: two, three" in slack[0]
    assert "Not run, because four failed: five" in slack[0]


def test_the_load_records_of_a_target_are_compared_and_a_target_that_cannot_be_read_fails_nothing(slack, pg18: Server, monkeypatch, capsys):
    source, target = pg18.create_database("silence_source"), pg18.create_database("silence_target")
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("create table users (id int primary key)")
        for n in range(3):
            connection.execute(f"insert into users values ({n})")
            Job(source=source, target=target, table="users").run()
        Job(source=source, target=target, table="users").run()
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", target.replace("postgresql://", "postgres://"))
    with DAG("daily", schedule=None) as dag:
        notify_outcome(task_id="notify", records_conn_id="warehouse")

    def doubts() -> list[str]:
        return dag.get_task("notify").execute({"ti": TaskInstanceStandIn({"notify": "running"}), "dag": dag, "run_id": "manual__1"})["doubts"]

    assert len(told := doubts()) == 1
    assert told[0].startswith("raw_postgres.users: its newest load") and "brought no rows, where the 3 before brought 1 in the middle" in told[0]
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", "postgres://nobody:s3cret@127.0.0.1:1/none")
    assert doubts() == []
    said = capsys.readouterr().out
    assert "the load records of warehouse could not be read" in said and "s3cret" not in said
