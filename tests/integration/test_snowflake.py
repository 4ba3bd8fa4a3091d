"""Into Snowflake's dialect through its real ADBC driver, against an emulator of it: nothing here ran on Snowflake itself.

What all targets promise is in `test_conformance.py`; this is what is Snowflake's alone, and faults that an account does not
have on demand. `../faults/emulator.py` lists where the emulator is otherwise.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pyarrow
import pytest
import sqlglot
from account import PASSWORD, Emulator, connect
from masks import KEY, digest
from route import until

import rowferry
from rowferry import errors

numbers = itertools.count(1)
LOCKED = {"code": "000625", "message": "Statement 'x' has locked table 'y' in transaction 1 and this lock has not yet been released."}
EXPIRED = {"code": "390114", "message": "Authentication token has expired.  The user must authenticate again.", "sqlstate": "08001"}
SUSPENDED = {"code": "000606", "message": "No active warehouse selected in the current session.", "sqlstate": "57P03"}
ROWS = 300


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    made = Emulator()
    yield made
    made.close()


@pytest.fixture(scope="module")
def source(pg18: Any) -> Iterator[str]:
    yield pg18.create_database("into_snowflake")
    pg18.admin("DROP DATABASE into_snowflake WITH (FORCE)")


class Into:
    """A table of the source's own for each test, and where it goes."""

    def __init__(self, source: str, emulator: Emulator, spool: Path) -> None:
        self.source, self.emulator, self.spool = source, emulator, spool
        self.table = f"items_{next(numbers)}"
        self.at_source = psycopg.connect(source, autocommit=True)
        self.at_target = connect(emulator.uri)

    def close(self) -> None:
        self.emulator.fault()
        self.at_source.close()
        self.at_target.close()

    def write(self, sql: str) -> None:
        self.at_source.execute(sql.replace("{t}", self.table))

    def make_items(self) -> None:
        self.write("CREATE TABLE {t} (id int8 PRIMARY KEY, note text)")
        self.write(f"INSERT INTO {{t}} SELECT i, 'note ' || i FROM generate_series(1, {ROWS}) i")

    def job(self, **settings: Any) -> rowferry.Job:
        given = {"source": self.source, "target": self.emulator.uri, "table": self.table, "spool_dir": str(self.spool)}
        return rowferry.Job(**{**given, "lock_timeout": 20, **settings})

    def run(self, **settings: Any) -> rowferry.Report:
        return self.job(**settings).run()

    def rows(self, columns: str = "id, note") -> list[tuple[Any, ...]]:
        return self.at_target.cursor().execute(f"SELECT {columns} FROM raw.postgres.{self.table} ORDER BY 1").fetchall()

    def source_rows(self) -> list[tuple[Any, ...]]:
        return self.at_source.execute(f"SELECT id, note FROM {self.table} ORDER BY 1").fetchall()

    def loads(self) -> int:
        sql = f"SELECT count(*) FROM raw._rowferry.loads WHERE target_table = 'raw.postgres.{self.table}'"
        return self.at_target.cursor().execute(sql).fetchone()[0]


@pytest.fixture
def into(source: str, emulator: Emulator, tmp_path: Path) -> Iterator[Into]:
    made = Into(source, emulator, tmp_path)
    emulator.statements()
    yield made
    made.close()


@pytest.fixture
def items(into: Into) -> Into:
    into.make_items()
    return into


# ---- times without zone ----------------------------------------------------------------------------------


def test_times_without_zone_are_taken_as_utc_unless_they_are_to_be_kept_or_the_column_there_has_none(into: Into) -> None:
    made = f"CREATE TABLE IF NOT EXISTS \"RAW\".\"POSTGRES\".\"{into.table.upper()}\" "
    into.write("SET timezone = 'Asia/Tokyo'; CREATE TABLE {t} (id int8 PRIMARY KEY, at timestamp, list timestamp[])")
    into.write("INSERT INTO {t} VALUES (1, '2026-03-29 02:30:00.123456', '{2026-03-29 02:30:00}'), (2, NULL, NULL)")
    declared = [(c.column, c.reason) for c in into.run(verify=True).conversions if c.reason]
    assert declared == [("at", '"naive_timestamps" takes it as UTC')]
    (create,) = [sql for sql in into.emulator.statements() if sql.startswith(made)]
    assert '"AT" TIMESTAMP_TZ, "LIST" ARRAY' in create
    into.write("UPDATE {t} SET at = at + interval '1 year'")
    assert into.run(verify=True).this_try.updated == 2 and rowferry.verify(into.job()).different == 0
    with pytest.raises(errors.SchemaDriftError) as caught:
        into.run(naive_timestamps="keep")
    assert '"naive_timestamps": "utc"' in str(caught.value.hint)
    into.at_target.cursor().execute(f"DROP TABLE raw.postgres.{into.table}")
    into.run(naive_timestamps="keep", verify=True)
    into.write("UPDATE {t} SET at = at + interval '1 year'")
    report = into.run(verify=True)  # by the default, into the column as it is there
    assert report.this_try.updated == 2 and not [c for c in report.conversions if c.reason]
    assert sum('"AT" TIMESTAMP_NTZ' in sql for sql in into.emulator.statements() if sql.startswith(made)) == 1


