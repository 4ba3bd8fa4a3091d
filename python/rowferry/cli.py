"""The command line, `rowferry`.

Exit codes: 0 all is well; 1 `verify` found differences, or `lint` something; 2 usage or configuration; 3 authentication;
4 source; 5 target; 6 table busy; 7 schema drift; 8 data; 9 fenced off; 10 internal; 130 after Ctrl-C;
143 after SIGTERM. Of several tables the highest code wins. `diagnose`: 0 nothing failed; 1 a cause was found;
11 something failed and nothing says why.

Results go to standard output; progress, warnings and errors go to standard error. With `--json` standard
output is one JSON object a line: the result, or `{"table": …, "error": …}`.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
import traceback
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from typing import Any, Literal, NoReturn

import click
from click.core import ParameterSource
from click.exceptions import NoArgsIsHelpError

from rowferry import __version__, drift_table, spec, terminal, type_table, uri
from rowferry.checkup import BYTES_PER_SECOND, doctor, selftest
from rowferry.errors import ConfigurationError, RowferryError
from rowferry.fanout import Outcome, Work, side_by_side
from rowferry.job import Call, Job, verify
from rowferry.report import LoadRecord, Plan, Report, Verification
from rowferry.tables import read_entries

DIFFERENT = 1
USAGE = 2
INTERNAL = 10
DIAGNOSED = 1
NO_EVIDENCE = 11
EXIT_CODES = {
    "configuration": USAGE,
    "authentication": 3,
    "source": 4,
    "target": 5,
    "busy": 6,
    "drift": 7,
    "data": 8,
    "fenced": 9,
    "internal": INTERNAL,
    "cancelled": 130,
}


class Terminated(BaseException):
    """SIGTERM has arrived."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; nothing printed holds a password."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name must not fail a run that was committed
    try:
        return cli.main(args, prog_name="rowferry", standalone_mode=False) or 0
    except (KeyboardInterrupt, click.Abort):
        return 128 + signal.SIGINT
    except Terminated:
        return 128 + signal.SIGTERM
    except NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return USAGE
    except click.ClickException as error:
        _complain(error.format_message())
        return USAGE
    except RowferryError as error:
        _complain(terminal.error_text(error))
        return EXIT_CODES[error.code]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except Exception:
        _complain(traceback.format_exc())
        return INTERNAL


