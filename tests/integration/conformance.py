"""The sinks of the conformance suite: for each what makes a target, looks into it, and does what somebody else might do there.

A new sink is a class here and a place in SINKS; the sentences of `test_conformance.py` then hold for it, but for what its
`cannot` names.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, LiteralString
from uuid import UUID

import duckdb
import psycopg
import pytest
from account import REAL, Emulator, connect
from mariadb_server import MariaDb
from route import until

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server
from rowferry.job import document

WIDE = os.environ.get("CONFORMANCE") == "full"
"""Every capture, and not only those in which sinks are known to differ."""

TOUCH = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END $$
"""
ROWS = 200
KEPT = "id, n, note, day, tags, updated_at"
"""The columns by which both sides are compared."""


class Sink:
    """A target of which every test has tables of its own.

    Attributes:
        name: Of the sink, as pytest shows it.
        channel: As reports tell it.
        settings: Of every job into it.
        cannot: What this sink cannot do → why; the one place that says so.
        types: Of the columns of `Pair.make_items`, as `columns` gives them.
        versions: Of PostgreSQL as a source, all of them when the product is wide.
    """

    name: ClassVar[str]
    channel: ClassVar[str]
    settings: ClassVar[dict[str, Any]] = {}
    cannot: ClassVar[dict[str, str]] = {}
    types: ClassVar[dict[str, str]]
    versions: ClassVar[tuple[int, ...]] = (18,)
    uri: str

    def label(self, table: str) -> str:
        """How records name the table."""
        return f"raw_postgres.{table}"

    def __init__(self, server: Server, folder: Path, fixture: Callable[[str], Any]) -> None:
        """A target for the tests of one source: `server` has the source, `fixture` gives what pytest's of that name does."""

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        raise NotImplementedError

    def change(self, sql: str) -> None:
        """What somebody else does to the target."""
        raise NotImplementedError

    def columns(self, table: str) -> dict[str, str]:
        """Names and types in order, with NOT NULL where it is said; empty when there is no table."""
        raise NotImplementedError

    def is_left(self) -> bool:
        """Whether something of a run is still open."""
        raise NotImplementedError

    def close(self) -> None:
        """Called once, after the last test."""

    def needs(self, what: str) -> None:
        """Skip the test where this sink cannot do `what`."""
        if what in self.cannot:
            pytest.skip(f"{self.name}: {self.cannot[what]}")

    def loads(self, table: str) -> list[dict[str, Any]]:
        """The table's load records, oldest first."""
        listed = ("load_id", "kind", "run_id", "try_number", "increment", "completeness", "snapshot", "extracted_at", "committed_at", "rows_read", "rows_inserted")
        if not self._has_records():
            return []
        rows = self.query(f"SELECT {', '.join(listed)} FROM _rowferry.loads WHERE target_table = '{self.label(table)}' ORDER BY load_id")
        return [dict(zip(listed, row, strict=True)) for row in rows]

    def everything(self, table: str) -> tuple[list[str], list[dict[str, Any]]] | None:
        """The table's rows and its load records; None when there is nothing."""
        rows = self.query(f"SELECT * FROM raw_postgres.{table}") if self.columns(table) else []
        return (sorted(map(repr, rows)), self.loads(table)) if self.columns(table) or self.loads(table) else None

    def _has_records(self) -> bool:
        return self.query("SELECT count(*) FROM information_schema.tables WHERE table_schema = '_rowferry' AND table_name = 'loads'") == [(1,)]


class Postgres(Sink):
    name, channel = "postgres", "libpq"
    versions: ClassVar[tuple[int, ...]] = (15, 18)
    types: ClassVar[dict[str, str]] = {
        "id": "bigint NOT NULL",
        "n": "numeric(12,2)",
        "note": "text NOT NULL",
        "day": "date",
        "tags": "integer[]",
        "created_at": "timestamp with time zone",
        "updated_at": "timestamp with time zone",
        "_extracted_at": "timestamp with time zone NOT NULL",
        "_load_id": "bigint NOT NULL",
        "_deleted_at": "timestamp with time zone",
    }

    def __init__(self, server: Server, folder: Path, fixture: Callable[[str], Any]) -> None:
        self._server, self._database = server, f"sink_{os.getpid()}"
        self.uri = server.create_database(self._database)
        self._session = psycopg.connect(self.uri, autocommit=True)
        self._session.execute("SET timezone = 'UTC'")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        return self._session.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        self._session.execute(sql)

    def columns(self, table: str) -> dict[str, str]:
        listed = (
            "SELECT attname, format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END FROM pg_attribute"
            f" WHERE attrelid = to_regclass('raw_postgres.{table}') AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
        )
        return dict(self.query(listed))

    def is_left(self) -> bool:
        ours = "datname = current_database() AND application_name LIKE 'rowferry%'"
        return self.query(f"SELECT count(*) FROM pg_stat_activity WHERE {ours}") != [(0,)]

    def close(self) -> None:
        self._session.close()
        self._server.admin(f"DROP DATABASE {self._database} WITH (FORCE)")


