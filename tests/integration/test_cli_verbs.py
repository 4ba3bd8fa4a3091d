"""Each verb of the command line, as a process, between real servers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command import Pair, sessions, sql, wait_until

from rowferry.demo.servers import Server

ROWS = 1000


@pytest.fixture
def pair(servers: Server, pg18: Server, database) -> Pair:
    """A source with two tables, and an empty target."""
    made = Pair(source=database(servers), target=database(pg18))
    sql(made.source, f"CREATE TABLE orders AS SELECT id, 'n' || id AS name FROM generate_series(1, {ROWS}) AS id")
    sql(made.source, "ALTER TABLE orders ADD PRIMARY KEY (id)")
    sql(made.source, "CREATE TABLE users (id int PRIMARY KEY, mail text)")
    sql(made.source, "INSERT INTO users VALUES (1, 'a@b'), (2, NULL)")
    return made


def _same(pair: Pair, table: str = "orders") -> bool:
    rows = f"SELECT id, name FROM {{}}{table} ORDER BY id"
    return sql(pair.source, rows.format("public.")) == sql(pair.target, rows.format("raw_postgres."))


def test_a_second_run_brings_only_what_has_changed(pair: Pair) -> None:
    first = pair.json("run", "--table", "orders")
    assert (first["first_load"], first["this_try"]["inserted"]) == (True, ROWS)
    sql(pair.source, "UPDATE orders SET name = 'new' WHERE id <= 3; INSERT INTO orders VALUES (0, 'zero')")
    second = pair.json("run", "--table", "orders")
    assert (second["capture"], second["completeness"]) == ("xmin", "proven")
    assert (second["this_try"]["inserted"], second["this_try"]["updated"]) == (1, 3)
    assert _same(pair)


def test_a_run_prints_one_line_a_table_and_under_it_what_it_can_prove(pair: Pair) -> None:
    done = pair.run("run", "--table", "orders", "--table", "users", "--jobs", "2")
    assert done.returncode == 0, done.stderr
    lines = sorted(line for line in done.stdout.splitlines() if not line.startswith(" "))
    assert len(lines) == 2
    assert done.stdout.count("\n  capture xmin: auto") == 2
    for words in ("public.orders -> raw_postgres.orders: 1,000 rows", "xmin, first load", "proven", "1,000 inserted"):
        assert words in lines[0]


def test_plan_says_what_the_run_after_it_reports(pair: Pair) -> None:
    sql(pair.source, "ALTER TABLE users ADD updated_at timestamptz NOT NULL DEFAULT now()")
    options = ("--table", "users", "--capture", "cursor", "--sweep", "every 2")
    for _ in range(3):
        planned, done = pair.json("plan", *options), pair.json("run", *options)
        for name in ("capture", "capture_reason", "completeness", "hard_deletes", "window", "reasons"):
            assert planned[name] == done[name], name
        assert planned["sweep"] == done["swept"]
    assert (done["capture"], done["completeness"], done["swept"]) == ("cursor", "best_effort", True)


def test_a_window_is_loaded_again_and_its_report_names_it(pair: Pair) -> None:
    sql(pair.source, "ALTER TABLE users ADD created_at timestamptz; UPDATE users SET created_at = '2026-01-02T12:00Z'")
    sql(pair.source, "INSERT INTO users VALUES (3, 'c@d', '2026-02-01')")
    done = pair.run("run", "--table", "users", "--since", "2026-01-02", "--until", "2026-01-03")
    assert done.returncode == 0, done.stderr
    assert "window: from 2026-01-02T00:00:00.000000+00:00 to 2026-01-03T00:00:00.000000+00:00" in done.stdout
    assert sql(pair.target, "SELECT id FROM raw_postgres.users ORDER BY id") == [(1,), (2,)]


def test_plan_prints_the_statements_and_changes_nothing(pair: Pair) -> None:
    relations = "SELECT count(*) FROM pg_class"
    before = [sql(uri, relations) for uri in (pair.source, pair.target)]
    done = pair.run("plan", "--table", "orders")
    assert done.returncode == 0, done.stderr
    assert "capture xmin: " in done.stdout
    assert "COPY" in done.stdout and "source: " in done.stdout and "target: " in done.stdout
    assert [sql(uri, relations) for uri in (pair.source, pair.target)] == before


def test_verify_finds_the_row_that_somebody_changed_in_the_target(pair: Pair) -> None:
    pair.json("run", "--table", "orders")
    assert pair.json("verify", "--table", "orders")["result"] == "equal"
    sql(pair.target, "UPDATE raw_postgres.orders SET name = 'tampered' WHERE id = 7")
    done = pair.run("verify", "--table", "orders")
    assert done.returncode == 1
    assert "DIFFERENT" in done.stdout and "different: (7)" in done.stdout


def test_run_with_verify_compares_before_the_commit(pair: Pair) -> None:
    found = pair.json("run", "--table", "orders", "--verify")["verification"]
    assert (found["result"], found["exact"], found["compared"]) == ("equal", True, ROWS)


def test_state_shows_the_loads_and_reset_makes_the_next_run_read_everything(pair: Pair) -> None:
    for _ in range(2):
        pair.json("run", "--table", "orders")
    loads = pair.json("state", "show", "--table", "orders")["loads"]
    assert [load["kind"] for load in loads] == ["load", "load"]
    assert loads[0]["load_id"] > loads[1]["load_id"]
    assert "public.orders" in pair.run("state", "show", "--table", "public.orders").stdout
    assert pair.json("state", "show")["table"] == "raw_postgres.orders"
    assert pair.run("state", "reset", "--table", "orders").returncode == 2
    assert pair.run("state", "reset", "--table", "orders", "--yes").returncode == 0
    assert pair.json("run", "--table", "orders")["this_try"]["read"] == ROWS
    assert _same(pair)


def test_one_table_that_fails_does_not_stop_the_others_and_is_named(pair: Pair) -> None:
    done = pair.run("run", "--table", "orders", "--table", "nowhere", "--table", "users", "--json", "--jobs", "3")
    found = {line["table"]: line for line in map(json.loads, done.stdout.splitlines())}
    assert set(found) == {"public.orders", "public.users", "nowhere"}
    assert done.returncode == 2, done.stderr
    assert found["nowhere"]["error"]["code"] == "configuration"
    assert "1 of 3 tables failed: nowhere" in done.stderr
    assert _same(pair)


def test_a_file_of_tables_is_run_with_its_own_settings(pair: Pair, tmp_path: Path) -> None:
    file = tmp_path / "tables.yaml"
    file.write_text("defaults: {source_name: shop}\ntables:\n- orders\n- {table: users, columns: [id]}\n")
    assert pair.run("run", str(file), "--jobs", "2").returncode == 0
    assert sql(pair.target, "SELECT id FROM raw_shop.users ORDER BY id") == [(1,), (2,)]
    assert sql(pair.target, "SELECT count(*) FROM raw_shop.orders") == [(ROWS,)]
    mail = "SELECT 1 FROM pg_attribute WHERE attrelid = 'raw_shop.users'::regclass AND attname = 'mail'"
    assert sql(pair.target, mail) == []


def test_columns_keys_and_a_filter_shape_what_is_loaded(pair: Pair) -> None:
    report = pair.json("run", "--table", "orders", "--columns", "id", "--keys", "id", "--where", "id > 990")
    assert report["this_try"]["inserted"] == 10
    assert sql(pair.target, "SELECT min(id) FROM raw_postgres.orders") == [(991,)]


def test_a_wrong_password_is_told_by_exit_code_3_and_stays_secret(pair: Pair, servers: Server) -> None:
    sql(pair.source, "DROP ROLE IF EXISTS guarded")
    sql(pair.source, "CREATE ROLE guarded LOGIN PASSWORD 'right-one'")
    try:
        servers.require_password("guarded")
        guarded = pair.source.replace("postgres@", "guarded:wrong-one@", 1)
        assert guarded != pair.source
        for options in ((), ("--json",)):
            done = pair.run("run", "--table", "orders", *options, ROWFERRY_SOURCE=guarded)
            assert done.returncode == 3, done.stderr
            assert "guarded" in done.stderr and "wrong-one" not in done.stdout + done.stderr
        as_guarded = pair.source.replace("postgres@", "guarded@", 1)
        sql(pair.source, "GRANT SELECT ON orders TO guarded")
        done = pair.run("run", "--table", "orders", ROWFERRY_SOURCE=as_guarded, PGPASSWORD="right-one")
        assert done.returncode == 0, done.stderr
    finally:
        sql(pair.source, "DROP OWNED BY guarded; DROP ROLE guarded")


def test_a_server_that_is_not_there_is_told_by_the_exit_code_of_its_side(pair: Pair) -> None:
    nowhere = "postgresql://postgres@127.0.0.1:1/none"
    assert pair.run("run", "--table", "orders", ROWFERRY_SOURCE=nowhere).returncode == 4
    assert pair.run("run", "--table", "orders", ROWFERRY_TARGET=nowhere).returncode == 5


def test_a_table_that_another_run_holds_is_busy_after_the_lock_timeout(pair: Pair) -> None:
    held = pair.start("run", "--table", "orders", "--where", "pg_sleep(0.2) IS NOT NULL", "--run-id", "first")
    try:
        done = pair.run("run", "--table", "users", "--run-id", "other")
        assert done.returncode == 0, done.stderr
        wait_until(lambda: any("COPY" in query for _, query in sessions(pair.source)), "the first run reads")
        done = pair.run("run", "--table", "orders", "--lock-timeout", "0.5", "--run-id", "second")
        assert done.returncode == 6
        assert "first" in done.stderr
    finally:
        held.terminate()
        held.communicate(timeout=30)
