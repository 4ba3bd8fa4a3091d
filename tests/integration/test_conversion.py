"""What cannot pass as bytes arrives in a form that says so: as text, as a number, or in another encoding."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

import pyarrow
import pytest
from rights import READER, as_role
from route import Route, described

import rowferry
from rowferry.demo.servers import Server
from rowferry.errors import ConfigurationError, DataError, SchemaDriftError

Statement = str
OBJECTS = "its values name objects of one server"
MISSING = "there is no type of this name on the target"
ANOTHER = "the type of this name on the target is another"

# Type, what makes it at the source and on the target, values as SQL, and why its bytes cannot pass.
UNFIT: dict[str, tuple[str, Statement, Statement, list[str], str]] = {
    "regclass": ("regclass", "", "", ["'pg_class'", "'items'"], OBJECTS),
    "an array of regproc": ("regprocedure[]", "", "", ["ARRAY['length(text)', 'now()']::regprocedure[]"], OBJECTS),
    "xid": ("xid", "", "", ["'4294967295'", "'0'"], OBJECTS),
    "xid8": ("xid8", "", "", ["'18446744073709551615'"], OBJECTS),
    "tid": ("tid", "", "", ["'(4294967295,65535)'"], OBJECTS),
    "pg_snapshot": ("pg_snapshot", "", "", ["'10:20:10,14'"], OBJECTS),
    "aclitem": ("aclitem", "", "", ["'postgres=r/postgres'"], OBJECTS),
    "a composite with a regclass in it": ("pair", "CREATE TYPE pair AS (a int, b regclass)", "CREATE TYPE pair AS (a int, b regclass)", ["ROW(1, 'pg_class')::pair"], OBJECTS),
    "an enum that the target lacks": ("mood", "CREATE TYPE mood AS ENUM ('a', '', 'it''s', '名')", "", ["'a'", "''", "'it''s'", "'名'"], MISSING),
    "a domain over an enum that the target lacks": ("temper", "CREATE TYPE mood AS ENUM ('a'); CREATE DOMAIN temper AS mood", "", ["'a'"], MISSING),
    "an enum with another label": ("mood", "CREATE TYPE mood AS ENUM ('a', 'b')", "CREATE TYPE mood AS ENUM ('a', 'c')", ["'b'"], ANOTHER),
    "an enum in another order": ("mood", "CREATE TYPE mood AS ENUM ('a', 'b')", "CREATE TYPE mood AS ENUM ('b', 'a')", ["'b'"], ANOTHER),
    "an array of an enum with another label": ("mood[]", "CREATE TYPE mood AS ENUM ('a', ',')", "CREATE TYPE mood AS ENUM ('c')", ["'{}'", "ARRAY['a', NULL, ',']::mood[]"], ANOTHER),
    "a composite of other fields": ("pair", "CREATE TYPE pair AS (a int, b text)", "CREATE TYPE pair AS (a int, b bytea)", ["ROW(1, E'a,\"b\"\\n')::pair", "ROW(NULL, '')::pair"], ANOTHER),
    "a range of its own": ("span", "CREATE TYPE span AS RANGE (subtype = float8)", "", ["'[0.1,0.3)'", "'empty'"], MISSING),
    "a type of an extension that the target lacks": ("hstore", "CREATE EXTENSION hstore", "", ["'a=>1, b=>NULL, \"\"=>\"\\\"\"'", "''"], MISSING),
    "an enum in the place of an extension's type": ("citext", "CREATE EXTENSION citext", "CREATE TYPE citext AS ENUM ('a')", ["'Case'"], ANOTHER),
}


def _execute(route: Route, at_source: str, at_target: str = "") -> None:
    for session, statement in ((route.at_source, at_source), (route.at_target, at_target)):
        if statement:
            session.execute(statement.encode())


def _type_on_target(route: Route, column: str, table: str = "raw_postgres.items") -> str:
    named = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = %s"
    return route.at_target.execute(named, [table, column]).fetchone()[0]


def _assert_texts_equal(route: Route, column: str, form: str = "{}::text") -> None:
    """As the reader's own session prints the values; `form` is what they are printed as at the source."""
    source = route.at_source.execute(f"SELECT id, {form.format(column)} FROM items ORDER BY id").fetchall()
    assert route.at_target.execute(f"SELECT id, {column}::text FROM raw_postgres.items WHERE _deleted_at IS NULL ORDER BY id").fetchall() == source


