"""The operators on a stand-in for the core: Airflow's side of a load, without any server."""

from __future__ import annotations

import inspect
import json
import os
import re
from dataclasses import MISSING, fields
from datetime import datetime, timezone
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, AirflowNotFoundException
from stand_ins import JobStandIn, context, report

from airflow_rowferry import hooks, operators
from airflow_rowferry.operators import LoadCheckOperator, PostgresToWarehouseOperator
from rowferry import Job
from rowferry.errors import AuthenticationError, CancelledError, ConfigurationError, SourceError


def load(**arguments: Any) -> PostgresToWarehouseOperator:
    given = {"task_id": "load", "source_conn_id": "shop", "target_conn_id": "warehouse", "table": "orders"}
    return PostgresToWarehouseOperator(**{**given, **arguments})


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Call it with what `Job.run` should do: return a report, raise, or call."""

    def answers(answer: Any) -> list[JobStandIn]:
        def run(job: JobStandIn, on_progress: Any) -> Any:
            if isinstance(answer, BaseException):
                raise answer
            return answer(job, on_progress) if callable(answer) else answer

        JobStandIn.made = []
        monkeypatch.setattr(operators, "Job", lambda **settings: JobStandIn(run, settings))
        monkeypatch.setattr(operators, "connection_uri", lambda conn_id: f"postgresql:///{conn_id}")
        return JobStandIn.made

    return answers


FROM_CONTEXT = {"source", "target", "run_id", "try_number", "map_index", "application"}


def test_every_job_setting_is_an_argument_with_the_same_default():
    parameters = inspect.signature(PostgresToWarehouseOperator).parameters
    for setting in fields(Job):
        if setting.init and setting.name not in FROM_CONTEXT | {"table", "source_name"}:
            assert setting.default is not MISSING
            assert parameters[setting.name].default == setting.default, setting.name


def test_every_argument_reaches_the_job_under_its_name(core):
    made = core(report())
    given = {name: f"the {name}" for name in Job.settings() if name not in FROM_CONTEXT | {"since", "until"}}
    load(**given).execute(context())
    assert given.items() <= made[0].settings.items()


def test_arguments_are_keyword_only_and_templated_ones_exist():
    for operator in (PostgresToWarehouseOperator, LoadCheckOperator):
        parameters = list(inspect.signature(operator.__init__).parameters.values())[1:]
        assert all(p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD) for p in parameters)
        assert set(operator.template_fields) <= {p.name for p in parameters}
        assert all(f":param {p.name}:" in operator.__doc__ for p in parameters if p.kind == p.KEYWORD_ONLY)


def test_the_job_gets_the_run_the_try_and_the_place_in_the_map(core):
    made = core(report())
    load(keys=["id"], where="id > 1").execute(context(map_index=3, try_number=2))
    settings = made[0].settings
    assert settings["source"] == "postgresql:///shop"
    assert settings["target"] == "postgresql:///warehouse"
    assert (settings["run_id"], settings["try_number"], settings["map_index"]) == ("daily/load/manual__1", 2, 3)
    assert (settings["keys"], settings["where"]) == (["id"], "id > 1")
    assert settings["application"] == "rowferry daily/load/3"


def test_the_key_of_hashes_may_be_the_password_of_a_connection_while_the_load_runs(core, monkeypatch):
    class Connection:
        password = "a key of this test"

    monkeypatch.setattr(hooks.BaseHook, "get_connection", lambda conn_id: Connection())
    seen = []
    made = core(lambda job, on_progress: seen.append(os.environ[job.settings["mask_key_env"]]) or report())
    load(mask={"name": "hash"}, mask_key_conn_id="mask_key").execute(context())
    assert seen == ["a key of this test"] and made[0].settings["mask"] == {"name": "hash"}
    assert hooks.KEY_OF_CONNECTION not in os.environ
    Connection.password = None
    with pytest.raises(AirflowFailException, match="mask_key"):
        load(mask={"name": "hash"}, mask_key_conn_id="mask_key").execute(context())


@pytest.mark.parametrize("unmapped", [-1, None])
def test_an_unmapped_task_has_no_map_index(core, unmapped):
    made = core(report())
    load().execute(context(map_index=unmapped))
    assert made[0].settings["map_index"] is None
    assert made[0].settings["application"] == "rowferry daily/load"


def test_the_source_is_named_after_its_connection_unless_said_otherwise(core):
    made = core(report())
    load().execute(context())
    load(source_name="postgres").execute(context())
    assert [job.settings["source_name"] for job in made] == ["shop", "postgres"]


def test_a_long_task_name_keeps_the_end_that_tells_sessions_apart():
    name = operators._application("d" * 100, "load", 12)
    assert len(name) == 63
    assert name.startswith("rowferry ~ddd")
    assert name.endswith("/load/12")


def test_a_load_pushes_a_flat_dict(core):
    core(report(read=4, total=10))
    pushed = load().execute(context())
    assert (pushed["table"], pushed["target_table"], pushed["load_id"]) == ("public.orders", "raw_public.orders", 7)
    assert (pushed["rows_read"], pushed["rows_total"], pushed["rows_inserted"]) == (4, 10, 4)
    assert (pushed["completeness"], pushed["hard_deletes"]) == ("proven", "not_captured")
    assert not any(isinstance(value, dict) for value in pushed.values())


def test_many_reasons_still_make_less_than_4_kib(core):
    core(report(reasons=[f"reason {n} " + "ü" * 100 for n in range(100)]))
    pushed = load().execute(context())
    assert pushed["reasons"][0].startswith("reason 0")
    assert len(json.dumps(pushed)) < 4096


def test_a_load_pushes_what_the_next_run_starts_from_and_what_an_audit_found(core):
    found = {"watermark": "2026-11-22T17:59:00+00:00", "swept": True, "audit": {"missed": 3}, "held_back": 2}
    core(report(**found, window={"since": "2026-01-01T00:00:00+00:00", "until": None}))
    pushed = load().execute(context())
    assert (pushed["watermark"], pushed["swept"], pushed["missed"], pushed["held_back"]) == (found["watermark"], True, 3, 2)
    assert (pushed["since"], pushed["until"]) == ("2026-01-01T00:00:00+00:00", None)


def window(core: Any, since: Any, until: Any, **arguments: Any) -> tuple[str | None, str | None]:
    """What the job gets as its window when the templates come out like this."""
    made = core(report())
    operator = load(since="{{ since }}", until="{{ until }}", **arguments)
    operator.since, operator.until = since, until
    operator.execute(context())
    return made[0].settings.get("since"), made[0].settings.get("until")


@pytest.mark.parametrize(
    "since", ["2026-01-01 00:00:00+00:00", "2026-01-01T00:00:00Z", "2026-01-01", datetime(2026, 1, 1, tzinfo=timezone.utc)]
)
def test_a_window_reaches_the_job_however_its_template_writes_a_time(core, since):
    assert window(core, since, "2026-01-02T01:00:00+01:00") == ("2026-01-01T00:00:00+00:00", "2026-01-02T01:00:00+01:00")


def test_a_load_without_a_window_has_none(core):
    made = core(report())
    load().execute(context())
    assert not {"since", "until"} & set(made[0].settings)


@pytest.mark.parametrize("nothing", ["", " ", "None", None])
def test_a_bound_that_comes_out_empty_fails_at_once_instead_of_opening_the_window(core, nothing):
    with pytest.raises(AirflowFailException, match="until came out empty.*window_optional"):
        window(core, "2026-01-01", nothing)
    with pytest.raises(AirflowFailException, match="since and until came out empty"):
        window(core, nothing, nothing)


def test_a_bound_that_is_empty_in_the_dag_itself_fails_too(core):
    core(report())
    with pytest.raises(AirflowFailException, match="since came out empty"):
        load(since="").execute(context())


def test_an_optional_window_that_comes_out_empty_is_a_load_of_what_has_changed(core):
    assert window(core, "None", "", window_optional=True) == (None, None)


@pytest.mark.parametrize("until", ["2026-01-01", "2025-12-31"])
def test_a_window_that_holds_no_time_fails_at_once_and_names_the_timetable_to_use(core, until):
    for optional in (False, True):
        with pytest.raises(AirflowFailException, match="no time lies between.*CronDataIntervalTimetable"):
            window(core, "2026-01-01", until, window_optional=optional)


def test_a_bound_that_is_no_time_fails_at_once_by_name(core):
    with pytest.raises(AirflowFailException, match="since is 'yesterday'"):
        window(core, "yesterday", "2026-01-01")


@pytest.mark.parametrize("error", [ConfigurationError("no table orders"), AuthenticationError("wrong password")])
def test_what_trying_again_cannot_help_fails_at_once(core, error):
    core(error)
    with pytest.raises(AirflowFailException, match=str(error)):
        load().execute(context())


def test_a_missing_connection_fails_at_once(core, monkeypatch):
    core(report())

    def missing(conn_id: str) -> str:
        raise AirflowNotFoundException(f"The conn_id `{conn_id}` isn't defined")

    monkeypatch.setattr(operators, "connection_uri", missing)
    with pytest.raises(AirflowFailException, match="shop"):
        load().execute(context())


def test_any_other_error_is_raised_as_it_is_and_so_retried(core):
    error = SourceError("the server closed the connection", retryable=True)
    core(error)
    with pytest.raises(SourceError) as raised:
        load().execute(context())
    assert raised.value is error


def test_the_log_of_an_error_says_all_that_the_server_said(core, capsys):
    core(SourceError("copy failed", sqlstate="57014", server_message="canceled", detail="row 5", hint="ask", role="copy"))
    with pytest.raises(SourceError):
        load().execute(context())
    log = capsys.readouterr().out
    for text in ("copy failed", "57014", "canceled", "row 5", "ask", "role: copy"):
        assert text in log


def test_no_log_line_shows_a_connection(core, capsys, monkeypatch):
    core(SourceError("gone"))
    monkeypatch.setattr(operators, "connection_uri", lambda conn_id: "postgresql://u:hunter22@h/db")
    with pytest.raises(SourceError):
        load().execute(context())
    log = capsys.readouterr().out
    assert "gone" in log
    assert "hunter22" not in log


def test_on_kill_cancels_the_job_that_runs(core):
    operator = load()

    def killed(job: JobStandIn, on_progress: Any) -> Any:
        operator.on_kill()
        assert job.cancelled
        raise CancelledError("cancelled")

    core(killed)
    with pytest.raises(CancelledError):
        operator.execute(context())


def test_a_kill_before_the_job_exists_still_cancels_it(core, monkeypatch):
    operator = load()
    made = core(report())

    def resolved(conn_id: str) -> str:
        operator.on_kill()
        return "postgresql:///x"

    monkeypatch.setattr(operators, "connection_uri", resolved)
    operator.execute(context())
    assert made[0].cancelled


def test_on_kill_without_a_job_does_nothing():
    load().on_kill()


def test_progress_is_logged_by_phase_and_otherwise_once_in_ten_seconds(core, capsys, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(operators.time, "monotonic", lambda: now[0])

    def run(job: JobStandIn, on_progress: Any) -> Any:
        for n in range(100):
            now[0] += 0.25
            phase = "read" if n < 90 else "merge"
            on_progress({"phase": phase, "rows": n, "bytes": n, "seconds": n / 4})
        return report()

    core(run)
    load().execute(context())
    phases = re.findall(r"\b(read|merge): \d+ rows", capsys.readouterr().out)
    assert phases == ["read", "read", "read", "merge"]


def test_a_mapped_load_names_its_instances_after_their_tables():
    with DAG("daily", schedule=None):
        loads = PostgresToWarehouseOperator.partial(task_id="load", source_conn_id="a", target_conn_id="b").expand(
            table=["orders", "users"]
        )
    assert loads.map_index_template == "{{ task.table }}"


def check(reports: Any, **arguments: Any) -> Any:
    return LoadCheckOperator(task_id="check", reports=reports, **arguments).execute(context())


def rows(**tables: int) -> list[dict[str, Any]]:
    return [loaded(f"public.{table}", rows_total=n) for table, n in tables.items()]


def loaded(table: str, **other: Any) -> dict[str, Any]:
    return {"table": table, "rows_total": 1, "completeness": "proven", "reasons": [], **other}


def test_a_check_passes_when_every_table_has_its_rows_whatever_it_proves():
    assert check(rows(orders=5, users=1)) == {"public.orders": 5, "public.users": 1}
    assert check([loaded("public.orders", completeness="best_effort")]) == {"public.orders": 1}


def test_a_check_names_every_table_that_fell_short_and_what_may_be_wrong():
    with pytest.raises(AirflowFailException) as raised:
        check(rows(orders=0, users=3, products=0))
    assert "2 tables" in str(raised.value)
    assert "public.orders: 0 rows" in str(raised.value)
    assert "public.products: 0 rows" in str(raised.value)
    assert "users" not in str(raised.value)
    assert str(raised.value).count("Possible source issue") == 2


@pytest.mark.parametrize("name", ["payments", "public.payments"])
def test_a_table_that_may_be_empty_passes_by_either_name(name):
    check(rows(orders=1, payments=0), may_be_empty=[name])


def test_a_table_of_the_same_name_in_another_schema_is_not_exempt():
    reports = [loaded("shop.payments", rows_total=0)]
    with pytest.raises(AirflowFailException, match=r"shop\.payments"):
        check(reports, may_be_empty=["payments"])


def test_a_check_counts_against_its_own_minimum():
    check(rows(orders=10), min_rows=10)
    with pytest.raises(AirflowFailException, match="at least 11 due"):
        check(rows(orders=10), min_rows=11)


def test_a_check_takes_the_report_of_an_unmapped_load():
    assert check(rows(orders=2)[0]) == {"public.orders": 2}


@pytest.mark.parametrize("nothing", [None, []])
def test_a_check_without_any_report_fails(nothing):
    with pytest.raises(AirflowFailException, match="no load has reported"):
        check(nothing)


@pytest.mark.parametrize("other", [7, "orders", ["orders"], {"rows": 5}, [{"table": "public.orders"}]])
def test_a_check_of_what_no_load_pushed_says_what_it_was_given(other):
    with pytest.raises(AirflowFailException, match="give it the output of load tasks"):
        check(other)


def test_a_check_takes_no_single_name_for_the_tables_that_may_be_empty():
    with pytest.raises(AirflowFailException, match="may_be_empty is 'payments'; give it a list"):
        check(rows(payments=0), may_be_empty="payments")


@pytest.mark.parametrize(
    ("least", "named"), [("bounded", ["public.users"]), ("proven", ["public.orders", "public.users"])]
)
def test_a_check_names_every_table_that_proves_less_than_is_due_and_why(least, named):
    reports = [
        loaded("public.items"),
        loaded("public.orders", completeness="bounded", reasons=["bounded by 60 s"]),
        loaded("public.users", completeness="best_effort", reasons=["no trigger"]),
    ]
    with pytest.raises(AirflowFailException) as raised:
        check(reports, min_completeness=least)
    told = str(raised.value)
    assert [r["table"] for r in reports if r["table"] in told] == named
    assert f"public.users: best_effort, at least {least} due. no trigger" in told


def test_a_check_tells_at_once_of_missing_rows_and_of_missing_proof():
    with pytest.raises(AirflowFailException) as raised:
        check([loaded("public.a", rows_total=0), loaded("public.b", completeness="best_effort")], min_completeness="bounded")
    assert "public.a: 0 rows" in str(raised.value) and "public.b: best_effort" in str(raised.value)


def test_a_table_that_may_be_empty_still_has_to_prove_that_it_is():
    report = loaded("public.a", rows_total=0, completeness="best_effort")
    with pytest.raises(AirflowFailException, match="less proven"):
        check([report], may_be_empty=["a"], min_completeness="proven")


def test_a_completeness_that_nobody_knows_fails_when_the_dag_is_read():
    with pytest.raises(ValueError, match="best_effort, bounded, proven"):
        LoadCheckOperator(task_id="check", reports=[], min_completeness="sure")


def test_a_check_never_retries_whatever_the_dag_says():
    with DAG("daily", schedule=None, default_args={"retries": 5}):
        assert LoadCheckOperator(task_id="check", reports=[], retries=3).retries == 0
