"""Runs every test of the checkout and ends with one line of figures; exit code 1 unless all of them are good.

    .venv/bin/python .ci/test.py [--native-only] [arguments of pytest …]
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILDS = ("gcc", "sanitized")
PYTEST_REPORT = Path("build/pytest.xml")


@dataclass(frozen=True)
class Figures:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Figures) -> Figures:
        return Figures(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def main(arguments: list[str]) -> int:
    os.chdir(ROOT)
    native_only = "--native-only" in arguments
    started = time.monotonic()
    total = compiled() + native_units()
    if not native_only:
        total += python_tests(arguments)
    print(f"{total} in {time.monotonic() - started:.0f} s", flush=True)
    return 0 if total.passed and not total.failed else 1


def compiled() -> Figures:
    """All C under both compilers; stands for one test each."""
    headline("C compiles without a warning")
    code, _ = run(["flock", ".ci/.lock", "make", "--no-print-directory", "-k", f"-j{os.cpu_count()}", "compiled"])
    return Figures(passed=1) if code == 0 else Figures(failed=1)


def native_units() -> Figures:
    total = Figures()
    for build in BUILDS:
        for source in sorted(Path("tests/native").glob("test_*.c")):
            headline(f"{source.stem} ({build})")
            total += native_unit(Path("build", build, source.with_suffix("")))
    return total


def native_unit(program: Path) -> Figures:
    """One cmocka program. A crash counts as the failure of the test that ran; a leak found at the end as one more."""
    if not program.exists():
        print(f"{program} was not built")
        return Figures(failed=1)
    code, output = run([str(program)], capture=True)
    outcomes = {word: len(re.findall(rf"^\[ +{word} +\]", output, re.MULTILINE)) for word in ("RUN", "OK", "SKIPPED")}
    failed = outcomes["RUN"] - outcomes["OK"] - outcomes["SKIPPED"]
    if code != 0 or not outcomes["RUN"]:
        failed = max(failed, 1)
    if failed:
        print(output)
    return Figures(outcomes["OK"], failed, outcomes["SKIPPED"])


def python_tests(arguments: list[str]) -> Figures:
    headline("Python, integration, Airflow")
    PYTEST_REPORT.parent.mkdir(exist_ok=True)
    report = PYTEST_REPORT.with_suffix(f".{os.getpid()}.xml")  # another `make test` may run beside this one
    code, _ = run([sys.executable, "-E", "-m", "pytest", "--require-servers", f"--junitxml={report}", *arguments])
    if not report.exists():
        return Figures(failed=1)
    suite = xml.parse(report).getroot().find("testsuite")
    shutil.move(report, PYTEST_REPORT)
    tests, failures, errors, skipped = (int(suite.get(key)) for key in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    if code != 0:
        failed = max(failed, 1)
    return Figures(max(tests - failures - errors - skipped, 0), failed, skipped)


def headline(text: str) -> None:
    print(f"== {text}", flush=True)


def run(command: list[str], *, capture: bool = False) -> tuple[int, str]:
    """Exit code and output. Ctrl-C reaches the child by itself: wait for it to clean up, do not kill it.

    SIGTERM, which reaches only us, is passed on as Ctrl-C, so that pytest ends its servers.
    """
    stdout = subprocess.PIPE if capture else None
    process = subprocess.Popen(command, stdout=stdout, text=True, errors="replace")
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT))
    while True:
        try:
            output, _ = process.communicate()
        except KeyboardInterrupt:
            continue
        return process.returncode, output or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
