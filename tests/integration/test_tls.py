"""Who answers must be known before anything is said: TLS to hosts of another machine, and to this one as before.

The servers listen on an address of this machine that is not loopback, which is all that makes a host remote.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from certificates import Authority, hand_over
from route import described, started, until

import rowferry
from rowferry.demo.servers import Server, start_postgres
from rowferry.errors import CancelledError, ConfigurationError

ROWS = 500
NAME = "db.example.test"  # what the certificates are for; nobody looks it up, the address is given beside it
LOADED = "SELECT count(*), sum(id) FROM raw_postgres.items"


@dataclass
class SafeServer:
    """A server with certificates to choose from, reached under `NAME` at `address`; source and target are databases of it."""

    server: Server
    address: str
    folder: Path
    authority: Authority
    stranger: Authority

    def show(self, certificate: str) -> None:
        """From now on the server presents this certificate; `none` turns TLS off."""
        stem = self.folder / certificate
        for setting, value in (("ssl", str(certificate != "none")), ("ssl_cert_file", f"{stem}.crt"), ("ssl_key_file", f"{stem}.key")):
            if certificate != "none" or setting == "ssl":
                self.server.admin(f"ALTER SYSTEM SET {setting} = '{value}'")
        loaded = "SELECT pg_conf_load_time()"
        before = self.server.admin(loaded)
        self.server.admin("SELECT pg_reload_conf()")
        until(lambda: self.server.admin(loaded) != before)

    def uri(self, database: str, **said: object) -> str:
        parameters = "&".join(f"{name}={value}" for name, value in {"hostaddr": self.address, **said}.items())
        return f"postgresql://carrier:secret-word@{NAME}:{self.server.port}/{database}?{parameters}"

    def job(self, **said: object) -> rowferry.Job:
        said.setdefault("sslrootcert", self.authority.file)
        return rowferry.Job(source=self.uri("source", **said), target=self.uri("target", **said), table="items", verify=True)

    def refused(self, **said: object) -> ConfigurationError:
        with pytest.raises(ConfigurationError) as caught:
            self.job(**said).run()
        assert not caught.value.retryable and "secret-word" not in described(caught.value)
        assert caught.value.code == "configuration" and caught.value.role == "connect"
        return caught.value


@pytest.fixture(scope="module")
def shared(pg15: Server) -> Iterator[SafeServer]:
    """A server of its own, of the version of `pg15`, which is skipped when it is missing; the other is built without TLS."""
    with (
        tempfile.TemporaryDirectory(prefix="rf-tls", dir="/tmp") as name,
        start_postgres(pg15.version, settings={"listen_addresses": "*"}) as server,
    ):
        folder, address = Path(name), outer_address()
        made = SafeServer(server, address, folder, Authority(folder, "authority"), Authority(folder, "stranger"))
        made.authority.sign(folder / "good", NAME, address)
        made.authority.sign(folder / "misnamed", "other.example.test")
        made.authority.sign(folder / "expired", NAME, address, expired=True)
        made.stranger.sign(folder / "unknown", NAME, address)
        data = Path(server.admin("SHOW data_directory")[0][0])
        hand_over(folder, data)
        with open(data / "pg_hba.conf", "a") as rules:
            rules.write("host all carrier 0.0.0.0/0 scram-sha-256\nhost all carrier ::/0 scram-sha-256\n")
        server.admin("CREATE ROLE carrier LOGIN PASSWORD 'secret-word' IN ROLE pg_monitor")
        for database in ("source", "target"):
            server.admin(f"CREATE DATABASE {database} OWNER carrier")
        with psycopg.connect(server.uri("source", "carrier")) as session:
            session.execute(f"CREATE TABLE items AS SELECT n AS id, md5(n::text) AS name FROM generate_series(1, {ROWS}) AS n")
            session.execute("ALTER TABLE items ADD PRIMARY KEY (id)")
        yield made


@pytest.fixture
def safe(shared: SafeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SafeServer:
    """The server with its good certificate, nothing loaded, and a home folder of our own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    shared.show("good")
    shared.server.admin("DROP SCHEMA IF EXISTS raw_postgres, _rowferry CASCADE", "target")
    return shared


