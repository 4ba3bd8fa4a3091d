"""`rowferry doctor` on real catalogs: the facts the rules rest on, and that looking changes nothing."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from command import Pair, sql

from rowferry.demo.servers import Server

SCHEMA = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
CREATE TABLE kept (id int PRIMARY KEY, updated_at timestamptz NOT NULL, deleted_at timestamptz);
CREATE INDEX ON kept (updated_at);
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON kept FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE defaulted (id int PRIMARY KEY, created_at timestamp DEFAULT now(), modified_at timestamptz DEFAULT now());
CREATE TABLE touched_late (id int PRIMARY KEY, updated_at timestamptz NOT NULL DEFAULT now());
CREATE TRIGGER touch BEFORE UPDATE ON touched_late FOR EACH ROW EXECUTE FUNCTION touch();
CREATE FUNCTION touch_some() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.id > 0 THEN NEW.updated_at := now(); END IF;
    RETURN NEW;
END $$;
CREATE TABLE touched_sometimes (id int PRIMARY KEY, updated_at timestamptz NOT NULL);
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON touched_sometimes FOR EACH ROW EXECUTE FUNCTION touch_some();
CREATE TABLE keyless (a int, b text);
CREATE TABLE uniquely (code text NOT NULL UNIQUE, n int);
CREATE TABLE parted (id int, day date, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
CREATE VIEW seen AS SELECT * FROM kept;
INSERT INTO kept SELECT n FROM generate_series(1, 5000) AS n;
ANALYZE;
"""


@pytest.fixture
def pair(servers: Server, pg18: Server, database) -> Pair:
    made = Pair(source=database(servers), target=database(pg18))
    sql(made.source, SCHEMA)
    return made


