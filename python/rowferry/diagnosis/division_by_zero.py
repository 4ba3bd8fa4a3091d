"""From a division by zero back to the lines that can cause it, and the guards for them as a diff."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import pairwise

from rowferry.diagnosis.dbt_project import Node, Project
from rowferry.diagnosis.divisions import Division, Sign, divisions, guards
from rowferry.diagnosis.model import Context, Diagnosis
from rowferry.diagnosis.sql_source import Edit, Source, UnreadableSql, edited, unified_diff

COMPUTED_ABOVE = ("view", "ephemeral")  # a query over them computes them
_MOST_SHOWN = 8
_LESS_LIKELY_ELSEWHERE = 0.2  # in a view above or a hook than in the node's own SQL
_NAMED = re.compile(r"division by zero in expression (.*?)\. Use TRY", re.IGNORECASE | re.DOTALL)
_TYPE_WORDS = {"cast", "as", "double", "float", "integer", "bigint", "hugeint", "smallint", "decimal", "numeric", "varchar", "case", "when", "then", "else", "end"}


@dataclass(frozen=True)
class Candidate:
    """A division of compiled SQL, and where it is written.

    Attributes:
        computed: As the database got it.
        written: In the project's files, or None when it was not found there.
        node: Whose SQL it is: the one that failed, or a view that it reads.
        own: Whether that is the one that failed.
        named: The database's message names this expression.
        hook: It is in a statement that runs before or after the node's SQL.
    """

    computed: Division
    written: Division | None
    node: Node
    own: bool
    named: bool = False
    hook: bool = False

    @property
    def place(self) -> str:
        if self.written is None and self.hook:
            return f"a hook of {self.node.get('name')}"
        if self.written is None:
            return f"line {self.computed.line} of the compiled SQL of {self.node.get('name')}"
        return f"{self.written.source.path}:{self.written.line}"

    @property
    def text(self) -> str:
        return one_line(self.written or self.computed)

    @property
    def rank(self) -> tuple[bool, float]:
        return (not self.named, (0 if self.own and not self.hook else _LESS_LIKELY_ELSEWHERE) - self.computed.likelihood)


def one_line(division: Division) -> str:
    """The expression without comments and line breaks."""
    text = division.source.text
    pieces = [text[division.tokens[0].start : division.tokens[0].end]]
    for before, token in pairwise(division.tokens):
        apart = before.end < token.start and before.text != "(" and token.text != ")"
        pieces += [" " if apart else "", text[token.start : token.end]]
    return "".join(pieces)


def enrich(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The expressions that can be divided by zero, the likeliest first, and a diff that guards them."""
    project = Project.of(context)
    node = project.node(diagnosis.node or diagnosis.captured.get("path"))
    if node is None:
        return _noted(diagnosis, "to find the expression, give dbt's target directory: --target-dir, or manifest.json and run_results.json")
    found = candidates(project, node, [line.text for line in diagnosis.lines])
    if not found:
        where = "its SQL, its macros or the views it reads"
        return _noted(diagnosis, f"{node.get('name')} has no division without a guard in {where}: a function or the data's types must divide")
    first = found[0]
    shown = [f"{c.place}: {c.text} ({c.computed.why})" for c in found]
    which = "the message names it" if first.named else "the only one without a guard" if len(found) == 1 else f"the likeliest of {len(found)} without a guard"
    captured = {**diagnosis.captured, "expression": first.text, "place": first.place}
    return replace(
        diagnosis,
        title=f"division by zero in {first.place}: {first.text}",
        fix=f"Guard the denominator: {guarded(first.written or first.computed)}",
        diff=diff(project, found),
        node=node.get("unique_id", diagnosis.node),
        captured=captured,
        notes=(*diagnosis.notes, f"{shown[0]}; {which}", *shown[1:_MOST_SHOWN], *_more(len(shown)), *_unwritten(project, found)),
    )


