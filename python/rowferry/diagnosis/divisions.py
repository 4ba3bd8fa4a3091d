"""Divisions in SQL: which could be by zero, how likely that is, and the text that guards them.

Works on tokens, not on a tree: a model with Jinja in it need not parse, and a fix changes the text of one expression only.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from itertools import pairwise

from rowferry.diagnosis.sql_source import Edit, Source, Token, tokens

LONG_LINE = 110
_KEYWORDS = re.compile(r"\b(select|from|where|as|group|by|case|when|then|and|sum|count|avg|coalesce|cast|join|on)\b", re.IGNORECASE)


class Sign(Enum):
    """What is known of a number's values; NULL counts for nothing, since dividing by it is NULL."""

    POSITIVE = "positive"
    NONZERO = "nonzero"
    NONNEGATIVE = "nonnegative"
    UNKNOWN = "unknown"
    ZERO = "zero"


@dataclass(frozen=True)
class Division:
    """A division or modulo whose divisor may be zero. Offsets are those of `source.text`.

    Attributes:
        operator: `/`, `//`, `%`, `div`, or the name of a function such as `mod`.
        numerator, denominator: Offsets (start, end).
        bare: The denominator from its first to its last token, without one pair of parentheses around all of it.
        sign: Of the denominator.
        filtered: A WHERE, HAVING or FILTER clause of the same SELECT excludes the zero; engines may compute before they filter.
        likelihood: From 0 to 1, for ranking only.
        why: What speaks for a zero, in words.
        tokens: Of all of it.
    """

    source: Source
    operator: str
    numerator: tuple[int, int]
    denominator: tuple[int, int]
    bare: tuple[int, int]
    start: int
    end: int
    sign: Sign
    filtered: bool
    likelihood: float
    why: str
    tokens: tuple[Token, ...]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def denominator_text(self) -> str:
        return self.source.text[slice(*self.denominator)]

    @property
    def line(self) -> int:
        return self.source.line(self.start)


_MAY_DIVIDE = re.compile(r"/(?!\*)|%|mod|div|remainder", re.IGNORECASE)

Span = tuple[int, int]
"""From one token to before another, as indexes; or offsets."""

Resolve = Callable[[str], Sign]
"""What is known of the number that a Jinja expression writes."""


def divisions(source: Source, dialect: str = "", resolve: Resolve | None = None) -> list[Division]:
    """Every division of the text that could be by zero, in the order of the text.

    Raises:
        UnreadableSql, ModuleNotFoundError: As `tokens`.
    """
    if not _MAY_DIVIDE.search(source.masked):
        return []
    found: dict[Span, Division] = {}
    for reading in source.readings():
        for division in Reader(source, tokens(reading, dialect), resolve or (lambda code: Sign.UNKNOWN)).read():
            found.setdefault((division.start, division.end), division)
    return sorted(found.values(), key=lambda division: (division.end, division.start))


def sign_of(source: Source, dialect: str = "") -> Sign:
    """What is known of a text that is one expression, such as the body of a macro."""
    reader = Reader(source, tokens(source, dialect), lambda code: Sign.UNKNOWN)
    return reader.sign(0, len(reader.tokens), _Scope())


def ranked(found: Iterable[Division]) -> list[Division]:
    """The likeliest first; of equals, the earlier."""
    return sorted(found, key=lambda division: -division.likelihood)


def guards(chosen: Iterable[Division]) -> list[Edit]:
    """What puts a guard around each: CASE where the denominator cannot be negative, NULLIF where its sign is free."""
    chosen = sorted(chosen, key=lambda division: (division.end, -division.start))  # the inner first, where both end
    edits: list[Edit] = []
    guarded: set[tuple[int, int]] = set()  # one denominator may stand behind several branches of an {% if %}
    for division in chosen:
        alone = not any(other is not division and other.start < division.end and division.start < other.end for other in chosen)
        if division.denominator not in guarded:
            edits += _case(division) if alone and _suits_case(division) else _nullif(division)
        guarded.add(division.denominator)
    return edits


def _suits_case(division: Division) -> bool:
    text, source = division.denominator_text, division.source
    return (
        division.sign is Sign.NONNEGATIVE
        and division.operator in ("/", "//", "%")
        and "\n" not in text
        and len(text) <= 40
        and not any(part.kind == "{%" and division.start < part.start < division.end for part in source.jinja)
    )


def _case(division: Division) -> list[Edit]:
    case, when, then, orelse, null, end = _styled(division.source, "case", "when", "then", "else", "null", "end")
    source, offset = division.source, division.source.offset
    divisor = source.text[slice(*division.bare)]
    line = source.line_text(division.start)
    head, tail = f"{case} {when} {divisor} > 0 {then} ", f" {orelse} {null} {end}"
    one_line = "\n" not in division.text and offset == 0
    if one_line and len(line) + len(head) + len(tail) > LONG_LINE:
        indent = line[: len(line) - len(line.lstrip())] + "    "
        head = f"{case}\n{indent}{when} {divisor} > 0 {then} "
        tail = f"\n{indent}{orelse} {null}\n{indent[:-4]}{end}"
    start, stop = division.start + offset, division.end + offset
    return [Edit(start, start, head), Edit(stop, stop, tail)]


