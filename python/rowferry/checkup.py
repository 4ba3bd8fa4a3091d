"""What can be proven about a source, table by table: the rules behind `rowferry doctor`.

The C core gathers facts with SELECT only; everything here is a pure function from facts to findings, so that
a rule is tested on a plain dict. To add one, write a function that yields findings and name it in
`SERVER_RULES`, `TABLE_RULES` or that of a target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from uuid import uuid4

from rowferry.errors import ConfigurationError, InternalError
from rowferry.job import Call
from rowferry.report import Completeness, Document
from rowferry.uri import is_snowflake

__all__ = ["Checkup", "Cursor", "Finding", "Proof", "SelfTest", "TableCheckup", "doctor", "judge", "scan_seconds", "selftest"]

Facts = Mapping[str, Any]

SECONDS_PER_ROW = 70e-9
"""To look at the `xmin` of one row: 73 ns on PostgreSQL 15 and 64 ns on 18, measured over 2 million rows in memory,
where `count(*)` took 45 and 41 ns."""

BYTES_PER_SECOND = 200e6
"""Assumed when nothing is said: a middling cloud disk; a table in memory is read several times faster."""

LOADABLE = ("table", "partitioned table")
"""Kinds whose rows carry the transaction that wrote them."""

XMIN_MAX_BYTES = 10 * 2**30
"""The default of the setting `xmin_max_bytes`."""

LONG_TRANSACTION = 600.0
"""Seconds after which an open transaction is worth a warning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Document):
    """One thing that somebody should know.

    Attributes:
        level: `problem`: a run would fail; `warning`: rows could be lost or missed; `note`: good to know.
        rule: Stable name of the rule.
        message: What is so.
        fix: What to do about it.
    """

    level: Literal["problem", "warning", "note"]
    rule: str
    message: str
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor(Document):
    """A column that tools use to find changed rows, `where updated_at > …`.

    Attributes:
        column: Its name.
        role: What its name says it holds: `inserted_at`, `updated_at` or `deleted_at`.
        type: Its type.
        set_by: Who fills it: a trigger, a default, or only the application.
        loses: Why a reader that trusts this column can miss rows; never empty, see the last of them.
        indexed: Whether looking for new values avoids a scan of the whole table.
    """

    column: str
    role: Literal["inserted_at", "updated_at", "deleted_at"]
    type: str
    set_by: Literal["trigger", "default", "application"]
    loses: tuple[str, ...]
    indexed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof(Document):
    """What a run with one capture could claim.

    Attributes:
        capture: `xmin`, `cursor` or `full`.
        completeness: As in a report.
        reasons: Why not more.
    """

    capture: Literal["xmin", "cursor", "full"]
    completeness: Completeness
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TableCheckup(Document):
    """What rowferry would do with one table, and what it could claim afterwards.

    Attributes:
        table: Qualified name.
        kind: Table, partitioned table, view, …
        bytes: On disk, without indexes.
        rows_estimate: By the statistics of the source; None when it was never analyzed.
        keys: Columns of the key that would be used.
        key_source: `primary key`, `unique` or `none`.
        capture: What `auto` would choose at its first load; None: it cannot be loaded.
        completeness: What the report of such a run would claim; None: it cannot be loaded.
        proofs: Each capture that is possible, and what it could claim.
        scan_seconds: Estimate of one incremental read; see `scan_seconds`.
        cursors: Columns that look like cursors.
        findings: What stands in the way, or could be better.
    """

    table: str
    kind: str
    bytes: int
    rows_estimate: int | None
    keys: tuple[str, ...]
    key_source: str
    capture: Literal["xmin", "cursor"] | None
    completeness: Completeness | None
    proofs: tuple[Proof, ...]
    scan_seconds: float
    cursors: tuple[Cursor, ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkup(Document):
    """A source, its tables, and the target when one was given.

    Attributes:
        server: Facts about the source.
        oldest: The transaction that holds back every snapshot, or None.
        target: Facts about the target, or None.
        findings: About both servers.
        tables: Largest first.
        bytes_per_second: What the scan times assume.
    """

    server: Facts
    oldest: Facts | None
    target: Facts | None
    findings: tuple[Finding, ...]
    tables: tuple[TableCheckup, ...]
    bytes_per_second: float


def doctor(
    source: str,
    target: str | None = None,
    tables: Sequence[str] = (),
    *,
    limit: int | None = None,
    bytes_per_second: float = BYTES_PER_SECOND,
    **settings: Any,
) -> Checkup:
    """Look at a source, and at a target when there is one, without changing anything.

    Args:
        source: URI of the source; see `rowferry.Job`.
        target: URI of the target.
        tables: Tables to look at; none: all that are not the system's.
        limit: How many of them, the largest first.
        bytes_per_second: How fast the source reads its disk.
        settings: Further settings of a job, such as `connect_timeout`.
    Raises:
        RowferryError: A server cannot be reached, or a table does not exist.
    """
    named: list[str | None] = [*tables] or [None]
    calls = [Call({"source": source, "target": target, "table": table, **settings}) for table in named]
    answers = [call.execute("inspect") for call in calls]
    for table, answer in zip(tables, answers, strict=False):
        if not answer["tables"]:
            raise ConfigurationError(f"the source has no table {table}, or hides it from this user")
    seen = [table for answer in answers for table in answer["tables"]]
    return judge(
        {**answers[0], "tables": seen},
        limit=limit,
        bytes_per_second=bytes_per_second,
        xmin_max_bytes=settings.get("xmin_max_bytes", XMIN_MAX_BYTES),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest(Document):
    """What a Snowflake account did with real loads of one table.

    Attributes:
        table: Of the source, the smallest that can be loaded unless one was named.
        schema: Where it went, with the control tables: a schema of its own, which is gone again.
        channel: How the account was reached: `adbc` or `odbc`.
        steps: What was done, and how many rows it moved, in order.
        reports: Of the loads, as `rowferry run --json` prints them.
    """

    table: str
    schema: str
    channel: str
    steps: tuple[str, ...]
    reports: tuple[Facts, ...]


def selftest(source: str, target: str, table: str | None = None, **settings: Any) -> SelfTest:
    """Load one table of the source into a schema of its own on Snowflake, in every way that a load goes, and drop the schema.

    The source is only read. Needs the right to create a schema in the target's database.

    Args:
        source: URI of the source.
        target: `snowflake://…`, which names a database.
        table: Table to load; None: the smallest that can be.
        settings: Further settings of a job.
    Raises:
        RowferryError: What a load would raise, and where it does not do what it should, `InternalError`.
    """
    if not is_snowflake(target):
        raise ConfigurationError("a self-test is of a snowflake:// target; other targets are tried by `make test`")
    chosen = table or _smallest(doctor(source, **settings))
    schema = f"rowferry_selftest_{uuid4().hex[:12]}"
    given = {**settings, "source": source, "target": target, "table": chosen, "control_schema": schema}
    given["target_table"] = f"{schema}.{{table}}"
    steps: list[str] = []
    reports: list[Facts] = []

    def load(what: str, moved: str, **more: Any) -> None:
        report = Call({**given, **more}).execute("run")
        n_rows = report["this_try"]["read"]
        reports.append(report)
        if n_rows != report["this_try"][moved] + report["this_try"]["duplicates"]:
            raise InternalError(f"self-test: {what} read {n_rows} rows and {moved} {report['this_try'][moved]}")
        steps.append(f"{what}: {n_rows} rows")

    try:
        load("a first load", "inserted", capture="full")
        load("every row again, over those that are there", "updated", capture="full")
        load("what changed since, with a sweep of all keys", "updated", capture="xmin", sweep="always")
        Call(given).execute("reset")
        load("every row again, after a reset", "updated", capture="xmin")
        steps.append(f"{len(Call(given).execute('state')['loads'])} load records")
    finally:
        Call(given).execute("discard")
    channel = reports[0]["target"]["channel"]
    return SelfTest(table=chosen, schema=schema, channel=channel, steps=(*steps, "the schema is dropped"), reports=tuple(reports))


def _smallest(found: Checkup) -> str:
    """The smallest table that a load could bring."""
    tables = [table for table in found.tables if table.capture and table.key_source != "none" and table.rows_estimate != 0]
    if not tables:
        raise ConfigurationError("the source has no table that could be loaded: name one with --table")
    return min(tables, key=lambda table: table.bytes).table


def judge(
    facts: Facts,
    *,
    limit: int | None = None,
    bytes_per_second: float = BYTES_PER_SECOND,
    xmin_max_bytes: int = XMIN_MAX_BYTES,
) -> Checkup:
    """Findings from what the core's `inspect` saw."""
    target = facts.get("target")
    findings = [finding for rule in SERVER_RULES for finding in rule(facts)]
    if target is not None:
        rules = TARGET_RULES.get(target.get("database"), NAMED_RULES)
        findings += [finding for rule in rules for finding in rule(target)]
    tables = sorted(facts["tables"], key=lambda table: -table["bytes"])[:limit]
    return Checkup(
        server=facts["server"],
        oldest=facts.get("oldest"),
        target=target,
        findings=tuple(findings),
        tables=tuple(
            judge_table(table, facts["server"], bytes_per_second=bytes_per_second, xmin_max_bytes=xmin_max_bytes)
            for table in tables
        ),
        bytes_per_second=bytes_per_second,
    )


def judge_table(
    table: Facts,
    server: Facts,
    *,
    bytes_per_second: float = BYTES_PER_SECOND,
    xmin_max_bytes: int = XMIN_MAX_BYTES,
) -> TableCheckup:
    """What a run over `table` could claim."""
    n_rows = None if table["rows_estimate"] < 0 else round(table["rows_estimate"])
    proofs = tuple(_proofs(table, server))
    chosen = _auto(table, proofs, xmin_max_bytes)
    findings = [finding for rule in TABLE_RULES for finding in rule(table)]
    if chosen:
        findings += _size(table, chosen, xmin_max_bytes)
    return TableCheckup(
        table=table["table"],
        kind=table["kind"],
        bytes=table["bytes"],
        rows_estimate=n_rows,
        keys=tuple(table["keys"]),
        key_source=table["key_source"],
        capture=chosen.capture if chosen else None,  # type: ignore[arg-type]
        completeness=chosen.completeness if chosen else None,
        proofs=proofs,
        scan_seconds=round(scan_seconds(table["bytes"], n_rows or 0, bytes_per_second), 3),
        cursors=tuple(_cursor(table, column) for column in table["columns"] if column["role"]),
        findings=tuple(findings),
    )


def _proofs(table: Facts, server: Facts) -> Iterator[Proof]:
    """Each capture that is possible; the reasons are those of a report."""
    if table["kind"] not in LOADABLE:
        return
    hides = "row security hides rows of the source from this role; a change of what it hides is not seen"
    hidden = (hides,) if table["row_security"] else ()
    proven: Completeness = "best_effort" if hidden else "proven"
    yield Proof(capture="xmin", completeness=proven, reasons=hidden)
    if cursors := _convention(table):
        doubts = (*_doubts(cursors, server), *hidden)
        yield Proof(capture="cursor", completeness="best_effort" if doubts else "bounded", reasons=doubts)
    yield Proof(capture="full", completeness=proven, reasons=hidden)


def _convention(table: Facts) -> list[Facts]:
    """The cursor columns of a run that names none: one for each role, if any but deleted_at is there."""
    timed = {c["name"]: c for c in table["columns"] if c["role"] and c["type"].startswith(("timestamp", "date"))}
    pairs = (("inserted_at", "created_at"), ("updated_at", "modified_at"), ("deleted_at",))
    found = [next((timed[name] for name in names if name in timed), None) for names in pairs]
    return [column for column in found if column] if any(found[:2]) else []


def _doubts(cursors: Sequence[Facts], server: Facts) -> Iterator[str]:
    """Why a capture by cursor proves less than a bound."""
    if not any("with time zone" in column["type"] and column["by_clock"] for column in cursors):
        yield "no cursor column with a time zone is known to be set to now() by row triggers on every INSERT and UPDATE"
    if server["in_recovery"]:
        yield "the source is a standby: transactions open on its primary do not show"
    if not _sees_all(server):
        yield "the role lacks pg_read_all_stats: since when others' transactions are open does not show"


def _auto(table: Facts, proofs: Sequence[Proof], xmin_max_bytes: int) -> Proof | None:
    """What `auto` chooses at a table's first load; a default never takes what proves less than a bound."""
    found = {proof.capture: proof for proof in proofs}
    cursor = found.get("cursor")
    large = table["bytes"] > xmin_max_bytes and all(column["indexed"] for column in _convention(table))
    return cursor if cursor and large and cursor.completeness == "bounded" else found.get("xmin")


def scan_seconds(n_bytes: int, n_rows: float, bytes_per_second: float = BYTES_PER_SECOND) -> float:
    """Estimated time of one incremental read, in seconds: bytes / (bytes per second) + rows x 70 ns.

    Such a read visits every page of the table once, as `count(*)` does, and compares one number a row.
    """
    return n_bytes / bytes_per_second + n_rows * SECONDS_PER_ROW


def _cursor(table: Facts, column: Facts) -> Cursor:
    set_by = _set_by(table, column)
    return Cursor(
        column=column["name"],
        role=column["role"],
        type=column["type"],
        set_by=set_by,
        loses=tuple(_losses(column, set_by)),
        indexed=column["indexed"],
    )


def _set_by(table: Facts, column: Facts) -> Literal["trigger", "default", "application"]:
    needed = {"insert"} if column["role"] == "inserted_at" else {"insert", "update"}
    triggers = [t for t in table["triggers"] if _can_set(t) and column["name"] in t["function_sets"]]
    covered = {event for trigger in triggers for event in trigger["events"].split(",")}
    if covered and column["default"] is not None:
        covered.add("insert")
    if covered >= needed:
        return "trigger"
    return "default" if column["default"] is not None else "application"


def _can_set(trigger: Facts) -> bool:
    """Whether what the trigger assigns to NEW reaches the row."""
    return trigger["enabled"] and trigger["for_each_row"] and trigger["when"] == "before"


def _losses(column: Facts, set_by: str) -> Iterator[str]:
    role, name = column["role"], column["name"]
    if role == "inserted_at":
        yield "says nothing of updates"
    if set_by == "application":
        yield "no trigger sets it: a writer that forgets it, or whose clock is slow, hides its rows"
    if set_by == "default" and role != "inserted_at":
        yield "only its default sets it, and a default does not fire on UPDATE"
    if not column["not_null"] and role != "deleted_at":
        yield f"may be NULL, and NULL is never greater than the last {name}"
    if column["type"].startswith("timestamp") and "without time zone" in column["type"]:
        yield "has no time zone: sessions in other zones write other values, and an hour comes twice a year"
    if column["type"] == "date":
        yield "has the resolution of a day"
    yield "a transaction that was open during the last read writes an older value and commits after it"


def _privileges(table: Facts) -> Iterator[Finding]:
    if not table["select"]:
        yield Finding(
            level="problem",
            rule="no-select",
            message="this user may not read it",
            fix=f"GRANT SELECT ON {table['table']} TO …",
        )


def _key(table: Facts) -> Iterator[Finding]:
    if table["key_source"] == "none":
        yield Finding(
            level="problem",
            rule="no-key",
            message="no primary key and no unique constraint on columns that are never NULL",
            fix="name the columns that identify a row: --keys",
        )


def _row_versions(table: Facts) -> Iterator[Finding]:
    if table["kind"] not in LOADABLE:
        yield Finding(
            level="problem",
            rule="no-row-versions",
            message=f"a {table['kind']} keeps no row versions by which changes could be proven",
            fix="load the tables it reads instead",
        )


def _row_security(table: Facts) -> Iterator[Finding]:
    if table["row_security"]:
        yield Finding(
            level="warning",
            rule="row-security",
            message="row security applies to this user: rows it hides count as absent",
            fix="read as a role with BYPASSRLS",
        )


def _types(table: Facts) -> Iterator[Finding]:
    refused = [f"{c['name']} ({c['type']})" for c in table["columns"] if not c["passes"]]
    if refused:
        yield Finding(
            level="problem",
            rule="type",
            message=f"no exact way into PostgreSQL for {', '.join(refused)}",
            fix="leave them out: --columns",
        )


def _cursor_index(table: Facts) -> Iterator[Finding]:
    bare = [c["name"] for c in table["columns"] if c["role"] in ("inserted_at", "updated_at") and not c["indexed"]]
    if bare:
        yield Finding(
            level="note",
            rule="cursor-index",
            message=f"no index on {', '.join(bare)}: a reader by cursor scans the table just as xmin does",
        )


def _size(table: Facts, chosen: Proof, xmin_max_bytes: int) -> Iterator[Finding]:
    if chosen.capture == "xmin" and table["bytes"] > xmin_max_bytes:
        yield Finding(
            level="note",
            rule="large",
            message="each run by xmin looks at every page; auto prefers a cursor for tables of this size, but only"
            " where one is indexed and proves bounded",
            fix="an indexed timestamptz column that a trigger sets on INSERT and UPDATE, or --connections",
        )


def _replica(facts: Facts) -> Iterator[Finding]:
    if facts["server"]["in_recovery"]:
        yield Finding(
            level="note",
            rule="replica",
            message="this is a standby: a read shows what it has replayed, and may be cancelled by recovery; "
            "a capture by cursor proves no more than best effort here",
            fix="hot_standby_feedback = on, or max_standby_streaming_delay above the longest read",
        )


def _oldest(facts: Facts) -> Iterator[Finding]:
    oldest = facts.get("oldest")
    if not oldest or (oldest["seconds"] or 0) < LONG_TRANSACTION:
        return
    yield Finding(
        level="warning",
        rule="long-transaction",
        message=f"{holder(oldest)}, holds back every snapshot: each run reads again what changed since then",
        fix={
            "prepared": "COMMIT PREPARED or ROLLBACK PREPARED it",
            "slot": "let its consumer catch up, or drop the slot",
        }.get(oldest["kind"], f"end it: SELECT pg_terminate_backend({oldest['pid']})"),
    )


def _sees_sessions(facts: Facts) -> Iterator[Finding]:
    server = facts["server"]
    if not _sees_all(server):
        yield Finding(
            level="note",
            rule="no-read-all-stats",
            message=f"{server['current_user']} cannot see other users' transactions; xmin does not need it, "
            "a bounded capture by cursor and naming who holds a watermark back do",
            fix=f"GRANT pg_read_all_stats TO {server['current_user']}",
        )


def _sees_all(server: Facts) -> bool:
    return server["is_superuser"] or server["pg_read_all_stats"]


def _connections(facts: Facts) -> Iterator[Finding]:
    taken, most = facts["server"]["connections"], facts["server"]["max_connections"]
    if taken > 0.8 * most:
        yield Finding(
            level="warning",
            rule="connections",
            message=f"{taken} of {most} connections are taken, and each table that is read needs one",
            fix="fewer tables side by side: --jobs, or an Airflow pool",
        )


def _writable(target: Facts) -> Iterator[Finding]:
    if target["read_only"]:
        yield Finding(level="problem", rule="read-only", message="the target accepts no writes: nothing can be loaded")


def _target_rights(target: Facts) -> Iterator[Finding]:
    if target["read_only"]:
        yield Finding(level="problem", rule="read-only", message="the target is a standby: nothing can be loaded")
    if not target["can_create_temp"]:
        yield Finding(
            level="problem",
            rule="no-temp",
            message=f"{target['current_user']} may not create the temporary table that rows are staged in",
            fix=f"GRANT TEMPORARY ON DATABASE … TO {target['current_user']}",
        )
    if not (target["can_create_schema"] or target["control_schema_exists"]):
        yield Finding(
            level="problem",
            rule="no-create",
            message=f"{target['current_user']} may not create schemas, and the control schema is not there",
            fix=f"GRANT CREATE ON DATABASE … TO {target['current_user']}",
        )


def _target_encoding(target: Facts) -> Iterator[Finding]:
    if target["server_encoding"] != "UTF8":
        yield Finding(
            level="problem",
            rule="encoding",
            message=f"the target's encoding is {target['server_encoding']}; values pass unchanged between UTF8 only",
            fix="CREATE DATABASE … ENCODING 'UTF8'",
        )


def _file_opens(target: Facts) -> Iterator[Finding]:
    if not target["writable"]:
        message = f"this user may not write {target['path']}, or not make files beside it, where DuckDB keeps its log"
        yield Finding(level="problem", rule="not-writable", message=message)
    elif target["refused"]:
        yield Finding(level="problem", rule="refused", message=f"{target['path']} cannot be opened: {target['refused']}")


def _file_is_held(target: Facts) -> Iterator[Finding]:
    if target["held_by"]:
        yield Finding(
            level="warning",
            rule="held",
            message=f"{target['path']} is open elsewhere: {target['held_by']}",
            fix="a run waits for it up to lock_timeout; end that process, or let it close the file",
        )


def _disk(target: Facts) -> Iterator[Finding]:
    """A load writes its rows into the log beside the file before it writes them into the file."""
    if target["free_bytes"] is not None and target["free_bytes"] < target["bytes"]:
        yield Finding(
            level="warning",
            rule="disk",
            message=f"{target['free_bytes'] / 1e9:.1f} GB are free beside a file of {target['bytes'] / 1e9:.1f} GB: a load of all rows may not fit",
        )


def holder(oldest: Facts) -> str:
    """Who keeps the oldest transaction open, in words; of a report's `watermark_held_by` too, which has no `kind`."""
    if oldest.get("kind") == "slot":
        who = "a replication slot"
    elif oldest.get("kind") == "prepared" or not oldest["pid"]:
        who = "a prepared transaction"
    else:
        who = f"process {oldest['pid']} ({oldest['user'] or 'unknown user'}, {oldest['application'] or 'no name'})"
    return who if oldest["seconds"] is None else f"{who}, open for {oldest['seconds']:.0f} s"


SERVER_RULES = (_replica, _oldest, _sees_sessions, _connections)
TABLE_RULES = (_privileges, _key, _row_versions, _row_security, _types, _cursor_index)
POSTGRES_RULES = (_target_rights, _target_encoding)
DUCKDB_RULES = (_file_opens, _file_is_held, _disk)
NAMED_RULES = (_writable,)
TARGET_RULES = {None: POSTGRES_RULES, "DuckDB": DUCKDB_RULES}
"""By the database that facts of a target name; those of a PostgreSQL server name none, but behind ODBC, and what is not here has NAMED_RULES."""
