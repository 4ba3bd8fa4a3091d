"""What a schema goes through between runs and during one: the target equals the source, or the run refuses.

A change that writes no row version, or hides one, must be noticed without looking at rows. A refusal names the
column and the way out, and leaves the target as it was; after that way out the next run makes both sides equal.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
from route import AT_THE_GATE, GATE, Route, described, started, until, waits_for

from rowferry.demo.servers import Server, start_postgres
from rowferry.errors import ConfigurationError, RowferryError, SchemaDriftError, SourceError, TableBusyError

MOOD = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')"
TABLE = """
CREATE TABLE items (
    id int PRIMARY KEY,
    name text NOT NULL,
    price numeric(12, 2) DEFAULT 1,
    mood mood DEFAULT 'ok'
);
INSERT INTO items SELECT n, 'item ' || n, n * 1.25 FROM generate_series(1, 300) AS n;
"""
PARTED = """
CREATE TABLE items (id int, region int NOT NULL, name text, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1);
CREATE TABLE items_2 PARTITION OF items FOR VALUES IN (2);
CREATE TABLE items_3 (LIKE items INCLUDING ALL);
INSERT INTO items SELECT n, 1 + n % 2, 'item ' || n FROM generate_series(1, 200) AS n;
INSERT INTO items_3 SELECT n, 3, 'filled before it was attached' FROM generate_series(1000, 1099) AS n;
"""
INHERITED = """
CREATE TABLE items (id int PRIMARY KEY, name text);
CREATE TABLE items_old (PRIMARY KEY (id)) INHERITS (items);
CREATE TABLE items_new (id int PRIMARY KEY, name text);
INSERT INTO items SELECT n, 'parent ' || n FROM generate_series(1, 50) AS n;
INSERT INTO items_old SELECT n, 'child ' || n FROM generate_series(100, 150) AS n;
INSERT INTO items_new SELECT n, 'later child ' || n FROM generate_series(200, 250) AS n;
"""


@dataclass(frozen=True)
class Change:
    """Statements at the source, and how the next run takes them.

    Attributes:
        refused: The class of the refusal; None: the run goes through.
        names: What the message of the refusal must name.
        way_out: What the refusal's hint says, done at the target.
        policy: Of `on_schema_change`; None: the usual ones.
    """

    what: str
    ddl: tuple[str, ...]
    table: str = TABLE
    refused: type[RowferryError] | None = None
    names: tuple[str, ...] = ()
    way_out: tuple[str, ...] = ()
    where: str | None = None
    policy: str | None = None

    def __str__(self) -> str:
        return self.what


def drift(what: str, *ddl: str, names: tuple[str, ...], way_out: tuple[str, ...]) -> Change:
    return Change(what, ddl, refused=SchemaDriftError, names=names, way_out=way_out, policy="fail")


CHANGES = (
    Change("truncate", ("TRUNCATE items",)),
    Change("truncate, then new rows under old keys", ("TRUNCATE items", "INSERT INTO items VALUES (1, 'again')")),
    Change("rewrite of every row", ("ALTER TABLE items ALTER price TYPE numeric(12, 2) USING price * 2",)),
    Change("rewrite in a transaction with a truncate", ("BEGIN", "TRUNCATE items", "INSERT INTO items VALUES (5, 'x')", "COMMIT")),
    Change("vacuum full", ("DELETE FROM items WHERE id < 100", "VACUUM FULL items")),
    Change("vacuum freeze", ("UPDATE items SET name = 'frozen' WHERE id < 20", "VACUUM (FREEZE) items")),
    Change("cluster", ("UPDATE items SET name = 'moved' WHERE id < 20", "CLUSTER items USING items_pkey")),
    Change("another tablespace's worth of a rewrite", ("ALTER TABLE items SET UNLOGGED",)),
    Change("drop and add of one name, with a default", ("ALTER TABLE items DROP price", "ALTER TABLE items ADD price numeric(12, 2) DEFAULT 7")),
    Change("drop and add of one name, without a default", ("ALTER TABLE items DROP price", "ALTER TABLE items ADD price numeric(12, 2)")),
    Change("a label renamed", ("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",), refused=SchemaDriftError, names=('"mood"',),
           way_out=("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",)),
    Change("two labels swapped", ("ALTER TYPE mood RENAME VALUE 'ok' TO 'x'", "ALTER TYPE mood RENAME VALUE 'sad' TO 'ok'",
                                  "ALTER TYPE mood RENAME VALUE 'x' TO 'sad'"),
           refused=SchemaDriftError, names=('"mood"',),
           way_out=("ALTER TYPE mood RENAME VALUE 'ok' TO 'x'", "ALTER TYPE mood RENAME VALUE 'sad' TO 'ok'",
                    "ALTER TYPE mood RENAME VALUE 'x' TO 'sad'")),
    Change("drop of a column", ("ALTER TABLE items DROP price",)),
    Change("re-created", ("DROP TABLE items", *(s for s in TABLE.split(";") if s.strip()), "UPDATE items SET name = 'new' WHERE id = 3")),
    Change("re-created without rows", ("DROP TABLE items", TABLE.split(";")[0])),
    Change("renamed away, another in its place", ("ALTER TABLE items RENAME TO was", "CREATE TABLE items (LIKE was INCLUDING ALL)",
                                                  "INSERT INTO items SELECT * FROM was WHERE id > 100")),
    Change("not null gone and back", ("ALTER TABLE items ALTER price SET NOT NULL", "UPDATE items SET price = 3 WHERE id = 3")),
    Change("another collation", ('ALTER TABLE items ALTER name TYPE text COLLATE "C"',)),
    drift("a column added with a default that is then dropped", "ALTER TABLE items ADD stock int DEFAULT 7", "ALTER TABLE items ALTER stock DROP DEFAULT",
          names=('"stock"', "integer"), way_out=("ALTER TABLE raw_postgres.items ADD COLUMN stock integer",)),
    drift("a column added without a default", "ALTER TABLE items ADD stock int", "UPDATE items SET stock = id WHERE id < 9",
          names=('"stock"', "integer"), way_out=("ALTER TABLE raw_postgres.items ADD COLUMN stock integer",)),
    drift("a column renamed", "ALTER TABLE items RENAME price TO amount",
          names=('"amount"', "numeric(12,2)"), way_out=("ALTER TABLE raw_postgres.items RENAME price TO amount",)),
    drift("a type changed", "ALTER TABLE items ALTER price TYPE float8",
          names=('"price"', "double precision", "numeric(12,2)"), way_out=("ALTER TABLE raw_postgres.items ALTER COLUMN price TYPE double precision",)),
    drift("a type widened without a rewrite", "ALTER TABLE items ALTER price TYPE numeric(20, 2)", "UPDATE items SET price = 12345678901234567 WHERE id = 1",
          names=('"price"', "numeric(20,2)", "numeric(12,2)"), way_out=("ALTER TABLE raw_postgres.items ALTER COLUMN price TYPE numeric(20,2)",)),
    drift("a column that may be null now", "ALTER TABLE items ALTER name DROP NOT NULL", "UPDATE items SET name = NULL WHERE id = 1",
          names=('"name"',), way_out=("ALTER TABLE raw_postgres.items ALTER COLUMN name DROP NOT NULL",)),
    drift("a column dropped that the target wants", "ALTER TABLE items DROP name",
          names=('"name"',), way_out=("ALTER TABLE raw_postgres.items DROP name",)),
    Change("a column dropped that may not be null in the target", ("ALTER TABLE items DROP name", "INSERT INTO items VALUES (301, 1)")),
    Change("a column added, dropped, renamed, and a type widened at once", ("ALTER TABLE items ADD stock int DEFAULT 7", "ALTER TABLE items DROP mood", "ALTER TABLE items ALTER price TYPE numeric(20, 2)",
                                                                           "ALTER TABLE items RENAME name TO title"), policy="apply"),
    drift("another key", "ALTER TABLE items DROP CONSTRAINT items_pkey", "ALTER TABLE items ADD PRIMARY KEY (name)",
          names=("unique index",), way_out=("CREATE UNIQUE INDEX ON raw_postgres.items (name)",)),
    Change("attach of a filled partition", ("ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES IN (3)",), PARTED),
    Change("detach of a partition", ("ALTER TABLE items DETACH PARTITION items_2",), PARTED),
    Change("a partition swapped", ("ALTER TABLE items DETACH PARTITION items_2", "UPDATE items_3 SET region = 2",
                                   "ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES IN (2)"), PARTED),
    Change("truncate of a partition", ("TRUNCATE items_2",), PARTED),
    Change("a row moved to another partition", ("UPDATE items SET region = 1 WHERE id = 3",), PARTED, where="region = 1"),
    Change("drop of a partition", ("DROP TABLE items_1",), PARTED),
    Change("detach and attach of the same, changed meanwhile", ("ALTER TABLE items DETACH PARTITION items_2", "UPDATE items_2 SET name = 'meanwhile' WHERE id % 4 = 1",
                                                                "ALTER TABLE items ATTACH PARTITION items_2 FOR VALUES IN (2)"), PARTED),
    Change("a child inherits", ("ALTER TABLE items_new INHERIT items",), INHERITED),
    Change("a child leaves", ("ALTER TABLE items_old NO INHERIT items",), INHERITED),
    Change("rows of a child change", ("UPDATE items_old SET name = 'x' WHERE id = 120", "INSERT INTO items_old VALUES (500, 'new')"), INHERITED),
    Change("truncate of a child", ("TRUNCATE items_old",), INHERITED),
)


@pytest.fixture
def laid(route: Route) -> Callable[[str], Route]:
    """Call it with the tables of the source; the enum is on both sides."""

    def lay(tables: str) -> Route:
        for session in (route.at_source, route.at_target):
            session.execute(MOOD)
        route.at_source.execute(tables)
        return route

    return lay


def _execute(session: psycopg.Connection, statements: tuple[str, ...]) -> None:
    for statement in statements:
        session.execute(statement)


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_after_a_change_between_runs_both_sides_are_equal_or_the_run_refuses(laid: Callable[[str], Route], change: Change) -> None:
    route = laid(change.table)
    settings: dict[str, Any] = {"keys": ["id"]} if change.table == INHERITED else {}
    if change.where:
        settings["where"] = change.where
    if change.policy:
        settings["on_schema_change"] = change.policy
    route.run("items", **settings)
    _execute(route.at_source, change.ddl)
    if change.refused:
        error = route.refused(change.refused, "items", **settings)
        for word in change.names:
            assert word in str(error), described(error)
        assert error.hint, described(error)
        _execute(route.at_target, change.way_out)
    assert route.run("items", verify=True, **settings).verification.result == "equal"
    route.assert_equal("items", where=change.where or "true")
    assert route.run("items", verify=True, **settings).this_try.deleted == 0


# ---- rows that leave ------------------------------------------------------------------------------------


def test_a_row_that_is_updated_out_of_the_filter_is_closed_and_one_that_comes_back_is_opened(laid: Callable[[str], Route]) -> None:
    route = laid(TABLE)
    where = "name NOT LIKE 'hidden%'"
    for name in ("hidden", "shown again"):
        route.run("items", where=where)
        route.at_source.execute("UPDATE items SET name = %s WHERE id BETWEEN 10 AND 19", [name])
        report = route.run("items", where=where, verify=True)
        assert not report.reconciled
        route.assert_equal("items", where=where)
    assert report.this_try.inserted == 0 and report.this_try.updated >= 10


def test_what_a_filter_hides_does_not_leave_the_source(laid: Callable[[str], Route]) -> None:
    """A row that fails the filter is told by its key alone."""
    route = laid(TABLE)
    route.run("items", where="id <> 7")
    route.at_source.execute("UPDATE items SET name = 'for nobody' WHERE id = 7")
    assert "CASE WHEN" in next(s.sql for s in route.job("items", where="id <> 7").plan().statements if s.role == "read")
    route.run("items", where="id <> 7", verify=True)
    assert not any("for nobody" in row for rows in route.everything_loaded().values() for row in rows)


@pytest.mark.parametrize("second", ["id > 200", None, "id <= 100 -- the same, with a comment"])
def test_another_filter_is_a_reason_to_read_everything(laid: Callable[[str], Route], second: str | None) -> None:
    route = laid(TABLE)
    route.run("items", where="id <= 100")
    report = route.run("items", where=second, verify=True)
    assert report.reconciled and any("filter" in reason for reason in report.reasons)
    route.assert_equal("items", where=(second or "true").partition("--")[0])


def test_row_security_that_is_switched_on_is_noticed_and_the_run_proves_less(laid: Callable[[str], Route]) -> None:
    route = laid(TABLE)
    route.at_source.execute("DROP ROLE IF EXISTS clerk; CREATE ROLE clerk LOGIN; GRANT SELECT ON items TO clerk")
    settings = {"source": route.source.replace("postgres@", "clerk@", 1)}
    try:
        assert route.run("items", **settings).completeness == "proven"
        route.at_source.execute("ALTER TABLE items ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON items USING (id < 50)")
        report = route.run("items", verify=True, **settings)
        assert (report.completeness, report.reconciled) == ("best_effort", True)
        route.assert_equal("items", where="id < 50")
        route.at_source.execute("ALTER POLICY few ON items USING (id < 90)")
        report = route.run("items", verify=True, **settings)
        assert report.reconciled, "another policy shows rows that have no new version"
        route.assert_equal("items", where="id < 90")
        route.at_source.execute("ALTER TABLE items DISABLE ROW LEVEL SECURITY")
        assert route.run("items", verify=True, **settings).completeness == "proven"
        route.assert_equal("items")
    finally:
        route.at_source.execute("DROP OWNED BY clerk; DROP ROLE clerk")


def test_a_change_that_a_refused_run_has_seen_is_seen_again_by_the_next(laid: Callable[[str], Route]) -> None:
    """It is judged against the last committed load, not the last look."""
    route = laid(TABLE)
    route.run("items")
    route.at_source.execute("ALTER TABLE items ADD stock int DEFAULT 7")
    for _ in range(2):
        route.refused(SchemaDriftError, "items", on_schema_change="fail")
    route.at_target.execute("ALTER TABLE raw_postgres.items ADD COLUMN stock integer")
    assert route.run("items", verify=True).reconciled
    route.assert_equal("items")


def test_a_key_that_keeps_its_value_and_changes_its_digits_arrives_so(route: Route) -> None:
    """Equal is not identical: 1.0 and 1.00 are one key."""
    route.at_source.execute("CREATE TABLE items (id numeric PRIMARY KEY, n int); INSERT INTO items VALUES (1.0, 1), (2.5, 1)")
    route.run("items")
    route.at_source.execute("UPDATE items SET id = 1.00, n = 2 WHERE id = 1")
    assert route.run("items", verify=True).this_try.updated >= 1
    route.assert_equal("items")


def test_a_composite_type_whose_attribute_was_replaced_is_read_again(route: Route) -> None:
    for session in (route.at_source, route.at_target):
        session.execute("CREATE TYPE place AS (x int, y int)")
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, at place); INSERT INTO items VALUES (1, (1, 2)), (2, (3, 4))")
    route.run("items")
    route.at_source.execute("ALTER TYPE place DROP ATTRIBUTE y; ALTER TYPE place ADD ATTRIBUTE y int")
    route.run("items", verify=True)
    route.assert_equal("items")


# ---- during a read ---------------------------------------------------------------------------------------

DURING = tuple(
    change
    for change in CHANGES
    if change.what
    in (
        "truncate",
        "rewrite of every row",
        "vacuum full",
        "cluster",
        "attach of a filled partition",
        "detach of a partition",
        "drop and add of one name, with a default",
        "a column added with a default that is then dropped",
        "a child inherits",
        "re-created",
    )
)


@pytest.mark.parametrize("change", DURING, ids=str)
@pytest.mark.parametrize("first", [True, False], ids=["the first load", "a later load"])
def test_a_change_during_a_read_is_seen_whole_or_not_at_all(laid: Callable[[str], Route], change: Change, first: bool) -> None:
    """The run stands in the middle of its read while another session does the change, or waits to do it."""
    route = laid(change.table)
    attaches = change.what in ("attach of a filled partition", "a child inherits")
    settings: dict[str, Any] = {"where": AT_THE_GATE, "verify": not attaches}
    if change.table == INHERITED:
        settings["keys"] = ["id"]
    if not first:
        route.run("items", **settings)
        route.at_source.execute("UPDATE items SET name = 'changed' WHERE id <= 10")
    columns, before = route.columns("items"), route.source_rows("items")
    with psycopg.connect(route.source, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [GATE])
        run = started(lambda: route.run("items", **settings))
        until(lambda: waits_for(route.at_source, "advisory", "ShareLock"), unless=run)
        ddl = [s for s in change.ddl if not s.startswith("DELETE")]
        altering = started(lambda: _elsewhere(route, ddl))
        until(lambda: altering.done() or waits_for(route.at_source, "relation", "AccessExclusiveLock"), unless=run)
        other.execute("SELECT pg_advisory_unlock(%s)", [GATE])
        run.result()
        altering.result()
    if not attaches:
        assert route.target_rows("raw_postgres.items", columns) == before
    if change.refused:
        route.refused(change.refused, "items", **settings, on_schema_change=change.policy)
        _execute(route.at_target, change.way_out)
    route.run("items", **{**settings, "verify": True})
    route.assert_equal("items")


@pytest.mark.parametrize("change", [c for c in DURING if "attach of" in c.what or "child" in c.what], ids=str)
def test_what_is_attached_during_a_read_spoils_only_the_comparing_and_the_next_try_is_good(laid: Callable[[str], Route], change: Change) -> None:
    """Attaching waits for no reader, and what it attached shows in the next statement of an older snapshot."""
    route = laid(change.table)
    settings: dict[str, Any] = {"where": AT_THE_GATE, "verify": True, "keys": ["id"] if change.table == INHERITED else None}
    with psycopg.connect(route.source, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [GATE])
        run = started(lambda: route.run("items", **settings))
        until(lambda: waits_for(route.at_source, "advisory", "ShareLock"), unless=run)
        _execute(route.at_source, change.ddl)
        other.execute("SELECT pg_advisory_unlock(%s)", [GATE])
        with pytest.raises(SourceError, match="altered") as caught:
            run.result()
    assert caught.value.retryable and route.loads() == 0
    route.run("items", **settings)
    route.assert_equal("items")


def _elsewhere(route: Route, statements: list[str]) -> None:
    with psycopg.connect(route.source, autocommit=True) as session:
        _execute(session, tuple(statements))


@pytest.mark.parametrize(
    ("ddl", "read"),
    [
        ("TRUNCATE items", 0),
        ("TRUNCATE items; INSERT INTO items VALUES (1, 'again'), (999, 'new')", 2),
        ("ALTER TABLE items ALTER price TYPE numeric(12, 2) USING price * 2", 300),
    ],
    ids=["truncate", "truncate and insert", "rewrite"],
)
@pytest.mark.parametrize("capture", ["xmin", "full"])
def test_a_change_that_began_before_the_run_is_waited_for_and_then_seen(laid: Callable[[str], Route], ddl: str, read: int, capture: str) -> None:
    """A snapshot older than the lock would show an empty table where none is."""
    route = laid(TABLE)
    route.run("items")
    with psycopg.connect(route.source) as other:
        other.execute(ddl)
        run = started(lambda: route.run("items", capture=capture, verify=True))
        until(lambda: waits_for(route.at_source, "relation", "AccessShareLock"), unless=run)
        other.commit()
    report = run.result()
    assert report.verification.result == "equal"
    assert report.this_try.read == read
    route.assert_equal("items")


def test_a_change_that_is_not_over_in_time_makes_the_table_busy_and_leaves_the_target(laid: Callable[[str], Route]) -> None:
    route = laid(TABLE)
    route.run("items")
    with psycopg.connect(route.source) as other:
        other.execute("TRUNCATE items")
        error = route.refused(TableBusyError, "items", lock_timeout=0.2)
        assert error.retryable and error.sqlstate == "55P03" and "lock_timeout" in error.hint
        other.rollback()
    assert route.run("items", verify=True).this_try.deleted == 0


# ---- another source ----------------------------------------------------------------------------------------


def test_another_database_of_the_same_table_is_reconciled(servers: Server, route_on: Callable[..., Route]) -> None:
    here, there = route_on(servers), route_on(servers)
    for route, first in ((here, 1), (there, 50)):
        route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT n, 'x' FROM generate_series({first}, 80) n")
    here.run("items")
    report = here.run("items", source=there.source, verify=True)
    assert report.reconciled and any("another database" in reason for reason in report.reasons)
    assert here.target_rows("raw_postgres.items", "id, name") == there.source_rows("items")


def test_another_server_of_the_same_database_is_reconciled(pg15: Server, pg18: Server, route_on: Callable[..., Route]) -> None:
    here = route_on(pg15)
    here.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT n, 'old' FROM generate_series(1, 80) n")
    here.run("items")
    name = here.source.rpartition("/")[2]
    moved = pg18.create_database(name)
    try:
        pg18.admin("CREATE TABLE items (id int PRIMARY KEY, name text)", name)
        pg18.admin("INSERT INTO items SELECT n, 'new' FROM generate_series(40, 90) n", name)
        report = here.run("items", source=moved, verify=True)
        assert report.reconciled and any("another server" in reason for reason in report.reasons)
        assert here.target_rows("raw_postgres.items", "id") == sorted(f"({n})" for n in range(40, 91))
    finally:
        pg18.admin(f"DROP DATABASE {name} WITH (FORCE)")


def test_an_older_copy_of_the_database_under_its_name_is_reconciled(servers: Server, route_on: Callable[..., Route]) -> None:
    """A copy by template has the same server, names, table oids and files: only the database's own oid differs."""
    route = route_on(servers)
    name = route.source.rpartition("/")[2]
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, name text); INSERT INTO items SELECT n, 'old' FROM generate_series(1, 80) n")
    route.at_source.close()
    servers.admin(f"CREATE DATABASE {name}_copy TEMPLATE {name}")
    servers.admin("UPDATE items SET name = 'new'", name)
    route.run("items")
    servers.admin(f"DROP DATABASE {name}")
    servers.admin(f"ALTER DATABASE {name}_copy RENAME TO {name}")
    assert route.run("items", verify=True).reconciled
    route.at_source = psycopg.connect(route.source, autocommit=True)
    route.assert_equal("items")