def _doctor(pair: Pair, *args: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The whole checkup, and its tables by name."""
    found = pair.json("doctor", *args)
    return found, {table["table"]: table for table in found["tables"]}


def _rules(found: dict[str, Any]) -> set[str]:
    return {finding["rule"] for finding in found["findings"]}


def _cursors(table: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {cursor["column"]: cursor for cursor in table["cursors"]}


def test_every_table_of_the_user_is_looked_at_without_naming_one(pair: Pair) -> None:
    _, tables = _doctor(pair)
    assert {"public.kept", "public.defaulted", "public.keyless", "public.uniquely", "public.parted"} <= set(tables)
    assert "public.parted_1" not in tables
    assert not any(name.startswith(("pg_catalog.", "information_schema.")) for name in tables)


def test_a_table_in_order_is_proven_by_its_row_versions(pair: Pair) -> None:
    table = _doctor(pair)[1]["public.kept"]
    assert (table["capture"], table["completeness"]) == ("xmin", "proven")
    assert (table["keys"], table["key_source"]) == (["id"], "primary key")
    assert table["rows_estimate"] == 5000
    assert table["bytes"] > 0 and table["scan_seconds"] > 0
    assert not table["findings"]
    cursor = _cursors(table)["updated_at"]
    assert (cursor["set_by"], cursor["indexed"], len(cursor["loses"])) == ("trigger", True, 1)


def test_a_column_with_a_default_only_can_lose_rows_and_the_reasons_are_given(pair: Pair) -> None:
    cursors = _cursors(_doctor(pair)[1]["public.defaulted"])
    modified, created = cursors["modified_at"], cursors["created_at"]
    assert modified["set_by"] == "default" and not modified["indexed"]
    assert any("does not fire on UPDATE" in reason for reason in modified["loses"])
    assert any("time zone" in reason for reason in created["loses"])
    assert any("NULL" in reason for reason in created["loses"])


def test_keys_come_from_a_unique_constraint_when_there_is_no_primary_key(pair: Pair) -> None:
    _, tables = _doctor(pair)
    assert (tables["public.uniquely"]["keys"], tables["public.uniquely"]["key_source"]) == (["code"], "unique")
    assert "no-key" in _rules(tables["public.keyless"])


def test_a_partitioned_table_is_one_table(pair: Pair) -> None:
    assert _doctor(pair)[1]["public.parted"]["completeness"] == "proven"


def test_a_view_cannot_be_loaded_as_run_says_too(pair: Pair) -> None:
    (view,) = _doctor(pair, "--table", "seen")[1].values()
    assert (view["capture"], view["completeness"]) == (None, None)
    assert pair.run("run", "--table", "seen", "--keys", "id", "--capture", "full").returncode == 2
    assert "no-row-versions" in _rules(view)


@pytest.mark.parametrize("table", ["kept", "defaulted", "touched_late", "touched_sometimes", "parted"])
def test_what_doctor_says_of_a_capture_is_what_its_run_reports(pair: Pair, table: str) -> None:
    _assert_runs_prove_what_doctor_says(pair, table)


def test_a_role_that_sees_less_is_told_what_its_runs_will_report(pair: Pair, servers: Server) -> None:
    sql(pair.source, "DROP ROLE IF EXISTS partly")
    sql(pair.source, "CREATE ROLE partly LOGIN; GRANT SELECT ON kept TO partly")
    try:
        as_partly = Pair(source=pair.source.replace("postgres@", "partly@", 1), target=pair.target)
        _assert_runs_prove_what_doctor_says(as_partly, "kept")
        sql(pair.source, "ALTER TABLE kept ENABLE ROW LEVEL SECURITY")
        _assert_runs_prove_what_doctor_says(as_partly, "kept")
    finally:
        sql(pair.source, "DROP OWNED BY partly; DROP ROLE partly")


def _assert_runs_prove_what_doctor_says(pair: Pair, table: str) -> None:
    """Of the second run: the first reads everything, and that is proven whatever the capture."""
    (found,) = _doctor(pair, "--table", table)[1].values()
    for proof in found["proofs"]:
        job = ("--table", table, "--capture", proof["capture"], "--source-name", proof["capture"])
        pair.json("run", *job)
        report = pair.json("run", *job)
        assert (report["capture"], report["completeness"]) == (proof["capture"], proof["completeness"])
        assert set(proof["reasons"]) <= set(report["reasons"])


@pytest.mark.parametrize(("limit", "capture"), [("0", "cursor"), ("1000000000", "xmin")])
def test_auto_takes_what_doctor_says_it_will(pair: Pair, limit: str, capture: str) -> None:
    sql(pair.source, "CREATE INDEX ON kept (deleted_at)")
    args = ("--table", "kept", "--xmin-max-bytes", limit)
    assert _doctor(pair, *args)[1]["public.kept"]["capture"] == capture
    pair.json("run", *args)
    assert pair.json("run", *args)["capture"] == capture


def test_looking_changes_nothing_and_holds_nothing(pair: Pair) -> None:
    relations = "SELECT count(*), sum(relpages) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    before = sql(pair.source, relations)
    _doctor(pair)
    assert sql(pair.source, relations) == before
    assert sql(pair.target, "SELECT 1 FROM pg_namespace WHERE nspname = '_rowferry'") == []


def test_whoever_holds_the_oldest_transaction_is_named(pair: Pair) -> None:
    with psycopg.connect(pair.source, application_name="nightly report") as holder:
        holder.execute("SELECT txid_current()")
        found, _ = _doctor(pair, "--table", "kept")
        assert found["oldest"]["application"] == "nightly report"
        assert found["oldest"]["pid"] == holder.info.backend_pid
        told = pair.run("doctor", "--table", "kept").stdout
        assert f"process {holder.info.backend_pid} (postgres, nightly report)" in told


def test_a_user_without_rights_learns_which_are_missing(pair: Pair, servers: Server) -> None:
    sql(pair.source, "DROP ROLE IF EXISTS stranger")
    sql(pair.source, "CREATE ROLE stranger LOGIN")
    try:
        as_stranger = Pair(source=pair.source.replace("postgres@", "stranger@", 1), target=pair.target)
        found, tables = _doctor(as_stranger, "--table", "kept")
        assert "no-read-all-stats" in _rules(found)
        assert "no-select" in _rules(tables["public.kept"])
    finally:
        sql(pair.source, "DROP ROLE stranger")


def test_row_security_that_applies_is_seen(pair: Pair) -> None:
    sql(pair.source, "DROP ROLE IF EXISTS partly")
    sql(pair.source, "CREATE ROLE partly LOGIN; GRANT SELECT ON kept TO partly")
    sql(pair.source, "ALTER TABLE kept ENABLE ROW LEVEL SECURITY")
    try:
        as_partly = Pair(source=pair.source.replace("postgres@", "partly@", 1), target=pair.target)
        assert "row-security" in _rules(_doctor(as_partly, "--table", "kept")[1]["public.kept"])
    finally:
        sql(pair.source, "DROP OWNED BY partly; DROP ROLE partly")


def test_the_target_is_looked_at_when_it_is_named(pair: Pair) -> None:
    found, _ = _doctor(pair, "--table", "kept")
    assert found["target"]["can_create_schema"] and not found["target"]["control_schema_exists"]
    pair.json("run", "--table", "kept")
    found, _ = _doctor(pair, "--table", "kept")
    assert found["target"]["control_schema_exists"] and found["target"]["control_tables"] == 2


def test_the_terminal_shows_a_row_for_each_table_and_no_more_than_the_limit(pair: Pair) -> None:
    told = pair.run("doctor").stdout
    for words in ("PostgreSQL 1", "primary", "public.kept", "id (primary key)", "proven", "cursor modified_at"):
        assert words in told, told
    limited = pair.run("doctor", "--limit", "1").stdout
    assert "public.kept" in limited and "public.keyless" not in limited


def test_doctor_works_without_a_target(pair: Pair) -> None:
    done = pair.run("doctor", "--table", "kept", ROWFERRY_TARGET="")
    assert done.returncode == 0, done.stderr
    assert "target:" not in done.stdout


def test_a_table_that_does_not_exist_is_a_configuration_error(pair: Pair) -> None:
    done = pair.run("doctor", "--table", "nowhere")
    assert done.returncode == 2
    assert "nowhere" in done.stderr