# ---- statements ------------------------------------------------------------------------------------------


def is_ddl(sql: str) -> bool:
    return bool(re.match(r"(CREATE|ALTER TABLE|DROP|USE|TRUNCATE)\b", sql))


def test_every_statement_of_a_run_and_of_a_plan_is_one_to_a_parser_of_snowflakes_dialect(items: Into) -> None:
    planned = items.job(sweep="always").plan()
    items.run(sweep="always")
    items.write("DELETE FROM {t} WHERE id = 1; INSERT INTO {t} VALUES (1000, 'new')")
    items.run(sweep="always", where="id > 5")
    items.run(sweep="always", where="id > 7", on_delete="remove", capture="full")
    items.job().reset()
    items.job().state()
    sent = items.emulator.statements()
    told = [statement.sql for statement in planned.statements if statement.server == "target"]
    assert len(sent) > 100 and len(told) > 5
    for sql in {*sent, *told}:
        sqlglot.parse_one(sql, dialect="snowflake", error_level=sqlglot.ErrorLevel.RAISE)


def test_a_plan_names_what_a_run_sends_and_sends_nothing_itself(items: Into) -> None:
    roles = [statement.role for statement in items.job().plan().statements if statement.server == "target"]
    assert roles == ["use schema", "create table", "create stage", "create stage of files", "send the first file", "load stage", "merge"]
    assert not [sql for sql in items.emulator.statements() if is_ddl(sql)]


def test_all_ddl_comes_before_the_transaction_which_holds_the_merge_and_the_record(items: Into) -> None:
    items.run()
    sent = items.emulator.statements()
    begun = max(i for i, sql in enumerate(sent) if sql == "ALTER SESSION SET AUTOCOMMIT = false")
    ended = begun + sent[begun:].index("COMMIT")
    inside = sent[begun + 1 : ended]
    assert not [sql for sql in inside if is_ddl(sql)]
    assert [sql.split()[0] for sql in inside] == ["SELECT", "MERGE", "SELECT", "SELECT", "INSERT"]
    assert "LEASES" not in "".join(sql for sql in inside if not sql.startswith("INSERT")), "a row that other tables' loads share"


# ---- values ----------------------------------------------------------------------------------------------


def test_null_and_empty_and_every_odd_sign_arrive_as_they_are(into: Into) -> None:
    odd = [None, "", '"', "''", ",", "\\", "\\N", "\\n", "a\nb\r\nc", " padded ", "007", "NULL", "\t", "💐 é", '","', "x" * 100_000]
    into.write("CREATE TABLE {t} (id int8 PRIMARY KEY, note text)")
    with into.at_source.cursor() as cursor:
        cursor.executemany(f"INSERT INTO {into.table} VALUES (%s, %s)", list(enumerate(odd)))
    into.run()
    assert into.rows() == list(enumerate(odd))


