"""The rules of `rowferry lint`. Each is a generator from a file, or the project, to findings; `RULES` says what each code means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from rowferry.diagnosis.division_by_zero import guarded, one_line, written_as
from rowferry.diagnosis.divisions import Division, Reader, divisions, guards
from rowferry.diagnosis.sql_source import Edit, Source, UnreadableSql
from rowferry.lint.project import LintProject, SqlFile


@dataclass(frozen=True, slots=True)
class Rule:
    """What a code means."""

    name: str
    why: str


RULES = {
    "RF00": Rule("unreadable", "What cannot be read cannot be looked at."),
    "RF01": Rule("unguarded-division", "One zero fails the whole model, or becomes infinity where the database lets it pass."),
    "RF02": Rule("select-star", "A column that the source gains, loses or moves changes the model without a word."),
    "RF03": Rule("hard-coded-date", "A date in a model is right once; a variable or a macro has one place to change it."),
    "RF04": Rule("write-to-raw", "Raw tables are what the source said; what a model changes there no load brings back."),
    "RF05": Rule("incremental-without-key", "Without a key each run that reads a row again inserts it again."),
    "RF06": Rule("late-rows-lost", "A row that commits late, or arrives late, is older than the newest one and never read."),
    "RF07": Rule("naming", "A name by the convention says where a model belongs and what it reads."),
    "RF08": Rule("missing-test", "A key that repeats or is NULL is found by a test, or by nobody."),
}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a rule found: where, what, what to do, and the edits that do it where they are exact.

    `start` and `end` are lines of the file; a comment on any of them may say that it is meant. The edits of a division
    come of it, since those of several are made together.
    """

    code: str
    path: str
    start: int
    end: int
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    division: Division | None = None

    def made(self) -> tuple[Edit, ...]:
        return tuple(guards([self.division])) if self.division else self.edits


def of_file(project: LintProject, file: SqlFile) -> Iterator[Found]:
    if file.kind == "macro":
        yield from _in_macros(project, file)
        return
    if str(project.config(file).get("enabled")).lower() == "false":
        return
    try:
        reader = Reader(file.source, file.tokens, project.resolve)
    except UnreadableSql as error:
        line = file.source.first_line + error.lines
        yield Found(code="RF00", path=file.path, start=line, end=line, message=str(error), fix="Close the quote or comment, or name the dialect: --dialect.")
        return
    if unended := file.source.unended:
        line = file.source.line(unended[0])
        yield Found(code="RF00", path=file.path, start=line, end=line, message=f"{unended[1]} has no end", fix="Close it; what else is found here may be wrong.")
    yield from _divisions(project, file)
    if file.kind in ("model", "snapshot"):
        yield from _dates(file, reader)
    yield from _writes(project, file)
    if file.kind == "model":
        yield from _stars(file, reader)
        yield from _incremental(project, file, reader)
        yield from _names(project, file)
        yield from _tests(project, file)


_MACRO = re.compile(r"\{%-?\s*(?:macro|test|materialization)\b[^%]*?-?%\}(.*?)\{%-?\s*end(?:macro|test|materialization)\s*-?%\}", re.DOTALL)


def _in_macros(project: LintProject, file: SqlFile) -> Iterator[Found]:
    """Macro by macro: between them stands prose, and in some of them no SQL."""
    text = file.source.text
    for found in _MACRO.finditer(text):
        body = Source(found[1], file.path, file.source.line(found.start(1)), found.start(1))
        try:
            yield from (_division(file, division) for division in divisions(body, file.dialect, project.resolve) if not division.filtered)
        except UnreadableSql:
            continue
    yield from writes_in(project, file.path, text)


# ---- RF01 ----


def _divisions(project: LintProject, file: SqlFile) -> Iterator[Found]:
    compiled = project.compiled(file)
    sent = divisions(Source(compiled), project.dialect) if compiled else None
    for division in _candidates(project, file):
        if division.filtered:  # no proof, but not worth stopping a commit for
            continue
        if sent is not None and any(t.jinja for t in division.tokens) and not any(written_as(s, division) for s in sent):
            continue  # what Jinja wrote there is guarded
        yield _division(file, division)


