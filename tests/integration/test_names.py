"""Names that try to be something else than a name: each is taken to the letter, or refused by a clear error.

What the tests send to a server themselves is quoted by libpq (psycopg's `Identifier`), not by rowferry.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Composable, Identifier, Literal
from route import Route, described

import rowferry
from rowferry.checkup import doctor
from rowferry.demo.servers import Server
from rowferry.errors import ConfigurationError, RowferryError, SourceError

NAMES = {
    "a double quote": 'a"b',
    "a double quote alone": '"',
    "two double quotes": '""',
    "a single quote": "it's",
    "a single quote alone": "'",
    "a backslash": "a\\b",
    "a backslash before a quote": "\\'\\\"",
    "the letters of an escape": "\\u0041\\u0000\\x00",
    "a dot": "a.b",
    "a dot alone": ".",
    "spaces at both ends": " a b ",
    "a space alone": " ",
    "percent signs": "100%s%n%%",
    "dollar quotes": "$$a$q$",
    "a parameter": "$1",
    "a newline": "a\nb",
    "a line of a fingerprint": "a\nfilter true\nleaf 1 2 3 4 heap",
    "a tab and a carriage return": "a\tb\r",
    "control characters": "\x01\x1b[31m\x7f",
    "a combining accent": "e\u0301clair",
    "the same accent composed": "éclair",
    "an emoji of several code points": "👩\u200d🚀",
    "from right to left": "\u202eשלום مرحبا",
    "invisible spaces": "\ufeff\u00a0\u200b\u2028",
    "63 bytes": "n" * 63,
    "63 bytes of two each and one": "é" * 31 + "n",
    "63 bytes of four each and three": "😀" * 15 + "abc",
    "63 quotes": '"' * 63,
    "select": "select",
    "user": "user",
    "order": "order",
    "null": "null",
    "a capital": "Order",
    "a name of ours in capitals": "_LOAD_ID",
    "a name almost ours": "load_id",
    "the stage": "rowferry_stage_1",
    "a mark in capitals": "_Rowferry_kept",
    "the alias of the target": "t",
    "the alias of what is to be inserted": "excluded",
    "the alias of what was there": "old",
    "a system column in capitals": "XMIN",
    "a system column with a capital": "Ctid",
    "almost a system column": "tableoid ",
    "oid": "oid",
    "a placeholder": "{table}",
    "braces": "}{",
    "a comment": "--",
    "half a block comment": "/*",
    "a second statement": '"; DROP TABLE canary; --',
    "a second statement for a literal": "'); DROP TABLE canary; --",
    "JSON": '{"a": [1, "',
}


def quoted(*parts: str) -> str:
    """As a job's `table` wants it."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def statement(text: str, *parts: Composable | str) -> Composable:
    """`text` with `{}` for each part; a str is a name."""
    return SQL(text).format(*(Identifier(part) if isinstance(part, str) else part for part in parts))


@dataclass
class Place:
    """One source and one target for many names, which keep out of each other's way."""

    server: Server
    route: Route

    def both(self, composed: Composable) -> None:
        for session in (self.route.at_source, self.route.at_target):
            session.execute(composed)

    def rows(self, session: psycopg.Connection, schema: str, table: str, columns: list[str], live: str = "") -> list[str]:
        names = SQL(", ").join(map(Identifier, columns))
        found = session.execute(statement("SELECT ROW(r.*)::text FROM (SELECT {} FROM {}.{}" + live + ") r", names, schema, table))
        return sorted(row[0] for row in found)

    def assert_equal(self, schema: str, table: str, columns: list[str], where: Composable | None = None) -> None:
        here = self.rows(self.route.at_target, schema, table, columns, " WHERE _deleted_at IS NULL")
        names = SQL(", ").join(map(Identifier, columns))
        there = self.route.at_source.execute(
            statement("SELECT ROW(r.*)::text FROM (SELECT {} FROM {}.{} WHERE {}) r", names, schema, table, where or SQL("true"))
        )
        assert here == sorted(row[0] for row in there) and here


