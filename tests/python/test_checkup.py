from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rowferry import Job
from rowferry.checkup import XMIN_MAX_BYTES, Checkup, Proof, TableCheckup, judge, scan_seconds


def _column(name: str = "updated_at", role: str | None = "updated_at", **facts: Any) -> dict[str, Any]:
    column = {"name": name, "type": "timestamp with time zone", "not_null": True, "default": None}
    return {**column, "indexed": True, "by_clock": False, "role": role, "passes": True, **facts}


def _trigger(*events: str, sets: str = "updated_at") -> dict[str, Any]:
    facts = {"name": "touch", "when": "before", "enabled": True, "for_each_row": True}
    return {**facts, "events": ",".join(events), "function_sets": [sets]}


def _table(**facts: Any) -> dict[str, Any]:
    table = {
        "table": "public.orders",
        "kind": "table",
        "bytes": 400_000_000,
        "rows_estimate": 3_000_000,
        "keys": ["id"],
        "key_source": "primary key",
        "select": True,
        "row_security": False,
        "partitions": 0,
        "columns": [_column("id", None, type="bigint"), _column("deleted_at", "deleted_at", not_null=False)],
        "triggers": [],
    }
    return {**table, **facts}


def _facts(**facts: Any) -> dict[str, Any]:
    server = {
        "version": 150018,
        "in_recovery": False,
        "system": "7",
        "max_connections": 100,
        "connections": 7,
        "current_user": "reader",
        "is_superuser": False,
        "pg_read_all_stats": True,
    }
    return {"server": {**server, **facts.pop("server", {})}, "oldest": None, "tables": [], "target": None, **facts}


def _judged(server: dict[str, Any] | None = None, **facts: Any) -> TableCheckup:
    return judge(_facts(tables=[_table(**facts)], server=server or {})).tables[0]


def _by_cursor(server: dict[str, Any] | None = None, **facts: Any) -> Proof | None:
    proofs = {proof.capture: proof for proof in _judged(server, **facts).proofs}
    return proofs.get("cursor")


TOUCHED: dict[str, Any] = {"columns": [_column(by_clock=True)]}
"""A table whose cursor proves bounded."""


def _rules(found: Checkup | TableCheckup) -> set[str]:
    return {finding.rule for finding in found.findings}


def _losses(*triggers: dict[str, Any], **column: Any) -> str:
    (cursor,) = _judged(columns=[_column(**column)], triggers=list(triggers)).cursors
    return f"{cursor.set_by}: " + "; ".join(cursor.loses)


def test_a_plain_table_with_a_key_is_proven_and_has_nothing_to_complain_about() -> None:
    found = _judged()
    assert (found.capture, found.completeness) == ("xmin", "proven")
    assert not found.findings


def test_a_partitioned_table_is_proven_too() -> None:
    assert _judged(kind="partitioned table", partitions=3).completeness == "proven"


@pytest.mark.parametrize("kind", ["view", "materialized view", "foreign table"])
def test_what_keeps_no_row_versions_cannot_be_loaded(kind: str) -> None:
    found = _judged(kind=kind)
    assert (found.capture, found.completeness) == (None, None)
    assert "no-row-versions" in _rules(found)


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({"select": False}, "no-select"),
        ({"keys": [], "key_source": "none"}, "no-key"),
        ({"row_security": True}, "row-security"),
        ({"columns": [_column("r", None, type="regclass", passes=False)]}, "type"),
        ({"columns": [_column(indexed=False)]}, "cursor-index"),
    ],
)
def test_what_stands_in_the_way_of_a_table_is_found(facts: dict[str, Any], rule: str) -> None:
    assert rule in _rules(_judged(**facts))
    assert rule not in _rules(_judged())


def test_row_security_takes_the_proof_away() -> None:
    assert _judged(row_security=True).completeness == "best_effort"


def test_a_cursor_that_a_trigger_sets_on_every_insert_and_update_is_bounded() -> None:
    proof = _by_cursor(**TOUCHED)
    assert proof and (proof.completeness, proof.reasons) == ("bounded", ())


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"columns": [_column()]}, "row triggers on every INSERT and UPDATE"),
        ({"columns": [_column(type="timestamp without time zone", by_clock=True)]}, "with a time zone"),
        ({"row_security": True}, "row security"),
        ({"server": {"pg_read_all_stats": False}}, "pg_read_all_stats"),
        ({"server": {"in_recovery": True}}, "standby"),
    ],
)
def test_what_takes_the_bound_away_from_a_cursor_is_said(facts: dict[str, Any], words: str) -> None:
    proof = _by_cursor(**{**TOUCHED, **facts})
    assert proof and proof.completeness == "best_effort"
    (reason,) = proof.reasons
    assert words in reason


def test_a_superuser_sees_every_transaction() -> None:
    proof = _by_cursor({"pg_read_all_stats": False, "is_superuser": True}, **TOUCHED)
    assert proof and proof.completeness == "bounded"


@pytest.mark.parametrize(
    "columns", [[_column("id", None)], [_column("deleted_at", "deleted_at")], [_column(type="text")]]
)
def test_a_table_without_a_time_of_its_changes_has_no_capture_by_cursor(columns: list[dict[str, Any]]) -> None:
    assert _by_cursor(columns=columns) is None


def test_a_table_is_large_for_doctor_when_it_is_for_a_job() -> None:
    assert {f.name: f.default for f in dataclasses.fields(Job)}["xmin_max_bytes"] == XMIN_MAX_BYTES


