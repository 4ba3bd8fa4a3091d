"""What is of databases behind ODBC alone: drivers that are missing, rights, statements that wait, servers that go."""

from __future__ import annotations

import itertools
import json
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow
import pytest
from conformance import driver_library, source_database
from mariadb_server import MariaDb
from odbc_libraries import build_lacking
from route import started, until

import rowferry
from rowferry import errors
from rowferry.demo.servers import Server, clean_environment

numbers = itertools.count(1)
ITEMS = "CREATE TABLE {t} (id int8 PRIMARY KEY, note text); INSERT INTO {t} SELECT i, 'note ' || i FROM generate_series(1, 500) i"


class Into:
    """A table of the source, and MariaDB."""

    def __init__(self, source: str, session: psycopg.Connection, mariadb: MariaDb) -> None:
        self.source, self.session, self.mariadb = source, session, mariadb
        self.table = f"items_{next(numbers)}"
        self.write(ITEMS)

    def write(self, sql: str) -> None:
        self.session.execute(sql.replace("{t}", self.table))

    def job(self, **settings: Any) -> rowferry.Job:
        return rowferry.Job(**{"source": self.source, "target": self.mariadb.uri(), "table": self.table, **settings})

    def rows(self) -> list[tuple[Any, ...]]:
        return self.mariadb.admin(f"SELECT id, note FROM raw_postgres.{self.table} WHERE _deleted_at IS NULL ORDER BY id")

    def assert_equal(self) -> None:
        assert self.rows() == self.session.execute(f"SELECT id, note FROM {self.table} ORDER BY id").fetchall()


@pytest.fixture(scope="module")
def place(pg18: Server) -> Iterator[tuple[str, psycopg.Connection]]:
    with source_database(pg18, "behind_odbc") as made:
        yield made


@pytest.fixture
def into(place: tuple[str, psycopg.Connection], mariadb: MariaDb) -> Into:
    return Into(*place, mariadb)


# ---- drivers ---------------------------------------------------------------------------------------------


