"""Where code that knows more than a message goes on from it.

`ENRICHERS` names, for a cause of rules.yaml, the functions that get the diagnosis and return it with a diff, a better
fix or notes. `DETECTORS` names functions that find what no line of a log says: they get the context and the
diagnoses so far, and return diagnoses of their own. Both are imported when they are needed, and not before; one that
fails leaves the diagnosis as it was, with a note.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib import import_module

from rowferry.diagnosis.model import Context, Diagnosis

Enricher = Callable[[Diagnosis, Context], Diagnosis]
Detector = Callable[[Context, Sequence[Diagnosis]], Iterable[Diagnosis]]

ENRICHERS: dict[str, tuple[str, ...]] = {
    "connection_exhaustion": ("rowferry.diagnosis.airflow:connections",),
    "dbt_contract": ("rowferry.diagnosis.dbt_depth:contract",),
    "dbt_cycle": ("rowferry.diagnosis.dbt_depth:cycle",),
    "dbt_node_disabled": ("rowferry.diagnosis.dbt_depth:unknown_name",),
    "dbt_ref_not_found": ("rowferry.diagnosis.dbt_depth:unknown_name",),
    "dbt_schema_out_of_sync": ("rowferry.diagnosis.dbt_depth:changed_columns",),
    "dbt_test_failed": ("rowferry.diagnosis.dbt_depth:failed_test",),
    "dbt_undefined_macro": ("rowferry.diagnosis.dbt_depth:unknown_name",),
    "dbt_undefined_var": ("rowferry.diagnosis.dbt_depth:unknown_name",),
    "division_by_zero": ("rowferry.diagnosis.division_by_zero:enrich",),
    "duplicate_merge_keys": ("rowferry.diagnosis.dbt_depth:duplicate_keys",),
    "insufficient_evidence": ("rowferry.diagnosis.airflow:raised",),
    "missing_column": ("rowferry.diagnosis.dbt_depth:missing_column",),
    "operator_argument_missing": ("rowferry.diagnosis.airflow:missing_argument",),
    "operator_argument_unknown": ("rowferry.diagnosis.airflow:unknown_argument",),
    "pool_exhausted": ("rowferry.diagnosis.airflow:pool",),
    "python_error": ("rowferry.diagnosis.airflow:raised",),
    "sensor_timeout": ("rowferry.diagnosis.airflow:sensor",),
    "unique_violation": ("rowferry.diagnosis.dbt_depth:duplicate_keys",),
    "xcom_not_serializable": ("rowferry.diagnosis.airflow:xcom",),
}
"""cause → `module:function`, in the order in which they are called."""

DETECTORS: tuple[str, ...] = ("rowferry.diagnosis.airflow:states", "rowferry.diagnosis.airflow:died")
"""`module:function`, in the order in which they are called."""


def enrich(diagnosis: Diagnosis, context: Context) -> Diagnosis:
    """The diagnosis, deepened by what its cause's enrichers find."""
    for name in ENRICHERS.get(diagnosis.cause, ()):
        try:
            enricher: Enricher = _load(name)
            diagnosis = enricher(diagnosis, context)
        except Exception as error:  # a diagnosis without its depth is still one
            diagnosis = replace(diagnosis, notes=(*diagnosis.notes, _failed(name, error)))
    return diagnosis


def detect(context: Context, found: Sequence[Diagnosis]) -> list[Diagnosis]:
    """What the detectors find beyond `found`."""
    more: list[Diagnosis] = []
    for name in DETECTORS:
        try:
            detector: Detector = _load(name)
            more += detector(context, [*found, *more])
        except Exception:  # as above; without a diagnosis there is nowhere to say it
            continue
    return more


def _load(name: str) -> Callable:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)


def _failed(name: str, error: Exception) -> str:
    if isinstance(error, ModuleNotFoundError):
        return f'not looked into further: {error.name} is not installed; pip install "rowferry[diagnose]"'
    return f"{name.partition(':')[2]} could not look into it: {type(error).__name__}: {error}"