@pytest.mark.parametrize("version", [15, 18])
def test_a_server_put_back_to_an_older_copy_of_its_files_is_reconciled(version: int, tmp_path: Path, route_on: Callable[..., Route], pg18: Server) -> None:
    """The same system identifier and timeline, and a counter and a log that are behind the last load."""
    target = route_on(pg18)
    folder = Path(f"/tmp/rf-back-{tmp_path.parent.name[-6:]}-{version}")
    try:
        with start_postgres(version, folder=folder) as server:
            server.admin("CREATE TABLE items (id int PRIMARY KEY, name text)")
            server.admin("INSERT INTO items SELECT n, 'old' FROM generate_series(1, 80) n")
            server._shut_down()
            shutil.copytree(folder / "data", folder / "copy", symlinks=True)
            _like(folder / "data", folder / "copy")
            server._launch()
            for _ in range(20):
                server.admin("UPDATE items SET name = 'new'")
            target.run("items", source=server.uri())
            server._shut_down()
            shutil.rmtree(folder / "data")
            (folder / "copy").rename(folder / "data")
            server._launch()
            report = target.run("items", source=server.uri(), verify=True, source_lag_wait=0)
            assert report.reconciled and report.this_try.updated == 80
            assert target.target_rows("raw_postgres.items", "DISTINCT name") == ["(old)"]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _like(model: Path, copy: Path) -> None:
    """Give each file of the copy the owner that it had."""
    owner = model.stat()
    for path in (copy, *copy.rglob("*")):
        shutil.os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def test_a_source_that_is_not_there_any_more_is_said_to_be_missing(laid: Callable[[str], Route]) -> None:
    route = laid(TABLE)
    route.run("items")
    route.at_source.execute("DROP TABLE items")
    assert "items" in str(route.refused(ConfigurationError, "items"))
