"""`rowferry lint` on small projects: what each rule finds and what it leaves alone, and the project that ships."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from pathlib import Path

import pytest

from rowferry import cli
from rowferry.lint import RULES, fixes, lint
from rowferry.lint.processes import FILES_EACH, side_by_side

SHOP = Path(__file__).parents[2] / "airflow_plugins/airflow_rowferry/example_dags/dbt_shop"

UNIQUE = "models:\n  - name: {0}\n    columns:\n      - name: id\n        data_tests: [unique, not_null]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "dbt_project.yml").write_text("name: p\nprofile: p\nvars: {days: 7, none: 0}\n")
    (tmp_path / "profiles.yml").write_text("p:\n  target: d\n  outputs:\n    d:\n      type: postgres\n")
    return tmp_path


def _write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def _codes(root: Path, path: str, text: str, *ignore: str) -> list[tuple[str, int]]:
    _write(root, path, text)
    return [(f.code, f.line) for f in lint([root], ignore=("RF08", *ignore))]


def test_the_project_that_ships_is_clean() -> None:
    assert lint([SHOP]) == []


MODEL = "models/marts/sales/orders_daily.sql"


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select a / b as r from x", [("RF01", 1)]),
        ("select\n  1,\n  a % b as r from x", [("RF01", 3)]),
        ("select {{ round2('a / b') }} from x", [("RF01", 1)]),
        ("select a / {{ var('days') }} from x", []),
        ("select a / {{ var('none') }} from x", [("RF01", 1)]),
        ("select a / {{ var('other', 3) }} from x", []),
        ("select a / nullif(b, 0) from x", []),
        ("select a / b from x where b > 0", []),
        ("select '{{ 10 / 2 }}' as path, strftime(d, '%Y / %m') from x", []),
        ("select * from x", [("RF02", 1)]),
        ("select x.*, 1 as one from x", [("RF02", 1)]),
        ("with x as (\n  select\n    *\n  from y\n)\nselect a from x", [("RF02", 3)]),
        ("select count(*) as n, 2 * a from x", []),
        ("select a from x where exists (select * from y)", []),
        ("select a from x where d >= '2026-01-01'", [("RF03", 1)]),
        ("select a from x where d >= date '2026-01-01' -- '2025-01-01'", [("RF03", 1)]),
        ("select a from x where d >= to_date('20260101', 'YYYYMMDD')", [("RF03", 1)]),
        ("select make_date(2026, 1, 1) as d from x", [("RF03", 1)]),
        ("select a from x where d >= {{ since('2026-01-01') }}", [("RF03", 1)]),
        ("select a from x where d >= '{{ var('start', '2026-01-01') }}'", []),
        ("{{ config(begin='2026-01-01') }} select 'a-2026-01-01' as a, '20260101' as b from x", []),
        ("{{ config(post_hook=\"delete from {{ source('s', 't') }}\") }} select a from x", [("RF04", 1)]),
        ("{{ config(\n  pre_hook='update raw_postgres.orders set a = 1'\n) }} select a from x", [("RF04", 2)]),
        ("{{ config(pre_hook='TRUNCATE TABLE analytics.raw.orders') }} select a from x", [("RF04", 1)]),
        ("{{ config(schema='raw_shop') }} select a from x", [("RF04", 1)]),
        ("{{ config(post_hook='analyze raw.orders') }} select a from {{ source('s', 't') }}", []),
        ("{{ config(post_hook='delete from {{ this }}') }} select a from x -- delete from raw.orders", []),
        ("\n{{ config(materialized='incremental') }} select a from x", [("RF05", 2)]),
        ("{{ config(materialized='incremental', incremental_strategy='append') }} select a from x", []),
        ("{{ config(materialized='incremental', unique_key=['a', 'b']) }} select a from x", []),
        ("{{ config(materialized='incremental', unique_key='a') }} select a from x\nwhere u > (select max(u) from {{ this }})", [("RF06", 2)]),
        ("{{ config(materialized='incremental', unique_key='a') }} select a from x\nwhere u >= (\n select coalesce(max(u), {{ epoch() }}) from {{ this }})", [("RF06", 2)]),
        ("{{ config(materialized='incremental', unique_key='a') }} select a from x where u > (select max(u) - interval '3 days' from {{ this }})", []),
        ("{{ config(materialized='incremental', unique_key='a') }} select a from x where u > (select {{ dbt.dateadd('day', -3, 'max(u)') }} from {{ this }})", []),
        ("{{ config(materialized='incremental', unique_key='a') }} select a from x where _extracted_at > (select max(_extracted_at) from {{ this }})", []),
        ("select a from x where u > (select max(u) from {{ this }})", []),
        ("{{ config(enabled=false) }} select a / b from x", []),
        ("select a from x where d between '20260101' and '20260131' and b <> '20260101'", [("RF03", 1), ("RF03", 1)]),
        ("select {{ ref('a' }} from x", [("RF00", 1)]),
        ("select a from x\n{% if is_incremental() %} where b", [("RF00", 2)]),
        ("select a from x\nwhere b /* no end", [("RF00", 2)]),
        ("select 'no end", [("RF00", 1)]),
    ],
)
def test_a_model_is_told_what_is_wrong_with_it_and_where(project: Path, sql: str, found: list[tuple[str, int]]) -> None:
    assert _codes(project, MODEL, sql) == found


INCREMENTAL = "{{{{ config(materialized='incremental', unique_key='a') }}}}\n{}"


@pytest.mark.parametrize(
    ("sql", "lost"),
    [
        ("select a from x where u > coalesce((select max(u) from {{ this }}), {{ epoch() }})", True),
        ("select a from x where (select max(t.u) from {{ this }} as t) <= x.u", True),
        ("select a from x where u between (select max(u) from {{ this }}) and now()", True),
        ("select a from x join (select max(u) as last from {{ this }}) as m on x.u > m.last", True),
        ("with m as (select max(u) as last from {{ this }})\nselect a from x where u > (select last from m)", True),
        ("{% set last = run_query('select max(u) from ' ~ this) %}select a from x where u > '{{ last }}'", True),
        ("{% set q %}select max(u) from {{ this }}{% endset %}{% set last = run_query(q)[0] %}select a from x where u > '{{ last }}'", True),
        ("select a from x where u > (select max(u) from {{ this }}) - interval '2 days'", False),
        ("select a from x where u + interval '1 day' > (select max(u) from {{ this }})", False),
        ("select a from x join (select max(u) - interval '1 day' as last from {{ this }}) as m on x.u > m.last", False),
        ("with m as (select dateadd(day, -3, max(u)) as last from {{ this }})\nselect a from x where u > (select last from m)", False),
        ("select a from x where u > (select max(u) from {{ ref('other') }})", False),
        ("select a from x where exists (select 1 from {{ this }} as t where t.a = x.a and t.u < x.u)", False),
        ("select a from x where u > dateadd('hour', -6, (select max(u) from {{ this }}))", False),
    ],
)
def test_rows_that_come_late_are_lost_however_the_newest_is_asked_for(project: Path, sql: str, lost: bool) -> None:
    assert [code for code, _ in _codes(project, MODEL, INCREMENTAL.format(sql))] == (["RF06"] if lost else [])


@pytest.mark.parametrize(
    ("path", "sql", "named"),
    [
        ("models/staging/crm/stg_crm__orders.sql", "select a from {{ source('crm', 'orders') }}", True),
        ("models/staging/stg_crm_orders.sql", "select a from x", False),
        ("models/staging/orders.sql", "select a from x", False),
        ("models/staging/stg_crm__orders.sql", "select a from {{ source('shop', 'orders') }}", False),
        ("models/stg_orders.sql", "select a from x", False),
        ("models/intermediate/int_orders_joined.sql", "select a from x", True),
        ("models/intermediate/orders_joined.sql", "select a from x", False),
        ("models/marts/sales/orders_daily.sql", "select a from x", True),
        ("models/marts/sales/orders.sql", "select a from x", False),
        ("models/marts/orders_daily.sql", "select a from x", False),
        ("models/anything.sql", "select a from x", True),
        ("models/staging/crm/base/base_crm__orders_us.sql", "select a from x", True),
        ("models/staging/crm/base_crm__orders_us.sql", "select a from x", False),
    ],
)
def test_names_follow_the_convention_of_their_folder(project: Path, path: str, sql: str, named: bool) -> None:
    assert _codes(project, path, sql) == ([] if named else [("RF07", 1)])


def test_a_macro_is_looked_into_where_it_is_called(project: Path) -> None:
    _write(project, "macros/safe.sql", "{% macro safe(x) -%} nullif({{ x }}, 0) {%- endmacro %}\n{% macro risky(x) %}coalesce({{ x }}, 0){% endmacro %}")
    sql = "select a / {{ safe('b') }} as one, a / {{ risky('b') }} as other from x"
    _write(project, MODEL, sql)
    (finding,) = lint([project], ignore=["RF08"])
    assert finding.message.startswith("a / {{ risky('b') }}")


def test_a_macro_itself_must_guard(project: Path) -> None:
    assert _codes(project, "macros/ratio.sql", "{# a ratio #}\n{% macro ratio(n, d) %}\n{{ n }} / {{ d }}\n{% endmacro %}") == [("RF01", 3)]


def test_what_dbt_compiled_shows_what_jinja_wrote(project: Path) -> None:
    sql = "{% set d = 'nullif(b, 0)' %}select a / {{ d }} as r from x"
    assert _codes(project, MODEL, sql) == [("RF01", 1)]
    node = {"original_file_path": MODEL, "resource_type": "model", "raw_code": sql, "compiled_code": "select a / nullif(b, 0) as r from x"}
    _write(project, "target/manifest.json", json.dumps({"metadata": {"adapter_type": "duckdb"}, "nodes": {"model.p.m": node}}))
    assert _codes(project, MODEL, sql) == []
    assert _codes(project, MODEL, sql + " -- changed since") == [("RF01", 1)]


@pytest.mark.parametrize(
    ("yaml", "found"),
    [
        ("", ["no test says"]),
        ("models:\n  - name: orders_daily\n", ["no test says"]),
        (UNIQUE.format("orders_daily"), []),
        ("models:\n  - name: orders_daily\n    tests:\n      - dbt_utils.unique_combination_of_columns:\n          combination_of_columns: [a, b]\n", []),
        ("models:\n  - name: orders_daily\n    constraints:\n      - {type: primary_key, columns: [a]}\n", []),
        (UNIQUE.format("another"), ["no test says"]),
    ],
)
def test_every_model_has_a_test_that_its_rows_are_unique(project: Path, yaml: str, found: list[str]) -> None:
    _write(project, MODEL, "select a from x")
    _write(project, "models/m.yml", yaml)
    assert [f.message[:12] for f in lint([project], select=["RF08"])] == found


def test_a_surrogate_key_and_a_merge_key_are_tested_for_both(project: Path) -> None:
    _write(project, "models/stg_a__b.sql", "select\n  {{ dbt_utils.generate_surrogate_key(['a']) }} as a_sk\nfrom x")
    _write(project, "models/int_c.sql", "\n{{ config(materialized='incremental', unique_key='c') }} select c, d from x")
    _write(project, "models/m.yml", "models:\n  - name: stg_a__b\n    columns: [{name: a_sk, data_tests: [unique]}]\n  - name: int_c\n    columns: [{name: d, data_tests: [unique]}]\n")
    told = [(f.path, f.line, f.message) for f in lint([project], select=["RF08"])]
    assert told == [
        ("models/int_c.sql", 2, "the merge key c has no test unique and not_null"),
        ("models/stg_a__b.sql", 2, "a_sk has no test not_null"),
    ]


def test_settings_of_the_project_and_of_yaml_count_for_a_model(project: Path) -> None:
    _write(project, "models/a/int_one.sql", "select a from x")
    _write(project, "models/b/int_two.sql", "select a from x")
    _write(project, "models/b/m.yml", "models:\n  - name: int_two\n    config: {materialized: incremental}\n")
    with (project / "dbt_project.yml").open("a") as file:
        file.write("models:\n  p:\n    a:\n      +materialized: incremental\non-run-end:\n  - \"delete from raw.orders\" # never\n")
    told = [(f.path, f.line, f.code) for f in lint([project], ignore=["RF08"])]
    assert told == [("dbt_project.yml", 9, "RF04"), ("models/a/int_one.sql", 1, "RF05"), ("models/b/int_two.sql", 1, "RF05")]


def test_a_comment_says_that_a_finding_is_meant(project: Path) -> None:
    lines = ["a / b as r1,  -- noqa", "a / b as r2,  -- noqa: RF01", "a / b as r3,  {# noqa: RF02, RF01 #}", "a / b as r4,  -- noqa: RF02", "a / b as r5  -- noqa: LT05"]
    assert _codes(project, MODEL, "select\n" + "\n".join(lines) + "\nfrom x") == [("RF01", 5), ("RF01", 6)]


def test_the_exact_fixes_of_a_project_are_one_diff_that_applies_and_leaves_nothing_to_find(project: Path) -> None:
    _write(project, MODEL, "with x as (\n    select a, t.b, sum(c) as c\n    from {{ ref('t') }} as t\n    group by a, t.b\n)\n\nselect *\nfrom x")
    _write(project, "models/int_r.sql", "SELECT a / b AS r, a / COUNT(c) AS s, a / (b / COUNT(c)) AS t\nFROM x\n")
    diff = fixes([project], ignore=["RF08"])
    done = subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=project, input=diff, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout
    assert lint([project], ignore=["RF08"]) == []
    assert (project / MODEL).read_text().endswith(")\n\nselect\n    a,\n    b,\n    c\nfrom x")
    fixed = "SELECT a / NULLIF(b, 0) AS r, CASE WHEN COUNT(c) > 0 THEN a / COUNT(c) ELSE NULL END AS s, a / NULLIF(b / NULLIF(COUNT(c), 0), 0) AS t\nFROM x\n"
    assert (project / "models/int_r.sql").read_text() == fixed


def test_columns_that_are_not_spelled_out_are_not_guessed(project: Path) -> None:
    for select_list in ("a, {{ columns() }}", "a, b + 1", "*", "a {% if x %}, b{% endif %}"):
        _write(project, MODEL, f"with x as (select {select_list} from y)\nselect * from x")
        assert [f.diff for f in lint([project], select=["RF02"]) if f.line == 2] == [None]


def test_what_cannot_be_read_is_named_with_its_line_and_the_rest_is_looked_at(project: Path) -> None:
    _write(project, "models/m.yml", "models:\n  - name: [\n")
    (project / "models/latin.sql").write_bytes("select a\nfrom café".encode("latin-1"))
    (project / "models/latin.yml").write_bytes("models:\n  - name: é".encode("latin-1"))
    for n, text in enumerate(("- a", "one", "", "models: {a: 1}", "models: [5, {name: int_r, columns: [x, {name: 1}], tests: 3, config: 4}]\nsources: [1]")):
        _write(project, f"models/{n}.yml", text)  # of no shape that dbt knows
    _write(project, "target/manifest.json", '{"cut')
    _write(project, "models/int_r.sql", "select a / b as r from x")
    told = [(f.path, f.line, f.code) for f in lint([project], ignore=["RF08"])]
    assert told == [("models/int_r.sql", 1, "RF01"), ("models/latin.sql", 2, "RF00"), ("models/latin.yml", 2, "RF00"), ("models/m.yml", 3, "RF00")]


# ---- the command ----


def test_the_exit_code_says_whether_there_is_anything(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(project, "models/int_r.sql", "select a / b as r from x")
    assert cli.main(["lint", str(project), "--ignore", "RF08"]) == 1
    assert capsys.readouterr().out.splitlines()[0] == "models/int_r.sql:1: RF01 unguarded-division: a / b: nothing keeps 0 out of this column"
    assert cli.main(["lint", str(project), "--select", "RF02,RF03"]) == 0
    assert cli.main(["lint", str(project.parent)]) == 2
    assert cli.main(["lint", str(project / "nothing")]) == 2
    assert cli.main(["lint", str(project), "--select", "RF99"]) == 2


def test_files_are_looked_at_alone_as_pre_commit_hands_them(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        _write(project, f"models/int_{name}.sql", "select a / b as r from x")
    assert cli.main(["lint", "--json", "--ignore", "RF08", str(project / "models/int_two.sql")]) == 1
    (finding,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (finding["path"], finding["line"], finding["code"]) == ("models/int_two.sql", 1, "RF01")
    assert finding["diff"].startswith("--- a/models/int_two.sql\n+++ b/models/int_two.sql\n")


def test_files_in_no_project_are_left_alone_only_when_asked(project: Path) -> None:
    outside = project.parent / f"{project.name}_outside.sql"
    outside.write_text("select a / b from x")
    assert cli.main(["lint", str(outside)]) == 2
    assert cli.main(["lint", "--skip-outside", str(outside)]) == 0
    _write(project, "models/int_r.sql", "select a / b as r from x")
    assert cli.main(["lint", "--skip-outside", str(outside), str(project / "models/int_r.sql")]) == 1


def test_without_sqlglot_it_says_what_to_install(project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("rowferry.lint.find_spec", lambda name: None)
    assert cli.main(["lint", str(project)]) == 2
    assert "pip install 'rowferry[diagnose]'" in capsys.readouterr().err


def test_every_rule_has_a_reason() -> None:
    assert all(rule.name and rule.why.endswith(".") for rule in RULES.values())


def test_prose_and_paths_among_macros_are_no_sql(project: Path) -> None:
    text = "-- the source's name\n{% macro one() %}\n# https://host/a/b\n{% endmacro %}\n\nwhat isn't SQL\n{% macro two(a) %} {{ a }} / b {% endmacro %}"
    assert _codes(project, "macros/m.sql", text) == [("RF01", 7)]


# ---- several processes ----

MANY = range(3 * FILES_EACH + 7)


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads that tests before this one left behind hold no lock that a fork would miss."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


def test_several_processes_find_what_one_finds_in_the_same_order(project: Path, alone: None) -> None:
    for n in MANY[: 2 * FILES_EACH + 1]:
        _write(project, f"models/int_m{n}.sql", f"select a / b{n} as r, {'*' if n % 3 else 1}\nfrom x where d > '2026-01-01' -- {n}")
    assert len({finding.path for finding in lint([project])}) == 2 * FILES_EACH + 1
    assert lint([project], jobs=2) == lint([project])
    assert fixes([project], jobs=2) == fixes([project]) != ""


def test_the_shares_are_done_by_processes_of_their_own_and_put_together_in_order(alone: None) -> None:
    done = side_by_side(lambda n: (n, os.getpid()), MANY, 3)
    assert [n for n, _ in done] == list(MANY)
    assert len({pid for _, pid in done}) == 3
    assert len({pid for _, pid in side_by_side(lambda n: (n, os.getpid()), MANY[: FILES_EACH + 1], 3)}) == 1


def test_a_share_whose_process_dies_is_done_here(alone: None) -> None:
    here = os.getpid()
    assert side_by_side(lambda n: n if os.getpid() == here else os._exit(9), MANY, 3) == list(MANY)


def test_an_error_in_another_process_is_raised_here(alone: None) -> None:
    with pytest.raises(ZeroDivisionError):
        side_by_side(lambda n: 1 // (n - 1), MANY, 3)


def test_no_process_is_forked_beside_another_thread() -> None:
    ended = threading.Event()
    threading.Thread(target=ended.wait).start()
    try:
        assert set(side_by_side(lambda n: os.getpid(), MANY, 3)) == {os.getpid()}
    finally:
        ended.set()
