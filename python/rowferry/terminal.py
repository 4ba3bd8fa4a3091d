"""What people see: progress, one line a table, errors, and the tables of `doctor`, `types` and `state show`.

Texts are made by pure functions; rich, which costs memory and time, is imported only where a terminal or a
table is drawn.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rowferry.checkup import Checkup, TableCheckup, holder
from rowferry.errors import RowferryError
from rowferry.job import Job, Progress
from rowferry.report import Drift, LoadRecord, Plan, Report, Verification

if TYPE_CHECKING:
    from rowferry.diagnosis import Diagnosis
    from rowferry.lint import Finding

Show = Callable[[Job, Progress | None], object]
"""Called with None when the job has ended."""

SECONDS_BETWEEN_LINES = 10.0
SHOWN_DIFFERENCES = 20
FATES = ("inserted", "updated", "deleted", "stale", "duplicates")


@contextmanager
def progress_display() -> Iterator[Show]:
    """Bars when standard error is a terminal, a line now and then when it is not."""
    if sys.stderr.isatty():
        with _bars() as show:
            yield show
    else:
        yield _lines()


def _lines(now: Callable[[], float] = time.monotonic) -> Show:
    last: dict[str, float] = {}

    def show(job: Job, progress: Progress | None) -> None:
        if progress and now() - last.setdefault(job.table, now()) >= SECONDS_BETWEEN_LINES:
            last[job.table] = now()
            print(f"{job.table}: {progress_text(progress)}", file=sys.stderr, flush=True)

    return show


@contextmanager
def _bars() -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("{task.fields[table]}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.description}", markup=False),
    )
    console = Console(stderr=True)
    both = sys.stdout.isatty()  # then what is printed has to go above the bars, not through them
    with Display(*columns, console=console, transient=True, redirect_stdout=both) as display:
        tasks: dict[int, Any] = {}

        def show(job: Job, progress: Progress | None) -> None:
            if progress is None:
                if id(job) in tasks:
                    display.remove_task(tasks.pop(id(job)))
                return
            if id(job) not in tasks:
                tasks[id(job)] = display.add_task("", total=None, table=job.table)
            display.update(tasks[id(job)], description=progress_text(progress))

        yield show


def progress_text(progress: Progress) -> str:
    seconds = progress["seconds"]
    return (
        f"{progress['phase']}, {progress['rows']:,} rows, {size(progress['bytes'])}"
        f"{rate(progress['rows'], seconds)}, {seconds:.0f} s"
    )


def report_text(report: Report) -> str:
    """The line that ends a run of one table, and under it what was proven and why not more."""
    return "\n  ".join([_report_line(report), *proof_lines(report)])


def _report_line(report: Report) -> str:
    done, seconds = report.this_try, report.seconds["total"]
    parts = [
        f"{report.table} -> {report.target_table}: {done.read:,} rows, {size(done.bytes)}, {seconds:.1f} s"
        f"{rate(done.read, seconds)}",
        f"{report.capture}{', first load' if report.first_load else ''}{', reconciled' if report.reconciled else ''}",
        _proven(report),
        ", ".join(f"{getattr(done, name):,} {name}" for name in FATES),
    ]
    if report.held_back:
        parts.append(f"{report.held_back:,} held back")
    if report.verification:
        parts.append("verified " + report.verification.result)
    return "; ".join(parts)


def proof_lines(report: Report) -> Iterator[str]:
    """How the rows were found, why no more is proven, and what the next run starts from."""
    yield from _ground_lines(report)
    if report.swept:
        keys = f": {report.live['source']:,} keys at the source, {report.live['target']:,} here" if report.live else ""
        yield f"swept{keys}"
    if report.audit:
        yield f"audit: the cursor had missed {report.audit['missed']:,} rows"


def _ground_lines(of: Report | Plan) -> Iterator[str]:
    yield f"capture {of.capture}: {of.capture_reason}"
    yield from of.reasons
    yield from map(drift_line, of.drift)
    for of_column in of.conversions:
        why = f": {of_column.reason}" if of_column.reason else ""
        yield f"{of_column.column} ({of_column.type}) carried as {of_column.carried_as}{why}"
    for of_mask in of.masks:
        yield f"{of_mask.column} masked: {of_mask.mask}"
    if of.window:
        yield f"window: from {of.window['since'] or 'the first row'} to {of.window['until'] or 'the last'}"
    if of.watermark:
        yield f"watermark: the next run reads from {of.watermark}"
    if of.watermark_held_by:
        yield f"held back by {holder(of.watermark_held_by)}: the next run reads again what it may have written"


def drift_line(event: Drift) -> str:
    """`drift: type_widened of "price", numeric(12,2) -> numeric(20,2): …`."""
    what = f' of "{event.column}"' if event.column else ""
    change = ", " + " -> ".join(part or "nothing" for part in (event.old, event.new)) if event.old or event.new else ""
    return f"drift: {event.kind}{what}{change}: {event.done} ({event.policy})"


def _proven(of: Report | Plan) -> str:
    return f"{of.completeness}, hard deletes {of.hard_deletes}".replace("_", " ")


def verification_text(table: str, found: Verification) -> str:
    """One line, and the keys that are not the same."""
    counts = ("compared", "equal", "pending", "target_only", "different", "missing")
    told = ", ".join(f"{getattr(found, name):,} {name.replace('_', ' ')}" for name in counts)
    moment = "at one moment" if found.exact else "as of its newest load"
    lines = [f"{table}: {'equal' if found else 'DIFFERENT'} {moment}; {told}"]
    lines += [f"  {reason}" for reason in found.reasons]
    lines += [f"  {e.kind.replace('_', ' ')}: {e.key}" for e in found.examples[:SHOWN_DIFFERENCES]]
    return "\n".join(lines)


def plan_text(plan: Plan) -> str:
    """The plan as SQL with comments."""
    rows, n_bytes = plan.estimate.rows, plan.estimate.bytes
    about = "never analyzed" if rows is None else f"about {rows:,.0f} rows"
    first = ", first load" if plan.first_load else ""
    lines = [
        f"-- {plan.table} ({about}, {size(n_bytes or 0)}) -> {plan.target_table}, mode {plan.mode}{first}",
        f"-- reads {_what_is_read(plan)}",
        f"-- {_proven(plan)}",
        *(f"-- {line}" for line in _ground_lines(plan)),
    ]
    for n, statement in enumerate(plan.statements, 1):
        lines += ["", f"-- {n}. {statement.server}: {statement.role}", statement.sql.rstrip("; \n") + ";"]
    return "\n".join(lines)


def _what_is_read(plan: Plan) -> str:
    rows = "the rows of the window" if plan.window else "the rows changed since the last load"
    return f"{'every row' if plan.full_read else rows}{', and all keys' if plan.sweep else ''}"


def error_text(error: RowferryError) -> str:
    """The error with what the server said, where, and what to do."""
    head = f"{error.code} error" + (f" ({error.sqlstate})" if error.sqlstate else "")
    lines = [f"{head}: {error.message}"]
    if error.server_message and error.server_message not in error.message:
        lines.append(f"  server: {error.server_message}")
    lines += [f"  {name}: {text}" for name in ("detail", "hint") if (text := getattr(error, name))]
    if error.role:
        lines.append(f"  while: {error.role}")
    return "\n".join(lines)


def finding_text(finding: Finding) -> str:
    """A finding of `lint`, its first line as editors and CI read it."""
    head = f"{finding.path}:{finding.line}: {finding.code} {finding.rule}: {finding.message}"
    return f"{head}\n  why: {finding.why}\n  fix: {finding.fix}"


def diagnoses_text(diagnoses: Sequence[Diagnosis]) -> str:
    """Each diagnosis with what it rests on; a diff stands unindented, as `patch` reads it."""
    return "\n\n".join("\n".join(_diagnosis_lines(d)) for d in diagnoses) or "nothing failed here"


def _diagnosis_lines(of: Diagnosis) -> Iterator[str]:
    where = f" in {of.node}" if of.node else ""
    task = f", task {of.captured['task']}" if "task" in of.captured else ""
    sure = of.evidence if of.evidence == "insufficient" else f"{of.evidence}, {of.confidence:.0%}"
    yield f"{of.title}{where}{task} [{of.cause}: {sure}{', may pass when run again' if of.transient else ''}]"
    yield from (f"  {f'line {line.number}: ' if line.number else ''}{line.text}" for line in of.lines)
    if of.fix:
        yield f"  fix: {of.fix}"
    yield from (f"  note: {note}" for note in of.notes)
    if of.consequences:
        yield f"  because of this: {'; '.join(of.consequences)}"
    if of.diff:
        yield of.diff.rstrip("\n")


def print_loads(table: str, loads: Sequence[LoadRecord]) -> None:
    if not loads:
        print(f"{table}: no load yet")
        return
    columns = ("load_id", "kind", "committed_at", "run_id", "try_number", "capture", "completeness")
    counts = ("rows_read", "rows_inserted", "rows_updated", "rows_deleted")
    rows = [[_cell(load.record.get(name)) for name in columns + counts] for load in loads]
    _print_table(table, (*columns, *counts), rows)


TYPE_COLUMNS = {
    "postgres": {"to_postgres": "on PostgreSQL"},
    "arrow": {"sent_as": "sent as", "arrow": "in Arrow", "note": "note"},
    "duckdb": {"sent_as": "sent as", "duckdb": "on DuckDB", "note": "note"},
    "mariadb": {"mariadb": "on MariaDB", "mariadb_note": "note"},
    "sqlite": {"sqlite": "in SQLite", "sqlite_note": "note"},
    "psqlodbc": {"psqlodbc": "on PostgreSQL through ODBC"},
    "snowflake": {"sent_as": "sent as", "snowflake": "on Snowflake", "snowflake_note": "note"},
}
"""For each target of `rowferry types`: keys of the core's table, and their headings."""


