"""A proxy on loopback that passes everything on and counts the round trips and the commands in them."""

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

Reader = Callable[[bytes], tuple[list[str], bytes]]
"""Takes what a client has sent so far; gives the names of the whole commands in it and the bytes that remain."""


@dataclass(frozen=True)
class Count:
    """`commands` are those since the last reset, in order."""

    round_trips: int
    commands: tuple[str, ...]


@dataclass
class Pair:
    """One proxied connection. A round trip begins when the client speaks and the server was the last to speak."""

    client: socket.socket
    server: socket.socket
    reader: Reader
    client_spoke_last: bool = False
    unread: bytes = b""


@dataclass
class CountingProxy:
    """Start with `with`. One thread serves all connections."""

    host: str
    port: int
    new_reader: Callable[[], Reader]
    listening_on: int = field(init=False, default=0)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.listening_on = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._round_trips = 0
        self._commands: list[str] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join(5)
        for key in list(self._selector.get_map().values()):
            with suppress(OSError):
                key.fileobj.close()  # type: ignore[union-attr]
        self._selector.close()

    def take(self) -> Count:
        """What was counted since the last call."""
        with self._lock:
            count = Count(self._round_trips, tuple(self._commands))
            self._round_trips, self._commands = 0, []
        return count

    def _serve(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(0.1):
                if key.data is None:
                    self._accept()
                else:
                    self._pass_on(key.fileobj, key.data)  # type: ignore[arg-type]

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection((self.host, self.port))
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        pair = Pair(client, server, self.new_reader())
        self._selector.register(client, selectors.EVENT_READ, pair)
        self._selector.register(server, selectors.EVENT_READ, pair)

    def _pass_on(self, source: socket.socket, pair: Pair) -> None:
        from_client = source is pair.client
        try:
            data = source.recv(65536)
            if data and from_client:
                self._count(pair, data)
            elif data:
                pair.client_spoke_last = False
            (pair.server if from_client else pair.client).sendall(data)
        except OSError:
            data = b""
        if not data:
            for side in (pair.client, pair.server):
                with suppress(KeyError, ValueError):
                    self._selector.unregister(side)
                side.close()

    def _count(self, pair: Pair, data: bytes) -> None:
        names, pair.unread = pair.reader(pair.unread + data)
        with self._lock:
            self._round_trips += not pair.client_spoke_last
            self._commands += names
        pair.client_spoke_last = True
