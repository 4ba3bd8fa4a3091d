"""What a job hands back: documents of the C core as frozen dataclasses.

Every class here has `from_dict`, which refuses a key it does not know, and `to_dict`, which gives the same
JSON values again. The core is the author: `rowferry spec report` prints the schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from typing import Self

__all__ = [
    "Conversion",
    "Counts",
    "Difference",
    "Document",
    "Drift",
    "Estimate",
    "LoadRecord",
    "Plan",
    "Report",
    "Statement",
    "Verification",
]

Completeness = Literal["proven", "bounded", "best_effort"]


class Document:
    """A dataclass that is one JSON object."""

    __slots__ = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Raises `ValueError` when `values` has other keys than the class has fields."""
        known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
        if set(values) - known:
            raise ValueError(f"{cls.__name__}: unknown keys {sorted(set(values) - known)}")
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Plain dicts and lists, fit for JSON and XCom."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self)}  # type: ignore[arg-type]

    def _freeze(self, **classes: type[Document]) -> None:
        """Turn lists into tuples, and the mappings in the fields of `classes` into those classes."""
        for f in fields(self):  # type: ignore[arg-type]
            value, cls = getattr(self, f.name), classes.get(f.name)
            if isinstance(value, list | tuple):
                value = tuple(cls.from_dict(v) if cls and isinstance(v, Mapping) else v for v in value)
            elif cls and isinstance(value, Mapping):
                value = cls.from_dict(value)
            object.__setattr__(self, f.name, value)


