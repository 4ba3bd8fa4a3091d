"""Make the logs of this folder: each function fails, or runs well, for real, and what it printed is its log.

    python tests/diagnosis/servers/provoke.py            all of them: about ten minutes, most of it dbt
    python tests/diagnosis/servers/provoke.py NAME …     these alone

PostgreSQL, MariaDB, DuckDB, SQLite, dbt, psql, psycopg 2 and 3, pymysql, requests and rowferry are real. Snowflake is tests/faults/emulator.py, told which
of the errors that Snowflake documents to answer; the driver that prints them is Snowflake's. `expected.json` says of each
log which cause comes first, or null for one that ran well. Folders, ports and pids are those of no machine.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from rowferry.demo.servers import Server, clean_environment, start_postgres

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent)]
import dbt_projects  # noqa: E402

BIN = Path(sys.executable).parent

Make = Callable[["Place"], str]
LOGS: dict[str, tuple[str | None, Make]] = {}


class Place:
    """A folder of its own for one log, and the servers of all."""

    def __init__(self, folder: Path, server: Server, mariadb: str | None) -> None:
        self.folder, self.server, self.mariadb = folder, server, mariadb

    def uri(self) -> str:
        return self.server.uri("shop")

    def run(self, *command: str, **environment: str) -> str:
        """What a command prints, both streams as they come."""
        variables = {**clean_environment(), "PATH": f"{BIN}:{os.environ['PATH']}", "URI": self.uri(), "MARIADB": self.mariadb or "", **environment}
        done = subprocess.run(command, cwd=self.folder, env=variables, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=300)
        return done.stdout

    def python(self, script: str, **environment: str) -> str:
        (self.folder / "load.py").write_text(textwrap.dedent(script).lstrip())
        return self.run(sys.executable, "load.py", **environment)


def log(cause: str | None) -> Callable[[Make], Make]:
    def register(make: Make) -> Make:
        LOGS[make.__name__] = cause, make
        return make

    return register


def main() -> None:
    chosen = sys.argv[1:] or list(LOGS)
    os.environ.update(DBT_SEND_ANONYMOUS_USAGE_STATS="0")
    folder = Path(tempfile.mkdtemp(prefix="rf-provoke", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with start_postgres(settings={"max_connections": 12, "superuser_reserved_connections": 3}) as server, mariadb() as maria:
            server.create_database("shop")
            for name in chosen:
                make = LOGS[name][1]
                place = Place(folder / name, server, maria)
                place.folder.mkdir()
                (HERE / f"{name}.log").write_text(anonymous(make(place), place))
                print(name, flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    there = {name: cause for name, (cause, _) in LOGS.items() if (HERE / f"{name}.log").exists()}
    (HERE / "expected.json").write_text(json.dumps(there, indent=1) + "\n")


@contextmanager
def mariadb() -> Iterator[str | None]:
    from mariadb_server import start_mariadb

    with start_mariadb() as server:
        yield f"mariadb://root@127.0.0.1:{server.port}"


def anonymous(text: str, place: Place) -> str:
    for folder, instead in ((str(place.folder), "/opt/project"), (str(BIN.parent), "/opt/venv"), (str(HERE.parent.parent.parent), "/opt/rowferry"), (sys.base_prefix, "/usr/local")):
        text = text.replace(folder, instead)
    text = re.sub(rf"\b{place.server.port}\b", "5432", text)
    if place.mariadb and (port := urlsplit(place.mariadb).port):
        text = re.sub(rf"\b{port}\b", "3306", text)
    text = re.sub(r"/tmp/rf-[^\s\"']*", "/tmp/socket", text)
    text = re.sub(r"\bPID \d+", "PID 4711", re.sub(r"\[\d{2,7}\](?= )", "[4711]", text))
    return re.sub(r"[ \t]+$", "", text, flags=re.M)


# ── PostgreSQL ────────────────────────────────────────────────────────────────────────────────────────────────────

TABLES = """
    drop schema if exists raw cascade; create schema raw;
    create table raw.orders (id int primary key, user_id int not null, status varchar(8), total numeric(5,2), items int, check (items >= 0));
    create table raw.payments (id int primary key, order_id int references raw.orders);
    insert into raw.orders values (1, 1, 'new', 10, 2), (2, 1, 'paid', 20, 0);