def test_each_type_arrives_as_the_table_of_types_says(into: Into) -> None:
    key = uuid4()
    into.write("CREATE TYPE {t}_mood AS ENUM ('ok', 'so so')")
    into.write(
        "CREATE TABLE {t} (id uuid PRIMARY KEY, b bool, i2 int2, i8 int8, n numeric(38,10), any_n numeric, f8 float8, f4 float4, t char(4), octets bytea, j jsonb, jn jsonb,"
        " js jsonb, ints int4[], texts text[], d date, ti time, ts timestamp, tz timestamptz, iv interval, mood {t}_mood, net inet)"
    )
    into.write(
        f"INSERT INTO {{t}} VALUES ('{key}', true, -32768, 9223372036854775807, 1234567890123456789012345678.0123456789, 1.10, 'Infinity', 0.1, 'x', '\\x00ff5c',"
        " '{\"a\": [1, \"ü\\\"\"]}', 'null', NULL, '{1,NULL,-3}', '{\"\",NULL,\"a,b\"}', '2026-02-28', '23:59:59.999999', '2026-01-02 03:04:05.678901',"
        " '2026-01-02 03:04:05.678901+02', '1 mon 2 days 03:00:00', 'so so', '10.0.0.1/8')"
    )
    into.run()
    texts = ", ".join(f"{name}::VARCHAR" for name in "b i2 i8 n any_n f8 f4 t j jn js ints texts d ti ts iv mood net".split())
    assert into.rows(texts) == [
        ("true", "-32768", "9223372036854775807", "1234567890123456789012345678.0123456789", "1.10", "inf", "0.1", "x   ", '{"a":[1,"ü\\""]}', "null", None,
         "[1,null,-3]", '["",null,"a,b"]', "2026-02-28", "23:59:59.999999", "2026-01-02 03:04:05.678901+00", "1 mon 2 days 03:00:00", "so so", "10.0.0.1/8")
    ]  # fmt: skip
    assert into.rows("octets, id, TO_CHAR(CONVERT_TIMEZONE('UTC', tz), 'YYYY-MM-DD HH24:MI:SS.FF6')") == [(b"\x00\xff\\", str(key), "2026-01-02 01:04:05.678901")]


@pytest.mark.parametrize(("kind", "value"), [("date", "infinity"), ("timestamptz", "-infinity"), ("numeric(5,2)", "NaN")])
def test_what_snowflake_has_no_room_for_stops_the_run_and_goes_as_text(into: Into, kind: str, value: str) -> None:
    into.write(f"CREATE TABLE {{t}} (id int8 PRIMARY KEY, note {kind}); INSERT INTO {{t}} VALUES (1, '{value}')")
    if kind.startswith("numeric"):  # DuckDB takes infinite dates
        with pytest.raises(errors.DataError, match="100038") as caught:
            into.run()
        assert "as_text" in str(caught.value.hint)
        assert into.loads() == 0
        into.at_target.cursor().execute(f"DROP TABLE raw.postgres.{into.table}")
    assert into.run(as_text=["note"]).this_try.inserted == 1
    assert into.rows() == [(1, value)]


# ---- files -----------------------------------------------------------------------------------------------


def test_rows_go_in_several_files_of_which_none_stays(into: Into) -> None:
    into.write("CREATE TABLE {t} (id int8 PRIMARY KEY, note text)")
    into.write("INSERT INTO {t} SELECT i, md5(i::text) || E'\\n' || md5((-i)::text) || md5((i * 7)::text) FROM generate_series(1, 12000) i")
    assert into.run(spool_file_bytes=65536, batch_bytes=65536).this_try.inserted == 12000
    sent = {found[1] for sql in into.emulator.statements() if (found := re.search(r"/(rows_\d+\.csv\.zst)'", sql))}
    assert len(sent) > 2
    assert list(into.spool.iterdir()) == []
    assert into.rows() == into.source_rows()


def test_a_file_of_which_fewer_rows_are_loaded_than_were_sent_stops_the_run(items: Into) -> None:
    items.emulator.fault({"match": "^COPY INTO", "rewrite": "SELECT 'f/rows/rows_0001.csv.zst' AS f, 'LOADED' AS s, '300' AS p, '299' AS l"})
    with pytest.raises(errors.TargetError, match=r"300 rows were sent .* in the file rows_0001.csv.zst, and Snowflake loaded 299 of them"):
        items.run()
    items.emulator.fault({"match": "^COPY INTO", "rewrite": "SELECT 'Copy executed with 0 files processed.' AS status"})
    with pytest.raises(errors.TargetError, match="the file is not there"):
        items.run()
    assert items.loads() == 0 and list(items.spool.iterdir()) == []
    assert items.run().this_try.inserted == ROWS


