"""A dbt project as its files say, read without running dbt; what an earlier run left in `target` is used where it fits."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rowferry.diagnosis.dbt_project import read
from rowferry.diagnosis.divisions import Sign, sign_of
from rowferry.diagnosis.sql_source import DIALECTS, Source, Token, UnreadableSql, tokens
from rowferry.errors import ConfigurationError

_FOLDERS = {
    "model": ("model-paths", ["models"]),
    "macro": ("macro-paths", ["macros"]),
    "snapshot": ("snapshot-paths", ["snapshots"]),
    "test": ("test-paths", ["tests"]),
}
_CONFIG = re.compile(r"^config\s*\((.*)\)$", re.DOTALL)
_SETTING = re.compile(r"""(\w+)\s*=\s*(\[[^\]]*\]|'[^']*'|"[^"]*"|[\w.]+)""")
_MACRO = re.compile(r"\{%-?\s*macro\s+(\w+)\s*\(.*?\)\s*-?%\}(.*?)\{%-?\s*endmacro\s*-?%\}", re.DOTALL)
_CALL = re.compile(r"^(?:\w+\.)?(\w+)\s*\(")
_DISPATCH = re.compile(r"adapter\.dispatch\(\s*['\"](\w+)['\"]")
_VAR = re.compile(r"^var\(\s*['\"](\w+)['\"]\s*(?:,\s*(-?[\d.]+)\s*)?\)(?:\s*\|\s*(?:int|float))?$")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What a YAML file says of a model or snapshot.

    Attributes:
        path, line: Where it stands.
        tests: Names of its data tests, those of columns as `column: test`.
        config: Its `config`.
    """

    path: str
    line: int
    tests: frozenset[tuple[str | None, str]]
    config: Mapping[str, Any]


@dataclass(frozen=True)
class SqlFile:
    """A file of SQL and Jinja. `kind` is `model`, `macro`, `snapshot` or `test`."""

    kind: str
    source: Source
    dialect: str

    @property
    def path(self) -> str:
        return str(self.source.path)

    @property
    def name(self) -> str:
        return Path(self.path).stem

    @property
    def tokens(self) -> list[Token]:
        """Raises UnreadableSql."""
        return tokens(self.source, self.dialect)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """What `config(…)` in the file sets, as far as it is spelled out."""
        found: dict[str, Any] = {}
        for part in self.source.jinja:
            inside = _CONFIG.match(part.code)
            for name, value in _SETTING.findall(inside[1]) if inside else ():
                found[name] = _value(value)
        return found


def _undecodable(path: Path) -> tuple[int, str]:
    """The line of what is not UTF-8, and what it is."""
    try:
        content = path.read_bytes()
        content.decode()
    except UnicodeDecodeError as error:
        return content.count(b"\n", 0, error.start) + 1, f"no UTF-8: the byte 0x{content[error.start]:02x}"
    except OSError as error:
        return 1, f"cannot be read: {error.strerror}"
    return 1, "cannot be read"


def _value(text: str) -> Any:
    if text[0] == "[":
        return re.findall(r"['\"]([^'\"]*)['\"]", text)
    return text.strip("'\"")


@dataclass(frozen=True)
class LintProject:
    """The project in the folder `root`."""

    root: Path
    given_dialect: str | None = None
    unread: list[tuple[str, int, str]] = field(default_factory=list)

    @classmethod
    def around(cls, path: Path, dialect: str | None = None) -> LintProject:
        """The project that a file or folder belongs to.

        Raises:
            ConfigurationError: There is no dbt_project.yml there or above.
        """
        path = path.resolve()
        for folder in [path, *path.parents]:
            if (folder / "dbt_project.yml").is_file():
                return cls(folder, dialect)
        raise ConfigurationError(f"{path} is in no dbt project: no dbt_project.yml there or above")

    @staticmethod
    def is_around(path: Path) -> bool:
        return any((folder / "dbt_project.yml").is_file() for folder in path.resolve().parents)

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        import yaml

        try:
            said = yaml.safe_load((self.root / "dbt_project.yml").read_text(encoding="utf-8")) or {}
            if not isinstance(said, dict):
                raise ConfigurationError(f"{self.root / 'dbt_project.yml'} holds no settings")
            return said
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{self.root / 'dbt_project.yml'} is no YAML: {error}") from error

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        text = read(self.root / str(self.settings.get("target-path", "target")) / "manifest.json")
        try:
            return json.loads(text) if text else {}
        except ValueError:  # cut short while dbt wrote it: as if it were not there
            return {}

    @cached_property
    def dialect(self) -> str:
        if self.given_dialect:
            return DIALECTS.get(self.given_dialect, self.given_dialect)
        adapter = self.manifest.get("metadata", {}).get("adapter_type")
        found = re.search(r"^\s+type:\s*['\"]?(\w+)", read(self.root / "profiles.yml") or "", re.MULTILINE)
        return DIALECTS.get(adapter or (found[1] if found else ""), "")

    def read(self) -> None:
        """Read now what all files ask for: before there are several processes."""
        _ = self.entries, self.source_schemas, self.macros, self._built

    @cached_property
    def sql_files(self) -> list[SqlFile]:
        return [SqlFile(kind, Source(text, path), self.dialect) for kind, path, text in self._files(".sql")]

    def text(self, path: str) -> str:
        """A file's text, read once."""
        if path not in self._texts:
            self._texts[path] = read(self.root / path) or ""
        return self._texts[path]

    @cached_property
    def _texts(self) -> dict[str, str]:
        return {}

    def _files(self, *suffixes: str) -> Iterator[tuple[str, str, str]]:
        for kind, (setting, default) in _FOLDERS.items():
            for folder in self.settings.get(setting, default):
                for path in sorted((self.root / folder).rglob("*")):
                    if path.suffix not in suffixes or not path.is_file():
                        continue
                    below, text = path.relative_to(self.root).as_posix(), read(path)
                    if text is None:
                        self.unread.append((below, *_undecodable(path)))
                    else:
                        yield kind, below, text

    @cached_property
    def yaml_files(self) -> list[tuple[str, str, Any]]:
        """Path, text and tree of each; those that cannot be read stand in `unread`."""
        import yaml

        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast
        found = []
        for _, path, text in self._files(".yml", ".yaml"):
            try:
                found.append((path, text, yaml.compose(text, loader)))
            except yaml.YAMLError as error:
                mark = getattr(error, "problem_mark", None)
                self.unread.append((path, mark.line + 1 if mark else 1, f"no YAML: {getattr(error, 'problem', error)}"))
        return found

    @cached_property
    def entries(self) -> dict[str, Entry]:
        found: dict[str, Entry] = {}
        for path, _, tree in self.yaml_files:
            for group in ("models", "snapshots"):
                listed = _get(tree, group)
                for node in listed.value if listed is not None and listed.id == "sequence" else ():
                    name = _get(node, "name")
                    if name is None or name.id != "scalar":
                        continue
                    said = plain(node)
                    config = said.get("config") if isinstance(said.get("config"), dict) else {}
                    found[name.value] = Entry(path=path, line=node.start_mark.line + 1, tests=frozenset(_tests(said)), config=config)
        return found

    def config(self, file: SqlFile) -> dict[str, Any]:
        """Of a model, weakest first: dbt_project.yml by folder, its YAML, its file."""
        parts = Path(file.path).parts[1:-1]
        level: Any = self.settings.get("models" if file.kind == "model" else "snapshots") or {}
        found = _plus(level)
        for part in (str(self.settings.get("name")), *parts, file.name):
            level = level.get(part) if isinstance(level, dict) else None
            if level is None:
                break
            found |= _plus(level)
        entry = self.entries.get(file.name)
        return {**found, **(entry.config if entry else {}), **file.settings}

    def compiled(self, file: SqlFile) -> str | None:
        """What dbt last made of the file, when the file is still as it was."""
        node = self._built.get(file.path, {})
        same = str(node.get("raw_code", "")).strip() == file.source.text.strip()
        return node.get("compiled_code") or None if same else None

    @cached_property
    def _built(self) -> dict[str, Mapping[str, Any]]:
        nodes = self.manifest.get("nodes", {}).values()
        return {node.get("original_file_path"): node for node in nodes if node.get("resource_type") in ("model", "snapshot")}

    @cached_property
    def source_schemas(self) -> set[str]:
        """The schemas of the sources, where YAML spells them out; by default a source's name is its schema."""
        found: set[str] = set()
        for _, _, tree in self.yaml_files:
            said = _get(tree, "sources")
            for source in dicts(plain(said)) if said is not None else ():
                name = str(source.get("schema") or source.get("name") or "")
                if re.match(r"^\w+$", name):
                    found.add(name)
        return found

    @cached_property
    def macros(self) -> dict[str, list[str]]:
        """The bodies of each macro; of one that dispatches, those that it may choose."""
        bodies: dict[str, list[str]] = {}
        for file in self.sql_files:
            if file.kind == "macro":
                for name, body in _MACRO.findall(file.source.text):
                    bodies.setdefault(name, []).append(body)
        for name, own in list(bodies.items()):
            if any(_DISPATCH.search(body) for body in own):
                bodies[name] = [body for other, texts in bodies.items() if other.endswith(f"__{name}") for body in texts]
        return bodies

    def resolve(self, code: str) -> Sign:
        """What is known of the number that `{{ code }}` writes: of a variable its value, of a macro its body."""
        if found := _VAR.match(code):
            return self._number(_nested(self.settings.get("vars") or {}, found[1], found[2]))
        call = _CALL.match(code)
        bodies = self.macros.get(call[1], []) if call else []
        signs = [_sign(body, self.dialect) for body in bodies]
        if signs and all(sign in (Sign.POSITIVE, Sign.NONZERO) for sign in signs):
            return Sign.NONZERO
        return Sign.UNKNOWN

    def _number(self, value: Any) -> Sign:
        try:
            number = float(value)
        except (TypeError, ValueError):
            return Sign.UNKNOWN
        return Sign.ZERO if number == 0 else Sign.POSITIVE if number > 0 else Sign.NONZERO


