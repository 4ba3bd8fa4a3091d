"""Runs, watches and cancels jobs on threads of Python's; every other one loads a stream of what it reads. The extension is that
of the folder given first.

    LD_PRELOAD=libtsan.so python tests/threads/jobs.py build/threads JSON
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator

sys.path.insert(0, sys.argv[1])

import _native

ROUNDS = 8
EXPECTED = {"ok", "cancelled", "busy"}


def run(document: dict[str, object]) -> tuple[_native.Job, Callable[..., str]]:
    job = _native.Job(json.dumps(document))
    return job, lambda on_progress: job.execute("run", on_progress)


def load(document: dict[str, object]) -> tuple[_native.Job, Callable[..., str]]:
    """The same rows, as streams that an iterator of Python's gives."""
    told = {name: document[name] for name in ("target", "table", "lease_seconds", "lock_timeout", "batch_bytes")}
    asked = {name: document[name] for name in ("source", "table", "batch_bytes")}
    job = _native.Job(json.dumps(told | {"keys": ["id"]}))

    def streams() -> Iterator[object]:
        for _ in range(2):
            read = _native.Read(json.dumps(asked))
            read.open()
            yield read.stream()

    return job, lambda on_progress: job.load(streams(), on_progress)


def execute(work: Callable[..., str], seen: threading.Event, outcomes: list[str]) -> None:
    try:
        work(on_progress=lambda _: seen.set())
        outcomes.append("ok")
    except _native.Error as error:
        outcomes.append(json.loads(error.args[0])["code"])
    seen.set()


def main() -> int:
    outcomes: list[str] = []
    for number in range(ROUNDS):
        jobs = [make(json.loads(sys.argv[2])) for make in (run, load)]
        seen = [threading.Event() for _ in jobs]
        threads = [threading.Thread(target=execute, args=(work, event, outcomes)) for (_, work), event in zip(jobs, seen, strict=True)]
        for thread in threads:
            thread.start()
        if number % 4 > 1:
            seen[number % 2].wait()
        jobs[number % 2][0].cancel()
        for thread in threads:
            thread.join()
    print(*outcomes)
    return 0 if len(outcomes) == 2 * ROUNDS and set(outcomes) <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