def chosen_type(row: Mapping[str, Any], target: str | None) -> dict[str, Any]:
    """What a row of the table of types says of one target, or of all."""
    return {key: value for key, value in row.items() if key == "postgres" or not target or key in TYPE_COLUMNS[target]}


def print_types(rows: Sequence[Mapping[str, Any]], target: str | None) -> None:
    chosen = TYPE_COLUMNS if target is None else {target: TYPE_COLUMNS[target]}
    heads = {"postgres": "type", **{key: head for columns in chosen.values() for key, head in columns.items()}}
    for note in [key for key in heads if key.endswith("note")]:
        heads[note] = heads.pop(note)  # the longest stand last
    _print_table(None, list(heads.values()), [[_cell(row[key]) for key in heads] for row in rows])


DRIFT_COLUMNS = ("change", "kind", "apply", "ignore")


def drift_text(kinds: Sequence[Mapping[str, Any]]) -> str:
    """The table of kinds and policies, as Markdown; what holds without a word of the job stands in bold."""
    rows = [[_drift_cell(kind, column) for column in DRIFT_COLUMNS] for kind in kinds]
    head = ["| " + " | ".join([*DRIFT_COLUMNS, "fail"]) + " |", "|---" * 5 + "|"]
    return "\n".join(head + ["| " + " | ".join([*row, "**stops**" if kind["default"] == "fail" else "stops"]) + " |" for row, kind in zip(rows, kinds, strict=True)])


