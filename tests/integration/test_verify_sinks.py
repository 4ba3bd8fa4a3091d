"""Targets that give their rows as texts, compared with their source: MariaDB, SQLite, PostgreSQL behind ODBC, Snowflake.

What a value became there equals what was loaded, and whatever else is told. `test_verify_duckdb` is the same for DuckDB.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest
from conformance import KEPT, Mariadb, Pair, Psqlodbc, Sink, Snowflake, Sqlite, sinks, source_database
from edges import EDGES, EXTENSIONS, OWN, all_types, lay
from route import AT_THE_GATE, GATE, started, until, until_all_have_ended, waits_for

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server
from rowferry.report import Verification

numbers = itertools.count(1)
SINKS: tuple[type[Sink], ...] = (Mariadb, Sqlite, Psqlodbc, Snowflake)
BEHIND_ODBC = tuple(sink for sink in SINKS if sink.channel == "odbc")


sink = sinks(*SINKS)


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    with source_database(pg18, "compared", OWN.encode(), EXTENSIONS, "SET timezone = 'UTC'") as made:
        yield made


@pytest.fixture
def pair(source: tuple[str, psycopg.Connection], sink: Sink) -> Pair:
    return Pair(sink, *source, f"v{next(numbers)}")


@pytest.fixture
def items(pair: Pair) -> Pair:
    """Rows enough for several pages of a target that is read in pages."""
    pair.write("CREATE TABLE {t} (id int8 PRIMARY KEY, n numeric(12,2), note text, updated_at timestamptz)")
    pair.write("INSERT INTO {t} SELECT i, i / 7.0, 'note ' || i, timestamptz '2026-01-01' + i * interval '1 hour' FROM generate_series(1, 600) i")
    until_all_have_ended(pair.at_source)
    pair.run(verify=True)
    return pair


def verified(pair: Pair, **settings: Any) -> Verification:
    return rowferry.verify(pair.settings(**settings))


def counts(found: Verification | None) -> dict[str, int]:
    """Those that are not zero."""
    assert found is not None
    told = {part: getattr(found, part) for part in ("equal", "pending", "target_only", "different", "missing")}
    assert sum(told.values()) == found.compared
    return {part: n for part, n in told.items() if n}


def examples(found: Verification) -> set[tuple[str, str]]:
    return {(example.kind, example.key) for example in found.examples}


# ---- values ------------------------------------------------------------------------------------------------------

NO_TIMES = ["'infinity'", "'-infinity'"]
NO_DATES = [*NO_TIMES, "'0044-03-15 BC'", "'4713-11-24 BC'", "'5874897-12-31'", "'12026-11-23'"]
NO_TIMESTAMPS = [*NO_TIMES, "'4713-11-24 00:00:00 BC'", "'12026-01-01 00:00:00'", "'294246-12-31 23:59:59.999999'", "'294276-12-31 23:59:59.999999'"]
NO_INSTANTS = [*NO_TIMES, "'4713-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'"]
NO_NAN = {"numeric(12,4)": ["'NaN'"]}
NO_FORM = {"date": NO_DATES, "timestamp": NO_TIMESTAMPS, "timestamptz": NO_INSTANTS, **NO_NAN}
STOPS: dict[type[Sink], dict[str, list[str]]] = {
    Mariadb: NO_FORM | dict.fromkeys(("real", "double precision"), ["'NaN'", "'Infinity'", "'-Infinity'"]),
    Sqlite: NO_FORM | dict.fromkeys(("real", "double precision"), ["'NaN'"]),
    Psqlodbc: {},
    # of the digits the emulator, not Snowflake, makes a whole number of 64 bits
    Snowflake: NO_FORM | {"time": ["'24:00'"], "json": ["""'{"b": 1, "a": 1.50,  "a": 2}'"""], "numeric(38)": EDGES["numeric(p,s)"]["numeric(38)"]},
}
"""Values that a sink has no form for: they stop a run, as `test_types_odbc` and `test_snowflake` show."""


def lay_types(pair: Pair, *names: str) -> dict[str, str]:
    """A table with a column of each of these types, or of all."""
    stops = STOPS[type(pair.sink)]
    kept = {name: [value for value in values if value not in stops.get(name, ())] for name, values in all_types().items() if not names or name in names}
    return lay(pair.at_source, {name: values for name, values in kept.items() if values}, pair.table)


def test_no_value_of_any_type_is_taken_for_another(pair: Pair) -> None:
    """-0, digits that are kept as a text, JSON in another form: what a target keeps of a value is no difference."""
    lay_types(pair)
    rows = pair.at_source.execute(f"SELECT count(*) FROM {pair.table}").fetchone()
    inside = pair.run(verify=True).verification
    assert rows and counts(inside) == counts(verified(pair)) == {"equal": rows[0]}


def test_a_change_of_a_value_of_every_type_is_found(pair: Pair) -> None:
    one_of_each_row = [next(iter(types)) for types in EDGES.values()] if isinstance(pair.sink, Snowflake) else []  # an UPDATE takes the emulator long
    columns = lay_types(pair, *one_of_each_row)
    for n, column in enumerate(columns):
        held = f"(SELECT {column} FROM {pair.table} WHERE {column} IS NOT NULL ORDER BY id LIMIT 1)"
        pair.write(f"INSERT INTO {{t}} (id, {column}) VALUES ({2000 + n}, {held})")
    pair.run()
    assert verified(pair)
    for n, column in enumerate(columns):
        own = f"(SELECT format('%s', {column}) FROM {pair.table} WHERE id = {2000 + n})"
        found_other = pair.at_source.execute(f"SELECT coalesce(min(id), 1000) FROM {pair.table} WHERE id < 1000 AND {column} IS NOT NULL AND format('%s', {column}) <> {own}")
        ((other,),) = found_other.fetchall()
        pair.change(f"UPDATE {{t}} SET {column} = (SELECT v FROM (SELECT {column} AS v FROM {{t}} WHERE id = {other}) o) WHERE id = {2000 + n}")
    found = verified(pair)
    unseen = [name for n, name in enumerate(columns.values()) if verified(pair, where=f"id = {2000 + n}").different == 0] if found.different < len(columns) else []
    assert (found.different, found.missing, found.target_only) == (len(columns), 0, 0), unseen


NEAR: dict[type[Sink], list[tuple[str, str, str]]] = {
    Mariadb: [
        ("text", "''", "NULL"),
        ("text", "NULL", "''"),
        ("text", "'a'", "'a '"),
        ("text", "'a'", "'A'"),
        ("text", "'a'", "CONCAT('a', _utf8mb4 X'00')"),
        ("text", "chr(128674)", "'?'"),
        ("bytea", "''", "NULL"),
        ("bytea", "'\\x00'", "X'0000'"),
        ("boolean", "true", "2"),
        ("int8", "9007199254740993", "9007199254740992"),
        ("float8", "0.1::float8 + 0.2::float8", "0.3"),
        ("float4", "0.1", "0.1"),
        ("numeric(12,2)", "0.10", "0.11"),
        ("numeric", "1.0", "'1.00'"),
        ("uuid", "'01234567-89ab-cdef-0123-456789abcdef'", "'01234567-89ab-cdef-0123-456789abcdee'"),
        ("date", "'2026-01-31'", "'2026-02-01'"),
        ("time", "'24:00'", "'-24:00:00'"),
        ("timestamptz", "'2026-11-22 01:02:03+00'", "'2026-11-22 01:02:03.000001'"),
        ("jsonb", "'null'", "NULL"),
        ("int4[]", "'{1,NULL}'", "'{1}'"),
    ],
    Sqlite: [
        ("text", "''", "NULL"),
        ("text", "NULL", "''"),
        ("text", "'a'", "'a '"),
        ("text", "'a'", "'a' || char(0)"),
        ("text", "'a'", "x'61'"),
        ("bytea", "''", "NULL"),
        ("bytea", "'\\x61'", "'a'"),
        ("boolean", "true", "'true'"),
        ("int8", "5", "'five'"),
        ("int8", "5", "5.5"),
        ("float8", "0.1::float8 + 0.2::float8", "0.3"),
        ("float8", "0", "'nothing'"),
        ("float8", "'infinity'", "NULL"),
        ("numeric(12,2)", "0.10", "'0.11'"),
        ("numeric(12,2)", "0.10", "''"),
        ("date", "'2026-01-31'", "'2026-02-30'"),
        ("time", "'12:00'", "'12:00:00.0000001'"),
        ("timestamptz", "'2026-11-22 01:02:03+00'", "'2026-11-22 01:02:03.000000+01:00'"),
        ("jsonb", """'{"a": 1}'""", """'{"a":1}'"""),
    ],
    Psqlodbc: [
        ("text", "''", "NULL"),
        ("text", "NULL", "''"),
        ("text", "'a'", "'a '"),
        ("bytea", "'\\x00'", "'\\x0000'"),
        ("float8", "0", "'-0'"),
        ("float8", "'NaN'", "'infinity'"),
        ("numeric", "1.0", "1.00"),
        ("char(5)", "'a'", "'a'"),
        ("interval", "'1 mon'", "'30 days'"),
        ("timestamptz", "'infinity'", "NULL"),
        ("int4[]", "'{1,NULL}'", "'{1}'"),
    ],
    Snowflake: [
        ("text", "''", "NULL"),
        ("text", "NULL", "''"),
        ("text", "'a'", "'a '"),
        ("bytea", "'\\x00'", "TO_BINARY('0000', 'HEX')"),
        ("boolean", "true", "FALSE"),
        ("int8", "9007199254740993", "9007199254740992"),
        ("float8", "0.1::float8 + 0.2::float8", "0.3::FLOAT"),
        ("float4", "0.1", "0.10000000149011612::FLOAT"),
        ("numeric(12,2)", "0.10", "0.11"),
        ("time", "'12:00'", "'12:00:00.000001'::TIME"),
        ("date", "'2026-01-31'", "'2026-02-01'::DATE"),
        ("timestamptz", "'2026-11-22 01:02:03+00'", "'2026-11-22 01:02:03.000001+00'::TIMESTAMP_TZ"),
        ("jsonb", "'null'", "NULL"),
        ("jsonb", """'{"a": [1, 2]}'""", """PARSE_JSON('{"a": [2, 1]}')"""),
        ("jsonb", """'{"a": "1"}'""", """PARSE_JSON('{"a": 1}')"""),
        ("int4[]", "'{1,NULL}'", "PARSE_JSON('[1]')::ARRAY"),
    ],
}
"""What the source holds, and what somebody puts in its place."""


def test_values_that_are_near_each_other_are_told_apart(pair: Pair) -> None:
    near = NEAR[type(pair.sink)]
    pair.write(f"CREATE TABLE {{t}} (id int PRIMARY KEY, {', '.join(f'c{n} {name}' for n, (name, _, _) in enumerate(near))})")
    for n, (_, value, _) in enumerate(near):
        pair.write(f"INSERT INTO {{t}} (id, c{n}) VALUES ({n}, {value})")
    pair.run(verify=True)
    for n, (_, _, other) in enumerate(near):
        pair.change(f"UPDATE {{t}} SET c{n} = {other} WHERE id = {n}")
    found = verified(pair)
    unseen = [case for n, case in enumerate(near) if found.different < len(near) and verified(pair, where=f"id = {n}").different == 0]
    assert counts(found) == {"different": len(near)} and not unseen


def test_json_that_says_the_same_is_the_same_in_snowflake(pair: Pair) -> None:
    if not isinstance(pair.sink, Snowflake):
        pytest.skip("other targets keep the text")
    pair.write("""CREATE TABLE {t} (id int PRIMARY KEY, j jsonb); INSERT INTO {t} VALUES (1, '{"b": [1.50, "\\u00e9"], "a": 100}')""")
    pair.run(verify=True)
    pair.change("""UPDATE {t} SET j = PARSE_JSON('{"a": 1e2, "b": [1.5, "é"]}')""")
    assert counts(verified(pair)) == {"equal": 1}


def test_long_values_are_compared_whole(pair: Pair) -> None:
    """To the last byte, and with characters of four bytes, which pieces of a driver's may cut."""
    pair.write("CREATE TABLE {t} (id int PRIMARY KEY, v text, b bytea)")
    pair.at_source.execute(f"INSERT INTO {pair.table} SELECT i, repeat('名😀', 200000) || i, decode(repeat('00ff', 600000), 'hex') FROM generate_series(1, 3) i".encode())
    assert counts(pair.run(verify=True, batch_bytes=65536).verification) == {"equal": 3}
    last = "CONCAT(SUBSTRING(v, 1, CHAR_LENGTH(v) - 1), 'x')" if isinstance(pair.sink, Mariadb) else "substr(v, 1, length(v) - 1) || 'x'"
    pair.change(f"UPDATE {{t}} SET v = {last} WHERE id = 2")
    assert examples(verified(pair, batch_bytes=65536)) == {("different", "(2)")}


