"""Each row of rules.yaml holds for its own examples, and for phrasings that were not looked at when it was written."""

from __future__ import annotations

import pytest

from rowferry.diagnosis import diagnose
from rowferry.diagnosis.rules import rules

EXAMPLES = [(rule.cause, text) for rule in rules() for text in rule.examples]
COUNTER_EXAMPLES = [(rule.cause, text) for rule in rules() for text in rule.counter_examples]


@pytest.mark.parametrize(("cause", "text"), EXAMPLES)
def test_an_example_is_diagnosed_as_the_cause_of_its_row(cause: str, text: str) -> None:
    assert [found.cause for found in diagnose(text)] == [cause]


@pytest.mark.parametrize(("cause", "text"), COUNTER_EXAMPLES)
def test_a_counter_example_is_not_diagnosed_as_the_cause_of_its_row(cause: str, text: str) -> None:
    assert cause not in [found.cause for found in diagnose(text)]
