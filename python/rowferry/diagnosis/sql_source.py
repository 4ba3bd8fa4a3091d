"""SQL as it stands in a file: Jinja masked without moving a character, then split into tokens.

Every offset counts characters of the file's text, so that what is found can be pointed at and replaced there.
"""

from __future__ import annotations

import difflib
import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import compress
from typing import Any, NamedTuple

from rowferry.diagnosis.plain_sql import Piece, pieces

NEEDS_SQLGLOT = "reading SQL needs sqlglot: pip install 'rowferry[diagnose]'"

DIALECTS = {
    "athena": "athena",
    "bigquery": "bigquery",
    "clickhouse": "clickhouse",
    "databricks": "databricks",
    "duckdb": "duckdb",
    "fabric": "tsql",
    "mysql": "mysql",
    "postgres": "postgres",
    "redshift": "redshift",
    "snowflake": "snowflake",
    "spark": "spark",
    "sqlite": "sqlite",
    "sqlserver": "tsql",
    "synapse": "tsql",
    "trino": "trino",
}
"""sqlglot's name of the dialect that each adapter of dbt speaks."""

_SILENT = re.compile(r"(config|log|print|do|exceptions\.\w+)\s*\(")  # calls that leave nothing in the SQL
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LITERAL = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)


class UnreadableSql(ValueError):
    """The text cannot be split into tokens: a quote or a comment has no end; `lines` above it."""

    def __init__(self, message: str, lines: int = 0) -> None:
        super().__init__(message)
        self.lines = lines


class Token(NamedTuple):
    """One word, number, string, name in quotes or sign; `start` and `end` are offsets in the text.

    Attributes:
        kind: `word`, `quoted`, `number`, `string`, `sign`.
        text: As it stands; a word in lower case, a quoted name without its quotes.
        jinja: It holds, or is, what Jinja will write.
    """

    kind: str
    text: str
    start: int
    end: int
    jinja: bool = False


@dataclass(frozen=True, slots=True)
class Jinja:
    """`{{ … }}`, `{% … %}` or `{# … #}` from `start` to `end`; `code` is what stands inside."""

    kind: str
    code: str
    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """A text with SQL and Jinja.

    Attributes:
        text: As it stands in the file, or a part of it.
        path: Below the project's folder; None for text that is in no file.
        first_line: Of the text in its file, from 1.
        offset: Of the text in its file.
        branch: Which branch of each `{% if %}` counts, from 0; of one with fewer the last. All of them by default.
    """

    text: str
    path: str | None = None
    first_line: int = 1
    offset: int = 0
    branch: int | None = None

    @cached_property
    def jinja(self) -> tuple[Jinja, ...]:
        return tuple(_jinja_parts(self.text))

    @cached_property
    def masked(self) -> str:
        """The text with `{{ … }}` as a name of the same length and all other Jinja as spaces; line breaks stay outside names."""
        parts, at = [], 0
        for number, part in enumerate(self.jinja):
            parts += [self.text[at : part.start], _mask(part, number)]
            at = part.end
        return "".join([*parts, self.text[at:]])

    @property
    def unended(self) -> tuple[int, str] | None:
        """Where Jinja begins that has no end, and what it is; None where there is none."""
        at = self.jinja[-1].end if self.jinja else 0
        if found := re.compile(r"\{[{%#]").search(self.text, at):
            return found.start(), found[0]
        opened: list[tuple[int, str]] = []
        for part in self.jinja:
            word = part.code.partition(" ")[0] if part.kind == "{%" else ""
            if word in ("if", "for"):
                opened.append((part.start, word))
            elif word in ("endif", "endfor") and opened:
                opened.pop()
        return (opened[0][0], f"{{% {opened[0][1]} %}}") if opened else None

    @cached_property
    def left_out(self) -> list[tuple[int, int]]:
        """The branches that do not count."""
        if self.branch is None:
            return []
        return [span for branches in self._branches for n, span in enumerate(branches) if n != min(self.branch, len(branches) - 1)]

    @cached_property
    def _branches(self) -> list[list[tuple[int, int]]]:
        """Of each `{% if %}` from where to where its branches go."""
        found: list[list[tuple[int, int]]] = []
        opened: list[tuple[str, list[tuple[int, int]], int]] = []
        for part in self.jinja:
            word = part.code.partition(" ")[0] if part.kind == "{%" else ""
            if word in ("if", "for"):
                opened.append((word, [], part.end))
            elif word in ("elif", "else") and opened:
                kind, branches, start = opened[-1]
                opened[-1] = (kind, [*branches, (start, part.start)], part.end)
            elif word in ("endif", "endfor") and opened:
                kind, branches, start = opened.pop()
                found += [[*branches, (start, part.start)]] if kind == "if" else []
        return found

    def readings(self) -> list[Source]:
        """The source once for each branch of its `{% if %}`, so that what stands before one is read with each; else as it is."""
        n = max((len(branches) for branches in self._branches), default=1)
        return [replace(self, branch=k) for k in range(n)] if n > 1 else [self]

    @cached_property
    def _line_starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]

    def line(self, offset: int) -> int:
        """The line, in the file, of an offset in this text."""
        return bisect_right(self._line_starts, offset) - 1 + self.first_line

    def line_text(self, offset: int) -> str:
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        return self.text[start : end if end >= 0 else len(self.text)]

    def jinja_within(self, start: int, end: int) -> list[Jinja]:
        return [part for part in self.jinja if part.kind == "{{" and part.start < end and part.end > start]

    def literals(self) -> Iterator[Source]:
        """The string literals inside Jinja, which may be SQL handed to a macro."""
        for part in self.jinja:
            if part.kind == "{#":
                continue
            for found in _LITERAL.finditer(self.text, part.start, part.end):
                group = 1 if found.group(1) is not None else 2
                start = found.start(group)
                yield Source(found.group(group), self.path, self.line(start), self.offset + start)


    def arguments(self, macro: str, position: int, name: str) -> Iterator[Source]:
        """What calls of a macro hand to it as a string, in that place or by that name; without the quotes."""
        for part in self.jinja:
            if part.kind == "{#":
                continue
            for call in re.compile(rf"\b{re.escape(macro)}\s*\(").finditer(self.text, part.start, part.end):
                for n, (start, end) in enumerate(_argument_spans(self.text, call.end(), part.end)):
                    named = re.match(r"\s*(?:(\w+)\s*=)?\s*", self.text[start:end])
                    literal = _LITERAL.fullmatch(self.text, start + (named.end() if named else 0), len(self.text[:end].rstrip()))
                    if literal and (named[1] == name if named and named[1] else n == position):
                        group = 1 if literal.group(1) is not None else 2
                        yield Source(literal.group(group), self.path, self.line(literal.start(group)), self.offset + literal.start(group))