# ---- rows ---------------------------------------------------------------------------------------------------------


def test_a_run_that_compares_tells_an_exact_result_and_verify_the_same_later(items: Pair) -> None:
    items.write("UPDATE {t} SET note = 'new' WHERE id <= 10; DELETE FROM {t} WHERE id = 20")
    inside = items.run(verify=True, sweep="always").verification
    assert inside is not None and inside.exact and counts(inside) == {"equal": 599}
    later = verified(items)
    assert later and not later.exact and counts(later) == {"equal": 599}
    assert later.checksum == inside.checksum is not None


def test_empty_tables_are_equal(pair: Pair) -> None:
    pair.write("CREATE TABLE {t} (id int PRIMARY KEY, note text)")
    assert pair.run(verify=True).verification
    assert counts(verified(pair)) == {}


def test_a_row_that_lacks_is_missing_and_one_too_many_is_only_there(items: Pair) -> None:
    items.change("DELETE FROM {t} WHERE id = 7")
    found = verified(items)
    assert found.result == "different" and counts(found) == {"equal": 599, "missing": 1} and examples(found) == {("missing", "(7)")}
    items.change("INSERT INTO {t} (id, n, note, _extracted_at, _load_id) SELECT 7000, n, note, _extracted_at, _load_id FROM {t} WHERE id = 8")
    found = verified(items)
    assert counts(found) == {"equal": 599, "missing": 1, "target_only": 1} and examples(found) == {("missing", "(7)"), ("target_only", "(7000)")}


