"""The full product of the conformance suite, with drawn histories, then the other Airflows, then random faults, on two cores: `make soak`, for an
hour or SOAK_SECONDS.

The suite takes each sink with each capture, each step and each PostgreSQL, to its end; the listener is tried in Airflow 2.11 and with dbt watched
by Cosmos; the rest of the time, and at least a minute, is for faults. Each core has servers of both versions and plays round after round: a table, a target, a way to load it,
sessions that change it, and a hundred faults. A round is its seed: `make soak SEED=…` plays that one alone.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import xml.etree.ElementTree as xml
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from books import Wrong
from journal import SHAPES
from mariadb_server import MariaDb, start_mariadb
from program import ROOT, compile_nth_write, compile_run_job
from rounds import AT_THE_FILE, AT_THE_SOURCE_OF_A_FILE, BESIDE_THE_STEP, CALLS, CAPTURES, FILES, INTO_MARIADB, TO_THE_STEP, Fault, Round, Setting, Tally

from rowferry.demo.servers import Server, clean_own_environment, start_postgres

WORKERS = 2
FAULTS_A_ROUND = 100
MOST_CALLS = {"malloc": 800, "recv": 90, "send": 60, "poll": 120}
LEAST_SECONDS = 60
MOST_CHANGES_OF_A_FILE = 40
WEIGHTS = dict.fromkeys(TO_THE_STEP + BESIDE_THE_STEP, 4.0) | dict.fromkeys(CALLS, 2.0) | {"malloc": 6.0, "crash": 0.6, "delay": 1.0}
FILE_WEIGHTS = dict.fromkeys(AT_THE_SOURCE_OF_A_FILE, 1.0) | {"file kill": 4.0, "holder": 1.0, "crash": 0.15}
TARGETS = ["postgres", "postgres", "postgres", "duckdb", "mariadb", "sqlite"]

Places = tuple[Server, Server, MariaDb]
Report = Callable[[Tally], None]


def main(seconds: float, seed: int | None) -> int:
    clean_own_environment()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the workers too end their servers
    with tempfile.TemporaryDirectory(prefix="rf-soak", dir="/tmp") as folder:
        program = compile_run_job(Path(folder))
        compile_nth_write(Path(folder))
        if seed is None:
            return conform_and_soak(seconds, program, Path(folder))
        total = Tally()
        with servers() as places:
            play(seed, places, program, Path(folder), float("inf"), total.add)
        print(total)
        return int(total.is_wrong)


def conform_and_soak(seconds: float, program: Path, folder: Path) -> int:
    """Ends with one line of all figures."""
    started = time.monotonic()
    conformance, conforms = conform(folder)
    airflows, all_told = held(folder, "other Airflows", ["tests/airflow/other_airflows.py"])
    figures = f"{conformance}; {airflows}"
    print(figures, flush=True)
    total, all_ended = soak(max(seconds - (time.monotonic() - started), LEAST_SECONDS), program, folder)
    print(f"{figures}; {total} in {time.monotonic() - started:.0f} s", flush=True)
    return int(not conforms or not all_told or total.is_wrong or not all_ended)


def conform(folder: Path) -> tuple[str, bool]:
    """The full product: its figures, and whether all of it holds."""
    workers = [f"--numprocesses={WORKERS}", "--dist=worksteal"]  # not a worker a file: they are a few files
    files = [f"tests/integration/test_{name}.py" for name in ("conformance", "histories", "drift_modes", "mask")]
    return held(folder, "conformance", [*workers, *files], CONFORMANCE="full")


def held(folder: Path, name: str, arguments: list[str], **environment: str) -> tuple[str, bool]:
    """What pytest says of some tests in a line, and whether all of them hold."""
    report = folder / "report.xml"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-E", "-m", "pytest", "-q", "--require-servers", f"--junitxml={report}", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, check=False)
    suite = xml.parse(report).getroot().find("testsuite") if report.exists() else None
    if suite is None:
        return f"{name}: did not run", False
    tests, failures, errors, skipped = (int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped"))
    failed = failures + errors
    return f"{name}: {tests - failed - skipped} held, {failed} failed, {skipped} skipped", done.returncode == 0


def soak(seconds: float, program: Path, folder: Path) -> tuple[Tally, bool]:
    """Plays on all workers until the time is up, and prints how it stands each minute. Returns whether all workers ended well, too."""
    tallies: Any = multiprocessing.Queue()
    started, total, next_minute = time.monotonic(), Tally(), 1
    seeds = range(random.SystemRandom().randrange(1_000_000), 1 << 62)
    workers = [
        multiprocessing.Process(target=work, args=(seeds[n::WORKERS], started + seconds, program, folder, tallies.put), daemon=True)
        for n in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    while any(worker.is_alive() for worker in workers) or not tallies.empty():
        try:
            total.add(tallies.get(timeout=1))
        except Empty:
            pass
        if time.monotonic() - started >= 60 * next_minute:
            print(f"{next_minute} min: {total}", flush=True)
            next_minute += 1
    for kind, n in total.faults.most_common():
        print(f"{n:8}  {kind}")
    return total, not any(worker.exitcode for worker in workers)


@contextmanager
def servers() -> Iterator[Places]:
    """A commit at a target must outlive the crash of its server; at the sources of rounds it need not."""
    settings = {"synchronous_commit": "on"}
    with start_postgres(15, settings=settings) as older, start_postgres(18, settings=settings) as newer, start_mariadb() as mariadb:
        yield older, newer, mariadb


def work(seeds: range, deadline: float, program: Path, folder: Path, report: Report) -> None:
    place = Path(tempfile.mkdtemp(dir=folder))
    with servers() as places:
        for seed in seeds:
            if time.monotonic() > deadline:
                return
            play(seed, places, program, place, deadline, report)


def play(seed: int, places: Places, program: Path, folder: Path, deadline: float, report: Report) -> None:
    """One round; what is wrong ends it, and is told with the command that plays it again."""
    chance = random.Random(seed)
    source, target = chance.choice(places[:2]), chance.choice(places[:2])
    setting = Setting(
        capture=chance.choice(CAPTURES),
        shape=chance.choice(list(SHAPES)),
        where=chance.random() < 0.25,
        removes=chance.random() < 0.25,
        connections=chance.choice([1, 1, 1, 3]),
        target=chance.choice(TARGETS),
    )
    ends = source, places[2] if setting.target == "mariadb" else target
    try:
        round_ = Round(seed, setting, ends, program, folder)
        try:
            for _ in range(FAULTS_A_ROUND):
                if time.monotonic() > deadline:
                    break
                round_.strike(draw_fault(chance, round_) if chance.random() < 0.9 else None)
                round_.journal.write(chance.randint(0, 4))
                report(round_.take_tally())
            round_.settle()
        finally:
            report(round_.take_tally())
            round_.close()
    except Wrong as wrong:
        print(f"make soak SEED={seed}\n{traceback.format_exc()}", flush=True)
        report(Tally(lost=wrong.lost, duplicated=wrong.duplicated, otherwise_wrong=int(not wrong.lost and not wrong.duplicated)))


def weights_of(target: str) -> dict[str, float]:
    if target == "mariadb":
        return {kind: WEIGHTS[kind] for kind in INTO_MARIADB}
    if target == "sqlite":
        return {kind: weight for kind, weight in FILE_WEIGHTS.items() if kind != "cancel"}
    return FILE_WEIGHTS if target == "duckdb" else WEIGHTS


def draw_fault(chance: random.Random, round_: Round) -> Fault:
    is_file = round_.setting.target in FILES
    weights = weights_of(round_.setting.target)
    kind = chance.choices(list(weights), list(weights.values()))[0]
    if kind in AT_THE_FILE:
        return Fault(kind, chance.randint(1, MOST_CHANGES_OF_A_FILE))
    if kind in CALLS:
        return Fault(kind, chance.randint(1, MOST_CALLS[kind.split()[0]]))
    end = "source" if is_file else chance.choice(["source", "target", "target"])
    direction = chance.choice(["asks", "asks", "answers"])
    if end == "target" and round_.setting.target == "mariadb":
        direction = "asks"  # its driver (3.1.15) crashes on a result of which a part has come
    return Fault(kind, chance.randint(1, 1 + round_.steps.get((end, direction), 30)), end, direction)


if __name__ == "__main__":
    sys.exit(main(float(os.environ.get("SOAK_SECONDS") or 3600), int(os.environ["SEED"]) if os.environ.get("SEED") else None))
