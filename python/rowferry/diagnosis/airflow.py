"""What Airflow's logs and task states say beyond one message: what a sensor waited for, who fills a pool, which task failed first.

Text and dicts only; Airflow itself is never imported here. A class of operators is looked into when the process that
asks has it already, as the failed task's own process does.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from difflib import get_close_matches

from rowferry.diagnosis.model import Context, Diagnosis, Line

BASE_ARGUMENTS = tuple(
    "task_id owner email email_on_retry email_on_failure retries retry_delay retry_exponential_backoff max_retry_delay start_date end_date"
    " depends_on_past ignore_first_depends_on_past wait_for_past_depends_before_skipping wait_for_downstream dag params default_args"
    " priority_weight weight_rule queue pool pool_slots sla execution_timeout on_execute_callback on_failure_callback on_success_callback"
    " on_retry_callback on_skipped_callback pre_execute post_execute trigger_rule resources run_as_user map_index_template max_active_tis_per_dag"
    " max_active_tis_per_dagrun executor executor_config do_xcom_push multiple_outputs inlets outlets task_group doc doc_md doc_json doc_yaml"
    " doc_rst logger_name allow_nested_operators render_template_as_native_obj poke_interval timeout soft_fail mode exponential_backoff max_wait"
    " silent_fail never_fail deferrable retry_policy".split()
)
"""Arguments of every operator and sensor of Airflow 2.10 to 3.3."""

_OWN_ARGUMENTS: Mapping[str, str] = {
    "BashOperator": "bash_command env append_env output_encoding skip_on_exit_code cwd output_processor",
    "PythonOperator": "python_callable op_kwargs op_args templates_dict templates_exts show_return_value_in_logs",
    "SQLExecuteQueryOperator": "sql autocommit parameters handler output_processor split_statements return_last show_return_value_in_logs conn_id"
    " database hook_params retry_on_failure",
    "ExternalTaskSensor": "external_dag_id external_task_id external_task_ids external_task_group_id allowed_states skipped_states failed_states"
    " execution_delta execution_date_fn check_existence",
    "TriggerDagRunOperator": "trigger_dag_id trigger_run_id conf logical_date execution_date reset_dag_run wait_for_completion allowed_states"
    " failed_states skip_when_already_exists",
    "FileSensor": "fs_conn_id filepath recursive trigger_kwargs",
    "PostgresToWarehouseOperator": "source_conn_id target_conn_id table source_name target_table keys columns as_text where capture cursor_columns"
    " open_transactions clock_margin lookback max_hold wait_for_open_transactions xmin_max_bytes audit sweep on_delete since until window_optional"
    " connections mode on_duplicate batch_bytes lock_timeout lease_seconds source_lag_wait connect_timeout control_schema driver channel spool_dir"
    " spool_file_bytes verify",
    "LoadCheckOperator": "reports min_rows may_be_empty min_completeness",
}

_REMEDIES = (
    (r"generator|map|filter|zip|dict_(?:keys|values|items)|range", "Return list(…) of it."),
    (r"(?:\w*\.)*(?:DataFrame|Series|GroupBy|Table|RecordBatch)\b|ndarray", "Write it to a file or a table, and return the path or the name."),
    (r"(?:\w*\.)*(?:connection|Connection|Engine|Session|cursor|Cursor|Client|Hook)\b", "Open it in the task that uses it; pass its conn_id."),
    (r"(?:\w*\.)*(?:datetime|date|Timestamp)\b", "Return its isoformat()."),
    (r"(?:\w*\.)*Decimal\b", "Return str() of it."),
    (r"(?:\w*\.)*(?:set|frozenset)\b", "Return sorted() of it."),
    (r"(?:\w*\.)*(?:TextIOWrapper|BufferedReader|bytes)\b", "Return the path of a file."),
)
_POKE = re.compile(r"^Poking(?: for)?:? ?(?P<what>.*)$", re.IGNORECASE)
_FRAME = re.compile(r'^\s*File "(?P<file>[^"]+)", line (?P<line>\d+),? in (?P<name>\S+)')
_RAISED = re.compile(r"^(?P<kind>(?:[\w]+\.)*[A-Z]\w*(?:Error|Exception|Timeout|Failure|Warning|Exit|Interrupt|Missing|NotFound))(?::\s(?P<message>.*))?$")
_LIBRARY = re.compile(r"site-packages|dist-packages|/lib/python\d|<frozen|\bstructlog\b")
_READY = re.compile(r"Pool\(name=(?P<pool>[^)]+)\) with (?P<open>-?\d+) open slots and (?P<ready>\d+) task instances ready")
_CONTEXT = re.compile(r"(?: (?:task_id|dag_id|run_id|ti_id|map_index|try_number)=\S+)+$")
"""What Airflow 3 has behind each message of a task."""
_CALL = re.compile(r"\b(?P<name>\w+)\s*=(?!=)")
_MAP_INDEX = re.compile(r"\bmap_index=(\d+)")


def xcom(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The type in plain words, what to return instead, and the task that returned it."""
    name = next((v for k, v in diagnosis.captured.items() if k.startswith("type")), None)
    if name is None:
        return diagnosis
    name = re.sub(r"\bunusual_prefix_[0-9a-f]{8,}_", "", name)
    task = context.task.get("task_id")
    remedy = next((text for pattern, text in _REMEDIES if re.fullmatch(pattern, name)), None)
    return replace(
        diagnosis,
        title=f"{task or 'A task'} returned or pushed an object of type {name}, which no XCom can hold",
        fix=f"{remedy} {diagnosis.fix}" if remedy else diagnosis.fix,
        node=diagnosis.node or task,
        captured={**{k: v for k, v in diagnosis.captured.items() if not k.startswith("type")}, "type": name},
    )


