"""Any history of a table, with runs that break off in between, ends with the target equal to the source, in each mode's own meaning of equal.

Hypothesis draws the histories: rows inserted, updated, to equal values too, deleted, inserted again, all removed, keys that
change, columns that come, go and come again under the same name, masks that change, runs, runs that a cut connection or a lost answer ends at
some step, and runs that are killed there. CONFORMANCE=full takes every sink, and more histories. A mode is a class here: it says with which
settings runs are made, and what has to hold after a run and at the end.

Hypothesis begins with a history of nothing but the rule with the fewest values, of several the first by name: `change_nothing` costs no run.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar

import psycopg
import pytest
from conformance import SINKS, WIDE, Duckdb, Pair, Postgres, Sink, sinks, source_database
from counting_proxy import Pump, Session, Way
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from masks import KEY, masked
from program import compile_nth_write

from rowferry import _native, errors
from rowferry.demo.servers import Server

IDS = st.integers(1, 6)
TEXTS = st.sampled_from(["a", "b", "", "it's", None])
COLUMNS = ("c1", "c2")
"""Those that come and go: so few that they come again."""
MASKS = st.sampled_from([None, "hash", "truncate:1", "redact"])
numbers = itertools.count(1)
Row = tuple[Any, ...]


def drawn(sink: Sink) -> settings:
    """A DuckDB file is opened anew for each run and each look."""
    return settings(
        derandomize=not WIDE,
        database=None,
        deadline=None,
        max_examples=20 if WIDE else 5 if isinstance(sink, Duckdb) else 12,
        stateful_step_count=25 if WIDE else 12,
        phases=(Phase.generate, Phase.shrink) if WIDE else (Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )


class History(RuleBasedStateMachine):
    """A table whose rows have a key, a text, and columns that come and go.

    Attributes:
        settings: Of every run.
        ran: Whether a run was begun.
        struck: What a killed run needs: the core as a library, what kills at a change of a file, a folder.
    """

    settings: ClassVar[dict[str, Any]] = {}
    ran = False
    source: ClassVar[tuple[str, psycopg.Connection]]
    sink: ClassVar[Sink]
    struck: ClassVar[tuple[Path, Path, Path]]

    @initialize(dropped=st.sampled_from(["ignore", "apply"]), masks=st.booleans())
    def begin(self, dropped: str, masks: bool) -> None:
        self.make(dropped, masks)

    def make(self, dropped: str, masks: bool) -> None:
        self.pair = Pair(self.sink, *self.source, f"history_{next(numbers)}")
        self.pair.write("CREATE TABLE {t} (id int PRIMARY KEY, v text); INSERT INTO {t} VALUES (1, 'first'), (2, NULL)")
        self.added: list[str] = []
        self.masks, self.emptied = masks, False
        self.drawn: dict[str, Any] = {"on_schema_change": {"column_dropped": dropped}}

    # ---- what is held ----

    def holds_after_run(self, closes: bool) -> None:
        """Where the run closes what is gone, and where it may leave that."""
        raise NotImplementedError

    def holds_at_the_end(self) -> None:
        self.run(sweep="always", verify=True)
        self.holds_after_run(closes=True)

    def saw(self) -> None:
        """A run has loaded the source as it is now."""
        self.emptied = False

    def source_rows(self, columns: str) -> list[Row]:
        """As the target is to have them, id and text first."""
        mask = (self.drawn.get("mask") or {}).get("v")
        return sorted(((id, masked(v, mask), *others) for id, v, *others in self.pair.source_rows(columns)), key=repr)

    def rows(self) -> tuple[list[Row], list[Row]]:
        """Those of the source and those of the target that are not closed, in all columns of the source."""
        columns = ", ".join(["id", "v", *self.added])
        return self.source_rows(columns), sorted(self.pair.rows(columns), key=repr)

    # ---- what happens at the source ----

    @rule(ids=st.sets(IDS, min_size=1), v=TEXTS)
    def insert_or_update(self, ids: set[int], v: str | None) -> None:
        rows = "SELECT i, %s FROM unnest(%s::int[]) i"
        self._execute(f"INSERT INTO {{t}} (id, v) {rows} ON CONFLICT (id) DO UPDATE SET v = excluded.v", v, list(ids))

    @rule()
    def change_nothing(self) -> None:
        """The rows are updated to what they are."""
        self.pair.write("UPDATE {t} SET v = v")

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

    @rule(tells=st.booleans())
    def remove_all(self, tells: bool) -> None:
        """TRUNCATE shows in the catalogs."""
        self.pair.write("TRUNCATE {t}" if tells else "DELETE FROM {t}")
        self.emptied |= tells

    @rule(name=st.sampled_from(COLUMNS), default=st.booleans())
    def add_column_or_drop_it(self, name: str, default: bool) -> None:
        if name in self.added:
            self.added.remove(name)
            self.pair.write(f"ALTER TABLE {{t}} DROP {name}")
        else:
            self.added.append(name)
            self.pair.write(f"ALTER TABLE {{t}} ADD {name} int{' DEFAULT 7' if default else ''}")

    @rule(default=st.booleans())
    def drop_the_text_and_add_it_again(self, default: bool) -> None:
        value = " DEFAULT 'again'" if default else ""
        self.pair.write(f"ALTER TABLE {{t}} DROP v; ALTER TABLE {{t}} ADD v text{value}")

    def _execute(self, sql: str, *values: object) -> psycopg.Cursor[Row]:
        return self.pair.at_source.execute(sql.replace("{t}", self.pair.table), values)

    # ---- runs ----

    def given(self, **more: Any) -> dict[str, Any]:
        return {**self.settings, **self.drawn, **more}

    def run(self, **more: Any) -> None:
        self.ran = True
        self.pair.run(**self.given(**more))
        self.saw()

    @rule(mask=MASKS)
    def mask_otherwise(self, mask: str | None) -> None:
        self.drawn["mask"] = {"v": mask} if mask and self.masks else None

    @rule()
    def load(self) -> None:
        emptied = self.emptied
        self.run()
        self.holds_after_run(closes=emptied)

    @rule()
    def load_with_sweep(self) -> None:
        self.holds_at_the_end()

    @rule(step=st.integers(1, 60), at_target=st.booleans(), asks=st.booleans(), loses=st.booleans())
    def run_that_breaks_off(self, step: int, at_target: bool, asks: bool, loses: bool) -> None:
        end = "target" if at_target and self.sink.name == "postgres" else "source"
        with self.struck_run(), broken_way(self.pair.settings()[end], end, step, "asks" if asks else "answers", loses) as uri:
            try:
                self.pair.run(**self.given(**{end: uri}))
            except errors.RowferryError as error:
                assert not isinstance(error, errors.InternalError | errors.DataError | errors.SchemaDriftError), error.to_dict()

    @precondition(lambda self: self.sink.name in ("postgres", "duckdb"))
    @rule(step=st.sampled_from(_native.steps()), nth=st.integers(1, 2))
    def run_that_is_killed(self, step: str, nth: int) -> None:
        library, _, folder = self.struck
        with self.struck_run():
            self.pair.dies_at(library, folder, step, nth, **self.given())

    @precondition(lambda self: self.sink.name == "duckdb")
    @rule(nth=st.integers(1, 30))
    def run_that_is_killed_as_it_changes_the_file(self, nth: int) -> None:
        library, nth_write, folder = self.struck
        with self.struck_run():
            self.pair.dies_at(library, folder, "", 1, {"LD_PRELOAD": str(nth_write), "NTH_WRITE": str(nth)}, **self.given())

    @contextmanager
    def struck_run(self) -> Iterator[None]:
        """A run that may have committed before it ended, of which its load record tells."""
        before, self.ran = len(self.pair.loads()), True
        yield
        self.pair.wait_for_end()
        if len(self.pair.loads()) > before:
            self.saw()

    def teardown(self) -> None:
        """Where a run was begun the end holds, also when rows are then gone for a run and come back as they were, but for the transaction."""
        if self.ran:
            self._execute("INSERT INTO {t} (id, v) VALUES (1, 'last') ON CONFLICT DO NOTHING")
            self.holds_at_the_end()
            rows = self._execute("DELETE FROM {t} WHERE id <= 3 RETURNING *").fetchall()
            self.holds_at_the_end()
            for row in rows:
                self._execute(f"INSERT INTO {{t}} VALUES ({', '.join(['%s'] * len(row))})", *row)
            self.load()
            self.pair.write("DROP TABLE {t}")


class Merge(History):
    """The target holds the current row of each key; what is gone is closed by a sweep."""

    settings: ClassVar[dict[str, Any]] = {"capture": "xmin"}

    def holds_after_run(self, closes: bool) -> None:
        source, target = self.rows()
        there = {row[0] for row in source}
        assert [row for row in target if closes or row[0] in there] == source


class MergeFull(Merge):
    """Everything is read each time: what is gone is closed by every run."""

    settings: ClassVar[dict[str, Any]] = {"capture": "full"}

    def holds_after_run(self, closes: bool) -> None:
        super().holds_after_run(closes=True)


class Append(History):
    """The target holds each version of a row that a run saw, once."""

    settings: ClassVar[dict[str, Any]] = {"capture": "xmin", "mode": "append"}

    @initialize(masks=st.booleans())
    def begin(self, masks: bool) -> None:
        self.seen: dict[int, list[str | None]] = {}
        self.make("ignore", masks)  # versions that differ in a column alone would be the same without it

    def saw(self) -> None:
        super().saw()
        for id, v in self.source_rows("id, v"):
            texts = self.seen.setdefault(id, [])
            if texts[-1:] != [v]:
                texts.append(v)

    def holds_after_run(self, closes: bool) -> None:
        current = {row[0]: row[1:] for row in self.source_rows(", ".join(["id", "v", *self.added]))}
        versions = self.versions()
        assert {id: _without_repeats(v for deleted, v, *_ in rows if not deleted) for id, rows in versions.items()} == self.seen
        for rows in versions.values():
            assert len(rows) == len(_without_repeats(rows)), "a version is there twice"
            assert not any(before[0] and after[0] for before, after in itertools.pairwise(rows)), "what is gone went again"
        newest = {id: rows[-1][1 : 2 + len(self.added)] for id, rows in versions.items() if id in current}
        assert newest == current and not any(versions[id][-1][0] for id in current)
        if closes:
            assert {id for id, rows in versions.items() if not rows[-1][0]} == set(current)

    def versions(self) -> dict[int, list[Row]]:
        """Of each key, in the order of their loads: whether it is gone, the text, the columns of the source, those that it had before."""
        gone = [name for name in COLUMNS if name not in self.added and name in self.sink.columns(self.pair.table)]
        found = self.pair.rows(", ".join(["id", "_load_id", "_deleted_at", "v", *self.added, *gone]), "true")
        keys: dict[int, list[Row]] = {}
        for id, _, deleted, *values in sorted(found, key=lambda row: row[:2]):
            keys.setdefault(id, []).append((deleted is not None, *values))
        return keys


class Replace(History):
    """The target is the table as it was last read; nobody ever sees half of it."""

    settings: ClassVar[dict[str, Any]] = {"mode": "replace", "allow_empty": True}

    def holds_after_run(self, closes: bool) -> None:
        source, target = self.rows()
        assert target == source

    @contextmanager
    def struck_run(self) -> Iterator[None]:
        """Whatever it came to, the rows of before or those of now are there."""
        before = self.in_the_target()
        with super().struck_run():
            yield
        assert self.in_the_target() in (before, self.source_rows("id, v"))

    @precondition(lambda self: self.sink.name == "postgres")
    @rule()
    def load_while_others_read(self) -> None:
        """A reader looks after every step of the run at the target; while the table is altered there, it cannot."""
        before, looks = self.in_the_target(), []
        with psycopg.connect(self.sink.uri, autocommit=True) as reader:
            reader.execute("SET lock_timeout = '10ms'")

            def look() -> None:
                try:
                    looks.append(sorted(reader.execute(f"SELECT id, v FROM raw_postgres.{self.pair.table}").fetchall(), key=repr))
                except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.LockNotAvailable):
                    pass

            with watched_way(self.sink.uri, look) as uri:
                self.run(target=uri)
        assert looks or before is None
        assert all(seen in (before, self.source_rows("id, v")) for seen in looks)
        self.holds_after_run(closes=True)

    def in_the_target(self) -> list[Row] | None:
        """None when there is no table."""
        return sorted(self.pair.rows("id, v"), key=repr) if self.sink.columns(self.pair.table) else None


def _without_repeats(items: Any) -> list[Any]:
    return [item for item, _ in itertools.groupby(items)]


Strike = Callable[[Way, str, Session, bytes], None]


def broken_way(uri: str, end: str, nth: int, direction: str, loses: bool) -> Any:
    """A way to the server on which the nth step of a direction is never passed on, and its session ends."""

    def strike(way: Way, at: str, session: Session, step: bytes) -> None:
        if at != direction or way.passed[at] != nth:
            way.pass_on(at, session, step)
        elif loses and at == "asks":
            way.pass_on(at, session, step)
            way.lose_answer(session)
        else:
            way.cut(session)

    return proxied(uri, end, strike)


def watched_way(uri: str, look: Callable[[], None]) -> Any:
    """A way to the target on which somebody looks before each step."""

    def strike(way: Way, at: str, session: Session, step: bytes) -> None:
        look()
        way.pass_on(at, session, step)

    return proxied(uri, "target", strike)


@contextmanager
def proxied(uri: str, end: str, strike: Strike) -> Iterator[str]:
    pump, stop = Pump(), threading.Event()

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


@pytest.fixture(scope="module")
def struck(program: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    folder = tmp_path_factory.mktemp("struck")
    return program, compile_nth_write(folder), folder


sink = sinks(*(SINKS if WIDE else (Postgres, Duckdb)))


@pytest.mark.timeout(3600 if WIDE else 600)
@pytest.mark.parametrize("mode", [Merge, Append, Replace, *([MergeFull] if WIDE else [])], ids=lambda mode: mode.__name__)
def test_any_history_ends_with_the_target_equal_to_the_source(
    source: tuple[str, psycopg.Connection], sink: Sink, struck: tuple[Path, Path, Path], mode: type[History], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWFERRY_MASK_KEY", KEY)
    ours = type(mode.__name__, (mode,), {"source": source, "sink": sink, "struck": struck})
    run_state_machine_as_test(ours, settings=drawn(sink))