def _sign(body: str, dialect: str) -> Sign:
    try:
        return sign_of(Source(body), dialect)
    except UnreadableSql:
        return Sign.UNKNOWN


def _nested(given: Mapping[str, Any], name: str, default: Any) -> Any:
    if name in given:
        return given[name]
    return next((value[name] for value in given.values() if isinstance(value, dict) and name in value), default)


def _plus(level: Any) -> dict[str, Any]:
    """The settings at a level of dbt_project.yml: with a plus, or plain where no folder can be meant."""
    if not isinstance(level, dict):
        return {}
    return {str(name).lstrip("+"): value for name, value in level.items() if str(name).startswith("+") or not isinstance(value, dict)}


def _get(node: Any, key: str) -> Any:
    if node is None or not isinstance(node.value, list):
        return None
    return next((value for name, value in node.value if not isinstance(name, str) and name.value == key), None) if node.id == "mapping" else None


def plain(node: Any) -> Any:
    """A tree of YAML as texts, lists and dicts."""
    if node.id == "mapping":
        return {str(name.value): plain(value) for name, value in node.value}
    if node.id == "sequence":
        return [plain(value) for value in node.value]
    return node.value


def _tests(said: Mapping[str, Any]) -> Iterator[tuple[str | None, str]]:
    for name in _test_names(said):
        yield None, name
    for column in dicts(said.get("columns")):
        for name in _test_names(column):
            yield column.get("name"), name
        for constraint in dicts(column.get("constraints")):
            if constraint.get("type") in ("primary_key", "unique"):
                yield column.get("name"), "unique"
            if constraint.get("type") in ("primary_key", "not_null"):
                yield column.get("name"), "not_null"
    if any(constraint.get("type") in ("primary_key", "unique") for constraint in dicts(said.get("constraints"))):
        yield None, "unique_together"


def _test_names(said: Mapping[str, Any]) -> Iterator[str]:
    for key in ("data_tests", "tests"):
        for test in said.get(key) or () if isinstance(said.get(key), list) else ():
            if isinstance(test, str):
                yield test.rpartition(".")[2]
            elif isinstance(test, dict) and test:
                named = test.get("test_name") or next(iter(test))
                yield str(named).rpartition(".")[2]


def dicts(given: Any) -> list[dict[str, Any]]:
    """What of a list is a mapping: YAML may hold anything."""
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