def test_all_rows_may_differ_and_twenty_are_named(items: Pair) -> None:
    items.change("UPDATE {t} SET note = 'damaged'")
    found = verified(items)
    assert counts(found) == {"different": 600} and len(examples(found)) == 20 and found.checksum is None


def test_rows_that_the_source_touched_since_are_pending_and_no_others(items: Pair) -> None:
    items.write("UPDATE {t} SET note = 'new' WHERE id <= 10; INSERT INTO {t} VALUES (1000, 1, 'new'); DELETE FROM {t} WHERE id = 20; UPDATE {t} SET note = note WHERE id = 30")
    items.change("UPDATE {t} SET note = 'damaged' WHERE id IN (5, 100)")
    found = verified(items)
    assert counts(found) == {"equal": 588, "pending": 11, "target_only": 1, "different": 1}
    assert examples(found) == {("target_only", "(20)"), ("different", "(100)")}
    assert found.reasons == ("keys that only the target has were deleted at the source",)


@pytest.mark.parametrize("damage", ["UPDATE {t} SET note = 'damaged' WHERE id = 5", "UPDATE {t} SET id = 9005 WHERE id = 5"])
def test_a_run_that_finds_a_difference_commits_nothing(items: Pair, damage: str) -> None:
    items.change(damage)
    items.write("INSERT INTO {t} VALUES (1000, 1, 'new')")
    refused = items.refused(errors.DataError, verify=True)
    assert "does not equal its source" in refused.message and "(5)" in refused.message and "state reset" in str(refused.hint)
    items.job().reset()
    found = items.run(verify=True, sweep="always").verification
    assert found is not None and found.exact and counts(found) == {"equal": 601}


