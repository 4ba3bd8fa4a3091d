"""A log as rows without what loggers put in front: colours, times, levels, threads, places, JSON.

Read are Airflow's text logs (2 and 3) and its JSON lines, dbt's console, its log file and its JSON, Python's `logging`,
PostgreSQL's server log, and raw text; and what ships logs: containers, syslog, journald, and the clouds' lines and documents.
A logger inside a logger is peeled too: a line of dbt that Airflow logged loses both prefixes, and keeps its indentation, since
that says what continues what.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import commonprefix
from typing import Any

from rowferry.diagnosis.model import Line

MOST_BYTES = 16 << 20
"""Of a larger log the first and the last half of this are read."""
MOST_OF_LINE = 1 << 14
"""Of a longer line, in characters, likewise; of an entry in JSON each line of its message."""

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\r(?=$)")
_STAMP = r"\d{4}-\d\d-\d\d(?:T|,? )\d\d:\d\d(?::\d\d)?(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|CET|CEST|[+-]\d\d:?\d\d))?"
_LEVEL = r"(?P<level>TRACE|DEBUG[1-5]?|INFO|NOTICE|LOG|WARN(?:ING)?|ERROR|CRITICAL|FATAL|PANIC|STATEMENT|DETAIL|HINT|CONTEXT|QUERY)"
_PROGRAM = r"[\w.@/-]+\[\d+\]:(?: |$)"
_STREAM = r"(?:[^\s/]+/)+(?:[\w.$\[\]-]*[0-9a-f-]{8,}|attempt=\d+\.log)(?: |$)"
"""A log stream of CloudWatch: of a container, a function, or a task of Airflow."""
_SHIPPED = (
    rf"<\d{{1,3}}>1 {_STAMP} (?:\S+ ){{4}}(?:-|(?:\[[^\]]*\])+)(?: |$)",  # syslog, RFC 5424
    rf"(?:\w{{3}} [ \d]\d \d\d:\d\d:\d\d|{_STAMP}) \S+ {_PROGRAM}",  # syslog, RFC 3164, and journald
    rf"{_STAMP} (?:[0-9a-f]{{2}}[OE][ +]|{_STREAM})",  # GitLab, CloudWatch
    rf"[^\t]{{1,80}}\t[^\t]{{1,80}}\t{_STAMP}(?: |$)",  # GitHub
)
"""What those put in front that only pass lines on: it says nothing about a line, and each line has it."""
_PREFIXES = tuple(
    re.compile(pattern, re.IGNORECASE if ignore else 0)
    for pattern, ignore in (
        *((rf"(?P<shipped>{pattern})", False) for pattern in _SHIPPED),
        (rf"\[{_STAMP}\] ?", False),
        (rf"{_STAMP}(?= |$|\t) ?(?:\| )?", False),
        (r"(?P<dbt>\d\d:\d\d:\d\d(?:\.\d+)?(?: \|)?(?:  | (?=\[)|$))", False),
        (r"\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ (?=\S+: )", False),
        (r"(?:stdout|stderr) [FP] ", False),
        (r"[\w.-]+-\d+ +\| ", False),
        (r"\{[\w./-]+(?:\.py|\.pyx)?:\d+\} ?", False),
        (r"\[[\w.+:, -]*\bexecution_date\b[^\]]*\] ?", False),
        (rf"{_LEVEL}\s+-\s?", False),
        (rf"\[{_LEVEL}\s*\] ?(?:\[[^\]]*\]: )?", True),
        (rf"\| {_LEVEL}\s*\| (?:[\w.<>:]+ - )?", False),
        (rf"- [\w.]+ - {_LEVEL} - ", False),
        (rf"{_LEVEL}:[A-Za-z_][\w.]*:(?=\S)", False),
        (rf"(?<![a-z]){_LEVEL}:? +(?=\[?[\w.]+\]?: )", False),
        (r"(?P<level>TRACE|DEBUG|INFO|WARN(?:ING)?)\b:?\s+(?=\S)", False),
        (r"(?P<level>Warning)(?: \(Code \d+\))?: ", True),
        (r"\[\d+\] (?:\S+@\S+ )?(?=[A-Z]+: )", False),
        (r"\[(?:base|task|Thread|MainThread)[^\]]*\]:? ?", False),
    )
)
_PREFIX_STARTS = re.compile(r"[\[\d{|\-A-Zsw<]|[\w.-]+-\d+ +\||[^\t]+\t[^\t]+\t\d{4}-")
_QUIET = frozenset({"TRACE", "DEBUG", "INFO", "NOTICE", "LOG", "STATEMENT", "WARN", "WARNING"})
_LOUD = frozenset({"ERROR", "CRITICAL", "FATAL", "PANIC"})
_CALLED_ERROR = re.compile(r"(?:ERROR|CRITICAL|FATAL|PANIC)\b")
"""A level that is left where it stands, since rules read on from it: `ERROR 2002 (HY000): …`."""
_MOST_PREFIXES = 8
_FEWEST_QUOTED = 3


@dataclass(frozen=True, slots=True)
class Row:
    """A line of a log without its prefixes.

    Attributes:
        number: In the log, from 1; the rows of one JSON line share it.
        text: What was logged, with its indentation.
        quiet: Whether a logger called it a warning or less.
        loud: Whether a logger called it an error.
        head: Whether an entry starts here; the rows up to the next head continue it.
        known: Whether a logger's prefix was recognised.
    """

    number: int
    text: str
    quiet: bool = False
    loud: bool = False
    head: bool = False
    known: bool = False

    @property
    def line(self) -> Line:
        return Line(self.number, self.text.strip())


def rows_of(text: str) -> list[Row]:
    """The log as rows."""
    whole = _document(text)
    if whole is not None:
        return [row for number, entry in enumerate(whole, 1) for row in _rows_of_json(number, entry)]
    lines = [(number, _ANSI.sub("", line).rstrip()) for number, line in _numbered(text)]
    shared = _shared([line for _, line in lines if line])
    space = " " if shared and not shared[-1].isspace() else ""  # of a line without text it was stripped with the line's end
    return [row for number, line in lines for row in _rows(number, line[len(shared) :].removeprefix(space))]


def _rows(number: int, line: str) -> Iterator[Row]:
    """The rows of a line: of a JSON entry, also behind a prefix, each of its message's."""
    entry = _json(line)
    if entry is None:
        row = _row(number, _cut(line))
        entry = _json(row.text)
    if entry is None:
        yield row
    else:
        yield from _rows_of_json(number, entry)


