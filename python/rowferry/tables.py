"""Many tables in one file.

The file is YAML, or JSON when its name ends in `.json`, and has two keys::

    defaults:                    # settings of every table; optional
      source_name: shop
      capture: auto
    tables:                      # a name, or settings with a name
      - public.orders
      - table: public.users
        keys: [user_id]
        columns: [user_id, email, updated_at]

The settings are those of `rowferry.Job`, by the same names; a table's own win over the defaults.
`source` and `target` may stand in `defaults`, but a file with passwords in it is a file to lose: leave
them to the environment.

YAML is read by the rules of JSON's types: only `true` and `false` are booleans (a column may be called
`no`), nothing becomes a date, and a key that stands twice is an error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rowferry.errors import ConfigurationError
from rowferry.job import Job, unknown

__all__ = ["Entry", "load_tables", "read_entries"]

Place = tuple[str | int, ...]
"""Where a value stands in the file: `("tables", 2, "keys")`."""

_JSON_TYPES = {
    "null": r"^(?:null|~|)$",
    "bool": r"^(?:true|false)$",
    "int": r"^-?(?:0|[1-9][0-9]*)$",
    "float": r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One table of a file.

    Attributes:
        where: File, and line where it is known.
        settings: Its settings, the defaults among them; checked by name but not by value.
    """

    where: str
    settings: dict[str, Any]

    def job(self, **settings: Any) -> Job:
        """The job, with `settings` winning over those of the file."""
        try:
            return Job.from_dict({**self.settings, **settings})
        except ConfigurationError as error:
            raise ConfigurationError(f"{self.where}: {error.message}", hint=error.hint) from None


def load_tables(path: str | Path, **settings: Any) -> list[Job]:
    """The jobs of a file of tables.

    Args:
        path: YAML or JSON.
        settings: Settings that win over those of the file.
    Raises:
        ConfigurationError: Names the file, the key and, in YAML, the line.
    """
    return [entry.job(**settings) for entry in read_entries(path)]


def read_entries(path: str | Path) -> list[Entry]:
    """The tables of a file, before they are jobs; raises as `load_tables` does."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {getattr(error, 'strerror', None) or 'is not UTF-8'}") from None
    file = _File(str(path))
    return list(file.entries(file.json(text) if file.path.endswith(".json") else file.yaml(text)))


class _File:
    """A file while it is read: its name, and the lines of its values where they are known."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines: dict[Place, int] = {}

    def wrong(self, place: Place, message: str) -> ConfigurationError:
        """The error for what stands at `place`, or for its nearest parent that has a line."""
        return ConfigurationError(f"{self.where(place)}: {message}")

    def where(self, place: Place) -> str:
        parents = (place[:n] for n in range(len(place), -1, -1))
        line = next((self.lines[parent] for parent in parents if parent in self.lines), None)
        name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")
        return f"{self.path}{f':{line}' if line else ''}{f': {name}' if name else ''}"

    def entries(self, value: Any) -> Iterator[Entry]:
        self._check_keys((), value, ("defaults", "tables"))
        defaults = value.get("defaults") or {}
        self._check_keys(("defaults",), defaults, Job.settings())
        tables = value.get("tables")
        if not isinstance(tables, list) or not tables:
            raise self.wrong(("tables",), "must be a list of at least one table")
        for n, table in enumerate(tables):
            own = {"table": table} if isinstance(table, str) else table
            self._check_keys(("tables", n), own, Job.settings())
            if not own.get("table"):
                raise self.wrong(("tables", n), "has no table")
            yield Entry(where=self.where(("tables", n)), settings={**defaults, **own})

    def _check_keys(self, place: Place, value: Any, known: tuple[str, ...]) -> None:
        if not isinstance(value, Mapping):
            raise self.wrong(place, f"must be a mapping, not {type(value).__name__}")
        for key in value:
            if key not in known:
                raise self.wrong((*place, str(key)), unknown(str(key), known))

    def json(self, text: str) -> Any:
        def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            for n, (key, _) in enumerate(pairs):
                if key in dict(pairs[:n]):
                    raise self.wrong((), f"key {key!r} stands twice")
            return dict(pairs)

        try:
            return json.loads(text, object_pairs_hook=mapping)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"{self.path}:{error.lineno}: {error.msg}") from None

    def yaml(self, text: str) -> Any:
        import yaml  # 4 MB and 50 ms that a run without a file should not pay

        class Loader(yaml.SafeLoader):
            yaml_implicit_resolvers = {
                None: [(f"tag:yaml.org,2002:{name}", re.compile(rule)) for name, rule in _JSON_TYPES.items()]
            }

        try:
            loader = Loader(text)
            node = loader.get_single_node()
            return self._value(loader, node, ()) if node else {}
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}" if mark else ""
            reason = getattr(error, "problem", None) or str(error).partition("\n")[0]
            raise ConfigurationError(f"{self.path}{line}: {reason}") from None
        except RecursionError:
            raise self.wrong((), "an alias refers to itself") from None

    def _value(self, loader: Any, node: Any, place: Place) -> Any:
        """The value of a YAML node; notes the line of everything in it."""
        self.lines.setdefault(place, node.start_mark.line + 1)
        if node.id == "sequence":
            return [self._value(loader, item, (*place, n)) for n, item in enumerate(node.value)]
        if node.id != "mapping":
            return loader.construct_object(node, deep=True)
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)  # a key is text, whatever type its word could have
            self.lines[(*place, key)] = key_node.start_mark.line + 1
            if key in found:
                raise self.wrong((*place, key), "stands twice")
            found[key] = self._value(loader, value_node, (*place, key))
        return found