def _division(file: SqlFile, division: Division) -> Found:
    last = division.source.line(division.end - 1)
    return Found(
        code="RF01", path=file.path, start=division.line, end=last, message=f"{one_line(division)}: {division.why}", fix=f"Guard it: {guarded(division)}", division=division
    )


def _candidates(project: LintProject, file: SqlFile) -> Iterator[Division]:
    yield from divisions(file.source, file.dialect, project.resolve)
    for literal in file.source.literals():
        if not _LOOKS_LIKE_SQL.search(literal.text):
            continue
        try:
            yield from divisions(literal, file.dialect, project.resolve)
        except UnreadableSql:
            continue


_LOOKS_LIKE_SQL = re.compile(r"[\w)] +(/|//|%) +[\w(]|\)(/|//|%)\w+\(")


# ---- RF02 ----


def _stars(file: SqlFile, reader: Reader) -> Iterator[Found]:
    for i, token in enumerate(reader.tokens):
        if token.text != "*" or token.kind != "sign":
            continue
        qualified = reader.word(i - 1) == "."
        if not qualified and reader.word(i - 1) not in ("select", "distinct", "all", ","):
            continue
        select = _select_before(reader, i)
        if select is None or reader.word(select - 2) == "exists":
            continue
        name = f"{reader.tokens[i - 2].text}.*" if qualified else "*"
        edit = _columns_instead(reader, select, i) if select == i - 1 else None
        line = file.source.line(token.start)
        yield Found(code="RF02", path=file.path, start=line, end=line, message=f"select {name}", fix="Name the columns.", edits=(edit,) if edit else ())


def _select_before(reader: Reader, i: int) -> int | None:
    """The SELECT whose list a star stands in; in a call's parentheses it stands in none."""
    opening = max((a for a, b in reader.partner.items() if a < i < b and reader.word(a) in ("(", "[", "case")), default=-1)
    found = [k for k in range(opening + 1, i) if reader.word(k) == "select" and not any(opening < a < k < b for a, b in reader.partner.items())]
    return found[-1] if found else None


def _columns_instead(reader: Reader, select: int, star: int) -> Edit | None:
    """The columns of the CTE that `select * from cte` reads, when all of them are spelled out in this file."""
    text = reader.source.text
    if reader.word(star + 1) != "from" or star + 2 >= len(reader.tokens) or reader.tokens[star + 2].jinja:
        return None
    if reader.word(star + 3) in (",", "join", "left", "right", "full", "inner", "cross", "natural", ".") or text[reader.tokens[select].end : reader.tokens[star].start].strip():
        return None
    columns = cte_columns(reader, reader.tokens[star + 2].text, star)
    start, end, following = reader.tokens[select].end, reader.tokens[star].end, reader.tokens[star + 1].start
    if not columns or text[end:following].strip():
        return None
    line = reader.source.line_text(reader.tokens[select].start)
    indent = line[: len(line) - len(line.lstrip())]
    listed = ",\n".join(f"{indent}    {column}" for column in columns)
    return Edit(start, following, f"\n{listed}\n{indent}")


def cte_columns(reader: Reader, name: str, before: int) -> list[str]:
    """The names that `name as (select …)` returns; [] when one of them is not spelled out, or Jinja decides which there are."""
    for i in range(before - 1):
        if reader.tokens[i].text != name or reader.word(i + 1) != "as" or reader.word(i + 2) != "(" or reader.word(i + 3) != "select":
            continue
        stop = next((k for k in reader.top(i + 3, reader.closing(i + 2, before)) if reader.word(k) == "from"), None)
        if stop is None:
            return []
        start, end = reader.tokens[i + 2].start, reader.tokens[stop].start
        if any(part.kind == "{%" and start < part.start < end for part in reader.source.jinja):
            return []
        first = i + 5 if reader.word(i + 4) == "distinct" else i + 4
        names = [_item_name(reader, *span) for span in reader.split(first, stop, ",")]
        return [n for n in names if n] if all(names) else []
    return []


