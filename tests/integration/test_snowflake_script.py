"""Into Snowflake over ODBC, on a script: unixODBC loads a driver that answers what a test says, and nothing is behind it.

No test here ran on Snowflake, nor on an emulator of it: Snowflake's ODBC driver is in no package registry. What they show is
what the core sends through the real driver manager, from a real PostgreSQL, and what it makes of each answer and each lie.
`../native/test_snowflake_odbc.c` has the same without the manager, and each call failing in turn.
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from account import Emulator
from odbc_libraries import build_lacking

import rowferry
from rowferry.demo.servers import Server, clean_environment

numbers = itertools.count(1)
TARGET = "snowflake://loader:geheim-4711@org-acc/RAW?warehouse=W&role=R"
ROWS = 300
LOST = "HY000,4,(4) REST request for URL https://org-acc.snowflakecomputing.com failed: CURLerror (curl_easy_perform() failed)"
EXPIRED = "08001,390114,Authentication token has expired.  The user must authenticate again."
RUN = "print(json.dumps(job.run().to_dict()))"


@pytest.fixture(scope="module")
def source(pg18: Server) -> Iterator[str]:
    yield pg18.create_database("into_a_script")
    pg18.admin("DROP DATABASE into_a_script WITH (FORCE)")


class Scripted:
    """A table of the source's own for each test, and a process whose one ODBC driver is the script."""

    def __init__(self, source: str, library: Path, folder: Path) -> None:
        self.source, self.folder, self.spool, self.seen_in = source, folder, folder / "spool", folder / "seen"
        self.table = f"items_{next(numbers)}"
        self.target = f'"RAW"."POSTGRES"."{self.table.upper()}"'
        self.spool.mkdir()
        self.register(f"[SnowflakeDSIIDriver]\nDriver={library}\n")
        with psycopg.connect(source, autocommit=True) as session:
            session.execute(f"CREATE TABLE {self.table} (id int8 PRIMARY KEY, note text)")
            session.execute(f"INSERT INTO {self.table} SELECT i, 'note ' || i FROM generate_series(1, {ROWS}) i")

    def register(self, drivers: str) -> None:
        (self.folder / "odbcinst.ini").write_text(drivers)

    def script(self, *lines: str) -> list[str]:
        """A first load that ends well, but for what `lines` say: of two replies the earlier is given."""
        return [
            "dbms Snowflake",
            *lines,
            f'after MERGE INTO {self.target}: WHERE "_LOAD_ID"={ROWS}|{ROWS}',
            'reply WHERE "_LOAD_ID"=0|0',
            "after ' AS token: SELECT load_id::VARCHAR, token=1|TOKEN|night|1|rowferry|77",
            "reply CURRENT_SESSION()=77",
            "reply INFORMATION_SCHEMA.SCHEMATA=true|true|true",
            "reply SUM(rows_read)=0|0|0|0|0|0|0|0",
            "reply CURRENT_VERSION(), (SELECT MAX=2026-11-22T18:00:00.000000+00:00|9.4.1|~",
            "reply CURRENT_USER()=LOADER|9.4.1|R",
            'changed INSERT INTO "RAW"."_ROWFERRY"."LOADS"=1',
            "reply PUT 'file://=rows_0001.csv.zst|rows_0001.csv.zst|40|40|ZSTD|ZSTD|UPLOADED|~",
            f"reply COPY INTO=rowferry_files_1/rows/rows_0001.csv.zst|LOADED|{ROWS}|{ROWS}|1|0|~|~|~|~",
            f'reply SELECT COUNT(*)::VARCHAR FROM "ROWFERRY_STAGE_1"={ROWS}',
            f"changed MERGE INTO {self.target}={ROWS}",
            "reply CURRENT_TRANSACTION()=4711",
            "reply SYSTEM$ABORT_TRANSACTION=ended",
            "reply SELECT (COUNT(*)=true",
        ]

    def run(self, *lines: str, code: str = RUN, **settings: Any) -> dict[str, Any]:
        """What a process comes to under the script: what `code` prints, or the error."""
        given = {"channel": "odbc", "target": TARGET, "run_id": "night", "lock_timeout": 20, **settings}
        document = json.dumps({"source": self.source, "table": self.table, "spool_dir": str(self.spool), **given})
        program = (
            "import json, pathlib, sys, threading, time, rowferry\njob = rowferry.Job(**json.loads(sys.argv[1]))\n"
            f"try: {code}\nexcept rowferry.errors.RowferryError as error: print(json.dumps(error.to_dict()))"
        )
        environment = {"ODBCSYSINI": str(self.folder), "SCRIPTED_ODBC": "\n".join(self.script(*lines)), "SCRIPTED_ODBC_SEEN": str(self.seen_in)}
        done = subprocess.run([sys.executable, "-c", program, document], env=clean_environment(environment), capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def seen(self) -> list[str]:
        """What the script was sent and told."""
        return self.seen_in.read_text().split("\0")[:-1]

    def assert_nothing_is_loaded(self) -> None:
        """Rolled back where a transaction was open, never committed, the lease given back, no file left."""
        seen = self.seen()
        assert "(commit)" not in seen
        assert "(rollback)" in seen or "(autocommit off)" not in seen
        assert seen[-1] == "(disconnect)"
        self.assert_no_files()

    def assert_no_files(self) -> None:
        assert list(self.spool.iterdir()) == []
        made = [sql for sql in self.seen() if sql.startswith("CREATE") and sql.split()[1] not in ("TEMPORARY", "SCHEMA", "TABLE")]
        assert made == [], "what is not temporary outlives the session"


@pytest.fixture
def scripted(source: str, scripted_odbc: Path, tmp_path: Path) -> Scripted:
    return Scripted(source, scripted_odbc, tmp_path)


def at(seen: list[str], begins: str) -> int:
    return next(i for i, sql in enumerate(seen) if sql.startswith(begins))


# ---- a load ----------------------------------------------------------------------------------------------


def test_on_the_script_a_load_ends_in_one_commit_and_leaves_no_file(scripted: Scripted) -> None:
    report = scripted.run()
    assert (report["this_try"]["inserted"], report["target"]) == (ROWS, {"server_version": 90401, "channel": "odbc"})
    seen = scripted.seen()
    begun, ended = seen.index("(autocommit off)"), seen.index("(commit)")
    assert [sql.split()[0] for sql in seen[begun + 1 : ended]] == ["SELECT", "MERGE", "SELECT", "SELECT", "INSERT"]
    assert seen.count("(commit)") == 1 and not [sql for sql in seen[begun:] if sql.startswith(("CREATE", "USE", "PUT", "COPY"))]
    scripted.assert_no_files()


NOT_STATEMENTS = re.compile(r"\(|(BEGIN|COMMIT|ROLLBACK|ALTER SESSION SET AUTOCOMMIT.*)$")


def alike(sent: list[str]) -> list[str]:
    """Statements without what differs from run to run; transactions are begun and ended by each channel in its own way."""
    texts = [re.sub(r"'[0-9a-f]{32}'", "'token'", sql) for sql in sent if not NOT_STATEMENTS.match(sql)]
    texts = [re.sub(r"'[0-9A-F]+/[0-9A-F]+'", "'lsn'", sql) for sql in texts]
    texts = [re.sub(r"(?<=rowferry-spool-)[^/]+|\d+", "0", re.sub(r"/[^']*(?=/rowferry-spool)", "", sql)) for sql in texts]
    texts = [re.sub(r"\{.*\}", "{the report}", sql) for sql in texts]  # with seconds, and who held the watermark
    return [sql for i, sql in enumerate(texts) if i == 0 or sql != texts[i - 1]]  # the ADBC driver sends a PUT twice


def test_the_script_is_sent_word_for_word_what_the_adbc_driver_sends_to_the_emulator(scripted: Scripted, tmp_path: Path) -> None:
    emulator = Emulator()
    try:
        given = {"source": scripted.source, "target": emulator.uri, "run_id": "night", "lock_timeout": 20, "spool_dir": str(tmp_path)}
        with psycopg.connect(scripted.source, autocommit=True) as session:
            session.execute(f"CREATE TABLE before_{scripted.table} (id int8 PRIMARY KEY)")
        rowferry.Job(table=f"before_{scripted.table}", **given).run()  # schemas and control tables
        emulator.statements()
        rowferry.Job(table=scripted.table, **given).run()
        over_adbc = alike(emulator.statements())
    finally:
        emulator.close()
    scripted.run()
    over_odbc = alike(scripted.seen())
    assert len(over_odbc) > 15
    assert over_odbc == over_adbc


# ---- faults: nothing is half-loaded ----------------------------------------------------------------------


def test_on_the_script_a_file_that_cannot_be_sent_stops_the_run(scripted: Scripted) -> None:
    told = scripted.run("fail PUT 'file=42501,3001,SQL access control error:  Insufficient privileges to operate on stage")
    assert told["code"] == "authentication" and told["message"].startswith("target: send a file: 003001 (42501): SQL access control error")
    scripted.assert_nothing_is_loaded()


def test_on_the_script_a_file_that_was_not_sent_is_named_though_the_statement_succeeds(scripted: Scripted) -> None:
    told = scripted.run("reply PUT 'file=rows_0001.csv.zst|rows_0001.csv.zst|40|0|ZSTD|ZSTD|ERROR|403 Forbidden")
    assert told["code"] == "target" and "rows_0001.csv.zst" in told["message"] and told["message"].endswith("ERROR 403 Forbidden")
    assert not [sql for sql in scripted.seen() if sql.startswith("COPY")]
    scripted.assert_nothing_is_loaded()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (f"x/rows_0001.csv.zst|PARTIALLY_LOADED|{ROWS}|299", "Snowflake loaded 299 of them (PARTIALLY_LOADED)"),
        (f"x/rows_0001.csv.zst|LOADED|{ROWS}|299", "Snowflake loaded 299 of them (LOADED)"),
        ("Copy executed with 0 files processed.", "Snowflake loaded 0 of them (the file is not there)"),
    ],
)
def test_on_the_script_a_file_that_is_loaded_in_part_stops_the_run(scripted: Scripted, answer: str, said: str) -> None:
    told = scripted.run(f"reply COPY INTO={answer}")
    assert told["code"] == "target" and told["message"].startswith(f"{ROWS} rows were sent for raw.postgres.{scripted.table} in the file rows_0001.csv.zst") and said in told["message"]
    scripted.assert_nothing_is_loaded()


