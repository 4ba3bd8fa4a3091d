"""What dbt's artifacts add to a message: the nearest name, the query that shows the rows, the line of YAML to change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from rowferry.diagnosis.dbt_project import Node, Project, nearest
from rowferry.diagnosis.divisions import Reader, Sign
from rowferry.diagnosis.model import Context, Diagnosis
from rowferry.diagnosis.sql_source import Edit, Source, UnreadableSql, edited, tokens, unified_diff

_MOST_COLUMNS = 20
_LONGEST_QUERY = 40  # lines of compiled SQL that are repeated in a query; of a longer one the path is


def _node(project: Project, diagnosis: Diagnosis) -> Node | None:
    return project.node(diagnosis.node) or project.node(diagnosis.captured.get("path"))


def _text(diagnosis: Diagnosis, context: Context) -> str:
    """The message, and when it is cut short there the whole log."""
    own = "\n".join(line.text for line in diagnosis.lines)
    results = [str(r.get("message")) for r in context.run_results.get("results", ()) if r.get("unique_id") == diagnosis.node]
    return "\n".join([own, *results, *(line.text for line in context.lines)])


def _more(diagnosis: Diagnosis, *notes: str, **changes: Any) -> Diagnosis:
    captured = {**diagnosis.captured, **changes.pop("captured", {})}
    return replace(diagnosis, notes=(*diagnosis.notes, *notes), captured=captured, **changes)


# ---- a column that is not there ----

_HINTS = (
    re.compile(r"Candidate bindings:?\s*:?\s*(?P<names>(?:\"[^\"]+\"(?:, )?)+)"),
    re.compile(r"Perhaps you meant to reference the column (?P<names>\"[^\"]+\"(?: or the column \"[^\"]+\")?)"),
    re.compile(r"Did you mean (?P<names>\"?[\w.]+\"?)\?"),
)


def missing_column(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """Where the column is used, what is most like it among those that are there, and whether the source lost it."""
    project = Project.of(context)
    column = _last_name(diagnosis.captured.get("column", ""))
    node = _node(project, diagnosis)
    if not column:
        return diagnosis
    text = "\n".join(line.text for line in diagnosis.lines) + "\n" + (_message(context, node) if node else "")
    hinted = [_last_name(name) for hint in _HINTS for found in hint.finditer(text) for name in re.findall(r"[\w.]*\"[^\"]+\"|\b(?!or\b|the\b|column\b)[\w.]+", found["names"])]
    parents = project.direct_parents(node) if node else []
    known = {parent["unique_id"]: project.columns(parent) for parent in parents}
    near = nearest(column, [*hinted, *(name for names in known.values() for name in names)])
    near = [name for name in near if name.lower() != column.lower()] or (hinted[:1] if "Candidate bindings" not in text else [])  # DuckDB lists any
    notes = list(_column_notes(project, node, parents, known, column, near))
    notes += _drift_notes(context, parents, column)
    fix = f"Use {near[0]} in its place, or bring {column} back." if near else diagnosis.fix
    diff = _renamed(project, node, column, near[0]) if node and near else None
    return _more(diagnosis, *notes, fix=fix, diff=diff, captured={"column": column, **({"nearest": ", ".join(near)} if near else {})})


def _last_name(name: str) -> str:
    return name.strip().split(".")[-1].strip("\"'`[] ")


def _message(context: Context, node: Node) -> str:
    return "\n".join(str(r.get("message")) for r in context.run_results.get("results", ()) if r.get("unique_id") == node.get("unique_id"))


def _column_notes(project: Project, node: Node | None, parents: list[Node], known: Mapping[str, list[str]], column: str, near: list[str]) -> Iterator[str]:
    source = project.source(node) if node else None
    if source:
        for line in dict.fromkeys(source.line(token.start) for token in _uses(source, project.dialect, column)):
            yield f"{source.path}:{line} uses {column}"
    if near:
        owners = [project.node(name).get("name") for name, names in known.items() if near[0] in names]  # type: ignore[union-attr]
        yield f"nearest there: {', '.join(near)}" + (f" (of {', '.join(map(str, owners))})" if owners else "")
    for parent in parents if not near else ():
        if names := known.get(parent["unique_id"]):
            yield f"{parent['name']} has {', '.join(names[:_MOST_COLUMNS])}" + (f" and {len(names) - _MOST_COLUMNS} more" if len(names) > _MOST_COLUMNS else "")
    for parent in parents:
        names = known.get(parent["unique_id"], [])
        if any(name.lower() == column.lower() for name in names):
            yield f"{parent['name']} has {column} by its SQL or YAML: what is in the database is older or newer; build {parent['name']} again"


def _uses(source: Source, dialect: str, column: str) -> list[Any]:
    try:
        found = tokens(source, dialect)
    except UnreadableSql:
        return []
    return [token for token in found if token.kind in ("word", "quoted") and token.text.lower() == column.lower()]


def _drift_notes(context: Context, parents: list[Node], column: str) -> Iterator[str]:
    sources = [parent for parent in parents if parent.get("resource_type") == "source"]
    said = False
    for record in load_records(context):
        inner = record.get("report")
        report = inner if isinstance(inner, Mapping) else record
        for event in report.get("drift") or ():
            if isinstance(event, Mapping) and str(event.get("column", "")).lower() == column.lower():
                said = True
                load = record.get("load_id") or report.get("load_id")
                table = report.get("table") or record.get("source_table") or record.get("target_table")
                kind = str(event.get("kind")).replace("_", " ")
                yield f"load {load} of {table} met it: {kind} {event['column']} (policy {event.get('policy')})"
    if sources and not said:
        tables = " ".join(f"--table {source.get('identifier') or source['name']}" for source in sources)
        yield f"whether the source lost it stands in the load record: rowferry state show --target … {tables} --json, key drift"


def load_records(context: Context) -> list[Mapping[str, Any]]:
    """The load records, or reports, that Airflow's context brings: `load_records`, `reports`, or one of them."""
    found: list[Mapping[str, Any]] = []
    for key in ("load_records", "reports", "load_record", "report"):
        given = context.task.get(key)
        for one in given if isinstance(given, (list, tuple)) else [given]:
            one = one.to_dict() if hasattr(one, "to_dict") else one
            if isinstance(one, Mapping):
                found.append(one)
    return found


