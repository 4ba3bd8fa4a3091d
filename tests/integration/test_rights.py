"""What a role must be allowed, and no more; what it lacks is named.

The rights are those of the README's section "Rights", word for word.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import rights
from rights import as_role
from route import Route, described

import rowferry
from rowferry.demo.servers import Server
from rowferry.errors import AuthenticationError

ROLES = {name: f"{name}_{os.getpid()}" for name in ("ferry_reader", "ferry_loader", "ferry_filler", "ferry_viewer")}
READER, LOADER, FILLER, VIEWER = ROLES.values()
ROWS = "SELECT n, 'x' FROM generate_series(1, 50) AS n"


@dataclass(frozen=True)
class Roles:
    """A route between databases that let nobody in, and roles that exist and may do nothing."""

    route: Route

    def execute(self, *statements: str) -> None:
        """At the side that the statement's role belongs to."""
        for statement in statements:
            session = self.route.at_source if READER in statement else self.route.at_target
            session.execute(statement)

    def grant(self, *titles: str) -> None:
        for title in titles:
            self.execute(*self.statements(title))

    def statements(self, title: str) -> list[str]:
        """Those of a block but CREATE ROLE: these roles are there."""
        databases = {"shop": self.route.at_source.info.dbname, "warehouse": self.route.at_target.info.dbname}
        return [s for s in rights.block(title, **ROLES, **databases) if not s.startswith("CREATE ROLE")]

    def settings(self, loader: str = LOADER) -> dict[str, str]:
        return {"source": as_role(self.route.source, READER), "target": as_role(self.route.target, loader)}

    def run(self, table: str = "items", loader: str = LOADER, **more: Any) -> rowferry.Report:
        return self.route.run(table, **self.settings(loader), **more)

    def refused(self, table: str = "items", loader: str = LOADER, **more: Any) -> AuthenticationError:
        error = self.route.refused(AuthenticationError, table, **self.settings(loader), **more)
        assert isinstance(error, AuthenticationError) and error.sqlstate == "42501" and not error.retryable, described(error)
        return error


@pytest.fixture
def roles(servers: Server, route_on: Callable[..., Route]) -> Iterator[Roles]:
    route = route_on(servers)
    for role in ROLES.values():
        servers.admin(f"CREATE ROLE {role} LOGIN")
    for session in (route.at_source, route.at_target):
        rights.let_nobody_in(session)
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items {ROWS}")
    yield Roles(route)
    for session in (route.at_source, route.at_target):
        for role in ROLES.values():
            session.execute(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}")
        session.close()
    for role in ROLES.values():
        servers.admin(f"DROP ROLE {role}")


@pytest.fixture
def least(roles: Roles) -> Roles:
    """With all that a first load needs."""
    roles.grant(rights.READING, rights.FIRST_LOAD)
    return roles


def _change(roles: Roles) -> None:
    roles.route.at_source.execute("UPDATE items SET name = name || 'y' WHERE id < 9; INSERT INTO items SELECT max(id) + 1, 'new' FROM items")


# ---- enough --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("capture", ["xmin", "full"])
def test_the_least_of_rights_is_enough_and_the_right_to_create_is_needed_once(least: Roles, capture: str) -> None:
    report = least.run(verify=True, capture=capture)
    assert (report.first_load, report.completeness) == (True, "proven")
    assert int(report.source["system"]) > 0 and report.source["timeline"] == 1
    least.grant(rights.LATER)
    for _ in range(2):
        _change(least)
        assert not least.run(verify=True, capture=capture).reconciled
        least.route.assert_equal("items")
    assert rowferry.verify(least.route.job("items", **least.settings())).result == "equal"


STAMPED = """
CREATE TABLE stamped (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL);
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.updated_at := clock_timestamp(); RETURN NEW; END$$;
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON stamped FOR EACH ROW EXECUTE FUNCTION stamp();
"""


@pytest.fixture
def stamped(roles: Roles) -> Roles:
    """`least`, with a table that can be read by cursor."""
    roles.route.at_source.execute(f"{STAMPED} INSERT INTO stamped (id, name) {ROWS}")
    roles.grant(rights.READING, rights.FIRST_LOAD)
    return roles


