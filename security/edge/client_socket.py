"""A connection to a client, whose answer is taken at once, however slowly the client reads it."""

import socket
from collections import deque
from contextlib import suppress
from typing import Any


class ClientSocket(socket.socket):
    """What the client has not read yet waits in `unsent`, so that no thread waits for it."""

    def __init__(self, accepted: socket.socket) -> None:
        super().__init__(accepted.family, accepted.type, accepted.proto, accepted.detach())
        self.unsent: deque[memoryview] = deque()
        self.ended = False

    def setblocking(self, flag: bool) -> None:
        """gunicorn asks for it before each request. It would be a system call for nothing: no call here waits."""

    def close(self) -> None:
        """End the connection. Its number stays taken until `free`, for the main loop may still watch it."""
        self.ended = True
        with suppress(OSError):
            self.shutdown(socket.SHUT_RDWR)

    def free(self) -> None:
        super().close()

    def sendall(self, data: Any, flags: int = 0) -> None:
        """Raises OSError when the client is gone."""
        if self.unsent:
            self.send_more()  # of a stream, whose client was slow for a moment
        sent = 0 if self.unsent else self._send(data)
        if sent < len(data):
            self.unsent.append(memoryview(data)[sent:])

    def send_more(self) -> int:
        """How many bytes of the unsent ones went out. Raises OSError when the client is gone."""
        total = 0
        while self.unsent:
            sent = self._send(self.unsent[0])
            total += sent
            if sent < len(self.unsent[0]):
                self.unsent[0] = self.unsent[0][sent:]
                break
            self.unsent.popleft()
        return total

    def _send(self, data: Any) -> int:
        try:
            return self.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0