def test_auto_takes_the_cursor_of_a_large_table_where_it_is_indexed_and_bounded() -> None:
    large = _judged(bytes=XMIN_MAX_BYTES + 1, **TOUCHED)
    assert (large.capture, large.completeness) == ("cursor", "bounded")
    assert _judged(bytes=XMIN_MAX_BYTES, **TOUCHED).capture == "xmin"
    assert judge(_facts(tables=[_table(**TOUCHED)]), xmin_max_bytes=1).tables[0].capture == "cursor"


@pytest.mark.parametrize(
    "facts", [{"columns": [_column(by_clock=True, indexed=False)]}, {"columns": [_column()]}, {"columns": []}]
)
def test_auto_stays_with_xmin_where_a_cursor_would_scan_or_prove_less_and_says_what_is_missing(
    facts: dict[str, Any],
) -> None:
    found = _judged(bytes=XMIN_MAX_BYTES + 1, **{**TOUCHED, **facts})
    assert (found.capture, found.completeness) == ("xmin", "proven")
    assert "large" in _rules(found)


def test_a_column_that_a_trigger_sets_on_insert_and_update_still_loses_rows_to_open_transactions() -> None:
    told = _losses(_trigger("insert", "update"))
    assert told.startswith("trigger: a transaction that was open")


def test_a_default_and_a_trigger_on_update_together_cover_both() -> None:
    assert _losses(_trigger("update"), default="now()").startswith("trigger: ")


def test_a_default_alone_does_not_fire_on_update() -> None:
    assert "does not fire on UPDATE" in _losses(default="now()")


def test_a_default_is_enough_for_the_time_of_the_insert() -> None:
    told = _losses(name="created_at", role="inserted_at", default="now()")
    assert told.startswith("default: ") and "does not fire" not in told


@pytest.mark.parametrize("fact", [{"enabled": False}, {"for_each_row": False}, {"when": "after"}])
def test_a_trigger_that_cannot_reach_the_row_does_not_count(fact: dict[str, Any]) -> None:
    assert _losses({**_trigger("insert", "update"), **fact}).startswith("application: ")


def test_a_trigger_that_sets_another_column_does_not_count() -> None:
    assert _losses(_trigger("insert", "update", sets="other")).startswith("application: no trigger sets it")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"not_null": False}, "may be NULL"),
        ({"type": "timestamp without time zone"}, "no time zone"),
        ({"type": "date"}, "resolution of a day"),
        ({}, "open during the last read"),
    ],
)
def test_why_a_cursor_loses_rows_is_said(facts: dict[str, Any], words: str) -> None:
    assert words in _losses(_trigger("insert", "update"), **facts)


def test_rows_that_are_not_deleted_are_no_loss_of_deleted_at() -> None:
    assert "NULL" not in _losses(name="deleted_at", role="deleted_at", not_null=False)


def test_a_server_in_order_has_no_findings() -> None:
    assert not judge(_facts()).findings


@pytest.mark.parametrize(
    ("facts", "rule"),
    [
        ({"server": {"in_recovery": True}}, "replica"),
        ({"server": {"pg_read_all_stats": False}}, "no-read-all-stats"),
        ({"server": {"connections": 81}}, "connections"),
    ],
)
def test_what_matters_about_the_source_is_found(facts: dict[str, Any], rule: str) -> None:
    assert _rules(judge(_facts(**facts))) == {rule}


@pytest.mark.parametrize(
    ("kind", "fix"), [("session", "pg_terminate_backend(7)"), ("prepared", "PREPARED"), ("slot", "drop the slot")]
)
def test_a_transaction_that_has_been_open_for_long_is_named_with_the_way_to_end_it(kind: str, fix: str) -> None:
    oldest = {"pid": 7, "user": "bob", "application": "psql", "state": "idle in transaction", "seconds": 700.0}
    oldest |= {"held_xmin_age": 12, "kind": kind}
    (finding,) = judge(_facts(oldest=oldest)).findings
    assert finding.rule == "long-transaction"
    assert fix in (finding.fix or "")
    assert not judge(_facts(oldest=oldest | {"seconds": 2.0})).findings


@pytest.mark.parametrize(
    ("facts", "rules"),
    [
        ({}, set()),
        ({"can_create_schema": False}, {"no-create"}),
        ({"can_create_schema": False, "control_schema_exists": True}, set()),
        ({"can_create_temp": False}, {"no-temp"}),
        ({"read_only": True}, {"read-only"}),
        ({"server_encoding": "LATIN1"}, {"encoding"}),
    ],
)
def test_what_a_target_lacks_is_found(facts: dict[str, Any], rules: set[str]) -> None:
    target = {"version": 180001, "current_user": "writer", "can_create_schema": True, "control_schema_exists": False}
    target |= {"control_tables": 0, "can_create_temp": True, "read_only": False, "server_encoding": "UTF8", **facts}
    assert _rules(judge(_facts(target=target))) == rules


def test_tables_come_largest_first_and_no_more_than_asked_for() -> None:
    tables = [_table(table=f"public.t{n}", bytes=n) for n in (1, 3, 2)]
    assert [t.table for t in judge(_facts(tables=tables), limit=2).tables] == ["public.t3", "public.t2"]


def test_the_scan_takes_as_long_as_its_bytes_and_its_rows() -> None:
    assert scan_seconds(400_000_000, 0, 100e6) == pytest.approx(4)
    assert scan_seconds(0, 10**7) == pytest.approx(0.7)
    assert judge(_facts(tables=[_table()]), bytes_per_second=100e6).tables[0].scan_seconds == pytest.approx(4.21)


def test_a_table_that_was_never_analyzed_has_an_estimate_by_its_bytes() -> None:
    found = _judged(rows_estimate=-1)
    assert (found.rows_estimate, found.scan_seconds) == (None, pytest.approx(2))
