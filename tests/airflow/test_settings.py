"""What the example DAG is told by its environment and its connections: what is wrong is named, with what would do."""

from __future__ import annotations

import importlib
import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException

from airflow_rowferry.dbt import PROFILE_MAPPINGS
from airflow_rowferry.settings import SettingError, choice, existing, seconds
from rowferry.demo.warehouse import shipped_project

CONNECTIONS = {
    "postgres": {"conn_type": "postgres", "host": "db.example", "login": "me", "password": "secret", "schema": "w"},
    "duckdb": {"conn_type": "duckdb", "host": "/data/w.duckdb"},
}


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A dbt project that the example DAG can be imported with: it reads no more than the manifest."""
    for folder in ("models", "target"):
        (tmp_path / folder).mkdir()
    (tmp_path / "dbt_project.yml").write_text((shipped_project() / "dbt_project.yml").read_text())
    (tmp_path / "target" / "manifest.json").write_text('{"nodes": {}, "sources": {}, "exposures": {}}')
    monkeypatch.setenv("ROWFERRY_DBT_PROJECT", str(tmp_path))
    return tmp_path


def daily_etl(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The DAG's file, read as Airflow reads it."""
    name = "airflow_rowferry.example_dags.daily_etl"
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module


def test_a_variable_that_is_empty_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WORD", "")
    assert choice("WORD", ["a", "b"], default="b") == "b"
    assert seconds("WORD", default=300) == timedelta(minutes=5)
    assert existing("WORD", default=tmp_path, remedy="make it") == tmp_path


@pytest.mark.parametrize("value", ["soon", "-1", "inf", "nan"])
def test_what_is_no_number_of_seconds_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("DELAY", value)
    with pytest.raises(SettingError, match=f"DELAY is '{value}'.* seconds, such as 300"):
        seconds("DELAY", default=300)


@pytest.mark.usefixtures("project")
def test_the_example_dag_goes_by_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWFERRY_RETRY_DELAY", "1.5")
    module = daily_etl(monkeypatch)
    assert (module.DBT_TARGET, module.RETRY_DELAY) == ("postgres", timedelta(seconds=1.5))


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("variable", "value", "fix"),
    [
        ("ROWFERRY_DBT_TARGET", "duck", "known are postgres, duckdb"),
        ("ROWFERRY_RETRY_DELAY", "5m", "a number of seconds"),
        ("ROWFERRY_DBT_PROJECT", "/nowhere/shop", "copy the dbt project there"),
        ("ROWFERRY_DBT_MANIFEST", "/nowhere/manifest.json", "run `dbt parse "),
    ],
)
def test_a_wrong_setting_of_the_example_dag_is_named_with_its_value_and_what_would_do(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, fix: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingError) as caught:
        daily_etl(monkeypatch)
    assert all(part in str(caught.value) for part in (variable, value, fix)), caught.value


@pytest.mark.parametrize("target", PROFILE_MAPPINGS)
def test_dbt_takes_the_warehouse_from_a_connection_of_its_target(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(CONNECTIONS[target]))
    profile = PROFILE_MAPPINGS[target](conn_id="warehouse").profile
    assert profile["type"] == target and CONNECTIONS[target]["host"] in profile.values()


def test_dbt_waits_for_a_file_and_divides_as_other_warehouses_whatever_else_its_profile_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(CONNECTIONS["duckdb"]))
    given = {"threads": 1, "settings": {"memory_limit": "1GB"}, "plugins": [{"module": "excel"}]}
    assert PROFILE_MAPPINGS["duckdb"](conn_id="warehouse", profile_args=given).profile == {
        "type": "duckdb",
        "path": "/data/w.duckdb",
        "threads": 1,
        "settings": {"ieee_floating_point_ops": False, "memory_limit": "1GB"},
        "plugins": [{"module": "excel"}, {"module": "rowferry.dbt_duckdb"}],
    }


@pytest.mark.parametrize(("target", "other"), [("postgres", "duckdb"), ("duckdb", "postgres")])
def test_dbt_takes_no_connection_of_another_kind_than_its_target(monkeypatch: pytest.MonkeyPatch, target: str, other: str) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_WAREHOUSE", json.dumps(CONNECTIONS[other]))
    said = re.compile(f"'warehouse' is of type '{other}' and dbt's target is '{target}'.*ROWFERRY_DBT_TARGET")
    with pytest.raises(AirflowFailException, match=said):
        PROFILE_MAPPINGS[target](conn_id="warehouse").get_profile_file_contents("shop", target)


def test_a_warehouse_that_is_no_connection_is_named() -> None:
    with pytest.raises(AirflowNotFoundException, match="warehouse"):
        PROFILE_MAPPINGS["duckdb"](conn_id="warehouse").get_profile_file_contents("shop", "duckdb")
