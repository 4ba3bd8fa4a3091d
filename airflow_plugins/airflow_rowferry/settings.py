"""Settings of a DAG file that come from environment variables; what is wrong with one names it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import timedelta
from math import isfinite
from pathlib import Path

__all__ = ["SettingError", "choice", "existing", "seconds"]


class SettingError(ValueError):
    """An environment variable cannot be used; the message names it, its value, and what would do."""


def choice(variable: str, known: Iterable[str], *, default: str) -> str:
    """One of the `known` words. A variable that is empty counts as not set."""
    value = os.environ.get(variable) or default
    if value not in known:
        raise SettingError(f"{variable} is {value!r}; known are {', '.join(known)}")
    return value


def seconds(variable: str, *, default: float) -> timedelta:
    """A time of zero or more seconds."""
    value = os.environ.get(variable) or default
    try:
        time = float(value)
    except ValueError:
        time = -1.0
    if time < 0 or not isfinite(time):
        raise SettingError(f"{variable} is {value!r}; it is a number of seconds, such as {default:g}")
    return timedelta(seconds=time)


def existing(variable: str, *, default: Path, remedy: str) -> Path:
    """A file or folder that is there; the `remedy` says how it comes there."""
    path = Path(os.environ.get(variable) or default)
    if not path.exists():
        raise SettingError(f"there is no {path}: {remedy}, or name another in {variable}")
    return path
