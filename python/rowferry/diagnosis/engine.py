"""From a log to causes: rules find, wrappers are peeled, what follows from a cause stands under it.

1. `peel.rows_of` takes the prefixes off. Outcomes that the log tells (dbt's `Done. …`, Airflow's state of the task) cut it
   into stretches; what a stretch that ended well complains about was survived, and only silent failures count there.
2. A rule's pattern counts where an error is being told, not where a word happens to stand: `_told`.
3. Of two finds in the same rows the one whose rule stands first in rules.yaml is kept, and the same cause in the same node
   is one diagnosis, however often dbt, an adapter and Airflow repeat it.
4. Roots first, the surest first; wrappers (Airflow, Cosmos, dbt, adapter) and consequences under them. Without a root the
   innermost wrapper is all that is known.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from rowferry.diagnosis.model import INSUFFICIENT, Diagnosis, Line
from rowferry.diagnosis.peel import Row, rows_of
from rowferry.diagnosis.rules import Rule, named_rule, needed_words, rule_of, rules

MOST_LINES = 8
"""Lines shown of one diagnosis."""
MOST_CONSEQUENCES = 50
MOST_ROWS = 100
"""Rows that a pattern may go over."""
SMALL = 1 << 18
"""Characters of a log below which it is quicker to look for every pattern everywhere than to find out what words it needs."""

_ERROR = re.compile(
    r"(?<!\b0 )(?<!\bno )\b(?:errors?|exception|fatal|panic|failed|failure|traceback|killed)\b|\w(?:Error|Exception|Timeout)\b|\berrors\.\w+"
    r"|\b\d{6} \(\w{5}\)|\(\d{4}, [\"']|\[(?:[0-9][0-9A-Z]{4}|HY\d{3}|IM\d{3})\]|\[unixODBC\]|\[Snowflake\]|^E  ",
    re.IGNORECASE,
)
_NAMED_ERROR = re.compile(r"(?:\w(?:Error|Exception)|\b[Ee]rror\b|\berrors\.\w+|ERROR|FATAL|PANIC|[Ff]ailed|\b\d{6} \(\w{5}\)).{0,60}?:")
"""The same in a line that a logger does not call an error: there it has to introduce what follows."""
_ERROR_HEAD = re.compile(
    r"\s*>?(?:(?:\w+ ){0,2}(?:Error|Failure|Exception)\b|Encountered an error|Traceback \(most recent|(?:ERROR|FATAL|PANIC|CRITICAL)\b|[\w.]*(?:Error|Exception)\b|\d+ of \d+ (?:ERROR|FAIL)\b"
    r"|(?:\S*/)?(?:ba|da|z)?sh: (?:line )?\d+: (?!warning)|(?:ssh|scp|wget): (?!warning)|curl: \(\d+\) |[\w.-]+: No such option "
    r"|(?:[a-z_]\w*\.)+[A-Z]\w+(?:: |$))"  # an exception whose name says nothing, as jinja2.exceptions.TemplateNotFound
)
_PROGRAM = re.compile(r"(?:[\w./-]+(?: \d+)?:\s*)*")
"""What a program says before its message: its name, its file, the line."""
_FRAME = re.compile(r"(\s*)File \"[^\"]+\", line \d+, in ")
"""A line of a traceback; a line of source may come after it, whose texts nobody told."""
_MORE = re.compile(r"\s*(?:DETAIL|HINT|LINE \d+|CONTEXT|QUERY|Detail|Hint|compiled code at)\b|\s*\^\s*$")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a stretch of the log: at which row that is said, by whom, and of which task."""

    row: int
    ok: bool
    outer: bool
    task: str | None = None