def test_on_the_script_files_that_count_right_and_a_stage_that_holds_fewer_rows_stop_the_run(scripted: Scripted) -> None:
    told = scripted.run(f'reply SELECT COUNT(*)::VARCHAR FROM "ROWFERRY_STAGE_1"={ROWS - 1}')
    assert told["code"] == "target" and f"the source sent {ROWS} rows" in told["message"]
    scripted.assert_nothing_is_loaded()


def test_on_the_script_a_driver_that_keeps_the_answer_about_files_to_itself_is_held_to_what_the_stage_holds(scripted: Scripted) -> None:
    silent = f"changed COPY INTO={ROWS}"
    assert scripted.run(silent)["this_try"]["inserted"] == ROWS
    scripted.seen_in.unlink()
    told = scripted.run(silent, f'reply SELECT COUNT(*)::VARCHAR FROM "ROWFERRY_STAGE_1"={ROWS - 1}')
    assert told["code"] == "target" and f"the source sent {ROWS} rows" in told["message"]
    scripted.assert_nothing_is_loaded()


def test_on_the_script_a_merge_that_fails_rolls_back(scripted: Scripted) -> None:
    told = scripted.run(f"fail MERGE INTO {scripted.target}=22018,100038,Numeric value 'NaN' is not recognized")
    assert (told["code"], told["retryable"], told["sqlstate"]) == ("data", False, "22018")
    assert told["message"] == "target: merge: 100038 (22018): Numeric value 'NaN' is not recognized" and "as_text" in told["hint"]
    assert "(rollback)" in scripted.seen()
    scripted.assert_nothing_is_loaded()


