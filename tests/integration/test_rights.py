"""What a role must be allowed, and no more; what it lacks is named."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from route import Route, described

import rowferry
from rowferry.demo.servers import Server
from rowferry.errors import AuthenticationError

READER, WRITER, STRANGER = (f"{name}_{os.getpid()}" for name in ("reader", "writer", "stranger"))


@dataclass(frozen=True)
class Roles:
    """A route whose jobs connect as a reader and a writer; its own sessions are the superuser's."""

    route: Route
    settings: dict[str, str]

    def grant(self, *statements: str) -> None:
        """At the source when the statement names the reader, else at the target."""
        name = self.route.target.rpartition("/")[2]
        for statement in statements:
            session = self.route.at_source if "{reader}" in statement else self.route.at_target
            session.execute(statement.format(reader=READER, writer=WRITER, stranger=STRANGER, database=name))


@pytest.fixture
def roles(servers: Server, route_on: Callable[..., Route]) -> Iterator[Roles]:
    route = route_on(servers)
    for role in (READER, WRITER, STRANGER):
        servers.admin(f"CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE")
    for session in (route.at_source, route.at_target):
        session.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC")
        session.execute(f"REVOKE ALL ON DATABASE {session.info.dbname} FROM PUBLIC")
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT n, 'x' FROM generate_series(1, 50) AS n")
    made = Roles(route, {side: getattr(route, side).replace("postgres@", f"{role}@", 1) for side, role in (("source", READER), ("target", WRITER))})
    yield made
    for session in (route.at_source, route.at_target):
        for role in (READER, WRITER, STRANGER):
            session.execute(f"REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}")
        session.close()
    for role in (READER, WRITER, STRANGER):
        servers.admin(f"DROP ROLE {role}")


@pytest.fixture
def least(roles: Roles) -> Roles:
    """All that a job needs: to connect and to select here; to connect, to create and a stage of its own there."""
    source = roles.route.at_source.info.dbname
    roles.grant(
        f"GRANT CONNECT ON DATABASE {source} TO {{reader}}",
        "GRANT USAGE ON SCHEMA public TO {reader}",
        "GRANT SELECT ON items TO {reader}",
        "GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {writer}",
    )
    return roles


def _change(roles: Roles) -> None:
    roles.route.at_source.execute("UPDATE items SET name = name || 'y' WHERE id < 9; INSERT INTO items SELECT max(id) + 1, 'new' FROM items")


def test_the_least_of_rights_is_enough_and_the_rights_to_create_are_needed_once(least: Roles) -> None:
    report = least.route.run("items", **least.settings, verify=True)
    assert (report.first_load, report.completeness) == (True, "proven")
    assert int(report.source["system"]) > 0 and report.source["timeline"] == 1
    least.grant("REVOKE CREATE ON DATABASE {database} FROM {writer}", "REVOKE CREATE ON SCHEMA raw_postgres FROM {writer}")
    for _ in range(2):
        _change(least)
        assert not least.route.run("items", **least.settings, verify=True).reconciled
        least.route.assert_equal("items")


def test_a_role_that_owns_nothing_loads_with_rights_on_rows_alone(least: Roles) -> None:
    """What another role has made, this one fills."""
    least.route.run("items", **least.settings)
    least.grant(
        "GRANT CONNECT, TEMPORARY ON DATABASE {database} TO {stranger}",
        "GRANT USAGE ON SCHEMA _rowferry, raw_postgres TO {stranger}",
        "GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA _rowferry, raw_postgres TO {stranger}",
    )
    _change(least)
    settings = {**least.settings, "target": least.settings["target"].replace(WRITER, STRANGER)}
    assert least.route.run("items", **settings, verify=True).this_try.inserted == 1
    least.route.assert_equal("items")


def test_rights_on_the_carried_columns_are_not_yet_enough_and_it_is_said_so(least: Roles) -> None:
    """The lock that comes before the snapshot asks for a right on the whole table."""
    least.grant("REVOKE SELECT ON items FROM {reader}", "GRANT SELECT (id, name) ON items TO {reader}")
    error = least.route.refused(AuthenticationError, "items", **least.settings)
    assert error.sqlstate == "42501" and "GRANT SELECT" in error.hint


