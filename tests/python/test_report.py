from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from rowferry import Counts, Plan, Report, Verification, _native
from rowferry.report import Difference, Statement


def _properties(kind: str, *path: str) -> dict[str, Any]:
    schema = json.loads(_native.spec(kind))
    for name in path:
        schema = schema["properties"][name]
        if "$ref" in schema:
            schema = json.loads(_native.spec(kind))["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema["properties"]


def test_the_fields_of_a_report_are_the_properties_of_the_published_schema() -> None:
    assert {f.name for f in dataclasses.fields(Report)} == set(_properties("report"))


def test_the_fields_of_counts_are_the_properties_of_the_published_schema() -> None:
    for name in ("this_try", "run_total"):
        assert {f.name for f in dataclasses.fields(Counts)} == set(_properties("report", name))


def test_a_report_goes_to_json_and_back_unchanged(report: dict[str, Any]) -> None:
    found = Report.from_dict(report)
    assert found.to_dict() == report
    assert Report.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_the_parts_of_a_report_are_objects(report: dict[str, Any]) -> None:
    found = Report.from_dict({**report, "verification": {"result": "equal", "compared": 10, "equal": 10}})
    assert found.this_try.inserted == 7
    assert found.reasons == ("xmin sees no deletes",)
    assert found.verification and found.verification.equal == 10


def test_a_report_with_a_key_nobody_knows_is_refused(report: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="rows_lost"):
        Report.from_dict({**report, "rows_lost": 1})


def test_a_verification_is_true_only_when_nothing_differs() -> None:
    example = {"key": "(1)", "kind": "missing"}
    found = Verification.from_dict({"result": "different", "missing": 1, "examples": [example]})
    assert not found
    assert found.examples == (Difference(key="(1)", kind="missing"),)
    assert Verification.from_dict({"result": "equal", "pending": 3})


def test_a_plan_lists_its_statements_in_order() -> None:
    sent = [{"server": "source", "role": "read", "sql": "COPY"}, {"server": "target", "role": "merge", "sql": "INSERT"}]
    plan = Plan.from_dict(
        {
            "table": "public.a",
            "target_table": "raw_postgres.a",
            "capture": "xmin",
            "capture_reason": "a heap table",
            "first_load": True,
            "full_read": True,
            "mode": "append",
            "sweep": False,
            "completeness": "proven",
            "hard_deletes": "captured",
            "watermark": None,
            "watermark_held_by": None,
            "window": None,
            "estimate": {"rows": 3, "bytes": 8192},
            "statements": sent,
            "reasons": [],
        }
    )
    assert plan.statements == tuple(Statement(**s) for s in sent)
    assert plan.estimate.rows == 3
