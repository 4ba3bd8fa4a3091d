"""Changes found by the time of their rows: which columns, what is proven, and what holds the watermark back."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from between import Between
from route import PATIENCE_S, Route, described, started, until
from timed import CURSOR, ITEMS, ROWS, TOUCH, clock, nowhere, read_statement, reader, unseen, watermark

from rowferry import Report
from rowferry.demo.servers import Server
from rowferry.errors import ConfigurationError


@pytest.fixture
def items(route: Route) -> Route:
    route.at_source.execute(ITEMS)
    return route


def says(report: Report, *words: str) -> bool:
    """Whether one of the reasons has all of these words."""
    return any(all(word in reason for word in words) for reason in report.reasons)


# ---- columns ---------------------------------------------------------------------------------------------

CONVENTION = [
    [name for name in names if name]
    for names in itertools.product((None, "inserted_at", "created_at"), (None, "updated_at", "modified_at"), (None, "deleted_at"))
][2:]
"""All but none, and deleted_at alone: that says nothing of other changes."""


def test_columns_are_found_by_convention_in_any_combination(route: Route) -> None:
    for names in CONVENTION:
        table = "with_" + "_and_".join(names)
        columns = "".join(f", {name} timestamptz DEFAULT now()" for name in names)
        route.at_source.execute(f"CREATE TABLE {table} (id int PRIMARY KEY, name text{columns}, updated_by text, deleted boolean)")
        old = "".join(", timestamptz '2026-01-01'" for _ in names)
        route.at_source.execute(f"INSERT INTO {table} SELECT n, 'old'{old} FROM generate_series(1, 50) AS n")
        route.run(table, **CURSOR)
        route.at_source.execute(f"INSERT INTO {table} (id) VALUES (100); UPDATE {table} SET name = 'new', {names[-1]} = now() WHERE id <= 3")
        condition = read_statement(route, table, **CURSOR).partition(" WHERE ")[2]
        assert [name for name in ("inserted_at", "created_at", "updated_at", "modified_at", "deleted_at") if f'"{name}"' in condition] == names
        assert "updated_by" not in condition and '"deleted"' not in condition
        report = route.run(table, **CURSOR)
        assert (report.capture, report.this_try.read) == ("cursor", 4), names
        route.assert_equal(table)


def test_columns_may_be_named_whatever_their_names(route: Route) -> None:
    odd = ['seen "last"', "select", "größe"]
    columns = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}" timestamptz' for name in odd)
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, {columns}, updated_at timestamptz)")
    route.at_source.execute("INSERT INTO items SELECT n, '2026-01-01', '2026-01-01', '2026-01-01', now() FROM generate_series(1, 50) AS n")
    settings = {**CURSOR, "cursor_columns": odd}
    route.run("items", **settings)
    for n in range(3):
        route.at_source.execute(f"UPDATE items SET {columns.split(', ')[n].removesuffix(' timestamptz')} = now() WHERE id = {n + 1}")
    assert route.run("items", **settings).this_try.read == 3
    route.assert_equal("items")


@pytest.mark.parametrize(
    ("columns", "name"),
    [(["id"], "id"), (["updated_at", "name"], "name"), (["no_such_column"], "no_such_column"), (["updated_at", "updated_at"], "updated_at"), (["Updated_At"], "Updated_At")],
    ids=["an integer", "a text", "one that is missing", "one twice", "one in another case"],
)
def test_columns_that_cannot_be_a_cursor_are_refused_by_name(items: Route, columns: list[str], name: str) -> None:
    error = items.refused(ConfigurationError, "items", **{**CURSOR, "cursor_columns": columns})
    assert f'"{name}"' in str(error), described(error)


def test_columns_by_convention_of_a_type_that_is_no_time_are_refused_by_name(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, updated_at bigint); INSERT INTO items VALUES (1, 1)")
    assert "updated_at" in str(route.refused(ConfigurationError, "items", **CURSOR))


@pytest.mark.parametrize("columns", ["name text", "deleted_at timestamptz"])
def test_a_table_without_such_columns_is_refused_with_the_setting_that_names_them(route: Route, columns: str) -> None:
    route.at_source.execute(f"CREATE TABLE items (id int PRIMARY KEY, {columns})")
    error = route.refused(ConfigurationError, "items", **CURSOR)
    assert "cursor_columns" in described(error)


def test_a_column_that_is_not_carried_can_still_be_the_cursor(items: Route) -> None:
    settings = {**CURSOR, "columns": ["id", "name"]}
    items.run("items", **settings)
    items.at_source.execute("UPDATE items SET name = 'new' WHERE id = 5")
    assert items.run("items", **settings).this_try.read == 1
    assert items.target_rows("raw_postgres.items", "id, name") == items.source_rows("items", "id, name")


def test_rows_without_any_time_are_read_by_every_run(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, name text, inserted_at timestamptz, updated_at timestamptz)")
    route.at_source.execute("INSERT INTO items SELECT n, 'x', '2026-01-01', NULL FROM generate_series(1, 90) AS n; INSERT INTO items VALUES (101), (102)")
    route.run("items", **CURSOR)
    route.at_source.execute("UPDATE items SET name = 'new' WHERE id > 100; INSERT INTO items VALUES (103)")
    assert route.run("items", **CURSOR).this_try.read == 3
    route.assert_equal("items")


def test_one_time_of_several_is_enough(route: Route) -> None:
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, name text, inserted_at timestamptz, updated_at timestamptz, deleted_at timestamptz)")
    route.at_source.execute("INSERT INTO items SELECT n, 'x', '2026-01-01' FROM generate_series(1, 50) AS n")
    route.run("items", **CURSOR)
    route.at_source.execute(
        "UPDATE items SET updated_at = now(), name = 'updated' WHERE id = 1; UPDATE items SET deleted_at = now() WHERE id = 2;"
        " INSERT INTO items VALUES (100, 'new', now(), NULL, NULL), (101, 'moved here', NULL, now(), NULL), (102, 'born dead', NULL, NULL, now())"
    )
    assert route.run("items", **CURSOR).this_try.read == 5
    route.assert_equal("items")


@pytest.mark.parametrize("type_name", ["date", "timestamp", "timestamp(0)"])
def test_a_time_without_zone_is_carried_as_well_as_it_can_be(route: Route, type_name: str) -> None:
    route.at_source.execute(ITEMS.replace("updated_at timestamptz", f"updated_at {type_name}"))
    settings = {**CURSOR, "cursor_columns": ["updated_at"]}
    route.run("items", **settings)
    for n in range(4):
        report = route.run("items", **settings)
        assert report.completeness == "best_effort" and says(report, "zone"), report.reasons
        route.assert_equal("items")
        route.at_source.execute("UPDATE items SET name = %s WHERE id <= 3", [f"{n} within the same day"])
    assert report.this_try.read < ROWS


def test_times_in_whole_seconds_lose_no_change_of_the_second_in_which_a_run_began(route: Route) -> None:
    """The column's own resolution is the least margin: such a time is up to half a second before its change."""
    route.at_source.execute(ITEMS.replace("updated_at timestamptz", "updated_at timestamptz(0)"))
    for n in range(8):
        route.run("items", **CURSOR)
        route.assert_equal("items")
        route.at_source.execute("UPDATE items SET name = %s WHERE id <= 3", [f"change {n}"])