# What is taken away, and what the error must name.
MISSING = {
    "the right to connect to the source": ("REVOKE CONNECT ON DATABASE {source} FROM {reader}", ("source", "{source}")),
    "the schema of the source": ("REVOKE USAGE ON SCHEMA public FROM {reader}", ("source", "public", "USAGE")),
    "the table of the source": ("REVOKE SELECT ON items FROM {reader}", ("source", "items", "SELECT")),
    "the right to connect to the target": ("REVOKE CONNECT ON DATABASE {database} FROM {writer}", ("target", "{database}")),
    "the right to create schemas": ("REVOKE CREATE ON DATABASE {database} FROM {writer}", ("target", "CREATE")),
}


@pytest.mark.parametrize(("revoked", "says"), MISSING.values(), ids=MISSING)
def test_a_right_that_is_missing_at_the_first_load_is_named(least: Roles, revoked: str, says: tuple[str, ...]) -> None:
    names = {"source": least.route.at_source.info.dbname, "database": least.route.at_target.info.dbname}
    least.grant(revoked.replace("{source}", names["source"]))
    error = least.route.refused(AuthenticationError, "items", **least.settings)
    for word in says:
        assert word.format(**names) in described(error), described(error)
    assert error.sqlstate == "42501" and not error.retryable
    schemas = "SELECT FROM pg_namespace WHERE nspname IN ('_rowferry', 'raw_postgres')"
    assert "create" not in revoked.lower() or least.route.at_target.execute(schemas).fetchall() == []


@pytest.mark.parametrize(
    ("revoked", "says"),
    [
        ("REVOKE TEMPORARY ON DATABASE {database} FROM {writer}", "temporary"),
        ("ALTER TABLE raw_postgres.items OWNER TO postgres", "items"),
        ("ALTER TABLE _rowferry.loads OWNER TO postgres", "loads"),
        ("ALTER TABLE _rowferry.leases OWNER TO postgres", "leases"),
        ("ALTER SCHEMA raw_postgres OWNER TO postgres", "raw_postgres"),
        ("ALTER SCHEMA _rowferry OWNER TO postgres", "_rowferry"),
    ],
    ids=["the stage", "the table", "the records", "the leases", "the schema", "the control schema"],
)
def test_a_right_that_was_taken_away_since_the_first_load_is_named(least: Roles, revoked: str, says: str) -> None:
    least.route.run("items", **least.settings)
    least.grant(revoked)
    _change(least)
    error = least.route.refused(AuthenticationError, "items", **least.settings)
    assert says in str(error) and "target" in str(error), described(error)
    assert error.hint and not error.retryable


def test_a_schema_that_exists_and_is_another_role_s_is_named(least: Roles) -> None:
    least.grant("CREATE SCHEMA raw_postgres")
    error = least.route.refused(AuthenticationError, "items", **least.settings)
    assert "raw_postgres" in str(error) and "CREATE" in error.hint
    least.grant("GRANT USAGE, CREATE ON SCHEMA raw_postgres TO {writer}")
    assert least.route.run("items", **least.settings, verify=True).first_load


def test_rights_on_a_partitioned_table_cover_its_partitions(least: Roles) -> None:
    least.route.at_source.execute(
        "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE parted_1 PARTITION OF parted DEFAULT;"
        " INSERT INTO parted SELECT generate_series(1, 9)"
    )
    least.grant("GRANT SELECT ON parted TO {reader}")
    assert least.route.run("parted", **least.settings, verify=True).this_try.read == 9


def test_the_holder_of_the_watermark_is_hidden_from_a_role_that_may_not_see_it_and_named_to_one_that_may(least: Roles) -> None:
    """Without the right nobody is named, least of all somebody innocent."""
    with psycopg.connect(least.route.source, application_name="month end") as holder:
        holder.execute("UPDATE items SET name = 'held' WHERE id = 1")
        held_by = least.route.run("items", **least.settings).watermark_held_by
        assert held_by is None or held_by["pid"] == holder.info.backend_pid
        least.grant("GRANT pg_read_all_stats TO {reader}")
        assert least.route.run("items", **least.settings).watermark_held_by["application"] == "month end"


def test_verify_and_plan_need_no_right_to_write(least: Roles) -> None:
    least.route.run("items", **least.settings)
    least.grant(
        "GRANT CONNECT ON DATABASE {database} TO {stranger}",
        "GRANT USAGE ON SCHEMA _rowferry, raw_postgres TO {stranger}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA _rowferry, raw_postgres TO {stranger}",
    )
    job = least.route.job("items", **{**least.settings, "target": least.settings["target"].replace(WRITER, STRANGER)})
    assert rowferry.verify(job).result == "equal"
    assert not job.plan().first_load
    assert len(job.state()) == 1
