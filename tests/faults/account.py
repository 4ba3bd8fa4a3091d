"""A Snowflake account for tests: an emulator of their own, or, with ROWFERRY_TEST_SNOWFLAKE, the one that its URI names.

`Emulator` is `emulator.py` in a process; what a test asks it for is what that file says.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import snowflake.connector

REAL = os.environ.get("ROWFERRY_TEST_SNOWFLAKE")
"""snowflake://user@account/database?warehouse=…&role=…, whose database is the tests' own."""

PASSWORD = "geheim-4711"


class Emulator:
    """fakesnow's server, corrected, in a process that ends with this one."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("emulator.py"))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        self.port = int(self._process.stdout.readline())
        self.uri = f"snowflake://loader:{PASSWORD}@emulated/RAW?warehouse=W&role=R&host=127.0.0.1&port={self.port}&protocol=http"

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(30)

    def fault(self, *faults: dict[str, Any]) -> None:
        """These, and none of before."""
        asked = urllib.request.Request(f"http://127.0.0.1:{self.port}/faults", json.dumps(faults).encode(), method="POST")
        urllib.request.urlopen(asked).close()

    def statements(self) -> list[str]:
        """What came since the last time this was asked."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/statements?forget=1") as answer:
            return [sql for _, sql in json.load(answer)]


def connect(uri: str) -> snowflake.connector.SnowflakeConnection:
    """A session of the tests' own, by Snowflake's own connector; times in UTC."""
    parts = urlsplit(uri)
    given = {name: values[0] for name, values in parse_qs(parts.query).items()}
    names = dict(zip(("database", "schema"), parts.path.strip("/").split("/"), strict=False))
    session = snowflake.connector.connect(
        user=unquote(parts.username or ""),
        password=unquote(parts.password) if parts.password else None,
        account=parts.hostname,
        login_timeout=20,
        network_timeout=60,
        **names,
        **given,
    )
    if "host" not in given:
        session.cursor().execute("ALTER SESSION SET TIMEZONE = 'UTC'")
    return session
