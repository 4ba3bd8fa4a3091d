"""A core that answers what a test tells it to, for what no real server can be brought to do at will."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from rowferry import _native

URIS = {"source": "postgresql://reader@source/shop", "target": "postgresql://writer@target/dwh"}


class FakeCore:
    """Answers by table: a dict is returned, an exception raised, a function called with the job."""

    def __init__(self) -> None:
        self.answers: dict[str | None, Any] = {}
        self.made: list[FakeNativeJob] = []

    def job(self, text: str) -> FakeNativeJob:
        _native.Job(text)  # the real core still says what a valid job is
        self.made.append(FakeNativeJob(self, json.loads(text)))
        return self.made[-1]


class FakeNativeJob:
    def __init__(self, core: FakeCore, settings: dict[str, Any]) -> None:
        self.core, self.settings = core, settings
        self.cancelled = threading.Event()
        self.verbs: list[str] = []

    def execute(self, verb: str, on_progress: Callable[[dict[str, Any]], object] | None) -> str:
        self.verbs.append(verb)
        if self.cancelled.is_set():
            raise native_error("cancelled")
        answer = self.core.answers[self.settings.get("table")]
        if isinstance(answer, BaseException):
            raise answer
        return json.dumps(answer(self, on_progress) if callable(answer) else answer)

    def cancel(self) -> None:
        self.cancelled.set()


def native_error(code: str, message: str = "it failed", **facts: Any) -> _native.Error:
    return _native.Error(json.dumps({"code": code, "message": message, "retryable": False, **facts}))


@pytest.fixture
def core(monkeypatch: pytest.MonkeyPatch) -> FakeCore:
    fake = FakeCore()
    stand_in = SimpleNamespace(Job=fake.job, Error=_native.Error, spec=_native.spec)
    monkeypatch.setattr("rowferry.job._native", stand_in)
    return fake


@pytest.fixture
def report() -> dict[str, Any]:
    """A report as the core writes it."""
    counts = {"read": 10, "staged": 10, "inserted": 7, "updated": 2, "deleted": 0, "stale": 0, "duplicates": 1}
    return {
        "version": 1,
        "run_id": "manual__1",
        "try_number": 1,
        "increment": 1,
        "load_id": 3,
        "table": "public.orders",
        "target_table": "raw_postgres.orders",
        "source_name": "postgres",
        "capture": "xmin",
        "capture_reason": "a heap table",
        "first_load": False,
        "reconciled": False,
        "mode": "merge",
        "completeness": "proven",
        "hard_deletes": "not_captured",
        "reasons": ["xmin sees no deletes"],
        "extracted_at": "2026-11-22T18:00:00.000000+00:00",
        "snapshot": "10:12:11",
        "lsn": "0/16B3748",
        "watermark": None,
        "watermark_held_by": None,
        "held_back": None,
        "window": None,
        "swept": False,
        "live": None,
        "audit": None,
        "connections": 1,
        "this_try": {**counts, "bytes": 1500},
        "run_total": {**counts, "bytes": 1500},
        "seconds": {"wait": 0.0, "read": 0.1, "merge": 0.2, "commit": 0.0, "total": 0.5},
        "source": {"server_version": "15.18", "system": "7", "timeline": 1, "database": "shop", "in_recovery": False},
        "target": {"server_version": "18.1", "channel": "libpq"},
        "verification": None,
        "drift": [],
        "conversions": [],
        "masks": [],
        "warnings": [],
    }
