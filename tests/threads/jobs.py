"""Runs, watches and cancels jobs on threads of Python's; the extension is that of the folder given first.

    LD_PRELOAD=libtsan.so python tests/threads/jobs.py build/threads JSON
"""

from __future__ import annotations

import json
import sys
import threading

sys.path.insert(0, sys.argv[1])

import _native

ROUNDS = 8
EXPECTED = {"ok", "cancelled", "busy"}


def execute(job: _native.Job, seen: threading.Event, outcomes: list[str]) -> None:
    try:
        job.execute("run", on_progress=lambda _: seen.set())
        outcomes.append("ok")
    except _native.Error as error:
        outcomes.append(json.loads(error.args[0])["code"])
    seen.set()


def main() -> int:
    outcomes: list[str] = []
    for number in range(ROUNDS):
        jobs = [_native.Job(sys.argv[2]) for _ in range(2)]
        seen = [threading.Event() for _ in jobs]
        threads = [threading.Thread(target=execute, args=(job, event, outcomes)) for job, event in zip(jobs, seen, strict=True)]
        for thread in threads:
            thread.start()
        if number % 2:
            seen[0].wait()
        jobs[number % 2].cancel()
        for thread in threads:
            thread.join()
    print(*outcomes)
    return 0 if len(outcomes) == 2 * ROUNDS and set(outcomes) <= EXPECTED else 1


if __name__ == "__main__":
    sys.exit(main())