def _renamed(project: Project, node: Node, column: str, new: str) -> str | None:
    """The column renamed in the queries that read other relations; what they return keeps its name."""
    source = project.source(node)
    if source is None or not source.path or source.path.startswith("dbt_packages/"):
        return None
    try:
        found = tokens(source, project.dialect)
    except UnreadableSql:
        return None
    reader = Reader(source, found, lambda code: Sign.UNKNOWN)
    edits = []
    for i, token in enumerate(found):
        if token.kind not in ("word", "quoted") or token.text.lower() != column.lower():
            continue
        before, after = reader.word(i - 1), reader.word(i + 1)
        if before == "as" or not _reads_jinja(reader, i):
            continue
        first = i - 2 if before == "." else i
        item = reader.word(first - 1) in ("select", "distinct", ",") and after in (",", "from", "")
        in_list = item and _clause(reader, i) == "select"
        written = source.text[token.start : token.end]
        shown = _quoted(new, new != _folded(new, project.dialect), project.dialect)
        edits.append(Edit(token.start, token.end, f"{shown} as {written}" if in_list else shown))
    if not edits:
        return None
    return unified_diff(source.path, source.text, edited(source.text, edits))


def _block(reader: Reader, i: int) -> tuple[int, int]:
    """The query that a token stands in."""
    opening = max((a for a, b in reader.partner.items() if a < i < b and reader.word(a) == "(" and reader.word(a + 1) in ("select", "with")), default=-1)
    return opening + 1, reader.partner.get(opening, len(reader.tokens))


def _clause(reader: Reader, i: int) -> str:
    start, stop = _block(reader, i)
    heads = [k for k in reader.top(start, stop) if reader.word(k) in ("select", "from", "where", "group", "having", "order", "on", "qualify") and k < i]
    return reader.word(heads[-1]) if heads else ""


def _reads_jinja(reader: Reader, i: int) -> bool:
    start, stop = _block(reader, i)
    return any(reader.word(k) in ("from", "join") and k + 1 < stop and reader.tokens[k + 1].jinja for k in reader.top(start, stop))


# ---- keys that come twice ----


