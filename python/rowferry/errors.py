"""What can go wrong, as exceptions.

::

    RowferryError
    ├── ConfigurationError     the job, the command or a table cannot work as written (also a ValueError)
    ├── AuthenticationError    a server refused the user, the password or the certificate
    ├── SourceError            the source could not be reached or could not answer
    ├── TargetError            the target could not be reached or could not take the rows
    ├── TableBusyError         another run holds the table, or a lock was not granted in time
    ├── SchemaDriftError       the columns changed in a way that somebody has to decide on
    ├── DataError              a value or a key that cannot be loaded as it is
    ├── FencedOffError         a newer try of the same run has taken the table over
    ├── CancelledError         the job was cancelled
    └── InternalError          a rule of rowferry itself was broken: please report it

The C core knows codes, not classes; `from_native` is the one place where a code becomes a class.
"""

from __future__ import annotations

import json
from typing import Any, ClassVar

from rowferry.uri import redact

__all__ = [
    "AuthenticationError",
    "CancelledError",
    "ConfigurationError",
    "DataError",
    "FencedOffError",
    "InternalError",
    "RowferryError",
    "SchemaDriftError",
    "SourceError",
    "TableBusyError",
    "TargetError",
]


class RowferryError(Exception):
    """The root of the tree.

    Attributes:
        code: Short stable name of the class, as in the core: `source`, `busy`, …
        sqlstate: Five characters by the server, or None when no server spoke.
        server_message: The server's message, unchanged but for secrets.
        detail: The server's detail, or ours.
        hint: What to do about it.
        role: What the failing statement was for (`merge`, `first snapshot`), never its text.
        retryable: Whether the same job may succeed when it is run again unchanged.
    """

    code: ClassVar[str] = "internal"

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        server_message: str | None = None,
        detail: str | None = None,
        hint: str | None = None,
        role: str | None = None,
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.server_message = server_message
        self.detail = detail
        self.hint = hint
        self.role = role
        self.retryable = retryable

    @property
    def message(self) -> str:
        return str(self.args[0])

    def to_dict(self) -> dict[str, Any]:
        """The error as JSON values; the attributes above and `message`."""
        return {"code": self.code, "message": self.message, **vars(self)}


class ConfigurationError(RowferryError, ValueError):
    """The job, the command or a table cannot work as written; running again does not help."""

    code = "configuration"


class AuthenticationError(RowferryError):
    """A server refused the user, the password or the certificate."""

    code = "authentication"


class SourceError(RowferryError):
    """The source could not be reached or could not answer."""

    code = "source"


class TargetError(RowferryError):
    """The target could not be reached or could not take the rows; nothing of this load is there."""

    code = "target"


class TableBusyError(RowferryError):
    """Another run holds the table, or a lock was not granted within `lock_timeout`."""

    code = "busy"


class SchemaDriftError(RowferryError):
    """The source's columns no longer fit the target's and no setting says what to do."""

    code = "drift"


class DataError(RowferryError):
    """A value or a key that cannot be loaded as it is."""

    code = "data"


class FencedOffError(RowferryError):
    """A newer try of the same run has taken the table over; this one wrote nothing."""

    code = "fenced"


class CancelledError(RowferryError):
    """The job was cancelled, by `Job.cancel()` or by a signal; nothing of this load is there."""

    code = "cancelled"


class InternalError(RowferryError):
    """A rule of rowferry itself was broken."""


_BY_CODE = {cls.code: cls for cls in RowferryError.__subclasses__()}
_TEXTS = ("sqlstate", "server_message", "detail", "hint", "role")


def from_native(error: BaseException, *uris: str | None) -> RowferryError:
    """Turn a `_native.Error` into its class, with the secrets of `uris` taken out of every text."""
    facts = json.loads(str(error.args[0]))
    texts = {name: redact(facts.get(name), *uris) for name in _TEXTS}
    cls = _BY_CODE.get(facts["code"], InternalError)
    message = redact(facts["message"], *uris) or cls.code
    return cls(message, retryable=bool(facts.get("retryable")), **texts)
