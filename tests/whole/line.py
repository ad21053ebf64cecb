"""What lies between a browser and a server."""

import socket
import threading
from contextlib import suppress


class Line:
    """Between the browser and the server. It can be cut, and connections are then refused until it is mended."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.mended = threading.Event()
        self.mended.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self.mended.clear()
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                ends = self._listener.accept()[0], socket.create_connection(("127.0.0.1", self._to))
                if not self.mended.is_set():
                    for end in ends:
                        end.close()
                    continue
                self._open += ends
                for source, target in (ends, ends[::-1]):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.cut()
        for each in (self._listener, *self._open):
            each.close()
