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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILDS = ("gcc", "sanitized", "threads", "torture")
VALGRIND = (
    "valgrind",
    "--quiet",
    "--error-exitcode=99",
    "--leak-check=full",
    "--errors-for-leak-kinds=definite,indirect,possible",
    "--suppressions=tests/native/valgrind.supp",
)
FUZZ_RUNS = 20_000  # of each target, always the same ones; `make fuzz` goes further
PROGRAM_SECONDS = 600  # a program that hangs fails, and the others still run
PYTEST_REPORT = Path("build/pytest.xml")
running: set[subprocess.Popen] = set()


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
    signal.signal(signal.SIGTERM, lambda *_: [process.send_signal(signal.SIGINT) for process in list(running)])
    total = compiled() + native_programs()
    if not native_only:
        total += python_linted() + python_tests(arguments)
    print(f"{total} in {time.monotonic() - started:.0f} s", flush=True)
    return 0 if total.passed and not total.failed else 1


def compiled() -> Figures:
    """All C under both compilers; stands for one test each."""
    headline("C compiles without a warning")
    code, _ = run(["flock", ".ci/.lock", "make", "--no-print-directory", "-k", f"-j{os.cpu_count()}", "compiled"])
    return Figures(passed=1) if code == 0 else Figures(failed=1)


def native_programs() -> Figures:
    """Every unit as it is, under each sanitizer, short of memory and under valgrind; every fuzz target for a while.

    As many at a time as there are processors; told in a fixed order.
    """
    checks: dict[str, Callable[[], tuple[Figures, str]]] = {}
    units = sorted(Path("tests/native").glob("test_*.c"))
    for source in units:
        for build in BUILDS:
            checks[f"{source.stem} ({build})"] = partial(unit, [str(program(build, source))])
        checks[f"{source.stem} (valgrind)"] = partial(unit, [*VALGRIND, str(program("gcc", source))])
    for source in sorted(Path("tests/fuzz").glob("fuzz_*.c")):
        checks[f"{source.stem} ({FUZZ_RUNS} runs)"] = partial(fuzz, source)
    total = Figures()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = [(title, pool.submit(check)) for title, check in checks.items()]
        for title, outcome in outcomes:
            figures, output = settled(outcome.result)
            headline(title)
            if figures.failed:
                print(output, flush=True)
            total += figures
    return total


def program(build: str, source: Path) -> Path:
    return Path("build", build, source.with_suffix(""))


def unit(command: list[str]) -> tuple[Figures, str]:
    """One cmocka program. A crash counts as the failure of the test that ran; what is found at the end as one more."""
    code, output = run([*fixed_addresses(), *command], capture=True)
    outcomes = {word: len(re.findall(rf"^\[ +{word} +\]", output, re.MULTILINE)) for word in ("RUN", "OK", "SKIPPED")}
    failed = outcomes["RUN"] - outcomes["OK"] - outcomes["SKIPPED"]
    if code != 0 or not outcomes["RUN"]:
        failed = max(failed, 1)
    return Figures(outcomes["OK"], failed, outcomes["SKIPPED"]), output


def fuzz(source: Path) -> tuple[Figures, str]:
    """One fuzz target: its corpus, then inputs made from it that are the same each time. Stands for one test."""
    folder = Path("build/fuzz", source.stem)
    shutil.rmtree(folder / "short", ignore_errors=True)
    (folder / "short").mkdir(parents=True)
    options = [f"-runs={FUZZ_RUNS}", "-seed=1", "-verbosity=0", f"-artifact_prefix={folder}/"]
    corpora = [folder / "short", source.parent / "corpus" / source.stem]  # new inputs go to the first
    code, output = run([*fixed_addresses(), str(program("clang", source)), *options, *map(str, corpora)], capture=True)
    return (Figures(passed=1) if code == 0 else Figures(failed=1)), output


@cache
def fixed_addresses() -> tuple[str, ...]:
    """The thread sanitizer of gcc 12 cannot place its memory where a newer kernel scatters a program's widely."""
    command = ("setarch", "--addr-no-randomize")
    allowed = subprocess.run([*command, "true"], stderr=subprocess.DEVNULL, check=False).returncode == 0
    return command if allowed else ()


def python_linted() -> Figures:
    """All Python by the rules of pyproject.toml; stands for one test."""
    headline("Python without a finding")
    code, _ = run([sys.executable, "-E", "-m", "ruff", "check", "--no-cache", "."])
    return Figures(passed=1) if code == 0 else Figures(failed=1)


def python_tests(arguments: list[str]) -> Figures:
    headline("Python, integration, Airflow")
    PYTEST_REPORT.parent.mkdir(exist_ok=True)
    report = PYTEST_REPORT.with_suffix(f".{os.getpid()}.xml")  # another `make test` may run beside this one
    # Tests mostly wait for servers of their own. In the order of folders the files that take minutes come first, and no worker is left with one at the end.
    workers = [f"--numprocesses={os.cpu_count()}", "--dist=loadscope", "--no-loadscope-reorder"]
    code, _ = run([sys.executable, "-E", "-m", "pytest", "--require-servers", "--versions-in-turn", *workers, f"--junitxml={report}", *arguments])
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
    """Exit code and output; a program whose output is captured has PROGRAM_SECONDS.

    Ctrl-C reaches the child by itself: wait for it to clean up, do not kill it. SIGTERM, which reaches only us,
    is passed on as Ctrl-C, so that pytest ends its servers.
    """
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if capture else {}
    try:
        process = subprocess.Popen(command, text=True, errors="replace", **streams)
    except OSError as error:
        return 127, f"{command[0]}: {error.strerror}"
    running.add(process)
    try:
        output, _ = settled(partial(process.communicate, timeout=PROGRAM_SECONDS if capture else None))
    except subprocess.TimeoutExpired:
        process.kill()
        output = f"{process.communicate()[0]}\nit did not end within {PROGRAM_SECONDS} s"
    running.discard(process)
    return process.returncode, output or ""


def settled(wait: Callable):
    """What `wait` returns, however often Ctrl-C interrupts it."""
    while True:
        try:
            return wait()
        except KeyboardInterrupt:
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
