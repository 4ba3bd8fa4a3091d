"""A run that dies at any of its steps, however it loads."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runs import Pair

import rowferry
from rowferry import _native
from rowferry.demo.servers import Server

STEPS = _native.steps()
FIRST_LOADS: dict[str, dict[str, Any]] = {"straight": {}, "by_stage": {"keys": ["id"]}}
LATER_LOADS: dict[str, dict[str, Any]] = {"incremental": {}, "full": {"capture": "full"}, "swept": {"sweep": "always"}}


def steps_of(ways: dict[str, dict[str, Any]]) -> list[tuple[str, str]]:
    """Each way with each step that it takes: only a sweep reads keys."""
    return [(way, step) for way, settings in ways.items() for step in STEPS if step != "keys" or "sweep" in settings]


@pytest.fixture(scope="module", params=(15, 18), ids=lambda version: f"pg{version}")
def shared(request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One pair of databases for the whole file: every test has a table of its own."""
    server: Server = request.getfixturevalue(f"pg{request.param}")
    source, target = (server.create_database(f"kill_{end}") for end in ("source", "target"))
    yield Pair(server.version, source, target, program, tmp_path_factory.mktemp("kill"))
    for end in ("source", "target"):
        server.admin(f"DROP DATABASE kill_{end} WITH (FORCE)")


@pytest.mark.parametrize(("way", "step"), steps_of(FIRST_LOADS))
def test_a_first_load_killed_at_any_step_leaves_no_table_or_a_whole_one(shared: Pair, way: str, step: str) -> None:
    table = f"{way}_{STEPS.index(step)}"
    shared.make_table(table, key="PRIMARY KEY" if way == "straight" else "NOT NULL")
    job = shared.job(table, verify=True, **FIRST_LOADS[way])
    committed = kill(shared, job, step)
    assert shared.target_rows(table) == (shared.source_rows(table) if committed else None)
    assert len(shared.loads(table)) == committed
    run_again(shared, job, step, committed)


@pytest.mark.parametrize(("way", "step"), steps_of(LATER_LOADS))
def test_a_later_load_killed_at_any_step_leaves_the_rows_as_before_or_as_after(shared: Pair, way: str, step: str) -> None:
    table = f"{way}_{STEPS.index(step)}"
    shared.make_table(table)
    shared.run(table)
    before = shared.target_rows(table)
    shared.change(table, deletes=way != "incremental")
    job = shared.job(table, verify=True, **LATER_LOADS[way])
    committed = kill(shared, job, step)
    assert shared.target_rows(table) == (shared.source_rows(table) if committed else before)
    assert len(shared.loads(table)) == 1 + committed
    run_again(shared, job, step, committed)


def kill(pair: Pair, job: dict[str, Any], step: str) -> bool:
    """Runs the job until `step`; True when the load had been committed by then."""
    job |= {"run_id": "night", "try_number": 1}
    with pair.started(job, "kill", step, 2 if step == "write" else 1) as process:
        process.wait_for_kill()
    pair.check_nothing_is_left()
    return STEPS.index(step) > STEPS.index("commit")


def run_again(pair: Pair, job: dict[str, Any], step: str, committed: bool) -> None:
    """One half of the steps as the next try and the other half as a new run; the other way round on the other version."""
    is_retry = (STEPS.index(step) + pair.version) % 2 == 0
    again = {"run_id": "night", "try_number": 2} if is_retry else {"run_id": "morning"}
    before = len(pair.loads(job["table"]))
    report = rowferry.run(job | again)
    assert report.verification is not None and report.verification.result == "equal" and report.verification.exact
    assert report.increment == (2 if committed and is_retry else 1)
    assert report.load_id > max([0, *(load["load_id"] for load in pair.loads(job["table"])[:-1])])
    assert len(pair.loads(job["table"])) == before + 1
    check_total(pair, job, report)
    pair.check_books(job["table"])
    pair.check_nothing_is_left()


def check_total(pair: Pair, job: dict[str, Any], report: rowferry.Report) -> None:
    """The run's total is the sum over its loads; that of a full read is the last one."""
    loads = [load for load in pair.loads(job["table"]) if load["run_id"] == report.run_id]
    if job.get("capture") == "full":
        loads = loads[-1:]
    for part in ("read", "inserted", "updated", "deleted"):
        assert getattr(report.run_total, part) == sum(load[f"rows_{part}"] for load in loads)
