"""Plain SQL is split as sqlglot splits it, in every dialect; what is not plain is left to it."""

from __future__ import annotations

import random

import pytest
from sqlglot.dialects.dialect import Dialect

from rowferry.diagnosis import sql_source
from rowferry.diagnosis.plain_sql import pieces
from rowferry.diagnosis.sql_source import DIALECTS, Source, UnreadableSql, tokens

EVERY = sorted({"", *DIALECTS.values()} - {"athena"})
SIGNS = [*"-+*/<>=!|&^~:.,;()%?[]@#${}'\"`\\", "\n", "\r", "--", "/*", "*/", "//", "::", "->", "||", "<=", "<>", "-|-", ":=", "..", "''", "'a b'", '"q"', "`q`", "é", "\x0b"]
OTHERS = ["a", "b1", "_x", "n", "x", "u", "rb", "user", "1", "1.5", "0x1", "1e5", ".5", "5.", "1_0", "/*c*/", "--c\n", "-- c\n", "{{ a }}", "{% if b %}", "{# c #}"]


def _by_sqlglot(source: Source, dialect: str, monkeypatch: pytest.MonkeyPatch) -> object:
    with monkeypatch.context() as patched:
        patched.setattr(sql_source, "pieces", lambda text, dialect: None)
        try:
            return tokens.__wrapped__(source, dialect)
        except UnreadableSql as error:
            return error


@pytest.mark.parametrize("dialect", EVERY)
def test_plain_text_is_split_as_sqlglot_splits_it(dialect: str, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(7)
    keywords = sorted({word for key in Dialect.get_or_raise(dialect).tokenizer_class.KEYWORDS for word in (key, *key.split())})
    plain = 0
    for _ in range(1500):
        parts = [chance.choice(chance.choice((keywords, keywords, SIGNS, OTHERS))) + chance.choice(("", " ", " ", "\n")) for _ in range(chance.randint(1, 12))]
        source = Source("".join(part.lower() if chance.random() < 0.3 else part for part in parts))
        if pieces(source.masked, dialect) is not None:
            plain += 1
            assert tokens.__wrapped__(source, dialect) == _by_sqlglot(source, dialect, monkeypatch), source.text
    assert plain > 200


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("select 'a''b'", "postgres"),
        ("select e'a'", "postgres"),
        ("select $$a$$", "postgres"),
        ("select 'a\\'b'", "snowflake"),
        ("select a // b", "duckdb"),
        ("select a # b", "mysql"),
        ("select 1 --b", "mysql"),
        ("select /*+ full(a) */ a", "databricks"),
        ("select /* a /* b */ c */ 1", "postgres"),
        ("select [a] from b", "tsql"),
        ("select 1_000", "duckdb"),
        ("select cast(a as fixedstring(3))", "clickhouse"),
        ("vacuum a b", "postgres"),
        ("select 1; vacuum a", "postgres"),
        ("select größe", ""),
        ("select 'a", ""),
        ("select a", "athena"),
    ],
)
def test_what_may_be_split_otherwise_is_left_to_sqlglot(sql: str, dialect: str) -> None:
    assert pieces(sql, dialect) is None


def test_a_model_of_every_day_is_plain() -> None:
    model = Source("{{ config(materialized='view') }}\n-- a model's rows\nselect a.b::int as c, 'x' || d, sum(e) / nullif(1.5, 0) /* r */\nfrom {{ ref('m') }} as a where f >= '2026-01-01';\n")
    assert all(pieces(model.masked, dialect) for dialect in EVERY)
