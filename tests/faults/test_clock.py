"""A source whose clock is stepped, back and forth, between runs and at any step of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from itertools import count
from pathlib import Path

import pytest
from rounds import Round, Setting

from rowferry.demo.servers import Server, start_postgres

AN_HOUR = (-3600, 0, 3600)
WITHIN_THE_MARGIN = (-25, 0, 30)
CASES = {"xmin": (15, Setting(), AN_HOUR), "cursor": (18, Setting(capture="cursor", clock_margin=60), WITHIN_THE_MARGIN)}


@contextmanager
def server_with_a_clock(version: int, control: Path) -> Iterator[Server]:
    """Its clock is off by the seconds that the file says, from the moment they are written."""
    libraries = glob("/usr/lib/*/faketime/libfaketime.so.1")
    if not libraries:
        pytest.skip("libfaketime is not installed")
    environment = {
        "LD_PRELOAD": libraries[0],
        "FAKETIME_TIMESTAMP_FILE": str(control),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    with start_postgres(version, environment=environment) as server:
        yield server


@pytest.mark.parametrize("case", CASES)
def test_no_step_of_the_sources_clock_loses_a_row_or_takes_time_back(case: str, pg18: Server, program: Path, tmp_path: Path) -> None:
    """Minutes pass between a few runs and the next few; a cursor is promised no more than its margin."""
    version, setting, offsets = CASES[case]
    control = Path(f"/tmp/rf-clock-{tmp_path.parent.name[-8:]}-{case}")  # the server's user cannot look into ours
    control.write_text("+0")
    try:
        with server_with_a_clock(version, control) as server:
            round_ = Round(3, setting, (server, pg18), program, tmp_path)
            round_.journal.is_altered = False  # the server's own time-outs go by the clock that is stepped
            elapsed = (n // 6 * 200 for n in count())
            round_.step_clock = lambda: control.write_text(f"{next(elapsed) + round_.chance.choice(offsets):+d}")
            assert round_.every_step("clock", "source", "asks") >= 10
            round_.settle()
            round_.close()
    finally:
        control.unlink()