class Duckdb(Sink):
    name, channel = "duckdb", "adbc"
    versions: ClassVar[tuple[int, ...]] = (15, 18)
    types: ClassVar[dict[str, str]] = {
        "id": "BIGINT NOT NULL",
        "n": "DECIMAL(12,2)",
        "note": "VARCHAR NOT NULL",
        "day": "DATE",
        "tags": "INTEGER[]",
        "created_at": "TIMESTAMP WITH TIME ZONE",
        "updated_at": "TIMESTAMP WITH TIME ZONE",
        "_extracted_at": "TIMESTAMP WITH TIME ZONE NOT NULL",
        "_load_id": "BIGINT NOT NULL",
        "_deleted_at": "TIMESTAMP WITH TIME ZONE",
    }

    def __init__(self, server: Server, folder: Path, fixture: Callable[[str], Any]) -> None:
        self._path = folder / "sink.duckdb"
        self.uri = f"duckdb://{self._path}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        with duckdb.connect(str(self._path), read_only=True) as session:
            session.execute("SET timezone = 'UTC'")
            return session.execute(sql).fetchall()

    def change(self, sql: str) -> None:
        with duckdb.connect(str(self._path)) as session:
            session.execute(sql)

    def columns(self, table: str) -> dict[str, str]:
        listed = (
            "SELECT column_name, data_type || CASE WHEN is_nullable THEN '' ELSE ' NOT NULL' END FROM duckdb_columns()"
            f" WHERE schema_name = 'raw_postgres' AND table_name = '{table}' ORDER BY column_index"
        )
        return dict(self.query(listed))

    def is_left(self) -> bool:
        return any(link.is_symlink() and str(link.readlink()) == str(self._path) for link in Path("/proc/self/fd").iterdir())


class Snowflake(Sink):
    """Snowflake's dialect through its ADBC driver: on the emulator, or on the account that ROWFERRY_TEST_SNOWFLAKE names."""

    name, channel = "snowflake", "adbc"
    settings: ClassVar[dict[str, Any]] = {"target_table": "raw_postgres.{table}", "lease_seconds": 3}
    cannot: ClassVar[dict[str, str]] = {
        "enforce keys": "Snowflake enforces no key but NOT NULL",
        "another type of a key": "the emulator changes no type of a key",
        "drop a column before the key": "the emulator drops no column that stands before one of the key",
        "apostrophes": "the emulator makes no column whose name holds an apostrophe",
    }
    types: ClassVar[dict[str, str]] = {
        "id": "NUMBER NOT NULL",
        "n": "NUMBER",
        "note": "TEXT NOT NULL",
        "day": "DATE",
        "tags": "ARRAY",
        "created_at": "TIMESTAMP_TZ",
        "updated_at": "TIMESTAMP_TZ",
        "_extracted_at": "TIMESTAMP_TZ NOT NULL",
        "_load_id": "NUMBER NOT NULL",
        "_deleted_at": "TIMESTAMP_TZ",
    }

    def __init__(self, server: Server, folder: Path, fixture: Callable[[str], Any]) -> None:
        self.emulator = None if REAL else Emulator()
        self.uri = REAL or self.emulator.uri
        self._session = connect(self.uri)

    def label(self, table: str) -> str:
        return f"raw.raw_postgres.{table}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        if "raw_postgres." in sql and not self._has_schema("raw_postgres"):
            return []
        return [tuple(map(_unpacked, row)) for row in self._session.cursor().execute(sql).fetchall()]

    def change(self, sql: str) -> None:
        self._session.cursor().execute(sql)

    def columns(self, table: str) -> dict[str, str]:
        listed = (
            "SELECT lower(column_name), data_type || IFF(is_nullable = 'NO', ' NOT NULL', '') FROM information_schema.columns"
            f" WHERE table_schema = 'RAW_POSTGRES' AND table_name = '{table.upper()}' ORDER BY ordinal_position"
        )
        return {name: "ARRAY" if name == "tags" and kind == "VARIANT" else kind for name, kind in self.query(listed)}

    def is_left(self) -> bool:
        return False  # what a dead run left goes with its lease and its session

    def close(self) -> None:
        self._session.close()
        if self.emulator:
            self.emulator.close()

    def everything(self, table: str) -> tuple[list[str], list[dict[str, Any]]] | None:
        found = super().everything(table)
        return None if found == ([], []) else found

    def _has_records(self) -> bool:
        return self._has_schema("_rowferry")

    def _has_schema(self, name: str) -> bool:
        return self._session.cursor().execute(f"SELECT 1 FROM information_schema.schemata WHERE schema_name = '{name.upper()}'").fetchall() != []