def duplicate_keys(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The query that shows the keys, and what keeps one row of each."""
    project = Project.of(context)
    node = _node(project, diagnosis)
    if node is None:
        return diagnosis
    keys = _keys(node)
    if not keys:
        return _more(diagnosis, f"{node.get('name')} has no unique_key in its config; the key is that of the constraint the message names")
    listed = ", ".join(keys)
    rows = _rows_of(project, node)
    query = f"select {listed}, count(*) as n_rows\nfrom {rows}\ngroup by {listed}\nhaving count(*) > 1\norder by n_rows desc"
    newest = next((name for name in _order_candidates(project, node) if name), None)
    dedupe = f"row_number() over (partition by {listed} order by {newest or '<what makes a row newer>'} desc) = 1"
    fix = (
        f"Keep one row of each key before the merge, the newest: {dedupe} (in a QUALIFY, or as a column that an outer WHERE filters);"
        " or add to unique_key what tells such rows apart."
    )
    notes = [f"these keys come more than once:\n{query}"]
    for parent in project.direct_parents(node):
        if set(keys) <= set(project.columns(parent)) and parent.get("relation_name"):
            above = f"select {listed}, count(*) as n_rows from {parent['relation_name']} group by {listed} having count(*) > 1"
            notes.append(f"whether {parent['name']} has them twice already:\n{above}")
    return _more(diagnosis, *notes, fix=fix, captured={"key": listed, "query": query})


def _keys(node: Node) -> list[str]:
    given = node.get("config", {}).get("unique_key")
    return [given] if isinstance(given, str) else list(given or ())


def _order_candidates(project: Project, node: Node) -> Iterator[str]:
    columns = {name.lower(): name for name in project.columns(node)}
    configured = node.get("config", {}).get("updated_at")
    yield from ([configured] if configured else [])
    for name in ("_extracted_at", "updated_at", "modified_at", "loaded_at", "created_at"):
        if name in columns:
            yield columns[name]


def _rows_of(project: Project, node: Node) -> str:
    compiled = project.compiled(node)
    if compiled is None:
        return f"(\n    -- the SQL of {node.get('name')}\n) as batch"
    if compiled.text.count("\n") > _LONGEST_QUERY:
        return f"(\n    -- the SQL in {node.get('compiled_path') or 'target/compiled'}\n) as batch"
    return f"(\n{compiled.text.strip()}\n) as batch"


# ---- tests of data that failed ----


def failed_test(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The query that shows the rows, and the one that asks the source whether it has them too."""
    project = Project.of(context)
    test = _node(project, diagnosis)
    if test is None or test.get("resource_type") != "test":
        return diagnosis
    parents = project.direct_parents(test)
    model = project.node(test.get("attached_node")) or (parents[0] if len(parents) == 1 else None)
    column = test.get("column_name") or test.get("test_metadata", {}).get("kwargs", {}).get("column_name")
    kind = test.get("test_metadata", {}).get("name", "")
    compiled = project.compiled(test)
    relation = model.get("relation_name") if model else None
    where = test.get("config", {}).get("where")
    tested = f"(select * from {relation} where {where}) as tested" if relation and where else relation
    query = (None if where and "{{" in where else _test_query(kind, tested, column, test, project)) or (compiled.text.strip() if compiled else None)
    if query is None:
        return diagnosis
    notes = [f"the rows:\n{query}"]
    captured = {"query": query}
    for table, name, changed in origins(project, model, column) if model and column else ():
        listed = f"select {name}, count(*) as n_rows from {table} group by {name} order by n_rows desc"
        at_source = listed if changed and kind == "accepted_values" else _test_query(kind, table, name, test, project)
        if at_source:
            asked = f"the model changes {name} on its way; what {table} has" if at_source is listed else f"whether {table} has them too"
            notes.append(f"{asked}:\n{at_source}")
            captured.setdefault("source_query", at_source)
    shown = ".".join(filter(None, (model.get("source_name"), model["name"], column))) if model and kind else test.get("name")
    title = f"{kind} test of {shown} failed" if kind else f"the test {shown} failed"
    return _more(diagnosis, *notes, title=title, fix=_TEST_FIXES.get(kind, diagnosis.fix), captured=captured)


_TEST_FIXES = {
    "not_null": "Where the source has no NULL, a join or a cast of the model makes it: fix the model. Where it has, fill or filter it in staging, or let the column be NULL and drop the test.",
    "unique": "Where the source's rows are unique, a join of the model repeats them: join on the whole key, or aggregate first. Where they are not, keep the newest in staging.",
    "accepted_values": "Where the source has the value, it is new there: map it in staging, or add it to `values` when it is right. Where it has not, the model makes it.",
    "relationships": "Where the source has the parent, it was loaded earlier than its child, or filtered out: load both from one moment, or filter both. Where it has not, the source lost it.",
}


def _test_query(kind: str, relation: str | None, column: str | None, test: Node, project: Project) -> str | None:
    if not relation or not column:
        return None
    if kind == "not_null":
        return f"select * from {relation} where {column} is null"
    if kind == "unique":
        return f"select {column}, count(*) as n_rows from {relation} where {column} is not null group by {column} having count(*) > 1"
    arguments = _arguments(test)
    if kind == "accepted_values" and arguments.get("values"):
        quoted = arguments.get("quote", True)
        values = ", ".join("'" + str(value).replace("'", "''") + "'" if quoted else str(value) for value in arguments["values"])
        return f"select {column}, count(*) as n_rows from {relation} where {column} not in ({values}) group by {column}"
    if kind == "relationships":
        others = [node for node in project.direct_parents(test) if node.get("unique_id") != test.get("attached_node")]
        field = arguments.get("field")
        if others and field:
            parent = others[0].get("relation_name")
            joined = f"{relation} as child left join {parent} as parent on parent.{field} = child.{column}"
            return (
                f"select child.{column}, count(*) as n_rows from {joined}"
                f" where child.{column} is not null and parent.{field} is null group by child.{column}"
            )
    return None


def _arguments(test: Node) -> Mapping[str, Any]:
    kwargs = test.get("test_metadata", {}).get("kwargs", {})
    return {**kwargs, **(kwargs.get("arguments") or {})}


def origins(project: Project, model: Node, column: str, depth: int = 10) -> list[tuple[str, str, bool]]:
    """The relations and columns at the top of the project that a model's column comes of, by sqlglot's lineage.

    Each with whether an expression changes it on the way. The names are quoted where the dialect needs it.
    """
    compiled = project.compiled(model) if model.get("resource_type") in ("model", "snapshot") else None
    if compiled is None or depth == 0:
        return []
    found: dict[tuple[str, str, bool], None] = {}
    for relation, name, changed in _lineage(compiled.text, column, project.dialect):
        parent = project.relation_node(relation)
        above = origins(project, parent, name, depth - 1) if parent else []
        shown = parent.get("relation_name") if parent else None
        known = [(table, at, changed or later) for table, at, later in above]
        found.update(dict.fromkeys(known or [(shown or relation, name, changed)]))
    return list(found)


def _lineage(sql: str, column: str, dialect: str) -> list[tuple[str, str, bool]]:
    """The tables of one query that a column comes of: relation, the column there, whether an expression changes it."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError
    from sqlglot.lineage import lineage

    try:
        root = lineage(column, sql, {}, dialect=dialect)
    except (SqlglotError, ValueError):
        try:
            return _starred(sqlglot.parse_one(sql, dialect=dialect), column)
        except SqlglotError:
            return []
    found = []
    waiting = [(root, column, False)]
    while waiting:
        step, name, changed = waiting.pop()
        own = exp.to_column(step.name, dialect=dialect).parts[-1] if step.name != "*" else None
        name = _quoted(own.name, own.args.get("quoted"), dialect) if own and step is not root else name
        if isinstance(step.source, exp.Table) and not step.downstream:
            found.append((".".join(part.name for part in step.source.parts), name, changed))
        plain = step.expression.unalias() if isinstance(step.expression, exp.Expression) else None
        changed = changed or not (plain is None or isinstance(plain, (exp.Column, exp.Star, exp.Table, exp.Select, exp.Union)))
        waiting += [(below, name, changed) for below in sorted(step.downstream, key=_place_in(step.expression), reverse=True)]
    return found


def _place_in(expression: Any) -> Callable[[Any], int]:
    """Of a step below: where the expression has its column. sqlglot keeps them in a set, whose order is another in each process."""
    from sqlglot import exp

    names = [column.name for column in expression.find_all(exp.Column)] if isinstance(expression, exp.Expression) else []
    places = {name: place for place, name in reversed(list(enumerate(names)))}
    return lambda step: places.get(exp.to_column(step.name).name, len(names))


def _starred(query: Any, column: str) -> list[tuple[str, str, bool]]:
    """Of `select * from one_table`, which spells no column out."""
    from sqlglot import exp

    tables = list(query.find_all(exp.Table))
    if not isinstance(query, exp.Select) or not query.is_star or len(tables) != 1:
        return []
    return [(".".join(part.name for part in tables[0].parts), column, False)]


def _quoted(name: str, quoted: object, dialect: str) -> str:
    """The name of a column as SQL has to write it."""
    from sqlglot import exp

    if re.fullmatch(r"[A-Za-z_]\w*", name) and not (quoted and name != _folded(name, dialect)):
        return name
    return exp.to_identifier(name, quoted=True).sql(dialect=dialect)


def _folded(name: str, dialect: str) -> str:
    """What a name without quotes means."""
    return {"postgres": name.lower(), "redshift": name.lower(), "snowflake": name.upper()}.get(dialect, name)


# ---- contracts and changed columns ----

_MISMATCH = re.compile(r"^\s*\|\s*(\w+)\s*\|\s*([^|]*?)\s*\|\s*([^|]*?)\s*\|\s*(data type mismatch|missing in contract|missing in definition)\s*\|", re.MULTILINE)


def contract(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The columns that differ, and the contract as the model now is."""
    project = Project.of(context)
    node = _node(project, diagnosis)
    found = dict.fromkeys(_MISMATCH.findall(_text(diagnosis, context) if node is None else _message(context, node) or _text(diagnosis, context)))
    if not found:
        return diagnosis
    notes = []
    promised = {str(name).lower(): str(said.get("data_type")) for name, said in (node or {}).get("columns", {}).items()}
    for column, model_type, contract_type, reason in found:
        wanted = promised.get(column.lower(), contract_type)
        words = {
            "data type mismatch": f"{column}: the model returns {model_type}, the contract says {wanted}; cast({column} as {wanted}) in the model, or data_type: {_type(model_type, project.dialect)} in the contract",
            "missing in contract": f"{column} ({model_type}) is returned and not in the contract: take it out of the model, or add it to the contract",
            "missing in definition": f"{column} ({contract_type}) is in the contract and not returned: return it, or take it out of the contract",
        }
        notes.append(words[reason])
    diff = _contract_diff(project, node, list(found)) if node else None
    fix = "Decide which is right. Others rely on the contract: where the model drifted, change the model." + (" The diff makes the contract what the model returns." if diff else "")
    return _more(diagnosis, *notes, fix=fix, diff=diff, captured={"columns": ", ".join(row[0] for row in found)})


_DRIVER_TYPES = {
    "longinteger": "bigint", "float": "double precision", "decimal": "numeric", "datetime": "timestamp", "datetimetz": "timestamptz",
    "unicode": "text", "string": "text", "integerarray": "integer[]", "longintegerarray": "bigint[]", "stringarray": "text[]", "unicodearray": "text[]",
}
"""psycopg2's names of types, which dbt shows for PostgreSQL and Redshift, as SQL has them."""


def _type(shown: str, dialect: str) -> str:
    name = shown.lower()
    return _DRIVER_TYPES.get(name, name) if dialect in ("postgres", "redshift") else name


def _contract_diff(project: Project, node: Node, found: list[tuple[str, str, str, str]]) -> str | None:
    """Changes in the lines of the model's YAML; None where its columns are written in one line."""
    import yaml

    path = str(node.get("patch_path") or "").partition("://")[2]
    text = project.text(path)
    if not text:
        return None
    columns = _yaml_columns(yaml.compose(text, yaml.SafeLoader), str(node.get("name")))
    if columns is None or columns.flow_style or not columns.value or any(column.flow_style for column in columns.value):
        return None
    by_name = {_yaml_get(column, "name").value.lower(): column for column in columns.value if _yaml_get(column, "name")}
    indent = " " * (columns.value[0].start_mark.column - 2)
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    edits = []
    for column, model_type, _, reason in found:
        entry = by_name.get(column.lower())
        if reason == "missing in contract":
            end = _end_of(lines, columns.value[-1])
            newline = "" if end == 0 or lines[end - 1].endswith("\n") else "\n"
            edits.append(Edit(starts[end], starts[end], f"{newline}{indent}- name: {column.lower()}\n{indent}  data_type: {_type(model_type, project.dialect)}\n"))
        elif entry is None:
            return None
        elif reason == "missing in definition":
            edits.append(Edit(starts[entry.start_mark.line], starts[_end_of(lines, entry)], ""))
        else:
            kind = _yaml_get(entry, "data_type")
            if kind is None:
                return None
            edits.append(Edit(kind.start_mark.index, kind.end_mark.index, _type(model_type, project.dialect)))
    return unified_diff(path, text, _all_edited(text, edits)) or None


def _all_edited(text: str, edits: list[Edit]) -> str:
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end), reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _yaml_get(mapping: Any, key: str) -> Any:
    return next((value for name, value in mapping.value if name.value == key), None)


