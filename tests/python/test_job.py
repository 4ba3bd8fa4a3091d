from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest

import rowferry
from rowferry import Job, _native, errors, job, uri

from .conftest import URIS, FakeCore, native_error


def _job(**settings: Any) -> Job:
    return Job(**{**URIS, "table": "orders", **settings})


def test_the_fields_of_a_job_are_the_properties_of_the_published_schema() -> None:
    assert set(Job.settings()) == set(json.loads(_native.spec("job"))["properties"])


def test_the_defaults_of_a_job_are_those_of_the_published_schema() -> None:
    properties = json.loads(_native.spec("job"))["properties"]
    defaults = {f.name: f.default for f in dataclasses.fields(Job) if f.default is not dataclasses.MISSING}
    assert {name: properties[name].get("default") for name in defaults} == defaults


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("table", "a.b.c"),
        ("capture", "logical"),
        ("cursor_columns", "updated_at"),
        ("as_text", "note"),
        ("mask", {"a": "shuffle"}),
        ("mask", {"a": "truncate:0"}),
        ("mask", {"a": "truncate:1x"}),
        ("mask", {"a": "truncate: 3"}),
        ("mask", {}),
        ("mask", ["a"]),
        ("mask", {"": "hash"}),
        ("open_transactions", "hope"),
        ("clock_margin", -1),
        ("audit", "every 0"),
        ("sweep", "sometimes"),
        ("on_delete", "forget"),
        ("connections", 17),
        ("since", ""),
        ("batch_bytes", 100),
        ("try_number", 0),
        ("lock_timeout", "soon"),
        ("lock_timeout", float("nan")),
        ("keys", []),
        ("keys", "id"),
        ("keys", ["id", 3]),
        ("verify", "yes"),
        ("where", b"x"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name_when_the_job_is_made(name: str, value: Any) -> None:
    with pytest.raises(errors.ConfigurationError, match=name):
        _job(**{name: value})


def test_a_job_is_valid_by_itself() -> None:
    assert _job(keys=["id"], columns=["id", "name"]).keys == ("id",)


def test_a_window_and_a_capture_that_reads_no_cursor_are_refused_together() -> None:
    assert _job(since="2026-01-01", until="2026-02-01", capture="cursor").until == "2026-02-01"
    with pytest.raises(errors.ConfigurationError, match="since"):
        _job(since="2026-01-01", capture="full")


def test_a_key_outside_of_the_columns_is_refused() -> None:
    with pytest.raises(errors.ConfigurationError, match="id"):
        _job(keys=["id"], columns=["name"])


def test_an_unknown_setting_is_named_with_the_nearest_known_one() -> None:
    with pytest.raises(errors.ConfigurationError, match="'colums'.*'columns'"):
        Job.from_dict({**URIS, "table": "orders", "colums": ["id"]})


@pytest.mark.parametrize("name", ["source", "target", "table"])
def test_a_setting_that_a_run_needs_is_missed_by_name(name: str) -> None:
    with pytest.raises(errors.ConfigurationError, match=name):
        Job.from_dict({k: v for k, v in {**URIS, "table": "orders"}.items() if k != name})


def test_neither_repr_nor_error_shows_a_password() -> None:
    job = _job(source="postgresql://u:hunter22@h/db", target="host=h password=hunter23")
    assert "hunter" not in repr(job) and "***" in repr(job)
    with pytest.raises(errors.ConfigurationError) as caught:
        _job(source="postgresql://u:hun/ter22@h/db")
    assert "hun" not in str(caught.value)


def test_a_job_can_be_copied_pickled_and_replaced(core: FakeCore) -> None:
    job = _job(keys=["id"])
    job.cancel()
    for other in (copy.deepcopy(job), pickle.loads(pickle.dumps(job)), dataclasses.replace(job)):
        assert other == job
        assert not core.made[-1].cancelled.is_set()


def test_a_job_is_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        _job().table = "other"  # type: ignore[misc]


def test_run_takes_a_job_or_its_settings(core: FakeCore, report: dict[str, Any]) -> None:
    core.answers["orders"] = report
    assert rowferry.run(_job()) == rowferry.run({**URIS, "table": "orders"})


def test_progress_reaches_the_caller(core: FakeCore, report: dict[str, Any]) -> None:
    def answer(_: Any, on_progress: Any) -> dict[str, Any]:
        on_progress({"phase": "read", "rows": 5, "bytes": 50, "seconds": 0.1})
        return report

    core.answers["orders"] = answer
    seen: list[Any] = []
    _job().run(seen.append)
    assert seen == [{"phase": "read", "rows": 5, "bytes": 50, "seconds": 0.1}]


def test_a_job_that_was_cancelled_never_runs() -> None:
    job = _job()
    job.cancel()
    for _ in range(2):
        with pytest.raises(errors.CancelledError):
            job.run()


def test_an_error_of_the_core_is_raised_as_its_class_without_the_core_in_the_traceback(core: FakeCore) -> None:
    core.answers["orders"] = native_error("busy", "held")
    with pytest.raises(errors.TableBusyError, match="held") as caught:
        _job().run()
    assert caught.value.__suppress_context__


def test_state_and_reset_and_verify_are_verbs_of_the_core(core: FakeCore) -> None:
    record = {"load_id": 4, "kind": "load", "committed_at": "2026-11-22T18:00:00+00:00", "rows_read": 3}
    core.answers["orders"] = lambda job, _: {
        "state": {"loads": [record]},
        "reset": {"load_id": 5},
        "verify": {"result": "equal"},
    }[job.verbs[-1]]
    job = _job()
    assert job.state()[0].to_dict() == record
    assert "newest" not in core.made[-1].settings
    assert job.state(newest=3)[0].to_dict() == record
    assert core.made[-1].settings["newest"] == 3
    assert job.reset() == 5
    assert rowferry.verify(job)


def test_the_channel_odbc_keeps_snowflakes_adbc_driver_away_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uri, "driver", lambda target: "/found.so" if not target.startswith("postgresql") else None)
    targets = {"duckdb:///w.duckdb": "/found.so", "snowflake://u:p@a/d": None, "postgresql://h/w": None}
    assert {target: json.loads(job.document({"target": target, "channel": "odbc"})).get("driver") for target in targets} == targets
    assert json.loads(job.document({"target": "snowflake://u:p@a/d"}))["driver"] == "/found.so"
    assert json.loads(job.document({"target": "duckdb:///w.duckdb", "driver": "/own.so"}))["driver"] == "/own.so"