def _unpacked(value: Any) -> Any:
    """Snowflake's connector gives an ARRAY as JSON; a uuid is its text there."""
    if not isinstance(value, str):
        return value
    if re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", value):
        return UUID(value)
    return json.loads(value) if value.startswith("[") else value


class Psqlodbc(Postgres):
    """PostgreSQL as any server behind ODBC is."""

    name, channel = "psqlodbc", "odbc"
    versions: ClassVar[tuple[int, ...]] = (18,)

    def __init__(self, server: Server, folder: Path, fixture: Callable[[str], Any]) -> None:
        super().__init__(server, folder, fixture)
        self.uri = f"odbc:Driver={driver_library('psqlodbcw.so')};Server=127.0.0.1;Port={server.port};Database={self._database};UID=postgres"

    def is_left(self) -> bool:
        return self.query("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()") != [(0,)]


class Mariadb(Sink):
    name, channel = "mariadb", "odbc"
    types: ClassVar[dict[str, str]] = {
        "id": "bigint(20) NOT NULL",
        "n": "decimal(12,2)",
        "note": "longtext NOT NULL",
        "day": "date",
        "tags": "longtext",
        "created_at": "datetime(6)",
        "updated_at": "datetime(6)",
        "_extracted_at": "datetime(6) NOT NULL",
        "_load_id": "bigint(20) NOT NULL",
        "_deleted_at": "datetime(6)",
    }

    def __init__(self, server: Server, folder: Path, fixture: Callable[[str], Any]) -> None:
        self._server: MariaDb = fixture("mariadb")
        self._server.admin("DROP SCHEMA IF EXISTS raw_postgres", "DROP SCHEMA IF EXISTS _rowferry")
        self.uri = self._server.uri()
        self._session = self._server.connect()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        with self._session.cursor() as cursor:
            cursor.execute(_without_offsets(sql))
            return [tuple(map(read_value, row)) for row in cursor.fetchall()]

    def change(self, sql: str) -> None:
        with self._session.cursor() as cursor:
            cursor.execute(_without_offsets(sql))

    def columns(self, table: str) -> dict[str, str]:
        listed = (
            "SELECT column_name, CONCAT(column_type, CASE is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE '' END) FROM information_schema.columns"
            f" WHERE table_schema = 'raw_postgres' AND table_name = '{table}' ORDER BY ordinal_position"
        )
        return dict(self.query(listed))

    def everything(self, table: str) -> tuple[list[str], list[dict[str, Any]]] | None:
        """A first load that does not end leaves its empty table: MariaDB commits each CREATE by itself."""
        found = super().everything(table)
        return None if found == ([], []) else found

    def is_left(self) -> bool:
        return self.query("SELECT count(*) FROM information_schema.processlist WHERE user = 'loader'") != [(0,)]

    def close(self) -> None:
        self._session.close()


