"""The last task of a DAG, which says how the run really ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseOperator

from airflow_rowferry import diagnosis, silence
from airflow_rowferry.hooks import connection_uri
from airflow_rowferry.operators import PostgresToWarehouseOperator
from rowferry import uri
from rowferry.job import Call

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

__all__ = ["OutcomeOperator", "notify_outcome", "record_error"]

ERROR_KEY = "rowferry_error"
DIAGNOSIS_KEY = "rowferry_diagnosis"
HISTORY_KEY = "rowferry_history"
_MAX_ERROR_CHARS = 1000
_MAX_FAILURES = 10
_MAX_NAMES = 5
_MAX_DOUBTS = 20
_FAILED = ("failed", "upstream_failed")
_FINISHED = ("success", "skipped", "removed", *_FAILED)


class Instance(NamedTuple):
    """A task instance: its task, its place in a mapped task (-1: none), its state."""

    task_id: str
    map_index: int
    state: str | None

    @property
    def name(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"


def notify_outcome(
    *,
    slack_webhook_conn_id: str = "slack_default",
    records_conn_id: str | None = None,
    control_schema: str | None = None,
    task_id: str = "notify_outcome",
    **kwargs: Any,
) -> OutcomeOperator:
    """
    Make the task that says how the run ended; call it after all other tasks of the DAG.

    It is a teardown with every task so far directly upstream, so it waits for each mapped instance and
    each task inside a group, runs whatever happened to them, and leaves the run's own state alone. A
    task of trigger rule ``all_done`` at the end would do neither: as the only leaf it makes a run
    successful in which everything failed.

    To each of those tasks it adds :func:`record_error`, so that it can tell why one failed.

    :param slack_webhook_conn_id: connection of type ``slackwebhook``; where there is none, the outcome is
        written to the task's log only.
    :param records_conn_id: connection of a target. Its load records are read, and tables that fell silent are told of,
        also those that another DAG loads; without it, only this DAG's own runs are compared.
    :param control_schema: where that target keeps its load records, when not in the usual place.
    :param task_id: its name in the DAG.
    :param kwargs: arguments of ``BaseOperator``.
    """
    records = {"records_conn_id": records_conn_id, "control_schema": control_schema}
    notify = OutcomeOperator(task_id=task_id, slack_webhook_conn_id=slack_webhook_conn_id, **records, **kwargs)
    notify.as_teardown()
    others = [task for task in notify.dag.tasks if task.task_id != task_id and not task.is_teardown]
    if others:
        notify.set_upstream(others)
    for task in others:
        task.on_failure_callback = [*_callbacks(task.on_failure_callback), record_error]
    return notify


def record_error(context: Context) -> None:
    """
    Keep the error of a task that failed for good, for :func:`notify_outcome`: its text as XCom ``rowferry_error``, the
    diagnosis of its root cause as ``rowferry_diagnosis``.
    """
    error = context.get("exception")
    if error is not None:
        text = uri.hide(str(error).strip()) or type(error).__name__  # any task's error, and it goes out of Airflow
        context["ti"].xcom_push(key=ERROR_KEY, value=text[:_MAX_ERROR_CHARS])
    if found := diagnosis.of_failure(context["ti"], error):
        context["ti"].xcom_push(key=DIAGNOSIS_KEY, value=diagnosis.as_dict(found[0]))


class OutcomeOperator(BaseOperator):
    """
    Say how the run ended: its outcome, the rows of each table, why tasks failed, and what no task failed for.

    Made by :func:`notify_outcome`, which also places it in the DAG. Pushes a dict: ``outcome``
    (``success``, ``failed`` or ``running``), ``rows_total``, ``tables``, ``failed``, ``not_run`` (by task that did not run,
    the failures because of which), ``diagnosis`` (of the root failure, or None), ``doubts``, ``text``; and what it has to remember for the next run, as XCom ``rowferry_history``.

    :param slack_webhook_conn_id: connection of type ``slackwebhook``. (templated)
    :param records_conn_id: as of :func:`notify_outcome`. (templated)
    :param control_schema: as of :func:`notify_outcome`.
    """

    template_fields: Sequence[str] = ("slack_webhook_conn_id", "records_conn_id")
    ui_color = "#fdebd0"

    def __init__(
        self, *, slack_webhook_conn_id: str, records_conn_id: str | None = None, control_schema: str | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.slack_webhook_conn_id = slack_webhook_conn_id
        self.records_conn_id = records_conn_id
        self.control_schema = control_schema

    def execute(self, context: Context) -> dict[str, Any]:
        ti, dag = context["ti"], context["dag"]
        instances = [i for i in _instances(ti, dag) if i.task_id != self.task_id]
        outcome = _outcome(dag, instances)
        reports = _reports(ti, dag, instances)
        failed = [i for i in instances if i.state == "failed"]
        diagnoses = _diagnoses(ti, failed[:_MAX_FAILURES])
        not_run = _not_run(dag, instances)
        teardowns = [i.name for i in failed if dag.get_task(i.task_id).is_teardown]
        doubts = [*silence.hidden(outcome, [i.name for i in failed], self.task_id, teardowns), *self._compare(ti, reports)]
        doubts += self._compare_records(doubts, reports)
        text = _text(
            headline=_headline(dag.dag_id, context["run_id"], outcome, reports),
            reports=reports,
            errors={i.name: _error(ti, i) for i in failed[:_MAX_FAILURES]},
            diagnoses=diagnoses,
            doubts=doubts,
            n_more=max(0, len(failed) - _MAX_FAILURES),
            not_run=not_run,
        )
        self.log.info("%s", text)
        self._send(text)
        return {
            "outcome": outcome,
            "rows_total": _total(reports),
            "tables": {report["table"]: report["rows_total"] for report in reports},
            "failed": [i.name for i in failed],
            "not_run": not_run,
            "diagnosis": _root(diagnoses.values()),
            "doubts": doubts,
            "text": text,
        }

    def _compare(self, ti: Any, reports: Sequence[Mapping[str, Any]]) -> list[str]:
        """This run's tables against those of earlier runs; an outcome is told also where that cannot be done."""
        try:
            history = ti.xcom_pull(task_ids=self.task_id, key=HISTORY_KEY, include_prior_dates=True) or {}
            ti.xcom_push(key=HISTORY_KEY, value=silence.remember(reports, history))
            return silence.doubts(reports, history)
        except Exception:
            self.log.warning("earlier runs could not be compared with", exc_info=True)
            return []

    def _compare_records(self, told: Sequence[str], reports: Iterable[Mapping[str, Any]]) -> list[str]:
        """The target's tables against all their loads; those that are told of are left out, and so is all where it cannot be read."""
        if not self.records_conn_id:
            return []
        try:
            call = Call({"target": connection_uri(self.records_conn_id), "control_schema": self.control_schema, "application": f"rowferry {self.dag_id}/{self.task_id}", "newest": silence.NEWEST_RECORDS})
            besides = [r["table"] for r in reports if any(text.startswith(f"{r['table']}: ") for text in told)]
            return silence.of_records(call.execute("state")["loads"], datetime.now(timezone.utc), besides)[:_MAX_DOUBTS]
        except Exception as error:
            self.log.warning("the load records of %s could not be read: %s", self.records_conn_id, uri.hide(str(error)))
            return []

    def _send(self, text: str) -> None:
        from airflow.providers.slack.hooks.slack_webhook import SlackWebhookHook

        try:
            hook = SlackWebhookHook(slack_webhook_conn_id=self.slack_webhook_conn_id)
            hook.send(text=text)
        except AirflowNotFoundException:
            self.log.info("there is no connection %r: nothing was sent to Slack", self.slack_webhook_conn_id)


