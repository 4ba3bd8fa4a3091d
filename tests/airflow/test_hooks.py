"""Airflow connections as URIs: whatever a connection holds must arrive at libpq, or name the file, unchanged."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException
from airflow.providers.postgres.hooks.postgres import PostgresHook
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat, load_pem_private_key
from psycopg.conninfo import conninfo_to_dict

from airflow_rowferry.hooks import connection_uri
from rowferry import Job
from rowferry.uri import problem, redact


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Define an Airflow connection, and get what libpq reads in the URI made of it."""

    def resolve(**parts: Any) -> dict[str, Any]:
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "postgres", **parts}))
        uri = connection_uri("shop")
        assert problem(uri) is None
        return conninfo_to_dict(uri)

    return resolve


def test_host_user_password_port_and_database_arrive(connection):
    assert connection(host="db.example", login="me", password="secret", port=6432, schema="shop") == {
        "host": "db.example",
        "user": "me",
        "password": "secret",
        "port": "6432",
        "dbname": "shop",
    }


@pytest.mark.parametrize("odd", ["p@ss/w:rd?", "50% & more", "ünï 'cöde'", "a b#c+d=e"])
def test_odd_characters_arrive_unchanged(connection, odd):
    got = connection(host="h", login=odd, password=odd, schema=odd)
    assert (got["user"], got["password"], got["dbname"]) == (odd, odd, odd)


@pytest.mark.parametrize("host", ["/var/run/postgresql", "::1", "a.example,b.example"])
def test_sockets_ipv6_and_lists_of_hosts_arrive(connection, host):
    assert connection(host=host, login="me", schema="shop")["host"] == host