_OUTCOMES = tuple(
    (re.compile(pattern), ok, outer)
    for pattern, ok, outer in (
        (r"^Done\. PASS=\d+ WARN=\d+ ERROR=0\b", True, False),
        (r"^Done\. PASS=\d+ WARN=\d+ ERROR=[1-9]", False, False),
        (r"^Completed successfully|^Completed with \d+ warnings?\b|^All checks passed!", True, False),
        (r"^Completed with \d+ (?:partial success, )?errors?\b|^Encountered an error|^\d+ checks? failed:", False, False),
        (r"^\S+ -> \S+: [\d,]+ rows, ", True, False),
        (r"Marking task as SUCCESS|Task exited with return code 0\b|\bfinal_state=success|Marking run .* successful", True, True),
        (r"Marking task as (?:FAILED|UP_FOR_RETRY)|Task exited with return code (?!100 \(task deferral)-?[1-9]|\bfinal_state=(?:failed|up_for_retry)|Marking run .* failed", False, True),
    )
)
_EXIT = re.compile(r"\b(?:exit|return)\w*(?: with)?(?: exit| return)? (?:code|status)[ :=]+-?[1-9]", re.IGNORECASE)
_WELL = re.compile(
    r"^(?:INSERT \d+ \d+|(?:COPY|UPDATE|DELETE|SELECT|MERGE) \d+|(?:CREATE|ALTER|DROP) (?:TABLE|VIEW|INDEX|SCHEMA|ROLE|DATABASE)|COMMIT)$"
    r"|\bexit(?:ed)?(?: with)?(?: code| status)?[ :=]+0\b|\b(?:succe(?:ss(?:ful|fully)?|eded)|completed?|finished|done|loaded|written|up to date|passed)\b|^(?:-- \d+\. )?(?:source|target): |^OK$|^Ran \d+ tests?\b",
    re.IGNORECASE,
)
"""What says, in a log of no logger, that it is one, and that all went well so far."""
_RETRY_WORKED = re.compile(
    r"\b(?:connected|reconnected|succeeded|success\w*|recovered|worked|passed|ok|finished|completed?|done)\b.{0,40}\b(?:on|after|at|in|by)\b.{0,20}\b(?:attempts?|retry|retries|try|tries)\b"
    r"|\b(?:attempt|retry|try) (?:no\. ?|#)?\d+\b.{0,30}\b(?:succeeded|worked|ok|success\w*)\b|\b(?:reconnected|connection (?:was )?(?:restored|re-?established))\b",
    re.IGNORECASE,
)
_ENDED_WELL = re.compile(r"\b(?:success\w*|exit(?:ed)?(?: with)?(?: code| status)?[ :=]+0|(?<!=)(?:no|0|without) (?:errors?|failures?)(?!=))\b", re.IGNORECASE)
_PARSING = re.compile(r"^Filling up the DagBag from ")
_PARSED = re.compile(r"^Worker startup parse complete")
"""Airflow 3's worker has read the DAG's file and goes on: what was complained of until then did not stop this task."""
_IN_SQL = re.compile(r"\b(?:select|where|like|when|values|in)\b[^']*(?:'[^']*'[^']*)*'[^']*$", re.IGNORECASE)
"""Before a literal of a statement that was logged: nobody tells what stands there."""
_FAILED_ANYWHERE = re.compile(r"\bDone\. PASS=\d+ WARN=\d+ ERROR=[1-9]|\bCompleted with \d+ errors?\b|Traceback \(most recent call last\)|\d of \d+ (?:ERROR|FAIL)\b")
_TASK = re.compile(r"\btask_id=([\w.-]+)")


@dataclass(frozen=True, slots=True)
class Log:
    """The rows of a log, and for each row: whether an error is told there, and whether that was survived.

    `passed` says how many rows a retry that worked has behind it: what is transient there was got over.
    """

    rows: Sequence[Row]
    loud: Sequence[bool]
    survived: Sequence[bool]
    outcomes: Sequence[Outcome]
    passed: int = 0

    @property
    def lines(self) -> tuple[Line, ...]:
        return tuple(row.line for row in self.rows)


@dataclass(frozen=True, slots=True)
class Find:
    """A rule that matched: in which rows, first and last, and what its groups hold."""

    rule: Rule
    first: int
    last: int
    captured: Mapping[str, str]