def test_a_cursor_needs_no_index(items: Route) -> None:
    items.at_source.execute("DROP INDEX items_inserted_at_idx, items_updated_at_idx")
    items.run("items", **CURSOR)
    items.at_source.execute("UPDATE items SET name = 'new' WHERE id = 5")
    assert items.run("items", **CURSOR).this_try.read == 1


def test_a_row_that_leaves_the_filter_is_closed_and_one_that_comes_back_is_opened(items: Route) -> None:
    where = "name NOT LIKE 'hidden%'"
    for name in ("hidden", "shown again"):
        items.run("items", where=where, **CURSOR)
        items.at_source.execute("UPDATE items SET name = %s WHERE id BETWEEN 10 AND 19", [name])
        report = items.run("items", where=where, verify=True, **CURSOR)
        assert report.this_try.read == 10
        items.assert_equal("items", where=where)


def test_a_filter_with_an_or_does_not_let_the_cursor_be_passed_by(items: Route) -> None:
    where = "id < 0 OR id > 0"
    items.run("items", where=where, **CURSOR)
    items.at_source.execute("UPDATE items SET name = 'new' WHERE id = 5")
    assert items.run("items", where=where, **CURSOR).this_try.read == 1


# ---- what is bounded -------------------------------------------------------------------------------------

REPLACE = "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
BOUNDED = {
    "one row trigger for both": "",
    "one trigger for each": "DROP TRIGGER touch ON items; CREATE TRIGGER one BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION touch();"
    " CREATE TRIGGER two BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch()",
    "a trigger that fires for replicas too": "ALTER TABLE items ENABLE ALWAYS TRIGGER touch",
    "an assignment between comments": f"{REPLACE} $$BEGIN /* a * b **/ NEW.updated_at = now() ; -- c\n/* d */ RETURN NEW; END$$",
    "a time in whole seconds": "ALTER TABLE items ALTER updated_at TYPE timestamptz(0)",
}
BEST_EFFORT = {
    "a default alone": "DROP TRIGGER touch ON items",
    "a trigger for inserts alone": "DROP TRIGGER touch ON items; CREATE TRIGGER touch BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION touch()",
    "a trigger for updates alone": "DROP TRIGGER touch ON items; CREATE TRIGGER touch BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();"
    " ALTER TABLE items ALTER updated_at DROP DEFAULT",
    "a trigger for an update of some columns": "DROP TRIGGER touch ON items; CREATE TRIGGER one BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION touch();"
    " CREATE TRIGGER two BEFORE UPDATE OF name ON items FOR EACH ROW EXECUTE FUNCTION touch()",
    "a trigger under a condition": "DROP TRIGGER touch ON items; CREATE TRIGGER one BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION touch();"
    " CREATE TRIGGER two BEFORE UPDATE ON items FOR EACH ROW WHEN (NEW.name <> '') EXECUTE FUNCTION touch()",
    "a trigger that is disabled": "ALTER TABLE items DISABLE TRIGGER touch",
    "a trigger for replicas alone": "ALTER TABLE items ENABLE REPLICA TRIGGER touch",
    "a trigger of the statement": "DROP TRIGGER touch ON items; CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH STATEMENT EXECUTE FUNCTION touch()",
    "a trigger that comes after": "DROP TRIGGER touch ON items; CREATE TRIGGER touch AFTER INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch()",
    "a trigger that sets something else": "DROP TRIGGER touch ON items;"
    " CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := upper(NEW.name); RETURN NEW; END';"
    " CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION shout()",
    "a trigger whose assignment is a comment": "CREATE OR REPLACE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN\n-- NEW.updated_at := now();\n/* NEW.updated_at := now(); */\nRETURN NEW; END'",
    "a later trigger that puts the old time back": "CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.updated_at := OLD.updated_at; RETURN NEW; END';"
    " CREATE TRIGGER undo BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION undo()",
    "a clock moved to another zone": f"{REPLACE} $$BEGIN NEW.updated_at := now() AT TIME ZONE 'utc'; RETURN NEW; END$$",
    "a clock set back": f"{REPLACE} $$BEGIN NEW.updated_at := now() - interval '1 day'; RETURN NEW; END$$",
    "a clock that is rounded": f"{REPLACE} $$BEGIN NEW.updated_at := current_timestamp(0); RETURN NEW; END$$",
    "an old time put back between two comments": f"{REPLACE}"
    " $$BEGIN NEW.updated_at := now(); /* first **/ NEW.updated_at := OLD.updated_at; /* last */ RETURN NEW; END$$",
    "a child without the trigger": "CREATE TABLE items_2 (PRIMARY KEY (id)) INHERITS (items)",
}


