"""Airflow connections as the URIs that a rowferry job takes."""

from __future__ import annotations

import base64
import os
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook, mask_secret
from airflow.providers.postgres.hooks.postgres import PostgresHook

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Connection

__all__ = ["KEY_OF_CONNECTION", "connection_uri", "mask_key"]

KEY_OF_CONNECTION = "ROWFERRY_MASK_KEY_OF_CONNECTION"
"""The environment variable that holds the key of hashes while a load runs whose key is a connection's."""


@contextmanager
def mask_key(conn_id: str | None) -> Iterator[None]:
    """
    Have the password of a connection as the key of hashes in ``KEY_OF_CONNECTION``, for this process and no longer.

    :param conn_id: an Airflow connection of any type; None: nothing is set.
    :raises AirflowFailException: the connection has no password.
    :raises AirflowNotFoundException: there is no such connection.
    """
    if conn_id is None:
        yield
        return
    key = BaseHook.get_connection(conn_id).password
    if not key:
        raise AirflowFailException(f"connection {conn_id!r}, which mask_key_conn_id names, has no password: that is the key of hashes")
    mask_secret(key)
    os.environ[KEY_OF_CONNECTION] = key
    try:
        yield
    finally:
        os.environ.pop(KEY_OF_CONNECTION, None)


def connection_uri(conn_id: str) -> str:
    """
    Resolve a connection into the URI of a server, of a DuckDB or SQLite file, or of a Snowflake account.

    The URI may hold a password or a token: it goes into a job and nowhere else, never into a log.

    :param conn_id: an Airflow connection. Of type ``postgres``: resolved through its provider's own hook; its
        extras become connection parameters (``sslmode``, ``sslrootcert``, ``sslkey``, ``options``, …) except
        those the hook keeps for itself; with ``iam`` the password is a fresh token. Of type ``duckdb``: its host
        is the file's whole path, as for Cosmos; its extras are ``memory_limit`` and ``threads``. Of type ``mysql``, a
        MariaDB server: its extras are ``sslmode``, ``sslrootcert`` (or ``ssl``'s ``ca``) and ``unix_socket``. Of type
        ``sqlite``: its host is the file's whole path. Of type ``odbc``: the connection string of its provider's hook. Of type
        ``snowflake``: resolved through its provider's own hook, with a password, a private key (file or content,
        with a passphrase as the connection's password) or an OAuth token; ``host``, ``port`` and ``protocol`` of its
        extra lead to an emulator or a proxy.
    :raises AirflowFailException: the connection is of another type, or names no file.
    :raises AirflowNotFoundException: there is no such connection.
    """
    conn = BaseHook.get_connection(conn_id)
    if conn.conn_type == PostgresHook.conn_type:
        return _postgres_uri(PostgresHook(postgres_conn_id=conn_id))
    if conn.conn_type == "duckdb":
        return _duckdb_uri(conn_id, conn)
    if conn.conn_type == "mysql":
        return _mariadb_uri(conn)
    if conn.conn_type == "sqlite":
        return f"sqlite://{quote(_file_of(conn_id, conn))}"
    if conn.conn_type == "odbc":
        return _odbc_string(conn_id)
    if conn.conn_type == "snowflake":
        return _snowflake_uri(conn_id, conn)
    raise AirflowFailException(
        f"connection {conn_id!r} is of type {conn.conn_type!r}; rowferry needs one of type 'postgres', 'duckdb', 'snowflake', 'mysql', 'sqlite'"
        " or 'odbc'"
    )


def _postgres_uri(hook: PostgresHook) -> str:
    conn = hook.connection
    user, password, port = conn.login, conn.password, conn.port
    if conn.extra_dejson.get("iam", False):
        user, password, port = hook.get_iam_token(conn)
        mask_secret(password)
    own = {"host": conn.host, "port": port}
    extras = {k: v for k, v in conn.extra_dejson.items() if k not in hook.ignored_extra_options}
    # Host and port as parameters: there a socket's folder, an IPv6 address or a list of hosts needs no escapes.
    parameters = {k: str(v) for k, v in {**own, **extras}.items() if v is not None and v != ""}
    database = quote(hook.database or conn.schema or "", safe="")
    return f"postgresql://{_user_info(user, password)}/{database}?{urlencode(parameters, quote_via=quote)}"


