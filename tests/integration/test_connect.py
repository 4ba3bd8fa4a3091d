"""The way to a server: several hosts, servers that speak another language or refuse a setting."""

from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from route import Route, described, started, until, waits_for

from rowferry.demo.servers import Server, free_port, start_postgres
from rowferry.errors import AuthenticationError, ConfigurationError, RowferryError, SourceError, TargetError

TABLE = "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items SELECT generate_series(1, 100)"
ATTEMPT = {"connect_timeout": 1}


# ---- several hosts ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def silent_host() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def with_hosts(uri: str, *before: str, said: str = "") -> str:
    """`uri` with other hosts to be tried before its own."""
    user, _, place = uri.partition("@")
    return f"{user}@{','.join([*before, place])}{'?' if said else ''}{said}"


def test_a_silent_host_has_its_own_time_and_does_not_stop_the_next(route: Route) -> None:
    route.at_source.execute(TABLE)
    with silent_host() as silent:
        job = route.job("items", source=with_hosts(route.source, silent), target=with_hosts(route.target, silent, silent), **ATTEMPT)
        assert job.run().this_try.read == 100


@pytest.mark.parametrize("dead", ["127.0.0.1:{port}", "nowhere.invalid:5432", "/nowhere/socket:5432"])
def test_a_host_that_cannot_be_reached_does_not_stop_the_next(route: Route, dead: str) -> None:
    route.at_source.execute(TABLE)
    dead = dead.format(port=free_port()).replace("/", "%2F")
    assert route.run("items", source=with_hosts(route.source, dead), target=with_hosts(route.target, dead)).this_try.read == 100


def test_when_no_host_answers_each_is_named(route: Route) -> None:
    free = free_port()
    with silent_host() as silent:
        uri = f"postgresql://postgres@{silent},127.0.0.1:{free}/db"
        with pytest.raises(SourceError) as caught:
            route.run("items", source=uri, **ATTEMPT)
    assert caught.value.retryable and caught.value.hint
    for words in (silent.partition(":")[2], "no answer within 1 s", str(free), "Connection refused"):
        assert words in str(caught.value), described(caught.value)


def test_hosts_addresses_and_ports_go_together(route: Route) -> None:
    route.at_source.execute(TABLE)
    info = route.at_source.info
    with silent_host() as silent:
        pairs = f"host=a.invalid,b.invalid hostaddr=127.0.0.1,127.0.0.1 port={silent.partition(':')[2]},{info.port}"
        source = f"{pairs} user=postgres dbname={info.dbname} sslmode=prefer"
        assert route.run("items", source=source, **ATTEMPT).this_try.read == 100
    with pytest.raises(ConfigurationError, match="2 host names to 1 hostaddr") as caught:
        route.run("items", source=f"{source} hostaddr=127.0.0.1")
    assert "source" in str(caught.value)


def test_a_server_that_refuses_us_is_not_passed_over_for_the_next(route: Route) -> None:
    """A wrong password is not tried at one server after the other."""
    route.at_source.execute(TABLE)
    with FakeServer("28P01", "password authentication failed") as refusing, FakeServer("57P03", "the database system is starting up") as starting:
        with pytest.raises(AuthenticationError):
            route.run("items", source=with_hosts(route.source, refusing.host))
        assert route.run("items", source=with_hosts(route.source, starting.host)).this_try.read == 100
    assert (refusing.refused, starting.refused) == (1, 1)


def test_the_host_that_accepts_writes_is_found_and_a_standby_is_only_preferred(route: Route, pg15: Server, pg18: Server) -> None:
    route.at_source.execute(TABLE)
    here = route.at_target.info
    other = pg15 if here.port == pg18.port else pg18
    other.create_database(here.dbname)
    try:
        other.admin(f"ALTER DATABASE {here.dbname} SET default_transaction_read_only = on")
        read_only = f"127.0.0.1:{other.port}"
        with pytest.raises(TargetError) as caught:
            route.run("items", target=with_hosts(route.target, read_only))
        assert caught.value.sqlstate == "25006" and caught.value.retryable
        assert "target_session_attrs=read-write" in caught.value.hint
        found = with_hosts(route.target, read_only, said="target_session_attrs=read-write")
        assert route.run("items", target=found).this_try.read == 100
        with pytest.raises(TargetError) as caught:
            route.run("items", target=with_hosts(route.target, said="target_session_attrs=standby"))
        assert caught.value.retryable and "target_session_attrs" in caught.value.hint
        preferred = with_hosts(route.source, f"127.0.0.1:{free_port()}", said="target_session_attrs=prefer-standby")
        assert route.run("items", source=preferred, target=found, capture="full").this_try.read == 100
    finally:
        other.admin(f"DROP DATABASE {here.dbname}")


