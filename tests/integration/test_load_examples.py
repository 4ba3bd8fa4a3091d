"""The examples of the README's section "Loading a frame, an API, a tap", word for word."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from warehouse import Warehouse

from rowferry.demo.servers import Server

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text().partition("\n## Loading a frame, an API, a tap\n")[2].partition("\n## ")[0]
FRAMES, PAGES, TAP = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)


@pytest.fixture
def warehouse(servers: Server, database: Callable[[Server], str]) -> Iterator[Warehouse]:
    made = Warehouse(database(servers))
    yield made
    made.close()


def test_frames_are_loaded_as_the_readme_says(warehouse: Warehouse) -> None:
    exec(FRAMES, {"WAREHOUSE": warehouse.uri})
    assert warehouse.rows("prices", "sku, price", "sku") == [("a", Decimal("1.10")), ("b", Decimal("2.00"))]
    assert warehouse.types("prices") == {"sku": "text NOT NULL", "price": "numeric(12,2)"}
    assert warehouse.rows("stock", "sku, pieces", "sku") == [("a", 3), ("b", None)]
    assert warehouse.rows("visits", "day, page, n", "day") == [(datetime(2026, 11, 22), "/", 7)]


def test_an_api_is_loaded_page_by_page_as_the_readme_says(warehouse: Warehouse) -> None:
    customers = [{"id": 1, "name": "Ada", "tags": ["new"]}, {"id": 2, "name": "", "tags": []}, {"id": 3, "name": None, "tags": None}]
    with Api(customers) as url:
        exec(FRAMES + PAGES, {"WAREHOUSE": warehouse.uri, "API": url})
    assert warehouse.query("SELECT id, name, tags FROM raw_crm.customers ORDER BY id") == [(1, "Ada", ["new"]), (2, "", []), (3, None, None)]


def test_a_singer_tap_is_loaded_as_the_readme_says_and_told_what_is_committed(warehouse: Warehouse, tmp_path: Path) -> None:
    users = {"id": {"type": "integer"}, "name": {"type": ["null", "string"]}, "at": {"type": "string", "format": "date-time"}}
    users |= {"balance": {"type": ["null", "number"]}, "more": {"type": ["null", "object"]}}
    when = "2026-11-22T18:00:00+00:00"
    messages = [
        {"type": "SCHEMA", "stream": "users", "schema": {"properties": users}, "key_properties": ["id"]},
        {"type": "RECORD", "stream": "users", "record": {"id": 1, "name": "Ada", "at": when, "balance": 1.10, "more": {"a": [1]}}},
        {"type": "RECORD", "stream": "users", "record": {"id": 2, "name": "", "at": when}},
        {"type": "STATE", "value": {"users": 2}},
        {"type": "RECORD", "stream": "users", "record": {"id": 2, "name": "Grace", "at": when, "balance": None, "more": None}},
    ]
    script = tmp_path / "load_tap.py"
    script.write_text(TAP)
    tap = "\n".join(map(json.dumps, messages))
    environment = {**os.environ, "WAREHOUSE": warehouse.uri}
    done = subprocess.run([sys.executable, script], input=tap, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert done.stdout == '{"users": 2}\n'
    at = datetime(2026, 11, 22, 18, tzinfo=timezone.utc)
    assert warehouse.query("SELECT id, name, at, balance, more FROM raw_tap.users ORDER BY id") == [
        (1, "Ada", at, Decimal("1.100000000"), {"a": [1]}),
        (2, "Grace", at, None, None),
    ]
    assert warehouse.query("SELECT rows_inserted, rows_updated FROM _rowferry.loads ORDER BY load_id") == [(2, 0), (0, 1)]


class Api:
    """Serves each of the items as a page of its own while it is entered, at the URL that it gives."""

    def __init__(self, items: list[dict[str, object]]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                at = int(self.path.strip("/"))
                following = f"http://{self.headers['Host']}/{at + 1}" if at + 1 < len(items) else None
                self.send_response(200)
                self.end_headers()
                self.wfile.write(json.dumps({"items": [items[at]], "next": following}).encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}/0"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
