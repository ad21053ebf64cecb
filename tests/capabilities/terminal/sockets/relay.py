"""What stands between a process and its PostgreSQL or Redis, so that either can be gone for this process alone."""

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread
from typing import Self
from urllib.parse import urlsplit, urlunsplit

PIECE = 64 * 1024
END_SECONDS = 10.0


class Relay:
    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self._gone = False
        self._open: set[socket.socket] = set()
        self._threads: list[Thread] = []

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in self._threads:
            each.join(END_SECONDS)
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
            _end(each)

    def mend(self) -> None:
        self._gone = False

    def _begin(self, work: Callable[..., None], *arguments: socket.socket) -> Thread:
        thread = Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def _accept(self) -> None:
        for client in _accepted(self._listener):
            if self._gone:
                client.close()
            else:
                self._begin(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection((self._parts.hostname, self._parts.port)) as server:
            self._open |= {client, server}
            back = self._begin(_pass_on, server, client)
            _pass_on(client, server)
            back.join()
            self._open -= {client, server}


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    with suppress(OSError):  # nobody listens any more
        while True:
            yield listener.accept()[0]


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(PIECE):
            target.sendall(data)
    _end(source)
    _end(target)


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