# ---- other languages ----------------------------------------------------------------------------------------


class FakeServer:
    """Refuses every session with a SQLSTATE and words, as the first messages of PostgreSQL's protocol have it.

    For refusals that a real server gives only in a language, or a condition, that not every machine can make.
    """

    def __init__(self, state: str, words: str) -> None:
        fields = {"S": "FATAL", "V": "FATAL", "C": state, "M": words, "F": "auth.c", "L": "326", "R": "auth_failed"}
        body = b"".join(key.encode() + value.encode() + b"\0" for key, value in fields.items()) + b"\0"
        self._refusal = b"E" + struct.pack("!i", len(body) + 4) + body
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.refused = 0
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, client.makefile("rwb") as stream:
                    self._refuse(stream)

    def _refuse(self, stream: object) -> None:
        while True:
            length, code = struct.unpack("!ii", stream.read(8))
            stream.read(length - 8)
            if code >> 16 != 1234:  # a start; 1234 asks for encryption
                break
            stream.write(b"N")
            stream.flush()
        self.refused += 1
        stream.write(self._refusal)


REFUSALS: dict[str, tuple[str, str, type[RowferryError]]] = {
    "a password, in German": ("28P01", "Passwort-Authentifizierung für Benutzer »postgres« fehlgeschlagen", AuthenticationError),
    "a host, in French": ("28000", "aucune entrée dans pg_hba.conf pour l'hôte « 10.0.0.7 »", AuthenticationError),
    "a database, in Japanese": ("3D000", 'データベース"shop"は存在しません', ConfigurationError),
    "one session more, in Russian": ("53300", "извините, уже слишком много клиентов", SourceError),
}


