"""Tables whose rows carry the time of their last change, and ways to write them that a cursor sees and does not see."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from route import Route

import rowferry
from rowferry import Report

TOUCH = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END $$;
"""
ROWS = 100
ITEMS = f"""
CREATE TABLE items (
    id int PRIMARY KEY,
    name text NOT NULL,
    inserted_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO items SELECT n, 'item ' || n, '2026-01-01', timestamptz '2026-01-01' + n * interval '1 day' FROM generate_series(1, {ROWS}) AS n;
CREATE INDEX ON items (inserted_at);
CREATE INDEX ON items (updated_at);
{TOUCH}
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON items FOR EACH ROW EXECUTE FUNCTION touch();
"""
"""All rows are old, by their times; what is written from now on is given its time by the trigger."""

CURSOR: dict[str, Any] = {"capture": "cursor", "clock_margin": 0, "audit": "never"}
"""The cursor alone, with nothing that would make up for a mistake of its watermark. Whoever writes has stopped writing when the run begins."""
captures = pytest.mark.parametrize("capture", [{"capture": "xmin"}, CURSOR], ids=["xmin", "cursor"])


def unseen(session: psycopg.Connection, statement: str) -> None:
    """Write as a replica or a careless repair does: no trigger sets a time."""
    session.execute(f"SET session_replication_role = replica; {statement}; RESET session_replication_role")


def clock(session: psycopg.Connection) -> datetime:
    return session.execute("SELECT clock_timestamp()").fetchone()[0]


def watermark(report: Report) -> datetime:
    assert report.watermark is not None, report
    return datetime.fromisoformat(report.watermark.replace("Z", "+00:00"))


def read_statement(route: Route, table: str, **settings: Any) -> str:
    """What the next run would send to read rows."""
    return next(s.sql for s in route.job(table, **settings).plan().statements if s.role == "read")


def nowhere(**settings: Any) -> rowferry.Job:
    """A job that is only made, and so judged, and never run."""
    return rowferry.Job(source="postgresql://nowhere/", target="postgresql://nowhere/", table="items", **settings)


@contextlib.contextmanager
def reader(route: Route, *, sees: bool) -> Iterator[dict[str, str]]:
    """Settings of a job whose role at the source may select, and may see what other sessions do or not."""
    role = f"{'seeing' if sees else 'blind'}_{os.getpid()}"
    route.at_source.execute(f"CREATE ROLE {role} LOGIN; GRANT pg_read_all_data TO {role}")
    if sees:
        route.at_source.execute(f"GRANT pg_read_all_stats TO {role}")
    try:
        yield {"source": route.source.replace("postgres@", f"{role}@", 1)}
    finally:
        route.at_source.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
