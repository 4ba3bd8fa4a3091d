"""The servers of the demo and the tests: where they run, and that they never stay behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from rowferry.demo.servers import ServerError, clean_environment, free_port, start_postgres

START_AND_SLEEP = """
import time
from rowferry.demo.servers import start_postgres
server = start_postgres(18)
print(server.pid, server.socket_dir, flush=True)
time.sleep(600)
"""


def test_a_server_is_utf8_takes_tcp_and_a_unix_socket_and_knows_its_version(servers):
    assert servers.admin("SHOW server_encoding") == [("UTF8",)]
    with psycopg.connect(host=servers.socket_dir, port=servers.port, user="postgres", dbname="postgres") as by_socket:
        assert by_socket.info.server_version // 10_000 == servers.version


def test_a_server_never_runs_as_root(servers):
    assert Path(f"/proc/{servers.pid}").stat().st_uid != 0


def test_two_servers_are_two_systems():
    identity = "SELECT system_identifier FROM pg_control_system()"
    with start_postgres() as one, start_postgres() as other:
        assert one.port != other.port
        assert one.admin(identity) != other.admin(identity)


def test_a_restart_keeps_the_port_and_the_data():
    with start_postgres() as server:
        server.create_database('odd "name"')
        port, pid = server.port, server.pid
        server.restart()
        assert (server.port, server.pid == pid) == (port, False)
        assert server.admin("SELECT 1", dbname='odd "name"') == [(1,)]


def test_settings_go_over_our_own():
    with start_postgres(settings={"wal_level": "replica", "fsync": True, "log_line_prefix": "it's "}) as server:
        assert server.admin("SHOW wal_level") == [("replica",)]
        assert server.admin("SHOW fsync") == [("on",)]
        assert server.admin("SHOW log_line_prefix") == [("it's ",)]


def test_a_setting_that_does_not_exist_is_named_by_the_error_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch):
    made: list[Path] = []
    make = tempfile.mkdtemp

    def remembered(**how: Any) -> str:
        made.append(Path(make(**how)))
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", remembered)
    with pytest.raises(ServerError, match="no_such_setting"):
        start_postgres(settings={"no_such_setting": 1})
    (folder,) = (path for path in made if path.name.startswith("rf-pg"))
    assert not folder.exists()


def test_a_folder_given_by_the_caller_is_kept():
    folder = Path("/tmp") / f"rf-kept-{os.getpid()}"
    try:
        with start_postgres(folder=folder) as server:
            assert server.log_path.parent == folder
        assert (folder / "data" / "PG_VERSION").read_text().strip() == "18"
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_a_role_that_must_prove_its_password_is_refused_without_it():
    with start_postgres() as server:
        server.admin("CREATE ROLE guarded LOGIN PASSWORD 'opensesame'")
        server.require_password("guarded")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(server.uri(user="guarded"), password="wrong")
        psycopg.connect(server.uri(user="guarded"), password="opensesame").close()


def test_a_stopped_server_is_gone_with_its_folder_and_may_be_stopped_again():
    server = start_postgres()
    pid, folder = server.pid, Path(server.socket_dir)
    server.stop()
    server.stop()
    assert not _alive(pid) and not folder.exists()
    with pytest.raises(ServerError, match="not running"):
        server.pid


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "interrupted"])
def test_a_server_goes_down_with_the_process_that_started_it(how):
    command = [sys.executable, "-c", START_AND_SLEEP]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as parent:
        pid, folder = parent.stdout.readline().split()
        parent.send_signal(how)
    _wait_for(lambda: not _alive(int(pid)) and not Path(os.fsdecode(folder)).exists())


def test_a_forked_child_leaves_the_server_alone():
    with start_postgres() as server:
        child = os.fork()
        if child == 0:
            server.stop()
            os._exit(0)
        os.waitpid(child, 0)
        assert server.admin("SELECT 1") == [(1,)]


def test_a_clean_environment_shows_nothing_of_the_user(monkeypatch):
    theirs = ["PGHOST", "PGPASSWORD", "AIRFLOW_HOME", "AIRFLOW__CORE__FERNET_KEY", "DBT_PROFILES_DIR", "ODBCSYSINI"]
    for name in theirs:
        monkeypatch.setenv(name, "theirs")
    monkeypatch.setenv("https_proxy", "kept")
    cleaned = clean_environment({"EXTRA": "1"})
    assert not [name for name in theirs if name in cleaned]
    assert not {".pgpass", ".dbt", ".odbc.ini", ".postgresql"} & set(os.listdir(cleaned["HOME"]))
    assert (cleaned["https_proxy"], cleaned["EXTRA"]) == ("kept", "1")
    assert cleaned["PATH"].split(os.pathsep)[0] == os.path.dirname(sys.executable)


def test_no_port_is_handed_out_twice():
    ports = [free_port() for _ in range(200)]
    assert len(set(ports)) == len(ports)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _wait_for(condition, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "still not so after 10 s"
        time.sleep(0.05)
