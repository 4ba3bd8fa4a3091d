"""What a diagnosis may show: names of columns, tables and files stay, values and secrets go."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from rowferry.diagnosis.model import Diagnosis, Line
from rowferry.uri import MASK, hide

VALUES = ("value", "values", "row")
"""Names of groups in rules.yaml that hold data, never a name."""

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
_LITERAL = re.compile(r"(?<![\w'])'((?:[^'\n]|'')*)'(?![\w'])")


def masked(text: str, captured: Mapping[str, str]) -> str:
    """`text` without secrets, and without literals that are none of the names in `captured`."""
    names = {value for name, value in captured.items() if name not in VALUES}
    for name in VALUES:
        if captured.get(name):
            text = text.replace(captured[name], MASK)
    for pattern, instead in _MASKED:
        text = pattern.sub(instead, text)
    text = _LITERAL.sub(lambda found: found[0] if any(found[1] in name or name in found[1] for name in names) else f"'{MASK}'", text)
    return hide(text)


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