@pytest.fixture(scope="module", params=[15, 18], ids=["pg15", "pg18"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    server: Server = request.getfixturevalue(f"pg{request.param}")
    route = Route(server.create_database("names_source"), server.create_database("names_target"))
    for session in (route.at_source, route.at_target):
        session.execute(CANARY)
    yield Place(server, route)
    route.close()
    for name in ("names_source", "names_target"):
        server.admin(f"DROP DATABASE {name} WITH (FORCE)")


CANARY = """
CREATE TABLE canary (sings text); INSERT INTO canary VALUES ('still');
CREATE FUNCTION canary() RETURNS bool LANGUAGE sql AS $$INSERT INTO public.canary VALUES ('was called') RETURNING true$$;
"""


def assert_untouched(place: Place) -> None:
    """Nobody dropped, changed or called the canary of either side."""
    for session in (place.route.at_source, place.route.at_target):
        assert session.execute("SELECT sings FROM public.canary").fetchall() == [("still",)]
        assert session.execute("SELECT count(*) FROM pg_proc WHERE proname = 'canary'").fetchone() == (1,)


# ---- every name, everywhere -------------------------------------------------------------------------------


def twin_of(name: str) -> str:
    """A name that only a careless comparison takes for the same."""
    for other in (name.swapcase(), unicodedata.normalize("NFD", name), unicodedata.normalize("NFC", name), name[:-1] + "_", name[1:] + "_"):
        taken = other in ("xmin", "ctid", "_load_id") or other.startswith("_rowferry_")
        if other not in (name, "") and len(other.encode()) <= 63 and not taken:
            return other
    raise AssertionError(name)


def carried(place: Place, name: str) -> None:
    """Load, change, merge, filter, close, lose a column, verify: everything is called `name` that can be."""
    route, twin = place.route, twin_of(name)
    for text in ("CREATE SCHEMA {}", "GRANT USAGE, CREATE ON SCHEMA {} TO ferry_loader"):
        place.both(statement(text, name))
    place.both(statement("CREATE TYPE {}.{} AS ENUM ({}, {})", name, twin, Literal(name), Literal(twin)))
    table = "CREATE TABLE {0}.{1} ({1} text PRIMARY KEY, {2} {0}.{2} DEFAULT {3}, other int, {4} text)"
    at_source = route.at_source
    lost = "lost" if "lost" not in (name, twin) else "gone"
    at_source.execute(SQL(table).format(Identifier(name), Identifier(name), Identifier(twin), Literal(name), Identifier(lost)))
    insert = SQL("INSERT INTO {0}.{0} ({0}, other) SELECT {1} || n, n FROM generate_series({2}, {3}) AS n")
    at_source.execute(insert.format(Identifier(name), Literal(name), Literal(1), Literal(9)))
    names = {"source_name": name, "target_table": "{source}.{table}", "control_schema": name, "application": name, "run_id": name}
    columns = [name, twin, "other", lost]

    def run(**more: Any) -> rowferry.Report:
        return route.run(quoted(name, name), verify=True, **names, **more)

    report = run()
    assert (report.this_try.inserted, report.run_id, report.verification.result) == (9, name, "equal")
    place.assert_equal(name, name, columns)
    at_source.execute(SQL("UPDATE {0}.{0} SET {1} = {2}, other = -other WHERE other < 4").format(Identifier(name), Identifier(twin), Literal(twin)))
    at_source.execute(insert.format(Identifier(name), Literal(name), Literal(10), Literal(12)))
    report = run()
    assert not report.reconciled and (report.this_try.inserted, report.this_try.updated) == (3, 3), report.reasons
    place.assert_equal(name, name, columns)

    where = SQL("({0} <> {1} AND other <> 5)\nOR {2} IS NULL").format(Identifier(name), Literal(name + "11"), Identifier(twin))
    assert run(where=where.as_string(at_source)).reconciled
    at_source.execute(SQL("UPDATE {0}.{0} SET other = 5 WHERE other = 6").format(Identifier(name)))
    report = run(where=where.as_string(at_source))
    assert not report.reconciled and report.this_try.deleted == 1, report.reasons
    place.assert_equal(name, name, columns, where)

    at_source.execute(statement("ALTER TABLE {}.{} DROP {}", name, name, lost))
    at_source.execute(SQL("DELETE FROM {0}.{0} WHERE other = 7").format(Identifier(name)))
    run(capture="full")
    place.assert_equal(name, name, columns[:-1])

    stamped = SQL("CREATE TABLE {0}.stamped ({1} text PRIMARY KEY, {0} timestamptz NOT NULL DEFAULT now())")
    at_source.execute(stamped.format(Identifier(name), Identifier(twin)))
    at_source.execute(statement("INSERT INTO {}.stamped SELECT {} || n FROM generate_series(1, 9) AS n", name, Literal(name)))
    for gone in (0, 1):
        report = route.run(quoted(name) + ".stamped", verify=True, capture="cursor", cursor_columns=[name], sweep="always", **names)
        assert (report.capture, report.this_try.deleted, report.verification.result) == ("cursor", gone, "equal")
        place.assert_equal(name, "stamped", [name, twin])
        at_source.execute(SQL("DELETE FROM {0}.stamped WHERE {1} = {2}").format(Identifier(name), Identifier(twin), Literal(name + "3")))

    job = route.job(quoted(name, name), **names)
    assert rowferry.verify(job).result == "equal"
    assert {record.record["run_id"] for record in job.state()} == {name}
    assert any(name.replace('"', '""') in s.sql for s in job.plan().statements)


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_a_name_is_taken_to_the_letter_wherever_a_name_can_stand(place: Place, name: str) -> None:
    carried(place, name)
    assert_untouched(place)


OURS = ("s", "t", "k", "h", "p", "r", "d", "l", "n", "w", "x", "c", "old", "new", "live", "held", "base", "tree", "changed", "merged", "excluded", "is_new",
        "loads", "leases", "rowferry_stage_1", "rowferry_stage_2", "Xmin", "CTID", "tableoid_", "age", "count", "load_id", "deleted_at", "extracted_at")


@pytest.mark.parametrize("keys", [["t"], ["excluded", "s", "k"]], ids=", ".join)
@pytest.mark.parametrize("unique", [True, False], ids=["a key", "no key"])
def test_columns_that_are_called_as_parts_of_our_statements_are(place: Place, unique: bool, keys: list[str]) -> None:
    schema = f"{'-'.join(keys)} {unique}"
    key = statement(", PRIMARY KEY ({})", SQL(", ").join(map(Identifier, keys))) if unique else SQL("")
    place.route.at_source.execute(statement("CREATE SCHEMA {}", schema))
    place.route.at_source.execute(statement("CREATE TABLE {}.t ({}{})", schema, SQL(", ").join(statement("{} int", name) for name in OURS), key))
    fill = statement("INSERT INTO {}.t SELECT {} FROM generate_series({{}}, {{}}) AS g(g)", schema, SQL(", ").join([SQL("g")] * len(OURS)))
    insert = fill.as_string(place.route.at_source)
    settings: dict[str, Any] = {"source_name": schema, "keys": keys}
    for first, last, where in ((1, 9, None), (10, 12, None), (13, 14, "old <> 3"), (15, 16, "old <> 3")):
        place.route.at_source.execute(insert.format(first, last).encode())
        place.route.at_source.execute(statement("UPDATE {}.t SET old = {} WHERE live = {}", schema, Literal(3), Literal(last)))
        assert place.route.run(f'"{schema}".t', verify=True, where=where, **settings).verification.result == "equal"
        here = place.rows(place.route.at_target, f"raw_{schema}", "t", list(OURS), " WHERE _deleted_at IS NULL")
        there = place.rows(place.route.at_source, schema, "t", list(OURS), f" WHERE {where}" if where else "")
        assert here == there and here


anything = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=15)


@settings(max_examples=8, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(name=anything.filter(lambda name: len(name.encode()) <= 60 and not name.startswith("pg_")))
def test_any_text_can_be_a_name(place: Place, name: str) -> None:
    if place.route.at_source.execute("SELECT FROM pg_namespace WHERE nspname = %s", [name]).fetchone():
        return
    carried(place, name)


# ---- names that are refused --------------------------------------------------------------------------------

LONG = ("n" * 64, "é" * 32, "😀" * 16)


@pytest.mark.parametrize("name", LONG, ids=["64 letters", "32 of two bytes", "16 of four bytes"])
def test_a_name_of_more_than_63_bytes_is_refused_before_a_server_cuts_it(place: Place, name: str) -> None:
    cut = name.encode()[:63].decode(errors="ignore")
    place.route.at_source.execute(statement("CREATE TABLE IF NOT EXISTS public.{} (id int PRIMARY KEY, {} int)", cut, cut))
    for wrong in ({"table": name}, {"table": quoted(name, "items")}, {"source_name": name}, {"target_table": "x." + name}, {"target_table": name + ".{table}"},
                  {"control_schema": name}, {"keys": [name]}, {"columns": ["id", name]}):
        (setting,) = wrong
        with pytest.raises(ConfigurationError) as caught:
            place.route.run(**{"table": quoted(cut), "target_table": "{source}.x", **wrong})
        told = described(caught.value)
        assert setting in told and ("63 bytes" in told or f'no column "{name}"' in told), told


# ---- injection ---------------------------------------------------------------------------------------------

TOUCHED = Path("/tmp/rowferry-touched")
"""What an attack by way of a program would leave behind."""

PAYLOADS = (
    '"; DROP TABLE public.canary; --',
    "'; DROP TABLE public.canary; --",
    "\\'; DROP TABLE public.canary; --",
    "'); SELECT public.canary(); --",
    "'||public.canary()||'",
    "public.canary()",
    f"x) TO PROGRAM 'touch {TOUCHED}' --",
    "$$; DROP TABLE public.canary; $$",
    "0; DROP TABLE public.canary",
    "1 OR public.canary()",
    "\ufe68'; DROP TABLE public.canary; --",
    "x\n; DROP TABLE public.canary; --",
    "2026-01-01'; DROP TABLE public.canary; --",
    "every 1; DROP TABLE public.canary",
)

LITERAL = {"source_name", "target_table", "control_schema", "run_id", "application"}
"""Settings that may be any text: it is then a name, or a value that is kept."""

NAMES_THERE = {"as_text", "table", "keys", "columns", "cursor_columns", "mask_key_env"}
"""Settings that name what has to be there."""

USED_BY = dict.fromkeys(("cursor_columns", "since", "until"), {"capture": "cursor"}) | {"mask_key_env": {"mask": {"v": "hash"}}}
"""What else a job must say for a setting to matter."""

PARSED = {"since", "until"}
"""Settings that the server reads as a time."""

ELSEWHERE = {"driver", "source", "spool_dir", "target", "where"}
"""Settings with tests of their own, below; the driver is a file that only DuckDB and Snowflake targets open (test_duckdb), spool_dir
a folder that only Snowflake ones write in, and which holds no quote (native/test_spool)."""


def attacks(name: str, schema: dict[str, Any], payload: str) -> list[Any]:
    """The payload as this setting could carry it."""
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if name == "target_table":
        return ["raw_x." + payload.replace(".", "").replace('"', ""), payload]
    if "array" in types:
        return [[payload], ["id", payload], payload]
    return [payload]


@pytest.fixture
def prey(place: Place) -> Iterator[Callable[..., rowferry.Report]]:
    """Runs jobs as superuser, whom nothing but the quoting keeps from the canaries."""
    route = place.route
    route.at_source.execute("DROP TABLE IF EXISTS prey; CREATE TABLE prey (id int PRIMARY KEY, v text, updated_at timestamptz NOT NULL DEFAULT now()); INSERT INTO prey SELECT n, 'x' FROM generate_series(1, 9) n")
    route.at_target.execute("DROP SCHEMA IF EXISTS raw_postgres, _rowferry CASCADE")
    def run(**more: Any) -> rowferry.Report:
        route.at_target.execute("DROP TABLE IF EXISTS raw_postgres.prey")
        return route.run(**{"table": "prey", "source": route.source, "target": route.target, "verify": True, **more})

    yield run
    assert not TOUCHED.exists()
    assert_untouched(place)
    assert route.at_source.execute("SELECT count(*) FROM prey").fetchone() == (9,)


SETTINGS = json.loads(rowferry.spec("job"))["properties"]


def test_every_setting_that_takes_any_text_has_a_test_of_injection() -> None:
    """A new setting of the job belongs to one of these, or takes no free text."""
    free = {name for name, schema in SETTINGS.items() if ("string" in schema["type"] or "array" in schema["type"]) and "enum" not in schema and "pattern" not in schema}
    assert free == LITERAL | NAMES_THERE | ELSEWHERE | PARSED


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ELSEWHERE])
def test_what_a_setting_carries_is_refused_by_its_name_or_taken_to_the_letter(place: Place, prey: Callable[..., rowferry.Report], name: str) -> None:
    for payload in PAYLOADS:
        for attack in attacks(name, SETTINGS[name], payload):
            try:
                report = prey(**{name: attack, **USED_BY.get(name, {})})
            except RowferryError as error:
                assert isinstance(error, ConfigurationError), described(error)
                assert name in described(error) or name == "table" and "public" in str(error), described(error)
                assert name not in LITERAL or name == "target_table" or "63 bytes" in str(error), described(error)
            else:
                assert name in LITERAL, attack
                assert report.verification.result == "equal"
            assert_untouched(place)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_value_that_is_kept_is_kept_to_the_letter(place: Place, prey: Callable[..., rowferry.Report], payload: str) -> None:
    prey(run_id=payload, application=payload, source_name=payload, target_table="raw_postgres.prey")
    row = place.route.at_target.execute("SELECT l.run_id, l.source_name, e.run_id, e.application FROM _rowferry.loads l JOIN _rowferry.leases e USING (target_table)").fetchone()
    assert row == (payload,) * 4