def test_a_file_that_cannot_be_sent_stops_the_run_and_leaves_nothing_behind(items: Into) -> None:
    items.emulator.fault({"match": "^PUT ", "code": "003001", "message": "SQL access control error:\nInsufficient privileges", "sqlstate": "42501"})
    with pytest.raises(errors.AuthenticationError, match="send a file: 003001") as caught:
        items.run()
    assert "README" in str(caught.value.hint)
    assert list(items.spool.iterdir()) == [] and items.loads() == 0


@pytest.mark.parametrize("torn", [{"cut": 1}, {"cut": 40}, {"cut": 60_000}, {"flip": -3}, {"flip": 20_000}], ids=lambda torn: "-".join(map(str, *torn.items())))
def test_a_file_that_is_torn_after_it_was_written_loads_nothing_and_the_next_try_loads_all(into: Into, torn: dict[str, int]) -> None:
    """Between our look at its length and the driver's reading of it. The emulator reads what is left of a cut frame, and says nothing."""
    into.write("CREATE TABLE {t} (id int8 PRIMARY KEY, note text)")
    into.write("INSERT INTO {t} SELECT i, md5(i::text) || md5((-i)::text) || md5((i * 7)::text) FROM generate_series(1, 3000) i")
    into.emulator.fault({"match": r"^PUT .*rows_0001\.csv\.zst", **torn})
    told = (errors.InternalError, r"rows_0001.csv.zst has \d+ bytes, and \d+ were written") if "cut" in torn else (errors.TargetError, "target: load the files: ")
    with pytest.raises(told[0], match=told[1]):
        into.run(run_id="night")
    assert into.loads() == 0 and into.rows() == [] and list(into.spool.iterdir()) == []
    assert into.run(run_id="night", try_number=2).this_try.inserted == 3000
    assert into.rows() == into.source_rows()


