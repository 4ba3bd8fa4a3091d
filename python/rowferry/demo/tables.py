"""How the demo's findings look on a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from rowferry.demo.warehouse import Node
from rowferry.report import Report, Verification
from rowferry.terminal import drift_line

__all__ = ["dbt", "drift", "history", "loads", "lost", "run", "stages", "verified"]


def run(console: Console, state: str, tasks: Sequence[Mapping[str, Any]]) -> None:
    """How a run of the DAG ended, and its tasks by part."""
    parts = Counter(task["task_id"].partition(".")[0] for task in tasks)
    counted = ", ".join(f"{part} {n}" for part, n in parts.items())
    states = ", ".join(f"{n} {name}" for name, n in Counter(task["state"] for task in tasks).items())
    console.print(f"   run {_coloured(state, state == 'success')}; tasks: {counted}; {states}")


def loads(console: Console, reports: Iterable[Report]) -> None:
    """What rowferry moved, table by table."""
    headings = [
        "table",
        "read",
        "inserted",
        "updated",
        "closed",
        "MB",
        "seconds",
        "rows/s",
        "capture",
        "completeness",
        "deletes",
    ]
    table = _table(headings, left=("table", "capture", "completeness", "deletes"))
    held = None
    for report in reports:
        counts, seconds = report.this_try, report.seconds["total"]
        table.add_row(
            report.table,
            *(f"{n:,}" for n in (counts.read, counts.inserted, counts.updated, counts.deleted)),
            f"{counts.bytes / 1e6:.1f}",
            f"{seconds:.2f}",
            f"{counts.read / seconds:,.0f}" if seconds else "",
            report.capture,
            report.completeness,
            report.hard_deletes.replace("_", " "),
        )
        held = report.watermark_held_by or held
    console.print(table)
    if held and not str(held["application"]).startswith("rowferry"):  # a load beside it, gone by the next run
        who = f"pid {held['pid']}, {held['application'] or held['user']}, open for {held['seconds']:.0f} s"
        console.print(f"   An open transaction ({who}) makes the next run look at these rows again.")


def drift(console: Console, reports: Iterable[Report]) -> None:
    """What had become of the source's tables, and what the loads did about it."""
    for report in reports:
        for event in report.drift:
            console.print(f"   {report.table}: {drift_line(event)}", markup=False)


def dbt(console: Console, nodes: Sequence[Node], days: int, changed_days: int) -> None:
    """Test results, warnings with their counts, and the mart beside its full refresh."""
    statuses = Counter(node.status for node in nodes if node.kind == "test")
    console.print("   tests: " + ", ".join(f"{n} {status}" for status, n in statuses.items()))
    for node in nodes:
        if node.status == "warn":
            console.print(f"   [yellow]warning[/yellow] {node.name}: {node.failures:,} rows")
    verdict = "equals a full refresh" if not changed_days else f"differs from a full refresh on {changed_days} days"
    console.print(f"   orders_daily, {days:,} days: {_coloured(verdict, not changed_days)}")


def history(console: Console, counts: Sequence[int], versions: Iterable[Sequence[Any]]) -> None:
    """The snapshot as valid_from, valid_to, is_current."""
    console.print(f"\n   snap_users: {counts[0]:,} versions of {counts[1]:,} users; one of them:")
    table = _table(
        ["user_id", "full_name", "country", "valid_from", "valid_to", "is_current"], left=("full_name", "country")
    )
    for version in versions:
        table.add_row(*(_cell(value) for value in version))
    console.print(table)


def lost(console: Console, rows: Mapping[str, int]) -> None:
    """Rows that the naive copy lacks or has in an older state."""
    table = _table(["table", "rows lost by updated_at > max(updated_at)"])
    for name, n in rows.items():
        table.add_row(name, _coloured(f"{n:,}", not n))
    console.print(table)
    console.print(
        "   They committed after a newer updated_at had been read, came days late, or nobody set their updated_at."
    )


def verified(console: Console, results: Mapping[str, Verification]) -> None:
    """Each table's comparison, and keys that differ."""
    headings = ["table", "compared", "equal", "pending", "target only", "different", "missing", "result"]
    table = _table(headings, left=("table", "result"))
    for name, found in results.items():
        counts = (found.compared, found.equal, found.pending, found.target_only, found.different, found.missing)
        table.add_row(name, *(f"{n:,}" for n in counts), _coloured(found.result, bool(found)))
    console.print(table)
    for name, found in results.items():
        for example in () if found else found.examples:
            console.print(f"   {name} {example.key}: {example.kind}")


def stages(console: Console, seconds: Sequence[tuple[str, float]]) -> None:
    """Where the time went."""
    table = _table(["stage", "seconds"])
    for name, spent in seconds:
        table.add_row(name, f"{spent:.1f}")
    table.add_row("[bold]all[/bold]", f"[bold]{sum(spent for _, spent in seconds):.1f}[/bold]")
    console.print("\n", table)


def _table(headings: Sequence[str], left: Sequence[str] | None = None) -> Table:
    """Numbers to the right; to the left the columns in `left`, by default the first."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in (left or headings[:1]) else "right", no_wrap=True)
    return table


def _coloured(text: str, good: bool) -> str:
    colour = "green" if good else "red"
    return f"[{colour}]{text}[/{colour}]"


def _cell(value: Any) -> str:
    return (
        value.isoformat(sep=" ", timespec="seconds")
        if hasattr(value, "isoformat")
        else ""
        if value is None
        else str(value)
    )