def _item_name(reader: Reader, start: int, stop: int) -> str | None:
    if stop <= start:
        return None
    last = reader.tokens[stop - 1]
    if last.jinja or last.kind not in ("word", "quoted"):
        return None
    named = stop - start == 1 or reader.word(stop - 2) in ("as", ".")
    return reader.source.text[last.start : last.end] if named else None


# ---- RF03 ----

_DATE = re.compile(r"^['\"]?(?:\d{4}-\d{2}-\d{2}(?:[ T][\d:.+Z-]*)?|\d{1,2}/\d{1,2}/\d{4}|\d{4}/\d{2}/\d{2})['\"]?$")
_DATE_CALLS = {"make_date", "date_from_parts", "datefromparts", "make_timestamp", "timestamp_from_parts", "date"}
_FIX_DATE = "Use a variable, {{ var('…') }}, or a macro such as {{ epoch_zero() }}."


def _dates(file: SqlFile, reader: Reader) -> Iterator[Found]:
    source = file.source
    for i, token in enumerate(reader.tokens):
        line = source.line(token.start)
        if token.kind == "string" and not token.jinja and (_DATE.match(token.text) or _compact_date(reader, i)):
            yield Found(code="RF03", path=file.path, start=line, end=line, message=f"the date {token.text}", fix=_FIX_DATE)
        if token.text in _DATE_CALLS and token.kind == "word" and reader.word(i + 1) == "(":
            arguments = reader.split(i + 2, reader.closing(i + 1, len(reader.tokens)), ",")
            if len(arguments) >= 3 and all(reader.number(*span) is not None for span in arguments):
                yield Found(code="RF03", path=file.path, start=line, end=line, message=f"the date that {token.text}(…) makes", fix=_FIX_DATE)
    for part in source.jinja:
        if part.kind == "{#" or re.match(r"config\s*\(", part.code):
            continue
        for match in re.finditer(r"['\"]('?\d{4}-\d{2}-\d{2}(?:[ T][\d:.+Z-]*)?'?)['\"]", source.text[part.start : part.end]):
            before = source.text[part.start : part.start + match.start()]
            if re.search(r"\b(?:var|env_var)\(\s*['\"]\w+['\"]\s*,\s*$", before):
                continue
            line = source.line(part.start + match.start())
            yield Found(code="RF03", path=file.path, start=line, end=line, message=f"the date {match[1]}", fix=_FIX_DATE)


def _compact_date(reader: Reader, i: int) -> bool:
    """`to_date('20260101', 'YYYYMMDD')` and `date '20260101'`."""
    if not re.match(r"^'(19|20)\d{2}(0\d|1[0-2])([0-2]\d|3[01])'$", reader.tokens[i].text):
        return False
    if reader.word(i - 1) in (">", ">=", "<", "<=", "between") or (reader.word(i - 1) == "and" and "between" in (reader.word(i - 3), reader.word(i - 2))):
        return True
    return reader.word(i - 1) in ("date", "timestamp") or (reader.word(i - 1) == "(" and reader.word(i - 2) in ("to_date", "to_timestamp", "strptime", "parse_date", "date"))


# ---- RF04 ----

_WRITE = (
    r"\b(insert\s+(?:into|overwrite)|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|drop\s+(?:table|view)(?:\s+if\s+exists)?"
    r"|alter\s+table(?:\s+if\s+exists)?|create\s+(?:or\s+replace\s+)?(?:table|index\s+\w+\s+on))\s+(?:only\s+)?"
)
_ON_SOURCE = re.compile(_WRITE + r"(\{\{-?\s*source\s*\([^)]*\)|['\"]\s*~\s*source\s*\([^)]*\))", re.IGNORECASE)
_COMMENTS = re.compile(r"--[^\n]*|/\*.*?\*/|\{#.*?#\}", re.DOTALL)


def _writes(project: LintProject, file: SqlFile) -> Iterator[Found]:
    yield from writes_in(project, file.path, file.source.text)
    schema = str(file.settings.get("schema") or "")
    if file.kind == "model" and re.match(r"^raw(_|$)", schema):
        line = file.source.line(file.source.text.find(schema))
        yield Found(code="RF04", path=file.path, start=line, end=line, message=f"the model is built in {schema}", fix="Build it in a schema of your own.")


