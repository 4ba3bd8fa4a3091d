"""Any history of a table, with runs that break off in between, ends with the target equal to the source, in each mode's own meaning of equal.

Hypothesis draws the histories: rows inserted, updated, deleted, inserted again, keys that change, columns that come and go, runs, and
runs that a cut connection or a lost answer ends at some step. CONFORMANCE=full takes every sink, and more histories. A mode is a
class here: it says with which settings runs are made, and what has to hold after a run and at the end.
"""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import psycopg
import pytest
from conformance import SINKS, WIDE, Duckdb, Pair, Postgres, Sink, sinks, source_database
from counting_proxy import Pump, Session, Way
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from rowferry import errors
from rowferry.demo.servers import Server

DRAWN = settings(
    derandomize=not WIDE,
    database=None,
    deadline=None,
    max_examples=100 if WIDE else 6,
    stateful_step_count=30 if WIDE else 12,
    phases=(Phase.generate, Phase.shrink) if WIDE else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
IDS = st.integers(1, 6)
TEXTS = st.sampled_from(["a", "b", "", "it's", None])
numbers = itertools.count(1)


class History(RuleBasedStateMachine):
    """A table whose rows have a key, a text, and columns that come and go.

    Attributes:
        settings: Of every run.
    """

    settings: ClassVar[dict[str, Any]] = {}
    source: ClassVar[tuple[str, psycopg.Connection]]
    sink: ClassVar[Sink]

    @initialize()
    def begin(self) -> None:
        self.pair = Pair(self.sink, *self.source, f"history_{next(numbers)}")
        self.pair.write("CREATE TABLE {t} (id int PRIMARY KEY, v text); INSERT INTO {t} VALUES (1, 'first'), (2, NULL)")
        self.added: list[str] = []

    # ---- what is held ----

    def holds_after_run(self) -> None:
        raise NotImplementedError

    def holds_at_the_end(self) -> None:
        raise NotImplementedError

    def rows(self) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
        """Those of the source and those of the target that are not closed, in all columns of the source."""
        columns = ", ".join(["id", "v", *self.added])
        return sorted(self.pair.source_rows(columns), key=repr), sorted(self.pair.rows(columns), key=repr)

    # ---- what happens at the source ----

    @rule(id=IDS, v=TEXTS)
    def insert_or_update(self, id: int, v: str | None) -> None:
        self._execute("INSERT INTO {t} (id, v) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET v = excluded.v", id, v)

    @rule(id=IDS)
    def delete(self, id: int) -> None:
        self._execute("DELETE FROM {t} WHERE id = %s", id)

    @rule(id=IDS, v=TEXTS)
    def delete_and_insert_again(self, id: int, v: str | None) -> None:
        self._execute("WITH gone AS (DELETE FROM {t} WHERE id = %s) SELECT", id)
        self._execute("INSERT INTO {t} (id, v) VALUES (%s, %s)", id, v)

    @rule(old=IDS, new=IDS)
    def change_key(self, old: int, new: int) -> None:
        self._execute("UPDATE {t} SET id = %s WHERE id = %s AND NOT EXISTS (SELECT FROM {t} WHERE id = %s)", new, old, new)

    @rule(default=st.booleans())
    def add_column(self, default: bool) -> None:
        name = f"c{next(numbers)}"
        self.pair.write(f"ALTER TABLE {{t}} ADD {name} int{' DEFAULT 7' if default else ''}")
        self.added.append(name)

    @precondition(lambda self: self.added)
    @rule()
    def drop_column(self) -> None:
        self.pair.write(f"ALTER TABLE {{t}} DROP {self.added.pop()}")

    def _execute(self, sql: str, *values: object) -> None:
        self.pair.at_source.execute(sql.replace("{t}", self.pair.table), values)

    # ---- runs ----

    def run(self, **more: Any) -> None:
        """A run that ends well; a column that it refuses is made at the target as its hint says, as often as there are some."""
        while True:
            try:
                self.pair.run(**self.settings, **more)
                return
            except errors.SchemaDriftError as error:
                added = re.search(r'ADD COLUMN "(\w+)" ([^,]+),', error.hint or "")
                assert added, error.to_dict()
                self.pair.change(f'ALTER TABLE {{t}} ADD COLUMN "{added[1]}" {added[2]}')

    @rule()
    def load(self) -> None:
        self.run()
        self.holds_after_run()

    @rule(step=st.integers(1, 60), at_target=st.booleans(), asks=st.booleans(), loses=st.booleans())
    def run_that_breaks_off(self, step: int, at_target: bool, asks: bool, loses: bool) -> None:
        end = "target" if at_target and isinstance(self.sink, Postgres) and self.sink.name == "postgres" else "source"
        with broken_way(self.pair.settings()[end], end, step, "asks" if asks else "answers", loses) as uri:
            try:
                self.pair.run(**{**self.settings, end: uri})
            except errors.RowferryError as error:
                assert not isinstance(error, errors.InternalError | errors.DataError), error.to_dict()

    def teardown(self) -> None:
        if hasattr(self, "pair"):
            self.holds_at_the_end()
            self.pair.write("DROP TABLE {t}")


class Merge(History):
    """The target holds the current row of each key; what is gone is closed by a sweep."""

    settings: ClassVar[dict[str, Any]] = {"capture": "xmin"}

    def holds_after_run(self) -> None:
        """Rows that are gone may be left, and none of the others."""
        source, target = self.rows()
        there = {row[0] for row in source}
        assert [row for row in target if row[0] in there] == source

    def holds_at_the_end(self) -> None:
        self.run(sweep="always", verify=True)
        source, target = self.rows()
        assert target == source

    @rule()
    def load_with_sweep(self) -> None:
        self.holds_at_the_end()


class MergeFull(Merge):
    """Everything is read each time: what is gone is closed by every run."""

    settings: ClassVar[dict[str, Any]] = {"capture": "full"}

    def holds_after_run(self) -> None:
        source, target = self.rows()
        assert target == source


@contextmanager
def broken_way(uri: str, end: str, nth: int, direction: str, loses: bool) -> Iterator[str]:
    """A way to the server on which the nth step of a direction is never passed on, and its session ends."""
    pump, stop = Pump(), threading.Event()

    def strike(way: Way, at: str, session: Session, step: bytes) -> None:
        if at != direction or way.passed[at] != nth:
            way.pass_on(at, session, step)
        elif loses and at == "asks":
            way.pass_on(at, session, step)
            way.lose_answer(session)
        else:
            way.cut(session)

    def work() -> None:
        while not stop.is_set():
            pump.turn(0.02)

    way = Way(end, uri, pump, strike)
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield way.uri
    finally:
        stop.set()
        thread.join()
        way.close()
        pump.close()


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    with source_database(pg18, "histories") as made:
        yield made


sink = sinks(*(SINKS if WIDE else (Postgres, Duckdb)))


@pytest.mark.parametrize("mode", [Merge, MergeFull] if WIDE else [Merge], ids=lambda mode: mode.__name__)
def test_any_history_ends_with_the_target_equal_to_the_source(source: tuple[str, psycopg.Connection], sink: Sink, mode: type[History]) -> None:
    ours = type(mode.__name__, (mode,), {"source": source, "sink": sink})
    run_state_machine_as_test(ours, settings=DRAWN)