# ---- the one place that takes SQL ----------------------------------------------------------------------------

BREAKING_OUT = (
    "true) OR (true",
    "true]::bool[])[1] OR (ARRAY[true",
    "true)) TO STDOUT; DROP TABLE public.canary; COPY (SELECT (true",
    "true; DROP TABLE public.canary",
    "true); DROP TABLE public.canary; --",
    "true) UNION SELECT 1, 'x' FROM (SELECT public.canary()) x WHERE (true",
    "true /* and no end",
    "true -- and no end of it\n) OR (true",
    "true) --",
    "'and no end",
    "$$and no end",
    "E'\\') OR (true",
    '"and no end',
    "true, public.canary()",
    "SELECT public.canary()",
    "",
    "/* nothing */",
    "-- nothing",
    "true FOR UPDATE",
    "true) TO PROGRAM 'touch " + str(TOUCHED) + "' --",
    "true INTO OUTFILE 'x'",
    "id = $1",
    ":id = 1",
    "id = 1\0; DROP TABLE public.canary",
)


@pytest.mark.parametrize("where", BREAKING_OUT)
def test_a_filter_cannot_leave_its_brackets_nor_hold_a_second_statement(place: Place, prey: Callable[..., rowferry.Report], where: str) -> None:
    prey()
    for _ in ("a first read", "a later one, with marks"):
        with pytest.raises((ConfigurationError, SourceError) if "$1" in where else ConfigurationError) as caught:
            prey(where=where)
        assert "where" in described(caught.value) or "filter" in described(caught.value) or "NUL" in str(caught.value) or "$" in where
        place.route.at_source.execute("UPDATE prey SET v = v")