def read_log(text: str) -> Log:
    """The log, with its outcomes understood."""
    rows = rows_of(text)
    outcomes = [found for n, row in enumerate(rows) if (found := _outcome(n, row.text))]
    survived = _survived(len(rows), outcomes)
    for first, last in (*_noise(rows), *_parsed(rows)):
        survived[first : last + 1] = [True] * (last + 1 - first)
    loud = _loud(rows)
    last = 0 if outcomes else _lived_on(rows, loud)
    survived[:last] = [True] * last
    passed = next((n for n in reversed(range(len(rows))) if not rows[n].loud and _RETRY_WORKED.search(rows[n].text)), 0)
    return Log(rows, loud, survived, outcomes, passed)


def _lived_on(rows: Sequence[Row], loud: Sequence[bool]) -> int:
    """How many rows a log has behind it that caught what it printed: its logger went on, called nothing an error, and ended well."""
    last = next((n for n in reversed(range(len(rows))) if rows[n].text.strip()), -1)
    caught = max((n for n in range(last + 1) if loud[n]), default=-1)
    if caught < 0 or caught == last or not (rows[last].quiet and rows[last].known and _ENDED_WELL.search(rows[last].text)):
        return 0
    return 0 if any(row.loud for row in rows) or not rows[caught + 1].known else caught + 1