def _cut(line: str) -> str:
    return line if len(line) <= MOST_OF_LINE else f"{line[: MOST_OF_LINE // 2]} … {line[-MOST_OF_LINE // 2 :]}"


_QUOTE = re.compile(r"(?:\[[\w./:-]+\]|>|\||\w+ \|)(?: |$)|\s+")


def _shared(lines: Sequence[str]) -> str:
    """What stands before each line because somebody quoted the log, or indented it: `> `, `[pod/etl-1/base] `."""
    if len(lines) < _FEWEST_QUOTED:
        return ""
    first, last = min(lines), max(lines)
    same = commonprefix([first, last])
    n_shared, found = 0, _QUOTE.match(same)
    while found is not None and found.end() > n_shared and _prefix(found[0]) is None:
        n_shared, found = found.end(), _QUOTE.match(same, found.end())
    return same[:n_shared]


def _numbered(text: str) -> Iterator[tuple[int, str]]:
    lines = text.splitlines()
    if len(text) <= MOST_BYTES:
        yield from enumerate(lines, 1)
        return
    half = MOST_BYTES // 2
    head, tail = text[:half].splitlines(), text[-half:].splitlines()
    yield from enumerate(head, 1)
    yield from enumerate(tail, len(lines) - len(tail) + 1)