@pytest.mark.parametrize("state, words, error", REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_is_recognised_in_any_language_and_quoted_as_it_was_said(
    route: Route, state: str, words: str, error: type[RowferryError]
) -> None:
    with FakeServer(state, words) as server, pytest.raises(RowferryError) as caught:
        route.run("items", source=f"postgresql://postgres@{server.host}/shop", lock_timeout=1)  # so long is a session waited for
    assert type(caught.value) is error and caught.value.sqlstate == state and caught.value.hint
    assert caught.value.server_message.endswith(f"FATAL:  {words}"), described(caught.value)


@pytest.fixture(scope="module")
def germany(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder for LOCPATH that knows de_DE.UTF-8."""
    folder = tmp_path_factory.mktemp("locales")
    with contextlib.suppress(FileNotFoundError):
        subprocess.run(["localedef", "-i", "de_DE", "-f", "UTF-8", folder / "de_DE.UTF-8"], capture_output=True)
    if not list(folder.iterdir()) or not Path("/usr/share/locale/de/LC_MESSAGES/postgres-15.mo").exists():
        pytest.skip("no German here: needs the package locales, and PostgreSQL's translations")
    for made in (folder, *folder.rglob("*")):
        made.chmod(0o755 if made.is_dir() else 0o644)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    return str(folder)


def test_servers_and_users_that_speak_german_get_the_same_errors(germany: str, monkeypatch: pytest.MonkeyPatch, pg15: Server) -> None:
    monkeypatch.setenv("LOCPATH", germany)
    with start_postgres(pg15.version, settings={"lc_messages": "de_DE.UTF-8"}) as server:
        server.admin("CREATE ROLE guarded LOGIN PASSWORD 'right'")
        server.require_password("guarded")
        guarded = server.uri(user="guarded")
        tries = {
            "wrong password": guarded.replace("guarded@", "guarded:wrong@"),
            "no password": guarded,
            "no database": server.uri("nowhere"),
            "no server": f"postgresql://postgres@127.0.0.1:{free_port()}/postgres",
            "no standby": f"{server.uri()}?target_session_attrs=standby",
        }
        outcomes = {name: german_outcome(uri) for name, uri in tries.items()}
    assert "fehlgeschlagen" in outcomes["wrong password"]
    assert "existiert nicht" in outcomes["no database"]
    assert {name: said.split()[:2] for name, said in outcomes.items()} == {
        "wrong password": ["AuthenticationError", "28P01"],
        "no password": ["AuthenticationError", "28P01"],
        "no database": ["ConfigurationError", "3D000"],
        "no server": ["TargetError", "08006"],
        "no standby": ["TargetError", "08006"],
    }
    assert "Connection refused" in outcomes["no server"] and "target_session_attrs" in outcomes["no standby"]


def german_outcome(uri: str) -> str:
    """Class, state and texts of the error of a job, in a process whose user speaks German."""
    program = """if True:
        import locale, sys, rowferry
        locale.setlocale(locale.LC_ALL, "de_DE.UTF-8")
        try:
            rowferry.run({"source": sys.argv[1], "target": sys.argv[1], "table": "items"})
        except rowferry.errors.RowferryError as error:
            print(type(error).__name__, error.sqlstate, error, error.hint)
    """
    done = subprocess.run([sys.executable, "-c", program, uri], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- a setting that not every system has -----------------------------------------------------------------------


class SystemThatCannotSeeClientsGo:
    """A way to a real server on which the setting of `client_connection_check_interval` is refused, as it is on macOS.

    It makes the value one that the server does not take; the server refuses it with the same SQLSTATE.
    """

    ASKED, REFUSED = (f"client_connection_check_interval = '{value}'".encode() for value in ("1s", "1x"))

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._address = (psycopg.conninfo.conninfo_to_dict(uri)["host"], int(psycopg.conninfo.conninfo_to_dict(uri)["port"]))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.n_refused = 0

    @property
    def uri(self) -> str:
        return self._uri.replace(f":{self._address[1]}/", f":{self._listener.getsockname()[1]}/", 1)

    def __enter__(self) -> SystemThatCannotSeeClientsGo:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._address)
                threading.Thread(target=self._pass_on, args=(client, server, self._change), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, bytes), daemon=True).start()

    def _change(self, sent: bytes) -> bytes:
        self.n_refused += sent.count(self.ASKED)
        return sent.replace(self.ASKED, self.REFUSED)

    def _pass_on(self, from_: socket.socket, to: socket.socket, change: Callable[[bytes], bytes]) -> None:
        with contextlib.suppress(OSError):
            while chunk := from_.recv(65536):
                to.sendall(change(chunk))
            to.shutdown(socket.SHUT_WR)


def test_a_server_that_cannot_see_its_client_go_is_used_without(route: Route) -> None:
    """Nor does the refusal bring the snapshot forward: rows committed while the run waits for the table are read."""
    route.at_source.execute(TABLE)
    with SystemThatCannotSeeClientsGo(route.source) as source, SystemThatCannotSeeClientsGo(route.target) as target:
        with psycopg.connect(route.source) as session:
            session.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
            run = started(lambda: route.run("items", source=source.uri, target=target.uri, verify=True))
            until(lambda: waits_for(route.at_source, "relation", "AccessShareLock"), unless=run)
            session.execute("INSERT INTO items VALUES (101)")
        assert run.result().this_try.read == 101
        assert (source.n_refused, target.n_refused) == (1, 1)
    route.assert_equal("items")


def test_servers_that_can_are_asked_to_see_their_client_go(route: Route) -> None:
    check = """CREATE FUNCTION check_setting() RETURNS {} LANGUAGE plpgsql AS $$ BEGIN
        ASSERT current_setting('client_connection_check_interval') = '1s', 'it is not set'; RETURN {}; END $$"""
    route.at_source.execute(TABLE)
    route.at_source.execute(check.format("bool", "true"))
    assert route.run("items", where="check_setting()").this_try.read == 100
    route.at_target.execute(check.format("trigger", "NEW"))
    route.at_target.execute("CREATE TRIGGER t BEFORE UPDATE ON raw_postgres.items FOR EACH ROW EXECUTE FUNCTION check_setting()")
    route.at_source.execute("UPDATE items SET id = id")
    assert route.run("items", where="check_setting()").this_try.updated == 100