def writes_in(project: LintProject, path: str, text: str) -> Iterator[Found]:
    """Statements in a text that change a source or a table of a raw schema."""
    bare = _COMMENTS.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    schemas = "|".join(re.escape(name) for name in sorted(project.source_schemas))
    in_raw = re.compile(_WRITE + rf"((?:[\w\"]+\.)?\"?(?:raw(?:_\w+)?{'|' + schemas if schemas else ''})\"?\.[\w\".]+)", re.IGNORECASE)
    for pattern in (_ON_SOURCE, in_raw):
        for found in pattern.finditer(bare):
            line = bare.count("\n", 0, found.start()) + 1
            words, target = " ".join(found[1].lower().split()), found[2].strip("'\"{-~ ")
            fix = "Read raw, write elsewhere: a staging model, or a table of your own that this one joins."
            yield Found(code="RF04", path=path, start=line, end=line, message=f"{words} {target}", fix=fix)


# ---- RF05, RF06 ----


def _incremental(project: LintProject, file: SqlFile, reader: Reader) -> Iterator[Found]:
    config = project.config(file)
    if config.get("materialized") != "incremental":
        return
    strategy = str(config.get("incremental_strategy") or "")
    at = file.source.text.find("incremental")
    line = file.source.line(at) if at >= 0 else 1
    if not config.get("unique_key") and strategy not in ("append", "insert_overwrite", "microbatch"):
        fix = "Set unique_key, or incremental_strategy='append' where every run reads new rows only."
        yield Found(code="RF05", path=file.path, start=line, end=line, message=f"{file.name} is incremental and has no unique_key", fix=fix)
    yield from _late_rows(file, reader)


def _late_rows(file: SqlFile, reader: Reader) -> Iterator[Found]:
    """Comparisons with the newest that {{ this }} has: in a subquery, a join, a CTE, or a variable of Jinja's."""
    newest = _newest_here(reader)
    named = {name: column for name, column, _ in newest if name}
    asked = {opening: column for _, column, opening in newest}
    for opening, close in reader.partner.items():
        if close > opening and reader.word(opening) == "(" and reader.word(opening + 1) == "select":
            source = next((reader.word(k + 1) for k in reader.top(opening + 1, close) if reader.word(k) == "from"), "")
            if source in named:
                asked[opening] = named[source]
    variables = _newest_variables(file)
    told = set()
    for i in range(len(reader.tokens)):
        if reader.word(i) not in (">", ">=", "<", "<=", "between"):
            continue
        start, end = _condition(reader, i)
        name = next((asked[k] for k in range(start, end) if k in asked), None)
        name = name or next((named[reader.word(k)] for k in range(start, end) if reader.word(k) in named and reader.word(k + 1) == "."), None)
        jinja = " ".join(part.code for part in file.source.jinja_within(reader.tokens[start].start, reader.tokens[end - 1].end))
        name = name or next((column for variable, column in variables.items() if re.search(rf"\b{variable}\b", jinja)), None)
        if not name or name.startswith("_") or start in told or _goes_back(reader, start, end, jinja):
            continue
        told.add(start)
        first, last = file.source.line(reader.tokens[start].start), file.source.line(reader.tokens[end - 1].start)
        yield Found(
            code="RF06", path=file.path, start=first, end=last,
            message=f"reads only what is newer than max({name})",
            fix=f"Read by _extracted_at, which only grows, or go back: > max({name}) - interval '3 days', with a unique_key.",
        )


def _newest_here(reader: Reader) -> list[tuple[str, str, int]]:
    """Each query in parentheses that takes a MAX of {{ this }}: its name as a CTE or in a join, the column, where it opens."""
    found = []
    for opening, close in reader.partner.items():
        if close < opening or reader.word(opening) != "(" or reader.word(opening + 1) != "select":
            continue
        tops = list(reader.top(opening + 1, close))
        this = any(reader.word(k) in ("from", "join") and _is_this(reader, k + 1) for k in tops)
        at = next((k for k in range(opening, close) if reader.word(k) == "max" and reader.word(k + 1) == "("), None)
        if not this or at is None or any(reader.word(k) in _BACK for k in range(opening, close)) or _jinja_goes_back(reader, opening, close):
            continue
        column = reader.tokens[at + 4 if reader.word(at + 3) == "." else at + 2]
        before, after = reader.word(opening - 1), close + 2 if reader.word(close + 1) == "as" else close + 1
        name = reader.word(opening - 2) if before == "as" else reader.word(after) if before in ("from", "join", ",") else ""
        found.append((name, column.text if column.kind in ("word", "quoted") else "", opening))
    return found