@pytest.mark.parametrize("ddl", BOUNDED.values(), ids=BOUNDED)
def test_a_time_that_every_insert_and_update_sets_is_bounded(items: Route, ddl: str) -> None:
    items.at_source.execute(ddl or "SELECT")
    assert items.run("items", **CURSOR).completeness == "proven", "everything was read"
    report = items.run("items", **CURSOR)
    assert (report.capture, report.completeness) == ("cursor", "bounded"), report.reasons


@pytest.mark.parametrize("ddl", BEST_EFFORT.values(), ids=BEST_EFFORT)
def test_a_time_that_not_every_insert_and_update_sets_is_best_effort(items: Route, ddl: str) -> None:
    items.at_source.execute(ddl)
    settings = {"keys": ["id"]} if "INHERITS" in ddl else {}
    items.run("items", **CURSOR, **settings)
    report = items.run("items", **CURSOR, **settings)
    assert report.completeness == "best_effort" and says(report, "trigger"), report.reasons


def test_a_trigger_of_a_partitioned_table_counts_for_its_partitions_until_one_is_disabled(route: Route) -> None:
    route.at_source.execute(
        "CREATE TABLE items (id int, region int, updated_at timestamptz, PRIMARY KEY (id, region)) PARTITION BY LIST (region);"
        " CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1); CREATE TABLE items_2 PARTITION OF items FOR VALUES IN (2);"
        f" {TOUCH} CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch(); INSERT INTO items VALUES (1, 1), (2, 2)"
    )
    route.run("items", **CURSOR)
    assert route.run("items", **CURSOR).completeness == "bounded"
    route.at_source.execute("ALTER TABLE items_2 DISABLE TRIGGER touch")
    report = route.run("items", **CURSOR)
    assert (report.capture, report.completeness) == ("xmin", "proven") and says(report, "triggers of the table changed"), report.reasons
    assert route.run("items", **CURSOR).completeness == "best_effort"


def test_a_doubt_is_kept_until_row_versions_were_compared(items: Route) -> None:
    """Whatever its cause, rows may have been missed meanwhile, and no cursor will ever find them."""
    items.run("items", **CURSOR)
    assert items.run("items", **CURSOR).completeness == "bounded"
    with reader(items, sees=False) as settings:
        assert items.run("items", **CURSOR, **settings).completeness == "best_effort"
    items.at_source.execute("SET session_replication_role = replica; UPDATE items SET name = 'unseen' WHERE id = 1; RESET session_replication_role")
    for _ in range(2):
        assert items.run("items", **CURSOR).completeness == "best_effort", "the row is missing, whatever is tracked from now on"
    assert items.run("items", **{**CURSOR, "audit": "always"}).audit == {"missed": 1}
    items.assert_equal("items")


def test_an_audit_that_finds_nothing_missed_clears_a_doubt(items: Route) -> None:
    items.run("items", **CURSOR)
    with reader(items, sees=False) as settings:
        assert items.run("items", **CURSOR, **settings).completeness == "best_effort"
    assert items.run("items", **CURSOR).completeness == "best_effort"
    assert items.run("items", **{**CURSOR, "audit": "always"}).audit == {"missed": 0}
    assert items.run("items", **CURSOR).completeness == "bounded"


def test_a_first_load_by_a_blind_role_leaves_a_watermark_that_bounds_nothing(items: Route) -> None:
    with reader(items, sees=False) as settings:
        assert items.run("items", **CURSOR, **settings).completeness == "proven"
    report = items.run("items", **CURSOR)
    assert report.completeness == "best_effort" and says(report, "an earlier load"), report.reasons


def test_what_was_written_while_triggers_were_off_is_found_by_row_versions(items: Route) -> None:
    items.run("items", **CURSOR)
    items.at_source.execute("ALTER TABLE items DISABLE TRIGGER touch; UPDATE items SET name = 'unseen' WHERE id = 1; ALTER TABLE items ENABLE TRIGGER touch")
    report = items.run("items", **CURSOR)
    assert (report.capture, report.completeness) == ("xmin", "proven") and says(report, "triggers of the table changed"), report.reasons
    items.assert_equal("items")
    assert items.run("items", **CURSOR).completeness == "bounded"


@pytest.mark.parametrize("zone", ["America/New_York", "Etc/GMT+12", "Asia/Tokyo", "Etc/GMT-14"])
def test_a_time_without_zone_is_found_in_whatever_zone_it_was_written(route: Route, zone: str) -> None:
    route.at_source.execute(f"SET timezone = '{zone}'; CREATE TABLE naive (id int PRIMARY KEY, updated_at timestamp NOT NULL DEFAULT now(), day date DEFAULT now())")
    for column in ("updated_at", "day"):
        for _ in range(3):
            route.at_source.execute("INSERT INTO naive SELECT 1 + count(*) FROM naive")
            route.run("naive", **CURSOR, cursor_columns=[column])
            route.assert_equal("naive")


