"""What the load records of the target say of a failure: the change of the source's schema that a load met.

It asks the target, and so is done only when a target is named; everything else of a diagnosis stays on the machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any

from rowferry.diagnosis.model import Diagnosis
from rowferry.report import Drift, LoadRecord

BY_COLUMNS = frozenset(
    "missing_column missing_relation not_null_violation invalid_value bad_timestamp numeric_out_of_range string_too_long type_mismatch column_count "
    "dbt_contract dbt_schema_out_of_sync dbt_snapshot_columns".split()
)
"""Causes that another shape of a loaded table can bring."""
MOST_EVENTS = 3
NEWEST = 200
"""Loads of each table that are read: years of them are not, for a failure of today."""


def read_loads(target: str | Mapping[str, Any], tables: Sequence[str] = ()) -> list[LoadRecord]:
    """The newest load records of each of `tables`, or of every table, newest first within each.

    Args:
        target: The target's URI, or a mapping of settings of a job with it: `control_schema`, `source_name`, …
    Raises:
        RowferryError: The target cannot be reached or read.
    """
    from rowferry.job import Call

    settings = {"target": target} if isinstance(target, str) else dict(target)
    return [LoadRecord.from_dict(load) for table in tables or (None,) for load in Call({"table": table, "newest": NEWEST, **settings}).execute("state")["loads"]]


def with_loads(diagnosis: Diagnosis, loads: Iterable[LoadRecord]) -> Diagnosis:
    """The diagnosis, with the changes of a loaded table that explain it, as notes."""
    if diagnosis.cause not in BY_COLUMNS:
        return diagnosis
    names = {_bare(value) for name, value in diagnosis.captured.items() if name in ("column", "relation")}
    events = list(_events(loads))
    named = [told for told, names_of in events if names & names_of]
    if named:
        return replace(diagnosis, notes=(*diagnosis.notes, *named[:MOST_EVENTS]))
    newest = [f"not known to be the reason: {told}" for told, _ in events[:1]]
    return replace(diagnosis, notes=(*diagnosis.notes, *(newest or [f"none of the newest {NEWEST} loads of a table that the target remembers met a change of its columns"])))


def _events(loads: Iterable[LoadRecord]) -> Iterator[tuple[str, set[str]]]:
    """Each change that a load met, in words, and the names it is about; of each table the newest first."""
    for table, group in groupby(loads, lambda load: str(load.record["target_table"])):
        for load in group:
            for drift in (Drift.from_dict(event) for event in (load.record.get("report") or {}).get("drift", ())):
                change = " → ".join(part for part in (drift.old, drift.new) if part)
                yield (
                    f"load {load.load_id} of {table}, {load.committed_at}, met {drift.kind}{f' of {drift.column}' if drift.column else ''}{f' ({change})' if change else ''}: {drift.done}",
                    {_bare(name) for name in (drift.column, drift.old, drift.new, None if drift.column else table) if name},
                )


def _bare(name: str) -> str:
    """The last part of a name, as databases compare it that are not asked to keep its case."""
    return name.replace('"', "").rsplit(".", 1)[-1].casefold()