@pytest.mark.parametrize("lie", ["says one less", "says none", "table holds less", "counts twice"])
def test_on_the_script_a_merge_that_lies_about_its_rows_rolls_back(scripted: Scripted, lie: str) -> None:
    merge, holds = f"changed MERGE INTO {scripted.target}=", f'after MERGE INTO {scripted.target}: WHERE "_LOAD_ID"='
    lines = {"says one less": f"{merge}{ROWS - 1}", "says none": f"{merge}-1", "table holds less": f"{holds}{ROWS - 1}|{ROWS - 1}", "counts twice": f"{merge}{2 * ROWS}"}
    told = scripted.run(lines[lie])
    assert told["code"] == "internal"
    assert "(rollback)" in scripted.seen()
    scripted.assert_nothing_is_loaded()


def test_on_the_script_a_record_that_is_not_taken_commits_nothing(scripted: Scripted) -> None:
    told = scripted.run('changed INSERT INTO "RAW"."_ROWFERRY"."LOADS"=0')
    assert told["code"] == "fenced"
    scripted.assert_nothing_is_loaded()


# ---- a commit whose answer is lost -----------------------------------------------------------------------


def test_on_the_script_a_commit_whose_answer_is_lost_is_looked_up_once_its_transaction_has_ended(scripted: Scripted) -> None:
    report = scripted.run(f"lose after={LOST}")
    assert report["this_try"]["inserted"] == ROWS
    seen = scripted.seen()
    after = seen[seen.index("(commit)") :]
    order = [at(after, "(connect)"), at(after, "SELECT SYSTEM$ABORT_TRANSACTION(4711)"), at(after, "SELECT (COUNT(*) = 1)")]
    assert order == sorted(order)
    assert seen.count("(commit)") == 1 and len([sql for sql in seen if sql.startswith(f"MERGE INTO {scripted.target}")]) == 1
    scripted.assert_no_files()