WRITING = {
    "a row": "public.canary()",
    "a row, when a row is read": "CASE WHEN v = 'x' THEN public.canary() END",
    "through a CTE": "EXISTS (WITH gone AS (SELECT public.canary() AS c) SELECT FROM gone WHERE c)",
    "a sequence": "nextval('counter') > 0",
    "a sequence's value": "setval('counter', 100) > 0",
    "a large object": "lo_from_bytea(4711, 'x') > 0",
    "a log message": "pg_logical_emit_message(true, 'x', 'y') IS NOT NULL",
    "after leaving READ ONLY": "set_config('transaction_read_only', 'off', false) = 'off' AND public.canary()",
    "a setting of the server": "public.reconfigure()",
    "a notification": "pg_notify('x', 'y') IS NULL",
}


@pytest.mark.parametrize("verb", ["run", "plan", "verify"])
@pytest.mark.parametrize("where", WRITING.values(), ids=WRITING)
def test_a_filter_cannot_write(place: Place, prey: Callable[..., rowferry.Report], where: str, verb: str) -> None:
    """Not even for the superuser; where the server lets a function write in a READ ONLY transaction, it is rolled back."""
    source = place.route.at_source
    source.execute("DROP SEQUENCE IF EXISTS counter; CREATE SEQUENCE counter")
    source.execute("CREATE OR REPLACE FUNCTION public.reconfigure() RETURNS bool LANGUAGE plpgsql AS $$BEGIN EXECUTE 'ALTER ROLE ferry_reader SUPERUSER'; RETURN true; END$$")
    prey()
    job = place.route.job("prey", source=place.route.source, target=place.route.target, where=where, verify=True)
    try:
        {"run": job.run, "plan": job.plan, "verify": lambda: rowferry.verify(job)}[verb]()
    except RowferryError as error:
        assert error.sqlstate == "25006" or "filter" in str(error.hint), described(error)
        assert not error.retryable
    else:
        assert verb == "plan" or where.startswith(("lo_", "pg_"))
    assert source.execute("SELECT last_value, is_called FROM counter").fetchone() == (1, False)
    assert source.execute("SELECT count(*) FROM pg_largeobject_metadata").fetchone() == (0,)
    assert source.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'ferry_reader'").fetchone() == (False,)