def _drift_cell(kind: Mapping[str, Any], column: str) -> str:
    text = kind["meaning"] if column == "change" else f"`{kind['kind']}`" if column == "kind" else kind[column] or "–"
    return f"**{text}**" if column == kind["default"] else text


def print_checkup(checkup: Checkup) -> None:
    for line in server_lines(checkup):
        print(line)
    print()
    head = ("table", "rows", "size", "key", "capture", "completeness", "by cursor", "scan")
    _print_table(None, head, [_row(table) for table in checkup.tables])
    rate_mb = checkup.bytes_per_second / 1e6
    print(f"scan: estimate of one incremental read, size at an assumed {rate_mb:g} MB/s + rows x 70 ns")
    print("by cursor: what --capture cursor would prove. Deleted rows leave no trace for either: --sweep closes them")
    for table in checkup.tables:
        for line in table_lines(table):
            print(line)


def server_lines(checkup: Checkup) -> Iterator[str]:
    server, target = checkup.server, checkup.target
    kind = "standby" if server["in_recovery"] else "primary"
    rights = "superuser" if server["is_superuser"] else "ordinary user"
    yield f"source: PostgreSQL {version(server['version'])}, {kind}, as {server['current_user']} ({rights})"
    if checkup.oldest:
        yield f"oldest transaction: {holder(checkup.oldest)}"
    else:
        yield "oldest transaction: none is open"
    if target:
        there = target["control_tables"]
        control = "not looked into" if there is None else "its control tables are there" if there else "no control tables yet"
        channel = target.get("channel", "libpq")
        product = f"{target['database']} {target['version']}" if "channel" in target else f"PostgreSQL {version(target['version'])}"
        account = f", as {target['current_user']}" if target.get("current_user") else ""
        yield f"target: {product} through {CHANNELS[channel]}{account}, {control}"
        if target.get("database") == "DuckDB":
            yield _file(target)
    for finding in checkup.findings:
        yield from _finding_lines(finding, "")