def _noted(diagnosis: Diagnosis, note: str) -> Diagnosis:
    return replace(diagnosis, notes=(*diagnosis.notes, note))


def _more(n: int) -> list[str]:
    return [f"and {n - _MOST_SHOWN} more"] if n > _MOST_SHOWN else []


def _unwritten(project: Project, found: Iterable[Candidate]) -> Iterator[str]:
    for c in found:
        if c.written is None:
            yield f"{c.place} comes of Jinja that no line of the project shows as it is; guard it where that text is made"
        elif _foreign(c.written) and _at_calls(project, c):
            yield f"{c.written.source.path} is a package's: the diff guards the denominator that {c.node.get('name')} hands to it"
        elif _foreign(c.written):
            yield f"{c.written.source.path} is a package's: pass its macro a guarded denominator, or replace the macro in your project"


def _foreign(written: Division) -> bool:
    return (written.source.path or "").startswith("dbt_packages/")


def candidates(project: Project, node: Node, log: Iterable[str] = ()) -> list[Candidate]:
    """Every division without a guard that is computed when the node is, the likeliest first."""
    found = list(_of_node(project, node, own=True))
    for parent in project.parents(node, COMPUTED_ABOVE):
        found += _of_node(project, parent, own=False)
    found = _named(found, log)
    unique: dict[object, Candidate] = {}
    for c in sorted(found, key=lambda c: c.rank):
        place = c.written or c.computed
        unique.setdefault((place.source.path, place.source.offset + place.start, place.source.offset + place.end), c)
    return list(unique.values())


def _of_node(project: Project, node: Node, own: bool) -> Iterator[Candidate]:
    written = list(_written(project, node))
    for hook in _hooks(node) if own else ():
        for computed in _read(Source(hook), project.dialect):
            yield Candidate(computed, _match(computed, written), node, own, hook=True)
    compiled = project.compiled(node)
    if compiled is None:
        for w in written:
            if w.source.offset == 0:
                yield Candidate(w, w, node, own)
        return
    for computed in _read(compiled, project.dialect):
        match = _match(computed, written)
        yield Candidate(computed, replace(match, sign=_sign(computed, match)) if match else None, node, own)


def _hooks(node: Node) -> Iterator[str]:
    config = node.get("config", {})
    for hook in [*(config.get("pre-hook") or ()), *(config.get("post-hook") or ())]:
        yield str(hook.get("sql") or "") if isinstance(hook, Mapping) else str(hook)


def _sign(computed: Division, written: Division) -> Sign:
    """What Jinja wrote is known; a macro's other callers are not."""
    return computed.sign if computed.sign is Sign.NONNEGATIVE and not any(t.jinja for t in written.tokens) else written.sign


def _written(project: Project, node: Node) -> Iterator[Division]:
    """The divisions of the node's file, of SQL that it hands to macros, of the macros, and of ephemeral models inside it."""
    own = project.source(node)
    if own:
        yield from _read(own, project.dialect)
        for literal in own.literals():
            yield from _read(literal, project.dialect)
    for macro in project.macros(node):
        yield from _read(macro, project.dialect)
    for parent in project.parents(node, ("ephemeral",)):
        yield from _written(project, parent)


def _read(source: Source, dialect: str) -> list[Division]:
    try:
        return divisions(source, dialect)
    except UnreadableSql:
        return []


def _match(computed: Division, written: Iterable[Division]) -> Division | None:
    """The division that Jinja can have made this one of; the one with the most text of its own."""
    fits = [w for w in written if written_as(computed, w)]
    if fits:
        return max(fits, key=lambda w: sum(len(token.text) for token in w.tokens if not token.jinja))
    return None


def written_as(computed: Division, written: Division) -> bool:
    """Whether the one can be what Jinja makes of the other."""
    pattern = " ".join(".+" if token.jinja else re.escape(token.text) for token in written.tokens)
    return re.fullmatch(pattern, " ".join(token.text for token in computed.tokens), re.DOTALL) is not None


