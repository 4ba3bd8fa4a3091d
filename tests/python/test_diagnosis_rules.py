"""Each row of rules.yaml holds for its own examples, and for phrasings that were not looked at when it was written."""

from __future__ import annotations

import pytest

from rowferry.diagnosis import diagnose, engine
from rowferry.diagnosis.engine import MOST_ROWS, Text
from rowferry.diagnosis.rules import needed_words, rules

EXAMPLES = [(rule.cause, text) for rule in rules() for text in rule.examples]
COUNTER_EXAMPLES = [(rule.cause, text) for rule in rules() for text in rule.counter_examples]


@pytest.mark.parametrize(("cause", "text"), EXAMPLES)
def test_an_example_is_diagnosed_as_the_cause_of_its_row(cause: str, text: str) -> None:
    assert [found.cause for found in diagnose(text)] == [cause]


@pytest.mark.parametrize(("cause", "text"), COUNTER_EXAMPLES)
def test_a_counter_example_is_not_diagnosed_as_the_cause_of_its_row(cause: str, text: str) -> None:
    assert cause not in [found.cause for found in diagnose(text)]


def test_a_pattern_finds_near_its_words_what_it_finds_in_the_whole_log(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "SMALL", 0)
    calm = ["02:00:00 a row of no interest"] * (2 * MOST_ROWS)
    for rule in rules():
        text = Text([line for example in rule.examples for line in (*example.splitlines(), *calm)])
        for pattern in rule.patterns:
            assert [found.start() for found in text.matches(pattern)] == [found.start() for found in pattern.finditer(text.whole)], pattern.pattern


def test_a_pattern_without_its_words_is_not_looked_for() -> None:
    assert needed_words("(?:deadlock|dead end) (?P<x>.*)?detected") == ("detected",)
    assert needed_words("a(?:Bc|dEf)+") == ()
    assert sorted(needed_words("lock(?: wait)?|dead.*")) == ["dead", "lock"]
