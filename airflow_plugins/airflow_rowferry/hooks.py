"""Airflow connections as the URIs that a rowferry job takes."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from airflow.providers.common.compat.sdk import AirflowFailException, BaseHook, mask_secret
from airflow.providers.postgres.hooks.postgres import PostgresHook

__all__ = ["connection_uri"]


def connection_uri(conn_id: str) -> str:
    """
    Resolve a connection through its provider's own hook into a URI of libpq's form.

    The URI may hold a password or a token: it goes into a job and nowhere else, never into a log.

    :param conn_id: an Airflow connection of type ``postgres``. Its extras become connection parameters
        (``sslmode``, ``sslrootcert``, ``sslkey``, ``options``, …) except those the hook keeps for itself;
        with ``iam`` the password is a fresh token.
    :raises AirflowFailException: the connection is of another type.
    :raises AirflowNotFoundException: there is no such connection.
    """
    conn_type = BaseHook.get_connection(conn_id).conn_type
    if conn_type != PostgresHook.conn_type:
        raise AirflowFailException(
            f"connection {conn_id!r} is of type {conn_type!r}; rowferry needs one of type 'postgres'"
        )
    return _postgres_uri(PostgresHook(postgres_conn_id=conn_id))


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


def _user_info(user: str | None, password: str | None) -> str:
    if not user and not password:
        return ""
    secret = f":{quote(password, safe='')}" if password else ""
    return f"{quote(user or '', safe='')}{secret}@"
