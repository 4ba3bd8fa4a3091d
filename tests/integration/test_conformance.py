"""What every target promises, whatever it is and however rows are found: the same sentences for each sink and each PostgreSQL.

`conformance.py` has the sinks, and says what one cannot do and why. CONFORMANCE=full takes every capture, and every way to load later.
"""

from __future__ import annotations

import hashlib
import hmac
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conformance import PLACES, ROWS, TOUCH, WIDE, Pair, Sink, shut, source_database
from route import AT_THE_GATE, GATE, started, until, waits_for

import rowferry
from rowferry import _native, errors
from rowferry.demo.servers import Server
from rowferry.job import Call

STEPS = _native.steps()
CAPTURES: dict[str, dict[str, Any]] = {
    "xmin": {"capture": "xmin"},
    "cursor": {"capture": "cursor", "clock_margin": 0, "audit": "never"},
    "full": {"capture": "full"},
    "auto": {},
}
COUNTS = ("read", "staged", "inserted", "updated", "deleted", "stale", "duplicates")
numbers = itertools.count(1)


def captures(*names: str) -> pytest.MarkDecorator:
    """These captures, and all of them when the product is wide."""
    chosen = CAPTURES if WIDE else {name: CAPTURES[name] for name in names}
    return pytest.mark.parametrize("capture", chosen.values(), ids=list(chosen))


def only(*names: str) -> pytest.MarkDecorator:
    """These captures, for what others do not do."""
    return pytest.mark.parametrize("capture", [CAPTURES[name] for name in names], ids=list(names))


incremental = only("xmin", "cursor", "auto") if WIDE else only("xmin", "cursor")


@pytest.fixture(scope="module", params=PLACES, ids=lambda place: f"pg{place[0]}-{place[1].name}")
def place(request: pytest.FixtureRequest) -> tuple[Server, type[Sink]]:
    version, sink = request.param
    return request.getfixturevalue(f"pg{version}"), sink


@pytest.fixture(scope="module")
def source(place: tuple[Server, type[Sink]]) -> Iterator[tuple[str, psycopg.Connection]]:
    server, _ = place
    with source_database(server, "conformance", TOUCH, "SET timezone = 'UTC'") as made:
        yield made


