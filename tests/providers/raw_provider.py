"""A provider that says exactly what a test tells it, byte for byte."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Respond = Callable[[socket.socket, bytes], None]
ANSWER = b'{"choices":[{"message":{"content":"x = 2"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":3}}'


@dataclass
class RawProvider:
    url: str
    requests: list[bytes] = field(default_factory=list)
    most_connections: int = 0
    open_connections: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def connected(self, change: int) -> None:
        with self.lock:
            self.open_connections += change
            self.most_connections = max(self.most_connections, self.open_connections)


def reply(body: bytes = ANSWER, status: int = 200, head: str = "") -> bytes:
    return f"HTTP/1.1 {status} Any\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


def always(data: bytes, *, close: bool = False) -> Respond:
    def respond(connection: socket.socket, _: bytes) -> None:
        connection.sendall(data)
        if close:
            connection.shutdown(socket.SHUT_RDWR)

    return respond


@contextmanager
def serving(respond: Respond) -> Iterator[RawProvider]:
    """Connections are kept. What `respond` waits for must end when its connection is closed, as all are at the end."""
    connections: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0), backlog=1000) as listener:
        provider = RawProvider(f"http://127.0.0.1:{listener.getsockname()[1]}/v1")

        def talk(connection: socket.socket) -> None:
            provider.connected(1)
            with connection, suppress(OSError):
                while request := read_request(connection):
                    provider.requests.append(request)
                    respond(connection, request)
            provider.connected(-1)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    connections.append(connection)
                    thread = threading.Thread(target=talk, args=(connection,))
                    talks.append(thread)
                    thread.start()

        talks: list[threading.Thread] = []
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield provider
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for connection in connections:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in talks:
                thread.join()


def read_request(connection: socket.socket) -> bytes:
    """Head and body; empty when the client has hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65536)
        if not part:
            return b""
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    while len(body) < int(lengths[0] if lengths else 0):
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body