def _fill(route: Route, values: list[str]) -> None:
    for n, value in enumerate([*values, "NULL"]):
        route.at_source.execute(f"INSERT INTO items VALUES ({n}, {value})".encode())


@pytest.mark.parametrize(("type_name", "at_source", "at_target", "values", "reason"), UNFIT.values(), ids=UNFIT)
def test_a_type_whose_bytes_cannot_pass_arrives_as_its_text(route: Route, type_name: str, at_source: str, at_target: str, values: list[str], reason: str) -> None:
    _execute(route, at_source, at_target)
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, odd {type_name})")
    _fill(route, values)
    report = route.run("items", verify=True)
    assert report.verification and report.verification.checksum
    (told,) = report.conversions
    assert (told.column, told.carried_as, told.reason) == ("odd", "text", reason)
    assert _type_on_target(route, "odd") == "text"
    _assert_texts_equal(route, "odd")
    route.at_source.execute("UPDATE items SET odd = odd WHERE id > 0; DELETE FROM items WHERE id = 0")
    again = route.run("items", verify=True, sweep="always")
    assert (again.this_try.updated, again.this_try.deleted) == (len(values), 1) and [c.column for c in again.conversions] == ["odd"]
    _assert_texts_equal(route, "odd")
    assert rowferry.verify(route.job("items")).checksum


def test_a_type_that_belongs_to_no_extension_arrives_as_its_text(route: Route) -> None:
    """A type whose functions are written in C by its owner, as one of pg_catalog in other words."""
    route.at_source.execute(
        "CREATE TYPE ours; CREATE FUNCTION ours_in(cstring) RETURNS ours IMMUTABLE STRICT LANGUAGE internal AS 'textin';"
        "CREATE FUNCTION ours_out(ours) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout'; CREATE TYPE ours (INPUT = ours_in, OUTPUT = ours_out)"
    )
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, odd ours, many ours[])")
    route.at_source.execute("INSERT INTO items VALUES (1, 'a \"text\"', ARRAY['a', NULL]::ours[]), (2, NULL, '{}')")
    report = route.run("items", verify=True)
    assert [(c.column, c.carried_as) for c in report.conversions] == [("odd", "text"), ("many", "text")]
    for column in ("odd", "many"):
        _assert_texts_equal(route, column)


def test_another_version_of_an_extension_arrives_as_its_text_until_the_versions_are_the_same(route: Route) -> None:
    _execute(route, "CREATE EXTENSION hstore", "CREATE EXTENSION hstore VERSION '1.4'")
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, odd hstore); INSERT INTO items VALUES (1, 'b=>2,a=>\"1,\"')")
    (told,) = route.run("items", verify=True).conversions
    assert told.reason == ANOTHER
    _assert_texts_equal(route, "odd")
    route.at_target.execute("ALTER EXTENSION hstore UPDATE; ALTER TABLE raw_postgres.items ALTER odd TYPE hstore USING odd::hstore")
    route.at_source.execute("INSERT INTO items VALUES (2, 'c=>NULL')")
    assert route.run("items", verify=True).conversions == ()
    _assert_texts_equal(route, "odd")


def test_an_extension_that_gets_another_version_at_the_source_is_drift(route: Route) -> None:
    for session in (route.at_source, route.at_target):
        session.execute("CREATE EXTENSION hstore VERSION '1.4'")
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, odd hstore); INSERT INTO items VALUES (1, 'a=>1')")
    assert route.run("items", verify=True).conversions == ()
    route.at_source.execute("ALTER EXTENSION hstore UPDATE")
    error = route.refused(SchemaDriftError, "items")
    assert "extension hstore 1.4" in str(error) and '"odd"' in str(error)