PARTS = [("text", "'{}'", "txt"), ("timestamp", "timestamp '2026-01-01' + {} * interval '1 us'", "moment"), ("numeric(12,2)", "{} / 100.0", "n"), ("bytea", "decode(lpad(to_hex({}), 8, '0'), 'hex')", "raw"),
         ("uuid", "md5('{}')::uuid", "token"), ("date", "date '1999-12-31' + {}", "day"), ("boolean", "{} % 2 = 0", "flag"), ("int2", "{}", "small")]  # fmt: skip


def test_keys_of_several_columns_of_every_kind_are_read_once_each(pair: Pair) -> None:
    """700 rows are three pages, and what parts them is a key of eight columns; few of its first differ."""
    columns = ", ".join(f"{name} {kind}" for kind, _, name in PARTS)
    values = ", ".join(value.replace("'{}'", "(i % 3)::text" if kind == "text" else "i::text").replace("{}", "i::int") for kind, value, _ in PARTS)
    pair.write(f"CREATE TABLE {{t}} ({columns}, v int, PRIMARY KEY ({', '.join(name for _, _, name in PARTS)}))")
    pair.write(f"INSERT INTO {{t}} SELECT {values}, i FROM generate_series(1, 700) i")
    pair.run()
    assert counts(verified(pair)) == {"equal": 700}
    pair.change("UPDATE {t} SET v = -1 WHERE v = 300")
    pair.change("DELETE FROM {t} WHERE v = 600")
    found = verified(pair)
    assert counts(found) == {"equal": 698, "different": 1, "missing": 1}
    otherwise = {Psqlodbc: {"flag": "flag::text"}, Snowflake: {"moment": "moment || '+00'"}}.get(type(pair.sink), {})  # there it was taken as UTC
    shown = ", ".join(otherwise.get(name, name) for _, _, name in PARTS)
    named = {v: key for key, v in pair.at_source.execute(f"SELECT ROW({shown})::text, v FROM {pair.table}")}
    assert examples(found) == {("different", named[300]), ("missing", named[600])}


