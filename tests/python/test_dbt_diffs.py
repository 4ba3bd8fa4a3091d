"""A real dbt build whose models fail in many ways: each is diagnosed, each proposed diff applies, and the model then runs."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

from rowferry import diagnose
from rowferry.diagnosis import Diagnosis

PROJECT = Path(__file__).with_name("broken_dbt")
TABLES = """
    create table grown as select 1 as order_id, 5.0::double as amount;
    create table merged(order_id bigint primary key, amount double);
    create table payments as select 1 as id, 5.0::double as amount_total;
"""
DIVISIONS = {
    "div_branch": ("macros/share.sql:2", "{{ n }} / {{ d }}", "{{ n }} / nullif({{ d }}, 0)"),
    "div_hook": ("models/div_hook.sql:1", "amount / items", "amount / nullif(items, 0)"),
    "div_of_ephemeral": ("models/div_nested.sql:2", "amount / nullif(order_id, 0) / (order_id - 1)", "amount / nullif(order_id, 0) / nullif(order_id - 1, 0)"),
    "div_count": ("models/div_count.sql:5", "sum(amount) / count(status)", "case when count(status) > 0 then sum(amount) / count(status) else null end"),
    "div_ctes": ("models/div_ctes.sql:18", "sum(half) over (partition by order_id) / count(case when items > 9 then 1 end) over (partition by order_id)", None),
    "div_literal": ("models/div_literal.sql:1", "amount / items", "amount / nullif(items, 0)"),
    "div_loop": ("models/div_loop.sql:4", "amount / {{ c }}", "amount / nullif({{ c }}, 0)"),
    "div_macro": ("macros/ratio.sql:4", "{{ n }} / {{ d }}", "{{ n }} / nullif({{ d }}, 0)"),
    "mod_int": ("models/mod_int.sql:1", "ORDER_ID % ITEMS", None),
    "on_view": ("models/v_share.sql:2", "100.0 * amount / (items - items)", "100.0 * amount / nullif(items - items, 0)"),
}
MENDED = {*DIVISIONS, "contracted", "drifted", "from_source", "grown"}


@dataclass(frozen=True)
class Built:
    root: Path
    diagnoses: dict[str, Diagnosis]
    states: dict[str, str]
    artifacts: dict[str, dict[str, Any]]


def _artifacts(root: Path) -> dict[str, dict[str, Any]]:
    return {name: json.loads((root / f"target/{name}.json").read_text()) for name in ("run_results", "manifest")}


def _states(artifacts: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {result["unique_id"].split(".")[2]: result["status"] for result in artifacts["run_results"]["results"]}


def _dbt(root: Path, *arguments: str) -> None:
    command = [Path(sys.executable).with_name("dbt"), "--quiet", *arguments, "--profiles-dir", "."]
    subprocess.run(command, cwd=root, env={**os.environ, "DO_NOT_TRACK": "1"}, capture_output=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("dbt") / "broken"
    shutil.copytree(PROJECT, root)
    with duckdb.connect(root / "warehouse.duckdb") as warehouse:
        warehouse.execute(TABLES)
    _dbt(root, "build")
    artifacts = _artifacts(root)
    found = diagnose(target_dir=root / "target")
    return Built(root, {str(d.node).split(".")[2]: d for d in found}, _states(artifacts), artifacts)


@pytest.fixture(scope="module")
def mended(built: Built) -> Built:
    """Each diff applied, one after the other, and what had failed built again."""
    for diagnosis in built.diagnoses.values():
        if diagnosis.diff:
            done = subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=built.root, input=diagnosis.diff.encode(), capture_output=True)
            assert done.returncode == 0, (diagnosis.diff, done.stdout)
    _dbt(built.root, "run", "--exclude", "merged", "staged", "statuses")
    artifacts = _artifacts(built.root)
    return Built(built.root, built.diagnoses, _states(artifacts), artifacts)


def test_each_diff_that_is_proposed_is_one_of_those_applied_below(built: Built) -> None:
    assert {name for name, diagnosis in built.diagnoses.items() if diagnosis.diff} == MENDED


def test_every_failure_has_a_cause(built: Built) -> None:
    failed = {name for name, state in built.states.items() if state in ("error", "fail")}
    assert MENDED < failed and failed == set(built.diagnoses)
    assert {d.cause for d in built.diagnoses.values()} == {
        "dbt_contract", "dbt_schema_out_of_sync", "dbt_test_failed", "division_by_zero", "missing_column", "unique_violation"
    }


@pytest.mark.parametrize("model", DIVISIONS)
def test_a_division_by_zero_is_traced_to_the_line_that_has_it(built: Built, model: str) -> None:
    place, expression, guard = DIVISIONS[model]
    diagnosis = built.diagnoses[model]
    assert diagnosis.title == f"division by zero in {place}: {expression}"
    assert guard is None or diagnosis.fix == f"Guard the denominator: {guard}"
    named = model != "div_ctes"  # of a window's arguments DuckDB writes the numbers of its columns
    assert diagnosis.notes[0].endswith("the message names it" if named else "the likeliest of 2 without a guard")


def test_what_is_guarded_is_not_changed(built: Built) -> None:
    changed = [line for line in str(built.diagnoses["div_ctes"].diff).splitlines() if line.startswith("-") and not line.startswith("---")]
    assert [line.split(" as ")[-1] for line in changed] == ["hardly,", "rate"]


@pytest.mark.parametrize("model", sorted(MENDED))
def test_the_diff_applies_and_the_model_then_runs(mended: Built, model: str) -> None:
    assert mended.diagnoses[model].diff
    assert mended.states[model] == "success"


def test_a_column_that_was_renamed_is_found_where_the_model_reads(built: Built) -> None:
    assert "+    user_id as usr_id," in str(built.diagnoses["drifted"].diff).splitlines()
    assert "nearest there: user_id (of orders)" in built.diagnoses["drifted"].notes
    at_source = built.diagnoses["from_source"]
    assert at_source.captured["nearest"] == "amount_total"
    assert any("rowferry state show" in note and "--table payments" in note for note in at_source.notes)


def test_the_load_record_that_met_a_drift_is_named(built: Built) -> None:
    record = {"load_id": 17, "report": {"table": "public.payments", "drift": [{"kind": "column_dropped", "column": "total_amount", "policy": "ignore"}]}}
    found = diagnose(**built.artifacts, task={"load_records": [record]})
    (at_source,) = [d for d in found if d.node == "model.broken.from_source"]
    assert "load 17 of public.payments met it: column dropped total_amount (policy ignore)" in at_source.notes


def test_the_queries_show_the_rows_of_failed_tests_and_of_repeated_keys(built: Built) -> None:
    """Run against the warehouse: each gives rows, at the source too where it has them."""
    with duckdb.connect(built.root / "warehouse.duckdb") as warehouse:
        for node, diagnosis in built.diagnoses.items():
            if diagnosis.cause in ("dbt_test_failed", "unique_violation"):
                assert warehouse.execute(diagnosis.captured["query"]).fetchall(), node
            if diagnosis.cause == "dbt_test_failed":
                assert '"orders"' in diagnosis.captured["source_query"]
                assert warehouse.execute(diagnosis.captured["source_query"]).fetchall(), node
        accepted = next(d for n, d in built.diagnoses.items() if n.startswith("accepted"))
        assert "the model changes status on its way" in accepted.notes[1]  # so that all of the source's values are listed
        assert ("odd", 1) in warehouse.execute(accepted.captured["source_query"]).fetchall()


def test_a_contract_says_which_columns_differ(built: Built) -> None:
    assert built.diagnoses["contracted"].captured["columns"] == "amount, status, user_id"