def test_a_cursor_is_bounded_only_for_a_reader_that_sees_the_transactions_of_others(stamped: Roles) -> None:
    stamped.run("stamped", capture="cursor")
    stamped.grant(rights.LATER)
    report = stamped.run("stamped", capture="cursor", sweep="always", verify=True)
    assert report.completeness == "best_effort" and any("pg_read_all_stats" in reason for reason in report.reasons)
    stamped.grant(rights.SEEING_OTHERS)
    assert stamped.run("stamped", capture="cursor", audit="always", connections=2).completeness == "proven"
    stamped.route.at_source.execute("UPDATE stamped SET name = 'new' WHERE id < 5; DELETE FROM stamped WHERE id > 45")
    report = stamped.run("stamped", capture="cursor", sweep="always", audit="never", verify=True)
    assert (report.completeness, report.this_try.deleted, report.verification.result) == ("bounded", 5, "equal"), report.reasons
    stamped.route.assert_equal("stamped")


def test_to_remove_rows_takes_a_right_of_its_own(stamped: Roles) -> None:
    stamped.run("stamped", capture="cursor")
    stamped.grant(rights.FILLING)
    stamped.route.at_source.execute("DELETE FROM stamped WHERE id > 45")
    settings: dict[str, Any] = {"loader": FILLER, "sweep": "always", "on_delete": "remove"}
    assert "DELETE" in stamped.refused("stamped", **settings).hint
    stamped.grant(rights.REMOVING)
    assert stamped.run("stamped", verify=True, **settings).this_try.deleted == 5
    stamped.route.assert_equal("stamped")


def test_with_two_schemas_of_its_own_a_loader_never_creates_one(roles: Roles) -> None:
    roles.grant(rights.READING, rights.SCHEMAS_GIVEN)
    assert roles.run(verify=True).first_load


def test_a_role_that_owns_nothing_loads_with_rights_on_rows_alone(least: Roles) -> None:
    """What another role has made, this one fills."""
    least.run()
    least.grant(rights.FILLING)
    _change(least)
    assert least.run(loader=FILLER, verify=True).this_try.inserted == 1
    least.route.assert_equal("items")


def test_verify_plan_and_state_need_no_right_to_write(least: Roles) -> None:
    least.run()
    least.grant(rights.LOOKING)
    job = least.route.job("items", **least.settings(VIEWER))
    assert rowferry.verify(job).result == "equal"
    assert not job.plan().first_load
    assert len(job.state()) == 1


def test_rights_on_a_partitioned_table_cover_its_partitions(least: Roles) -> None:
    least.route.at_source.execute(
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE parted_1 PARTITION OF parted DEFAULT;"
        " INSERT INTO parted SELECT generate_series(1, 9)"
    )
    least.execute(f"GRANT SELECT ON parted TO {READER}")
    assert least.run("parted", verify=True).this_try.read == 9


def test_the_holder_of_the_watermark_is_hidden_from_a_role_that_may_not_see_it_and_named_to_one_that_may(least: Roles) -> None:
    """Without the right nobody is named, least of all somebody innocent."""
    with psycopg.connect(least.route.source, application_name="month end") as holder:
        holder.execute("UPDATE items SET name = 'held' WHERE id = 1")
        held_by = least.run().watermark_held_by
        assert held_by is None or held_by["pid"] == holder.info.backend_pid
        least.grant(rights.SEEING_OTHERS)
        assert least.run().watermark_held_by["application"] == "month end"


# ---- not enough ----------------------------------------------------------------------------------------------

GRANT = re.compile(r"GRANT (?P<rights>[A-Z, ]+) ON (?P<kind>DATABASE|SCHEMA|ALL TABLES IN SCHEMA) (?P<objects>[\w, ]+) TO \w+")


def _single(statement: str) -> list[tuple[str, str]]:
    """Each right on each object of a GRANT."""
    grant = GRANT.fullmatch(statement)
    return [(right, name) for right in grant["rights"].split(", ") for name in grant["objects"].split(", ")] if grant else []


def _each_right(*titles: str) -> list[Any]:
    """A case for each right of the blocks: the block, and the right that is left out."""
    singles = ((title, *single) for title in titles for statement in rights.block(title) for single in _single(statement))
    return [pytest.param(title, right, name, id=f"{title}, {right} on {name}") for title, right, name in singles]


def _grant_but(roles: Roles, title: str, left_out: tuple[str, str]) -> None:
    """The block without one right; names are those of the README, schemas keep theirs."""
    for plain, statement in zip((s for s in rights.block(title) if not s.startswith("CREATE ROLE")), roles.statements(title), strict=True):
        roles.execute(statement)
        if left_out in _single(plain):
            right, name = left_out
            grant = GRANT.fullmatch(statement)
            roles.execute(f"REVOKE {right} ON {grant['kind']} {_named(roles, name)} FROM {statement.rpartition(' ')[2]}")


