"""Rounds of faults over one table: change the source, run the job with a fault, and hold the target to the books."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import psycopg
from books import TARGET, Books, Wrong
from counting_proxy import Pump, Session, Way
from journal import TABLE, Journal
from mariadb_server import MariaDb
from other_books import DuckdbBooks, MariadbBooks, SqliteBooks

from rowferry.demo.servers import Server

CAPTURES = ("xmin", "cursor", "full")
Process = subprocess.Popen[bytes]

BATCH_BYTES = 65536  # the smallest: three dozen rows of 4 kB make several batches
PATIENCE_S = 90

SPARING = {"trickle", "delay", "recv short", "recv EINTR", "send short", "send EINTR", "poll EINTR", "writes", "clock", "holder"}
BREAKING = {"cut", "truncate", "lose answer", "terminate", "recv reset", "send reset"}
DEADLY = {"kill", "kill after", "recv kill", "send kill", "file kill"}
CALLS = ("malloc", "recv short", "recv EINTR", "recv reset", "recv kill", "send short", "send EINTR", "send reset", "send kill", "poll EINTR")
TO_THE_STEP = ("cut", "truncate", "lose answer", "trickle", "kill")
BESIDE_THE_STEP = ("kill after", "delay", "terminate", "writes", "rival", "zombie", "tamper", "crash")  # and "clock", where it can be stepped

# Nobody alters a MariaDB target: that would wait for the run.
INTO_MARIADB = tuple(kind for kind in TO_THE_STEP + BESIDE_THE_STEP if kind not in ("tamper", "crash"))

# No way leads to a file: these strike at the source, or at the file. Only a process with a Python, as DuckDB's is, hears Ctrl-C.
AT_THE_SOURCE_OF_A_FILE = ("cut", "truncate", "lose answer", "trickle", "kill", "kill after", "delay", "terminate", "writes", "rival", "cancel", "crash")
AT_THE_FILE = ("file kill", "holder")
FILES = ("duckdb", "sqlite")
BOOKS: dict[str, type[Books]] = {"postgres": Books, "duckdb": DuckdbBooks, "sqlite": SqliteBooks, "mariadb": MariadbBooks}

# Someone's change of the target, and how it is undone; a dropped table is loaded anew.
TAMPERING = {
    "dropped": (f"DROP TABLE {TARGET}", ""),
    "renamed": (f"ALTER TABLE {TARGET} RENAME TO taken", f"DROP TABLE IF EXISTS {TARGET}; ALTER TABLE raw_postgres.taken RENAME TO {TABLE}"),
    "column added": (f"ALTER TABLE {TARGET} ADD COLUMN extra int DEFAULT 7", f"ALTER TABLE {TARGET} DROP COLUMN extra"),
    "column renamed": (  # a run that has not found it has added it anew
        f"ALTER TABLE {TARGET} RENAME COLUMN note TO remark",
        f"DO $$BEGIN ALTER TABLE {TARGET} RENAME COLUMN remark TO note; EXCEPTION WHEN duplicate_column THEN ALTER TABLE {TARGET} DROP COLUMN remark; END$$",
    ),
    "rewritten": (f"ALTER TABLE {TARGET} ALTER note TYPE text USING note || ''", ""),
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong, and at which step: the `nth` message of a direction of the way to an end, the `nth` call, or change of a file."""

    kind: str
    nth: int = 1
    end: str = "target"
    direction: str = "asks"

    def is_due(self, way: Way, direction: str) -> bool:
        return self.kind not in CALLS + AT_THE_FILE and (way.end, direction, way.passed[direction]) == (self.end, self.direction, self.nth)

    def __str__(self) -> str:
        place = "call" if self.kind in CALLS else "file" if self.kind in AT_THE_FILE else f"{self.end} {self.direction}"
        return f"{self.kind}, {place} {self.nth}"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a round is about."""

    capture: str = "xmin"
    shape: str = "heap"
    where: bool = False
    removes: bool = False
    clock_margin: float = 0.05
    connections: int = 1
    target: str = "postgres"

    def job(self) -> dict[str, Any]:
        """Settings of the job beyond its ends."""
        settings: dict[str, Any] = {
            "table": TABLE,
            "capture": self.capture,
            "batch_bytes": BATCH_BYTES,
            "connections": self.connections,
        }
        if self.capture == "cursor":
            settings |= {"sweep": "every 3", "audit": "every 5", "clock_margin": self.clock_margin}
        if self.shape == "no key":
            settings["keys"] = ["id"]
        if self.where:
            settings["where"] = "version % 3 <> 0"
        if self.removes:
            settings["on_delete"] = "remove"
        if self.target == "mariadb":
            settings["lease_seconds"] = 5  # so long a run may stand still that has the lock and has not said so yet
        return settings


@dataclass
class Outcome:
    """How a run ended: with a report, with an error, or by a signal."""

    said: dict[str, Any] | None = None
    fired: bool = False

    @property
    def load_id(self) -> int | None:
        return self.said.get("load_id") if self.said else None

    @property
    def error(self) -> dict[str, Any] | None:
        return self.said if self.said and "code" in self.said else None


@dataclass
class Tally:
    """Figures of any number of runs."""

    faults: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    into: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    lost: int = 0
    duplicated: int = 0
    otherwise_wrong: int = 0

    @property
    def is_wrong(self) -> bool:
        return bool(self.lost or self.duplicated or self.otherwise_wrong)

    def add(self, other: Tally) -> None:
        self.faults.update(other.faults)
        self.into.update(other.into)
        for name in ("runs", "rows", "lost", "duplicated", "otherwise_wrong"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def __str__(self) -> str:
        into = ", ".join(f"{n} into {target}" for target, n in sorted(self.into.items()))
        return (
            f"{sum(self.faults.values())} faults, {self.runs} runs ({into}), {self.rows} rows, "
            f"lost {self.lost}, duplicated {self.duplicated}, otherwise wrong {self.otherwise_wrong}"
        )


class Round:
    """One source table, one target, and the runs between them; everything that is drawn comes from `seed`."""

    def __init__(self, seed: int, setting: Setting, servers: tuple[Server, Server | MariaDb], program: Path, folder: Path) -> None:
        self.seed, self.setting, self._tally = seed, setting, Tally()
        self.chance = random.Random(seed)
        self.step_clock: Callable[[], None] = nothing
        self.steps: dict[tuple[str, str], int] = {}  # of the latest run that met no fault
        self._program, self._folder = program, folder
        self._is_file = setting.target in FILES
        self._servers = dict(zip(("source",) if self._is_file else ("source", "target"), servers, strict=False))
        self._uris = {end: made(server, f"{end}_{os.getpid()}_{seed}") for end, server in self._servers.items()}
        name = self._uris["source"].rpartition("/")[2]
        self._servers["source"].admin(f"ALTER DATABASE {name} SET synchronous_commit = off")
        self.journal = Journal(self._uris["source"], self.chance, setting.shape)
        self._file = folder / f"target_{seed}.{setting.target}"
        if self._is_file:
            self._uris["target"] = f"{setting.target}://{self._file}"
        target = str(self._file) if self._is_file else self._uris["target"]
        self.books = BOOKS[setting.target](target, self.journal, filtered=setting.where, removes=setting.removes)
        if isinstance(self.books, MariadbBooks):
            self.books.server = servers[1]
        self._run_id, self._try, self._is_quiet = 1, 0, False
        self._loads: list[dict[str, Any]] = []
        self._repair: Callable[[], None] = nothing

    def close(self) -> None:
        self.journal.close()
        self.books.close()
        for end, server in self._servers.items():
            if isinstance(server, Server):
                server.admin(f'DROP DATABASE "{self._uris[end].rpartition("/")[2]}" WITH (FORCE)')
        for path in self._file.parent.glob(f"{self._file.name}*"):
            path.unlink()

    def strike(self, fault: Fault | None = None) -> Outcome:
        """Runs the job with the fault, and checks what it said and what is there. Raises `Wrong`."""
        try:
            return self._strike(fault)
        except Wrong as wrong:
            wrong.add_note(f"{self.setting}, seed {self.seed}, run {self._run_id}, try {self._try}: {fault or 'no fault'}")
            raise

    def _strike(self, fault: Fault | None) -> Outcome:
        self._loads = []
        outcomes = self._run(fault)
        if fault and fault.kind in DEADLY:
            self._wait_until_nothing_is_left()  # its last statement may still be carried out
        self._repair()
        self._repair = nothing
        loads = self._settle_books()
        self._tally.runs += len(outcomes)
        self._tally.into[self.setting.target] += len(outcomes)
        self._tally.rows += sum(load["rows_read"] for load in loads)
        if fault and outcomes[0].fired:
            self._tally.faults[fault.kind] += 1
        judge(fault, outcomes, {load["load_id"] for load in loads})
        if loads:
            self._run_id, self._try = self._run_id + 1, 0
        return outcomes[0]

    def take_tally(self) -> Tally:
        """The figures since the last call."""
        tally, self._tally = self._tally, Tally()
        return tally

    def every_step(self, kind: str, end: str = "target", direction: str = "asks", stride: int = 1) -> int:
        """Fails step 1, 2, 3, … until a run ends without the fault firing. Returns how many fired."""
        nth = fired = 0
        while True:
            nth += self.chance.randint(1, 2 * stride - 1)
            if not self.strike(Fault(kind, nth, end, direction)).fired:
                return fired
            fired += 1
            self.journal.write(self.chance.randint(0, 3))

    def settle(self) -> None:
        """Everything that is open ends; a run then reads it all, the journal agrees with the table, and nothing is left."""
        self.journal.end_writers()
        self._is_quiet = True
        self.strike()
        self._is_quiet = False
        kept = self.books.kept(self.journal.now())
        if kept != {key: row for key, row in self.books.rows.items() if key in kept}:
            raise Wrong("the journal does not tell what the source holds")
        self._wait_until_nothing_is_left()

    def _settle_books(self) -> list[dict[str, Any]]:
        """All loads since the fault was prepared."""
        self._loads += self.books.settle()
        return self._loads

    # ---- runs --------------------------------------------------------------------------------------------------

    def _run(self, fault: Fault | None) -> list[Outcome]:
        """The run, and then those that its fault started."""
        outcome, others, pump = Outcome(), [], Pump()

        def on_step(way: Way, direction: str, session: Session, step: bytes) -> None:
            if fault and fault.is_due(way, direction) and not outcome.fired:
                outcome.fired = True
                others.extend(self._do_harm(fault, way, session, step, process) or [])
                return
            if not self._is_quiet and (way.end, direction) == ("source", "asks"):
                self.journal.write(self.chance.choice([0, 0, 0, 1, 2]), during=True)
            way.pass_on(direction, session, step)

        ways = [Way(end, self._uris[end], pump, on_step) for end in self._servers]
        process = self._start(self._uris | {way.end: way.uri for way in ways}, fault)
        try:
            outcome.said = pump_until_end(pump, process)
        finally:
            end(process)
            for way in ways:
                way.close()
            pump.close()
        if fault is None:
            self.steps = {(way.end, direction): n for way in ways for direction, n in way.passed.items()}
        if fault and fault.kind in CALLS + AT_THE_FILE:
            was_killed = process.returncode == -signal.SIGKILL
            outcome.fired = fault.kind == "holder" or was_killed or process.stderr.read() == b"struck"
        check_status(fault, process, outcome)
        return [outcome, *map(finished, others)]

    def _start(self, ends: dict[str, str], fault: Fault | None = None) -> Process:
        """The next try of the run."""
        self._try += 1
        verifies = self.chance.random() < 0.15
        job = self.setting.job() | ends | {"run_id": f"run {self._run_id}", "try_number": self._try, "verify": verifies}
        path = self._folder / f"job{self._try % 10}.json"
        path.write_text(json.dumps(job))
        command = [sys.executable, Path(__file__).with_name("run_file.py")] if self.setting.target == "duckdb" else [self._program]
        if self._is_file:
            return self._start_into_file([*command, path], fault)
        call = ["fail", fault.kind, str(fault.nth)] if fault and fault.kind in CALLS else []
        return subprocess.Popen([*command, path, *call], stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def _start_into_file(self, command: list[str | Path], fault: Fault | None) -> Process:
        """A holder has the file open first, for a while."""
        preloaded = {}
        if fault and fault.kind == "file kill":
            preloaded = {"LD_PRELOAD": str(self._program.with_name("nth_write.so")), "NTH_WRITE": str(fault.nth)}
        holder = self._hold_file() if fault and fault.kind == "holder" else None
        process = subprocess.Popen(command, env=os.environ | preloaded, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        if holder is not None:
            time.sleep(self.chance.uniform(0.1, 1.5))
            holder.close()
        return process

    def _hold_file(self) -> duckdb.DuckDBPyConnection | sqlite3.Connection:
        if self.setting.target == "duckdb":
            return duckdb.connect(str(self._file))
        session = sqlite3.connect(self._file)
        session.execute("BEGIN IMMEDIATE")
        return session

    def _wait_until_nothing_is_left(self) -> None:
        limit = time.monotonic() + PATIENCE_S
        while left := self.books.left_over() + self.journal.left_over():
            if time.monotonic() > limit:
                raise Wrong(f"left over: {left}")
            time.sleep(0.02)

    # ---- harm --------------------------------------------------------------------------------------------------

    def _do_harm(self, fault: Fault, way: Way, session: Session, step: bytes, process: Process) -> list[Process] | None:
        """What the fault does at its step; the runs that it started."""
        harm = getattr(self, f"_{fault.kind.replace(' ', '_')}")
        if fault.kind in TO_THE_STEP:
            return harm(way, fault.direction, session, step, process)
        others = harm(way, session, process)
        way.pass_on(fault.direction, session, step)
        return others

    def _cut(self, way: Way, direction: str, session: Session, step: bytes, process: Process) -> None:
        way.cut(session)

    def _truncate(self, way: Way, direction: str, session: Session, step: bytes, process: Process) -> None:
        way.pass_on(direction, session, step[: self.chance.randint(1, max(1, len(step) - 1))])
        way.cut(session)

    def _lose_answer(self, way: Way, direction: str, session: Session, step: bytes, process: Process) -> None:
        way.pass_on(direction, session, step)
        way.lose_answer(session)

    def _trickle(self, way: Way, direction: str, session: Session, step: bytes, process: Process) -> None:
        cuts = sorted(self.chance.randrange(len(step)) for _ in range(5))
        for begin, stop in zip([0, *cuts], [*cuts, len(step)], strict=True):
            way.pass_on(direction, session, step[begin:stop])

    def _kill(self, way: Way, direction: str, session: Session, step: bytes, process: Process) -> None:
        end(process)
        way.cut(session)

    def _kill_after(self, way: Way, session: Session, process: Process) -> None:
        process.kill()

    def _cancel(self, way: Way, session: Session, process: Process) -> None:
        process.send_signal(signal.SIGINT)

    def _delay(self, way: Way, session: Session, process: Process) -> None:
        time.sleep(0.05)

    def _terminate(self, way: Way, session: Session, process: Process) -> None:
        side = self.journal if way.end == "source" else self.books
        side.execute(way.protocol.end_session.format(session.backend))

    def _clock(self, way: Way, session: Session, process: Process) -> None:
        self.step_clock()

    def _writes(self, way: Way, session: Session, process: Process) -> None:
        self.journal.write(12, during=True)

    def _rival(self, way: Way, session: Session, process: Process) -> list[Process]:
        """A later try starts while this one goes on."""
        return [self._start(self._uris)]

    def _zombie(self, way: Way, session: Session, process: Process) -> list[Process]:
        """This try stands still, longer than the later one takes."""
        process.send_signal(signal.SIGSTOP)
        rival = self._start(self._uris)
        try:
            rival.wait(PATIENCE_S)
        finally:
            process.send_signal(signal.SIGCONT)
        return [rival]

    def _tamper(self, way: Way, session: Session, process: Process) -> None:
        """Someone alters the target, unless the run has locked it, and puts it right after the run."""
        what = self.chance.choice(list(TAMPERING))
        change, undo = TAMPERING[what]
        self._settle_books()
        try:
            self.books.execute(change)
        except (psycopg.errors.LockNotAvailable, psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
            return
        if what == "dropped":
            self.books.forget()
        self._repair = lambda: self._undo(what, undo)

    def _undo(self, what: str, undo: str) -> None:
        """A table that was renamed away may have been loaded anew meanwhile: then the new one stays."""
        if what == "renamed" and self.books.has_target():
            self.books.execute("DROP TABLE raw_postgres.taken")
            self.books.forget()
        elif undo:
            self.books.execute(undo)

    def _crash(self, way: Way, session: Session, process: Process) -> None:
        server = self._servers[way.end]
        self.books.close()
        self.journal.close_sessions()
        os.kill(server.pid, signal.SIGQUIT)
        server.restart()
        self.journal.connect()


def made(server: Server | MariaDb, name: str) -> str:
    """The URI of a new database; of MariaDB all of the server, emptied."""
    if isinstance(server, Server):
        return server.create_database(name)
    server.admin("DROP SCHEMA IF EXISTS raw_postgres", "DROP SCHEMA IF EXISTS _rowferry")
    return server.uri()


# ---- the process of a run ------------------------------------------------------------------------------------------


def pump_until_end(pump: Pump, process: Process) -> dict[str, Any] | None:
    """What the run printed, when it has ended."""
    printed: list[bytes] = []
    pump.watch(process.stdout, lambda: printed.append(os.read(process.stdout.fileno(), 65536)))
    limit = time.monotonic() + PATIENCE_S
    while not printed or printed[-1]:
        if time.monotonic() > limit:
            raise Wrong(f"the run hangs: it has not ended within {PATIENCE_S} s")
        pump.turn(1)
    process.wait(PATIENCE_S)
    text = b"".join(printed).strip()
    return json.loads(text) if text else None


def end(process: Process) -> None:
    if process.poll() is None:
        process.kill()
        process.wait(PATIENCE_S)


def finished(process: Process) -> Outcome:
    """Of a run that was not struck itself."""
    printed, _ = process.communicate(timeout=PATIENCE_S)
    if process.returncode not in (0, 1):
        raise Wrong(f"another run's process ended with {process.returncode}")
    return Outcome(json.loads(printed))


def check_status(fault: Fault | None, process: Process, outcome: Outcome) -> None:
    """A run may die of SIGKILL when that was the fault, and of nothing else."""
    was_killed = fault is not None and fault.kind in DEADLY and process.returncode == -signal.SIGKILL
    if process.returncode not in (0, 1) and not was_killed:
        raise Wrong(f"the process ended with {process.returncode}: {process.stderr.read()!r}")


# ---- what a run may say --------------------------------------------------------------------------------------------


def judge(fault: Fault | None, outcomes: list[Outcome], committed: set[int]) -> None:
    """A run that reports a load has committed it; one that fails has not; one that was killed says nothing."""
    reported = {outcome.load_id for outcome in outcomes if outcome.load_id}
    if reported - committed:
        raise Wrong(f"loads {reported - committed} were reported and are not there")
    silent = fault is not None and (fault.kind in DEADLY or fault.kind in ("malloc", "cancel"))
    if committed - reported and not silent:
        raise Wrong(f"loads {committed - reported} were committed and not reported: {[o.said for o in outcomes]}")
    first = outcomes[0]
    if (fault is None or fault.kind in SPARING or not first.fired) and first.load_id is None:
        raise Wrong(f"the run failed without need: {first.said}")
    if not all(later.load_id for later in outcomes[1:]):
        raise Wrong(f"a later try did not take over: {[later.said for later in outcomes[1:]]}")
    if first.error and not may_say(fault, first.error):
        raise Wrong(f"the run blames something else: {first.said}")


def may_say(fault: Fault, error: dict[str, Any]) -> bool:
    code = error["code"]
    if fault.kind == "cancel":
        return code == "cancelled"
    if fault.kind == "malloc":  # cJSON does not tell a text that is wrong from too little memory
        return "emory" in error["message"] or "not valid JSON" in error["message"]
    if fault.kind in BREAKING:
        return error["retryable"] and code == (fault.end if fault.kind not in CALLS else code) and code in ("source", "target")
    return code != "internal"


def nothing() -> None:
    """No repair is needed."""
