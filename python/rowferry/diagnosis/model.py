"""What a diagnosis says, and what the code that deepens one gets to see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Evidence = Literal["confirmed", "hypothesis", "insufficient"]

INSUFFICIENT = "insufficient_evidence"
"""The cause of a diagnosis that found none."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the log: its number, from 1, and its text without colours and prefixes. Lines that stand
    in no file (a message of run_results.json, an exception) have the number 0."""

    number: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Why something failed.

    Attributes:
        cause: Stable name of the cause, a row of rules.yaml: `division_by_zero`, `insufficient_evidence`, …
        title: The cause in one sentence, with the names that are known.
        evidence: `confirmed` when a server or a tool said so, `hypothesis` when it is the likeliest reading
            of what is there, `insufficient` when nothing is known but that something failed.
        confidence: From 0 to 1.
        transient: Whether the same run may succeed when it is repeated unchanged.
        lines: What the diagnosis rests on.
        fix: What to do.
        diff: A change of a file of the project, for `patch -p1` at its root, or None.
        node: The dbt node (its unique_id where that is known) or the Airflow task that failed, or None.
        captured: What the message names: `column`, `relation`, `constraint`, `path`, …
        consequences: What failed only because of this.
        notes: What else was found out, and what could not be.
    """

    cause: str
    title: str
    evidence: Evidence
    confidence: float
    transient: bool = False
    lines: tuple[Line, ...] = ()
    fix: str = ""
    diff: str | None = None
    node: str | None = None
    captured: Mapping[str, str] = field(default_factory=dict)
    consequences: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The diagnosis as JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """All that was given to `diagnose`.

    Attributes:
        lines: The log, a line each, without colours and prefixes.
        run_results: dbt's run_results.json, or {}.
        manifest: dbt's manifest.json, or {}.
        target_dir: dbt's target directory, or None.
        task: What Airflow knows of the task, or {}: `dag_id`, `task_id`, `run_id`, `map_index`, `try_number`,
            `state`, `operator`, `error` (an exception or its text), `states` (of the run's tasks, by id),
            `upstream` (ids), `last_came` (sentences about what a sensor waited for), whatever of it is known.
    """

    lines: tuple[Line, ...] = ()
    run_results: Mapping[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    target_dir: Path | None = None
    task: Mapping[str, Any] = field(default_factory=dict)

    @property
    def project_dir(self) -> Path | None:
        """The dbt project that `target_dir` belongs to: the nearest folder above with a dbt_project.yml."""
        if self.target_dir is None:
            return None
        above = self.target_dir.resolve().parents
        return next((folder for folder in above if (folder / "dbt_project.yml").is_file()), None)

    def dbt_node(self, name: str | None) -> Mapping[str, Any] | None:
        """The manifest's node of that unique_id or name, or None."""
        nodes = {**self.manifest.get("sources", {}), **self.manifest.get("nodes", {})}
        if name is None or name in nodes:
            return nodes.get(name) if name else None
        return next((node for node in nodes.values() if node.get("name") == name or node.get("alias") == name), None)
