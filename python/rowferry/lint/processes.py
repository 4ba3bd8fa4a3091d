"""Work on many files by several processes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import TypeVar

FILES_EACH = 100  # fewer are done before another process has begun
_MOST = 4  # each takes some 100 MB, and reading the project stays with the first

T = TypeVar("T")
R = TypeVar("R")


def processors() -> int:
    """How many processes are worth it on this machine."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(allowed, _MOST)


def side_by_side(work: Callable[[T], R], items: Sequence[T], jobs: int) -> list[R]:
    """What `work` returns for each item, in their order.

    Forks, which have all that is read by now; none where another thread runs, whose locks a fork would keep. A share whose process
    ended without an answer, whatever ended it, is done here, and an error raised here.
    """
    jobs = min(jobs, len(items) // FILES_EACH)
    if jobs < 2 or threading.active_count() > 1:
        return [work(item) for item in items]
    answers = [_forked(work, items[n::jobs]) for n in range(1, jobs)]
    shares = [[work(item) for item in items[::jobs]]]
    for n, answer in enumerate(answers, 1):
        try:
            shares.append(answer.recv())
        except EOFError:
            shares.append([work(item) for item in items[n::jobs]])
    return [shares[i % jobs][i // jobs] for i in range(len(items))]


def _forked(work: Callable[[T], R], share: Sequence[T]) -> Connection:
    context = multiprocessing.get_context("fork")
    answer, send = context.Pipe(duplex=False)

    def run() -> None:
        with suppress(Exception, KeyboardInterrupt):
            send.send([work(item) for item in share])

    context.Process(target=run, daemon=True).start()
    send.close()  # so that the end of the process is the end of its answer
    return answer