def _yaml_columns(document: Any, model: str) -> Any:
    for group in ("models", "snapshots", "seeds"):
        for entry in getattr(_yaml_get(document, group), "value", ()):
            name = _yaml_get(entry, "name")
            if name is not None and name.value == model:
                return _yaml_get(entry, "columns")
    return None


def _end_of(lines: list[str], entry: Any) -> int:
    """The line behind an entry of a list: its end mark is where the next token begins."""
    end = entry.end_mark.line + (1 if entry.end_mark.column > entry.start_mark.column else 0)
    while end > entry.start_mark.line + 1 and not lines[end - 1].strip():
        end -= 1
    return min(end, len(lines))


_CHANGED = {
    "added": re.compile(r"Source columns not in target: \[(.*?)\]\s*$", re.MULTILINE),
    "gone": re.compile(r"Target columns not in source: \[(.*?)\]\s*$", re.MULTILINE),
    "retyped": re.compile(r"New column types: \[(.*?)\]\s*$", re.MULTILINE),
}
_COLUMN_NAME = re.compile(r"column(?:_name)?'?[=:] ?'([^']+)'|<\w*Column (\w+)")


def changed_columns(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """Which columns an incremental model gained, lost or changed, and the setting that follows them."""
    project = Project.of(context)
    node = _node(project, diagnosis)
    text = (_message(context, node) if node else "") or _text(diagnosis, context)
    changed = {kind: _column_names(pattern, text) for kind, pattern in _CHANGED.items()}
    if not any(changed.values()):
        return diagnosis
    notes = [f"{kind.replace('retyped', 'of another type')}: {', '.join(names)}" for kind, names in changed.items() if names]
    name = node.get("name") if node else "the model"
    if changed["gone"] or changed["retyped"]:
        fix = f"Build it anew once: dbt run --full-refresh --select {name}; or alter the table by hand. append_new_columns follows added columns only."
        return _more(diagnosis, *notes, fix=fix)
    diff = _setting_diff(project, node) if node else None
    fix = f"on_schema_change: append_new_columns adds them and leaves them NULL in older rows; dbt run --full-refresh --select {name} fills those."
    return _more(diagnosis, *notes, fix=fix, diff=diff, captured={"columns": ", ".join(changed["added"])})


def _column_names(pattern: re.Pattern[str], text: str) -> list[str]:
    found = pattern.search(text)
    return [a or b for a, b in _COLUMN_NAME.findall(found[1])] if found else []


def _setting_diff(project: Project, node: Node) -> str | None:
    """`fail` becomes `append_new_columns` where it is written: in the model, its YAML, or the project's."""
    for path in (node.get("original_file_path"), str(node.get("patch_path") or "").partition("://")[2], "dbt_project.yml"):
        text = project.text(path)
        found = re.search(r"on_schema_change['\"]?\s*[=:]\s*['\"]?(fail)\b", text) if text else None
        if path and text and found:
            return unified_diff(path, text, text[: found.start(1)] + "append_new_columns" + text[found.end(1) :])
    return None


# ---- names that dbt does not know ----


def unknown_name(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The names most like the one that is not known, of the same kind, and the place where it stands."""
    project = Project.of(context)
    captured = diagnosis.captured
    text = _text(diagnosis, context)
    kind, name = _unknown(captured, text)
    if not name:
        return diagnosis
    known = list(_known_names(project, kind))
    disabled = [node.get("name") for nodes in project.manifest.get("disabled", {}).values() for node in nodes]
    notes = [f"{name} is disabled: enabled=false in its config, its YAML or dbt_project.yml"] if name in disabled else []
    near = nearest(name, [other for other in known if other != name])
    if name in known and project.manifest:
        notes.append(f"the manifest of an earlier run knows {name}: its file was renamed, removed or disabled since")
    elif name in known:
        notes.append(f"there is a file of {name}: its config, its YAML or dbt_project.yml disables it, or its folder is not one of this project's paths")
    if near:
        notes.append(f"nearest {kind}: {', '.join(near)}")
    elif not known and project.root is None and not project.manifest:
        notes.append("the names that there are stand in manifest.json: give --target-dir")
    path = captured.get("path") or _path_in(text)
    diff = _name_diff(project, path, name, near[0]) if near and path else None
    fix = f"Write {near[0]}, if that is meant." if near else diagnosis.fix
    return _more(diagnosis, *notes, fix=fix, diff=diff, captured={"name": name, **({"nearest": ", ".join(near)} if near else {})})


_UNKNOWN = {
    "source": re.compile(r"depends on a source named '([^']+)'"),
    "model": re.compile(r"depends on a node named '([^']+)'"),
    "macro": re.compile(r"'(\w+)' is undefined|No macro named '(\w+)'|macro '(?:dbt_macro__)?(\w+)' (?:not found|is undefined)"),
    "var": re.compile(r"Required var '(\w+)' not found"),
}


def _unknown(captured: Mapping[str, str], text: str) -> tuple[str, str]:
    """The kind of thing that is not known, and its name."""
    named = captured.get("ref")
    if named:
        return ("source" if re.search(rf"source named '{re.escape(named)}'", text) else "model"), named
    for kind in ("macro", "var"):
        if captured.get(kind):
            return kind, captured[kind]
    for kind, pattern in _UNKNOWN.items():
        if found := pattern.search(text):
            return kind, next(filter(None, found.groups()))
    return "name", captured.get("name", "")


def _known_names(project: Project, kind: str) -> Iterator[str]:
    if kind == "source":
        yield from (f"{node['source_name']}.{node['name']}" for node in project.sources())
    elif kind == "macro":
        yield from (macro["name"] for macro in project.manifest.get("macros", {}).values())
    elif kind == "var":
        import yaml

        given = yaml.safe_load(project.text("dbt_project.yml") or "") or {}
        for name, value in (given.get("vars") or {}).items():
            yield from value if isinstance(value, dict) else [name]
    else:
        known = [node["name"] for node in project.nodes() if node.get("resource_type") in ("model", "seed", "snapshot")]
        yield from known or _file_names(project)


def _file_names(project: Project) -> list[str]:
    """Before a first successful parse there is no manifest: the files have the names."""
    root = project.root
    folders = ("models", "seeds", "snapshots")
    return sorted(path.stem for folder in folders if root for path in (root / folder).rglob("*") if path.suffix in (".sql", ".csv", ".py"))


def _path_in(text: str) -> str | None:
    found = re.search(r"\(([\w./-]+\.(?:sql|yml|yaml))\)", text)
    return found[1] if found else None


def _name_diff(project: Project, path: str, name: str, new: str) -> str | None:
    text = project.text(path)
    if not text or path.endswith((".yml", ".yaml")):
        return None
    pairs = [(name, new)]
    if "." in name:  # source('a', 'b')
        pairs = [(old, other) for old, other in zip(name.split("."), new.split("."), strict=True) if old != other]
    edits = []
    for part in Source(text).jinja:
        for old, other in pairs:
            edits += [Edit(m.start(), m.end(), other) for m in re.finditer(rf"\b{re.escape(old)}\b", text) if part.start <= m.start() < part.end and part.kind != "{#"]
    return unified_diff(path, text, edited(text, edits)) if edits else None


_CYCLE = re.compile(r"Found a cycle: (.+)")


def cycle(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The nodes of the circle with their files, and which reference closes it."""
    found = _CYCLE.search(_text(diagnosis, context))
    if not found:
        return diagnosis
    project = Project.of(context)
    names = list(dict.fromkeys(part.strip() for part in re.split(r"\s*-->\s*", found[1])))
    places = []
    for name in names:
        node = project.node(name)
        places.append(f"{name.split('.')[-1]} ({node['original_file_path']})" if node else name.split(".")[-1])
    fix = "Take one of these references out: move what both need into a model of its own that each of them reads, or read {{ this }} where a model reads its own past."
    return _more(diagnosis, "each reads the next: " + " -> ".join([*places, places[0]]), fix=fix)
