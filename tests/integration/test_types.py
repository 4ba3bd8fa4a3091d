"""Every type of the one table arrives with every edge value as it was, on the first load and by the merge."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from edges import DOMAINS, EDGES, EXTENSIONS, OF_EXTENSIONS, OWN, OWN_DOMAINS, all_types, lay
from route import Route

from rowferry import Report, cli
from rowferry.demo.servers import Server
from rowferry.errors import ConfigurationError


def _assert_identical(route: Route, columns: list[str]) -> None:
    for column in columns:
        query = f"SELECT id, {column}::text, num_nulls({column}) FROM {{}} ORDER BY id"
        assert (
            route.at_target.execute(query.format("raw_postgres.items")).fetchall()
            == route.at_source.execute(query.format("items")).fetchall()
        ), column


def _assert_same_types(route: Route, columns: list[str]) -> None:
    types = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = %s::regclass AND attname = ANY(%s) ORDER BY attname"
    assert route.at_target.execute(types, ["raw_postgres.items", columns]).fetchall() == route.at_source.execute(types, ["items", columns]).fetchall()


def _carry_twice(route: Route, columns: list[str]) -> Report:
    """Straight into a new table, then through the stage."""
    assert route.run("items", verify=True).verification.result == "equal"
    _assert_identical(route, columns)
    route.at_source.execute("UPDATE items SET id = id + 5000")
    report = route.run("items", capture="full", verify=True)
    assert report.this_try.inserted == report.this_try.read > 0
    route.at_target.execute("DELETE FROM raw_postgres.items WHERE _deleted_at IS NOT NULL")
    _assert_identical(route, columns)
    return report


def test_every_row_of_the_table_of_types_has_edge_values(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["types", "--json"]) == 0
    rows = [row["postgres"] for row in json.loads(capsys.readouterr().out)["types"]]
    of_a_setting = {"timestamp, taken as UTC"}  # what `naive_timestamps` makes of a timestamp's values: test_conversion
    assert sorted(rows) == sorted(EDGES.keys() | of_a_setting)
    assert all(values for types in EDGES.values() for values in types.values())


# ---- on PostgreSQL ---------------------------------------------------------------------------------------------


def _prepare(route: Route, extensions: bool) -> None:
    for session in (route.at_source, route.at_target):
        session.execute(OWN.encode())
        if extensions:
            session.execute(EXTENSIONS)


@pytest.mark.parametrize("versions", [(15, 15), (15, 18), (18, 18), (18, 15)], ids=lambda v: f"pg{v[0]}-to-pg{v[1]}")
def test_every_type_arrives_identical(request: pytest.FixtureRequest, route_on: Callable[..., Route], versions: tuple[int, int]) -> None:
    """Types of one's own have other oids on the target."""
    source, target = versions
    route = route_on(*(request.getfixturevalue(f"pg{version}") for version in versions))
    route.at_target.execute("CREATE TYPE first AS ENUM ('takes an oid')")
    _prepare(route, extensions=source == target)
    columns = lay(route.at_source, all_types(*(() if source == target else OF_EXTENSIONS)))
    report = _carry_twice(route, list(columns))
    assert report.conversions == ()
    _assert_same_types(route, list(columns))


def test_every_type_but_text_arrives_identical_as_its_text(route: Route) -> None:
    _prepare(route, extensions=True)
    columns = [column for column, name in lay(route.at_source, all_types()).items() if name != "text"]
    for session in (route.at_source, route.at_target):
        session.execute("SET timezone = 'UTC'; SET bytea_output = 'hex'")
    report = route.run("items", as_text=columns, verify=True)
    assert report.verification and report.verification.checksum
    assert [conversion.column for conversion in report.conversions] == columns
    _assert_identical(route, columns)


def test_an_infinite_interval_arrives_identical(route_on: Callable[..., Route], pg18: Server) -> None:
    """Since PostgreSQL 17; an older target takes it for the most that it can name."""
    route = route_on(pg18)
    _carry_twice(route, list(lay(route.at_source, {"interval": ["'infinity'", "'-infinity'"]})))


