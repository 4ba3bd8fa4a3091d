"""rowferry carries changed rows from PostgreSQL into a warehouse, once each, and can prove it.

>>> import rowferry
>>> report = rowferry.run({"source": "postgresql:///shop", "target": "postgresql:///dwh", "table": "orders"})
>>> report.this_try.inserted, report.completeness
(200000, 'proven')

`Job` holds the settings, `Report` the outcome, `rowferry.errors` the ways to fail. `rowferry.doctor` looks
at a source and says what could be proven about it. `rowferry.load` merges what is no table: a frame, an API's answers.
`rowferry.read` gives a table's rows to pyarrow, polars, duckdb or pandas. `rowferry.diagnose` says why a run failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rowferry._native import __version__, drift_table, spec, type_table
from rowferry.checkup import Checkup, SelfTest, doctor, selftest
from rowferry.errors import RowferryError
from rowferry.job import Job, run, verify
from rowferry.report import Counts, Drift, LoadRecord, Plan, Report, Verification
from rowferry.rows import Column, Rows, read
from rowferry.streams import load

if TYPE_CHECKING:
    from rowferry.diagnosis import Diagnosis


def diagnose(*given: Any, **named: Any) -> list[Diagnosis]:
    """Say why something failed: `rowferry.diagnosis.diagnose`, imported when it is called."""
    from rowferry import diagnosis

    return diagnosis.diagnose(*given, **named)


__all__ = [
    "Checkup",
    "Column",
    "Counts",
    "Drift",
    "Job",
    "LoadRecord",
    "Plan",
    "Report",
    "RowferryError",
    "Rows",
    "SelfTest",
    "Verification",
    "__version__",
    "diagnose",
    "doctor",
    "drift_table",
    "load",
    "read",
    "run",
    "selftest",
    "spec",
    "type_table",
    "verify",
]