def test_extras_become_connection_parameters(connection):
    got = connection(host="h", extra={"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "keepalives_idle": 30})
    assert (got["sslmode"], got["sslrootcert"], got["keepalives_idle"]) == ("verify-full", "/etc/ca.pem", "30")


def test_extras_that_are_only_for_the_hook_do_not(connection):
    got = connection(host="h", extra={"cursor": "dictcursor", "aws_conn_id": "aws", "iam": False})
    assert got == {"host": "h"}


def test_a_connection_may_leave_everything_to_libpq(connection):
    assert connection() == {}


def test_an_iam_token_takes_the_place_of_the_password(connection, monkeypatch):
    monkeypatch.setattr(PostgresHook, "get_iam_token", lambda self, conn: ("iam_user", "token/with?odd=parts", 5439))
    got = connection(host="h", login="me", extra={"iam": True})
    assert (got["user"], got["password"], got["port"]) == ("iam_user", "token/with?odd=parts", "5439")


def test_a_password_in_the_uri_is_found_by_those_who_hide_it(connection, monkeypatch):
    connection(host="h", login="me", password="p@ss/word")
    uri = connection_uri("shop")
    assert "p@ss/word" not in redact(f"could not connect with p@ss/word to {uri}", uri)
    assert "p%40ss" not in redact(uri, uri)


@pytest.fixture
def file_connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Define an Airflow connection as a URI or in parts, and get the URI of a job that is made of it."""

    def resolve(connection: str | dict[str, Any]) -> str:
        text = connection if isinstance(connection, str) else json.dumps({"conn_type": "duckdb", **connection})
        monkeypatch.setenv("AIRFLOW_CONN_FILE", text)
        uri = connection_uri("file")
        assert problem(uri) is None
        return uri

    return resolve


def test_a_duckdb_connection_has_the_path_of_the_file_as_its_host(file_connection):
    assert file_connection({"host": "/data/Warehouse.duckdb"}) == "duckdb:///data/Warehouse.duckdb"
    assert file_connection("duckdb://%2Fdata%2FWarehouse.duckdb") == "duckdb:///data/Warehouse.duckdb"


@pytest.mark.parametrize("name", ["ware house.duckdb", "50%.duckdb", "what?&a=b#c.duckdb", "größe@.duckdb"])
def test_odd_characters_of_a_path_arrive_unchanged(file_connection, tmp_path, name):
    uri = file_connection({"host": str(tmp_path / name)})
    Job(source="postgresql:///", target=uri, table="orders").reset()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_extras_of_a_duckdb_connection_become_options(file_connection):
    uri = file_connection({"host": "/data/w.duckdb", "extra": {"memory_limit": "50 %", "threads": 4}})
    assert uri == "duckdb:///data/w.duckdb?memory_limit=50%20%25&threads=4"


@pytest.mark.parametrize(
    "connection", [{}, {"host": "w.duckdb"}, {"host": "md:shop"}, {"schema": "/w.duckdb"}, "duckdb:///data/w.duckdb"]
)
def test_a_duckdb_connection_without_a_whole_path_is_refused_with_how_to_write_it(file_connection, connection):
    with pytest.raises(AirflowFailException, match=r"'file'.* names no file.* duckdb://%2Fdata%2F"):
        file_connection(connection)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Define a Snowflake connection, and get the parts of the URI of a job that is made of it."""

    def resolve(**parts: Any) -> tuple[str, dict[str, str]]:
        monkeypatch.setenv("AIRFLOW_CONN_ACCOUNT", json.dumps({"conn_type": "snowflake", **parts}))
        uri = connection_uri("account")
        assert problem(uri) is None
        before, _, query = uri.partition("?")
        return before, {name: unquote(value) for name, _, value in (pair.partition("=") for pair in query.split("&"))}

    return resolve


def test_a_snowflake_connection_has_its_extras_where_they_belong(account):
    extra = {"account": "org-acc", "warehouse": "W", "role": "R", "database": "RAW"}
    before, query = account(login="me@x", password="p/w", schema="S", extra=extra)
    assert before == "snowflake://me%40x:p%2Fw@org-acc/RAW/S"
    assert query == {"warehouse": "W", "role": "R", "authenticator": "snowflake"}


def test_a_private_key_with_its_passphrase_arrives_as_pem_without_and_no_password_with_it(account, tmp_path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    sealed = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame"))
    (tmp_path / "key.p8").write_bytes(sealed)
    extra = {"account": "acc", "private_key_file": str(tmp_path / "key.p8")}
    before, query = account(login="me", password="open sesame", extra=extra)
    assert before == "snowflake://me@acc/"
    assert query["authenticator"] == "snowflake_jwt"
    arrived = load_pem_private_key(query["private_key"].encode(), None)
    assert arrived.private_numbers() == key.private_numbers()
    uri = connection_uri("account")
    assert "PRIVATE" not in redact(f"cannot connect to {uri}", uri)


def test_a_snowflake_connection_without_an_account_is_refused(account):
    with pytest.raises(AirflowFailException, match="names no account"):
        account(login="me", password="x")


def test_a_connection_of_another_type_is_refused(connection):
    with pytest.raises(AirflowFailException, match="type 'http'; .* 'postgres', 'duckdb', 'snowflake', 'mysql', 'sqlite' or 'odbc'"):
        connection(conn_type="http", host="h")


def test_a_connection_that_does_not_exist_is_named():
    with pytest.raises(AirflowNotFoundException, match="nobody"):
        connection_uri("nobody")


MARIADB = {"conn_type": "mysql", "host": "db.example", "login": "me", "password": "p@ss/w:rd", "port": 3307, "schema": "shop"}
BEHIND_ODBC: dict[str, tuple[dict[str, Any], str]] = {
    "a MariaDB server": (MARIADB, "mariadb://me:p%40ss%2Fw%3Ard@db.example:3307/shop"),
    "its authority": (MARIADB | {"extra": {"ssl": {"ca": "/etc/ca.pem"}}}, "mariadb://me:p%40ss%2Fw%3Ard@db.example:3307/shop?sslrootcert=%2Fetc%2Fca.pem"),
    "its socket": ({"conn_type": "mysql", "login": "me", "extra": {"unix_socket": "/run/m.sock"}}, "mariadb://me@/?socket=%2Frun%2Fm.sock"),
    "an IPv6 address": ({"conn_type": "mysql", "host": "::1"}, "mariadb://[::1]/"),
    "a SQLite file": ({"conn_type": "sqlite", "host": "/data/a b.sqlite"}, "sqlite:///data/a%20b.sqlite"),
    "a driver by name": ({"conn_type": "odbc", "host": "h", "login": "me", "password": "s3c;ret", "extra": {"driver": "MariaDB Unicode"}}, "odbc:DRIVER={MariaDB Unicode};"),
}


@pytest.mark.parametrize(("parts", "uri"), BEHIND_ODBC.values(), ids=BEHIND_ODBC)
def test_a_database_behind_odbc_is_named_as_the_core_reads_it(monkeypatch, parts, uri):
    monkeypatch.setenv("AIRFLOW__PROVIDERS_ODBC__ALLOW_DRIVER_IN_EXTRA", "True")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps(parts))
    made = connection_uri("shop")
    assert made.startswith(uri) if parts["conn_type"] == "odbc" else made == uri
    assert problem(made) is None
    assert "s3c" not in str(redact(f"cannot open {made}", made)) and "p%40ss" not in str(redact(f"cannot open {made}", made))


def test_a_sqlite_connection_without_a_path_is_refused(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_SHOP", json.dumps({"conn_type": "sqlite", "host": "relative.sqlite"}))
    with pytest.raises(AirflowFailException, match="names no file"):
        connection_uri("shop")