def test_files_that_a_dead_run_left_are_removed_and_none_of_them_is_loaded(items: Into, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Torn ones, whole ones of other rows, and what bears the names that the next run takes."""
    dead = items.spool / "rowferry-spool-20260101T000000-1-aaaaaa"
    dead.mkdir(mode=0o700)
    whole = pyarrow.compress(b"999,foreign\n", "zstd", asbytes=True)
    (dead / "rows_0001.csv.zst").write_bytes(whole)
    (dead / "rows_0002.csv.zst").write_bytes(whole[:-5])
    assert items.run().this_try.inserted == ROWS
    assert items.rows() == items.source_rows() and list(items.spool.iterdir()) == []
    assert not [sql for sql in items.emulator.statements() if dead.name in sql]


def test_no_value_that_a_mask_hides_is_in_a_file_or_a_statement_that_is_sent(into: Into, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor in any other file of the folder; what is not hidden is there, so that the files were looked into."""
    monkeypatch.setenv("ROWFERRY_MASK_KEY", KEY)
    kept = tmp_path_factory.mktemp("kept")
    hidden = {"name": ("hash", "Clara Nowhere"), "note": ("redact", "a secret note"), "mail": ("truncate:3", "clara@nowhere"), "secret": ("drop", "wholly secret"), "born": ("redact", "1980-02-29")}
    into.write("CREATE TABLE {t} (id int8 PRIMARY KEY, name text, note text, mail text, secret text, born date, shown text)")
    masks = {column: mask for column, (mask, _) in hidden.items()}
    for turn in range(2):
        into.at_source.execute(
            f"INSERT INTO {into.table} SELECT i, %s, %s, %s, %s, %s, md5(i::text) || md5((i * 7)::text) FROM generate_series(%s::int, %s::int) i",
            [*(value for _, value in hidden.values()), turn * 2000, turn * 2000 + 1999],
        )
        into.emulator.fault({"match": "^PUT ", "keep": str(kept), "times": 99})
        assert into.run(mask=masks, spool_file_bytes=65536, batch_bytes=65536, verify=True).this_try.inserted == 2000
    files = {path.name: path.read_bytes() for path in kept.iterdir()}
    assert files and all(name.endswith(".csv.zst") for name in files)
    texts = [pyarrow.input_stream(pyarrow.BufferReader(whole), compression="zstd").read() for whole in files.values()]
    said = "\n".join(into.emulator.statements()).encode()
    assert sum(text.count(str(digest(hidden["name"][1])).encode()) for text in texts) >= 4000
    for _, value in hidden.values():
        assert not [name for name, text in zip(files, texts, strict=True) if value.encode() in text or value.encode() in files[name]]
        assert value.encode() not in said
    assert KEY.encode() not in said and not any(KEY.encode() in text for text in texts)


def test_a_folder_that_is_not_there_is_named_with_its_setting(items: Into) -> None:
    with pytest.raises(errors.ConfigurationError, match="/nowhere") as caught:
        items.run(spool_dir="/nowhere/at/all")
    assert "spool_dir" in str(caught.value.hint)


# ---- faults ----------------------------------------------------------------------------------------------


def test_a_lock_that_somebody_holds_is_waited_for(items: Into) -> None:
    items.emulator.fault({"match": "^MERGE INTO .*ITEMS", **LOCKED, "times": 2}, {"match": "^MERGE INTO .*LEASES", **LOCKED})
    assert items.run().this_try.inserted == ROWS


def test_a_lock_that_is_not_let_go_of_is_told_as_busy_and_may_be_tried_again(items: Into) -> None:
    items.emulator.fault({"match": "^MERGE INTO .*ITEMS", **LOCKED, "times": 99})
    with pytest.raises(errors.TableBusyError, match="000625") as caught:
        items.run(lock_timeout=1)
    assert caught.value.retryable and items.loads() == 0


def test_a_token_that_expires_before_the_load_is_renewed_by_another_session(items: Into) -> None:
    items.emulator.fault({"match": "^MERGE INTO .*LEASES", **EXPIRED})
    assert items.run().this_try.inserted == ROWS
    assert items.rows() == items.source_rows()


@pytest.mark.parametrize("match", ["^MERGE INTO .*ITEMS", "^COPY INTO", "^INSERT INTO"])
def test_a_token_that_expires_within_the_load_fails_it_whole_and_the_next_try_loads_it(items: Into, match: str) -> None:
    items.emulator.fault({"match": match, **EXPIRED})
    with pytest.raises(errors.TargetError, match="390114") as caught:
        items.run(run_id="night")
    assert caught.value.retryable and items.loads() == 0
    assert items.run(run_id="night", try_number=2).this_try.inserted == ROWS


def test_a_suspended_warehouse_is_told_with_what_to_do(items: Into) -> None:
    items.emulator.fault({"match": "^COPY INTO", **SUSPENDED})
    with pytest.raises(errors.TargetError, match="000606") as caught:
        items.run()
    assert caught.value.retryable and "RESUME" in str(caught.value.hint)


def test_a_commit_whose_answer_is_lost_is_found_to_be_there(items: Into) -> None:
    items.run()
    items.write("INSERT INTO {t} VALUES (5000, 'later')")
    items.emulator.statements()
    items.emulator.fault({"match": "^COMMIT$", "after": 1, "lose": "after"})
    assert items.run().this_try.inserted == 1
    assert items.loads() == 2 and items.rows() == items.source_rows()
    assert any(sql.startswith("SELECT SYSTEM$ABORT_TRANSACTION(") for sql in items.emulator.statements())


def test_a_commit_that_never_arrived_loads_nothing_and_the_next_try_loads_it_once(items: Into) -> None:
    items.run()
    items.write("INSERT INTO {t} VALUES (5000, 'later')")
    items.emulator.fault({"match": "^COMMIT$", "after": 1, "lose": "before"})
    with pytest.raises(errors.TargetError, match="commit"):
        items.run(run_id="night")
    assert items.loads() == 1
    assert items.run(run_id="night", try_number=2).this_try.inserted == 1
    assert items.rows() == items.source_rows()


def test_a_merge_that_says_otherwise_than_the_table_stops_the_run(items: Into) -> None:
    items.emulator.fault({"match": "^MERGE INTO .*ITEMS", "rewrite": "UPDATE raw._rowferry.leases SET map_index = 1"})
    with pytest.raises(errors.InternalError, match="Snowflake says it merged"):
        items.run()
    assert items.loads() == 0


def test_a_key_that_the_target_holds_twice_stops_the_run(items: Into) -> None:
    items.run()
    items.at_target.cursor().execute(f"CREATE OR REPLACE TABLE raw.postgres.{items.table}_2 AS SELECT * FROM raw.postgres.{items.table}")
    items.write("UPDATE {t} SET note = 'new' WHERE id = 1")
    items.emulator.fault({"match": "^SELECT \\(SELECT COUNT.*_LOAD_ID. = 2", "after": 1, "rewrite": "SELECT '301', '2'"})
    with pytest.raises(errors.RowferryError):
        items.run()
    assert items.loads() == 1


def test_a_cancelled_run_stops_soon_and_gives_its_lease_back(items: Into) -> None:
    items.emulator.fault({"match": "^MERGE INTO .*ITEMS", "seconds": 20})
    job, caught = items.job(), []

    def work() -> None:
        try:
            job.run()
        except errors.RowferryError as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: any("MERGE INTO" in sql and "ITEMS" in sql for sql in items.emulator.statements()))
    started = time.monotonic()
    job.cancel()
    thread.join(30)
    assert not thread.is_alive() and isinstance(caught[0], errors.CancelledError)
    assert time.monotonic() - started < 10
    items.emulator.fault()
    assert items.run(lock_timeout=10, lease_seconds=600).this_try.inserted == ROWS