LOGGED = re.compile(r"\[(?P<pid>\d+)\] .*?LOG:  (?:statement|execute [^:]*): (?P<statement>.*)")


def sessions_of(log: str) -> list[list[str]]:
    """What each backend was sent, in order; of a statement its first line."""
    sessions: dict[str, list[str]] = {}
    for found in LOGGED.finditer(log):
        sessions.setdefault(found["pid"], []).append(found["statement"])
    return list(sessions.values())


@pytest.mark.parametrize(("verb", "sides"), [("run", ["source"]), ("plan", ["source", "target"]), ("verify", ["source", "target"]), ("state", ["target"]), ("doctor", ["source", "target"])])
def test_whatever_only_reads_does_so_in_read_only_transactions(place: Place, prey: Callable[..., rowferry.Report], verb: str, sides: list[str]) -> None:
    """As the servers' own logs tell it."""
    prey()
    job = place.route.job("prey", source=place.route.source, target=place.route.target, where="id > 0", verify=True)
    databases = [getattr(place.route, side).rpartition("/")[2] for side in sides]
    start = place.server.log_path.stat().st_size
    for name in databases:
        place.server.admin(f"ALTER DATABASE {name} SET log_statement = 'all'")
    try:
        {"run": job.run, "plan": job.plan, "state": job.state, "verify": lambda: rowferry.verify(job), "doctor": lambda: doctor(source=job.source, target=job.target, tables=["prey"])}[verb]()
    finally:
        for name in databases:
            place.server.admin(f"ALTER DATABASE {name} RESET log_statement")
    sessions = sessions_of(place.server.log_path.read_text(errors="replace")[start:])
    assert len(sessions) >= len(sides)
    for statements in sessions:
        begun = [n for n, text in enumerate(statements) if text == "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"]
        assert begun, statements
        assert not any(word in text for text in statements[: begun[0]] for word in ('"prey"', "INSERT", "UPDATE", "CREATE", "DELETE", "LOCK")), statements
        assert not any(text.startswith(("COMMIT", "BEGIN ISOLATION LEVEL READ COMMITTED", "SET TRANSACTION READ WRITE")) for text in statements), statements
        between = statements[begun[0] : begun[-1]]
        assert [text for text in between if text == "ROLLBACK"] == ["ROLLBACK"] * (len(begun) - 1), statements