def test_a_text_on_the_target_goes_on_taking_a_type_that_the_target_knows_by_now(route: Route) -> None:
    mood = "CREATE TYPE mood AS ENUM ('a', 'b')"
    route.at_source.execute(f"{mood}; CREATE TABLE items (id int PRIMARY KEY, odd mood); INSERT INTO items VALUES (1, 'a')")
    route.run("items")
    route.at_target.execute(mood)
    route.at_source.execute("INSERT INTO items VALUES (2, 'b')")
    (told,) = route.run("items", verify=True).conversions
    assert told.reason == "the target has a text for it"
    _assert_texts_equal(route, "odd")


def test_a_label_that_is_renamed_at_the_source_is_renamed_in_the_text(route: Route) -> None:
    route.at_source.execute("CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE items (id int PRIMARY KEY, odd mood); INSERT INTO items VALUES (1, 'a'), (2, 'b')")
    route.run("items")
    route.at_source.execute("ALTER TYPE mood RENAME VALUE 'a' TO 'A'")
    assert route.run("items", verify=True).reconciled
    _assert_texts_equal(route, "odd")


# ---- by choice -------------------------------------------------------------------------------------------------

CHOSEN = {
    "jsonb": ["""'{"a": 10.680}'""", "'null'"],
    "integer[]": ["'[0:1]={1,2}'", "'{{1,2},{3,4}}'", "'{}'"],
    "numeric(12,2)": ["12.30", "'NaN'"],
    "timestamptz": ["'2026-11-23 01:02:03.4+05'", "'infinity'", "'4713-11-24 00:00:00+00 BC'"],
    "double precision": ["0.1", "'-0'", "5e-324"],
    "bytea": ["'\\x00ff'", "''"],
    "interval": ["'1 mon -1 day 24:00:00'"],
    "char(3)": ["'a'"],
    "text": ["''"],
}


def test_columns_that_as_text_names_arrive_as_their_text(route: Route) -> None:
    columns = {f"c{n}": name for n, name in enumerate(CHOSEN)}
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, {', '.join(f'{c} {name}' for c, name in columns.items())})")
    for column, name in columns.items():
        for value in CHOSEN[name]:
            route.at_source.execute(f"INSERT INTO items (id, {column}) SELECT count(*), {value} FROM items".encode())
    session = "SET timezone = 'UTC'"
    _execute(route, session, session)
    for turn in range(2):
        report = route.run("items", as_text=list(columns), verify=True)
        assert {c.column: c.reason for c in report.conversions} == dict.fromkeys(columns, '"as_text" names it')
        assert report.this_try.read > 0 and report.first_load is (turn == 0)
        for column in columns:
            assert _type_on_target(route, column) == "text"
            _assert_texts_equal(route, column)
        route.at_source.execute("UPDATE items SET id = id")


def test_a_timestamp_that_is_taken_as_utc_arrives_to_its_ends(route: Route) -> None:
    route.at_source.execute("SET timezone = 'Asia/Tokyo'; CREATE TABLE items (id int PRIMARY KEY, m timestamp(3), n timestamp)")
    for value in ("-infinity", "4713-11-24 00:00:00 BC", "2026-03-29 02:30:00.5", "294276-12-31 23:59:59.999999", "infinity"):
        route.at_source.execute("INSERT INTO items SELECT count(*), least(%s::timestamp, '2026-03-29'), %s FROM items", (value, value))
    for first in (True, False):
        report = route.run("items", naive_timestamps="utc", verify=True)
        assert report.first_load is first and {c.column: (c.carried_as, c.reason) for c in report.conversions} == dict.fromkeys("mn", ("timestamptz", '"naive_timestamps" takes it as UTC'))
        route.at_source.execute("UPDATE items SET m = m")
    assert {_type_on_target(route, column) for column in "mn"} == {"timestamp with time zone"}
    assert rowferry.verify(route.job("items", naive_timestamps="utc")).different == 0
    kept = route.at_target.execute("SELECT (n AT TIME ZONE 'UTC')::text FROM raw_postgres.items ORDER BY id").fetchall()
    assert kept == route.at_source.execute("SELECT n::text FROM items ORDER BY id").fetchall()
    error = route.refused(SchemaDriftError, "items")
    assert '"naive_timestamps": "utc"' in error.hint


