"""Jobs that cannot work: each gets an error of the right class that says what to do, and the target stays as it was.

Both connection strings carry a password, which no error may repeat.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rights import let_loader_in
from route import Route, described

import rowferry
from rowferry.demo.servers import Server, free_port
from rowferry.errors import (
    AuthenticationError,
    ConfigurationError,
    DataError,
    RowferryError,
    SchemaDriftError,
    SourceError,
    TargetError,
)

SECRET = "pl4nted-s3cret"
TABLE = "CREATE TABLE items (id int PRIMARY KEY, name text, n int); INSERT INTO items SELECT n, 'x', n % 3 FROM generate_series(1, 100) AS n"


@pytest.fixture
def secretive(route: Route) -> Route:
    """A route whose connection strings hold a password, which the servers do not ask for."""
    route.source, route.target = (uri.replace("postgres@", f"postgres:{SECRET}@", 1) for uri in (route.source, route.target))
    return route


def refused(route: Route, error: type[RowferryError], table: str = "items", **settings: Any) -> RowferryError:
    """`Route.refused`, and that nobody learns the password from it."""
    caught = route.refused(error, table, **settings)
    assert SECRET not in described(caught)
    return caught


# ---- the way there --------------------------------------------------------------------------------------

UNREACHABLE = {
    "a host that does not exist": ("127.0.0.1", "nowhere.invalid", None),
    "a port where nobody listens": (":{port}/", ":{free}/", None),
    "a database that does not exist": ("/{name}", "/not_{name}", ConfigurationError),
    "a role that does not exist": ("postgres:", "nobody_here:", AuthenticationError),
}


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("wrong", UNREACHABLE.values(), ids=UNREACHABLE)
def test_a_connection_that_cannot_be_made_names_the_side_and_what_to_check(
    secretive: Route, side: str, wrong: tuple[str, str, type[RowferryError] | None]
) -> None:
    secretive.at_source.execute(TABLE)
    uri = getattr(secretive, side)
    place = {"port": secretive.at_source.info.port, "free": free_port(), "name": uri.rpartition("/")[2]}
    old, new, error = (part.format(**place) if isinstance(part, str) else part for part in wrong)
    assert old in uri
    with pytest.raises(RowferryError) as caught:
        secretive.run("items", **{side: uri.replace(old, new, 1)})
    assert type(caught.value) is (error or (SourceError if side == "source" else TargetError))
    assert side in str(caught.value) and caught.value.hint and SECRET not in described(caught.value)
    assert caught.value.retryable == (error is None)
    assert secretive.loads() == 0


def test_a_wrong_password_is_an_error_of_authentication_that_does_not_repeat_it(servers: Server, secretive: Route) -> None:
    secretive.at_source.execute(TABLE)
    role = f"guarded_{os.getpid()}"
    servers.admin(f"CREATE ROLE {role} LOGIN PASSWORD 'right-{SECRET}'")
    servers.require_password(role)
    try:
        servers.admin(f"GRANT SELECT ON items TO {role}", secretive.source.rpartition("/")[2])
        good = secretive.source.replace(f"postgres:{SECRET}", f"{role}:right-{SECRET}", 1)
        assert secretive.run("items", source=good).this_try.read == 100
        for bad in (good.replace("right-", "wrong-"), good.replace(f":right-{SECRET}", "")):
            assert refused(secretive, AuthenticationError, source=bad).sqlstate == "28P01"
        assert SECRET not in repr(secretive.job("items", source=good))
    finally:
        servers.admin(f"DROP OWNED BY {role}", secretive.source.rpartition("/")[2])
        servers.admin(f"DROP ROLE {role}")


def test_a_connection_string_that_cannot_be_read_is_not_quoted(secretive: Route) -> None:
    secretive.at_source.execute(TABLE)
    for bad in (f"postgresql://postgres:{SECRET}@[::1/db", f"host=127.0.0.1 password={SECRET} nonsense", f"postgresql://u:{SECRET}@h:port/db"):
        with pytest.raises((ConfigurationError, SourceError)) as caught:
            secretive.run("items", source=bad)
        assert SECRET not in described(caught.value)


# ---- names, keys, filters ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bad:
    """A job on `TABLE` and `more`; the error and what it must say."""

    what: str
    error: type[RowferryError] = ConfigurationError
    says: tuple[str, ...] = ()
    table: str = "items"
    more: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    hint: bool = True

    def __str__(self) -> str:
        return self.what


def filtered(what: str, where: str, *says: str, error: type[RowferryError] = ConfigurationError) -> Bad:
    return Bad(what, error, says, settings={"where": where})


BAD = (
    Bad("a table that does not exist", says=("itmes",), table="itmes"),
    Bad("a schema that does not exist", says=("sales",), table="sales.items"),
    Bad("a name of three parts", says=("a.b.c",), table="a.b.c"),
    Bad("a column that does not exist", says=("nmae", "columns"), settings={"columns": ["id", "nmae"]}),
    Bad("a key that does not exist", says=("idd", "keys"), settings={"keys": ["idd"]}),
    Bad("a key that is not carried", says=('"id"', "columns"), settings={"columns": ["name"]}),
    Bad("a column of other case", says=("Name",), settings={"columns": ["id", "Name"]}),
    Bad("a table without a key", says=("keyless", "keys"), table="keyless", more="CREATE TABLE keyless (a int, b text)"),
    Bad("a key with NULL in it", DataError, ("nullable", '"k"', "NULL"), "nullable",
        "CREATE TABLE nullable (k int, v text); INSERT INTO nullable VALUES (1, 'a'), (NULL, 'b')", {"keys": ["k"]}),
    Bad("keys that repeat, and on_duplicate fail", DataError, ("(1)", "(2)"), "repeats",
        "CREATE TABLE repeats (k int, v text); INSERT INTO repeats VALUES (1, 'a'), (1, 'b'), (2, 'a'), (2, 'b'), (3, 'c')",
        {"keys": ["k"], "on_duplicate": "fail"}),
    Bad("a view", says=("seen", "view"), table="seen", more="CREATE VIEW seen AS SELECT * FROM items", settings={"keys": ["id"]}),
    Bad("a materialized view", says=("kept", "materialized view"), table="kept", more="CREATE MATERIALIZED VIEW kept AS SELECT * FROM items", settings={"keys": ["id"]}),
    Bad("a foreign table", says=("outside", "foreign table"), table="outside", settings={"keys": ["line"]},
        more="CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
             " CREATE FOREIGN TABLE outside (line text) SERVER files OPTIONS (filename '/dev/null')"),
    Bad("a foreign table among the partitions", says=("parted", "heap"), table="parted",
        more="CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
             " CREATE TABLE parted (line text NOT NULL) PARTITION BY LIST (line);"
             " CREATE FOREIGN TABLE outside PARTITION OF parted FOR VALUES IN ('a') SERVER files OPTIONS (filename '/dev/null')", settings={"keys": ["line"]}),
    Bad("a sequence", says=("numbers",), table="numbers", more="CREATE SEQUENCE numbers", settings={"keys": ["last_value"]}),
    Bad("a table without columns", says=("bare",), table="bare", more="CREATE TABLE bare ()", settings={"keys": ["id"]}, hint=False),
    Bad("a column with a name of ours", says=("_load_id", "columns"), table="ours", more="CREATE TABLE ours (id int PRIMARY KEY, _load_id bigint)"),
    Bad("more columns than a target can have", says=("1600",), table="wide",
        more="DO $$ BEGIN EXECUTE 'CREATE TABLE wide (id int PRIMARY KEY, ' || (SELECT string_agg('c' || n || ' bool', ', ') FROM generate_series(2, 1600) n) || ')'; END $$"),
    filtered("a filter that is no SQL", "id >", "syntax"),
    filtered("a filter on a column that does not exist", "colour = 'red'", "colour"),
    filtered("a filter that is no condition", "id", "boolean"),
    filtered("a filter that divides by zero", "1 / (n - 1) > 0", "division by zero", error=DataError),
    filtered("a filter that only a comment ends", "id > 1) -- the end", "syntax"),
    filtered("a filter that breaks out to a program", "true) TO PROGRAM 'touch {file}' --", "syntax"),
    filtered("a filter that breaks out of both brackets", "true)) TO PROGRAM 'touch {file}' --", "syntax"),
    filtered("a filter that breaks out with a second statement", "true)) TO STDOUT; DROP TABLE items; --", "syntax"),
    filtered("a filter that reads another table beside ours", "true) UNION ALL (SELECT 1, rolpassword, 1 FROM pg_authid WHERE true", "syntax"),
    filtered("a filter that undoes the one before it", "false) OR (true", "syntax"),
    filtered("a filter with a parameter", "id = $1", "parameter"),
    filtered("a filter that writes", "nextval('numbers') > 0", "numbers"),
)


@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_job_that_cannot_work_says_why_and_writes_nothing(secretive: Route, bad: Bad, tmp_path: Path) -> None:
    secretive.at_source.execute(TABLE)
    if bad.more:
        secretive.at_source.execute(bad.more)
    touched = tmp_path / "touched"
    settings = {n: v.replace("{file}", str(touched)) if n == "where" else v for n, v in bad.settings.items()}
    error = refused(secretive, bad.error, bad.table, **settings)
    for word in bad.says:
        assert word in described(error), described(error)
    assert not error.retryable and bool(error.hint) >= bad.hint, described(error)
    assert not touched.exists()
    assert secretive.loads() == 0
    assert len(secretive.source_rows("items")) == 100


GOOD_FILTERS = {
    "one that ends in a comment": "id > 50 -- the newer half",
    "one of several lines": "id > 50\n/* and */ AND\tid\n<= 90",
    "one with quotes and brackets": "name = $q$x$q$ AND (id = ANY ('{60,61,62}') OR (id) > 99)",
    "one that is null for some": "nullif(n, 0) > 0",
    "one that asks another table": "id IN (SELECT id FROM wanted)",
    "one with a percent sign": "name LIKE '%x%' AND id % 2 = 0",
}


@pytest.mark.parametrize("where", GOOD_FILTERS.values(), ids=GOOD_FILTERS)
def test_a_filter_is_taken_as_it_is_written(secretive: Route, where: str) -> None:
    secretive.at_source.execute(TABLE)
    secretive.at_source.execute("CREATE TABLE wanted AS SELECT generate_series(1, 9) AS id")
    for _ in range(2):
        secretive.run("items", where=where, verify=True)
        secretive.assert_equal("items", where=f"{where}\n")
        secretive.at_source.execute("UPDATE items SET n = n + 1")


def test_keys_that_repeat_keep_the_newest_row_and_are_counted(secretive: Route) -> None:
    secretive.at_source.execute("CREATE TABLE repeats (k int, v text)")
    for value in ("first", "second", "third"):
        secretive.at_source.execute("INSERT INTO repeats VALUES (1, %s), (2, %s)", [value, value])
    report = secretive.run("repeats", keys=["k"], verify=True)
    assert (report.this_try.staged, report.this_try.inserted, report.this_try.duplicates) == (6, 2, 4)
    assert secretive.target_rows("raw_postgres.repeats", "k, v") == ["(1,third)", "(2,third)"]
    secretive.at_source.execute("INSERT INTO repeats VALUES (1, 'fourth'), (1, 'fifth')")
    secretive.run("repeats", keys=["k"], verify=True)
    assert secretive.target_rows("raw_postgres.repeats", "k, v") == ["(1,fifth)", "(2,third)"]


def test_a_repeated_key_of_which_one_row_leaves_the_filter_stays(secretive: Route) -> None:
    secretive.at_source.execute("CREATE TABLE repeats (k int, v text); INSERT INTO repeats VALUES (1, 'stays'), (1, 'goes')")
    secretive.run("repeats", keys=["k"], where="v <> 'gone'", verify=True)
    secretive.at_source.execute("UPDATE repeats SET v = 'gone' WHERE v = 'goes'")
    secretive.run("repeats", keys=["k"], where="v <> 'gone'", verify=True)
    assert secretive.target_rows("raw_postgres.repeats", "k, v") == ["(1,stays)"]


# ---- targets ------------------------------------------------------------------------------------------------


def test_a_table_that_rowferry_did_not_make_is_left_alone(secretive: Route) -> None:
    secretive.at_source.execute(TABLE)
    secretive.at_target.execute("CREATE SCHEMA raw_postgres; CREATE TABLE raw_postgres.items (id int PRIMARY KEY, name text, n int)")
    error = refused(secretive, ConfigurationError)
    assert "not made by rowferry" in str(error) and "target_table" in error.hint


def test_a_view_in_the_place_of_the_target_is_left_alone(secretive: Route) -> None:
    secretive.at_source.execute(TABLE)
    secretive.at_target.execute("CREATE SCHEMA raw_postgres; CREATE VIEW raw_postgres.items AS SELECT 1 AS id")
    assert "is not a table" in str(refused(secretive, ConfigurationError))


def test_two_tables_cannot_share_one_target(secretive: Route) -> None:
    secretive.at_source.execute(TABLE)
    secretive.at_source.execute("CREATE SCHEMA other; CREATE TABLE other.items (LIKE items INCLUDING ALL)")
    secretive.run("items")
    error = refused(secretive, ConfigurationError, "other.items")
    assert "public.items" in str(error) and "other.items" in str(error) and "{schema}" in error.hint


def test_a_target_that_is_read_only_says_so(secretive: Route) -> None:
    secretive.at_source.execute(TABLE)
    name = secretive.target.rpartition("/")[2]
    secretive.at_target.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    error = refused(secretive, TargetError)  # after a failover the next try may find the new primary
    assert error.sqlstate == "25006" and error.retryable
    assert "no writes" in error.hint and "target_session_attrs=read-write" in error.hint


def test_a_trigger_that_swallows_rows_of_the_target_stops_the_load(secretive: Route) -> None:
    secretive.at_source.execute(TABLE)
    secretive.run("items")
    secretive.at_target.execute("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
    secretive.at_target.execute("CREATE TRIGGER t BEFORE INSERT ON raw_postgres.items FOR EACH ROW WHEN (NEW.id = 5) EXECUTE FUNCTION swallow()")
    secretive.at_source.execute("UPDATE items SET name = 'y' WHERE id < 9")
    error = refused(secretive, TargetError)
    assert "rows were staged" in str(error) and "trigger" in error.hint and not error.retryable


@pytest.fixture
def small_disk(servers: Server) -> Iterator[tuple[Server, Path]]:
    """A file system of 64 MB, and a tablespace of that name on it."""
    place = Path(tempfile.mkdtemp(prefix="rf-full", dir="/tmp"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        place.rmdir()
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    space = place / "space"
    try:
        space.mkdir(mode=0o700)
        owner = Path(servers.log_path).parent.stat()
        os.chown(space, owner.st_uid, owner.st_gid)
        place.chmod(0o755)
        servers.admin(f"CREATE TABLESPACE small LOCATION '{space}'")
        yield servers, place
    finally:
        with contextlib.suppress(psycopg.Error):
            servers.admin("DROP DATABASE IF EXISTS on_small WITH (FORCE)")
            servers.admin("DROP TABLESPACE IF EXISTS small")
        subprocess.run(["umount", "-l", str(place)], check=False)
        place.rmdir()


@pytest.mark.parametrize("first", [True, False], ids=["the first load", "a later load"])
def test_a_disk_that_fills_up_leaves_nothing_behind_and_the_next_try_with_more_room_is_good(
    small_disk: tuple[Server, Path], secretive: Route, first: bool
) -> None:
    server, place = small_disk
    server.admin("CREATE DATABASE on_small TABLESPACE small")
    secretive.at_target.close()
    secretive.target = server.uri("on_small").replace("postgres@", f"postgres:{SECRET}@", 1)
    secretive.at_target = psycopg.connect(secretive.target, autocommit=True)
    let_loader_in(secretive.at_target)
    secretive.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, noise bytea)")
    if not first:
        secretive.at_source.execute("INSERT INTO items VALUES (0, 'before')")
        secretive.run("items")
    noise = "(SELECT string_agg(sha512((n || '/' || i)::bytea), '') FROM generate_series(1, 16000) AS i)"
    secretive.at_source.execute(f"INSERT INTO items SELECT n, {noise} FROM generate_series(1, 70) AS n")
    error = refused(secretive, TargetError)
    assert error.sqlstate == "53100" and error.retryable and "disk is full" in error.hint
    subprocess.run(["mount", "-o", "remount,size=512m", str(place)], check=True)
    assert secretive.run("items", verify=True).verification.result == "equal"
    secretive.at_target.close()


# ---- odd names --------------------------------------------------------------------------------------------

ODD = 'Ünïcode "quoted" \'n\' dotted.名 $1 %s'


def test_names_with_quotes_dots_and_unicode_are_names_like_others(route: Route) -> None:
    quoted = '"' + ODD.replace('"', '""') + '"'
    route.at_source.execute(f"CREATE SCHEMA {quoted}")
    for session in (route.at_source, route.at_target):
        session.execute("CREATE SCHEMA IF NOT EXISTS moods; CREATE TYPE moods.\"Mood's (1)\" AS ENUM ('a\\b', 'it''s', '名')")
    route.at_source.execute(
        f"CREATE TABLE {quoted}.{quoted} ({quoted} text PRIMARY KEY, \"select\" int, \"back\\slash\" moods.\"Mood's (1)\", \"a{{}}b\" int)".encode()
    )
    route.at_source.execute(f"INSERT INTO {quoted}.{quoted} VALUES ('k', 1, 'a\\b', 1), ('名', 2, 'it''s', 2), ('', NULL, '名', NULL)".encode())
    settings = {"source_name": ODD, "target_table": "Raw x.{table}", "run_id": ODD, "application": ODD, "control_schema": ODD}
    for _ in range(2):
        report = route.run(f"{quoted}.{quoted}", verify=True, where=f"{quoted} IS NOT NULL", **settings)
        assert report.run_id == ODD
        target = f'"Raw x".{quoted}'
        columns = f'{quoted}, "select", "back\\slash", "a{{}}b"'
        left = route.at_source.execute(f"SELECT r::text FROM (SELECT {columns} FROM {quoted}.{quoted}) r ORDER BY 1".encode()).fetchall()
        right = route.at_target.execute(f"SELECT r::text FROM (SELECT {columns} FROM {target}) r ORDER BY 1".encode()).fetchall()
        assert left == right and len(left) == 3
        route.at_source.execute(f'UPDATE {quoted}.{quoted} SET "select" = 3'.encode())


def test_a_target_whose_name_would_be_cut_is_refused(secretive: Route) -> None:
    name = "n" * 60
    secretive.at_source.execute(f"CREATE TABLE {name} (id int PRIMARY KEY)")
    assert "63 bytes" in str(refused(secretive, ConfigurationError, name, target_table="raw.copy_of_{table}"))
    secretive.run(name, target_table="raw.{table}")


# ---- columns that do not fit ------------------------------------------------------------------------------------

NARROWER = {
    "numeric of fewer digits": ("numeric(12,4)", "numeric(12,2)"),
    "a time of fewer digits": ("timestamptz", "timestamptz(0)"),
    "a shorter text": ("varchar(10)", "varchar(3)"),
    "a smaller integer": ("bigint", "integer"),
    "a double as numeric": ("float8", "numeric"),
    "a number as a time": ("bigint", "timestamptz"),
    "a text as bytes": ("text", "bytea"),
    "json as jsonb": ("json", "jsonb"),
    "a time with a zone as one without": ("timestamptz", "timestamp"),
    "bits of another length": ("bit(3)", "bit(5)"),
    "characters of another length": ("char(3)", "char(5)"),
}


@pytest.mark.parametrize(("source_type", "target_type"), NARROWER.values(), ids=NARROWER)
def test_a_target_that_would_change_the_value_is_refused_with_both_types(secretive: Route, source_type: str, target_type: str) -> None:
    secretive.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, v {source_type})")
    secretive.run("items")
    secretive.at_target.execute(f"ALTER TABLE raw_postgres.items DROP v, ADD v {target_type}")
    error = refused(secretive, SchemaDriftError, on_schema_change="fail")
    names = [secretive.at_source.execute("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'v' AND attrelid = 'items'::regclass").fetchone()[0]]
    names += [secretive.at_target.execute("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attname = 'v' AND attrelid = 'raw_postgres.items'::regclass").fetchone()[0]]
    for name in ('"v"', *names):
        assert name in str(error), described(error)


WIDER = {
    "numeric of more digits": ("numeric(12,2)", "numeric(14,4)", "12.34"),
    "an integer as bigint": ("integer", "bigint", "7"),
    "an integer as numeric": ("bigint", "numeric", "-9223372036854775808"),
    "a longer text": ("varchar(10)", "varchar(30)", "'abc   '"),
    "any text": ("varchar(10)", "text", "'abc   '"),
    "a float as a double": ("float4", "float8", "1.5"),
    "a time of more digits": ("timestamptz(0)", "timestamptz", "'2026-11-22 01:02:03+00'"),
}


@pytest.mark.parametrize(("source_type", "target_type", "value"), WIDER.values(), ids=WIDER)
def test_a_wider_target_takes_the_value_unchanged(secretive: Route, source_type: str, target_type: str, value: str) -> None:
    secretive.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, v {source_type}); INSERT INTO items VALUES (1, {value})")
    secretive.run("items")
    secretive.at_target.execute(f"ALTER TABLE raw_postgres.items ALTER v TYPE {target_type}")
    secretive.at_source.execute("UPDATE items SET v = v")
    secretive.run("items")
    (same,) = secretive.at_target.execute(f"SELECT v = ({value})::{target_type} FROM raw_postgres.items").fetchone()
    assert same


# ---- the job itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"tabel": "items"}, "tabel"),
        ({"capture": "magic"}, "magic"),
        ({"batch_bytes": 10}, "batch_bytes"),
        ({"keys": []}, "keys"),
        ({"keys": ["id", "id"]}, "id"),
        ({"columns": "id"}, "columns"),
        ({"where": ""}, "where"),
        ({"target_table": "items"}, "target_table"),
        ({"target_table": "raw.{tabel}"}, "placeholder"),
        ({"table": 'public."items'}, "table"),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_job_is_judged_where_it_is_made(settings: dict[str, Any], says: str) -> None:
    whole = {"source": f"postgresql://u:{SECRET}@h/db", "target": f"postgresql://u:{SECRET}@h/db", "table": "items", **settings}
    with pytest.raises(ConfigurationError) as caught:
        rowferry.run(whole)
    assert says in described(caught.value) and SECRET not in described(caught.value)


def test_the_server_that_goes_away_in_mid_run_is_named(route_on: Callable[..., Route], pg18: Server) -> None:
    """Its session is ended while it reads; the other side is as it was."""
    route = route_on(pg18)
    route.at_source.execute(TABLE)
    where = "(SELECT pg_terminate_backend(pg_backend_pid()))"
    error = route.refused(SourceError, "items", where=where)
    assert error.retryable and "source" in str(error)
    assert route.run("items", verify=True).this_try.read == 100