def _callbacks(given: Any) -> list[Any]:
    if not given:
        return []
    return list(given) if isinstance(given, Iterable) else [given]


def _instances(ti: Any, dag: Any) -> list[Instance]:
    """Every task instance of the run, as the metadata database has it now."""
    if hasattr(ti, "get_task_states"):  # Airflow 3, where a task has no database of its own to ask
        states = ti.get_task_states(dag_id=ti.dag_id, run_ids=[ti.run_id]).get(ti.run_id, {})
        return [Instance(*_split(key, dag), _name(state)) for key, state in states.items()]
    return [Instance(i.task_id, i.map_index, _name(i.state)) for i in ti.get_dagrun().get_task_instances()]


def _split(key: str, dag: Any) -> tuple[str, int]:
    """``load_3`` is instance 3 of the mapped task ``load``, unless a task has that very name."""
    task_id, _, index = key.rpartition("_")
    if dag.has_task(key) or not dag.has_task(task_id):
        return key, -1
    return task_id, int(index)


def _name(state: Any) -> str | None:
    return None if state is None else str(getattr(state, "value", state))


def _outcome(dag: Any, instances: Sequence[Instance]) -> str:
    """The state that Airflow will give the run: that of its leaves, teardowns left out."""
    if any(i.state not in _FINISHED for i in instances):
        return "running"
    leaves = {task.task_id for task in dag.tasks if _is_leaf(task, dag)}
    return "failed" if any(i.state in _FAILED for i in instances if i.task_id in leaves) else "success"


def _is_leaf(task: Any, dag: Any) -> bool:
    def counts(t: Any) -> bool:
        return not t.is_teardown or t.on_failure_fail_dagrun

    return counts(task) and not any(counts(dag.get_task(t)) for t in task.downstream_task_ids)


def _reports(ti: Any, dag: Any, instances: Iterable[Instance]) -> list[Mapping[str, Any]]:
    """What the loads of this run pushed, in the order of the DAG's tasks and their map indexes."""
    loaded = sorted(
        (i for i in instances if i.state == "success" and _is_load(dag.get_task(i.task_id))),
        key=lambda i: (i.task_id, i.map_index),
    )
    pulled = (ti.xcom_pull(task_ids=i.task_id, map_indexes=i.map_index) for i in loaded)
    return [report for report in pulled if report]