def _noise(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """First and last row of what looks like a failure and never is one."""
    text = Text([row.text for row in rows])
    for pattern in (pattern for rule in rules() if rule.kind == "noise" for pattern in rule.patterns):
        for match in text.matches(pattern):
            yield text.rows_of(match)


def _parsed(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """First and last row of what a worker of Airflow 3 said while it read the DAG's file."""
    start: int | None = None
    for n, row in enumerate(rows):
        if _PARSING.match(row.text):
            start = n
        elif start is not None and _PARSED.match(row.text):
            yield start, n
            start = None


class Text:
    """Rows as one text, in which a pattern is looked for only near a word that it cannot do without.

    A log of many megabytes is searched for some hundred patterns, and hardly one of them has a word in it.
    """

    def __init__(self, rows: Sequence[str]) -> None:
        self.whole = "\n".join(rows)
        self.starts = [0, *accumulate(len(row) + 1 for row in rows)]
        self._lower = self.whole.encode("ascii", "replace").decode().lower()  # as long as the text, whatever its letters

    def rows_of(self, match: re.Match[str]) -> tuple[int, int]:
        """The first and the last row of a match."""
        return self._row(match.start()), self._row(max(match.start(), match.end() - 1))

    def matches(self, pattern: re.Pattern[str]) -> Iterator[re.Match[str]]:
        """What `pattern.finditer` finds in the whole."""
        words = needed_words(pattern.pattern) if len(self.whole) >= SMALL else ()
        if not words:
            yield from pattern.finditer(self.whole)
            return
        for first, last in self._near(words):
            yield from pattern.finditer(self.whole, self.starts[first], self.starts[last + 1] - 1)

    def _near(self, words: Iterable[str]) -> Iterator[tuple[int, int]]:
        """First and last row of what lies within `MOST_ROWS` of a row that holds one of the words; none overlap."""
        reach: list[int] = []
        for word in words:
            at = self._lower.find(word)
            while at >= 0:
                row = self._row(at)
                reach.append(row)
                at = self._lower.find(word, self.starts[row + 1])
        window: tuple[int, int] | None = None
        for row in sorted(reach):
            first, last = max(0, row - MOST_ROWS), min(len(self.starts) - 2, row + MOST_ROWS)
            if window is None or first > window[1] + 1:
                yield from [window] if window else []
                window = (first, last)
            window = (window[0], last)
        yield from [window] if window else []

    def _row(self, at: int) -> int:
        return bisect_right(self.starts, at) - 1


def _outcome(n: int, text: str) -> Outcome | None:
    for pattern, ok, outer in _OUTCOMES:
        if pattern.search(text):
            task = _TASK.search(text)
            return Outcome(n, ok, outer, task[1] if task else None)
    return None


def _loud(rows: Sequence[Row]) -> list[bool]:
    """Of each row whether an error is told there: by its level, or by the entry that it continues."""
    loud, inside = [], False
    for row in rows:
        inside = row.loud or bool(_ERROR_HEAD.match(row.text)) or (inside and not row.head)
        loud.append(inside)
    return loud


def _survived(n_rows: int, outcomes: Sequence[Outcome]) -> list[bool]:
    """Of each row whether what it complains about was got over: its stretch ended well, or a later try did."""
    survived = [False] * n_rows
    start = 0
    for n, outcome in enumerate(outcomes):
        if outcome.ok or _tried_again(outcome, outcomes[n + 1 :]):
            survived[start : outcome.row + 1] = [True] * (outcome.row + 1 - start)
        start = outcome.row + 1
    return survived


def _tried_again(failed: Outcome, later: Sequence[Outcome]) -> bool:
    """Whether a later try of the same thing went well, and nothing around it failed after that."""
    if failed.outer:
        return failed.task is not None and any(o.ok and o.outer and o.task == failed.task for o in later)
    outer = next((o for o in later if o.outer), None)
    between = [o for o in later if not o.outer and (outer is None or o.row < outer.row)]
    return outer is not None and outer.ok and any(o.ok for o in between)


def finds(log: Log) -> list[Find]:
    """All that the rules find, in the order of the log; of finds in the same rows the first rule's."""
    text = Text([_unescaped(row.text) for row in log.rows])
    whole, starts = text.whole, text.starts
    taken: dict[int, Rule] = {}
    found: list[Find] = []
    for rule in (rule for rule in rules() if rule.kind != "noise"):
        for match in (m for pattern in rule.patterns for m in text.matches(pattern)):
            first, last = text.rows_of(match)
            if not _counts(rule, log, first, whole[starts[first] : match.start()], whole[match.end() : starts[first + 1]]):
                continue
            if rule.kind == "root" and any(row in taken and taken[row] is not rule for row in range(first, last + 1)):
                continue
            if rule.kind == "root":
                taken.update(dict.fromkeys([*range(first, last + 1), *_following(log, last)], rule))
            captured = {name.rstrip("0123456789"): " ".join(value.split()) for name, value in match.groupdict().items() if value}
            found.append(Find(rule, first, last, captured))
    return sorted(found, key=lambda find: (find.first, find.last))


def _unescaped(text: str) -> str:
    """The text of an exception that was logged as Python's repr, as it was before."""
    return text.replace("\\n", "  ").replace('\\"', '"').replace("\\'", "'") if "\\" in text else text


def _counts(rule: Rule, log: Log, row: int, before: str, after: str) -> bool:
    if rule.kind == "silent":
        return True
    if _is_source(log.rows, row):
        return False
    return not log.survived[row] and not (rule.transient and row < log.passed) and (rule.anywhere or _told(log, row, before, after))


def _is_source(rows: Sequence[Row], row: int) -> bool:
    """Whether a row is the line of source that a traceback shows below a frame."""
    frame = _FRAME.match(rows[row - 1].text) if row > 0 else None
    return frame is not None and rows[row].text.startswith(frame[1] + "  ")


def _told(log: Log, row: int, before: str, after: str) -> bool:
    """Whether an error is told: in an entry that is one, after a word of error, or by a line that begins with it."""
    if not log.loud[row] and _IN_SQL.search(before):
        return False
    if log.loud[row] or (_NAMED_ERROR if log.rows[row].quiet else _ERROR).search(before):
        return True
    first = _PROGRAM.fullmatch(before.strip("\"'([ \t")) is not None and not log.rows[row].quiet
    return first and (not re.search(r"\w", after) or bool(_ERROR.search(log.rows[row].text)))


def causes(log: Log) -> list[Diagnosis]:
    """The diagnoses of a log, ranked; [] when nothing was found."""
    found = finds(log)
    nodes = _nodes(log, found)
    roots = [_diagnosis(log, find, nodes.get(find.first, {})) for find in found if find.rule.kind in ("root", "silent")]
    merged = ranked(merge(roots))
    others = [find for find in found if find.rule.kind in ("wrapper", "consequence")]
    if not merged and others:
        innermost = max(others, key=lambda find: (find.rule.kind == "wrapper", find.rule.level))
        merged = [_unknown(_diagnosis(log, innermost, nodes.get(innermost.first, {})))]
        others = [find for find in others if (find.rule, find.first) != (innermost.rule, innermost.first)]
    alone = _alone(log, others, [d.node for d in merged])
    merged = ranked([*merged, *alone])
    others = [find for find in others if find.rule.kind != "wrapper" or not any(d.node == find.captured.get("node") for d in alone)]
    return attach(merged, _consequences(log, others))


def _alone(log: Log, others: Iterable[Find], known: Sequence[str | None]) -> list[Diagnosis]:
    """Of the nodes that dbt says to have failed by themselves, one diagnosis for each that no cause is known of."""
    told: dict[str, Find] = {}
    for find in others:
        node = find.captured.get("node")
        if find.rule.kind == "wrapper" and node and None not in known and not any(_same_node(node, other) for other in known if other):
            told[node] = max(told.get(node, find), find, key=lambda f: f.rule.evidence == "hypothesis")
    return [_unknown(_diagnosis(log, find, {})) for find in told.values()]


def _nodes(log: Log, found: Iterable[Find]) -> dict[int, Mapping[str, str]]:
    """For each row inside an entry of a wrapper that names a node: what the wrapper names."""
    inside: dict[int, Mapping[str, str]] = {}
    for find in found:
        if find.rule.kind == "wrapper" and "node" in find.captured:
            end = next((n for n in range(find.last + 1, len(log.rows)) if log.rows[n].head and log.rows[n].text.strip()), len(log.rows))
            inside.update(dict.fromkeys(range(find.first, end), {**find.captured, "_row": str(find.first)}))
    return inside


def _diagnosis(log: Log, find: Find, around: Mapping[str, str]) -> Diagnosis:
    names = {name: value for name, value in around.items() if name != "_row"}
    captured = {**names, **find.captured}
    rows = [int(around["_row"])] if "_row" in around and int(around["_row"]) < find.first else []
    rows += range(find.first, find.last + 1)
    rows += _entry(log, find.last) if find.rule.kind == "wrapper" and "node" in find.captured else _following(log, find.last)
    return find.rule.diagnosis(captured, [log.rows[n].line for n in rows[:MOST_LINES]])


def _entry(log: Log, last: int) -> Iterator[int]:
    """The rows with text after a row, up to the next entry."""
    for n in range(last + 1, min(last + 1 + MOST_LINES, len(log.rows))):
        if log.rows[n].head:
            return
        if log.rows[n].text.strip():
            yield n


def _unknown(wrapper: Diagnosis) -> Diagnosis:
    """A wrapper's diagnosis: when it knows nothing itself, that evidence is missing."""
    if wrapper.evidence != "insufficient":
        return wrapper
    return replace(insufficient(wrapper.lines, wrapper.node), captured=wrapper.captured, notes=(wrapper.title,))


def _following(log: Log, last: int) -> Iterator[int]:
    """The rows after a message that belong to it: DETAIL, HINT, LINE and the caret."""
    shown = False
    for n in range(last + 1, min(last + 1 + MOST_LINES, len(log.rows))):
        text = log.rows[n].text
        if _MORE.match(text):
            shown = True
            yield n
        elif log.rows[n].head or not text.strip() or not shown or _ERROR_HEAD.match(text):
            return
        else:
            yield n


def merge(diagnoses: Iterable[Diagnosis]) -> list[Diagnosis]:
    """One diagnosis for each cause in each node with the same names."""
    kept: list[Diagnosis] = []
    for new in diagnoses:
        twin = next((n for n, old in enumerate(kept) if _same(old, new)), None)
        if twin is None:
            kept.append(new)
        else:
            fuller = max(kept[twin], new, key=lambda d: len(d.captured) + (d.node is not None))
            kept[twin] = replace(fuller, consequences=tuple(dict.fromkeys(kept[twin].consequences + new.consequences)))
    return kept


def _same(one: Diagnosis, other: Diagnosis) -> bool:
    if one.cause != other.cause or (one.node and other.node and not _same_node(one.node, other.node)):
        return False
    shared = one.captured.keys() & other.captured.keys()
    return all(one.captured[name].casefold() == other.captured[name].casefold() for name in shared)


def _same_node(one: str, other: str) -> bool:
    """dbt's log has a node's name; its unique_id has kind and package before that and, of a test, a hash after it."""
    parts, others = one.split("."), other.split(".")
    return parts[-1] == others[-1] or [one] == others[2:3] or [other] == parts[2:3]


_SURENESS = {"confirmed": 0, "hypothesis": 1, "insufficient": 2}


def ranked(diagnoses: Sequence[Diagnosis]) -> list[Diagnosis]:
    """The diagnoses, the surest first, those that follow from another one of them under it."""
    present = {d.cause for d in diagnoses}
    order = sorted(diagnoses, key=lambda d: (_SURENESS[d.evidence], -d.confidence))
    follows = {d.cause: rule.follows for d in order if (rule := rule_of(d.cause))}
    roots = [d for d in order if not (follows.get(d.cause, frozenset()) & (present - {d.cause}))]
    if not roots:
        return order
    return attach(roots, [(d.node, d.title) for d in order if d not in roots])


def attach(diagnoses: Sequence[Diagnosis], consequences: Iterable[tuple[str | None, str]]) -> list[Diagnosis]:
    """The diagnoses with each consequence under the one of its node, or else under the first."""
    under: list[list[str]] = [list(d.consequences) for d in diagnoses]
    for node, text in consequences:
        if not diagnoses:
            break
        of = next((n for n, d in enumerate(diagnoses) if node and d.node == node), 0)
        if text not in under[of] and len(under[of]) < MOST_CONSEQUENCES:
            under[of].append(text)
    return [replace(d, consequences=tuple(texts)) for d, texts in zip(diagnoses, under, strict=True)]


def _consequences(log: Log, others: Iterable[Find]) -> Iterator[tuple[str | None, str]]:
    for find in others:
        yield find.captured.get("node"), find.rule.said(find.rule.title, find.captured)


def undiagnosed(log: Log) -> Diagnosis | None:
    """What to say of a log in which nothing was found: None when it tells of nothing bad."""
    errors = [n for n, loud in enumerate(log.loud) if loud and not log.survived[n] and log.rows[n].text.strip()]
    failed = [o.row for o in log.outcomes if not o.ok and not log.survived[o.row]]
    exits = [n for n, row in enumerate(log.rows) if _EXIT.search(row.text) and not log.survived[n]]
    well = any(o.ok for o in log.outcomes) or any(row.known or _WELL.search(row.text) for row in log.rows)
    if well and not (errors or failed or exits):
        return None if log.outcomes or not (behind := _behind_a_prefix(log)) else insufficient(log.rows[n].line for n in behind)
    return insufficient(log.rows[n].line for n in dict.fromkeys([*errors[: MOST_LINES - 2], *failed, *exits][:MOST_LINES]))


def _behind_a_prefix(log: Log) -> list[int]:
    """Rows that tell of a failure behind a prefix that nobody knows, where no pattern that begins at a line's start can see it."""
    found = ((n, _FAILED_ANYWHERE.search(row.text)) for n, row in enumerate(log.rows) if not row.quiet and not log.survived[n])
    return [n for n, match in found if match and log.rows[n].text[: match.start()].strip()][:MOST_LINES]


def insufficient(lines: Iterable[Line] = (), node: str | None = None) -> Diagnosis:
    """The diagnosis that says that there is none."""
    rule = named_rule(INSUFFICIENT)
    return Diagnosis(
        cause=INSUFFICIENT, title=rule.title, evidence="insufficient", confidence=0.0, lines=tuple(lines), fix=rule.fix, node=node
    )
