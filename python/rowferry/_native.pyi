"""The C core, as Python sees it. Only `rowferry.job`, `rowferry.rows` and `rowferry.errors` speak to it."""

from collections.abc import Callable
from typing import Any, Literal

__version__: str

class Error(Exception):
    """`args[0]` is a JSON object: code, message, sqlstate, server_message, detail, hint, role, retryable."""

class Job:
    """One job, parsed and validated; may be run several times, by one thread at a time.

    Raises:
        Error: code `configuration`, naming the key.
    """

    def __init__(self, job_json: str) -> None: ...
    def execute(
        self,
        verb: Literal["run", "plan", "verify", "state", "reset", "inspect", "discard"],
        on_progress: Callable[[dict[str, Any]], object] | None = None,
    ) -> str:
        """Runs on a thread of its own with the GIL released; returns JSON.

        A signal of the calling thread, or an exception of `on_progress`, cancels the statements on both
        servers within a second and is raised here.
        """

    def load(self, stream: object, on_progress: Callable[[dict[str, Any]], object] | None = None) -> str:
        """Loads what `stream` brings; otherwise as `execute("run")`.

        `stream` is a capsule of an Arrow stream, or an iterator over capsules: an `arrow_schema` as the first item,
        streams, or pairs of schema and array. It is asked on a thread of the core's.
        """

    def cancel(self) -> None:
        """May be called by any thread, more than once, before or during `execute`, which then raises."""

class Read:
    """A table on its way into Arrow batches, read by a thread of the core. May be used from any thread.

    Raises:
        Error: code `configuration`, naming the key.
    """

    def __init__(self, job_json: str) -> None:
        """`job_json` is a job that needs no target. Begins at once."""

    def open(self) -> str:
        """Waits until the table is locked and its columns are known; returns `{"columns": [{name, type, arrow, nullable}, …]}`.

        A signal of the main thread cancels, and is raised here.
        """

    def stream(self) -> object:
        """The rows, as a capsule of an `ArrowArrayStream`; once, after `open`. It outlives this object."""

    def schema(self) -> object:
        """Their schema, as a capsule of an `ArrowSchema`; after `open`."""

    def cancel(self) -> None:
        """Gives up what was not taken yet, here and on the server."""

    def close(self) -> None:
        """The same, and waits until the session is gone."""

    def ended(self) -> bool:
        """Whether nothing more is read."""

    def error(self) -> str | None:
        """What ended the reading before its last row was taken: JSON as of `Error`."""

def spec(kind: Literal["job", "report"]) -> str:
    """A JSON Schema, draft 2020-12."""

def drift_table() -> str:
    """What may happen to a schema between two runs, and what each policy does then, as JSON: `{"kinds": [{"kind": "column_added", …}, …]}`."""

def type_table() -> str:
    """The one table of types: a JSON object whose "types" are objects of texts and nulls.

    "postgres" is the type at the source, "sent_as" what it is cast to there before it is decoded; "arrow", "duckdb",
    "snowflake" and "to_postgres" are what it becomes, and "note" and "snowflake_note" are what a reader of columns should know.
    """