"""
STATEMENTS = {
    "division_by_zero": "select total / items from raw.orders",
    "duplicate_merge_keys": "insert into raw.orders values (7, 1), (7, 1) on conflict (id) do update set user_id = excluded.user_id",
    "missing_unique_index": "insert into raw.orders values (7, 1) on conflict (user_id) do nothing",
    "unique_violation": "insert into raw.orders values (1, 1)",
    "not_null_violation": "insert into raw.orders (id) values (9)",
    "foreign_key_violation": "insert into raw.payments values (1, 999)",
    "check_violation": "insert into raw.orders values (9, 1, 'x', 1, -1)",
    "numeric_out_of_range": "update raw.orders set total = 100000",
    "string_too_long": "update raw.orders set status = 'a status that is too long'",
    "missing_column": "select o.total_amount from raw.orders o",
    "missing_relation": "select * from raw.ordrs",
    "missing_schema": "create table staging.orders (id int)",
    "missing_function": "select dateadd('day', 1, current_date)",
    "invalid_value": "select 'twelve'::text::int",
    "bad_timestamp": "select '2026-13-01'::timestamptz",
    "type_mismatch": "update raw.orders set items = 'a'::text",
    "ambiguous_column": "select id from raw.orders o join raw.payments p on p.order_id = o.id",
    "grouping": "select status, count(*) from raw.orders",
    "subquery_many_rows": "select (select id from raw.orders)",
    "column_count": "select 1 union select 1, 2",
    "sql_syntax": "select id, from raw.orders",
    "statement_timeout": "set statement_timeout = '50ms'; select pg_sleep(5)",
    "read_only": "set transaction read only; create table raw.x ()",
    "dependent_objects": "create view raw.v as select * from raw.orders; drop table raw.orders",
    "relation_exists": "create table raw.orders (id int)",
    "permission_denied": "create role reader; set role reader; select * from raw.orders",
    "replication_slot_missing": "select * from pg_logical_slot_get_changes('gone', null, null)",
    "invalid_snapshot": "set transaction isolation level repeatable read; set transaction snapshot '00000003-0000001B-1'",
    "encoding": r"select convert_from('\xff'::bytea, 'UTF8')",
}
PSYCOPG2 = """
    import os, psycopg2
    def load(sql):
        with psycopg2.connect(os.environ["URI"]) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
    load(os.environ["TABLES"]); load(os.environ["SQL"])
