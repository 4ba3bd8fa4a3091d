"""The rows of rules.yaml, which says what each holds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml

try:
    from re import _parser  # type: ignore[attr-defined]  # without it a large log takes longer, and nothing else
except ImportError:  # pragma: no cover
    _parser = None

from rowferry.diagnosis.model import Diagnosis, Evidence, Line

FILE = Path(__file__).with_name("rules.yaml")
Kind = Literal["root", "wrapper", "consequence", "silent", "noise"]

_CONFIDENCE = {"confirmed": 0.95, "hypothesis": 0.6, "insufficient": 0.2}
_SHORTEST_WORD = 3
_PLACEHOLDER = re.compile(r"( ?)\{(\w+)\|([^}]*)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A row of rules.yaml."""

    cause: str
    kind: Kind
    level: int
    patterns: tuple[re.Pattern[str], ...]
    title: str
    fix: str
    evidence: Evidence
    confidence: float
    transient: bool
    anywhere: bool
    follows: frozenset[str]
    examples: tuple[str, ...]
    counter_examples: tuple[str, ...]

    def diagnosis(self, captured: Mapping[str, str], lines: Iterable[Line], notes: tuple[str, ...] = ()) -> Diagnosis:
        """What is said of a find; `captured` has the words of the log by name, of which `node` is dbt's or the task."""
        return Diagnosis(
            cause=self.cause,
            title=self.said(self.title, captured),
            evidence=self.evidence,
            confidence=self.confidence,
            transient=self.transient,
            lines=tuple(lines),
            fix=self.said(self.fix, captured),
            node=captured.get("node") or None,
            captured={name: value for name, value in captured.items() if name != "node"},
            notes=notes,
        )

    def said(self, template: str, captured: Mapping[str, str]) -> str:
        """`template` with `{name|what stands there when it is not known}` filled in; the space before what is empty goes with it."""

        def filled(found: re.Match[str]) -> str:
            text = captured.get(found[2]) or found[3]
            return found[1] + text if text else ""

        return _PLACEHOLDER.sub(filled, template).strip()


LEVELS = {"airflow": 1, "cosmos": 2, "dbt": 3, "adapter": 4, "server": 5}


@cache
def rules() -> tuple[Rule, ...]:
    """All rows, in their order of precedence."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return tuple(_rule(row) for row in yaml.load(FILE.read_text(encoding="utf-8"), loader))


@cache
def rule_of(cause: str) -> Rule | None:
    """The row of `cause`, if it has one."""
    return next((rule for rule in rules() if rule.cause == cause), None)


def named_rule(cause: str) -> Rule:
    """The row of a cause that the code itself names, and that rules.yaml has to have."""
    rule = rule_of(cause)
    assert rule is not None, f"rules.yaml has no row for {cause}"
    return rule


def _rule(row: Mapping[str, Any]) -> Rule:
    evidence = row.get("evidence", "confirmed")
    return Rule(
        cause=row["cause"],
        kind=row.get("kind", "root"),
        level=LEVELS[row.get("level", "server")],
        patterns=tuple(re.compile(pattern, re.IGNORECASE | re.MULTILINE) for pattern in row["patterns"]),
        title=row["title"],
        fix=row.get("fix", ""),
        evidence=evidence,
        confidence=row.get("confidence", _CONFIDENCE[evidence]),
        transient=row.get("transient", False),
        anywhere=row.get("anywhere", False),
        follows=frozenset(row.get("follows", ())),
        examples=tuple(row.get("examples", ())),
        counter_examples=tuple(row.get("counter_examples", ())),
    )


@cache
def needed_words(pattern: str) -> tuple[str, ...]:
    """Words in lower case of which whatever matches `pattern` holds one; () where no such words are known."""
    if _parser is None:
        return ()
    words = _words(_parser.parse(pattern, re.IGNORECASE | re.MULTILINE))
    return words if min(map(len, words), default=0) >= _SHORTEST_WORD else ()


def _words(tree: Any) -> tuple[str, ...]:
    """Of all that each match of a parsed pattern has to hold, what tells most: the longest, or the fewest alternatives."""
    choices: list[tuple[str, ...]] = []
    word = ""
    for kind, value in [*tree, (None, None)]:
        if kind is _parser.LITERAL and value < 128:
            word += chr(value).lower()
            continue
        choices.append((word,))
        word = ""
        if kind is _parser.SUBPATTERN:
            choices.append(_words(value[3]))
        elif kind in (_parser.MAX_REPEAT, _parser.MIN_REPEAT) and value[0] > 0:
            choices.append(_words(value[2]))
        elif kind is _parser.BRANCH:
            branches = [_words(branch) for branch in value[1]]
            choices.append(tuple({word for words in branches for word in words}) if all(map(any, branches)) else ())
    return max((words for words in choices if words and all(words)), key=lambda words: (min(map(len, words)), -len(words)), default=())
