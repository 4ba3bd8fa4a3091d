"""A way to a server that breaks at the COMMIT of a load."""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit, urlunsplit

RECORD = b'INSERT INTO "_rowferry"."loads"'  # the next COMMIT is the load's


@dataclass(frozen=True)
class Protocol:
    """What shows in the bytes: the COMMIT that is asked for, and that it is done. `plain` keeps them unencrypted."""

    commit: bytes
    done: bytes
    plain: str


PROTOCOLS = {
    # The end of the server's answer, outside a transaction.
    "postgresql": Protocol(b"\0COMMIT\0", b"Z\0\0\0\5I", "sslmode=disable&gssencmode=disable"),
    # COM_QUERY, and the packet OK: mariadb.com/kb/en/0-packet.
    "mariadb": Protocol(b"\0\3COMMIT", b"\0\0\1\0", "sslmode=disable"),
}


class Cut(Enum):
    """What the way does with the COMMIT of the first load that takes it."""

    BEFORE = "it never reaches the server"
    AFTER = "it is carried out, and the answer is lost"
    UNNOTICED = "it reaches the server, which goes on thinking that the client is there"
    NOTICED = "it reaches the server, which sees the client go"
    LATE = "the client is cut off, and it reaches the server when `release` is set"
    NEVER = "all of it passes, but for this: the server goes on thinking that clients are there which are gone"


class CuttingProxy:
    """Passes bytes between clients and the server of `uri`; breaks one session as `cut` says, and no other.

    A connection is two threads. `cut_done` is set once the client's side is broken. `uri` is of PostgreSQL or of MariaDB.
    """

    def __init__(self, uri: str, cut: Cut) -> None:
        self._parts = urlsplit(uri)
        self._protocol = PROTOCOLS[self._parts.scheme]
        self._cut = cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        self._threads: list[threading.Thread] = []
        self._struck = threading.Lock()  # taken by the session that is cut, for good
        self.cut_done = threading.Event()
        self.release = threading.Event()

    @property
    def uri(self) -> str:
        """Without encryption, so that the statements show."""
        user = self._parts.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{self._listener.getsockname()[1]}"
        return urlunsplit(self._parts._replace(netloc=netloc, query=self._protocol.plain))

    def __enter__(self) -> CuttingProxy:
        self._start(self._accept)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for opened in self._sockets:
            shut(opened)
        self.release.set()
        for thread in self._threads:
            thread.join(5)
        for opened in self._sockets:
            opened.close()

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.append(client)
                try:
                    server = socket.create_connection((self._parts.hostname, self._parts.port))
                except OSError:  # it is down, and refuses the client as it would without us
                    shut(client)
                    continue
                self._sockets.append(server)
                muted = threading.Event()  # the client gets no more answers
                self._start(self._to_server, client, server, muted)
                self._start(self._to_client, client, server, muted)

    def _to_server(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        recorded = False
        with contextlib.suppress(OSError):
            while chunk := client.recv(65536):
                recorded = recorded or RECORD in chunk
                strikes = self._cut is not Cut.NEVER and recorded and self._protocol.commit in chunk
                if strikes and self._struck.acquire(blocking=False):
                    return self._strike(chunk, client, server, muted)
                server.sendall(chunk)
        if self._cut is not Cut.NEVER:
            shut(server)

    def _strike(self, chunk: bytes, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        muted.set()
        if self._cut is Cut.LATE:
            self._break(client)
            self.release.wait()
        if self._cut is not Cut.BEFORE:
            server.sendall(chunk)
        if self._cut in (Cut.BEFORE, Cut.NOTICED):
            shut(server)
        if self._cut in (Cut.BEFORE, Cut.UNNOTICED, Cut.NOTICED):
            self._break(client)

    def _to_client(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while chunk := server.recv(65536):
                if not muted.is_set():
                    client.sendall(chunk)
                elif self._protocol.done in chunk:
                    break
        self._break(client) if muted.is_set() else shut(client)

    def _break(self, client: socket.socket) -> None:
        shut(client)
        self.cut_done.set()


def shut(opened: socket.socket) -> None:
    """Ends what is under way on a socket, also in another thread."""
    with contextlib.suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
