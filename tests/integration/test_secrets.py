"""Passwords go to the servers that ask for them and are seen nowhere else, wherever they came from.

Each planted password has odd characters around a core that no encoding changes: finding the core is finding any form
of it. Encodings that leave nothing as it was are looked for by themselves.
"""

from __future__ import annotations

import base64
import json
import logging
import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from command import Pair, wait_until
from route import Route

import rowferry
from rowferry import _native
from rowferry.demo.servers import Server, free_port
from rowferry.errors import RowferryError

CORES = {"source": "xQ7plantedXs", "target": "xQ7plantedXt"}
PASSWORDS = {side: f"p'%41 @/\"{core}\\:ü&#?=" for side, core in CORES.items()}
ROLES = {side: f"secretive_{side}_{os.getpid()}" for side in CORES}
ONE_PASSWORD = PASSWORDS["source"]  # of both roles, where there is room for one


def assert_kept(what: str, text: str | bytes) -> None:
    """No password, and no known encoding of one, is in `text`."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    for password in PASSWORDS.values():
        raw = password.encode()
        whole = (base64.b64encode(raw).decode().rstrip("="), raw.hex(), raw.hex().upper())
        assert not any(form in text for form in whole), what
    for core in CORES.values():
        at = text.find(core)
        assert at < 0, f"{what}: …{text[max(at - 300, 0) : at + 40]}…"


@dataclass(frozen=True)
class Secretive:
    """A route whose roles must prove a password."""

    route: Route
    server: Server
    folder: Path

    def name(self, side: str) -> str:
        return getattr(self.route, side).rpartition("/")[2]

    def place(self, side: str) -> str:
        return f"127.0.0.1:{self.server.port}/{self.name(side)}"


@dataclass(frozen=True)
class Way:
    """How a password gets to libpq: connection strings, and what the environment adds."""

    source: str
    target: str
    environment: dict[str, str]
    one_password: bool = False


@pytest.fixture
def secretive(servers: Server, route_on: Callable[..., Route], tmp_path: Path) -> Iterator[Secretive]:
    route = route_on(servers)
    route.at_source.execute("CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 100)")
    for side, role in ROLES.items():
        servers.admin(f"CREATE ROLE {role} LOGIN")
        set_password(servers, side, PASSWORDS[side])
        servers.admin(f"ALTER ROLE {role} SET log_statement = 'all'")
        servers.require_password(role)
    route.at_source.execute(f"GRANT SELECT ON items TO {ROLES['source']}")
    route.at_target.execute(f"GRANT CREATE ON DATABASE {route.at_target.info.dbname} TO {ROLES['target']}")
    yield Secretive(route, servers, tmp_path)
    for session, role in ((route.at_source, ROLES["source"]), (route.at_target, ROLES["target"])):
        session.execute(f"DROP OWNED BY {role} CASCADE")
        servers.admin(f"DROP ROLE {role}")


def set_password(server: Server, side: str, password: str) -> None:
    with psycopg.connect(server.uri(), autocommit=True) as session:
        session.pgconn.exec_(f"ALTER ROLE {ROLES[side]} PASSWORD {psycopg.sql.quote(scram(session, side, password))}".encode())


def scram(session: psycopg.Connection, side: str, password: str) -> str:
    """What the server stores: the password itself would stand in its log if the statement failed."""
    return session.pgconn.encrypt_password(password.encode(), ROLES[side].encode(), b"scram-sha-256").decode()


# ---- the ways in ----------------------------------------------------------------------------------------------


def in_uri(here: Secretive) -> Way:
    return Way(*(f"postgresql://{ROLES[side]}:{quote(PASSWORDS[side], safe='')}@{here.place(side)}" for side in CORES), {})


def in_uri_barely_encoded(here: Secretive) -> Way:
    """Only what libpq cannot do without is encoded."""
    encoded = {side: "".join(f"%{ord(c):02x}" if c in "%@/:?# " else c for c in password) for side, password in PASSWORDS.items()}
    return Way(*(f"postgresql://{ROLES[side]}:{encoded[side]}@{here.place(side)}" for side in CORES), {})


def in_parameter_of_uri(here: Secretive) -> Way:
    return Way(*(f"postgresql://{here.place(side)}?user={ROLES[side]}&password={quote(PASSWORDS[side], safe='')}" for side in CORES), {})


def in_pairs(here: Secretive) -> Way:
    def pairs(side: str) -> str:
        password = PASSWORDS[side].replace("\\", "\\\\").replace("'", "\\'")
        return f"host=127.0.0.1 port={here.server.port} dbname={here.name(side)} user={ROLES[side]} password = '{password}'"

    return Way(pairs("source"), pairs("target"), {})


def bare(here: Secretive) -> tuple[str, str]:
    """Connection strings without a password."""
    return tuple(f"postgresql://{ROLES[side]}@{here.place(side)}" for side in CORES)  # type: ignore[return-value]


def in_environment(here: Secretive) -> Way:
    return Way(*bare(here), {"PGPASSWORD": ONE_PASSWORD}, one_password=True)


def in_passfile(here: Secretive) -> Way:
    passfile = here.folder / "pgpass"
    escaped = {side: password.replace("\\", "\\\\").replace(":", "\\:") for side, password in PASSWORDS.items()}
    passfile.write_text("".join(f"127.0.0.1:{here.server.port}:*:{ROLES[side]}:{escaped[side]}\n" for side in CORES))
    passfile.chmod(0o600)
    return Way(*bare(here), {"PGPASSFILE": str(passfile)})


def in_service_file(here: Secretive) -> Way:
    services = here.folder / "services"
    services.write_text("".join(
        f"[{side}]\nhost=127.0.0.1\nport={here.server.port}\ndbname={here.name(side)}\nuser={ROLES[side]}\npassword={PASSWORDS[side]}\n"
        for side in CORES
    ))
    return Way("service=source", "postgresql://?service=target", {"PGSERVICEFILE": str(services)})


WAYS = (in_uri, in_uri_barely_encoded, in_parameter_of_uri, in_pairs, in_environment, in_passfile, in_service_file)


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__)
def way(request: pytest.FixtureRequest, secretive: Secretive, monkeypatch: pytest.MonkeyPatch) -> Way:
    made = request.param(secretive)
    if made.one_password:
        set_password(secretive.server, "target", ONE_PASSWORD)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    return made


# ---- where they are looked for --------------------------------------------------------------------------------


def test_a_password_shows_nowhere_while_and_after_a_command_runs(secretive: Secretive, way: Way) -> None:
    log_from = secretive.server.log_path.stat().st_size
    pair = Pair(way.source, way.target)
    with psycopg.connect(secretive.route.source) as session:
        session.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        command = pair.start("run", "--table", "items", "--json")
        activity = "SELECT * FROM pg_stat_activity WHERE usename = ANY (%s)"
        waits = f"{activity} AND wait_event_type = 'Lock'"
        look = secretive.route.at_target.execute
        wait_until(lambda: look(waits, [list(ROLES.values())]).fetchone() is not None or command.poll() is not None, "the run waits")
        seen = look(activity, [list(ROLES.values())]).fetchall()
        assert len(seen) == 2, command.communicate()
        assert_kept("pg_stat_activity", repr(seen))
        assert_kept("the process list", Path(f"/proc/{command.pid}/cmdline").read_bytes())
        for child in children(command.pid):
            assert_kept("the process list", (child / "cmdline").read_bytes() + (child / "environ").read_bytes())
    stdout, stderr = command.communicate(timeout=60)
    assert command.returncode == 0, stderr
    assert json.loads(stdout)["this_try"]["read"] == 100
    assert_kept("standard output", stdout)
    assert_kept("standard error", stderr)
    for verb in (["plan", "--table", "items"], ["verify", "--table", "items"], ["state", "show"], ["doctor"]):
        done = pair.run(*verb)
        assert done.returncode == 0, done.stderr
        assert_kept(f"rowferry {verb[0]}", done.stdout + done.stderr)
    assert_kept("the control tables", repr([look(f"SELECT t::text FROM _rowferry.{table} t").fetchall() for table in ("loads", "leases")]))
    with open(secretive.server.log_path) as log:
        log.seek(log_from)
        assert_kept("the server's log", log.read())


def children(pid: int) -> list[Path]:
    """Of `/proc`, the processes that `pid` started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [Path("/proc", child) for task in tasks for child in task.read_text().split()]