CHANNELS = {"libpq": "libpq", "odbc": "ODBC", "adbc": "ADBC"}


def _file(target: Mapping[str, Any]) -> str:
    """Of a target that is a file of this machine."""
    file = size(target["bytes"]) if target["exists"] else "not there yet"
    free = "" if target["free_bytes"] is None else f", {size(target['free_bytes'])} free beside it"
    return f"file: {target['path']}, {file}{free}; DuckDB may take {target['memory_limit']} and {target['threads']} threads"


def table_lines(table: TableCheckup) -> Iterator[str]:
    """What there is to say about one table; nothing when all is well and there is no cursor."""
    if not (table.cursors or table.findings):
        return
    yield ""
    yield table.table
    for finding in table.findings:
        yield from _finding_lines(finding, "  ")
    for proof in table.proofs:
        if proof.capture == "cursor" and proof.reasons:
            yield "  --capture cursor would be best effort:"
            yield from (f"    - {reason}" for reason in proof.reasons)
    for cursor in table.cursors:
        facts = f"{cursor.type}, set by {cursor.set_by}{'' if cursor.indexed else ', not indexed'}"
        yield f"  cursor {cursor.column} ({facts}): who reads only what is newer can lose rows:"
        yield from (f"    - {reason}" for reason in cursor.loses)


def _finding_lines(finding: Any, indent: str) -> Iterator[str]:
    yield f"{indent}{finding.level}: {finding.message} [{finding.rule}]"
    if finding.fix:
        yield f"{indent}  fix: {finding.fix}"


def _row(table: TableCheckup) -> list[str]:
    return [
        table.table,
        "?" if table.rows_estimate is None else f"{table.rows_estimate:,}",
        size(table.bytes),
        f"{', '.join(table.keys)} ({table.key_source})" if table.keys else "none",
        table.capture or "none",
        (table.completeness or "none").replace("_", " "),
        next((p.completeness.replace("_", " ") for p in table.proofs if p.capture == "cursor"), "none"),
        f"{table.scan_seconds:.1f} s",
    ]


def _print_table(title: str | None, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*head, box=box.SIMPLE_HEAD)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 200)
    if title:
        console.print(Text(title))
    console.print(table)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def size(n_bytes: float) -> str:
    """Bytes in a unit that fits: `12.3 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if n_bytes < 1000:
            return f"{n_bytes:.0f} B" if unit == "B" else f"{n_bytes:.1f} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:.1f} TB"


def version(number: int | str) -> str:
    """150018 as `15.18`; a text stays as it is."""
    return f"{number // 10000}.{number % 10000}" if isinstance(number, int) else number


def rate(rows: int, seconds: float) -> str:
    return f", {rows / seconds:,.0f} rows/s" if seconds > 0 else ""