def _is_load(task: Any) -> bool:
    return issubclass(getattr(task, "operator_class", type(task)), PostgresToWarehouseOperator)


def _error(ti: Any, instance: Instance) -> str:
    error = ti.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index, key=ERROR_KEY)
    return error or "it left no error: killed, or marked failed; its log says more"


def _diagnoses(ti: Any, failed: Iterable[Instance]) -> dict[str, Mapping[str, Any]]:
    """By name of the failed instance its diagnosis, as :func:`record_error` kept it or as its log and state tell; the surest first."""
    pulled = {i.name: _kept(ti, i) or _looked_up(ti, i) for i in failed}
    found = [(name, told) for name, told in pulled.items() if isinstance(told, Mapping)]
    return dict(sorted(found, key=lambda pair: (pair[1]["evidence"] == "insufficient", -pair[1]["confidence"])))


def _kept(ti: Any, instance: Instance) -> Any:
    return ti.xcom_pull(task_ids=instance.task_id, map_indexes=instance.map_index, key=DIAGNOSIS_KEY)


def _looked_up(ti: Any, instance: Instance) -> Mapping[str, Any] | None:
    """The diagnosis of a task whose process could not leave one: killed, lost, or ended from outside."""
    found = diagnosis.of_instance(ti.dag_id, ti.run_id, instance.task_id, instance.map_index)
    return diagnosis.as_dict(found[0]) if found else None


def _not_run(dag: Any, instances: Iterable[Instance]) -> dict[str, list[str]]:
    """By instance that is `upstream_failed` the failed instances above it."""
    by_task: dict[str, list[Instance]] = {}
    for instance in instances:
        by_task.setdefault(instance.task_id, []).append(instance)
    known: dict[str, set[str]] = {}

    def above(task_id: str) -> set[str]:
        if task_id not in known:
            known[task_id] = set()
            for upstream in dag.get_task(task_id).upstream_task_ids:
                states = by_task.get(upstream, ())
                known[task_id] |= {i.name for i in states if i.state == "failed"}
                if any(i.state == "upstream_failed" for i in states):
                    known[task_id] |= above(upstream)
        return known[task_id]

    return {i.name: sorted(above(i.task_id)) for i in instances if i.state == "upstream_failed"}


def _because(not_run: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The instances that did not run, those with the same failures before them in one line."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for name, roots in not_run.items():
        alike.setdefault(tuple(roots), []).append(name)
    for roots, names in alike.items():
        before = f"{_some(roots)} failed" if roots else "something before it failed"
        yield f"Not run, because {before}: {_some(names)}"


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_MAX_NAMES]) + (f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else "")


def _root(diagnoses: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return next((told for told in diagnoses if told["evidence"] != "insufficient"), None)


def _told(diagnosis: Mapping[str, Any]) -> list[str]:
    transient = ", may pass by itself" if diagnosis["transient"] else ""
    node = f"; failed: {diagnosis['node']}" if diagnosis["node"] else ""
    lines = [f"   cause: {diagnosis['title']} ({diagnosis['evidence']}{transient}{node})", f"   fix: {diagnosis['fix']}"]
    return [*lines, *(f"   {line}" for line in (diagnosis["diff"] or "").splitlines())]


def _total(reports: Iterable[Mapping[str, Any]]) -> int:
    return sum(report["rows_total"] for report in reports)


def _missed(report: Mapping[str, Any]) -> str:
    return f"; {report['missed']:,} of them the cursor had missed" if report.get("missed") else ""


def _headline(dag_id: str, run_id: str, outcome: str, reports: Sequence[Mapping[str, Any]]) -> str:
    said = {"success": "succeeded", "failed": "FAILED", "running": "is not finished"}[outcome]
    tables = "1 table" if len(reports) == 1 else f"{len(reports)} tables"
    return f"{dag_id} {said}: {_total(reports):,} rows from {tables} (run {run_id})"


def _text(
    *,
    headline: str,
    reports: Iterable[Mapping[str, Any]],
    errors: Mapping[str, str],
    diagnoses: Mapping[str, Mapping[str, Any]],
    doubts: Iterable[str],
    n_more: int,
    not_run: Mapping[str, Sequence[str]],
) -> str:
    lines = [headline]
    lines += [
        f"• {r['table']}: {r['rows_total']:,} rows ({r['rows_inserted']:,} inserted, {r['rows_updated']:,} updated,"
        f" {r['rows_deleted']:,} deleted; {r['completeness']}{_missed(r)})"
        for r in reports
    ]
    said: dict[tuple[Any, ...], str] = {}
    for name in dict.fromkeys([*diagnoses, *errors]):  # the surest first
        lines.append(f"✗ {name}: {errors[name]}")
        told = diagnoses.get(name)
        if told and told["evidence"] != "insufficient":
            before = said.setdefault((told["cause"], told["title"]), name)
            lines += _told(told) if before == name else [f"   cause: the same as of {before}"]
    lines += [f"? {doubt}" for doubt in doubts]
    if n_more:
        lines.append(f"✗ and {n_more} more")
    lines += _because(not_run)
    return "\n".join(lines)