def test_on_the_script_a_commit_that_never_arrived_is_a_failure_that_may_be_tried_again(scripted: Scripted) -> None:
    told = scripted.run(f"lose before={LOST}", "reply SELECT (COUNT(*)=false")
    assert (told["code"], told["retryable"]) == ("target", True) and "CURLerror" in told["message"]
    assert scripted.seen().count("(commit)") == 1
    scripted.assert_no_files()


def test_on_the_script_a_commit_that_is_refused_is_not_doubted(scripted: Scripted) -> None:
    told = scripted.run("lose before=57014,604,SQL execution canceled")
    assert told["code"] == "target" and "000604" in told["message"]
    assert len([sql for sql in scripted.seen() if sql.startswith("(connect)")]) == 1


# ---- tokens, locks, cancelling ---------------------------------------------------------------------------


def test_on_the_script_a_token_that_expires_before_the_load_is_renewed_by_another_session(scripted: Scripted) -> None:
    report = scripted.run(f"once ' AS token={EXPIRED}")
    assert report["this_try"]["inserted"] == ROWS
    seen = scripted.seen()
    assert [sql.partition(")")[0] for sql in seen if sql.startswith(("(connect", "(disconnect", "(commit"))] == ["(connect", "(disconnect", "(connect", "(commit", "(disconnect"]


