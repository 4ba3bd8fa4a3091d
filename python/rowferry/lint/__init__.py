"""What would fail, or go wrong without failing, in a dbt project, before it is run."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from rowferry.diagnosis.divisions import guards
from rowferry.diagnosis.sql_source import NEEDS_SQLGLOT, edited, unified_diff
from rowferry.errors import ConfigurationError
from rowferry.lint.processes import side_by_side
from rowferry.lint.project import LintProject
from rowferry.lint.rules import RULES, Found, of_file, of_project

__all__ = ["RULES", "Finding", "fixes", "lint"]

T = TypeVar("T")

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
    jobs: int = 1,
) -> list[Finding]:
    """Look at dbt projects, or at some files of them.

    Args:
        paths: Projects (folders), or files and folders of projects.
        dialect: dbt's name of the adapter, or sqlglot's of the dialect.  [from target/manifest.json or profiles.yml]
        select, ignore: Codes such as `RF01`.  [all; none]
        skip_outside: Leave files alone that are in no project.
        jobs: Processes at most; this one forks the others where there are files enough, and no thread but its own.
    Returns:
        The findings by file and line, without those that a comment `-- noqa` or `-- noqa: RF01` on their line says are meant.
    Raises:
        ConfigurationError: A path is not there or in no project, there is no such code, or sqlglot is not installed.
    """

    def told(project: LintProject, found: list[Found]) -> list[Finding]:
        return [_finding(one, project.text(one.path)) for one in found]

    made = chain.from_iterable(_of_each_file(told, paths, dialect, select, ignore, skip_outside, jobs))
    return sorted(dict.fromkeys(made), key=lambda finding: (finding.path, finding.line, finding.code))


def fixes(
    paths: Sequence[str | Path],
    *,
    dialect: str | None = None,
    select: Iterable[str] = (),
    ignore: Iterable[str] = (),
    skip_outside: bool = False,
    jobs: int = 1,
) -> str:
    """All exact fixes of `lint` as one diff, for `patch -p1` in the project's folder; arguments and errors are those of `lint`."""

    def diff(project: LintProject, found: list[Found]) -> tuple[Path, str, str] | None:
        edits = [*guards(one.division for one in found if one.division), *(edit for one in found for edit in one.edits)]
        if not edits:
            return None
        path, text = found[0].path, project.text(found[0].path)
        return project.root, path, unified_diff(path, text, edited(text, edits))

    made = _of_each_file(diff, paths, dialect, select, ignore, skip_outside, jobs)
    return "".join(text for _, _, text in sorted(set(filter(None, made))))


def _of_each_file(
    made: Callable[[LintProject, list[Found]], T],
    paths: Sequence[str | Path],
    dialect: str | None,
    select: Iterable[str],
    ignore: Iterable[str],
    skip_outside: bool,
    jobs: int,
) -> Iterator[T]:
    """What is made of the findings in each file of SQL, then of those in the other files of its project."""
    wanted = (_codes(select) or set(RULES)) - _codes(ignore)
    if find_spec("sqlglot") is None:
        raise ConfigurationError(NEEDS_SQLGLOT)

    def kept(project: LintProject, found: Iterable[Found]) -> list[Found]:
        return [one for one in found if one.code in wanted and not _meant(one, project.text(one.path).splitlines())]

    for project, below in _projects(paths, dialect, skip_outside):
        with _no_search_for_cycles():
            files = [file for file in project.sql_files if _is_asked(file.path, below)]
            others = kept(project, (one for one in of_project(project) if _is_asked(one.path, below)))
            project.read()
            yield from side_by_side(lambda file, project=project: made(project, kept(project, of_file(project, file))), files, jobs)
            yield made(project, others)


@contextmanager
def _no_search_for_cycles() -> Iterator[None]:
    """There are none in half a million tokens, and looking for them took a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


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


def _is_asked(path: str, below: set[str]) -> bool:
    return not below or any(path == one or path.startswith(f"{one}/") for one in below)


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
