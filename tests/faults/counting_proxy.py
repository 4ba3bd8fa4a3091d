"""A way to a server on which every message is counted, and one of them can be struck.

A step is what one side says before it lets the other speak: a request up to its Sync, an answer up to ReadyForQuery; each
message of COPY is one too; to MariaDB each packet is one. Steps are counted over all sessions of the way, each direction by
itself. One thread pumps all ways.
Sources of the framing: postgresql.org/docs/current/protocol-message-formats.html, mariadb.com/kb/en/0-packet.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

MARIADB_HEADER = 4
ENDS_REQUEST = frozenset(b"QSFHdcfXp")
ENDS_ANSWER = frozenset(b"ZGHWdENA")
PATIENCE_S = 20


@dataclass(eq=False)
class Session:
    """A client's connection and ours to the server."""

    client: socket.socket
    server: socket.socket
    backend: int = 0  # process id, once the server has told it
    started: bool = False
    deaf: bool = False  # the client is gone; the server is heard out
    held: dict[socket.socket, bytearray] = field(default_factory=dict)


@dataclass(frozen=True)
class Protocol:
    """How a kind of server is spoken with.

    Attributes:
        split: Takes the whole steps of a direction out of what was held.
        ends_answer: First bytes of the steps behind which a server has carried out what it was asked; none: of all.
        plain: In a URI, keeps the messages unencrypted.
        end_session: Statement that ends the session of a number.
    """

    split: Callable[[bytearray, str, Session], list[bytes]]
    ends_answer: bytes
    plain: str
    end_session: str


class Way:
    """Listens for one run, and hands every step to `on_step(way, direction, session, step)`, which passes it on or does not.

    Attributes:
        end: "source" or "target".
        protocol: Of the server.
        passed: Steps so far of each direction, "asks" and "answers".
    """

    def __init__(self, end: str, uri: str, pump: Pump, on_step: Callable[[Way, str, Session, bytes], None]) -> None:
        self.end = end
        self.passed = {"asks": 0, "answers": 0}
        self._parts = urlsplit(uri)
        self.protocol = PROTOCOLS[self._parts.scheme]
        self._pump = pump
        self._on_step = on_step
        self._sessions: list[Session] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        pump.watch(self._listener, self._accept)

    @property
    def uri(self) -> str:
        """Without encryption, so that the messages show."""
        user = self._parts.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self._listener.getsockname()[1]}"
        return urlunsplit(self._parts._replace(netloc=netloc, query=self.protocol.plain))

    def close(self) -> None:
        self._pump.forget(self._listener)
        for session in list(self._sessions):
            self.cut(session)

    # ---- what a fault may do with a step -----------------------------------------------------------------

    def pass_on(self, direction: str, session: Session, step: bytes) -> None:
        with contextlib.suppress(OSError):
            (session.server if direction == "asks" else session.client).sendall(step)

    def cut(self, session: Session) -> None:
        """Both connections end here; what was sent has arrived."""
        for end in (session.client, session.server):
            self._pump.forget(end)
        with contextlib.suppress(ValueError):
            self._sessions.remove(session)

    def lose_answer(self, session: Session) -> None:
        """The client is cut off at once; the server carries out what it was asked, and then is cut off too."""
        self._pump.forget(session.client)
        session.deaf = True
        with contextlib.suppress(OSError):
            session.server.shutdown(socket.SHUT_WR)  # some requests have no answer

    # ---- passing bytes -----------------------------------------------------------------------------------

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection((self._parts.hostname, self._parts.port))
        except OSError:
            return client.close()
        session = Session(client, server)
        self._sessions.append(session)
        for end in (client, server):
            end.settimeout(PATIENCE_S)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._pump.watch(client, lambda: self._forward("asks", session, client, server))
        self._pump.watch(server, lambda: self._forward("answers", session, server, client))

    def _forward(self, direction: str, session: Session, origin: socket.socket, other: socket.socket) -> None:
        try:
            heard = origin.recv(1 << 20)
        except OSError:
            heard = b""
        held = session.held.setdefault(origin, bytearray())
        held += heard
        ends = self.protocol.ends_answer
        for step in self.protocol.split(held, direction, session):
            if not self._pump.watches(origin):
                return  # cut off by the step before
            if session.deaf:
                if direction == "answers" and (not ends or step[0] in ends):
                    return self.cut(session)
                continue
            self.passed[direction] += 1
            self._on_step(self, direction, session, step)
        if not heard:
            if held and not session.deaf:
                with contextlib.suppress(OSError):
                    other.sendall(held)
            self.cut(session)


class Pump:
    """Waits for whatever the sockets of all ways bring."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def watch(self, opened: socket.socket, on_ready: Callable[[], None]) -> None:
        self._selector.register(opened, selectors.EVENT_READ, on_ready)

    def watches(self, opened: socket.socket) -> bool:
        return opened.fileno() >= 0 and opened in self._selector.get_map()

    def forget(self, opened: socket.socket) -> None:
        if self.watches(opened):
            self._selector.unregister(opened)
            opened.close()

    def turn(self, timeout_s: float) -> None:
        for key, _ in self._selector.select(timeout_s):
            if self.watches(key.fileobj):  # type: ignore[arg-type]
                key.data()

    def close(self) -> None:
        self._selector.close()


def split_steps(held: bytearray, direction: str, session: Session) -> list[bytes]:
    """Takes the whole steps out of `held`; notes the backend's process id when it comes by."""
    steps, begin, at = [], 0, 0
    while True:
        typed = direction == "answers" or session.started
        if len(held) < at + 4 + typed:
            break
        (length,) = struct.unpack_from("!I", held, at + typed)
        end = at + length + typed
        if len(held) < end:
            break
        kind = held[at] if typed else 0
        if direction == "answers" and kind == ord("K"):
            (session.backend,) = struct.unpack_from("!I", held, at + 5)
        at = end
        if not typed or kind in (ENDS_REQUEST if direction == "asks" else ENDS_ANSWER):
            session.started = True
            steps.append(bytes(held[begin:at]))
            begin = at
    del held[:begin]
    return steps


def split_packets(held: bytearray, direction: str, session: Session) -> list[bytes]:
    """As `split_steps`, for MariaDB: a length of three bytes, a number in its exchange, and the rest."""
    packets = []
    while len(held) >= MARIADB_HEADER and len(held) >= (end := MARIADB_HEADER + int.from_bytes(held[:3], "little")):
        packets.append(bytes(held[:end]))
        del held[:end]
    if packets and direction == "answers" and not session.backend:
        greeting = packets[0]
        (session.backend,) = struct.unpack_from("<I", greeting, greeting.index(0, MARIADB_HEADER + 1) + 1)
    return packets


PROTOCOLS = {
    "postgresql": Protocol(split_steps, b"ZE", "sslmode=disable&gssencmode=disable", "SELECT pg_terminate_backend({})"),
    "mariadb": Protocol(split_packets, b"", "sslmode=disable", "KILL CONNECTION {}"),
}
