"""rowferry carries changed rows from PostgreSQL into a warehouse, once each, and can prove it.

>>> import rowferry
>>> report = rowferry.run({"source": "postgresql:///shop", "target": "postgresql:///dwh", "table": "orders"})
>>> report.this_try.inserted, report.completeness
(200000, 'proven')

`Job` holds the settings, `Report` the outcome, `rowferry.errors` the ways to fail. `rowferry.doctor` looks
at a source and says what could be proven about it. `rowferry.load` merges what is no table: a frame, an API's answers.
"""

from rowferry._native import __version__, spec, type_table
from rowferry.checkup import Checkup, doctor
from rowferry.errors import RowferryError
from rowferry.job import Job, run, verify
from rowferry.streams import load
from rowferry.report import Counts, LoadRecord, Plan, Report, Verification

__all__ = [
    "Checkup",
    "Counts",
    "Job",
    "LoadRecord",
    "Plan",
    "Report",
    "RowferryError",
    "Verification",
    "__version__",
    "doctor",
    "load",
    "run",
    "spec",
    "type_table",
    "verify",
]