def unknown_argument(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The nearest argument that there is."""
    wrong, operator = diagnosis.captured.get("argument"), diagnosis.captured.get("operator", "")
    if not wrong:
        return diagnosis
    near = get_close_matches(wrong, sorted(_arguments(operator, context)), n=1, cutoff=0.6)
    return replace(diagnosis, fix=f"Did you mean {near[0]}? {diagnosis.fix}") if near else diagnosis


def missing_argument(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The argument that was given under a name much like it, in the line of the DAG file that the traceback shows."""
    missing = diagnosis.captured.get("argument")
    if not missing:
        return diagnosis
    code, line = _own_code(context.lines, before=diagnosis.lines[0].number if diagnosis.lines else None)
    given = [found["name"] for found in _CALL.finditer(code)]
    near = get_close_matches(missing, [name for name in given if name not in BASE_ARGUMENTS], n=1, cutoff=0.6)
    if not near:
        return diagnosis
    lines = (*(Line(n.number, n.text) for n in (line,) if n is not None), *diagnosis.lines)
    return replace(diagnosis, fix=f"{near[0]} is written there, {missing} is meant: correct the name.", lines=lines)


def sensor(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """What the sensor waited for, and how often it looked."""
    pokes = [(line, found["what"].strip(" .'\"")) for line in context.lines if (found := _POKE.match(line.text))]
    named = [(line, re.sub(r" \.\.\.$", "", _CONTEXT.sub("", what))) for line, what in pokes if what]
    notes = [f"it looked {len(pokes)} times"] if pokes else []
    known = [str(sentence) for sentence in context.task.get("last_came") or ()]
    if named:
        last, what = named[-1]
        return replace(
            diagnosis,
            title=f"A sensor waited too long for {what}",
            lines=(last, *diagnosis.lines),
            notes=(*diagnosis.notes, *notes, *(known or ["when that last came is not in this log"])),
            captured={**diagnosis.captured, "waited_for": what},
        )
    return replace(diagnosis, notes=(*diagnosis.notes, *notes, *(known or ["what it waited for is in the sensor's code, not in this log"])))


def pool(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """How many tasks wait for the pool, and whose."""
    name = diagnosis.captured.get("pool")
    waiting = [found for line in context.lines if (found := _READY.search(line.text)) and found["pool"] == name]
    if not waiting:
        return diagnosis
    most = max(waiting, key=lambda found: int(found["ready"]))
    notes = [f"up to {most['ready']} tasks were ready at once, with {most['open']} slots open: the pool lacks as many as the difference"]
    holders = sorted({found[1] for line in context.lines if (found := re.search(r"<TaskInstance: ([\w.-]+) ", line.text)) and "queued" in line.text})
    if holders:
        notes.append(f"sent to run in this log, and so holding slots or waiting for a worker: {', '.join(holders[:10])}")
    return replace(diagnosis, notes=(*diagnosis.notes, *notes))


def connections(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """Fan-out against the server's limit."""
    indexes = {int(found) for line in context.lines for found in _MAP_INDEX.findall(line.text)}
    at = context.task.get("map_index")
    n_mapped = max([*indexes, at if isinstance(at, int) else -1], default=-1) + 1
    if n_mapped < 2 and not context.task:
        return diagnosis
    fan_out = f"at least {n_mapped} mapped instances ran side by side; " if n_mapped >= 2 else ""
    note = (
        f"{fan_out}tasks at once times connections of each must stay below max_connections less the reserved ones (show max_connections;"
        " show superuser_reserved_connections): an Airflow pool of that many slots keeps it so"
    )
    return replace(diagnosis, notes=(*diagnosis.notes, note))


def raised(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The exception of a task, and the line of its own code that raised it: for a failure that no rule knows."""
    error = next(((line, found) for line in reversed(context.lines) if (found := _RAISED.match(line.text))), None)
    if error is None:
        return diagnosis
    line, found = error
    code, place = _own_code(context.lines, before=line.number + 1)
    shown = tuple(n for n in (place, line) if n is not None)
    where = _FRAME.match(place.text) if place is not None else None
    at = f" in {where['file']}, line {where['line']}" if where else ""
    notes = ("a value that was expected is None: did the task whose XCom it is push one?",) if "xcom_pull" in code and "NoneType" in line.text else ()
    return replace(
        diagnosis,
        title=f"{context.task.get('task_id') or 'A task'} raised {found['kind'].rpartition('.')[2]}{at}",
        lines=(*shown, *(old for old in diagnosis.lines if old not in shown)),
        notes=(*diagnosis.notes, *notes),
    )


def states(context: Context, found: Sequence[Diagnosis]) -> Iterator[Diagnosis]:
    """The task that failed first, where the states of a run's tasks are known: from the task, or from a table of them."""
    known, lines, times = _states(context)
    failed = [task for task, state in known.items() if state == "failed"]
    not_run = [task for task, state in known.items() if state == "upstream_failed"]
    if not failed or any(d.evidence != "insufficient" for d in found):
        return
    ended = times.get(failed[0], ("", "~"))[1]
    hidden = [task for task, state in known.items() if state == "success" and times.get(task, ("", ""))[0] >= ended and not not_run]
    names = ", ".join(failed[:5])
    yield Diagnosis(
        cause="failed_leaf" if hidden else "first_failed_task",
        title=f"{names} failed, and what came after it ran all the same" if hidden else f"{names} failed; what did not run, did not because of that",
        evidence="hypothesis" if hidden else "confirmed",
        confidence=0.6 if hidden else 0.8,
        lines=tuple(lines[task] for task in failed if task in lines),
        fix=(
            f"Look whether the run was a success: where a task of trigger rule all_done is the only leaf, it hides {failed[0]}. Make it a teardown."
            if hidden
            else f"Diagnose the log of {failed[0]}."
        ),
        node=failed[0],
        consequences=tuple(f"{task} did not run" for task in not_run),
    )


def died(context: Context, found: Sequence[Diagnosis]) -> Iterator[Diagnosis]:
    """A task that is known to have failed, of which nothing says why: its process ended before it could."""
    from rowferry.diagnosis.rules import named_rule

    task = context.task
    if task.get("state") != "failed" or task.get("error") is not None or found or any(_RAISED.match(line.text) for line in context.lines):
        return
    named = {"node": str(task.get("task_id") or "")}
    said = [line for line in context.lines if line.text and not line.text.startswith("::")][-1:]
    yield named_rule("worker_died").diagnosis(named, said, ("what it said last stands above" if said else "its log cannot be read here: only its state is known",))


def _states(context: Context) -> tuple[dict[str, str], dict[str, Line], dict[str, tuple[str, str]]]:
    """By task its state, where that stands, and its start and end; of a table as `airflow tasks states-for-dag-run` prints it."""
    given = context.task.get("states")
    if isinstance(given, Mapping):
        return {str(task): str(state) for task, state in given.items()}, {}, {}
    columns: list[str] = []
    known: dict[str, str] = {}
    lines: dict[str, Line] = {}
    times: dict[str, tuple[str, str]] = {}
    for line in context.lines:
        cells = [cell.strip() for cell in re.split(r"\s*\|\s*|\s{2,}", line.text.strip().strip("|").strip())]
        if "task_id" in cells and "state" in cells:
            columns = cells
        elif columns and len(cells) in (len(columns), len(columns) - 1):
            # A run without a logical date leaves that column empty, and with it the cell.
            row = dict(zip(columns if len(cells) == len(columns) else [c for c in columns if c not in ("logical_date", "execution_date")], cells, strict=False))
            if row.get("task_id") and row.get("state"):
                known[row["task_id"]], lines[row["task_id"]] = row["state"], line
                times[row["task_id"]] = row.get("start_date", ""), row.get("end_date", "~")
    return known, lines, times


def _own_code(lines: Sequence[Line], before: int | None) -> tuple[str, Line | None]:
    """The last piece of code in a traceback that is no library's, and its `File` line."""
    numbered = [line for line in lines if before is None or line.number < before]
    for n in range(len(numbered) - 1, -1, -1):
        frame = _FRAME.match(numbered[n].text)
        if frame and not _LIBRARY.search(frame["file"]):
            after = "\n".join(line.text for line in _until_frame(numbered[n + 1 :]))
            return after, numbered[n]
    return "", None


def _until_frame(lines: Iterable[Line]) -> Iterator[Line]:
    for line in lines:
        if _FRAME.match(line.text) or _RAISED.match(line.text):
            return
        yield line


def _arguments(operator: str, context: Context) -> set[str]:
    """The arguments of a class of operators, from the class itself where this process has it."""
    known = {*BASE_ARGUMENTS, *_OWN_ARGUMENTS.get(operator, "").split()}
    for module in list(sys.modules.values()) if "airflow" in sys.modules else ():
        made = getattr(module, "__dict__", {}).get(operator)
        if inspect.isclass(made):
            for base in inspect.getmro(made):
                init = base.__dict__.get("__init__")
                known |= set(inspect.signature(init).parameters) if inspect.isfunction(init) else set()
            break
    return known - {"self", "args", "kwargs"}
