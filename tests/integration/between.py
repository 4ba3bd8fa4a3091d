"""A way to a server on which something is done just before a certain statement arrives there."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import urlsplit, urlunsplit


class Between:
    """Passes bytes between clients and the server of `uri`; before the first message that holds `marker` it calls `deed`.

    What `deed` raises is raised at the end of the block, and so is it when no such message came.
    """

    def __init__(self, uri: str, marker: str, deed: Callable[[], object]) -> None:
        self._parts, self._marker, self._deed = urlsplit(uri), marker.encode(), deed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self._threads: list[threading.Thread] = []
        self._failure: BaseException | None = None
        self._done = False

    @property
    def uri(self) -> str:
        """Without encryption, so that the statements show."""
        netloc = f"{self._parts.username}@127.0.0.1:{self._listener.getsockname()[1]}"
        return urlunsplit(self._parts._replace(netloc=netloc, query="sslmode=disable&gssencmode=disable"))

    def __enter__(self) -> Between:
        self._start(self._accept)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        for opened in self._sockets:
            with contextlib.suppress(OSError):
                opened.shutdown(socket.SHUT_RDWR)
            opened.close()
        for thread in self._threads:
            thread.join(5)
        if self._failure:
            raise self._failure
        assert self._done or kind, f"no statement had {self._marker!r}"

    def _start(self, target: Callable[..., None], *args: socket.socket) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self._parts.hostname, self._parts.port))
                self._sockets += [client, server]
                self._start(self._pass_on, client, server)
                self._start(self._pass_on, server, client)

    def _pass_on(self, origin: socket.socket, end: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while chunk := origin.recv(65536):
                if self._marker in chunk and not self._done:
                    self._do()
                end.sendall(chunk)
            end.shutdown(socket.SHUT_WR)

    def _do(self) -> None:
        self._done = True
        try:
            self._deed()
        except BaseException as error:
            self._failure = error
