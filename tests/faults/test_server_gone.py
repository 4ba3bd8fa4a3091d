"""A server, or a session of it, that goes away while rows are on their way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import pytest
from runs import Pair, crash, held, sessions, shut_gate, sql, stands_at_gate, start, through_gate, wait_until

import rowferry
from rowferry.demo.servers import Server, start_postgres
from rowferry.errors import RowferryError, SourceError, TargetError

ERRORS: dict[str, type[RowferryError]] = {"source": SourceError, "target": TargetError}
HALF_WAY = through_gate("id < 1500")  # by then several batches have been written


@pytest.mark.parametrize("loaded_before", [False, True], ids=["first load", "merge"])
@pytest.mark.parametrize("end", ERRORS)
def test_a_session_ended_while_rows_are_read_is_an_error_of_its_side_and_leaves_nothing(
    pair: Pair, end: str, loaded_before: bool
) -> None:
    before = prepare(pair, loaded_before)
    with half_way(pair) as run:
        uri = getattr(pair, end)
        wait_until(lambda: written(pair), "rows are at the target")
        busy = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COPY%'"
        assert sql(uri, f"{busy} AND datname = current_database()") == [(True,)]
        if end == "source":
            with pytest.raises(SourceError):
                run.result(60)
    check_failure(pair, run, end, before)
    check_next_run(pair)


@pytest.mark.parametrize("loaded_before", [False, True], ids=["first load", "merge"])
@pytest.mark.parametrize("end", ERRORS)
@pytest.mark.parametrize("version", [15, 18])
def test_a_server_that_crashes_while_rows_are_read_is_an_error_of_its_side_and_leaves_nothing(
    version: int, end: str, loaded_before: bool, pg18: Server, database: Callable[[Server], str], program: Path, tmp_path: Path
) -> None:
    with start_postgres(version, settings={"synchronous_commit": "on"}) as server:
        here, there = server.create_database("one_end"), database(pg18)
        pair = Pair(version, *((here, there) if end == "source" else (there, here)), program, tmp_path)
        before = prepare(pair, loaded_before)
        with half_way(pair) as run:
            crash(server)
            if end == "source":
                with pytest.raises(SourceError):
                    run.result(60)
        check_outcome(run, end)
        server.restart()
        check_failure(pair, run, end, before)
        check_next_run(pair)


@pytest.mark.parametrize("waits_for", ["source", "target"])
def test_limits_that_a_database_sets_on_its_sessions_end_no_run(pair: Pair, waits_for: str) -> None:
    """Statements run, and transactions idle, for longer than the source allows by default."""
    pair.make_table("orders")
    pair.run("orders")
    pair.change("orders")
    name = pair.source.rpartition("/")[2]
    limits = ["statement_timeout", "idle_in_transaction_session_timeout"] + ["transaction_timeout"] * (pair.version >= 17)
    way = shut_gate(pair.source) if waits_for == "source" else held(pair.target, "LOCK TABLE raw_postgres.orders IN EXCLUSIVE MODE")
    with way:
        sql(pair.source, "; ".join(f"ALTER DATABASE {name} SET {limit} = '1s'" for limit in limits))
        run = start(pair.job("orders", where=through_gate(), verify=True))
        state = "active" if waits_for == "source" else "idle in transaction"
        long_ago = f"state = '{state}' AND state_change < clock_timestamp() - interval '2 s'"
        wait_until(lambda: run.done() or sessions(pair.source, long_ago), "the limit has passed twice")
    verification = run.result(60).verification
    assert verification is not None and verification.result == "equal"


def prepare(pair: Pair, loaded_before: bool) -> object:
    """What the target holds before the run that fails."""
    pair.make_table("orders")
    if loaded_before:
        pair.run("orders")
        pair.change("orders")
    return pair.target_rows("orders")


@contextmanager
def half_way(pair: Pair) -> Iterator[Future[rowferry.Report]]:
    """A run that has read some of the rows and gets the others at the end of the block."""
    with shut_gate(pair.source):
        run = start(pair.job("orders", where=HALF_WAY))
        wait_until(lambda: stands_at_gate(pair.source), "the run is half way")
        yield run


def written(pair: Pair) -> object:
    return sessions(pair.target, "query LIKE 'COPY%' AND wait_event = 'ClientRead'")


def check_outcome(run: Future[rowferry.Report], end: str) -> None:
    with pytest.raises(ERRORS[end]) as caught:
        run.result(60)
    assert caught.value.retryable


def check_failure(pair: Pair, run: Future[rowferry.Report], end: str, before: object) -> None:
    check_outcome(run, end)
    assert pair.target_rows("orders") == before
    assert len(pair.loads("orders")) == (before is not None)
    pair.check_nothing_is_left()


def check_next_run(pair: Pair) -> None:
    report = pair.run("orders", where=HALF_WAY, verify=True)
    assert report.verification is not None and report.verification.result == "equal"
    pair.check_books("orders")
