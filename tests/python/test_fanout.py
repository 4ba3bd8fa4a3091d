from __future__ import annotations

import threading
from contextlib import closing
from typing import Any

import pytest

from rowferry import Job
from rowferry.errors import CancelledError, InternalError, SourceError
from rowferry.fanout import side_by_side

from .conftest import URIS, FakeCore

SECONDS = 10.0


def _jobs(*tables: str) -> list[Job]:
    return [Job(**URIS, table=table) for table in tables]


def _nothing(*_: Any) -> None:
    pass


def test_every_job_has_one_outcome_and_one_that_fails_does_not_stop_the_others() -> None:
    def work(job: Job, _: Any) -> str:
        if job.table == "b":
            raise SourceError("gone")
        return job.table

    outcomes = list(side_by_side(_jobs("a", "b", "c"), work, 2, _nothing))
    assert {o.value for o in outcomes if not o.error} == {"a", "c"}
    assert [(o.job.table, str(o.error)) for o in outcomes if o.error] == [("b", "gone")]


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_no_more_than_n_jobs_run_at_a_time(n_threads: int) -> None:
    lock, running, most = threading.Lock(), 0, 0
    together = threading.Barrier(min(n_threads, 4))

    def work(*_: Any) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait(SECONDS)
        with lock:
            running -= 1

    assert len(list(side_by_side(_jobs(*"abcd"), work, n_threads, _nothing))) == 4
    assert most == min(n_threads, 4)


@pytest.mark.parametrize("bug", [KeyError, SystemExit])
def test_a_bug_in_one_job_is_an_internal_error_of_that_job(bug: type[BaseException]) -> None:
    def work(*_: Any) -> None:
        raise bug("oops")

    (outcome,) = side_by_side(_jobs("a"), work, 1, _nothing)
    assert isinstance(outcome.error, InternalError)
    assert bug.__name__ in str(outcome.error)


def test_progress_is_shown_in_the_callers_thread() -> None:
    seen: list[Any] = []

    def work(_: Job, on_progress: Any) -> None:
        on_progress({"phase": "read", "rows": 1, "bytes": 1, "seconds": 0.0})

    list(side_by_side(_jobs("a"), work, 1, lambda _, progress: seen.append((threading.current_thread(), progress))))
    assert {thread for thread, _ in seen} == {threading.current_thread()}
    assert [progress and progress["rows"] for _, progress in seen] == [1, None]


def test_an_interrupt_cancels_every_job_and_waits_for_those_under_way(core: FakeCore) -> None:
    started, ended = threading.Semaphore(0), []

    def work(job: Job, on_progress: Any) -> None:
        on_progress({"phase": "read", "rows": 0, "bytes": 0, "seconds": 0.0})
        started.release()
        assert core_of[job.table].cancelled.wait(SECONDS)
        ended.append(job.table)
        raise CancelledError("cancelled")

    jobs = _jobs("a", "b", "c", "d")
    core_of = dict(zip("abcd", core.made, strict=True))

    def interrupt(*_: Any) -> None:
        for _ in range(2):
            assert started.acquire(timeout=SECONDS)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), closing(side_by_side(jobs, work, 2, interrupt)) as outcomes:
        list(outcomes)
    assert sorted(ended) == ["a", "b"]
    assert all(made.cancelled.is_set() for made in core_of.values())
