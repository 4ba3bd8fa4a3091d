"""A DuckDB file as the target: what it needs besides what every target promises, which is in `test_conformance.py`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from duckdb_file import ROWS, Into
from file_holder import held
from route import started, until

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server


@pytest.fixture
def into(servers: Server, database: Callable[[Server], str], tmp_path: Path) -> Iterator[Into]:
    made = Into(database(servers), tmp_path / "warehouse.duckdb")
    yield made
    made.close()


@pytest.fixture
def items(into: Into) -> Into:
    into.make_items()
    return into


# ---- loads -----------------------------------------------------------------------------------------------


def test_several_tables_share_a_file_and_its_records(items: Into) -> None:
    items.at_source.execute('CREATE SCHEMA "odd ""one"; CREATE TABLE "odd ""one"."some \'table" ("a ""key" int PRIMARY KEY, "select" text)')
    items.at_source.execute('INSERT INTO "odd ""one"."some \'table" SELECT i, E\'back\\\\slash \' || i FROM generate_series(1, 10) i')
    items.run()
    for _ in range(2):
        report = items.run('"odd ""one"."some \'table"', capture="full")
        assert report.this_try.read == 10
    assert items.query('SELECT "a ""key", "select" FROM "raw_postgres"."some \'table" WHERE "a ""key" = 3') == [(3, "back\\slash 3")]
    assert len(items.job().state()) == 1


# ---- records -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["uuid", "bool", "numeric(8,2)", "time"])
def test_columns_behind_one_that_is_copied_are_whole(into: Into, first: str) -> None:
    values = {"uuid": "md5(i::text)::uuid", "bool": "i % 2 = 0", "numeric(8,2)": "i / 8.0", "time": "time '00:00' + i * interval '1 s'"}
    into.at_source.execute(f"CREATE TABLE wide (a {first}, b text, c int8 PRIMARY KEY, d text)")
    into.at_source.execute(f"INSERT INTO wide SELECT {values[first]}, repeat(i::text, 9), i, md5(i::text) FROM generate_series(1, 150000) i")
    report = into.run("wide", verify=True)
    assert (report.this_try.inserted, report.verification.result) == (150_000, "equal")


def test_a_look_makes_no_file(items: Into) -> None:
    assert items.job().state() == []
    plan = items.job().plan()
    assert plan.first_load and not items.path.exists()


def test_a_plan_names_the_statements_that_change_rows_and_sends_none(items: Into) -> None:
    items.run()
    items.at_source.execute("DELETE FROM items WHERE id = 1")
    before = items.everything()
    roles = [statement["role"] for statement in items.job(capture="full").plan().to_dict()["statements"] if statement["server"] == "target"]
    assert {"create stage", "load stage", "delete", "insert", "close absent rows", "commit"} == set(roles)
    assert items.everything() == before


def test_a_target_in_which_somebody_deleted_a_row_is_loaded_whole_again(items: Into) -> None:
    items.run()
    items.change("DELETE FROM raw_postgres.items WHERE id = 5")
    assert items.run().reconciled
    items.assert_equal()


def test_a_changed_row_keeps_what_only_the_target_says_of_it(items: Into) -> None:
    items.run()
    items.change("ALTER TABLE raw_postgres.items ADD COLUMN extra VARCHAR DEFAULT 'by default'")
    items.at_source.execute("UPDATE items SET note = 'again' WHERE id = 3")
    roles = [statement["role"] for statement in items.job().plan().to_dict()["statements"]]
    assert "update" in roles and "delete" not in roles
    assert items.run().this_try.updated == 1
    assert items.query("SELECT note, extra FROM raw_postgres.items WHERE id IN (3, 5) ORDER BY id") == [("again", None), ("note 5", "by default")]


def test_a_changed_row_that_another_table_refers_to_is_updated(items: Into) -> None:
    items.run()
    items.change("CREATE TABLE raw_postgres.mine (item BIGINT REFERENCES raw_postgres.items (id)); INSERT INTO raw_postgres.mine VALUES (3)")
    items.at_source.execute("UPDATE items SET note = 'again' WHERE id = 3")
    assert items.run().this_try.updated == 1
    items.assert_equal()


# ---- what does not fit -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "error", "part"),
    [
        ("ALTER TABLE items ADD COLUMN more jsonb", errors.SchemaDriftError, 'ADD COLUMN "more" JSON'),
        ("ALTER TABLE items ALTER n TYPE numeric(14,2)", errors.SchemaDriftError, "TYPE DECIMAL(14,2)"),
        ("ALTER TABLE items ALTER note DROP NOT NULL", errors.SchemaDriftError, "DROP NOT NULL"),
        ("ALTER TABLE items DROP COLUMN note", errors.SchemaDriftError, "DROP COLUMN"),
    ],
)
def test_a_change_of_columns_is_refused_with_what_to_do(items: Into, change: str, error: type[errors.RowferryError], part: str) -> None:
    items.run()
    items.at_source.execute(change)
    assert part in str(items.refused(error, on_schema_change="fail").hint)


def test_columns_whose_names_differ_in_capitals_alone_are_refused(into: Into) -> None:
    into.at_source.execute('CREATE TABLE items (id int PRIMARY KEY, a int, "A" int)')
    assert "capital letters" in str(into.refused(errors.ConfigurationError).hint)


def test_a_value_that_a_column_cannot_hold_stops_the_run_and_as_text_carries_it(into: Into) -> None:
    into.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, a int[][]); INSERT INTO items VALUES (1, '{{1,2},{3,4}}')")
    assert '"a"' in into.refused(errors.DataError).message
    into.run(as_text=["a"])
    assert into.target_rows("a") == [("{{1,2},{3,4}}",)]


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("duckdb:warehouse.duckdb", "does not name a file of this machine"),
        ("duckdb://host/warehouse.duckdb", "does not name a file of this machine"),
        ("duckdb:///tmp/", "names a directory"),
        ("duckdb:///no/such/folder/x.duckdb", "is not there"),
        ("duckdb:///tmp/x.duckdb?memory=1", "option that is not known"),
        ("duckdb:///tmp/%zz.duckdb", "two hexadecimal digits"),
    ],
)
def test_a_path_that_cannot_be_meant_is_refused(items: Into, target: str, part: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        rowferry.run(items.settings() | {"target": target, "lock_timeout": 0})
    assert part in caught.value.message


def test_a_file_that_is_no_database_is_left_as_it_is(items: Into) -> None:
    items.path.write_text("a letter" * 4096)
    with pytest.raises(errors.ConfigurationError) as caught:
        items.run()
    assert "not a valid DuckDB database" in caught.value.message
    assert items.path.read_text() == "a letter" * 4096


@pytest.mark.parametrize("driver", ["/no/such/library.so", "libc.so.6"])
def test_a_driver_that_is_none_is_named(items: Into, driver: str) -> None:
    with pytest.raises(errors.ConfigurationError) as caught:
        items.run(driver=driver)
    assert driver in caught.value.message


def test_without_the_package_the_error_names_what_to_install(items: Into, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowferry.uri.find_spec", lambda name: None)
    with pytest.raises(errors.ConfigurationError) as caught:
        items.run()
    assert "rowferry[duckdb]" in str(caught.value.hint)


def test_options_of_the_path_reach_the_database(items: Into) -> None:
    with pytest.raises(errors.RowferryError):
        items.run(target=f"duckdb://{items.path}?memory_limit=1MB&threads=1")
    items.run(target=f"duckdb://{items.path}?memory_limit=500MB&threads=1")
    items.assert_equal()


# ---- one file, many that want it ---------------------------------------------------------------------------

HOLDER = """
import sys, duckdb
session = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_file_that_another_process_holds_is_waited_for_and_then_busy_names_it(items: Into) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(items.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdin and holder.stdout and holder.stdout.readline() == "held\n"
        with pytest.raises(errors.TableBusyError) as caught:
            items.run(lock_timeout=0.3)
        assert str(items.path) in caught.value.message and str(holder.pid) in caught.value.message and caught.value.retryable
        waiting = started(items.run)
        holder.stdin.close()
        assert waiting.result(60).this_try.inserted == ROWS
    items.assert_equal()


def test_a_session_of_this_process_that_has_the_file_open_is_waited_for(items: Into) -> None:
    session = duckdb.connect(str(items.path))
    with pytest.raises(errors.TableBusyError) as caught:
        items.run(lock_timeout=0.2)
    assert "this process" in caught.value.message
    session.close()
    items.run()
    items.assert_equal()


def test_threads_queue_on_one_file(items: Into) -> None:
    names = [f"copy_{n}" for n in range(4)]
    for name in names:
        items.at_source.execute(f"CREATE TABLE {name} (LIKE items INCLUDING ALL); INSERT INTO {name} SELECT * FROM items")
    for future in [started(lambda name=name: items.run(name)) for name in names]:
        assert future.result(60).this_try.inserted == ROWS
    assert [len(items.target_rows(table=f"raw_postgres.{name}")) for name in names] == [ROWS] * 4


def test_processes_queue_on_one_file_and_each_of_their_loads_is_there(items: Into) -> None:
    code = "import json, sys, rowferry; print(rowferry.run(json.loads(sys.argv[1])).load_id)"
    command = [sys.executable, "-c", code, json.dumps(items.settings(capture="full"))]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert sorted(int(process.communicate(timeout=120)[0]) for process in running) == [1, 2, 3, 4]
    items.assert_equal()


# ---- cancelling --------------------------------------------------------------------------------------------


def test_a_cancelled_run_ends_and_leaves_nothing(items: Into) -> None:
    items.run()
    items.at_source.execute("INSERT INTO items SELECT i, i, repeat('x', 100) FROM generate_series(10001, 300000) i")
    before = items.everything()
    job = items.job(capture="full")
    seen: list[str] = []

    def cancel(progress: dict[str, Any]) -> None:
        seen.append(progress["phase"])
        if progress["rows"] > 0:
            job.cancel()

    with pytest.raises(errors.CancelledError):
        job.run(cancel)
    until(lambda: not _is_open(items.path))
    assert items.everything() == before
    items.run()
    items.assert_equal()


def test_a_run_that_waits_for_the_file_can_be_cancelled(items: Into) -> None:
    with duckdb.connect(str(items.path)):
        job = items.job(lock_timeout=600)
        waiting = started(job.run)
        job.cancel()
        with pytest.raises(errors.CancelledError):
            waiting.result(60)


def _is_open(path: Path) -> bool:
    return any(link.is_symlink() and str(link.readlink()) == str(path) for link in Path("/proc/self/fd").iterdir())


# ---- a full disk -------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=False)


@pytest.mark.parametrize("first", [True, False], ids=["the first load", "a later load"])
def test_a_disk_that_fills_up_leaves_the_file_as_it_was_and_the_next_try_with_more_room_is_good(items: Into, small_disk: Path, first: bool) -> None:
    items.path = small_disk / "warehouse.duckdb"
    if not first:
        items.run()
    noise = "(SELECT string_agg(md5(n || '/' || i), '') FROM generate_series(1, 1000) AS i)"
    items.at_source.execute(f"INSERT INTO items SELECT n, 0, {noise} FROM generate_series(10001, 10600) AS n")
    before = items.everything()
    with pytest.raises(errors.TargetError) as caught:
        items.run()
    assert caught.value.retryable and "full" in str(caught.value.hint)
    assert items.everything() == before
    subprocess.run(["mount", "-o", "remount,size=512m", str(small_disk)], check=True)
    verification = items.run(verify=True).verification
    assert verification is not None and verification.equal == ROWS + 600


# ---- doctor ----------------------------------------------------------------------------------------------


def looked_at(into: Into, target: str) -> tuple[dict[str, Any], set[str]]:
    """Facts of the target, and the rules that found something."""
    found = rowferry.doctor(into.source, target)
    return dict(found.target or {}), {finding.rule for finding in found.findings} - {"no-read-all-stats"}


def test_doctor_looks_at_a_file_and_makes_none(items: Into) -> None:
    facts, found = looked_at(items, f"duckdb://{items.path}?memory_limit=1GB&threads=2")
    assert (facts["database"], facts["version"], facts["threads"], facts["path"]) == ("DuckDB", duckdb_version(), "2", str(items.path))
    assert facts["memory_limit"] == "953.6 MiB" and facts["free_bytes"] > 0
    assert (facts["exists"], facts["writable"], facts["control_tables"], facts["held_by"], facts["refused"]) == (False, True, False, None, None)
    assert not found and not items.path.exists()
    items.run()
    facts, found = looked_at(items, f"duckdb://{items.path}")
    assert (facts["exists"], facts["control_tables"], facts["bytes"]) == (True, True, items.path.stat().st_size)
    assert not found


def test_doctor_names_the_process_that_has_the_file_and_does_not_wait_for_it(items: Into) -> None:
    items.run()
    with held(items.path) as holder:
        facts, found = looked_at(items, f"duckdb://{items.path}")
        assert f"PID {holder.pid}" in facts["held_by"] and facts["control_tables"] is None
        assert found == {"held"} and facts["version"] == duckdb_version()


def test_doctor_says_what_would_keep_a_run_from_the_file(items: Into, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_text("no database" * 1000)
    facts, found = looked_at(items, f"duckdb://{other}")
    assert found == {"refused"} and "not a valid DuckDB database" in facts["refused"]
    facts, found = looked_at(items, f"duckdb://{tmp_path}/nowhere/new.duckdb")
    assert found == {"not-writable"} and not facts["writable"]


def test_doctor_tells_people_of_a_file(items: Into) -> None:
    command = [sys.executable, "-m", "rowferry", "doctor", "--source", items.source, "--target", f"duckdb://{items.path}"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"target: DuckDB {duckdb_version()} through ADBC, no control tables yet" in told and f"file: {items.path}, not there yet, " in told


def duckdb_version() -> str:
    with duckdb.connect() as session:
        return session.execute("SELECT version()").fetchall()[0][0]