def _argument_spans(text: str, at: int, stop: int) -> Iterator[tuple[int, int]]:
    """Of the arguments of a call, from behind its parenthesis."""
    start, depth = at, 0
    while at < stop:
        char = text[at]
        if char in "'\"" and (found := _LITERAL.match(text, at)):
            at = found.end()
            continue
        if depth == 0 and char in ",)":
            yield start, at
            start = at + 1
            if char == ")":
                return
        depth += (char in "{[(") - (char in "}])")
        at += 1


def _jinja_parts(text: str) -> Iterator[Jinja]:
    at = 0
    while (start := text.find("{", at)) >= 0:
        kind = text[start : start + 2]
        if kind not in ("{{", "{%", "{#"):
            at = start + 1
            continue
        end = text.find("#}", start + 2) + 2 if kind == "{#" else _jinja_end(text, start + 2, "}}" if kind == "{{" else "%}")
        if end < 2 or end > len(text):
            return
        yield Jinja(kind, text[start + 2 : end - 2].strip("-+ \t\r\n"), start, end)
        at = end


def _jinja_end(text: str, at: int, closing: str) -> int:
    """Behind the closing mark; marks inside strings and braces do not count. 1 when there is none."""
    depth = 0
    while at < len(text):
        char = text[at]
        if char in "'\"":
            found = _LITERAL.match(text, at)
            at = found.end() if found else at + 1
            continue
        if depth == 0 and text.startswith(closing, at):
            return at + 2
        depth += (char in "{[(") - (char in "}])")
        at += 1
    return 1


def _mask(part: Jinja, number: int) -> str:
    length = part.end - part.start
    if part.kind != "{{" or _SILENT.match(part.code):
        return " " * length
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return "j" + digits.rjust(length - 1, "0")