def test_without_the_right_to_see_other_sessions_the_run_is_best_effort_and_says_which_right(items: Route) -> None:
    items.run("items", **CURSOR)
    with reader(items, sees=True) as settings:
        assert items.run("items", **CURSOR, **settings).completeness == "bounded"
    with reader(items, sees=False) as settings:
        report = items.run("items", **CURSOR, **settings)
    assert report.completeness == "best_effort" and says(report, "pg_read_all_stats"), report.reasons


# ---- the watermark ---------------------------------------------------------------------------------------


def test_with_nothing_open_the_watermark_is_the_time_of_the_listing(items: Route) -> None:
    for _ in range(2):
        before = clock(items.at_source)
        report = items.run("items", **CURSOR)
        assert before <= watermark(report) <= clock(items.at_source)
        assert report.watermark_held_by is None


@pytest.mark.parametrize("margin", [0.5, 60, 86400])
def test_the_watermark_stays_behind_the_clock_by_the_margin(items: Route, margin: float) -> None:
    before = clock(items.at_source)
    report = items.run("items", **{**CURSOR, "clock_margin": margin})
    assert before <= watermark(report) + timedelta(seconds=margin) <= clock(items.at_source)


def test_a_run_reads_from_the_watermark_less_the_lookback(items: Route) -> None:
    report = items.run("items", **CURSOR)
    for lookback in (0, 0.25, 5400):
        read = read_statement(items, "items", **CURSOR, lookback=lookback)
        expected = watermark(report) - timedelta(seconds=lookback)
        assert {_moment(text) for text in _MOMENT.findall(read)} == {expected}, read
    day_300 = watermark(report) - timedelta(seconds=86400)
    unseen(items.at_source, f"UPDATE items SET updated_at = '{day_300}', name = 'late' WHERE id <= 4")
    assert items.run("items", **CURSOR).this_try.read == 0
    assert items.run("items", **CURSOR, lookback=2 * 86400).this_try.read == 4
    items.assert_equal("items")


_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d(?::?\d\d)?)?")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(re.sub(r"([+-]\d\d)$", r"\1:00", text.replace("Z", "+00:00")))
    assert moment.tzinfo is not None, f"{text} has no zone"
    return moment


@contextlib.contextmanager
def holding(route: Route, *statements: str) -> Iterator[psycopg.Connection]:
    """A session `month end` with a transaction open that has executed these."""
    with psycopg.connect(route.source, application_name="month end") as holder:
        for statement in statements:
            holder.execute(statement)
        yield holder


WRITE = "UPDATE items SET name = 'late' WHERE id = 1"
HOLDERS = {
    "that has written": (WRITE,),
    "that has only begun": ("SELECT 1",),
    "in a savepoint": ("SELECT 1", "SAVEPOINT a", WRITE),
    "that has chained": ("SELECT 1", "COMMIT AND CHAIN", "SELECT 1"),
    "that reads at one snapshot": ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT count(*) FROM items"),
}


@pytest.mark.parametrize("statements", HOLDERS.values(), ids=HOLDERS)
def test_a_transaction_that_is_open_holds_the_watermark_back_and_is_named(items: Route, statements: tuple[str, ...]) -> None:
    items.run("items", **CURSOR)
    with holding(items, *statements) as holder:
        (began,) = holder.execute("SELECT now()").fetchone()
        report = items.run("items", **CURSOR)
        assert watermark(report) <= began
        held_by = report.watermark_held_by
        assert (held_by["pid"], held_by["user"], held_by["application"]) == (holder.info.backend_pid, "postgres", "month end")
        assert held_by["seconds"] >= 0
        holder.execute("UPDATE items SET name = 'later' WHERE id = 2")
        holder.commit()
    report = items.run("items", verify=True, **CURSOR)
    assert watermark(report) > began and report.watermark_held_by is None
    items.assert_equal("items")


def test_a_transaction_that_is_open_at_the_first_load_is_not_lost_either(items: Route) -> None:
    with holding(items, WRITE) as holder:
        items.run("items", **CURSOR)
        holder.commit()
    items.run("items", verify=True, **CURSOR)
    items.assert_equal("items")


def test_a_prepared_transaction_keeps_the_watermark_where_it_was(items: Route) -> None:
    first = items.run("items", **CURSOR)
    for statement in ("BEGIN", WRITE, "PREPARE TRANSACTION 'forgotten'"):
        items.at_source.execute(statement)
    try:
        report = items.run("items", **CURSOR)
        assert watermark(report) == watermark(first)
        assert "forgotten" in report.watermark_held_by["application"]
    finally:
        items.at_source.execute("COMMIT PREPARED 'forgotten'")
    assert watermark(items.run("items", verify=True, **CURSOR)) > watermark(first)
    items.assert_equal("items")


def test_a_transaction_that_is_prepared_at_the_first_load_is_not_lost_either(items: Route) -> None:
    for statement in ("BEGIN", WRITE, "PREPARE TRANSACTION 'early'"):
        items.at_source.execute(statement)
    try:
        items.run("items", **CURSOR)
    finally:
        items.at_source.execute("COMMIT PREPARED 'early'")
    items.run("items", verify=True, **CURSOR)
    items.assert_equal("items")


STEPS = ("pg_locks", "pg_prepared_xacts", "pg_stat_activity", "LOCK TABLE", "pg_current_snapshot()")
"""Statements of a run that are found by these words, in this order; something is done just before each."""

