"""What would fail, or go wrong without failing, in a dbt project, before it is run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rowferry.diagnosis.divisions import guards
from rowferry.diagnosis.sql_source import NEEDS_SQLGLOT, edited, unified_diff
from rowferry.errors import ConfigurationError
from rowferry.lint.project import LintProject
from rowferry.lint.rules import RULES, Found, of_file, of_project

__all__ = ["RULES", "Finding", "fixes", "lint"]

_NOQA = re.compile(r"(?:--|\{#-?|#|/\*)\s*noqa\b(?::\s*([A-Za-z0-9, ]+))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding.

    Attributes:
        path: Of the file, below the project's folder.
        line: From 1.
        code, rule: `RF01`, `unguarded-division`.
        message: What was found.
        why: What comes of it.
        fix: What to do.
        diff: That, for `patch -p1` in the project's folder, where it is exact.
    """

    path: str
    line: int
    code: str
    rule: str
    message: str
    why: str
    fix: str
    diff: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def lint(
    paths: Sequence[str | Path],
    *,
    dialect: str | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    skip_outside: bool = False,
) -> list[Finding]:
    """Look at dbt projects, or at some files of them.

    Args:
        paths: Projects (folders), or files and folders of projects.
        dialect: dbt's name of the adapter, or sqlglot's of the dialect.  [from target/manifest.json or profiles.yml]
        select, ignore: Codes such as `RF01`.  [all; none]
        skip_outside: Leave files alone that are in no project.
    Returns:
        The findings by file and line, without those that a comment `-- noqa` or `-- noqa: RF01` on their line says are meant.
    Raises:
        ConfigurationError: A path is not there or in no project, there is no such code, or sqlglot is not installed.
    """
    found = [_finding(one, text) for _, one, text in _found(paths, dialect, select, ignore, skip_outside)]
    return sorted(dict.fromkeys(found), key=lambda finding: (finding.path, finding.line, finding.code))


def fixes(
    paths: Sequence[str | Path],
    *,
    dialect: str | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    skip_outside: bool = False,
) -> str:
    """All exact fixes of `lint` as one diff, for `patch -p1` in the project's folder; arguments and errors are those of `lint`."""
    by_file: dict[tuple[Path, str], list[Found]] = {}
    texts: dict[tuple[Path, str], str] = {}
    for project, one, text in _found(paths, dialect, select, ignore, skip_outside):
        by_file.setdefault((project.root, one.path), []).append(one)
        texts[project.root, one.path] = text
    parts = []
    for key, together in sorted(by_file.items()):
        edits = [*guards(one.division for one in together if one.division), *(edit for one in together for edit in one.edits)]
        if edits:
            parts.append(unified_diff(key[1], texts[key], edited(texts[key], edits)))
    return "".join(parts)


def _found(
    paths: Sequence[str | Path], dialect: str | None, select: Iterable[str], ignore: Iterable[str], skip_outside: bool
) -> Iterator[tuple[LintProject, Found, str]]:
    """Project, finding and text of its file."""
    wanted = (_codes(select) or set(RULES)) - _codes(ignore)
    if find_spec("sqlglot") is None:
        raise ConfigurationError(NEEDS_SQLGLOT)
    for project, below in _projects(paths, dialect, skip_outside):
        for one in _all(project, below):
            text = project.text(one.path)
            if one.code in wanted and not _meant(one, text.splitlines()):
                yield project, one, text


def _codes(given: Iterable[str]) -> set[str]:
    codes = {code.upper() for code in given}
    if unknown := sorted(codes - set(RULES)):
        raise ConfigurationError(f"there is no rule {unknown[0]}; there are {', '.join(RULES)}")
    return codes


def _projects(paths: Sequence[str | Path], dialect: str | None, skip_outside: bool) -> list[tuple[LintProject, set[str]]]:
    """Each project once, with the files and folders of it that were asked for; nothing means all."""
    asked: dict[Path, tuple[LintProject, set[str]]] = {}
    for path in map(Path, paths):
        if not path.exists():
            raise ConfigurationError(f"{path} is not there")
        if skip_outside and path.is_file() and not LintProject.is_around(path):
            continue
        project = LintProject.around(path, dialect)
        _, below = asked.setdefault(project.root, (project, set()))
        below.add(path.resolve().relative_to(project.root).as_posix())
    return [(project, set() if "." in below else below) for project, below in asked.values()]


def _all(project: LintProject, below: set[str]) -> Iterable[Found]:
    def asked(path: str) -> bool:
        return not below or any(path == one or path.startswith(f"{one}/") for one in below)

    for file in project.sql_files:
        if asked(file.path):
            yield from of_file(project, file)
    yield from (one for one in of_project(project) if asked(one.path))


def _meant(found: Found, lines: Sequence[str]) -> bool:
    for line in lines[found.start - 1 : found.end]:
        for comment in _NOQA.finditer(line):
            codes = {code.strip().upper() for code in (comment[1] or "").split(",") if code.strip()}
            if not codes or found.code in codes:
                return True
    return False


def _finding(found: Found, text: str) -> Finding:
    rule = RULES[found.code]
    edits = found.made()
    diff = unified_diff(found.path, text, edited(text, edits)) if edits else None
    return Finding(
        path=found.path, line=found.start, code=found.code, rule=rule.name, message=found.message, why=rule.why, fix=found.fix, diff=diff
    )