def test_a_key_as_text_is_merged_and_swept_by_its_text(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id bigint PRIMARY KEY, v int); INSERT INTO items SELECT n, n FROM generate_series(1, 50) n")
    route.run("items", as_text=["id"], verify=True)
    route.at_source.execute("UPDATE items SET v = 0 WHERE id < 11; DELETE FROM items WHERE id > 45; INSERT INTO items VALUES (100, 1)")
    report = route.run("items", as_text=["id"], sweep="always", verify=True)
    assert (report.this_try.updated, report.this_try.inserted, report.this_try.deleted) == (10, 1, 5)
    assert _type_on_target(route, "id") == "text"


def test_a_cursor_column_as_text_still_says_what_changed(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now()); INSERT INTO items VALUES (1)")
    route.run("items", as_text=["updated_at"], capture="cursor")
    route.at_source.execute("INSERT INTO items VALUES (2)")
    report = route.run("items", as_text=["updated_at"], capture="cursor", audit="always", where="id > 0")
    assert report.capture == "cursor" and report.this_try.inserted == 1
    assert route.run("items", as_text=["updated_at"], capture="full", where="id > 0", verify=True).verification


def test_readers_side_by_side_send_the_same_texts(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v jsonb); INSERT INTO items SELECT n, jsonb_build_array(n, repeat('x', 500)) FROM generate_series(1, 20000) n")
    route.at_source.execute("ANALYZE items")
    report = route.run("items", as_text=["v"], connections=3, verify=True)
    assert report.connections > 1 and report.this_try.read == 20000
    _assert_texts_equal(route, "v")


def test_the_text_of_a_column_that_is_there_in_its_own_type_is_drift_both_ways(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v jsonb)")
    route.run("items")
    error = route.refused(SchemaDriftError, "items", as_text=["v"])
    assert '"v"' in str(error) and "jsonb" in str(error) and "to text" in error.hint
    route.at_target.execute("DROP TABLE raw_postgres.items")
    route.run("items", as_text=["v"])
    error = route.refused(SchemaDriftError, "items")
    assert '"v"' in str(error) and '"as_text"' in error.hint


def test_a_column_that_as_text_misspells_is_named(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v jsonb)")
    error = route.refused(ConfigurationError, "items", as_text=["V"])
    assert '"V"' in str(error) and "as_text" in str(error)


def test_a_plan_says_what_would_be_converted(route: Route) -> None:
    route.at_source.execute("CREATE TYPE mood AS ENUM ('a'); CREATE TABLE items (id int PRIMARY KEY, odd mood)")
    plan = route.job("items").plan()
    assert [(c.column, c.type, c.reason) for c in plan.conversions] == [("odd", "public.mood", MISSING)]
    assert '"odd"::pg_catalog.text' in next(s.sql for s in plan.statements if s.role == "read")
    assert route.loads() == 0


def test_the_load_record_keeps_what_was_converted(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, odd xid)")
    route.run("items")
    (record,) = route.at_target.execute("SELECT report -> 'conversions' ->> 0 FROM _rowferry.loads").fetchone()
    assert '"odd"' in record and OBJECTS in record


# ---- money -----------------------------------------------------------------------------------------------------


def test_money_of_another_currency_arrives_as_its_number(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v money, many money[])")
    route.at_source.execute("INSERT INTO items VALUES (1, '-92233720368547758.08', '{0.01,NULL}'), (2, NULL, '{}'), (3, '12.30', NULL)")
    name = route.target.rpartition("/")[2]
    route.at_target.execute(f"ALTER DATABASE {name} SET lc_monetary = 'POSIX'")
    for _ in range(2):
        report = route.run("items", verify=True)
        assert [(c.column, c.carried_as) for c in report.conversions] == [("v", "numeric"), ("many", "numeric[]")]
        _assert_texts_equal(route, "v", "{}::numeric::text")
        _assert_texts_equal(route, "many", "{}::numeric[]::text")
        route.at_source.execute("UPDATE items SET v = v")
    assert _type_on_target(route, "v") == "numeric"