def outer_address() -> str:
    """An address of this machine that others may reach it by; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))
        return probe.getsockname()[0]


# ---- what is checked unless another sslmode is said ---------------------------------------------------------


def test_a_remote_server_with_a_certificate_that_proves_its_name_is_loaded_from_and_into(safe: SafeServer) -> None:
    assert safe.job().run().this_try.read == ROWS
    assert safe.server.admin(LOADED, "target") == [(ROWS, ROWS * (ROWS + 1) // 2)]


UNTRUSTED = {
    "an authority that nobody trusts": ("unknown", ("certificate verify failed",), "sslmode=require"),
    "another host's certificate": ("misnamed", ("other.example.test", NAME), "sslmode=require"),
    "an expired certificate": ("expired", ("certificate verify failed",), "sslmode=require"),
    "no encryption at all": ("none", ("does not support SSL",), "sslmode=disable"),
}


@pytest.mark.parametrize("certificate, says, fix", UNTRUSTED.values(), ids=UNTRUSTED)
def test_a_remote_server_that_proves_nothing_is_refused_until_less_is_asked_of_it(
    safe: SafeServer, certificate: str, says: tuple[str, ...], fix: str
) -> None:
    safe.show(certificate)
    error = safe.refused()
    assert fix in error.hint and "the target's URI" in error.hint, described(error)
    assert all(words in str(error) for words in says), described(error)
    relaxed = fix.partition("=")[2]
    assert safe.job(sslmode=relaxed, sslrootcert="").run().this_try.read == ROWS


def test_an_expired_certificate_and_an_unknown_authority_are_both_named_as_possible(safe: SafeServer) -> None:
    safe.show("expired")
    assert "expired" in safe.refused().hint and "authority" in safe.refused().hint


def test_a_file_of_authorities_that_is_not_there_is_named(safe: SafeServer) -> None:
    error = safe.refused(sslrootcert="/nowhere/root.pem")
    assert "/nowhere/root.pem" in str(error) and "sslrootcert" in error.hint and "sslmode=require" in error.hint


def test_an_address_in_place_of_a_name_is_checked_too(safe: SafeServer) -> None:
    def by_address(certificate: str) -> rowferry.Job:
        safe.show(certificate)
        uris = {side: safe.uri(side, sslrootcert=safe.authority.file).replace(NAME, safe.address) for side in ("source", "target")}
        return rowferry.Job(table="items", **uris)

    assert by_address("good").run().this_try.read == ROWS
    with pytest.raises(ConfigurationError, match="other.example.test"):
        by_address("misnamed").run()


# ---- whose signature counts ---------------------------------------------------------------------------------


def test_without_a_file_of_authorities_those_count_that_the_system_trusts(safe: SafeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "certificate verify failed" in str(safe.refused(sslrootcert=""))
    assert "certificate verify failed" in str(safe.refused(sslrootcert="", sslmode="verify-full"))
    monkeypatch.setenv("SSL_CERT_FILE", str(safe.authority.file))
    assert safe.job(sslrootcert="").run().this_try.read == ROWS
    assert safe.job(sslrootcert="", sslmode="verify-full").run().this_try.read == 0


def test_the_authorities_in_the_home_folder_count_before_those_of_the_system(
    safe: SafeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(safe.authority.file))
    own = tmp_path / ".postgresql/root.crt"
    own.parent.mkdir()
    own.write_bytes(safe.stranger.file.read_bytes())
    assert "certificate verify failed" in str(safe.refused(sslrootcert=""))
    own.write_bytes(safe.authority.file.read_bytes())
    monkeypatch.setenv("SSL_CERT_FILE", str(safe.stranger.file))
    assert safe.job(sslrootcert="").run().this_try.read == ROWS


# ---- where less is asked ------------------------------------------------------------------------------------


def test_the_environment_can_ask_for_less(safe: SafeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    safe.show("unknown")
    monkeypatch.setenv("PGSSLMODE", "require")
    assert safe.job(sslrootcert="").run().this_try.read == ROWS
    assert "certificate verify failed" in str(safe.refused(sslmode="verify-full"))


def test_a_service_file_can_ask_for_less_and_can_name_the_host(safe: SafeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    services = tmp_path / "services"
    place = f"host={NAME}\nhostaddr={safe.address}\nport={safe.server.port}\nuser=carrier\npassword=secret-word\n"
    services.write_text(f"[lax]\n{place}sslmode=require\n[silent]\n{place}")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    safe.show("unknown")

    def job(service: str) -> rowferry.Job:
        return rowferry.Job(source=f"service={service} dbname=source", target=f"postgresql:///target?service={service}", table="items")

    assert job("lax").run().this_try.read == ROWS
    with pytest.raises(ConfigurationError, match="certificate verify failed"):
        job("silent").run()


def test_sockets_and_loopback_need_no_certificate(safe: SafeServer) -> None:
    places = {host: f"postgresql://postgres@{host}:{safe.server.port}" for host in ("127.0.0.1", "localhost", "127.3.2.1")}
    places["socket"] = f"host={safe.server.socket_dir} port={safe.server.port} user=postgres dbname="
    for certificate in ("unknown", "none"):
        safe.show(certificate)
        for place, uri in places.items():
            source, target = (f"{uri}{side}" if place == "socket" else f"{uri}/{side}" for side in ("source", "target"))
            report = rowferry.Job(source=source, target=target, table="items", capture="full").run()
            assert report.this_try.read == ROWS, place


def test_the_password_of_a_clients_key_opens_it_and_is_never_shown(safe: SafeServer) -> None:
    stem, secret = safe.folder / "client", "xQ7plantedXk"
    safe.authority.sign(stem, "carrier", password=secret.encode())
    shutil.chown(stem.with_suffix(".key"), os.geteuid(), os.getegid())
    said = {"sslcert": stem.with_suffix(".crt"), "sslkey": stem.with_suffix(".key")}
    assert safe.job(**said, sslpassword=secret).run().this_try.read == ROWS
    for name, wrong in (("wrong", f"{secret}wrong"), ("of a key that is not there", secret)):
        if name != "wrong":
            said["sslkey"] = "/nowhere/client.key"
        job = safe.job(**said, sslpassword=wrong)
        with pytest.raises(ConfigurationError) as caught:
            job.run()
        assert "sslkey" in caught.value.hint and secret not in described(caught.value) + repr(job), name


# ---- a whole run --------------------------------------------------------------------------------------------

OURS = "application_name = 'rowferry tls'"


@pytest.fixture
def held(safe: SafeServer) -> Iterator[tuple[rowferry.Job, Future[rowferry.Report], psycopg.Connection]]:
    """A job that waits for a lock at its source, with a session there that holds it; every session must be encrypted."""
    said = {"sslrootcert": safe.authority.file}
    job = rowferry.Job(source=safe.uri("source", **said), target=safe.uri("target", **said), table="items", application="rowferry tls", lease_seconds=2)
    with psycopg.connect(safe.server.uri("source")) as session:
        session.execute("LOCK TABLE items IN ACCESS EXCLUSIVE MODE")
        run = started(job.run)
        waiting = f"SELECT pid FROM pg_stat_activity WHERE {OURS} AND wait_event_type = 'Lock' AND datname = 'source'"
        until(lambda: safe.server.admin(waiting) != [], unless=run)
        yield job, run, session


def test_the_connection_that_keeps_the_lease_is_encrypted_as_the_others_are(safe: SafeServer, held: tuple) -> None:
    _, run, session = held
    sessions = f"SELECT datname, query, ssl FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE {OURS} ORDER BY datname"
    renewing = "UPDATE \"_rowferry\".\"leases\""
    until(lambda: any(query.startswith(renewing) for _, query, _ in safe.server.admin(sessions)), unless=run)
    seen = safe.server.admin(sessions)
    assert [name for name, _, _ in seen] == ["source", "target", "target"]
    assert all(encrypted for _, _, encrypted in seen)
    session.rollback()
    assert run.result().this_try.read == ROWS


def test_a_run_over_tls_is_cancelled_on_its_server(safe: SafeServer, held: tuple) -> None:
    job, run, _ = held
    job.cancel()
    with pytest.raises(CancelledError):
        run.result()
    until(lambda: safe.server.admin(f"SELECT pid FROM pg_stat_activity WHERE {OURS}") == [])
    assert "canceling statement due to user request" in safe.server.log_path.read_text()
