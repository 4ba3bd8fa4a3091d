"""The way to the target breaks around COMMIT: what the run then says must be what happened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cutting_proxy import Cut, CuttingProxy
from runs import Pair, crash, sessions, slow_commits, start, wait_until

import rowferry
from rowferry.demo.servers import Server, start_postgres
from rowferry.errors import TargetError


@pytest.fixture
def changed(pair: Pair) -> Pair:
    """A table that was loaded once and has changed since."""
    pair.make_table("orders")
    pair.run("orders")
    pair.change("orders")
    return pair


@pytest.mark.parametrize("first", [True, False], ids=["first load", "merge"])
def test_a_commit_that_never_reached_the_server_is_an_error_and_the_retry_loads_once(pair: Pair, first: bool) -> None:
    pair.make_table("orders")
    if not first:
        pair.run("orders")
        pair.change("orders")
    before = len(pair.loads("orders"))
    job = pair.job("orders", run_id="night")
    with CuttingProxy(pair.target, Cut.BEFORE) as proxy, pytest.raises(TargetError) as caught:
        rowferry.run(job | {"target": proxy.uri})
    assert caught.value.retryable
    assert proxy.cut_done.is_set()
    assert len(pair.loads("orders")) == before
    report = rowferry.run(job | {"try_number": 2})
    assert report.increment == 1 and report.this_try == report.run_total
    assert len(pair.loads("orders")) == before + 1
    pair.check_books("orders")
    pair.check_nothing_is_left()


@pytest.mark.parametrize("first", [True, False], ids=["first load", "merge"])
def test_a_commit_whose_answer_is_lost_is_a_success_with_one_record(pair: Pair, first: bool) -> None:
    pair.make_table("orders")
    if not first:
        pair.run("orders")
        pair.change("orders")
    before = len(pair.loads("orders"))
    with CuttingProxy(pair.target, Cut.AFTER) as proxy:
        report = rowferry.run(pair.job("orders", target=proxy.uri))
        assert proxy.cut_done.is_set()
    check_success(pair, report, before + 1)


def test_a_commit_that_is_still_under_way_when_its_client_is_cut_off_is_waited_for(changed: Pair) -> None:
    with slow_commits(changed) as release, CuttingProxy(changed.target, Cut.UNNOTICED) as proxy:
        run = start(changed.job("orders", target=proxy.uri))
        assert proxy.cut_done.wait(30)
        asks = "wait_event_type = 'Lock' AND query LIKE '%leases%FOR UPDATE%'"
        wait_until(lambda: sessions(changed.target, asks), "the run waits for its own earlier session")
        release()
        report = run.result(30)
    check_success(changed, report, 2)


def test_a_commit_that_the_server_gives_up_with_its_client_is_an_error_and_the_retry_loads_once(changed: Pair) -> None:
    with slow_commits(changed), CuttingProxy(changed.target, Cut.NOTICED) as proxy:
        run = start(changed.job("orders", target=proxy.uri))
        with pytest.raises(TargetError):
            run.result(30)
        assert proxy.cut_done.is_set()
        assert len(changed.loads("orders")) == 1
    check_success(changed, changed.run("orders"), 2)


def test_a_commit_that_does_not_end_is_ended_and_the_retry_loads_once(changed: Pair) -> None:
    with slow_commits(changed), CuttingProxy(changed.target, Cut.UNNOTICED) as proxy:
        run = start(changed.job("orders", target=proxy.uri))
        with pytest.raises(TargetError):
            run.result(60)
        assert len(changed.loads("orders")) == 1
    check_success(changed, changed.run("orders"), 2)


@pytest.mark.parametrize("version", [15, 18])
def test_a_server_that_crashes_in_a_commit_is_asked_once_it_is_back(
    version: int, pg18: Server, database: Callable[[Server], str], program: Path, tmp_path: Path
) -> None:
    with start_postgres(version, settings={"synchronous_commit": "on"}) as server:  # so that the first load survives
        pair = Pair(version, database(pg18), server.create_database("warehouse"), program, tmp_path)
        pair.make_table("orders")
        pair.run("orders")
        pair.change("orders")
        with slow_commits(pair):
            run = start(pair.job("orders"))
            wait_until(lambda: sessions(pair.target, "wait_event = 'advisory'"), "the load commits")
            crash(server)
            server.restart()
            with pytest.raises(TargetError):
                run.result(60)
            assert len(pair.loads("orders")) == 1
        check_success(pair, pair.run("orders"), 2)


def check_success(pair: Pair, report: rowferry.Report, n_loads: int) -> None:
    loads = pair.loads("orders")
    assert len(loads) == n_loads
    assert loads[-1]["load_id"] == report.load_id
    pair.check_books("orders")
    pair.check_nothing_is_left()