@pytest.mark.parametrize("begins", ["COPY INTO", "MERGE INTO {target}", 'INSERT INTO "RAW"."_ROWFERRY"."LOADS"'])
def test_on_the_script_a_token_that_expires_within_the_load_fails_it_whole(scripted: Scripted, begins: str) -> None:
    told = scripted.run(f"fail {begins.format(target=scripted.target)}={EXPIRED}")
    assert (told["code"], told["retryable"]) == ("target", True) and "390114 (08001)" in told["message"]
    assert len([sql for sql in scripted.seen() if sql.startswith("(connect)")]) == 1
    scripted.assert_nothing_is_loaded()


def test_on_the_script_a_lock_that_somebody_holds_is_waited_for_and_told_as_busy(scripted: Scripted) -> None:
    locked = "57014,625,Statement '1' has locked table 'T' in transaction 2 and this lock has not yet been released."
    assert scripted.run(f"once MERGE INTO {scripted.target}={locked}")["this_try"]["inserted"] == ROWS
    scripted.seen_in.unlink()
    told = scripted.run(f"fail MERGE INTO {scripted.target}={locked}", lock_timeout=1)
    assert (told["code"], told["retryable"]) == ("busy", True)
    scripted.assert_nothing_is_loaded()


CANCEL_ONCE_SEEN = """
    def cancel():
        while {begins!r} not in pathlib.Path('{seen}').read_text(): time.sleep(0.01)
        job.cancel()
    threading.Thread(target=cancel).start()
    pathlib.Path('{seen}').touch()
    job.run()"""


@pytest.mark.parametrize("begins", ["MERGE INTO {target}", "COPY INTO", "PUT 'file"])
def test_on_the_script_a_statement_that_does_not_end_is_cancelled_and_the_lease_given_back(scripted: Scripted, begins: str) -> None:
    begins = begins.format(target=scripted.target)
    scripted.seen_in.touch()
    told = scripted.run(f"wait {begins}", code=CANCEL_ONCE_SEEN.format(begins=begins, seen=scripted.seen_in))
    assert told["code"] == "cancelled"
    assert [sql for sql in scripted.seen() if sql.startswith("UPDATE") and "SET token = NULL" in sql]
    scripted.assert_nothing_is_loaded()


# ---- channels and drivers --------------------------------------------------------------------------------

WITHOUT_ADBC = "sys.modules['adbc_driver_snowflake'] = None\n    job = rowferry.Job(**json.loads(sys.argv[1]))\n    "


def test_without_the_adbc_package_a_registered_driver_is_taken_and_without_both_the_error_names_both(scripted: Scripted) -> None:
    assert scripted.run(code=f"\n    {WITHOUT_ADBC}{RUN}", channel="auto")["target"]["channel"] == "odbc"
    scripted.register("")
    told = scripted.run(code=f"\n    {WITHOUT_ADBC}{RUN}", channel="auto")
    assert told["code"] == "configuration"
    assert "adbc-driver-snowflake is not installed, and no ODBC driver for Snowflake is registered" in told["message"]
    assert "pip install 'rowferry[snowflake]'" in told["hint"] and "docs.snowflake.com/en/developer-guide/odbc" in told["hint"]
    told = scripted.run()
    assert (told["code"], told["message"]) == ("configuration", "no ODBC driver for Snowflake is registered on this machine")
    told = scripted.run(code=f"\n    {WITHOUT_ADBC}{RUN}", channel="adbc")
    assert told["code"] == "configuration" and "pip install 'rowferry[snowflake]'" in told["hint"]


def test_a_registered_snowflake_driver_whose_own_library_is_missing_names_that_library(scripted: Scripted, tmp_path: Path) -> None:
    library = build_lacking(tmp_path, "libSnowflake.so")
    scripted.register(f"[SnowflakeDSIIDriver]\nDriver={library}\n")
    for channel, code in (("odbc", RUN), ("auto", f"\n    {WITHOUT_ADBC}{RUN}")):
        told = scripted.run(code=code, channel=channel)
        assert told["code"] == "configuration" and "libSnowflake.so" in told["message"] and "libneeded.so" in told["message"] and "ldd" in told["hint"]


