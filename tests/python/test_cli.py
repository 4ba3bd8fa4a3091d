from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from rowferry import _native, cli

from .conftest import URIS, FakeCore, native_error

OPTIONS = ("--source", URIS["source"], "--target", URIS["target"])


@pytest.fixture(autouse=True)
def _no_uris_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ROWFERRY_SOURCE", "ROWFERRY_TARGET"):
        monkeypatch.delenv(name, raising=False)


def _run(*tables: str, options: tuple[str, ...] = ()) -> int:
    return cli.main(["run", *OPTIONS, *options, *(word for table in tables for word in ("--table", table))])


def test_a_run_ends_with_one_line_a_table_and_under_it_what_was_proven(
    core: FakeCore, report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    core.answers |= {"orders": report, "users": {**report, "table": "public.users"}}
    assert _run("orders", "users") == 0
    told = capsys.readouterr().out.splitlines()
    lines = [line for line in told if not line.startswith(" ")]
    assert len(lines) == 2
    assert "  capture xmin: a heap table" in told and "  xmin sees no deletes" in told
    for words in ("public.orders -> raw_postgres.orders", "10 rows", "20 rows/s", "xmin", "proven", "7 inserted"):
        assert words in lines[0]


def test_the_summary_says_what_the_next_run_starts_from_and_what_sweep_and_audit_found(
    core: FakeCore, report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    found = {
        "capture": "cursor",
        "completeness": "bounded",
        "watermark": "2026-11-22T17:59:00.000000+00:00",
        "watermark_held_by": {"pid": 12, "user": "bob", "application": "psql", "seconds": 33.2},
        "swept": True,
        "live": {"source": 1000, "target": 1001},
        "audit": {"missed": 3},
    }
    core.answers["orders"] = {**report, **found}
    assert _run("orders") == 0
    told = capsys.readouterr().out
    assert "cursor; bounded" in told
    assert "the next run reads from 2026-11-22T17:59:00.000000+00:00" in told
    assert "held back by process 12 (bob, psql), open for 33 s" in told
    assert "swept: 1,000 keys at the source, 1,001" in told
    assert "the cursor had missed 3 rows" in told


def test_the_summary_of_a_backfill_names_its_window(
    core: FakeCore, report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    core.answers["orders"] = {**report, "window": {"since": "2026-01-01T00:00:00+00:00", "until": None}}
    assert _run("orders", options=("--since", "2026-01-01")) == 0
    assert "window: from 2026-01-01T00:00:00+00:00 to the last" in capsys.readouterr().out


def test_tables_of_one_command_share_one_run_id(core: FakeCore, report: dict[str, Any]) -> None:
    core.answers |= {"orders": report, "users": report}
    _run("orders", "users")
    assert len({made.settings["run_id"] for made in core.made}) == 1


def test_json_is_one_object_a_line_and_nothing_else(
    core: FakeCore, report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    core.answers |= {"orders": report, "users": native_error("busy", "held", hint="wait")}
    assert _run("orders", "users", options=("--json",)) == 6
    first, second = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert first == report
    assert second["table"] == "users" and second["error"]["code"] == "busy"


@pytest.mark.parametrize(("code", "exit_code"), cli.EXIT_CODES.items())
def test_each_class_of_error_has_its_exit_code(core: FakeCore, code: str, exit_code: int) -> None:
    core.answers["orders"] = native_error(code)
    assert _run("orders") == exit_code


def test_of_several_tables_the_highest_code_wins_and_every_failing_one_is_named(
    core: FakeCore, report: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    core.answers |= {"a": native_error("data"), "b": report, "c": native_error("source")}
    assert _run("a", "b", "c") == 8
    assert "2 of 3 tables failed: a, c" in capsys.readouterr().err


def test_an_error_says_what_the_server_said_and_what_to_do(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    facts = {"sqlstate": "42501", "server_message": "permission denied", "hint": "GRANT SELECT", "role": "read"}
    core.answers["orders"] = native_error("source", "cannot read", **facts)
    _run("orders")
    told = capsys.readouterr().err
    for words in ("orders: source error (42501): cannot read", "permission denied", "GRANT SELECT", "while: read"):
        assert words in told


def test_verify_exits_with_1_when_a_row_differs_and_names_it(
    core: FakeCore, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {"result": "different", "compared": 2, "equal": 1, "different": 1}
    core.answers |= {"a": {**found, "examples": [{"key": "(7)", "kind": "different"}]}, "b": {"result": "equal"}}
    assert cli.main(["verify", *OPTIONS, "--table", "a", "--table", "b"]) == 1
    told = capsys.readouterr().out
    assert "a: DIFFERENT" in told and "different: (7)" in told and "b: equal" in told
    assert cli.main(["verify", *OPTIONS, "--table", "a", "--json"]) == 1
    assert cli.main(["verify", *OPTIONS, "--table", "b"]) == 0


def test_settings_reach_the_core_by_their_names(core: FakeCore, report: dict[str, Any]) -> None:
    core.answers['odd."Name"'] = report
    options = ("--keys", 'a,"b,c"', "--columns", "a", "--columns", '"b,c",d', "--where", "x > 1")
    options += ("--lock-timeout", "0.5", "--cursor-columns", "seen_at,at", "--sweep", "every 7", "--connections", "4", "--as-text", "b,c", "--mask", "a=hash", "--mask", "x=y=truncate:3", "--driver", "x.so")
    _run('odd."Name"', options=(*options, "--capture", "full", "--source-name", "shop", "--verify", "--run-id", "r"))
    settings = core.made[0].settings
    wanted = {"keys": ["a", "b,c"], "where": "x > 1", "lock_timeout": 0.5, "capture": "full", "source_name": "shop"}
    wanted |= {"cursor_columns": ["seen_at", "at"], "sweep": "every 7", "connections": 4, "as_text": ["b", "c"], "mask": {"a": "hash", "x=y": "truncate:3"}, "driver": "x.so"}
    assert {name: settings[name] for name in wanted} == wanted
    assert settings["verify"] is True and settings["run_id"] == "r"


def test_every_setting_of_a_job_can_be_given_to_run() -> None:
    recorded_only = {"map_index", "application"}
    assert set(cli.Job.settings()) - recorded_only - {"table"} <= _options_of_run()


def _options_of_run() -> set[str]:
    return {str(option.name) for option in cli.run_command.params}


def test_the_help_of_run_puts_every_option_under_a_heading(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--help"]) == 0
    told = capsys.readouterr().out
    assert "\nCapture by cursor:\n" in told and "\nOptions:\n" not in told
    assert all(f"  --{name.replace('_', '-')}" in told for name in cli.Job.settings() if name in _options_of_run())


def test_uris_may_come_from_the_environment(
    core: FakeCore, report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    core.answers["orders"] = report
    monkeypatch.setenv("ROWFERRY_SOURCE", "postgresql://u:hunter22@h/db")
    monkeypatch.setenv("ROWFERRY_TARGET", URIS["target"])
    assert cli.main(["run", "--table", "orders"]) == 0
    assert core.made[0].settings["source"] == "postgresql://u:hunter22@h/db"
    assert "warning" not in capsys.readouterr().err


def test_a_password_on_the_command_line_is_accepted_with_a_warning_and_never_shown(
    core: FakeCore, capsys: pytest.CaptureFixture[str]
) -> None:
    core.answers["orders"] = native_error("source", 'no "postgresql://u:hunter22@h/db": hunter22', detail="hunter22")
    place = "postgresql://u:hunter22@h/db"
    for options in ((), ("--json",)):
        cli.main(["run", "--source", place, "--target", URIS["target"], "--table", "orders", *options])
        told = capsys.readouterr()
        assert "can see the password in --source" in told.err
        assert "hunter22" not in told.out + told.err


@pytest.mark.parametrize(
    "args",
    [
        ["run", "postgresql://u:hunter22@h/db"],
        ["run", "--surce", "postgresql://u:hunter22@h/db"],
        ["spec", "postgresql://u:hunter22@h/db"],
        ["run", *OPTIONS, "--table", "t", "x", "postgresql://u:hunter22@h/db"],
        ["run", "--source", "postgresql://u:hun/ter22@h/db", "--target", "x", "--table", "t"],
        ["run", "--source", "postgresql://u:hunter22%@h/db", "--target", "x", "--table", "t"],
    ],
)
def test_a_command_that_is_wrong_exits_with_2_and_never_shows_the_password_in_it(
    args: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(args) == 2
    told = capsys.readouterr()
    assert told.err and "hun" not in told.out + told.err


def test_a_traceback_shows_no_password_either(
    core: FakeCore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("lost postgresql://u:hunter22@h/db")

    monkeypatch.setattr(cli, "_jobs", broken)
    assert _run("orders") == 10
    told = capsys.readouterr().err
    assert "RuntimeError" in told and "hunter22" not in told


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["run", "--table", "t"], "ROWFERRY_SOURCE"),
        (["run", "--source", "x", "--table", "t"], "ROWFERRY_TARGET"),
        (["run", *OPTIONS], "--table"),
        (["run", *OPTIONS, "--table", "t", "--capture", "logical"], "logical"),
        (["run", *OPTIONS, "--table", "t", "--sweep", "every day"], "every day"),
        (["run", *OPTIONS, "--table", "t", "--batch-bytes", "1"], "batch_bytes"),
        (["run", *OPTIONS, "--table", "a.b.c"], "a.b.c"),
        (["state", "show", "--table", "t"], "ROWFERRY_TARGET"),
        (["doctor"], "ROWFERRY_SOURCE"),
        (["doctor", "--source", "x", "--read-rate", "0"], "--read-rate"),
        (["nonsense"], "nonsense"),
    ],
)
def test_what_is_missing_or_wrong_is_said(args: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == 2
    assert words in capsys.readouterr().err


def test_a_table_that_cannot_work_stops_the_command_before_any_table_runs(
    core: FakeCore, report: dict[str, Any]
) -> None:
    core.answers["orders"] = report
    assert _run("orders", "a.b.c") == 2
    assert not any(made.verbs for made in core.made)


def test_a_file_of_tables_is_run_and_table_picks_from_it(
    core: FakeCore, report: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    core.answers |= {"orders": report, "users": report}
    file = tmp_path / "tables.yaml"
    file.write_text(f"defaults: {{source: '{URIS['source']}', target: '{URIS['target']}'}}\ntables: [orders, users]\n")
    assert cli.main(["run", str(file), "--jobs", "2"]) == 0
    assert [made.settings["table"] for made in core.made] == ["orders", "users"]
    assert cli.main(["run", str(file), "--table", "users"]) == 0
    assert [made.settings["table"] for made in core.made[2:]] == ["users"]
    assert cli.main(["run", str(file), "--table", "user"]) == 2
    assert "it has orders, users" in capsys.readouterr().err


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_every_job_and_is_told_by_the_exit_code(
    core: FakeCore, number: signal.Signals, exit_code: int
) -> None:
    def wait_for_cancel(job: Any, _: Any) -> None:
        os.kill(os.getpid(), number)
        assert job.cancelled.wait(10)
        raise native_error("cancelled")

    core.answers |= dict.fromkeys(("a", "b"), wait_for_cancel)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert _run("a", "b") == exit_code
    finally:
        signal.signal(signal.SIGTERM, before)
    assert all(made.cancelled.is_set() for made in core.made)


PLAN: dict[str, Any] = {
    "table": "public.orders",
    "target_table": "raw_postgres.orders",
    "capture": "xmin",
    "capture_reason": "a heap table",
    "first_load": True,
    "full_read": True,
    "mode": "merge",
    "sweep": False,
    "completeness": "proven",
    "hard_deletes": "captured",
    "watermark": None,
    "watermark_held_by": None,
    "window": None,
    "estimate": {"rows": None, "bytes": 8192},
    "statements": [{"server": "target", "role": "merge", "sql": "INSERT INTO x"}],
    "reasons": ["xmin sees no deletes"],
    "drift": [],
}


def _planned(core: FakeCore, capsys: pytest.CaptureFixture[str], **other: Any) -> str:
    core.answers["orders"] = {**PLAN, **other}
    assert cli.main(["plan", *OPTIONS, "--table", "orders"]) == 0
    return capsys.readouterr().out


def test_plan_prints_each_statement_with_its_server_and_the_reason_for_the_capture(
    core: FakeCore, capsys: pytest.CaptureFixture[str]
) -> None:
    told = _planned(core, capsys)
    for words in ("capture xmin: a heap table", "never analyzed", "-- 1. target: merge\nINSERT INTO x;", "no deletes"):
        assert words in told
    assert "-- reads every row\n-- proven, hard deletes captured\n" in told


def test_plan_says_what_such_a_run_would_prove_and_who_holds_the_watermark_back(
    core: FakeCore, capsys: pytest.CaptureFixture[str]
) -> None:
    held = {"watermark": "2026-11-22T17:59:00+00:00", "completeness": "bounded", "full_read": False, "sweep": True}
    told = _planned(core, capsys, **held, watermark_held_by={"pid": 0, "user": "bob", "application": "x", "seconds": 1})
    assert "-- reads the rows changed since the last load, and all keys\n-- bounded, hard deletes captured\n" in told
    assert "-- held back by a prepared transaction, open for 1 s" in told
    assert "-- watermark: the next run reads from 2026-11-22T17:59:00+00:00" in told
    window = {"since": "2026-01-01T00:00:00+00:00", "until": None}
    assert "-- reads the rows of the window\n" in _planned(core, capsys, full_read=False, window=window)


def test_state_show_prints_the_newest_loads(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    loads = [{"load_id": n, "kind": "load", "committed_at": f"2026-11-0{n}", "rows_read": 1000} for n in (3, 2, 1)]
    core.answers |= {"orders": lambda job, _: {"loads": loads[: job.settings["newest"]]}, "users": {"loads": []}}
    target = ("--target", URIS["target"])
    assert cli.main(["state", "show", *target, "--table", "orders", "--table", "users", "--limit", "2"]) == 0
    told = capsys.readouterr().out
    assert "2026-11-03" in told and "1,000" in told and "2026-11-01" not in told
    assert "users: no load yet" in told
    assert cli.main(["state", "show", *target, "--table", "orders", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"table": "orders", "loads": loads}


def test_state_reset_asks_for_yes_when_nobody_can_be_asked(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> None:
    core.answers["orders"] = {"load_id": 9}
    command = ["state", "reset", "--target", URIS["target"], "--table", "orders"]
    assert cli.main(command) == 2
    assert not any(made.verbs for made in core.made)
    assert cli.main([*command, "--yes"]) == 0
    assert "reset by load 9" in capsys.readouterr().out


def test_spec_prints_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["spec", "job"]) == 0
    assert "batch_bytes" in json.loads(capsys.readouterr().out)["properties"]


def test_the_exit_codes_stand_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    assert "9 fenced off" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(("target", "word"), [("postgres", "on PostgreSQL"), ("arrow", "in Arrow"), ("duckdb", "on DuckDB"), ("snowflake", "on Snowflake")])
def test_the_table_of_types_is_printed_for_one_target_or_for_all(
    target: str, word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["types"]) == 0
    assert word in capsys.readouterr().out
    assert cli.main(["types", "--target", target]) == 0
    printed = capsys.readouterr().out
    assert [head for head in ("on PostgreSQL", "in Arrow", "on DuckDB", "on Snowflake") if head in printed.splitlines()[1]] == [word]
    assert all(f"\n  {row['postgres']} " in printed for row in json.loads(_native.type_table())["types"])


def test_the_readme_holds_the_table_of_drift_that_the_code_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drift"]) == 0
    printed = capsys.readouterr().out
    assert printed in (Path(__file__).resolve().parents[2] / "README.md").read_text()
    assert cli.main(["drift", "--json"]) == 0
    kinds = json.loads(capsys.readouterr().out)["kinds"]
    assert all(f"| `{kind['kind']}` |" in printed for kind in kinds) and printed.count("**") == 2 * len(kinds)


@pytest.mark.parametrize(
    ("typed", "given"),
    [
        (["fail"], "fail"),
        (["type_changed=apply"], {"type_changed": "apply"}),
        (["type_changed=apply,nullability=apply", "column_added = ignore"], {"type_changed": "apply", "nullability": "apply", "column_added": "ignore"}),
    ],
)
def test_policies_are_read_from_the_command_line(core: FakeCore, typed: list[str], given: object) -> None:
    options = [part for text in typed for part in ("--on-schema-change", text.replace(" ", ""))]
    cli.main(["run", *OPTIONS, "--table", "orders", *options])
    assert core.made[0].settings["on_schema_change"] == given


def test_the_table_of_types_is_json_with_what_was_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["types", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(_native.type_table())
    assert cli.main(["types", "--target", "arrow", "--json"]) == 0
    assert {"postgres", "arrow", "sent_as", "note"} == set(json.loads(capsys.readouterr().out)["types"][0])


@pytest.mark.parametrize("target", ["mariadb", "sqlite"])
def test_the_table_of_types_says_that_a_negative_zero_loses_its_sign_there(capsys: pytest.CaptureFixture[str], target: str) -> None:
    assert cli.main(["types", "--target", target, "--json"]) == 0
    notes = {row["postgres"]: row[f"{target}_note"] for row in json.loads(capsys.readouterr().out)["types"]}
    assert {name for name, note in notes.items() if note and "−0 becomes 0" in note} == {"float4", "float8"}