def _nullif(division: Division) -> list[Edit]:
    (nullif,) = _styled(division.source, "nullif")
    offset = division.source.offset
    start, end = division.denominator
    if division.bare != division.denominator:  # its parentheses become those of the call
        close = division.bare[1] + offset
        return [Edit(start + offset, start + offset + 1, f"{nullif}("), Edit(close, close, ", 0")]
    return [Edit(start + offset, start + offset, f"{nullif}("), Edit(end + offset, end + offset, ", 0)")]


def _styled(source: Source, *words: str) -> tuple[str, ...]:
    """In capitals where the file has its keywords so."""
    found = _KEYWORDS.findall(source.masked)
    upper = sum(word.isupper() for word in found) * 2 > len(found)
    return tuple(word.upper() if upper else word for word in words)


# ---- reading ----

_DIVIDES = {"/", "//", "%", "div", "mod"}
_MULTIPLIES = _DIVIDES | {"*"}
_DIVIDING_CALLS = {"mod", "modulo", "div", "fmod", "remainder", "divide", "intdiv", "pmod"}
_DIVIDES_IN_ANY_WAY = _DIVIDES | _DIVIDING_CALLS
_CONDITIONAL_CALLS = {"if", "iff", "iif", "decode"}
_CATCHING_CALLS = {"try", "safe"}  # an error inside becomes NULL
_COUNTS = {"count", "count_if", "countif", "count_star", "approx_count_distinct", "approx_distinct", "regr_count", "hll"}
_NONNEGATIVE_CALLS = set(
    "abs length char_length character_length len octet_length array_length array_size cardinality sqrt position strpos".split()
)
_POSITIVE_CALLS = {"exp", "row_number", "rank", "dense_rank", "ntile", "pi"}
_KEEP_SIGN_CALLS = {"min", "max", "avg", "any_value", "first_value", "last_value", "median", "min_by", "max_by"}
_ROUNDING_CALLS = {"round", "floor", "ceil", "ceiling", "trunc", "truncate"}
_CASTS = {"cast", "try_cast", "safe_cast", "to_number", "to_numeric", "to_double", "to_decimal", "float", "double"}
_FIRST_KNOWN_CALLS = {"coalesce", "ifnull", "nvl"}
_ZERO_FILLING_CALLS = {*_FIRST_KNOWN_CALLS, "zeroifnull"}
_TYPED_LITERALS = {"interval", "date", "timestamp", "timestamptz", "time"}
_UNITS = re.compile(r"(microsecond|millisecond|second|minute|hour|day|week|month|quarter|year)s?$")
_CALLS_THAT_ARE_KEYWORDS = {"left", "right", "replace", "if", "insert"}
_BOUNDARIES = set(
    "select distinct all from where and or not when then else end on using join inner left right full outer cross lateral natural group by"
    " order having qualify limit offset fetch union intersect except as in is like ilike similar between exists with recursive window"
    " partition rows range preceding following unbounded current values set into returning asc desc nulls over filter within case if"
    " insert update delete merge matched create table view replace temporary temp materialized escape any some tablesample".split()
)
_SET_OPERATIONS = {"union", "intersect", "except", "minus"}
_CLAUSES = {"from", "where", "group", "having", "qualify", "order", "limit", "offset", "window", "fetch", *_SET_OPERATIONS}
_COUNT_LIKE = re.compile(r"(^|_)(n|num|cnt|count|qty|quantity|total|sum|amount|number|denominator|weight)(_|$)|s$", re.IGNORECASE)

@dataclass(frozen=True)
class _Scope:
    """Where an expression stands: what is known there not to be zero, what its SELECT filters, whether rows are grouped."""

    nonzero: frozenset[str] = frozenset()
    filtered: frozenset[str] = frozenset()
    grouped: bool = False

    def with_nonzero(self, names: Iterable[str]) -> _Scope:
        return replace(self, nonzero=self.nonzero | frozenset(names))