def test_a_driver_is_named_by_its_name_or_library_and_one_of_another_database_refused(scripted: Scripted, scripted_odbc: Path) -> None:
    assert scripted.run(driver=str(scripted_odbc))["this_try"]["inserted"] == ROWS
    scripted.register(f"[Another]\nDriver={scripted_odbc}\n")
    assert scripted.run(driver="Another")["this_try"]["inserted"] == ROWS
    told = scripted.run("dbms MariaDB", driver="Another")
    assert (told["code"], told["message"]) == ("configuration", 'the target is Snowflake, and the ODBC driver is one for "MariaDB"')
    told = scripted.run(target="odbc:Driver=Another", channel="auto")
    assert told["code"] == "configuration" and "snowflake://" in told["hint"]


@pytest.mark.parametrize(
    ("signs_in", "told"),
    [
        ("loader:geheim-4711@org-acc/RAW?", "UID=loader;AUTHENTICATOR=snowflake;PWD=geheim-4711;"),
        ("loader@org-acc/RAW?private_key_file=/etc/key.p8&", "UID=loader;AUTHENTICATOR=snowflake_jwt;PRIV_KEY_FILE=/etc/key.p8;"),
        ("loader@org-acc/RAW?private_key_file=/etc/key.p8&private_key_file_pwd=geheim%3B4711&", "PRIV_KEY_FILE=/etc/key.p8;PRIV_KEY_FILE_PWD={geheim;4711};"),
        ("loader@org-acc/RAW?private_key=-----BEGIN%20geheim&private_key_file_pwd=geheim-4711&", "AUTHENTICATOR=snowflake_jwt;PRIV_KEY_BASE64=LS0tLS1CRUdJTiBnZWhlaW0=;PRIV_KEY_PWD=geheim-4711;"),
        ("loader@org-acc/RAW?token=geheim-4711&", "AUTHENTICATOR=oauth;TOKEN=geheim-4711;"),
    ],
)
def test_each_way_to_sign_in_reaches_the_driver_by_the_names_of_its_documentation_and_is_never_shown(scripted: Scripted, signs_in: str, told: str) -> None:
    target = f"snowflake://{signs_in}warehouse=W&role=R"
    assert scripted.run(target=target)["this_try"]["inserted"] == ROWS
    connected = scripted.seen()[0]
    assert connected.startswith("(connect)DRIVER={SnowflakeDSIIDriver};Server=org-acc.snowflakecomputing.com;Account=org-acc;")
    assert told in connected and "NoExecuteInSQLPrepare=true;" in connected
    refused = scripted.run(f"fail (connect)=28000,390100,Incorrect username or password was specified: {told}", target=target)
    assert refused["code"] == "authentication" and "geheim" not in json.dumps(refused) and "LS0tLS1CRUdJTiB" not in json.dumps(refused)


def test_doctor_names_the_channel_of_a_snowflake_target(scripted: Scripted) -> None:
    facts = "print(json.dumps(rowferry.doctor(job.source, job.target, channel='odbc').target))"
    assert scripted.run(code=facts) == {
        "channel": "odbc", "database": "Snowflake", "current_user": "LOADER", "version": "9.4.1", "role": "R", "read_only": False, "control_tables": 2,
    }  # fmt: skip
    printed = "from rowferry import checkup, terminal; lines = terminal.server_lines(checkup.doctor(job.source, job.target, channel='odbc')); print(json.dumps({'lines': list(lines)}))"
    assert "target: Snowflake 9.4.1 through ODBC, as LOADER, its control tables are there" in scripted.run(code=printed)["lines"]
    assert "(autocommit off)" not in scripted.seen()
