"""Divisions are found, guarded ones are left alone, and what is put in their place applies, parses and is guarded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowferry.diagnosis.divisions import divisions, guards, ranked
from rowferry.diagnosis.sql_source import Source, edited, parses, unified_diff

DIALECTS = ("postgres", "snowflake", "duckdb", "bigquery", "redshift", "databricks", "trino", "tsql", "mysql")


def _found(sql: str, dialect: str = "postgres") -> list[str]:
    return [division.text for division in divisions(Source(sql), dialect)]


def _guarded(sql: str, dialect: str = "postgres") -> str:
    source = Source(sql)
    return edited(sql, guards(divisions(source, dialect)))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("a / b", ["a / b"]),
        ("a % b", ["a % b"]),
        ("mod(a, b)", ["mod(a, b)"]),
        ("100.0 * sum(a) / sum(b)", ["100.0 * sum(a) / sum(b)"]),
        ("x - a / b + y", ["a / b"]),
        ("round(a / b, 2)", ["a / b"]),
        ("a / b / c", ["a / b", "a / b / c"]),
        ("t.a / t.b as c", ["t.a / t.b"]),
        ("cast(a as decimal(10, 2)) / cast(b as decimal(10, 2))", ["cast(a as decimal(10, 2)) / cast(b as decimal(10, 2))"]),
        ("sum(a) over (partition by c) / sum(b) over (partition by c)", ["sum(a) over (partition by c) / sum(b) over (partition by c)"]),
        ("case when a / b > 1 then 1 end", ["a / b"]),
        ("-a / -b", ["a / -b"]),
        ("a / (select count(*) from u)", ["a / (select count(*) from u)"]),
        ("'a / b'", []),
        ("a * b", []),
        ("count(*)", []),
    ],
)
def test_a_division_is_found_with_its_operands_in_every_dialect(dialect: str, expression: str, found: list[str]) -> None:
    assert _found(f"select {expression} from t", dialect) == found


@pytest.mark.parametrize(
    ("sql", "dialect", "found"),
    [
        ("select a::numeric(10, 2) / b::double precision as r from t", "postgres", ["a::numeric(10, 2) / b::double precision"]),
        ("select a // b from t", "duckdb", ["a // b"]),
        ("select a // b\nfrom t", "snowflake", []),  # a comment
        ("select v:a.n::int / v:b.d::int from t", "snowflake", ["v:a.n::int / v:b.d::int"]),
        ("select a / `the b` from `p.d.t`", "bigquery", ["a / `the b`"]),
        ("select a # / b\nfrom t", "bigquery", []),
        ("select a div b from t", "mysql", ["a div b"]),
        ("select a / [the b] from t", "tsql", ["a / [the b]"]),
        ("select a /* / c */ / b -- / d\nfrom t", "postgres", ["a /* / c */ / b"]),
        ("select $1 / $2, t.$1/t.$3 from @stage/a/b.csv t", "snowflake", ["$1 / $2", "t.$1/t.$3"]),
        ("select decode(b, 0, null, a / b), a / decode(c, 0, null, c), a / decode(d, 1, 0, d) from t", "snowflake", ["a / decode(d, 1, 0, d)"]),
        ("select case when not equal_null(b, 0) then a / b end from t", "snowflake", []),
        ("select safe.mod(a, b), div(a, c) from t", "bigquery", ["div(a, c)"]),
        ("select iif(b = 0, null, a / b), a / isnull(c, 0) from t", "tsql", ["a / isnull(c, 0)"]),
        ("select try(a / b), a / c from t", "trino", ["a / c"]),
        ("select a mod b, mod(a, c) from t", "mysql", ["a mod b", "mod(a, c)"]),
        ("select case when b is distinct from 0 then a / b else a / b end from t", "postgres", ["a / b"]),
        ("select a / {% if safe %}nullif(b, 0){% else %}c{% endif %} from t", "postgres", ["a / {% if safe %}nullif(b, 0){% else %}c"]),
        ("select case when b {% if x %}> 0{% else %}<> 0{% endif %} then a / b end from t", "postgres", []),
        ("select sum(a) filter (where c) / count(*) filter (where d) from t", "postgres", ["sum(a) filter (where c) / count(*) filter (where d)"]),
    ],
)
def test_what_a_dialect_has_of_its_own_is_read_as_it_reads_it(sql: str, dialect: str, found: list[str]) -> None:
    assert _found(sql, dialect) == found


@pytest.mark.parametrize(
    "sql",
    [
        "select a / 7 from t",
        "select a / (60 * 60.0) from t",
        "select a / power(10, 2) from t",
        "select a / nullif(b, 0) from t",
        "select a / nullif(b, 0)::numeric from t",
        "select a / cast(nullif(b, 0) as float) from t",
        "select a / (nullif(b, 0) * 100) from t",
        "select a / coalesce(nullif(b, 0), 1) from t",
        "select a / greatest(b, 1) from t",
        "select a / (1 + count(*)) from t",
        "select a / exp(b) from t",
        "select a / row_number() over (order by b) from t",
        "select a / case when b = 0 then null else b end from t",
        "select case when b <> 0 then a / b end from t",
        "select case when b > 0 then round(a / b, 2) else 0 end from t",
        "select case when b = 0 then null else a / b end from t",
        "select case when b is null or b = 0 then null else a / b end from t",
        "select case when coalesce(b, 0) = 0 then 0 else a / b end from t",
        "select case when not (b = 0) then a / b end from t",
        "select case b when 0 then null else a / b end from t",
        "select case when c and t.b >= 1 then a / t.b end from t",
        "select case when b between 1 and 9 then a / b end from t",
        "select case when nullif(b, 0) is not null then a / b end from t",
        "select case when count(b) > 0 then sum(a) / count(b) end from t",
        "select case when 0 < b and c <> 0 then a / (b * c) end from t",
        "select iff(b = 0, null, a / b) from t",
        "select if(b <> 0, a / b, null) from t",
        "select sum(a) / count(*) from t group by c",
        "select a / count(*) over (partition by c) from t",
        "select sum(a / b) filter (where b <> 0) from t",
        "select age / interval '1 day' from t",
        "select a / null from t",
    ],
)
def test_a_denominator_that_cannot_be_zero_is_no_candidate(sql: str) -> None:
    assert _found(sql) == []


@pytest.mark.parametrize(
    "sql",
    [
        "select case when b <> 0 then 1 else a / b end from t",
        "select case when c <> 0 then a / b end from t",
        "select case when b >= 0 then a / b end from t",
        "select case when b > -1 then a / b end from t",
        "select case when b > 0 or c > 0 then a / b end from t",
        "select case when not b <> 0 then a / b end from t",
        "select case when b is not null then a / b end from t",
        "select case when a / b > 0 and b <> 0 then 1 end from t",
        "select case when b in (0, 1) then a / b end from t",
        "select a / coalesce(b, 0) from t",
        "select a / nullif(b, 1) from t",
        "select a / greatest(b, 0) from t",
        "select a / (nullif(b, 0) * c) from t",
        "select a / (nullif(b, 0) - 1) from t",
        "select sum(a) / count(b) from t group by c",
        "select sum(a) / count(*) from t",
        "select a / count(*) over (order by c rows between 3 preceding and 1 preceding) from t",
        "select a / round(0.2) from t",
        "select iff(b = 0, a / b, null) from t",
        "select sum(case when b <> 0 then b end) / sum(b) from t",
    ],
)
def test_a_guard_of_something_else_is_none(sql: str) -> None:
    assert len(_found(sql)) == 1


def test_a_filter_is_no_proof_and_puts_a_division_last() -> None:
    first, last = ranked(divisions(Source("select a / b, a / c from t where b <> 0"), "postgres"))
    assert (first.text, first.filtered) == ("a / c", False)
    assert (last.text, last.filtered) == ("a / b", True)


def test_the_filter_of_one_select_says_nothing_of_another() -> None:
    found = divisions(Source("with x as (select b from t where b > 0) select a / b from u union all select a / b from t where b > 0"), "postgres")
    assert [division.filtered for division in found] == [False, True]


def test_the_likeliest_zero_comes_first() -> None:
    sql = "select a / ratio, a / (b + 1), a / sum(c), a / coalesce(d, 0), a / (e - f), a / 0, a / count(g), a / n_orders from t"
    order = [division.denominator_text for division in ranked(divisions(Source(sql), "postgres"))]
    assert order == ["0", "coalesce(d, 0)", "(e - f)", "count(g)", "sum(c)", "n_orders", "ratio", "(b + 1)"]


@pytest.mark.parametrize(
    ("sql", "guarded"),
    [
        ("select a / b from t", "select a / nullif(b, 0) from t"),
        ("SELECT a / b FROM t", "SELECT a / NULLIF(b, 0) FROM t"),
        ("select a/(b + c) from t", "select a/nullif(b + c, 0) from t"),
        ("select sum(a) / count(b) as r from t", "select case when count(b) > 0 then sum(a) / count(b) else null end as r from t"),
        ("SELECT SUM(a) / COUNT(b) AS r FROM t", "SELECT CASE WHEN COUNT(b) > 0 THEN SUM(a) / COUNT(b) ELSE NULL END AS r FROM t"),
        ("select a / b / count(c) from t", "select a / nullif(b, 0) / nullif(count(c), 0) from t"),
        ("select a / (b / c) from t", "select a / nullif(b / nullif(c, 0), 0) from t"),
        ("select mod(a, b / c) from t", "select mod(a, nullif(b / nullif(c, 0), 0)) from t"),
        ("select a\n    / (\n        b\n        - c  -- both\n    ) as r\nfrom t", "select a\n    / nullif(\n        b\n        - c, 0  -- both\n    ) as r\nfrom t"),
        ("select a / {{ b }} from t", "select a / nullif({{ b }}, 0) from t"),
        ("select {% if x %}a{% else %}b{% endif %} / c from t", "select {% if x %}a{% else %}b{% endif %} / nullif(c, 0) from t"),
        ("select a / {% if x %}b{% else %}count(c){% endif %} from t", "select a / {% if x %}nullif(b, 0){% else %}nullif(count(c), 0){% endif %} from t"),
        ("select a / (select count(*) from u) from t", "select a / nullif((select count(*) from u), 0) from t"),
    ],
)
def test_a_guard_changes_the_text_of_the_expression_alone(sql: str, guarded: str) -> None:
    assert _guarded(sql) == guarded


def test_a_line_that_would_become_too_long_is_broken() -> None:
    sql = "select\n    sum(the_first_of_the_long_names) + sum(the_second_of_the_long_names) / count(something_with_a_name) as ratio\nfrom t\n"
    lines = _guarded(sql).splitlines()
    assert lines[1:5] == [
        "    sum(the_first_of_the_long_names) + case",
        "        when count(something_with_a_name) > 0 then sum(the_second_of_the_long_names) / count(something_with_a_name)",
        "        else null",
        "    end as ratio",
    ]


def test_jinja_moves_nothing() -> None:
    text = "{{ config(materialized='table') }}\n{# a / b #}\n{% set x = '}}' %}select {{ {'a': {'b': 1}} }},\n  é / {{ f('%}') }}\nfrom {{ ref('t') }}"
    source = Source(text)
    assert len(source.masked) == len(text)
    (division,) = divisions(source, "postgres")
    assert (division.text, division.line) == ("é / {{ f('%}') }}", 4)


# ---- any model ----

NAMES = st.sampled_from(["amount", "o.total", '"Mixed Case"', "n", "{{ column }}", "{{ cents('x') }}", "items::numeric"])
ATOMS = st.one_of(NAMES, st.sampled_from(["count(n)", "sum(o.total)", "coalesce(n, 0)", "3", "abs(n)", "count(distinct n)", "cast(n as float)", "max(n) over (partition by o.total)"]))
EXPRESSIONS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", " / ", "\n    / ", "%", " * "]), inner).map("".join),
        inner.map("({})".format),
        inner.map("round({}, 2)".format),
        inner.map("case when n > 0 then {} else null end".format),
        inner.map("nullif({}, 0)".format),
    ),
    max_leaves=6,
)
LAYOUTS = st.sampled_from(
    [
        "select {} as r from {{{{ ref('t') }}}} as o\n",
        "SELECT\n    n,\n    {} AS r -- one\nFROM {{{{ ref('t') }}}} AS o\nGROUP BY n",
        "{{{{ config(tags=['a / b']) }}}}\r\nwith o as (\r\n    select {} as r\r\n    from {{{{ source('a', 'b') }}}} as o\r\n)\r\nselect r from o\r\n",
        "select n\n{{% for c in ['a', 'b'] %}}\n    , {} as r_{{{{ c }}}}\n{{% endfor %}}\nfrom {{{{ this }}}} as o",
    ]
)


@settings(max_examples=40, deadline=None)
@given(layout=LAYOUTS, left=EXPRESSIONS, right=EXPRESSIONS, dialect=st.sampled_from(["postgres", "snowflake", "duckdb"]))
def test_the_diff_of_any_model_applies_and_leaves_no_candidate(tmp_path_factory: pytest.TempPathFactory, layout: str, left: str, right: str, dialect: str) -> None:
    text = layout.format(f"{left} / {right}")
    source = Source(text, "models/m.sql")
    found = divisions(source, dialect)
    after = edited(text, guards(found))
    assert _found(after, dialect) == []
    if parses(source.masked, dialect):
        assert parses(Source(after).masked, dialect)
    assert "".join(after.split()).count("/") == "".join(text.split()).count("/")
    if found:
        root = tmp_path_factory.mktemp("project")
        _patched(root, text, unified_diff("models/m.sql", text, after))
        assert (root / "models/m.sql").read_bytes() == after.encode()


def _patched(root: Path, text: str, diff: str) -> None:
    (root / "models").mkdir()
    (root / "models/m.sql").write_bytes(text.encode())
    done = subprocess.run(["patch", "-p1", "--fuzz=0"], cwd=root, input=diff.encode(), capture_output=True)
    assert done.returncode == 0, done.stdout