DEEDS: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
    "begins": ((), ("BEGIN", WRITE), ("COMMIT",)),
    "writes": (("BEGIN", "SELECT 1"), (WRITE,), ("COMMIT",)),
    "commits": (("BEGIN", WRITE), ("COMMIT",), ()),
    "chains": (("BEGIN", WRITE), ("COMMIT AND CHAIN", WRITE), ("COMMIT",)),
    "is prepared": (("BEGIN", WRITE), ("PREPARE TRANSACTION 'between'",), ("COMMIT PREPARED 'between'",)),
    "was prepared and commits": (("BEGIN", WRITE, "PREPARE TRANSACTION 'between'"), ("COMMIT PREPARED 'between'",), ()),
}
"""What a session does before the run, in the middle of it, and after."""


@pytest.mark.parametrize("deed", DEEDS.values(), ids=DEEDS)
def test_whatever_a_session_does_between_two_looks_of_a_run_loses_nothing(items: Route, deed: tuple[tuple[str, ...], ...]) -> None:
    before, meanwhile, after = deed
    items.run("items", **CURSOR)
    for step in STEPS:
        with psycopg.connect(items.source, autocommit=True) as session:

            def do(statements: tuple[str, ...]) -> None:
                for statement in statements:
                    session.execute(statement.replace("late", step))

            do(before)
            with Between(items.source, step, lambda: do(meanwhile)) as way:
                items.run("items", **CURSOR, source=way.uri)
            do(after)
        items.run("items", **CURSOR)
        items.assert_equal("items")


def test_a_session_that_shows_no_activity_is_not_taken_for_idle(items: Route) -> None:
    items.run("items", **CURSOR)
    with holding(items, "SET track_activities = off") as holder:
        holder.commit()
        (began,) = holder.execute("SELECT now()").fetchone()
        assert watermark(items.run("items", **CURSOR)) <= began
        holder.execute(WRITE)
        assert watermark(items.run("items", **CURSOR)) <= began
        holder.commit()
    items.run("items", verify=True, **CURSOR)
    items.assert_equal("items")


def test_transactions_of_other_databases_hold_nothing(items: Route, servers: Server, database: Callable[[Server], str]) -> None:
    with psycopg.connect(database(servers)) as elsewhere, psycopg.connect(database(servers), autocommit=True) as preparing:
        elsewhere.execute("CREATE TABLE t ()")
        for statement in ("BEGIN", "CREATE TABLE t ()", "PREPARE TRANSACTION 'elsewhere'"):
            preparing.execute(statement)
        try:
            items.run("items", **CURSOR)
            before = clock(items.at_source)
            report = items.run("items", **CURSOR)
        finally:
            preparing.execute("ROLLBACK PREPARED 'elsewhere'")
    assert watermark(report) >= before and report.watermark_held_by is None


def test_a_worker_that_applies_a_subscription_holds_the_watermark_back(items: Route, servers: Server, database: Callable[[Server], str]) -> None:
    """It is no client's session, and it writes: it stands in a trigger while the run lists what is open."""
    publisher, name = database(servers), f"feed_{os.getpid()}"
    slow = "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock_shared(7); RETURN NEW; END'"
    items.at_source.execute(f"{slow}; CREATE TRIGGER wait BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION wait(); ALTER TABLE items ENABLE ALWAYS TRIGGER wait, ENABLE ALWAYS TRIGGER touch")
    with psycopg.connect(publisher, autocommit=True) as there:
        there.execute(ITEMS)
        there.execute("TRUNCATE items; CREATE PUBLICATION feed FOR TABLE items")
        there.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
        items.at_source.execute("SELECT pg_advisory_lock(7)")
        items.at_source.execute(f"CREATE SUBSCRIPTION {name} CONNECTION '{publisher}' PUBLICATION feed WITH (create_slot = false, copy_data = false)")
        try:
            items.run("items", **CURSOR)
            there.execute("INSERT INTO items VALUES (1000, 'from elsewhere')")
            worker = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND backend_type LIKE 'logical replication%%' AND wait_event = 'advisory'"
            until(lambda: items.at_source.execute(worker).fetchone() is not None)
            before = clock(items.at_source)
            report = items.run("items", **CURSOR)
            assert watermark(report) < before
            items.at_source.execute("SELECT pg_advisory_unlock(7)")
            until(lambda: items.at_source.execute("SELECT FROM items WHERE id = 1000").fetchone() is not None)
        finally:
            items.at_source.execute("SELECT pg_advisory_unlock_all()")
            items.at_source.execute(f"DROP SUBSCRIPTION {name}")
    items.run("items", verify=True, **CURSOR)
    items.assert_equal("items")


def test_ignoring_open_transactions_is_best_effort_and_lookback_is_what_protects(items: Route) -> None:
    settings = {**CURSOR, "open_transactions": "ignore"}
    items.run("items", **settings)
    with holding(items, WRITE) as holder:
        before = clock(items.at_source)
        report = items.run("items", **settings)
        assert watermark(report) >= before and report.watermark_held_by is None
        assert report.completeness == "best_effort" and says(report, "open_transactions"), report.reasons
        holder.commit()
    assert items.run("items", **settings).this_try.read == 0, "this is the row that such a run loses"
    assert items.run("items", **settings, lookback=3600).this_try.read == 1
    items.assert_equal("items")


def test_a_transaction_that_is_open_for_too_long_makes_the_run_compare_row_versions(items: Route) -> None:
    settings = {**CURSOR, "max_hold": 0}
    items.run("items", **CURSOR)
    with holding(items, WRITE) as holder:
        for n in range(2):
            items.at_source.execute("UPDATE items SET name = %s WHERE id = 9", [str(n)])
            report = items.run("items", **settings)
            assert report.capture == "xmin" and "max_hold" in " ".join([report.capture_reason, *report.reasons])
            assert report.watermark_held_by["pid"] == holder.info.backend_pid
            assert report.this_try.read < ROWS
        holder.commit()
    report = items.run("items", verify=True, **settings)
    assert report.capture == "cursor"
    items.assert_equal("items")