class Sqlite(Sink):
    name, channel = "sqlite", "odbc"
    cannot: ClassVar[dict[str, str]] = {
        "another type": "SQLite keeps numbers with digits behind the point, and times, as texts: one text takes them all",
    }
    types: ClassVar[dict[str, str]] = {
        "id": "BIGINT NOT NULL",
        "n": "TEXT",
        "note": "TEXT NOT NULL",
        "day": "TEXT",
        "tags": "TEXT",
        "created_at": "TEXT",
        "updated_at": "TEXT",
        "_extracted_at": "TEXT NOT NULL",
        "_load_id": "bigint NOT NULL",
        "_deleted_at": "TEXT",
    }

    def __init__(self, server: Server, folder: Path, fixture: Callable[[str], Any]) -> None:
        self._path = folder / "sink.sqlite"
        self.uri = f"sqlite://{self._path}"

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        if not self._path.exists():
            return []
        with closing(sqlite3.connect(self._path)) as session:
            return [tuple(map(read_value, row)) for row in session.execute(_in_sqlite(sql)).fetchall()]

    def change(self, sql: str) -> None:
        if not sql.startswith("CREATE SCHEMA"):
            with closing(sqlite3.connect(self._path)) as session, session:
                session.execute(_in_sqlite(sql))

    def columns(self, table: str) -> dict[str, str]:
        return dict(self.query(f"SELECT name, type || CASE WHEN \"notnull\" THEN ' NOT NULL' ELSE '' END FROM pragma_table_info('raw_postgres.{table}') ORDER BY cid"))

    def is_left(self) -> bool:
        return any(link.is_symlink() and str(link.readlink()) == str(self._path) for link in Path("/proc/self/fd").iterdir())

    def _has_records(self) -> bool:
        return self.query("SELECT count(*) FROM sqlite_master WHERE name = '_rowferry.loads'") == [(1,)]


def driver_library(name: str) -> Path:
    """An ODBC driver of Debian's."""
    return next(Path("/usr/lib").glob(f"*/odbc/{name}"))


def _without_offsets(sql: str) -> str:
    return re.sub(r"(\d\d:\d\d:\d\d)\+00'", r"\1'", sql)


def _in_sqlite(sql: str) -> str:
    """One name in place of two, and what SQLite has no words for."""
    named = re.sub(r"(?<!')\b(raw_postgres|_rowferry)\.(\w+)", r'"\1.\2"', sql)
    return named.replace("00+00'", "00.000000+00:00'").replace("TRUNCATE ", "DELETE FROM ").replace("now()", "CURRENT_TIMESTAMP")


FORMS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    (r"-?\d+\.\d+", Decimal),
    (r"\d{4}-\d\d-\d\d", date.fromisoformat),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}\+00:00", datetime.fromisoformat),
    (r"\{(-?\d+|NULL|,)*\}", lambda text: [None if part == "NULL" else int(part) for part in text[1:-1].split(",") if part]),
    (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", UUID),
)
"""What a text of a target is that has no type for it."""