def test_money_on_a_target_that_changed_its_currency_is_refused(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, price money)")
    route.run("items")
    name = route.target.rpartition("/")[2]
    route.at_target.execute(f"ALTER DATABASE {name} SET lc_monetary = 'POSIX'")
    error = route.refused(ConfigurationError, "items")
    assert "lc_monetary" in str(error) and "money" in str(error)


# ---- encodings -------------------------------------------------------------------------------------------------

EncodedRoute = Callable[[str, str], Route]


@pytest.fixture
def encoded(servers: Server, route_on: Callable[..., Route]) -> Iterator[EncodedRoute]:
    """Call it with the encodings of source and target for a `Route` of new databases on one server."""
    names: list[str] = []
    routes: list[Route] = []

    def make(*encodings: str) -> Route:
        uris = []
        for side, encoding in zip(("source", "target"), encodings, strict=True):
            names.append(f"{side}_{encoding.lower()}_{os.getpid()}")
            servers.admin(f"CREATE DATABASE {names[-1]} TEMPLATE template0 ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C'")
            uris.append(f"{servers.uri(names[-1])}?client_encoding=UTF8")  # for the test's own sessions
        routes.append(Route(*uris))
        return routes[-1]

    yield make
    for route in routes:
        route.close()
    for name in names:
        servers.admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def _lay_words(route: Route, words: list[str]) -> None:
    """A table of everything that is made of characters, each in every kind of column."""
    labels = ", ".join(f"'{word}'" for word in words)
    _execute(route, f"CREATE TYPE mood AS ENUM ({labels}); CREATE TYPE pair AS (a text, b mood)", f"CREATE TYPE mood AS ENUM ({labels}); CREATE TYPE pair AS (a text, b mood)")
    _execute(route, "CREATE EXTENSION hstore; CREATE EXTENSION citext", "CREATE EXTENSION hstore; CREATE EXTENSION citext")
    columns = "t text, v varchar(6), c char(6), n name, j json, jb jsonb, e mood, a text[], p pair, h hstore, ci citext, ts tsvector, b bytea"
    route.at_source.execute(f'CREATE TABLE items (id text PRIMARY KEY, {columns}, "{words[0]}" text)'.encode())
    for word in words:
        values = f"""'{word}', '{word}', '{word}', '{word}', '{word}', '"{word}"', '{{"{word}": "{word}"}}', '{word}', ARRAY['{word}', NULL], ROW('{word}', '{word}')::pair,
            hstore('{word}', '{word}'), '{word}', array_to_tsvector(ARRAY['{word}', 'a', 'z']), '\\xe9ff', '{word}'"""
        route.at_source.execute(f"INSERT INTO items VALUES ({values})".encode())


ENCODINGS = {
    "LATIN1 to UTF8": ("LATIN1", "UTF8", ["é", "ÿ¡ß", "a", "Ölçü"]),
    "UTF8 to LATIN1": ("UTF8", "LATIN1", ["é", "ÿ¡ß", "a", "Ölçü"]),
    "LATIN1 to LATIN1": ("LATIN1", "LATIN1", ["é", "ÿ¡ß"]),
    "LATIN2 to LATIN1": ("LATIN2", "LATIN1", ["é", "ß"]),
    "LATIN2 to UTF8": ("LATIN2", "UTF8", ["ł", "Ą", "ź", "á", "a"]),
    "WIN1252 to UTF8": ("WIN1252", "UTF8", ["€", "Š", "é", "™"]),
    "EUC_JP to UTF8": ("EUC_JP", "UTF8", ["名前", "ｱ", "a", "亜"]),
    "KOI8R to WIN1251": ("KOI8R", "WIN1251", ["Я", "ё", "ъ", "я"]),
}


