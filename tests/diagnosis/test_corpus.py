"""Every log of the corpus is read for its cause: what fails is named, what ran well is left alone.

Each folder holds its logs, `expected.json` (the cause that has to come first, or the causes of a log with several failures; null for
a log that ran well), and `provoke.py`, which makes the logs.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from rowferry.diagnosis import INSUFFICIENT, Diagnosis, diagnose
from rowferry.diagnosis.enrich import ENRICHERS

FOLDERS = sorted(file.parent for file in Path(__file__).parent.rglob("expected.json"))
EXPECTED = {
    (folder, name): causes if isinstance(causes, list) else [causes] if causes else []
    for folder in FOLDERS
    for name, causes in json.loads((folder / "expected.json").read_text()).items()
}
FAILED = [(folder, name, causes[0]) for (folder, name), causes in EXPECTED.items() if causes]
WELL = [(folder, name) for (folder, name), causes in EXPECTED.items() if not causes]


@cache  # the tests of all of them ask again
def _diagnoses(folder: Path, name: str) -> list[Diagnosis]:
    return diagnose(folder / f"{name}.log")


def _causes(folder: Path, name: str) -> list[str]:
    return [found.cause for found in _diagnoses(folder, name)]


@pytest.mark.parametrize(("folder", "name", "cause"), FAILED, ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_log_of_a_failure_is_diagnosed_with_the_cause_that_was_provoked_first(folder: Path, name: str, cause: str) -> None:
    assert _causes(folder, name)[:1] == [cause]


@pytest.mark.parametrize(("folder", "name"), WELL, ids=lambda value: value if isinstance(value, str) else value.name)
def test_a_log_of_what_ran_well_gives_no_diagnosis(folder: Path, name: str) -> None:
    assert _causes(folder, name) == []


def test_precision_and_recall_over_the_corpus(capsys: pytest.CaptureFixture[str]) -> None:
    said = {key: _causes(*key) for key in EXPECTED}
    named = {(key, cause) for key, causes in said.items() for cause in causes if cause != INSUFFICIENT}
    right = sum(cause in EXPECTED[key] for key, cause in named)
    n_failed, n_found = len(FAILED), sum(said[folder, name][:1] == [cause] for folder, name, cause in FAILED)
    with capsys.disabled():
        print(f"\n{n_failed} failures and {len(WELL)} healthy logs: precision {right / len(named):.3f}, recall {n_found / n_failed:.3f}")
    assert n_failed >= 60
    assert len(WELL) >= 30
    assert n_found / n_failed >= 0.97
    assert right / len(named) >= 0.95


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_log_leads_to_a_diff_but_by_an_expected_cause_and_its_project(folder: Path) -> None:
    """So that test_diffs knows of each."""
    for key, expected in EXPECTED.items():
        if key[0] == folder:
            assert ENRICHERS.keys() & set(_causes(*key)) <= set(expected), key
            assert [found.diff for found in _diagnoses(*key) if found.diff] == [], key


NONSENSE = ("", "\n\n", "lorem ipsum dolor sit amet", "the quick brown fox\njumps over the lazy dog\n", "0 1 1 2 3 5 8 13", "\x00\x01\x02\xff" * 50, "{}", '{"a": 1}\n[1, 2]', "🦆" * 100)


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_gives_insufficient_evidence(text: str) -> None:
    assert [found.cause for found in diagnose(text)] == [INSUFFICIENT]
