"""A DuckDB file compared with its source: what is the same value is equal, and whatever else is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from duckdb_file import Into
from edges import EXTENSIONS, OWN, lay
from forms import carried
from route import AT_THE_GATE, GATE, started, until, until_all_have_ended, waits_for

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server
from rowferry.report import Verification


@pytest.fixture
def into(servers: Server, database: Callable[[Server], str], tmp_path: Path) -> Iterator[Into]:
    made = Into(database(servers), tmp_path / "warehouse.duckdb")
    yield made
    made.close()


@pytest.fixture
def items(into: Into) -> Into:
    into.make_items(500)
    until_all_have_ended(into.at_source)
    into.run(verify=True)
    return into


def verified(into: Into, **settings: Any) -> Verification:
    return rowferry.verify(into.settings(**settings))


def counts(found: Verification) -> dict[str, int]:
    """Those that are not zero."""
    parts = ("equal", "pending", "target_only", "different", "missing")
    told = {part: getattr(found, part) for part in parts}
    assert sum(told.values()) == found.compared
    return {part: n for part, n in told.items() if n}


def examples(found: Verification) -> set[tuple[str, str]]:
    return {(example.kind, example.key) for example in found.examples}


# ---- equal ------------------------------------------------------------------------------------------------------


def test_a_run_that_compares_tells_an_exact_result_and_verify_the_same_later(into: Into) -> None:
    into.make_items(5000)
    inside = into.run(verify=True).verification
    assert inside is not None and inside.exact and counts(inside) == {"equal": 5000}
    later = verified(into)
    assert later and not later.exact and counts(later) == {"equal": 5000}
    assert later.checksum == inside.checksum is not None


def test_the_checksum_does_not_hang_on_the_order_of_rows(items: Into) -> None:
    before = verified(items).checksum
    items.at_source.execute("CREATE INDEX ON items (note); CLUSTER items USING items_note_idx")
    items.change("CREATE TABLE twin AS FROM raw_postgres.items; DELETE FROM raw_postgres.items; INSERT INTO raw_postgres.items FROM twin ORDER BY note DESC")
    assert verified(items).checksum == before


def test_empty_tables_are_equal(into: Into) -> None:
    into.make_items(0)
    assert into.run(verify=True).verification
    assert counts(verified(into)) == {}


def test_closed_rows_and_those_behind_the_filter_do_not_count(into: Into) -> None:
    into.make_items(100)
    into.run(where="n > 5")
    into.at_source.execute("UPDATE items SET n = 1 WHERE id > 90; DELETE FROM items WHERE id = 50")
    found = into.run(where="n > 5", sweep="always", verify=True).verification
    assert found is not None and counts(found) == {"equal": 54}
    assert counts(verified(into, where="n > 5")) == {"equal": 54}
    assert verified(into).missing == 35 + 10 - 0


def test_columns_that_are_left_out_or_that_the_source_lost_are_not_compared(into: Into) -> None:
    into.make_items(50)
    into.run(columns=["id", "n"])
    into.at_source.execute("UPDATE items SET note = 'other'")
    assert counts(into.run(columns=["id", "n"], verify=True).verification) == {"equal": 50}
    into.at_source.execute("ALTER TABLE items DROP COLUMN n")
    assert counts(into.run(columns=["id"], verify=True).verification) == {"equal": 50}


def test_of_rows_that_repeat_a_key_the_target_equals_one(into: Into) -> None:
    into.at_source.execute("CREATE TABLE items (id int NOT NULL, note text); INSERT INTO items SELECT i % 10, 'version ' || i FROM generate_series(0, 99) i")
    found = into.run(keys=["id"], verify=True).verification
    assert found is not None and counts(found) == {"equal": 10} and found.checksum is None
    into.change("UPDATE raw_postgres.items SET note = 'version none' WHERE id = 3")
    found = verified(into, keys=["id"])
    assert counts(found) == {"equal": 9, "different": 1} and examples(found) == {("different", "(3)")}


# ---- what differs ------------------------------------------------------------------------------------------------


def test_a_change_of_a_value_of_every_type_is_found(into: Into) -> None:
    into.at_source.execute(OWN.encode())
    into.at_source.execute(EXTENSIONS)
    types = carried()
    columns = lay(into.at_source, types)
    for n, (column, name) in enumerate(columns.items()):
        into.at_source.execute(f"INSERT INTO items (id, {column}) VALUES ({2000 + n}, {types[name][0]})".encode())
    into.run(verify=True)
    assert verified(into)
    others = "SELECT v FROM (SELECT {0} AS v FROM raw_postgres.items WHERE id < 1000 ORDER BY id) WHERE v IS DISTINCT FROM t.{0} LIMIT 1"
    into.change("; ".join(f"UPDATE raw_postgres.items t SET {column} = ({others.format(column)}) WHERE id = {2000 + n}" for n, column in enumerate(columns)))
    found = verified(into)
    assert (found.different, found.missing, found.target_only) == (len(columns), 0, 0)


NEAR: list[tuple[str, str, str]] = [
    ("text", "''", "NULL"),
    ("text", "NULL", "''"),
    ("text", "'a'", "'a '"),
    ("text", "'a'", "'a' || chr(0)"),
    ("bytea", "''", "NULL"),
    ("bytea", "'\\x00'", "'\\x00\\x00'::BLOB"),
    ("int2", "0", "NULL"),
    ("int8", "256", "1"),
    ("oid", "4294967295", "4294967294"),
    ("float8", "0", "'-0'::DOUBLE"),
    ("float4", "0.1", "0.10000002::FLOAT"),
    ("float8", "'NaN'", "'infinity'"),
    ("numeric(12,2)", "0.10", "0.11"),
    ("numeric(38,10)", "1", "1.0000000001"),
    ("numeric(12,2)", "100", "-100"),
    ("numeric", "1.0", "'1.00'"),
    ("boolean", "true", "false"),
    ("uuid", "'01234567-89ab-cdef-0123-456789abcdef'", "'01234567-89ab-cdef-0123-456789abcdee'"),
    ("date", "'infinity'", "'5874897-12-31'"),
    ("date", "'4713-11-24 BC'", "DATE '290000-01-01 (BC)'"),
    ("time", "'24:00'", "'00:00'"),
    ("timestamp", "'-infinity'", "TIMESTAMP '290309-12-22 (BC) 00:00:00'"),
    ("timestamptz", "'2026-11-22 01:02:03+00'", "'2026-11-22 01:02:03.000001+00'"),
    ("interval", "'1 mon'", "INTERVAL 30 DAY"),
    ("interval", "'1 day'", "INTERVAL 24 HOUR"),
    ("jsonb", "'null'", "NULL"),
    ("jsonb", """'{"a": 1.0}'""", """'{"a": 1}'"""),
    ("int4[]", "'{}'", "NULL"),
    ("int4[]", "'{1,NULL}'", "[1]"),
    ("text[]", "'{\"\"}'", "[NULL]"),
    ("text[]", "'{a,b}'", "['ab']"),
]


def test_values_that_are_near_each_other_are_told_apart(into: Into) -> None:
    columns = ", ".join(f"c{n} {name}" for n, (name, _, _) in enumerate(NEAR))
    into.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, {columns})")
    for n, (_, value, _) in enumerate(NEAR):
        into.at_source.execute(f"INSERT INTO items (id, c{n}) VALUES ({n}, {value})".encode())
    into.run(verify=True)
    swapped = ", ".join(f"CASE id WHEN {n} THEN {other} ELSE c{n} END AS c{n}" for n, (_, _, other) in enumerate(NEAR))
    into.change(f"CREATE TABLE twin AS SELECT * REPLACE ({swapped}) FROM raw_postgres.items")
    into.change("DELETE FROM raw_postgres.items; INSERT INTO raw_postgres.items FROM twin")  # an UPDATE would take 0 and -0 for one
    found = verified(into)
    unseen = [case for n, case in enumerate(NEAR) if found.different < len(NEAR) and verified(into, where=f"id = {n}").different == 0]
    assert counts(found) == {"different": len(NEAR)} and not unseen


def test_a_row_that_lacks_is_missing_and_one_too_many_is_only_there(items: Into) -> None:
    items.change("DELETE FROM raw_postgres.items WHERE id = 7")
    found = verified(items)
    assert found.result == "different" and counts(found) == {"equal": 499, "missing": 1} and examples(found) == {("missing", "(7)")}
    items.change("INSERT INTO raw_postgres.items SELECT * REPLACE (7000 AS id) FROM raw_postgres.items WHERE id = 8")
    found = verified(items)
    assert counts(found) == {"equal": 499, "missing": 1, "target_only": 1} and examples(found) == {("missing", "(7)"), ("target_only", "(7000)")}


def test_a_key_that_was_changed_is_missing_and_only_there(items: Into) -> None:
    items.change("UPDATE raw_postgres.items SET id = -1 WHERE id = 1")
    assert examples(verified(items)) == {("missing", "(1)"), ("target_only", "(-1)")}


def test_values_that_changed_places_between_rows_are_found(items: Into) -> None:
    items.change("UPDATE raw_postgres.items SET note = CASE id WHEN 1 THEN 'note 2' ELSE 'note 1' END WHERE id IN (1, 2)")
    assert counts(verified(items)) == {"equal": 498, "different": 2}


def test_all_rows_may_differ_and_twenty_are_named(items: Into) -> None:
    items.change("UPDATE raw_postgres.items SET note = 'damaged'")
    found = verified(items)
    assert counts(found) == {"different": 500} and len(examples(found)) == 20 and found.checksum is None


# ---- what is pending ---------------------------------------------------------------------------------------------


def test_rows_that_the_source_touched_since_are_pending_and_no_others(items: Into) -> None:
    items.at_source.execute("UPDATE items SET note = 'new' WHERE id <= 10; INSERT INTO items VALUES (1000, 1, 'new'); DELETE FROM items WHERE id = 20; UPDATE items SET note = note WHERE id = 30")
    items.change("UPDATE raw_postgres.items SET note = 'damaged' WHERE id IN (5, 100)")
    found = verified(items)
    assert counts(found) == {"equal": 488, "pending": 11, "target_only": 1, "different": 1}
    assert examples(found) == {("target_only", "(20)"), ("different", "(100)")}
    assert found.reasons == ("keys that only the target has were deleted at the source",)
    items.change("UPDATE raw_postgres.items SET note = 'note 100' WHERE id = 100")
    assert verified(items), "rows that are pending, and deletes that are not captured, are no differences"


def test_without_a_load_that_says_up_to_where_nothing_is_pending(items: Into) -> None:
    items.at_source.execute("UPDATE items SET note = 'new' WHERE id <= 10")
    items.job().reset()
    found = verified(items)
    assert counts(found) == {"equal": 490, "different": 10} and "cannot be told" in found.reasons[0]


# ---- inside a run -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["UPDATE raw_postgres.items SET note = 'damaged' WHERE id = 5", "UPDATE raw_postgres.items SET id = 9005 WHERE id = 5"])
def test_a_run_that_finds_a_difference_fails_and_leaves_the_file_as_it_was(items: Into, damage: str) -> None:
    items.change(damage)
    items.at_source.execute("INSERT INTO items VALUES (1000, 1, 'new')")
    refused = items.refused(errors.DataError, verify=True)
    assert "does not equal its source" in refused.message and "(5)" in refused.message and "state reset" in str(refused.hint)
    items.job().reset()
    found = items.run(verify=True, sweep="always").verification
    assert found is not None and found.exact and counts(found) == {"equal": 501}


def test_a_run_compares_what_it_is_about_to_commit(items: Into) -> None:
    items.at_source.execute("UPDATE items SET note = 'new' WHERE id <= 10; INSERT INTO items VALUES (1000, 1, 'new'); DELETE FROM items WHERE id = 20")
    report = items.run(verify=True)
    assert report.verification is not None and counts(report.verification) == {"equal": 500, "target_only": 1}
    assert "does not see deletes" in report.verification.reasons[0]
    assert counts(items.run(verify=True, capture="full").verification) == {"equal": 500}


# ---- keys in reports -----------------------------------------------------------------------------------------------

KEYS: list[tuple[str, str]] = [
    ("int2", "-5"),
    ("int4, b text", "1, 'plain'"),
    ("int4, b text", "1, ''"),
    ("text, b text", "E'a \"quoted\" back\\\\slash, (in brackets)', 'tab\there'"),
    ("text", "'名'"),
    ("uuid", "'01234567-89AB-cdef-0123-456789abcdef'"),
    ("numeric(12,4)", "-12.3400"),
    ("numeric(38)", "repeat('9', 38)::numeric"),
    ("boolean", "true"),
    ("date", "'0044-03-15 BC'"),
    ("date", "'infinity'"),
    ("timestamp", "'2026-11-22 01:02:03.5'"),
    ("timestamptz", "'1969-12-31 23:59:59.999999+00'"),
    ("time", "'24:00'"),
    ("float8", "0.1"),
    ("float4", "'-Infinity'"),
    ("bytea", "'\\x00ff'"),
    ("oid", "4294967295"),
]


def test_a_key_reads_as_in_the_report_of_a_postgres_target(pg18: Server, database: Callable[[Server], str], tmp_path: Path) -> None:
    source, target = database(pg18), database(pg18)
    with psycopg.connect(source, autocommit=True) as at_source:
        for n, (columns, values) in enumerate(KEYS):
            names = "a, b" if ", b" in columns else "a"
            at_source.execute(f"CREATE TABLE t{n} (a {columns}, PRIMARY KEY ({names})); INSERT INTO t{n} VALUES ({values})".encode())
            keys = []
            for uri in (target, f"duckdb://{tmp_path / 'w.duckdb'}"):
                settings = {"source": source, "target": uri, "table": f"t{n}"}
                rowferry.run(settings | {"where": "false"})
                found = rowferry.verify(settings)
                keys.append([(example.kind, example.key) for example in found.examples])
                at_source.execute(f"DELETE FROM t{n}; INSERT INTO t{n} VALUES ({values})".encode())
                rowferry.run(settings | {"capture": "full"})
                at_source.execute(f"DELETE FROM t{n}")
                found = rowferry.verify(settings)
                keys.append([(example.kind, example.key) for example in found.examples])
                at_source.execute(f"INSERT INTO t{n} VALUES ({values})".encode())
            assert keys[:2] == keys[2:] and [len(example) for example in keys] == [1] * 4, (columns, keys)


# ---- the file ------------------------------------------------------------------------------------------------------


def test_verifying_makes_no_file_and_says_that_there_is_nothing(into: Into) -> None:
    into.make_items(1)
    with pytest.raises(errors.ConfigurationError, match="nothing to verify"):
        verified(into)
    assert not into.path.exists()


def test_a_file_that_others_read_is_compared_and_changed_in_nothing(items: Into) -> None:
    before = items.path.read_bytes()
    code = "import duckdb, sys; session = duckdb.connect(sys.argv[1], read_only=True); print('held', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, str(items.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdin and reader.stdout and reader.stdout.readline() == "held\n"
        assert verified(items, lock_timeout=0)
        reader.stdin.close()
    assert items.path.read_bytes() == before


# ---- cancelling, memory ----------------------------------------------------------------------------------------------


def test_verifying_can_be_cancelled(items: Into) -> None:
    with psycopg.connect(items.source, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        job = items.job(where=AT_THE_GATE)
        waiting = started(lambda: rowferry.verify(job))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=waiting)
        job.cancel()
        with pytest.raises(errors.CancelledError):
            waiting.result(60)
    with duckdb.connect(str(items.path)):
        pass


GROWTH = """
import json, sys, rowferry
def peak():
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
peaks = []
for settings in json.loads(sys.argv[1]):
    assert rowferry.verify(settings).different == 1
    peaks.append(peak())
print(peaks[1] - peaks[0])
"""


def test_memory_does_not_grow_with_the_table(pg18: Server, database: Callable[[Server], str], tmp_path: Path) -> None:
    source = database(pg18)
    path = tmp_path / "w.duckdb"
    with psycopg.connect(source, autocommit=True) as at_source:
        for table, rows in (("few", 1000), ("many", 120000)):
            at_source.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, note text); INSERT INTO {table} SELECT i, repeat(md5(i::text), 40) FROM generate_series(1, {rows}) i")
            rowferry.run({"source": source, "target": f"duckdb://{path}", "table": table})
    with duckdb.connect(str(path)) as session:
        session.execute("UPDATE raw_postgres.few SET note = '' WHERE id = 1; UPDATE raw_postgres.many SET note = '' WHERE id = 1")
    jobs = [{"source": source, "target": f"duckdb://{path}?memory_limit=60MB&threads=1", "table": table} for table in ("few", "many")]
    grown = subprocess.run([sys.executable, "-c", GROWTH, json.dumps(jobs)], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 110_000, "kB, of which DuckDB may take 60 MB, for 155 MB of rows"
