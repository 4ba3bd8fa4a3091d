"""One real Airflow for all tests that need one, and the source and warehouse that its DAGs work on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

import airflow_rowferry
from rowferry.demo import shop
from rowferry.demo.airflow import Airflow
from rowferry.demo.servers import Server
from rowferry.demo.warehouse import DbtProject, dbt_environment

ORDERS = 2000
PASSWORD = "not-in-any-l0g"


@dataclass(frozen=True)
class World:
    """A running Airflow, and the databases behind its connections `shop` and `warehouse`."""

    airflow: Airflow
    server: Server
    shop: str
    warehouse: str
    dbt: DbtProject

    def rows(self, uri: str, query: str) -> list[tuple]:
        with psycopg.connect(uri, autocommit=True) as connection:
            return connection.execute(query).fetchall()

    def sessions(self, dag_id: str) -> dict[str, str]:
        """What the sessions of a DAG's loads do now, by database: `active`, `idle in transaction`, …"""
        found = self.server.admin(
            "select datname, state from pg_stat_activity"
            f" where application_name like 'rowferry {dag_id}/%' order by state desc"
        )
        return dict(found)


@pytest.fixture(scope="session")
def world(pg18: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    source, target = pg18.create_database("af_shop"), pg18.create_database("af_warehouse")
    pg18.admin(f"create role loader login superuser password '{PASSWORD}'")
    pg18.require_password("loader")
    shop.create(source, orders=ORDERS)
    folder = tmp_path_factory.mktemp("airflow")
    dbt = DbtProject(folder=folder, environment=dbt_environment(target))
    dags = shutil.copytree(Path(__file__).with_name("dags"), folder / "dags")
    shutil.copy(Path(airflow_rowferry.__file__).parent / "example_dags" / "daily_etl.py", dags)
    with Airflow(
        pg18.create_database("af_metadata"),
        dags=dags,
        connections={"shop": _as_loader(source), "warehouse": _as_loader(target)},
        environment={
            "ROWFERRY_DBT_PROJECT": str(dbt.path),
            "ROWFERRY_DBT_MANIFEST": str(dbt.parse()),
            "ROWFERRY_RETRY_DELAY": "1",
        },
    ) as airflow:
        yield World(airflow, pg18, source, target, dbt)


def _as_loader(uri: str) -> str:
    return uri.replace("postgres@", f"loader:{PASSWORD}@")