def test_a_transaction_that_is_open_for_less_than_that_does_not(items: Route) -> None:
    items.run("items", **CURSOR)
    with holding(items, WRITE):
        assert items.run("items", **CURSOR, max_hold=3600).capture == "cursor"


def test_a_run_that_waits_for_open_transactions_goes_on_as_soon_as_they_end(items: Route) -> None:
    """The limit of the wait lies far beyond the patience of this test."""
    items.run("items", **CURSOR)
    with holding(items, WRITE) as holder:
        (began,) = holder.execute("SELECT now()").fetchone()
        run = started(lambda: items.run("items", **CURSOR, wait_for_open_transactions=100 * PATIENCE_S, application="rowferry patient"))
        until(lambda: _has_listed(items), unless=run)
        assert not run.done()
        holder.commit()
        report = run.result(PATIENCE_S)
    assert watermark(report) > began and report.this_try.read == 1
    items.assert_equal("items")


def test_a_run_that_has_waited_long_enough_goes_on_with_the_watermark_held(items: Route) -> None:
    items.run("items", **CURSOR)
    with holding(items, WRITE) as holder:
        (began,) = holder.execute("SELECT now()").fetchone()
        report = items.run("items", **CURSOR, wait_for_open_transactions=0.2)
        assert watermark(report) <= began and report.watermark_held_by["pid"] == holder.info.backend_pid


def _has_listed(route: Route) -> bool:
    """Whether the waiting run has looked at the sessions once: its next look is at prepared transactions."""
    listed = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'rowferry patient' AND query LIKE '%%pg_prepared_xacts%%'"
    return route.at_source.execute(listed).fetchone() is not None


def test_a_run_that_changes_nothing_records_what_it_proved(items: Route) -> None:
    first = items.run("items", **CURSOR)
    second = items.run("items", **{**CURSOR, "audit": "always"})
    assert (second.this_try.read, items.loads()) == (0, 2)
    assert watermark(second) > watermark(first)
    record = items.job("items").state()[0].record
    assert record["report"]["audit"] == {"missed": 0}
    assert record["completeness"] == "proven", "an audit compares row versions"


# ---- auto ------------------------------------------------------------------------------------------------

LARGE = {"xmin_max_bytes": 0}
"""Every table is larger than this."""


def test_auto_takes_the_cursor_of_a_large_table_with_an_index_and_row_versions_else(items: Route) -> None:
    items.at_source.execute("CREATE TABLE bare AS TABLE items; ALTER TABLE bare ADD PRIMARY KEY (id); CREATE TABLE timeless (id int PRIMARY KEY, name text)")
    assert items.run("items").capture == "xmin"
    assert items.run("items", **LARGE, target_table="raw_other.items").capture == "cursor"
    assert items.run("bare", **LARGE).capture == "xmin"
    assert items.run("timeless", **LARGE).capture == "xmin"


def test_an_index_that_cannot_find_the_changed_rows_is_none(items: Route) -> None:
    items.at_source.execute("DROP INDEX items_updated_at_idx; CREATE INDEX ON items (name, updated_at); CREATE INDEX ON items (updated_at) WHERE id < 5")
    report = items.run("items", **LARGE)
    assert report.capture == "xmin" and "index" in report.capture_reason


def test_auto_prefers_row_versions_for_a_role_that_does_not_see_other_sessions(items: Route) -> None:
    with reader(items, sees=False) as settings:
        report = items.run("items", **LARGE, **settings)
    assert report.capture == "xmin" and "best_effort" in report.capture_reason
    with reader(items, sees=True) as settings:
        assert items.run("items", **LARGE, **settings, target_table="raw_other.items").capture == "cursor"


@pytest.mark.parametrize(("first", "later"), [(LARGE, {}), ({}, LARGE)], ids=["cursor", "xmin"])
def test_auto_keeps_what_it_took_first(items: Route, first: dict[str, Any], later: dict[str, Any]) -> None:
    taken = items.run("items", **first).capture
    for _ in range(2):
        items.at_source.execute("UPDATE items SET name = name || '.' WHERE id < 5")
        assert items.run("items", verify=True, **later).capture == taken
        assert items.job("items", **later).plan().capture == taken
    items.assert_equal("items")


def test_the_plan_of_a_first_run_says_what_it_would_take_and_why(items: Route) -> None:
    plan = items.job("items", **LARGE).plan()
    assert plan.capture == "cursor" and plan.capture_reason
    assert items.loads() == 0


# ---- from one capture to another -------------------------------------------------------------------------


def test_going_from_one_capture_to_another_loses_nothing(items: Route) -> None:
    """Before each change of capture there is a change that only the next one would have to know of."""
    for n, capture in enumerate(["xmin", "cursor", "xmin", "full", "cursor", "full", "xmin", "cursor", "cursor"]):
        items.at_source.execute(f"UPDATE items SET name = '{n}' WHERE id BETWEEN 1 AND 5; INSERT INTO items VALUES ({1000 + n}, 'new')")
        items.run("items", **{**CURSOR, "capture": capture})
        items.assert_equal("items")


def test_going_from_row_versions_to_a_cursor_brings_what_only_row_versions_show(items: Route) -> None:
    items.run("items", capture="xmin")
    unseen(items.at_source, "UPDATE items SET name = 'unseen' WHERE id <= 3")
    items.run("items", verify=True, **CURSOR)
    items.assert_equal("items")


def test_row_versions_after_a_cursor_prove_nothing_that_the_cursor_may_have_missed(items: Route) -> None:
    items.run("items", **CURSOR)
    unseen(items.at_source, "UPDATE items SET name = 'unseen' WHERE id <= 3")
    assert items.run("items", **CURSOR).this_try.read == 0, "the cursor cannot see them"
    report = items.run("items", capture="xmin")
    assert report.completeness == "proven"
    items.assert_equal("items")


