"""The listener and what it tells of a failure: real Airflow classes, and a log file where a task's log would be."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest
from airflow.providers.common.compat.sdk import get_listener_manager
from airflow.providers.standard.operators.bash import BashOperator

from airflow_rowferry import diagnosis, listener
from rowferry.diagnosis import Diagnosis, Line

DBT_SAID = """\
{"timestamp":"2026-11-27T01:59:47Z","level":"info","event":"01:59:47  1 of 1 ERROR creating sql table model dev.averages [ERROR in 0.1s]","logger":"cosmos.hooks.subprocess"}
{"timestamp":"2026-11-27T01:59:47Z","level":"info","event":"01:59:47    Database Error in model averages (models/averages.sql)","logger":"cosmos.hooks.subprocess"}
{"timestamp":"2026-11-27T01:59:47Z","level":"info","event":"  division by zero","logger":"cosmos.hooks.subprocess"}
"""


@pytest.fixture(autouse=True)
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the tasks' logs."""
    monkeypatch.setenv("AIRFLOW__LOGGING__BASE_LOG_FOLDER", str(tmp_path))
    monkeypatch.setattr(diagnosis, "_last", None)
    return tmp_path


def instance(task: Any = None, **other: Any) -> SimpleNamespace:
    return SimpleNamespace(**{"dag_id": "daily", "run_id": "manual__1", "task_id": "load", "map_index": -1, "try_number": 1, "task": task, **other})


def write_log(logs: Path, text: str, name: str = "dag_id=daily/run_id=manual__1/task_id=load/attempt=1.log") -> None:
    (logs / name).parent.mkdir(parents=True)
    (logs / name).write_text(text)


def told(caplog: pytest.LogCaptureFixture, ti: Any, error: Any) -> str:
    with caplog.at_level(logging.ERROR):
        listener.on_task_instance_failed(previous_state="running", task_instance=ti, error=error)
    return "\n".join(record.getMessage() for record in caplog.records)


def test_a_failure_of_any_operator_is_diagnosed_in_its_log(caplog):
    text = told(caplog, instance(BashOperator(task_id="load", bash_command="x")), TypeError("Object of type Order is not JSON serializable"))
    assert text.startswith("Diagnosis: json cannot write an object of type Order")
    assert "fix: " in text


def test_the_log_of_the_try_says_what_the_exception_does_not(logs, caplog):
    write_log(logs, DBT_SAID)
    text = told(caplog, instance(), RuntimeError("dbt command failed. The command returned a non-zero exit code 1."))
    assert "division_by_zero: confirmed" in text
    assert "failed: averages" in text


def test_a_log_of_megabytes_is_read_at_its_end_only(logs, caplog):
    write_log(logs, '{"level":"error","event":"deadlock detected"}\n' + "x" * 80 + "\n" + '{"level":"info","event":"fine"}\n' * 300_000 + DBT_SAID)
    text = told(caplog, instance(), RuntimeError("dbt command failed. The command returned a non-zero exit code 1."))
    assert "division_by_zero" in text
    assert "deadlock" not in text


@pytest.mark.parametrize("ti", [None, object(), SimpleNamespace(task=object()), instance(try_number=None)])
@pytest.mark.parametrize("error", [None, "a text", ValueError(), BaseException("x")])
def test_it_never_raises_whatever_it_is_given(ti, error):
    listener.on_task_instance_failed(previous_state=None, task_instance=ti, error=error)


def test_an_error_inside_the_diagnosis_does_not_come_out(monkeypatch, caplog):
    def broken(*arguments: Any) -> None:
        raise OSError("no memory for this")

    monkeypatch.setattr(diagnosis, "_diagnose", broken)
    assert told(caplog, instance(), ValueError("x")) == ""
    monkeypatch.setattr(diagnosis, "lines_of", broken)
    assert told(caplog, instance(), ValueError("y")) == ""


def test_a_diagnosis_that_takes_too_long_is_left_behind(monkeypatch, caplog):
    forever = threading.Event()
    monkeypatch.setattr(diagnosis, "TIMEOUT_S", 0.05)
    monkeypatch.setattr(diagnosis, "_diagnose", lambda *arguments: forever.wait())
    assert told(caplog, instance(), ValueError("x")) == ""
    forever.set()


def test_it_can_be_switched_off(monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW__ROWFERRY__DIAGNOSE", "False")
    assert told(caplog, instance(), TypeError("Object of type Order is not JSON serializable")) == ""


def test_the_callback_and_the_listener_diagnose_one_failure_once(monkeypatch):
    asked: list[Any] = []
    monkeypatch.setattr(diagnosis, "_diagnose", lambda *arguments: asked.append(arguments) or [])
    ti, error = instance(), ValueError("x")
    for _ in range(2):
        diagnosis.of_failure(ti, error)
    diagnosis.of_failure(ti, ValueError("x"))
    assert len(asked) == 2


def test_what_an_xcom_keeps_of_a_diagnosis_stays_under_4_kib():
    long = "x" * 9000
    made = Diagnosis(
        cause="c", title=long, evidence="confirmed", confidence=0.9, lines=(Line(1, long),) * 50, fix=long, diff=long, node=long, notes=(long,) * 9
    )
    assert len(json.dumps(diagnosis.as_dict(made))) < 4096
    assert sum(len(line) for line in diagnosis.lines_of([made] * 9)) < 32_768


@pytest.mark.parametrize("session", [{}, {"session": None}])
def test_airflow_2_and_3_call_it_with_their_own_arguments(session, monkeypatch):
    """Airflow 2.11 adds its session; pluggy hands on what the hook asks for."""
    called: list[Any] = []
    monkeypatch.setattr(diagnosis, "of_failure", lambda *arguments: called.append(arguments) or [])
    manager = pluggy.PluginManager("airflow")
    spec = pluggy.HookspecMarker("airflow")

    class Spec:
        @spec
        def on_task_instance_failed(self, previous_state, task_instance, error, session): ...

    manager.add_hookspecs(Spec)
    manager.register(listener)
    manager.hook.on_task_instance_failed(previous_state=None, task_instance=1, error="x", **{"session": None, **session})
    assert called == [(1, "x")]


def test_airflow_finds_the_listener_by_the_entry_point_of_the_package():
    assert listener in get_listener_manager().pm.get_plugins()