def _is_this(reader: Reader, i: int) -> bool:
    token = reader.tokens[i] if i < len(reader.tokens) else None
    return token is not None and any(part.code.strip() == "this" for part in reader.source.jinja_within(token.start, token.end))


def _newest_variables(file: SqlFile) -> dict[str, str]:
    """The variables that Jinja sets to a MAX of {{ this }}, and the column; `set` with a value or around a text, and from one to the next."""
    found: dict[str, str] = {}
    parts = file.source.jinja
    for n, part in enumerate(parts):
        setting = re.match(r"set\s+(\w+)\s*(=?)", part.code) if part.kind == "{%" else None
        if not setting:
            continue
        end = next((other.start for other in parts[n:] if re.match(r"endset\b", other.code)), part.end) if not setting[2] else part.end
        value = file.source.text[part.start : end]
        newest = re.search(r"\bmax\s*\(\s*(?:\w+\.)?(\w+)", value, re.IGNORECASE)
        inherited = next((column for name, column in found.items() if re.search(rf"\b{name}\b", value)), None)
        if (newest and re.search(r"\bthis\b", value) or inherited) and not _BACK_IN_JINJA.search(value):
            found[setting[1]] = newest[1] if newest else inherited or ""
    return found


_BACK = {"-", "interval", "dateadd", "date_add", "date_sub", "datetime_sub", "timestamp_sub", "timestampadd", "add_months"}
_BACK_IN_JINJA = re.compile(r"date_?add|date_?sub|_sub\b|lookback|interval|timedelta", re.IGNORECASE)


def _jinja_goes_back(reader: Reader, start: int, end: int) -> bool:
    parts = reader.source.jinja_within(reader.tokens[start].start, reader.tokens[end].end)
    return any(_BACK_IN_JINJA.search(part.code) for part in parts)


def _condition(reader: Reader, sign: int) -> tuple[int, int]:
    """The one condition that a comparison stands in."""
    opening = max((a for a, b in reader.partner.items() if a < sign < b), default=-1)
    stop = reader.partner.get(opening, len(reader.tokens))
    ends = ("where", "and", "or", "on", "when", "then", "qualify", "having", "group", "order", "select", "union", "limit", "join", "left", "inner", "cross")
    tops = list(reader.top(opening + 1, stop))
    start = max((k + 1 for k in tops if k < sign and reader.word(k) in ends), default=opening + 1)
    between = reader.word(sign) == "between"
    cuts = [k for k in tops if k > sign and reader.word(k) in ends]
    if between and cuts and reader.word(cuts[0]) == "and":
        cuts = cuts[1:]
    return start, cuts[0] if cuts else stop


def _goes_back(reader: Reader, start: int, end: int, jinja: str) -> bool:
    """Something is subtracted on either side, or Jinja there does it."""
    return any(reader.word(k) in _BACK for k in range(start, end)) or _BACK_IN_JINJA.search(jinja) is not None


# ---- RF07 ----

_STAGING = re.compile(r"^stg_([a-z0-9]+(?:_[a-z0-9]+)*)__([a-z0-9]+(?:_[a-z0-9]+)*)$")
_BASE = re.compile(_STAGING.pattern.replace("stg_", "base_"))  # what staging models are put together of
_INTERMEDIATE = re.compile(r"^int_[a-z0-9]+(_[a-z0-9]+)*$")
_MART = re.compile(r"^(?!stg_|int_)[a-z0-9]+(_[a-z0-9]+)+$")
_SOURCE_CALL = re.compile(r"source\s*\(\s*['\"](\w+)['\"]")