def test_another_choice_of_columns_loses_nothing(route: Route) -> None:
    """What was old by one column may be new by another."""
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY, name text, updated_at timestamptz, seen_at timestamptz)")
    route.at_source.execute("INSERT INTO items SELECT n, 'x', '2026-01-01', '2026-01-01' FROM generate_series(1, 50) AS n")
    route.run("items", **CURSOR)
    route.at_source.execute("UPDATE items SET name = 'seen', seen_at = now() WHERE id <= 3")
    assert route.run("items", **CURSOR).this_try.read == 0
    route.run("items", **CURSOR, cursor_columns=["seen_at"])
    route.assert_equal("items")


# ---- the audit -------------------------------------------------------------------------------------------


def test_an_audit_counts_and_loads_what_the_cursor_missed_and_lowers_the_claim_for_good(items: Route) -> None:
    settings = {**CURSOR, "audit": "always"}
    first = items.run("items", **settings)
    assert first.audit is None, "everything was read"
    unseen(items.at_source, "UPDATE items SET name = 'unseen' WHERE id <= 3; INSERT INTO items VALUES (1000, 'unseen', '2026-01-01', '2026-01-01')")
    items.at_source.execute("UPDATE items SET name = 'seen' WHERE id BETWEEN 3 AND 8")
    report = items.run("items", verify=True, **settings)
    assert report.audit == {"missed": 3}, "row 3 was written again and has its time"
    assert report.this_try.read == 9
    assert report.completeness == "best_effort" and says(report, "3"), report.reasons
    items.assert_equal("items")
    assert items.run("items", **CURSOR).completeness == "best_effort", "a cursor that missed rows once is not believed again"
    assert items.run("items", **settings).audit == {"missed": 0}
    assert items.run("items", **CURSOR).completeness == "best_effort"


def test_without_an_audit_such_rows_are_missed_and_the_next_audit_finds_them_however_late(items: Route) -> None:
    items.run("items", **CURSOR)
    unseen(items.at_source, "UPDATE items SET name = 'unseen' WHERE id <= 3")
    for n in range(3):
        items.at_source.execute("UPDATE items SET name = %s WHERE id = 50", [str(n)])
        assert items.run("items", **CURSOR).audit is None
    report = items.run("items", **{**CURSOR, "audit": "always"})
    assert report.audit == {"missed": 3}
    items.assert_equal("items")


def test_an_audit_does_not_count_what_open_transactions_kept_from_the_cursor(items: Route) -> None:
    settings = {**CURSOR, "audit": "always"}
    items.run("items", **settings)
    with holding(items, WRITE) as holder:
        items.at_source.execute("UPDATE items SET name = 'in between' WHERE id = 60")
        assert items.run("items", **settings).audit == {"missed": 0}
        holder.commit()
    report = items.run("items", verify=True, **settings)
    assert report.audit == {"missed": 0} and report.completeness != "best_effort"
    items.assert_equal("items")


def test_an_audit_counts_a_row_that_lost_its_place_in_time(items: Route) -> None:
    """An application that copies its own old time over the new one."""
    items.at_source.execute("DROP TRIGGER touch ON items")
    settings = {**CURSOR, "audit": "always"}
    items.run("items", **settings)
    items.at_source.execute("UPDATE items SET name = 'old by its own account', updated_at = '2026-01-05' WHERE id = 90")
    assert items.run("items", **settings).audit == {"missed": 1}
    items.assert_equal("items")


def test_every_nth_load_is_an_audit(items: Route) -> None:
    settings = {**CURSOR, "audit": "every 3"}
    items.run("items", **settings)
    done = []
    for n in range(9):
        unseen(items.at_source, f"UPDATE items SET name = 'unseen {n}' WHERE id = {n + 1}")
        done.append(items.run("items", **settings).audit)
    places = [n for n, audit in enumerate(done) if audit is not None]
    assert [b - a for a, b in zip(places, places[1:], strict=False)] == [3] * (len(places) - 1) and len(places) == 3, done
    assert sum(audit["missed"] for audit in done if audit) == places[-1] + 1, "each missed row was counted once"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *itertools.product(["audit"], ["every 0", "every", "often", "", 24]),
        *itertools.product(["clock_margin", "lookback", "max_hold", "wait_for_open_transactions", "xmin_max_bytes"], [-1, "soon"]),
        *itertools.product(["capture", "open_transactions"], ["magic", 1]),
        ("cursor_columns", "updated_at"),
        ("cursor_columns", []),
    ],
)
def test_a_setting_out_of_range_is_a_configuration_error_naming_its_key(key: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=key):
        nowhere(**{key: value})


# ---- the fingerprint -------------------------------------------------------------------------------------

MOOD = "CREATE TYPE mood AS ENUM ('sad', 'ok', 'glad')"
PLAIN = f"""
CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, price numeric(12, 2) DEFAULT 1, mood mood DEFAULT 'ok', updated_at timestamptz);
INSERT INTO items SELECT n, 'item ' || n, n * 1.25, 'ok', '2026-01-01' FROM generate_series(1, {ROWS}) AS n;
CREATE INDEX ON items (updated_at);
{TOUCH}
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();
"""
PARTED = f"""
CREATE TABLE items (id int, region int NOT NULL, name text, updated_at timestamptz, PRIMARY KEY (id, region)) PARTITION BY LIST (region);
CREATE TABLE items_1 PARTITION OF items FOR VALUES IN (1);
CREATE TABLE items_2 PARTITION OF items FOR VALUES IN (2);
CREATE TABLE items_3 (LIKE items INCLUDING ALL);
INSERT INTO items SELECT n, 1 + n % 2, 'item ' || n, '2026-01-01' FROM generate_series(1, {ROWS}) AS n;
INSERT INTO items_3 SELECT n, 3, 'filled before it was attached', '2026-01-01' FROM generate_series(1000, 1029) AS n;
{TOUCH}
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();
"""
EVERYTHING = ROWS

