"""What the engine makes of a log: what wraps what, what was survived, what follows from what, and what may be shown."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

import rowferry
from rowferry import cli
from rowferry.diagnosis import INSUFFICIENT, diagnose, peel

MODEL = "Database Error in model orders_daily (models/marts/orders_daily.sql)"
DBT = [f"12:00:01    {MODEL}", "  division by zero", "  compiled code at target/run/shop/models/marts/orders_daily.sql", "12:00:01  Done. PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1"]
STAMP = "[2026-11-27T01:00:00.123+0000]"


@pytest.mark.parametrize(
    "log",
    [
        "\n".join(DBT),
        "\n".join(f"{STAMP} {{subprocess.py:93}} INFO - \x1b[0m{line}\x1b[0m" for line in DBT),
        "\n".join(f"2026-11-27T01:00:00.123456Z [info     ] {line}" for line in DBT),
        "\n".join(json.dumps({"timestamp": "2026-11-27T01:00:00Z", "level": "info", "event": line, "logger": "task.stdout"}) for line in DBT),
        json.dumps({"content": [{"event": line, "level": "info"} for line in DBT]}),
        "\n".join(f"etl-1  | {line}" for line in DBT),
    ],
    ids=["dbt", "airflow 2", "airflow 3", "airflow 3, json", "airflow's api", "compose"],
)
def test_a_failure_of_dbt_is_found_below_every_logger_that_wraps_it(log: str) -> None:
    (found,) = diagnose(log)
    assert (found.cause, found.node, found.captured["path"]) == ("division_by_zero", "orders_daily", "models/marts/orders_daily.sql")
    assert "dbt's orders_daily failed" in found.consequences


def test_an_exception_of_a_json_line_is_read_with_its_cause_first() -> None:
    detail = [{"exc_type": "LoadError", "exc_value": "load failed", "frames": []}, {"exc_type": "DivisionByZero", "exc_value": "division by zero", "frames": []}]
    rows = peel.rows_of(json.dumps({"event": "Task failed with exception", "level": "error", "error_detail": detail}))
    assert [row.text for row in rows if ":" in row.text and "Traceback" not in row.text] == ["DivisionByZero: division by zero", "LoadError: load failed"]


def test_what_a_later_try_got_over_is_no_failure() -> None:
    failed = f"{STAMP} {{t.py:1}} ERROR - psycopg2.OperationalError: Connection refused\n{STAMP} {{t.py:1}} INFO - Marking task as UP_FOR_RETRY. dag_id=d, task_id=load, run_id=r"
    succeeded = f"{STAMP} {{t.py:1}} INFO - Marking task as SUCCESS. dag_id=d, task_id=load, run_id=r"
    assert [found.cause for found in diagnose(failed)] == ["connection_refused"]
    assert diagnose(f"{failed}\n{succeeded}") == []
    assert [found.cause for found in diagnose(f"{failed}\n{succeeded.replace('task_id=load', 'task_id=other')}")] == ["connection_refused"]


REFUSED = 'connection failed: connection to server at "10.1.1.4", port 5432 failed: Connection refused'


def test_what_a_retry_got_over_is_no_cause_of_what_fails_after_it() -> None:
    later = 'psycopg.OperationalError: FATAL:  password authentication failed for user "etl"'
    assert [found.cause for found in diagnose(f"Traceback (most recent call last):\n{REFUSED}\nINFO connected on attempt 2\n{later}")] == ["authentication_failed"]
    missing = 'psycopg2.errors.UndefinedColumn: column "eta" does not exist'
    assert [found.cause for found in diagnose(f"{missing}\nINFO connected on attempt 2\n{later}")] == ["missing_column", "authentication_failed"]


def test_what_a_program_caught_is_no_failure_when_its_logger_goes_on_and_ends_well() -> None:
    caught = "2026-11-04 02:00:03 DEBUG cache miss\nTraceback (most recent call last):\nFileNotFoundError: [Errno 2] No such file or directory: '/tmp/cache'\n2026-11-04 02:00:04 INFO rebuilt\n"
    assert diagnose(f"{caught}2026-11-04 02:00:05 INFO the job finished successfully\n") == []
    assert [found.cause for found in diagnose(caught)] == ["file_missing"]
    assert [found.cause for found in diagnose(f"{caught}2026-11-04 02:00:05 ERROR gave up\n2026-11-04 02:00:05 INFO 0 errors\n")] == ["file_missing"]


def test_a_line_of_source_in_a_traceback_tells_nothing() -> None:
    frame = 'Traceback (most recent call last):\n  File "a.py", line 3, in f\n'
    assert [found.cause for found in diagnose(f'{frame}    raise KeyError("deadlock detected: retry")\nKeyError: 3')] == ["python_error"]
    assert [found.cause for found in diagnose(f"{frame}psycopg.errors.DeadlockDetected: deadlock detected")] == ["deadlock"]


def test_several_failures_are_each_named_with_what_followed_from_them() -> None:
    log = "\n".join(
        ["12:00:01  3 of 3 SKIP relation dwh.report .... [SKIP]", f"12:00:02    {MODEL}", "  division by zero", "12:00:02    Database Error in model users (models/users.sql)",
         '  column "nme" does not exist', "  LINE 3: nme", "12:00:03  Done. PASS=0 WARN=0 ERROR=2 SKIP=1 TOTAL=3"]
    )  # fmt: skip
    found = {d.cause: d for d in diagnose(log)}
    assert {cause: d.node for cause, d in found.items()} == {"division_by_zero": "orders_daily", "missing_column": "users"}
    assert found["missing_column"].captured["column"] == "nme"
    assert [line.text for line in found["missing_column"].lines][-1] == "LINE 3: nme"
    assert "dbt skipped dwh.report" in found["division_by_zero"].consequences


def test_the_message_that_a_driver_and_its_wrapper_repeat_is_one_diagnosis() -> None:
    log = 'psycopg2.errors.UndefinedColumn: column "x" does not exist\n\nThe above exception was the direct cause\n\nsqlalchemy.exc.ProgrammingError: (psycopg2.errors.UndefinedColumn) column "x" does not exist\n'
    assert [found.cause for found in diagnose(log)] == ["missing_column"]


def test_a_wrapper_without_a_root_is_insufficient_evidence_and_names_its_node() -> None:
    (found,) = diagnose(f"12:00:01    {MODEL}\n  something unheard of\n12:00:01  Done. PASS=0 WARN=0 ERROR=1 SKIP=0 TOTAL=1")
    assert (found.cause, found.evidence, found.node) == (INSUFFICIENT, "insufficient", "orders_daily")


def test_words_of_failure_in_what_is_no_failure_are_no_diagnosis() -> None:
    assert diagnose("2026-11-27 01:00:00,000 INFO load: the test of division by zero passed\n2026-11-27 01:00:00,000 INFO load: done") == []


RUN_RESULTS = {
    "metadata": {},
    "results": [
        {"status": "error", "unique_id": "model.shop.orders_daily", "message": f"{MODEL}\n  division by zero\n  compiled code at target/run/x.sql"},
        {"status": "skipped", "unique_id": "model.shop.report", "message": None},
        {"status": "success", "unique_id": "model.shop.users", "message": "OK"},
    ],
}


def test_run_results_are_read_like_a_log_and_say_the_same_once() -> None:
    (found,) = diagnose("\n".join(DBT), run_results=RUN_RESULTS, manifest={"nodes": {"model.shop.orders_daily": {"unique_id": "model.shop.orders_daily", "name": "orders_daily"}}})
    assert (found.cause, found.node) == ("division_by_zero", "model.shop.orders_daily")
    assert "model.shop.report was skipped" in found.consequences


def test_a_test_of_dbt_that_log_and_run_results_tell_of_fails_once() -> None:
    log = "".join(f"Failure in test not_null_m_{name} (models/m.yml)\n  Got 2 results, configured to fail if != 0\n" for name in ("a", "b"))
    results = [{"status": "fail", "unique_id": f"test.shop.not_null_m_{name}.6d9c026c{name}6", "message": "Got 2 results, configured to fail if != 0"} for name in ("a", "b")]
    nodes = {result["unique_id"]: {"unique_id": result["unique_id"], "name": result["unique_id"].split(".")[2]} for result in results}
    assert [found.node for found in diagnose(log, run_results={"results": results}, manifest={"nodes": nodes})] == list(nodes)


def test_an_exception_of_a_task_is_read_when_there_is_no_log() -> None:
    assert [found.cause for found in rowferry.diagnose(task={"error": ZeroDivisionError("division by zero")})] == ["division_by_zero"]


SECRETS = """\
psycopg2.errors.UniqueViolation: duplicate key value violates unique constraint "users_email_key"
DETAIL:  Key (email)=(ann@example.com) already exists.
CONTEXT:  connecting to postgresql://etl:hunter22@db/shop with api_key=abc123def and Authorization: Bearer eyJhbGciOi.eyJzdWIi.c2ln
psycopg2.errors.InvalidTextRepresentation: invalid input syntax for type integer: "4111 1111"
"""


def test_values_and_secrets_are_shown_nowhere_and_names_stay() -> None:
    shown = json.dumps([found.to_dict() for found in diagnose(SECRETS)])
    assert not [secret for secret in ("ann@example.com", "hunter22", "abc123def", "eyJhbGciOi", "4111 1111") if secret in shown]
    assert "users_email_key" in shown
    assert "Key (email)=(***)" in shown


def test_a_log_of_many_megabytes_is_read_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peel, "MOST_BYTES", 4096)
    rows = peel.rows_of("INFO - nothing\n" * 1000 + "psycopg2.errors.DivisionByZero: division by zero\n")
    assert (rows[0].number, rows[-1].number) == (1, 1001)
    assert len(rows) < 300


def test_the_command_line_tells_by_its_exit_code_what_it_found(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "failed.log").write_text("\n".join(DBT))
    assert cli.main(["diagnose", str(tmp_path / "failed.log")]) == 1
    assert "A denominator is zero in orders_daily [division_by_zero: confirmed, 95%]" in capsys.readouterr().out
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"lorem ipsum")))
    assert cli.main(["diagnose", "-", "--json"]) == 11
    assert json.loads(capsys.readouterr().out)["cause"] == INSUFFICIENT
    (tmp_path / "well.log").write_text("12:00:01  Done. PASS=1 WARN=0 ERROR=0 SKIP=0 TOTAL=1")
    assert cli.main(["diagnose", str(tmp_path / "well.log")]) == 0
    assert cli.main(["diagnose", str(tmp_path / "nowhere")]) == 2
    assert cli.main(["diagnose"]) == 2


def test_a_target_is_asked_only_when_the_command_line_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "task.log"
    log.write_text('psycopg2.errors.UndefinedColumn: column "price" does not exist')
    monkeypatch.setenv("ROWFERRY_TARGET", f"duckdb:///{tmp_path}/none/dwh.duckdb")
    assert cli.main(["diagnose", str(log)]) == cli.DIAGNOSED
    assert cli.main(["diagnose", str(log), "--table", "orders"]) not in (0, cli.DIAGNOSED, cli.NO_EVIDENCE)
    assert "dwh.duckdb" in capsys.readouterr().err
    monkeypatch.delenv("ROWFERRY_TARGET")
    assert cli.main(["diagnose", str(log), "--table", "orders"]) == cli.USAGE
    assert "no target" in capsys.readouterr().err


def test_the_command_line_reads_a_target_directory_and_run_results_by_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run_results.json").write_text(json.dumps(RUN_RESULTS))
    for place in (tmp_path, (tmp_path / "run_results.json").rename(tmp_path / "of_yesterday.json")):
        (tmp_path / "manifest.json").write_text("{}")
        if place.is_dir():
            (tmp_path / "run_results.json").write_text(json.dumps(RUN_RESULTS))
        assert cli.main(["diagnose", str(place), "--json"]) == 1
        assert json.loads(capsys.readouterr().out)["node"] == "model.shop.orders_daily"


def test_the_log_folder_of_a_run_is_read_at_the_last_try_of_each_task(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "dag_id=daily" / "run_id=scheduled__2026-11-27T00:00:00+00:00"
    logs = {"load/attempt=1": "ERROR - psycopg2.OperationalError: Connection refused", "load/attempt=2": "INFO - done", "transform/map_index=3/attempt=10": "\n".join(DBT), "transform/map_index=3/attempt=9": "ERROR - MemoryError"}
    for name, text in logs.items():
        path = run / f"task_id={name}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cli.main(["diagnose", str(tmp_path), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["cause"], found["captured"]["task"]) == ("division_by_zero", "transform[3]")


def test_without_sqlglot_a_diagnosis_stands_and_says_what_is_missing() -> None:
    code = "import sys; sys.modules['sqlglot'] = None; import rowferry; print([d.cause for d in rowferry.diagnose('ERROR: division by zero')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "['division_by_zero']", done.stderr


@pytest.mark.parametrize(
    ("log", "causes"),
    [
        (None, ["worker_died"]),
        ('{"level":"info","event":"reading rows"}', ["worker_died"]),
        ('{"level":"info","event":"reading rows"}\n{"level":"critical","event":"Process terminated by signal","signal_name":"SIGKILL"}', ["killed"]),
        ("[2026-11-27T01:59:00.062+0000] {x.py:1} ERROR - division by zero", ["division_by_zero"]),
        ("Traceback (most recent call last):\nshop.errors.OutOfStockError: nothing left", ["insufficient_evidence"]),
    ],
)
def test_a_task_that_failed_without_a_word_died_and_one_that_said_something_did_not(log: str | None, causes: list[str]) -> None:
    found = diagnose(log, task={"task_id": "load", "state": "failed", "error": None})
    assert [d.cause for d in found] == causes
    if causes == ["worker_died"]:
        assert (found[0].evidence, found[0].node) == ("hypothesis", "load")
        assert [line.text for line in found[0].lines] == (["reading rows"] if log else [])
    assert "worker_died" not in [d.cause for d in diagnose(log, task={"task_id": "load", "state": "success"})]


def test_a_test_that_fails_beside_a_model_is_named_once_and_by_its_own_name() -> None:
    said = "dbt invocation completed with errors: refunds: Database Error in model refunds (models/refunds.sql)\n  division by zero\nnot_null_names_name: Got 1 result, configured to fail if != 0"
    assert {(d.cause, d.node) for d in diagnose(f"ERROR - {said}")} == {("division_by_zero", "refunds"), ("dbt_test_failed", "not_null_names_name")}