@pytest.fixture(scope="module")
def sink(request: pytest.FixtureRequest, place: tuple[Server, type[Sink]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
    server, chosen = place
    made = chosen(server, tmp_path_factory.mktemp("sink"), request.getfixturevalue)
    yield made
    made.close()


@pytest.fixture
def pair(source: tuple[str, psycopg.Connection], sink: Sink) -> Pair:
    """A table's name that nobody has used, on both sides."""
    return Pair(sink, *source, f"items_{next(numbers)}")


@pytest.fixture
def items(pair: Pair) -> Pair:
    pair.make_items()
    return pair


# ---- loads -----------------------------------------------------------------------------------------------


@captures("xmin", "cursor", "full", "auto")
def test_a_first_load_brings_every_row_and_value_and_is_counted(items: Pair, capture: dict[str, Any]) -> None:
    report = items.run(**capture)
    assert report.first_load and report.target["channel"] == items.sink.channel
    assert {part: getattr(report.this_try, part) for part in COUNTS} == dict.fromkeys(COUNTS, 0) | dict.fromkeys(("read", "staged", "inserted"), ROWS)
    items.assert_equal()


def test_a_first_load_keeps_types_key_and_not_null_and_adds_its_metadata(items: Pair) -> None:
    items.run()
    assert list(items.sink.columns(items.table).items()) == list(items.sink.types.items())
    items.sink.needs("enforce keys")
    with pytest.raises(Exception, match=r"(?i)duplicate|constraint"):
        items.change("INSERT INTO {t} (id, note, _extracted_at, _load_id) VALUES (1, '', now(), 1)")


@captures("xmin", "cursor", "full", "auto")
def test_an_increment_brings_inserts_and_updates_and_nothing_twice(items: Pair, capture: dict[str, Any]) -> None:
    items.run(**capture)
    items.write("UPDATE {t} SET note = 'new', n = NULL, tags = '{}' WHERE id <= 20; INSERT INTO {t} (id, n, note) SELECT i, i, '' FROM generate_series(1001, 1030) i")
    report = items.run(**capture)
    reads_all = report.capture == "full"
    assert (report.this_try.inserted, report.this_try.updated) == (30, ROWS if reads_all else 20)
    assert report.this_try.read == report.this_try.staged == report.this_try.inserted + report.this_try.updated
    items.assert_equal()
    assert items.run(**capture).this_try.inserted == 0
    items.assert_equal()


@captures("xmin", "cursor", "full")
def test_rows_carry_the_load_that_brought_them_and_a_time_that_only_rises(items: Pair, capture: dict[str, Any]) -> None:
    first = items.run(**capture)
    assert items.rows("DISTINCT _load_id, _deleted_at") == [(first.load_id, None)]
    items.write("UPDATE {t} SET note = 'new' WHERE id = 1")
    items.change("UPDATE _rowferry.loads SET extracted_at = '2099-01-01 00:00:00+00'")
    second = items.run(**capture)
    assert second.load_id == first.load_id + 1
    assert second.extracted_at > "2099-01-01T00:00:00", "the source's clock was stepped back"
    assert items.rows("_load_id, _extracted_at > '2099-01-01 00:00:00+00'", "id = 1") == [(second.load_id, True)]


@incremental
def test_a_run_that_changes_nothing_records_what_it_proved(items: Pair, capture: dict[str, Any]) -> None:
    items.run(**capture)
    before = items.rows()
    report = items.run(**capture)
    assert {part: getattr(report.this_try, part) for part in COUNTS} == dict.fromkeys(COUNTS, 0)
    first, second = items.loads()
    assert second["completeness"] == report.completeness and second["snapshot"] and second["rows_read"] == 0
    assert second["extracted_at"] > first["extracted_at"] and second["committed_at"] > first["committed_at"]
    assert items.rows() == before


def test_a_table_without_rows_and_one_of_nothing_but_its_key_are_loaded(pair: Pair) -> None:
    pair.write("CREATE TABLE {t} (id uuid PRIMARY KEY)")
    assert pair.run().this_try.inserted == 0
    pair.write("INSERT INTO {t} SELECT gen_random_uuid() FROM generate_series(1, 3)")
    assert pair.run().this_try.inserted == 3
    assert pair.run(capture="full").this_try.updated == 3
    pair.assert_equal("id")


def test_a_key_of_several_columns_with_odd_names_finds_its_rows(pair: Pair) -> None:
    pair.sink.needs("apostrophes")
    pair.write('CREATE TABLE {t} ("a ""key" int, "select" text, "it\'s" text, PRIMARY KEY ("a ""key", "select"))')
    pair.write("INSERT INTO {t} SELECT i / 3, E'back\\\\slash \\'' || i % 3, 'x' FROM generate_series(0, 29) i")
    pair.run()
    pair.write('UPDATE {t} SET "it\'s" = \'new\' WHERE "a ""key" = 3; DELETE FROM {t} WHERE "a ""key" = 2 AND "select" LIKE \'%1\'')
    report = pair.run(sweep="always")
    assert (report.this_try.updated, report.this_try.deleted) == (3, 1)
    pair.assert_equal('"a ""key", "select", "it\'s"')


def test_readers_side_by_side_bring_what_one_brings(items: Pair) -> None:
    items.write("INSERT INTO {t} (id, note) SELECT i, repeat('wide ', 40) FROM generate_series(1001, 9000) i; ANALYZE {t}")
    assert items.run(connections=3).this_try.inserted == ROWS + 8000
    items.assert_equal()


# ---- rows that are gone ----------------------------------------------------------------------------------

GOING: dict[str, dict[str, Any]] = {"full": CAPTURES["full"], "swept": CAPTURES["xmin"] | {"sweep": "always"}, "cursor swept": CAPTURES["cursor"] | {"sweep": "always"}}


@pytest.mark.parametrize("way", GOING.values(), ids=GOING)
def test_a_deleted_row_is_closed_and_open_again_when_it_comes_back(items: Pair, way: dict[str, Any]) -> None:
    items.run(**way)
    items.write("DELETE FROM {t} WHERE id <= 30")
    report = items.run(**way)
    assert (report.this_try.deleted, report.hard_deletes) == (30, "captured")
    assert items.rows("DISTINCT _load_id, _deleted_at = _extracted_at", "id <= 30") == [(report.load_id, True)]
    items.assert_equal()
    assert items.run(**way).this_try.deleted == 0, "a closed row is not closed again"
    items.write("INSERT INTO {t} (id, note) VALUES (7, 'back')")
    items.run(**way)
    items.assert_equal()
    assert items.rows("count(*)", "_deleted_at IS NOT NULL") == [(29,)]


@pytest.mark.parametrize("way", GOING.values(), ids=GOING)
def test_a_deleted_row_is_removed_where_the_job_says_so(items: Pair, way: dict[str, Any]) -> None:
    items.run(**way, on_delete="remove")
    items.write("DELETE FROM {t} WHERE id <= 30")
    assert items.run(**way, on_delete="remove").this_try.deleted == 30
    assert items.rows("count(*)", "true") == [(ROWS - 30,)]
    items.assert_equal()
    items.write("INSERT INTO {t} (id, note) VALUES (7, 'back')")
    assert items.run(**way, on_delete="remove").this_try.inserted == 1
    items.assert_equal()


@incremental
def test_without_a_sweep_a_deleted_row_stays_and_the_report_says_so(items: Pair, capture: dict[str, Any]) -> None:
    items.run(**capture)
    items.write("DELETE FROM {t} WHERE id = 1")
    report = items.run(**capture)
    assert (report.this_try.deleted, report.hard_deletes, report.swept) == (0, "not_captured", False)
    assert any("delete" in reason for reason in report.reasons)
    assert items.rows("_deleted_at", "id = 1") == [(None,)]


@incremental
def test_a_row_that_leaves_the_filter_is_closed_and_one_that_enters_it_comes(items: Pair, capture: dict[str, Any]) -> None:
    items.run(where="n > 10", **capture)
    outside = items.source_rows("count(*)", "n <= 10 OR n IS NULL")[0][0]
    assert items.rows("count(*)") == [(ROWS - outside,)]
    items.write("UPDATE {t} SET n = 1 WHERE id BETWEEN 100 AND 119; UPDATE {t} SET n = 99 WHERE id = 1")
    report = items.run(where="n > 10", **capture)
    assert (report.this_try.read, report.this_try.deleted, report.this_try.inserted) == (21, 20, 1)
    items.assert_equal(where="n > 10")


# ---- masks -----------------------------------------------------------------------------------------------


@pytest.fixture
def digest(monkeypatch: pytest.MonkeyPatch) -> Callable[[object], str]:
    """The hash of a value's text, under the key that runs then have."""
    monkeypatch.setenv("ROWFERRY_MASK_KEY", "a key of these tests")
    return lambda value: hmac.new(b"a key of these tests", str(value).encode(), hashlib.sha256).hexdigest()


def test_each_mask_hides_what_it_says_and_what_is_hidden_verifies(pair: Pair, digest: Callable[[object], str]) -> None:
    mask = {"name": "hash", "note": "redact", "born": "redact", "mail": "truncate:3", "secret": "drop"}
    pair.write("CREATE TABLE {t} (id int PRIMARY KEY, name text, note varchar(5), born date NOT NULL, mail text, secret text)")
    pair.write("INSERT INTO {t} VALUES (1, '\"x\",\n', 'clear', '1980-02-29', 'clara@x', 'none'), (2, '', '', '1990-01-01', '', ''), (3, NULL, NULL, '2000-01-01', NULL, NULL)")
    report = pair.run(mask=mask, verify=True)
    assert report.verification and report.verification.compared == 3 and {told.column: told.mask for told in report.masks} == mask
    assert "secret" not in pair.sink.columns(pair.table)
    hidden = [(1, digest('"x",\n'), "***", None, "cla"), (2, digest(""), "***", None, ""), (3, None, None, None, None)]
    assert pair.rows("id, name, note, born, mail") == hidden
    pair.write("UPDATE {t} SET name = 'b' WHERE id = 3")
    assert pair.run(mask=mask).this_try.updated == 1
    assert rowferry.verify(pair.job(mask=mask)) and pair.rows("id, name")[2] == (3, digest("b"))


def test_a_key_that_is_hashed_is_merged_and_swept_by_its_hash(pair: Pair, digest: Callable[[object], str]) -> None:
    pair.write("CREATE TABLE {t} (id int PRIMARY KEY, v text); INSERT INTO {t} SELECT i, 'v' || i FROM generate_series(1, 50) i")
    pair.run(mask={"id": "hash"})
    pair.write("UPDATE {t} SET v = 'w' WHERE id <= 10; DELETE FROM {t} WHERE id = 11")
    report = pair.run(mask={"id": "hash"}, sweep="always", verify=True)
    assert (report.this_try.updated, report.this_try.deleted) == (10, 1)
    assert pair.rows("id, v") == sorted((digest(id), v) for id, v in pair.source_rows("id, v"))


# ---- keys that repeat ------------------------------------------------------------------------------------


@pytest.mark.parametrize("later", [False, True], ids=["first load", "later load"])
def test_of_rows_that_repeat_a_key_the_newest_is_kept_or_all_are_refused(pair: Pair, later: bool) -> None:
    pair.write("CREATE TABLE {t} (id int NOT NULL, note text)")
    if later:
        pair.write("INSERT INTO {t} VALUES (1, 'first'), (9, 'nine')")
        pair.run(keys=["id"])
    pair.write("INSERT INTO {t} SELECT i % 10, 'old' FROM generate_series(0, 299) i")
    pair.write("INSERT INTO {t} SELECT i, 'newest' FROM generate_series(0, 9) i")
    assert "repeat a key: (0" in pair.refused(errors.DataError, keys=["id"], on_duplicate="fail").message
    report = pair.run(keys=["id"])
    assert (report.this_try.duplicates, report.this_try.inserted + report.this_try.updated) == (300, 10)
    assert pair.rows("id, note") == [(n, "newest") for n in range(10)]


@captures("full", "auto")
def test_of_rows_that_repeat_a_key_the_latest_by_cursor_is_kept_and_then_the_latest_version(pair: Pair, capture: dict[str, Any]) -> None:
    pair.write("CREATE TABLE {t} (id int NOT NULL, note text, created_at timestamptz, updated_at timestamptz)")
    times = {1: ("'2026-01-02'", "'2026-01-01'"), 2: ("'1999-12-31'", "'1999-01-01'"), 3: ("'infinity'", "'2026-01-01'"), 4: ("'1900-01-01'", "NULL"), 5: ("'2000-01-01'", "'1999-12-31'")}
    for id, (latest, other) in times.items():
        pair.write(f"INSERT INTO {{t}} VALUES ({id}, 'old', '-infinity', {latest}); INSERT INTO {{t}} VALUES ({id}, 'kept', '-infinity', {latest})")
        pair.write(f"INSERT INTO {{t}} VALUES ({id}, 'before', {other}, NULL)")
    report = pair.run(keys=["id"], columns=["id", "note"], verify=True, **capture)
    assert (report.this_try.inserted, report.this_try.duplicates) == (5, 10)
    assert pair.rows("id, note") == [(id, "kept") for id in times]


# ---- cursors ---------------------------------------------------------------------------------------------


def test_rows_whose_cursor_is_null_are_read_each_time(items: Pair) -> None:
    items.write_unseen("UPDATE {t} SET created_at = NULL, updated_at = NULL WHERE id <= 5")
    items.run(**CAPTURES["cursor"])
    items.write_unseen("UPDATE {t} SET note = 'silent' WHERE id <= 5")
    assert items.run(**CAPTURES["cursor"]).this_try.updated == 5
    items.assert_equal()


def test_an_audit_counts_and_loads_the_rows_that_the_cursor_had_missed(items: Pair) -> None:
    audited = CAPTURES["cursor"] | {"audit": "every 2"}
    items.run(**audited)
    items.write_unseen("UPDATE {t} SET note = 'hidden' WHERE id <= 7")
    assert items.run(**audited).this_try.updated == 0
    report = items.run(**audited)
    assert (report.audit, report.this_try.updated) == ({"missed": 7}, 7)
    items.assert_equal()


@incremental
def test_a_window_brings_its_rows_and_leaves_the_state_where_it_was(items: Pair, capture: dict[str, Any]) -> None:
    items.run(**capture)
    window = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-03T00:00:00Z"}
    items.write_unseen("UPDATE {t} SET note = 'silent', updated_at = timestamptz '2026-01-01' + id * interval '1 hour'")
    items.write("UPDATE {t} SET note = 'later' WHERE id = 1")
    inside = "updated_at >= '2026-01-02' AND updated_at < '2026-01-03'"
    report = items.run(**window, **({} if capture.get("capture") == "xmin" else capture))
    assert set(report.window) == {"since", "until"}
    assert report.this_try.read == report.this_try.updated == items.source_rows("count(*)", inside)[0][0] > 0
    assert items.rows("count(*)", "note = 'silent'") == [(report.this_try.read,)]
    assert items.run(**capture).this_try.updated >= 1
    assert items.rows("note", "id = 1") == [("later",)]


# ---- records ---------------------------------------------------------------------------------------------


@captures("xmin", "full")
def test_a_retry_of_a_run_adds_to_what_it_did(items: Pair, capture: dict[str, Any]) -> None:
    items.run(run_id="night", **capture)
    items.write("UPDATE {t} SET note = 'new' WHERE id <= 10")
    report = items.run(run_id="night", try_number=2, **capture)
    assert report.increment == 2
    if report.capture == "full":
        assert report.run_total == report.this_try
    else:
        assert (report.run_total.inserted, report.run_total.updated, report.this_try.updated) == (ROWS, 10, 10)
    assert items.run(run_id="morning", **capture).increment == 1
    told = [(load["load_id"], load["run_id"], load["try_number"], load["increment"]) for load in items.loads()]
    assert told == [(1, "night", 1, 1), (2, "night", 2, 2), (3, "morning", 1, 1)]


@incremental
def test_a_reset_makes_the_next_run_read_all(items: Pair, capture: dict[str, Any]) -> None:
    items.run(**capture)
    items.change("UPDATE {t} SET note = 'damaged' WHERE id = 5")
    assert items.job().reset() == 2
    report = items.run(**capture)
    assert (report.reconciled, report.load_id, report.this_try.updated) == (True, 3, ROWS)
    items.assert_equal()
    assert [load["kind"] for load in items.loads()] == ["load", "reset", "load"]


@captures("xmin", "cursor", "full")
def test_an_older_load_never_overwrites_a_newer_row(items: Pair, capture: dict[str, Any]) -> None:
    items.run(**capture)
    items.change("UPDATE {t} SET _load_id = 1000, note = 'newer' WHERE id = 12")
    items.write("UPDATE {t} SET note = 'older' WHERE id IN (12, 13)")
    items.refused(errors.FencedOffError, **capture)
    assert items.rows("note", "id = 12") == [("newer",)]


def test_state_tells_the_loads_newest_first_with_their_reports(items: Pair) -> None:
    assert items.job().state() == []
    report = items.run(run_id="night")
    items.job().reset()
    reset, load = items.job().state()
    assert [(record.load_id, record.kind) for record in (reset, load)] == [(2, "reset"), (1, "load")]
    assert load.record["run_id"] == "night" and load.record["report"]["this_try"]["inserted"] == report.this_try.inserted == ROWS


def test_state_reads_of_each_table_as_many_loads_as_it_is_asked_for(items: Pair) -> None:
    jobs = [items.job(target_table=f"raw_postgres.{{table}}_{name}") for name in ("few", "many")]
    for job in (jobs[0], *jobs[1:] * 3, *jobs):
        job.run()
    labels = [job.state()[0].record["target_table"] for job in jobs]
    assert [record.load_id for record in jobs[1].state(newest=2)] == [4, 3]
    assert len(jobs[1].state(newest=9)) == len(jobs[1].state()) == 4
    every = Call({**items.settings(), "table": None, "newest": 3}).execute("state")["loads"]
    told = [(load["target_table"], load["load_id"]) for load in every if load["target_table"] in labels]
    assert told == [*((labels[0], number) for number in (2, 1)), *((labels[1], number) for number in (4, 3, 2))]


def test_a_plan_says_what_a_run_would_send_and_sends_nothing(items: Pair) -> None:
    plan = items.job().plan()
    assert plan.first_load and plan.full_read and items.everything() is None
    items.run()
    before = items.everything()
    items.write("DELETE FROM {t} WHERE id = 1")
    plan = items.job(capture="full").plan()
    assert not plan.first_load and plan.full_read and plan.hard_deletes == "captured"
    assert "read" in [statement.role for statement in plan.statements if statement.server == "source"]
    assert "close absent rows" in [statement.role for statement in plan.statements if statement.server == "target"]
    assert items.everything() == before


def test_verify_finds_a_row_that_differs(items: Pair) -> None:
    items.sink.needs("verify")
    items.run(verify=True)
    assert rowferry.verify(items.settings())
    items.change("UPDATE {t} SET note = 'damaged' WHERE id = 5")
    verification = rowferry.verify(items.settings())
    assert (verification.result, verification.different, verification.examples[0].key) == ("different", 1, "(5)")


# ---- what others do to the target ------------------------------------------------------------------------


@pytest.mark.parametrize("deed", ["TRUNCATE {t}", "DROP TABLE {t}"])
def test_a_target_that_somebody_emptied_is_loaded_whole_again(items: Pair, deed: str) -> None:
    items.run()
    items.change(deed)
    report = items.run()
    assert report.reconciled or report.first_load
    items.assert_equal()


def test_a_table_that_somebody_else_made_is_left_alone(items: Pair) -> None:
    items.change("CREATE SCHEMA IF NOT EXISTS raw_postgres")
    items.change("CREATE TABLE {t} (id bigint PRIMARY KEY, n numeric(12,2), note text)")
    assert "was not made by rowferry" in items.refused(errors.ConfigurationError).message
    items.change("DROP TABLE {t}")
    items.change("CREATE VIEW {t} AS SELECT 1 AS id")
    with pytest.raises(errors.ConfigurationError):
        items.run()


# ---- columns ---------------------------------------------------------------------------------------------

DRIFT = {
    "added": "ALTER TABLE {t} ADD COLUMN more jsonb",
    "wider": "ALTER TABLE {t} ALTER n TYPE numeric(14,2)",
    "another type": "ALTER TABLE {t} ALTER day TYPE text",
    "may be NULL": "ALTER TABLE {t} ALTER note DROP NOT NULL",
    "dropped": "ALTER TABLE {t} DROP COLUMN note",
}


@pytest.mark.parametrize("change", DRIFT.values(), ids=DRIFT)
def test_a_change_of_columns_is_a_drift_that_loads_nothing_and_says_what_to_do(items: Pair, change: str) -> None:
    if " TYPE " in change:
        items.sink.needs("another type")
    items.run()
    items.write(change)
    items.write("INSERT INTO {t} (id) VALUES (5000)" if "note" in change else "UPDATE {t} SET note = 'new' WHERE id = 1")
    hint = str(items.refused(errors.SchemaDriftError, on_schema_change="fail").hint)
    assert hint.startswith("Set on_schema_change=") or "cannot" in hint, hint


@captures("xmin", "cursor", "full")
def test_a_column_that_the_source_lost_stays_and_is_null_from_then_on(items: Pair, capture: dict[str, Any]) -> None:
    items.run(**capture)
    items.write("ALTER TABLE {t} DROP COLUMN n; UPDATE {t} SET note = 'new' WHERE id = 1")
    assert items.run(**capture).this_try.updated >= 1
    assert items.rows("n, note", "id = 1") == [(None, "new")]
    items.assert_equal("id, note, day, tags")


def test_a_column_left_out_is_no_drift(items: Pair) -> None:
    columns = ["id", "note", "updated_at"]
    items.run(columns=columns)
    items.write("ALTER TABLE {t} ADD COLUMN more int; UPDATE {t} SET note = 'new' WHERE id = 1")
    items.run(columns=columns)
    assert [name for name in items.sink.columns(items.table) if not name.startswith("_")] == columns
    items.assert_equal("id, note")


# ---- two at once, and ends before the end ----------------------------------------------------------------


@captures("xmin", "full")
def test_two_runs_at_once_come_one_after_the_other(items: Pair, capture: dict[str, Any]) -> None:
    runs = [started(lambda: items.run(**capture)) for _ in range(2)]
    reports = sorted((run.result(60) for run in runs), key=lambda report: report.load_id)
    assert [(report.load_id, report.this_try.inserted) for report in reports] == [(1, ROWS), (2, 0)]
    items.wait_for_end()
    items.assert_equal()


def test_a_run_that_finds_the_table_held_says_so_after_its_lock_timeout(items: Pair) -> None:
    with shut(items, GATE):
        first = started(lambda: items.run(where=AT_THE_GATE))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=first)
        with pytest.raises(errors.TableBusyError) as caught:
            items.run(lock_timeout=0.2)
    assert caught.value.retryable
    assert first.result(60).this_try.inserted == ROWS
    items.wait_for_end()
    assert [load["load_id"] for load in items.loads()] in ([1], [2])


@pytest.mark.parametrize("first", [True, False], ids=["first load", "later load"])
def test_a_run_that_is_cancelled_while_it_reads_leaves_nothing(items: Pair, first: bool) -> None:
    half = f"id < {ROWS // 2} OR {AT_THE_GATE}"
    if not first:
        items.run(where=half)
    items.write("UPDATE {t} SET note = repeat('long ', 400)")
    before = items.everything()
    job = items.job(where=half, capture="full")
    with shut(items, GATE):
        run = started(job.run)
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=run)
        job.cancel()
        with pytest.raises(errors.CancelledError):
            run.result(60)
    items.wait_for_end()
    assert items.everything() == before
    items.run(where=half)
    items.assert_equal()