class Reader:
    """Finds the divisions of one list of tokens; indexes below are those of tokens, spans exclude their end."""

    def __init__(self, source: Source, found: list[Token], resolve: Resolve) -> None:
        self.source = source
        self.tokens = found
        self.words = ["" if token.kind in ("quoted", "string") else token.text for token in found]
        self.resolve = resolve
        self.found: list[Division] = []

    @cached_property
    def partner(self) -> dict[int, int]:
        """Of each bracket, CASE and END the index of the other; what has no other is left out."""
        return _partners(self.tokens)

    @cached_property
    def _dividing(self) -> list[int]:
        """Where a division may be: most queries have none, and are not looked into."""
        return [i for i, word in enumerate(self.words) if word in _DIVIDES_IN_ANY_WAY]

    def may_divide(self, start: int, stop: int) -> bool:
        n = bisect_left(self._dividing, start)
        return n < len(self._dividing) and self._dividing[n] < stop

    def read(self) -> list[Division]:
        self.query(0, len(self.tokens), _Scope())
        return sorted(self.found, key=lambda division: (division.end, division.start))

    # -- structure --

    def word(self, i: int) -> str:
        """The keyword or sign at `i`; nothing for a name in quotes, a string, or behind the end."""
        return self.words[i] if 0 <= i < len(self.words) else ""

    def closing(self, i: int, stop: int) -> int:
        """The partner of the bracket or CASE at `i`, or the last index before `stop` when it has none."""
        return min(self.partner.get(i, stop - 1), stop - 1)

    def top(self, start: int, stop: int) -> Iterator[int]:
        """The indexes outside any bracket or CASE that opens within the span."""
        i = start
        while i < stop:
            yield i
            i = self.partner[i] + 1 if self.partner.get(i, -1) > i else i + 1

    def split(self, start: int, stop: int, *separators: str) -> list[Span]:
        cuts = [i for i in self.top(start, stop) if self.word(i) in separators]
        return list(zip([start, *(cut + 1 for cut in cuts)], [*cuts, stop], strict=True))

    # -- queries, from the outside in --

    def query(self, start: int, stop: int, scope: _Scope) -> None:
        """A statement, a query in parentheses, or any list of expressions; the parts of a UNION are apart."""
        if not self.may_divide(start, stop):
            return
        if self.word(start) not in ("select", "with", "create", "insert", "from") and not any(self.word(i) == "select" for i in self.top(start, stop)):
            self.expressions(start, stop, scope)
            return
        for part in self.split(start, stop, *_SET_OPERATIONS):
            self.expressions(*part, self.select_scope(*part, scope))

    def select_scope(self, start: int, stop: int, scope: _Scope) -> _Scope:
        filtered: set[str] = set()
        grouped = False
        heads = [i for i in self.top(start, stop) if self.word(i) in _CLAUSES]
        for head, end in pairwise([*heads, stop]):
            if self.word(head) in ("where", "having", "qualify"):
                filtered |= self.facts(head + 1, end, True)
            if self.word(head) == "group" and self.word(head + 1) == "by":
                grouped = not any(self.word(i) in ("rollup", "cube", "sets") for i in range(head, end)) and self.word(head + 2) != "("
        return _Scope(scope.nonzero, frozenset(filtered), grouped)

    def expressions(self, start: int, stop: int, scope: _Scope) -> None:
        i = start
        while i < stop and self.may_divide(i, stop):
            if self.word(i) == "@" and self.word(i - 1) in ("from", "join", "into", ","):
                i = self.path_end(i, stop)
            if not self.starts_operand(i):
                i += 1
                continue
            i = self.product(i, stop, scope)

    def path_end(self, i: int, stop: int) -> int:
        """Behind a path such as `@stage/folder/file`, which has no space in it."""
        i += 1
        while i < stop and self.tokens[i].start == self.tokens[i - 1].end and self.word(i) not in ("(", ")", ",", ";"):
            i += 1
        return i

    def product(self, start: int, stop: int, scope: _Scope) -> int:
        """Operands with `*`, `/` and the like between them; returns where they end."""
        end = self.operand(start, stop)
        self.inside(start, end, scope)
        while end < stop and self.word(end) in _MULTIPLIES:
            right = end + 1
            while self.word(right) in ("-", "+"):
                right += 1
            if right >= stop or not self.starts_operand(right):
                break
            right_end = self.operand(right, stop)
            if self.word(end) in _DIVIDES:
                self.note(self.word(end), (start, end), (right, right_end), (start, right_end), scope)
            self.inside(right, right_end, scope)
            end = right_end
        return end

    def starts_operand(self, i: int) -> bool:
        if i >= len(self.tokens):
            return False
        token = self.tokens[i]
        if token.kind != "word":
            return token.kind != "sign" or token.text in ("(", "[", "{", "@", "$", "?")
        if token.text == "case":
            return True
        return token.text not in _BOUNDARIES or (token.text in _CALLS_THAT_ARE_KEYWORDS and self.word(i + 1) == "(")

    def operand(self, start: int, stop: int) -> int:
        """Where the operand that starts here ends: a name, a call, a CASE, a cast, with what is bound to it."""
        i, word = start, self.word(start)
        if word in ("(", "[", "{", "case"):
            i = self.closing(i, stop) + 1
        elif word in ("@", "$"):
            i += 2
        elif word in _TYPED_LITERALS and i + 1 < stop and self.tokens[i + 1].kind in ("string", "number"):
            i += 3 if _UNITS.match(self.word(i + 2)) else 2
        else:
            i += 1
            while self.word(i) == "." and i + 1 < stop:
                i += 3 if self.word(i + 1) == "$" else 2
            if self.word(i) == "(":
                i = self.closing(i, stop) + 1
        return min(self.bound(i, stop), stop)

    def bound(self, i: int, stop: int) -> int:
        """Behind casts, subscripts, paths, powers and the clauses of aggregates and windows."""
        while i < stop:
            word = self.word(i)
            if word == "::":
                i = self.type_end(i + 1, stop)
            elif word == "[":
                i = self.closing(i, stop) + 1
            elif word in (".", ":") and i + 1 < stop and self.tokens[i].start == self.tokens[i - 1].end:
                i += 2
            elif word in ("filter", "over") and self.word(i + 1) == "(":
                i = self.closing(i + 1, stop) + 1
            elif word == "over":
                i += 2
            elif word == "within" and self.word(i + 1) == "group":
                i = self.closing(i + 2, stop) + 1
            elif word in ("ignore", "respect") and self.word(i + 1) == "nulls":
                i += 2
            elif word == "at" and self.word(i + 1) == "time" and i + 3 < stop:
                i = self.operand(i + 3, stop)
            elif word in ("^", "**") and self.starts_operand(i + 1):
                i = self.operand(i + 1, stop)
            else:
                break
        return i

    def type_end(self, i: int, stop: int) -> int:
        two = (self.word(i), self.word(i + 1))
        i += 2 if two in (("double", "precision"), ("character", "varying")) else 1
        if self.word(i) == "(":
            i = self.closing(i, stop) + 1
        if self.word(i) in ("with", "without") and self.word(i + 1) == "time":
            i += 3
        return min(i, stop)

    def inside(self, start: int, end: int, scope: _Scope) -> None:
        """What stands in the brackets and branches of an operand."""
        if not self.may_divide(start, end):
            return
        for i in self.top(start, end):
            if i not in self.partner or self.partner[i] < i:
                continue
            close = self.closing(i, end)
            if not self.may_divide(i - 1, close):
                continue
            name = self.word(i - 1) if i > start else ""
            if self.word(i) == "case":
                self.case(i, close, scope)
            elif self.word(i) == "(" and name in _CATCHING_CALLS:
                continue
            elif self.word(i) == "(" and name in _CONDITIONAL_CALLS:
                self.conditional(i + 1, close, scope, name)
            else:
                if self.word(i) == "(" and name in _DIVIDING_CALLS and self.word(i - 3) not in _CATCHING_CALLS:
                    self.dividing_call(i, close, scope)
                kept = scope.with_nonzero(self.filter_facts(close, end)) if name in _COUNTS | {"sum", "avg", "min", "max"} else scope
                self.query(i + 1, close, kept)

    def filter_facts(self, close: int, end: int) -> set[str]:
        """What FILTER (WHERE …) behind an aggregate lets through: it is looked at before the argument is computed."""
        if self.word(close + 1) != "filter" or self.word(close + 2) != "(" or close + 2 >= end:
            return set()
        return self.facts(close + 4, self.closing(close + 2, end), True)

    def dividing_call(self, opening: int, close: int, scope: _Scope) -> None:
        arguments = self.split(opening + 1, close, ",")
        if len(arguments) == 2 and all(a < b for a, b in arguments):
            self.note(self.word(opening - 1), arguments[0], arguments[1], (opening - 1, close + 1), scope)

    def case(self, start: int, end: int, scope: _Scope) -> None:
        for (a, b), known in self.branches(start, end):
            self.query(a, b, scope.with_nonzero(known))

    def branches(self, start: int, end: int) -> Iterator[tuple[Span, set[str]]]:
        """Of a CASE: each condition and result, with what is known not to be zero when it is computed."""
        words = ("when", "then", "else")
        marks = [i for i in self.top(start + 1, end) if self.word(i) in words]
        subject = (start + 1, marks[0]) if marks and marks[0] > start + 1 else None
        if subject:
            yield subject, set()
        known: set[str] = set()
        condition: Span | None = None
        for mark, stop in pairwise([*marks, end]):
            if self.word(mark) == "when":
                condition = (mark + 1, stop)
                yield condition, set(known)
            elif self.word(mark) == "then" and condition:
                yield (mark + 1, stop), known | self.case_facts(subject, condition, True)
                known |= self.case_facts(subject, condition, False)
            else:
                yield (mark + 1, stop), set(known)

    def results(self, start: int, end: int) -> list[tuple[Span, set[str]]]:
        return [(span, known) for span, known in self.branches(start, end) if self.word(span[0] - 1) in ("then", "else")]

    def case_facts(self, subject: Span | None, condition: Span, holds: bool) -> set[str]:
        if subject is None:
            return self.facts(*condition, holds)
        is_zero = self.number(*condition) == 0
        return self.cores(*subject) if is_zero != holds and self.number(*condition) is not None else set()

    def conditional(self, start: int, close: int, scope: _Scope, name: str) -> None:
        for span, known in self.conditional_branches(start, close, name):
            self.query(*span, scope.with_nonzero(known))

    def conditional_branches(self, start: int, close: int, name: str) -> list[tuple[Span, set[str]]]:
        """Of IF and DECODE: the arguments, with what is known not to be zero when each is computed."""
        arguments = self.split(start, close, ",")
        if name != "decode":
            known = [set(), self.facts(*arguments[0], True), self.facts(*arguments[0], False)]
            return list(zip(arguments, known, strict=False))
        branches, apart = [(arguments[0], set[str]())], set[str]()
        for n in range(1, len(arguments) - 1, 2):  # what is looked for, and the result
            branches += [(arguments[n], set(apart)), (arguments[n + 1], apart | self.case_facts(arguments[0], arguments[n], True))]
            apart |= self.case_facts(arguments[0], arguments[n], False)
        return branches + [(arguments[-1], apart)] * (len(arguments) % 2 == 0)

    def conditional_results(self, start: int, close: int, name: str) -> list[tuple[Span, set[str]]]:
        branches = self.conditional_branches(start, close, name)
        return [branch for n, branch in enumerate(branches) if n and (name != "decode" or n % 2 == 0 or n == len(branches) - 1)]

    # -- what a condition says --

    def facts(self, start: int, stop: int, holds: bool) -> set[str]:
        """The numbers that cannot be zero when the condition holds, or when it does not."""
        start, stop = self.stripped(start, stop)
        parts = self.split(start, stop, "or")
        if len(parts) > 1:
            each = [self.facts(*part, holds) for part in parts]
            return set.intersection(*each) if holds else set.union(*each)
        parts = self.conjuncts(start, stop)
        if len(parts) > 1:
            each = [self.facts(*part, holds) for part in parts]
            return set.union(*each) if holds else set.intersection(*each)
        if self.word(start) == "not":
            return self.facts(start + 1, stop, not holds)
        return self.comparison_facts(start, stop, holds)

    def conjuncts(self, start: int, stop: int) -> list[Span]:
        parts, between, at = [], False, start
        for i in self.top(start, stop):
            if self.word(i) == "between":
                between = True
            elif self.word(i) == "and" and between:
                between = False
            elif self.word(i) == "and":
                parts.append((at, i))
                at = i + 1
        return [*parts, (at, stop)]

    def comparison_facts(self, start: int, stop: int, holds: bool) -> set[str]:
        signs = [i for i in self.top(start, stop) if self.word(i) in _COMPARISONS]
        if len(signs) == 1:
            left, right, sign = (start, signs[0]), (signs[0] + 1, stop), self.word(signs[0])
            if (bound := self.number(*right)) is not None:
                return self.cores(*left) if _excludes_zero(sign, bound, holds) else set()
            if (bound := self.number(*left)) is not None:
                return self.cores(*right) if _excludes_zero(_FLIPPED.get(sign, sign), bound, holds) else set()
            return set()
        called = self.call(start, stop)
        if called and called[0] == "equal_null" and len(called[1]) == 2:
            return self.case_facts(called[1][0], called[1][1], holds)
        for i in self.top(start, stop):
            word = self.word(i)
            if word == "between" and holds:
                low = self.number(i + 1, next((k for k in self.top(i, stop) if self.word(k) == "and"), stop))
                return self.cores(start, i) if low is not None and low > 0 else set()
            if word == "in" and self.word(i + 1) == "(":
                negated = self.word(i - 1) == "not"
                numbers = [self.number(*span) for span in self.split(i + 2, self.closing(i + 1, stop), ",")]
                divided = self.cores(start, i - negated)
                if holds == negated:
                    return divided if 0 in numbers else set()
                return divided if numbers and all(numbers) else set()
            if word == "is" and "distinct" in (self.word(i + 1), self.word(i + 2)):
                differs = self.word(i + 1) == "distinct"
                at = next((k for k in self.top(i, stop) if self.word(k) == "from"), stop - 1)
                return self.case_facts((start, i), (at + 1, stop), holds != differs)
            if word == "is":
                return self.null_facts((start, i), self.word(i + 1) == "not", holds)
        return set()

    def null_facts(self, left: Span, is_not: bool, holds: bool) -> set[str]:
        """`nullif(x, 0) is not null` says that x is not zero."""
        start, stop = self.stripped(*left)
        if is_not != holds or self.word(start) != "nullif" or self.word(start + 1) != "(":
            return set()
        arguments = self.split(start + 2, self.closing(start + 1, stop), ",")
        return self.cores(*arguments[0]) if len(arguments) == 2 and self.number(*arguments[1]) == 0 else set()

    def number(self, start: int, stop: int) -> float | None:
        start, stop = self.stripped(start, stop)
        sign = -1 if self.word(start) == "-" else 1
        start += self.word(start) in ("-", "+")
        if stop - start != 1 or self.tokens[start].kind != "number":
            return None
        try:
            return sign * float(self.tokens[start].text.replace("_", ""))
        except ValueError:
            return None

    def stripped(self, start: int, stop: int, most: int = 99) -> Span:
        """Without parentheses around all of it, at most so many; those of a query are part of it."""
        while most and self.word(start) == "(" and self.partner.get(start) == stop - 1 and self.word(start + 1) not in ("select", "with"):
            start, stop, most = start + 1, stop - 1, most - 1
        return start, stop

    def cores(self, start: int, stop: int) -> set[str]:
        """The forms under which a number that is compared with zero is known again: without casts, parentheses and COALESCE."""
        start, stop = self.core(start, stop)
        named = self.name(start, stop)
        return {named, named.rpartition(" . ")[2]} if self.is_name(start, stop) else {named}

    def core(self, start: int, stop: int) -> Span:
        while True:
            before = (start, stop)
            start, stop = self.stripped(start, stop)
            if stop - start > 1 and self.word(start) in ("-", "+") and self.operand(start + 1, stop) == stop:
                start += 1
            cut = [i for i in self.top(start, stop) if self.word(i) == "::"]
            if cut and self.type_end(cut[-1] + 1, stop) == stop and self.operand(start, cut[-1]) == cut[-1]:
                stop = cut[-1]
            called = self.call(start, stop)
            if called and called[0] in _CASTS | {"abs"}:
                start, stop = self.argument(called[1])
            elif called and called[0] in _ZERO_FILLING_CALLS and all(self.number(*span) == 0 for span in called[1][1:]):
                start, stop = called[1][0]
            if (start, stop) == before:
                return before

    def argument(self, arguments: list[Span]) -> Span:
        """The first, without `as type`."""
        start, stop = arguments[0]
        return start, next((i for i in self.top(start, stop) if self.word(i) == "as"), stop)

    def call(self, start: int, stop: int) -> tuple[str, list[Span], int] | None:
        """Name, arguments and closing parenthesis when the span begins with a call and nothing but clauses of it follow."""
        if stop - start < 3 or self.tokens[start].kind != "word" or self.word(start + 1) != "(" or self.operand(start, stop) != stop:
            return None
        close = self.closing(start + 1, stop)
        behind = self.word(close + 1) if close + 1 < stop else ""
        if behind not in ("", "over", "filter", "within", "ignore", "respect"):
            return None
        return self.word(start), self.split(start + 2, close, ",") if close > start + 2 else [], close

    def is_name(self, start: int, stop: int) -> bool:
        return all(self.tokens[i].kind in ("word", "quoted") or self.word(i) == "." for i in range(start, stop)) and not any(
            self.tokens[i].jinja for i in range(start, stop)
        )

    def name(self, start: int, stop: int) -> str:
        return " ".join(self.as_written(token) for token in self.tokens[start:stop])

    def as_written(self, token: Token) -> str:
        """A placeholder as the Jinja that it stands for, so that two of the same are the same."""
        if not token.jinja:
            return token.text
        return "".join(self.source.text[token.start : token.end].split())

    # -- what is known of a number --

    def sign(self, start: int, stop: int, scope: _Scope) -> Sign:
        start, stop = self.stripped(start, stop)
        if start >= stop:
            return Sign.UNKNOWN
        number = self.number(start, stop)
        if number is not None:
            return Sign.ZERO if number == 0 else Sign.POSITIVE if number > 0 else Sign.NONZERO
        found = self.compound_sign(start, stop, scope)
        if found in (Sign.UNKNOWN, Sign.NONNEGATIVE) and self.is_known(start, stop, scope.nonzero):
            return Sign.NONZERO
        return found

    def is_known(self, start: int, stop: int, nonzero: frozenset[str]) -> bool:
        core = self.core(start, stop)
        named = self.name(*core)
        if named in nonzero:
            return True
        return self.is_name(*core) and " . " in named and any(" . " not in known and known == named.rpartition(" . ")[2] for known in nonzero)

    def compound_sign(self, start: int, stop: int, scope: _Scope) -> Sign:
        sums = self.terms(start, stop, ("+", "-"))
        if len(sums) > 1:
            signs = [self.sign(*span, scope) for span in sums]
            minus = any(self.word(i) == "-" for i in self.top(start, stop))
            if minus or not all(s in (Sign.POSITIVE, Sign.NONNEGATIVE, Sign.ZERO) for s in signs):
                return Sign.UNKNOWN
            return Sign.POSITIVE if Sign.POSITIVE in signs else Sign.NONNEGATIVE
        if self.word(start) in ("-", "+") and stop - start > 1:
            inner = self.sign(start + 1, stop, scope)
            return inner if self.word(start) == "+" or inner in (Sign.ZERO, Sign.NONZERO) else Sign.NONZERO if inner is Sign.POSITIVE else Sign.UNKNOWN
        factors = self.terms(start, stop, ("*", "/"))
        if len(factors) > 1:
            signs = [self.sign(*span, scope) for span in factors]
            return Sign.ZERO if Sign.ZERO in signs else _same(signs)
        if any(self.word(i) in _MULTIPLIES for i in self.top(start + 1, stop)):
            return Sign.UNKNOWN
        return self.operand_sign(start, stop, scope)

    def terms(self, start: int, stop: int, signs: tuple[str, ...]) -> list[Span]:
        cuts = [i for i in self.top(start, stop) if self.word(i) in signs and i > start and self.word(i - 1) not in ("+", "-", "*", "/", "%")]
        cuts = [i for i in cuts if not (i == start + 1 and self.word(start) == "count")]
        return list(zip([start, *(i + 1 for i in cuts)], [*cuts, stop], strict=True))

    def operand_sign(self, start: int, stop: int, scope: _Scope) -> Sign:
        token = self.tokens[start]
        if stop - start == 1:
            if token.text == "null" and token.kind == "word":
                return Sign.POSITIVE
            parts = self.source.jinja_within(token.start, token.end) if token.jinja else []
            return self.resolve(parts[0].code) if len(parts) == 1 and (parts[0].start, parts[0].end) == (token.start, token.end) else Sign.UNKNOWN
        if self.word(start) in _TYPED_LITERALS and self.tokens[start + 1].kind in ("string", "number"):
            return Sign.POSITIVE
        cut = [i for i in self.top(start, stop) if self.word(i) == "::"]
        if cut and self.type_end(cut[-1] + 1, stop) == stop:
            return self.sign(start, cut[-1], scope)
        if self.word(start) == "case" and self.partner.get(start) == stop - 1:
            return _same([self.sign(*span, scope.with_nonzero(known)) for span, known in self.results(start, stop - 1)])
        called = self.call(start, stop)
        return self.call_sign(*called, stop, scope) if called else Sign.UNKNOWN

    def call_sign(self, name: str, arguments: list[Span], close: int, stop: int, scope: _Scope) -> Sign:
        def of(span: Span) -> Sign:
            return self.sign(*span, scope)

        if name == "nullifzero" or (name == "nullif" and len(arguments) == 2 and self.number(*arguments[1]) == 0):
            inner = of(arguments[0])
            return Sign.POSITIVE if inner in (Sign.NONNEGATIVE, Sign.POSITIVE) else Sign.NONZERO
        if name in _COUNTS:
            return self.count_sign(arguments, close, stop, scope)
        if name in _POSITIVE_CALLS:
            return Sign.POSITIVE
        if name in _NONNEGATIVE_CALLS:
            inner = of(arguments[0]) if len(arguments) == 1 and name in ("abs", "sqrt") else Sign.UNKNOWN
            return Sign.POSITIVE if inner in (Sign.POSITIVE, Sign.NONZERO) else Sign.NONNEGATIVE
        if not arguments:
            return Sign.UNKNOWN
        if name in _CASTS:
            return self.sign(*self.argument(arguments), scope)
        if name in _KEEP_SIGN_CALLS:
            return of(arguments[0])
        if name in _ROUNDING_CALLS:
            return {Sign.POSITIVE: Sign.NONNEGATIVE, Sign.NONZERO: Sign.UNKNOWN}.get(of(arguments[0]), of(arguments[0]))
        if name == "sum":
            always = scope.grouped and close + 1 == stop
            return {Sign.POSITIVE: Sign.POSITIVE if always else Sign.NONNEGATIVE, Sign.NONNEGATIVE: Sign.NONNEGATIVE}.get(of(arguments[0]), Sign.UNKNOWN)
        if name == "greatest":
            signs = [of(span) for span in arguments]
            return Sign.POSITIVE if Sign.POSITIVE in signs else Sign.NONNEGATIVE if Sign.NONNEGATIVE in signs or Sign.ZERO in signs else Sign.UNKNOWN
        if name in _FIRST_KNOWN_CALLS or name == "least":
            return _same([of(span) for span in arguments])
        if name == "zeroifnull":
            return {Sign.POSITIVE: Sign.NONNEGATIVE, Sign.NONZERO: Sign.UNKNOWN}.get(of(arguments[0]), of(arguments[0]))
        if name in _CONDITIONAL_CALLS:
            branches = self.conditional_results(arguments[0][0], close, name)
            return _same([self.sign(*span, scope.with_nonzero(known)) for span, known in branches])
        if name in ("power", "pow") and of(arguments[0]) is Sign.POSITIVE:
            return Sign.POSITIVE
        return Sign.UNKNOWN

    def count_sign(self, arguments: list[Span], close: int, stop: int, scope: _Scope) -> Sign:
        """A group has a row, and a window that ends with the current one has it too."""
        every_row = len(arguments) == 1 and (self.name(*arguments[0]) == "*" or self.number(*arguments[0]) is not None)
        every_row = every_row or not arguments
        if not every_row or self.word(close + 1) == "filter":
            return Sign.NONNEGATIVE
        if close + 1 < stop and self.word(close + 1) == "over":
            framed = any(self.word(i) in ("rows", "range", "groups") for i in range(close, stop))
            return Sign.NONNEGATIVE if framed else Sign.POSITIVE
        return Sign.POSITIVE if scope.grouped else Sign.NONNEGATIVE

    # -- noting what was found --

    def note(self, operator: str, numerator: Span, denominator: Span, whole: Span, scope: _Scope) -> None:
        sign = self.sign(*denominator, scope)
        if sign in (Sign.POSITIVE, Sign.NONZERO):
            return
        if self.in_path(whole[0]):
            return
        filtered = self.sign(*denominator, replace(scope, nonzero=scope.nonzero | scope.filtered)) in (Sign.POSITIVE, Sign.NONZERO)
        likelihood, why = self.likelihood(*denominator, sign)
        if filtered:
            likelihood, why = likelihood / 10, "a filter of its SELECT excludes the zero, but an engine may compute before it filters"
        self.found.append(
            Division(
                source=self.source,
                operator=operator,
                numerator=self.offsets(*numerator),
                denominator=self.offsets(*denominator),
                bare=self.offsets(*self.stripped(*denominator, most=1)),
                start=self.tokens[whole[0]].start,
                end=self.tokens[whole[1] - 1].end,
                sign=sign,
                filtered=filtered,
                likelihood=likelihood,
                why=why,
                tokens=tuple(self.tokens[whole[0] : whole[1]]),
            )
        )

    def in_path(self, start: int) -> bool:
        """`https://host/a` and `/folder/file` in text that is no SQL."""
        return self.word(start - 1) in ("/", "//") and self.tokens[start - 1].end == self.tokens[start].start

    def offsets(self, start: int, stop: int) -> Span:
        return self.tokens[start].start, self.tokens[stop - 1].end

    def likelihood(self, start: int, stop: int, sign: Sign) -> tuple[float, str]:
        """From how such denominators usually come to be zero."""
        words = {self.word(i) for i in range(start, stop)}
        filled = words & _FIRST_KNOWN_CALLS and any(self.number(i, i + 1) == 0 for i in range(start, stop))
        start, stop = self.core(start, stop)
        if sign is Sign.ZERO:
            return 1.0, "it is the number 0"
        if filled or "zeroifnull" in words:
            return 0.9, "what is missing counts as 0 there"
        if len(self.terms(start, stop, ("-",))) > 1:
            return 0.85, "a difference of equal numbers is 0"
        if words & _COUNTS:
            return 0.8, "a count is 0 where nothing matches"
        if "sum" in words:
            return 0.75, "a sum of zeros is 0"
        if words & {"datediff", "date_diff", "date_part", "extract", "age", "timestampdiff"}:
            return 0.7, "a difference of equal times is 0"
        if len(self.terms(start, stop, ("+",))) > 1:
            return 0.3, "a sum can be 0"
        if self.is_name(start, stop):
            likely = _COUNT_LIKE.search(self.tokens[stop - 1].text) is not None
            return (0.65, "a column that counts or measures can hold 0") if likely else (0.55, "nothing keeps 0 out of this column")
        if any(self.tokens[i].jinja for i in range(start, stop)):
            return 0.5, "nothing shows that what Jinja writes here cannot be 0"
        return 0.5, "nothing keeps it from being 0"