def test_xml_arrives_identical(route_on: Callable[..., Route], pg15: Server) -> None:
    """Alone, since a server may be built without it."""
    route = route_on(pg15)
    _carry_twice(route, list(lay(route.at_source, {"xml": ["'<a b=\"1\">é</a>'", "''", "'a<b/>c'", "'<?xml version=\"1.0\" standalone=\"yes\"?><a/>'"]})))


def test_a_domain_arrives_as_its_base_type(route: Route) -> None:
    route.at_source.execute(OWN_DOMAINS)
    _carry_twice(route, list(lay(route.at_source, DOMAINS)))
    names = "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'raw_postgres.items'::regclass AND attname = %s"
    for column, name in (("c0", "numeric(5,2)"), ("c1", "numeric(5,2)"), ("c2", "character varying(20)")):
        assert route.at_target.execute(names, [column]).fetchone() == (name,)


def test_a_table_without_columns_is_refused(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (); INSERT INTO items DEFAULT VALUES")
    assert "has no columns" in str(route.refused(ConfigurationError, "items"))


def test_the_empty_text_stays_a_text_and_null_stays_null(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c1 text, c2 varchar(3), c3 bytea, c4 text[], c5 char(2))")
    route.at_source.execute("INSERT INTO items VALUES (1, '', '', '', '{}', ''), (2, NULL, NULL, NULL, NULL, NULL), (3, 'NULL', '\\N', '\\x', '{NULL}', '  ')")
    _carry_twice(route, ["c1", "c2", "c3", "c4", "c5"])
    (nulls,) = route.at_target.execute("SELECT num_nulls(c1, c2, c3, c4, c5) FROM raw_postgres.items ORDER BY id LIMIT 1").fetchone()
    assert nulls == 0


def test_a_json_null_is_not_the_absence_of_json(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c1 jsonb, c2 json); INSERT INTO items VALUES (1, 'null', 'null'), (2, NULL, NULL)")
    _carry_twice(route, ["c1", "c2"])
    found = route.at_target.execute("SELECT c1 IS NULL, c2 IS NULL, jsonb_typeof(c1), json_typeof(c2) FROM raw_postgres.items ORDER BY id").fetchall()
    assert found == [(False, False, "null", "null"), (True, True, None, None)]


def test_numbers_keep_their_scale_in_jsonb_and_in_numeric(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c1 jsonb, c2 numeric, c3 numeric(12,2))")
    route.at_source.execute("""INSERT INTO items VALUES (1, '{"n": 10.680, "z": 0.00}', 10.680, 10.68), (2, '1.0', 1, 1)""")
    _carry_twice(route, ["c1", "c2", "c3"])
    assert route.at_target.execute("SELECT c1 ->> 'n', c1 ->> 'z', scale(c2) FROM raw_postgres.items WHERE c1 ? 'n'").fetchone() == ("10.680", "0.00", 3)
    _assert_same_types(route, ["c3"])


def test_a_uuid_stays_a_uuid_a_time_keeps_its_zone_and_a_double_its_bits(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, c1 uuid, c2 timestamptz, c3 float8)")
    route.at_source.execute("INSERT INTO items VALUES (1, 'ffffffff-0000-0000-0000-000000000001', '2026-11-23 01:00:00+05:30', 0.1::float8 + 0.2::float8)")
    _carry_twice(route, ["c1", "c2", "c3"])
    _assert_same_types(route, ["c1", "c2", "c3"])
    exact = "SELECT extract(epoch FROM c2), float8send(c3) FROM {}"
    assert route.at_target.execute(exact.format("raw_postgres.items")).fetchone() == route.at_source.execute(exact.format("items")).fetchone()


def test_not_null_and_the_key_are_kept(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (b int, a text, c1 text NOT NULL, c2 text, PRIMARY KEY (a, b)); INSERT INTO items VALUES (1, 'x', 'y', NULL)")
    route.run("items", verify=True)
    kept = "SELECT array_agg(attname::text ORDER BY attname) FROM pg_attribute WHERE attrelid = 'raw_postgres.items'::regclass AND attnotnull AND attnum > 0 AND attname !~ '^_'"
    assert route.at_target.execute(kept).fetchone() == (["a", "b", "c1"],)
    key = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'raw_postgres.items'::regclass AND indisprimary"
    assert "(a, b)" in route.at_target.execute(key).fetchone()[0]


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
