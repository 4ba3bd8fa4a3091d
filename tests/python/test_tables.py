from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from rowferry.errors import ConfigurationError
from rowferry.tables import _File, load_tables, read_entries

from .conftest import URIS

GOOD = """\
defaults:
  source_name: shop
  batch_bytes: 65536
tables:
  - public.orders
  - table: public.users
    keys: [user_id]
    columns: [user_id, no]
    source_name: crm
"""


def _file(folder: Path, text: str, name: str = "tables.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_a_table_is_a_name_or_settings_and_its_own_settings_win_over_the_defaults(tmp_path: Path) -> None:
    orders, users = load_tables(_file(tmp_path, GOOD), **URIS)
    assert (orders.table, orders.source_name, orders.batch_bytes) == ("public.orders", "shop", 65536)
    assert (users.table, users.source_name, users.keys) == ("public.users", "crm", ("user_id",))


def test_settings_of_the_caller_win_over_the_file(tmp_path: Path) -> None:
    assert {job.source_name for job in load_tables(_file(tmp_path, GOOD), **URIS, source_name="x")} == {"x"}


def test_a_column_may_be_called_no(tmp_path: Path) -> None:
    assert load_tables(_file(tmp_path, GOOD), **URIS)[1].columns == ("user_id", "no")


def test_json_says_the_same(tmp_path: Path) -> None:
    text = json.dumps(yaml.load(GOOD, yaml.BaseLoader) | {"defaults": {"source_name": "shop", "batch_bytes": 65536}})
    assert load_tables(_file(tmp_path, text, "t.json"), **URIS) == load_tables(_file(tmp_path, GOOD), **URIS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables:\n  - table: a\n    colums: [x]\n", "tables.yaml:3: .*'colums'; did you mean 'columns'"),
        ("defalts: {}\ntables: [a]\n", "tables.yaml:1: .*'defalts'; did you mean 'defaults'"),
        ("defaults:\n  keyz: [x]\ntables: [a]\n", "tables.yaml:2: .*'keyz'; did you mean 'keys'"),
        ("tables:\n  - a\n  - keys: [x]\n", "tables.yaml:3: .*no table"),
        ("tables:\n  - a\n  - table: b\n    batch_bytes: 7\n", "tables.yaml:3: .*batch_bytes"),
        ("tables:\n  - table: a\n    keys: [x]\n    keys: [y]\n", "tables.yaml:4: .*twice"),
        ("tables:\n  - table: a\n   keys: [x]\n", "tables.yaml:3: "),
        ("tables: []\n", "tables.yaml:1: tables: must be a list"),
        ("tables:\n  - 7\n", r"tables.yaml:2: tables\[0\]: must be a mapping"),
        ("- a\n", "must be a mapping"),
        ("", "must be a list"),
        ("tables: [!!python/object:os.system a]\n", "tables.yaml:1: "),
        ("a: &x [*x]\n", "refers to itself"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_tables(_file(tmp_path, text), **URIS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"tables": [{"table": "a", "colums": []}]}', r"t.json: tables\[0\].colums: .*did you mean 'columns'"),
        ('{"tables": ["a"],\n "tables": ["b"]}', "'tables' stands twice"),
        ('{"tables": [\n"a",\n]}', "t.json:3"),
    ],
)
def test_what_is_wrong_in_json_is_named_too(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_tables(_file(tmp_path, text, "t.json"), **URIS)


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        read_entries(tmp_path / "none.yaml")


WORDS = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")))  # YAML folds other line ends into spaces
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_yaml_reads_what_json_writes(value: Any) -> None:
    assert _File("t").yaml(json.dumps(value, ensure_ascii=False)) == value


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail_in_another_way(text: str) -> None:
    file = _File("t")
    try:
        list(file.entries(file.yaml(text)))
    except ConfigurationError:
        pass
