"""The password of an Airflow connection: an operator hands it to the server and says it to nobody else.

Airflow's masking of secrets in logs is not counted on: what is looked at comes before it.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from stand_ins import context

from airflow_rowferry.operators import PostgresToWarehouseOperator
from rowferry.demo.servers import Server, free_port
from rowferry.errors import SourceError

CORE = "xQ7plantedXa"  # no encoding changes it
PASSWORD = f"p@ss/w'rd %41 {CORE}&\"ü"
ROLE = f"airflow_secretive_{os.getpid()}"

Connect = Callable[..., None]


@pytest.fixture
def connections(servers: Server, database: Callable[[Server], str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Connections `shop` and `warehouse` whose password the server asks for; call it to change parts of `shop`."""
    uris = {"shop": database(servers), "warehouse": database(servers)}
    names = {conn_id: uri.rpartition("/")[2] for conn_id, uri in uris.items()}
    servers.admin(f"CREATE ROLE {ROLE} LOGIN")
    quoted = PASSWORD.replace("'", "''")
    servers.admin(f"ALTER ROLE {ROLE} PASSWORD '{quoted}'")
    servers.require_password(ROLE)
    servers.admin("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1), (2)", names["shop"])
    servers.admin(f"GRANT SELECT ON orders TO {ROLE}", names["shop"])
    servers.admin(f"GRANT CREATE ON DATABASE {names['warehouse']} TO {ROLE}", names["warehouse"])

    def define(conn_id: str, **changed: Any) -> None:
        parts = {"host": "127.0.0.1", "port": servers.port, "schema": names[conn_id], "login": ROLE, "password": PASSWORD, **changed}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "postgres", **parts}))

    define("shop")
    define("warehouse")
    yield lambda **changed: define("shop", **changed)
    for name in names.values():
        servers.admin(f"DROP OWNED BY {ROLE} CASCADE", name)
    servers.admin(f"DROP ROLE {ROLE}")


def load() -> PostgresToWarehouseOperator:
    return PostgresToWarehouseOperator(task_id="load", source_conn_id="shop", target_conn_id="warehouse", table="orders", connect_timeout=2)


def said(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> str:
    """All that was printed or logged, with what the lines were made of; a task's own logger prints."""
    return caplog.text + repr([(record.getMessage(), record.args) for record in caplog.records]) + "".join(capfd.readouterr())


def test_a_load_logs_and_pushes_no_password(
    connections: Connect, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], servers: Server
) -> None:
    caplog.set_level(logging.DEBUG)
    operator = load()
    pushed = operator.execute(context())
    assert pushed["rows_read"] == 2
    log = said(caplog, capfd)
    for shown in (json.dumps(pushed), log, repr(vars(operator))):
        assert CORE not in shown
    assert "2 rows read" in log


FAILURES: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "a wrong password": ({"password": f"{PASSWORD}wrong"}, AirflowFailException),
    "a database that is not there": ({"schema": "nowhere"}, AirflowFailException),
    "a host that is not there": ({"host": "nowhere.invalid"}, SourceError),
    "a port where nobody listens": ({"port": free_port()}, SourceError),
    "a server without TLS": ({"extra": json.dumps({"sslmode": "verify-full"})}, AirflowFailException),
    "a parameter that does not exist": ({"extra": json.dumps({"nonsense": "1", "sslpassword": CORE})}, AirflowFailException),
}


@pytest.mark.parametrize("changed, error", FAILURES.values(), ids=FAILURES)
def test_a_load_that_fails_says_no_password(
    connections: Connect, changed: dict[str, Any], error: type[Exception], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    connections(**changed)
    with pytest.raises(error) as caught:
        load().execute(context())
    shown: BaseException | None = caught.value
    while shown is not None:
        assert CORE not in "".join(traceback.format_exception(shown)) + repr(shown.args) + repr(getattr(shown, "__dict__", None))
        shown = shown.__cause__ or shown.__context__
    log = said(caplog, capfd)
    assert "orders: " in log and CORE not in log
