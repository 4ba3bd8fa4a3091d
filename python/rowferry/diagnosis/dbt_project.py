"""What dbt left of a run, beside the files of its project: raw SQL, compiled SQL, macros, and who reads whom."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rowferry.diagnosis.model import Context
from rowferry.diagnosis.sql_source import DIALECTS, Source

Node = Mapping[str, Any]
"""A node, source or macro of manifest.json."""

_NOT_OURS = ("dbt", "dbt_postgres", "dbt_duckdb", "dbt_snowflake", "dbt_bigquery", "dbt_redshift", "dbt_databricks", "dbt_spark")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A dbt project as far as it is at hand.

    Attributes:
        root: Its folder, or None.
        manifest, run_results: As dbt wrote them, or {}.
        target_dir: Where dbt writes compiled SQL, or None.
    """

    root: Path | None = None
    manifest: Mapping[str, Any] = field(default_factory=dict)
    run_results: Mapping[str, Any] = field(default_factory=dict)
    target_dir: Path | None = None

    @classmethod
    def of(cls, context: Context) -> Project:
        root = context.project_dir
        said = context.run_results.get("args", {}).get("project_dir")
        if root is None and said and (Path(said) / "dbt_project.yml").is_file():
            root = Path(said)
        return cls(root=root, manifest=context.manifest, run_results=context.run_results, target_dir=context.target_dir)

    @property
    def dialect(self) -> str:
        """sqlglot's name of it; nothing when the adapter is not known."""
        return DIALECTS.get(str(self.manifest.get("metadata", {}).get("adapter_type") or ""), "")

    @property
    def name(self) -> str | None:
        return self.manifest.get("metadata", {}).get("project_name")

    def is_ours(self, node: Node) -> bool:
        """Whether the node's file belongs to the project and not to an installed package."""
        return self.name is None or node.get("package_name") in (None, self.name)

    def nodes(self) -> Iterator[Node]:
        yield from self.manifest.get("nodes", {}).values()

    def sources(self) -> Iterator[Node]:
        yield from self.manifest.get("sources", {}).values()

    def node(self, name: str | None) -> Node | None:
        """The node, source or snapshot of that unique_id, name or path."""
        if not name:
            return None
        for group in ("nodes", "sources"):
            known = self.manifest.get(group, {})
            if name in known:
                return known[name]
        last = name.rpartition(".")[2]
        wanted = {name, last} if name.count(".") >= 2 else {name}
        found = [node for node in [*self.nodes(), *self.sources()] if wanted & {node.get("name"), node.get("alias"), node.get("original_file_path")}]
        return found[0] if found else None

    def relation_node(self, relation: str) -> Node | None:
        """The node that builds or names `database.schema.table`, quoted or not, as far as it is given."""
        wanted = [part.strip('"`[] ').lower() for part in relation.split(".")]
        for node in [*self.nodes(), *self.sources()]:
            names = [str(node.get(key) or "").lower() for key in ("database", "schema")]
            names.append(str(node.get("identifier") or node.get("alias") or node.get("name")).lower())
            if names[-len(wanted) :] == wanted and node.get("resource_type") != "test":
                return node
        return None

    def text(self, path: str | None) -> str | None:
        """A file of the project, its line ends as they are."""
        if self.root is None or not path:
            return None
        return read(self.root / path)

    def source(self, node: Node) -> Source | None:
        """The raw file of a node, or what the manifest kept of it. A package's file has a path below `dbt_packages`."""
        path = node.get("original_file_path")
        if not str(path).endswith(".sql"):  # a test's is the YAML file that asks for it
            return Source(node["raw_code"]) if node.get("raw_code") else None
        if not self.is_ours(node):
            path = f"dbt_packages/{node['package_name']}/{path}"
        text = self.text(path) or node.get("raw_code")
        return Source(text, path) if text else None

    def columns(self, node: Node) -> list[str]:
        """The columns that are known of what a node builds: from its SQL, a seed's head, its YAML, the catalog."""
        known = list(node.get("columns", {}))
        known += self._catalog.get(node.get("unique_id"), ())
        if node.get("resource_type") == "seed":
            head = (self.text(node.get("original_file_path")) or "").partition("\n")[0]
            known += [name.strip().strip('"') for name in head.split(",") if name.strip()]
        compiled = self.compiled(node)
        if compiled:
            known += _selected(compiled.text, self.dialect)
        return list(dict.fromkeys(known))

    @cached_property
    def _catalog(self) -> dict[str, list[str]]:
        text = read(self.target_dir / "catalog.json") if self.target_dir else None
        catalog = json.loads(text) if text else {}
        return {name: list(node.get("columns", {})) for kind in ("nodes", "sources") for name, node in catalog.get(kind, {}).items()}

    def direct_parents(self, node: Node) -> list[Node]:
        return [parent for name in node.get("depends_on", {}).get("nodes", ()) if (parent := self.node(name))]

    def compiled(self, node: Node) -> Source | None:
        """What dbt made of the node and sent, or nothing when it did not come so far."""
        name = node.get("unique_id")
        for result in self.run_results.get("results", ()):
            if result.get("unique_id") == name and result.get("compiled_code"):
                return Source(result["compiled_code"])
        if node.get("compiled_code"):
            return Source(node["compiled_code"])
        for path in self._compiled_paths(node):
            text = read(path)
            if text:
                return Source(text)
        return None

    def _compiled_paths(self, node: Node) -> Iterator[Path]:
        if node.get("compiled_path") and self.root:
            yield self.root / node["compiled_path"]
        if self.target_dir and node.get("package_name") and node.get("original_file_path"):
            yield self.target_dir / "compiled" / node["package_name"] / node["original_file_path"]

    def parents(self, node: Node, kinds: Iterable[str]) -> list[Node]:
        """The nodes above that are computed together with this one, of these materializations, nearest first."""
        found: dict[str, Node] = {}
        waiting = list(node.get("depends_on", {}).get("nodes", ()))
        while waiting:
            name = waiting.pop(0)
            parent = self.manifest.get("nodes", {}).get(name)
            if parent is None or name in found or parent.get("config", {}).get("materialized") not in kinds:
                continue
            found[name] = parent
            waiting += parent.get("depends_on", {}).get("nodes", ())
        return list(found.values())

    def macros(self, node: Node) -> Iterator[Source]:
        """The macros the node uses, directly or not, but for dbt's own."""
        known = self.manifest.get("macros", {})
        waiting = list(node.get("depends_on", {}).get("macros", ()))
        seen: set[str] = set()
        while waiting:
            name = waiting.pop(0)
            macro = known.get(name)
            if name in seen or macro is None or macro.get("package_name") in _NOT_OURS:
                continue
            seen.add(name)
            waiting += macro.get("depends_on", {}).get("macros", ())
            waiting += [other for other in known if other.endswith(f"__{macro['name']}")]  # what dispatch may choose
            yield self.macro_source(macro)

    def macro_source(self, macro: Node) -> Source:
        path, sql = macro.get("original_file_path"), macro.get("macro_sql") or ""
        if not self.is_ours(macro):
            path = f"dbt_packages/{macro['package_name']}/{path}"
        text = self.text(path) or ""
        offset = text.find(sql.strip())
        if offset < 0:
            return Source(sql, path)
        return Source(sql.strip(), path, 1 + text.count("\n", 0, offset), offset)