# ---- connection strings --------------------------------------------------------------------------------------

OPTIONS = {
    "backslashes that escape": "standard_conforming_strings=off",
    "an encoding whose characters end in a backslash": "client_encoding=SJIS",
    "an encoding whose characters end in a quote": "client_encoding=GBK",
    "names that are all quoted": "quote_all_identifiers=on",
    "no writes": "default_transaction_read_only=on",
    "other forms of values": "datestyle=German -c intervalstyle=iso_8601 -c timezone=Asia/Tokyo -c bytea_output=escape -c extra_float_digits=-15",
    "serializable": "default_transaction_isolation=serializable -c default_transaction_deferrable=on",
    "no triggers": "session_replication_role=replica",
    "NULL as a value": "transform_null_equals=on -c array_nulls=off",
    "a setting that does not exist": "no_such_setting=1",
    "a second option": "application_name=x';DROP\\ TABLE\\ public.canary;--",
}


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("option", OPTIONS.values(), ids=OPTIONS)
def test_options_of_a_connection_change_no_value_and_no_name(place: Place, prey: Callable[..., rowferry.Report], option: str, side: str) -> None:
    odd = "it's \\ 表ソ"
    source = place.route.at_source
    source.execute(statement("DROP TABLE IF EXISTS public.{}; CREATE TABLE public.{} (id int PRIMARY KEY, {} text, at timestamptz, f float8, b bytea, i interval)", odd, odd, odd))
    fill = "INSERT INTO public.{} SELECT n, {}, now(), 0.1 + 0.2, '\\x5c27', '1 day -00:00:01' FROM generate_series({}, {}) AS n"
    uri = f"{getattr(place.route, side)}?options={quote('-c ' + option)}"
    for first, last in ((1, 9), (10, 12)):
        source.execute(statement(fill, odd, Literal(odd), Literal(first), Literal(last)))
        try:
            report = prey(**{"table": quoted(odd), "target_table": "raw_postgres.prey", "source_name": odd, "run_id": odd, side: uri, "where": "true"})
        except RowferryError as error:
            assert "setting" in str(error) or side == "target" and error.sqlstate == "25006", described(error)
        else:
            assert report.verification.result == "equal"
            columns = ["id", odd, "at", "f", "b", "i"]
            assert place.rows(place.route.at_target, "raw_postgres", "prey", columns) == place.rows(source, "public", odd, columns)


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("payload", PAYLOADS)
def test_what_stands_in_a_connection_string_is_no_statement(prey: Callable[..., rowferry.Report], place: Place, side: str, payload: str) -> None:
    uri = getattr(place.route, side)
    for attack in (payload, uri + quote(payload, safe=""), f"{uri}?application_name={quote(payload)}", f"{uri}?options={quote(payload)}", f"{uri}?fallback_application_name={quote(payload)}"):
        try:
            prey(**{side: attack})
        except RowferryError as error:
            assert side in str(error), described(error)
