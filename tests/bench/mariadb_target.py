"""Into MariaDB: a first load beside pyodbc's executemany of the same rows, and beside LOAD DATA from a file that is ready.

Limits are given the table and its key, and neither reads a source: what they take is the writing alone. pyodbc is that slow
that it writes a part of the rows, and its time is reckoned up. What each of the three wrote must be the same.

executemany is told the types of its parameters. Left to itself pyodbc takes 255 bytes for the longest text of MariaDB's driver
(3.1.15) and sends each of more than 127 characters by SQLPutData. The driver refuses one of 128 there ("Memory allocation error"), and
keeps less of a longer one without a word; and times lose their microseconds. Telling types takes fast_executemany, which is as
fast as without: the driver batches only parameters that lie column by column, and pyodbc's lie row by row.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import psycopg
import pyodbc

sys.path.insert(0, str(Path(__file__).parent.parent))
from mariadb_server import MariaDb, start_mariadb

import rowferry
from rowferry.demo.servers import Server

GOALS = {
    "into MariaDB, wall ratio to executemany": 0.33,
    "into MariaDB, wall ratio to LOAD DATA": 2.0,
}
PART = 20
"""executemany writes one row of so many."""
COLUMNS = (
    "id bigint NOT NULL, user_id bigint NOT NULL, status longtext NOT NULL, currency longtext, total_amount decimal(12,2), qty int, discount double,"
    " note longtext, payload longtext, is_gift tinyint(1), inserted_at datetime(6) NOT NULL, updated_at datetime(6) NOT NULL, deleted_at datetime(6), ref char(36)"
)
TEXT, TIME = (pyodbc.SQL_WVARCHAR, 1000, 0), (pyodbc.SQL_TYPE_TIMESTAMP, 26, 6)
LONG, INTEGER, DOUBLE, DECIMAL = (pyodbc.SQL_BIGINT, 0, 0), (pyodbc.SQL_INTEGER, 0, 0), (pyodbc.SQL_DOUBLE, 0, 0), (pyodbc.SQL_DECIMAL, 12, 2)
PARAMETERS = [LONG, LONG, TEXT, TEXT, DECIMAL, INTEGER, DOUBLE, TEXT, TEXT, INTEGER, TIME, TIME, TIME, TEXT]
"""Of COLUMNS: type, size and digits."""
EXPORT = (
    "SELECT id, user_id, status, currency, total_amount, qty, discount, note, payload::text, is_gift::int, inserted_at AT TIME ZONE 'UTC',"
    " updated_at AT TIME ZONE 'UTC', deleted_at AT TIME ZONE 'UTC', ref::text FROM orders"
)


def measure(server: Server, folder: Path, runs: int) -> dict[str, float]:
    """Medians by their names in GOALS. The orders are in the database `src` of the server."""
    source = server.uri("src")
    ready = folder / "orders.tsv"
    with psycopg.connect(source) as session, ready.open("wb") as file, session.cursor().copy(f"COPY ({EXPORT}) TO STDOUT") as copy:
        file.writelines(copy)
    with psycopg.connect(source) as session:
        rows = session.execute(f"{EXPORT} WHERE id % {PART} = 0").fetchall()
    with start_mariadb() as mariadb:
        taken = [_run(mariadb, source, ready, rows) for _ in range(runs)]
    return {name: statistics.median(part[name] for part in taken) for name in GOALS}


def _run(mariadb: MariaDb, source: str, ready: Path, rows: list[tuple]) -> dict[str, float]:
    ours, written = _ours(mariadb, source), _sums(mariadb, "raw_postgres")
    many = _executemany(mariadb, rows) * PART
    assert _sums(mariadb, "limits") == written, "executemany wrote other rows"
    loaded = _load_data(mariadb, ready)
    assert _sums(mariadb, "limits") == written, "LOAD DATA wrote other rows"
    print(f"into MariaDB: {ours:.2f} s; executemany {many:.1f} s; LOAD DATA {loaded:.2f} s", flush=True)
    return {"into MariaDB, wall ratio to executemany": ours / many, "into MariaDB, wall ratio to LOAD DATA": ours / loaded}


def _ours(mariadb: MariaDb, source: str) -> float:
    mariadb.admin("DROP SCHEMA IF EXISTS raw_postgres", "DROP SCHEMA IF EXISTS _rowferry")
    started = time.monotonic()
    rowferry.Job(source=source, target=mariadb.uri(), table="orders").run()
    return time.monotonic() - started


def _fresh(mariadb: MariaDb) -> None:
    mariadb.admin("DROP SCHEMA IF EXISTS limits", "CREATE SCHEMA limits CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin", f"CREATE TABLE limits.orders ({COLUMNS}, PRIMARY KEY (id))")


def _sums(mariadb: MariaDb, schema: str) -> list[tuple]:
    """What shows a row, a text or a time that is not whole, of the rows that executemany writes."""
    sums = "count(*), sum(total_amount), sum(discount), sum(crc32(note)), sum(crc32(payload)), sum(microsecond(inserted_at)), sum(microsecond(updated_at)), sum(crc32(ref))"
    return mariadb.admin(f"SELECT {sums} FROM {schema}.orders WHERE id % {PART} = 0")


def _executemany(mariadb: MariaDb, rows: list[tuple]) -> float:
    _fresh(mariadb)
    driver = next(Path("/usr/lib").glob("*/odbc/libmaodbc.so"))
    with pyodbc.connect(f"DRIVER={driver};SERVER=127.0.0.1;PORT={mariadb.port};UID=root;TCPIP=1;CHARSET=utf8mb4") as session:
        cursor = session.cursor()
        cursor.fast_executemany = True
        cursor.setinputsizes(PARAMETERS)
        started = time.monotonic()
        cursor.executemany(f"INSERT INTO limits.orders VALUES ({', '.join('?' * len(rows[0]))})", rows)
        session.commit()
        return time.monotonic() - started


def _load_data(mariadb: MariaDb, ready: Path) -> float:
    _fresh(mariadb)
    with mariadb.connect(local_infile=True, sql_mode="", init_command=None) as session, session.cursor() as cursor:
        started = time.monotonic()
        cursor.execute(f"LOAD DATA LOCAL INFILE '{ready}' INTO TABLE limits.orders CHARACTER SET utf8mb4")
        return time.monotonic() - started
