"""Every type that is carried arrives identical, on the first load and by the merge, on either version."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest
from route import Route

from rowferry.demo.servers import Server

# The type, and edge values of it as SQL. NULL is added to each.
TYPES: dict[str, list[str]] = {
    "smallint": ["-32768", "32767", "0"],
    "integer": ["-2147483648", "2147483647"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "numeric": ["'NaN'", "'Infinity'", "'-Infinity'", "0", "1.0", "1.00", "-0.000000000000000000000001", "repeat('9', 1000)::numeric", "'1e-300'"],
    "numeric(12,4)": ["12345678.1234", "-0.0001", "'NaN'"],
    "numeric(4,-2)": ["123400", "0"],
    "numeric(3,5)": ["0.00123"],
    "real": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "1e-45", "3.4028235e38", "0.1"],
    "double precision": ["'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "5e-324", "1.7976931348623157e308", "0.1::float8 + 0.2::float8"],
    "money": ["'-92233720368547758.08'", "'0.01'"],
    "boolean": ["true", "false"],
    "text": ["''", "' '", "E'tab\\t newline\\n return\\r backslash\\\\ quote\\''", "'\\N'", "'NULL'", "U&'\\+01F600 \\0301'", "chr(1114111)", "repeat('long ', 100000)"],
    "varchar(5)": ["''", "'a    '", "'名名名名名'"],
    "char(5)": ["''", "'a'", "'名'"],
    '"char"': ["'a'", "''", "'\\377'"],
    "name": ["'a name'", "repeat('x', 63)"],
    "bytea": ["''", "'\\x00ff'", "decode(repeat('00', 70000), 'hex')"],
    "date": ["'infinity'", "'-infinity'", "'0044-03-15 BC'", "'4713-11-24 BC'", "'5874897-12-31'", "'2024-02-29'"],
    "time": ["'00:00'", "'24:00'", "'23:59:59.999999'"],
    "time(0)": ["'12:34:56'"],
    "timetz": ["'24:00+15:59'", "'00:00-15:59'", "'12:00:00.000001+05:30'"],
    "timestamp": ["'infinity'", "'-infinity'", "'4713-11-24 00:00:00 BC'", "'294276-12-31 23:59:59.999999'", "'1970-01-01'"],
    "timestamptz": ["'infinity'", "'-infinity'", "'4713-11-24 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'", "'2026-03-29 02:30:00 Europe/Paris'"],
    "timestamptz(0)": ["'2026-11-22 01:02:03+00'"],
    "timestamp(3)": ["'2026-11-22 01:02:03.456'"],
    "interval": ["'0'", "'1 mon -1 day 24:00:00'", "'178000000 years'", "'-178000000 years'", "'1 day'", "'24 hours'", "'0.000001 s'"],
    "interval day to second(3)": ["'1 day 02:03:04.567'"],
    "interval year to month": ["'3 years 2 mons'"],
    "uuid": ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"],
    "json": ["""'{"b": 1, "a": 1,  "a": 2}'""", "'null'", "'[]'", """'"\\u00e9"'"""],
    "jsonb": ["""'{"b": 1.10, "a": [null, true, {}]}'""", "'null'", "'1e400'", """'{"": ""}'"""],
    "jsonpath": ["'$.a[*] ? (@ > 1)'"],
    "inet": ["'192.168.0.1/24'", "'::1'", "'0.0.0.0/0'"],
    "cidr": ["'192.168.0.0/24'", "'::/0'"],
    "macaddr": ["'08:00:2b:01:02:03'"],
    "macaddr8": ["'08:00:2b:01:02:03:04:05'"],
    "bit(3)": ["B'101'"],
    "bit varying": ["B''", "B'1'", "B'10101010101'"],
    "bit varying(5)": ["B'10'"],
    "point": ["'(1,-2)'", "'(NaN,Infinity)'"],
    "line": ["'{1,2,3}'"],
    "lseg": ["'[(0,0),(1,1)]'"],
    "box": ["'(2,2),(1,1)'"],
    "path": ["'[(0,0),(1,1)]'", "'((0,0),(1,1))'"],
    "polygon": ["'((0,0),(1,1),(1,0))'"],
    "circle": ["'<(0,0),1>'"],
    "tsvector": ["$$'a':1A 'b':2,3B$$", "''"],
    "tsquery": ["$$'a' & !('b' <-> 'c':*)$$"],
    "pg_lsn": ["'16/B374D848'"],
    "int4range": ["'empty'", "'(,)'", "'[1,5)'"],
    "numrange": ["'[1.0,1.00]'", "'(,5.50)'"],
    "tstzrange": ["'[-infinity,infinity]'", "'[2026-01-01,)'"],
    "daterange": ["'[2026-01-01,2026-02-01)'"],
    "int8multirange": ["'{}'", "'{[1,3),[5,9)}'"],
    "integer[]": ["'{}'", "'{NULL,1}'", "'{{1,2},{3,4}}'", "'[0:1]={1,2}'"],
    "text[]": ["""'{"", NULL, "NULL", "a\\"b"}'"""],
    "numeric(12,4)[]": ["'{1.5,NaN}'"],
    "jsonb[]": ["""ARRAY['{"a": 1}'::jsonb, 'null']"""],
    "tstzrange[]": ["""ARRAY['empty'::tstzrange]"""],
}

OWN = """
CREATE TYPE mood AS ENUM ('sad', 'it''s ok', '', '名');
CREATE TYPE place AS (x int, "the name" text, moods mood[]);
CREATE DOMAIN score AS numeric(5, 2) CHECK (VALUE >= 0);
CREATE DOMAIN high_score AS score CHECK (VALUE > 50);
CREATE DOMAIN word AS varchar(20);
CREATE TYPE moodrange AS RANGE (subtype = float8);
CREATE EXTENSION hstore;
CREATE EXTENSION citext;
"""
# The domains are the source's alone: their base types arrive.
OWN_TYPES: dict[str, list[str]] = {
    "mood": ["'sad'", "'it''s ok'", "''", "'名'"],
    "mood[]": ["'{}'", "ARRAY['sad', NULL, '']::mood[]"],
    "place": ["ROW(1, '', ARRAY['sad']::mood[])::place", "ROW(NULL, NULL, NULL)::place"],
    "place[]": ["ARRAY[ROW(1, 'a,\"b\"', '{}')::place, NULL]"],
    "moodrange": ["'[1.5,2.5]'", "'empty'"],
    "score": ["99.99", "0"],
    "high_score": ["60.00"],
    "word": ["'twenty characters at'"],
    "hstore": ["''", "'a=>1, b=>NULL, \"\"=>\"\"'"],
    "citext": ["'Case'", "''"],
    "hstore[]": ["ARRAY['a=>1'::hstore]"],
}


def _lay(route: Route, types: dict[str, list[str]]) -> list[str]:
    """A table with a column of each type, and one row for each edge value of the longest list."""
    columns = [f"c{n}" for n in range(len(types))]
    listed = ", ".join(f"{column} {name}" for column, name in zip(columns, types, strict=True))
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, {listed})")
    for n, values in enumerate(itertools.zip_longest(*types.values(), fillvalue="NULL")):
        route.at_source.execute(f"INSERT INTO items VALUES ({n}, {', '.join(values)})".encode())
    route.at_source.execute("INSERT INTO items (id) VALUES (1000)")
    return columns


def _assert_identical(route: Route, columns: list[str]) -> None:
    for column in columns:
        query = f"SELECT id, {column}::text, {column} IS NULL FROM {{}} ORDER BY id"
        assert (
            route.at_target.execute(query.format("raw_postgres.items")).fetchall()
            == route.at_source.execute(query.format("items")).fetchall()
        ), column


def _carry_twice(route: Route, columns: list[str]) -> None:
    """Straight into a new table, then through the stage."""
    assert route.run("items", verify=True).verification.result == "equal"
    _assert_identical(route, columns)
    route.at_source.execute("UPDATE items SET id = id + 5000")
    report = route.run("items", capture="full", verify=True)
    assert report.this_try.inserted == report.this_try.read > 0
    route.at_target.execute("DELETE FROM raw_postgres.items WHERE _deleted_at IS NOT NULL")
    _assert_identical(route, columns)


@pytest.mark.parametrize("versions", [(15, 15), (15, 18), (18, 18), (18, 15)], ids=lambda v: f"pg{v[0]}-to-pg{v[1]}")
def test_every_built_in_type_arrives_identical(request: pytest.FixtureRequest, route_on: Callable[..., Route], versions: tuple[int, int]) -> None:
    route = route_on(*(request.getfixturevalue(f"pg{version}") for version in versions))
    _carry_twice(route, _lay(route, TYPES))


def test_xml_arrives_identical(route_on: Callable[..., Route], pg15: Server) -> None:
    """Alone, since a server may be built without it."""
    route = route_on(pg15)
    _carry_twice(route, _lay(route, {"xml": ["'<a b=\"1\">é</a>'", "''"]}))


def test_types_of_the_user_and_of_extensions_arrive_identical(route: Route) -> None:
    for session in (route.at_source, route.at_target):
        session.execute(OWN.encode())
    route.at_target.execute("DROP DOMAIN score CASCADE; DROP DOMAIN word")
    _carry_twice(route, _lay(route, OWN_TYPES))
    names = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'raw_postgres.items'::regclass AND attname = %s"
    for column, name in (("c5", "numeric(5,2)"), ("c6", "numeric(5,2)"), ("c7", "character varying(20)")):
        assert route.at_target.execute(names, [column]).fetchone() == (name,)


def test_types_of_the_user_arrive_on_another_version_where_their_oids_differ(route_on: Callable[..., Route], pg15: Server, pg18: Server) -> None:
    route = route_on(pg15, pg18)
    route.at_target.execute("CREATE TYPE first AS ENUM ('takes an oid')")
    own = {name: values for name, values in OWN_TYPES.items() if "citext" not in name and "hstore" not in name}
    for session in (route.at_source, route.at_target):
        session.execute(OWN.partition("CREATE EXTENSION")[0].encode())
    _carry_twice(route, _lay(route, own))


def test_generated_and_identity_columns_arrive_as_plain_values(route: Route) -> None:
    route.at_source.execute(
        "CREATE TABLE items (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n int, c1 int GENERATED ALWAYS AS (n * 2) STORED, c2 serial)"
    )
    route.at_source.execute("INSERT INTO items (n) SELECT generate_series(1, 50)")
    route.run("items", verify=True)
    _assert_identical(route, ["n", "c1", "c2"])
    route.at_source.execute("UPDATE items SET n = 7 WHERE id < 9")
    assert route.run("items", verify=True).this_try.read >= 8
    _assert_identical(route, ["n", "c1", "c2"])


def test_virtual_generated_columns_arrive_as_plain_values(route_on: Callable[..., Route], pg18: Server) -> None:
    route = route_on(pg18)
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c1 int GENERATED ALWAYS AS (id * 2) VIRTUAL); INSERT INTO items VALUES (1), (2)")
    route.run("items", verify=True)
    _assert_identical(route, ["c1"])
    route.at_source.execute("ALTER TABLE items ALTER c1 SET EXPRESSION AS (id * 3)")
    route.run("items", verify=True)
    _assert_identical(route, ["c1"])


def test_a_table_that_has_rows_only_later_is_carried_then(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c1 text)")
    for read in (0, 0):
        report = route.run("items", verify=True)
        assert (report.this_try.read, report.this_try.inserted, report.this_try.deleted) == (read, 0, 0)
    route.at_source.execute("INSERT INTO items VALUES (1, 'x')")
    assert route.run("items", verify=True).this_try.inserted == 1
    _assert_identical(route, ["c1"])
    assert route.loads() == 3


def test_a_text_far_longer_than_a_batch_arrives_whole(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c1 text)")
    route.at_source.execute("INSERT INTO items VALUES (1, 'before'), (2, repeat('fifty megabytes ', 3276800)), (3, 'after')")
    digest = "SELECT id, length(c1), md5(c1) FROM {} ORDER BY id"
    for _ in range(2):
        route.run("items", verify=True, batch_bytes=65536)
        assert route.at_target.execute(digest.format("raw_postgres.items")).fetchall() == route.at_source.execute(digest.format("items")).fetchall()
        route.at_source.execute("UPDATE items SET c1 = c1 || id::text")


def test_as_many_columns_as_fit_are_carried(route: Route) -> None:
    columns = [f"c{n}" for n in range(1596)]
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, {', '.join(f'{c} bool' for c in columns)})")
    route.at_source.execute(f"INSERT INTO items SELECT n, {', '.join(f'n % {2 + i % 7} = 0' for i in range(1596))} FROM generate_series(1, 5) AS n")
    for _ in range(2):
        route.run("items", verify=True)
        route.assert_equal("items")
        route.at_source.execute("UPDATE items SET c7 = NOT c7")


def test_keys_of_every_kind_of_equality_find_their_rows(route: Route) -> None:
    """Keys that sort or compare by rules of their own: a column of them is the key of one table."""
    keys = {"citext": "'Key'", "text": "''", "numeric": "1.50", "timestamptz": "'infinity'", "uuid": "gen_random_uuid()", "bytea": "'\\x00'",
            "int4range": "'[1,2)'", "jsonb": "'{}'", "inet": "'::1'", "float8": "'-0'", "char(5)": "'a'", "interval": "'1 day'", "integer[]": "'{1,NULL}'"}
    for session in (route.at_source, route.at_target):
        session.execute("CREATE EXTENSION citext")
    for n, (name, value) in enumerate(keys.items()):
        route.at_source.execute(f"CREATE TABLE t{n} (k {name} PRIMARY KEY, v int); INSERT INTO t{n} VALUES ({value}, 1)")
        assert route.run(f"t{n}", verify=True).this_try.inserted == 1
        route.at_source.execute(f"UPDATE t{n} SET v = 2")
        assert route.run(f"t{n}", verify=True).this_try.updated == 1, name
        route.assert_equal(f"t{n}")


def test_a_key_whose_case_changes_under_citext_arrives_so(route: Route) -> None:
    for session in (route.at_source, route.at_target):
        session.execute("CREATE EXTENSION citext")
    route.at_source.execute("CREATE TABLE items (id citext PRIMARY KEY, v int); INSERT INTO items VALUES ('key', 1)")
    route.run("items")
    route.at_source.execute("UPDATE items SET id = 'KEY'")
    route.run("items", verify=True)
    route.assert_equal("items")