# ---- what is refused, and what is shown ------------------------------------------------------------------


def test_a_channel_or_driver_that_is_not_there_is_told_with_what_brings_it(items: Into) -> None:
    with pytest.raises(errors.ConfigurationError, match="ODBC driver speaks https") as caught:
        items.run(channel="odbc")
    assert "channel adbc" in str(caught.value.hint)
    with pytest.raises(errors.ConfigurationError, match="cannot be loaded"):
        items.run(driver="/nowhere/lib.so")


def test_columns_that_snowflake_cannot_tell_apart_are_refused_by_name(into: Into) -> None:
    into.write('CREATE TABLE {t} (id int8 PRIMARY KEY, note text, "NOTE" text)')
    with pytest.raises(errors.ConfigurationError, match='"note" and "NOTE"'):
        into.run()
    assert into.run(columns=["id", "note"]).this_try.read == 0


def test_a_password_shows_nowhere(items: Into, tmp_path: Path) -> None:
    for target in (items.emulator.uri.replace(f":{PASSWORD}", f":{PASSWORD}@x"), items.emulator.uri.replace(f"port={items.emulator.port}", "port=1"), f"snowflake://u:{PASSWORD}@"):
        with pytest.raises(errors.RowferryError) as caught:
            items.run(target=target, connect_timeout=1)
        assert PASSWORD not in str(caught.value.to_dict()) + repr(caught.value)
    job = items.job()
    assert PASSWORD not in repr(job)
    assert PASSWORD not in str(job.run().to_dict()) + str(job.plan().to_dict())
    assert PASSWORD not in "".join(items.emulator.statements())


# ---- the self-test ---------------------------------------------------------------------------------------


def test_a_selftest_loads_in_a_schema_of_its_own_and_leaves_nothing(items: Into) -> None:
    done = rowferry.selftest(items.source, items.emulator.uri, items.table)
    assert [step.partition(":")[0] for step in done.steps][-2:] == ["5 load records", "the schema is dropped"]
    assert done.channel == "adbc"
    assert len(done.reports) == 4 and done.reports[0]["this_try"]["inserted"] == ROWS
    schemas = items.at_target.cursor().execute("SELECT schema_name FROM information_schema.schemata").fetchall()
    assert not [name for (name,) in schemas if "SELFTEST" in name.upper()]


def test_a_selftest_that_fails_leaves_nothing_either(items: Into) -> None:
    items.emulator.fault({"match": "^COPY INTO", **SUSPENDED})
    with pytest.raises(errors.TargetError, match="000606"):
        rowferry.selftest(items.source, items.emulator.uri, items.table)
    schemas = items.at_target.cursor().execute("SELECT schema_name FROM information_schema.schemata").fetchall()
    assert not [name for (name,) in schemas if "SELFTEST" in name.upper()]


def test_doctor_tells_the_account_and_names_the_channel(items: Into) -> None:
    items.run()
    items.emulator.statements()
    facts = rowferry.doctor(items.source, items.emulator.uri).target
    assert facts is not None and (facts["channel"], facts["database"], facts["control_tables"]) == ("adbc", "Snowflake", 2)
    assert facts["current_user"] and facts["version"]
    assert not [sql for sql in items.emulator.statements() if is_ddl(sql)]


def test_only_the_schema_of_a_selftest_can_be_discarded(items: Into) -> None:
    items.run()
    with pytest.raises(errors.ConfigurationError, match="not that of a self-test"):
        rowferry.job.Call({"source": items.source, "target": items.emulator.uri, "table": items.table}).execute("discard")
    assert items.loads() == 1
