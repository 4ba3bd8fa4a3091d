"""Step 1 fails, then step 2, then 3, until a run ends without the fault: no row is lost, none doubled, no state is ahead of its data.

Four sessions change the source meanwhile, in every way that makes a copy lose rows. Reads from PostgreSQL 15, loads into 18,
MariaDB, and DuckDB and SQLite files.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rounds import Fault, Round, Setting

from rowferry.demo.servers import Server

REQUESTS = [("source", "asks"), ("target", "asks")]
ANSWERS = [("source", "answers"), ("target", "answers")]
AT_SOURCE, AT_TARGET = [REQUESTS[0]], [REQUESTS[1]]

LATER_LOADS = {
    "cut": AT_TARGET,
    "truncate": ANSWERS,
    "lose answer": REQUESTS,
    "kill": AT_TARGET,
    "kill after": AT_SOURCE,
    "terminate": REQUESTS,
    "tamper": AT_TARGET,
    "rival": AT_TARGET,
    "zombie": AT_TARGET,
}
OTHERS = {
    "full read of partitions": ("lose answer", Setting(capture="full", shape="partitions")),
    "filter, and a key that may repeat": ("cut", Setting(shape="no key", where=True)),
    "cursor, audits and sweeps": ("lose answer", Setting(capture="cursor", removes=True)),
    "three readers": ("terminate", Setting(shape="partitions", connections=3)),
}
INTO_MARIADB = ("cut", "lose answer", "kill", "kill after", "terminate", "rival", "zombie")
INTO_A_FILE = {
    "duckdb": {"file kill": 1, "kill": 1, "cancel": 2, "rival": 4},
    "sqlite": {"file kill": 4, "kill": 1, "rival": 2},
}
CALLS = {"malloc": 20} | dict.fromkeys(("recv short", "recv EINTR", "recv reset", "send short", "send EINTR", "send reset", "poll EINTR"), 4)


@pytest.fixture
def start(request: pytest.FixtureRequest, pg15: Server, pg18: Server, program: Path, tmp_path: Path) -> Iterator[Callable[[Setting], Round]]:
    """A round whose seed is the test's name: the same test makes the same faults."""
    rounds: list[Round] = []

    def begin(setting: Setting) -> Round:
        target = request.getfixturevalue("mariadb") if setting.target == "mariadb" else pg18
        rounds.append(Round(zlib.crc32(request.node.name.encode()), setting, (pg15, target), program, tmp_path))
        return rounds[-1]

    yield begin
    for round_ in rounds:
        round_.close()


@pytest.mark.parametrize("fault", LATER_LOADS)
def test_no_step_of_a_later_load_loses_or_doubles_a_row_when_it_fails(start: Callable[[Setting], Round], fault: str) -> None:
    round_ = start(Setting())
    round_.strike()
    for end, direction in LATER_LOADS[fault]:
        each_row_is_one = (end, direction) == ("source", "answers")
        assert round_.every_step(fault, end, direction, stride=5 if each_row_is_one else 1) >= 10
    round_.settle()


def test_no_step_of_a_first_load_loses_or_doubles_a_row_when_it_fails(start: Callable[[Setting], Round]) -> None:
    round_ = start(Setting())
    for end, direction in REQUESTS:
        assert round_.every_step("cut", end, direction) >= 10
        round_.settle()


def test_a_run_that_stops_while_it_makes_the_control_tables_holds_up_no_other_for_long(start: Callable[[Setting], Round]) -> None:
    """No lease shows that it stands there."""
    round_ = start(Setting())
    round_.strike(Fault("zombie", 12))
    round_.settle()


@pytest.mark.parametrize("setting", OTHERS)
def test_no_step_of_another_way_to_load_loses_or_doubles_a_row_when_it_fails(start: Callable[[Setting], Round], setting: str) -> None:
    fault, others = OTHERS[setting]
    round_ = start(others)
    first = round_.strike()
    assert first.said and first.said["connections"] == others.connections
    for end, direction in REQUESTS:
        assert round_.every_step(fault, end, direction) >= 10
    round_.settle()


@pytest.mark.parametrize("fault", INTO_MARIADB)
def test_no_step_of_a_load_into_mariadb_loses_or_doubles_a_row_when_it_fails(start: Callable[[Setting], Round], fault: str) -> None:
    """One packet of each few, drawn."""
    round_ = start(Setting(target="mariadb", removes=True))
    round_.strike()
    assert round_.every_step(fault, *AT_TARGET[0], stride=6) >= 5
    round_.settle()


def test_no_step_of_a_first_load_into_mariadb_loses_or_doubles_a_row_when_it_fails(start: Callable[[Setting], Round]) -> None:
    """Each CREATE commits by itself there; one packet of each few, drawn."""
    round_ = start(Setting(target="mariadb"))
    assert round_.every_step("cut", *AT_TARGET[0], stride=2) >= 10
    round_.settle()


@pytest.mark.parametrize(("target", "fault"), [(target, fault) for target, faults in INTO_A_FILE.items() for fault in faults])
def test_no_step_of_a_load_into_a_file_loses_or_doubles_a_row_when_it_fails(start: Callable[[Setting], Round], target: str, fault: str) -> None:
    """At the source, or at each change of the file; one of each few, drawn."""
    round_ = start(Setting(target=target, removes=True))
    round_.strike(Fault("holder"))
    assert round_.every_step(fault, "source", "asks", stride=INTO_A_FILE[target][fault]) >= 4
    round_.settle()


@pytest.mark.parametrize("call", CALLS)
def test_no_call_that_fails_loses_or_doubles_a_row(start: Callable[[Setting], Round], call: str) -> None:
    """Memory, and what the socket takes and gives, in the real process and in libpq; one call of each few, drawn."""
    round_ = start(Setting())
    round_.strike()
    assert round_.every_step(call, stride=CALLS[call]) >= 5
    round_.settle()


def test_messages_that_arrive_in_pieces_and_late_change_nothing(start: Callable[[Setting], Round]) -> None:
    round_ = start(Setting())
    for nth in range(1, 40, 5):
        for end, direction in REQUESTS + ANSWERS:
            round_.strike(Fault("trickle", nth, end, direction))
        round_.journal.write(2)
    round_.strike(Fault("delay", 12, "source", "answers"))
    round_.settle()
