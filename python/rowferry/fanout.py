"""Several jobs side by side, each on a thread, watched by the main thread.

The main thread only waits and draws, so that a signal reaches it at once; it then cancels every job and
waits for them to end, since a job that is cancelled still has statements to stop on two servers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from rowferry.errors import InternalError, RowferryError
from rowferry.job import Job, OnProgress, Progress

__all__ = ["Outcome", "Work", "side_by_side"]

Work = Callable[[Job, OnProgress], Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one job ended: with a value, or with an error."""

    job: Job
    value: Any = None
    error: RowferryError | None = None


def side_by_side(
    jobs: Sequence[Job], work: Work, n_threads: int, show: Callable[[Job, Progress | None], object]
) -> Generator[Outcome, None, None]:
    """Do `work` for every job, `n_threads` at a time, and yield the outcomes as they come.

    `show` is called in the caller's thread, with each job's progress and, when it has ended, with None.
    An exception in the caller's thread, KeyboardInterrupt among them, cancels what is under way.
    """
    waiting = deque(jobs)
    events: SimpleQueue[Outcome | tuple[Job, Progress]] = SimpleQueue()
    threads = [
        threading.Thread(target=_worker, args=(waiting, work, events), daemon=True)
        for _ in range(min(n_threads, len(jobs)))
    ]
    n_open = len(jobs)
    try:
        for thread in threads:
            thread.start()
        while n_open:
            event = events.get()
            if isinstance(event, Outcome):
                n_open -= 1
                show(event.job, None)
                yield event
            else:
                show(*event)
    finally:
        waiting.clear()
        if n_open:
            for job in jobs:
                job.cancel()
        for thread in threads:
            if thread.ident:
                thread.join()


def _worker(waiting: deque[Job], work: Work, events: SimpleQueue[Any]) -> None:
    while True:
        try:
            job = waiting.popleft()
        except IndexError:
            return
        events.put(_attempt(job, work, lambda progress, job=job: events.put((job, progress))))


def _attempt(job: Job, work: Work, on_progress: OnProgress) -> Outcome:
    try:
        return Outcome(job=job, value=work(job, on_progress))
    except RowferryError as error:
        return Outcome(job=job, error=error)
    except BaseException as error:  # a thread that dies in silence would be waited for without end
        return Outcome(job=job, error=InternalError(f"{type(error).__name__}: {error}"))
