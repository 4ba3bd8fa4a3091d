"""Two runs over one table at once: who waits, who takes over, and who must not commit."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager

import pytest
from runs import Pair, Process, held, sessions, shut_gate, sql, stands_at_gate, start, through_gate, wait_until

import rowferry
from rowferry import _native
from rowferry.errors import FencedOffError, TableBusyError, TargetError

STEPS = _native.steps()
LEASED = STEPS[STEPS.index("newest load") : STEPS.index("commit") + 1]
GATE_SHUT = through_gate()


@pytest.fixture
def orders(pair: Pair) -> Pair:
    pair.make_table("orders")
    return pair


def test_two_slow_runs_over_one_table_both_end_well(orders: Pair) -> None:
    with shut_gate(orders.source):
        first = start(orders.job("orders", where=GATE_SHUT, application="rowferry first"))
        wait_until(lambda: stands_at_gate(orders.source), "the first run reads")
        second = start(orders.job("orders", where=GATE_SHUT, application="rowferry second"))
        wait_for_lease(orders, "rowferry second")
    reports = [first.result(60), second.result(60)]
    assert [report.load_id for report in reports] == [1, 2]
    assert [report.this_try.inserted for report in reports] == [2000, 0]
    orders.check_books("orders")
    orders.check_nothing_is_left()


def test_a_load_longer_than_its_lease_keeps_it_while_another_run_waits(orders: Pair) -> None:
    with shut_gate(orders.source):
        first = start(orders.job("orders", where=GATE_SHUT, lease_seconds=1, application="rowferry first"))
        wait_until(lambda: stands_at_gate(orders.source), "the first run reads")
        second = start(orders.job("orders", where=GATE_SHUT, lease_seconds=1, application="rowferry second"))
        wait_for_lease(orders, "rowferry second")
        old = "SELECT 1 FROM _rowferry.leases WHERE clock_timestamp() > taken_at + interval '4 s' AND expires_at > clock_timestamp()"
        wait_until(lambda: sql(orders.target, old), "the lease is four times as old as it lasts")
        assert not first.done() and not second.done()
    assert [first.result(60).load_id, second.result(60).load_id] == [1, 2]
    orders.check_books("orders")


def test_a_merge_longer_than_its_lease_keeps_it_while_another_run_waits(orders: Pair) -> None:
    orders.run("orders")
    orders.change("orders")
    with held(orders.target, "SELECT 1 FROM raw_postgres.orders WHERE id = 1 FOR UPDATE"):
        first = start(orders.job("orders", lease_seconds=1, application="rowferry first"))
        wait_until(lambda: sessions(orders.target, "wait_event_type = 'Lock' AND query LIKE '%merged%'"), "the first run merges")
        second = start(orders.job("orders", lease_seconds=1, application="rowferry second"))
        wait_for_lease(orders, "rowferry second")
        expired = "SELECT 1 FROM _rowferry.leases WHERE clock_timestamp() > expires_at + interval '1 s'"
        wait_until(lambda: sql(orders.target, expired), "the lease's time has passed, as nobody could renew it")
        assert not first.done() and not second.done()
    assert [first.result(60).load_id, second.result(60).load_id] == [2, 3]
    orders.check_books("orders")


def test_a_comparison_longer_than_the_lease_is_not_cut_off(orders: Pair) -> None:
    """Only the statements that compare come to the gate, which opens after more than the lease."""
    with shut_gate(orders.source):
        where = through_gate("current_query() NOT LIKE '%md' || '5(%'")
        run = start(orders.job("orders", where=where, lease_seconds=1, verify=True))
        wait_until(lambda: stands_at_gate(orders.source), "the run compares")
        long_ago = "query_start < clock_timestamp() - interval '3 s'"
        wait_until(lambda: sessions(orders.source, long_ago), "three leases have gone by")
    assert run.result(60).verification.result == "equal"
    orders.check_books("orders")


@pytest.mark.parametrize("place", ["reading", "merging"])
def test_a_run_that_waited_too_long_says_who_holds_the_table(orders: Pair, place: str) -> None:
    with in_the_way(orders, place) as first:
        with pytest.raises(TableBusyError) as caught:
            orders.run("orders", run_id="morning", application="rowferry second", lock_timeout=0.5)
        for fact in ("raw_postgres.orders", '"night"', "try 1", "rowferry first"):
            assert fact in str(caught.value)
        assert caught.value.retryable
        assert not first.done()
    first.result(60)
    orders.check_books("orders")


@pytest.mark.parametrize("place", ["reading", "merging"])
def test_a_later_try_takes_over_at_once_and_the_earlier_one_commits_nothing(orders: Pair, place: str) -> None:
    with in_the_way(orders, place) as first:
        second = start(orders.job("orders", run_id="night", try_number=2, application="rowferry second"))
        taken = "SELECT 1 FROM _rowferry.leases WHERE try_number = 2"
        wait_until(lambda: sql(orders.target, taken), "the later try has the table while the earlier one stands still")
    with pytest.raises((FencedOffError, TargetError)):
        first.result(60)
    second.result(60)
    assert [load["try_number"] for load in orders.loads("orders") if load["run_id"] == "night"] == [2]
    orders.check_books("orders")
    orders.check_nothing_is_left()


@pytest.mark.parametrize("loaded_before", [False, True], ids=["first load", "merge"])
def test_a_run_stopped_for_longer_than_its_lease_is_replaced_and_commits_nothing_when_it_goes_on(
    pair: Pair, loaded_before: bool
) -> None:
    steps = [step for step in LEASED if step != "keys" or loaded_before]  # a first load has no keys to compare
    with ExitStack() as stack:
        stopped = {step: stack.enter_context(stopped_at(pair, step, loaded_before)) for step in steps}
        others = {step: start(pair.job(table_of(step), run_id="morning")) for step in steps}
        for step, other in others.items():
            assert other.result(60).load_id == 2 + loaded_before, step
        for process in stopped.values():
            process.go_on()
        for step, process in stopped.items():
            assert process.wait()["code"] in ("fenced", "target"), step
    for step in steps:
        assert [load["run_id"] for load in pair.loads(table_of(step))][loaded_before:] == ["morning"], step
        pair.check_books(table_of(step))
    pair.check_nothing_is_left()


@contextmanager
def in_the_way(pair: Pair, place: str) -> Iterator[Future[rowferry.Report]]:
    """The first try of run "night" stands still until the end of the block: at the source, or in its merge."""
    job = pair.job("orders", run_id="night", application="rowferry first")
    if place == "reading":
        with shut_gate(pair.source):
            first = start(job | {"where": GATE_SHUT})
            wait_until(lambda: stands_at_gate(pair.source), "the first run reads")
            yield first
        return
    pair.run("orders")
    pair.change("orders")
    with held(pair.target, "SELECT 1 FROM raw_postgres.orders WHERE id = 1 FOR UPDATE"):
        first = start(job)
        merges = "wait_event_type = 'Lock' AND query LIKE '%merged%'"
        wait_until(lambda: sessions(pair.target, merges), "the first run merges")
        yield first


def table_of(step: str) -> str:
    return step.replace(" ", "_") + "_step"


@contextmanager
def stopped_at(pair: Pair, step: str, loaded_before: bool) -> Iterator[Process]:
    """A run over a table of its own that has stopped at the step, lease keeper and all."""
    table = table_of(step)
    pair.make_table(table)
    if loaded_before:
        pair.run(table)
        pair.change(table)
    job = pair.job(table, run_id="night", lease_seconds=1, verify=step in ("verify", "commit"), sweep="always" if step == "keys" else "never")
    with pair.started(job, "stop", step, 1) as process:
        process.wait_for_stop()
        yield process


def wait_for_lease(pair: Pair, application: str) -> None:
    asks = f"application_name = '{application}' AND (query LIKE '%leases%' OR query LIKE '%lease %')"
    wait_until(lambda: sessions(pair.target, asks), "the second run waits for the table")