@lru_cache(maxsize=32)  # each rule asks for those of the same file
def tokens(source: Source, dialect: str = "") -> list[Token]:
    """The tokens of the masked text; comments are left out.

    Raises:
        UnreadableSql: A string or comment has no end.
        ModuleNotFoundError: sqlglot is not installed; the message says how to get it.
    """
    if source.branch is not None:
        return _outside(tokens(replace(source, branch=None), dialect), source.left_out)
    masked = source.masked
    written = [part for part in source.jinja if part.kind == "{{"]
    n = 0  # of the first of them that does not end before the token

    def made(kind: str, text: str, start: int, end: int) -> Token:
        nonlocal n
        while n < len(written) and written[n].end <= start:
            n += 1
        return Token(kind, text, start, end, n < len(written) and written[n].start < end)

    plain = _plain(masked, dialect)
    if plain is not None:
        return [made(kind, _told(kind, masked[start:end]), start, end) for kind, start, end in plain]
    found: list[Token] = []
    for token in _tokenized(masked, dialect):
        start, end = token.start, token.end + 1
        text, name = masked[start:end], token.token_type.name
        if name == "IDENTIFIER":
            found.append(made("quoted", text[1:-1], start, end))
        elif "STRING" in name:
            found.append(made("string", text, start, end))
        elif name == "NUMBER":
            found.append(made("number", text, start, end))
        elif text.isidentifier():
            found.append(made("word", text.lower(), start, end))
        elif text[:1].isalpha() or text[:1] == "_":  # `group by` is one token of sqlglot's
            found += [made("word", m.group().lower(), start + m.start(), start + m.end()) for m in re.finditer(r"\S+", text)]
        elif text == "/" and found and found[-1].text == "/" and found[-1].end == start:
            found[-1] = made("sign", "//", start - 1, end)
        else:
            found.append(made("sign", text, start, end))
    return found


def _told(kind: str, text: str) -> str:
    return text.lower() if kind == "word" else text[1:-1] if kind == "quoted" else text


def _plain(text: str, dialect: str) -> list[Piece] | None:
    try:
        return pieces(text, dialect)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NEEDS_SQLGLOT, name="sqlglot") from error


def _outside(found: list[Token], spans: Iterable[tuple[int, int]]) -> list[Token]:
    """The tokens that begin in none of the spans."""
    starts = [token.start for token in found]
    kept = bytearray(b"\1") * len(found)
    for start, end in spans:
        first, last = bisect_left(starts, start), bisect_left(starts, end)
        kept[first:last] = bytes(max(last - first, 0))
    return list(compress(found, kept))


def _tokenized(text: str, dialect: str) -> list[Any]:
    try:
        from sqlglot.dialects.dialect import Dialect
        from sqlglot.errors import TokenError
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(NEEDS_SQLGLOT, name="sqlglot") from error
    try:
        return list(Dialect.get_or_raise(dialect).tokenize(text))
    except TokenError as error:
        at = _unclosed(text)
        if at is None:
            raise UnreadableSql(f"no SQL of {dialect or 'any dialect'}: {error.__cause__ or error}") from error
        raise UnreadableSql(f"{text[at : at + 2] if text[at] == '/' else text[at]} has no end", text.count("\n", 0, at)) from error


_QUOTED_OR_COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^'\\]|\\.|'')*'|\"[^\"]*\"|`[^`]*`", re.DOTALL)


def _unclosed(text: str) -> int | None:
    """Where the first quote or comment begins that has no end."""
    at = 0
    while found := re.compile(r"--|/\*|['\"`]").search(text, at):
        whole = _QUOTED_OR_COMMENT.match(text, found.start())
        if whole is None:
            return found.start()
        at = whole.end()
    return None


def parses(sql: str, dialect: str = "") -> bool:
    """Whether sqlglot can read the statement."""
    import sqlglot

    try:
        sqlglot.parse_one(sql, dialect=dialect)
    except sqlglot.errors.SqlglotError:
        return False
    return True


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Puts `text` in place of what is between two offsets of a file."""

    start: int
    end: int
    text: str


def edited(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; of those at one place the earlier stands first."""
    parts, at = [], 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        parts += [text[at : edit.start], edit.text]
        at = max(at, edit.end)
    return "".join([*parts, text[at:]])


def unified_diff(path: str, before: str, after: str) -> str:
    """What `patch -p1` in the project's folder takes; the files may end without a line break, or their lines in CR LF."""
    lines = difflib.unified_diff(_lines(before), _lines(after), f"a/{path}", f"b/{path}")
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)
