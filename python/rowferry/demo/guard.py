"""Runs one command and ends it, with every process it ever started, when standard input closes.

    python guard.py COMMAND [ARGUMENT ...]

The caller holds the other end of standard input, so the command ends when the caller asks for it and
also when the caller dies, however it dies. Processes that moved into a session of their own, or
whose parent is gone, are found as well: the guard adopts them (PR_SET_CHILD_SUBREAPER, prctl(2)).
The exit status is the command's, or 128 + N when signal N ended it. Linux only; standard library
only, because it is run by its path.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_GRACE_SECONDS = 2.0  # between asking the command to end and ending it
_STDIN = 0


def main(command: list[str]) -> int:
    _adopt_orphans()
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    _wait(child, None, or_closed_stdin=True)
    if child.poll() is None:
        child.terminate()
        _wait(child, _GRACE_SECONDS, or_closed_stdin=False)
    status = child.poll()
    _kill_descendants()
    if status is None:
        status = child.wait()
    return status if status >= 0 else 128 - status


def _adopt_orphans() -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _wait(child: subprocess.Popen[bytes], seconds: float | None, *, or_closed_stdin: bool) -> None:
    """Returns when the child has ended, standard input has closed (if asked), or time is up."""
    pidfd = os.pidfd_open(child.pid)
    try:
        select.select([pidfd, _STDIN] if or_closed_stdin else [pidfd], [], [], seconds)
    finally:
        os.close(pidfd)


def _kill_descendants() -> None:
    """Ends every descendant. Looks again after each round: a process may fork while it is ended."""
    while descendants := _descendants(os.getpid()):
        for pid in descendants:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.01)
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass
    except ChildProcessError:
        pass


def _descendants(root: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            pid, parent = _pid_and_parent(stat.read_text(errors="replace"))
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(pid)
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def _pid_and_parent(stat: str) -> tuple[int, int]:
    # proc(5): pid (comm) state ppid …; comm may hold spaces and parentheses.
    pid, _, rest = stat.partition(" (")
    return int(pid), int(rest.rpartition(") ")[2].split()[1])


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the caller, which then closes our input
    sys.exit(main(sys.argv[1:]))
