"""A worker imports rowferry in every task, so what is imported is part of the memory and time of each run."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("rich", "yaml", "click", "typer")


def _imported(code: str) -> set[str]:
    check = f"import sys; {code}; print(*(m for m in {HEAVY} if m in sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def test_the_library_imports_nothing_heavy() -> None:
    assert _imported("import rowferry") == set()


def test_a_command_without_a_terminal_imports_click_alone() -> None:
    nowhere = "['run', '--source', 'port=1', '--target', 'port=1', '--table', 't', '--connect-timeout', '1']"
    assert _imported(f"from rowferry import cli; assert cli.main({nowhere}) > 2") == {"click"}
