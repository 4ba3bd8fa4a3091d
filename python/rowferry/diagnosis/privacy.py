"""What a diagnosis may show: names of columns, tables and files stay, values and secrets go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from rowferry.diagnosis.model import Diagnosis, Line
from rowferry.diagnosis.rules import rules
from rowferry.uri import MASK, hide

VALUES = ("value", "values", "row")
"""Names of groups in rules.yaml that hold data, never a name."""
QUERIES = ("query", "source_query")
"""Captured texts that were made from a project's own SQL: a literal there was written by its author, and comes from no row."""

_MASKED = (
    (re.compile(r"(Key \((?:[^()]|\([^()]*\))*\)=)\(.*?\)(?= (?:already|is (?:not|still)|conflicts|with|violates)|\.|$)", re.MULTILINE), rf"\1({MASK})"),
    (re.compile(r"((?:Failing row contains|existing key|conflicting key|with existing key) )\(.*\)"), rf"\1({MASK})"),
    (re.compile(r"(\b(?:api[_-]?key|access[_-]?key(?:[_-]?id)?|secret(?:[_-]?access)?(?:[_-]?key)?|client[_-]?secret|passphrase|passwd|pwd|token|authorization|bearer)\b[\"']?\s*[:=]\s*(?:bearer\s+|basic\s+)?[\"']?)[^\s\"',;&}]+", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\b(?:bearer|basic) )[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*"), MASK),
    (re.compile(r"\bAKIA[0-9A-Z]{16}\b"), MASK),
    (re.compile(r"\bxox[abprs]-[\w-]+"), MASK),
    (re.compile(r"(hooks\.slack\.com/services/)\S+"), rf"\1{MASK}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), MASK),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@(?!\*)[\w-]+\.[A-Za-z]{2,}\b(?![:/])"), MASK),
)
_DOTTED = re.compile(r"[A-Za-z_][\w$]*(?:\.[\w$-]+)+|[\w./-]*/[\w./-]+|")
"""Names of nodes, relations, modules and files, which nobody would take for a value."""
_LITERAL = re.compile(r"(?<![\w'])'((?:[^'\n]|'')*)'(?![\w'])")


def masked(text: str, captured: Mapping[str, str]) -> str:
    """`text` without secrets, and without literals that are none of the names in `captured`."""
    names = {part for name, value in captured.items() if name not in VALUES for part in (value, *value.split("."))}
    names.update(literal for name in QUERIES for literal in _LITERAL.findall(captured.get(name, "")))
    for pattern, groups in _patterns_with_values():
        for found in reversed(list(pattern.finditer(text))):
            for start, end in sorted((found.span(group) for group in groups if found[group]), reverse=True):
                text = text[:start] + MASK + text[end:]
    for pattern, instead in _MASKED:
        text = pattern.sub(instead, text)
    text = _LITERAL.sub(lambda found: found[0] if found[1] in names or _DOTTED.fullmatch(found[1]) else f"'{MASK}'", text)
    return hide(text)


@cache
def _patterns_with_values() -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """The patterns of all rules that know where a message holds a value, and their groups for it."""
    found = ((pattern, tuple(name for name in pattern.groupindex if name.rstrip("0123456789") in VALUES)) for rule in rules() for pattern in rule.patterns)
    return tuple((pattern, groups) for pattern, groups in found if groups)


def private(diagnosis: Diagnosis) -> Diagnosis:
    """The diagnosis as it may be printed. A diff stays as it is, since it has to fit its file."""
    known = diagnosis.captured
    texts = {name: masked(getattr(diagnosis, name), known) for name in ("title", "fix")}
    lists = {name: tuple(masked(text, known) for text in getattr(diagnosis, name)) for name in ("consequences", "notes")}
    return replace(
        diagnosis,
        **texts,
        **lists,
        lines=tuple(Line(line.number, masked(line.text, known)) for line in diagnosis.lines),
        captured={name: MASK if name in VALUES else hide(value) for name, value in known.items()},
    )