def _named(roles: Roles, name: str) -> str:
    return {"shop": roles.route.at_source.info.dbname, "warehouse": roles.route.at_target.info.dbname}.get(name, name)


def _assert_named(error: AuthenticationError, right: str, name: str) -> None:
    assert "GRANT" in error.hint and right in error.hint, described(error)
    assert ("DATABASE" if name in ("shop", "warehouse") else f'"{name}"') in error.hint, described(error)


@pytest.mark.parametrize(("title", "right", "name"), _each_right(rights.READING, rights.FIRST_LOAD))
def test_a_first_load_without_one_right_says_which_and_loads_nothing(roles: Roles, title: str, right: str, name: str) -> None:
    for block in (rights.READING, rights.FIRST_LOAD):
        _grant_but(roles, block, (right, name) if block == title else ("", ""))
    roles.route.at_source.execute("ALTER TABLE items DROP CONSTRAINT items_pkey")  # so that it takes the stage
    error = roles.refused(keys=["id"])
    _assert_named(error, right, name)
    assert ("source" if title == rights.READING else "target") in str(error)


@pytest.mark.parametrize(("title", "right", "name"), _each_right(rights.FILLING))
def test_a_later_load_without_one_right_says_which(least: Roles, title: str, right: str, name: str) -> None:
    least.run()
    _grant_but(least, title, (right, name))
    _change(least)
    _assert_named(least.refused(loader=FILLER), right, name)


@pytest.mark.parametrize(("title", "right", "name"), _each_right(rights.LOOKING))
def test_verify_without_one_right_says_which(least: Roles, title: str, right: str, name: str) -> None:
    least.run()
    _grant_but(least, title, (right, name))
    with pytest.raises(AuthenticationError) as caught:
        rowferry.verify(least.route.job("items", **least.settings(VIEWER)))
    _assert_named(caught.value, right, name)


@pytest.mark.parametrize("schema", ["_rowferry", "raw_postgres"])
def test_a_schema_that_is_not_there_yet_has_to_be_made_for_a_loader_that_may_not(roles: Roles, schema: str) -> None:
    roles.grant(rights.READING, rights.SCHEMAS_GIVEN)
    roles.execute(f"DROP SCHEMA {schema}")
    hint = roles.refused().hint
    assert "GRANT CREATE ON the DATABASE" in hint and "AUTHORIZATION" in hint


def test_a_type_in_a_schema_that_the_loader_may_not_use_is_said_to_need_it(least: Roles) -> None:
    for session in (least.route.at_source, least.route.at_target):
        session.execute("CREATE TYPE mood AS ENUM ('good')")
    least.route.at_source.execute("ALTER TABLE items ADD mood mood")
    error = least.refused()
    assert "GRANT USAGE ON the SCHEMA" in error.hint and "public" in str(error)
    least.grant(rights.USING_TYPES)
    assert least.run(verify=True).first_load


def test_rights_on_the_carried_columns_are_not_enough_and_it_is_said_so(least: Roles) -> None:
    """The lock that comes before the snapshot asks for a right on the whole table."""
    least.execute(f"REVOKE SELECT ON items FROM {READER}", f"GRANT SELECT (id, name) ON items TO {READER}")
    hint = least.refused().hint
    assert "SELECT ON public.items" in hint and "columns alone is not enough" in hint
    least.execute(f"GRANT SELECT ON items TO {READER}")
    assert least.run(columns=["id"], verify=True).first_load


@pytest.mark.parametrize(
    ("taken", "says"),
    [
        ("REVOKE TEMPORARY ON DATABASE {database} FROM {loader}", ("temporary", "GRANT TEMPORARY")),
        ("ALTER TABLE raw_postgres.items OWNER TO postgres", ("items", "SELECT, INSERT, UPDATE ON raw_postgres.items")),
        ("ALTER TABLE _rowferry.loads OWNER TO postgres", ("loads", "SELECT", '"_rowferry"')),
        ("ALTER TABLE _rowferry.leases OWNER TO postgres", ("leases", "SELECT, INSERT, UPDATE", '"_rowferry"')),
        ("ALTER SCHEMA raw_postgres OWNER TO postgres", ("raw_postgres", 'USAGE ON SCHEMA "raw_postgres"')),
        ("ALTER SCHEMA _rowferry OWNER TO postgres", ("_rowferry", 'USAGE ON SCHEMA "_rowferry"')),
    ],
    ids=["the stage", "the table", "the records", "the leases", "the schema", "the control schema"],
)
def test_a_right_that_was_taken_away_since_the_first_load_is_named(least: Roles, taken: str, says: tuple[str, ...]) -> None:
    least.run()
    least.execute(taken.format(database=least.route.at_target.info.dbname, loader=LOADER))
    _change(least)
    error = least.refused()
    for word in ("target", *says):
        assert word in described(error), described(error)


