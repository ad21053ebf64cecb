"""What stands between a process and its PostgreSQL or Redis, so that either can be gone for this process alone."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit, urlunsplit

PIECE = 64 * 1024


class Relay:
    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._gone = False
        self._open: set[socket.socket] = set()

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._listener.close()

    @property
    def url(self) -> str:
        """Of the same, through here."""
        signed_in, at, _ = self._parts.netloc.rpartition("@")
        place = f"{signed_in}{at}127.0.0.1:{self._listener.getsockname()[1]}"
        return urlunsplit(self._parts._replace(netloc=place))

    def cut(self) -> None:
        """From now on every connection breaks."""
        self._gone = True
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        self._gone = False

    def _accept(self) -> None:
        with suppress(OSError):  # it was closed
            while True:
                client, _ = self._listener.accept()
                if self._gone:
                    client.close()
                    continue
                server = socket.create_connection((self._parts.hostname, self._parts.port))
                self._open |= {client, server}
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(PIECE):
                target.sendall(data)
        for each in (source, target):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._open.discard(source)