# What is done, to which table; rows the next run reads; whether it compares keys (None: as it likes); what the target needs first.
ALTERED: dict[str, tuple[str, tuple[str, ...], int | None, bool | None, str]] = {
    "a column added again with a default": (PLAIN, ("ALTER TABLE items DROP price", "ALTER TABLE items ADD price numeric(12, 2) DEFAULT 7"), EVERYTHING, None, ""),
    "a column added with a default that is then dropped": (
        PLAIN,
        ("ALTER TABLE items ADD stock int DEFAULT 7", "ALTER TABLE items ALTER stock DROP DEFAULT"),
        EVERYTHING,
        None,
        "ALTER TABLE raw_postgres.items ADD stock int",
    ),
    "a label renamed": (PLAIN, ("ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'",), EVERYTHING, None, "ALTER TYPE mood RENAME VALUE 'ok' TO 'fine'"),
    "a column that may not be null any more": (PLAIN, ("ALTER TABLE items ALTER price SET NOT NULL",), 0, None, ""),
    "truncate": (PLAIN, ("TRUNCATE items",), 0, True, ""),
    "truncate, and rows with old times": (
        PLAIN,
        ("TRUNCATE items", "SET session_replication_role = replica", "INSERT INTO items SELECT n, 'again', 1, 'sad', '2025-01-01' FROM generate_series(1, 10) AS n", "RESET session_replication_role"),
        10,
        True,
        "",
    ),
    "vacuum full": (PLAIN, ("VACUUM FULL items",), 0, None, ""),
    "vacuum full after deletes": (PLAIN, ("DELETE FROM items WHERE id <= 20", "VACUUM FULL items"), 0, True, ""),
    "cluster": (PLAIN, ("CLUSTER items USING items_pkey",), 0, None, ""),
    "vacuum freeze": (PLAIN, ("VACUUM (FREEZE) items",), 0, None, ""),
    "rewrite of every value": (PLAIN, ("ALTER TABLE items ALTER price TYPE numeric(12, 2) USING price * 2",), EVERYTHING, None, ""),
    "a filled partition attached": (PARTED, ("ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES IN (3)",), 30, None, ""),
    "a partition detached": (PARTED, ("ALTER TABLE items DETACH PARTITION items_2",), 0, True, ""),
    "a partition dropped": (PARTED, ("DROP TABLE items_2",), 0, True, ""),
    "a partition swapped for another": (
        PARTED,
        ("ALTER TABLE items DETACH PARTITION items_2", "SET session_replication_role = replica", "UPDATE items_3 SET region = 2", "RESET session_replication_role",
         "ALTER TABLE items ATTACH PARTITION items_3 FOR VALUES IN (2)"),
        30,
        True,
        "",
    ),
    "a partition truncated": (PARTED, ("TRUNCATE items_1",), 0, True, ""),
}


@pytest.mark.parametrize("capture", [{"capture": "xmin"}, CURSOR], ids=["xmin", "cursor"])
@pytest.mark.parametrize("altered", ALTERED.values(), ids=ALTERED)
def test_what_an_alteration_did_is_read_and_nothing_else(
    route: Route, altered: tuple[str, tuple[str, ...], int | None, bool | None, str], capture: dict[str, Any]
) -> None:
    table, ddl, read, sweeps, way_out = altered
    for session in (route.at_source, route.at_target):
        session.execute(MOOD)
    route.at_source.execute(table)
    route.run("items", **capture)
    for statement in ddl:
        route.at_source.execute(statement)
    if way_out:
        route.at_target.execute(way_out)
    report = route.run("items", verify=True, **capture)
    assert report.this_try.read == read, report.reasons
    assert sweeps is None or report.swept == sweeps or report.reconciled, report.reasons
    route.assert_equal("items")
    assert route.run("items", **capture).this_try.read in (0, len(route.source_rows("items", where="updated_at > '2026-02-01'"))), "once is enough"


# ---- plans -----------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_ten_million_rows_are_read_by_the_indexes_of_their_times(pg18: Server, route_on: Callable[..., Route]) -> None:
    """Loaded while it was small, so that the plan is that of a later run."""
    route = route_on(pg18)
    route.at_source.execute("CREATE UNLOGGED TABLE items (id bigint NOT NULL, inserted_at timestamptz, updated_at timestamptz)")
    route.run("items", **CURSOR, keys=["id"])
    route.at_source.execute(
        "SET maintenance_work_mem = '256MB';"
        " INSERT INTO items SELECT n, t, t FROM generate_series(1, 10000000) AS n CROSS JOIN LATERAL (SELECT timestamptz '2020-01-01' + n * interval '1 s') AS x(t);"
        " CREATE INDEX ON items (inserted_at); CREATE INDEX ON items (updated_at); ANALYZE items"
    )
    for settings in ({}, {"lookback": 3600}, {"since": "2020-02-01", "until": "2020-02-02"}):
        query = read_statement(route, "items", **CURSOR, **settings, keys=["id"])
        select = query.removeprefix("COPY (").rpartition(") TO STDOUT")[0]
        plan = "\n".join(line for (line,) in route.at_source.execute(f"EXPLAIN {select}"))
        assert "Index" in plan and "Seq Scan" not in plan, f"{query}\n{plan}"
