"""A load of a stream that dies at any of its steps, or whose COMMIT goes unanswered: the rows of before or those of after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cutting_proxy import Cut, CuttingProxy
from runs import BATCH_BYTES, Pair, sql

import rowferry
from rowferry import _native
from rowferry.demo.servers import Server
from rowferry.errors import TargetError

STEPS = [step for step in _native.steps() if step not in ("keys", "verify")]  # of which a stream has none
MADE = (10_000, 7 * 10_000 * 10_001 // 2)  # rows and sum of n, as made_stream.c gives them
EARLIER = pa.table({"id": range(1, 3001), "n": [0] * 3000})


@pytest.fixture(scope="module", params=(15, 18), ids=lambda version: f"pg{version}")
def shared(request: pytest.FixtureRequest, program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """One target for the whole file: every test has a table of its own. There is no source."""
    server: Server = request.getfixturevalue(f"pg{request.param}")
    target = server.create_database("stream_target")
    yield Pair(server.version, target, target, program, tmp_path_factory.mktemp("stream"))
    server.admin("DROP DATABASE stream_target WITH (FORCE)")


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("first", [True, False], ids=["first load", "merge"])
def test_a_load_killed_at_any_step_leaves_the_rows_as_before_or_as_after(shared: Pair, step: str, first: bool) -> None:
    table = f"{'first' if first else 'later'}_{STEPS.index(step)}"
    job = stream_job(shared, table, run_id="night")
    if not first:
        rowferry.load(EARLIER, **job | {"run_id": "noon"})
    before = held(shared, table)
    with shared.started(job, "kill", step, 2 if step == "write" else 1) as process:
        process.wait_for_kill()
    shared.check_nothing_is_left()
    committed = STEPS.index(step) > STEPS.index("commit")
    assert held(shared, table) == (MADE if committed else before)
    assert len(shared.loads(table)) == (not first) + committed
    with shared.started(job | {"try_number": 2}) as process:
        report = process.wait()
    assert held(shared, table) == MADE
    assert report["increment"] == 1 + committed
    assert report["this_try"]["inserted"] + report["this_try"]["updated"] == MADE[0]
    new = MADE[0] if first else MADE[0] - len(EARLIER)
    assert report["run_total"]["inserted"] == new
    shared.check_nothing_is_left()


@pytest.mark.parametrize("first", [True, False], ids=["first load", "merge"])
def test_what_is_said_of_a_commit_whose_way_is_cut_is_what_happened(shared: Pair, first: bool) -> None:
    table = f"cut_{'first' if first else 'later'}"
    job = stream_job(shared, table, run_id="night")
    if not first:
        rowferry.load(EARLIER, **job)
    before, loads = held(shared, table), len(shared.loads(table))
    stream = pa.table({"id": range(1, 10_001), "n": range(7, 70_001, 7)})
    with CuttingProxy(shared.target, Cut.BEFORE) as proxy, pytest.raises(TargetError):
        rowferry.load(stream, **job | {"target": proxy.uri})
    assert proxy.cut_done.is_set()
    assert (held(shared, table), len(shared.loads(table))) == (before, loads)
    with CuttingProxy(shared.target, Cut.AFTER) as proxy:
        report = rowferry.load(stream, **job | {"target": proxy.uri, "try_number": 2})
    assert proxy.cut_done.is_set()
    assert held(shared, table) == MADE
    assert [load["load_id"] for load in shared.loads(table)][loads:] == [report.load_id]
    shared.check_nothing_is_left()


def stream_job(pair: Pair, table: str, **settings: Any) -> dict[str, Any]:
    return {"target": pair.target, "table": table, "keys": ["id"], "source_name": "postgres", "batch_bytes": BATCH_BYTES, **settings}


def held(pair: Pair, table: str) -> tuple[int, int] | None:
    """Rows and sum of n; None when there is no table."""
    if sql(pair.target, f"SELECT to_regclass('raw_postgres.{table}')") == [(None,)]:
        return None
    return sql(pair.target, f"SELECT count(*), sum(n)::bigint FROM raw_postgres.{table}")[0]