@pytest.mark.parametrize(("source", "target", "words"), ENCODINGS.values(), ids=ENCODINGS)
def test_texts_arrive_as_the_same_characters_in_another_encoding(encoded: EncodedRoute, source: str, target: str, words: list[str]) -> None:
    route = encoded(source, target)
    _lay_words(route, words)
    report = route.run("items", verify=True)
    assert report.verification and report.verification.checksum
    assert [c.column for c in report.conversions] == ["h", "ci"]
    route.assert_equal("items")
    route.at_source.execute("UPDATE items SET v = v")
    route.at_source.execute(f"DELETE FROM items WHERE id = '{words[-1]}'".encode())
    again = route.run("items", verify=True, sweep="always", where=f"t <> 'nobody {words[0]}'")
    assert again.this_try.updated + again.this_try.deleted >= len(words)
    route.assert_equal("items")


def test_a_difference_between_encodings_is_found_and_named_whatever_the_order_of_their_bytes(encoded: EncodedRoute) -> None:
    """In LATIN2 the letters stand in another order than in UTF8."""
    route = encoded("LATIN2", "UTF8")
    words = ["ł", "Ą", "ź", "á", "ő", "Đ", "z"]
    route.at_source.execute("CREATE TABLE items (id text PRIMARY KEY, v int)")
    for word in words:
        route.at_source.execute(f"INSERT INTO items VALUES ('{word}', 1)".encode())
    route.run("items")
    route.at_target.execute("UPDATE raw_postgres.items SET v = 2 WHERE id = 'ł'".encode())
    found = rowferry.verify(route.job("items"))
    assert (found.compared, found.equal, found.different) == (len(words), len(words) - 1, 1)
    assert [e.key for e in found.examples] == ["(ł)"]


def test_a_character_that_the_target_cannot_hold_stops_the_run_and_is_named(encoded: EncodedRoute) -> None:
    route = encoded("UTF8", "LATIN1")
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v text); INSERT INTO items VALUES (1, 'é'), (2, '名')".encode())
    error = route.refused(DataError, "items")
    assert error.sqlstate == "22P05" and not error.retryable
    assert "LATIN1" in described(error) and "0xe5 0x90 0x8d" in described(error), described(error)
    assert "UTF8" in error.hint and "where" in error.hint
    assert route.run("items", where="id = 1", verify=True).first_load


def test_texts_of_another_encoding_are_read_into_memory_as_the_same_characters(encoded: EncodedRoute) -> None:
    route = encoded("LATIN2", "UTF8")
    words = ["ł", "Ą", "ź", "á", "a"]
    _lay_words(route, words)
    table = pyarrow.table(rowferry.read(as_role(route.source, READER), "items", columns=["id", "jb", "e", "a", "h"], as_text=["jb"]))
    assert sorted(table.select(["id", "e"]).to_pylist(), key=lambda row: row["id"]) == [{"id": word, "e": word} for word in sorted(words)]
    assert {row["h"] for row in table.to_pylist()} == {f'"{word}"=>"{word}"' for word in words}
    assert all(row["a"] == [row["id"], None] and row["jb"] == f'{{"{row["id"]}": "{row["id"]}"}}' for row in table.to_pylist())


def test_texts_of_no_known_encoding_are_not_read_into_memory(encoded: EncodedRoute) -> None:
    route = encoded("SQL_ASCII", "UTF8")
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, v text); INSERT INTO items VALUES (1, E'\\xe9')")
    with pytest.raises(ConfigurationError, match="source database is encoded in SQL_ASCII"):
        rowferry.read(as_role(route.source, READER), "items")


@pytest.mark.parametrize("side", ["source", "target"])
def test_a_database_in_sql_ascii_is_refused(servers: Server, encoded: EncodedRoute, side: str) -> None:
    route = encoded(*(("SQL_ASCII", "UTF8") if side == "source" else ("UTF8", "SQL_ASCII")))
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY)")
    assert f"{side} database is encoded in SQL_ASCII" in str(route.refused(ConfigurationError, "items"))