def _selected(sql: str, dialect: str) -> list[str]:
    """The names of the columns that a query returns, as far as they are spelled out."""
    import sqlglot
    from sqlglot.optimizer.qualify import qualify

    try:
        query = sqlglot.parse_one(sql, dialect=dialect)
        if "*" in query.named_selects:  # of a CTE, whose columns may be spelled out
            query = qualify(query, dialect=dialect, validate_qualify_columns=False, quote_identifiers=False)
        names = query.named_selects
    except (sqlglot.errors.SqlglotError, AttributeError):
        return []
    return [name for name in names if name and name != "*"]


def read(path: Path) -> str | None:
    """A text file with its line ends as they are; None where there is none that can be read."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return None


def nearest(name: str, known: Iterable[str], n: int = 3) -> list[str]:
    """The names most like it, the likeliest first: capitals, `_` and the order of the words count for little."""
    known = list(dict.fromkeys(known))
    plain = {other: _plain(other) for other in known}
    wanted = _plain(name)
    scored = [(max(_like(wanted, other), 0.85 if _sorted_words(name) == _sorted_words(written) else 0), written) for written, other in plain.items()]
    best = sorted((pair for pair in scored if pair[0] >= 0.6), key=lambda pair: -pair[0])
    return [written for _, written in best[:n]]


def _like(a: str, b: str) -> float:
    ratio = difflib.SequenceMatcher(None, a, b).ratio()
    return max(ratio, 0.7 if len(min(a, b, key=len)) >= 3 and (a in b or b in a) else 0)


def _plain(name: str) -> str:
    return name.lower().replace("_", "").replace('"', "")


def _sorted_words(name: str) -> list[str]:
    return sorted(name.lower().split("_"))