def in_a_process(into: Into, folder: Path, environment: dict[str, str], **settings: Any) -> dict[str, Any]:
    """What a run comes to under another set-up of ODBC, which a process reads once."""
    document = json.dumps({"source": into.source, "target": into.mariadb.uri(), "table": into.table, **settings})
    code = (
        "import json, sys, rowferry\ntry: print(json.dumps({'inserted': rowferry.Job(**json.loads(sys.argv[1])).run().this_try.inserted}))\n"
        "except rowferry.errors.RowferryError as error: print(json.dumps(error.to_dict()))"
    )
    done = subprocess.run([sys.executable, "-c", code, document], env=clean_environment(environment), cwd=folder, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_without_a_registered_driver_the_error_names_the_package(into: Into, tmp_path: Path) -> None:
    (tmp_path / "odbcinst.ini").write_text("")
    refused = in_a_process(into, tmp_path, {"ODBCSYSINI": str(tmp_path)})
    assert refused["code"] == "configuration" and "apt-get install odbc-mariadb" in refused["hint"]


def test_a_driver_is_found_where_odbcinst_says_or_by_its_path(into: Into, tmp_path: Path) -> None:
    library = driver_library("libmaodbc.so")
    (tmp_path / "odbcinst.ini").write_text(f"[Another MySQL driver]\nDriver={library}\n")
    assert in_a_process(into, tmp_path, {"ODBCSYSINI": str(tmp_path)}) == {"inserted": 500}
    (tmp_path / "odbcinst.ini").write_text("")
    assert in_a_process(into, tmp_path, {"ODBCSYSINI": str(tmp_path)}, driver=str(library)) == {"inserted": 0}


def test_a_driver_whose_own_library_is_missing_names_that_library(into: Into, tmp_path: Path) -> None:
    library = build_lacking(tmp_path, "libdriver.so")
    (tmp_path / "odbcinst.ini").write_text(f"[MariaDB]\nDriver={library}\n")
    refused = in_a_process(into, tmp_path, {"ODBCSYSINI": str(tmp_path)})
    assert refused["code"] == "configuration" and "libneeded.so" in refused["message"] and "ldd" in refused["hint"]


# ---- a server that takes connections and says nothing ----------------------------------------------------


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        yield listener


def job_into(silent: socket.socket, scheme: str, **settings: Any) -> rowferry.Job:
    port = silent.getsockname()[1]
    uris = {"mariadb": f"mariadb://loader@127.0.0.1:{port}/", "psqlodbc": f"odbc:Driver={driver_library('psqlodbcw.so')};Server=127.0.0.1;Port={port};Database=x;UID=x"}
    return rowferry.Job(source="postgresql:///none", target=uris[scheme], table="t", **settings)


@pytest.mark.parametrize(("scheme", "said"), [("mariadb", "no answer within 1 s"), ("psqlodbc", "timeout expired")])
def test_a_server_that_says_nothing_is_given_up_after_the_connect_timeout(silent: socket.socket, scheme: str, said: str) -> None:
    """By the driver, in its own words, or by us."""
    with pytest.raises(errors.TargetError) as caught:
        job_into(silent, scheme, connect_timeout=1).state()
    assert caught.value.retryable and said in caught.value.message


@pytest.mark.parametrize("scheme", ["mariadb", "psqlodbc"])
def test_a_run_that_waits_for_a_server_that_says_nothing_can_be_cancelled(silent: socket.socket, scheme: str) -> None:
    """What the driver still holds ends with the line, and nobody waits for it."""
    job = job_into(silent, scheme, connect_timeout=600)
    outcome = started(job.state)
    with silent.accept()[0]:
        job.cancel()
        with pytest.raises(errors.CancelledError):
            outcome.result(60)


# ---- a driver that does as it is told --------------------------------------------------------------------

VERSION = "reply VERSION()=2026-11-22T18:00:00.000000+00:00|10.11.4-MariaDB|false|false"


def state_of(scripted_odbc: Path, folder: Path, script: list[str], code: str) -> list[str]:
    """What a process prints whose job's target is that driver."""
    command = [sys.executable, "-c", f"import threading, time, rowferry\njob = rowferry.Job(source='postgresql:///none', target='odbc:Driver={scripted_odbc};PWD=s3cr3t;', table='t')\n{code}"]
    done = subprocess.run(command, env=clean_environment({"SCRIPTED_ODBC": "\n".join(script)}), cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


TELL = "try: print(job.state())\nexcept rowferry.errors.RowferryError as error: print(type(error).__name__, error.sqlstate, error.retryable, error.message, error.hint, sep='|')"


def test_a_statement_that_does_not_end_is_cancelled_through_the_driver_manager(scripted_odbc: Path, tmp_path: Path) -> None:
    cancel = "threading.Timer(0.5, job.cancel).start(); started = time.monotonic()\n"
    (told,) = state_of(scripted_odbc, tmp_path, ["wait VERSION()"], f"{cancel}{TELL}\nassert time.monotonic() - started < 5")
    assert told.startswith("CancelledError|")


def test_what_a_driver_says_arrives_through_the_driver_manager(scripted_odbc: Path, tmp_path: Path) -> None:
    (told,) = state_of(scripted_odbc, tmp_path, [VERSION, "fail SET SESSION=08S01,2013,Lost connection; the string was PWD=s3cr3t"], TELL)
    assert told.split("|")[:4] == ["TargetError", "08S01", "True", "target: set up the session: Lost connection; the string was PWD=***"]
    (told,) = state_of(scripted_odbc, tmp_path, [VERSION, "fail SET SESSION=42000,1142,SELECT command denied"], TELL)
    assert told.startswith("AuthenticationError|42000|False|") and "README" in told


def test_a_database_without_control_tables_has_no_loads(scripted_odbc: Path, tmp_path: Path) -> None:
    assert state_of(scripted_odbc, tmp_path, [VERSION, "reply 'leases' THEN 1 END=0|0"], TELL) == ["[]"]
    assert "version 10.6 or newer" in state_of(scripted_odbc, tmp_path, [VERSION.replace("10.11.4-MariaDB", "0.0")], TELL)[0]


FIRST_LOAD = [
    "reply GET_LOCK=true",
    "reply information_schema.schemata=true",
    "reply 'leases' THEN 1 END=1|1",
    "reply SELECT load_id, pid=8|33|run 1|1|test",
    "reply FOR UPDATE=8",
    "reply n.kind=",
    "reply sum(rows_read)=0|0|0|0|0|0|0|0",
    VERSION,
    'changed INSERT INTO "_rowferry"."loads"=1',
    'changed UPDATE "_rowferry"."leases"=1',
    "reply AND load_id=1",
]
"""What MariaDB answers to a first load, but for the count of its rows."""


def load_by_script(into: Into, folder: Path, library: Path, *lines: str) -> tuple[dict[str, Any], list[str]]:
    """What a load comes to on a driver that does as it is told, and what that was sent."""
    environment = {"SCRIPTED_ODBC": "\n".join([*FIRST_LOAD, *lines]), "SCRIPTED_ODBC_SEEN": str(folder / "seen")}
    told = in_a_process(into, folder, environment, target=f"odbc:Driver={library};")
    return told, (folder / "seen").read_text().split("\0")


@pytest.mark.parametrize("lie", ["", "takes first", "refuses arrays"])
def test_a_driver_that_lies_about_arrays_or_refuses_them_brings_every_row_once(into: Into, scripted_odbc: Path, tmp_path: Path, lie: str) -> None:
    told, seen = load_by_script(into, tmp_path, scripted_odbc, *filter(None, [lie]), "reply SELECT count(*)=loaded")
    assert told == {"inserted": 500}
    assert seen.count("(commit)") == 1 and "(row status)" not in seen  # which no driver is asked for: many make it up


def test_a_table_that_holds_fewer_rows_than_a_driver_took_is_never_committed(into: Into, scripted_odbc: Path, tmp_path: Path) -> None:
    into.write("DELETE FROM {t} WHERE id > 1")
    told, seen = load_by_script(into, tmp_path, scripted_odbc, "reply SELECT count(*)=0")
    assert told["code"] == "target" and "the source sent 1 rows" in told["message"]
    assert "(commit)" not in seen and "(rollback)" in seen


# ---- arrays ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [34, 36, 60])
def test_a_row_that_goes_by_itself_between_arrays_changes_nothing_of_the_next(into: Into, rows: int) -> None:
    """Of 64 kB, sixteen such rows make an array and the seventeenth is alone."""
    into.write(f"TRUNCATE {{t}}; INSERT INTO {{t}} SELECT i, repeat(chr(97 + i % 26), 4000) FROM generate_series(1, {rows}) i")
    into.write("ALTER TABLE {t} ADD at timestamptz NOT NULL DEFAULT now()")
    assert into.job(batch_bytes=65536).run().this_try.inserted == rows
    into.assert_equal()


# ---- rights ----------------------------------------------------------------------------------------------

GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, CREATE, CREATE TEMPORARY TABLES ON _rowferry.* TO {user}",
    "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER ON raw_postgres.* TO {user}",
)
"""README.md has them."""


def test_the_grants_that_the_readme_lists_are_enough(into: Into) -> None:
    user = f"little_{next(numbers)}"
    schemas = ("CREATE SCHEMA IF NOT EXISTS _rowferry", "CREATE SCHEMA IF NOT EXISTS raw_postgres")
    into.mariadb.admin(*schemas, f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'pass word'", *(grant.format(user=f"{user}@'127.0.0.1'") for grant in GRANTS))
    job = into.job(target=into.mariadb.uri(user, "pass word"), sweep="always", keys=["id"])
    job.run()
    into.write("UPDATE {t} SET note = 'new' WHERE id < 10; DELETE FROM {t} WHERE id > 490")
    report = job.run()
    assert (report.this_try.updated, report.this_try.deleted) == (9, 10)
    into.assert_equal()


def test_a_user_without_a_right_is_told_so_and_nothing_is_left(into: Into) -> None:
    user = f"stranger_{next(numbers)}"
    into.mariadb.admin(f"CREATE USER {user}@'127.0.0.1' IDENTIFIED BY 'pass word'")
    with pytest.raises(errors.AuthenticationError) as caught:
        into.job(target=into.mariadb.uri(user, "pass word")).run()
    assert "README" in str(caught.value.hint) and "pass word" not in str(caught.value.to_dict())
    with pytest.raises(errors.AuthenticationError):
        into.job(target=into.mariadb.uri(user, "another word")).run()


# ---- statements that wait --------------------------------------------------------------------------------


def waits(into: Into, words: str) -> bool:
    return into.mariadb.admin(f"SELECT count(*) FROM information_schema.processlist WHERE user = 'loader' AND info LIKE '{words}%'") != [(0,)]


def test_a_merge_that_waits_for_a_lock_is_cancelled_on_the_server(into: Into) -> None:
    into.job().run()
    into.write("UPDATE {t} SET note = 'new'")
    with into.mariadb.connect() as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM raw_postgres.{into.table} FOR UPDATE")
        job = into.job(lock_timeout=60)
        run = started(job.run)
        until(lambda: waits(into, "UPDATE"), unless=run)
        job.cancel()
        with pytest.raises(errors.CancelledError):
            run.result(10)
    until(lambda: into.mariadb.admin("SELECT count(*) FROM information_schema.processlist WHERE user = 'loader'") == [(0,)])
    assert ("new",) not in [row[1:] for row in into.rows()]


def test_a_lock_that_is_not_granted_in_time_is_told_as_busy(into: Into) -> None:
    into.job().run()
    into.write("UPDATE {t} SET note = 'new'")
    with into.mariadb.connect() as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM raw_postgres.{into.table} FOR UPDATE")
        with pytest.raises(errors.TableBusyError) as caught:
            into.job(lock_timeout=1).run()
    assert caught.value.retryable and "lock_timeout" in str(caught.value.hint)
    assert into.job().run().this_try.updated == 500
    into.assert_equal()


def test_a_later_try_takes_the_table_over_from_an_earlier_one(into: Into) -> None:
    into.job().run()
    into.write("UPDATE {t} SET note = 'new'")
    with into.mariadb.connect() as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM raw_postgres.{into.table} FOR UPDATE")
        first = started(lambda: into.job(lock_timeout=60, run_id="night").run())
        until(lambda: waits(into, "UPDATE"), unless=first)
        second = started(lambda: into.job(lock_timeout=60, run_id="night", try_number=2).run())
        with pytest.raises((errors.TargetError, errors.FencedOffError)):
            first.result(30)
        holder.rollback()
        assert second.result(30).this_try.updated == 500
    into.assert_equal()


def test_a_server_that_dies_during_the_merge_leaves_the_rows_of_before(into: Into) -> None:
    into.job().run()
    into.write("UPDATE {t} SET note = 'new'")
    with into.mariadb.connect() as holder, holder.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute(f"SELECT * FROM raw_postgres.{into.table} FOR UPDATE")
        run = started(lambda: into.job(lock_timeout=60).run())
        until(lambda: waits(into, "UPDATE"), unless=run)
        ((pid,),) = into.mariadb.admin("SELECT id FROM information_schema.processlist WHERE user = 'loader' AND info LIKE 'UPDATE%'")
        into.mariadb.admin(f"KILL CONNECTION {pid}")
        with pytest.raises(errors.TargetError) as caught:
            run.result(30)
    assert caught.value.retryable
    assert ("new",) not in [row[1:] for row in into.rows()]
    assert into.job().run().this_try.updated == 500
    into.assert_equal()


# ---- streams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place_of", ["mariadb", "sqlite"])
def test_of_rows_of_a_stream_that_repeat_a_key_the_last_is_kept(into: Into, place_of: str, tmp_path: Path) -> None:
    target = into.mariadb.uri() if place_of == "mariadb" else f"sqlite://{tmp_path}/w.sqlite"
    times = pyarrow.array([datetime(2026, 1, 1, tzinfo=UTC)] * 5000)

    def load(words: list[str]) -> rowferry.Report:
        table = pyarrow.table({"id": [n % 1000 for n in range(5000)], "note": [f"{word} {n}" for n in range(5000) for word in words[:1]], "at": times})
        return rowferry.load(table, target=target, table=into.table, keys=["id"])

    report = load(["first"])
    assert (report.this_try.inserted, report.this_try.duplicates) == (1000, 4000)
    report = load(["second"])
    assert (report.this_try.updated, report.this_try.duplicates) == (1000, 4000)
    if place_of == "mariadb":
        kept = into.mariadb.admin(f"SELECT id, note FROM raw_stream.{into.table} ORDER BY id")
    else:
        with closing(sqlite3.connect(tmp_path / "w.sqlite")) as session:
            kept = session.execute(f'SELECT id, note FROM "raw_stream.{into.table}" ORDER BY id').fetchall()
    assert kept == [(n, f"second {4000 + n}") for n in range(1000)]


# ---- doctor ----------------------------------------------------------------------------------------------


def test_doctor_says_which_database_is_behind_odbc(into: Into, tmp_path: Path) -> None:
    facts = rowferry.doctor(into.source, into.mariadb.uri()).target
    assert facts is not None and (facts["database"], facts["current_user"], facts["read_only"]) == ("MariaDB", "loader@127.0.0.1", False)
    facts = rowferry.doctor(into.source, f"sqlite://{tmp_path}/w.sqlite").target
    assert facts is not None and facts["database"] == "SQLite" and not list(tmp_path.iterdir())
    made = psycopg.conninfo.conninfo_to_dict(into.source)
    target = f"odbc:Driver={driver_library('psqlodbcw.so')};Server={made['host']};Port={made['port']};Database={made['dbname']};UID={made['user']}"
    facts = rowferry.doctor(into.source, target).target
    assert facts is not None and facts["database"] == "PostgreSQL"


# ---- a file ----------------------------------------------------------------------------------------------


WRITER = "import sqlite3, sys; session = sqlite3.connect(sys.argv[1], isolation_level=None); session.execute('BEGIN EXCLUSIVE'); print('held', flush=True); sys.stdin.read()"


def test_who_looks_into_a_file_waits_for_a_writer_that_keeps_readers_out(into: Into, tmp_path: Path) -> None:
    """As one does whose changes no longer fit into its memory."""
    target = f"sqlite://{tmp_path}/w.sqlite"
    into.job(target=target).run()
    impatient, patient = (into.job(target=target, lock_timeout=seconds) for seconds in (0.2, 60))
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "w.sqlite")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdin and writer.stdout and writer.stdout.readline() == "held\n"
        for look in (impatient.state, impatient.plan, lambda: rowferry.verify(impatient)):
            with pytest.raises(errors.TableBusyError, match="was not free within 0.2 s"):
                look()
        looking = started(lambda: rowferry.verify(patient))
        writer.stdin.close()
        assert looking.result(60).equal == 500
    assert len(patient.state()) == 1
