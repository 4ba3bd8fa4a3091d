"""Connection strings: what is wrong with them, and how to show them without their secrets.

libpq reads a server's URI; this module only keeps passwords out of what people see. libpq quotes a URI
that it cannot read in its error, and a password with an unencoded `@` or `/` ends up in the name of the
host or the database, so such a URI is refused here, before libpq sees it. One with a space is refused too:
in the middle of a text nobody could say where it ends.

Targets behind ODBC are named by `mariadb://`, `mysql://`, `sqlite:///path` or `odbc:` and a connection string.

Formats: postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING;
learn.microsoft.com/sql/odbc/reference/syntax/sqldriverconnect-function.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

MASK = "***"

_IN_URI = re.compile(r"(\b[a-z][a-z0-9+]*://[^\s:/@?]*:)\S*(?=@)", re.IGNORECASE)
_IN_PAIR = re.compile(r"(\b(?:ssl)?password\s*=\s*)('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)(?:[^\s\\]|\\.)*)", re.IGNORECASE)
_IN_SNOWFLAKE = re.compile(r"((?:token|private_key|private_key_file_pwd)=)[^&\s]+")
_IN_QUERY = re.compile(r"[?&](?:token|private_key|private_key_file_pwd)=([^&]*)")
"""What a snowflake:// URI holds of secrets behind its path."""
_IN_ODBC = re.compile(r"(\b(?:pwd|password)\s*=\s*)(\{(?:[^}]|\}\})*\}?|[^;]*)", re.IGNORECASE)
_ODBC = re.compile(r"\bodbc:.*", re.IGNORECASE | re.DOTALL)
_PAIRS = re.compile(r"\s*\w+\s*=")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*://")
_USER = re.compile(r"[A-Za-z][\w+.-]*://([^@/]*)@")
_SHORTEST_SECRET = 4
"""A shorter password is hidden where it stands in a URI only: masking every `a` of a message helps nobody."""


def has_password(uri: str) -> bool:
    """Whether `uri` holds a password in clear text."""
    return bool(_passwords(uri))


def hide(text: str) -> str:
    """`text` with the password of every URI, and of every `password=…`, replaced by `***`."""
    text = _ODBC.sub(lambda found: _IN_ODBC.sub(rf"\1{MASK}", found[0]), text)
    text = _IN_PAIR.sub(rf"\1{MASK}", _IN_URI.sub(rf"\1{MASK}", text))
    return _IN_SNOWFLAKE.sub(rf"\1{MASK}", text)


def redact(text: str | None, *uris: str | None) -> str | None:
    """`text` without any password of `uris`, whether it stands in a URI or by itself."""
    if text is None:
        return None
    secrets = {s for uri in uris for p in _passwords(uri or "") for s in (p, unquote(p))}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, MASK)
    return hide(text)


def problem(uri: str) -> str | None:
    """What makes `uri` unreadable or unsafe to hand to libpq, in words that quote none of it; None when nothing does."""
    if uri.startswith("odbc:"):
        return "has a line break" if re.search(r"[\r\n\0]", uri) else None  # the core reads the rest, and quotes none of it
    if not _SCHEME.match(uri) and not names_file(uri) and not is_snowflake(uri):
        return None if _PAIRS.match(uri) else "is neither postgresql://user@host/database nor key=value pairs"
    if re.search(r"\s", uri):
        return "has a space or a line break: write it as %20 or %0A"
    if names_file(uri):
        return None  # a path holds no secret, and may hold an @
    user = _USER.match(uri)
    place = uri[user.end() :] if user else uri
    if "@" in place.partition("?")[0]:
        return "has an @ or a / in its user, password or database: write them as %40 and %2F"
    if user and re.search(r"%(?![0-9A-Fa-f]{2})", user[1]):
        return "has a % without two hexadecimal digits in its user or password: write it as %25"
    return None


def names_file(uri: str) -> bool:
    """Whether `uri` names a file of this machine, well or badly; the core reads the rest."""
    return uri.startswith(("duckdb:", "sqlite:"))


def is_duckdb(uri: str) -> bool:
    """Whether `uri` names a DuckDB file."""
    return uri.startswith("duckdb:")


def is_snowflake(uri: str) -> bool:
    """Whether `uri` names a Snowflake account, well or badly; the core reads the rest."""
    return uri.startswith("snowflake:")


def driver(uri: str) -> str | None:
    """The library through which the core reaches `uri`; None when it needs none, or the package of it is not installed."""
    if is_snowflake(uri):
        package = find_spec("adbc_driver_snowflake")
        library = Path(package.origin).with_name("libadbc_driver_snowflake.so") if package and package.origin else None
        return str(library) if library and library.exists() else None
    spec = find_spec("_duckdb") if is_duckdb(uri) else None
    return spec.origin if spec else None


def _passwords(uri: str) -> list[str]:
    """The passwords in `uri` as they are written there."""
    if uri.startswith("odbc:"):
        return [_unbraced(pair[2]) for pair in _IN_ODBC.finditer(uri) if _unbraced(pair[2])]
    user = _USER.match(uri)
    found = [user[1].partition(":")[2]] if user else []
    found += [secret[1] for secret in _IN_QUERY.finditer(uri)] if is_snowflake(uri) else []
    for pair in _IN_PAIR.finditer(uri):
        found.append(pair[2].partition("&")[0] if _SCHEME.match(uri) else pair[2].strip("'"))
    return [password for password in found if password]


def _unbraced(value: str) -> str:
    """{se;cr}}et} → se;cr}et"""
    return value[1:].removesuffix("}").replace("}}", "}") if value.startswith("{") else value.strip()
