"""A MariaDB server of our own, as `rowferry.demo.servers` starts PostgreSQL's: fresh, quick, and gone with its process."""

from __future__ import annotations

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pymysql

from rowferry.demo.servers import ServerError, _unprivileged_user, clean_environment, free_port

START_TIMEOUT_S = 60.0
PORT_ATTEMPTS = 5
_QUICK = ["--innodb-flush-method=nosync", "--innodb-log-file-size=8M", "--skip-name-resolve"]
_SERVER = ["--bind-address=127.0.0.1", "--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--max-connections=200", "--local-infile=1"]


class MariaDb:
    """A running server.

    Attributes:
        port: TCP port on 127.0.0.1; it stays the same over `restart`.
        log_path: The server's log.
    """

    def __init__(self) -> None:
        self._owner = _unprivileged_user()
        self._folder = Path(tempfile.mkdtemp(prefix="rf-maria", dir="/tmp"))
        if self._owner:
            shutil.chown(self._folder, self._owner, pwd.getpwnam(self._owner).pw_gid)
        self.port = 0
        self.log_path = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        atexit.register(self.stop)

    def __enter__(self) -> MariaDb:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def uri(self, user: str = "loader", password: str | None = "l0ad;{er}", database: str = "") -> str:
        secret = f":{quote(password, safe='')}" if password else ""
        return f"mariadb://{quote(user, safe='')}{secret}@127.0.0.1:{self.port}/{quote(database, safe='')}"

    def connect(self, **settings: Any) -> pymysql.Connection:
        """A session of the superuser, in autocommit and in UTC."""
        given = {"host": "127.0.0.1", "port": self.port, "user": "root", "charset": "utf8mb4", "autocommit": True, "init_command": "SET time_zone = '+00:00', sql_mode = 'ANSI_QUOTES,STRICT_ALL_TABLES,NO_BACKSLASH_ESCAPES'"}
        return pymysql.connect(**{**given, **settings})

    def admin(self, *statements: str) -> list[tuple[Any, ...]]:
        with self.connect() as session, session.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return list(cursor.fetchall())

    def restart(self) -> None:
        """Kill it, as a crash does, and start it again on the same port."""
        self._end()
        self._launch()

    def stop(self) -> None:
        atexit.unregister(self.stop)
        self._end()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> MariaDb:
        made = self._run(["mariadb-install-db", "--no-defaults", f"--datadir={self._folder}/data", "--auth-root-authentication-method=normal", "--skip-test-db", *_QUICK])
        if made.returncode != 0:
            raise ServerError(f"mariadb-install-db failed:\n{made.stdout.decode(errors='replace')}")
        for attempt in range(PORT_ATTEMPTS):
            self.port = free_port()
            try:
                self._launch()
                break
            except ServerError:
                if attempt == PORT_ATTEMPTS - 1:
                    raise
        self.admin("CREATE USER loader@'127.0.0.1' IDENTIFIED BY 'l0ad;{er}'", "GRANT ALL ON *.* TO loader@'127.0.0.1'")
        return self

    def _as_owner(self) -> dict[str, Any]:
        """Its temporary files too lie where the owner may write, whatever TMPDIR is ours."""
        environment = {**clean_environment(), "PATH": os.environ.get("PATH", os.defpath) + ":/usr/sbin", "TMPDIR": str(self._folder)}
        place: dict[str, Any] = {"cwd": self._folder, "env": environment}
        if self._owner:
            account = pwd.getpwnam(self._owner)
            place.update(user=account.pw_uid, group=account.pw_gid, extra_groups=[])
        return place

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(command, **self._as_owner(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def _launch(self) -> None:
        command = ["mariadbd", "--no-defaults", f"--datadir={self._folder}/data", f"--socket={self._folder}/s", f"--port={self.port}", *_QUICK, *_SERVER]
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(command, **self._as_owner(), stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        # When we die, however, our end of its pipe closes.
        script = 'read -r _ && exit 0; kill -KILL "$1"; sleep 0.2; rm -rf "$2"'
        self._guard = subprocess.Popen(
            ["sh", "-c", script, "sh", str(self._process.pid), str(self._folder)], **self._as_owner(), stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._wait_until_ready(self._process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise ServerError(f"MariaDB ended at its start:\n{self.log_path.read_text(errors='replace')[-2000:]}")
            try:
                self.connect().close()
                return
            except pymysql.err.OperationalError:
                time.sleep(0.05)
        raise ServerError(f"MariaDB was not ready after {START_TIMEOUT_S:.0f} s")

    def _end(self) -> None:
        process, self._process = self._process, None
        guard, self._guard = self._guard, None
        if process is not None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        if guard is not None:
            try:
                guard.communicate(b"done\n")
            except BrokenPipeError:
                pass


def start_mariadb() -> MariaDb:
    """A server with the users `root`, without a password, and `loader`, who may do everything.

    Raises:
        ServerError: It is not installed, or does not start.
    """
    if not (shutil.which("mariadbd") or Path("/usr/sbin/mariadbd").exists()):
        raise ServerError("MariaDB is not installed: apt-get install mariadb-server-core")
    server = MariaDb()
    try:
        return server.start()
    except BaseException:
        server.stop()
        raise
