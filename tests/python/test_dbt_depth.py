"""What a manifest adds to a message, on manifests written for the purpose; test_dbt_diffs has real ones."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from rowferry import diagnose
from rowferry.diagnosis import Diagnosis, plain_sql
from rowferry.diagnosis.dbt_project import nearest


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dbt_project.yml").write_text("name: shop\nvars: {lookback_days: 3}\n")
    (tmp_path / "target").mkdir()
    return tmp_path


def _node(root: Path, path: str, raw: str, compiled: str | None = None, kind: str = "model", **more: Any) -> dict[str, Any]:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(raw)
    name = Path(path).stem
    return {
        "unique_id": f"{kind}.shop.{name}", "name": name, "resource_type": kind, "package_name": "shop", "original_file_path": path,
        "raw_code": raw.strip(), "compiled_code": compiled or raw, "relation_name": f'"w"."main"."{name}"', "depends_on": {"nodes": [], "macros": []},
        "config": {"materialized": "table"}, **more,
    }


def _manifest(*nodes: dict[str, Any], adapter: str = "postgres", **more: Any) -> dict[str, Any]:
    named = {node["unique_id"]: node for node in nodes}
    return {"metadata": {"adapter_type": adapter, "project_name": "shop"}, "nodes": named, "macros": {}, **more}


def _one(root: Path, log: str, manifest: dict[str, Any]) -> Diagnosis:
    (diagnosis,) = diagnose(log, manifest=manifest, target_dir=root / "target")
    return diagnosis


def _patched(root: Path, diagnosis: Diagnosis) -> None:
    assert diagnosis.diff
    done = subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=root, input=diagnosis.diff, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout


ZERO = "Database Error in model {0} (models/{0}.sql)\n  {1}\n  compiled code at target/compiled/shop/models/{0}.sql"


@pytest.mark.parametrize(
    ("adapter", "message", "raw", "compiled", "fixed"),
    [
        ("postgres", "division by zero", "select a::numeric / b as r from {{ ref('t') }}", "select a::numeric / b as r from w.t", "select a::numeric / nullif(b, 0) as r from {{ ref('t') }}"),
        ("snowflake", "100051 (22012): Division by zero", "SELECT V:A::INT / B AS R -- a // b\nFROM {{ ref('t') }}", "SELECT V:A::INT / B AS R -- a // b\nFROM w.t", "SELECT V:A::INT / NULLIF(B, 0) AS R -- a // b\nFROM {{ ref('t') }}"),
        ("bigquery", "division by zero: 5 / 0", "select `a b` / b as r from {{ ref('t') }}", "select `a b` / b as r from `p`.`d`.`t`", "select `a b` / nullif(b, 0) as r from {{ ref('t') }}"),
        ("redshift", "division by zero", "select sum(a) / count(b) as r from {{ ref('t') }}", "select sum(a) / count(b) as r from w.t", "select case when count(b) > 0 then sum(a) / count(b) else null end as r from {{ ref('t') }}"),
    ],
)
def test_a_division_is_found_and_guarded_in_each_dialect(project: Path, adapter: str, message: str, raw: str, compiled: str, fixed: str) -> None:
    found = _one(project, ZERO.format("m", message), _manifest(_node(project, "models/m.sql", raw, compiled), adapter=adapter))
    assert found.title.startswith("division by zero in models/m.sql:1: ")
    assert found.notes[0].endswith("the only one without a guard")
    _patched(project, found)
    assert (project / "models/m.sql").read_text() == fixed


def test_several_divisions_are_listed_with_the_likeliest_first_and_all_are_guarded(project: Path) -> None:
    raw = "select\n    a / ratio as one,\n    a / (b - c) as two,\n    a / nullif(d, 0) as three,\n    a / e as four\nfrom {{ ref('t') }}\nwhere e > 0\n"
    found = _one(project, ZERO.format("m", "division by zero"), _manifest(_node(project, "models/m.sql", raw, raw.replace("{{ ref('t') }}", "w.t"))))
    assert [note.split(" ")[0] for note in found.notes] == ["models/m.sql:3:", "models/m.sql:2:", "models/m.sql:5:"]
    assert found.notes[0].endswith("the likeliest of 3 without a guard") and "before it filters" in found.notes[2]
    _patched(project, found)
    assert (project / "models/m.sql").read_text().count("nullif(") == 4


def test_a_division_in_an_ephemeral_model_is_found_in_its_own_file(project: Path) -> None:
    ephemeral = _node(project, "models/e.sql", "select\n  a / b as r\nfrom {{ ref('t') }}", config={"materialized": "ephemeral"})
    compiled = "with __dbt__cte__e as (\nselect\n  a / b as r\nfrom w.t\n) select r from __dbt__cte__e"
    model = _node(project, "models/m.sql", "select r from {{ ref('e') }}", compiled, depends_on={"nodes": ["model.shop.e"], "macros": []})
    found = _one(project, ZERO.format("m", "division by zero"), _manifest(ephemeral, model))
    assert found.title == "division by zero in models/e.sql:2: a / b"


def test_a_division_in_a_view_that_the_model_reads_is_found_there_and_one_in_a_table_is_not_looked_for(project: Path) -> None:
    view = _node(project, "models/v.sql", "select a / b as r from t", config={"materialized": "view"}, depends_on={"nodes": ["model.shop.built"], "macros": []})
    table = _node(project, "models/built.sql", "select c / d as r from t")
    model = _node(project, "models/m.sql", "select r from {{ ref('v') }}", depends_on={"nodes": ["model.shop.v"], "macros": []})
    found = _one(project, ZERO.format("m", "division by zero"), _manifest(view, table, model))
    assert found.title == "division by zero in models/v.sql:1: a / b" and len(found.notes) == 1


@pytest.mark.parametrize(
    ("call", "guarded"),
    [
        ("utils.ratio('a', 'b')", "utils.ratio('a', 'nullif(b, 0)')"),
        ("utils.ratio(d='b', n=\"a\")", "utils.ratio(d='nullif(b, 0)', n=\"a\")"),
        ("utils.ratio('a', d)", None),  # what the variable holds stands elsewhere
    ],
)
def test_a_macro_of_a_package_is_named_and_what_the_model_hands_to_it_is_guarded(project: Path, call: str, guarded: str | None) -> None:
    macro = {"name": "ratio", "package_name": "utils", "original_file_path": "macros/ratio.sql", "macro_sql": "{% macro ratio(n, d=1) %}{{ n }} / {{ d }}{% endmacro %}"}
    raw = f"select {{{{ {call} }}}} as r, 'b' as b from t"
    model = _node(project, "models/m.sql", raw, "select a / b as r, 'b' as b from t", depends_on={"nodes": [], "macros": ["macro.utils.ratio"]})
    found = _one(project, ZERO.format("m", "division by zero"), _manifest(model, macros={"macro.utils.ratio": macro}))
    assert any("dbt_packages/utils/macros/ratio.sql is a package's" in note for note in found.notes)
    if guarded is None:
        assert found.diff is None
        return
    _patched(project, found)
    assert (project / "models/m.sql").read_text() == raw.replace(call, guarded)


def test_what_jinja_put_together_is_shown_in_the_compiled_sql(project: Path) -> None:
    model = _node(project, "models/m.sql", "{% set r = 'a' ~ '/' ~ 'b' %}select\n {{ r }} as r from t", "select\n a/b as r from t")
    found = _one(project, ZERO.format("m", "division by zero"), _manifest(model))
    assert found.title == "division by zero in line 2 of the compiled SQL of m: a/b" and found.diff is None


def test_a_model_without_a_division_says_so(project: Path) -> None:
    found = _one(project, ZERO.format("m", "division by zero"), _manifest(_node(project, "models/m.sql", "select a from t")))
    assert found.diff is None and "m has no division without a guard" in found.notes[0]


def test_without_artifacts_it_says_what_to_give(project: Path) -> None:
    (found,) = diagnose(ZERO.format("m", "division by zero"))
    assert "--target-dir" in found.notes[0]


def test_without_sqlglot_the_cause_stays_and_the_note_says_what_to_install(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sqlglot.dialects.dialect", None)
    plain_sql._reading.cache_clear()
    found = _one(project, ZERO.format("m", "division by zero"), _manifest(_node(project, "models/m.sql", "select a / b from t")))
    assert found.cause == "division_by_zero" and 'pip install "rowferry[diagnose]"' in found.notes[-1]


REF = "Compilation Error\n  Model 'model.shop.m' (models/m.sql) depends on a {} named '{}' which was not found"


def test_an_unknown_ref_becomes_the_nearest_name(project: Path) -> None:
    orders, model = _node(project, "models/stg_shop__orders.sql", "select 1 as a"), _node(project, "models/m.sql", "select a from {{ ref('stg_shop_orders') }}")
    found = _one(project, REF.format("node", "stg_shop_orders"), _manifest(orders, model))
    assert found.fix == "Write stg_shop__orders, if that is meant."
    _patched(project, found)
    assert (project / "models/m.sql").read_text() == "select a from {{ ref('stg_shop__orders') }}"


def test_without_a_manifest_the_files_have_the_names(project: Path) -> None:
    _node(project, "models/orders.sql", "select 1 as a")
    found = _one(project, REF.format("node", "order"), {})
    assert "nearest model: orders" in found.notes


def test_without_a_manifest_a_file_of_that_name_is_said_to_be_there(project: Path) -> None:
    _node(project, "models/old.sql", "{{ config(enabled=false) }} select 1 as a")
    found = _one(project, REF.format("node", "old"), {})
    assert found.diff is None and any(note.startswith("there is a file of old: ") for note in found.notes)
    assert not any("manifest" in note for note in found.notes)


@pytest.mark.parametrize("given", [True, False])
def test_who_gave_the_project_is_not_asked_for_it(project: Path, given: bool) -> None:
    (found,) = diagnose(REF.format("source", "crm.orders"), target_dir=project / "target" if given else None)
    assert any("give --target-dir" in note for note in found.notes) is not given


def test_an_unknown_source_becomes_the_nearest_one(project: Path) -> None:
    source = {"unique_id": "source.shop.crm.orders", "resource_type": "source", "source_name": "crm", "name": "orders"}
    model = _node(project, "models/m.sql", "select a from {{ source('crm', 'order') }} -- order")
    found = _one(project, REF.format("source", "crm.order"), _manifest(model, sources={source["unique_id"]: source}))
    _patched(project, found)
    assert (project / "models/m.sql").read_text() == "select a from {{ source('crm', 'orders') }} -- order"


@pytest.mark.parametrize(
    ("message", "near"),
    [
        ("Compilation Error in model m (models/m.sql)\n  'cent' is undefined. This can happen when calling a macro that does not exist.", "cents"),
        ("Compilation Error in model m (models/m.sql)\n  Required var 'lookback_day' not found in config:\n  Vars supplied to m = {}", "lookback_days"),
    ],
)
def test_an_unknown_macro_or_variable_becomes_the_nearest_one(project: Path, message: str, near: str) -> None:
    model = _node(project, "models/m.sql", "select {{ cent('a') }} + {{ var('lookback_day') }} as a from t")
    found = _one(project, message, _manifest(model, macros={"macro.shop.cents": {"name": "cents"}}))
    assert found.captured["nearest"] == near
    _patched(project, found)
    assert near in (project / "models/m.sql").read_text()


def test_a_cycle_is_shown_with_the_files(project: Path) -> None:
    a, b = _node(project, "models/a.sql", "select 1 from {{ ref('b') }}"), _node(project, "models/b.sql", "select 1 from {{ ref('a') }}")
    found = _one(project, "Encountered an error:\nFound a cycle: model.shop.a --> model.shop.b --> model.shop.a", _manifest(a, b))
    assert "each reads the next: a (models/a.sql) -> b (models/b.sql) -> a (models/a.sql)" in found.notes


def test_keys_that_come_twice_are_asked_for_by_the_model_s_own_sql(project: Path) -> None:
    config = {"materialized": "incremental", "unique_key": ["id", "day"]}
    model = _node(project, "models/m.sql", "select id, day, updated_at from {{ ref('t') }}", "select id, day, updated_at from w.t where kind = 'x'", config=config)
    found = _one(project, ZERO.format("m", "100090 (42P18): Duplicate row detected during DML action"), _manifest(model, adapter="snowflake"))
    assert found.cause == "duplicate_merge_keys"
    assert found.captured["query"] == "select id, day, count(*) as n_rows\nfrom (\nselect id, day, updated_at from w.t where kind = 'x'\n) as batch\ngroup by id, day\nhaving count(*) > 1\norder by n_rows desc"
    assert "partition by id, day order by updated_at desc" in found.fix


def test_a_column_that_is_gone_keeps_its_name_in_what_the_model_returns(project: Path) -> None:
    raw = "with x as (\n    select o.total as total, o.id\n    from {{ ref('t') }} as o\n    where o.total > 0\n)\nselect x.total, id from x\n"
    parent = _node(project, "models/t.sql", "select id, total_cents from u")
    model = _node(project, "models/m.sql", raw, depends_on={"nodes": ["model.shop.t"], "macros": []})
    found = _one(project, ZERO.format("m", "column o.total does not exist"), _manifest(parent, model))
    _patched(project, found)
    after = (project / "models/m.sql").read_text()
    assert after == raw.replace("o.total as total", "o.total_cents as total").replace("o.total > 0", "o.total_cents > 0")


@pytest.mark.parametrize(
    ("name", "known", "best"),
    [("usr_id", ["order_id", "user_id"], "user_id"), ("TOTAL_AMOUNT", ["amount_total", "total"], "amount_total"), ("createdAt", ["created_at", "updated_at"], "created_at")],
)
def test_the_nearest_name_is_one_that_people_would_choose(name: str, known: list[str], best: str) -> None:
    assert nearest(name, known)[0] == best


def test_a_name_like_none_has_no_nearest() -> None:
    assert nearest("zebra", ["order_id", "user_id"]) == []


def test_what_postgresql_takes_for_the_column_that_was_meant_is_heard(project: Path) -> None:
    log = ZERO.format("m", 'column "totl" does not exist\n  LINE 2: select totl\n                 ^\n  HINT:  Perhaps you meant to reference the column "t.total_cents" or the column "t.total".')
    found = _one(project, log, _manifest(_node(project, "models/m.sql", "select totl as a from {{ ref('t') }}")))
    assert found.captured["nearest"].split(", ")[0] == "total"


# ---- whether the source has the rows too ----


def _of_failed_test(root: Path, raw: str, kind: str, column: str, adapter: str = "postgres", where: str | None = None) -> Diagnosis:
    source = {"unique_id": "source.shop.crm.orders", "resource_type": "source", "source_name": "crm", "name": "orders", "schema": "crm", "relation_name": '"crm"."orders"'}
    model = _node(root, "models/m.sql", raw.format("{{ source('crm', 'orders') }}"), raw.format("crm.orders"), depends_on={"nodes": [source["unique_id"]], "macros": []})
    arguments = {"values": ["a", "b"]} if kind == "accepted_values" else {}
    test = _node(
        root, "models/a_test.sql", "select 1", "select 1", kind="test", column_name=column, attached_node="model.shop.m",
        test_metadata={"name": kind, "kwargs": {"column_name": column, "arguments": arguments}}, config={"where": where},
        depends_on={"nodes": ["model.shop.m"], "macros": []},
    )
    manifest = _manifest(model, test, adapter=adapter, sources={source["unique_id"]: source})
    return _one(root, "Failure in test a_test (models/m.yml)\n  Got 2 results, configured to fail if != 0", manifest)


@pytest.mark.parametrize(
    ("raw", "column", "asked"),
    [
        ("select id from {}", "id", 'select * from "crm"."orders" where id is null'),
        ("select * from {}", "id", 'select * from "crm"."orders" where id is null'),
        ("with o as (select * from {}), r as (select o.n as id from o) select * from r", "id", 'select * from "crm"."orders" where n is null'),
        ('select "orderId" as id from {}', "id", 'select * from "crm"."orders" where "orderId" is null'),
        ("select coalesce(b, a) as id from {}", "id", 'select * from "crm"."orders" where b is null'),
    ],
)
def test_the_source_is_asked_by_the_name_that_the_column_has_there(project: Path, raw: str, column: str, asked: str) -> None:
    assert _of_failed_test(project, raw, "not_null", column).captured["source_query"] == asked


def test_values_that_the_model_changes_are_listed_as_the_source_has_them(project: Path) -> None:
    plain = _of_failed_test(project, "select status from {}", "accepted_values", "status")
    assert "where status not in ('a', 'b')" in plain.captured["source_query"]
    changed = _of_failed_test(project, "select lower(s) as status from {}", "accepted_values", "status")
    assert changed.captured["source_query"] == 'select s, count(*) as n_rows from "crm"."orders" group by s order by n_rows desc'


def test_the_rows_of_a_test_with_a_filter_are_those_within_it(project: Path) -> None:
    found = _of_failed_test(project, "select id from {}", "not_null", "id", where="day > 3")
    assert found.captured["query"] == 'select * from (select * from "w"."main"."m" where day > 3) as tested where id is null'


def test_a_renamed_column_is_quoted_where_the_dialect_needs_it_and_without_a_likely_name_those_there_are_listed(project: Path) -> None:
    parent = _node(project, "models/t.sql", "x", 'with o as (select "userId", total from u) select * from o')
    model = _node(project, "models/m.sql", 'select "user_Id" from {{ ref(\'t\') }}', depends_on={"nodes": ["model.shop.t"], "macros": []})
    _patched(project, _one(project, ZERO.format("m", 'column "user_Id" does not exist'), _manifest(parent, model)))
    assert (project / "models/m.sql").read_text() == 'select "userId" as "user_Id" from {{ ref(\'t\') }}'
    found = _one(project, ZERO.format("m", 'column "zebra" does not exist'), _manifest(parent, model))
    assert found.diff is None and any(note.endswith("has userId, total") for note in found.notes)


def test_what_duckdb_lists_is_no_likely_name(project: Path) -> None:
    log = ZERO.format("m", 'Binder Error: Referenced column "amount" not found in FROM clause!\nCandidate bindings: "status"')
    found = _one(project, log, _manifest(_node(project, "models/m.sql", "select amount as a from {{ ref('t') }}"), adapter="duckdb"))
    assert found.diff is None