@pytest.mark.parametrize("n", [256, 512, 257])
def test_a_table_that_fills_its_last_page_is_read_to_its_end(pair: Pair, n: int) -> None:
    pair.write("CREATE TABLE {t} (id text PRIMARY KEY)")
    pair.write(f"INSERT INTO {{t}} SELECT i::text FROM generate_series(1, {n}) i")
    assert counts(pair.run(verify=True).verification) == {"equal": n}


# ---- one state of the target ----------------------------------------------------------------------------------------


def test_what_others_commit_meanwhile_is_not_seen(items: Pair) -> None:
    """All passes over the target see it as it was when its newest record was read."""
    if not isinstance(items.sink, (Mariadb, Psqlodbc)):
        pytest.skip("the next tests show the others")
    items.change("UPDATE {t} SET note = 'damaged' WHERE id = 5")
    with psycopg.connect(items.source, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        comparing = started(lambda: verified(items, where=AT_THE_GATE))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=comparing)
        items.change("UPDATE {t} SET note = 'note 5' WHERE id = 5")
        items.change("UPDATE {t} SET note = 'damaged' WHERE id > 300")
    assert examples(comparing.result(60)) == {("different", "(5)")}


def test_a_file_is_not_written_while_it_is_compared(items: Pair) -> None:
    if not isinstance(items.sink, Sqlite):
        pytest.skip("a server goes on")
    with psycopg.connect(items.source, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        comparing = started(lambda: verified(items, where=AT_THE_GATE))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=comparing)
        with closing(sqlite3.connect(items.sink.uri.removeprefix("sqlite://"), timeout=0)) as other:
            with pytest.raises(sqlite3.OperationalError, match="locked"), other:
                other.execute(f"UPDATE \"raw_postgres.{items.table}\" SET note = 'damaged'")
    assert comparing.result(60)


def test_a_load_that_comes_between_is_told(items: Pair) -> None:
    """Each statement of Snowflake's sees what is committed by then."""
    if not isinstance(items.sink, Snowflake):
        pytest.skip("others have snapshots")
    items.change("UPDATE {t} SET note = 'damaged' WHERE id = 5")
    with psycopg.connect(items.source, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        comparing = started(lambda: verified(items, where=AT_THE_GATE))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=comparing)
        items.run()
    with pytest.raises(errors.TargetError, match="was loaded while it was compared") as caught:
        comparing.result(60)
    assert caught.value.retryable


def test_verifying_can_be_cancelled(items: Pair) -> None:
    with psycopg.connect(items.source, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [GATE])
        job = items.job(where=AT_THE_GATE)
        waiting = started(lambda: rowferry.verify(job))
        until(lambda: waits_for(items.at_source, "advisory", "ShareLock"), unless=waiting)
        job.cancel()
        with pytest.raises(errors.CancelledError):
            waiting.result(60)
    items.wait_for_end()
    assert items.rows(KEPT.replace(", day, tags", ""))


# ---- memory -----------------------------------------------------------------------------------------------------------

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


MANY = 200_000


def test_memory_does_not_grow_with_the_table(pair: Pair) -> None:
    if not isinstance(pair.sink, BEHIND_ODBC):
        pytest.skip("the emulator sends a result whole")
    jobs = []
    for name, rows in (("few", 1000), ("many", MANY)):
        table = f"{pair.table}_{name}"
        pair.at_source.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, note text); INSERT INTO {table} SELECT i, repeat(md5(i::text), 20) FROM generate_series(1, {rows}) i")
        jobs.append(pair.settings(table=table))
        rowferry.run(jobs[-1])
        pair.change(f"UPDATE raw_postgres.{table} SET note = '' WHERE id = 1")
    grown = subprocess.run([sys.executable, "-c", GROWTH, json.dumps(jobs)], capture_output=True, text=True, check=True).stdout
    assert int(grown) < 20_000, f"kB, of which the buckets take 16,000, for {MANY} rows of 640 bytes"