def failures(way: Way, port: int) -> dict[str, Way]:
    """The same passwords on ways that lead nowhere."""

    def with_source(source: str) -> Way:
        return Way(source, way.target, way.environment)

    def with_parameter(name: str, value: object) -> Way:
        is_uri = "://" in way.source
        joint = " " if not is_uri else "&" if "?" in way.source else "?"
        return with_source(f"{way.source}{joint}{name}={value}")

    found = {
        "wrong host": with_parameter("host", "nowhere.invalid"),
        "wrong port": with_parameter("port", free_port()),
        "wrong database": with_parameter("dbname", "nowhere"),
        "wrong user": with_parameter("user", "postgres' --"),
        "no TLS": with_parameter("sslmode", "verify-full"),
        "unknown parameter": with_parameter("nonsense", "1"),
        "bad port": with_parameter("port", "x"),
        "bad mode": with_parameter("sslmode", "x"),
        "no service": with_parameter("service", "nowhere"),
    }
    for side, core in CORES.items():
        for uri in (way.source, way.target):
            if core in uri:  # still with the core, so that it is found if it shows
                wrong = uri.replace(core, f"{core}wrong")
                found[f"wrong password of the {side}"] = Way(wrong, way.target, {}) if side == "source" else Way(way.source, wrong, {})
    if CORES["source"] in way.source and "://" in way.source:
        raw = PASSWORDS["source"]
        found["unencoded password"] = with_source(f"postgresql://someone:{raw}@127.0.0.1:{port}/nowhere")
        found["password with an @"] = with_source(f"postgresql://someone:a@{CORES['source']}@127.0.0.1:{port}/nowhere")
        found["password with a /"] = with_source(f"postgresql://someone:a/{CORES['source']}@127.0.0.1:{port}/nowhere")
        found["password with a %"] = with_source(f"postgresql://someone:a%zz{CORES['source']}@127.0.0.1:{port}/nowhere")
        found["unclosed bracket"] = with_source(way.source.replace("127.0.0.1", "[::1"))
    return found