KILLED_LATER: dict[str, dict[str, Any]] = {"incremental": CAPTURES["xmin"], "swept": GOING["swept"], "full": CAPTURES["full"]} if WIDE else {"swept": GOING["swept"]}


@pytest.mark.parametrize("step", [step for step in STEPS if step != "keys"])
def test_a_first_load_killed_at_a_step_leaves_no_table_or_a_whole_one(items: Pair, step: str, program: Path, tmp_path: Path) -> None:
    make_long(items)
    killed(items, program, tmp_path, step)
    is_committed = STEPS.index(step) > STEPS.index("commit")
    assert len(items.loads()) == is_committed and (items.everything() is not None) == is_committed
    report = items.run(run_id="night", try_number=2)
    assert (report.increment, report.run_total.inserted) == (1 + is_committed, ROWS)
    items.assert_equal()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("way", KILLED_LATER.values(), ids=KILLED_LATER)
def test_a_later_load_killed_at_a_step_leaves_the_rows_of_before_or_of_after(items: Pair, way: dict[str, Any], step: str, program: Path, tmp_path: Path) -> None:
    if step == "keys" and "sweep" not in way:
        pytest.skip("only a sweep reads keys")
    items.run(**way)
    before = items.everything()
    make_long(items)
    items.write("DELETE FROM {t} WHERE id <= 20")
    killed(items, program, tmp_path, step, **way)
    is_committed = STEPS.index(step) > STEPS.index("commit")
    if is_committed:
        assert len(items.loads()) == 2
        if way.get("sweep") or way["capture"] == "full":
            items.assert_equal()
    else:
        assert items.everything() == before
    report = items.run(run_id="night", try_number=2, **way | {"sweep": "always"})
    assert report.increment == 1 + is_committed
    items.assert_equal()
    assert [load["load_id"] for load in items.loads()] == sorted({load["load_id"] for load in items.loads()})


def killed(items: Pair, program: Path, folder: Path, step: str, **way: Any) -> None:
    """Only a run that compares has that step."""
    if step == "verify":
        items.sink.needs("verify")
    items.killed(program, folder, step, run_id="night", verify=step == "verify", **way)


def make_long(items: Pair) -> None:
    """Enough for several batches."""
    items.write("UPDATE {t} SET note = repeat('long ', 200)")