_COMPARISONS = {"=", "<>", "!=", "<", ">", "<=", ">=", "=="}
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


def _excludes_zero(sign: str, bound: float, holds: bool) -> bool:
    """Whether `x sign bound` being true, or being false, means that x is not zero. Where it is NULL neither branch divides by zero."""
    zero_satisfies = {
        "=": bound == 0,
        "==": bound == 0,
        "<>": bound != 0,
        "!=": bound != 0,
        "<": 0 < bound,
        ">": 0 > bound,
        "<=": 0 <= bound,
        ">=": 0 >= bound,
    }[sign]
    return zero_satisfies != holds


def _same(signs: list[Sign]) -> Sign:
    """What holds for a number that is one of these, or their product."""
    if signs and all(sign is Sign.POSITIVE for sign in signs):
        return Sign.POSITIVE
    if signs and all(sign in (Sign.POSITIVE, Sign.NONZERO) for sign in signs):
        return Sign.NONZERO
    if signs and all(sign in (Sign.POSITIVE, Sign.NONNEGATIVE, Sign.ZERO) for sign in signs):
        return Sign.NONNEGATIVE
    return Sign.UNKNOWN


def _partners(found: list[Token]) -> dict[int, int]:
    """Of each bracket, CASE and END the index of the other; what has no other is left out."""
    closes = {")": "(", "]": "[", "}": "{", "end": "case"}
    partners: dict[int, int] = {}
    opened: list[int] = []
    for i, token in enumerate(found):
        if token.kind not in ("sign", "word"):
            continue
        if token.text in closes.values():
            opened.append(i)
        elif token.text in closes:
            for back in range(len(opened) - 1, -1, -1):
                if found[opened[back]].text == closes[token.text]:
                    partners[i], partners[opened[back]] = opened[back], i
                    del opened[back:]
                    break
    return partners