def _row(number: int, line: str) -> Row:
    text, level, known, of_dbt = line, None, False, False
    for _ in range(_MOST_PREFIXES):
        found = _prefix(text)
        if found is None:
            break
        groups = found.groupdict()
        level, known, of_dbt = groups.get("level") or level, known or "shipped" not in groups, of_dbt or "dbt" in groups
        text = text[found.end() :]
    level = (level or "").upper().rstrip("12345")
    head = known and (of_dbt or not text[:1].isspace()) and level not in ("DETAIL", "HINT", "CONTEXT", "QUERY")
    return Row(number, text, level in _QUIET, level in _LOUD or (not level and _CALLED_ERROR.match(text) is not None), head, known)


def _prefix(text: str) -> re.Match[str] | None:
    if not _PREFIX_STARTS.match(text):
        return None
    return next((found for pattern in _PREFIXES if (found := pattern.match(text)) and found.end()), None)


def _json(line: str) -> Mapping[str, Any] | None:
    if not (line.startswith("{") and line.endswith("}")):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


_LISTS = ("content", "events", "entries")


def _document(text: str) -> list[Any] | None:
    """The entries of a log that is one JSON document: `{"content": [{"event": …}, …]}` of Airflow's API, `{"events": …}` of CloudWatch, a list of Google's."""
    if len(text) > MOST_BYTES or not _DOCUMENT.match(text):
        return None
    try:
        content = json.loads(text)
    except ValueError:
        return None
    if isinstance(content, dict):
        content = next((content[name] for name in _LISTS if isinstance(content.get(name), list)), None)
    return content if isinstance(content, list) else None


_DOCUMENT = re.compile(r"\s*(?:\{\s*\"|\[\s*\{)")


def _rows_of_json(number: int, entry: Any) -> Iterator[Row]:
    """A JSON line's rows: the message, what else it says, and its exceptions, the first cause first."""
    if not isinstance(entry, Mapping):
        yield _row(number, str(entry))
        return
    entry = next((entry[key] for key in ("info", "jsonPayload") if isinstance(entry.get(key), Mapping)), entry)
    shipped = next((entry[key] for key in _SHIPPED_AS if isinstance(entry.get(key), str)), None)
    if shipped is not None:
        for line in _ANSI.sub("", shipped).splitlines() or [""]:
            yield from _rows(number, line.rstrip())
        return
    message = next((str(entry[key]) for key in ("event", "msg", "message") if entry.get(key) is not None), None)
    if message is None:
        yield Row(number, _cut(json.dumps(entry, default=str)), head=True)
        return
    level = str(entry.get("level") or entry.get("levelname") or entry.get("severity") or "").upper()
    more = " ".join(f"{key}={value}" for key, value in entry.items() if key not in _OWN and isinstance(value, (str, int)))
    for n, line in enumerate(_ANSI.sub("", message).splitlines() or [""]):
        inner = _row(number, _cut(line))
        quiet, loud = (inner.quiet, inner.loud) if inner.quiet or inner.loud else (level in _QUIET, level in _LOUD)
        head = n == 0 and (inner.head or not line[:1].isspace())
        yield Row(number, _cut(f"{inner.text} {more}".rstrip()) if n == 0 and more else inner.text, quiet, loud, head, True)
    for text in _exception_texts(entry):
        for line in text.splitlines():
            yield Row(number, _cut(line), loud=True, known=True)


_SHIPPED_AS = ("log", "textPayload", "MESSAGE")
"""Where Docker, Fluentd, Google and journald put a line as it was; a severity beside it says which stream it came from."""
_OWN = frozenset(
    "event msg message level levelname severity timestamp ts time logger filename lineno error_detail exc_info exception traceback stack_info "
    "stack loc code name category extra invocation_id log_version pid thread chan process func_name".split()
)


def _exception_texts(entry: Mapping[str, Any]) -> Iterable[str]:
    detail = entry.get("error_detail")
    for error in reversed(detail if isinstance(detail, list) else []):
        yield "Traceback (most recent call last):"
        yield "\n".join(f'  File "{f.get("filename")}", line {f.get("lineno")} in {f.get("name")}' for f in error.get("frames") or [])
        yield f"{error.get('exc_type')}: {error.get('exc_value')}"
        yield from (str(note) for note in error.get("exc_notes") or [])
    for key in ("exc_info", "exception", "traceback", "stack"):
        if isinstance(entry.get(key), str):
            yield entry[key]
