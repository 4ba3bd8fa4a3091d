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

_SECRET_NAMES = (
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|(?:api|access|account|secret|private|fernet|encryption|signing|aws|shared[_-]?access)[_-]?key(?:[_-]?id)?"
    r"|secret[_-]?access[_-]?key|credentials?|signature|(?<![a-z])sig|authorization|bearer|cookie"
)
"""How the names of secrets end, whatever stands before: DB_PASSWORD, aws_secret_access_key, sessionToken."""
_SECRET = r"""(?:\\?"(?:[^"\\\n]|\\(?!").)*\\?"|\\?'[^'\n]*'|\{[^}\n]*\}|[^\s"',;&})]+)"""
"""A secret behind its name, quoted or up to what ends a word."""
_MASKED = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), MASK),
    (re.compile(r"^\s*[A-Za-z0-9+/]{40,}={0,2}\s*$", re.MULTILINE), MASK),  # a line of a key, which the log has split
    (re.compile(r"(Key \((?:[^()]|\([^()]*\))*\)=)\(.*?\)(?= (?:already|is (?:not|still)|conflicts|with|violates)|\.|$)", re.MULTILINE), rf"\1({MASK})"),
    (re.compile(r"((?:Failing row contains|existing key|conflicting key|with existing key) )\(.*\)"), rf"\1({MASK})"),
    (re.compile(r"((?:duplicate key|\bvalue) (?:is )?)(?:\"[^\"\n]*\"|\\\"[^\"\n]*\\\"|\([^()\n]*\))", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\bCOPY [^\n]*?, line \d+(?:, column [^:\n]+)?: )\".*\""), rf"\1{MASK}"),
    (re.compile(rf"(\b[\w.-]*(?i:{_SECRET_NAMES})\b\\?[\"']?\s*(?:=>|[:=])\s*(?i:bearer\s+|basic\s+|session=)?){_SECRET}"), rf"\1{MASK}"),
    (re.compile(rf"(--[\w-]*(?:{_SECRET_NAMES})[ =]){_SECRET}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"(\b(?:mysql|mariadb)\w*\b[^\n]*? -p)(?=\S)[^\s]+"), rf"\1{MASK}"),
    (re.compile(r"(\blogin\b[^\n]*? -p[ =]?)\S+"), rf"\1{MASK}"),
    (re.compile(r"((?: -u|--user)[ =]?[^\s:=]+:)\S+"), rf"\1{MASK}"),
    (re.compile(r"\b(?:gh[pousr]_|github_pat_|glpat-|sk_live_|sk-|npm_|pypi-|hvs\.|dapi|AIza)[\w-]{16,}|\bver:\d-hint:\S+"), MASK),
    (re.compile(r"(\b(?:bearer|basic) )[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1{MASK}"),
    (re.compile(r"\beyJ[\w-]{5,}\.[\w-]+\.?[\w-]*"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (re.compile(r"\bxox[abprs]-[\w-]+"), MASK),
    (re.compile(r"(hooks\.slack\.com/services/)\S+"), rf"\1{MASK}"),
    (re.compile(r"(?<![\w.+-])[\w.+-]+@(?!\*)[\w-]+\.[A-Za-z]{2,}\b(?![:/])"), MASK),
)
_DOTTED = re.compile(r"[A-Za-z_][\w$]*(?:\.[\w$-]+)+|[\w./-]*/[\w./-]+|")
"""Names of nodes, relations, modules and files, which nobody would take for a value."""
_NAMING = tuple(
    re.compile(pattern)
    for pattern in (
        r"'([\w.]+)' objects? (?:has no|is not|cannot|can't|does not|doesn't|must)",
        r"(?:has no attribute|unexpected keyword argument|cannot import name|[Nn]o module named|[Oo]bject of type|multiple values for argument|(?<!\w)module|name|rule|dependency|instance of|from) '([\w. ]+)'",
        r"(?:operand type\(s\) for [^:\n]+: |instances of )'([\w.]+)' and '([\w.]+)'",
        r"required (?:positional |keyword-only )?arguments?: '(\w+)'(?:(?:, and |, | and )'(\w+)')?(?:(?:, and |, | and )'(\w+)')?",
        r"<class '([\w.]+)'>",
    )
)
"""What Python and Airflow quote that is the name of a type, an attribute, an argument or a module."""
_LITERAL = re.compile(r"(?<![\w'])'((?:[^'\n]|'')*)'(?![\w'])")


def masked(text: str, captured: Mapping[str, str]) -> str:
    """`text` without secrets, and without literals that are none of the names in `captured`."""
    names = {part for name, value in captured.items() if name not in VALUES for part in (value, *value.split("."))}
    names.update(name for pattern in _NAMING for found in pattern.finditer(text) for name in found.groups() if name)
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
    return replace(
        diagnosis,
        title=masked(diagnosis.title, known),
        fix=masked(diagnosis.fix, known),
        consequences=tuple(masked(text, known) for text in diagnosis.consequences),
        notes=tuple(masked(text, known) for text in diagnosis.notes),
        lines=tuple(Line(line.number, masked(line.text, known)) for line in diagnosis.lines),
        captured={name: MASK if name in VALUES else hide(value) for name, value in known.items()},
    )