def _duckdb_uri(conn_id: str, conn: Connection) -> str:
    options = urlencode(conn.extra_dejson, quote_via=quote)
    return f"duckdb://{quote(_file_of(conn_id, conn))}{'?' if options else ''}{options}"


def _file_of(conn_id: str, conn: Connection) -> str:
    # A path where only we would look for it makes dbt build its models in memory, and be green.
    if not (conn.host or "").startswith("/"):
        raise AirflowFailException(
            f"connection {conn_id!r} of type {conn.conn_type!r} names no file: its host is the whole path, such as"
            f" /data/warehouse.{conn.conn_type}, written in a URI as {conn.conn_type}://%2Fdata%2Fwarehouse.{conn.conn_type}"
        )
    return str(conn.host)


def _mariadb_uri(conn: Connection) -> str:
    extras = conn.extra_dejson
    ssl = extras.get("ssl")
    given = {
        "sslmode": extras.get("sslmode"),
        "sslrootcert": extras.get("sslrootcert") or (ssl.get("ca") if isinstance(ssl, dict) else None),
        "socket": extras.get("unix_socket"),
    }
    options = urlencode({name: str(value) for name, value in given.items() if value}, quote_via=quote)
    host = f"[{conn.host}]" if ":" in (conn.host or "") else conn.host or ""
    place = f"{host}{f':{conn.port}' if conn.port else ''}/{quote(conn.schema or '', safe='')}"
    return f"mariadb://{_user_info(conn.login, conn.password)}{place}{'?' if options else ''}{options}"


def _odbc_string(conn_id: str) -> str:
    from airflow.providers.odbc.hooks.odbc import OdbcHook  # a provider that not everybody has

    return f"odbc:{OdbcHook(odbc_conn_id=conn_id).odbc_connection_string}"


def _snowflake_uri(conn_id: str, conn: Connection) -> str:
    # The provider is wanted by those alone who have such a connection.
    from airflow.providers.snowflake.hooks.snowflake import SnowflakeHook

    known = SnowflakeHook(snowflake_conn_id=conn_id)._get_conn_params()  # what its get_conn signs in with
    if not known.get("account"):
        raise AirflowFailException(f"connection {conn_id!r} of type 'snowflake' names no account in its extra")
    account = ".".join(part for part in (known["account"], known.get("region")) if part)
    parameters = {
        "warehouse": known.get("warehouse"),
        "role": known.get("role"),
        "authenticator": known.get("authenticator"),
        "token": known.get("token"),
        "private_key": _pem(known.get("private_key")),
        **{name: conn.extra_dejson.get(name) for name in ("host", "port", "protocol")},
    }
    if parameters["private_key"]:
        parameters["authenticator"] = "snowflake_jwt"
    for secret in (parameters["token"], parameters["private_key"]):
        if secret:
            mask_secret(secret)
    by_secret = parameters["token"] or parameters["private_key"]
    user = _user_info(known.get("user") or conn.login or "token", None if by_secret else known.get("password"))
    path = "/".join(quote(part, safe="") for part in (known.get("database"), known.get("schema")) if part)
    given = {name: str(value) for name, value in parameters.items() if value}
    return f"snowflake://{user}{quote(account, safe='')}/{path}?{urlencode(given, quote_via=quote)}"


def _pem(der: Any) -> str | None:
    """A private key as the provider gives it, with its passphrase taken off, as PEM text."""
    if not der:
        return None
    lines = textwrap.wrap(base64.b64encode(der).decode(), 64)
    return "\n".join(["-----BEGIN PRIVATE KEY-----", *lines, "-----END PRIVATE KEY-----", ""])


def _user_info(user: str | None, password: str | None) -> str:
    if not user and not password:
        return ""
    secret = f":{quote(password, safe='')}" if password else ""
    return f"{quote(user or '', safe='')}{secret}@"