def test_a_password_shows_in_no_failure(
    secretive: Secretive, way: Way, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, broken in failures(way, secretive.server.port).items():
        try:
            job = rowferry.Job(source=broken.source, target=broken.target, table="items", connect_timeout=2)
            assert_kept(f"{name}: the job", f"{job!r} {job}")
            job.run()
        except RowferryError as error:
            for shown in chain(error):
                assert_kept(name, "".join(traceback.format_exception(shown)) + repr(vars(shown)) + repr(shown.args))
            assert_kept(name, json.dumps(error.to_dict()))
        else:
            pytest.fail(f"{name}: the run went through")
    assert_kept("the log", caplog.text + repr([vars(record) for record in caplog.records]))
    assert_kept("what was printed", "".join(capfd.readouterr()))
    loads = secretive.route.at_target.execute("SELECT to_regclass('_rowferry.leases')").fetchone()
    if loads != (None,):
        assert_kept("the leases", repr(secretive.route.at_target.execute("SELECT t::text FROM _rowferry.leases t").fetchall()))


CORE_FAILURES = ("wrong host", "wrong port", "wrong database", "wrong password of the source", "wrong password of the target", "no TLS",
                 "unknown parameter", "bad port", "bad mode", "no service", "unclosed bracket", "password with a %")


def test_the_core_itself_says_no_password_even_before_python_takes_any_out(secretive: Secretive, way: Way) -> None:
    broken = {name: way for name, way in failures(way, secretive.server.port).items() if name in CORE_FAILURES}
    for name, job in broken.items():
        text = json.dumps({"source": job.source, "target": job.target, "table": "items"})
        with pytest.raises(_native.Error) as caught:
            _native.Job(text).execute("run", None)
        assert_kept(name, repr(caught.value) + repr(vars(caught.value)) + repr(caught.value.args))


@pytest.mark.parametrize("make", [in_uri, in_pairs], ids=["uri", "pairs"])
def test_a_command_that_fails_prints_no_password(secretive: Secretive, make: Callable[[Secretive], Way]) -> None:
    for name, broken in failures(make(secretive), secretive.server.port).items():
        for flags in ([], ["--json"]):
            done = Pair(broken.source, broken.target).run("run", "--table", "items", "--connect-timeout", "2", *flags)
            assert done.returncode not in (0, 10), f"{name}: {done.stderr}"
            assert_kept(name, done.stdout + done.stderr)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