def _plain(value: Any) -> Any:
    if isinstance(value, Document):
        return value.to_dict()
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return dict(value) if isinstance(value, Mapping) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Document):
    """Rows of a load; `staged` = `inserted` + `updated` + `stale` + `duplicates`, before every commit.

    Attributes:
        read: Rows the source sent.
        staged: Rows that arrived at the target.
        inserted: Rows whose key was new.
        updated: Rows whose key was there with older values.
        deleted: Rows closed: `_deleted_at` was set.
        stale: Rows for which the target already held a newer load.
        duplicates: Rows that lost against another row of the same key and load.
        bytes: Bytes the source sent.
    """

    read: int = 0
    staged: int = 0
    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    stale: int = 0
    duplicates: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(Document):
    """A key that is not the same on both sides.

    Attributes:
        key: The key's values as text: `(1,eu)`.
        kind: `different`, `missing` (from the target) or `target_only`.
    """

    key: str
    kind: Literal["different", "missing", "target_only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift(Document):
    """A change of the schema that a load met.

    Attributes:
        kind: As `rowferry drift` lists it: `column_added`, `type_widened`, …
        column: The column, or the partition; None of a whole table.
        old: Its type or name before, or None.
        new: Its type or name now, or None.
        policy: The one that held.
        done: What was done, or what a run would do.
    """

    kind: str
    column: str | None
    old: str | None
    new: str | None
    policy: Literal["apply", "ignore"]
    done: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion(Document):
    """A column that is not carried as what it is at the source.

    Attributes:
        column: Its name.
        type: Its type at the source.
        carried_as: What the source sends it as: `text`, `numeric`, …
        reason: Why; None where `rowferry types` says it for the whole type.
    """

    column: str
    type: str
    carried_as: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification(Document):
    """Source and target compared row by row.

    Attributes:
        result: `equal`, or `different` when a row is missing or differs.
        compared: Rows looked at.
        equal: Rows that are the same on both sides.
        pending: Rows the source changed since the load; the next run brings them.
        target_only: Keys the source no longer has; an error only where deletes are captured.
        different: Rows that should be the same and are not.
        missing: Rows that should be in the target and are not.
        checksum: Sum modulo 2^64 of one hash a row, or None when none was made.
        examples: Up to 20 keys that are not the same.
        exact: Whether both sides were seen at one moment.
        reasons: What the comparison could not cover.
    """

    result: Literal["equal", "different"]
    compared: int = 0
    equal: int = 0
    pending: int = 0
    target_only: int = 0
    different: int = 0
    missing: int = 0
    checksum: str | None = None
    examples: tuple[Difference, ...] = ()
    exact: bool = False
    reasons: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._freeze(examples=Difference)

    def __bool__(self) -> bool:
        """True when nothing differs."""
        return self.result == "equal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask(Document):
    """What hides a column's values: `drop`, `redact`, `truncate:N` or `hash`."""

    column: str
    mask: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate(Document):
    """What the source's statistics say, without reading the table."""

    rows: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Document):
    """One statement of a run.

    Attributes:
        server: `source` or `target`.
        role: What it is for: `merge`, `load record`, …
        sql: Its text as it is sent; values that only a run knows appear as `$n` or in words.
    """

    server: Literal["source", "target"]
    role: str
    sql: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan(Document):
    """What a run would do now.

    Attributes:
        table: Source table, qualified.
        target_table: Target table, qualified.
        capture: How changes would be found.
        capture_reason: Why this capture.
        first_load: Whether the target has no load of this table yet.
        full_read: Whether every row would be read.
        mode: What the target holds: `merge`, `append` or `replace`.
        sweep: Whether all keys would be compared with those of the source.
        completeness: What the report of such a run would claim, when an audit finds nothing.
        hard_deletes: Whether rows deleted at the source would be closed.
        watermark: What a run by cursor after it would read from, ISO 8601 in UTC, or None.
        watermark_held_by: The transaction that holds it back, or None.
        window: `since` and `until` of a backfill, or None.
        estimate: Size of the source table.
        statements: In the order they would be sent.
        reasons: What limits the completeness of such a run.
        drift: Changes of the schema since the last load, and what was done about each.
        conversions: Columns whose values come in another form, such as their text, and why.
        masks: Columns whose values would be hidden, and how.
    """

    table: str
    target_table: str
    capture: Literal["xmin", "cursor", "full"]
    capture_reason: str
    first_load: bool
    full_read: bool
    mode: Literal["merge", "append", "replace"]
    sweep: bool
    completeness: Completeness
    hard_deletes: Literal["captured", "not_captured"]
    watermark: str | None
    watermark_held_by: Mapping[str, Any] | None
    window: Mapping[str, Any] | None
    estimate: Estimate
    statements: tuple[Statement, ...] = ()
    reasons: tuple[str, ...] = ()
    drift: tuple[Drift, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    masks: tuple[Mask, ...] = ()

    def __post_init__(self) -> None:
        self._freeze(estimate=Estimate, statements=Statement, conversions=Conversion, drift=Drift, masks=Mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Document):
    """What a run did and what it can prove.

    Attributes:
        version: Of this document; 1.
        run_id: Of the run; the tries of one run share it.
        try_number: Of this try.
        increment: Of this load within the run, from 1.
        load_id: Place of this load in the order of the target table's loads.
        table: Source table, qualified.
        target_table: Target table, qualified.
        source_name: What `{source}` stood for in the target's name.
        capture: How changes were found; under `cursor` also `xmin`, where open transactions made it so. `given`: the
            rows came from a stream.
        capture_reason: Why this capture.
        first_load: Whether the target had no load of this table before.
        reconciled: Whether the whole table was read though the capture is incremental.
        mode: How rows were written: `merge`, `append` or `replace`.
        completeness: `proven`: no committed insert or update is missing; `bounded`: none older than a stated
            margin; `best_effort`: no such claim.
        hard_deletes: Whether rows deleted at the source were closed in the target.
        reasons: Why not more than that.
        extracted_at: `_extracted_at` of the rows, ISO 8601 in UTC.
        snapshot: The source's snapshot, `xmin:xmax:list`; None of a stream, as the next.
        lsn: The source's write-ahead log position just after it.
        watermark: What the next run by cursor reads from, ISO 8601 in UTC, or None.
        watermark_held_by: The oldest transaction at the source, which makes the next run read rows again.
        held_back: Rows of mode `append` without a key that are left for the next run, since a transaction was open; else None.
        window: `since` and `until` of a backfill, or None.
        swept: Whether all keys were compared with those of the source.
        live: Keys at the `source` and at the `target` after a sweep, or None.
        audit: Rows that the cursor had `missed` and that were loaded now, or None when none was due.
        connections: Readers that read side by side.
        this_try: What this try moved.
        run_total: What all tries of the run moved (under `full` and `replace`: its last load).
        seconds: `wait`, `read`, `merge`, `commit`, `total`.
        source: `server_version`, `system`, `timeline`, `database`, `in_recovery`; None of a stream.
        target: `server_version`, `channel`.
        verification: The comparison, when the job asked for it.
        drift: Changes of the schema since the last load, and what was done about each.
        conversions: Columns whose values come in another form, such as their text, and why.
        masks: Columns whose values were hidden, and how.
        warnings: What somebody should look at.
    """

    version: int
    run_id: str
    try_number: int
    increment: int
    load_id: int
    table: str
    target_table: str
    source_name: str
    capture: Literal["xmin", "cursor", "full", "given"]
    capture_reason: str
    first_load: bool
    reconciled: bool
    mode: Literal["merge", "append", "replace"]
    completeness: Completeness
    hard_deletes: Literal["captured", "not_captured"]
    reasons: tuple[str, ...]
    extracted_at: str
    snapshot: str | None
    lsn: str | None
    watermark_held_by: Mapping[str, Any] | None
    this_try: Counts
    run_total: Counts
    seconds: Mapping[str, float]
    source: Mapping[str, Any] | None
    target: Mapping[str, Any]
    watermark: str | None = None
    held_back: int | None = None
    window: Mapping[str, Any] | None = None
    swept: bool = False
    live: Mapping[str, int] | None = None
    audit: Mapping[str, int] | None = None
    connections: int = 1
    verification: Verification | None = None
    drift: tuple[Drift, ...] = ()
    conversions: tuple[Conversion, ...] = ()
    masks: tuple[Mask, ...] = ()
    warnings: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._freeze(this_try=Counts, run_total=Counts, verification=Verification, conversions=Conversion, drift=Drift, masks=Mask)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRecord:
    """One committed load, or a reset, as the target's control table keeps it.

    Attributes:
        load_id: Place in the order of the table's loads.
        kind: `load` or `reset`.
        committed_at: ISO 8601.
        record: The whole row, `report` included.
    """

    load_id: int
    kind: Literal["load", "reset"]
    committed_at: str
    record: Mapping[str, Any] = field(repr=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        return cls(
            load_id=values["load_id"],
            kind=values["kind"],
            committed_at=values["committed_at"],
            record=values,
        )

    def to_dict(self) -> dict[str, Any]:
        return dict(self.record)