def read_value(value: Any) -> Any:
    """As psycopg reads the source's."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC)
    return next((read(value) for form, read in FORMS if re.fullmatch(form, value)), value) if isinstance(value, str) else value


SINKS: tuple[type[Sink], ...] = (Postgres, Duckdb, Snowflake, Mariadb, Sqlite, Psqlodbc)
PLACES = [(version, sink) for version in (15, 18) for sink in SINKS if WIDE or version in sink.versions]
"""From where to where."""


class Pair:
    """A table of the source, and where it goes.

    Attributes:
        sink: Where it goes.
        source: URI of the source.
        at_source: Session of the superuser there, in autocommit.
        table: Name of this test's table, on both sides.
    """

    def __init__(self, sink: Sink, source: str, at_source: psycopg.Connection, table: str) -> None:
        self.sink, self.source, self.at_source, self.table = sink, source, at_source, table

    # ---- the source ----

    def make_items(self) -> None:
        """Rows of 2026 that say when they changed."""
        self.write(
            "CREATE TABLE {t} (id int8 PRIMARY KEY, n numeric(12,2), note text NOT NULL, day date, tags int4[], created_at timestamptz, updated_at timestamptz);"
            " CREATE INDEX ON {t} (created_at); CREATE INDEX ON {t} (updated_at);"
            " INSERT INTO {t} SELECT i, nullif(i, 7) / 7.0, 'note ' || i, date '2026-01-01' + i::int, array[i, NULL, -i],"
            f" '2026-01-01', timestamptz '2026-01-01' + i * interval '1 hour' FROM generate_series(1, {ROWS}) i;"
            " CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON {t} FOR EACH ROW EXECUTE FUNCTION touch()"
        )

    def write(self, sql: str) -> None:
        """At the source; {t} stands for the table."""
        self.at_source.execute(sql.replace("{t}", self.table))

    def write_unseen(self, sql: str) -> None:
        """As a careless repair does: nothing says when the row changed."""
        self.write(f"SET session_replication_role = replica; {sql}; RESET session_replication_role")

    # ---- runs ----

    def settings(self, **settings: Any) -> dict[str, Any]:
        return {"source": self.source, "target": self.sink.uri, "table": self.table, "batch_bytes": 65536, **self.sink.settings, **settings}

    def job(self, **settings: Any) -> rowferry.Job:
        return rowferry.Job(**self.settings(**settings))

    def run(self, **settings: Any) -> rowferry.Report:
        return self.job(**settings).run()

    def refused(self, error: type[errors.RowferryError], **settings: Any) -> errors.RowferryError:
        """Run it, see it refused with just this class, and see that it left table and records as they were."""
        before = self.everything()
        with pytest.raises(errors.RowferryError) as caught:
            self.run(**settings)
        assert type(caught.value) is error, caught.value.to_dict()
        assert self.everything() == before
        return caught.value

    def killed(self, program: Path, folder: Path, step: str, **settings: Any) -> None:
        """Run it in a process of its own that dies when `step` is announced: `write` the second time, the others at once."""
        assert self.dies_at(program, folder, step, 2 if step == "write" else 1, **settings), f"{step} was never announced"
        self.wait_for_end()

    def dies_at(self, program: Path, folder: Path, step: str, nth: int, environment: dict[str, str] | None = None, **settings: Any) -> bool:
        """Run it in a process of its own that dies when `step` is announced for the nth time; False when it ends well before that."""
        job = folder / "job.json"
        job.write_text(document(self.settings(**settings)))
        code = "import ctypes, sys; a = [v.encode() for v in sys.argv[1:]]; sys.exit(ctypes.CDLL(a[0]).main(len(a), (ctypes.c_char_p * len(a))(*a)))"
        command = [sys.executable, "-c", code, program, job, "kill", step, nth]
        done = subprocess.run([str(part) for part in command], env=os.environ | (environment or {}), capture_output=True, text=True, timeout=120)
        assert done.returncode in (0, -signal.SIGKILL), f"{step}: {done.stdout}{done.stderr}"
        return done.returncode != 0

    def wait_for_end(self) -> None:
        until(lambda: not self.sink.is_left())

    # ---- the target ----

    def rows(self, columns: str = KEPT, where: str = "_deleted_at IS NULL") -> list[tuple[Any, ...]]:
        return self.sink.query(f"SELECT {columns} FROM raw_postgres.{self.table} WHERE {where} ORDER BY 1")

    def change(self, sql: str) -> None:
        """At the target; {t} stands for the table there."""
        self.sink.change(sql.replace("{t}", f"raw_postgres.{self.table}"))

    def source_rows(self, columns: str = KEPT, where: str = "true") -> list[tuple[Any, ...]]:
        return self.at_source.execute(f"SELECT {columns} FROM {self.table} WHERE {where} ORDER BY 1").fetchall()

    def assert_equal(self, columns: str = KEPT, where: str = "true") -> None:
        """Every row of the source that passes `where`, and no other, is in the target, value by value."""
        assert sorted(self.rows(columns), key=repr) == sorted(self.source_rows(columns, where), key=repr)

    def everything(self) -> Any:
        return self.sink.everything(self.table)

    def loads(self) -> list[dict[str, Any]]:
        return self.sink.loads(self.table)


@contextmanager
def shut(pair: Pair, gate: int) -> Iterator[None]:
    """Holds an advisory lock of the source, at which a filter makes reads stand still."""
    with psycopg.connect(pair.source, autocommit=True) as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [gate])
        yield


@contextmanager
def source_database(server: Server, name: str, *statements: LiteralString | bytes) -> Iterator[tuple[str, psycopg.Connection]]:
    """A source for all tests of a file, and a session there that has run the statements: every test has a table of its own."""
    uri = server.create_database(name)
    with psycopg.connect(uri, autocommit=True) as session:
        for statement in statements:
            session.execute(statement)
        yield uri, session
    server.admin(f"DROP DATABASE {name} WITH (FORCE)")


def sinks(*kinds: type[Sink]) -> Any:
    """The fixture `sink` of a file: each of these in turn, for all its tests, whose source is on PostgreSQL 18."""

    @pytest.fixture(scope="module", params=kinds, ids=lambda sink: sink.name, name="sink")
    def each(request: pytest.FixtureRequest, pg18: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sink]:
        made = request.param(pg18, tmp_path_factory.mktemp("sink"), request.getfixturevalue)
        yield made
        made.close()

    return each
