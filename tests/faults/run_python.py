"""Runs the job of a file and prints how it ended, and when. A line on standard input calls `Job.cancel`."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import rowferry


class Terminated(Exception):
    """Raised by the handler of SIGTERM."""


def terminate(number: int, frame: object) -> None:
    raise Terminated


def main() -> None:
    job = rowferry.Job.from_dict(json.loads(Path(sys.argv[1]).read_text()))
    signal.signal(signal.SIGTERM, terminate)
    threading.Thread(target=lambda: os.read(0, 1) and job.cancel(), daemon=True).start()
    try:
        outcome = {"load_id": job.run().load_id}
    except BaseException as error:
        outcome = {"raised": type(error).__name__}
    print(json.dumps({**outcome, "at": time.monotonic()}))


if __name__ == "__main__":
    main()