def _names(project: LintProject, file: SqlFile) -> Iterator[Found]:
    folders = file.path.split("/")[1:-1]
    message = fix = ""
    if "staging" in folders or file.name.startswith("stg_"):
        named = _STAGING.match(file.name) or (_BASE.match(file.name) if folders[-1:] == ["base"] else None)
        sources = set(_SOURCE_CALL.findall(_COMMENTS.sub("", file.source.text)))
        if named is None:
            message, fix = f"{file.name} is no stg_{{source}}__{{table}}", "Name it after its source and table, with two underscores between them."
        elif len(sources) == 1 and named[1] not in sources:
            message, fix = f"{file.name} reads the source {next(iter(sources))}", f"Name it stg_{next(iter(sources))}__{named[2]}."
    elif "intermediate" in folders or file.name.startswith("int_"):
        if not _INTERMEDIATE.match(file.name):
            message, fix = f"{file.name} is no int_{{description}}", f"Name it int_{file.name.removeprefix('int_').lower()}."
    elif "marts" in folders:
        if folders.index("marts") == len(folders) - 1:
            message, fix = f"{file.name} is in no domain", "Put it into marts/{domain}/."
        elif not _MART.match(file.name):
            message, fix = f"{file.name} is no {{entity}}_{{metric}}", "Name it after what a row is and what is told of it, such as orders_daily."
    if message:
        yield Found(code="RF07", path=file.path, start=1, end=1, message=message, fix=fix)


# ---- RF08 ----

_SURROGATE = re.compile(r"generate_surrogate_key\s*\(.*?\)\s*-?\}\}\s*as\s+(\w+)", re.DOTALL | re.IGNORECASE)
_UNIQUE_TESTS = {"unique", "unique_together", "unique_combination_of_columns", "expect_column_values_to_be_unique", "expect_compound_columns_to_be_unique", "unique_where", "primary_key"}


def _tests(project: LintProject, file: SqlFile) -> Iterator[Found]:
    entry = project.entries.get(file.name)
    tests = entry.tests if entry else frozenset()
    keys = {found[1]: file.source.line(found.start(1)) for found in _SURROGATE.finditer(file.source.text)}
    for key, line in keys.items():
        lacking = [test for test in ("unique", "not_null") if (key, test) not in tests]
        if lacking:
            yield _lacks(file, line, f"{key} has no test {' and '.join(lacking)}", f"Under {file.name}'s columns: name {key}, data_tests: [unique, not_null].")
    if not keys and not any(test in _UNIQUE_TESTS for _, test in tests):
        where = f"{entry.path}:{entry.line}" if entry else "a YAML file beside it"
        yield _lacks(file, 1, f"no test says that {file.name}'s rows are unique", f"In {where}: data_tests: [unique, not_null] on its key, or one of several columns.")
    yield from _key_tests(project, file, tests)


def _key_tests(project: LintProject, file: SqlFile, tests: Iterable[tuple[str | None, str]]) -> Iterator[Found]:
    config = project.config(file)
    key = config.get("unique_key")
    if config.get("materialized") != "incremental" or not isinstance(key, str) or not re.match(r"^\w+$", key):
        return
    known = set(tests)
    lacking = [test for test in ("unique", "not_null") if (key, test) not in known]
    if lacking and any(test in _UNIQUE_TESTS for _, test in known):
        line = file.source.line(max(file.source.text.find("unique_key"), 0))
        yield _lacks(file, line, f"the merge key {key} has no test {' and '.join(lacking)}", f"Under {file.name}'s columns: name {key}, data_tests: [unique, not_null].")


def _lacks(file: SqlFile, line: int, message: str, fix: str) -> Found:
    return Found(code="RF08", path=file.path, start=line, end=line, message=message, fix=fix)


def of_project(project: LintProject) -> Iterator[Found]:
    """What stands in YAML: hooks that write, and files that cannot be read."""
    settings = (project.root / "dbt_project.yml").read_text(encoding="utf-8")
    for path, text in [("dbt_project.yml", settings), *((path, text) for path, text, _ in project.yaml_files)]:
        yield from writes_in(project, path, re.sub(r"(?:^|(?<=\s))#[^\n]*", "", text))
    for path, line, message in project.unread:
        yield Found(code="RF00", path=path, start=line, end=line, message=message, fix="Mend it first.")
