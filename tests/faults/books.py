"""What the target must hold after each load: the rows visible at the load's own snapshot, by the journal of the source."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from journal import CHECKED_COLUMNS, LEFT_OVER, TABLE, Journal, Row
from psycopg.rows import dict_row

TARGET = f"raw_postgres.{TABLE}"
RECORDS = "SELECT * FROM _rowferry.loads WHERE target_table = %s AND load_id > %s ORDER BY load_id"


class Wrong(AssertionError):
    """The target is not what it must be.

    Attributes:
        lost: Rows that are missing, or older than they must be.
        duplicated: Rows that are there and should not be, or were counted twice.
    """

    def __init__(self, what: str, lost: int = 0, duplicated: int = 0) -> None:
        super().__init__(what)
        self.lost, self.duplicated = lost, duplicated


@dataclass
class Books:
    """Follows the load records of one target and says what each must have done.

    Attributes:
        filtered: The job carries only rows whose version is no multiple of 3.
        removes: Rows that are gone are removed, not marked.
        rows: Live rows as of the newest load; `closed` are keys that were marked deleted.
    """

    target: str
    journal: Journal
    filtered: bool = False
    removes: bool = False
    rows: dict[int, Row] = field(default_factory=dict)
    closed: set[int] = field(default_factory=set)
    newest: int = 0
    extracted_at: datetime | None = None
    _session: psycopg.Connection[Any] | None = None

    def connect(self) -> psycopg.Connection[Any]:
        if self._session is None or self._session.closed:
            self._session = psycopg.connect(self.target, autocommit=True, application_name="oracle")
            self._session.execute("SET lock_timeout = '30ms'")
        return self._session

    def close(self) -> None:
        if self._session is not None:
            self._session.close()

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        cursor = self.connect().execute(statement)
        return cursor.fetchall() if cursor.description else []

    def forget(self) -> None:
        """Someone dropped the target."""
        self.rows, self.closed = {}, set()

    def kept(self, rows: dict[int, Row]) -> dict[int, Row]:
        """Those that the job carries."""
        return {key: row for key, row in rows.items() if not self.filtered or row[0] % 3}

    def settle(self) -> list[dict[str, Any]]:
        """Takes in the loads committed since the last call, and compares. Returns their records. Raises `Wrong`."""
        loads = self._new_loads()
        for load in loads:
            self._take_in(load)
        self._compare()
        return loads

    def has_target(self) -> bool:
        return self.execute(f"SELECT to_regclass('{TARGET}')") != [(None,)]

    def left_over(self) -> list[str]:
        """What runs left in the target's database."""
        return [what for (what,) in self.execute(LEFT_OVER)]

    def _new_loads(self) -> list[dict[str, Any]]:
        if self.execute("SELECT to_regclass('_rowferry.loads')") == [(None,)]:
            return []
        with self.connect().cursor(row_factory=dict_row) as cursor:
            return cursor.execute(RECORDS, [TARGET, self.newest]).fetchall()

    def _rows_there(self) -> list[tuple[int, int, str, bool]]:
        """Key, version, digest, and whether it is marked deleted."""
        return self.execute(f"SELECT {CHECKED_COLUMNS}, _deleted_at IS NOT NULL FROM {TARGET}") if self.has_target() else []

    def _take_in(self, load: dict[str, Any]) -> None:
        visible = self.journal.visible(load["snapshot"])
        kept = self.kept(visible)
        inserted = len(kept.keys() - self.rows.keys() - self.closed)
        gone = self.rows.keys() - kept.keys()
        if load["hard_deletes"] != "captured":
            gone &= visible.keys()  # these are there and fail the filter
        went_back = [key for key in kept if key in self.rows and kept[key][0] < self.rows[key][0]]
        if went_back:
            raise Wrong(f"load {load['load_id']} read older versions than its forerunner: {went_back}", lost=len(went_back))
        self._check_counts(load, inserted, len(gone))
        self._check_proof(load)
        if self.extracted_at and load["extracted_at"] <= self.extracted_at:
            raise Wrong(f"load {load['load_id']} was extracted at {load['extracted_at']}, not after {self.extracted_at}")
        self.extracted_at = load["extracted_at"]
        self.rows = {key: row for key, row in (self.rows | kept).items() if key not in gone}
        self.closed = set() if self.removes else (self.closed | gone) - kept.keys()
        self.newest = load["load_id"]

    def _check_counts(self, load: dict[str, Any], inserted: int, deleted: int) -> None:
        told = {name: load[f"rows_{name}"] for name in ("read", "inserted", "updated", "deleted", "duplicate", "stale")}
        merged = told["inserted"] + told["updated"] + told["duplicate"] + told["stale"]
        if told["inserted"] != inserted or told["deleted"] != deleted or merged > told["read"] or told["stale"]:
            more = max(told["inserted"] - inserted, 0)
            less = max(inserted - told["inserted"], 0)
            raise Wrong(f"load {load['load_id']} tells {told}; inserted must be {inserted}, deleted {deleted}", less, more)

    def _check_proof(self, load: dict[str, Any]) -> None:
        """The source gives all that a proof needs; only what wrote rows past their triggers is for an audit to find."""
        audit = load["report"]["audit"]
        if not self.journal.was_rewritten and (load["completeness"] == "best_effort" or (audit and audit["missed"])):
            raise Wrong(f"load {load['load_id']} proves no more than {load['completeness']}, audit {audit}: {load['report']['reasons']}")

    def _compare(self) -> None:
        there = self._rows_there()
        live = {key: (version, digest) for key, version, digest, deleted in there if not deleted}
        closed = {row[0] for row in there if row[3]}
        missing = [key for key, row in self.rows.items() if key not in live or live[key][0] < row[0]]
        differing = [key for key, row in self.rows.items() if live.get(key, row)[0] >= row[0] and live.get(key, row) != row]
        ghosts = sorted((live.keys() - self.rows.keys()) | (closed - self.closed)) + differing
        twice = len(there) - len({row[0] for row in there})
        if missing or ghosts or twice or closed != self.closed:
            raise Wrong(
                f"after load {self.newest}: missing or old {sorted(missing)}, must not be so {ghosts}, twice {twice}, "
                f"not marked deleted {sorted(self.closed - closed)}",
                len(missing),
                len(ghosts) + twice,
            )