def _terminate(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    raise Terminated


def _complain(text: str) -> None:
    print(uri.hide(f"rowferry: {text}"), file=sys.stderr, flush=True)


Function = Callable[..., Any]


def _options(*options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    def decorate(function: Function) -> Function:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _group(title: str, *options: Callable[[Function], Function]) -> Callable[[Function], Function]:
    """Options that stand under one heading of the help."""

    def decorate(function: Function) -> Function:
        before = len(getattr(function, "__click_params__", ()))
        function = _options(*options)(function)
        for option in function.__click_params__[before:]:
            option.group = title
        return function

    return decorate


class GroupedCommand(click.Command):
    """A command whose help lists its options under the headings of `_group`."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        others: list[tuple[str, str]] = []
        for option in self.get_params(ctx):
            if isinstance(option, click.Option) and (record := option.get_help_record(ctx)):
                title = getattr(option, "group", None)
                (groups.setdefault(title, []) if title else others).append(record)
        for title, records in {**groups, "Other": others}.items():
            with formatter.section(title):
                formatter.write_dl(records)


def _seconds(name: str, meaning: str) -> Callable[[Function], Function]:
    return click.option(name, type=float, metavar="SECONDS", help=meaning)


def _names(_: click.Context, __: click.Parameter, value: Sequence[str]) -> list[str] | None:
    """`a,"b,c"` as a list; the option may also stand several times."""
    import csv

    return [name.strip() for row in csv.reader(value, skipinitialspace=True) for name in row] or None


def _masks(_: click.Context, __: click.Parameter, value: Sequence[str]) -> dict[str, str] | None:
    """`email=hash`, once for each column; what a mask is called has no `=`."""
    masks: dict[str, str] = {}
    for text in value:
        column, found, mask = text.rpartition("=")
        if not found or column in masks:
            raise click.BadParameter(f"{text!r} names its column twice" if found else f"{text!r} is not COLUMN=MASK")
        masks[column] = mask
    return masks or None


def _uri(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    typed = ctx.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    if value and typed and uri.has_password(value):
        _complain(
            f"warning: everybody on this machine can see the password in --{option.name}; "
            f"safer are ROWFERRY_{str(option.name).upper()}, ~/.pgpass or a service file"
        )
    return value


def _policies(_: click.Context, option: click.Parameter, value: Sequence[str]) -> str | dict[str, str] | None:
    """`fail`, or `type_changed=apply,nullability=apply`; the option may also stand several times."""
    words = [word.strip() for text in value for word in text.split(",")]
    if len(words) == 1 and "=" not in words[0]:
        return words[0]
    for word in words:
        if "=" not in word:
            raise click.BadParameter(f"{word!r} is not of the form kind=policy", param=option)
    return dict(word.split("=", 1) for word in words) or None


source_option = click.option(
    "--source", metavar="URI", envvar="ROWFERRY_SOURCE", callback=_uri, help="postgresql://user@host/database"
)
target_option = click.option(
    "--target", metavar="URI", envvar="ROWFERRY_TARGET", callback=_uri, help="postgresql://user@host/warehouse, duckdb:///path, snowflake://user@account/database, mariadb://user@host, sqlite:///path or odbc:…"
)
table_option = click.option(
    "--table", "tables", metavar="NAME", multiple=True, help="schema.table; may be given several times"
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line on standard output.")
connection_options = _options(
    click.option("--connect-timeout", type=int, metavar="SECONDS", help="For one connection.  [10]"),
    click.option("--driver", metavar="FILE", help="Driver of the target: the library of duckdb:/// or snowflake://, ODBC's driver of mariadb:// or sqlite:///.  [the one installed]"),
    click.option("--channel", type=click.Choice(["auto", "adbc", "odbc"]), help="How Snowflake is reached; auto: by ADBC when its driver is installed, else by ODBC.  [auto]"),
    click.option("--control-schema", metavar="NAME", help="Schema of rowferry's own tables.  [_rowferry]"),
)
name_options = _options(
    click.option("--source-name", metavar="NAME", help="{source} in the target table's name.  [postgres]"),
    click.option("--target-table", metavar="TEMPLATE", help="[raw_{source}.{table}; on Snowflake raw.{source}.{table}]"),
)
job_options = _options(
    click.argument("file", required=False),
    _group(
        "From where to where",
        source_option,
        target_option,
        name_options,
        connection_options,
    ),
    _group(
        "What is carried",
        table_option,
        click.option("--keys", metavar="A,B", multiple=True, callback=_names, help="[the primary key]"),
        click.option("--columns", metavar="A,B", multiple=True, callback=_names, help="[all]"),
        click.option("--as-text", metavar="A,B", multiple=True, callback=_names, help="Carried as their text.  [none]"),
        click.option("--mask", metavar="COLUMN=MASK", multiple=True, callback=_masks, help="drop, redact, truncate:N or hash.  [none]"),
        click.option("--mask-key-env", metavar="NAME", help="Environment variable with the key of hashes.  [ROWFERRY_MASK_KEY]"),
        click.option("--naive-timestamps", type=click.Choice(["auto", "utc", "keep"]), help="Timestamps without zone: taken as UTC, or kept.  [auto: utc on Snowflake]"),
        click.option("--where", metavar="SQL", help="Condition on the source's rows, sent as written."),
        click.option(
            "--on-schema-change",
            metavar="KIND=POLICY",
            multiple=True,
            callback=_policies,
            help="apply, ignore or fail, for a kind of change or, alone, for all; `rowferry drift` lists them.",
        ),
        click.option("--on-duplicate", type=click.Choice(["newest", "fail"]), help="Two rows of one key.  [newest]"),
    ),
    _group(
        "How changed rows are found",
        click.option(
            "--capture",
            type=click.Choice(["auto", "xmin", "cursor", "full"]),
            help="By row version, by time columns, or by reading everything.  [auto]",
        ),
        click.option("--xmin-max-bytes", type=int, metavar="N", help="auto: larger tables by cursor.  [10737418240]"),
        click.option("--connections", type=int, metavar="N", help="Readers side by side, 1 to 16.  [1]"),
    ),
    _group(
        "What the target holds",
        click.option(
            "--mode",
            type=click.Choice(["merge", "append", "replace"]),
            help="The current row of each key, each version, or a copy.  [merge]",
        ),
        click.option("--allow-empty", is_flag=True, default=None, help="replace: a source without rows empties the target."),
    ),
    _group(
        "Capture by cursor",
        click.option(
            "--cursor-columns",
            metavar="A,B",
            multiple=True,
            callback=_names,
            help="[inserted_at or created_at, updated_at or modified_at, deleted_at]",
        ),
        click.option(
            "--open-transactions",
            type=click.Choice(["track", "ignore"]),
            help="Hold the watermark back by those that are open, or not.  [track]",
        ),
        _seconds("--clock-margin", "The watermark stays this far behind the clock.  [60]"),
        _seconds("--lookback", "Read again this much before the watermark.  [0]"),
        _seconds("--max-hold", "Held back longer than this: by row version instead.  [3600]"),
        _seconds("--wait-for-open-transactions", "Wait for those that hold the watermark back.  [0]"),
        click.option("--audit", metavar="WHEN", help="By row version too: always, never, every N.  [every 24]"),
    ),
    _group(
        "Rows that are gone at the source",
        click.option("--sweep", metavar="WHEN", help="Compare all keys: always, never, every N.  [never]"),
        click.option(
            "--on-delete", type=click.Choice(["mark", "remove"]), help="Set _deleted_at, or delete the row.  [mark]"
        ),
    ),
    _group(
        "Load a window again",
        click.option("--since", metavar="TIME", help="Only rows whose cursor is at or after it, ISO 8601."),
        click.option("--until", metavar="TIME", help="Only rows whose cursor is before it."),
    ),
    _group(
        "Limits",
        click.option("--spool-dir", metavar="FOLDER", help="Files on their way to Snowflake.  [the system's for temporary files]"),
        click.option("--spool-file-bytes", type=int, metavar="N", help="How large each becomes, compressed.  [167772160]"),
        click.option("--batch-bytes", type=int, metavar="N", help="Memory for one batch.  [1048576]"),
        _seconds("--lock-timeout", "Wait for the table.  [60]"),
        _seconds("--source-lag-wait", "Wait for a standby.  [60]"),
        click.option("--jobs", type=click.IntRange(min=1), default=1, metavar="N", help="Tables side by side.  [1]"),
    ),
    json_option,
)


@click.group(
    context_settings={"max_content_width": 110},
    help="Carry changed rows from PostgreSQL into a warehouse, once each.",
    epilog="Exit codes: 0 all is well; 1 verify found differences, or lint something; 2 usage or configuration; 3 authentication; "
    "4 source; 5 target; 6 table busy; 7 schema drift; 8 data; 9 fenced off; 10 internal; 130 after Ctrl-C; "
    "143 after SIGTERM. Of several tables the highest code wins. diagnose: 0 nothing failed; 1 a cause was found; "
    "11 something failed and nothing says why.",
)
@click.version_option(__version__, prog_name="rowferry")
def cli() -> None:
    pass


@cli.command("run", cls=GroupedCommand)
@job_options
@_group(
    "This run",
    click.option("--run-id", metavar="ID", help="Names the run; its tries share it.  [a new one]"),
    click.option("--try-number", type=int, metavar="N", help="Of the run.  [1]"),
    _seconds("--lease-seconds", "A silent run keeps the table.  [120]"),
    click.option("--verify", is_flag=True, default=None, help="Compare both sides before the commit."),
)
def run_command(file: str | None, jobs: int, as_json: bool, **settings: Any) -> int:
    """Load what has changed since the last load of each table.

    Tables are named by --table or stand in FILE (YAML or JSON); with both, --table picks from FILE.
    """
    settings["run_id"] = settings["run_id"] or f"manual__{uuid.uuid4()}"
    return _each(_jobs(file, **settings), jobs, as_json, lambda job, progress: job.run(progress), _print_report)


@cli.command("plan", cls=GroupedCommand)
@job_options
def plan_command(file: str | None, jobs: int, as_json: bool, **settings: Any) -> int:
    """Print every statement that a run would send, and why, without sending it."""
    return _each(_jobs(file, **settings), jobs, as_json, lambda job, _: job.plan(), _print_plan)


@cli.command("verify", cls=GroupedCommand)
@job_options
def verify_command(file: str | None, jobs: int, as_json: bool, **settings: Any) -> int:
    """Compare each target table, as of its newest load, with its source."""
    return _each(_jobs(file, **settings), jobs, as_json, lambda job, _: verify(job), _print_verification)


@cli.group("state")
def state_group() -> None:
    """What the target knows about the loads of a table."""


@state_group.command("show")
@_options(target_option, table_option, name_options, connection_options, json_option)
@click.option("--limit", type=click.IntRange(min=1), default=20, metavar="N", help="Newest loads of each table; no others are read.  [20]")
def state_show(tables: Sequence[str], limit: int, as_json: bool, **settings: Any) -> None:
    """Print the loads of each table, newest first; without --table those of all that the target knows."""
    for table, loads in _loads(tables, {**settings, "newest": limit}):
        if as_json:
            _print_json({"table": table, "loads": [load.to_dict() for load in loads]})
        else:
            terminal.print_loads(table, loads)


@state_group.command("reset")
@_options(target_option, table_option, name_options, connection_options, json_option)
@click.option("--yes", is_flag=True, help="Do not ask.")
def state_reset(tables: Sequence[str], yes: bool, as_json: bool, **settings: Any) -> int:
    """Forget the loads of a table: the next run reads all of it. No row of the target is touched."""
    calls = {table: _target_call(table, settings) for table in _required(tables)}
    if not (yes or _confirmed(f"Forget the loads of {', '.join(calls)}?")):
        _complain("nothing was reset: say --yes")
        return USAGE
    for table, call in calls.items():
        load_id = call.execute("reset")["load_id"]
        if as_json:
            _print_json({"table": table, "load_id": load_id})
        else:
            print(f"{table}: reset by load {load_id}; the next run reads the whole table")
    return 0


@cli.command("doctor")
@_options(source_option, target_option, table_option, connection_options, json_option)
@click.option("--limit", type=click.IntRange(min=1), default=50, metavar="N", help="Largest tables shown.  [50]")
@click.option("--xmin-max-bytes", type=int, metavar="N", help="auto: larger tables by cursor.  [10737418240]")
@click.option(
    "--read-rate", type=float, default=BYTES_PER_SECOND / 1e6, metavar="MB/S", help="Of the source's disk.  [200]"
)
@click.option(
    "--selftest", "tries", is_flag=True, help="Load a table into a schema of its own on a snowflake:// target, and drop it."
)
def doctor_command(
    tables: Sequence[str], limit: int, read_rate: float, tries: bool, as_json: bool, **settings: Any
) -> None:
    """Say what can be proven about each table and how. Reads only, needs nothing installed."""
    if tries:
        _selftest(tables, as_json, settings)
        return
    if read_rate <= 0:
        raise ConfigurationError("--read-rate must be above 0")
    source = _needed(settings, "source")
    given = {name: value for name, value in settings.items() if value is not None and name != "source"}
    found = doctor(source, tables=tables, limit=limit, bytes_per_second=read_rate * 1e6, **given)
    if as_json:
        _print_json(found.to_dict())
    else:
        terminal.print_checkup(found)


def _selftest(tables: Sequence[str], as_json: bool, settings: dict[str, Any]) -> None:
    source, target = _needed(settings, "source"), _needed(settings, "target")
    given = {n: v for n, v in settings.items() if v is not None and n in ("connect_timeout", "driver", "channel")}
    done = selftest(source, target, tables[0] if tables else None, **given)
    if as_json:
        _print_json(done.to_dict())
    else:
        print("\n".join([f"{done.table} into {done.schema}, through {done.channel.upper()}", *(f"  {step}" for step in done.steps)]))


@cli.command("lint")
@click.argument("paths", nargs=-1, metavar="[PROJECT | FILE]...")
@click.option("--dialect", metavar="NAME", help="postgres, snowflake, duckdb, bigquery, …  [of target/manifest.json or profiles.yml]")
@click.option("--select", metavar="RF01,…", multiple=True, callback=_names, help="Only these rules.  [all]")
@click.option("--ignore", metavar="RF01,…", multiple=True, callback=_names, help="Not these rules.  [none]")
@click.option("--skip-outside", is_flag=True, help="Leave files alone that are in no dbt project, as pre-commit hands them.")
@click.option("--diff", "as_diff", is_flag=True, help="Print all exact fixes as one diff, for patch -p1 in the project.")
@click.option("--jobs", type=click.IntRange(min=1), metavar="N", help="Processes at most, where there are hundreds of files.  [one a processor, up to 4]")
@json_option
def lint_command(
    paths: Sequence[str],
    dialect: str | None,
    select: list[str] | None,
    ignore: list[str] | None,
    skip_outside: bool,
    as_diff: bool,
    jobs: int | None,
    as_json: bool,
) -> int:
    """Say what in a dbt project would fail, or go wrong without failing. Runs neither dbt nor a query.

    PROJECT is a folder with a dbt_project.yml; files and folders below one are looked at alone.  [.]

    A comment `-- noqa: RF01` on a finding's line says that it is meant. Exit codes: 0 nothing found, 1 findings, 2 usage.
    """
    from rowferry.lint import fixes, lint
    from rowferry.lint.processes import processors

    given: dict[str, Any] = {"dialect": dialect, "select": select or (), "ignore": ignore or (), "skip_outside": skip_outside, "jobs": jobs or processors()}
    if as_diff:
        diff = fixes(paths or ["."], **given)
        print(diff, end="")
        return DIFFERENT if diff else 0
    found = lint(paths or ["."], **given)
    for finding in found:
        if as_json:
            _print_json(finding.to_dict())
        else:
            print(terminal.finding_text(finding))
    return DIFFERENT if found else 0


@cli.command("spec")
@click.argument("kind", type=click.Choice(["job", "report"]))
def spec_command(kind: Literal["job", "report"]) -> None:
    """Print the JSON Schema of a job or of a report."""
    print(json.dumps(json.loads(spec(kind)), indent=2))


@cli.command("types")
@click.option("--target", type=click.Choice(list(terminal.TYPE_COLUMNS)), help="One of them alone.  [all]")
@json_option
def types_command(target: str | None, as_json: bool) -> None:
    """Print what becomes of every PostgreSQL type on each target."""
    table = json.loads(type_table())
    if as_json:
        _print_json({"types": [terminal.chosen_type(row, target) for row in table["types"]]})
    else:
        terminal.print_types(table["types"], target)


@cli.command("drift")
@json_option
def drift_command(as_json: bool) -> None:
    """Print what may happen to a schema between two runs, and what --on-schema-change makes of it."""
    table = json.loads(drift_table())
    if as_json:
        _print_json(table)
    else:
        print(terminal.drift_text(table["kinds"]))


@cli.command("diagnose")
@click.argument("place", metavar="FILE|FOLDER|-", required=False)
@click.option("--target-dir", metavar="FOLDER", help="dbt's target directory, inside its project.")
@click.option("--run-results", metavar="FILE", help="dbt's run_results.json.  [in --target-dir]")
@click.option("--manifest", metavar="FILE", help="dbt's manifest.json.  [in --target-dir]")
@_options(target_option, table_option, name_options, connection_options, json_option)
def diagnose_command(place: str | None, as_json: bool, tables: Sequence[str], **given: Any) -> int:
    """Say why a run failed: causes first, what only followed from them below, each with its evidence and its fix.

    Reads a log, - for a pipe, dbt's run_results.json or target directory, or the log folder of an Airflow run.
    Nothing leaves this machine, and no value or secret of a log is printed. Only --target, or --table with ROWFERRY_TARGET, has
    the target asked which of its loads met a change of a table that explains a missing column and the like.
    """
    from rowferry.diagnosis import INSUFFICIENT
    from rowferry.diagnosis.places import diagnose_place

    files = {name: given.pop(name) for name in ("target_dir", "run_results", "manifest")}
    asked = bool(tables) or click.get_current_context().get_parameter_source("target") is ParameterSource.COMMANDLINE
    if place is None and not any(files.values()):
        raise ConfigurationError("nothing to read: name a log, a folder, or - for a pipe, or say --target-dir")
    try:
        text = sys.stdin.buffer.read().decode(errors="replace") if place == "-" else None
        loads: dict[str, Any] = {"target": {"target": _needed(given, "target"), **_said(given)}, "tables": tables} if asked else {}
        found = diagnose_place(place, text, **files, **loads)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot read {getattr(error, 'filename', None) or place or 'what was given'}: {error}") from error
    if as_json:
        for diagnosis in found:
            _print_json(diagnosis.to_dict())
    else:
        print(terminal.diagnoses_text(found))
    if not found:
        return 0
    return NO_EVIDENCE if all(diagnosis.cause == INSUFFICIENT for diagnosis in found) else DIAGNOSED


def _each(
    jobs: Sequence[Job], n_threads: int, as_json: bool, work: Work, show: Callable[[Job, Any], None]
) -> int:
    """Do `work` for each job; the highest exit code wins, and every failing table is named."""
    code, failed = 0, []
    with (
        terminal.progress_display() as progress,
        closing(side_by_side(jobs, work, n_threads, progress)) as outcomes,
    ):
        for outcome in outcomes:
            if outcome.error:
                failed.append(outcome.job.table)
                code = max(code, EXIT_CODES[outcome.error.code])
                _print_failure(outcome, outcome.error, as_json)
                continue
            if isinstance(outcome.value, Verification) and not outcome.value:
                code = max(code, DIFFERENT)
            if as_json:
                _print_json({"table": outcome.job.table, **outcome.value.to_dict()})
            else:
                show(outcome.job, outcome.value)
    if failed and len(jobs) > 1:
        _complain(f"{len(failed)} of {len(jobs)} tables failed: {', '.join(sorted(failed))}")
    return code


def _jobs(file: str | None, tables: Sequence[str], **settings: Any) -> list[Job]:
    """The jobs that the command line asks for; what is typed wins over what the file says."""
    given = {name: value for name, value in settings.items() if value is not None}
    if not file:
        for name in ("source", "target"):
            _needed(given, name)
        return [Job.from_dict({"table": table, **given}) for table in _required(tables)]
    entries = read_entries(file)
    known = [entry.settings["table"] for entry in entries]
    for table in tables:
        if table not in known:
            raise ConfigurationError(f"{file} has no table {table!r}; it has {', '.join(known)}")
    return [entry.job(**given) for entry in entries if not tables or entry.settings["table"] in tables]


def _loads(tables: Sequence[str], settings: Mapping[str, Any]) -> Iterator[tuple[str, list[LoadRecord]]]:
    for table in tables or (None,):
        answer = _target_call(table, settings).execute("state")["loads"]
        loads = [LoadRecord.from_dict(load) for load in answer]
        if table:
            yield table, loads
        else:
            yield from ((name, list(group)) for name, group in groupby(loads, lambda load: load.record["target_table"]))


def _target_call(table: str | None, settings: Mapping[str, Any]) -> Call:
    _needed(settings, "target")
    return Call({"table": table, **settings})


def _required(tables: Sequence[str]) -> Sequence[str]:
    if not tables:
        raise ConfigurationError("no table: say --table, or name a file of tables")
    return tables


def _said(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value is not None}


def _needed(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name)
    if not value:
        raise ConfigurationError(f"no {name}: say --{name} or set ROWFERRY_{name.upper()}")
    return str(value)


def _confirmed(question: str) -> bool:
    return sys.stdin.isatty() and click.confirm(question, err=True)


def _print_report(job: Job, report: Report) -> None:
    print(terminal.report_text(report))
    for warning in report.warnings:
        _complain(f"{job.table}: warning: {warning}")


def _print_plan(_: Job, plan: Plan) -> None:
    print(terminal.plan_text(plan), end="\n\n")


def _print_verification(job: Job, found: Verification) -> None:
    print(terminal.verification_text(job.table, found))


def _print_failure(outcome: Outcome, error: RowferryError, as_json: bool) -> None:
    if as_json:
        _print_json({"table": outcome.job.table, "error": error.to_dict()})
    _complain(f"{outcome.job.table}: {terminal.error_text(error)}")


def _print_json(value: Mapping[str, Any]) -> None:
    print(json.dumps(value, ensure_ascii=False))