def test_a_schema_that_exists_and_is_another_role_s_is_named(least: Roles) -> None:
    least.execute("CREATE SCHEMA raw_postgres")
    error = least.refused()
    assert "raw_postgres" in str(error) and 'USAGE, CREATE ON SCHEMA "raw_postgres"' in error.hint
    least.execute(f"GRANT USAGE, CREATE ON SCHEMA raw_postgres TO {LOADER}")
    assert least.run(verify=True).first_load


def test_a_filter_that_uses_what_the_role_may_not_read_is_named(least: Roles) -> None:
    least.route.at_source.execute("CREATE TABLE wanted AS SELECT 1 AS id")
    error = least.refused(where="id IN (SELECT id FROM wanted)")
    assert "wanted" in str(error) and "filter" in error.hint


# ---- what others may have put in the way -----------------------------------------------------------------------

# Each takes exactly the types of a call whose own function or operator takes others and converts.
BAIT = (
    "FUNCTION hashtextextended(text, int) RETURNS bigint",
    "FUNCTION json_build_object(text, json) RETURNS json",
    "FUNCTION json_build_object(text, text) RETURNS json",
    "FUNCTION to_jsonb(record) RETURNS jsonb",
    "FUNCTION concat(text, text) RETURNS text",
    "FUNCTION concat(oid, text, oid) RETURNS text",
    "FUNCTION pg_has_role(name, text, text) RETURNS bool",
    "FUNCTION pg_terminate_backend(int) RETURNS bool",
    "FUNCTION make_interval(secs float8) RETURNS interval",
    "FUNCTION unnest(oid[]) RETURNS SETOF oid",
    "FUNCTION unnest(text[]) RETURNS SETOF text",
    "FUNCTION has_database_privilege(name, text) RETURNS bool",
    "FUNCTION row_security_active(oid) RETURNS bool",
    "FUNCTION bait_product(numeric, int) RETURNS numeric",
    "FUNCTION bait_product(int, interval) RETURNS interval",
    "FUNCTION bait_equal(oid, int) RETURNS bool",
    "FUNCTION bait_step(int[], int) RETURNS int[]",
    "FUNCTION bait_step(json, jsonb) RETURNS json",
    "FUNCTION bait_step(json, json) RETURNS json",
    "OPERATOR * (FUNCTION = bait_product, LEFTARG = numeric, RIGHTARG = int)",
    "OPERATOR * (FUNCTION = bait_product, LEFTARG = int, RIGHTARG = interval)",
    "OPERATOR = (FUNCTION = bait_equal, LEFTARG = oid, RIGHTARG = int)",
    "AGGREGATE array_agg(int) (SFUNC = bait_step, STYPE = int[], INITCOND = '{}')",
    "AGGREGATE json_agg(jsonb) (SFUNC = bait_step, STYPE = json, INITCOND = '{}')",
    "AGGREGATE json_agg(json) (SFUNC = bait_step, STYPE = json, INITCOND = '{}')",
)


@pytest.mark.parametrize("capture", ["xmin", "cursor"])
def test_a_function_that_another_put_into_the_search_path_is_never_called(route: Route, capture: str) -> None:
    """Who may create in a schema of that path could otherwise do what the loader may, or the DBA who asks the doctor."""
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, name text, updated_at timestamptz NOT NULL DEFAULT now()); INSERT INTO items {ROWS}")
    for session in (route.at_source, route.at_target):
        for bait in BAIT:
            kind, name = bait.split("(")[0].split(maxsplit=1)
            body = f" LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'the bait {name} was taken'; END$$" if kind == "FUNCTION" else ""
            session.execute(f"CREATE {kind} public.{bait.split(maxsplit=1)[1]}{body}")
    job = route.job("items", capture=capture, where="id > 0", sweep="always", verify=True)
    with psycopg.connect(route.source) as holder:
        holder.execute("UPDATE items SET name = 'held' WHERE id = 1")
        for _ in range(2):
            route.at_source.execute("UPDATE items SET updated_at = now() WHERE id = 2")
            assert job.run().verification.result == "equal"
    job.plan()
    assert rowferry.verify(job).result == "equal"
    assert len(job.state()) == 2
    rowferry.doctor(job.source, job.target)
    job.reset()
