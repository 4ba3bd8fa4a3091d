"""One real Airflow for all tests that need one, and the source and warehouse that its DAGs work on."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psycopg
import pytest

import airflow_rowferry
from rowferry.demo import shop
from rowferry.demo.airflow import Airflow
from rowferry.demo.servers import Server, clean_environment
from rowferry.demo.warehouse import DbtProject, dbt_environment

EXAMPLE = Path(airflow_rowferry.__file__).parent / "example_dags" / "daily_etl.py"
ORDERS = 2000
RUNNING = pytest.StashKey[ExitStack]()
PASSWORD = "not-in-any-l0g"


class Slack(ThreadingHTTPServer):
    """Takes what is sent to a Slack webhook.

    Attributes:
        texts: Of the messages so far.
    """

    def __init__(self) -> None:
        self.texts: list[str] = []
        super().__init__(("127.0.0.1", 0), _TakeMessage)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def connection(self) -> str:
        """Of type `slackwebhook`, as Airflow reads it from the environment."""
        url = f"http://127.0.0.1:{self.server_port}"
        return json.dumps({"conn_type": "slackwebhook", "host": url, "password": "/T0/B0/token"})


class _TakeMessage(BaseHTTPRequestHandler):
    server: Slack

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.texts.append(json.loads(body)["text"])
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        pass


@dataclass(frozen=True)
class World:
    """A running Airflow, and what is behind its connections `shop`, `warehouse`, `file`, `slack_alerts` and `files`, which is `folder`."""

    airflow: Airflow
    slack: Slack
    server: Server
    shop: str
    warehouse: str
    file: str
    dbt: DbtProject
    folder: Path

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
def world(request: pytest.FixtureRequest, pg18: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    source, target = pg18.create_database("af_shop"), pg18.create_database("af_warehouse")
    pg18.admin(f"create role loader login superuser password '{PASSWORD}'")
    pg18.require_password("loader")
    shop.create(source, orders=ORDERS)
    folder = tmp_path_factory.mktemp("airflow")
    dbt = DbtProject(folder=folder, environment=dbt_environment(target))
    broken, parsed = parsing(folder / "broken")  # while the other project is
    dags = shutil.copytree(Path(__file__).with_name("dags"), folder / "dags")
    shutil.copy(EXAMPLE, dags)
    (dags / "into_a_file.py").write_text(_into_a_file(EXAMPLE.read_text()))
    file = f"duckdb://{folder}/warehouse.duckdb"
    slack = Slack()
    manifest = dbt.parse()
    assert parsed.wait() == 0
    airflow = Airflow(
        pg18.create_database("af_metadata"),
        dags=dags,
        connections={
            "shop": _as_loader(source),
            "warehouse": _as_loader(target),
            "file": file,
            "slack_alerts": slack.connection,
        },
        environment={
            "ROWFERRY_DBT_PROJECT": str(dbt.path),
            "ROWFERRY_DBT_MANIFEST": str(manifest),
            "ROWFERRY_TEST_DBT_PROJECT": str(broken),
            "AIRFLOW_CONN_FILES": json.dumps({"conn_type": "fs", "extra": {"path": str(folder)}}),
            "ROWFERRY_RETRY_DELAY": "1",
        },
    )
    with ExitStack() as stack:
        request.config.stash[RUNNING] = stack
        stack.callback(slack.server_close)
        stack.callback(slack.shutdown)
        yield World(stack.enter_context(airflow), slack, pg18, source, target, file, dbt, folder)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """End Airflow with the last test of this folder: it takes a fifth of a processor from the tests that follow."""
    if RUNNING in item.config.stash and (nextitem is None or nextitem.path.parent != item.path.parent):
        item.config.stash[RUNNING].close()


def parsing(folder: Path) -> tuple[Path, subprocess.Popen]:
    """The dbt project whose model fails, copied there, and the process that makes its manifest."""
    project = shutil.copytree(Path(__file__).with_name("dbt"), folder)
    command = [Path(sys.executable).with_name("dbt"), "parse", "--quiet", "--project-dir", project, "--profiles-dir", _profile(project)]
    return project, subprocess.Popen(command, env=clean_environment(), cwd=project)


def _profile(project: Path) -> Path:
    """A folder with a profile of the project, which is parsed and nothing more."""
    nowhere = "{type: postgres, host: 127.0.0.1, port: 1, user: u, password: p, dbname: d, schema: s}"
    (project / "profiles.yml").write_text(f"small: {{target: dev, outputs: {{dev: {nowhere}}}}}\n")
    return project


def _as_loader(uri: str) -> str:
    return uri.replace("postgres@", f"loader:{PASSWORD}@")


def _into_a_file(example: str) -> str:
    """The example DAG as `daily_etl_into_a_file`, whose warehouse is the connection `file`."""
    for own, other in (('"daily_etl"', '"daily_etl_into_a_file"'), ('"warehouse"', '"file"')):
        assert own in example
        example = example.replace(own, other)
    setting = 'os.environ["ROWFERRY_DBT_TARGET"] = "duckdb"  # every DAG file is parsed in a process of its own\n\n'
    return example.replace("DBT_TARGET = choice", f"import os\n\n{setting}DBT_TARGET = choice", 1)