def _named(found: list[Candidate], log: Iterable[str]) -> list[Candidate]:
    """DuckDB's message has the expression in it, with casts and without qualifiers."""
    named = next((match.group(1) for text in log if (match := _NAMED.search(text))), None)
    if named is None or not found:
        return found
    wanted = _words(re.findall(r"[A-Za-z_]\w*|\d+(?:\.\d+)?|//|[/%]", named.lower()))
    scores = [SequenceMatcher(None, wanted, _words(_unqualified(c.computed))).ratio() for c in found]
    best = max(scores)
    if best < 0.75:
        return found
    return [replace(c, named=score == best) for c, score in zip(found, scores, strict=True)]


def _unqualified(division: Division) -> list[str]:
    texts = [token.text.lower() for token in division.tokens]
    return [text for i, text in enumerate(texts) if not (i + 1 < len(texts) and texts[i + 1] == ".")]


def _words(texts: Iterable[str]) -> list[str]:
    return [text for text in texts if (text[0].isalnum() or text[0] == "_" or text in ("/", "//", "%")) and text not in _TYPE_WORDS]


def guarded(division: Division) -> str:
    """The one expression with its guard, on one line."""
    flat = Source(one_line(division))
    alone = [d for d in _read(flat, "") if d.end == len(flat.text) and d.start == 0]
    if not alone:
        return f"nullif({division.denominator_text}, 0)"
    return " ".join(edited(flat.text, guards([replace(alone[-1], sign=division.sign)])).split())


def diff(project: Project, found: Iterable[Candidate]) -> str | None:
    """Guards for all of them: which one met the zero is not known before the others are safe."""
    by_path: dict[str, list[Division]] = {}
    at_calls: dict[str, set[Edit]] = {}
    for c in found:
        if c.written and c.written.source.path and not _foreign(c.written):
            by_path.setdefault(c.written.source.path, []).append(c.written)
        elif c.written and (own := project.source(c.node)) and own.path:
            at_calls.setdefault(own.path, set()).update(_at_calls(project, c))
    parts = []
    for path in dict.fromkeys([*by_path, *at_calls]):
        chosen = by_path.get(path, [])
        before = project.text(path) or (chosen[0].source.text if chosen else "")  # dbt kept the text
        edits = [*_edits(chosen), *at_calls.get(path, ())]
        parts.append(unified_diff(path, before, edited(before, edits)) if before and edits else "")
    return "".join(parts) or None


_SIGNATURE = re.compile(r"\{%-?\s*macro\s+(\w+)\s*\((.*?)\)\s*-?%\}", re.DOTALL)


def _at_calls(project: Project, c: Candidate) -> list[Edit]:
    """Guards for the string that a model hands to a package's macro as the denominator."""
    written, own = c.written, project.source(c.node)
    if written is None or own is None or not project.is_ours(c.node):
        return []
    within = [part for part in written.source.jinja if written.bare == (part.start, part.end)]
    signature = next((m for m in _SIGNATURE.finditer(written.source.text) if m.end() <= written.start), None)
    if not within or signature is None:
        return []
    names = [name.partition("=")[0].strip() for name in signature[2].split(",")]
    if within[0].code not in names:
        return []
    wanted = "".join(c.computed.source.text[slice(*c.computed.bare)].split())
    edits = []
    for given in own.arguments(signature[1].rpartition("__")[2], names.index(within[0].code), within[0].code):
        if "".join(given.text.split()) == wanted:
            edits += [Edit(given.offset, given.offset, "nullif("), Edit(given.offset + len(given.text), given.offset + len(given.text), ", 0)")]
    return edits


def _edits(chosen: list[Division]) -> list[Edit]:
    """The guards source by source; an expression inside another is handled with it."""
    by_source: dict[tuple[int, int], list[Division]] = {}
    for division in chosen:
        by_source.setdefault((division.source.offset, len(division.source.text)), []).append(division)
    return [edit for same in by_source.values() for edit in guards(same)]