"""
PSYCOPG3 = PSYCOPG2.replace("psycopg2", "psycopg")
SQLALCHEMY = """
    import os, logging, sqlalchemy
    logging.basicConfig(level=logging.INFO, format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
    engine = sqlalchemy.create_engine(os.environ["URI"].replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as connection:
        connection.exec_driver_sql(os.environ["TABLES"].replace("%", "%%"))
    logging.info("the tables are there")
    try:
        with engine.begin() as connection:
            connection.exec_driver_sql(os.environ["SQL"].replace("%", "%%"))
    except sqlalchemy.exc.SQLAlchemyError:
        logging.exception("the load of raw.orders failed")
"""


def _by_statement(n: int, cause: str, sql: str) -> None:
    how = ("psycopg2", "psycopg3", "psql", "sqlalchemy")[n % 4]

    def make(place: Place) -> str:
        if how == "psql":
            place.run("psql", place.uri(), "-qc", TABLES)
            (place.folder / "load.sql").write_text(f"begin;\n{sql};\nselect 1;\ncommit;\n")
            return place.run("psql", place.uri(), "-f", "load.sql")
        script = {"psycopg2": PSYCOPG2, "psycopg3": PSYCOPG3, "sqlalchemy": SQLALCHEMY}[how]
        return place.python(script, TABLES=TABLES, SQL=sql)

    make.__name__ = f"{how}_{cause}"
    log(cause)(make)


for _n, (_cause, _sql) in enumerate(STATEMENTS.items()):
    _by_statement(_n, _cause, _sql)


@log("deadlock")
def psycopg3_deadlock(place: Place) -> str:
    place.run("psql", place.uri(), "-qc", TABLES)
    return place.python("""
        import os, threading, psycopg
        both = threading.Barrier(2)
        def pay(first, second):
            with psycopg.connect(os.environ["URI"]) as connection:
                connection.execute("update raw.orders set items = 1 where id = %s", (first,))
                both.wait()
                connection.execute("update raw.orders set items = 1 where id = %s", (second,))
        threads = [threading.Thread(target=pay, args=pair) for pair in ((1, 2), (2, 1))]
        [thread.start() for thread in threads]; [thread.join() for thread in threads]
    """)


@log("serialization_failure")
def psycopg2_serialization(place: Place) -> str:
    place.run("psql", place.uri(), "-qc", TABLES)
    return place.python("""
        import os, psycopg2
        one, two = (psycopg2.connect(os.environ["URI"]) for _ in range(2))
        for connection in (one, two):
            connection.set_session("REPEATABLE READ"); connection.cursor().execute("select * from raw.orders")
        one.cursor().execute("update raw.orders set items = 3"); one.commit()
        two.cursor().execute("update raw.orders set items = 4")
    """)


@log("lock_timeout")
def psycopg3_lock_timeout(place: Place) -> str:
    place.run("psql", place.uri(), "-qc", TABLES)
    return place.python("""
        import os, psycopg
        one, two = (psycopg.connect(os.environ["URI"]) for _ in range(2))
        one.execute("lock table raw.orders")
        two.execute("set lock_timeout = '50ms'"); two.execute("alter table raw.orders add column x int")
    """)


@log("connection_exhaustion")
def psycopg2_too_many(place: Place) -> str:
    return place.python("""
        import os, psycopg2
        connections = [psycopg2.connect(os.environ["URI"]) for _ in range(40)]
    """)


@log("server_starting")
def psycopg3_terminated(place: Place) -> str:
    return place.python("""
        import os, psycopg
        one, two = (psycopg.connect(os.environ["URI"], autocommit=True) for _ in range(2))
        two.execute("select pg_terminate_backend(%s)", (one.info.backend_pid,))
        one.execute("select count(*) from pg_class")
    """)


@log("idle_transaction_timeout")
def psycopg3_idle(place: Place) -> str:
    return place.python("""
        import os, time, psycopg
        connection = psycopg.connect(os.environ["URI"])
        connection.execute("set idle_in_transaction_session_timeout = '20ms'")
        time.sleep(0.3)
        connection.execute("select 1")
    """)


@log("connection_refused")
def psycopg2_refused(place: Place) -> str:
    return place.python('import psycopg2\npsycopg2.connect("postgresql://etl:secretword@127.0.0.1:1/shop")')


@log("host_not_found")
def psycopg3_no_host(place: Place) -> str:
    return place.python('import psycopg\npsycopg.connect("postgresql://etl:secretword@db.invalid/shop")')


@log("missing_database")
def psql_no_database(place: Place) -> str:
    return place.run("psql", place.server.uri("shoop"), "-c", "select 1")


@log("authentication_failed")
def psycopg2_no_role(place: Place) -> str:
    return place.python('import os, psycopg2\npsycopg2.connect(os.environ["URI"], user="nobody_we_know")')


@log("tls_failure")
def psycopg3_no_tls(place: Place) -> str:
    return place.python('import os, psycopg\npsycopg.connect(os.environ["URI"], sslmode="require", host="127.0.0.1")')


@log("client_pool_exhausted")
def sqlalchemy_pool(place: Place) -> str:
    return place.python("""
        import os, sqlalchemy
        engine = sqlalchemy.create_engine(os.environ["URI"].replace("postgresql://", "postgresql+psycopg2://"), pool_size=1, max_overflow=1, pool_timeout=0.1)
        connections = [engine.connect() for _ in range(3)]
    """)


@log("unique_violation")
def server_log_of_postgres(place: Place) -> str:
    place.run("psql", place.uri(), "-qc", TABLES)
    place.run("psql", place.uri(), "-qc", "insert into raw.orders values (1, 1)")
    lines = place.server.log_path.read_text().splitlines()
    last = max(n for n, line in enumerate(lines) if "duplicate key" in line)
    return "\n".join(lines[last : last + 3]) + "\n"


# ── DuckDB, SQLite, MariaDB ───────────────────────────────────────────────────────────────────────────────────────

DUCKDB = {
    "missing_column": "select total_amount from orders",
    "missing_relation": "select * from ordrs",
    "missing_function": "select iff(true, 1, 2)",
    "unique_violation": "insert into orders values (1, 1, 1, 1)",
    "not_null_violation": "insert into orders (id) values (9)",
    "check_violation": "insert into orders values (9, 1, 1, -1)",
    "numeric_out_of_range": "select 1000000::decimal(5,2)",
    "invalid_value": "select 'twelve'::int",
    "bad_timestamp": "select 'yesterday'::timestamp",
    "sql_syntax": "select id from orders wher id = 1",
    "type_mismatch": "select * from orders where id = date '2026-01-01'",
    "duplicate_merge_keys": "merge into orders o using (values (1, 5), (1, 6)) s(id, u) on o.id = s.id when matched then update set user_id = u",
    "file_missing": "select * from 'nothing/*.parquet'",
    "out_of_memory": "set memory_limit = '20MB'; set threads = 1; select list(range order by range desc) from range(9000000)",
    "disk_full": "set memory_limit = '12MB'; set threads = 1; set max_temp_directory_size = '0KB'; create table big as select range, md5(range::text) from range(3000000) order by 2",
}


def _by_duckdb(cause: str, sql: str) -> None:
    def make(place: Place) -> str:
        return place.python("""
            import os, duckdb
            connection = duckdb.connect("dwh.duckdb")
            connection.execute("create table orders (id int primary key, user_id int not null, total decimal(5,2), items int check (items >= 0))")
            connection.execute("insert into orders values (1, 1, 1, 1)")
            connection.execute(os.environ["SQL"]).fetchall()
        """, SQL=sql)

    make.__name__ = f"duckdb_{cause}"
    log(cause)(make)


for _cause, _sql in DUCKDB.items():
    _by_duckdb(_cause, _sql)


@log("duckdb_file_locked")
def duckdb_locked(place: Place) -> str:
    return place.python("""
        import duckdb, subprocess, sys
        connection = duckdb.connect("dwh.duckdb")
        subprocess.run([sys.executable, "-c", "import duckdb; duckdb.connect('dwh.duckdb')"])
    """)


@log("serialization_failure")
def duckdb_conflict(place: Place) -> str:
    return place.python("""
        import duckdb
        one = duckdb.connect("dwh.duckdb"); two = one.cursor()
        one.execute("create table t as select 1 as x")
        one.execute("begin"); two.execute("begin")
        one.execute("update t set x = 2"); two.execute("update t set x = 3")
    """)


@log("not_a_database")
def duckdb_no_database(place: Place) -> str:
    (place.folder / "dwh.duckdb").write_text("id,total\n1,2\n" * 400)
    return place.python('import duckdb\nduckdb.connect("dwh.duckdb")')


@log("lock_timeout")
def sqlite_locked(place: Place) -> str:
    return place.python("""
        import sqlite3
        one, two = (sqlite3.connect("shop.db", timeout=0, isolation_level=None) for _ in range(2))
        one.execute("begin exclusive"); two.execute("create table t (x)")
    """)


MARIADB = {
    "duplicate_entry": ("unique_violation", "insert into t values (1, 'a', 1); insert into t values (1, 'a', 1)"),
    "unknown_column": ("missing_column", "select total from t"),
    "too_long": ("string_too_long", "insert into t values (2, 'a long text', 1)"),
    "no_table": ("missing_relation", "select * from nothing"),
    "out_of_range": ("numeric_out_of_range", "insert into t values (3, 'a', 1000)"),
    "syntax": ("sql_syntax", "selec 1"),
}


def _by_mariadb(name: str, cause: str, sql: str) -> None:
    def make(place: Place) -> str:
        return place.python("""
            import os, pymysql
            from urllib.parse import urlsplit, unquote
            at = urlsplit(os.environ["MARIADB"])
            connection = pymysql.connect(host=at.hostname, port=at.port or 3306, user=unquote(at.username or "root"), password=unquote(at.password or ""))
            cursor = connection.cursor()
            cursor.execute("create database if not exists shop"); cursor.execute("use shop")
            cursor.execute("create or replace table t (id int primary key, name varchar(3), n tinyint)")
            for statement in os.environ["SQL"].split(";"):
                cursor.execute(statement)
        """, SQL=sql)

    make.__name__ = f"mariadb_{name}"
    log(cause)(make)


for _name, (_cause, _sql) in MARIADB.items():
    _by_mariadb(_name, _cause, _sql)


# ── Snowflake's errors as documented, through its driver and the emulator ─────────────────────────────────────────

SNOWFLAKE = {
    "division_by_zero": ("100051", "22012", "Division by zero"),
    "missing_column": ("000904", "42000", "SQL compilation error: error line 3 at position 7\ninvalid identifier 'TOTAL_AMOUNT'"),
    "duplicate_merge_keys": ("100090", "42P18", 'Duplicate row detected during DML action\nRow Values: [1, "a@example.com", 12.5]'),
    "missing_relation": ("002003", "42S02", "SQL compilation error:\nObject 'RAW.POSTGRES.ORDERS' does not exist or not authorized."),
    "invalid_value": ("100038", "22018", "Numeric value 'twelve' is not recognized"),
    "bad_timestamp": ("100035", "22007", "Timestamp '2026-13-01' is not recognized"),
    "string_too_long": ("100078", "22000", "String 'a status that is too long' is too long and would be truncated"),
    "not_null_violation": ("100072", "22000", "NULL result in a non-nullable column"),
    "numeric_out_of_range": ("100039", "22003", "Numeric value '100000' is out of range"),
    "no_warehouse": ("000606", "57P03", "No active warehouse selected in the current session.  Select an active warehouse with the 'use warehouse' command."),
    "statement_timeout": ("000630", "57014", "Statement reached its statement or warehouse timeout of 3,600 second(s) and was canceled."),
    "lock_timeout": ("000625", "57014", "Statement '01b2c3d4-0000' has locked table 'ORDERS' in transaction 1764200000000 and this lock has not yet been released."),
    "permission_denied": ("003001", "42501", "SQL access control error:\nInsufficient privileges to operate on schema 'POSTGRES'"),
}


def _by_snowflake(cause: str, code: str, sqlstate: str, message: str) -> None:
    def make(place: Place) -> str:
        return place.python("""
            import json, os, subprocess, sys, time, urllib.error, urllib.request
            import snowflake.connector
            emulator = subprocess.Popen([sys.executable, os.environ["EMULATOR"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            port = int(emulator.stdout.readline().split()[-1])
            try:
                fault = [{"match": "the_statement", "times": 9, "code": os.environ["CODE"], "message": os.environ["MESSAGE"]}]
                for _ in range(600):
                    try:
                        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{port}/faults", json.dumps(fault).encode(), method="POST"))
                        break
                    except urllib.error.URLError:
                        time.sleep(0.1)
                connection = snowflake.connector.connect(user="u", password="p", account="emulated", host="127.0.0.1", port=port, protocol="http", database="RAW", warehouse="W")
                connection.cursor().execute("select 1 as the_statement")
            finally:
                emulator.kill()
        """, EMULATOR=str(HERE.parent.parent / "faults" / "emulator.py"), CODE=code, MESSAGE=message)

    make.__name__ = f"snowflake_{cause}"
    log(cause)(make)


for _cause, (_code, _state, _message) in SNOWFLAKE.items():
    _by_snowflake(_cause, _code, _state, _message)


# ── Python, the web, the machine ──────────────────────────────────────────────────────────────────────────────────

PYTHON = {
    "missing_module": "import snowflake_of_nowhere",
    "missing_env_var": "import os\nos.environ['WAREHOUSE_PASSWORD']",
    "file_missing": "open('/opt/data/orders.csv')",
    "python_syntax": "import ast\nast.parse('def load(:')",
    "python_bad_call": "def load(table): pass\nload(tabel='orders')",
    "bad_json": "import json\njson.loads('<html>')",
    "encoding": "b'\\xff\\xfe'.decode()",
    "out_of_memory": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))\nx = bytearray(1 << 33)",
    "command_not_found": "import subprocess\nsubprocess.run('dbtt run', shell=True, check=True)",
    "killed": "import os, signal, subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import os; os.kill(os.getpid(), 9)'], check=True)",
    "too_many_open_files": "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))\nfiles = [open('/dev/null') for _ in range(20)]",
    "connection_refused": "import requests\nrequests.get('http://127.0.0.1:1/v1/orders?token=secretword')",
    "host_not_found": "import requests\nrequests.get('https://api.invalid/v1/orders')",
    "disk_full": "import os\nwith open('/dev/full', 'w') as file:\n    file.write('x' * 100000)",
    "port_in_use": "import socket\na = socket.create_server(('127.0.0.1', 0))\nsocket.create_server(a.getsockname())",
    "division_by_zero": "orders, days = 10, 0\nprint(orders / days)",
}


def _by_python(cause: str, script: str) -> None:
    def make(place: Place) -> str:
        return place.python(script)

    make.__name__ = f"python_{cause.removeprefix('python_')}"
    log(cause)(make)


for _cause, _script in PYTHON.items():
    _by_python(_cause, _script)

HTTP = {401: "http_unauthorized", 429: "rate_limited", 503: "http_server_error", 404: "http_not_found", 422: "http_bad_request"}


def _by_http(status: int, cause: str) -> None:
    def make(place: Place) -> str:
        return place.python(f"""
            import http.server, threading, requests
            class Answers(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response({status}); self.end_headers()
                def log_message(self, *_): pass
            server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
            threading.Thread(target=server.serve_forever, daemon=True).start()
            requests.get(f"http://127.0.0.1:{{server.server_port}}/v1/orders").raise_for_status()
        """)

    make.__name__ = f"http_{status}"
    log(cause)(make)


for _status, _cause in HTTP.items():
    _by_http(_status, _cause)


# ── dbt ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _by_dbt(name: str, made: dbt_projects.DbtProject) -> None:
    def make(place: Place) -> str:
        dbt_projects.write(made.files, place.folder, place.uri())
        return [dbt_projects.run(place.folder, *command.split()) for command in made.commands][-1]

    make.__name__ = name
    log(made.cause)(make)


for _name, _project in dbt_projects.SERVERS.items():
    if _project.cause:
        _by_dbt(_name, _project)


@log("dbt_project_missing")
def dbt_no_project(place: Place) -> str:
    (place.folder / "profiles.yml").write_text("{}")
    return dbt_projects.run(place.folder, "run")


# ── What ran well ─────────────────────────────────────────────────────────────────────────────────────────────────

for _name, _project in dbt_projects.SERVERS.items():
    if not _project.cause:
        _by_dbt(_name, _project)


WELL = {
    "logging": """
        import logging
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        logging.info("loading raw.orders"); logging.info("0 errors, 0 rows rejected"); logging.warning("status is null in 3 rows"); logging.info("200 rows loaded")
    """,
    "retry": """
        import logging
        logging.basicConfig(level=logging.INFO)
        logging.warning("try 1 of 3: connection refused, again in 1 s"); logging.info("connected"); logging.info("200 rows loaded")
    """,
    "urllib3_retry": """
        import http.server, logging, threading, requests
        from requests.adapters import HTTPAdapter, Retry
        logging.basicConfig(level=logging.DEBUG)
        class Answers(http.server.BaseHTTPRequestHandler):
            n = 0
            def do_GET(self):
                Answers.n += 1
                self.send_response(503 if Answers.n < 3 else 200); self.send_header("Content-Length", "0"); self.end_headers()
            def log_message(self, *_): pass
        server = http.server.HTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        session = requests.Session(); session.mount("http://", HTTPAdapter(max_retries=Retry(5, status_forcelist=[503])))
        logging.info("answered %s", session.get(f"http://127.0.0.1:{server.server_port}/v1/orders").status_code)
    """,
    "caught": """
        import logging, os, psycopg
        logging.basicConfig(level=logging.INFO)
        with psycopg.connect(os.environ["URI"], autocommit=True) as connection:
            try:
                connection.execute("select 1/0")
            except psycopg.errors.DivisionByZero:
                logging.info("the check of the guard raised division by zero, as it has to")
        logging.info("done")
    """,
    "sqlalchemy_echo": """
        import os, sqlalchemy
        engine = sqlalchemy.create_engine(os.environ["URI"].replace("postgresql://", "postgresql+psycopg2://"), echo=True)
        with engine.begin() as connection:
            print(connection.execute(sqlalchemy.text("select count(*) from pg_class where relname like '%does not exist%'")).scalar())
    """,
}


WELL |= {
    "duckdb": """
        import duckdb
        connection = duckdb.connect("dwh.duckdb")
        connection.execute("create table orders as select range as id, range % 3 as items from range(100)")
        print(connection.sql("select items, count(*), try_cast('twelve' as int) as not_a_number, sum(id / nullif(items, 0)) from orders group by 1 order by 1"))
        print("100 rows written to dwh.duckdb")
    """,
    "sqlite": """
        import logging, sqlite3
        logging.basicConfig(level=logging.INFO, format="%(levelname)s:%(name)s:%(message)s")
        connection = sqlite3.connect("shop.db")
        connection.execute("create table if not exists errors (message text)")
        connection.execute("insert into errors values ('no such table: orders'), ('disk I/O error')")
        logging.info("the table of errors holds %s", connection.execute("select * from errors").fetchall())
    """,
    "psycopg_notices": """
        import logging, os, psycopg
        logging.basicConfig(level=logging.DEBUG, format="%(asctime)s | %(levelname)-8s | %(name)s:%(lineno)d - %(message)s")
        with psycopg.connect(os.environ["URI"]) as connection:
            connection.add_notice_handler(lambda notice: logging.info("%s: %s", notice.severity, notice.message_primary))
            connection.execute("create table if not exists seen (x int)"); connection.execute("create table if not exists seen (x int)")
            connection.execute("drop table if exists never_there")
    """,
    "csv": """
        import csv, io
        rows = list(csv.DictReader(io.StringIO("id,message\\n1,Connection refused\\n2,out of memory\\n")))
        print("read", len(rows), "rows"); print("finished without a failed row")
    """,
    "warnings": """
        import warnings
        warnings.warn("the column 'total' will be renamed in version 3", DeprecationWarning)
        warnings.warn("pandas only supports SQLAlchemy connectable", UserWarning)
        print("done: 12 of 12 files loaded")
    """,
    "unittest": """
        import unittest
        class Guards(unittest.TestCase):
            def test_division_by_zero(self): self.assertRaises(ZeroDivisionError, lambda: 1 / 0)
        unittest.main(verbosity=2)
    """,
}


def _well(name: str, script: str) -> None:
    def make(place: Place) -> str:
        return place.python(script)

    make.__name__ = f"python_well_{name}"
    log(None)(make)


for _name, _script in WELL.items():
    _well(_name, _script)


@log(None)
def psql_well(place: Place) -> str:
    (place.folder / "load.sql").write_text("begin;" + TABLES + "create table if not exists raw.orders (id int);\nupdate raw.orders set items = 3;\ncommit;\n")
    return place.run("psql", place.uri(), "-f", "load.sql")


@log(None)
def server_log_well(place: Place) -> str:
    with start_postgres(settings={"log_connections": "on", "log_checkpoints": "on", "log_statement": "all"}) as server:
        server.create_database("shop")
        place.run("psql", server.uri("shop"), "-qc", "create table if not exists t (x int); create table if not exists t (x int); select 'ERROR: none'")
        return server.log_path.read_text()


def _rowferry(name: str, cause: str | None, *arguments: str, table: str = "raw.orders") -> None:
    def make(place: Place) -> str:
        place.run("psql", place.uri(), "-qc", TABLES)
        text = place.run("rowferry", *arguments[:1], "--source", place.uri(), "--target", place.uri(), "--table", table, "--control-schema", f"_rowferry_{name}", *arguments[1:])
        return text.replace(place.uri(), "postgresql://etl@db/shop")

    make.__name__ = f"rowferry_{name}"
    log(cause)(make)


_rowferry("well_run", None, "run", "--target-table", "copies.orders")
_rowferry("well_plan", None, "plan", "--target-table", "copies.orders")
_rowferry("no_table", "missing_relation", "run", table="raw.ordrs")


@log(None)
def rowferry_well_verify(place: Place) -> str:
    place.run("psql", place.uri(), "-qc", TABLES)
    job = ("--source", place.uri(), "--target", place.uri(), "--table", "raw.orders", "--target-table", "copies.checked", "--control-schema", "_rowferry_verify")
    return "".join(place.run("rowferry", verb, *job).replace(place.uri(), "postgresql://etl@db/shop") for verb in ("run", "verify"))


@log(None)
def rowferry_well_doctor(place: Place) -> str:
    place.run("psql", place.uri(), "-qc", TABLES)
    return place.run("rowferry", "doctor", "--source", place.uri(), "--table", "raw.orders")


@log(None)
def mariadb_well(place: Place) -> str:
    return place.python("""
        import os, pymysql
        from urllib.parse import urlsplit
        connection = pymysql.connect(host="127.0.0.1", port=urlsplit(os.environ["MARIADB"]).port, user="root")
        cursor = connection.cursor()
        cursor.execute("create database if not exists shop"); cursor.execute("create table if not exists shop.seen (x int)")
        print("inserted", cursor.execute("insert ignore into shop.seen values (1), (null)"), "rows; done")
    """)


@log("connection_refused")
def rowferry_refused(place: Place) -> str:
    return place.run("rowferry", "run", "--source", "postgresql://etl@127.0.0.1:1/shop", "--target", place.uri(), "--table", "raw.orders")


if __name__ == "__main__":
    main()
